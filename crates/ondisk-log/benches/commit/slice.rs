//! A slice of time in which committers do nothing but commit.

use std::io;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Bytes of a record.
pub(crate) const PAYLOAD: usize = 100;

/// One commit: given the committer's turn and the record, returns when it is durable.
pub(crate) type Commit<'a> = &'a (dyn Fn(u64, &[u8]) -> io::Result<()> + Sync);

/// What happened in a slice.
pub(crate) struct Slice {
    /// Commits that returned before its end.
    pub(crate) commits: u64,
    /// From the first commit's begin to the end.
    pub(crate) elapsed: Duration,
    /// What each commit took, in nanoseconds, sorted.
    pub(crate) latencies: Vec<u32>,
}

impl Slice {
    /// Commits in a second.
    pub(crate) fn rate(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a count of commits in a benchmark")]
        let commits = self.commits as f64;
        commits / self.elapsed.as_secs_f64()
    }
}

/// Lets `committers` threads commit until `length` is over.
#[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock and waits by it")]
pub(crate) fn run(committers: usize, length: Duration, commit: Commit<'_>) -> io::Result<Slice> {
    let (start, over) = (Barrier::new(committers + 1), AtomicBool::new(false));
    thread::scope(|scope| {
        let threads: Vec<_> =
            (0..committers).map(|_| scope.spawn(|| one_committer(&start, &over, commit))).collect();
        start.wait();
        let begin = Instant::now();
        thread::sleep(length);
        over.store(true, Ordering::Relaxed);
        let elapsed = begin.elapsed();
        let mut slice = Slice { commits: 0, elapsed, latencies: Vec::new() };
        for thread in threads {
            let latencies =
                thread.join().map_err(|_| io::Error::other("a committer panicked"))??;
            slice.commits += latencies.len() as u64;
            slice.latencies.extend(latencies);
        }
        slice.latencies.sort_unstable();
        Ok(slice)
    })
}

#[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
fn one_committer(start: &Barrier, over: &AtomicBool, commit: Commit<'_>) -> io::Result<Vec<u32>> {
    let mut latencies = Vec::with_capacity(1 << 16);
    let mut payload = [0x5A; PAYLOAD];
    start.wait();
    for turn in 0_u64.. {
        payload[..8].copy_from_slice(&turn.to_le_bytes());
        let begin = Instant::now();
        commit(turn, &payload)?;
        let took = begin.elapsed();
        if over.load(Ordering::Relaxed) {
            break; // it returned after the end
        }
        latencies.push(u32::try_from(took.as_nanos()).unwrap_or(u32::MAX));
    }
    Ok(latencies)
}
