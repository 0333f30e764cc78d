//! The measurements: ways to write a block, each timed many times, taking turns.
//!
//! Invariant: all ways have the same number of samples, and no sample holds work that another way
//! left undone: each turn begins with an operation that is not counted.
//!
//! Knows nothing of what the figures mean.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ondisk_fs::{BLOCK, Blocks, File, FileSystem, Rung, SyncPlan};

/// What is written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ground {
    /// The end of a file that grows with each write.
    Growing,
    /// Blocks that are reserved, and were never written.
    Allocated,
    /// Blocks that were written and synced before.
    Written,
    /// A directory, by a new name in it.
    Directory,
}

/// How it is made durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Means {
    /// Not at all.
    Nothing,
    /// [`File::sync_data`].
    SyncData,
    /// [`File::sync_all`].
    SyncAll,
    /// [`File::write_durable`], which writes as well.
    DurableWrite,
    /// [`FileSystem::sync_dir`].
    SyncDir,
}

/// One way to write and sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Way {
    pub(super) ground: Ground,
    pub(super) means: Means,
    /// Blocks in one write.
    pub(super) blocks: usize,
}

impl Way {
    const fn new(ground: Ground, means: Means) -> Self {
        Self { ground, means, blocks: 1 }
    }

    /// A group of so many blocks, as a log writes it.
    const fn group(blocks: usize) -> Self {
        Self { ground: Ground::Written, means: Means::DurableWrite, blocks }
    }
}

/// How many records a group has, among the ways.
pub(super) const GROUP: usize = 16;

pub(super) const WRITE: Way = Way::new(Ground::Written, Means::Nothing);
pub(super) const GROWING_ALL: Way = Way::new(Ground::Growing, Means::SyncAll);
pub(super) const GROWING_DATA: Way = Way::new(Ground::Growing, Means::SyncData);
pub(super) const ALLOCATED_ALL: Way = Way::new(Ground::Allocated, Means::SyncAll);
pub(super) const ALLOCATED_DATA: Way = Way::new(Ground::Allocated, Means::SyncData);
pub(super) const WRITTEN_ALL: Way = Way::new(Ground::Written, Means::SyncAll);
pub(super) const WRITTEN_DATA: Way = Way::new(Ground::Written, Means::SyncData);
pub(super) const DURABLE_WRITE: Way = Way::new(Ground::Written, Means::DurableWrite);
pub(super) const WRITTEN_GROUP: Way =
    Way { ground: Ground::Written, means: Means::SyncData, blocks: GROUP };
pub(super) const DIRECTORY: Way = Way::new(Ground::Directory, Means::SyncDir);

/// The ways, in the order in which they are told.
pub(super) const WAYS: [Way; 10] = [
    WRITE,
    GROWING_ALL,
    GROWING_DATA,
    ALLOCATED_ALL,
    ALLOCATED_DATA,
    WRITTEN_ALL,
    WRITTEN_DATA,
    DURABLE_WRITE,
    WRITTEN_GROUP,
    DIRECTORY,
];

/// One durable write of a group, by its length.
pub(super) const GROUPS: [Way; 5] =
    [Way::group(1), Way::group(4), Way::group(16), Way::group(64), Way::group(256)];

/// Operations of one way before the next has its turn: so many that the first, uncounted one does
/// not cost much, so few that a busy second falls on all ways.
const TURN: usize = 10;

/// The operations of a written file that it has blocks for; then it is overwritten from the start.
const WRITTEN_OPERATIONS: u64 = 64;

/// The bytes that a written file has at most, as long as they are enough for one operation.
const WRITTEN_BYTES: u64 = 4 << 20;

/// When to stop.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limit {
    samples: usize,
    time: Duration,
}

impl Limit {
    /// What gives a p99 to rest on, in a time that nobody minds; fewer samples on a slow disk.
    pub(super) const WAYS: Self = Self { samples: 1000, time: Duration::from_secs(6) };

    /// Fewer, since many megabytes are written each time.
    pub(super) const GROUPS: Self = Self { samples: 100, time: Duration::from_secs(1) };

    /// So many samples, in whatever time.
    pub(super) fn samples(samples: u32) -> Self {
        Self { samples: samples.try_into().unwrap_or(usize::MAX), time: Duration::MAX }
    }
}

/// What one way costs.
#[derive(Clone, Debug)]
pub(super) struct Measurement {
    pub(super) way: Way,
    /// What was reached, by the word of the file system.
    pub(super) rung: Rung,
    sorted: Vec<Duration>,
}

impl Measurement {
    fn new(way: Way, rung: Rung, mut samples: Vec<Duration>) -> Self {
        samples.sort_unstable();
        Self { way, rung, sorted: samples }
    }

    /// A measurement of given times, for those who judge them.
    #[cfg(test)]
    pub(super) fn of(way: Way, rung: Rung, micros: &[u64]) -> Self {
        Self::new(way, rung, micros.iter().copied().map(Duration::from_micros).collect())
    }

    /// The time that so many in a hundred samples do not exceed (the nearest rank).
    pub(super) fn percentile(&self, percent: usize) -> Duration {
        percentile(&self.sorted, percent)
    }

    /// Bytes of one operation; none of one on a directory.
    pub(super) fn bytes(&self) -> usize {
        if self.way.ground == Ground::Directory { 0 } else { self.way.blocks * BLOCK }
    }

    /// How many samples there are.
    pub(super) fn samples(&self) -> usize {
        self.sorted.len()
    }
}

/// Of times in order of length, the one that so many in a hundred do not exceed (the nearest rank);
/// zero of none.
pub(super) fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).or(sorted.last()).copied().unwrap_or_default()
}

/// Measures the ways on files in `dir`, which must be empty and is not left so. `tell` hears how
/// many samples of how many are there.
///
/// # Errors
/// The first that a write or a sync ends with; nothing is measured then.
pub(super) fn run(
    fs: &dyn FileSystem,
    dir: &Path,
    ways: &[Way],
    limit: Limit,
    tell: impl Fn(usize, usize),
) -> io::Result<Vec<Measurement>> {
    let turns = limit.samples.div_ceil(TURN);
    let mut tracks = Vec::new();
    // Where one call syncs the data and all else, measuring it twice says nothing.
    let one_call = SyncPlan::HERE.data == SyncPlan::HERE.all;
    let ways = ways.iter().filter(|way| !(one_call && way.means == Means::SyncAll));
    for (number, &way) in ways.enumerate() {
        tracks.push(Track::new(fs, way, &dir.join(format!("way{number}")), turns)?);
    }
    let begun = now();
    for turn in 1..=turns {
        for track in &mut tracks {
            track.turn(limit.samples)?;
        }
        tell((turn * TURN).min(limit.samples), limit.samples);
        if begun.elapsed() >= limit.time {
            break;
        }
    }
    Ok(tracks
        .into_iter()
        .map(|track| Measurement::new(track.way, track.rung, track.samples))
        .collect())
}

/// One way under way.
struct Track<'a> {
    way: Way,
    target: Target<'a>,
    block: Blocks,
    /// The operation that comes next.
    next: u64,
    /// After so many operations the file is written from its start again.
    wrap: u64,
    rung: Rung,
    samples: Vec<Duration>,
}

/// What a way writes to.
enum Target<'a> {
    File(Arc<dyn File>),
    Dir(&'a dyn FileSystem, std::path::PathBuf),
}

impl<'a> Track<'a> {
    /// Prepares the ground of a way, and syncs it.
    fn new(fs: &'a dyn FileSystem, way: Way, path: &Path, turns: usize) -> io::Result<Self> {
        let mut block = Blocks::zeroed(way.blocks);
        block.bytes_mut().fill(0xA5);
        let all = (turns * (TURN + 1)) as u64;
        let (target, wrap) = match way.ground {
            Ground::Directory => {
                fs.create_dir(path)?;
                (Target::Dir(fs, path.to_owned()), u64::MAX)
            }
            Ground::Growing => (Target::File(fs.create_new(path)?), u64::MAX),
            Ground::Allocated => {
                let file = fs.create_new(path)?;
                file.allocate(all * BLOCK as u64)?;
                (Target::File(file), u64::MAX)
            }
            Ground::Written => {
                let file = fs.create_new(path)?;
                let len = block.len() as u64;
                let operations = (WRITTEN_BYTES / len).clamp(1, WRITTEN_OPERATIONS);
                for operation in 0..operations {
                    file.write_all_at(block.bytes(), operation * len)?;
                }
                (Target::File(file), operations)
            }
        };
        if let Target::File(file) = &target {
            file.sync_all()?;
        }
        ondisk_fs::sync_parent(fs, path)?;
        Ok(Self { way, target, block, next: 0, wrap, rung: Rung::Durable, samples: Vec::new() })
    }

    /// Runs one operation that is not counted, and then some that are.
    fn turn(&mut self, wanted: usize) -> io::Result<()> {
        self.operation()?; // it also waits for what another way left to the journal
        for _ in 0..TURN.min(wanted.saturating_sub(self.samples.len())) {
            let begun = now();
            let rung = self.operation()?;
            self.samples.push(begun.elapsed());
            self.rung = self.rung.min(rung);
        }
        Ok(())
    }

    fn operation(&mut self) -> io::Result<Rung> {
        let number = self.next;
        self.next += 1;
        let offset = number % self.wrap * self.block.len() as u64;
        match &self.target {
            Target::Dir(fs, path) => {
                fs.create_new(&path.join(number.to_string()))?;
                fs.sync_dir(path)
            }
            Target::File(file) if self.way.means == Means::DurableWrite => {
                file.write_durable(self.block.blocks(0..self.way.blocks), offset)
            }
            Target::File(file) => {
                file.write_all_at(self.block.bytes(), offset)?;
                match self.way.means {
                    Means::SyncData => file.sync_data(),
                    Means::SyncAll => file.sync_all(),
                    Means::Nothing | Means::DurableWrite | Means::SyncDir => Ok(Rung::Cached),
                }
            }
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "to measure is to read the clock")]
pub(super) fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests;
