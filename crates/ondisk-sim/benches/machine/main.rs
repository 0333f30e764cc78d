//! How many events a second the whole machine has, on one core, and how often it asks for memory
//! once it is warm.
//!
//! Each load is what a program makes of a machine: a log that overwrites and syncs, one that
//! grows, files replaced by rename, pages left to the flusher. The vector that a write hands in
//! is the program's, and is counted apart.
//!
//! Run it: `cargo bench -p ondisk-sim --bench machine`.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot run stops")]

mod os;

use std::sync::atomic::Ordering;
use std::time::Instant;

use ondisk_sim::Image;
use ondisk_sim::machine::choice::Seeded;
use ondisk_sim::machine::ids::{Fd, Ns, TaskId};
use ondisk_sim::machine::message::{Open, Reply, Request};
use ondisk_sim::machine::{Config, Death, Sim};

#[global_allocator]
static ALLOCATOR: os::Counted = os::Counted;

const PAGE: usize = 4096;
const PAGES: u64 = 64;

/// One step of a load.
type Step = fn(&mut Program);

/// A program on a machine.
struct Program {
    sim: Sim,
    fd: Fd,
    step: u64,
    /// Vectors that it handed in.
    own: u64,
}

impl Program {
    fn new() -> Self {
        let config = Config { history: false, ..Config::default() };
        let sim = Sim::new(config, &Image::new(), 1).unwrap();
        sim.watch(false);
        let mut program = Self { sim, fd: Fd(0), step: 0, own: 0 };
        program.fd = program.open(b"log");
        for page in 0..PAGES {
            program.write(page * PAGE as u64, PAGE);
        }
        program.call(Request::Fsync { fd: program.fd });
        program
    }

    fn call(&self, what: Request) -> Reply {
        self.sim.call(TaskId(1), what).unwrap()
    }

    fn open(&mut self, path: &[u8]) -> Fd {
        self.own += 1;
        let how = Open { read: true, write: true, create: true, ..Open::default() };
        let Reply::Fd(fd) = self.call(Request::Open { path: path.into(), how, mode: 0o644 }) else {
            panic!("an open answers a descriptor")
        };
        fd
    }

    fn write(&mut self, at: u64, len: usize) {
        self.own += 1;
        let byte = u8::try_from(self.step % 251).unwrap() + 1;
        let bytes = vec![byte; len];
        self.call(Request::Write { fd: self.fd, at: Some(at), bytes, sync: None });
    }

    /// A log that overwrites a page and syncs.
    fn overwrite(&mut self) {
        self.write(self.step % PAGES * PAGE as u64, PAGE);
        self.call(Request::Fdatasync { fd: self.fd });
    }

    /// A log that grows by less than a page and syncs; from time to time it begins anew.
    fn append(&mut self) {
        let turn = self.step % 1024;
        if turn == 0 {
            self.call(Request::SetLen { fd: self.fd, len: 0 });
        }
        self.write(turn * 1000, 1000);
        self.call(Request::Fsync { fd: self.fd });
    }

    /// A file replaced by another.
    fn replace(&mut self) {
        let log = self.fd;
        self.fd = self.open(b"new");
        self.write(0, 3 * PAGE);
        self.call(Request::Fsync { fd: self.fd });
        self.call(Request::Close { fd: self.fd });
        self.fd = log;
        self.own += 2;
        let (from, to) = (b"new".as_slice().into(), b"old".as_slice().into());
        self.call(Request::Rename { from, to, exchange: false });
    }

    /// Pages left to the flusher.
    fn leave(&mut self) {
        for page in 0..PAGES {
            self.write(page * PAGE as u64, PAGE);
        }
        self.sim.run_until(Ns(self.sim.now().0 + 40 * Ns::S.0));
    }

    /// So many steps: events a second, and how often a thousand events ask for memory.
    #[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
    fn measure(&mut self, steps: u64, step: Step) -> (f64, f64) {
        let asked = || os::ASKED.load(Ordering::Relaxed);
        let (events, before, own) = (self.sim.events(), asked(), self.own);
        let start = Instant::now();
        for _ in 0..steps {
            self.step += 1;
            step(self);
        }
        let took = start.elapsed().as_secs_f64();
        let events = f64::from(self.sim.events() - events);
        let asked = u32::try_from(asked() - before - (self.own - own)).unwrap();
        (events / took / 1e6, f64::from(asked) * 1000.0 / events)
    }
}

fn main() {
    let loads: [(&str, u64, Step); 4] = [
        ("overwrite + fdatasync", 20_000, Program::overwrite),
        ("append + fsync", 10_000, Program::append),
        ("write, fsync, rename", 5_000, Program::replace),
        ("64 pages, then 40 s", 300, Program::leave),
    ];
    println!("{:24}{:>14}{:>26}", "load", "M events/s", "allocations/1000 events");
    for (name, steps, step) in loads {
        let mut program = Program::new();
        program.measure(steps / 2, step); // warm
        let (rate, asked) = program.measure(steps, step);
        println!("{name:24}{rate:>14.2}{asked:>26.2}");
    }
    cuts();
}

/// What a cut costs, without the mount behind it and with it.
#[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
fn cuts() {
    let mut program = Program::new();
    program.measure(500, Program::append);
    program.write(0, PAGE);
    let shot = program.sim.shot();
    for (what, mounts) in [("cut", false), ("cut, replay, list files", true)] {
        let count = if mounts { 2_000 } else { 50_000 };
        let start = Instant::now();
        for seed in 0..count {
            let mut media = shot.cut(Death::Cut, &mut Seeded::new(seed));
            if mounts {
                media.image().unwrap();
            }
        }
        let each = start.elapsed().as_secs_f64() * 1e6 / f64::from(u32::try_from(count).unwrap());
        println!("{what:24}{each:>14.2} us");
    }
}
