//! Backups, restores, compaction and the durability table from the shell.

use crate::harness::{Scratch, files, ondisk, ondisk_reading};

fn beside(scratch: &Scratch, name: &str) -> String {
    scratch.path().join(name).into_os_string().into_string().unwrap()
}

#[test]
fn a_chain_of_backups_is_made_and_restored() {
    let (scratch, db) = Scratch::with_store();
    ondisk(["keyspaces", &db, "create", "events", "--engine", "lsm"]).fine();
    ondisk(["put", &db, "e1", "signed up", "--keyspace", "events"]).fine();
    let (backups, copy) = (beside(&scratch, "backups"), beside(&scratch, "copy.db"));
    let before = files(db.as_ref());
    let first = ondisk(["backup", &db, &backups]).fine();
    assert!(first.starts_with("backup 1: as of commit 4, 4 keys in 2 keyspace(s)\n"), "{first}");
    assert!(before == files(db.as_ref()), "a backup changed the store");
    ondisk(["put", &db, "d", "4"]).fine();
    ondisk(["delete", &db, "a"]).fine();
    let second = ondisk(["backup", &db, &backups, "--json"]).json();
    assert_eq!((&second["number"], &second["since"]), (&2.into(), &4.into()));
    assert_eq!((&second["written"], &second["gone"]), (&1.into(), &1.into()));
    ondisk(["restore", &backups, &copy]).fine();
    assert_eq!(ondisk(["scan", &copy]).fine(), "b\t2\nc\t3\nd\t4\n");
    assert_eq!(ondisk(["get", &copy, "e1", "--keyspace", "events"]).fine(), "signed up\n");
    ondisk(["check", &copy]).fine();
    let older = beside(&scratch, "older.db");
    let restored = ondisk(["restore", &backups, &older, "--backup", "1", "--json"]).json();
    assert_eq!((&restored["number"], &restored["keys"]), (&1.into(), &4.into()));
    assert_eq!(ondisk(["scan", &older]).fine(), "a\t1\nb\t2\nc\t3\n");
    ondisk(["restore", &backups, &older]).expect(2, &["in the way"]);
    ondisk(["backup", &copy, &backups]).expect(2, &["of another store"]);
    ondisk(["backup", &db, scratch.path().to_str().unwrap()]).expect(2, &["other things"]);
    ondisk(["restore", &db, &beside(&scratch, "x")]).expect(2, &["no list of backups"]);
    for path in files(backups.as_ref()).keys().filter(|path| !path.ends_with("LOCK")) {
        ondisk(["dump", path.to_str().unwrap()]).fine();
    }
}

#[test]
fn a_damaged_backup_is_named() {
    let (scratch, db) = Scratch::with_store();
    let (backups, copy) = (beside(&scratch, "backups"), beside(&scratch, "copy.db"));
    ondisk(["backup", &db, &backups]).fine();
    let part = format!("{backups}/000001-000001.part");
    let mut bytes = std::fs::read(&part).unwrap();
    bytes[100] ^= 1;
    std::fs::write(&part, bytes).unwrap();
    ondisk(["restore", &backups, &copy]).expect(1, &["000001-000001.part", "checksum"]);
    assert!(!std::path::Path::new(&copy).exists());
    ondisk(["backup", &db, &backups]).expect(1, &["000001-000001.part"]);
}

#[test]
fn a_store_is_compacted() {
    let scratch = Scratch::new();
    let db = &scratch.db();
    for engine in ["bitcask", "lsm", "btree"] {
        ondisk(["keyspaces", db, "create", engine, "--engine", engine]).fine();
        for round in 0..3 {
            let lines: String = (0..200).map(|n| format!("{n}\t{round}\n")).collect();
            let load = ["load", db, "--keyspace", engine, "--sync", "none"];
            ondisk_reading(load, lines.as_bytes()).fine();
            ondisk(["compact", db]).fine();
        }
        assert_eq!(ondisk(["scan", db, "--keyspace", engine]).fine().lines().count(), 200);
    }
    let again = ondisk(["compact", db, "--json"]).json();
    assert_eq!(again["before"], again["after"]);
    ondisk(["check", db]).fine();
}

#[test]
fn the_durability_table_says_what_each_death_takes() {
    let scratch = Scratch::new();
    let db = &scratch.db();
    ondisk(["keyspaces", db, "create", "events", "--engine", "lsm", "--sync", "batch:7"]).fine();
    let before = files(db.as_ref());
    let table = ondisk(["durability", db, "--sync", "none"]).fine();
    for text in [
        "default: bitcask, mode none (of who opens the store)",
        "events: lsm, mode batch:7 (the keyspace's own)",
        "a kill takes       nothing that was acknowledged",
        "so: durability",
        "log segment",
        "catalog",
    ] {
        assert!(table.contains(text), "`{text}` is not said:\n{table}");
    }
    assert!(table.lines().all(|line| line.chars().count() <= 100), "{table}");
    let json = ondisk(["durability", db, "--json"]).json();
    let events = &json["keyspaces"][1];
    assert_eq!(events["kill"]["at_most"], 0);
    if json["a_sync_reaches"] == "durable" {
        assert_eq!(
            (&events["crash"]["at_most"], &events["power_cut"]["at_most"]),
            (&7.into(), &7.into())
        );
        assert_eq!(json["keyspaces"][0]["power_cut"]["at_most"], 0);
    }
    assert!(before == files(db.as_ref()), "the table changed the store");
}

#[test]
fn what_verifies_of_a_damaged_store_is_salvaged() {
    let (scratch, db) = Scratch::with_store();
    let (whole, saved) = (beside(&scratch, "whole.db"), beside(&scratch, "saved.db"));
    let said = ondisk(["salvage", &db, &whole]).fine();
    assert!(said.contains("nothing is lost"), "{said}");
    assert_eq!(ondisk(["scan", &whole]).fine(), "a\t1\nb\t2\nc\t3\n");
    std::fs::remove_file(format!("{db}/log/anchor")).unwrap();
    let before = files(db.as_ref());
    ondisk(["scan", &db]).expect(1, &["anchor"]);
    let said = ondisk(["salvage", &db, &saved, "--json"]).expect(1, &[]).json();
    assert_eq!((&said["end"], &said["lost"][0]["offset"]), (&3.into(), &0.into()));
    assert!(before == files(db.as_ref()), "a salvage changed the store");
    assert_eq!(ondisk(["scan", &saved]).fine(), "a\t1\nb\t2\nc\t3\n");
    ondisk(["check", &saved]).fine();
}

#[test]
fn stats_tell_of_each_keyspace() {
    let scratch = Scratch::new();
    let db = &scratch.db();
    for engine in ["bitcask", "lsm", "btree"] {
        ondisk(["keyspaces", db, "create", engine, "--engine", engine]).fine();
        ondisk(["put", db, "key", "value", "--keyspace", engine]).fine();
    }
    ondisk(["compact", db]).fine();
    let text = ondisk(["stats", db]).fine();
    for line in ["bitcask: bitcask, 1 keys, through", "lsm: lsm", "btree: btree", "in use"] {
        assert!(text.contains(line), "`{line}` is not said:\n{text}");
    }
    let json = ondisk(["stats", db, "--json"]).json();
    assert_eq!(json["keyspaces"][1]["files"]["data file"]["count"], 1);
    assert!(json["keyspaces"][3]["pages"]["used"].as_u64() > Some(0));
    assert!(json["keyspaces"][2]["levels"].is_array());
}
