//! Several keyspaces, of several engines, in one store.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use ondisk::{At, Background, Batch, Builder, Db, EngineKind, Error, KeyspaceOptions, SyncMode};
use ondisk_fs::FileSystem;
use ondisk_sim::MemFs;

fn builder(fs: &MemFs) -> Builder {
    Db::builder()
        .file_system(fs.share())
        .background(Background::Manual)
        .first_segment(16 << 10)
        .largest_segment(64 << 10)
        .young_budget(30_000)
}

fn keys(range: ondisk::Range) -> Vec<String> {
    range.map(|it| String::from_utf8(it.unwrap().0.to_vec()).unwrap()).collect()
}

#[test]
fn a_commit_over_engines_is_one() {
    let fs = MemFs::new();
    let db = builder(&fs).open("db").unwrap();
    let made: Vec<_> = EngineKind::ALL
        .into_iter()
        .map(|engine| db.keyspace(engine.name(), KeyspaceOptions::new(engine)).unwrap())
        .collect();
    for n in 0..200 {
        let key = format!("key{:03}", n % 70);
        let batch = made.iter().fold(Batch::new().put(&key, "0"), |batch, it| {
            if n % 7 == 3 { batch.delete_in(it, &key) } else { batch.put_in(it, &key, [n; 300]) }
        });
        db.batch(batch).unwrap();
        if n % 50 == 20 {
            db.compact().unwrap();
        }
    }
    let expected = keys(made[0].range(..).unwrap());
    for keyspace in &made {
        assert_eq!(keys(keyspace.range(..).unwrap()), expected);
        let mut backward = keyspace.range(..).unwrap().rev().map(|it| it.unwrap().0.to_vec());
        let last = backward.next().unwrap();
        assert_eq!(Some(last.as_slice()), expected.last().map(String::as_bytes));
        assert_eq!(backward.count() + 1, expected.len());
    }
    db.close().unwrap();
    let db = builder(&fs).open("db").unwrap();
    for engine in EngineKind::ALL {
        let keyspace = db.existing_keyspace(engine.name()).unwrap();
        assert_eq!(keyspace.options().engine, engine);
        assert_eq!(keys(keyspace.range(..).unwrap()), expected);
    }
    assert_eq!(db.keyspaces().unwrap().len(), 4);
    drop(db);
    assert_eq!(ondisk::check(fs.share(), "db").unwrap().findings, []);
}

#[test]
fn a_snapshot_stays_as_it_was() {
    let fs = MemFs::new();
    let db = builder(&fs).open("db").unwrap();
    for engine in EngineKind::ALL {
        let keyspace = db.keyspace(engine.name(), KeyspaceOptions::new(engine)).unwrap();
        for n in 0..40 {
            keyspace.put(format!("key{n:02}"), [n; 500]).unwrap();
        }
        db.checkpoint().unwrap();
        keyspace.put("young", "1").unwrap();
        let snapshot = db.snapshot().unwrap();
        let before: Vec<_> =
            snapshot.range_in(&keyspace, ..).unwrap().map(Result::unwrap).collect();
        assert_eq!(before.len(), 41);
        for n in 0..60 {
            keyspace.delete(format!("key{:02}", n % 45)).unwrap();
            keyspace.put(format!("later{n:02}"), [n; 900]).unwrap();
            if n % 20 == 0 {
                db.compact().unwrap();
            }
        }
        let after: Vec<_> = snapshot.range_in(&keyspace, ..).unwrap().map(Result::unwrap).collect();
        assert_eq!(before, after, "{engine}");
        assert_eq!(snapshot.get_in(&keyspace, "key07").unwrap().as_deref(), Some(&[7; 500][..]));
        assert_eq!(db.stats().oldest_snapshot, Some(snapshot.lsn()));
    }
    assert_eq!(db.stats().oldest_snapshot, None);
}

#[test]
fn a_durable_snapshot_sees_what_no_cut_takes() {
    let fs = MemFs::new();
    let db = builder(&fs).sync(SyncMode::None).open("db").unwrap();
    db.put("a", "1").unwrap();
    db.sync().unwrap();
    db.put("b", "2").unwrap();
    assert_eq!(keys(db.snapshot_at(At::Durable).unwrap().range(..).unwrap()), ["a"]);
    assert_eq!(keys(db.snapshot().unwrap().range(..).unwrap()), ["a", "b"]);
}

#[test]
fn a_dropped_keyspace_gives_its_space_back() {
    let fs = MemFs::new();
    let db = builder(&fs).open("db").unwrap();
    let options = KeyspaceOptions::new(EngineKind::Bitcask);
    let first = db.keyspace("name", options).unwrap();
    first.put("key", "value").unwrap();
    db.checkpoint().unwrap();
    assert!(fs.list("db/keyspaces/1".as_ref()).is_ok());
    let other = KeyspaceOptions::new(EngineKind::Lsm);
    assert!(matches!(db.keyspace("name", other), Err(Error::OtherOptions { .. })));
    db.drop_keyspace("name").unwrap();
    assert!(matches!(first.put("key", "value"), Err(Error::KeyspaceDropped { .. })));
    assert!(matches!(db.existing_keyspace("name"), Err(Error::NoKeyspace { .. })));
    assert!(matches!(db.drop_keyspace("default"), Err(Error::DefaultKeyspace)));
    let second = db.keyspace("name", other).unwrap();
    assert_eq!(second.get("key").unwrap(), None);
    drop(first);
    db.put("x", "y").unwrap();
    db.checkpoint().unwrap();
    assert!(fs.list("db/keyspaces/1".as_ref()).is_err());
    db.close().unwrap();
    let db = builder(&fs).open("db").unwrap();
    assert_eq!(db.existing_keyspace("name").unwrap().options(), other);
}

/// One idle keyspace with one record does not pin the log.
#[test]
fn an_idle_keyspace_pins_no_log() {
    let fs = MemFs::new();
    let db = builder(&fs).sync(SyncMode::None).open("db").unwrap();
    let idle = db.keyspace("idle", KeyspaceOptions::new(EngineKind::Lsm)).unwrap();
    idle.put("only", "record").unwrap();
    for n in 0..2000_u32 {
        db.put((n % 100).to_le_bytes(), [7; 1000]).unwrap();
        while db.step().unwrap() == ondisk::Step::Working {}
        let log = db.stats().log;
        assert!(log.bytes <= log.budget, "{log:?}");
    }
    assert_eq!(idle.get("only").unwrap().as_deref(), Some(&b"record"[..]));
}

/// A reader beside a writer sees what was durable, and keeps it.
#[test]
fn a_reader_beside_a_writer_pins_what_it_reads() {
    for engine in EngineKind::ALL {
        let fs = MemFs::new();
        let db = builder(&fs).open("db").unwrap();
        let keyspace = db.keyspace("k", KeyspaceOptions::new(engine)).unwrap();
        for n in 0..30 {
            keyspace.put(format!("key{n:02}"), [n; 700]).unwrap();
            if n % 10 == 5 {
                db.checkpoint().unwrap();
            }
        }
        db.idle_step().unwrap();
        keyspace.put_with("late", "perhaps", SyncMode::None).unwrap();
        let reader = Db::builder().file_system(fs.share()).open_reader("db").unwrap();
        assert_eq!(reader.get_in("k", "late").unwrap(), None);
        for round in 0..4 {
            for n in 0..30 {
                keyspace.put(format!("key{n:02}"), [round; 900]).unwrap();
            }
            db.compact().unwrap();
        }
        for n in 0..30 {
            let found = reader.get_in("k", format!("key{n:02}")).unwrap();
            assert_eq!(found.as_deref(), Some(&[n; 700][..]), "{engine}");
        }
        let all: Vec<_> = reader.range_in("k", ..).unwrap().map(Result::unwrap).collect();
        assert_eq!(all.len(), 30);
        drop(reader);
        db.compact().unwrap();
        assert_eq!(fs.list("db/readers".as_ref()).unwrap(), []);
        let later = Db::builder().file_system(fs.share()).open_reader("db").unwrap();
        assert_eq!(later.get_in("k", "key00").unwrap().as_deref(), Some(&[3; 900][..]));
    }
}

/// On a full disk the reserve lets what is there be deleted, and the space comes back.
#[test]
fn a_full_disk_lets_go_of_its_reserve() {
    let fs = MemFs::new();
    let db = builder(&fs).open("db").unwrap();
    while db.step().unwrap() == ondisk::Step::Working {}
    assert!(fs.read("db/reserve").is_ok());
    fs.set_capacity(Some(fs.used() + 800_000));
    let mut written = 0_u32;
    let full = loop {
        match db.put(written.to_le_bytes(), [7; 3000]) {
            Ok(_) => written += 1,
            Err(error) => break error,
        }
    };
    assert!(full.is_full(), "{full}");
    assert!(fs.read("db/reserve").is_ok(), "no write that grows the store takes it");
    let all = (0..written).fold(Batch::new(), |batch, n| batch.delete(n.to_le_bytes()));
    db.batch(all).unwrap();
    assert!(fs.read("db/reserve").is_err());
    db.compact().unwrap();
    db.put("again", [1; 3000]).unwrap();
    assert_eq!(db.range(..).unwrap().count(), 1);
}
