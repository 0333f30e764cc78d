//! Loads: what programs make of a machine, a step at a time.
//!
//! What is counted is what the machine asks of the allocator: what a program needs for the bytes
//! and paths of its calls is its own.

use ondisk_sim::Image;
use ondisk_sim::machine::config::{DataMode, Ext4Options, Mount, Scheduler};
use ondisk_sim::machine::ids::{Fd, Ns, OpId, TaskId};
use ondisk_sim::machine::message::{Open, Reply, Request};
use ondisk_sim::machine::{Config, Sim};

use crate::os;

pub(crate) const PAGE: usize = 4096;
/// The pages of the file that is written over.
const PAGES: u64 = 64;
const ONE: TaskId = TaskId(1);
const TWO: TaskId = TaskId(2);

/// A load: its name, how many steps are a round of it, on which machine it runs, and a step.
pub(crate) struct Load {
    pub(crate) name: &'static str,
    pub(crate) steps: u32,
    pub(crate) config: fn(&mut Config),
    pub(crate) step: fn(&mut Program),
}

/// All loads.
pub(crate) const LOADS: [Load; 10] = [
    Load { name: "overwrite, fdatasync", steps: 8_000, config: plain, step: Program::overwrite },
    Load { name: "append, fsync", steps: 4_096, config: plain, step: Program::append },
    Load { name: "both, of two tasks", steps: 4_096, config: plain, step: Program::both },
    Load { name: "create, rename, unlink", steps: 4_000, config: plain, step: Program::names },
    Load { name: "file replaced by rename", steps: 3_000, config: plain, step: Program::replace },
    Load { name: "64 pages, then 40 s", steps: 200, config: plain, step: Program::leave },
    Load { name: "append, mq-deadline", steps: 4_096, config: deadline, step: Program::append },
    Load { name: "append, bfq", steps: 4_096, config: bfq, step: Program::append },
    Load { name: "append, data=journal", steps: 4_096, config: journal, step: Program::append },
    Load { name: "append, with history", steps: 2_048, config: history, step: Program::append },
];

fn plain(_: &mut Config) {}

fn deadline(config: &mut Config) {
    config.block.scheduler = Scheduler::MqDeadline;
}

fn bfq(config: &mut Config) {
    config.block.scheduler = Scheduler::Bfq;
}

fn journal(config: &mut Config) {
    config.mount = Mount::Ext4(Ext4Options { data: DataMode::Journal, ..Ext4Options::default() });
}

fn history(config: &mut Config) {
    config.history = true;
}

/// A program on a machine.
pub(crate) struct Program {
    pub(crate) sim: Sim,
    /// A log, a second one, and the directory in which they are.
    log: Fd,
    other: Fd,
    dir: Fd,
    step: u64,
    /// How often the machine asked for memory.
    pub(crate) asked: u64,
}

impl Program {
    /// A program with a log of some pages, durable.
    pub(crate) fn new(with: fn(&mut Config)) -> Self {
        let mut config = Config { history: false, ..Config::default() };
        with(&mut config);
        let sim = Sim::new(config, &Image::new(), 1).unwrap();
        sim.watch(false);
        let none = Fd(0);
        let mut program = Self { sim, log: none, other: none, dir: none, step: 0, asked: 0 };
        program.log = program.open(ONE, b"log");
        program.other = program.open(TWO, b"other");
        let (path, how) = (b"/".as_slice().into(), Open { read: true, ..Open::default() });
        program.dir = program.opened(ONE, Request::Open { path, how, mode: 0 });
        for page in 0..PAGES {
            program.write(ONE, program.log, page * PAGE as u64, PAGE);
        }
        program.call(ONE, Request::Fsync { fd: program.log });
        program
    }

    /// A program that has run so long that its drive was written over.
    pub(crate) fn warm(load: &Load) -> Self {
        let mut program = Self::new(load.config);
        program.run(8 * load.steps, load.step);
        program
    }

    fn call(&mut self, task: TaskId, what: Request) -> Reply {
        let before = os::asked();
        let reply = self.sim.call(task, what).unwrap();
        self.asked += os::asked() - before;
        reply
    }

    fn opened(&mut self, task: TaskId, what: Request) -> Fd {
        let Reply::Fd(fd) = self.call(task, what) else { panic!("an open answers a descriptor") };
        fd
    }

    fn open(&mut self, task: TaskId, path: &[u8]) -> Fd {
        let how = Open { read: true, write: true, create: true, ..Open::default() };
        self.opened(task, Request::Open { path: path.into(), how, mode: 0o644 })
    }

    fn bytes(&self, fd: Fd, at: u64, len: usize) -> Request {
        let byte = u8::try_from(self.step % 251).unwrap() + 1;
        Request::Write { fd, at: Some(at), bytes: vec![byte; len], sync: None }
    }

    pub(crate) fn write(&mut self, task: TaskId, fd: Fd, at: u64, len: usize) {
        let what = self.bytes(fd, at, len);
        self.call(task, what);
    }

    /// A log that overwrites a page and syncs.
    fn overwrite(&mut self) {
        self.write(ONE, self.log, self.step % PAGES * PAGE as u64, PAGE);
        self.call(ONE, Request::Fdatasync { fd: self.log });
    }

    /// A log that grows by less than a page and syncs; from time to time it begins anew.
    pub(crate) fn append(&mut self) {
        let turn = self.step % 1024;
        if turn == 0 {
            self.call(ONE, Request::SetLen { fd: self.log, len: 0 });
        }
        self.write(ONE, self.log, turn * 1000, 1000);
        self.call(ONE, Request::Fsync { fd: self.log });
    }

    /// One task overwrites, the other appends, at the same time.
    fn both(&mut self) {
        let turn = self.step % 1024;
        if turn == 0 {
            self.call(TWO, Request::SetLen { fd: self.other, len: 0 });
        }
        let over = self.bytes(self.log, self.step % PAGES * PAGE as u64, PAGE);
        let append = self.bytes(self.other, turn * 1000, 1000);
        self.at_once(over, append);
        let (over, append) = (Request::Fdatasync { fd: self.log }, self.other);
        self.at_once(over, Request::Fsync { fd: append });
    }

    fn at_once(&mut self, one: Request, two: Request) {
        let before = os::asked();
        let mut open = [(ONE, one), (TWO, two)].map(|(task, what)| self.sim.submit(task, what));
        while open != [OpId(0); 2] {
            for op in &mut open {
                if let Some(answer) = self.sim.take(*op) {
                    assert!(answer.is_ok(), "{answer:?}");
                    *op = OpId(0);
                }
            }
            self.sim.turn();
        }
        self.asked += os::asked() - before;
    }

    /// A file made, renamed and removed, and its directory synced each time.
    fn names(&mut self) {
        let fd = self.open(ONE, b"new");
        self.call(ONE, Request::Close { fd });
        self.call(ONE, Request::Fsync { fd: self.dir });
        let (from, to) = (b"new".as_slice().into(), b"old".as_slice().into());
        self.call(ONE, Request::Rename { from, to, exchange: false });
        self.call(ONE, Request::Fsync { fd: self.dir });
        self.call(ONE, Request::Unlink { path: b"old".as_slice().into() });
        self.call(ONE, Request::Fsync { fd: self.dir });
    }

    /// A file replaced by another.
    fn replace(&mut self) {
        let fd = self.open(ONE, b"new");
        self.write(ONE, fd, 0, 3 * PAGE);
        self.call(ONE, Request::Fsync { fd });
        self.call(ONE, Request::Close { fd });
        let (from, to) = (b"new".as_slice().into(), b"old".as_slice().into());
        self.call(ONE, Request::Rename { from, to, exchange: false });
    }

    /// Pages left to the flusher.
    fn leave(&mut self) {
        for page in 0..PAGES {
            self.write(ONE, self.log, page * PAGE as u64, PAGE);
        }
        let before = os::asked();
        self.sim.run_until(Ns(self.sim.now().0 + 40 * Ns::S.0));
        self.asked += os::asked() - before;
    }

    /// So many steps; how many events there were, and how often the machine asked for memory.
    #[inline(never)]
    pub(crate) fn run(&mut self, steps: u32, step: fn(&mut Self)) -> (u32, u64) {
        let (events, asked) = (self.sim.events(), self.asked);
        for _ in 0..steps {
            self.step += 1;
            step(self);
        }
        (self.sim.events() - events, self.asked - asked)
    }
}
