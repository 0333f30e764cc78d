//! The manifest: which data files a keyspace consists of, and up to which LSN they hold it.
//!
//! Invariant: a manifest that is installed names only files that are durable, name and all, and
//! no LSN above which the log is durable. It is only ever replaced as a whole.
//!
//! Knows nothing of what the data files hold. The bytes are specified in
//! `docs/format/manifest.md`.

use std::path::Path;

use ondisk_log::{Lsn, StoreId};
use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::checksum::crc32c;
use crate::error::{Damage, Error};

/// The name of a keyspace's manifest in its directory.
pub(crate) const MANIFEST: &str = "manifest";
pub(crate) const MANIFEST_MAGIC: [u8; 8] = *b"\xD1ondmani";
pub(crate) const MANIFEST_VERSION: u32 = 1;
/// A manifest longer than this is refused unread: it would name 2 million files.
pub(crate) const LONGEST_MANIFEST: u64 = 64 << 20;
/// The engine whose files these are.
const BITCASK: u32 = 1;
const SUMMED_FROM: usize = 12;

/// What stands in front of the list of files.
/// ```text
///  0       8     12        16       32         36       40           48            52      56      64
///  ├ magic ┼ crc ┼ version ┼ store ─┼ keyspace ┼ engine ┼ checkpoint ┼ next_number ┼ count ┼ zero ─┤ files …
///                └───────────────── crc covers from here to the end of the file ──────────────────── …
/// ```
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct ManifestHead {
    magic: [u8; 8],
    crc: U32,
    version: U32,
    store: [u8; 16],
    keyspace: U32,
    engine: U32,
    checkpoint: U64,
    next_number: U32,
    count: U32,
    zero: [u8; 8],
}

/// One data file.
/// ```text
///  0        4     8     16        24
///  ├ number ┼ crc ┼ len ┼ entries ┤
/// ```
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct FileLine {
    number: U32,
    crc: U32,
    len: U64,
    entries: U64,
}

const HEAD: usize = size_of::<ManifestHead>();
const LINE: usize = size_of::<FileLine>();
const _: () = assert!(HEAD == 64 && std::mem::offset_of!(ManifestHead, checkpoint) == 40);
const _: () = assert!(LINE == 24 && std::mem::offset_of!(FileLine, len) == 8);

/// What a manifest says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Manifest {
    pub(crate) store: StoreId,
    pub(crate) keyspace: u32,
    /// The files hold all commits up to this one, and none above.
    pub(crate) checkpoint: Lsn,
    /// No data file has had this number yet, nor a higher one.
    pub(crate) next_number: u32,
    /// The data files, by ascending number.
    pub(crate) files: Vec<DataFileRecord>,
}

/// One data file, as the manifest knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DataFileRecord {
    pub(crate) number: u32,
    pub(crate) len: u64,
    pub(crate) entries: u64,
    /// Over the whole file.
    pub(crate) crc: u32,
}

impl Manifest {
    /// That of a keyspace in which nothing was ever written.
    pub(crate) fn new(store: StoreId, keyspace: u32) -> Self {
        Self { store, keyspace, checkpoint: Lsn(0), next_number: 1, files: Vec::new() }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut head = ManifestHead {
            magic: MANIFEST_MAGIC,
            crc: U32::ZERO,
            version: U32::new(MANIFEST_VERSION),
            store: self.store.0,
            keyspace: U32::new(self.keyspace),
            engine: U32::new(BITCASK),
            checkpoint: U64::new(self.checkpoint.0),
            next_number: U32::new(self.next_number),
            // There are fewer files than numbers for them, and those are 32 bits wide.
            count: U32::new(u32::try_from(self.files.len()).unwrap_or(u32::MAX)),
            zero: [0; 8],
        };
        let mut bytes = Vec::with_capacity(HEAD + self.files.len() * LINE);
        bytes.extend_from_slice(head.as_bytes());
        for file in &self.files {
            let line = FileLine {
                number: U32::new(file.number),
                crc: U32::new(file.crc),
                len: U64::new(file.len),
                entries: U64::new(file.entries),
            };
            bytes.extend_from_slice(line.as_bytes());
        }
        head.crc = U32::new(crc32c(&bytes[SUMMED_FROM..]));
        bytes[..HEAD].copy_from_slice(head.as_bytes());
        bytes
    }

    /// Reads bytes that nobody vouches for. `path` is for the error to name.
    pub(crate) fn decode(path: &Path, bytes: &[u8]) -> Result<Self, Error> {
        let damaged = |offset: usize, damage| Error::damaged(path, offset as u64, damage);
        let Ok((head, lines)) = ManifestHead::read_from_prefix(bytes) else {
            let (found, expected) = (bytes.len() as u64, HEAD as u64);
            return Err(damaged(0, Damage::Length { found, expected }));
        };
        if head.magic != MANIFEST_MAGIC {
            return Err(damaged(0, Damage::Magic));
        }
        let sum_fits = head.crc.get() == crc32c(&bytes[SUMMED_FROM..]);
        match head.version.get() {
            MANIFEST_VERSION => {}
            // A newer format keeps magic, sum and version where they are: so this is none of damage.
            found if found > MANIFEST_VERSION && sum_fits => {
                let (path, known) = (path.to_owned(), MANIFEST_VERSION);
                return Err(Error::NewerFormat { path, found, known });
            }
            _ => return Err(damaged(SUMMED_FROM, Damage::HeaderSum)),
        }
        if !sum_fits {
            return Err(damaged(8, Damage::HeaderSum));
        }
        let expected = HEAD as u64 + u64::from(head.count.get()) * LINE as u64;
        if bytes.len() as u64 != expected {
            return Err(damaged(0, Damage::Length { found: bytes.len() as u64, expected }));
        }
        if head.engine.get() != BITCASK || head.zero != [0; 8] {
            return Err(damaged(0, Damage::Field("engine or zero")));
        }
        let files: Vec<_> = lines
            .chunks_exact(LINE)
            .filter_map(|line| FileLine::read_from_bytes(line).ok())
            .map(|line| DataFileRecord {
                number: line.number.get(),
                len: line.len.get(),
                entries: line.entries.get(),
                crc: line.crc.get(),
            })
            .collect();
        let next_number = head.next_number.get();
        let ascending = files.windows(2).all(|pair| pair[0].number < pair[1].number);
        if !ascending || files.last().is_some_and(|last| last.number >= next_number) {
            return Err(damaged(HEAD, Damage::Field("number")));
        }
        let (store, keyspace) = (StoreId(head.store), head.keyspace.get());
        let checkpoint = Lsn(head.checkpoint.get());
        Ok(Self { store, keyspace, checkpoint, next_number, files })
    }
}

#[cfg(test)]
mod tests;
