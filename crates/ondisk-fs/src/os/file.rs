//! An open file of the operating system.
//!
//! Invariant: after the first failed sync, of whichever descriptor, no write and no sync reaches
//! the kernel through this handle any more.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::fs::OFlags;
use rustix::io::{Errno, retry_on_intr};
use zerocopy::IntoBytes;

use super::nature::Nature;
use crate::{
    Access, BLOCK, Block, Call, Chosen, File, Medium, Platform, Poison, Rung, SyncPlan,
    check_alignment,
};

/// How many calls of [`SyncPlan::durable_write`] need a descriptor of their own, at most.
const OWN_DESCRIPTORS: usize = 2;

/// A file, opened through the page cache; and a second time for durable writes, when the first of
/// them comes.
#[derive(Debug)]
pub(super) struct OsFile {
    buffered: OwnedFd,
    access: Access,
    medium: Medium,
    /// The descriptors for the calls of [`SyncPlan::durable_write`], opened when needed; `None`
    /// where the file system would not open one so.
    durable: [OnceLock<Option<OwnedFd>>; OWN_DESCRIPTORS],
    /// How many calls of [`SyncPlan::durable_write`] the file system has refused.
    refused: AtomicUsize,
    poison: Poison,
}

impl OsFile {
    /// Takes an open file over.
    pub(super) fn new(buffered: OwnedFd, access: Access) -> io::Result<Self> {
        let medium = Nature::of_fd(&buffered)?.medium;
        Ok(Self {
            buffered,
            access,
            medium,
            durable: Default::default(),
            refused: AtomicUsize::new(0),
            poison: Poison::new(),
        })
    }

    /// Makes each kind of sync once, on a file that may be overwritten, and says which calls served.
    pub(super) fn choose(&self, dir: &impl AsFd) -> io::Result<Chosen> {
        self.write_durable(&[Block::ZERO], 0)?;
        let way = self.durable_way();
        Ok(Chosen {
            data: sync_by(&self.buffered, SyncPlan::HERE.data)?,
            all: sync_by(&self.buffered, SyncPlan::HERE.all)?,
            dir: sync_by(dir, SyncPlan::HERE.dir)?,
            durable_write: way.map_or(Call::WriteThenSync, |way| way.call),
        })
    }

    /// The best way to write durably that this file system has not refused; `None` when only a
    /// write and then a sync is left.
    fn durable_way(&self) -> Option<Way<'_>> {
        let first = self.refused.load(Ordering::Relaxed);
        let calls = SyncPlan::HERE.durable_write.iter().zip(&self.durable).enumerate().skip(first);
        for (index, (&call, slot)) in calls {
            let fd = slot.get_or_init(|| reopen(&self.buffered, durable_flags(call)?));
            if let Some(fd) = fd {
                return Some(Way { index, call, fd });
            }
        }
        None
    }

    /// Writes all of `bytes` and returns when they are durable. No error is tried again but a
    /// refusal, for which nothing was written.
    fn write_through(&self, bytes: &[u8], offset: u64) -> io::Result<Rung> {
        let mut done = 0;
        let mut rung = Rung::Durable;
        while let Some(way) = self.durable_way() {
            let Some(rest) = bytes.get(done..).filter(|rest| !rest.is_empty()) else {
                return Ok(rung);
            };
            match rustix::io::pwrite(way.fd, rest, offset + done as u64) {
                Ok(n) if n == rest.len() => {
                    return Ok(rung.min(way.call.reaches(Platform::HERE, self.medium)));
                }
                // A part was taken, and is durable. The rest is written from a block's start.
                Ok(n) if n >= BLOCK => {
                    done += n - n % BLOCK;
                    rung = rung.min(way.call.reaches(Platform::HERE, self.medium));
                }
                Ok(_) => return Err(io::ErrorKind::WriteZero.into()),
                Err(errno) if is_refusal(errno) => {
                    self.refused.fetch_max(way.index + 1, Ordering::Relaxed);
                }
                Err(errno) => return Err(errno.into()),
            }
        }
        let rest = bytes.get(done..).unwrap_or_default();
        self.write_all_at(rest, offset + done as u64)?;
        Ok(rung.min(sync(&self.buffered, SyncPlan::HERE.data, self.medium)?))
    }
}

/// A descriptor for durable writes, and which of the plan's calls it serves.
struct Way<'a> {
    index: usize,
    call: Call,
    fd: &'a OwnedFd,
}

impl File for OsFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        Ok(retry_on_intr(|| rustix::io::pread(&self.buffered, &mut *buf, offset))?)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        self.poison.check()?;
        Ok(retry_on_intr(|| rustix::io::pwrite(&self.buffered, buf, offset))?)
    }

    fn write_durable(&self, blocks: &[Block], offset: u64) -> io::Result<Rung> {
        check_alignment(offset)?;
        self.poison.check()?;
        if self.access == Access::Read {
            // The second descriptor is opened anew, and would be granted.
            return Err(Errno::BADF.into());
        }
        self.poison.judge(self.write_through(blocks.as_bytes(), offset))
    }

    fn size(&self) -> io::Result<u64> {
        let stat = rustix::fs::fstat(&self.buffered)?;
        u64::try_from(stat.st_size).map_err(io::Error::other)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.poison.check()?;
        Ok(retry_on_intr(|| rustix::fs::ftruncate(&self.buffered, len))?)
    }

    /// Where the file system cannot reserve blocks (NFS version 3, for one), the file is only
    /// extended with a hole.
    fn allocate(&self, len: u64) -> io::Result<()> {
        self.poison.check()?;
        match allocate(&self.buffered, len) {
            Err(errno) if len > 0 && is_refusal(errno) => {
                if self.size()? < len {
                    self.set_len(len)?;
                }
                Ok(())
            }
            other => Ok(other?),
        }
    }

    fn sync_data(&self) -> io::Result<Rung> {
        self.poison.check()?;
        self.poison.judge(sync(&self.buffered, SyncPlan::HERE.data, self.medium))
    }

    fn sync_all(&self) -> io::Result<Rung> {
        self.poison.check()?;
        self.poison.judge(sync(&self.buffered, SyncPlan::HERE.all, self.medium))
    }
}

/// Syncs by the first of `calls` that the file system does not refuse, and says what that reached.
pub(super) fn sync(fd: &impl AsFd, calls: &[Call], medium: Medium) -> io::Result<Rung> {
    Ok(sync_by(fd, calls)?.reaches(Platform::HERE, medium))
}

/// Syncs by the first of `calls` that the file system does not refuse, and says which that was.
/// An interrupted sync has failed: what it left undone is not known, and it is not begun again.
pub(super) fn sync_by(fd: &impl AsFd, calls: &[Call]) -> io::Result<Call> {
    let mut last = Errno::NOTSUP;
    for &call in calls {
        match perform(fd, call) {
            Ok(()) => return Ok(call),
            Err(errno) if is_refusal(errno) => last = errno,
            Err(errno) => return Err(errno.into()),
        }
    }
    Err(last.into())
}

/// Makes one sync call, once.
fn perform(fd: &impl AsFd, call: Call) -> Result<(), Errno> {
    match call {
        Call::Fsync => rustix::fs::fsync(fd),
        #[cfg(any(target_os = "linux", target_os = "android"))]
        Call::Fdatasync => rustix::fs::fdatasync(fd),
        #[cfg(any(target_os = "macos", target_os = "ios"))]
        Call::FullFsync => rustix::fs::fcntl_fullfsync(fd),
        _ => Err(Errno::NOTSUP), // not a sync, or not one of this platform
    }
}

/// Whether an error says that there is no such thing here, rather than that it went wrong.
fn is_refusal(errno: Errno) -> bool {
    [Errno::INVAL, Errno::NOTSUP, Errno::OPNOTSUPP, Errno::NOSYS, Errno::NOTTY].contains(&errno)
}

/// The flags with which a file is opened for a durable write; `None` for a call that needs none.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn durable_flags(call: Call) -> Option<OFlags> {
    match call {
        Call::DirectDsyncWrite => Some(OFlags::DIRECT | O_DSYNC),
        Call::DsyncWrite => Some(O_DSYNC),
        _ => None,
    }
}

/// `O_DSYNC` by its number, because `rustix` 1.1 gives `O_SYNC` for it on Linux: each write would
/// wait for the file's times too, by a commit of the file system's journal. Where the number is
/// another one, that is taken: correct, and slower.
#[cfg(any(target_os = "linux", target_os = "android"))]
const O_DSYNC: OFlags = if cfg!(any(
    target_arch = "mips",
    target_arch = "mips32r6",
    target_arch = "mips64",
    target_arch = "mips64r6",
    target_arch = "sparc",
    target_arch = "sparc64"
)) {
    OFlags::SYNC
} else {
    OFlags::from_bits_retain(0o10000)
};

/// Opens the file of a descriptor a second time, whatever its name is by now. `None` where that is
/// refused, and where `/proc` is not there.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn reopen(fd: &OwnedFd, flags: OFlags) -> Option<OwnedFd> {
    use std::os::fd::AsRawFd;
    let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
    super::open(path.as_ref(), OFlags::WRONLY | flags).ok()
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn durable_flags(_: Call) -> Option<OFlags> {
    None
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn reopen(_: &OwnedFd, _: OFlags) -> Option<OwnedFd> {
    None
}

/// Reserves blocks for the first `len` bytes; the file is never shortened.
#[cfg(not(any(
    target_os = "macos",
    target_os = "ios",
    target_os = "netbsd",
    target_os = "openbsd"
)))]
fn allocate(fd: &OwnedFd, len: u64) -> Result<(), Errno> {
    use rustix::fs::{FallocateFlags, fallocate};
    if len == 0 {
        return Ok(());
    }
    retry_on_intr(|| fallocate(fd, FallocateFlags::empty(), 0, len))
}

/// Reserves blocks for the first `len` bytes; the file is never shortened.
#[cfg(any(target_os = "macos", target_os = "ios"))]
fn allocate(fd: &OwnedFd, len: u64) -> Result<(), Errno> {
    use rustix::fs::{FallocateFlags, fallocate, fstat};
    // Apple's way sets the length as well, and would cut a longer file.
    if u64::try_from(fstat(fd)?.st_size).is_ok_and(|size| size >= len) {
        return Ok(());
    }
    retry_on_intr(|| fallocate(fd, FallocateFlags::empty(), 0, len))
}

/// There is no call to reserve blocks.
#[cfg(any(target_os = "netbsd", target_os = "openbsd"))]
fn allocate(_: &OwnedFd, _: u64) -> Result<(), Errno> {
    Err(Errno::NOTSUP)
}
