//! What becomes of a handle whose sync failed.
//!
//! Invariant: once set, a poison is never lifted. After a failed sync the kernel marks the pages
//! clean, tells each open description once, and answers `Ok` to the next sync although nothing
//! more is on disk than before (Linux `Documentation/core-api/errseq.rst`; PostgreSQL wiki,
//! *Fsync Errors*). So a second sync proves nothing, and none is tried.

use std::io;
use std::sync::OnceLock;

/// Whether a sync of a handle has failed, and how. All implementations of
/// [`File`](crate::File) carry one.
#[derive(Debug, Default)]
pub struct Poison(OnceLock<Poisoned>);

/// An earlier sync of this handle failed; it takes no more writes and no more syncs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "an earlier sync of this file failed ({cause}): what was written since the sync before it may \
     be gone, and no later sync can tell; close it and open it again"
)]
pub struct Poisoned {
    /// The failed sync's own error, in words.
    pub cause: String,
}

impl Poison {
    /// A poison that is not set.
    #[must_use]
    pub const fn new() -> Self {
        Self(OnceLock::new())
    }

    /// `Ok` unless a sync has failed.
    ///
    /// # Errors
    /// An error that wraps [`Poisoned`].
    pub fn check(&self) -> io::Result<()> {
        self.0.get().map_or(Ok(()), |poisoned| Err(io::Error::other(poisoned.clone())))
    }

    /// Passes a sync's result on, and sets the poison when it is an error.
    ///
    /// # Errors
    /// The sync's own.
    pub fn judge<T>(&self, result: io::Result<T>) -> io::Result<T> {
        if let Err(error) = &result {
            // A second failure changes nothing: the first cause is the one to tell.
            self.0.get_or_init(|| Poisoned { cause: error.to_string() });
        }
        result
    }
}
