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

use std::ops::RangeBounds;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, TryLockError};

use ondisk_fs::Held;
use ondisk_log::{Log, Lsn, Receipt, Step, SyncMode, Ticket};

use crate::alarm::Alarm;
use crate::batch::Batch;
use crate::checkpoint::{Checkpointer, STEP_BYTES};
use crate::commit::{Commit, CommitWriter};
use crate::engine::{Pins, Reclaim};
use crate::error::Error;
use crate::keyspace::{Frozen, Space};
use crate::keyspaces::{Keyspaces, Spaces};
use crate::limits::Limits;
use crate::range::Range;
use crate::reclaim::Reclaimer;
use crate::reserve::Reserve;
use crate::sabotage::Sabotage;
use crate::snapshot::{Holder, Pin, Snapshots};
use crate::values::{Horizon, Written};

/// After so many bytes of commits the size of the log is looked at again.
const LOOK_AGAIN: u64 = 256 << 10;
/// What a commit costs the log at least: a block.
const LEAST_COST: u64 = 4096;
/// An engine that is behind makes its writers do reclaiming from this pressure on.
const SLOWED: u32 = 500;
/// At this pressure they wait for it.
const STOPPED: u32 = 1000;
/// Reclaiming that is owed by writers is done in pieces of at least so many bytes.
const RECLAIM_PIECE: u64 = 256 << 10;

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
    pub(crate) failure: Mutex<Option<String>>,
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

    /// The mode of a batch that says nothing else: that of its keyspaces, the strongest.
    pub(crate) fn mode_of(&self, batch: &Batch) -> SyncMode {
        let spaces = self.keyspaces.now();
        let modes = batch.touched.iter().filter_map(|id| find(&spaces, *id));
        let modes = modes.map(|space| space.mode(self.settings.mode));
        modes.reduce(SyncMode::strongest).unwrap_or(self.settings.mode)
    }

    /// Gives a commit its place. It is visible when it is acknowledged, and that is when
    /// [`acknowledge`](Self::acknowledge) has returned.
    pub(crate) fn begin(&self, batch: Batch, mode: SyncMode) -> Result<Ticket, Error> {
        self.begin_by(batch, |commit, touched| self.join_now(commit, touched, mode))
    }

    /// As [`begin`](Self::begin), if `check` has nothing against it. Between the check and the
    /// LSN no other commit gets one, and every commit that has one stands in the young maps.
    pub(crate) fn begin_checked(
        &self,
        batch: Batch,
        mode: SyncMode,
        check: impl Fn() -> Result<(), Error>,
    ) -> Result<Ticket, Error> {
        self.begin_by(batch, |commit, touched| {
            let _alone = self.freezing.write().unwrap_or_else(PoisonError::into_inner);
            check()?;
            self.join(commit, touched, mode)
        })
    }

    fn begin_by(
        &self,
        batch: Batch,
        join: impl Fn(&Commit, &[u32]) -> Result<Ticket, Error>,
    ) -> Result<Ticket, Error> {
        self.check_open()?;
        let Prepared { commit, touched, written } = self.prepare(batch)?;
        let cost = commit.payload().len() as u64 + LEAST_COST;
        let purpose = purpose(&commit);
        self.make_room(&touched, cost, purpose)?;
        let joined = match join(&commit, &touched) {
            // A delete is what gives space back, and so is what lets the log go.
            Err(error) if error.is_full() && purpose == Purpose::Shrink => {
                self.make_space();
                join(&commit, &touched)
            }
            joined => joined,
        };
        drop(written);
        let ticket = joined?;
        self.committed(cost);
        Ok(ticket)
    }

    /// As [`join`](Self::join), holding freezes off.
    fn join_now(&self, commit: &Commit, touched: &[u32], mode: SyncMode) -> Result<Ticket, Error> {
        let _no_freeze = self.freezing.read().unwrap_or_else(PoisonError::into_inner);
        self.join(commit, touched, mode)
    }

    /// Checks a batch, and writes its large values to files of their own, durably.
    pub(crate) fn prepare(&self, batch: Batch) -> Result<Prepared, Error> {
        self.settings.limits.check_keys(&batch)?;
        if batch.mixed || batch.store.is_some_and(|id| id != self.log.store_id()) {
            return Err(Error::ForeignKeyspace);
        }
        let spaces = self.keyspaces.now();
        let limits = batch.touched.iter().filter_map(|id| find(&spaces, *id));
        let smallest = limits.map(|space| space.options.large_value.0).min().unwrap_or(u32::MAX);
        let large = batch.lookalike || batch.longest_value > smallest as usize;
        let Batch { mut ops, touched, .. } = batch;
        let mut written = Vec::new();
        if large {
            self.settings.limits.check_raw(ops.len())?;
            ops = write_large(&spaces, &ops.finish(), &mut written)?;
        }
        self.settings.limits.check_commit(ops.len())?;
        Ok(Prepared { commit: ops.finish(), touched, written })
    }

    /// Commits one value, without a copy of a large one.
    pub(crate) fn put(
        &self,
        space: &Arc<Space>,
        key: &[u8],
        value: &[u8],
        mode: SyncMode,
    ) -> Result<Receipt, Error> {
        self.settings.limits.check_key(key)?;
        if !space.values.takes(value) {
            self.settings.limits.check_put(key, value)?;
            let ticket = self.begin(Batch::one_in(space.id, key, Some(value)), mode)?;
            return self.acknowledge(ticket, mode);
        }
        self.check_open()?;
        self.settings.limits.check_large(value)?;
        let written = space.values.write(key, value)?;
        let mut ops = CommitWriter::with_capacity(0);
        ops.push(space.id, key, Some(written.reference()));
        let (commit, cost) = (ops.finish(), LEAST_COST);
        self.make_room(&[space.id], cost, Purpose::Grow)?;
        let ticket = self.join_now(&commit, &[space.id], mode)?;
        drop(written);
        self.committed(cost);
        self.acknowledge(ticket, mode)
    }

    /// The keys of a keyspace between two bounds, as of now.
    pub(crate) fn range<'k>(
        self: &Arc<Self>,
        space: &Space,
        bounds: impl RangeBounds<&'k [u8]>,
    ) -> Range {
        // Before the look at what there is: then nothing that the walk may come to goes.
        let pin = space.values.are_there().then(|| Pin::new(self, Holder::Reader, self.visible()));
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

    /// Joins the log and puts the commit into the young maps. The caller holds freezes off.
    pub(crate) fn join(
        &self,
        commit: &Commit,
        touched: &[u32],
        mode: SyncMode,
    ) -> Result<Ticket, Error> {
        let spaces = self.keyspaces.now();
        for id in touched {
            if find(&spaces, *id).is_none() {
                return Err(Error::KeyspaceDropped { name: format!("number {id}") });
            }
        }
        let insert = |lsn| {
            let touched = touched.iter().filter_map(|id| find(&spaces, *id));
            let bytes: u64 = touched.map(|space| space.insert(lsn, commit)).sum();
            self.counters.young_bytes.fetch_add(bytes, Ordering::Relaxed);
        };
        Ok(self.log.join(commit.payload(), mode, insert)?)
    }

    /// Puts a commit of the log that recovery reads into the young maps.
    pub(crate) fn replay(&self, lsn: Lsn, commit: &Commit, touched: &[u32]) {
        let spaces = self.keyspaces.now();
        let touched = touched.iter().filter_map(|id| find(&spaces, *id));
        let behind = touched.filter(|space| space.engine.commit_point().through < lsn);
        let bytes: u64 = behind.map(|space| space.insert(lsn, commit)).sum();
        self.counters.young_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Whether the young maps have reached their budget.
    pub(crate) fn is_full(&self) -> bool {
        self.counters.young_bytes.load(Ordering::Relaxed) >= self.settings.young_budget
    }

    /// A commit has joined: now and then the log is looked at.
    pub(crate) fn committed(&self, cost: u64) {
        if self.counters.since.fetch_add(cost, Ordering::Relaxed) + cost >= LOOK_AGAIN {
            self.look_at_log();
            self.alarm.ring();
        }
    }

    /// Waits until a commit is acknowledged, on the rung that the receipt names.
    pub(crate) fn acknowledge(&self, ticket: Ticket, mode: SyncMode) -> Result<Receipt, Error> {
        let receipt = ticket.wait()?;
        self.alarm.committed(mode);
        Ok(receipt)
    }

    /// One bounded piece of background work: the log's own, then a checkpoint's where one is due,
    /// then reclaiming.
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
        drop(checkpointer);
        if logs? == Step::Working {
            return Ok(Step::Working);
        }
        self.reserve.make(self.log.stats().segment_size);
        if self.reclaim_step(Reclaim::Due)? == Step::Working {
            return Ok(Step::Working);
        }
        self.values_step()
    }

    /// Does what gives space back. Where the disk is full the reserve is given up for it, once.
    /// The caller holds no lock.
    fn with_reserve<T>(&self, work: impl Fn() -> Result<T, Error>) -> Result<T, Error> {
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
    fn make_space(&self) {
        self.reserve.give_up();
        let reclaim = || {
            while matches!(self.reclaimer.step(self, Reclaim::Due, STEP_BYTES), Ok(Step::Working)) {
            }
        };
        reclaim();
        let target = self.log.last();
        if self.checkpoint_through(target, || self.log.last()).is_ok() {
            reclaim();
        }
    }

    /// One bounded piece of reclaiming.
    pub(crate) fn reclaim_step(&self, want: Reclaim) -> Result<Step, Error> {
        self.reclaimer.step(self, want, STEP_BYTES)
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
        loop {
            if self.reclaim_step(Reclaim::All)? == Step::Idle {
                if !self.reclaimer.is_busy() {
                    return Ok(());
                }
                std::thread::yield_now(); // to who is stepping the rest
            }
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

    /// Keeps both generations inside their budgets: near one, this caller does a piece of the
    /// work; at one, it does all that is needed, or waits for who is doing it.
    pub(crate) fn make_room(
        &self,
        touched: &[u32],
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
    fn pay(&self, touched: &[u32], cost: u64) -> Result<(), Error> {
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

    /// Whether either generation fills more than a share of its budget.
    fn above(&self, share: u64, of: u64) -> bool {
        let full = |used: u64, budget: u64| used >= budget / of * share;
        full(self.counters.young_bytes.load(Ordering::Relaxed), self.settings.young_budget)
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

/// What a commit does to the space that the store takes in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// It gives some key a value: on a full disk it is refused.
    Grow,
    /// It only takes keys away: the reserve is given up for it.
    Shrink,
}

fn purpose(commit: &Commit) -> Purpose {
    let deletes = commit.ops().next().is_some() && commit.ops().all(|op| op.value.is_none());
    if deletes { Purpose::Shrink } else { Purpose::Grow }
}

/// A batch that is ready for the log.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) commit: Commit,
    pub(crate) touched: Vec<u32>,
    /// Its large values: to be kept until the commit is in the young maps.
    pub(crate) written: Vec<Written>,
}

/// Writes the large values of a commit to files, and the commit anew with references to them.
fn write_large(
    spaces: &Spaces,
    commit: &Commit,
    written: &mut Vec<Written>,
) -> Result<CommitWriter, Error> {
    let payload = commit.payload();
    let mut ops = CommitWriter::with_capacity(0);
    for op in commit.ops() {
        let (key, value) = (op.key.of(payload), op.value.map(|value| value.of(payload)));
        let files = find(spaces, op.keyspace).map(|space| &space.values);
        match (value, files) {
            (Some(value), Some(files)) if files.takes(value) => {
                let large = files.write(key, value)?;
                ops.push(op.keyspace, key, Some(large.reference()));
                written.push(large);
            }
            _ => ops.push(op.keyspace, key, value),
        }
    }
    Ok(ops)
}

fn find(spaces: &Spaces, id: u32) -> Option<&Arc<Space>> {
    let place = spaces.binary_search_by_key(&id, |space| space.id).ok()?;
    spaces.get(place)
}

fn pressure_of(store: &Store) -> impl Fn(&u32) -> Option<u32> {
    |id| store.keyspaces.with(*id, |space| space.engine.pressure())
}
