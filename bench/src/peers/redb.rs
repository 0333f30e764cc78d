//! redb: `Durability::Immediate` where a commit is to be durable.

use std::path::Path;

use redb::{Database, Durability, ReadOnlyTable, ReadableDatabase, TableDefinition};

use super::Cache;
use crate::store::{Ack, Entry, Reader, Result, Seen, Store, sum};

const TABLE: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("records");

struct Redb(Database);

struct Snapshot(ReadOnlyTable<&'static [u8], &'static [u8]>);

pub(super) fn open(path: &Path, cache: Cache) -> Result<Box<dyn Store>> {
    let cache = usize::try_from(cache.0)?;
    let db = Database::builder().set_cache_size(cache).create(path.join("db.redb"))?;
    Ok(Box::new(Redb(db)))
}

impl Store for Redb {
    /// In one transaction: many that are not durable would take space anew each time.
    fn load(&self, batches: &mut dyn Iterator<Item = Vec<Entry>>) -> Result<()> {
        let transaction = self.0.begin_write()?;
        let mut table = transaction.open_table(TABLE)?;
        for (key, value) in batches.flatten() {
            table.insert(&key[..], &value[..])?;
        }
        drop(table);
        Ok(transaction.commit()?)
    }

    fn read(&self, work: &mut dyn FnMut(&dyn Reader) -> Result<()>) -> Result<()> {
        work(&Snapshot(self.0.begin_read()?.open_table(TABLE)?))
    }

    fn put(&self, key: &[u8], value: &[u8], ack: Ack) -> Result<()> {
        let mut transaction = self.0.begin_write()?;
        transaction.set_durability(match ack {
            Ack::Cached => Durability::None,
            Ack::Durable => Durability::Immediate,
        })?;
        transaction.open_table(TABLE)?.insert(key, value)?;
        Ok(transaction.commit()?)
    }

    fn close(self: Box<Self>) -> Result<()> {
        Ok(self.0.close()?)
    }
}

impl Reader for Snapshot {
    fn get(&self, key: &[u8]) -> Result<Option<u64>> {
        Ok(self.0.get(key)?.map(|value| sum(value.value())))
    }

    fn scan(&self, from: &[u8], most: u64) -> Result<Seen> {
        let mut seen = Seen::default();
        for entry in self.0.range(from..)? {
            let (key, value) = entry?;
            seen.see(key.value(), value.value());
            if seen.entries == most {
                break;
            }
        }
        Ok(seen)
    }
}
