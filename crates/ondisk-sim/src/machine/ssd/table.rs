//! A table whose copies share what neither of them changed.
//!
//! Invariant: a copy costs one step, however large the table is; a change costs at most the
//! list of chunks and one chunk.
//!
//! Knows nothing of what stands in it.

use std::sync::Arc;

/// So many entries of one kind, by number, in chunks of `CHUNK`.
#[derive(Clone, Debug)]
pub(super) struct Table<T, const CHUNK: usize> {
    chunks: Arc<Vec<Arc<Vec<T>>>>,
    len: usize,
}

impl<T: Clone, const CHUNK: usize> Table<T, CHUNK> {
    /// A table of so many times the same. Its chunks are one, until they differ.
    pub(super) fn new(len: usize, value: &T) -> Self {
        let chunk = Arc::new(vec![value.clone(); CHUNK.min(len)]);
        Self { chunks: Arc::new(vec![chunk; len.div_ceil(CHUNK)]), len }
    }

    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// An entry; `None` past the end.
    pub(super) fn get(&self, at: usize) -> Option<&T> {
        if at >= self.len {
            return None;
        }
        self.chunks.get(at / CHUNK)?.get(at % CHUNK)
    }

    /// An entry, to be changed; `None` past the end.
    pub(super) fn get_mut(&mut self, at: usize) -> Option<&mut T> {
        if at >= self.len {
            return None;
        }
        let chunk = Arc::make_mut(&mut self.chunks).get_mut(at / CHUNK)?;
        Arc::make_mut(chunk).get_mut(at % CHUNK)
    }

    /// Changes an entry. Past the end it does nothing.
    pub(super) fn set(&mut self, at: usize, value: T) {
        if let Some(entry) = self.get_mut(at) {
            *entry = value;
        }
    }

    /// All entries in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.chunks.iter().flat_map(|chunk| chunk.iter()).take(self.len)
    }
}
