//! Calls in words, as `strace` writes them.
//!
//! Invariant: a call is named by the system call that it is, and no bytes of a file are shown.

use std::fmt;

use super::{Open, Request, Sync};

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open { path, how, .. } => write!(f, "openat({}, {how})", name(path)),
            Self::Close { fd } => write!(f, "close({})", fd.0),
            Self::Read { fd, at: None, len } => write!(f, "read({}, …, {len})", fd.0),
            Self::Read { fd, at: Some(at), len } => write!(f, "pread64({}, …, {len}, {at})", fd.0),
            Self::Write { fd, at, bytes, sync } => {
                let len = bytes.len();
                match (at, sync) {
                    (None, None) => write!(f, "write({}, …, {len})", fd.0),
                    (Some(at), None) => write!(f, "pwrite64({}, …, {len}, {at})", fd.0),
                    (at, Some(sync)) => {
                        let flag = if *sync == Sync::All { "RWF_SYNC" } else { "RWF_DSYNC" };
                        let at = at.map_or_else(|| "-1".to_owned(), |at| at.to_string());
                        write!(f, "pwritev2({}, …, {len}, {at}, {flag})", fd.0)
                    }
                }
            }
            Self::Seek { fd, to } => write!(f, "lseek({}, {to}, SEEK_SET)", fd.0),
            Self::SetLen { fd, len } => write!(f, "ftruncate({}, {len})", fd.0),
            Self::Allocate { fd, len } => write!(f, "fallocate({}, 0, 0, {len})", fd.0),
            Self::Fsync { fd } => write!(f, "fsync({})", fd.0),
            Self::Fdatasync { fd } => write!(f, "fdatasync({})", fd.0),
            Self::Fstat { fd } => write!(f, "fstat({})", fd.0),
            Self::Sync => f.write_str("sync()"),
            Self::Exit => f.write_str("exit()"),
            Self::Evict => f.write_str("evict()"),
            _ => named(self, f),
        }
    }
}

/// Calls of names.
fn named(call: &Request, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match call {
        Request::Mkdir { path, mode } => write!(f, "mkdir({}, {mode:#o})", name(path)),
        Request::Rmdir { path } => write!(f, "rmdir({})", name(path)),
        Request::Unlink { path } => write!(f, "unlink({})", name(path)),
        Request::Rename { from, to, exchange } => {
            let flag = if *exchange { ", RENAME_EXCHANGE" } else { "" };
            write!(f, "rename({}, {}{flag})", name(from), name(to))
        }
        Request::Link { from, to } => write!(f, "link({}, {})", name(from), name(to)),
        Request::Symlink { target, path } => {
            write!(f, "symlink({}, {})", name(target), name(path))
        }
        Request::Chmod { path, mode } => write!(f, "chmod({}, {mode:#o})", name(path)),
        Request::Stat { path } => write!(f, "stat({})", name(path)),
        Request::List { path } => write!(f, "getdents64({})", name(path)),
        Request::Fail { path, call, errno } => {
            write!(f, "fail({}, {call:?}, {errno})", name(path))
        }
        _ => Ok(()),
    }
}

fn name(path: &[u8]) -> String {
    format!("{:?}", String::from_utf8_lossy(path))
}

impl fmt::Display for Open {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match (self.read, self.write) {
            (true, true) => "O_RDWR",
            (_, true) => "O_WRONLY",
            _ => "O_RDONLY",
        })?;
        let flags = [
            (self.create, "O_CREAT"),
            (self.excl, "O_EXCL"),
            (self.trunc, "O_TRUNC"),
            (self.append, "O_APPEND"),
            (self.dsync, "O_DSYNC"),
            (self.sync, "O_SYNC"),
            (self.directory, "O_DIRECTORY"),
        ];
        let given = flags.iter().filter(|(given, _)| *given);
        given.into_iter().try_for_each(|(_, flag)| write!(f, "|{flag}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::ids::Fd;

    #[test]
    fn calls_read_as_strace_writes_them() {
        let (fd, path) = (Fd(3), Box::<[u8]>::from(*b"log"));
        let how = Open { read: true, write: true, create: true, append: true, ..Open::default() };
        let bytes = vec![7; 23];
        let told = [
            Request::Open { path: path.clone(), how, mode: 0o644 },
            Request::Write { fd, at: None, bytes: bytes.clone(), sync: None },
            Request::Write { fd, at: Some(8), bytes, sync: Some(Sync::Data) },
            Request::Rename { from: path.clone(), to: path, exchange: false },
            Request::Fsync { fd },
        ]
        .map(|call| call.to_string());
        assert_eq!(
            told,
            [
                "openat(\"log\", O_RDWR|O_CREAT|O_APPEND)",
                "write(3, …, 23)",
                "pwritev2(3, …, 23, 8, RWF_DSYNC)",
                "rename(\"log\", \"log\")",
                "fsync(3)",
            ]
        );
    }
}
