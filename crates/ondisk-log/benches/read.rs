//! How fast a log is read: 1 GiB of records of 1 KiB, in groups of 64, from a warm cache.
//!
//! Three readers take turns: the plainest (every byte of every file, and nothing checked), the
//! reader of segments alone ([`GroupReader`]), and a log's whole replay ([`Log::read`]). Medians
//! of a pass's gigabytes of file a second are told, beside the most memory that the process ever
//! had, before and after.
//!
//! `cargo bench -p ondisk-log --bench read [-- --passes N --dir DIR --json]`

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use ondisk_fs::{Access, FileSystem, OsFs};
use ondisk_log::{Flow, GroupReader, Link, Log, LogOptions, Lsn, Step, StoreId, SyncMode};

const RECORD: usize = 1 << 10;
const GROUP: usize = 64;
const GROUPS: usize = (1 << 30) / RECORD / GROUP;
const RECORDS: usize = GROUPS * GROUP;
/// Groups that are written before the log's background work is done again.
const BETWEEN_STEPS: usize = 64;
const STORE: StoreId = StoreId(*b"a log to be read");
/// What is asked for, in bytes of file a second.
const AIM: f64 = 1e9;

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let options = Options::parse()?;
    let dir = tempfile::tempdir_in(&options.dir)?;
    let path = dir.path().join("log");
    // Held open: the log that is read was not closed, as after a power cut.
    let log = fill(&path)?;
    let segments = segments(&path)?;
    let before = memory();
    let (mut plain, mut groups, mut replay) = (Vec::new(), Vec::new(), Vec::new());
    for pass in 0..=options.passes {
        let rates = [read_plainly(&segments)?, read_groups(&segments)?, read_log(&path)?];
        if pass > 0 {
            // The first one warmed the cache.
            plain.push(rates[0]);
            groups.push(rates[1]);
            replay.push(rates[2]);
        }
    }
    let after = memory();
    drop(log);
    let (plain, groups, replay) = (median(plain), median(groups), median(replay));
    let kept = replay.min(groups) >= AIM;
    if options.json {
        println!(
            "{{\"version\": 1, \"bytes\": {}, \"records\": {RECORDS}, \"passes\": {}, \
             \"plain_bytes_per_s\": {plain:.0}, \"groups_bytes_per_s\": {groups:.0}, \
             \"log_bytes_per_s\": {replay:.0}, \"aim\": {AIM:.0}, \"reached\": {kept}, \
             \"peak_kib_before\": {}, \"peak_kib_after\": {}}}",
            GROUPS * GROUP * RECORD,
            options.passes,
            json(before),
            json(after),
        );
        return Ok(());
    }
    let line = |name: &str, rate: f64| println!("  {name:<28}{:.2} GB/s", rate / 1e9);
    println!("{RECORDS} records of {RECORD} bytes in {GROUPS} groups, {} passes", options.passes);
    line("bytes alone, unchecked", plain);
    line("GroupReader", groups);
    line("Log::read", replay);
    println!("  {}", if kept { "reached: 1 GB/s" } else { "NOT reached: 1 GB/s" });
    match before.zip(after) {
        Some((before, after)) => println!("  peak memory {before} KiB before, {after} KiB after"),
        None => println!("  peak memory: not told by this system"),
    }
    Ok(())
}

/// Writes the log: groups of records that joined together.
fn fill(path: &Path) -> Outcome<Log> {
    let options = LogOptions::default();
    let log = Log::create(Arc::new(OsFs), path, STORE, options)?.finish()?;
    let mut record = vec![0xA5; RECORD];
    for group in 0..GROUPS {
        let mut last = None;
        for place in 0..GROUP {
            record[..8].copy_from_slice(&((group * GROUP + place) as u64).to_le_bytes());
            last = Some(log.join(&record, SyncMode::None, |_| {})?);
        }
        if let Some(ticket) = last {
            ticket.wait()?;
        }
        if group % BETWEEN_STEPS == 0 {
            while log.step()? == Step::Working {}
        }
    }
    log.sync()?;
    // One more where a segment's end parts a group.
    let (groups, segments) = (log.stats().groups, log.stats().segments);
    if groups <= GROUPS as u64 + segments {
        return Ok(log);
    }
    Err(format!("{groups} groups were written, and not {GROUPS}").into())
}

/// The log's segments and their numbers, in order.
fn segments(path: &Path) -> Outcome<Vec<(u64, PathBuf)>> {
    let mut segments = Vec::new();
    for entry in OsFs.list(path)? {
        let name = entry.name.to_string_lossy().into_owned();
        if let Some(number) = name.strip_suffix(".log") {
            segments.push((number.parse()?, path.join(&name)));
        }
    }
    Ok(segments)
}

fn read_plainly(segments: &[(u64, PathBuf)]) -> Outcome<f64> {
    let mut buf = vec![0; 1 << 20];
    timed(|| {
        let mut bytes = 0;
        for (_, path) in segments {
            let file = OsFs.open(path, Access::Read)?;
            let size = file.size()?;
            let mut at = 0;
            while at < size {
                at += file.read_at(&mut buf, at)? as u64;
            }
            bytes += size;
        }
        Ok(bytes)
    })
}

fn read_groups(segments: &[(u64, PathBuf)]) -> Outcome<f64> {
    timed(|| {
        let (mut link, mut bytes, mut records) = (Link::default(), 0, 0);
        for (number, path) in segments {
            let file = OsFs.open(path, Access::Read)?;
            let mut reader = GroupReader::new(file, path.clone(), STORE, *number)?;
            link.epoch = 1; // that of the log's only opening
            while let Ok(group) = reader.next_group(&mut link)? {
                records += group.records().map(|(_, record)| used(record)).count();
            }
            bytes += reader.offset();
        }
        enough(records).map(|()| bytes)
    })
}

fn read_log(path: &Path) -> Outcome<f64> {
    timed(|| {
        let mut records = 0;
        let mut sink = |_, record: Bytes| {
            used(record);
            records += 1;
            Flow::Continue
        };
        let recovered = Log::read(&OsFs, path, Lsn(0), &mut sink)?;
        enough(records).map(|()| recovered.bytes)
    })
}

/// A record that is dropped, and might have been looked at.
fn used(record: Bytes) {
    std::hint::black_box(record);
}

fn enough(records: usize) -> Outcome<()> {
    if records == RECORDS { Ok(()) } else { Err(format!("{records} records were read").into()) }
}

/// The bytes a second of what reads so many.
#[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
fn timed(read: impl FnOnce() -> Outcome<u64>) -> Outcome<f64> {
    let begin = Instant::now();
    let bytes = read()?;
    #[expect(clippy::cast_precision_loss, reason = "a few gigabytes")]
    let bytes = bytes as f64;
    Ok(bytes / begin.elapsed().as_secs_f64())
}

/// The most memory that this process ever had in use, in KiB, where the system tells.
fn memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates.get(rates.len() / 2).copied().unwrap_or(f64::NAN)
}

fn json(value: Option<u64>) -> String {
    value.map_or("null".to_owned(), |value| value.to_string())
}

struct Options {
    passes: usize,
    dir: PathBuf,
    json: bool,
}

impl Options {
    fn parse() -> Outcome<Self> {
        let dir = env!("CARGO_TARGET_TMPDIR").into();
        let mut options = Self { passes: 9, dir, json: false };
        let mut args = std::env::args().skip(1);
        while let Some(arg) = args.next() {
            let mut value = || args.next().ok_or(format!("{arg} wants a value"));
            match arg.as_str() {
                "--bench" => {} // cargo says so to every benchmark
                "--json" => options.json = true,
                "--dir" => options.dir = value()?.into(),
                "--passes" => options.passes = value()?.parse::<usize>()?.max(1),
                _ => return Err(format!("unknown argument {arg}").into()),
            }
        }
        Ok(options)
    }
}
