//! The real file system where the contract of the seam cannot reach: other processes, links, and
//! the rungs of the medium.

#[cfg(target_os = "linux")]
mod linux;

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use super::*;
use crate::{Blocks, replace_atomic};

/// Tells a test that runs as a child process of another what to work on.
const CHILD: &str = "ONDISK_FS_TEST_CHILD";

/// This test binary, about to run one of its tests with nothing between it and its output.
fn child(mut command: Command, test: &str, path: &Path) -> Command {
    command.args(["--exact", &format!("os::tests::{test}"), "--nocapture"]).env(CHILD, path);
    command
}

fn this_binary() -> Command {
    Command::new(std::env::current_exe().unwrap())
}

fn child_path() -> Option<PathBuf> {
    std::env::var_os(CHILD).map(PathBuf::from)
}

/// What a sync reaches on the file system under a path.
fn reached(path: &Path) -> Rung {
    let medium = Nature::of_path(path).unwrap().medium;
    SyncPlan::HERE.all[0].reaches(crate::Platform::HERE, medium)
}

#[test]
fn a_sync_names_the_rung_that_the_medium_has() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("f");
    assert_eq!(replace_atomic(&OsFs, &path, b"x").unwrap(), reached(dir.path()));
    let file = OsFs.open(&path, Access::ReadWrite).unwrap();
    let blocks = Blocks::zeroed(1);
    assert_eq!(file.write_durable(blocks.blocks(0..1), 0).unwrap(), reached(dir.path()));
}

#[test]
fn links_are_followed_but_shown_in_a_list() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    OsFs.create_dir(&path("dir")).unwrap();
    std::os::unix::fs::symlink(path("dir"), path("link")).unwrap();
    std::os::unix::fs::symlink(path("nowhere"), path("loose")).unwrap();
    assert_eq!(OsFs.kind(&path("link")).unwrap(), Some(Kind::Dir));
    assert_eq!(OsFs.kind(&path("loose")).unwrap(), Some(Kind::Other));
    let kinds: Vec<Kind> = OsFs.list(dir.path()).unwrap().iter().map(|entry| entry.kind).collect();
    assert_eq!(kinds, [Kind::Dir, Kind::Other, Kind::Other]);
}

/// Holds a lock until its input ends, and says when it has it.
#[test]
fn child_that_locks() {
    let Some(path) = child_path() else { return };
    let (path, mode) = match path.to_str().unwrap().split_once(':').unwrap() {
        ("shared", path) => (path, LockMode::Shared),
        (_, path) => (path, LockMode::Exclusive),
    };
    let held = OsFs.lock(path.as_ref(), mode).unwrap();
    eprintln!("locked"); // the other stream is the harness's
    std::io::stdin().read_line(&mut String::new()).unwrap();
    drop(held);
}

/// Starts a process that holds the lock when this returns.
fn locker(path: &Path, mode: &str) -> Child {
    let path = format!("{mode}:{}", path.display());
    let mut command = child(this_binary(), "child_that_locks", path.as_ref());
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap() == "locked"), "the child did not get the lock");
    child
}

#[track_caller]
fn holder_of(path: &Path, mode: LockMode) -> Option<u32> {
    match OsFs.lock(path, mode) {
        Err(LockError::Held { path: named, pid }) => {
            assert_eq!(named, path);
            pid
        }
        other => panic!("it should be held: {other:?}"),
    }
}

#[test]
fn a_second_process_is_told_who_holds_the_lock() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lock");
    let mut child = locker(&path, "exclusive");
    assert_eq!(holder_of(&path, LockMode::Exclusive), Some(child.id()));
    assert_eq!(holder_of(&path, LockMode::Shared), Some(child.id()));
    let message = OsFs.lock(&path, LockMode::Exclusive).unwrap_err().to_string();
    assert_eq!(message, format!("{} is locked by process {}", path.display(), child.id()));
    // However it dies, the lock is free.
    child.kill().unwrap();
    child.wait().unwrap();
    drop(OsFs.lock(&path, LockMode::Exclusive).unwrap());
}

#[test]
fn a_reader_is_named_and_a_writer_that_is_gone_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lock");
    let mut writer = locker(&path, "exclusive");
    writer.kill().unwrap();
    writer.wait().unwrap(); // its number is still in the file
    let mut reader = locker(&path, "shared");
    let named = holder_of(&path, LockMode::Exclusive);
    if cfg!(target_os = "linux") {
        assert_eq!(named, Some(reader.id()));
    } else {
        assert_eq!(named, None);
    }
    drop(reader.stdin.take());
    assert!(reader.wait().unwrap().success());
    drop(OsFs.lock(&path, LockMode::Exclusive).unwrap());
}

#[test]
fn the_locks_file_keeps_its_size() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lock");
    let held = OsFs.lock(&path, LockMode::Exclusive).unwrap();
    let file = OsFs.open(&path, Access::Read).unwrap();
    let mut line = [0; 11];
    file.read_exact_at(&mut line, 0).unwrap();
    assert_eq!(std::str::from_utf8(&line).unwrap().trim(), std::process::id().to_string());
    drop(held);
    file.read_exact_at(&mut line, 0).unwrap();
    assert_eq!(&line, b"          \n");
    assert_eq!(file.size().unwrap(), 11);
}

#[test]
fn a_locked_file_in_a_directory_that_is_not_writable_is_an_error_with_its_path() {
    let path = Path::new("/proc/self/ondisk-lock");
    match OsFs.lock(path, LockMode::Exclusive) {
        Err(LockError::Io { path: named, .. }) => assert_eq!(named, path),
        other => panic!("nothing can be created there: {other:?}"),
    }
}
