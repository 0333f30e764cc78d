//! What is measured of one store, from an empty directory on.
//!
//! Invariant: every phase does the same to every store, in the same order; what a store answers is
//! held against what was loaded, and an answer that is wrong is an error, not a figure.

use std::hint::black_box;
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::peers::{Cache, Peer};
use crate::records::{Random, Records};
use crate::store::{Ack, Entry, Reader, Result, Seen, Store};

/// What a figure counts, and whether more of it is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Metric {
    /// Its name in tables.
    pub(crate) name: &'static str,
    /// What it counts.
    pub(crate) unit: &'static str,
    /// Which way is better.
    pub(crate) better: Better,
}

/// Which way a figure is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Better {
    /// A rate.
    More,
    /// A time, or space.
    Less,
}

const fn rate(name: &'static str, unit: &'static str) -> Metric {
    Metric { name, unit, better: Better::More }
}

const fn cost(name: &'static str, unit: &'static str) -> Metric {
    Metric { name, unit, better: Better::Less }
}

/// All figures, in the order of the tables.
pub(crate) const METRICS: [Metric; 17] = [
    cost("load", "s"),
    cost("settle", "s"),
    cost("disk size", "MiB"),
    cost("open", "ms"),
    rate("scan, all", "entries/s"),
    rate("scan, 100", "scans/s"),
    rate("read, hit", "reads/s"),
    rate("read, miss", "reads/s"),
    rate("mixed", "ops/s"),
    rate("commit, 1 thread", "commits/s"),
    cost("its p99", "ms"),
    rate("commit, 4 threads", "commits/s"),
    cost("its p99", "ms"),
    rate("commit, 16 threads", "commits/s"),
    cost("its p99", "ms"),
    rate("commit, 64 threads", "commits/s"),
    cost("its p99", "ms"),
];

/// Threads that commit.
const THREADS: [u64; 4] = [1, 4, 16, 64];

/// Entries of a short scan.
const SHORT: u64 = 100;

/// Every so many writes of the mixed phase one is durable.
const DURABLE_EVERY: u64 = 1000;

/// Between two looks at the clock.
const READS: u64 = 64;

/// How a store is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    /// What is loaded.
    pub(crate) records: Records,
    /// How long a phase lasts, but for the load.
    pub(crate) time: Duration,
    /// Of each store.
    pub(crate) cache: Cache,
    /// For what is drawn in this repetition.
    pub(crate) seed: u64,
}

/// One store in one repetition: a figure for each of [`METRICS`].
pub(crate) fn measure(
    peer: &Peer,
    path: &Path,
    plan: &Plan,
    say: &dyn Fn(&str),
) -> Result<Vec<f64>> {
    let mut figures = Vec::with_capacity(METRICS.len());
    let mut note = |figure: f64| {
        let metric = METRICS[figures.len()];
        say(&format!("{} {figure:.1} {}", metric.name, metric.unit));
        figures.push(figure);
    };
    let store = (peer.open)(path, plan.cache)?;
    note(load(&*store, plan, say)?);
    let clock = Instant::now();
    store.settle()?;
    note(clock.elapsed().as_secs_f64());
    store.close()?;
    note(disk_size(path)? / f64::from(1 << 20));
    let clock = Instant::now();
    let store = (peer.open)(path, plan.cache)?;
    note(clock.elapsed().as_secs_f64() * 1000.0);
    store.read(&mut |reader| {
        // What a first walk gets ready is not measured: it shows that all is there.
        expect("a walk over all", reader.scan(&[], u64::MAX)?, plan.records.all())?;
        note(scan_all(reader, plan)?);
        note(scan_short(reader, plan)?);
        read_hits(reader, plan, plan.time / 4)?;
        note(read_hits(reader, plan, plan.time)?);
        note(read_misses(reader, plan)?);
        Ok(())
    })?;
    note(mixed(&*store, plan)?);
    for threads in THREADS {
        let (rate, p99) = commits(&*store, plan, threads)?;
        note(rate);
        note(p99);
    }
    store.close()?;
    Ok(figures)
}

fn expect<T: PartialEq + std::fmt::Debug>(what: &str, got: T, wanted: T) -> Result<()> {
    if got == wanted {
        return Ok(());
    }
    Err(format!("{what} gave {got:?}, and {wanted:?} was written").into())
}

/// The time that all records take, until they are durable.
fn load(store: &dyn Store, plan: &Plan, say: &dyn Fn(&str)) -> Result<f64> {
    let (clock, mut told) = (Instant::now(), Instant::now());
    let (mut done, count) = (0, plan.records.count);
    let mut batches = plan.records.batches().inspect(|batch: &Vec<Entry>| {
        if told.elapsed() > Duration::from_secs(2) {
            told = Instant::now();
            say(&format!("load: {} of {} thousand", done / 1000, count / 1000));
        }
        done += batch.len() as u64;
    });
    store.load(&mut batches)?;
    Ok(clock.elapsed().as_secs_f64())
}

/// The bytes that a directory takes on its disk.
fn disk_size(path: &Path) -> Result<f64> {
    use std::os::unix::fs::MetadataExt as _;
    let mut bytes = 0.0;
    for entry in std::fs::read_dir(path)? {
        let entry = entry?;
        let meta = entry.metadata()?;
        bytes += match meta.is_dir() {
            true => disk_size(&entry.path())?,
            // Blocks of `stat`, whatever those of the file system are.
            false => meta.blocks() as f64 * 512.0,
        };
    }
    Ok(bytes)
}

/// Does something over and over, so many times between two looks at the clock; how often in a
/// second.
fn rate_of(time: Duration, between: u64, mut work: impl FnMut() -> Result<()>) -> Result<f64> {
    let (clock, mut count) = (Instant::now(), 0);
    loop {
        for _ in 0..between {
            work()?;
        }
        count += between;
        if clock.elapsed() >= time {
            return Ok(count as f64 / clock.elapsed().as_secs_f64());
        }
    }
}

fn scan_all(reader: &dyn Reader, plan: &Plan) -> Result<f64> {
    let count = plan.records.count;
    let walks = rate_of(plan.time, 1, || {
        let seen = black_box(reader.scan(&[], u64::MAX)?);
        expect("a walk over all", seen.entries, count)
    })?;
    Ok(walks * count as f64)
}

fn scan_short(reader: &dyn Reader, plan: &Plan) -> Result<f64> {
    let mut random = Random::new(plan.seed ^ 1);
    let mut all = Seen::default();
    let rate = rate_of(plan.time, 1, || {
        let from = plan.records.key(random.below(plan.records.count));
        let seen = black_box(reader.scan(&from, SHORT)?);
        all.entries += seen.entries;
        // The last keys have fewer than that behind them.
        if seen.entries == 0 || seen.entries > SHORT {
            return Err(format!("a walk over {SHORT} saw {}", seen.entries).into());
        }
        Ok(())
    })?;
    Ok(rate)
}

fn read_hits(reader: &dyn Reader, plan: &Plan, time: Duration) -> Result<f64> {
    let mut random = Random::new(plan.seed ^ 2);
    rate_of(time, READS, || {
        let number = random.below(plan.records.count);
        match black_box(reader.get(&plan.records.key(number))?) {
            Some(_) => Ok(()),
            None => Err(format!("record {number} is not there").into()),
        }
    })
}

fn read_misses(reader: &dyn Reader, plan: &Plan) -> Result<f64> {
    let mut random = Random::new(plan.seed ^ 3);
    rate_of(plan.time, READS, || {
        let number = random.below(plan.records.count);
        match black_box(reader.get(&plan.records.missing_key(number))?) {
            None => Ok(()),
            Some(_) => Err(format!("there is a record {number} that nobody wrote").into()),
        }
    })
}

/// Reads and writes in turns, by chance, of keys that are there; a read sees the writes before it.
fn mixed(store: &dyn Store, plan: &Plan) -> Result<f64> {
    let mut random = Random::new(plan.seed ^ 4);
    let mut writes = 0;
    let rate = rate_of(plan.time, 1, || {
        let draw = random.next();
        let number = random.below(plan.records.count);
        let key = plan.records.key(number);
        if draw.is_multiple_of(2) {
            return store.read(&mut |reader| match black_box(reader.get(&key)?) {
                Some(_) => Ok(()),
                None => Err(format!("record {number} is not there").into()),
            });
        }
        writes += 1;
        let ack = if writes % DURABLE_EVERY == 0 { Ack::Durable } else { Ack::Cached };
        store.put(&key, &plan.records.value(number, draw), ack)
    })?;
    Ok(rate)
}

/// Durable commits of so many threads: how many in a second, and in how many milliseconds 99 of a
/// hundred are acknowledged.
fn commits(store: &dyn Store, plan: &Plan, threads: u64) -> Result<(f64, f64)> {
    let (clock, all) = (Instant::now(), Mutex::new(Vec::new()));
    let work = |thread: u64| -> Result<()> {
        let mut random = Random::new(plan.seed ^ (thread << 8) ^ threads);
        let mut times = Vec::new();
        // One at least, however late the thread began.
        while times.is_empty() || clock.elapsed() < plan.time {
            let number = random.below(plan.records.count);
            let (key, value) =
                (plan.records.key(number), plan.records.value(number, times.len() as u64));
            let begun = Instant::now();
            store.put(&key, &value, Ack::Durable)?;
            times.push(begun.elapsed());
        }
        all.lock().map_err(|_| "a thread panicked")?.extend(times);
        Ok(())
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|it| scope.spawn(move || work(it))).collect();
        workers.into_iter().try_for_each(|it| it.join().map_err(|_| "a thread panicked")?)
    })?;
    let time = clock.elapsed().as_secs_f64();
    let mut times = all.into_inner().map_err(|_| "a thread panicked")?;
    times.sort_unstable();
    let p99 = times.get(times.len() * 99 / 100).map_or(0.0, Duration::as_secs_f64);
    Ok((times.len() as f64 / time, p99 * 1000.0))
}

#[cfg(test)]
mod tests;
