//! What is compacted next: which tables of a level are merged with which of the next.
//!
//! Invariant: a plan takes, with a table of the first level, every older one that overlaps with
//! it, and every table of the next level that overlaps with any of them. So what it writes is
//! newer than all that stays below, and older than all that stays above. (Where all tables of the
//! first level are merged into one, that one is older than what comes meanwhile.) Two plans that are
//! carried out at once share no table, and write no two tables that overlap into one level.
//!
//! Looks at the tables' first and last keys alone, and reads none.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::shape::{FULL, Shape};
use crate::engine::Reclaim;
use crate::lsm::manifest::LEVELS;
use crate::lsm::sabotage::LsmRule;
use crate::lsm::table::Table;
use crate::lsm::version::Version;

/// A piece of compaction.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) from: usize,
    pub(crate) to: usize,
    /// Tables of the level `from`, as they stand there.
    pub(crate) upper: Vec<Arc<Table>>,
    /// Tables of the level `to`, by ascending key.
    pub(crate) lower: Vec<Arc<Table>>,
    pub(crate) how: How,
}

/// How a plan is carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    /// The tables are merged into new ones.
    Merge,
    /// The one table is named in the other level, as it is.
    Move,
}

/// What running jobs work on.
#[derive(Debug, Default)]
pub(crate) struct Claims {
    claims: BTreeMap<u64, Claim>,
    next: u64,
}

/// What one running job works on.
#[derive(Debug)]
struct Claim {
    from: usize,
    to: usize,
    tables: BTreeSet<u64>,
    first: Box<[u8]>,
    last: Box<[u8]>,
}

impl Plan {
    /// All tables that it takes.
    pub(crate) fn inputs(&self) -> impl Iterator<Item = &Arc<Table>> {
        self.upper.iter().chain(&self.lower)
    }

    /// The first key of all its tables, and the last.
    fn span(&self) -> (&[u8], &[u8]) {
        let first = self.inputs().map(|it| &*it.meta().first).min().unwrap_or_default();
        let last = self.inputs().map(|it| &*it.meta().last).max().unwrap_or_default();
        (first, last)
    }
}

impl Claims {
    /// Notes that a plan is carried out. Answers the number to release it by.
    pub(crate) fn add(&mut self, plan: &Plan) -> u64 {
        let tables = plan.inputs().map(|it| it.meta().number).collect();
        let (first, last) = plan.span();
        let (from, to) = (plan.from, plan.to);
        let claim = Claim { from, to, tables, first: first.into(), last: last.into() };
        self.next += 1;
        self.claims.insert(self.next, claim);
        self.next
    }

    /// Notes that it is no longer.
    pub(crate) fn release(&mut self, number: u64) {
        self.claims.remove(&number);
    }

    fn has(&self, table: &Table) -> bool {
        self.claims.values().any(|claim| claim.tables.contains(&table.meta().number))
    }

    fn has_from(&self, level: usize) -> bool {
        self.claims.values().any(|claim| claim.from == level)
    }

    /// Whether a plan has to wait for one that is carried out.
    fn forbid(&self, plan: &Plan) -> bool {
        let (first, last) = plan.span();
        plan.inputs().any(|it| self.has(it))
            || self.claims.values().any(|claim| {
                let level = |it| it == claim.from || it == claim.to;
                let overlap = *claim.first <= *last && *first <= *claim.last;
                overlap && (level(plan.from) || level(plan.to))
            })
    }
}

/// Looks for a plan.
pub(crate) struct Picker<'a> {
    pub(crate) version: &'a Version,
    pub(crate) claims: &'a Claims,
    pub(crate) shape: &'a Shape,
    pub(crate) broken: Option<LsmRule>,
}

impl Picker<'_> {
    /// The next plan that can be carried out beside those that are.
    pub(crate) fn pick(&self, want: Reclaim) -> Option<Plan> {
        let due = self.due().or_else(|| self.tombstones(|dead, all| dead > all / 2));
        match want {
            Reclaim::Due => due,
            Reclaim::All => due.or_else(|| self.all()),
        }
    }

    /// From the level that is fullest.
    fn due(&self) -> Option<Plan> {
        let mut levels: Vec<_> =
            (0..LEVELS - 1).map(|level| (self.fullness(level), level)).collect();
        levels.sort_by_key(|&(fullness, level)| (std::cmp::Reverse(fullness), level));
        let full = levels.into_iter().take_while(|(fullness, _)| *fullness >= FULL);
        let mut first_waits = false;
        for (_, level) in full {
            // The first level waits for jobs of the second: it would for ever if more were begun.
            if level == 1 && first_waits {
                continue;
            }
            let plan = match level {
                0 => self.first_level().map(|plan| self.by_itself(&plan).unwrap_or(plan)),
                _ => self.level(level),
            };
            if plan.is_some() {
                return plan;
            }
            first_waits |= level == 0;
        }
        None
    }

    /// Until all stands in one level.
    fn all(&self) -> Option<Plan> {
        let bytes = self.version.levels.iter().map(|level| level.bytes()).sum();
        let lowest = (0..LEVELS).rev().find(|&it| !self.version.levels[it].tables().is_empty())?;
        let goal = self.shape.level_for(bytes).max(lowest);
        let above = (1..goal).find_map(|level| self.level(level));
        self.first_level().or(above).or_else(|| self.tombstones(|dead, _| dead > 0))
    }

    /// How full a level is without what is moved down now, in thousandths.
    fn fullness(&self, level: usize) -> u64 {
        let tables = self.version.levels[level].tables();
        let stays = |it: &&Arc<Table>| {
            let number = it.meta().number;
            let goes = |claim: &Claim| claim.from == level && claim.tables.contains(&number);
            !self.claims.claims.values().any(goes)
        };
        match level {
            0 => self.shape.first_level_fullness(tables.iter().filter(stays).count()),
            _ => {
                let bytes = tables.iter().filter(stays).map(|it| it.meta().len).sum();
                self.shape.fullness(level, bytes)
            }
        }
    }

    /// A plan for the oldest tables of the first level.
    fn first_level(&self) -> Option<Plan> {
        let young = self.version.levels[0].tables();
        if young.is_empty() || self.claims.has_from(0) {
            return None;
        }
        if self.broken == Some(LsmRule::YoungestCompacted) {
            return self.merge_first(young[..1].to_vec());
        }
        if self.broken == Some(LsmRule::MovedIntoOverlap)
            && let Some(plan) = self.move_alone(0, &young[0])
        {
            return Some(plan);
        }
        let mut chosen = BTreeSet::from([young.len() - 1]);
        loop {
            self.close(&mut chosen);
            let bytes: u64 = chosen.iter().map(|&it| young[it].meta().len).sum();
            if let Some(&only) = chosen.first()
                && chosen.len() == 1
                && bytes >= self.shape.small()
                && let Some(plan) = self.move_alone(0, &young[only])
            {
                return Some(plan);
            }
            // The oldest that is not chosen yet: small ones go together.
            match (0..young.len()).rev().find(|it| !chosen.contains(it)) {
                Some(next) if bytes < self.shape.table => chosen.insert(next),
                _ => break,
            };
        }
        self.merge_first(chosen.into_iter().map(|it| Arc::clone(&young[it])).collect())
    }

    /// Adds every table of the first level that overlaps with a chosen one, until none does.
    fn close(&self, chosen: &mut BTreeSet<usize>) {
        let young = self.version.levels[0].tables();
        loop {
            let overlaps =
                |it: &usize| chosen.iter().any(|&other| overlap(&young[*it], &young[other]));
            let more: Vec<_> =
                (0..young.len()).filter(|it| !chosen.contains(it)).filter(overlaps).collect();
            if more.is_empty() {
                return;
            }
            chosen.extend(more);
        }
    }

    /// Merges tables of the first level into the second, with small neighbours there.
    fn merge_first(&self, upper: Vec<Arc<Table>>) -> Option<Plan> {
        let mut plan = Plan { from: 0, to: 1, upper, lower: Vec::new(), how: How::Merge };
        let level = &self.version.levels[1];
        let (first, last) = plan.span();
        let mut range =
            level.between(std::ops::Bound::Included(first), std::ops::Bound::Included(last));
        if self.broken == Some(LsmRule::OverlapLeftOut) {
            range.end = range.end.saturating_sub(1).max(range.start);
        } else {
            let small =
                |it: &Arc<Table>| it.meta().len < self.shape.small() && !self.claims.has(it);
            if range.start > 0 && small(&level.tables()[range.start - 1]) {
                range.start -= 1;
            }
            if level.tables().get(range.end).is_some_and(small) {
                range.end += 1;
            }
        }
        plan.lower = level.tables()[range].to_vec();
        if let ([only], []) = (&plan.upper[..], &plan.lower[..])
            && let Some(plan) = self.move_alone(0, only)
        {
            return Some(plan);
        }
        (!self.claims.forbid(&plan)).then_some(plan)
    }

    /// All tables of the first level into one that stays there, where another plan would drag too
    /// much along. What comes meanwhile is younger, and all that is older stands below.
    fn by_itself(&self, instead: &Plan) -> Option<Plan> {
        let young = self.version.levels[0].tables();
        let bytes: u64 = young.iter().map(|it| it.meta().len).sum();
        let below: u64 = instead.lower.iter().map(|it| it.meta().len).sum();
        if bytes >= self.shape.table || below <= bytes.saturating_mul(self.shape.lightest) {
            return None;
        }
        let (upper, lower) = (young.to_vec(), Vec::new());
        let plan = Plan { from: 0, to: 0, upper, lower, how: How::Merge };
        (young.len() > 1 && !self.claims.forbid(&plan)).then_some(plan)
    }

    /// The table of a sorted level that drags the least along.
    fn level(&self, level: usize) -> Option<Plan> {
        let tables = self.version.levels[level].tables();
        let plans = tables.iter().filter_map(|table| {
            let plan = self.down(level, table)?;
            let below: u64 = plan.lower.iter().map(|it| it.meta().len).sum();
            Some((below.saturating_mul(FULL) / table.meta().len.max(1), plan))
        });
        plans.min_by_key(|(cost, _)| *cost).map(|(_, plan)| plan)
    }

    /// One table of a sorted level to the next.
    fn down(&self, level: usize, table: &Arc<Table>) -> Option<Plan> {
        if let Some(plan) = self.move_alone(level, table) {
            return Some(plan);
        }
        let meta = table.meta();
        let next = self.version.levels.get(level + 1)?;
        let lower = next.overlapping(&meta.first, &meta.last).to_vec();
        let upper = vec![Arc::clone(table)];
        let plan = Plan { from: level, to: level + 1, upper, lower, how: How::Merge };
        (!self.claims.forbid(&plan)).then_some(plan)
    }

    /// One table to the next level as it is, where that has none of its keys.
    fn move_alone(&self, level: usize, table: &Arc<Table>) -> Option<Plan> {
        let meta = table.meta();
        let bytes = |level: usize| -> u64 {
            let level = self.version.levels.get(level);
            let tables = level.map_or(&[][..], |it| it.overlapping(&meta.first, &meta.last));
            tables.iter().map(|it| it.meta().len).sum()
        };
        if bytes(level + 1) > 0 || bytes(level + 2) > self.shape.widest() {
            return None;
        }
        let upper = vec![Arc::clone(table)];
        let plan = Plan { from: level, to: level + 1, upper, lower: Vec::new(), how: How::Move };
        (!self.claims.forbid(&plan)).then_some(plan)
    }

    /// A table with so many tombstones that it is worth to be rid of them: merged into the next
    /// level, or, where nothing stands below, written anew without them.
    fn tombstones(&self, many: impl Fn(u64, u64) -> bool) -> Option<Plan> {
        let levels = self.version.levels.iter().enumerate().skip(1);
        let tables = levels.flat_map(|(level, it)| it.tables().iter().map(move |it| (level, it)));
        let heavy = tables.filter(|(_, it)| many(it.meta().tombstones, it.meta().entries));
        heavy.into_iter().find_map(|(level, table)| {
            let meta = table.meta();
            let below = &self.version.levels[level + 1..];
            if below.iter().any(|it| !it.overlapping(&meta.first, &meta.last).is_empty()) {
                return self.down(level, table);
            }
            let upper = vec![Arc::clone(table)];
            let plan = Plan { from: level, to: level, upper, lower: Vec::new(), how: How::Merge };
            (!self.claims.forbid(&plan)).then_some(plan)
        })
    }
}

/// Whether two tables' keys lie among each other.
fn overlap(one: &Table, other: &Table) -> bool {
    let (one, other) = (one.meta(), other.meta());
    one.first <= other.last && other.first <= one.last
}

#[cfg(test)]
mod tests;
