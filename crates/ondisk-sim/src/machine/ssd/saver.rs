//! Who saves the map: pages of changes as they gather, a new checkpoint when the room is out.
//!
//! Invariant: a change is forgotten only when it stands in a page that was begun, or when a
//! checkpoint began after it. A checkpoint is written while the map goes on changing; what
//! changes meanwhile is written behind it.
//!
//! Knows nothing of time: each step says what is to be programmed, and is told when it is.

use std::sync::Arc;

use super::super::ids::{Lba, Ppa};
use super::flash::NOWHERE;
use super::ftl::Ftl;
use super::saved::{ENTRIES, Entry, MapPage, Part};

/// What is to be done to save the map.
#[derive(Clone, Debug)]
pub(super) enum Save {
    /// Programs a page.
    Page { half: usize, page: Arc<MapPage> },
    /// Erases a half.
    Erase { half: usize },
}

/// A checkpoint that is being written.
#[derive(Clone, Copy, Debug)]
struct Checkpoint {
    generation: u64,
    covers: u64,
    /// The first block that is in no page of it.
    next: u32,
}

/// Who saves the map.
#[derive(Clone, Debug, Default)]
pub(super) struct Saver {
    /// Changes that are saved nowhere, in order.
    changes: Vec<Entry>,
    checkpoint: Option<Checkpoint>,
}

impl Saver {
    /// Notes a change of the map.
    pub(super) fn changed(&mut self, lba: Lba, at: Ppa) {
        self.changes.push((lba, at));
    }
}

impl Ftl {
    /// What has to be done to save the map, if anything. Must be done before it is asked again.
    pub(super) fn next_save(&mut self) -> Option<Save> {
        if self.saver.checkpoint.is_none() && self.saver.changes.len() < ENTRIES {
            return None;
        }
        let saved = &self.flash.saved;
        let current = saved.current();
        let checkpoint = match (self.saver.checkpoint, current) {
            (Some(checkpoint), _) => checkpoint,
            (None, Some(half)) if saved.has_room(half) => return Some(self.save_changes(half)),
            (None, _) => {
                let generation = saved.generation() + 1;
                let begun = Checkpoint { generation, covers: self.flash.stamp(), next: 0 };
                self.saver.changes.clear(); // it will hold them
                *self.saver.checkpoint.insert(begun)
            }
        };
        let half = current.map_or(0, |half| 1 - half);
        let fresh = checkpoint.next == 0 && self.flash.saved.len(half) > 0;
        Some(match fresh {
            true => Save::Erase { half },
            false => Save::Page { half, page: self.table_page(checkpoint) },
        })
    }

    fn save_changes(&mut self, half: usize) -> Save {
        let count = self.saver.changes.len().min(ENTRIES);
        let whole = count == self.saver.changes.len();
        let last = self.flash.saved.read(half).last();
        let (generation, before) = last.map_or((0, 0), |page| (page.generation, page.covers));
        // With changes left behind it says nothing new of what is missing.
        let covers = if whole { self.flash.stamp() } else { before };
        let mut page = self.flash.saved.blank();
        if let Some(page) = Arc::get_mut(&mut page) {
            page.entries.extend(self.saver.changes.drain(..count));
            (page.part, page.seq) = (Part::Changes, self.seq);
            (page.generation, page.covers) = (generation, covers);
        }
        Save::Page { half, page }
    }

    fn table_page(&mut self, mut checkpoint: Checkpoint) -> Arc<MapPage> {
        let mut page = self.flash.saved.blank();
        let all = self.map.touched(checkpoint.next as usize);
        let mapped = all.filter(|(_, at)| **at != NOWHERE);
        let mut mapped = mapped.filter_map(|(lba, at)| Some((Lba(u32::try_from(lba).ok()?), *at)));
        if let Some(page) = Arc::get_mut(&mut page) {
            page.entries.extend(mapped.by_ref().take(ENTRIES));
            let last = mapped.next().is_none();
            checkpoint.next = page.entries.last().map_or(0, |(lba, _)| lba.0 + 1);
            self.saver.checkpoint = Some(checkpoint).filter(|_| !last);
            (page.part, page.seq) = (if last { Part::LastTable } else { Part::Table }, self.seq);
            (page.generation, page.covers) = (checkpoint.generation, checkpoint.covers);
        }
        page
    }

    /// Saves a whole checkpoint at once, as when a drive is formatted.
    pub(super) fn save_now(&mut self) {
        let checkpoint = Checkpoint { generation: 1, covers: self.flash.stamp(), next: 0 };
        self.saver = Saver { checkpoint: Some(checkpoint), ..Saver::default() };
        while let Some(Save::Page { half, page }) = self.next_save() {
            self.flash.saved.program(half, page);
        }
    }

    /// What is saved in flash becomes the map; up to which stamp that is all.
    pub(super) fn load(&mut self) -> u64 {
        let Some(half) = self.flash.saved.current() else { return 0 };
        let mut covers = 0;
        for page in self.flash.saved.read(half) {
            for (lba, at) in page.entries.iter() {
                self.map.set(lba.index(), *at);
            }
            covers = covers.max(page.covers);
            self.seq = self.seq.max(page.seq);
        }
        covers
    }
}
