//! Every bit of every file of a log is flipped, every block is lost, every file is lost or cut;
//! and the log is opened.
//!
//! What must hold, whatever was done:
//! * an open never panics and never serves a record that was not committed under its LSN;
//! * a log that was not closed serves all commits before the damage; where anything that is left
//!   says that more was durable, it is an error, and where nothing does, it is a shorter log;
//! * a log that was closed notices every change of what is its own, and none of what is nobody's.
//!
//! Its own are the anchor; the existence of each segment that the anchor names; and in each
//! segment of the chain the bytes from the start to the end of the block of the last group in it.
//! Nobody's is what stands behind that, and what is in segments that are free or prepared.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "support/chain.rs"]
mod chain;
#[path = "support/lives.rs"]
mod lives;
#[path = "support/report.rs"]
mod report;
#[path = "support/shelf.rs"]
mod shelf;

use std::fmt;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use ondisk_fs::FileSystem;
use ondisk_log::{Batch, Flow, Log, LogError, Lsn, Sabotage, SyncMode};

use chain::{Chain, Link};
use lives::{
    DIR, End, Life, Made, Records, SMALL, STORE, anchor_path, make, options, read, recover,
};
use report::Report;
use shelf::Shelf;

const BLOCK: usize = 4096;
/// What the reader takes at once, in bytes, whatever the files say.
const WINDOW: usize = 1 << 20;

/// A log, what is known of it, and what is done to it.
struct Subject {
    name: &'static str,
    made: Made,
    chain: Chain,
    /// What an open serves when nothing was done.
    whole: Records,
    sabotage: Option<Sabotage>,
}

fn life(commits: u64, len: usize, mode: fn(u64) -> SyncMode, end: End) -> Life {
    Life { commits, len, mode, end }
}

fn sync(_: u64) -> SyncMode {
    SyncMode::Sync
}

fn none(_: u64) -> SyncMode {
    SyncMode::None
}

fn batch(_: u64) -> SyncMode {
    SyncMode::Batch(Batch { records: 3, ..Batch::default() })
}

fn mixed(i: u64) -> SyncMode {
    [SyncMode::None, SyncMode::None, SyncMode::Sync][usize::try_from(i % 3).unwrap()]
}

/// Small logs of every kind of past.
fn subjects() -> Vec<Subject> {
    let subject = |name, lives: &[Life]| Subject::new(name, make(STORE, SMALL, lives));
    vec![
        subject("closed, sync", &[life(5, 700, sync, End::Close)]),
        subject(
            "closed, batch and none, two lives",
            &[life(9, 600, batch, End::Close), life(6, 500, none, End::Close)],
        ),
        subject(
            "closed after a kill and a cut",
            &[
                life(4, 600, mixed, End::Kill),
                life(3, 300, sync, End::Tear(0)),
                life(3, 300, none, End::Close),
            ],
        ),
        subject("killed, sync", &[life(6, 900, sync, End::Kill)]),
        subject("killed, batch", &[life(12, 700, batch, End::Kill)]),
        subject("killed, none", &[life(14, 900, none, End::Kill)]),
        subject("killed when idle", &[life(5, 900, none, End::IdleKill)]),
        subject(
            "three lives, killed",
            &[
                life(4, 600, batch, End::Tear(0)),
                life(6, 900, none, End::Tear(1)),
                life(4, 300, mixed, End::Kill),
            ],
        ),
        subject(
            "recycled segments, killed",
            &[life(9, 900, sync, End::TruncateKill), life(7, 600, mixed, End::Kill)],
        ),
    ]
}

/// What is done to a log.
#[derive(Clone, Copy)]
enum Deed<'a> {
    /// Bytes from here on become these.
    Bytes(&'a Path, usize, &'a [u8]),
    /// The file has so many bytes.
    Length(&'a Path, usize),
    Removed(&'a Path),
    /// The anchor is a whole one that stood there before.
    OlderAnchor(&'a [u8]),
    Swapped(&'a Path, &'a Path),
}

impl fmt::Debug for Deed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(path, at, bytes) => {
                let (path, len) = (path.display(), bytes.len());
                write!(f, "{len} bytes of {path} at {at} become {:02x?}…", &bytes[..len.min(16)])
            }
            Self::Length(path, len) => write!(f, "{} gets {len} bytes long", path.display()),
            Self::Removed(path) => write!(f, "{} is removed", path.display()),
            Self::OlderAnchor(anchor) => write!(f, "the anchor becomes {anchor:02x?} again"),
            Self::Swapped(a, b) => write!(f, "{} and {} are swapped", a.display(), b.display()),
        }
    }
}

/// What an open must make of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// So many commits, the first ones.
    Serves(usize),
    Error,
    /// All commits, or an error: what was changed may be looked at, and holds none.
    ServesAllOrError,
}

impl Subject {
    fn new(name: &'static str, made: Made) -> Self {
        let whole = read(&made.shelf).unwrap().1;
        let chain = Chain::of(&made.shelf);
        assert_eq!(chain.records(), whole, "{name}: the chain, followed by the format's page");
        Self { name, made, chain, whole, sabotage: None }
    }

    fn len(&self, path: &Path) -> usize {
        self.made.shelf.change(path, |bytes| bytes.len())
    }

    /// Does something to the log, opens it, judges, and undoes it.
    fn try_deed(&self, deed: Deed<'_>, writer: Writer) {
        let shelf = &self.made.shelf;
        match deed {
            Deed::Bytes(path, at, bytes) => {
                let former = self.exchange(path, at, bytes);
                if former != bytes {
                    let differs = |range: Range<usize>| {
                        let inside = range.start.max(at)..range.end.min(at + bytes.len());
                        inside.into_iter().any(|i| former[i - at] != bytes[i - at])
                    };
                    self.judge(deed, self.verdict(path, differs), writer);
                }
                self.exchange(path, at, &former);
            }
            Deed::Length(path, len) => {
                let former = shelf.get(path);
                shelf.change(path, |bytes| bytes.resize(len, 0));
                let cut = |range: Range<usize>| {
                    !range.is_empty() && range.end > len && former.len() > len
                };
                self.judge(deed, self.verdict(path, cut), writer);
                shelf.put(path, former);
            }
            Deed::Removed(path) => {
                let former = shelf.get(path);
                shelf.remove(path).unwrap();
                let needed = path == anchor_path() || self.chain.needs(path);
                let verdict =
                    if needed { Verdict::Error } else { Verdict::Serves(self.whole.len()) };
                self.judge(deed, verdict, writer);
                shelf.put(path, former);
            }
            Deed::OlderAnchor(anchor) => {
                let former = shelf.get(anchor_path());
                shelf.put(anchor_path(), anchor.to_vec());
                self.judge(deed, Verdict::ServesAllOrError, writer);
                shelf.put(anchor_path(), former);
            }
            Deed::Swapped(one, two) => {
                let (first, second) = (shelf.get(one), shelf.get(two));
                shelf.put(one, second.clone());
                shelf.put(two, first.clone());
                self.judge(deed, self.verdict_of_swap(one, two), writer);
                shelf.put(one, first);
                shelf.put(two, second);
            }
        }
    }

    fn exchange(&self, path: &Path, at: usize, bytes: &[u8]) -> Vec<u8> {
        self.made.shelf.change(path, |content| {
            let range = at..at + bytes.len();
            let former = content[range.clone()].to_vec();
            content[range].copy_from_slice(bytes);
            former
        })
    }

    /// What must become of the log when bytes of this file differ.
    fn verdict(&self, path: &Path, differs: impl Fn(Range<usize>) -> bool) -> Verdict {
        if path.as_os_str() == anchor_path().as_os_str() {
            return Verdict::Error;
        }
        let here = |link: &&Link| link.path.as_os_str() == path.as_os_str(); // faster than paths
        let hit = |link: &Link| here(&link) && differs(link.range.clone());
        if let Some(first) = self.chain.links.iter().find(|link| hit(link)) {
            if self.chain.closed {
                return Verdict::Error;
            }
            let others = self.chain.links.iter().filter(|link| !hit(link));
            return self.what_is_left(first, others);
        }
        let mut paddings = self.chain.paddings(path);
        let padding = paddings.any(&differs);
        match (padding, self.chain.closed) {
            (true, true) => Verdict::Error,
            (true, false) => Verdict::ServesAllOrError,
            (false, _) => Verdict::Serves(self.whole.len()),
        }
    }

    /// Groups of a swapped segment are in the wrong place, and tell what was durable all the same.
    fn verdict_of_swap(&self, one: &Path, two: &Path) -> Verdict {
        let first = self.chain.links.iter().find(|link| link.path == one || link.path == two);
        match first {
            Some(_) if self.chain.closed => Verdict::Error,
            Some(first) => self.what_is_left(first, self.chain.links.iter()),
            None => Verdict::Serves(self.whole.len()),
        }
    }

    /// What an open serves of a log whose first bad group is this one, when these can be seen.
    fn what_is_left<'a>(&self, first: &Link, seen: impl Iterator<Item = &'a Link>) -> Verdict {
        let watermark = seen.map(|link| link.watermark).max().unwrap_or(0);
        if watermark.max(self.chain.anchored) > first.prev_lsn {
            return Verdict::Error;
        }
        let left = self.whole.iter().filter(|(lsn, _)| *lsn <= first.prev_lsn);
        Verdict::Serves(left.count())
    }

    fn judge(&self, deed: Deed<'_>, verdict: Verdict, writer: Writer) {
        if self.sabotage.is_none() {
            self.judge_outcome(deed, verdict, self.compare());
        }
        if writer != Writer::No {
            let opened = recover(&self.made.shelf, options(SMALL, self.sabotage));
            let served = opened.map(|(log, shelf, records)| {
                if writer == Writer::GoesOn {
                    self.goes_on(deed, &log, &shelf, &records);
                }
                Served { count: records.len(), right: self.whole.starts_with(&records) }
            });
            self.judge_outcome(deed, verdict, served);
        }
    }

    /// Reads the log, and keeps nothing but whether it is a prefix of what was committed.
    fn compare(&self) -> Result<Served, LogError> {
        let mut served = Served { count: 0, right: true };
        Log::read(&self.made.shelf, Path::new(DIR), Lsn(0), &mut |lsn, payload| {
            let expected = self.whole.get(served.count);
            served.right &=
                expected.is_some_and(|(at, bytes)| (*at, &bytes[..]) == (lsn.0, &payload));
            served.count += 1;
            Flow::Continue
        })?;
        Ok(served)
    }

    fn judge_outcome(&self, deed: Deed<'_>, verdict: Verdict, outcome: Result<Served, LogError>) {
        let all = self.whole.len();
        let right = match (verdict, &outcome) {
            (Verdict::Serves(count), Ok(served)) => served.right && served.count == count,
            (Verdict::ServesAllOrError, Ok(served)) => served.right && served.count == all,
            (Verdict::Error | Verdict::ServesAllOrError, Err(error)) => is_damage(error),
            (Verdict::Error, Ok(_)) | (Verdict::Serves(_), Err(_)) => false,
        };
        assert!(right, "{}: {deed:?}: {outcome:?}, and it must be {verdict:?} of {all}", self.name);
    }

    /// What an open has served is served by the next, and what was committed between.
    fn goes_on(&self, deed: Deed<'_>, log: &Log, shelf: &Shelf, records: &Records) {
        let lsn = log.append(b"one more", SyncMode::Sync).unwrap().lsn;
        let name = self.name;
        let again = read(shelf);
        let (_, mut again) =
            again.unwrap_or_else(|error| panic!("{name}: {deed:?}: the next open: {error}"));
        let more = again.pop();
        assert_eq!(more, Some((lsn.0, b"one more".to_vec())), "{name}: {deed:?}: the next open");
        assert_eq!(&again, records, "{name}: {deed:?}: the next open");
    }
}

/// What an open gave.
#[derive(Clone, Copy, Debug)]
struct Served {
    count: usize,
    /// They are the first ones that were committed.
    right: bool,
}

fn is_damage(error: &LogError) -> bool {
    matches!(error, LogError::Damaged { .. } | LogError::AnchorMissing { .. })
}

/// Whether a writer opens the log too, besides a reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Writer {
    No,
    Opens,
    /// It commits one more, and the log is read again.
    GoesOn,
}

/// Flips every bit. A writer opens the log too for one bit of every fourth byte, and goes on for
/// every sixteenth.
fn flip_bits(subject: &Subject) -> usize {
    let mut cases = 0;
    for path in subject.made.shelf.paths() {
        let bytes = subject.made.shelf.get(&path);
        for (at, byte) in bytes.iter().enumerate() {
            for bit in 0..8 {
                let writer = match (bit == at / 4 % 8, at % 16) {
                    (true, 5) => Writer::GoesOn,
                    (true, 1 | 9 | 13) => Writer::Opens,
                    _ => Writer::No,
                };
                subject.try_deed(Deed::Bytes(&path, at, &[byte ^ (1 << bit)]), writer);
                cases += 1;
            }
        }
    }
    assert!(subject.made.shelf.longest_read() <= WINDOW);
    cases
}

/// Every block: zeroed, filled, given each of its former contents, given each other block's.
fn change_blocks(subject: &Subject) -> usize {
    let shelf = &subject.made.shelf;
    let paths = shelf.paths();
    let contents: Vec<Vec<u8>> = paths
        .iter()
        .flat_map(|path| shelf.get(path).chunks(BLOCK).map(<[u8]>::to_vec).collect::<Vec<_>>())
        .collect();
    let mut cases = 0;
    for path in &paths {
        for block in 0..subject.len(path).div_ceil(BLOCK) {
            let len = BLOCK.min(subject.len(path) - block * BLOCK);
            let former = subject.made.former.get(&(path.clone(), block)).into_iter().flatten();
            if *path == anchor_path() {
                for anchor in former.clone() {
                    subject.try_deed(Deed::OlderAnchor(anchor), Writer::GoesOn);
                    cases += 1;
                }
            }
            let former = former.filter(|_| *path != anchor_path());
            let fixed = [vec![0; BLOCK], vec![0xFF; BLOCK]];
            for content in fixed.iter().chain(former).chain(&contents) {
                let content = &content[..len.min(content.len())];
                subject.try_deed(Deed::Bytes(path, block * BLOCK, content), Writer::GoesOn);
                cases += 1;
            }
        }
    }
    cases
}

/// Every file: removed, cut at every multiple of 64 bytes and around blocks, made longer; every
/// two segments swapped.
fn change_files(subject: &Subject) -> usize {
    let paths = subject.made.shelf.paths();
    let mut cases = 0;
    let mut deed = |deed| {
        subject.try_deed(deed, Writer::GoesOn);
        cases += 1;
    };
    for path in &paths {
        let len = subject.len(path);
        deed(Deed::Removed(path));
        let near = |at: &usize| at.is_multiple_of(64) || at % BLOCK < 2 || at % BLOCK == BLOCK - 1;
        (0..len).filter(near).for_each(|at| deed(Deed::Length(path, at)));
        [1, 100, BLOCK, 3 * BLOCK + 5].iter().for_each(|more| deed(Deed::Length(path, len + more)));
    }
    let segments: Vec<&PathBuf> = paths.iter().filter(|path| **path != anchor_path()).collect();
    for (index, one) in segments.iter().enumerate() {
        segments[index + 1..].iter().for_each(|two| deed(Deed::Swapped(one, two)));
    }
    cases
}

#[test]
fn every_bit_of_closed_logs() {
    let mut report = Report::begin("sweep: every bit of closed logs");
    let closed = subjects().into_iter().filter(|subject| subject.chain.closed);
    closed.for_each(|subject| report.count(subject.name, || flip_bits(&subject)));
    report.end();
}

#[test]
fn every_bit_of_killed_logs() {
    let mut report = Report::begin("sweep: every bit of logs that were not closed");
    let killed = subjects().into_iter().filter(|subject| !subject.chain.closed);
    killed.for_each(|subject| report.count(subject.name, || flip_bits(&subject)));
    report.end();
}

#[test]
fn every_block() {
    let mut report = Report::begin("sweep: every block");
    subjects().iter().for_each(|subject| report.count(subject.name, || change_blocks(subject)));
    report.end();
}

#[test]
fn every_file() {
    let mut report = Report::begin("sweep: every file");
    subjects().iter().for_each(|subject| report.count(subject.name, || change_files(subject)));
    report.end();
}

/// Rules that the log breaks on purpose show in the same sweeps.
#[test]
fn every_planted_mistake_is_noticed() {
    type Sweep = fn(&Subject) -> usize;
    let canaries: [(Sabotage, &str, Sweep, &str); 5] = [
        (Sabotage::DamageTakenForTail, "killed, sync", change_blocks, "right: true"),
        (Sabotage::DamageTakenForTail, "killed, batch", change_files, "right: true"),
        (Sabotage::MissingSegmentIgnored, "killed when idle", change_files, "is removed"),
        (Sabotage::PayloadSumIgnored, "killed, batch", flip_bits, "right: false"),
        (Sabotage::HeaderSumIgnored, "killed, none", flip_bits, "the next open"),
    ];
    let mut report = Report::begin("sweep: planted mistakes noticed");
    for (sabotage, name, sweep, says) in canaries {
        report.count(&format!("{sabotage:?}"), || {
            let subject = subjects().into_iter().find(|subject| subject.name == name);
            let subject = Subject { sabotage: Some(sabotage), ..subject.unwrap() };
            let run = catch_unwind(AssertUnwindSafe(|| sweep(&subject)));
            let panic = run.expect_err("a planted mistake goes unnoticed");
            let said = panic.downcast_ref::<String>().unwrap();
            assert!(said.contains(says), "{sabotage:?}: {said}");
            1
        });
    }
    report.end();
}
