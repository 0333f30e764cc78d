//! Names: looked up, listed, changed.
//!
//! Invariant: a directory's entries hold, of each name that was looked up or changed in this life,
//! what it stands for now; the others are asked of the media.

use std::ffi::OsStr;
use std::sync::Arc;

use super::{Live, LiveNode, Origin, ino_at};
use crate::ops::digest::{bytes_digest, mix2};
use crate::ops::history::{Ino, What};
use crate::ops::media::Is;
use crate::ops::path::Name;

/// A name in a directory.
pub(in crate::ops) struct Spot<'a> {
    pub(in crate::ops) dir: Ino,
    pub(in crate::ops) name: &'a OsStr,
}

impl Live {
    /// What a name in a directory stands for, as the program sees it.
    pub(in crate::ops) fn lookup(&mut self, dir: Ino, name: &OsStr) -> Option<Ino> {
        let found = self.find(dir, name);
        let answer = found.map_or(0, |ino| self.entry(name, ino));
        self.saw(dir, answer);
        found
    }

    /// The same; the program is not told.
    fn find(&mut self, dir: Ino, name: &OsStr) -> Option<Ino> {
        let node = &self.nodes[dir.index()];
        if let Some(known) = node.entries.get(name) {
            return *known;
        }
        if node.listed {
            return None;
        }
        let found = self.media.lookup(dir, name);
        self.nodes[dir.index()].entries.insert(Name::from(name), found);
        found
    }

    /// The names in a directory and what they stand for, sorted.
    pub(in crate::ops) fn list(&mut self, dir: Ino) -> Vec<(Name, Ino)> {
        if !self.nodes[dir.index()].listed {
            for name in self.media.names(dir) {
                self.find(dir, &name);
            }
            self.nodes[dir.index()].listed = true;
        }
        let entries = &self.nodes[dir.index()].entries;
        let there = entries.iter().filter_map(|(name, ino)| Some((Arc::clone(name), (*ino)?)));
        let there: Vec<(Name, Ino)> = there.collect();
        for (name, ino) in &there {
            self.saw(dir, self.entry(name, *ino));
        }
        self.saw(dir, there.len() as u64);
        there
    }

    /// An entry of a directory as a program sees it: not which inode it is.
    fn entry(&self, name: &OsStr, ino: Ino) -> u64 {
        let is = self.nodes[ino.index()].is as u64;
        mix2(bytes_digest(name.as_encoded_bytes()).0, is)
    }

    fn set_name(&mut self, dir: Ino, name: &Name, ino: Option<Ino>) {
        let before = self.nodes[dir.index()].entries.insert(Arc::clone(name), ino);
        for (ino, link) in [(before.flatten(), -1), (ino, 1)] {
            if let Some(ino) = ino {
                let links = &mut self.nodes[ino.index()].links;
                *links = links.saturating_add_signed(link);
            }
        }
    }

    /// A new, empty file.
    pub(in crate::ops) fn create(&mut self, at: &Spot<'_>) -> Ino {
        let (dir, name, ino) = self.make(at, LiveNode::new(Is::File, Origin::Fresh));
        self.record(What::Create { dir, name, ino }, Ok(0));
        ino
    }

    pub(in crate::ops) fn mkdir(&mut self, at: &Spot<'_>) -> Ino {
        let (dir, name, ino) = self.make(at, LiveNode::new(Is::Dir, Origin::Fresh));
        self.record(What::Mkdir { dir, name, ino }, Ok(0));
        ino
    }

    pub(in crate::ops) fn symlink(&mut self, at: &Spot<'_>, target: &[u8]) -> Ino {
        let target: Arc<[u8]> = Arc::from(target);
        let fresh = LiveNode::new(Is::Symlink, Origin::Fresh);
        let node = LiveNode { target: Some(Arc::clone(&target)), ..fresh };
        let (dir, name, ino) = self.make(at, node);
        self.record(What::Symlink { dir, name, ino, target }, Ok(0));
        ino
    }

    fn make(&mut self, at: &Spot<'_>, node: LiveNode) -> (Ino, Name, Ino) {
        let ino = ino_at(self.nodes.len());
        self.nodes.push(LiveNode { links: 0, ..node });
        let (dir, name) = (at.dir, Name::from(at.name));
        self.set_name(dir, &name, Some(ino));
        (dir, name, ino)
    }

    /// What a symbolic link stands for; nothing for other inodes.
    pub(in crate::ops) fn target(&self, ino: Ino) -> Arc<[u8]> {
        let made = self.nodes[ino.index()].target.clone();
        made.unwrap_or_else(|| self.media.target(ino))
    }

    pub(in crate::ops) fn link(&mut self, ino: Ino, at: &Spot<'_>) {
        let (dir, name) = (at.dir, Name::from(at.name));
        self.set_name(dir, &name, Some(ino));
        self.record(What::Link { dir, name, ino }, Ok(0));
    }

    pub(in crate::ops) fn remove(&mut self, at: &Spot<'_>, ino: Ino) {
        let (dir, name) = (at.dir, Name::from(at.name));
        self.set_name(dir, &name, None);
        let what = match self.nodes[ino.index()].is {
            Is::File | Is::Symlink => What::Unlink { dir, name, ino },
            Is::Dir => What::Rmdir { dir, name, ino },
        };
        self.record(what, Ok(0));
    }

    pub(in crate::ops) fn rename(&mut self, from: &Spot<'_>, to: &Spot<'_>, ino: Ino) {
        let replaced = self.lookup(to.dir, to.name);
        let (from, to) = ((from.dir, Name::from(from.name)), (to.dir, Name::from(to.name)));
        self.set_name(from.0, &from.1, None);
        self.set_name(to.0, &to.1, Some(ino));
        self.record(What::Rename { from, to, ino, replaced }, Ok(0));
    }

    pub(in crate::ops) fn exchange(
        &mut self,
        one: &Spot<'_>,
        ino: Ino,
        other: &Spot<'_>,
        with: Ino,
    ) {
        let (one, other) = ((one.dir, Name::from(one.name)), (other.dir, Name::from(other.name)));
        self.set_name(one.0, &one.1, Some(with));
        self.set_name(other.0, &other.1, Some(ino));
        self.record(What::Exchange { one, ino, other, with }, Ok(0));
    }

    pub(in crate::ops) fn chmod(&mut self, ino: Ino, mode: u32) {
        self.nodes[ino.index()].mode = mode;
        self.record(What::Chmod { ino, mode }, Ok(0));
    }
}
