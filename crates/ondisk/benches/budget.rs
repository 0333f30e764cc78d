//! One idle keyspace with one record, one busy keyspace to which many gigabytes are written: does
//! the log stay inside its budget, and what does a commit cost meanwhile? Then: how fast what was
//! written opens after a clean close.
//!
//! `cargo bench -p ondisk --bench budget [-- --gb N --engine E --sync M --value BYTES --live MB --dir DIR]`
#![expect(clippy::disallowed_methods, reason = "a benchmark has a clock")]
#![expect(clippy::cast_possible_truncation, reason = "its figures are far smaller")]

use std::error::Error;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use ondisk::{Create, Db, EngineKind, KeyspaceOptions, SyncMode};

type Outcome<T> = Result<T, Box<dyn Error>>;

#[derive(Debug)]
struct Options {
    gb: f64,
    engine: EngineKind,
    sync: SyncMode,
    value: usize,
    live_mb: u64,
    dir: PathBuf,
}

impl Options {
    fn parse() -> Outcome<Self> {
        let mut options = Self {
            gb: 10.0,
            engine: EngineKind::Lsm,
            sync: "batch:100".parse()?,
            value: 4096,
            live_mb: 1024,
            dir: std::env::temp_dir(),
        };
        let mut args = std::env::args().skip(1).filter(|arg| arg != "--bench");
        while let Some(name) = args.next() {
            let value = args.next().ok_or_else(|| format!("{name} wants a value"))?;
            match name.as_str() {
                "--gb" => options.gb = value.parse()?,
                "--engine" => options.engine = value.parse()?,
                "--sync" => options.sync = value.parse()?,
                "--value" => options.value = value.parse()?,
                "--live" => options.live_mb = value.parse()?,
                "--dir" => options.dir = value.into(),
                _ => return Err(format!("{name} is no option here").into()),
            }
        }
        Ok(options)
    }
}

fn main() -> Outcome<()> {
    let options = Options::parse()?;
    let dir = tempfile::tempdir_in(&options.dir)?;
    let path = dir.path().join("db");
    let db = Db::builder().sync(options.sync).open(&path)?;
    let idle = db.keyspace("idle", KeyspaceOptions::new(EngineKind::Btree))?;
    let busy = db.keyspace("busy", KeyspaceOptions::new(options.engine))?;
    idle.put("only", "record")?;
    let keys = (options.live_mb << 20) / options.value as u64;
    let commits = (options.gb * 1e9) as u64 / options.value as u64;
    let (mut value, mut random) = (vec![0_u8; options.value], 0x9e37_79b9_7f4a_7c15_u64);
    let (mut took, mut most) = (Vec::with_capacity(usize::try_from(commits)?), 0);
    let began = Instant::now();
    for n in 0..commits {
        random = next(random);
        value.chunks_exact_mut(8).take(64).for_each(|word| {
            random = next(random);
            word.copy_from_slice(&random.to_le_bytes());
        });
        let key = (random % keys).to_be_bytes();
        let start = Instant::now();
        busy.put(key, &value)?;
        took.push(u32::try_from(start.elapsed().as_micros()).unwrap_or(u32::MAX));
        if n % 256 == 0 {
            most = most.max(db.stats().log.bytes);
        }
        if n % 200_000 == 0 && n > 0 {
            eprintln!("{n} of {commits} commits, {:.0} s", began.elapsed().as_secs_f64());
        }
    }
    let spent = began.elapsed();
    took.sort_unstable();
    report(&options, &db, commits, spent, &took, most);
    assert_eq!(idle.get("only")?.as_deref(), Some(&b"record"[..]));
    drop((idle, busy));
    db.close()?;
    drop(db);
    reopen(&path)
}

fn report(options: &Options, db: &Db, commits: u64, spent: Duration, took: &[u32], most: u64) {
    let stats = db.stats();
    let at = |share: f64| took[((took.len() - 1) as f64 * share) as usize];
    let busy = stats.keyspace("busy").map(|it| it.engine.clone()).unwrap_or_default();
    let written = stats.log.written + busy.checkpoint_written + busy.reclaim_written;
    println!(
        "{}, {}, values of {} bytes: {commits} commits in {:.0} s, {:.0} MB/s",
        options.engine,
        options.sync,
        options.value,
        spent.as_secs_f64(),
        options.gb * 1e3 / spent.as_secs_f64(),
    );
    println!(
        "  log: at most {} MB of a budget of {} MB: {}",
        most >> 20,
        stats.log.budget >> 20,
        if most <= stats.log.budget { "inside" } else { "OUTSIDE" },
    );
    println!(
        "  a commit: p50 {} us, p99 {} us, p99.9 {} us, most {} us; {} stalls",
        at(0.5),
        at(0.99),
        at(0.999),
        at(1.0),
        stats.stalls,
    );
    println!(
        "  written {:.1} GB for {:.1} GB: amplification {:.2}; {} checkpoints",
        written as f64 / 1e9,
        options.gb,
        written as f64 / 1e9 / options.gb,
        stats.checkpoints,
    );
}

/// After a clean close, with what was just written in the page cache or not: an open does not read
/// it.
fn reopen(path: &std::path::Path) -> Outcome<()> {
    let mut took = Vec::new();
    for _ in 0..5 {
        let start = Instant::now();
        let db = Db::builder().create(Create::Never).open(path)?;
        took.push(start.elapsed());
        db.close()?;
    }
    took.sort_unstable();
    println!("  open after a clean close: {:.1} ms (median of 5)", took[2].as_secs_f64() * 1e3);
    Ok(())
}

/// `xorshift64`.
fn next(mut x: u64) -> u64 {
    x ^= x << 13;
    x ^= x >> 7;
    x ^ (x << 17)
}
