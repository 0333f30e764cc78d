use ondisk_sim::MemFs;

use super::REFERENCE_MAGIC;
use super::sabotage::ValueRule;
use crate::{Background, Batch, Builder, Db, EngineKind, Error, KeyspaceOptions, LargeValue};

fn builder(fs: &MemFs) -> Builder {
    Db::builder()
        .file_system(fs.share())
        .background(Background::Manual)
        .first_segment(16 << 10)
        .largest_segment(64 << 10)
}

fn options(engine: EngineKind) -> KeyspaceOptions {
    KeyspaceOptions { large_value: LargeValue(1000), ..KeyspaceOptions::new(engine) }
}

fn files(db: &Db) -> u64 {
    db.stats().files("value file").count
}

#[test]
fn a_large_value_is_read_as_it_was_written_and_its_file_goes_with_it() {
    for engine in EngineKind::ALL {
        let fs = MemFs::new();
        let db = builder(&fs).open("db").unwrap();
        let keyspace = db.keyspace("large", options(engine)).unwrap();
        let (long, longer) = (vec![1; 100_000], vec![2; 300_000]);
        keyspace.put("a", &long).unwrap();
        let batch = Batch::new().put_in(&keyspace, "b", &longer).put_in(&keyspace, "c", "short");
        db.batch(batch).unwrap();
        assert_eq!(files(&db), 2);
        for round in 0..3 {
            assert_eq!(keyspace.get("a").unwrap().as_deref(), Some(&long[..]), "{round}");
            let all: Vec<_> = keyspace.range(..).unwrap().map(|it| it.unwrap().1.len()).collect();
            assert_eq!(all, [100_000, 300_000, 5]);
            let back: Vec<_> =
                keyspace.range(..).unwrap().rev().map(|it| it.unwrap().1.len()).collect();
            assert_eq!(back, [5, 300_000, 100_000]);
            if round == 1 { db.checkpoint().unwrap() } else { db.compact().unwrap() }
        }
        let snapshot = db.snapshot().unwrap();
        keyspace.put("a", "short now").unwrap();
        keyspace.delete("b").unwrap();
        db.compact().unwrap();
        assert_eq!(files(&db), 2, "the snapshot reads them still");
        assert_eq!(snapshot.get_in(&keyspace, "b").unwrap().as_deref(), Some(&longer[..]));
        drop(snapshot);
        db.compact().unwrap();
        assert_eq!(files(&db), 0);
        db.close().unwrap();
        assert_eq!(crate::check(fs.share(), "db").unwrap().findings, []);
        let db = builder(&fs).open("db").unwrap();
        let keyspace = db.existing_keyspace("large").unwrap();
        assert_eq!(keyspace.get("a").unwrap().as_deref(), Some(&b"short now"[..]));
    }
}

/// A value that looks like a reference is a value.
#[test]
fn a_lookalike_is_no_reference() {
    let fs = MemFs::new();
    let db = builder(&fs).open("db").unwrap();
    let mut lookalike = [0; 48];
    lookalike[..16].copy_from_slice(&REFERENCE_MAGIC);
    db.put("key", lookalike).unwrap();
    db.batch(Batch::new().put("other", lookalike)).unwrap();
    for _ in 0..2 {
        assert_eq!(db.get("key").unwrap().as_deref(), Some(&lookalike[..]));
        assert_eq!(db.get("other").unwrap().as_deref(), Some(&lookalike[..]));
        db.checkpoint().unwrap();
    }
}

/// Every bit of a value file that is flipped is noticed, by the read and by a check.
#[test]
fn rot_in_a_value_file_is_noticed() {
    let fs = MemFs::new();
    let db = builder(&fs).open("db").unwrap();
    let keyspace = db.keyspace("large", options(EngineKind::Btree)).unwrap();
    keyspace.put("key", vec![5; 1500]).unwrap();
    db.close().unwrap();
    let path = "db/keyspaces/1/values/0000000001.value";
    let len = fs.read(path).unwrap().len() as u64;
    for at in (0..len).filter(|at| *at < 80 || at % 97 == 0) {
        let fs = fs.fork();
        fs.rot(path, at, 3).unwrap();
        let db = builder(&fs).open("db").unwrap();
        let read = db.existing_keyspace("large").unwrap().get("key");
        assert!(matches!(read, Err(Error::Damaged { .. } | Error::NewerFormat { .. })), "{at}");
        db.close().unwrap();
        let checked = crate::check(fs.share(), "db");
        assert!(checked.is_err() || !checked.unwrap().findings.is_empty(), "{at}");
    }
}

/// What a commit that never was has left goes after the next open.
#[test]
fn a_file_that_no_commit_names_goes() {
    let fs = MemFs::new();
    let db = builder(&fs).open("db").unwrap();
    let keyspace = db.keyspace("large", options(EngineKind::Lsm)).unwrap();
    keyspace.put("kept", vec![1; 2000]).unwrap();
    let orphan = keyspace.space().values.write(b"kept", &[2; 3000]).unwrap();
    let fs = fs.fork();
    drop(orphan);
    let db = builder(&fs).open("db").unwrap();
    assert_eq!(files(&db), 2);
    while db.step().unwrap() == crate::Step::Working {}
    assert_eq!(files(&db), 1);
    let kept = db.existing_keyspace("large").unwrap().get("kept").unwrap();
    assert_eq!(kept.as_deref(), Some(&[1; 2000][..]));
}

/// A file whose commit has no place in the log yet stays, whatever a sweep finds.
fn in_flight_stays(broken: Option<ValueRule>) -> bool {
    let fs = MemFs::new();
    let db = builder(&fs).sabotage(broken.map(ValueRule::into)).open("db").unwrap();
    let keyspace = db.keyspace("large", options(EngineKind::Lsm)).unwrap();
    let written = keyspace.space().values.write(b"key", &[2; 3000]).unwrap();
    db.compact().unwrap();
    let stays = fs.look("db/keyspaces/1/values/0000000001.value").is_some();
    drop(written);
    db.compact().unwrap();
    assert!(fs.look("db/keyspaces/1/values/0000000001.value").is_none(), "it is nobody's now");
    stays
}

#[test]
fn a_file_in_flight_stays() {
    assert!(in_flight_stays(None));
    assert!(!in_flight_stays(Some(ValueRule::InFlightSwept)));
}

/// A transaction reads the large values of its moment.
#[test]
fn a_transaction_keeps_what_it_may_come_to() {
    let fs = MemFs::new();
    let db = builder(&fs).open("db").unwrap();
    let keyspace = db.keyspace("large", options(EngineKind::Bitcask)).unwrap();
    keyspace.put("key", [1; 2000]).unwrap();
    let transaction = db.transaction();
    assert_eq!(transaction.get_in(&keyspace, "absent").unwrap().as_deref(), None);
    keyspace.put("key", [2; 2000]).unwrap();
    db.compact().unwrap();
    let found = transaction.get_in(&keyspace, "key").unwrap();
    assert!(found.as_deref() == Some(&[1; 2000][..]), "it sees what is newer");
    drop(transaction);
    db.compact().unwrap();
    assert_eq!(files(&db), 1);
}
