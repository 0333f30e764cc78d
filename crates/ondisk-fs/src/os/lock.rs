//! The lock that keeps a second writer out, and tells who holds it.
//!
//! Invariant: the lock itself is the kernel's `flock`; the process id in the file is only for the
//! message of whom it keeps out. It is written when the lock is taken exclusively and blanked when
//! that is given back, in place, so that nothing is allocated.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{FlockOperation, OFlags};
use rustix::io::{Errno, retry_on_intr};

use super::open;
use crate::{Held, LockError, LockMode};

/// The width of the process id in the file, its line's end included.
const LINE: usize = 11;

/// Takes the lock of the file at `path`, without waiting.
pub(super) fn take(path: &Path, mode: LockMode) -> Result<Box<dyn Held>, LockError> {
    let io = |source: io::Error| LockError::Io { path: path.to_owned(), source };
    let (flags, operation) = match mode {
        LockMode::Exclusive => {
            (OFlags::RDWR | OFlags::CREATE, FlockOperation::NonBlockingLockExclusive)
        }
        LockMode::Shared => (OFlags::RDONLY, FlockOperation::NonBlockingLockShared),
    };
    let fd = match open(path, flags) {
        Ok(fd) => fd,
        // No writer ever was here, so there is nobody to keep out; and where the directory is
        // missing too, the path is wrong.
        Err(error) if mode == LockMode::Shared && error.kind() == io::ErrorKind::NotFound => {
            rustix::fs::stat(crate::parent(path)).map_err(|errno| io(errno.into()))?;
            return Ok(Box::new(NothingHeld));
        }
        Err(error) => return Err(io(error)),
    };
    match retry_on_intr(|| rustix::fs::flock(&fd, operation)) {
        Ok(()) => {}
        Err(Errno::WOULDBLOCK) => {
            return Err(LockError::Held { path: path.to_owned(), pid: holder(&fd) });
        }
        Err(errno) => return Err(io(errno.into())),
    }
    let lock = FileLock { fd, mode };
    if mode == LockMode::Exclusive {
        lock.sign(&std::process::id().to_string()).map_err(io)?;
    }
    Ok(Box::new(lock))
}

/// A lock that the kernel holds as long as the descriptor is open.
#[derive(Debug)]
struct FileLock {
    fd: OwnedFd,
    mode: LockMode,
}

impl FileLock {
    /// Writes who holds the lock into its file, in a width that is always the same.
    fn sign(&self, name: &str) -> io::Result<()> {
        let line = format!("{name:>width$}\n", width = LINE - 1);
        retry_on_intr(|| rustix::io::pwrite(&self.fd, line.as_bytes(), 0))?;
        Ok(())
    }
}

impl Held for FileLock {}

impl Drop for FileLock {
    fn drop(&mut self) {
        if self.mode == LockMode::Exclusive {
            // Should this fail, a later message may lack the holder or name a dead one: no more.
            self.sign("").ok();
        }
    }
}

/// The answer to a shared lock of a file that is not there.
#[derive(Debug)]
struct NothingHeld;

impl Held for NothingHeld {}

/// The process that holds the lock of an open file, where it can be found out.
fn holder(fd: &OwnedFd) -> Option<u32> {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    if let Some(pid) = holder_by_kernel(fd) {
        return Some(pid);
    }
    signed(fd).filter(|pid| is_alive(*pid))
}

/// The process id that stands in the lock's file. Readers do not sign.
fn signed(fd: &OwnedFd) -> Option<u32> {
    let mut line = [0; LINE];
    let len = retry_on_intr(|| rustix::io::pread(fd, &mut line, 0)).ok()?;
    std::str::from_utf8(line.get(..len)?).ok()?.trim().parse().ok()
}

fn is_alive(pid: u32) -> bool {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    // One of another user may not be signalled, and is alive.
    pid.is_some_and(|pid| {
        matches!(rustix::process::test_kill_process(pid), Ok(()) | Err(Errno::PERM))
    })
}

/// The process that the kernel names as the holder. `None` where it names none: `/proc` is not
/// there, or the holder is in another pid namespace.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn holder_by_kernel(fd: &OwnedFd) -> Option<u32> {
    use std::os::fd::AsRawFd;
    let read = |path: &str| std::fs::read_to_string(path).ok();
    let about = read(&format!("/proc/self/fdinfo/{}", fd.as_raw_fd()))?;
    let device = superblock(&about, &read("/proc/self/mountinfo")?)?;
    let file = format!("{device}:{}", rustix::fs::fstat(fd).ok()?.st_ino);
    read("/proc/locks")?.lines().find_map(|line| flock_holder(line, &file))
}

/// The number of the file system that an open file is on, as `/proc/locks` writes it, by the texts
/// of its `fdinfo` and of `mountinfo`. What `stat` tells is another one on btrfs.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(super) fn superblock(fdinfo: &str, mountinfo: &str) -> Option<String> {
    let mount = fdinfo.lines().find_map(|line| line.strip_prefix("mnt_id:"))?.trim();
    let mut mounts = mountinfo.lines().map(|line| line.split(' '));
    let (major, minor) = mounts
        .find_map(|mut words| (words.next()? == mount).then(|| words.nth(1))?)?
        .split_once(':')?;
    let (major, minor): (u32, u32) = (major.parse().ok()?, minor.parse().ok()?);
    Some(format!("{major:02x}:{minor:02x}"))
}

/// The process that holds a `flock` on `file` by this line of `/proc/locks`, such as
/// `3: FLOCK  ADVISORY  WRITE 1234 fe:00:5678 0 EOF`; a waiting one has `->` behind its number.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(super) fn flock_holder(line: &str, file: &str) -> Option<u32> {
    let mut words = line.split_whitespace().skip(1);
    let (kind, _, _, pid, id) =
        (words.next()?, words.next()?, words.next()?, words.next()?, words.next()?);
    if kind != "FLOCK" || id != file {
        return None;
    }
    pid.parse().ok().filter(|pid| *pid != 0)
}
