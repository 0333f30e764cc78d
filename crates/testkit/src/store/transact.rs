//! Transactions of a story: one at a time, with commits of others in between.
//!
//! Invariant: a transaction that is committed saw what the model says, its own writes on top; one
//! that another commit went against is refused, and nothing of it is there. (What many at once
//! make of each other: `testkit::history`.)

use ondisk::{Db, Error, Keyspace, SyncMode, Transaction};

use super::chain::Map;
use super::story::{Between, Fill, NAMES, Op, key};
use super::world::World;

/// A keyspace that a transaction touches, and what it should see of it.
struct Seen {
    slot: usize,
    space: Keyspace,
    map: Map,
}

impl World {
    /// Reads and writes, lets others commit, and commits.
    pub(super) fn transaction(
        &mut self,
        ops: &[Op],
        between: &[Op],
        mode: SyncMode,
    ) -> Result<(), String> {
        let db = self.store()?;
        self.see(&db);
        let mut seen: Vec<Seen> = Vec::new();
        for op in ops {
            let name = NAMES[op.slot];
            let Some(map) = self.chain().map(name) else { continue };
            if seen.iter().all(|it| it.slot != op.slot) {
                let space = self.retried(|| db.existing_keyspace(name))?;
                seen.push(Seen { slot: op.slot, space, map: Map::clone(&map) });
            }
        }
        let mut transaction = db.transaction();
        match write(&mut transaction, &mut seen, ops) {
            Ok(done) => done?,
            Err(error) => return self.trouble("transaction", error),
        }
        let before = self.chain().begun();
        if !between.is_empty() {
            self.commits(&[between.to_vec()], Some(SyncMode::None), Between::Nothing)?;
        }
        let against = between.iter().any(|op| seen.iter().any(|it| it.slot == op.slot));
        self.fs().label("transaction");
        let against = against && self.chain().begun() > before;
        self.commit(&db, transaction, ops, mode, against)
    }

    fn commit(
        &mut self,
        db: &Db,
        transaction: Transaction,
        ops: &[Op],
        mode: SyncMode,
        against: bool,
    ) -> Result<(), String> {
        let wrote = ops.iter().any(|op| self.chain().options(NAMES[op.slot]).is_some());
        let pending = match transaction.begin_commit() {
            Ok(pending) => pending,
            Err(Error::Conflict { .. }) if against => return Ok(()),
            // Little is kept where budgets are small; and some ask for too much.
            Err(Error::TooOld { .. }) => return Ok(()),
            Err(Error::BatchTooLarge { bytes, limit }) if bytes > limit => return Ok(()),
            Err(error) => return self.trouble("transaction", error),
        };
        if !wrote {
            return pending.wait().map(drop).or_else(|error| self.trouble("transaction", error));
        }
        if against {
            return Err("a transaction is committed that another commit went against".into());
        }
        let ops = ops.iter();
        let number = self
            .chain_mut()
            .commit(ops.map(|op| (NAMES[op.slot], key(op.key), op.value.map(Fill::bytes))));
        self.begun.push((number, pending.lsn()));
        self.acknowledge(number, pending, SyncMode::None)?;
        if mode == SyncMode::Sync { self.run_sync(db) } else { Ok(()) }
    }
}

/// Reads every key that is written, before and after; and then all there is.
fn write(
    transaction: &mut Transaction,
    seen: &mut [Seen],
    ops: &[Op],
) -> Result<Result<(), String>, Error> {
    for Op { slot, key: n, value } in ops {
        let Some(Seen { space, map, .. }) = seen.iter_mut().find(|it| it.slot == *slot) else {
            continue;
        };
        let key = key(*n);
        if transaction.get_in(space, &key)?.as_deref() != map.get(&key).map(|value| &value[..]) {
            return Ok(Err("a transaction reads another value".into()));
        }
        match value.map(Fill::bytes) {
            Some(bytes) => {
                transaction.put_in(space, &key, &bytes)?;
                map.insert(key.clone(), bytes);
            }
            None => {
                transaction.delete_in(space, &key)?;
                map.remove(&key);
            }
        }
        if transaction.get_in(space, &key)?.as_deref() != map.get(&key).map(|value| &value[..]) {
            return Ok(Err("a transaction does not see its own write".into()));
        }
    }
    for Seen { space, map, .. } in seen {
        let mut found = Map::new();
        for entry in transaction.range_in(space, ..)? {
            let (key, value) = entry?;
            found.insert(key.to_vec(), value.into_bytes());
        }
        let last = transaction.last_in(space)?.map(|(key, _)| key.to_vec());
        if found != *map || last.as_ref() != map.keys().next_back() {
            return Ok(Err("a range of a transaction differs".into()));
        }
    }
    Ok(Ok(()))
}
