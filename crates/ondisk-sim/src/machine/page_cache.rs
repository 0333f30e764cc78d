//! The page cache: clean and dirty pages, the flusher, throttling, and the data part of a sync.
//!
//! Invariant: what a write changes, it changes at one instant; a dirty page goes down in the
//! content that it has when it is submitted, and one that is changed on its way stays dirty; a
//! length never grows over bytes on the media that were not cleared.
//!
//! Knows nothing of names and descriptors, nor of where on the media a page stands.

mod file;
mod flusher;
mod job;
mod length;
mod sync;
mod write;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use super::Death;
use super::Errno;
use super::arena::{Arena, Marks};
use super::choice::Chooser;
use super::config::{Config, DataMode, Mount, Sabotage, Share};
use super::digest::Digest;
use super::ids::{Ino, Ns, OpId};
use super::layer::{Cx, Layer};
use super::message::{Cargo, Done, Msg, PagesDone, PagesReq, VfsDone};
use file::Pages;
use job::{Job, Stage, What};

pub use file::State;

/// When dirty pages are written, and who owns them.
#[derive(Clone, Copy, Debug, Default)]
struct Rules {
    wake: Ns,
    expire: Ns,
    share: Share,
    /// More dirty pages than this, and the flusher writes whatever their age.
    background: u32,
    /// More dirty pages and pages on their way than this, and writers wait.
    limit: u32,
    /// `data=journal`: the file system has the pages at once, none is dirty here.
    journal: bool,
    /// Nothing is below: pages stay, and are never dirty.
    memory: bool,
    sabotage: Option<Sabotage>,
}

/// The page cache.
#[derive(Clone, Debug, Default)]
pub struct PageCache {
    rules: Rules,
    /// By inode.
    files: Vec<Pages>,
    /// What is asked and not answered, in order.
    jobs: Vec<Job>,
    /// Dirty pages of all files,
    dirty: u32,
    /// and pages on their way.
    flight: u32,
    /// How many submissions there were.
    seq: u32,
    /// Dirty inodes, longest dirty first; an entry counts while the file says the same.
    line: VecDeque<(Ns, u64, Ino)>,
    /// How many entries the line has had.
    stamp: u64,
    /// When the flusher wakes.
    wake: Option<Ns>,
}

impl PageCache {
    /// An empty page cache.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let cache = &config.cache;
        let part = |percent: u32| {
            let pages = u64::from(cache.available) * u64::from(percent) / 100;
            u32::try_from(pages).unwrap_or(u32::MAX)
        };
        let journal =
            matches!(&config.mount, Mount::Ext4(options) if options.data == DataMode::Journal);
        let rules = Rules {
            wake: cache.wake,
            expire: cache.expire,
            share: cache.share,
            background: part(cache.background),
            limit: part(cache.dirty),
            journal,
            memory: matches!(config.mount, Mount::Tmpfs),
            sabotage: config.sabotage,
        };
        Self { rules, ..Self::default() }
    }

    /// What a page of a file is.
    #[must_use]
    pub fn state(&self, ino: Ino, page: u32) -> State {
        self.files.get(ino.index()).map_or(State::Absent, |file| file.state(page))
    }

    /// What a page of a file holds, if it is in memory. A page [`State::Again`] is on its way in
    /// an older content, and nothing is stable: by sectors this one may land in its place.
    #[must_use]
    pub fn page(&self, ino: Ino, page: u32) -> Option<Cargo> {
        self.files.get(ino.index())?.get(page)
    }

    /// Dirty pages, and pages on their way.
    #[must_use]
    pub fn load(&self) -> (u32, u32) {
        (self.dirty, self.flight)
    }

    fn file(&mut self, ino: Ino) -> &mut Pages {
        if self.files.len() <= ino.index() {
            self.files.resize_with(ino.index() + 1, Pages::default);
        }
        &mut self.files[ino.index()]
    }

    /// A file was opened or made, or the file system changed its length.
    fn know(&mut self, ino: Ino, size: u64) {
        let file = self.file(ino);
        if size > file.size && file.tail == file::Tail::Stale || size == 0 {
            file.tail = file::Tail::Clear;
        }
        file.size = size;
    }

    /// Forgets clean pages, but those on which a call relies.
    fn evict(&mut self) {
        if !self.rules.memory {
            self.files.iter_mut().filter(|file| file.busy == 0).for_each(Pages::evict);
        }
    }

    fn answer(cx: &mut Cx, op: OpId, result: Result<Done, Errno>) {
        cx.send(Msg::VfsDone(VfsDone { op, result }));
    }
}

impl Layer for PageCache {
    type Req = PagesReq;
    type Done = PagesDone;

    fn accept(&mut self, cx: &mut Cx, req: PagesReq) {
        let (op, task, ino, what) = match req {
            PagesReq::Know { ino, size } => return self.know(ino, size),
            PagesReq::Evict => return self.evict(),
            PagesReq::Start { ino } => return self.start(cx, ino),
            PagesReq::Write { op, task, ino, at, bytes, sync } => {
                (op, task, ino, What::Write { at, bytes, sync })
            }
            PagesReq::Read { op, task, ino, at, len } => (op, task, ino, What::Read { at, len }),
            PagesReq::SetLen { op, task, ino, len } => (op, task, ino, What::SetLen { len }),
            PagesReq::Allocate { op, task, ino, len } => (op, task, ino, What::Allocate { len }),
            PagesReq::Fsync { op, task, ino, kind, fail } => {
                (op, task, ino, What::Fsync { kind, fail })
            }
            PagesReq::SyncAll { op, task } => (op, task, Ino(0), What::SyncAll),
            PagesReq::Drop { ino } => (OpId(0), super::ids::TaskId::KERNEL, ino, What::Drop),
        };
        self.file(ino).busy += 1;
        let mut job = Job::new(op, task, ino, what);
        self.begin(cx, &mut job);
        self.carry_on(cx, job);
    }

    fn complete(&mut self, cx: &mut Cx, done: PagesDone) {
        match done {
            PagesDone::Ready { op, result } => self.ready(cx, op, result),
            PagesDone::Done { op, result } => self.below(cx, op, result),
            PagesDone::Page { ino, page, result } => {
                self.page_read(cx, ino, page, result);
                self.go_on(cx);
            }
            PagesDone::Written { ino, pages, result } => {
                self.written(cx, ino, pages, result);
                self.go_on(cx);
            }
            PagesDone::Start { ino } => self.start(cx, ino),
        }
    }

    fn tick(&mut self, cx: &mut Cx) {
        if self.wake.is_some_and(|at| at <= cx.now) {
            self.wake(cx);
        }
        if self.pause_ends().is_some_and(|at| at <= cx.now) {
            self.go_on(cx);
        }
    }

    fn next_tick(&self) -> Option<Ns> {
        [self.wake, self.pause_ends()].into_iter().flatten().min()
    }

    fn power_cut(&mut self, how: Death, _: &mut Arena, _: &mut dyn Chooser) {
        if how != Death::Kill {
            *self = Self { rules: self.rules, ..Self::default() };
        }
    }

    fn digest(&self, _: &Arena, digest: &mut Digest) {
        digest.add(u64::from(self.dirty) << 32 | u64::from(self.flight));
        digest.add(self.wake.map_or(u64::MAX, |at| at.0));
        for (ino, file) in self.files.iter().enumerate() {
            digest.add(ino as u64);
            file.digest(digest);
        }
        for job in &self.jobs {
            digest.add(u64::from(job.op.0) << 8 | job.stage as u64);
        }
    }

    fn marks(&self, marks: &mut Marks) {
        self.files.iter().for_each(|file| file.marks(marks));
    }
}

/// Whether a stage ends by something that happens, rather than by an answer to the job itself.
impl Stage {
    const fn waits_for_pages(self) -> bool {
        matches!(
            self,
            Self::Reading
                | Self::Clearing
                | Self::Settling
                | Self::Settled
                | Self::Paused
                | Self::Writing
        )
    }
}
