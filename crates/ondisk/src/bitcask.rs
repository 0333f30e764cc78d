//! The engine *bitcask*: values in data files on disk, all keys in memory.
//!
//! ```text
//! checkpoint ─► data file, hint file ─► manifest ─► keydir ─► the new view
//! merge      ─► data file, hint file ─► manifest ─► keydir ─► graveyard
//! ```
//!
//! Invariant: the keydir holds what the data files hold that the installed manifest names, or,
//! while a job that installed one applies it, what those of the one before did; views are of the
//! one or of the other. A read is one positional read; nothing is ever written in place.
//!
//! The rooms: `cask` (what is opened and installed), `keydir`, `view` and `walk` (how a read goes),
//! `checkpoint` and `merge` (the jobs), `draft` and `graveyard` (files on their way in and out),
//! `load`, `verify` and `salvage` (what reads files from front to back), `data_file`, `hint` and
//! `manifest` (the bytes). Knows nothing of the log but LSNs.

use std::path::Path;

use ondisk_fs::FileSystem;
use ondisk_log::{Lsn, StoreId};

use crate::bitcask::data_file::{DataFile, Identity, Sums};
use crate::bitcask::manifest::{DataFileRecord, FIRST_VERSION, MANIFEST, Manifest, SEALED};
use crate::error::{Damage, Error};

pub(crate) mod cask;
pub(crate) mod checkpoint;
pub(crate) mod data_file;
mod draft;
mod graveyard;
pub(crate) mod hint;
pub(crate) mod keydir;
mod load;
pub(crate) mod manifest;
mod merge;
pub(crate) mod sabotage;
mod salvage;
mod stats;
mod verify;
pub(crate) mod view;
mod walk;

pub(crate) use cask::open;
pub(crate) use salvage::salvage;
pub(crate) use verify::verify;

/// A data file that a manifest names, opened.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) data: DataFile,
    pub(crate) record: DataFileRecord,
    pub(crate) span: data_file::Span,
}

/// Opens a file of a manifest, behind one that holds the commits up to `after`.
pub(crate) fn open_file(
    fs: &dyn FileSystem,
    dir: &Path,
    manifest: &Manifest,
    record: DataFileRecord,
    after: Lsn,
    sums: Sums,
) -> Result<Opened, Error> {
    let (store, keyspace, number) = (manifest.store, manifest.keyspace, record.number);
    let identity = Identity { store, keyspace, number };
    let (data, span) = DataFile::open(fs, dir, identity, record, sums)?;
    let in_order = after <= span.after && span.after < span.through;
    let as_named = record.span == span || record.span == data_file::Span::UNKNOWN;
    if !in_order || !as_named || span.through > manifest.checkpoint {
        return Err(Error::damaged(data.path(), 40, Damage::Field("after or through")));
    }
    Ok(Opened { data, record: DataFileRecord { span, ..record }, span })
}

/// Reads the manifest of a keyspace; `None` where none was installed yet.
pub(crate) fn read_manifest(fs: &dyn FileSystem, dir: &Path) -> Result<Option<Manifest>, Error> {
    let path = dir.join(MANIFEST);
    SEALED.read(fs, &path)?.map(|bytes| Manifest::decode(&path, &bytes)).transpose()
}

/// Puts a manifest in place, durably, name and all.
pub(crate) fn install_manifest(
    fs: &dyn FileSystem,
    dir: &Path,
    manifest: &Manifest,
) -> Result<(), Error> {
    SEALED.install(fs, &dir.join(MANIFEST), &manifest.encode())
}

/// The store that a manifest of the first version names, if one stands in a directory: those were
/// written before stores had catalogs.
pub(crate) fn first_version(fs: &dyn FileSystem, dir: &Path) -> Result<Option<StoreId>, Error> {
    let manifest = read_manifest(fs, dir)?;
    Ok(manifest.filter(|it| it.version == FIRST_VERSION).map(|it| it.store))
}
