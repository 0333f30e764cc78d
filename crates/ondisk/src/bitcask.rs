//! The engine *bitcask*: values in data files on disk, all keys in memory.
//!
//! Invariant: the keydir holds what the data files hold that the installed manifest names, or,
//! while a checkpoint is being installed, what it and the new one do; the young map covers the
//! difference.
//!
//! Knows nothing of the log but LSNs. A read is one positional read; nothing is ever written in
//! place.

use std::io;
use std::path::Path;

use ondisk_fs::{Access, FileSystem, replace_atomic};
use ondisk_log::{Lsn, StoreId};

use crate::bitcask::data_file::scan::{Depth, Scan};
use crate::bitcask::data_file::{DataFile, Identity, Sums};
use crate::bitcask::manifest::{
    DataFileRecord, FIRST_VERSION, LONGEST_MANIFEST, MANIFEST, Manifest,
};
use crate::check::Finding;
use crate::engine::Site;
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
mod stats;
pub(crate) mod view;

pub(crate) use cask::open;

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

/// Reads the manifest of a keyspace.
pub(crate) fn read_manifest(fs: &dyn FileSystem, dir: &Path) -> Result<Manifest, Error> {
    let path = dir.join(MANIFEST);
    let file = match fs.open(&path, Access::Read) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(Error::damaged(&path, 0, Damage::Missing));
        }
        other => other.map_err(Error::io(&path, "open the manifest"))?,
    };
    let len = file.size().map_err(Error::io(&path, "ask for the length of the manifest"))?;
    if len > LONGEST_MANIFEST {
        let damage = Damage::Length { found: len, expected: LONGEST_MANIFEST };
        return Err(Error::damaged(&path, 0, damage));
    }
    let mut bytes = vec![0; usize::try_from(len).unwrap_or_default()];
    file.read_exact_at(&mut bytes, 0).map_err(Error::io(&path, "read the manifest"))?;
    Manifest::decode(&path, &bytes)
}

/// Puts a manifest in place, durably, name and all.
pub(crate) fn install_manifest(
    fs: &dyn FileSystem,
    dir: &Path,
    manifest: &Manifest,
) -> Result<(), Error> {
    let path = dir.join(MANIFEST);
    // A checkpoint that counts no commit points puts the first in place, again and again.
    let manifest = Manifest { edit: manifest.edit.max(1), ..manifest.clone() };
    let replaced = replace_atomic(fs, &path, &manifest.encode());
    replaced.map_err(Error::io(&path, "put the manifest in place")).map(drop)
}

/// The store that a manifest of the first version names, if one stands in a directory: those were
/// written before stores had catalogs.
pub(crate) fn first_version(fs: &dyn FileSystem, dir: &Path) -> Result<Option<StoreId>, Error> {
    let path = dir.join(MANIFEST);
    let kind = fs.kind(&path).map_err(Error::io(&path, "look at the manifest"))?;
    if kind.is_none() {
        return Ok(None);
    }
    let manifest = read_manifest(fs, dir)?;
    Ok((manifest.version == FIRST_VERSION).then_some(manifest.store))
}

/// Verifies every byte of the files that the manifest names.
pub(crate) fn verify(site: &Site, sink: &mut dyn FnMut(Finding)) -> Result<(), Error> {
    let Some(manifest) = cask::find_manifest(site)? else { return Ok(()) };
    let mut after = Lsn(0);
    for &record in &manifest.files {
        match open_file(&*site.fs, &site.dir, &manifest, record, after, Sums::Checked) {
            Ok(file) => {
                after = file.span.through;
                verify_file(&file, sink)?;
            }
            Err(error) => note(error, sink)?,
        }
    }
    Ok(())
}

fn verify_file(file: &Opened, sink: &mut dyn FnMut(Finding)) -> Result<(), Error> {
    let mut scan = Scan::new(&file.data, file.record, file.span, Depth::All);
    loop {
        let place = scan.place();
        match scan.next() {
            Ok(None) => return Ok(()),
            Ok(Some(_)) => {}
            Err(error) => {
                note(error, sink)?;
                if scan.place() == place {
                    return Ok(()); // where the next entry begins is not known
                }
            }
        }
    }
}

/// Makes damage a finding, and passes on what is no damage.
fn note(error: Error, sink: &mut dyn FnMut(Finding)) -> Result<(), Error> {
    match error {
        Error::Damaged { path, offset, damage } => {
            sink(Finding { path, offset, what: damage.to_string() });
            Ok(())
        }
        other => Err(other),
    }
}
