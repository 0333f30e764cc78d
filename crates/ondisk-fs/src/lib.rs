//! The seam between a program and its storage.
//!
//! Everything that touches storage goes through [`FileSystem`] and [`File`], so the same code runs
//! on a real disk ([`OsFs`]) and on a simulated one, and cannot tell which it was given. Every
//! operation that a power cut can tear apart is a call of its own.
//!
//! Knows nothing of logs and engines.

mod aligned;
mod durable;
mod file_system;
#[cfg(unix)]
mod os;
mod poison;
mod rung;
mod sync_plan;

pub use aligned::{BLOCK, Block, Blocks};
pub use durable::{
    create_dir_durable, create_durable, parent, replace_atomic, sync_parent, temp_path,
};
pub use file_system::{
    Access, Entry, File, FileSystem, Held, Kind, LockError, LockMode, check_alignment,
};
#[cfg(unix)]
pub use os::OsFs;
pub use poison::{Poison, Poisoned};
pub use rung::Rung;
pub use sync_plan::{Call, Chosen, Medium, Platform, SyncPlan};
