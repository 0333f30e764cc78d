//! The engine *lsm*: sorted tables in levels.
//!
//! ```text
//! frozen young map ─► checkpoint ─► table of level 0 ─► compaction ─► level 1, 2, … 6
//! ```
//!
//! Invariant: a table is written once, synced, and then named by the manifest. Where two tables
//! hold a key, the one nearer to the top holds the newer version. What readers see is always one
//! version, whose manifest is durable.
//!
//! The rooms: `table` (the file), `filter`, `cache` (blocks in memory), `merge` (many walks as
//! one), `version` (how a read goes), `manifest`, `install` (from one version to the next),
//! `graveyard` (what is removed, and when), `checkpoint`, `compact`.
//!
//! Knows nothing of the log but LSNs.

use std::io;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;

use crate::engine::{
    CommitPoint, Engine, EngineStats, FileCount, FileKind, Job, Reclaim, Site, View,
};
use crate::error::{Damage, Error};
use crate::keyspace::Frozen;
use crate::lsm::checkpoint::Checkpoint;
use crate::lsm::compact::plan::Claims;
use crate::lsm::compact::shape::Shape;
use crate::lsm::graveyard::Graveyard;
use crate::lsm::manifest::{MANIFEST, Manifest, manifest_path};
use crate::lsm::sabotage::LsmRule;
use crate::lsm::table::{Table, file_name, file_number};
use crate::lsm::version::Version;
use crate::sabotage::Sabotage;

pub(crate) mod cache;
pub(crate) mod checkpoint;
pub(crate) mod compact;
pub(crate) mod filter;
pub(crate) mod graveyard;
pub(crate) mod install;
pub(crate) mod manifest;
pub(crate) mod merge;
pub(crate) mod output;
pub(crate) mod sabotage;
pub(crate) mod salvage;
pub(crate) mod table;
pub(crate) mod verify;
pub(crate) mod version;

pub(crate) use salvage::salvage;
pub(crate) use verify::verify;

/// What an entry costs a step beside its bytes, so that keys without values end a step too.
pub(crate) const ENTRY_COST: usize = 64;

/// The old generation of one keyspace.
#[derive(Debug)]
pub(crate) struct Lsm {
    site: Site,
    shape: Shape,
    /// The newest version whose manifest is durable. It changes under `state`.
    version: ArcSwap<Version>,
    next_number: AtomicU64,
    /// The number of the manifest that was tried last; held while one is put in place.
    installing: Mutex<u64>,
    /// Taken after `installing`, and for a moment only.
    state: Mutex<State>,
    /// Of the version, as it is asked for at each commit.
    pressure: AtomicU32,
    counters: Counters,
}

/// What is under way.
#[derive(Debug, Default)]
pub(crate) struct State {
    claims: Claims,
    graveyard: Graveyard,
}

#[derive(Debug, Default)]
struct Counters {
    taken_over: AtomicU64,
    checkpoint_written: AtomicU64,
    reclaim_written: AtomicU64,
}

/// Opens the engine of a keyspace: reads its manifest, looks for the tables' names, and opens no
/// table. Writes nothing. A directory that is absent is that of an empty keyspace.
pub(crate) fn open(site: Site) -> Result<Arc<Lsm>, Error> {
    open_shaped(site, Shape::default())
}

/// As [`open`], with levels of another shape.
pub(crate) fn open_shaped(site: Site, shape: Shape) -> Result<Arc<Lsm>, Error> {
    let (manifest, numbers) = named(&site)?;
    let mut levels: [Vec<Arc<Table>>; manifest::LEVELS] = Default::default();
    for (level, metas) in levels.iter_mut().zip(&manifest.levels) {
        for meta in metas {
            if numbers.binary_search(&meta.number).is_err() {
                let path = site.dir.join(file_name(meta.number));
                return Err(Error::damaged(&path, 0, Damage::Missing));
            }
            level.push(Table::open(&site, meta)?);
        }
    }
    let point = CommitPoint { through: manifest.through, edit: manifest.edit };
    // A file of an attempt that was cut has a number that the manifest does not know of.
    let behind = numbers.last().map_or(0, |last| last.saturating_add(1));
    let version = Version::new(point, levels);
    Ok(Arc::new(Lsm {
        pressure: AtomicU32::new(shape.pressure(&version)),
        shape,
        version: ArcSwap::from_pointee(version),
        next_number: AtomicU64::new(manifest.next_number.max(behind)),
        installing: Mutex::new(manifest.edit),
        state: Mutex::default(),
        counters: Counters::default(),
        site,
    }))
}

/// What a keyspace consists of: its manifest, and the numbers of the tables that are there, in
/// ascending order.
fn named(site: &Site) -> Result<(Manifest, Vec<u64>), Error> {
    let manifest = manifest::read(&*site.fs, &site.dir)?;
    let numbers = table_numbers(site)?;
    let path = manifest_path(&site.dir);
    let Some(manifest) = manifest.or_else(|| {
        // The first manifest is durable before the first table is made.
        numbers.is_empty().then(|| Manifest::new(site.store, site.keyspace))
    }) else {
        return Err(Error::damaged(&path, 0, Damage::Missing));
    };
    let elsewhere = [
        (manifest.store != site.store).then_some("store"),
        (manifest.keyspace != site.keyspace).then_some("keyspace"),
    ];
    if let Some(field) = elsewhere.into_iter().flatten().next() {
        return Err(Error::damaged(&path, 0, Damage::Elsewhere(field)));
    }
    Ok((manifest, numbers))
}

/// The numbers of the tables in the directory, in ascending order.
fn table_numbers(site: &Site) -> Result<Vec<u64>, Error> {
    let entries = match site.fs.list(&site.dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(Error::io(&site.dir, "list the directory"))?,
    };
    let numbers = entries.iter().filter_map(|it| it.name.to_str().and_then(file_number));
    let mut numbers: Vec<_> = numbers.collect();
    numbers.sort_unstable();
    Ok(numbers)
}

impl Lsm {
    fn version(&self) -> Arc<Version> {
        self.version.load_full()
    }

    fn installing(&self) -> MutexGuard<'_, u64> {
        self.installing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic while it was held cannot have left a change half done: each is one call.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// No table has this number yet, nor a higher one.
    fn next_number(&self) -> u64 {
        self.next_number.load(Relaxed)
    }

    /// A number that no table has had.
    fn take_number(&self) -> u64 {
        self.next_number.fetch_add(1, Relaxed)
    }

    /// The canary's: the last numbers are taken again.
    fn give_back(&self, count: usize) {
        self.next_number.fetch_sub(count as u64, Relaxed);
    }

    fn breaks(&self, rule: LsmRule) -> bool {
        self.site.breaks(Sabotage::Lsm(rule))
    }

    fn broken(&self) -> Option<LsmRule> {
        match self.site.sabotage {
            Some(Sabotage::Lsm(rule)) => Some(rule),
            _ => None,
        }
    }
}

impl State {
    /// Gives readers a version whose manifest is durable.
    fn publish(&mut self, lsm: &Lsm, version: Version) {
        lsm.pressure.store(lsm.shape.pressure(&version), Relaxed);
        lsm.version.store(Arc::new(version));
    }
}

impl Counters {
    fn taken_over(&self, bytes: usize) {
        self.taken_over.fetch_add(bytes as u64, Relaxed);
    }

    fn checkpoint_written(&self, bytes: u64) {
        self.checkpoint_written.fetch_add(bytes, Relaxed);
    }

    fn reclaim_written(&self, bytes: u64) {
        self.reclaim_written.fetch_add(bytes, Relaxed);
    }
}

impl Engine for Lsm {
    fn view(&self) -> Arc<dyn View> {
        let version = self.version();
        if self.breaks(LsmRule::OldestAskedFirst) {
            return Arc::new(version.upside_down());
        }
        version
    }

    fn commit_point(&self) -> CommitPoint {
        self.version.load().point
    }

    fn renew(&self) -> Result<(), Error> {
        self.put_anew()
    }

    fn sweep(&self) -> Result<(), Error> {
        self.remove_unnamed()
    }

    fn checkpoint(self: Arc<Self>, frozen: Frozen) -> Box<dyn Job> {
        Box::new(Checkpoint::new(self, frozen))
    }

    fn reclaim(self: Arc<Self>, want: Reclaim) -> Option<Box<dyn Job>> {
        compact::next(&self, want)
    }

    fn pressure(&self) -> u32 {
        self.pressure.load(Relaxed)
    }

    fn stats(&self) -> EngineStats {
        let version = self.version();
        let count = |level: &Arc<version::Level>| FileCount {
            count: level.tables().len() as u64,
            bytes: level.bytes(),
        };
        let levels: Vec<_> = version.levels.iter().map(count).collect();
        let used = levels.iter().rposition(|it| it.count > 0).map_or(0, |it| it + 1);
        let tables = FileCount {
            count: levels.iter().map(|it| it.count).sum(),
            bytes: levels.iter().map(|it| it.bytes).sum(),
        };
        let manifest = match version.point.edit {
            0 => FileCount::default(),
            _ => FileCount { count: 1, bytes: self.manifest(&version).encode().len() as u64 },
        };
        let (obsolete_files, dead_bytes) = self.state().graveyard.waiting();
        let tally = self.site.caches.tallies.of(self.site.keyspace);
        let (cache_hits, cache_misses, read_bytes) = tally.sums();
        EngineStats {
            files: [("table", tables), (MANIFEST, manifest)].into_iter().collect(),
            levels: levels[..used].to_vec(),
            dead_bytes,
            taken_over: self.counters.taken_over.load(Relaxed),
            checkpoint_written: self.counters.checkpoint_written.load(Relaxed),
            reclaim_written: self.counters.reclaim_written.load(Relaxed),
            cache_hits,
            cache_misses,
            read_bytes,
            obsolete_files,
            ..EngineStats::default()
        }
    }

    fn files(&self) -> Vec<FileKind> {
        let row = |kind, flush: &str, sync: &str, when: &str, so: &str| FileKind {
            kind,
            flush: flush.to_owned(),
            sync: sync.to_owned(),
            when: when.to_owned(),
            so: so.to_owned(),
        };
        vec![
            row(
                "sorted table",
                "in pieces while a checkpoint or a compaction writes it",
                "fsync of the table, fsync of the directory",
                "when it is finished, before the manifest names it",
                "what it holds is in the log, or in the tables it replaces, until then",
            ),
            row(
                MANIFEST,
                "whole, beside the old one",
                "fsync, rename, fsync of the directory",
                "once for each checkpoint and each compaction, with the log durable through it",
                "after a cut the old one stands, or the new one",
            ),
        ]
    }
}

#[cfg(test)]
mod tests;
