//! The handle to a keyspace: what a program holds and calls.
//!
//! Invariant: a call on a keyspace that was dropped answers so, by whichever handle it comes; its
//! number is never another keyspace's.

use std::ops::RangeBounds;
use std::sync::Arc;

use ondisk_log::{Receipt, StoreId, SyncMode};

use crate::batch::Batch;
use crate::db::Db;
use crate::error::Error;
use crate::keyspace::{Generations, Space};
use crate::options::KeyspaceOptions;
use crate::range::Range;
use crate::value::{Key, Value};

/// A keyspace of a store: keys of its own, kept by an engine of its own, and committed in the one
/// log that all keyspaces share. Made by [`Db::keyspace`].
///
/// A clone is one more handle to the same keyspace; it keeps the store open.
///
/// ```
/// # fn main() -> Result<(), ondisk::Error> {
/// # let dir = tempfile::tempdir().expect("a directory to work in");
/// # let db = ondisk::Db::open(dir.path())?;
/// use ondisk::{Batch, EngineKind, KeyspaceOptions};
///
/// let events = db.keyspace("events", KeyspaceOptions::new(EngineKind::Lsm))?;
/// let index = db.keyspace("index", KeyspaceOptions::new(EngineKind::Btree))?;
/// // One commit over both: after a power cut both are there, or neither is.
/// db.batch(Batch::new().put_in(&events, "e1", "signed up").put_in(&index, "ada", "e1"))?;
/// assert_eq!(index.get("ada")?.as_deref(), Some(&b"e1"[..]));
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Keyspace {
    db: Db,
    space: Arc<Space>,
}

impl Keyspace {
    pub(crate) fn new(db: Db, space: Arc<Space>) -> Self {
        Self { db, space }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.space.name
    }

    /// What it was made with.
    #[must_use]
    pub fn options(&self) -> KeyspaceOptions {
        self.space.options
    }

    /// The value of a key, as [`Db::get`].
    ///
    /// # Errors
    /// As [`Db::get`], and [`Error::KeyspaceDropped`].
    pub fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<Value>, Error> {
        self.check()?;
        self.space.get(key.as_ref(), self.db.store().visible())
    }

    /// Whether a key has a value.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn contains(&self, key: impl AsRef<[u8]>) -> Result<bool, Error> {
        Ok(self.get(key)?.is_some())
    }

    /// The values of several keys, in the order in which they are asked for, all as of one
    /// commit.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn multi_get<K: AsRef<[u8]>>(
        &self,
        keys: impl IntoIterator<Item = K>,
    ) -> Result<Vec<Option<Value>>, Error> {
        self.check()?;
        let visible = self.db.store().visible();
        let generations = self.generations();
        keys.into_iter().map(|key| generations.get(key.as_ref(), visible)).collect()
    }

    /// The keys between two bounds with their values, in order from either end, as of one commit.
    /// As [`Db::range`].
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn range<'k>(&self, bounds: impl RangeBounds<&'k [u8]>) -> Result<Range, Error> {
        self.check()?;
        Ok(self.db.store().range(&self.space, bounds))
    }

    /// The keys that begin with a prefix, with their values.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn prefix(&self, prefix: impl AsRef<[u8]>) -> Result<Range, Error> {
        let prefix = prefix.as_ref();
        let end = prefix_end(prefix);
        match &end {
            Some(end) => self.range(prefix..&end[..]),
            None => self.range(prefix..),
        }
    }

    /// The first key, with its value.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn first(&self) -> Result<Option<(Key, Value)>, Error> {
        self.range(..)?.next().transpose()
    }

    /// The last key, with its value.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn last(&self) -> Result<Option<(Key, Value)>, Error> {
        self.range(..)?.next_back().transpose()
    }

    /// Gives a key a value, in the keyspace's mode. As [`Db::put`].
    ///
    /// # Errors
    /// As [`Db::put`], and [`Error::KeyspaceDropped`].
    pub fn put(&self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<Receipt, Error> {
        self.put_with(key, value, self.mode())
    }

    /// As [`put`](Self::put), in a mode of its own.
    ///
    /// # Errors
    /// As [`put`](Self::put).
    pub fn put_with(
        &self,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
        mode: SyncMode,
    ) -> Result<Receipt, Error> {
        self.check()?;
        let (key, value) = (key.as_ref(), value.as_ref());
        self.db.store().put(&self.space, key, value, mode)
    }

    /// Takes a key away; one that is not there is no error. As [`Db::delete`].
    ///
    /// # Errors
    /// As [`put`](Self::put).
    pub fn delete(&self, key: impl AsRef<[u8]>) -> Result<Receipt, Error> {
        self.check()?;
        self.db.batch_with(Batch::one_in(self.space.id, key.as_ref(), None), self.mode())
    }

    /// The mode of commits that say nothing else.
    #[must_use]
    pub fn mode(&self) -> SyncMode {
        self.space.mode(self.db.store().settings.mode)
    }

    pub(crate) fn id(&self) -> u32 {
        self.space.id
    }

    pub(crate) fn store_id(&self) -> StoreId {
        self.db.store().log.store_id()
    }

    pub(crate) fn space(&self) -> &Arc<Space> {
        &self.space
    }

    fn generations(&self) -> Arc<Generations> {
        self.space.generations()
    }

    fn check(&self) -> Result<(), Error> {
        self.db.store().check_open()?;
        if self.space.is_dropped() {
            return Err(Error::KeyspaceDropped { name: self.space.name.clone() });
        }
        Ok(())
    }
}

/// The first key that is above all with a prefix; `None` where none is.
pub(crate) fn prefix_end(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte < u8::MAX)?;
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    Some(end)
}
