//! A view of the engine: the keydir as of one checkpoint.
//!
//! Invariant: what a view answers never changes. The keydir keeps each place that a newer
//! checkpoint replaced for as long as a view of an older one is held; a file that a lookup found
//! stays open while its value is read.
//!
//! Knows nothing of how a checkpoint comes about.

use std::ops::Bound;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::vec;

use ondisk_log::Lsn;

use crate::bitcask::data_file::{DataFile, ENTRY_HEAD, Place};
use crate::bitcask::keydir::Keydir;
use crate::engine::{Direction, View, Walk};
use crate::error::Error;
use crate::value::Value;

/// How many keys a walk looks at under the keydir's lock at once.
pub(super) const WALK_KEYS: usize = 256;

/// What all views of an engine share.
#[derive(Debug)]
pub(crate) struct Shared {
    keydir: RwLock<Keydir>,
    pub(crate) reads: AtomicU64,
    pub(crate) read_bytes: AtomicU64,
}

/// One state of the engine.
#[derive(Debug)]
pub(crate) struct CaskView {
    shared: Arc<Shared>,
    through: Lsn,
}

impl Shared {
    pub(crate) fn new(keydir: Keydir) -> Self {
        let (reads, read_bytes) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { keydir: RwLock::new(keydir), reads, read_bytes }
    }

    pub(crate) fn keydir(&self) -> RwLockReadGuard<'_, Keydir> {
        // A panic while it was held cannot have left a change half done: each is one call.
        self.keydir.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn keydir_mut(&self) -> RwLockWriteGuard<'_, Keydir> {
        self.keydir.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The keydir, for reading; its keys are in order.
    fn ordered(&self) -> RwLockReadGuard<'_, Keydir> {
        loop {
            let keydir = self.keydir();
            if keydir.is_ordered() {
                return keydir;
            }
            drop(keydir);
            self.keydir_mut().order();
        }
    }

    fn read(&self, file: &DataFile, key: &[u8], place: Place) -> Result<Value, Error> {
        self.reads.fetch_add(1, Relaxed);
        let bytes = (ENTRY_HEAD + key.len()) as u64 + u64::from(place.value_len);
        self.read_bytes.fetch_add(bytes, Relaxed);
        file.read(key, place).map(Value::from)
    }
}

impl CaskView {
    pub(crate) fn new(shared: Arc<Shared>, through: Lsn) -> Self {
        Self { shared, through }
    }
}

impl View for CaskView {
    fn through(&self) -> Lsn {
        self.through
    }

    fn get(&self, key: &[u8]) -> Result<Option<Value>, Error> {
        // The lock is not held over the read: the file stays open for as long as it is needed.
        let keydir = self.shared.keydir();
        let Some(place) = keydir.place_at(key, self.through) else { return Ok(None) };
        let Some(file) = keydir.files().get(&place.file).map(Arc::clone) else { return Ok(None) };
        drop(keydir);
        self.shared.read(&file, key, place).map(Some)
    }

    fn walk(
        self: Arc<Self>,
        lower: Bound<&[u8]>,
        upper: Bound<&[u8]>,
        direction: Direction,
    ) -> Box<dyn Walk> {
        Box::new(CaskWalk {
            view: self,
            lower: lower.map(Arc::from),
            upper: upper.map(Arc::from),
            direction,
            ahead: Vec::new().into_iter(),
            rest: Rest::More,
            at: None,
            value: None,
        })
    }
}

/// A key that a walk found, and where its value stands.
#[derive(Debug)]
struct Found {
    key: Arc<[u8]>,
    place: Place,
    file: Arc<DataFile>,
}

/// Whether keys are left between a walk's bounds.
#[derive(Debug, PartialEq, Eq)]
enum Rest {
    Nothing,
    More,
}

/// A walk over a view, some keys ahead of where it stands.
#[derive(Debug)]
struct CaskWalk {
    view: Arc<CaskView>,
    /// What was not looked at yet lies between these.
    lower: Bound<Arc<[u8]>>,
    upper: Bound<Arc<[u8]>>,
    direction: Direction,
    ahead: vec::IntoIter<Found>,
    rest: Rest,
    at: Option<Found>,
    value: Option<Value>,
}

impl CaskWalk {
    /// Looks at the next keys.
    fn look_ahead(&mut self) {
        let shared = Arc::clone(&self.view.shared);
        let keydir = shared.ordered();
        let through = self.view.through;
        let mut ahead = Vec::new();
        let mut last = None;
        let mut look = |key: &Arc<[u8]>| {
            last = Some(Arc::clone(key));
            let found = keydir.place_at(key, through).and_then(|place| {
                let file = Arc::clone(keydir.files().get(&place.file)?);
                Some(Found { key: Arc::clone(key), place, file })
            });
            ahead.extend(found);
        };
        let lower = self.lower.as_ref().map(|key| &**key);
        let upper = self.upper.as_ref().map(|key| &**key);
        let keys = keydir.keys(lower, upper);
        match self.direction {
            Direction::Forward => keys.take(WALK_KEYS).for_each(&mut look),
            Direction::Backward => keys.rev().take(WALK_KEYS).for_each(&mut look),
        }
        drop(keydir);
        match (last, self.direction) {
            (None, _) => self.rest = Rest::Nothing,
            (Some(last), Direction::Forward) => self.lower = Bound::Excluded(last),
            (Some(last), Direction::Backward) => self.upper = Bound::Excluded(last),
        }
        self.ahead = ahead.into_iter();
    }

    fn read(&self) -> Result<Value, Error> {
        match &self.at {
            Some(Found { key, place, file }) => self.view.shared.read(file, key, *place),
            None => Ok(Value::default()), // before the first advance
        }
    }
}

impl Walk for CaskWalk {
    fn advance(&mut self) -> Result<bool, Error> {
        self.value = None;
        loop {
            self.at = self.ahead.next();
            if self.at.is_some() {
                return Ok(true);
            }
            if self.rest == Rest::Nothing {
                return Ok(false);
            }
            self.look_ahead();
        }
    }

    fn key(&self) -> &[u8] {
        self.at.as_ref().map_or(&[], |found| &found.key)
    }

    fn value(&mut self) -> Result<&[u8], Error> {
        let value = match self.value.take() {
            Some(value) => value,
            None => self.read()?,
        };
        Ok(self.value.insert(value))
    }

    fn keep(&mut self) -> Result<Value, Error> {
        match &self.value {
            Some(value) => Ok(value.clone()),
            None => self.read(),
        }
    }
}
