//! What stands at a path: a store, the beginnings of one, nothing, or something else.
//!
//! Invariant: nothing here changes anything, so a directory that is no store stays as it was.
//!
//! ```text
//! DB/LOCK                          who has the store open
//! DB/log/…                         the log's: anchor and segments
//! DB/keyspaces/0/manifest          which data files count, and up to which LSN
//! DB/keyspaces/0/0000000001.data   values
//! ```

use std::path::{Path, PathBuf};

use ondisk_fs::{FileSystem, Kind};
use ondisk_log::{Log, LogError, Presence};

use crate::bitcask::data_file::file_number;
use crate::bitcask::manifest::MANIFEST;
use crate::bitcask::read_manifest;
use crate::error::Error;
use crate::keyspace::DEFAULT_KEYSPACE;

const LOCK: &str = "LOCK";
const LOG: &str = "log";
const KEYSPACES: &str = "keyspaces";

/// What stands at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Nothing.
    Absent,
    /// A directory that holds nothing, but perhaps a lock.
    Empty,
    /// A store whose making was cut short: nothing was ever committed to it.
    HalfMade,
    Store,
}

pub(crate) fn lock_path(store: &Path) -> PathBuf {
    store.join(LOCK)
}

pub(crate) fn log_dir(store: &Path) -> PathBuf {
    store.join(LOG)
}

pub(crate) fn keyspaces_dir(store: &Path) -> PathBuf {
    store.join(KEYSPACES)
}

/// The directory of the one keyspace that there is.
pub(crate) fn keyspace_dir(store: &Path) -> PathBuf {
    keyspaces_dir(store).join(DEFAULT_KEYSPACE.to_string())
}

/// Looks at a path.
pub(crate) fn survey(fs: &dyn FileSystem, path: &Path) -> Result<Standing, Error> {
    match fs.kind(path).map_err(Error::io(path, "look at the directory"))? {
        None => return Ok(Standing::Absent),
        Some(Kind::Dir) => {}
        Some(_) => {
            return Err(not_a_store(path, "it is no directory; name the directory of a store"));
        }
    }
    match Log::presence(fs, &log_dir(path))? {
        Presence::Log => Ok(Standing::Store),
        Presence::HalfMade => half_made(fs, path),
        Presence::Nothing => {
            if holds_nothing(fs, path)? {
                return Ok(Standing::Empty);
            }
            let why = "other things are in the directory, and no log; \
                       name the directory of a store, an empty one or a new one";
            Err(not_a_store(path, why))
        }
    }
}

pub(crate) fn not_a_store(path: &Path, why: &'static str) -> Error {
    Error::NotAStore { path: path.to_owned(), why }
}

/// Whether a directory is empty, but for a lock and an empty directory for a log.
fn holds_nothing(fs: &dyn FileSystem, path: &Path) -> Result<bool, Error> {
    for entry in fs.list(path).map_err(Error::io(path, "list the directory"))? {
        let harmless = match entry.kind {
            Kind::File => entry.name == *LOCK,
            // What the making of a log leaves that was cut before its first durable step.
            Kind::Dir if entry.name == *LOG => {
                let log = log_dir(path);
                let entries = fs.list(&log).map_err(Error::io(&log, "list the directory"))?;
                entries.iter().all(|it| it.name.to_str().is_some_and(|it| it.ends_with(".tmp")))
            }
            _ => false,
        };
        if !harmless {
            return Ok(false);
        }
    }
    Ok(true)
}

/// A log without an anchor is half made, or has lost it. A keyspace that holds something says
/// that it has.
fn half_made(fs: &dyn FileSystem, path: &Path) -> Result<Standing, Error> {
    let dir = keyspace_dir(path);
    let is_dir = fs.kind(&dir).map_err(Error::io(&dir, "look at the directory"))?;
    if is_dir == Some(Kind::Dir) {
        let entries = fs.list(&dir).map_err(Error::io(&dir, "list the directory"))?;
        let named = |name: &str| entries.iter().any(|entry| entry.name == *name);
        let data = entries.iter().any(|it| it.name.to_str().and_then(file_number).is_some());
        let taken_over = named(MANIFEST)
            && read_manifest(fs, &dir).is_ok_and(|manifest| manifest.checkpoint.0 > 0);
        if data || taken_over {
            let path = log_dir(path).join("anchor");
            return Err(Error::Log(LogError::AnchorMissing { path }));
        }
    }
    Ok(Standing::HalfMade)
}
