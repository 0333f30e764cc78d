//! Pages on their way down and back: submission, completion, and who waits for which.
//!
//! Invariant: a sync waits for the content that each page had when it was called, or for a later
//! one, and for nothing that is submitted after; a failed page is clean, and its inode's error
//! sequence goes on once for each failed run.

use super::PageCache;
use super::file::{State, Tail, page_of};
use super::job::{Job, Stage, Step, What};
use crate::machine::Errno;
use crate::machine::config::Sabotage;
use crate::machine::event::{Kind, Layer};
use crate::machine::ids::{Ino, OpId, PageVer, TaskId};
use crate::machine::layer::Cx;
use crate::machine::message::{Cargo, Done, FsReq, Msg, Sync};

/// A run of neighbouring pages: the first, and how many.
type Run = (u32, u32);

impl PageCache {
    /// Submits what a sync covers, and counts what it has to wait for.
    pub(super) fn begin_sync(&mut self, cx: &mut Cx, job: &mut Job) {
        job.stage = Stage::Writing;
        self.submit_for(cx, job);
    }

    /// Submits the pages of a job's range, of its file or of all files.
    pub(super) fn submit_for(&mut self, cx: &mut Cx, job: &mut Job) {
        let (first, last) = (job.first, job.last);
        let fail = match job.what {
            What::Fsync { fail, .. } => fail,
            _ => None,
        };
        let inos = match job.what {
            What::SyncAll => 0..self.files.len(),
            _ => job.ino.index()..job.ino.index() + 1,
        };
        let mut sent = 0;
        for at in inos {
            let Some(file) = self.files.get(at).filter(|file| file.dirty + file.flight > 0) else {
                continue;
            };
            let ino = Ino(u32::try_from(at).unwrap_or(u32::MAX));
            let again = file.changed_on_way(first, last).map(|page| (ino, page, 0));
            job.redo.extend(again);
            job.left += file.on_way(first, last);
            sent += self.submit(cx, (job.op, job.task), ino, (first, last), fail);
        }
        job.left += sent;
        // A page that must go twice is awaited once, by its second way.
        (job.mark, job.failing) = (self.seq, sent > 0 && fail.is_some());
        if job.left > 0 {
            cx.send(Msg::Fs(FsReq::Unplug { task: job.task }));
        }
    }

    /// Sends the dirty pages of a range that are not on their way; gives how many.
    pub(super) fn submit(
        &mut self,
        cx: &mut Cx,
        (op, task): (OpId, TaskId),
        ino: Ino,
        (first, last): (u32, u32),
        fail: Option<Errno>,
    ) -> u32 {
        let mut pages = cx.pages();
        let seq = self.seq + 1;
        let file = self.file(ino);
        file.send(first, last, seq, &mut pages);
        let size = file.size;
        if file.dirty == 0 {
            file.since = None;
        }
        let count = u32::try_from(pages.len()).unwrap_or(u32::MAX);
        if count == 0 {
            cx.give_back_pages(pages);
            return 0;
        }
        self.seq = seq;
        self.dirty -= count;
        self.flight += count;
        for (page, count, ver) in runs(&pages) {
            cx.event(Layer::PageCache, op, ver, Kind::WbStart { ino, page, count });
        }
        cx.send(Msg::Fs(FsReq::WritePages { op, task, ino, pages, size, fail }));
        count
    }

    /// Starts to write an inode's pages; nobody waits.
    pub(super) fn start(&mut self, cx: &mut Cx, ino: Ino) {
        if self.submit(cx, (OpId(0), TaskId::KERNEL), ino, (0, u32::MAX), None) > 0 {
            cx.send(Msg::Fs(FsReq::Unplug { task: TaskId::KERNEL }));
        }
    }

    /// Pages are written, or could not be.
    pub(super) fn written(
        &mut self,
        cx: &mut Cx,
        ino: Ino,
        pages: Vec<(u32, Cargo)>,
        result: Result<(), Errno>,
    ) {
        for (page, count, ver) in runs(&pages) {
            let kind = match result {
                Ok(()) => Kind::WbDone { ino, page, count },
                Err(_) => Kind::WbError { ino, page, count },
            };
            cx.event(Layer::PageCache, OpId(0), ver, kind);
        }
        for (page, _) in &pages {
            let Some(seq) = self.file(ino).arrive(*page) else { continue };
            self.flight -= 1;
            self.arrived(cx, ino, *page, result.is_ok());
            self.awaited(cx, ino, (*page, seq), result.err());
        }
        if let Err(errno) = result {
            Self::answer(cx, OpId(0), Ok(Done::WbError { ino, errno }));
        }
        cx.give_back_pages(pages);
    }

    /// A page is not on its way any more.
    fn arrived(&mut self, cx: &Cx, ino: Ino, page: u32, ok: bool) {
        if !ok && self.rules.sabotage == Some(Sabotage::WritebackErrorKept) {
            self.soil(cx, ino, page);
        }
        if self.rules.sabotage == Some(Sabotage::RewriteForgotten) && self.file(ino).clean(page) {
            self.dirty -= 1;
        }
        let file = self.file(ino);
        if ok && page == page_of(file.size) && file.state(page) == State::Clean {
            file.tail = Tail::Clear;
        }
    }

    /// Tells the jobs that wait for a page that it came to the end of a way.
    fn awaited(&mut self, cx: &mut Cx, ino: Ino, (page, seq): (u32, u32), error: Option<Errno>) {
        let dirty = self.file(ino).state(page) == State::Dirty;
        let mut again = None;
        for job in &mut self.jobs {
            let waits = matches!(job.stage, Stage::Writing | Stage::Clearing);
            let its = matches!(job.what, What::SyncAll) || job.ino == ino;
            if !waits || !its || page < job.first || page > job.last {
                continue;
            }
            let redo = job.redo.iter().position(|(of, at, _)| (*of, *at) == (ino, page));
            match redo.map(|at| (at, job.redo[at].2)) {
                Some((at, 0)) if dirty => {
                    // It goes once more, and is awaited by that.
                    job.redo[at].2 = self.seq + 1;
                    let fail = if let What::Fsync { fail, .. } = job.what { fail } else { None };
                    job.failing |= fail.is_some();
                    let first = again.get_or_insert((job.op, job.task, fail));
                    first.2 = first.2.or(fail);
                    job.error = job.error.or(error);
                    continue;
                }
                Some((_, way)) if way != 0 && way != seq => continue,
                Some((at, _)) => {
                    job.redo.swap_remove(at);
                }
                None if seq > job.mark => continue,
                None => {}
            }
            job.left -= 1;
            job.error = job.error.or(error);
        }
        if let Some((op, task, fail)) = again {
            self.submit(cx, (op, task), ino, (page, page), fail);
            cx.send(Msg::Fs(FsReq::Unplug { task }));
        }
    }

    /// All pages of a sync are written, or failed: now the file system's part.
    pub(super) fn all_written(&mut self, cx: &mut Cx, job: &mut Job) -> Step {
        let (op, task, ino) = (job.op, job.task, job.ino);
        let kind = match job.what {
            What::SyncAll => {
                cx.send(Msg::Fs(FsReq::SyncAll { op, task }));
                job.stage = Stage::Below;
                return Step::Wait;
            }
            What::Fsync { kind, fail } => {
                if let Some(errno) = fail.filter(|_| !job.failing && job.error.is_none()) {
                    // There was no page that could fail.
                    Self::answer(cx, OpId(0), Ok(Done::WbError { ino, errno }));
                    job.error = Some(errno);
                }
                kind
            }
            What::Write { sync, .. } => sync.unwrap_or(Sync::Data),
            _ => return Step::End,
        };
        if let Some(errno) = job.error {
            Self::answer(cx, op, Err(errno));
            return Step::End;
        }
        cx.send(Msg::Fs(FsReq::Sync { op, task, ino, kind }));
        job.stage = Stage::Below;
        Step::Wait
    }
}

/// The runs of neighbouring pages in a list, each with its first version.
fn runs(pages: &[(u32, Cargo)]) -> impl Iterator<Item = (u32, u32, PageVer)> {
    let mut rest = pages;
    std::iter::from_fn(move || {
        let (first, cargo) = *rest.first()?;
        let mut count: Run = (first, 1);
        while rest.get(count.1 as usize).is_some_and(|(page, _)| *page == first + count.1) {
            count.1 += 1;
        }
        rest = &rest[count.1 as usize..];
        Some((count.0, count.1, cargo.ver))
    })
}
