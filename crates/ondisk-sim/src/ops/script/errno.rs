//! What a failed call of a script answers, by the names that the system has for it.

use std::fmt;
use std::io;

use crate::ops::fault::SimError;

/// Why a call failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Errno {
    /// `EACCES`: the mode does not permit it.
    Acces,
    /// `EBADF`: closed, or not opened for this.
    Badf,
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
    /// `ELOOP`.
    Loop,
    /// `ENOENT`.
    Noent,
    /// `ENOSPC`.
    Nospc,
    /// `ENOTDIR`.
    Notdir,
    /// `ENOTEMPTY`.
    Notempty,
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
            Self::Exist => "EEXIST",
            Self::Fbig => "EFBIG",
            Self::Inval => "EINVAL",
            Self::Io => "EIO",
            Self::Isdir => "EISDIR",
            Self::Loop => "ELOOP",
            Self::Noent => "ENOENT",
            Self::Nospc => "ENOSPC",
            Self::Notdir => "ENOTDIR",
            Self::Notempty => "ENOTEMPTY",
        })
    }
}
