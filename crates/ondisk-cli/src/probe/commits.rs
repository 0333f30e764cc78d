//! Group commit, measured on the real log: many commits under way, of many writers or of one.
//!
//! Invariant: each load has a log of its own, so what a log counts is that load's. The loads take
//! turns, a burst each; segments are prepared and given back between bursts, and each burst begins
//! behind a commit that is not counted.
//!
//! Knows nothing of what the figures mean.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::thread;
use std::time::{Duration, Instant};

use ondisk_fs::{FileSystem, Rung};
use ondisk_log::{Log, LogError, LogOptions, Step, StoreId, SyncMode};

use super::ProbeError;
use super::measure::{now, percentile};

/// The payload of a commit.
pub(super) const RECORD: [u8; 100] = [b'r'; 100];

/// Bytes of a segment: a burst of groups takes no more than the half that is left at least.
const SEGMENT: u64 = 4 << 20;

/// Commits of one burst, for each that may be under way at once: at most, …
const BURST: u64 = 256;
/// … and at least, however slow the disk is: the first group of a burst has one commit, whatever
/// the load.
const LEAST: u64 = 8;

/// So many writers, each with so many commits under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Load {
    /// Threads that commit.
    pub(super) writers: usize,
    /// Commits that each begins before it waits for the oldest.
    pub(super) in_flight: usize,
}

/// What is asked of the log: more and more writers, then one writer that waits later and later.
pub(super) const LOADS: [Load; 10] = [
    Load::writers(1),
    Load::writers(2),
    Load::writers(4),
    Load::writers(8),
    Load::writers(16),
    Load::writers(32),
    Load::writers(64),
    Load::in_flight(4),
    Load::in_flight(16),
    Load::in_flight(64),
];

impl Load {
    const fn writers(writers: usize) -> Self {
        Self { writers, in_flight: 1 }
    }

    const fn in_flight(in_flight: usize) -> Self {
        Self { writers: 1, in_flight }
    }

    /// Commits that are under way at once.
    fn width(self) -> u64 {
        (self.writers * self.in_flight) as u64
    }
}

/// When to stop.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limit {
    /// Commits for each that may be under way at once.
    samples: u64,
    /// A burst ends after this, if it has [`LEAST`].
    slice: Duration,
    time: Duration,
}

impl Limit {
    /// Ten turns on an ordinary disk, fewer on a slow one.
    pub(super) const DEFAULT: Self = Self {
        samples: 10 * BURST,
        slice: Duration::from_millis(25),
        time: Duration::from_millis(2500),
    };

    /// So many commits for each that may be under way at once, in whatever time.
    pub(super) fn samples(samples: u32) -> Self {
        Self { samples: samples.into(), slice: Duration::MAX, time: Duration::MAX }
    }
}

/// What a load brought.
#[derive(Clone, Debug)]
pub(super) struct Committed {
    pub(super) load: Load,
    /// What acknowledged commits have reached, by the word of the file system.
    pub(super) rung: Rung,
    /// From a commit's beginning to its acknowledgement, in order of length.
    pub(super) sorted: Vec<Duration>,
    /// How long the bursts took.
    pub(super) elapsed: Duration,
    /// Groups that the log wrote.
    pub(super) groups: u64,
    /// Commits of the largest.
    pub(super) largest_group: u32,
    /// Bytes of all groups, as they were written.
    pub(super) bytes: u64,
}

impl Committed {
    fn new(load: Load) -> Self {
        Self {
            load,
            rung: Rung::Durable,
            sorted: Vec::new(),
            elapsed: Duration::ZERO,
            groups: 0,
            largest_group: 0,
            bytes: 0,
        }
    }

    /// Acknowledged commits.
    pub(super) fn commits(&self) -> usize {
        self.sorted.len()
    }

    /// Acknowledged commits a second; 0 where no time was seen to pass.
    pub(super) fn per_second(&self) -> f64 {
        ratio(self.commits() as f64, self.elapsed.as_secs_f64())
    }

    /// The time that so many in a hundred commits do not exceed.
    pub(super) fn percentile(&self, percent: usize) -> Duration {
        percentile(&self.sorted, percent)
    }

    /// Commits of a group, on average.
    pub(super) fn commits_per_group(&self) -> f64 {
        ratio(self.commits() as f64, self.groups as f64)
    }

    /// Bytes of a group as it is written, on average.
    pub(super) fn bytes_per_group(&self) -> f64 {
        ratio(self.bytes as f64, self.groups as f64)
    }
}

/// A ratio to show; 0 where there is none.
fn ratio(of: f64, to: f64) -> f64 {
    if to > 0.0 { of / to } else { 0.0 }
}

/// Measures all loads on logs in `dir`, which must be empty and is not left so. `tell` hears how
/// many turns of how many are done.
///
/// # Errors
/// The first that a log or a thread's start ends with; nothing is measured then.
pub(super) fn run(
    fs: &Arc<dyn FileSystem>,
    dir: &Path,
    limit: Limit,
    tell: impl Fn(u64, u64),
) -> Result<Vec<Committed>, ProbeError> {
    let begun = now();
    let turns = limit.samples.div_ceil(BURST);
    let mut tracks = Vec::new();
    for (number, load) in LOADS.into_iter().enumerate() {
        tracks.push(Track::new(fs, &dir.join(format!("log{number}")), load)?);
    }
    for turn in 0..turns {
        let left = limit.samples - turn * BURST;
        for track in &mut tracks {
            track.settle()?;
            track.burst(left.min(BURST), limit.slice)?;
        }
        tell(turn + 1, turns);
        if begun.elapsed() >= limit.time {
            break;
        }
    }
    Ok(tracks.into_iter().map(Track::finish).collect())
}

/// One load under way.
struct Track {
    log: Log,
    committed: Committed,
}

impl Track {
    fn new(fs: &Arc<dyn FileSystem>, path: &Path, load: Load) -> Result<Self, LogError> {
        let options = LogOptions {
            first_segment: SEGMENT,
            largest_segment: SEGMENT,
            ..LogOptions::default()
        };
        let log = Log::create(Arc::clone(fs), path, StoreId::random(), options)?.finish()?;
        Ok(Self { log, committed: Committed::new(load) })
    }

    /// Does what a burst should not wait for: gives segments back, prepares the next one, and
    /// commits once, behind whatever another load left to the journal.
    fn settle(&self) -> Result<(), LogError> {
        if self.log.stats().segments > 2 {
            let durable = self.log.durable();
            self.log.checkpoint(durable)?;
            self.log.truncate(durable)?;
        }
        self.log.append(&RECORD, SyncMode::Sync)?;
        while self.log.step()? == Step::Working {}
        self.log.append(&RECORD, SyncMode::Sync)?;
        Ok(())
    }

    /// Lets all writers commit at once, each so often at most, or until the time is over.
    fn burst(&mut self, each: u64, slice: Duration) -> Result<(), ProbeError> {
        let Load { writers, in_flight } = self.committed.load;
        let width = self.committed.load.width();
        let quota = Quota::new(LEAST.min(each) * width, each * width, slice);
        let before = self.log.stats();
        let log = &self.log;
        let burst = thread::scope(|scope| {
            // Nobody begins before all are there.
            let mut gate = quota.begun.write().unwrap_or_else(PoisonError::into_inner);
            let mut threads = Vec::new();
            for _ in 0..writers {
                let thread = thread::Builder::new()
                    .spawn_scoped(scope, || write(log, in_flight, &quota))
                    .map_err(|cause| {
                        quota.end();
                        ProbeError::Threads { writers, cause }
                    })?;
                threads.push(thread);
            }
            let begun = now();
            *gate = begun;
            drop(gate);
            let written: Vec<_> = threads
                .into_iter()
                .map(|thread| thread.join().unwrap_or_else(|p| std::panic::resume_unwind(p)))
                .collect::<Result<_, LogError>>()?;
            Ok::<_, ProbeError>((written, begun.elapsed()))
        });
        let (written, elapsed) = burst?;
        for Written { rung, times } in written {
            self.committed.rung = self.committed.rung.min(rung);
            self.committed.sorted.extend(times);
        }
        let after = self.log.stats();
        self.committed.elapsed += elapsed;
        self.committed.groups += after.groups - before.groups;
        self.committed.bytes += after.written - before.written;
        Ok(())
    }

    fn finish(mut self) -> Committed {
        self.committed.largest_group = self.log.stats().largest_group;
        self.committed.sorted.sort_unstable();
        self.committed
    }
}

/// How many commits a burst has still to make.
struct Quota {
    taken: AtomicU64,
    least: u64,
    most: u64,
    slice: Duration,
    /// When the burst began; closed to its writers until it has.
    begun: RwLock<Instant>,
}

impl Quota {
    fn new(least: u64, most: u64, slice: Duration) -> Self {
        Self { taken: AtomicU64::new(0), least, most, slice, begun: RwLock::new(now()) }
    }

    /// Waits until the burst begins; answers when it did.
    fn begun(&self) -> Instant {
        *self.begun.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether one more commit is to be made.
    fn take(&self, begun: Instant) -> bool {
        let number = self.taken.fetch_add(1, Ordering::Relaxed);
        number < self.most && (number < self.least || begun.elapsed() < self.slice)
    }

    /// Gives out no more.
    fn end(&self) {
        self.taken.store(self.most, Ordering::Relaxed);
    }
}

/// What one writer brought.
struct Written {
    /// The least that a commit reached.
    rung: Rung,
    times: Vec<Duration>,
}

/// Commits while the quota lasts, and waits for the oldest when so many are under way.
fn write(log: &Log, in_flight: usize, quota: &Quota) -> Result<Written, LogError> {
    let started = quota.begun();
    let mut written = Written { rung: Rung::Durable, times: Vec::new() };
    let mut under_way = VecDeque::with_capacity(in_flight);
    loop {
        while under_way.len() < in_flight && quota.take(started) {
            let begun = now();
            under_way.push_back((begun, log.join(&RECORD, SyncMode::Sync, |_| {})?));
        }
        let Some((begun, ticket)) = under_way.pop_front() else { return Ok(written) };
        let receipt = ticket.wait()?;
        written.times.push(begun.elapsed());
        written.rung = written.rung.min(receipt.rung);
    }
}

#[cfg(test)]
mod tests;
