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
    /// A symbolic link with what it stands for.
    Symlink(Vec<u8>),
}

/// A file tree: paths and bytes.
///
/// A file with several names stands under each of them, and its names are joined.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Image {
    /// All files and directories but the root, by path.
    pub nodes: BTreeMap<PathBuf, Node>,
    /// Of each file that has several names, for each of them but the first: the first.
    links: BTreeMap<PathBuf, PathBuf>,
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

    /// The same tree with one more name for a file.
    #[must_use]
    pub fn link(mut self, path: impl AsRef<Path>, more: impl AsRef<Path>) -> Self {
        let (first, more) = (self.first_name(path.as_ref()).to_owned(), more.as_ref().to_owned());
        if let Some(node) = self.nodes.get(&first) {
            self.nodes.insert(more.clone(), node.clone());
            let mut names: Vec<PathBuf> = self.other_names(&first).cloned().collect();
            names.extend([first, more]);
            self.join(names);
        }
        self
    }

    /// Says that these paths are names of one file.
    pub fn join(&mut self, mut paths: Vec<PathBuf>) {
        paths.sort();
        paths.dedup();
        let mut paths = paths.into_iter();
        let Some(first) = paths.next() else { return };
        self.links.remove(&first);
        self.links.extend(paths.map(|path| (path, first.clone())));
    }

    /// Of the names of the file that stands at a path, the first: the path itself when it has no
    /// other.
    #[must_use]
    pub fn first_name<'a>(&'a self, path: &'a Path) -> &'a Path {
        self.links.get(path).map_or(path, PathBuf::as_path)
    }

    /// The names of a file but the first, which is given.
    fn other_names(&self, first: &Path) -> impl Iterator<Item = &PathBuf> {
        self.links.iter().filter(move |(_, of)| *of == first).map(|(path, _)| path)
    }

    /// The bytes of a file; `None` when there is none at that path.
    #[must_use]
    pub fn bytes(&self, path: impl AsRef<Path>) -> Option<&[u8]> {
        match self.nodes.get(path.as_ref()) {
            Some(Node::File(bytes)) => Some(bytes),
            _ => None,
        }
    }

    /// The bytes of a file, to be changed: those under this name alone.
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
            Node::Dir | Node::Symlink(_) => None,
        })
    }
}
