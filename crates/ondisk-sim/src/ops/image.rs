//! A whole file tree as plain data: what a test puts in, takes out, damages.
//!
//! Invariant: an [`Image`] holds its bytes itself; changing one changes no file system. Paths are
//! relative to the root, and every file's directories are there or are made on the way in.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What stands at a path of an [`Image`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Node {
    /// A file with its bytes.
    File(Vec<u8>),
    /// A directory.
    Dir,
}

/// A file tree: paths and bytes.
///
/// Files with several names come out as several files with the same bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Image {
    /// All files and directories but the root, by path.
    pub nodes: BTreeMap<PathBuf, Node>,
}

impl Image {
    /// An empty tree.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The same tree with one more file.
    #[must_use]
    pub fn file(mut self, path: impl AsRef<Path>, bytes: impl Into<Vec<u8>>) -> Self {
        self.nodes.insert(path.as_ref().to_owned(), Node::File(bytes.into()));
        self
    }

    /// The same tree with one more directory.
    #[must_use]
    pub fn dir(mut self, path: impl AsRef<Path>) -> Self {
        self.nodes.insert(path.as_ref().to_owned(), Node::Dir);
        self
    }

    /// The bytes of a file; `None` when there is none at that path.
    #[must_use]
    pub fn bytes(&self, path: impl AsRef<Path>) -> Option<&[u8]> {
        match self.nodes.get(path.as_ref()) {
            Some(Node::File(bytes)) => Some(bytes),
            _ => None,
        }
    }

    /// The bytes of a file, to be changed.
    pub fn bytes_mut(&mut self, path: impl AsRef<Path>) -> Option<&mut Vec<u8>> {
        match self.nodes.get_mut(path.as_ref()) {
            Some(Node::File(bytes)) => Some(bytes),
            _ => None,
        }
    }

    /// All files with their bytes, by path.
    pub fn files(&self) -> impl Iterator<Item = (&Path, &[u8])> {
        self.nodes.iter().filter_map(|(path, node)| match node {
            Node::File(bytes) => Some((path.as_path(), bytes.as_slice())),
            Node::Dir => None,
        })
    }
}
