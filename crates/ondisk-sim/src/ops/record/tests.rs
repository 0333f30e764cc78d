//! Overlapping syncs: what they cover, and since when it is durable.

use std::io::ErrorKind;

use super::*;
use crate::ops::model::EXT4;
use crate::ops::{Budget, Crash, Model, Tally};

/// All contents that a file may have at a place; `None` where it may be absent.
fn may_be(record: &mut Recorder, model: &Model, at: At, path: &str) -> Vec<Option<Vec<u8>>> {
    let mut found = Vec::new();
    let crash = Crash::new(model, record.history());
    let report = crash.at(at).explore(Budget::default(), &Tally::new(), &mut |fs| {
        found.push(fs.read(path).ok());
        Ok(())
    });
    assert!(report.is_exhausted());
    found.sort();
    found.dedup();
    found
}

fn two_files() -> (Recorder, Ino, Ino) {
    let mut record = Recorder::new(&Image::new().file("a", "").file("b", ""));
    let a = record.lookup(Ino::ROOT, b"a").unwrap();
    let b = record.lookup(Ino::ROOT, b"b").unwrap();
    (record, a, b)
}

#[test]
fn a_sync_covers_what_had_returned_when_it_was_called() {
    let mut record = Recorder::new(&Image::new().file("a", "old"));
    let a = record.lookup(Ino::ROOT, b"a").unwrap();
    record.write(a, 0, b"1st").unwrap();
    let running = record.sync_called(Synced::File(a, SyncKind::Data));
    record.write(a, 0, b"2nd").unwrap();
    let before = record.here();
    record.sync_returned(running, Ok(()));
    let after = record.here();
    let [old, first, second] = [b"old", b"1st", b"2nd"].map(|bytes| Some(bytes.to_vec()));
    let mut all = vec![first.clone(), second.clone(), old];
    all.sort();
    assert_eq!(may_be(&mut record, &EXT4, before, "a"), all);
    assert_eq!(may_be(&mut record, &EXT4, after, "a"), [first, second]);
}

#[test]
fn the_floor_rises_when_a_sync_returns_whoever_was_called_first() {
    let (mut record, a, b) = two_files();
    record.write(a, 0, b"A").unwrap();
    record.write(b, 0, b"B").unwrap();
    let of_a = record.sync_called(Synced::File(a, SyncKind::All));
    let of_b = record.sync_called(Synced::File(b, SyncKind::All));
    record.sync_returned(of_b, Ok(()));
    let between = record.here();
    record.sync_returned(of_a, Ok(()));
    let end = record.here();
    assert_eq!(may_be(&mut record, &EXT4, between, "b"), [Some(b"B".to_vec())]);
    assert!(may_be(&mut record, &EXT4, between, "a").len() > 1);
    assert_eq!(may_be(&mut record, &EXT4, end, "a"), [Some(b"A".to_vec())]);
}

#[test]
fn a_sync_that_never_returned_raises_nothing() {
    let (mut record, a, _) = two_files();
    record.write(a, 0, b"A").unwrap();
    let _running = record.sync_called(Synced::File(a, SyncKind::All));
    let end = record.here();
    assert!(may_be(&mut record, &EXT4, end, "a").contains(&Some(Vec::new())));
    assert_eq!(record.history().calls.last().unwrap().returned, None);
}

#[test]
fn names_changed_while_a_sync_ran_are_not_raised() {
    let (mut record, a, _) = two_files();
    record.rename((Ino::ROOT, b"a"), (Ino::ROOT, b"c"));
    let running = record.sync_called(Synced::File(a, SyncKind::All));
    record.create(Ino::ROOT, b"other");
    record.rename((Ino::ROOT, b"c"), (Ino::ROOT, b"d"));
    record.sync_returned(running, Ok(()));
    let end = record.here();
    assert_eq!(may_be(&mut record, &EXT4, end, "a"), [None]);
    assert!(may_be(&mut record, &EXT4, end, "c").contains(&Some(Vec::new())));
    assert!(may_be(&mut record, &EXT4, end, "other").contains(&None));
}

#[test]
fn a_failed_sync_drops_what_it_covered_alone() {
    let mut record = Recorder::new(&Image::new().file("a", vec![b'o'; 8192]));
    let a = record.lookup(Ino::ROOT, b"a").unwrap();
    record.write(a, 0, b"1").unwrap();
    let running = record.sync_called(Synced::File(a, SyncKind::Data));
    record.write(a, 4096, b"2").unwrap();
    record.sync_returned(running, Err(ErrorKind::Other));
    let again = record.sync_called(Synced::File(a, SyncKind::Data));
    record.sync_returned(again, Ok(()));
    let end = record.here();
    let firsts: Vec<(u8, u8)> = may_be(&mut record, &EXT4, end, "a")
        .into_iter()
        .map(|bytes| bytes.map(|bytes| (bytes[0], bytes[4096])).unwrap())
        .collect();
    assert_eq!(firsts, [(b'1', b'2'), (b'o', b'2')]);
}

#[test]
fn a_synced_range_leaves_the_other_pages_dirty() {
    let mut record = Recorder::new(&Image::new().file("a", vec![b'o'; 8192]));
    let a = record.lookup(Ino::ROOT, b"a").unwrap();
    record.write(a, 4096, b"2").unwrap();
    record.write(a, 0, b"1").unwrap();
    let running = record.sync_called(Synced::Range(a, 0, 1, SyncKind::Data));
    record.sync_returned(running, Ok(()));
    let end = record.here();
    let firsts: Vec<(u8, u8)> = may_be(&mut record, &EXT4, end, "a")
        .into_iter()
        .map(|bytes| bytes.map(|bytes| (bytes[0], bytes[4096])).unwrap())
        .collect();
    assert_eq!(firsts, [(b'1', b'2'), (b'1', b'o')]);
}

#[test]
fn every_kind_of_call_is_recorded_with_what_it_did() {
    let mut record = Recorder::new(&Image::new().dir("d").file("d/f", vec![b'f'; 9000]));
    let d = record.lookup(Ino::ROOT, b"d").unwrap();
    let f = record.lookup(d, b"f").unwrap();
    record.symlink(Ino::ROOT, b"s", b"d/f");
    record.link(f, Ino::ROOT, b"g");
    let h = record.create(Ino::ROOT, b"h");
    record.exchange((Ino::ROOT, b"g"), (Ino::ROOT, b"h"));
    record.punch(f, 10, 4096 + 10).unwrap();
    record.set_len(h, 3).unwrap();
    record.chmod(h, 0o600);
    let everything = record.sync_called(Synced::Everything);
    record.sync_returned(everything, Ok(()));
    let mut bytes = vec![b'f'; 9000];
    bytes[10..4116].fill(0);
    let expected = Image::new().dir("d").file("d/f", bytes).file("g", [0; 3]);
    let mut expected = expected.link("d/f", "h");
    expected.nodes.insert("s".into(), crate::ops::Node::Symlink(b"d/f".to_vec()));
    assert_eq!(record.image(), expected);
    for model in Model::ALL {
        let end = record.here();
        let crash = Crash::new(&model, record.history());
        let report = crash.at(end).explore(Budget::default(), &Tally::new(), &mut |fs| {
            assert_eq!(fs.image(), expected, "{model}");
            Ok(())
        });
        assert!(report.failure.is_none() && report.states == 1, "{report:?}");
    }
}
