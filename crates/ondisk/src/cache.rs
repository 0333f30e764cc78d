//! The memory that engines may use for what stands on disk: one budget for each kind, whatever
//! the number of keyspaces.
//!
//! Invariant: what is cached is a copy of verified bytes; losing it costs time alone.

use std::sync::Arc;

use crate::lsm::cache::BlockCache;

/// The caches of one open store.
#[derive(Debug)]
pub(crate) struct Caches {
    /// Blocks of sorted tables.
    pub(crate) blocks: Arc<BlockCache>,
    /// Bytes for pages of trees.
    pub(crate) pages: u64,
}

impl Caches {
    /// Splits a budget in bytes.
    pub(crate) fn new(bytes: u64) -> Self {
        Self { blocks: Arc::new(BlockCache::new(bytes / 2)), pages: bytes / 2 }
    }
}
