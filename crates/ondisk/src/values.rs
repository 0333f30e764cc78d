//! Large values: each in a file of its own, and a reference to it in the log and in the engine.
//!
//! Invariant: a value file is durable, name and all, before the commit that refers to it gets its
//! place in the log. A file goes only when the key that stands in it refers to another value, or to
//! none, by a commit that is durable and that every snapshot sees.
//!
//! A reference is a value like others to the log and to engines: 48 bytes that begin with a magic.
//! A program's own value that looks like one goes to a file too, so none is ever mistaken. The
//! bytes are specified in `docs/format/value.md`.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use ondisk_fs::{Access, File, create_dir_durable};
use ondisk_log::{Lsn, StoreId};
use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::checksum::crc32c;
use crate::engine::{FileKind, Site};
use crate::error::{Damage, Error};
use crate::limits::LONGEST_KEY;
use crate::value::Value;
use crate::values::sabotage::ValueRule;

pub(crate) mod sabotage;
mod sweep;

pub(crate) const MAGIC: [u8; 8] = *b"\xD1ondvalu";
const VERSION: u32 = 1;
const SUMMED_FROM: usize = 12;
/// Where value files stand in a keyspace's directory.
const VALUES: &str = "values";
/// Bytes are handed to the file system in pieces of this size.
const WRITE_PIECE: usize = 1 << 20;

/// What a value file begins with; key and value follow.
/// ```text
///  0       8     12        16      32         36        40       48          56          60     64
///  ├ magic ┼ crc ┼ version ┼ store ┼ keyspace ┼ key_len ┼ number ┼ value_len ┼ value_crc ┼ zero ┤ key … │ value …
///                └──────────────── crc covers from here to the end of the key ────────────────────────┘
/// ```
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct Head {
    magic: [u8; 8],
    crc: U32,
    version: U32,
    store: [u8; 16],
    keyspace: U32,
    key_len: U32,
    number: U64,
    value_len: U64,
    value_crc: U32,
    zero: [u8; 4],
}

/// What stands in place of a large value.
/// ```text
///  0       16       24          32          36     48
///  ├ magic ┼ number ┼ value_len ┼ value_crc ┼ zero ┤
/// ```
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned,
)]
#[repr(C)]
pub(crate) struct Reference {
    magic: [u8; 16],
    number: U64,
    value_len: U64,
    value_crc: U32,
    zero: [u8; 12],
}

const HEAD: usize = size_of::<Head>();
const _: () = assert!(HEAD == 64 && std::mem::offset_of!(Head, number) == 40);
pub(crate) const REFERENCE: usize = size_of::<Reference>();
const _: () = assert!(REFERENCE == 48 && std::mem::offset_of!(Reference, value_crc) == 32);
const REFERENCE_MAGIC: [u8; 16] = *b"\xD1ondisk.value\0\0\0";

/// The value files of one keyspace.
#[derive(Debug)]
pub(crate) struct ValueFiles {
    site: Site,
    state: Mutex<State>,
    /// Files that are there, as far as it is known.
    pub(crate) count: AtomicU64,
    /// Their bytes.
    pub(crate) bytes: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    /// No file has this number yet, nor a higher one; 0 until the directory was looked at.
    next: u64,
    /// Written, and the commit that refers to them is not in the young map yet.
    in_flight: BTreeSet<u64>,
    sweep: sweep::Sweep,
}

/// A value that was written and that no commit refers to yet. While this is held the file stays.
#[derive(Debug)]
pub(crate) struct Written {
    files: Arc<ValueFiles>,
    reference: Reference,
}

impl Written {
    /// What the commit holds in place of the value.
    pub(crate) fn reference(&self) -> &[u8] {
        self.reference.as_bytes()
    }
}

impl Drop for Written {
    fn drop(&mut self) {
        self.files.state().in_flight.remove(&self.reference.number.get());
    }
}

impl Reference {
    /// Reads what may be a reference.
    pub(crate) fn of(value: &[u8]) -> Option<Self> {
        if value.len() != REFERENCE || value[..16] != REFERENCE_MAGIC {
            return None;
        }
        Self::read_from_bytes(value).ok()
    }
}

impl ValueFiles {
    /// Looks which files are there.
    pub(crate) fn open(site: Site) -> Result<Self, Error> {
        let (count, bytes) = (AtomicU64::new(0), AtomicU64::new(0));
        let files = Self { site, state: Mutex::default(), count, bytes };
        let numbers = files.numbers()?;
        files.count.store(numbers.len() as u64, Ordering::Relaxed);
        if !numbers.is_empty() {
            files.sweep_due(); // some may be of commits that never were
        }
        Ok(files)
    }

    /// Whether there may be files. Where there are none, nothing refers to any.
    pub(crate) fn are_there(&self) -> bool {
        self.count.load(Ordering::Relaxed) > 0
    }

    /// How a value file gets to the disk.
    pub(crate) fn file_kind() -> FileKind {
        FileKind {
            kind: "value file",
            flush: "in pieces of 1 MiB, by the call that commits the value".to_owned(),
            sync: "fsync of the file, then of its directory".to_owned(),
            when: "before the commit that refers to it, in every mode".to_owned(),
            so: "durable before its commit is; without the commit it is nobody's".to_owned(),
        }
    }

    /// Whether a value goes to a file of its own.
    pub(crate) fn takes(&self, value: &[u8]) -> bool {
        value.len() > self.site.options.large_value.0 as usize || Reference::of(value).is_some()
    }

    /// Writes a value to a file of its own. Durable on return, name and all.
    pub(crate) fn write(self: &Arc<Self>, key: &[u8], value: &[u8]) -> Result<Written, Error> {
        let number = self.begin()?;
        let (head, reference) = self.heads(number, key, value);
        let written = Written { files: Arc::clone(self), reference };
        let path = self.path(number);
        let result = self.write_file(&path, &head, key, value);
        if let Err(error) = result {
            // Its space is wanted. What cannot be removed goes by a later sweep.
            self.site.fs.remove(&path).ok();
            return Err(error);
        }
        self.count.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add((HEAD + key.len() + value.len()) as u64, Ordering::Relaxed);
        Ok(written)
    }

    fn heads(&self, number: u64, key: &[u8], value: &[u8]) -> (Head, Reference) {
        let value_crc = U32::new(crc32c(value));
        let (number, value_len) = (U64::new(number), U64::new(value.len() as u64));
        let mut head = Head {
            magic: MAGIC,
            crc: U32::ZERO,
            version: U32::new(VERSION),
            store: self.site.store.0,
            keyspace: U32::new(self.site.keyspace),
            key_len: U32::new(u32::try_from(key.len()).unwrap_or(u32::MAX)), // keys are shorter
            number,
            value_len,
            value_crc,
            zero: [0; 4],
        };
        let summed = [&head.as_bytes()[SUMMED_FROM..], key].concat();
        head.crc = U32::new(crc32c(&summed));
        let (magic, zero) = (REFERENCE_MAGIC, [0; 12]);
        (head, Reference { magic, number, value_len, value_crc, zero })
    }

    fn write_file(&self, path: &Path, head: &Head, key: &[u8], value: &[u8]) -> Result<(), Error> {
        let (fs, dir) = (&self.site.fs, self.dir());
        let io = |op| Error::io(path, op);
        let file = fs.create_new(path).map_err(io("create the value file"))?;
        let front = [head.as_bytes(), key].concat();
        file.write_all_at(&front, 0).map_err(io("write the value file"))?;
        let mut offset = front.len() as u64;
        for piece in value.chunks(WRITE_PIECE) {
            file.write_all_at(piece, offset).map_err(io("write the value file"))?;
            offset += piece.len() as u64;
        }
        // Before the commit: else the log could come to refer to what is not there.
        if !self.breaks(ValueRule::FileNotSynced) {
            file.sync_all().map_err(io("sync the value file"))?;
        }
        if self.breaks(ValueRule::NameNotSynced) {
            return Ok(());
        }
        fs.sync_dir(&dir).map_err(Error::io(&dir, "sync the directory")).map(drop)
    }

    /// Gives a number that is in flight from here on.
    fn begin(&self) -> Result<u64, Error> {
        let mut state = self.state();
        if state.next == 0 {
            let (dir, fs) = (self.dir(), &*self.site.fs);
            for dir in [&self.site.dir, &dir] {
                let made = if self.breaks(ValueRule::DirectoryNotSynced) {
                    fs.create_dir(dir).or_else(|error| match error.kind() {
                        io::ErrorKind::AlreadyExists => Ok(()),
                        _ => Err(error),
                    })
                } else {
                    create_dir_durable(fs, dir).map(drop)
                };
                made.map_err(Error::io(dir, "make the directory"))?;
            }
            state.next = self.numbers()?.last().map_or(1, |last| last + 1);
        }
        let number = state.next;
        state.next += 1;
        state.in_flight.insert(number);
        Ok(number)
    }

    /// The numbers of the files that are there, ascending.
    fn numbers(&self) -> Result<Vec<u64>, Error> {
        let dir = self.dir();
        let entries = match self.site.fs.list(&dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.map_err(Error::io(&dir, "list the directory"))?,
        };
        let numbers = entries.iter().filter_map(|entry| file_number(entry.name.to_str()?));
        Ok(numbers.collect())
    }

    /// Resolves what an engine or a young map holds for a key.
    pub(crate) fn resolve(&self, key: &[u8], value: Value) -> Result<Value, Error> {
        match Reference::of(&value) {
            None => Ok(value),
            Some(reference) => self.read(key, reference),
        }
    }

    /// Reads a large value, and verifies that it is the one that was meant.
    pub(crate) fn read(&self, key: &[u8], reference: Reference) -> Result<Value, Error> {
        let path = self.path(reference.number.get());
        let file = self.open_file(&path)?;
        let damaged = |offset, damage| Err(Error::damaged(&path, offset, damage));
        let (head, found) = self.read_head(&path, &*file)?;
        if !self.breaks(ValueRule::OtherGivenOut) {
            if head.number != reference.number || found != key {
                return damaged(0, Damage::OtherEntry);
            }
            if head.value_len != reference.value_len || head.value_crc != reference.value_crc {
                return damaged(48, Damage::OtherEntry);
            }
        }
        let start = (HEAD + found.len()) as u64;
        let len = head.value_len.get();
        self.check_len(&path, &*file, start + len)?;
        let mut value = vec![0; usize::try_from(len).unwrap_or_default()];
        file.read_exact_at(&mut value, start).map_err(Error::io(&path, "read the value file"))?;
        if crc32c(&value) != head.value_crc.get() && !self.breaks(ValueRule::SumsIgnored) {
            return damaged(start, Damage::ValueSum);
        }
        Ok(Value::from(Bytes::from(value)))
    }

    fn open_file(&self, path: &Path) -> Result<Arc<dyn File>, Error> {
        match self.site.fs.open(path, Access::Read) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(Error::damaged(path, 0, Damage::Missing))
            }
            other => other.map_err(Error::io(path, "open the value file")),
        }
    }

    /// Reads and verifies what a value file of the keyspace begins with, and its key.
    fn read_head(&self, path: &Path, file: &dyn File) -> Result<(Head, Vec<u8>), Error> {
        let (head, key) = Head::read(path, file)?;
        if head.store != self.site.store.0 || head.keyspace.get() != self.site.keyspace {
            return Err(Error::damaged(path, 16, Damage::Elsewhere("store or keyspace")));
        }
        Ok((head, key))
    }

    fn check_len(&self, path: &Path, file: &dyn File, expected: u64) -> Result<(), Error> {
        let found = file.size().map_err(Error::io(path, "ask for the length of the value file"))?;
        if found == expected {
            return Ok(());
        }
        Err(Error::damaged(path, 0, Damage::Length { found, expected }))
    }

    fn breaks(&self, rule: ValueRule) -> bool {
        self.site.breaks(rule.into())
    }

    fn dir(&self) -> PathBuf {
        self.site.dir.join(VALUES)
    }

    fn path(&self, number: u64) -> PathBuf {
        self.dir().join(file_name(number))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic while it was held left each part whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Head {
    /// Reads and verifies what a value file begins with, and its key.
    fn read(path: &Path, file: &dyn File) -> Result<(Self, Vec<u8>), Error> {
        let damaged = |offset, damage| Err(Error::damaged(path, offset, damage));
        let len = file.size().map_err(Error::io(path, "ask for the length of the value file"))?;
        let (mut bytes, expected) = ([0; HEAD], HEAD as u64);
        if len < expected {
            return damaged(0, Damage::Length { found: len, expected });
        }
        file.read_exact_at(&mut bytes, 0).map_err(Error::io(path, "read the value file"))?;
        let head: Head = zerocopy::transmute!(bytes);
        if head.magic != MAGIC {
            return damaged(0, Damage::Magic);
        }
        let key_len = head.key_len.get() as usize;
        if key_len > LONGEST_KEY || len < (HEAD + key_len) as u64 {
            return damaged(36, Damage::HeaderSum);
        }
        let mut key = vec![0; key_len];
        file.read_exact_at(&mut key, expected).map_err(Error::io(path, "read the value file"))?;
        let summed = [&head.as_bytes()[SUMMED_FROM..], &key].concat();
        if head.crc.get() != crc32c(&summed) {
            return damaged(8, Damage::HeaderSum);
        }
        let (found, known) = (head.version.get(), VERSION);
        if found > known {
            return Err(Error::NewerFormat { path: path.to_owned(), found, known });
        }
        Ok((head, key))
    }
}

/// A value file as a line of text.
pub(crate) fn describe(path: &Path, file: &dyn File) -> Result<String, Error> {
    let (head, key) = Head::read(path, file)?;
    let (number, keyspace, store) = (head.number, head.keyspace, StoreId(head.store));
    let (len, key) = (head.value_len, key.escape_ascii());
    Ok(format!("value file {number} of keyspace {keyspace}, store {store}\n  {key}: {len} bytes\n"))
}

/// The name of a value file.
fn file_name(number: u64) -> String {
    format!("{number:010}.value")
}

/// The number in a value file's name; `None` for other names.
fn file_number(name: &str) -> Option<u64> {
    let number = name.strip_suffix(".value")?.parse().ok()?;
    (file_name(number) == name).then_some(number)
}

/// Who may still see what is superseded.
#[derive(Clone, Copy)]
pub(crate) struct Horizon<'a> {
    /// The newest commit.
    pub(crate) last: &'a dyn Fn() -> Lsn,
    /// All through this is durable and acknowledged.
    pub(crate) durable: Lsn,
    /// The oldest snapshot, if there is one.
    pub(crate) snapshot: Option<Lsn>,
    /// A reader in another process may be reading.
    pub(crate) pinned: bool,
}

#[cfg(test)]
mod tests;
