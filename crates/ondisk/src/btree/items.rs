//! The entries of a node that is being made: what they take in a page, and that page's bytes.
//!
//! Invariant: the size that is told is the size that [`Items::page`] needs, at every moment. Items
//! fit a page, or are the fewest that a node may have: one of a leaf, two of a branch. So every
//! offset in a node is below the size of a page: what a longer key needs stands in the tail.
//!
//! Knows nothing of the tree. The bytes are specified in `docs/format/page.md`.

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromZeros, IntoBytes};

use crate::btree::page::{HEADER, Header, Kind, Page, SLOT, Shape, Slot, head, seal};

/// Entries by ascending key, of one level.
#[derive(Clone, Debug, Default)]
pub(crate) struct Items {
    level: u8,
    /// Each key with its payload behind it.
    bytes: Vec<u8>,
    items: Vec<Item>,
    /// How long the common prefix of all keys is that count.
    prefix: usize,
    /// The bytes of all keys that count: in a branch, of all but the first.
    keys: usize,
    payloads: usize,
}

#[derive(Clone, Copy, Debug)]
struct Item {
    at: usize,
    key: usize,
    payload: usize,
    origin: Origin,
}

/// Whether a branch's child stood in the tree before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    Old,
    New,
}

impl Items {
    pub(crate) fn new(level: u8) -> Self {
        Self { level, ..Self::default() }
    }

    pub(crate) fn len(&self) -> usize {
        self.items.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    pub(crate) fn key(&self, index: usize) -> &[u8] {
        let item = &self.items[index];
        &self.bytes[item.at..item.at + item.key]
    }

    pub(crate) fn payload(&self, index: usize) -> &[u8] {
        let item = &self.items[index];
        &self.bytes[item.at + item.key..item.at + item.key + item.payload]
    }

    pub(crate) fn origin(&self, index: usize) -> Origin {
        self.items[index].origin
    }

    /// The first entry whose key stands in the page.
    fn first_keyed(&self) -> usize {
        usize::from(self.level > 0)
    }

    /// The fewest entries that a node has, however large.
    fn fewest(&self) -> usize {
        1 + self.first_keyed()
    }

    /// The prefix of all keys, if one more came.
    fn prefix_with(&self, key: &[u8]) -> usize {
        match self.items.get(self.first_keyed()) {
            Some(_) => common_prefix(&self.key(self.first_keyed())[..self.prefix], key),
            None => key.len(),
        }
    }

    /// The bytes that these entries take in a page.
    pub(crate) fn size(&self) -> usize {
        size(self.len(), self.first_keyed(), self.prefix, self.keys, self.payloads)
    }

    /// Whether one more entry stays within a page, or is needed in any case.
    pub(crate) fn takes(&self, key: &[u8], payload: usize, shape: Shape) -> bool {
        if self.len() < self.fewest() {
            return true;
        }
        let (prefix, keys) = (self.prefix_with(key), self.keys + key.len());
        let (count, payloads) = (self.len() + 1, self.payloads + payload);
        size(count, self.first_keyed(), prefix, keys, payloads) <= shape.size
    }

    /// Adds an entry; its key is above all.
    pub(crate) fn push(&mut self, key: &[u8], payload: &[u8], origin: Origin) {
        if self.len() >= self.first_keyed() {
            self.prefix = self.prefix_with(key);
            self.keys += key.len();
        }
        self.payloads += payload.len();
        let item = Item { at: self.bytes.len(), key: key.len(), payload: payload.len(), origin };
        self.items.push(item);
        self.bytes.extend_from_slice(key);
        self.bytes.extend_from_slice(payload);
    }

    /// Takes the last entry away.
    pub(crate) fn pop(&mut self) -> Option<(Vec<u8>, Vec<u8>)> {
        let last = self.len().checked_sub(1)?;
        let (key, payload) = (self.key(last).to_vec(), self.payload(last).to_vec());
        let mut rest = Self::new(self.level);
        rest.extend(self, 0..last);
        *self = rest;
        Some((key, payload))
    }

    /// Adds some entries of others.
    pub(crate) fn extend(&mut self, others: &Self, range: std::ops::Range<usize>) {
        for index in range {
            self.push(others.key(index), others.payload(index), others.origin(index));
        }
    }

    /// The page of these entries.
    pub(crate) fn page(&self, number: u32, generation: u64, shape: Shape) -> Page {
        let size = self.size();
        let span = shape.span(size);
        let mut bytes = vec![0; span as usize * shape.size].into_boxed_slice();
        let mut at = HEADER + self.len() * SLOT;
        for index in 0..self.len() {
            let (key, payload) = (self.key(index), self.payload(index));
            let suffix = if index < self.first_keyed() { &[] } else { &key[self.prefix..] };
            // Both are below the size of a page: see the invariant.
            let slot = Slot {
                head: U32::new(head(suffix)),
                at: U16::new(u16::try_from(at).unwrap_or(u16::MAX)),
                suffix_len: U16::new(u16::try_from(suffix.len()).unwrap_or(u16::MAX)),
            };
            let place = HEADER + index * SLOT;
            bytes[place..place + SLOT].copy_from_slice(slot.as_bytes());
            bytes[at..at + suffix.len()].copy_from_slice(suffix);
            at += suffix.len();
            bytes[at..at + payload.len()].copy_from_slice(payload);
            at += payload.len();
        }
        let prefix = match self.items.get(self.first_keyed()) {
            Some(_) => &self.key(self.first_keyed())[..self.prefix],
            None => &[],
        };
        bytes[at..at + prefix.len()].copy_from_slice(prefix);
        let kind = if self.level == 0 { Kind::Leaf } else { Kind::Branch };
        let header = Header {
            number: U32::new(number),
            generation: U64::new(generation),
            kind: kind.byte(),
            level: self.level,
            count: U16::new(u16::try_from(self.len()).unwrap_or(u16::MAX)),
            span: U32::new(span),
            end: U32::new(u32::try_from(at).unwrap_or(u32::MAX)),
            tail: U32::new(u32::try_from(prefix.len()).unwrap_or(u32::MAX)),
            ..Header::new_zeroed()
        };
        seal(header, bytes, kind, shape)
    }

    /// Parts entries that do not fit one page into two of about the same size; `None` where there
    /// is no place at which both would fit.
    pub(crate) fn split(&self, shape: Shape) -> Option<(Self, Self)> {
        let half = (self.keys + self.payloads + self.len() * SLOT) / 2;
        let mut before = 0;
        let weigh = |index: usize| self.key(index).len() + self.payload(index).len() + SLOT;
        let (fewest, len) = (self.fewest(), self.len());
        let mut middle = 0;
        while middle < len && before + weigh(middle) / 2 < half {
            before += weigh(middle);
            middle += 1;
        }
        if len < 2 * fewest {
            return None;
        }
        let middle = middle.clamp(fewest, len - fewest);
        // The middle by weight, and then the places beside it: a common prefix may end there.
        let near = (0..len).flat_map(|step| [middle.checked_sub(step), middle.checked_add(step)]);
        for at in near.flatten().filter(|at| (fewest..=len - fewest).contains(at)) {
            let (mut left, mut right) = (Self::new(self.level), Self::new(self.level));
            left.extend(self, 0..at);
            right.extend(self, at..len);
            if left.is_legal(shape) && right.is_legal(shape) {
                return Some((left, right));
            }
        }
        None
    }

    /// Whether they may be one node.
    pub(crate) fn is_legal(&self, shape: Shape) -> bool {
        self.len() <= self.fewest() || self.size() <= shape.size
    }
}

fn size(count: usize, first_keyed: usize, prefix: usize, keys: usize, payloads: usize) -> usize {
    let keyed = count.saturating_sub(first_keyed);
    let prefix_bytes = if keyed == 0 { 0 } else { prefix };
    HEADER + count * SLOT + keys - keyed * prefix_bytes + prefix_bytes + payloads
}

pub(crate) fn common_prefix(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

/// The shortest key that is above `left` and not above `right`; `left` is below `right`.
pub(crate) fn separator<'a>(left: &[u8], right: &'a [u8]) -> &'a [u8] {
    &right[..right.len().min(common_prefix(left, right) + 1)]
}
