//! A data block: entries by ascending key, each key but every sixteenth without what it shares
//! with the key before it.
//!
//! ```text
//! head │ restart … │ key part of each entry … │ value of each entry …
//! ```
//!
//! Keys stand apart from values, so that a search touches little memory. A restart says where the
//! parts of an entry stand whose key is whole.
//!
//! Invariant: whatever the bytes say, reading them ends, and never outside of them. Knows nothing
//! of files, sums and packing. The bytes are specified in `docs/format/table.md`.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use bytes::Bytes;
use ondisk_log::Lsn;
use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::varint;
use crate::error::Error;

/// Every so many entries a key is whole.
const RESTART_EVERY: usize = 16;
/// The lowest bits of an entry's length of value: its kind.
const KIND_BITS: u32 = 3;
const KIND_MASK: u64 = (1 << KIND_BITS) - 1;

/// What a data block begins with.
/// ```text
///  0      8          12     16
///  ├ base ┼ restarts ┼ keys ┤ restart …
/// ```
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct RawHead {
    /// What the LSNs of the entries are told from.
    base: U64,
    restarts: U32,
    /// Bytes of the key parts.
    keys: U32,
}

/// Where a group of entries begins, in the key parts and in the values.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct RawRestart {
    key: U32,
    value: U32,
}

const HEAD: usize = size_of::<RawHead>();
const RESTART: usize = size_of::<RawRestart>();
const _: () = assert!(HEAD == 16 && RESTART == 8);

/// What an entry says of its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EntryKind {
    Value = 1,
    /// The key is gone.
    Tombstone = 2,
}

/// The bytes of a block cannot be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// How much of a block can be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Understood {
    Whole,
    InPart,
}

/// A data block that is being filled.
#[derive(Debug, Default)]
pub(super) struct BlockBuilder {
    keys: Vec<u8>,
    values: Vec<u8>,
    restarts: Vec<RawRestart>,
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
        HEAD + self.restarts.len() * RESTART + self.keys.len() + self.values.len()
    }

    /// The key that came last, in this block or in the one before it.
    pub(super) fn last(&self) -> &[u8] {
        &self.last
    }

    /// Adds an entry; its key is above the last one. All that a block holds is less than 4 GiB.
    pub(super) fn push(&mut self, key: &[u8], lsn: Lsn, kind: EntryKind, value: &[u8]) {
        if self.entries == 0 {
            self.base = lsn.0;
        }
        let mut shared = 0;
        if self.entries.is_multiple_of(RESTART_EVERY) {
            let (key, value) = (field(self.keys.len()), field(self.values.len()));
            self.restarts.push(RawRestart { key, value });
        } else {
            shared = common_prefix(&self.last, key);
        }
        let out = &mut self.keys;
        varint::put(out, shared as u64);
        varint::put(out, (key.len() - shared) as u64);
        varint::put(out, (value.len() as u64) << KIND_BITS | kind as u64);
        varint::put(out, zigzag(lsn.0.wrapping_sub(self.base)));
        out.extend_from_slice(&key[shared..]);
        self.values.extend_from_slice(value);
        self.last.truncate(shared);
        self.last.extend_from_slice(&key[shared..]);
        self.entries += 1;
    }

    /// Puts the whole block into `out`. The next block begins with the next push.
    pub(super) fn finish(&mut self, out: &mut Vec<u8>) {
        let (restarts, keys) = (field(self.restarts.len()), field(self.keys.len()));
        out.clear();
        out.extend_from_slice(RawHead { base: U64::new(self.base), restarts, keys }.as_bytes());
        out.extend_from_slice(self.restarts.as_bytes());
        out.append(&mut self.keys);
        out.append(&mut self.values);
        self.restarts.clear();
        self.entries = 0;
    }
}

/// A number below 4 GiB: all that a block counts.
fn field(number: usize) -> U32 {
    U32::new(u32::try_from(number).unwrap_or(u32::MAX))
}

/// A data block in memory, unpacked.
#[derive(Debug)]
pub(crate) struct Block {
    bytes: Bytes,
    restarts: usize,
    /// Where the key parts end and the values begin.
    keys_end: usize,
    base: u64,
    /// What keeping a part of the block keeps in memory.
    pinned: usize,
    /// Somebody asked for it since the cache looked last.
    touched: AtomicBool,
}

/// Where the two parts of an entry begin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    key: usize,
    value: usize,
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

/// Whom the entries of a block are shown, with their keys.
pub(super) type Shower<'a> = dyn FnMut(&[u8], &Entry) -> Result<(), Error> + 'a;

impl Block {
    /// Takes the payload of a data block. `pinned` is what its bytes are a part of.
    pub(crate) fn new(bytes: Bytes, pinned: usize) -> Result<Self, Malformed> {
        let (head, rest) = RawHead::ref_from_prefix(&bytes).map_err(|_| Malformed)?;
        let (base, restarts) = (head.base.get(), head.restarts.get() as usize);
        let taken =
            restarts.checked_mul(RESTART).and_then(|it| it.checked_add(head.keys.get() as usize));
        let taken = taken.filter(|taken| *taken <= rest.len()).ok_or(Malformed)?;
        if restarts == 0 {
            return Err(Malformed);
        }
        let keys_end = HEAD + taken;
        Ok(Self { restarts, keys_end, base, pinned, touched: AtomicBool::new(false), bytes })
    }

    pub(super) fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The same block, pinning nothing else.
    pub(super) fn alone(&self) -> Self {
        let bytes = Bytes::copy_from_slice(&self.bytes);
        let pinned = bytes.len();
        let Self { restarts, keys_end, base, .. } = *self;
        Self { bytes, restarts, keys_end, base, pinned, touched: AtomicBool::new(false) }
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

    /// Where the first entry of a group stands.
    #[inline]
    pub(super) fn group(&self, group: usize) -> Result<Place, Malformed> {
        let at = HEAD + group * RESTART;
        let restart = self.bytes.get(at..at + RESTART).ok_or(Malformed)?;
        let restart = RawRestart::ref_from_bytes(restart).map_err(|_| Malformed)?;
        let first = HEAD + self.restarts * RESTART;
        let key = first + restart.key.get() as usize;
        let value = self.keys_end + restart.value.get() as usize;
        if group < self.restarts && key < self.keys_end {
            Ok(Place { key, value })
        } else {
            Err(Malformed)
        }
    }

    /// Whether a group ends at a place or before it.
    #[inline]
    pub(super) fn group_ends(&self, group: usize, at: Place) -> Result<bool, Malformed> {
        if group + 1 < self.restarts {
            return Ok(at.key >= self.group(group + 1)?.key);
        }
        Ok(self.ends(at))
    }

    /// Whether no entry stands at a place.
    #[inline]
    pub(super) fn ends(&self, at: Place) -> bool {
        at.key >= self.keys_end
    }

    /// The group in which a key must lie, if the block has it: the last that begins at it or
    /// below it, or the first.
    pub(super) fn group_of(&self, key: &[u8]) -> Result<usize, Malformed> {
        let (mut low, mut high) = (0, self.restarts);
        while high - low > 1 {
            let middle = low.midpoint(high);
            let (entry, _) = self.entry(self.group(middle)?)?;
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
    pub(super) fn entry(&self, place: Place) -> Result<(Entry, Place), Malformed> {
        let bytes = &self.bytes[..self.keys_end];
        let mut at = place.key;
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
        let value_end = place.value.checked_add(value_len).ok_or(Malformed)?;
        if key_end > self.keys_end || value_end > self.bytes.len() {
            return Err(Malformed);
        }
        let lsn = Lsn(self.base.wrapping_add(unzigzag(lsn)));
        let value = place.value..value_end;
        let next = Place { key: key_end, value: value_end };
        Ok((Entry { shared, suffix: at..key_end, value, kind, lsn }, next))
    }

    /// The entry of a key. Keys are compared where they stand, and none is put together.
    pub(super) fn find(&self, key: &[u8]) -> Result<Option<Entry>, Malformed> {
        let group = self.group_of(key)?;
        let mut at = self.group(group)?;
        // How much of the key the entry before begins with; that one is below the key.
        let mut matched = 0;
        loop {
            let (entry, next) = self.entry(at)?;
            if entry.shared < matched {
                return Ok(None); // above the one before at a byte that that has of the key
            }
            // If it shares more, it differs from the key where the one before does.
            if entry.shared == matched {
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
            at = next;
            if self.group_ends(group, at)? {
                return Ok(None);
            }
        }
    }

    /// Shows every entry, and verifies what readers rely on: keys ascend, groups begin where the
    /// restarts say, values stand back to back and fill the block. `keys` is memory to work in.
    pub(super) fn each(
        &self,
        keys: &mut Vec<u8>,
        show: &mut Shower<'_>,
    ) -> Result<Understood, Error> {
        let mut at = Place { key: HEAD + self.restarts * RESTART, value: self.keys_end };
        for group in 0..self.restarts {
            if self.group(group) != Ok(at) {
                return Ok(Understood::InPart);
            }
            let mut first = true;
            while first || self.group_ends(group, at) == Ok(false) {
                let Ok((entry, next)) = self.entry(at) else { return Ok(Understood::InPart) };
                let suffix = &self.bytes[entry.suffix.clone()];
                let (whole, start) = (first && entry.shared == 0, group == 0 && first);
                // Behind what is shared with the key before, this one must be above.
                let above = keys.get(entry.shared..).is_some_and(|rest| rest < suffix);
                if (first && !whole) || !(start || above) {
                    return Ok(Understood::InPart);
                }
                keys.truncate(entry.shared);
                keys.extend_from_slice(suffix);
                show(keys, &entry)?;
                (at, first) = (next, false);
            }
        }
        let full = Place { key: self.keys_end, value: self.bytes.len() };
        Ok(if at == full { Understood::Whole } else { Understood::InPart })
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
pub(crate) mod tests;
