//! Which pages are free, which are handed out, and which have to wait before they are free.
//!
//! Invariant: a page is handed out only when no tree reaches it that is installed, or whose
//! installation is in doubt, and that anybody may still read. What an edit frees is *held* until
//! its meta page is durable, until no view of an earlier edit is kept, and until no reader of
//! another process is left that was there when it was installed.
//!
//! Pages smaller than a block are handed out by whole blocks, so that no block that holds a
//! durable page is ever written again. Knows nothing of trees.

use std::collections::{BTreeMap, BTreeSet};

use ondisk_fs::BLOCK;
use zerocopy::little_endian::U32;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::error::Damage;

/// Free runs shorter than this are left alone while there are few of them: writes stay long.
const SHORT_RUN: u32 = 8;
/// The file grows by so many pages at least.
const GROWTH: u32 = 64;
/// Above every page.
const NO_CEILING: u32 = u32::MAX;

/// Some pages in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Run {
    pub(crate) first: u32,
    pub(crate) len: u32,
}

impl Run {
    pub(crate) fn end(self) -> u32 {
        self.first.saturating_add(self.len)
    }
}

/// The pages of a file, between two edits or during one.
#[derive(Clone, Debug)]
pub(crate) struct Space {
    /// Pages of a block.
    unit: u32,
    /// No page that is in use has this number or a higher one.
    end: u32,
    /// By first page; no two of them touch.
    free: BTreeMap<u32, u32>,
    /// While there is room below it nothing behind it is handed out, and no run is broken up that
    /// need not be.
    ceiling: u32,
    /// The free runs with whole blocks below the ceiling: how many pages of such, first page.
    by_len: BTreeSet<(u32, u32)>,
    free_pages: u64,
    /// What is being handed out, page by page.
    current: Run,
    /// What this edit has handed out.
    taken: Vec<Run>,
    /// What this edit has freed.
    freed: Vec<Run>,
}

/// The number of pages would pass what 32 bits hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Full;

impl Space {
    pub(crate) fn new(page_size: usize, end: u32) -> Self {
        Self {
            unit: u32::try_from(BLOCK / page_size).unwrap_or(1).max(1),
            end,
            free: BTreeMap::new(),
            ceiling: NO_CEILING,
            by_len: BTreeSet::new(),
            free_pages: 0,
            current: Run { first: 0, len: 0 },
            taken: Vec::new(),
            freed: Vec::new(),
        }
    }

    pub(crate) fn end(&self) -> u32 {
        self.end
    }

    pub(crate) fn free_runs(&self) -> impl ExactSizeIterator<Item = Run> + '_ {
        self.free.iter().map(|(&first, &len)| Run { first, len })
    }

    /// What this edit has handed out.
    pub(crate) fn taken(&self) -> &[Run] {
        &self.taken
    }

    /// What this edit has freed.
    pub(crate) fn freed(&self) -> &[Run] {
        &self.freed
    }

    /// The part of a run that consists of whole blocks.
    fn whole(&self, run: Run) -> Option<Run> {
        let first = run.first.checked_next_multiple_of(self.unit)?;
        let end = run.end() - run.end() % self.unit;
        (first < end).then(|| Run { first, len: end - first })
    }

    /// What of a free run may be handed out now.
    fn usable(&self, run: Run) -> Option<Run> {
        let below = self.ceiling.saturating_sub(run.first);
        self.whole(Run { len: run.len.min(below), ..run })
    }

    fn index(&mut self, run: Run) {
        self.free.insert(run.first, run.len);
        if let Some(usable) = self.usable(run) {
            self.by_len.insert((usable.len, run.first));
        }
    }

    fn unindex(&mut self, run: Run) {
        self.free.remove(&run.first);
        if let Some(usable) = self.usable(run) {
            self.by_len.remove(&(usable.len, run.first));
        }
    }

    /// Makes pages free, to be handed out from now on.
    pub(crate) fn release(&mut self, run: Run) {
        if run.len == 0 {
            return;
        }
        self.free_pages += u64::from(run.len);
        let mut joined = run;
        let before =
            self.free.range(..run.first).next_back().map(|(&first, &len)| Run { first, len });
        if let Some(before) = before.filter(|it| it.end() == run.first) {
            self.unindex(before);
            joined = Run { first: before.first, len: before.len + joined.len };
        }
        if let Some(&len) = self.free.get(&run.end()) {
            self.unindex(Run { first: run.end(), len });
            joined.len += len;
        }
        self.index(joined);
    }

    /// Frees pages as far as this edit is concerned.
    pub(crate) fn free(&mut self, run: Run) {
        match self.freed.last_mut() {
            Some(last) if last.end() == run.first => last.len += run.len,
            _ => self.freed.push(run),
        }
    }

    /// Hands out pages in a row; their first.
    pub(crate) fn take(&mut self, span: u32) -> Result<u32, Full> {
        if self.current.len < span {
            self.refill(span)?;
        }
        let first = self.current.first;
        self.current = Run { first: first + span, len: self.current.len - span };
        match self.taken.last_mut() {
            Some(last) if last.end() == first => last.len += span,
            _ => self.taken.push(Run { first, len: span }),
        }
        Ok(first)
    }

    fn refill(&mut self, span: u32) -> Result<(), Full> {
        let scarce = self.free_pages < u64::from(self.end) / 4;
        let longest = self.by_len.last().copied().filter(|(len, _)| *len >= span);
        let chosen = match longest {
            longest if span > 1 || self.has_ceiling() => {
                longest.and_then(|_| self.by_len.range((span, 0)..).next().copied())
            }
            Some((len, _)) if len < SHORT_RUN && scarce => None,
            longest => longest,
        };
        let first = match chosen {
            Some((_, first)) => first,
            None if self.has_ceiling() => {
                self.set_ceiling(None);
                return self.refill(span);
            }
            None => return self.grow(span),
        };
        self.put_back();
        let Some(&len) = self.free.get(&first) else { return self.grow(span) };
        let run = Run { first, len };
        let Some(usable) = self.usable(run) else { return self.grow(span) };
        if usable.len < span {
            return self.grow(span);
        }
        self.unindex(run);
        self.free_pages -= u64::from(len);
        self.release(Run { first, len: usable.first - first });
        self.release(Run { first: usable.end(), len: run.end() - usable.end() });
        self.current = usable;
        Ok(())
    }

    /// Takes pages behind the end.
    fn grow(&mut self, span: u32) -> Result<(), Full> {
        let more = span.max(GROWTH).next_multiple_of(self.unit);
        if self.current.len > 0 && self.current.end() == self.end {
            self.current.len += more;
        } else {
            self.put_back();
            self.current = Run { first: self.end, len: more };
        }
        self.end = self.end.checked_add(more).filter(|end| *end < u32::MAX).ok_or(Full)?;
        Ok(())
    }

    /// Gives back what was not handed out.
    fn put_back(&mut self) {
        let rest = std::mem::replace(&mut self.current, Run { first: 0, len: 0 });
        if rest.len > 0 && rest.end() == self.end {
            // Behind the last page in use nothing is kept but the rest of its block.
            self.end = rest.first.next_multiple_of(self.unit);
            self.release(Run { first: rest.first, len: self.end - rest.first });
        } else {
            self.release(rest);
        }
    }

    /// From now on the pages below one are handed out first.
    pub(crate) fn set_ceiling(&mut self, ceiling: Option<u32>) {
        let ceiling = ceiling.unwrap_or(NO_CEILING);
        if ceiling != self.ceiling {
            self.ceiling = ceiling;
            let runs = self.free_runs();
            self.by_len = runs.filter_map(|run| Some((self.usable(run)?.len, run.first))).collect();
        }
    }

    /// Whether there is a ceiling. Where there is no room left below one, it is gone.
    pub(crate) fn has_ceiling(&self) -> bool {
        self.ceiling != NO_CEILING
    }

    /// Where the file could end if what stands behind it were in the free places before it, and so
    /// many pages more. What is held needs no place, and is none.
    pub(crate) fn least_end(&self, held: impl Iterator<Item = Run>, more: u64) -> u32 {
        let whole = |run| self.whole(run).map_or(0, |whole| u64::from(whole.len));
        let mut unused: Vec<(Run, u64)> = self.free_runs().map(|run| (run, whole(run))).collect();
        unused.extend(held.map(|run| (run, 0)));
        unused.sort_unstable();
        let mut room: u64 = unused.iter().map(|(_, room)| room).sum();
        let (mut end, mut moved) = (self.end, more);
        // From the last page to the first, while all behind `end` has a place before it.
        for (run, whole) in unused.into_iter().rev() {
            let used = u64::from(end.saturating_sub(run.end()));
            if room < moved + used {
                break;
            }
            (end, moved) = (run.end(), moved + used);
            if room - whole < moved {
                break;
            }
            (end, room) = (run.first, room - whole);
        }
        let left = u32::try_from(room.saturating_sub(moved)).unwrap_or(u32::MAX);
        let least = end.saturating_sub(left).checked_next_multiple_of(self.unit);
        least.map_or(self.end, |least| least.min(self.end))
    }

    /// How many pages are free.
    pub(crate) fn free_pages(&self) -> u64 {
        self.free_pages
    }

    /// Gives up the free pages behind the last one in use.
    pub(crate) fn trim(&mut self) {
        let last = self.free.iter().next_back().map(|(&first, &len)| Run { first, len });
        let Some(last) = last.filter(|last| last.end() == self.end) else { return };
        self.unindex(last);
        self.free_pages -= u64::from(last.len);
        // The rest of a block that is in use stays.
        self.end = last.first.next_multiple_of(self.unit);
        self.release(Run { first: last.first, len: self.end - last.first });
    }

    /// Ends an edit: what it has freed is the caller's from now on.
    pub(crate) fn settle(&mut self) -> Vec<Run> {
        self.put_back();
        self.taken.clear();
        std::mem::take(&mut self.freed)
    }

    /// Gives back what was not handed out, and hands out no more.
    pub(crate) fn stop(&mut self) {
        self.put_back();
    }
}

/// What a free list begins with; then come the free runs, then the held ones.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct ListHead {
    free: U32,
    held: U32,
}

#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct ListRun {
    first: U32,
    len: U32,
}

pub(crate) const LIST_HEAD: usize = size_of::<ListHead>();
pub(crate) const LIST_RUN: usize = size_of::<ListRun>();

/// The free pages of one edit: those that may be handed out by the next, and those that an older
/// tree reaches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FreeList {
    pub(crate) free: Vec<Run>,
    pub(crate) held: Vec<Run>,
}

impl FreeList {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let count = |runs: &[Run]| U32::new(u32::try_from(runs.len()).unwrap_or(u32::MAX));
        let head = ListHead { free: count(&self.free), held: count(&self.held) };
        let mut bytes = Vec::with_capacity(LIST_HEAD + (self.free.len() + self.held.len()) * 8);
        bytes.extend_from_slice(head.as_bytes());
        for run in self.free.iter().chain(&self.held) {
            let run = ListRun { first: U32::new(run.first), len: U32::new(run.len) };
            bytes.extend_from_slice(run.as_bytes());
        }
        bytes
    }

    /// Reads bytes that nobody vouches for; all pages are to lie in a range.
    pub(crate) fn decode(bytes: &[u8], pages: std::ops::Range<u32>) -> Result<Self, Damage> {
        let (head, runs) =
            ListHead::read_from_prefix(bytes).map_err(|_| Damage::Field("free list"))?;
        let (free, held) = (head.free.get() as usize, head.held.get() as usize);
        let len = free.checked_add(held).and_then(|it| it.checked_mul(LIST_RUN));
        let parts = len.and_then(|len| runs.split_at_checked(len));
        // Zeros fill up the pages that were taken before the list was known.
        let Some((runs, _)) = parts.filter(|(_, rest)| rest.iter().all(|byte| *byte == 0)) else {
            return Err(Damage::Field("runs of the free list"));
        };
        let mut runs: Vec<Run> = runs
            .chunks_exact(LIST_RUN)
            .filter_map(|run| ListRun::read_from_bytes(run).ok())
            .map(|run| Run { first: run.first.get(), len: run.len.get() })
            .collect();
        let held = runs.split_off(free);
        for part in [&runs, &held] {
            let mut at = pages.start;
            for run in part {
                let end = run.first.checked_add(run.len);
                if run.len == 0 || run.first < at || end.is_none_or(|end| end > pages.end) {
                    return Err(Damage::Field("run of the free list"));
                }
                at = run.end();
            }
        }
        Ok(Self { free: runs, held })
    }

    pub(crate) fn pages(&self) -> u64 {
        self.free.iter().chain(&self.held).map(|run| u64::from(run.len)).sum()
    }
}

/// Runs in order, and those that touch as one.
pub(crate) fn joined(mut runs: Vec<Run>) -> Vec<Run> {
    runs.sort_unstable();
    let mut joined: Vec<Run> = Vec::with_capacity(runs.len());
    for run in runs {
        match joined.last_mut() {
            Some(last) if last.end() == run.first => last.len += run.len,
            _ => joined.push(run),
        }
    }
    joined
}

#[cfg(test)]
mod tests;
