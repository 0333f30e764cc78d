//! The drive: its cache, its map, flash.
//!
//! Invariant: nothing that a drive with an honest FLUSH said to be durable is ever lost, and no
//! block is ever anything but a version that it was given, or with `torn` a mixture of two.
//!
//! ```text
//! command ─accept─► cache ─► program ─► map         a write is answered from the cache,
//!                     └─ answer         └─ FUA      with FUA from flash; a FLUSH waits for
//!                                                   all blocks that were in the cache then
//! ```
//!
//! Programming goes on in the background, so many pages at once as there are channels; the
//! collection of garbage takes its turns on them.
//!
//! Knows nothing of requests, files and who waits.

mod cache;
mod command;
mod counters;
mod death;
mod flash;
mod ftl;
mod job;
mod saved;
mod saver;
mod table;
#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use super::Death;
use super::arena::{Arena, Marks};
use super::choice::Chooser;
use super::config::DriveConfig;
use super::digest::Digest;
use super::ids::{BlockId, EventId, Lba, Ns};
use super::layer::{Cx, Layer};
use super::message::SsdReq;
use cache::Cache;
use command::Command;
use ftl::Ftl;
use job::Job;

pub use counters::Counters;
pub use flash::Flash;

/// What the clock is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    /// Something about the command in this slot.
    Command(u8),
    /// The end of the job on this channel.
    Job(u16),
}

/// The drive: its cache, its map, flash.
#[derive(Clone, Debug)]
pub struct Ssd {
    config: DriveConfig,
    ftl: Ftl,
    cache: Cache,
    /// Commands under way.
    commands: Vec<Option<Command>>,
    free_slots: Vec<u8>,
    /// Writes whose blocks go into the cache as there is room, in order.
    entering: VecDeque<u8>,
    /// Commands for which there was no slot, and what sent them.
    backlog: VecDeque<(SsdReq, EventId)>,
    /// What each channel does.
    jobs: Vec<Option<Job>>,
    free_channels: Vec<u16>,
    /// Whether the mover has a job.
    moving: bool,
    /// Whether a part of the map is being saved.
    saving: bool,
    /// Whether the mover had the last turn.
    moved_last: bool,
    timers: BinaryHeap<Reverse<(Ns, u64, Timer)>>,
    /// So many timers were ever set.
    set: u64,
    counters: Counters,
}

impl Ssd {
    /// A drive that is switched on: all it knows is what flash tells.
    #[must_use]
    pub fn new(config: &DriveConfig, flash: Flash) -> Self {
        let channels = config.channels.max(1);
        Self {
            config: *config,
            cache: Cache::new(flash.blocks()),
            ftl: Ftl::power_up(config, flash),
            commands: Vec::new(),
            free_slots: Vec::new(),
            entering: VecDeque::new(),
            backlog: VecDeque::new(),
            jobs: vec![None; channels.into()],
            free_channels: (0..channels).rev().collect(),
            moving: false,
            saving: false,
            moved_last: false,
            timers: BinaryHeap::new(),
            set: 0,
            counters: Counters::default(),
        }
    }

    /// What a read from flash gives, whatever is in the cache: right after power-up, all.
    #[must_use]
    pub fn peek(&self, lba: Lba) -> BlockId {
        self.ftl.read(lba).content
    }

    /// What the drive holds without power, as of now.
    #[must_use]
    pub const fn flash(&self) -> &Flash {
        &self.ftl.flash
    }

    /// What was done since the power is on.
    #[must_use]
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    fn set_timer(&mut self, at: Ns, timer: Timer) {
        self.set += 1;
        self.timers.push(Reverse((at, self.set, timer)));
    }
}

impl Layer for Ssd {
    type Req = SsdReq;
    type Done = std::convert::Infallible;

    fn accept(&mut self, cx: &mut Cx, req: SsdReq) {
        match self.free_slot() {
            Some(slot) => self.begin(cx, slot, req, cx.reason()),
            None => self.backlog.push_back((req, cx.reason())),
        }
        self.start_jobs(cx);
    }

    fn complete(&mut self, _: &mut Cx, done: Self::Done) {
        match done {}
    }

    fn tick(&mut self, cx: &mut Cx) {
        let due = self.timers.peek().is_some_and(|Reverse((at, ..))| *at <= cx.now);
        let Some(Reverse((.., timer))) = due.then(|| self.timers.pop()).flatten() else { return };
        match timer {
            Timer::Command(slot) => self.command_due(cx, slot),
            Timer::Job(channel) => self.job_done(cx, channel),
        }
        self.let_in(cx);
        self.start_jobs(cx);
    }

    fn next_tick(&self) -> Option<Ns> {
        self.timers.peek().map(|Reverse((at, ..))| *at)
    }

    fn power_cut(&mut self, how: Death, arena: &mut Arena, chooser: &mut dyn Chooser) {
        if how != Death::Kill {
            let flash = self.left_by(how, arena, chooser);
            *self = Self::new(&self.config, flash);
        }
    }

    fn digest(&self, arena: &Arena, digest: &mut Digest) {
        self.ftl.flash.digest(arena, digest);
        let mut held = |lba: Lba, content: BlockId| {
            let bytes = super::digest::bytes_digest(arena.bytes(content));
            digest.add(u64::from(lba.0));
            digest.add(bytes.0);
            digest.add(bytes.1);
        };
        for block in self.cache.iter() {
            held(block.lba, block.cargo.content);
        }
        for job in self.jobs.iter().flatten() {
            if let Some((lba, cargo)) = job.carries() {
                held(lba, cargo.content);
            }
        }
        for Reverse((at, set, _)) in &self.timers.clone().into_sorted_vec() {
            digest.add(at.0);
            digest.add(*set);
        }
    }

    fn marks(&self, marks: &mut Marks) {
        self.ftl.flash.marks(marks);
        self.cache.iter().for_each(|block| marks.hold(block.cargo.content));
        for job in self.jobs.iter().flatten() {
            if let Some((_, cargo)) = job.carries() {
                marks.hold(cargo.content);
            }
        }
        let commands = self.commands.iter().flatten().map(|command| &command.cargo);
        for cargo in commands.chain(self.backlog.iter().map(|(req, _)| &req.cargo)) {
            cargo.iter().for_each(|cargo| marks.hold(cargo.content));
        }
    }
}
