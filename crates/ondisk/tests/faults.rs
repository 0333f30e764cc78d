//! Every call to the file system fails once: nothing acknowledged is lost, nothing that was
//! refused appears, and the store opens again.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::io::ErrorKind;

use ondisk::{Background, Batch, Builder, Db, Error, LogError, Step, SyncMode};
use ondisk_sim::model::POSIX;
use ondisk_sim::{Budget, Crash, CrashFs, Fault, MemFs, Tally, Verdict, Where};

type Model = BTreeMap<Vec<u8>, Vec<u8>>;

fn builder(fs: &MemFs) -> Builder {
    Db::builder()
        .file_system(fs.share())
        .background(Background::Manual)
        .first_segment(16 << 10)
        .largest_segment(32 << 10)
        .young_budget(24_000)
}

/// A store that is worked with while calls fail, and what it owes.
struct Life {
    fs: MemFs,
    /// What was acknowledged.
    owed: Model,
    /// What there may be instead: the commit that failed last, on top of what is owed.
    possible: Option<Model>,
    failures: Vec<String>,
}

impl Life {
    fn new(fault: Fault) -> Self {
        let fs = MemFs::new();
        fs.inject(fault);
        Self { fs, owed: Model::new(), possible: None, failures: Vec::new() }
    }

    fn open(&mut self) -> Db {
        let db = builder(&self.fs).open("db").unwrap_or_else(|error| {
            self.failures.push(format!("open: {error}"));
            // The fault has struck: a second attempt finds whatever the first one left.
            builder(&self.fs).open("db").unwrap()
        });
        self.check_reopened(&db);
        db
    }

    fn commit(&mut self, db: &Db, n: u8, mode: SyncMode) {
        let (key, other) = (format!("key{}", n % 7), format!("other{}", n % 3));
        let value = vec![n; if n.is_multiple_of(4) { 3000 } else { 200 }];
        let batch = Batch::new().put(&key, &value).delete(&other).put(format!("n{n}"), [n]);
        let mut after = self.owed.clone();
        after.insert(key.into(), value);
        after.remove(other.as_bytes());
        after.insert(format!("n{n}").into(), vec![n]);
        match db.batch_with(batch, mode) {
            Ok(_) => (self.owed, self.possible) = (after, None),
            Err(error) => {
                // Of a poisoned log it is not known; everything else was refused beforehand. A
                // later refusal tells nothing about the first.
                let unknown = matches!(error, Error::Log(LogError::Poisoned { .. }));
                if unknown && self.possible.is_none() {
                    self.possible = Some(after);
                }
                self.failures.push(format!("commit {n}: {error}"));
            }
        }
        if n % 4 == 3 {
            assert_eq!(contents(db), self.owed, "reads go on from what was acknowledged");
        }
    }

    fn note(&mut self, what: &str, result: Result<(), Error>) {
        if let Err(error) = result {
            self.failures.push(format!("{what}: {error}"));
        }
    }

    fn check_reopened(&mut self, db: &Db) {
        let found = contents(db);
        if self.possible.as_ref() == Some(&found) {
            self.owed.clone_from(&found);
        }
        assert_eq!(found, self.owed, "after {:?}", self.failures);
        self.possible = None;
        assert_eq!(db.stats().acknowledged, db.stats().durable);
    }

    /// Two lives: commits, checkpoints and steps, a close, and the same again, killed.
    fn run(&mut self, mode: SyncMode) {
        for life in 0..2 {
            let db = self.open();
            for n in 0..16 {
                self.commit(&db, life * 16 + n, mode);
                if n == 5 {
                    self.note("checkpoint", db.checkpoint());
                }
                for _ in 0..2 {
                    self.note("step", db.step().map(drop));
                }
            }
            assert_eq!(contents(&db), self.owed);
            self.note("idle", db.idle_step().map(drop));
            self.note("sync", db.sync().map(drop));
            if life == 0 {
                self.note("close", db.close());
            } else {
                self.fs = self.fs.fork();
            }
        }
        self.fs.clear_faults();
        let db = self.open();
        self.commit(&db, 99, SyncMode::Sync);
        db.checkpoint().unwrap();
        db.close().unwrap();
        drop(self.open());
        assert_eq!(ondisk::check(self.fs.share(), "db").unwrap().findings, []);
        self.cut();
    }

    /// The power is cut at the end: all that the last open served is owed.
    fn cut(&self) {
        let crash = Crash::new(&POSIX, self.fs.history());
        let mut verify = |fs: &CrashFs| -> Verdict {
            let db = builder(fs).open("db").map_err(|error| error.to_string())?;
            if contents(&db) == self.owed { Ok(()) } else { Err("other contents".into()) }
        };
        let budget = Budget::per_cut(4);
        let report = crash.explore(Where::AtTheEnd, budget, &Tally::new(), &mut verify);
        report.into_result().unwrap_or_else(|lost| panic!("{:?}: {lost}", self.failures));
    }
}

fn contents(db: &Db) -> Model {
    let read = || -> Result<Model, Error> {
        db.range(..)?.map(|it| it.map(|(key, value)| (key.to_vec(), value.to_vec()))).collect()
    };
    // A read that fails says so and harms nothing: the next one sees what is there.
    read().or_else(|_| read()).unwrap()
}

fn sweep(mode: SyncMode, kind: ErrorKind) {
    let mut calm = Life::new(Fault::nth(u64::MAX, kind));
    calm.run(mode);
    assert_eq!(calm.failures, [""; 0]);
    let calls = calm.fs.calls();
    let mut struck = 0;
    for nth in 1..=calls {
        let mut life = Life::new(Fault::nth(nth, kind));
        life.run(mode);
        struck += u64::from(!life.failures.is_empty());
    }
    // The others were reads of the test's own, or calls that may fail without consequence.
    assert!(struck >= 150, "{struck} of {calls} calls struck");
}

#[test]
fn every_call_fails_once_in_mode_sync() {
    sweep(SyncMode::Sync, ErrorKind::Other);
}

#[test]
fn every_call_fails_once_in_mode_batch() {
    sweep("batch:3".parse().unwrap(), ErrorKind::Other);
}

#[test]
fn every_call_fails_once_in_mode_none() {
    sweep(SyncMode::None, ErrorKind::Other);
}

#[test]
fn every_call_finds_the_disk_full_once() {
    sweep(SyncMode::Sync, ErrorKind::StorageFull);
}

/// On a full disk a commit is refused before it has an LSN, what is there is served, and writes
/// go on when space returns, without a reopen.
#[test]
fn a_full_disk_refuses_and_comes_back() {
    for capacity in (100..700).step_by(20) {
        let fs = MemFs::new();
        let db = builder(&fs).open("db").unwrap();
        fs.set_capacity(Some(capacity << 10));
        let (mut model, mut refused) = (Model::new(), 0);
        for n in 0..400_u32 {
            if n == 300 {
                fs.set_capacity(None);
            }
            let (key, value) = (n.to_be_bytes().to_vec(), vec![7; 1500]);
            let before = db.stats();
            match db.put(&key, &value) {
                Ok(_) => drop(model.insert(key, value)),
                Err(error) => {
                    assert!(n < 300 && error.is_full(), "{n}: {error:?}");
                    assert_eq!(db.stats().acknowledged, before.acknowledged);
                    refused += 1;
                }
            }
            db.step()
                .or_else(|error| if error.is_full() { Ok(Step::Idle) } else { Err(error) })
                .unwrap();
        }
        assert!(refused > 0 || capacity > 500, "capacity {capacity}");
        assert_eq!(contents(&db), model);
        db.close().unwrap();
        let db = builder(&fs).open("db").unwrap();
        assert_eq!(contents(&db), model);
    }
}
