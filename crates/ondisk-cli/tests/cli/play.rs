//! `ondisk play`: what it takes, what it refuses at its place, and what stands in the page.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::harness::{Said, Scratch, command, ondisk, ondisk_reading, played};

const SCRIPT: &str = "open f create; write f \"A</script>\"; flush f; ack \"said\"\n";

fn read(path: impl AsRef<Path>) -> String {
    std::fs::read_to_string(path).unwrap()
}

/// A file in a directory, by its text.
fn file(scratch: &Scratch, name: &str, text: &str) -> String {
    let path = scratch.path().join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

/// Runs it where temporary files go to a directory of the test.
fn play(scratch: &Scratch, args: &[&str]) -> Said {
    let mut command = command(["play"].iter().chain(args));
    command.env("TMPDIR", scratch.path()).env_remove("BROWSER").output().unwrap().into()
}

/// The timeline of a script.
fn timeline(scratch: &Scratch) -> String {
    let path = scratch.path().join("run.timeline");
    let path = path.to_str().unwrap().to_owned();
    ondisk_reading(["sim", "-", "--timeline", &path], SCRIPT.as_bytes()).fine();
    path
}

#[test]
fn without_an_argument_it_is_the_opening_scene() {
    let scratch = Scratch::new();
    let out = play(&scratch, &[]).fine();
    let path = scratch.path().join("ondisk-play.html");
    assert_eq!(out, format!("{}\n", path.display()));
    assert!(read(&path).starts_with("<!doctype html>"));
    assert!(!read(&path).contains("id=\"ondisk-data\""));
    let told = play(&scratch, &["--json"]).json();
    let nothing = Value::Null;
    assert_eq!(
        told,
        json!({
            "ondisk": "play", "v": 1, "plays": "opening", "name": nothing,
            "cut_off": false, "page": path, "url": nothing,
        })
    );
}

#[test]
fn a_script_goes_into_the_page_with_its_machine() {
    let scratch = Scratch::new();
    let script = file(&scratch, "a story.ondisk", SCRIPT);
    let options = ["--fs", "ext4", "--mount", "journal,nodelalloc", "--scheduler", "bfq"];
    let more =
        ["--drive", "lies", "--profile", "python3.14:bytes", "--seed", "18446744073709551615"];
    let args: Vec<&str> = [script.as_str()].into_iter().chain(options).chain(more).collect();
    let out = play(&scratch, &args).fine();
    let path = scratch.path().join("ondisk-play-a-story.html");
    assert_eq!(out, format!("{}\n", path.display()));
    let knobs = json!({
        "fs": "ext4", "mount": "journal,nodelalloc", "scheduler": "bfq", "drive": "lies",
        "profile": "python3.14:bytes", "seed": "18446744073709551615",
    });
    let told =
        json!({ "kind": "script", "name": "a story.ondisk", "text": SCRIPT, "knobs": knobs });
    assert_eq!(played(&read(&path)), told);
}

#[test]
fn what_is_played_is_told_apart_by_what_it_holds() {
    let scratch = Scratch::new();
    let (html, timeline) = (scratch.path().join("p.html"), timeline(&scratch));
    let html = html.to_str().unwrap();
    let misnamed = file(&scratch, "run.ondisk", &read(&timeline));
    let out = play(&scratch, &[&misnamed, "--html", html]).expect(0, &[]);
    assert_eq!((out.out.as_str(), out.err.as_str()), (format!("{html}\n").as_str(), ""));
    let told = json!({ "kind": "timeline", "name": "run.ondisk", "text": read(&timeline) });
    assert_eq!(played(&read(html)), told);
    let misnamed = file(&scratch, "a.timeline", SCRIPT);
    play(&scratch, &[&misnamed, "--html", html]).fine();
    assert_eq!(played(&read(html))["kind"], "script");
    let piped = ondisk_reading(["play", "-", "--html", html], SCRIPT.as_bytes());
    piped.fine();
    assert_eq!(played(&read(html))["name"], "standard input");
}

#[test]
fn a_timeline_that_was_cut_off_is_played_and_that_is_said() {
    let scratch = Scratch::new();
    let whole = read(timeline(&scratch));
    let lines: Vec<&str> = whole.split_inclusive('\n').collect();
    assert!(lines.len() > 9);
    for cut in [lines[..1].concat(), lines[..9].concat(), whole.trim_end().to_owned()] {
        let path = file(&scratch, "cut.timeline", &cut);
        let said = play(&scratch, &[&path, "--json"]).expect(0, &["cut.timeline", "was cut off"]);
        assert_eq!(said.json()["cut_off"], true);
    }
}

#[test]
fn what_is_neither_is_refused_at_its_place() {
    let first = |line: &str| format!("{line}\n{{\"end\":0}}\n");
    let cases = [
        (first("{\"ondisk\":\"timeline\",\"v\":2}"), "1:1", "version 2, and this ondisk reads"),
        (first("{\"ondisk\":\"timeline\"}"), "1:", "missing field `v`"),
        (first("{\"ondisk\":\"demo\",\"v\":1}"), "1:1", "expected a timeline"),
        (first("{\"ondisk\":\"timeline\",\"v\":-1}"), "1:27", "invalid value"),
        ("{".to_owned(), "1:1", "no script and no timeline"),
        (format!("{{{}\n", " ".repeat(8 << 20)), "1:1", "8388608 bytes"),
        ("open f create\nwritet f \"A\"".to_owned(), "2:1", "did you mean `write`"),
        ("cut\nopen f create".to_owned(), "2:1", "the machine is dead"),
        ("repeat 1000 { repeat 1000 { write f \"A\" } }".to_owned(), "1:1", "repeat less"),
        ("#".repeat(1 << 20), "1:1", "over 262144 bytes"),
    ];
    for (text, place, what) in cases {
        let said = ondisk_reading(["play", "-", "--html", "/dev/null"], text.as_bytes());
        let said = said.expect(2, &[what]);
        assert!(said.err.starts_with(&format!("-:{place}")), "{place}: {said:#?}");
        assert!(said.out.is_empty() && said.err.len() < 1000, "{said:#?}");
    }
    let said = ondisk_reading(["play", "-"], b"open f create\n# \xff").expect(2, &["UTF-8"]);
    assert!(said.err.starts_with("-:2:3: "), "{said:#?}");
    let scratch = Scratch::new();
    let none = scratch.path().join("none").to_str().unwrap().to_owned();
    play(&scratch, &[&none]).expect(2, &[&none, ":1:1: ", "cannot be read", "No such file"]);
}

#[test]
fn options_that_nothing_would_obey_are_refused() {
    let scratch = Scratch::new();
    let timeline = timeline(&scratch);
    for option in [["--fs", "xfs"], ["--drive", "lies"], ["--seed", "2"], ["--profile", "c"]] {
        play(&scratch, &option).expect(2, &["no SCRIPT is given"]);
        let said = play(&scratch, &[&timeline, option[0], option[1]]);
        said.expect(2, &["run.timeline", "a timeline has a machine of its own"]);
    }
    play(&scratch, &["--html", "p.html", "--serve"]).expect(2, &["cannot be used with"]);
    play(&scratch, &["--serve=nine"]).expect(2, &["--serve"]);
}

#[test]
fn a_page_that_cannot_be_written_is_said() {
    let scratch = Scratch::new();
    let dir = scratch.path().to_str().unwrap();
    play(&scratch, &["--html", dir]).expect(2, &[dir, "the page cannot be written", "directory"]);
    let said = command(["play"]).env("TMPDIR", "/no/such/directory").output().unwrap();
    Said::from(said).expect(2, &["/no/such/directory/ondisk-play.html", "cannot be written"]);
}

#[test]
fn a_browser_is_given_the_page_as_one_argument() {
    let scratch = Scratch::new();
    let told = scratch.path().join("told");
    let browser =
        file(&scratch, "browser", &format!("#!/bin/sh\necho \"$#:$1\" > {}\n", told.display()));
    std::process::Command::new("chmod").args(["+x", &browser]).status().unwrap();
    let script = file(&scratch, "a; touch b.ondisk", SCRIPT);
    let open = |browser: &str| -> Said {
        let mut command = command(["play", &script, "--open", "--html", "a; touch c.html"]);
        command.current_dir(scratch.path()).env("BROWSER", browser).output().unwrap().into()
    };
    open(&browser).fine();
    let page = scratch.path().join("a; touch c.html");
    assert_eq!(read(&told), format!("1:{}\n", page.display()));
    let said = open("/no/such/browser").expect(2, &["/no/such/browser does not open", "BROWSER"]);
    assert_eq!(said.out, "a; touch c.html\n", "the page is there all the same");
    open("false").expect(2, &["exit status: 1"]);
}

/// The page that `sim` writes beside what it says.
fn page_of_sim(args: &[&str]) -> Value {
    let scratch = Scratch::new();
    let html: PathBuf = scratch.path().join("p.html");
    let all =
        ["sim", "-", "--html", html.to_str().unwrap()].into_iter().chain(args.iter().copied());
    let with = ondisk_reading(all, SCRIPT.as_bytes()).fine();
    let without = ["sim", "-"].into_iter().chain(args.iter().copied());
    assert_eq!(with, ondisk_reading(without, SCRIPT.as_bytes()).fine(), "the page changes no word");
    played(&read(html))
}

#[test]
fn sim_writes_a_page_that_opens_at_the_death() {
    let page = page_of_sim(&["--cut", "5", "--drive", "lies", "--seed", "3"]);
    assert_eq!((&page["at"], &page["death"]), (&5.into(), &"cut".into()));
    assert_eq!((&page["knobs"]["drive"], &page["knobs"]["seed"]), (&"lies".into(), &"3".into()));
    assert_eq!(page["text"], SCRIPT);
    assert_eq!(page_of_sim(&["--kill", "2"])["death"], "kill");
    assert_eq!(page_of_sim(&["--crash", "2"])["death"], "crash");
    for args in [&["--cut", "all"][..], &[], &["--fs", "xfs", "--cut", "2"]] {
        let page = page_of_sim(args);
        assert!(page.get("at").is_none() && page.get("death").is_none(), "{page}");
    }
    let args = ["sim", "-", "--cut", "9999", "--html", "/no/such/directory/p.html"];
    ondisk_reading(args, SCRIPT.as_bytes()).expect(2, &["there is no event 9999"]);
    let args = ["sim", "-", "--html", "/no/such/directory/p.html"];
    let said = ondisk_reading(args, SCRIPT.as_bytes());
    let said = said.expect(2, &["/no/such/directory/p.html: the page cannot be written"]);
    assert!(said.out.is_empty());
}

#[test]
fn the_help_says_what_a_page_is_for() {
    let help = ondisk(["play", "--help"]).fine();
    for word in ["[SCRIPT|TIMELINE]", "--serve[=<PORT>]", "--open", "--html <FILE>", "Exit codes:"]
    {
        assert!(help.contains(word), "{word}:\n{help}");
    }
    assert!(help.lines().all(|line| line.chars().count() <= 80), "{help}");
}
