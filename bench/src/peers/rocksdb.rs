//! RocksDB: `WriteOptions::sync` where a commit is to be durable.

use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use rocksdb::{
    BlockBasedOptions, Cache as BlockCache, DB, DBCompressionType, Options, ReadOptions,
    WriteBatch, WriteOptions,
};

use super::Cache;
use crate::store::{Ack, Entry, Reader, Result, Seen, Store, sum};

struct Rocks {
    db: DB,
    /// For writes that need not be durable.
    lazy: WriteOptions,
    durable: WriteOptions,
}

/// The options are made once, not for each read.
struct View<'s>(&'s DB, ReadOptions);

/// What its own guide advises: a Bloom filter of ten bits a key, LZ4, both cores.
pub(super) fn open(path: &Path, cache: Cache) -> Result<Box<dyn Store>> {
    let mut blocks = BlockBasedOptions::default();
    blocks.set_block_cache(&BlockCache::new_lru_cache(usize::try_from(cache.0)?)?);
    blocks.set_bloom_filter(10.0, false);
    blocks.set_format_version(5);
    let mut options = Options::default();
    options.create_if_missing(true);
    options.set_block_based_table_factory(&blocks);
    options.set_compression_type(DBCompressionType::Lz4);
    options.increase_parallelism(i32::try_from(std::thread::available_parallelism()?.get())?);
    let mut durable = WriteOptions::default();
    durable.set_sync(true);
    let db = DB::open(&options, path.join("db"))?;
    Ok(Box::new(Rocks { db, lazy: WriteOptions::default(), durable }))
}

impl Store for Rocks {
    fn load(&self, batches: &mut dyn Iterator<Item = Vec<Entry>>) -> Result<()> {
        for entries in batches {
            let mut batch = WriteBatch::default();
            entries.iter().for_each(|(key, value)| batch.put(key, value));
            self.db.write_opt(batch, &self.lazy)?;
        }
        Ok(self.db.flush_wal(true)?)
    }

    fn settle(&self) -> Result<()> {
        self.db.flush()?;
        let busy = |name| Ok::<_, rocksdb::Error>(self.db.property_int_value(name)? != Some(0));
        while busy("rocksdb.num-running-compactions")?
            || busy("rocksdb.compaction-pending")?
            || busy("rocksdb.num-running-flushes")?
        {
            sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    fn read(&self, work: &mut dyn FnMut(&dyn Reader) -> Result<()>) -> Result<()> {
        work(&View(&self.db, ReadOptions::default()))
    }

    fn put(&self, key: &[u8], value: &[u8], ack: Ack) -> Result<()> {
        let options = match ack {
            Ack::Cached => &self.lazy,
            Ack::Durable => &self.durable,
        };
        Ok(self.db.put_opt(key, value, options)?)
    }

    fn close(self: Box<Self>) -> Result<()> {
        Ok(self.db.flush_wal(true)?)
    }
}

impl Reader for View<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<u64>> {
        Ok(self.0.get_pinned_opt(key, &self.1)?.map(|value| sum(&value)))
    }

    fn scan(&self, from: &[u8], most: u64) -> Result<Seen> {
        let mut seen = Seen::default();
        let mut entries = self.0.raw_iterator();
        entries.seek(from);
        while let Some((key, value)) = entries.item() {
            seen.see(key, value);
            if seen.entries == most {
                break;
            }
            entries.next();
        }
        entries.status()?;
        Ok(seen)
    }
}
