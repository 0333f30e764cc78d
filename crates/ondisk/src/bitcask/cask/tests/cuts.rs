//! The power is cut at every sync of checkpoints and merges, and of what goes on after the cut:
//! the engine holds one of the states it had, whole, none before the last that was owed, and
//! every file of it verifies. And each rule that is broken on purpose is found out.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::ops::Bound;
use std::panic::catch_unwind;

use ondisk_sim::model::{EXT4, POSIX, STRICT};
use ondisk_sim::{
    Budget, Crash, CrashFs, Fault, MemFs, Model, Place, Tally, Target, Verdict, Where,
};

use super::{Contents, Readers, frozen, run, site, work};
use crate::bitcask::cask::*;
use crate::bitcask::verify;
use crate::engine::{Direction, Progress};
use crate::sabotage::Sabotage;

type Operations = Vec<(Vec<u8>, Option<Vec<u8>>)>;

/// Some lives of an engine, and what it held after each checkpoint.
struct Run {
    fs: MemFs,
    broken: Option<BitcaskRule>,
    cask: Arc<Cask>,
    /// With the last commit in each.
    chain: Vec<(Lsn, Contents)>,
    /// Differs from life to life, so that what a former life wrote is known by its bytes.
    life: u8,
}

fn broken_site(fs: &MemFs, broken: Option<BitcaskRule>) -> Site {
    site(fs, broken.map(Sabotage::from))
}

impl Run {
    fn new(broken: Option<BitcaskRule>) -> Self {
        let fs = MemFs::new();
        let cask = open(broken_site(&fs, broken)).unwrap();
        Self { fs, broken, cask, chain: vec![(Lsn(0), Contents::new())], life: 1 }
    }

    /// All checkpoints so far are owed.
    fn owe(&self) {
        self.fs.ack((self.chain.len() - 1).to_string());
    }

    /// The next commits: some keys change, one goes, few stay as they are.
    fn operations(&self) -> Operations {
        let n = u8::try_from(self.chain.len()).unwrap();
        let key = |n: u8| vec![b'k', n % 5];
        let value = Some(vec![self.life, n, n, n]);
        vec![
            (key(n), value.clone()),
            (key(n + 1), None),
            (b"newest".to_vec(), value.clone()),
            (key(n + 3), value),
        ]
    }

    fn freeze(&mut self) -> Frozen {
        let (through, mut model) = self.chain.last().unwrap().clone();
        let operations = self.operations();
        for (key, value) in &operations {
            match value {
                Some(value) => drop(model.insert(key.clone(), value.clone())),
                None => drop(model.remove(key)),
            }
        }
        let frozen = frozen(through, &operations);
        self.chain.push((frozen.through, model));
        frozen
    }

    fn checkpoint(&mut self) {
        self.fs.label("checkpoint");
        let frozen = self.freeze();
        run(&mut *Arc::clone(&self.cask).checkpoint(frozen), &Readers::default()).unwrap();
        self.owe();
    }

    fn merge(&self) {
        self.fs.label("merge");
        while let Some(mut job) = Arc::clone(&self.cask).reclaim(Reclaim::All) {
            run(&mut *job, &Readers::default()).unwrap();
        }
    }

    /// A merge, and a checkpoint between two of its steps.
    fn merge_beside(&mut self, steps: usize) {
        let readers = Readers::default();
        let mut job = Arc::clone(&self.cask).reclaim(Reclaim::All).unwrap();
        for _ in 0..steps {
            job.step(&work(&readers)).unwrap();
        }
        self.checkpoint();
        self.fs.label("merge");
        run(&mut *job, &readers).unwrap();
    }

    /// A merge of all files but the oldest.
    fn merge_inner(&self) {
        self.fs.label("merge");
        let (files, _) = self.cask.weights();
        let claim = self.cask.claim().unwrap();
        let cask = Arc::clone(&self.cask);
        let mut job = Merge::new(claim, cask, &files[1..], Reach::Inner);
        run(&mut job, &Readers::default()).unwrap();
    }

    /// The process dies, and the next opens in the same boot.
    fn die(&mut self) {
        self.fs.label("open");
        self.fs = self.fs.fork();
        self.cask = reopen(&self.fs, self.broken).unwrap();
        let through = self.cask.view().through();
        self.chain.retain(|(lsn, _)| *lsn <= through);
        self.owe();
    }

    /// A manifest is put in place, and making that durable fails.
    fn fail_install(&self, job: &mut dyn Job, dir_syncs_before: u64) {
        let target = Target::Only(Place::SyncDir);
        let fault = Fault { nth: dir_syncs_before + 1, ..Fault::next(target, ErrorKind::Other) };
        self.fs.inject(fault.on("keyspace"));
        run(job, &Readers::default()).unwrap_err();
        self.fs.clear_faults();
    }

    /// A checkpoint of which nobody knows whether it happened.
    fn failed_checkpoint(&mut self) -> Frozen {
        self.fs.label("checkpoint");
        let frozen = self.freeze();
        self.fail_install(&mut *Arc::clone(&self.cask).checkpoint(frozen.clone()), 1);
        frozen
    }

    fn failed_merge(&self) {
        self.fs.label("merge");
        self.fail_install(&mut *Arc::clone(&self.cask).reclaim(Reclaim::All).unwrap(), 1);
    }

    /// What was frozen for an attempt that failed is frozen again.
    fn again(&self, frozen: Frozen) {
        self.fs.label("checkpoint");
        run(&mut *Arc::clone(&self.cask).checkpoint(frozen), &Readers::default()).unwrap();
        self.owe();
    }
}

/// Opens as a store does that was not closed.
fn reopen(fs: &MemFs, broken: Option<BitcaskRule>) -> Result<Arc<Cask>, Error> {
    let cask = open(broken_site(fs, broken))?;
    cask.renew()?;
    cask.sweep()?;
    Ok(cask)
}

fn read_all(view: &Arc<dyn View>) -> Result<Contents, Error> {
    let all = (Bound::Unbounded, Bound::Unbounded);
    let mut walk = Arc::clone(view).walk(all.0, all.1, Direction::Forward);
    let mut found = Contents::new();
    while walk.advance()? {
        let key = walk.key().to_vec();
        found.insert(key, walk.value()?.to_vec());
    }
    Ok(found)
}

/// Opens what a cut left, and compares with what is owed; which state is there.
fn recovered(
    fs: &CrashFs,
    broken: Option<BitcaskRule>,
    chain: &[(Lsn, Contents)],
) -> Result<(Arc<Cask>, usize), String> {
    let owed = fs.owed_text().last().map_or(0, |note| note.parse().unwrap());
    let cask = open(broken_site(fs, broken)).map_err(|error| error.to_string())?;
    let through = cask.view().through();
    let at = chain.iter().position(|(lsn, _)| *lsn == through);
    let at = at.ok_or_else(|| format!("no checkpoint was through LSN {through}"))?;
    if at < owed {
        return Err(format!("checkpoint {owed} is owed, and {at} is there"));
    }
    let found = read_all(&cask.view()).map_err(|error| error.to_string())?;
    if found != chain[at].1 {
        return Err(format!("of checkpoint {at}: {found:?}"));
    }
    let mut findings = Vec::new();
    let mut sink = |finding| findings.push(finding);
    verify(&site(fs, None), &mut sink).map_err(|error| error.to_string())?;
    if let Some(finding) = findings.first() {
        return Err(format!("{finding:?}"));
    }
    cask.renew().and_then(|()| cask.sweep()).map_err(|error| error.to_string())?;
    Ok((cask, at))
}

/// Cuts a run everywhere, and what goes on after the cut once more.
fn cut(run: &Run, model: &Model, further: u32, budget: Budget, tally: &Tally) -> Verdict {
    let verify = &mut |fs: &CrashFs| -> Verdict {
        let (cask, at) = recovered(fs, run.broken, &run.chain)?;
        if further == 0 {
            return Ok(());
        }
        let (life, chain) = (run.life + 1, run.chain[..=at].to_vec());
        let mut next = Run { fs: MemFs::clone(fs), broken: run.broken, cask, chain, life };
        next.owe();
        next.checkpoint();
        next.merge();
        let few = Budget { per_cut: 3, per_run: 20, ..budget };
        let again = &mut |fs: &CrashFs| -> Verdict {
            // Before its recovery had ended, what the life before had may be there too.
            let found = recovered(fs, run.broken, &next.chain);
            let found = found.or_else(|_| recovered(fs, run.broken, &run.chain));
            Ok(found.map(drop)?)
        };
        Crash::of_life(model, fs).explore(Where::AtSyncs, few, tally, again).into_result()?;
        Ok(())
    };
    let crash = Crash::new(model, run.fs.history());
    crash.explore(Where::AtSyncs, budget, tally, verify).into_result()?;
    Ok(())
}

/// A name, and what happens before the cut.
type Shape = (&'static str, fn(&mut Run));

const SHAPES: [Shape; 7] = [
    ("checkpoints", |run| (0..4).for_each(|_| run.checkpoint())),
    ("merges", |run| {
        for _ in 0..2 {
            run.checkpoint();
            run.checkpoint();
            run.merge();
        }
        run.checkpoint();
        run.merge_beside(2);
        run.checkpoint();
    }),
    ("merges of inner files", |run| {
        (0..5).for_each(|_| run.checkpoint()); // the fifth takes away what the first holds
        run.merge_inner();
        run.checkpoint();
        run.merge_inner();
        run.checkpoint();
    }),
    ("deaths", |run| {
        for _ in 0..3 {
            run.checkpoint();
            run.die();
            run.merge();
            run.die();
        }
    }),
    ("a failed checkpoint and a death", |run| {
        run.checkpoint();
        run.failed_checkpoint();
        run.die();
        run.checkpoint();
        run.merge();
    }),
    ("failed checkpoints and another attempt", |run| {
        run.checkpoint();
        let frozen = run.failed_checkpoint();
        run.again(frozen);
        run.failed_checkpoint();
        run.merge();
    }),
    ("failed merges", |run| {
        (0..3).for_each(|_| run.checkpoint());
        run.failed_merge();
        run.checkpoint();
        run.failed_merge();
        run.merge();
        run.checkpoint();
        run.failed_merge();
        run.die();
        run.checkpoint();
    }),
];

fn explore(broken: Option<BitcaskRule>, budget: Budget, further: u32) -> Result<u64, String> {
    let tally = Tally::new();
    for (name, shape) in SHAPES {
        let mut run = Run::new(broken);
        shape(&mut run);
        tally.set_shape(name);
        for model in [STRICT, EXT4, POSIX] {
            cut(&run, &model, further, budget, &tally)
                .map_err(|broken| format!("{name}: {broken:?}"))?;
        }
    }
    Ok(tally.states())
}

#[test]
fn a_cut_leaves_a_state_that_was() {
    let states = explore(None, Budget::per_cut(40), 1).unwrap_or_else(|why| panic!("{why}"));
    println!("{states} distinct states");
    assert!(states > 2_500, "{states}");
}

/// A view that is held, and each that is shown while a job runs, is of one moment.
fn views_hold(broken: Option<BitcaskRule>) {
    let mut run = Run::new(broken);
    (0..3).for_each(|_| run.checkpoint());
    let held = run.cask.view();
    let old = run.chain[3].1.clone();
    for round in 0..3 {
        let frozen = run.freeze();
        let mut job = Arc::clone(&run.cask).checkpoint(frozen);
        while job.step(&work(&Readers::default())).unwrap() == Progress::Working {
            let view = run.cask.view();
            let (_, model) = run.chain.iter().find(|(lsn, _)| *lsn == view.through()).unwrap();
            assert_eq!(&read_all(&view).unwrap(), model, "round {round}");
        }
        assert_eq!(read_all(&held).unwrap(), old, "round {round}");
        run.merge();
        assert_eq!(read_all(&held).unwrap(), old, "round {round}");
    }
}

/// A checkpoint between any two steps of a merge keeps what it has put there.
fn merges_go_beside_checkpoints(broken: Option<BitcaskRule>) {
    for steps in 0..8 {
        let mut run = Run::new(broken);
        (0..3).for_each(|_| run.checkpoint());
        run.merge_beside(steps);
        let model = &run.chain.last().unwrap().1;
        assert_eq!(&read_all(&run.cask.view()).unwrap(), model, "after {steps} steps");
    }
}

/// What a reader in another process may open stays until it is gone.
fn pins_hold(broken: Option<BitcaskRule>) {
    let mut run = Run::new(broken);
    (0..2).for_each(|_| run.checkpoint());
    let mut readers = Readers::default();
    readers.come(Vec::new());
    let mut job = Arc::clone(&run.cask).reclaim(Reclaim::All).unwrap();
    super::tests::run(&mut *job, &readers).unwrap();
    assert!(run.fs.look("keyspace/0000000001.data").is_some());
    assert_eq!(run.cask.stats().obsolete_files, 2);
    assert!(Arc::clone(&run.cask).reclaim(Reclaim::All).is_none(), "nothing can be won now");
    run.checkpoint(); // the reader is gone
    assert_eq!(run.fs.look("keyspace/0000000001.data"), None);
    assert_eq!(run.cask.stats().obsolete_files, 0);
}

/// A bit that rots in a data file is noticed by the read that would give it out, and one that
/// rots in a hint file changes nothing.
fn rot_is_noticed(broken: Option<BitcaskRule>) {
    let mut run = Run::new(broken);
    run.checkpoint();
    let path = "keyspace/0000000001.data";
    let len = run.fs.read(path).unwrap().len() as u64;
    let key = run.chain[1].1.keys().next_back().unwrap().clone();
    let rotten = run.fs.fork();
    rotten.rot(path, len - 1, 0).unwrap();
    let cask = open(broken_site(&rotten, broken)).unwrap();
    assert!(cask.view().get(&key).unwrap_err().is_damage());
    for bit in [64, 80, 90, 96, 97] {
        let rotten = run.fs.fork();
        rotten.rot("keyspace/0000000001.hint", bit, 0).unwrap();
        let cask = open(broken_site(&rotten, broken)).unwrap();
        assert_eq!(read_all(&cask.view()).unwrap(), run.chain[1].1);
    }
}

/// No manifest is installed that holds what the log may lose.
fn manifests_wait_for_the_log(broken: Option<BitcaskRule>) {
    let mut run = Run::new(broken);
    let frozen = run.freeze();
    let mut job = Arc::clone(&run.cask).checkpoint(frozen);
    let refused = catch_unwind(std::panic::AssertUnwindSafe(|| {
        let readers = Readers::default();
        let work = Work { bytes: 1000, durable: &|| Lsn(3), pins: &readers };
        while job.step(&work).unwrap() == Progress::Working {}
    }));
    assert!(refused.is_err(), "the log is durable through LSN 3, and the manifest through 4");
    assert_eq!(run.cask.commit_point(), CommitPoint::default());
    assert_eq!(run.fs.look("keyspace/manifest"), None);
}

const STORIES: [fn(Option<BitcaskRule>); 5] = [
    views_hold,
    merges_go_beside_checkpoints,
    pins_hold,
    rot_is_noticed,
    manifests_wait_for_the_log,
];

#[test]
fn an_engine_that_keeps_its_rules_passes() {
    STORIES.iter().for_each(|story| story(None));
}

#[test]
fn each_broken_rule_is_found_out() {
    let mut missed = BTreeSet::new();
    for rule in BitcaskRule::ALL {
        let fails = |story: &fn(Option<BitcaskRule>)| catch_unwind(|| story(Some(rule))).is_err();
        if STORIES.iter().any(fails) {
            println!("{rule:?}: found out by a reader");
            continue;
        }
        match catch_unwind(|| explore(Some(rule), Budget::per_cut(30), 0)) {
            Ok(Err(why)) => println!("{rule:?}: found out by a cut: {:.150}", why),
            Err(_) => println!("{rule:?}: found out by a panic"),
            Ok(Ok(_)) => drop(missed.insert(rule)),
        }
    }
    assert_eq!(missed, BTreeSet::new());
}
