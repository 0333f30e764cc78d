//! `bfq`: a queue for each task, and to each its share of the drive by budgets.
//!
//! Invariant: one queue is served at a time, until its budget, its time or its requests are at an
//! end; a queue of somebody who waits is given a little time to send more. The next is, among
//! the queues whose start is not ahead of the virtual time, the one that would be finished first:
//! `F = S + budget / weight`. As `block/bfq-iosched.c` has it, with one weight, one size of
//! budget, and without groups, boosts and queues that merge.

use std::collections::VecDeque;

use super::request::{Requests, Rq, Run};
use super::sorted::Sorted;
use crate::machine::event::Join;
use crate::machine::ids::{Ns, TaskId};

/// What a queue may be served before the others are looked at, in sectors.
pub(super) const BUDGET: u64 = 16384;
/// How long it may take for that.
pub(super) const TIMEOUT: Ns = Ns(125 * Ns::MS.0);
/// How long a queue of somebody who waits is given to send more.
pub(super) const SLICE_IDLE: Ns = Ns(8 * Ns::MS.0);
/// At which age a request that somebody waits for goes first in its queue.
pub(super) const SYNC_EXPIRE: Ns = Ns(125 * Ns::MS.0);
/// At which age one that nobody waits for does.
pub(super) const ASYNC_EXPIRE: Ns = Ns(250 * Ns::MS.0);
/// The weight of every queue.
const WEIGHT: u64 = 100;
/// The virtual time's binary point (`WFQ_SERVICE_SHIFT`).
const SHIFT: u32 = 22;
/// Blocks so far behind count as near, though at twice their distance (`back_max`: 16 MiB).
const BACK_MAX: u32 = 4096;
const SECTORS: u64 = 8;

/// How much virtual time a service takes.
fn delta(sectors: u64, weight: u64) -> u64 {
    (sectors << SHIFT) / weight
}

/// Whose requests stand in one queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whose {
    /// A task's, which waits for them.
    Sync(TaskId),
    /// Everybody's that nobody waits for.
    Async,
}

impl Whose {
    fn of(sync: bool, task: TaskId) -> Self {
        if sync { Self::Sync(task) } else { Self::Async }
    }
}

#[derive(Clone, Debug)]
struct Queue {
    whose: Whose,
    sorted: Sorted,
    /// By age, with the instant at which it expires.
    fifo: VecDeque<(Ns, u32)>,
    start: u64,
    finish: u64,
    budget: u64,
    /// What it was served since its turn began, in sectors.
    served: u64,
    /// How many of its requests are with the drive.
    away: u32,
    /// The block behind the request that was given last.
    at: u32,
    /// Its oldest was looked at in this turn.
    looked: bool,
}

impl Queue {
    fn new(whose: Whose) -> Self {
        Self {
            whose,
            sorted: Sorted::default(),
            fifo: VecDeque::new(),
            start: 0,
            finish: 0,
            budget: BUDGET,
            served: 0,
            away: 0,
            at: 0,
            looked: false,
        }
    }

    fn remove(&mut self, rq: u32) {
        self.sorted.remove(rq);
        self.fifo.retain(|(_, other)| *other != rq);
    }

    /// Which of its requests is next: the oldest, once a turn, if it expired; else the nearest.
    fn choice(&self, now: Ns, rqs: &Requests) -> Option<(u32, bool)> {
        let oldest = self.fifo.front().filter(|(expires, _)| !self.looked && *expires <= now);
        if let Some((_, rq)) = oldest {
            return Some((*rq, true));
        }
        let above = self.sorted.at_or_above(self.at);
        let below = self.sorted.below(self.at);
        let near = match (above, below) {
            (Some(above), Some(below)) => {
                let back = self.at - rqs[below].lba;
                let nearer = back <= BACK_MAX && 2 * back < rqs[above].lba - self.at;
                Some(if nearer { below } else { above })
            }
            (None, Some(below)) if self.at - rqs[below].lba <= BACK_MAX => Some(below),
            // All lies far behind: from the lowest on.
            (None, Some(_)) => self.sorted.first(),
            (above, None) => above,
        };
        near.map(|rq| (rq, false))
    }

    /// It has something to do: where it stands from here on.
    fn begins(&mut self, start: u64, rqs: &Requests) {
        let first = self.fifo.front().map_or(0, |(_, rq)| sectors(&rqs[*rq]));
        self.budget = BUDGET.max(first);
        self.start = start;
        self.finish = start + delta(self.budget, WEIGHT);
    }
}

fn sectors(rq: &Rq) -> u64 {
    u64::from(rq.count) * SECTORS
}

/// The scheduler.
#[derive(Clone, Debug, Default)]
pub(super) struct Bfq {
    queues: Vec<Queue>,
    serving: Option<usize>,
    virtual_time: u64,
    /// When the turn of the queue that is served is over.
    until: Ns,
    /// Until when nothing is given, since the queue that is served may send more.
    idle: Option<Ns>,
}

impl Bfq {
    fn queue(&mut self, whose: Whose) -> usize {
        let known = self.queues.iter().position(|queue| queue.whose == whose);
        known.unwrap_or_else(|| {
            self.queues.push(Queue::new(whose));
            self.queues.len() - 1
        })
    }

    /// A request waits.
    pub(super) fn insert(&mut self, now: Ns, rq: u32, rqs: &Requests) {
        let request = &rqs[rq];
        let at = self.queue(Whose::of(request.sync, request.task));
        let expire = if request.sync { SYNC_EXPIRE } else { ASYNC_EXPIRE };
        let queue = &mut self.queues[at];
        let idle = queue.sorted.is_empty() && self.serving != Some(at);
        queue.sorted.insert(request.lba, rq);
        queue.fifo.push_back((now + expire, rq));
        if idle {
            queue.begins(self.virtual_time.max(queue.finish), rqs);
        }
        if self.serving == Some(at) {
            self.idle = None;
        }
    }

    /// Which request a run could join: one of the same queue.
    pub(super) fn fits(&self, run: &Run, rqs: &Requests, largest: u32) -> Option<(u32, Join)> {
        let whose = Whose::of(run.sync, run.task);
        let queue = self.queues.iter().find(|queue| queue.whose == whose)?;
        queue.sorted.fits(run, rqs, largest)
    }

    /// A request has another first block.
    pub(super) fn moved(&mut self, rq: u32, rqs: &Requests) {
        for queue in &mut self.queues {
            if queue.sorted.remove(rq) {
                queue.sorted.insert(rqs[rq].lba, rq);
            }
        }
    }

    /// A request took in the one behind it, and is as old as the older of the two.
    pub(super) fn absorbed(&mut self, rq: u32, other: u32) {
        for queue in &mut self.queues {
            let place = |rq| queue.fifo.iter().position(|(_, one)| *one == rq);
            let (Some(own), Some(its)) = (place(rq), place(other)) else {
                queue.remove(other);
                continue;
            };
            if its < own {
                queue.fifo.remove(own);
                queue.fifo[its].1 = rq;
            }
            queue.remove(other);
        }
    }

    /// The next request.
    pub(super) fn next(&mut self, now: Ns, rqs: &Requests) -> Option<u32> {
        loop {
            let Some(at) = self.serving else {
                self.serve(now)?;
                continue;
            };
            let queue = &self.queues[at];
            let Some((rq, oldest)) = queue.choice(now, rqs) else {
                // It may send more as soon as it is answered.
                let waits = self.idle.is_some() || queue.away > 0;
                if queue.whose != Whose::Async && waits {
                    return None;
                }
                self.expire(rqs);
                continue;
            };
            let left = queue.budget.saturating_sub(queue.served);
            if now >= self.until || sectors(&rqs[rq]) > left {
                self.expire(rqs);
                continue;
            }
            self.give(at, rq, oldest, rqs);
            return Some(rq);
        }
    }

    fn give(&mut self, at: usize, rq: u32, oldest: bool, rqs: &Requests) {
        self.idle = None;
        let served = sectors(&rqs[rq]);
        self.virtual_time += delta(served, WEIGHT * self.active());
        let queue = &mut self.queues[at];
        queue.remove(rq);
        queue.served += served;
        queue.away += 1;
        queue.at = rqs[rq].end();
        queue.looked |= oldest;
    }

    /// How many queues have something to do.
    fn active(&self) -> u64 {
        let active =
            |(at, queue): &(usize, &Queue)| self.serving == Some(*at) || !queue.sorted.is_empty();
        self.queues.iter().enumerate().filter(active).count() as u64
    }

    /// Begins the turn of the queue that would be finished first.
    fn serve(&mut self, now: Ns) -> Option<()> {
        let busy = || self.queues.iter().enumerate().filter(|(_, queue)| !queue.sorted.is_empty());
        let earliest = busy().map(|(_, queue)| queue.start).min()?;
        let virtual_time = self.virtual_time.max(earliest);
        let eligible = busy().filter(|(_, queue)| queue.start <= virtual_time);
        let (at, _) = eligible.min_by_key(|(at, queue)| (queue.finish, *at))?;
        self.virtual_time = virtual_time;
        self.serving = Some(at);
        self.until = now + TIMEOUT;
        let queue = &mut self.queues[at];
        queue.served = 0;
        queue.looked = false;
        Some(())
    }

    /// Ends the turn: what was served is what it finishes with.
    fn expire(&mut self, rqs: &Requests) {
        self.idle = None;
        let Some(at) = self.serving.take() else { return };
        let queue = &mut self.queues[at];
        queue.finish = queue.start + delta(queue.served, WEIGHT);
        if !queue.sorted.is_empty() {
            queue.begins(queue.finish, rqs);
        }
    }

    /// The drive answered a request.
    pub(super) fn done(&mut self, now: Ns, rq: &Rq) {
        let at = self.queue(Whose::of(rq.sync, rq.task));
        let queue = &mut self.queues[at];
        queue.away = queue.away.saturating_sub(1);
        let waits = queue.away == 0 && queue.sorted.is_empty() && queue.whose != Whose::Async;
        if waits && self.serving == Some(at) {
            self.idle = Some(now + SLICE_IDLE);
        }
    }

    /// When the queue that is served has had its time to send more.
    pub(super) fn next_tick(&self) -> Option<Ns> {
        self.idle
    }

    /// The clock went on.
    pub(super) fn tick(&mut self, now: Ns, rqs: &Requests) {
        if self.idle.is_some_and(|at| at <= now) {
            self.expire(rqs);
        }
    }

    /// Who waits, queue by queue, by age.
    pub(super) fn waiting(&self) -> impl Iterator<Item = u32> {
        self.queues.iter().flat_map(|queue| queue.fifo.iter().map(|(_, rq)| *rq))
    }

    /// What the next choice depends on beside who waits.
    pub(super) fn state(&self) -> impl Iterator<Item = u64> {
        let own = [self.virtual_time, self.until.0, self.idle.map_or(0, |at| at.0)];
        let serving = self.serving.map_or(0, |at| at as u64 + 1);
        let queues = self.queues.iter().flat_map(|queue| {
            [queue.start, queue.finish, queue.served, u64::from(queue.away), u64::from(queue.at)]
        });
        own.into_iter().chain([serving]).chain(queues)
    }
}
