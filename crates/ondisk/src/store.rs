//! What all handles of an open store share: the log, the keyspaces, and the path of a commit.
//!
//! ```text
//! make room ─► join the log (LSN) ─► young maps ─► wait for the group ─► acknowledged, visible
//!              └── held together against a freeze ──┘
//! ```
//!
//! Invariant: a commit stands in the young map of each keyspace that it touches before it can be
//! acknowledged, and in the map that was active when it got its LSN. Starts no thread, reads no
//! clock.

use std::num::NonZeroU64;
use std::ops::RangeBounds;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, TryLockError};

use ondisk_fs::Held;
use ondisk_log::{Log, Lsn, Step, SyncMode};

use crate::alarm::Alarm;
use crate::checkpoint::{Checkpointer, STEP_BYTES};
use crate::engine::{Pins, Reclaim};
use crate::error::Error;
use crate::keyspace::{Frozen, Space};
use crate::keyspaces::Keyspaces;
use crate::latency::Latencies;
use crate::limits::Limits;
use crate::range::Range;
use crate::reclaim::Reclaimer;
use crate::reserve::Reserve;
use crate::sabotage::Sabotage;
use crate::snapshot::{Holder, Pin, Snapshots};
use crate::values::Horizon;
use crate::values::sabotage::ValueRule;

mod commit;
mod room;

pub(crate) use room::SLOWED;

#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) log: Log,
    pub(crate) keyspaces: Keyspaces,
    /// The keyspace that every store has.
    pub(crate) default: Arc<Space>,
    pub(crate) settings: Settings,
    /// Wakes who checkpoints, and who reclaims.
    pub(crate) alarm: Alarm,
    pub(crate) reclaim_alarm: Alarm,
    pub(crate) pins: Arc<dyn Pins>,
    reserve: Reserve,
    pub(crate) snapshots: Snapshots,
    /// How long callers waited for commits to be durable.
    pub(crate) latencies: Latencies,
    pub(crate) reclaimer: Reclaimer,
    /// Shared: a commit is between its LSN and the young map. Exclusive: that map is frozen.
    freezing: RwLock<()>,
    checkpointer: Mutex<Checkpointer>,
    counters: Counters,
    closed: AtomicBool,
    /// The lock of the directory; given back at close.
    held: Mutex<Option<Box<dyn Held>>>,
}

/// What an open has put together.
pub(crate) struct Parts {
    pub(crate) log: Log,
    pub(crate) keyspaces: Keyspaces,
    pub(crate) default: Arc<Space>,
    /// All through this the log was told to forget.
    pub(crate) released: Lsn,
    pub(crate) pins: Arc<dyn Pins>,
    pub(crate) reserve: Reserve,
    pub(crate) held: Box<dyn Held>,
}

/// What the store was opened with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) mode: SyncMode,
    pub(crate) limits: Limits,
    /// Bytes of young generation above which writers wait.
    pub(crate) young_budget: u64,
    /// Bytes that a transaction keeps of what it read; beyond, it is kept less exactly.
    pub(crate) read_budget: usize,
    /// Bytes of log above which writers wait.
    pub(crate) log_budget: u64,
    /// Bytes that the store's own thread may write in a second to reclaim; `None` is no limit.
    pub(crate) reclaim_rate: Option<NonZeroU64>,
    pub(crate) sabotage: Option<Sabotage>,
}

/// What `stats` tells.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) checkpoints: AtomicU64,
    pub(crate) stalls: AtomicU64,
    /// The bytes of the log when they were last looked at.
    log_bytes: AtomicU64,
    /// What was committed since then, estimated.
    since: AtomicU64,
    /// Bytes of the young maps of all keyspaces.
    young_bytes: AtomicU64,
    /// Bytes of young maps that engines have taken over, kept for transactions.
    pub(crate) past_bytes: AtomicU64,
    /// Bytes of reclaiming that writers owe.
    owed: AtomicU64,
    /// Why background work fails now, by who does it.
    failures: [Mutex<Option<String>>; 2],
}

/// Who does background work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hand {
    /// Who checkpoints.
    Worker = 0,
    /// Who reclaims and nothing else.
    Reclaimer = 1,
}

impl Counters {
    /// Notes whether background work fails now, and why.
    pub(crate) fn tell(&self, hand: Hand, failure: Option<String>) {
        *self.failures[hand as usize].lock().unwrap_or_else(PoisonError::into_inner) = failure;
    }

    /// Why background work fails now, if it does.
    pub(crate) fn failure(&self) -> Option<String> {
        let told = |failure: &Mutex<Option<String>>| {
            failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
        };
        self.failures.iter().find_map(told)
    }
}

impl Store {
    pub(crate) fn new(parts: Parts, settings: Settings) -> Self {
        let Parts { log, keyspaces, default, released, pins, reserve, held } = parts;
        let counters = Counters::default();
        let young: u64 = keyspaces.now().iter().map(|space| space.young_bytes()).sum();
        counters.young_bytes.store(young, Ordering::Relaxed);
        let store = Self {
            log,
            keyspaces,
            default,
            settings,
            alarm: Alarm::default(),
            reclaim_alarm: Alarm::default(),
            pins,
            reserve,
            snapshots: Snapshots::default(),
            latencies: Latencies::default(),
            reclaimer: Reclaimer::default(),
            freezing: RwLock::new(()),
            checkpointer: Mutex::new(Checkpointer::new(released)),
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

    /// The keys of a keyspace between two bounds, as of now.
    pub(crate) fn range<'k>(
        self: &Arc<Self>,
        space: &Space,
        bounds: impl RangeBounds<&'k [u8]>,
    ) -> Range {
        // Before the look at what there is: then nothing that the walk may come to goes.
        let kept = space.values.are_there() && !self.breaks(ValueRule::WalkNotKept.into());
        let pin = kept.then(|| Pin::new(self, Holder::Reader, self.visible()));
        let visible = self.visible();
        crate::snapshot::range(&space.generations(), bounds, visible).pinned(pin)
    }

    /// Removes a few value files that nothing refers to any more.
    pub(crate) fn values_step(&self) -> Result<Step, Error> {
        for space in self.keyspaces.now().iter().filter(|space| space.values.are_there()) {
            let horizon = Horizon {
                last: &|| self.log.last(),
                durable: self.log.durable().min(self.log.acknowledged()),
                snapshot: self.snapshots.oldest(),
                pinned: self.pins.oldest().is_some(),
            };
            if space.values.sweep(horizon, &|key| space.reference(key))? == Step::Working {
                return Ok(Step::Working);
            }
        }
        Ok(Step::Idle)
    }

    /// One bounded piece of background work: the log's own, then a checkpoint's where one is due,
    /// then reclaiming.
    pub(crate) fn step(&self) -> Result<Step, Error> {
        self.step_with(|| self.reclaim_step(Reclaim::Due))
    }

    /// The same, but for reclaiming: that is somebody else's.
    pub(crate) fn step_but_reclaim(&self) -> Result<Step, Error> {
        self.step_with(|| Ok(Step::Idle))
    }

    fn step_with(&self, reclaim: impl FnOnce() -> Result<Step, Error>) -> Result<Step, Error> {
        // A checkpoint is taken further also where the log has no space for its next segment: it
        // is what gives space back.
        let logs = self.log.step();
        self.look_at_log();
        let mut checkpointer = self.checkpointer();
        let due = checkpointer.is_running() || self.above(1, 2);
        if due && checkpointer.step(self, || self.log.last())? == Step::Working {
            return Ok(Step::Working);
        }
        drop(checkpointer);
        if logs? == Step::Working {
            return Ok(Step::Working);
        }
        self.reserve.make(self.log.stats().segment_size);
        if reclaim()? == Step::Working {
            return Ok(Step::Working);
        }
        self.values_step()
    }

    /// One bounded piece of reclaiming.
    pub(crate) fn reclaim_step(&self, want: Reclaim) -> Result<Step, Error> {
        let stepped = self.reclaimer.step(self, want, STEP_BYTES)?;
        Ok(if stepped.is_some() { Step::Working } else { Step::Idle })
    }

    /// Reclaims until nothing can be won any more.
    pub(crate) fn compact(&self) -> Result<(), Error> {
        self.checkpoint()?;
        self.with_reserve(|| self.reclaim_all())?;
        self.keyspaces.now().iter().for_each(|space| space.values.sweep_due());
        while self.values_step()? == Step::Working {}
        self.keyspaces.confirm(self.keyspaces.released())?;
        self.keyspaces.bury();
        Ok(())
    }

    fn reclaim_all(&self) -> Result<(), Error> {
        let checkpoints = || self.counters.checkpoints.load(Ordering::Relaxed);
        let before = checkpoints();
        loop {
            if self.reclaim_step(Reclaim::All)? == Step::Working {
                continue;
            }
            if self.reclaimer.is_busy() {
                std::thread::yield_now(); // to who is stepping the rest
                continue;
            }
            // An engine may have had nothing because of a checkpoint: that one is taken further,
            // and those behind it are not waited for.
            let mut checkpointer = self.checkpointer();
            if !checkpointer.is_running() || checkpoints() > before {
                return Ok(());
            }
            checkpointer.step(self, || self.log.last())?;
        }
    }

    /// Takes all that is committed now over into the engines, and lets the log go.
    pub(crate) fn checkpoint(&self) -> Result<(), Error> {
        let target = self.log.last();
        self.with_reserve(|| self.checkpoint_through(target, || self.log.last()))
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

    /// Freezes the young map of the keyspace that holds the oldest commit, if one holds any. One
    /// that was frozen already, by an attempt that failed, is it.
    pub(crate) fn freeze_oldest(
        &self,
        through: impl FnOnce() -> Lsn,
    ) -> Option<(Arc<Space>, Frozen)> {
        let _frozen = self.freezing.write().unwrap_or_else(PoisonError::into_inner);
        let spaces = self.keyspaces.now();
        let oldest = spaces.iter().filter_map(|space| Some((space.oldest()?, space)));
        let (_, space) = oldest.min_by_key(|(lsn, _)| *lsn)?;
        let frozen = space.frozen().unwrap_or_else(|| space.freeze(through()));
        if self.breaks(Sabotage::FrozenForgotten) {
            space.forget_frozen();
        }
        Some((Arc::clone(space), frozen))
    }

    /// All commits through this one are in engines: none of them is in a young map.
    pub(crate) fn releasable(&self, through: impl FnOnce() -> Lsn) -> Lsn {
        let _frozen = self.freezing.write().unwrap_or_else(PoisonError::into_inner);
        let spaces = self.keyspaces.now();
        let oldest = spaces.iter().filter_map(|space| space.oldest()).min();
        let through = through();
        if self.breaks(Sabotage::ReleasedBeyondIdle) {
            return through;
        }
        oldest.map_or(through, |oldest| through.min(Lsn(oldest.0.saturating_sub(1))))
    }

    /// An engine has taken a frozen map over.
    pub(crate) fn installed(&self, space: &Space) {
        self.refresh(space);
        self.counters.checkpoints.fetch_add(1, Ordering::Relaxed);
        space.values.sweep_due();
        self.reclaimer.wake();
        self.reclaim_alarm.ring();
    }

    /// Readers of a keyspace see its engine's newest view from here on.
    pub(crate) fn refresh(&self, space: &Space) {
        let freed = space.refresh(&self.counters.past_bytes);
        self.counters.young_bytes.fetch_sub(freed, Ordering::Relaxed);
        self.trim_past_of(space);
    }

    /// What engines are told of the log: how far it is durable.
    pub(crate) fn durable_for_engines(&self) -> Lsn {
        if self.breaks(Sabotage::ManifestBeforeLog) { Lsn(u64::MAX) } else { self.log.durable() }
    }

    /// Drops a keyspace, durably.
    pub(crate) fn drop_keyspace(&self, space: &Arc<Space>) -> Result<(), Error> {
        self.check_open()?;
        if space.id == crate::keyspace::DEFAULT_KEYSPACE {
            return Err(Error::DefaultKeyspace);
        }
        // No checkpoint of it is being stepped then; the next step lets go of one under way.
        let checkpointer = self.checkpointer();
        let no_commit = self.freezing.write().unwrap_or_else(PoisonError::into_inner);
        self.keyspaces.remove(space)?;
        self.counters.young_bytes.fetch_sub(space.young_bytes(), Ordering::Relaxed);
        drop((no_commit, checkpointer));
        self.keyspaces.bury();
        Ok(())
    }

    /// Closes the store; whether this call was the one that did.
    pub(crate) fn mark_closed(&self) -> bool {
        !self.closed.swap(true, Ordering::AcqRel)
    }

    /// Syncs the log, tells the catalog what is durable, and gives the directory's lock back,
    /// whatever the log says.
    pub(crate) fn close(&self) -> Result<(), Error> {
        let mut checkpointer = self.checkpointer();
        checkpointer.stop();
        self.reclaimer.abandon();
        self.keyspaces.bury();
        let confirmed = self.keyspaces.confirm(self.keyspaces.released());
        let closed = self.log.close();
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(held);
        closed?;
        confirmed
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
