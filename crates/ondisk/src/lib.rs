//! An embedded key-value store whose OK means durable.
//!
//! ```
//! # fn main() -> Result<(), ondisk::Error> {
//! # let dir = tempfile::tempdir().expect("a directory to work in");
//! # let path = dir.path().join("db");
//! use ondisk::{Db, Rung};
//!
//! let db = Db::open(&path)?;
//! let receipt = db.put(b"key", b"value")?;
//! assert_eq!(receipt.rung, Rung::Durable); // on stable media, names and all
//! assert_eq!(db.get(b"key")?.as_deref(), Some(&b"value"[..]));
//! db.close()
//! # }
//! ```
//!
//! One log holds the promise; everything else is a view of it. A commit goes into the log and
//! into the *young map* in memory, and is visible when the log acknowledges it. A *checkpoint*
//! moves what lives from the young map to the engine's files, and the log may forget.
//!
//! ```text
//! commit ─► log (the promise) ─► young map (visible) ─► acknowledged ─► … checkpoint ─► data file, manifest
//! ```
//!
//! The rooms: `db` (the front door), `builder`, `batch` and `commit` (the bytes of a commit),
//! `store` (the path of a commit, budgets), `transaction` (reads compared before a commit),
//! `young` (the young map), `keyspace` (how a read goes), `bitcask` (the engine), `checkpoint` (the
//! step machine), `place` and `open` (finding, making, recovering), `reader`, `check`, `dump`,
//! `alarm` and `worker` (the one thread, the one clock).
//!
//! Knows nothing of sockets and of the simulation: storage is an
//! [`Arc<dyn FileSystem>`](FileSystem), and the store cannot tell which it was given.

mod alarm;
mod backup;
mod batch;
mod bitcask;
mod btree;
mod builder;
mod cache;
mod catalog;
mod check;
mod checkpoint;
mod checksum;
mod commit;
mod db;
mod dump;
mod durability;
mod engine;
mod engines;
mod error;
mod handles;
mod keyspace;
mod keyspaces;
mod latency;
mod later;
mod limits;
mod lsm;
mod open;
mod options;
mod pins;
mod place;
mod range;
mod rate;
mod reader;
mod reclaim;
mod reserve;
#[doc(hidden)]
pub mod sabotage;
mod salvage;
mod sealed;
mod snapshot;
mod stats;
mod store;
mod transaction;
mod value;
mod values;
mod worker;
mod young;

pub use backup::restore::{RestoreReport, Which};
pub use backup::{BackupProgress, BackupReport, VerifiedBackup, verify_backup};
pub use batch::Batch;
pub use builder::{Background, Builder, Create};
pub use check::{CheckReport, Finding, check};
pub use commit::CommitError;
pub use db::{Db, Pending};
pub use dump::dump;
pub use durability::{ChosenBy, Death, Durability, KeyspaceDurability, Loss};
pub use engine::{EngineStats, FileCount, FileKind};
pub use error::{Damage, Error};
pub use keyspace::handle::Keyspace;
pub use latency::Histogram;
pub use later::Later;
pub use ondisk_fs::{FileSystem, OsFs, Rung};
pub use ondisk_log::{
    Batch as BatchLimits, LogError, LogStats, Lsn, Receipt, Recovered, Step, StoreId, SyncMode,
    TornTail,
};
pub use options::{
    Compression, EngineKind, KeyspaceOptions, LargeValue, PageSize, ParseEngineError,
};
pub use range::Range;
pub use reader::Reader;
pub use salvage::{Lost, SalvageReport, SalvagedKeyspace, salvage};
pub use snapshot::{At, Snapshot};
pub use stats::{KeyspaceStats, Stats};
pub use transaction::Transaction;
pub use transaction::range::TransactionRange;
pub use value::{Key, Value};
