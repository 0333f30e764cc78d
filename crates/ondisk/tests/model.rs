//! The store against a `BTreeMap`: reads, ranges, background steps, reopening after a close and
//! after the death of the process.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::ops::Bound;

use ondisk::{Background, Batch, Builder, Db, Receipt, Rung, Step, SyncMode};
use ondisk_sim::MemFs;
use proptest::prelude::*;

type Key = Vec<u8>;
type Model = BTreeMap<Key, Vec<u8>>;
type Operation = (Key, Option<Vec<u8>>);

/// What happens to a store.
#[derive(Clone, Debug)]
enum Event {
    /// A batch of puts and deletes, in a mode.
    Commit(Vec<Operation>, SyncMode),
    /// Several batches begun before the first is waited for, and a checkpoint in between or not.
    Pipeline(Vec<Vec<Operation>>, bool),
    Range(Bound<Key>, Bound<Key>),
    Steps(u8),
    Checkpoint,
    Sync,
    Idle,
    /// Close, look at it with a reader and a check, open.
    Reopen,
    /// The process dies; the store is opened in the same boot.
    Kill,
}

fn key() -> impl Strategy<Value = Key> {
    (0_u8..24).prop_map(|n| format!("key{n:02}").into_bytes())
}

fn operations() -> impl Strategy<Value = Vec<Operation>> {
    // Some values are long, so that segments and young maps fill up.
    let len = prop_oneof![3 => 0_usize..40, 1 => 2000_usize..6000];
    let value = (any::<u8>(), len).prop_map(|(byte, len)| vec![byte; len]);
    prop::collection::vec((key(), prop::option::weighted(0.7, value)), 0..3)
}

fn mode() -> impl Strategy<Value = SyncMode> {
    prop::sample::select(vec!["sync", "batch:3", "none"]).prop_map(|mode| mode.parse().unwrap())
}

fn bound() -> impl Strategy<Value = Bound<Key>> {
    prop_oneof![
        Just(Bound::Unbounded),
        key().prop_map(Bound::Included),
        key().prop_map(Bound::Excluded),
    ]
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        12 => (operations(), mode()).prop_map(|(ops, mode)| Event::Commit(ops, mode)),
        2 => (prop::collection::vec(operations(), 1..4), any::<bool>())
            .prop_map(|(batches, checkpoint)| Event::Pipeline(batches, checkpoint)),
        3 => (bound(), bound()).prop_map(|(lower, upper)| Event::Range(lower, upper)),
        4 => (1_u8..6).prop_map(Event::Steps),
        1 => Just(Event::Checkpoint),
        1 => Just(Event::Sync),
        1 => Just(Event::Idle),
        1 => Just(Event::Reopen),
        1 => Just(Event::Kill),
    ];
    prop::collection::vec(event, 0..60)
}

struct Fixture {
    fs: MemFs,
    db: Db,
    model: Model,
}

impl Fixture {
    fn new() -> Self {
        let fs = MemFs::new();
        let db = builder(&fs).open("db").unwrap();
        Self { fs, db, model: Model::new() }
    }

    fn run(&mut self, event: &Event) {
        match event {
            Event::Commit(ops, mode) => {
                let receipt = self.db.batch_with(batch(ops), *mode).unwrap();
                check_receipt(receipt, *mode);
                self.apply(ops);
            }
            Event::Pipeline(batches, checkpoint) => {
                let begun: Vec<_> =
                    batches.iter().map(|ops| self.db.begin(batch(ops)).unwrap()).collect();
                if *checkpoint {
                    self.db.checkpoint().unwrap();
                }
                for (pending, ops) in begun.into_iter().zip(batches) {
                    pending.wait().unwrap();
                    self.apply(ops);
                }
            }
            Event::Range(lower, upper) => self.check_range(lower, upper),
            Event::Steps(count) => {
                let steps = (0..*count).map(|_| self.db.step().unwrap());
                steps.take_while(|step| *step == Step::Working).for_each(drop);
            }
            Event::Checkpoint => self.db.checkpoint().unwrap(),
            Event::Sync => assert_eq!(self.db.sync().unwrap().rung, Rung::Durable),
            Event::Idle => while self.db.idle_step().unwrap() == Step::Working {},
            Event::Reopen => {
                self.db.close().unwrap();
                self.check_closed();
                self.reopen();
                assert!(self.db.recovery().was_closed);
            }
            Event::Kill => {
                // What the file system holds now, without the close that a drop would make.
                self.fs = self.fs.fork();
                self.reopen();
            }
        }
        self.check();
    }

    fn apply(&mut self, ops: &[Operation]) {
        for (key, value) in ops {
            match value {
                Some(value) => drop(self.model.insert(key.clone(), value.clone())),
                None => drop(self.model.remove(key)),
            }
        }
    }

    fn reopen(&mut self) {
        self.db = builder(&self.fs).open("db").unwrap();
        let stats = self.db.stats();
        assert_eq!(stats.acknowledged, stats.durable, "all that an open serves is durable");
    }

    fn check(&self) {
        for n in 0..24 {
            let key = format!("key{n:02}").into_bytes();
            assert_eq!(self.db.get(&key).unwrap().as_deref(), self.model.get(&key).map(|v| &v[..]));
        }
        assert_eq!(self.db.get("absent").unwrap(), None);
        let stats = self.db.stats();
        let slack = 20_000; // one commit may go beyond the budget
        assert!(stats.young_bytes <= stats.young_budget + slack, "{stats:?}");
    }

    fn check_range(&self, lower: &Bound<Key>, upper: &Bound<Key>) {
        let above = |key: &Key| match lower {
            Bound::Unbounded => true,
            Bound::Included(start) => key >= start,
            Bound::Excluded(start) => key > start,
        };
        let below = |key: &Key| match upper {
            Bound::Unbounded => true,
            Bound::Included(end) => key <= end,
            Bound::Excluded(end) => key < end,
        };
        let bounds = (lower.as_ref().map(Vec::as_slice), upper.as_ref().map(Vec::as_slice));
        let found = entries(self.db.range(bounds).unwrap());
        let expected = self.model.iter().filter(|(key, _)| above(key) && below(key));
        assert!(found.iter().map(|(key, value)| (key, value)).eq(expected));
    }

    fn check_closed(&self) {
        let before = self.fs.image();
        let reader = Db::builder().file_system(self.fs.share()).open_reader("db").unwrap();
        assert_eq!(
            entries(reader.range(..).unwrap()),
            self.model.clone().into_iter().collect::<Vec<_>>()
        );
        drop(reader);
        let report = ondisk::check(self.fs.share(), "db").unwrap();
        assert_eq!(report.findings, []);
        assert!(report.was_closed && report.torn_tail.is_none());
        assert_eq!(report.keys, self.model.len() as u64);
        assert!(self.fs.image() == before, "reading writes nothing");
    }
}

fn builder(fs: &MemFs) -> Builder {
    Db::builder()
        .file_system(fs.share())
        .background(Background::Manual)
        .first_segment(16 << 10)
        .largest_segment(64 << 10)
        .young_budget(30_000)
}

fn batch(ops: &[Operation]) -> Batch {
    ops.iter().fold(Batch::new(), |batch, (key, value)| match value {
        Some(value) => batch.put(key, value),
        None => batch.delete(key),
    })
}

fn check_receipt(receipt: Receipt, mode: SyncMode) {
    let least = if mode == SyncMode::Sync { Rung::Durable } else { Rung::Cached };
    assert!(receipt.rung >= least);
}

fn entries(range: ondisk::Range) -> Vec<(Key, Vec<u8>)> {
    range.map(|entry| entry.unwrap()).map(|(key, value)| (key.to_vec(), value.to_vec())).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is done to it, the store holds what a map holds.
    #[test]
    fn a_store_is_a_map(events in events()) {
        let mut fixture = Fixture::new();
        events.iter().for_each(|event| fixture.run(event));
    }
}

/// A range shows one moment, whatever is committed and checkpointed while it is walked.
#[test]
fn a_range_is_of_one_moment() {
    let mut fixture = Fixture::new();
    let old: Vec<Operation> =
        (0..20).map(|n| (format!("key{n:02}").into_bytes(), Some(vec![n; 100]))).collect();
    fixture.run(&Event::Commit(old[..10].to_vec(), SyncMode::Sync));
    fixture.run(&Event::Checkpoint);
    fixture.run(&Event::Commit(old[10..].to_vec(), SyncMode::Sync));
    let expected: Vec<_> = fixture.model.clone().into_iter().collect();
    let mut range = fixture.db.range(..).unwrap();
    let first: Vec<_> = entries_of(range.by_ref().take(3));
    for (key, _) in &old {
        fixture.db.delete(key).unwrap();
    }
    fixture.db.checkpoint().unwrap();
    fixture.db.put("key99", "later").unwrap();
    assert_eq!([first, entries_of(range)].concat(), expected);
    assert_eq!(entries(fixture.db.range(..).unwrap()), [(b"key99".to_vec(), b"later".to_vec())]);
}

fn entries_of(
    range: impl Iterator<Item = Result<(ondisk::Key, ondisk::Value), ondisk::Error>>,
) -> Vec<(Key, Vec<u8>)> {
    range.map(|it| it.unwrap()).map(|(key, value)| (key.to_vec(), value.to_vec())).collect()
}

/// What died young is never copied; a tombstone stands only where an older file has the key.
#[test]
fn a_checkpoint_copies_what_lives() {
    let fs = MemFs::new();
    let db = builder(&fs).open("db").unwrap();
    db.put("a", "1").unwrap();
    db.delete("a").unwrap();
    db.checkpoint().unwrap();
    assert_eq!((db.stats().files("data file").count, db.stats().checkpoint.0), (0, 2));
    db.put("a", "2").unwrap();
    db.put("a", "3").unwrap();
    db.put("b", "4").unwrap();
    db.checkpoint().unwrap();
    db.delete("a").unwrap();
    db.checkpoint().unwrap();
    let stats = db.stats();
    assert_eq!((stats.files("data file").count, stats.keyspaces[0].engine.keys), (2, Some(1)));
    let dumped = |number: u32| {
        let mut text = String::new();
        ondisk::dump(&fs, format!("db/keyspaces/0/{number:010}.data"), &mut text).unwrap();
        text
    };
    assert!(
        dumped(1).ends_with("lsn 4 put a (1 bytes)\n  94: lsn 5 put b (1 bytes)\n"),
        "{}",
        dumped(1)
    );
    assert!(dumped(2).ends_with("lsn 6 delete a\n"), "{}", dumped(2));
}

/// Recovery keeps its memory inside the budget, checkpointing as it goes.
#[test]
fn recovery_of_more_than_fits_in_memory() {
    let fs = MemFs::new();
    let big = builder(&fs).young_budget(1 << 30).sync(SyncMode::None).open("db").unwrap();
    let mut model = Model::new();
    for n in 0..600_u16 {
        let (key, value) = (format!("key{:03}", n % 150).into_bytes(), n.to_le_bytes().repeat(250));
        big.put(&key, &value).unwrap();
        model.insert(key, value);
        while big.step().unwrap() == Step::Working {}
    }
    let fs = fs.fork();
    let db = builder(&fs).open("db").unwrap();
    assert_eq!(entries(db.range(..).unwrap()), model.into_iter().collect::<Vec<_>>());
    let stats = db.stats();
    assert!(stats.young_bytes <= 31_000 && stats.files("data file").count > 1, "{stats:?}");
}
