//! What can go wrong with a store, each as a sentence that says what to do.
//!
//! Invariant: an error that a caller must tell apart from others is a variant with typed fields;
//! its text is never matched on.

use std::io;
use std::path::{Path, PathBuf};

use ondisk_fs::LockError;
use ondisk_log::{LogError, Lsn};

use crate::commit::CommitError;
use crate::options::KeyspaceOptions;

/// Why a call on a store failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// What stands at the path is no store. It was left as it was.
    #[error("{}: not a store: {why}", path.display())]
    NotAStore {
        /// The path that was to be opened.
        path: PathBuf,
        /// What was found there, and what to do.
        why: &'static str,
    },
    /// Another process has the store open, or this one by another handle.
    #[error("{}: locked by {}; close the store there first", path.display(), holder(*pid))]
    Locked {
        /// The store.
        path: PathBuf,
        /// The process that holds the lock, where that is known.
        pid: Option<u32>,
    },
    /// A file of a format that this version does not know. The store was left as it was.
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
    /// The key is longer than a store takes.
    #[error("a key of {len} bytes: the limit is {limit} bytes; use a shorter key")]
    KeyTooLarge {
        /// The key's length in bytes.
        len: usize,
        /// The longest key that this store takes.
        limit: usize,
    },
    /// The value does not fit into one commit.
    #[error(
        "a value of {len} bytes: the limit beside this key is {limit} bytes; split it, or open \
         the store with larger segments"
    )]
    ValueTooLarge {
        /// The value's length in bytes.
        len: usize,
        /// The longest value that a commit takes beside this key.
        limit: usize,
    },
    /// The batch does not fit into one commit.
    #[error(
        "a batch of {bytes} bytes: the limit of one commit is {limit} bytes; split it, or open \
         the store with larger segments"
    )]
    BatchTooLarge {
        /// The batch's bytes, with its headers.
        bytes: usize,
        /// The most that one commit takes.
        limit: usize,
    },
    /// A file of the store is not what was written.
    #[error(
        "{}: damaged at offset {offset}: {damage}; restore a copy of the store, or copy out what \
         verifies", path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where in it, in bytes.
        offset: u64,
        /// What is wrong there.
        damage: Damage,
    },
    /// The log refused: see there.
    #[error(transparent)]
    Log(LogError),
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
    /// The file is none of ours: no magic of ours stands at its beginning.
    #[error("{}: not a file of a store; its first bytes are no magic that is known here", path.display())]
    NotAFile {
        /// The file.
        path: PathBuf,
    },
    /// A name that no keyspace can have.
    #[error("a keyspace's name of {len} bytes: it takes 1 to {limit} bytes")]
    KeyspaceName {
        /// The name's length in bytes.
        len: usize,
        /// The longest name.
        limit: usize,
    },
    /// The store has no such keyspace.
    #[error("no keyspace is named `{}`; make it with its engine first", name.escape_default())]
    NoKeyspace {
        /// The name that was asked for.
        name: String,
    },
    /// The keyspace was dropped, by this handle or by another.
    #[error("the keyspace `{}` was dropped", name.escape_default())]
    KeyspaceDropped {
        /// Its name.
        name: String,
    },
    /// The keyspace every store has cannot be dropped.
    #[error("the keyspace `default` belongs to every store and cannot be dropped")]
    DefaultKeyspace,
    /// The keyspace is there, made with other options.
    #[error(
        "the keyspace `{}` was made with the options `{stored}`, not `{asked}`; open it with those, \
         or give another name", name.escape_default()
    )]
    OtherOptions {
        /// Its name.
        name: String,
        /// What it was made with.
        stored: Box<KeyspaceOptions>,
        /// What was asked for.
        asked: Box<KeyspaceOptions>,
    },
    /// A batch or a transaction names a keyspace of another store.
    #[error("a keyspace of another store is named; use the handles of this one")]
    ForeignKeyspace,
    /// All numbers of keyspaces were used.
    #[error("the store has had as many keyspaces as there are numbers for them")]
    TooManyKeyspaces,
    /// A page size that no tree can have.
    #[error("a page size of {found} bytes: it is a power of two from 1024 to 65536")]
    PageSize {
        /// What was asked for.
        found: u32,
    },
    /// Another commit wrote what the transaction had read. Nothing was written; run it again.
    #[error(
        "the key `{}` of the keyspace `{}` was written by commit {lsn} after the transaction had \
         read it; run the transaction again", key.escape_ascii(), keyspace.escape_default()
    )]
    Conflict {
        /// The name of the keyspace.
        keyspace: String,
        /// The key.
        key: Vec<u8>,
        /// A commit that wrote it meanwhile.
        lsn: Lsn,
    },
    /// Too much was committed since the transaction began: what its reads are to be compared with
    /// is no longer kept. Nothing was written; run it again.
    #[error(
        "the transaction reads as of LSN {lsn}, and what was committed is kept from above LSN \
         {kept} on; run the transaction again, and end it sooner"
    )]
    TooOld {
        /// The commit that its reads are of.
        lsn: Lsn,
        /// Commits above this one are kept.
        kept: Lsn,
    },
    /// What stands at the path is no directory of backups, or of none that fit. It was left as it
    /// was.
    #[error("{}: no backups of this store: {why}", path.display())]
    NotABackup {
        /// The directory.
        path: PathBuf,
        /// What was found there, and what to do.
        why: &'static str,
    },
    /// Something stands where a new store is to be made. It was left as it was.
    #[error("{}: in the way: {why}", path.display())]
    InTheWay {
        /// What is in the way.
        path: PathBuf,
        /// Why, and what to do.
        why: &'static str,
    },
    /// A keyspace that a reader could not open. The others can be read.
    #[error(
        "the keyspace `{}` is damaged: {what}; the other keyspaces can be read, and `salvage` \
         copies what verifies", name.escape_default()
    )]
    KeyspaceDamaged {
        /// Its name.
        name: String,
        /// What is wrong with it, as a sentence.
        what: String,
    },
    /// The store was closed, by this handle or by a clone of it.
    #[error("the store is closed; open it again")]
    Closed,
}

/// What is wrong with a file of the store.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Damage {
    /// The file is named by the manifest, or belongs to every store, and is not there.
    #[error("the file is missing")]
    Missing,
    /// The file is not as long as it must be.
    #[error("the file has {found} bytes, and must have {expected}")]
    Length {
        /// Its length.
        found: u64,
        /// What it must be.
        expected: u64,
    },
    /// The first bytes are not those of such a file.
    #[error("no magic of such a file stands here")]
    Magic,
    /// The checksum of the file's header, or of a whole manifest, does not fit.
    #[error("the checksum of the header does not fit")]
    HeaderSum,
    /// The file belongs to another store, keyspace or place: it was moved or copied here.
    #[error("the file belongs elsewhere: its {0} differs")]
    Elsewhere(&'static str),
    /// The file is whole, and not the one that was meant: one from another time has its name.
    #[error("it is not what was written here last: its {0} differs")]
    Unlike(&'static str),
    /// The checksum of a block of the file does not fit.
    #[error("the checksum of the block does not fit")]
    BlockSum,
    /// A field holds what is never written.
    #[error("the field `{0}` holds what is never written")]
    Field(&'static str),
    /// The checksum over an entry's head and key does not fit.
    #[error("the checksum of the entry's head and key does not fit")]
    EntrySum,
    /// The checksum of a value does not fit.
    #[error("the checksum of the value does not fit")]
    ValueSum,
    /// An entry stands before one with a smaller key.
    #[error("the keys are not in ascending order")]
    Order,
    /// The file holds more or fewer entries than the manifest says.
    #[error("the file holds {found} entries, and must hold {expected}")]
    EntryCount {
        /// The entries in the file.
        found: u64,
        /// The entries that the manifest names.
        expected: u64,
    },
    /// The checksum over the whole file does not fit.
    #[error("the checksum of the whole file does not fit")]
    FileSum,
    /// The checksum of a page does not fit.
    #[error("the checksum of the page does not fit")]
    PageSum,
    /// A page verifies and is not the one that was written here last: a write was lost, or went to
    /// another place.
    #[error("another page stands here than the one that was written")]
    OtherPage,
    /// The bytes read for a key are another key's.
    #[error("another entry stands here than the one that was written")]
    OtherEntry,
    /// A commit of the log is whole and is no commit of a store.
    #[error("the commit with LSN {lsn} cannot be understood: {why}")]
    Commit {
        /// The commit.
        lsn: Lsn,
        /// What is wrong with it.
        why: CommitError,
    },
    /// The manifest is older than the log: some files that it should name are not named.
    #[error(
        "it holds all through LSN {checkpoint}, and the log was released through LSN {released}"
    )]
    Outdated {
        /// The manifest's checkpoint.
        checkpoint: Lsn,
        /// Up to here the log counts on the manifest.
        released: Lsn,
    },
    /// The log ends before the point up to which the manifest holds everything.
    #[error("the log ends at LSN {end}, and the manifest holds all through LSN {checkpoint}")]
    LogEndsEarly {
        /// The last commit in the log.
        end: Lsn,
        /// The manifest's checkpoint.
        checkpoint: Lsn,
    },
}

fn holder(pid: Option<u32>) -> String {
    pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"))
}

impl Error {
    /// For `map_err`: an I/O error with its file and what was tried.
    pub(crate) fn io<'a>(path: &'a Path, op: &'static str) -> impl FnOnce(io::Error) -> Self + 'a {
        move |source| Self::Io { path: path.to_owned(), op, source }
    }

    pub(crate) fn damaged(path: &Path, offset: u64, damage: Damage) -> Self {
        Self::Damaged { path: path.to_owned(), offset, damage }
    }

    /// For `map_err`: a lock that was refused, told as the store's.
    pub(crate) fn lock(store: &Path) -> impl FnOnce(LockError) -> Self + '_ {
        move |error| match error {
            LockError::Held { pid, .. } => Self::Locked { path: store.to_owned(), pid },
            LockError::Io { path, source } => Self::Io { path, op: "take the lock", source },
        }
    }

    /// Whether this is a want of space: nothing was lost, and the same call may succeed when
    /// space returns.
    #[must_use]
    pub fn is_full(&self) -> bool {
        match self {
            Self::Log(error) => error.is_full(),
            Self::Io { source, .. } => {
                matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
            }
            _ => false,
        }
    }

    /// Whether a transaction met others: nothing was written, and it may succeed when it is run
    /// again.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Conflict { .. } | Self::TooOld { .. })
    }

    /// Whether this is damage: bytes that are not what was written, in the log or elsewhere.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        matches!(
            self,
            Self::Damaged { .. }
                | Self::KeyspaceDamaged { .. }
                | Self::Log(LogError::Damaged { .. } | LogError::AnchorMissing { .. })
        )
    }
}

impl From<LogError> for Error {
    fn from(error: LogError) -> Self {
        match error {
            LogError::Closed => Self::Closed,
            LogError::NewerFormat { path, found, known } => {
                Self::NewerFormat { path, found, known }
            }
            LogError::Io { path, op, source } => Self::Io { path, op, source },
            other => Self::Log(other),
        }
    }
}
