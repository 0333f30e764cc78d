//! Lengths, and the bytes behind the end of a file.
//!
//! Invariant: what the media hold behind the end, in the last block, is cleared there before the
//! length grows over it: written before the length is changed, or, with a journal for data,
//! together with it.

use ondisk_fs::BLOCK;

use super::PageCache;
use super::file::{State, Tail, offset_of, page_of};
use super::job::{Job, Stage, Step, What};
use crate::machine::config::Sabotage;
use crate::machine::ids::{Ino, OpId};
use crate::machine::layer::Cx;
use crate::machine::message::{FsReq, Msg};

const PAGE: u64 = BLOCK as u64;

impl PageCache {
    /// A change of length needs the last page that stays, or the last that there was.
    pub(super) fn length_reading(&mut self, cx: &mut Cx, job: &mut Job) -> Step {
        let (What::SetLen { len } | What::Allocate { len }) = job.what else { return Step::Wait };
        let size = self.file(job.ino).size;
        let shrinks = matches!(job.what, What::SetLen { .. }) && len < size;
        let end = len.min(size);
        let moves = shrinks || len > size;
        let last = (offset_of(end) != 0 && moves).then(|| page_of(end));
        if !self.fetch(cx, job, last) {
            return Step::Wait;
        }
        if shrinks {
            self.shrink(job, len);
            return Step::On;
        }
        if last.is_some() && self.clear_tail(cx, job) {
            return Step::On;
        }
        self.length_below(cx, job)
    }

    /// Pages behind the new end are to be on no way; they stay until the file system knows of that
    /// end (`ext4_setattr`): else a commit that waits for them would miss them.
    fn shrink(&mut self, job: &mut Job, len: u64) {
        let behind = page_of(len) + u32::from(offset_of(len) != 0);
        (job.old, job.first, job.stage) = (self.file(job.ino).size, behind, Stage::Settling);
    }

    /// The file system knows of the new end: pages behind it go, and the bytes behind it in the last.
    fn shrunk(&mut self, cx: &mut Cx, job: &Job, len: u64) {
        let (ino, last, rest) = (job.ino, page_of(len), offset_of(len));
        let file = self.file(ino);
        let stale = file.tail == Tail::Stale && page_of(job.old) == last;
        let moving = !matches!(file.state(last), State::Clean | State::Absent);
        (file.size, file.tail) = (len, Tail::Clear);
        self.cut(ino, job.first);
        if rest == 0 {
            return;
        }
        if moving {
            // What is on its way may have come too late to be written.
            self.soil(cx, ino, last);
        }
        if moving || stale && offset_of(job.old) != 0 {
            self.file(ino).tail = Tail::Stale;
        }
        self.zero_tail(cx, ino, job.op);
    }

    /// The bytes behind the end of the last page become zeros, in memory.
    fn zero_tail(&mut self, cx: &mut Cx, ino: Ino, op: OpId) {
        const ZEROS: [u8; BLOCK] = [0; BLOCK];
        let file = self.file(ino);
        let (page, rest) = (page_of(file.size), offset_of(file.size));
        let Some(cargo) = file.get(page) else { return };
        let skipped = self.rules.sabotage == Some(Sabotage::TailNotZeroed);
        if rest == 0 || skipped || cx.arena.bytes(cargo.content)[rest..] == ZEROS[rest..] {
            return;
        }
        self.file(ino).tail = Tail::Stale;
        self.change(cx, (op, ino, page), rest, &ZEROS[rest..]);
    }

    /// The last page was read: whatever the media hold behind the end is no part of the file.
    pub(super) fn look_at_tail(&mut self, cx: &mut Cx, ino: Ino) {
        let file = self.file(ino);
        if file.tail == Tail::Unknown {
            file.tail = Tail::Clear;
        }
        self.zero_tail(cx, ino, OpId(0));
    }

    /// Whether a job has to wait until the last page is written with zeros behind the end.
    pub(super) fn clear_tail(&mut self, cx: &mut Cx, job: &mut Job) -> bool {
        let file = self.file(job.ino);
        let (size, page) = (file.size, page_of(file.size));
        if file.tail != Tail::Stale || self.rules.memory {
            return false;
        }
        let is_write = matches!(job.what, What::Write { .. });
        match self.rules.journal {
            // It goes along with the write.
            true if is_write => return false,
            true => {
                let (op, task, ino) = (job.op, job.task, job.ino);
                let len = PAGE - size % PAGE;
                cx.send(Msg::Fs(FsReq::WriteBegin { op, task, ino, at: size, len, size }));
                job.stage = Stage::Begun;
            }
            false => {
                (job.first, job.last) = (page, page);
                self.submit_for(cx, job);
                job.stage = Stage::Clearing;
            }
        }
        true
    }

    /// The journal takes the last page with zeros behind the end.
    pub(super) fn journal_tail(&mut self, cx: &mut Cx, job: &mut Job) {
        let mut pages = cx.pages();
        let (op, ino) = (job.op, job.ino);
        let file = self.file(ino);
        let (size, page) = (file.size, page_of(file.size));
        pages.extend(file.get(page).map(|cargo| (page, cargo)));
        file.tail = Tail::Clear;
        cx.send(Msg::Fs(FsReq::WriteEnd { op, ino, size, pages }));
        job.stage = Stage::Reading;
    }

    /// The last page is written, or was not.
    pub(super) fn cleared(&mut self, cx: &mut Cx, job: &mut Job) -> Step {
        if let Some(errno) = job.error {
            Self::answer(cx, job.op, Err(errno));
            return Step::End;
        }
        self.file(job.ino).tail = Tail::Clear;
        match job.what {
            What::Write { .. } => self.begin_write(cx, job),
            _ => self.length_below(cx, job),
        }
    }

    /// The file system's part of a change of length.
    fn length_below(&mut self, cx: &mut Cx, job: &mut Job) -> Step {
        let (op, task, ino) = (job.op, job.task, job.ino);
        job.stage = Stage::Below;
        match job.what {
            What::Allocate { len } => {
                // Its answer goes to the VFS.
                cx.send(Msg::Fs(FsReq::Allocate { op, task, ino, len }));
                Step::End
            }
            What::SetLen { len } => {
                let old = self.file(ino).size;
                job.old = old;
                cx.send(Msg::Fs(FsReq::SetLen { op, task, ino, old, len }));
                Step::Wait
            }
            _ => Step::Wait,
        }
    }

    /// The file system changed a length, or did not; whether that is all.
    pub(super) fn length_done(&mut self, cx: &mut Cx, job: &mut Job, len: u64, done: bool) -> bool {
        if done && len < job.old {
            self.shrunk(cx, job, len);
            job.stage = Stage::Settled;
            return self.file(job.ino).is_settled(job.first, u32::MAX);
        }
        let file = self.file(job.ino);
        if done && len > file.size {
            (file.size, file.tail) = (len, Tail::Clear);
        }
        true
    }

    // Pages that go.

    /// Pages of a file that nobody has are forgotten, once they are on no way.
    pub(super) fn begin_settling(&mut self, job: &mut Job) {
        (job.first, job.stage) = (0, Stage::Settling);
        self.cut(job.ino, 0);
    }

    fn cut(&mut self, ino: Ino, first: u32) {
        let file = self.file(ino);
        let dirty = file.cut(first);
        if file.dirty == 0 {
            file.since = None;
        }
        self.dirty -= dirty;
    }

    pub(super) fn settling(&mut self, cx: &mut Cx, job: &mut Job) -> Step {
        let ino = job.ino;
        if !self.file(ino).is_settled(job.first, u32::MAX) {
            return Step::Wait;
        }
        if let What::SetLen { len } = job.what {
            let (op, task, old) = (job.op, job.task, job.old);
            cx.send(Msg::Fs(FsReq::SetLen { op, task, ino, old, len }));
            job.stage = Stage::Below;
            return Step::Wait;
        }
        self.file(ino).reset();
        cx.send(Msg::Fs(FsReq::Free { ino }));
        Step::End
    }

    /// Pages that were sent in the instant of a cut came back.
    pub(super) fn settled(&mut self, cx: &mut Cx, job: &Job) -> Step {
        if !self.file(job.ino).is_settled(job.first, u32::MAX) {
            return Step::Wait;
        }
        self.cut(job.ino, job.first);
        self.told(cx, job.op, Ok(()));
        Step::End
    }
}
