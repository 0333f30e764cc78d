//! SIGKILL on the real file system, in the middle of commits over three engines, of checkpoints and
//! compactions: what a child has told was acknowledged is there afterwards, and commit by commit
//! whole in all keyspaces.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use ondisk::{Batch, Db, EngineKind, KeyspaceOptions, SyncMode};
use testkit::store::random::Random;

const CHILD: &str = "ONDISK_TEST_KILLED_WRITER";
const KEYS: u64 = 61;
const CYCLES: u64 = 30;

type Map = BTreeMap<Vec<u8>, Vec<u8>>;

/// What commit `n` does in each of the keyspaces: a key of its own turn, or its end; and the number.
fn commit(n: u64) -> [(Vec<u8>, Option<Vec<u8>>); 2] {
    let key = format!("key {:02}", n.wrapping_mul(31) % KEYS).into_bytes();
    let len = if n.is_multiple_of(9) { 5000 } else { 20 + n % 200 };
    let value = n.to_be_bytes().repeat(usize::try_from(len).unwrap().div_ceil(8));
    let value = if n.is_multiple_of(5) { None } else { Some(value) };
    [(b"newest".to_vec(), Some(n.to_be_bytes().to_vec())), (key, value)]
}

fn model(commits: u64) -> Map {
    let mut map = Map::new();
    for (key, value) in (1..=commits).flat_map(commit) {
        match value {
            Some(value) => drop(map.insert(key, value)),
            None => drop(map.remove(&key)),
        }
    }
    map
}

fn open(path: &Path) -> Db {
    Db::builder()
        .first_segment(16 << 10)
        .largest_segment(256 << 10)
        .young_budget(60_000)
        .open(path)
        .unwrap()
}

/// How many commits a store holds: the same in all keyspaces, and exactly the first so many.
fn held(db: &Db) -> Result<u64, String> {
    let mut all = None;
    for engine in EngineKind::ALL {
        let Ok(space) = db.existing_keyspace(engine.name()) else { continue };
        let map: Map = space
            .range(..)
            .unwrap()
            .map(|entry| entry.map(|(key, value)| (key.to_vec(), value.to_vec())))
            .collect::<Result<_, _>>()
            .map_err(|error| error.to_string())?;
        let newest =
            map.get(&b"newest"[..]).map_or(0, |it| u64::from_be_bytes(it[..].try_into().unwrap()));
        if map != model(newest) {
            return Err(format!("{engine} holds not the first {newest} commits"));
        }
        if all.is_some_and(|all| all != newest) {
            return Err(format!("{engine} holds {newest} commits, another one {all:?}"));
        }
        all = Some(newest);
    }
    Ok(all.unwrap_or(0))
}

/// The child: commits, and tells after each, until somebody kills it. Run by the test below.
#[test]
fn killed_writer() {
    let Some(path) = std::env::var_os(CHILD) else { return };
    let db = open(path.as_ref());
    let spaces = EngineKind::ALL
        .map(|engine| db.keyspace(engine.name(), KeyspaceOptions::new(engine)).unwrap());
    let from = held(&db).unwrap();
    let modes = [SyncMode::None, SyncMode::Sync, SyncMode::None, "batch:7".parse().unwrap()];
    let mut out = std::io::stderr();
    for n in from + 1.. {
        let mut batch = Batch::new();
        for space in &spaces {
            for (key, value) in commit(n) {
                batch = match value {
                    Some(value) => batch.put_in(space, key, value),
                    None => batch.delete_in(space, key),
                };
            }
        }
        let mode = modes[usize::try_from(n / 50 % 4).unwrap()];
        db.batch_with(batch, mode).unwrap();
        writeln!(out, "{n}").unwrap();
        if n.is_multiple_of(97) {
            db.compact().unwrap();
        }
        if n.is_multiple_of(41) {
            // A keyspace that comes and goes.
            let made = db.keyspace("passing", KeyspaceOptions::new(EngineKind::Lsm)).unwrap();
            made.put("key", "value").unwrap();
            drop(made);
            db.drop_keyspace("passing").unwrap();
        }
    }
}

#[test]
fn what_was_told_is_there_after_a_kill() {
    let clock = testkit::clock();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("db");
    let (mut random, mut before) = (Random(17), 0);
    for cycle in 0..CYCLES {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "killed_writer", "--nocapture"])
            .env(CHILD, &path)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut told = before;
        for _ in 0..random.below(200) {
            let line = lines.next().unwrap().unwrap();
            told = line.parse().unwrap_or_else(|_| panic!("cycle {cycle}: the child says {line}"));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        // What stands in the pipe was told too.
        told =
            lines.map_while(Result::ok).filter_map(|line| line.parse().ok()).last().unwrap_or(told);
        let report = ondisk::check(std::sync::Arc::new(ondisk::OsFs), &path);
        // Killed before the store stood, there is nothing to check.
        assert!(report.is_err() || report.unwrap().findings.is_empty(), "cycle {cycle}");
        let db = open(&path);
        let now = held(&db).unwrap_or_else(|lost| panic!("cycle {cycle}, {told} told: {lost}"));
        assert!(now >= told, "cycle {cycle}: {told} were told, and {now} are there");
        if cycle % 3 == 0 {
            db.close().unwrap();
        }
        before = now;
    }
    testkit::summary(&format!(
        "suite store_kill: {CYCLES} kills, {before} commits over {} engines, all there, in {:.1} s",
        EngineKind::ALL.len(),
        clock()
    ));
}
