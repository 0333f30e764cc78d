//! The tables' widths, and that the page and the JSON tell the same.

use std::time::Duration;

use ondisk_fs::Rung;

use super::*;
use crate::probe::commits::{LOADS, Load as Asked};
use crate::probe::measure::GROUPS;

fn committed(load: Asked) -> Committed {
    Committed {
        load,
        rung: Rung::Durable,
        sorted: vec![Duration::from_micros(200); 50],
        elapsed: Duration::from_millis(10),
        groups: 20,
        largest_group: 64,
        bytes: 20 * 4096,
    }
}

fn groups() -> Groups {
    let writes = GROUPS.map(|way| Measurement::of(way, Rung::Durable, &[90, 100, 4_000]));
    Groups::new(&LOADS.map(committed), &writes)
}

#[test]
fn the_json_says_what_the_page_says() {
    let json = serde_json::to_value(groups()).unwrap();
    assert_eq!(json["record_bytes"], 100);
    let writers = json["writers"].as_array().unwrap();
    let counts: Vec<_> = writers.iter().map(|it| it["writers"].as_u64().unwrap()).collect();
    assert_eq!(counts, [1, 2, 4, 8, 16, 32, 64]);
    assert!(writers.iter().all(|it| it["in_flight"] == 1));
    let many = json["one_writer"].as_array().unwrap();
    let counts: Vec<_> = many.iter().map(|it| it["in_flight"].as_u64().unwrap()).collect();
    assert_eq!(counts, [4, 16, 64]);
    assert!(many.iter().all(|it| it["writers"] == 1));
    let load = &writers[0];
    assert_eq!((&load["commits"], &load["commits_per_s"]), (&50.into(), &5_000.0.into()));
    assert_eq!((&load["p50_us"], &load["p99_us"]), (&200.0.into(), &200.0.into()));
    assert_eq!((&load["groups"], &load["largest_group"]), (&20.into(), &64.into()));
    assert_eq!(load["commits_per_group"], 2.5);
    assert_eq!((&load["bytes_per_group"], &load["rung"]), (&4096.0.into(), &"durable".into()));
    let write = &json["writes"][4];
    assert_eq!((&write["bytes"], &write["samples"]), (&(1 << 20).into(), &3.into()));
    assert_eq!((&write["p50_us"], &write["p99_us"]), (&100.0.into(), &4_000.0.into()));
    assert_eq!(write["ns_per_byte"], 100_000.0 / f64::from(1 << 20));
    let names: Vec<_> = json["advice"].as_array().unwrap().iter().map(|it| &it["name"]).collect();
    assert_eq!(names, ["writers", "group_bytes", "in_flight"]);
    assert_eq!(
        (&json["advice"][0]["value"], &json["advice"][1]["value"]),
        (&1.into(), &(1 << 20).into())
    );
    assert_eq!(json["advice"][1]["more_may_be_better"], true);
}

#[test]
fn the_widest_figures_stand_apart_and_fit() {
    let load = Load {
        commits_per_s: 1_234_567.0,
        bytes_per_group: 1_048_576.0,
        cost: ["1000 µs".to_owned(), "1000 µs".to_owned()],
        ..Load::new(&committed(LOADS[6]))
    };
    let line = load.line();
    assert!(line.chars().count() <= 96, "{line}");
    let words = ["64", "1", "1,234,567", "1000", "µs", "1000", "µs", "2.5", "64", "1,048,576"];
    assert_eq!(line.split_whitespace().collect::<Vec<_>>(), words);
}

#[test]
fn advice_is_broken_between_words_behind_its_label() {
    for advice in groups().advice {
        let lines = advised(&advice);
        assert!(lines.iter().all(|line| line.chars().count() <= 96), "{lines:?}");
        let behind = |line: &String| line.get(13..).unwrap().to_owned();
        assert_eq!(lines.iter().map(behind).collect::<Vec<_>>().join(" "), advice.text);
    }
}
