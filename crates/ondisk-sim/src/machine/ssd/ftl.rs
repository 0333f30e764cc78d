//! The flash translation layer: where in flash each block of the device is.
//!
//! Invariant: the map names for each block the page with the highest sequence number that was
//! programmed for it, and an erase block is erased only when the map names none of its pages. The
//! host's writes leave free erase blocks enough for the collection of garbage to go on.
//!
//! Knows nothing of time and of the drive's cache: each step is done at once.

use super::super::config::{DriveConfig, Sabotage};
use super::super::ids::{Lba, Ppa};
use super::super::message::Cargo;
use super::flash::{Flash, NOWHERE, Page};
use super::saver::Saver;
use super::table::Table;

/// Garbage is collected from so few free erase blocks on
const COLLECT_FROM: usize = 3;
/// up to so many.
const COLLECT_TO: usize = 5;
/// So many free erase blocks the host's writes leave to the collection of garbage.
const HOST_LEAVES: usize = 2;
/// From this difference between the most and the least erased block on, the coldest is moved.
const SPREAD: u32 = 16;

/// Who writes: each has an erase block of its own open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Writer {
    /// The host.
    Host = 0,
    /// Garbage collection and wear levelling.
    Mover = 1,
}

/// Why pages are moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// To free an erase block.
    Garbage,
    /// To spread the wear.
    Wear,
}

/// What an erase block is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    Free,
    Open,
    Full,
    /// Its pages are being moved.
    Victim,
}

#[derive(Clone, Copy, Debug)]
struct Open {
    block: u32,
    next: u16,
}

#[derive(Clone, Copy, Debug)]
struct Victim {
    block: u32,
    next: u16,
    why: Why,
}

/// What the mover does next.
#[derive(Clone, Copy, Debug)]
pub(super) enum Move {
    /// Copies a page.
    Copy { page: Page, from: Ppa, to: Ppa, why: Why },
    /// Erases a block of which nothing is needed any more.
    Erase { block: u32, why: Why },
}

/// The flash translation layer, with the flash under it.
#[derive(Clone, Debug)]
pub(super) struct Ftl {
    pub(super) flash: Flash,
    pub(super) map: Table<Ppa, 512>,
    /// For each erase block how many of its pages the map names.
    valid: Vec<u16>,
    uses: Vec<Use>,
    free: Vec<u32>,
    open: [Option<Open>; 2],
    pub(super) seq: u64,
    collecting: bool,
    levelling: bool,
    victim: Option<Victim>,
    pub(super) saver: Saver,
    sabotage: Option<Sabotage>,
}

impl Ftl {
    /// The map as flash alone tells it.
    pub(super) fn power_up(config: &DriveConfig, flash: Flash) -> Self {
        let erase_blocks = flash.erase_blocks();
        let mut ftl = Self {
            map: Table::new(flash.blocks(), &NOWHERE),
            valid: vec![0; erase_blocks as usize],
            uses: vec![Use::Free; erase_blocks as usize],
            free: Vec::new(),
            open: [None; 2],
            seq: 0,
            collecting: false,
            levelling: false,
            victim: None,
            saver: Saver::default(),
            sabotage: config.sabotage,
            flash,
        };
        let covers = ftl.load();
        if config.sabotage != Some(Sabotage::SavedMapIsAll) {
            ftl.scan(covers);
        }
        ftl.count();
        for block in 0..erase_blocks {
            ftl.find_use(block);
        }
        ftl.collecting = ftl.free.len() <= COLLECT_FROM;
        ftl
    }

    /// Reads the spare areas of pages with a later stamp than this: the highest sequence number
    /// counts.
    fn scan(&mut self, covers: u64) {
        for block in 0..self.flash.erase_blocks() {
            let last = self.flash.programmed(block).last();
            if last.is_none_or(|page| page.stamp <= covers) {
                continue;
            }
            for page in 0..self.flash.pages() {
                let at = Ppa { block, page };
                let Some(found) = self.flash.page(at).copied() else { break };
                self.seq = self.seq.max(found.seq);
                if found.is_whole() && found.stamp > covers && self.is_newer(&found) {
                    self.map.set(found.lba.index(), at);
                    self.saver.changed(found.lba, at);
                }
            }
        }
    }

    /// Whether a page counts rather than the one that the map names.
    fn is_newer(&self, found: &Page) -> bool {
        // What is saved may name a page that was erased since, and is another's or nobody's.
        let mine = |known: &&Page| known.lba == found.lba && known.is_whole();
        let known = self.page(found.lba).filter(mine);
        known.is_none_or(|known| match self.sabotage {
            Some(Sabotage::StaleSeqWins) => !found.outdoes(known),
            _ => found.outdoes(known),
        })
    }

    /// Counts the pages that the map names.
    fn count(&mut self) {
        for at in self.map.iter().filter(|at| **at != NOWHERE) {
            self.valid[at.block as usize] += 1;
        }
    }

    fn find_use(&mut self, block: u32) {
        let len = self.flash.programmed(block).len();
        let open = self.open.iter_mut().find(|open| open.is_none());
        self.uses[block as usize] = match u16::try_from(len) {
            Ok(0) => {
                self.free.push(block);
                Use::Free
            }
            Ok(next) if next < self.flash.pages() && open.is_some() => {
                if let Some(open) = open {
                    *open = Some(Open { block, next });
                }
                Use::Open
            }
            _ => Use::Full,
        };
    }

    /// The page that the map names for a block.
    pub(super) fn page(&self, lba: Lba) -> Option<&Page> {
        self.flash.page(*self.map.get(lba.index())?)
    }

    /// What a read from flash gives.
    pub(super) fn read(&self, lba: Lba) -> Cargo {
        self.page(lba).map_or_else(Cargo::default, |page| page.cargo)
    }

    /// The next sequence number.
    pub(super) const fn next_seq(&mut self) -> u64 {
        self.seq += 1;
        self.seq
    }

    /// The page that is programmed next, if there is one. It must be programmed.
    pub(super) fn place(&mut self, writer: Writer) -> Option<Ppa> {
        let pages = self.flash.pages();
        let slot = writer as usize;
        let open = match self.open[slot].filter(|open| open.next < pages) {
            Some(open) => open,
            None => Open { block: self.take_free(writer)?, next: 0 },
        };
        self.open[slot] = Some(Open { next: open.next + 1, ..open });
        Some(Ppa { block: open.block, page: open.next })
    }

    /// Whether the host has a page to program.
    pub(super) fn has_place(&self) -> bool {
        let open = self.open[Writer::Host as usize];
        open.is_some_and(|open| open.next < self.flash.pages()) || self.free.len() > HOST_LEAVES
    }

    /// Takes the free erase block that was erased least; for cold pages the one erased most.
    fn take_free(&mut self, writer: Writer) -> Option<u32> {
        if writer == Writer::Host && self.free.len() <= HOST_LEAVES {
            return None;
        }
        let wear = |block: u32| (self.flash.wear_of(block), block);
        let blocks = (0..self.free.len()).map(|at| (wear(self.free[at]), at));
        let cold = self.victim.is_some_and(|victim| victim.why == Why::Wear);
        let (_, at) = match writer {
            Writer::Mover if cold => blocks.max(),
            _ => blocks.min(),
        }?;
        let block = self.free.swap_remove(at);
        self.uses[block as usize] = Use::Open;
        self.collecting |= self.free.len() <= COLLECT_FROM;
        Some(block)
    }

    /// Programs a page at its place. The map does not name it yet.
    pub(super) fn program(&mut self, at: Ppa, page: Page) {
        self.flash.program(at, page);
        if at.page + 1 == self.flash.pages() {
            self.uses[at.block as usize] = Use::Full;
        }
    }

    /// The map names this page from here on.
    pub(super) fn point(&mut self, lba: Lba, at: Ppa) {
        let Some(old) = self.map.get_mut(lba.index()) else { return };
        let before = std::mem::replace(old, at);
        if before != NOWHERE {
            self.valid[before.block as usize] -= 1;
        }
        self.valid[at.block as usize] += 1;
        self.saver.changed(lba, at);
    }

    /// What the mover has to do, if anything. Must be done before it is asked again.
    pub(super) fn next_move(&mut self) -> Option<Move> {
        let mut victim = match self.victim {
            Some(victim) => victim,
            None => self.pick_victim()?,
        };
        self.uses[victim.block as usize] = Use::Victim;
        while victim.next < self.flash.pages() {
            let from = Ppa { block: victim.block, page: victim.next };
            let Some(page) = self.flash.page(from).copied() else { break };
            if self.map.get(page.lba.index()) == Some(&from) && !self.forgets(from, page.lba) {
                self.victim = Some(victim);
                let to = self.place(Writer::Mover)?;
                self.victim = Some(Victim { next: victim.next + 1, ..victim });
                if self.sabotage == Some(Sabotage::EraseBeforeCopy) && self.is_last(from) {
                    self.flash.erase(from.block);
                }
                return Some(Move::Copy { page, from, to, why: victim.why });
            }
            victim.next += 1;
        }
        self.victim = Some(victim);
        Some(Move::Erase { block: victim.block, why: victim.why })
    }

    /// Whether no other page of its erase block is named by the map.
    fn is_last(&self, at: Ppa) -> bool {
        self.valid[at.block as usize] == 1
    }

    /// Forgets a page, where that mistake was planted.
    fn forgets(&mut self, at: Ppa, lba: Lba) -> bool {
        let forgets = self.sabotage == Some(Sabotage::GcLosesPage) && self.is_last(at);
        if forgets {
            self.map.set(lba.index(), NOWHERE);
            self.valid[at.block as usize] = 0;
        }
        forgets
    }

    /// The full erase block with the fewest valid pages; or the coldest, if it is its turn.
    fn pick_victim(&mut self) -> Option<Victim> {
        let full = (0..).zip(&self.uses).filter(|(_, used)| **used == Use::Full);
        let full = full.map(|(block, _)| block);
        if self.levelling && self.free.len() >= HOST_LEAVES {
            self.levelling = false;
            let most = self.flash.wear().max().unwrap_or(0);
            let coldest = full.clone().min_by_key(|block| (self.flash.wear_of(*block), *block));
            if let Some(block) = coldest.filter(|at| self.flash.wear_of(*at) + SPREAD < most) {
                return Some(Victim { block, next: 0, why: Why::Wear });
            }
        }
        if !self.collecting {
            return None;
        }
        let valid = |block: &u32| (self.valid[*block as usize], *block);
        let block = full.min_by_key(valid)?;
        let worth = self.valid[block as usize] < self.flash.pages();
        worth.then_some(Victim { block, next: 0, why: Why::Garbage })
    }

    /// A copy was programmed. Whether the map names it: not if the host wrote meanwhile.
    pub(super) fn copied(&mut self, page: Page, from: Ppa, to: Ppa) -> bool {
        self.program(to, page);
        let current = self.map.get(page.lba.index()) == Some(&from);
        if current {
            self.point(page.lba, to);
        }
        current
    }

    /// A victim was erased; how often by now.
    pub(super) fn erased(&mut self, block: u32) -> u32 {
        self.flash.erase(block);
        self.victim = None;
        self.uses[block as usize] = Use::Free;
        self.free.push(block);
        self.collecting &= self.free.len() < COLLECT_TO;
        let wear = self.flash.wear_of(block);
        let least = self.flash.wear().min().unwrap_or(0);
        self.levelling |= wear > least + SPREAD;
        wear
    }

    /// Writes a block without taking time: what a dying drive does. Collects garbage if it must.
    pub(super) fn write_now(&mut self, lba: Lba, cargo: Cargo) -> bool {
        while !self.has_place() {
            match self.next_move() {
                Some(Move::Copy { page, from, to, .. }) => {
                    self.copied(page, from, to);
                }
                Some(Move::Erase { block, .. }) => {
                    self.erased(block);
                }
                None => return false,
            }
        }
        let Some(at) = self.place(Writer::Host) else { return false };
        let seq = self.next_seq();
        self.program(at, Page::new(lba, cargo, seq));
        self.point(lba, at);
        true
    }

    /// What the mover was at is to be begun again.
    pub(super) fn forget_move(&mut self) {
        if let Some(victim) = self.victim.take() {
            self.uses[victim.block as usize] = Use::Full;
        }
    }
}
