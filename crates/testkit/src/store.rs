//! The one suite over all engines: stories of a store, a model that is a map, and who judges.
//!
//! ```text
//! seed or shape ─► Story (events) ─► World: a store on a MemFs, beside a Chain (the model)
//!                                      ├─ equal after each event ............ store_model
//!                                      ├─ cut at every sync, recovered ...... store_power_cut
//!                                      └─ calls fail, bits flip, files go ... store_sweep
//! ```
//!
//! Invariant: everything follows from the story, and a story is total: any of its events can be
//! left out. Nothing here asks which engine a keyspace has.

pub mod chain;
pub mod cut;
pub mod generate;
mod keep;
pub mod look;
pub mod random;
pub mod shapes;
pub mod shrink;
pub mod story;
pub mod sweep;
mod transact;
pub mod world;
