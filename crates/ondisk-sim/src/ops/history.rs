//! What a program asked of its file system between two power cuts.
//!
//! Invariant: a [`History`] is resolved (inodes and absolute offsets, never paths or
//! descriptors), so what it means does not depend on the order in which it is read; and it is
//! complete: every call that changes storage or promises something is in it, failed ones too.
//! A call that changes storage is made and returns before the next one of these is made; a sync
//! may be running all the while.
//!
//! Knows nothing of models: what of it survives a cut is theirs to say.

use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use super::media::Media;
use super::path::Name;
use super::store::{BlockId, Store};
use super::story::words;

/// A place in the total order of calls and returns of one life. `At(0)` is the beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct At(pub u32);

impl At {
    /// The place behind this one.
    pub(crate) const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// The number of a call in its life, as stories give it: the first is 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct OpId(pub u32);

/// An inode. The root directory is `Ino(0)`; numbers are never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ino(pub u32);

impl Ino {
    /// The root directory.
    pub const ROOT: Self = Self(0);

    pub(crate) const fn index(self) -> usize {
        self.0 as usize
    }
}

/// One call that changed storage, or was to make it durable.
#[derive(Clone, Debug)]
pub struct Call {
    /// Its number in stories.
    pub op: OpId,
    /// When it was made.
    pub called: At,
    /// When it returned; `None` while it is running, as a sync may be.
    pub returned: Option<At>,
    /// What it asked for.
    pub what: What,
    /// The bytes written, or 0; or why it failed. Of a running call it says nothing.
    pub result: Result<u64, io::ErrorKind>,
    /// Whether the drive obeyed when it was told to make things durable.
    pub honest: bool,
}

/// What a call asked for.
#[derive(Clone, Debug)]
pub enum What {
    /// A new, empty file.
    Create {
        /// The directory.
        dir: Ino,
        /// Its name there.
        name: Name,
        /// The new inode.
        ino: Ino,
    },
    /// A new, empty directory.
    Mkdir {
        /// The directory above.
        dir: Ino,
        /// Its name there.
        name: Name,
        /// The new inode.
        ino: Ino,
    },
    /// A new symbolic link.
    Symlink {
        /// The directory.
        dir: Ino,
        /// Its name there.
        name: Name,
        /// The new inode.
        ino: Ino,
        /// The path that it stands for.
        target: Arc<[u8]>,
    },
    /// One more name for a file.
    Link {
        /// The directory.
        dir: Ino,
        /// The new name.
        name: Name,
        /// The file.
        ino: Ino,
    },
    /// A name of a file taken away.
    Unlink {
        /// The directory.
        dir: Ino,
        /// The name.
        name: Name,
        /// The file.
        ino: Ino,
    },
    /// An empty directory taken away.
    Rmdir {
        /// The directory above.
        dir: Ino,
        /// The name.
        name: Name,
        /// The directory.
        ino: Ino,
    },
    /// Another name for an inode, in the place of the one it had.
    Rename {
        /// The old directory and name.
        from: (Ino, Name),
        /// The new directory and name.
        to: (Ino, Name),
        /// What was renamed.
        ino: Ino,
        /// What the new name stood for before.
        replaced: Option<Ino>,
    },
    /// Two names that change places.
    Exchange {
        /// One directory and name.
        one: (Ino, Name),
        /// What it stood for.
        ino: Ino,
        /// The other directory and name.
        other: (Ino, Name),
        /// What that stood for.
        with: Ino,
    },
    /// Bytes written.
    Write {
        /// The file.
        ino: Ino,
        /// Where, in bytes.
        offset: u64,
        /// How many bytes were written.
        len: u64,
        /// The length of the file before.
        old_len: u64,
        /// Which of the recorded versions are its blocks.
        versions: Range<u32>,
        /// Whether the call was to make its own range durable too, and how.
        sync: WriteSync,
    },
    /// The length changed.
    SetLen {
        /// The file.
        ino: Ino,
        /// The length before.
        old_len: u64,
        /// The length after.
        len: u64,
    },
    /// Blocks reserved for the first bytes.
    Allocate {
        /// The file.
        ino: Ino,
        /// The length before.
        old_len: u64,
        /// How many bytes have blocks now, at least.
        len: u64,
    },
    /// Bytes taken away inside a file: they read as zeros, and whole blocks are free again. The
    /// length stays.
    Punch {
        /// The file.
        ino: Ino,
        /// Where, in bytes.
        offset: u64,
        /// How many bytes.
        len: u64,
        /// Which of the recorded versions are its blocks.
        versions: Range<u32>,
    },
    /// Permissions changed. No model says what becomes of them in a cut.
    Chmod {
        /// The inode.
        ino: Ino,
        /// The permission bits.
        mode: u32,
    },
    /// A file synced.
    Sync {
        /// The file.
        ino: Ino,
        /// With which call.
        kind: SyncKind,
    },
    /// A range of a file synced: the second half of an `O_DSYNC` write, where that and the write
    /// itself are told apart.
    SyncRange {
        /// The file.
        ino: Ino,
        /// Where, in bytes.
        offset: u64,
        /// How many bytes.
        len: u64,
        /// With which call.
        kind: SyncKind,
    },
    /// A directory synced.
    SyncDir {
        /// The directory.
        ino: Ino,
    },
    /// Everything synced.
    SyncEverything,
    /// Pages forgotten that a failed sync had left clean: what is read from here on shows that
    /// their data never came to the media.
    Evict {
        /// The file.
        ino: Ino,
        /// The blocks.
        blocks: Vec<u32>,
    },
    /// A bit of the media that changed by itself.
    Rot {
        /// The file.
        ino: Ino,
        /// Which of the recorded versions is the block as it is now.
        versions: Range<u32>,
    },
}

/// Whether a write is to make its own range durable before it returns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WriteSync {
    /// It is not.
    #[default]
    No,
    /// As `O_DSYNC` does: with what is needed to read it back.
    Data,
    /// As `O_SYNC` does: with all metadata.
    All,
}

/// How a file was synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncKind {
    /// `fdatasync`: the data and what is needed to read it back.
    Data,
    /// `fsync`: all metadata too.
    All,
}

/// Something that the program told somebody was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ack {
    /// In which life, the first being 1.
    pub life: u32,
    /// When.
    pub at: At,
    /// What it said, in the words of who tests.
    pub note: Vec<u8>,
}

impl Ack {
    /// The note as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.note).into_owned()
    }
}

/// The content that one block had after a call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Version {
    pub(crate) block: u32,
    pub(crate) content: BlockId,
}

/// All calls of one life, on top of what was on the media when it began.
#[derive(Clone, Debug)]
pub struct History {
    /// Which life this is, the first being 1.
    pub life: u32,
    /// The calls in the order in which they were made.
    pub calls: Vec<Call>,
    /// What was acknowledged in the lives before this one, and is owed.
    pub owed: Arc<[Ack]>,
    /// What was acknowledged in this one, in order.
    pub acks: Vec<Ack>,
    /// The labels, each from its place on.
    pub labels: Vec<(At, Arc<str>)>,
    /// Behind everything that was called.
    pub end: At,
    /// The whole blocks as the page cache held them after each write.
    pub(crate) versions: Vec<Version>,
    pub(crate) base: Media,
    pub(crate) store: Store,
    /// The first number that no inode has.
    pub(crate) next_ino: Ino,
    /// By inode: the path by which it was first opened or made, for stories.
    pub(crate) paths: Vec<Option<Arc<Path>>>,
}

impl History {
    /// The label that stood at a place: what the program was doing. Empty before the first.
    #[must_use]
    pub fn label(&self, at: At) -> Arc<str> {
        let before = self.labels.partition_point(|(from, _)| *from < at);
        before.checked_sub(1).map_or_else(|| Arc::from(""), |last| Arc::clone(&self.labels[last].1))
    }

    /// A call of it in words, as stories give it: what it is, its number, and on what.
    #[must_use]
    pub fn words(&self, call: &Call) -> String {
        words(self, call)
    }

    /// The places where a cut can show all that any cut can, under an oracle that asks for no
    /// less when less was acknowledged: just before each sync or durable write returns, and the
    /// end.
    #[must_use]
    pub fn cuts_at_syncs(&self) -> Vec<At> {
        let mut cuts: Vec<At> = self
            .calls
            .iter()
            .filter(|call| call.what.is_sync())
            .filter_map(|call| call.returned)
            .collect();
        cuts.push(self.end);
        cuts.sort();
        cuts.dedup();
        cuts
    }

    /// Every place there is, the beginning and the end included.
    #[must_use]
    pub fn cuts_everywhere(&self) -> Vec<At> {
        (0..=self.end.0).map(At).collect()
    }
}

impl What {
    /// Whether it promises durability when it returns.
    #[must_use]
    pub fn is_sync(&self) -> bool {
        match self {
            Self::Sync { .. }
            | Self::SyncRange { .. }
            | Self::SyncDir { .. }
            | Self::SyncEverything => true,
            Self::Write { sync, .. } => *sync != WriteSync::No,
            _ => false,
        }
    }

    /// The word for it in stories.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Create { .. } => "create",
            Self::Mkdir { .. } => "mkdir",
            Self::Symlink { .. } => "symlink",
            Self::Link { .. } => "link",
            Self::Unlink { .. } => "remove",
            Self::Rmdir { .. } => "rmdir",
            Self::Rename { .. } => "rename",
            Self::Exchange { .. } => "exchange",
            Self::Write { sync: WriteSync::No, .. } => "write",
            Self::Write { .. } => "write_durable",
            Self::SetLen { .. } => "set_len",
            Self::Allocate { .. } => "allocate",
            Self::Punch { .. } => "punch",
            Self::Chmod { .. } => "chmod",
            Self::Sync { kind: SyncKind::Data, .. } => "sync_data",
            Self::Sync { kind: SyncKind::All, .. } => "sync_all",
            Self::SyncRange { .. } => "sync_range",
            Self::SyncDir { .. } => "sync_dir",
            Self::SyncEverything => "sync",
            Self::Evict { .. } => "evict",
            Self::Rot { .. } => "rot",
        }
    }
}
