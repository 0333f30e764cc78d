//! Several operations that become one commit.
//!
//! Invariant: the operations stand in the batch as they will stand in the log; committing copies
//! nothing.

use crate::commit::{CommitWriter, OP_HEAD};
use crate::keyspace::DEFAULT_KEYSPACE;

/// Operations that are committed together: after a power cut all of them are there, or none is.
///
/// Of two operations on one key the later one counts.
///
/// ```
/// use ondisk::Batch;
///
/// let batch = Batch::new().put(b"alice", b"70").put(b"bob", b"130").delete(b"pending");
/// assert_eq!(batch.len(), 3);
/// ```
#[derive(Clone, Debug)]
pub struct Batch {
    pub(crate) ops: CommitWriter,
    pub(crate) longest_key: usize,
}

impl Batch {
    /// A batch without operations. Committed like that, it gets an LSN and changes nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::with_capacity(0)
    }

    /// A batch with room for so many bytes of keys and values (and 16 more for each operation).
    #[must_use]
    pub fn with_capacity(bytes: usize) -> Self {
        Self { ops: CommitWriter::with_capacity(bytes), longest_key: 0 }
    }

    /// The batch that puts one value.
    pub(crate) fn one_put(key: &[u8], value: &[u8]) -> Self {
        Self::with_capacity(OP_HEAD + key.len() + value.len()).put(key, value)
    }

    /// Gives a key a value.
    #[must_use = "a batch does nothing until it is committed"]
    pub fn put(mut self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.push(key.as_ref(), Some(value.as_ref()));
        self
    }

    /// Takes a key away; one that is not there is no error.
    #[must_use = "a batch does nothing until it is committed"]
    pub fn delete(mut self, key: impl AsRef<[u8]>) -> Self {
        self.push(key.as_ref(), None);
        self
    }

    /// How many operations the batch holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ops.count() as usize
    }

    /// Whether the batch holds no operation.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ops.count() == 0
    }

    /// The bytes that the commit takes of the log, headers of the log aside.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.ops.len()
    }

    fn push(&mut self, key: &[u8], value: Option<&[u8]>) {
        // Limits are the store's to know: it checks them when the batch is committed.
        self.longest_key = self.longest_key.max(key.len());
        self.ops.push(DEFAULT_KEYSPACE, key, value);
    }
}

impl Default for Batch {
    fn default() -> Self {
        Self::new()
    }
}
