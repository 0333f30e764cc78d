//! The manifest of a keyspace of sorted tables: which tables stand in which level, and up to which
//! LSN they hold it.
//!
//! Invariant: a manifest that is installed names only tables that are durable, name and all, and
//! no LSN above which the log is durable. It is only ever replaced as a whole: tables are few, and
//! two syncs are little beside those of the tables; so it has no tail that a cut could tear, and
//! reading it is reading one file.
//!
//! Knows nothing of what the tables hold. The bytes are specified in `docs/format/lsm-manifest.md`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use ondisk_fs::FileSystem;
use ondisk_log::{Lsn, StoreId};
use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::error::{Damage, Error};
use crate::limits::LONGEST_KEY;
use crate::lsm::table::TableMeta;
use crate::sealed::{Seal, Sealed};

pub(crate) mod dump;

/// The name of the manifest in its keyspace's directory.
pub(crate) const MANIFEST: &str = "manifest";
/// The longest names 2 million tables.
pub(crate) const SEALED: Sealed = Sealed { magic: *b"\xD1ondlsmm", version: 1, longest: 256 << 20 };
/// How many levels there are. The last takes ten thousand times as much as the second.
pub(crate) const LEVELS: usize = 7;
/// The engine whose files these are.
const LSM: u32 = 2;

/// What stands in front of the list of tables.
/// ```text
///  0       8     12        16       32         36       40        48     56            64      68     72
///  ├ magic ┼ crc ┼ version ┼ store ─┼ keyspace ┼ engine ┼ through ┼ edit ┼ next_number ┼ count ┼ zero ┤ tables …
///                └───────────────── crc covers from here to the end of the file ───────────────────────── …
/// ```
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct Head {
    seal: Seal,
    store: [u8; 16],
    keyspace: U32,
    engine: U32,
    through: U64,
    edit: U64,
    next_number: U64,
    count: U32,
    zero: U32,
}

/// One table. Its first key and its last follow.
/// ```text
///  0        8     16        24           32       40       48    52      53     56          60         64
///  ├ number ┼ len ┼ entries ┼ tombstones ┼ oldest ┼ newest ┼ crc ┼ level ┼ zero ┼ first_len ┼ last_len ┤ first … │ last …
/// ```
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct Line {
    number: U64,
    len: U64,
    entries: U64,
    tombstones: U64,
    oldest: U64,
    newest: U64,
    crc: U32,
    level: u8,
    zero: [u8; 3],
    first_len: U32,
    last_len: U32,
}

const HEAD: usize = size_of::<Head>();
const LINE: usize = size_of::<Line>();
const _: () = assert!(HEAD == 72 && std::mem::offset_of!(Head, through) == 40);
const _: () = assert!(LINE == 64 && std::mem::offset_of!(Line, crc) == 48);

/// What a manifest says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Manifest {
    pub(crate) store: StoreId,
    pub(crate) keyspace: u32,
    /// The tables hold all commits up to this one, and none above.
    pub(crate) through: Lsn,
    /// How many manifests were installed before, and tried: no two have the same.
    pub(crate) edit: u64,
    /// No table has had this number yet, nor a higher one.
    pub(crate) next_number: u64,
    /// The tables of each level: of the first the youngest first, of the others by ascending key.
    pub(crate) levels: [Vec<TableMeta>; LEVELS],
}

impl Manifest {
    /// That of a keyspace in which nothing was ever written.
    pub(crate) fn new(store: StoreId, keyspace: u32) -> Self {
        let levels = Default::default();
        Self { store, keyspace, through: Lsn(0), edit: 0, next_number: 1, levels }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let tables =
            || (0..).zip(&self.levels).flat_map(|(level, it)| it.iter().map(move |it| (level, it)));
        let head = Head {
            seal: SEALED.seal(),
            store: self.store.0,
            keyspace: U32::new(self.keyspace),
            engine: U32::new(LSM),
            through: U64::new(self.through.0),
            edit: U64::new(self.edit),
            next_number: U64::new(self.next_number),
            count: len32(tables().count()),
            zero: U32::ZERO,
        };
        let mut bytes = head.as_bytes().to_vec();
        for (level, table) in tables() {
            let line = Line {
                number: U64::new(table.number),
                len: U64::new(table.len),
                entries: U64::new(table.entries),
                tombstones: U64::new(table.tombstones),
                oldest: U64::new(table.oldest.0),
                newest: U64::new(table.newest.0),
                crc: U32::new(table.crc),
                level,
                zero: [0; 3],
                first_len: len32(table.first.len()),
                last_len: len32(table.last.len()),
            };
            bytes.extend_from_slice(line.as_bytes());
            bytes.extend_from_slice(&table.first);
            bytes.extend_from_slice(&table.last);
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
        if head.engine.get() != LSM || head.zero.get() != 0 {
            return Err(damaged(0, Damage::Field("engine or zero")));
        }
        let (store, keyspace) = (StoreId(head.store), head.keyspace.get());
        let (through, edit) = (Lsn(head.through.get()), head.edit.get());
        let next_number = head.next_number.get();
        let mut manifest = Self { through, edit, next_number, ..Self::new(store, keyspace) };
        let mut numbers = BTreeSet::new();
        for _ in 0..head.count.get() {
            let offset = bytes.len() - rest.len();
            let Some((level, table, behind)) = decode_line(rest) else {
                return Err(damaged(offset, Damage::Field("table")));
            };
            rest = behind;
            let place = manifest.levels.get_mut(level);
            let (Some(place), true) = (place, numbers.insert(table.number)) else {
                return Err(damaged(offset, Damage::Field("level or number")));
            };
            place.push(table);
        }
        if !rest.is_empty() {
            let (found, expected) = (bytes.len() as u64, (bytes.len() - rest.len()) as u64);
            return Err(damaged(0, Damage::Length { found, expected }));
        }
        match manifest.contradiction() {
            None => Ok(manifest),
            Some(field) => Err(damaged(HEAD, Damage::Field(field))),
        }
    }

    /// What no manifest may say: asserted before it is written, and checked after it was read.
    pub(crate) fn contradiction(&self) -> Option<&'static str> {
        let ascending = |level: &Vec<TableMeta>| {
            level.windows(2).all(|pair| pair[0].last[..] < pair[1].first[..])
        };
        let age = |table: &TableMeta| (table.newest, table.number);
        let youngest_first = self.levels[0].windows(2).all(|pair| age(&pair[0]) > age(&pair[1]));
        let mut tables = self.levels.iter().flatten();
        let contradicts = |it: &TableMeta| {
            let none_above = it.newest <= self.through && it.number < self.next_number;
            let in_order = it.first <= it.last && it.oldest <= it.newest;
            !(none_above && in_order && it.tombstones <= it.entries && it.entries > 0)
        };
        if tables.any(contradicts) {
            Some("table")
        } else if !youngest_first {
            Some("newest")
        } else if !self.levels[1..].iter().all(ascending) {
            Some("first or last")
        } else {
            None
        }
    }
}

/// A line with its keys, its level, and the bytes behind it.
fn decode_line(bytes: &[u8]) -> Option<(usize, TableMeta, &[u8])> {
    let (line, rest) = Line::read_from_prefix(bytes).ok()?;
    let (first_len, last_len) = (line.first_len.get() as usize, line.last_len.get() as usize);
    if first_len > LONGEST_KEY || last_len > LONGEST_KEY || line.zero != [0; 3] {
        return None;
    }
    let (first, rest) = rest.split_at_checked(first_len)?;
    let (last, rest) = rest.split_at_checked(last_len)?;
    let table = TableMeta {
        number: line.number.get(),
        len: line.len.get(),
        entries: line.entries.get(),
        tombstones: line.tombstones.get(),
        first: first.into(),
        last: last.into(),
        oldest: Lsn(line.oldest.get()),
        newest: Lsn(line.newest.get()),
        crc: line.crc.get(),
    };
    Some((usize::from(line.level), table, rest))
}

/// A length of what is limited to less than 32 bits.
fn len32(len: usize) -> U32 {
    U32::new(u32::try_from(len).unwrap_or(u32::MAX))
}

pub(crate) fn manifest_path(dir: &Path) -> PathBuf {
    dir.join(MANIFEST)
}

/// Reads the manifest of a keyspace; `None` where none was installed yet.
pub(crate) fn read(fs: &dyn FileSystem, dir: &Path) -> Result<Option<Manifest>, Error> {
    let path = manifest_path(dir);
    SEALED.read(fs, &path)?.map(|bytes| Manifest::decode(&path, &bytes)).transpose()
}

/// Puts a manifest in place, durably, name and all.
///
/// After an error it may be in place or not: the tables of both are kept until another one is.
pub(crate) fn install(fs: &dyn FileSystem, dir: &Path, manifest: &Manifest) -> Result<(), Error> {
    SEALED.install(fs, &manifest_path(dir), &manifest.encode())
}

#[cfg(test)]
mod tests;
