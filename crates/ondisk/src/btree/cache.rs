//! The pages of trees that are kept in memory, for all trees of a store under one budget.
//!
//! ```text
//! Table (one a tree): page number ─► page          a hit: one load, no lock, no hash, no copy
//! PageCache (one a store): a ring of all kept pages; the hand takes what nobody has looked at
//! ```
//!
//! Invariant: a page in a table was verified. Whoever looks a page up compares its sum with the
//! reference's: a page number is used again, a content is not. The pages that are kept take no more
//! than the budget, but for one page.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use arc_swap::{ArcSwap, Guard};

use crate::btree::page::Page;

/// The pages of the first chunk, as a power of two; each further chunk doubles the table.
const FIRST_CHUNK: u32 = 10;
const CHUNKS: usize = (u32::BITS - FIRST_CHUNK) as usize + 1;
/// What a page costs beside its bytes.
const PAGE_COST: u64 = 128;

type Chunk = Box<[ArcSwap<Page>]>;

/// The kept pages of one tree, by number.
#[derive(Debug)]
pub(crate) struct Table {
    chunks: [OnceLock<Chunk>; CHUNKS],
    none: Arc<Page>,
}

/// Which chunk a page number stands in, and where in it.
fn place(number: u32) -> (usize, usize) {
    let bits = u32::BITS - (number >> FIRST_CHUNK).leading_zeros();
    let first = if bits == 0 { 0 } else { 1 << (bits - 1 + FIRST_CHUNK) };
    (bits as usize, (number - first) as usize)
}

/// The pages of a chunk.
fn chunk_len(chunk: usize) -> usize {
    1 << (FIRST_CHUNK as usize + chunk.saturating_sub(1))
}

impl Table {
    pub(crate) fn new() -> Self {
        Self { chunks: [const { OnceLock::new() }; CHUNKS], none: Arc::new(Page::none()) }
    }

    fn slot(&self, number: u32) -> &ArcSwap<Page> {
        let (chunk, index) = place(number);
        let chunk = self.chunks[chunk].get_or_init(|| {
            let empty = || ArcSwap::new(Arc::clone(&self.none));
            std::iter::repeat_with(empty).take(chunk_len(chunk)).collect()
        });
        &chunk[index]
    }

    /// What is kept under a number; that may be another page, or none.
    pub(crate) fn get(&self, number: u32) -> Guard<Arc<Page>> {
        self.slot(number).load()
    }

    /// Lets go of a page, if it is kept still.
    fn evict(&self, page: &Arc<Page>) {
        drop(self.slot(page.number).compare_and_swap(page, Arc::clone(&self.none)));
    }
}

/// The budget that the tables of a store share, and what is kept under it.
#[derive(Debug)]
pub(crate) struct PageCache {
    budget: u64,
    ring: Mutex<Ring>,
}

#[derive(Debug, Default)]
struct Ring {
    used: u64,
    pages: VecDeque<Kept>,
}

/// One kept page. It may have been replaced meanwhile.
#[derive(Debug)]
struct Kept {
    table: Weak<Table>,
    number: u32,
    sum: u32,
    cost: u64,
}

impl PageCache {
    /// A cache that keeps so many bytes.
    pub(crate) fn new(budget: u64) -> Self {
        Self { budget, ring: Mutex::default() }
    }

    /// Keeps a page, and lets go of others where that passes the budget.
    pub(crate) fn keep(&self, table: &Arc<Table>, page: Arc<Page>) {
        let cost = page.bytes().len() as u64 + PAGE_COST;
        if cost > self.budget / 4 {
            return; // one value is not worth all others
        }
        let kept = Kept { table: Arc::downgrade(table), number: page.number, sum: page.sum, cost };
        drop(table.slot(page.number).swap(page));
        // A panic while it was held cannot have left a change half done that matters.
        let mut ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        ring.used += cost;
        ring.pages.push_back(kept);
        ring.shrink(self.budget);
    }

    /// The bytes that are kept, and what they cost.
    #[cfg(test)]
    fn used(&self) -> u64 {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner).used
    }
}

impl Ring {
    /// The hand: goes round, spares once what was looked at, and takes what was not.
    fn shrink(&mut self, budget: u64) {
        let mut spared = self.pages.len() * 2;
        while self.used > budget {
            let Some(kept) = self.pages.pop_front() else { return };
            if let Some(table) = kept.table.upgrade() {
                let page = table.get(kept.number);
                if page.sum == kept.sum && page.number == kept.number {
                    if page.was_touched() && spared > 0 {
                        spared -= 1;
                        self.pages.push_back(kept);
                        continue;
                    }
                    table.evict(&page);
                }
            }
            self.used -= kept.cost;
        }
    }
}

#[cfg(test)]
mod tests;
