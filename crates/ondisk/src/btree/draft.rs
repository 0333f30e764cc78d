//! A tree on its way to being installed: rewritten, then durable but for its meta page.
//!
//! ```text
//! Start ─► Draft: new pages ─► free list ─► Ready: synced ─► Btree::install
//! ```
//!
//! Invariant: until it is installed nothing that counts has changed. What is dropped on the way
//! leaves pages that nothing refers to, in places that are free.

use std::sync::Arc;

use ondisk_log::Lsn;

use crate::btree::meta::Meta;
use crate::btree::page::{BlobRef, HEADER, Page};
use crate::btree::page_manager::PageManager;
use crate::btree::rewrite::{Broken, Rewrite};
use crate::btree::sabotage::BtreeRule;
use crate::btree::shrink::Sweep;
use crate::btree::space::{FreeList, LIST_HEAD, LIST_RUN, Run, Space, joined};
use crate::btree::{Btree, Held, Start};
use crate::error::Error;

/// A tree that is being rewritten.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) rewrite: Rewrite,
    held: Vec<Held>,
    doubtful: Vec<Run>,
}

/// A tree that is durable but for its meta page.
#[derive(Debug)]
pub(crate) struct Ready {
    pub(crate) meta: Meta,
    /// Without what the tree takes, and without what it freed.
    pub(crate) space: Space,
    pub(crate) taken: Vec<Run>,
    pub(crate) freed: Vec<Run>,
    pub(crate) held: Vec<Held>,
    pub(crate) pages: PageManager,
    /// Pages that are written behind the meta page, where a rule is broken so.
    pub(crate) late: Vec<Arc<Page>>,
    pub(crate) purpose: Purpose,
}

/// What a tree was rewritten for.
#[derive(Clone, Debug)]
pub(crate) enum Purpose {
    /// A frozen young map is in it.
    Checkpoint,
    /// It holds what the one before held; the file may end sooner. What is left of the sweep.
    Shrink(Option<Sweep>),
}

impl Draft {
    /// Begins to rewrite the installed tree as one that holds all commits through an LSN.
    pub(crate) fn new(engine: &Btree, start: Start, through: Lsn) -> Self {
        let Start { mut meta, edit, space, held, doubtful, pages } = start;
        (meta.edit, meta.through) = (edit, through);
        let broken = [
            (BtreeRule::ReusedBeforeDurable, Broken::ReusedBeforeDurable),
            (BtreeRule::BlobNotSynced, Broken::BlobNotSynced),
            (BtreeRule::SeparatorShort, Broken::SeparatorShort),
            (BtreeRule::DeleteForgotten, Broken::DeleteForgotten),
            (BtreeRule::MetaBeforePages, Broken::MetaBeforePages),
            (BtreeRule::MovedValueForgotten, Broken::MovedValueForgotten),
        ];
        let broken = broken.into_iter().find(|(rule, _)| engine.breaks(*rule));
        let broken = broken.map_or(Broken::Nothing, |(_, broken)| broken);
        let tree = Arc::clone(&engine.tree);
        Self { rewrite: Rewrite::new(tree, meta, edit, space, pages, broken), held, doubtful }
    }

    /// Ends the tree, and writes the free list, and with it the last page.
    pub(crate) fn finish(self, engine: &Btree, purpose: Purpose) -> Result<Ready, Error> {
        let Self { mut rewrite, held, doubtful } = self;
        rewrite.finish()?;
        let shape = engine.tree.shape;
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
        let list = list(engine, &rewrite, &held, &doubtful);
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
        Ok(Ready { meta, space, taken, freed, held, pages, late, purpose })
    }
}

fn list(engine: &Btree, rewrite: &Rewrite, held: &[Held], doubtful: &[Run]) -> FreeList {
    let mut free: Vec<Run> = rewrite.space.free_runs().collect();
    if engine.breaks(BtreeRule::FreeListStale) {
        free.extend(rewrite.space.taken());
        free = joined(free);
    }
    let older = held.iter().flat_map(|it| &it.runs).chain(doubtful);
    let held = if engine.breaks(BtreeRule::HeldForgotten) {
        Vec::new()
    } else {
        joined(older.chain(rewrite.space.freed()).copied().collect())
    };
    FreeList { free, held }
}

impl Ready {
    /// Returns when all that the meta page will reach is durable.
    pub(crate) fn sync(&mut self, engine: &Btree) -> Result<(), Error> {
        if engine.breaks(BtreeRule::PagesNotSynced) {
            self.pages.write_waiting()
        } else {
            self.pages.sync()
        }
    }
}
