//! The shape that compaction keeps the levels in: when a level is too full, and how far behind
//! compaction is.
//!
//! Invariant: each sorted level takes ten times as much as the one above it, so that what is
//! written is moved down a few times, and most of what there is stands in one level.
//!
//! Knows nothing of files.

use crate::lsm::manifest::LEVELS;
use crate::lsm::version::{Level, Version};

/// When the levels are in shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    /// So many tables of the first level are merged into the second.
    pub(crate) first_level: usize,
    /// Where the second level has so many times the bytes that the first would bring, the first is
    /// merged by itself: else a few entries would write much anew.
    pub(crate) lightest: u64,
    /// At so many writers wait: each is one more to be asked by a read.
    pub(crate) first_level_full: usize,
    /// What the second level takes, in bytes.
    pub(crate) base: u64,
    /// How much more each level takes than the one above it.
    pub(crate) growth: u64,
    /// About the length of a table that compaction writes.
    pub(crate) table: u64,
    /// The longest table that a checkpoint writes.
    pub(crate) young_table: u64,
}

impl Default for Shape {
    fn default() -> Self {
        Self {
            first_level: 4,
            lightest: 4,
            first_level_full: 20,
            base: 128 << 20,
            growth: 10,
            table: 32 << 20,
            young_table: 64 << 20,
        }
    }
}

/// A level at this score is full, and due.
pub(crate) const FULL: u64 = 1000;
/// A table that overlaps with more tables than this of the level below the next is not made: to
/// merge it down would be one long job.
const WIDEST: u64 = 10;

impl Shape {
    /// The bytes that a sorted level takes.
    pub(crate) fn takes(&self, level: usize) -> u64 {
        let times = u32::try_from(level.saturating_sub(1)).unwrap_or(u32::MAX);
        self.base.saturating_mul(self.growth.saturating_pow(times))
    }

    /// How full a sorted level is with so many bytes, in thousandths.
    pub(crate) fn fullness(&self, level: usize, bytes: u64) -> u64 {
        bytes.saturating_mul(FULL) / self.takes(level).max(1)
    }

    /// How full the first level is with so many tables, in thousandths.
    pub(crate) fn first_level_fullness(&self, tables: usize) -> u64 {
        (tables as u64).saturating_mul(FULL) / (self.first_level.max(1) as u64)
    }

    /// The bytes of a level below the next that a table may overlap with.
    pub(crate) fn widest(&self) -> u64 {
        self.table.saturating_mul(WIDEST)
    }

    /// A table shorter than this is merged with its neighbours where that costs little.
    pub(crate) fn small(&self) -> u64 {
        self.table / 4
    }

    /// The level that all tables would fit into.
    pub(crate) fn level_for(&self, bytes: u64) -> usize {
        (1..LEVELS - 1).find(|&level| self.takes(level) >= bytes).unwrap_or(LEVELS - 1)
    }

    /// How far compaction is behind: 0 is not at all, at 1000 writers wait for it.
    pub(crate) fn pressure(&self, version: &Version) -> u32 {
        let tables = version.levels[0].tables().len();
        let first = ratio(tables as u64, self.first_level as u64, self.first_level_full as u64);
        let above = |(level, it): (usize, &std::sync::Arc<Level>)| {
            it.bytes().saturating_sub(self.takes(level))
        };
        let pending = version.levels.iter().enumerate().skip(1).map(above).sum();
        let most = self.base.saturating_mul(64);
        first.max(ratio(pending, most / 8, most))
    }
}

/// How far a number is on the way from one to another, in thousandths.
fn ratio(number: u64, from: u64, to: u64) -> u32 {
    let (done, way) = (number.saturating_sub(from), to.saturating_sub(from).max(1));
    u32::try_from(done.saturating_mul(1000) / way).unwrap_or(u32::MAX).min(1000)
}
