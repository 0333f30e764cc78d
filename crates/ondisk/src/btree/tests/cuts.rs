//! Power cuts at every sync of sequences of checkpoints: what was acknowledged is there, whole.

use std::io::ErrorKind;

use ondisk_sim::model::{EXT4, POSIX, STRICT};
use ondisk_sim::{Budget, Crash, CrashFs, Failure, Fault, Place, Tally, Target, Verdict, Where};

use super::*;

const PAGE: u32 = 1024;

/// Some lives of a tree, and what it held after each checkpoint.
pub(super) struct Run {
    pub(super) fs: MemFs,
    broken: Option<BtreeRule>,
    /// By LSN.
    chain: Vec<Contents>,
    readers: Readers,
}

/// The changes of one checkpoint: keys here and there, a row of keys, a value of many pages.
fn changes(nth: u64, life: u64) -> Changes {
    let mut changes = Changes::new();
    for n in 0..12 {
        let key = (nth * 7 + n * 5) % 40;
        let value = format!("life {life} checkpoint {nth} key {key} ").repeat(4);
        let gone = (nth + n).is_multiple_of(4);
        changes.insert(format!("key{key:03}").into_bytes(), (!gone).then(|| value.into_bytes()));
    }
    let large = usize::try_from(nth).unwrap() * 700;
    let byte = u8::try_from(nth * 16 + life).unwrap();
    changes.insert(b"large".to_vec(), Some(vec![byte; large]));
    changes
}

impl Run {
    pub(super) fn new(broken: Option<BtreeRule>) -> Self {
        let (chain, readers) = (vec![Contents::new()], Readers::default());
        Self { fs: MemFs::new(), broken, chain, readers }
    }

    fn site(&self) -> Site {
        site(&self.fs, PAGE, self.broken)
    }

    pub(super) fn open(&self) -> Arc<Btree> {
        self.fs.label("recovery");
        let engine = recover(self.site()).unwrap();
        self.owe();
        engine
    }

    fn owe(&self) {
        self.fs.ack((self.chain.len() - 1).to_string());
    }

    fn try_checkpoint(&mut self, engine: &Arc<Btree>, changes: &Changes) -> Result<(), Error> {
        let nth = self.chain.len() as u64;
        let mut next = self.chain[self.chain.len() - 1].clone();
        apply(&mut next, changes);
        self.chain.push(next);
        self.fs.label("checkpoint");
        checkpoint(engine, changes, nth, &self.readers)
    }

    pub(super) fn checkpoint(&mut self, engine: &Arc<Btree>, life: u64) {
        let changes = changes(self.chain.len() as u64, life);
        self.try_checkpoint(engine, &changes).unwrap();
        self.owe();
    }

    /// Puts many keys, and takes most of them away again.
    fn fill(&mut self, engine: &Arc<Btree>) {
        let nth = self.chain.len() as u64;
        let key = |n: usize| format!("fill{:02}", n * 37 % 60).into_bytes();
        let put: Changes = (0..60).map(|n| (key(n), Some(vec![7; 100 + 50 * (n % 9)]))).collect();
        let gone: Changes = (0..60).filter(|n| n % 6 > 0).map(|n| (key(n), None)).collect();
        self.fs.label("checkpoint");
        for (changes, nth) in [put, gone].iter().zip(nth..) {
            let mut next = self.chain[self.chain.len() - 1].clone();
            apply(&mut next, changes);
            self.chain.push(next);
            checkpoint(engine, changes, nth, &self.readers).unwrap();
            self.owe();
        }
    }

    /// Makes the file as short as it gets.
    fn compact(&self, engine: &Arc<Btree>) {
        self.fs.label("reclaim");
        let before = self.fs.read("tree/pages").unwrap().len();
        reclaim(engine, Reclaim::All, &self.readers).unwrap();
        let after = self.fs.read("tree/pages").unwrap().len();
        assert!(after < before, "{before} bytes, then {after}");
    }

    /// A job that is let go after one step, another after two, until one comes to its end.
    fn abandon(&self, engine: &Arc<Btree>) {
        self.fs.label("reclaim");
        let through = engine.commit_point().through;
        let durable = || through;
        let work = Work { bytes: 1000, durable: &durable, pins: &self.readers };
        for steps in 1.. {
            let mut job = Arc::clone(engine).reclaim(Reclaim::All).unwrap();
            if (0..steps).any(|_| job.step(&work).unwrap() == Progress::Finished) {
                return;
            }
        }
    }

    /// A checkpoint whose meta page is written, and not made durable. The next one takes over what
    /// this one did: its changes are those of the next LSN.
    fn failed_install(&mut self, engine: &Arc<Btree>, changes: &Changes) {
        let second =
            Fault { nth: 2, ..Fault::next(Target::Only(Place::SyncData), ErrorKind::Other) };
        self.fs.inject(second.on("tree/pages"));
        self.try_checkpoint(engine, changes).unwrap_err();
    }
}

/// What a store does at an open after a death.
fn recover(site: Site) -> Result<Arc<Btree>, Error> {
    let engine = open(site)?;
    engine.renew()?;
    engine.sweep()?;
    Ok(engine)
}

/// Opens what a cut left, and compares it with what is owed.
fn verdict(fs: &CrashFs, run: &Run) -> Result<(Arc<Btree>, usize), String> {
    let owed: usize = fs.owed_text().last().map_or(0, |note| note.parse().unwrap());
    let site = site(fs, PAGE, run.broken);
    let engine = recover(site.clone()).map_err(|error| error.to_string())?;
    let through = usize::try_from(engine.commit_point().through.0).unwrap();
    if through < owed {
        return Err(format!("{owed} checkpoints are owed, {through} are there"));
    }
    let found = contents(&engine.view()).map_err(|error| error.to_string())?;
    if found != run.chain[through] {
        return Err(format!("checkpoint {through} holds something else"));
    }
    let findings = findings(&site);
    if findings.is_empty() { Ok((engine, through)) } else { Err(format!("{findings:?}")) }
}

fn cut(
    run: &Run,
    model: &ondisk_sim::Model,
    budget: Budget,
    tally: &Tally,
) -> Result<(), Box<Failure>> {
    let mut verify = |fs: &CrashFs| -> Verdict {
        let (engine, through) = verdict(fs, run)?;
        // What goes on after the cut is whole, too.
        let chain = run.chain[..=through].to_vec();
        let (fs, broken, readers) = (MemFs::clone(fs), run.broken, Readers::default());
        let mut next = Run { fs, broken, chain, readers };
        next.checkpoint(&engine, 2);
        reclaim(&engine, Reclaim::All, &next.readers)?;
        next.checkpoint(&engine, 2);
        let found = contents(&engine.view())?;
        if found != next.chain[next.chain.len() - 1] || !findings(&next.site()).is_empty() {
            return Err("the checkpoints after the cut are not whole".into());
        }
        Ok(())
    };
    let crash = Crash::new(model, run.fs.history());
    crash.explore(Where::AtSyncs, budget, tally, &mut verify).into_result()?;
    Ok(())
}

/// A name, and what happens before the cut.
type Shape = (&'static str, fn(&mut Run));

const SHAPES: [Shape; 10] = [
    ("checkpoints", |run| {
        let engine = run.open();
        (0..4).for_each(|_| run.checkpoint(&engine, 1));
    }),
    ("deaths", |run| {
        for _ in 0..3 {
            let engine = run.open();
            run.checkpoint(&engine, 1);
            run.fs = run.fs.fork();
        }
        run.open();
    }),
    ("a failed install and a death", |run| {
        let engine = run.open();
        run.checkpoint(&engine, 1);
        run.failed_install(&engine, &changes(2, 1));
        run.fs = run.fs.fork();
        let engine = run.open();
        let through = usize::try_from(engine.commit_point().through.0).unwrap();
        run.chain.truncate(through + 1);
        run.owe();
        run.checkpoint(&engine, 1);
    }),
    ("a failed install and another attempt", |run| attempts(run, 1)),
    ("two failed installs and another attempt", |run| attempts(run, 2)),
    ("a shorter file", |run| {
        let engine = run.open();
        run.fill(&engine);
        run.compact(&engine);
        run.checkpoint(&engine, 1);
    }),
    ("a shorter file and deaths", |run| {
        let engine = run.open();
        run.fill(&engine);
        run.compact(&engine);
        run.fs = run.fs.fork();
        let engine = run.open();
        run.checkpoint(&engine, 1);
        run.compact(&engine);
        run.fs = run.fs.fork();
        run.open();
    }),
    ("jobs that are let go", |run| {
        let engine = run.open();
        run.fill(&engine);
        run.abandon(&engine);
        run.checkpoint(&engine, 1);
        run.abandon(&engine);
        reclaim(&engine, Reclaim::All, &run.readers).unwrap();
    }),
    ("a failed install, and a file that could be shorter", |run| {
        let engine = run.open();
        run.fill(&engine);
        run.compact(&engine);
        let nth = run.chain.len() as u64;
        run.failed_install(&engine, &changes(nth, 1));
        // The meta page that may be on the disk says that the file is longer.
        reclaim(&engine, Reclaim::All, &run.readers).unwrap();
        run.fs = run.fs.fork();
        run.open();
    }),
    ("a shorter file whose install failed", |run| {
        let engine = run.open();
        run.fill(&engine);
        let second =
            Fault { nth: 2, ..Fault::next(Target::Only(Place::SyncData), ErrorKind::Other) };
        run.fs.inject(second.on("tree/pages"));
        reclaim(&engine, Reclaim::All, &run.readers).unwrap_err();
        run.checkpoint(&engine, 1);
        run.compact(&engine);
    }),
];

/// So many attempts that fail, one that takes over what they did, and a checkpoint behind it.
fn attempts(run: &mut Run, failed: usize) {
    let engine = run.open();
    run.checkpoint(&engine, 1);
    run.checkpoint(&engine, 1);
    let (mut next, first) = (run.chain[2].clone(), run.chain.len() as u64);
    let mut all = Changes::new();
    for _ in 0..failed {
        // The changes of each attempt are those of the ones before, too.
        let nth = run.chain.len() as u64;
        all.extend(changes(nth, 1));
        run.failed_install(&engine, &all);
    }
    let nth = first + failed as u64;
    all.extend(changes(nth, 1));
    apply(&mut next, &all);
    run.chain.push(next);
    checkpoint(&engine, &all, nth, &run.readers).unwrap();
    run.owe();
    run.checkpoint(&engine, 1);
}

/// How many different states were looked at.
pub(super) fn explore(broken: Option<BtreeRule>, budget: Budget) -> Result<u64, Box<Failure>> {
    let tally = Tally::new();
    for (name, shape) in SHAPES {
        let mut run = Run::new(broken);
        shape(&mut run);
        tally.set_shape(name);
        for model in [STRICT, EXT4, POSIX] {
            cut(&run, &model, budget, &tally)?;
        }
    }
    Ok(tally.states())
}

#[test]
fn nothing_acknowledged_is_lost() {
    // Few: what is not durable is not reachable, so recovery never looks at it.
    let states = explore(None, Budget::per_cut(60)).unwrap_or_else(|failure| panic!("{failure}"));
    println!("{states} distinct states");
    assert!(states > 10, "{states}");
}
