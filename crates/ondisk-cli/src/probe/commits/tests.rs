//! The loads on a real directory, and on a disk that says no.

use std::io;

use ondisk_fs::OsFs;
use ondisk_sim::{Fault, MemFs, Place, Target};

use super::*;

fn real() -> Arc<dyn FileSystem> {
    Arc::new(OsFs)
}

#[test]
fn each_load_commits_as_often_as_asked_in_groups_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let told = std::cell::RefCell::new(Vec::new());
    let tell = |done, of| told.borrow_mut().push((done, of));
    let all = run(&real(), dir.path(), Limit::samples(3), tell).unwrap();
    assert_eq!(all.iter().map(|it| it.load).collect::<Vec<_>>(), LOADS);
    for it in &all {
        let width = it.load.width();
        assert_eq!(it.commits() as u64, 3 * width, "{:?}", it.load);
        assert!((1..=width).contains(&it.largest_group.into()), "{:?}", it.load);
        assert!((it.commits() as u64).div_ceil(width) <= it.groups, "{:?}", it.load);
        assert!(it.groups <= it.commits() as u64, "{:?}", it.load);
        assert!(it.bytes >= it.groups * 4096, "{:?}", it.load);
        assert!(it.bytes > (it.commits() * RECORD.len()) as u64, "{:?}", it.load);
        assert!(it.sorted.is_sorted() && it.elapsed >= *it.sorted.last().unwrap());
    }
    assert_eq!(*told.borrow(), [(1, 1)]);
}

#[test]
fn one_writer_commits_in_groups_of_what_it_has_under_way() {
    let dir = tempfile::tempdir().unwrap();
    let all = run(&real(), dir.path(), Limit::samples(2), |_, _| {}).unwrap();
    for it in all.iter().filter(|it| it.load.writers == 1) {
        assert_eq!(it.largest_group as usize, it.load.in_flight);
        assert_eq!(it.groups, 2);
        assert_eq!(it.commits_per_group(), it.load.in_flight as f64);
    }
}

#[test]
fn a_slow_disk_gets_one_turn_of_a_few_commits() {
    let dir = tempfile::tempdir().unwrap();
    let limit = Limit { samples: 10 * BURST, slice: Duration::ZERO, time: Duration::ZERO };
    let all = run(&real(), dir.path(), limit, |_, _| {}).unwrap();
    assert!(all.iter().all(|it| it.commits() as u64 == LEAST * it.load.width()));
}

#[test]
fn bursts_wait_for_no_segment_and_leave_no_more_than_three() {
    let (disk, load) = (MemFs::new(), Load::in_flight(64));
    let mut track = Track::new(&disk.share(), Path::new("/log"), load).unwrap();
    for _ in 0..8 {
        track.settle().unwrap();
        track.burst(BURST, Duration::MAX).unwrap();
        assert!(track.log.stats().segments <= 3, "{:?}", track.log.stats());
    }
    assert_eq!(track.log.stats().stalls, 0);
    let all = track.finish();
    assert_eq!((all.commits() as u64, all.groups), (8 * BURST * 64, 8 * BURST));
    assert!(all.bytes > 3 * SEGMENT, "so some were given back: {}", all.bytes);
}

#[test]
fn figures_of_nothing_are_zero() {
    let none = Committed::new(LOADS[0]);
    assert_eq!((none.commits(), none.percentile(50)), (0, Duration::ZERO));
    assert_eq!([none.per_second(), none.commits_per_group(), none.bytes_per_group()], [0.0; 3]);
}

#[test]
fn a_rate_is_of_commits_and_a_group_of_what_was_written() {
    let mut some = Committed::new(LOADS[0]);
    some.sorted = vec![Duration::from_millis(1); 30];
    some.elapsed = Duration::from_secs(2);
    (some.groups, some.bytes) = (4, 20_000);
    assert_eq!([some.per_second(), some.commits_per_group()], [15.0, 7.5]);
    assert_eq!(some.bytes_per_group(), 5_000.0);
}

fn on(disk: &MemFs) -> Result<Vec<Committed>, ProbeError> {
    let limit = Limit { samples: 20, slice: Duration::MAX, time: Duration::MAX };
    run(&disk.share(), Path::new("/"), limit, |_, _| {})
}

#[test]
fn a_full_disk_ends_it_and_is_told() {
    let disk = MemFs::new();
    disk.set_capacity(Some(3 * SEGMENT));
    let error = on(&disk).unwrap_err();
    assert!(matches!(&error, ProbeError::Log(error) if error.is_full()), "{error:?}");
    let said = crate::exit::sentence(&error);
    assert!(said.starts_with("cannot commit to a log here: "), "{said}");
    assert!(said.contains("no space"), "{said}");
}

#[test]
fn a_failed_write_ends_all_writers_and_is_told() {
    let disk = MemFs::new();
    let writes = Target::Only(Place::WriteDurable);
    disk.inject(Fault { nth: 400, ..Fault::next(writes, io::ErrorKind::Other) });
    let error = on(&disk).unwrap_err();
    let said = crate::exit::sentence(&error);
    assert!(said.contains("the log is poisoned"), "{said}");
}
