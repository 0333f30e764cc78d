//! Copies all of a damaged store that verifies into a new one, and lists what is lost.
//!
//! ```text
//! engines: every entry that verifies ─┐
//! log: the newest operation of a key ─┴─► by LSN, the newest of a key ─► a new store beside, renamed
//! ```
//!
//! Invariant: the damaged store is only read. An entry that is copied was verified byte by byte;
//! whatever was not is told as lost, with its place. Of a keyspace whose engine lost nothing the
//! log's records count from its commit point on, and the copy is what the store held. Where
//! something was lost, all records of the log count that are newer than what the engine gave, and a
//! key may come back that was deleted: the list says so by naming what was lost.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use ondisk_fs::{FileSystem, Kind};
use ondisk_log::{Lsn, StoreId, SyncMode};

use crate::backup::making::Making;
use crate::cache::Caches;
use crate::catalog::{CATALOG, Listed};
use crate::db::Db;
use crate::engine::{CommitPoint, Site};
use crate::error::{Damage, Error};
use crate::keyspace::DEFAULT_KEYSPACE;
use crate::keyspaces::site_of;
use crate::open::{common_site, lock_shared, read_catalog};
use crate::options::{EngineKind, KeyspaceOptions};
use crate::place::{keyspaces_dir, log_dir, not_a_store};
use crate::salvage::copy::Copy;
use crate::salvage::tail::Tail;

mod copy;
mod tail;

/// Bytes of memory for what engines read.
const CACHE: u64 = 64 << 20;

/// Takes what an engine can still read.
pub(crate) trait Salvage {
    /// An entry that verifies; without a value it says that the key is gone. Of a key that comes
    /// more than once the one with the highest LSN counts, and without LSNs the last.
    fn entry(&mut self, key: &[u8], value: Option<&[u8]>, lsn: Option<Lsn>);

    /// A range of a file that does not verify.
    fn lost(&mut self, lost: Lost);
}

/// A range of a file that does not verify.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    /// The file.
    pub path: PathBuf,
    /// Where in it, in bytes.
    pub offset: u64,
    /// Its bytes; 0 where that is not known.
    pub len: u64,
    /// The LSN from which on commits may miss something, where that is known.
    pub lsn: Option<Lsn>,
    /// What is wrong there, as a sentence.
    pub what: String,
}

/// What a salvage has copied, and what is lost.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SalvageReport {
    /// The last commit of the damaged store that was read.
    pub end: Lsn,
    /// Commits that its log still holds.
    pub records: u64,
    /// The keyspaces that were copied.
    pub keyspaces: Vec<SalvagedKeyspace>,
    /// What is lost; empty for a store that is whole.
    pub lost: Vec<Lost>,
}

/// One keyspace that was copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SalvagedKeyspace {
    /// Its name; made of its number where the catalog cannot be read.
    pub name: String,
    /// Its engine.
    pub engine: EngineKind,
    /// Keys in the copy.
    pub keys: u64,
    /// Ranges of its engine's files that are lost.
    pub lost: u64,
}

/// Copies all that verifies of the store at `path` into a new store at `out`, where nothing stands.
/// Writes nothing to the store at `path`. At `out` stands nothing or the whole copy, whatever
/// interrupts it. Takes memory for the keys of a keyspace and for the commits that the log holds.
///
/// # Errors
/// [`Error::NotAStore`], [`Error::Locked`], [`Error::NewerFormat`], [`Error::InTheWay`],
/// [`Error::Io`]. Damage is no error here, unless nothing says any more whose files they are.
pub fn salvage(
    fs: Arc<dyn FileSystem>,
    path: impl AsRef<Path>,
    out: impl AsRef<Path>,
) -> Result<SalvageReport, Error> {
    let (path, out) = (path.as_ref(), out.as_ref());
    match fs.kind(path).map_err(Error::io(path, "look at the directory"))? {
        Some(Kind::Dir) => {}
        _ => return Err(not_a_store(path, "there is no directory; name the damaged store")),
    }
    let _held = lock_shared(&*fs, path)?;
    let mut report = SalvageReport::default();
    let catalog = damage_to(&mut report.lost, read_catalog(&*fs, path))?;
    let known = catalog.as_ref().map(|it| it.store);
    let tail = Tail::read(&*fs, &log_dir(path), known, &mut report)?;
    let store = known.or(tail.store).ok_or_else(|| nobodys(path))?;
    let keyspaces = match catalog {
        Some(catalog) => catalog.keyspaces,
        None => guessed(&*fs, path, &tail)?,
    };
    let making = Making::begin(&*fs, out, None)?;
    let builder = Db::builder().file_system(Arc::clone(&fs)).sync(SyncMode::None);
    let db = builder.fitting(tail.largest).restoring().open(making.temp())?;
    let site = common_site(&fs, store, Arc::new(Caches::new(CACHE)));
    let copied = keyspaces.iter().try_for_each(|listed| {
        let site = site_of(&site, path, listed.id, listed.options);
        let copied = keyspace(&site, listed, &tail, &db, &mut report.lost)?;
        report.keyspaces.push(copied);
        Ok(())
    });
    let copied = copied.and_then(|()| db.checkpoint());
    db.close()?;
    copied?;
    making.finish()?;
    Ok(report)
}

fn nobodys(path: &Path) -> Error {
    Error::damaged(&path.join(CATALOG), 0, Damage::Missing)
}

/// Makes damage a loss, and passes on what is no damage.
fn damage_to<T>(lost: &mut Vec<Lost>, result: Result<T, Error>) -> Result<Option<T>, Error> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(Error::Damaged { path, offset, damage }) => {
            lost.push(Lost { path, offset, len: 0, lsn: None, what: damage.to_string() });
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Copies one keyspace.
fn keyspace(
    site: &Site,
    listed: &Listed,
    tail: &Tail,
    db: &Db,
    lost: &mut Vec<Lost>,
) -> Result<SalvagedKeyspace, Error> {
    let before = lost.len();
    let keyspace = if listed.id == DEFAULT_KEYSPACE {
        db.default_keyspace()?
    } else {
        db.keyspace(&listed.name, listed.options)?
    };
    let mut copy = Copy::new(site, db, &keyspace, lost)?;
    match crate::engines::salvage(site, &mut copy) {
        Ok(()) => {}
        Err(Error::Damaged { path, offset, damage }) => {
            copy.lost(Lost { path, offset, len: 0, lsn: None, what: damage.to_string() });
        }
        Err(error) => return Err(error),
    }
    let through = crate::engines::open(site.clone()).map(|engine| engine.commit_point().through);
    copy.tail(tail.of(listed.id), through.ok())?;
    copy.finish()?;
    let keys = keyspace.range(..)?.try_fold(0, |count, entry| entry.map(|_| count + 1))?;
    let (name, engine) = (listed.name.clone(), listed.options.engine);
    Ok(SalvagedKeyspace { name, engine, keys, lost: (lost.len() - before) as u64 })
}

/// The keyspaces of a store whose catalog cannot be read: those that have files, or commits in the
/// log. Their names are lost.
fn guessed(fs: &dyn FileSystem, path: &Path, tail: &Tail) -> Result<Vec<Listed>, Error> {
    let dir = keyspaces_dir(path);
    let entries = match fs.kind(&dir).map_err(Error::io(&dir, "look at the directory"))? {
        Some(Kind::Dir) => fs.list(&dir).map_err(Error::io(&dir, "list the directory"))?,
        _ => Vec::new(),
    };
    let ids = entries.iter().filter_map(|entry| entry.name.to_str()?.parse::<u32>().ok());
    let mut ids: Vec<u32> = ids.chain(tail.keyspaces()).chain([DEFAULT_KEYSPACE]).collect();
    ids.sort_unstable();
    ids.dedup();
    let listed = ids.into_iter().map(|id| {
        let name = if id == DEFAULT_KEYSPACE { "default".into() } else { format!("keyspace-{id}") };
        let engine = if id == DEFAULT_KEYSPACE {
            EngineKind::Bitcask
        } else {
            engine_of(fs, &dir.join(id.to_string()))
        };
        let options = KeyspaceOptions::new(engine);
        Listed { id, name, options, confirmed: CommitPoint::default() }
    });
    Ok(listed.collect())
}

/// Which engine a directory's files are of.
fn engine_of(fs: &dyn FileSystem, dir: &Path) -> EngineKind {
    let entries = fs.list(dir).unwrap_or_default();
    let any =
        |of: &dyn Fn(&str) -> bool| entries.iter().any(|entry| entry.name.to_str().is_some_and(of));
    if any(&|name| name == "pages") {
        EngineKind::Btree
    } else if any(&|name| name.ends_with(".table")) {
        EngineKind::Lsm
    } else {
        EngineKind::Bitcask
    }
}

/// What the log says of a key: at a commit, the value, or that it is gone.
type Newest = (Lsn, Option<Bytes>);

/// The store that a log belongs to.
type Owner = Option<StoreId>;
