//! What an acknowledgement means: sequence numbers, modes and receipts.
//!
//! Invariant: [`SyncMode`] is ordered by strength, so the mode of a group is the maximum of its
//! commits' modes.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use ondisk_fs::Rung;

/// A log sequence number: the place of a commit in the log. Dense within one opening of the log;
/// the first commit is 1, and 0 stands for "before all". Never given out twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lsn(pub u64);

impl Lsn {
    /// The one after this.
    ///
    /// The number is 64 bits wide and is not counted to its end: at a billion commits a second
    /// that takes 584 years. It saturates, so bytes from disk cannot make it wrap.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// When a commit is acknowledged: on which rung, and how many acknowledged ones a power cut may
/// take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SyncMode {
    /// After the sync: [`Rung::Durable`]. A power cut takes nothing that was acknowledged.
    #[default]
    Sync,
    /// After the write, with a sync every so many commits: a power cut takes at most
    /// [`Batch::records`] acknowledged commits, the last ones.
    Batch(Batch),
    /// After the write: handed to the operating system and no more. A power cut takes whatever
    /// the system had not written back by itself.
    None,
}

/// How much of what is acknowledged may be at risk in [`SyncMode::Batch`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batch {
    /// At most so many acknowledged commits are not durable. At least 1; 100 by default.
    pub records: u32,
    /// At most so many bytes of payload of acknowledged commits are not durable, if given.
    pub bytes: Option<u64>,
    /// A sync at the latest so long after a commit, if given. The log reads no clock: who owns it
    /// calls [`Log::sync`](crate::Log::sync) in time.
    pub delay: Option<Duration>,
}

impl Default for Batch {
    fn default() -> Self {
        Self { records: 100, bytes: None, delay: None }
    }
}

impl SyncMode {
    /// How many acknowledged commits a power cut may take: `Some(0)` in mode sync, `None` where
    /// there is no bound.
    #[must_use]
    pub fn at_risk(self) -> Option<u32> {
        match self {
            Self::Sync => Some(0),
            Self::Batch(batch) => Some(batch.records.max(1)),
            Self::None => None,
        }
    }

    /// The name alone: `sync`, `batch` or `none`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Sync => "sync",
            Self::Batch(_) => "batch",
            Self::None => "none",
        }
    }

    /// The mode that keeps both promises: what a group of commits is written in.
    #[must_use]
    pub fn strongest(self, other: Self) -> Self {
        match (self, other) {
            (Self::Sync, _) | (_, Self::Sync) => Self::Sync,
            (Self::Batch(a), Self::Batch(b)) => Self::Batch(Batch {
                records: a.records.min(b.records),
                bytes: least(a.bytes, b.bytes),
                delay: least(a.delay, b.delay),
            }),
            (Self::Batch(batch), Self::None) | (Self::None, Self::Batch(batch)) => {
                Self::Batch(batch)
            }
            (Self::None, Self::None) => Self::None,
        }
    }
}

fn least<T: Ord>(a: Option<T>, b: Option<T>) -> Option<T> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (some, None) | (None, some) => some,
    }
}

/// `sync`, `batch:N` or `batch:N,Tms`, `none`: the form that [`FromStr`] reads.
impl fmt::Display for SyncMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sync | Self::None => f.pad(self.name()),
            Self::Batch(batch) => {
                let mut text = format!("batch:{}", batch.records);
                if let Some(delay) = batch.delay {
                    text += &format!(",{}ms", delay.as_millis());
                }
                f.pad(&text)
            }
        }
    }
}

/// A text that names no mode.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no sync mode: say sync, batch, batch:N, batch:N,Tms (or Ts), or none")]
pub struct ParseModeError(pub String);

impl FromStr for SyncMode {
    type Err = ParseModeError;

    fn from_str(text: &str) -> Result<Self, ParseModeError> {
        let refused = || ParseModeError(text.to_owned());
        match text {
            "sync" => return Ok(Self::Sync),
            "none" => return Ok(Self::None),
            "batch" => return Ok(Self::Batch(Batch::default())),
            _ => {}
        }
        let rest = text.strip_prefix("batch:").ok_or_else(refused)?;
        let (records, delay) = match rest.split_once(',') {
            Some((records, delay)) => (records, Some(parse_delay(delay).ok_or_else(refused)?)),
            None => (rest, None),
        };
        let records: u32 = records.parse().map_err(|_| refused())?;
        if records == 0 {
            return Err(refused());
        }
        Ok(Self::Batch(Batch { records, bytes: None, delay }))
    }
}

fn parse_delay(text: &str) -> Option<Duration> {
    if let Some(millis) = text.strip_suffix("ms") {
        return millis.parse().ok().map(Duration::from_millis);
    }
    text.strip_suffix('s')?.parse().ok().map(Duration::from_secs)
}

/// What a commit gets for an answer: its place, and the rung that it has reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The commit's place in the log.
    pub lsn: Lsn,
    /// How far down the commit had come when it was acknowledged; it may be more than its mode
    /// asked for.
    pub rung: Rung,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_read_as_they_are_printed() {
        for text in ["sync", "none", "batch:7", "batch:7,20ms"] {
            assert_eq!(text.parse::<SyncMode>().unwrap().to_string(), text);
        }
        assert_eq!("batch".parse(), Ok(SyncMode::Batch(Batch::default())));
        assert_eq!("batch:1,2s".parse::<SyncMode>().unwrap().to_string(), "batch:1,2000ms");
        for text in ["", "Sync", "batch:", "batch:0", "batch:1,", "batch:1,5", "batch:-1"] {
            assert!(text.parse::<SyncMode>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_group_takes_the_strongest_mode() {
        let (ten, five) = ("batch:10,5ms".parse().unwrap(), "batch:5".parse().unwrap());
        assert_eq!(SyncMode::strongest(ten, SyncMode::Sync), SyncMode::Sync);
        assert_eq!(SyncMode::strongest(SyncMode::None, ten), ten);
        assert_eq!(SyncMode::strongest(ten, five), "batch:5,5ms".parse().unwrap());
    }
}
