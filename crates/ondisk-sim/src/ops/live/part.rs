//! Offsets and blocks.
//!
//! Invariant: the parts of a range follow each other without a gap, each inside one block.

use std::ops::Range;

use ondisk_fs::BLOCK;

/// The part of a read or write that lies in one block.
pub(super) struct Part {
    pub(super) block: u32,
    /// Which bytes of the block.
    pub(super) range: Range<usize>,
    /// Which bytes of the caller's buffer.
    pub(super) bytes: Range<usize>,
}

/// Takes a range of a file apart by blocks.
pub(super) fn parts(offset: u64, len: usize) -> impl Iterator<Item = Part> {
    let mut done = 0;
    std::iter::from_fn(move || {
        if done >= len {
            return None;
        }
        let at = offset + done as u64;
        let start = clamp(at % BLOCK as u64);
        let size = (BLOCK - start).min(len - done);
        let part =
            Part { block: block_of(at), range: start..start + size, bytes: done..done + size };
        done += size;
        Some(part)
    })
}

pub(super) fn block_of(offset: u64) -> u32 {
    u32::try_from(offset / BLOCK as u64).unwrap_or(u32::MAX)
}

pub(super) fn clamp(value: u64) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}
