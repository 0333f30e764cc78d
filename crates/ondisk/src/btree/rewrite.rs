//! The merge of sorted changes into a tree, from left to right: every touched node is written
//! once, at a new place, and nothing else is read.
//!
//! ```text
//! changes ─► leaf, open ─► level 0, being built ─► its nodes' references ─► level 1 … ─► root
//!              ▲                                         ▲
//!       branches above it, open                   untouched nodes, as they are
//! ```
//!
//! Invariant: what was pushed into the levels is, in order, all that stands left of the open leaf.
//! A node is emitted full where more follows, and two last ones share evenly; an underfull one
//! joins an untouched neighbour. Nothing is written over: pages come from [`Space`], and the pages
//! of nodes that were read go to it, to be free when the edit is durable.

use std::sync::Arc;

use zerocopy::{FromBytes, IntoBytes};

use crate::btree::items::{Items, Origin, separator};
use crate::btree::meta::Meta;
use crate::btree::page::{BLOB, BlobRef, Content, INLINE, Kind, Page, PageRef, Shape, make_blob};
use crate::btree::page_manager::PageManager;
use crate::btree::space::{Full, Run, Space};
use crate::btree::tree::Tree;
use crate::error::Error;
use crate::young::{Found, Newest};

mod moved;

/// What of the rules of rewriting is broken on purpose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Broken {
    #[default]
    Nothing,
    ReusedBeforeDurable,
    BlobNotSynced,
    SeparatorShort,
    DeleteForgotten,
    MetaBeforePages,
    MovedValueForgotten,
}

/// A tree that is being rewritten.
#[derive(Debug)]
pub(crate) struct Rewrite {
    tree: Arc<Tree>,
    /// The tree as it was; its root, height and number of entries are those of the new one when
    /// [`finish`](Self::finish) has returned.
    pub(crate) meta: Meta,
    pub(crate) space: Space,
    pub(crate) pages: PageManager,
    /// The edit that the pages are written by.
    generation: u64,
    broken: Broken,
    /// Pages that are written too late, where a rule is broken so.
    pub(crate) late: Vec<Arc<Page>>,
    /// The nodes being built, by level.
    levels: Vec<Level>,
    /// The open branches, the root first.
    open: Vec<Branch>,
    leaf: Option<Leaf>,
    started: Started,
    key: Vec<u8>,
    payload: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Started {
    No,
    Yes,
}

/// Up to two nodes of a level that are being built.
#[derive(Debug, Default)]
struct Level {
    /// No key of these nodes is below this, and all keys before are.
    lower: Vec<u8>,
    first: Items,
    /// What did not fit into the first.
    second: Items,
}

/// A branch of the old tree, some of whose children are done with.
#[derive(Debug)]
struct Branch {
    page: Arc<Page>,
    next: usize,
    lower: Vec<u8>,
    upper: Option<Vec<u8>>,
}

/// A leaf of the old tree, some of whose entries are done with.
#[derive(Debug)]
struct Leaf {
    /// `None` where the tree had no keys.
    page: Option<Arc<Page>>,
    next: usize,
    lower: Vec<u8>,
    upper: Option<Vec<u8>>,
}

fn below(key: &[u8], upper: Option<&[u8]>) -> bool {
    upper.is_none_or(|upper| key < upper)
}

impl Rewrite {
    pub(crate) fn new(
        tree: Arc<Tree>,
        meta: Meta,
        generation: u64,
        space: Space,
        pages: PageManager,
        broken: Broken,
    ) -> Self {
        Self {
            tree,
            meta,
            space,
            pages,
            generation,
            broken,
            late: Vec::new(),
            levels: Vec::new(),
            open: Vec::new(),
            leaf: None,
            started: Started::No,
            key: Vec::new(),
            payload: Vec::new(),
        }
    }

    fn shape(&self) -> Shape {
        self.tree.shape
    }

    /// Takes one change over; its key is above all before.
    pub(crate) fn apply(&mut self, newest: &Newest) -> Result<(), Error> {
        self.open_leaf_of(&newest.key)?;
        self.copy_up_to(&newest.key, &newest.found)?;
        let Found::Value(value) = &newest.found else { return Ok(()) };
        let mut payload = std::mem::take(&mut self.payload);
        payload.clear();
        if value.len() > self.shape().longest_inline() {
            payload.push(BLOB);
            payload.extend_from_slice(self.write_blob(value)?.as_bytes());
        } else {
            payload.push(INLINE);
            payload.extend_from_slice(value);
        }
        self.push(0, &newest.key, &payload, Origin::New)?;
        self.meta.entries += 1;
        self.payload = payload;
        Ok(())
    }

    fn write_blob(&mut self, value: &[u8]) -> Result<BlobRef, Error> {
        let len = u32::try_from(value.len()).unwrap_or(u32::MAX); // far below: the log's limit
        let number = self.take(self.shape().blob_span(len))?;
        let page = Arc::new(make_blob(Kind::Blob, number, self.generation, value, self.shape()));
        let blob = BlobRef { page: page.page_ref(), len: len.into() };
        if self.broken == Broken::BlobNotSynced {
            self.late.push(page);
        } else {
            self.write(page)?;
        }
        Ok(blob)
    }

    fn write(&mut self, page: Arc<Page>) -> Result<(), Error> {
        if self.broken == Broken::MetaBeforePages {
            self.late.push(page);
            return Ok(());
        }
        self.pages.write_page(page)
    }

    /// Pages in a row, to be written.
    pub(crate) fn take(&mut self, span: u32) -> Result<u32, Error> {
        let full = |Full| Error::Io {
            path: self.tree.path.clone(),
            op: "number another page",
            source: std::io::ErrorKind::FileTooLarge.into(),
        };
        self.space.take(span).map_err(full)
    }

    /// Frees pages of the old tree.
    pub(crate) fn free(&mut self, first: u32, len: u32) {
        let run = Run { first, len };
        if self.broken == Broken::ReusedBeforeDurable {
            self.space.release(run);
        } else {
            self.space.free(run);
        }
    }

    fn free_page(&mut self, page: &Page) {
        self.free(page.number, page.span(self.shape()));
    }

    fn node(&self, at: PageRef, level: u8) -> Result<Arc<Page>, Error> {
        self.tree.node(at, level).map(arc_swap::Guard::into_inner)
    }

    // ── the old tree ─────────────────────────────────────────────────────────────────────────

    /// Goes to the leaf to which a key belongs; what stands before it is done with.
    fn open_leaf_of(&mut self, key: &[u8]) -> Result<(), Error> {
        self.open_node_of(key, 0)
    }

    /// Goes to the node of a level to which a key belongs, so that it is written anew; what stands
    /// before it is done with. Keys never descend, and of nodes with one key the higher comes first.
    /// The entries of a leaf are the caller's to [copy](Self::move_entry).
    pub(crate) fn open_node_of(&mut self, key: &[u8], level: u8) -> Result<(), Error> {
        if let Some(leaf) = &self.leaf {
            if below(key, leaf.upper.as_deref()) {
                return Ok(());
            }
            self.close_leaf()?;
        }
        if self.started == Started::No {
            self.started = Started::Yes;
            self.open_root()?;
        }
        while self.leaf.is_none() {
            let passed = |it: &Branch| !below(key, it.upper.as_deref());
            if self.open.last().is_some_and(passed) {
                self.close_branch()?;
                continue;
            }
            // The root's branch has no upper bound, so one is open, or the root is a leaf.
            let Some(top) = self.open.last().filter(|top| top.page.level > level) else {
                return Ok(());
            };
            let child = top.page.child_index(key);
            self.pass_children(child)?;
            self.open_child(child)?;
        }
        Ok(())
    }

    fn open_root(&mut self) -> Result<(), Error> {
        let (lower, upper) = (Vec::new(), None);
        let Some(level) = self.meta.height.checked_sub(1) else {
            self.leaf = Some(Leaf { page: None, next: 0, lower, upper });
            return Ok(());
        };
        let page = self.node(self.meta.root, level)?;
        self.open_page(page, lower, upper);
        Ok(())
    }

    fn open_page(&mut self, page: Arc<Page>, lower: Vec<u8>, upper: Option<Vec<u8>>) {
        self.free_page(&page);
        if page.level > 0 {
            self.open.push(Branch { page, next: 0, lower, upper });
        } else {
            self.leaf = Some(Leaf { page: Some(page), next: 0, lower, upper });
        }
    }

    /// Opens a child of the last open branch; those before it are done with.
    fn open_child(&mut self, child: usize) -> Result<(), Error> {
        let Some(top) = self.open.last_mut() else { return Ok(()) };
        top.next = child + 1;
        let lower = top.lower_of(child);
        let upper = if child + 1 < top.page.count() {
            Some(top.lower_of(child + 1))
        } else {
            top.upper.clone()
        };
        let (at, level) = (top.page.child(child), top.page.level.saturating_sub(1));
        let page = self.node(at, level)?;
        self.open_page(page, lower, upper);
        Ok(())
    }

    /// Leaves the children of the last open branch up to one as they are.
    fn pass_children(&mut self, end: usize) -> Result<(), Error> {
        while let Some(top) = self.open.last_mut().filter(|top| top.next < end) {
            let index = top.next;
            top.next += 1;
            let (lower, at) = (top.lower_of(index), top.page.child(index));
            let level = top.page.level.saturating_sub(1);
            self.pass(level, &lower, at)?;
        }
        Ok(())
    }

    fn close_branch(&mut self) -> Result<(), Error> {
        let count = self.open.last().map_or(0, |top| top.page.count());
        self.pass_children(count)?;
        self.open.pop();
        Ok(())
    }

    fn close_leaf(&mut self) -> Result<(), Error> {
        let end = self.leaf.as_ref().and_then(|it| it.page.as_ref()).map_or(0, |it| it.count());
        self.copy_entries(end)?;
        self.leaf = None;
        Ok(())
    }

    /// Copies the entries of the open leaf below a key, and drops that of the key itself.
    fn copy_up_to(&mut self, key: &[u8], found: &Found) -> Result<(), Error> {
        let Some(page) = self.leaf.as_ref().and_then(|leaf| leaf.page.clone()) else {
            return Ok(());
        };
        match page.search(key) {
            Err(index) => self.copy_entries(index),
            Ok(index) => {
                self.copy_entries(index)?;
                let forgotten = self.broken == Broken::DeleteForgotten
                    && *found == Found::Deleted
                    && index + 1 == page.count();
                if forgotten {
                    return Ok(());
                }
                if let Content::Blob(blob) = page.content(index) {
                    let span = self.shape().blob_span(blob.len.get());
                    self.free(blob.page.number.get(), span);
                }
                self.meta.entries = self.meta.entries.saturating_sub(1);
                if let Some(leaf) = &mut self.leaf {
                    leaf.next = index + 1;
                }
                Ok(())
            }
        }
    }

    fn copy_entries(&mut self, end: usize) -> Result<(), Error> {
        let Some(leaf) = &mut self.leaf else { return Ok(()) };
        let Some(page) = leaf.page.clone() else { return Ok(()) };
        let end = end.max(leaf.next);
        let begin = std::mem::replace(&mut leaf.next, end);
        let mut key = std::mem::take(&mut self.key);
        for index in begin..end {
            page.key_into(index, &mut key);
            self.push(0, &key, page.payload(index), Origin::Old)?;
        }
        self.key = key;
        Ok(())
    }

    // ── the new tree ─────────────────────────────────────────────────────────────────────────

    fn level(&mut self, level: u8) -> &mut Level {
        let index = usize::from(level);
        while self.levels.len() <= index {
            let next = u8::try_from(self.levels.len()).unwrap_or(u8::MAX);
            let items = Items::new(next);
            let (first, second) = (items.clone(), items);
            self.levels.push(Level { lower: Vec::new(), first, second });
        }
        &mut self.levels[index]
    }

    /// Leaves a node of the old tree as it is.
    fn pass(&mut self, level: u8, lower: &[u8], at: PageRef) -> Result<(), Error> {
        for below in 0..level {
            self.flush(below)?;
        }
        let shape = self.shape();
        let building = self.level(level);
        if building.is_underfull(shape) {
            let page = self.node(at, level)?;
            self.free_page(&page);
            self.push_all(level, &page, lower)?;
            return self.flush(level);
        }
        self.flush(level)?;
        self.push(level + 1, lower, at.as_bytes(), Origin::Old)
    }

    /// Adds the entries of a node of the old tree. The first of a branch gets its key.
    fn push_all(&mut self, level: u8, page: &Page, lower: &[u8]) -> Result<(), Error> {
        let mut key = Vec::new();
        for index in 0..page.count() {
            page.key_into(index, &mut key);
            let key = if level > 0 && index == 0 { lower } else { &key };
            self.push(level, key, page.payload(index), Origin::Old)?;
        }
        Ok(())
    }

    fn push(&mut self, level: u8, key: &[u8], payload: &[u8], origin: Origin) -> Result<(), Error> {
        let shape = self.shape();
        let broken = self.broken;
        if self.level(level).first.is_empty() {
            let leaf = self.leaf.as_ref().filter(|_| level == 0);
            let lower = leaf.map_or_else(|| key.to_vec(), |leaf| leaf.lower.clone());
            self.level(level).lower = lower;
        }
        let building = self.level(level);
        if building.second.is_empty() && building.first.takes(key, payload.len(), shape) {
            building.first.push(key, payload, origin);
            return Ok(());
        }
        if building.second.takes(key, payload.len(), shape) {
            building.second.push(key, payload, origin);
            return Ok(());
        }
        let between = building.between(level, broken);
        let lower = std::mem::replace(&mut building.lower, between);
        let mut full = Items::new(level);
        std::mem::swap(&mut full, &mut building.first);
        std::mem::swap(&mut building.first, &mut building.second);
        building.second.push(key, payload, origin);
        self.emit(level, &lower, &full)
    }

    /// Writes a node, and tells the level above.
    fn emit(&mut self, level: u8, lower: &[u8], items: &Items) -> Result<(), Error> {
        let number = self.take(self.shape().span(items.size()))?;
        let page = Arc::new(items.page(number, self.generation, self.shape()));
        let at = page.page_ref();
        self.tree.table.keep(Arc::clone(&page));
        self.write(page)?;
        self.push(level + 1, lower, at.as_bytes(), Origin::New)
    }

    /// Emits what is being built of a level.
    fn flush(&mut self, level: u8) -> Result<(), Error> {
        let shape = self.shape();
        if self.level(level).first.is_empty() {
            return Ok(());
        }
        if self.level(level).is_underfull(shape) {
            self.join_left(level)?;
        }
        let broken = self.broken;
        let building = self.level(level);
        let mut done =
            Level { first: Items::new(level), second: Items::new(level), ..Level::default() };
        std::mem::swap(&mut done, building);
        if !done.second.is_empty() && done.second.size() * 2 < shape.size {
            let mut both = done.first.clone();
            both.extend(&done.second, 0..done.second.len());
            if let Some((first, second)) = both.split(shape) {
                (done.first, done.second) = (first, second);
            }
        }
        self.emit(level, &done.lower, &done.first)?;
        if done.second.is_empty() {
            return Ok(());
        }
        let between = done.between(level, broken);
        self.emit(level, &between, &done.second)
    }

    /// Takes the untouched left neighbour of an underfull node in.
    fn join_left(&mut self, level: u8) -> Result<(), Error> {
        let Some((lower, payload)) = self.level(level + 1).pop_old() else { return Ok(()) };
        let at = PageRef::read_from_bytes(&payload).unwrap_or_default();
        let page = self.node(at, level)?;
        self.free_page(&page);
        let building = self.level(level);
        let mut rest = Items::new(level);
        std::mem::swap(&mut rest, &mut building.first);
        self.push_all(level, &page, &lower)?;
        self.level(level).lower = lower;
        for index in 0..rest.len() {
            self.push(level, rest.key(index), rest.payload(index), rest.origin(index))?;
        }
        Ok(())
    }

    /// Ends the tree: its root, height and number of entries stand in [`meta`](Self::meta).
    pub(crate) fn finish(&mut self) -> Result<(), Error> {
        if self.started == Started::No {
            return Ok(());
        }
        if self.leaf.is_some() {
            self.close_leaf()?;
        }
        while !self.open.is_empty() {
            self.close_branch()?;
        }
        (self.meta.root, self.meta.height) = (PageRef::default(), 0);
        let mut level = 0;
        while usize::from(level) < self.levels.len() {
            let last = self.levels[usize::from(level) + 1..].iter().all(|it| it.first.is_empty());
            let building = self.level(level);
            if last && level > 0 && building.first.len() == 1 && building.second.is_empty() {
                let root = PageRef::read_from_bytes(building.first.payload(0));
                (self.meta.root, self.meta.height) = (root.unwrap_or_default(), level);
                return self.drop_single_roots();
            }
            self.flush(level)?;
            level += 1;
        }
        Ok(())
    }

    /// A root with a single child gives its place to it.
    fn drop_single_roots(&mut self) -> Result<(), Error> {
        while self.meta.height > 1 {
            // It may be one of those that wait to be written.
            let waiting = self.pages.waiting().iter().chain(&self.late);
            let waiting = waiting.rev().find(|page| page.is(self.meta.root)).cloned();
            let page = match waiting {
                Some(page) => page,
                None => self.node(self.meta.root, self.meta.height - 1)?,
            };
            if page.count() > 1 {
                break;
            }
            self.free_page(&page);
            self.meta.root = page.child(0);
            self.meta.height -= 1;
        }
        Ok(())
    }

    /// Writes the free list, when all else is written: what is free, and what is held.
    pub(crate) fn write_list(&mut self, content: &[u8], number: u32) -> Result<PageRef, Error> {
        let page = make_blob(Kind::FreeList, number, self.generation, content, self.shape());
        let at = page.page_ref();
        self.write(Arc::new(page))?;
        Ok(at)
    }
}

impl Level {
    /// Little enough to be joined with a neighbour.
    fn is_underfull(&self, shape: Shape) -> bool {
        !self.first.is_empty() && self.second.is_empty() && self.first.size() * 3 < shape.size
    }

    /// What parts the first node from the second.
    fn between(&self, level: u8, broken: Broken) -> Vec<u8> {
        let (left, right) = (self.first.key(self.first.len() - 1), self.second.key(0));
        let parts = if level > 0 { right } else { separator(left, right) };
        let short = usize::from(broken == Broken::SeparatorShort && level == 0);
        parts[..parts.len().saturating_sub(short)].to_vec()
    }

    /// Takes the last child away, where it stood in the tree before.
    fn pop_old(&mut self) -> Option<(Vec<u8>, Vec<u8>)> {
        let items = if self.second.is_empty() { &mut self.first } else { &mut self.second };
        let last = items.len().checked_sub(1)?;
        if items.origin(last) == Origin::New { None } else { items.pop() }
    }
}

impl Branch {
    /// No key of a child is below this.
    fn lower_of(&self, child: usize) -> Vec<u8> {
        if child == 0 {
            return self.lower.clone();
        }
        let mut key = Vec::new();
        self.page.key_into(child, &mut key);
        key
    }
}
