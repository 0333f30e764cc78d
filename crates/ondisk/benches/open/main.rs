//! How fast a store opens that was not closed: 256 MB of log, values of 1 KiB, against reading the
//! same log, checking both of its sums and putting its keys into a hash map.
//!
//! The two take turns, each on a fresh and synced copy of one store, from a warm cache; the median
//! of the paired ratios is told: 1.0 is as fast as the plain reading. An open also writes the tail
//! of the log again and syncs it, a few times over. What that costs is the disk's affair: so the
//! ratio is told for the whole time and for the time on a processor; all runs on one processor,
//! which is kept awake for the disk's interrupt, where the system allows it.
//!
//! `cargo bench -p ondisk --bench open [-- --rounds N --dir DIR --json]`
#![expect(clippy::disallowed_methods, clippy::disallowed_types, reason = "a benchmark has a clock")]

#[cfg(target_os = "linux")]
mod os;
mod plain;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ondisk::{Background, Batch, Builder, Db, SyncMode};

const BYTES: usize = 256 << 20;
const VALUE: usize = 1 << 10;
const KEYS: usize = BYTES / VALUE;
/// Commits that are under way at once while the store is filled: the size of its groups.
const GROUP: usize = 64;
/// What is asked for.
const AIM: f64 = 0.6;

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let options = Options::parse()?;
    let dir = tempfile::tempdir_in(&options.dir)?;
    #[cfg(target_os = "linux")]
    let _awake = os::Awake::choose(dir.path())?;
    let (filled, copy) = (dir.path().join("filled"), dir.path().join("copy"));
    let db = fill(&filled)?; // held open: what is copied was not closed
    let mut rounds = Vec::new();
    for number in 0..=options.rounds {
        copy_store(&filled, &copy)?;
        let round = Round::run(&copy)?;
        if number > 0 {
            // The first one warmed the cache, and made the heap grow.
            rounds.push(round);
        }
    }
    db.close()?;
    let ratio = median(&rounds, |round| round.plain.whole / round.open.whole);
    let on_processor = median(&rounds, |round| round.plain.on_processor / round.open.on_processor);
    let ms = |of: fn(&Round) -> &Took| {
        let whole = median(&rounds, |round| of(round).whole) * 1e3;
        (whole, median(&rounds, |round| of(round).on_processor) * 1e3)
    };
    let (plain, open) = (ms(|round| &round.plain), ms(|round| &round.open));
    let reader = ms(|round| &round.reader);
    let reached = ratio >= AIM;
    if options.json {
        println!(
            "{{\"version\": 1, \"ratio\": {ratio:.3}, \"ratio_on_processor\": {on_processor:.3}, \
             \"aim\": {AIM}, \"reached\": {reached}, \"rounds\": {}, \"plain_ms\": {:.1}, \
             \"open_ms\": {:.1}, \"reader_ms\": {:.1}}}",
            rounds.len(),
            plain.0,
            open.0,
            reader.0,
        );
        return Ok(());
    }
    println!("{KEYS} keys, values of {VALUE} bytes, {} rounds", rounds.len());
    for (name, (whole, on_processor)) in
        [("plain reading", plain), ("Db::open", open), ("open_reader", reader)]
    {
        println!("  {name:<14}{whole:.0} ms, {on_processor:.0} ms of it on a processor");
    }
    println!("  ratio {ratio:.2}, of the time on a processor {on_processor:.2}; aim {AIM}");
    println!("  {}", if reached { "reached" } else { "NOT reached" });
    Ok(())
}

/// What one round took.
struct Round {
    plain: Took,
    reader: Took,
    open: Took,
}

impl Round {
    fn run(store: &Path) -> Outcome<Self> {
        let clock = Clock::start();
        let keys = plain::read(&store.join("log"))?;
        let plain = clock.stop();
        if keys.len() != KEYS {
            return Err(format!("the plain reading found {} keys", keys.len()).into());
        }
        drop(keys);
        let clock = Clock::start();
        let opened = builder().open_reader(store)?;
        let reader = clock.stop();
        drop(opened);
        let clock = Clock::start();
        let opened = builder().open(store)?;
        let open = clock.stop();
        if opened.recovery().was_closed || opened.stats().young_versions != KEYS {
            return Err("not the store that was to be measured".into());
        }
        Ok(Self { plain, reader, open })
    }
}

fn median(rounds: &[Round], of: impl Fn(&Round) -> f64) -> f64 {
    let mut values: Vec<f64> = rounds.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn builder() -> Builder {
    // Above the budgets nothing would be left to replay.
    Db::builder().background(Background::Manual).young_budget(4 << 30).largest_segment(128 << 20)
}

fn fill(path: &Path) -> Outcome<Db> {
    let db = builder().sync(SyncMode::Sync).open(path)?;
    let mut begun = Vec::with_capacity(GROUP);
    for n in 0..KEYS as u64 {
        // Keys in no order, as a store gets them.
        let key = format!("{:016x}", n.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        begun.push(db.begin(Batch::new().put(key, vec![n.to_le_bytes()[0]; VALUE]))?);
        if begun.len() == GROUP {
            for pending in begun.drain(..) {
                pending.wait()?;
            }
            db.step()?;
        }
    }
    Ok(db)
}

/// Seconds.
struct Took {
    whole: f64,
    on_processor: f64,
}

/// The time, and that for which this thread was on a processor.
struct Clock {
    began: Instant,
    on_processor: Option<Duration>,
}

impl Clock {
    fn start() -> Self {
        Self { began: Instant::now(), on_processor: Self::on_processor() }
    }

    fn stop(self) -> Took {
        let whole = self.began.elapsed();
        let on_processor = Self::on_processor().zip(self.on_processor);
        let on_processor = on_processor.map_or(whole, |(now, then)| now - then);
        Took { whole: whole.as_secs_f64(), on_processor: on_processor.as_secs_f64() }
    }

    fn on_processor() -> Option<Duration> {
        let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
        text.split(' ').next()?.parse().ok().map(Duration::from_nanos)
    }
}

/// Copies a store, and syncs the copy: no open is to wait for what the copying left behind.
fn copy_store(from: &Path, to: &Path) -> Outcome<()> {
    if to.exists() {
        std::fs::remove_dir_all(to)?;
    }
    let mut left = vec![(from.to_owned(), to.to_owned())];
    while let Some((from, to)) = left.pop() {
        std::fs::create_dir(&to)?;
        for entry in std::fs::read_dir(&from)? {
            let entry = entry?;
            let to = to.join(entry.file_name());
            if entry.file_type()?.is_dir() {
                left.push((entry.path(), to));
            } else {
                std::fs::copy(entry.path(), &to)?;
                std::fs::File::open(&to)?.sync_all()?;
            }
        }
        std::fs::File::open(&to)?.sync_all()?;
    }
    Ok(())
}

struct Options {
    rounds: usize,
    dir: PathBuf,
    json: bool,
}

impl Options {
    fn parse() -> Outcome<Self> {
        let dir = env!("CARGO_TARGET_TMPDIR").into();
        let mut options = Self { rounds: 9, dir, json: false };
        let mut args = std::env::args().skip(1);
        while let Some(arg) = args.next() {
            let mut value = || args.next().ok_or(format!("{arg} wants a value"));
            match arg.as_str() {
                "--bench" => {} // cargo says so to every benchmark
                "--json" => options.json = true,
                "--dir" => options.dir = value()?.into(),
                "--rounds" => options.rounds = value()?.parse::<usize>()?.max(1),
                _ => return Err(format!("unknown argument {arg}").into()),
            }
        }
        Ok(options)
    }
}
