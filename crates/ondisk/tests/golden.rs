//! The bytes on disk, pinned: what is written today is what was written when the format was made,
//! and files of every version are read.
//!
//! `UPDATE_GOLDENFILES=1` writes the files anew. A file of a version that was released never
//! changes: a new format gets a new version, and new files beside the old.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![expect(clippy::disallowed_methods, reason = "golden files lie beside the test, on a real disk")]

use std::path::PathBuf;

use ondisk::{Background, Batch, Db, EngineKind, KeyspaceOptions, StoreId};
use ondisk_fs::OsFs;
use ondisk_sim::MemFs;

/// Each file of today's version, and where it stands.
const FILES: [(&str, &str); 8] = [
    ("manifest-v2", "db/keyspaces/0/manifest"),
    ("data-v1", "db/keyspaces/0/0000000002.data"),
    ("hint-v1", "db/keyspaces/0/0000000002.hint"),
    ("catalog-v1", "sorted/catalog"),
    ("value-v1", "sorted/keyspaces/1/values/0000000001.value"),
    ("lsm-manifest-v1", "sorted/keyspaces/1/manifest"),
    ("backup-v1", "backups/backup"),
    ("part-v1", "backups/000002-000001.part"),
];
/// Files of versions that are no longer written.
const FORMER: [&str; 1] = ["manifest-v1"];

fn golden(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

/// Two data files; the second has a tombstone, an empty value and an empty key.
fn store() -> MemFs {
    let fs = MemFs::new();
    let id = StoreId(*b"a golden store's");
    let builder = Db::builder().file_system(fs.share()).background(Background::Manual);
    let db = builder.first_segment(16 << 10).store_id(id).open("db").unwrap();
    db.batch(Batch::new().put("alice", "100").put("bob", "30")).unwrap();
    db.checkpoint().unwrap();
    db.backup("backups").unwrap();
    db.batch(Batch::new().put("alice", "70").delete("bob")).unwrap();
    db.batch(Batch::new().put("carol", "").put("", "no name")).unwrap();
    db.checkpoint().unwrap();
    db.backup("backups").unwrap();
    db.close().unwrap();
    sorted(&fs, id);
    fs
}

/// A store with a keyspace of sorted tables: one in the second level, and above it one with a
/// tombstone.
fn sorted(fs: &MemFs, id: StoreId) {
    let builder = Db::builder().file_system(fs.share()).background(Background::Manual);
    let db = builder.first_segment(16 << 10).store_id(id).open("sorted").unwrap();
    let sorted = db.keyspace("sorted", KeyspaceOptions::new(EngineKind::Lsm)).unwrap();
    let batch = Batch::new().put_in(&sorted, "alice", "100").put_in(&sorted, "bob", "30");
    db.batch(batch).unwrap();
    db.compact().unwrap();
    let batch = Batch::new().put_in(&sorted, "alice", "70").delete_in(&sorted, "bob");
    db.batch(batch).unwrap();
    db.checkpoint().unwrap();
    // What looks like a reference to a value file stands in one.
    let mut value = b"\xD1ondisk.value\0\0\0".to_vec();
    value.resize(48, b'v');
    sorted.put("carol", value).unwrap();
    db.close().unwrap();
}

#[test]
fn what_is_written_is_what_was_written() {
    let fs = store();
    let update = std::env::var_os("UPDATE_GOLDENFILES").is_some();
    for (name, path) in FILES {
        let (bytes, file) = (fs.read(path).unwrap(), golden(name));
        if update {
            std::fs::write(&file, &bytes).unwrap();
        }
        assert_eq!(bytes, std::fs::read(&file).unwrap(), "{}", file.display());
    }
}

#[test]
fn files_of_every_version_are_read() {
    let update = std::env::var_os("UPDATE_GOLDENFILES").is_some();
    for name in FILES.map(|(name, _)| name).into_iter().chain(FORMER) {
        let file = golden(name);
        let mut text = String::new();
        ondisk::dump(&OsFs, &file, &mut text).unwrap();
        let expected = file.with_extension("txt");
        if update {
            std::fs::write(&expected, &text).unwrap();
        }
        assert_eq!(text, String::from_utf8(std::fs::read(&expected).unwrap()).unwrap());
    }
}
