//! The durability table: how each kind of file gets to the disk, and what a kill, a crash and a
//! power cut can each take.
//!
//! Invariant: every word is computed from what the code goes by: the modes, how many commits a mode
//! leaves at risk, the rung that a sync reaches here, the calls of the platform's sync plan, and the
//! rows that engines give of themselves. A test performs each loss that the table allows, and looks
//! for one that it does not allow.
//!
//! Knows nothing of what keyspaces hold.

use std::fmt;
use std::path::Path;

use ondisk_fs::{FileSystem, Rung, SyncPlan};
use ondisk_log::SyncMode;

use crate::engine::FileKind;
use crate::error::Error;
use crate::keyspace::Space;
use crate::options::EngineKind;
use crate::values::ValueFiles;

/// What of a store can be lost, by which death, and why no more.
///
/// Made by [`Db::durability`](crate::Db::durability) and
/// [`Reader::durability`](crate::Reader::durability).
///
/// ```
/// # fn main() -> Result<(), ondisk::Error> {
/// # let dir = tempfile::tempdir().expect("a directory to work in");
/// # let db = ondisk::Db::builder().sync("batch:7".parse().unwrap()).open(dir.path())?;
/// use ondisk::{Death, Loss};
///
/// let table = db.durability()?;
/// assert_eq!(table.keyspaces[0].loss(Death::Kill), Loss::Nothing);
/// # if table.reached == ondisk::Rung::Durable {
/// assert_eq!(table.keyspaces[0].loss(Death::PowerCut), Loss::AtMost(7));
/// # }
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Durability {
    /// The rung that a sync reaches where the store stands: on a file system in memory it is
    /// [`Rung::Cached`].
    pub reached: Rung,
    /// The kinds of files that all keyspaces share, the log's segments aside.
    pub shared: Vec<FileKind>,
    /// The keyspaces, in the order in which they were made.
    pub keyspaces: Vec<KeyspaceDurability>,
}

/// What of a keyspace can be lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyspaceDurability {
    /// Its name.
    pub name: String,
    /// Its engine.
    pub engine: EngineKind,
    /// The mode of commits that say nothing else.
    pub mode: SyncMode,
    /// Who chose the mode.
    pub chosen: ChosenBy,
    /// The kinds of files that its commits go through: the log's segments, then the engine's.
    pub files: Vec<FileKind>,
    reached: Rung,
}

/// Who chose a keyspace's mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChosenBy {
    /// It was made with it, and keeps it.
    Keyspace,
    /// Who opened the store.
    Opener,
}

/// Three ways to die.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Death {
    /// The process ends: SIGKILL, a panic, out of memory.
    Kill,
    /// The kernel ends: a panic, a reset. The drive goes on.
    Crash,
    /// The power goes, for the drive too.
    PowerCut,
}

/// What a death can take of what was acknowledged. It is always the end: commits come back whole
/// and in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Nothing.
    Nothing,
    /// So many commits, the last ones.
    AtMost(u32),
    /// All that the system had not written back by itself.
    Unbounded,
}

impl Death {
    /// All of them, the mildest first.
    pub const ALL: [Self; 3] = [Self::Kill, Self::Crash, Self::PowerCut];

    /// In words.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Crash => "crash",
            Self::PowerCut => "power cut",
        }
    }

    /// The first rung that survives it.
    #[must_use]
    pub fn survived_by(self) -> Rung {
        match self {
            Self::Kill => Rung::Cached,
            Self::Crash => Rung::Device,
            Self::PowerCut => Rung::Durable,
        }
    }
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("nothing that was acknowledged"),
            Self::AtMost(1) => f.write_str("at most the last acknowledged commit"),
            Self::AtMost(n) => write!(f, "at most the last {n} acknowledged commits"),
            Self::Unbounded => f.write_str(
                "any number of the last acknowledged commits: all that the system had not written \
                 back by itself",
            ),
        }
    }
}

impl KeyspaceDurability {
    /// What a death can take of the keyspace's acknowledged commits.
    #[must_use]
    pub fn loss(&self, death: Death) -> Loss {
        let survives = |rung: Rung| rung >= death.survived_by();
        if survives(acknowledged_at(self.mode, self.reached)) {
            return Loss::Nothing;
        }
        match self.mode.at_risk() {
            // What a sync was made for is not at risk, where a sync is one.
            Some(n) if survives(self.reached) => Loss::AtMost(n),
            _ => Loss::Unbounded,
        }
    }
}

/// The rung on which a mode acknowledges, where a sync reaches `reached`.
fn acknowledged_at(mode: SyncMode, reached: Rung) -> Rung {
    if mode.at_risk() == Some(0) { reached } else { Rung::Cached }
}

impl Durability {
    pub(crate) fn of<'a>(
        fs: &dyn FileSystem,
        path: &Path,
        openers: SyncMode,
        spaces: impl Iterator<Item = &'a Space>,
    ) -> Result<Self, Error> {
        // Asked of the place itself: on a file system in memory a sync does nothing.
        let reached = fs.sync_dir(path).map_err(Error::io(path, "sync the directory"))?;
        let keyspaces = spaces.map(|space| KeyspaceDurability::of(space, openers, reached));
        Ok(Self { reached, shared: shared(), keyspaces: keyspaces.collect() })
    }
}

impl KeyspaceDurability {
    fn of(space: &Space, openers: SyncMode, reached: Rung) -> Self {
        let mode = space.mode(openers);
        let own = space.options.sync.is_some();
        let mut files = vec![segment(mode)];
        files.extend(space.engine.files());
        if !files.iter().any(|file| file.kind == ValueFiles::file_kind().kind) {
            files.push(ValueFiles::file_kind());
        }
        Self {
            name: space.name.clone(),
            engine: space.options.engine,
            mode,
            chosen: if own { ChosenBy::Keyspace } else { ChosenBy::Opener },
            files,
            reached,
        }
    }
}

/// The log's segments, for commits in a mode.
fn segment(mode: SyncMode) -> FileKind {
    let plan = SyncPlan::HERE;
    let first = |calls: &[ondisk_fs::Call]| calls.first().map_or("a sync", |call| call.name());
    let (sync, when, so) = match mode {
        SyncMode::Sync => (
            format!("{}, or {}", first(plan.durable_write), first(plan.data)),
            "once for each group, before its commits are acknowledged".to_owned(),
            "durable when it is acknowledged".to_owned(),
        ),
        SyncMode::Batch(batch) => {
            let n = mode.at_risk().unwrap_or_default();
            let mut when = format!("before more than {n} acknowledged commits are not durable");
            if let Some(bytes) = batch.bytes {
                when += &format!(", or {bytes} bytes of them");
            }
            if let Some(delay) = batch.delay {
                when += &format!(", and {} ms after a commit", delay.as_millis());
            }
            let so = format!("cached when it is acknowledged; all but the last {n} are durable");
            (first(plan.data).to_owned(), when, so)
        }
        SyncMode::None => (
            first(plan.data).to_owned(),
            "when a segment is full, before a checkpoint counts, when the store is idle or closed"
                .to_owned(),
            "cached when it is acknowledged; durable some time".to_owned(),
        ),
    };
    let flush = "one write for each group, before its commits are acknowledged".to_owned();
    FileKind { kind: "log segment", flush, sync, when, so }
}

/// What all keyspaces share.
fn shared() -> Vec<FileKind> {
    let plan = SyncPlan::HERE;
    let name = |calls: &[ondisk_fs::Call]| calls.first().map_or("a sync", |call| call.name());
    let (all, dir) = (name(plan.all), name(plan.dir));
    let replaced = |kind, when: &str| FileKind {
        kind,
        flush: "whole, beside the one that counts".to_owned(),
        sync: format!("{all}, rename, {dir} of the directory"),
        when: when.to_owned(),
        so: "a power cut leaves the old one or the new one, each whole".to_owned(),
    };
    vec![
        replaced(
            "anchor",
            "at the first commit of an open, before a segment's first group, before the log \
             forgets, at close",
        ),
        replaced("catalog", "when a keyspace is made or dropped, before the log forgets"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loss(mode: &str, reached: Rung) -> [Loss; 3] {
        let mode = mode.parse().unwrap_or_default();
        let (name, engine) = (String::new(), EngineKind::default());
        let files = vec![segment(mode)];
        let of =
            KeyspaceDurability { name, engine, mode, chosen: ChosenBy::Opener, files, reached };
        Death::ALL.map(|death| of.loss(death))
    }

    #[test]
    fn a_kill_takes_nothing_and_a_cut_what_the_mode_says() {
        use Loss::{AtMost, Nothing, Unbounded};
        assert_eq!(loss("sync", Rung::Durable), [Nothing; 3]);
        assert_eq!(loss("batch:9", Rung::Durable), [Nothing, AtMost(9), AtMost(9)]);
        assert_eq!(loss("none", Rung::Durable), [Nothing, Unbounded, Unbounded]);
        // Where a sync leaves the bytes in the drive's cache, and where it does nothing.
        assert_eq!(loss("sync", Rung::Device), [Nothing, Nothing, Unbounded]);
        assert_eq!(loss("batch:9", Rung::Device), [Nothing, AtMost(9), Unbounded]);
        assert_eq!(loss("sync", Rung::Cached), [Nothing, Unbounded, Unbounded]);
    }

    #[test]
    fn the_words_name_the_bound() {
        let batch = "batch:9,5ms".parse().unwrap_or_default();
        let row = segment(batch);
        assert!(row.when.contains("more than 9 ") && row.when.contains("5 ms"), "{row:?}");
        assert_eq!(Loss::AtMost(1).to_string(), "at most the last acknowledged commit");
    }
}
