//! The manifest: which data files a keyspace consists of, and up to which LSN they hold it.
//!
//! Invariant: a manifest that is installed names only files that are durable, name and all, and
//! no LSN above which the log is durable. It is only ever replaced as a whole.
//!
//! Knows nothing of what the data files hold. The bytes are specified in
//! `docs/format/manifest.md`.

use std::collections::BTreeSet;
use std::path::Path;

use ondisk_log::{Lsn, StoreId};
use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::bitcask::data_file::Span;
use crate::error::{Damage, Error};
use crate::sealed::{Seal, Sealed};

/// The name of a keyspace's manifest in its directory.
pub(crate) const MANIFEST: &str = "manifest";
/// The longest names more than a million files.
pub(crate) const SEALED: Sealed = Sealed { magic: *b"\xD1ondmani", version: 2, longest: 64 << 20 };
/// The version that said nothing of commit points, spans and hint files.
pub(crate) const FIRST_VERSION: u32 = 1;
/// The engine whose files these are.
const BITCASK: u32 = 1;

/// What stands in front of the list of files.
/// ```text
///  0       8     12        16       32         36       40           48            52      56      64
///  ├ magic ┼ crc ┼ version ┼ store ─┼ keyspace ┼ engine ┼ checkpoint ┼ next_number ┼ count ┼ edit ─┤ files …
///                └───────────────── crc covers from here to the end of the file ──────────────────── …
/// ```
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct ManifestHead {
    seal: Seal,
    store: [u8; 16],
    keyspace: U32,
    engine: U32,
    checkpoint: U64,
    next_number: U32,
    count: U32,
    edit: U64,
}

/// One data file. In version 1 a line ended behind `entries`.
/// ```text
///  0        4     8     16        24      32        40         48
///  ├ number ┼ crc ┼ len ┼ entries ┼ after ┼ through ┼ hint_len ┤
/// ```
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct FileLine {
    number: U32,
    crc: U32,
    len: U64,
    entries: U64,
    after: U64,
    through: U64,
    hint_len: U64,
}

const HEAD: usize = size_of::<ManifestHead>();
const LINE: usize = size_of::<FileLine>();
const _: () = assert!(HEAD == 64 && std::mem::offset_of!(ManifestHead, checkpoint) == 40);
const _: () = assert!(LINE == 48 && std::mem::offset_of!(FileLine, after) == FIRST_LINE);
/// The bytes of a line in version 1.
const FIRST_LINE: usize = 24;
/// The commit point of a keyspace whose manifest does not number it.
const FIRST_EDIT: u64 = 1;

/// What a manifest says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Manifest {
    /// In which it was read; it is always written in the newest.
    pub(crate) version: u32,
    pub(crate) store: StoreId,
    pub(crate) keyspace: u32,
    /// The files hold all commits up to this one, and none above.
    pub(crate) checkpoint: Lsn,
    /// How many manifests were put in place before, this one included; 0 for none.
    pub(crate) edit: u64,
    /// No data file has had this number yet, nor a higher one.
    pub(crate) next_number: u32,
    /// The data files, the one with the oldest commits first.
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
    /// The commits that its entries come from; unknown where a manifest of version 1 was read and
    /// the file was not.
    pub(crate) span: Span,
    /// Bytes of its hint file; 0 where it has none.
    pub(crate) hint_len: u64,
}

impl Manifest {
    /// That of a keyspace in which nothing was ever written.
    pub(crate) fn new(store: StoreId, keyspace: u32) -> Self {
        let (checkpoint, files) = (Lsn(0), Vec::new());
        let version = SEALED.version;
        Self { version, store, keyspace, checkpoint, edit: 0, next_number: 1, files }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let head = ManifestHead {
            seal: SEALED.seal(),
            store: self.store.0,
            keyspace: U32::new(self.keyspace),
            engine: U32::new(BITCASK),
            checkpoint: U64::new(self.checkpoint.0),
            next_number: U32::new(self.next_number),
            // There are fewer files than numbers for them, and those are 32 bits wide.
            count: U32::new(u32::try_from(self.files.len()).unwrap_or(u32::MAX)),
            edit: U64::new(self.edit),
        };
        let mut bytes = Vec::with_capacity(HEAD + self.files.len() * LINE);
        bytes.extend_from_slice(head.as_bytes());
        for file in &self.files {
            let line = FileLine {
                number: U32::new(file.number),
                crc: U32::new(file.crc),
                len: U64::new(file.len),
                entries: U64::new(file.entries),
                after: U64::new(file.span.after.0),
                through: U64::new(file.span.through.0),
                hint_len: U64::new(file.hint_len),
            };
            bytes.extend_from_slice(line.as_bytes());
        }
        Sealed::close(bytes)
    }

    /// Reads bytes that nobody vouches for. `path` is for the error to name.
    pub(crate) fn decode(path: &Path, bytes: &[u8]) -> Result<Self, Error> {
        let damaged = |offset: usize, damage| Error::damaged(path, offset as u64, damage);
        let version = SEALED.check(path, bytes)?;
        let Ok((head, lines)) = ManifestHead::read_from_prefix(bytes) else {
            let (found, expected) = (bytes.len() as u64, HEAD as u64);
            return Err(damaged(0, Damage::Length { found, expected }));
        };
        let line_len = if version == FIRST_VERSION { FIRST_LINE } else { LINE };
        let expected = HEAD as u64 + u64::from(head.count.get()) * line_len as u64;
        if bytes.len() as u64 != expected {
            return Err(damaged(0, Damage::Length { found: bytes.len() as u64, expected }));
        }
        if head.engine.get() != BITCASK {
            return Err(damaged(36, Damage::Field("engine")));
        }
        let edit = match (version, head.edit.get()) {
            (FIRST_VERSION, 0) => FIRST_EDIT,
            (_, edit) if version != FIRST_VERSION && edit > 0 => edit,
            _ => return Err(damaged(56, Damage::Field("edit"))),
        };
        let manifest = Self {
            version,
            store: StoreId(head.store),
            keyspace: head.keyspace.get(),
            checkpoint: Lsn(head.checkpoint.get()),
            edit,
            next_number: head.next_number.get(),
            files: lines.chunks_exact(line_len).filter_map(DataFileRecord::decode).collect(),
        };
        let sound = match version {
            FIRST_VERSION => manifest.numbers_ascend(),
            _ => manifest.numbers_differ() && manifest.spans_ascend(),
        };
        if sound { Ok(manifest) } else { Err(damaged(HEAD, Damage::Field("number or span"))) }
    }

    fn numbers_ascend(&self) -> bool {
        let ascending = self.files.windows(2).all(|pair| pair[0].number < pair[1].number);
        ascending && self.files.last().is_none_or(|last| last.number < self.next_number)
    }

    fn numbers_differ(&self) -> bool {
        let numbers: BTreeSet<_> = self.files.iter().map(|file| file.number).collect();
        let all_differ = numbers.len() == self.files.len();
        all_differ && numbers.last().is_none_or(|&last| last < self.next_number)
    }

    fn spans_ascend(&self) -> bool {
        let mut before = Lsn(0);
        self.files.iter().all(|file| {
            let Span { after, through } = file.span;
            let ascending = before <= after && after < through;
            before = through;
            ascending
        }) && before <= self.checkpoint
    }
}

impl DataFileRecord {
    /// Reads a line of either version.
    fn decode(line: &[u8]) -> Option<Self> {
        let mut whole = [0; LINE];
        whole.get_mut(..line.len())?.copy_from_slice(line);
        let line = FileLine::read_from_bytes(&whole).ok()?;
        Some(Self {
            number: line.number.get(),
            len: line.len.get(),
            entries: line.entries.get(),
            crc: line.crc.get(),
            span: Span { after: Lsn(line.after.get()), through: Lsn(line.through.get()) },
            hint_len: line.hint_len.get(),
        })
    }
}

#[cfg(test)]
mod tests;
