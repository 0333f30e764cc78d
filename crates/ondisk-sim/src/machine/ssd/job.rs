//! Jobs: what the channels do. Blocks of the cache are programmed, pages are moved, erase blocks
//! erased.
//!
//! Invariant: a page is programmed and the map names it at one instant. The mover has one job at
//! a time, and while it has something to do, every other turn that it can take.

use super::super::config::DriveCache;
use super::super::event::{Kind, Layer};
use super::super::ids::{EventId, Lba, Ns, OpId, Ppa};
use super::super::layer::Cx;
use super::super::message::Cargo;
use super::cache::{Cached, Waiters};
use super::command::NO_VER;
use super::flash::Page;
use super::ftl::{Move, Why, Writer};
use super::saver::Save;
use super::{Ssd, Timer};
use ondisk_fs::Rung;

/// What a channel does.
#[derive(Clone, Debug)]
pub(super) enum Job {
    /// Programs a block of the cache.
    Program { block: Cached, at: Ppa, seq: u64 },
    /// Moves pages, or erases.
    Move(Move, EventId),
    /// Saves a part of the map.
    Save(Save, EventId),
}

impl Job {
    /// The block that it programs.
    pub(super) fn carries(&self) -> Option<(Lba, Cargo)> {
        match self {
            Self::Program { block, .. } => Some((block.lba, block.cargo)),
            Self::Move(Move::Copy { page, .. }, _) => Some((page.lba, page.cargo)),
            Self::Move(Move::Erase { .. }, _) | Self::Save(..) => None,
        }
    }

    /// Whether at its end there is room for one block more in the cache.
    pub(super) const fn frees_cache(&self) -> bool {
        matches!(self, Self::Program { .. })
    }
}

impl Ssd {
    /// The newest version of a block that is not in flash yet.
    pub(super) fn held(&self, lba: Lba) -> Option<Cargo> {
        if let Some(block) = self.cache.get(lba) {
            return Some(block.cargo);
        }
        let programming = self.jobs.iter().flatten().filter_map(|job| match job {
            Job::Program { block, seq, .. } if block.lba == lba => Some((*seq, block.cargo)),
            _ => None,
        });
        programming.max_by_key(|(seq, _)| *seq).map(|(_, cargo)| cargo)
    }

    /// Somebody waits for all blocks that are not in flash yet; how many that are. From here on
    /// they are programmed because of it.
    pub(super) fn wait_for_all(&mut self, waiter: Waiters, why: EventId) -> u32 {
        let mut count = self.cache.wait_for_all(waiter, why);
        for job in self.jobs.iter_mut().flatten() {
            if let Job::Program { block, .. } = job {
                block.waiters |= waiter;
                block.cause = why;
                count += 1;
            }
        }
        count
    }

    /// Gives every idle channel something to do, as far as there is.
    pub(super) fn start_jobs(&mut self, cx: &Cx) {
        while let Some(channel) = self.free_channels.last().copied() {
            let mover_first = !self.moved_last || !self.host_can_program();
            let job = match mover_first {
                true => self.next_move(cx),
                false => None,
            };
            let job = job.or_else(|| self.next_save(cx)).or_else(|| self.next_program());
            let Some((job, takes)) = job else { return };
            self.free_channels.pop();
            self.moved_last = matches!(job, Job::Move(..));
            self.jobs[usize::from(channel)] = Some(job);
            self.set_timer(cx.now + takes, Timer::Job(channel));
        }
    }

    fn host_can_program(&self) -> bool {
        self.cache.len() > 0 && self.ftl.has_place()
    }

    fn next_program(&mut self) -> Option<(Job, Ns)> {
        if !self.host_can_program() {
            return None;
        }
        let block = self.cache.pop()?;
        let at = self.ftl.place(Writer::Host)?;
        let seq = self.ftl.next_seq();
        Some((Job::Program { block, at, seq }, self.config.program))
    }

    fn next_move(&mut self, cx: &Cx) -> Option<(Job, Ns)> {
        if self.moving {
            return None;
        }
        let what = self.ftl.next_move()?;
        self.moving = true;
        let takes = match what {
            Move::Copy { .. } => self.config.read + self.config.program,
            Move::Erase { .. } => self.config.erase,
        };
        Some((Job::Move(what, cx.reason()), takes))
    }

    fn next_save(&mut self, cx: &Cx) -> Option<(Job, Ns)> {
        if self.saving {
            return None;
        }
        let what = self.ftl.next_save()?;
        self.saving = true;
        let takes = match what {
            Save::Page { .. } => self.config.program,
            Save::Erase { .. } => self.config.erase,
        };
        Some((Job::Save(what, cx.reason()), takes))
    }

    /// A channel is done.
    pub(super) fn job_done(&mut self, cx: &mut Cx, channel: u16) {
        let Some(job) = self.jobs[usize::from(channel)].take() else { return };
        self.free_channels.push(channel);
        match job {
            Job::Program { block, at, seq } => self.programmed(cx, block, at, seq),
            Job::Move(what, cause) => {
                self.moving = false;
                cx.because(cause);
                self.moved(cx, what);
            }
            Job::Save(what, cause) => {
                self.saving = false;
                cx.because(cause);
                self.saved(cx, what);
            }
        }
    }

    fn saved(&mut self, cx: &mut Cx, what: Save) {
        let flash = &mut self.ftl.flash;
        let (behind, pages) = (flash.erase_blocks(), flash.pages());
        match what {
            Save::Page { half, page } => {
                let ppa = flash.saved.place(half, flash.saved.len(half), behind, pages);
                let count = u32::try_from(page.entries.len()).unwrap_or(u32::MAX);
                flash.saved.program(half, page);
                self.counters.map += 1;
                cx.event(Layer::Ssd, OpId(0), NO_VER, Kind::MapSaved { ppa, count });
            }
            Save::Erase { half } => {
                let wear = flash.saved.erase(half);
                for block in flash.saved.blocks(half, behind, pages) {
                    self.counters.erased_for_map += 1;
                    cx.event(Layer::Ssd, OpId(0), NO_VER, Kind::Erased { block, wear });
                }
            }
        }
    }

    fn programmed(&mut self, cx: &mut Cx, block: Cached, at: Ppa, seq: u64) {
        let Cached { lba, cargo, op, cause, waiters, .. } = block;
        self.ftl.program(at, Page::new(lba, cargo, seq));
        self.ftl.point(lba, at);
        self.counters.programmed += 1;
        cx.because(cause);
        let programmed = cx.event(Layer::Ssd, op, cargo.ver, Kind::Programmed { lba, ppa: at });
        cx.because(programmed);
        let mapped = cx.event(Layer::Ssd, op, cargo.ver, Kind::Mapped { lba, ppa: at });
        cx.because(mapped);
        if self.config.cache != DriveCache::Capacitor {
            let rung = Rung::Durable;
            cx.event(Layer::Ssd, op, cargo.ver, Kind::Settled { lba, rung });
        }
        self.wake(cx, waiters);
    }

    fn moved(&mut self, cx: &mut Cx, what: Move) {
        match what {
            Move::Copy { page, from, to, why } => {
                let lba = page.lba;
                let mapped = self.ftl.copied(page, from, to);
                let kind = match why {
                    Why::Garbage => Kind::GcCopy { lba, from, to },
                    Why::Wear => Kind::WearMove { lba, from, to },
                };
                let count = match why {
                    Why::Garbage => &mut self.counters.collected,
                    Why::Wear => &mut self.counters.levelled,
                };
                *count += 1;
                let event = cx.event(Layer::Ssd, OpId(0), page.cargo.ver, kind);
                cx.because(event);
                if mapped {
                    let kind = Kind::Mapped { lba, ppa: to };
                    cx.event(Layer::Ssd, OpId(0), page.cargo.ver, kind);
                }
            }
            Move::Erase { block, why } => {
                let wear = self.ftl.erased(block);
                let count = match why {
                    Why::Garbage => &mut self.counters.erased,
                    Why::Wear => &mut self.counters.erased_for_wear,
                };
                *count += 1;
                cx.event(Layer::Ssd, OpId(0), NO_VER, Kind::Erased { block, wear });
            }
        }
    }
}
