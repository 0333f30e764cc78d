//! What a mount does not ask and a checker does: whether the parts of the metadata agree.
//!
//! Invariant: a file system whose every transaction was whole agrees, at every cut. What is found
//! here was done wrong by who wrote it, not by a cut.

use std::collections::BTreeSet;

use thiserror::Error;

use super::load::all;
use super::{Bitmap, Loaded};
use crate::machine::ids::{Ino, Lba};
use crate::machine::message::Kind;

/// Two parts of the metadata that do not agree.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Disagreement {
    /// An inode has another number of names than it says.
    #[error("inode {} says that it has {said} links, and has {found}", .ino.0)]
    Links {
        /// The inode.
        ino: Ino,
        /// As it says.
        said: u32,
        /// As the directories say.
        found: u32,
    },
    /// A block is in use, and the bitmap says it is free.
    #[error("block {} is in use, and free in the bitmap", .0.0)]
    Free(Lba),
    /// The bitmap says a block is in use, and it is nobody's.
    #[error("block {} is nobody's, and in use in the bitmap", .0.0)]
    Lost(Lba),
    /// An inode without a name is not in the list of orphans.
    #[error("inode {} has no name and is not in the list of orphans", .0.0)]
    NoOrphan(Ino),
    /// A directory has a name twice.
    #[error("directory {} has a name twice", .0.0)]
    Twice(Ino),
}

/// Compares links with names, bitmap with extents, the list of orphans with inodes.
///
/// # Errors
/// The first disagreement.
pub fn check(loaded: &Loaded) -> Result<(), Disagreement> {
    let mut found = vec![0; loaded.inodes.len()];
    for (dir, blocks) in &loaded.dirs {
        let mut names = BTreeSet::new();
        for entry in blocks.iter().flatten() {
            if !names.insert(&entry.name) {
                return Err(Disagreement::Twice(*dir));
            }
            found[entry.ino.index()] += 1;
            if entry.kind == Kind::Dir {
                found[dir.index()] += 1; // the name `..` in it
                found[entry.ino.index()] += 1; // and `.`
            }
        }
    }
    found[Ino::ROOT.index()] += 2;
    for (ino, inode) in all(&loaded.inodes) {
        let found = found[ino.index()];
        if inode.links != found {
            return Err(Disagreement::Links { ino, said: inode.links, found });
        }
        if found == 0 && !loaded.orphans.contains(&ino) {
            return Err(Disagreement::NoOrphan(ino));
        }
    }
    bitmap(loaded)
}

fn bitmap(loaded: &Loaded) -> Result<(), Disagreement> {
    let geometry = loaded.superblock.geometry;
    let mut used = Bitmap::new(geometry.blocks);
    (0..geometry.data.0).for_each(|lba| used.take(Lba(lba)));
    for (_, inode) in all(&loaded.inodes) {
        for extent in &inode.extents {
            (0..extent.count).for_each(|nth| used.take(Lba(extent.lba.0 + nth)));
        }
        inode.overflow.iter().for_each(|lba| used.take(*lba));
    }
    for lba in (0..geometry.blocks).map(Lba) {
        match (used.used(lba), loaded.bitmap.used(lba)) {
            (true, false) => return Err(Disagreement::Free(lba)),
            (false, true) => return Err(Disagreement::Lost(lba)),
            _ => {}
        }
    }
    Ok(())
}
