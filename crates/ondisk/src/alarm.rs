//! How committers wake the worker: cheaply, and only when it sleeps.
//!
//! Invariant: a commit that is there before the worker looks for work is seen by it, and one that
//! comes after the worker lay down wakes it, if it sleeps lightly enough. Other commits cost a
//! load.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering, fence};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use ondisk_log::SyncMode;

/// What committers and the worker share.
#[derive(Debug)]
pub(crate) struct Alarm {
    state: Mutex<State>,
    rung: Condvar,
    /// A [`Sleep`]: what wakes the worker now.
    sleep: AtomicU8,
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

/// What wakes the worker, beside its alarm and the end of its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Sleep {
    /// Nothing: it is awake, or will be in time.
    Deep = 0,
    /// A commit that asks for a sync after a delay.
    Light = 1,
    /// Any commit.
    Lightest = 2,
}

impl Default for Alarm {
    fn default() -> Self {
        Self {
            state: Mutex::new(State::default()),
            rung: Condvar::new(),
            sleep: AtomicU8::new(Sleep::Deep as u8),
            delay: AtomicU64::new(u64::MAX),
        }
    }
}

impl Alarm {
    /// Something was committed: wakes the worker if it sleeps lightly enough.
    pub(crate) fn committed(&self, mode: SyncMode) {
        let delay = if let SyncMode::Batch(batch) = mode { batch.delay } else { None };
        if let Some(delay) = delay {
            let nanos = u64::try_from(delay.as_nanos()).unwrap_or(u64::MAX);
            if nanos < self.delay.load(Ordering::Relaxed) {
                self.delay.fetch_min(nanos, Ordering::Relaxed);
            }
        }
        let deepest = if delay.is_some() { Sleep::Light } else { Sleep::Lightest };
        // The commit first, then the look: the worker does both the other way round.
        fence(Ordering::SeqCst);
        if self.sleep.load(Ordering::Relaxed) >= deepest as u8
            && self.sleep.swap(Sleep::Deep as u8, Ordering::Relaxed) != Sleep::Deep as u8
        {
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

    /// Sleeps until it is woken, or the time is up if there is one; not at all when `already` finds
    /// that what would wake it has come since the worker looked for work.
    pub(crate) fn sleep(
        &self,
        sleep: Sleep,
        time: Option<Duration>,
        already: impl FnOnce() -> bool,
    ) -> Woken {
        self.sleep.store(sleep as u8, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        let woken = if already() { Woken::Rung } else { self.wait(time) };
        self.sleep.store(Sleep::Deep as u8, Ordering::Relaxed);
        woken
    }

    fn wait(&self, time: Option<Duration>) -> Woken {
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

#[cfg(test)]
mod tests;
