//! What makes the file of a tree shorter, step by step.
//!
//! ```text
//! count branches ─► where the file could end ─► a sweep over the keys, pass by pass:
//!     move what stands behind, with all above it ─► free list ─► sync ─► meta page, sync ─► view
//! at last: free pages at the end left out ─► … ─► meta page, sync ─► file cut
//! ```
//!
//! Invariant: the tree holds the same keys and values, through the same commit, before and after.
//! A pass is an edit like a checkpoint's, by the same rules: whatever step of it fails, is cut or is
//! the last, the installed tree is whole. A step does nothing once a checkpoint has begun.
//!
//! It comes to an end: a sweep goes over each key once, another one begins only where the file
//! could end sooner than when the last began, and without a sweep an edit leaves a shorter file.

use std::sync::Arc;

use crate::btree::draft::{Draft, Purpose, Ready};
use crate::btree::meta::first_page;
use crate::btree::page::{Content, Page};
use crate::btree::page_manager::PageManager;
use crate::btree::sabotage::BtreeRule;
use crate::btree::shrink::descent::{Descent, Node};
use crate::btree::space::Run;
use crate::btree::turn::Turn;
use crate::btree::{Btree, Start};
use crate::engine::{Job, Progress, Reclaim, Work};
use crate::error::Error;

mod descent;

/// A pass moves about so many steps' bytes: a checkpoint that begins costs the pass alone.
const PASS_STEPS: usize = 32;
/// And it reads no more than so many.
const PASS_READ_STEPS: usize = 256;
/// What a node costs a step beside its bytes.
const NODE_COST: usize = 64;
/// Fewer pages than this are no reason to move others.
const FEWEST_WON: u32 = 8;
/// Free bytes from which a file may be shortened unasked.
const DUE_BYTES: u64 = 1 << 20;

/// A way over all keys, on which what stands behind a page moves before it.
#[derive(Clone, Debug)]
pub(crate) struct Sweep {
    /// Where the file is to end.
    limit: u32,
    /// All that is below this key is done.
    from: Vec<u8>,
    leaves: Leaves,
}

impl Sweep {
    pub(crate) fn limit(&self) -> u32 {
        self.limit
    }
}

/// Whether pages are named in leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leaves {
    /// None were when the sweep began: only leaves that move are read.
    Plain,
    /// There are values in pages of their own.
    WithValues,
}

/// One edit under way.
#[derive(Debug)]
pub(crate) struct Shrink {
    engine: Arc<Btree>,
    want: Reclaim,
    turn: Turn,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    Begin,
    /// What may have to be rewritten beside what moves.
    Count(Box<Count>),
    Move(Box<Pass>),
    /// The pages are written; they become durable.
    Sync(Box<Ready>),
    /// All is durable but the meta page.
    Install(Box<Ready>),
    Finished,
}

#[derive(Debug)]
struct Count {
    start: Start,
    descent: Descent,
    /// Their pages.
    branches: u64,
    leaves: u64,
}

#[derive(Debug)]
struct Pass {
    draft: Draft,
    sweep: Sweep,
    descent: Descent,
    /// The pages of the file as it is.
    page_count: u32,
    moved: usize,
    read: usize,
}

/// How many pages must be won for it to be worth moving others.
fn least_won(want: Reclaim, pages: u32) -> u32 {
    let share = match want {
        Reclaim::Due => pages / 8,
        Reclaim::All => pages / 64,
    };
    share.max(FEWEST_WON)
}

/// Whether a file with so many free pages is worth a look.
pub(crate) fn is_worth(want: Reclaim, pages: u32, free: u64, page_size: u32) -> bool {
    match want {
        Reclaim::All => free >= u64::from(least_won(want, pages)),
        // A checkpoint that touches all leaves needs as many pages again, and one more tree is
        // kept where somebody reads: that is no waste.
        Reclaim::Due => {
            free * 4 >= u64::from(pages) * 3 && free * u64::from(page_size) >= DUE_BYTES
        }
    }
}

impl Start {
    fn least_end(&self, more: u64) -> u32 {
        self.space.least_end(self.waiting(), more)
    }

    /// Pages that are neither free nor in the tree.
    fn waiting(&self) -> impl Iterator<Item = Run> + '_ {
        let held = self.held.iter().flat_map(|it| it.runs.iter().copied());
        held.chain(self.doubtful.iter().copied())
    }
}

impl Shrink {
    pub(crate) fn new(engine: Arc<Btree>, want: Reclaim, turn: Turn) -> Self {
        Self { engine, want, turn, stage: Stage::Begin }
    }

    fn advance(&mut self, work: &Work<'_>) -> Result<Stage, Error> {
        let stage = std::mem::replace(&mut self.stage, Stage::Finished);
        if let Stage::Sync(mut ready) = stage {
            // All is written: a checkpoint that begins need not wait for the disk.
            ready.sync(&self.engine)?;
            return Ok(Stage::Install(ready));
        }
        let held = self.turn.hold();
        if held.is_none() && !self.engine.breaks(BtreeRule::TurnIgnored) {
            return Ok(Stage::Finished);
        }
        match stage {
            Stage::Begin => self.begin(work),
            Stage::Count(count) => self.count(count, work.bytes),
            Stage::Move(pass) => self.move_pages(pass, work.bytes),
            Stage::Install(ready) => self.install(ready, work),
            Stage::Sync(_) | Stage::Finished => Ok(Stage::Finished),
        }
    }

    fn begin(&self, work: &Work<'_>) -> Result<Stage, Error> {
        let start = self.engine.start(work.pins)?;
        let end = start.space.end();
        let (sweep, swept_from) = self.engine.sweep_to_go_on(end);
        if let Some(sweep) = sweep {
            return Ok(self.pass(start, sweep));
        }
        let won = least_won(self.want, end);
        // What the last sweep could not move, another one could not either.
        let in_vain = swept_from.is_some_and(|before| end.saturating_add(won) > before);
        if in_vain || start.least_end(0).saturating_add(won) > end {
            return self.leave_out(start);
        }
        let descent = Descent::new(&start.meta, Vec::new());
        Ok(Stage::Count(Box::new(Count { start, descent, branches: 0, leaves: 0 })))
    }

    fn count(&self, mut count: Box<Count>, bytes: usize) -> Result<Stage, Error> {
        let tree = &self.engine.tree;
        let mut done = 0;
        while done < bytes {
            let Some(node) = count.descent.next() else { return self.plan(*count) };
            if node.level == 0 {
                count.leaves += 1; // the root
                continue;
            }
            let page = tree.peek_node(node.at, node.level)?;
            done += page.bytes().len();
            count.branches += u64::from(page.span(tree.shape));
            if node.level == 1 {
                count.leaves += page.count() as u64;
            } else {
                count.descent.enter(page, node.lower);
            }
        }
        Ok(Stage::Count(count))
    }

    /// Says where the file could end, if that is worth a sweep.
    fn plan(&self, count: Count) -> Result<Stage, Error> {
        let Count { start, branches, leaves, .. } = count;
        let (meta, end) = (&start.meta, start.space.end());
        let list = match meta.free_list.page.number.get() {
            0 => 0,
            _ => u64::from(self.engine.tree.shape.blob_span(meta.free_list.len.get())),
        };
        let limit = start.least_end(branches + 2 * list + u64::from(FEWEST_WON));
        if limit.saturating_add(least_won(self.want, end)) > end {
            return self.leave_out(start);
        }
        let unused: u64 = start.waiting().map(|run| u64::from(run.len)).sum();
        let used = u64::from(end.saturating_sub(first_page(meta.page_size)));
        let used = used.saturating_sub(unused + start.space.free_pages());
        let plain = branches + leaves + list == used;
        let leaves = if plain { Leaves::Plain } else { Leaves::WithValues };
        let sweep = Sweep { limit, from: Vec::new(), leaves };
        self.engine.begin_sweep(&sweep, end);
        Ok(self.pass(start, sweep))
    }

    fn pass(&self, mut start: Start, sweep: Sweep) -> Stage {
        start.space.set_ceiling(Some(sweep.limit));
        let descent = Descent::new(&start.meta, sweep.from.clone());
        let (page_count, through) = (start.meta.page_count, start.meta.through);
        let draft = Draft::new(&self.engine, start, through);
        Stage::Move(Box::new(Pass { draft, sweep, descent, page_count, moved: 0, read: 0 }))
    }

    fn move_pages(&self, mut pass: Box<Pass>, bytes: usize) -> Result<Stage, Error> {
        let mut done = 0;
        while done < bytes {
            if let Some(cost) = pass.draft.rewrite.move_entry(pass.sweep.limit)? {
                done += cost;
                pass.moved += cost;
                continue;
            }
            // Without room before the limit nothing comes nearer any more.
            let room = pass.draft.rewrite.space.has_ceiling();
            let Some(node) = pass.descent.next().filter(|_| room) else {
                return self.end(*pass, None);
            };
            let full = pass.moved >= PASS_STEPS.saturating_mul(bytes)
                || pass.read >= PASS_READ_STEPS.saturating_mul(bytes);
            if full && node.lower > pass.sweep.from {
                let rest = Sweep { from: node.lower, ..pass.sweep.clone() };
                return self.end(*pass, Some(rest));
            }
            done += pass.visit(&self.engine, node)?;
        }
        Ok(Stage::Move(pass))
    }

    fn end(&self, pass: Pass, rest: Option<Sweep>) -> Result<Stage, Error> {
        let shorter = pass.draft.rewrite.space.end() < pass.page_count;
        if pass.moved == 0 && !shorter {
            self.engine.go_on_with(rest);
            return Ok(Stage::Finished);
        }
        self.finish(pass.draft, rest).map(|ready| Stage::Sync(Box::new(ready)))
    }

    fn finish(&self, draft: Draft, rest: Option<Sweep>) -> Result<Ready, Error> {
        let mut ready = draft.finish(&self.engine, Purpose::Shrink(rest))?;
        ready.pages.write_waiting()?;
        Ok(ready)
    }

    /// Nothing is worth being moved: an edit that leaves out what is free at the end, if that makes
    /// the file shorter.
    fn leave_out(&self, mut start: Start) -> Result<Stage, Error> {
        let (meta, end) = (start.meta, start.space.end());
        let least = if self.want == Reclaim::All { 1 } else { (meta.page_count / 16).max(1) };
        if end.saturating_add(least) <= meta.page_count {
            let ready = self.finish(Draft::new(&self.engine, start, meta.through), None)?;
            if ready.meta.page_count < meta.page_count {
                return Ok(Stage::Sync(Box::new(ready)));
            }
        } else if start.doubtful.is_empty() {
            // Else a meta page may be on the disk that wants the file longer.
            self.cut(&mut start.pages, meta.page_count);
        }
        self.engine.rest(self.want);
        Ok(Stage::Finished)
    }

    fn install(&self, mut ready: Box<Ready>, work: &Work<'_>) -> Result<Stage, Error> {
        // The log is durable through its LSN: that is the one of the meta page before.
        let pages = ready.meta.page_count;
        if self.engine.breaks(BtreeRule::CutBeforeMeta) {
            self.cut(&mut ready.pages, pages);
        }
        self.engine.install(&mut ready, work.pins)?;
        self.cut(&mut ready.pages, pages);
        ready.pages.close();
        Ok(Stage::Finished)
    }

    /// Cuts the file behind its last page, as near as is wanted.
    fn cut(&self, file: &mut PageManager, pages: u32) {
        let end = self.engine.tree.shape.offset(pages);
        let cut = match self.want {
            Reclaim::Due => file.shrink(end),
            Reclaim::All => file.cut(end),
        };
        drop(cut); // a file that stays longer than it needs to be costs space alone
    }
}

impl Pass {
    /// Has a node written anew if it stands behind, or a value does that it names; what that cost.
    fn visit(&mut self, engine: &Btree, node: Node) -> Result<usize, Error> {
        let (tree, limit) = (&engine.tree, self.sweep.limit);
        let behind = node.at.number.get() >= limit;
        let mut read = NODE_COST;
        let mut moves = behind;
        let page = if node.level > 0 || (!behind && self.sweep.leaves == Leaves::WithValues) {
            let page = tree.peek_node(node.at, node.level)?;
            read += page.bytes().len();
            moves |= node.level == 0 && names_behind(&page, limit);
            Some(page)
        } else {
            None
        };
        self.read += read;
        if moves {
            self.draft.rewrite.open_node_of(&node.lower, node.level)?;
            self.moved += tree.shape.size;
            read += tree.shape.size;
        }
        if let Some(page) = page.filter(|page| page.level > 0) {
            self.descent.enter(page, node.lower);
        }
        Ok(read)
    }
}

/// Whether a value of a leaf stands at a page or behind it.
fn names_behind(leaf: &Page, limit: u32) -> bool {
    let blobs = (0..leaf.count()).filter_map(|index| match leaf.content(index) {
        Content::Blob(blob) => Some(blob.page.number.get()),
        Content::Inline(_) => None,
    });
    blobs.into_iter().any(|number| number >= limit)
}

impl Job for Shrink {
    fn written(&self) -> u64 {
        match &self.stage {
            Stage::Move(pass) => pass.draft.rewrite.pages.written,
            Stage::Sync(ready) | Stage::Install(ready) => ready.pages.written,
            Stage::Begin | Stage::Count(_) | Stage::Finished => 0,
        }
    }

    fn step(&mut self, work: &Work<'_>) -> Result<Progress, Error> {
        match self.advance(work) {
            Ok(Stage::Finished) => Ok(Progress::Finished),
            Ok(stage) => {
                self.stage = stage;
                Ok(Progress::Working)
            }
            Err(error) => {
                self.engine.gave_up();
                Err(error)
            }
        }
    }
}
