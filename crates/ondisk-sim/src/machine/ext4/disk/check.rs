//! What a mount does not ask and a checker does: whether the parts of the metadata agree.
//!
//! Invariant: a file system whose every transaction was whole agrees, at every cut. What is found
//! here was done wrong by who wrote it, not by a cut.

use std::collections::BTreeSet;

use thiserror::Error;

use super::load::all;
use super::{Bitmap, Loaded};
use crate::machine::ids::{Ino, Lba};

/// Two parts of the metadata that do not agree.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Disagreement {
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

/// Compares bitmap with extents, the list of orphans with inodes, and names with each other. That
/// links agree with names is asked by every mount.
///
/// # Errors
/// The first disagreement.
pub fn check(loaded: &Loaded) -> Result<(), Disagreement> {
    for (dir, blocks) in &loaded.dirs {
        let mut names = BTreeSet::new();
        if !blocks.iter().flatten().all(|entry| names.insert(&entry.name)) {
            return Err(Disagreement::Twice(*dir));
        }
    }
    let orphans: BTreeSet<Ino> = loaded.orphans.iter().copied().collect();
    let mut nameless = all(&loaded.inodes).filter(|(_, inode)| inode.links == 0);
    if let Some((ino, _)) = nameless.find(|(ino, _)| !orphans.contains(ino)) {
        return Err(Disagreement::NoOrphan(ino));
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
