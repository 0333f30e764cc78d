//! The engine *btree*: a copy-on-write tree of pages.
//!
//! Invariant: what a meta page reaches is never written again while somebody may read it.

pub(crate) mod sabotage;
