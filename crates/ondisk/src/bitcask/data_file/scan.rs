//! Reads a data file from front to back: bytes that nobody vouches for become entries.
//!
//! Invariant: an entry is given out only when its head and key fit their checksum, its key is
//! above the one before, and its LSN belongs to this file. Memory is bounded by the window and
//! the longest key, whatever the bytes say.

use std::borrow::Borrow;

use ondisk_log::Lsn;
use zerocopy::FromBytes;
use zerocopy::little_endian::U32;

use super::{
    DataFile, ENTRY_HEAD, ENTRY_SUMMED_FROM, EntryHead, HEADER, PUT, Place, Span, TOMBSTONE,
};
use crate::bitcask::manifest::DataFileRecord;
use crate::checksum::{RunningSum, crc32c};
use crate::error::{Damage, Error};
use crate::limits::LONGEST_KEY;

/// How much of the file is held in memory at once, in bytes. Longer values are passed over.
const WINDOW: usize = 256 << 10;

/// What a device fails to read at once, in bytes.
const SECTOR: u64 = 512;

/// How thoroughly a file is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Depth {
    /// Heads and keys: what the keydir needs. A value is verified when it is read.
    Keys,
    /// Every byte.
    All,
}

/// A walk through the entries of a data file.
#[derive(Debug)]
pub(crate) struct Scan<D> {
    data: D,
    record: DataFileRecord,
    span: Span,
    depth: Depth,
    at: u64,
    entries: u64,
    window: Window,
    key: Vec<u8>,
    sum: RunningSum,
    /// The value of the entry given out last: where it stands, and its sum.
    value: Option<(u64, U32)>,
    ordered: Ordered,
}

/// Where the next key must stand in the order of keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ordered {
    /// Anywhere: it is the first, or damage stood before it.
    FromHere,
    /// Behind the one before.
    BehindKey,
}

/// One entry of a data file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Entry<'a> {
    pub(crate) key: &'a [u8],
    pub(crate) place: Place,
    /// The entry says that the key is gone.
    pub(crate) tombstone: bool,
}

impl<D: Borrow<DataFile>> Scan<D> {
    pub(crate) fn new(data: D, record: DataFileRecord, span: Span, depth: Depth) -> Self {
        Self {
            data,
            record,
            span,
            depth,
            at: HEADER as u64,
            entries: 0,
            window: Window { len: record.len, bytes: Vec::new(), start: 0 },
            key: Vec::new(),
            sum: RunningSum::new(),
            value: None,
            ordered: Ordered::FromHere,
        }
    }

    /// Where the next entry begins.
    pub(crate) fn place(&self) -> u64 {
        self.at
    }

    /// The next entry, or `None` behind the last. After an error that names a value the walk can
    /// go on.
    pub(crate) fn next(&mut self) -> Result<Option<Entry<'_>>, Error> {
        let data = self.data.borrow();
        self.value = None;
        if self.at == HEADER as u64 && self.depth == Depth::All {
            self.sum.update(self.window.get(data, 0, HEADER)?);
        }
        if self.at == self.record.len {
            return self.end().map(|()| None);
        }
        let offset = self.at;
        let damaged = |damage| Error::damaged(&data.path, offset, damage);
        let head = EntryHead::read_from_bytes(self.window.get(data, offset, ENTRY_HEAD)?)
            .map_err(|_| damaged(Damage::EntrySum))?;
        let key_len = head.key_len.get() as usize;
        if key_len > LONGEST_KEY {
            return Err(damaged(Damage::EntrySum)); // never written, so the sum cannot fit either
        }
        let summed = self.window.get(data, offset, ENTRY_HEAD + key_len)?;
        if !data.sums.fits(head.crc, crc32c(&summed[ENTRY_SUMMED_FROM..])) {
            return Err(damaged(Damage::EntrySum));
        }
        check_fields(&head, self.span).map_err(|field| damaged(Damage::Field(field)))?;
        let key = &summed[ENTRY_HEAD..];
        if self.ordered == Ordered::BehindKey && *key <= self.key[..] {
            return Err(damaged(Damage::Order));
        }
        let value_at = offset + (ENTRY_HEAD + key_len) as u64;
        let value_len = head.value_len.get();
        let end = value_at + u64::from(value_len);
        if end > self.record.len {
            let damage = Damage::Length { found: self.record.len, expected: end };
            return Err(damaged(damage));
        }
        self.key.clear();
        self.key.extend_from_slice(key);
        self.ordered = Ordered::BehindKey;
        self.entries += 1;
        self.at = end;
        self.value = Some((value_at, head.value_crc));
        if self.depth == Depth::All {
            self.verify_value(&head, offset, value_at)?;
        }
        let lsn = Lsn(head.lsn.get());
        let place = Place { file: self.record.number, value_len, offset, lsn };
        Ok(Some(Entry { key: &self.key, place, tombstone: head.kind == TOMBSTONE }))
    }

    /// Appends the value of the entry that was given out last to a buffer, verified.
    pub(crate) fn read_value(&mut self, into: &mut Vec<u8>) -> Result<(), Error> {
        let data = self.data.borrow();
        let Some((value_at, sum)) = self.value else { return Ok(()) };
        let (start, mut at) = (into.len(), value_at);
        while at < self.at {
            let piece = usize::try_from(self.at - at).unwrap_or(usize::MAX).min(WINDOW);
            into.extend_from_slice(self.window.get(data, at, piece)?);
            at += piece as u64;
        }
        if !data.sums.fits(sum, crc32c(&into[start..])) {
            return Err(Error::damaged(&data.path, value_at, Damage::ValueSum));
        }
        Ok(())
    }

    /// Goes on at an offset, whatever stood before.
    pub(crate) fn skip_to(&mut self, at: u64) {
        self.at = at;
        self.value = None;
        self.key.clear();
        self.ordered = Ordered::FromHere;
    }

    /// The first offset at or behind one at which an entry of this file stands, as far as its own
    /// sum says; the end of the file where none does. What cannot be read is passed over.
    pub(crate) fn find_entry(&mut self, from: u64) -> u64 {
        let data = self.data.borrow();
        let mut at = from;
        while at + ENTRY_HEAD as u64 <= self.record.len {
            match look(data, &mut self.window, self.span, at) {
                Ok(true) => return at,
                Ok(false) => at += 1,
                Err(_) => at = (at / SECTOR + 1) * SECTOR,
            }
        }
        self.record.len
    }

    fn verify_value(&mut self, head: &EntryHead, offset: u64, value_at: u64) -> Result<(), Error> {
        let data = self.data.borrow();
        let head_len = ENTRY_HEAD + head.key_len.get() as usize;
        self.sum.update(self.window.get(data, offset, head_len)?);
        let mut value_sum = RunningSum::new();
        let mut at = value_at;
        while at < self.at {
            let piece = usize::try_from(self.at - at).unwrap_or(usize::MAX).min(WINDOW);
            let bytes = self.window.get(data, at, piece)?;
            self.sum.update(bytes);
            value_sum.update(bytes);
            at += piece as u64;
        }
        if head.kind == PUT && !data.sums.fits(head.value_crc, value_sum.finish()) {
            return Err(Error::damaged(&data.path, offset, Damage::ValueSum));
        }
        Ok(())
    }

    fn end(&self) -> Result<(), Error> {
        let path = &self.data.borrow().path;
        let (found, expected) = (self.entries, self.record.entries);
        if found != expected {
            let damage = Damage::EntryCount { found, expected };
            return Err(Error::damaged(path, self.at, damage));
        }
        if self.depth == Depth::All && self.sum.finish() != self.record.crc {
            return Err(Error::damaged(path, 0, Damage::FileSum));
        }
        Ok(())
    }
}

/// The piece of a data file that is held in memory.
#[derive(Debug)]
struct Window {
    /// Of the file.
    len: u64,
    bytes: Vec<u8>,
    /// Where in the file `bytes` begin.
    start: u64,
}

impl Window {
    /// So many bytes at an offset, all inside the file.
    fn get(&mut self, data: &DataFile, at: u64, len: usize) -> Result<&[u8], Error> {
        let path = &data.path;
        let end = at.saturating_add(len as u64);
        if end > self.len {
            let damage = Damage::Length { found: self.len, expected: end };
            return Err(Error::damaged(path, at, damage));
        }
        if at < self.start || end > self.start + self.bytes.len() as u64 {
            let left = usize::try_from(self.len - at).unwrap_or(usize::MAX);
            self.bytes.resize(len.max(WINDOW).min(left), 0);
            self.start = at;
            let mut read = data.read_at(&mut self.bytes, at);
            if read.is_err() {
                // What was asked for may be readable, and what follows it not.
                self.bytes.truncate(len);
                read = data.read_at(&mut self.bytes, at);
            }
            if let Err(error) = read {
                self.bytes.clear();
                return Err(Error::io(path, "read the data file")(error));
            }
        }
        let start = usize::try_from(at - self.start).unwrap_or(usize::MAX);
        Ok(self.bytes.get(start..start + len).unwrap_or_default())
    }
}

/// Whether an entry of a file of this span stands at an offset.
fn look(data: &DataFile, window: &mut Window, span: Span, at: u64) -> Result<bool, Error> {
    let Ok(head) = EntryHead::read_from_bytes(window.get(data, at, ENTRY_HEAD)?) else {
        return Ok(false);
    };
    let (key_len, value_len) = (head.key_len.get() as usize, u64::from(head.value_len.get()));
    let end = at + (ENTRY_HEAD + key_len) as u64 + value_len;
    if check_fields(&head, span).is_err() || key_len > LONGEST_KEY || end > window.len {
        return Ok(false);
    }
    let entry = window.get(data, at, ENTRY_HEAD + key_len)?;
    Ok(head.crc.get() == crc32c(&entry[ENTRY_SUMMED_FROM..]))
}

/// The first field that holds what is never written in a file of this span, if one does.
fn check_fields(head: &EntryHead, span: Span) -> Result<(), &'static str> {
    let lsn = Lsn(head.lsn.get());
    if lsn <= span.after || lsn > span.through {
        return Err("lsn");
    }
    let empty = head.value_len.get() == 0 && head.value_crc.get() == 0;
    match head.kind {
        PUT => {}
        TOMBSTONE if empty => {}
        _ => return Err("kind"),
    }
    if head.zero == [0; 3] { Ok(()) } else { Err("zero") }
}
