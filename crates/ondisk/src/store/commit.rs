//! The path of a commit: checked, its large values written, room made, joined to the log, and put into
//! the young maps.
//!
//! Invariant: between a commit's LSN and its place in the young maps no map is frozen; and no commit
//! gets an LSN before its large values are durable.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use ondisk_log::{Lsn, Receipt, SyncMode, Ticket};

use super::Store;
use crate::batch::{Batch, Touched};
use crate::commit::{Commit, CommitWriter};
use crate::error::Error;
use crate::keyspace::Space;
use crate::keyspaces::{Spaces, find};
use crate::values::Written;
use crate::worker::waited;

/// After so many bytes of commits the size of the log is looked at again.
const LOOK_AGAIN: u64 = 256 << 10;
/// What a commit costs the log at least: a block.
const LEAST_COST: u64 = 4096;

impl Store {
    /// The mode of a batch that says nothing else: that of its keyspaces, the strongest.
    pub(crate) fn mode_of(&self, batch: &Batch) -> SyncMode {
        let spaces = self.keyspaces.load();
        let modes = batch.touched.iter().filter_map(|id| find(&spaces, id));
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
        join: impl Fn(&Commit, &Touched) -> Result<Ticket, Error>,
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
    fn join_now(
        &self,
        commit: &Commit,
        touched: &Touched,
        mode: SyncMode,
    ) -> Result<Ticket, Error> {
        let _no_freeze = self.freezing.read().unwrap_or_else(PoisonError::into_inner);
        self.join(commit, touched, mode)
    }

    /// Checks a batch, and writes its large values to files of their own, durably.
    pub(crate) fn prepare(&self, batch: Batch) -> Result<Prepared, Error> {
        self.settings.limits.check_keys(&batch)?;
        if batch.mixed || batch.store.is_some_and(|id| id != self.log.store_id()) {
            return Err(Error::ForeignKeyspace);
        }
        let spaces = self.keyspaces.load();
        let limits = batch.touched.iter().filter_map(|id| find(&spaces, id));
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
        self.make_room(&Touched::one(space.id), cost, Purpose::Grow)?;
        let ticket = self.join_now(&commit, &Touched::one(space.id), mode)?;
        drop(written);
        self.committed(cost);
        self.acknowledge(ticket, mode)
    }

    /// Joins the log and puts the commit into the young maps. The caller holds freezes off.
    pub(crate) fn join(
        &self,
        commit: &Commit,
        touched: &Touched,
        mode: SyncMode,
    ) -> Result<Ticket, Error> {
        let spaces = self.keyspaces.load();
        for id in touched.iter() {
            if find(&spaces, id).is_none() {
                return Err(Error::KeyspaceDropped { name: format!("number {id}") });
            }
        }
        let insert = |lsn| {
            let touched = touched.iter().filter_map(|id| find(&spaces, id));
            let bytes: u64 = touched.map(|space| space.insert(lsn, commit)).sum();
            self.counters.young_bytes.fetch_add(bytes, Ordering::Relaxed);
        };
        Ok(self.log.join(commit.payload(), mode, insert)?)
    }

    /// Puts a commit of the log that recovery reads into the young maps.
    pub(crate) fn replay(&self, lsn: Lsn, commit: &Commit, touched: &Touched) {
        let spaces = self.keyspaces.load();
        let touched = touched.iter().filter_map(|id| find(&spaces, id));
        let behind = touched.filter(|space| space.engine.commit_point().through < lsn);
        let bytes: u64 = behind.map(|space| space.insert(lsn, commit)).sum();
        self.counters.young_bytes.fetch_add(bytes, Ordering::Relaxed);
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
        let receipt = waited(self, mode, || Ok(ticket.wait()?))?;
        self.alarm.committed(mode);
        Ok(receipt)
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
    pub(crate) touched: Touched,
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
