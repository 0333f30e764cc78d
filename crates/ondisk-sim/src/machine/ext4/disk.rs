//! The bytes of the file system on the media: written by a formatter, read by a mount.
//!
//! Invariant: a mount is given bytes and nothing else.

use std::collections::BTreeMap;

use crate::machine::ids::Ino;
use crate::machine::message::Kind;

/// All names and inodes of a file system.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    /// By number.
    pub nodes: BTreeMap<Ino, TreeNode>,
}

/// An inode as the media have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeNode {
    /// What it is.
    pub kind: Kind,
    /// Its length in bytes.
    pub size: u64,
    /// How many names it has.
    pub links: u32,
    /// Its mode bits.
    pub mode: u16,
    /// The names in it, of a directory.
    pub entries: Vec<(Box<[u8]>, Ino)>,
    /// What it says, of a symbolic link.
    pub target: Box<[u8]>,
}

/// What a mount read from the media: everything that the running file system knows of them.
#[derive(Clone, Debug, Default)]
pub struct Loaded {}
