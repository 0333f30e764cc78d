//! Several operations that become one commit.
//!
//! Invariant: the operations stand in the batch as they will stand in the log; committing copies
//! nothing.

use ondisk_log::StoreId;

use crate::commit::{CommitWriter, OP_HEAD};
use crate::keyspace::DEFAULT_KEYSPACE;
use crate::keyspace::handle::Keyspace;
use crate::values::Reference;

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
    pub(crate) longest_value: usize,
    /// Some value looks like what stands in place of a large one.
    pub(crate) lookalike: bool,
    /// The keyspaces that it touches, in the order in which they came.
    pub(crate) touched: Touched,
    /// The store that their handles belong to; `None` where the default keyspace alone is meant.
    pub(crate) store: Option<StoreId>,
    /// Handles of more than one store were given.
    pub(crate) mixed: bool,
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
        let (ops, touched) = (CommitWriter::with_capacity(bytes), Touched::default());
        Self {
            ops,
            longest_key: 0,
            longest_value: 0,
            lookalike: false,
            touched,
            store: None,
            mixed: false,
        }
    }

    /// The batch of one operation on a keyspace of the store that commits it.
    pub(crate) fn one_in(keyspace: u32, key: &[u8], value: Option<&[u8]>) -> Self {
        let len = key.len() + value.map_or(0, <[u8]>::len);
        let mut batch = Self::with_capacity(OP_HEAD + len);
        batch.push(keyspace, key, value);
        batch
    }

    /// Gives a key a value.
    #[must_use = "a batch does nothing until it is committed"]
    pub fn put(mut self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.push(DEFAULT_KEYSPACE, key.as_ref(), Some(value.as_ref()));
        self
    }

    /// Gives a key of a keyspace a value.
    #[must_use = "a batch does nothing until it is committed"]
    pub fn put_in(
        mut self,
        keyspace: &Keyspace,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
    ) -> Self {
        self.note(keyspace);
        self.push(keyspace.id(), key.as_ref(), Some(value.as_ref()));
        self
    }

    /// Takes a key of a keyspace away; one that is not there is no error.
    #[must_use = "a batch does nothing until it is committed"]
    pub fn delete_in(mut self, keyspace: &Keyspace, key: impl AsRef<[u8]>) -> Self {
        self.note(keyspace);
        self.push(keyspace.id(), key.as_ref(), None);
        self
    }

    /// Takes a key away; one that is not there is no error.
    #[must_use = "a batch does nothing until it is committed"]
    pub fn delete(mut self, key: impl AsRef<[u8]>) -> Self {
        self.push(DEFAULT_KEYSPACE, key.as_ref(), None);
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

    pub(crate) fn push(&mut self, keyspace: u32, key: &[u8], value: Option<&[u8]>) {
        // Limits are the store's to know: it checks them when the batch is committed.
        self.longest_key = self.longest_key.max(key.len());
        if let Some(value) = value {
            self.longest_value = self.longest_value.max(value.len());
            self.lookalike |= Reference::of(value).is_some();
        }
        self.touched.insert(keyspace);
        self.ops.push(keyspace, key, value);
    }

    fn note(&mut self, keyspace: &Keyspace) {
        let store = keyspace.store_id();
        self.mixed |= self.store.is_some_and(|it| it != store);
        self.store = Some(store);
    }
}

/// The keyspaces that a commit touches, each once, in the order in which they came. One alone, the
/// usual case, takes no allocation.
#[derive(Clone, Debug, Default)]
pub(crate) struct Touched {
    first: Option<u32>,
    more: Vec<u32>,
}

impl Touched {
    pub(crate) fn one(keyspace: u32) -> Self {
        Self { first: Some(keyspace), more: Vec::new() }
    }

    pub(crate) fn insert(&mut self, keyspace: u32) {
        match self.first {
            None => self.first = Some(keyspace),
            Some(first) if first == keyspace || self.more.contains(&keyspace) => {}
            Some(_) => self.more.push(keyspace),
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = u32> + Clone + '_ {
        self.first.into_iter().chain(self.more.iter().copied())
    }
}

impl Default for Batch {
    fn default() -> Self {
        Self::new()
    }
}
