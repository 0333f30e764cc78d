//! The checkpoint: what moves a frozen young map into a data file, step by step.
//!
//! ```text
//! data file, synced ─► its name, synced ─► manifest ─► keydir ─► the new view
//! ```
//!
//! Invariant: whatever step fails or is cut, the state is whole. Until the manifest is installed
//! the view is the former one and the log is what recovery reads; the attempt is thrown away, and
//! the next one begins again under a fresh file number. Once it is installed nothing can fail any
//! more, and a job that is dropped is brought to its end.
//!
//! Knows nothing of who reads, and of the log but how far it is durable.

use std::mem;
use std::ops::Bound;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};
use std::vec;

use bytes::Bytes;

use super::cask::Cask;
use super::data_file::{DataFile, DataWriter, Span, Sync};
use super::keydir::{Change, Left};
use super::manifest::DataFileRecord;
use crate::engine::{Job, Progress, Work};
use crate::error::Error;
use crate::keyspace::Frozen;
use crate::sabotage::Sabotage;
use crate::young::Found;

/// What a key costs a step beside its bytes, so that keys without values end a step too.
const KEY_COST: usize = 64;
/// How many keys one step puts into the keydir, or forgets, which readers wait for.
const STEP_KEYS: usize = 4096;

/// A checkpoint under way.
#[derive(Debug)]
pub(crate) struct Checkpoint {
    cask: Arc<Cask>,
    frozen: Frozen,
    stage: Stage,
    /// The data file, until a manifest names it.
    draft: Option<Draft>,
}

#[derive(Debug)]
enum Stage {
    /// The directory is made where it is not there.
    Begin,
    /// The newest versions go to a data file.
    Write(Writing),
    /// The data file is durable; the manifest comes to name it.
    Install {
        file: Option<(DataFileRecord, DataFile)>,
        changes: Vec<Change>,
    },
    /// The keydir learns the new places; then everybody sees them.
    Apply(vec::IntoIter<Change>),
    /// The former places that no view needs are forgotten.
    Forget,
    Finished,
}

#[derive(Debug, Default)]
struct Writing {
    writer: Option<DataWriter>,
    /// The last key that was looked at.
    done: Option<Bytes>,
    changes: Vec<Change>,
}

/// A file that no manifest names yet.
#[derive(Debug)]
struct Draft {
    path: PathBuf,
    tried: Tried,
}

/// Whether a manifest that names a draft may be on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tried {
    No,
    Perhaps,
}

/// Whether the frozen map has more to write.
enum End {
    Reached,
    Ahead,
}

impl Checkpoint {
    pub(crate) fn new(cask: Arc<Cask>, frozen: Frozen) -> Self {
        Self { cask, frozen, stage: Stage::Begin, draft: None }
    }

    fn begin(&self) -> Result<Stage, Error> {
        if self.frozen.through <= self.cask.checkpoint_lsn() {
            return Ok(Stage::Forget); // it was taken over already
        }
        self.cask.make_dir()?;
        Ok(Stage::Write(Writing::default()))
    }

    /// Writes a piece of the data file; with the last piece, syncs it.
    fn write(&mut self, bytes: usize, mut writing: Writing) -> Result<Stage, Error> {
        match self.write_piece(bytes, &mut writing)? {
            End::Ahead => Ok(Stage::Write(writing)),
            End::Reached => self.finish(writing),
        }
    }

    fn write_piece(&mut self, bytes: usize, writing: &mut Writing) -> Result<End, Error> {
        let Frozen { young, through } = self.frozen.clone();
        let done = writing.done.clone();
        let above = done.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let mut taken = 0;
        for newest in young.range(above, Bound::Unbounded, through) {
            if taken >= bytes {
                return Ok(End::Ahead);
            }
            let (lsn, key) = (newest.lsn, &newest.key[..]);
            taken += key.len() + KEY_COST;
            match &newest.found {
                Found::Value(value) => {
                    taken += value.len();
                    let place = self.writer(&mut writing.writer)?.push(lsn, key, Some(value))?;
                    writing.changes.push(Change::Put(key.into(), place));
                }
                // A tombstone is for a key that an older file has; what died young leaves nothing.
                Found::Deleted if self.cask.shared.keydir().place(key).is_some() => {
                    if !self.cask.site.breaks(Sabotage::TombstoneDropped) {
                        self.writer(&mut writing.writer)?.push(lsn, key, None)?;
                    }
                    writing.changes.push(Change::Delete(key.into()));
                }
                Found::Deleted => {}
            }
            writing.done = Some(newest.key);
        }
        Ok(End::Reached)
    }

    /// The writer of the data file, which is made for the first entry.
    fn writer<'a>(
        &mut self,
        writer: &'a mut Option<DataWriter>,
    ) -> Result<&'a mut DataWriter, Error> {
        let made = match writer.take() {
            Some(writer) => writer,
            None => {
                let (after, through) = (self.cask.checkpoint_lsn(), self.frozen.through);
                let made = self.cask.new_file(Span { after, through })?;
                self.draft = Some(Draft { path: made.path().to_owned(), tried: Tried::No });
                made
            }
        };
        Ok(writer.insert(made))
    }

    /// Makes the data file durable, if there is one, and its name.
    fn finish(&self, writing: Writing) -> Result<Stage, Error> {
        let Writing { writer, changes, .. } = writing;
        let Some(writer) = writer else {
            return Ok(Stage::Install { file: None, changes }); // nothing survived its youth
        };
        let site = &self.cask.site;
        let skipped = site.breaks(Sabotage::DataFileNotSynced);
        let file = writer.finish(if skipped { Sync::Skipped } else { Sync::Done })?;
        if !site.breaks(Sabotage::DataFileNameNotSynced) {
            // The name too, before a manifest can name it.
            site.fs.sync_dir(&site.dir).map_err(Error::io(&site.dir, "sync the directory"))?;
        }
        Ok(Stage::Install { file: Some(file), changes })
    }

    fn install(
        &mut self,
        work: &Work<'_>,
        file: Option<(DataFileRecord, DataFile)>,
        changes: Vec<Change>,
    ) -> Result<Stage, Error> {
        let through = self.frozen.through;
        if let Some(draft) = &mut self.draft {
            draft.tried = Tried::Perhaps;
        }
        self.cask.install(work, |manifest| {
            manifest.checkpoint = through;
            manifest.files.extend(file.as_ref().map(|(record, _)| *record));
        })?;
        self.draft = None;
        let mut written = self.cask.written.lock().unwrap_or_else(PoisonError::into_inner);
        written.checkpoint += file.as_ref().map_or(0, |(record, _)| record.len);
        written.taken_over += self.frozen.young.weight();
        drop(written);
        if let Some((record, data)) = file {
            self.cask.shared.keydir_mut().add_file(record.number, Arc::new(data));
        }
        Ok(Stage::Apply(changes.into_iter()))
    }

    /// Puts some keys into the keydir; when all are in, everybody sees them.
    fn apply(&self, mut changes: vec::IntoIter<Change>) -> Stage {
        let through = self.frozen.through;
        let mut keydir = self.cask.shared.keydir_mut();
        changes.by_ref().take(STEP_KEYS).for_each(|change| keydir.apply_at(change, through));
        drop(keydir);
        if changes.len() > 0 {
            return Stage::Apply(changes);
        }
        self.cask.publish(through);
        Stage::Forget
    }

    fn forget(&self) -> Stage {
        let oldest = self.cask.oldest_view();
        match self.cask.shared.keydir_mut().forget(oldest, STEP_KEYS) {
            Left::More => Stage::Forget,
            Left::Nothing => Stage::Finished,
        }
    }
}

impl Job for Checkpoint {
    fn step(&mut self, work: &Work<'_>) -> Result<Progress, Error> {
        // After an error the job is at its end.
        self.stage = match mem::replace(&mut self.stage, Stage::Finished) {
            Stage::Begin => self.begin()?,
            Stage::Write(writing) => self.write(work.bytes, writing)?,
            Stage::Install { file, changes } => self.install(work, file, changes)?,
            Stage::Apply(changes) => self.apply(changes),
            Stage::Forget => self.forget(),
            Stage::Finished => Stage::Finished,
        };
        let finished = matches!(self.stage, Stage::Finished);
        Ok(if finished { Progress::Finished } else { Progress::Working })
    }
}

impl Drop for Checkpoint {
    fn drop(&mut self) {
        while let Stage::Apply(changes) = mem::replace(&mut self.stage, Stage::Finished) {
            self.stage = self.apply(changes); // the manifest is in place
        }
        match self.draft.take() {
            Some(Draft { path, tried: Tried::No }) => self.cask.discard(path),
            Some(Draft { path, tried: Tried::Perhaps }) => self.cask.leave(path),
            None => {}
        }
    }
}
