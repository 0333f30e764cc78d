//! How fast reclaiming may write: a bucket of bytes that fills with time.
//!
//! Invariant: while writers are at ease, what is written within any time is no more than the rate
//! allows for it, the burst, and what the last step wrote beyond its piece; that is owed, and comes off
//! what follows. The nearer writers are to being slowed, the faster the bucket fills, and where they
//! are slowed nothing is held back: a limit never makes anybody wait.
//!
//! Knows no clock: who asks says what time it is.

use std::num::NonZeroU64;
use std::time::Duration;

use crate::checkpoint::STEP_BYTES;
use crate::store::SLOWED;

/// A step of a slow store takes over no less than this, in bytes.
const LEAST_PIECE: u64 = 64 << 10;
/// So many pieces fit into a second, where that makes them neither too short nor too long.
const PIECES: u64 = 16;
/// The bucket holds what comes in one part of so many of a second.
const BURST: u64 = 4;
/// The level of the bucket is counted in billionths of a byte: at a byte a second, one comes each
/// nanosecond.
const BYTE: i128 = 1_000_000_000;

/// A limit, and what of it is left.
#[derive(Debug)]
pub(crate) struct Rate {
    per_second: u64,
    /// What may be written now, in billionths of a byte; below nothing it is owed.
    level: i128,
    /// When the level was that.
    at: Duration,
}

impl Rate {
    /// A full bucket.
    pub(crate) fn new(bytes_per_second: NonZeroU64, now: Duration) -> Self {
        let mut rate = Self { per_second: bytes_per_second.get(), level: 0, at: now };
        rate.level = rate.most();
        rate
    }

    /// About how many bytes one step takes over.
    pub(crate) fn piece(&self) -> u64 {
        (self.per_second / PIECES).clamp(LEAST_PIECE, STEP_BYTES as u64)
    }

    /// What is saved up at most, in bytes: a piece at least.
    pub(crate) fn burst(&self) -> u64 {
        (self.per_second / BURST).max(self.piece())
    }

    /// How long the next step has to wait when engines are so far behind; zero when it need not.
    pub(crate) fn wait(&mut self, now: Duration, pressure: u32) -> Duration {
        let elapsed = now.saturating_sub(self.at);
        self.at = now;
        let Some(per_second) = self.lifted(pressure) else {
            self.level = self.most();
            return Duration::ZERO;
        };
        let came = i128::from(per_second).saturating_mul(signed(elapsed.as_nanos()));
        self.level = self.level.saturating_add(came).min(self.most());
        let missing = i128::from(self.piece()) * BYTE - self.level;
        let nanos = missing.max(0).unsigned_abs().div_ceil(u128::from(per_second));
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// A step has written so many bytes.
    pub(crate) fn spent(&mut self, bytes: u64) {
        self.level = self.level.saturating_sub(i128::from(bytes) * BYTE);
    }

    /// What is allowed in a second under a pressure: twice as much half way to where writers are
    /// slowed, ten times as much at nine tenths; `None` where they are.
    fn lifted(&self, pressure: u32) -> Option<u64> {
        let left = SLOWED.checked_sub(pressure).filter(|left| *left > 0)?;
        let lifted = u128::from(self.per_second) * u128::from(SLOWED) / u128::from(left);
        Some(u64::try_from(lifted).unwrap_or(u64::MAX))
    }

    fn most(&self) -> i128 {
        i128::from(self.burst()) * BYTE
    }
}

fn signed(number: u128) -> i128 {
    i128::try_from(number).unwrap_or(i128::MAX)
}

#[cfg(test)]
mod tests;
