//! Young maps that an engine has taken over, kept for transactions that began before: they ask
//! what was committed since.
//!
//! Invariant: every version of the keyspace above [`forgotten`](Past::forgotten) stands in a young
//! map that is active, frozen or here. Nothing is kept while no transaction needs it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use ondisk_log::Lsn;

use crate::keyspace::{Frozen, Space};
use crate::sabotage::{Sabotage, TransactionRule};
use crate::store::Store;

/// The former young maps of one keyspace, the oldest first.
#[derive(Debug, Default)]
pub(crate) struct Past {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    maps: VecDeque<Frozen>,
    forgotten: Lsn,
}

/// Whether all that is kept fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Room {
    /// It does.
    Enough,
    /// The oldest has to go, needed or not.
    Short,
}

impl Past {
    /// Takes a map that the view lets go in a moment, and counts its bytes.
    pub(crate) fn push(&self, frozen: Frozen, bytes: &AtomicU64) {
        let mut state = self.lock();
        bytes.fetch_add(frozen.young.weight(), Ordering::Relaxed);
        state.maps.push_back(frozen);
    }

    /// Lets go of the oldest map where no transaction as old as `oldest` needs it, or where there
    /// is no room for it. Gives it back: it is not freed under the lock.
    fn pop(&self, bytes: &AtomicU64, oldest: Option<Lsn>, room: Room) -> Option<Frozen> {
        let mut state = self.lock();
        let is_needed = |it: &Frozen| oldest.is_some_and(|oldest| oldest < it.through);
        if room == Room::Enough && state.maps.front().is_none_or(is_needed) {
            return None;
        }
        let frozen = state.maps.pop_front()?;
        state.forgotten = state.forgotten.max(frozen.through);
        bytes.fetch_sub(frozen.young.weight(), Ordering::Relaxed);
        Some(frozen)
    }

    /// Calls `visit` with each map, the newest first, and with the last commit that may stand in
    /// none.
    pub(crate) fn visit<T>(
        &self,
        visit: impl FnOnce(&mut dyn Iterator<Item = &Frozen>, Lsn) -> T,
    ) -> T {
        let state = self.lock();
        visit(&mut state.maps.iter().rev(), state.forgotten)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic while it was held left the list as it was, or shorter by one that was counted.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store {
    /// A transaction has ended: nobody may need the past any more.
    pub(crate) fn trim_past(&self) {
        if self.counters().past_bytes.load(Ordering::Relaxed) > 0 {
            self.keyspaces.now().iter().for_each(|space| self.trim_past_of(space));
        }
    }

    /// Lets go of the former young maps that no transaction needs, and of the oldest ones where
    /// they are too large together.
    pub(crate) fn trim_past_of(&self, space: &Space) {
        let past_bytes = &self.counters().past_bytes;
        let forgets = self.breaks(Sabotage::Transaction(TransactionRule::PastForgotten));
        let oldest = self.snapshots.oldest_transaction().filter(|_| !forgets);
        let room = || match past_bytes.load(Ordering::Relaxed) {
            bytes if bytes <= self.settings.young_budget => Room::Enough,
            _ => Room::Short,
        };
        while space.past.pop(past_bytes, oldest, room()).is_some() {}
    }
}
