//! The memory that engines may use for what stands on disk: one budget for each kind, whatever
//! the number of keyspaces.
//!
//! Invariant: what is cached is a copy of verified bytes; losing it costs time alone.

/// The caches of one open store.
#[derive(Debug)]
pub(crate) struct Caches {
    /// Bytes for blocks of sorted tables.
    pub(crate) blocks: u64,
    /// Bytes for pages of trees.
    pub(crate) pages: u64,
}

impl Caches {
    /// Splits a budget in bytes.
    pub(crate) fn new(bytes: u64) -> Self {
        Self { blocks: bytes / 2, pages: bytes / 2 }
    }
}
