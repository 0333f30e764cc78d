//! Transactions: reads as of one commit, writes that show to itself alone, and a commit only if
//! nobody wrote meanwhile what was read.
//!
//! ```text
//! first read ─► snapshot ─► reads are noted, writes are kept ─► commits are held off ─► reads are
//! compared with every commit above the snapshot, visible or not ─► LSN, young maps ─► go on
//! ─► the group is written and synced ─► visible ─► acknowledged
//! ```
//!
//! Invariant: the transactions that are committed, and all other commits, give what they would
//! give one after the other in the order of their LSNs, one that only reads at its snapshot. So
//! they are strictly serializable. While no transaction is open nothing is kept for any.

use std::cell::{OnceCell, RefCell};
use std::ops::RangeBounds;
use std::sync::Arc;

use ondisk_fs::Rung;
use ondisk_log::{Lsn, Receipt, SyncMode};

use crate::db::{Db, Pending, possible};
use crate::error::Error;
use crate::keyspace::handle::{Keyspace, prefix_end};
use crate::keyspace::{DEFAULT_KEYSPACE, Generations};
use crate::later::{Later, mode_for};
use crate::sabotage::Sabotage;
use crate::snapshot::{At, Holder, Snapshot};
use crate::store::Store;
use crate::transaction::range::TransactionRange;
use crate::transaction::reads::{Beyond, Reads, Stretch};
use crate::transaction::sabotage::TransactionRule;
use crate::transaction::writes::{Place, Writes};
use crate::value::{Key, Value};

pub(crate) mod range;
mod reads;
mod retry;
pub(crate) mod sabotage;
mod validate;
mod writes;

/// Reads and writes that happen as one, at one moment.
///
/// It sees the store as of one commit, the last one that was acknowledged at its first read, and
/// its own writes over that, in ranges too. Nobody sees its writes before it is committed. When
/// somebody else wrote meanwhile what it had read, a key or anything in a range as far as that was
/// walked, its commit is refused with [`Error::Conflict`], and it may be run again:
/// [`Db::transact`] does that. So what is committed is as if transactions had run one after the
/// other, in an order that real time agrees with.
///
/// Nothing is locked while it is open, and one that only reads, or only writes, meets no conflict.
/// Dropping it rolls it back.
///
/// ```
/// # fn main() -> Result<(), ondisk::Error> {
/// # let dir = tempfile::tempdir().expect("a directory to work in");
/// # let db = ondisk::Db::open(dir.path())?;
/// db.put("alice", "100")?;
///
/// let mut tx = db.transaction();
/// let balance = tx.get("alice")?;
/// tx.put("alice", "70")?;
/// tx.put("bob", "30")?;
/// assert_eq!(tx.get("bob")?.as_deref(), Some(&b"30"[..]));
/// assert_eq!(db.get("bob")?, None); // nobody else sees it yet
/// tx.commit()?;
///
/// let mut late = db.transaction();
/// late.get("alice")?;
/// late.put("carol", "1")?;
/// db.put("alice", "0")?;
/// assert!(late.commit().unwrap_err().is_conflict());
/// # drop(balance); Ok(()) }
/// ```
///
/// A transaction that was committed cannot be used any more:
///
/// ```compile_fail,E0382
/// # fn main() -> Result<(), ondisk::Error> {
/// # let db = ondisk::Db::open("never")?;
/// let tx = db.transaction();
/// tx.commit()?;
/// tx.get("alice")?;
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Transaction {
    db: Db,
    snapshot: OnceCell<Snapshot>,
    reads: RefCell<Reads>,
    writes: Writes,
}

impl Db {
    /// Begins a transaction. Its first read says of which commit its reads are.
    #[must_use]
    pub fn transaction(&self) -> Transaction {
        let store = self.store();
        let forgets = breaks(store, TransactionRule::ReadsForgotten);
        let beyond = if forgets { Beyond::Forget } else { Beyond::Coarsen };
        Transaction {
            db: self.clone(),
            snapshot: OnceCell::new(),
            reads: RefCell::new(Reads::new(store.settings.read_budget, beyond)),
            writes: Writes::default(),
        }
    }
}

impl Transaction {
    /// The commit that its reads are of: the last one that was acknowledged at its first read.
    /// `None` before that.
    #[must_use]
    pub fn lsn(&self) -> Option<Lsn> {
        self.snapshot.get().map(Snapshot::lsn)
    }

    /// The value of a key.
    ///
    /// # Errors
    /// [`Error::Damaged`], [`Error::Io`], [`Error::Closed`].
    pub fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<Value>, Error> {
        self.find(DEFAULT_KEYSPACE, key.as_ref())
    }

    /// The value of a key of a keyspace.
    ///
    /// # Errors
    /// As [`get`](Self::get); [`Error::KeyspaceDropped`], [`Error::ForeignKeyspace`], and
    /// [`Error::NoKeyspace`] for one that was made after the first read.
    pub fn get_in(
        &self,
        keyspace: &Keyspace,
        key: impl AsRef<[u8]>,
    ) -> Result<Option<Value>, Error> {
        self.find(self.id(keyspace)?, key.as_ref())
    }

    /// Whether a key has a value.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn contains(&self, key: impl AsRef<[u8]>) -> Result<bool, Error> {
        Ok(self.get(key)?.is_some())
    }

    /// Whether a key of a keyspace has a value.
    ///
    /// # Errors
    /// As [`get_in`](Self::get_in).
    pub fn contains_in(&self, keyspace: &Keyspace, key: impl AsRef<[u8]>) -> Result<bool, Error> {
        Ok(self.get_in(keyspace, key)?.is_some())
    }

    /// The values of several keys, in the order in which they are asked for.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn multi_get<K: AsRef<[u8]>>(
        &self,
        keys: impl IntoIterator<Item = K>,
    ) -> Result<Vec<Option<Value>>, Error> {
        keys.into_iter().map(|key| self.get(key)).collect()
    }

    /// The values of several keys of a keyspace, in the order in which they are asked for.
    ///
    /// # Errors
    /// As [`get_in`](Self::get_in).
    pub fn multi_get_in<K: AsRef<[u8]>>(
        &self,
        keyspace: &Keyspace,
        keys: impl IntoIterator<Item = K>,
    ) -> Result<Vec<Option<Value>>, Error> {
        keys.into_iter().map(|key| self.get_in(keyspace, key)).collect()
    }

    /// The keys between two bounds with their values, in order from either end. It counts as read
    /// as far as it is walked.
    ///
    /// # Errors
    /// [`Error::Closed`]. What is wrong with one place, the walk says.
    pub fn range<'k>(
        &self,
        bounds: impl RangeBounds<&'k [u8]>,
    ) -> Result<TransactionRange<'_>, Error> {
        self.walk(DEFAULT_KEYSPACE, bounds)
    }

    /// The keys of a keyspace between two bounds, as [`range`](Self::range).
    ///
    /// # Errors
    /// As [`get_in`](Self::get_in).
    pub fn range_in<'k>(
        &self,
        keyspace: &Keyspace,
        bounds: impl RangeBounds<&'k [u8]>,
    ) -> Result<TransactionRange<'_>, Error> {
        self.walk(self.id(keyspace)?, bounds)
    }

    /// The keys that begin with a prefix, with their values.
    ///
    /// # Errors
    /// As [`range`](Self::range).
    pub fn prefix(&self, prefix: impl AsRef<[u8]>) -> Result<TransactionRange<'_>, Error> {
        self.walk_prefix(DEFAULT_KEYSPACE, prefix.as_ref())
    }

    /// The keys of a keyspace that begin with a prefix, with their values.
    ///
    /// # Errors
    /// As [`get_in`](Self::get_in).
    pub fn prefix_in(
        &self,
        keyspace: &Keyspace,
        prefix: impl AsRef<[u8]>,
    ) -> Result<TransactionRange<'_>, Error> {
        self.walk_prefix(self.id(keyspace)?, prefix.as_ref())
    }

    /// The first key, with its value.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn first(&self) -> Result<Option<(Key, Value)>, Error> {
        self.range(..)?.next().transpose()
    }

    /// The first key of a keyspace, with its value.
    ///
    /// # Errors
    /// As [`get_in`](Self::get_in).
    pub fn first_in(&self, keyspace: &Keyspace) -> Result<Option<(Key, Value)>, Error> {
        self.range_in(keyspace, ..)?.next().transpose()
    }

    /// The last key, with its value.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn last(&self) -> Result<Option<(Key, Value)>, Error> {
        self.range(..)?.next_back().transpose()
    }

    /// The last key of a keyspace, with its value.
    ///
    /// # Errors
    /// As [`get_in`](Self::get_in).
    pub fn last_in(&self, keyspace: &Keyspace) -> Result<Option<(Key, Value)>, Error> {
        self.range_in(keyspace, ..)?.next_back().transpose()
    }

    /// Gives a key a value, when the transaction is committed.
    ///
    /// # Errors
    /// [`Error::KeyTooLarge`], [`Error::ValueTooLarge`]; [`Error::BatchTooLarge`] where it does
    /// not fit beside what was written before. Then it is not written, and all else is as it was.
    pub fn put(&mut self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<(), Error> {
        self.write(DEFAULT_KEYSPACE, key.as_ref(), Some(value.as_ref()))
    }

    /// Gives a key of a keyspace a value, when the transaction is committed.
    ///
    /// # Errors
    /// As [`put`](Self::put); [`Error::KeyspaceDropped`], [`Error::ForeignKeyspace`].
    pub fn put_in(
        &mut self,
        keyspace: &Keyspace,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
    ) -> Result<(), Error> {
        self.write(self.id(keyspace)?, key.as_ref(), Some(value.as_ref()))
    }

    /// Takes a key away, when the transaction is committed; one that is not there is no error.
    ///
    /// # Errors
    /// As [`put`](Self::put).
    pub fn delete(&mut self, key: impl AsRef<[u8]>) -> Result<(), Error> {
        self.write(DEFAULT_KEYSPACE, key.as_ref(), None)
    }

    /// Takes a key of a keyspace away, when the transaction is committed.
    ///
    /// # Errors
    /// As [`put_in`](Self::put_in).
    pub fn delete_in(&mut self, keyspace: &Keyspace, key: impl AsRef<[u8]>) -> Result<(), Error> {
        self.write(self.id(keyspace)?, key.as_ref(), None)
    }

    /// Commits, in the mode of the keyspaces that were written, the strongest of them. On return
    /// it is visible, and on the rung that the receipt names. One that wrote nothing gets no LSN
    /// of its own: its receipt names the commit that its reads are of, and how safe that is.
    ///
    /// # Errors
    /// [`Error::Conflict`], [`Error::TooOld`]: nothing was written, and it may be run again. As
    /// [`Db::batch`].
    pub fn commit(self) -> Result<Receipt, Error> {
        self.commit_in(None)
    }

    /// As [`commit`](Self::commit), in a mode of its own. In mode [`Sync`](SyncMode::Sync) one
    /// that wrote nothing waits until all that it saw is durable.
    ///
    /// # Errors
    /// As [`commit`](Self::commit).
    pub fn commit_with(self, mode: SyncMode) -> Result<Receipt, Error> {
        self.commit_in(Some(mode))
    }

    /// Gets its place in the log and returns without waiting for its acknowledgement, as
    /// [`Db::begin`]. Nothing is against it from here on.
    ///
    /// # Errors
    /// As [`commit`](Self::commit), but for a poisoned log: [`Pending::wait`] tells.
    pub fn begin_commit(self) -> Result<Pending, Error> {
        self.place(None)
    }

    /// As [`begin_commit`](Self::begin_commit), for asynchronous callers: the future resolves when
    /// the commit has reached a rung, as [`Db::commit_later`].
    ///
    /// # Errors
    /// As [`begin_commit`](Self::begin_commit); a poisoned log is told by the future.
    pub fn commit_later(self, rung: Rung) -> Result<Later, Error> {
        let db = self.db.clone();
        Ok(db.later(self.place(Some(mode_for(rung)))?))
    }

    /// Forgets all that was written. Dropping it does the same.
    pub fn rollback(self) {}

    fn commit_in(self, mode: Option<SyncMode>) -> Result<Receipt, Error> {
        let store = Arc::clone(self.db.store());
        let only_read = self.writes.is_empty();
        let pending = self.place(mode)?;
        if only_read && mode == Some(SyncMode::Sync) {
            store.log.wait_durable(pending.lsn())?;
            return Ok(Receipt { lsn: pending.lsn(), rung: Rung::Durable });
        }
        pending.wait()
    }

    /// Gets its LSN, if it wrote anything and nothing is against it.
    fn place(self, mode: Option<SyncMode>) -> Result<Pending, Error> {
        let store = Arc::clone(self.db.store());
        store.check_open()?;
        if self.writes.is_empty() {
            let lsn = self.lsn().unwrap_or_else(|| store.visible());
            let is_durable = store.log.durable() >= lsn;
            let rung = if is_durable { Rung::Durable } else { Rung::Cached };
            let mode = mode.unwrap_or(store.settings.mode);
            return Ok(Pending::done(store, Receipt { lsn, rung }, mode));
        }
        let batch = self.writes.into_batch();
        let mode = mode.unwrap_or_else(|| store.mode_of(&batch));
        let reads = self.reads.into_inner();
        let ticket = match self.snapshot.get() {
            Some(snapshot) if !reads.is_empty() => {
                validate::begin(&store, batch, mode, snapshot, &reads)?
            }
            _ => store.begin(batch, mode)?,
        };
        Ok(Pending::new(store, ticket, mode))
    }

    fn find(&self, keyspace: u32, key: &[u8]) -> Result<Option<Value>, Error> {
        if let Some(own) = self.writes.get(keyspace, key) {
            return Ok(own.value.clone().map(Value::from));
        }
        let (generations, visible) = self.generations(keyspace)?;
        self.reads.borrow_mut().key(keyspace, key);
        generations.get(key, visible)
    }

    fn walk<'k>(
        &self,
        keyspace: u32,
        bounds: impl RangeBounds<&'k [u8]>,
    ) -> Result<TransactionRange<'_>, Error> {
        let (generations, visible) = self.generations(keyspace)?;
        let Some((lower, upper)) = possible(&bounds) else { return Ok(TransactionRange::empty()) };
        let base = generations.range(lower, upper, visible);
        let own = self.writes.range(keyspace, (lower, upper));
        let rule = match self.db.store().settings.sabotage {
            Some(Sabotage::Transaction(rule)) => Some(rule),
            _ => None,
        };
        let stretch = Stretch::new(lower, upper);
        Ok(TransactionRange::new(base, own, &self.reads, keyspace, stretch, rule))
    }

    fn walk_prefix(&self, keyspace: u32, prefix: &[u8]) -> Result<TransactionRange<'_>, Error> {
        match prefix_end(prefix) {
            Some(end) => self.walk(keyspace, prefix..&end[..]),
            None => self.walk(keyspace, prefix..),
        }
    }

    fn write(&mut self, keyspace: u32, key: &[u8], value: Option<&[u8]>) -> Result<(), Error> {
        let store = Arc::clone(self.db.store());
        let value = value.map(|value| {
            let large = store.keyspaces.with(keyspace, |space| space.values.takes(value));
            (value, if large == Some(true) { Place::File } else { Place::Log })
        });
        self.writes.push(store.settings.limits, keyspace, key, value)
    }

    /// A keyspace as of the first read, and the commit that that is of.
    fn generations(&self, keyspace: u32) -> Result<(Arc<Generations>, Lsn), Error> {
        let store = self.db.store();
        store.check_open()?;
        let snapshot = self
            .snapshot
            .get_or_init(|| Snapshot::take(store, At::Acknowledged, Holder::Transaction));
        if breaks(store, TransactionRule::SnapshotPerRead) {
            let now = Snapshot::take(store, At::Acknowledged, Holder::Reader);
            return Ok((Arc::clone(now.find(keyspace)?), now.lsn()));
        }
        Ok((Arc::clone(snapshot.find(keyspace)?), snapshot.lsn()))
    }

    /// The number of a keyspace of this store.
    fn id(&self, keyspace: &Keyspace) -> Result<u32, Error> {
        if keyspace.store_id() != self.db.store().log.store_id() {
            return Err(Error::ForeignKeyspace);
        }
        if keyspace.space().is_dropped() {
            return Err(Error::KeyspaceDropped { name: keyspace.name().to_owned() });
        }
        Ok(keyspace.id())
    }
}

fn breaks(store: &Store, rule: TransactionRule) -> bool {
    store.breaks(Sabotage::Transaction(rule))
}

#[cfg(test)]
mod tests;
