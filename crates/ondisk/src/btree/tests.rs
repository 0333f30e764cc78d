//! The engine alone, over the simulation: against a `BTreeMap`, with views that are kept, through
//! reopenings, faults and power cuts.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use ondisk_log::{Lsn, StoreId};
use ondisk_sim::MemFs;
use proptest::prelude::*;

use super::*;
use crate::btree::verify::verify;
use crate::cache::Caches;
use crate::check::Finding;
use crate::commit::CommitWriter;
use crate::engine::{Direction, Progress, Work};
use crate::options::{EngineKind, KeyspaceOptions, PageSize};
use crate::young::Young;

mod cuts;
mod golden;
mod model;
mod rules;
mod salvaged;
mod shrinking;
mod speed;

pub(super) type Contents = BTreeMap<Vec<u8>, Vec<u8>>;
pub(super) type Changes = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// Readers of other processes, as a test says.
#[derive(Debug, Default)]
pub(super) struct Readers {
    pub(super) newest: AtomicU64,
    /// 0 for none.
    pub(super) oldest: AtomicU64,
}

impl Pins for Readers {
    fn newest(&self) -> u64 {
        self.newest.load(Relaxed)
    }

    fn oldest(&self) -> Option<u64> {
        Some(self.oldest.load(Relaxed)).filter(|oldest| *oldest > 0)
    }
}

pub(super) fn site(fs: &MemFs, page_size: u32, broken: Option<BtreeRule>) -> Site {
    let options = KeyspaceOptions {
        page_size: PageSize(page_size),
        ..KeyspaceOptions::new(EngineKind::Btree)
    };
    Site {
        fs: fs.share(),
        dir: "tree".into(),
        store: StoreId(*b"a tree's storage"),
        keyspace: 7,
        options,
        caches: Arc::new(Caches::new(256 << 10)),
        sabotage: broken.map(Sabotage::Btree),
    }
}

/// A frozen map of some changes, each in a commit of its own up to `through`.
pub(super) fn frozen(changes: &Changes, through: u64) -> Frozen {
    let young = Young::new();
    let mut writer = CommitWriter::with_capacity(0);
    for (key, value) in changes {
        writer.push(7, key, value.as_deref());
    }
    let commit = writer.finish();
    young.insert(Lsn(through), &commit, 7);
    Frozen { young: Arc::new(young), through: Lsn(through) }
}

/// Runs a checkpoint to its end.
pub(super) fn checkpoint(
    engine: &Arc<Btree>,
    changes: &Changes,
    through: u64,
    readers: &Readers,
) -> Result<(), Error> {
    let mut job = Arc::clone(engine).checkpoint(frozen(changes, through));
    let durable = || Lsn(through);
    let work = Work { bytes: 1000, durable: &durable, pins: readers };
    while job.step(&work)? == Progress::Working {}
    Ok(())
}

/// Runs reclaiming jobs until there is none any more.
pub(super) fn reclaim(
    engine: &Arc<Btree>,
    want: Reclaim,
    readers: &Readers,
) -> Result<usize, Error> {
    let durable = || Lsn(u64::MAX);
    let work = Work { bytes: 1000, durable: &durable, pins: readers };
    let mut jobs = 0;
    while let Some(mut job) = Arc::clone(engine).reclaim(want) {
        while job.step(&work)? == Progress::Working {}
        jobs += 1;
        assert!(jobs < 1000, "it comes to an end");
    }
    Ok(jobs)
}

pub(super) fn contents(view: &Arc<dyn View>) -> Result<Contents, Error> {
    let (mut found, unbounded) = (Contents::new(), Bound::Unbounded);
    let mut walk = Arc::clone(view).walk(unbounded, unbounded, Direction::Forward);
    while walk.advance()? {
        let value = walk.value()?.to_vec();
        found.insert(walk.key().to_vec(), value);
    }
    Ok(found)
}

pub(super) fn findings(site: &Site) -> Vec<Finding> {
    let mut found = Vec::new();
    verify(site, &mut |finding| found.push(finding)).unwrap();
    found
}

pub(super) fn apply(contents: &mut Contents, changes: &Changes) {
    for (key, value) in changes {
        match value {
            Some(value) => drop(contents.insert(key.clone(), value.clone())),
            None => drop(contents.remove(key)),
        }
    }
}
