//! What is below the user buffer: the calls of a run on the live file system.
//!
//! Invariant: a call is recorded in the history exactly when it changed something or was to make
//! something durable; a failed write-back is told once to each description open at the time, as
//! Linux tells it, and never poisons one. (The seam's handles are stricter on purpose.)
//!
//! Knows nothing of tasks and of user buffers.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::Arc;

use ondisk_fs::FileSystem;

use super::contents::{Contents, Full};
use super::{Errno, Failing, Failure, OpenAccess, OpenFlag, OpenHow, RelPath};
use crate::ops::history::{Ino, SyncKind};
use crate::ops::live::{Spot, Wanted, WriteHow};
use crate::ops::mem_fs::MemFs;

/// An open file description.
#[derive(Clone, Debug)]
pub(super) struct Open {
    pub(super) ino: Ino,
    access: OpenAccess,
    pub(super) append: bool,
    /// How each write is to be durable when it returns, if it is.
    how: WriteHow,
    /// Where the next write without an offset goes.
    pub(super) offset: u64,
    /// How many failed write-backs of the file it was told of.
    told: u32,
}

/// The file system of a run, with what is to fail and what is remembered.
#[derive(Debug)]
pub(super) struct Kernel {
    pub(super) fs: MemFs,
    pub(super) contents: Contents,
    /// How many failures are ordered of which call on which file, oldest first.
    failures: BTreeMap<(Failing, RelPath), VecDeque<Failure>>,
    /// How often write-back of a file failed.
    failed: BTreeMap<Ino, u32>,
}

/// Why a call of a run did not do what it was asked.
pub(super) enum Refused {
    /// The program is told; the run goes on.
    Errno(Errno),
    /// The run cannot go on: there is more than is remembered.
    Full,
}

impl From<io::Error> for Refused {
    fn from(error: io::Error) -> Self {
        Self::Errno(error.into())
    }
}

impl From<Errno> for Refused {
    fn from(errno: Errno) -> Self {
        Self::Errno(errno)
    }
}

impl From<Full> for Refused {
    fn from(_: Full) -> Self {
        Self::Full
    }
}

type Done<T = ()> = Result<T, Refused>;

impl Kernel {
    /// An empty file system.
    pub(super) fn new() -> Self {
        let (fs, contents) = (MemFs::new(), Contents::default());
        Self { fs, contents, failures: BTreeMap::new(), failed: BTreeMap::new() }
    }

    /// Makes all that is here durable, and forgets how it came here.
    pub(super) fn settle(&mut self) {
        let modes = self.fs.lock().modes();
        self.fs = self.fs.settled();
        let mut live = self.fs.lock();
        live.set_modes(&modes);
        live.know_all();
    }

    /// Orders the failure of a next call.
    pub(super) fn fail(&mut self, call: Failing, path: &RelPath, errno: Failure) {
        self.failures.entry((call, path.clone())).or_default().push_back(errno);
    }

    fn strike(&mut self, call: Failing, path: &RelPath) -> Option<Failure> {
        self.failures.get_mut(&(call, path.clone()))?.pop_front()
    }

    /// Remembers what a file holds now.
    fn remember(&mut self, ino: Ino) -> Done<Arc<[u8]>> {
        let mut live = self.fs.lock();
        let len = live.len(ino);
        self.contents.admit(len)?;
        let mut bytes = vec![0; usize::try_from(len).unwrap_or(usize::MAX)];
        live.read(ino, &mut bytes, 0);
        drop(live);
        Ok(self.contents.add(bytes)?)
    }

    // Descriptions.

    pub(super) fn open(&mut self, path: &RelPath, how: &OpenHow) -> Done<Open> {
        let path = path.to_path();
        let mut live = self.fs.lock();
        let found = live.file(path);
        let missing = matches!(&found, Err(error) if error.kind() == io::ErrorKind::NotFound);
        let ino = match found {
            Ok(_) if how.has(OpenFlag::Excl) => return Err(Errno::Exist.into()),
            Ok(ino) => {
                live.permit(ino, wanted(how), path)?;
                if how.has(OpenFlag::Trunc) {
                    live.set_len(ino, 0)?;
                }
                ino
            }
            Err(_) if missing && how.has(OpenFlag::Create) => {
                let (dir, name) = live.vacancy(path)?;
                live.permit(dir, Wanted::Write, path)?;
                live.create(&Spot { dir, name: &name })
            }
            Err(error) => return Err(error.into()),
        };
        live.know(ino, &Arc::from(path));
        drop(live);
        self.remember(ino)?;
        Ok(Open {
            ino,
            access: how.access,
            append: how.has(OpenFlag::Append),
            how: match () {
                () if how.has(OpenFlag::Sync) => WriteHow::Durable(SyncKind::All),
                () if how.has(OpenFlag::Dsync) => WriteHow::Durable(SyncKind::Data),
                () => WriteHow::Cached,
            },
            offset: 0,
            told: self.failed.get(&ino).copied().unwrap_or(0),
        })
    }

    /// `write(2)` with an offset: how many bytes were taken.
    pub(super) fn pwrite(
        &mut self,
        at: &Open,
        path: &RelPath,
        bytes: &[u8],
        offset: u64,
    ) -> Done<usize> {
        if at.access == OpenAccess::Read {
            return Err(Errno::Badf.into());
        }
        if let Some(failure) = self.strike(Failing::Write, path) {
            return Err(errno(failure).into());
        }
        let mut live = self.fs.lock();
        let offset = if at.append { live.len(at.ino) } else { offset };
        let taken = live.write(at.ino, bytes, offset, at.how)?;
        drop(live);
        self.remember(at.ino)?;
        Ok(taken)
    }

    /// `write(2)` at the description's offset, which moves on.
    pub(super) fn write(&mut self, at: &mut Open, path: &RelPath, bytes: &[u8]) -> Done<usize> {
        let taken = self.pwrite(at, path, bytes, at.offset)?;
        at.offset = at.offset.saturating_add(taken as u64);
        Ok(taken)
    }

    /// All bytes of the file, from the page cache.
    pub(super) fn read(&mut self, at: &Open) -> Done<Arc<[u8]>> {
        match at.access {
            OpenAccess::Write => Err(Errno::Badf.into()),
            OpenAccess::Read | OpenAccess::ReadWrite => self.remember(at.ino),
        }
    }

    pub(super) fn set_len(&mut self, at: &Open, len: u64) -> Done {
        if at.access == OpenAccess::Read {
            return Err(Errno::Inval.into());
        }
        self.fs.lock().set_len(at.ino, len)?;
        self.remember(at.ino).map(drop)
    }

    pub(super) fn allocate(&mut self, at: &Open, len: u64) -> Done {
        if at.access == OpenAccess::Read {
            return Err(Errno::Badf.into());
        }
        self.fs.lock().allocate(at.ino, len)?;
        self.remember(at.ino).map(drop)
    }

    pub(super) fn sync(&mut self, at: &mut Open, path: &RelPath, kind: SyncKind) -> Done {
        let call = match kind {
            SyncKind::Data => Failing::Fdatasync,
            SyncKind::All => Failing::Fsync,
        };
        let struck = self.strike(call, path);
        let failed = self.failed.entry(at.ino).or_default();
        *failed += u32::from(struck.is_some());
        let untold = *failed != at.told;
        at.told = *failed;
        let result = match struck {
            Some(failure) => Err(failure),
            None if untold => Err(Failure::Eio),
            None => Ok(()),
        };
        self.fs.lock().sync(at.ino, kind, result.map_err(kind_of));
        result.map_err(|failure| errno(failure).into())
    }

    /// `fsync` of a directory, which is opened for reading.
    pub(super) fn sync_dir(&mut self, path: &RelPath) -> Done {
        let path = path.to_path();
        let mut live = self.fs.lock();
        let dir = live.dir(path)?;
        live.permit(dir, Wanted::Read, path)?;
        drop(live);
        self.fs.sync_dir(path)?;
        Ok(())
    }

    pub(super) fn chmod(&mut self, path: &RelPath, mode: u16) -> Done {
        let mut live = self.fs.lock();
        let ino = live.resolve(path.to_path())?;
        live.chmod(ino, u32::from(mode));
        Ok(())
    }

    /// Whether the directories of these names may be changed.
    pub(super) fn may_rename(&mut self, paths: &[&RelPath]) -> Done {
        let mut live = self.fs.lock();
        for path in paths {
            let (dir, _) = live.spot(path.to_path())?;
            live.permit(dir, Wanted::Write, path.to_path())?;
        }
        Ok(())
    }

    /// `sync`: every file and every directory.
    pub(super) fn sync_everything(&mut self) {
        self.fs.lock().sync_everything();
    }

    /// A file with a content, before the story.
    pub(super) fn make_file(&mut self, path: &RelPath, bytes: &[u8]) -> Done {
        let how = OpenHow { flags: vec![OpenFlag::Create, OpenFlag::Trunc], ..OpenHow::default() };
        let open = self.open(path, &how)?;
        self.fs.lock().write(open.ino, bytes, 0, WriteHow::Cached)?;
        self.remember(open.ino).map(drop)
    }
}

fn wanted(how: &OpenHow) -> Wanted {
    match how.access {
        OpenAccess::Read if how.has(OpenFlag::Trunc) => Wanted::Both,
        OpenAccess::Read => Wanted::Read,
        OpenAccess::Write => Wanted::Write,
        OpenAccess::ReadWrite => Wanted::Both,
    }
}

fn errno(failure: Failure) -> Errno {
    match failure {
        Failure::Eio => Errno::Io,
        Failure::Enospc => Errno::Nospc,
    }
}

fn kind_of(failure: Failure) -> io::ErrorKind {
    match failure {
        Failure::Eio => io::ErrorKind::Other,
        Failure::Enospc => io::ErrorKind::StorageFull,
    }
}
