//! A restore: a new store from a directory of backups.
//!
//! Invariant: a store that is restored is durable, closed and whole before it gets its name, and
//! gets none where a part of the backup is not the one that the list names.

use std::path::Path;

use ondisk_fs::FileSystem;
use ondisk_log::{Lsn, SyncMode};

use crate::backup::chain::ChainWalk;
use crate::backup::list::List;
use crate::backup::making::Making;
use crate::backup::part::Sums;
use crate::backup::sabotage::BackupRule;
use crate::backup::{BackupProgress, NO_LIST, NO_SUCH, TELL_EVERY, not_a_backup};
use crate::batch::Batch;
use crate::builder::Builder;
use crate::db::Db;
use crate::error::Error;
use crate::keyspace::DEFAULT_KEYSPACE;

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
        let making = Making::begin(&*fs, path, BackupRule::of(self.broken()))?;
        let unverified = making.breaks(BackupRule::RestoredUnverified);
        let sums = if unverified { Sums::Ignored } else { Sums::Checked };
        let largest = list.backups.iter().map(|backup| backup.largest).max().unwrap_or_default();
        let db = self.sync(SyncMode::None).fitting(largest).restoring().open(making.temp())?;
        let filled = fill(&*fs, dir, &list, &db, sums, told);
        if making.breaks(BackupRule::MarkRemovedEarly) {
            making.unmark()?;
        }
        if making.breaks(BackupRule::NamedBeforeDurable) {
            std::mem::forget(db); // as a process that died leaves it
        } else {
            let made = if filled.is_ok() { db.checkpoint() } else { Ok(()) };
            db.close()?;
            made?;
        }
        if filled.is_ok() || making.breaks(BackupRule::FailedAndNamed) {
            making.finish()?;
        }
        filled
    }
}

fn no_such(dir: &Path) -> impl FnOnce() -> Error + '_ {
    || not_a_backup(dir, NO_SUCH)
}

/// Fills a new store, in mode none: it is made durable at the end, as a whole.
fn fill(
    fs: &dyn FileSystem,
    dir: &Path,
    list: &List,
    db: &Db,
    sums: Sums,
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
        let mut walk = ChainWalk::new(fs, dir, list, listed.id, sums)?;
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
