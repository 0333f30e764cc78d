//! ondisk: a keyspace of an engine, in a store with the defaults of its builder.

use std::ops::Bound;
use std::path::Path;

use ondisk::{Batch, Db, EngineKind, Keyspace, KeyspaceOptions, Step, SyncMode};

use super::Cache;
use crate::store::{Ack, Entry, Reader, Result, Seen, Store, sum};

struct Ondisk {
    db: Db,
    records: Keyspace,
}

pub(super) fn bitcask(path: &Path, cache: Cache) -> Result<Box<dyn Store>> {
    open(path, cache, EngineKind::Bitcask)
}

pub(super) fn lsm(path: &Path, cache: Cache) -> Result<Box<dyn Store>> {
    open(path, cache, EngineKind::Lsm)
}

pub(super) fn btree(path: &Path, cache: Cache) -> Result<Box<dyn Store>> {
    open(path, cache, EngineKind::Btree)
}

fn open(path: &Path, cache: Cache, engine: EngineKind) -> Result<Box<dyn Store>> {
    let db = Db::builder().cache(cache.0).open(path.join("db"))?;
    let records = db.keyspace("records", KeyspaceOptions::new(engine))?;
    Ok(Box::new(Ondisk { db, records }))
}

impl Store for Ondisk {
    fn load(&self, batches: &mut dyn Iterator<Item = Vec<Entry>>) -> Result<()> {
        for entries in batches {
            let put = |batch: Batch, (key, value): &Entry| batch.put_in(&self.records, key, value);
            self.db.batch_with(entries.iter().fold(Batch::new(), put), SyncMode::None)?;
        }
        self.db.sync()?;
        Ok(())
    }

    fn settle(&self) -> Result<()> {
        self.db.checkpoint()?;
        while self.db.step()? == Step::Working {}
        Ok(())
    }

    fn read(&self, work: &mut dyn FnMut(&dyn Reader) -> Result<()>) -> Result<()> {
        work(self)
    }

    fn put(&self, key: &[u8], value: &[u8], ack: Ack) -> Result<()> {
        let mode = match ack {
            Ack::Cached => SyncMode::None,
            Ack::Durable => SyncMode::Sync,
        };
        self.records.put_with(key, value, mode)?;
        Ok(())
    }

    fn close(self: Box<Self>) -> Result<()> {
        Ok(self.db.close()?)
    }
}

impl Reader for Ondisk {
    fn get(&self, key: &[u8]) -> Result<Option<u64>> {
        Ok(self.records.get(key)?.map(|value| sum(&value)))
    }

    fn scan(&self, from: &[u8], most: u64) -> Result<Seen> {
        let mut seen = Seen::default();
        let mut range = self.records.range((Bound::Included(from), Bound::Unbounded))?;
        // Lent, as LMDB lends them: nothing is kept of an entry.
        while range.advance()? {
            let key = sum(range.key());
            seen.add(key + sum(range.value()?));
            if seen.entries == most {
                break;
            }
        }
        Ok(seen)
    }
}
