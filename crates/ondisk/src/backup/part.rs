//! A part of a backup: a sorted run of one keyspace's entries, in frames that each carry a sum.
//!
//! Invariant: a reader gives out an entry only from a frame whose sum fits, and says at the end
//! whether the whole file is the one that the backup's list names. Memory is bounded by one frame,
//! and that by what the file really holds.
//!
//! Knows nothing of stores and engines. The bytes are specified in `docs/format/backup.md`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ondisk_fs::{Access, File, FileSystem};
use ondisk_log::{Lsn, StoreId};
use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::checksum::{RunningSum, crc32c};
use crate::error::{Damage, Error};

pub(crate) const PART_MAGIC: [u8; 8] = *b"\xD1ondpart";
const VERSION: u32 = 1;
/// A frame is written when it holds so much.
const FRAME: usize = 64 << 10;
/// The length of a value that says: the key is gone.
const GONE: u32 = u32::MAX;
const SUMMED_FROM: usize = 12;

/// What stands in front of a part.
/// ```text
///  0       8     12        16      32    40       44     48         52     64
///  ├ magic ┼ crc ┼ version ┼ store ┼ lsn ┼ backup ┼ part ┼ keyspace ┼ zero ┤ frames …
///                └────────────── crc covers from here to 64 ───────────────┘
/// ```
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct Head {
    magic: [u8; 8],
    crc: U32,
    version: U32,
    store: [u8; 16],
    lsn: U64,
    backup: U32,
    part: U32,
    keyspace: U32,
    zero: [u8; 12],
}

/// What stands in front of a frame.
/// ```text
///  0     4     8         12     16       24
///  ├ crc ┼ len ┼ entries ┼ part ┼ offset ┤ entries …
///        └── crc covers from here to the frame's end ─ …
/// ```
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct FrameHead {
    crc: U32,
    len: U32,
    entries: U32,
    part: U32,
    offset: U64,
}

/// What stands in front of an entry's key and value.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct EntryHead {
    key_len: U32,
    value_len: U32,
}

const HEAD: usize = size_of::<Head>();
const FRAME_HEAD: usize = size_of::<FrameHead>();
const ENTRY_HEAD: usize = size_of::<EntryHead>();
const _: () = assert!(HEAD == 64 && std::mem::offset_of!(Head, backup) == 40);
const _: () = assert!(FRAME_HEAD == 24 && ENTRY_HEAD == 8);

/// Whether the sums of what is read are compared. They always are, but for a suite that shows that
/// it would notice otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sums {
    Checked,
    Ignored,
}

/// Which part a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) store: StoreId,
    /// The commit that the backup is of.
    pub(crate) lsn: Lsn,
    /// The backup's number in its chain, from 1.
    pub(crate) backup: u32,
    /// The part's number in its backup, from 1.
    pub(crate) part: u32,
    pub(crate) keyspace: u32,
}

/// What a backup's list says of a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PartRecord {
    pub(crate) number: u32,
    pub(crate) keyspace: u32,
    /// Over the whole file.
    pub(crate) crc: u32,
    pub(crate) bytes: u64,
    /// Entries, those that say that a key is gone included.
    pub(crate) entries: u64,
    pub(crate) tombstones: u64,
}

impl Identity {
    fn head(self) -> Head {
        let mut head = Head {
            magic: PART_MAGIC,
            crc: U32::ZERO,
            version: U32::new(VERSION),
            store: self.store.0,
            lsn: U64::new(self.lsn.0),
            backup: U32::new(self.backup),
            part: U32::new(self.part),
            keyspace: U32::new(self.keyspace),
            zero: [0; 12],
        };
        head.crc = U32::new(crc32c(&head.as_bytes()[SUMMED_FROM..]));
        head
    }

    /// Where the part stands in the directory of its backups.
    pub(crate) fn path(self, dir: &Path) -> PathBuf {
        dir.join(format!("{:06}-{:06}.part", self.backup, self.part))
    }
}

/// Writes a part, entry by entry.
#[derive(Debug)]
pub(crate) struct PartWriter {
    file: Arc<dyn File>,
    path: PathBuf,
    identity: Identity,
    at: u64,
    frame: Vec<u8>,
    in_frame: u32,
    sum: RunningSum,
    entries: u64,
    tombstones: u64,
}

impl PartWriter {
    /// Begins a part; what a backup that was cut left under its name goes.
    pub(crate) fn create(
        fs: &dyn FileSystem,
        dir: &Path,
        identity: Identity,
    ) -> Result<Self, Error> {
        let path = identity.path(dir);
        match fs.remove(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            other => other.map_err(Error::io(&path, "remove what a cut backup left"))?,
        }
        let file = fs.create_new(&path).map_err(Error::io(&path, "make a part of the backup"))?;
        let (frame, sum) = (vec![0; FRAME_HEAD], RunningSum::new());
        let (at, in_frame, entries, tombstones) = (0, 0, 0, 0);
        let mut part = Self { file, path, identity, at, frame, in_frame, sum, entries, tombstones };
        part.write(identity.head().as_bytes())?;
        Ok(part)
    }

    /// Adds an entry; without a value it says that the key is gone. Keys come in ascending order.
    pub(crate) fn push(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), Error> {
        let too_long = || Error::ValueTooLarge {
            len: value.map_or(0, <[u8]>::len),
            limit: (u32::MAX >> 1) as usize,
        };
        let len = |bytes: &[u8]| u32::try_from(bytes.len()).ok().filter(|len| *len < GONE >> 1);
        let key_len = len(key).ok_or_else(too_long)?;
        let value_len = value.map_or(Some(GONE), len).ok_or_else(too_long)?;
        let head = EntryHead { key_len: U32::new(key_len), value_len: U32::new(value_len) };
        self.frame.extend_from_slice(head.as_bytes());
        self.frame.extend_from_slice(key);
        self.frame.extend_from_slice(value.unwrap_or_default());
        self.in_frame += 1;
        self.entries += 1;
        self.tombstones += u64::from(value.is_none());
        if self.frame.len() >= FRAME { self.end_frame() } else { Ok(()) }
    }

    /// Bytes so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.at + self.frame.len() as u64
    }

    /// Ends the part, durably but for its name.
    pub(crate) fn finish(mut self) -> Result<PartRecord, Error> {
        self.end_frame()?;
        self.file.sync_all().map_err(Error::io(&self.path, "sync a part of the backup"))?;
        Ok(self.record())
    }

    /// Ends the part, and does not sync it: the canary's way.
    pub(crate) fn finish_unsynced(mut self) -> Result<PartRecord, Error> {
        self.end_frame()?;
        Ok(self.record())
    }

    fn record(&self) -> PartRecord {
        PartRecord {
            number: self.identity.part,
            keyspace: self.identity.keyspace,
            crc: self.sum.finish(),
            bytes: self.at,
            entries: self.entries,
            tombstones: self.tombstones,
        }
    }

    fn end_frame(&mut self) -> Result<(), Error> {
        if self.in_frame == 0 {
            return Ok(());
        }
        let mut frame = std::mem::take(&mut self.frame);
        let mut head = FrameHead {
            crc: U32::ZERO,
            // An entry is at most twice half of what these 32 bits count.
            len: U32::new(u32::try_from(frame.len() - FRAME_HEAD).unwrap_or(u32::MAX)),
            entries: U32::new(self.in_frame),
            part: U32::new(self.identity.part),
            offset: U64::new(self.at),
        };
        frame[..FRAME_HEAD].copy_from_slice(head.as_bytes());
        head.crc = U32::new(crc32c(&frame[4..]));
        frame[..FRAME_HEAD].copy_from_slice(head.as_bytes());
        self.write(&frame)?;
        frame.truncate(FRAME_HEAD);
        frame.shrink_to(2 * FRAME); // a large value need not stay in memory
        self.frame = frame;
        self.in_frame = 0;
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let written = self.file.write_all_at(bytes, self.at);
        written.map_err(Error::io(&self.path, "write a part of the backup"))?;
        self.sum.update(bytes);
        self.at += bytes.len() as u64;
        Ok(())
    }
}

/// Reads a part, entry by entry. It stands before the first until it is advanced.
#[derive(Debug)]
pub(crate) struct PartReader {
    file: Arc<dyn File>,
    path: PathBuf,
    record: PartRecord,
    /// Whether the record is a list's, that the file must be as.
    listed: bool,
    sums: Sums,
    /// Where the frame that is read begins, and where the next one does.
    frame_at: u64,
    at: u64,
    frame: Vec<u8>,
    /// Where in the frame the next entry begins, and how many are left in it.
    next: usize,
    left: u32,
    key: std::ops::Range<usize>,
    value: Option<std::ops::Range<usize>>,
    /// The last key of the frame before.
    last: Vec<u8>,
    sum: RunningSum,
    entries: u64,
    tombstones: u64,
}

impl PartReader {
    pub(crate) fn open(
        fs: &dyn FileSystem,
        dir: &Path,
        identity: Identity,
        record: PartRecord,
    ) -> Result<Self, Error> {
        let path = identity.path(dir);
        let (file, found, head) = open_head(fs, &path)?;
        if found != record.bytes {
            let expected = record.bytes;
            return Err(Error::damaged(&path, 0, Damage::Length { found, expected }));
        }
        let expected = identity.head();
        let field = [
            ("store", head.store == expected.store),
            ("lsn", head.lsn == expected.lsn),
            ("backup", head.backup == expected.backup),
            ("part", head.part == expected.part),
            ("keyspace", head.keyspace == expected.keyspace),
        ];
        if let Some((field, _)) = field.into_iter().find(|(_, same)| !same) {
            return Err(Error::damaged(&path, 0, Damage::Elsewhere(field)));
        }
        Ok(Self { listed: true, ..Self::begin(file, path, record, &head) })
    }

    /// The same reader, which compares sums or not.
    pub(crate) fn comparing(self, sums: Sums) -> Self {
        Self { sums, ..self }
    }

    /// Opens a file as the part that it says it is, without a list.
    pub(crate) fn open_alone(fs: &dyn FileSystem, path: &Path) -> Result<(Self, Identity), Error> {
        let (file, bytes, head) = open_head(fs, path)?;
        let identity = Identity {
            store: StoreId(head.store),
            lsn: Lsn(head.lsn.get()),
            backup: head.backup.get(),
            part: head.part.get(),
            keyspace: head.keyspace.get(),
        };
        let (number, keyspace) = (identity.part, identity.keyspace);
        let record = PartRecord { number, keyspace, crc: 0, bytes, entries: 0, tombstones: 0 };
        Ok((Self::begin(file, path.to_owned(), record, &head), identity))
    }

    fn begin(file: Arc<dyn File>, path: PathBuf, record: PartRecord, head: &Head) -> Self {
        let mut sum = RunningSum::new();
        sum.update(head.as_bytes());
        Self {
            file,
            path,
            record,
            listed: false,
            sums: Sums::Checked,
            frame_at: 0,
            at: HEAD as u64,
            frame: Vec::new(),
            next: 0,
            left: 0,
            key: 0..0,
            value: None,
            last: Vec::new(),
            sum,
            entries: 0,
            tombstones: 0,
        }
    }

    /// Goes to the next entry; `false` behind the last, when the whole file is what it should be.
    pub(crate) fn advance(&mut self) -> Result<bool, Error> {
        let first = self.left == 0;
        if first {
            self.last.clear();
            self.last.extend_from_slice(&self.frame[self.key.clone()]);
            if self.at == self.record.bytes {
                return self.check_end().map(|()| false);
            }
            self.read_frame()?;
        }
        let before = self.key.clone();
        self.read_entry()?;
        let before = if first { &self.last[..] } else { &self.frame[before] };
        if self.entries > 0 && before >= self.key() {
            return Err(self.damaged(Damage::Order));
        }
        self.entries += 1;
        self.tombstones += u64::from(self.value.is_none());
        Ok(true)
    }

    /// The key of the entry.
    pub(crate) fn key(&self) -> &[u8] {
        &self.frame[self.key.clone()]
    }

    /// The value of the entry; `None` when it says that the key is gone.
    pub(crate) fn value(&self) -> Option<&[u8]> {
        Some(&self.frame[self.value.clone()?])
    }

    fn read_frame(&mut self) -> Result<(), Error> {
        self.frame_at = self.at;
        let io = Error::io(&self.path, "read a part of the backup");
        let left = usize::try_from(self.record.bytes - self.at).unwrap_or(usize::MAX);
        if left < FRAME_HEAD {
            return Err(self.damaged(Damage::Field("len")));
        }
        self.frame.resize(FRAME_HEAD, 0);
        self.file.read_exact_at(&mut self.frame, self.at).map_err(io)?;
        let head = FrameHead::read_from_bytes(&self.frame[..]);
        let head = head.map_err(|_| self.damaged(Damage::Field("len")))?;
        let len = head.len.get() as usize;
        if len > left - FRAME_HEAD {
            return Err(self.damaged(Damage::Field("len")));
        }
        let io = Error::io(&self.path, "read a part of the backup");
        self.frame.resize(FRAME_HEAD + len, 0);
        let at = self.at + FRAME_HEAD as u64;
        self.file.read_exact_at(&mut self.frame[FRAME_HEAD..], at).map_err(io)?;
        if self.sums == Sums::Checked && crc32c(&self.frame[4..]) != head.crc.get() {
            return Err(self.damaged(Damage::BlockSum));
        }
        if head.part.get() != self.record.number || head.offset.get() != self.at {
            return Err(self.damaged(Damage::Elsewhere("place")));
        }
        if head.entries.get() == 0 {
            return Err(self.damaged(Damage::Field("entries")));
        }
        self.sum.update(&self.frame);
        self.at += self.frame.len() as u64;
        (self.next, self.left) = (FRAME_HEAD, head.entries.get());
        Ok(())
    }

    fn read_entry(&mut self) -> Result<(), Error> {
        let rest = self.frame.get(self.next..).unwrap_or_default();
        let Ok((head, rest)) = EntryHead::read_from_prefix(rest) else {
            return Err(self.damaged(Damage::Field("entries")));
        };
        let gone = head.value_len.get() == GONE;
        let key_len = head.key_len.get() as usize;
        let value_len = if gone { 0 } else { head.value_len.get() as usize };
        if key_len.checked_add(value_len).is_none_or(|len| len > rest.len()) {
            return Err(self.damaged(Damage::Field("key_len or value_len")));
        }
        let key = self.next + ENTRY_HEAD;
        let value = key + key_len;
        self.key = key..value;
        self.value = (!gone).then_some(value..value + value_len);
        self.next = value + value_len;
        self.left -= 1;
        if self.left == 0 && self.next != self.frame.len() {
            return Err(self.damaged(Damage::Field("entries")));
        }
        Ok(())
    }

    fn check_end(&self) -> Result<(), Error> {
        if !self.listed {
            return Ok(());
        }
        let damaged = |damage| Err(Error::damaged(&self.path, 0, damage));
        if self.sums == Sums::Checked && self.sum.finish() != self.record.crc {
            return damaged(Damage::FileSum);
        }
        let (found, expected) = (self.entries, self.record.entries);
        if found != expected {
            return damaged(Damage::EntryCount { found, expected });
        }
        let (found, expected) = (self.tombstones, self.record.tombstones);
        if found != expected { damaged(Damage::EntryCount { found, expected }) } else { Ok(()) }
    }

    fn damaged(&self, damage: Damage) -> Error {
        Error::damaged(&self.path, self.frame_at, damage)
    }
}

/// Opens a part: its length, and its head, which is whole.
fn open_head(fs: &dyn FileSystem, path: &Path) -> Result<(Arc<dyn File>, u64, Head), Error> {
    let damaged = |damage| Err(Error::damaged(path, 0, damage));
    let file = match fs.open(path, Access::Read) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return damaged(Damage::Missing);
        }
        other => other.map_err(Error::io(path, "open a part of the backup"))?,
    };
    let found = file.size().map_err(Error::io(path, "ask for the length of a part"))?;
    if found < HEAD as u64 {
        return damaged(Damage::Length { found, expected: HEAD as u64 });
    }
    let mut bytes = [0; HEAD];
    file.read_exact_at(&mut bytes, 0).map_err(Error::io(path, "read a part's head"))?;
    let Ok(head) = Head::read_from_bytes(&bytes) else { return damaged(Damage::Field("head")) };
    if head.magic != PART_MAGIC {
        return damaged(Damage::Magic);
    }
    if head.crc.get() != crc32c(&bytes[SUMMED_FROM..]) {
        return damaged(Damage::HeaderSum);
    }
    if head.version.get() > VERSION {
        let (found, known) = (head.version.get(), VERSION);
        return Err(Error::NewerFormat { path: path.to_owned(), found, known });
    }
    if head.version.get() != VERSION || head.zero != [0; 12] {
        return damaged(Damage::Field("version or zero"));
    }
    Ok((file, found, head))
}

#[cfg(test)]
mod tests;
