//! The primitives that the log blocks on, under a scheduler of the suite's choosing.
//!
//! Invariant: the same interface as `src/sync.rs`. A [`Lost`] wake-up is a mistake made here, on
//! purpose, to show that the suite would notice one.

use std::cell::Cell;
use std::sync::PoisonError;

pub(crate) use shuttle::sync::MutexGuard as Guard;
pub(crate) use std::sync::Arc;

/// A lock.
#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(shuttle::sync::Mutex<T>);

/// A place to wait in for a change of what a lock guards.
#[derive(Debug, Default)]
pub(crate) struct Condvar(shuttle::sync::Condvar);

/// A wake-up that is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lost {
    /// Nobody is woken where one should be.
    One,
    /// Nobody is woken where all should be.
    All,
    /// One is woken where all should be.
    AllButOne,
}

thread_local! {
    // All tasks of an execution run on the thread that began it.
    static LOST: Cell<Option<Lost>> = const { Cell::new(None) };
}

/// From here on, on this thread, wake-ups of a kind are lost.
pub(crate) fn lose(lost: Option<Lost>) {
    LOST.set(lost);
}

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(shuttle::sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> Guard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Condvar {
    pub(crate) fn new() -> Self {
        Self(shuttle::sync::Condvar::new())
    }

    pub(crate) fn wait<'a, T>(&self, guard: Guard<'a, T>) -> Guard<'a, T> {
        self.0.wait(guard).unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn notify_one(&self) {
        if LOST.get() != Some(Lost::One) {
            self.0.notify_one();
        }
    }

    pub(crate) fn notify_all(&self) {
        match LOST.get() {
            Some(Lost::All) => {}
            Some(Lost::AllButOne) => self.0.notify_one(),
            _ => self.0.notify_all(),
        }
    }
}
