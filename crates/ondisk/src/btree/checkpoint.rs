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

use crate::btree::page::{BlobRef, HEADER};
use crate::btree::rewrite::{Broken, Rewrite};
use crate::btree::sabotage::BtreeRule;
use crate::btree::space::{FreeList, LIST_HEAD, LIST_RUN, Run, joined};
use crate::btree::{Btree, Held, Ready, Start};
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
    rewrite: Rewrite,
    held: Vec<Held>,
    doubtful: Vec<Run>,
    /// The last key that was taken over.
    done: Option<Bytes>,
}

impl Checkpoint {
    pub(crate) fn new(engine: Arc<Btree>, frozen: Frozen) -> Self {
        Self { engine, frozen, stage: Stage::Begin }
    }

    fn begin(&self, work: &Work<'_>) -> Result<Stage, Error> {
        let Start { mut meta, edit, space, held, doubtful, pages } =
            self.engine.start(work.pins)?;
        (meta.edit, meta.through) = (edit, self.frozen.through);
        let breaks = |rule| self.engine.breaks(rule);
        let broken = [
            (BtreeRule::ReusedBeforeDurable, Broken::ReusedBeforeDurable),
            (BtreeRule::BlobNotSynced, Broken::BlobNotSynced),
            (BtreeRule::SeparatorShort, Broken::SeparatorShort),
            (BtreeRule::DeleteForgotten, Broken::DeleteForgotten),
            (BtreeRule::MetaBeforePages, Broken::MetaBeforePages),
        ];
        let broken = broken.into_iter().find(|(rule, _)| breaks(*rule));
        let broken = broken.map_or(Broken::Nothing, |(_, broken)| broken);
        let tree = Arc::clone(&self.engine.tree);
        let rewrite = Rewrite::new(tree, meta, edit, space, pages, broken);
        Ok(Stage::Merge(Box::new(Merge { rewrite, held, doubtful, done: None })))
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
            merge.rewrite.apply(&newest)?;
            bytes += newest.key.len() + value + KEY_COST;
            let taken = newest.key.len() + value;
            self.engine.taken_over.fetch_add(taken as u64, Relaxed);
            merge.done = Some(newest.key);
        }
        merge.rewrite.finish()?;
        self.ready(*merge).map(|ready| Stage::Sync(Box::new(ready)))
    }

    /// Writes the free list, and with it the last page.
    fn ready(&self, merge: Merge) -> Result<Ready, Error> {
        let Merge { mut rewrite, held, doubtful, .. } = merge;
        let shape = self.engine.tree.shape;
        let old = rewrite.meta.free_list;
        if old.page.number.get() != 0 {
            rewrite.free(old.page.number.get(), shape.blob_span(old.len.get()));
        }
        // Taking pages for the list changes the list: room for a few runs more.
        let held_runs: usize = held.iter().map(|it| it.runs.len()).sum();
        let runs = rewrite.space.free_runs().len()
            + rewrite.space.freed().len()
            + doubtful.len()
            + held_runs
            + 8;
        let span = shape.span(HEADER + LIST_HEAD + runs * LIST_RUN);
        let number = rewrite.take(span)?;
        rewrite.space.stop();
        let list = self.list(&rewrite, &held, &doubtful);
        let mut content = list.encode();
        content.resize(span as usize * shape.size - HEADER, 0);
        let page = rewrite.write_list(&content, number)?;
        let mut meta = rewrite.meta;
        let len = u32::try_from(content.len()).unwrap_or(u32::MAX); // far below: of page numbers
        meta.free_list = BlobRef { page, len: len.into() };
        meta.free_pages = u32::try_from(list.pages()).unwrap_or(u32::MAX);
        meta.page_count = rewrite.space.end();
        let late = std::mem::take(&mut rewrite.late);
        let (mut space, mut pages) = (rewrite.space, rewrite.pages);
        pages.reserve(shape.offset(meta.page_count))?;
        let taken = space.taken().to_vec();
        let freed = space.settle();
        Ok(Ready { meta, space, taken, freed, held, pages, late })
    }

    fn list(&self, rewrite: &Rewrite, held: &[Held], doubtful: &[Run]) -> FreeList {
        let mut free: Vec<Run> = rewrite.space.free_runs().collect();
        if self.engine.breaks(BtreeRule::FreeListStale) {
            free.extend(rewrite.space.taken());
            free = joined(free);
        }
        let older = held.iter().flat_map(|it| &it.runs).chain(doubtful);
        let held = if self.engine.breaks(BtreeRule::HeldForgotten) {
            Vec::new()
        } else {
            joined(older.chain(rewrite.space.freed()).copied().collect())
        };
        FreeList { free, held }
    }

    fn sync(&self, mut ready: Box<Ready>) -> Result<Stage, Error> {
        if self.engine.breaks(BtreeRule::PagesNotSynced) {
            ready.pages.write_waiting()?;
        } else {
            ready.pages.sync()?;
        }
        Ok(Stage::Install(ready))
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
            Stage::Sync(ready) => self.sync(ready)?,
            Stage::Install(ready) => self.install(ready, work)?,
            Stage::Finished => Stage::Finished,
        };
        match self.stage {
            Stage::Finished => Ok(Progress::Finished),
            _ => Ok(Progress::Working),
        }
    }
}
