//! Logs with a past: written by the log itself, closed or killed, life after life, with a note of
//! every payload under the LSN that it got.
//!
//! Invariant: a log is made from its description alone, byte for byte the same each time.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ondisk_log::{
    Flow, Log, LogError, LogOptions, Lsn, Recovered, Sabotage, Step, StoreId, SyncMode,
};

use crate::shelf::Shelf;

pub(crate) const DIR: &str = "log";
pub(crate) const STORE: [u8; 16] = *b"a store of tests";
/// Four blocks, the least.
pub(crate) const SMALL: u64 = 16 << 10;

/// What one opening of a log does.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Life {
    pub(crate) commits: u64,
    pub(crate) len: usize,
    pub(crate) mode: fn(u64) -> SyncMode,
    pub(crate) end: End,
}

/// How an opening ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Close,
    /// An idle step, then as if the process died.
    IdleKill,
    /// All is given up to a checkpoint, the segments are recycled, and the process dies.
    TruncateKill,
    Kill,
    /// The process dies, and a cut takes the block in which the payload of this commit begins,
    /// counted from the last: 0 is the last.
    Tear(usize),
}

/// A log and what was committed to it.
#[derive(Clone, Debug)]
pub(crate) struct Made {
    pub(crate) shelf: Shelf,
    /// Every payload that ever got an LSN, those that a cut took included.
    pub(crate) written: BTreeMap<u64, Vec<u8>>,
    /// What each block of each file held before, as often as it changed.
    pub(crate) former: BTreeMap<(PathBuf, usize), Vec<Vec<u8>>>,
}

pub(crate) const fn options(largest: u64, sabotage: Option<Sabotage>) -> LogOptions {
    LogOptions { first_segment: SMALL, largest_segment: largest, sabotage }
}

/// Makes a log whose segments grow to `largest` bytes.
pub(crate) fn make(store: [u8; 16], largest: u64, lives: &[Life]) -> Made {
    let shelf = Shelf::default();
    let options = options(largest, None);
    let new = Log::create(shelf.share(), Path::new(DIR), StoreId(store), options);
    let mut log = new.unwrap().finish().unwrap();
    let mut made = Made { shelf: shelf.clone(), written: BTreeMap::new(), former: BTreeMap::new() };
    let mut seen = BTreeMap::new();
    for (number, life) in lives.iter().enumerate() {
        if number > 0 {
            drop(log);
            let sink = &mut |_, _| Flow::Continue;
            (log, _) = Log::recover(shelf.share(), Path::new(DIR), options, Lsn(0), sink).unwrap();
        }
        for i in 0..life.commits {
            let payload = payload(store, number, i, life.len);
            let receipt = log.append(&payload, (life.mode)(i)).unwrap();
            made.written.insert(receipt.lsn.0, payload);
            made.remember(&mut seen);
        }
        finish(&log, life.end);
        made.remember(&mut seen);
        if let End::Tear(from_last) = life.end {
            tear(&shelf, made.written.values().rev().nth(from_last).unwrap());
            made.remember(&mut seen);
        }
    }
    made
}

impl Made {
    /// Takes note of what the blocks held that have changed since the last time.
    fn remember(&mut self, seen: &mut BTreeMap<PathBuf, Vec<u8>>) {
        for path in self.shelf.paths() {
            let now = self.shelf.get(&path);
            let before = seen.insert(path.clone(), now.clone()).unwrap_or_default();
            let blocks = before.chunks(4096).zip(now.chunks(4096)).enumerate();
            for (block, (before, _)) in blocks.filter(|(_, (before, now))| before != now) {
                self.former.entry((path.clone(), block)).or_default().push(before.to_vec());
            }
        }
    }
}

fn payload(store: [u8; 16], life: usize, i: u64, len: usize) -> Vec<u8> {
    let mut bytes = format!("{} life {life} commit {i} ", store.escape_ascii()).into_bytes();
    let more = len + usize::try_from(i).unwrap() * 7 % 90;
    bytes.extend((0..more).map(|at| (at * 31 + life).to_le_bytes()[0] | 1));
    bytes
}

fn finish(log: &Log, end: End) {
    match end {
        End::Close => log.close().unwrap(),
        End::IdleKill => assert_eq!(log.idle_step().unwrap(), Step::Working),
        End::TruncateKill => {
            let last = log.last();
            log.checkpoint(last).unwrap();
            log.truncate(last).unwrap();
            while log.step().unwrap() == Step::Working {}
        }
        End::Kill | End::Tear(_) => {}
    }
}

fn tear(shelf: &Shelf, payload: &[u8]) {
    let torn = shelf.paths().into_iter().any(|path| {
        shelf.change(&path, |bytes| {
            let at = bytes.windows(payload.len()).position(|window| window == payload);
            let Some(at) = at else { return false };
            let block = at - at % 4096;
            bytes[block..block + 4096].fill(0);
            true
        })
    });
    assert!(torn, "no segment holds the payload");
}

/// Payloads, and the LSNs under which they were found.
pub(crate) type Records = Vec<(u64, Vec<u8>)>;
/// What a read found.
pub(crate) type Outcome = Result<(Recovered, Records), LogError>;

/// Reads the log, and writes nothing.
pub(crate) fn read(shelf: &Shelf) -> Outcome {
    let mut records = Vec::new();
    let recovered = Log::read(shelf, Path::new(DIR), Lsn(0), &mut |lsn, payload| {
        records.push((lsn.0, payload.to_vec()));
        Flow::Continue
    })?;
    Ok((recovered, records))
}

/// Opens a copy of the log as a writer does.
pub(crate) fn recover(
    shelf: &Shelf,
    options: LogOptions,
) -> Result<(Log, Shelf, Records), LogError> {
    let shelf = shelf.fork();
    let mut records = Vec::new();
    let sink = &mut |lsn: Lsn, payload: bytes::Bytes| {
        records.push((lsn.0, payload.to_vec()));
        Flow::Continue
    };
    let (log, _) = Log::recover(shelf.share(), Path::new(DIR), options, Lsn(0), sink)?;
    Ok((log, shelf, records))
}

pub(crate) fn segment_path(number: u64) -> PathBuf {
    Path::new(DIR).join(format!("{number:010}.log"))
}

pub(crate) fn anchor_path() -> PathBuf {
    Path::new(DIR).join("anchor")
}
