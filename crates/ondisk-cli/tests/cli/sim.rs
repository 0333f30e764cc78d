//! `ondisk sim`: the example scripts with what they are told to come to, and the shape of its JSON.
//!
//! Each script in `examples/scripts` says in its header how it is run; what that prints is kept in
//! `tests/sim`. `UPDATE_GOLDENFILES=1` writes these files anew; the diff is to be read.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use ondisk_sim::machine::timeline::Timeline;
use serde_json::Value;

use crate::harness::{Said, Scratch, command, ondisk, ondisk_reading};

const MODELS: [&str; 9] = [
    "posix",
    "xfs",
    "btrfs",
    "strict",
    "ext4",
    "ext4:writeback",
    "ext4:journal",
    "ext4:dioread_lock",
    "ext4:nodelalloc",
];

/// What everybody should have seen once; each of these is an example.
const LITERATURE: [&str; 35] = [
    "write_only",
    "flush",
    "close",
    "fsync",
    "fsync_without_flush",
    "write_flush_fsync",
    "buffer_full",
    "sleep_5s_kill",
    "sleep_5s_crash",
    "sleep_5s_cut",
    "sleep_15s_kill",
    "sleep_15s_crash",
    "sleep_15s_cut",
    "new_file_without_directory",
    "new_file_with_directory",
    "rename_without_sync",
    "rename_with_sync",
    "rename_with_directory",
    "fdatasync_growing",
    "fdatasync_written",
    "group_commit",
    "wal_commit",
    "batch_of_100",
    "log_truncate",
    "log_truncate_without_sync",
    "log_before_page",
    "log_after_page",
    "ordered_journaling",
    "merge_and_reorder",
    "capacitors",
    "lying_drive",
    "lying_drive_crash",
    "failed_fsync",
    "ram_disk",
    "network_file_system",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// An example by its name, and the arguments that its header says.
fn examples() -> BTreeMap<String, Vec<String>> {
    let dir = root().join("examples/scripts");
    let paths = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let of = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("#   ondisk "));
        let line = line.unwrap_or_else(|| panic!("{} does not say how to run it", path.display()));
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let args: Vec<String> = line.split(' ').map(str::to_owned).collect();
        assert_eq!(args[1], format!("examples/scripts/{name}.ondisk"));
        (name, args)
    };
    paths.map(of).collect()
}

fn at_the_root(args: &[String]) -> Said {
    command(args).current_dir(root()).output().unwrap().into()
}

/// The texts that differ from what is kept; writes them where that is asked for.
fn compare(found: &BTreeMap<String, String>, kept: &Path) -> Vec<String> {
    let update = std::env::var_os("UPDATE_GOLDENFILES").is_some();
    let mut wrong = Vec::new();
    for (name, text) in found {
        let path = kept.join(format!("{name}.txt"));
        if update {
            std::fs::write(&path, text).unwrap();
        }
        let told = std::fs::read_to_string(&path).unwrap_or_default();
        if told != *text {
            wrong.push(format!("{name}\n--- told\n{told}--- found\n{text}"));
        }
    }
    wrong
}

#[test]
fn every_example_comes_to_what_is_told() {
    let examples = examples();
    let names: BTreeSet<&str> = examples.keys().map(String::as_str).collect();
    assert_eq!(names, BTreeSet::from(LITERATURE));
    let told = |(name, args): (&String, &Vec<String>)| {
        let Said { code, out, err } = at_the_root(args);
        let why = if code == Some(0) { String::new() } else { format!("{code:?} {err}") };
        (name.clone(), out + &why)
    };
    let found: BTreeMap<String, String> = examples.iter().map(told).collect();
    for (name, text) in &found {
        assert!(text.lines().all(|line| line.chars().count() <= 100), "{name}:\n{text}");
        assert!(!text.contains('\x1b'), "{name} is in colour");
    }
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sim");
    let wrong = compare(&found, &kept);
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn canary_an_example_that_comes_to_something_else_is_noticed() {
    let args = ["sim", "examples/scripts/fsync.ondisk", "--cut", "all", "--drive", "lies"];
    let text = at_the_root(&args.map(str::to_owned)).expect(1, &[]).out;
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sim/fsync.txt");
    assert_ne!(std::fs::read_to_string(kept).unwrap(), text);
}

/// The verdicts by acknowledgement and model.
fn verdicts(said: &Said) -> BTreeMap<(String, String), String> {
    let json = said.json();
    let acks = json["acks"].as_array().unwrap();
    let text = |row: &Value, field: &str| row[field].as_str().unwrap().to_owned();
    acks.iter().map(|row| ((text(row, "ack"), text(row, "model")), text(row, "lost"))).collect()
}

fn sim(script: &str, args: &[&str]) -> Said {
    let args: Vec<&str> = ["sim", "-", "--json"].iter().chain(args).copied().collect();
    ondisk_reading(args, script.as_bytes())
}

#[test]
fn the_json_has_one_row_for_each_acknowledgement_and_model() {
    let script = "open f create; write f \"A\"; ack \"in the buffer\"; flush f; ack \"flushed\"
        fsync f; ack \"synced\"; fsyncdir .; ack \"named\"";
    let said = sim(script, &["--cut", "all"]).expect(0, &[]);
    let json = said.json();
    assert_eq!((&json["ondisk"], &json["v"]), (&"sim".into(), &1.into()));
    let rows = json["acks"].as_array().unwrap();
    assert_eq!(rows.len(), 4 * 9);
    for row in rows {
        let (lost, story) = (row["lost"].as_str().unwrap(), row["story"].as_str().unwrap());
        assert!(["never", "sometimes", "always"].contains(&lost), "{row}");
        assert_eq!(story.is_empty(), lost == "never", "{row}");
        assert!(row["states"].as_u64().unwrap() > 0, "{row}");
    }
    let told = verdicts(&said);
    let models: BTreeSet<&str> = told.keys().map(|(_, model)| model.as_str()).collect();
    assert_eq!(models, BTreeSet::from(MODELS));
    for model in MODELS {
        let lost = |ack: &str| told[&(ack.to_owned(), model.to_owned())].as_str();
        assert_eq!(lost("in the buffer"), "sometimes", "{model}");
        assert_eq!(lost("flushed"), "sometimes", "{model}");
        assert_eq!(lost("synced"), if model == "posix" { "sometimes" } else { "never" }, "{model}");
        assert_eq!(lost("named"), "never", "{model}");
    }
}

#[test]
fn models_are_judged_that_are_named_and_no_others() {
    let script = "open f create; write f \"A\"; fsync f; ack \"A\"";
    let named = ["--cut", "all", "--model", "xfs", "--model", "strict,ext4:journal"];
    let told = verdicts(&sim(script, &named));
    let models: Vec<&str> = told.keys().map(|(_, model)| model.as_str()).collect();
    assert_eq!(models, ["ext4:journal", "strict", "xfs"]);
    assert!(told.values().all(|lost| lost == "always"), "{told:?}");
}

#[test]
fn a_kill_a_crash_and_a_cut_take_different_things() {
    let script = "open f create; write f \"A\"; flush f; fsync f; fsyncdir .; ack \"A\"";
    let lost = |args: &[&str]| {
        let args: Vec<&str> = args.iter().chain(&["--model", "posix"]).copied().collect();
        verdicts(&sim(script, &args)).into_values().next().unwrap()
    };
    for death in ["--cut", "--crash", "--kill"] {
        assert_eq!(lost(&[death, "all"]), "never");
    }
    assert_eq!(lost(&["--cut", "all", "--drive", "lies"]), "sometimes");
    assert_eq!(lost(&["--crash", "all", "--drive", "lies"]), "never");
    assert_eq!(lost(&["--kill", "all", "--drive", "lies"]), "never");
}

/// The number of the event at which something was done that begins so.
fn event(told: &Value, what: &str) -> u64 {
    let events = told["events"].as_array().unwrap();
    let found = events.iter().find(|event| event["what"].as_str().unwrap().starts_with(what));
    found.unwrap_or_else(|| panic!("no {what} in {told}"))["i"].as_u64().unwrap()
}

#[test]
fn one_event_may_be_named() {
    let script = "open f create; write f \"A\"; flush f; ack \"A\"; fsync f";
    let at = |event: u64, args: &[&str]| {
        let event = event.to_string();
        let all: Vec<&str> =
            ["--cut", &event, "--model", "ext4"].iter().chain(args).copied().collect();
        sim(script, &all)
    };
    let all = sim(script, &[]).json();
    assert_eq!(all["level"], "machine");
    let ack = event(&all, "ack");
    let told = at(ack, &[]).json();
    assert_eq!((&told["death"], &told["at"]), (&"cut".into(), &ack.to_string().into()));
    assert_eq!(told["acks"][0]["lost"], "sometimes");
    assert_eq!(
        (&told["machine"][0]["lost"], &told["files"][0]["may_be"][0]),
        (&"always".into(), &"absent".into())
    );
    let stored = at(event(&all, "fsync(3) = 0"), &[]).json();
    assert_eq!(
        (&stored["acks"][0]["lost"], &stored["machine"][0]["lost"]),
        (&"never".into(), &"never".into())
    );
    let before = at(event(&all, "openat"), &[]).json();
    assert_eq!(before["acks"].as_array().unwrap().len(), 0);
    let last = all["last"].as_u64().unwrap();
    for none in [0, last + 1] {
        let _ = at(none, &[]).expect(2, &[&format!("no event {none}"), &format!("1 to {last}")]);
    }
    // A set of states has events of its own, calls and acknowledgements alone.
    let told = at(3, &["--fs", "xfs"]).json();
    assert_eq!((&told["level"], &told["last"]), (&"operations".into(), &4.into()));
    assert_eq!(told["events"][3]["what"], "fsync #3 f");
    let _ = at(9, &["--fs", "xfs"]).expect(2, &["no event 9", "1 to 4"]);
}

#[test]
fn the_machine_tells_what_it_lost_beside_what_may_be_lost() {
    let script = "open f create; write f \"A\"; flush f; ack \"early\"; fsync f; ack \"A\"";
    let lost = |args: &[&str]| {
        let told = sim(script, args).expect(0, &[]).json();
        let all = told["machine"].as_array().unwrap().clone();
        assert_eq!(all.len(), 2);
        for row in &all {
            let number = |field: &str| row[field].as_u64().unwrap();
            assert!(number("deaths") > 0 && number("losses") <= number("deaths"), "{row}");
        }
        let safe = all[0]["safe_from"].as_u64();
        let within = |ack: &str| event(&told, &format!("ack {ack:?}"));
        if let Some(safe) = safe {
            assert!(within("early") <= safe && safe <= within("A"), "{told}");
        }
        (all[0]["lost"].as_str().unwrap().to_owned(), all[1]["lost"].as_str().unwrap().to_owned())
    };
    let two = |a: &str, b: &str| (a.to_owned(), b.to_owned());
    assert_eq!(lost(&["--cut", "all"]), two("sometimes", "never"));
    assert_eq!(lost(&["--crash", "all"]), two("sometimes", "never"));
    assert_eq!(lost(&["--kill", "all"]), two("never", "never"));
    assert_eq!(lost(&["--cut", "all", "--drive", "lies"]), two("sometimes", "sometimes"));
    assert_eq!(lost(&["--cut", "all", "--fs", "tmpfs"]), two("always", "always"));
    for drive in ["none", "capacitor"] {
        assert_eq!(lost(&["--cut", "all", "--drive", drive]), two("sometimes", "never"), "{drive}");
    }
    for scheduler in ["mq-deadline", "bfq"] {
        let told = lost(&["--cut", "all", "--scheduler", scheduler]);
        assert_eq!(told, two("sometimes", "never"), "{scheduler}");
    }
}

#[test]
fn a_network_file_system_is_judged_by_its_two_machines() {
    let script = "open f create; write f \"A\"; flush f; ack \"early\"; close f; ack \"A\"";
    let nfs = |args: &[&str]| {
        let all: Vec<&str> = ["--fs", "nfs"].iter().chain(args).copied().collect();
        verdicts(&sim(script, &all).expect(0, &[]))
    };
    let of = |ack: &str, model: &str| (ack.to_owned(), model.to_owned());
    let cut = nfs(&["--cut", "all"]);
    assert_eq!(cut.len(), 2);
    assert_eq!(cut[&of("early", "nfs")], "sometimes");
    assert_eq!(cut[&of("A", "nfs")], "never");
    let lies = nfs(&["--cut", "all", "--drive", "lies"]);
    assert_eq!(lies[&of("A", "nfs")], "sometimes", "a canary: the server's drive lies");
}

#[test]
fn what_nobody_syncs_comes_down_in_its_time() {
    let zeros =
        |wait: &str| format!("open f create; write f \"A\"*10000; flush f; wait {wait}; cut");
    for (wait, left) in [("1s", "absent"), ("7s", "\"\""), ("29s", "\"\""), ("45s", "\"A\"*10000")]
    {
        let told = sim(&zeros(wait), &[]).json();
        let files = told["files"].as_array().unwrap();
        let own = files.iter().find(|file| file["model"] == "this machine").unwrap();
        assert_eq!(own["may_be"], Value::from(vec![left]), "after {wait}");
    }
}

#[test]
fn a_timeline_is_written_and_the_same_run_writes_the_same_bytes() {
    let scratch = Scratch::new();
    let write = |name: &str, args: &[&str]| {
        let path = scratch.path().join(name);
        let given = [
            "sim",
            "examples/scripts/merge_and_reorder.ondisk",
            "--timeline",
            path.to_str().unwrap(),
        ];
        let all: Vec<String> = given.iter().chain(args).map(|arg| (*arg).to_owned()).collect();
        at_the_root(&all).fine();
        std::fs::read(path).unwrap()
    };
    let bfq = ["--scheduler", "bfq"];
    let one = write("one", &bfq);
    assert_eq!(one, write("two", &bfq));
    assert_ne!(one, write("three", &[]), "a canary: another machine");
    let timeline = Timeline::read(&mut one.as_slice()).unwrap();
    assert!(timeline.len() > 100 && timeline.header().script.contains("expect f"));
}

#[test]
fn a_timeline_that_cannot_be_written_is_told() {
    let script = b"open f create";
    let scratch = Scratch::new();
    let nowhere = scratch.path().join("no/such/dir");
    let nowhere = nowhere.to_str().unwrap();
    ondisk_reading(["sim", "-", "--timeline", nowhere], script)
        .expect(2, &[nowhere, "No such file"]);
    let states = ["sim", "-", "--fs", "xfs", "--timeline", nowhere];
    ondisk_reading(states, script).expect(2, &["--timeline", "xfs is a set of states"]);
    // A script that is none leaves no file.
    let path = scratch.path().join("timeline");
    ondisk_reading(["sim", "-", "--timeline", path.to_str().unwrap()], b"nonsense")
        .expect(2, &["1:1"]);
    assert!(!path.exists());
}

#[test]
fn steps_are_for_a_terminal() {
    for args in [&["--step"][..], &["--step", "--fs", "xfs"]] {
        let all = ["sim", "-"].iter().chain(args).copied();
        ondisk_reading(all, b"open f create").expect(2, &["--step", "terminal"]);
    }
    for other in [&["--json"][..], &["--cut", "all"]] {
        let all = ["sim", "-", "--step"].iter().chain(other).copied();
        ondisk_reading(all, b"open f create").expect(2, &["cannot be used with"]);
    }
}

/// An example's `expect` lists what its machine may leave, and is the whole set under its model; or
/// it says that it holds on the machine alone.
#[test]
fn what_an_example_expects_holds_on_both_levels_or_it_says_so() {
    for (name, args) in examples() {
        if args.iter().any(|arg| arg == "--fs") {
            continue;
        }
        let text = std::fs::read_to_string(root().join(&args[1])).unwrap();
        let alone = text.contains("# On the machine alone:");
        let with: Vec<String> = args.into_iter().chain(["--model".into(), "ext4".into()]).collect();
        let Said { code, out, .. } = at_the_root(&with);
        assert_eq!(code, Some(i32::from(alone)), "{name}\n{out}");
    }
}

#[test]
fn without_a_death_nothing_is_judged_and_the_rungs_are_told() {
    let script = "open f create; write f \"A\"; ack \"a\"; flush f; ack \"b\"; fsync f; ack \"c\"";
    let told = sim(script, &[]).json();
    assert!(told["death"].is_null());
    assert_eq!(told["acks"].as_array().unwrap().len(), 0);
    let rungs: Vec<&str> =
        told["rungs"].as_array().unwrap().iter().map(|it| it["rung"].as_str().unwrap()).collect();
    assert_eq!(rungs, ["buffered", "cached", "durable"]);
}

#[test]
fn an_expect_that_does_not_hold_is_exit_code_one_with_its_place() {
    let script = "open f create; write f \"A\"; flush f; fsync f; cut\nexpect f = \"B\"";
    let said = ondisk_reading(["sim", "-"], script.as_bytes()).expect(1, &[]);
    assert!(
        said.out.contains("-:2:1: expected f = \"B\"; found f = \"A\" (machine)"),
        "{}",
        said.out
    );
    let json = sim(script, &[]).expect(1, &[]).json();
    assert_eq!((&json["ok"], &json["unmet"][0]["line"]), (&false.into(), &2.into()));
    let both = sim(script, &["--model", "ext4,xfs"]).expect(1, &[]).json();
    let models: Vec<&Value> =
        both["unmet"].as_array().unwrap().iter().map(|it| &it["model"]).collect();
    assert_eq!(models, ["ext4", "xfs", "machine"]);
    // A loss is a result, no failure.
    let lossy = "open f create; write f \"A\"; ack \"A\"; cut";
    let _ = ondisk_reading(["sim", "-"], lossy.as_bytes()).expect(0, &[]);
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let args = ["sim", "examples/scripts/ordered_journaling.ondisk", "--cut", "all", "--json"];
    let run = || at_the_root(&args.map(str::to_owned)).fine();
    assert_eq!(run(), run());
}

#[test]
fn a_text_that_would_move_the_cursor_does_not() {
    let script =
        "open \"a\\x1b[2Jb\" create; write \"a\\x1b[2Jb\" \"A\"; ack \"\\x1b[31mred\"; cut";
    let said = ondisk_reading(["sim", "-"], script.as_bytes()).expect(0, &[]);
    assert!(!said.out.contains('\x1b'), "{:?}", said.out);
    assert!(said.out.contains("red"));
    let help = ondisk(["sim", "--help"]).fine();
    assert!(help.contains("--cut"));
}
