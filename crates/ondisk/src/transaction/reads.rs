//! What a transaction has read: keys and stretches of keys, by keyspace.
//!
//! Invariant: whatever was read, found or not, lies in a key or in a stretch that stands here.
//! More may stand here than was read: memory is bounded, and beyond that keys that are neighbours
//! become a stretch. Then a transaction may meet a conflict that is none, and never misses one.

use std::collections::BTreeMap;
use std::ops::Bound;

use crate::young::within;

/// What a key costs beside its bytes.
const KEY_COST: usize = 48;
/// So many neighbours become one stretch.
const NEIGHBOURS: usize = 16;

/// What a transaction has read.
#[derive(Debug)]
pub(crate) struct Reads {
    keyspaces: BTreeMap<u32, Footprint>,
    /// Ranges that may be walked further. Until they are dropped, all of them counts as read.
    open: BTreeMap<u64, (u32, Stretch)>,
    next: u64,
    bytes: usize,
    budget: usize,
    beyond: Beyond,
}

/// What happens to reads beyond the budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Beyond {
    /// They are kept less exactly.
    Coarsen,
    /// They are forgotten: the canary's way.
    Forget,
}

/// What was read of one keyspace.
#[derive(Debug, Default)]
pub(crate) struct Footprint {
    /// In no order, some maybe twice.
    keys: Vec<Box<[u8]>>,
    stretches: Vec<Stretch>,
}

/// The keys between two bounds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stretch {
    pub(crate) lower: Bound<Box<[u8]>>,
    pub(crate) upper: Bound<Box<[u8]>>,
}

impl Reads {
    /// Nothing yet; beyond `budget` bytes of keys, and of what keeping them costs, it is kept less
    /// exactly.
    pub(crate) fn new(budget: usize, beyond: Beyond) -> Self {
        let (keyspaces, open) = (BTreeMap::new(), BTreeMap::new());
        Self { keyspaces, open, next: 0, bytes: 0, budget, beyond }
    }

    /// Whether nothing was read.
    pub(crate) fn is_empty(&self) -> bool {
        self.keyspaces.is_empty() && self.open.is_empty()
    }

    /// A key was read.
    pub(crate) fn key(&mut self, keyspace: u32, key: &[u8]) {
        self.bytes += key.len() + KEY_COST;
        self.keyspaces.entry(keyspace).or_default().keys.push(key.into());
        self.bound();
    }

    /// A range may be read from here on.
    pub(crate) fn open(&mut self, keyspace: u32, stretch: Stretch) -> u64 {
        self.next += 1;
        self.open.insert(self.next, (keyspace, stretch));
        self.next
    }

    /// A range was read as far as these stretches go, and is left.
    pub(crate) fn close(&mut self, number: u64, read: impl IntoIterator<Item = Stretch>) {
        let Some((keyspace, _)) = self.open.remove(&number) else { return };
        for stretch in read {
            self.bytes += stretch.bytes();
            self.keyspaces.entry(keyspace).or_default().stretches.push(stretch);
        }
        self.bound();
    }

    /// The keyspaces of which something was read.
    pub(crate) fn keyspaces(&self) -> impl Iterator<Item = u32> {
        let open = self.open.values().map(|(keyspace, _)| *keyspace);
        self.keyspaces.keys().copied().chain(open)
    }

    /// The keys that were read in a keyspace.
    pub(crate) fn keys(&self, keyspace: u32) -> impl Iterator<Item = &[u8]> {
        let footprint = self.keyspaces.get(&keyspace);
        footprint.into_iter().flat_map(|it| &it.keys).map(|key| &key[..])
    }

    /// The stretches that were read in a keyspace.
    pub(crate) fn stretches(&self, keyspace: u32) -> impl Iterator<Item = &Stretch> {
        let footprint = self.keyspaces.get(&keyspace);
        let open = self.open.values().filter(move |(of, _)| *of == keyspace);
        let closed = footprint.into_iter().flat_map(|it| &it.stretches);
        closed.chain(open.map(|(_, stretch)| stretch))
    }

    /// Keeps memory bounded: what is there twice goes, and then neighbours become one.
    fn bound(&mut self) {
        if self.bytes <= self.budget {
            return;
        }
        if self.beyond == Beyond::Forget {
            self.keyspaces.clear();
        }
        self.keyspaces.values_mut().for_each(Footprint::tidy);
        self.count();
        while self.bytes > self.budget / 2 {
            let before = self.bytes;
            self.keyspaces.values_mut().for_each(Footprint::coarsen);
            self.count();
            if self.bytes == before {
                break; // one stretch in each keyspace
            }
        }
    }

    fn count(&mut self) {
        self.bytes = self.keyspaces.values().map(Footprint::bytes).sum();
    }
}

impl Footprint {
    fn bytes(&self) -> usize {
        let keys: usize = self.keys.iter().map(|key| key.len() + KEY_COST).sum();
        let stretches: usize = self.stretches.iter().map(Stretch::bytes).sum();
        keys + stretches
    }

    /// Each key once, and stretches that touch as one.
    fn tidy(&mut self) {
        self.keys.sort_unstable();
        self.keys.dedup();
        self.stretches.sort_unstable_by(|a, b| start(&a.lower).cmp(&start(&b.lower)));
        let mut joined: Vec<Stretch> = Vec::new();
        for stretch in self.stretches.drain(..) {
            match joined.last_mut() {
                Some(last) if last.reaches(&stretch) => last.extend(stretch.upper),
                _ => joined.push(stretch),
            }
        }
        self.stretches = joined;
    }

    /// Makes one stretch of several neighbours each.
    fn coarsen(&mut self) {
        let single = |key: Box<[u8]>| Stretch {
            lower: Bound::Included(key.clone()),
            upper: Bound::Included(key),
        };
        self.stretches.extend(self.keys.drain(..).map(single));
        self.tidy();
        let mut coarse: Vec<Stretch> = Vec::new();
        for (index, stretch) in self.stretches.drain(..).enumerate() {
            match coarse.last_mut() {
                Some(last) if index % NEIGHBOURS != 0 => last.extend(stretch.upper),
                _ => coarse.push(stretch),
            }
        }
        self.stretches = coarse;
    }
}

impl Stretch {
    pub(crate) fn new(lower: Bound<&[u8]>, upper: Bound<&[u8]>) -> Self {
        Self { lower: lower.map(Box::from), upper: upper.map(Box::from) }
    }

    pub(crate) fn lower(&self) -> Bound<&[u8]> {
        self.lower.as_ref().map(|key| &key[..])
    }

    pub(crate) fn upper(&self) -> Bound<&[u8]> {
        self.upper.as_ref().map(|key| &key[..])
    }

    fn bytes(&self) -> usize {
        let of = |bound: &Bound<Box<[u8]>>| match bound {
            Bound::Included(key) | Bound::Excluded(key) => key.len(),
            Bound::Unbounded => 0,
        };
        of(&self.lower) + of(&self.upper) + 2 * KEY_COST
    }

    /// Whether one that begins no sooner begins before this one ends.
    fn reaches(&self, later: &Self) -> bool {
        match later.lower() {
            Bound::Unbounded => true,
            Bound::Included(key) | Bound::Excluded(key) => within(key, self.upper()),
        }
    }

    /// Goes on to an end, if that is further.
    fn extend(&mut self, upper: Bound<Box<[u8]>>) {
        if end(&upper) > end(&self.upper) {
            self.upper = upper;
        }
    }
}

/// A lower bound as something that orders.
fn start(bound: &Bound<Box<[u8]>>) -> Option<(&[u8], bool)> {
    match bound {
        Bound::Unbounded => None,
        Bound::Included(key) => Some((key, false)),
        Bound::Excluded(key) => Some((key, true)),
    }
}

/// An upper bound as something that orders: the unbounded is the highest.
fn end(bound: &Bound<Box<[u8]>>) -> (bool, &[u8], bool) {
    match bound {
        Bound::Unbounded => (true, &[], true),
        Bound::Included(key) => (false, key, true),
        Bound::Excluded(key) => (false, key, false),
    }
}

#[cfg(test)]
mod tests;
