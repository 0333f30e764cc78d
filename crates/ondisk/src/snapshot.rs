//! A snapshot: the whole store as of one commit, for as long as it is kept.
//!
//! Invariant: the generations of all keyspaces were loaded after the snapshot's commit was known
//! to be acknowledged, and no engine's view among them is beyond it. So a batch shows in all
//! keyspaces that it touched, or in none.

use std::collections::BTreeMap;
use std::ops::RangeBounds;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ondisk_log::Lsn;

use crate::db::possible;
use crate::error::Error;
use crate::keyspace::handle::Keyspace;
use crate::keyspace::{DEFAULT_KEYSPACE, Generations, Space};
use crate::range::Range;
use crate::store::Store;
use crate::value::Value;

/// What a snapshot may see.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum At {
    /// Every commit that is acknowledged: in the modes batch and none a power cut may take the
    /// last ones back.
    #[default]
    Acknowledged,
    /// Only commits that no power cut takes back.
    Durable,
}

/// The whole store as of one commit. Reads of it give the same answers for as long as it is kept,
/// whatever is committed, checkpointed and reclaimed meanwhile.
///
/// It keeps files, pages and young maps that would be given back otherwise: `stats` names the
/// oldest one.
///
/// ```
/// # fn main() -> Result<(), ondisk::Error> {
/// # let dir = tempfile::tempdir().expect("a directory to work in");
/// # let db = ondisk::Db::open(dir.path())?;
/// db.put("key", "old")?;
/// let snapshot = db.snapshot()?;
/// db.put("key", "new")?;
/// assert_eq!(snapshot.get("key")?.as_deref(), Some(&b"old"[..]));
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Snapshot {
    store: Arc<Store>,
    lsn: Lsn,
    spaces: Vec<(Arc<Space>, Arc<Generations>)>,
    _pin: Pin,
}

/// Says, while it is held, that somebody reads as of a commit.
#[derive(Debug)]
pub(crate) struct Pin {
    store: Arc<Store>,
    number: u64,
}

impl Pin {
    pub(crate) fn new(store: &Arc<Store>, lsn: Lsn) -> Self {
        Self { store: Arc::clone(store), number: store.snapshots.enter(lsn) }
    }
}

/// The snapshots of a store that somebody keeps.
#[derive(Debug, Default)]
pub(crate) struct Snapshots {
    open: Mutex<(u64, BTreeMap<u64, Lsn>)>,
}

impl Snapshots {
    fn enter(&self, lsn: Lsn) -> u64 {
        let (next, open) = &mut *self.lock();
        *next += 1;
        open.insert(*next, lsn);
        *next
    }

    fn leave(&self, number: u64) {
        self.lock().1.remove(&number);
    }

    /// The commit that the oldest snapshot is of.
    pub(crate) fn oldest(&self) -> Option<Lsn> {
        self.lock().1.values().min().copied()
    }

    fn lock(&self) -> MutexGuard<'_, (u64, BTreeMap<u64, Lsn>)> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Snapshot {
    pub(crate) fn take(store: &Arc<Store>, at: At) -> Self {
        loop {
            let lsn = match at {
                At::Acknowledged => store.visible(),
                At::Durable => store.log.durable(),
            };
            let pin = Pin::new(store, lsn);
            // After the commit: whatever is at or below it is in these generations.
            let spaces = store.keyspaces.now();
            let spaces = spaces.iter().map(|space| (Arc::clone(space), space.generations()));
            let spaces: Vec<_> = spaces.collect();
            // A checkpoint may have been installed in between: then once more.
            if spaces.iter().all(|(_, generations)| generations.old.through() <= lsn) {
                return Self { store: Arc::clone(store), lsn, spaces, _pin: pin };
            }
        }
    }

    /// The last commit that it sees.
    #[must_use]
    pub fn lsn(&self) -> Lsn {
        self.lsn
    }

    /// The value of a key of the default keyspace, as of the snapshot.
    ///
    /// # Errors
    /// [`Error::Damaged`], [`Error::Io`].
    pub fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<Value>, Error> {
        self.find(DEFAULT_KEYSPACE)?.get(key.as_ref(), self.lsn)
    }

    /// The value of a key of a keyspace, as of the snapshot.
    ///
    /// # Errors
    /// [`Error::NoKeyspace`] for one that was made later; [`Error::Damaged`], [`Error::Io`].
    pub fn get_in(
        &self,
        keyspace: &Keyspace,
        key: impl AsRef<[u8]>,
    ) -> Result<Option<Value>, Error> {
        self.of(keyspace)?.get(key.as_ref(), self.lsn)
    }

    /// The keys of the default keyspace between two bounds, as of the snapshot.
    ///
    /// # Errors
    /// None so far: what is wrong with one place, the walk says.
    pub fn range<'k>(&self, bounds: impl RangeBounds<&'k [u8]>) -> Result<Range, Error> {
        Ok(range(self.find(DEFAULT_KEYSPACE)?, bounds, self.lsn))
    }

    /// The keys of a keyspace between two bounds, as of the snapshot.
    ///
    /// # Errors
    /// [`Error::NoKeyspace`] for one that was made later.
    pub fn range_in<'k>(
        &self,
        keyspace: &Keyspace,
        bounds: impl RangeBounds<&'k [u8]>,
    ) -> Result<Range, Error> {
        Ok(range(self.of(keyspace)?, bounds, self.lsn))
    }

    /// The names of the keyspaces that it sees.
    pub fn keyspaces(&self) -> impl Iterator<Item = &str> {
        self.spaces.iter().map(|(space, _)| space.name.as_str())
    }

    pub(crate) fn spaces(&self) -> &[(Arc<Space>, Arc<Generations>)] {
        &self.spaces
    }

    pub(crate) fn store(&self) -> &Arc<Store> {
        &self.store
    }

    pub(crate) fn of(&self, keyspace: &Keyspace) -> Result<&Arc<Generations>, Error> {
        if keyspace.store_id() != self.store.log.store_id() {
            return Err(Error::ForeignKeyspace);
        }
        self.find(keyspace.id()).map_err(|_| Error::NoKeyspace { name: keyspace.name().to_owned() })
    }

    pub(crate) fn find(&self, id: u32) -> Result<&Arc<Generations>, Error> {
        let place = self.spaces.binary_search_by_key(&id, |(space, _)| space.id);
        match place {
            Ok(place) => Ok(&self.spaces[place].1),
            Err(_) => Err(Error::NoKeyspace { name: format!("number {id}") }),
        }
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        self.store.snapshots.leave(self.number);
    }
}

/// The keys between bounds, if a key can lie between them.
pub(crate) fn range<'k>(
    generations: &Arc<Generations>,
    bounds: impl RangeBounds<&'k [u8]>,
    visible: Lsn,
) -> Range {
    match possible(&bounds) {
        Some((lower, upper)) => generations.range(lower, upper, visible),
        None => Range::empty(),
    }
}
