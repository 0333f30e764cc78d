use std::cell::Cell;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::atomic::Ordering;

use ondisk_sim::MemFs;
use proptest::prelude::*;

use super::*;
use crate::{Background, Builder, EngineKind, KeyspaceOptions};

fn builder() -> Builder {
    Db::builder()
        .file_system(MemFs::new().share())
        .background(Background::Manual)
        .first_segment(16 << 10)
        .largest_segment(64 << 10)
}

fn db() -> Db {
    builder().open("db").unwrap()
}

fn text(value: Option<Value>) -> Option<String> {
    value.map(|value| value.escape_ascii().to_string())
}

fn keys(range: TransactionRange<'_>) -> Vec<String> {
    range.map(|entry| entry.unwrap().0.escape_ascii().to_string()).collect()
}

fn is_conflict(result: Result<Receipt, Error>, named: &str, expected: &[u8]) -> bool {
    match result {
        Err(Error::Conflict { keyspace, key, .. }) => keyspace == named && key == expected,
        _ => false,
    }
}

#[test]
fn a_transaction_sees_one_moment_and_its_own_writes() {
    let db = db();
    db.put("a", "1").unwrap();
    db.put("c", "3").unwrap();
    let mut tx = db.transaction();
    assert_eq!((text(tx.get("a").unwrap()), tx.lsn()), (Some("1".into()), Some(Lsn(2))));
    db.put("a", "later").unwrap();
    db.put("b", "later").unwrap();
    tx.put("d", "4").unwrap();
    tx.delete("c").unwrap();
    tx.put("a", "mine").unwrap();
    assert_eq!(text(tx.get("a").unwrap()), Some("mine".into()));
    assert_eq!(
        tx.multi_get(["b", "c", "d"]).unwrap().map_to_text(),
        [None, None, Some("4".into())]
    );
    assert!(tx.contains("d").unwrap() && !tx.contains("c").unwrap());
    assert_eq!(keys(tx.range(..).unwrap()), ["a", "d"]);
    assert_eq!(tx.last().unwrap().unwrap().0, b"d");
    assert_eq!(tx.first().unwrap().unwrap().1, b"mine");
    assert_eq!(text(db.get("d").unwrap()), None);
    assert!(is_conflict(tx.commit(), "default", b"a"));
    assert_eq!(text(db.get("d").unwrap()), None);
}

trait MapToText {
    fn map_to_text(self) -> Vec<Option<String>>;
}

impl MapToText for Vec<Option<Value>> {
    fn map_to_text(self) -> Vec<Option<String>> {
        self.into_iter().map(text).collect()
    }
}

/// Reads, the key that somebody else writes, and the key that the conflict names.
type Case = (fn(&Transaction), &'static str, Option<&'static [u8]>);

/// Which reads meet which writes of others.
#[test]
fn a_conflict_names_the_key() {
    let cases: [Case; 14] = [
        (|tx| drop(tx.get("b").unwrap()), "b", Some(b"b")),
        (|tx| drop(tx.get("none").unwrap()), "none", Some(b"none")),
        (|tx| drop(tx.get("b").unwrap()), "c", None),
        (|tx| drop(tx.multi_get(["a", "d"]).unwrap()), "d", Some(b"d")),
        (|tx| drop(keys(tx.range(..).unwrap())), "bb", Some(b"bb")),
        (|tx| drop(keys(tx.prefix("b").unwrap())), "bb", Some(b"bb")),
        (|tx| drop(keys(tx.prefix("b").unwrap())), "c", None),
        // As far as it was walked, from either end.
        (|tx| drop(tx.range(..).unwrap().next()), "aa", None),
        (|tx| drop(tx.range(..).unwrap().nth(1)), "aa", Some(b"aa")),
        (|tx| drop(tx.range(..).unwrap().next()), "a", Some(b"a")),
        (|tx| drop(tx.range(..).unwrap().next_back()), "cc", None),
        (|tx| drop(tx.range(..).unwrap().nth_back(1)), "cc", Some(b"cc")),
        // A range that was made and never walked.
        (|tx| drop(tx.range(..).unwrap()), "a", None),
        (|tx| drop(tx.range(&b"x"[..]..&b"b"[..]).unwrap()), "c", None),
    ];
    for (index, (read, written, conflict)) in cases.into_iter().enumerate() {
        let db = db();
        for key in ["a", "b", "c", "d"] {
            db.put(key, "old").unwrap();
        }
        let mut tx = db.transaction();
        tx.get("fix the moment").unwrap();
        read(&tx);
        tx.put("other", "x").unwrap();
        db.put(written, "new").unwrap();
        let result = tx.commit();
        match conflict {
            Some(key) => assert!(is_conflict(result, "default", key), "case {index}"),
            None => drop(result.unwrap()),
        }
    }
}

#[test]
fn a_range_that_is_never_dropped_counts_whole() {
    let db = db();
    db.put("a", "1").unwrap();
    let mut tx = db.transaction();
    let mut range = tx.range(..).unwrap();
    range.next();
    std::mem::forget(range);
    tx.put("x", "1").unwrap();
    db.put("z", "1").unwrap();
    assert!(is_conflict(tx.commit(), "default", b"z"));
}

#[test]
fn who_only_reads_or_only_writes_meets_no_conflict() {
    let db = db();
    db.put("a", "1").unwrap();
    let (mut writes, reads, nothing) = (db.transaction(), db.transaction(), db.transaction());
    writes.put("a", "2").unwrap();
    assert_eq!(text(reads.get("a").unwrap()), Some("1".into()));
    db.put("a", "3").unwrap();
    let before = db.stats().acknowledged;
    assert_eq!(reads.commit().unwrap(), Receipt { lsn: Lsn(1), rung: Rung::Durable });
    assert_eq!(nothing.commit().unwrap(), Receipt { lsn: before, rung: Rung::Durable });
    assert_eq!(db.stats().acknowledged, before, "nothing was written");
    assert_eq!(writes.commit().unwrap().lsn, Lsn(before.0 + 1));
    assert_eq!(text(db.get("a").unwrap()), Some("2".into()));
    // What was read after it was written was not read of others.
    let mut own = db.transaction();
    own.put("a", "4").unwrap();
    assert_eq!(text(own.get("a").unwrap()), Some("4".into()));
    db.put("a", "5").unwrap();
    own.commit().unwrap();
    assert_eq!(text(db.get("a").unwrap()), Some("4".into()));
}

#[test]
fn rolled_back_or_dropped_leaves_nothing() {
    let db = db();
    let mut tx = db.transaction();
    tx.put("a", "1").unwrap();
    tx.rollback();
    let mut tx = db.transaction();
    tx.put("a", "1").unwrap();
    drop(tx);
    assert_eq!((text(db.get("a").unwrap()), db.stats().acknowledged), (None, Lsn(0)));
}

/// A commit that has its LSN and is not acknowledged is not seen, and is in the way.
#[test]
fn a_commit_on_its_way_is_a_conflict() {
    let db = db();
    db.put("a", "1").unwrap();
    let mut first = db.transaction();
    first.put("a", "2").unwrap();
    let pending = first.begin_commit().unwrap();
    let mut second = db.transaction();
    assert_eq!(text(second.get("a").unwrap()), Some("1".into()));
    second.put("b", "1").unwrap();
    assert!(is_conflict(second.commit(), "default", b"a"));
    // Nobody waits for it: who runs again makes it visible.
    let attempts = Cell::new(0);
    let seen = db.transact(|tx| {
        attempts.set(attempts.get() + 1);
        let seen = text(tx.get("a")?);
        tx.put("b", "2")?;
        Ok(seen)
    });
    assert_eq!((seen.unwrap(), attempts.get()), (Some("2".into()), 2));
    assert_eq!(pending.wait().unwrap(), Receipt { lsn: Lsn(2), rung: Rung::Durable });
}

#[test]
fn the_last_conflict_is_given_back() {
    let db = db();
    let attempts = Cell::new(0_u32);
    let result = db.transact(|tx| {
        attempts.set(attempts.get() + 1);
        tx.get("a")?;
        tx.put("b", "1")?;
        db.put("a", attempts.get().to_le_bytes())?; // always in the way
        Ok(())
    });
    let Err(Error::Conflict { lsn, .. }) = result else { panic!("{result:?}") };
    assert_eq!((attempts.get(), lsn), (100, Lsn(100)));
    #[derive(Debug)]
    enum Own {
        Store,
        Broke,
    }
    impl From<Error> for Own {
        fn from(_: Error) -> Self {
            Self::Store
        }
    }
    let broke = db.try_transact(|tx| {
        tx.put("c", "1")?;
        if tx.contains("c")? { Err(Own::Broke) } else { Ok(()) }
    });
    assert!(matches!(broke, Err(Own::Broke)) && !db.contains("c").unwrap());
    db.close().unwrap();
    let closed: Result<(), Own> = db.try_transact(|tx| Ok(tx.put("c", "1")?));
    assert!(matches!(closed, Err(Own::Store)));
}

#[test]
fn keyspaces_of_all_engines_in_one() {
    let db = db();
    let spaces = EngineKind::ALL
        .map(|engine| db.keyspace(engine.name(), KeyspaceOptions::new(engine)).unwrap());
    for written in 0..3 {
        let mut tx = db.transaction();
        for space in &spaces {
            assert!(!tx.contains_in(space, [written]).unwrap());
            tx.put_in(space, [written], "x").unwrap();
            assert_eq!(tx.first_in(space).unwrap().unwrap().0[..], [0]);
            assert_eq!(tx.last_in(space).unwrap().unwrap().0[..], [written]);
            let key = [written];
            let all = (Bound::Unbounded, Bound::Included(&key[..]));
            assert_eq!(keys(tx.range_in(space, all).unwrap()).len(), usize::from(written) + 1);
            assert_eq!(keys(tx.prefix_in(space, key).unwrap()).len(), 1);
        }
        tx.commit().unwrap();
        db.checkpoint().unwrap();
    }
    let mut tx = db.transaction();
    assert_eq!(tx.multi_get_in(&spaces[1], [[0], [9]]).unwrap().len(), 2);
    tx.delete_in(&spaces[0], [0]).unwrap();
    spaces[1].put([9], "x").unwrap();
    assert!(is_conflict(tx.commit(), "lsm", &[9]));
    let mut tx = db.transaction();
    tx.get_in(&spaces[2], "a").unwrap();
    tx.put("a", "1").unwrap();
    db.drop_keyspace("btree").unwrap();
    assert!(matches!(tx.get_in(&spaces[2], "a"), Err(Error::KeyspaceDropped { .. })));
    assert!(matches!(tx.commit(), Err(Error::KeyspaceDropped { .. })));
    let mut tx = db.transaction();
    let other = self::db().default_keyspace().unwrap();
    assert!(matches!(tx.get_in(&other, "a"), Err(Error::ForeignKeyspace)));
    assert!(matches!(tx.put_in(&other, "a", "1"), Err(Error::ForeignKeyspace)));
    tx.get("a").unwrap();
    let late = db.keyspace("late", KeyspaceOptions::default()).unwrap();
    assert!(matches!(tx.get_in(&late, "a"), Err(Error::NoKeyspace { .. })));
    tx.put_in(&late, "a", "1").unwrap();
    tx.commit().unwrap();
    assert!(late.contains("a").unwrap());
}

#[test]
fn what_does_not_fit_is_not_written() {
    let db = db();
    let mut tx = db.transaction();
    let long = vec![1; 100 << 10];
    assert!(matches!(tx.put(&long, "x"), Err(Error::KeyTooLarge { .. })));
    tx.put("large", &long).unwrap(); // goes to a file of its own
    tx.put("small", "x").unwrap();
    let mut fitted = 0_u32;
    let full = loop {
        match tx.put(fitted.to_le_bytes(), [7; 1000]) {
            Ok(()) => fitted += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(full, Error::BatchTooLarge { .. }), "{full}");
    // Writing over a key takes the place of what was there.
    for _ in 0..100 {
        tx.put(0_u32.to_le_bytes(), [8; 1000]).unwrap();
    }
    assert_eq!(keys(tx.range(..).unwrap()).len(), fitted as usize + 2);
    tx.commit().unwrap();
    assert_eq!(db.get("large").unwrap().unwrap()[..], long[..]);
    assert_eq!(db.range(..).unwrap().count(), fitted as usize + 2);
    let mut tx = db.transaction();
    assert_eq!(tx.get("large").unwrap().unwrap().len(), long.len());
    tx.put("x", "1").unwrap();
    db.put("large", &long).unwrap();
    assert!(is_conflict(tx.commit(), "default", b"large"));
}

/// Nothing is kept for transactions while none is open; while one is, what it will ask for is,
/// within a budget.
#[test]
fn the_past_is_kept_while_it_is_needed() {
    let db = builder().young_budget(20_000).open("db").unwrap();
    let past = || db.store().counters().past_bytes.load(Ordering::Relaxed);
    let write = |n: u32| {
        for key in 0..4_u8 {
            db.put([key], n.to_le_bytes().repeat(100)).unwrap();
        }
        db.checkpoint().unwrap();
    };
    (0..3).for_each(write);
    assert_eq!(past(), 0);
    let mut tx = db.transaction();
    let mut other = db.transaction();
    let mut unrelated = db.transaction();
    for tx in [&tx, &other] {
        tx.get([3]).unwrap();
    }
    unrelated.get([77]).unwrap();
    for tx in [&mut tx, &mut other, &mut unrelated] {
        tx.put("x", "1").unwrap();
    }
    write(4);
    assert!(past() > 1000);
    assert!(is_conflict(tx.commit(), "default", &[3]), "the engine has it, and the past");
    for n in 5..40 {
        write(n);
        assert!(past() <= 20_000 + 10_000, "{}", past());
    }
    let kept = match other.commit() {
        Err(Error::TooOld { lsn: Lsn(12), kept }) => kept,
        other => panic!("{other:?}"),
    };
    assert!(kept > Lsn(16));
    assert!(unrelated.commit().unwrap_err().is_conflict());
    assert_eq!(past(), 0);
    // One that begins now is none the worse for it.
    let fresh = db.transact(|tx| {
        tx.get([3])?;
        tx.put("x", "2")
    });
    fresh.unwrap();
}

#[test]
fn a_commit_asks_for_more_than_the_mode() {
    let db = builder().sync(SyncMode::None).open("db").unwrap();
    let mut tx = db.transaction();
    tx.put("a", "1").unwrap();
    assert_eq!(tx.commit().unwrap().rung, Rung::Cached);
    let reads = db.transaction();
    assert!(reads.contains("a").unwrap());
    assert_eq!(reads.commit().unwrap(), Receipt { lsn: Lsn(1), rung: Rung::Cached });
    // Who only read may wait until what it saw is safe.
    let reads = db.transaction();
    assert!(reads.contains("a").unwrap());
    let receipt = reads.commit_with(SyncMode::Sync).unwrap();
    assert_eq!(
        (receipt, db.stats().durable),
        (Receipt { lsn: Lsn(1), rung: Rung::Durable }, Lsn(1))
    );
    let mut tx = db.transaction();
    tx.put("a", "2").unwrap();
    assert_eq!(tx.commit_with(SyncMode::Sync).unwrap().rung, Rung::Durable);
    db.close().unwrap();
    let tx = db.transaction();
    assert!(matches!(tx.get("a"), Err(Error::Closed)));
    assert!(matches!(tx.commit(), Err(Error::Closed)));
}

/// What is read of many keys is kept less exactly: conflicts that are none, and none is missed.
#[test]
fn many_reads_are_kept_as_stretches() {
    let db = builder().read_budget(2000).open("db").unwrap();
    let attempt = |written: u32| {
        let mut tx = db.transaction();
        for n in (0..4000_u32).step_by(2) {
            tx.get(n.to_be_bytes()).unwrap();
        }
        tx.put("x", "1").unwrap();
        db.put(written.to_be_bytes(), "1").unwrap();
        tx.commit()
    };
    for n in [0, 2, 1998, 3998] {
        assert!(attempt(n).unwrap_err().is_conflict());
    }
    attempt(3999).unwrap();
    attempt(70_000).unwrap();
}

type Model = BTreeMap<Vec<u8>, u8>;

fn bound() -> impl Strategy<Value = Bound<Vec<u8>>> {
    let key = || (0_u8..30).prop_map(|n| vec![b'a' + n]);
    prop_oneof![
        Just(Bound::Unbounded),
        key().prop_map(Bound::Included),
        key().prop_map(Bound::Excluded),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// A range of a transaction is that of a map with its own writes in it, whichever ends are
    /// walked in whatever order.
    #[test]
    fn a_range_is_that_of_a_map(
        old in prop::collection::btree_map(0_u8..30, any::<u8>(), 0..20),
        own in prop::collection::btree_map(0_u8..30, prop::option::of(any::<u8>()), 0..20),
        checkpoint in any::<bool>(),
        lower in bound(),
        upper in bound(),
        turns in prop::collection::vec(any::<bool>(), 0..40),
    ) {
        let db = db();
        let mut model = Model::new();
        for (key, value) in old {
            db.put([b'a' + key], [value]).unwrap();
            model.insert(vec![b'a' + key], value);
        }
        if checkpoint {
            db.checkpoint().unwrap();
        }
        let mut tx = db.transaction();
        for (key, value) in own {
            match value {
                Some(value) => {
                    tx.put([b'a' + key], [value]).unwrap();
                    model.insert(vec![b'a' + key], value);
                }
                None => {
                    tx.delete([b'a' + key]).unwrap();
                    model.remove(&vec![b'a' + key]);
                }
            }
        }
        let bounds = (lower.as_ref().map(Vec::as_slice), upper.as_ref().map(Vec::as_slice));
        let mut range = tx.range(bounds).unwrap();
        let mut expected: Vec<(Vec<u8>, u8)> = match possible(&bounds) {
            Some(_) => {
                let entries = model.range((lower.clone(), upper.clone()));
                entries.map(|(key, value)| (key.clone(), *value)).collect()
            }
            None => Vec::new(),
        };
        for from_front in turns {
            let (found, next) = if from_front {
                (range.next(), (!expected.is_empty()).then(|| expected.remove(0)))
            } else {
                (range.next_back(), expected.pop())
            };
            let found = found.map(|entry| entry.unwrap());
            let found = found.map(|(key, value)| (key.to_vec(), value[0]));
            prop_assert_eq!(found, next);
        }
        let rest: Vec<_> = range.map(|it| it.unwrap().0.to_vec()).collect();
        prop_assert_eq!(rest, expected.into_iter().map(|(key, _)| key).collect::<Vec<_>>());
    }
}
