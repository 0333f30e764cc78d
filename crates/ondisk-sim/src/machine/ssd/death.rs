//! What a death leaves of a drive: its flash, and of what was under way what chance decides.
//!
//! Invariant: a block that is in flash stays. Of what is in the cache a power cut keeps any part
//! (capacitors: all), of what is being programmed it leaves the old or the new. A crash of the
//! kernel takes nothing from the drive.

use super::super::Death;
use super::super::arena::Arena;
use super::super::choice::{Choice, Chooser};
use super::super::config::{DriveCache, Sabotage};
use super::super::ids::{Lba, Ppa};
use super::super::message::Cargo;
use super::Ssd;
use super::cache::Cached;
use super::command::NO_VER;
use super::flash::{Flash, Page};
use super::ftl::{Ftl, Move};
use super::job::Job;
use super::saver::Save;

const SECTORS: usize = 8;
const SECTOR: usize = ondisk_fs::BLOCK / SECTORS;

impl Ssd {
    /// What would be left in flash if this death came now.
    pub fn left_by(&self, how: Death, arena: &mut Arena, chooser: &mut dyn Chooser) -> Flash {
        if how == Death::Kill {
            return self.ftl.flash.clone();
        }
        let capacitor = self.config.cache == DriveCache::Capacitor
            && self.config.sabotage != Some(Sabotage::CapacitorEmpty);
        let keeps = how == Death::Crash || capacitor;
        let mut ftl = self.ftl.clone();
        ftl.forget_move();
        let choice: fn(Lba) -> Choice = match self.config.cache {
            DriveCache::None => Choice::InFlight, // nobody was told yet
            _ => Choice::Cached,
        };
        let torn = self.config.torn;
        let mut dying = Dying { ftl: &mut ftl, arena, chooser, choice, keeps, torn };
        // In the order in which they began: so the pages of an erase block stay in order.
        let mut last = 0;
        while let Some(job) = self.job_after(last) {
            last = job.1;
            dying.program(job);
        }
        for job in self.jobs.iter().flatten() {
            match job {
                Job::Move(Move::Copy { page, to, .. }, _) => {
                    dying.ftl.program(*to, Page::broken(page.lba, page.seq));
                }
                Job::Save(Save::Page { half, .. }, _) => dying.ftl.flash.saved.break_page(*half),
                _ => {}
            }
        }
        for block in self.cache.iter() {
            dying.keep(choice(block.lba), block.lba, block.cargo, keeps);
        }
        self.arriving(&mut dying);
        ftl.flash
    }

    /// The program job that began next after this one.
    fn job_after(&self, last: u64) -> Option<(Cached, u64, Ppa)> {
        let jobs = self.jobs.iter().flatten().filter_map(|job| match job {
            Job::Program { block, at, seq } if *seq > last => Some((*block, *seq, *at)),
            _ => None,
        });
        jobs.min_by_key(|(_, seq, _)| *seq)
    }

    /// Blocks of commands that are not in the cache yet.
    fn arriving(&self, dying: &mut Dying) {
        for command in self.commands.iter().flatten() {
            for (lba, cargo) in command.outside() {
                dying.keep(Choice::InFlight(lba), lba, cargo, false);
            }
        }
    }
}

/// A drive in its last instant.
struct Dying<'a> {
    ftl: &'a mut Ftl,
    arena: &'a mut Arena,
    chooser: &'a mut dyn Chooser,
    /// What is decided about a block that the drive took.
    choice: fn(Lba) -> Choice,
    /// Whether such blocks are safe.
    keeps: bool,
    /// Whether a block that is being programmed may be torn.
    torn: bool,
}

impl Dying<'_> {
    /// A block that was being programmed.
    fn program(&mut self, (block, seq, at): (Cached, u64, Ppa)) {
        let Cached { lba, cargo, .. } = block;
        let new = match (self.keeps, self.torn) {
            (true, _) => SECTORS,
            (false, true) => {
                let answers = u32::try_from(SECTORS + 1).unwrap_or(u32::MAX);
                (self.chooser.pick(Choice::Torn(lba), answers) as usize).min(SECTORS)
            }
            (false, false) if self.chooser.pick((self.choice)(lba), 2) > 0 => SECTORS,
            (false, false) => 0,
        };
        let cargo = match new {
            0 => {
                self.ftl.program(at, Page::broken(lba, seq));
                return;
            }
            SECTORS => cargo,
            _ => self.mixed(lba, cargo, new * SECTOR),
        };
        self.ftl.program(at, Page::new(lba, cargo, seq));
        self.ftl.point(lba, at);
    }

    /// What is new up to a place and old from there on.
    fn mixed(&mut self, lba: Lba, new: Cargo, to: usize) -> Cargo {
        let old = self.ftl.read(lba).content;
        let head = *self.arena.bytes(new.content);
        Cargo { content: self.arena.patch(old, 0, &head[..to]), ver: NO_VER }
    }

    /// A block that may or may not come through.
    fn keep(&mut self, choice: Choice, lba: Lba, cargo: Cargo, surely: bool) {
        if surely || self.chooser.pick(choice, 2) > 0 {
            self.ftl.write_now(lba, cargo);
        }
    }
}
