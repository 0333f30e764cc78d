//! The blocks of one sorted table that are kept in memory, and what the tables of a keyspace were
//! asked.
//!
//! Invariant: a block is found through its table, by its number, in an array of slots: a hit takes no
//! lock and computes no hash. What is kept, and for how long, the store's one [`Cache`] decides.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwapOption;

use crate::cache::{Cache, Kind, Put, Share, Shelf, keep};
use crate::lsm::table::block::Block;

/// The blocks of one table that are in memory.
#[derive(Debug)]
pub(crate) struct Slots {
    blocks: Box<[ArcSwapOption<Block>]>,
    /// The table's filter and index among it.
    share: Share,
}

impl Slots {
    /// Slots for so many blocks, beside a filter and an index that weigh so many bytes.
    pub(crate) fn new(cache: &Arc<Cache>, blocks: usize, pinned: usize) -> Arc<Self> {
        let blocks: Box<[_]> = (0..blocks).map(|_| ArcSwapOption::empty()).collect();
        let pinned = (pinned + size_of_val(&*blocks)) as u64;
        Arc::new(Self { blocks, share: Share::new(cache, Kind::Blocks, pinned) })
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
        keep(self, number, block.weight() as u64, || {
            if slot.load().is_some() {
                return Put::Present;
            }
            slot.store(Some(Arc::clone(block)));
            Put::Anew
        });
    }

    /// Whether a long walk should keep a block of so many bytes.
    pub(crate) fn has_room(&self, bytes: usize) -> bool {
        self.share.has_room(bytes)
    }
}

impl Shelf for Slots {
    fn share(&self) -> &Share {
        &self.share
    }

    fn was_asked_for(&self, number: u32) -> bool {
        let slot = self.blocks.get(number as usize);
        slot.is_some_and(|slot| slot.load().as_ref().is_some_and(|block| block.forget_touch()))
    }

    fn take(&self, number: u32) -> u64 {
        let block = self.blocks.get(number as usize).and_then(|slot| slot.swap(None));
        block.map_or(0, |block| block.weight() as u64)
    }
}

/// The counters of all keyspaces.
#[derive(Debug, Default)]
pub(crate) struct Tallies(Mutex<BTreeMap<u32, Arc<Tally>>>);

impl Tallies {
    /// Those of one.
    pub(crate) fn of(&self, keyspace: u32) -> Arc<Tally> {
        let mut tallies = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(tallies.entry(keyspace).or_default())
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
pub(crate) mod tests;
