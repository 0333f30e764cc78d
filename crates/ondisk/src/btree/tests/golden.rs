//! The bytes on disk, pinned: what is written today is what was written when the format was made.
//!
//! `UPDATE_GOLDENFILES=1` writes the files anew. A file of a version that was released never
//! changes: a new format gets a new version, and new files beside the old.
#![expect(clippy::disallowed_methods, reason = "golden files lie beside the tests, on a real disk")]

use super::*;

fn golden(name: &str) -> std::path::PathBuf {
    std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

/// A tree of a branch and leaves, with a value of its own pages, an empty key and an empty value.
fn pages() -> Vec<u8> {
    let (fs, readers) = (MemFs::new(), Readers::default());
    let golden = Site { store: StoreId(*b"a golden store's"), ..site(&fs, 1024, None) };
    let engine = open(golden).unwrap();
    let people = ["alice", "bob", "carol", "dave", "erin", "frank"];
    let first = people.map(|name| (name.into(), Some(vec![name.as_bytes()[0]; 240])));
    checkpoint(&engine, &first.into_iter().collect(), 6, &readers).unwrap();
    let second = Changes::from([
        (b"".to_vec(), Some(b"no name".to_vec())),
        (b"bob".to_vec(), None),
        (b"carl".to_vec(), Some(b"".to_vec())),
        (b"grace".to_vec(), Some(vec![b'G'; 1500])),
    ]);
    checkpoint(&engine, &second, 9, &readers).unwrap();
    let (used, free) = engine.stats().pages.unwrap();
    let mut bytes = fs.read("tree/pages").unwrap();
    bytes.truncate(usize::try_from(8 + used + free).unwrap() * 1024); // without what it has grown ahead
    bytes
}

#[test]
fn what_is_written_is_what_was_written() {
    let (bytes, file) = (pages(), golden("pages-v1"));
    let update = std::env::var_os("UPDATE_GOLDENFILES").is_some();
    if update {
        std::fs::write(&file, &bytes).unwrap();
    }
    assert!(bytes == std::fs::read(&file).unwrap(), "{}", file.display());
    let mut text = String::new();
    crate::dump(&ondisk_fs::OsFs, &file, &mut text).unwrap();
    let expected = golden("pages-v1.txt");
    if update {
        std::fs::write(&expected, &text).unwrap();
    }
    assert_eq!(text, String::from_utf8(std::fs::read(&expected).unwrap()).unwrap());
}
