//! The engine *bitcask*: values in data files on disk, all keys in memory.
//!
//! Invariant: the keydir holds what the data files hold that the installed manifest names, or,
//! while a checkpoint is being installed, what it and the new one do; the young map covers the
//! difference.
//!
//! Knows nothing of the log but LSNs. A read is one positional read; nothing is ever written in
//! place.

use std::io;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use bytes::Bytes;
use ondisk_fs::{Access, FileSystem, Kind, replace_atomic};
use ondisk_log::Lsn;

use crate::bitcask::data_file::scan::{Depth, Scan};
use crate::bitcask::data_file::{DataFile, Identity, Place, Sums, file_number};
use crate::bitcask::keydir::{Files, Keydir};
use crate::bitcask::manifest::{DataFileRecord, LONGEST_MANIFEST, MANIFEST, Manifest};
use crate::error::{Damage, Error};

pub(crate) mod cask;
pub(crate) mod checkpoint;
pub(crate) mod data_file;
pub(crate) mod keydir;
pub(crate) mod manifest;
pub(crate) mod sabotage;
pub(crate) mod view;

pub(crate) use cask::open;

/// The old generation of one keyspace.
#[derive(Debug)]
pub(crate) struct Bitcask {
    fs: Arc<dyn FileSystem>,
    dir: PathBuf,
    keydir: RwLock<Keydir>,
}

/// The keys between two bounds, as they stood at one moment, with what is needed to read them.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) places: Vec<(Arc<[u8]>, Place)>,
    pub(crate) files: Files,
}

impl Bitcask {
    /// Reads the manifest and every file that it names, and writes nothing.
    pub(crate) fn open(
        fs: &Arc<dyn FileSystem>,
        dir: &Path,
        keyspace: u32,
        sums: Sums,
    ) -> Result<(Self, Manifest), Error> {
        let mut manifest = read_manifest(&**fs, dir)?;
        if manifest.keyspace != keyspace {
            let path = dir.join(MANIFEST);
            return Err(Error::damaged(&path, 0, Damage::Elsewhere("keyspace")));
        }
        let mut keydir = Keydir::new(manifest.store);
        let mut after = Lsn(0);
        for index in 0..manifest.files.len() {
            let file = open_file(&**fs, dir, &manifest, manifest.files[index], after, sums)?;
            manifest.files[index] = file.record;
            after = file.span.through;
            let mut scan = Scan::new(&file.data, file.record, file.span, Depth::Keys);
            while let Some(entry) = scan.next()? {
                if entry.tombstone {
                    keydir.delete(entry.key);
                } else {
                    keydir.put_bytes(entry.key, entry.place);
                }
            }
            keydir.add_file(file.record.number, Arc::new(file.data));
        }
        let fs = Arc::clone(fs);
        Ok((Self { fs, dir: dir.to_owned(), keydir: RwLock::new(keydir) }, manifest))
    }

    pub(crate) fn fs(&self) -> &dyn FileSystem {
        &*self.fs
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        // The lock is not held over the read: the file stays open for as long as it is needed.
        let found = self.keydir().get(key).map(|(place, file)| (place, Arc::clone(file)));
        found.map(|(place, file)| file.read(key, place)).transpose()
    }

    /// The keydir, for reading; its keys are in order.
    pub(crate) fn ordered(&self) -> RwLockReadGuard<'_, Keydir> {
        loop {
            let keydir = self.keydir();
            if keydir.is_ordered() {
                return keydir;
            }
            drop(keydir);
            self.keydir_mut().order();
        }
    }

    pub(crate) fn keydir(&self) -> RwLockReadGuard<'_, Keydir> {
        // A panic while it was held cannot have left a change half done: each is one call.
        self.keydir.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn keydir_mut(&self) -> RwLockWriteGuard<'_, Keydir> {
        self.keydir.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a manifest in place, durably: from here on its files are the keyspace.
    pub(crate) fn install(&self, manifest: &Manifest) -> Result<(), Error> {
        install_manifest(&*self.fs, &self.dir, manifest)
    }
}

impl Snapshot {
    pub(crate) fn take(keydir: &Keydir, lower: Bound<&[u8]>, upper: Bound<&[u8]>) -> Self {
        Self { places: keydir.range(lower, upper).collect(), files: keydir.files().clone() }
    }
}

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

/// The data files in a keyspace's directory that its manifest does not name: what a checkpoint
/// left that was cut, or that failed.
pub(crate) fn unnamed_files(
    fs: &dyn FileSystem,
    dir: &Path,
    manifest: &Manifest,
) -> Result<Vec<PathBuf>, Error> {
    let entries = fs.list(dir).map_err(Error::io(dir, "list the directory"))?;
    let named = |number| manifest.files.iter().any(|file| file.number == number);
    let unnamed = entries.iter().filter(|entry| entry.kind == Kind::File).filter(|entry| {
        let number = entry.name.to_str().and_then(file_number);
        number.is_some_and(|number| !named(number))
    });
    Ok(unnamed.map(|entry| dir.join(&entry.name)).collect())
}
