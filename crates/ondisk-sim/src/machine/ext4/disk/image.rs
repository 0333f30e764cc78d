//! What survived, as a tree.
//!
//! Invariant: it is what a program would read after the mount: holes and unwritten extents are
//! zeros, bytes behind the length are not there, and neither are orphans; the names of one file
//! are joined.

use std::collections::BTreeMap;
use std::path::PathBuf;

use ondisk_fs::BLOCK;

use super::{BLOCK_LEN, Damage, Inode, Loaded, MountError, Part};
use crate::machine::arena::Arena;
use crate::machine::ids::{BlockId, Ino, Lba};
use crate::machine::message::Kind;
use crate::ops::path::name_of;
use crate::ops::record::Hole;
use crate::ops::{Image, Node};

/// How many bytes the files of an image may have in all.
pub const LARGEST_IMAGE: u64 = 256 << 20;

/// All files with their bytes. Orphans are not among them.
///
/// # Errors
/// The files are more than [`LARGEST_IMAGE`] when their holes are filled.
pub fn image(
    loaded: &Loaded,
    read: &dyn Fn(Lba) -> BlockId,
    arena: &Arena,
) -> Result<Image, MountError> {
    let (mut image, mut room) = (Image::new(), LARGEST_IMAGE);
    let mut names: BTreeMap<Ino, Vec<PathBuf>> = BTreeMap::new();
    let mut dirs = vec![(PathBuf::new(), Ino::ROOT)];
    while let Some((above, dir)) = dirs.pop() {
        for entry in loaded.dirs.get(&dir).into_iter().flatten().flatten() {
            let path = above.join(name_of(&entry.name));
            let Some(inode) = loaded.inode(entry.ino) else { continue };
            let node = match inode.kind {
                Kind::Dir => {
                    dirs.push((path.clone(), entry.ino));
                    Node::Dir
                }
                Kind::File => {
                    room = room.checked_sub(inode.size).ok_or(MountError {
                        lba: loaded.superblock.geometry.inode_block(entry.ino),
                        part: Part::Inode(entry.ino),
                        damage: Damage::Large,
                    })?;
                    Node::File(bytes(inode, loaded, read, arena))
                }
                Kind::Symlink => Node::Symlink(inode.target.to_vec()),
            };
            if inode.links > 1 && inode.kind != Kind::Dir {
                names.entry(entry.ino).or_default().push(path.clone());
            }
            image.nodes.insert(path, node);
        }
    }
    names.into_values().for_each(|names| image.join(names));
    Ok(image)
}

/// The blocks of files that hold no bytes: those below the length that have no place, or one that
/// is unwritten. A file with several names may stand there under each.
#[must_use]
pub fn holes(loaded: &Loaded) -> Vec<Hole> {
    let mut holes = Vec::new();
    let mut dirs = vec![(PathBuf::new(), Ino::ROOT)];
    while let Some((above, dir)) = dirs.pop() {
        for entry in loaded.dirs.get(&dir).into_iter().flatten().flatten() {
            let path = above.join(name_of(&entry.name));
            let Some(inode) = loaded.inode(entry.ino) else { continue };
            match inode.kind {
                Kind::Dir => dirs.push((path, entry.ino)),
                Kind::File => {
                    let end = u32::try_from(inode.size.div_ceil(BLOCK_LEN)).unwrap_or(u32::MAX);
                    holes.extend((0..end).filter_map(|block| {
                        let reserved = inode.extent(block).map(|extent| extent.unwritten);
                        let reserved = reserved.map_or(Some(false), |is| is.then_some(true))?;
                        Some(Hole { path: path.clone(), block, reserved })
                    }));
                }
                Kind::Symlink => {}
            }
        }
    }
    holes
}

/// The bytes of a file, whose length was found small enough.
fn bytes(inode: &Inode, loaded: &Loaded, read: &dyn Fn(Lba) -> BlockId, arena: &Arena) -> Vec<u8> {
    let len = usize::try_from(inode.size).unwrap_or(0);
    let mut bytes = Vec::with_capacity(len.next_multiple_of(BLOCK));
    for extent in inode.extents.iter().filter(|extent| !extent.unwritten) {
        for nth in 0..extent.count {
            let at = u64::from(extent.page + nth) * BLOCK_LEN;
            if at >= inode.size {
                break;
            }
            let content = loaded.block(Lba(extent.lba.0 + nth), read);
            bytes.resize(usize::try_from(at).unwrap_or(0), 0);
            bytes.extend_from_slice(arena.bytes(content));
        }
    }
    bytes.resize(len, 0);
    bytes
}
