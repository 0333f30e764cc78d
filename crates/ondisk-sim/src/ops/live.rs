//! The running file system: the page cache above the media, and the record of what was called.
//!
//! Invariant: what a call changed here and what it added to the record are the same thing; what
//! was never touched in this life is asked of the media, once, when it is first needed.
//!
//! Knows nothing of paths, handles and faults: those are its front's.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ondisk_fs::BLOCK;

use super::digest::{Digest, mix2};
use super::fault::{Faults, SimError};
use super::history::{Ack, At, Call, History, Ino, OpId, SyncKind, Version, What, WriteSync};
use super::media::{Inode, Is, Media, Tree};
use super::path::Name;
use super::store::{BlockId, Bytes, Store};

mod names;
mod part;
mod space;
mod walk;
mod writeback;

pub(super) use names::Spot;
use part::{Part, block_of, clamp, parts};
pub(super) use walk::Wanted;
use writeback::Writeback;

/// A file may have no more blocks than this: 4 TiB, far above what a test writes.
const LARGEST_FILE: u64 = 1 << 42;

/// A block that was not asked of the media yet.
const UNKNOWN: BlockId = BlockId(u32::MAX);

/// An inode as the page cache has it.
#[derive(Clone, Debug)]
pub(super) struct LiveNode {
    pub(super) is: Is,
    len: Option<u64>,
    /// The contents of the first blocks, as far as they were touched.
    cells: Vec<BlockId>,
    /// Blocks from this number on are not the media's: they were cut off, or never were.
    media_blocks: u32,
    /// Blocks below this number were reserved.
    reserved: u32,
    entries: BTreeMap<Name, Option<Ino>>,
    /// Whether `entries` has all the names that there are.
    listed: bool,
    /// How many names it has, as far as this life knows.
    links: u32,
    /// How often write-back of it failed.
    pub(super) failed: u32,
    writeback: Writeback,
    /// The path by which it was first reached.
    path: Option<Arc<Path>>,
    /// What it stands for, when it is a symbolic link made in this life.
    target: Option<Arc<[u8]>>,
    /// Its permission bits.
    pub(super) mode: u32,
}

/// The permissions of a file and of a directory, as they are made.
const FILE_MODE: u32 = 0o644;
const DIR_MODE: u32 = 0o755;

impl LiveNode {
    fn new(is: Is, origin: Origin) -> Self {
        let fresh = origin == Origin::Fresh;
        Self {
            is,
            len: fresh.then_some(0),
            cells: Vec::new(),
            media_blocks: if fresh { 0 } else { u32::MAX },
            reserved: 0,
            entries: BTreeMap::new(),
            listed: fresh,
            links: 1,
            failed: 0,
            writeback: Writeback::default(),
            path: None,
            target: None,
            mode: if is == Is::Dir { DIR_MODE } else { FILE_MODE },
        }
    }
}

/// Where an inode comes from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Origin {
    Media,
    Fresh,
}

/// The running file system.
#[derive(Clone, Debug)]
pub(super) struct Live {
    store: Store,
    media: Media,
    nodes: Vec<LiveNode>,
    life: u32,
    calls: Vec<Call>,
    versions: Vec<Version>,
    /// Acknowledged in former lives.
    owed: Arc<[Ack]>,
    acks: Vec<Ack>,
    labels: Vec<(At, Arc<str>)>,
    now: At,
    /// All that the media answered so far in this life.
    seen: Digest,
    /// What of that is the state that recovery found.
    sealed: Option<Digest>,
    pub(super) faults: Faults,
    pub(super) capacity: Option<u64>,
    pub(super) honest: bool,
    /// Who holds which lock file: `None` alone, else so many readers.
    pub(super) locks: BTreeMap<Ino, Option<u32>>,
}

impl Live {
    pub(super) fn new(media: Media, store: Store, life: u32, owed: Arc<[Ack]>) -> Self {
        let nodes = (0..media.inodes())
            .map(|ino| LiveNode::new(media.is(ino_at(ino)), Origin::Media))
            .collect();
        let label = if life > 1 { vec![(At(0), Arc::from("recovery"))] } else { Vec::new() };
        Self {
            store,
            media,
            nodes,
            life,
            calls: Vec::new(),
            versions: Vec::new(),
            owed,
            acks: Vec::new(),
            labels: label,
            now: At(1),
            seen: Digest::default(),
            sealed: None,
            faults: Faults::default(),
            capacity: None,
            honest: true,
            locks: BTreeMap::new(),
        }
    }

    /// A copy of all of it but the locks, whose holders are not copied.
    pub(super) fn fork(&mut self) -> Self {
        let store = self.store.fork();
        Self { store, locks: BTreeMap::new(), ..self.clone() }
    }

    pub(super) fn history(&mut self) -> History {
        History {
            life: self.life,
            calls: self.calls.clone(),
            owed: Arc::clone(&self.owed),
            acks: self.acks.clone(),
            labels: self.labels.clone(),
            end: self.now,
            versions: self.versions.clone(),
            base: self.media.clone(),
            store: self.store.fork(),
            next_ino: ino_at(self.nodes.len()),
            paths: self.nodes.iter().map(|node| node.path.clone()).collect(),
        }
    }

    pub(super) fn media(&self) -> &Media {
        &self.media
    }

    pub(super) fn store(&self) -> &Store {
        &self.store
    }

    pub(super) fn life(&self) -> u32 {
        self.life
    }

    /// All that was seen up to the first time that it was sealed, or up to now.
    pub(super) fn seen(&self) -> Digest {
        self.sealed.unwrap_or(self.seen)
    }

    pub(super) fn seal(&mut self) -> Digest {
        *self.sealed.get_or_insert(self.seen)
    }

    /// Notes the path by which an inode was reached, for stories: the first one is kept.
    pub(super) fn know(&mut self, ino: Ino, path: &Arc<Path>) {
        self.nodes[ino.index()].path.get_or_insert_with(|| Arc::clone(path));
    }

    /// Notes the paths of all that is there.
    pub(super) fn know_all(&mut self) {
        let mut left = vec![(PathBuf::new(), Ino::ROOT)];
        while let Some((path, dir)) = left.pop() {
            for (name, ino) in self.list(dir) {
                let path = path.join(&*name);
                self.know(ino, &Arc::from(path.as_path()));
                if self.node(ino).is == Is::Dir {
                    left.push((path, ino));
                }
            }
        }
    }

    /// The permission bits of all inodes.
    pub(super) fn modes(&self) -> Vec<u32> {
        self.nodes.iter().map(|node| node.mode).collect()
    }

    /// Sets them, as they were before this life.
    pub(super) fn set_modes(&mut self, modes: &[u32]) {
        for (node, mode) in self.nodes.iter_mut().zip(modes) {
            node.mode = *mode;
        }
    }

    /// The path by which an inode was first reached.
    pub(super) fn path(&self, ino: Ino) -> Option<Arc<Path>> {
        self.nodes[ino.index()].path.clone()
    }

    /// Behind all that was recorded.
    pub(super) fn here(&self) -> At {
        self.now
    }

    pub(super) fn acknowledge(&mut self, note: &[u8]) -> At {
        let at = self.tick();
        self.acks.push(Ack { life: self.life, at, note: note.to_vec() });
        at
    }

    pub(super) fn label(&mut self, label: &str) {
        let at = self.tick();
        self.labels.push((at, Arc::from(label)));
    }

    fn tick(&mut self) -> At {
        let at = self.now;
        self.now.0 += 1;
        at
    }

    /// Records a call that is made and returns.
    fn record(&mut self, what: What, result: Result<u64, io::ErrorKind>) {
        let call = self.called(what);
        self.returned(call, result);
    }

    /// Records that a call is made; gives its index.
    pub(super) fn called(&mut self, what: What) -> usize {
        let op = OpId(u32::try_from(self.calls.len()).unwrap_or(u32::MAX).saturating_add(1));
        let (called, honest) = (self.tick(), self.honest);
        self.calls.push(Call { op, called, returned: None, what, result: Ok(0), honest });
        self.calls.len() - 1
    }

    /// Records that a running call returns.
    pub(super) fn returned(&mut self, call: usize, result: Result<u64, io::ErrorKind>) {
        let returned = self.tick();
        let call = &mut self.calls[call];
        (call.returned, call.result) = (Some(returned), result);
    }

    pub(super) fn node(&self, ino: Ino) -> &LiveNode {
        &self.nodes[ino.index()]
    }

    /// The length of a file; the program is not told.
    pub(super) fn len(&mut self, ino: Ino) -> u64 {
        if let Some(len) = self.nodes[ino.index()].len {
            return len;
        }
        let len = self.media.len(ino);
        let node = &mut self.nodes[ino.index()];
        node.len = Some(len);
        // What a write left behind the end on the media is no part of the file, nor will be.
        node.media_blocks = node.media_blocks.min(block_of(len.next_multiple_of(BLOCK as u64)));
        len
    }

    /// The length of a file, as the program sees it.
    pub(super) fn size(&mut self, ino: Ino) -> u64 {
        let len = self.len(ino);
        self.saw(ino, len);
        len
    }

    /// Whether what is seen of an inode depends on the media.
    fn is_told(&self, ino: Ino) -> bool {
        ino.index() < self.media.inodes() && !self.media.is_decided()
    }

    /// Adds to what the program saw of an inode, where another state of the media would have shown
    /// it another thing.
    fn saw(&mut self, ino: Ino, answer: u64) {
        if self.is_told(ino) {
            self.seen.add(answer);
        }
    }

    /// The content of a block, wholly decided.
    fn block(&mut self, ino: Ino, block: u32) -> BlockId {
        self.block_part(ino, block, 0..BLOCK)
    }

    /// A content that has the bytes of a block in a range; behind it, nothing is decided.
    fn block_part(&mut self, ino: Ino, block: u32, range: Range<usize>) -> BlockId {
        let node = &self.nodes[ino.index()];
        if let Some(known) = node.cells.get(block as usize).filter(|id| **id != UNKNOWN) {
            return *known;
        }
        if block >= node.media_blocks {
            return BlockId::HOLE;
        }
        if self.nodes[ino.index()].len.is_none() && self.media.is_cut(ino) {
            self.len(ino); // what cuts took depends on which there were
        }
        let found = self.media.block(&mut self.store, ino, block, range);
        if found.whole {
            self.set_block(ino, block, found.content);
        }
        found.content
    }

    fn set_block(&mut self, ino: Ino, block: u32, id: BlockId) {
        let node = &mut self.nodes[ino.index()];
        let at = block as usize;
        if node.cells.len() <= at {
            let (unknown, known) = (node.media_blocks as usize, at + 1);
            node.cells.resize(node.cells.len().max(unknown.min(known)), UNKNOWN);
            node.cells.resize(known, BlockId::HOLE);
        }
        node.cells[at] = id;
    }

    pub(super) fn read(&mut self, ino: Ino, buf: &mut [u8], offset: u64) -> usize {
        let want = self.readable(ino, offset, buf.len());
        let told = self.is_told(ino);
        for part in parts(offset, want) {
            let id = self.block_part(ino, part.block, part.range.clone());
            if told {
                self.seen.add(self.store.class_of(id, part.range.clone()));
            }
            buf[part.bytes].copy_from_slice(&self.store.bytes(id)[part.range]);
        }
        want
    }

    /// How many of the bytes asked for lie before the end of the file.
    fn readable(&mut self, ino: Ino, offset: u64, wanted: usize) -> usize {
        let end = offset.saturating_add(wanted as u64);
        if self.nodes[ino.index()].len.is_none() && self.media.is_longer(ino, end) {
            return wanted;
        }
        let len = self.len(ino);
        if end > len {
            self.saw(ino, len);
        }
        wanted.min(clamp(len.saturating_sub(offset)))
    }

    /// Writes as much as there is room for.
    pub(super) fn write(
        &mut self,
        ino: Ino,
        buf: &[u8],
        offset: u64,
        how: WriteHow,
    ) -> io::Result<usize> {
        check_end(offset, buf.len() as u64)?;
        let old_len = self.len(ino);
        let fits = self.fits(ino, offset, buf.len());
        if fits == 0 && !buf.is_empty() {
            return Err(self.full(buf.len() as u64));
        }
        let buf = &buf[..fits];
        let end = offset + buf.len() as u64;
        if end > old_len && !buf.is_empty() {
            self.clear_tail(ino, old_len);
        }
        let first = self.versions.len();
        for part in parts(offset, buf.len()) {
            let id = self.overwrite(ino, &part, &buf[part.bytes.clone()]);
            self.nodes[ino.index()].writeback.written(part.block, how);
            self.versions.push(Version { block: part.block, content: id });
        }
        if !buf.is_empty() {
            self.nodes[ino.index()].len = Some(old_len.max(end));
        }
        let what = What::Write {
            ino,
            offset,
            len: buf.len() as u64,
            old_len,
            versions: span(first, self.versions.len()),
            sync: how.sync(),
        };
        let result = match how {
            WriteHow::Cached | WriteHow::Durable(_) => Ok(buf.len() as u64),
            WriteHow::Failed(_, kind) => {
                self.nodes[ino.index()].failed += 1;
                Err(kind)
            }
        };
        self.record(what, result);
        Ok(buf.len())
    }

    /// Puts bytes into one block of the page cache.
    fn overwrite(&mut self, ino: Ino, part: &Part, bytes: &[u8]) -> BlockId {
        let whole = part.range.len() == BLOCK;
        let known = whole.then(|| self.nodes[ino.index()].cells.get(part.block as usize).copied());
        let old = match known {
            Some(cell) => cell.filter(|id| *id != UNKNOWN),
            None => Some(self.block(ino, part.block)),
        };
        if let Some(old) = old
            && old != BlockId::HOLE
            && self.store.bytes(old)[part.range.clone()] == *bytes
        {
            self.nodes[ino.index()].writeback.dirty(part.block, old);
            return old;
        }
        self.nodes[ino.index()].writeback.dirty(part.block, old.unwrap_or(UNKNOWN));
        let mut content: Bytes = old.map_or([0; BLOCK], |old| *self.store.bytes(old));
        content[part.range.clone()].copy_from_slice(bytes);
        let id = self.store.push(&content, self.writer(ino, part));
        self.set_block(ino, part.block, id);
        id
    }

    /// The number of who writes now, which depends on no bytes: what was seen in this life, which
    /// call it is, and where it writes.
    fn writer(&self, ino: Ino, part: &Part) -> u64 {
        let call = ((self.calls.len() as u64) << 32) | u64::from(self.life);
        let place = (u64::from(ino.0) << 32) | u64::from(part.block);
        let range = ((part.range.start as u64) << 32) | part.range.end as u64;
        [call, place, range].into_iter().fold(self.seen.0, mix2)
    }

    /// Makes the bytes behind the end of a file zeros, in its last block.
    fn clear_tail(&mut self, ino: Ino, len: u64) {
        let keep = clamp(len % BLOCK as u64);
        if keep == 0 {
            return;
        }
        let block = block_of(len);
        let old = self.block(ino, block);
        let mut content = *self.store.bytes(old);
        if content[keep..].iter().all(|byte| *byte == 0) {
            return;
        }
        content[keep..].fill(0);
        let id = self.store.push(&content, mix2(self.store.class(old), len));
        self.set_block(ino, block, id);
    }

    pub(super) fn set_len(&mut self, ino: Ino, len: u64) -> io::Result<()> {
        check_end(len, 0)?;
        let old_len = self.len(ino);
        if len == old_len {
            return Ok(());
        }
        self.clear_tail(ino, len.min(old_len));
        let node = &mut self.nodes[ino.index()];
        if len < old_len {
            let blocks = block_of(len.next_multiple_of(BLOCK as u64));
            node.cells.truncate(blocks as usize);
            node.media_blocks = node.media_blocks.min(blocks);
            node.reserved = node.reserved.min(blocks);
            node.writeback.cut(block_of(len));
        }
        node.len = Some(len);
        self.record(What::SetLen { ino, old_len, len }, Ok(0));
        Ok(())
    }

    pub(super) fn allocate(&mut self, ino: Ino, len: u64) -> io::Result<()> {
        check_end(len, 0)?;
        let old_len = self.len(ino);
        let blocks = block_of(len.next_multiple_of(BLOCK as u64));
        let missing = (0..blocks).filter(|block| !self.has_block(ino, *block)).count() as u64;
        if missing > self.free_blocks() {
            return Err(self.full(missing * BLOCK as u64));
        }
        if len > old_len {
            self.clear_tail(ino, old_len);
        }
        let node = &mut self.nodes[ino.index()];
        node.reserved = node.reserved.max(blocks);
        node.len = Some(old_len.max(len));
        self.record(What::Allocate { ino, old_len, len }, Ok(0));
        Ok(())
    }

    /// Flips a bit of the media and of the page cache alike.
    pub(super) fn rot(&mut self, ino: Ino, offset: u64, bit: u8) {
        let (block, at) = (block_of(offset), clamp(offset % BLOCK as u64));
        let old = self.block(ino, block);
        let mut content = *self.store.bytes(old);
        content[at] ^= 1 << (bit % 8);
        let writer = mix2(self.store.class(old), offset * 8 + u64::from(bit % 8));
        let id = self.store.push(&content, writer);
        self.set_block(ino, block, id);
        let first = self.versions.len();
        self.versions.push(Version { block, content: id });
        self.record(What::Rot { ino, versions: span(first, first + 1) }, Ok(0));
    }

    /// The tree as the page cache shows it, with the contents that it shares.
    pub(super) fn tree(&mut self) -> (Tree, Store) {
        let mut tree = Tree { inodes: Vec::with_capacity(self.nodes.len()) };
        for at in 0..self.nodes.len() {
            let ino = ino_at(at);
            tree.inodes.push(match self.nodes[at].is {
                Is::Dir => Inode::Dir { entries: self.list(ino).into_iter().collect() },
                Is::Symlink => Inode::Symlink { target: self.target(ino) },
                Is::File => {
                    let len = self.len(ino);
                    let blocks = block_of(len.next_multiple_of(BLOCK as u64));
                    let blocks = (0..blocks).map(|block| self.block(ino, block)).collect();
                    Inode::File { len, blocks, reserved: 0 }
                }
            });
        }
        (tree, self.store.fork())
    }
}

/// What becomes of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WriteHow {
    /// It reaches the page cache.
    Cached,
    /// It is durable when it returns.
    Durable(SyncKind),
    /// It was to be durable, and that failed.
    Failed(SyncKind, io::ErrorKind),
}

impl WriteHow {
    fn sync(self) -> WriteSync {
        match self {
            Self::Cached => WriteSync::No,
            Self::Durable(SyncKind::Data) | Self::Failed(SyncKind::Data, _) => WriteSync::Data,
            Self::Durable(SyncKind::All) | Self::Failed(SyncKind::All, _) => WriteSync::All,
        }
    }
}

fn check_end(offset: u64, len: u64) -> io::Result<()> {
    match offset.checked_add(len) {
        Some(end) if end <= LARGEST_FILE => Ok(()),
        end => {
            let (end, limit) = (end.unwrap_or(u64::MAX), LARGEST_FILE);
            Err(SimError::TooLong { end, limit }.of(io::ErrorKind::FileTooLarge))
        }
    }
}

fn span(from: usize, to: usize) -> Range<u32> {
    u32::try_from(from).unwrap_or(u32::MAX)..u32::try_from(to).unwrap_or(u32::MAX)
}

pub(super) fn ino_at(index: usize) -> Ino {
    Ino(u32::try_from(index).unwrap_or(u32::MAX))
}
