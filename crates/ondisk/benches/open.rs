//! How fast a store opens that was not closed: 256 MB of log, values of 1 KiB, against reading
//! the same log, checking both of its sums and putting its keys into a hash map.
//!
//! Rounds alternate between the two on fresh copies of one store, from a warm cache; the median of
//! the paired ratios is told. 1.0 is as fast as the plain reading. On Linux it is the time on a
//! processor that counts, so that neighbours do not; what an open waits for its syncs is told
//! beside it.
#![expect(clippy::disallowed_methods, clippy::disallowed_types, reason = "a benchmark has a clock")]

use std::collections::HashMap;
use std::error::Error;
use std::path::Path;
use std::time::{Duration, Instant};

use ondisk::{Background, Batch, Builder, Db, OsFs, SyncMode};
use ondisk_log::{Flow, Log, Lsn};

const BYTES: usize = 256 << 20;
const VALUE: usize = 1 << 10;
/// Commits that are under way at once while the store is filled: the size of its groups.
const GROUP: usize = 64;
const ROUNDS: usize = 7;
/// What stands in front of a commit's only key.
const IN_FRONT: usize = 24;

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let dir = tempfile::tempdir_in(
        std::env::args().nth(1).filter(|arg| arg != "--bench").unwrap_or(".".into()),
    )?;
    let (filled, copy) = (dir.path().join("filled"), dir.path().join("copy"));
    let db = fill(&filled)?; // held open: what is copied was not closed
    let mut ratios = Vec::new();
    for round in 0..ROUNDS {
        copy_store(&filled, &copy)?;
        let start = Clock::start();
        read_plainly(&copy)?;
        let plain = start.elapsed();
        let start = Clock::start();
        let reader = builder().open_reader(&copy)?;
        let read = start.elapsed();
        drop(reader);
        let (start, wall) = (Clock::start(), Instant::now());
        let opened = builder().open(&copy)?;
        let (open, wall) = (start.elapsed(), wall.elapsed());
        if opened.recovery().was_closed || opened.stats().young_versions != BYTES / VALUE {
            return Err("not the store that was to be measured".into());
        }
        drop(opened);
        let ratio = plain.as_secs_f64() / open.as_secs_f64();
        println!(
            "round {round}: plain {plain:.0?}, reader {read:.0?}, open {open:.0?} ({wall:.0?} with \
             waiting), ratio {ratio:.2}"
        );
        ratios.push(ratio);
    }
    ratios.sort_by(f64::total_cmp);
    println!(
        "open: {:.2} of plain reading (median of {ROUNDS} rounds; 0.6 is asked for)",
        ratios[ROUNDS / 2]
    );
    Ok(db.close()?)
}

fn builder() -> Builder {
    // Above the budgets nothing would be left to replay.
    Db::builder().background(Background::Manual).young_budget(4 << 30).largest_segment(128 << 20)
}

fn fill(path: &Path) -> Outcome<Db> {
    let db = builder().sync(SyncMode::Sync).open(path)?;
    let mut begun = Vec::with_capacity(GROUP);
    for n in 0..(BYTES / VALUE) as u64 {
        // Keys in no order, as a store gets them.
        let key = format!("{:016x}", n.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        begun.push(db.begin(Batch::new().put(key, n.to_le_bytes().repeat(VALUE / 8)))?);
        if begun.len() == GROUP {
            for pending in begun.drain(..) {
                pending.wait()?;
            }
            db.step()?;
        }
    }
    Ok(db)
}

/// The same bytes, verified in the same way, and nothing kept but the keys.
fn read_plainly(store: &Path) -> Outcome<()> {
    let mut keys = HashMap::new();
    let mut sink = |lsn: Lsn, payload: bytes::Bytes| {
        keys.insert(payload[IN_FRONT..IN_FRONT + 16].to_vec(), lsn);
        Flow::Continue
    };
    Log::read(&OsFs, &store.join("log"), Lsn(0), &mut sink)?;
    if keys.len() == BYTES / VALUE { Ok(()) } else { Err("keys are missing".into()) }
}

/// Time that this thread was on a processor; where the system does not tell, time.
struct Clock {
    began: Instant,
    on_processor: Option<Duration>,
}

impl Clock {
    fn start() -> Self {
        Self { began: Instant::now(), on_processor: Self::on_processor() }
    }

    fn elapsed(&self) -> Duration {
        let on_processor = Self::on_processor().zip(self.on_processor);
        on_processor.map_or_else(|| self.began.elapsed(), |(now, then)| now - then)
    }

    fn on_processor() -> Option<Duration> {
        let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
        text.split(' ').next()?.parse().ok().map(Duration::from_nanos)
    }
}

fn copy_store(from: &Path, to: &Path) -> Outcome<()> {
    if to.exists() {
        std::fs::remove_dir_all(to)?;
    }
    let mut left = vec![(from.to_owned(), to.to_owned())];
    while let Some((from, to)) = left.pop() {
        std::fs::create_dir(&to)?;
        for entry in std::fs::read_dir(&from)? {
            let (entry, to) = (entry?, to.clone());
            let to = to.join(entry.file_name());
            if entry.file_type()?.is_dir() {
                left.push((entry.path(), to));
            } else {
                std::fs::copy(entry.path(), to)?;
            }
        }
    }
    Ok(())
}
