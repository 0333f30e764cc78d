//! What only Linux lets a test see: failing devices, file systems in memory, the kernel's list of
//! locks, and which calls a durable write makes.

use std::io::ErrorKind;

use super::*;
use crate::{BLOCK, Call, Medium, Poisoned};

#[test]
fn what_lies_in_memory_is_cached_and_no_more() {
    let shm = Path::new("/dev/shm");
    if Nature::of_path(shm).is_ok_and(|nature| nature.medium == Medium::Memory) {
        let dir = tempfile::tempdir_in(shm).unwrap();
        let path = dir.path().join("f");
        assert_eq!(replace_atomic(&OsFs, &path, b"x").unwrap(), Rung::Cached);
    } else {
        skipped("no tmpfs at /dev/shm");
    }
}

#[test]
fn a_file_system_is_known_by_its_magic_number() {
    let in_place = |magic| Nature::of_magic(magic).in_place;
    assert!(in_place(0xEF53), "ext4");
    assert!(in_place(0x5846_5342), "xfs");
    assert!(!in_place(0x9123_683E), "btrfs");
    assert!(!in_place(0x2FC1_2FC1), "zfs");
    assert!(!in_place(0xCA45_1A4E), "bcachefs");
    assert_eq!(Nature::of_magic(0x0102_1994).medium, Medium::Memory, "tmpfs");
    assert_eq!(Nature::of_magic(0xEF53).medium, Medium::Drive, "ext4");
}

#[test]
fn a_failed_sync_poisons_the_handle_for_good() {
    // A device that cannot be synced, and never has room: the same on every Linux.
    let file = OsFs.open(Path::new("/dev/full"), Access::ReadWrite).unwrap();
    let full = file.write_at(b"x", 0).unwrap_err();
    assert_eq!(full.kind(), ErrorKind::StorageFull);
    assert_eq!(file.write_at(b"x", 0).unwrap_err().kind(), ErrorKind::StorageFull, "no poison");
    let cause = file.sync_data().unwrap_err();
    let blocks = Blocks::zeroed(1);
    let after = [
        file.write_at(b"x", 0).unwrap_err(),
        file.write_durable(blocks.blocks(0..1), 0).unwrap_err(),
        file.set_len(0).unwrap_err(),
        file.allocate(1).unwrap_err(),
        file.sync_data().unwrap_err(),
        file.sync_all().unwrap_err(),
    ];
    for error in after {
        let poisoned = error.get_ref().and_then(|inner| inner.downcast_ref::<Poisoned>());
        assert_eq!(poisoned, Some(&Poisoned { cause: cause.to_string() }), "{error}");
    }
    assert_eq!(file.read_at(&mut [0], 0).unwrap(), 1, "reads go on");
}

#[test]
fn a_failed_durable_write_poisons_the_handle_too() {
    let file = OsFs.open(Path::new("/dev/full"), Access::ReadWrite).unwrap();
    let blocks = Blocks::zeroed(1);
    let error = file.write_durable(blocks.blocks(0..1), 0).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StorageFull);
    let error = file.sync_all().unwrap_err();
    assert!(error.get_ref().is_some_and(|inner| inner.is::<Poisoned>()), "{error}");
}

#[test]
fn where_direct_writes_are_refused_the_page_cache_is_written_through() {
    // A device that cannot be opened for direct I/O, and cannot be synced: what is left is `O_DSYNC`.
    let file = OsFs.open(Path::new("/dev/null"), Access::ReadWrite).unwrap();
    let blocks = Blocks::zeroed(3);
    file.write_durable(blocks.blocks(0..3), 0).unwrap();
    assert!(file.sync_data().is_err(), "it went by no sync");
}

#[test]
fn the_kernels_list_of_locks_is_read_with_care() {
    let read = |line| lock::flock_holder(line, "fe:00:5678");
    assert_eq!(read("3: FLOCK  ADVISORY  WRITE 1234 fe:00:5678 0 EOF"), Some(1234));
    assert_eq!(read("3: FLOCK  ADVISORY  READ 1234 fe:00:5678 0 EOF"), Some(1234));
    assert_eq!(read("3: -> FLOCK  ADVISORY  WRITE 99 fe:00:5678 0 EOF"), None, "it waits");
    assert_eq!(read("3: FLOCK  ADVISORY  WRITE 1234 fe:01:5678 0 EOF"), None, "another device");
    assert_eq!(read("3: FLOCK  ADVISORY  WRITE 1234 fe:00:56789 0 EOF"), None, "another file");
    assert_eq!(read("3: POSIX  ADVISORY  WRITE 1234 fe:00:5678 0 EOF"), None, "another kind");
    assert_eq!(read("3: FLOCK  ADVISORY  WRITE 0 fe:00:5678 0 EOF"), None, "another namespace");
    assert_eq!(read("3: FLOCK  ADVISORY  WRITE -1 fe:00:5678 0 EOF"), None);
    assert_eq!(read("3: FLOCK"), None);
    assert_eq!(read(""), None);
}

#[test]
fn a_file_systems_number_is_its_mounts() {
    let mounts =
        "28 1 253:1 / / rw - ext4 /dev/vda rw\n90 28 0:50 /sub /pool rw - btrfs /dev/vdb rw\n";
    let of = |fdinfo| lock::superblock(fdinfo, mounts);
    assert_eq!(of("pos:\t0\nflags:\t02\nmnt_id:\t90\nino:\t5\n"), Some("00:32".to_owned()));
    assert_eq!(of("pos:\t0\nmnt_id:\t28\n"), Some("fd:01".to_owned()));
    assert_eq!(of("pos:\t0\nmnt_id:\t9\n"), None);
    assert_eq!(of("pos:\t0\n"), None);
}

/// Says that a test did not run. Where that must not pass unseen, it fails.
fn skipped(why: &str) {
    assert!(std::env::var_os("CI").is_none(), "skipped: {why}");
    eprintln!("skipped: {why}");
}

const DURABLE_WRITES: usize = 5;
const MARK: &str = "/ondisk-mark-";

/// Writes durably between two marks, each a call that a tracer sees.
#[test]
fn child_that_writes_durably() {
    let Some(path) = child_path() else { return };
    let file = OsFs.create_new(&path).unwrap();
    let blocks = Blocks::zeroed(2);
    file.write_all_at(blocks.bytes(), 0).unwrap();
    file.sync_all().unwrap();
    file.write_durable(blocks.blocks(0..2), 0).unwrap(); // opens the second descriptor
    OsFs.kind(format!("{MARK}writes").as_ref()).unwrap();
    for _ in 0..DURABLE_WRITES {
        file.write_durable(blocks.blocks(0..1), BLOCK as u64).unwrap();
    }
    OsFs.kind(format!("{MARK}syncs").as_ref()).unwrap();
    file.sync_data().unwrap();
    file.sync_all().unwrap();
    OsFs.kind(format!("{MARK}end").as_ref()).unwrap();
}

/// The calls of a recording by `strace -f` from one mark to the next: each line from the name on.
fn calls<'a>(recording: &'a str, from: &str, to: &str) -> Vec<&'a str> {
    let mark = format!("{MARK}{from}\"");
    let start = recording.lines().find(|line| line.contains(&mark)).unwrap();
    let thread = start.split_once(' ').unwrap().0;
    recording
        .lines()
        .filter_map(|line| line.split_once(' ').filter(|(pid, _)| *pid == thread))
        .map(|(_, call)| call.trim_start())
        .skip_while(|call| !call.contains(&mark))
        .skip_while(|call| call.contains(MARK)) // a mark may take more than one call
        .take_while(|call| !call.contains(&format!("{MARK}{to}\"")))
        .collect()
}

#[test]
fn a_durable_write_is_one_call() {
    let dir = tempfile::tempdir().unwrap();
    let (path, recording) = (dir.path().join("f"), dir.path().join("strace"));
    let mut strace = Command::new("strace");
    strace.args(["-f", "-o"]).arg(&recording).arg(std::env::current_exe().unwrap());
    let mut traced = child(strace, "linux::child_that_writes_durably", &path);
    if !traced.output().is_ok_and(|output| output.status.success()) {
        return skipped(
            "strace does not run here, so the calls of a durable write are not counted",
        );
    }
    let recording = std::fs::read_to_string(recording).unwrap();

    let writes = calls(&recording, "writes", "syncs");
    let descriptors: Vec<&str> = writes
        .iter()
        .filter_map(|call| call.strip_prefix("pwrite64(")?.split(',').next())
        .collect();
    assert_eq!(descriptors.len(), writes.len(), "only writes: {writes:#?}");
    assert_eq!(writes.len(), DURABLE_WRITES, "one call for each: {writes:#?}");

    let syncs = calls(&recording, "syncs", "end");
    let names: Vec<&str> = syncs.iter().map(|call| call.split('(').next().unwrap()).collect();
    assert_eq!(names, ["fdatasync", "fsync"], "{syncs:#?}");

    // The descriptor was opened so that data is waited for, and the file's times are not.
    let opened = recording.lines().find(|line| line.contains("\"/proc/self/fd/")).unwrap();
    assert!(opened.contains("O_DSYNC"), "{opened}");
    assert!(opened.ends_with(&format!("= {}", descriptors[0])), "{opened}");
}

#[test]
fn the_calls_that_serve_are_found_by_making_them() {
    let dir = tempfile::tempdir().unwrap();
    let scratch = dir.path().join("scratch");
    let chosen = OsFs.choose(&scratch).unwrap();
    assert_eq!((chosen.data, chosen.all, chosen.dir), (Call::Fdatasync, Call::Fsync, Call::Fsync));
    assert!(SyncPlan::HERE.durable_write.contains(&chosen.durable_write));
    assert_eq!(OsFs.list(dir.path()).unwrap(), [], "nothing is left behind");
    drop(OsFs.create_new(&scratch).unwrap());
    assert_eq!(OsFs.choose(&scratch).unwrap_err().kind(), ErrorKind::AlreadyExists);
    assert_eq!(OsFs.list(dir.path()).unwrap().len(), 1, "what stood there stands there");
}
