//! Budgets: what keeps the log, the young maps and the engines' debts bounded, and what happens on a
//! full disk.
//!
//! Invariant: whoever would grow the store beyond a budget does what brings it back, or waits for who
//! does. The reserve is for who shrinks it.

use std::sync::atomic::Ordering;

use ondisk_log::Step;

use super::Store;
use super::commit::Purpose;
use crate::batch::Touched;
use crate::checkpoint::STEP_BYTES;
use crate::engine::Reclaim;
use crate::error::Error;

/// An engine that is behind makes its writers do reclaiming from this pressure on.
pub(crate) const SLOWED: u32 = 500;
/// At this pressure they wait for it.
const STOPPED: u32 = 1000;
/// Reclaiming that is owed by writers is done in pieces of at least so many bytes.
const RECLAIM_PIECE: u64 = 256 << 10;

impl Store {
    /// Whether the young maps have reached their budget.
    pub(crate) fn is_full(&self) -> bool {
        self.counters.young_bytes.load(Ordering::Relaxed) >= self.settings.young_budget
    }

    /// Does what gives space back. Where the disk is full the reserve is given up for it, once.
    /// The caller holds no lock.
    pub(super) fn with_reserve<T>(&self, work: impl Fn() -> Result<T, Error>) -> Result<T, Error> {
        match work() {
            Err(error) if error.is_full() => {
                self.make_space();
                work()
            }
            result => result,
        }
    }

    /// The disk is full: gives the reserve up, and what nothing needs any more. What fails is met
    /// again by who wanted the space.
    pub(super) fn make_space(&self) {
        self.reserve.give_up();
        let reclaim = || {
            while matches!(self.reclaim_step(Reclaim::Due), Ok(Step::Working)) {}
        };
        reclaim();
        let target = self.log.last();
        if self.checkpoint_through(target, || self.log.last()).is_ok() {
            reclaim();
        }
    }

    /// Keeps both generations inside their budgets: near one, this caller does a piece of the
    /// work; at one, it does all that is needed, or waits for who is doing it.
    pub(crate) fn make_room(
        &self,
        touched: &Touched,
        cost: u64,
        purpose: Purpose,
    ) -> Result<(), Error> {
        self.pay(touched, cost)?;
        if !self.above(3, 4) {
            return Ok(());
        }
        if !self.above(1, 1) {
            // Commits slow down before they have to wait. Whoever is at it already is enough.
            if let Some(mut checkpointer) = self.try_checkpointer() {
                // A failure is no reason to refuse a commit for which there is room.
                checkpointer.step(self, || self.log.last()).ok();
            }
            return Ok(());
        }
        self.counters.stalls.fetch_add(1, Ordering::Relaxed);
        match purpose {
            Purpose::Grow => self.below_budget(),
            Purpose::Shrink => self.with_reserve(|| self.below_budget()),
        }
    }

    /// Checkpoints until both generations are inside their budgets.
    fn below_budget(&self) -> Result<(), Error> {
        loop {
            let mut checkpointer = self.checkpointer();
            self.look_at_log();
            if !self.above(1, 1) {
                return Ok(());
            }
            if checkpointer.step(self, || self.log.last())? == Step::Idle {
                return Ok(()); // nothing more can be taken over
            }
        }
    }

    /// Where an engine's reclaiming is behind, who writes to it does a share of it: the more, the
    /// further it is behind.
    fn pay(&self, touched: &Touched, cost: u64) -> Result<(), Error> {
        let pressure = touched.iter().filter_map(pressure_of(self)).max().unwrap_or(0);
        if pressure < SLOWED {
            return Ok(());
        }
        if pressure < STOPPED {
            let share = cost * u64::from(pressure - SLOWED) / 64;
            let owed = self.counters.owed.fetch_add(share, Ordering::Relaxed) + share;
            if owed >= RECLAIM_PIECE {
                self.counters.owed.store(0, Ordering::Relaxed);
                let bytes = usize::try_from(owed).unwrap_or(STEP_BYTES).min(STEP_BYTES);
                // A failure is no reason to refuse a commit for which there is room.
                self.reclaimer.step(self, Reclaim::Due, bytes).ok();
            }
            return Ok(());
        }
        self.counters.stalls.fetch_add(1, Ordering::Relaxed);
        let behind = || touched.iter().filter_map(pressure_of(self)).max().unwrap_or(0) >= STOPPED;
        while behind() {
            if self.reclaim_step(Reclaim::Due)? == Step::Idle {
                if !self.reclaimer.is_busy() {
                    break; // nothing more can be won
                }
                std::thread::yield_now(); // to who is stepping the rest
            }
        }
        Ok(())
    }

    /// How far the engine is behind that is furthest.
    pub(crate) fn pressure(&self) -> u32 {
        let spaces = self.keyspaces.now();
        spaces.iter().map(|space| space.engine.pressure()).max().unwrap_or(0)
    }

    /// Whether either generation fills more than a share of its budget.
    pub(super) fn above(&self, share: u64, of: u64) -> bool {
        let full = |used: u64, budget: u64| used >= budget / of * share;
        full(self.counters.young_bytes.load(Ordering::Relaxed), self.settings.young_budget)
            || full(self.counters.log_bytes.load(Ordering::Relaxed), self.settings.log_budget)
    }

    pub(super) fn look_at_log(&self) {
        self.counters.since.store(0, Ordering::Relaxed);
        self.counters.log_bytes.store(self.log.stats().bytes, Ordering::Relaxed);
    }
}

fn pressure_of(store: &Store) -> impl Fn(u32) -> Option<u32> {
    |id| store.keyspaces.with(id, |space| space.engine.pressure())
}
