//! The machine behind the seam: each call is a system call of one task, and runs the machine
//! until it returns.
//!
//! Invariant: nothing is answered here that the machine did not answer, but locks, which are
//! kept beside it and die with it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use ondisk_fs::{
    Access, Block, Entry, File, FileSystem, Held, Kind, LockError, LockMode, Poison, Rung,
    check_alignment,
};
use zerocopy::IntoBytes;

use super::Errno;
use super::config::{DataMode, Mount};
use super::ids::{Fd, TaskId};
use super::message::{Kind as Is, Open, Reply, Request, Stat, Sync};
use super::sim::Sim;
use crate::ops::path;

/// The process id that holds every lock of the simulation.
const PID: u32 = 1;

/// A call of the machine failed.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{call} {}: {errno}", path.display())]
pub struct CallError {
    /// Which call.
    pub call: &'static str,
    /// On what.
    pub path: PathBuf,
    /// How.
    pub errno: Errno,
}

/// The file system of a machine, as one of its tasks sees it.
#[derive(Clone)]
pub struct MachineFs {
    sim: Sim,
    task: TaskId,
    locks: Arc<Mutex<BTreeMap<Vec<u8>, Option<u32>>>>,
}

impl MachineFs {
    pub(super) fn new(sim: Sim, task: TaskId) -> Self {
        Self { sim, task, locks: Arc::default() }
    }

    /// The machine.
    #[must_use]
    pub fn sim(&self) -> &Sim {
        &self.sim
    }

    fn call(&self, call: &'static str, path: &Path, what: Request) -> io::Result<Reply> {
        self.sim.call(self.task, what).map_err(|errno| failed(call, path, errno))
    }

    fn stat(&self, path: &Path) -> Result<Stat, Errno> {
        match self.sim.call(self.task, Request::Stat { path: bytes_of(path) })? {
            Reply::Stat(stat) => Ok(stat),
            _ => Err(Errno::Io),
        }
    }

    fn open_as(&self, call: &'static str, path: &Path, how: Open) -> io::Result<OpenFile> {
        let what = Request::Open { path: bytes_of(path), how, mode: 0o644 };
        match self.call(call, path, what)? {
            Reply::Fd(fd) => {
                let (fs, path) = (self.clone(), path.to_owned());
                Ok(OpenFile { fs, fd, path, write: how.write, poison: Poison::new() })
            }
            _ => Err(failed(call, path, Errno::Io)),
        }
    }
}

impl fmt::Debug for MachineFs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MachineFs({:?}, task {})", self.sim, self.task.0)
    }
}

fn failed(call: &'static str, path: &Path, errno: Errno) -> io::Error {
    io::Error::new(errno.kind(), CallError { call, path: path.to_owned(), errno })
}

/// The bytes of a path, without what means nothing in it.
fn bytes_of(path: &Path) -> Box<[u8]> {
    let mut bytes = Vec::new();
    for name in path::names(path) {
        if !bytes.is_empty() {
            bytes.push(b'/');
        }
        bytes.extend_from_slice(name.as_encoded_bytes());
    }
    if bytes.is_empty() {
        bytes.push(b'.');
    }
    bytes.into()
}

fn kind_of(is: Is) -> Kind {
    match is {
        Is::Dir => Kind::Dir,
        Is::File | Is::Symlink => Kind::File,
    }
}

impl FileSystem for MachineFs {
    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn File>> {
        let write = access == Access::ReadWrite;
        let how = Open { read: true, write, ..Open::default() };
        Ok(Arc::new(self.open_as("open", path, how)?))
    }

    fn create_new(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let how = Open { read: true, write: true, create: true, excl: true, ..Open::default() };
        Ok(Arc::new(self.open_as("create", path, how)?))
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.call("mkdir", path, Request::Mkdir { path: bytes_of(path), mode: 0o755 }).map(drop)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let what = Request::Rename { from: bytes_of(from), to: bytes_of(to), exchange: false };
        self.call("rename", from, what).map(drop)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.call("unlink", path, Request::Unlink { path: bytes_of(path) }).map(drop)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.call("rmdir", path, Request::Rmdir { path: bytes_of(path) }).map(drop)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<Rung> {
        let how = Open { read: true, directory: true, ..Open::default() };
        let dir = self.open_as("open", path, how)?;
        self.call("fsync", path, Request::Fsync { fd: dir.fd })?;
        Ok(Rung::Durable)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<Entry>> {
        let Reply::Names(names) =
            self.call("getdents", path, Request::List { path: bytes_of(path) })?
        else {
            return Err(failed("getdents", path, Errno::Io));
        };
        names.into_iter().map(|(name, stat)| entry(&name, stat.kind, path)).collect()
    }

    fn kind(&self, path: &Path) -> io::Result<Option<Kind>> {
        match self.stat(path) {
            Ok(stat) => Ok(Some(kind_of(stat.kind))),
            Err(Errno::Noent) => Ok(None),
            Err(errno) => Err(failed("stat", path, errno)),
        }
    }

    fn lock(&self, path: &Path, mode: LockMode) -> Result<Box<dyn Held>, LockError> {
        let there = self.stat(path).is_ok();
        if !there && mode == LockMode::Shared {
            return Ok(Box::new(HeldLock(None)));
        }
        if !there {
            let io = |source| LockError::Io { path: path.to_owned(), source };
            self.create_new(path).map_err(io)?;
        }
        let key = bytes_of(path).into_vec();
        let mut locks = self.locks.lock().unwrap_or_else(PoisonError::into_inner);
        let readers = match (locks.get(&key).copied(), mode) {
            (None, LockMode::Exclusive) => None,
            (None, LockMode::Shared) => Some(1),
            (Some(Some(readers)), LockMode::Shared) => Some(readers + 1),
            (Some(_), _) => {
                return Err(LockError::Held { path: path.to_owned(), pid: Some(PID) });
            }
        };
        locks.insert(key.clone(), readers);
        Ok(Box::new(HeldLock(Some((Arc::clone(&self.locks), key)))))
    }

    fn overwrites_in_place(&self, path: &Path) -> io::Result<bool> {
        self.stat(path).map_err(|errno| failed("stat", path, errno))?;
        let journal = |data| data == DataMode::Journal;
        Ok(!matches!(self.sim.config().mount, Mount::Ext4(o) if journal(o.data)))
    }
}

/// An entry of a directory. Names that came in through the seam are the platform's own encoding;
/// others are taken where they are UTF-8.
fn entry(name: &[u8], kind: Is, dir: &Path) -> io::Result<Entry> {
    let name = std::str::from_utf8(name).map_err(|_| failed("getdents", dir, Errno::Inval))?;
    Ok(Entry { name: OsString::from(name), kind: kind_of(kind) })
}

type Locks = Arc<Mutex<BTreeMap<Vec<u8>, Option<u32>>>>;

/// A lock; dropping it lets others in. Nothing where there was no file.
struct HeldLock(Option<(Locks, Vec<u8>)>);

impl Held for HeldLock {}

impl fmt::Debug for HeldLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HeldLock")
    }
}

impl Drop for HeldLock {
    fn drop(&mut self) {
        let Some((locks, key)) = self.0.take() else { return };
        let mut locks = locks.lock().unwrap_or_else(PoisonError::into_inner);
        match locks.get(&key).copied() {
            Some(Some(readers)) if readers > 1 => locks.insert(key, Some(readers - 1)),
            _ => locks.remove(&key),
        };
    }
}

/// An open file description of the machine; closed when it is dropped.
struct OpenFile {
    fs: MachineFs,
    fd: Fd,
    path: PathBuf,
    write: bool,
    poison: Poison,
}

impl OpenFile {
    fn call(&self, call: &'static str, what: Request) -> io::Result<Reply> {
        self.fs.call(call, &self.path, what)
    }

    fn may_write(&self) -> io::Result<()> {
        if self.write {
            return self.poison.check();
        }
        Err(failed("write", &self.path, Errno::Acces))
    }

    fn sync(&self, call: &'static str, what: Request) -> io::Result<Rung> {
        self.poison.check()?;
        self.poison.judge(self.call(call, what).map(|_| Rung::Durable))
    }

    fn put(&self, bytes: &[u8], offset: u64, sync: Option<Sync>) -> io::Result<usize> {
        let (fd, at, bytes) = (self.fd, Some(offset), bytes.to_vec());
        match self.call("pwrite", Request::Write { fd, at, bytes, sync })? {
            Reply::Count(count) => Ok(usize::try_from(count).unwrap_or(usize::MAX)),
            _ => Err(failed("pwrite", &self.path, Errno::Io)),
        }
    }
}

impl fmt::Debug for OpenFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OpenFile({}, {:?})", self.path.to_string_lossy(), self.fd)
    }
}

impl Drop for OpenFile {
    fn drop(&mut self) {
        // As in life, nobody learns what the close of a dropped file answers.
        drop(self.fs.sim.call(self.fs.task, Request::Close { fd: self.fd }));
    }
}

impl File for OpenFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let what = Request::Read { fd: self.fd, at: Some(offset), len: buf.len() as u64 };
        let Reply::Bytes(bytes) = self.call("pread", what)? else {
            return Err(failed("pread", &self.path, Errno::Io));
        };
        let len = bytes.len().min(buf.len());
        buf[..len].copy_from_slice(&bytes[..len]);
        Ok(len)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        self.may_write()?;
        self.put(buf, offset, None)
    }

    fn write_durable(&self, blocks: &[Block], offset: u64) -> io::Result<Rung> {
        check_alignment(offset)?;
        self.may_write()?;
        let bytes = blocks.as_bytes();
        let written = self.put(bytes, offset, Some(Sync::Data)).and_then(|count| {
            let whole = count == bytes.len();
            if whole { Ok(Rung::Durable) } else { Err(failed("pwrite", &self.path, Errno::Nospc)) }
        });
        self.poison.judge(written)
    }

    fn size(&self) -> io::Result<u64> {
        match self.call("fstat", Request::Fstat { fd: self.fd })? {
            Reply::Stat(stat) => Ok(stat.size),
            _ => Err(failed("fstat", &self.path, Errno::Io)),
        }
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.may_write()?;
        self.call("ftruncate", Request::SetLen { fd: self.fd, len }).map(drop)
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        self.may_write()?;
        self.call("fallocate", Request::Allocate { fd: self.fd, len }).map(drop)
    }

    fn sync_data(&self) -> io::Result<Rung> {
        self.sync("fdatasync", Request::Fdatasync { fd: self.fd })
    }

    fn sync_all(&self) -> io::Result<Rung> {
        self.sync("fsync", Request::Fsync { fd: self.fd })
    }
}
