//! The durable idioms, written once: create a file for good, replace one as a whole.
//!
//! Invariant: on `Ok`, what the function's name says is durable, names included, as far down as
//! the returned [`Rung`] says. On an error nothing may be acknowledged.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use crate::{FileSystem, Rung};

/// Puts `bytes` into a new file at `path`, durably, name included.
///
/// # Errors
/// `AlreadyExists`, or the failing step's. After an error, or a power cut before the return, the
/// file may be there in part: who reads it must be able to tell.
pub fn create_durable(fs: &dyn FileSystem, path: &Path, bytes: &[u8]) -> io::Result<Rung> {
    let file = fs.create_new(path)?;
    file.write_all_at(bytes, 0)?;
    let data = file.sync_all()?;
    Ok(data.min(sync_parent(fs, path)?))
}

/// Makes a directory, durably; one that is there already is made durable too.
///
/// # Errors
/// The failing step's; `NotADirectory` when something else has the name.
pub fn create_dir_durable(fs: &dyn FileSystem, path: &Path) -> io::Result<Rung> {
    match fs.create_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            if fs.kind(path)? != Some(crate::Kind::Dir) {
                return Err(io::ErrorKind::NotADirectory.into());
            }
        }
        other => other?,
    }
    // Also for one that was there: whoever made it may have died before its own sync.
    sync_parent(fs, path)
}

/// Puts `bytes` at `path`; a power cut leaves the old content or the new, never a mixture and
/// never an empty file. On return the new content is durable, name included.
///
/// # Errors
/// The failing step's. The old content is still at `path`, except when the last step (the sync of
/// the directory) fails: then either may be, and the caller must not acknowledge.
pub fn replace_atomic(fs: &dyn FileSystem, path: &Path, bytes: &[u8]) -> io::Result<Rung> {
    let temp = temp_path(path);
    match fs.remove(&temp) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        other => other?, // a leftover of a replacement that was cut: it holds nothing of worth
    }
    let file = fs.create_new(&temp)?;
    file.write_all_at(bytes, 0)?;
    // Before the rename: else the new name may reach the media before its bytes. On default ext4
    // too: a megabyte of zeros was seen under the new name without it (Linux 6.18).
    let data = file.sync_all()?;
    fs.rename(&temp, path)?;
    // A rename changes the directory, which is cached like any other write.
    Ok(data.min(sync_parent(fs, path)?))
}

/// The name under which [`replace_atomic`] prepares the new content of `path`: beside it, with
/// `.tmp` appended.
#[must_use]
pub fn temp_path(path: &Path) -> PathBuf {
    let mut name = path.file_name().map_or_else(OsString::new, OsString::from);
    name.push(".tmp");
    path.with_file_name(name)
}

/// The directory that holds the name of `path`; `.` for a bare name.
#[must_use]
pub fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    }
}

/// Makes the name of `path` durable: syncs the directory that holds it.
///
/// # Errors
/// As [`FileSystem::sync_dir`].
pub fn sync_parent(fs: &dyn FileSystem, path: &Path) -> io::Result<Rung> {
    fs.sync_dir(parent(path))
}
