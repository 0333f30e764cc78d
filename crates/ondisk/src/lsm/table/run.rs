//! A walk over a run of tables whose keys do not overlap, as if they were one.
//!
//! Invariant: the tables are in ascending order of their keys, and of them one is walked at a
//! time: the others are not touched.

use std::ops::{Bound, Range};
use std::sync::Arc;

use ondisk_log::Lsn;

use super::Table;
use super::walk::{Gap, TableWalk};
use crate::engine::Direction;
use crate::error::Error;
use crate::value::Value;

/// A walk over a run of tables: a level, or one table.
#[derive(Debug)]
pub(crate) struct RunWalk {
    tables: Arc<[Arc<Table>]>,
    /// Those that were not entered yet.
    left: Range<usize>,
    lower: Bound<Box<[u8]>>,
    upper: Bound<Box<[u8]>>,
    direction: Direction,
    fill: Fill,
    walk: Option<TableWalk>,
    gap: Option<Gap>,
}

/// Whether the tables' walks leave something in the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fill {
    Cache,
    Nothing,
}

impl RunWalk {
    /// A walk over tables in ascending order, which do not overlap.
    pub(crate) fn new(
        tables: Arc<[Arc<Table>]>,
        lower: Bound<&[u8]>,
        upper: Bound<&[u8]>,
        direction: Direction,
    ) -> Self {
        let start = tables.partition_point(|table| match lower {
            Bound::Unbounded => false,
            Bound::Included(key) => *table.meta().last < *key,
            Bound::Excluded(key) => *table.meta().last <= *key,
        });
        let end = tables.partition_point(|table| match upper {
            Bound::Unbounded => true,
            Bound::Included(key) => *table.meta().first <= *key,
            Bound::Excluded(key) => *table.meta().first < *key,
        });
        let (lower, upper) = (lower.map(Box::from), upper.map(Box::from));
        let (left, fill, walk, gap) = (start..end, Fill::Cache, None, None);
        Self { tables, left, lower, upper, direction, fill, walk, gap }
    }

    /// A walk over one table.
    pub(crate) fn one(
        table: &Arc<Table>,
        lower: Bound<&[u8]>,
        upper: Bound<&[u8]>,
        direction: Direction,
    ) -> Self {
        Self::new(Arc::new([Arc::clone(table)]), lower, upper, direction)
    }

    /// The same walk, which leaves nothing in the cache: a compaction's.
    pub(crate) fn passing(mut self) -> Self {
        self.fill = Fill::Nothing;
        self
    }

    /// Goes to the next entry; `false` at the end, and from then on. After an error the next call
    /// goes on behind the damaged block, or in the next table.
    pub(crate) fn advance(&mut self) -> Result<bool, Error> {
        loop {
            if let Some(walk) = &mut self.walk {
                match walk.advance() {
                    Ok(false) => self.walk = None,
                    Ok(true) => return Ok(true),
                    Err(error) => {
                        self.gap = Some(walk.gap());
                        // A table that cannot be used at all would answer the same for ever.
                        if !walk.is_started() {
                            self.walk = None;
                        }
                        return Err(error);
                    }
                }
            }
            let next = match self.direction {
                Direction::Forward => self.left.next(),
                Direction::Backward => self.left.next_back(),
            };
            let Some(table) = next.and_then(|next| self.tables.get(next)) else {
                return Ok(false);
            };
            let bounds =
                (self.lower.as_ref().map(|key| &**key), self.upper.as_ref().map(|key| &**key));
            let walk = table.walk(bounds.0, bounds.1, self.direction);
            self.walk = Some(if self.fill == Fill::Nothing { walk.passing() } else { walk });
        }
    }

    /// What an advance that answered with an error could not read.
    pub(crate) fn take_gap(&mut self) -> Option<Gap> {
        self.gap.take()
    }

    /// The key of the entry; only after an advance that answered `true`, as all below.
    #[inline]
    pub(crate) fn key(&self) -> &[u8] {
        self.walk.as_ref().map_or(&[], TableWalk::key)
    }

    #[inline]
    pub(crate) fn lsn(&self) -> Lsn {
        self.walk.as_ref().map_or(Lsn(0), TableWalk::lsn)
    }

    #[inline]
    pub(crate) fn is_tombstone(&self) -> bool {
        self.walk.as_ref().is_some_and(TableWalk::is_tombstone)
    }

    /// The value; empty for a tombstone.
    #[inline]
    pub(crate) fn value(&self) -> &[u8] {
        self.walk.as_ref().map_or(&[], TableWalk::value)
    }

    /// The value as one that may be kept.
    pub(crate) fn keep(&self) -> Value {
        self.walk.as_ref().map_or_else(Value::default, TableWalk::keep)
    }
}
