//! Opening a store: make it where there is none, recover it where there is one.
//!
//! Invariant: what a store holds is read and verified before the first byte is written, and when
//! an open returns, all that the store serves is durable. An open that is cut anywhere leaves a
//! store that opens, or nothing.

use std::path::Path;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use ondisk_fs::{FileSystem, LockError, LockMode, create_dir_durable};
use ondisk_log::{Flow, Log, LogOptions, Lsn, Recovered, StoreId};

use crate::bitcask::data_file::Sums;
use crate::bitcask::manifest::{MANIFEST, Manifest};
use crate::bitcask::{Bitcask, install_manifest, unnamed_files};
use crate::builder::Create;
use crate::checkpoint::Checkpointer;
use crate::commit::{COMMIT_VERSION, Commit, CommitError};
use crate::error::{Damage, Error};
use crate::keyspace::{DEFAULT_KEYSPACE, Keyspace};
use crate::limits::LONGEST_KEY;
use crate::place::{
    Standing, keyspace_dir, keyspaces_dir, lock_path, log_dir, not_a_store, survey,
};
use crate::sabotage::Sabotage;
use crate::store::{Settings, Store};
use crate::young::Loading;

pub(crate) const NOTHING_HERE: &str =
    "there is nothing here; give the path of a store, or make one by a first put";
pub(crate) const HALF_MADE: &str =
    "its making was cut short and nothing was ever committed; a first put makes it again";

/// What an open needs to know.
#[derive(Debug)]
pub(crate) struct Opening<'a> {
    pub(crate) fs: Arc<dyn FileSystem>,
    pub(crate) path: &'a Path,
    pub(crate) create: Create,
    /// Of a store that is made.
    pub(crate) store_id: StoreId,
    pub(crate) log: LogOptions,
    pub(crate) settings: Settings,
}

impl Opening<'_> {
    /// Opens for writing.
    pub(crate) fn open(self) -> Result<(Store, Recovered), Error> {
        let (fs, path) = (&*self.fs, self.path);
        match (survey(fs, path)?, self.create) {
            (Standing::Store, _) | (Standing::Empty, Create::IfMissing) => {}
            (Standing::HalfMade, Create::IfMissing) => {}
            (Standing::HalfMade, Create::Never) => return Err(not_a_store(path, HALF_MADE)),
            (_, Create::Never) => return Err(not_a_store(path, NOTHING_HERE)),
            (Standing::Absent, Create::IfMissing) => make_dir(fs, path)?,
        }
        let held = fs.lock(&lock_path(path), LockMode::Exclusive).map_err(Error::lock(path))?;
        // Again, under the lock: somebody may have made the store meanwhile.
        let (log, engine, manifest, replayed, recovered) = match survey(fs, path)? {
            Standing::Store => self.recover()?,
            _ if self.create == Create::Never => return Err(not_a_store(path, NOTHING_HERE)),
            _ => self.make()?,
        };
        // What a process that died put there may stand in the cache alone; so may a manifest of
        // which the log was never told: putting it in place may have failed at the last step.
        let told = recovered.was_closed && manifest.checkpoint == recovered.checkpoint;
        if !told && !self.breaks(Sabotage::ManifestNotRenewed) {
            engine.install(&manifest)?;
        }
        // Only now: no manifest that a cut can bring back names them.
        for path in unnamed_files(fs, engine.dir(), &manifest)? {
            fs.remove(&path).map_err(Error::io(&path, "remove a file that belongs to nothing"))?;
        }
        let Replayed { young, last, failure, full, .. } = replayed;
        failure.map_or(Ok(()), Err)?;
        let keyspace = Keyspace::new(DEFAULT_KEYSPACE, young.finish(), engine);
        let checkpointer = Checkpointer::new(manifest, recovered.checkpoint);
        let store = Store::new(log, keyspace, checkpointer, self.settings, held);
        if full {
            replay_rest(&store, &log_dir(path), last)?;
        }
        Ok((store, recovered))
    }

    fn breaks(&self, rule: Sabotage) -> bool {
        self.settings.sabotage == Some(rule)
    }

    /// Makes a store. A cut before the last step leaves one that is half made.
    fn make(&self) -> Result<Opened, Error> {
        let (fs, path) = (&*self.fs, self.path);
        // Its name too, if it is here already: whoever made it may not have synced that.
        make_dir(fs, path)?;
        let new = Log::create(Arc::clone(&self.fs), &log_dir(path), self.store_id, self.log)?;
        let (keyspaces, dir) = (keyspaces_dir(path), keyspace_dir(path));
        make_dir(fs, &keyspaces)?;
        make_dir(fs, &dir)?;
        let manifest = Manifest::new(new.store_id(), DEFAULT_KEYSPACE);
        if self.breaks(Sabotage::FirstManifestNotSynced) {
            let path = dir.join(MANIFEST);
            let io = |source| Error::Io { path: path.clone(), op: "make the manifest", source };
            let file = fs.create_new(&path).map_err(io)?;
            file.write_all_at(&manifest.encode(), 0).map_err(io)?;
        } else {
            install_manifest(fs, &dir, &manifest)?;
        }
        // The keyspace is there, durably: so the store may be.
        let log = new.finish()?;
        let (engine, manifest) = self.open_engine(&dir)?;
        let recovered = nothing_recovered(self.store_id);
        let young = Replayed::above(Lsn(0));
        Ok((log, engine, manifest, young, recovered))
    }

    fn open_engine(&self, dir: &Path) -> Result<(Bitcask, Manifest), Error> {
        let ignored = self.breaks(Sabotage::SumsIgnored);
        let sums = if ignored { Sums::Ignored } else { Sums::Checked };
        Bitcask::open(&self.fs, dir, DEFAULT_KEYSPACE, sums)
    }

    fn recover(&self) -> Result<Opened, Error> {
        let (path, dir) = (self.path, keyspace_dir(self.path));
        // The engine first: it only reads, so damage is met before anything is written.
        let (engine, manifest) = self.open_engine(&dir)?;
        let from = manifest.checkpoint;
        let mut replayed = Replayed::above(from);
        let budget = self.settings.young_budget;
        let log = log_dir(path);
        let mut sink = |lsn, payload: Bytes| replayed.take(&log, lsn, &payload, budget);
        let fs = Arc::clone(&self.fs);
        let (log, recovered) = Log::recover(fs, &log, self.log, from, &mut sink)?;
        check_together(&dir, &manifest, &recovered)?;
        Ok((log, engine, manifest, replayed, recovered))
    }
}

/// Makes a directory, durably, if it is not there; its parents are the caller's.
fn make_dir(fs: &dyn FileSystem, path: &Path) -> Result<(), Error> {
    create_dir_durable(fs, path).map_err(Error::io(path, "make the directory")).map(drop)
}

/// What the open of a store finds that was made a moment ago.
fn nothing_recovered(store: StoreId) -> Recovered {
    Recovered {
        store,
        end: Lsn(0),
        was_closed: true,
        torn_tail: None,
        above_watermark: false,
        watermark: Lsn(0),
        checkpoint: Lsn(0),
        next: Lsn(1),
        epoch: 1,
        segments: 1,
        bytes: 0,
    }
}

type Opened = (Log, Bitcask, Manifest, Replayed, Recovered);

/// What was read of the log into a young map.
#[derive(Debug)]
pub(crate) struct Replayed {
    pub(crate) young: Loading,
    /// The last commit in it.
    pub(crate) last: Lsn,
    /// Why it takes no more, if that is a failure.
    pub(crate) failure: Option<Error>,
    /// It takes no more for want of memory.
    full: bool,
    pool: Pool,
}

/// Copies payloads that the log gave side by side into pieces of memory of their own.
///
/// What the log gives is a slice of a large piece of a segment, padding and all: kept, it would
/// keep that. One allocation a payload would take as long as the copy.
#[derive(Debug, Default)]
struct Pool(BytesMut);

/// Bytes of a pool's pieces; of one that is not filled only the pages that were written cost memory.
const PIECE: usize = 4 << 20;

impl Pool {
    fn copy(&mut self, payload: &[u8]) -> Bytes {
        if self.0.capacity() < payload.len() {
            self.0 = BytesMut::with_capacity(PIECE.max(payload.len()));
        }
        self.0.extend_from_slice(payload);
        self.0.split().freeze()
    }
}

impl Replayed {
    pub(crate) fn above(from: Lsn) -> Self {
        let (young, pool) = (Loading::default(), Pool::default());
        Self { young, last: from, failure: None, full: false, pool }
    }

    /// Takes a commit that the log gave.
    pub(crate) fn take(&mut self, log: &Path, lsn: Lsn, payload: &[u8], budget: u64) -> Flow {
        match read_commit(log, lsn, self.pool.copy(payload)) {
            Ok(commit) => self.young.push(lsn, &commit, DEFAULT_KEYSPACE),
            Err(error) => {
                self.failure = Some(error);
                return Flow::Full;
            }
        }
        self.last = lsn;
        self.full = self.young.weight() >= budget;
        if self.full { Flow::Full } else { Flow::Continue }
    }
}

/// Reads the payload of a commit that the log gave.
pub(crate) fn read_commit(log: &Path, lsn: Lsn, payload: Bytes) -> Result<Commit, Error> {
    let commit = Commit::parse(payload, LONGEST_KEY).map_err(|why| match why {
        CommitError::Version(found) if found > COMMIT_VERSION => {
            let (found, known) = (found.into(), COMMIT_VERSION.into());
            Error::NewerFormat { path: log.to_owned(), found, known }
        }
        why => Error::damaged(log, 0, Damage::Commit { lsn, why }),
    })?;
    let stranger = commit.ops().find(|op| op.keyspace != DEFAULT_KEYSPACE);
    match stranger {
        None => Ok(commit),
        Some(op) => {
            let why = CommitError::Keyspace(op.keyspace);
            Err(Error::damaged(log, 0, Damage::Commit { lsn, why }))
        }
    }
}

/// Checks that the log and the manifest are of one store and of one moment.
pub(crate) fn check_together(
    dir: &Path,
    manifest: &Manifest,
    recovered: &Recovered,
) -> Result<(), Error> {
    let damaged = |damage| Err(Error::damaged(&dir.join(MANIFEST), 0, damage));
    if manifest.store != recovered.store {
        return damaged(Damage::Elsewhere("store"));
    }
    let (checkpoint, released, end) = (manifest.checkpoint, recovered.checkpoint, recovered.end);
    if checkpoint < released {
        return damaged(Damage::Outdated { checkpoint, released });
    }
    if end < checkpoint {
        return damaged(Damage::LogEndsEarly { end, checkpoint });
    }
    Ok(())
}

/// The young map has reached its budget, and the log goes on: checkpoint by checkpoint all of it
/// goes into the engine, the last piece aside.
fn replay_rest(store: &Store, log: &Path, mut last: Lsn) -> Result<(), Error> {
    loop {
        let claimed =
            if store.breaks(Sabotage::RecoveryClaimsAll) { store.log.last() } else { last };
        store.checkpoint_through(claimed, || claimed)?;
        let (mut records, mut pool) = (store.log.iter(last.next())?, Pool::default());
        loop {
            let Some(record) = records.next() else { return Ok(()) };
            let (lsn, payload) = record?;
            store.keyspace.insert(lsn, &read_commit(log, lsn, pool.copy(&payload))?);
            last = lsn;
            if store.keyspace.young_bytes() >= store.settings.young_budget {
                break;
            }
        }
    }
}

/// Takes the lock of a store that is only read. Where there is none, as in a copy, no writer has
/// ever had this directory open.
pub(crate) fn lock_shared(
    fs: &dyn FileSystem,
    path: &Path,
) -> Result<Option<Box<dyn ondisk_fs::Held>>, Error> {
    match fs.lock(&lock_path(path), LockMode::Shared) {
        Ok(held) => Ok(Some(held)),
        Err(LockError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
            Ok(None)
        }
        Err(error) => Err(Error::lock(path)(error)),
    }
}
