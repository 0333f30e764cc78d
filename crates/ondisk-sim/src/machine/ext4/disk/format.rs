//! A file system made from a tree: all durable, the journal empty.
//!
//! Invariant: the same tree and options give the same blocks. Files stand one behind the other
//! from the first block on, each in one written extent; then the directories.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ondisk_fs::BLOCK;
use thiserror::Error;

use super::{
    BLOCK_LEN, Bitmap, DirEntry, Extent, FIRST_INO, Geometry, INLINE_TARGET, INODES_PER_BLOCK,
    Inode, LONGEST_NAME, LONGEST_TARGET, Superblock, codec, jbd,
};
use crate::machine::arena::Arena;
use crate::machine::config::Ext4Options;
use crate::machine::ids::{BlockId, Ino, Lba, Tid};
use crate::machine::message::Kind;
use crate::ops::{Image, Node, path};

/// Why a file system cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FormatError {
    /// The options leave no room, or are beyond what the format can say.
    #[error("so many blocks, inodes and blocks of the journal do not make a file system")]
    Geometry,
    /// The tree does not fit.
    #[error("the files do not fit on the device")]
    Full,
    /// A name or a path that cannot be.
    #[error("{}: this cannot stand in a file system", .0.to_string_lossy())]
    Name(PathBuf),
}

/// The blocks of a new file system that holds a tree, ascending.
///
/// # Errors
/// The tree does not fit, or the options make no file system.
pub fn format(
    base: &Image,
    options: &Ext4Options,
    arena: &mut Arena,
) -> Result<Vec<(Lba, BlockId)>, FormatError> {
    let mut new = Formatter::new(options)?;
    for (path, node) in &base.nodes {
        let first = base.first_name(path);
        match node {
            _ if first != path => new.link(first, path)?,
            Node::File(bytes) => new.file(path, bytes, arena)?,
            Node::Symlink(target) => new.symlink(path, target, arena)?,
            Node::Dir => new.dir(path)?,
        }
    }
    new.finish(arena)
}

/// A file system that is being made.
#[derive(Clone, Debug)]
pub struct Formatter {
    geometry: Geometry,
    inodes: Vec<Option<Inode>>,
    /// What stands in a directory, by its name.
    names: BTreeMap<(Ino, Box<[u8]>), Ino>,
    blocks: Vec<(Lba, BlockId)>,
    next: Lba,
}

impl Formatter {
    /// An empty file system.
    ///
    /// # Errors
    /// The options make none.
    pub fn new(options: &Ext4Options) -> Result<Self, FormatError> {
        let geometry = Geometry::new(options)?;
        let mut root = Inode::new(Kind::Dir, 0o755);
        root.links = 2;
        let inodes = vec![None, None, Some(root)];
        let names = BTreeMap::new();
        Ok(Self { geometry, inodes, names, blocks: Vec::new(), next: geometry.data })
    }

    /// Puts a file at a path, with the directories above it.
    ///
    /// # Errors
    /// It does not fit, or cannot stand there.
    pub fn file(&mut self, at: &Path, bytes: &[u8], arena: &mut Arena) -> Result<(), FormatError> {
        let (dir, name) = self.vacant(at)?;
        let mut inode = Inode::new(Kind::File, 0o644);
        inode.size = bytes.len() as u64;
        for piece in bytes.chunks(BLOCK) {
            let mut block = [0; BLOCK];
            block[..piece.len()].copy_from_slice(piece);
            let content = arena.put(&block);
            let lba = self.block(content)?;
            add(&mut inode.extents, lba);
        }
        self.name(dir, name, inode).map(|_| ())
    }

    /// Puts a directory at a path, with those above it; one that is there stays.
    ///
    /// # Errors
    /// It does not fit, or cannot stand there.
    pub fn dir(&mut self, at: &Path) -> Result<(), FormatError> {
        let (above, name) = self.above(at)?;
        self.step(at, above, &name).map(|_| ())
    }

    /// Puts a symbolic link at a path, with the directories above it.
    ///
    /// # Errors
    /// It does not fit, or cannot stand there.
    pub fn symlink(
        &mut self,
        at: &Path,
        target: &[u8],
        arena: &mut Arena,
    ) -> Result<(), FormatError> {
        let (dir, name) = self.vacant(at)?;
        let mut inode = Inode::new(Kind::Symlink, 0o777);
        inode.size = target.len() as u64;
        inode.target = target.into();
        if target.is_empty() || target.len() > LONGEST_TARGET {
            return Err(FormatError::Name(at.to_owned()));
        }
        let ino = self.free_ino();
        if target.len() > INLINE_TARGET {
            let content = codec::encode_symlink_block(ino, self.next, target);
            let content = arena.put(&content);
            let lba = self.block(content)?;
            add(&mut inode.extents, lba);
        }
        self.name(dir, name, inode).map(|_| ())
    }

    /// Gives a file or symbolic link one more name.
    ///
    /// # Errors
    /// There is none, or the name cannot stand there.
    pub fn link(&mut self, first: &Path, more: &Path) -> Result<(), FormatError> {
        let (dir, name) = self.above(first)?;
        let ino = self.names.get(&(dir, name)).copied();
        let (dir, name) = self.vacant(more)?;
        let wrong = || FormatError::Name(more.to_owned());
        let ino = ino.ok_or_else(wrong)?;
        match self.inodes.get_mut(ino.index()) {
            Some(Some(inode)) if inode.kind != Kind::Dir => inode.links += 1,
            _ => return Err(wrong()),
        }
        self.names.insert((dir, name), ino);
        Ok(())
    }

    /// The blocks of the file system, ascending.
    ///
    /// # Errors
    /// It does not fit.
    pub fn finish(mut self, arena: &mut Arena) -> Result<Vec<(Lba, BlockId)>, FormatError> {
        self.dirs(arena)?;
        let geometry = self.geometry;
        let superblock = codec::encode_super(&Superblock { geometry, orphans: Ino(0) });
        let journal = jbd::Super { len: geometry.journal_len, start: jbd::FIRST, sequence: Tid(1) };
        self.blocks.push((Lba(0), arena.put(&superblock)));
        self.blocks.push((geometry.journal, arena.put(&jbd::encode_super(&journal))));
        let mut bitmap = Bitmap::new(geometry.blocks);
        (0..self.next.0).for_each(|lba| bitmap.take(Lba(lba)));
        for lba in (geometry.bitmap.0..geometry.table.0).map(Lba) {
            let block = codec::encode_bitmap_block(&geometry, &bitmap, lba);
            self.blocks.push((lba, arena.put(&block)));
        }
        for first in (1..self.inodes.len()).step_by(INODES_PER_BLOCK as usize) {
            let first = Ino(u32::try_from(first).unwrap_or(u32::MAX));
            let inode = |ino: Ino| self.inodes.get(ino.index())?.as_ref();
            let block = codec::encode_inode_block(first, inode);
            self.blocks.push((geometry.inode_block(first), arena.put(&block)));
        }
        self.blocks.sort_unstable_by_key(|(lba, _)| *lba);
        Ok(self.blocks)
    }

    /// Encodes the directories, whose names are all known now.
    fn dirs(&mut self, arena: &mut Arena) -> Result<(), FormatError> {
        let mut dirs: BTreeMap<Ino, Vec<Vec<DirEntry>>> = BTreeMap::new();
        for ((dir, name), ino) in &self.names {
            let Some(Some(inode)) = self.inodes.get(ino.index()) else { continue };
            let entry = DirEntry { ino: *ino, kind: inode.kind, name: name.clone() };
            let blocks = dirs.entry(*dir).or_default();
            match blocks.last_mut() {
                Some(last) if codec::dir_fits(last, name) => last.push(entry),
                _ => blocks.push(vec![entry]),
            }
        }
        for (dir, blocks) in dirs {
            let mut extents = Vec::new();
            for entries in &blocks {
                let block = codec::encode_dir_block(dir, self.next, entries);
                let lba = self.block(arena.put(&block))?;
                add(&mut extents, lba);
            }
            if let Some(Some(inode)) = self.inodes.get_mut(dir.index()) {
                inode.size = blocks.len() as u64 * BLOCK_LEN;
                inode.extents = extents;
            }
        }
        Ok(())
    }

    /// The next block.
    fn block(&mut self, content: BlockId) -> Result<Lba, FormatError> {
        let lba = self.next;
        if lba.0 >= self.geometry.blocks {
            return Err(FormatError::Full);
        }
        self.blocks.push((lba, content));
        self.next = Lba(lba.0 + 1);
        Ok(lba)
    }

    fn free_ino(&self) -> Ino {
        Ino(u32::try_from(self.inodes.len()).unwrap_or(u32::MAX)).max(FIRST_INO)
    }

    /// The directory of a path, made where it is not there, and the last name.
    fn above(&mut self, at: &Path) -> Result<(Ino, Box<[u8]>), FormatError> {
        let mut names: Vec<_> = path::names(at).map(|name| name.as_encoded_bytes()).collect();
        if names.iter().any(|name| name.len() > LONGEST_NAME || name.contains(&0)) {
            return Err(FormatError::Name(at.to_owned()));
        }
        let last = names.pop().ok_or_else(|| FormatError::Name(at.to_owned()))?;
        let mut dir = Ino::ROOT;
        for name in names {
            dir = self.step(at, dir, name)?;
        }
        Ok((dir, last.into()))
    }

    /// As [`above`](Self::above), where nothing has that name yet.
    fn vacant(&mut self, at: &Path) -> Result<(Ino, Box<[u8]>), FormatError> {
        let place = self.above(at)?;
        match self.names.contains_key(&place) {
            true => Err(FormatError::Name(at.to_owned())),
            false => Ok(place),
        }
    }

    /// The directory of that name in a directory, made where it is not there.
    fn step(&mut self, at: &Path, dir: Ino, name: &[u8]) -> Result<Ino, FormatError> {
        let Some(ino) = self.names.get(&(dir, name.into())).copied() else {
            let ino = self.name(dir, name.into(), Inode::new(Kind::Dir, 0o755))?;
            for (ino, more) in [(ino, 1), (dir, 1)] {
                if let Some(Some(inode)) = self.inodes.get_mut(ino.index()) {
                    inode.links += more;
                }
            }
            return Ok(ino);
        };
        match self.inodes.get(ino.index()) {
            Some(Some(inode)) if inode.kind == Kind::Dir => Ok(ino),
            _ => Err(FormatError::Name(at.to_owned())),
        }
    }

    /// Gives a new inode its name.
    fn name(&mut self, dir: Ino, name: Box<[u8]>, mut inode: Inode) -> Result<Ino, FormatError> {
        let ino = self.free_ino();
        if ino.0 > self.geometry.inodes {
            return Err(FormatError::Full);
        }
        inode.links = 1;
        self.inodes.push(Some(inode));
        self.names.insert((dir, name), ino);
        Ok(ino)
    }
}

/// One more block at the end of a file, which is all in one piece.
fn add(extents: &mut Vec<Extent>, lba: Lba) {
    match extents.last_mut() {
        Some(last) => last.count += 1,
        None => extents.push(Extent { page: 0, count: 1, lba, unwritten: false }),
    }
}
