//! What is no store is refused and left as it was; what is damaged says where.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::Path;
use std::sync::Arc;

use ondisk::{Background, Batch, Builder, Create, Db, Error, SyncMode, check};
use ondisk_fs::{Access, FileSystem, OsFs};
use ondisk_sim::{Image, MemFs};

fn builder(fs: &MemFs) -> Builder {
    Db::builder()
        .file_system(fs.share())
        .background(Background::Manual)
        .first_segment(16 << 10)
        .largest_segment(32 << 10)
}

/// Tries every way to open a path, and sees that nothing changes; the error of the writer.
fn refused(fs: &MemFs, path: &str) -> Error {
    let before = fs.image();
    let error = builder(fs).open(path).unwrap_err();
    // A reader opens what is whole, and says what is not.
    assert!(builder(fs).open_reader(path).map_or(true, |reader| !reader.damaged().is_empty()));
    assert!(fs.image() == before, "{error}");
    error
}

fn write(fs: &MemFs, path: &str, bytes: &[u8]) {
    fs.remove(Path::new(path)).ok();
    fs.create_new(Path::new(path)).unwrap().write_all_at(bytes, 0).unwrap();
}

#[test]
fn what_is_no_store_is_left_as_it_was() {
    let image = Image::new()
        .file("notes.txt", "hello")
        .file("dir/notes.txt", "hello")
        .file("lost/keyspaces/0/manifest", "of a log that is gone");
    let fs = MemFs::from_image(&image);
    for path in ["notes.txt", "dir", "lost"] {
        let error = refused(&fs, path);
        assert!(matches!(error, Error::NotAStore { .. }), "{path}: {error}");
        assert!(matches!(check(fs.share(), path), Err(Error::NotAStore { .. })));
    }
    for path in ["absent", "empty"] {
        fs.create_dir(Path::new("empty")).ok();
        let error = builder(&fs).create(Create::Never).open(path).unwrap_err();
        assert!(matches!(error, Error::NotAStore { .. }), "{path}: {error}");
        assert!(matches!(builder(&fs).open_reader(path), Err(Error::NotAStore { .. })));
        assert!(matches!(check(fs.share(), path), Err(Error::NotAStore { .. })));
    }
    assert!(fs.look("absent").is_none() && fs.look("empty/LOCK").is_none());
    builder(&fs).open("absent").unwrap();
    builder(&fs).open("empty").unwrap();
    // The parent is not ours to make.
    assert!(matches!(builder(&fs).open("no/parent"), Err(Error::Io { .. })));
}

#[test]
fn a_store_is_open_once() {
    let fs = MemFs::new();
    let db = builder(&fs).open("db").unwrap();
    for error in [
        builder(&fs).open("db").map(drop).unwrap_err(),
        check(fs.share(), "db").map(drop).unwrap_err(),
    ] {
        assert!(matches!(error, Error::Locked { .. }), "{error}");
    }
    drop(builder(&fs).open_reader("db").unwrap()); // a reader may come in beside it
    let clone = db.clone();
    db.close().unwrap();
    clone.close().unwrap();
    assert!(matches!(clone.get("key"), Err(Error::Closed)));
    assert!(matches!(clone.put("key", "value"), Err(Error::Closed)));
    assert!(matches!(clone.range(..).map(drop), Err(Error::Closed)));
    assert!(matches!(clone.sync(), Err(Error::Closed)));
    assert!(matches!(clone.checkpoint(), Err(Error::Closed)));
    assert!(matches!(clone.step(), Err(Error::Closed)));
    let one = builder(&fs).open_reader("db").unwrap();
    let two = builder(&fs).open_reader("db").unwrap();
    assert!(matches!(builder(&fs).open("db"), Err(Error::Locked { .. })));
    drop((one, two));
    builder(&fs).open("db").unwrap();
}

#[test]
fn limits_are_said() {
    let fs = MemFs::new();
    let db = builder(&fs).open("db").unwrap();
    let error = db.put(vec![1; 5000], "value").unwrap_err();
    let Error::KeyTooLarge { len: 5000, limit } = error else { panic!("{error}") };
    db.put(vec![1; limit], "value").unwrap();
    assert!(matches!(db.delete(vec![1; limit + 1]), Err(Error::KeyTooLarge { .. })));
    let error = db.put("key", vec![1; 9000]).unwrap_err();
    let Error::ValueTooLarge { len: 9000, limit } = error else { panic!("{error}") };
    db.put("key", vec![1; limit]).unwrap();
    assert!(matches!(db.put("key", vec![1; limit + 1]), Err(Error::ValueTooLarge { .. })));
    let batch = (0..100).fold(Batch::new(), |batch, n| batch.put([n], vec![n; 100]));
    assert!(matches!(db.batch(batch), Err(Error::BatchTooLarge { .. })));
    assert_eq!(db.stats().acknowledged.0, 2, "what is refused gets no LSN");
    let default = MemFs::new();
    let db = Db::builder().file_system(default.share()).background(Background::Manual);
    let error = db.open("db").unwrap().put(vec![1; (64 << 10) + 1], "value").unwrap_err();
    assert!(matches!(error, Error::KeyTooLarge { limit: 65536, .. }), "{error}");
}

/// A closed store with keys in a data file and in the log.
fn closed_store() -> MemFs {
    let fs = MemFs::new();
    let db = builder(&fs).open("db").unwrap();
    db.put("old", "in a data file").unwrap();
    db.put("gone", "soon").unwrap();
    db.checkpoint().unwrap();
    db.put("young", "in the log").unwrap();
    db.delete("gone").unwrap();
    db.close().unwrap();
    fs
}

const FILES: [&str; 4] = [
    "db/log/anchor",
    "db/log/0000000001.log",
    "db/keyspaces/0/manifest",
    "db/keyspaces/0/0000000001.data",
];

#[test]
fn every_file_that_is_missing_is_noticed() {
    for path in FILES {
        let fs = closed_store();
        fs.remove(Path::new(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
        let error = refused(&fs, "db");
        assert!(error.is_damage(), "{path}: {error}");
        let report = check(fs.share(), "db").unwrap();
        assert!(!report.findings.is_empty(), "{path}");
    }
}

#[test]
fn every_flipped_bit_of_a_closed_store_is_noticed() {
    for path in ["db/catalog", "db/keyspaces/0/manifest", "db/keyspaces/0/0000000001.data"] {
        let fs = closed_store().settled();
        for bit in 0..fs.read(path).unwrap().len() as u64 * 8 {
            let flipped = fs.fork();
            flipped.rot(path, bit / 8, u8::try_from(bit % 8).unwrap()).unwrap();
            let report = check(flipped.share(), "db").unwrap();
            assert!(!report.findings.is_empty(), "{path}, bit {bit}");
            assert!(report.findings[0].path == Path::new(path), "{path}, bit {bit}");
        }
    }
}

#[test]
fn a_file_with_its_former_content_is_noticed() {
    let fs = MemFs::new();
    let db = builder(&fs).open("db").unwrap();
    db.put("key", "one").unwrap();
    db.checkpoint().unwrap();
    let path = "db/keyspaces/0/manifest";
    let former = fs.read(path).unwrap();
    db.put("key", "two").unwrap();
    db.checkpoint().unwrap();
    db.close().unwrap();
    write(&fs, path, &former);
    let error = refused(&fs, "db");
    assert!(error.is_damage(), "{error}");
}

#[test]
fn a_newer_format_is_told_from_damage() {
    for path in ["db/catalog", "db/keyspaces/0/manifest", "db/keyspaces/0/0000000001.data"] {
        let fs = closed_store();
        let mut bytes = fs.read(path).unwrap();
        let head = if path.ends_with("data") { 64 } else { bytes.len() };
        bytes[12] = 99;
        let sum = crc_fast::crc32_iscsi(&bytes[12..head]);
        bytes[8..12].copy_from_slice(&sum.to_le_bytes());
        write(&fs, path, &bytes);
        let error = refused(&fs, "db");
        assert!(matches!(error, Error::NewerFormat { found: 99, .. }), "{error}");
        assert!(matches!(check(fs.share(), "db"), Err(Error::NewerFormat { .. })));
    }
}

#[test]
fn every_file_is_shown_as_text() {
    let fs = closed_store();
    let dumped = FILES.map(|path| {
        let mut text = String::new();
        ondisk::dump(&fs, path, &mut text).unwrap();
        text
    });
    assert!(dumped[0].starts_with("anchor of store "), "{}", dumped[0]);
    assert!(dumped[1].starts_with("segment "), "{}", dumped[1]);
    assert!(dumped[2].starts_with("manifest of keyspace 0, engine bitcask"), "{}", dumped[2]);
    assert!(dumped[3].contains("put old (14 bytes)"), "{}", dumped[3]);
    write(&fs, "notes.txt", b"hello");
    let error = ondisk::dump(&fs, "notes.txt", &mut String::new()).unwrap_err();
    assert!(matches!(error, Error::NotAFile { .. }), "{error}");
    for path in FILES {
        // Whatever the bytes are, they are shown or refused.
        let bytes = fs.read(path).unwrap();
        for cut in [0, 7, 8, 63, bytes.len() / 2] {
            write(&fs, "cut", &bytes[..cut.min(bytes.len())]);
            ondisk::dump(&fs, "cut", &mut String::new()).ok();
        }
    }
}

/// An open that commits nothing writes nothing, once the store was closed.
#[test]
fn a_closed_store_is_opened_without_a_write() {
    let fs = closed_store();
    let mut before = fs.image();
    let db = builder(&fs).open("db").unwrap();
    assert!(db.recovery().was_closed);
    assert_eq!(db.get("old").unwrap().as_deref(), Some(&b"in a data file"[..]));
    assert_eq!(db.get("gone").unwrap(), None);
    db.close().unwrap();
    let mut after = fs.image();
    for image in [&mut before, &mut after] {
        image.bytes_mut("db/LOCK").unwrap().clear();
    }
    assert!(before == after);
}

#[test]
fn many_threads_on_a_real_disk() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("db");
    let open = || {
        Db::builder()
            .first_segment(1 << 16)
            .largest_segment(1 << 18)
            .young_budget(1 << 18)
            .open(&path)
    };
    let db = open().unwrap();
    let threads: Vec<_> = (0..4_u8)
        .map(|thread| {
            let db = db.clone();
            std::thread::Builder::new().spawn(move || {
                for n in 0..400_u32 {
                    let modes = [SyncMode::None, SyncMode::Sync, "batch:10,1ms".parse().unwrap()];
                    let (key, mode) = (format!("{thread}/{:03}", n % 100), modes[n as usize % 3]);
                    let batch = Batch::new()
                        .put(&key, n.to_be_bytes())
                        .put(format!("{key}'"), n.to_be_bytes());
                    db.batch_with(batch, mode).unwrap();
                    assert_eq!(db.get(&key).unwrap().as_deref(), Some(&n.to_be_bytes()[..]));
                    if n % 100 == 50 {
                        // Both keys of a batch, or neither, in every walk.
                        let all: Vec<_> = db.range(..).unwrap().map(|it| it.unwrap()).collect();
                        assert!(all.chunks(2).all(|pair| pair[0].1 == pair[1].1));
                    }
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.unwrap().join().unwrap());
    let stats = db.stats();
    assert!(stats.checkpoints > 0 && stats.failure.is_none(), "{stats:?}");
    let before: Vec<_> = db.range(..).unwrap().map(|entry| entry.unwrap()).collect();
    assert_eq!(before.len(), 800);
    drop(db); // the last handle closes
    assert!(check(std::sync::Arc::new(OsFs), &path).unwrap().findings.is_empty());
    let db = open().unwrap();
    assert!(db.recovery().was_closed);
    assert_eq!(db.range(..).unwrap().map(|entry| entry.unwrap()).collect::<Vec<_>>(), before);
}

/// With a delay, the worker makes a commit durable that no other commit follows; without one it
/// does when the store has been idle.
#[test]
fn the_worker_makes_the_last_commit_durable() {
    for mode in ["batch:100,1ms", "batch:100", "none"] {
        let fs = MemFs::new();
        let db = Db::builder().file_system(fs.share()).first_segment(16 << 10).open("db").unwrap();
        for _ in 0..2 {
            let receipt = db.put_with("key", "value", mode.parse().unwrap()).unwrap();
            while db.stats().durable < receipt.lsn {
                std::thread::yield_now(); // for ever, when it never does
            }
        }
    }
}

#[test]
fn a_reader_works_in_a_copy_without_a_lock() {
    let fs = closed_store();
    fs.remove(Path::new("db/LOCK")).unwrap();
    let reader = builder(&fs).open_reader("db").unwrap();
    assert_eq!(reader.get("young").unwrap().as_deref(), Some(&b"in the log"[..]));
    assert_eq!(reader.range(..).unwrap().count(), 2);
    assert!(fs.look("db/LOCK").is_none());
    let fs: Arc<dyn FileSystem> = fs.share();
    assert!(fs.open(Path::new("db/LOCK"), Access::Read).is_err());
}
