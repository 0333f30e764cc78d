//! CRC-32C as ext4 and JBD2 use it: chained by its seed, without a last inversion.
//!
//! Invariant: `sum(sum(s, a), b)` is `sum(s, ab)`.

use crc_fast::{CrcAlgorithm, Digest};

/// What a chain begins with.
pub(super) const SEED: u32 = !0;

/// Bytes behind what the seed stands for.
pub(super) fn sum(seed: u32, bytes: &[u8]) -> u32 {
    let mut digest = Digest::new_with_init_state(CrcAlgorithm::Crc32Iscsi, u64::from(seed));
    digest.update(bytes);
    // The upper half is empty.
    !u32::try_from(digest.finalize()).unwrap_or(0)
}

/// The chain of what belongs to one number: a block's by its place, an inode's by its number.
pub(super) fn of(number: u32) -> u32 {
    sum(SEED, &number.to_le_bytes())
}
