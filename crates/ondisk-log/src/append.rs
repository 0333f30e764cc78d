//! The threads of group commit: who waits, who leads, who is woken.
//!
//! Committers that arrive while a group is in flight form the next one. A group is led by the
//! first of its committers that waits while nothing is in flight; when it is done, its leader
//! wakes *its own group and one committer of the next*, and nobody else. A lone committer waits
//! for nobody.
//!
//! Invariant: a group is acknowledged only when its plan has succeeded and everybody who joined
//! has applied the commit to the state that readers see.
//!
//! Locks, always in this order: the shell's state, then a cell's. No lock is held while a plan
//! runs.

use std::io;
use std::mem;
use std::sync::atomic::{AtomicU64, Ordering};

use ondisk_fs::Rung;

use crate::group::{Core, Room};
use crate::options::Sabotage;
use crate::plan::Plan;
use crate::record::crc32c;
use crate::sync::{Arc, Condvar, Guard, Mutex};
use crate::{LogError, Lsn, Receipt, SyncMode};

/// Cells kept for reuse: the group in flight, the one before it and two whose tickets linger.
const RETIRED: usize = 4;

/// Behind a group of fewer commits the next waits until its committers are awake: they commit
/// again, and find a place in it, where else two halves would take turns at the disk. A longer
/// group is worth its sync as it is, and the next is written while its committers wake.
const SMALL: u32 = 64;

/// The core and those who wait for it.
#[derive(Debug)]
pub(crate) struct Shell {
    state: Mutex<State>,
    /// Somebody waits for room in the open group, or for a sync of a full segment.
    room: Condvar,
    /// The core's `acknowledged`, for readers: they take no lock that a committer holds.
    acknowledged: AtomicU64,
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) core: Core,
    /// Of the open group.
    cell: Arc<Cell>,
    /// How many have joined the open group.
    joined: u32,
    /// One of the waiting was told to lead the open group: nobody else does.
    promised: bool,
    /// Cells of groups that are done, to be reused when their last ticket is gone.
    retired: Vec<Arc<Cell>>,
    room_waiters: u32,
}

/// One group's meeting place.
#[derive(Debug, Default)]
struct Cell {
    state: Mutex<CellState>,
    /// The group is done, or somebody is to lead it.
    changed: Condvar,
    /// Everybody who joined has applied its commit.
    applied: Condvar,
}

#[derive(Debug, Default)]
struct CellState {
    applied: u32,
    /// How many must have applied; known when the group is sealed.
    expected: Option<u32>,
    waiting: u32,
    /// One of the waiting is to lead the group.
    lead: bool,
    done: Option<Result<Rung, Arc<str>>>,
    /// The next group, whose leader the last one that wakes here is to wake.
    next: Option<Arc<Cell>>,
}

/// Why a commit could not join; the log mends it and tries again.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// The anchor must say `open` first.
    Opening,
    /// A segment of so many bytes is needed first.
    Segment(u64),
    Error(LogError),
}

/// A place in a group: the commit has an LSN, and is not acknowledged before
/// [`wait`](Self::wait) has returned.
///
/// Dropping it takes nothing back: the commit is like one whose caller died.
#[derive(Debug)]
pub struct Ticket {
    shell: Arc<Shell>,
    cell: Arc<Cell>,
    lsn: Lsn,
}

impl Shell {
    pub(crate) fn new(core: Core) -> Self {
        let retired = Vec::with_capacity(RETIRED);
        let cell = Arc::default();
        let state = State { core, cell, joined: 0, promised: false, retired, room_waiters: 0 };
        let acknowledged = AtomicU64::new(state.core.acknowledged.0);
        Self { state: Mutex::new(state), room: Condvar::new(), acknowledged }
    }

    /// The state, of a log that takes commits.
    pub(crate) fn usable(&self) -> Result<Guard<'_, State>, LogError> {
        let state = self.state.lock();
        state.core.usable().map(|()| state)
    }

    /// The state, for those who look or prepare.
    pub(crate) fn lock(&self) -> Guard<'_, State> {
        self.state.lock()
    }

    /// Joins the open group with one commit or, all in that group, several; runs `apply` with the
    /// last LSN before the group can be acknowledged.
    pub(crate) fn join<F: FnOnce(Lsn)>(
        self: &Arc<Self>,
        payloads: &[&[u8]],
        mode: SyncMode,
        apply: F,
    ) -> Result<Ticket, (Refusal, F)> {
        // Outside the lock: else all checksumming would queue behind one thread.
        let one;
        let many: Vec<(&[u8], u32)>;
        let summed: &[(&[u8], u32)] = if let [payload] = payloads {
            one = [(*payload, crc32c(payload))];
            &one
        } else {
            many = payloads.iter().map(|payload| (*payload, crc32c(payload))).collect();
            &many
        };
        let mut state = match self.reserve(summed) {
            Ok(state) => state,
            Err(refusal) => return Err((refusal, apply)),
        };
        let lsn = state.core.push(summed, mode);
        state.joined += 1;
        let cell = state.cell.clone();
        drop(state);
        let applied = Applied(&cell); // also when `apply` panics: nobody must wait for ever
        apply(lsn);
        drop(applied);
        Ok(Ticket { shell: self.clone(), cell, lsn })
    }

    /// Waits until the open group has room.
    fn reserve(&self, payloads: &[(&[u8], u32)]) -> Result<Guard<'_, State>, Refusal> {
        let mut state = self.state.lock();
        loop {
            state.core.usable().map_err(Refusal::Error)?;
            if !state.core.opened {
                return Err(Refusal::Opening);
            }
            match state.core.room(payloads) {
                Room::Yes => return Ok(state),
                Room::AfterSeal if state.can_lead() => state = self.lead(state),
                Room::AfterSeal => state = self.wait_for_room(state),
                Room::Segment(size) => {
                    if state.core.sabotage == Some(Sabotage::LsnBeforeSpace) {
                        state.core.next_lsn = state.core.next_lsn.next();
                    }
                    return Err(Refusal::Segment(size));
                }
            }
        }
    }

    fn wait_for_room<'a>(&'a self, mut state: Guard<'a, State>) -> Guard<'a, State> {
        state.room_waiters += 1;
        state = self.room.wait(state);
        state.room_waiters -= 1;
        state
    }

    /// A ticket that is acknowledged when all that has joined so far is durable; `None` when it
    /// is already.
    pub(crate) fn want_sync(self: &Arc<Self>) -> Result<Option<Ticket>, LogError> {
        let mut state = self.state.lock();
        state.core.usable()?;
        let last = Lsn(state.core.next_lsn.0 - 1);
        let idle = !state.core.in_flight && !state.core.has_work();
        if idle && state.core.all_durable() {
            return Ok(None);
        }
        state.core.want_sync();
        let cell = state.cell.clone();
        Ok(Some(Ticket { shell: self.clone(), cell, lsn: last }))
    }

    /// Seals the open group, does what it takes, and wakes those who wait for it.
    fn lead<'a>(&'a self, mut state: Guard<'a, State>) -> Guard<'a, State> {
        let plan = state.core.seal();
        state.promised = false;
        let fresh = state.fresh_cell();
        let cell = mem::replace(&mut state.cell, fresh);
        let joined = mem::take(&mut state.joined);
        let sabotage = state.core.sabotage;
        let room = state.room_waiters > 0;
        drop(state);
        if room {
            self.room.notify_all();
        }
        if sabotage == Some(Sabotage::AcknowledgedOutOfOrder) {
            cell.finish(Ok(Rung::Durable), None);
        }
        let result = plan.run(sabotage);
        cell.wait_for_all(joined);
        self.finish(cell, joined, plan, result)
    }

    /// Publishes a plan's outcome; wakes one of the next group, then all of this one.
    fn finish<'a>(
        &'a self,
        cell: Arc<Cell>,
        joined: u32,
        plan: Plan,
        result: io::Result<Rung>,
    ) -> Guard<'a, State> {
        let mut state = self.state.lock();
        let done = state.core.finished(plan, result);
        self.acknowledged.store(state.core.acknowledged.0, Ordering::Release);
        let next = state.core.has_work().then(|| state.cell.clone());
        let mut next = next.filter(|next| next.choose_leader());
        // Behind a single commit nobody is awaited, and behind a long group neither: then whoever
        // comes first leads.
        let small = (2..SMALL).contains(&joined);
        state.promised = small && next.is_some();
        let room = state.room_waiters > 0;
        drop(state);
        if room {
            self.room.notify_all();
        }
        if !small && let Some(next) = next.take() {
            next.changed.notify_one();
        }
        cell.finish(done, next);
        let mut state = self.state.lock();
        if state.retired.len() < RETIRED {
            state.retired.push(cell);
        }
        state
    }

    /// All through this LSN is acknowledged.
    pub(crate) fn acknowledged(&self) -> Lsn {
        Lsn(self.acknowledged.load(Ordering::Acquire))
    }

    /// Refuses whatever comes from here on, and waits for whoever has joined.
    pub(crate) fn shut(&self) -> Result<(), LogError> {
        let mut state = self.state.lock();
        state.core.closed = true;
        loop {
            state.core.poisoned_or(())?;
            let skip = state.core.sabotage == Some(Sabotage::ClosedWithoutSync);
            let done = !state.core.in_flight && !state.core.has_work();
            if done && (state.core.all_durable() || skip) {
                return Ok(());
            }
            // Before asking who may lead: a sync that is wanted waits for one of a full segment
            // that is under way, since that one alone may be told of a failure.
            state.core.want_sync();
            state = if state.can_lead() { self.lead(state) } else { self.wait_for_room(state) };
        }
    }

    /// Leads a group without commits, when there has been none for a while.
    pub(crate) fn idle(&self) -> Result<bool, LogError> {
        let mut state = self.state.lock();
        state.core.usable()?;
        if state.core.unsynced.iter().any(|older| older.syncing) {
            return Ok(false);
        }
        let Some(plan) = state.core.seal_idle() else { return Ok(false) };
        let sabotage = state.core.sabotage;
        drop(state);
        let result = plan.run(sabotage);
        let cell: Arc<Cell> = Arc::default();
        drop(self.finish(cell.clone(), 0, plan, result));
        let outcome = cell.state.lock().done.clone();
        match outcome {
            Some(Err(cause)) => Err(LogError::Poisoned { cause: cause.to_string() }),
            _ => Ok(true),
        }
    }

    /// Syncs the oldest full segment that needs it; `false` when none does. No commit waits for
    /// this but one that would begin a third segment, or asks for durability.
    pub(crate) fn sync_full_segment(&self) -> Result<bool, LogError> {
        let mut state = self.state.lock();
        state.core.usable()?;
        if state.core.in_flight {
            return Ok(false); // it may be syncing the same file; there will be another step
        }
        let Some(older) = state.core.unsynced.first_mut().filter(|older| !older.syncing) else {
            return Ok(false);
        };
        older.syncing = true;
        let (file, number) = (older.file.clone(), older.number);
        drop(state);
        let result = file.sync_data();
        let mut state = self.state.lock();
        let outcome = match result {
            Ok(_) => {
                state.core.counts.syncs += 1;
                let index = state.core.unsynced.iter().position(|older| older.number == number);
                if let Some(index) = index {
                    let synced = state.core.unsynced.remove(index);
                    state.core.durable = state.core.durable.max(synced.through);
                }
                Ok(true)
            }
            Err(error) => {
                let cause = state.core.poison(&error).to_string();
                state.core.unsynced.iter_mut().for_each(|older| older.syncing = false);
                Err(LogError::Poisoned { cause })
            }
        };
        drop(state);
        self.room.notify_all();
        outcome
    }
}

impl State {
    /// A cell that nobody holds: one of a group that is done, if its tickets are gone.
    fn fresh_cell(&mut self) -> Arc<Cell> {
        for index in 0..self.retired.len() {
            if let Some(cell) = Arc::get_mut(&mut self.retired[index]) {
                *cell = Cell::default();
                return self.retired.swap_remove(index);
            }
        }
        Arc::default()
    }

    fn can_lead(&self) -> bool {
        !self.core.in_flight && !self.promised && !self.core.must_wait()
    }
}

impl Ticket {
    /// The commit's place in the log; the last one's, for several.
    #[must_use]
    pub fn lsn(&self) -> Lsn {
        self.lsn
    }

    /// Whether the outcome stands already, so that [`wait`](Self::wait) does not block.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.cell.state.lock().done.is_some()
    }

    /// Waits until the group is acknowledged, leading it when nobody does. The receipt's rung has
    /// been reached.
    ///
    /// # Errors
    /// [`LogError::Poisoned`]: the commit may or may not be there after a reopen.
    pub fn wait(self) -> Result<Receipt, LogError> {
        let mut chosen = false;
        loop {
            if let Some(done) = self.cell.done() {
                return self.receipt(done);
            }
            let mut state = self.shell.state.lock();
            let may = !state.core.in_flight && (chosen || !state.promised);
            if may && Arc::ptr_eq(&state.cell, &self.cell) {
                if state.core.must_wait() {
                    drop(self.shell.wait_for_room(state));
                    continue;
                }
                if let Some(cause) = state.core.poisoned.clone() {
                    // Nothing is written any more; all who have joined are told here.
                    drop(state);
                    self.cell.finish(Err(cause), None);
                    continue;
                }
                state = self.shell.lead(state);
                drop(state);
                continue;
            }
            let mut cell = self.cell.state.lock();
            if cell.done.is_some() {
                continue;
            }
            cell.waiting += 1;
            drop(state);
            // At least one wait: who comes now was not chosen, even if somebody is.
            loop {
                cell = self.cell.changed.wait(cell);
                if cell.done.is_some() || cell.lead {
                    break;
                }
            }
            cell.waiting -= 1;
            chosen |= mem::take(&mut cell.lead);
            let next = if cell.waiting == 0 { cell.next.take() } else { None };
            drop(cell);
            if let Some(next) = next {
                next.changed.notify_one();
            }
        }
    }

    fn receipt(&self, done: Result<Rung, Arc<str>>) -> Result<Receipt, LogError> {
        match done {
            Ok(rung) => Ok(Receipt { lsn: self.lsn, rung }),
            Err(cause) => Err(LogError::Poisoned { cause: cause.to_string() }),
        }
    }
}

/// Says, when dropped, that a joiner has applied its commit.
struct Applied<'a>(&'a Cell);

impl Drop for Applied<'_> {
    fn drop(&mut self) {
        let mut cell = self.0.state.lock();
        cell.applied += 1;
        let last = cell.expected.is_some_and(|expected| cell.applied >= expected);
        drop(cell);
        if last {
            self.0.applied.notify_all();
        }
    }
}

impl Cell {
    fn done(&self) -> Option<Result<Rung, Arc<str>>> {
        self.state.lock().done.clone()
    }

    fn wait_for_all(&self, joined: u32) {
        let mut cell = self.state.lock();
        cell.expected = Some(joined);
        while cell.applied < joined {
            cell = self.applied.wait(cell);
        }
    }

    /// Wakes all who wait; then, by the last of them, the leader of the next group.
    fn finish(&self, done: Result<Rung, Arc<str>>, next: Option<Arc<Cell>>) {
        let mut cell = self.state.lock();
        cell.done = Some(done);
        let waiting = cell.waiting > 0;
        let next = if waiting { mem::replace(&mut cell.next, next) } else { next };
        drop(cell);
        if waiting {
            self.changed.notify_all();
        }
        if let Some(next) = next {
            next.changed.notify_one();
        }
    }

    /// Chooses a leader from those who wait, to be woken by the caller; `false` when nobody
    /// does: then the first who waits will see that nothing is in flight.
    fn choose_leader(&self) -> bool {
        let mut cell = self.state.lock();
        cell.lead = cell.waiting > 0;
        cell.lead
    }
}
