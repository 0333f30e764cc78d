//! The stores, by name, each with the settings that `README.md` tells of.

mod fjall;
mod lmdb;
mod ondisk;
mod redb;
#[cfg(feature = "rocksdb")]
mod rocksdb;

use std::path::Path;

use crate::store::{Result, Store};

/// A store that can be measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer {
    /// Its name, on the command line and in tables.
    pub(crate) name: &'static str,
    /// Opens it in a directory, which is there; what was loaded before is there again.
    pub(crate) open: fn(&Path, Cache) -> Result<Box<dyn Store>>,
}

/// Bytes of a store's own cache.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cache(pub(crate) u64);

/// What the names of our own engines begin with.
pub(crate) const OURS: &str = "ondisk-";

/// All that were built in, ours first.
pub(crate) const PEERS: &[Peer] = &[
    Peer { name: "ondisk-bitcask", open: ondisk::bitcask },
    Peer { name: "ondisk-lsm", open: ondisk::lsm },
    Peer { name: "ondisk-btree", open: ondisk::btree },
    Peer { name: "redb", open: redb::open },
    Peer { name: "fjall", open: fjall::open },
    Peer { name: "lmdb", open: lmdb::open },
    #[cfg(feature = "rocksdb")]
    Peer { name: "rocksdb", open: rocksdb::open },
];
