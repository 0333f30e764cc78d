//! The map as it is saved in flash: a checkpoint and the changes since, in two halves that are
//! written in turn.
//!
//! Invariant: a half is erased only when the other holds a whole checkpoint, or nobody ever
//! needed one. What is saved may be old, but never more than what [`Saved::covers`] says is
//! missing from it: who looks at all pages of flash with a later stamp knows the whole map.
//!
//! ```text
//! half 0  [table]+ [changes]*        a table page says whether it is the last
//! half 1  [table]+ [changes]*        the half with the higher generation counts, if it is whole
//! ```

use std::sync::Arc;

use super::super::ids::{Lba, Ppa};

/// So many entries are in a page, with its head: 12 bytes each.
pub(super) const ENTRIES: usize = 338;
/// So many pages of changes there is room for at least.
const CHANGES: usize = 32;

/// Where a block is.
pub(super) type Entry = (Lba, Ppa);

/// What a page of the saved map holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Part {
    /// A part of the map.
    Table,
    /// The last part of it.
    LastTable,
    /// Changes.
    Changes,
    /// Nothing: a power cut ended its programming.
    #[default]
    Broken,
}

/// A page of the saved map.
#[derive(Clone, Debug, Default)]
pub(super) struct MapPage {
    /// Which checkpoint of all.
    pub(super) generation: u64,
    pub(super) part: Part,
    /// With all pages before, it holds what was programmed up to this stamp.
    pub(super) covers: u64,
    /// No sequence number up to this stamp is higher.
    pub(super) seq: u64,
    pub(super) entries: Vec<Entry>,
}

/// Pages that were erased and that nobody else has, used again. A copy has none.
#[derive(Debug, Default)]
struct Spare(Vec<Arc<MapPage>>);

impl Clone for Spare {
    fn clone(&self) -> Self {
        Self::default()
    }
}

/// Erase blocks that are written and erased as one.
#[derive(Clone, Debug, Default)]
struct Half {
    pages: Vec<Arc<MapPage>>,
    wear: u32,
}

impl Half {
    /// Its generation, if its checkpoint is whole.
    fn generation(&self) -> Option<u64> {
        let first = self.pages.first()?;
        let mut parts = self.pages.iter().map(|page| page.part);
        let end = parts.find(|part| *part != Part::Table);
        (end == Some(Part::LastTable)).then_some(first.generation)
    }
}

/// The part of flash that holds the saved map.
#[derive(Clone, Debug)]
pub(super) struct Saved {
    halves: Arc<[Half; 2]>,
    /// Pages that a half has.
    room: usize,
    spare: Spare,
}

impl Saved {
    /// Room for the map of so many blocks, in whole erase blocks.
    pub(super) fn new(blocks: usize, pages: u16) -> Self {
        let table = blocks.div_ceil(ENTRIES).max(1);
        let pages = usize::from(pages.max(1));
        let erase_blocks = (table + table.max(CHANGES)).div_ceil(pages);
        Self { halves: Arc::default(), room: erase_blocks * pages, spare: Spare::default() }
    }

    /// The half that counts.
    pub(super) fn current(&self) -> Option<usize> {
        let whole = (0..2).filter_map(|half| Some((self.halves[half].generation()?, half)));
        whole.max().map(|(_, half)| half)
    }

    /// The highest generation that was begun.
    pub(super) fn generation(&self) -> u64 {
        let pages = self.halves.iter().flat_map(|half| &half.pages);
        pages.map(|page| page.generation).max().unwrap_or(0)
    }

    /// All pages of a half that can be read.
    pub(super) fn read(&self, half: usize) -> impl Iterator<Item = &MapPage> {
        let pages = self.halves[half].pages.iter().map(Arc::as_ref);
        pages.filter(|page| page.part != Part::Broken)
    }

    /// How many pages of a half are programmed.
    pub(super) fn len(&self, half: usize) -> usize {
        self.halves[half].pages.len()
    }

    /// Whether a half has room for one page more.
    pub(super) fn has_room(&self, half: usize) -> bool {
        self.len(half) < self.room
    }

    /// An empty page that nobody else has.
    pub(super) fn blank(&mut self) -> Arc<MapPage> {
        self.spare.0.pop().unwrap_or_default()
    }

    /// Programs the next page of a half.
    pub(super) fn program(&mut self, half: usize, page: Arc<MapPage>) {
        assert!(self.has_room(half), "a half has no more pages");
        Arc::make_mut(&mut self.halves)[half].pages.push(page);
    }

    /// Erases a half; how often by now.
    pub(super) fn erase(&mut self, half: usize) -> u32 {
        let half = &mut Arc::make_mut(&mut self.halves)[half];
        for mut page in half.pages.drain(..) {
            if let Some(own) = Arc::get_mut(&mut page) {
                own.entries.clear();
                self.spare.0.push(page);
            }
        }
        half.wear += 1;
        half.wear
    }

    /// A page of a half whose programming a power cut ended.
    pub(super) fn break_page(&mut self, half: usize) {
        self.program(half, Arc::default());
    }

    /// The place of a page of a half, behind this many erase blocks.
    pub(super) fn place(&self, half: usize, page: usize, behind: u32, pages: u16) -> Ppa {
        let at = half * self.room + page;
        let pages = usize::from(pages.max(1));
        let block = behind + u32::try_from(at / pages).unwrap_or(u32::MAX);
        Ppa { block, page: u16::try_from(at % pages).unwrap_or(u16::MAX) }
    }

    /// The erase blocks of a half, behind this many.
    pub(super) fn blocks(&self, half: usize, behind: u32, pages: u16) -> std::ops::Range<u32> {
        let start = |half| self.place(half, 0, behind, pages).block;
        start(half)..start(half + 1)
    }

    /// What is saved, as numbers.
    pub(super) fn numbers(&self) -> impl Iterator<Item = u64> {
        let number =
            |page: &Arc<MapPage>| [page.generation, page.covers, page.entries.len() as u64];
        self.halves.iter().flat_map(move |half| {
            let wear = std::iter::once(u64::from(half.wear));
            wear.chain(half.pages.iter().flat_map(number))
        })
    }
}
