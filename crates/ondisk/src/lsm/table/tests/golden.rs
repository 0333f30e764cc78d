//! The bytes of a table, pinned: what is written today is what was written when the format was
//! made, and the file of that day is read. (A newer packer may pack otherwise: then this file stays
//! for reading, and one without packed blocks is compared.) `UPDATE_GOLDENFILES=1` writes anew.
#![expect(clippy::disallowed_methods, reason = "golden files lie beside the tests, on a real disk")]

use ondisk_fs::OsFs;

use super::*;
use crate::lsm::table::dump::dump;

fn golden(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

/// An empty key, an empty value, a tombstone, and in a block alone what LZ4 makes short.
fn entries() -> Model {
    let entry = |key: &str, lsn, value: Option<&str>| {
        (key.into(), (Lsn(lsn), value.map(|value| value.into())))
    };
    Model::from([
        entry("", 3, Some("no name")),
        entry("alice", 2, Some("70")),
        entry("alien", 4, Some("")),
        entry("alina", 4, Some("the quick brown fox")),
        entry("bob", 2, None),
        entry("carol", 3, Some(&"0123456789".repeat(10))),
    ])
}

#[test]
fn what_is_written_is_what_was_written() {
    let fs = shelf();
    let site = Site { store: StoreId(*b"a golden store's"), keyspace: 1, ..site(&fs, 0) };
    write(&site, 2, TableOptions { block: 100, ..TableOptions::of(&site) }, &entries());
    let (bytes, file) = (fs.read("db/0000000002.table").unwrap(), golden("table-v1"));
    if std::env::var_os("UPDATE_GOLDENFILES").is_some() {
        std::fs::write(&file, &bytes).unwrap();
    }
    assert_eq!(bytes, std::fs::read(&file).unwrap(), "{}", file.display());
}

#[test]
fn files_of_every_version_are_read() {
    let file = golden("table-v1");
    let mut text = String::new();
    dump(&OsFs, &file, &mut text).unwrap();
    let expected = file.with_extension("txt");
    if std::env::var_os("UPDATE_GOLDENFILES").is_some() {
        std::fs::write(&expected, &text).unwrap();
    }
    assert_eq!(text, std::fs::read_to_string(&expected).unwrap());
}
