//! What was asked of the page cache and is not answered yet, and how it goes on.
//!
//! Invariant: a job goes through its stages in one direction; what it waits for is in the pages,
//! in its own counts, or in an answer from below.

use super::PageCache;
use super::file::page_of;
use crate::machine::Errno;
use crate::machine::ids::{Ino, Ns, OpId, TaskId};
use crate::machine::layer::Cx;
use crate::machine::message::{Done, FsReq, Msg, Sync, VfsDone};

/// The most that one call reads.
const MOST_READ: u64 = 16 << 20;

/// What was asked.
#[derive(Clone, Debug)]
pub(super) enum What {
    Read { at: u64, len: u64 },
    Write { at: u64, bytes: Vec<u8>, sync: Option<Sync> },
    SetLen { len: u64 },
    Allocate { len: u64 },
    Fsync { kind: Sync, fail: Option<Errno> },
    SyncAll,
    Drop,
}

/// What it waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    /// Pages that are read.
    Reading,
    /// The last page, to be written with zeros behind the end.
    Clearing,
    /// The file system, to let pages be changed.
    Begun,
    /// Pages that are on their way and must not be any more.
    Settling,
    /// The same, when their file is shorter already.
    Settled,
    /// That less is dirty, or that an instant comes.
    Paused,
    /// Pages that are written.
    Writing,
    /// The file system's part.
    Below,
}

/// Something that was asked.
#[derive(Clone, Debug)]
pub(super) struct Job {
    pub(super) op: OpId,
    pub(super) task: TaskId,
    pub(super) ino: Ino,
    pub(super) what: What,
    pub(super) stage: Stage,
    /// The pages that are to be written or settled.
    pub(super) first: u32,
    pub(super) last: u32,
    /// How many of them are awaited: those on their way as of submission `mark` or before.
    pub(super) left: u32,
    pub(super) mark: u32,
    /// Of these, pages that must go a second time, and as which submission they did; 0: not yet.
    pub(super) redo: Vec<(Ino, u32, u32)>,
    /// Whether a page was submitted that is to fail.
    pub(super) failing: bool,
    pub(super) error: Option<Errno>,
    /// Whether it has to pause,
    pub(super) pauses: bool,
    /// and when that ends; without an instant, when less is dirty.
    pub(super) until: Option<Ns>,
    /// The length before.
    pub(super) old: u64,
}

/// How a job goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// At once.
    On,
    /// When something has happened.
    Wait,
    /// Not at all: it is answered.
    End,
}

impl Job {
    pub(super) fn new(op: OpId, task: TaskId, ino: Ino, what: What) -> Self {
        Self {
            op,
            task,
            ino,
            what,
            stage: Stage::Reading,
            first: 0,
            last: u32::MAX,
            left: 0,
            mark: 0,
            redo: Vec::new(),
            failing: false,
            error: None,
            pauses: false,
            until: None,
            old: 0,
        }
    }

    /// Whether all pages that it waits for are written.
    pub(super) fn is_written(&self) -> bool {
        self.left == 0 && self.redo.is_empty()
    }
}

impl PageCache {
    /// What a job does first.
    pub(super) fn begin(&mut self, cx: &mut Cx, job: &mut Job) {
        match job.what {
            What::Fsync { .. } => self.begin_sync(cx, job),
            What::SyncAll => self.begin_sync(cx, job),
            What::Drop => self.begin_settling(job),
            _ => job.stage = Stage::Reading,
        }
    }

    /// Goes on with a job as far as it can; keeps it while it is not answered.
    pub(super) fn carry_on(&mut self, cx: &mut Cx, mut job: Job) {
        if self.advance(cx, &mut job) {
            self.jobs.push(job);
        }
    }

    /// Goes on with all jobs that wait for pages.
    pub(super) fn go_on(&mut self, cx: &mut Cx) {
        let mut at = 0;
        while at < self.jobs.len() {
            if !self.jobs[at].stage.waits_for_pages() {
                at += 1;
                continue;
            }
            let mut job = self.jobs.remove(at);
            if self.advance(cx, &mut job) {
                self.jobs.insert(at, job);
                at += 1;
            }
        }
    }

    /// Whether the job is still to be kept.
    pub(super) fn advance(&mut self, cx: &mut Cx, job: &mut Job) -> bool {
        loop {
            match self.step(cx, job) {
                Step::On => {}
                Step::Wait => return true,
                Step::End => {
                    let file = self.file(job.ino);
                    file.busy = file.busy.saturating_sub(1);
                    return false;
                }
            }
        }
    }

    fn step(&mut self, cx: &mut Cx, job: &mut Job) -> Step {
        match job.stage {
            Stage::Reading => self.reading(cx, job),
            Stage::Clearing if !job.is_written() => Step::Wait,
            Stage::Clearing => self.cleared(cx, job),
            Stage::Settling => self.settling(cx, job),
            Stage::Settled => self.settled(cx, job),
            Stage::Paused => self.paused(cx, job),
            Stage::Writing if !job.is_written() => Step::Wait,
            Stage::Writing => self.all_written(cx, job),
            Stage::Begun | Stage::Below => Step::Wait,
        }
    }

    fn reading(&mut self, cx: &mut Cx, job: &mut Job) -> Step {
        if let Some(errno) = job.error {
            Self::answer(cx, job.op, Err(errno));
            return Step::End;
        }
        match &job.what {
            What::Read { at, len } => {
                let (at, len) = (*at, (*len).min(MOST_READ));
                self.read(cx, job, at, len)
            }
            What::Write { .. } => self.write_reading(cx, job),
            _ => self.length_reading(cx, job),
        }
    }

    fn read(&mut self, cx: &mut Cx, job: &Job, at: u64, len: u64) -> Step {
        let size = self.file(job.ino).size;
        let end = at.saturating_add(len).min(size);
        let mut bytes = Vec::new();
        if at < end {
            let (first, last) = (page_of(at), page_of(end - 1));
            if !self.fetch(cx, job, first..=last) {
                return Step::Wait;
            }
            bytes.reserve_exact(usize::try_from(end - at).unwrap_or(0));
            for page in first..=last {
                let Some(cargo) = self.file(job.ino).get(page) else { break };
                let base = u64::from(page) * ondisk_fs::BLOCK as u64;
                let from = super::file::offset_of(at.max(base));
                let to = usize::try_from((end - base).min(ondisk_fs::BLOCK as u64)).unwrap_or(0);
                bytes.extend_from_slice(&cx.arena.bytes(cargo.content)[from..to]);
            }
        }
        Self::answer(cx, job.op, Ok(Done::Bytes(bytes)));
        Step::End
    }

    /// Whether pages are in memory; those that are not are asked for.
    pub(super) fn fetch(
        &mut self,
        cx: &mut Cx,
        job: &Job,
        pages: impl IntoIterator<Item = u32>,
    ) -> bool {
        let (ino, task) = (job.ino, job.task);
        let (mut all, mut asked) = (true, false);
        for page in pages {
            let file = self.file(ino);
            if file.get(page).is_some() {
                continue;
            }
            all = false;
            if !file.begin_read(page) {
                cx.send(Msg::Fs(FsReq::ReadPage { ino, page, task }));
                asked = true;
            }
        }
        if asked {
            cx.send(Msg::Fs(FsReq::Unplug { task }));
        }
        all
    }

    /// The file system did its part of a job.
    pub(super) fn below(&mut self, cx: &mut Cx, op: OpId, result: Result<(), Errno>) {
        let Some(at) = self.jobs.iter().position(|job| job.op == op) else { return };
        let mut job = self.jobs.remove(at);
        if let What::SetLen { len } = job.what
            && !self.length_done(cx, &mut job, len, result.is_ok())
        {
            return self.carry_on(cx, job);
        }
        let file = self.file(job.ino);
        file.busy = file.busy.saturating_sub(1);
        // A sync of everything goes on below whatever became of the pages, and tells of it then.
        let result = match job.error {
            Some(errno) => Err(errno),
            None => result,
        };
        self.told(cx, op, result);
        self.go_on(cx);
    }

    /// Answers before what the file system did after this: the VFS learns of changes in their order.
    pub(super) fn told(&mut self, cx: &mut Cx, op: OpId, result: Result<(), Errno>) {
        cx.hand_on(Msg::VfsDone(VfsDone { op, result: result.map(|()| Done::Ok) }));
    }
}
