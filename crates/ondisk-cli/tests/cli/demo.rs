//! The demo: what it must find, and that a seed repeats it. (Its screen has tests of its own.)

use std::path::Path;
use std::thread;

use serde_json::Value;

use crate::harness::{Said, command, ondisk, played};

/// A run, its timeline, and the page that it wrote.
type Run = (Said, String, String);

/// Two runs, side by side; both write the page to where temporary files are.
fn run() -> [Run; 2] {
    let dir = tempfile::tempdir().unwrap();
    let page = dir.path().join("ondisk-demo-7.html");
    let (dir, page) = (dir.path(), page.as_path());
    let run = |name: &str| {
        let timeline = dir.join(name);
        let args = ["demo", "--seed", "7", "--json", "--timeline", path(&timeline)];
        let said: Said = command(args).env("TMPDIR", dir).output().unwrap().into();
        assert_eq!(said.json()["page"], path(page));
        let read = |path: &Path| std::fs::read_to_string(path).unwrap();
        (said, read(&timeline), read(page))
    };
    let run = &run;
    thread::scope(|scope| {
        ["first", "second"].map(|name| scope.spawn(move || run(name))).map(|it| it.join().unwrap())
    })
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn number(row: &Value, field: &str) -> u64 {
    row[field].as_u64().unwrap_or_else(|| panic!("{field} is no count in {row}"))
}

fn rows<'a>(demo: &'a Value, field: &str) -> &'a Vec<Value> {
    demo[field].as_array().unwrap()
}

#[test]
fn the_demo_keeps_its_promise_and_repeats_it() {
    let [(first, timeline, page), (second, again, same)] = run();
    assert_eq!(timeline, again);
    assert_eq!(page, same);
    let played = played(&page);
    assert_eq!((&played["knobs"]["seed"], &played["name"]), (&"7".into(), &"the lie".into()));
    assert!(played["text"].as_str().unwrap().ends_with("fsyncdir .\nack \"recorded\"\n"));
    let lines: Vec<Value> =
        timeline.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&lines[0]["ondisk"], &lines[0]["seed"]), (&"timeline".into(), &"7".into()));
    assert!(lines.last().unwrap()["end"].as_u64().unwrap() > 50);
    assert!(lines.iter().any(|line| line["k"] == "Programmed"), "down to the flash");
    let (mut demo, mut again) = (first.expect(0, &[]).json(), second.expect(0, &[]).json());
    acts_are_complete(&demo);
    for json in [&mut demo, &mut again] {
        assert!(json.as_object_mut().unwrap().remove("measured").is_some());
    }
    assert_eq!(demo, again);
}

fn acts_are_complete(demo: &Value) {
    assert_eq!(
        (&demo["ondisk"], &demo["v"], &demo["kept"]),
        (&"demo".into(), &1.into(), &true.into())
    );
    assert_eq!(rows(demo, "lie").len(), 6);
    let (controls, rows_of_modes): (Vec<&Value>, Vec<&Value>) =
        rows(demo, "power_cuts").iter().partition(|row| row["control"] == true);
    assert_eq!((rows_of_modes.len(), controls.len()), (11, 2));
    for row in &rows_of_modes {
        assert!(number(row, "states") > 0 && number(row, "acknowledged") > 0, "{row}");
        match row["mode"].as_str().unwrap() {
            "sync" => assert_eq!(number(row, "lost"), 0, "{row}"),
            "batch" => assert!(number(row, "worst") <= number(row, "at_risk"), "{row}"),
            "none" => assert!(number(row, "lost") > 0, "{row}"),
            other => panic!("{other} is no mode"),
        }
    }
    assert!(controls.iter().all(|row| number(row, "lost") > 0));
    let measured = rows(demo, "measured");
    assert_eq!(measured.len(), 6);
    for row in measured {
        let fields = ["committers", "commits_per_s", "p50_us", "p99_us", "syncs"];
        assert!(fields.iter().all(|field| row[field].is_u64()), "{row}");
    }
}

#[test]
fn a_directory_that_is_not_there_is_said() {
    ondisk(["demo", "--dir", "/no/such/directory"]).expect(2, &["/no/such/directory", "--dir"]);
}

#[test]
fn a_file_that_cannot_be_written_is_said() {
    let args = ["demo", "--html", "/no/such/directory/page.html"];
    ondisk(args).expect(2, &["/no/such/directory/page.html: the page cannot be written"]);
}
