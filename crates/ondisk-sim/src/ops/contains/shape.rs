//! The names of an image, and the names after each change of a history, as numbers to compare.
//!
//! Invariant: equal trees of names (paths, what stands there, which names are one file) have
//! equal digests; unequal digests are unequal trees.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::Path;

use crate::ops::digest::{bytes_digest, mix, mix2};
use crate::ops::effects::{EffectId, Effects};
use crate::ops::history::Ino;
use crate::ops::image::{Image, Node};
use crate::ops::media::{Inode, Is, Tree};
use crate::ops::path::Name;

/// The root of a [`Shape`].
pub(super) const ROOT: usize = 0;

/// An image as a tree that can be walked.
pub(super) struct Shape<'a> {
    pub(super) nodes: Vec<ShapeNode<'a>>,
}

pub(super) struct ShapeNode<'a> {
    pub(super) path: &'a Path,
    pub(super) is: Is,
    pub(super) bytes: &'a [u8],
    /// The number of the node that stands under the first name of this file.
    pub(super) group: usize,
    pub(super) children: BTreeMap<&'a OsStr, usize>,
}

impl<'a> Shape<'a> {
    pub(super) fn new(image: &'a Image) -> Self {
        let mut shape = Self { nodes: Vec::with_capacity(image.nodes.len() + 1) };
        shape.add(Path::new(""), &Node::Dir);
        let mut known: BTreeMap<&Path, usize> = BTreeMap::from([(Path::new(""), ROOT)]);
        for (path, node) in &image.nodes {
            shape.put(&mut known, path, node);
        }
        for at in 0..shape.nodes.len() {
            let first = image.first_name(shape.nodes[at].path);
            shape.nodes[at].group = known.get(first).copied().unwrap_or(at);
        }
        shape
    }

    /// Puts a node in its place, with directories above it where the image names none.
    fn put(&mut self, known: &mut BTreeMap<&'a Path, usize>, path: &'a Path, node: &'a Node) {
        let mut missing = vec![path];
        let mut above = path.parent();
        while let Some(dir) = above.filter(|dir| !known.contains_key(dir)) {
            missing.push(dir);
            above = dir.parent();
        }
        let mut dir = above.and_then(|above| known.get(above).copied()).unwrap_or(ROOT);
        for part in missing.into_iter().rev() {
            let node = if part == path { node } else { &Node::Dir };
            let at = *known.entry(part).or_insert_with(|| self.nodes.len());
            if at == self.nodes.len() {
                self.add(part, node);
            }
            if let Some(name) = part.file_name() {
                self.nodes[dir].children.insert(name, at);
            }
            dir = at;
        }
    }

    fn add(&mut self, path: &'a Path, node: &'a Node) {
        let (is, bytes): (Is, &[u8]) = match node {
            Node::File(bytes) => (Is::File, bytes),
            Node::Symlink(target) => (Is::Symlink, target),
            Node::Dir => (Is::Dir, &[]),
        };
        let group = self.nodes.len();
        self.nodes.push(ShapeNode { path, is, bytes, group, children: BTreeMap::new() });
    }

    /// A number for its names.
    pub(super) fn digest(&self) -> u64 {
        let mut numbers = vec![0; self.nodes.len()];
        let mut sum = 0_u64;
        // A node stands before those below it: directories are made on the way.
        let mut left = vec![(ROOT, 0_u64)];
        while let Some((at, number)) = left.pop() {
            numbers[at] = number;
            for (name, child) in &self.nodes[at].children {
                left.push((*child, path_number(number, name)));
            }
        }
        for (at, node) in self.nodes.iter().enumerate().skip(1) {
            let target = if node.is == Is::Symlink { node.bytes } else { &[] };
            sum = sum.wrapping_add(entry_number(numbers[at], node.is, target));
            if node.group != at {
                sum = sum.wrapping_add(mix2(mix(numbers[at]), numbers[node.group]));
            }
        }
        sum
    }
}

fn path_number(above: u64, name: &OsStr) -> u64 {
    mix2(above, bytes_digest(name.as_encoded_bytes()).0)
}

fn entry_number(path: u64, is: Is, target: &[u8]) -> u64 {
    mix2(mix2(path, is as u64), bytes_digest(target).0)
}

/// The names after each of their changes, where one chain orders them all.
#[derive(Clone, Debug, Default)]
pub(super) struct Namespaces {
    /// The effects that change names, with the digest of the names after each. Nothing when no
    /// chain orders them.
    after: Vec<(EffectId, u64)>,
    /// The digest of the names before the first of them.
    first: u64,
    is_one_chain: bool,
}

impl Namespaces {
    pub(super) fn new(base: &Tree, effects: &Effects) -> Self {
        if !effects.names_are_one_chain() {
            return Self::default();
        }
        let mut names = Names::new(base, effects);
        let first = names.digest();
        let mut after = Vec::new();
        for (effect, changes) in effects.name_changes() {
            for (dir, name, ino) in changes {
                names.change(dir, name, ino);
            }
            after.push((effect, names.digest()));
        }
        Self { after, first, is_one_chain: true }
    }

    pub(super) fn is_one_chain(&self) -> bool {
        self.is_one_chain
    }

    /// The digest of the names when of all their changes those before an effect are there.
    pub(super) fn before(&self, effect: EffectId) -> u64 {
        let there = self.after.partition_point(|(change, _)| *change < effect);
        there.checked_sub(1).map_or(self.first, |last| self.after[last].1)
    }
}

/// The names at one moment.
struct Names<'a> {
    base: &'a Tree,
    effects: &'a Effects,
    dirs: BTreeMap<Ino, BTreeMap<Name, Ino>>,
}

impl<'a> Names<'a> {
    fn new(base: &'a Tree, effects: &'a Effects) -> Self {
        let mut dirs = BTreeMap::new();
        for (ino, inode) in (0..).zip(&base.inodes) {
            if let Inode::Dir { entries } = inode {
                dirs.insert(Ino(ino), entries.clone());
            }
        }
        Self { base, effects, dirs }
    }

    fn change(&mut self, dir: Ino, name: &Name, ino: Option<Ino>) {
        let entries = self.dirs.entry(dir).or_default();
        match ino {
            Some(ino) => entries.insert(name.clone(), ino),
            None => entries.remove(name),
        };
    }

    /// The same number as that of an image with these names.
    fn digest(&self) -> u64 {
        let mut sum = 0_u64;
        // Paths compare as their components do, so that the first name is the image's.
        let mut named: BTreeMap<Ino, Vec<(Vec<&OsStr>, u64)>> = BTreeMap::new();
        let mut left = vec![(Ino::ROOT, 0_u64, Vec::new())];
        let mut seen = BTreeSet::new();
        while let Some((dir, number, above)) = left.pop() {
            // A directory has one name where one chain orders them.
            if !seen.insert(dir) {
                continue;
            }
            for (name, ino) in self.dirs.get(&dir).into_iter().flatten() {
                let number = path_number(number, name);
                let is = is_of(self.base, self.effects, *ino);
                let target = target_of(self.base, self.effects, *ino);
                sum = sum.wrapping_add(entry_number(number, is, target));
                let path: Vec<&OsStr> = above.iter().copied().chain([&**name]).collect();
                match is {
                    Is::Dir => left.push((*ino, number, path)),
                    Is::File | Is::Symlink => named.entry(*ino).or_default().push((path, number)),
                }
            }
        }
        for mut names in named.into_values().filter(|names| names.len() > 1) {
            names.sort();
            for (_, number) in &names[1..] {
                sum = sum.wrapping_add(mix2(mix(*number), names[0].1));
            }
        }
        sum
    }
}

/// What an inode is.
pub(super) fn is_of(base: &Tree, effects: &Effects, ino: Ino) -> Is {
    match base.inodes.get(ino.index()) {
        Some(Inode::Dir { .. }) => Is::Dir,
        Some(Inode::File { .. }) => Is::File,
        Some(Inode::Symlink { .. }) => Is::Symlink,
        None => effects.is(ino).unwrap_or(Is::File),
    }
}

/// What a symbolic link stands for; nothing for other inodes.
pub(super) fn target_of<'a>(base: &'a Tree, effects: &'a Effects, ino: Ino) -> &'a [u8] {
    match base.inodes.get(ino.index()) {
        Some(Inode::Symlink { target }) => target,
        Some(_) => &[],
        None => effects.target(ino).map_or(&[], |target| target),
    }
}
