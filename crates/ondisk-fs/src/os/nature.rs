//! What kind of file system a path is on, as far as durability cares.
//!
//! Knows nothing of drives: what a drive says of its cache is read where it is printed.

use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use crate::Medium;

/// What of a file system matters to who writes durably.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Nature {
    /// Whether anything lies under it that outlives the kernel.
    pub(super) medium: Medium,
    /// Whether an overwrite of written blocks stays in place.
    pub(super) in_place: bool,
}

impl Nature {
    const IN_PLACE: Self = Self { medium: Medium::Drive, in_place: true };
    const COPY_ON_WRITE: Self = Self { medium: Medium::Drive, in_place: false };
    const MEMORY: Self = Self { medium: Medium::Memory, in_place: true };

    /// The nature of the file system that an open file is on.
    pub(super) fn of_fd(fd: &impl AsFd) -> io::Result<Self> {
        Ok(Self::of_statfs(&rustix::io::retry_on_intr(|| rustix::fs::fstatfs(fd))?))
    }

    /// The nature of the file system that a path is on.
    pub(super) fn of_path(path: &Path) -> io::Result<Self> {
        Ok(Self::of_statfs(&rustix::io::retry_on_intr(|| rustix::fs::statfs(path))?))
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn of_statfs(statfs: &rustix::fs::StatFs) -> Self {
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the field's width differs by platform; a magic number has 32 bits"
        )]
        Self::of_magic(statfs.f_type as u32)
    }

    /// The nature that goes with the magic number of `statfs(2)`.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub(super) const fn of_magic(magic: u32) -> Self {
        const BTRFS: u32 = 0x9123_683E;
        const BCACHEFS: u32 = 0xCA45_1A4E;
        const ZFS: u32 = 0x2FC1_2FC1;
        const NILFS: u32 = 0x3434;
        const TMPFS: u32 = 0x0102_1994;
        const RAMFS: u32 = 0x8584_58F6;
        match magic {
            BTRFS | BCACHEFS | ZFS | NILFS => Self::COPY_ON_WRITE,
            TMPFS | RAMFS => Self::MEMORY,
            _ => Self::IN_PLACE,
        }
    }

    #[cfg(any(target_os = "macos", target_os = "ios"))]
    fn of_statfs(statfs: &rustix::fs::StatFs) -> Self {
        let name = statfs.f_fstypename.iter().map(|byte| byte.to_ne_bytes()[0]);
        let name: Vec<u8> = name.take_while(|byte| *byte != 0).collect();
        match name.as_slice() {
            b"tmpfs" => Self::MEMORY,
            b"zfs" => Self::COPY_ON_WRITE,
            _ => Self::IN_PLACE, // APFS too: it copies metadata, and data only of a clone
        }
    }

    #[cfg(not(any(
        target_os = "linux",
        target_os = "android",
        target_os = "macos",
        target_os = "ios"
    )))]
    fn of_statfs(_: &rustix::fs::StatFs) -> Self {
        Self::IN_PLACE
    }
}
