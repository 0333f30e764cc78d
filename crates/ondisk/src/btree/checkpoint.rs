//! The checkpoint of a tree: what takes a frozen young map over, step by step.
//!
//! ```text
//! merge (pieces) ─► free list ─► sync ─► log durable through it? ─► meta page, sync ─► view
//! ```
//!
//! Invariant: until the meta page is installed nothing that counts has changed. A job that is
//! dropped leaves pages that nothing refers to, in places that are free.

use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use bytes::Bytes;

use crate::btree::Btree;
use crate::btree::draft::{Draft, Purpose, Ready};
use crate::btree::sabotage::BtreeRule;
use crate::btree::turn::Turn;
use crate::engine::{Job, Progress, Work};
use crate::error::Error;
use crate::keyspace::Frozen;
use crate::young::Found;

/// What a key costs a step beside its bytes, so that keys without values end a step too.
const KEY_COST: usize = 64;

/// A checkpoint under way.
#[derive(Debug)]
pub(crate) struct Checkpoint {
    engine: Arc<Btree>,
    frozen: Frozen,
    stage: Stage,
    /// From the first step to the last.
    turn: Option<Turn>,
}

#[derive(Debug)]
enum Stage {
    Begin,
    /// The changes go into new pages.
    Merge(Box<Merge>),
    /// The pages are written; they become durable.
    Sync(Box<Ready>),
    /// All is durable but the meta page.
    Install(Box<Ready>),
    Finished,
}

#[derive(Debug)]
struct Merge {
    draft: Draft,
    /// The last key that was taken over.
    done: Option<Bytes>,
}

impl Checkpoint {
    pub(crate) fn new(engine: Arc<Btree>, frozen: Frozen) -> Self {
        Self { engine, frozen, stage: Stage::Begin, turn: None }
    }

    fn begin(&mut self, work: &Work<'_>) -> Result<Stage, Error> {
        self.turn = Some(self.engine.turns.checkpoint());
        let start = self.engine.start(work.pins)?;
        let draft = Draft::new(&self.engine, start, self.frozen.through);
        Ok(Stage::Merge(Box::new(Merge { draft, done: None })))
    }

    /// Takes a piece of the changes over; with the last one, ends the tree.
    fn merge(&self, mut merge: Box<Merge>, work: &Work<'_>) -> Result<Stage, Error> {
        let done = merge.done.clone();
        let above = done.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let mut bytes = 0;
        for newest in self.frozen.young.range(above, Bound::Unbounded, self.frozen.through) {
            if bytes >= work.bytes {
                return Ok(Stage::Merge(merge));
            }
            let value = match &newest.found {
                Found::Value(value) => value.len(),
                Found::Deleted => 0,
            };
            merge.draft.rewrite.apply(&newest)?;
            bytes += newest.key.len() + value + KEY_COST;
            let taken = newest.key.len() + value;
            self.engine.taken_over.fetch_add(taken as u64, Relaxed);
            merge.done = Some(newest.key);
        }
        let ready = merge.draft.finish(&self.engine, Purpose::Checkpoint)?;
        Ok(Stage::Sync(Box::new(ready)))
    }

    fn install(&self, mut ready: Box<Ready>, work: &Work<'_>) -> Result<Stage, Error> {
        let through = ready.meta.through;
        if !self.engine.breaks(BtreeRule::AheadOfLog) {
            if (work.durable)() < through {
                return Ok(Stage::Install(ready)); // whoever calls the steps syncs the log
            }
            assert!((work.durable)() >= through, "a meta page is never ahead of the log");
        }
        self.engine.install(&mut ready, work.pins)?;
        // The tree is in place: a file that stays longer than it needs to be costs space alone.
        let cut = ready.pages.shrink(self.engine.tree.shape.offset(ready.meta.page_count));
        drop(cut);
        ready.pages.close();
        Ok(Stage::Finished)
    }
}

impl Job for Checkpoint {
    fn step(&mut self, work: &Work<'_>) -> Result<Progress, Error> {
        self.stage = match std::mem::replace(&mut self.stage, Stage::Finished) {
            Stage::Begin => self.begin(work)?,
            Stage::Merge(merge) => self.merge(merge, work)?,
            Stage::Sync(mut ready) => {
                ready.sync(&self.engine)?;
                Stage::Install(ready)
            }
            Stage::Install(ready) => self.install(ready, work)?,
            Stage::Finished => Stage::Finished,
        };
        if let Stage::Finished = self.stage {
            self.turn = None;
            return Ok(Progress::Finished);
        }
        Ok(Progress::Working)
    }
}
