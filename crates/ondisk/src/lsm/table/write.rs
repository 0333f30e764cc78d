//! Writes a sorted table, front to back.
//!
//! Invariant: nothing is written twice; what [`TableWriter::finish`] answered is durable but for
//! the file's name, which is the caller's to sync.

use std::path::PathBuf;
use std::sync::Arc;

use ondisk_fs::File;
use ondisk_log::Lsn;

use super::block::{BlockBuilder, EntryKind};
use super::format::{
    BLOCK_HEAD, BlockKind, FOOTER, Footer, Header, Identity, Packing, Seed, put_block,
};
use super::index::IndexBuilder;
use super::{TableMeta, TableOptions, file_name, identity};
use crate::engine::Site;
use crate::error::{Damage, Error};
use crate::lsm::filter::{Filter, key_hash};
use crate::lsm::sabotage::LsmRule;
use crate::options::Compression;
use crate::sabotage::Sabotage;

/// Bytes are handed to the file system in pieces of this size.
const WRITE_PIECE: usize = 256 << 10;
/// No block is longer, so that its length and its places fit their fields.
const LONGEST_ENTRY: usize = 1 << 31;
/// A block is stored packed when that saves one part of so many.
const WORTH_PACKING: usize = 8;

/// A table that is being written. Nothing reads it yet, and no manifest names it.
#[derive(Debug)]
pub(crate) struct TableWriter {
    site: Site,
    path: PathBuf,
    file: Arc<dyn File>,
    identity: Identity,
    seed: Seed,
    options: TableOptions,
    block: BlockBuilder,
    index: IndexBuilder,
    hashes: Vec<u64>,
    tombstones: u64,
    oldest: Lsn,
    newest: Lsn,
    raw: u64,
    /// What the file system has not yet.
    pending: Vec<u8>,
    /// How many bytes it has; `pending` follows.
    written: u64,
    /// A block's payload, and the same packed: kept for the next block.
    payload: Vec<u8>,
    packed: Vec<u8>,
}

impl TableWriter {
    /// Makes the file; its name is not durable yet.
    pub(crate) fn create(site: &Site, number: u64, options: TableOptions) -> Result<Self, Error> {
        let path = site.dir.join(file_name(number));
        let file = site.fs.create_new(&path).map_err(Error::io(&path, "create the table"))?;
        let identity = identity(site, number);
        let seed = Seed::new(identity);
        Ok(Self {
            site: site.clone(),
            path,
            file,
            identity,
            seed,
            options,
            block: BlockBuilder::default(),
            index: IndexBuilder::default(),
            hashes: Vec::new(),
            tombstones: 0,
            oldest: Lsn(u64::MAX),
            newest: Lsn(0),
            raw: 0,
            pending: Header { identity, seed }.encode().to_vec(),
            written: 0,
            payload: Vec::new(),
            packed: Vec::new(),
        })
    }

    /// Adds an entry; `None` is a tombstone. Each key is above the one before it.
    pub(crate) fn push(&mut self, key: &[u8], lsn: Lsn, value: Option<&[u8]>) -> Result<(), Error> {
        if !self.hashes.is_empty() && key <= self.block.last() {
            return Err(Error::damaged(&self.path, self.bytes(), Damage::Order));
        }
        let kind = if value.is_some() { EntryKind::Value } else { EntryKind::Tombstone };
        let value = value.unwrap_or_default();
        let len = key.len() + value.len();
        if len > LONGEST_ENTRY {
            return Err(Error::ValueTooLarge { len, limit: LONGEST_ENTRY });
        }
        if !self.block.is_empty() && self.block.len() + len > self.options.block {
            self.end_block()?;
        }
        if self.block.is_empty() {
            self.index.begin(self.block.last(), key);
        }
        self.block.push(key, lsn, kind, value);
        self.hashes.push(key_hash(key));
        self.tombstones += u64::from(kind == EntryKind::Tombstone);
        (self.oldest, self.newest) = (self.oldest.min(lsn), self.newest.max(lsn));
        Ok(())
    }

    /// About how many bytes the file would have if it were finished now.
    pub(crate) fn bytes(&self) -> u64 {
        let filter = self.hashes.len() * self.options.filter_bits as usize / 8;
        let rest = self.pending.len() + self.block.len() + self.index.len() + filter + FOOTER;
        self.written + rest as u64
    }

    /// How many entries it has so far.
    pub(crate) fn entries(&self) -> u64 {
        self.hashes.len() as u64
    }

    /// Hands all bytes to the file system and makes them durable. The file's name is not, until
    /// its directory is synced.
    pub(crate) fn finish(mut self) -> Result<TableMeta, Error> {
        if !self.block.is_empty() {
            self.end_block()?;
        }
        if self.hashes.is_empty() {
            self.oldest = Lsn(0);
        }
        let entries = self.entries();
        if self.site.breaks(Sabotage::Lsm(LsmRule::FilterLosesKeys)) {
            self.hashes.truncate(self.hashes.len() / 2);
        }
        let filter = Filter::build(&self.hashes, self.options.filter_bits);
        let (filter_at, filter_crc) = self.put_part(BlockKind::Filter, filter.as_bytes())?;
        let index = std::mem::take(&mut self.index);
        let (blocks, first) = (index.blocks(), Box::from(index.first()));
        let (index_at, index_crc) =
            self.put_part(BlockKind::Index, &index.finish(self.block.last()))?;
        let mut footer = Footer {
            crc: 0,
            identity: self.identity,
            seed: self.seed,
            blocks,
            oldest: self.oldest,
            newest: self.newest,
            entries,
            tombstones: self.tombstones,
            filter_at,
            index_at,
            filter_crc,
            index_crc,
            raw: self.raw,
        };
        self.pending.extend_from_slice(&footer.encode());
        self.write_pending()?;
        if !self.site.breaks(Sabotage::Lsm(LsmRule::TableNotSynced)) {
            self.file.sync_all().map_err(Error::io(&self.path, "sync the table"))?;
        }
        Ok(TableMeta {
            number: self.identity.number,
            len: self.written,
            entries,
            tombstones: self.tombstones,
            first,
            last: self.block.last().into(),
            oldest: self.oldest,
            newest: self.newest,
            crc: footer.crc,
        })
    }

    /// Puts the block that was filled behind the others.
    fn end_block(&mut self) -> Result<(), Error> {
        self.block.finish(&mut self.payload);
        let raw = self.payload.len();
        let (packing, payload) = match self.options.compression {
            Compression::Lz4 if pack(&self.payload, &mut self.packed) => {
                (Packing::Lz4, &self.packed)
            }
            _ => (Packing::None, &self.payload),
        };
        let place = (self.seed, self.written + self.pending.len() as u64);
        let len = u32::try_from(BLOCK_HEAD + payload.len()).unwrap_or(u32::MAX);
        let packing = (packing, u32::try_from(raw).unwrap_or(u32::MAX));
        let crc = put_block(&mut self.pending, place, BlockKind::Data, packing, payload);
        self.index.end(len, crc);
        self.raw += raw as u64;
        if self.pending.len() >= WRITE_PIECE {
            self.write_pending()?;
        }
        Ok(())
    }

    /// Puts filter or index behind the data blocks. Answers its place and its sum.
    fn put_part(&mut self, kind: BlockKind, payload: &[u8]) -> Result<(u64, u32), Error> {
        let offset = self.written + self.pending.len() as u64;
        let Ok(len) = u32::try_from(payload.len()) else {
            let (len, limit) = (payload.len(), u32::MAX as usize);
            return Err(Error::BatchTooLarge { bytes: len, limit });
        };
        let packing = (Packing::None, len);
        let crc = put_block(&mut self.pending, (self.seed, offset), kind, packing, payload);
        Ok((offset, crc))
    }

    fn write_pending(&mut self) -> Result<(), Error> {
        let io = Error::io(&self.path, "write the table");
        self.file.write_all_at(&self.pending, self.written).map_err(io)?;
        self.written += self.pending.len() as u64;
        self.pending.clear();
        Ok(())
    }
}

/// Packs a payload, if that is worth it.
fn pack(payload: &[u8], packed: &mut Vec<u8>) -> bool {
    packed.resize(lz4_flex::block::get_maximum_output_size(payload.len()), 0);
    match lz4_flex::block::compress_into(payload, packed) {
        Ok(len) if len <= payload.len() - payload.len() / WORTH_PACKING => {
            packed.truncate(len);
            true
        }
        _ => false,
    }
}
