//! A write-ahead log whose acknowledgement names the rung of durability that it reached.
//!
//! ```
//! # use std::sync::Arc;
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let dir = tempfile::tempdir()?;
//! use ondisk_fs::{OsFs, Rung};
//! use ondisk_log::{Flow, Log, LogOptions, Lsn, StoreId, SyncMode};
//!
//! let (fs, path) = (Arc::new(OsFs), dir.path().join("log"));
//! let log = Log::create(fs.clone(), &path, StoreId::random(), LogOptions::default())?.finish()?;
//! let receipt = log.append(b"a record", SyncMode::Sync)?;
//! assert_eq!((receipt.lsn, receipt.rung), (Lsn(1), Rung::Durable));
//! log.close()?;
//!
//! let mut records = Vec::new();
//! let (log, recovered) = Log::recover(fs, &path, LogOptions::default(), Lsn(0), &mut |lsn, payload| {
//!     records.push((lsn, payload));
//!     Flow::Continue
//! })?;
//! assert_eq!(records, [(Lsn(1), "a record".into())]);
//! assert_eq!(recovered.end, log.durable());
//! # Ok(()) }
//! ```
//!
//! The rooms: [`mode`](SyncMode) (what an acknowledgement means), `record` (the bytes of a group),
//! `anchor` (where the log begins and ends), `read` (bytes → records, tail, damage: untrusted),
//! `scan` (follows the chain through the segments), `recover` (what a writer does before it serves),
//! `group` and `plan` (group commit without threads), `append` (its threads), `keeper` (segments and anchor),
//! `truncate` (what is given back), `salvage` (what a broken chain leaves),
//! `log` (the front door). The bytes are specified in `docs/format/log.md` and `anchor.md`.
//!
//! Knows nothing of keys and values. Starts no thread and reads no clock.

mod anchor;
mod append;
pub mod dump;
mod error;
mod group;
mod iter;
mod keeper;
mod log;
mod mode;
mod options;
mod plan;
mod read;
mod record;
mod recover;
mod salvage;
mod scan;
mod segment;

mod sync;
mod truncate;

pub use anchor::StoreId;
pub use append::Ticket;
pub use error::{Damage, LogError};
pub use iter::LogIter;
pub use log::{Log, LogStats, NewLog, Presence, Step, Truncated};
pub use mode::{Batch, Lsn, ParseModeError, Receipt, SyncMode};
pub use options::LogOptions;
#[doc(hidden)]
pub use options::Sabotage;
pub use read::{Group, GroupReader, Link, ReadEnd};
pub use recover::{Recovered, TornTail};
pub use salvage::{Gap, Salvaged, salvage};
pub use scan::Flow;
