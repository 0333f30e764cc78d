//! The pages of one tree that are kept in memory.
//!
//! Invariant: a page in a table was verified. Whoever looks a page up compares its sum with the
//! reference's: a page number is used again, a content is not. A page is found by its number, with
//! one load, no lock, no hash and no copy. What is kept, and for how long, the store's one [`Cache`]
//! decides.

use std::sync::{Arc, OnceLock};

use arc_swap::{ArcSwap, Guard};

use crate::btree::page::Page;
use crate::cache::{Cache, Kind, Put, Share, Shelf, keep};

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
    share: Share,
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
    pub(crate) fn new(cache: &Arc<Cache>) -> Self {
        let chunks = [const { OnceLock::new() }; CHUNKS];
        Self { chunks, none: Arc::new(Page::none()), share: Share::new(cache, Kind::Pages, 0) }
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

    /// Keeps a page.
    pub(crate) fn keep(self: &Arc<Self>, page: Arc<Page>) {
        let (number, slot) = (page.number, self.slot(page.number));
        keep(self, number, weight(&page), || {
            let before = slot.load();
            if before.is(page.page_ref()) {
                return Put::Present;
            }
            drop(before);
            // It takes the other's turn, which may be near.
            page.touch();
            match weight(&slot.swap(page)) {
                0 => Put::Anew,
                weight => Put::Instead(weight),
            }
        });
    }
}

/// What a page takes in memory; one that is none takes nothing.
fn weight(page: &Page) -> u64 {
    match page.bytes().len() as u64 {
        0 => 0,
        bytes => bytes + PAGE_COST,
    }
}

impl Shelf for Table {
    fn share(&self) -> &Share {
        &self.share
    }

    fn was_asked_for(&self, number: u32) -> bool {
        self.get(number).was_touched()
    }

    fn take(&self, number: u32) -> u64 {
        weight(&self.slot(number).swap(Arc::clone(&self.none)))
    }
}

#[cfg(test)]
pub(crate) mod tests;
