//! CRC-32C as ext4 and JBD2 use it: chained by its seed, without a last inversion.
//!
//! Invariant: `sum(sum(s, a), b)` is `sum(s, ab)`.

#[cfg(any(test, target_arch = "wasm32"))]
mod plain;

/// What a chain begins with.
pub(super) const SEED: u32 = !0;

/// Bytes behind what the seed stands for.
#[cfg(not(target_arch = "wasm32"))]
pub(super) fn sum(seed: u32, bytes: &[u8]) -> u32 {
    use crc_fast::{CrcAlgorithm, Digest};
    let mut digest = Digest::new_with_init_state(CrcAlgorithm::Crc32Iscsi, u64::from(seed));
    digest.update(bytes);
    // The upper half is empty.
    !u32::try_from(digest.finalize()).unwrap_or(0)
}

// Without the instructions of a processor the crate is nothing but tables, half a megabyte of them.
#[cfg(target_arch = "wasm32")]
pub(super) use plain::sum;

/// The chain of what belongs to one number: a block's by its place, an inode's by its number.
pub(super) fn of(number: u32) -> u32 {
    sum(SEED, &number.to_le_bytes())
}
