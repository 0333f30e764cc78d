//! The engine *lsm*: sorted tables in levels.
//!
//! Invariant: a table is written once, synced, and then named by the manifest.

pub(crate) mod cache;
pub(crate) mod filter;
pub(crate) mod merge;
pub(crate) mod sabotage;
pub(crate) mod table;
