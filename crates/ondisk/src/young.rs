//! The young map: the commits since the last checkpoint, in memory, ordered and multi-version.
//!
//! Invariant: a version is the pair of a key and the LSN of the commit that wrote it. A reader at
//! LSN `n` sees, of each key, the newest version at or below `n`. Versions of a commit that is
//! not acknowledged stand here already, above every reader's LSN.
//!
//! Keys and values are places in the one allocation that holds their commit's payload. Knows
//! nothing of the log and of engines.

use std::borrow::Borrow;
use std::cmp::{Ordering, Reverse};
use std::ops::Bound;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use bytes::Bytes;
use crossbeam_skiplist::SkipMap;
use ondisk_log::Lsn;

use crate::commit::{Commit, Span};

/// The commits since a checkpoint. Insertion and lookup take no lock.
#[derive(Debug, Default)]
pub(crate) struct Young {
    map: SkipMap<Version, Option<Span>>,
    weight: AtomicU64,
    /// The lowest LSN that was inserted; 0 before the first.
    first: AtomicU64,
    /// The highest.
    last: AtomicU64,
}

/// What the young map says of a key. That it says nothing is an `Option` around this.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    Value(Bytes),
    Deleted,
}

/// What one version costs beside its payload, in bytes: its node and its share of the tower.
const VERSION_COST: u64 = 128;

/// A key as of one commit.
#[derive(Clone, Debug)]
struct Version {
    /// The first bytes of the key, so that most comparisons touch nothing but the node.
    prefix: u64,
    lsn: Lsn,
    payload: Bytes,
    key: Span,
}

impl Young {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Adds the operations of one keyspace of a commit, under its LSN.
    /// Answers how many bytes of memory that takes.
    pub(crate) fn insert(&self, lsn: Lsn, commit: &Commit, keyspace: u32) -> u64 {
        let mut count = 0;
        for (version, value) in versions(lsn, commit, keyspace) {
            self.map.insert(version, value);
            count += 1;
        }
        let weight = weight(commit, count);
        self.weight.fetch_add(weight, Relaxed);
        self.note(lsn);
        weight
    }

    fn note(&self, lsn: Lsn) {
        self.last.fetch_max(lsn.0, Relaxed);
        // Most commits come in order, and find a lower one here.
        let mut first = self.first.load(Relaxed);
        while first == 0 || lsn.0 < first {
            match self.first.compare_exchange_weak(first, lsn.0, Relaxed, Relaxed) {
                Ok(_) => return,
                Err(found) => first = found,
            }
        }
    }

    /// The lowest LSN of its commits, if it has any. While commits are not held off, one that has
    /// its LSN may not be here yet.
    pub(crate) fn first_lsn(&self) -> Option<Lsn> {
        Some(Lsn(self.first.load(Relaxed))).filter(|lsn| lsn.0 > 0)
    }

    /// The highest LSN of its commits; 0 without any. While commits are not held off, one that has
    /// its LSN may not be here yet.
    pub(crate) fn last_lsn(&self) -> Lsn {
        Lsn(self.last.load(Relaxed))
    }

    /// The newest commit at or below `through` that wrote a key.
    pub(crate) fn written(&self, key: &[u8], through: Lsn) -> Option<Lsn> {
        let probe = Probe::new(key, through);
        let entry = self.map.lower_bound(Bound::Included(&probe as &dyn Place))?;
        (entry.key().bytes() == key).then(|| entry.key().lsn)
    }

    /// The first key between two bounds that a commit wrote which is above one LSN and at or below
    /// another, and such a commit.
    pub(crate) fn written_within(
        &self,
        lower: Bound<&[u8]>,
        upper: Bound<&[u8]>,
        above: Lsn,
        through: Lsn,
    ) -> Option<(Bytes, Lsn)> {
        let mut at = self.first(lower);
        while let Some(entry) = at {
            let version = entry.key();
            if !within(version.bytes(), upper) {
                return None;
            }
            if version.lsn > above && version.lsn <= through {
                return Some((version.key.slice(&version.payload), version.lsn));
            }
            at = entry.next();
        }
        None
    }

    /// Whether it holds no version.
    pub(crate) fn is_empty(&self) -> bool {
        self.map.is_empty()
    }

    /// The bytes that the map keeps in memory, all but exactly.
    pub(crate) fn weight(&self) -> u64 {
        self.weight.load(Relaxed)
    }

    /// How many versions the map holds.
    pub(crate) fn len(&self) -> usize {
        self.map.len()
    }

    /// The newest version of a key at or below `visible`.
    pub(crate) fn get(&self, key: &[u8], visible: Lsn) -> Option<Found> {
        if self.map.is_empty() {
            return None;
        }
        let probe = Probe::new(key, visible);
        let entry = self.map.lower_bound(Bound::Included(&probe as &dyn Place))?;
        (entry.key().bytes() == key).then(|| found(entry.key(), *entry.value()))
    }

    /// The newest version of each key between the bounds, at or below `visible`, by key.
    pub(crate) fn range<'a>(
        &'a self,
        lower: Bound<&'a [u8]>,
        upper: Bound<&'a [u8]>,
        visible: Lsn,
    ) -> impl Iterator<Item = Newest> + 'a {
        let mut at = self.first(lower);
        let mut previous: Option<Newest> = None;
        std::iter::from_fn(move || {
            loop {
                let entry = at.take()?;
                let version = entry.key();
                if !within(version.bytes(), upper) {
                    return None;
                }
                at = entry.next();
                let seen = previous.as_ref().is_some_and(|before| *before.key == *version.bytes());
                if version.lsn > visible || seen {
                    continue;
                }
                let key = version.key.slice(&version.payload);
                let newest =
                    Newest { key, lsn: version.lsn, found: found(version, *entry.value()) };
                previous = Some(newest.clone());
                return Some(newest);
            }
        })
    }

    /// As [`range`](Self::range), by descending key.
    pub(crate) fn range_back<'a>(
        &'a self,
        lower: Bound<&'a [u8]>,
        upper: Bound<&'a [u8]>,
        visible: Lsn,
    ) -> impl Iterator<Item = Newest> + 'a {
        let mut at = self.last(upper);
        std::iter::from_fn(move || {
            // Of one key the oldest version comes first: the last visible one counts.
            let mut newest: Option<Newest> = None;
            while let Some(entry) = at.take() {
                let version = entry.key();
                if !above(version.bytes(), lower) {
                    break;
                }
                if newest.as_ref().is_some_and(|it| *it.key != *version.bytes()) {
                    at = Some(entry);
                    break;
                }
                if version.lsn <= visible {
                    let key = version.key.slice(&version.payload);
                    let found = found(version, *entry.value());
                    newest = Some(Newest { key, lsn: version.lsn, found });
                }
                at = entry.prev();
            }
            newest
        })
    }

    fn last(&self, upper: Bound<&[u8]>) -> Option<Entry<'_>> {
        match upper {
            Bound::Unbounded => self.map.back(),
            Bound::Included(key) => {
                let probe = Probe::new(key, OLDEST);
                self.map.upper_bound(Bound::Included(&probe as &dyn Place))
            }
            Bound::Excluded(key) => {
                let probe = Probe::new(key, NEWEST);
                self.map.upper_bound(Bound::Excluded(&probe as &dyn Place))
            }
        }
    }

    fn first(&self, lower: Bound<&[u8]>) -> Option<Entry<'_>> {
        match lower {
            Bound::Unbounded => self.map.front(),
            Bound::Included(key) => {
                let probe = Probe::new(key, NEWEST);
                self.map.lower_bound(Bound::Included(&probe as &dyn Place))
            }
            Bound::Excluded(key) => {
                let probe = Probe::new(key, OLDEST);
                self.map.lower_bound(Bound::Excluded(&probe as &dyn Place))
            }
        }
    }
}

/// Commits on their way into a young map that nobody reads yet. They are put in order first: into
/// a large map, keys in order go several times as fast as keys in none.
#[derive(Debug, Default)]
pub(crate) struct Loading {
    versions: Vec<(Version, Option<Span>)>,
    weight: u64,
}

impl Loading {
    /// Adds the operations of one keyspace of a commit; the LSN is above all before.
    pub(crate) fn push(&mut self, lsn: Lsn, commit: &Commit, keyspace: u32) {
        let before = self.versions.len();
        self.versions.extend(versions(lsn, commit, keyspace));
        self.weight += weight(commit, self.versions.len() - before);
    }

    /// As [`Young::weight`].
    pub(crate) fn weight(&self) -> u64 {
        self.weight
    }

    pub(crate) fn finish(mut self) -> Young {
        // Stable: of two operations of one commit on one key the later one must come later.
        self.versions.sort_by(|(a, _), (b, _)| a.cmp(b));
        let young = Young { weight: AtomicU64::new(self.weight), ..Young::default() };
        let lsns = || self.versions.iter().map(|(version, _)| version.lsn);
        lsns().min().into_iter().chain(lsns().max()).for_each(|lsn| young.note(lsn));
        for (version, value) in self.versions {
            young.map.insert(version, value);
        }
        young
    }
}

/// The operations of one keyspace of a commit, each as the version that it makes.
fn versions(
    lsn: Lsn,
    commit: &Commit,
    keyspace: u32,
) -> impl Iterator<Item = (Version, Option<Span>)> + '_ {
    let payload = commit.payload();
    commit.ops().filter(move |op| op.keyspace == keyspace).map(move |op| {
        let prefix = prefix(op.key.of(payload));
        (Version { prefix, lsn, payload: payload.clone(), key: op.key }, op.value)
    })
}

/// What a commit costs in memory. One without operations costs something too.
fn weight(commit: &Commit, versions: usize) -> u64 {
    commit.payload().len() as u64 + (versions as u64 + 1) * VERSION_COST
}

type Entry<'a> = crossbeam_skiplist::map::Entry<'a, Version, Option<Span>>;

/// The newest visible version of a key.
#[derive(Clone, Debug)]
pub(crate) struct Newest {
    pub(crate) key: Bytes,
    pub(crate) lsn: Lsn,
    pub(crate) found: Found,
}

/// Above every version of a key, and below: no commit has these LSNs.
const NEWEST: Lsn = Lsn(u64::MAX);
const OLDEST: Lsn = Lsn(0);

pub(crate) fn above(key: &[u8], lower: Bound<&[u8]>) -> bool {
    match lower {
        Bound::Unbounded => true,
        Bound::Included(start) => key >= start,
        Bound::Excluded(start) => key > start,
    }
}

pub(crate) fn within(key: &[u8], upper: Bound<&[u8]>) -> bool {
    match upper {
        Bound::Unbounded => true,
        Bound::Included(end) => key <= end,
        Bound::Excluded(end) => key < end,
    }
}

fn found(version: &Version, value: Option<Span>) -> Found {
    value.map_or(Found::Deleted, |span| Found::Value(span.slice(&version.payload)))
}

/// The first eight bytes of a key as a number that orders as they do; a short key is filled up
/// with zeros, so equal prefixes say nothing and different ones decide.
fn prefix(key: &[u8]) -> u64 {
    let mut bytes = [0; 8];
    let len = key.len().min(8);
    bytes[..len].copy_from_slice(&key[..len]);
    u64::from_be_bytes(bytes)
}

impl Version {
    fn bytes(&self) -> &[u8] {
        self.key.of(&self.payload)
    }
}

/// A place in the order of versions: by key, and of one key the newest first.
trait Place {
    fn place(&self) -> (u64, &[u8], Reverse<Lsn>);
}

/// A place that is looked for; unlike a [`Version`] it only borrows its key.
struct Probe<'a> {
    prefix: u64,
    key: &'a [u8],
    lsn: Lsn,
}

impl<'a> Probe<'a> {
    fn new(key: &'a [u8], lsn: Lsn) -> Self {
        Self { prefix: prefix(key), key, lsn }
    }
}

impl Place for Probe<'_> {
    fn place(&self) -> (u64, &[u8], Reverse<Lsn>) {
        (self.prefix, self.key, Reverse(self.lsn))
    }
}

impl Place for Version {
    fn place(&self) -> (u64, &[u8], Reverse<Lsn>) {
        (self.prefix, self.bytes(), Reverse(self.lsn))
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        self.prefix.cmp(&other.prefix).then_with(|| self.place().cmp(&other.place()))
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Version {}

impl<'a> Borrow<dyn Place + 'a> for Version {
    fn borrow(&self) -> &(dyn Place + 'a) {
        self
    }
}

impl Ord for dyn Place + '_ {
    fn cmp(&self, other: &Self) -> Ordering {
        self.place().cmp(&other.place())
    }
}

impl PartialOrd for dyn Place + '_ {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for dyn Place + '_ {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for dyn Place + '_ {}

#[cfg(test)]
mod tests;
