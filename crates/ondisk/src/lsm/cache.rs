//! The blocks of sorted tables that are kept in memory: one budget for all tables of a store.
//!
//! A block is found through its table, by its number, in an array of slots: a hit takes no lock
//! and computes no hash. Only what is read anew goes through the one queue, which is a clock: a
//! block that was asked for since the hand passed is passed once more.
//!
//! Invariant: the blocks in the slots of living tables weigh what `used` says, and that is at
//! most the budget, beside the filters and indexes of the tables in use, which count too but of
//! which a quarter of the budget is kept free for blocks. Losing a block costs time alone.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use arc_swap::ArcSwapOption;

use crate::lsm::table::block::Block;

/// Of the budget, what filters and indexes leave for blocks in any case: one part of so many.
const BLOCKS_SHARE: u64 = 4;

/// The blocks in memory, of all tables of a store.
#[derive(Debug)]
pub(crate) struct BlockCache {
    budget: u64,
    /// What the blocks in all slots weigh.
    used: AtomicU64,
    /// What filters and indexes weigh.
    pinned: AtomicU64,
    queue: Mutex<VecDeque<Ticket>>,
    /// About how many tickets are of tables that are gone.
    dead: AtomicUsize,
    tallies: Mutex<BTreeMap<u32, Arc<Tally>>>,
}

/// Where the hand of the clock finds a block.
#[derive(Debug)]
struct Ticket {
    slots: Weak<Slots>,
    block: u32,
}

/// The blocks of one table that are in memory.
#[derive(Debug)]
pub(crate) struct Slots {
    blocks: Box<[ArcSwapOption<Block>]>,
    /// What they weigh.
    used: AtomicU64,
    /// What the table's filter and index weigh.
    pinned: u64,
    cache: Arc<BlockCache>,
}

impl BlockCache {
    pub(crate) fn new(budget: u64) -> Self {
        Self {
            budget,
            used: AtomicU64::new(0),
            pinned: AtomicU64::new(0),
            queue: Mutex::default(),
            dead: AtomicUsize::new(0),
            tallies: Mutex::default(),
        }
    }

    /// What the blocks in memory weigh, and the filters and indexes.
    #[cfg(test)]
    pub(crate) fn weight(&self) -> (u64, u64) {
        (self.used.load(Relaxed), self.pinned.load(Relaxed))
    }

    /// Whether so many bytes more fit without anything being let go.
    pub(crate) fn has_room(&self, bytes: usize) -> bool {
        self.used.load(Relaxed) + bytes as u64 <= self.room()
    }

    /// The counters of a keyspace.
    pub(crate) fn tally(&self, keyspace: u32) -> Arc<Tally> {
        let mut tallies = self.tallies.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(tallies.entry(keyspace).or_default())
    }

    /// How many bytes of blocks there may be.
    fn room(&self) -> u64 {
        let left = self.budget.saturating_sub(self.pinned.load(Relaxed));
        left.max(self.budget / BLOCKS_SHARE)
    }

    /// Lets go of blocks that nobody asked for lately, until the rest fit.
    fn make_room(&self, mut queue: MutexGuard<'_, VecDeque<Ticket>>) {
        let room = self.room();
        // Twice around: the first may find that all were asked for.
        let mut left = 2 * queue.len();
        while left > 0 && self.used.load(Relaxed) > room {
            left -= 1;
            let Some(ticket) = queue.pop_front() else { return };
            // Where the table is gone its blocks went with it.
            let Some(slots) = ticket.slots.upgrade() else { continue };
            let Some(slot) = slots.blocks.get(ticket.block as usize) else { continue };
            let kept = slot.load().as_ref().is_some_and(|block| block.forget_touch());
            if kept {
                queue.push_back(ticket);
            } else if let Some(block) = slot.swap(None) {
                slots.used.fetch_sub(block.weight() as u64, Relaxed);
                self.used.fetch_sub(block.weight() as u64, Relaxed);
            }
        }
    }
}

impl Slots {
    /// Slots for so many blocks, beside a filter and an index that weigh so many bytes.
    pub(crate) fn new(cache: Arc<BlockCache>, blocks: usize, pinned: usize) -> Arc<Self> {
        let blocks: Box<[_]> = (0..blocks).map(|_| ArcSwapOption::empty()).collect();
        let pinned = (pinned + size_of_val(&*blocks)) as u64;
        cache.pinned.fetch_add(pinned, Relaxed);
        Arc::new(Self { blocks, used: AtomicU64::new(0), pinned, cache })
    }

    /// A block, if it is in memory.
    #[inline]
    pub(crate) fn load(&self, block: usize) -> Option<arc_swap::Guard<Option<Arc<Block>>>> {
        let found = self.blocks.get(block)?.load();
        found.as_ref()?.touch();
        Some(found)
    }

    /// Keeps a block. One that was put there meanwhile stays.
    pub(crate) fn insert(self: &Arc<Self>, number: usize, block: &Arc<Block>) {
        let Some(slot) = self.blocks.get(number) else { return };
        let Ok(number) = u32::try_from(number) else { return };
        let weight = block.weight() as u64;
        let mut queue = self.cache.queue.lock().unwrap_or_else(PoisonError::into_inner);
        if slot.load().is_some() {
            return;
        }
        slot.store(Some(Arc::clone(block)));
        self.used.fetch_add(weight, Relaxed);
        self.cache.used.fetch_add(weight, Relaxed);
        queue.push_back(Ticket { slots: Arc::downgrade(self), block: number });
        if self.cache.dead.load(Relaxed) > queue.len() / 2 {
            // Else a cache with room would keep the tickets of all tables that ever were.
            self.cache.dead.store(0, Relaxed);
            queue.retain(|ticket| ticket.slots.strong_count() > 0);
        }
        self.cache.make_room(queue);
    }

    /// Whether so many bytes more fit without anything being let go.
    pub(crate) fn has_room(&self, bytes: usize) -> bool {
        self.cache.has_room(bytes)
    }
}

impl Drop for Slots {
    fn drop(&mut self) {
        let filled = self.blocks.iter().filter(|slot| slot.load().is_some()).count();
        self.cache.dead.fetch_add(filled, Relaxed);
        self.cache.used.fetch_sub(*self.used.get_mut(), Relaxed);
        self.cache.pinned.fetch_sub(self.pinned, Relaxed);
    }
}

/// What the tables of a keyspace were asked, counted where threads do not meet.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    lanes: [Lane; LANES],
}

const LANES: usize = 8;

/// A line of the processor's caches for itself.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Lane {
    hits: AtomicU64,
    misses: AtomicU64,
    read: AtomicU64,
}

impl Tally {
    /// A block was in memory.
    #[inline]
    pub(crate) fn hit(&self) {
        self.lane().hits.fetch_add(1, Relaxed);
    }

    /// Blocks were read from the file, so many bytes in one piece.
    pub(crate) fn miss(&self, bytes: u64) {
        let lane = self.lane();
        lane.misses.fetch_add(1, Relaxed);
        lane.read.fetch_add(bytes, Relaxed);
    }

    /// Blocks found in memory, reads of files, and the bytes of these.
    pub(crate) fn sums(&self) -> (u64, u64, u64) {
        let sum = |field: fn(&Lane) -> &AtomicU64| {
            self.lanes.iter().map(|lane| field(lane).load(Relaxed)).sum()
        };
        (sum(|lane| &lane.hits), sum(|lane| &lane.misses), sum(|lane| &lane.read))
    }

    #[inline]
    fn lane(&self) -> &Lane {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        thread_local! {
            static LANE: usize = NEXT.fetch_add(1, Relaxed) % LANES;
        }
        &self.lanes[LANE.with(|lane| *lane)]
    }
}

#[cfg(test)]
mod tests;
