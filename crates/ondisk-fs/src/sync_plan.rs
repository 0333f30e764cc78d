//! Which call makes data durable, as a table: by platform, in order of preference.
//!
//! Invariant: a call is named for a rung only where the platform's own documentation promises that
//! rung. The table is pure data, so the choice for every platform is tested on any of them.
//!
//! Knows nothing of descriptors and of how a call is made: that is `os.rs`.

use crate::Rung;

/// The platforms whose sync calls differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Platform {
    /// `fsync` and `fdatasync` send a FLUSH to the drive.
    Linux,
    /// `fsync` leaves the bytes in the drive's cache; `F_FULLFSYNC` empties that.
    MacOs,
    /// Any other: `fsync`, of which we do not know that it empties the drive's cache.
    Other,
}

impl Platform {
    /// The platform that this was compiled for.
    pub const HERE: Self = if cfg!(any(target_os = "linux", target_os = "android")) {
        Self::Linux
    } else if cfg!(any(target_os = "macos", target_os = "ios")) {
        Self::MacOs
    } else {
        Self::Other
    };
}

/// A way to make bytes durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Call {
    /// `fdatasync`: the data and the metadata needed to read it back.
    Fdatasync,
    /// `fsync`: the data and all of the metadata.
    Fsync,
    /// `fcntl(F_FULLFSYNC)`: as `fsync`, and the drive's cache is emptied.
    FullFsync,
    /// One `pwrite` past the page cache, on a descriptor opened `O_DIRECT | O_DSYNC`.
    DirectDsyncWrite,
    /// One `pwrite` through the page cache, on a descriptor opened `O_DSYNC`.
    DsyncWrite,
    /// A `pwrite`, then the call that syncs data.
    WriteThenSync,
}

impl Call {
    /// The call as a programmer would write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Fdatasync => "fdatasync",
            Self::Fsync => "fsync",
            Self::FullFsync => "fcntl(F_FULLFSYNC)",
            Self::DirectDsyncWrite => "pwrite on O_DIRECT|O_DSYNC",
            Self::DsyncWrite => "pwrite on O_DSYNC",
            Self::WriteThenSync => "pwrite, then a sync",
        }
    }

    /// The rung that data has reached when this call returned without an error.
    /// [`WriteThenSync`](Self::WriteThenSync) answers for its write alone: its sync has its own answer.
    #[must_use]
    pub fn reaches(self, platform: Platform, medium: Medium) -> Rung {
        match (medium, self, platform) {
            (Medium::Memory, _, _) | (_, Self::WriteThenSync, _) => Rung::Cached,
            (_, Self::FullFsync, _) | (_, _, Platform::Linux) => Rung::Durable,
            // macOS, fsync(2): "the drive itself may not physically write the data to the
            // platters for quite some time".
            (_, _, Platform::MacOs | Platform::Other) => Rung::Device,
        }
    }
}

/// What lies under a file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Medium {
    /// A drive, or what stands for one (a network, a file below a loop device).
    Drive,
    /// Memory alone (tmpfs, ramfs): a sync succeeds, does nothing, and nothing survives the kernel.
    Memory,
}

/// The calls of one platform. Each list is tried from its front; the next is taken only when a
/// call is *refused* (the file system has no such thing), never when it *failed*.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SyncPlan {
    /// For [`File::sync_data`](crate::File::sync_data).
    pub data: &'static [Call],
    /// For [`File::sync_all`](crate::File::sync_all).
    pub all: &'static [Call],
    /// For [`FileSystem::sync_dir`](crate::FileSystem::sync_dir).
    pub dir: &'static [Call],
    /// For [`File::write_durable`](crate::File::write_durable).
    pub durable_write: &'static [Call],
}

/// The calls that serve in one place: of each list of the plan, the first that is not refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chosen {
    /// By which [`File::sync_data`](crate::File::sync_data) syncs.
    pub data: Call,
    /// By which [`File::sync_all`](crate::File::sync_all) syncs.
    pub all: Call,
    /// By which [`FileSystem::sync_dir`](crate::FileSystem::sync_dir) syncs.
    pub dir: Call,
    /// By which [`File::write_durable`](crate::File::write_durable) writes.
    pub durable_write: Call,
}

const LINUX: SyncPlan = SyncPlan {
    data: &[Call::Fdatasync],
    all: &[Call::Fsync],
    // Not fdatasync: on ext4 that waits for a file's creation but not for its last name.
    dir: &[Call::Fsync],
    durable_write: &[Call::DirectDsyncWrite, Call::DsyncWrite, Call::WriteThenSync],
};

/// No `fdatasync`: macOS has the symbol and documents nothing about it. No `O_DSYNC`: it leaves
/// the bytes in the drive's cache. File systems that are not Apple's refuse `F_FULLFSYNC`.
const MAC_OS: SyncPlan = SyncPlan {
    data: &[Call::FullFsync, Call::Fsync],
    all: &[Call::FullFsync, Call::Fsync],
    dir: &[Call::FullFsync, Call::Fsync],
    durable_write: &[Call::WriteThenSync],
};

const OTHER: SyncPlan = SyncPlan {
    data: &[Call::Fsync],
    all: &[Call::Fsync],
    dir: &[Call::Fsync],
    durable_write: &[Call::WriteThenSync],
};

impl SyncPlan {
    /// The plan of the platform that this was compiled for.
    pub const HERE: &'static Self = Self::of(Platform::HERE);

    /// The plan of a platform.
    #[must_use]
    pub const fn of(platform: Platform) -> &'static Self {
        match platform {
            Platform::Linux => &LINUX,
            Platform::MacOs => &MAC_OS,
            Platform::Other => &OTHER,
        }
    }
}

#[cfg(test)]
mod tests;
