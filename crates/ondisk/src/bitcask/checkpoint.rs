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
use std::sync::{Arc, PoisonError};
use std::vec;

use bytes::Bytes;

use super::cask::Cask;
use super::data_file::Span;
use super::draft::{Finished, Output};
use super::graveyard::bury;
use super::keydir::{Change, Left};
use super::sabotage::BitcaskRule;
use crate::engine::{Job, Progress, Work};
use crate::error::Error;
use crate::keyspace::Frozen;
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
}

#[derive(Debug)]
enum Stage {
    /// The directory is made where it is not there.
    Begin,
    /// The newest versions go to a data file.
    Write(Box<Writing>),
    /// The data file is durable; the manifest comes to name it.
    Install {
        file: Option<Box<Finished>>,
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
    output: Option<Output>,
    /// The last key that was looked at.
    done: Option<Bytes>,
    changes: Vec<Change>,
}

/// Whether the frozen map has more to write.
enum End {
    Reached,
    Ahead,
}

impl Checkpoint {
    pub(crate) fn new(cask: Arc<Cask>, frozen: Frozen) -> Self {
        Self { cask, frozen, stage: Stage::Begin }
    }

    fn begin(&self) -> Result<Stage, Error> {
        if self.frozen.through <= self.cask.checkpoint_lsn() {
            return Ok(Stage::Forget); // it was taken over already
        }
        self.cask.make_dir()?;
        Ok(Stage::Write(Box::default()))
    }

    /// Writes a piece of the data file; with the last piece, syncs it.
    fn write(&self, bytes: usize, mut writing: Box<Writing>) -> Result<Stage, Error> {
        match self.write_piece(bytes, &mut writing)? {
            End::Ahead => Ok(Stage::Write(writing)),
            End::Reached => {
                let Writing { output, changes, .. } = *writing;
                // Without an output nothing survived its youth.
                let file = output.map(Output::finish).transpose()?.map(Box::new);
                Ok(Stage::Install { file, changes })
            }
        }
    }

    fn write_piece(&self, bytes: usize, writing: &mut Writing) -> Result<End, Error> {
        let Frozen { young, through } = &self.frozen;
        let done = writing.done.clone();
        let above = done.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let mut taken = 0;
        for newest in young.range(above, Bound::Unbounded, *through) {
            if taken >= bytes {
                return Ok(End::Ahead);
            }
            let (lsn, key) = (newest.lsn, &newest.key[..]);
            taken += key.len() + KEY_COST;
            match &newest.found {
                Found::Value(value) => {
                    taken += value.len();
                    let place = self.output(&mut writing.output)?.push(lsn, key, Some(value))?;
                    writing.changes.push(Change::Put(key.into(), place));
                }
                // A tombstone is for a key that an older file has; what died young leaves nothing.
                Found::Deleted if self.cask.shared.keydir().place(key).is_some() => {
                    let mut tombstone = None;
                    if !self.cask.breaks(BitcaskRule::TombstoneDropped) {
                        tombstone = Some(self.output(&mut writing.output)?.push(lsn, key, None)?);
                    }
                    writing.changes.push(Change::Delete(key.into(), tombstone));
                }
                Found::Deleted => {}
            }
            writing.done = Some(newest.key);
        }
        Ok(End::Reached)
    }

    /// The data file, which is made for the first entry.
    fn output<'a>(&self, output: &'a mut Option<Output>) -> Result<&'a mut Output, Error> {
        let made = match output.take() {
            Some(output) => output,
            None => {
                let (after, through) = (self.cask.checkpoint_lsn(), self.frozen.through);
                Output::create(&self.cask, Span { after, through })?
            }
        };
        Ok(output.insert(made))
    }

    fn install(
        &self,
        work: &Work<'_>,
        mut file: Option<Box<Finished>>,
        changes: Vec<Change>,
    ) -> Result<Stage, Error> {
        let through = self.frozen.through;
        if let Some(file) = &mut file {
            file.draft.trying();
        }
        self.cask.install(work, |manifest| {
            manifest.checkpoint = through;
            manifest.files.extend(file.as_ref().map(|file| file.record));
        })?;
        let mut written = self.cask.written.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes = file.as_ref().map_or(0, |file| file.record.len + file.record.hint_len);
        written.checkpoint += bytes;
        written.taken_over += self.frozen.young.weight();
        drop(written);
        if let Some(file) = file {
            let Finished { record, data, draft } = *file;
            draft.keep();
            self.cask.add_file(record.number, data);
        }
        if self.cask.breaks(BitcaskRule::ShownEarly) {
            self.cask.publish(through);
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

    fn forget(&self, work: &Work<'_>) -> Stage {
        let oldest = self.cask.oldest_view();
        if self.cask.shared.keydir_mut().forget(oldest, STEP_KEYS) == Left::More {
            return Stage::Forget;
        }
        bury(&self.cask, work);
        self.cask.look_at_pressure();
        Stage::Finished
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
            Stage::Forget => self.forget(work),
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
    }
}
