//! How a machine is built: its mount, its page cache, its scheduler, its drive and their times.
//!
//! Invariant: all that a run depends on stands here, in the script and in the seed.

use super::ids::Ns;

/// A machine's parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// What is mounted.
    pub mount: Mount,
    /// The page cache.
    pub cache: CacheConfig,
    /// The block layer.
    pub block: BlockConfig,
    /// The drive.
    pub drive: DriveConfig,
    /// How long a call takes beside what it waits for.
    pub call: Ns,
    /// How long it takes to copy a page.
    pub copy: Ns,
    /// How long a message takes to the server of a network file system, and back.
    pub net: Ns,
    /// Whether a [`History`](crate::History) is kept of what was called.
    pub history: bool,
    /// A mistake planted on purpose, for tests of tests.
    #[doc(hidden)]
    pub sabotage: Option<Sabotage>,
}

/// Mistakes that a suite must notice: each is one rule of a layer, left out.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sabotage {
    /// The commit block is sent without a FLUSH before it.
    NoFlushBeforeCommit,
    /// A FLUSH is answered while blocks of the cache are not in flash.
    FlushForgetsCache,
    /// A write with FUA is answered when it is in the drive's cache.
    FuaAckedFromCache,
    /// The drive's capacitors hold no charge.
    CapacitorEmpty,
    /// The collection of garbage forgets the last valid page of an erase block.
    GcLosesPage,
    /// An erase block is erased before its valid pages are copied.
    EraseBeforeCopy,
    /// At power-up the oldest page of a block counts, not the newest.
    StaleSeqWins,
    /// At power-up the saved map counts, and what was programmed since is not looked for.
    SavedMapIsAll,
    /// A commit does not wait for the data that it orders before it.
    OrderedDataDropped,
    /// A freed block of metadata is not revoked.
    RevokeForgotten,
    /// The commit block is sent together with what it ends.
    CommitBlockEarly,
    /// The journal's tail moves without a FLUSH after the writes home.
    TailMovedWithoutFlush,
    /// A freed block is given away before its transaction is durable.
    FreedBlockReusedEarly,
    /// Unwritten extents count as written when their data are submitted, not when done.
    ConvertedBeforeDone,
    /// An fsync does not wait for a commit.
    FsyncWithoutCommit,
    /// Blocks go home before their transaction is durable.
    CheckpointBeforeCommit,
    /// The next transaction's bytes go into the copies of the one that commits.
    FrozenNot,
    /// Recovery looks at no checksum.
    ChecksumIgnored,
    /// Recovery replays what was revoked.
    ReplayIgnoresRevoke,
    /// Recovery replays a transaction that has no commit block.
    ReplayWithoutCommit,
    /// The block layer lets bios join requests that flush, and those join others.
    MergeIntoFlush,
    /// Who wants a flush is answered by one that has started before.
    FlushShared,
    /// `mq-deadline` looks at no deadline.
    DeadlineIgnoresExpiry,
    /// FUA is not passed on to the drive.
    FuaDropped,
    /// A drive without FUA is not flushed after the data.
    PostflushSkipped,
    /// A page whose write-back failed stays dirty.
    WritebackErrorKept,
    /// A failed write-back is told to nobody.
    ErrorNotTold,
    /// An `O_DSYNC` write waits for no page.
    DsyncSyncsNothing,
    /// A write to a part of a page that is not in memory takes the rest for zeros.
    PartialWriteForgetsRead,
    /// A page that was changed on its way counts as clean when it arrives.
    RewriteForgotten,
    /// A rename locks its directories in the order in which it names them.
    DirsLockedAsNamed,
    /// The bytes behind a new, smaller end stay in the last page.
    TailNotZeroed,
    /// What a server lost when it restarted is not sent again.
    VerifierIgnored,
    /// A server answers a change of names before it is durable.
    NamesNotCommitted,
    /// A close of a file over the network is no sync.
    CloseWithoutCommit,
}

/// What is mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mount {
    /// ext4 with its journal.
    Ext4(Ext4Options),
    /// A RAM disk: pages alone.
    Tmpfs,
    /// A file of another machine, over the network.
    Nfs,
}

/// How data stand to the journal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DataMode {
    /// `data=ordered`: new blocks' data before the commit that names them, as far as
    /// [`Ext4Options::dioread_lock`] lets it.
    #[default]
    Ordered,
    /// `data=writeback`: no order.
    Writeback,
    /// `data=journal`: data go through the journal.
    Journal,
}

/// The mount options of ext4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ext4Options {
    /// `data=`.
    pub data: DataMode,
    /// `delalloc`: blocks are given at write-back.
    pub delalloc: bool,
    /// `dioread_lock`: new extents are born written, and on the ordered list.
    pub dioread_lock: bool,
    /// `auto_da_alloc`.
    pub auto_da_alloc: bool,
    /// `barrier`: FLUSH and FUA are sent.
    pub barrier: bool,
    /// `commit=`: how old a transaction may get.
    pub commit: Ns,
    /// The blocks of the journal.
    pub journal: u32,
    /// The blocks of the file system.
    pub blocks: u32,
    /// How many inodes there are.
    pub inodes: u32,
    /// The grain of timestamps: an overwrite within it changes no inode.
    pub tick: Ns,
}

/// How much of the background threshold a device has when it starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Share {
    /// It has written before: only age forces write-back.
    #[default]
    Warm,
    /// It has written nothing lately: the first wake writes all.
    Fresh,
}

/// The page cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheConfig {
    /// `dirty_writeback_centisecs`: how often the flusher wakes.
    pub wake: Ns,
    /// `dirty_expire_centisecs`: at which age write-back is forced.
    pub expire: Ns,
    /// Pages of memory that may be dirty or could be freed.
    pub available: u32,
    /// `dirty_background_ratio`, in percent.
    pub background: u32,
    /// `dirty_ratio`, in percent.
    pub dirty: u32,
    /// What the device's share is at first.
    pub share: Share,
}

/// Who orders requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scheduler {
    /// Nobody.
    #[default]
    None,
    /// `mq-deadline`.
    MqDeadline,
    /// `bfq`.
    Bfq,
}

/// The block layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockConfig {
    /// Who orders.
    pub scheduler: Scheduler,
    /// How many commands the drive takes at once.
    pub depth: u16,
    /// How many requests may wait.
    pub queue: u16,
    /// The largest request, in blocks.
    pub largest: u32,
    /// How long a dispatch takes.
    pub dispatch: Ns,
}

/// The drive's cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DriveCache {
    /// Lost with the power.
    #[default]
    Volatile,
    /// Capacitors bring it to flash.
    Capacitor,
    /// None: a write is in flash when it is done.
    None,
}

/// What a FLUSH does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FlushIs {
    /// It empties the cache.
    #[default]
    Honest,
    /// It says so.
    Lies,
}

/// How the driver speaks to the drive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Link {
    /// NVMe: FUA is a bit of the write.
    #[default]
    Nvme,
    /// SATA: no FUA; a flush after instead.
    Sata,
}

/// The drive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DriveConfig {
    /// Its cache.
    pub cache: DriveCache,
    /// How much the cache holds, in blocks.
    pub cache_blocks: u32,
    /// Its FLUSH.
    pub flush: FlushIs,
    /// The driver.
    pub link: Link,
    /// Logical blocks.
    pub blocks: u32,
    /// Pages in an erase block.
    pub pages: u16,
    /// Spare erase blocks, in thousandths.
    pub spare: u32,
    /// Whether a block that was being written may be torn at a sector.
    pub torn: bool,
    /// Into the cache: for a command, and for each page of it.
    pub accept: (Ns, Ns),
    /// Reading a page.
    pub read: Ns,
    /// Programming a page.
    pub program: Ns,
    /// Erasing a block.
    pub erase: Ns,
    /// How many pages are programmed at once.
    pub channels: u16,
    /// A FLUSH beside the draining.
    pub drain: Ns,
    /// A mistake planted on purpose, for tests of tests.
    #[doc(hidden)]
    pub sabotage: Option<Sabotage>,
}

impl Default for Ext4Options {
    fn default() -> Self {
        Self {
            data: DataMode::Ordered,
            delalloc: true,
            dioread_lock: false,
            auto_da_alloc: true,
            barrier: true,
            commit: Ns::S.times(5),
            journal: 1024,
            blocks: 16 << 10,
            inodes: 1024,
            tick: Ns::MS.times(4),
        }
    }
}

impl Default for CacheConfig {
    fn default() -> Self {
        Self {
            wake: Ns::S.times(5),
            expire: Ns::S.times(30),
            available: 64 << 10,
            background: 10,
            dirty: 20,
            share: Share::Warm,
        }
    }
}

impl Default for BlockConfig {
    fn default() -> Self {
        Self { scheduler: Scheduler::None, depth: 32, queue: 64, largest: 320, dispatch: Ns(2_000) }
    }
}

impl Default for DriveConfig {
    fn default() -> Self {
        Self {
            cache: DriveCache::Volatile,
            cache_blocks: 4096,
            flush: FlushIs::Honest,
            link: Link::Nvme,
            blocks: 16 << 10,
            pages: 64,
            spare: 70,
            torn: false,
            accept: (Ns(10_000), Ns(1_000)),
            read: Ns(60_000),
            program: Ns(600_000),
            erase: Ns(3_000_000),
            channels: 4,
            drain: Ns(50_000),
            sabotage: None,
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            mount: Mount::Ext4(Ext4Options::default()),
            cache: CacheConfig::default(),
            block: BlockConfig::default(),
            drive: DriveConfig::default(),
            call: Ns(300),
            copy: Ns(400),
            net: Ns::US.times(100),
            history: true,
            sabotage: None,
        }
    }
}
