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
    lsn: Lsn,
    spaces: Vec<(Arc<Space>, Arc<Generations>)>,
    pin: Pin,
}

/// Who keeps a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holder {
    /// Somebody who reads.
    Reader,
    /// A transaction, which will ask what was committed since.
    Transaction,
}

/// The snapshots of a store that somebody keeps.
#[derive(Debug, Default)]
pub(crate) struct Snapshots {
    open: Mutex<Open>,
}

/// By number, as they came.
#[derive(Debug, Default)]
struct Open {
    next: u64,
    readers: BTreeMap<u64, Lsn>,
    transactions: BTreeMap<u64, Lsn>,
}

impl Open {
    fn of(&mut self, holder: Holder) -> &mut BTreeMap<u64, Lsn> {
        match holder {
            Holder::Reader => &mut self.readers,
            Holder::Transaction => &mut self.transactions,
        }
    }
}

impl Snapshots {
    fn enter(&self, holder: Holder, lsn: Lsn) -> u64 {
        let mut open = self.lock();
        open.next += 1;
        let number = open.next;
        open.of(holder).insert(number, lsn);
        number
    }

    fn leave(&self, holder: Holder, number: u64) {
        self.lock().of(holder).remove(&number);
    }

    /// The commit that the oldest snapshot is of.
    pub(crate) fn oldest(&self) -> Option<Lsn> {
        let open = self.lock();
        open.readers.values().chain(open.transactions.values()).min().copied()
    }

    /// The commit that the oldest snapshot of a transaction is of: it may still ask what was
    /// committed since.
    pub(crate) fn oldest_transaction(&self) -> Option<Lsn> {
        self.lock().transactions.values().min().copied()
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Says, while it is held, that somebody reads as of a commit.
#[derive(Debug)]
pub(crate) struct Pin {
    store: Arc<Store>,
    holder: Holder,
    number: u64,
}

impl Pin {
    pub(crate) fn new(store: &Arc<Store>, holder: Holder, lsn: Lsn) -> Self {
        let number = store.snapshots.enter(holder, lsn);
        Self { store: Arc::clone(store), holder, number }
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        self.store.snapshots.leave(self.holder, self.number);
        if self.holder == Holder::Transaction {
            self.store.trim_past();
        }
    }
}

impl Snapshot {
    pub(crate) fn take(store: &Arc<Store>, at: At, holder: Holder) -> Self {
        loop {
            let lsn = match at {
                At::Acknowledged => store.visible(),
                // A group is durable a moment before all its commits are in the young maps.
                At::Durable => store.log.durable().min(store.visible()),
            };
            // Before the generations: what they give up from here on is kept for a transaction.
            let pin = Pin::new(store, holder, lsn);
            // After the commit: whatever is at or below it is in these generations.
            let spaces = store.keyspaces.now();
            let spaces = spaces.iter().map(|space| (Arc::clone(space), space.generations()));
            let spaces: Vec<_> = spaces.collect();
            // A checkpoint may have been installed in between: then once more.
            if spaces.iter().all(|(_, generations)| generations.old.through() <= lsn) {
                return Self { lsn, spaces, pin };
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
        &self.pin.store
    }

    pub(crate) fn of(&self, keyspace: &Keyspace) -> Result<&Arc<Generations>, Error> {
        if keyspace.store_id() != self.store().log.store_id() {
            return Err(Error::ForeignKeyspace);
        }
        self.find(keyspace.id()).map_err(|_| Error::NoKeyspace { name: keyspace.name().to_owned() })
    }

    /// A keyspace by its number, if the snapshot sees it.
    pub(crate) fn space(&self, id: u32) -> Option<&Arc<Space>> {
        let place = self.spaces.binary_search_by_key(&id, |(space, _)| space.id).ok()?;
        Some(&self.spaces[place].0)
    }

    pub(crate) fn find(&self, id: u32) -> Result<&Arc<Generations>, Error> {
        let place = self.spaces.binary_search_by_key(&id, |(space, _)| space.id);
        match place {
            Ok(place) => Ok(&self.spaces[place].1),
            Err(_) => Err(Error::NoKeyspace { name: format!("number {id}") }),
        }
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
