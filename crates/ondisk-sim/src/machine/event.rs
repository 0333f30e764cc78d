//! What moved: one event for each thing that does, with what made it move.
//!
//! Invariant: an event is a plain value of at most 64 bytes; its cause is an earlier event. The
//! deltas of a timeline follow from the events alone.

use std::fmt;

use super::Errno;
use super::ids::{BioId, EventId, Fd, Ino, Lba, Ns, OpId, PageVer, Ppa, RqId, TaskId, Tid};
use ondisk_fs::Rung;

/// One thing that moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its number, from 1 on without gaps.
    pub id: EventId,
    /// When.
    pub at: Ns,
    /// What made it happen; 0 at the beginning.
    pub cause: EventId,
    /// The call on whose behalf; 0 for nobody's.
    pub op: OpId,
    /// Which page content moved; 0 where none of a file did.
    pub ver: PageVer,
    /// In which layer.
    pub layer: Layer,
    /// What.
    pub kind: Kind,
}

const _: () = assert!(size_of::<Event>() <= 64);

/// The layers, from the program down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Layer {
    /// The machine as a whole: deaths.
    World = 0,
    /// The buffer in the process.
    Buffer = 1,
    /// Inodes, names, descriptors.
    Vfs = 2,
    /// Dirty and clean pages.
    PageCache = 3,
    /// The file system with its journal.
    Fs = 4,
    /// Requests and their order.
    Block = 5,
    /// The drive.
    Ssd = 6,
}

/// A system call, by its number on x86-64 (`arch/x86/entry/syscalls/syscall_64.tbl`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Nr(pub u16);

impl Nr {
    /// The numbers that the machine has.
    pub const TABLE: [(Self, &'static str); 28] = [
        (Self(0), "read"),
        (Self(1), "write"),
        (Self(3), "close"),
        (Self(5), "fstat"),
        (Self(17), "pread64"),
        (Self(18), "pwrite64"),
        (Self(74), "fsync"),
        (Self(75), "fdatasync"),
        (Self(77), "ftruncate"),
        (Self(162), "sync"),
        (Self(217), "getdents64"),
        (Self(257), "openat"),
        (Self(258), "mkdirat"),
        (Self(262), "newfstatat"),
        (Self(263), "unlinkat"),
        (Self(265), "linkat"),
        (Self(266), "symlinkat"),
        (Self(268), "fchmodat"),
        (Self(285), "fallocate"),
        (Self(316), "renameat2"),
        (Self(8), "lseek"),
        (Self(4), "stat"),
        (Self(82), "rename"),
        (Self(83), "mkdir"),
        (Self(84), "rmdir"),
        (Self(87), "unlink"),
        (Self(90), "chmod"),
        (Self(328), "pwritev2"),
    ];

    /// Its name; `?` for a number that is not in the table.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::TABLE.iter().find(|(nr, _)| *nr == self).map_or("?", |(_, name)| name)
    }
}

/// A state of a transaction of the journal (`fs/jbd2/commit.c`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Txn {
    /// Calls join it.
    Running,
    /// No call may join; those that did finish.
    Locked,
    /// Data that must be there first are written.
    Flush,
    /// Descriptors and copies of blocks go to the journal.
    Commit,
    /// The commit block goes.
    Record,
    /// It is durable; its blocks wait to be written home.
    Finished,
    /// All its blocks are home.
    Checkpointed,
}

/// A block of the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JBlock {
    /// Where the journal begins and with which transaction.
    Super,
    /// Says which blocks follow.
    Descriptor,
    /// A copy of a block of metadata, or in `data=journal` of data.
    Copy,
    /// Says which blocks of older transactions must not be replayed.
    Revoke,
    /// Ends a transaction.
    Commit,
}

/// What a handle was opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandleFor {
    /// A new inode and its name.
    Create,
    /// A name more.
    Link,
    /// A name less.
    Unlink,
    /// A name moved, or two exchanged.
    Rename,
    /// A length.
    Length,
    /// Blocks given to a file.
    Allocate,
    /// Unwritten extents that became written.
    Convert,
    /// Blocks taken from a file.
    Truncate,
    /// Times or mode.
    Attributes,
    /// An inode without names freed.
    Free,
}

/// How a bio joined a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Join {
    /// Behind its end.
    Back,
    /// Before its begin.
    Front,
}

/// What the drive is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cmd {
    /// Read blocks.
    Read,
    /// Write blocks.
    Write,
    /// Write blocks, durable when done.
    WriteFua,
    /// Make durable what was completed.
    Flush,
}

/// What a server is asked over the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remote {
    /// A change of names or modes, durable when it is answered.
    Name,
    /// A length, or blocks: the same.
    Length,
    /// WRITE, unstable: it may be in the server's memory alone.
    Write,
    /// COMMIT: what was written is durable when it is answered.
    Commit,
    /// READ.
    Read,
    /// A file without names is not open any more.
    Free,
}

/// What moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are named after the numbers they hold: see `ids`")]
pub enum Kind {
    /// A task entered the kernel; `a` and `b` are its arguments behind the descriptor.
    Call { task: TaskId, nr: Nr, fd: Fd, a: u64, b: u64 },
    /// It came back, with a value or a negative errno.
    Ret { task: TaskId, nr: Nr, value: i64 },
    /// A program told the world that something was done: the number of its text.
    Ack { task: TaskId, text: u32 },
    /// Bytes went into a user buffer.
    Buffered { task: TaskId, file: u32, held: u32, len: u32 },
    /// Bytes of a user buffer went to the kernel.
    Spilled { task: TaskId, file: u32, len: u32 },
    /// A name was looked up.
    Lookup { dir: Ino, found: Option<Ino> },
    /// A call failed.
    Errno { errno: Errno },
    /// A page got new bytes.
    Dirtied { ino: Ino, page: u32 },
    /// A writer has to wait, since too much is dirty.
    Throttled { task: TaskId, dirty: u32 },
    /// Pages went down to be written.
    WbStart { ino: Ino, page: u32, count: u32 },
    /// They are written: clean, unless dirtied again.
    WbDone { ino: Ino, page: u32, count: u32 },
    /// They could not be written: clean all the same.
    WbError { ino: Ino, page: u32, count: u32 },
    /// Space was promised to pages without a place.
    Reserved { ino: Ino, page: u32, count: u32 },
    /// Pages were given their place.
    Allocated { ino: Ino, page: u32, count: u32, lba: Lba },
    /// Their extent counts as written.
    Converted { ino: Ino, page: u32, count: u32 },
    /// A call changed metadata within a transaction.
    Handle { tid: Tid, why: HandleFor, ino: Ino },
    /// A transaction went on.
    TxnState { tid: Tid, from: Txn, to: Txn },
    /// A block was written into the journal; `home` is where its copy belongs.
    JWrite { tid: Tid, lba: Lba, what: JBlock, home: Lba },
    /// A block must not be replayed from before this transaction.
    Revoked { tid: Tid, lba: Lba },
    /// A block was written home.
    Checkpointed { tid: Tid, lba: Lba },
    /// The journal begins later now.
    TailMoved { from: Tid, to: Tid, block: u32 },
    /// A bio was submitted.
    Bio { bio: BioId, cmd: Cmd, lba: Lba, count: u32, preflush: bool },
    /// It became a request, which waits in its task's plug.
    Plugged { bio: BioId, rq: RqId, task: TaskId },
    /// It became part of a request; `from` is the one that it was part of before, 0 for none.
    Merged { bio: BioId, rq: RqId, from: RqId, join: Join },
    /// A request waits in the scheduler.
    Queued { rq: RqId, lba: Lba, count: u32 },
    /// The driver gave a command to the drive.
    Dispatched { rq: RqId, cmd: Cmd, slot: u16, lba: Lba, count: u32 },
    /// The drive answered.
    RqDone { rq: RqId, ok: bool },
    /// The drive was told to flush.
    FlushStart { rq: RqId },
    /// It says that it did.
    FlushDone { rq: RqId },
    /// A block is in the drive's cache.
    CacheIn { lba: Lba },
    /// A page of flash was programmed.
    Programmed { lba: Lba, ppa: Ppa },
    /// The map names it.
    Mapped { lba: Lba, ppa: Ppa },
    /// A page was copied, to free its erase block.
    GcCopy { lba: Lba, from: Ppa, to: Ppa },
    /// An erase block was erased.
    Erased { block: u32, wear: u32 },
    /// A page was copied, to spread the wear.
    WearMove { lba: Lba, from: Ppa, to: Ppa },
    /// A page of the drive's map was programmed, with so many entries.
    MapSaved { ppa: Ppa, count: u32 },
    /// A block reached a rung; [`Event::ver`] says which content.
    Settled { lba: Lba, rung: Rung },
    /// A fault that was ordered struck.
    Fault { errno: Errno },
    /// A process died.
    Kill { task: TaskId },
    /// The kernel died.
    Crash,
    /// The power failed.
    Cut,
    /// The file system is ready.
    Mounted,
    /// A block was replayed from the journal.
    Replayed { tid: Tid, lba: Lba },
    /// An inode that had no name any more was freed.
    OrphanFreed { ino: Ino },
    /// A server was asked for something over the network.
    Asked { remote: Remote, ino: Ino, page: u32, count: u32 },
    /// It answered.
    Answered { remote: Remote, ino: Ino, page: u32, count: u32, ok: bool },
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::World => "world",
            Self::Buffer => "buffer",
            Self::Vfs => "vfs",
            Self::PageCache => "page cache",
            Self::Fs => "file system",
            Self::Block => "block",
            Self::Ssd => "ssd",
        })
    }
}
