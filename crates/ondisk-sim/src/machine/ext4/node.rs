//! An inode in memory: what the media have or will have of it, and what they do not know.
//!
//! Invariant: `disk` is what the running transaction says; it is changed only after the blocks
//! that hold it were joined to that transaction.

use super::disk::{DirEntry, Extent, Inode};
use super::ranges::Ranges;
use crate::machine::ids::{BioId, Tid};

/// An inode.
#[derive(Clone, Debug)]
pub(super) struct Node {
    /// As the running transaction has it. Its size is the length that the media know.
    pub(super) disk: Inode,
    /// The names in it by block, of a directory.
    pub(super) names: Vec<Vec<DirEntry>>,
    /// The length that programs see.
    pub(super) size: u64,
    /// Pages that were promised a block and have none.
    pub(super) delayed: Ranges,
    /// The transaction of its last change.
    pub(super) sync_tid: Tid,
    /// The transaction of its creation, or of the last change of its length or blocks.
    pub(super) data_tid: Tid,
    /// The last transaction that changed the length, and what the length was before.
    pub(super) before: (Tid, u64),
    /// Its times were looked at since their last change.
    pub(super) seen: bool,
    /// Writes of its data that are under way.
    pub(super) io: u32,
    /// Pages whose extent is unwritten until a write that is under way is done.
    pub(super) flying: Ranges,
    /// The last page when the file was cut inside it, until its cleared tail is written.
    pub(super) cut: Option<Cut>,
}

/// A page that was cut: on the media it still has the bytes behind the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cut {
    pub(super) page: u32,
    /// The transaction that cuts. The page is not written before it is durable. 0 if it takes
    /// nothing that was there before.
    pub(super) tid: Tid,
    /// A write from this one on has the cleared tail.
    pub(super) from: BioId,
    /// Such a write is under way.
    pub(super) flying: bool,
}

impl Node {
    pub(super) fn new(disk: Inode, names: Vec<Vec<DirEntry>>) -> Self {
        Self {
            size: disk.size,
            disk,
            names,
            delayed: Ranges::default(),
            sync_tid: Tid(0),
            data_tid: Tid(0),
            before: (Tid(0), 0),
            seen: false,
            io: 0,
            flying: Ranges::default(),
            cut: None,
        }
    }

    /// The extent that holds a page, and whether it is unwritten.
    pub(super) fn extent(&self, page: u32) -> Option<&Extent> {
        self.disk.extent(page)
    }
}
