//! The flusher, which writes what is old or too much, and the pauses of those who write.
//!
//! Invariant: it wakes only while something is dirty; the longest dirty inode is written first,
//! and whole.

use super::PageCache;
use super::job::{Job, Stage, Step, What};
use crate::machine::config::{Sabotage, Share};
use crate::machine::event::{Kind, Layer};
use crate::machine::ids::{Ino, Ns, OpId, PageVer, TaskId};
use crate::machine::layer::Cx;
use crate::machine::message::{Done, FsReq, Msg};

/// The longest pause of a writer (`MAX_PAUSE`).
const LONGEST_PAUSE: Ns = Ns::MS.times(200);

impl PageCache {
    /// An inode is dirty from now on.
    pub(super) fn queue(&mut self, now: Ns, ino: Ino) {
        self.stamp += 1;
        let stamp = self.stamp;
        self.file(ino).since = Some((now, stamp));
        self.line.push_back((now, stamp, ino));
        // Entries that count no more are dropped before the line gets much longer than it is.
        if self.line.len() > 64 && self.line.len() > 4 * self.jobs.len() + 2 * self.files.len() {
            let files = &self.files;
            self.line.retain(|(at, stamp, ino)| files[ino.index()].since == Some((*at, *stamp)));
        }
    }

    /// The flusher wakes.
    pub(super) fn wake(&mut self, cx: &mut Cx) {
        let all = self.rules.share == Share::Fresh || self.dirty > self.rules.background;
        self.flush(cx, if all { Ns(0) } else { self.rules.expire }, 0);
        self.wake = (self.dirty > 0).then(|| cx.now + self.rules.wake);
    }

    /// Writes inodes that have been dirty for so long, until no more than so many pages are
    /// dirty.
    fn flush(&mut self, cx: &mut Cx, age: Ns, enough: u32) {
        let mut sent = false;
        for _ in 0..self.line.len() {
            let Some((at, stamp, ino)) = self.line.front().copied() else { break };
            if self.file(ino).since != Some((at, stamp)) {
                self.line.pop_front();
                continue;
            }
            if self.dirty <= enough || cx.now < at + age {
                break;
            }
            self.line.pop_front();
            let kernel = (OpId(0), TaskId::KERNEL);
            sent |= self.submit(cx, kernel, ino, (0, u32::MAX), None) > 0;
            if self.file(ino).dirty > 0 {
                // Pages on their way that were changed meanwhile: it begins anew.
                self.queue(cx.now, ino);
            }
        }
        if sent {
            cx.send(Msg::Fs(FsReq::Unplug { task: TaskId::KERNEL }));
        }
    }

    /// After pages were dirtied: the flusher runs if there are too many, and whether the writer
    /// has to pause.
    pub(super) fn balance(&mut self, cx: &mut Cx, job: &mut Job) -> bool {
        let (background, limit) = (self.rules.background, self.rules.limit);
        if self.dirty > background {
            self.flush(cx, Ns(0), background);
        }
        let dirty = self.dirty + self.flight;
        let free = background / 2 + limit / 2;
        if dirty <= free || self.rules.memory {
            return false;
        }
        let kind = Kind::Throttled { task: job.task, dirty };
        cx.event(Layer::PageCache, job.op, PageVer(0), kind);
        job.until = (dirty <= limit).then(|| {
            let part = u64::from(dirty - free) * LONGEST_PAUSE.0 / u64::from((limit - free).max(1));
            cx.now + Ns(part.min(LONGEST_PAUSE.0))
        });
        job.pauses = true;
        true
    }

    /// A writer goes on when its instant has come, or when less is dirty than stops writers.
    pub(super) fn paused(&mut self, cx: &mut Cx, job: &mut Job) -> Step {
        if job.pauses {
            let over = self.dirty + self.flight > self.rules.limit;
            let waits = job.until.map_or(over, |until| cx.now < until);
            if waits {
                return Step::Wait;
            }
        }
        let What::Write { sync, .. } = job.what else { return Step::End };
        match sync {
            Some(_) => {
                if self.rules.sabotage != Some(Sabotage::DsyncSyncsNothing) {
                    self.begin_sync(cx, job);
                }
                job.stage = Stage::Writing;
                Step::On
            }
            None => {
                if job.pauses {
                    Self::answer(cx, job.op, Ok(Done::Ok));
                }
                Step::End
            }
        }
    }

    /// When the first pause ends that ends at an instant.
    pub(super) fn pause_ends(&self) -> Option<Ns> {
        let paused = self.jobs.iter().filter(|job| job.stage == Stage::Paused);
        paused.filter_map(|job| job.until).min()
    }
}
