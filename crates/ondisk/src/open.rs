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

use crate::batch::Touched;
use crate::builder::Create;
use crate::cache::Caches;
use crate::catalog::{CATALOG, Catalog, Listed};
use crate::commit::{COMMIT_VERSION, Commit, CommitError};
use crate::engine::{CommitPoint, Engine, Pins, Site};
use crate::error::{Damage, Error};
use crate::keyspace::{DEFAULT_KEYSPACE, DEFAULT_NAME, Space, keyspace_dir};
use crate::keyspaces::{Keyspaces, Spaces, remove_unnamed, site_of};
use crate::limits::LONGEST_KEY;
use crate::options::KeyspaceOptions;
use crate::pins::FilePins;
use crate::place::{
    Standing, keyspaces_dir, lock_path, log_dir, not_a_store, refuse_restoring, survey,
};
use crate::reserve::Reserve;
use crate::sabotage::{BackupRule, Sabotage};
use crate::store::{Parts, Settings, Store};
use crate::values::ValueFiles;
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
    pub(crate) cache_bytes: u64,
    pub(crate) settings: Settings,
    pub(crate) purpose: Purpose,
}

/// What a store is opened for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Purpose {
    #[default]
    Use,
    /// It is being restored, and is no store for anybody else.
    Restore,
}

/// A store's catalog and the engines that it names, opened, with nothing written.
#[derive(Debug)]
pub(crate) struct Engines {
    pub(crate) catalog: Catalog,
    pub(crate) site: Site,
    pub(crate) opened: Vec<Arc<dyn Engine>>,
}

impl Opening<'_> {
    /// Opens for writing.
    pub(crate) fn open(self) -> Result<(Arc<Store>, Recovered), Error> {
        let (fs, path) = (&*self.fs, self.path);
        if self.purpose == Purpose::Use && !self.breaks(BackupRule::MarkIgnored.into()) {
            refuse_restoring(fs, path)?;
        }
        match (survey(fs, path)?, self.create) {
            (Standing::Store, _) | (Standing::Empty, Create::IfMissing) => {}
            (Standing::HalfMade, Create::IfMissing) => {}
            (Standing::HalfMade, Create::Never) => return Err(not_a_store(path, HALF_MADE)),
            (_, Create::Never) => return Err(not_a_store(path, NOTHING_HERE)),
            (Standing::Absent, Create::IfMissing) => make_dir(fs, path)?,
        }
        let held = fs.lock(&lock_path(path), LockMode::Exclusive).map_err(Error::lock(path))?;
        // Again, under the lock: somebody may have made the store meanwhile.
        let (log, engines, replayed, recovered) = match survey(fs, path)? {
            Standing::Store => self.recover()?,
            _ if self.create == Create::Never => return Err(not_a_store(path, NOTHING_HERE)),
            _ => self.make()?,
        };
        let catalog = self.renew(&engines, &recovered)?;
        // Only now: no commit point that a cut can bring back names them.
        let pins: Arc<dyn Pins> = Arc::new(FilePins::new(Arc::clone(&self.fs), path));
        if pins.oldest().is_none() {
            // A reader that outlives the writer before may be about to open them.
            remove_unnamed(fs, path, &catalog)?;
            engines.opened.iter().try_for_each(|engine| engine.sweep())?;
        }
        let Replayed { young, last, failure, full, .. } = replayed;
        failure.map_or(Ok(()), Err)?;
        let Engines { site, opened, .. } = engines;
        let spaces = spaces(&site, path, &catalog, young, opened)?;
        let default = Arc::clone(default_of(path, &spaces)?);
        let keyspaces = Keyspaces::new(path.to_owned(), site, catalog, spaces, Arc::clone(&pins));
        let reserve = Reserve::new(Arc::clone(&self.fs), path);
        let released = recovered.checkpoint;
        let parts = Parts { log, keyspaces, default, released, pins, reserve, held };
        let store = Store::new(parts, self.settings);
        if full {
            replay_rest(&store, &log_dir(path), last)?;
        }
        Ok((Arc::new(store), recovered))
    }

    fn breaks(&self, rule: Sabotage) -> bool {
        self.settings.sabotage == Some(rule)
    }

    /// What a process that died put in place may stand in the cache alone: it is put there anew.
    /// What the catalog confirms was durable before the catalog said so.
    fn renew(&self, engines: &Engines, recovered: &Recovered) -> Result<Catalog, Error> {
        let mut catalog = engines.catalog.clone();
        let assumed = !has_catalog(&*self.fs, self.path)?;
        if assumed {
            // First of all: what is put in place below is not from before there were catalogs.
            catalog.install(&*self.fs, self.path)?;
        }
        for (listed, engine) in catalog.keyspaces.iter_mut().zip(&engines.opened) {
            let point = engine.commit_point();
            if point != listed.confirmed && !self.breaks(Sabotage::ManifestNotRenewed) {
                engine.renew()?;
                listed.confirmed = engine.commit_point();
            }
        }
        if catalog != engines.catalog || (!recovered.was_closed && !assumed) {
            catalog.install(&*self.fs, self.path)?;
        }
        Ok(catalog)
    }

    /// Makes a store. A cut before the last step leaves one that is half made.
    fn make(&self) -> Result<Opened, Error> {
        let (fs, path) = (&*self.fs, self.path);
        // Its name too, if it is here already: whoever made it may not have synced that.
        make_dir(fs, path)?;
        let new = Log::create(Arc::clone(&self.fs), &log_dir(path), self.store_id, self.log)?;
        make_dir(fs, &keyspaces_dir(path))?;
        let catalog = Catalog::of_default(new.store_id());
        if self.breaks(Sabotage::FirstCatalogNotSynced) {
            let path = path.join(CATALOG);
            let io = |source| Error::Io { path: path.clone(), op: "make the catalog", source };
            let file = fs.create_new(&path).map_err(io)?;
            file.write_all_at(&catalog.encode(), 0).map_err(io)?;
        } else {
            catalog.install(fs, path)?;
        }
        // The catalog is there, durably: so the store may be.
        let log = new.finish()?;
        let engines = Engines::open(self.site(catalog.store), path, catalog)?;
        let young = Replayed::of(&engines);
        Ok((log, engines, young, nothing_recovered(self.store_id)))
    }

    fn site(&self, store: StoreId) -> Site {
        let caches = Arc::new(Caches::new(self.cache_bytes));
        Site { sabotage: self.settings.sabotage, ..common_site(&self.fs, store, caches) }
    }

    fn recover(&self) -> Result<Opened, Error> {
        let path = self.path;
        // The engines first: they only read, so damage is met before anything is written.
        let catalog = read_catalog(&*self.fs, path)?;
        let engines = Engines::open(self.site(catalog.store), path, catalog)?;
        let mut replayed = Replayed::of(&engines);
        let budget = self.settings.young_budget;
        let log = log_dir(path);
        let mut sink = |lsn, payload: Bytes| replayed.take(&log, lsn, &payload, budget);
        let fs = Arc::clone(&self.fs);
        let from = engines.replay_from();
        let (log, recovered) = Log::recover(fs, &log, self.log, from, &mut sink)?;
        engines.check_together(path, &recovered)?;
        Ok((log, engines, replayed, recovered))
    }
}

/// The site that the keyspaces of a store have in common.
pub(crate) fn common_site(fs: &Arc<dyn FileSystem>, store: StoreId, caches: Arc<Caches>) -> Site {
    Site {
        fs: Arc::clone(fs),
        dir: std::path::PathBuf::new(),
        store,
        keyspace: DEFAULT_KEYSPACE,
        options: KeyspaceOptions::default(),
        caches,
        sabotage: None,
    }
}

impl Catalog {
    /// That of a store that holds nothing but its default keyspace.
    fn of_default(store: StoreId) -> Self {
        let listed = Listed {
            id: DEFAULT_KEYSPACE,
            name: DEFAULT_NAME.to_owned(),
            options: KeyspaceOptions::default(),
            confirmed: CommitPoint::default(),
        };
        Self { store, released: Lsn(0), next_id: 1, keyspaces: vec![listed] }
    }
}

fn has_catalog(fs: &dyn FileSystem, path: &Path) -> Result<bool, Error> {
    let path = path.join(CATALOG);
    let kind = fs.kind(&path).map_err(Error::io(&path, "look at the catalog"))?;
    Ok(kind.is_some())
}

/// Reads the catalog of a store; of one that was made before there were catalogs, what it would
/// say.
pub(crate) fn read_catalog(fs: &dyn FileSystem, path: &Path) -> Result<Catalog, Error> {
    if let Some(catalog) = Catalog::read(fs, path)? {
        return Ok(catalog);
    }
    let first = crate::bitcask::first_version(fs, &keyspace_dir(path, DEFAULT_KEYSPACE))?;
    match first {
        Some(store) => Ok(Catalog::of_default(store)),
        None => Err(Error::damaged(&path.join(CATALOG), 0, Damage::Missing)),
    }
}

/// Puts the keyspaces of a catalog together from what was opened and replayed for each.
pub(crate) fn spaces(
    site: &Site,
    path: &Path,
    catalog: &Catalog,
    young: Vec<(u32, Loading, Lsn)>,
    opened: Vec<Arc<dyn Engine>>,
) -> Result<Spaces, Error> {
    let parts = catalog.keyspaces.iter().zip(young).zip(opened);
    let spaces = parts.map(|((listed, (_, young, _)), engine)| {
        let (id, name, options) = (listed.id, listed.name.clone(), listed.options);
        let values = ValueFiles::open(site_of(site, path, id, options))?;
        Ok(Arc::new(Space::new(id, name, options, young.finish(), engine, values)))
    });
    spaces.collect()
}

/// The keyspace that every store has.
pub(crate) fn default_of<'a>(path: &Path, spaces: &'a Spaces) -> Result<&'a Arc<Space>, Error> {
    let default = spaces.first().filter(|space| space.id == DEFAULT_KEYSPACE);
    default.ok_or_else(|| Error::damaged(&path.join(CATALOG), 0, Damage::Field("id")))
}

impl Engines {
    /// Opens the engines of a catalog's keyspaces. Reads, writes nothing.
    pub(crate) fn open(site: Site, path: &Path, catalog: Catalog) -> Result<Self, Error> {
        let opened = catalog
            .keyspaces
            .iter()
            .map(|listed| crate::engines::open(site_of(&site, path, listed.id, listed.options)));
        let opened = opened.collect::<Result<_, _>>()?;
        Ok(Self { catalog, site, opened })
    }

    /// Opens the engines that are whole; the keyspaces of the others are left out, and said.
    pub(crate) fn open_whole(
        site: Site,
        path: &Path,
        mut catalog: Catalog,
    ) -> Result<(Self, Vec<(String, Error)>), Error> {
        let (mut opened, mut whole, mut damaged) = (Vec::new(), Vec::new(), Vec::new());
        for listed in std::mem::take(&mut catalog.keyspaces) {
            match crate::engines::open(site_of(&site, path, listed.id, listed.options)) {
                Ok(engine) => {
                    opened.push(engine);
                    whole.push(listed);
                }
                Err(error) if error.is_damage() => damaged.push((listed.name, error)),
                Err(error) => return Err(error),
            }
        }
        catalog.keyspaces = whole;
        Ok((Self { catalog, site, opened }, damaged))
    }

    /// All commits through this one are in engines.
    pub(crate) fn replay_from(&self) -> Lsn {
        let through = self.opened.iter().map(|engine| engine.commit_point().through);
        through.min().unwrap_or_default().max(self.catalog.released)
    }

    /// Checks that the log, the catalog and the engines are of one store and of one moment.
    pub(crate) fn check_together(&self, path: &Path, recovered: &Recovered) -> Result<(), Error> {
        let catalog = path.join(CATALOG);
        let damaged = |damage| Err(Error::damaged(&catalog, 0, damage));
        if self.catalog.store != recovered.store {
            return damaged(Damage::Elsewhere("store"));
        }
        let (checkpoint, released) = (self.catalog.released, recovered.checkpoint);
        let first = !self.opened.is_empty() && self.catalog.is_assumed();
        if checkpoint < released && !first {
            return damaged(Damage::Outdated { checkpoint, released });
        }
        for (listed, engine) in self.catalog.keyspaces.iter().zip(&self.opened) {
            let dir = keyspace_dir(path, listed.id);
            let CommitPoint { through: checkpoint, edit } = engine.commit_point();
            let released = if first { recovered.checkpoint } else { listed.confirmed.through };
            if checkpoint < released || edit < listed.confirmed.edit {
                return Err(Error::damaged(&dir, 0, Damage::Outdated { checkpoint, released }));
            }
            let end = recovered.end;
            if end < checkpoint {
                return Err(Error::damaged(&dir, 0, Damage::LogEndsEarly { end, checkpoint }));
            }
        }
        Ok(())
    }
}

impl Catalog {
    /// Whether it was never installed: that of a store from before there were catalogs.
    fn is_assumed(&self) -> bool {
        let only = self.keyspaces.first().filter(|_| self.keyspaces.len() == 1);
        self.released == Lsn(0) && only.is_some_and(|it| it.confirmed == CommitPoint::default())
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

type Opened = (Log, Engines, Replayed, Recovered);

/// What was read of the log into young maps.
#[derive(Debug)]
pub(crate) struct Replayed {
    /// For each keyspace its number, its commits, and through where its engine holds them.
    pub(crate) young: Vec<(u32, Loading, Lsn)>,
    /// No keyspace has had this number yet.
    next_id: u32,
    /// The last commit that was read.
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
    pub(crate) fn of(engines: &Engines) -> Self {
        let (listed, opened) = (&engines.catalog.keyspaces, &engines.opened);
        let young = listed
            .iter()
            .zip(opened)
            .map(|(listed, engine)| (listed.id, Loading::default(), engine.commit_point().through));
        Self {
            young: young.collect(),
            next_id: engines.catalog.next_id,
            last: engines.replay_from(),
            failure: None,
            full: false,
            pool: Pool::default(),
        }
    }

    /// Takes a commit that the log gave.
    pub(crate) fn take(&mut self, log: &Path, lsn: Lsn, payload: &[u8], budget: u64) -> Flow {
        let commit = match read_commit(log, lsn, self.pool.copy(payload), self.next_id) {
            Ok(commit) => commit,
            Err(error) => {
                self.failure = Some(error);
                return Flow::Full;
            }
        };
        let mut weight = 0;
        let touched = touched(&commit);
        for (id, loading, through) in &mut self.young {
            // Of a keyspace that was dropped nothing is left to be read into.
            if lsn > *through && touched.iter().any(|it| it == *id) {
                loading.push(lsn, &commit, *id);
            }
            weight += loading.weight();
        }
        self.last = lsn;
        self.full = weight >= budget;
        if self.full { Flow::Full } else { Flow::Continue }
    }
}

/// The keyspaces that a commit touches.
fn touched(commit: &Commit) -> Touched {
    let mut touched = Touched::default();
    commit.ops().for_each(|op| touched.insert(op.keyspace));
    touched
}

/// Reads the payload of a commit that the log gave, of a store that has given out the numbers
/// below `next_id` to keyspaces.
pub(crate) fn read_commit(
    log: &Path,
    lsn: Lsn,
    payload: Bytes,
    next_id: u32,
) -> Result<Commit, Error> {
    let commit = Commit::parse(payload, LONGEST_KEY).map_err(|why| match why {
        CommitError::Version(found) if found > COMMIT_VERSION => {
            let (found, known) = (found.into(), COMMIT_VERSION.into());
            Error::NewerFormat { path: log.to_owned(), found, known }
        }
        why => Error::damaged(log, 0, Damage::Commit { lsn, why }),
    })?;
    let stranger = commit.ops().find(|op| op.keyspace >= next_id);
    match stranger {
        None => Ok(commit),
        Some(op) => {
            let why = CommitError::Keyspace(op.keyspace);
            Err(Error::damaged(log, 0, Damage::Commit { lsn, why }))
        }
    }
}

/// The young maps have reached their budget, and the log goes on: checkpoint by checkpoint all of
/// it goes into the engines, the last piece aside.
fn replay_rest(store: &Store, log: &Path, mut last: Lsn) -> Result<(), Error> {
    loop {
        let claimed =
            if store.breaks(Sabotage::RecoveryClaimsAll) { store.log.last() } else { last };
        store.checkpoint_through(claimed, || claimed)?;
        let (mut records, mut pool) = (store.log.iter(last.next())?, Pool::default());
        loop {
            let Some(record) = records.next() else { return Ok(()) };
            let (lsn, payload) = record?;
            let next_id = store.keyspaces.next_id();
            let commit = read_commit(log, lsn, pool.copy(&payload), next_id)?;
            store.replay(lsn, &commit, &touched(&commit));
            last = lsn;
            if store.is_full() {
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
