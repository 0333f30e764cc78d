//! The contents of blocks, each stored once and never changed.
//!
//! Invariant: a [`BlockId`] means the same bytes for as long as the store, or any copy of it,
//! lives. A copy shares what was there when it was made, and adds to its own end alone.
//!
//! Knows nothing of files.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use ondisk_fs::BLOCK;

use super::digest::{Digest, bytes_digest, mix};

/// The bytes of one block.
pub(crate) type Bytes = [u8; BLOCK];

/// One content of one block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct BlockId(pub(crate) u32);

impl BlockId {
    /// Never written: reads as zeros, and has nothing on the media to fall back to.
    pub(crate) const HOLE: Self = Self(0);
    /// Written with zeros.
    pub(crate) const ZERO: Self = Self(1);
    /// What an allocated block holds that was never written: somebody's former bytes.
    pub(crate) const JUNK: Self = Self(2);
    const FIRST: u32 = 3;

    /// Whether it reads as zeros.
    pub(crate) const fn is_zero(self) -> bool {
        self.0 <= 1
    }
}

static ZEROS: Bytes = [0; BLOCK];
static JUNK: Bytes = junk();

/// Bytes that are neither zero nor ASCII, so that nobody takes them for a former content.
#[expect(clippy::cast_possible_truncation, reason = "the pattern wants the low byte alone")]
const fn junk() -> Bytes {
    let mut bytes = [0; BLOCK];
    let mut at = 0;
    while at < BLOCK {
        bytes[at] = 0x80 | (super::digest::mix(at as u64) as u8);
        at += 1;
    }
    bytes
}

/// One stored content.
#[derive(Clone, Debug)]
struct Content {
    bytes: Arc<Bytes>,
    /// Who wrote it, as a number that does not depend on the bytes.
    writer: u64,
    class: OnceLock<u64>,
}

/// Numbers for contents that do not depend on their bytes: the writer of whoever held them first.
///
/// So states are counted as if payloads were replaced by the numbers of their records: other
/// random bytes give the same numbers, and equal bytes give one number however they came about.
#[derive(Debug, Default)]
pub(crate) struct Classes(Mutex<Numbers>);

#[derive(Debug, Default)]
struct Numbers {
    of: BTreeMap<Digest, u64>,
    used: BTreeSet<u64>,
}

impl Classes {
    /// The number of some bytes. When they are new, it is their writer's, or what follows from
    /// that where other bytes have it.
    pub(crate) fn of(&self, bytes: &[u8], writer: u64) -> u64 {
        let mut numbers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let digest = bytes_digest(bytes);
        if let Some(number) = numbers.of.get(&digest) {
            return *number;
        }
        let mut number = writer;
        while !numbers.used.insert(number) {
            number = mix(number);
        }
        numbers.of.insert(digest, number);
        number
    }
}

/// All contents that a history and its forks may show.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    /// Shared with copies, oldest first, each with the id of its first content.
    shared: Arc<Vec<(u32, Arc<Vec<Content>>)>>,
    /// The id of the first of `own`.
    start: u32,
    own: Vec<Content>,
    classes: Arc<Classes>,
}

impl Store {
    pub(crate) fn new() -> Self {
        let (shared, own) = (Arc::default(), Vec::new());
        Self { shared, start: BlockId::FIRST, own, classes: Arc::default() }
    }

    /// Keeps a content; zeros are not kept twice.
    pub(crate) fn push(&mut self, bytes: &Bytes, writer: u64) -> BlockId {
        if *bytes == ZEROS {
            return BlockId::ZERO;
        }
        let id = self.start + u32::try_from(self.own.len()).unwrap_or(u32::MAX);
        self.own.push(Content { bytes: Arc::new(*bytes), writer, class: OnceLock::new() });
        BlockId(id)
    }

    /// The bytes of a content.
    pub(crate) fn bytes(&self, id: BlockId) -> &Bytes {
        match id {
            BlockId::HOLE | BlockId::ZERO => &ZEROS,
            BlockId::JUNK => &JUNK,
            _ => &self.content(id).bytes,
        }
    }

    /// The number of a content that does not depend on its bytes: see [`Classes`].
    pub(crate) fn class(&self, id: BlockId) -> u64 {
        match id {
            BlockId::HOLE | BlockId::ZERO => 0,
            BlockId::JUNK => 2,
            _ => {
                let content = self.content(id);
                *content
                    .class
                    .get_or_init(|| self.classes.of(content.bytes.as_slice(), content.writer))
            }
        }
    }

    /// The same for a part of a content.
    pub(crate) fn class_of(&self, id: BlockId, part: std::ops::Range<usize>) -> u64 {
        if part.len() == BLOCK || id.is_zero() {
            return self.class(id);
        }
        let bytes = &self.bytes(id)[part.clone()];
        if bytes.iter().all(|byte| *byte == 0) {
            return 0;
        }
        let writer = super::digest::mix2(self.class(id), part.start as u64);
        self.classes.of(bytes, writer)
    }

    /// Whether two contents are the same bytes in a range.
    pub(crate) fn same(&self, a: BlockId, b: BlockId, part: std::ops::Range<usize>) -> bool {
        a == b || (a.is_zero() && b.is_zero()) || self.bytes(a)[part.clone()] == self.bytes(b)[part]
    }

    /// A copy that shares all that is there.
    pub(crate) fn fork(&mut self) -> Self {
        self.share();
        self.clone()
    }

    /// Moves what is its own to where copies share it. Parts of like size are joined, so that
    /// there are few of them however often this is done.
    fn share(&mut self) {
        if self.own.is_empty() {
            return;
        }
        let mut own = std::mem::take(&mut self.own);
        let end = self.start + u32::try_from(own.len()).unwrap_or(u32::MAX);
        let shared = Arc::make_mut(&mut self.shared);
        let mut start = self.start;
        while let Some((first, last)) = shared.last() {
            if last.len() > 2 * own.len() {
                break;
            }
            let mut joined: Vec<Content> = last.to_vec();
            joined.append(&mut own);
            (own, start) = (joined, *first);
            shared.pop();
        }
        shared.push((start, Arc::new(own)));
        self.start = end;
    }

    fn content(&self, id: BlockId) -> &Content {
        if let Some(at) = id.0.checked_sub(self.start) {
            return &self.own[at as usize];
        }
        let part = self.shared.partition_point(|(start, _)| *start <= id.0) - 1;
        let (start, contents) = &self.shared[part];
        &contents[(id.0 - start) as usize]
    }
}

#[cfg(test)]
mod tests;
