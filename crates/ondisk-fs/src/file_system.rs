//! The two traits that are the seam, and the words that they need.
//!
//! Invariant: a call that changes storage changes it in one step of the kind that a power cut can
//! keep or lose; nothing here writes and syncs behind one name, except
//! [`File::write_durable`], whose contract says so.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::{BLOCK, Block, Rung};

/// A file system, as far as storage code needs one: names, and what makes them durable.
///
/// All methods go through `&self`; an implementation is shared between threads. No name is
/// durable before its directory is synced.
pub trait FileSystem: Send + Sync + fmt::Debug {
    /// Opens an existing file.
    ///
    /// # Errors
    /// `NotFound`, `PermissionDenied`, or what the file system says.
    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn File>>;

    /// Creates a file that does not exist, empty, and opens it for reading and writing. The name
    /// is in the page cache until [`sync_dir`](Self::sync_dir).
    ///
    /// # Errors
    /// `AlreadyExists`, or what the file system says.
    fn create_new(&self, path: &Path) -> io::Result<Arc<dyn File>>;

    /// Creates a directory; its name is in the page cache until the parent is synced.
    ///
    /// # Errors
    /// `AlreadyExists`, `NotFound` for a missing parent, or what the file system says.
    fn create_dir(&self, path: &Path) -> io::Result<()>;

    /// Gives the file at `from` the name `to`, replacing what is there. Atomic in the namespace;
    /// durable when the directory of `to` is synced (and that of `from`, where they differ).
    ///
    /// # Errors
    /// `NotFound`, or what the file system says.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file's name.
    ///
    /// # Errors
    /// `NotFound`, or what the file system says.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Removes an empty directory.
    ///
    /// # Errors
    /// `NotFound`, `DirectoryNotEmpty`, or what the file system says.
    fn remove_dir(&self, path: &Path) -> io::Result<()>;

    /// Makes the names in a directory durable: each create, rename and remove that returned
    /// before this was called. Says which rung it reached.
    ///
    /// # Errors
    /// What the file system says; then nothing is known to be durable.
    fn sync_dir(&self, path: &Path) -> io::Result<Rung>;

    /// The entries of a directory, sorted by name.
    ///
    /// # Errors
    /// `NotFound`, `NotADirectory`, or what the file system says.
    fn list(&self, path: &Path) -> io::Result<Vec<Entry>>;

    /// What stands at a path; `None` when nothing does.
    ///
    /// # Errors
    /// What the file system says, except that nothing is there.
    fn kind(&self, path: &Path) -> io::Result<Option<Kind>>;

    /// Takes the advisory lock of a file without waiting, until the answer is dropped or the
    /// process dies. `Exclusive` creates the file where it is missing and writes this process's
    /// id into it. `Shared` only reads: where the file is missing no writer ever was, and the
    /// answer holds nothing.
    ///
    /// # Errors
    /// [`LockError::Held`] names the holder's process id where it is known.
    fn lock(&self, path: &Path, mode: LockMode) -> Result<Box<dyn Held>, LockError>;

    /// Whether an overwrite of written blocks stays in place. Where it does not (copy-on-write
    /// file systems), zero-filling a file ahead of its use gains nothing.
    ///
    /// # Errors
    /// What the file system says.
    fn overwrites_in_place(&self, path: &Path) -> io::Result<bool>;
}

/// An open file. I/O is positional and through `&self`.
///
/// A failed sync poisons the handle for good ([`Poison`](crate::Poison)): every later write and
/// sync of it is refused. Reads go on.
pub trait File: Send + Sync + fmt::Debug {
    /// Reads at an offset; fewer bytes than asked for (none at the end) are no error.
    ///
    /// # Errors
    /// What the file system says.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes at an offset into the page cache: the bytes reach [`Rung::Cached`]. May write fewer
    /// than given.
    ///
    /// # Errors
    /// `StorageFull`, or what the file system says; what was written then is unknown.
    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize>;

    /// Writes whole blocks and returns when *they* are durable, in one call to the kernel where
    /// it has one. Covers **only its own range** and the metadata needed to read it back: other
    /// dirty pages of the file stay dirty (seen on Linux 6.18 for `O_DSYNC`).
    ///
    /// # Errors
    /// `InvalidInput` when `offset` is no multiple of [`BLOCK`]; else as
    /// [`sync_data`](Self::sync_data), and the handle is poisoned.
    fn write_durable(&self, blocks: &[Block], offset: u64) -> io::Result<Rung>;

    /// The length in bytes.
    ///
    /// # Errors
    /// What the file system says.
    fn size(&self) -> io::Result<u64>;

    /// Cuts the file, or extends it with a hole.
    ///
    /// # Errors
    /// What the file system says.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// Reserves blocks for the first `len` bytes and makes the file at least that long; they read
    /// as zeros. A write to them later may still fail on a copy-on-write file system.
    ///
    /// # Errors
    /// `StorageFull`, or what the file system says.
    fn allocate(&self, len: u64) -> io::Result<()>;

    /// Makes the data durable, and the metadata needed to read it back, its length too: all that
    /// returned before this was called. Says which rung it reached. Not the file's name.
    ///
    /// # Errors
    /// What the file system says; then what was written since the last sync may be gone, and the
    /// handle is poisoned.
    fn sync_data(&self) -> io::Result<Rung>;

    /// As [`sync_data`](Self::sync_data), and all of the metadata.
    ///
    /// # Errors
    /// As [`sync_data`](Self::sync_data).
    fn sync_all(&self) -> io::Result<Rung>;

    /// Reads exactly as many bytes as the buffer takes.
    ///
    /// # Errors
    /// `UnexpectedEof` when the file ends before; else as [`read_at`](Self::read_at).
    fn read_exact_at(&self, mut buf: &mut [u8], mut offset: u64) -> io::Result<()> {
        while !buf.is_empty() {
            match self.read_at(buf, offset) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(n) => {
                    buf = &mut buf[n..];
                    offset += n as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Writes all of a buffer, in as many calls as that takes.
    ///
    /// # Errors
    /// As [`write_at`](Self::write_at); `WriteZero` when the file system takes nothing more.
    fn write_all_at(&self, mut buf: &[u8], mut offset: u64) -> io::Result<()> {
        while !buf.is_empty() {
            match self.write_at(buf, offset) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => {
                    buf = &buf[n..];
                    offset += n as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// The check that every implementation of [`File::write_durable`] begins with.
///
/// # Errors
/// `InvalidInput` when `offset` is no multiple of [`BLOCK`].
pub fn check_alignment(offset: u64) -> io::Result<()> {
    if offset.is_multiple_of(BLOCK as u64) {
        return Ok(());
    }
    let message = format!("a durable write at offset {offset}, which is no multiple of {BLOCK}");
    Err(io::Error::new(io::ErrorKind::InvalidInput, message))
}

/// What an opened file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Reading alone: works in a read-only directory.
    Read,
    /// Reading and writing.
    ReadWrite,
}

/// What stands at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Dir,
    /// A symbolic link, a device, a socket.
    Other,
}

/// One entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// The name inside its directory.
    pub name: OsString,
    /// What it names.
    pub kind: Kind,
}

/// Whom else a lock lets in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockMode {
    /// Nobody else: a writer's.
    Exclusive,
    /// Other readers.
    Shared,
}

/// A lock that is held until this is dropped.
pub trait Held: Send + Sync + fmt::Debug {}

/// Why a lock was not taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Somebody else holds it.
    #[error("{} is locked by {}", path.display(), holder(*pid))]
    Held {
        /// The lock's file.
        path: PathBuf,
        /// The process that holds it, where that is known.
        pid: Option<u32>,
    },
    /// The lock's file could not be opened, read or written.
    #[error("{}: the lock cannot be taken", path.display())]
    Io {
        /// The lock's file.
        path: PathBuf,
        /// What the file system said.
        #[source]
        source: io::Error,
    },
}

fn holder(pid: Option<u32>) -> String {
    pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"))
}
