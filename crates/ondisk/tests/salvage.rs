//! Salvage: what verifies of a damaged store is copied, what is lost is said, and the store is left
//! as it was.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::{BTreeMap, BTreeSet};

use ondisk::{
    Background, Batch, Builder, Db, EngineKind, Error, KeyspaceOptions, SalvageReport, salvage,
};
use ondisk_fs::{FileSystem, Kind};
use ondisk_sim::MemFs;

type Contents = BTreeMap<(String, Vec<u8>), Vec<u8>>;

fn builder(fs: &MemFs) -> Builder {
    Db::builder()
        .file_system(fs.share())
        .background(Background::Manual)
        .first_segment(16 << 10)
        .largest_segment(64 << 10)
}

/// A store of all engines that was not closed: some commits in engines, some in the log alone.
fn store() -> (MemFs, Contents, BTreeSet<Vec<u8>>) {
    let fs = MemFs::new();
    let db = builder(&fs).open("db").unwrap();
    let keyspaces: Vec<_> = EngineKind::ALL
        .into_iter()
        .map(|engine| db.keyspace(engine.name(), KeyspaceOptions::new(engine)).unwrap())
        .collect();
    let mut once = BTreeSet::new();
    for round in 0..4 {
        for n in 0..30 {
            let mut batch = Batch::new();
            for keyspace in &keyspaces {
                let value = format!("value {round} of {n} {}", "x".repeat(50)).into_bytes();
                let key = format!("key{n:3}");
                batch = if (n + round) % 7 == 0 {
                    batch.delete_in(keyspace, key)
                } else {
                    batch.put_in(keyspace, key, &value)
                };
                once.insert(value);
            }
            db.batch(batch).unwrap();
        }
        if round < 3 {
            db.checkpoint().unwrap();
        }
    }
    keyspaces[1].put("large", vec![7; 70 << 10]).unwrap();
    once.insert(vec![7; 70 << 10]);
    let contents = contents(&db);
    (fs.fork(), contents, once)
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

/// All files of the store.
fn files(fs: &MemFs) -> BTreeMap<String, Vec<u8>> {
    let (mut found, mut left) = (BTreeMap::new(), vec!["db".to_owned()]);
    while let Some(dir) = left.pop() {
        for entry in fs.list(dir.as_ref()).unwrap() {
            let path = format!("{dir}/{}", entry.name.to_str().unwrap());
            match entry.kind {
                Kind::Dir => left.push(path),
                _ => drop(found.insert(path.clone(), fs.read(&path).unwrap())),
            }
        }
    }
    found
}

fn salvaged(fs: &MemFs) -> (SalvageReport, Contents) {
    let before = files(fs);
    let report = salvage(fs.share(), "db", "out").unwrap();
    assert!(before == files(fs), "the damaged store was written to");
    let check = ondisk::check(fs.share(), "out").unwrap();
    assert_eq!(check.findings, []);
    let db = builder(fs).open("out").unwrap();
    let found = contents(&db);
    let keys = report.keyspaces.iter().map(|it| it.keys).sum::<u64>();
    assert_eq!(found.len() as u64, keys);
    (report, found)
}

#[test]
fn a_whole_store_is_copied_whole() {
    let (fs, contents, _) = store();
    let (report, found) = salvaged(&fs);
    assert_eq!(report.lost, []);
    assert!(found == contents);
    let again = salvage(fs.share(), "db", "out").unwrap_err();
    assert!(matches!(again, Error::InTheWay { .. }), "{again}");
    let none = salvage(fs.share(), "nothing", "other").unwrap_err();
    assert!(matches!(none, Error::NotAStore { .. }), "{none}");
    let db = builder(&fs).open("db").unwrap();
    let locked = salvage(fs.share(), "db", "other").unwrap_err();
    assert!(matches!(locked, Error::Locked { .. }), "{locked}");
    drop(db);
}

#[test]
fn without_anchor_or_catalog_nothing_but_names_is_lost() {
    let (fs, contents, _) = store();
    fs.remove("db/log/anchor".as_ref()).unwrap();
    let (report, found) = salvaged(&fs);
    assert!(found == contents);
    assert!(report.lost.iter().any(|lost| lost.path.ends_with("anchor")), "{report:#?}");
    let (fs, contents, _) = store();
    fs.remove("db/catalog".as_ref()).unwrap();
    let (report, found) = salvaged(&fs);
    assert!(report.lost.iter().any(|lost| lost.path.ends_with("catalog")), "{report:#?}");
    let values = |contents: &Contents| contents.values().cloned().collect::<Vec<_>>();
    let sorted = |mut values: Vec<Vec<u8>>| {
        values.sort();
        values
    };
    assert!(sorted(values(&found)) == sorted(values(&contents)));
}

/// Every file, a block of zeros or a flipped bit at many places: what is copied was written once,
/// what is lost is said, and keyspaces that are whole are copied whole.
#[test]
fn whatever_is_damaged_the_rest_is_copied() {
    let (fs, contents, once) = store();
    let (mut runs, mut lossy) = (0, 0);
    for (path, bytes) in files(&fs) {
        if path.ends_with("LOCK") || path.ends_with("reserve") {
            continue;
        }
        let places = [0, 9, 70, 200, 4096, 4100, 8200, 9000, bytes.len().saturating_sub(3)];
        for at in places.into_iter().filter(|at| *at < bytes.len()) {
            let fs = fs.fork();
            fs.rot(&path, at as u64, u8::try_from(at % 8).unwrap()).unwrap();
            let (report, found) = salvaged(&fs);
            runs += 1;
            for (key, value) in &found {
                assert!(once.contains(value), "{path}, byte {at}: {key:?} was never that");
            }
            let missing = contents.iter().filter(|(key, value)| found.get(*key) != Some(*value));
            let (missing, more) = (missing.count(), found.len().saturating_sub(contents.len()));
            let names = path == "db/catalog";
            assert!(
                names || missing == 0 && more == 0 || !report.lost.is_empty(),
                "{path}, byte {at}: {missing} entries are missing, and nobody said so"
            );
            lossy += u32::from(missing > 0);
            for whole in report.keyspaces.iter().filter(|_| path.starts_with("db/keyspaces")) {
                if whole.lost == 0 {
                    let of = |from: &Contents| -> Contents {
                        let own = from.iter().filter(|((name, _), _)| *name == whole.name);
                        own.map(|(key, value)| (key.clone(), value.clone())).collect()
                    };
                    assert!(of(&found) == of(&contents), "{path}, byte {at}: {}", whole.name);
                }
            }
        }
    }
    println!("{runs} damaged stores, {lossy} of which lost something");
    assert!(runs > 60 && lossy > 5, "{runs} {lossy}");
}

#[test]
fn a_damaged_keyspace_leaves_the_others_readable() {
    let (fs, contents, _) = store();
    let db = builder(&fs).open("db").unwrap();
    db.close().unwrap();
    let manifest = files(&fs)
        .into_keys()
        .find(|path| path.starts_with("db/keyspaces/1/") && path.contains("manifest"));
    fs.rot(manifest.unwrap(), 20, 1).unwrap();
    let reader = builder(&fs).open_reader("db").unwrap();
    let damaged: Vec<_> = reader.damaged().iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(damaged, ["bitcask"]);
    let error = reader.get_in("bitcask", "key  1").unwrap_err();
    assert!(matches!(&error, Error::KeyspaceDamaged { name, .. } if name == "bitcask"), "{error}");
    assert!(error.is_damage());
    for name in ["lsm", "btree"] {
        let count = contents.keys().filter(|(keyspace, _)| keyspace == name).count();
        assert_eq!(reader.range_in(name, ..).unwrap().count(), count);
    }
    // Half a backup is none.
    let error = reader.backup("backups", &mut |_| {}).unwrap_err();
    assert!(matches!(error, Error::KeyspaceDamaged { .. }), "{error}");
    builder(&fs).open("db").unwrap_err();
}
