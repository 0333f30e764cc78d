//! The engine alone against a `BTreeMap` for each view that is held.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::path::{Path, PathBuf};

use ondisk_log::StoreId;
use ondisk_sim::MemFs;
use proptest::prelude::*;

use super::*;
use crate::bitcask::data_file::file_name;
use crate::bitcask::walk::WALK_KEYS;
use crate::cache::Caches;
use crate::commit::CommitWriter;
use crate::engine::{Direction, Pins, Progress};
use crate::options::KeyspaceOptions;
use crate::sabotage::Sabotage;
use crate::young::Young;

mod cuts;

pub(in crate::bitcask) type Contents = BTreeMap<Vec<u8>, Vec<u8>>;

const KEYSPACE: u32 = 7;

/// Readers in other processes, with the files that each may open.
#[derive(Debug, Default)]
pub(in crate::bitcask) struct Readers {
    alive: BTreeMap<u64, Vec<PathBuf>>,
    came: u64,
}

impl Readers {
    /// One more comes; these files it may open.
    pub(in crate::bitcask) fn come(&mut self, files: Vec<PathBuf>) {
        self.came += 1;
        self.alive.insert(self.came, files);
    }
}

impl Pins for Readers {
    fn newest(&self) -> u64 {
        self.alive.keys().next_back().copied().unwrap_or_default()
    }

    fn oldest(&self) -> Option<u64> {
        self.alive.keys().next().copied()
    }
}

pub(in crate::bitcask) fn site(fs: &MemFs, sabotage: Option<Sabotage>) -> Site {
    Site {
        fs: fs.share(),
        dir: "keyspace".into(),
        store: StoreId([5; 16]),
        keyspace: KEYSPACE,
        options: KeyspaceOptions::default(),
        caches: Arc::new(Caches::new(1 << 20)),
        sabotage,
    }
}

/// A young map with one commit an operation, above an LSN.
pub(in crate::bitcask) fn frozen(above: Lsn, operations: &[(Vec<u8>, Option<Vec<u8>>)]) -> Frozen {
    let young = Young::new();
    let mut through = above;
    for (key, value) in operations {
        through = Lsn(through.0 + 1);
        let mut writer = CommitWriter::with_capacity(0);
        writer.push(KEYSPACE, key, value.as_deref());
        young.insert(through, &writer.finish(), KEYSPACE);
    }
    Frozen { young: Arc::new(young), through }
}

/// Work in small steps, where all of the log is durable.
pub(in crate::bitcask) fn work(pins: &Readers) -> Work<'_> {
    Work { bytes: 50, durable: &|| Lsn(u64::MAX), pins }
}

pub(in crate::bitcask) fn run(job: &mut dyn Job, pins: &Readers) -> Result<(), Error> {
    let work = work(pins);
    while job.step(&work)? == Progress::Working {}
    Ok(())
}

pub(in crate::bitcask) fn contents(
    view: &Arc<dyn View>,
    direction: Direction,
) -> Vec<(Vec<u8>, Vec<u8>)> {
    between(view, (Bound::Unbounded, Bound::Unbounded), direction)
}

fn between(
    view: &Arc<dyn View>,
    (lower, upper): (Bound<&[u8]>, Bound<&[u8]>),
    direction: Direction,
) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut walk = Arc::clone(view).walk(lower, upper, direction);
    let mut found = Vec::new();
    while walk.advance().unwrap() {
        let (key, value) = (walk.key().to_vec(), walk.value().unwrap().to_vec());
        assert_eq!(walk.keep().unwrap()[..], value[..]);
        found.push((key, value));
    }
    assert!(!walk.advance().unwrap(), "the end is the end");
    found
}

fn check(view: &Arc<dyn View>, model: &Contents) {
    let expected: Vec<_> = model.clone().into_iter().collect();
    assert_eq!(contents(view, Direction::Forward), expected);
    let backward: Vec<_> = expected.iter().rev().cloned().collect();
    assert_eq!(contents(view, Direction::Backward), backward);
    for key in 0..12 {
        let found = view.get(&[key]).unwrap();
        assert_eq!(found.as_deref(), model.get(&vec![key]).map(Vec::as_slice), "key {key}");
    }
}

#[derive(Clone, Debug)]
enum Step {
    Checkpoint(Vec<(Vec<u8>, Option<Vec<u8>>)>),
    Hold,
    Release(prop::sample::Index),
    Reopen,
    /// Some steps of a checkpoint that is then dropped.
    Abandon(usize),
    Reclaim(Reclaim),
    /// Some steps of a merge, a checkpoint between them, the rest of the merge or not.
    Beside(usize, Vec<(Vec<u8>, Option<Vec<u8>>)>, bool),
    /// A reader comes in another process, or goes.
    Pin(bool),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let key = (0_u8..12).prop_map(|key| vec![key]);
    let value = prop::option::weighted(0.7, prop::collection::vec(any::<u8>(), 0..40));
    let operations = prop::collection::vec((key, value), 0..10);
    let want = prop::sample::select(vec![Reclaim::Due, Reclaim::All]);
    let step = prop_oneof![
        6 => operations.clone().prop_map(Step::Checkpoint),
        3 => Just(Step::Hold),
        2 => any::<prop::sample::Index>().prop_map(Step::Release),
        1 => Just(Step::Reopen),
        1 => (0_usize..6).prop_map(Step::Abandon),
        2 => want.prop_map(Step::Reclaim),
        2 => (0_usize..12, operations, any::<bool>())
            .prop_map(|(steps, operations, finish)| Step::Beside(steps, operations, finish)),
        1 => any::<bool>().prop_map(Step::Pin),
    ];
    prop::collection::vec(step, 0..30)
}

/// An engine, what it must hold, and the views that are held with what they must hold.
struct Run {
    fs: MemFs,
    cask: Arc<Cask>,
    model: Contents,
    held: Vec<(Arc<dyn View>, Contents)>,
    pins: Readers,
}

impl Run {
    fn new() -> Self {
        let fs = MemFs::new();
        let cask = open(site(&fs, None)).unwrap();
        Self { fs, cask, model: Contents::new(), held: Vec::new(), pins: Readers::default() }
    }

    fn checkpoint(&mut self, operations: &[(Vec<u8>, Option<Vec<u8>>)]) {
        let before = self.cask.commit_point();
        let frozen = frozen(self.cask.view().through(), operations);
        let through = frozen.through;
        run(&mut *Arc::clone(&self.cask).checkpoint(frozen), &self.pins).unwrap();
        for (key, value) in operations {
            match value {
                Some(value) => drop(self.model.insert(key.clone(), value.clone())),
                None => drop(self.model.remove(key)),
            }
        }
        let after = self.cask.commit_point();
        assert_eq!((after.through, self.cask.view().through()), (through, through));
        assert!(after.edit > before.edit || operations.is_empty());
    }

    fn abandon(&mut self, steps: usize) {
        let operations = [(vec![3], Some(vec![1; 9])), (vec![4], None)];
        let frozen = frozen(self.cask.view().through(), &operations);
        let mut job = Arc::clone(&self.cask).checkpoint(frozen.clone());
        for _ in 0..steps {
            job.step(&work(&self.pins)).unwrap();
        }
        drop(job);
        if self.cask.view().through() == frozen.through {
            self.model.insert(vec![3], vec![1; 9]);
            self.model.remove(&vec![4]);
        }
    }

    fn reclaim(&mut self, want: Reclaim) {
        for _ in 0..100 {
            let Some(mut job) = Arc::clone(&self.cask).reclaim(want) else {
                assert!(want == Reclaim::Due || self.cask.stats().dead_bytes == 0);
                return;
            };
            assert!(
                Arc::clone(&self.cask).reclaim(want).is_none()
                    || !format!("{job:?}").contains("Merge"),
                "one at a time"
            );
            run(&mut *job, &self.pins).unwrap();
        }
        panic!("reclaiming comes to no end");
    }

    fn beside(&mut self, steps: usize, operations: &[(Vec<u8>, Option<Vec<u8>>)], finish: bool) {
        let Some(mut job) = Arc::clone(&self.cask).reclaim(Reclaim::All) else { return };
        let mut progress = Progress::Working;
        for _ in 0..steps {
            if progress == Progress::Working {
                progress = job.step(&work(&self.pins)).unwrap();
            }
        }
        self.checkpoint(operations);
        if finish && progress == Progress::Working {
            run(&mut *job, &self.pins).unwrap();
        }
    }

    /// What a reader in another process may read is there for as long as it lives.
    fn pin(&mut self, comes: bool) {
        if comes {
            let files = self.fs.share().list(Path::new("keyspace")).unwrap_or_default();
            let (named, _) = self.cask.weights();
            let named: Vec<_> = named.iter().map(|it| file_name(it.number)).collect();
            let files = files.into_iter().map(|it| PathBuf::from("keyspace").join(it.name));
            let files =
                files.filter(|it| named.iter().any(|name| it.file_name() == Some(name.as_ref())));
            self.pins.come(files.collect());
        } else {
            self.pins.alive.pop_first();
        }
    }

    fn reopen(&mut self) {
        self.held.clear();
        self.pins.alive.clear();
        let before = self.cask.commit_point();
        self.cask = open(site(&self.fs, None)).unwrap();
        assert_eq!(self.cask.commit_point(), before);
        self.cask.renew().unwrap();
        self.cask.sweep().unwrap();
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Checkpoint(operations) => self.checkpoint(operations),
            Step::Hold => self.held.push((self.cask.view(), self.model.clone())),
            Step::Release(index) if !self.held.is_empty() => {
                self.held.swap_remove(index.index(self.held.len()));
            }
            Step::Release(_) => {}
            Step::Reopen => self.reopen(),
            Step::Abandon(steps) => self.abandon(*steps),
            Step::Reclaim(want) => self.reclaim(*want),
            Step::Beside(steps, operations, finish) => self.beside(*steps, operations, *finish),
            Step::Pin(comes) => self.pin(*comes),
        }
        for path in self.pins.alive.values().flatten() {
            assert!(self.fs.look(path).is_some(), "{} is read", path.display());
        }
        check(&self.cask.view(), &self.model);
        for (view, model) in &self.held {
            check(view, model);
        }
    }
}

proptest! {
    /// A view answers what the engine held when it was the newest, whatever comes after.
    #[test]
    fn a_view_never_changes(steps in steps()) {
        let mut run = Run::new();
        for step in &steps {
            run.step(step);
        }
    }
}

#[test]
fn nothing_is_written_before_the_first_checkpoint() {
    let fs = MemFs::new();
    let cask = open(site(&fs, None)).unwrap();
    cask.renew().unwrap();
    cask.sweep().unwrap();
    assert_eq!(cask.commit_point(), CommitPoint::default());
    assert_eq!(fs.look("keyspace"), None);
}

#[test]
fn bounds_hold_in_both_directions_over_many_keys() {
    let mut run = Run::new();
    let key = |n: usize| format!("{n:05}").into_bytes();
    let count = 3 * WALK_KEYS;
    let operations: Vec<_> = (0..count).map(|n| (key(n), Some(key(n)))).collect();
    run.checkpoint(&operations);
    let view = run.cask.view();
    let gone: Vec<_> = (0..count).filter(|n| n % 3 != 0).map(|n| (key(n), None)).collect();
    run.checkpoint(&gone);
    let newest = run.cask.view();
    for (from, to) in [(0, count), (5, 300), (255, 257), (600, 601)] {
        let (from, to) = (key(from), key(to));
        for lower in [Bound::Included(&from[..]), Bound::Excluded(&from[..])] {
            for upper in [Bound::Included(&to[..]), Bound::Excluded(&to[..])] {
                let old: Contents = operations
                    .iter()
                    .filter_map(|(key, value)| Some((key.clone(), value.clone()?)))
                    .collect();
                for (view, model) in [(&view, &old), (&newest, &run.model)] {
                    let expected = model.range::<[u8], _>((lower, upper));
                    let mut expected: Vec<_> =
                        expected.map(|(key, value)| (key.clone(), value.clone())).collect();
                    assert_eq!(between(view, (lower, upper), Direction::Forward), expected);
                    expected.reverse();
                    assert_eq!(between(view, (lower, upper), Direction::Backward), expected);
                }
            }
        }
    }
}

#[test]
fn what_no_view_needs_is_forgotten() {
    let mut run = Run::new();
    let put = |value: u8| vec![(vec![1], Some(vec![value])), (vec![2], Some(vec![value]))];
    run.checkpoint(&put(1));
    let held = run.cask.view();
    run.checkpoint(&put(2));
    run.checkpoint(&[(vec![2], None)]);
    assert_eq!(run.cask.shared.keydir().replaced(), Some((Lsn(4), Lsn(5))));
    drop(held);
    run.checkpoint(&put(3));
    assert_eq!(run.cask.shared.keydir().replaced(), None);
}

#[test]
#[should_panic(expected = "a manifest through LSN 1 while the log is durable through 0")]
fn no_manifest_is_installed_ahead_of_the_log() {
    let cask = open(site(&MemFs::new(), None)).unwrap();
    let frozen = frozen(Lsn(0), &[(vec![1], Some(vec![1]))]);
    let mut job = cask.checkpoint(frozen);
    let pins = Readers::default();
    let work = Work { bytes: 1000, durable: &|| Lsn(0), pins: &pins };
    while job.step(&work).unwrap() == Progress::Working {}
}

#[test]
fn another_keyspaces_manifest_is_refused() {
    let mut run = Run::new();
    run.checkpoint(&[(vec![1], Some(vec![1]))]);
    let other = Site { keyspace: 8, ..site(&run.fs, None) };
    let error = open(other).unwrap_err();
    let elsewhere = Damage::Elsewhere("keyspace");
    assert!(matches!(error, Error::Damaged { damage, .. } if damage == elsewhere));
}

#[test]
fn a_merge_gives_space_back_when_nobody_reads_any_more() {
    let mut run = Run::new();
    let put = |value: u8| (0..12).map(|key| (vec![key], Some(vec![value; 30]))).collect::<Vec<_>>();
    run.checkpoint(&put(1));
    let held = run.cask.view();
    let old = run.model.clone();
    run.checkpoint(&put(2));
    run.checkpoint(&[(vec![5], None)]);
    assert!(run.cask.stats().dead_bytes > 0);
    run.reclaim(Reclaim::All);
    let stats = run.cask.stats();
    assert_eq!((stats.dead_bytes, stats.files["data file"].count), (0, 1));
    assert_eq!(stats.obsolete_files, 3, "the view may read them");
    check(&held, &old);
    drop(held);
    run.checkpoint(&[(vec![5], Some(vec![1]))]);
    assert_eq!(run.cask.stats().obsolete_files, 0);
    let names = run.fs.share().list(Path::new("keyspace")).unwrap();
    assert_eq!(names.len(), 5, "two data files, two hint files, the manifest: {names:?}");
    run.reopen();
    check(&run.cask.view(), &run.model);
}

#[test]
fn a_hint_file_that_cannot_be_read_costs_nothing_but_time() {
    let mut run = Run::new();
    let operations: Vec<_> = (0..12).map(|key| (vec![key], Some(vec![key; 30]))).collect();
    run.checkpoint(&operations);
    run.checkpoint(&[(vec![5], None), (vec![6], Some(vec![0]))]);
    let hint = "keyspace/0000000001.hint";
    run.fs.rot(hint, 100, 3).unwrap();
    run.fs.share().remove(Path::new("keyspace/0000000002.hint")).unwrap();
    let dead = run.cask.stats().dead_bytes;
    run.reopen();
    let stats = run.cask.stats();
    assert_eq!(stats.files["hint file that could not be read"].count, 2);
    assert_eq!(stats.dead_bytes, dead);
    check(&run.cask.view(), &run.model);
}

/// What stands beside an entry cannot take it away: neither what is damaged, nor what is gone.
#[test]
fn a_walk_goes_on_behind_what_it_cannot_read() {
    let mut run = Run::new();
    let operations: Vec<_> = (0..12).map(|key| (vec![key], Some(vec![key; 3000]))).collect();
    run.checkpoint(&operations);
    let path = Path::new("keyspace/0000000001.data");
    run.fs.rot(path, 64 + 5 * 3029 + 900, 1).unwrap();
    let file = run.fs.share().open(path, ondisk_fs::Access::ReadWrite).unwrap();
    file.set_len(64 + 10 * 3029 + 5).unwrap();
    for direction in [Direction::Forward, Direction::Backward] {
        let (lower, upper) = (Bound::Unbounded, Bound::Unbounded);
        let mut walk = run.cask.view().walk(lower, upper, direction);
        let mut missed = Vec::new();
        while walk.advance().unwrap() {
            let key = walk.key()[0];
            match walk.value() {
                Ok(value) => assert_eq!(value, vec![key; 3000]),
                Err(error) => {
                    assert!(error.is_damage(), "{error}");
                    missed.push(key);
                }
            }
        }
        missed.sort_unstable();
        assert_eq!(missed, [5, 10, 11], "{direction:?}");
    }
}
