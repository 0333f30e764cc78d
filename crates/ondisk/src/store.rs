//! What all handles of an open store share: the log, the keyspace, and the path of a commit.
//!
//! ```text
//! make room ─► join the log (LSN) ─► young map ─► wait for the group ─► acknowledged, visible
//!              └── held together against a freeze ──┘
//! ```
//!
//! Invariant: a commit stands in the young map before it can be acknowledged, and in the map that
//! was active when it got its LSN. Starts no thread, reads no clock.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, TryLockError};

use ondisk_fs::Held;
use ondisk_log::{Log, Lsn, Receipt, Step, SyncMode, Ticket};

use crate::alarm::Alarm;
use crate::batch::Batch;
use crate::checkpoint::Checkpointer;
use crate::error::Error;
use crate::keyspace::{Frozen, Keyspace};
use crate::limits::Limits;
use crate::sabotage::Sabotage;

/// After so many bytes of commits the size of the log is looked at again.
const LOOK_AGAIN: u64 = 256 << 10;
/// What a commit costs the log at least: a block.
const LEAST_COST: u64 = 4096;

#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) log: Log,
    pub(crate) keyspace: Keyspace,
    pub(crate) settings: Settings,
    pub(crate) alarm: Alarm,
    /// Shared: a commit is between its LSN and the young map. Exclusive: that map is frozen.
    freezing: RwLock<()>,
    checkpointer: Mutex<Checkpointer>,
    counters: Counters,
    closed: AtomicBool,
    /// The lock of the directory; given back at close.
    held: Mutex<Option<Box<dyn Held>>>,
}

/// What the store was opened with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) mode: SyncMode,
    pub(crate) limits: Limits,
    /// Bytes of young generation above which writers wait.
    pub(crate) young_budget: u64,
    /// Bytes of log above which writers wait.
    pub(crate) log_budget: u64,
    pub(crate) sabotage: Option<Sabotage>,
}

/// What `stats` tells.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) checkpoint: AtomicU64,
    pub(crate) checkpoints: AtomicU64,
    pub(crate) stalls: AtomicU64,
    /// The bytes of the log when they were last looked at.
    log_bytes: AtomicU64,
    /// What was committed since then, estimated.
    since: AtomicU64,
    pub(crate) failure: Mutex<Option<String>>,
}

impl Store {
    pub(crate) fn new(
        log: Log,
        keyspace: Keyspace,
        checkpointer: Checkpointer,
        settings: Settings,
        held: Box<dyn Held>,
    ) -> Self {
        let counters = Counters::default();
        counters.checkpoint.store(checkpointer.checkpoint().0, Ordering::Relaxed);
        let store = Self {
            log,
            keyspace,
            settings,
            alarm: Alarm::default(),
            freezing: RwLock::new(()),
            checkpointer: Mutex::new(checkpointer),
            counters,
            closed: AtomicBool::new(false),
            held: Mutex::new(Some(held)),
        };
        store.look_at_log();
        store
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.counters
    }

    pub(crate) fn breaks(&self, rule: Sabotage) -> bool {
        self.settings.sabotage == Some(rule)
    }

    pub(crate) fn check_open(&self) -> Result<(), Error> {
        if self.closed.load(Ordering::Acquire) { Err(Error::Closed) } else { Ok(()) }
    }

    /// The newest commit that a read sees.
    pub(crate) fn visible(&self) -> Lsn {
        if self.breaks(Sabotage::UnacknowledgedVisible) {
            return self.log.last();
        }
        self.log.acknowledged()
    }

    /// Gives a commit its place. It is visible when it is acknowledged, and that is when
    /// [`acknowledge`](Self::acknowledge) has returned.
    pub(crate) fn begin(&self, batch: Batch, mode: SyncMode) -> Result<Ticket, Error> {
        self.check_open()?;
        self.settings.limits.check_batch(&batch)?;
        let commit = batch.ops.finish();
        self.make_room()?;
        let no_freeze = self.freezing.read().unwrap_or_else(PoisonError::into_inner);
        let insert = |lsn| self.keyspace.insert(lsn, &commit);
        let ticket = self.log.join(commit.payload(), mode, insert)?;
        drop(no_freeze);
        let cost = commit.payload().len() as u64 + LEAST_COST;
        if self.counters.since.fetch_add(cost, Ordering::Relaxed) + cost >= LOOK_AGAIN {
            self.look_at_log();
            self.alarm.ring();
        }
        Ok(ticket)
    }

    /// Waits until a commit is acknowledged, on the rung that the receipt names.
    pub(crate) fn acknowledge(&self, ticket: Ticket, mode: SyncMode) -> Result<Receipt, Error> {
        let receipt = ticket.wait()?;
        self.alarm.committed(mode);
        Ok(receipt)
    }

    /// One bounded piece of background work: the log's own, then a checkpoint's where one is due.
    pub(crate) fn step(&self) -> Result<Step, Error> {
        // A checkpoint is taken further also where the log has no space for its next segment: it
        // is what gives space back.
        let logs = self.log.step();
        self.look_at_log();
        let mut checkpointer = self.checkpointer();
        let due = checkpointer.is_running() || self.above(1, 2);
        if due && checkpointer.step(self, || self.log.last())? == Step::Working {
            return Ok(Step::Working);
        }
        Ok(logs?)
    }

    /// Takes all that is committed now over into the engine, and lets the log go.
    pub(crate) fn checkpoint(&self) -> Result<(), Error> {
        let target = self.log.last();
        self.checkpoint_through(target, || self.log.last())
    }

    /// As [`checkpoint`](Self::checkpoint), for what `through` names when commits are held off.
    pub(crate) fn checkpoint_through(
        &self,
        target: Lsn,
        through: impl Fn() -> Lsn,
    ) -> Result<(), Error> {
        let mut checkpointer = self.checkpointer();
        while checkpointer.released() < target {
            if checkpointer.step(self, &through)? == Step::Idle {
                break;
            }
        }
        drop(checkpointer);
        self.look_at_log();
        Ok(())
    }

    /// Freezes the active map if it holds anything above an LSN.
    pub(crate) fn freeze_above(
        &self,
        installed: Lsn,
        through: impl FnOnce() -> Lsn,
    ) -> Option<Frozen> {
        let _frozen = self.freezing.write().unwrap_or_else(PoisonError::into_inner);
        let through = through();
        if through <= installed {
            return None;
        }
        let frozen = self.keyspace.freeze(through);
        if self.breaks(Sabotage::FrozenForgotten) {
            self.keyspace.thaw();
        }
        Some(frozen)
    }

    /// A manifest was put in place.
    pub(crate) fn installed(&self, through: Lsn) {
        self.counters.checkpoint.store(through.0, Ordering::Relaxed);
        self.counters.checkpoints.fetch_add(1, Ordering::Relaxed);
    }

    /// Closes the store; whether this call was the one that did.
    pub(crate) fn mark_closed(&self) -> bool {
        !self.closed.swap(true, Ordering::AcqRel)
    }

    /// Syncs the log and gives the directory's lock back, whatever the log says.
    pub(crate) fn close(&self) -> Result<(), Error> {
        let _no_step = self.checkpointer();
        let closed = self.log.close();
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(held);
        Ok(closed?)
    }

    /// Keeps both generations inside their budgets: near one, this caller does a piece of the
    /// work; at one, it does all that is needed, or waits for who is doing it.
    fn make_room(&self) -> Result<(), Error> {
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

    /// Whether either generation fills more than a share of its budget.
    fn above(&self, share: u64, of: u64) -> bool {
        let full = |used: u64, budget: u64| used >= budget / of * share;
        full(self.keyspace.young_bytes(), self.settings.young_budget)
            || full(self.counters.log_bytes.load(Ordering::Relaxed), self.settings.log_budget)
    }

    fn look_at_log(&self) {
        self.counters.since.store(0, Ordering::Relaxed);
        self.counters.log_bytes.store(self.log.stats().bytes, Ordering::Relaxed);
    }

    fn checkpointer(&self) -> MutexGuard<'_, Checkpointer> {
        // A panic inside a step drops its job: what is left is whole.
        self.checkpointer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn try_checkpointer(&self) -> Option<MutexGuard<'_, Checkpointer>> {
        match self.checkpointer.try_lock() {
            Ok(guard) => Some(guard),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }
}
