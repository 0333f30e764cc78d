//! The live file system shows what a kernel's page cache shows, and records what was called.

use std::io::ErrorKind;

use ondisk_fs::{Access, Blocks, LockError, LockMode, Rung, create_durable, replace_atomic};

use super::*;
use crate::ops::{How, SyncKind, Target, What, WriteSync};

fn p(path: &str) -> &Path {
    Path::new(path)
}

fn put(fs: &MemFs, path: &str, bytes: &[u8]) -> Arc<dyn ondisk_fs::File> {
    let file = fs.create_new(p(path)).unwrap();
    file.write_all_at(bytes, 0).unwrap();
    file
}

#[test]
fn bytes_written_are_read_across_blocks_holes_and_cuts() {
    let fs = MemFs::new();
    let file = put(&fs, "f", &[7; 10_000]);
    file.write_all_at(b"end", 20_000).unwrap();
    let mut expected = vec![7; 10_000];
    expected.resize(20_000, 0);
    expected.extend(b"end");
    assert_eq!(fs.read("f").unwrap(), expected);
    file.set_len(5000).unwrap();
    file.set_len(9000).unwrap();
    expected.truncate(5000);
    expected.resize(9000, 0);
    assert_eq!(fs.read("/f").unwrap(), expected);
    let mut buf = [1; 100];
    assert_eq!(file.read_at(&mut buf, 8950).unwrap(), 50);
    assert_eq!(file.read_at(&mut buf, 9000).unwrap(), 0);
    file.allocate(100).unwrap();
    assert_eq!(file.size().unwrap(), 9000);
    file.allocate(12_000).unwrap();
    assert_eq!(file.size().unwrap(), 12_000);
}

#[test]
fn names_behave() {
    let fs = MemFs::new();
    fs.create_dir(p("/d")).unwrap();
    fs.create_dir(p("d/e")).unwrap();
    put(&fs, "d/./e/../f", b"one");
    assert_eq!(fs.create_new(p("d/f")).unwrap_err().kind(), ErrorKind::AlreadyExists);
    assert_eq!(fs.create_new(p("x/f")).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(fs.create_new(p("d/f/g")).unwrap_err().kind(), ErrorKind::NotADirectory);
    assert_eq!(fs.open(p("d"), Access::Read).unwrap_err().kind(), ErrorKind::IsADirectory);
    assert_eq!(fs.remove(p("d")).unwrap_err().kind(), ErrorKind::IsADirectory);
    assert_eq!(fs.remove_dir(p("d")).unwrap_err().kind(), ErrorKind::DirectoryNotEmpty);
    assert_eq!(fs.rename(p("d"), p("d/e/d")).unwrap_err().kind(), ErrorKind::InvalidInput);
    put(&fs, "g", b"two");
    let open = fs.open(p("d/f"), Access::Read).unwrap();
    fs.rename(p("g"), p("d/f")).unwrap();
    assert_eq!(fs.read("d/f").unwrap(), b"two");
    let mut old = [0; 3];
    open.read_exact_at(&mut old, 0).unwrap();
    assert_eq!(&old, b"one", "an open file outlives its name");
    let names: Vec<_> = fs.list(p("d")).unwrap().into_iter().map(|entry| entry.name).collect();
    assert_eq!(names, ["e", "f"]);
    fs.remove_dir(p("d/e")).unwrap();
    assert_eq!(fs.kind(p("d/e")).unwrap(), None);
    assert_eq!(fs.kind(p("d")).unwrap(), Some(Kind::Dir));
}

#[test]
fn idioms_run_and_are_recorded() {
    let fs = MemFs::new();
    assert_eq!(create_durable(&fs, p("a"), b"old").unwrap(), Rung::Durable);
    replace_atomic(&fs, p("a"), b"new").unwrap();
    assert_eq!(fs.read("a").unwrap(), b"new");
    let words: Vec<_> = fs.history().calls.iter().map(|call| call.what.word()).collect();
    let expected = ["create", "write", "sync_all", "sync_dir"];
    assert_eq!(words[..4], expected);
    assert_eq!(words[4..], ["create", "write", "sync_all", "rename", "sync_dir"]);
}

#[test]
fn a_durable_write_is_one_call_with_its_own_range() {
    let fs = MemFs::new();
    let file = put(&fs, "f", b"");
    file.write_durable(Blocks::zeroed(2).blocks(0..2), 4096).unwrap();
    assert_eq!(file.write_durable(&[], 1).unwrap_err().kind(), ErrorKind::InvalidInput);
    let history = fs.history();
    assert!(matches!(
        history.calls.last().unwrap().what,
        What::Write { offset: 4096, len: 8192, sync: WriteSync::Data, .. }
    ));
}

#[test]
fn the_nth_call_fails_whatever_it_is() {
    let run = |fs: &MemFs| create_durable(fs, p("a"), b"x");
    let fs = MemFs::new();
    run(&fs).unwrap();
    let calls = fs.calls();
    assert_eq!(calls, 4);
    for nth in 1..=calls {
        let fs = MemFs::new();
        fs.inject(Fault::nth(nth, ErrorKind::TimedOut));
        assert_eq!(run(&fs).unwrap_err().kind(), ErrorKind::TimedOut, "call {nth}");
        assert_eq!(fs.calls(), nth);
    }
}

#[test]
fn a_failed_sync_poisons_its_handle_and_is_told_to_others_once() {
    let fs = MemFs::new();
    let a = put(&fs, "f", b"x");
    let b = fs.open(p("f"), Access::ReadWrite).unwrap();
    fs.inject(Fault::next(Target::Syncs, ErrorKind::Other).on("/f"));
    fs.sync_dir(p(".")).unwrap();
    a.sync_data().unwrap_err();
    a.write_at(b"y", 0).unwrap_err();
    a.sync_data().unwrap_err();
    b.sync_data().unwrap_err();
    let c = fs.open(p("f"), Access::ReadWrite).unwrap();
    c.write_all_at(b"z", 1).unwrap();
    c.sync_data().unwrap();
    assert_eq!(fs.read("f").unwrap(), b"xz", "the new bytes stay readable in this boot");
    let syncs: Vec<_> = fs
        .history()
        .calls
        .iter()
        .filter(|call| matches!(call.what, What::Sync { kind: SyncKind::Data, .. }))
        .map(|call| call.result.is_ok())
        .collect();
    assert_eq!(syncs, [false, false, true], "a poisoned handle asks nothing");
}

#[test]
fn writes_come_short_and_fail() {
    let fs = MemFs::new();
    let file = put(&fs, "f", b"");
    fs.inject(Fault::short_write(3));
    assert_eq!(file.write_at(b"hello", 0).unwrap(), 3);
    fs.inject(Fault::next(Target::Only(Place::Write), ErrorKind::StorageFull).forever());
    assert_eq!(file.write_at(b"x", 0).unwrap_err().kind(), ErrorKind::StorageFull);
    assert_eq!(file.write_at(b"x", 0).unwrap_err().kind(), ErrorKind::StorageFull);
    fs.clear_faults();
    fs.inject(Fault { how: How::Short(4096), ..Fault::nth(1, ErrorKind::Other) });
    file.write_durable(Blocks::zeroed(2).blocks(0..2), 0).unwrap_err();
    assert_eq!(fs.read("f").unwrap().len(), 4096);
    file.sync_data().unwrap_err();
}

#[test]
fn a_full_disk_takes_what_fits_and_goes_on_when_space_returns() {
    let fs = MemFs::new();
    fs.set_capacity(Some(3 * 4096));
    let file = put(&fs, "f", &[1; 4096]);
    assert_eq!(file.write_at(&[2; 16_384], 4096).unwrap(), 8192);
    let error = file.write_at(&[3; 10], 12_288).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StorageFull);
    assert_eq!(
        error.to_string(),
        "no space: 12288 of 12288 bytes are used, 10 more were asked for"
    );
    assert_eq!(file.write_at(&[3; 10], 0).unwrap(), 10, "an overwrite needs no space");
    assert_eq!(file.allocate(16_384).unwrap_err().kind(), ErrorKind::StorageFull);
    let blocks = Blocks::zeroed(1);
    file.write_durable(blocks.blocks(0..1), 12_288).unwrap_err();
    fs.set_capacity(Some(4 * 4096));
    let file = fs.open(p("f"), Access::ReadWrite).unwrap();
    file.allocate(16_384).unwrap();
    assert_eq!(fs.used(), 16_384);
    file.set_len(4096).unwrap();
    assert_eq!(fs.used(), 4096);
    fs.remove(p("f")).unwrap();
    assert_eq!(fs.used(), 0);
}

#[test]
fn locks_exclude_and_are_given_back() {
    let fs = MemFs::new();
    let fs: &dyn FileSystem = &fs;
    fs.lock(p("L"), LockMode::Shared).unwrap(); // no writer ever was here: it holds nothing
    assert_eq!(fs.kind(p("L")).unwrap(), None);
    assert!(matches!(fs.lock(p("D/L"), LockMode::Shared), Err(LockError::Io { .. })));
    let held = fs.lock(p("L"), LockMode::Exclusive).unwrap();
    let refused = fs.lock(p("L"), LockMode::Shared).unwrap_err();
    assert!(matches!(refused, LockError::Held { pid: Some(1), .. }));
    drop(held);
    let one = fs.lock(p("L"), LockMode::Shared).unwrap();
    let two = fs.lock(p("L"), LockMode::Shared).unwrap();
    drop(one);
    fs.lock(p("L"), LockMode::Exclusive).unwrap_err();
    drop(two);
    fs.lock(p("L"), LockMode::Exclusive).unwrap();
}

#[test]
fn a_fork_goes_its_own_way_without_locks() {
    let fs = MemFs::new();
    put(&fs, "f", b"one");
    let held = FileSystem::lock(&fs, p("L"), LockMode::Exclusive).unwrap();
    fs.ack("a");
    let fork = fs.fork();
    FileSystem::lock(&fork, p("L"), LockMode::Exclusive).unwrap();
    fork.open(p("f"), Access::ReadWrite).unwrap().write_all_at(b"two", 0).unwrap();
    fs.open(p("f"), Access::ReadWrite).unwrap().write_all_at(b"six", 0).unwrap();
    assert_eq!((fs.read("f").unwrap(), fork.read("f").unwrap()), (b"six".into(), b"two".into()));
    assert_eq!(fork.history().acks, fs.history().acks);
    drop(held);
}

#[test]
fn images_go_in_and_out_and_bits_rot() {
    let image = Image::new().file("d/f", vec![9; 5000]).dir("e").file("g", "");
    let fs = MemFs::from_image(&image);
    assert_eq!(fs.image(), image.clone().dir("d"));
    assert!(fs.history().calls.is_empty());
    fs.rot("d/f", 4999, 3).unwrap();
    assert_eq!(fs.read("d/f").unwrap()[4999], 9 ^ 8);
    assert_eq!(fs.rot("d/f", 5000, 0).unwrap_err().kind(), ErrorKind::InvalidInput);
    let settled = fs.settled();
    assert_eq!(settled.image(), fs.image());
    assert!(settled.history().calls.is_empty());
}

#[test]
fn a_page_that_a_failed_sync_left_clean_may_vanish_in_the_same_boot() {
    let fs = MemFs::from_image(&Image::new().file("f", vec![b'o'; 8192]));
    let file = fs.open(p("f"), Access::ReadWrite).unwrap();
    file.write_all_at(b"lost", 0).unwrap();
    fs.inject(Fault::next(Target::Syncs, ErrorKind::Other));
    file.sync_data().unwrap_err();
    let file = fs.open(p("f"), Access::ReadWrite).unwrap();
    file.write_all_at(b"kept", 4096).unwrap();
    file.sync_data().unwrap();
    file.write_all_at(b"dirty", 5000).unwrap();
    assert_eq!(&fs.read("f").unwrap()[..4], b"lost");
    fs.evict();
    let bytes = fs.read("f").unwrap();
    assert_eq!(
        (&bytes[..4], &bytes[4096..4100], &bytes[5000..5005]),
        (&b"oooo"[..], &b"kept"[..], &b"dirty"[..])
    );
    // Written again after the failure, a page is dirty like any other.
    file.write_all_at(b"again", 0).unwrap();
    fs.evict();
    assert_eq!(&fs.read("f").unwrap()[..5], b"again");
}
