//! The memory that engines may use for what stands on disk: one budget for the blocks of sorted
//! tables and the pages of trees together, whatever the number of keyspaces.
//!
//! ```text
//! shelf: the blocks of a table, the pages of a tree     a hit: one load, no lock, no hash
//! queue: one ticket for each entry on any shelf         a miss: one lock
//! ```
//!
//! The rule is one clock for all. Whoever keeps an entry and finds the budget passed takes from the
//! front of the queue, whatever kind stands there: an entry that was asked for since the hand came
//! by goes to the back, any other goes. No kind has a share, so one alone may have it all; and none
//! can hold what it does not use, since an entry must be asked for in each round to stay.
//!
//! Invariant: the entries on the shelves weigh what `used` says, and each has one ticket. They weigh
//! no more than the budget, but for the one entry that is being kept, and beside the filters and
//! indexes of the tables in use, which count too but leave a quarter of the budget to entries. What
//! is kept is a copy of verified bytes; losing it costs time alone.

use std::collections::VecDeque;
use std::fmt::Debug;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crate::handles::Handles;
use crate::lsm::cache::Tallies;

/// What engines share that read an open store.
#[derive(Debug)]
pub(crate) struct Caches {
    /// Blocks of sorted tables and pages of trees.
    pub(crate) memory: Arc<Cache>,
    /// What sorted tables were asked.
    pub(crate) tallies: Tallies,
    /// Files that are never written again.
    pub(crate) handles: Arc<Handles>,
}

/// How many files are open at once: a process may have 1024 descriptors by default.
const MOST_HANDLES: usize = 512;

impl Caches {
    /// Caches that keep so many bytes.
    pub(crate) fn new(bytes: u64) -> Self {
        let handles = Arc::new(Handles::new(MOST_HANDLES));
        Self { memory: Arc::new(Cache::new(bytes)), tallies: Tallies::default(), handles }
    }
}

/// One part of so many of the budget is left to entries whatever filters and indexes weigh, and an
/// entry that weighs more is not kept: it is not worth all others.
const PART: u64 = 4;

/// The entries in memory, of all shelves of a store.
#[derive(Debug)]
pub(crate) struct Cache {
    budget: u64,
    /// What the entries on all shelves weigh, by kind.
    used: [AtomicU64; 2],
    /// What filters and indexes weigh.
    pinned: AtomicU64,
    /// Held by whoever changes what stands on a shelf.
    queue: Mutex<VecDeque<Ticket>>,
    /// About how many tickets are of shelves that are gone.
    dead: AtomicUsize,
}

/// What stands on a shelf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Blocks of a sorted table.
    Blocks = 0,
    /// Pages of a tree.
    Pages = 1,
}

/// Where the hand of the clock finds an entry.
#[derive(Debug)]
struct Ticket {
    shelf: Weak<dyn Shelf>,
    number: u32,
}

/// Entries by number, found without the cache's doing.
pub(crate) trait Shelf: Send + Sync + Debug {
    /// What the shelf has of the budget.
    fn share(&self) -> &Share;

    /// Whether somebody asked for an entry since this was last asked.
    fn was_asked_for(&self, number: u32) -> bool;

    /// Lets go of an entry; what it weighed.
    fn take(&self, number: u32) -> u64;
}

/// What came of putting an entry on its shelf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Put {
    /// The place was free.
    Anew,
    /// The same entry stood there already.
    Present,
    /// Another stood there, and weighed so much.
    Instead(u64),
}

/// What one shelf has of the budget; given back when it goes.
#[derive(Debug)]
pub(crate) struct Share {
    cache: Arc<Cache>,
    kind: Kind,
    used: AtomicU64,
    /// How many entries stand on the shelf.
    entries: AtomicUsize,
    /// What stands beside them for as long as the shelf does.
    pinned: u64,
}

impl Cache {
    pub(crate) fn new(budget: u64) -> Self {
        Self {
            budget,
            used: [const { AtomicU64::new(0) }; 2],
            pinned: AtomicU64::new(0),
            queue: Mutex::default(),
            dead: AtomicUsize::new(0),
        }
    }

    /// What all entries weigh.
    fn used(&self) -> u64 {
        self.used.iter().map(|kind| kind.load(Relaxed)).sum()
    }

    /// How many bytes of entries there may be.
    fn room(&self) -> u64 {
        let left = self.budget.saturating_sub(self.pinned.load(Relaxed));
        left.max(self.budget / PART)
    }

    fn queue(&self) -> MutexGuard<'_, VecDeque<Ticket>> {
        // A panic while it was held lost a ticket at most: then an entry stays.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The hand: lets go of entries that nobody asked for lately, until the rest fit.
    fn make_room(&self, queue: &mut VecDeque<Ticket>) {
        let room = self.room();
        // Twice around: readers may ask for entries as fast as the hand goes.
        let mut spared = 2 * queue.len();
        while self.used() > room {
            let Some(ticket) = queue.pop_front() else { return };
            // Where the shelf is gone its entries went with it.
            let Some(shelf) = ticket.shelf.upgrade() else { continue };
            if shelf.was_asked_for(ticket.number) && spared > 0 {
                spared -= 1;
                queue.push_back(ticket);
            } else {
                shelf.share().lose(shelf.take(ticket.number));
            }
        }
    }

    /// Forgets shelves that are gone: else a cache with room would keep the tickets of all that
    /// ever were.
    fn forget_dead(&self, queue: &mut VecDeque<Ticket>) {
        if self.dead.load(Relaxed) > queue.len() / 2 {
            self.dead.store(0, Relaxed);
            queue.retain(|ticket| ticket.shelf.strong_count() > 0);
        }
    }
}

/// Keeps an entry of a weight, and lets go of others where that passes the budget. `put` stands it
/// on its shelf, and is not called where the entry is too heavy.
pub(crate) fn keep<S: Shelf + 'static>(
    shelf: &Arc<S>,
    number: u32,
    weight: u64,
    put: impl FnOnce() -> Put,
) {
    let share = shelf.share();
    let cache = &share.cache;
    if weight > cache.budget / PART {
        return;
    }
    let mut queue = cache.queue();
    match put() {
        Put::Present => return,
        Put::Anew => {
            let weak = Arc::downgrade(shelf);
            queue.push_back(Ticket { shelf: weak, number });
        }
        Put::Instead(weight) => share.lose(weight),
    }
    share.gain(weight);
    cache.forget_dead(&mut queue);
    cache.make_room(&mut queue);
}

impl Share {
    /// Nothing yet, beside what weighs `pinned` for as long as the shelf stands.
    pub(crate) fn new(cache: &Arc<Cache>, kind: Kind, pinned: u64) -> Self {
        if pinned > 0 {
            let mut queue = cache.queue();
            cache.pinned.fetch_add(pinned, Relaxed);
            cache.make_room(&mut queue);
        }
        let (used, entries) = (AtomicU64::new(0), AtomicUsize::new(0));
        Self { cache: Arc::clone(cache), kind, used, entries, pinned }
    }

    /// Whether a long walk should keep an entry of so many bytes: where nothing has to go for it,
    /// or where its kind has less than half. So a walk pushes out its own kind never, and the other
    /// no further.
    pub(crate) fn has_room(&self, bytes: usize) -> bool {
        let (bytes, room) = (bytes as u64, self.cache.room());
        let own = self.cache.used[self.kind as usize].load(Relaxed);
        self.cache.used() + bytes <= room || own + bytes <= room / 2
    }

    fn gain(&self, weight: u64) {
        self.entries.fetch_add(1, Relaxed);
        self.used.fetch_add(weight, Relaxed);
        self.cache.used[self.kind as usize].fetch_add(weight, Relaxed);
    }

    fn lose(&self, weight: u64) {
        self.entries.fetch_sub(1, Relaxed);
        self.used.fetch_sub(weight, Relaxed);
        self.cache.used[self.kind as usize].fetch_sub(weight, Relaxed);
    }
}

impl Drop for Share {
    /// Takes no lock: the hand may hold the shelf last.
    fn drop(&mut self) {
        self.cache.dead.fetch_add(*self.entries.get_mut(), Relaxed);
        self.cache.used[self.kind as usize].fetch_sub(*self.used.get_mut(), Relaxed);
        self.cache.pinned.fetch_sub(self.pinned, Relaxed);
    }
}

#[cfg(test)]
impl Cache {
    /// What blocks, pages, and filters and indexes weigh, while no entry is being kept.
    pub(crate) fn weights(&self) -> [u64; 3] {
        let _queue = self.queue();
        let [blocks, pages] = &self.used;
        [blocks, pages, &self.pinned].map(|weight| weight.load(Relaxed))
    }

    /// How many tickets there are.
    pub(crate) fn tickets(&self) -> usize {
        self.queue().len()
    }
}

#[cfg(test)]
mod tests;
