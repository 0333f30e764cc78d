//! Small files that are read and replaced as a whole: the catalog, manifests, the list of backups.
//!
//! ```text
//!  0       8     12        16
//!  ├ magic ┼ crc ┼ version ┤ what the file says …
//!                └── crc covers from here to the end of the file ─ …
//! ```
//!
//! Invariant: what is opened has the magic and the sum of its kind and a version that is known; its
//! length is looked at before memory is taken. What stands on disk under the name is the old file
//! or the new one, whole.
//!
//! Knows nothing of what the files say.

use std::io;
use std::path::Path;

use ondisk_fs::{Access, FileSystem, parent, replace_atomic};
use zerocopy::little_endian::U32;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::checksum::crc32c;
use crate::error::{Damage, Error};

/// What every such file begins with.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(crate) struct Seal {
    magic: [u8; 8],
    crc: U32,
    version: U32,
}

const SEAL: usize = size_of::<Seal>();
const SUMMED_FROM: usize = std::mem::offset_of!(Seal, version);
const _: () = assert!(SEAL == 16 && SUMMED_FROM == 12);

/// A kind of such files.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sealed {
    pub(crate) magic: [u8; 8],
    /// The version that is written; all before it are read too.
    pub(crate) version: u32,
    /// A file that is longer is refused unread, and never written.
    pub(crate) longest: u64,
}

impl Sealed {
    /// The seal of a new file, whose sum is not known yet.
    pub(crate) fn seal(&self) -> Seal {
        Seal { magic: self.magic, crc: U32::ZERO, version: U32::new(self.version) }
    }

    /// Puts the sum into a file that begins with its seal.
    pub(crate) fn close(mut bytes: Vec<u8>) -> Vec<u8> {
        let sum = bytes.get(SUMMED_FROM..).map_or(0, crc32c);
        if let Some(place) = bytes.get_mut(8..SUMMED_FROM) {
            place.copy_from_slice(&sum.to_le_bytes());
        }
        bytes
    }

    /// The version of bytes that nobody vouches for, whose seal is whole. `path` is for the error
    /// to name.
    pub(crate) fn check(&self, path: &Path, bytes: &[u8]) -> Result<u32, Error> {
        let damaged = |offset: usize, damage| Error::damaged(path, offset as u64, damage);
        let Ok((seal, _)) = Seal::read_from_prefix(bytes) else {
            let (found, expected) = (bytes.len() as u64, SEAL as u64);
            return Err(damaged(0, Damage::Length { found, expected }));
        };
        if seal.magic != self.magic {
            return Err(damaged(0, Damage::Magic));
        }
        if seal.crc.get() != crc32c(&bytes[SUMMED_FROM..]) {
            return Err(damaged(8, Damage::HeaderSum));
        }
        match seal.version.get() {
            0 => Err(damaged(SUMMED_FROM, Damage::Field("version"))),
            // A newer format keeps magic, sum and version where they are: so this is no damage.
            found if found > self.version => {
                Err(Error::NewerFormat { path: path.to_owned(), found, known: self.version })
            }
            found => Ok(found),
        }
    }

    /// The bytes of a file; `None` where there is none.
    pub(crate) fn read(&self, fs: &dyn FileSystem, path: &Path) -> Result<Option<Vec<u8>>, Error> {
        let file = match fs.open(path, Access::Read) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other.map_err(Error::io(path, "open it"))?,
        };
        let len = file.size().map_err(Error::io(path, "ask for its length"))?;
        if len > self.longest {
            let damage = Damage::Length { found: len, expected: self.longest };
            return Err(Error::damaged(path, 0, damage));
        }
        let mut bytes = vec![0; usize::try_from(len).unwrap_or_default()];
        file.read_exact_at(&mut bytes, 0).map_err(Error::io(path, "read it"))?;
        Ok(Some(bytes))
    }

    /// Puts a file in place, durably, name and all. After an error it may be in place or not.
    pub(crate) fn install(
        &self,
        fs: &dyn FileSystem,
        path: &Path,
        bytes: &[u8],
    ) -> Result<(), Error> {
        let replaced = if bytes.len() as u64 > self.longest {
            Err(io::ErrorKind::FileTooLarge.into()) // it could not be read again
        } else {
            replace_atomic(fs, path, bytes)
        };
        replaced.map_err(Error::io(path, "put it in place")).map(drop)
    }
}

/// The canary's way to put a file in place: what a cut leaves of it is anybody's guess.
pub(crate) fn overwrite(fs: &dyn FileSystem, path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let over = || -> io::Result<()> {
        let file = match fs.open(path, Access::ReadWrite) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => fs.create_new(path)?,
            other => other?,
        };
        file.set_len(bytes.len() as u64)?;
        file.write_all_at(bytes, 0)?;
        file.sync_all()?;
        fs.sync_dir(parent(path)).map(drop)
    };
    over().map_err(Error::io(path, "write over it"))
}

#[cfg(test)]
mod tests;
