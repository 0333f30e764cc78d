//! Files that a job writes: a data file and its hint file, until a manifest names them.
//!
//! Invariant: a draft that is dropped before a manifest was tried that names it leaves nothing;
//! one that is dropped later stays until a manifest that does not name it is in place.
//!
//! Knows nothing of which entries there are.

use std::path::PathBuf;
use std::sync::Arc;

use ondisk_log::Lsn;

use super::cask::{Cask, remove};
use super::data_file::{DataFile, DataWriter, Identity, Place, Span, Sync, file_name};
use super::hint::{HintWriter, Kind, hint_name};
use super::manifest::DataFileRecord;
use super::sabotage::BitcaskRule;
use crate::engine::Site;
use crate::error::Error;

/// A data file that is being written, and its hint file.
#[derive(Debug)]
pub(super) struct Output {
    data: DataWriter,
    hint: HintWriter,
    draft: Draft,
}

/// Files that no manifest names yet.
#[derive(Debug)]
pub(super) struct Draft {
    cask: Arc<Cask>,
    paths: Vec<PathBuf>,
    tried: Tried,
}

/// A data file that is durable, name and hint file included, and waits for its manifest.
#[derive(Debug)]
pub(super) struct Finished {
    pub(super) record: DataFileRecord,
    pub(super) data: DataFile,
    pub(super) draft: Draft,
}

/// Whether a manifest that names a draft may be on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tried {
    No,
    Perhaps,
}

impl Output {
    /// Makes both files, under a number that no other file ever had.
    pub(super) fn create(cask: &Arc<Cask>, span: Span) -> Result<Self, Error> {
        let Site { fs, dir, store, keyspace, .. } = &cask.site;
        let number = cask.take_number();
        let identity = Identity { store: *store, keyspace: *keyspace, number };
        let mut draft = Draft { cask: Arc::clone(cask), paths: Vec::new(), tried: Tried::No };
        if cask.breaks(BitcaskRule::NumberReused) {
            for path in [file_name(number), hint_name(number)].map(|name| dir.join(name)) {
                remove(&**fs, &path).map_err(Error::io(&path, "remove the former attempt"))?;
            }
        }
        let data = DataWriter::create(&**fs, dir, identity, span)?;
        draft.paths.push(data.path().to_owned());
        let hint = HintWriter::create(&**fs, dir, identity)?;
        draft.paths.push(hint.path().to_owned());
        Ok(Self { data, hint, draft })
    }

    /// Appends an entry; `None` is a tombstone. Keys come in ascending order.
    pub(super) fn push(
        &mut self,
        lsn: Lsn,
        key: &[u8],
        value: Option<&[u8]>,
    ) -> Result<Place, Error> {
        let place = self.data.push(lsn, key, value)?;
        let kind = if value.is_some() { Kind::Put } else { Kind::Tombstone };
        self.hint.push(key, place, kind)?;
        Ok(place)
    }

    /// The bytes of both files so far.
    pub(super) fn bytes(&self) -> u64 {
        self.data.bytes() + self.hint.bytes()
    }

    /// Makes both files durable, and their names.
    pub(super) fn finish(self) -> Result<Finished, Error> {
        let Self { data, hint, draft } = self;
        let site = &draft.cask.site;
        let sync =
            |rule: BitcaskRule| if site.breaks(rule.into()) { Sync::Skipped } else { Sync::Done };
        let (mut record, data) = data.finish(sync(BitcaskRule::DataFileNotSynced))?;
        record.hint_len = hint.finish(&record, sync(BitcaskRule::HintNotSynced))?;
        if sync(BitcaskRule::NamesNotSynced) == Sync::Done {
            // The names too, before a manifest can name them.
            site.fs.sync_dir(&site.dir).map_err(Error::io(&site.dir, "sync the directory"))?;
        }
        Ok(Finished { record, data, draft })
    }
}

impl Draft {
    /// A manifest that names the files is about to be put in place: if that fails, it may be.
    pub(super) fn trying(&mut self) {
        self.tried = Tried::Perhaps;
    }

    /// A manifest that names the files is in place.
    pub(super) fn keep(mut self) {
        self.paths.clear();
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        let (fs, site) = (&*self.cask.site.fs, &self.cask.site);
        let tried =
            self.tried == Tried::Perhaps && !site.breaks(BitcaskRule::TriedFilesRemoved.into());
        // On a full disk their space is wanted. What cannot be removed now is tried again with the
        // next manifest, and by the next open.
        self.paths.retain(|path| tried || remove(fs, path).is_err());
        self.cask.leave(&mut self.paths);
    }
}
