//! How many different crash states were looked at, and what the program was doing when each was
//! made.
//!
//! Invariant: a state is counted once, however often and on whatever way it was met, under the
//! label and the life of the first time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::crash_fs::{CrashFs, StateId};

/// What a count is kept for.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Group {
    /// The shape of the workload: see [`Tally::set_shape`].
    pub shape: String,
    /// The label at the place of the cut.
    pub label: String,
    /// How many lives the state has behind it: 1 after one cut.
    pub lives: u32,
}

/// Counts distinct crash states over any number of explorations, nested ones included.
#[derive(Debug, Default)]
pub struct Tally {
    counts: Mutex<Counts>,
}

/// What is counted.
#[derive(Debug, Default)]
struct Counts {
    shape: String,
    seen: BTreeSet<StateId>,
    /// Those of `seen` whose check is still running, counted ahead of what it explores; with the
    /// life that began with them, since a further life may show the same state.
    running: BTreeSet<(StateId, u32)>,
    groups: BTreeMap<Group, u64>,
    recoveries: u64,
}

impl Tally {
    /// Of nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Counts under this shape of workload from here on.
    pub fn set_shape(&self, shape: &str) {
        shape.clone_into(&mut self.lock().shape);
    }

    /// Counts a state after its check has run; says whether it is a new one.
    pub fn count(&self, fs: &CrashFs) -> bool {
        let (id, life) = (fs.id(), fs.life());
        let mut counts = self.lock();
        counts.recoveries += 1;
        counts.running.remove(&(id, life)) || counts.add(id, fs)
    }

    /// Counts a state whose further life is explored before its own check ends: it is met on the
    /// shorter way first.
    pub(super) fn count_ahead(&self, fs: &CrashFs) {
        let (id, life) = (fs.id(), fs.life());
        let mut counts = self.lock();
        if counts.add(id, fs) {
            counts.running.insert((id, life));
        }
    }

    /// How many different states were met.
    #[must_use]
    pub fn states(&self) -> u64 {
        self.lock().seen.len() as u64
    }

    /// How many recoveries were run on them.
    #[must_use]
    pub fn recoveries(&self) -> u64 {
        self.lock().recoveries
    }

    /// How many different states there were of each group.
    #[must_use]
    pub fn groups(&self) -> BTreeMap<Group, u64> {
        self.lock().groups.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counts {
    fn add(&mut self, id: StateId, fs: &CrashFs) -> bool {
        let new = self.seen.insert(id);
        if new {
            let (label, lives) = (fs.cut_label().to_owned(), fs.life() - 1);
            *self.groups.entry(Group { shape: self.shape.clone(), label, lives }).or_default() += 1;
        }
        new
    }
}
