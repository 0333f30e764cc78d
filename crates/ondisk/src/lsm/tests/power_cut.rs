//! The power is cut at every sync of checkpoints and compactions, and of what goes on after the
//! cut: the engine holds one of the states it had, whole, and none before the last that was owed.

use std::collections::BTreeSet;
use std::io::ErrorKind;

use ondisk_fs::create_dir_durable;
use ondisk_sim::model::{EXT4, POSIX, STRICT};
use ondisk_sim::{
    Budget, Crash, CrashFs, Failure, Fault, Model, Place, Report, Tally, Target, Verdict, Where,
};

use super::*;

/// Some lives of an engine, and what it held after each checkpoint.
struct Run {
    fixture: Fixture,
    /// With the last commit in each.
    chain: Vec<(Lsn, Contents)>,
    /// Differs from life to life, so that what a former life wrote is known by its bytes.
    life: u8,
    /// How many bytes a value has beside those that tell it.
    bulk: u32,
}

impl Run {
    fn new(broken: Option<LsmRule>) -> Self {
        let fixture = Fixture::new(broken);
        let mut run = Self { fixture, chain: Vec::new(), life: 1, bulk: 0 };
        run.chain.push((Lsn(0), Contents::new()));
        run.owe();
        run
    }

    /// Goes on with what a cut left.
    fn further(fs: &CrashFs, lsm: Arc<Lsm>, chain: &[(Lsn, Contents)], life: u8) -> Self {
        let (lsn, model) = chain.last().unwrap().clone();
        let fixture = Fixture {
            fs: MemFs::clone(fs),
            sabotage: lsm.broken(),
            lsm,
            readers: Readers::default(),
            model,
            lsn: lsn.0,
            durable: lsn,
            step: 400,
        };
        let mut run = Self { fixture, chain: chain.to_vec(), life, bulk: 0 };
        run.owe();
        run
    }

    /// All checkpoints so far are owed, and the log is durable through so much.
    fn owe(&mut self) {
        let owed = self.chain.len() - 1;
        self.fixture.fs.ack(format!("{owed} {}", self.fixture.durable.0));
    }

    /// The next commits: some keys change, some go, few stay as they are.
    fn freeze(&mut self) -> Frozen {
        let round = u32::try_from(self.chain.len()).unwrap();
        // Bytes that do not pack.
        let noise = |it: u32| (it * 0x9E37 + round * 0x79B9) % 251;
        let bulk = |it| (0..self.bulk).map(move |at| u8::try_from(noise(it + at * at)).unwrap());
        let head = |it| [self.life, u8::try_from(it).unwrap(), u8::try_from(round).unwrap()];
        let value = |it: u32| Some(head(it).into_iter().chain(bulk(it)).collect());
        let puts: Ops = (0..8).map(|it| (key((it * 5 + round * 3) % KEYS), value(it))).collect();
        let deletes = (0..4).map(|it| (key((it * 7 + round * 2) % KEYS), None)).collect();
        let lagging = self.fixture.durable;
        let frozen = self.fixture.freeze(&[puts, deletes]);
        if self.fixture.sabotage == Some(LsmRule::AheadOfLog) {
            self.fixture.durable = lagging; // nobody waited for it
        }
        self.chain.push((frozen.through, self.fixture.model.clone()));
        // The log has it, the engine does not owe it.
        let owed = self.chain.len() - 2;
        self.fixture.fs.ack(format!("{owed} {}", self.fixture.durable.0));
        frozen
    }

    fn job(&mut self) -> Box<dyn Job> {
        let frozen = self.freeze();
        self.fixture.fs.label("checkpoint");
        Arc::clone(&self.fixture.lsm).checkpoint(frozen)
    }

    fn checkpoint(&mut self) {
        let job = self.job();
        self.fixture.run(job).unwrap();
        self.owe();
    }

    fn reclaim(&mut self, want: Reclaim) {
        self.fixture.fs.label("compaction");
        self.fixture.reclaim(want);
    }

    /// The process dies; the next open is in the same boot, and all that it serves is owed.
    fn kill(&mut self) {
        self.fixture.fs = self.fixture.fs.fork();
        self.fixture.fs.label("open");
        self.fixture.reopen();
        let through = self.fixture.lsm.view().through();
        let place = self.chain.iter().position(|(lsn, _)| *lsn == through).unwrap();
        assert_eq!(contents(&self.fixture.lsm.view()), self.chain[place].1);
        self.chain.truncate(place + 1);
        (self.fixture.model, self.fixture.lsn) = (self.chain[place].1.clone(), through.0);
        self.fixture.durable = through;
        self.life += 1;
        self.owe();
    }

    /// The manifest is put in place, and making that durable fails.
    fn fail(&self, job: Box<dyn Job>) {
        let (target, kind) = (Target::Only(Place::SyncDir), ErrorKind::Other);
        let second = Fault { nth: 2, ..Fault::next(target, kind) };
        self.fixture.fs.inject(second.on("db/7"));
        self.fixture.run(job).unwrap_err();
        self.fixture.fs.clear_faults();
    }
}

/// Opens what a cut left, and compares with what is owed: the engine, and how much it holds.
fn recovered(fs: &CrashFs, run: &Run) -> Result<(Arc<Lsm>, usize), String> {
    let note = fs.owed_text().last().unwrap_or_else(|| "0 0".to_owned());
    let (owed, durable) = note.split_once(' ').unwrap();
    let (owed, durable) = (owed.parse::<usize>().unwrap(), Lsn(durable.parse().unwrap()));
    create_dir_durable(&**fs, "db".as_ref()).unwrap();
    let site = site(&MemFs::clone(fs), run.fixture.sabotage);
    let lsm = open_shaped(site, SMALL).map_err(|error| error.to_string())?;
    lsm.renew().and_then(|()| lsm.sweep()).map_err(|error| error.to_string())?;
    let through = lsm.view().through();
    let Some(place) = run.chain.iter().position(|(lsn, _)| *lsn == through) else {
        return Err(format!("no checkpoint was through LSN {through}"));
    };
    if place < owed {
        return Err(format!("{owed} checkpoints are owed, {place} are there"));
    }
    if through > durable {
        return Err(format!("through LSN {through}, and the log ends at {durable}"));
    }
    let (view, model) = (lsm.view(), &run.chain[place].1);
    let found = walk(&view, Bound::Unbounded, Bound::Unbounded, Direction::Forward);
    let found: Contents = found.map_err(|error| error.to_string())?.into_iter().collect();
    if found != *model {
        return Err(format!("checkpoint {place}: {found:?} is not {model:?}"));
    }
    for number in 0..KEYS {
        let found = view.get(&key(number)).map_err(|error| error.to_string())?;
        if found.as_deref() != model.get(&key(number)).map(Vec::as_slice) {
            return Err(format!("checkpoint {place}, key {number}: {found:?}"));
        }
    }
    Ok((lsm, place))
}

/// Cuts a run everywhere, and what goes on after the cut once more.
fn cut(run: &Run, model: &Model, further: u32, budget: Budget, tally: &Tally) -> Report {
    let crash = Crash::new(model, run.fixture.fs.history());
    let mut verify = |fs: &CrashFs| -> Verdict {
        let (lsm, place) = recovered(fs, run)?;
        if further == 0 {
            return Ok(());
        }
        let mut next = Run::further(fs, lsm, &run.chain[..=place], run.life + 1);
        next.checkpoint();
        next.reclaim(Reclaim::Due);
        next.checkpoint();
        next.reclaim(Reclaim::All);
        let few = Budget { per_cut: 3, per_run: 20, ..budget };
        let mut again = |fs: &CrashFs| -> Verdict { Ok(recovered(fs, &next).map(drop)?) };
        Crash::of_life(model, fs).explore(Where::AtSyncs, few, tally, &mut again).into_result()?;
        Ok(())
    };
    crash.explore(Where::AtSyncs, budget, tally, &mut verify)
}

/// A name, and what happens before the cut.
type Shape = (&'static str, fn(&mut Run));

const SHAPES: [Shape; 8] = [
    ("checkpoints", |run| {
        (0..3).for_each(|_| run.checkpoint());
    }),
    ("compactions", |run| {
        for _ in 0..6 {
            run.checkpoint();
            run.reclaim(Reclaim::Due);
        }
        run.reclaim(Reclaim::All);
    }),
    ("three levels", |run| {
        run.bulk = 240;
        for _ in 0..8 {
            run.checkpoint();
            run.reclaim(Reclaim::Due);
        }
        let levels = run.fixture.lsm.stats().levels;
        assert!(run.fixture.sabotage.is_some() || levels.len() > 2, "{levels:?}");
        run.bulk = 0;
        for _ in 0..6 {
            run.checkpoint();
            run.reclaim(Reclaim::Due);
        }
    }),
    ("a checkpoint beside a compaction", |run| {
        (0..3).for_each(|_| run.checkpoint());
        let mut merge = Arc::clone(&run.fixture.lsm).reclaim(Reclaim::Due).unwrap();
        let mut young = run.job();
        let (mut one, mut other) = (Progress::Working, Progress::Working);
        while one == Progress::Working || other == Progress::Working {
            if one == Progress::Working {
                one = run.fixture.step(&mut *merge).unwrap();
            }
            if other == Progress::Working {
                other = run.fixture.step(&mut *young).unwrap();
            }
        }
        run.owe();
    }),
    ("jobs that are dropped, and deaths", |run| {
        (0..3).for_each(|_| run.checkpoint());
        for steps in 1..4 {
            let mut merge = Arc::clone(&run.fixture.lsm).reclaim(Reclaim::All).unwrap();
            let goes_on = |_| run.fixture.step(&mut *merge).unwrap() == Progress::Working;
            assert!((0..steps).all(goes_on));
            drop(merge);
            run.kill();
            run.checkpoint();
        }
    }),
    ("a failed checkpoint and a death", |run| {
        run.checkpoint();
        let job = run.job();
        run.fail(job);
        run.kill();
        run.checkpoint();
        run.reclaim(Reclaim::All);
    }),
    ("a failed compaction and a death", |run| {
        (0..3).for_each(|_| run.checkpoint());
        let job = Arc::clone(&run.fixture.lsm).reclaim(Reclaim::Due).unwrap();
        run.fail(job);
        run.kill();
        run.checkpoint();
        run.reclaim(Reclaim::All);
    }),
    ("failed installs and other attempts", |run| {
        (0..2).for_each(|_| run.checkpoint());
        let frozen = run.freeze();
        run.fail(Arc::clone(&run.fixture.lsm).checkpoint(frozen.clone()));
        run.fixture.run(Arc::clone(&run.fixture.lsm).checkpoint(frozen)).unwrap();
        run.owe();
        let job = Arc::clone(&run.fixture.lsm).reclaim(Reclaim::Due).unwrap();
        run.fail(job);
        run.reclaim(Reclaim::All);
        run.checkpoint();
    }),
];

fn explore(broken: Option<LsmRule>, budget: Budget, further: u32) -> Result<u64, Box<Failure>> {
    let tally = Tally::new();
    for (name, shape) in SHAPES {
        let mut run = Run::new(broken);
        shape(&mut run);
        tally.set_shape(name);
        for model in [STRICT, EXT4, POSIX] {
            cut(&run, &model, further, budget, &tally).into_result()?;
        }
    }
    Ok(tally.states())
}

#[test]
fn a_cut_leaves_one_of_the_states() {
    let states =
        explore(None, Budget::per_cut(20), 1).unwrap_or_else(|failure| panic!("{failure}"));
    println!("{states} distinct states");
    assert!(states > 2_000, "{states}");
}

/// The rules whose breach shows in what a cut leaves, or in what is read back.
#[test]
fn each_broken_rule_is_found_out() {
    let elsewhere = [
        LsmRule::ViewsIgnored, // removal
        LsmRule::PinsIgnored,  // removal
        LsmRule::SumsIgnored,  // rot
    ];
    let mut missed = BTreeSet::new();
    for rule in LsmRule::ALL.into_iter().filter(|rule| !elsewhere.contains(rule)) {
        let caught =
            std::panic::catch_unwind(|| explore(Some(rule), Budget::per_cut(40), 0).is_err());
        match caught {
            Ok(true) => println!("{rule:?}: found out by a cut"),
            Err(_) => println!("{rule:?}: found out by a panic"),
            Ok(false) => drop(missed.insert(rule)),
        }
    }
    assert_eq!(missed, BTreeSet::new());
}
