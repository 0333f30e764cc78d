//! The seam's traits over the running file system.
//!
//! Invariant: each call is counted once, struck by at most one fault, and recorded at most once.

use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ondisk_fs::{
    Access, BLOCK, Block, Entry, File, FileSystem, Held, Kind, LockError, LockMode, Poison, Rung,
    check_alignment,
};
use zerocopy::IntoBytes;

use super::fault::{How, Place, SimError};
use super::history::{Ino, SyncKind};
use super::live::{Live, Spot, WriteHow};
use super::media::Is;
use super::mem_fs::{MemFs, kind_of};

/// The process id that holds every lock of the simulation: it has one process at a time.
const PID: u32 = 1;

impl Live {
    /// Counts a call; fails it when a fault strikes.
    pub(super) fn enter(&mut self, place: Place, path: &Path) -> io::Result<()> {
        let same = |fault: &Path| super::path::names(fault).eq(super::path::names(path));
        match self.faults.strike(place, &same) {
            Some(How::Error(kind)) => Err(self.struck(place, kind)),
            Some(How::Short(_)) | None => Ok(()),
        }
    }

    fn struck(&self, place: Place, kind: io::ErrorKind) -> io::Error {
        SimError::Fault { call: self.faults.calls, place }.of(kind)
    }
}

impl FileSystem for MemFs {
    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn File>> {
        let mut live = self.lock();
        live.enter(Place::Look, path)?;
        let ino = live.file(path)?;
        Ok(OpenFile::open(self, &mut live, ino, access, path))
    }

    fn create_new(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let mut live = self.lock();
        live.enter(Place::Create, path)?;
        let (dir, name) = live.vacant(path)?;
        let ino = live.create(&Spot { dir, name });
        Ok(OpenFile::open(self, &mut live, ino, Access::ReadWrite, path))
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        let mut live = self.lock();
        live.enter(Place::Create, path)?;
        let (dir, name) = live.vacant(path)?;
        live.mkdir(&Spot { dir, name });
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut live = self.lock();
        live.enter(Place::Rename, from)?;
        let (from_dir, from_name) = live.spot(from)?;
        let ino = live.there(from_dir, from_name, from)?;
        let (to_dir, to_name) = live.spot(to)?;
        live.may_move(ino, to_dir, to)?;
        if let Some(replaced) = live.lookup(to_dir, to_name) {
            if replaced == ino {
                return Ok(()); // two names of one file, or one name twice: nothing to do
            }
            live.may_replace(ino, replaced, to)?;
        }
        let from = Spot { dir: from_dir, name: from_name };
        live.rename(&from, &Spot { dir: to_dir, name: to_name }, ino);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut live = self.lock();
        live.enter(Place::Remove, path)?;
        let (dir, name) = live.spot(path)?;
        let ino = live.there(dir, name, path)?;
        if live.node(ino).is == Is::Dir {
            return Err(SimError::at(path, io::ErrorKind::IsADirectory, "is a directory"));
        }
        live.remove(&Spot { dir, name }, ino);
        Ok(())
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        let mut live = self.lock();
        live.enter(Place::Remove, path)?;
        let (dir, name) = live.spot(path)?;
        let ino = live.there(dir, name, path)?;
        live.is_empty_dir(ino, path)?;
        live.remove(&Spot { dir, name }, ino);
        Ok(())
    }

    fn sync_dir(&self, path: &Path) -> io::Result<Rung> {
        let mut live = self.lock();
        let entered = live.enter(Place::SyncDir, path);
        let ino = live.dir(path)?;
        live.know(ino, &Arc::from(path));
        live.sync_dir(ino, entered.as_ref().copied().map_err(io::Error::kind));
        entered.map(|()| Rung::Durable)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<Entry>> {
        let mut live = self.lock();
        live.enter(Place::Look, path)?;
        let dir = live.dir(path)?;
        let names = live.list(dir);
        let entry = |(name, ino): (Arc<OsStr>, Ino)| Entry {
            name: name.to_os_string(),
            kind: kind_of(live.node(ino).is),
        };
        Ok(names.into_iter().map(entry).collect())
    }

    fn kind(&self, path: &Path) -> io::Result<Option<Kind>> {
        let mut live = self.lock();
        live.enter(Place::Look, path)?;
        match live.resolve(path) {
            Ok(ino) => Ok(Some(kind_of(live.node(ino).is))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Creates the file where it is missing, which is recorded; the holder's id is kept beside
    /// it, in memory, and not written: nobody reads it after a cut.
    fn lock(&self, path: &Path, mode: LockMode) -> Result<Box<dyn Held>, LockError> {
        let failed = |source| LockError::Io { path: path.to_owned(), source };
        let mut live = MemFs::lock(self);
        live.enter(Place::Lock, path).map_err(failed)?;
        let Some(ino) = live.lock_file(path, mode).map_err(failed)? else {
            return Ok(Box::new(NothingHeld));
        };
        let readers = match (live.locks.get(&ino).copied(), mode) {
            (None, LockMode::Exclusive) => None,
            (None, LockMode::Shared) => Some(1),
            (Some(Some(readers)), LockMode::Shared) => Some(readers + 1),
            (Some(_), _) => {
                return Err(LockError::Held { path: path.to_owned(), pid: Some(PID) });
            }
        };
        live.locks.insert(ino, readers);
        Ok(Box::new(HeldLock { live: Arc::clone(&self.live), ino }))
    }

    fn overwrites_in_place(&self, path: &Path) -> io::Result<bool> {
        let mut live = MemFs::lock(self);
        live.enter(Place::Look, path)?;
        live.resolve(path).map(|_| true)
    }
}

/// What the calls on names look at first.
impl Live {
    pub(super) fn there(&mut self, dir: Ino, name: &OsStr, path: &Path) -> io::Result<Ino> {
        let found = self.lookup(dir, name);
        found.ok_or_else(|| SimError::at(path, io::ErrorKind::NotFound, "no such name"))
    }

    pub(super) fn vacant<'a>(&mut self, path: &'a Path) -> io::Result<(Ino, &'a OsStr)> {
        let (dir, name) = self.spot(path)?;
        match self.lookup(dir, name) {
            None => Ok((dir, name)),
            Some(_) => Err(SimError::at(path, io::ErrorKind::AlreadyExists, "is there already")),
        }
    }

    fn is_empty_dir(&mut self, ino: Ino, path: &Path) -> io::Result<()> {
        if self.node(ino).is != Is::Dir {
            return Err(SimError::at(path, io::ErrorKind::NotADirectory, "is no directory"));
        }
        if self.list(ino).is_empty() {
            return Ok(());
        }
        Err(SimError::at(path, io::ErrorKind::DirectoryNotEmpty, "has names in it"))
    }

    fn may_replace(&mut self, ino: Ino, replaced: Ino, path: &Path) -> io::Result<()> {
        match (self.node(ino).is, self.node(replaced).is) {
            (Is::Dir, _) => self.is_empty_dir(replaced, path),
            (_, Is::Dir) => Err(SimError::at(path, io::ErrorKind::IsADirectory, "is a directory")),
            _ => Ok(()),
        }
    }

    fn may_move(&mut self, ino: Ino, dir: Ino, path: &Path) -> io::Result<()> {
        if !self.is_below(dir, ino) {
            return Ok(());
        }
        let what = "a directory cannot be moved into itself";
        Err(SimError::at(path, io::ErrorKind::InvalidInput, what))
    }

    pub(super) fn exchange_paths(&mut self, one: &Path, other: &Path) -> io::Result<()> {
        let (dir, name) = self.spot(one)?;
        let ino = self.there(dir, name, one)?;
        let (other_dir, other_name) = self.spot(other)?;
        let with = self.there(other_dir, other_name, other)?;
        self.may_move(ino, other_dir, other)?;
        self.may_move(with, dir, one)?;
        if ino != with {
            let one = Spot { dir, name };
            self.exchange(&one, ino, &Spot { dir: other_dir, name: other_name }, with);
        }
        Ok(())
    }

    /// Whether a directory is `above`, or lies under it.
    fn is_below(&mut self, dir: Ino, above: Ino) -> bool {
        if self.node(above).is != Is::Dir {
            return false;
        }
        let (mut left, mut at) = (vec![above], 0);
        while let Some(here) = left.get(at).copied() {
            if here == dir {
                return true;
            }
            at += 1;
            for (_, ino) in self.list(here) {
                if self.node(ino).is == Is::Dir && !left.contains(&ino) {
                    left.push(ino);
                }
            }
        }
        false
    }

    /// The file of a lock, made where it is missing; `None` for a reader where no writer ever was.
    fn lock_file(&mut self, path: &Path, mode: LockMode) -> io::Result<Option<Ino>> {
        match self.file(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let (dir, name) = self.spot(path)?;
                let exclusive = mode == LockMode::Exclusive;
                Ok(exclusive.then(|| self.create(&Spot { dir, name })))
            }
            other => other.map(Some),
        }
    }
}

/// The answer to a shared lock of a file that is not there.
#[derive(Debug)]
struct NothingHeld;

impl Held for NothingHeld {}

/// A lock; dropping it lets others in.
struct HeldLock {
    live: Arc<Mutex<Live>>,
    ino: Ino,
}

impl Held for HeldLock {}

impl fmt::Debug for HeldLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HeldLock(inode {})", self.ino.0)
    }
}

impl Drop for HeldLock {
    fn drop(&mut self) {
        let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        match live.locks.get(&self.ino).copied() {
            Some(Some(readers)) if readers > 1 => live.locks.insert(self.ino, Some(readers - 1)),
            _ => live.locks.remove(&self.ino),
        };
    }
}

/// An open file description.
struct OpenFile {
    live: Arc<Mutex<Live>>,
    ino: Ino,
    access: Access,
    path: Arc<Path>,
    poison: Poison,
    /// How many of the file's failed write-backs this description was told of.
    told: AtomicU32,
}

impl fmt::Debug for OpenFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OpenFile({})", self.path.to_string_lossy())
    }
}

impl OpenFile {
    fn open(fs: &MemFs, live: &mut Live, ino: Ino, access: Access, path: &Path) -> Arc<dyn File> {
        let path = Arc::from(path);
        live.know(ino, &path);
        Arc::new(Self {
            live: Arc::clone(&fs.live),
            ino,
            access,
            path,
            poison: Poison::new(),
            told: AtomicU32::new(live.node(ino).failed),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Live> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn may_write(&self) -> io::Result<()> {
        match self.access {
            Access::ReadWrite => Ok(()),
            Access::Read => Err(SimError::ReadOnly.of(io::ErrorKind::PermissionDenied)),
        }
    }

    /// Whether a sync of this description must fail: a fault strikes, or a write-back failed of
    /// which it was not told.
    fn sync_outcome(&self, live: &mut Live, place: Place) -> io::Result<()> {
        live.enter(place, &self.path)?;
        let failed = live.node(self.ino).failed;
        if self.told.swap(failed, Ordering::Relaxed) == failed {
            return Ok(());
        }
        Err(SimError::WritebackFailed.of(io::ErrorKind::Other))
    }

    fn sync(&self, place: Place, kind: SyncKind) -> io::Result<Rung> {
        self.poison.check()?;
        let mut live = self.lock();
        let outcome = self.sync_outcome(&mut live, place);
        let recorded = outcome.as_ref().copied().map_err(io::Error::kind);
        live.sync(self.ino, kind, recorded);
        if outcome.is_err() {
            self.told.store(live.node(self.ino).failed, Ordering::Relaxed);
        }
        self.poison.judge(outcome.map(|()| Rung::Durable))
    }

    /// The durable write, its checks done.
    fn write_through(&self, bytes: &[u8], offset: u64) -> io::Result<Rung> {
        let mut live = self.lock();
        let same = |fault: &Path| super::path::names(fault).eq(super::path::names(&self.path));
        let how = live.faults.strike(Place::WriteDurable, &same);
        let (bytes, result) = match how {
            None => (bytes, Ok(())),
            Some(How::Short(len)) => (&bytes[..len.min(bytes.len())], Err(io::ErrorKind::Other)),
            Some(How::Error(kind)) => (bytes, Err(kind)),
        };
        let how = match result {
            Ok(()) => WriteHow::Durable(SyncKind::Data),
            Err(kind) => WriteHow::Failed(SyncKind::Data, kind),
        };
        let written = live.write(self.ino, bytes, offset, how)?;
        if let Err(kind) = result {
            self.told.store(live.node(self.ino).failed, Ordering::Relaxed);
            return Err(live.struck(Place::WriteDurable, kind));
        }
        if written < bytes.len() {
            return Err(live.full((bytes.len() - written) as u64));
        }
        Ok(Rung::Durable)
    }
}

impl File for OpenFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut live = self.lock();
        live.enter(Place::Read, &self.path)?;
        Ok(live.read(self.ino, buf, offset))
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        self.may_write()?;
        self.poison.check()?;
        let mut live = self.lock();
        let same = |fault: &Path| super::path::names(fault).eq(super::path::names(&self.path));
        match live.faults.strike(Place::Write, &same) {
            Some(How::Error(kind)) => Err(live.struck(Place::Write, kind)),
            Some(How::Short(len)) => {
                live.write(self.ino, &buf[..len.min(buf.len())], offset, WriteHow::Cached)
            }
            None => live.write(self.ino, buf, offset, WriteHow::Cached),
        }
    }

    fn write_durable(&self, blocks: &[Block], offset: u64) -> io::Result<Rung> {
        check_alignment(offset)?;
        self.may_write()?;
        self.poison.check()?;
        self.poison.judge(self.write_through(blocks.as_bytes(), offset))
    }

    fn size(&self) -> io::Result<u64> {
        let mut live = self.lock();
        live.enter(Place::Look, &self.path)?;
        Ok(live.size(self.ino))
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.may_write()?;
        self.poison.check()?;
        let mut live = self.lock();
        live.enter(Place::Resize, &self.path)?;
        live.set_len(self.ino, len)
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        self.may_write()?;
        self.poison.check()?;
        let mut live = self.lock();
        live.enter(Place::Resize, &self.path)?;
        live.allocate(self.ino, len)
    }

    fn sync_data(&self) -> io::Result<Rung> {
        self.sync(Place::SyncData, SyncKind::Data)
    }

    fn sync_all(&self) -> io::Result<Rung> {
        self.sync(Place::SyncAll, SyncKind::All)
    }
}

// A block is the unit of this level: what the store keeps and what a cut tears.
const _: () = assert!(size_of::<Block>() == BLOCK);
