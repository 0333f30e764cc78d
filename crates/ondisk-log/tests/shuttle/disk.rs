//! A disk in memory whose every call is a place where the scheduler may switch, and which knows
//! where each payload went and whether a sync has covered it.
//!
//! Invariant: a sync covers what was written before it *began*, a durable write its own blocks
//! alone. A write to a block on which a sync was begun is a mistake of the log's, and is kept for
//! the suite to find.
//!
//! Names are durable at once: what a cut does to names is not this suite's question.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fmt;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};

use ondisk_fs::{
    Access, BLOCK, Block, Entry, File, FileSystem, Held, Kind, LockError, LockMode, Poison, Rung,
};
use zerocopy::IntoBytes;

/// What every payload of the suite begins with; its number, 4 bytes, follows.
const MARK: [u8; 4] = [0xFE, 0xED, 0xBE, 0xAC];

/// A disk; clones are the same one.
#[derive(Clone)]
pub(crate) struct Disk(Arc<shuttle::sync::Mutex<State>>);

/// Which call on a segment fails: the n-th from now, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Sync(u32),
    Write(u32),
}

#[derive(Default)]
struct State {
    dirs: BTreeSet<PathBuf>,
    names: BTreeMap<PathBuf, usize>,
    files: Vec<Content>,
    places: BTreeMap<u32, Place>,
    fault: Option<Fault>,
    full: bool,
    mistakes: Vec<String>,
}

#[derive(Clone, Default)]
struct Content {
    cached: Vec<u8>,
    durable: Vec<u8>,
    dirty: BTreeSet<usize>,
    /// Blocks on which a sync was begun.
    sealed: BTreeSet<usize>,
}

#[derive(Clone, Copy)]
struct Place {
    file: usize,
    at: usize,
    len: usize,
}

/// A payload that the disk can find again.
pub(crate) fn payload(number: u32, len: usize) -> Vec<u8> {
    let mut bytes = MARK.to_vec();
    bytes.extend_from_slice(&number.to_le_bytes());
    bytes.extend_from_slice(&u32::try_from(len).unwrap().to_le_bytes());
    bytes.resize(12 + len, number.to_le_bytes()[0] | 0x80);
    bytes
}

impl Disk {
    pub(crate) fn new() -> Self {
        Self(Arc::default())
    }

    fn lock(&self) -> shuttle::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How far down each of these payloads has come, in one look.
    pub(crate) fn rungs<'a>(&self, payloads: impl IntoIterator<Item = &'a [u8]>) -> Vec<Rung> {
        let state = self.lock();
        payloads.into_iter().map(|payload| state.rung(payload)).collect()
    }

    /// From here on a call on a segment fails.
    pub(crate) fn inject(&self, fault: Fault) {
        self.lock().fault = Some(fault);
    }

    /// Whether there is no space from here on.
    pub(crate) fn set_full(&self, full: bool) {
        self.lock().full = full;
    }

    /// Rules that the log has broken.
    pub(crate) fn mistakes(&self) -> Vec<String> {
        self.lock().mistakes.clone()
    }

    /// The disk as a power cut leaves it at worst: what was synced, and nothing else.
    pub(crate) fn cut(&self) -> Self {
        self.with(|content| content.cached.clone_from(&content.durable))
    }

    /// The disk as the death of the process leaves it.
    pub(crate) fn fork(&self) -> Self {
        self.with(|_| {})
    }

    fn with(&self, change: impl Fn(&mut Content)) -> Self {
        let state = self.lock();
        let mut files = state.files.clone();
        files.iter_mut().for_each(change);
        let (dirs, names) = (state.dirs.clone(), state.names.clone());
        drop(state);
        let state = State { dirs, names, files, ..State::default() };
        Self(Arc::new(shuttle::sync::Mutex::new(state)))
    }
}

impl fmt::Debug for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Disk")
    }
}

impl State {
    fn file(&self, path: &Path) -> io::Result<usize> {
        self.names.get(path).copied().ok_or_else(|| ErrorKind::NotFound.into())
    }

    fn rung(&self, payload: &[u8]) -> Rung {
        let number = u32::from_le_bytes(payload[4..8].try_into().unwrap());
        let Some(place) = self.places.get(&number) else { return Rung::Buffered };
        let content = &self.files[place.file];
        let range = place.at..place.at + place.len;
        if content.durable.get(range.clone()) == Some(payload) {
            Rung::Durable
        } else if content.cached.get(range) == Some(payload) {
            Rung::Cached
        } else {
            Rung::Buffered
        }
    }

    /// Whether a call on a segment fails now.
    fn struck(&mut self, is_sync: bool) -> io::Result<()> {
        let left = match (&mut self.fault, is_sync) {
            (Some(Fault::Sync(left)), true) | (Some(Fault::Write(left)), false) => left,
            _ => return Ok(()),
        };
        *left -= 1;
        if *left > 0 {
            return Ok(());
        }
        self.fault = None;
        Err(io::Error::other("the disk was told to fail"))
    }

    fn write(&mut self, file: usize, bytes: &[u8], at: usize) {
        for found in bytes.windows(12).enumerate().filter(|(_, window)| window[..4] == MARK) {
            let (offset, window) = found;
            let number = u32::from_le_bytes(window[4..8].try_into().unwrap());
            let len = u32::from_le_bytes(window[8..12].try_into().unwrap());
            let len = 12 + usize::try_from(len).unwrap();
            self.places.insert(number, Place { file, at: at + offset, len });
        }
        let content = &mut self.files[file];
        let end = at + bytes.len();
        if content.cached.len() < end {
            content.cached.resize(end, 0);
        }
        content.cached[at..end].copy_from_slice(bytes);
        for block in at / BLOCK..end.div_ceil(BLOCK) {
            content.dirty.insert(block);
            if content.sealed.contains(&block) {
                let mistake = format!("block {block} is written again, after a sync was begun");
                self.mistakes.push(mistake);
            }
        }
    }
}

impl Content {
    fn block(bytes: &[u8], block: usize) -> Vec<u8> {
        let from = (block * BLOCK).min(bytes.len());
        bytes[from..bytes.len().min(from + BLOCK)].to_vec()
    }

    fn make_durable(&mut self, block: usize, bytes: &[u8]) {
        let (from, end) = (block * BLOCK, block * BLOCK + bytes.len());
        if self.durable.len() < self.cached.len() {
            self.durable.resize(self.cached.len(), 0);
        }
        self.durable[from..end].copy_from_slice(bytes);
    }
}

impl FileSystem for Disk {
    fn open(&self, path: &Path, _: Access) -> io::Result<Arc<dyn File>> {
        let file = self.lock().file(path)?;
        Ok(Arc::new(Open {
            disk: self.clone(),
            file,
            segment: is_segment(path),
            poison: Poison::new(),
        }))
    }

    fn create_new(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let mut state = self.lock();
        if state.names.contains_key(path) {
            return Err(ErrorKind::AlreadyExists.into());
        }
        let file = state.files.len();
        state.files.push(Content::default());
        state.names.insert(path.to_owned(), file);
        drop(state);
        Ok(Arc::new(Open { disk: self.clone(), file, segment: false, poison: Poison::new() }))
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        let new = self.lock().dirs.insert(path.to_owned());
        if new { Ok(()) } else { Err(ErrorKind::AlreadyExists.into()) }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.lock();
        let file = state.file(from)?;
        state.names.remove(from);
        state.names.insert(to.to_owned(), file);
        state.files[file].sealed.clear(); // a new life
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.lock();
        state.file(path)?;
        state.names.remove(path);
        Ok(())
    }

    fn remove_dir(&self, _: &Path) -> io::Result<()> {
        Err(ErrorKind::Unsupported.into())
    }

    fn sync_dir(&self, _: &Path) -> io::Result<Rung> {
        drop(self.lock());
        Ok(Rung::Durable)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<Entry>> {
        let state = self.lock();
        let inside = state.names.keys().filter(|name| name.parent() == Some(path));
        let name = |name: &PathBuf| name.file_name().map_or_else(OsString::new, OsString::from);
        Ok(inside.map(|path| Entry { name: name(path), kind: Kind::File }).collect())
    }

    fn kind(&self, path: &Path) -> io::Result<Option<Kind>> {
        let state = self.lock();
        Ok(if state.dirs.contains(path) {
            Some(Kind::Dir)
        } else {
            state.names.contains_key(path).then_some(Kind::File)
        })
    }

    fn lock(&self, path: &Path, _: LockMode) -> Result<Box<dyn Held>, LockError> {
        Err(LockError::Io { path: path.to_owned(), source: ErrorKind::Unsupported.into() })
    }

    fn overwrites_in_place(&self, _: &Path) -> io::Result<bool> {
        Ok(true)
    }
}

fn is_segment(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "log")
}

struct Open {
    disk: Disk,
    file: usize,
    segment: bool,
    poison: Poison,
}

impl fmt::Debug for Open {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "file {}", self.file)
    }
}

impl Open {
    /// A sync in two steps, between which anything may happen.
    fn sync(&self) -> io::Result<Rung> {
        self.poison.check()?;
        let mut state = self.disk.lock();
        let content = &mut state.files[self.file];
        let dirty = std::mem::take(&mut content.dirty);
        content.sealed.extend(&dirty);
        let covered: Vec<_> =
            dirty.iter().map(|block| (*block, Content::block(&content.cached, *block))).collect();
        drop(state);
        let mut state = self.disk.lock();
        if self.segment {
            // After a failure the pages are clean and nothing is on the media.
            let struck = state.struck(true);
            self.poison.judge(struck)?;
        }
        let content = &mut state.files[self.file];
        covered.iter().for_each(|(block, bytes)| content.make_durable(*block, bytes));
        Ok(Rung::Durable)
    }
}

impl File for Open {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let state = self.disk.lock();
        let cached = &state.files[self.file].cached;
        let from = usize::try_from(offset).unwrap().min(cached.len());
        let len = buf.len().min(cached.len() - from);
        buf[..len].copy_from_slice(&cached[from..from + len]);
        Ok(len)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        self.poison.check()?;
        let mut state = self.disk.lock();
        if self.segment {
            state.struck(false)?;
        }
        state.write(self.file, buf, usize::try_from(offset).unwrap());
        Ok(buf.len())
    }

    fn write_durable(&self, blocks: &[Block], offset: u64) -> io::Result<Rung> {
        ondisk_fs::check_alignment(offset)?;
        self.poison.check()?;
        let mut state = self.disk.lock();
        state.write(self.file, blocks.as_bytes(), usize::try_from(offset).unwrap());
        let first = usize::try_from(offset).unwrap() / BLOCK;
        let written = first..first + blocks.len();
        state.files[self.file].sealed.extend(written.clone());
        drop(state);
        let mut state = self.disk.lock();
        if self.segment {
            let struck = state.struck(true);
            self.poison.judge(struck)?;
        }
        let content = &mut state.files[self.file];
        for (block, bytes) in written.zip(blocks) {
            content.dirty.remove(&block);
            content.make_durable(block, bytes.as_bytes());
        }
        Ok(Rung::Durable)
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.disk.lock().files[self.file].cached.len() as u64)
    }

    fn set_len(&self, _: u64) -> io::Result<()> {
        Err(ErrorKind::Unsupported.into())
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        let mut state = self.disk.lock();
        if state.full {
            return Err(ErrorKind::StorageFull.into());
        }
        let len = usize::try_from(len).unwrap();
        let content = &mut state.files[self.file];
        content.cached.resize(len.max(content.cached.len()), 0);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<Rung> {
        self.sync()
    }

    fn sync_all(&self) -> io::Result<Rung> {
        self.sync()
    }
}
