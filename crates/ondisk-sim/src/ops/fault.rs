//! Faults on order: which call fails, and how.
//!
//! Invariant: a fault strikes once, or from its first strike on for good; which call that is
//! depends on the calls alone, so a run with a fault can be repeated.

use std::io;
use std::path::{Path, PathBuf};

/// Why the simulation refused a call, in words. Every error it makes wraps one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SimError {
    /// A [`Fault`] struck.
    #[error("call {call} ({place:?}) was made to fail")]
    Fault {
        /// The number of the call, counted from 1 over all calls of this life.
        call: u64,
        /// What kind of call it was.
        place: Place,
    },
    /// The capacity is used up.
    #[error("no space: {used} of {capacity} bytes are used, {wanted} more were asked for")]
    Full {
        /// Bytes in use.
        used: u64,
        /// All there are.
        capacity: u64,
        /// Bytes that did not fit.
        wanted: u64,
    },
    /// An earlier write-back failed, and this descriptor was not told yet.
    #[error("an earlier sync of this file failed through another descriptor")]
    WritebackFailed,
    /// A path does not lead anywhere.
    #[error("{}: {what}", path.to_string_lossy())]
    Path {
        /// The path as it was given.
        path: PathBuf,
        /// What is wrong with it.
        what: &'static str,
    },
    /// Symbolic links that lead to each other, or too many of them.
    #[error("too many symbolic links on the way")]
    Loop,
    /// The file was opened for reading alone.
    #[error("the file was opened for reading alone")]
    ReadOnly,
    /// A file would become longer than the simulation counts.
    #[error("a file would end at byte {end}; the simulation goes to {limit}")]
    TooLong {
        /// The end asked for.
        end: u64,
        /// The largest there is.
        limit: u64,
    },
}

impl SimError {
    /// As an error of a kind, the same on every target.
    pub(crate) fn of(self, kind: io::ErrorKind) -> io::Error {
        io::Error::new(kind, self)
    }

    pub(crate) fn at(path: &Path, kind: io::ErrorKind, what: &'static str) -> io::Error {
        Self::Path { path: path.to_owned(), what }.of(kind)
    }
}

/// The kinds of calls that a fault can be aimed at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// `open`, `kind`, `list`, `size`: calls that only look.
    Look,
    /// `read_at`.
    Read,
    /// `write_at`.
    Write,
    /// `write_durable`.
    WriteDurable,
    /// `sync_data`.
    SyncData,
    /// `sync_all`.
    SyncAll,
    /// `sync_dir`.
    SyncDir,
    /// `create_new`, `create_dir`, `link`.
    Create,
    /// `rename`.
    Rename,
    /// `remove`, `remove_dir`.
    Remove,
    /// `set_len`, `allocate`.
    Resize,
    /// `lock`.
    Lock,
}

/// Which calls a fault counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Every call through the seam.
    Any,
    /// Calls of one kind.
    Only(Place),
    /// Everything that makes durable: the three syncs and the durable write.
    Syncs,
}

/// What a struck call does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// It fails with an error of this kind. A write then wrote nothing; a sync then made nothing
    /// durable, and the data that it was for is clean in the page cache: covered by no later sync,
    /// and readable until the next cut or [`MemFs::evict`](crate::MemFs::evict).
    Error(io::ErrorKind),
    /// A write takes this many bytes alone and says so; other calls are as ever. A durable write
    /// has no way to say so: it fails with [`io::ErrorKind::Other`], these bytes being written.
    Short(usize),
}

/// One fault: the n-th call of a target, counted from when it was ordered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Which calls count.
    pub target: Target,
    /// Calls on this path alone, where it is given.
    pub path: Option<PathBuf>,
    /// Which of them is struck: 1 is the next.
    pub nth: u64,
    /// What becomes of it.
    pub how: How,
    /// Whether all of them after it are struck too.
    pub forever: bool,
}

impl Fault {
    /// The next call of a target fails.
    #[must_use]
    pub const fn next(target: Target, kind: io::ErrorKind) -> Self {
        Self { target, path: None, nth: 1, how: How::Error(kind), forever: false }
    }

    /// The n-th call from now fails, whatever it is; 1 is the next.
    #[must_use]
    pub const fn nth(nth: u64, kind: io::ErrorKind) -> Self {
        Self { target: Target::Any, path: None, nth, how: How::Error(kind), forever: false }
    }

    /// The next write takes no more than so many bytes.
    #[must_use]
    pub const fn short_write(bytes: usize) -> Self {
        let target = Target::Only(Place::Write);
        Self { target, path: None, nth: 1, how: How::Short(bytes), forever: false }
    }

    /// The same, aimed at one path.
    #[must_use]
    pub fn on(mut self, path: impl AsRef<Path>) -> Self {
        self.path = Some(path.as_ref().to_owned());
        self
    }

    /// The same, and every call of its target after it.
    #[must_use]
    pub const fn forever(mut self) -> Self {
        self.forever = true;
        self
    }

    /// Whether a call counts.
    fn counts(&self, place: Place) -> bool {
        match self.target {
            Target::Any => true,
            Target::Only(only) => place == only,
            Target::Syncs => matches!(
                place,
                Place::WriteDurable | Place::SyncData | Place::SyncAll | Place::SyncDir
            ),
        }
    }
}

/// The faults that are ordered and have not struck.
#[derive(Clone, Debug, Default)]
pub(crate) struct Faults {
    armed: Vec<Fault>,
    /// Calls of this life so far.
    pub(crate) calls: u64,
}

impl Faults {
    pub(crate) fn order(&mut self, fault: Fault) {
        self.armed.push(fault);
    }

    pub(crate) fn clear(&mut self) {
        self.armed.clear();
    }

    /// Counts a call; says what strikes it. `is` tells whether a path is the call's.
    pub(crate) fn strike(&mut self, place: Place, is: &dyn Fn(&Path) -> bool) -> Option<How> {
        self.calls += 1;
        if self.armed.is_empty() {
            return None;
        }
        let mut struck = None;
        self.armed.retain_mut(|fault| {
            if !fault.counts(place) || fault.path.as_deref().is_some_and(|path| !is(path)) {
                return true;
            }
            fault.nth = fault.nth.saturating_sub(1);
            if fault.nth > 0 {
                return true;
            }
            struck.get_or_insert(fault.how);
            fault.nth = 1;
            fault.forever
        });
        struck
    }
}
