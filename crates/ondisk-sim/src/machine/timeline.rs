//! The timeline: all that moved in a run, as lines of text that can be gone through both ways.
//!
//! A [`Recorder`] is fed with events and writes; a [`Timeline`] reads, and shows what every cell
//! holds at any event. What an event changes follows from the events alone, so a timeline needs no
//! machine to be looked at.
//!
//! Invariant: at event `n` the cells hold what the changes of the first `n` events made of nothing,
//! however one came there: by steps, by steps back, or from a key line.
//!
//! Knows nothing of how a machine came to its events. The lines are specified in
//! `docs/format/timeline.md`.

mod base64;
mod cells;
mod derive;
mod error;
mod json;
mod read;
mod record;
#[cfg(test)]
mod tests;
mod words;

use std::collections::BTreeMap;

use super::digest::Digest;
use super::ids::Ns;
pub use cells::{CELLS, Cell, Place, Value};
use cells::{Cells, Run};
pub use error::TimelineError;
pub use record::Recorder;
pub use words::{name, words};

/// The version that is written here, and the newest that is read.
pub const VERSION: u64 = 1;
/// How often a key line may come, in events.
pub const EVERY: u64 = 256;
/// The longest line, in bytes, with its end.
pub const LINE: usize = 8 << 20;
/// How many events a timeline may have.
pub const EVENTS: usize = 1 << 24;
/// How many cells may change in all of a timeline.
pub const CHANGES: usize = 1 << 27;

/// What is known before the first event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// The seed of the run.
    pub seed: u64,
    /// How the machine was built, by names and values, in their order.
    pub config: Vec<(String, String)>,
    /// What ran.
    pub script: String,
}

/// The bytes that a version brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blob {
    /// How many.
    pub len: u64,
    /// They, or of many the first alone.
    pub bytes: Vec<u8>,
    /// The inode.
    pub ino: u32,
    /// The page.
    pub page: u32,
    /// Where in the page they begin.
    pub from: u32,
    /// The call that wrote them.
    pub op: u32,
    /// The version whose other bytes it kept; 0 for none.
    pub before: u32,
}

/// An event of a timeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Its number.
    pub number: u64,
    /// When.
    pub at: Ns,
    /// The number of the event that made it happen; 0 for none.
    pub cause: u64,
    /// The call on whose behalf; 0 for nobody's.
    pub op: u32,
    /// Which page content moved; 0 where none of a file did.
    pub ver: u32,
    /// The number of its layer.
    pub layer: u8,
    /// The name of its kind; a newer writer may have kinds that this version does not know.
    pub kind: &'a str,
    /// In words.
    pub words: &'a str,
}

/// A run, to be gone through.
#[derive(Clone, Debug)]
pub struct Timeline {
    header: Header,
    rows: Vec<Row>,
    runs: Vec<Run>,
    words: String,
    kinds: Vec<String>,
    keys: Vec<Key>,
    blobs: BTreeMap<u32, Blob>,
    digest: Digest,
    /// How many events the cells have behind them.
    at: usize,
    cells: Cells,
}

/// An event, and where its changes and words end: they begin where the event's before end.
#[derive(Clone, Copy, Debug)]
struct Row {
    number: u64,
    at: Ns,
    cause: u64,
    op: u32,
    ver: u32,
    kind: u16,
    layer: u8,
    runs: usize,
    words: usize,
}

/// What all cells hold behind so many events.
#[derive(Clone, Debug)]
struct Key {
    after: usize,
    runs: Vec<Run>,
}

impl Timeline {
    /// What is known before the first event.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// How many events it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether nothing moved.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The hash of all its lines but the last, which says the same.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// How many events are behind the present moment.
    #[must_use]
    pub fn at(&self) -> usize {
        self.at
    }

    /// An event by its place, from 0 on.
    #[must_use]
    pub fn entry(&self, at: usize) -> Option<Entry<'_>> {
        let row = self.rows.get(at)?;
        let from = self.before(at).1;
        Some(Entry {
            number: row.number,
            at: row.at,
            cause: row.cause,
            op: row.op,
            ver: row.ver,
            layer: row.layer,
            kind: self.kinds.get(usize::from(row.kind)).map_or("", String::as_str),
            words: self.words.get(from..row.words).unwrap_or_default(),
        })
    }

    /// The place of an event by its number.
    #[must_use]
    pub fn find(&self, number: u64) -> Option<usize> {
        self.rows.binary_search_by_key(&number, |row| row.number).ok()
    }

    /// The cells that an event changes, with what they held and hold.
    pub fn deltas(&self, at: usize) -> impl DoubleEndedIterator<Item = (Cell, Value, Value)> + '_ {
        let runs = self.rows.get(at).map_or(0..0, |row| self.before(at).0..row.runs);
        self.runs[runs].iter().flat_map(Run::iter)
    }

    /// Where the changes and the words of an event begin.
    fn before(&self, at: usize) -> (usize, usize) {
        let before = at.checked_sub(1).and_then(|before| self.rows.get(before));
        before.map_or((0, 0), |row| (row.runs, row.words))
    }

    /// What a cell holds at the present moment.
    #[must_use]
    pub fn get(&self, cell: Cell) -> Value {
        self.cells.get(cell)
    }

    /// All cells that hold something at the present moment, in order.
    pub fn cells(&self) -> impl Iterator<Item = (Cell, Value)> + '_ {
        self.cells.iter()
    }

    /// The bytes that a version brought.
    #[must_use]
    pub fn blob(&self, ver: u32) -> Option<&Blob> {
        self.blobs.get(&ver)
    }

    /// Goes one event on; which.
    pub fn step(&mut self) -> Option<Entry<'_>> {
        let at = self.at;
        let row = self.rows.get(at)?;
        let runs = self.before(at).0..row.runs;
        for (cell, _, new) in self.runs[runs].iter().flat_map(Run::iter) {
            self.cells.set(cell, new);
        }
        self.at = at + 1;
        self.entry(at)
    }

    /// Goes one event back; which that was.
    pub fn back(&mut self) -> Option<Entry<'_>> {
        let at = self.at.checked_sub(1)?;
        let runs = self.before(at).0..self.rows.get(at)?.runs;
        for (cell, old, _) in self.runs[runs].iter().rev().flat_map(|run| run.iter().rev()) {
            self.cells.set(cell, old);
        }
        self.at = at;
        self.entry(at)
    }

    /// Goes to the moment behind so many events; behind the last, if there are not so many.
    pub fn seek(&mut self, at: usize) {
        let at = at.min(self.rows.len());
        let key = self.keys.partition_point(|key| key.after <= at).checked_sub(1);
        let from = key.and_then(|key| self.keys.get(key)).map_or(0, |key| key.after);
        // From here, if that is not farther than from the key line.
        if self.at.abs_diff(at) > at - from {
            self.cells.clear();
            self.at = from;
            let cells = key.map_or(&[][..], |key| &self.keys[key].runs);
            for (cell, _, value) in cells.iter().flat_map(Run::iter) {
                self.cells.set(cell, value);
            }
        }
        while self.at < at {
            self.step();
        }
        while self.at > at {
            self.back();
        }
    }
}
