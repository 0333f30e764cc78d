//! When the flusher writes, and when writers pause.

use super::*;

fn seconds(n: u64) -> Ns {
    Ns::S.times(n)
}

#[test]
fn the_flusher_writes_what_is_old_at_a_wake() {
    let mut rig = Rig::plain();
    rig.until(seconds(1));
    rig.write(0, b"A");
    rig.log();
    assert_eq!(rig.cache.next_tick(), Some(seconds(6)));
    rig.until(seconds(30));
    assert!(rig.log().is_empty(), "nothing is old before its time");
    rig.until(seconds(31));
    assert_eq!(rig.log(), ["write 0"]);
    assert_eq!(rig.cache.next_tick(), None, "nothing is dirty, and nobody wakes");
    rig.write(0, b"B");
    assert_eq!(rig.cache.next_tick(), Some(seconds(36)));
}

#[test]
fn a_drive_without_a_share_is_written_at_the_first_wake() {
    let mut rig = Rig::new(&fresh());
    rig.write(0, b"A");
    rig.log();
    rig.until(Ns(seconds(5).0 - 1));
    assert!(rig.log().is_empty());
    rig.until(seconds(5));
    assert_eq!(rig.log(), ["write 0"]);
}

#[test]
fn an_inode_is_as_old_as_its_first_dirty_page_and_is_written_whole() {
    let mut rig = Rig::plain();
    rig.write(0, b"A");
    rig.until(seconds(29));
    rig.write(8192, b"B");
    rig.log();
    rig.until(seconds(30));
    assert_eq!(rig.log(), ["write 0 2"]);
}

#[test]
fn a_page_changed_on_its_way_begins_to_age_anew() {
    let mut rig = Rig::plain();
    rig.hold = true;
    rig.write(0, b"A");
    rig.until(seconds(30));
    rig.write(0, b"B");
    rig.log();
    rig.until(seconds(31));
    rig.land_all();
    rig.until(seconds(59));
    assert!(rig.log().is_empty());
    rig.until(seconds(60));
    assert_eq!(rig.log(), ["write 0"]);
}

#[test]
fn too_much_that_is_dirty_is_written_at_once_and_slows_who_writes() {
    let mut config = Config::default();
    (config.cache.available, config.cache.background, config.cache.dirty) = (100, 10, 20);
    let mut rig = Rig::new(&config);
    rig.hold = true;
    rig.write(0, &[1; 10 * 4096]);
    assert!(rig.held.is_empty());
    let slow = rig.write(10 * 4096, &[1; 8 * 4096]);
    assert_eq!((rig.cache.load(), rig.end(slow)), ((0, 18), None));
    assert!(rig.kinds().contains(&Kind::Throttled { task: TASK, dirty: 18 }));
    rig.until(Ns(Ns::MS.times(120).0));
    assert_eq!(rig.end(slow), Some(Ok(())), "three parts of five of the longest pause");
    let stopped = rig.write(18 * 4096, &[1; 3 * 4096]);
    rig.until(seconds(4));
    assert_eq!(rig.end(stopped), None, "no clock lets it go on");
    rig.land_all();
    assert_eq!(rig.end(stopped), Some(Ok(())));
}
