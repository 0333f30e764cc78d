//! `mq-deadline`: upwards through the blocks, in batches, and nobody waits for ever.
//!
//! Invariant: each request waits in two orders, by block and by age. A batch goes upwards in one
//! direction; after it the reads come first unless writes have waited for them twice; and a
//! direction starts anew from its oldest request when that has expired or nothing lies above. As
//! `block/mq-deadline.c` has it, without priorities.

use std::collections::VecDeque;

use super::request::{Requests, Run, What};
use super::sorted::Sorted;
use crate::machine::event::Join;
use crate::machine::ids::Ns;

/// How long a read may wait.
pub(super) const READ_EXPIRE: Ns = Ns(500 * Ns::MS.0);
/// How long a write may wait.
pub(super) const WRITE_EXPIRE: Ns = Ns(5 * Ns::S.0);
/// How many requests a batch has.
pub(super) const FIFO_BATCH: u32 = 16;
/// How often reads may come before writes that wait.
pub(super) const WRITES_STARVED: u32 = 2;

/// The scheduler.
#[derive(Clone, Debug, Default)]
pub(super) struct Deadline {
    reads: Direction,
    writes: Direction,
    last: Way,
    batch: u32,
    starved: u32,
    /// It looks at no deadline: a planted mistake.
    blind: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Way {
    #[default]
    Read,
    Write,
}

#[derive(Clone, Debug, Default)]
struct Direction {
    sorted: Sorted,
    /// By age, with the deadline.
    fifo: VecDeque<(Ns, u32)>,
    /// The first block of the request that was given last.
    at: u32,
}

impl Direction {
    fn expired(&self, now: Ns) -> bool {
        self.fifo.front().is_some_and(|(deadline, _)| *deadline <= now)
    }

    fn place(&self, rq: u32) -> Option<usize> {
        self.fifo.iter().position(|(_, other)| *other == rq)
    }

    fn remove(&mut self, rq: u32) {
        self.sorted.remove(rq);
        if let Some(at) = self.place(rq) {
            self.fifo.remove(at);
        }
    }
}

impl Deadline {
    /// Nobody waits. `blind`: no deadline is looked at.
    pub(super) fn new(blind: bool) -> Self {
        Self { blind, ..Self::default() }
    }

    fn way(&self, way: Way) -> &Direction {
        match way {
            Way::Read => &self.reads,
            Way::Write => &self.writes,
        }
    }

    fn of(&mut self, what: What) -> &mut Direction {
        match what {
            What::Read => &mut self.reads,
            What::Write | What::Flush => &mut self.writes,
        }
    }

    /// A request waits.
    pub(super) fn insert(&mut self, now: Ns, rq: u32, rqs: &Requests) {
        let what = rqs[rq].what;
        let expire = if what == What::Read { READ_EXPIRE } else { WRITE_EXPIRE };
        let direction = self.of(what);
        direction.sorted.insert(rqs[rq].lba, rq);
        direction.fifo.push_back((now + expire, rq));
    }

    /// Which request a run could join.
    pub(super) fn fits(&self, run: &Run, rqs: &Requests, largest: u32) -> Option<(u32, Join)> {
        let direction = if run.what == What::Read { &self.reads } else { &self.writes };
        direction.sorted.fits(run, rqs, largest)
    }

    /// A request has another first block.
    pub(super) fn moved(&mut self, rq: u32, rqs: &Requests) {
        let direction = self.of(rqs[rq].what);
        direction.sorted.remove(rq);
        direction.sorted.insert(rqs[rq].lba, rq);
    }

    /// A request took in the one behind it, and is as old as the older of the two.
    pub(super) fn absorbed(&mut self, rq: u32, other: u32, rqs: &Requests) {
        let direction = self.of(rqs[rq].what);
        if let (Some(own), Some(its)) = (direction.place(rq), direction.place(other))
            && its < own
        {
            direction.fifo.remove(own);
            direction.fifo[its].1 = rq;
            direction.sorted.remove(other);
        } else {
            direction.remove(other);
        }
    }

    /// The next request.
    pub(super) fn next(&mut self, now: Ns, rqs: &Requests) -> Option<u32> {
        let direction = self.way(self.last);
        let ahead = direction.sorted.at_or_above(direction.at);
        let rq = match ahead {
            Some(rq) if self.batch < FIFO_BATCH => rq,
            _ => {
                let way = self.turn()?;
                let rq = self.begin(now, way)?;
                self.last = way;
                self.batch = 0;
                rq
            }
        };
        self.batch += 1;
        let lba = rqs[rq].lba;
        let direction = self.of(rqs[rq].what);
        direction.at = lba;
        direction.remove(rq);
        Some(rq)
    }

    /// Whose turn it is, when a batch is over.
    fn turn(&mut self) -> Option<Way> {
        let writes = !self.writes.fifo.is_empty();
        if !self.reads.fifo.is_empty() {
            if !writes {
                return Some(Way::Read);
            }
            let starved = self.starved;
            self.starved += 1;
            if starved < WRITES_STARVED {
                return Some(Way::Read);
            }
        }
        self.starved = 0;
        writes.then_some(Way::Write)
    }

    /// Where a batch begins.
    fn begin(&self, now: Ns, way: Way) -> Option<u32> {
        let direction = self.way(way);
        let expired = direction.expired(now) && !self.blind;
        let above = direction.sorted.at_or_above(direction.at).filter(|_| !expired);
        above.or_else(|| direction.fifo.front().map(|(_, rq)| *rq))
    }

    /// Who waits, by age: reads, then writes.
    pub(super) fn waiting(&self) -> impl Iterator<Item = u32> {
        self.reads.fifo.iter().chain(&self.writes.fifo).map(|(_, rq)| *rq)
    }

    /// What the next choice depends on beside who waits.
    pub(super) fn state(&self) -> [u64; 5] {
        let write = u64::from(self.last == Way::Write);
        let at = [self.reads.at, self.writes.at, self.batch, self.starved].map(u64::from);
        [at[0], at[1], at[2], at[3], write]
    }
}
