//! The numbers by which the layers name things to each other.
//!
//! Invariant: dense newtypes, given out in order and never an address, so that the same seed
//! gives the same numbers everywhere.

/// An instant of the simulated clock, in nanoseconds since the machine was switched on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ns(pub u64);

impl Ns {
    /// One microsecond.
    pub const US: Self = Self(1_000);
    /// One millisecond.
    pub const MS: Self = Self(1_000_000);
    /// One second.
    pub const S: Self = Self(1_000_000_000);

    /// So many times this.
    #[must_use]
    pub const fn times(self, n: u64) -> Self {
        Self(self.0 * n)
    }
}

impl std::ops::Add for Ns {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}

macro_rules! number {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
        pub struct $name(pub u32);

        impl $name {
            /// As an index.
            #[must_use]
            pub const fn index(self) -> usize {
                self.0 as usize
            }
        }
    };
}

number!(
    /// A call of a program. The first is 1; 0 is nobody's, the machine's own doing.
    OpId
);
number!(
    /// An event. The first is 1; 0 means no event.
    EventId
);
number!(
    /// An inode. The root directory is [`Ino::ROOT`].
    Ino
);
number!(
    /// One content of one page of one file; 0 is none: a metadata or journal block.
    PageVer
);
number!(
    /// A transaction of the journal. The first is 1.
    Tid
);
number!(
    /// A block I/O: a contiguous run of blocks, as a file system submits it.
    BioId
);
number!(
    /// A request of the block layer: one or more merged bios.
    RqId
);
number!(
    /// A logical block of 4 KiB of the device.
    Lba
);
number!(
    /// A file descriptor of a task.
    Fd
);
number!(
    /// A task. 0 is the machine's own threads: flusher, journal, checkpoint.
    TaskId
);
number!(
    /// One content of 4 KiB, kept in the [`Arena`](super::Arena); 0 is zeros.
    BlockId
);

impl Ino {
    /// The root directory.
    pub const ROOT: Self = Self(2);
}

impl BlockId {
    /// Zeros.
    pub const ZERO: Self = Self(0);
}

impl TaskId {
    /// The machine's own threads.
    pub const KERNEL: Self = Self(0);
}

/// A place in flash: a page of an erase block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ppa {
    /// The erase block.
    pub block: u32,
    /// The page in it.
    pub page: u16,
}
