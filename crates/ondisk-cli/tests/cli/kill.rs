//! SIGKILL: whatever key `load` has printed is in the store afterwards, in every mode.
//!
//! Values are line numbers and keys recur, so the store's content says how many lines it holds, and
//! whether it holds exactly them.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

use crate::harness::{Scratch, Seeded, command, ondisk};

const KEYS: u64 = 97;

fn line(number: u64) -> String {
    let key = number.wrapping_mul(31) % KEYS;
    format!("key-{key:02}\t{number}\n")
}

/// What a store holds after so many lines.
fn model(lines: u64) -> BTreeMap<String, u64> {
    (1..=lines).map(|n| (line(n).split_once('\t').unwrap().0.to_owned(), n)).collect()
}

/// The judge: a store that is scanned after the kill holds exactly the first so many lines, and
/// they are no fewer than were told.
fn judge(told: u64, scan: &str) -> Result<(), String> {
    let pairs = scan.lines().map(|line| line.split_once('\t').unwrap());
    let held: BTreeMap<String, u64> =
        pairs.map(|(key, value)| (key.to_owned(), value.parse().unwrap())).collect();
    let lines = held.values().max().copied().unwrap_or(0);
    if held != model(lines) {
        return Err(format!("not the first {lines} lines, but {held:?}"));
    }
    if lines < told {
        return Err(format!("{told} lines were told, and {lines} are there"));
    }
    Ok(())
}

/// Feeds lines until the child is gone.
fn feed(mut input: ChildStdin) {
    for number in 1.. {
        if input.write_all(line(number).as_bytes()).is_err() {
            return;
        }
    }
}

/// Reads what the child tells, kills it behind so many lines, and answers how many it had told.
fn kill_behind(mut child: Child, told_before: u64) -> u64 {
    let input = child.stdin.take().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    std::thread::scope(|scope| {
        scope.spawn(|| feed(input));
        for number in 1..=told_before {
            let told = lines.next().unwrap().unwrap();
            assert_eq!(told, line(number).split_once('\t').unwrap().0);
        }
        child.kill().unwrap();
        child.wait().unwrap();
        // What stands in the pipe was told too.
        told_before + lines.map_while(Result::ok).count() as u64
    })
}

#[test]
fn every_printed_key_survives_a_kill() {
    let mut seeded = Seeded(11);
    for mode in ["sync", "batch:100", "batch:7,5ms", "none"] {
        for round in 0..6 {
            let scratch = Scratch::new();
            let db = &scratch.db();
            let load = command(["load", db, "--sync", mode]).stdin(Stdio::piped()).spawn().unwrap();
            let told = kill_behind(load, 1 + seeded.below(3000));
            // Twice: what a reader shows of a store that was not closed, and what a writer makes
            // of it, a commit later.
            judge(told, &ondisk(["scan", db]).fine())
                .unwrap_or_else(|lost| panic!("mode {mode}, round {round}: {lost}"));
            ondisk(["delete", db, "no such key"]).fine();
            judge(told, &ondisk(["scan", db]).fine())
                .unwrap_or_else(|lost| panic!("mode {mode}, round {round}, reopened: {lost}"));
            ondisk(["check", db]).fine();
        }
    }
}

/// Killed as soon as one of its files shows, mostly before the store stands: what is there is
/// nothing, or a store; and the next writer makes one, or opens it.
#[test]
fn a_kill_while_the_store_is_made_leaves_nothing_or_a_store() {
    let files = ["", "LOCK", "log", "log/anchor", "log/0000000001.log", "catalog"];
    let mut half_made = 0;
    for file in files.into_iter().cycle().take(24) {
        let scratch = Scratch::new();
        let db = &scratch.db();
        let mut load = command(["load", db]).stdin(Stdio::piped()).spawn().unwrap();
        while !Path::new(db).join(file).exists() && load.try_wait().unwrap().is_none() {
            std::thread::yield_now();
        }
        let told = kill_behind(load, 0);
        let scan = ondisk(["scan", db]);
        match scan.code {
            Some(0) => judge(told, &scan.out).unwrap(),
            _ => assert_eq!((scan.code, told), (Some(2), 0), "{file}: {scan:#?}"),
        }
        half_made += u32::from(scan.code == Some(2));
        ondisk(["put", db, "key", "value"]).fine();
        assert_eq!(ondisk(["get", db, "key"]).fine(), "value\n", "{file}");
        ondisk(["check", db]).fine();
    }
    assert!(half_made > 0, "no kill came in time: this test saw nothing");
}

const EARLY_LOADER: &str = "ONDISK_TEST_EARLY_LOADER";

/// A loader with the mistake that [`every_printed_key_survives_a_kill`] is there to catch: it
/// prints a key when it has read it, and commits by eights. Run by the test below, as a child.
#[test]
fn early_loader() {
    let Some(db) = std::env::var_os(EARLY_LOADER) else { return };
    let db = ondisk::Db::open(db).unwrap();
    let mut batch = ondisk::Batch::new();
    for line in std::io::stdin().lock().lines() {
        let line = line.unwrap();
        let (key, value) = line.split_once('\t').unwrap();
        batch = batch.put(key, value);
        // Past the test harness, which would keep it: the parent reads the other side's `stderr`.
        writeln!(std::io::stderr(), "{key}").unwrap();
        if batch.len() == 8 {
            db.batch(std::mem::take(&mut batch)).unwrap();
        }
    }
}

#[test]
fn a_loader_that_prints_too_early_is_caught() {
    let scratch = Scratch::new();
    let db = &scratch.db();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "kill::early_loader", "--nocapture"])
        .env(EARLY_LOADER, db)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    (1..=12).for_each(|number| input.write_all(line(number).as_bytes()).unwrap());
    // It has told twelve, committed eight, and waits for four more: dead before it gets them.
    let told = BufReader::new(child.stderr.take().unwrap()).lines().take(12).count() as u64;
    child.kill().unwrap();
    child.wait().unwrap();
    let verdict = judge(told, &ondisk(["scan", db]).fine());
    assert_eq!(verdict, Err("12 lines were told, and 8 are there".to_owned()));
}

#[test]
fn the_judge_sees_a_hole_and_a_stale_value() {
    let whole: String = model(200).iter().map(|(key, value)| format!("{key}\t{value}\n")).collect();
    assert_eq!(judge(200, &whole), Ok(()));
    assert!(judge(201, &whole).is_err());
    let hole: String = whole.lines().skip(1).map(|line| format!("{line}\n")).collect();
    assert!(judge(0, &hole).is_err());
    assert!(judge(0, &whole.replace("\t150\n", "\t53\n")).is_err());
}
