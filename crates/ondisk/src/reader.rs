//! A store that is only read: nothing is written, not even a lock's file.
//!
//! Invariant: it serves to the end of the log's chain. What stands above the last watermark there
//! may be what this boot's cache alone shows; [`Reader::recovery`] says whether.

use std::ops::RangeBounds;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use ondisk_fs::{FileSystem, Held};
use ondisk_log::{Log, LogStats, Lsn, Recovered};

use crate::cache::Caches;
use crate::error::Error;
use crate::keyspace::{DEFAULT_NAME, Space};
use crate::keyspaces::Spaces;
use crate::open::{
    Engines, HALF_MADE, NOTHING_HERE, Replayed, common_site, lock_shared, read_catalog, spaces,
};
use crate::options::KeyspaceOptions;
use crate::place::{Standing, log_dir, not_a_store, survey};
use crate::range::Range;
use crate::snapshot::range;
use crate::stats::{KeyspaceStats, Stats};
use crate::value::Value;

/// A store that is open for reading alone, beside other readers and no writer.
///
/// Made by [`Builder::open_reader`](crate::Builder::open_reader). It keeps the commits since the
/// last checkpoint in memory, however many there are; a log is at most eight of its largest
/// segments.
#[derive(Debug)]
pub struct Reader {
    spaces: Spaces,
    released: Lsn,
    recovered: Recovered,
    _held: Option<Box<dyn Held>>,
}

impl Reader {
    pub(crate) fn open(
        fs: &Arc<dyn FileSystem>,
        path: &Path,
        cache_bytes: u64,
    ) -> Result<Self, Error> {
        match survey(&**fs, path)? {
            Standing::Store => {}
            Standing::HalfMade => return Err(not_a_store(path, HALF_MADE)),
            Standing::Absent | Standing::Empty => return Err(not_a_store(path, NOTHING_HERE)),
        }
        let held = lock_shared(&**fs, path)?;
        let catalog = read_catalog(&**fs, path)?;
        let caches = Arc::new(Caches::new(cache_bytes));
        let engines = Engines::open(common_site(fs, catalog.store, caches), path, catalog)?;
        let mut replayed = Replayed::of(&engines);
        let log = log_dir(path);
        let mut sink = |lsn, payload: Bytes| replayed.take(&log, lsn, &payload, u64::MAX);
        let recovered = Log::read(&**fs, &log, engines.replay_from(), &mut sink)?;
        engines.check_together(path, &recovered)?;
        let Replayed { young, failure, .. } = replayed;
        failure.map_or(Ok(()), Err)?;
        let Engines { catalog, site, opened } = engines;
        let released = catalog.released;
        let spaces = spaces(&site, path, &catalog, young, opened)?;
        Ok(Self { spaces, released, recovered, _held: held })
    }

    /// The value of a key of the default keyspace; `None` when it has none.
    ///
    /// # Errors
    /// [`Error::Damaged`], [`Error::Io`].
    pub fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<Value>, Error> {
        self.get_in(DEFAULT_NAME, key)
    }

    /// The value of a key of a keyspace.
    ///
    /// # Errors
    /// [`Error::NoKeyspace`], [`Error::Damaged`], [`Error::Io`].
    pub fn get_in(&self, keyspace: &str, key: impl AsRef<[u8]>) -> Result<Option<Value>, Error> {
        self.space(keyspace)?.get(key.as_ref(), self.recovered.end)
    }

    /// The keys of the default keyspace between two bounds with their values, in order.
    ///
    /// # Errors
    /// None so far: what is wrong with one place, the walk says.
    pub fn range<'k>(&self, bounds: impl RangeBounds<&'k [u8]>) -> Result<Range, Error> {
        self.range_in(DEFAULT_NAME, bounds)
    }

    /// The keys of a keyspace between two bounds with their values, in order.
    ///
    /// # Errors
    /// [`Error::NoKeyspace`].
    pub fn range_in<'k>(
        &self,
        keyspace: &str,
        bounds: impl RangeBounds<&'k [u8]>,
    ) -> Result<Range, Error> {
        Ok(range(&self.space(keyspace)?.generations(), bounds, self.recovered.end))
    }

    /// The keyspaces with what they were made with, in the order in which they were made.
    pub fn keyspaces(&self) -> impl Iterator<Item = (&str, KeyspaceOptions)> {
        self.spaces.iter().map(|space| (space.name.as_str(), space.options))
    }

    /// What was found: where the log ends, and whether it was closed.
    #[must_use]
    pub fn recovery(&self) -> &Recovered {
        &self.recovered
    }

    /// The store in numbers, as far as they stand on disk.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let Recovered { segments, bytes, epoch, end, watermark, .. } = self.recovered;
        Stats {
            log: LogStats { segments, bytes, epoch, ..LogStats::default() },
            acknowledged: end,
            durable: watermark,
            checkpoint: self.released,
            keyspaces: self.spaces.iter().map(|space| KeyspaceStats::of(space)).collect(),
            ..Stats::default()
        }
        .summed()
    }

    fn space(&self, name: &str) -> Result<&Arc<Space>, Error> {
        let found = self.spaces.iter().find(|space| space.name == name);
        found.ok_or_else(|| Error::NoKeyspace { name: name.to_owned() })
    }
}
