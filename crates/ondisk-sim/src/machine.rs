//! The layered machine: VFS, page cache, ext4 with its journal, block layer and SSD, on one clock.
//!
//! Invariant: no layer calls another; what survives a death is the media's bytes and nothing
//! else; and the same configuration, calls and seed give the same events.
//!
//! | layer | module | what it holds |
//! |---|---|---|
//! | 2 | [`vfs`] | inodes, names, descriptors |
//! | 3 | [`page_cache`] | dirty and clean pages, the flusher |
//! | 4 | [`ext4`], `tmpfs`, `nfs` | places, metadata, the journal |
//! | 5 | [`block`] | bios, requests, schedulers, FLUSH and FUA |
//! | 6 | [`ssd`] | the drive's cache, its map, flash |
//!
//! Layer 1, the buffer in the process, belongs to who makes the calls.

pub mod arena;
pub mod block;
pub mod choice;
pub mod config;
pub mod event;
pub mod ext4;
pub mod ids;
pub mod knobs;
pub mod layer;
pub mod machine_fs;
pub mod media;
pub mod message;
mod nfs;
pub mod page_cache;
pub mod play;
pub mod sim;
pub mod ssd;
pub mod timeline;
pub mod tmpfs;
pub mod vfs;
mod whole;

pub use crate::ops::digest;
pub use crate::ops::script::{Death, Errno};
pub use arena::{Arena, Marks};
pub use config::Config;
pub use event::{Event, Kind};
pub use ids::Ns;
pub use layer::{Cx, Layer};
pub use machine_fs::MachineFs;
pub use media::{Media, Shot};
pub use play::Play;
pub use sim::Sim;
