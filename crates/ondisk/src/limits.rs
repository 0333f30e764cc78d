//! What a store refuses, before anything is written.

use crate::batch::Batch;
use crate::commit::{COMMIT_HEAD, OP_HEAD};
use crate::error::Error;

/// The longest key that any store takes, in bytes.
pub(crate) const LONGEST_KEY: usize = 64 << 10;

/// The longest value that goes to a file of its own, and the most that a batch takes with its
/// large values: 2 GiB.
pub(crate) const LONGEST_VALUE: usize = 2 << 30;

/// The limits of one store. They follow from the size of its largest segment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    commit: usize,
}

impl Limits {
    /// `commit` is the longest payload that the log takes.
    pub(crate) fn new(commit: usize) -> Self {
        Self { commit }
    }

    /// The longest key, in bytes: 64 KiB or half of a commit, the smaller.
    pub(crate) fn key(self) -> usize {
        LONGEST_KEY.min(self.commit / 2)
    }

    /// The longest value beside a key of a given length.
    fn value(self, key: usize) -> usize {
        self.commit.saturating_sub(COMMIT_HEAD + OP_HEAD + key)
    }

    pub(crate) fn check_key(self, key: &[u8]) -> Result<(), Error> {
        let (len, limit) = (key.len(), self.key());
        if len > limit { Err(Error::KeyTooLarge { len, limit }) } else { Ok(()) }
    }

    pub(crate) fn check_put(self, key: &[u8], value: &[u8]) -> Result<(), Error> {
        self.check_key(key)?;
        let (len, limit) = (value.len(), self.value(key.len()));
        if len > limit { Err(Error::ValueTooLarge { len, limit }) } else { Ok(()) }
    }

    /// A value that goes to a file of its own.
    pub(crate) fn check_large(self, value: &[u8]) -> Result<(), Error> {
        let (len, limit) = (value.len(), LONGEST_VALUE);
        if len > limit { Err(Error::ValueTooLarge { len, limit }) } else { Ok(()) }
    }

    pub(crate) fn check_keys(self, batch: &Batch) -> Result<(), Error> {
        let (len, limit) = (batch.longest_key, self.key());
        if len > limit { Err(Error::KeyTooLarge { len, limit }) } else { Ok(()) }
    }

    /// A batch whose large values are still in it.
    pub(crate) fn check_raw(self, bytes: usize) -> Result<(), Error> {
        let limit = LONGEST_VALUE;
        if bytes > limit { Err(Error::BatchTooLarge { bytes, limit }) } else { Ok(()) }
    }

    /// What goes to the log.
    pub(crate) fn check_commit(self, bytes: usize) -> Result<(), Error> {
        let limit = self.commit;
        if bytes > limit { Err(Error::BatchTooLarge { bytes, limit }) } else { Ok(()) }
    }
}
