//! What stands at a path: a store, the beginnings of one, nothing, or something else.
//!
//! Invariant: nothing here changes anything, so a directory that is no store stays as it was.
//!
//! ```text
//! DB/LOCK                          who has the store open
//! DB/catalog                       which keyspaces there are
//! DB/log/…                         the log's: anchor and segments
//! DB/keyspaces/0/…                 the files of a keyspace's engine, from its first checkpoint on
//! ```

use std::path::{Path, PathBuf};

use ondisk_fs::{FileSystem, Kind};
use ondisk_log::{Log, LogError, Presence};

use crate::bitcask::manifest::MANIFEST;
use crate::bitcask::read_manifest;
use crate::catalog::Catalog;
use crate::error::Error;

const LOCK: &str = "LOCK";
const LOG: &str = "log";
const KEYSPACES: &str = "keyspaces";
/// Stands in a directory in which a store is being restored, and nowhere else.
pub(crate) const RESTORING: &str = "RESTORING";
/// What an open says of such a directory.
const CUT_RESTORE: &str = "a restore into it was cut short; restore again, which removes it";

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

/// Refuses a directory in which a store is being restored, or was: half a store is none.
pub(crate) fn refuse_restoring(fs: &dyn FileSystem, path: &Path) -> Result<(), Error> {
    let marker = path.join(RESTORING);
    match fs.kind(&marker) {
        Ok(Some(_)) => Err(not_a_store(path, CUT_RESTORE)),
        // What stands at the path itself the survey says.
        _ => Ok(()),
    }
}

/// Removes what stands at a path, and all below it.
pub(crate) fn remove_all(fs: &dyn FileSystem, path: &Path, kind: Kind) -> std::io::Result<()> {
    if kind != Kind::Dir {
        return fs.remove(path);
    }
    for entry in fs.list(path)? {
        remove_all(fs, &path.join(&entry.name), entry.kind)?;
    }
    fs.remove_dir(path)
}

/// Whether a directory is empty, but for a lock and an empty directory for a log.
fn holds_nothing(fs: &dyn FileSystem, path: &Path) -> Result<bool, Error> {
    for entry in fs.list(path).map_err(Error::io(path, "list the directory"))? {
        let harmless = match entry.kind {
            Kind::File => entry.name == *LOCK || entry.name == *RESTORING,
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

/// A log without an anchor is half made, or has lost it. A file of an engine, or a catalog that
/// lets the log forget, says that it has.
fn half_made(fs: &dyn FileSystem, path: &Path) -> Result<Standing, Error> {
    let dir = keyspaces_dir(path);
    let mut engine = false;
    if fs.kind(&dir).map_err(Error::io(&dir, "look at the directory"))? == Some(Kind::Dir) {
        for entry in fs.list(&dir).map_err(Error::io(&dir, "list the directory"))? {
            engine |= entry.kind == Kind::Dir && holds_file(fs, &dir.join(&entry.name))?;
        }
    }
    let released = Catalog::read(fs, path).is_ok_and(|it| it.is_some_and(|it| it.released.0 > 0));
    if engine || released {
        let path = log_dir(path).join("anchor");
        return Err(Error::Log(LogError::AnchorMissing { path }));
    }
    Ok(Standing::HalfMade)
}

/// Whether a keyspace's directory holds a file that counts, and a manifest from before there were
/// catalogs does not: that was made with the store.
fn holds_file(fs: &dyn FileSystem, dir: &Path) -> Result<bool, Error> {
    let entries = fs.list(dir).map_err(Error::io(dir, "list the directory"))?;
    let mut names = entries.iter().filter_map(|entry| entry.name.to_str());
    let counts = |name: &str| !name.ends_with(".tmp") && name != MANIFEST;
    Ok(names.any(counts)
        || read_manifest(fs, dir).is_ok_and(|it| it.is_some_and(|it| it.checkpoint.0 > 0)))
}
