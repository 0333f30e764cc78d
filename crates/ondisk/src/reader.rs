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

use crate::bitcask::Bitcask;
use crate::bitcask::data_file::Sums;
use crate::db::possible;
use crate::error::Error;
use crate::keyspace::{DEFAULT_KEYSPACE, Keyspace};
use crate::open::{HALF_MADE, NOTHING_HERE, Replayed, check_together, lock_shared};
use crate::place::{Standing, keyspace_dir, log_dir, not_a_store, survey};
use crate::range::Range;
use crate::stats::Stats;
use crate::value::Value;

/// A store that is open for reading alone, beside other readers and no writer.
///
/// Made by [`Builder::open_reader`](crate::Builder::open_reader). It keeps the commits since the
/// last checkpoint in memory, however many there are; a log is at most eight of its largest
/// segments.
#[derive(Debug)]
pub struct Reader {
    keyspace: Keyspace,
    checkpoint: Lsn,
    recovered: Recovered,
    _held: Option<Box<dyn Held>>,
}

impl Reader {
    pub(crate) fn open(fs: &Arc<dyn FileSystem>, path: &Path) -> Result<Self, Error> {
        match survey(&**fs, path)? {
            Standing::Store => {}
            Standing::HalfMade => return Err(not_a_store(path, HALF_MADE)),
            Standing::Absent | Standing::Empty => return Err(not_a_store(path, NOTHING_HERE)),
        }
        let held = lock_shared(&**fs, path)?;
        let (dir, log) = (keyspace_dir(path), log_dir(path));
        let (engine, manifest) = Bitcask::open(fs, &dir, DEFAULT_KEYSPACE, Sums::Checked)?;
        let mut replayed = Replayed::above(manifest.checkpoint);
        let mut sink = |lsn, payload: Bytes| replayed.take(&log, lsn, &payload, u64::MAX);
        let recovered = Log::read(&**fs, &log, manifest.checkpoint, &mut sink)?;
        check_together(&dir, &manifest, &recovered)?;
        let Replayed { young, failure, .. } = replayed;
        failure.map_or(Ok(()), Err)?;
        let keyspace = Keyspace::new(DEFAULT_KEYSPACE, young.finish(), engine);
        Ok(Self { keyspace, checkpoint: manifest.checkpoint, recovered, _held: held })
    }

    /// The value of a key; `None` when it has none.
    ///
    /// # Errors
    /// [`Error::Damaged`], [`Error::Io`].
    pub fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<Value>, Error> {
        self.keyspace.get(key.as_ref(), || self.recovered.end)
    }

    /// The keys between two bounds with their values, in order.
    ///
    /// # Errors
    /// None so far: what is wrong with one value, its entry says.
    pub fn range<'k>(&self, bounds: impl RangeBounds<&'k [u8]>) -> Result<Range, Error> {
        Ok(match possible(&bounds) {
            Some((lower, upper)) => self.keyspace.range(lower, upper, || self.recovered.end),
            None => Range::empty(),
        })
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
            checkpoint: self.checkpoint,
            ..Stats::of_keyspace(&self.keyspace)
        }
    }
}
