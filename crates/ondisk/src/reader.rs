//! A store that is only read: nothing is written, not even a lock's file.
//!
//! Invariant: without a writer it serves to the end of the log's chain. What stands above the last
//! watermark there may be what this boot's cache alone shows; [`Reader::recovery`] says whether.
//! Beside a writer it serves what was durable when it was opened, and pins that.

use std::ops::RangeBounds;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use ondisk_fs::{FileSystem, Held};
use ondisk_log::{Log, LogStats, Lsn, Recovered, SyncMode};

use crate::cache::Caches;
use crate::catalog::Catalog;
use crate::durability::Durability;
use crate::error::Error;
use crate::keyspace::{DEFAULT_NAME, Space};
use crate::keyspaces::Spaces;
use crate::open::{
    Engines, HALF_MADE, NOTHING_HERE, Replayed, common_site, lock_shared, read_catalog, spaces,
};
use crate::options::KeyspaceOptions;
use crate::pins::ReaderPin;
use crate::place::{Standing, log_dir, not_a_store, refuse_restoring, survey};
use crate::range::Range;
use crate::snapshot::range;
use crate::stats::{KeyspaceStats, Stats};
use crate::value::Value;

/// A store that is open for reading alone, beside other readers, and beside a writer too.
///
/// Made by [`Builder::open_reader`](crate::Builder::open_reader). It keeps the commits since the
/// last checkpoint in memory, however many there are; a log is at most eight of its largest
/// segments.
#[derive(Debug)]
pub struct Reader {
    fs: Arc<dyn FileSystem>,
    path: PathBuf,
    spaces: Spaces,
    damaged: Vec<(String, Error)>,
    released: Lsn,
    recovered: Recovered,
    _beside: Beside,
}

/// What keeps that which is read as it is.
#[derive(Debug)]
#[expect(dead_code, reason = "held, not looked at")]
enum Beside {
    /// No writer comes in.
    NoWriter(Option<Box<dyn Held>>),
    /// The writer removes nothing that is read here.
    Writer(ReaderPin),
}

/// How often a reader beside a writer reads again what seems damaged.
const TRIES: u32 = 20;

impl Reader {
    pub(crate) fn open(
        fs: &Arc<dyn FileSystem>,
        path: &Path,
        cache_bytes: u64,
    ) -> Result<Self, Error> {
        refuse_restoring(&**fs, path)?;
        match survey(&**fs, path)? {
            Standing::Store => {}
            Standing::HalfMade => return Err(not_a_store(path, HALF_MADE)),
            Standing::Absent | Standing::Empty => return Err(not_a_store(path, NOTHING_HERE)),
        }
        match lock_shared(&**fs, path) {
            Ok(held) => Self::read(fs, path, cache_bytes, Beside::NoWriter(held)),
            Err(Error::Locked { .. }) => Self::beside_writer(fs, path, cache_bytes),
            Err(error) => Err(error),
        }
    }

    /// The writer goes on meanwhile: what does not fit together is read again.
    fn beside_writer(
        fs: &Arc<dyn FileSystem>,
        path: &Path,
        cache_bytes: u64,
    ) -> Result<Self, Error> {
        let mut tries = 0;
        loop {
            tries += 1;
            let before = Catalog::read(&**fs, path);
            let pin = ReaderPin::take(fs, path)?;
            let read = Self::read(fs, path, cache_bytes, Beside::Writer(pin));
            // While the catalog stays the same, the log has forgotten nothing.
            let same = before.is_ok_and(|it| Catalog::read(&**fs, path).is_ok_and(|now| now == it));
            match read {
                Ok(reader) if same => return Ok(reader),
                Err(error) if same && tries >= TRIES => return Err(error),
                _ if tries >= 10 * TRIES => {
                    return Err(Error::Locked { path: path.to_owned(), pid: None });
                }
                _ => std::thread::yield_now(), // to the writer
            }
        }
    }

    fn read(
        fs: &Arc<dyn FileSystem>,
        path: &Path,
        cache_bytes: u64,
        beside: Beside,
    ) -> Result<Self, Error> {
        let catalog = read_catalog(&**fs, path)?;
        let caches = Arc::new(Caches::new(cache_bytes));
        let site = common_site(fs, catalog.store, caches);
        let (engines, damaged) = Engines::open_whole(site, path, catalog)?;
        let mut replayed = Replayed::of(&engines);
        let log = log_dir(path);
        let mut sink = |lsn, payload: Bytes| replayed.take(&log, lsn, &payload, u64::MAX);
        let mut recovered = Log::read(&**fs, &log, engines.replay_from(), &mut sink)?;
        engines.check_together(path, &recovered)?;
        if let Beside::Writer(_) = beside {
            // What the writer has not made durable yet it may still lose. An engine holds nothing
            // that is not durable.
            let held = engines.opened.iter().map(|engine| engine.commit_point().through).max();
            recovered.end = recovered.watermark.max(held.unwrap_or_default());
            recovered.above_watermark = false;
        }
        let Replayed { young, failure, .. } = replayed;
        failure.map_or(Ok(()), Err)?;
        let Engines { catalog, site, opened } = engines;
        let released = catalog.released;
        let spaces = spaces(&site, path, &catalog, young, opened)?;
        let (fs, path) = (Arc::clone(fs), path.to_owned());
        Ok(Self { fs, path, spaces, damaged, released, recovered, _beside: beside })
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

    /// The keyspaces that cannot be opened, each with what is wrong with it. The others can be read.
    #[must_use]
    pub fn damaged(&self) -> &[(String, Error)] {
        &self.damaged
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

    /// What a kill, a crash and a power cut can each take of this store when it is opened to write
    /// in a mode, which holds for the keyspaces that have none of their own.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn durability(&self, mode: SyncMode) -> Result<Durability, Error> {
        Durability::of(&*self.fs, &self.path, mode, self.spaces.iter().map(|space| &**space))
    }

    pub(crate) fn fs(&self) -> &dyn FileSystem {
        &*self.fs
    }

    pub(crate) fn spaces(&self) -> &Spaces {
        &self.spaces
    }

    /// An error where a keyspace cannot be opened.
    pub(crate) fn check_whole(&self) -> Result<(), Error> {
        self.damaged.first().map_or(Ok(()), |found| Err(damaged(found)))
    }

    fn space(&self, name: &str) -> Result<&Arc<Space>, Error> {
        if let Some(found) = self.damaged.iter().find(|(it, _)| it == name) {
            return Err(damaged(found));
        }
        let found = self.spaces.iter().find(|space| space.name == name);
        found.ok_or_else(|| Error::NoKeyspace { name: name.to_owned() })
    }
}

fn damaged((name, error): &(String, Error)) -> Error {
    Error::KeyspaceDamaged { name: name.clone(), what: error.to_string() }
}
