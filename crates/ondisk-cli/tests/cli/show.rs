//! What is shown: help, JSON, text without colour.

use std::path::PathBuf;

use crate::harness::{Scratch, files, ondisk};

const COMMANDS: [&str; 17] = [
    "put",
    "get",
    "delete",
    "scan",
    "load",
    "check",
    "stats",
    "keyspaces",
    "durability",
    "compact",
    "salvage",
    "backup",
    "restore",
    "dump",
    "demo",
    "sim",
    "probe",
];

#[test]
fn the_front_page_lists_every_command_and_ends_with_the_next() {
    let help = ondisk(["--help"]).fine();
    for name in COMMANDS {
        assert!(help.contains(&format!("\n  {name} ")), "{name} is not listed:\n{help}");
    }
    assert!(help.trim_end().ends_with("Next: ondisk demo"), "{help}");
    assert!(help.lines().all(|line| line.chars().count() <= 80), "{help}");
}

#[test]
fn every_command_explains_itself_by_an_example() {
    for name in COMMANDS {
        let help = ondisk([name, "--help"]).fine();
        assert!(help.contains(&format!("\n  ondisk {name} ")), "{help}");
        assert!(help.contains("Exit codes: 0 "), "{help}");
    }
}

#[test]
fn usage_errors_are_exit_code_two() {
    for args in [vec![], vec!["nonsense"], vec!["put"], vec!["get", "db"], vec!["scan", "--wrong"]]
    {
        ondisk(args).expect(2, &["Usage:"]);
    }
}

#[test]
fn results_are_versioned_json() {
    let scratch = Scratch::new();
    let db = &scratch.db();
    let put = ondisk(["put", db, "k\t", "\\", "--json"]).json();
    assert_eq!((&put["ondisk"], &put["v"], &put["lsn"]), (&"put".into(), &1.into(), &1.into()));
    assert!(put["rung"].is_string());
    let get = ondisk(["get", db, "k\t", "--json"]).json();
    assert_eq!((&get["key"], &get["value"]), (&r"k\t".into(), &r"\\".into()));
    let none = ondisk(["get", db, "none", "--json"]).expect(1, &[]).json();
    assert!(none["value"].is_null());
    let scan = ondisk(["scan", db, "--json"]).json();
    assert_eq!((&scan["ondisk"], &scan["key"]), (&"scan".into(), &r"k\t".into()));
    let check = ondisk(["check", db, "--json"]).json();
    assert_eq!((&check["clean"], &check["keys"]), (&true.into(), &1.into()));
    let stats = ondisk(["stats", db, "--json"]).json();
    assert_eq!((&stats["ondisk"], &stats["v"]), (&"stats".into(), &1.into()));
    assert_eq!((&stats["end"], &stats["closed"]), (&1.into(), &true.into()));
    let delete = ondisk(["delete", db, "k\t", "--json"]).json();
    assert_eq!((&delete["ondisk"], &delete["lsn"]), (&"delete".into(), &2.into()));
}

#[test]
fn no_colour_where_nobody_looks() {
    let (_scratch, db) = Scratch::with_store();
    for args in [vec!["check", &db], vec!["stats", &db], vec!["scan", &db]] {
        assert!(!ondisk(args).fine().contains('\x1b'));
    }
}

#[test]
fn every_file_of_a_store_is_dumped_as_text() {
    let (scratch, db) = Scratch::with_store();
    ondisk(["put", &db, "d", "4"]).fine();
    // The lock holds nothing, and the reserve zeros.
    let silent = |path: &PathBuf| path.ends_with("LOCK") || path.ends_with("reserve");
    for path in files(scratch.path()).keys().filter(|path| !silent(path)) {
        let text = ondisk(["dump", path.to_str().unwrap()]).fine();
        assert!(text.lines().count() > 1, "{}: {text}", path.display());
    }
}
