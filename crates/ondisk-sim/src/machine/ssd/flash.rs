//! What a drive holds without power: pages with their spare areas, and how often each erase
//! block was erased.
//!
//! Invariant: a page is programmed once between two erases, in order; nothing else is ever
//! changed. Which page counts for a block of the device follows from the spare areas alone: the
//! highest sequence number whose checksum holds. (`newest` remembers it, so that nobody has to
//! scan; a test holds the scan against it.)
//!
//! Knows nothing of the drive's cache, of time and of who wrote.

use std::sync::Arc;

use super::super::arena::{Arena, Marks};
use super::super::config::DriveConfig;
use super::super::digest::{Digest, bytes_digest, mix2};
use super::super::ids::{BlockId, Lba, PageVer, Ppa};
use super::super::message::Cargo;
use super::ftl::Ftl;
use super::saved::Saved;
use super::table::Table;

/// No place.
pub(super) const NOWHERE: Ppa = Ppa { block: u32::MAX, page: u16::MAX };
/// The least number of spare erase blocks: what the collection of garbage needs to go on.
const SPARE: u32 = 10;

/// A page of flash that was programmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Page {
    /// Its bytes.
    pub(super) cargo: Cargo,
    /// Spare area: which block of the device.
    pub(super) lba: Lba,
    /// Spare area: the checksum. It stands for one over the bytes too: who cannot change bytes
    /// behind their number need not read them.
    crc: u32,
    /// Spare area: the higher, the newer. A copy keeps that of its original.
    pub(super) seq: u64,
    /// Spare area: the how manieth page this drive programmed.
    pub(super) stamp: u64,
}

impl Page {
    pub(super) fn new(lba: Lba, cargo: Cargo, seq: u64) -> Self {
        Self { cargo, lba, crc: crc(lba, cargo, seq), seq, stamp: 0 }
    }

    /// A page whose programming the power cut ended.
    pub(super) fn broken(lba: Lba, seq: u64) -> Self {
        let cargo = Cargo::default();
        Self { cargo, lba, crc: !crc(lba, cargo, seq), seq, stamp: 0 }
    }

    /// Whether its checksum holds.
    pub(super) fn is_whole(&self) -> bool {
        self.crc == crc(self.lba, self.cargo, self.seq)
    }

    /// Whether it counts rather than the other.
    pub(super) fn outdoes(&self, other: &Self) -> bool {
        (self.seq, self.stamp) > (other.seq, other.stamp)
    }
}

fn crc(lba: Lba, cargo: Cargo, seq: u64) -> u32 {
    let sum = mix2(mix2(u64::from(lba.0), seq), u64::from(cargo.content.0));
    u32::try_from(sum >> 32).unwrap_or(0)
}

/// Pages that are erased together.
#[derive(Clone, Debug, Default)]
struct EraseBlock {
    /// How often it was erased.
    wear: u32,
    /// The pages that were programmed since, in order.
    pages: Arc<Vec<Page>>,
}

/// What a drive holds without power.
#[derive(Clone, Debug)]
pub struct Flash {
    nand: Table<EraseBlock, 16>,
    /// Pages in an erase block.
    pages: u16,
    /// For each block of the device the page that counts.
    newest: Table<Ppa, 512>,
    stamp: u64,
    /// The map, as the drive saved it last.
    pub(super) saved: Saved,
}

impl Flash {
    /// A drive that never was written but for these blocks.
    #[must_use]
    pub fn format(config: &DriveConfig, blocks: &[(Lba, BlockId)]) -> Self {
        let pages = config.pages.max(1);
        let mut flash = Self {
            nand: Table::new(erase_blocks(config) as usize, &EraseBlock::default()),
            pages,
            newest: Table::new(config.blocks as usize, &NOWHERE),
            stamp: 0,
            saved: Saved::new(config.blocks as usize, pages),
        };
        let mut at = Ppa::default();
        let mut seq = 0;
        for (lba, content) in blocks {
            if lba.0 >= config.blocks || *content == flash.peek(*lba) {
                continue;
            }
            seq += 1;
            let cargo = Cargo { content: *content, ver: PageVer(0) };
            flash.program(at, Page::new(*lba, cargo, seq));
            at.page += 1;
            if at.page == pages {
                at = Ppa { block: at.block + 1, page: 0 };
            }
        }
        let mut ftl = Ftl::power_up(config, flash);
        ftl.save_now();
        ftl.flash
    }

    /// What a read gives after the power is switched on. Zeros where nothing was written.
    #[must_use]
    pub fn peek(&self, lba: Lba) -> BlockId {
        self.newest_page(lba).map_or(BlockId::ZERO, |page| page.cargo.content)
    }

    /// Changes the bytes of a block behind the drive's back, for tests of damaged media.
    /// A block that was never written is written, if there is room.
    pub fn poke(&mut self, lba: Lba, content: BlockId) {
        let cargo = Cargo { content, ver: PageVer(0) };
        let at = self.newest.get(lba.index()).copied().unwrap_or(NOWHERE);
        if let Some(page) = self.page_mut(at) {
            *page = Page { stamp: page.stamp, ..Page::new(lba, cargo, page.seq) };
            return;
        }
        let room = |block: &EraseBlock| block.pages.len() < usize::from(self.pages);
        let Some(block) = self.nand.iter().position(room) else { return };
        if lba.index() < self.newest.len() {
            let block = u32::try_from(block).unwrap_or(u32::MAX);
            let page = u16::try_from(self.programmed(block).len()).unwrap_or(u16::MAX);
            self.program(Ppa { block, page }, Page::new(lba, cargo, self.highest() + 1));
        }
    }

    /// Marks every content that a read may give.
    pub fn marks(&self, marks: &mut Marks) {
        for at in self.newest.iter().filter(|at| **at != NOWHERE) {
            if let Some(page) = self.page(*at) {
                marks.hold(page.cargo.content);
            }
        }
    }

    /// Adds what stands where, and the wear.
    pub fn digest(&self, arena: &Arena, digest: &mut Digest) {
        for (number, block) in (0_u64..).zip(self.nand.iter()) {
            if block.wear == 0 && block.pages.is_empty() {
                continue;
            }
            digest.add(number);
            digest.add(u64::from(block.wear));
            for page in block.pages.iter() {
                digest.add(u64::from(page.lba.0));
                digest.add(page.seq);
                digest.add(u64::from(page.is_whole()));
            }
        }
        self.saved.numbers().for_each(|number| digest.add(number));
        for (lba, at) in (0_u64..).zip(self.newest.iter()) {
            if let Some(page) = self.page(*at) {
                let bytes = bytes_digest(arena.bytes(page.cargo.content));
                digest.add(lba);
                digest.add(bytes.0);
                digest.add(bytes.1);
            }
        }
    }

    /// How often each erase block was erased.
    pub fn wear(&self) -> impl Iterator<Item = u32> {
        self.nand.iter().map(|block| block.wear)
    }

    /// How many pages were ever programmed.
    pub(super) const fn stamp(&self) -> u64 {
        self.stamp
    }

    /// How many erase blocks there are, beside those of the saved map.
    pub(super) fn erase_blocks(&self) -> u32 {
        u32::try_from(self.nand.len()).unwrap_or(u32::MAX)
    }

    /// Pages in an erase block.
    pub(super) const fn pages(&self) -> u16 {
        self.pages
    }

    /// How many blocks the device has.
    pub(super) const fn blocks(&self) -> usize {
        self.newest.len()
    }

    /// How often an erase block was erased.
    pub(super) fn wear_of(&self, block: u32) -> u32 {
        self.nand.get(block as usize).map_or(0, |block| block.wear)
    }

    /// The pages of an erase block that are programmed.
    pub(super) fn programmed(&self, block: u32) -> &[Page] {
        self.nand.get(block as usize).map_or(&[], |block| &block.pages)
    }

    /// A page.
    pub(super) fn page(&self, at: Ppa) -> Option<&Page> {
        self.nand.get(at.block as usize)?.pages.get(usize::from(at.page))
    }

    fn page_mut(&mut self, at: Ppa) -> Option<&mut Page> {
        self.page(at)?;
        Arc::make_mut(&mut self.nand.get_mut(at.block as usize)?.pages)
            .get_mut(usize::from(at.page))
    }

    fn newest_page(&self, lba: Lba) -> Option<&Page> {
        self.page(*self.newest.get(lba.index())?)
    }

    /// Programs the next page of an erase block, which is this one.
    pub(super) fn program(&mut self, at: Ppa, mut page: Page) {
        self.stamp += 1;
        page.stamp = self.stamp;
        let counts = page.is_whole() && self.newest_page(page.lba).is_none_or(|p| page.outdoes(p));
        let Some(block) = self.nand.get_mut(at.block as usize) else { return };
        let pages = Arc::make_mut(&mut block.pages);
        assert_eq!(pages.len(), usize::from(at.page), "a page is programmed once, and in order");
        assert!(at.page < self.pages, "an erase block has no more pages");
        if pages.capacity() == 0 {
            pages.reserve_exact(usize::from(self.pages));
        }
        pages.push(page);
        if counts {
            self.newest.set(page.lba.index(), at);
        }
    }

    /// Erases a block.
    pub(super) fn erase(&mut self, number: u32) {
        let counts = |(page, found): (u16, &Page)| {
            let at = Ppa { block: number, page };
            (self.newest.get(found.lba.index()) == Some(&at)).then_some(found.lba)
        };
        // None, unless the collection of garbage loses pages.
        let lost: Vec<Lba> = (0..).zip(self.programmed(number)).filter_map(counts).collect();
        let Some(block) = self.nand.get_mut(number as usize) else { return };
        block.wear += 1;
        match Arc::get_mut(&mut block.pages) {
            Some(pages) => pages.clear(),
            None => block.pages = Arc::default(),
        }
        for lba in lost {
            let next = self.scan_for(lba);
            self.newest.set(lba.index(), next);
        }
    }

    /// The highest sequence number.
    pub(super) fn highest(&self) -> u64 {
        let pages = self.nand.iter().flat_map(|block| block.pages.iter());
        pages.map(|page| page.seq).max().unwrap_or(0)
    }

    /// Where the page that counts for a block is, found the slow way.
    fn scan_for(&self, lba: Lba) -> Ppa {
        let mut best: Option<(Ppa, &Page)> = None;
        for (number, block) in (0..).zip(self.nand.iter()) {
            for (page, found) in (0..).zip(block.pages.iter()) {
                let mine = found.lba == lba && found.is_whole();
                if mine && best.is_none_or(|(_, best)| found.outdoes(best)) {
                    best = Some((Ppa { block: number, page }, found));
                }
            }
        }
        best.map_or(NOWHERE, |(at, _)| at)
    }
}

/// How many erase blocks a drive has.
fn erase_blocks(config: &DriveConfig) -> u32 {
    let pages = u64::from(config.pages.max(1));
    let blocks = u64::from(config.blocks);
    let spare = (blocks * u64::from(config.spare)).div_ceil(1000 * pages);
    let all = blocks.div_ceil(pages) + spare.max(u64::from(SPARE));
    u32::try_from(all).unwrap_or(u32::MAX)
}
