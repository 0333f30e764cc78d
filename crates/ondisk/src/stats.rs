//! A store in numbers.

use std::sync::PoisonError;
use std::sync::atomic::Ordering::Relaxed;

use ondisk_log::{LogStats, Lsn};

use crate::keyspace::Keyspace;
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
    /// All through this commit is in data files.
    pub checkpoint: Lsn,
    /// Bytes of commits that are kept in memory since the last checkpoint.
    pub young_bytes: u64,
    /// The bytes at which writers wait.
    pub young_budget: u64,
    /// Versions of keys since the last checkpoint.
    pub young_versions: usize,
    /// Keys in data files.
    pub keys_on_disk: usize,
    /// Data files.
    pub data_files: usize,
    /// Their bytes.
    pub data_bytes: u64,
    /// Checkpoints since the store was opened.
    pub checkpoints: u64,
    /// How often a write had to make room, or to wait for it, since the store was opened.
    pub stalls: u64,
    /// Why background work fails now, if it does.
    pub failure: Option<String>,
}

impl Stats {
    pub(crate) fn of(store: &Store) -> Self {
        let counters = store.counters();
        Self {
            log: store.log.stats(),
            acknowledged: store.log.acknowledged(),
            durable: store.log.durable(),
            checkpoint: Lsn(counters.checkpoint.load(Relaxed)),
            young_budget: store.settings.young_budget,
            checkpoints: counters.checkpoints.load(Relaxed),
            stalls: counters.stalls.load(Relaxed),
            failure: counters.failure.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            ..Self::of_keyspace(&store.keyspace)
        }
    }

    pub(crate) fn of_keyspace(keyspace: &Keyspace) -> Self {
        let keydir = keyspace.engine().keydir();
        Self {
            young_bytes: keyspace.young_bytes(),
            young_versions: keyspace.young_versions(),
            keys_on_disk: keydir.len(),
            data_files: keydir.files().len(),
            data_bytes: keydir.files().values().map(|file| file.len()).sum(),
            ..Self::default()
        }
    }
}
