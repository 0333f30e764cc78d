//! The inodes: what they are, and whom they belong to.
//!
//! Invariant: an inode is here as long as it has a name, a description or a call that works with
//! it; a directory's `parent` is where its name stands.

use std::collections::BTreeMap;

use super::lock::Lock;
use crate::machine::Errno;
use crate::machine::digest::Digest;
use crate::machine::ext4::disk::{Tree, TreeNode};
use crate::machine::ids::Ino;
use crate::machine::message::{Kind, Stat};
use crate::ops;
use crate::ops::record::Recorder;

/// An inode.
#[derive(Clone, Debug)]
pub(super) struct Inode {
    pub(super) kind: Kind,
    pub(super) mode: u16,
    pub(super) size: u64,
    pub(super) links: u32,
    /// The names in it, of a directory.
    pub(super) entries: BTreeMap<Box<[u8]>, Ino>,
    /// The directory above, of a directory.
    pub(super) parent: Ino,
    /// What it says, of a symbolic link.
    pub(super) target: Box<[u8]>,
    /// How many descriptions and calls hold it.
    pub(super) refs: u32,
    /// Whether the page cache knows its length.
    pub(super) known: bool,
    /// It was cut to nothing, and not closed since.
    pub(super) emptied: bool,
    /// How often write-back of it failed,
    pub(super) errors: u32,
    /// how at last,
    pub(super) error: Errno,
    /// and whether anybody was told of that.
    pub(super) seen: bool,
    /// What the history calls it.
    pub(super) known_as: Option<ops::Ino>,
    pub(super) lock: Lock,
}

impl Inode {
    pub(super) fn new(kind: Kind, mode: u16) -> Self {
        Self {
            kind,
            mode,
            size: 0,
            links: if kind == Kind::Dir { 2 } else { 1 },
            entries: BTreeMap::new(),
            parent: Ino::ROOT,
            target: Box::default(),
            refs: 0,
            known: false,
            emptied: false,
            errors: 0,
            error: Errno::Io,
            seen: true,
            known_as: None,
            lock: Lock::default(),
        }
    }

    fn of(node: TreeNode) -> Self {
        let TreeNode { kind, size, links, mode, entries, target } = node;
        let entries = entries.into_iter().collect();
        Self { size, links, entries, target, ..Self::new(kind, mode) }
    }

    /// Whether its owner, who every task is, may do what these bits say.
    pub(super) fn may(&self, bits: u16) -> bool {
        self.mode >> 6 & bits == bits
    }

    /// Whether nothing holds it any more.
    pub(super) fn is_gone(&self) -> bool {
        self.links == 0 && self.refs == 0
    }

    pub(super) fn is_dir(&self) -> bool {
        self.kind == Kind::Dir
    }

    pub(super) fn stat(&self, ino: Ino) -> Stat {
        let Self { kind, size, links, mode, .. } = *self;
        Stat { ino, kind, size, links, mode }
    }

    /// Which failures of write-back somebody who opens it now need not be told of: those that
    /// nobody was told of yet are told to him too.
    pub(super) fn told(&self) -> u32 {
        if self.seen { self.errors } else { self.errors.saturating_sub(1) }
    }
}

/// All inodes, by number.
#[derive(Clone, Debug, Default)]
pub(super) struct Inodes {
    all: Vec<Option<Box<Inode>>>,
    /// The lock that stands for all renames between directories.
    renames: Lock,
}

impl Inodes {
    /// What a mount found.
    pub(super) fn of(tree: Tree, history: Option<&mut Recorder>) -> Self {
        let mut inodes = Self::default();
        for (ino, node) in tree.nodes {
            inodes.insert(ino, Inode::of(node));
        }
        let above: Vec<(Ino, Ino)> = inodes
            .iter()
            .flat_map(|(dir, inode)| inode.entries.values().map(move |ino| (*ino, dir)))
            .collect();
        for (ino, dir) in above {
            if let Some(inode) = inodes.get_mut(ino) {
                inode.parent = dir;
            }
        }
        if let Some(history) = history {
            inodes.name_in(history);
        }
        inodes
    }

    /// Learns what the history calls each inode.
    fn name_in(&mut self, history: &mut Recorder) {
        let mut left = vec![(Ino::ROOT, ops::Ino::ROOT)];
        while let Some((ino, known_as)) = left.pop() {
            let Some(inode) = self.get_mut(ino) else { continue };
            if inode.known_as.replace(known_as).is_none() {
                for (name, below) in &inode.entries {
                    let known_as = history.lookup(known_as, name);
                    left.extend(known_as.map(|known_as| (*below, known_as)));
                }
            }
        }
    }

    pub(super) fn insert(&mut self, ino: Ino, inode: Inode) {
        if self.all.len() <= ino.index() {
            self.all.resize_with(ino.index() + 1, || None);
        }
        self.all[ino.index()] = Some(Box::new(inode));
    }

    pub(super) fn remove(&mut self, ino: Ino) {
        if let Some(slot) = self.all.get_mut(ino.index()) {
            *slot = None;
        }
    }

    pub(super) fn get(&self, ino: Ino) -> Option<&Inode> {
        self.all.get(ino.index())?.as_deref()
    }

    pub(super) fn get_mut(&mut self, ino: Ino) -> Option<&mut Inode> {
        self.all.get_mut(ino.index())?.as_deref_mut()
    }

    /// An inode that must be there.
    pub(super) fn find(&self, ino: Ino) -> Result<&Inode, Errno> {
        self.get(ino).ok_or(Errno::Noent)
    }

    /// A directory that a name is to come into or to go from: it has a name itself.
    pub(super) fn live_dir(&self, ino: Ino) -> Result<&Inode, Errno> {
        self.get(ino).filter(|inode| inode.links > 0).ok_or(Errno::Noent)
    }

    /// The lock of an inode that somebody has pinned, or the one of all renames.
    pub(super) fn lock(&mut self, ino: Ino) -> &mut Lock {
        match self.all.get_mut(ino.index()).and_then(Option::as_deref_mut) {
            Some(inode) => &mut inode.lock,
            None => &mut self.renames,
        }
    }

    pub(super) fn lookup(&self, dir: Ino, name: &[u8]) -> Option<Ino> {
        self.get(dir)?.entries.get(name).copied()
    }

    /// Whether a directory is another, or above it.
    pub(super) fn is_above(&self, above: Ino, mut dir: Ino) -> bool {
        loop {
            if dir == above {
                return true;
            }
            match self.get(dir) {
                Some(inode) if dir != Ino::ROOT => dir = inode.parent,
                _ => return false,
            }
        }
    }

    /// All inodes with their numbers.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Ino, &Inode)> {
        self.all.iter().enumerate().filter_map(|(at, inode)| {
            Some((Ino(u32::try_from(at).unwrap_or(u32::MAX)), inode.as_deref()?))
        })
    }

    pub(super) fn digest(&self, digest: &mut Digest) {
        for (ino, inode) in self.iter() {
            let Inode { kind, mode, size, links, refs, errors, .. } = inode;
            [ino.0, *kind as u32, u32::from(*mode), *links, *refs, *errors]
                .into_iter()
                .for_each(|value| digest.add(u64::from(value)));
            digest.add(*size);
            for (name, ino) in &inode.entries {
                digest.add(ops::digest::bytes_digest(name).0);
                digest.add(u64::from(ino.0));
            }
        }
    }
}
