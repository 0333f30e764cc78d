//! Inside one prepared segment a commit drags no commit of the file system's journal along, but
//! for the timer's one each 5 s (`commit=5`, ext4's default).
//!
//! Needs root and a loop device: an ext4 of its own, whose journal counts its transactions in
//! `/proc/fs/jbd2`. Where that is not possible it prints *not checked*; with `CI` set it then fails
//! if there are root and loop devices: then it should have been.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![expect(clippy::disallowed_methods, reason = "makes a file system, and reads a clock")]

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use ondisk_fs::{FileSystem, OsFs};
use ondisk_log::{Log, LogOptions, StoreId, SyncMode};

/// An ext4 on a loop device, until this is dropped.
struct Ext4 {
    dir: tempfile::TempDir,
    device: String,
}

fn run(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

impl Ext4 {
    fn make() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let image = dir.path().join("image").display().to_string();
        run("truncate", &["-s", "192M", &image])?;
        let eager = "lazy_itable_init=0,lazy_journal_init=0";
        run("mkfs.ext4", &["-q", "-F", "-b", "4096", "-E", eager, &image])?;
        let device = run("losetup", &["--find", "--show", &image])?;
        std::fs::create_dir(dir.path().join("mount")).unwrap();
        let ext4 = Self { dir, device };
        let mount = ext4.mount().display().to_string();
        run("mount", &["-t", "ext4", &ext4.device, &mount])?;
        Some(ext4)
    }

    fn mount(&self) -> PathBuf {
        self.dir.path().join("mount")
    }

    /// How many transactions the journal has committed.
    fn transactions(&self) -> Option<u64> {
        let name = Path::new(&self.device).file_name()?.to_str()?;
        let info = std::fs::read_to_string(format!("/proc/fs/jbd2/{name}-8/info")).ok()?;
        info.split_whitespace().next()?.parse().ok()
    }
}

impl Drop for Ext4 {
    fn drop(&mut self) {
        run("umount", &[&self.mount().display().to_string()]);
        run("losetup", &["--detach", &self.device]);
    }
}

/// Transactions that `commits` brought about beyond the timer's.
fn beyond_the_timer(ext4: &Ext4, commits: impl FnOnce()) -> Option<(u64, u64)> {
    run("sync", &["-f", &ext4.mount().display().to_string()])?;
    let (before, start) = (ext4.transactions()?, Instant::now());
    commits();
    let timer = start.elapsed().as_secs() / 5 + 1;
    let transactions = ext4.transactions()? - before;
    Some((transactions, transactions.saturating_sub(timer)))
}

fn thousand_commits(ext4: &Ext4) -> Option<(u64, u64)> {
    let options = LogOptions { first_segment: 16 << 20, ..LogOptions::default() };
    let log = Log::create(Arc::new(OsFs), &ext4.mount().join("log"), StoreId([3; 16]), options);
    let log = log.unwrap().finish().unwrap();
    log.append(&[1; 100], SyncMode::Sync).unwrap(); // the anchor says `open` before this
    beyond_the_timer(ext4, || {
        for _ in 0..1000 {
            log.append(&[1; 100], SyncMode::Sync).unwrap();
        }
    })
}

fn growing_file(ext4: &Ext4) -> Option<(u64, u64)> {
    let file = OsFs.create_new(&ext4.mount().join("grows")).unwrap();
    beyond_the_timer(ext4, || {
        for block in 0..200 {
            file.write_all_at(&[1; 4096], block * 4096).unwrap();
            file.sync_data().unwrap();
        }
    })
}

#[test]
fn a_prepared_segment_leaves_the_journal_alone() {
    let checked =
        Ext4::make().and_then(|ext4| Some((thousand_commits(&ext4)?, growing_file(&ext4)?)));
    let mut stderr = std::io::stderr();
    let Some(((transactions, beyond), (_, canary))) = checked else {
        let root = run("id", &["-u"]).is_some_and(|user| user == "0");
        let able = root && Path::new("/dev/loop-control").exists();
        assert!(!able || std::env::var("CI").is_err(), "not checked: no loop-mounted ext4 here");
        writeln!(stderr, "suite journal: not checked, no loop-mounted ext4 here").unwrap();
        return;
    };
    writeln!(
        stderr,
        "suite journal: 1000 commits in a prepared segment, {transactions} commits of the journal; \
         200 appends to a growing file: {canary}"
    )
    .unwrap();
    assert_eq!(beyond, 0, "{transactions} commits of the journal");
    assert!(canary >= 100, "canary: a growing file must be noticed, {canary}");
}
