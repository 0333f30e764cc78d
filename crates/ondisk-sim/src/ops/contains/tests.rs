//! Histories made to mislead: equal lengths, equal bytes, links, symbolic links, overlapping syncs.

use super::*;
use crate::ops::history::SyncKind;
use crate::ops::model::{BTRFS, EXT4, POSIX, XFS};
use crate::ops::record::{Hole, Recorder, Synced};
use crate::ops::{Budget, Node, Tally};

/// Every state that recovery may see is a member, at every cut, under every model.
fn all_states_are_members(record: &mut Recorder) -> u64 {
    let mut states = 0;
    for model in Model::ALL {
        let crash = Crash::new(&model, record.history());
        let cuts = Membership::from(&crash);
        for at in crash.history().cuts_everywhere() {
            let report = crash.at(at).explore(Budget::per_cut(300), &Tally::new(), &mut |fs| {
                let found = cuts.at(at).contains(&fs.image());
                assert!(found.is_witness(), "{model}, {at:?}: {found:?}: {:?}", fs.image());
                Ok(())
            });
            assert!(report.failure.is_none(), "{report:?}");
            states += report.states;
        }
    }
    states
}

fn file(record: &mut Recorder, name: &[u8]) -> Ino {
    record.lookup(Ino::ROOT, name).unwrap()
}

#[test]
fn one_length_at_several_places_of_a_chain_of_commits() {
    let base = Image::new().file("a", vec![b'a'; 100]).file("b", vec![b'b'; 100]);
    let mut record = Recorder::new(&base);
    let (a, b) = (file(&mut record, b"a"), file(&mut record, b"b"));
    record.set_len(a, 50).unwrap();
    record.set_len(a, 70).unwrap();
    record.set_len(b, 10).unwrap();
    record.set_len(a, 50).unwrap();
    record.set_len(b, 20).unwrap();
    assert!(all_states_are_members(&mut record) > 100);
}

#[test]
fn a_block_that_is_written_with_what_it_shows_anyway() {
    let mut record = Recorder::new(&Image::new().file("a", ""));
    let a = file(&mut record, b"a");
    record.write(a, 0, &[0; 5000]).unwrap();
    record.write(a, 0, &[1; 5000]).unwrap();
    record.write(a, 0, &[0; 5000]).unwrap();
    let running = record.sync_called(Synced::File(a, SyncKind::Data));
    record.write(a, 4096, &[2; 5000]).unwrap();
    record.sync_returned(running, Ok(()));
    assert!(all_states_are_members(&mut record) > 100);
}

#[test]
fn links_and_exchanges_and_holes() {
    let base = Image::new().dir("d").file("a", vec![b'a'; 5000]).file("d/b", "b").link("a", "l");
    let mut record = Recorder::new(&base);
    let (a, d) = (file(&mut record, b"a"), file(&mut record, b"d"));
    record.symlink(d, b"s", b"../a");
    record.exchange((Ino::ROOT, b"a"), (d, b"b"));
    record.punch(a, 0, 4096).unwrap();
    record.write(a, 10, b"new").unwrap();
    record.rename((d, b"b"), (Ino::ROOT, b"c"));
    let running = record.sync_called(Synced::Dir(d));
    record.unlink(Ino::ROOT, b"l");
    record.sync_returned(running, Ok(()));
    assert!(all_states_are_members(&mut record) > 100);
}

#[test]
fn a_file_dropped_by_one_sync_while_another_ran() {
    let mut record = Recorder::new(&Image::new().file("a", vec![b'o'; 8192]));
    let a = file(&mut record, b"a");
    record.write(a, 0, b"1").unwrap();
    let first = record.sync_called(Synced::File(a, SyncKind::Data));
    record.write(a, 4096, b"2").unwrap();
    let second = record.sync_called(Synced::File(a, SyncKind::All));
    record.sync_returned(second, Err(std::io::ErrorKind::Other));
    record.write(a, 0, b"3").unwrap();
    record.sync_returned(first, Ok(()));
    assert!(all_states_are_members(&mut record) > 50);
}

/// The reason for which the end of a life cannot be an image.
fn why(record: &mut Recorder, model: &Model, image: &Image) -> String {
    let (at, cuts) = (record.here(), Membership::new(model, record.history()));
    match cuts.at(at).contains(image) {
        Member::Refuted(why) => why.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_refutation_says_where_and_which_rule() {
    let base = Image::new().dir("d").file("d/f", vec![b'o'; 5000]);
    let mut record = Recorder::new(&base);
    let d = file(&mut record, b"d");
    let f = record.lookup(d, b"f").unwrap();
    record.link(f, Ino::ROOT, b"g");
    record.symlink(Ino::ROOT, b"s", b"d");
    record.write(f, 4096, &[b'n'; 5000]).unwrap();
    let running = record.sync_called(Synced::File(f, SyncKind::All));
    record.sync_returned(running, Ok(()));
    record.create(Ino::ROOT, b"h");
    let whole = record.image();
    let mut without = |path: &str| {
        let mut image = whole.clone();
        image.nodes.remove(std::path::Path::new(path));
        why(&mut record, &EXT4, &image)
    };
    assert_eq!(
        without("d/f"),
        "`d/f` is not there: it is durable, or comes before other names that are (model ext4)"
    );
    let mut flipped = whole.clone();
    for name in ["d/f", "g"] {
        flipped.bytes_mut(name).unwrap()[4097] = b'x';
    }
    assert_eq!(
        why(&mut record, &EXT4, &flipped),
        "`d/f`, block 1 (byte 4096 on): none of the contents that it may have, from the last \
         durable one on (model ext4)"
    );
    let mut short = whole.clone();
    for name in ["d/f", "g"] {
        short.bytes_mut(name).unwrap().truncate(5000);
    }
    assert_eq!(why(&mut record, &XFS, &short), "`d/f`: its length may be 9096 alone (model xfs)");
    let apart = base.clone().file("g", whole.bytes("g").unwrap());
    let mut apart = apart.file("d/f", whole.bytes("g").unwrap());
    apart.nodes.insert("s".into(), Node::Symlink(b"d".to_vec()));
    let told = why(&mut record, &EXT4, &apart);
    assert!(told.contains("it is one file with other names, or is not and must be"), "{told}");
    let more = why(&mut record, &BTRFS, &whole.clone().file("z", ""));
    assert_eq!(more, "`z`: no call ever made that name (model btrfs)");
    let mut other = whole.clone();
    other.nodes.insert("s".into(), Node::Symlink(b"e".to_vec()));
    let told = why(&mut record, &POSIX, &other);
    assert_eq!(told, "`s`: the link stands for another path (model posix)");
}

#[test]
fn a_state_of_a_state_is_not_known() {
    let fs = crate::ops::MemFs::new();
    let first = Crash::new(&EXT4, fs.history());
    let state = first.at(first.history().end).state(Box::new(crate::ops::Newest));
    let second = Crash::of_life(&EXT4, &state);
    let found = second.at(second.history().end).contains(&Image::new());
    assert!(matches!(found, Member::Unknown));
}

/// Names of files that look alike, which nothing orders: much may be tried, and one way found.
#[test]
fn names_that_look_alike_are_told_apart_by_their_ties() {
    let mut record = Recorder::new(&Image::new());
    for n in 0..40_u8 {
        record.create(Ino::ROOT, &[b'a' + n % 20]);
        record.rename((Ino::ROOT, &[b'a' + n % 20]), (Ino::ROOT, &[b'A' + n % 20]));
    }
    let mut image = Image::new();
    for n in 0..20_u8 {
        image = image.file(char::from(b'A' + n).to_string(), "");
    }
    let (at, cuts) = (record.here(), Membership::new(&POSIX, record.history()));
    assert!(cuts.at(at).contains(&image).is_witness());
    let joined = Image::new().file("A", "").link("A", "B");
    assert!(cuts.at(at).contains(&joined).refuted().is_some());
}

/// Ten names that each may be any of nine files, and are to be ten: to refute that takes longer
/// than anybody waits, and the search says that it does not know.
#[test]
fn a_search_that_is_too_long_is_given_up() {
    let mut record = Recorder::new(&Image::new());
    let files: Vec<Ino> = (b'a'..=b'i').map(|name| record.create(Ino::ROOT, &[name])).collect();
    let mut image = Image::new();
    for name in b'A'..=b'J' {
        for file in &files {
            record.link(*file, Ino::ROOT, &[name]);
            record.unlink(Ino::ROOT, &[name]);
        }
        image = image.file(char::from(name).to_string(), "");
    }
    let (at, cuts) = (record.here(), Membership::new(&POSIX, record.history()));
    assert!(matches!(cuts.at(at).contains(&image), Member::Unknown));
    image.nodes.remove(std::path::Path::new("J"));
    assert!(cuts.at(at).contains(&image).is_witness());
}

/// A block that holds no bytes is new to who appends to it, whatever the length of the file: the
/// length waits for the block's place then, and no commit brings it.
#[test]
fn an_append_to_a_block_without_bytes_may_be_lost_behind_a_later_name() {
    let base = Image::new().file("a", vec![0; 100]);
    let left = base.clone().file("s", "");
    for (holes, may_be) in
        [(vec![], false), (vec![Hole { path: "a".into(), block: 0, reserved: true }], true)]
    {
        let mut record = Recorder::with_holes(&base, &holes);
        let a = file(&mut record, b"a");
        record.write(a, 100, &[b'n'; 100]).unwrap();
        let s = record.create(Ino::ROOT, b"s");
        let running = record.sync_called(Synced::File(s, SyncKind::All));
        record.sync_returned(running, Ok(()));
        let (at, cuts) = (record.here(), Membership::new(&EXT4, record.history()));
        assert_eq!(cuts.at(at).contains(&left).is_witness(), may_be);
        assert!(all_states_are_members(&mut record) > 10);
    }
}

/// A truncation that takes back what one transaction made longer takes nothing from the media: what
/// is written then does not wait for it. One that takes durable bytes is waited for.
#[test]
fn a_write_waits_for_a_truncation_only_if_that_takes_something() {
    let longer = |record: &mut Recorder, durable: bool| {
        let a = file(record, b"a");
        record.write(a, 40, &[b'x'; 1000]).unwrap();
        if durable {
            let running = record.sync_called(Synced::File(a, SyncKind::All));
            record.sync_returned(running, Ok(()));
        }
        record.set_len(a, 512).unwrap();
        record.write(a, 0, &[b'n'; 40]).unwrap();
    };
    let base = Image::new().file("a", vec![b'o'; 40]);
    let mut record = Recorder::new(&base);
    longer(&mut record, false);
    let (at, cuts) = (record.here(), Membership::new(&EXT4, record.history()));
    let early = Image::new().file("a", vec![b'n'; 40]);
    assert!(cuts.at(at).contains(&early).is_witness());
    assert!(Membership::new(&XFS, record.history()).at(at).contains(&early).refuted().is_some());
    assert!(all_states_are_members(&mut record) > 10);
    let mut record = Recorder::new(&base);
    longer(&mut record, true);
    let (at, cuts) = (record.here(), Membership::new(&EXT4, record.history()));
    let torn = [vec![b'n'; 40], vec![b'x'; 472], vec![0; 528]].concat();
    assert!(cuts.at(at).contains(&Image::new().file("a", torn)).refuted().is_some());
    assert!(all_states_are_members(&mut record) > 10);
}

/// What was allocated has its place: where nothing else was written, a rename over another file
/// brings no length of its own.
#[test]
fn a_rename_brings_no_length_of_what_was_allocated() {
    let base = Image::new().file("a", "").file("b", "old");
    let left = Image::new().file("b", "").file("s", "");
    for allocated in [0, 5000] {
        let mut record = Recorder::new(&base);
        let a = file(&mut record, b"a");
        record.write(a, 0, &[b'n'; 8000]).unwrap();
        if allocated > 0 {
            record.allocate(a, allocated).unwrap();
        }
        record.rename((Ino::ROOT, b"a"), (Ino::ROOT, b"b"));
        let s = record.create(Ino::ROOT, b"s");
        let running = record.sync_called(Synced::File(s, SyncKind::All));
        record.sync_returned(running, Ok(()));
        let (at, cuts) = (record.here(), Membership::new(&EXT4, record.history()));
        assert_eq!(cuts.at(at).contains(&left).is_witness(), allocated > 0);
        assert!(all_states_are_members(&mut record) > 10);
    }
}
