//! A sorted table: entries by ascending key, in a file that is written once.
//!
//! ```text
//! TableWriter ─► NNNNNNNNNN.table ─► TableMeta (into the manifest) ─► Table ─► get, walk
//! ```
//!
//! Invariant: a table is written front to back, synced, and then named by a manifest; after that
//! it is never written again. A key stands in it once. Every byte of it is covered by a checksum,
//! and all checksums by the one that the manifest holds.
//!
//! Opening a table reads nothing: the file is opened, and its footer, filter and index are read,
//! when it is first asked. Knows nothing of levels and manifests. The bytes are specified in
//! `docs/format/table.md`.

use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use ondisk_fs::FileSystem;
use ondisk_log::Lsn;

use crate::cache::Cache;
use crate::engine::{Direction, Site};
use crate::error::Error;
use crate::handles::Handles;
use crate::lsm::cache::Tally;
use crate::lsm::sabotage::LsmRule;
use crate::lsm::table::block::{Block, Entry, EntryKind, Malformed};
use crate::lsm::table::format::{Identity, Sums};
use crate::lsm::table::load::Loaded;
use crate::lsm::table::walk::TableWalk;
use crate::options::Compression;
use crate::sabotage::Sabotage;
use crate::value::Value;

pub(crate) mod block;
pub(crate) mod dump;
pub(crate) mod format;
mod index;
mod load;
pub(crate) mod run;
pub(crate) mod salvage;
mod varint;
mod verify;
pub(crate) mod walk;
pub(crate) mod write;

/// How a table is written. Any of these can be read, whatever the keyspace's options are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TableOptions {
    pub(crate) compression: Compression,
    /// About how many bytes a data block takes, unpacked. An entry that is longer has a block
    /// alone.
    pub(crate) block: usize,
    /// How many bits the filter has for each key; 0 for a table without a filter.
    pub(crate) filter_bits: u32,
}

/// Bytes of a data block.
const BLOCK: usize = 4 << 10;
/// Bits of filter for each key.
const FILTER_BITS: u32 = 10;

/// A table as the manifest knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TableMeta {
    /// No other table of the keyspace ever has it.
    pub(crate) number: u64,
    /// Bytes of the file.
    pub(crate) len: u64,
    /// Tombstones included.
    pub(crate) entries: u64,
    pub(crate) tombstones: u64,
    /// The smallest key, and the largest.
    pub(crate) first: Box<[u8]>,
    pub(crate) last: Box<[u8]>,
    /// Of the entries' LSNs.
    pub(crate) oldest: Lsn,
    pub(crate) newest: Lsn,
    /// Of the footer, which names the sums of all else.
    pub(crate) crc: u32,
}

/// What a table says of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TableEntry {
    /// The commit that wrote it.
    pub(crate) lsn: Lsn,
    /// `None` for a tombstone: the key is gone. Else it pins its block, and is no copy.
    pub(crate) value: Option<Value>,
}

/// A table that a manifest names.
#[derive(Debug)]
pub(crate) struct Table {
    fs: Arc<dyn FileSystem>,
    path: PathBuf,
    identity: Identity,
    meta: TableMeta,
    cache: Arc<Cache>,
    handles: Arc<Handles>,
    tally: Arc<Tally>,
    loaded: OnceLock<Arc<Loaded>>,
    sums: Sums,
}

/// The name of a table in its keyspace's directory.
pub(crate) fn file_name(number: u64) -> String {
    format!("{number:010}.table")
}

/// The number in a table's name; `None` for other names.
pub(crate) fn file_number(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".table")?;
    let number = digits.parse().ok()?;
    (file_name(number) == name).then_some(number)
}

impl TableOptions {
    /// How the tables of a keyspace are written.
    pub(crate) fn of(site: &Site) -> Self {
        Self { compression: site.options.compression, block: BLOCK, filter_bits: FILTER_BITS }
    }
}

impl TableMeta {
    /// Whether a key lies between the first and the last.
    pub(crate) fn spans(&self, key: &[u8]) -> bool {
        *self.first <= *key && *key <= *self.last
    }
}

impl Table {
    /// A table that a manifest names. Reads nothing: what is wrong with it comes out when it is
    /// first asked.
    pub(crate) fn open(site: &Site, meta: &TableMeta) -> Result<Arc<Self>, Error> {
        let ignored = site.breaks(Sabotage::Lsm(LsmRule::SumsIgnored));
        Ok(Arc::new(Self {
            fs: Arc::clone(&site.fs),
            path: site.dir.join(file_name(meta.number)),
            identity: identity(site, meta.number),
            meta: meta.clone(),
            cache: Arc::clone(&site.caches.memory),
            handles: Arc::clone(&site.caches.handles),
            tally: site.caches.tallies.of(site.keyspace),
            loaded: OnceLock::new(),
            sums: if ignored { Sums::Ignored } else { Sums::Checked },
        }))
    }

    pub(crate) fn meta(&self) -> &TableMeta {
        &self.meta
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What the table says of a key, whose [hash](crate::lsm::filter::key_hash) is computed once
    /// for all tables.
    pub(crate) fn get(&self, key: &[u8], hash: u64) -> Result<Option<TableEntry>, Error> {
        let loaded = self.loaded()?;
        if !loaded.filter.passes(hash) {
            return Ok(None);
        }
        let Some(number) = loaded.index.find(key) else { return Ok(None) };
        let found =
            if let Some(block) = loaded.slots.load(number).as_deref().and_then(Option::as_ref) {
                loaded.tally.hit();
                entry_of(block, key)
            } else {
                let block = loaded.read_block(number)?;
                loaded.slots.insert(number, &block);
                entry_of(&block, key)
            };
        found.map_err(|Malformed| loaded.malformed(number))
    }

    /// Whether the table may say something of a key: `false` is certain.
    pub(crate) fn may_hold(&self, key: &[u8], hash: u64) -> Result<bool, Error> {
        Ok(self.meta.spans(key) && self.loaded()?.filter.passes(hash))
    }

    /// A walk over the entries between two bounds, tombstones among them.
    pub(crate) fn walk(
        self: &Arc<Self>,
        lower: Bound<&[u8]>,
        upper: Bound<&[u8]>,
        direction: Direction,
    ) -> TableWalk {
        TableWalk::new(Arc::clone(self), lower, upper, direction)
    }

    /// The table's file, filter and index, read when they are first needed.
    #[inline]
    fn loaded(&self) -> Result<&Arc<Loaded>, Error> {
        match self.loaded.get() {
            Some(loaded) => Ok(loaded),
            None => self.load(),
        }
    }

    #[cold]
    fn load(&self) -> Result<&Arc<Loaded>, Error> {
        // Two who come at once may both read; what one of them read is used.
        let (named, memory) = ((self.identity, &self.meta), (&self.cache, &self.tally));
        let loaded = Loaded::load(&*self.fs, &self.path, named, memory, self.sums)?;
        Ok(self.loaded.get_or_init(|| Arc::new(loaded.lazily(&self.fs, &self.handles))))
    }
}

fn identity(site: &Site, number: u64) -> Identity {
    Identity { store: site.store, keyspace: site.keyspace, number }
}

/// What a block says of a key, without a copy.
#[inline]
fn entry_of(block: &Block, key: &[u8]) -> Result<Option<TableEntry>, Malformed> {
    let found = block.find(key)?;
    Ok(found.map(|Entry { value, kind, lsn, .. }| {
        let value = match kind {
            EntryKind::Value => Some(Value::from(block.bytes().slice(value))),
            EntryKind::Tombstone => None,
        };
        TableEntry { lsn, value }
    }))
}

#[cfg(test)]
pub(crate) mod tests;
