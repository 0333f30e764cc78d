//! The store on the layered machine: killed and cut at every move of the drive, it gives back all
//! that it acknowledged. And what the machine owes it is owed for a reason.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::sync::Arc;

use ondisk::sabotage::{BitcaskRule, Sabotage};
use ondisk::{Background, Batch, Builder, Db, SyncMode};
use ondisk_fs::FileSystem;
use ondisk_sim::machine::choice::{Chooser, First, Last, Seeded};
use ondisk_sim::machine::config::{
    DataMode, DriveCache, Ext4Options, Link, Mount, Sabotage as Broken, Scheduler,
};
use ondisk_sim::machine::ids::TaskId;
use ondisk_sim::machine::{Config, Death, Shot, Sim};
use ondisk_sim::{Image, MemFs};

type Contents = BTreeMap<Vec<u8>, Vec<u8>>;

fn builder(fs: Arc<dyn FileSystem>, broken: Option<Sabotage>) -> Builder {
    Db::builder()
        .file_system(fs)
        .background(Background::Manual)
        .first_segment(16 << 10)
        .largest_segment(32 << 10)
        .young_budget(5_000)
        .sabotage(broken)
}

/// A life of a store on a machine.
struct Life {
    sim: Sim,
    broken: Option<Sabotage>,
    /// What the store may hold: `chain[k]` when `k` commits of it are there.
    chain: Vec<Contents>,
}

impl Life {
    fn open(&self) -> Db {
        builder(Arc::new(self.sim.fs(TaskId(1))), self.broken).open("db").unwrap()
    }

    fn owe(&self) {
        self.sim.ack((self.chain.len() - 1).to_string().as_bytes());
    }

    fn commits(&mut self, db: &Db, count: usize, mode: SyncMode) {
        for _ in 0..count {
            let n = self.chain.len();
            let (key, other) = (format!("key{}", n % 4), format!("key{}", (n + 1) % 4));
            let value = format!("commit {n:4}").into_bytes();
            let mut next = self.chain[n - 1].clone();
            let batch = Batch::new().put("newest", &value).put(&key, &value).delete(&other);
            next.insert(b"newest".to_vec(), value.clone());
            next.insert(key.into(), value);
            next.remove(other.as_bytes());
            self.chain.push(next);
            db.batch_with(batch, mode).unwrap();
            if mode == SyncMode::Sync {
                self.owe();
            }
        }
    }

    fn checkpoint(&self, db: &Db) {
        db.checkpoint().unwrap();
        self.owe();
    }

    /// Two openings: commits, checkpoints, a death of the process between them.
    fn live(&mut self) {
        self.sim.watch(false);
        self.sim.keep_shots(1);
        let db = self.open();
        self.owe();
        self.commits(&db, 3, SyncMode::Sync);
        self.checkpoint(&db);
        self.commits(&db, 3, SyncMode::None);
        self.commits(&db, 1, SyncMode::Sync);
        self.checkpoint(&db);
        self.commits(&db, 2, SyncMode::Sync);
        drop(db);
        let db = self.open();
        self.owe();
        self.commits(&db, 1, SyncMode::Sync);
        db.close().unwrap();
        self.owe();
    }

    /// Every kept moment, several ways to die, each recovered: the number of recoveries.
    fn deaths(&self, seed: u64) -> Result<u64, String> {
        let acks = self.sim.history().unwrap().acks;
        let mut recoveries = 0;
        let mut shots = self.sim.shots();
        shots.push(self.sim.shot());
        for shot in &shots {
            let owed = acks.iter().rfind(|ack| ack.at < shot.at());
            let owed = owed.map_or(0, |ack| ack.text().parse().unwrap());
            let ways: [(Death, Box<dyn Chooser>); 4] = [
                (Death::Cut, Box::new(First)),
                (Death::Cut, Box::new(Last)),
                (Death::Cut, Box::new(Seeded::new(seed ^ shot.now().0))),
                (Death::Crash, Box::new(Last)),
            ];
            for (how, mut chooser) in ways {
                self.recovered(shot, how, &mut *chooser, owed)?;
                recoveries += 1;
            }
        }
        Ok(recoveries)
    }

    fn recovered(
        &self,
        shot: &Shot,
        how: Death,
        chooser: &mut dyn Chooser,
        owed: usize,
    ) -> Result<(), String> {
        let at = |why: String| format!("{how:?} at event {}: {why}", shot.event().0);
        let image = shot.cut(how, chooser).image().map_err(|error| at(error.to_string()))?;
        let db = builder(MemFs::from_image(&image).share(), self.broken);
        let db = db.open("db").map_err(|error| at(error.to_string()))?;
        let range = db.range(..).map_err(|error| at(error.to_string()))?;
        let found: Result<Contents, _> =
            range.map(|it| it.map(|(key, value)| (key.to_vec(), value.to_vec()))).collect();
        let found = found.map_err(|error| at(error.to_string()))?;
        if self.chain[owed..].contains(&found) {
            return Ok(());
        }
        Err(at(format!("{owed} commits are owed: {found:?}")))
    }
}

fn machines() -> Vec<Config> {
    let of = |scheduler, cache, link, data| {
        let options = Ext4Options { data, journal: 256, ..Ext4Options::default() };
        let mut config = Config { mount: Mount::Ext4(options), ..Config::default() };
        config.block.scheduler = scheduler;
        config.drive.cache = cache;
        config.drive.link = link;
        config.drive.torn = true;
        config
    };
    vec![
        of(Scheduler::None, DriveCache::Volatile, Link::Nvme, DataMode::Ordered),
        of(Scheduler::MqDeadline, DriveCache::Volatile, Link::Sata, DataMode::Journal),
        of(Scheduler::Bfq, DriveCache::None, Link::Nvme, DataMode::Writeback),
    ]
}

fn run(config: &Config, broken: Option<Sabotage>) -> Result<u64, String> {
    let sim = Sim::new(config.clone(), &Image::new(), 7).unwrap();
    let mut life = Life { sim, broken, chain: vec![Contents::new()] };
    life.live();
    life.deaths(7)
}

#[test]
fn nothing_acknowledged_is_lost_on_the_machine() {
    let mut recoveries = 0;
    for config in machines() {
        recoveries += run(&config, None).unwrap_or_else(|why| panic!("{why}\n{config:?}"));
    }
    println!("{recoveries} recoveries of the store, 0 violations");
    assert!(recoveries > 1_000, "{recoveries}");
}

#[test]
fn a_broken_machine_or_store_is_found_out() {
    for broken in [Broken::FlushForgetsCache, Broken::FuaDropped, Broken::DsyncSyncsNothing] {
        let caught = machines().into_iter().any(|config| {
            let config = Config { sabotage: Some(broken), ..config };
            std::panic::catch_unwind(|| run(&config, None).is_err()).unwrap_or(true)
        });
        assert!(caught, "{broken:?} was not noticed");
    }
    let caught = |rule| {
        let one = |config: &Config| {
            std::panic::catch_unwind(|| run(config, Some(rule)).is_err()).unwrap_or(true)
        };
        machines().iter().any(one)
    };
    let engine =
        [BitcaskRule::DataFileNotSynced, BitcaskRule::NamesNotSynced, BitcaskRule::ManifestInPlace];
    let rules = Sabotage::ALL.into_iter().chain(engine.map(Sabotage::Bitcask));
    let found: Vec<_> = rules.filter(|rule| caught(*rule)).collect();
    println!("broken rules of the store found out on the machine: {found:?}");
    assert!(found.len() >= 3, "{found:?}");
}
