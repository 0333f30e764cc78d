//! The checkpoint: what moves the young generation of one keyspace into its engine, step by step.
//!
//! ```text
//! freeze ─► log durable ─► the engine's job ─► new view, frozen map let go ─► catalog ─► log truncated
//! ```
//!
//! Invariant: whatever step fails or is cut, the state is whole. Until the engine has installed
//! its commit point the frozen map is what readers see and the log is what recovery reads; the
//! attempt is thrown away and the next one begins again. The log is only told to forget what no
//! young map of any keyspace holds. Starts no thread, reads no clock.

use std::sync::Arc;

use ondisk_log::{Lsn, Step};

use crate::engine::{Job, Progress, Work};
use crate::error::Error;
use crate::keyspace::{Frozen, Space};
use crate::sabotage::Sabotage;
use crate::store::Store;

/// How many bytes of keys and values one step takes over.
pub(crate) const STEP_BYTES: usize = 1 << 20;

/// The state of a store's checkpoints between two steps.
#[derive(Debug)]
pub(crate) struct Checkpointer {
    running: Option<Running>,
    /// The log was told that it may be replayed from above this.
    released: Lsn,
}

#[derive(Debug)]
enum Running {
    /// The log is made durable through the last commit of the frozen map.
    SyncLog(Arc<Space>, Frozen),
    /// The engine takes the frozen map over.
    Engine(Arc<Space>, Box<dyn Job>),
    /// The log may forget.
    Release,
}

impl Checkpointer {
    pub(crate) fn new(released: Lsn) -> Self {
        Self { running: None, released }
    }

    /// All commits up to this one are in engines, and the log knows it.
    pub(crate) fn released(&self) -> Lsn {
        self.released
    }

    /// Whether a checkpoint is under way.
    pub(crate) fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// Lets go of a checkpoint that is under way.
    pub(crate) fn stop(&mut self) {
        self.running = None;
    }

    /// Does one bounded piece of a checkpoint, beginning one of the keyspace with the oldest
    /// commit where none is under way. `through` says up to which commit the active maps are
    /// complete once commits are held off.
    ///
    /// After an error no checkpoint is under way, and the next step begins again.
    pub(crate) fn step(&mut self, store: &Store, through: impl Fn() -> Lsn) -> Result<Step, Error> {
        let running = self.running.take().or_else(|| self.begin(store, &through));
        let Some(running) = running else { return Ok(Step::Idle) };
        self.running = self.advance(store, running, through)?;
        Ok(Step::Working)
    }

    fn begin(&self, store: &Store, through: impl Fn() -> Lsn) -> Option<Running> {
        if let Some((space, frozen)) = store.freeze_oldest(&through) {
            return Some(Running::SyncLog(space, frozen));
        }
        // All is in engines, and telling the log failed or was cut.
        (self.released < through()).then_some(Running::Release)
    }

    /// Takes a checkpoint one piece further; `None` when it is finished.
    fn advance(
        &mut self,
        store: &Store,
        running: Running,
        through: impl Fn() -> Lsn,
    ) -> Result<Option<Running>, Error> {
        Ok(match running {
            Running::SyncLog(space, _) | Running::Engine(space, _) if space.is_dropped() => {
                Some(Running::Release)
            }
            Running::SyncLog(space, frozen) => {
                let early = store.settings.sabotage.is_some_and(Sabotage::runs_ahead);
                if !early && !sync_log(store, frozen.through)? {
                    return Ok(Some(Running::SyncLog(space, frozen)));
                }
                if store.breaks(Sabotage::TruncatedBeforeManifest) {
                    self.tell_log(store, frozen.through)?;
                }
                let job = Arc::clone(&space.engine).checkpoint(frozen);
                Some(Running::Engine(space, job))
            }
            Running::Engine(space, mut job) => {
                let durable = || store.durable_for_engines();
                let pins = &*store.pins;
                let work = Work { bytes: STEP_BYTES, durable: &durable, pins };
                match job.step(&work)? {
                    Progress::Working => Some(Running::Engine(space, job)),
                    Progress::Finished => {
                        store.installed(&space);
                        Some(Running::Release)
                    }
                }
            }
            Running::Release => {
                let released = store.releasable(through);
                if released > self.released {
                    // Commits that touch nothing stand in no young map, and may not be durable: an
                    // LSN that the catalog has released must never be given out again.
                    if !store.breaks(Sabotage::ReleasedUnsynced) {
                        store.log.wait_durable(released)?;
                    }
                    store.keyspaces.confirm(released)?;
                    self.tell_log(store, released)?;
                }
                store.keyspaces.bury();
                None
            }
        })
    }

    fn tell_log(&mut self, store: &Store, released: Lsn) -> Result<(), Error> {
        store.log.checkpoint(released)?;
        store.log.truncate(released)?;
        self.released = released;
        Ok(())
    }
}

/// Makes the log durable through a commit; whether all through it is acknowledged too. That comes
/// a moment later, and the engine's places are seen by every reader: so they wait for it.
fn sync_log(store: &Store, through: Lsn) -> Result<bool, Error> {
    store.log.wait_durable(through)?;
    let acknowledged = store.log.acknowledged() >= through;
    if !acknowledged {
        std::thread::yield_now(); // to the committer that is between its LSN and its wait
    }
    Ok(acknowledged)
}
