//! The arithmetic of the measurements, and one run of them.

use ondisk_fs::OsFs;

use super::*;

fn of(micros: &[u64]) -> Measurement {
    Measurement::of(WRITE, Rung::Cached, micros)
}

#[test]
fn a_percentile_is_a_sample_of_the_nearest_rank() {
    let hundred: Vec<u64> = (1..=100).rev().collect();
    let at = |percent| of(&hundred).percentile(percent).as_micros();
    assert_eq!((at(1), at(50), at(99), at(100)), (1, 50, 99, 100));
    assert_eq!(of(&[7]).percentile(50).as_micros(), 7);
    assert_eq!(of(&[7]).percentile(99).as_micros(), 7);
    assert_eq!(of(&[1, 2, 3]).percentile(50).as_micros(), 2);
    assert_eq!(of(&[1, 2, 3]).percentile(99).as_micros(), 3);
    assert_eq!(of(&[]).percentile(50), Duration::ZERO);
}

#[test]
fn every_way_is_measured_as_often_as_asked() {
    let dir = tempfile::tempdir().unwrap();
    let told = std::cell::RefCell::new(Vec::new());
    let tell = |done, of| told.borrow_mut().push((done, of));
    let measured = run(&OsFs, dir.path(), &WAYS, Limit::samples(12), tell).unwrap();
    if cfg!(target_os = "linux") {
        assert_eq!(measured.iter().map(|m| m.way).collect::<Vec<_>>(), WAYS);
    }
    assert!(measured.iter().all(|m| m.samples() == 12));
    assert!(measured.iter().all(|m| m.percentile(50) > Duration::ZERO));
    assert_eq!(*told.borrow(), [(10, 12), (12, 12)]);
}

#[test]
fn a_slow_disk_gets_fewer_samples_and_the_same_of_each_way() {
    let dir = tempfile::tempdir().unwrap();
    let limit = Limit { samples: 1000, time: Duration::ZERO };
    let measured = run(&OsFs, dir.path(), &WAYS, limit, |_, _| {}).unwrap();
    assert!(measured.iter().all(|m| m.samples() == TURN));
}

#[test]
fn a_group_is_written_by_one_durable_write_of_its_length() {
    let dir = tempfile::tempdir().unwrap();
    let measured = run(&OsFs, dir.path(), &GROUPS, Limit::samples(10), |_, _| {}).unwrap();
    let bytes = [4, 16, 64, 256, 1024].map(|kib: u64| kib << 10);
    assert_eq!(measured.iter().map(|m| (m.way.blocks * BLOCK) as u64).collect::<Vec<_>>(), bytes);
    assert!(measured.iter().all(|m| m.way.means == Means::DurableWrite && m.samples() == 10));
    for (number, len) in bytes.into_iter().enumerate() {
        let path = dir.path().join(format!("way{number}"));
        let size = OsFs.open(&path, ondisk_fs::Access::Read).unwrap().size().unwrap();
        assert_eq!(size, (len * WRITTEN_OPERATIONS).min(WRITTEN_BYTES), "overwritten in place");
    }
}
