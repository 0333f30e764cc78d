//! ondisk, with the defaults of its builder.

use std::ops::Bound;
use std::path::Path;

use ondisk::{Batch, Db, SyncMode};

use super::Cache;
use crate::store::{Ack, Entry, Reader, Result, Seen, Store, sum};

struct Ondisk(Db);

/// The engine bitcask. It has no cache of its own: its keys are in memory, its values in the
/// system's page cache.
pub(super) fn bitcask(path: &Path, _cache: Cache) -> Result<Box<dyn Store>> {
    Ok(Box::new(Ondisk(Db::open(path.join("db"))?)))
}

impl Store for Ondisk {
    fn load(&self, batches: &mut dyn Iterator<Item = Vec<Entry>>) -> Result<()> {
        for entries in batches {
            let put = |batch: Batch, (key, value): &Entry| batch.put(key, value);
            self.0.batch_with(entries.iter().fold(Batch::new(), put), SyncMode::None)?;
        }
        self.0.sync()?;
        Ok(())
    }

    fn settle(&self) -> Result<()> {
        Ok(self.0.checkpoint()?)
    }

    fn read(&self, work: &mut dyn FnMut(&dyn Reader) -> Result<()>) -> Result<()> {
        work(self)
    }

    fn put(&self, key: &[u8], value: &[u8], ack: Ack) -> Result<()> {
        let mode = match ack {
            Ack::Cached => SyncMode::None,
            Ack::Durable => SyncMode::Sync,
        };
        self.0.put_with(key, value, mode)?;
        Ok(())
    }

    fn close(self: Box<Self>) -> Result<()> {
        Ok(self.0.close()?)
    }
}

impl Reader for Ondisk {
    fn get(&self, key: &[u8]) -> Result<Option<u64>> {
        Ok(self.0.get(key)?.map(|value| sum(&value)))
    }

    fn scan(&self, from: &[u8], most: u64) -> Result<Seen> {
        let mut seen = Seen::default();
        for entry in self.0.range((Bound::Included(from), Bound::Unbounded))? {
            let (key, value) = entry?;
            seen.see(&key, &value);
            if seen.entries == most {
                break;
            }
        }
        Ok(seen)
    }
}
