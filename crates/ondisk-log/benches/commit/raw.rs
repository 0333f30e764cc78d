//! What a log is measured against with one committer: a block overwritten in a file that was
//! written before, made durable by system calls and nothing else.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use ondisk_fs::{BLOCK, Block, Blocks};
use rustix::fs::{CWD, Mode, OFlags};
use zerocopy::IntoBytes;

/// A file whose every block was written, and synced, before anything is measured.
pub(crate) struct WrittenFile {
    buffered: OwnedFd,
    direct: OwnedFd,
    blocks: u64,
}

/// `O_DSYNC` as the kernel has it; what `rustix` calls so asks for the file's times too.
const O_DSYNC: OFlags = OFlags::from_bits_retain(libc::O_DSYNC.cast_unsigned());

impl WrittenFile {
    /// Makes a file of so many bytes at `path`.
    pub(crate) fn make(path: &Path, bytes: u64) -> io::Result<Self> {
        let flags = OFlags::RDWR | OFlags::CLOEXEC;
        let buffered = rustix::fs::openat(CWD, path, flags | OFlags::CREATE, Mode::RUSR)?;
        let chunk = Blocks::zeroed(256);
        let chunk_len = chunk.len() as u64;
        rustix::fs::fallocate(&buffered, rustix::fs::FallocateFlags::empty(), 0, bytes)?;
        for at in (0..bytes).step_by(chunk.len()) {
            write_all(buffered.as_fd(), chunk.bytes(), at)?;
        }
        rustix::fs::fsync(&buffered)?;
        let flags = flags | OFlags::DIRECT | O_DSYNC;
        let direct = rustix::fs::openat(CWD, path, flags, Mode::empty())?;
        Ok(Self { buffered, direct, blocks: bytes.next_multiple_of(chunk_len) / BLOCK as u64 })
    }

    /// Overwrites a block through the page cache, and syncs.
    pub(crate) fn buffered(&self, turn: u64, payload: &[u8]) -> io::Result<()> {
        let block = filled(payload);
        write_all(self.buffered.as_fd(), block.as_bytes(), self.place(turn))?;
        Ok(rustix::fs::fdatasync(&self.buffered)?)
    }

    /// Overwrites a block past the page cache, by a call that returns when it is durable.
    pub(crate) fn direct(&self, turn: u64, payload: &[u8]) -> io::Result<()> {
        self.direct_blocks(filled(payload).as_bytes(), self.place(turn))
    }

    /// Overwrites whole blocks so, at a multiple of a block.
    pub(crate) fn direct_blocks(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        write_all(self.direct.as_fd(), bytes, at)
    }

    /// The file's length in bytes.
    pub(crate) fn len(&self) -> u64 {
        self.blocks * BLOCK as u64
    }

    fn place(&self, turn: u64) -> u64 {
        turn % self.blocks * BLOCK as u64
    }
}

impl AsFd for WrittenFile {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.buffered.as_fd()
    }
}

fn filled(payload: &[u8]) -> Block {
    let mut block = Block::ZERO;
    block.as_mut_bytes()[..payload.len()].copy_from_slice(payload);
    block
}

fn write_all(fd: BorrowedFd<'_>, bytes: &[u8], at: u64) -> io::Result<()> {
    let written = rustix::io::pwrite(fd, bytes, at)?;
    if written == bytes.len() { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
}
