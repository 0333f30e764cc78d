//! The six layers put together: the loop that delivers their messages, and what a death does.
//!
//! Invariant: time moves only to the next thing that is due; at one instant messages come in the
//! order in which they were sent, then ticks from the top layer down. Nothing but the drive's
//! flash goes from one life to the next.
//!
//! Knows nothing of scripts and of threads: [`Sim`](super::Sim) is its front.

#[cfg(test)]
mod tests;

use super::Errno;
use super::arena::{Arena, Marks};
use super::block::Block;
use super::choice::Chooser;
use super::config::{Config, Mount};
use super::digest::Digest;
use super::event::{Event, Kind, Layer as Number};
use super::ext4::Ext4;
use super::ids::{EventId, Ino, Ns, OpId, PageVer, TaskId};
use super::layer::{Cx, Layer};
use super::media::{Media, MountError, Shot};
use super::message::{Call, FsReq, Msg, Reply, Request, Ret, VfsDone};
use super::nfs::Nfs;
use super::page_cache::PageCache;
use super::ssd::{Flash, Ssd};
use super::tmpfs::Tmpfs;
use super::vfs::Vfs;
use crate::ops::At;
use crate::ops::record::Recorder;

/// Layer 4: what is mounted.
#[derive(Clone, Debug)]
enum Fs {
    Ext4(Box<Ext4>),
    Tmpfs(Tmpfs),
    Nfs(Box<Nfs>),
}

/// Does one thing with whatever is mounted.
macro_rules! mounted {
    ($fs:expr, $name:ident => $do:expr) => {
        match $fs {
            Fs::Ext4($name) => $do,
            Fs::Tmpfs($name) => $do,
            Fs::Nfs($name) => $do,
        }
    };
}

/// One machine, from the boundary to the program down to flash.
#[derive(Clone, Debug)]
pub(crate) struct Machine {
    config: Config,
    seed: u64,
    pub(super) cx: Cx,
    vfs: Vfs,
    pages: PageCache,
    fs: Fs,
    block: Block,
    ssd: Ssd,
    /// Answers that nobody took yet: at most one for each task.
    answers: Vec<(OpId, Result<Reply, Errno>)>,
    next_op: OpId,
    marks: Marks,
    /// Answers to who asks this machine over a network, instead of its VFS.
    served: Option<Vec<VfsDone>>,
    /// How often the drive was told or did something.
    drive_moves: u64,
    /// Every so many moves of the drive a moment is kept; 0 keeps none.
    pub(super) every: u64,
    pub(super) shots: Vec<Shot>,
}

impl Machine {
    /// A machine that is switched on with these media, and mounting.
    pub(super) fn boot(media: Media, seed: u64) -> Result<Self, MountError> {
        if media.config.mount != Mount::Nfs {
            return Self::boot_keeping(media, seed, &|_| false);
        }
        // The drive is the server's.
        let flash = Flash::format(&media.config.drive, &[]);
        let near = Media { config: media.config.clone(), arena: Arena::new(), flash, base: None };
        let base = media.base.clone();
        let nfs = Nfs::new(media, seed)?;
        let mut machine = Self::boot_keeping(Media { base, ..near }, seed, &|_| false)?;
        machine.fs = Fs::Nfs(Box::new(nfs));
        Ok(machine)
    }

    /// The same, where inodes without names stay if somebody on another machine has them open.
    pub(super) fn boot_keeping(
        media: Media,
        seed: u64,
        in_use: &dyn Fn(Ino) -> bool,
    ) -> Result<Self, MountError> {
        let Media { config, mut arena, flash, base } = media;
        let ssd = Ssd::new(&config.drive, flash);
        let (fs, loaded) = match &config.mount {
            Mount::Ext4(options) => {
                let mut loaded = super::ext4::disk::recover_sabotaged(
                    &|lba| ssd.peek(lba),
                    &mut arena,
                    config.sabotage,
                )?;
                let nameless = |ino: &Ino| loaded.inode(*ino).is_some_and(|inode| inode.links == 0);
                let kept =
                    loaded.orphans.iter().copied().filter(|ino| nameless(ino) && in_use(*ino));
                loaded.in_use = kept.collect();
                (Fs::Ext4(Box::new(Ext4::new(&config, *options))), loaded)
            }
            Mount::Tmpfs | Mount::Nfs => {
                (Fs::Tmpfs(Tmpfs::new()), super::ext4::disk::Loaded::default())
            }
        };
        let mut cx = Cx::new(arena, seed);
        cx.history =
            base.map(|base| Recorder::with_holes(&base, &super::ext4::disk::holes(&loaded)));
        cx.send(Msg::Fs(FsReq::Mount(Box::new(loaded))));
        Ok(Self {
            vfs: Vfs::new(&config),
            pages: PageCache::new(&config),
            block: Block::new(&config),
            ssd,
            fs,
            cx,
            seed,
            answers: Vec::new(),
            next_op: OpId(1),
            marks: Marks::default(),
            served: None,
            drive_moves: 0,
            every: 0,
            shots: Vec::new(),
            config,
        })
    }

    pub(super) fn config(&self) -> &Config {
        &self.config
    }

    pub(super) fn seed(&self) -> u64 {
        self.seed
    }

    /// Whether calls are taken.
    pub(super) fn is_mounted(&self) -> bool {
        self.vfs.is_mounted()
    }

    /// A call of a task comes to the boundary, now.
    pub(super) fn submit(&mut self, cause: EventId, task: TaskId, what: Request) -> OpId {
        self.cx.because(cause);
        let op = self.next_op;
        self.next_op = OpId(op.0 + 1);
        self.cx.send(Msg::Call(Call { op, task, what }));
        op
    }

    /// The answer of a call, once.
    pub(super) fn take(&mut self, op: OpId) -> Option<Result<Reply, Errno>> {
        let at = self.answers.iter().position(|(other, _)| *other == op)?;
        Some(self.answers.swap_remove(at).1)
    }

    /// Something that moved outside of the kernel.
    pub(super) fn moved(&mut self, layer: Number, op: OpId, kind: Kind) -> EventId {
        self.cx.because(EventId(0));
        self.cx.event(layer, op, PageVer(0), kind)
    }

    /// When each layer wants to be called, from the top down.
    fn ticks(&self) -> [Option<Ns>; 5] {
        [
            self.vfs.next_tick(),
            self.pages.next_tick(),
            mounted!(&self.fs, fs => fs.next_tick()),
            self.block.next_tick(),
            self.ssd.next_tick(),
        ]
    }

    /// When the next thing is due.
    pub(super) fn due(&self) -> Option<Ns> {
        if self.cx.is_busy() {
            return Some(self.cx.now);
        }
        earliest(self.cx.due(), &self.ticks())
    }

    /// Does the next thing that is due, and moves the clock to it; `false` when nothing is.
    pub(super) fn step(&mut self) -> bool {
        self.step_until(Ns(u64::MAX))
    }

    /// Does the next thing, if it is due up to an instant.
    fn step_until(&mut self, at: Ns) -> bool {
        // What the layers want is asked only when the instant has no message any more.
        let busy = self.cx.is_busy();
        let ticks = if busy { [None; 5] } else { self.ticks() };
        let due = if busy { Some(self.cx.now) } else { earliest(self.cx.due(), &ticks) };
        let Some(due) = due.filter(|due| *due <= at) else { return false };
        self.cx.now = self.cx.now.max(due);
        match self.cx.take() {
            Some(msg) => self.deliver(msg),
            None => self.tick(&ticks),
        }
        if self.cx.arena.is_full() {
            self.sweep();
        }
        true
    }

    /// Does all that is due up to an instant, and moves the clock to it.
    pub(super) fn run_until(&mut self, at: Ns) {
        while self.step_until(at) {}
        self.cx.now = self.cx.now.max(at);
    }

    fn deliver(&mut self, msg: Msg) {
        let cx = &mut self.cx;
        match msg {
            Msg::Call(call) => self.vfs.accept(cx, call),
            Msg::Ret(Ret { op, result, .. }) => {
                self.answers.push((op, result));
            }
            Msg::Pages(req) => self.pages.accept(cx, req),
            Msg::VfsDone(done) => match &mut self.served {
                Some(served) => served.push(done),
                None => self.vfs.complete(cx, done),
            },
            Msg::Fs(req) => mounted!(&mut self.fs, fs => fs.accept(cx, req)),
            Msg::PagesDone(done) => self.pages.complete(cx, done),
            Msg::Block(req) => self.block.accept(cx, req),
            Msg::BioDone(done) => mounted!(&mut self.fs, fs => fs.complete(cx, done)),
            Msg::Ssd(req) => {
                self.ssd.accept(cx, req);
                self.moved_drive();
            }
            Msg::SsdDone(done) => self.block.complete(cx, done),
        }
    }

    /// Calls the topmost layer whose instant has come.
    fn tick(&mut self, ticks: &[Option<Ns>; 5]) {
        let Self { cx, vfs, pages, fs, block, ssd, .. } = self;
        cx.because(EventId(0));
        match ticks.iter().position(|at| at.is_some_and(|at| at <= cx.now)) {
            Some(0) => vfs.tick(cx),
            Some(1) => pages.tick(cx),
            Some(2) => {
                let before = served_moves(fs);
                mounted!(fs, fs => fs.tick(cx));
                if served_moves(fs) != before {
                    self.moved_drive();
                }
            }
            Some(3) => block.tick(cx),
            Some(4) => {
                ssd.tick(cx);
                self.moved_drive();
            }
            _ => {}
        }
    }

    /// The drive is not what it was: perhaps a moment to keep.
    fn moved_drive(&mut self) {
        self.drive_moves += 1;
        if self.every > 0 && self.drive_moves.is_multiple_of(self.every) {
            let shot = self.shot();
            self.shots.push(shot);
        }
    }

    /// How often the drive was told or did something: what a death leaves changes with it alone.
    pub(super) fn drive_moves(&self) -> u64 {
        match &self.fs {
            Fs::Nfs(nfs) => nfs.server().mark(),
            _ => self.drive_moves,
        }
    }

    /// From here on what is done is kept for [`take_served`](Self::take_served).
    pub(super) fn serve(&mut self) {
        self.served = Some(Vec::new());
    }

    /// What was done since.
    pub(super) fn take_served(&mut self) -> Vec<VfsDone> {
        self.served.as_mut().map_or_else(Vec::new, std::mem::take)
    }

    /// The power of the server fails, and it is switched on again, where there is one.
    pub(super) fn reboot_server(&mut self, chooser: &mut dyn Chooser) -> Result<(), MountError> {
        match &mut self.fs {
            Fs::Nfs(nfs) => nfs.reboot_server(self.cx.now, chooser),
            Fs::Ext4(_) | Fs::Tmpfs(_) => Ok(()),
        }
    }

    /// Uses again the contents that nobody holds.
    fn sweep(&mut self) {
        let Self { cx, vfs, pages, fs, block, ssd, marks, .. } = self;
        marks.clear();
        vfs.marks(marks);
        pages.marks(marks);
        mounted!(&*fs, fs => fs.marks(marks));
        block.marks(marks);
        ssd.marks(marks);
        for msg in cx.pending() {
            msg.marks(marks);
        }
        cx.arena.sweep(marks);
    }

    /// This moment, to die at later.
    pub(super) fn shot(&self) -> Shot {
        let server = match &self.fs {
            Fs::Nfs(nfs) => Some(nfs.server()),
            Fs::Ext4(_) | Fs::Tmpfs(_) => None,
        };
        let drive = server.map_or(self, |server| &server.machine);
        Shot {
            config: self.config.clone(),
            arena: drive.cx.arena.clone(),
            ssd: drive.ssd.clone(),
            server: server.cloned().map(Box::new),
            at: self.cx.history.as_ref().map_or(At(0), Recorder::here),
            now: self.cx.now,
            event: EventId(self.cx.count()),
        }
    }

    /// The whole state as a number.
    pub(super) fn digest(&self) -> Digest {
        let mut digest = Digest::default();
        digest.add(self.cx.now.0);
        digest.add(u64::from(self.cx.count()));
        let arena = &self.cx.arena;
        self.vfs.digest(arena, &mut digest);
        self.pages.digest(arena, &mut digest);
        mounted!(&self.fs, fs => fs.digest(arena, &mut digest));
        self.block.digest(arena, &mut digest);
        self.ssd.digest(arena, &mut digest);
        digest
    }

    /// The next event that was not taken.
    pub(super) fn event(&mut self) -> Option<Event> {
        self.cx.events.pop_front()
    }
}

/// A number that moves with the drive of another machine, where that is mounted.
fn served_moves(fs: &Fs) -> u64 {
    match fs {
        Fs::Nfs(nfs) => nfs.server().machine.drive_moves,
        Fs::Ext4(_) | Fs::Tmpfs(_) => 0,
    }
}

/// The earliest of some instants.
fn earliest(first: Option<Ns>, rest: &[Option<Ns>]) -> Option<Ns> {
    let mut earliest = first;
    for at in rest.iter().flatten() {
        earliest = Some(earliest.map_or(*at, |known| known.min(*at)));
    }
    earliest
}

impl Msg {
    /// Marks the contents that it carries.
    fn marks(&self, marks: &mut Marks) {
        use super::message::{BlockReq, PagesDone};
        let list = match self {
            Self::Fs(FsReq::WritePages { pages, .. } | FsReq::WriteEnd { pages, .. })
            | Self::PagesDone(PagesDone::Written { pages, .. }) => {
                return pages.iter().for_each(|(_, cargo)| marks.hold(cargo.content));
            }
            Self::PagesDone(PagesDone::Page { result: Ok(content), .. }) => {
                return marks.hold(*content);
            }
            Self::Fs(FsReq::Mount(loaded)) => return loaded.marks(marks),
            Self::Block(BlockReq::Submit(bio)) => &bio.cargo,
            Self::BioDone(done) => &done.cargo,
            Self::Ssd(req) => &req.cargo,
            Self::SsdDone(done) => &done.cargo,
            _ => return,
        };
        list.iter().for_each(|cargo| marks.hold(cargo.content));
    }
}
