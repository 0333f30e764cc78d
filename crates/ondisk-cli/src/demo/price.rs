//! Act 2, *the price*: what each mode costs on this disk, with real files.
//!
//! Invariant: every figure is measured here and now on the store's own code; nothing is assumed of
//! the disk. The figures are the one part of the demo that no seed repeats.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use ondisk::{Db, SyncMode};
use serde::Serialize;
use tempfile::TempDir;

use super::MODES;
use crate::exit::Failure;
use crate::out::Progress;

/// A row ends after this time …
const LONGEST: Duration = Duration::from_secs(3);
/// … or this many records.
const RECORDS: u64 = 20_000;
/// Bytes in a value.
const VALUE: [u8; 100] = [b'v'; 100];
/// Threads that commit.
const COMMITTERS: [u64; 2] = [1, 16];

/// One mode with so many committers, measured.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Measured {
    /// The mode's short name: `sync`, `batch`, `none`.
    pub(crate) mode: &'static str,
    /// Threads that committed at once.
    pub(crate) committers: u64,
    pub(crate) commits: u64,
    pub(crate) commits_per_s: u64,
    pub(crate) p50_us: u64,
    pub(crate) p99_us: u64,
    /// Syncs of the log while it ran.
    pub(crate) syncs: u64,
}

/// Measures every mode in a directory that is removed afterwards.
pub(crate) fn measure(home: &Home, progress: &Progress) -> Result<Vec<Measured>, Failure> {
    let mut rows = Vec::new();
    for mode in MODES {
        for committers in COMMITTERS {
            let said = format!("the price: {mode}, {committers} committing at once");
            progress.say(format_args!("{said}"));
            let path = home.dir.path().join(format!("{}-{committers}", mode.name()));
            rows.push(measure_one(&path, mode, committers)?);
        }
    }
    Ok(rows)
}

/// Where the real files are written, until this is dropped.
#[derive(Debug)]
pub(crate) struct Home {
    dir: TempDir,
    /// The directory that was asked for, or chosen.
    pub(crate) parent: PathBuf,
}

impl Home {
    /// A directory of our own in `dir`, or in the first place for temporary files that is a disk:
    /// where files live in memory, a sync costs nothing and says nothing.
    pub(crate) fn new(dir: Option<&Path>) -> Result<Self, Failure> {
        let parent = match dir {
            Some(dir) => dir.to_owned(),
            None => {
                temporary_places().find(|place| is_on_disk(place)).unwrap_or_else(|| ".".into())
            }
        };
        let made = tempfile::Builder::new().prefix("ondisk-demo-").tempdir_in(&parent);
        let dir = made.map_err(|source| Failure::Scratch { path: parent.clone(), source })?;
        Ok(Self { dir, parent })
    }
}

fn temporary_places() -> impl Iterator<Item = PathBuf> {
    [std::env::temp_dir(), "/var/tmp".into(), ".".into()].into_iter()
}

/// Whether files in this directory outlive a reboot, as far as the kernel says.
fn is_on_disk(place: &Path) -> bool {
    #[cfg(target_os = "linux")]
    {
        const TMPFS: i128 = 0x0102_1994;
        rustix::fs::statfs(place).is_ok_and(|stat| i128::from(stat.f_type) != TMPFS)
    }
    #[cfg(not(target_os = "linux"))]
    {
        place.is_dir()
    }
}

fn measure_one(path: &Path, mode: SyncMode, committers: u64) -> Result<Measured, Failure> {
    let db = Db::builder().sync(mode).open(path)?;
    let before = db.stats().log.syncs;
    let taken = AtomicU64::new(0);
    let begun = now();
    let mut latencies: Vec<Duration> = thread::scope(|scope| {
        let threads: Vec<_> =
            (0..committers).map(|_| scope.spawn(|| commit(&db, &taken, begun))).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|p| std::panic::resume_unwind(p)))
            .collect::<Result<Vec<_>, ondisk::Error>>()
    })?
    .concat();
    let elapsed = begun.elapsed();
    let syncs = db.stats().log.syncs - before;
    db.close()?;
    latencies.sort_unstable();
    let commits = latencies.len() as u64;
    Ok(Measured {
        mode: mode.name(),
        committers,
        commits,
        commits_per_s: per_second(commits, elapsed),
        p50_us: quantile(&latencies, 50),
        p99_us: quantile(&latencies, 99),
        syncs,
    })
}

/// Commits until the records or the time are used up; answers what each commit took.
fn commit(db: &Db, taken: &AtomicU64, begun: Instant) -> Result<Vec<Duration>, ondisk::Error> {
    let mut latencies = Vec::new();
    loop {
        let number = taken.fetch_add(1, Ordering::Relaxed);
        if number >= RECORDS || begun.elapsed() >= LONGEST {
            return Ok(latencies);
        }
        let start = now();
        db.put(format!("record-{number:08}").as_bytes(), VALUE)?;
        latencies.push(start.elapsed());
    }
}

#[expect(clippy::disallowed_methods, reason = "this act measures")]
fn now() -> Instant {
    Instant::now()
}

fn per_second(count: u64, elapsed: Duration) -> u64 {
    let micros = elapsed.as_micros().max(1);
    u64::try_from(u128::from(count) * 1_000_000 / micros).unwrap_or(u64::MAX)
}

/// The value below which so many of a hundred lie, in microseconds.
fn quantile(sorted: &[Duration], percent: usize) -> u64 {
    let at = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
    let value = sorted.get(at).copied().unwrap_or_default();
    u64::try_from(value.as_micros()).unwrap_or(u64::MAX)
}
