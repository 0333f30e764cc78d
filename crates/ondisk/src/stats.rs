//! A store in numbers.

use std::num::NonZeroU64;
use std::sync::atomic::Ordering::Relaxed;

use ondisk_log::{LogStats, Lsn};

use crate::engine::{EngineStats, FileCount};
use crate::keyspace::Space;
use crate::latency::Histogram;
use crate::options::KeyspaceOptions;
use crate::store::Store;

/// A store in numbers, at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// The log; a reader knows its segments, bytes and epoch alone.
    pub log: LogStats,
    /// All through this commit is acknowledged.
    pub acknowledged: Lsn,
    /// All through this commit is durable.
    pub durable: Lsn,
    /// All through this commit is in engines, and the log may have forgotten it.
    pub checkpoint: Lsn,
    /// Bytes of commits that are kept in memory since the last checkpoints.
    pub young_bytes: u64,
    /// The bytes at which writers wait.
    pub young_budget: u64,
    /// Versions of keys since the last checkpoints.
    pub young_versions: usize,
    /// Bytes that reclaiming may write in a second while writers are at ease; `None` without a
    /// limit.
    pub reclaim_rate: Option<u64>,
    /// Checkpoints since the store was opened.
    pub checkpoints: u64,
    /// How often a write had to make room, or to wait for it, since the store was opened.
    pub stalls: u64,
    /// The commit that the oldest snapshot is of, if somebody keeps one.
    pub oldest_snapshot: Option<Lsn>,
    /// The lowest number of a reader in another process, if one is alive.
    pub oldest_reader: Option<u64>,
    /// How long callers waited for commits in mode sync, since the store was opened; of a store that
    /// has threads of its own.
    pub sync_waits: Histogram,
    /// Why background work fails now, if it does.
    pub failure: Option<String>,
    /// The keyspaces, in the order in which they were made.
    pub keyspaces: Vec<KeyspaceStats>,
}

/// A keyspace in numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyspaceStats {
    /// Its name.
    pub name: String,
    /// What it was made with.
    pub options: KeyspaceOptions,
    /// All commits through this one are in its engine.
    pub through: Lsn,
    /// How many states of the engine were installed.
    pub edit: u64,
    /// Bytes of commits that are kept in memory since its last checkpoint.
    pub young_bytes: u64,
    /// Versions of keys since its last checkpoint.
    pub young_versions: usize,
    /// Its engine.
    pub engine: EngineStats,
}

impl Stats {
    pub(crate) fn of(store: &Store) -> Self {
        let counters = store.counters();
        Self {
            log: store.log.stats(),
            acknowledged: store.log.acknowledged(),
            durable: store.log.durable(),
            checkpoint: store.keyspaces.released(),
            young_budget: store.settings.young_budget,
            reclaim_rate: store.settings.reclaim_rate.map(NonZeroU64::get),
            checkpoints: counters.checkpoints.load(Relaxed),
            stalls: counters.stalls.load(Relaxed),
            oldest_snapshot: store.snapshots.oldest(),
            oldest_reader: store.pins.oldest(),
            sync_waits: store.latencies.histogram(),
            failure: counters.failure(),
            keyspaces: store.keyspaces.now().iter().map(|it| KeyspaceStats::of(it)).collect(),
            ..Self::default()
        }
        .summed()
    }

    /// With what the keyspaces hold in memory, summed up.
    pub(crate) fn summed(mut self) -> Self {
        self.young_bytes = self.keyspaces.iter().map(|it| it.young_bytes).sum();
        self.young_versions = self.keyspaces.iter().map(|it| it.young_versions).sum();
        self
    }

    /// Bytes written for each byte of keys and values that engines took over, since the store was
    /// opened: by the log, by checkpoints, by reclaiming. `None` before the first checkpoint.
    #[must_use]
    pub fn write_amplification(&self) -> Option<f64> {
        let engines = || self.keyspaces.iter().map(|it| &it.engine);
        let engines_wrote: u64 =
            engines().map(|it| it.checkpoint_written + it.reclaim_written).sum();
        let taken_over: u64 = engines().map(|it| it.taken_over).sum();
        ratio(self.log.written + engines_wrote, taken_over)
    }

    /// The keyspace of a name.
    #[must_use]
    pub fn keyspace(&self, name: &str) -> Option<&KeyspaceStats> {
        self.keyspaces.iter().find(|it| it.name == name)
    }

    /// How many files of a kind the engines have, and their bytes.
    #[must_use]
    pub fn files(&self, kind: &str) -> crate::engine::FileCount {
        let counts = self.keyspaces.iter().filter_map(|it| it.engine.files.get(kind));
        counts.fold(crate::engine::FileCount::default(), |sum, it| crate::engine::FileCount {
            count: sum.count + it.count,
            bytes: sum.bytes + it.bytes,
        })
    }
}

/// One number for each of another.
fn ratio(of: u64, to: u64) -> Option<f64> {
    (to > 0).then(|| of as f64 / to as f64)
}

impl KeyspaceStats {
    /// Bytes of the engine's files for each that something refers to.
    #[must_use]
    pub fn space_amplification(&self) -> Option<f64> {
        let bytes: u64 = self.engine.files.values().map(|files| files.bytes).sum();
        ratio(bytes, bytes.saturating_sub(self.engine.dead_bytes))
    }

    /// Bytes asked of the file system for each read that reached the engine's cache, since the store
    /// was opened.
    #[must_use]
    pub fn read_amplification(&self) -> Option<f64> {
        ratio(self.engine.read_bytes, self.engine.cache_hits + self.engine.cache_misses)
    }

    pub(crate) fn of(space: &Space) -> Self {
        let point = space.engine.commit_point();
        let mut engine = space.engine.stats();
        let count = space.values.count.load(Relaxed);
        if count > 0 {
            let bytes = space.values.bytes.load(Relaxed);
            engine.files.insert("value file", FileCount { count, bytes });
        }
        Self {
            name: space.name.clone(),
            options: space.options,
            through: point.through,
            edit: point.edit,
            young_bytes: space.young_bytes(),
            young_versions: space.young_versions(),
            engine,
        }
    }
}
