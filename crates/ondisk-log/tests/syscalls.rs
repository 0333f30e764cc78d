//! What a commit costs in system calls: in steady state one durable write for each group, on the
//! segment's descriptor, and nothing else.
//!
//! A child of this test commits under `strace` between two marks. Where strace is missing the test
//! says so in one line; with `CI` set it then fails.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use ondisk_fs::OsFs;
use ondisk_log::{Log, LogOptions, StoreId, SyncMode};

const CALLS: &str =
    "pwrite64,pwritev,pwritev2,write,writev,fdatasync,fsync,sync_file_range,ftruncate,fallocate";

/// Not a test of its own: what the child does, under strace.
#[test]
fn child() {
    let Ok(dir) = std::env::var("ONDISK_LOG_CHILD") else { return };
    let committers: usize = std::env::var("ONDISK_LOG_COMMITTERS").unwrap().parse().unwrap();
    let wasteful = std::env::var("ONDISK_LOG_WASTEFUL").is_ok();
    let options = LogOptions { first_segment: 16 << 20, ..LogOptions::default() };
    let fs = Arc::new(OsFs);
    let log = Log::create(fs, &Path::new(&dir).join("log"), StoreId([9; 16]), options).unwrap();
    let log = log.finish().unwrap();
    for _ in 0..20 {
        log.append(&[7; 100], SyncMode::Sync).unwrap();
    }
    let before = log.stats().groups;
    let mark = |text: &str| std::io::stderr().write_all(text.as_bytes()).unwrap();
    mark("BEGIN\n");
    std::thread::scope(|scope| {
        for _ in 0..committers {
            scope.spawn(|| {
                for _ in 0..200 / committers {
                    if wasteful {
                        log.append(&[7; 100], SyncMode::None).unwrap();
                        log.sync().unwrap();
                    } else {
                        log.append(&[7; 100], SyncMode::Sync).unwrap();
                    }
                }
            });
        }
    });
    mark(&format!("END groups {}\n", log.stats().groups - before));
}

/// Runs the child; what it did between its marks: groups, writes, syncs, descriptors.
struct Seen {
    groups: usize,
    writes: usize,
    syncs: usize,
    descriptors: usize,
}

fn trace(committers: usize, wasteful: bool) -> Option<Seen> {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("strace");
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-s", "64", "-e", &format!("trace={CALLS}"), "-o"]);
    command.arg(&log).arg(std::env::current_exe().unwrap());
    command.args(["--exact", "child", "--nocapture", "--test-threads=1"]);
    command.env("ONDISK_LOG_CHILD", dir.path());
    command.env("ONDISK_LOG_COMMITTERS", committers.to_string());
    if wasteful {
        command.env("ONDISK_LOG_WASTEFUL", "1");
    }
    let Ok(output) = command.output() else { return None };
    if !output.status.success() {
        return None; // strace is there and may not trace
    }
    let text = std::fs::read_to_string(log).unwrap();
    let mut seen = Seen { groups: 0, writes: 0, syncs: 0, descriptors: 0 };
    let mut descriptors = std::collections::BTreeSet::new();
    let between = text.lines().skip_while(|line| !line.contains("BEGIN")).skip(1);
    for line in between {
        if let Some((_, rest)) = line.split_once("END groups ") {
            let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
            seen.groups = digits.parse().unwrap();
            seen.descriptors = descriptors.len();
            return Some(seen);
        }
        let Some((_, call)) = line.split_once(' ') else { continue };
        let Some((name, arguments)) = call.trim_start().split_once('(') else { continue };
        let descriptor = arguments.split([',', ')']).next().unwrap_or_default();
        descriptors.insert(descriptor.trim().to_owned());
        match name.contains("sync") {
            true => seen.syncs += 1,
            false => seen.writes += 1,
        }
    }
    panic!("the child did not come to its end:\n{text}");
}

fn is_thrifty(seen: &Seen) -> bool {
    // One durable write, or one write and one sync.
    let one_call = seen.syncs == 0 && seen.descriptors == 1;
    seen.groups > 0 && seen.writes == seen.groups && (one_call || seen.syncs == seen.groups)
}

#[test]
fn a_group_is_one_durable_write_on_the_segments_descriptor() {
    for committers in [1, 4] {
        let Some(seen) = trace(committers, false) else {
            let skipped = "syscalls: skipped, no strace here that may trace";
            assert!(std::env::var("CI").is_err(), "{skipped}");
            eprintln!("{skipped}");
            return;
        };
        let Seen { groups, writes, syncs, descriptors } = seen;
        let line = format!(
            "suite syscalls: {committers} committers, 200 commits: {groups} groups, {writes} \
             writes, {syncs} syncs, {descriptors} descriptors\n"
        );
        std::io::stderr().write_all(line.as_bytes()).unwrap();
        assert!(is_thrifty(&seen), "{line}");
        assert!(committers > 1 || groups == 200, "{line}");
    }
}

#[test]
fn canary_a_write_more_for_each_group_is_noticed() {
    if let Some(seen) = trace(1, true) {
        assert!(!is_thrifty(&seen));
    }
}
