//! A file system that lives: each step is a transaction, written as the running one would.
//!
//! As plain as can be: every transaction is written at once, nothing goes home before the ring
//! is full, and the blocks of files are written before the transaction that names them.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

/// One step.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    /// A new file of so many blocks, in one piece or several.
    File { name: u8, blocks: u16, pieces: bool },
    /// A new directory.
    Dir { name: u8 },
    /// A new symbolic link.
    Symlink { name: u8, long: bool },
    /// One more name.
    Link { name: u8, of: u8 },
    /// A name goes; somebody may have it open still.
    Unlink { name: u8, open: bool },
    /// The orphans are freed.
    Free,
}

pub(super) fn steps() -> impl Strategy<Value = Vec<Step>> {
    let name = 0_u8..24;
    let step = prop_oneof![
        3 => (name.clone(), 0_u16..12, any::<bool>())
            .prop_map(|(name, blocks, pieces)| Step::File { name, blocks, pieces }),
        1 => (name.clone(), 300_u16..420).prop_map(|(name, blocks)| Step::File { name, blocks, pieces: true }),
        2 => name.clone().prop_map(|name| Step::Dir { name }),
        1 => (name.clone(), any::<bool>()).prop_map(|(name, long)| Step::Symlink { name, long }),
        1 => (name.clone(), name.clone()).prop_map(|(name, of)| Step::Link { name, of }),
        4 => (name, any::<bool>()).prop_map(|(name, open)| Step::Unlink { name, open }),
        1 => Just(Step::Free),
    ];
    prop::collection::vec(step, 1..30)
}

/// A block written, in order.
pub(super) type Write = (Lba, Bytes);

#[derive(Clone, Debug)]
pub(super) struct Life {
    pub(super) media: Media,
    /// The metadata as they are after the last step.
    now: Loaded,
    dirty: BTreeSet<Lba>,
    revokes: Vec<Lba>,
    /// Blocks journaled and not home.
    away: BTreeSet<Lba>,
    log: jbd::Super,
    head: u32,
    tid: Tid,
    /// What differs between two contents, so that no two blocks are the same.
    fresh: u32,
}

impl Life {
    pub(super) fn new() -> Self {
        let mut media = Media::of(&Image::new().file("old", vec![1; 9000]).dir("d"));
        let now = media.recover().unwrap();
        let log = now.log.on_media;
        Self {
            media,
            dirty: BTreeSet::new(),
            revokes: Vec::new(),
            away: BTreeSet::new(),
            log,
            head: log.start,
            tid: now.log.next,
            fresh: 0,
            now,
        }
    }

    /// What a program sees after the last step.
    pub(super) fn image(&mut self) -> Image {
        let (now, media) = (&self.now, &self.media);
        image(now, &|lba| media.read(lba), &media.arena).unwrap()
    }

    /// Does a step and answers the blocks of its transaction, in order, which are still to be
    /// written: all but the last may be written in any order, the last ends it.
    pub(super) fn step(&mut self, step: Step) -> Vec<Write> {
        match step {
            Step::File { name, blocks, pieces } => self.file(name, blocks, pieces),
            Step::Dir { name } => self.create(name, Inode::new(Kind::Dir, 0o755)),
            Step::Symlink { name, long } => self.symlink(name, long),
            Step::Link { name, of } => self.link(name, of),
            Step::Unlink { name, open } => self.unlink(name, open),
            Step::Free => self.free_orphans(),
        }
        self.commit()
    }

    /// Everything home, behind it the ring empty.
    pub(super) fn checkpoint(&mut self) {
        for lba in std::mem::take(&mut self.away) {
            let block = self.encode(lba);
            self.media.write(lba, &block);
        }
        self.log = jbd::Super { start: jbd::FIRST, sequence: self.tid, ..self.log };
        self.head = jbd::FIRST;
        let lba = self.geometry().journal;
        self.media.write(lba, &jbd::encode_super(&self.log));
    }

    fn geometry(&self) -> Geometry {
        self.now.superblock.geometry
    }

    fn commit(&mut self) -> Vec<Write> {
        let dirty = std::mem::take(&mut self.dirty);
        let revokes = std::mem::take(&mut self.revokes);
        let revokes: Vec<Lba> = revokes.into_iter().filter(|lba| !dirty.contains(lba)).collect();
        if dirty.len() + 4 > self.free_in_ring() {
            self.away.extend(&dirty);
            self.checkpoint();
            return Vec::new();
        }
        let copies: Vec<_> = dirty.iter().map(|lba| (*lba, self.encode(*lba))).collect();
        self.away.extend(&dirty);
        let mut writes = Vec::new();
        for lbas in revokes.chunks(jbd::REVOKES) {
            writes.push(jbd::encode_revoke(self.tid, lbas));
        }
        for copies in copies.chunks(7) {
            let tagged = copies.iter().map(|(lba, block)| (jbd::tag(self.tid, *lba, block), block));
            let (tags, blocks): (Vec<_>, Vec<_>) =
                tagged.map(|((tag, copy), block)| (tag, copy.unwrap_or(*block))).unzip();
            writes.push(jbd::encode_descriptor(self.tid, &tags));
            writes.extend(blocks);
        }
        writes.push(jbd::encode_commit(self.tid, Ns(1_500_000_000)));
        self.tid = Tid(self.tid.0 + 1);
        let place = |block: Bytes| {
            let at = jbd::place(&self.now.superblock.geometry, self.head);
            self.head = self.log.after(self.head);
            (at, block)
        };
        writes.into_iter().map(place).collect()
    }

    fn free_in_ring(&self) -> usize {
        (self.log.ring() - self.log.between(self.log.start, self.head) - 1) as usize
    }

    fn encode(&self, lba: Lba) -> Bytes {
        let geometry = self.geometry();
        if lba == Lba(0) {
            return encode_super(&self.now.superblock);
        }
        if lba < geometry.table {
            return encode_bitmap_block(&geometry, &self.now.bitmap, lba);
        }
        if lba < geometry.data {
            return encode_inode_block(geometry.first_inode(lba), |ino| self.now.inode(ino));
        }
        for (ino, inode) in load::all(&self.now.inodes) {
            if let Some(nth) = inode.overflow.iter().position(|at| *at == lba) {
                return encode_extent_block(ino, inode, nth);
            }
            let own =
                inode.extents.iter().find(|own| lba >= own.lba && lba.0 < own.lba.0 + own.count);
            match (own, inode.kind) {
                (Some(_), Kind::Symlink) => return encode_symlink_block(ino, lba, &inode.target),
                (Some(own), Kind::Dir) => {
                    let page = (own.page + lba.0 - own.lba.0) as usize;
                    return encode_dir_block(ino, lba, &self.now.dirs[&ino][page]);
                }
                _ => {}
            }
        }
        *self.media.arena.bytes(self.media.read(lba)) // freed since: as it was
    }

    // The steps.

    fn name_of(name: u8) -> Box<[u8]> {
        // Some long ones, so that the root gets a second block.
        let len = 120 + usize::from(name % 7) * 20;
        format!("{name:03}").bytes().chain(std::iter::repeat_n(b'x', len)).collect()
    }

    fn found(&self, name: u8) -> Option<Ino> {
        let name = Self::name_of(name);
        let entries = self.now.dirs[&Ino::ROOT].iter().flatten();
        entries.filter(|entry| entry.name == name).map(|entry| entry.ino).next()
    }

    fn touch(&mut self, ino: Ino) -> &mut Inode {
        self.dirty.insert(self.geometry().inode_block(ino));
        self.now.inodes[ino.index()].as_mut().unwrap()
    }

    fn take(&mut self) -> Option<Lba> {
        let lba = self.now.bitmap.first_free(self.geometry().data)?;
        self.now.bitmap.take(lba);
        self.dirty.insert(self.geometry().bitmap_block(lba));
        Some(lba)
    }

    fn give(&mut self, lba: Lba, metadata: bool) {
        self.now.bitmap.free(lba);
        self.dirty.insert(self.geometry().bitmap_block(lba));
        self.dirty.remove(&lba);
        if metadata {
            self.away.remove(&lba);
            self.revokes.push(lba);
        }
    }

    fn create(&mut self, name: u8, mut inode: Inode) {
        if self.found(name).is_some() {
            return;
        }
        let free = (FIRST_INO.index()..self.geometry().inodes as usize)
            .find(|ino| self.now.inodes.get(*ino).is_none_or(Option::is_none))
            .unwrap();
        let ino = Ino(u32::try_from(free).unwrap());
        if self.now.inodes.len() <= free {
            self.now.inodes.resize(free + 1, None);
        }
        inode.links = if inode.kind == Kind::Dir { 2 } else { 1 };
        let kind = inode.kind;
        self.now.inodes[free] = Some(inode);
        self.touch(ino);
        self.enter(name, ino, kind);
        if kind == Kind::Dir {
            self.now.dirs.insert(ino, Vec::new());
            self.touch(Ino::ROOT).links += 1;
        }
    }

    fn enter(&mut self, name: u8, ino: Ino, kind: Kind) {
        let name = Self::name_of(name);
        let entry = DirEntry { ino, kind, name };
        let blocks = self.now.dirs.get_mut(&Ino::ROOT).unwrap();
        let page = blocks.iter().position(|block| dir_fits(block, &entry.name));
        if let Some(page) = page {
            blocks[page].push(entry);
            let extent = self.now.inode(Ino::ROOT).unwrap().extent(u32::try_from(page).unwrap());
            let extent = extent.unwrap();
            self.dirty.insert(Lba(extent.lba.0 + u32::try_from(page).unwrap() - extent.page));
            return;
        }
        let page = u32::try_from(blocks.len()).unwrap();
        blocks.push(vec![entry]);
        let lba = self.take().unwrap();
        self.dirty.insert(lba);
        let root = self.touch(Ino::ROOT);
        root.extents.push(Extent { page, count: 1, lba, unwritten: false });
        root.size += BLOCK_LEN;
    }

    fn file(&mut self, name: u8, blocks: u16, pieces: bool) {
        if self.found(name).is_some() || self.now.bitmap.count_free() < 3 * u32::from(blocks) + 9 {
            return;
        }
        let mut inode = Inode::new(Kind::File, 0o600);
        inode.size = u64::from(blocks) * BLOCK_LEN - u64::from(blocks.min(1)) * 100;
        for page in 0..u32::from(blocks) {
            let lba = self.take().unwrap();
            self.fresh += 1;
            let mut block = [0; BLOCK];
            block[..4].copy_from_slice(&jbd::MAGIC.to_be_bytes());
            block[4..8].copy_from_slice(&self.fresh.to_le_bytes());
            let unwritten = pieces && page % 5 == 4;
            self.media.write(lba, &block);
            match inode.extents.last_mut() {
                Some(last) if !pieces && last.lba.0 + last.count == lba.0 => last.count += 1,
                _ => inode.extents.push(Extent { page, count: 1, lba, unwritten }),
            }
        }
        for _ in 0..Inode::overflow_blocks(inode.extents.len()) {
            let lba = self.take().unwrap();
            self.dirty.insert(lba);
            inode.overflow.push(lba);
        }
        self.create(name, inode);
    }

    fn symlink(&mut self, name: u8, long: bool) {
        if self.found(name).is_some() {
            return;
        }
        let mut inode = Inode::new(Kind::Symlink, 0o777);
        let len =
            if long { INLINE_TARGET + 1 + 9 * usize::from(name) } else { 1 + usize::from(name) };
        inode.target = vec![b'a' + name; len].into();
        inode.size = len as u64;
        if long {
            let lba = self.take().unwrap();
            self.dirty.insert(lba);
            inode.extents.push(Extent { page: 0, count: 1, lba, unwritten: false });
        }
        self.create(name, inode);
    }

    fn link(&mut self, name: u8, of: u8) {
        let Some(ino) = self.found(of) else { return };
        let kind = self.now.inode(ino).unwrap().kind;
        if self.found(name).is_none() && kind != Kind::Dir {
            self.enter(name, ino, kind);
            self.touch(ino).links += 1;
        }
    }

    fn unlink(&mut self, name: u8, open: bool) {
        let Some(ino) = self.found(name) else { return };
        let name = Self::name_of(name);
        let blocks = self.now.dirs.get_mut(&Ino::ROOT).unwrap();
        let page = blocks.iter().position(|block| block.iter().any(|entry| entry.name == name));
        let page = page.unwrap();
        blocks[page].retain(|entry| entry.name != name);
        let extent = self.now.inode(Ino::ROOT).unwrap().extent(u32::try_from(page).unwrap());
        let extent = extent.unwrap();
        self.dirty.insert(Lba(extent.lba.0 + u32::try_from(page).unwrap() - extent.page));
        let inode = self.touch(ino);
        inode.links -= 1;
        if inode.kind == Kind::Dir {
            inode.links -= 1;
            self.touch(Ino::ROOT).links -= 1;
        }
        match self.now.inode(ino).unwrap().links {
            0 if open => {
                let next = std::mem::replace(&mut self.now.superblock.orphans, ino);
                self.touch(ino).next_orphan = next;
                self.dirty.insert(Lba(0));
            }
            0 => self.free(ino),
            _ => {}
        }
    }

    fn free(&mut self, ino: Ino) {
        self.touch(ino);
        let inode = self.now.inodes[ino.index()].take().unwrap();
        self.now.dirs.remove(&ino);
        for extent in &inode.extents {
            for nth in 0..extent.count {
                self.give(Lba(extent.lba.0 + nth), inode.kind != Kind::File);
            }
        }
        inode.overflow.iter().for_each(|lba| self.give(*lba, true));
    }

    fn free_orphans(&mut self) {
        while self.now.superblock.orphans != Ino(0) {
            let ino = self.now.superblock.orphans;
            self.now.superblock.orphans = self.now.inode(ino).unwrap().next_orphan;
            self.dirty.insert(Lba(0));
            self.free(ino);
        }
    }
}
