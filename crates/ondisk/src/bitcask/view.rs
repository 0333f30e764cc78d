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

use ondisk_log::Lsn;

use crate::bitcask::keydir::Keydir;
use crate::bitcask::walk::CaskWalk;
use crate::engine::{Direction, View, Walk};
use crate::error::Error;
use crate::value::Value;

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
    pub(super) shared: Arc<Shared>,
    pub(super) through: Lsn,
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
    pub(super) fn ordered(&self) -> RwLockReadGuard<'_, Keydir> {
        loop {
            let keydir = self.keydir();
            if keydir.is_ordered() {
                return keydir;
            }
            drop(keydir);
            self.keydir_mut().order();
        }
    }

    /// Counts a read of so many bytes.
    pub(super) fn count(&self, bytes: u64) {
        self.reads.fetch_add(1, Relaxed);
        self.read_bytes.fetch_add(bytes, Relaxed);
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
        self.shared.count(place.entry_len(key.len()));
        file.read(key, place).map(|value| Some(Value::from(value)))
    }

    fn walk(
        self: Arc<Self>,
        lower: Bound<&[u8]>,
        upper: Bound<&[u8]>,
        direction: Direction,
    ) -> Box<dyn Walk> {
        Box::new(CaskWalk::new(self, lower, upper, direction))
    }
}
