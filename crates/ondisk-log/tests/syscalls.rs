//! What the kernel is asked for per group, as a system call tracer sees it: in steady state one
//! durable write, or one write and one sync, on the segment, and nothing else anywhere.
//!
//! A child process (this binary again) commits between two marks, under `strace`. Without it one
//! line says that nothing was checked; where `CI` is set that is a failure.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::thread;

use ondisk_fs::{FileSystem, OsFs};
use ondisk_log::{Log, LogOptions, StoreId, SyncMode};

/// Commits between the marks.
const COMMITS: usize = 200;
const RECORD: [u8; 100] = [0x5A; 100];
/// Room for all of them in one segment, half of it to spare.
const SEGMENT: u64 = 4 << 20;

/// Tells a test that runs as a child process where to work.
const CHILD: &str = "ONDISK_LOG_TEST_CHILD";
/// How the child says, to who reads the recording, that something begins or ends.
const MARK: &str = "/ondisk-mark-";

/// Everything by which bytes get to a file or to the disk, and what tells descriptors and marks.
const TRACED: &str = "trace=openat,statx,newfstatat,write,writev,pwrite64,pwritev,pwritev2,\
                      fdatasync,fsync,sync,syncfs,sync_file_range,msync,fallocate,ftruncate,\
                      io_uring_enter,io_submit";

fn mark(name: &str) {
    OsFs.kind(format!("{MARK}{name}").as_ref()).unwrap();
}

/// Commits from so many threads in the middle of a prepared segment, between two marks.
fn commit_between_marks(dir: &Path, committers: usize) {
    let options = LogOptions { first_segment: SEGMENT, ..LogOptions::default() };
    let dir = dir.join("log");
    let log = Log::create(Arc::new(OsFs), &dir, StoreId(*b"a log is watched"), options);
    let log = log.unwrap().finish().unwrap();
    log.append(&RECORD, SyncMode::Sync).unwrap(); // opens the log, and the second descriptor
    let before = log.stats();
    mark("begin");
    thread::scope(|scope| {
        for _ in 0..committers {
            scope.spawn(|| {
                for _ in 0..COMMITS / committers {
                    log.append(&RECORD, SyncMode::Sync).unwrap();
                }
            });
        }
    });
    let after = log.stats();
    mark(&format!("end-{}", after.groups - before.groups));
}

#[test]
fn child_with_one_committer() {
    let Some(dir) = std::env::var_os(CHILD) else { return };
    commit_between_marks(dir.as_ref(), 1);
}

#[test]
fn child_with_four_committers() {
    let Some(dir) = std::env::var_os(CHILD) else { return };
    commit_between_marks(dir.as_ref(), 4);
}

/// What must be noticed: two writes for each group.
#[test]
fn child_that_writes_header_and_records() {
    let Some(dir) = std::env::var_os(CHILD) else { return };
    let file = OsFs.create_new(&Path::new(&dir).join("0000000001.log")).unwrap();
    mark("begin");
    for at in (0..).step_by(4096).take(COMMITS) {
        file.write_all_at(&[1; 80], at).unwrap();
        file.write_all_at(&RECORD, at + 80).unwrap();
        file.sync_data().unwrap();
    }
    mark(&format!("end-{COMMITS}"));
}

/// What must be noticed: a write that nobody syncs.
#[test]
fn child_that_never_syncs() {
    let Some(dir) = std::env::var_os(CHILD) else { return };
    let file = OsFs.create_new(&Path::new(&dir).join("0000000001.log")).unwrap();
    mark("begin");
    for at in (0..).step_by(4096).take(COMMITS) {
        file.write_all_at(&RECORD, at).unwrap();
    }
    mark(&format!("end-{COMMITS}"));
}

/// Straight to the descriptor: the harness keeps what a passing test prints.
fn say(what: &str) {
    let mut stderr = std::io::stderr();
    writeln!(stderr, "suite syscalls: {what}").unwrap();
}

/// The recording of a child; `None` where there is no tracer.
fn record(child: &str) -> Option<String> {
    let dir = tempfile::tempdir().unwrap();
    let recording: PathBuf = dir.path().join("strace");
    let mut strace = Command::new("strace");
    strace.args(["-f", "-y", "-e", TRACED, "-o"]).arg(&recording);
    strace.arg(std::env::current_exe().unwrap()).args(["--exact", child, "--nocapture"]);
    let output = strace.env(CHILD, dir.path()).output();
    if output.is_ok_and(|output| output.status.success()) {
        return Some(std::fs::read_to_string(recording).unwrap());
    }
    assert!(std::env::var_os("CI").is_none(), "strace does not run here");
    say(&format!("not checked, strace does not run here ({child})"));
    None
}

/// A call of a recording: its name, its first descriptor and that one's path.
struct Call<'a> {
    name: &'a str,
    descriptor: &'a str,
    path: &'a str,
}

impl<'a> Call<'a> {
    /// Of `1234  pwrite64(5</tmp/x>, …`; `None` for the second half of a call that was
    /// interrupted, and for what is no call.
    fn parse(line: &'a str) -> Option<Self> {
        let call = line.trim_start_matches(|c: char| c.is_ascii_digit()).trim_start();
        let (name, rest) = call.split_once('(')?;
        let named =
            !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        let (descriptor, rest) = rest.split_once('<').unwrap_or((rest, ""));
        let path = rest.split('>').next().unwrap_or("");
        named.then_some(Self { name, descriptor, path })
    }
}

/// The descriptors that were opened so that a write returns when it is durable.
fn durable_descriptors(recording: &str) -> BTreeSet<&str> {
    let opened = recording.lines().filter(|line| {
        line.contains("openat(") && (line.contains("O_DSYNC") || line.contains("O_SYNC"))
    });
    opened.filter_map(|line| line.rsplit_once("= ")?.1.split('<').next()).map(str::trim).collect()
}

/// Judges what stands between the marks of a recording; the groups, or what is wrong.
fn judge(recording: &str) -> Result<usize, String> {
    let durable = durable_descriptors(recording);
    let begin = format!("{MARK}begin\"");
    let between = recording
        .lines()
        .skip_while(|line| !line.contains(&begin))
        .take_while(|line| !line.contains(&format!("{MARK}end-")))
        .filter(|line| !line.contains(MARK));
    let end = recording.split_once(&format!("{MARK}end-")).ok_or("no end")?.1;
    let groups: usize = end.split('"').next().and_then(|n| n.parse().ok()).ok_or("no count")?;
    let (mut writes, mut durable_writes, mut syncs) = (0, 0, 0);
    for call in between.filter_map(Call::parse) {
        if call.name == "openat" || call.name == "statx" || call.name == "newfstatat" {
            continue; // threads that start read what they need
        }
        if !call.path.ends_with("0000000001.log") {
            return Err(format!("{} on {}{}", call.name, call.descriptor, call.path));
        }
        match call.name {
            "pwrite64" if durable.contains(call.descriptor) => durable_writes += 1,
            "pwrite64" => writes += 1,
            "fdatasync" | "fsync" => syncs += 1,
            other => return Err(format!("{other} on the segment")),
        }
    }
    if writes + durable_writes == groups && syncs == writes {
        return Ok(groups);
    }
    Err(format!(
        "{groups} groups, {durable_writes} durable writes, {writes} other writes, {syncs} syncs"
    ))
}

#[test]
fn a_group_of_one_committer_is_one_durable_write_or_one_write_and_one_sync() {
    let Some(recording) = record("child_with_one_committer") else { return };
    assert_eq!(judge(&recording), Ok(COMMITS));
    say(&format!("{COMMITS} commits of one committer, as many groups"));
}

#[test]
fn a_group_of_several_committers_is_too() {
    let Some(recording) = record("child_with_four_committers") else { return };
    let groups = judge(&recording).unwrap();
    assert!(groups <= COMMITS, "{groups} groups for {COMMITS} commits");
    say(&format!("{COMMITS} commits of four committers, {groups} groups"));
}

#[test]
fn what_writes_twice_or_never_syncs_is_noticed() {
    let Some(recording) = record("child_that_writes_header_and_records") else { return };
    let said = judge(&recording).unwrap_err();
    assert_eq!(said, "200 groups, 0 durable writes, 400 other writes, 200 syncs");
    let Some(recording) = record("child_that_never_syncs") else { return };
    let said = judge(&recording).unwrap_err();
    assert_eq!(said, "200 groups, 0 durable writes, 200 other writes, 0 syncs");
}
