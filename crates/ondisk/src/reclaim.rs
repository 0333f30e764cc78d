//! Reclaiming: the merges and compactions of all engines, step by step, several at once.
//!
//! Invariant: a job is stepped by one caller at a time, and by none while the lock is held. A job
//! that fails is dropped, and its engine offers the work again.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::engine::{Job, Progress, Reclaim, Work};
use crate::error::Error;
use crate::keyspace::Space;
use crate::store::Store;

/// How many jobs may be under way at once.
const JOBS: usize = 4;

/// The reclaiming jobs of a store.
#[derive(Debug, Default)]
pub(crate) struct Reclaimer {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Jobs that nobody is stepping now.
    waiting: VecDeque<(Arc<Space>, Box<dyn Job>)>,
    /// How many are being stepped.
    stepped: usize,
    /// Nothing was found to be due, and nothing has changed since.
    at_rest: bool,
}

impl Reclaimer {
    /// Something was installed or let go: there may be work.
    pub(crate) fn wake(&self) {
        self.lock().at_rest = false;
    }

    /// Does one bounded piece of some job, beginning one where there is work; the bytes that it
    /// wrote. `None` where there is nothing to do, or all of it is in other hands.
    pub(crate) fn step(
        &self,
        store: &Store,
        want: Reclaim,
        bytes: usize,
    ) -> Result<Option<u64>, Error> {
        let Some((space, mut job)) = self.take(store, want) else { return Ok(None) };
        let stepped = Stepped(self);
        let durable = || store.durable_for_engines();
        let work = Work { bytes, durable: &durable, pins: &*store.pins };
        let before = job.written();
        let progress = match job.step(&work) {
            Ok(progress) => progress,
            Err(error) => {
                // It gives back what it had taken for itself, and the work is there again.
                drop(job);
                self.wake();
                return Err(error);
            }
        };
        let written = job.written().saturating_sub(before);
        drop(stepped);
        match progress {
            Progress::Working => self.lock().waiting.push_back((space, job)),
            Progress::Finished => {
                drop(job);
                store.refresh(&space);
                self.wake();
            }
        }
        Ok(Some(written))
    }

    /// Whether a job is under way.
    pub(crate) fn is_busy(&self) -> bool {
        let state = self.lock();
        state.stepped > 0 || !state.waiting.is_empty()
    }

    /// Drops the jobs that nobody is stepping.
    pub(crate) fn abandon(&self) {
        let jobs = std::mem::take(&mut self.lock().waiting);
        drop(jobs);
    }

    fn take(&self, store: &Store, want: Reclaim) -> Option<(Arc<Space>, Box<dyn Job>)> {
        let mut state = self.lock();
        state.waiting.retain(|(space, _)| !space.is_dropped());
        if state.waiting.len() + state.stepped < JOBS && (!state.at_rest || want == Reclaim::All) {
            let found = store.keyspaces.now().iter().find_map(|space| {
                Some((Arc::clone(space), Arc::clone(&space.engine).reclaim(want)?))
            });
            match found {
                Some(found) => state.waiting.push_back(found),
                None => state.at_rest = true,
            }
        }
        let taken = state.waiting.pop_front()?;
        state.stepped += 1;
        Some(taken)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic while it was held left a list of jobs, each whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts a job that is being stepped, also where the step fails or panics.
struct Stepped<'a>(&'a Reclaimer);

impl Drop for Stepped<'_> {
    fn drop(&mut self) {
        self.0.lock().stepped -= 1;
    }
}
