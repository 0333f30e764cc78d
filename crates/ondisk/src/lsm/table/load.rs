//! What a table in use keeps in memory: its open file, its filter, its index, and what blocks of
//! it the cache holds.
//!
//! Invariant: what is given out was found to be what the manifest named: the footer by its sum,
//! filter and index by the footer, each block by the index. Memory is bounded by the file's
//! length before anything is read.

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use ondisk_fs::{Access, File, FileSystem};

use super::TableMeta;
use super::block::{Block, Malformed};
use super::format::{
    BLOCK_HEAD, BlockHead, BlockKind, FOOTER, Footer, HEADER, Identity, Packing, Seed, Sums,
    check_block,
};
use super::index::Index;
use crate::cache::Cache;
use crate::error::{Damage, Error};
use crate::handles::{Handle, Handles};
use crate::lsm::cache::{Slots, Tally};
use crate::lsm::filter::Filter;

/// A table in use.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) path: PathBuf,
    file: Handle,
    pub(super) footer: Footer,
    pub(super) filter: Filter,
    pub(super) index: Index,
    pub(super) slots: Arc<Slots>,
    pub(super) tally: Arc<Tally>,
    sums: Sums,
}

/// What is read of the file at once when a walk goes on and on; blocks are taken out of it.
#[derive(Clone, Debug)]
pub(super) struct Run {
    pub(super) bytes: Bytes,
    pub(super) blocks: Range<usize>,
    start: u64,
}

impl Loaded {
    /// Opens the file and reads all but its data blocks.
    pub(super) fn load(
        fs: &dyn FileSystem,
        path: &Path,
        (identity, meta): (Identity, &TableMeta),
        (cache, tally): (&Arc<Cache>, &Arc<Tally>),
        sums: Sums,
    ) -> Result<Self, Error> {
        let file = open_file(fs, path)?;
        let found = size(path, &*file)?;
        let (expected, least) = (meta.len, (HEADER + FOOTER + 2 * BLOCK_HEAD) as u64);
        if found != expected || expected < least {
            let damage = Damage::Length { found, expected: expected.max(least) };
            return Err(Error::damaged(path, found.min(expected), damage));
        }
        let footer_at = expected - FOOTER as u64;
        let footer = read_footer(path, &*file, footer_at)?;
        compare(path, footer_at, &footer, identity, meta)?;
        let bytes = read(path, &*file, footer.filter_at..footer_at)?;
        let split = usize::try_from(footer.index_at - footer.filter_at).unwrap_or(usize::MAX);
        let (filter, index) = bytes.split_at_checked(split).unwrap_or_default();
        let places = [footer.filter_at, footer.index_at];
        let damaged = |at: usize, damage| Error::damaged(path, places[at], damage);
        let filter =
            part(filter, (footer.seed, places[0]), (BlockKind::Filter, footer.filter_crc), sums)
                .and_then(|bytes| Filter::from_bytes(bytes).ok_or(Damage::Field("filter")))
                .map_err(|damage| damaged(0, damage))?;
        let index =
            part(index, (footer.seed, places[1]), (BlockKind::Index, footer.index_crc), sums)
                .and_then(|bytes| {
                    let index = Index::decode(bytes, footer.blocks, footer.filter_at);
                    index.map_err(|Malformed| Damage::Field("index"))
                })
                .map_err(|damage| damaged(1, damage))?;
        let differs = [
            (*index.first() != *meta.first).then_some("first key"),
            (*index.last() != *meta.last).then_some("last key"),
        ];
        if let Some(field) = differs.into_iter().flatten().next() {
            return Err(damaged(1, Damage::Unlike(field)));
        }
        tally.miss(bytes.len() as u64);
        let weight = filter.as_bytes().len() + index.weight();
        let slots = Slots::new(cache, index.blocks(), weight);
        let (path, tally, file) = (path.to_owned(), Arc::clone(tally), Handle::Open(file));
        Ok(Self { path, file, footer, filter, index, slots, tally, sums })
    }

    /// The same, with a file that is open when it is needed.
    pub(super) fn lazily(self, fs: &Arc<dyn FileSystem>, handles: &Arc<Handles>) -> Self {
        let file = match self.file {
            Handle::Open(file) => Handle::Lazy(handles.keep(fs, &self.path, file)),
            lazy @ Handle::Lazy(_) => lazy,
        };
        Self { file, ..self }
    }

    /// Opens a file without a manifest: it is taken at its word.
    pub(super) fn load_alone(fs: &dyn FileSystem, path: &Path) -> Result<Self, Error> {
        let file = open_file(fs, path)?;
        let (len, least) = (size(path, &*file)?, (HEADER + FOOTER) as u64);
        if len < least {
            let damage = Damage::Length { found: len, expected: least };
            return Err(Error::damaged(path, 0, damage));
        }
        let footer_at = len - FOOTER as u64;
        let footer = read_footer(path, &*file, footer_at)?;
        let place = (footer.seed, footer.index_at);
        let bytes = read(path, &*file, footer.index_at..footer_at)?;
        let kind = (BlockKind::Index, footer.index_crc);
        let index = part(&bytes, place, kind, Sums::Checked).and_then(|bytes| {
            let index = Index::decode(bytes, footer.blocks, footer.filter_at);
            index.map_err(|Malformed| Damage::Field("index"))
        });
        let index = index.map_err(|damage| Error::damaged(path, footer.index_at, damage))?;
        let meta = TableMeta {
            number: footer.identity.number,
            len,
            entries: footer.entries,
            tombstones: footer.tombstones,
            first: index.first().into(),
            last: index.last().into(),
            oldest: footer.oldest,
            newest: footer.newest,
            crc: footer.crc,
        };
        let memory = (&Arc::new(Cache::new(0)), &Arc::default());
        Self::load(fs, path, (footer.identity, &meta), memory, Sums::Checked)
    }

    /// A data block, from memory or from the file; then it is kept in memory.
    pub(super) fn block(&self, number: usize) -> Result<Arc<Block>, Error> {
        if let Some(block) = self.slots.load(number).and_then(|slot| slot.clone()) {
            self.tally.hit();
            return Ok(block);
        }
        let block = self.read_block(number)?;
        self.slots.insert(number, &block);
        Ok(block)
    }

    /// A data block from the file.
    pub(super) fn read_block(&self, number: usize) -> Result<Arc<Block>, Error> {
        let run = self.read_run(number..number + 1)?;
        self.block_of(&run, number)
    }

    /// Data blocks from the file, in one piece and not looked at.
    pub(super) fn read_run(&self, blocks: Range<usize>) -> Result<Run, Error> {
        let place = self.place(blocks.start)?.start..self.place(blocks.end - 1)?.end;
        let (start, bytes) = (place.start, self.read(place)?);
        self.tally.miss(bytes.len() as u64);
        Ok(Run { bytes: Bytes::from(bytes), blocks, start })
    }

    /// Takes a block out of what was read, and verifies it.
    pub(super) fn block_of(&self, run: &Run, number: usize) -> Result<Arc<Block>, Error> {
        let place = self.place(number)?;
        let damaged = |damage| Error::damaged(&self.path, place.start, damage);
        let at = |offset: u64| usize::try_from(offset.saturating_sub(run.start)).ok();
        let range = at(place.start).zip(at(place.end)).filter(|(_, end)| *end <= run.bytes.len());
        let Some((start, end)) = range else { return Err(damaged(Damage::BlockSum)) };
        let bytes = &run.bytes[start..end];
        let head = check_block(bytes, (self.footer.seed, place.start), self.sums);
        let head = head.map_err(damaged)?;
        if head.kind != BlockKind::Data {
            return Err(damaged(Damage::Field("kind")));
        }
        // Whole, and of this place and table; but written in another life of its number?
        if self.sums == Sums::Checked && self.index.crc(number) != Some(head.crc) {
            return Err(damaged(Damage::Unlike("block")));
        }
        let (payload, pinned) = match head.packing {
            Packing::None => (run.bytes.slice(start + BLOCK_HEAD..end), run.bytes.len()),
            Packing::Lz4 => (unpack(&bytes[BLOCK_HEAD..], head).map_err(damaged)?, head.raw),
        };
        let block = Block::new(payload, pinned);
        block.map(Arc::new).map_err(|Malformed| damaged(Damage::Field("block")))
    }

    /// Where a block stands.
    pub(super) fn place(&self, number: usize) -> Result<Range<u64>, Error> {
        let place = self.index.place(number);
        place.ok_or_else(|| self.malformed(number))
    }

    /// The error of a block whose sum fits and which cannot be understood.
    pub(super) fn malformed(&self, number: usize) -> Error {
        let at = self.index.place(number).map_or(0, |place| place.start);
        Error::damaged(&self.path, at, Damage::Field("block"))
    }

    /// Reads a part of the file.
    pub(super) fn read(&self, place: Range<u64>) -> Result<Vec<u8>, Error> {
        match self.file.with(|file| Ok(read(&self.path, file, place))) {
            Ok(read) => read,
            Err(error) => Err(not_opened(&self.path, error)),
        }
    }
}

pub(super) fn open_file(fs: &dyn FileSystem, path: &Path) -> Result<Arc<dyn File>, Error> {
    fs.open(path, Access::Read).map_err(|error| not_opened(path, error))
}

/// A file that is not there is damage: a manifest names it.
fn not_opened(path: &Path, error: io::Error) -> Error {
    if error.kind() == io::ErrorKind::NotFound {
        return Error::damaged(path, 0, Damage::Missing);
    }
    Error::io(path, "open the table")(error)
}

pub(super) fn size(path: &Path, file: &dyn File) -> Result<u64, Error> {
    file.size().map_err(Error::io(path, "ask for the length of the table"))
}

/// Reads a part of the file that was found to lie in it.
pub(super) fn read(path: &Path, file: &dyn File, place: Range<u64>) -> Result<Vec<u8>, Error> {
    let len = usize::try_from(place.end.saturating_sub(place.start)).unwrap_or(usize::MAX);
    let mut bytes = vec![0; len];
    match file.read_exact_at(&mut bytes, place.start) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            let (found, expected) = (size(path, file)?, place.end);
            Err(Error::damaged(path, place.start, Damage::Length { found, expected }))
        }
        other => other.map(|()| bytes).map_err(Error::io(path, "read the table")),
    }
}

pub(super) fn read_footer(path: &Path, file: &dyn File, at: u64) -> Result<Footer, Error> {
    let bytes = read(path, file, at..at + FOOTER as u64)?;
    let bytes = bytes.first_chunk().ok_or_else(|| Error::damaged(path, at, Damage::HeaderSum))?;
    let footer = Footer::decode(path, at, bytes)?;
    Ok(footer)
}

/// Unpacks a payload.
pub(super) fn unpack(packed: &[u8], head: BlockHead) -> Result<Bytes, Damage> {
    let mut bytes = vec![0; head.raw];
    match lz4_flex::block::decompress_into(packed, &mut bytes) {
        Ok(len) if len == head.raw => Ok(Bytes::from(bytes)),
        _ => Err(Damage::Field("packed block")),
    }
}

/// The payload of the filter or the index.
fn part(
    bytes: &[u8],
    place: (Seed, u64),
    (kind, crc): (BlockKind, u32),
    sums: Sums,
) -> Result<&[u8], Damage> {
    let head = check_block(bytes, place, sums)?;
    if head.kind != kind || head.packing != Packing::None {
        return Err(Damage::Field("kind"));
    }
    if sums == Sums::Checked && head.crc != crc {
        return Err(Damage::Unlike("filter or index"));
    }
    Ok(&bytes[BLOCK_HEAD..])
}

/// Whether a footer is that of the table that the manifest names.
fn compare(
    path: &Path,
    at: u64,
    footer: &Footer,
    identity: Identity,
    meta: &TableMeta,
) -> Result<(), Error> {
    let stated = footer.identity;
    let elsewhere = [
        (stated.store != identity.store).then_some("store"),
        (stated.keyspace != identity.keyspace).then_some("keyspace"),
        (stated.number != identity.number).then_some("number"),
    ];
    if let Some(field) = elsewhere.into_iter().flatten().next() {
        return Err(Error::damaged(path, at, Damage::Elsewhere(field)));
    }
    let unlike = [
        (footer.crc != meta.crc).then_some("footer"),
        (footer.entries != meta.entries).then_some("number of entries"),
        (footer.tombstones != meta.tombstones).then_some("number of tombstones"),
        (footer.oldest != meta.oldest).then_some("oldest LSN"),
        (footer.newest != meta.newest).then_some("newest LSN"),
    ];
    match unlike.into_iter().flatten().next() {
        Some(field) => Err(Error::damaged(path, at, Damage::Unlike(field))),
        None => Ok(()),
    }
}
