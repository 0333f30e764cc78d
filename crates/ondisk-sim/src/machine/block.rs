//! The block layer: bios become requests, requests become commands.
//!
//! A bio joins a request that its task plugged or one that waits in the scheduler, or becomes a
//! request of its own. A plug is drained into the scheduler; the scheduler gives requests to the
//! driver, as many as the drive takes at once. What flushes goes through the flush machine
//! instead, past plug and scheduler.
//!
//! Invariant: every bio is answered once, when all its blocks were with the drive and, where it
//! asks for that, a flush came before and its own data are durable. Nothing joins a request
//! that flushes, and such a request joins nothing. There is no order beyond that: who wants one
//! waits for the answer.
//!
//! Knows nothing of files, of pages and of what the blocks say.

mod bfq;
mod deadline;
mod driver;
mod flush;
mod merge;
mod order;
mod plug;
mod request;
mod sorted;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use super::arena::{Arena, Marks};
use super::choice::Chooser;
use super::config::{BlockConfig, Config, DriveCache, Link, Sabotage};
use super::digest::Digest;
use super::event::{Cmd, Kind, Layer as Number};
use super::ids::{Lba, Ns, PageVer, TaskId};
use super::layer::{Cx, Layer};
use super::message::{Bio, BioDone, BioWhat, BlockReq, Msg, SsdDone, SsdReq};
use super::{Death, Errno};
use crate::ops::digest::bytes_digest;
use driver::Driver;
use flush::Flush;
use order::Order;
use plug::Plugs;
use request::{Bios, Piece, Requests, Run, Step, Steps, What};

/// The block layer.
#[derive(Clone, Debug)]
pub struct Block {
    config: BlockConfig,
    drive: Drive,
    sabotage: Option<Sabotage>,
    bios: Bios,
    rqs: Requests,
    plugs: Plugs,
    order: Order,
    flush: Flush,
    driver: Driver,
    /// What tasks do that sleep until the queue has a place.
    asleep: VecDeque<Asleep>,
}

/// What the drive says that it has.
#[derive(Clone, Copy, Debug)]
struct Drive {
    /// A cache that has to be flushed.
    cache: bool,
    /// FUA.
    fua: bool,
}

#[derive(Clone, Copy, Debug)]
enum Asleep {
    Piece(Piece),
    Unplug(TaskId),
}

impl Block {
    /// A block layer with nothing to do.
    ///
    /// A drive without a cache is never flushed: FLUSH and FUA are taken off every bio. One whose
    /// cache has capacitors says no such thing, so it is flushed as any other, and answers soon.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let blind = config.sabotage == Some(Sabotage::DeadlineIgnoresExpiry);
        let drive = Drive {
            cache: config.drive.cache != DriveCache::None,
            fua: config.drive.link == Link::Nvme,
        };
        Self {
            config: BlockConfig { largest: config.block.largest.max(1), ..config.block },
            drive,
            sabotage: config.sabotage,
            bios: Bios::default(),
            rqs: Requests::new(config.block.queue),
            plugs: Plugs::default(),
            order: Order::new(config.block.scheduler, blind),
            flush: Flush::default(),
            driver: Driver::new(config.block.depth),
            asleep: VecDeque::new(),
        }
    }

    /// How many bios are not answered.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.bios.iter().count()
    }

    fn has(&self, mistake: Sabotage) -> bool {
        self.sabotage == Some(mistake)
    }

    fn submit(&mut self, cx: &mut Cx, mut bio: Bio) {
        let cmd = match bio.what {
            BioWhat::Read => Cmd::Read,
            BioWhat::Flush => Cmd::Flush,
            BioWhat::Write if bio.fua => Cmd::WriteFua,
            BioWhat::Write => Cmd::Write,
        };
        let count = u32::try_from(bio.cargo.len()).unwrap_or(u32::MAX);
        let ver = bio.cargo.first().map_or(PageVer(0), |cargo| cargo.ver);
        bio.preflush |= bio.what == BioWhat::Flush;
        let Bio { id, lba, preflush, .. } = bio;
        let kind = Kind::Bio { bio: id, cmd, lba, count, preflush };
        let cause = cx.event(Number::Block, bio.op, ver, kind);
        bio.preflush &= self.drive.cache;
        bio.fua &= self.drive.cache;
        if count == 0 && !bio.preflush {
            let result = bio.fail.map_or(Ok(()), Err);
            cx.send(Msg::BioDone(BioDone { id, cargo: bio.cargo, result }));
            return;
        }
        let largest = self.config.largest;
        let held = self.bios.hold(bio, count.div_ceil(largest).max(1), cause);
        let mut from = 0;
        loop {
            let piece = Piece { bio: held, from, count: (count - from).min(largest) };
            self.put(cx, piece);
            from += piece.count;
            if from >= count {
                return;
            }
        }
    }

    /// A task puts a piece in; if the queue has no place for it, the task sleeps.
    fn put(&mut self, cx: &mut Cx, piece: Piece) {
        let task = self.bios.get(piece.bio).bio.task;
        if self.sleeps(task) {
            self.asleep.push_back(Asleep::Piece(piece));
        } else if !self.enter(cx, piece) {
            self.drain(cx, task);
            self.asleep.push_back(Asleep::Piece(piece));
        }
    }

    fn sleeps(&self, task: TaskId) -> bool {
        self.asleep.iter().any(|asleep| match asleep {
            Asleep::Piece(piece) => self.bios.get(piece.bio).bio.task == task,
            Asleep::Unplug(whose) => *whose == task,
        })
    }

    /// The queue has a place again: tasks go on, who came first first.
    fn wake(&mut self, cx: &mut Cx) {
        while let Some(asleep) = self.asleep.pop_front() {
            match asleep {
                Asleep::Unplug(task) => self.drain(cx, task),
                Asleep::Piece(piece) => {
                    cx.because(self.bios.get(piece.bio).cause);
                    if !self.enter(cx, piece) {
                        let task = self.bios.get(piece.bio).bio.task;
                        self.asleep.push_front(asleep);
                        self.drain(cx, task);
                        return;
                    }
                }
            }
        }
    }

    /// A piece joins a request or becomes one. Says no when the queue has no place.
    fn enter(&mut self, cx: &mut Cx, piece: Piece) -> bool {
        let held = self.bios.get(piece.bio);
        let (task, reads) = (held.bio.task, held.bio.what == BioWhat::Read);
        let alone = self.stays_alone(&held.bio);
        if !alone && self.join(cx, piece) {
            return true;
        }
        let Some(rq) = self.begin(piece) else { return false };
        let flushes = self.rqs[rq].flushes;
        if self.rqs[rq].steps.pre {
            self.go_on(cx, rq);
        } else if flushes || self.rqs[rq].fua {
            // Data, then a flush: by way of the scheduler, but counted from here on.
            self.flush.data += u32::from(flushes);
            self.queue(cx, rq);
            self.run(cx);
        } else if reads {
            self.drain(cx, task);
            self.queue(cx, rq);
            self.run(cx);
        } else {
            self.plug(cx, task, rq);
        }
        true
    }

    /// Whether nothing may join a bio's request, and it no other.
    fn stays_alone(&self, bio: &Bio) -> bool {
        let flushes = (bio.preflush || bio.fua) && !self.has(Sabotage::MergeIntoFlush);
        flushes || bio.fail.is_some() || bio.cargo.is_empty()
    }

    /// A request of this piece alone.
    fn begin(&mut self, piece: Piece) -> Option<u32> {
        let at = self.rqs.take()?;
        let held = self.bios.get(piece.bio);
        let bio = &held.bio;
        let run = Run::of(bio, piece);
        let joins = !self.stays_alone(bio);
        let rq = &mut self.rqs[at];
        rq.what = run.what;
        (rq.lba, rq.count) = (run.lba, run.count);
        rq.pieces.push(piece);
        (rq.op, rq.task, rq.sync) = (bio.op, bio.task, run.sync);
        let first = usize::try_from(piece.from).ok().and_then(|from| bio.cargo.get(from));
        rq.ver = first.map_or(PageVer(0), |cargo| cargo.ver);
        rq.cause = held.cause;
        rq.fail = bio.fail;
        rq.fua = bio.fua && self.drive.fua && self.sabotage != Some(Sabotage::FuaDropped);
        let post = bio.fua && !self.drive.fua && piece.count > 0;
        rq.steps = Steps {
            pre: bio.preflush,
            data: piece.count > 0,
            post: post && self.sabotage != Some(Sabotage::PostflushSkipped),
        };
        rq.flushes = rq.steps.pre || rq.steps.post;
        rq.joins = joins;
        Some(at)
    }

    fn plug(&mut self, cx: &mut Cx, task: TaskId, rq: u32) {
        let large = self.plugs.last(task).is_some_and(|last| self.rqs[last].count >= plug::LARGE);
        if large || self.plugs.len(task) >= plug::HOLDS {
            self.drain(cx, task);
        }
        let request = &self.rqs[rq];
        let bio = self.bios.get(request.pieces[0].bio).bio.id;
        cx.because(request.cause);
        let kind = Kind::Plugged { bio, rq: request.id, task };
        self.rqs[rq].cause = cx.event(Number::Block, request.op, request.ver, kind);
        self.plugs.add(task, rq);
    }

    fn drain(&mut self, cx: &mut Cx, task: TaskId) {
        let plugged = self.plugs.drain(task);
        for rq in &plugged {
            self.queue(cx, *rq);
        }
        self.plugs.put_back(task, plugged);
        self.run(cx);
    }

    /// A request goes to the scheduler; where there is none and the drive has a slot, to it.
    fn queue(&mut self, cx: &mut Cx, rq: u32) {
        let direct = matches!(&self.order, Order::Fifo(fifo) if fifo.is_empty())
            && self.driver.urgent.is_empty()
            && self.driver.has_slot();
        if direct {
            self.issue(cx, rq);
            return;
        }
        if self.joins_queued(cx, rq) {
            return;
        }
        let request = &self.rqs[rq];
        cx.because(request.cause);
        let kind = Kind::Queued { rq: request.id, lba: Lba(request.lba), count: request.count };
        self.rqs[rq].cause = cx.event(Number::Block, request.op, request.ver, kind);
        self.rqs[rq].ordered = true;
        self.order.insert(cx.now, rq, &self.rqs);
    }

    /// Gives the drive what it takes.
    fn run(&mut self, cx: &mut Cx) {
        while self.driver.has_slot() {
            let urgent = self.driver.urgent.pop_front();
            let Some(rq) = urgent.or_else(|| self.order.next(cx.now, &self.rqs)) else { return };
            self.issue(cx, rq);
        }
    }

    /// Makes a request a command of the drive.
    fn issue(&mut self, cx: &mut Cx, at: u32) {
        let rq = &self.rqs[at];
        let Some(slot) = self.driver.take(rq.id, at) else {
            self.driver.urgent.push_back(at);
            return;
        };
        let (id, cmd, lba) = (rq.id, rq.cmd(), Lba(rq.lba));
        cx.because(rq.cause);
        let kind = Kind::Dispatched { rq: id, cmd, slot, lba, count: rq.count };
        cx.event(Number::Block, rq.op, rq.ver, kind);
        if rq.what == What::Flush {
            let started = Kind::FlushStart { rq: id };
            cx.event(Number::Block, rq.op, PageVer(0), started);
        }
        let mut cargo = cx.list();
        for piece in &rq.pieces {
            let all = &self.bios.get(piece.bio).bio.cargo;
            let range = piece.from as usize..(piece.from + piece.count) as usize;
            cargo.extend_from_slice(&all[range]);
        }
        let req = SsdReq { rq: id, slot, op: rq.op, cmd, lba, cargo, fail: rq.fail };
        cx.send_at(cx.now + self.config.dispatch, Msg::Ssd(req));
    }

    /// A request has all its data with the drive, or failed.
    fn data_done(&mut self, cx: &mut Cx, at: u32, result: Result<(), Errno>) {
        let rq = &mut self.rqs[at];
        rq.steps.did(Step::Data);
        if rq.flushes {
            rq.cause = cx.reason();
            self.flush.data -= 1;
            self.went_on(cx, at, result);
        } else {
            self.end(cx, at, result);
        }
    }

    /// A step of a request that flushes is behind: the next, unless it failed.
    fn went_on(&mut self, cx: &mut Cx, at: u32, result: Result<(), Errno>) {
        match result {
            Ok(()) => self.go_on(cx, at),
            Err(_) => {
                self.end(cx, at, result);
                self.kick(cx);
            }
        }
    }

    /// The next step of a request that flushes (`blk_flush_complete_seq`).
    fn go_on(&mut self, cx: &mut Cx, at: u32) {
        match self.rqs[at].steps.next() {
            Some(Step::Pre | Step::Post) if self.has(Sabotage::FlushShared) => {
                self.flush.wait_for_running(cx.now, at);
            }
            Some(Step::Pre | Step::Post) => self.flush.wait(cx.now, at),
            Some(Step::Data) => {
                self.flush.data += 1;
                self.driver.urgent.push_back(at);
            }
            None => self.end(cx, at, Ok(())),
        }
        self.kick(cx);
        self.run(cx);
    }

    /// Starts a flush if one is wanted and may start (`blk_kick_flush`).
    fn kick(&mut self, cx: &Cx) {
        let Some(first) = self.flush.start(cx.now) else { return };
        let at = self.rqs.fresh();
        let (op, task, cause) = (self.rqs[first].op, self.rqs[first].task, self.rqs[first].cause);
        let sharers = self.flush.sharers().iter();
        // An ordered failure strikes a flush only where it has no data to strike.
        let empty = sharers.map(|rq| &self.rqs[*rq]).filter(|rq| rq.count == 0);
        let fail = empty.filter_map(|rq| rq.fail).next();
        let rq = &mut self.rqs[at];
        (rq.what, rq.op, rq.task, rq.cause, rq.fail) = (What::Flush, op, task, cause, fail);
        self.driver.urgent.push_back(at);
    }

    /// The flush is done: all who shared it go on.
    fn flush_done(&mut self, cx: &mut Cx, at: u32, result: Result<(), Errno>) {
        if result.is_ok() {
            let rq = &self.rqs[at];
            cx.event(Number::Block, rq.op, PageVer(0), Kind::FlushDone { rq: rq.id });
        }
        let cause = cx.reason();
        self.rqs.put_back(at);
        let sharers = self.flush.done();
        for rq in &sharers {
            cx.because(cause);
            let request = &mut self.rqs[*rq];
            request.cause = cause;
            if let Some(step) = request.steps.next().filter(|step| *step != Step::Data) {
                request.steps.did(step);
            }
            self.went_on(cx, *rq, result);
        }
        self.flush.put_back(sharers);
        // Somebody may wait for the next, and nobody shared this one that goes on.
        self.kick(cx);
    }

    /// A request is over: its bios are answered, unless other pieces of them are not done.
    fn end(&mut self, cx: &mut Cx, at: u32, result: Result<(), Errno>) {
        for piece in &self.rqs[at].pieces {
            if let Some(done) = self.bios.piece_done(piece.bio, result) {
                cx.send(Msg::BioDone(done));
            }
        }
        self.rqs.put_back(at);
    }
}

impl Layer for Block {
    type Req = BlockReq;
    type Done = SsdDone;

    fn accept(&mut self, cx: &mut Cx, req: BlockReq) {
        match req {
            BlockReq::Submit(bio) => self.submit(cx, bio),
            BlockReq::Unplug(task) if self.sleeps(task) => {
                self.asleep.push_back(Asleep::Unplug(task));
            }
            BlockReq::Unplug(task) => self.drain(cx, task),
        }
        self.wake(cx);
    }

    fn complete(&mut self, cx: &mut Cx, done: SsdDone) {
        let Some(at) = self.driver.done(done.rq) else { return };
        let rq = &self.rqs[at];
        if rq.ordered {
            self.order.done(cx.now, rq);
        }
        let kind = Kind::RqDone { rq: rq.id, ok: done.result.is_ok() };
        cx.event(Number::Block, rq.op, rq.ver, kind);
        if rq.what == What::Read {
            let mut read = done.cargo.as_slice();
            for piece in &rq.pieces {
                let (own, rest) = read.split_at((piece.count as usize).min(read.len()));
                let all = &mut self.bios.get_mut(piece.bio).bio.cargo;
                all[piece.from as usize..][..own.len()].copy_from_slice(own);
                read = rest;
            }
        }
        cx.give_back(done.cargo);
        match rq.what {
            What::Flush => self.flush_done(cx, at, done.result),
            What::Read | What::Write => self.data_done(cx, at, done.result),
        }
        self.wake(cx);
        self.run(cx);
    }

    fn tick(&mut self, cx: &mut Cx) {
        self.order.tick(cx.now, &self.rqs);
        self.run(cx);
    }

    fn next_tick(&self) -> Option<Ns> {
        self.order.next_tick()
    }

    /// A dead process leaves its requests to the kernel; all other deaths take all of it.
    fn power_cut(&mut self, how: Death, _: &mut Arena, _: &mut dyn Chooser) {
        if how == Death::Kill {
            return;
        }
        let scheduler = self.config.scheduler;
        let blind = self.has(Sabotage::DeadlineIgnoresExpiry);
        self.bios = Bios::default();
        self.rqs = Requests::new(self.config.queue);
        self.plugs = Plugs::default();
        self.order = Order::new(scheduler, blind);
        self.flush = Flush::default();
        self.driver = Driver::new(self.config.depth);
        self.asleep.clear();
    }

    fn digest(&self, arena: &Arena, digest: &mut Digest) {
        digest.add(u64::from(self.rqs.next_id().0));
        for held in self.bios.iter() {
            digest.add(u64::from(held.bio.id.0));
            for cargo in &held.bio.cargo {
                let Digest(a, b) = bytes_digest(arena.bytes(cargo.content));
                [u64::from(cargo.ver.0), a, b].into_iter().for_each(|value| digest.add(value));
            }
        }
        for rq in self.rqs.iter() {
            [rq.id.0, rq.lba, rq.count].into_iter().for_each(|value| digest.add(u64::from(value)));
        }
        for (id, _) in self.driver.slots().iter().flatten() {
            digest.add(u64::from(id.0));
        }
        let past = self.driver.urgent.iter().copied();
        for rq in self.plugs.iter().chain(self.flush.waiting()).chain(past) {
            digest.add(u64::from(self.rqs[rq].id.0));
        }
        digest.add(self.asleep.len() as u64);
        self.order.digest(&self.rqs, digest);
    }

    fn marks(&self, marks: &mut Marks) {
        for held in self.bios.iter() {
            held.bio.cargo.iter().for_each(|cargo| marks.hold(cargo.content));
        }
    }
}
