//! The catalog: which keyspaces a store has, with which options, and what of each was known to be
//! durable when the log was last told that it may forget.
//!
//! Invariant: a keyspace exists when a catalog that is installed names it, and is gone when one
//! that does not is. What a catalog says of an engine's commit point was durable before it was
//! written. It is only ever replaced as a whole.
//!
//! Knows nothing of what engines hold. The bytes are specified in `docs/format/catalog.md`.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use ondisk_fs::FileSystem;
use ondisk_log::{Batch, Lsn, StoreId, SyncMode};
use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::engine::CommitPoint;
use crate::error::{Damage, Error};
use crate::options::{Compression, EngineKind, KeyspaceOptions, LargeValue, PageSize};
use crate::sealed::{Seal, Sealed};

/// The name of the catalog in a store's directory.
pub(crate) const CATALOG: &str = "catalog";
/// The longest names more than 200,000 keyspaces.
pub(crate) const SEALED: Sealed = Sealed { magic: *b"\xD1ondcata", version: 1, longest: 64 << 20 };
/// The longest name of a keyspace, in bytes.
pub(crate) const LONGEST_NAME: usize = 255;

/// What stands in front of the list of keyspaces.
/// ```text
///  0       8     12        16      32         40        44      48
///  ├ magic ┼ crc ┼ version ┼ store ┼ released ┼ next_id ┼ count ┤ keyspaces …
///                └────────────── crc covers from here to the end of the file ─ …
/// ```
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct Head {
    seal: Seal,
    store: [u8; 16],
    released: U64,
    next_id: U32,
    count: U32,
}

/// One keyspace; its name follows.
/// ```text
///  0    4        5      6             7          8         12            16          20         24      32      40        48     56
///  ├ id ┼ engine ┼ mode ┼ compression ┼ name_len ┼ records ┼ large_value ┼ page_size ┼ has+zero ┼ bytes ┼ delay ┼ through ┼ edit ┤ name …
/// ```
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct Line {
    id: U32,
    engine: u8,
    mode: u8,
    compression: u8,
    name_len: u8,
    records: U32,
    large_value: U32,
    page_size: U32,
    /// Bit 0: `bytes` counts; bit 1: `delay` does.
    has: u8,
    zero: [u8; 3],
    bytes: U64,
    /// In nanoseconds.
    delay: U64,
    through: U64,
    edit: U64,
}

const HEAD: usize = size_of::<Head>();
const LINE: usize = size_of::<Line>();
const _: () = assert!(HEAD == 48 && std::mem::offset_of!(Head, released) == 32);
const _: () = assert!(LINE == 56 && std::mem::offset_of!(Line, through) == 40);

/// What a catalog says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Catalog {
    pub(crate) store: StoreId,
    /// All commits through this one are in engines, or were for keyspaces that are gone: the log
    /// may have forgotten them.
    pub(crate) released: Lsn,
    /// No keyspace has had this id yet, nor a higher one.
    pub(crate) next_id: u32,
    /// By ascending id.
    pub(crate) keyspaces: Vec<Listed>,
}

/// One keyspace, as the catalog knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) id: u32,
    pub(crate) name: String,
    pub(crate) options: KeyspaceOptions,
    /// Was durable when the catalog was written.
    pub(crate) confirmed: CommitPoint,
}

impl Catalog {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let head = Head {
            seal: SEALED.seal(),
            store: self.store.0,
            released: U64::new(self.released.0),
            next_id: U32::new(self.next_id),
            // There are fewer keyspaces than ids for them, and those are 32 bits wide.
            count: U32::new(u32::try_from(self.keyspaces.len()).unwrap_or(u32::MAX)),
        };
        let mut bytes = Vec::with_capacity(HEAD + self.keyspaces.len() * (LINE + 16));
        bytes.extend_from_slice(head.as_bytes());
        for listed in &self.keyspaces {
            listed.write(&mut bytes);
        }
        Sealed::close(bytes)
    }

    /// Reads bytes that nobody vouches for. `path` is for the error to name.
    pub(crate) fn decode(path: &Path, bytes: &[u8]) -> Result<Self, Error> {
        let damaged = |offset: usize, damage| Error::damaged(path, offset as u64, damage);
        SEALED.check(path, bytes)?;
        let Ok((head, mut rest)) = Head::read_from_prefix(bytes) else {
            let (found, expected) = (bytes.len() as u64, HEAD as u64);
            return Err(damaged(0, Damage::Length { found, expected }));
        };
        let mut keyspaces = Vec::new();
        for _ in 0..head.count.get() {
            let at = bytes.len() - rest.len();
            let (listed, behind) = Listed::read(path, at, rest)?;
            keyspaces.push(listed);
            rest = behind;
        }
        if !rest.is_empty() {
            return Err(damaged(bytes.len() - rest.len(), Damage::Field("count")));
        }
        let next_id = head.next_id.get();
        let ascending = keyspaces.windows(2).all(|pair| pair[0].id < pair[1].id);
        let names: BTreeSet<&str> = keyspaces.iter().map(|it| it.name.as_str()).collect();
        if !ascending || keyspaces.last().is_some_and(|last| last.id >= next_id) {
            return Err(damaged(HEAD, Damage::Field("id")));
        }
        if names.len() < keyspaces.len() {
            return Err(damaged(HEAD, Damage::Field("name")));
        }
        let (store, released) = (StoreId(head.store), Lsn(head.released.get()));
        Ok(Self { store, released, next_id, keyspaces })
    }

    /// Reads a store's catalog; `None` where there is none.
    pub(crate) fn read(fs: &dyn FileSystem, store: &Path) -> Result<Option<Self>, Error> {
        let path = store.join(CATALOG);
        SEALED.read(fs, &path)?.map(|bytes| Self::decode(&path, &bytes)).transpose()
    }

    /// Puts the catalog in place, durably, name and all.
    pub(crate) fn install(&self, fs: &dyn FileSystem, store: &Path) -> Result<(), Error> {
        SEALED.install(fs, &store.join(CATALOG), &self.encode())
    }
}

const SYNC: u8 = 1;
const BATCH: u8 = 2;
const NONE: u8 = 3;

impl Line {
    fn of(listed: &Listed) -> Self {
        let Listed { id, name, options, confirmed } = listed;
        let mut line = Self {
            id: U32::new(*id),
            engine: match options.engine {
                EngineKind::Bitcask => 1,
                EngineKind::Lsm => 2,
                EngineKind::Btree => 3,
            },
            mode: 0,
            compression: match options.compression {
                Compression::None => 0,
                Compression::Lz4 => 1,
            },
            name_len: u8::try_from(name.len()).unwrap_or(u8::MAX), // checked when it was made
            records: U32::ZERO,
            large_value: U32::new(options.large_value.0),
            page_size: U32::new(options.page_size.0),
            has: 0,
            zero: [0; 3],
            bytes: U64::ZERO,
            delay: U64::ZERO,
            through: U64::new(confirmed.through.0),
            edit: U64::new(confirmed.edit),
        };
        match options.sync {
            None => {}
            Some(SyncMode::Sync) => line.mode = SYNC,
            Some(SyncMode::None) => line.mode = NONE,
            Some(SyncMode::Batch(batch)) => {
                line.mode = BATCH;
                line.records = U32::new(batch.records);
                line.bytes = U64::new(batch.bytes.unwrap_or_default());
                let nanos = batch.delay.unwrap_or_default().as_nanos();
                line.delay = U64::new(u64::try_from(nanos).unwrap_or(u64::MAX));
                line.has = u8::from(batch.bytes.is_some()) | u8::from(batch.delay.is_some()) << 1;
            }
        }
        line
    }

    fn options(&self) -> Result<KeyspaceOptions, &'static str> {
        let engine = match self.engine {
            1 => EngineKind::Bitcask,
            2 => EngineKind::Lsm,
            3 => EngineKind::Btree,
            _ => return Err("engine"),
        };
        let compression = match self.compression {
            0 => Compression::None,
            1 => Compression::Lz4,
            _ => return Err("compression"),
        };
        let sync = match self.mode {
            0 => None,
            SYNC => Some(SyncMode::Sync),
            NONE => Some(SyncMode::None),
            BATCH if self.records.get() > 0 => Some(SyncMode::Batch(Batch {
                records: self.records.get(),
                bytes: (self.has & 1 != 0).then(|| self.bytes.get()),
                delay: (self.has & 2 != 0).then(|| Duration::from_nanos(self.delay.get())),
            })),
            _ => return Err("mode"),
        };
        let page_size = PageSize(self.page_size.get());
        if !page_size.is_valid() || self.has > 3 || self.zero != [0; 3] {
            return Err("page_size, has or zero");
        }
        let large_value = LargeValue(self.large_value.get());
        Ok(KeyspaceOptions { engine, sync, page_size, compression, large_value })
    }
}

impl Listed {
    /// Writes it to the end of a catalog, or of what lists keyspaces too.
    pub(crate) fn write(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(Line::of(self).as_bytes());
        bytes.extend_from_slice(self.name.as_bytes());
    }

    /// Reads one from the front of bytes that stand at `at`; what is behind it is given back.
    pub(crate) fn read<'a>(
        path: &Path,
        at: usize,
        bytes: &'a [u8],
    ) -> Result<(Self, &'a [u8]), Error> {
        let damaged = |damage| Error::damaged(path, at as u64, damage);
        let Ok((line, rest)) = Line::read_from_prefix(bytes) else {
            return Err(damaged(Damage::Field("count")));
        };
        let options = line.options().map_err(|field| damaged(Damage::Field(field)))?;
        let name = rest.split_at_checked(line.name_len.into());
        let (name, rest) = name.ok_or_else(|| damaged(Damage::Field("name_len")))?;
        let name = str::from_utf8(name).ok().filter(|name| !name.is_empty());
        let name = name.ok_or_else(|| damaged(Damage::Field("name")))?.to_owned();
        let confirmed = CommitPoint { through: Lsn(line.through.get()), edit: line.edit.get() };
        Ok((Self { id: line.id.get(), name, options, confirmed }, rest))
    }
}

#[cfg(test)]
mod tests;
