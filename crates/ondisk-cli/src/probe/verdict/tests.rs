//! The limits, each from both sides.

use super::*;
use crate::probe::measure::{DIRECTORY, WAYS, WRITE};
use crate::probe::place::Mount;

fn drive(cache: Option<Cache>, rotational: Option<bool>) -> Drive {
    Drive { name: "sda".to_owned(), cache, fua: Some(false), rotational }
}

fn place(file_system: &str, options: &str) -> Place {
    let line = format!("27 1 8:0 / / {options} - {file_system} /dev/sda rw");
    Place {
        mount: Mount::find(&line, "/".as_ref()),
        drive: Some(drive(Some(Cache::Volatile), Some(false))),
        overwrites_in_place: true,
        virtual_machine: Some(true),
    }
}

/// All ways, each with the same times.
fn all(rung: Rung, micros: &[u64]) -> Vec<Measurement> {
    WAYS.into_iter().map(|way| Measurement::of(way, rung, micros)).collect()
}

fn kinds(place: &Place, measurements: &[Measurement]) -> Vec<Kind> {
    warnings(place, measurements).into_iter().map(|warning| warning.kind).collect()
}

#[test]
fn an_ordinary_disk_is_believed() {
    let micros: Vec<u64> = (700..900).collect();
    assert_eq!(kinds(&place("ext4", "rw"), &all(Rung::Durable, &micros)), []);
}

#[test]
fn nothing_answers_faster_than_a_bus() {
    let fast = |nanos| too_fast(Duration::from_nanos(nanos), None).is_some();
    assert!(fast(0));
    assert!(fast(4_999));
    assert!(!fast(5_000));
}

#[test]
fn a_volatile_cache_is_emptied_no_faster_than_flash_is_programmed() {
    let fast = |micros, cache| {
        too_fast(Duration::from_micros(micros), Some(&drive(cache, Some(false)))).is_some()
    };
    assert!(fast(99, Some(Cache::Volatile)));
    assert!(!fast(100, Some(Cache::Volatile)));
    assert!(!fast(20, Some(Cache::None)), "a cache that outlives the power may be that fast");
    assert!(!fast(20, None), "of what says nothing, nothing is known");
    assert!(fast(4, Some(Cache::None)));
}

#[test]
fn a_volatile_cache_before_a_platter_waits_for_the_platter() {
    let fast = |micros, cache, turns| {
        too_fast(Duration::from_micros(micros), Some(&drive(cache, turns))).is_some()
    };
    assert!(fast(1_999, Some(Cache::Volatile), Some(true)));
    assert!(!fast(2_000, Some(Cache::Volatile), Some(true)));
    assert!(!fast(1_999, Some(Cache::Volatile), Some(false)));
    assert!(!fast(1_999, Some(Cache::None), Some(true)), "a controller with a battery");
}

#[test]
fn memory_and_containers_are_named() {
    let sound = all(Rung::Durable, &[800]);
    assert_eq!(kinds(&place("overlay", "rw"), &sound), [Kind::Overlay]);
    let memory = all(Rung::Cached, &[1]);
    assert_eq!(kinds(&place("tmpfs", "rw"), &memory), [Kind::Memory, Kind::TooFast]);
}

#[test]
fn a_mount_that_does_not_flush_is_named() {
    let sound = all(Rung::Durable, &[800]);
    for options in ["rw,nobarrier", "rw,barrier=0", "barrier=0,rw"] {
        assert_eq!(kinds(&place("ext4", options), &sound), [Kind::NoFlush], "{options}");
    }
    assert_eq!(kinds(&place("ext4", "rw,barrier=1"), &sound), []);
    assert_eq!(kinds(&place("overlay", "rw,volatile"), &sound), [Kind::Overlay, Kind::NoFlush]);
}

#[test]
fn what_stays_in_the_drive_is_not_called_durable() {
    assert_eq!(kinds(&place("hfs", "rw"), &all(Rung::Device, &[800])), [Kind::NotDurable]);
}

#[test]
fn a_tick_is_seen_when_most_ways_end_on_it() {
    let near = [3_910, 3_996, 4_004, 8_010, 12_100];
    assert_eq!(ticking(&all(Rung::Durable, &near)), Some(Ticking::Mostly(TICKS[0])));
    let tens = [9_900, 10_000, 10_100, 20_001];
    assert_eq!(ticking(&all(Rung::Durable, &tens)), Some(Ticking::Mostly(TICKS[1])));
    let at_worst = [60, 61, 62, 65, 4_001];
    assert_eq!(ticking(&all(Rung::Durable, &at_worst)), Some(Ticking::AtWorst(TICKS[0])));
}

#[test]
fn a_disk_that_is_slow_by_itself_does_not_tick() {
    // 7,200 turns a minute, and times spread as a disk's are.
    assert_eq!(ticking(&all(Rung::Durable, &[8_333; 9])), None);
    let spread: Vec<u64> = (3_000..6_000).step_by(100).collect();
    assert_eq!(ticking(&all(Rung::Durable, &spread)), None);
    assert_eq!(ticking(&all(Rung::Durable, &[60, 4_500])), None);
    let few: Vec<Measurement> = WAYS
        .into_iter()
        .map(|way| {
            Measurement::of(way, Rung::Durable, &[if way == DIRECTORY { 4_000 } else { 60 }])
        })
        .collect();
    assert_eq!(ticking(&few), None, "one way alone may be so by chance");
    assert_eq!(ticking(&[]), None);
}

#[test]
fn a_gain_is_the_others_time_over_ones_own() {
    let micros = |way| match way {
        GROWING_DATA => [200, 8_000],
        ALLOCATED_DATA => [150, 800],
        WRITTEN_ALL => [90, 160],
        DURABLE_WRITE => [75, 160],
        _ => [100, 160],
    };
    let measurements: Vec<Measurement> =
        WAYS.into_iter().map(|way| Measurement::of(way, Rung::Durable, &micros(way))).collect();
    let gains: Vec<_> =
        gains(&measurements).into_iter().map(|gain| (gain.name, gain.p50, gain.p99)).collect();
    assert_eq!(
        gains,
        [
            ("sync_data", 0.9, 1.0),
            ("written_over_growing", 2.0, 50.0),
            ("written_over_allocated", 1.5, 5.0),
            ("durable_write", 1.33, 1.0),
            ("group_of_16", 16.0, 16.0),
        ]
    );
    assert_eq!(super::gains(&[Measurement::of(WRITE, Rung::Cached, &[1])]), []);
}

#[test]
fn a_time_has_the_digits_that_matter() {
    let shown = |nanos| duration(Duration::from_nanos(nanos));
    assert_eq!(shown(0), "0.0 µs");
    assert_eq!(shown(1_449), "1.4 µs");
    assert_eq!(shown(64_900), "65 µs");
    assert_eq!(shown(3_996_000), "4.00 ms");
    assert_eq!(shown(25_000_000), "25 ms");
    assert_eq!(shown(2_500_000_000), "2.5 s");
}
