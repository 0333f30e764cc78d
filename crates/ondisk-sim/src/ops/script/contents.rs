//! The contents that the files of a run had, call by call: what a crash state is told by.
//!
//! Invariant: contents are kept in the order in which they first were, each once; all of them
//! together are at most [`Contents::LIMIT`] long.

use std::collections::BTreeMap;
use std::sync::Arc;

/// All contents that any file had after any call.
#[derive(Clone, Debug, Default)]
pub(super) struct Contents {
    all: Vec<Arc<[u8]>>,
    /// Which of them some bytes are.
    by_bytes: BTreeMap<Arc<[u8]>, usize>,
    /// The first of those that are some bytes and then zeros.
    by_trimmed: BTreeMap<Vec<u8>, usize>,
    /// All that are so long, in order.
    by_len: BTreeMap<usize, Vec<usize>>,
    /// How long all of them are together.
    bytes: u64,
    /// How many bytes were looked at to tell whether they are new.
    looked_at: u64,
}

/// More contents than are remembered.
pub(super) struct Full;

/// What bytes found after a death are, told by what was there before: as long as one content, and
/// up to there the bytes of the same or an earlier one, then zeros. Ordered by when that was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Known {
    len_of: usize,
    bytes_of: usize,
}

impl Contents {
    /// How many bytes of contents are remembered.
    const LIMIT: u64 = 64 << 20;
    /// How many bytes are looked at.
    const WORK_LIMIT: u64 = 4 << 30;

    /// Asks whether a content of a length may be looked at, before it is.
    pub(super) fn admit(&mut self, len: u64) -> Result<(), Full> {
        self.looked_at = self.looked_at.saturating_add(len);
        let fits = len <= Self::LIMIT && self.looked_at <= Self::WORK_LIMIT;
        fits.then_some(()).ok_or(Full)
    }

    /// Remembers what a file holds now.
    pub(super) fn add(&mut self, bytes: Vec<u8>) -> Result<Arc<[u8]>, Full> {
        if let Some((known, _)) = self.by_bytes.get_key_value(bytes.as_slice()) {
            return Ok(Arc::clone(known));
        }
        self.bytes = self.bytes.saturating_add(bytes.len() as u64);
        if self.bytes > Self::LIMIT {
            return Err(Full);
        }
        let (at, bytes): (usize, Arc<[u8]>) = (self.all.len(), Arc::from(bytes));
        self.by_trimmed.entry(trimmed(&bytes).to_vec()).or_insert(at);
        self.by_len.entry(bytes.len()).or_default().push(at);
        self.by_bytes.insert(Arc::clone(&bytes), at);
        self.all.push(Arc::clone(&bytes));
        Ok(bytes)
    }

    /// What some bytes are; `None` when no call left anything like them.
    pub(super) fn known(&self, bytes: &[u8]) -> Option<Known> {
        if let Some(at) = self.by_bytes.get(bytes) {
            return Some(Known { len_of: *at, bytes_of: *at });
        }
        let bytes_of = *self.by_trimmed.get(trimmed(bytes))?;
        let as_long = self.by_len.get(&bytes.len())?;
        let len_of = *as_long.get(as_long.partition_point(|at| *at <= bytes_of))?;
        Some(Known { len_of, bytes_of })
    }

    /// The bytes of what is known.
    pub(super) fn bytes(&self, known: Known) -> Vec<u8> {
        let of = |at: usize| self.all.get(at).map_or(&[][..], |bytes| bytes);
        let mut bytes = of(known.bytes_of).to_vec();
        bytes.resize(of(known.len_of).len(), 0);
        bytes
    }
}

fn trimmed(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    bytes.get(..end).unwrap_or_default()
}
