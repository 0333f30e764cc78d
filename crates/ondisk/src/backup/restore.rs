//! A restore: a new store from a directory of backups.
//!
//! ```text
//! NEWDB.restoring, with a marker in it ─► a store, closed ─► marker gone ─► renamed to NEWDB
//! ```
//!
//! Invariant: under the new store's name stands nothing, or a whole store. What a cut leaves beside
//! it says by its marker that it is half a store: no open takes it for one, and the next restore
//! removes it.

use std::path::{Path, PathBuf};

use ondisk_fs::{FileSystem, Kind, create_dir_durable, create_durable, sync_parent};
use ondisk_log::{Lsn, SyncMode};

use crate::backup::chain::ChainWalk;
use crate::backup::list::List;
use crate::backup::{BackupProgress, NO_LIST, NO_SUCH, TELL_EVERY, not_a_backup};
use crate::batch::Batch;
use crate::builder::Builder;
use crate::db::Db;
use crate::error::Error;
use crate::keyspace::DEFAULT_KEYSPACE;
use crate::place::{RESTORING, remove_all};

/// Bytes of keys and values that are committed at once.
const BATCH_BYTES: usize = 256 << 10;

/// What a restore has made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestoreReport {
    /// The backup's number among those of its directory.
    pub number: u32,
    /// The commit of the former store that the new one is as of. The new one counts from 1 again.
    pub lsn: Lsn,
    /// Keyspaces.
    pub keyspaces: u64,
    /// Keys, in all of them.
    pub keys: u64,
    /// Bytes of keys and values.
    pub bytes: u64,
}

/// Which backup of a directory is restored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Which {
    /// The last.
    #[default]
    Newest,
    /// The one of a number.
    Number(u32),
}

impl Db {
    /// Makes a new store from the newest backup of a directory. Nothing may stand at `path`, or an
    /// empty directory. The new store has an id of its own, so backups of it go to a directory of
    /// their own. Whatever interrupts a restore, at `path` stands nothing or a whole store.
    ///
    /// # Errors
    /// [`Error::NotABackup`], [`Error::InTheWay`]; [`Error::Damaged`] names the file;
    /// [`Error::Io`].
    pub fn restore(dir: impl AsRef<Path>, path: impl AsRef<Path>) -> Result<RestoreReport, Error> {
        Self::builder().restore(dir, path, Which::Newest, &mut |_| {})
    }
}

impl Builder {
    /// As [`Db::restore`], from any backup of a directory, with what the builder was told; `told`
    /// hears now and then how far it is.
    ///
    /// # Errors
    /// As [`Db::restore`].
    pub fn restore(
        self,
        dir: impl AsRef<Path>,
        path: impl AsRef<Path>,
        which: Which,
        told: &mut dyn FnMut(BackupProgress<'_>),
    ) -> Result<RestoreReport, Error> {
        let (dir, path) = (dir.as_ref(), path.as_ref());
        let fs = self.fs();
        let _held = crate::open::lock_shared(&*fs, dir)?;
        let mut list = List::read(&*fs, dir)?.ok_or_else(|| not_a_backup(dir, NO_LIST))?;
        if let Which::Number(number) = which {
            list.backups.retain(|backup| backup.number <= number);
            list.backups.last().filter(|it| it.number == number).ok_or_else(no_such(dir))?;
        }
        check_vacant(&*fs, path)?;
        let temp = restoring_path(path);
        prepare(&*fs, &temp)?;
        let largest = list.backups.iter().map(|backup| backup.largest).max().unwrap_or_default();
        let db = self.sync(SyncMode::None).fitting(largest).restoring().open(&temp)?;
        let report = fill(&*fs, dir, &list, &db, told).and_then(|report| {
            db.checkpoint()?;
            Ok(report)
        });
        db.close()?;
        let report = report?;
        install(&*fs, &temp, path)?;
        Ok(report)
    }
}

fn no_such(dir: &Path) -> impl FnOnce() -> Error + '_ {
    || not_a_backup(dir, NO_SUCH)
}

/// Where a store is made before it gets its name.
pub(crate) fn restoring_path(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".restoring");
    path.with_file_name(name)
}

fn in_the_way(path: &Path, why: &'static str) -> Error {
    Error::InTheWay { path: path.to_owned(), why }
}

/// Checks that nothing stands at a path, or an empty directory.
pub(crate) fn check_vacant(fs: &dyn FileSystem, path: &Path) -> Result<(), Error> {
    let why = "a store is restored where nothing stands; give a new path";
    match fs.kind(path).map_err(Error::io(path, "look at the new store's place"))? {
        None => Ok(()),
        Some(Kind::Dir) if is_empty(fs, path)? => Ok(()),
        Some(_) => Err(in_the_way(path, why)),
    }
}

fn is_empty(fs: &dyn FileSystem, dir: &Path) -> Result<bool, Error> {
    Ok(fs.list(dir).map_err(Error::io(dir, "list the directory"))?.is_empty())
}

/// Makes the directory in which the store is made, and its marker, durably. What a restore left
/// there that was cut goes.
pub(crate) fn prepare(fs: &dyn FileSystem, temp: &Path) -> Result<(), Error> {
    let marker = temp.join(RESTORING);
    let found = fs.kind(&marker).map_err(Error::io(&marker, "look for a cut restore"))?;
    if found.is_some() {
        remove_cut(fs, temp).map_err(Error::io(temp, "remove what a cut restore left"))?;
    }
    create_dir_durable(fs, temp).map_err(Error::io(temp, "make the directory"))?;
    if !is_empty(fs, temp)? {
        let why = "a restore makes its store there, and did not make what stands there now; move \
                   it away";
        return Err(in_the_way(temp, why));
    }
    let made = create_durable(fs, &marker, b"A store is being restored here: it is not whole.\n");
    made.map_err(Error::io(&marker, "mark the directory")).map(drop)
}

/// Removes what a cut restore left: its marker last, when the rest is gone for good.
fn remove_cut(fs: &dyn FileSystem, temp: &Path) -> std::io::Result<()> {
    for entry in fs.list(temp)? {
        if entry.name != *RESTORING {
            remove_all(fs, &temp.join(&entry.name), entry.kind)?;
        }
    }
    fs.sync_dir(temp)?;
    fs.remove(&temp.join(RESTORING))?;
    fs.sync_dir(temp).map(drop)
}

/// Fills a new store, in mode none: it is made durable at the end, as a whole.
fn fill(
    fs: &dyn FileSystem,
    dir: &Path,
    list: &List,
    db: &Db,
    told: &mut dyn FnMut(BackupProgress<'_>),
) -> Result<RestoreReport, Error> {
    let backup = list.backups.last().ok_or_else(no_such(dir))?;
    let (number, lsn, keyspaces) = (backup.number, backup.lsn, backup.keyspaces.len() as u64);
    let mut report = RestoreReport { number, lsn, keyspaces, keys: 0, bytes: 0 };
    for listed in &backup.keyspaces {
        let keyspace = if listed.id == DEFAULT_KEYSPACE {
            db.default_keyspace()?
        } else {
            db.keyspace(&listed.name, listed.options)?
        };
        let mut walk = ChainWalk::new(fs, dir, list, listed.id)?;
        let mut batch = Batch::new();
        while walk.advance()? {
            let len = walk.key().len() + walk.value().len();
            if !batch.is_empty() && batch.bytes() + len > BATCH_BYTES {
                db.batch_with(std::mem::take(&mut batch), SyncMode::None)?;
            }
            batch = batch.put_in(&keyspace, walk.key(), walk.value());
            report.keys += 1;
            report.bytes += len as u64;
            if report.keys.is_multiple_of(TELL_EVERY) {
                let (keys, bytes) = (report.keys, report.bytes);
                told(BackupProgress { keyspace: &listed.name, keys, bytes });
            }
        }
        if !batch.is_empty() {
            db.batch_with(batch, SyncMode::None)?;
        }
    }
    Ok(report)
}

/// Gives a store that is whole and closed its name, durably.
pub(crate) fn install(fs: &dyn FileSystem, temp: &Path, path: &Path) -> Result<(), Error> {
    let marker = temp.join(RESTORING);
    fs.remove(&marker).map_err(Error::io(&marker, "remove the mark"))?;
    // Before the rename: under its new name it must not say that it is half a store.
    fs.sync_dir(temp).map_err(Error::io(temp, "sync the directory"))?;
    if fs.kind(path).map_err(Error::io(path, "look at the new store's place"))?.is_some() {
        fs.remove_dir(path).map_err(Error::io(path, "remove the empty directory"))?;
    }
    fs.rename(temp, path).map_err(Error::io(path, "give the new store its name"))?;
    sync_parent(fs, path).map_err(Error::io(path, "sync the new store's name")).map(drop)
}
