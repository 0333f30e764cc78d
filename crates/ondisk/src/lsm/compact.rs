//! Compaction: what keeps the levels in shape, step by step.
//!
//! ```text
//! pick ─► merge into new tables, synced ─► their names ─► manifest ─► version ─► inputs removed
//! ```
//!
//! Invariant: what the new tables hold is what their inputs held, but for what is newer in another
//! input, and for tombstones below which no table can hold the key. Whatever step fails or is cut,
//! the version is as it was, and the plan is made again.

use std::ops::Bound;
use std::sync::Arc;

use crate::engine::{Direction, Job, Progress, Reclaim, Work};
use crate::error::Error;
use crate::lsm::merge::{MergeWalk, Tombstones, Winner};
use crate::lsm::output::Output;
use crate::lsm::sabotage::LsmRule;
use crate::lsm::table::Table;
use crate::lsm::table::run::RunWalk;
use crate::lsm::version::{Edit, Level};
use crate::lsm::{ENTRY_COST, Lsm};

pub(crate) mod plan;
pub(crate) mod shape;

use plan::{How, Picker, Plan};

/// The next piece of work that no running job has.
pub(crate) fn next(lsm: &Arc<Lsm>, want: Reclaim) -> Option<Box<dyn Job>> {
    let mut state = lsm.state();
    let version = lsm.version();
    let broken = lsm.broken();
    let picker = Picker { version: &version, claims: &state.claims, shape: &lsm.shape, broken };
    if let Some(plan) = picker.pick(want) {
        let claim = state.claims.add(&plan);
        drop(state);
        return Some(Box::new(Compaction::new(Arc::clone(lsm), plan, claim)));
    }
    let due = state.graveyard.is_due(version.point.edit);
    due.then(|| Box::new(Clear(Arc::clone(lsm))) as Box<dyn Job>)
}

/// Removes what was kept for somebody who is gone.
#[derive(Debug)]
struct Clear(Arc<Lsm>);

impl Job for Clear {
    fn step(&mut self, work: &Work<'_>) -> Result<Progress, Error> {
        self.0.clear(work.pins);
        Ok(Progress::Finished)
    }
}

/// One plan, under way.
#[derive(Debug)]
struct Compaction {
    lsm: Arc<Lsm>,
    plan: Plan,
    claim: u64,
    output: Output,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    Begin,
    Merge(Box<Merge>),
    /// The tables are durable; the manifest comes to name them in place of the inputs.
    Install(Vec<(usize, Arc<Table>)>),
}

/// The inputs on their way into one.
#[derive(Debug)]
struct Merge {
    walk: MergeWalk,
    /// The levels below the one that is written.
    below: Vec<Beside>,
}

impl Compaction {
    fn new(lsm: Arc<Lsm>, plan: Plan, claim: u64) -> Self {
        let output = Output::new(Arc::clone(&lsm), plan.to);
        Self { lsm, plan, claim, output, stage: Stage::Begin }
    }

    fn advance(&mut self, work: &Work<'_>) -> Result<Option<Stage>, Error> {
        match std::mem::replace(&mut self.stage, Stage::Begin) {
            Stage::Begin if self.plan.how == How::Move => {
                let tables = self.plan.upper.iter().map(|it| (self.plan.to, Arc::clone(it)));
                Ok(Some(Stage::Install(tables.collect())))
            }
            Stage::Begin => Ok(Some(Stage::Merge(Box::new(self.begin())))),
            Stage::Merge(mut merge) => {
                if self.merge(&mut merge, work.bytes)? {
                    return Ok(Some(Stage::Merge(merge)));
                }
                self.output.finish().map(|tables| Some(Stage::Install(tables)))
            }
            Stage::Install(add) => {
                let remove = self.plan.inputs().map(|it| it.meta().number).collect();
                let edit = Edit { through: None, remove, add };
                let written = self.output.bytes();
                let output = (self.plan.how == How::Merge).then_some(&mut self.output);
                self.lsm.install(&edit, output, Some(self.claim), work)?;
                self.lsm.counters.reclaim_written(written);
                // The inputs are nobody's now but those readers' who have them.
                self.plan.upper.clear();
                self.plan.lower.clear();
                self.lsm.clear(work.pins);
                Ok(None)
            }
        }
    }

    fn begin(&self) -> Merge {
        let version = self.lsm.version();
        let Plan { from, to, upper, lower, .. } = &self.plan;
        let upper: Vec<Vec<_>> = match from {
            0 => upper.iter().map(|it| vec![Arc::clone(it)]).collect(),
            _ => vec![upper.clone()],
        };
        let runs = upper.into_iter().chain([lower.clone()]);
        let walks = runs.map(|run| {
            let (lower, upper) = (Bound::Unbounded, Bound::Unbounded);
            RunWalk::new(run.into(), lower, upper, Direction::Forward).passing()
        });
        let walk = MergeWalk::new(walks.collect(), Direction::Forward, Tombstones::Shown);
        let below = version.levels.iter().skip(to + 1);
        Merge {
            walk: walk.won_by(Winner::of(&self.lsm.site)),
            below: below.map(|it| Beside::new(Arc::clone(it))).collect(),
        }
    }

    /// Takes some entries over; whether there are more.
    fn merge(&mut self, merge: &mut Merge, most: usize) -> Result<bool, Error> {
        let mut taken = 0;
        while taken < most {
            if !merge.walk.advance()? {
                return Ok(false);
            }
            let Merge { walk, below } = merge;
            let (key, tombstone) = (walk.key(), walk.is_tombstone());
            taken += key.len() + ENTRY_COST;
            if tombstone && self.droppable(below, key) {
                continue;
            }
            // Of the first level it stays one table, since two could be due again, and for ever.
            let full = self.plan.to > 0 && self.output.table_bytes() >= self.lsm.shape.table;
            if full || (self.is_wide(below, key) && self.output.table_bytes() > 0) {
                self.output.cut()?;
                below.first_mut().into_iter().for_each(Beside::begin);
            }
            let value = (!tombstone).then(|| walk.value());
            taken += value.map_or(0, <[u8]>::len);
            self.output.push(key, walk.lsn(), value)?;
        }
        Ok(true)
    }

    /// Whether the table that is being written overlaps with much of the next level. One of the
    /// first level does, and is kept whole: they are counted.
    fn is_wide(&self, below: &mut [Beside], key: &[u8]) -> bool {
        if self.plan.to == 0 {
            return false;
        }
        below.first_mut().is_some_and(|next| next.passed(key) > self.lsm.shape.widest())
    }

    fn droppable(&self, below: &mut [Beside], key: &[u8]) -> bool {
        let held = below.iter_mut().any(|level| level.may_hold(key));
        !held || self.lsm.breaks(LsmRule::TombstoneDropped)
    }
}

impl Job for Compaction {
    fn step(&mut self, work: &Work<'_>) -> Result<Progress, Error> {
        match self.advance(work) {
            Ok(Some(stage)) => {
                self.stage = stage;
                Ok(Progress::Working)
            }
            Ok(None) => Ok(Progress::Finished),
            Err(error) => {
                self.output.discard();
                Err(error)
            }
        }
    }

    fn written(&self) -> u64 {
        self.output.bytes()
    }
}

impl Drop for Compaction {
    fn drop(&mut self) {
        self.lsm.state().claims.release(self.claim);
    }
}

/// A level that is gone along by ascending keys.
#[derive(Debug)]
struct Beside {
    level: Arc<Level>,
    /// The first table whose last key is at or above the last key that was asked for.
    at: usize,
    /// The bytes of the tables passed since a table was begun.
    passed: u64,
}

impl Beside {
    fn new(level: Arc<Level>) -> Self {
        Self { level, at: 0, passed: 0 }
    }

    fn go_to(&mut self, key: &[u8]) -> Option<&Arc<Table>> {
        while let Some(table) = self.level.tables().get(self.at) {
            if *table.meta().last >= *key {
                break;
            }
            self.passed += table.meta().len;
            self.at += 1;
        }
        self.level.tables().get(self.at)
    }

    /// Whether the level may hold a key, as far as its tables' keys tell.
    fn may_hold(&mut self, key: &[u8]) -> bool {
        self.go_to(key).is_some_and(|it| *it.meta().first <= *key)
    }

    /// The bytes of its tables between the key at which a table was begun and this one.
    fn passed(&mut self, key: &[u8]) -> u64 {
        self.go_to(key);
        self.passed
    }

    /// A table begins.
    fn begin(&mut self) {
        self.passed = 0;
    }
}
