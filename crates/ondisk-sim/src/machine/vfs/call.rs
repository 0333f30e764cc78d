//! A call on its way through the VFS.
//!
//! Invariant: what a call was resolved to, inode or description, stays until it is done.

use super::lock::Few;
use super::{Boundary, CWD, Vfs};
use crate::machine::Errno;
use crate::machine::event::Nr;
use crate::machine::ids::{EventId, Ino, OpId, TaskId};
use crate::machine::layer::Cx;
use crate::machine::message::{Done, Open, Reply, Request, Sync};
use crate::ops::record::Running;

/// A call that has not returned.
#[derive(Clone, Debug)]
pub(super) struct Pending {
    pub(super) op: OpId,
    pub(super) task: TaskId,
    pub(super) nr: Nr,
    pub(super) job: Job,
    /// The locks that it needs, in order, the first `held` of which it has.
    pub(super) locks: Few,
    pub(super) held: usize,
    /// How many times its locks were complete.
    pub(super) round: u8,
    /// The description that it works with.
    pub(super) file: Option<u32>,
    /// The inodes that it works with and that may lose their last names meanwhile.
    pub(super) pinned: Few,
    /// A description that its task is to get.
    pub(super) opened: Option<u32>,
    /// Whether the description's offset moves on with the bytes.
    pub(super) moves: bool,
    /// Pages copied between program and kernel.
    pub(super) pages: u64,
    /// The sync that the history knows of.
    pub(super) running: Option<Running>,
    /// The event behind it.
    pub(super) reason: EventId,
    pub(super) result: Option<Result<Reply, Errno>>,
    /// Its task is dead: nobody is told.
    pub(super) dead: bool,
}

/// What a call does.
#[derive(Clone, Debug)]
pub(super) enum Job {
    /// Nothing that is waited for.
    None,
    /// A new inode with a name.
    Make { dir: Ino, name: Box<[u8]>, mode: u16, what: New },
    /// A file that is there is opened and cut to nothing.
    Truncate { ino: Ino, how: Open, path: Box<[u8]> },
    /// A name goes.
    Remove { dir: Ino, name: Box<[u8]>, ino: Ino, rmdir: bool },
    /// One more name.
    Link { ino: Ino, dir: Ino, name: Box<[u8]> },
    /// A name moves, or two change places.
    Rename(Box<Renaming>),
    /// Other mode bits.
    Chmod { ino: Ino, mode: u16 },
    /// Bytes are read.
    Read,
    /// Bytes are written: at an offset, or where the description is.
    Write { at: Option<u64>, bytes: Vec<u8>, sync: Option<Sync>, count: u64 },
    /// They stand in the pages, but are being synced or slowed.
    Written { count: u64, sync: bool },
    /// Another length.
    SetLen { ino: Ino, len: u64 },
    /// Blocks for the first bytes.
    Allocate { ino: Ino, len: u64 },
    /// A file or a directory is synced.
    Sync,
    /// Everything is.
    SyncAll,
}

/// What a new name stands for.
#[derive(Clone, Debug)]
pub(super) enum New {
    /// A file, opened so by this path.
    File(Open, Box<[u8]>),
    /// A directory.
    Dir,
    /// A symbolic link.
    Symlink(Box<[u8]>),
}

/// The names of a rename and what they stand for.
#[derive(Clone, Debug)]
pub(super) struct Renaming {
    pub(super) from: (Ino, Box<[u8]>),
    pub(super) to: (Ino, Box<[u8]>),
    /// Whether the names were written as those of directories.
    pub(super) slashes: (bool, bool),
    pub(super) exchange: bool,
    pub(super) ino: Ino,
    pub(super) there: Option<Ino>,
}

/// What comes next for a call.
#[derive(Debug)]
pub(super) enum Next {
    /// It is done.
    Done(Reply),
    /// Somebody below was asked.
    Wait,
    /// It needs the locks that it names.
    Lock,
}

impl Pending {
    pub(super) fn new(op: OpId, task: TaskId, nr: Nr, reason: EventId) -> Self {
        Self {
            op,
            task,
            nr,
            job: Job::None,
            locks: Few::default(),
            held: 0,
            round: 0,
            file: None,
            pinned: Few::default(),
            opened: None,
            moves: false,
            pages: 0,
            running: None,
            reason,
            result: None,
            dead: false,
        }
    }
}

impl Vfs {
    /// A call comes in.
    pub(super) fn start(&mut self, cx: &mut Cx, slot: u32, what: Request) -> Result<Next, Errno> {
        match what {
            Request::Open { path, how, mode } => self.open(cx, slot, path, how, mode),
            Request::Close { fd } => self.close(cx, slot, fd),
            Request::Read { fd, at, len } => self.read(cx, slot, fd, at, len),
            Request::Write { fd, at, bytes, sync } => self.write(cx, slot, fd, (at, bytes, sync)),
            Request::Seek { fd, to } => self.seek(slot, fd, to),
            Request::SetLen { fd, len } => self.set_len(slot, fd, len),
            Request::Allocate { fd, len } => self.allocate(slot, fd, len),
            Request::Fsync { fd } => self.fsync(cx, slot, fd, Sync::All),
            Request::Fdatasync { fd } => self.fsync(cx, slot, fd, Sync::Data),
            Request::Sync => self.sync(cx, slot),
            Request::Mkdir { path, mode } => self.make(cx, slot, &path, mode, New::Dir),
            Request::Symlink { target, path } => {
                self.make(cx, slot, &path, 0o777, New::Symlink(target))
            }
            Request::Rmdir { path } => self.remove(cx, slot, &path, true),
            Request::Unlink { path } => self.remove(cx, slot, &path, false),
            Request::Rename { from, to, exchange } => self.rename(cx, slot, &from, &to, exchange),
            Request::Link { from, to } => self.link(cx, slot, &from, &to),
            Request::Chmod { path, mode } => self.chmod(cx, slot, &path, mode),
            Request::Stat { path } => self.stat(cx, slot, &path),
            Request::Fstat { fd } => self.fstat(cx, slot, fd),
            Request::List { path } => self.list(cx, slot, &path),
            Request::Fail { .. } | Request::Exit | Request::Evict => Ok(Next::Done(Reply::Ok)),
        }
    }

    /// A call has all the locks that it named: it looks again, and asks below.
    pub(super) fn locked(&mut self, cx: &mut Cx, slot: u32) -> Result<Next, Errno> {
        match &self.calls[slot].job {
            Job::Make { .. } => self.locked_make(cx, slot),
            Job::Remove { .. } => self.locked_remove(cx, slot),
            Job::Link { .. } => self.locked_link(cx, slot),
            Job::Rename(_) => self.locked_rename(cx, slot),
            _ => self.locked_data(cx, slot),
        }
    }

    /// The layer below did what it was asked: so it is from here on.
    pub(super) fn done(&mut self, cx: &mut Cx, slot: u32, done: Done) -> Result<Next, Errno> {
        match (&self.calls[slot].job, done) {
            (Job::Make { .. }, Done::Ino(ino)) => Ok(self.made(cx, slot, ino)),
            (Job::Remove { .. }, _) => Ok(self.removed(cx, slot)),
            (Job::Link { .. }, _) => Ok(self.linked(cx, slot)),
            (Job::Rename(_), _) => Ok(self.renamed(cx, slot)),
            (Job::Chmod { ino, mode }, _) => Ok(self.chmodded(cx, *ino, *mode)),
            (_, done) => self.done_data(cx, slot, done),
        }
    }
}

/// The number and the arguments of a call; `None` for what is no call of a program's.
pub(super) fn boundary(what: &Request) -> Option<Boundary> {
    let positioned = |at: &Option<u64>, plain, at_offset| match at {
        None => (Nr(plain), 0),
        Some(at) => (Nr(at_offset), *at),
    };
    Some(match what {
        Request::Open { how, mode, .. } => (Nr(257), CWD, flags(how), u64::from(*mode)),
        Request::Close { fd } => (Nr(3), *fd, 0, 0),
        Request::Read { fd, at, len } => {
            let (nr, at) = positioned(at, 0, 17);
            (nr, *fd, *len, at)
        }
        Request::Write { fd, at, bytes, sync } => {
            let (nr, at) = positioned(at, 1, 18);
            (sync.map_or(nr, |_| Nr(328)), *fd, bytes.len() as u64, at)
        }
        Request::Seek { fd, to } => (Nr(8), *fd, *to, 0),
        Request::SetLen { fd, len } => (Nr(77), *fd, *len, 0),
        Request::Allocate { fd, len } => (Nr(285), *fd, 0, *len),
        Request::Fsync { fd } => (Nr(74), *fd, 0, 0),
        Request::Fdatasync { fd } => (Nr(75), *fd, 0, 0),
        Request::Sync => (Nr(162), CWD, 0, 0),
        Request::Mkdir { mode, .. } => (Nr(83), CWD, u64::from(*mode), 0),
        Request::Rmdir { .. } => (Nr(84), CWD, 0, 0),
        Request::Unlink { .. } => (Nr(87), CWD, 0, 0),
        Request::Rename { exchange: false, .. } => (Nr(82), CWD, 0, 0),
        Request::Rename { exchange: true, .. } => (Nr(316), CWD, 0, 2),
        Request::Link { .. } => (Nr(265), CWD, 0, 0),
        Request::Symlink { .. } => (Nr(266), CWD, 0, 0),
        Request::Chmod { mode, .. } => (Nr(90), CWD, u64::from(*mode), 0),
        Request::Stat { .. } => (Nr(4), CWD, 0, 0),
        Request::Fstat { fd } => (Nr(5), *fd, 0, 0),
        Request::List { .. } => (Nr(217), CWD, 0, 0),
        Request::Fail { .. } | Request::Exit | Request::Evict => return None,
    })
}

/// The flags of `open(2)`, as `include/uapi/asm-generic/fcntl.h` numbers them.
fn flags(how: &Open) -> u64 {
    let access = match (how.read, how.write) {
        (_, false) => 0,
        (false, true) => 1,
        (true, true) => 2,
    };
    let bits = [
        (how.create, 0o100),
        (how.excl, 0o200),
        (how.trunc, 0o1000),
        (how.append, 0o2000),
        (how.dsync, 0o10000),
        (how.sync, 0o4_010_000),
        (how.directory, 0o200_000),
    ];
    bits.into_iter().filter(|(set, _)| *set).fold(access, |all, (_, bit)| all | bit)
}
