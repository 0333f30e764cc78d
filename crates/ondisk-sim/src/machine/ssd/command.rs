//! Commands: taken, brought into the cache, answered.
//!
//! Invariant: a command is answered once; a write when all its blocks are in the cache, with FUA
//! when they are in flash; a FLUSH when all that was in the cache as it began is in flash.

use super::super::Errno;
use super::super::config::{DriveCache, FlushIs, Sabotage};
use super::super::event::{Cmd, Kind, Layer};
use super::super::ids::{EventId, Lba, Ns, OpId, PageVer, RqId};
use super::super::layer::Cx;
use super::super::message::{Cargo, Msg, SsdDone, SsdReq};
use super::cache::{Cached, Waiters};
use super::{Ssd, Timer};
use ondisk_fs::Rung;

/// So many commands are under way at once, one for each bit of [`Waiters`].
const SLOTS: u8 = 64;
const _: () = assert!(SLOTS as u32 == Waiters::BITS);
/// A FLUSH where capacitors keep the cache.
const CAPACITOR_FLUSH: Ns = Ns(20_000);

/// How far a command is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Its blocks are on the way.
    Arriving,
    /// Its blocks go into the cache.
    Entering,
    /// It waits for blocks to be programmed.
    Waiting,
    /// What is read is fetched.
    Reading,
    /// There is but the answer left.
    Answering,
}

/// A command under way.
#[derive(Clone, Debug)]
pub(super) struct Command {
    rq: RqId,
    op: OpId,
    pub(super) cmd: Cmd,
    pub(super) lba: Lba,
    pub(super) cargo: Vec<Cargo>,
    fail: Option<Errno>,
    pub(super) stage: Stage,
    /// So many of its blocks are in the cache.
    pub(super) entered: u32,
    /// So many blocks it waits for.
    left: u32,
    /// The event that it is due to.
    reason: EventId,
}

impl Command {
    /// Its blocks that are not in the cache yet.
    pub(super) fn outside(&self) -> impl Iterator<Item = (Lba, Cargo)> {
        let writes = matches!(self.cmd, Cmd::Write | Cmd::WriteFua) && self.fail.is_none();
        let blocks = (self.lba.0..).map(Lba).zip(self.cargo.iter().copied());
        blocks.skip(if writes { self.entered as usize } else { usize::MAX })
    }
}

impl Ssd {
    /// A slot for a command, if there is one.
    pub(super) fn free_slot(&mut self) -> Option<u8> {
        self.free_slots.pop().or_else(|| {
            let slot = u8::try_from(self.commands.len()).ok().filter(|slot| *slot < SLOTS)?;
            self.commands.push(None);
            Some(slot)
        })
    }

    /// Takes a command.
    pub(super) fn begin(&mut self, cx: &Cx, slot: u8, req: SsdReq, reason: EventId) {
        let SsdReq { rq, op, cmd, lba, cargo, fail, .. } = req;
        let end = lba.index() + cargo.len();
        let fail = fail.or((end > self.ftl.flash.blocks()).then_some(Errno::Io));
        let (first, each) = self.config.accept;
        let arrival = Ns(first.0 + each.0 * cargo.len() as u64);
        let command = Command {
            rq,
            op,
            cmd,
            lba,
            cargo,
            fail,
            stage: Stage::Answering,
            entered: 0,
            left: 0,
            reason,
        };
        let (stage, wait) = match cmd {
            _ if fail.is_some() => (Stage::Answering, first),
            Cmd::Read => (Stage::Reading, arrival + self.fetching(&command)),
            Cmd::Write | Cmd::WriteFua => (Stage::Arriving, arrival),
            Cmd::Flush => return self.begin_flush(cx, slot, command),
        };
        self.commands[usize::from(slot)] = Some(Command { stage, ..command });
        self.set_timer(cx.now + wait, Timer::Command(slot));
    }

    /// How long it takes to read from flash what is not in the cache.
    fn fetching(&self, command: &Command) -> Ns {
        let blocks = (command.lba.0..).map(Lba).zip(&command.cargo);
        let absent = blocks.filter(|(lba, _)| self.held(*lba).is_none()).count() as u64;
        self.config.read.times(absent.div_ceil(self.jobs.len() as u64))
    }

    fn begin_flush(&mut self, cx: &Cx, slot: u8, mut command: Command) {
        let wait = match (self.config.flush, self.config.cache) {
            (FlushIs::Lies, _) => self.config.accept.0,
            (_, DriveCache::Capacitor) => CAPACITOR_FLUSH,
            _ => self.config.drain,
        };
        let waits = self.config.flush == FlushIs::Honest
            && self.config.cache != DriveCache::Capacitor
            && self.config.sabotage != Some(Sabotage::FlushForgetsCache);
        if waits {
            command.left = self.wait_for_all(1 << slot, command.reason);
        }
        if command.left > 0 {
            command.stage = Stage::Waiting;
        } else {
            self.set_timer(cx.now + wait, Timer::Command(slot));
        }
        self.commands[usize::from(slot)] = Some(command);
    }

    /// The instant of a command has come.
    pub(super) fn command_due(&mut self, cx: &mut Cx, slot: u8) {
        let Some(command) = &mut self.commands[usize::from(slot)] else { return };
        match command.stage {
            Stage::Arriving => {
                command.stage = Stage::Entering;
                self.entering.push_back(slot);
            }
            Stage::Reading => {
                self.fetch(slot);
                self.answer(cx, slot);
            }
            _ => self.answer(cx, slot),
        }
    }

    /// Brings blocks into the cache, as far as there is room.
    pub(super) fn let_in(&mut self, cx: &mut Cx) {
        while let Some(slot) = self.entering.front().copied() {
            let Some(command) = &self.commands[usize::from(slot)] else { return };
            let Some((lba, cargo)) = command.outside().next() else {
                self.entering.pop_front();
                self.all_in(cx, slot);
                continue;
            };
            if self.cache.get(lba).is_none() && !self.has_room() {
                return;
            }
            self.take(cx, slot, lba, cargo);
        }
    }

    fn has_room(&self) -> bool {
        let programming = self.jobs.iter().flatten().filter(|job| job.frees_cache()).count();
        self.cache.len() as usize + programming < self.config.cache_blocks.max(1) as usize
    }

    /// Whether a write is answered only when it is in flash.
    fn waits(&self, cmd: Cmd) -> bool {
        match self.config.cache {
            DriveCache::None => true,
            DriveCache::Capacitor => false,
            DriveCache::Volatile => {
                cmd == Cmd::WriteFua
                    && self.config.flush == FlushIs::Honest
                    && self.config.sabotage != Some(Sabotage::FuaAckedFromCache)
            }
        }
    }

    /// A block comes into the cache.
    fn take(&mut self, cx: &mut Cx, slot: u8, lba: Lba, cargo: Cargo) {
        let Some(command) = &mut self.commands[usize::from(slot)] else { return };
        command.entered += 1;
        let (op, cmd, reason) = (command.op, command.cmd, command.reason);
        cx.because(reason);
        let waits = self.waits(cmd);
        if self.config.cache != DriveCache::None {
            let cause = cx.event(Layer::Ssd, op, cargo.ver, Kind::CacheIn { lba });
            cx.because(cause);
            let rung = match self.config.cache {
                DriveCache::Capacitor => Rung::Durable,
                _ => Rung::Device,
            };
            cx.event(Layer::Ssd, op, cargo.ver, Kind::Settled { lba, rung });
            cx.because(cause);
        }
        let mut block = Cached::new(lba, cargo, op, cx.reason());
        if waits {
            block.waiters = 1 << slot;
            block.urgent = true;
            if let Some(command) = &mut self.commands[usize::from(slot)] {
                command.left += 1;
            }
        }
        self.counters.host += 1;
        self.counters.replaced += u64::from(self.cache.get(lba).is_some());
        self.cache.put(block);
    }

    /// All blocks of a write are in the cache.
    fn all_in(&mut self, cx: &mut Cx, slot: u8) {
        let Some(command) = &mut self.commands[usize::from(slot)] else { return };
        if command.left > 0 {
            command.stage = Stage::Waiting;
        } else {
            self.answer(cx, slot);
        }
    }

    /// A block was programmed for which these waited.
    pub(super) fn wake(&mut self, cx: &mut Cx, mut waiters: Waiters) {
        while waiters != 0 {
            let slot = u8::try_from(waiters.trailing_zeros()).unwrap_or(SLOTS);
            waiters &= waiters - 1;
            let Some(command) = &mut self.commands[usize::from(slot)] else { continue };
            command.left -= 1;
            if command.left > 0 || command.stage != Stage::Waiting {
                continue;
            }
            match command.cmd {
                Cmd::Flush => {
                    command.stage = Stage::Answering;
                    command.reason = cx.reason();
                    self.set_timer(cx.now + self.config.drain, Timer::Command(slot));
                }
                _ => self.answer(cx, slot),
            }
        }
    }

    /// Puts what is read into the command's list.
    fn fetch(&mut self, slot: u8) {
        let Some(command) = &mut self.commands[usize::from(slot)] else { return };
        let (lba, mut cargo) = (command.lba, std::mem::take(&mut command.cargo));
        for (lba, cargo) in (lba.0..).map(Lba).zip(&mut cargo) {
            *cargo = self.held(lba).unwrap_or_else(|| self.ftl.read(lba));
        }
        self.counters.read += cargo.len() as u64;
        if let Some(command) = &mut self.commands[usize::from(slot)] {
            command.cargo = cargo;
        }
    }

    /// Answers a command, and takes the next one that had no slot.
    fn answer(&mut self, cx: &mut Cx, slot: u8) {
        let Some(command) = self.commands[usize::from(slot)].take() else { return };
        let Command { rq, cargo, fail, .. } = command;
        if matches!(command.cmd, Cmd::Read | Cmd::Flush) || fail.is_some() {
            cx.because(command.reason);
        }
        cx.send(Msg::SsdDone(SsdDone { rq, cargo, result: fail.map_or(Ok(()), Err) }));
        match self.backlog.pop_front() {
            Some((req, reason)) => self.begin(cx, slot, req, reason),
            None => self.free_slots.push(slot),
        }
    }
}

/// Nothing of a file.
pub(super) const NO_VER: PageVer = PageVer(0);
