//! A walk over a view: the keys in order, some of them ahead, and their values as they are asked
//! for.
//!
//! Invariant: what a walk gives out is of its view. Memory is bounded by some keys and some chunks
//! of files, whatever lies between the bounds; nothing is held locked between two calls.
//!
//! Each data file is in the order of its keys. So whoever walks reads each file from front to
//! back, or back to front, and reads more of it at once the longer that goes on.

use std::ops::{Bound, Range};
use std::sync::Arc;
use std::vec;

use crate::bitcask::data_file::{DataFile, ENTRY_HEAD, HEADER, Place};
use crate::bitcask::view::CaskView;
use crate::engine::{Direction, Walk};
use crate::error::Error;
use crate::value::Value;

/// How many keys a walk looks at under the keydir's lock at once.
pub(super) const WALK_KEYS: usize = 256;
/// How much of a file is read at once, in bytes, where that is more than was asked for.
const LEAST_CHUNK: u64 = 4 << 10;
const MOST_CHUNK: u64 = 64 << 10;
/// Of how many files chunks are held.
const CHUNKS: usize = 16;

/// A walk over a view, some keys ahead of where it stands.
#[derive(Debug)]
pub(super) struct CaskWalk {
    view: Arc<CaskView>,
    /// What was not looked at yet lies between these.
    lower: Bound<Arc<[u8]>>,
    upper: Bound<Arc<[u8]>>,
    direction: Direction,
    ahead: vec::IntoIter<Found>,
    rest: Rest,
    at: Option<Found>,
    /// Where the value stands among the chunks, when it was read and verified.
    value: Option<(usize, Range<usize>)>,
    chunks: Vec<Chunk>,
}

/// A key that a walk found, and where its value stands.
#[derive(Debug)]
struct Found {
    key: Arc<[u8]>,
    place: Place,
    file: Arc<DataFile>,
}

/// Whether keys are left between a walk's bounds.
#[derive(Debug, PartialEq, Eq)]
enum Rest {
    Nothing,
    More,
}

/// A piece of a data file.
#[derive(Debug)]
struct Chunk {
    file: u32,
    start: u64,
    bytes: Vec<u8>,
    /// How much was read at once the last time.
    len: u64,
}

impl Chunk {
    fn end(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }

    fn covers(&self, entry: &Range<u64>) -> bool {
        self.start <= entry.start && entry.end <= self.end()
    }

    /// What to read for an entry: more than it where the walk has come here through the file.
    fn plan(&mut self, entry: &Range<u64>, file_len: u64) -> Range<u64> {
        let longer = self.len.saturating_mul(2).clamp(LEAST_CHUNK, MOST_CHUNK);
        let is_near = |gap: Option<u64>| gap.is_some_and(|gap| gap <= MOST_CHUNK);
        self.len = if self.bytes.is_empty() { 0 } else { longer };
        if is_near(entry.start.checked_sub(self.end())) {
            let end = (entry.start + self.len).min(file_len);
            entry.start..end.max(entry.end)
        } else if is_near(self.start.checked_sub(entry.end)) {
            let start = entry.end.saturating_sub(self.len).max(HEADER as u64);
            start.min(entry.start)..entry.end
        } else {
            self.len = 0;
            entry.clone()
        }
    }

    /// Reads so much of a file that an entry is here; how much was read.
    fn read(&mut self, found: &Found, entry: &Range<u64>) -> Result<u64, Error> {
        let all = self.plan(entry, found.file.len());
        if self.try_read(found, &all).is_err() {
            // What was asked for may be readable, and what is beside it not.
            self.try_read(found, entry)?;
        }
        Ok(self.bytes.len() as u64)
    }

    fn try_read(&mut self, found: &Found, range: &Range<u64>) -> Result<(), Error> {
        self.start = range.start;
        self.bytes.resize(usize::try_from(range.end - range.start).unwrap_or(usize::MAX), 0);
        let read = found.file.read_range(&mut self.bytes, range.start);
        if read.is_err() {
            self.bytes.clear();
        }
        read
    }
}

impl CaskWalk {
    pub(super) fn new(
        view: Arc<CaskView>,
        lower: Bound<&[u8]>,
        upper: Bound<&[u8]>,
        direction: Direction,
    ) -> Self {
        Self {
            view,
            lower: lower.map(Arc::from),
            upper: upper.map(Arc::from),
            direction,
            ahead: Vec::new().into_iter(),
            rest: Rest::More,
            at: None,
            value: None,
            chunks: Vec::new(),
        }
    }

    /// Looks at the next keys.
    fn look_ahead(&mut self) {
        let shared = Arc::clone(&self.view.shared);
        let keydir = shared.ordered();
        let through = self.view.through;
        let mut ahead = Vec::new();
        let mut last = None;
        let mut look = |key: &Arc<[u8]>| {
            last = Some(Arc::clone(key));
            let found = keydir.place_at(key, through).and_then(|place| {
                let file = Arc::clone(keydir.files().get(&place.file)?);
                Some(Found { key: Arc::clone(key), place, file })
            });
            ahead.extend(found);
        };
        let lower = self.lower.as_ref().map(|key| &**key);
        let upper = self.upper.as_ref().map(|key| &**key);
        let keys = keydir.keys(lower, upper);
        match self.direction {
            Direction::Forward => keys.take(WALK_KEYS).for_each(&mut look),
            Direction::Backward => keys.rev().take(WALK_KEYS).for_each(&mut look),
        }
        drop(keydir);
        match (last, self.direction) {
            (None, _) => self.rest = Rest::Nothing,
            (Some(last), Direction::Forward) => self.lower = Bound::Excluded(last),
            (Some(last), Direction::Backward) => self.upper = Bound::Excluded(last),
        }
        self.ahead = ahead.into_iter();
    }

    /// Where the value stands among the chunks, verified; nowhere before the first advance.
    fn fetch(&mut self) -> Result<Option<(usize, Range<usize>)>, Error> {
        if self.value.is_some() {
            return Ok(self.value.clone());
        }
        let Some(found) = &self.at else { return Ok(None) };
        let Found { key, place, file } = found;
        let known = self.chunks.iter().position(|chunk| chunk.file == place.file);
        let index = known.unwrap_or_else(|| {
            if self.chunks.len() == CHUNKS {
                self.chunks.remove(0);
            }
            let chunk = Chunk { file: place.file, start: 0, bytes: Vec::new(), len: 0 };
            self.chunks.push(chunk);
            self.chunks.len() - 1
        });
        let Some(chunk) = self.chunks.get_mut(index) else { return Ok(None) };
        let entry = place.offset..place.end(key.len());
        if !chunk.covers(&entry) {
            self.view.shared.count(chunk.read(found, &entry)?);
        }
        let start = usize::try_from(entry.start - chunk.start).unwrap_or(usize::MAX);
        let len = usize::try_from(entry.end - entry.start).unwrap_or(usize::MAX);
        let bytes = chunk.bytes.get(start..start.saturating_add(len)).unwrap_or_default();
        file.check(key, *place, bytes)?;
        self.value = Some((index, start + ENTRY_HEAD + key.len()..start + len));
        Ok(self.value.clone())
    }
}

impl Walk for CaskWalk {
    fn advance(&mut self) -> Result<bool, Error> {
        self.value = None;
        loop {
            self.at = self.ahead.next();
            if self.at.is_some() {
                return Ok(true);
            }
            if self.rest == Rest::Nothing {
                return Ok(false);
            }
            self.look_ahead();
        }
    }

    fn key(&self) -> &[u8] {
        self.at.as_ref().map_or(&[], |found| &found.key)
    }

    fn value(&mut self) -> Result<&[u8], Error> {
        let Some((index, range)) = self.fetch()? else { return Ok(&[]) };
        Ok(self.chunks.get(index).and_then(|chunk| chunk.bytes.get(range)).unwrap_or_default())
    }

    fn keep(&mut self) -> Result<Value, Error> {
        // A copy: a chunk is not to be kept for one value of it.
        self.value().map(Value::copy)
    }
}
