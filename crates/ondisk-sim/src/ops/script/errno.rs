//! What a failed call of a script answers, by the names that the system has for it.

use std::fmt;
use std::io;

/// Why a call failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Errno {
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
        match error.kind() {
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
            Self::Badf => "EBADF",
            Self::Exist => "EEXIST",
            Self::Fbig => "EFBIG",
            Self::Inval => "EINVAL",
            Self::Io => "EIO",
            Self::Isdir => "EISDIR",
            Self::Noent => "ENOENT",
            Self::Nospc => "ENOSPC",
            Self::Notdir => "ENOTDIR",
            Self::Notempty => "ENOTEMPTY",
        })
    }
}
