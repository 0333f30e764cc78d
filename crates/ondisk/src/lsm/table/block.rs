//! A data block: entries by ascending key, each key but every sixteenth without what it shares
//! with the key before it.
//!
//! ```text
//! base │ entry … │ restart … │ count        restart: where an entry stands whose key is whole
//! ```
//!
//! Invariant: whatever the bytes say, reading them ends, and never outside of them. Knows nothing
//! of files, sums and packing. The bytes are specified in `docs/format/table.md`.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use bytes::Bytes;
use ondisk_log::Lsn;

use super::varint;

/// Every so many entries a key is whole.
const RESTART_EVERY: usize = 16;
/// The lowest bits of an entry's length of value: its kind.
const KIND_BITS: u32 = 3;
const KIND_MASK: u64 = (1 << KIND_BITS) - 1;
/// The bytes of `base`, in front of the entries.
const BASE: usize = 8;

/// What an entry says of its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EntryKind {
    Value = 1,
    /// The key is gone.
    Tombstone = 2,
}

/// The bytes of a block cannot be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// A data block that is being filled.
#[derive(Debug, Default)]
pub(super) struct BlockBuilder {
    bytes: Vec<u8>,
    restarts: Vec<u32>,
    last: Vec<u8>,
    base: u64,
    entries: usize,
}

impl BlockBuilder {
    pub(super) fn is_empty(&self) -> bool {
        self.entries == 0
    }

    /// The bytes that the block has so far.
    pub(super) fn len(&self) -> usize {
        self.bytes.len() + (self.restarts.len() + 1) * size_of::<u32>()
    }

    /// The key that came last, in this block or in the one before it.
    pub(super) fn last(&self) -> &[u8] {
        &self.last
    }

    /// Adds an entry; its key is above the last one. All keys, LSNs and values of a block take
    /// less than 4 GiB.
    pub(super) fn push(&mut self, key: &[u8], lsn: Lsn, kind: EntryKind, value: &[u8]) {
        if self.entries == 0 {
            self.base = lsn.0;
            self.bytes.extend_from_slice(&lsn.0.to_le_bytes());
        }
        let mut shared = 0;
        if self.entries.is_multiple_of(RESTART_EVERY) {
            self.restarts.push(u32::try_from(self.bytes.len()).unwrap_or(u32::MAX));
        } else {
            shared = common_prefix(&self.last, key);
        }
        let out = &mut self.bytes;
        varint::put(out, shared as u64);
        varint::put(out, (key.len() - shared) as u64);
        varint::put(out, (value.len() as u64) << KIND_BITS | kind as u64);
        varint::put(out, zigzag(lsn.0.wrapping_sub(self.base)));
        out.extend_from_slice(&key[shared..]);
        out.extend_from_slice(value);
        self.last.truncate(shared);
        self.last.extend_from_slice(&key[shared..]);
        self.entries += 1;
    }

    /// The whole block. The next one begins with the next push.
    pub(super) fn finish(&mut self, out: &mut Vec<u8>) {
        out.clear();
        out.append(&mut self.bytes);
        for restart in self.restarts.iter().copied().chain([self.restart_count()]) {
            out.extend_from_slice(&restart.to_le_bytes());
        }
        self.restarts.clear();
        self.entries = 0;
    }

    fn restart_count(&self) -> u32 {
        u32::try_from(self.restarts.len()).unwrap_or(u32::MAX)
    }
}

/// A data block in memory, unpacked.
#[derive(Debug)]
pub(crate) struct Block {
    bytes: Bytes,
    /// Where the entries end and the restarts begin.
    end: usize,
    restarts: usize,
    base: u64,
    /// What keeping a part of the block keeps in memory.
    pinned: usize,
    /// Somebody asked for it since the cache looked last.
    touched: AtomicBool,
}

/// An entry, by its places in the block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// How much of the key before it its key begins with.
    pub(super) shared: usize,
    /// The rest of the key.
    pub(super) suffix: Range<usize>,
    pub(super) value: Range<usize>,
    pub(super) kind: EntryKind,
    pub(super) lsn: Lsn,
}

impl Block {
    /// Takes the payload of a data block. `pinned` is what its bytes are a part of.
    pub(super) fn new(bytes: Bytes, pinned: usize) -> Result<Self, Malformed> {
        let (rest, count) = bytes.split_last_chunk().ok_or(Malformed)?;
        let restarts = usize::try_from(u32::from_le_bytes(*count)).map_err(|_| Malformed)?;
        let taken = restarts.checked_mul(size_of::<u32>()).ok_or(Malformed)?;
        let end = rest.len().checked_sub(taken).ok_or(Malformed)?;
        let (base, _) = rest[..end].split_first_chunk().ok_or(Malformed)?;
        let base = u64::from_le_bytes(*base);
        if restarts == 0 {
            return Err(Malformed);
        }
        Ok(Self { end, restarts, base, pinned, touched: AtomicBool::new(false), bytes })
    }

    pub(super) fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Where the entries end.
    #[inline]
    pub(super) fn end(&self) -> usize {
        self.end
    }

    /// The same block, pinning nothing else.
    pub(super) fn alone(&self) -> Self {
        let bytes = Bytes::copy_from_slice(&self.bytes);
        let pinned = bytes.len();
        let Self { end, restarts, base, .. } = *self;
        Self { bytes, end, restarts, base, pinned, touched: AtomicBool::new(false) }
    }

    /// What the block takes in memory.
    pub(crate) fn weight(&self) -> usize {
        self.bytes.len() + size_of::<Self>()
    }

    /// What keeping a part of the block keeps in memory.
    pub(super) fn pinned(&self) -> usize {
        self.pinned
    }

    /// Says that the block was asked for.
    #[inline]
    pub(crate) fn touch(&self) {
        // Looked at first: a block that many ask for is not written by each of them.
        if !self.touched.load(Relaxed) {
            self.touched.store(true, Relaxed);
        }
    }

    /// Whether the block was asked for since this was asked last.
    pub(crate) fn forget_touch(&self) -> bool {
        self.touched.swap(false, Relaxed)
    }

    /// How many groups of entries begin with a whole key.
    pub(super) fn groups(&self) -> usize {
        self.restarts
    }

    /// Where a group of entries begins and ends.
    #[inline]
    pub(super) fn group(&self, group: usize) -> Result<Range<usize>, Malformed> {
        let start = self.restart(group)?;
        let end = if group + 1 < self.restarts { self.restart(group + 1)? } else { self.end };
        if start < BASE || start >= end || end > self.end {
            return Err(Malformed);
        }
        Ok(start..end)
    }

    fn restart(&self, group: usize) -> Result<usize, Malformed> {
        let place = self.end + group * size_of::<u32>();
        let word = self.bytes.get(place..).and_then(<[u8]>::first_chunk).ok_or(Malformed)?;
        usize::try_from(u32::from_le_bytes(*word)).map_err(|_| Malformed)
    }

    /// The group in which a key must lie, if the block has it: the last that begins at it or
    /// below it, or the first.
    pub(super) fn group_of(&self, key: &[u8]) -> Result<usize, Malformed> {
        let (mut low, mut high) = (0, self.restarts);
        while high - low > 1 {
            let middle = low.midpoint(high);
            let (entry, _) = self.entry(self.group(middle)?.start)?;
            if self.bytes[entry.suffix] <= *key {
                low = middle;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }

    /// The entry that stands at a place, and where the next one stands.
    #[inline]
    pub(super) fn entry(&self, mut at: usize) -> Result<(Entry, usize), Malformed> {
        let bytes = &self.bytes[..self.end];
        let shared = varint::take_len(bytes, &mut at).ok_or(Malformed)?;
        let key_len = varint::take_len(bytes, &mut at).ok_or(Malformed)?;
        let value = varint::take(bytes, &mut at).ok_or(Malformed)?;
        let lsn = varint::take(bytes, &mut at).ok_or(Malformed)?;
        let kind = match value & KIND_MASK {
            1 => EntryKind::Value,
            2 if value >> KIND_BITS == 0 => EntryKind::Tombstone,
            _ => return Err(Malformed),
        };
        let key_end = at.checked_add(key_len).ok_or(Malformed)?;
        let value_len = usize::try_from(value >> KIND_BITS).map_err(|_| Malformed)?;
        let end = key_end.checked_add(value_len).ok_or(Malformed)?;
        if end > self.end {
            return Err(Malformed);
        }
        let lsn = Lsn(self.base.wrapping_add(unzigzag(lsn)));
        Ok((Entry { shared, suffix: at..key_end, value: key_end..end, kind, lsn }, end))
    }

    /// The entry of a key. Keys are compared where they stand, and none is put together.
    pub(super) fn find(&self, key: &[u8]) -> Result<Option<Entry>, Malformed> {
        let Range { start: mut at, end } = self.group(self.group_of(key)?)?;
        // How much of the key the entry before begins with; that one is below the key.
        let mut matched = 0;
        while at < end {
            let (entry, next) = self.entry(at)?;
            at = next;
            if entry.shared > matched {
                continue; // differs from the key where the one before does
            }
            if entry.shared < matched {
                return Ok(None); // above the one before at a byte that that has of the key
            }
            let (suffix, rest) = (&self.bytes[entry.suffix.clone()], &key[matched..]);
            let common = common_prefix(suffix, rest);
            match (suffix.get(common), rest.get(common)) {
                (None, None) => return Ok(Some(entry)),
                (None, Some(_)) => {}
                (Some(theirs), Some(ours)) if theirs < ours => {}
                _ => return Ok(None),
            }
            matched += common;
        }
        Ok(None)
    }
}

/// How many first bytes two keys have in common.
#[inline]
pub(super) fn common_prefix(left: &[u8], right: &[u8]) -> usize {
    let mut common = 0;
    while let (Some(a), Some(b)) = (word(left, common), word(right, common)) {
        let differ = a ^ b;
        if differ != 0 {
            return common + (differ.trailing_zeros() / 8) as usize;
        }
        common += size_of::<u64>();
    }
    let rest = left[common..].iter().zip(&right[common..]);
    common + rest.take_while(|(a, b)| a == b).count()
}

#[inline]
fn word(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|chunk| u64::from_le_bytes(*chunk))
}

/// Small numbers for differences near zero on both sides of it.
fn zigzag(difference: u64) -> u64 {
    let negative = difference >> 63;
    (difference << 1) ^ negative.wrapping_neg()
}

fn unzigzag(number: u64) -> u64 {
    (number >> 1) ^ (number & 1).wrapping_neg()
}

#[cfg(test)]
mod tests;
