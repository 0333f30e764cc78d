//! The index of a sorted table: from which key on each data block holds keys, and where it stands.
//!
//! Invariant: the *low* of a block is at most its first key and above the last key of the block
//! before; blocks stand back to back. Lows are as short as that allows.
//!
//! One level: an index of 64 MiB of blocks takes a few hundred kilobytes, is read in one piece
//! when the table is first used, and a search in it is a binary search over whole words.
//!
//! Knows nothing of what blocks hold. The bytes are specified in `docs/format/table.md`.

use std::ops::Range;

use super::block::{Malformed, common_prefix};
use super::format::{BLOCK_HEAD, HEADER};
use super::varint;
use crate::limits::LONGEST_KEY;

/// An index that is being written.
#[derive(Debug, Default)]
pub(super) struct IndexBuilder {
    lines: Vec<u8>,
    first: Vec<u8>,
    low: Vec<u8>,
    blocks: u32,
}

impl IndexBuilder {
    /// Says that the next block begins with a key, and that the one before ended with another.
    pub(super) fn begin(&mut self, last: &[u8], first: &[u8]) {
        let low = if self.blocks == 0 {
            self.first.extend_from_slice(first);
            first
        } else {
            let above = common_prefix(last, first) + 1;
            first.get(..above).unwrap_or(first)
        };
        let shared = common_prefix(&self.low, low);
        varint::put(&mut self.lines, shared as u64);
        varint::put(&mut self.lines, (low.len() - shared) as u64);
        self.lines.extend_from_slice(&low[shared..]);
        self.low.truncate(shared);
        self.low.extend_from_slice(&low[shared..]);
        self.blocks += 1;
    }

    /// Says how long the block is that was begun last, with its head, and what its sum is.
    pub(super) fn end(&mut self, len: u32, crc: u32) {
        self.lines.extend_from_slice(&len.to_le_bytes());
        self.lines.extend_from_slice(&crc.to_le_bytes());
    }

    pub(super) fn blocks(&self) -> u32 {
        self.blocks
    }

    pub(super) fn first(&self) -> &[u8] {
        &self.first
    }

    /// About how many bytes the index has.
    pub(super) fn len(&self) -> usize {
        self.lines.len()
    }

    /// The whole index of a table that ends with a key.
    pub(super) fn finish(self, last: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.lines.len() + self.first.len() + last.len() + 8);
        for key in [&self.first[..], last] {
            varint::put(&mut bytes, key.len() as u64);
            bytes.extend_from_slice(key);
        }
        bytes.extend_from_slice(&self.lines);
        bytes
    }
}

/// An index in memory.
#[derive(Debug)]
pub(super) struct Index {
    first: Box<[u8]>,
    last: Box<[u8]>,
    /// How many first bytes all keys of the table have in common.
    prefix: usize,
    /// Of each low, the eight bytes behind the common ones, as one number that sorts like them.
    words: Box<[u64]>,
    /// The lows behind the common bytes, back to back.
    lows: Box<[u8]>,
    /// Where each low ends.
    low_ends: Box<[u32]>,
    /// Where each block ends in the file.
    ends: Box<[u64]>,
    crcs: Box<[u32]>,
}

impl Index {
    /// Reads the index of so many blocks, which end at an offset of the file.
    pub(super) fn decode(bytes: &[u8], blocks: u32, end: u64) -> Result<Self, Malformed> {
        let mut reader = Reader { bytes, at: 0 };
        let (first, last) = (reader.key()?, reader.key()?);
        let prefix = common_prefix(first, last);
        let count = usize::try_from(blocks).map_err(|_| Malformed)?;
        // Each line takes more than ten bytes: so memory is bounded by what was read.
        if count > bytes.len() / 10 {
            return Err(Malformed);
        }
        let mut words = Vec::with_capacity(count);
        let (mut lows, mut low_ends) = (Vec::new(), Vec::with_capacity(count));
        let (mut ends, mut crcs) = (Vec::with_capacity(count), Vec::with_capacity(count));
        let (mut low, mut at) = (Vec::new(), HEADER as u64);
        for block in 0..count {
            reader.low(&mut low)?;
            let bounded = if block == 0 { low == first } else { *low <= *last };
            let behind = low.get(prefix..).filter(|_| bounded && low.starts_with(&first[..prefix]));
            let behind = behind.ok_or(Malformed)?;
            let previous = low_ends.len().checked_sub(1).map(|i| low_of(&lows, &low_ends, i));
            if previous.is_some_and(|previous| previous >= behind) {
                return Err(Malformed);
            }
            words.push(word(behind));
            lows.extend_from_slice(behind);
            low_ends.push(u32::try_from(lows.len()).map_err(|_| Malformed)?);
            let (len, crc) = (reader.number()?, reader.number()?);
            if len as usize <= BLOCK_HEAD {
                return Err(Malformed);
            }
            at += u64::from(len);
            ends.push(at);
            crcs.push(crc);
        }
        if reader.at != bytes.len() || at != end {
            return Err(Malformed);
        }
        Ok(Self {
            first: first.into(),
            last: last.into(),
            prefix,
            words: words.into(),
            lows: lows.into(),
            low_ends: low_ends.into(),
            ends: ends.into(),
            crcs: crcs.into(),
        })
    }

    pub(super) fn blocks(&self) -> usize {
        self.ends.len()
    }

    pub(super) fn first(&self) -> &[u8] {
        &self.first
    }

    pub(super) fn last(&self) -> &[u8] {
        &self.last
    }

    /// What the index takes in memory.
    pub(super) fn weight(&self) -> usize {
        let line = 2 * size_of::<u64>() + 2 * size_of::<u32>();
        self.blocks() * line + self.lows.len() + self.first.len() + self.last.len()
    }

    /// Where a block stands in the file.
    pub(super) fn place(&self, block: usize) -> Option<Range<u64>> {
        let end = *self.ends.get(block)?;
        let start = block.checked_sub(1).map_or(HEADER as u64, |before| self.ends[before]);
        Some(start..end)
    }

    pub(super) fn crc(&self, block: usize) -> Option<u32> {
        self.crcs.get(block).copied()
    }

    /// The block in which a key must lie, if the table has it; `None` for one below the first.
    #[inline]
    pub(super) fn find(&self, key: &[u8]) -> Option<usize> {
        let prefix = &self.first[..self.prefix];
        let Some(behind) = key.strip_prefix(prefix) else {
            // It differs from all keys of the table within what they have in common.
            return if key < prefix { None } else { self.blocks().checked_sub(1) };
        };
        let wanted = word(behind);
        let mut low = self.words.partition_point(|&word| word < wanted);
        if self.words.get(low) == Some(&wanted) {
            // These are equal as far as a word goes: now by the rest.
            let mut high = low + self.words[low..].partition_point(|&word| word == wanted);
            while low < high {
                let middle = low.midpoint(high);
                if low_of(&self.lows, &self.low_ends, middle) <= behind {
                    low = middle + 1;
                } else {
                    high = middle;
                }
            }
        }
        low.checked_sub(1)
    }

    /// The blocks in runs of about so many bytes of the file.
    pub(super) fn runs(&self, bytes: u64) -> impl Iterator<Item = Range<usize>> {
        let mut at = 0;
        std::iter::from_fn(move || {
            let start = self.place(at)?.start;
            let behind = self.ends[at..].iter().take_while(|&&end| end - start <= bytes).count();
            let run = at..at + behind.max(1);
            at = run.end;
            Some(run)
        })
    }
}

fn low_of<'a>(lows: &'a [u8], ends: &[u32], block: usize) -> &'a [u8] {
    let start = block.checked_sub(1).map_or(0, |before| ends[before] as usize);
    &lows[start..ends[block] as usize]
}

/// The first eight bytes as a number that sorts like them; zeros stand for what is missing.
#[inline]
fn word(bytes: &[u8]) -> u64 {
    if let Some(chunk) = bytes.first_chunk() {
        return u64::from_be_bytes(*chunk);
    }
    let mut padded = [0; 8];
    padded[..bytes.len()].copy_from_slice(bytes);
    u64::from_be_bytes(padded)
}

/// Takes an index apart.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], Malformed> {
        let end = self.at.checked_add(len).ok_or(Malformed)?;
        let taken = self.bytes.get(self.at..end).ok_or(Malformed)?;
        self.at = end;
        Ok(taken)
    }

    fn len(&mut self) -> Result<usize, Malformed> {
        let len = varint::take_len(self.bytes, &mut self.at).ok_or(Malformed)?;
        if len > LONGEST_KEY { Err(Malformed) } else { Ok(len) }
    }

    fn key(&mut self) -> Result<&'a [u8], Malformed> {
        let len = self.len()?;
        self.take(len)
    }

    /// Makes the next low out of the one before.
    fn low(&mut self, low: &mut Vec<u8>) -> Result<(), Malformed> {
        let shared = self.len()?;
        let suffix = self.key()?;
        if shared > low.len() || shared + suffix.len() > LONGEST_KEY {
            return Err(Malformed);
        }
        low.truncate(shared);
        low.extend_from_slice(suffix);
        Ok(())
    }

    fn number(&mut self) -> Result<u32, Malformed> {
        let bytes = self.take(size_of::<u32>())?;
        Ok(bytes.first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes)))
    }
}

#[cfg(test)]
mod tests;
