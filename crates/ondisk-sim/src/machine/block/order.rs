//! Who comes first: one of three schedulers.
//!
//! Invariant: a request that was given to a scheduler is in it until it is asked for
//! ([`Order::next`]) or another takes it in ([`Order::absorbed`]).

use std::collections::VecDeque;

use super::bfq::Bfq;
use super::deadline::Deadline;
use super::request::{Requests, Rq, Run};
use crate::machine::config::Scheduler;
use crate::machine::digest::Digest;
use crate::machine::event::Join;
use crate::machine::ids::Ns;

/// A scheduler.
#[derive(Clone, Debug)]
pub(super) enum Order {
    /// `none`: as they come. Nothing merges here.
    Fifo(VecDeque<u32>),
    Deadline(Deadline),
    Bfq(Bfq),
}

impl Order {
    /// The scheduler of this name. `blind`: it looks at no deadline.
    pub(super) fn new(scheduler: Scheduler, blind: bool) -> Self {
        match scheduler {
            Scheduler::None => Self::Fifo(VecDeque::new()),
            Scheduler::MqDeadline => Self::Deadline(Deadline::new(blind)),
            Scheduler::Bfq => Self::Bfq(Bfq::default()),
        }
    }

    /// A request waits.
    pub(super) fn insert(&mut self, now: Ns, rq: u32, rqs: &Requests) {
        match self {
            Self::Fifo(fifo) => fifo.push_back(rq),
            Self::Deadline(deadline) => deadline.insert(now, rq, rqs),
            Self::Bfq(bfq) => bfq.insert(now, rq, rqs),
        }
    }

    /// Which request that waits here a run could join.
    pub(super) fn fits(&self, run: &Run, rqs: &Requests, largest: u32) -> Option<(u32, Join)> {
        match self {
            Self::Fifo(_) => None,
            Self::Deadline(deadline) => deadline.fits(run, rqs, largest),
            Self::Bfq(bfq) => bfq.fits(run, rqs, largest),
        }
    }

    /// A request has another first block.
    pub(super) fn moved(&mut self, rq: u32, rqs: &Requests) {
        match self {
            Self::Fifo(_) => {}
            Self::Deadline(deadline) => deadline.moved(rq, rqs),
            Self::Bfq(bfq) => bfq.moved(rq, rqs),
        }
    }

    /// A request took in the one behind it, which waits here no longer.
    pub(super) fn absorbed(&mut self, rq: u32, other: u32, rqs: &Requests) {
        match self {
            Self::Fifo(_) => {}
            Self::Deadline(deadline) => deadline.absorbed(rq, other, rqs),
            Self::Bfq(bfq) => bfq.absorbed(rq, other),
        }
    }

    /// The next request, if one is to be given now.
    pub(super) fn next(&mut self, now: Ns, rqs: &Requests) -> Option<u32> {
        match self {
            Self::Fifo(fifo) => fifo.pop_front(),
            Self::Deadline(deadline) => deadline.next(now, rqs),
            Self::Bfq(bfq) => bfq.next(now, rqs),
        }
    }

    /// The drive answered a request that came from here.
    pub(super) fn done(&mut self, now: Ns, rq: &Rq) {
        if let Self::Bfq(bfq) = self {
            bfq.done(now, rq);
        }
    }

    /// When it has something to give, whatever else happens.
    pub(super) fn next_tick(&self) -> Option<Ns> {
        match self {
            Self::Bfq(bfq) => bfq.next_tick(),
            _ => None,
        }
    }

    /// The clock went on.
    pub(super) fn tick(&mut self, now: Ns, rqs: &Requests) {
        if let Self::Bfq(bfq) = self {
            bfq.tick(now, rqs);
        }
    }

    /// Adds who waits and what the next choice depends on.
    pub(super) fn digest(&self, rqs: &Requests, digest: &mut Digest) {
        let mut who = |waiting: &mut dyn Iterator<Item = u32>| {
            waiting.for_each(|rq| digest.add(u64::from(rqs[rq].id.0)));
        };
        match self {
            Self::Fifo(fifo) => who(&mut fifo.iter().copied()),
            Self::Deadline(deadline) => {
                who(&mut deadline.waiting());
                deadline.state().into_iter().for_each(|value| digest.add(value));
            }
            Self::Bfq(bfq) => {
                who(&mut bfq.waiting());
                bfq.state().for_each(|value| digest.add(value));
            }
        }
    }
}
