//! Files that the manifest does not name any more, or never did: kept while somebody may need
//! them, then removed.
//!
//! Invariant: a table is removed only when a manifest that does not name it is durable, nobody
//! holds it, and every reader in another process that may have read a manifest that does is gone.
//! The tables of an attempt whose manifest may be in place or not are kept until another one is.
//!
//! Knows nothing of levels. What is not removed in this life the next open removes.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ondisk_fs::FileSystem;

use crate::lsm::sabotage::LsmRule;
use crate::lsm::table::Table;

/// Files that wait to be removed.
#[derive(Debug, Default)]
pub(crate) struct Graveyard {
    tables: Vec<Obsolete>,
    files: Vec<Leftover>,
}

/// A table that no manifest names any more.
#[derive(Debug)]
struct Obsolete {
    table: Arc<Table>,
    /// No reader in another process that came later has seen a manifest that names it.
    newest_pin: u64,
    /// Such a reader was there when its removal was tried last.
    pinned: bool,
}

/// A file that this process made and no manifest in place names.
#[derive(Debug)]
struct Leftover {
    path: PathBuf,
    /// The manifest that may name it, if one may.
    tried: Option<u64>,
    /// It could not be removed: that is tried again by whoever comes for something else.
    refused: bool,
}

impl Graveyard {
    /// Takes tables that the manifest in place does not name.
    pub(crate) fn bury(&mut self, tables: impl IntoIterator<Item = Arc<Table>>, newest_pin: u64) {
        let obsolete = tables.into_iter();
        self.tables.extend(obsolete.map(|table| Obsolete { table, newest_pin, pinned: false }));
    }

    /// Takes files that this process made in vain. `tried` is the manifest that may name them.
    pub(crate) fn leave(&mut self, files: impl IntoIterator<Item = PathBuf>, tried: Option<u64>) {
        let files = files.into_iter();
        self.files.extend(files.map(|path| Leftover { path, tried, refused: false }));
    }

    /// Takes back files that could not be removed.
    pub(crate) fn take_back(&mut self, files: impl IntoIterator<Item = PathBuf>) {
        let files = files.into_iter();
        self.files.extend(files.map(|path| Leftover { path, tried: None, refused: true }));
    }

    /// Whether something can be removed, as far as this process can tell.
    pub(crate) fn is_due(&mut self, installed: u64) -> bool {
        self.files.iter().any(|it| !it.refused && it.tried.is_none_or(|tried| tried < installed))
            || self.tables.iter_mut().any(|it| !it.pinned && Arc::get_mut(&mut it.table).is_some())
    }

    /// Takes out the files that can be removed. `installed` is the manifest in place, `oldest`
    /// the oldest reader in another process.
    pub(crate) fn take(
        &mut self,
        installed: u64,
        oldest: Option<u64>,
        broken: Option<LsmRule>,
    ) -> Vec<PathBuf> {
        let files = self.files.extract_if(.., |it| it.tried.is_none_or(|tried| tried < installed));
        let mut paths: Vec<_> = files.map(|it| it.path).collect();
        let tables = self.tables.extract_if(.., |it| {
            it.pinned = oldest.is_some_and(|oldest| oldest <= it.newest_pin)
                && broken != Some(LsmRule::PinsIgnored);
            // Nobody can get it any more who does not hold it now: the version that readers are
            // given does not have it.
            let held = Arc::get_mut(&mut it.table).is_none();
            !it.pinned && (!held || broken == Some(LsmRule::ViewsIgnored))
        });
        paths.extend(tables.map(|it| it.table.path().to_owned()));
        paths
    }

    /// How many files wait, and the bytes of the tables among them.
    pub(crate) fn waiting(&self) -> (u64, u64) {
        let bytes = self.tables.iter().map(|it| it.table.meta().len).sum();
        ((self.files.len() + self.tables.len()) as u64, bytes)
    }
}

/// Removes a file; one that is not there is no error.
pub(crate) fn remove(fs: &dyn FileSystem, path: &Path) -> io::Result<()> {
    match fs.remove(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
