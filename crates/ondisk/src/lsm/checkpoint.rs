//! The checkpoint: a frozen young map becomes tables of the first level.
//!
//! ```text
//! directory, first manifest ─► tables, synced ─► their names ─► manifest ─► version
//! ```
//!
//! Invariant: until the manifest is in place readers see the version before, which with the frozen
//! map is the same. A tombstone is left out only when no table can hold its key.

use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;

use crate::engine::{Job, Progress, Work};
use crate::error::Error;
use crate::keyspace::Frozen;
use crate::lsm::output::Output;
use crate::lsm::sabotage::LsmRule;
use crate::lsm::table::Table;
use crate::lsm::version::Edit;
use crate::lsm::{ENTRY_COST, Lsm};
use crate::young::Found;

/// A checkpoint under way.
#[derive(Debug)]
pub(crate) struct Checkpoint {
    lsm: Arc<Lsm>,
    frozen: Frozen,
    output: Output,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    Begin,
    /// The newest versions go to tables; the last key that was looked at.
    Write(Option<Bytes>),
    /// The tables are durable; the manifest comes to name them.
    Install(Vec<(usize, Arc<Table>)>),
}

impl Checkpoint {
    pub(crate) fn new(lsm: Arc<Lsm>, frozen: Frozen) -> Self {
        let output = Output::new(Arc::clone(&lsm), 0);
        Self { lsm, frozen, output, stage: Stage::Begin }
    }

    fn advance(&mut self, work: &Work<'_>) -> Result<Option<Stage>, Error> {
        let through = self.frozen.through;
        match std::mem::replace(&mut self.stage, Stage::Begin) {
            Stage::Begin if through <= self.lsm.version().point.through => Ok(None),
            Stage::Begin => self.lsm.found().map(|()| Some(Stage::Write(None))),
            Stage::Write(done) => self.write(done, work.bytes).map(Some),
            Stage::Install(add) => {
                let edit = Edit { through: Some(through), remove: Vec::new(), add };
                let written = self.output.bytes();
                self.lsm.install(&edit, Some(&mut self.output), None, work)?;
                self.lsm.counters.checkpoint_written(written);
                self.lsm.clear(work.pins);
                Ok(None)
            }
        }
    }

    fn write(&mut self, mut done: Option<Bytes>, most: usize) -> Result<Stage, Error> {
        let version = self.lsm.version();
        let above = done.clone();
        let above = above.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let mut taken = 0;
        for newest in self.frozen.young.range(above, Bound::Unbounded, self.frozen.through) {
            if taken >= most {
                self.lsm.counters.taken_over(taken);
                return Ok(Stage::Write(done));
            }
            let key = &newest.key[..];
            taken += key.len() + ENTRY_COST;
            let value = match &newest.found {
                Found::Value(value) => Some(&value[..]),
                Found::Deleted => None,
            };
            taken += value.map_or(0, <[u8]>::len);
            // A table that cannot tell may hold it.
            let needed = || version.may_hold(key).unwrap_or(true);
            let dropped =
                value.is_none() && (self.lsm.breaks(LsmRule::YoungTombstoneDropped) || !needed());
            if !dropped {
                self.output.push(key, newest.lsn, value)?;
                if self.output.table_bytes() >= self.lsm.shape.young_table {
                    self.output.cut()?;
                }
            }
            done = Some(newest.key);
        }
        self.lsm.counters.taken_over(taken);
        Ok(Stage::Install(self.output.finish()?))
    }
}

impl Job for Checkpoint {
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
}
