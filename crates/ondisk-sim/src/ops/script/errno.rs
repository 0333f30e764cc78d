//! What a failed call of a script answers, by the names that the system has for it.

use std::fmt;
use std::io;

use crate::ops::fault::SimError;

/// Why a call failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Errno {
    /// `EACCES`: the mode bits are against it.
    Acces,
    /// `EBADF`: closed, or not opened for this.
    Badf,
    /// `EBUSY`: the root, or a name like `..`.
    Busy,
    /// `EEXIST`.
    Exist,
    /// `EFBIG`.
    Fbig,
    /// `EINVAL`.
    Inval,
    /// `EIO`.
    Io,
    /// `EISDIR`.
    Isdir,
    /// `ELOOP`: too many symbolic links on the way.
    Loop,
    /// `EMFILE`: too many descriptors.
    Mfile,
    /// `ENAMETOOLONG`.
    Nametoolong,
    /// `ENOENT`.
    Noent,
    /// `ENOSPC`.
    Nospc,
    /// `ENOTDIR`.
    Notdir,
    /// `ENOTEMPTY`.
    Notempty,
    /// `EPERM`: a hard link to a directory.
    Perm,
    /// `EROFS`: a file system that gave up.
    Rofs,
}

impl Errno {
    /// The kind of error that Rust's library makes of it.
    #[must_use]
    pub const fn kind(self) -> io::ErrorKind {
        match self {
            Self::Acces | Self::Perm => io::ErrorKind::PermissionDenied,
            Self::Badf | Self::Io | Self::Loop | Self::Mfile => io::ErrorKind::Other,
            Self::Busy => io::ErrorKind::ResourceBusy,
            Self::Exist => io::ErrorKind::AlreadyExists,
            Self::Fbig => io::ErrorKind::FileTooLarge,
            Self::Inval => io::ErrorKind::InvalidInput,
            Self::Isdir => io::ErrorKind::IsADirectory,
            Self::Nametoolong => io::ErrorKind::InvalidFilename,
            Self::Noent => io::ErrorKind::NotFound,
            Self::Nospc => io::ErrorKind::StorageFull,
            Self::Notdir => io::ErrorKind::NotADirectory,
            Self::Notempty => io::ErrorKind::DirectoryNotEmpty,
            Self::Rofs => io::ErrorKind::ReadOnlyFilesystem,
        }
    }

    /// Its number on Linux (`include/uapi/asm-generic/errno-base.h`, `errno.h`).
    #[must_use]
    pub const fn number(self) -> i64 {
        match self {
            Self::Perm => 1,
            Self::Noent => 2,
            Self::Io => 5,
            Self::Badf => 9,
            Self::Acces => 13,
            Self::Busy => 16,
            Self::Exist => 17,
            Self::Notdir => 20,
            Self::Isdir => 21,
            Self::Inval => 22,
            Self::Mfile => 24,
            Self::Fbig => 27,
            Self::Nospc => 28,
            Self::Rofs => 30,
            Self::Nametoolong => 36,
            Self::Notempty => 39,
            Self::Loop => 40,
        }
    }
}

impl From<io::Error> for Errno {
    fn from(error: io::Error) -> Self {
        let own = error.get_ref().and_then(|own| own.downcast_ref::<SimError>());
        match error.kind() {
            _ if matches!(own, Some(SimError::Loop)) => Self::Loop,
            io::ErrorKind::PermissionDenied => Self::Acces,
            io::ErrorKind::AlreadyExists => Self::Exist,
            io::ErrorKind::FileTooLarge => Self::Fbig,
            io::ErrorKind::InvalidInput => Self::Inval,
            io::ErrorKind::IsADirectory => Self::Isdir,
            io::ErrorKind::NotFound => Self::Noent,
            io::ErrorKind::StorageFull => Self::Nospc,
            io::ErrorKind::NotADirectory => Self::Notdir,
            io::ErrorKind::DirectoryNotEmpty => Self::Notempty,
            _ => Self::Io,
        }
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Acces => "EACCES",
            Self::Badf => "EBADF",
            Self::Busy => "EBUSY",
            Self::Exist => "EEXIST",
            Self::Fbig => "EFBIG",
            Self::Inval => "EINVAL",
            Self::Io => "EIO",
            Self::Isdir => "EISDIR",
            Self::Loop => "ELOOP",
            Self::Mfile => "EMFILE",
            Self::Nametoolong => "ENAMETOOLONG",
            Self::Noent => "ENOENT",
            Self::Nospc => "ENOSPC",
            Self::Notdir => "ENOTDIR",
            Self::Notempty => "ENOTEMPTY",
            Self::Perm => "EPERM",
            Self::Rofs => "EROFS",
        })
    }
}
