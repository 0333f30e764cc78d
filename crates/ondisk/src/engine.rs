//! The seam between the store and its engines: what an old generation is, whoever keeps it.
//!
//! ```text
//! young map (frozen) ─► Engine::checkpoint ─► Job, step by step ─► a new View, durable
//!                       Engine::reclaim    ─► Job, step by step ─► a new View, smaller
//! ```
//!
//! Invariant: a [`View`] never changes: it holds every commit of its keyspace through one LSN and
//! none above, for as long as somebody keeps it. [`Engine::view`] is the newest one whose commit
//! point is durable. Whatever step of a job fails or is cut, the engine is whole, and the next job
//! begins again.
//!
//! An engine knows nothing of the log but LSNs, of the young map but how to read a frozen one, of
//! other keyspaces, threads and clocks.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::ops::Bound;
use std::path::PathBuf;
use std::sync::Arc;

use ondisk_fs::FileSystem;
use ondisk_log::{Lsn, StoreId};

use crate::cache::Caches;
use crate::error::Error;
use crate::keyspace::Frozen;
use crate::options::KeyspaceOptions;
use crate::sabotage::Sabotage;
use crate::value::Value;

/// The old generation of one keyspace.
pub(crate) trait Engine: Send + Sync + Debug {
    /// What the keyspace holds now.
    fn view(&self) -> Arc<dyn View>;

    /// Which commit point is installed.
    fn commit_point(&self) -> CommitPoint;

    /// Puts the commit point in place anew, durably: what a process that died put there may stand
    /// in the page cache alone.
    fn renew(&self) -> Result<(), Error>;

    /// Removes the files that no commit point names, at an open and after [`renew`](Self::renew)
    /// where that was needed: no commit point that a cut can bring back names them.
    fn sweep(&self) -> Result<(), Error>;

    /// Begins to take a frozen young map over. One at a time for each keyspace. When the job has
    /// finished, [`view`](Self::view) holds all through [`Frozen::through`].
    fn checkpoint(self: Arc<Self>, frozen: Frozen) -> Box<dyn Job>;

    /// The next piece of reclaiming (merge, compaction), if there is one that no running job has;
    /// several may run at once, beside a checkpoint too. An engine that cannot do both at once has
    /// none while a checkpoint is under way, and a job of it ends early when one begins.
    fn reclaim(self: Arc<Self>, want: Reclaim) -> Option<Box<dyn Job>>;

    /// How far reclaiming is behind: 0 is not at all, and at 1000 writers wait for it. Between,
    /// they are slowed.
    fn pressure(&self) -> u32 {
        0
    }

    /// The engine in numbers.
    fn stats(&self) -> EngineStats;

    /// How each kind of file gets to the disk: from the engine's own settings.
    fn files(&self) -> Vec<FileKind>;
}

/// One immutable state of an old generation.
pub(crate) trait View: Send + Sync + Debug {
    /// It holds all commits of its keyspace through this one, and none above.
    fn through(&self) -> Lsn;

    /// The value of a key.
    fn get(&self, key: &[u8]) -> Result<Option<Value>, Error>;

    /// A walk over the keys between two bounds, between which a key can lie. Lazy, and bounded in
    /// memory.
    fn walk(
        self: Arc<Self>,
        lower: Bound<&[u8]>,
        upper: Bound<&[u8]>,
        direction: Direction,
    ) -> Box<dyn Walk>;
}

/// Which way a walk goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    /// By ascending key.
    Forward,
    /// By descending key.
    Backward,
}

/// A walk over a view. It stands before its first entry until it is advanced.
pub(crate) trait Walk: Send + Debug {
    /// Goes to the next entry; `false` at the end, and from then on. After an error that concerns
    /// one place, the next call goes on behind it, or is at the end.
    fn advance(&mut self) -> Result<bool, Error>;

    /// The key of the entry; only after an advance that answered `true`.
    fn key(&self) -> &[u8];

    /// The value of the entry, read where it was not yet; only after an advance that answered
    /// `true`.
    fn value(&mut self) -> Result<&[u8], Error>;

    /// The value as one that may be kept: without a copy where it can be pinned.
    fn keep(&mut self) -> Result<Value, Error> {
        self.value().map(Value::copy)
    }
}

/// Background work of an engine, in bounded steps. Whoever drops it before it has finished loses
/// nothing but the work.
pub(crate) trait Job: Send + Debug {
    /// Does one bounded piece. After an error the job is dropped: the engine is whole, and what
    /// the job has made and no commit point names is removed now, later, or at the next open.
    fn step(&mut self, work: &Work<'_>) -> Result<Progress, Error>;

    /// The bytes that it has written to files so far, or is about to: all but a few of manifests.
    fn written(&self) -> u64 {
        0
    }
}

/// Whether a job is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    Working,
    /// The engine's view is the new one, and its commit point is durable.
    Finished,
}

/// What a step of a job may rely on.
#[derive(Clone, Copy)]
pub(crate) struct Work<'a> {
    /// About how many bytes the step takes over.
    pub(crate) bytes: usize,
    /// The log is durable through this: asserted where a commit point is installed.
    pub(crate) durable: &'a (dyn Fn() -> Lsn + Sync),
    /// The readers in other processes that may still read what is obsolete now.
    pub(crate) pins: &'a dyn Pins,
}

/// Readers in other processes, numbered as they came.
pub(crate) trait Pins: Send + Sync {
    /// No reader that is alive now has a higher number; 0 without readers.
    fn newest(&self) -> u64;

    /// No reader that is alive now has a lower number; `None` without readers.
    fn oldest(&self) -> Option<u64>;
}

impl Debug for dyn Pins + '_ {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Pins {{ {:?}..={} }}", self.oldest(), self.newest())
    }
}

/// Why a keyspace is looked at for reclaiming.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reclaim {
    /// Where it is due.
    Due,
    /// Until nothing can be won any more.
    All,
}

/// Names one state of an engine on disk. It grows with each one that is installed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct CommitPoint {
    /// All commits of the keyspace through this one are in it, and none above.
    pub(crate) through: Lsn,
    /// How many were installed before, those of reclaiming too. 0 for an engine that has nothing
    /// on disk.
    pub(crate) edit: u64,
}

/// Where an engine's files stand, and what it is opened with.
#[derive(Clone, Debug)]
pub(crate) struct Site {
    pub(crate) fs: Arc<dyn FileSystem>,
    /// The keyspace's directory. It is made, durably, by the first checkpoint: an engine whose
    /// directory is absent is empty.
    pub(crate) dir: PathBuf,
    pub(crate) store: StoreId,
    pub(crate) keyspace: u32,
    pub(crate) options: KeyspaceOptions,
    pub(crate) caches: Arc<Caches>,
    pub(crate) sabotage: Option<Sabotage>,
}

impl Site {
    /// Whether a rule is broken on purpose.
    pub(crate) fn breaks(&self, rule: Sabotage) -> bool {
        self.sabotage == Some(rule)
    }
}

/// An engine in numbers. Bytes are counted since the store was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EngineStats {
    /// Files by kind: how many, and their bytes.
    pub files: BTreeMap<&'static str, FileCount>,
    /// Keys, where the engine knows without reading.
    pub keys: Option<u64>,
    /// Sorted tables by level, the youngest first; empty for other engines.
    pub levels: Vec<FileCount>,
    /// Pages of a tree: in use and free.
    pub pages: Option<(u64, u64)>,
    /// Bytes that nothing refers to any more.
    pub dead_bytes: u64,
    /// Bytes of keys and values that checkpoints took over.
    pub taken_over: u64,
    /// Bytes that checkpoints wrote to files.
    pub checkpoint_written: u64,
    /// Bytes that reclaiming wrote to files.
    pub reclaim_written: u64,
    /// Reads that an engine's cache answered.
    pub cache_hits: u64,
    /// Reads for which it asked the file system.
    pub cache_misses: u64,
    /// Bytes asked of the file system by reads.
    pub read_bytes: u64,
    /// Files that wait for a snapshot or a reader to be removed.
    pub obsolete_files: u64,
}

/// Some files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FileCount {
    /// How many.
    pub count: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// How one kind of file gets to the disk: a row of the durability table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileKind {
    /// The kind of file: `log segment`, `data file`, `manifest`.
    pub kind: &'static str,
    /// When its bytes go from the process to the system.
    pub flush: String,
    /// Which call makes them durable; `never` where none does.
    pub sync: String,
    /// When that call is made.
    pub when: String,
    /// So what holds of what is in it.
    pub so: String,
}
