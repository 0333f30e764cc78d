//! A store that is made beside its name, and gets it when it is whole.
//!
//! ```text
//! NEWDB.restoring, with a mark in it ─► a store, closed ─► mark gone ─► renamed to NEWDB
//! ```
//!
//! Invariant: under the new store's name stands nothing, or a whole store. What a cut leaves beside
//! it says by its mark that it is half a store: no open takes it for one, and the next attempt
//! removes it.

use std::io;
use std::path::{Path, PathBuf};

use ondisk_fs::{FileSystem, Kind, create_dir_durable, create_durable, sync_parent};

use crate::backup::sabotage::BackupRule;
use crate::error::Error;
use crate::place::{RESTORING, remove_all};

const MARK: &[u8] = b"A store is being restored here: it is not whole.\n";

/// A store that is being made.
pub(crate) struct Making<'a> {
    fs: &'a dyn FileSystem,
    path: &'a Path,
    temp: PathBuf,
    broken: Option<BackupRule>,
}

impl<'a> Making<'a> {
    /// Checks that nothing stands at a path, or an empty directory, and makes the directory in
    /// which the store is made, with its mark, durably. What an attempt left there that was cut
    /// goes.
    pub(crate) fn begin(
        fs: &'a dyn FileSystem,
        path: &'a Path,
        broken: Option<BackupRule>,
    ) -> Result<Self, Error> {
        let making = Self { fs, path, temp: beside(path), broken };
        making.check_vacant()?;
        making.prepare()?;
        Ok(making)
    }

    /// Where the store is made before it gets its name.
    pub(crate) fn temp(&self) -> &Path {
        &self.temp
    }

    pub(crate) fn breaks(&self, rule: BackupRule) -> bool {
        self.broken == Some(rule)
    }

    fn check_vacant(&self) -> Result<(), Error> {
        let (fs, path) = (self.fs, self.path);
        let why = "a store is restored where nothing stands; give a new path";
        match fs.kind(path).map_err(Error::io(path, "look at the new store's place"))? {
            None => Ok(()),
            Some(Kind::Dir) if self.is_empty(path)? => Ok(()),
            Some(kind) if self.breaks(BackupRule::StoreOverwritten) => {
                remove_all(fs, path, kind).map_err(Error::io(path, "remove what stands there"))
            }
            Some(_) => Err(in_the_way(path, why)),
        }
    }

    fn is_empty(&self, dir: &Path) -> Result<bool, Error> {
        Ok(self.fs.list(dir).map_err(Error::io(dir, "list the directory"))?.is_empty())
    }

    fn prepare(&self) -> Result<(), Error> {
        let (fs, temp, mark) = (self.fs, &self.temp, self.mark());
        let found = fs.kind(&mark).map_err(Error::io(&mark, "look for a cut restore"))?;
        if found.is_some() {
            self.remove_cut().map_err(Error::io(temp, "remove what a cut restore left"))?;
        }
        create_dir_durable(fs, temp).map_err(Error::io(temp, "make the directory"))?;
        if !self.is_empty(temp)? {
            if !self.breaks(BackupRule::OthersRemoved) {
                let why = "a restore makes its store there, and did not make what stands there \
                           now; move it away";
                return Err(in_the_way(temp, why));
            }
            self.remove_all_but("").map_err(Error::io(temp, "remove what stands there"))?;
        }
        let made = match self.broken {
            Some(BackupRule::NotMarked) => Ok(()),
            Some(BackupRule::MarkNotSynced) => fs.create_new(&mark).map(drop),
            _ => create_durable(fs, &mark, MARK).map(drop),
        };
        made.map_err(Error::io(&mark, "mark the directory"))
    }

    /// Removes what a cut restore left: its mark last, when the rest is gone for good.
    fn remove_cut(&self) -> io::Result<()> {
        if self.breaks(BackupRule::MarkRemovedFirst) {
            self.fs.remove(&self.mark())?;
            return self.remove_all_but(RESTORING);
        }
        self.remove_all_but(RESTORING)?;
        self.fs.sync_dir(&self.temp)?;
        self.fs.remove(&self.mark())?;
        self.fs.sync_dir(&self.temp).map(drop)
    }

    fn remove_all_but(&self, stays: &str) -> io::Result<()> {
        for entry in self.fs.list(&self.temp)? {
            if entry.name != *stays {
                remove_all(self.fs, &self.temp.join(&entry.name), entry.kind)?;
            }
        }
        Ok(())
    }

    /// Says no more that the store is half a store.
    pub(crate) fn unmark(&self) -> Result<(), Error> {
        let (fs, mark) = (self.fs, self.mark());
        match fs.remove(&mark) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.broken.is_some() => {}
            other => other.map_err(Error::io(&mark, "remove the mark"))?,
        }
        if self.breaks(BackupRule::MarkRemovalNotSynced) {
            return Ok(());
        }
        fs.sync_dir(&self.temp).map_err(Error::io(&self.temp, "sync the directory")).map(drop)
    }

    /// Gives a store that is whole and closed its name, durably.
    pub(crate) fn finish(self) -> Result<(), Error> {
        let (fs, path) = (self.fs, self.path);
        // Before the rename: under its new name it must not say that it is half a store.
        self.unmark()?;
        if fs.kind(path).map_err(Error::io(path, "look at the new store's place"))?.is_some() {
            fs.remove_dir(path).map_err(Error::io(path, "remove the empty directory"))?;
        }
        fs.rename(&self.temp, path).map_err(Error::io(path, "give the new store its name"))?;
        if self.breaks(BackupRule::NameNotSynced) {
            return Ok(());
        }
        sync_parent(fs, path).map_err(Error::io(path, "sync the new store's name")).map(drop)
    }

    fn mark(&self) -> PathBuf {
        self.temp.join(RESTORING)
    }
}

/// Where a store is made that gets a name later.
fn beside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".restoring");
    path.with_file_name(name)
}

fn in_the_way(path: &Path, why: &'static str) -> Error {
    Error::InTheWay { path: path.to_owned(), why }
}
