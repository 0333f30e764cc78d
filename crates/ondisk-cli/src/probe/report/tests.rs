//! The report's wording and its JSON.

use ondisk_fs::Call;

use super::*;
use crate::probe::measure::{GROUPS, WAYS};

fn report() -> Report {
    let chosen = Chosen {
        data: Call::Fdatasync,
        all: Call::Fsync,
        dir: Call::Fsync,
        durable_write: Call::DirectDsyncWrite,
    };
    let place =
        Place { mount: None, drive: None, overwrites_in_place: true, virtual_machine: None };
    let measure = |way| Measurement::of(way, Rung::Durable, &[1, 2, 3]);
    let figures = Figures {
        measurements: WAYS.into_iter().map(measure).collect(),
        groups: GROUPS.into_iter().map(measure).collect(),
        committed: Vec::new(),
    };
    Report::new(Path::new("here"), place, chosen, figures)
}

#[test]
fn no_two_rows_are_named_alike_and_all_fit() {
    let report = report();
    let mut names: Vec<_> = report.measurements.iter().map(|row| (&row.what, row.ground)).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), WAYS.len());
    for row in &report.measurements {
        assert!(row.what.chars().count() < 28, "{}", row.what);
        assert!(row.ground.len() < 10 && row.meaning.len() <= 40, "{}", row.meaning);
    }
}

#[test]
fn the_json_has_a_version_and_says_what_the_page_says() {
    let json = serde_json::to_value(report()).unwrap();
    assert_eq!(json["version"], 1);
    assert_eq!(json["path"], "here");
    assert_eq!(json["reaches"], "durable");
    assert_eq!(json["calls"]["data"], "fdatasync");
    assert_eq!(json["overwrites_in_place"], true);
    assert_eq!(json["measurements"].as_array().unwrap().len(), WAYS.len());
    let row = &json["measurements"][2];
    assert_eq!((&row["what"], &row["ground"]), (&"write + fdatasync".into(), &"growing".into()));
    assert_eq!((&row["bytes"], &row["samples"]), (&4096.into(), &3.into()));
    assert_eq!((&row["p50_us"], &row["p99_us"]), (&2.0.into(), &3.0.into()));
    assert_eq!(json["gains"][4]["name"], "group_of_16");
    assert_eq!(json["gains"][4]["p50"], 16.0);
    assert_eq!(json["warnings"][0]["kind"], "too_fast");
}

#[test]
fn a_drive_is_quoted() {
    let mut quoted =
        Drive { name: "sda".to_owned(), cache: None, fua: None, rotational: Some(false) };
    assert_eq!(drive(&quoted), "sda says of itself: nothing of its cache");
    quoted.cache = Some(Cache::Volatile);
    quoted.fua = Some(false);
    quoted.rotational = Some(true);
    assert_eq!(
        drive(&quoted),
        "sda says of itself: a volatile cache, so a sync sends a FLUSH, no FUA, it turns"
    );
}

#[test]
fn a_warning_is_broken_between_words() {
    let text = "word ".repeat(50);
    let lines = wrapped(&text);
    assert!(lines.lines().count() > 1);
    assert!(lines.lines().all(|line| line.len() <= 96));
    assert_eq!(lines.split_whitespace().count(), 50);
    assert_eq!(wrapped("short"), "short");
}
