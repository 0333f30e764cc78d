//! The list of a directory of backups: the chain of backups, and of each its keyspaces and parts.
//!
//! Invariant: a backup is there when a list that is installed names it; whatever it names is durable
//! before. The list is only ever replaced as a whole.
//!
//! Knows nothing of what parts hold. The bytes are specified in `docs/format/backup.md`.

use std::path::Path;

use ondisk_fs::FileSystem;
use ondisk_log::{Lsn, StoreId};
use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::backup::part::{Identity, PartRecord};
use crate::catalog::Listed;
use crate::error::{Damage, Error};
use crate::sealed::{Seal, Sealed};

/// Its name in the directory of backups.
pub(crate) const LIST: &str = "backup";
/// The longest names a thousand backups of many parts.
pub(crate) const SEALED: Sealed = Sealed { magic: *b"\xD1ondback", version: 1, longest: 256 << 20 };
/// More backups than this are not kept in one directory.
pub(crate) const LONGEST_CHAIN: usize = 1000;

/// What stands in front of the list.
/// ```text
///  0       8     12        16      32      36     40
///  ├ magic ┼ crc ┼ version ┼ store ┼ count ┼ zero ┤ backups …
///                └────── crc covers from here to the end of the file ─ …
/// ```
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct Head {
    seal: Seal,
    store: [u8; 16],
    count: U32,
    zero: U32,
}

/// One backup; its keyspaces and then its parts follow.
/// ```text
///  0        4           8       12     16    24        32
///  ├ number ┼ keyspaces ┼ parts ┼ zero ┼ lsn ┼ largest ┤ keyspaces … parts …
/// ```
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct BackupHead {
    number: U32,
    keyspaces: U32,
    parts: U32,
    zero: U32,
    lsn: U64,
    largest: U64,
}

/// One part.
/// ```text
///  0        4          8     12     16      24        32           40
///  ├ number ┼ keyspace ┼ crc ┼ zero ┼ bytes ┼ entries ┼ tombstones ┤
/// ```
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct PartLine {
    number: U32,
    keyspace: U32,
    crc: U32,
    zero: U32,
    bytes: U64,
    entries: U64,
    tombstones: U64,
}

const HEAD: usize = size_of::<Head>();
const _: () = assert!(HEAD == 40 && size_of::<BackupHead>() == 32 && size_of::<PartLine>() == 40);

/// A chain of backups of one store, the oldest first. The first is whole, each later one holds what
/// differs from all before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct List {
    pub(crate) store: StoreId,
    pub(crate) backups: Vec<Backup>,
}

/// One backup of a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Backup {
    /// Ascending along the chain, from 1.
    pub(crate) number: u32,
    /// The commit that it is of.
    pub(crate) lsn: Lsn,
    /// Bytes of the largest entry in its parts that a log takes, key and value together: of one whose
    /// value is long enough for a file of its own the key alone.
    pub(crate) largest: u64,
    /// By ascending id.
    pub(crate) keyspaces: Vec<Listed>,
    /// Those of a keyspace stand behind each other, in the order of their keys.
    pub(crate) parts: Vec<PartRecord>,
}

impl List {
    pub(crate) fn new(store: StoreId) -> Self {
        Self { store, backups: Vec::new() }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let count = |len: usize| U32::new(u32::try_from(len).unwrap_or(u32::MAX));
        let head = Head {
            seal: SEALED.seal(),
            store: self.store.0,
            count: count(self.backups.len()),
            zero: U32::ZERO,
        };
        let mut bytes = head.as_bytes().to_vec();
        for backup in &self.backups {
            let line = BackupHead {
                number: U32::new(backup.number),
                keyspaces: count(backup.keyspaces.len()),
                parts: count(backup.parts.len()),
                zero: U32::ZERO,
                lsn: U64::new(backup.lsn.0),
                largest: U64::new(backup.largest),
            };
            bytes.extend_from_slice(line.as_bytes());
            backup.keyspaces.iter().for_each(|listed| listed.write(&mut bytes));
            for part in &backup.parts {
                bytes.extend_from_slice(PartLine::of(part).as_bytes());
            }
        }
        Sealed::close(bytes)
    }

    /// Reads bytes that nobody vouches for. `path` is for the error to name.
    pub(crate) fn decode(path: &Path, bytes: &[u8]) -> Result<Self, Error> {
        let damaged = |damage| Error::damaged(path, 0, damage);
        SEALED.check(path, bytes)?;
        let Ok((head, mut rest)) = Head::read_from_prefix(bytes) else {
            let (found, expected) = (bytes.len() as u64, HEAD as u64);
            return Err(damaged(Damage::Length { found, expected }));
        };
        if head.zero != U32::ZERO {
            return Err(damaged(Damage::Field("zero")));
        }
        let mut list = Self::new(StoreId(head.store));
        for _ in 0..head.count.get() {
            let at = bytes.len() - rest.len();
            let (backup, after) = Backup::read(path, at, rest)?;
            let before = list.backups.last().map_or(0, |it| it.number);
            if backup.number != before.saturating_add(1) || list.backups.len() == LONGEST_CHAIN {
                return Err(Error::damaged(path, at as u64, Damage::Field("number")));
            }
            list.backups.push(backup);
            rest = after;
        }
        if rest.is_empty() { Ok(list) } else { Err(damaged(Damage::Field("count"))) }
    }

    /// The list of a directory, if one stands there.
    pub(crate) fn read(fs: &dyn FileSystem, dir: &Path) -> Result<Option<Self>, Error> {
        let path = dir.join(LIST);
        SEALED.read(fs, &path)?.map(|bytes| Self::decode(&path, &bytes)).transpose()
    }

    /// Puts the list in place, durably, name and all.
    pub(crate) fn install(&self, fs: &dyn FileSystem, dir: &Path) -> Result<(), Error> {
        let bytes = self.encode();
        if bytes.len() as u64 > SEALED.longest || self.backups.len() > LONGEST_CHAIN {
            return Err(super::not_a_backup(dir, super::TOO_LONG));
        }
        SEALED.install(fs, &dir.join(LIST), &bytes)
    }

    /// The parts of a keyspace, of each backup that has some, the newest first.
    pub(crate) fn parts_of(&self, keyspace: u32) -> Vec<Vec<(Identity, PartRecord)>> {
        let mut found = Vec::new();
        for backup in self.backups.iter().rev() {
            let parts = backup.parts.iter().filter(|part| part.keyspace == keyspace);
            let parts: Vec<_> =
                parts.map(|part| (backup.identity(self.store, part), *part)).collect();
            if !parts.is_empty() {
                found.push(parts);
            }
        }
        found
    }
}

impl Backup {
    /// Which file a part is.
    pub(crate) fn identity(&self, store: StoreId, part: &PartRecord) -> Identity {
        let PartRecord { number, keyspace, .. } = *part;
        Identity { store, lsn: self.lsn, backup: self.number, part: number, keyspace }
    }

    fn read<'a>(path: &Path, at: usize, bytes: &'a [u8]) -> Result<(Self, &'a [u8]), Error> {
        let damaged = |damage| Error::damaged(path, at as u64, damage);
        let Ok((head, mut rest)) = BackupHead::read_from_prefix(bytes) else {
            return Err(damaged(Damage::Field("count")));
        };
        let mut keyspaces: Vec<Listed> = Vec::new();
        for _ in 0..head.keyspaces.get() {
            let (listed, after) = Listed::read(path, at + bytes.len() - rest.len(), rest)?;
            if keyspaces.last().is_some_and(|last| last.id >= listed.id) {
                return Err(damaged(Damage::Field("id")));
            }
            keyspaces.push(listed);
            rest = after;
        }
        let mut parts = Vec::new();
        for n in 1..=head.parts.get() {
            let Ok((line, after)) = PartLine::read_from_prefix(rest) else {
                return Err(damaged(Damage::Field("parts")));
            };
            let known = keyspaces.binary_search_by_key(&line.keyspace.get(), |it| it.id).is_ok();
            if !known || line.number.get() != n || line.zero != U32::ZERO {
                return Err(damaged(Damage::Field("number, keyspace or zero")));
            }
            parts.push(line.record());
            rest = after;
        }
        let (number, lsn) = (head.number.get(), Lsn(head.lsn.get()));
        let largest = head.largest.get();
        Ok((Self { number, lsn, largest, keyspaces, parts }, rest))
    }
}

impl PartLine {
    fn of(part: &PartRecord) -> Self {
        Self {
            number: U32::new(part.number),
            keyspace: U32::new(part.keyspace),
            crc: U32::new(part.crc),
            zero: U32::ZERO,
            bytes: U64::new(part.bytes),
            entries: U64::new(part.entries),
            tombstones: U64::new(part.tombstones),
        }
    }

    fn record(&self) -> PartRecord {
        PartRecord {
            number: self.number.get(),
            keyspace: self.keyspace.get(),
            crc: self.crc.get(),
            bytes: self.bytes.get(),
            entries: self.entries.get(),
            tombstones: self.tombstones.get(),
        }
    }
}

#[cfg(test)]
mod tests;
