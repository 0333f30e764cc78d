//! The drive's cache: blocks that were taken and are not being programmed yet.
//!
//! Invariant: at most one version of a block is in here, the newest that the drive took; blocks
//! leave in the order in which they came, those that somebody waits for (FUA) first.
//!
//! Knows nothing of flash.

use std::collections::VecDeque;

use super::super::ids::{EventId, Lba, OpId};
use super::super::message::Cargo;
use super::table::Table;

/// A set of commands, by slot of the drive.
pub(super) type Waiters = u64;

const NONE: u32 = u32::MAX;

/// A block in the cache.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cached {
    pub(super) lba: Lba,
    pub(super) cargo: Cargo,
    pub(super) op: OpId,
    /// The event that brought it here.
    pub(super) cause: EventId,
    /// Who waits until it is programmed.
    pub(super) waiters: Waiters,
    /// Whether it goes before the others.
    pub(super) urgent: bool,
    /// Which block of all that ever came in.
    ticket: u64,
}

impl Cached {
    pub(super) const fn new(lba: Lba, cargo: Cargo, op: OpId, cause: EventId) -> Self {
        Self { lba, cargo, op, cause, waiters: 0, urgent: false, ticket: 0 }
    }
}

/// The drive's cache.
#[derive(Clone, Debug)]
pub(super) struct Cache {
    slots: Vec<Cached>,
    free: Vec<u32>,
    slot_of: Table<u32, 512>,
    /// Slots and tickets; those that no longer agree are skipped.
    urgent: VecDeque<(u32, u64)>,
    queue: VecDeque<(u32, u64)>,
    tickets: u64,
    len: u32,
}

impl Cache {
    /// A cache for blocks below this.
    pub(super) fn new(blocks: usize) -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            slot_of: Table::new(blocks, &NONE),
            urgent: VecDeque::new(),
            queue: VecDeque::new(),
            tickets: 0,
            len: 0,
        }
    }

    /// How many blocks are in it.
    pub(super) const fn len(&self) -> u32 {
        self.len
    }

    fn slot(&self, lba: Lba) -> Option<usize> {
        self.slot_of.get(lba.index()).filter(|slot| **slot != NONE).map(|slot| *slot as usize)
    }

    /// The version of a block that is in it.
    pub(super) fn get(&self, lba: Lba) -> Option<&Cached> {
        self.slots.get(self.slot(lba)?)
    }

    /// Takes a block. It replaces an older version, with all who waited for that.
    pub(super) fn put(&mut self, block: Cached) {
        if let Some(slot) = self.slot(block.lba) {
            let old = &mut self.slots[slot];
            let was_urgent = old.urgent;
            let waiters = old.waiters | block.waiters;
            let urgent = was_urgent || block.urgent;
            *old = Cached { waiters, urgent, ticket: old.ticket, ..block };
            if urgent && !was_urgent {
                self.urgent.push_back((
                    self.slot_of.get(block.lba.index()).map_or(NONE, |s| *s),
                    old.ticket,
                ));
            }
            return;
        }
        self.tickets += 1;
        let block = Cached { ticket: self.tickets, ..block };
        let slot = match self.free.pop() {
            Some(slot) => {
                self.slots[slot as usize] = block;
                slot
            }
            None => {
                self.slots.push(block);
                u32::try_from(self.slots.len() - 1).unwrap_or(NONE)
            }
        };
        self.slot_of.set(block.lba.index(), slot);
        let queue = if block.urgent { &mut self.urgent } else { &mut self.queue };
        queue.push_back((slot, block.ticket));
        self.len += 1;
    }

    /// Whether this entry of a queue still stands for a block.
    fn stands(&self, (slot, ticket): (u32, u64), urgent: bool) -> Option<&Cached> {
        let block = self.slots.get(slot as usize)?;
        (block.ticket == ticket && block.urgent == urgent).then_some(block)
    }

    /// Takes out the block that is next.
    pub(super) fn pop(&mut self) -> Option<Cached> {
        let (slot, block) = loop {
            let (entry, urgent) = match self.urgent.pop_front() {
                Some(entry) => (entry, true),
                None => (self.queue.pop_front()?, false),
            };
            if let Some(block) = self.stands(entry, urgent) {
                break (entry.0, *block);
            }
        };
        self.slots[slot as usize].ticket = 0;
        self.slot_of.set(block.lba.index(), NONE);
        self.free.push(slot);
        self.len -= 1;
        Some(block)
    }

    /// All blocks, in the order in which they would leave.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Cached> {
        let urgent = self.urgent.iter().filter_map(|entry| self.stands(*entry, true));
        urgent.chain(self.queue.iter().filter_map(|entry| self.stands(*entry, false)))
    }

    /// Somebody waits for all blocks that are in it now, and so is why they leave; how many
    /// that are.
    pub(super) fn wait_for_all(&mut self, waiter: Waiters, why: EventId) -> u32 {
        if self.len > 0 {
            for block in self.slots.iter_mut().filter(|block| block.ticket != 0) {
                block.waiters |= waiter;
                block.cause = why;
            }
        }
        self.len
    }
}
