//! A version: one immutable state of a keyspace of sorted tables, and how it is read.
//!
//! ```text
//! level 0   ▄▄▄▄▄▄▄▄  ▄▄▄▄▄▄▄▄▄▄▄   one for each checkpoint: they overlap, and the younger counts
//! level 1   ▄▄▄▄ ▄▄▄▄▄ ▄▄▄ ▄▄▄▄     disjoint, by ascending key
//! level 2   ▄▄ ▄▄▄▄▄▄▄ ▄▄▄▄ ▄▄▄▄▄▄  disjoint, and older than what stands above
//! ```
//!
//! Invariant: where two levels hold a key, the upper one holds the newer version of it; so does
//! the younger of two tables of the first level. Whoever holds a version holds its tables, and no
//! table that somebody holds is removed.
//!
//! Knows nothing of manifests and of compaction.

use std::ops::{Bound, Range};
use std::sync::Arc;

use ondisk_log::Lsn;

use crate::engine::{CommitPoint, Direction, View, Walk};
use crate::error::Error;
use crate::lsm::filter::key_hash;
use crate::lsm::manifest::LEVELS;
use crate::lsm::merge::{MergeWalk, Tombstones};
use crate::lsm::table::Table;
use crate::lsm::table::run::RunWalk;
use crate::value::Value;
use crate::young::within;

/// The levels, the youngest first.
pub(crate) type Levels = [Arc<Level>; LEVELS];

/// One state of the keyspace.
#[derive(Clone, Debug)]
pub(crate) struct Version {
    pub(crate) point: CommitPoint,
    pub(crate) levels: Levels,
}

/// The tables of one level: of the first the youngest first, of the others by ascending key.
#[derive(Debug)]
pub(crate) struct Level {
    tables: Arc<[Arc<Table>]>,
    /// The beginning of each table's last key, so that a search touches few tables.
    heads: Vec<u64>,
    bytes: u64,
}

/// What turns a version into the next one.
#[derive(Debug, Default)]
pub(crate) struct Edit {
    /// It holds all through this LSN; `None` where that does not change.
    pub(crate) through: Option<Lsn>,
    /// The numbers of tables that go.
    pub(crate) remove: Vec<u64>,
    /// Tables that come, each with its level.
    pub(crate) add: Vec<(usize, Arc<Table>)>,
}

impl Version {
    pub(crate) fn new(point: CommitPoint, levels: [Vec<Arc<Table>>; LEVELS]) -> Self {
        Self { point, levels: levels.map(|tables| Arc::new(Level::new(tables))) }
    }

    /// The version that an edit makes of this one.
    pub(crate) fn edited(&self, edit: &Edit, number: u64) -> Self {
        let through = edit.through.unwrap_or(self.point.through);
        let mut next = Self { point: CommitPoint { through, edit: number }, ..self.clone() };
        for (index, level) in next.levels.iter_mut().enumerate() {
            let goes = |it: &Arc<Table>| edit.remove.contains(&it.meta().number);
            let mut comes = edit.add.iter().filter(|(level, _)| *level == index).peekable();
            if comes.peek().is_none() && !level.tables().iter().any(goes) {
                continue; // the level is shared with the version before
            }
            let stays = level.tables().iter().filter(|it| !goes(it));
            let mut tables: Vec<_> = comes.map(|(_, it)| it).chain(stays).map(Arc::clone).collect();
            if index == 0 {
                // By what they hold: a number may have been taken before that of an older table.
                tables.sort_by_key(|it| std::cmp::Reverse((it.meta().newest, it.meta().number)));
            } else {
                tables.sort_by(|a, b| a.meta().first.cmp(&b.meta().first));
            }
            *level = Arc::new(Level::new(tables));
        }
        next
    }

    /// All tables, from the first level to the last.
    pub(crate) fn tables(&self) -> impl Iterator<Item = &Arc<Table>> {
        self.levels.iter().flat_map(|level| level.tables())
    }

    /// Whether a table may hold a key: `false` is certain.
    pub(crate) fn may_hold(&self, key: &[u8]) -> Result<bool, Error> {
        let hash = key_hash(key);
        for table in self.levels[0].tables() {
            if table.may_hold(key, hash)? {
                return Ok(true);
            }
        }
        for level in &self.levels[1..] {
            if let Some(table) = level.find(key)
                && table.may_hold(key, hash)?
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The canary's: reads ask the first level's oldest table first.
    pub(crate) fn upside_down(&self) -> Self {
        let mut version = self.clone();
        let young = self.levels[0].tables.iter().rev();
        version.levels[0] = Arc::new(Level::new(young.map(Arc::clone).collect()));
        version
    }

    /// The walks over all tables that have keys between two bounds, young before old.
    fn walks(
        &self,
        lower: Bound<&[u8]>,
        upper: Bound<&[u8]>,
        direction: Direction,
    ) -> Vec<RunWalk> {
        let [first, sorted @ ..] = &self.levels;
        let young = first.tables().iter().filter(|it| meets(it, lower, upper));
        let mut walks: Vec<_> =
            young.map(|table| RunWalk::one(table, lower, upper, direction)).collect();
        let sorted = sorted.iter().filter(|level| !level.between(lower, upper).is_empty());
        walks.extend(sorted.map(|level| RunWalk::new(level.run(), lower, upper, direction)));
        walks
    }
}

impl View for Version {
    fn through(&self) -> Lsn {
        self.point.through
    }

    fn get(&self, key: &[u8]) -> Result<Option<Value>, Error> {
        let hash = key_hash(key);
        for table in self.levels[0].tables() {
            if table.meta().spans(key)
                && let Some(entry) = table.get(key, hash)?
            {
                return Ok(entry.value);
            }
        }
        for level in &self.levels[1..] {
            if let Some(table) = level.find(key)
                && let Some(entry) = table.get(key, hash)?
            {
                return Ok(entry.value);
            }
        }
        Ok(None)
    }

    fn walk(
        self: Arc<Self>,
        lower: Bound<&[u8]>,
        upper: Bound<&[u8]>,
        direction: Direction,
    ) -> Box<dyn Walk> {
        let walks = self.walks(lower, upper, direction);
        Box::new(MergeWalk::new(walks, direction, Tombstones::Hidden))
    }
}

impl Walk for MergeWalk {
    fn advance(&mut self) -> Result<bool, Error> {
        Self::advance(self)
    }

    fn key(&self) -> &[u8] {
        Self::key(self)
    }

    fn value(&mut self) -> Result<&[u8], Error> {
        Ok(Self::value(self))
    }

    fn keep(&mut self) -> Result<Value, Error> {
        Ok(Self::keep(self))
    }
}

impl Level {
    fn new(tables: Vec<Arc<Table>>) -> Self {
        let heads = tables.iter().map(|it| head(&it.meta().last)).collect();
        let bytes = tables.iter().map(|it| it.meta().len).sum();
        Self { tables: tables.into(), heads, bytes }
    }

    pub(crate) fn tables(&self) -> &[Arc<Table>] {
        &self.tables
    }

    /// Its tables, to be walked.
    fn run(&self) -> Arc<[Arc<Table>]> {
        Arc::clone(&self.tables)
    }

    /// The bytes of its tables.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The one table of a sorted level between whose first and last key a key lies.
    fn find(&self, key: &[u8]) -> Option<&Arc<Table>> {
        let table = self.tables.get(self.first_reaching(key))?;
        (*table.meta().first <= *key).then_some(table)
    }

    /// The index of the first table of a sorted level whose last key is at or above a key.
    pub(crate) fn first_reaching(&self, key: &[u8]) -> usize {
        let head = head(key);
        let from = self.heads.partition_point(|it| *it < head);
        let same = &self.tables[from..];
        // Few tables, if any, end with the same first bytes.
        from + same.iter().take_while(|it| *it.meta().last < *key).count()
    }

    /// The tables of a sorted level that have keys between two bounds.
    pub(crate) fn between(&self, lower: Bound<&[u8]>, upper: Bound<&[u8]>) -> Range<usize> {
        let from = match lower {
            Bound::Unbounded => 0,
            Bound::Included(key) => self.first_reaching(key),
            Bound::Excluded(key) => self.tables.partition_point(|it| *it.meta().last <= *key),
        };
        let to = self.tables.partition_point(|it| within(&it.meta().first, upper));
        from..to.max(from)
    }

    /// The tables of a sorted level that have keys from one to another.
    pub(crate) fn overlapping(&self, first: &[u8], last: &[u8]) -> &[Arc<Table>] {
        &self.tables[self.between(Bound::Included(first), Bound::Included(last))]
    }
}

/// Whether a table may have keys between two bounds.
fn meets(table: &Table, lower: Bound<&[u8]>, upper: Bound<&[u8]>) -> bool {
    let meta = table.meta();
    let above = match lower {
        Bound::Unbounded => true,
        Bound::Included(key) => *meta.last >= *key,
        Bound::Excluded(key) => *meta.last > *key,
    };
    above && within(&meta.first, upper)
}

/// The first eight bytes of a key as a number that orders as they do; a short key is filled up
/// with zeros, so equal heads say nothing and different ones decide.
fn head(key: &[u8]) -> u64 {
    let mut bytes = [0; 8];
    let len = key.len().min(8);
    bytes[..len].copy_from_slice(&key[..len]);
    u64::from_be_bytes(bytes)
}

#[cfg(test)]
mod tests;
