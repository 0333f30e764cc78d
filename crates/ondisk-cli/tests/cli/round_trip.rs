//! What goes in comes out: through arguments, through lines, and through JSON.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use crate::harness::{Scratch, Seeded, files, ondisk, ondisk_reading};

#[test]
fn a_value_is_put_read_and_deleted() {
    let scratch = Scratch::new();
    let db = &scratch.db();
    let receipt = ondisk(["put", db, "42", "The Hitchhiker"]).fine();
    assert_eq!(receipt.lines().count(), 1);
    assert!(receipt.contains("(commit 1)"), "{receipt}");
    assert_eq!(ondisk(["get", db, "42"]).fine(), "The Hitchhiker\n");
    assert_eq!(ondisk(["get", db, "42", "--raw"]).fine(), "The Hitchhiker");
    ondisk(["delete", db, "42"]).fine();
    let said = ondisk(["get", db, "42"]).expect(1, &["there is no key 42"]);
    assert_eq!(said.out, "");
    assert_eq!(ondisk(["scan", db]).fine(), "");
}

#[test]
fn negative_numbers_and_empty_values_are_values() {
    let scratch = Scratch::new();
    let db = &scratch.db();
    ondisk(["put", db, "-1", "-273.15"]).fine();
    ondisk(["put", db, "empty", ""]).fine();
    assert_eq!(ondisk(["get", db, "-1"]).fine(), "-273.15\n");
    assert_eq!(ondisk(["get", db, "empty"]).fine(), "\n");
}

#[test]
fn an_empty_directory_becomes_a_store() {
    let scratch = Scratch::new();
    let db = &scratch.db();
    std::fs::create_dir(db).unwrap();
    ondisk(["put", db, "k", "v"]).fine();
    assert_eq!(ondisk(["scan", db]).fine(), "k\tv\n");
}

#[test]
fn odd_bytes_go_through_arguments_and_lines() {
    let scratch = Scratch::new();
    let db = scratch.db();
    let odd: &[u8] = b"tab\there\nand\\ \xff";
    let args = [b"put", db.as_bytes(), odd, odd].map(OsStr::from_bytes);
    ondisk(args).fine();
    let line = r"tab\there\nand\\ \xff";
    assert_eq!(ondisk(["scan", &db]).fine(), format!("{line}\t{line}\n"));
    let said = ondisk(["get", &db, line, "--escaped", "--json"]);
    assert_eq!(said.json()["value"], line);
    ondisk(["delete", &db, line, "--escaped"]).fine();
    assert_eq!(ondisk(["scan", &db]).fine(), "");
    ondisk(["put", &db, r"\q", "v", "--escaped"]).expect(2, &["KEY, column 1"]);
}

/// Any bytes, loaded from the lines that the store itself would write, come back in key order, and
/// a store loaded from another's scan scans alike.
#[test]
fn a_scan_loads_into_an_equal_store() {
    let scratch = Scratch::new();
    let db = scratch.db();
    let mut seeded = Seeded(7);
    let mut model: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
    let mut lines = Vec::new();
    for _ in 0..300 {
        let mut field = |longest| -> Vec<u8> {
            let len = seeded.below(longest);
            (0..len).map(|_| u8::try_from(seeded.below(256)).unwrap()).collect()
        };
        let (key, value) = (field(3), field(50));
        for (field, end) in [(&key, b'\t'), (&value, b'\n')] {
            field.iter().for_each(|byte| lines.extend(format!("\\x{byte:02x}").bytes()));
            lines.push(end);
        }
        model.insert(key, value);
    }
    let told = ondisk_reading(["load", &db], &lines).fine();
    assert_eq!(told.lines().count(), 300);
    let scan = ondisk(["scan", &db]).fine();
    assert_eq!(scan.lines().count(), model.len());

    let copy = scratch.path().join("copy.db").into_os_string().into_string().unwrap();
    ondisk_reading(["load", &copy, "--sync", "batch:10"], scan.as_bytes()).fine();
    assert_eq!(ondisk(["scan", &copy]).fine(), scan);
}

#[test]
fn readers_write_nothing() {
    let (scratch, db) = Scratch::with_store();
    let before = files(scratch.path());
    for args in [vec!["get", &db, "a"], vec!["scan", &db], vec!["check", &db], vec!["stats", &db]] {
        ondisk(args).fine();
    }
    assert!(before == files(scratch.path()), "a reader changed a file");
}
