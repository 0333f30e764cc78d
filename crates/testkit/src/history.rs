//! A history of concurrent transactions: who read which version of which key, who wrote what, how
//! each one ended, and what came before what in real time.
//!
//! ```text
//! plan ─► drive (a store, or the toy) ─► History ─► check ─► a serial order, or an Anomaly in words
//! ```
//!
//! Invariant: a version names who wrote it, so a read says whose write it saw. A read that saw
//! nothing saw the state before any write, or a delete; which one, the transaction's snapshot says.
//!
//! A history is also a text, for tests and for reports: see [`text`]. Knows no store.

pub mod check;
pub mod cut;
pub mod drive;
mod edges;
mod graph;
pub mod plan;
mod settle;
pub mod text;
pub mod toy;
mod words;

use std::ops::Bound;

pub use check::{Anomaly, Checked, Kind, Order, check};

/// Which transaction, by its place in the history.
pub type Id = usize;

/// A moment: numbers of one counter, which all who take part share.
pub type Moment = u64;

/// A key of a keyspace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Item {
    /// The keyspace.
    pub space: u32,
    /// The key.
    pub key: Vec<u8>,
}

impl Item {
    /// A key of a keyspace.
    pub fn new(space: u32, key: impl Into<Vec<u8>>) -> Self {
        Self { space, key: key.into() }
    }
}

/// A value: the write that made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// Who wrote it.
    pub writer: Id,
    /// Which of the writer's writes, from 1.
    pub nth: u16,
}

impl Version {
    /// The value that a store keeps for it.
    #[must_use]
    pub fn bytes(self) -> [u8; 10] {
        let mut bytes = [0; 10];
        bytes[..8].copy_from_slice(&(self.writer as u64).to_le_bytes());
        bytes[8..].copy_from_slice(&self.nth.to_le_bytes());
        bytes
    }
}

/// What a read gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Saw {
    /// The key has no value.
    Nothing,
    /// The value that this write made.
    Version(Version),
    /// A value that is none of ours.
    Garbage,
}

impl Saw {
    /// What a value is. It may be longer than the version: what follows must repeat its bytes.
    #[must_use]
    pub fn of(value: Option<&[u8]>) -> Self {
        let Some(value) = value else { return Self::Nothing };
        let (Some(head), true) = (value.first_chunk::<8>(), value.len() >= 10) else {
            return Self::Garbage;
        };
        let nth = u16::from_le_bytes([value[8], value[9]]);
        let Ok(writer) = Id::try_from(u64::from_le_bytes(*head)) else { return Self::Garbage };
        let version = Version { writer, nth };
        let repeats = value.iter().zip(version.bytes().iter().cycle()).all(|(a, b)| a == b);
        if repeats { Self::Version(version) } else { Self::Garbage }
    }
}

/// A walk over the keys of a keyspace, as far as it went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scan {
    /// The keyspace.
    pub space: u32,
    /// Where the part that was seen begins.
    pub lower: Bound<Vec<u8>>,
    /// Where it ends.
    pub upper: Bound<Vec<u8>>,
    /// What was there, in the order in which it came.
    pub found: Vec<(Vec<u8>, Saw)>,
    /// Whether it came by descending key.
    pub way: Way,
}

/// Which way a walk goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// By ascending key.
    Up,
    /// By descending key.
    Down,
}

impl Scan {
    /// Whether a key lies where the walk went.
    #[must_use]
    pub fn covers(&self, key: &[u8]) -> bool {
        let above = match &self.lower {
            Bound::Unbounded => true,
            Bound::Included(lower) => key >= &lower[..],
            Bound::Excluded(lower) => key > &lower[..],
        };
        let below = match &self.upper {
            Bound::Unbounded => true,
            Bound::Included(upper) => key <= &upper[..],
            Bound::Excluded(upper) => key < &upper[..],
        };
        above && below
    }
}

/// Something that a transaction did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// Read a key.
    Read(Item, Saw),
    /// Walked over keys.
    Scan(Scan),
    /// Gave a key the value that the how-manieth write of this transaction makes.
    Put(Item, u16),
    /// Took a key away.
    Delete(Item),
}

/// How a transaction ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It was told that it is committed.
    Committed,
    /// It was rolled back, by itself or by a conflict.
    RolledBack,
    /// Nobody was told: it is committed if somebody saw what it wrote.
    Unknown,
    /// A cut took it: nobody may see it any more, and what it saw binds nobody.
    Lost,
}

/// One transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transaction {
    /// Before it took its snapshot.
    pub began: Moment,
    /// What it did, and when.
    pub acts: Vec<(Moment, Act)>,
    /// The last commit that its reads saw, if it says so.
    pub snapshot: Option<u64>,
    /// Its place among all commits; versions of a key stand in this order.
    pub lsn: Option<u64>,
    /// When its commit got its place and was visible to nobody yet, if that was told apart.
    pub placed: Option<Moment>,
    /// How it ended.
    pub end: End,
    /// After it was told so.
    pub ended: Moment,
}

impl Transaction {
    /// One that begins now.
    #[must_use]
    pub fn begin(began: Moment) -> Self {
        Self {
            began,
            acts: Vec::new(),
            snapshot: None,
            lsn: None,
            placed: None,
            end: End::Unknown,
            ended: Moment::MAX,
        }
    }

    /// The last write to each key, in the order of the writes.
    pub(crate) fn writes(&self) -> impl Iterator<Item = (&Item, Option<u16>)> {
        self.acts.iter().filter_map(|(_, act)| match act {
            Act::Put(item, nth) => Some((item, Some(*nth))),
            Act::Delete(item) => Some((item, None)),
            Act::Read(..) | Act::Scan(_) => None,
        })
    }

    /// Whether it wrote anything.
    #[must_use]
    pub fn is_writer(&self) -> bool {
        self.writes().next().is_some()
    }
}

/// Transactions, some at the same time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// Each by its [`Id`].
    pub transactions: Vec<Transaction>,
}

#[cfg(test)]
mod tests;
