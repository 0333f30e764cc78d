//! The filter of a sorted table: says of most keys that a table does not hold them, without
//! reading the table.
//!
//! A blocked Bloom filter: all bits of a key lie in one line of 64 bytes, so that a question costs
//! one miss of the processor's caches at most, whatever the size of the table. At ten bits a key
//! and six probes about one absent key in a hundred passes. (A ribbon or fuse filter is a quarter
//! smaller, and costs three misses or a solver; ten bits a key are little beside a value.)
//!
//! Invariant: a key that was put in passes. Knows nothing of tables and files. The bytes are
//! specified in `docs/format/table.md`.

use xxhash_rust::xxh3::xxh3_64;
use zerocopy::little_endian::U64;
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout};

/// Bytes of a line.
pub(crate) const LINE: usize = 64;
const LINE_BITS: usize = LINE * 8;
const PROBES: u32 = 6;
/// Spreads the probes of a key over its line.
const STEP: u32 = 0x9E37_79B9;

/// What all filters know a key by. It is computed once for all the tables that are asked.
pub(crate) fn key_hash(key: &[u8]) -> u64 {
    xxh3_64(key)
}

/// Eight words that lie in one line of the processor's caches.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C, align(64))]
struct Line([U64; LINE / 8]);
const _: () = assert!(size_of::<Line>() == LINE && align_of::<Line>() == LINE);

/// A filter in memory. One without lines lets every key pass.
#[derive(Clone, Debug)]
pub(crate) struct Filter {
    lines: Box<[Line]>,
}

impl Filter {
    /// The filter over some hashes, with about `bits` of them for each.
    pub(crate) fn build(hashes: &[u64], bits: u32) -> Self {
        if bits == 0 {
            return Self { lines: Box::default() };
        }
        let wanted = hashes.len().saturating_mul(bits as usize).div_ceil(LINE_BITS);
        let mut filter = Self::empty(wanted.clamp(1, u32::MAX as usize));
        for &hash in hashes {
            let line = filter.line(hash);
            for (word, bit) in probes(hash) {
                let word = &mut filter.lines[line].0[word];
                *word |= U64::new(bit);
            }
        }
        filter
    }

    /// Takes what [`as_bytes`](Self::as_bytes) gave; `None` for a length that it never gives.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        if !bytes.len().is_multiple_of(LINE) || bytes.len() / LINE > u32::MAX as usize {
            return None;
        }
        let mut filter = Self::empty(bytes.len() / LINE);
        filter.lines.as_mut_bytes().copy_from_slice(bytes);
        Some(filter)
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.lines.as_bytes()
    }

    /// Whether a key with this hash may have been put in.
    #[inline]
    pub(crate) fn passes(&self, hash: u64) -> bool {
        let Some(line) = self.lines.get(self.line(hash)) else { return true };
        probes(hash).all(|(word, bit)| line.0[word].get() & bit != 0)
    }

    fn empty(lines: usize) -> Self {
        Self { lines: vec![Line::new_zeroed(); lines].into_boxed_slice() }
    }

    /// Which line a hash belongs to: by its upper half, scaled to the number of lines.
    #[inline]
    fn line(&self, hash: u64) -> usize {
        // The product of two numbers below 2^32 stays below 2^64, and its upper half below the
        // number of lines.
        let scaled = ((hash >> 32) * self.lines.len() as u64) >> 32;
        usize::try_from(scaled).unwrap_or_default()
    }
}

/// The bits of a hash in its line: from its lower half, nine bits each.
#[inline]
fn probes(hash: u64) -> impl Iterator<Item = (usize, u64)> {
    #[expect(clippy::cast_possible_truncation, reason = "the lower half is what is wanted")]
    let mut rest = hash as u32;
    (0..PROBES).map(move |_| {
        let place = rest >> 23;
        rest = rest.wrapping_mul(STEP);
        ((place >> 6) as usize, 1 << (place & 63))
    })
}

#[cfg(test)]
mod tests;
