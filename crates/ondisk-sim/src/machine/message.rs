//! What the layers say to each other, boundary by boundary.
//!
//! Invariant: requests go down and completions come up; a message names things by number and
//! holds no reference into a layer. Bytes of files travel as [`BlockId`]s; only the boundary to
//! the program carries bytes.

mod words;

use super::Errno;
use super::ext4::disk::{Loaded, Tree};
use super::ids::{BioId, BlockId, Fd, Ino, Lba, OpId, PageVer, RqId, TaskId};

/// A message and, by its kind, whom it is for.
#[derive(Clone, Debug)]
pub enum Msg {
    /// A call of a program, to the VFS.
    Call(Call),
    /// A call's answer, to the program.
    Ret(Ret),
    /// To the page cache, from the VFS.
    Pages(PagesReq),
    /// To the VFS, from the page cache or the file system.
    VfsDone(VfsDone),
    /// To the file system, from the VFS or the page cache.
    Fs(FsReq),
    /// To the page cache, from the file system.
    PagesDone(PagesDone),
    /// To the block layer, from the file system.
    Block(BlockReq),
    /// To the file system, from the block layer.
    BioDone(BioDone),
    /// To the drive, from the block layer.
    Ssd(SsdReq),
    /// To the block layer, from the drive.
    SsdDone(SsdDone),
}

// The boundary between program and kernel.

/// A call of a program.
#[derive(Clone, Debug)]
pub struct Call {
    /// Its number.
    pub op: OpId,
    /// Whose.
    pub task: TaskId,
    /// What it asks.
    pub what: Request,
}

/// What a program may ask. Paths are relative to the root of the one mount.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are the arguments of the calls: see the manual pages")]
pub enum Request {
    /// `openat(2)`: answers [`Reply::Fd`].
    Open { path: Box<[u8]>, how: Open, mode: u16 },
    /// `close(2)`.
    Close { fd: Fd },
    /// `read(2)`, or `pread(2)` with an offset: answers [`Reply::Bytes`].
    Read { fd: Fd, at: Option<u64>, len: u64 },
    /// `write(2)`, or `pwrite(2)` with an offset: answers [`Reply::Count`]. With `sync` it is
    /// `pwritev2(2)` with `RWF_DSYNC` or `RWF_SYNC`.
    Write { fd: Fd, at: Option<u64>, bytes: Vec<u8>, sync: Option<Sync> },
    /// `lseek(2)` from the beginning.
    Seek { fd: Fd, to: u64 },
    /// `ftruncate(2)`.
    SetLen { fd: Fd, len: u64 },
    /// `fallocate(2)` from 0 on, without a flag.
    Allocate { fd: Fd, len: u64 },
    /// `fsync(2)`, of a file or a directory.
    Fsync { fd: Fd },
    /// `fdatasync(2)`.
    Fdatasync { fd: Fd },
    /// `sync(2)`.
    Sync,
    /// `mkdir(2)`.
    Mkdir { path: Box<[u8]>, mode: u16 },
    /// `rmdir(2)`.
    Rmdir { path: Box<[u8]> },
    /// `unlink(2)`.
    Unlink { path: Box<[u8]> },
    /// `rename(2)`, or with `RENAME_EXCHANGE`.
    Rename { from: Box<[u8]>, to: Box<[u8]>, exchange: bool },
    /// `link(2)`.
    Link { from: Box<[u8]>, to: Box<[u8]> },
    /// `symlink(2)`.
    Symlink { target: Box<[u8]>, path: Box<[u8]> },
    /// `chmod(2)`.
    Chmod { path: Box<[u8]>, mode: u16 },
    /// `stat(2)`: answers [`Reply::Stat`].
    Stat { path: Box<[u8]> },
    /// `fstat(2)`: answers [`Reply::Stat`].
    Fstat { fd: Fd },
    /// The names in a directory: answers [`Reply::Names`].
    List { path: Box<[u8]> },
    /// No call of a program's: the next call of this kind on this file fails so.
    Fail { path: Box<[u8]>, call: Failing, errno: Errno },
    /// No call of a program's: all its descriptors are closed, as when it dies.
    Exit,
    /// No call of a program's: clean pages are forgotten.
    Evict,
}

/// How a file is opened: the flags of `open(2)`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Open {
    /// To read.
    pub read: bool,
    /// To write.
    pub write: bool,
    /// `O_CREAT`.
    pub create: bool,
    /// `O_EXCL`.
    pub excl: bool,
    /// `O_TRUNC`.
    pub trunc: bool,
    /// `O_APPEND`.
    pub append: bool,
    /// `O_DSYNC`.
    pub dsync: bool,
    /// `O_SYNC`.
    pub sync: bool,
    /// `O_DIRECTORY`.
    pub directory: bool,
}

/// The call that an ordered failure strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Failing {
    /// The next `write(2)`.
    Write,
    /// The next `fsync(2)`: its write-back fails.
    Fsync,
    /// The next `fdatasync(2)`: its write-back fails.
    Fdatasync,
}

/// A call's answer.
#[derive(Clone, Debug)]
pub struct Ret {
    /// Which call.
    pub op: OpId,
    /// Whose.
    pub task: TaskId,
    /// What it answers.
    pub result: Result<Reply, Errno>,
}

/// What a call that went well answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Nothing more than that.
    Ok,
    /// A descriptor.
    Fd(Fd),
    /// How many bytes were taken.
    Count(u64),
    /// What was read.
    Bytes(Vec<u8>),
    /// What an inode is.
    Stat(Stat),
    /// The names in a directory, in order.
    Names(Vec<(Box<[u8]>, Stat)>),
}

/// What an inode is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// Its number.
    pub ino: Ino,
    /// What it is.
    pub kind: Kind,
    /// Its length in bytes.
    pub size: u64,
    /// How many names it has.
    pub links: u32,
    /// Its mode bits.
    pub mode: u16,
}

/// What an inode may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A file.
    File,
    /// A directory.
    Dir,
    /// A symbolic link.
    Symlink,
}

// Between VFS and page cache.

/// Which sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sync {
    /// `fdatasync`, `O_DSYNC`: data, and what is needed to read them back.
    Data,
    /// `fsync`, `O_SYNC`: all metadata of the file too.
    All,
}

/// What the page cache is asked.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the fields are named after what they hold")]
pub enum PagesReq {
    /// A file was opened or made: its length, which the page cache keeps from here on.
    Know { ino: Ino, size: u64 },
    /// Bytes go into pages. Applied all at one instant. With `sync`, its range is made durable
    /// before the last answer. Answers [`Done::Applied`], then perhaps [`Done::Ok`].
    Write { op: OpId, task: TaskId, ino: Ino, at: u64, bytes: Vec<u8>, sync: Option<Sync> },
    /// Bytes are read, from pages or from below.
    Read { op: OpId, task: TaskId, ino: Ino, at: u64, len: u64 },
    /// Pages behind the length go, the last is cut; then the file system's part.
    SetLen { op: OpId, task: TaskId, ino: Ino, len: u64 },
    /// Blocks for the first bytes: the last page is cleared where the file grows, then the file
    /// system is asked, whose answer goes to the VFS.
    Allocate { op: OpId, task: TaskId, ino: Ino, len: u64 },
    /// Dirty pages down, wait, then the file system's part. `fail`: the write-back fails so.
    Fsync { op: OpId, task: TaskId, ino: Ino, kind: Sync, fail: Option<Errno> },
    /// All dirty pages of all files down, wait, then the file system's part.
    SyncAll { op: OpId, task: TaskId },
    /// Start to write an inode's pages, and do not wait: a close after a truncate to nothing.
    Start { ino: Ino },
    /// The inode is gone: so are its pages. When none of them is on its way any more, the file
    /// system is told with [`FsReq::Free`].
    Drop { ino: Ino },
    /// Clean pages are forgotten.
    Evict,
}

/// An answer to the VFS.
#[derive(Clone, Debug)]
pub struct VfsDone {
    /// The call, or 0 for what no call waits for.
    pub op: OpId,
    /// How it went.
    pub result: Result<Done, Errno>,
}

/// What the VFS is told.
#[derive(Clone, Debug)]
pub enum Done {
    /// It is done.
    Ok,
    /// A write stands in the pages, from this instant on.
    Applied {
        /// What was written.
        bytes: Vec<u8>,
        /// Whether that is all; else it is being synced, or slowed, and another answer will come.
        done: bool,
    },
    /// Bytes that were read.
    Bytes(Vec<u8>),
    /// A new inode.
    Ino(Ino),
    /// Write-back of an inode failed: its error sequence goes on. No call waits for it.
    WbError {
        /// The inode.
        ino: Ino,
        /// How it failed.
        errno: Errno,
    },
    /// The file system is mounted, and this is on it.
    Mounted(Box<Tree>),
}

// Between VFS or page cache and file system.

/// What the file system is asked. Answers go to the VFS ([`VfsDone`]) for requests of the
/// VFS, to the page cache ([`PagesDone`]) for its own.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the fields are named after what they hold")]
pub enum FsReq {
    /// Mount what was read from the media: replay, free orphans, then [`Done::Mounted`].
    Mount(Box<Loaded>),
    // From the VFS. Names were checked there; each is one handle, and answers `Ok` or `Ino`.
    Create {
        op: OpId,
        task: TaskId,
        dir: Ino,
        name: Box<[u8]>,
        kind: Kind,
        mode: u16,
        target: Box<[u8]>,
    },
    Link {
        op: OpId,
        task: TaskId,
        dir: Ino,
        name: Box<[u8]>,
        ino: Ino,
    },
    /// With its last name the inode becomes an orphan until [`Free`](Self::Free) if it is `open`,
    /// as every file is taken to be, since its pages may be on their way; else it is freed at
    /// once.
    Unlink {
        op: OpId,
        task: TaskId,
        dir: Ino,
        name: Box<[u8]>,
        ino: Ino,
        open: bool,
    },
    /// `replaced`: what the new name stood for, and whether somebody has it open, as in
    /// [`Unlink`](Self::Unlink).
    Rename {
        op: OpId,
        task: TaskId,
        from: (Ino, Box<[u8]>),
        to: (Ino, Box<[u8]>),
        ino: Ino,
        replaced: Option<(Ino, bool)>,
    },
    Exchange {
        op: OpId,
        task: TaskId,
        a: (Ino, Box<[u8]>, Ino),
        b: (Ino, Box<[u8]>, Ino),
    },
    Chmod {
        op: OpId,
        task: TaskId,
        ino: Ino,
        mode: u16,
    },
    Allocate {
        op: OpId,
        task: TaskId,
        ino: Ino,
        len: u64,
    },
    /// Nobody has an inode without names open, and none of its pages is on its way: sent by the
    /// page cache, for inodes that were open when they lost their last name.
    Free {
        ino: Ino,
    },
    /// A directory's fsync: no pages of its own are in the page cache.
    SyncDir {
        op: OpId,
        task: TaskId,
        ino: Ino,
    },
    /// A `stat` was made: the next change of the inode's times counts (multigrain timestamps).
    Seen {
        ino: Ino,
    },
    // From the page cache.
    /// Before bytes are put into pages: opens a handle where one is needed, reserves space.
    /// Answers [`PagesDone::Ready`], later if the transaction is being locked. `size`: the length
    /// before.
    WriteBegin {
        op: OpId,
        task: TaskId,
        ino: Ino,
        at: u64,
        len: u64,
        size: u64,
    },
    /// They were put there, at the same instant: closes the handle. `size`: the length now.
    /// `pages` in `data=journal` alone: those that changed, the last before included when its
    /// tail was cleared. No answer.
    WriteEnd {
        op: OpId,
        ino: Ino,
        size: u64,
        pages: Vec<(u32, Cargo)>,
    },
    /// The bytes of a page. Answers [`PagesDone::Page`].
    ReadPage {
        ino: Ino,
        page: u32,
        task: TaskId,
    },
    /// Pages of one file in ascending order, to be written. Answers [`PagesDone::Written`] for
    /// each run as it is done. `fail`: the drive will fail them so.
    WritePages {
        op: OpId,
        task: TaskId,
        ino: Ino,
        pages: Vec<(u32, Cargo)>,
        size: u64,
        fail: Option<Errno>,
    },
    /// The length changed, after the pages did: when it became less and ends inside a page that is
    /// on the media, that page was read, cut and is dirty. Answers [`PagesDone::Done`].
    SetLen {
        op: OpId,
        task: TaskId,
        ino: Ino,
        old: u64,
        len: u64,
    },
    /// The file system's part of a sync, after the data. Answers [`PagesDone::Done`].
    Sync {
        op: OpId,
        task: TaskId,
        ino: Ino,
        kind: Sync,
    },
    /// The file system's part of `sync(2)`. Answers [`PagesDone::Done`].
    SyncAll {
        op: OpId,
        task: TaskId,
    },
    /// The task sleeps: what it plugged goes on. Passed on to the block layer.
    Unplug {
        task: TaskId,
    },
}

/// What the page cache is told by the file system.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the fields are named after what they hold")]
pub enum PagesDone {
    /// The pages may be changed now, at this instant.
    Ready { op: OpId, result: Result<(), Errno> },
    /// The bytes of a page; zeros where the file has none.
    Page { ino: Ino, page: u32, result: Result<BlockId, Errno> },
    /// Pages are written, or not.
    Written { ino: Ino, pages: Vec<(u32, Cargo)>, result: Result<(), Errno> },
    /// Its part of a call is done.
    Done { op: OpId, result: Result<(), Errno> },
    /// Write this inode's pages now (`auto_da_alloc`); nobody waits.
    Start { ino: Ino },
}

/// One block on its way: its bytes, and of which page they are a version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cargo {
    /// The bytes.
    pub content: BlockId,
    /// The version of a page; 0 for metadata.
    pub ver: PageVer,
}

// Between file system and block layer.

/// What the block layer is asked.
#[derive(Clone, Debug)]
pub enum BlockReq {
    /// A block I/O. Answers [`BioDone`].
    Submit(Bio),
    /// The task sleeps, or is done submitting: its plug drains.
    Unplug(TaskId),
}

/// A block I/O: a contiguous run of blocks.
#[derive(Clone, Debug)]
pub struct Bio {
    /// Its number, given by the file system.
    pub id: BioId,
    /// Who waits for it, and in whose plug and queue it goes.
    pub task: TaskId,
    /// On behalf of which call.
    pub op: OpId,
    /// What to do. `Flush` is an empty bio with `preflush`.
    pub what: BioWhat,
    /// The first block.
    pub lba: Lba,
    /// The blocks; for a read, as many as are to be read. Empty for a flush.
    pub cargo: Vec<Cargo>,
    /// `REQ_PREFLUSH`: the drive's cache is flushed before.
    pub preflush: bool,
    /// `REQ_FUA`: durable when done.
    pub fua: bool,
    /// `REQ_SYNC`: somebody waits.
    pub sync: bool,
    /// `REQ_META`: of the file system itself.
    pub meta: bool,
    /// The drive fails it so.
    pub fail: Option<Errno>,
}

/// What a bio does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BioWhat {
    /// Reads.
    Read,
    /// Writes.
    Write,
    /// Flushes alone.
    Flush,
}

/// A bio is done.
#[derive(Clone, Debug)]
pub struct BioDone {
    /// Which.
    pub id: BioId,
    /// Its blocks, read or written; to be given back.
    pub cargo: Vec<Cargo>,
    /// How it went.
    pub result: Result<(), Errno>,
}

// Between block layer and drive.

/// A command to the drive.
#[derive(Clone, Debug)]
pub struct SsdReq {
    /// The request it stands for.
    pub rq: RqId,
    /// The slot of the queue, below its depth.
    pub slot: u16,
    /// On behalf of which call.
    pub op: OpId,
    /// What to do.
    pub cmd: super::event::Cmd,
    /// The first block.
    pub lba: Lba,
    /// The blocks.
    pub cargo: Vec<Cargo>,
    /// It fails so, and does nothing.
    pub fail: Option<Errno>,
}

/// A command is done.
#[derive(Clone, Debug)]
pub struct SsdDone {
    /// The request.
    pub rq: RqId,
    /// Its blocks.
    pub cargo: Vec<Cargo>,
    /// How it went.
    pub result: Result<(), Errno>,
}
