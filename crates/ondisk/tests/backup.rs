//! Backups and restores: of one commit while writers write, and of what differs. Through power cuts:
//! `testkit::backups`.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use ondisk::{
    Background, Batch, Builder, Db, EngineKind, Error, KeyspaceOptions, Lsn, SyncMode, Which,
    verify_backup,
};
use ondisk_fs::FileSystem;
use ondisk_sim::MemFs;

/// Keyspace, key → value.
type Contents = BTreeMap<(String, Vec<u8>), Vec<u8>>;

fn builder(fs: &Arc<dyn FileSystem>) -> Builder {
    Db::builder()
        .file_system(Arc::clone(fs))
        .background(Background::Manual)
        .first_segment(64 << 10)
        .largest_segment(256 << 10)
}

fn engines(db: &Db) {
    for engine in EngineKind::ALL {
        let options = KeyspaceOptions::new(engine).sync("batch:5".parse().unwrap());
        db.keyspace(engine.name(), options).unwrap();
    }
}

fn contents(db: &Db) -> Contents {
    let mut contents = Contents::new();
    for keyspace in db.keyspaces().unwrap() {
        for entry in keyspace.range(..).unwrap() {
            let (key, value) = entry.unwrap();
            contents.insert((keyspace.name().to_owned(), key.to_vec()), value.to_vec());
        }
    }
    contents
}

fn restored(fs: &Arc<dyn FileSystem>, path: &str, which: Which) -> Contents {
    let report = builder(fs).restore("backups", path, which, &mut |_| {}).unwrap();
    let check = ondisk::check(Arc::clone(fs), path).unwrap();
    assert_eq!((check.findings, check.was_closed, check.keys), (Vec::new(), true, report.keys));
    let db = builder(fs).open(path).unwrap();
    let found = contents(&db);
    assert_eq!(found.len() as u64, report.keys);
    db.close().unwrap();
    found
}

/// What a writer of the storm has committed: its keyspace and key, and the value if it has one.
type Told = (Lsn, Vec<(String, Vec<u8>, Option<Vec<u8>>)>);

fn storm(db: &Db, stop: &AtomicBool, told: &Mutex<Vec<Told>>, seed: u64) {
    let mut n = seed;
    while !stop.load(Ordering::Relaxed) {
        let (mut batch, mut ops) = (Batch::new(), Vec::new());
        for engine in EngineKind::ALL {
            n = n.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let keyspace = db.existing_keyspace(engine.name()).unwrap();
            let key = format!("key{}", (n >> 33) % 500).into_bytes();
            let value = (!n.is_multiple_of(5)).then(|| format!("value {n}").into_bytes());
            batch = match &value {
                Some(value) => batch.put_in(&keyspace, &key, value),
                None => batch.delete_in(&keyspace, &key),
            };
            ops.push((engine.name().to_owned(), key, value));
        }
        let receipt = db.batch_with(batch, SyncMode::None).unwrap();
        told.lock().unwrap().push((receipt.lsn, ops));
    }
}

/// What stands there when all through a commit is.
fn model(mut told: Vec<Told>, through: Lsn) -> Contents {
    told.sort_by_key(|(lsn, _)| *lsn);
    let mut contents = Contents::new();
    for (_, ops) in told.into_iter().take_while(|(lsn, _)| *lsn <= through) {
        for (keyspace, key, value) in ops {
            match value {
                Some(value) => contents.insert((keyspace, key), value),
                None => contents.remove(&(keyspace, key)),
            };
        }
    }
    contents
}

#[test]
fn a_backup_in_a_storm_of_writes_is_of_one_commit() {
    let fs = MemFs::new().share();
    let db = builder(&fs).background(Background::Thread).open("db").unwrap();
    engines(&db);
    let (stop, told) = (AtomicBool::new(false), Mutex::new(Vec::new()));
    let reports = std::thread::scope(|scope| {
        for seed in 0..3 {
            let (db, stop, told) = (&db, &stop, &told);
            scope.spawn(move || storm(db, stop, told, seed));
        }
        let mut reports = Vec::new();
        for round in 0..3 {
            while told.lock().unwrap().len() < (round + 1) * 2_000 {
                std::thread::yield_now();
            }
            reports.push(db.backup("backups").unwrap());
        }
        stop.store(true, Ordering::Relaxed);
        reports
    });
    db.close().unwrap();
    assert!(reports.is_sorted_by(|a, b| a.lsn < b.lsn), "{reports:#?}");
    assert_eq!(reports[2].since, Some(reports[1].lsn));
    let told = told.into_inner().unwrap();
    for report in reports {
        let path = format!("copy{}", report.number);
        let found = restored(&fs, &path, Which::Number(report.number));
        assert!(found == model(told.clone(), report.lsn), "backup {}", report.number);
        assert_eq!(found.len() as u64, report.keys);
    }
}

#[test]
fn a_later_backup_holds_what_differs() {
    let fs = MemFs::new().share();
    let db = builder(&fs).open("db").unwrap();
    engines(&db);
    let lsm = db.existing_keyspace("lsm").unwrap();
    for n in 0..100 {
        lsm.put(format!("{n:3}"), "first").unwrap();
    }
    let first = db.backup("backups").unwrap();
    assert_eq!((first.number, first.written, first.gone, first.keyspaces), (1, 100, 0, 4));
    let whole = contents(&db);

    db.compact().unwrap();
    lsm.put("  5", "second").unwrap();
    lsm.delete("  6").unwrap();
    db.put("new", "value").unwrap();
    let second = db.backup("backups").unwrap();
    assert_eq!((second.written, second.gone, second.keys), (2, 1, 100));
    assert_eq!(second.since, Some(first.lsn));
    let changed = contents(&db);

    // A keyspace of the same name is another keyspace.
    db.drop_keyspace("lsm").unwrap();
    let btree = db.keyspace("lsm", KeyspaceOptions::new(EngineKind::Btree)).unwrap();
    btree.put("  5", "third").unwrap();
    let third = db.backup("backups").unwrap();
    assert_eq!((third.written, third.gone, third.keys), (1, 0, 2));
    let nothing = db.backup("backups").unwrap();
    assert_eq!((nothing.written, nothing.parts, nothing.keys), (0, 0, 2));
    let last = contents(&db);

    assert_eq!(restored(&fs, "one", Which::Number(1)), whole);
    assert_eq!(restored(&fs, "two", Which::Number(2)), changed);
    assert_eq!(restored(&fs, "last", Which::Newest), last);
    let copy = builder(&fs).open("last").unwrap();
    let options = copy.existing_keyspace("lsm").unwrap().options();
    assert_eq!(options, KeyspaceOptions::new(EngineKind::Btree));
    let verified = verify_backup(Arc::clone(&fs), "backups").unwrap();
    assert_eq!(verified.iter().map(|it| it.entries).collect::<Vec<_>>(), [100, 3, 1, 0]);

    // The copy is another store: its backups are a chain of their own.
    let error = copy.backup("backups").unwrap_err();
    assert!(matches!(error, Error::NotABackup { .. }), "{error}");
    db.close().unwrap();
    let error = copy.backup("db").unwrap_err();
    assert!(matches!(error, Error::NotABackup { .. }), "{error}");
    let error = builder(&fs).restore("backups", "one", Which::Newest, &mut |_| {}).unwrap_err();
    assert!(matches!(error, Error::InTheWay { .. }), "{error}");
    let error = builder(&fs).restore("backups", "x", Which::Number(9), &mut |_| {}).unwrap_err();
    assert!(matches!(error, Error::NotABackup { .. }), "{error}");
    let error = builder(&fs).restore("db", "x", Which::Newest, &mut |_| {}).unwrap_err();
    assert!(matches!(error, Error::NotABackup { .. }), "{error}");
}

#[test]
fn every_flipped_bit_is_a_typed_error_that_names_the_file() {
    let fs = MemFs::new();
    let share = fs.share();
    let db = builder(&share).open("db").unwrap();
    for n in 0..20 {
        db.put(format!("{n:3}"), "value").unwrap();
    }
    db.backup("backups").unwrap();
    db.put("  1", "other").unwrap();
    db.backup("backups").unwrap();
    db.close().unwrap();
    for name in ["backup", "000001-000001.part", "000002-000001.part"] {
        let path = format!("backups/{name}");
        let len = fs.read(&path).unwrap().len() as u64;
        for at in 0..len {
            let fs = fs.fork();
            fs.rot(&path, at, (at % 8) as u8).unwrap();
            let share = fs.share();
            let error = verify_backup(Arc::clone(&share), "backups").unwrap_err();
            let named =
                matches!(&error, Error::Damaged { path: named, .. } if named.ends_with(name));
            let newer =
                matches!(&error, Error::NewerFormat { path: named, .. } if named.ends_with(name));
            assert!(named || newer, "{name}, byte {at}: {error}");
            if at % 16 == 0 {
                builder(&share).restore("backups", "x", Which::Newest, &mut |_| {}).unwrap_err();
                assert!(fs.look("x").is_none(), "{name}, byte {at}: half a store");
            }
        }
    }
}

#[test]
fn an_entry_larger_than_usual_is_restored() {
    let fs = MemFs::new().share();
    let db = builder(&fs).largest_segment(1 << 20).open("db").unwrap();
    db.put("large", vec![7; 200 << 10]).unwrap();
    db.backup("backups").unwrap();
    assert_eq!(restored(&fs, "copy", Which::Newest), contents(&db));
}
