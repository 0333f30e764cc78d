//! The copy of one keyspace: entries come in any order, and the newest of each key stays.
//!
//! Invariant: the copy holds of each key the entry with the highest LSN that was given, or nothing
//! where that one says that the key is gone, or where its value is lost.

use std::collections::BTreeMap;

use ondisk_log::{Lsn, SyncMode};

use super::{Lost, Newest, Salvage};
use crate::batch::Batch;
use crate::db::Db;
use crate::engine::Site;
use crate::error::Error;
use crate::keyspace::handle::Keyspace;
use crate::value::Value;
use crate::values::ValueFiles;

/// Bytes of keys and values that are committed at once.
const BATCH_BYTES: usize = 256 << 10;

/// A keyspace that is being copied.
pub(super) struct Copy<'a> {
    db: &'a Db,
    keyspace: &'a Keyspace,
    values: ValueFiles,
    /// The LSN of the newest entry of each key, where it has one.
    seen: BTreeMap<Vec<u8>, Option<Lsn>>,
    batch: Batch,
    lost: &'a mut Vec<Lost>,
    whole: Whole,
    failed: Option<Error>,
}

/// Whether an engine has given all that it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whole {
    Yes,
    No,
}

impl<'a> Copy<'a> {
    pub(super) fn new(
        site: &Site,
        db: &'a Db,
        keyspace: &'a Keyspace,
        lost: &'a mut Vec<Lost>,
    ) -> Result<Self, Error> {
        Ok(Self {
            db,
            keyspace,
            values: ValueFiles::open(site.clone())?,
            seen: BTreeMap::new(),
            batch: Batch::new(),
            lost,
            whole: Whole::Yes,
            failed: None,
        })
    }

    /// Takes what the log says. An engine that gave all it holds, through a commit, is right about
    /// that.
    pub(super) fn tail<'t>(
        &mut self,
        ops: impl Iterator<Item = (&'t [u8], &'t Newest)>,
        through: Option<Lsn>,
    ) -> Result<(), Error> {
        for (key, (lsn, value)) in ops {
            let held = match self.whole {
                Whole::Yes => through,
                // What an engine gave without an LSN is as of its commit point.
                Whole::No => self.seen.get(key).and_then(|seen| seen.or(through)),
            };
            if held.is_none_or(|held| *lsn > held) {
                self.put(key, value.as_deref(), Some(*lsn))?;
            }
        }
        Ok(())
    }

    /// Commits what was not committed yet.
    pub(super) fn finish(mut self) -> Result<(), Error> {
        self.failed.take().map_or(Ok(()), Err)?;
        self.commit()
    }

    fn put(&mut self, key: &[u8], value: Option<&[u8]>, lsn: Option<Lsn>) -> Result<(), Error> {
        self.seen.insert(key.to_vec(), lsn);
        let resolved = value.map(|value| self.values.resolve(key, Value::copy(value))).transpose();
        let value = match resolved {
            Ok(value) => value,
            Err(Error::Damaged { path, offset, damage }) => {
                let what = format!("{damage}: the value of the key {}", key.escape_ascii());
                self.lost.push(Lost { path, offset, len: 0, lsn, what });
                None
            }
            Err(error) => return Err(error),
        };
        let batch = std::mem::take(&mut self.batch);
        self.batch = match value {
            Some(value) => batch.put_in(self.keyspace, key, value),
            None => batch.delete_in(self.keyspace, key),
        };
        if self.batch.bytes() >= BATCH_BYTES { self.commit() } else { Ok(()) }
    }

    fn commit(&mut self) -> Result<(), Error> {
        let batch = std::mem::take(&mut self.batch);
        if batch.is_empty() {
            return Ok(());
        }
        self.db.batch_with(batch, SyncMode::None).map(drop)
    }
}

impl Salvage for Copy<'_> {
    fn entry(&mut self, key: &[u8], value: Option<&[u8]>, lsn: Option<Lsn>) {
        let newer = self.seen.get(key).is_none_or(|seen| lsn >= *seen);
        if newer && self.failed.is_none() {
            self.failed = self.put(key, value, lsn).err();
        }
    }

    fn lost(&mut self, lost: Lost) {
        self.whole = Whole::No;
        self.lost.push(lost);
    }
}
