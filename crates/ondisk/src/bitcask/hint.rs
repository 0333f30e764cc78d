//! A hint file: the keys of one data file and where their values stand, so that an open need not
//! read the values.
//!
//! Invariant: a hint file is written with its data file, front to back, and synced before a
//! manifest names the two; after that it is never written again. It says nothing that the data
//! file does not say: whoever cannot read it reads that one.
//!
//! Knows nothing of the keydir and of manifests. The bytes are specified in
//! `docs/format/hint.md`.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ondisk_fs::{Access, File, FileSystem};
use ondisk_log::{Lsn, StoreId};
use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::bitcask::data_file::{ENTRY_HEAD, HEADER, Identity, Place, Span, Sums, Sync};
use crate::bitcask::manifest::DataFileRecord;
use crate::checksum::crc32c;
use crate::error::{Damage, Error};
use crate::limits::LONGEST_KEY;

pub(crate) const HINT_MAGIC: [u8; 8] = *b"\xD1ondhint";
pub(crate) const HINT_VERSION: u32 = 1;
const SUMMED_FROM: usize = 12;
/// A section takes entries until it has so many bytes.
const SECTION_BYTES: usize = 64 << 10;
/// The longest section that is ever written: its last entry may begin just inside.
const LONGEST_SECTION: usize = SECTION_BYTES + HINT_ENTRY + LONGEST_KEY;
/// In `key_len`: the entry is a tombstone.
const TOMBSTONE: u32 = 1 << 31;

/// What a hint file begins with.
/// ```text
///  0       8     12        16      32         36       40         48        56         60     64
///  ├ magic ┼ crc ┼ version ┼ store ┼ keyspace ┼ number ┼ data_len ┼ entries ┼ data_crc ┼ zero ┤ sections …
///                └───────────────────── crc covers from here to 64 ─────────────────────────┘
/// ```
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct Header {
    magic: [u8; 8],
    crc: U32,
    version: U32,
    store: [u8; 16],
    keyspace: U32,
    number: U32,
    data_len: U64,
    entries: U64,
    data_crc: U32,
    zero: [u8; 4],
}

/// What stands in front of some entries.
/// ```text
///  0     4     8      16
///  ├ crc ┼ len ┼ from ┤ entries …
///        └──── crc covers from here to the end of the section
/// ```
/// `from` is where the first of them stands in the data file: so a section is known in its place.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct SectionHead {
    crc: U32,
    len: U32,
    from: U64,
}

/// What stands in front of each key. Where the entry stands in the data file follows from the
/// lengths of those before it.
/// ```text
///  0     8           12        16
///  ├ lsn ┼ value_len ┼ key_len ┤ key …
/// ```
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct HintEntry {
    lsn: U64,
    value_len: U32,
    key_len: U32,
}

const HINT_HEADER: usize = size_of::<Header>();
const SECTION_HEAD: usize = size_of::<SectionHead>();
const HINT_ENTRY: usize = size_of::<HintEntry>();
const _: () = assert!(HINT_HEADER == 64 && std::mem::offset_of!(Header, data_crc) == 56);
const _: () = assert!(SECTION_HEAD == 16 && HINT_ENTRY == 16);

/// The name of a hint file in its keyspace's directory.
pub(crate) fn hint_name(number: u32) -> String {
    format!("{number:010}.hint")
}

/// The number in a hint file's name; `None` for other names.
pub(crate) fn hint_number(name: &str) -> Option<u32> {
    let number = name.strip_suffix(".hint")?.parse().ok()?;
    (hint_name(number) == name).then_some(number)
}

impl Header {
    fn new(identity: Identity, data: &DataFileRecord) -> Self {
        let mut header = Self {
            magic: HINT_MAGIC,
            crc: U32::ZERO,
            version: U32::new(HINT_VERSION),
            store: identity.store.0,
            keyspace: U32::new(identity.keyspace),
            number: U32::new(identity.number),
            data_len: U64::new(data.len),
            entries: U64::new(data.entries),
            data_crc: U32::new(data.crc),
            zero: [0; 4],
        };
        header.crc = U32::new(crc32c(&header.as_bytes()[SUMMED_FROM..]));
        header
    }

    /// Compares bytes that nobody vouches for with what must stand there: all of it is known.
    fn check(&self, identity: Identity, data: &DataFileRecord) -> Result<(), Damage> {
        let expected = Self::new(identity, data);
        if self.magic != expected.magic {
            return Err(Damage::Magic);
        }
        if self.crc.get() != crc32c(&self.as_bytes()[SUMMED_FROM..]) {
            return Err(Damage::HeaderSum);
        }
        if self.as_bytes() != expected.as_bytes() {
            return Err(Damage::Elsewhere("store, keyspace, number, version or data file"));
        }
        Ok(())
    }
}

/// A hint file that is being written, beside its data file.
#[derive(Debug)]
pub(crate) struct HintWriter {
    path: PathBuf,
    file: Arc<dyn File>,
    identity: Identity,
    section: Vec<u8>,
    /// Where the section's first entry stands in the data file.
    from: u64,
    written: u64,
}

impl HintWriter {
    /// Makes the file; its name is not durable yet.
    pub(crate) fn create(
        fs: &dyn FileSystem,
        dir: &Path,
        identity: Identity,
    ) -> Result<Self, Error> {
        let path = dir.join(hint_name(identity.number));
        let file = fs.create_new(&path).map_err(Error::io(&path, "create the hint file"))?;
        let section = vec![0; SECTION_HEAD];
        let (from, written) = (HEADER as u64, HINT_HEADER as u64);
        Ok(Self { path, file, identity, section, from, written })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The bytes of the file so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.written + self.section.len() as u64
    }

    /// Appends what the data file's next entry is.
    pub(crate) fn push(&mut self, key: &[u8], place: Place, kind: Kind) -> Result<(), Error> {
        let tombstone = if kind == Kind::Tombstone { TOMBSTONE } else { 0 };
        let key_len = u32::try_from(key.len()).unwrap_or(TOMBSTONE - 1); // keys are shorter
        let entry = HintEntry {
            lsn: U64::new(place.lsn.0),
            value_len: U32::new(place.value_len),
            key_len: U32::new(key_len | tombstone),
        };
        self.section.extend_from_slice(entry.as_bytes());
        self.section.extend_from_slice(key);
        if self.section.len() >= SECTION_BYTES {
            self.write_section(place.end(key.len()))?;
        }
        Ok(())
    }

    /// Writes what is left and the header, and makes all of it durable; the bytes of the file.
    /// Its name is not durable, until its directory is synced.
    pub(crate) fn finish(mut self, data: &DataFileRecord, sync: Sync) -> Result<u64, Error> {
        if self.section.len() > SECTION_HEAD {
            self.write_section(data.len)?;
        }
        let io = |source| Error::Io { path: self.path.clone(), op: "write the hint file", source };
        let header = Header::new(self.identity, data);
        self.file.write_all_at(header.as_bytes(), 0).map_err(io)?;
        if sync == Sync::Done {
            self.file.sync_all().map_err(Error::io(&self.path, "sync the hint file"))?;
        }
        Ok(self.written)
    }

    /// `next` is where the section behind this one begins in the data file.
    fn write_section(&mut self, next: u64) -> Result<(), Error> {
        let len = u32::try_from(self.section.len() - SECTION_HEAD).unwrap_or(u32::MAX);
        let mut head =
            SectionHead { crc: U32::ZERO, len: U32::new(len), from: U64::new(self.from) };
        self.section[..SECTION_HEAD].copy_from_slice(head.as_bytes());
        head.crc = U32::new(crc32c(&self.section[4..]));
        self.section[..SECTION_HEAD].copy_from_slice(head.as_bytes());
        let io = Error::io(&self.path, "write the hint file");
        self.file.write_all_at(&self.section, self.written).map_err(io)?;
        self.written += self.section.len() as u64;
        self.section.truncate(SECTION_HEAD);
        self.from = next;
        Ok(())
    }
}

/// Whether an entry puts a value or takes one away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Put,
    Tombstone,
}

/// What a hint file says of one entry of its data file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hint<'a> {
    pub(crate) key: &'a [u8],
    pub(crate) place: Place,
    pub(crate) kind: Kind,
}

/// Reads a hint file section by section. Memory is bounded by the longest section, whatever the
/// bytes say.
#[derive(Debug)]
pub(crate) struct HintReader {
    path: PathBuf,
    file: Arc<dyn File>,
    record: DataFileRecord,
    sums: Sums,
    /// Where the next section stands, in this file and in the data file.
    at: u64,
    from: u64,
    entries: u64,
    section: Vec<u8>,
}

impl HintReader {
    /// Opens the hint file that a manifest names beside a data file.
    pub(crate) fn open(
        fs: &dyn FileSystem,
        dir: &Path,
        identity: Identity,
        record: DataFileRecord,
        sums: Sums,
    ) -> Result<Self, Error> {
        let path = dir.join(hint_name(identity.number));
        let file = match fs.open(&path, Access::Read) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(Error::damaged(&path, 0, Damage::Missing));
            }
            other => other.map_err(Error::io(&path, "open the hint file"))?,
        };
        let found = size(&path, &*file)?;
        let expected = record.hint_len.max(HINT_HEADER as u64);
        if found != expected {
            return Err(Error::damaged(&path, 0, Damage::Length { found, expected }));
        }
        let checked = read_header(&path, &*file)?.check(identity, &record);
        if sums == Sums::Checked {
            checked.map_err(|damage| Error::damaged(&path, 0, damage))?;
        }
        Ok(Self::at_start(path, file, record, sums))
    }

    /// Opens a file without a manifest, and takes it at its word.
    pub(crate) fn open_alone(
        fs: &dyn FileSystem,
        path: &Path,
    ) -> Result<(Self, Identity, DataFileRecord), Error> {
        let file = fs.open(path, Access::Read).map_err(Error::io(path, "open the hint file"))?;
        let hint_len = size(path, &*file)?;
        if hint_len < HINT_HEADER as u64 {
            let damage = Damage::Length { found: hint_len, expected: HINT_HEADER as u64 };
            return Err(Error::damaged(path, 0, damage));
        }
        let header = read_header(path, &*file)?;
        let (store, keyspace) = (StoreId(header.store), header.keyspace.get());
        let (number, len) = (header.number.get(), header.data_len.get());
        let (entries, crc) = (header.entries.get(), header.data_crc.get());
        let identity = Identity { store, keyspace, number };
        let record = DataFileRecord { number, len, entries, crc, span: Span::UNKNOWN, hint_len };
        let (found, known) = (header.version.get(), HINT_VERSION);
        if found > known && header.crc.get() == crc32c(&header.as_bytes()[SUMMED_FROM..]) {
            return Err(Error::NewerFormat { path: path.to_owned(), found, known });
        }
        let checked = header.check(identity, &record);
        checked.map_err(|damage| Error::damaged(path, 0, damage))?;
        Ok((Self::at_start(path.to_owned(), file, record, Sums::Checked), identity, record))
    }

    fn at_start(path: PathBuf, file: Arc<dyn File>, record: DataFileRecord, sums: Sums) -> Self {
        let (at, from) = (HINT_HEADER as u64, HEADER as u64);
        Self { path, file, record, sums, at, from, entries: 0, section: Vec::new() }
    }

    /// The entries of the next section, or `None` behind the last, when all of the data file was
    /// told.
    pub(crate) fn next_section(&mut self) -> Result<Option<Vec<Hint<'_>>>, Error> {
        let at = self.at;
        let damaged = |path: &Path, damage| Error::damaged(path, at, damage);
        if at == self.record.hint_len {
            let (found, expected) = (self.entries, self.record.entries);
            if found != expected || self.from != self.record.len {
                return Err(damaged(&self.path, Damage::EntryCount { found, expected }));
            }
            return Ok(None);
        }
        let mut bytes = [0; SECTION_HEAD];
        self.read(&mut bytes, at)?;
        let head = SectionHead::read_from_bytes(&bytes)
            .map_err(|_| damaged(&self.path, Damage::EntrySum))?;
        let len = head.len.get() as usize;
        if len > LONGEST_SECTION {
            return Err(damaged(&self.path, Damage::EntrySum)); // never written
        }
        let mut section = std::mem::take(&mut self.section);
        section.resize(SECTION_HEAD + len, 0);
        self.read(&mut section, at)?;
        self.section = section;
        let fits = head.crc.get() == crc32c(&self.section[4..]) && head.from.get() == self.from;
        if !fits && self.sums == Sums::Checked {
            return Err(damaged(&self.path, Damage::EntrySum));
        }
        self.at += (SECTION_HEAD + len) as u64;
        let (number, end) = (self.record.number, self.record.len);
        let hints = decode(&self.section[SECTION_HEAD..], number, &mut self.from, end)
            .map_err(|field| damaged(&self.path, Damage::Field(field)))?;
        self.entries += hints.len() as u64;
        Ok(Some(hints))
    }

    fn read(&self, bytes: &mut [u8], at: u64) -> Result<(), Error> {
        let end = at.saturating_add(bytes.len() as u64);
        if end > self.record.hint_len {
            let damage = Damage::Length { found: self.record.hint_len, expected: end };
            return Err(Error::damaged(&self.path, at, damage));
        }
        self.file.read_exact_at(bytes, at).map_err(Error::io(&self.path, "read the hint file"))
    }
}

fn size(path: &Path, file: &dyn File) -> Result<u64, Error> {
    file.size().map_err(Error::io(path, "ask for the length of the hint file"))
}

fn read_header(path: &Path, file: &dyn File) -> Result<Header, Error> {
    let mut bytes = [0; HINT_HEADER];
    let read = file.read_exact_at(&mut bytes, 0);
    read.map_err(Error::io(path, "read the hint file"))?;
    Header::read_from_bytes(&bytes).map_err(|_| Error::damaged(path, 0, Damage::HeaderSum))
}

/// The entries of a section. `from` is where the first of them stands in the data file, which
/// ends at `end`, and moves behind the last.
fn decode<'a>(
    mut rest: &'a [u8],
    file: u32,
    from: &mut u64,
    end: u64,
) -> Result<Vec<Hint<'a>>, &'static str> {
    let mut hints = Vec::with_capacity(rest.len() / (HINT_ENTRY + 8));
    while !rest.is_empty() {
        let Ok((entry, behind)) = HintEntry::ref_from_prefix(rest) else { return Err("entry") };
        let (key_len, value_len) = (entry.key_len.get(), entry.value_len.get());
        let kind = if key_len & TOMBSTONE == 0 { Kind::Put } else { Kind::Tombstone };
        let Some((key, behind)) = behind.split_at_checked((key_len & !TOMBSTONE) as usize) else {
            return Err("key_len");
        };
        let place = Place { file, value_len, offset: *from, lsn: Lsn(entry.lsn.get()) };
        *from = place.end(key.len());
        if *from > end || (kind == Kind::Tombstone && value_len > 0) {
            return Err("value_len");
        }
        hints.push(Hint { key, place, kind });
        rest = behind;
    }
    Ok(hints)
}

impl Place {
    /// How many bytes the entry of a key takes.
    pub(crate) fn entry_len(self, key_len: usize) -> u64 {
        (ENTRY_HEAD + key_len) as u64 + u64::from(self.value_len)
    }

    /// Where the entry behind this one begins.
    pub(crate) fn end(self, key_len: usize) -> u64 {
        self.offset.saturating_add(self.entry_len(key_len))
    }
}

#[cfg(test)]
mod tests;
