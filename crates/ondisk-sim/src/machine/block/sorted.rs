//! Requests by their first block.
//!
//! Invariant: ascending, those with the same first block in the order in which they came. There
//! are never more than the queue has places, so a sorted list is quick enough and allocates
//! nothing.

use super::request::{Requests, Run};
use crate::machine::event::Join;

/// Requests by their first block.
#[derive(Clone, Debug, Default)]
pub(super) struct Sorted(Vec<(u32, u32)>);

impl Sorted {
    /// Adds a request.
    pub(super) fn insert(&mut self, lba: u32, rq: u32) {
        let at = self.0.partition_point(|(other, _)| *other <= lba);
        self.0.insert(at, (lba, rq));
    }

    /// Takes a request out; says whether it was there.
    pub(super) fn remove(&mut self, rq: u32) -> bool {
        let at = self.0.iter().position(|(_, other)| *other == rq);
        at.is_some_and(|at| {
            self.0.remove(at);
            true
        })
    }

    /// The first request at this block or above.
    pub(super) fn at_or_above(&self, lba: u32) -> Option<u32> {
        let at = self.0.partition_point(|(other, _)| *other < lba);
        self.0.get(at).map(|(_, rq)| *rq)
    }

    /// The last request below this block.
    pub(super) fn below(&self, lba: u32) -> Option<u32> {
        let at = self.0.partition_point(|(other, _)| *other < lba);
        self.0[..at].last().map(|(_, rq)| *rq)
    }

    /// The lowest request.
    pub(super) fn first(&self) -> Option<u32> {
        self.0.first().map(|(_, rq)| *rq)
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All, ascending.
    pub(super) fn iter(&self) -> impl Iterator<Item = u32> {
        self.0.iter().map(|(_, rq)| *rq)
    }

    /// Which of them a run could join, and how: behind one rather than before one.
    pub(super) fn fits(&self, run: &Run, rqs: &Requests, largest: u32) -> Option<(u32, Join)> {
        let mut front = None;
        for rq in self.iter() {
            match rqs[rq].fits(run, largest) {
                Some(Join::Back) => return Some((rq, Join::Back)),
                Some(Join::Front) if front.is_none() => front = Some((rq, Join::Front)),
                _ => {}
            }
        }
        front
    }
}
