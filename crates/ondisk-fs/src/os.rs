//! The real file system, by system calls and nothing between.
//!
//! Invariant: one method is one system call, or few; nothing is written or synced that the method
//! does not name, and no sync is ever tried twice. Which call syncs is [`SyncPlan`]'s choice.
//!
//! Unix only. Symbolic links are followed, except by [`list`](FileSystem::list), which shows them
//! as [`Kind::Other`].

mod file;
mod lock;
mod nature;

use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, Stat};
use rustix::io::{Errno, retry_on_intr};

use self::file::OsFile;
use self::nature::Nature;
use crate::{
    Access, Chosen, Entry, File, FileSystem, Held, Kind, LockError, LockMode, Rung, SyncPlan,
};

/// The file system that the operating system shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OsFs;

impl OsFs {
    /// Finds out which calls sync in a directory, by making each once on a file of one block that
    /// is made at `scratch` and removed again.
    ///
    /// # Errors
    /// `AlreadyExists` when something stands at `scratch`; what the file system says.
    pub fn choose(self, scratch: &Path) -> io::Result<Chosen> {
        let fd = open(scratch, OFlags::RDWR | OFlags::CREATE | OFlags::EXCL)?;
        let chosen = open(crate::parent(scratch), OFlags::RDONLY | OFlags::DIRECTORY)
            .and_then(|dir| OsFile::new(fd, Access::ReadWrite)?.choose(&dir));
        let removed = self.remove(scratch);
        chosen.and_then(|chosen| removed.map(|()| chosen))
    }
}

impl FileSystem for OsFs {
    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn File>> {
        let flags = match access {
            Access::Read => OFlags::RDONLY,
            Access::ReadWrite => OFlags::RDWR,
        };
        Ok(Arc::new(OsFile::new(open(path, flags)?, access)?))
    }

    fn create_new(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let fd = open(path, OFlags::RDWR | OFlags::CREATE | OFlags::EXCL)?;
        Ok(Arc::new(OsFile::new(fd, Access::ReadWrite)?))
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        Ok(rustix::fs::mkdir(path, Mode::from_raw_mode(0o777))?)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        Ok(rustix::fs::rename(from, to)?)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        Ok(rustix::fs::unlink(path)?)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        Ok(rustix::fs::rmdir(path)?)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<Rung> {
        // A descriptor of its own each time: a directory has no handle that could be poisoned.
        let dir = open(path, OFlags::RDONLY | OFlags::DIRECTORY)?;
        let medium = Nature::of_fd(&dir)?.medium;
        file::sync(&dir, SyncPlan::HERE.dir, medium)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<Entry>> {
        let fd = open(path, OFlags::RDONLY | OFlags::DIRECTORY)?;
        let mut entries = Vec::new();
        for entry in rustix::fs::Dir::read_from(&fd)? {
            let entry = entry?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let kind = match entry.file_type() {
                // Some file systems do not keep the type in the entry.
                FileType::Unknown => {
                    match rustix::fs::statat(&fd, name, AtFlags::SYMLINK_NOFOLLOW) {
                        Ok(stat) => kind_of(&stat),
                        Err(Errno::NOENT) => continue, // removed since it was listed
                        Err(errno) => return Err(errno.into()),
                    }
                }
                known => kind_of_type(known),
            };
            entries.push(Entry { name: OsStr::from_bytes(name.to_bytes()).to_owned(), kind });
        }
        entries.sort();
        Ok(entries)
    }

    fn kind(&self, path: &Path) -> io::Result<Option<Kind>> {
        match rustix::fs::stat(path) {
            Ok(stat) => Ok(Some(kind_of(&stat))),
            // A link that leads nowhere is no file, and its name is taken all the same.
            Err(Errno::NOENT) => match rustix::fs::lstat(path) {
                Ok(_) => Ok(Some(Kind::Other)),
                Err(Errno::NOENT) => Ok(None),
                Err(errno) => Err(errno.into()),
            },
            Err(errno) => Err(errno.into()),
        }
    }

    /// Takes a `flock(2)`, which the kernel releases when the process dies, however it dies.
    /// `Shared` makes nothing, so readers work in a read-only directory.
    fn lock(&self, path: &Path, mode: LockMode) -> Result<Box<dyn Held>, LockError> {
        lock::take(path, mode)
    }

    fn overwrites_in_place(&self, path: &Path) -> io::Result<bool> {
        Ok(Nature::of_path(path)?.in_place)
    }
}

/// Opens a file that a child process shall not inherit; a created one is readable as the umask says.
fn open(path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
    let mode = Mode::from_raw_mode(0o666);
    Ok(retry_on_intr(|| rustix::fs::openat(CWD, path, flags | OFlags::CLOEXEC, mode))?)
}

fn kind_of(stat: &Stat) -> Kind {
    kind_of_type(FileType::from_raw_mode(stat.st_mode))
}

fn kind_of_type(file_type: FileType) -> Kind {
    match file_type {
        FileType::RegularFile => Kind::File,
        FileType::Directory => Kind::Dir,
        _ => Kind::Other,
    }
}

#[cfg(test)]
mod tests;
