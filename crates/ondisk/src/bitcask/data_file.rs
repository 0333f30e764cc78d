//! A data file: the values that one checkpoint took out of the young map, by ascending key.
//!
//! Invariant: a data file is written once, front to back, synced, and then named by a manifest;
//! after that it is never written again. Every byte of it is covered by a checksum.
//!
//! Knows nothing of the keydir and of manifests. The bytes are specified in
//! `docs/format/data.md`.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use ondisk_fs::{Access, File, FileSystem};
use ondisk_log::{Lsn, StoreId};
use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::bitcask::manifest::DataFileRecord;
use crate::checksum::{RunningSum, crc32c};
use crate::error::{Damage, Error};
use crate::handles::{Handles, LazyFile};

pub(crate) mod scan;

pub(crate) const DATA_MAGIC: [u8; 8] = *b"\xD1onddata";
pub(crate) const DATA_VERSION: u32 = 1;
const SUMMED_FROM: usize = 12;
const PUT: u8 = 1;
const TOMBSTONE: u8 = 2;
/// Bytes are handed to the file system in pieces of this size.
const WRITE_PIECE: usize = 256 << 10;

/// What a data file begins with.
/// ```text
///  0       8     12        16      32         36       40      48        56     64
///  ├ magic ┼ crc ┼ version ┼ store ┼ keyspace ┼ number ┼ after ┼ through ┼ zero ┤ entries …
///                └───────────────── crc covers from here to 64 ─────────────────┘
/// ```
/// The entries hold what the commits above `after` and up to `through` left.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct Header {
    magic: [u8; 8],
    crc: U32,
    version: U32,
    store: [u8; 16],
    keyspace: U32,
    number: U32,
    after: U64,
    through: U64,
    zero: [u8; 8],
}

/// What stands in front of each key and value.
/// ```text
///  0     4           8     16        20          24     25     28
///  ├ crc ┼ value_crc ┼ lsn ┼ key_len ┼ value_len ┼ kind ┼ zero ┤ key … │ value …
///        └──── crc covers from here to the end of the key ─────────────┘ └ value_crc
/// ```
/// A tombstone says that a key is gone which an older file may hold; it has no value, and zero
/// for its sum.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct EntryHead {
    crc: U32,
    value_crc: U32,
    lsn: U64,
    key_len: U32,
    value_len: U32,
    kind: u8,
    zero: [u8; 3],
}

pub(crate) const HEADER: usize = size_of::<Header>();
pub(crate) const ENTRY_HEAD: usize = size_of::<EntryHead>();
const _: () = assert!(HEADER == 64 && std::mem::offset_of!(Header, after) == 40);
const _: () = assert!(ENTRY_HEAD == 28 && std::mem::offset_of!(EntryHead, key_len) == 16);
const ENTRY_SUMMED_FROM: usize = 4;

/// What makes a data file this one and no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) store: StoreId,
    pub(crate) keyspace: u32,
    pub(crate) number: u32,
}

/// The LSNs of the commits that a data file's entries come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    /// All are above this.
    pub(crate) after: Lsn,
    /// None is above this.
    pub(crate) through: Lsn,
}

impl Span {
    /// What a manifest of version 1 says.
    pub(crate) const UNKNOWN: Self = Self { after: Lsn(0), through: Lsn(0) };
}

/// Where an entry stands, and what must be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) file: u32,
    pub(crate) value_len: u32,
    pub(crate) offset: u64,
    pub(crate) lsn: Lsn,
}

/// Whether checksums are compared. They always are, but for a suite that shows that it would
/// notice otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Sums {
    #[default]
    Checked,
    Ignored,
}

impl Sums {
    fn fits(self, stated: U32, computed: u32) -> bool {
        self == Self::Ignored || stated.get() == computed
    }
}

/// The name of a data file in its keyspace's directory.
pub(crate) fn file_name(number: u32) -> String {
    format!("{number:010}.data")
}

/// The number in a data file's name; `None` for other names.
pub(crate) fn file_number(name: &str) -> Option<u32> {
    let digits = name.strip_suffix(".data")?;
    let number = digits.parse().ok()?;
    (file_name(number) == name).then_some(number)
}

impl Header {
    fn new(identity: Identity, span: Span) -> Self {
        let mut header = Self {
            magic: DATA_MAGIC,
            crc: U32::ZERO,
            version: U32::new(DATA_VERSION),
            store: identity.store.0,
            keyspace: U32::new(identity.keyspace),
            number: U32::new(identity.number),
            after: U64::new(span.after.0),
            through: U64::new(span.through.0),
            zero: [0; 8],
        };
        header.crc = U32::new(crc32c(&header.as_bytes()[SUMMED_FROM..]));
        header
    }

    /// Reads bytes that nobody vouches for.
    fn decode(path: &Path, bytes: &[u8], sums: Sums) -> Result<(Identity, Span), Error> {
        let damaged = |offset, damage| Error::damaged(path, offset, damage);
        let Ok((header, _)) = Self::read_from_prefix(bytes) else {
            let (found, expected) = (bytes.len() as u64, HEADER as u64);
            return Err(damaged(0, Damage::Length { found, expected }));
        };
        if header.magic != DATA_MAGIC {
            return Err(damaged(0, Damage::Magic));
        }
        if !sums.fits(header.crc, crc32c(&header.as_bytes()[SUMMED_FROM..])) {
            return Err(damaged(8, Damage::HeaderSum));
        }
        let (found, known) = (header.version.get(), DATA_VERSION);
        if found > known {
            return Err(Error::NewerFormat { path: path.to_owned(), found, known });
        }
        if found != known || header.zero != [0; 8] {
            return Err(damaged(12, Damage::Field("version or zero")));
        }
        let (store, keyspace) = (StoreId(header.store), header.keyspace.get());
        let identity = Identity { store, keyspace, number: header.number.get() };
        let (after, through) = (Lsn(header.after.get()), Lsn(header.through.get()));
        Ok((identity, Span { after, through }))
    }
}

/// A data file that is being written. Nothing reads it yet, and no manifest names it.
#[derive(Debug)]
pub(crate) struct DataWriter {
    path: PathBuf,
    number: u32,
    file: Arc<dyn File>,
    pending: Vec<u8>,
    /// How many bytes the file has taken; `pending` follows.
    written: u64,
    sum: RunningSum,
    entries: u64,
    span: Span,
}

impl DataWriter {
    /// Makes the file; its name is not durable yet.
    pub(crate) fn create(
        fs: &dyn FileSystem,
        dir: &Path,
        identity: Identity,
        span: Span,
    ) -> Result<Self, Error> {
        let path = dir.join(file_name(identity.number));
        let file = fs.create_new(&path).map_err(Error::io(&path, "create the data file"))?;
        let pending = Header::new(identity, span).as_bytes().to_vec();
        let (number, sum) = (identity.number, RunningSum::new());
        Ok(Self { path, number, file, pending, written: 0, sum, entries: 0, span })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The bytes of the file so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.written + self.pending.len() as u64
    }

    /// Appends an entry; `None` is a tombstone. Keys come in ascending order. The bytes may stay
    /// in memory until [`finish`](Self::finish).
    pub(crate) fn push(
        &mut self,
        lsn: Lsn,
        key: &[u8],
        value: Option<&[u8]>,
    ) -> Result<Place, Error> {
        let len = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(u32::MAX); // commits are shorter
        let body = value.unwrap_or_default();
        let mut head = EntryHead {
            crc: U32::ZERO,
            value_crc: U32::new(value.map_or(0, crc32c)),
            lsn: U64::new(lsn.0),
            key_len: U32::new(len(key)),
            value_len: U32::new(len(body)),
            kind: if value.is_some() { PUT } else { TOMBSTONE },
            zero: [0; 3],
        };
        let (file, offset) = (self.number, self.bytes());
        let place = Place { file, value_len: len(body), offset, lsn };
        let start = self.pending.len();
        self.pending.extend_from_slice(head.as_bytes());
        self.pending.extend_from_slice(key);
        head.crc = U32::new(crc32c(&self.pending[start + ENTRY_SUMMED_FROM..]));
        self.pending[start..start + ENTRY_HEAD].copy_from_slice(head.as_bytes());
        self.pending.extend_from_slice(body);
        self.entries += 1;
        if self.pending.len() >= WRITE_PIECE {
            self.write_pending()?;
        }
        Ok(place)
    }

    /// Hands all bytes to the file system and makes them durable. The file's name is not, until
    /// its directory is synced.
    pub(crate) fn finish(mut self, sync: Sync) -> Result<(DataFileRecord, DataFile), Error> {
        self.write_pending()?;
        if sync == Sync::Done {
            self.file.sync_all().map_err(Error::io(&self.path, "sync the data file"))?;
        }
        let (number, len, crc) = (self.number, self.written, self.sum.finish());
        let (entries, span) = (self.entries, self.span);
        let record = DataFileRecord { number, len, entries, crc, span, hint_len: 0 };
        let (handle, sums) = (Handle::Open(self.file), Sums::Checked);
        let data = DataFile { path: self.path, handle, len, sums };
        Ok((record, data))
    }

    fn write_pending(&mut self) -> Result<(), Error> {
        let io = Error::io(&self.path, "write the data file");
        self.file.write_all_at(&self.pending, self.written).map_err(io)?;
        self.sum.update(&self.pending);
        self.written += self.pending.len() as u64;
        self.pending.clear();
        Ok(())
    }
}

/// Whether a data file is synced when it is finished. It always is, but for a suite that shows
/// that it would notice otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sync {
    Done,
    Skipped,
}

/// A data file that a manifest names.
#[derive(Debug)]
pub(crate) struct DataFile {
    path: PathBuf,
    handle: Handle,
    len: u64,
    sums: Sums,
}

/// How a data file is read.
#[derive(Debug)]
enum Handle {
    /// It is open for as long as it is held.
    Open(Arc<dyn File>),
    /// It is opened when it is needed.
    Lazy(Arc<LazyFile>),
}

impl DataFile {
    /// Opens a file and compares what it says of itself with what the manifest says of it.
    pub(crate) fn open(
        fs: &dyn FileSystem,
        dir: &Path,
        identity: Identity,
        record: DataFileRecord,
        sums: Sums,
    ) -> Result<(Self, Span), Error> {
        let path = dir.join(file_name(identity.number));
        let file = match fs.open(&path, Access::Read) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(Error::damaged(&path, 0, Damage::Missing));
            }
            other => other.map_err(Error::io(&path, "open the data file"))?,
        };
        let (found, expected) = (size(&path, &*file)?, record.len);
        if found != expected || expected < HEADER as u64 {
            let damage = Damage::Length { found, expected: expected.max(HEADER as u64) };
            return Err(Error::damaged(&path, found.min(expected), damage));
        }
        let (stated, span) = read_header(&path, &*file, sums)?;
        let differs = [
            (stated.store != identity.store).then_some("store"),
            (stated.keyspace != identity.keyspace).then_some("keyspace"),
            (stated.number != identity.number).then_some("number"),
        ];
        if let Some(field) = differs.into_iter().flatten().next() {
            return Err(Error::damaged(&path, 0, Damage::Elsewhere(field)));
        }
        Ok((Self { path, handle: Handle::Open(file), len: record.len, sums }, span))
    }

    /// Opens a file without a manifest: its length is what it is, its entries are not counted.
    pub(crate) fn open_alone(
        fs: &dyn FileSystem,
        path: &Path,
    ) -> Result<(Self, Identity, DataFileRecord, Span), Error> {
        let file = fs.open(path, Access::Read).map_err(Error::io(path, "open the data file"))?;
        let (len, sums) = (size(path, &*file)?, Sums::Checked);
        let (identity, span) = read_header(path, &*file, sums)?;
        let number = identity.number;
        let record = DataFileRecord { number, len, entries: 0, crc: 0, span, hint_len: 0 };
        let (path, handle) = (path.to_owned(), Handle::Open(file));
        Ok((Self { path, handle, len, sums }, identity, record, span))
    }

    /// Opens a file whatever it holds; its length.
    pub(crate) fn open_damaged(fs: &dyn FileSystem, path: &Path) -> Result<(Self, u64), Error> {
        let file = match fs.open(path, Access::Read) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(Error::damaged(path, 0, Damage::Missing));
            }
            other => other.map_err(Error::io(path, "open the data file"))?,
        };
        let (len, sums) = (size(path, &*file)?, Sums::Checked);
        let (path, handle) = (path.to_owned(), Handle::Open(file));
        Ok((Self { path, handle, len, sums }, len))
    }

    /// The same, open when it is needed.
    pub(crate) fn lazily(self, fs: &Arc<dyn FileSystem>, handles: &Arc<Handles>) -> Self {
        let handle = match self.handle {
            Handle::Open(file) => Handle::Lazy(handles.keep(fs, &self.path, file)),
            lazy @ Handle::Lazy(_) => lazy,
        };
        Self { handle, ..self }
    }

    fn with<T>(&self, body: impl FnOnce(&dyn File) -> io::Result<T>) -> io::Result<T> {
        match &self.handle {
            Handle::Open(file) => body(&**file),
            Handle::Lazy(file) => file.with(body),
        }
    }

    pub(crate) fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.with(|file| file.read_exact_at(bytes, offset))
    }

    /// What the file's header says.
    pub(crate) fn identity(&self, sums: Sums) -> Result<(Identity, Span), Error> {
        self.with(|file| Ok(read_header(&self.path, file, sums)))
            .unwrap_or_else(|source| Err(Error::io(&self.path, "open the data file")(source)))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// Whether the bytes of an entry are those that were meant: of this key, as of this place.
    pub(crate) fn check(&self, key: &[u8], place: Place, bytes: &[u8]) -> Result<(), Error> {
        let damaged = |damage| Error::damaged(&self.path, place.offset, damage);
        let body = ENTRY_HEAD + key.len();
        let (entry, value) = bytes.split_at(body.min(bytes.len()));
        let Ok((head, found)) = EntryHead::ref_from_prefix(entry) else {
            return Err(damaged(Damage::OtherEntry)); // the buffer is longer than a head
        };
        if !self.sums.fits(head.crc, crc32c(&entry[ENTRY_SUMMED_FROM..])) {
            return Err(damaged(Damage::EntrySum));
        }
        let same = head.lsn.get() == place.lsn.0 && head.value_len.get() == place.value_len;
        if found != key || !same {
            return Err(damaged(Damage::OtherEntry));
        }
        if !self.sums.fits(head.value_crc, crc32c(value)) {
            return Err(damaged(Damage::ValueSum));
        }
        Ok(())
    }

    /// Reads bytes that the file must have.
    pub(crate) fn read_range(&self, bytes: &mut [u8], offset: u64) -> Result<(), Error> {
        match self.read_at(bytes, offset) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                let size = self.with(|file| file.size());
                let found = size.map_err(Error::io(&self.path, "ask for the file's length"))?;
                let damage = Damage::Length { found, expected: self.len };
                Err(Error::damaged(&self.path, offset, damage))
            }
            other => other.map_err(Error::io(&self.path, "read the data file")),
        }
    }

    /// Reads the value of an entry, in one read, and verifies that it is the one that was meant.
    pub(crate) fn read(&self, key: &[u8], place: Place) -> Result<Bytes, Error> {
        let body = ENTRY_HEAD + key.len();
        let mut bytes = vec![0; body + place.value_len as usize];
        self.read_range(&mut bytes, place.offset)?;
        self.check(key, place, &bytes)?;
        Ok(Bytes::from(bytes).slice(body..))
    }
}

fn size(path: &Path, file: &dyn File) -> Result<u64, Error> {
    file.size().map_err(Error::io(path, "ask for the length of the data file"))
}

fn read_header(path: &Path, file: &dyn File, sums: Sums) -> Result<(Identity, Span), Error> {
    let mut bytes = [0; HEADER];
    match file.read_exact_at(&mut bytes, 0) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            let (found, expected) = (size(path, file)?, HEADER as u64);
            return Err(Error::damaged(path, 0, Damage::Length { found, expected }));
        }
        other => other.map_err(Error::io(path, "read the data file"))?,
    }
    Header::decode(path, &bytes, sums)
}

#[cfg(test)]
mod tests;
