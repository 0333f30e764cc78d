//! What can go wrong with a log, each as a sentence that says what to do.
//!
//! Invariant: an error that a caller must tell apart from others is a variant; its text is never
//! matched on.

use std::io;
use std::path::{Path, PathBuf};

use crate::Lsn;

/// Why a call on a log failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// The file system refused an operation. Nothing was acknowledged.
    #[error("{}: cannot {op}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What was tried, as a verb and its object.
        op: &'static str,
        /// What the file system said.
        #[source]
        source: io::Error,
    },
    /// There is no log in this directory.
    #[error("{}: no log here; make one first", path.display())]
    Absent {
        /// The directory.
        path: PathBuf,
    },
    /// The making of this log was cut short: nothing was ever committed to it.
    #[error("{}: the making of this log was cut short before its first commit; make it again", path.display())]
    HalfMade {
        /// The directory.
        path: PathBuf,
    },
    /// The directory has something in it that is no log, or a log already.
    #[error("{}: a log can be made only in an empty directory, and here is {what}", path.display())]
    Occupied {
        /// The directory.
        path: PathBuf,
        /// What is there.
        what: String,
    },
    /// Segments are there, and the file that says where they begin is not.
    #[error(
        "{}: the anchor is missing, and segments are there; put the anchor back from where it \
         went, or copy out what verifies", path.display()
    )]
    AnchorMissing {
        /// Where the anchor should be.
        path: PathBuf,
    },
    /// A file of a format that this version does not know.
    #[error(
        "{}: format version {found}, and this program knows up to {known}; open it with a newer \
         version of ondisk", path.display()
    )]
    NewerFormat {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// The newest that is known here.
        known: u32,
    },
    /// Something that was durable is not there any more, or is not what was written.
    #[error("{}: damaged at offset {offset}: {damage}; all through LSN {durable} was durable, and what is whole ends at LSN {end}; restore a copy, or copy out what verifies", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where in it, in bytes.
        offset: u64,
        /// The last commit that can be read before the damage.
        end: Lsn,
        /// All through this commit is known to have been durable.
        durable: Lsn,
        /// What is wrong there.
        damage: Damage,
    },
    /// Segment sizes that a log cannot have.
    #[error(
        "segments of {first} to {largest} bytes: sizes are multiples of 4096 from 16384 to 4 GiB, \
         the first no larger than the largest"
    )]
    BadSizes {
        /// The first segment's size.
        first: u64,
        /// The largest one's.
        largest: u64,
    },
    /// The commit is longer than the log takes.
    #[error(
        "a commit of {bytes} bytes: the limit is {limit} bytes; split it, or open the log with larger segments"
    )]
    TooLarge {
        /// The payload's length.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// There is no room for the commit. It was refused before it got an LSN; commits go on when
    /// space returns, without a reopen.
    #[error("{}: no space for the next segment; the commit was refused and is not in the log; free some space and try again", path.display())]
    Full {
        /// The directory.
        path: PathBuf,
        /// What the file system said.
        #[source]
        source: io::Error,
    },
    /// A write or sync of a group failed. It and all later commits of this opening are refused;
    /// those that were not acknowledged may or may not be there after a reopen.
    #[error(
        "the log is poisoned: {cause}; commits that were not acknowledged may or may not be there \
         afterwards; close the store and open it again"
    )]
    Poisoned {
        /// What failed, in words.
        cause: String,
    },
    /// The log was closed.
    #[error("the log is closed")]
    Closed,
    /// What an iterator was to read next has been truncated.
    #[error("the log was truncated: it begins at LSN {first} now")]
    Truncated {
        /// The first commit that is left.
        first: Lsn,
    },
    /// A truncation beyond what is known to be held elsewhere.
    #[error(
        "truncate up to LSN {up_to}: the checkpoint is at LSN {checkpoint}; write a checkpoint first"
    )]
    NotCheckpointed {
        /// What was asked for.
        up_to: Lsn,
        /// The log's checkpoint.
        checkpoint: Lsn,
    },
    /// An LSN that was never given out.
    #[error("LSN {asked}: the last commit is {last}")]
    Unknown {
        /// What was asked for.
        asked: Lsn,
        /// The highest LSN given out.
        last: Lsn,
    },
}

/// What is wrong with bytes of a log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Damage {
    /// No magic: these bytes are of another kind, or overwritten.
    #[error("no group header stands here")]
    NoHeader,
    /// The block is all zeros.
    #[error("zeros stand here")]
    Zeros,
    /// The header's checksum does not fit.
    #[error("the group header's checksum does not fit")]
    HeaderSum,
    /// A payload's checksum does not fit.
    #[error("the payload checksum of LSN {0} does not fit")]
    PayloadSum(Lsn),
    /// The group's lengths do not add up, or their sum does not fit.
    #[error("the group's lengths do not add up")]
    Lengths,
    /// The group reaches past the end of the file.
    #[error("the group reaches past the end of the file")]
    Short,
    /// The group belongs to another place: another life of the file, or another chain.
    #[error("the group here does not continue the log")]
    OtherChain,
    /// The group belongs to another store.
    #[error("the group here belongs to another store")]
    OtherStore,
    /// Bytes between two groups are not zeros.
    #[error("the padding between two groups is not zeros")]
    Padding,
    /// A file is missing.
    #[error("the segment is missing")]
    Missing,
    /// The log goes on after the place where it was closed, or ends before.
    #[error("the log does not end where it was closed")]
    ClosedElsewhere,
    /// The anchor's bytes are no anchor.
    #[error("the anchor {0}")]
    Anchor(&'static str),
}

impl LogError {
    /// For `map_err`: an I/O error with its file and what was tried.
    pub(crate) fn io<'a>(path: &'a Path, op: &'static str) -> impl FnOnce(io::Error) -> Self + 'a {
        move |source| Self::Io { path: path.to_owned(), op, source }
    }

    /// Whether this is a want of space, which may end by itself.
    #[must_use]
    pub fn is_full(&self) -> bool {
        match self {
            Self::Full { .. } => true,
            Self::Io { source, .. } => is_full(source),
            _ => false,
        }
    }
}

/// `ENOSPC` and its like.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
