//! The memory that engines may use for what stands on disk: one budget for each kind, whatever
//! the number of keyspaces.
//!
//! Invariant: what is cached is a copy of verified bytes; losing it costs time alone.

use std::sync::Arc;

use crate::btree::cache::PageCache;
use crate::handles::Handles;
use crate::lsm::cache::BlockCache;

/// The caches of one open store.
#[derive(Debug)]
pub(crate) struct Caches {
    /// Blocks of sorted tables.
    pub(crate) blocks: Arc<BlockCache>,
    /// Pages of trees.
    pub(crate) pages: Arc<PageCache>,
    /// Files that are never written again.
    pub(crate) handles: Arc<Handles>,
}

/// How many of these are open at once: a process may have 1024 descriptors by default.
const MOST_HANDLES: usize = 512;

impl Caches {
    /// Splits a budget in bytes.
    pub(crate) fn new(bytes: u64) -> Self {
        let (blocks, pages) = (BlockCache::new(bytes / 2), PageCache::new(bytes / 2));
        let handles = Arc::new(Handles::new(MOST_HANDLES));
        Self { blocks: Arc::new(blocks), pages: Arc::new(pages), handles }
    }
}
