mod flushing;
mod merging;
mod scheduling;

use super::*;
use crate::machine::config::Scheduler;
use crate::machine::event::{Event, Join};
use crate::machine::ids::{BioId, BlockId, OpId, RqId};
use crate::machine::message::Cargo;

const A: TaskId = TaskId(1);
const B: TaskId = TaskId(2);

/// A block layer over a drive that answers when the test says so.
struct Bench {
    cx: Cx,
    block: Block,
    /// What the drive was given and did not answer.
    given: Vec<SsdReq>,
    /// Who was answered.
    answers: Vec<(BioId, Result<(), Errno>)>,
    events: Vec<Event>,
    bios: u32,
}

impl Bench {
    fn new(config: &Config) -> Self {
        Self {
            cx: Cx::new(Arena::new(), 1),
            block: Block::new(config),
            given: Vec::new(),
            answers: Vec::new(),
            events: Vec::new(),
            bios: 0,
        }
    }

    fn with(scheduler: Scheduler, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::default();
        config.block.scheduler = scheduler;
        change(&mut config);
        Self::new(&config)
    }

    fn bio(&mut self, task: TaskId, what: BioWhat, lba: u32, count: usize) -> Bio {
        self.bios += 1;
        let mut cargo = self.cx.list();
        for n in 0..u32::try_from(count).unwrap() {
            let mut bytes = [0; ondisk_fs::BLOCK];
            bytes[..8].copy_from_slice(&(u64::from(self.bios) << 32 | u64::from(n)).to_le_bytes());
            let content = self.cx.arena.put(&bytes);
            let ver = PageVer(0);
            cargo.push(if what == BioWhat::Read {
                Cargo::default()
            } else {
                Cargo { content, ver }
            });
        }
        Bio {
            id: BioId(self.bios),
            task,
            op: OpId(self.bios),
            what,
            lba: Lba(lba),
            cargo,
            preflush: false,
            fua: false,
            sync: false,
            meta: false,
            fail: None,
        }
    }

    fn submit(&mut self, bio: Bio) -> BioId {
        let id = bio.id;
        self.block.accept(&mut self.cx, BlockReq::Submit(bio));
        self.deliver();
        id
    }

    /// A write that somebody waits for.
    fn write(&mut self, task: TaskId, lba: u32, count: usize) -> BioId {
        let bio = self.bio(task, BioWhat::Write, lba, count);
        self.submit(Bio { sync: true, ..bio })
    }

    fn read(&mut self, task: TaskId, lba: u32, count: usize) -> BioId {
        let bio = self.bio(task, BioWhat::Read, lba, count);
        self.submit(bio)
    }

    fn flush(&mut self, task: TaskId) -> BioId {
        let bio = self.bio(task, BioWhat::Flush, 0, 0);
        self.submit(bio)
    }

    fn unplug(&mut self, task: TaskId) {
        self.block.accept(&mut self.cx, BlockReq::Unplug(task));
        self.deliver();
    }

    /// Brings all messages where they belong; the drive keeps what it is given.
    fn deliver(&mut self) {
        while let Some(due) = self.cx.due() {
            self.cx.now = due;
            match self.cx.take().unwrap() {
                Msg::Ssd(req) => self.given.push(req),
                Msg::BioDone(done) => {
                    self.answers.push((done.id, done.result));
                    self.cx.give_back(done.cargo);
                }
                other => panic!("the block layer sends no {other:?}"),
            }
        }
        self.events.extend(self.cx.events.drain(..));
    }

    /// The drive answers the command it was given first, or the one at a place.
    fn answer(&mut self, at: usize) -> SsdReq {
        let req = self.given.remove(at);
        let result = req.fail.map_or(Ok(()), Err);
        let done = SsdDone { rq: req.rq, cargo: req.cargo.clone(), result };
        self.block.complete(&mut self.cx, done);
        self.deliver();
        req
    }

    /// The drive answers all, one after the other; what it was given, in that order.
    fn answer_all(&mut self) -> Vec<(Cmd, u32, u32)> {
        let mut order = Vec::new();
        while !self.given.is_empty() {
            let req = self.answer(0);
            order.push(told(&req));
        }
        order
    }

    /// The clock goes on; timers on the way strike.
    fn wait_until(&mut self, at: Ns) {
        while let Some(tick) = self.block.next_tick().filter(|tick| *tick <= at) {
            self.cx.now = self.cx.now.max(tick);
            self.block.tick(&mut self.cx);
            assert!(self.block.next_tick().is_none_or(|next| next > tick), "a tick that stays");
            self.deliver();
        }
        self.cx.now = self.cx.now.max(at);
    }

    /// What the drive has before it.
    fn told(&self) -> Vec<(Cmd, u32, u32)> {
        self.given.iter().map(told).collect()
    }

    fn is_answered(&self, bio: BioId) -> bool {
        self.answers.iter().any(|(id, _)| *id == bio)
    }

    fn merges(&self) -> Vec<(u32, u32, Join)> {
        let merged = |event: &Event| match event.kind {
            Kind::Merged { bio, rq, join, .. } => Some((bio.0, rq.0, join)),
            _ => None,
        };
        self.events.iter().filter_map(merged).collect()
    }
}

fn told(req: &SsdReq) -> (Cmd, u32, u32) {
    (req.cmd, req.lba.0, u32::try_from(req.cargo.len()).unwrap())
}

fn write(lba: u32, count: u32) -> (Cmd, u32, u32) {
    (Cmd::Write, lba, count)
}

#[test]
fn a_bio_goes_down_and_its_answer_comes_up() {
    let mut bench = Bench::with(Scheduler::None, |_| {});
    let bio = bench.write(A, 10, 2);
    assert!(bench.given.is_empty(), "it waits in the plug");
    bench.unplug(A);
    assert_eq!(bench.told(), [write(10, 2)]);
    assert!(!bench.is_answered(bio));
    bench.answer(0);
    assert_eq!(bench.answers, [(bio, Ok(()))]);
    let kinds: Vec<Kind> = bench.events.iter().map(|event| event.kind).collect();
    let (rq, lba) = (RqId(1), Lba(10));
    assert_eq!(
        kinds,
        [
            Kind::Bio { bio, cmd: Cmd::Write, lba, count: 2, preflush: false },
            Kind::Plugged { bio, rq, task: A },
            Kind::Dispatched { rq, cmd: Cmd::Write, slot: 0, lba, count: 2 },
            Kind::RqDone { rq, ok: true },
        ]
    );
    for pair in bench.events.windows(2).take(2) {
        assert_eq!(pair[1].cause, pair[0].id, "each is due to the one before");
    }
    assert_eq!(bench.block.pending(), 0);
}

#[test]
fn what_is_read_comes_back_to_who_asked() {
    let mut bench = Bench::with(Scheduler::MqDeadline, |config| config.block.depth = 1);
    bench.read(A, 100, 1);
    let first = bench.bio(A, BioWhat::Read, 4, 2);
    let second = bench.bio(B, BioWhat::Read, 6, 1);
    let ids = [bench.submit(first), bench.submit(second)];
    bench.answer(0);
    assert_eq!(bench.told(), [(Cmd::Read, 4, 3)], "the two merged");
    let req = bench.given.remove(0);
    let cargo = [5, 6, 7].map(|n| Cargo { content: BlockId(n), ver: PageVer(0) });
    let done = SsdDone { rq: req.rq, cargo: cargo.to_vec(), result: Ok(()) };
    bench.block.complete(&mut bench.cx, done);
    for (id, from, to) in [(ids[0], 0, 2), (ids[1], 2, 3)] {
        let Some(Msg::BioDone(done)) = bench.cx.take() else { panic!("no answer") };
        assert_eq!((done.id, &done.cargo[..]), (id, &cargo[from..to]));
    }
}

#[test]
fn a_large_bio_is_split_and_answered_once() {
    let mut bench = Bench::with(Scheduler::None, |config| config.block.largest = 8);
    let bio = bench.write(A, 0, 20);
    bench.unplug(A);
    assert_eq!(bench.told(), [write(0, 8), write(8, 8), write(16, 4)]);
    bench.answer(1);
    bench.answer(0);
    assert!(bench.answers.is_empty());
    bench.answer(0);
    assert_eq!(bench.answers, [(bio, Ok(()))]);
}

#[test]
fn an_ordered_failure_strikes_its_bio_alone() {
    let mut bench = Bench::with(Scheduler::MqDeadline, |_| {});
    let good = bench.write(A, 0, 1);
    let bio = bench.bio(A, BioWhat::Write, 1, 1);
    let bad = bench.submit(Bio { fail: Some(Errno::Io), ..bio });
    let after = bench.write(A, 2, 1);
    bench.unplug(A);
    assert_eq!(bench.given.len(), 3);
    bench.answer_all();
    assert_eq!(bench.answers, [(good, Ok(())), (bad, Err(Errno::Io)), (after, Ok(()))]);
}

#[test]
fn no_more_requests_wait_than_the_queue_has_places() {
    for scheduler in [Scheduler::None, Scheduler::MqDeadline, Scheduler::Bfq] {
        let mut bench = Bench::with(scheduler, |config| {
            (config.block.depth, config.block.queue) = (2, 4);
        });
        for lba in 0..10 {
            bench.write(A, lba * 10, 1);
        }
        let late = bench.write(B, 1000, 1);
        bench.unplug(A);
        bench.unplug(B);
        assert_eq!(bench.given.len(), 2);
        assert_eq!(bench.block.rqs.iter().count(), 4);
        while !bench.given.is_empty() {
            assert!(bench.block.rqs.iter().count() <= 4);
            assert!(bench.given.len() <= 2);
            bench.answer(0);
            bench.wait_until(bench.cx.now + bfq::SLICE_IDLE);
        }
        assert_eq!(bench.answers.len(), 11, "{scheduler:?}");
        assert_eq!(bench.answers.last().unwrap().0, late, "who came last waited longest");
    }
}

#[test]
fn slots_are_those_of_the_drive() {
    let mut bench = Bench::with(Scheduler::None, |config| config.block.depth = 3);
    for lba in 0..5 {
        bench.write(A, lba * 10, 1);
    }
    bench.unplug(A);
    assert_eq!(bench.given.iter().map(|req| req.slot).collect::<Vec<_>>(), [0, 1, 2]);
    bench.answer(1);
    assert_eq!(bench.given.iter().map(|req| req.slot).collect::<Vec<_>>(), [0, 2, 1]);
    bench.answer(0);
    assert_eq!(bench.given.last().unwrap().slot, 0);
}

#[test]
fn a_crash_leaves_nothing_and_a_kill_leaves_all() {
    let mut bench = Bench::with(Scheduler::MqDeadline, |_| {});
    bench.write(A, 1, 1);
    let mut chooser = crate::machine::choice::First;
    bench.block.power_cut(Death::Kill, &mut bench.cx.arena, &mut chooser);
    assert_eq!(bench.block.pending(), 1);
    bench.block.power_cut(Death::Crash, &mut bench.cx.arena, &mut chooser);
    assert_eq!(bench.block.pending(), 0);
    bench.unplug(A);
    assert!(bench.given.is_empty());
}

#[test]
fn what_waits_is_held_and_counts() {
    let digest = |bench: &Bench| {
        let mut digest = Digest::default();
        bench.block.digest(&bench.cx.arena, &mut digest);
        digest
    };
    let mut bench = Bench::with(Scheduler::Bfq, |_| {});
    let empty = digest(&bench);
    bench.write(A, 1, 1);
    let mut marks = Marks::default();
    bench.block.marks(&mut marks);
    bench.cx.arena.sweep(&marks);
    let plugged = digest(&bench);
    let other = bench.cx.arena.put(&[9; ondisk_fs::BLOCK]);
    bench.unplug(A);
    let req = &bench.given[0];
    assert_ne!(req.cargo[0].content, other, "it was not used again");
    assert_ne!(empty, plugged);
    assert_ne!(plugged, digest(&bench));
}
