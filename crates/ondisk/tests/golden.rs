//! The bytes on disk, pinned: what is written today is what was written when the format was made,
//! and files of every version are read.
//!
//! `UPDATE_GOLDENFILES=1` writes the files anew. A file of a version that was released never
//! changes: a new format gets a new version, and new files beside the old.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![expect(clippy::disallowed_methods, reason = "golden files lie beside the test, on a real disk")]

use std::path::PathBuf;

use ondisk::{Background, Batch, Db, StoreId};
use ondisk_fs::OsFs;
use ondisk_sim::MemFs;

const VERSIONS: [u32; 1] = [1];
const FILES: [(&str, &str); 2] =
    [("manifest", "db/keyspaces/0/manifest"), ("data", "db/keyspaces/0/0000000002.data")];

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
    db.batch(Batch::new().put("alice", "70").delete("bob")).unwrap();
    db.batch(Batch::new().put("carol", "").put("", "no name")).unwrap();
    db.checkpoint().unwrap();
    db.close().unwrap();
    fs
}

#[test]
fn what_is_written_is_what_was_written() {
    let fs = store();
    let update = std::env::var_os("UPDATE_GOLDENFILES").is_some();
    for (name, path) in FILES {
        let (bytes, version) = (fs.read(path).unwrap(), VERSIONS[VERSIONS.len() - 1]);
        let file = golden(&format!("{name}-v{version}"));
        if update {
            std::fs::write(&file, &bytes).unwrap();
        }
        assert_eq!(bytes, std::fs::read(&file).unwrap(), "{}", file.display());
    }
}

#[test]
fn files_of_every_version_are_read() {
    let update = std::env::var_os("UPDATE_GOLDENFILES").is_some();
    for version in VERSIONS {
        for (name, _) in FILES {
            let file = golden(&format!("{name}-v{version}"));
            let mut text = String::new();
            ondisk::dump(&OsFs, &file, &mut text).unwrap();
            let expected = file.with_extension("txt");
            if update {
                std::fs::write(&expected, &text).unwrap();
            }
            assert_eq!(text, String::from_utf8(std::fs::read(&expected).unwrap()).unwrap());
        }
    }
}
