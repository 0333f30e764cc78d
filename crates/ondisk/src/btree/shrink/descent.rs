//! A walk over the nodes of a tree, from the root down and from left to right, by their references.
//!
//! Invariant: a node comes before its children, and keys never descend. Pages are read by whoever
//! walks, who says which nodes are entered.

use std::sync::Arc;

use crate::btree::meta::Meta;
use crate::btree::page::{Page, PageRef};

/// Where such a walk stands.
#[derive(Debug)]
pub(super) struct Descent {
    root: Option<Node>,
    /// Children whose keys are all below this are passed over.
    from: Vec<u8>,
    entered: Vec<Entered>,
}

/// A node, not read yet.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) at: PageRef,
    pub(super) level: u8,
    /// No key of it is below this, and all keys before are.
    pub(super) lower: Vec<u8>,
}

#[derive(Debug)]
struct Entered {
    page: Arc<Page>,
    next: usize,
    lower: Vec<u8>,
}

impl Descent {
    pub(super) fn new(meta: &Meta, from: Vec<u8>) -> Self {
        let root = |level| Node { at: meta.root, level, lower: Vec::new() };
        Self { root: meta.height.checked_sub(1).map(root), from, entered: Vec::new() }
    }

    /// The next node; `None` at the end.
    pub(super) fn next(&mut self) -> Option<Node> {
        if let Some(root) = self.root.take() {
            return Some(root);
        }
        loop {
            let top = self.entered.last_mut()?;
            let index = top.next;
            if index >= top.page.count() {
                self.entered.pop();
                continue;
            }
            top.next += 1;
            let mut lower = Vec::new();
            if index == 0 {
                lower.clone_from(&top.lower);
            } else {
                top.page.key_into(index, &mut lower);
            }
            let (at, level) = (top.page.child(index), top.page.level.saturating_sub(1));
            return Some(Node { at, level, lower });
        }
    }

    /// The children of a branch come next.
    pub(super) fn enter(&mut self, page: Arc<Page>, lower: Vec<u8>) {
        let next = page.child_index(&self.from);
        self.entered.push(Entered { page, next, lower });
    }
}
