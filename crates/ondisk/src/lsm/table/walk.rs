//! A walk over a sorted table, forward or backward.
//!
//! Invariant: entries come in the walk's order, each once, and only those within the bounds. In
//! memory are one block, or one run of blocks where a walk goes on and on, and the keys of one
//! group of entries.
//!
//! Bounds are compared only in the two blocks in which they fall: the index says which.

use std::ops::{Bound, Range};
use std::sync::Arc;

use ondisk_log::Lsn;

use super::Table;
use super::block::{Block, EntryKind, Malformed, Place};
use super::load::{Loaded, Run};
use crate::engine::Direction;
use crate::error::Error;
use crate::value::Value;

/// So many blocks are read one by one; then several at once.
const SINGLE_READS: usize = 2;
/// Bytes of the first run that is read at once; each is twice as long as the one before.
const FIRST_RUN: u64 = 32 << 10;
const LONGEST_RUN: u64 = 256 << 10;
/// A value that is kept is a copy when it would pin more than so many times its length.
const PIN_SHARE: usize = 256;

/// Whether the blocks that a walk reads are kept in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fill {
    /// The first ones are, and the others while nothing must be let go for them.
    Cache,
    /// None is: a compaction's.
    Nothing,
}

/// A walk over the entries of a table. It stands before its first entry until it is advanced.
#[derive(Debug)]
pub(crate) struct TableWalk {
    table: Arc<Table>,
    lower: Bound<Box<[u8]>>,
    upper: Bound<Box<[u8]>>,
    direction: Direction,
    fill: Fill,
    loaded: Option<Arc<Loaded>>,
    /// The blocks that were not entered yet.
    blocks: Range<usize>,
    /// The blocks in which the bounds fall.
    ends: (usize, usize),
    block: Option<Arc<Block>>,
    /// The number of `block`.
    number: usize,
    /// Forward: where the next entry stands.
    at: Place,
    /// Backward: how many groups were not entered yet.
    groups: usize,
    /// Backward: what is left of the group of entries, the last first.
    group: Vec<Found>,
    /// Forward the key of the entry, backward the keys of the group.
    keys: Vec<u8>,
    entry: Found,
    run: Option<Run>,
    run_bytes: u64,
    reads: usize,
}

/// Where the parts of an entry stand: its key in the walk's keys, its value in the block.
#[derive(Clone, Debug)]
struct Found {
    key: Range<usize>,
    value: Range<usize>,
    kind: EntryKind,
    lsn: Lsn,
}

/// What of a table could not be read: a block, or all of it.
#[derive(Debug)]
pub(crate) struct Gap {
    table: Arc<Table>,
    block: Option<(Arc<Loaded>, usize)>,
}

impl Gap {
    /// Whether the table may have an entry of a key there.
    pub(crate) fn may_hold(&self, key: &[u8]) -> bool {
        let meta = self.table.meta();
        *meta.first <= *key
            && *key <= *meta.last
            && self.block.as_ref().is_none_or(|(loaded, at)| loaded.index.find(key) == Some(*at))
    }
}

impl TableWalk {
    pub(super) fn new(
        table: Arc<Table>,
        lower: Bound<&[u8]>,
        upper: Bound<&[u8]>,
        direction: Direction,
    ) -> Self {
        Self {
            table,
            lower: lower.map(Box::from),
            upper: upper.map(Box::from),
            direction,
            fill: Fill::Cache,
            loaded: None,
            blocks: 0..0,
            ends: (0, 0),
            block: None,
            number: 0,
            at: Place::default(),
            groups: 0,
            group: Vec::new(),
            keys: Vec::new(),
            entry: Found { key: 0..0, value: 0..0, kind: EntryKind::Tombstone, lsn: Lsn(0) },
            run: None,
            run_bytes: FIRST_RUN,
            reads: 0,
        }
    }

    /// The same walk, which leaves nothing in the cache and reads long runs from the start.
    pub(crate) fn passing(mut self) -> Self {
        (self.fill, self.run_bytes, self.reads) = (Fill::Nothing, LONGEST_RUN, SINGLE_READS);
        self
    }

    /// Whether the table could be opened and is being walked.
    pub(super) fn is_started(&self) -> bool {
        self.loaded.is_some()
    }

    /// What could not be read; only after an advance that answered with an error.
    pub(super) fn gap(&self) -> Gap {
        let block = self.loaded.as_ref().map(|loaded| (Arc::clone(loaded), self.number));
        Gap { table: Arc::clone(&self.table), block }
    }

    /// Goes to the next entry; `false` at the end, and from then on. After an error the next call
    /// goes on behind the damaged block.
    pub(crate) fn advance(&mut self) -> Result<bool, Error> {
        if self.loaded.is_none() {
            self.start()?;
        }
        loop {
            if self.block.is_some() {
                match self.step() {
                    Ok(true) => return Ok(true),
                    Ok(false) => self.block = None,
                    Err(Malformed) => {
                        self.block = None;
                        return Err(self.malformed());
                    }
                }
            }
            if !self.enter()? {
                return Ok(false);
            }
        }
    }

    /// The key of the entry; only after an advance that answered `true`, as all below.
    #[inline]
    pub(crate) fn key(&self) -> &[u8] {
        self.keys.get(self.entry.key.clone()).unwrap_or_default()
    }

    #[inline]
    pub(crate) fn lsn(&self) -> Lsn {
        self.entry.lsn
    }

    #[inline]
    pub(crate) fn is_tombstone(&self) -> bool {
        self.entry.kind == EntryKind::Tombstone
    }

    /// The value; empty for a tombstone.
    #[inline]
    pub(crate) fn value(&self) -> &[u8] {
        let block = self.block.as_ref();
        block.and_then(|block| block.bytes().get(self.entry.value.clone())).unwrap_or_default()
    }

    /// The value as one that may be kept.
    pub(crate) fn keep(&self) -> Value {
        let Some(block) = &self.block else { return Value::default() };
        if self.entry.value.len().saturating_mul(PIN_SHARE) < block.pinned() {
            return Value::copy(self.value());
        }
        Value::from(block.bytes().slice(self.entry.value.clone()))
    }

    /// Finds the blocks in which the bounds fall.
    fn start(&mut self) -> Result<(), Error> {
        let loaded = Arc::clone(self.table.loaded()?);
        let index = &loaded.index;
        let first = match &self.lower {
            Bound::Unbounded => 0,
            Bound::Included(key) | Bound::Excluded(key) => index.find(key).unwrap_or(0),
        };
        let end = match &self.upper {
            Bound::Unbounded => index.blocks(),
            Bound::Included(key) | Bound::Excluded(key) => {
                index.find(key).map_or(0, |last| last + 1)
            }
        };
        self.blocks = first..end;
        self.ends = (first, end.saturating_sub(1));
        self.loaded = Some(loaded);
        Ok(())
    }

    /// Goes into the next block; `false` when there is none.
    fn enter(&mut self) -> Result<bool, Error> {
        let next = match self.direction {
            Direction::Forward => self.blocks.next(),
            Direction::Backward => self.blocks.next_back(),
        };
        let Some(number) = next else { return Ok(false) };
        self.number = number;
        let block = self.fetch(number)?;
        let placed = match self.direction {
            Direction::Forward => self.place_forward(&block),
            Direction::Backward => self.place_backward(&block),
        };
        self.block = Some(block);
        placed.map_err(|Malformed| {
            self.block = None;
            self.malformed()
        })?;
        Ok(true)
    }

    /// Goes in front of the first entry of a block that is within the lower bound.
    fn place_forward(&mut self, block: &Block) -> Result<(), Malformed> {
        self.keys.clear();
        self.at = block.group(0)?;
        if self.number != self.ends.0 {
            return Ok(());
        }
        let (Bound::Included(key) | Bound::Excluded(key)) = &self.lower else { return Ok(()) };
        let mut at = block.group(block.group_of(key)?)?;
        while !block.ends(at) {
            let (entry, next) = block.entry(at)?;
            let suffix = &block.bytes()[entry.suffix];
            let behind = self.keys.get(..entry.shared).ok_or(Malformed)?.len();
            let order = compare_joined((&self.keys[..behind], suffix), key);
            if order.is_gt() || (order.is_eq() && matches!(self.lower, Bound::Included(_))) {
                break;
            }
            self.keys.truncate(behind);
            self.keys.extend_from_slice(suffix);
            at = next;
        }
        self.at = at;
        Ok(())
    }

    /// Goes behind the last entry of a block that is within the upper bound.
    fn place_backward(&mut self, block: &Block) -> Result<(), Malformed> {
        self.group.clear();
        self.groups = block.groups();
        if self.number != self.ends.1 {
            return Ok(());
        }
        let (Bound::Included(key) | Bound::Excluded(key)) = &self.upper else { return Ok(()) };
        self.groups = block.group_of(key)?;
        read_group(block, self.groups, &mut self.group, &mut self.keys)?;
        while let Some(last) = self.group.last() {
            let order = self.keys[last.key.clone()].cmp(key);
            if order.is_lt() || (order.is_eq() && matches!(self.upper, Bound::Included(_))) {
                break;
            }
            self.group.pop();
        }
        Ok(())
    }

    /// Goes to the next entry of the block; `false` when there is none within the bounds.
    #[inline]
    fn step(&mut self) -> Result<bool, Malformed> {
        match self.direction {
            Direction::Forward => self.step_forward(),
            Direction::Backward => self.step_backward(),
        }
    }

    #[inline]
    fn step_forward(&mut self) -> Result<bool, Malformed> {
        let Some(block) = &self.block else { return Ok(false) };
        if block.ends(self.at) {
            return Ok(false);
        }
        let (entry, next) = block.entry(self.at)?;
        if entry.shared > self.keys.len() {
            return Err(Malformed);
        }
        self.keys.truncate(entry.shared);
        self.keys.extend_from_slice(&block.bytes()[entry.suffix]);
        self.at = next;
        let key = 0..self.keys.len();
        self.entry = Found { key, value: entry.value, kind: entry.kind, lsn: entry.lsn };
        if self.number == self.ends.1 && !self.within_upper() {
            self.blocks = 0..0;
            return Ok(false);
        }
        Ok(true)
    }

    fn step_backward(&mut self) -> Result<bool, Malformed> {
        let Some(block) = &self.block else { return Ok(false) };
        while self.group.is_empty() {
            if self.groups == 0 {
                return Ok(false);
            }
            self.groups -= 1;
            read_group(block, self.groups, &mut self.group, &mut self.keys)?;
        }
        let Some(entry) = self.group.pop() else { return Ok(false) };
        self.entry = entry;
        if self.number == self.ends.0 && !self.within_lower() {
            self.blocks = 0..0;
            return Ok(false);
        }
        Ok(true)
    }

    fn within_upper(&self) -> bool {
        match &self.upper {
            Bound::Unbounded => true,
            Bound::Included(key) => *self.key() <= **key,
            Bound::Excluded(key) => *self.key() < **key,
        }
    }

    fn within_lower(&self) -> bool {
        match &self.lower {
            Bound::Unbounded => true,
            Bound::Included(key) => *self.key() >= **key,
            Bound::Excluded(key) => *self.key() > **key,
        }
    }

    fn malformed(&self) -> Error {
        match &self.loaded {
            Some(loaded) => loaded.malformed(self.number),
            None => Error::damaged(self.table.path(), 0, crate::error::Damage::Field("block")),
        }
    }

    /// A block: from the cache, from what was read already, or from the file.
    fn fetch(&mut self, number: usize) -> Result<Arc<Block>, Error> {
        let Some(loaded) = &self.loaded else { return Err(self.malformed()) };
        if let Some(block) = loaded.slots.load(number).and_then(|slot| slot.clone()) {
            loaded.tally.hit();
            return Ok(block);
        }
        if let Some(run) = self.run.as_ref().filter(|run| run.blocks.contains(&number)) {
            return Self::of_run(loaded, run, number, self.fill);
        }
        if self.reads < SINGLE_READS {
            self.reads += 1;
            return loaded.block(number);
        }
        let blocks = self.ahead(loaded, number)?;
        self.run_bytes = (self.run_bytes * 2).min(LONGEST_RUN);
        // The one before is let go first: of runs, one is in memory.
        self.run = None;
        let run = self.run.insert(loaded.read_run(blocks)?);
        Self::of_run(loaded, run, number, self.fill)
    }

    fn of_run(
        loaded: &Arc<Loaded>,
        run: &Run,
        number: usize,
        fill: Fill,
    ) -> Result<Arc<Block>, Error> {
        let block = loaded.block_of(run, number)?;
        if fill == Fill::Nothing || !loaded.slots.has_room(block.weight()) {
            return Ok(block);
        }
        let block = Arc::new(block.alone());
        loaded.slots.insert(number, &block);
        Ok(block)
    }

    /// The blocks to read at once when a block is needed: it, and those that the walk enters
    /// after it.
    fn ahead(&self, loaded: &Loaded, number: usize) -> Result<Range<usize>, Error> {
        let mut blocks = number..number + 1;
        let mut bytes = 0;
        loop {
            let next = match self.direction {
                Direction::Forward => blocks.end,
                Direction::Backward => blocks.start.wrapping_sub(1),
            };
            if !self.blocks.contains(&next) || loaded.slots.load(next).is_some() {
                return Ok(blocks);
            }
            let place = loaded.place(next)?;
            bytes += place.end - place.start;
            if bytes > self.run_bytes {
                return Ok(blocks);
            }
            blocks = blocks.start.min(next)..blocks.end.max(next + 1);
        }
    }
}

/// Reads the entries of a group, and puts their keys together.
fn read_group(
    block: &Block,
    group: usize,
    entries: &mut Vec<Found>,
    keys: &mut Vec<u8>,
) -> Result<(), Malformed> {
    entries.clear();
    keys.clear();
    let mut at = block.group(group)?;
    let mut previous = 0..0;
    loop {
        let (entry, next) = block.entry(at)?;
        if entry.shared > previous.len() {
            return Err(Malformed);
        }
        let start = keys.len();
        keys.extend_from_within(previous.start..previous.start + entry.shared);
        keys.extend_from_slice(&block.bytes()[entry.suffix]);
        previous = start..keys.len();
        let (value, kind, lsn) = (entry.value, entry.kind, entry.lsn);
        entries.push(Found { key: previous.clone(), value, kind, lsn });
        at = next;
        if block.group_ends(group, at)? {
            return Ok(());
        }
    }
}

/// How a key that stands in two pieces compares with another.
fn compare_joined((head, tail): (&[u8], &[u8]), key: &[u8]) -> std::cmp::Ordering {
    let (front, back) = key.split_at(head.len().min(key.len()));
    head.cmp(front).then_with(|| tail.cmp(back))
}
