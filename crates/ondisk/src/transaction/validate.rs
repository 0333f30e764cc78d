//! Whether anybody wrote, since a transaction's snapshot, what it has read.
//!
//! Invariant: while the check runs and until the transaction has its LSN, no commit gets one, and
//! every commit that has one stands in the young maps, visible or not. Those are looked at: the
//! active one, the one that is frozen, and those that the engine has taken over since the
//! transaction began.

use ondisk_log::{Lsn, SyncMode, Ticket};

use crate::batch::Batch;
use crate::error::Error;
use crate::keyspace::{Frozen, Space};
use crate::sabotage::Sabotage;
use crate::snapshot::Snapshot;
use crate::store::Store;
use crate::transaction::breaks;
use crate::transaction::reads::Reads;
use crate::transaction::sabotage::TransactionRule;
use crate::young::Young;

/// Gives a batch its place, if what was read as of a snapshot still stands.
pub(crate) fn begin(
    store: &Store,
    batch: Batch,
    mode: SyncMode,
    snapshot: &Snapshot,
    reads: &Reads,
) -> Result<Ticket, Error> {
    if breaks(store, TransactionRule::ReadSetNotValidated) {
        return store.begin(batch, mode);
    }
    if breaks(store, TransactionRule::ValidatedOutside) {
        check(store, snapshot, reads)?;
        std::thread::yield_now();
        return store.begin(batch, mode);
    }
    store.begin_checked(batch, mode, || check(store, snapshot, reads))
}

fn check(store: &Store, snapshot: &Snapshot, reads: &Reads) -> Result<(), Error> {
    for id in reads.keyspaces() {
        if let Some(space) = snapshot.space(id) {
            check_space(store, snapshot.lsn(), space, reads)?;
        }
    }
    Ok(())
}

fn check_space(store: &Store, since: Lsn, space: &Space, reads: &Reads) -> Result<(), Error> {
    if space.is_dropped() {
        return Err(Error::KeyspaceDropped { name: space.name.clone() });
    }
    if store.log.last() <= since {
        return Ok(()); // nothing was committed since
    }
    // Before the past: what is let go here meanwhile is there already.
    let now = space.generations();
    let seen = Compared { store, since, space, reads };
    seen.with(&now.active)?;
    if breaks(store, TransactionRule::FrozenNotValidated) {
        return Ok(());
    }
    if let Some(frozen) = &now.frozen {
        seen.with(&frozen.young)?;
    }
    space.past.visit(|maps, forgotten| {
        if since < forgotten && !breaks(store, TransactionRule::PastForgotten) {
            return Err(Error::TooOld { lsn: since, kept: forgotten });
        }
        let needed = maps.take_while(|it: &&Frozen| it.through > since);
        needed.into_iter().try_for_each(|it| seen.with(&it.young))
    })
}

/// What was read of a keyspace, against what was written since.
struct Compared<'a> {
    store: &'a Store,
    since: Lsn,
    space: &'a Space,
    reads: &'a Reads,
}

impl Compared<'_> {
    fn with(&self, young: &Young) -> Result<(), Error> {
        if young.last_lsn() <= self.since {
            return Ok(());
        }
        let visible_only = breaks(self.store, TransactionRule::ValidatedAgainstVisible);
        let through = if visible_only { self.store.visible() } else { Lsn(u64::MAX) };
        let id = self.space.id;
        for key in self.reads.keys(id) {
            if let Some(lsn) = young.written(key, through).filter(|lsn| *lsn > self.since) {
                return Err(self.conflict(key, lsn));
            }
        }
        if self.store.breaks(Sabotage::Transaction(TransactionRule::RangesNotValidated)) {
            return Ok(());
        }
        for stretch in self.reads.stretches(id) {
            let (lower, upper) = (stretch.lower(), stretch.upper());
            if let Some((key, lsn)) = young.written_within(lower, upper, self.since, through) {
                return Err(self.conflict(&key, lsn));
            }
        }
        Ok(())
    }

    fn conflict(&self, key: &[u8], lsn: Lsn) -> Error {
        Error::Conflict { keyspace: self.space.name.clone(), key: key.to_vec(), lsn }
    }
}
