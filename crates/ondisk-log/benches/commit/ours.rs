//! The log under measurement, between whose slices its upkeep is done.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ondisk_fs::OsFs;
use ondisk_log::{Log, LogOptions, LogStats, Step, StoreId, SyncMode};
use tempfile::TempDir;

use crate::Outcome;
use crate::slice::{PAYLOAD, Slice, run};

/// More than the disks that we know write in small durable groups, a second.
const BYTES_PER_SECOND: f64 = 150e6;
/// Commits before a slice that are not counted, after the log's upkeep.
const WARM: u32 = 32;

pub(crate) struct Ours {
    log: Log,
    segment: u64,
    /// Bytes written when the upkeep was done last.
    kept_at: u64,
    /// Removed with the log.
    _dir: TempDir,
}

/// A slice, and what the log did in it.
pub(crate) struct Counted {
    pub(crate) slice: Slice,
    pub(crate) commits: u64,
    pub(crate) groups: u64,
    pub(crate) syncs: u64,
    /// Commits that made a segment themselves: then the slice measured that.
    pub(crate) stalls: u64,
}

impl Ours {
    /// Makes a log below `dir` whose segments hold what two slices of `length` write, and more:
    /// so every segment is prepared, and every one given back, between slices.
    pub(crate) fn make(dir: &Path, length: Duration) -> Outcome<Self> {
        let bytes = (2.0 * BYTES_PER_SECOND * length.as_secs_f64()).clamp(32e6, 4e9);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "clamped to what an integer holds"
        )]
        let segment = (bytes as u64).next_multiple_of(1 << 20);
        let options =
            LogOptions { first_segment: segment, largest_segment: segment, ..Default::default() };
        let dir = tempfile::tempdir_in(dir)?;
        let new = Log::create(Arc::new(OsFs), &dir.path().join("log"), StoreId::random(), options)?;
        let mut ours = Self { log: new.finish()?, segment, kept_at: 0, _dir: dir };
        ours.upkeep()?;
        Ok(ours)
    }

    /// Gives back what was written, and prepares the next segment when the present one is half
    /// full.
    fn upkeep(&mut self) -> Outcome<()> {
        self.log.append(&[0; PAYLOAD], SyncMode::Sync)?;
        let last = self.log.last();
        self.log.checkpoint(last)?;
        self.log.truncate(last)?;
        while self.log.step()? == Step::Working {}
        for _ in 0..WARM {
            self.log.append(&[0; PAYLOAD], SyncMode::Sync)?;
        }
        self.kept_at = self.log.stats().written;
        Ok(())
    }

    pub(crate) fn slice(&mut self, committers: usize, length: Duration) -> Outcome<Counted> {
        if self.log.stats().written - self.kept_at > self.segment / 4 {
            self.upkeep()?;
        }
        let before = self.log.stats();
        let log = &self.log;
        let commit = |_, payload: &[u8]| {
            log.append(payload, SyncMode::Sync).map(drop).map_err(std::io::Error::other)
        };
        let slice = run(committers, length, &commit)?;
        Ok(Counted::new(slice, before, self.log.stats()))
    }
}

impl Counted {
    fn new(slice: Slice, before: LogStats, after: LogStats) -> Self {
        Self {
            slice,
            commits: after.commits - before.commits,
            groups: after.groups - before.groups,
            syncs: after.syncs - before.syncs,
            stalls: after.stalls - before.stalls,
        }
    }
}
