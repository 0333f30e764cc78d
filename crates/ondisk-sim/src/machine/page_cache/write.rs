//! Bytes into pages.
//!
//! Invariant: a page that is changed in part was in memory, or lies behind the end.

use ondisk_fs::BLOCK;

use super::PageCache;
use super::file::{Pages, Tail, offset_of, page_of};
use super::job::{Job, Stage, Step, What};
use crate::machine::Errno;
use crate::machine::arena::{Bytes, Version};
use crate::machine::config::Sabotage;
use crate::machine::event::{Kind, Layer};
use crate::machine::ids::{BlockId, Ino, OpId, PageVer};
use crate::machine::layer::Cx;
use crate::machine::message::{Cargo, Done, FsReq, Msg};

const PAGE: u64 = BLOCK as u64;

impl PageCache {
    /// A write needs the pages that it changes in part, and the last before it when the file
    /// grows.
    pub(super) fn write_reading(&mut self, cx: &mut Cx, job: &mut Job) -> Step {
        let What::Write { at, bytes, .. } = &job.what else { return Step::Wait };
        let (at, end) = (*at, *at + bytes.len() as u64);
        let size = self.file(job.ino).size;
        let partial = |page: u32| {
            let base = u64::from(page) * PAGE;
            base < size && (at > base || end < base + PAGE)
        };
        let (first, last) = (page_of(at), page_of(end - 1));
        let tail = page_of(size);
        let grows = end > size && offset_of(size) != 0;
        let needed =
            [(first, partial(first)), (last, last != first && partial(last)), (tail, grows)];
        let forgets = self.rules.sabotage == Some(Sabotage::PartialWriteForgetsRead);
        let needed = needed.into_iter().filter(|(_, is)| *is && !forgets).map(|(page, _)| page);
        if !self.fetch(cx, job, needed) {
            return Step::Wait;
        }
        if grows && self.clear_tail(cx, job) {
            return Step::On;
        }
        self.begin_write(cx, job)
    }

    /// Asks the file system to let the pages be changed.
    pub(super) fn begin_write(&mut self, cx: &mut Cx, job: &mut Job) -> Step {
        let What::Write { at, bytes, .. } = &job.what else { return Step::Wait };
        let (at, len) = (*at, bytes.len() as u64);
        let (op, task, ino, size) = (job.op, job.task, job.ino, self.file(job.ino).size);
        cx.send(Msg::Fs(FsReq::WriteBegin { op, task, ino, at, len, size }));
        job.stage = Stage::Begun;
        Step::Wait
    }

    /// The file system lets pages be changed, now.
    pub(super) fn ready(&mut self, cx: &mut Cx, op: OpId, result: Result<(), Errno>) {
        let Some(at) = self.jobs.iter().position(|job| job.op == op) else { return };
        let mut job = self.jobs.remove(at);
        if let Err(errno) = result {
            let file = self.file(job.ino);
            file.busy = file.busy.saturating_sub(1);
            return Self::answer(cx, op, Err(errno));
        }
        match &mut job.what {
            What::Write { bytes, .. } => {
                let bytes = std::mem::take(bytes);
                self.apply(cx, &mut job, bytes);
            }
            _ => self.journal_tail(cx, &mut job),
        }
        self.carry_on(cx, job);
    }

    /// The pages of a write are changed, all at this instant.
    fn apply(&mut self, cx: &mut Cx, job: &mut Job, bytes: Vec<u8>) {
        let What::Write { at, sync, .. } = job.what else { return };
        let (op, ino, end) = (job.op, job.ino, at + bytes.len() as u64);
        let journal = self.rules.journal;
        let mut list = if journal { cx.pages() } else { Vec::new() };
        let file = self.file(ino);
        let old = page_of(file.size);
        (job.first, job.last) = (page_of(at), page_of(end - 1));
        if end > file.size && file.tail == Tail::Stale && journal {
            // Without a journal for data it was written before; with one it goes along.
            list.extend(file.get(old).filter(|_| old < job.first).map(|cargo| (old, cargo)));
        }
        if end > file.size {
            (file.size, file.tail) = (end, Tail::Clear);
        }
        let mut rest = &bytes[..];
        for page in job.first..=job.last {
            let from = offset_of(at.max(u64::from(page) * PAGE));
            let (now, behind) = rest.split_at(rest.len().min(BLOCK - from));
            rest = behind;
            let cargo = self.change(cx, (op, ino, page), from, now);
            if journal {
                list.push((page, cargo));
            }
        }
        let size = self.file(ino).size;
        cx.send(Msg::Fs(FsReq::WriteEnd { op, ino, size, pages: list }));
        let slowed = self.balance(cx, job);
        let done = !slowed && sync.is_none();
        job.stage = Stage::Paused;
        Self::answer(cx, op, Ok(Done::Applied { bytes, done }));
    }

    /// Some bytes of a page are others now; it is dirty, where that is kept here.
    pub(super) fn change(
        &mut self,
        cx: &mut Cx,
        (op, ino, page): (OpId, Ino, u32),
        from: usize,
        bytes: &[u8],
    ) -> Cargo {
        let before = self.file(ino).get(page).unwrap_or(Pages::zeros());
        let content = match <&Bytes>::try_from(bytes) {
            Ok(whole) => cx.arena.put(whole),
            Err(_) => cx.arena.patch(before.content, from, bytes),
        };
        let ver = version(cx, (op, ino, page), content, (from, bytes.len()), before.ver);
        let cargo = Cargo { content, ver };
        self.file(ino).put(page, cargo);
        cx.event(Layer::PageCache, op, ver, Kind::Dirtied { ino, page });
        self.soil(cx, ino, page);
        cargo
    }

    /// A page is dirty from here on.
    pub(super) fn soil(&mut self, cx: &Cx, ino: Ino, page: u32) {
        if self.rules.journal || self.rules.memory {
            return;
        }
        if self.file(ino).dirty(page) {
            self.dirty += 1;
        }
        if self.file(ino).since.is_none() {
            self.queue(cx.now, ino);
        }
        if self.wake.is_none() && self.rules.wake.0 > 0 {
            self.wake = Some(cx.now + self.rules.wake);
        }
    }

    /// A page was read.
    pub(super) fn page_read(
        &mut self,
        cx: &mut Cx,
        ino: Ino,
        page: u32,
        result: Result<BlockId, Errno>,
    ) {
        let file = self.file(ino);
        let base = u64::from(page) * PAGE;
        let size = file.size;
        if !file.end_read(page) || file.get(page).is_some() {
            return;
        }
        match result {
            Ok(content) if base < size => {
                file.put(page, Cargo { content, ver: PageVer(0) });
                if size < base + PAGE {
                    self.look_at_tail(cx, ino);
                }
            }
            Ok(_) => {}
            Err(errno) => {
                let reading = |job: &&mut Job| job.ino == ino && job.stage == Stage::Reading;
                self.jobs.iter_mut().filter(reading).for_each(|job| job.error = Some(errno));
            }
        }
    }
}

/// A version of a page.
pub(super) fn version(
    cx: &mut Cx,
    (op, ino, page): (OpId, Ino, u32),
    content: BlockId,
    (from, len): (usize, usize),
    before: PageVer,
) -> PageVer {
    let place = |at: usize| u16::try_from(at).unwrap_or(u16::MAX);
    let (from, to) = (place(from), place(from + len));
    cx.arena.version(Version { ino, page, content, op, from, to, before })
}
