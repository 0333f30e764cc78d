//! LMDB, through heed: a commit is synced, as it is by default, where it is to be durable.
#![expect(unsafe_code, reason = "a memory map of a file, and a mode that does not sync")]

use std::ops::Bound;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use heed::types::Bytes;
use heed::{Database, Env, EnvFlags, EnvOpenOptions, FlagSetMode, RoTxn, WithTls};

use super::Cache;
use crate::store::{Ack, Entry, Reader, Result, Seen, Store, sum};

/// Address space, not disk.
const MAP: usize = 64 << 30;

type Records = Database<Bytes, Bytes>;

struct Lmdb {
    env: Env,
    records: Records,
    /// Whether a commit returns without a sync.
    lazy: AtomicBool,
}

struct View<'s> {
    transaction: RoTxn<'s, WithTls>,
    records: Records,
}

/// It has no cache but the system's page cache.
pub(super) fn open(path: &Path, _cache: Cache) -> Result<Box<dyn Store>> {
    // SAFETY: nobody else has the directory of this run.
    let env = unsafe { EnvOpenOptions::new().map_size(MAP).max_readers(256).open(path)? };
    let mut transaction = env.write_txn()?;
    let records = env.create_database(&mut transaction, None)?;
    transaction.commit()?;
    Ok(Box::new(Lmdb { env, records, lazy: AtomicBool::new(false) }))
}

impl Lmdb {
    fn be(&self, ack: Ack) -> Result<()> {
        let lazy = ack == Ack::Cached;
        if self.lazy.swap(lazy, Ordering::Relaxed) != lazy {
            let mode = if lazy { FlagSetMode::Enable } else { FlagSetMode::Disable };
            // SAFETY: a power cut in between may break the file, and a run has none.
            unsafe { self.env.set_flags(EnvFlags::NO_SYNC, mode)? };
        }
        Ok(())
    }
}

impl Store for Lmdb {
    /// In one transaction, which is the quickest.
    fn load(&self, batches: &mut dyn Iterator<Item = Vec<Entry>>) -> Result<()> {
        self.be(Ack::Durable)?;
        let mut transaction = self.env.write_txn()?;
        for (key, value) in batches.flatten() {
            self.records.put(&mut transaction, &key, &value)?;
        }
        Ok(transaction.commit()?)
    }

    fn read(&self, work: &mut dyn FnMut(&dyn Reader) -> Result<()>) -> Result<()> {
        work(&View { transaction: self.env.read_txn()?, records: self.records })
    }

    fn put(&self, key: &[u8], value: &[u8], ack: Ack) -> Result<()> {
        self.be(ack)?;
        let mut transaction = self.env.write_txn()?;
        self.records.put(&mut transaction, key, value)?;
        Ok(transaction.commit()?)
    }

    fn close(self: Box<Self>) -> Result<()> {
        self.env.force_sync()?;
        self.env.prepare_for_closing().wait();
        Ok(())
    }
}

impl Reader for View<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<u64>> {
        Ok(self.records.get(&self.transaction, key)?.map(sum))
    }

    fn scan(&self, from: &[u8], most: u64) -> Result<Seen> {
        let mut seen = Seen::default();
        // A bound that is empty is none.
        let lower = if from.is_empty() { Bound::Unbounded } else { Bound::Included(from) };
        for entry in self.records.range(&self.transaction, &(lower, Bound::Unbounded))? {
            let (key, value) = entry?;
            seen.see(key, value);
            if seen.entries == most {
                break;
            }
        }
        Ok(seen)
    }
}
