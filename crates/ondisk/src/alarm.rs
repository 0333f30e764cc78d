//! How committers wake the worker: cheaply, and only when it sleeps.
//!
//! Invariant: a commit that is there before the worker looks for work is seen by it, and one that
//! comes after the worker lay down wakes it. A commit while the worker is awake costs a load.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use ondisk_log::SyncMode;

/// What committers and the worker share.
#[derive(Debug)]
pub(crate) struct Alarm {
    state: Mutex<State>,
    rung: Condvar,
    /// The worker sleeps until something is committed.
    asleep: AtomicBool,
    /// The shortest delay that a commit asked for, in nanoseconds.
    delay: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    rung: bool,
    stop: bool,
}

/// Why the worker woke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Woken {
    Rung,
    TimedOut,
    Stopped,
}

impl Default for Alarm {
    fn default() -> Self {
        let (state, rung) = (Mutex::new(State::default()), Condvar::new());
        Self { state, rung, asleep: AtomicBool::new(false), delay: AtomicU64::new(u64::MAX) }
    }
}

impl Alarm {
    /// Something was committed: wakes the worker if it lay down for want of commits.
    pub(crate) fn committed(&self, mode: SyncMode) {
        if let SyncMode::Batch(batch) = mode
            && let Some(delay) = batch.delay
        {
            let nanos = u64::try_from(delay.as_nanos()).unwrap_or(u64::MAX);
            if nanos < self.delay.load(Ordering::Relaxed) {
                self.delay.fetch_min(nanos, Ordering::Relaxed);
            }
        }
        // The commit first, then the look: the worker does both the other way round.
        fence(Ordering::SeqCst);
        if self.asleep.load(Ordering::Relaxed) && self.asleep.swap(false, Ordering::Relaxed) {
            self.ring();
        }
    }

    /// The shortest delay that a commit asked for, if one did.
    pub(crate) fn delay(&self) -> Option<Duration> {
        let nanos = self.delay.load(Ordering::Relaxed);
        (nanos != u64::MAX).then(|| Duration::from_nanos(nanos))
    }

    /// There is work: wakes the worker, now or when it next lies down.
    pub(crate) fn ring(&self) {
        self.change(|state| state.rung = true);
    }

    /// Ends the worker.
    pub(crate) fn stop(&self) {
        self.change(|state| state.stop = true);
    }

    /// Sleeps until the next commit, unless `already` finds one that came since the worker looked
    /// for work.
    pub(crate) fn sleep(&self, already: impl FnOnce() -> bool) -> Woken {
        self.asleep.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        if already() {
            self.asleep.store(false, Ordering::Relaxed);
            return Woken::Rung;
        }
        let woken = self.nap(None);
        self.asleep.store(false, Ordering::Relaxed);
        woken
    }

    /// Sleeps until it is rung or the time is up.
    pub(crate) fn nap(&self, time: Option<Duration>) -> Woken {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let quiet = |state: &mut State| !state.rung && !state.stop;
        let mut state = match time {
            None => self.rung.wait_while(state, quiet).unwrap_or_else(PoisonError::into_inner),
            Some(time) => {
                let waited = self.rung.wait_timeout_while(state, time, quiet);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
        };
        if state.stop {
            return Woken::Stopped;
        }
        if std::mem::take(&mut state.rung) { Woken::Rung } else { Woken::TimedOut }
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
        self.rung.notify_one();
    }
}
