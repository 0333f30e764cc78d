//! The durability table, performed: what it says a death may take is taken by one, and what it says
//! cannot be taken is taken by none.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::sync::Arc;

use ondisk::{
    Background, Builder, ChosenBy, Db, Death, EngineKind, Keyspace, KeyspaceOptions, Loss, SyncMode,
};
use ondisk_fs::FileSystem;
use ondisk_log::Sabotage;
use ondisk_sim::machine::choice::{Chooser, First, Last, Seeded};
use ondisk_sim::machine::ids::TaskId;
use ondisk_sim::machine::{Config, Death as Dies, Sim};
use ondisk_sim::model::{EXT4, POSIX};
use ondisk_sim::{Budget, Crash, Image, MemFs, Tally, Where};

/// Commits of one life: enough for a mode that bounds its loss to reach the bound.
const COMMITS: usize = 14;
/// After this one there is a checkpoint: what an engine has taken over is not lost either.
const CHECKPOINT: usize = 6;

type Contents = BTreeMap<Vec<u8>, Vec<u8>>;

/// A keyspace with a mode of its own, and who is broken on purpose.
#[derive(Clone, Copy, Debug)]
struct Case {
    engine: EngineKind,
    mode: SyncMode,
    broken: Option<Sabotage>,
}

impl Case {
    fn builder(self, fs: Arc<dyn FileSystem>) -> Builder {
        Db::builder()
            .file_system(fs)
            .background(Background::Manual)
            .first_segment(64 << 10)
            .largest_segment(64 << 10)
            .sabotage_log(self.broken)
    }

    fn keyspace(self, db: &Db) -> Keyspace {
        db.keyspace("k", KeyspaceOptions::new(self.engine).sync(self.mode)).unwrap()
    }

    /// What the table says that a death takes.
    fn table(self) -> [Loss; 3] {
        let fs = MemFs::new();
        let db = self.builder(fs.share()).open("db").unwrap();
        self.keyspace(&db);
        let live = db.durability().unwrap();
        db.close().unwrap();
        let reader = self.builder(fs.share()).open_reader("db").unwrap();
        assert_eq!(
            reader.durability(SyncMode::Sync).unwrap(),
            live,
            "open or not, it is one table"
        );
        let row = &live.keyspaces[1];
        assert_eq!((row.mode, row.chosen), (self.mode, ChosenBy::Keyspace));
        let kinds: Vec<_> = row.files.iter().map(|file| file.kind).collect();
        assert!(kinds.len() > 1 && kinds[0] == "log segment", "{kinds:?}");
        Death::ALL.map(|death| row.loss(death))
    }

    /// Commits, each told when it is acknowledged, and a checkpoint among them.
    fn live(self, fs: Arc<dyn FileSystem>, told: impl Fn(usize)) {
        let db = self.builder(fs).open("db").unwrap();
        let keyspace = self.keyspace(&db);
        told(0);
        for n in 1..=COMMITS {
            keyspace.put("newest", commit(n)).unwrap();
            told(n);
            if n == CHECKPOINT {
                db.checkpoint().unwrap();
            }
        }
        // Nobody closes what dies.
        std::mem::forget((db, keyspace));
    }

    /// How many of so many acknowledged commits are gone.
    fn lost(self, fs: Arc<dyn FileSystem>, acknowledged: usize) -> Result<usize, String> {
        let db = self.builder(fs).open("db").map_err(|error| error.to_string())?;
        let Ok(keyspace) = db.existing_keyspace("k") else {
            return if acknowledged == 0 { Ok(0) } else { Err("the keyspace is gone".to_owned()) };
        };
        let range = keyspace.range(..).map_err(|error| error.to_string())?;
        let found: Result<Contents, _> =
            range.map(|it| it.map(|(key, value)| (key.to_vec(), value.to_vec()))).collect();
        let found = found.map_err(|error| error.to_string())?;
        let kept = (0..=COMMITS).find(|n| found == contents(*n));
        let kept = kept.ok_or_else(|| format!("no prefix of the commits: {found:?}"))?;
        Ok(acknowledged.saturating_sub(kept))
    }
}

fn commit(n: usize) -> Vec<u8> {
    format!("commit {n:4}").into_bytes()
}

/// What stands there after so many commits.
fn contents(n: usize) -> Contents {
    (n > 0).then(|| (b"newest".to_vec(), commit(n))).into_iter().collect()
}

/// The most that a kill takes: the same boot goes on.
fn kills(case: Case) -> usize {
    let fs = MemFs::new();
    let worst = std::cell::Cell::new(0);
    case.live(fs.share(), |n| {
        let lost = case.lost(fs.fork().share(), n).unwrap();
        worst.set(worst.get().max(lost));
    });
    worst.get()
}

/// The most that a power cut takes, in many states of every cut under two models.
fn cuts(case: Case) -> usize {
    let fs = MemFs::new();
    case.live(fs.share(), |n| fs.ack(n.to_string()));
    let mut worst = 0;
    for model in [EXT4, POSIX] {
        let crash = Crash::new(&model, fs.history());
        let mut verify = |fs: &ondisk_sim::CrashFs| {
            // Before the first word, the store is still being made.
            let Some(owed) = fs.owed_text().last() else { return Ok(()) };
            worst = worst.max(case.lost(fs.share(), owed.parse().unwrap())?);
            Ok(())
        };
        let report =
            crash.explore(Where::Everywhere, Budget::per_cut(6), &Tally::new(), &mut verify);
        report.into_result().unwrap_or_else(|failure| panic!("{case:?}: {failure}"));
    }
    worst
}

/// The most that a death of the layered machine takes.
fn machine(case: Case, death: Dies) -> usize {
    let sim = Sim::new(Config::default(), &Image::new(), 7).unwrap();
    sim.watch(false);
    sim.keep_shots(40);
    case.live(Arc::new(sim.fs(TaskId(1))), |n| sim.ack(n.to_string().as_bytes()));
    let acks = sim.history().unwrap().acks;
    let mut shots = sim.shots();
    shots.push(sim.shot());
    let mut worst = 0;
    for shot in &shots {
        let owed = acks.iter().rfind(|ack| ack.at < shot.at());
        let Some(owed) = owed.map(|ack| ack.text().parse().unwrap()) else { continue };
        let ways: [Box<dyn Chooser>; 3] =
            [Box::new(First), Box::new(Last), Box::new(Seeded::new(7))];
        for mut chooser in ways {
            let image = shot.cut(death, &mut *chooser).image().unwrap();
            let lost = case.lost(MemFs::from_image(&image).share(), owed);
            worst = worst.max(lost.unwrap_or_else(|why| panic!("{case:?}, {death:?}: {why}")));
        }
    }
    worst
}

/// Whether what was taken is what may be taken; and something was, where something may be.
fn fits(loss: Loss, taken: usize) -> bool {
    match loss {
        Loss::Nothing => taken == 0,
        Loss::AtMost(n) => (1..=n as usize).contains(&taken),
        // All behind the checkpoint.
        Loss::Unbounded => taken == COMMITS - CHECKPOINT,
    }
}

#[test]
fn each_loss_is_performed_and_no_other_happens() {
    println!("{:<8} {:<8} {:>5} {:>6} {:>10}", "engine", "mode", "kill", "crash", "power cut");
    for engine in EngineKind::ALL {
        for mode in ["sync", "batch:5", "none"] {
            let case = Case { engine, mode: mode.parse().unwrap(), broken: None };
            let [kill, crash, cut] = case.table();
            let taken = [
                (kill, kills(case)),
                (crash, machine(case, Dies::Crash)),
                (cut, cuts(case).max(machine(case, Dies::Cut))),
            ];
            let [kill, crash, cut] = taken.map(|(_, taken)| taken);
            println!("{:<8} {mode:<8} {kill:>5} {crash:>6} {cut:>10}", engine.name());
            for (loss, taken) in taken {
                assert!(fits(loss, taken), "{case:?}: {loss}; {taken} were taken");
            }
        }
    }
}

/// A log that keeps its promise for less than it says takes more than the table allows.
#[test]
fn canary_a_mode_that_risks_more_is_found_out() {
    let broken = [("batch:5", Sabotage::BatchCountsTwice), ("sync", Sabotage::SyncSkipped)];
    for (mode, rule) in broken {
        let mode = mode.parse().unwrap();
        let case = Case { engine: EngineKind::Bitcask, mode, broken: Some(rule) };
        let caught = std::panic::catch_unwind(|| !fits(case.table()[2], cuts(case)));
        assert!(caught.unwrap_or(true), "{rule:?} was not noticed");
    }
}
