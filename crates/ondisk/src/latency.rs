//! How long something took, counted in classes: each twice as long as the one before.
//!
//! Invariant: counting is one addition, takes no lock and no memory; a quantile is told as the upper
//! end of its class, so it is never too small, and at most twice too large.
//!
//! Reads no clock: whoever measures does.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// The first class ends at 2^12 ns, about 4 us; the last is open.
const FIRST: u32 = 12;
const CLASSES: usize = 24;

/// Counts durations.
#[derive(Debug, Default)]
pub(crate) struct Latencies {
    classes: [AtomicU64; CLASSES],
    measured: AtomicBool,
}

impl Latencies {
    /// From now on they are measured.
    pub(crate) fn measure(&self) {
        self.measured.store(true, Relaxed);
    }

    /// Whether somebody measures: a store that is stepped by hand stays repeatable.
    pub(crate) fn are_measured(&self) -> bool {
        self.measured.load(Relaxed)
    }

    pub(crate) fn count(&self, took: Duration) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let class = (nanos.max(1).ilog2() + 1).saturating_sub(FIRST) as usize;
        self.classes[class.min(CLASSES - 1)].fetch_add(1, Relaxed);
    }

    pub(crate) fn histogram(&self) -> Histogram {
        Histogram { classes: self.classes.iter().map(|count| count.load(Relaxed)).collect() }
    }
}

/// How often something took how long.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    classes: Vec<u64>,
}

impl Histogram {
    /// How many were counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.classes.iter().sum()
    }

    /// The classes that are not empty: what all in it stayed below, and how many they are.
    pub fn classes(&self) -> impl Iterator<Item = (Duration, u64)> {
        let classes = (FIRST..).zip(&self.classes).filter(|(_, count)| **count > 0);
        classes.map(|(bits, count)| (Duration::from_nanos(1 << bits), *count))
    }

    /// What a share of them stayed below, from 0 to 1; `None` where none was counted.
    ///
    /// ```
    /// # fn main() -> Result<(), ondisk::Error> {
    /// # let dir = tempfile::tempdir().expect("a directory to work in");
    /// let db = ondisk::Db::open(dir.path())?;
    /// db.put("key", "value")?;
    /// let p99 = db.stats().sync_waits.quantile(0.99).expect("one commit was waited for");
    /// assert!(p99.as_nanos() > 0);
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        let mut left = self.count() as f64 * share.clamp(0.0, 1.0);
        let mut last = None;
        for (below, count) in self.classes() {
            last = Some(below);
            left -= count as f64;
            if left <= 0.0 {
                break;
            }
        }
        last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_the_end_of_its_class() {
        let latencies = Latencies::default();
        assert_eq!(latencies.histogram().quantile(0.5), None);
        for micros in [1, 3, 100, 100, 100, 100, 100, 100, 100, 9_000] {
            latencies.count(Duration::from_micros(micros));
        }
        latencies.count(Duration::from_secs(1 << 30));
        let histogram = latencies.histogram();
        assert_eq!(histogram.count(), 11);
        let micros = |share| histogram.quantile(share).map(|it| it.as_micros());
        assert_eq!((micros(0.1), micros(0.5), micros(0.9)), (Some(4), Some(131), Some(16_777)));
        assert_eq!(histogram.classes().count(), 4);
        assert_eq!(histogram.quantile(1.0), Some(Duration::from_nanos(1 << 35)));
    }
}
