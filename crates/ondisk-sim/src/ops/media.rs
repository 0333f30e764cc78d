//! What is on the media when a life begins, as far as that is decided.
//!
//! Invariant: an answer once given stays: whoever asks for the same name, length or bytes again,
//! in this life or a later one, gets the same.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::history::Ino;
use super::path::Name;
use super::store::BlockId;

/// What an inode is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Is {
    File,
    Dir,
}

/// An inode that is wholly known.
#[derive(Clone, Debug)]
pub(crate) enum Inode {
    File { len: u64, blocks: Vec<BlockId> },
    Dir { entries: BTreeMap<Name, Ino> },
}

/// A file tree by inodes, wholly known: what the first life begins with.
#[derive(Clone, Debug)]
pub(crate) struct Tree {
    pub(crate) inodes: Vec<Inode>,
}

impl Tree {
    pub(crate) fn empty() -> Self {
        Self { inodes: vec![Inode::Dir { entries: BTreeMap::new() }] }
    }
}

/// The media.
#[derive(Clone, Debug)]
pub(crate) struct Media {
    base: Arc<Tree>,
}

impl Media {
    pub(crate) fn new(base: Tree) -> Self {
        Self { base: Arc::new(base) }
    }

    /// How many inodes there may be on it.
    pub(crate) fn inodes(&self) -> usize {
        self.base.inodes.len()
    }

    pub(crate) fn is(&self, ino: Ino) -> Is {
        match self.base.inodes.get(ino.index()) {
            Some(Inode::Dir { .. }) => Is::Dir,
            _ => Is::File,
        }
    }

    /// All names that a directory may have.
    pub(crate) fn names(&self, dir: Ino) -> Vec<Name> {
        match self.base.inodes.get(dir.index()) {
            Some(Inode::Dir { entries }) => entries.keys().cloned().collect(),
            _ => Vec::new(),
        }
    }

    /// What a name in a directory stands for.
    pub(crate) fn lookup(&self, dir: Ino, name: &std::ffi::OsStr) -> Option<Ino> {
        match self.base.inodes.get(dir.index()) {
            Some(Inode::Dir { entries }) => entries.get(name).copied(),
            _ => None,
        }
    }

    /// The length of a file.
    pub(crate) fn len(&self, ino: Ino) -> u64 {
        match self.base.inodes.get(ino.index()) {
            Some(Inode::File { len, .. }) => *len,
            _ => 0,
        }
    }

    /// The content of a block.
    pub(crate) fn block(&self, ino: Ino, block: u32) -> BlockId {
        match self.base.inodes.get(ino.index()) {
            Some(Inode::File { blocks, .. }) => {
                blocks.get(block as usize).copied().unwrap_or(BlockId::HOLE)
            }
            _ => BlockId::HOLE,
        }
    }

    /// How many blocks a file may have on it.
    pub(crate) fn blocks(&self, ino: Ino) -> u32 {
        match self.base.inodes.get(ino.index()) {
            Some(Inode::File { blocks, .. }) => u32::try_from(blocks.len()).unwrap_or(u32::MAX),
            _ => 0,
        }
    }

    /// Whether a block may take space on it. Decides nothing.
    pub(crate) fn has_block(&self, ino: Ino, block: u32) -> bool {
        self.block(ino, block) != BlockId::HOLE
    }
}
