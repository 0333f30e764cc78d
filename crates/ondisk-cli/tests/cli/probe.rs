//! `ondisk probe` as a whole: what it tells, that its page of fields is whole, what it leaves behind.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::harness::{ONDISK, Said, Scratch, ondisk};

fn probe(scratch: &Scratch) -> Value {
    let dir = scratch.path().to_str().unwrap();
    let said = ondisk(["probe", dir, "--samples", "10", "--json"]);
    assert_eq!(left(scratch), 0);
    said.expect(0, &[]).json()
}

/// How much a probe has left behind.
fn left(scratch: &Scratch) -> usize {
    std::fs::read_dir(scratch.path()).unwrap().count()
}

/// The names of all fields in a JSON value.
fn fields(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) => {
            for (name, value) in object {
                found.insert(name.clone());
                fields(value, found);
            }
        }
        Value::Array(values) => values.iter().for_each(|value| fields(value, found)),
        _ => {}
    }
}

/// The names in the first column of the tables of a text.
fn documented(text: &str) -> BTreeSet<String> {
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` |"));
    rows.map(|(name, _)| name.to_owned()).collect()
}

#[test]
fn every_number_of_writers_and_every_length_is_told() {
    let json = probe(&Scratch::new());
    let numbers = |rows: &Value, name: &str| -> Vec<u64> {
        rows.as_array().unwrap().iter().map(|row| row[name].as_u64().unwrap()).collect()
    };
    let told = &json["group_commit"];
    assert_eq!(numbers(&told["writers"], "writers"), [1, 2, 4, 8, 16, 32, 64]);
    assert_eq!(numbers(&told["writers"], "commits"), [10, 20, 40, 80, 160, 320, 640]);
    assert_eq!(numbers(&told["one_writer"], "in_flight"), [4, 16, 64]);
    assert_eq!(numbers(&told["one_writer"], "largest_group"), [4, 16, 64]);
    let lengths = [4096, 16_384, 65_536, 262_144, 1_048_576];
    assert_eq!(numbers(&told["writes"], "bytes"), lengths);
    assert_eq!(numbers(&told["writes"], "samples"), [10; 5]);
    let advice = told["advice"].as_array().unwrap();
    let value = |index: usize| advice[index]["value"].as_u64().unwrap();
    assert!([1, 2, 4, 8, 16, 32, 64].contains(&value(0)), "{advice:?}");
    assert!(lengths.contains(&value(1)), "{advice:?}");
    assert!([1, 4, 16, 64].contains(&value(2)), "{advice:?}");
    assert_eq!(advice.len(), 3);
}

#[test]
fn every_field_has_its_place_in_the_page_of_fields() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/probe.md");
    let page = std::fs::read_to_string(page).unwrap();
    let json = probe(&Scratch::new());
    let mut found = BTreeSet::new();
    fields(&json, &mut found);
    let missing: Vec<_> = found.difference(&documented(&page)).cloned().collect();
    assert!(missing.is_empty(), "docs/probe.md says nothing of {missing:?}");
    // What depends on the platform may be absent here; group commit does not.
    let (_, groups) = page.split_once("## Group commit").unwrap();
    let mut found = BTreeSet::new();
    fields(&json["group_commit"], &mut found);
    let gone: Vec<_> = documented(groups).difference(&found).cloned().collect();
    assert!(gone.is_empty(), "docs/probe.md tells of {gone:?}");
}

#[test]
fn the_page_for_a_person_has_the_tables_and_the_advice() {
    let scratch = Scratch::new();
    let said = ondisk(["probe", scratch.path().to_str().unwrap(), "--samples", "10"]).fine();
    let lines: Vec<&str> = said.lines().collect();
    let rows = |from: &str, count: usize| -> Vec<String> {
        let at = lines.iter().position(|line| line.starts_with(from)).unwrap();
        let rows = lines[at + 1..].iter().take(count);
        rows.map(|line| line.split("  ").next().unwrap().to_owned()).collect()
    };
    assert_eq!(rows("writers ", 10), ["1", "2", "4", "8", "16", "32", "64", "1", "1", "1"]);
    let lengths = ["4 KiB", "16 KiB", "64 KiB", "256 KiB", "1 MiB"];
    assert_eq!(rows("one durable write of ", 5), lengths);
    for label in ["writers      ", "group size   ", "one writer   a commit costs "] {
        assert_eq!(lines.iter().filter(|line| line.starts_with(label)).count(), 1, "{said}");
    }
    assert!(!said.contains('\x1b'));
}

/// No file may become longer than this many blocks, which are 512 or 1024 bytes by the shell.
#[test]
fn a_disk_that_takes_no_more_is_told_and_nothing_is_left() {
    for (blocks, step) in [(1, "cannot sync here"), (1024, "cannot write and sync here")] {
        let scratch = Scratch::new();
        // The signal that comes with such an error is ignored, so that the error is seen.
        let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" probe \"$1\"");
        let mut shell = Command::new("sh");
        let said = shell.args(["-c", &script, ONDISK]).arg(scratch.path()).output().unwrap();
        let said = Said::from(said).expect(2, &[scratch.path().to_str().unwrap(), step]);
        assert_eq!(said.out, "");
        assert_eq!(left(&scratch), 0, "{said:?}");
    }
}
