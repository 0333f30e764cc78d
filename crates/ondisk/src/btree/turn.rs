//! Who may hand out the pages of a tree: a checkpoint, or a job that makes its file shorter.
//!
//! Invariant: one at a time. A checkpoint waits for no more than the step of a reclaiming job that
//! is being done, and takes the turn from it; a reclaiming job never takes it from anybody. So
//! checkpoints always come through, and a job that lost its turn has done nothing since.
//!
//! Knows nothing of trees.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

/// The turns of one tree.
#[derive(Debug, Default)]
pub(crate) struct Turns(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// How many turns there were.
    count: u64,
    now: Option<u64>,
}

/// A turn, until it is dropped or a checkpoint takes it.
#[derive(Debug)]
pub(crate) struct Turn {
    turns: Arc<Turns>,
    number: u64,
}

/// While this is there, nobody takes the turn.
#[derive(Debug)]
pub(crate) struct HeldTurn<'a> {
    _state: MutexGuard<'a, State>,
}

impl Turns {
    /// That of a checkpoint, whoever has it now.
    pub(crate) fn checkpoint(self: &Arc<Self>) -> Turn {
        self.give(&mut self.lock())
    }

    /// That of a reclaiming job, where nobody has it.
    pub(crate) fn reclaim(self: &Arc<Self>) -> Option<Turn> {
        let mut state = match self.0.try_lock() {
            Ok(state) => state,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return None, // whoever has it is at work
        };
        state.now.is_none().then(|| self.give(&mut state))
    }

    fn give(self: &Arc<Self>, state: &mut State) -> Turn {
        state.count += 1;
        state.now = Some(state.count);
        Turn { turns: Arc::clone(self), number: state.count }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic while it was held left a number that its owner gives back.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn {
    /// Keeps the turn for as long as the answer is kept; `None` where it was taken.
    pub(crate) fn hold(&self) -> Option<HeldTurn<'_>> {
        let state = self.turns.lock();
        (state.now == Some(self.number)).then_some(HeldTurn { _state: state })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut state = self.turns.lock();
        if state.now == Some(self.number) {
            state.now = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_takes_the_turn_and_nobody_takes_it_from_one() {
        let turns = Arc::new(Turns::default());
        let reclaim = turns.reclaim().unwrap();
        assert!(reclaim.hold().is_some() && turns.reclaim().is_none());
        let checkpoint = turns.checkpoint();
        assert!(reclaim.hold().is_none() && turns.reclaim().is_none());
        drop(reclaim); // gives back what it has not
        assert!(checkpoint.hold().is_some() && turns.reclaim().is_none());
        drop(checkpoint);
        assert!(turns.reclaim().is_some());
    }

    #[test]
    fn while_a_turn_is_held_none_is_given() {
        let turns = Arc::new(Turns::default());
        let reclaim = turns.reclaim().unwrap();
        let held = reclaim.hold().unwrap();
        assert!(turns.reclaim().is_none());
        drop(held);
        drop(reclaim);
        assert!(turns.reclaim().is_some());
    }
}
