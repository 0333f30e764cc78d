//! A walk over a tree, from leaf to leaf, forward or backward.
//!
//! Invariant: the walk keeps the pages from the root to where it stands, and no others. What it
//! has to visit still is stated before a page is read, so that an error concerns that page alone.

use std::ops::Bound;
use std::sync::Arc;

use arc_swap::Guard;

use crate::btree::page::{BlobRef, Cell, Content, Kind, Page, PageSlice, content};
use crate::btree::tree::TreeView;
use crate::engine::{Direction, Walk};
use crate::error::Error;
use crate::value::Value;

/// A walk over the keys between two bounds.
#[derive(Debug)]
pub(crate) struct TreeWalk {
    view: Arc<TreeView>,
    direction: Direction,
    lower: Bound<Vec<u8>>,
    upper: Bound<Vec<u8>>,
    started: Started,
    /// The branches above the leaf, the root first.
    above: Vec<Visit>,
    leaf: Option<Visit>,
    /// The entry in the leaf.
    cell: Cell,
    /// The key of the entry, where its leaf has a prefix.
    key: Vec<u8>,
    /// How much of `key` is the leaf's prefix.
    prefix: usize,
    /// The pages of the entry's value, where it has its own.
    blob: Option<Arc<Page>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Started {
    No,
    Yes,
}

/// A page, and which of its entries are to come.
#[derive(Debug)]
struct Visit {
    page: Arc<Page>,
    low: usize,
    high: usize,
}

impl Visit {
    fn next(&mut self, direction: Direction) -> Option<usize> {
        if self.low >= self.high {
            return None;
        }
        match direction {
            Direction::Forward => {
                self.low += 1;
                Some(self.low - 1)
            }
            Direction::Backward => {
                self.high -= 1;
                Some(self.high)
            }
        }
    }
}

fn owned(bound: Bound<&[u8]>) -> Bound<Vec<u8>> {
    bound.map(<[u8]>::to_vec)
}

impl TreeWalk {
    pub(crate) fn new(
        view: Arc<TreeView>,
        lower: Bound<&[u8]>,
        upper: Bound<&[u8]>,
        direction: Direction,
    ) -> Self {
        Self {
            view,
            direction,
            lower: owned(lower),
            upper: owned(upper),
            started: Started::No,
            above: Vec::new(),
            leaf: None,
            cell: Cell::default(),
            key: Vec::new(),
            prefix: 0,
            blob: None,
        }
    }

    /// Which entries of a page lie between the bounds.
    fn visit(&self, page: Arc<Page>) -> Visit {
        let (low, high) = if page.level > 0 {
            let child = |key: &Vec<u8>| page.child_index(key);
            let low = match &self.lower {
                Bound::Unbounded => 0,
                Bound::Included(key) | Bound::Excluded(key) => child(key),
            };
            let high = match &self.upper {
                Bound::Unbounded => page.count(),
                Bound::Included(key) | Bound::Excluded(key) => child(key) + 1,
            };
            (low, high)
        } else {
            let low = match &self.lower {
                Bound::Unbounded => 0,
                Bound::Included(key) => page.search(key).unwrap_or_else(|at| at),
                Bound::Excluded(key) => page.search(key).map_or_else(|at| at, |at| at + 1),
            };
            let high = match &self.upper {
                Bound::Unbounded => page.count(),
                Bound::Included(key) => page.search(key).map_or_else(|at| at, |at| at + 1),
                Bound::Excluded(key) => page.search(key).unwrap_or_else(|at| at),
            };
            (low, high)
        };
        Visit { page, low, high }
    }

    fn enter(&mut self, page: Arc<Page>) {
        let visit = self.visit(page);
        if visit.page.level > 0 {
            self.above.push(visit);
        } else {
            self.key.clear();
            self.key.extend_from_slice(visit.page.tail());
            self.prefix = self.key.len();
            self.leaf = Some(visit);
        }
    }

    /// Goes to the next leaf; `false` where there is none.
    fn next_leaf(&mut self) -> Result<bool, Error> {
        self.leaf = None;
        if self.started == Started::No {
            self.started = Started::Yes;
            let root = self.view.root()?.map(Arc::clone);
            if let Some(root) = root {
                self.enter(root);
            }
        }
        while self.leaf.is_none() {
            let Some(top) = self.above.last_mut() else { return Ok(false) };
            let Some(index) = top.next(self.direction) else {
                self.above.pop();
                continue;
            };
            let (child, level) = (top.page.child(index), top.page.level.saturating_sub(1));
            let page = self.view.tree.node(child, level)?;
            let page = Guard::into_inner(page);
            self.enter(page);
        }
        Ok(true)
    }

    fn payload(&self) -> &[u8] {
        self.leaf.as_ref().map_or(&[], |leaf| leaf.page.payload_in(self.cell))
    }

    /// Where the value stands, if it has pages of its own.
    fn blob(&self) -> Option<BlobRef> {
        match content(self.payload()) {
            Content::Blob(blob) => Some(blob),
            Content::Inline(_) => None,
        }
    }

    fn load_blob(&mut self, at: BlobRef) -> Result<&Arc<Page>, Error> {
        let page = match self.blob.take().filter(|page| page.is(at.page)) {
            Some(page) => page,
            None => self.view.tree.blob(at, Kind::Blob)?,
        };
        Ok(self.blob.insert(page))
    }
}

impl Walk for TreeWalk {
    fn advance(&mut self) -> Result<bool, Error> {
        loop {
            if let Some(leaf) = &mut self.leaf
                && let Some(at) = leaf.next(self.direction)
            {
                self.cell = leaf.page.cell(at);
                if self.prefix > 0 {
                    self.key.truncate(self.prefix);
                    self.key.extend_from_slice(leaf.page.suffix_in(self.cell));
                }
                return Ok(true);
            }
            if !self.next_leaf()? {
                return Ok(false);
            }
        }
    }

    fn key(&self) -> &[u8] {
        match &self.leaf {
            Some(leaf) if self.prefix == 0 => leaf.page.suffix_in(self.cell),
            _ => &self.key,
        }
    }

    fn value(&mut self) -> Result<&[u8], Error> {
        match self.blob() {
            Some(blob) => Ok(self.load_blob(blob)?.tail()),
            None => Ok(self.payload().get(1..).unwrap_or_default()), // behind its tag
        }
    }

    fn keep(&mut self) -> Result<Value, Error> {
        if let Some(blob) = self.blob() {
            let page = Arc::clone(self.load_blob(blob)?);
            return Ok(Value::pinned(PageSlice::blob(page)));
        }
        match &self.leaf {
            Some(leaf) => {
                Ok(Value::pinned(PageSlice::inline_in(Arc::clone(&leaf.page), self.cell)))
            }
            None => Ok(Value::default()),
        }
    }
}
