//! Keyspaces: made, listed, used and dropped from the shell.

use crate::harness::{Scratch, files, ondisk, ondisk_reading};

#[test]
fn a_keyspace_is_made_used_and_dropped() {
    let scratch = Scratch::new();
    let db = &scratch.db();
    for engine in ["bitcask", "lsm", "btree"] {
        let made = ondisk(["keyspaces", db, "create", engine, "--engine", engine]).fine();
        assert_eq!(made, format!("{engine}\t{engine}\n"));
        ondisk(["put", db, "k", engine, "--keyspace", engine]).fine();
        ondisk_reading(["load", db, "--keyspace", engine], b"a\t1\nb\t2\n").fine();
        ondisk(["delete", db, "b", "--keyspace", engine]).fine();
        assert_eq!(ondisk(["get", db, "k", "--keyspace", engine]).fine(), format!("{engine}\n"));
        assert_eq!(
            ondisk(["scan", db, "--keyspace", engine]).fine(),
            format!("a\t1\nk\t{engine}\n")
        );
    }
    assert_eq!(ondisk(["scan", db]).fine(), "", "the default keyspace holds nothing of theirs");
    let all = "default\tbitcask\nbitcask\tbitcask\nlsm\tlsm\nbtree\tbtree\n";
    assert_eq!(ondisk(["keyspaces", db]).fine(), all);
    assert_eq!(ondisk(["keyspaces", db, "drop", "lsm"]).fine(), "lsm\tlsm\n");
    assert_eq!(
        ondisk(["keyspaces", db]).fine(),
        "default\tbitcask\nbitcask\tbitcask\nbtree\tbtree\n"
    );
    ondisk(["check", db]).fine();
}

#[test]
fn a_keyspace_that_is_missing_says_how_to_make_it() {
    let (_scratch, db) = Scratch::with_store();
    let db = &db;
    let next = &["no keyspace is named `events`", "ondisk keyspaces DB create NAME --engine"];
    ondisk(["put", db, "k", "v", "--keyspace", "events"]).expect(2, next);
    ondisk(["get", db, "k", "--keyspace", "events"]).expect(2, next);
    ondisk(["delete", db, "k", "--keyspace", "events"]).expect(2, next);
    ondisk(["scan", db, "--keyspace", "events"]).expect(2, next);
    ondisk_reading(["load", db, "--keyspace", "events"], b"a\t1\n").expect(2, next);
    ondisk(["keyspaces", db, "drop", "events"]).expect(2, &["no keyspace is named `events`"]);
    ondisk(["keyspaces", db, "drop", "default"]).expect(2, &["cannot be dropped"]);
}

#[test]
fn only_create_makes_a_store() {
    let scratch = Scratch::new();
    let db = &scratch.db();
    ondisk(["keyspaces", db]).expect(2, &["not a store"]);
    ondisk(["keyspaces", db, "drop", "x"]).expect(2, &["not a store"]);
    ondisk(["put", db, "k", "v", "--keyspace", "x"]).expect(2, &["not a store"]);
    assert_eq!(files(scratch.path()).len(), 0);
}

#[test]
fn what_a_keyspace_was_made_with_stays() {
    let scratch = Scratch::new();
    let db = &scratch.db();
    let make = ["keyspaces", db, "create", "e", "--engine", "lsm", "--sync", "batch:7,20ms"];
    ondisk(make).fine();
    ondisk(make).fine(); // again, alike: no error
    let other = ondisk(["keyspaces", db, "create", "e", "--engine", "btree"]);
    other.expect(2, &["was made with the options `lsm --sync batch:7,20ms`"]);
    let page = ["keyspaces", db, "create", "p", "--engine", "btree", "--page-size", "1000"];
    ondisk(page).expect(2, &["page size of 1000"]);
    let listed = ondisk(["keyspaces", db, "--json"]).json();
    assert_eq!((&listed["ondisk"], &listed["v"]), (&"keyspaces".into(), &1.into()));
    assert_eq!(listed["keyspaces"][1]["sync"], "batch:7,20ms");
    // The keyspace's own mode, where the command names none.
    let own = ondisk(["put", db, "k", "v", "--keyspace", "e", "--json"]).json();
    let asked = ["put", db, "k", "v", "--keyspace", "e", "--sync", "sync", "--json"];
    assert_eq!(
        (&own["rung"], &ondisk(asked).json()["rung"]),
        (&"cached".into(), &"durable".into())
    );
}

#[test]
fn odd_names_are_names() {
    let scratch = Scratch::new();
    let db = &scratch.db();
    let long = "n".repeat(255);
    for (name, shown) in [("tab\there", r"tab\there"), ("\n", r"\n"), ("🦀", "🦀"), (&long, &long)]
    {
        let made = ondisk(["keyspaces", db, "create", name, "--engine", "btree"]).fine();
        assert_eq!(made, format!("{shown}\tbtree\n"));
        ondisk(["put", db, "k", "v", "--keyspace", name]).fine();
        assert_eq!(ondisk(["get", db, "k", "--keyspace", name]).fine(), "v\n");
        ondisk(["keyspaces", db, "drop", name]).fine();
    }
    for name in ["", &"n".repeat(256)] {
        let made = ondisk(["keyspaces", db, "create", name, "--engine", "btree"]);
        made.expect(2, &["it takes 1 to 255 bytes"]);
    }
    assert_eq!(ondisk(["keyspaces", db]).fine(), "default\tbitcask\n");
}
