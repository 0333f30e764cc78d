//! The driver's queue: which commands are with the drive, and in which slots.
//!
//! Invariant: a slot holds one command until the drive has answered it. What goes past the
//! scheduler, flushes and the data of requests that flush, goes first.

use std::collections::VecDeque;

use crate::machine::ids::RqId;

/// The driver's queue.
#[derive(Clone, Debug)]
pub(super) struct Driver {
    slots: Vec<Option<(RqId, u32)>>,
    free: usize,
    /// Requests that go past the scheduler and wait for a slot.
    pub(super) urgent: VecDeque<u32>,
}

impl Driver {
    /// So many slots.
    pub(super) fn new(depth: u16) -> Self {
        let depth = usize::from(depth.max(1));
        Self { slots: vec![None; depth], free: depth, urgent: VecDeque::new() }
    }

    /// Whether a command could be given now.
    pub(super) fn has_slot(&self) -> bool {
        self.free > 0
    }

    /// Takes the lowest free slot.
    pub(super) fn take(&mut self, id: RqId, rq: u32) -> Option<u16> {
        let at = self.slots.iter().position(Option::is_none)?;
        self.slots[at] = Some((id, rq));
        self.free -= 1;
        u16::try_from(at).ok()
    }

    /// The drive answered: which request that was.
    pub(super) fn done(&mut self, id: RqId) -> Option<u32> {
        let slot = self.slots.iter_mut().find(|slot| slot.is_some_and(|(own, _)| own == id))?;
        let (_, rq) = slot.take()?;
        self.free += 1;
        Some(rq)
    }

    /// The commands with the drive, by slot.
    pub(super) fn slots(&self) -> &[Option<(RqId, u32)>] {
        &self.slots
    }
}
