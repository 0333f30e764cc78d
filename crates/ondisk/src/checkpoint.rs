//! The checkpoint: what moves the young generation into the engine, step by step.
//!
//! ```text
//! freeze ─► log durable ─► data file, synced ─► manifest ─► keydir, view ─► log may be truncated
//! ```
//!
//! Invariant: whatever step fails or is cut, the state is whole. Until the manifest is installed
//! the frozen map is what readers see and the log is what recovery reads; the attempt is thrown
//! away and the next one begins again, under a fresh file number. Starts no thread, reads no
//! clock.

use std::io;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::vec;

use bytes::Bytes;
use ondisk_fs::{Access, FileSystem};
use ondisk_log::{Lsn, Step};

use crate::bitcask::data_file::{DataFile, DataWriter, Identity, Span, Sync, file_name};
use crate::bitcask::keydir::Change;
use crate::bitcask::manifest::{DataFileRecord, MANIFEST, Manifest};
use crate::error::Error;
use crate::keyspace::Frozen;
use crate::sabotage::Sabotage;
use crate::store::Store;
use crate::young::Found;

/// How many bytes of keys and values one step takes over.
const STEP_BYTES: usize = 1 << 20;
/// What a key costs a step beside its bytes, so that keys without values end a step too.
const KEY_COST: usize = 64;
/// How many keys one step puts into the keydir, which readers wait for.
const STEP_KEYS: usize = 4096;

/// The state of a store's checkpoints between two steps.
#[derive(Debug)]
pub(crate) struct Checkpointer {
    /// As it is installed.
    manifest: Manifest,
    job: Option<Job>,
    /// No attempt takes a number that an earlier one took: of one that failed late it is not
    /// known whether a manifest names its file.
    next_number: u32,
    /// Files of attempts that failed. A manifest whose installation failed may name them: they go
    /// when one that does not is in place.
    leftovers: Vec<PathBuf>,
    /// The log was told that it may be replayed from above this.
    released: Lsn,
}

/// A checkpoint under way.
#[derive(Debug)]
struct Job {
    frozen: Frozen,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// The log is made durable through the last commit of the frozen map.
    SyncLog,
    /// The newest versions go to a data file.
    Write(Box<Writing>),
    /// The data file is durable; the manifest comes to name it.
    Install { file: Option<(DataFileRecord, DataFile)>, changes: Vec<Change> },
    /// The keydir learns the new places; then the view lets go of the frozen map.
    Apply(vec::IntoIter<Change>),
    /// The log may forget.
    Release,
}

#[derive(Debug, Default)]
struct Writing {
    writer: Option<DataWriter>,
    /// The last key that was looked at.
    done: Option<Bytes>,
    changes: Vec<Change>,
}

impl Checkpointer {
    pub(crate) fn new(manifest: Manifest, released: Lsn) -> Self {
        let next_number = manifest.next_number;
        Self { manifest, job: None, next_number, leftovers: Vec::new(), released }
    }

    /// All commits up to this one are in the engine.
    pub(crate) fn checkpoint(&self) -> Lsn {
        self.manifest.checkpoint
    }

    /// All commits up to this one are in the engine, and the log knows it.
    pub(crate) fn released(&self) -> Lsn {
        self.released
    }

    /// Whether a checkpoint is under way.
    pub(crate) fn is_running(&self) -> bool {
        self.job.is_some()
    }

    /// Does one bounded piece of a checkpoint, beginning one where none is under way and there is
    /// something to take over. `through` says up to which commit the active map is complete once
    /// commits are held off.
    ///
    /// After an error no checkpoint is under way, and the next step begins again.
    pub(crate) fn step(
        &mut self,
        store: &Store,
        through: impl FnOnce() -> Lsn,
    ) -> Result<Step, Error> {
        let Some(job) = self.job.take().or_else(|| self.begin(store, through)) else {
            return Ok(Step::Idle);
        };
        self.job = self.advance(store, job)?;
        Ok(Step::Working)
    }

    fn begin(&self, store: &Store, through: impl FnOnce() -> Lsn) -> Option<Job> {
        let installed = self.manifest.checkpoint;
        let frozen = store.keyspace.frozen().or_else(|| store.freeze_above(installed, through));
        if let Some(frozen) = frozen {
            return Some(Job { frozen, stage: Stage::SyncLog });
        }
        // A checkpoint was installed, and then telling the log failed or was cut.
        (self.released < installed)
            .then(|| Job { frozen: Frozen::none(installed), stage: Stage::Release })
    }

    /// Takes a job one piece further; `None` when it is finished.
    fn advance(&mut self, store: &Store, job: Job) -> Result<Option<Job>, Error> {
        let Job { frozen, stage } = job;
        let through = frozen.through;
        let stage = match stage {
            Stage::SyncLog => {
                if store.breaks(Sabotage::ManifestBeforeLog) || sync_log(store, through)? {
                    Stage::Write(Box::default())
                } else {
                    Stage::SyncLog
                }
            }
            Stage::Write(writing) => self.write(store, &frozen, writing)?,
            Stage::Install { file, changes } => self.install(store, through, file, changes)?,
            Stage::Apply(changes) => apply(store, changes),
            Stage::Release => {
                self.release(store, through)?;
                return Ok(None);
            }
        };
        Ok(Some(Job { frozen, stage }))
    }

    /// Writes a piece of the data file; with the last piece, syncs it.
    fn write(
        &mut self,
        store: &Store,
        frozen: &Frozen,
        mut writing: Box<Writing>,
    ) -> Result<Stage, Error> {
        let written = self.write_piece(store, frozen, &mut writing);
        let path = writing.writer.as_ref().map(|writer| writer.path().to_owned());
        let stage = match written {
            Ok(End::Ahead) => Ok(Stage::Write(writing)),
            Ok(End::Reached) => finish(store, *writing),
            Err(error) => Err(error),
        };
        if let (Err(_), Some(path)) = (&stage, path) {
            // No manifest was tried that names it, and on a full disk its space is wanted.
            if remove(store.keyspace.engine().fs(), &path).is_err() {
                self.leftovers.push(path);
            }
        }
        stage
    }

    fn write_piece(
        &mut self,
        store: &Store,
        frozen: &Frozen,
        writing: &mut Writing,
    ) -> Result<End, Error> {
        let engine = store.keyspace.engine();
        let done = writing.done.clone();
        let above = done.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let mut taken = 0;
        for newest in frozen.young.range(above, Bound::Unbounded, frozen.through) {
            if taken >= STEP_BYTES {
                return Ok(End::Ahead);
            }
            let (lsn, key) = (newest.lsn, &newest.key[..]);
            taken += key.len() + KEY_COST;
            match &newest.found {
                Found::Value(value) => {
                    taken += value.len();
                    let writer = self.writer(store, frozen.through, &mut writing.writer)?;
                    let place = writer.push(lsn, key, Some(value))?;
                    writing.changes.push(Change::Put(key.into(), place));
                }
                // A tombstone is for a key that an older file has; what died young leaves nothing.
                Found::Deleted if engine.keydir().place(key).is_some() => {
                    if !store.breaks(Sabotage::TombstoneDropped) {
                        let writer = self.writer(store, frozen.through, &mut writing.writer)?;
                        writer.push(lsn, key, None)?;
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
        store: &Store,
        through: Lsn,
        writer: &'a mut Option<DataWriter>,
    ) -> Result<&'a mut DataWriter, Error> {
        if writer.is_none() {
            *writer = Some(self.create(store, through)?);
        }
        writer.as_mut().ok_or(Error::Closed) // it was just made
    }

    fn create(&mut self, store: &Store, through: Lsn) -> Result<DataWriter, Error> {
        let engine = store.keyspace.engine();
        let number = self.next_number;
        if store.breaks(Sabotage::NumberReused) {
            let path = engine.dir().join(file_name(number));
            remove(engine.fs(), &path).map_err(Error::io(&path, "remove the data file"))?;
        } else {
            self.next_number = self.next_number.saturating_add(1);
        }
        let manifest = &self.manifest;
        let identity = Identity { store: manifest.store, keyspace: manifest.keyspace, number };
        let span = Span { after: manifest.checkpoint, through };
        DataWriter::create(engine.fs(), engine.dir(), identity, span)
    }

    fn install(
        &mut self,
        store: &Store,
        through: Lsn,
        file: Option<(DataFileRecord, DataFile)>,
        changes: Vec<Change>,
    ) -> Result<Stage, Error> {
        let engine = store.keyspace.engine();
        let mut manifest = self.manifest.clone();
        manifest.checkpoint = through;
        manifest.next_number = self.next_number;
        manifest.files.extend(file.as_ref().map(|(record, _)| *record));
        if store.breaks(Sabotage::NumberReused) {
            manifest.next_number = self.next_number.saturating_add(1);
        }
        if store.breaks(Sabotage::TruncatedBeforeManifest) {
            self.release(store, through)?;
        }
        // Else a power cut could keep in the engine what it takes out of the log.
        assert!(
            store.log.durable() >= through || store.breaks(Sabotage::ManifestBeforeLog),
            "a manifest through LSN {through} while the log is durable through {}",
            store.log.durable(),
        );
        let installed = if store.breaks(Sabotage::ManifestInPlace) {
            overwrite_manifest(store, &manifest)
        } else {
            engine.install(&manifest)
        };
        if let Err(error) = installed {
            self.leftovers.extend(file.map(|(_, data)| data.path().to_owned()));
            return Err(error);
        }
        self.next_number = manifest.next_number;
        self.manifest = manifest;
        self.remove_leftovers(engine.fs());
        if let Some((record, data)) = file {
            engine.keydir_mut().add_file(record.number, Arc::new(data));
        }
        store.installed(through);
        Ok(Stage::Apply(changes.into_iter()))
    }

    fn release(&mut self, store: &Store, through: Lsn) -> Result<(), Error> {
        store.log.checkpoint(through)?;
        store.log.truncate(through)?;
        self.released = through;
        Ok(())
    }

    /// Removes what it can; what it cannot is tried again later, and by the next open.
    fn remove_leftovers(&mut self, fs: &dyn FileSystem) {
        self.leftovers.retain(|path| remove(fs, path).is_err());
    }
}

/// Whether the frozen map has more to write.
enum End {
    Reached,
    Ahead,
}

/// Makes the data file durable, if there is one, and its name.
fn finish(store: &Store, writing: Writing) -> Result<Stage, Error> {
    let Writing { writer, changes, .. } = writing;
    let Some(writer) = writer else {
        return Ok(Stage::Install { file: None, changes }); // nothing survived its youth
    };
    let skipped = store.breaks(Sabotage::DataFileNotSynced);
    let file = writer.finish(if skipped { Sync::Skipped } else { Sync::Done })?;
    if !store.breaks(Sabotage::DataFileNameNotSynced) {
        // The name too, before a manifest can name it.
        let engine = store.keyspace.engine();
        let synced = engine.fs().sync_dir(engine.dir());
        synced.map_err(Error::io(engine.dir(), "sync the directory"))?;
    }
    Ok(Stage::Install { file: Some(file), changes })
}

/// Removes a file; one that is not there is no error.
fn remove(fs: &dyn FileSystem, path: &Path) -> io::Result<()> {
    match fs.remove(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Makes the log durable through a commit; whether all through it is acknowledged too. That comes
/// a moment later, and the engine's places are seen by every reader: so they wait for it.
fn sync_log(store: &Store, through: Lsn) -> Result<bool, Error> {
    store.log.wait_durable(through)?;
    let acknowledged = store.log.acknowledged() >= through;
    if !acknowledged {
        std::thread::yield_now(); // to the committer that is between its LSN and its wait
    }
    Ok(acknowledged)
}

/// Puts some keys into the keydir; when all are in, the view lets go of the frozen map.
fn apply(store: &Store, mut changes: vec::IntoIter<Change>) -> Stage {
    let mut keydir = store.keyspace.engine().keydir_mut();
    changes.by_ref().take(STEP_KEYS).for_each(|change| keydir.apply(change));
    drop(keydir);
    if changes.len() > 0 {
        return Stage::Apply(changes);
    }
    store.keyspace.thaw();
    Stage::Release
}

/// The canary's way: what a cut leaves of it is anybody's guess.
fn overwrite_manifest(store: &Store, manifest: &Manifest) -> Result<(), Error> {
    let (engine, bytes) = (store.keyspace.engine(), manifest.encode());
    let path = engine.dir().join(MANIFEST);
    let io = |source| Error::Io { path: path.clone(), op: "overwrite the manifest", source };
    let file = engine.fs().open(&path, Access::ReadWrite).map_err(io)?;
    file.write_all_at(&bytes, 0).map_err(io)?;
    file.set_len(bytes.len() as u64).map_err(io)?;
    file.sync_all().map_err(io).map(drop)
}
