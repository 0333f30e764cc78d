//! The engine alone, over a file system in memory, against a `BTreeMap`.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use ondisk_fs::{FileSystem, create_dir_durable};
use ondisk_log::{Lsn, StoreId};
use ondisk_sim::MemFs;
use proptest::prelude::*;

use super::*;
use crate::cache::Caches;
use crate::commit::CommitWriter;
use crate::engine::{Direction, Pins, Progress, Work};
use crate::options::{EngineKind, KeyspaceOptions};
use crate::young::Young;

mod faults;
mod power_cut;
mod removal;
mod threads;

pub(crate) type Contents = BTreeMap<Vec<u8>, Vec<u8>>;
pub(crate) type Entries = Vec<(Vec<u8>, Vec<u8>)>;
/// Puts and deletes of one commit.
type Ops = Vec<(Vec<u8>, Option<Vec<u8>>)>;

/// So small that a few entries fill levels.
pub(crate) const SMALL: Shape = Shape {
    first_level: 2,
    lightest: 1,
    first_level_full: 10,
    base: 2000,
    growth: 3,
    table: 1000,
    young_table: 900,
};

/// Readers in another process, as a test has them.
#[derive(Debug, Default)]
struct Readers {
    newest: AtomicU64,
    oldest: AtomicU64,
}

impl Pins for Readers {
    fn newest(&self) -> u64 {
        self.newest.load(Relaxed)
    }

    fn oldest(&self) -> Option<u64> {
        Some(self.oldest.load(Relaxed)).filter(|&it| it > 0)
    }
}

pub(crate) fn site(fs: &MemFs, sabotage: Option<LsmRule>) -> Site {
    Site {
        fs: fs.share(),
        dir: PathBuf::from("db/7"),
        store: StoreId(*b"a store's own id"),
        keyspace: 7,
        options: KeyspaceOptions::new(EngineKind::Lsm),
        caches: Arc::new(Caches::new(1 << 20)),
        sabotage: sabotage.map(Sabotage::Lsm),
    }
}

/// An engine with what it must hold.
pub(crate) struct Fixture {
    pub(crate) fs: MemFs,
    pub(crate) lsm: Arc<Lsm>,
    sabotage: Option<LsmRule>,
    readers: Readers,
    pub(crate) model: Contents,
    lsn: u64,
    /// The log is durable through this.
    durable: Lsn,
    /// About the bytes of one step.
    step: usize,
}

impl Fixture {
    pub(crate) fn new(sabotage: Option<LsmRule>) -> Self {
        let fs = MemFs::new();
        create_dir_durable(&fs, "db".as_ref()).unwrap();
        let lsm = open_shaped(site(&fs, sabotage), SMALL).unwrap();
        let (readers, model) = (Readers::default(), Contents::new());
        Self { fs, lsm, sabotage, readers, model, lsn: 0, durable: Lsn(0), step: 400 }
    }

    fn reopen(&mut self) {
        self.lsm = open_shaped(site(&self.fs, self.sabotage), SMALL).unwrap();
        self.lsm.renew().unwrap();
        self.lsm.sweep().unwrap();
    }

    /// A frozen map with some commits. The model learns of them.
    fn freeze(&mut self, commits: &[Ops]) -> Frozen {
        let young = Arc::new(Young::new());
        for ops in commits {
            self.lsn += 1;
            let mut writer = CommitWriter::with_capacity(0);
            for (key, value) in ops {
                writer.push(7, key, value.as_deref());
                match value {
                    Some(value) => drop(self.model.insert(key.clone(), value.clone())),
                    None => drop(self.model.remove(key)),
                }
            }
            young.insert(Lsn(self.lsn), &writer.finish(), 7);
        }
        self.durable = Lsn(self.lsn);
        Frozen { young, through: Lsn(self.lsn) }
    }

    fn step(&self, job: &mut dyn Job) -> Result<Progress, Error> {
        let durable = || self.durable;
        job.step(&Work { bytes: self.step, durable: &durable, pins: &self.readers })
    }

    fn run(&self, mut job: Box<dyn Job>) -> Result<(), Error> {
        while self.step(&mut *job)? == Progress::Working {}
        Ok(())
    }

    pub(crate) fn checkpoint(&mut self, commits: &[Ops]) {
        let frozen = self.freeze(commits);
        let through = frozen.through;
        self.run(Arc::clone(&self.lsm).checkpoint(frozen)).unwrap();
        assert_eq!(self.lsm.view().through(), through);
    }

    pub(crate) fn reclaim(&self, want: Reclaim) {
        let mut jobs = 0;
        while let Some(job) = Arc::clone(&self.lsm).reclaim(want) {
            self.run(job).unwrap();
            jobs += 1;
            assert!(jobs < 1000, "compaction comes to no end");
        }
    }

    /// The files in the keyspace's directory, without the manifest.
    fn tables(&self) -> usize {
        let Ok(entries) = self.fs.list("db/7".as_ref()) else { return 0 };
        entries.iter().filter(|it| it.name.to_str().and_then(file_number).is_some()).count()
    }

    fn check(&self) {
        assert_eq!(contents(&self.lsm.view()), self.model);
        check_view(&self.lsm.view(), &self.model);
    }
}

pub(crate) fn walk(
    view: &Arc<dyn View>,
    lower: Bound<&[u8]>,
    upper: Bound<&[u8]>,
    direction: Direction,
) -> Result<Entries, Error> {
    let mut walk = Arc::clone(view).walk(lower, upper, direction);
    let mut found = Vec::new();
    while walk.advance()? {
        let key = walk.key().to_vec();
        assert_eq!(walk.value()?.to_vec(), walk.keep()?.to_vec());
        found.push((key, walk.value()?.to_vec()));
    }
    assert!(!walk.advance()?);
    Ok(found)
}

pub(crate) fn contents(view: &Arc<dyn View>) -> Contents {
    let found = walk(view, Bound::Unbounded, Bound::Unbounded, Direction::Forward).unwrap();
    found.into_iter().collect()
}

/// A view gives what a model gives, whatever is asked.
fn check_view(view: &Arc<dyn View>, model: &Contents) {
    let all = || model.iter().map(|(key, value)| (key.clone(), value.clone()));
    let (from, to) = (Bound::Unbounded, Bound::Unbounded);
    assert!(all().eq(walk(view, from, to, Direction::Forward).unwrap()));
    assert!(all().rev().eq(walk(view, from, to, Direction::Backward).unwrap()));
    for number in 0..KEYS {
        let key = key(number);
        assert_eq!(view.get(&key).unwrap().as_deref(), model.get(&key).map(Vec::as_slice));
    }
    for (from, to) in [(3, 9), (0, 20), (11, 12), (17, 30)] {
        let (from, to) = (key(from), key(to));
        for (lower, upper) in [
            (Bound::Included(&from[..]), Bound::Excluded(&to[..])),
            (Bound::Excluded(&from[..]), Bound::Included(&to[..])),
            (Bound::Unbounded, Bound::Included(&from[..])),
            (Bound::Excluded(&to[..]), Bound::Unbounded),
        ] {
            let expected = || {
                let range = model.range::<[u8], _>((lower, upper));
                range.map(|(key, value)| (key.clone(), value.clone()))
            };
            assert!(expected().eq(walk(view, lower, upper, Direction::Forward).unwrap()));
            assert!(expected().rev().eq(walk(view, lower, upper, Direction::Backward).unwrap()));
        }
    }
}

const KEYS: u32 = 30;

/// Few keys so that they collide; some are long, and their first bytes are the same.
pub(crate) fn key(number: u32) -> Vec<u8> {
    let mut key = format!("k{:02}", number / 3 * 3).into_bytes();
    key.extend(std::iter::repeat_n(b'x', (number % 3) as usize * 6));
    key
}

fn ops() -> impl Strategy<Value = Ops> {
    let value = prop::option::weighted(0.7, prop::collection::vec(any::<u8>(), 0..60));
    prop::collection::vec(((0..KEYS).prop_map(key), value), 0..12)
}

/// What a test does.
#[derive(Clone, Debug)]
enum Action {
    Checkpoint(Vec<Ops>),
    Reclaim(Reclaim),
    /// Begins a job, does so many steps of it, and drops it.
    Drop(usize),
    /// Begins a job, and leaves it while others run.
    Begin,
    KeepView,
    DropViews,
    Reopen,
}

fn actions() -> impl Strategy<Value = Vec<Action>> {
    let action = prop_oneof![
        6 => prop::collection::vec(ops(), 0..6).prop_map(Action::Checkpoint),
        3 => Just(Action::Reclaim(Reclaim::Due)),
        1 => Just(Action::Reclaim(Reclaim::All)),
        2 => (0..6_usize).prop_map(Action::Drop),
        2 => Just(Action::Begin),
        2 => Just(Action::KeepView),
        1 => Just(Action::DropViews),
        2 => Just(Action::Reopen),
    ];
    prop::collection::vec(action, 0..40)
}

/// Does what it is told, and compares after each piece; the views that were kept too.
fn play(actions: &[Action]) {
    let mut fixture = Fixture::new(None);
    let mut views = Vec::new();
    let mut begun: Vec<Box<dyn Job>> = Vec::new();
    for action in actions {
        match action {
            Action::Checkpoint(commits) => fixture.checkpoint(commits),
            Action::Reclaim(want) => fixture.reclaim(*want),
            Action::Drop(steps) => {
                if let Some(mut job) = Arc::clone(&fixture.lsm).reclaim(Reclaim::Due) {
                    let _ =
                        (0..*steps).all(|_| fixture.step(&mut *job).unwrap() == Progress::Working);
                }
            }
            Action::Begin => {
                // All that were begun go on by one step each, and one more begins.
                begun.retain_mut(|job| fixture.step(&mut **job).unwrap() == Progress::Working);
                begun.extend(Arc::clone(&fixture.lsm).reclaim(Reclaim::Due));
            }
            Action::KeepView => views.push((fixture.lsm.view(), fixture.model.clone())),
            Action::DropViews => views.clear(),
            Action::Reopen => {
                // What reads or works by the engine before must be gone: it is one process's.
                views.clear();
                begun.clear();
                fixture.reopen();
            }
        }
        fixture.check();
        views.iter().for_each(|(view, model)| check_view(view, model));
    }
    views.clear();
    begun.clear();
    fixture.reclaim(Reclaim::All);
    fixture.check();
    let levels = fixture.lsm.stats().levels;
    let used = levels.iter().filter(|it| it.count > 0).count();
    assert!(used <= 1, "{levels:?}");
    assert_eq!(fixture.lsm.version().tables().map(|it| it.meta().tombstones).sum::<u64>(), 0);
    assert_eq!(fixture.tables(), fixture.lsm.version().tables().count());
    fixture.reopen();
    fixture.check();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn it_holds_what_a_map_holds(actions in actions()) {
        play(&actions);
    }
}

#[test]
fn an_absent_directory_is_an_empty_keyspace() {
    let mut fixture = Fixture::new(None);
    assert_eq!(fixture.lsm.commit_point(), CommitPoint::default());
    fixture.lsm.renew().unwrap();
    fixture.lsm.sweep().unwrap();
    fixture.check();
    assert!(fixture.fs.look("db/7").is_none(), "an open writes nothing");
    assert!(Arc::clone(&fixture.lsm).reclaim(Reclaim::All).is_none());
    // A checkpoint of nothing is one all the same: the log may forget.
    fixture.checkpoint(&[vec![], vec![(key(1), None)]]);
    assert_eq!(fixture.lsm.view().through(), Lsn(2));
    assert_eq!(fixture.lsm.stats().files["table"].count, 0);
    fixture.reopen();
    assert_eq!(fixture.lsm.view().through(), Lsn(2));
    assert!(fixture.lsm.commit_point().edit > 0);
}

#[test]
fn keys_in_order_are_moved_and_not_merged() {
    let mut fixture = Fixture::new(None);
    for number in 0..60_u32 {
        let value = Some(vec![0; 50]);
        let ops = (0..6).map(|it| (format!("{:05}", number * 6 + it).into_bytes(), value.clone()));
        fixture.checkpoint(&[ops.collect()]);
        fixture.reclaim(Reclaim::Due);
    }
    let stats = fixture.lsm.stats();
    assert!(stats.levels.len() > 2, "{stats:?}");
    assert_eq!(stats.reclaim_written, 0, "{stats:?}");
    fixture.check();
}
