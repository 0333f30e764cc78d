//! The memory that engines may use for what stands on disk: one budget for each kind, whatever
//! the number of keyspaces.
//!
//! Invariant: what is cached is a copy of verified bytes; losing it costs time alone.

use std::sync::Arc;

use crate::btree::cache::PageCache;
use crate::lsm::cache::BlockCache;

/// The caches of one open store.
#[derive(Debug)]
pub(crate) struct Caches {
    /// Blocks of sorted tables.
    pub(crate) blocks: Arc<BlockCache>,
    /// Pages of trees.
    pub(crate) pages: Arc<PageCache>,
}

impl Caches {
    /// Splits a budget in bytes.
    pub(crate) fn new(bytes: u64) -> Self {
        let (blocks, pages) = (BlockCache::new(bytes / 2), PageCache::new(bytes / 2));
        Self { blocks: Arc::new(blocks), pages: Arc::new(pages) }
    }
}
