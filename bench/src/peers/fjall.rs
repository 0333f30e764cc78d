//! fjall: `PersistMode::SyncAll` where a commit is to be durable.

use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode, Readable, Snapshot};

use super::Cache;
use crate::store::{Ack, Entry, Reader, Result, Seen, Store, sum};

struct Fjall {
    db: Database,
    records: Keyspace,
}

struct View<'s> {
    snapshot: Snapshot,
    records: &'s Keyspace,
}

pub(super) fn open(path: &Path, cache: Cache) -> Result<Box<dyn Store>> {
    let db = Database::builder(path.join("db")).cache_size(cache.0).open()?;
    let records = db.keyspace("records", KeyspaceCreateOptions::default)?;
    Ok(Box::new(Fjall { db, records }))
}

impl Store for Fjall {
    fn load(&self, batches: &mut dyn Iterator<Item = Vec<Entry>>) -> Result<()> {
        for entries in batches {
            let mut batch = self.db.batch();
            for (key, value) in &entries {
                batch.insert(&self.records, &key[..], &value[..]);
            }
            batch.commit()?;
        }
        Ok(self.db.persist(PersistMode::SyncAll)?)
    }

    fn settle(&self) -> Result<()> {
        self.records.rotate_memtable_and_wait()?;
        while self.db.outstanding_flushes() > 0 || self.db.active_compactions() > 0 {
            sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    fn read(&self, work: &mut dyn FnMut(&dyn Reader) -> Result<()>) -> Result<()> {
        work(&View { snapshot: self.db.snapshot(), records: &self.records })
    }

    fn put(&self, key: &[u8], value: &[u8], ack: Ack) -> Result<()> {
        self.records.insert(key, value)?;
        match ack {
            Ack::Cached => Ok(()),
            Ack::Durable => Ok(self.db.persist(PersistMode::SyncAll)?),
        }
    }

    fn close(self: Box<Self>) -> Result<()> {
        Ok(self.db.persist(PersistMode::SyncAll)?)
    }
}

impl Reader for View<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<u64>> {
        Ok(self.snapshot.get(self.records, key)?.map(|value| sum(&value)))
    }

    fn scan(&self, from: &[u8], most: u64) -> Result<Seen> {
        let mut seen = Seen::default();
        for entry in self.snapshot.range(self.records, from..) {
            let (key, value) = entry.into_inner()?;
            seen.see(&key, &value);
            if seen.entries == most {
                break;
            }
        }
        Ok(seen)
    }
}
