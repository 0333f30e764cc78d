//! All metadata read into memory.
//!
//! Invariant: what is read is whole and can be walked: every block belongs to one inode at most,
//! every name to an inode of its kind, every inode has as many links as names, and the directories
//! make a tree. Each block of the device is read at most once, so time and memory are bounded by
//! it.
//!
//! Whether bitmap and list of orphans agree with the inodes is not asked here, but by `check`.

use std::collections::BTreeMap;

use super::codec::{self, Sums};
use super::{
    BLOCK_LEN, Bitmap, Damage, Extent, Geometry, Inode, Loaded, MountError, Part, Tree, TreeNode,
};
use crate::machine::arena::Arena;
use crate::machine::ids::{BlockId, Ino, Lba};
use crate::machine::message::Kind;

/// Reads bitmap, inodes, directories and orphans.
pub(super) fn load(
    loaded: &mut Loaded,
    read: &dyn Fn(Lba) -> BlockId,
    arena: &Arena,
    sums: Sums,
) -> Result<(), MountError> {
    let geometry = loaded.superblock.geometry;
    let block = |lba| loaded.block(lba, read);
    let mut bitmap = Bitmap::new(geometry.blocks);
    for lba in (geometry.bitmap.0..geometry.table.0).map(Lba) {
        codec::decode_bitmap_block(&geometry, &mut bitmap, lba, arena.bytes(block(lba)), sums)
            .map_err(|damage| MountError { lba, part: Part::Bitmap, damage })?;
    }
    let claimed = Bitmap::new(geometry.blocks);
    let mut reader = Reader { geometry, read: &block, arena, sums, claimed };
    let inodes = reader.inodes()?;
    let mut dirs = BTreeMap::new();
    for (ino, inode) in all(&inodes).filter(|(_, inode)| inode.kind == Kind::Dir) {
        dirs.insert(ino, reader.dir(ino, inode)?);
    }
    loaded.bitmap = bitmap;
    loaded.inodes = inodes;
    loaded.dirs = dirs;
    names(loaded)?;
    loaded.orphans = orphans(loaded)?;
    Ok(())
}

/// The inodes in use, by number.
pub(super) fn all(inodes: &[Option<Inode>]) -> impl Iterator<Item = (Ino, &Inode)> {
    (0..).map(Ino).zip(inodes).filter_map(|(ino, inode)| Some((ino, inode.as_ref()?)))
}

struct Reader<'a> {
    geometry: Geometry,
    read: &'a dyn Fn(Lba) -> BlockId,
    arena: &'a Arena,
    sums: Sums,
    /// The blocks of inodes read so far.
    claimed: Bitmap,
}

impl Reader<'_> {
    fn inodes(&mut self) -> Result<Vec<Option<Inode>>, MountError> {
        let mut inodes = Vec::new();
        for lba in (self.geometry.table.0..self.geometry.data.0).map(Lba) {
            let content = (self.read)(lba);
            if content == BlockId::ZERO {
                continue;
            }
            let first = self.geometry.first_inode(lba);
            for (slot, ino) in codec::inode_slots(self.arena.bytes(content)).zip(first.0..) {
                let Some(slot) = slot else { continue };
                let ino = Ino(ino);
                let at = move |damage| MountError { lba, part: Part::Inode(ino), damage };
                if ino < Ino::ROOT || ino.0 > self.geometry.inodes {
                    return Err(at(Damage::Impossible));
                }
                let begun = codec::decode_inode(ino, slot, self.sums).map_err(at)?;
                inodes.resize(ino.index(), None);
                inodes.push(Some(self.inode(ino, lba, begun)?));
            }
        }
        Ok(inodes)
    }

    /// Reads what of an inode stands elsewhere, and claims its blocks.
    fn inode(&mut self, ino: Ino, lba: Lba, begun: codec::Begun) -> Result<Inode, MountError> {
        let at = move |damage| MountError { lba, part: Part::Inode(ino), damage };
        let mut inode = begun.inode;
        self.claim(&inode.extents).map_err(at)?;
        let mut next = begun.overflow;
        while next.0 != 0 {
            let one = Extent { page: 0, count: 1, lba: next, unwritten: false };
            self.claim(&[one]).map_err(at)?;
            let lba = next;
            let at = move |damage| MountError { lba, part: Part::Extents(ino), damage };
            let known = inode.extents.len();
            let block = self.arena.bytes((self.read)(lba));
            next = codec::decode_extent_block(ino, lba, block, &mut inode.extents, self.sums)
                .map_err(at)?;
            self.claim(&inode.extents[known..]).map_err(at)?;
            inode.overflow.push(lba);
        }
        let blocks = Inode::overflow_blocks(begun.extents);
        if inode.extents.len() != begun.extents || inode.overflow.len() != blocks {
            return Err(at(Damage::Impossible));
        }
        if let (Kind::Symlink, Some(extent)) = (inode.kind, inode.extents.first()) {
            let at = |damage| MountError { lba: extent.lba, part: Part::Symlink(ino), damage };
            let block = self.arena.bytes((self.read)(extent.lba));
            let target = codec::decode_symlink_block(ino, extent.lba, block, self.sums);
            inode.target = target.map_err(at)?;
            if inode.target.len() as u64 != inode.size {
                return Err(at(Damage::Impossible));
            }
        }
        Ok(inode)
    }

    /// The blocks of extents belong to one inode.
    fn claim(&mut self, extents: &[Extent]) -> Result<(), Damage> {
        for extent in extents {
            let end = extent.lba.0.checked_add(extent.count);
            let inside = extent.lba >= self.geometry.data
                && end.is_some_and(|end| end <= self.geometry.blocks);
            if !inside {
                return Err(Damage::Beyond(extent.lba));
            }
            self.claimed.take_run(extent.lba, extent.count).map_err(Damage::Shared)?;
        }
        Ok(())
    }

    fn dir(&self, ino: Ino, inode: &Inode) -> Result<Vec<Vec<super::DirEntry>>, MountError> {
        let table = self.geometry.inode_block(ino);
        let odd = MountError { lba: table, part: Part::Inode(ino), damage: Damage::Impossible };
        let mut blocks = Vec::new();
        for extent in &inode.extents {
            for nth in 0..extent.count {
                if u64::from(extent.page + nth) >= inode.size / BLOCK_LEN {
                    break;
                }
                if extent.unwritten || (extent.page + nth) as usize != blocks.len() {
                    return Err(odd);
                }
                let lba = Lba(extent.lba.0 + nth);
                let block = self.arena.bytes((self.read)(lba));
                let entries = codec::decode_dir_block(ino, lba, block, self.sums);
                blocks.push(entries.map_err(|damage| MountError {
                    lba,
                    part: Part::Dir(ino),
                    damage,
                })?);
            }
        }
        match blocks.len() as u64 == inode.size / BLOCK_LEN {
            true => Ok(blocks),
            false => Err(odd),
        }
    }
}

/// Every name stands for an inode of its kind, every inode has as many links as names; and each
/// directory that has a name is below the root, once.
fn names(loaded: &Loaded) -> Result<(), MountError> {
    let table = |ino| loaded.superblock.geometry.inode_block(ino);
    let no_root = MountError {
        lba: table(Ino::ROOT),
        part: Part::Inode(Ino::ROOT),
        damage: Damage::Impossible,
    };
    loaded.inode(Ino::ROOT).filter(|root| root.kind == Kind::Dir).ok_or(no_root)?;
    // 0: no name; else the directory above.
    let mut above = vec![Ino(0); loaded.inodes.len()];
    let mut found = vec![0_u32; loaded.inodes.len()];
    found[Ino::ROOT.index()] += 1;
    for (dir, blocks) in &loaded.dirs {
        for (page, entries) in (0..).zip(blocks) {
            let at = |damage| {
                let extent = loaded.inode(*dir).and_then(|inode| inode.extent(page));
                let lba = extent.map_or(Lba(0), |extent| Lba(extent.lba.0 + page - extent.page));
                MountError { lba, part: Part::Dir(*dir), damage }
            };
            for entry in entries {
                let inode = loaded.inode(entry.ino).filter(|inode| inode.links > 0);
                inode
                    .filter(|inode| inode.kind == entry.kind)
                    .ok_or_else(|| at(Damage::Dangling(entry.ino)))?;
                if entry.kind == Kind::Dir {
                    let first = std::mem::replace(&mut above[entry.ino.index()], *dir);
                    if first != Ino(0) || entry.ino == Ino::ROOT {
                        return Err(at(Damage::NoTree));
                    }
                    found[dir.index()] += 1; // `..` in it
                }
                found[entry.ino.index()] += 1;
            }
        }
    }
    below_root(loaded, &above)?;
    links(loaded, &above, &found)
}

/// Every inode has as many links as were found, `.` of a directory with a name not yet counted.
fn links(loaded: &Loaded, above: &[Ino], found: &[u32]) -> Result<(), MountError> {
    for (ino, inode) in all(&loaded.inodes) {
        let lba = loaded.superblock.geometry.inode_block(ino);
        let at = |damage| MountError { lba, part: Part::Inode(ino), damage };
        let named = ino == Ino::ROOT || above[ino.index()] != Ino(0);
        let found = found[ino.index()] + u32::from(named);
        if inode.links != found {
            return Err(at(Damage::Links { said: inode.links, found }));
        }
        let holds_names = || loaded.dirs[&ino].iter().any(|block| !block.is_empty());
        if inode.kind == Kind::Dir && !named && holds_names() {
            return Err(at(Damage::NoTree));
        }
    }
    Ok(())
}

/// Follows each directory upwards: it comes to the root, or to one without a name.
fn below_root(loaded: &Loaded, above: &[Ino]) -> Result<(), MountError> {
    let mut seen = vec![Ino(0); above.len()];
    for dir in loaded.dirs.keys() {
        let mut at = *dir;
        while at != Ino(0) && seen[at.index()] == Ino(0) {
            seen[at.index()] = *dir;
            at = above[at.index()];
        }
        if at != Ino(0) && seen[at.index()] == *dir {
            let lba = loaded.superblock.geometry.inode_block(*dir);
            return Err(MountError { lba, part: Part::Inode(*dir), damage: Damage::NoTree });
        }
    }
    Ok(())
}

fn orphans(loaded: &Loaded) -> Result<Vec<Ino>, MountError> {
    let geometry = loaded.superblock.geometry;
    let mut orphans = Vec::new();
    let mut next = loaded.superblock.orphans;
    let mut from = MountError { lba: Lba(0), part: Part::Super, damage: Damage::Dangling(next) };
    while next != Ino(0) {
        let Some(inode) = loaded.inode(next) else { return Err(from) };
        orphans.push(next);
        if orphans.len() > loaded.inodes.len() {
            return Err(MountError { damage: Damage::Impossible, ..from });
        }
        from = MountError {
            lba: geometry.inode_block(next),
            part: Part::Inode(next),
            damage: Damage::Dangling(inode.next_orphan),
        };
        next = inode.next_orphan;
    }
    Ok(orphans)
}

/// All names and the inodes that have one.
pub(super) fn tree(loaded: &Loaded) -> Tree {
    let is_shown = |ino: &Ino, inode: &Inode| inode.links > 0 || loaded.in_use.contains(ino);
    let named = all(&loaded.inodes).filter(|(ino, inode)| is_shown(ino, inode));
    let node = |ino: Ino, inode: &Inode| TreeNode {
        kind: inode.kind,
        size: inode.size,
        links: inode.links,
        mode: inode.mode,
        entries: loaded
            .dirs
            .get(&ino)
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| (entry.name.clone(), entry.ino))
            .collect(),
        target: inode.target.clone(),
    };
    Tree { nodes: named.map(|(ino, inode)| (ino, node(ino, inode))).collect() }
}
