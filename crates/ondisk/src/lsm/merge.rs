//! Several sorted walks as one, in which of each key the newest source speaks.
//!
//! Invariant: sources come young to old; of a key that several hold, the first one's entry is
//! given out, and the others are passed over. Of a key that a source may have held where it could
//! not be read, no older one speaks: what it says may have been replaced. Where one source alone
//! goes on, an entry costs one comparison.
//!
//! Knows nothing of levels.

use std::cmp::Ordering;

use ondisk_log::Lsn;

use crate::engine::{Direction, Site};
use crate::error::Error;
use crate::lsm::sabotage::LsmRule;
use crate::lsm::table::run::RunWalk;
use crate::lsm::table::walk::Gap;
use crate::sabotage::Sabotage;
use crate::value::Value;

/// Whether a merge gives tombstones out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tombstones {
    /// To a compaction, which decides what becomes of them.
    Shown,
    /// A key that is gone is passed over: a reader's.
    Hidden,
}

/// Which source wins where several hold a key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Winner {
    #[default]
    First,
    /// A mistake, made on purpose.
    Last,
}

/// A merge of sorted walks. It stands before its first entry until it is advanced.
#[derive(Debug)]
pub(crate) struct MergeWalk {
    sources: Vec<RunWalk>,
    /// The sources that stand at an entry, as a heap: the one that speaks stands first.
    heap: Vec<usize>,
    /// Where in the heap the one stands that would be next without the first.
    rival: usize,
    given: Given,
    /// The sources that must be advanced before it is known which one speaks.
    stale: Vec<usize>,
    /// What could not be read, each with its source.
    gaps: Vec<(usize, Gap)>,
    direction: Direction,
    tombstones: Tombstones,
    winner: Winner,
}

/// Whether what the first source says was given out, and whether others stand at its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Given {
    /// It was not, or it is not the first any more.
    No,
    Alone,
    Tied,
}

impl Winner {
    /// Who wins at a site.
    pub(crate) fn of(site: &Site) -> Self {
        let last = site.breaks(Sabotage::Lsm(LsmRule::OlderWins));
        if last { Self::Last } else { Self::First }
    }
}

impl MergeWalk {
    /// A merge of walks that go in one direction, the youngest first.
    pub(crate) fn new(sources: Vec<RunWalk>, direction: Direction, tombstones: Tombstones) -> Self {
        let stale = (0..sources.len()).rev().collect();
        let heap = Vec::with_capacity(sources.len());
        let (rival, given, gaps, winner) = (1, Given::No, Vec::new(), Winner::First);
        Self { sources, heap, rival, given, stale, gaps, direction, tombstones, winner }
    }

    /// The same merge with another winner.
    pub(crate) fn won_by(mut self, winner: Winner) -> Self {
        self.winner = winner;
        self
    }

    /// Goes to the next entry; `false` at the end, and from then on. After an error that concerns
    /// one place of one source, the next call goes on behind it.
    pub(crate) fn advance(&mut self) -> Result<bool, Error> {
        loop {
            if !self.next()? {
                return Ok(false);
            }
            let shown = self.tombstones == Tombstones::Shown || !self.is_tombstone();
            if shown && !self.is_doubtful() {
                return Ok(true);
            }
        }
    }

    /// Whether a younger source may have held the key where it could not be read.
    #[inline]
    fn is_doubtful(&self) -> bool {
        if self.gaps.is_empty() {
            return false;
        }
        let speaks = self.heap.first().copied().unwrap_or_default();
        self.gaps.iter().any(|(source, gap)| *source < speaks && gap.may_hold(self.key()))
    }

    /// Advances a source, and remembers what could not be read.
    #[inline]
    fn advance_source(&mut self, source: usize) -> Result<bool, Error> {
        let walk = &mut self.sources[source];
        let advanced = walk.advance();
        if advanced.is_err() {
            self.gaps.extend(walk.take_gap().map(|gap| (source, gap)));
        }
        advanced
    }

    /// The key of the entry; only after an advance that answered `true`, as all below.
    #[inline]
    pub(crate) fn key(&self) -> &[u8] {
        self.current().map_or(&[], RunWalk::key)
    }

    #[inline]
    pub(crate) fn lsn(&self) -> Lsn {
        self.current().map_or(Lsn(0), RunWalk::lsn)
    }

    #[inline]
    pub(crate) fn is_tombstone(&self) -> bool {
        self.current().is_some_and(RunWalk::is_tombstone)
    }

    /// The value; empty for a tombstone.
    #[inline]
    pub(crate) fn value(&self) -> &[u8] {
        self.current().map_or(&[], RunWalk::value)
    }

    /// The value as one that may be kept.
    pub(crate) fn keep(&self) -> Value {
        self.current().map_or_else(Value::default, RunWalk::keep)
    }

    #[inline]
    fn current(&self) -> Option<&RunWalk> {
        self.sources.get(*self.heap.first()?)
    }

    /// Goes to the next key, whatever is said of it.
    fn next(&mut self) -> Result<bool, Error> {
        match self.given {
            Given::No => {}
            Given::Alone => {
                if self.advance_first()? {
                    return Ok(true);
                }
            }
            Given::Tied => self.pass_ties(),
        }
        self.given = Given::No;
        while let Some(&source) = self.stale.last() {
            // Where this fails the source stays stale, and is tried again by the next call.
            let stands = self.advance_source(source)?;
            self.stale.pop();
            if stands {
                self.heap.push(source);
                self.sift_up();
            }
        }
        self.settle();
        Ok(!self.heap.is_empty())
    }

    /// Advances the first source, which stands alone at its key. Answers whether it is still the
    /// first: then nothing else needs to be done.
    #[inline]
    fn advance_first(&mut self) -> Result<bool, Error> {
        let Some(&first) = self.heap.first() else { return Ok(false) };
        match self.advance_source(first) {
            Ok(true) => {}
            Ok(false) => {
                self.pop_first();
                return Ok(false);
            }
            Err(error) => {
                self.pop_first();
                self.stale.push(first);
                self.given = Given::No;
                return Err(error);
            }
        }
        let Some(&rival) = self.heap.get(self.rival) else { return Ok(true) };
        match self.compare(first, rival) {
            (Ordering::Less, keys) => {
                self.given = if keys.is_eq() { Given::Tied } else { Given::Alone };
                Ok(true)
            }
            _ => {
                self.sift_down();
                Ok(false)
            }
        }
    }

    /// Passes over the key at which the first source stands, in all sources.
    fn pass_ties(&mut self) {
        let Some(given) = self.pop_first() else { return };
        while let Some(&next) = self.heap.first() {
            if self.sources[next].key() != self.sources[given].key() {
                break;
            }
            self.pop_first();
            self.stale.push(next);
        }
        self.stale.push(given);
    }

    /// Finds out who is behind the first.
    fn settle(&mut self) {
        let behind = |at: usize| self.heap.get(at).copied();
        self.rival = match (behind(1), behind(2)) {
            (Some(left), Some(right)) if self.compare(right, left).0.is_lt() => 2,
            _ => 1,
        };
        let tie = |(first, rival): (usize, usize)| self.compare(first, rival).1.is_eq();
        let tied = behind(0).zip(behind(self.rival)).is_some_and(tie);
        self.given = if tied { Given::Tied } else { Given::Alone };
    }

    /// Which of two sources comes before the other, and how their keys compare in the merge's
    /// direction.
    #[inline]
    fn compare(&self, a: usize, b: usize) -> (Ordering, Ordering) {
        let keys = self.sources[a].key().cmp(self.sources[b].key());
        let keys = if self.direction == Direction::Forward { keys } else { keys.reverse() };
        let ages = if self.winner == Winner::First { a.cmp(&b) } else { b.cmp(&a) };
        (keys.then(ages), keys)
    }

    fn pop_first(&mut self) -> Option<usize> {
        let last = self.heap.pop()?;
        let Some(first) = self.heap.first_mut() else { return Some(last) };
        let first = std::mem::replace(first, last);
        self.sift_down();
        Some(first)
    }

    /// Lets the first of the heap sink to its place.
    fn sift_down(&mut self) {
        let mut at = 0;
        loop {
            let (left, right) = (2 * at + 1, 2 * at + 2);
            let Some(&in_left) = self.heap.get(left) else { return };
            let smaller = match self.heap.get(right) {
                Some(&in_right) if self.compare(in_right, in_left).0.is_lt() => right,
                _ => left,
            };
            if self.compare(self.heap[at], self.heap[smaller]).0.is_lt() {
                return;
            }
            self.heap.swap(at, smaller);
            at = smaller;
        }
    }

    /// Lets the last of the heap rise to its place.
    fn sift_up(&mut self) {
        let mut at = self.heap.len().saturating_sub(1);
        while at > 0 {
            let above = (at - 1) / 2;
            if self.compare(self.heap[above], self.heap[at]).0.is_lt() {
                return;
            }
            self.heap.swap(at, above);
            at = above;
        }
    }
}

#[cfg(test)]
mod tests;
