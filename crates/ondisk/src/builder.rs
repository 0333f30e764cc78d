//! How a store is opened: what may be chosen, and what is chosen by default.

use std::hash::{BuildHasher, RandomState};
use std::num::NonZeroU64;
use std::path::Path;
use std::sync::Arc;

use ondisk_fs::{FileSystem, OsFs};
use ondisk_log::{LogOptions, StoreId, SyncMode};

use crate::db::Db;
use crate::error::Error;
use crate::limits::Limits;
use crate::open::{Opening, Purpose};
use crate::reader::Reader;
use crate::sabotage::Sabotage;
use crate::store::Settings;

/// The bytes of young generation at which writers wait, unless chosen otherwise.
const YOUNG_BUDGET: u64 = 64 << 20;
const READ_BUDGET: usize = 4 << 20;
/// The bytes of memory for what engines have read, unless chosen otherwise.
const CACHE: u64 = 256 << 20;

/// Chooses how a store is opened. [`Db::open`] takes the defaults.
///
/// ```
/// # fn main() -> Result<(), ondisk::Error> {
/// # let dir = tempfile::tempdir().expect("a directory to work in");
/// # let path = dir.path().join("db");
/// use ondisk::{Db, SyncMode};
///
/// let db = Db::builder().sync(SyncMode::None).young_budget(8 << 20).open(&path)?;
/// db.put(b"key", b"value")?;
/// db.close()
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Builder {
    fs: Arc<dyn FileSystem>,
    mode: SyncMode,
    background: Background,
    create: Create,
    young_budget: u64,
    read_budget: usize,
    cache: u64,
    reclaim_rate: Option<NonZeroU64>,
    log: LogOptions,
    sabotage: Option<Sabotage>,
    store_id: Option<StoreId>,
    purpose: Purpose,
}

/// Who does a store's background work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Background {
    /// A thread of the store's own, which ends when the store is closed.
    #[default]
    Thread,
    /// Whoever calls [`Db::step`]; what nobody has done when it is needed is done by the call
    /// that needs it. A run is then repeatable.
    Manual,
}

/// What an open does where there is no store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Create {
    /// Makes one, if the path is absent or an empty directory.
    #[default]
    IfMissing,
    /// Fails with [`Error::NotAStore`].
    Never,
}

impl Builder {
    pub(crate) fn new() -> Self {
        Self {
            fs: Arc::new(OsFs),
            mode: SyncMode::default(),
            background: Background::default(),
            create: Create::default(),
            young_budget: YOUNG_BUDGET,
            read_budget: READ_BUDGET,
            cache: CACHE,
            reclaim_rate: None,
            log: LogOptions::default(),
            sabotage: None,
            store_id: None,
            purpose: Purpose::Use,
        }
    }

    /// The file system that the store stands on: the operating system's by default.
    #[must_use]
    pub fn file_system(mut self, fs: Arc<dyn FileSystem>) -> Self {
        self.fs = fs;
        self
    }

    /// When commits are acknowledged, unless a commit says otherwise: by default
    /// [`SyncMode::Sync`], when they are durable.
    #[must_use]
    pub fn sync(mut self, mode: SyncMode) -> Self {
        self.mode = mode;
        self
    }

    /// Who does the background work: a thread by default.
    #[must_use]
    pub fn background(mut self, background: Background) -> Self {
        self.background = background;
        self
    }

    /// What to do where there is no store: make one, by default.
    #[must_use]
    pub fn create(mut self, create: Create) -> Self {
        self.create = create;
        self
    }

    /// How many bytes of commits are kept in memory at most, 64 MiB by default. From half of it
    /// on they are moved to data files; at all of it writers wait for that. One commit may go
    /// beyond it.
    #[must_use]
    pub fn young_budget(mut self, bytes: u64) -> Self {
        self.young_budget = bytes.max(1);
        self
    }

    /// How many bytes a transaction keeps of the keys that it read, 4 MiB by default. Beyond that
    /// it keeps them less exactly, and may meet conflicts with commits to their neighbours.
    #[must_use]
    pub fn read_budget(mut self, bytes: usize) -> Self {
        self.read_budget = bytes;
        self
    }

    /// How many bytes of memory engines may use for what they have read, 256 MiB by default: one
    /// budget for the pages of trees and the blocks of sorted tables, which goes to whichever is
    /// used.
    #[must_use]
    pub fn cache(mut self, bytes: u64) -> Self {
        self.cache = bytes;
        self
    }

    /// How many bytes a second the store's own thread may write to reclaim space (a compaction, a
    /// merge); 0, the default, is no limit. What it has saved up in a rest, it may write at once: a
    /// quarter of a second's worth, or a step of 64 KiB where that is more.
    ///
    /// It is for who shares a disk: reclaiming then takes its time, and leaves the disk to commits
    /// and reads. Meanwhile there is more that is dead on disk, and there are more tables for a read
    /// to ask. The limit gives way before anybody has to wait for it: it doubles half way to where
    /// writers would be slowed, and there it is gone. Without a limit by default, since the right one
    /// is a matter of the disk, and one that is too low costs space.
    ///
    /// [`Db::compact`], and [`Db::step`] of a store without a thread, are not limited.
    #[must_use]
    pub fn reclaim_rate(mut self, bytes_per_second: u64) -> Self {
        self.reclaim_rate = NonZeroU64::new(bytes_per_second);
        self
    }

    /// The size of the log's first segment in bytes, 1 MiB by default; a multiple of 4096.
    #[must_use]
    pub fn first_segment(mut self, bytes: u64) -> Self {
        self.log.first_segment = bytes;
        self
    }

    /// The size that the log's segments grow to in bytes, 64 MiB by default; a multiple of 4096.
    /// A commit takes at most a quarter of it, and the log at most eight of them.
    #[must_use]
    pub fn largest_segment(mut self, bytes: u64) -> Self {
        self.log.largest_segment = bytes;
        self
    }

    /// Breaks a rule on purpose, for a suite that shows that it would notice.
    #[doc(hidden)]
    #[must_use]
    pub fn sabotage(mut self, rule: Option<Sabotage>) -> Self {
        self.sabotage = rule;
        self
    }

    /// Breaks a rule of the log on purpose, for a suite that shows that it would notice.
    #[doc(hidden)]
    #[must_use]
    pub fn sabotage_log(mut self, rule: Option<ondisk_log::Sabotage>) -> Self {
        self.log.sabotage = rule;
        self
    }

    /// The id of a store that is made: a random one by default. Two stores must never have the
    /// same; this is for runs that must be repeatable.
    #[doc(hidden)]
    #[must_use]
    pub fn store_id(mut self, id: StoreId) -> Self {
        self.store_id = Some(id);
        self
    }

    /// With segments into which an entry of so many bytes fits.
    pub(crate) fn fitting(mut self, entry: u64) -> Self {
        // A commit takes a quarter of the largest segment, and has heads of its own.
        let needed = (entry + (64 << 10)).saturating_mul(4).next_multiple_of(4096);
        self.log.largest_segment = self.log.largest_segment.max(needed);
        self
    }

    /// For a store that is being restored.
    pub(crate) fn restoring(mut self) -> Self {
        self.purpose = Purpose::Restore;
        self
    }

    /// The rule that is broken on purpose, if one is.
    pub(crate) fn broken(&self) -> Option<Sabotage> {
        self.sabotage
    }

    pub(crate) fn fs(&self) -> Arc<dyn FileSystem> {
        Arc::clone(&self.fs)
    }

    /// Opens a store for reading and writing, and recovers it where it was not closed. When this
    /// returns, all that the store holds is durable, in every mode.
    ///
    /// # Errors
    /// [`Error::NotAStore`], [`Error::Locked`], [`Error::NewerFormat`], [`Error::Damaged`] and
    /// [`Error::Log`]: then the store is as it was. [`Error::Io`].
    pub fn open(self, path: impl AsRef<Path>) -> Result<Db, Error> {
        let limits = Limits::new(self.log.commit_limit());
        let (young_budget, log_budget) = (self.young_budget, self.log.budget());
        let (mode, read_budget, sabotage) = (self.mode, self.read_budget, self.sabotage);
        let reclaim_rate = self.reclaim_rate;
        let settings = Settings {
            mode,
            limits,
            young_budget,
            read_budget,
            log_budget,
            reclaim_rate,
            sabotage,
        };
        let opening = Opening {
            fs: self.fs,
            path: path.as_ref(),
            create: self.create,
            store_id: self.store_id.unwrap_or_else(random_id),
            log: self.log,
            cache_bytes: self.cache,
            settings,
            purpose: self.purpose,
        };
        Db::start(opening, self.background)
    }

    /// Opens a store for reading alone: writes nothing, and works in a read-only directory.
    ///
    /// # Errors
    /// As [`open`](Self::open); [`Error::Locked`] beside a writer.
    pub fn open_reader(self, path: impl AsRef<Path>) -> Result<Reader, Error> {
        Reader::open(&self.fs, path.as_ref(), self.cache)
    }
}

/// 128 bits that no other store has. The standard library's hasher is keyed by the operating
/// system's random numbers, and its output cannot be told from such.
fn random_id() -> StoreId {
    let random = RandomState::new();
    let mut id = [0; 16];
    id[..8].copy_from_slice(&random.hash_one("first half").to_le_bytes());
    id[8..].copy_from_slice(&random.hash_one("second half").to_le_bytes());
    StoreId(id)
}
