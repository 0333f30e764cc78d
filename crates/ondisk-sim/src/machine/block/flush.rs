//! The flush machine: which requests share a flush, and when it starts.
//!
//! Invariant: whoever waits for a flush is answered by one that started after it began to wait.
//! One flush is on its way at a time (C1); it is held while data of requests that flush are on
//! their way (C2), but not longer than five seconds (C3). As `block/blk-flush.c` has it.
//!
//! Knows nothing of what the requests carry. A flush orders nothing: a write that is on its way
//! when it starts may be covered by it or not.

use crate::machine::ids::Ns;

/// How long data on their way hold a flush.
const HELD_AT_MOST: Ns = Ns(5 * Ns::S.0);

/// Who waits for a flush.
#[derive(Clone, Debug, Default)]
pub(super) struct Flush {
    /// Two lists: who waits for the flush that is on its way, and who for the next.
    lists: [Vec<u32>; 2],
    pending: usize,
    running: usize,
    /// Since when somebody waits for the next.
    since: Ns,
    /// How many requests that flush have their data on their way.
    pub(super) data: u32,
}

impl Flush {
    /// A request waits for the next flush.
    pub(super) fn wait(&mut self, now: Ns, rq: u32) {
        let list = &mut self.lists[self.pending];
        if list.is_empty() {
            self.since = now;
        }
        list.push(rq);
    }

    /// A request is answered by the flush that is on its way: the mistake that C1 is there for.
    pub(super) fn wait_for_running(&mut self, now: Ns, rq: u32) {
        match self.is_running() {
            true => self.lists[self.running].push(rq),
            false => self.wait(now, rq),
        }
    }

    /// Whether a flush is on its way.
    pub(super) fn is_running(&self) -> bool {
        self.pending != self.running
    }

    /// If a flush may start now, it does: all who wait by now share it, the first of whom this
    /// answers.
    pub(super) fn start(&mut self, now: Ns) -> Option<u32> {
        let first = *self.lists[self.pending].first()?;
        let held = self.data > 0 && now < self.since + HELD_AT_MOST;
        if self.is_running() || held {
            return None;
        }
        self.pending ^= 1;
        Some(first)
    }

    /// Those who share the flush that is on its way.
    pub(super) fn sharers(&self) -> &[u32] {
        &self.lists[self.running]
    }

    /// It is done: who shared it, as a list to be given back by [`put_back`](Self::put_back).
    pub(super) fn done(&mut self) -> Vec<u32> {
        let list = std::mem::take(&mut self.lists[self.running]);
        self.running ^= 1;
        list
    }

    /// Gives the list of [`done`](Self::done) back, to be used again.
    pub(super) fn put_back(&mut self, mut list: Vec<u32>) {
        list.clear();
        if let Some(taken) = self.lists.iter_mut().find(|list| list.capacity() == 0) {
            *taken = list;
        }
    }

    /// Who waits, first for the flush on its way and then for the next.
    pub(super) fn waiting(&self) -> impl Iterator<Item = u32> {
        let [running, pending] = [&self.lists[self.running], &self.lists[self.running ^ 1]];
        running.iter().chain(pending).copied()
    }
}
