//! The keydir: for each key that is on disk, where its value stands.
//!
//! Invariant: a key has one place, that of its newest version up to the last checkpoint, in a
//! file that is held here; and, as long as it is not forgotten, each former place that a
//! checkpoint replaced. So a lookup as of an LSN answers what a lookup answered when that was the
//! last checkpoint, whatever is applied meanwhile. The order of the keys, once it was asked for,
//! is kept.
//!
//! Knows nothing of the young map, and not of who looks.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use ondisk_log::{Lsn, StoreId};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::bitcask::data_file::{DataFile, Place};

/// Where the values of a keyspace stand.
#[derive(Debug)]
pub(crate) struct Keydir {
    slots: HashTable<Slot>,
    former: HashTable<Former>,
    /// The keys with a former place, by the checkpoint that replaced it.
    replaced: BTreeMap<Lsn, Vec<Arc<[u8]>>>,
    /// Also the keys that have a former place alone.
    order: Option<BTreeSet<Arc<[u8]>>>,
    files: Files,
    /// What the files are made of, by number.
    usage: BTreeMap<u32, Usage>,
    /// From the store's id: the same store hashes the same in every run, and who chooses keys
    /// cannot know how they fall.
    seed: u64,
}

/// The data files of a keyspace, by number.
pub(crate) type Files = BTreeMap<u32, Arc<DataFile>>;

/// What of a data file is not dead, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    /// Entries that a key has its place at.
    pub(crate) live: u64,
    /// Tombstones.
    pub(crate) tombstones: u64,
}

#[derive(Debug)]
struct Slot {
    key: Arc<[u8]>,
    place: Place,
}

/// Where a key stood before, with the checkpoints that replaced these places: oldest first.
#[derive(Debug)]
struct Former {
    key: Arc<[u8]>,
    places: Vec<(Lsn, Place)>,
}

/// What a checkpoint found out about a key.
#[derive(Debug)]
pub(crate) enum Change {
    Put(Arc<[u8]>, Place),
    /// With the place of the tombstone, where one was needed.
    Delete(Arc<[u8]>, Option<Place>),
}

/// What becomes of a newer place than that of the version that was copied. It always stays, but
/// for a suite that shows that it would notice otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Newer {
    Stays,
    Lost,
}

/// Whether there is more to forget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Left {
    Nothing,
    More,
}

impl Keydir {
    pub(crate) fn new(store: StoreId) -> Self {
        let seed = xxh3_64_with_seed(&store.0, 0);
        Self {
            slots: HashTable::new(),
            former: HashTable::new(),
            replaced: BTreeMap::new(),
            order: None,
            files: Files::new(),
            usage: BTreeMap::new(),
            seed,
        }
    }

    /// How many keys there are.
    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(crate) fn files(&self) -> &Files {
        &self.files
    }

    pub(crate) fn add_file(&mut self, number: u32, file: Arc<DataFile>) {
        self.files.insert(number, file);
    }

    /// Lets go of a file that no place is in any more.
    pub(crate) fn remove_file(&mut self, number: u32) -> Option<Arc<DataFile>> {
        self.usage.remove(&number);
        self.files.remove(&number)
    }

    pub(crate) fn usage(&self, number: u32) -> Usage {
        self.usage.get(&number).copied().unwrap_or_default()
    }

    /// Counts what is live in each file; from here on each change keeps the count.
    pub(crate) fn count_live(&mut self) {
        for slot in &self.slots {
            let live = &mut self.usage.entry(slot.place.file).or_default().live;
            *live += slot.place.entry_len(slot.key.len());
        }
    }

    /// Counts a tombstone that a file has.
    pub(crate) fn count_tombstone(&mut self, key_len: usize, place: Place) {
        self.usage.entry(place.file).or_default().tombstones += place.entry_len(key_len);
    }

    /// Takes back what was counted of a file.
    pub(crate) fn uncount(&mut self, number: u32) {
        self.usage.remove(&number);
    }

    /// Makes room for so many keys more than there are.
    pub(crate) fn reserve(&mut self, keys: usize) {
        let seed = self.seed;
        self.slots.reserve(keys, |slot| xxh3_64_with_seed(&slot.key, seed));
    }

    pub(crate) fn place(&self, key: &[u8]) -> Option<Place> {
        Some(self.slots.find(self.hash(key), |slot| *slot.key == *key)?.place)
    }

    /// Where a key's value stood as of an LSN: that of the last checkpoint, or of an older one that
    /// was not [`forgotten`](Self::forget).
    pub(crate) fn place_at(&self, key: &[u8], through: Lsn) -> Option<Place> {
        let hash = self.hash(key);
        if let Some(slot) = self.slots.find(hash, |slot| *slot.key == *key)
            && slot.place.lsn <= through
        {
            return Some(slot.place);
        }
        if self.former.is_empty() {
            return None;
        }
        let former = self.former.find(hash, |former| *former.key == *key)?;
        let (_, place) = former.places.iter().find(|&&(replaced, _)| replaced > through)?;
        (place.lsn <= through).then_some(*place)
    }

    /// Puts in what a checkpoint through an LSN found out about a key; what it replaces is kept.
    pub(crate) fn apply_at(&mut self, change: Change, through: Lsn) {
        let (key, before) = match change {
            Change::Put(key, place) => {
                self.usage.entry(place.file).or_default().live += place.entry_len(key.len());
                (Arc::clone(&key), self.put(key, place))
            }
            Change::Delete(key, tombstone) => {
                if let Some(place) = tombstone {
                    self.count_tombstone(key.len(), place);
                }
                let before = self.take(&key);
                (key, before)
            }
        };
        if let Some(before) = before {
            let live = &mut self.usage.entry(before.file).or_default().live;
            *live = live.saturating_sub(before.entry_len(key.len()));
            self.keep(key, before, through);
        }
    }

    /// Gives a key the place of a copy of the version that it has; nothing where that is another.
    pub(crate) fn move_to(&mut self, key: &[u8], place: Place, newer: Newer) {
        let hash = self.hash(key);
        let Some(slot) = self.slots.find_mut(hash, |slot| *slot.key == *key) else { return };
        if slot.place.lsn != place.lsn && newer == Newer::Stays {
            return;
        }
        let before = std::mem::replace(&mut slot.place, place);
        let len = place.entry_len(key.len());
        self.usage.entry(place.file).or_default().live += len;
        let live = &mut self.usage.entry(before.file).or_default().live;
        *live = live.saturating_sub(len);
    }

    /// Whether a version is its key's newest.
    pub(crate) fn is_live(&self, key: &[u8], lsn: Lsn) -> bool {
        self.place(key).is_some_and(|place| place.lsn == lsn)
    }

    fn keep(&mut self, key: Arc<[u8]>, before: Place, through: Lsn) {
        self.replaced.entry(through).or_default().push(Arc::clone(&key));
        let seed = self.seed;
        let rehash = |former: &Former| xxh3_64_with_seed(&former.key, seed);
        let hash = self.hash(&key);
        self.former
            .entry(hash, |former| former.key == key, rehash)
            .or_insert_with(|| Former { key: Arc::clone(&key), places: Vec::new() })
            .get_mut()
            .places
            .push((through, before));
    }

    /// Forgets places that no lookup as of `oldest` or of a later LSN needs, of at most so many
    /// keys; whether more are left.
    pub(crate) fn forget(&mut self, oldest: Lsn, keys: usize) -> Left {
        for _ in 0..keys {
            let Some(mut first) = self.replaced.first_entry() else { return Left::Nothing };
            if *first.key() > oldest {
                return Left::Nothing;
            }
            match first.get_mut().pop() {
                Some(key) => self.forget_key(&key, oldest),
                None => drop(first.remove()),
            }
        }
        Left::More
    }

    fn forget_key(&mut self, key: &[u8], oldest: Lsn) {
        let hash = self.hash(key);
        let Ok(mut entry) = self.former.find_entry(hash, |former| *former.key == *key) else {
            return;
        };
        entry.get_mut().places.retain(|&(replaced, _)| replaced > oldest);
        if entry.get().places.is_empty() {
            entry.remove();
            if self.place(key).is_none()
                && let Some(order) = &mut self.order
            {
                order.remove(key);
            }
        }
    }

    /// The checkpoints that replaced places which are kept: the first and the last of them.
    pub(crate) fn replaced(&self) -> Option<(Lsn, Lsn)> {
        let (first, last) = (self.replaced.keys().next()?, self.replaced.keys().next_back()?);
        Some((*first, *last))
    }

    /// Gives a key a place; makes a copy of the key only when it is new.
    pub(crate) fn put_bytes(&mut self, key: &[u8], place: Place) {
        let seed = self.seed;
        let rehash = |slot: &Slot| xxh3_64_with_seed(&slot.key, seed);
        match self.slots.entry(self.hash(key), |slot| *slot.key == *key, rehash) {
            Entry::Occupied(mut slot) => slot.get_mut().place = place,
            Entry::Vacant(vacant) => {
                let key = Arc::from(key);
                if let Some(order) = &mut self.order {
                    order.insert(Arc::clone(&key));
                }
                vacant.insert(Slot { key, place });
            }
        }
    }

    /// Gives a key a place; which one it had.
    fn put(&mut self, key: Arc<[u8]>, place: Place) -> Option<Place> {
        let seed = self.seed;
        let rehash = |slot: &Slot| xxh3_64_with_seed(&slot.key, seed);
        match self.slots.entry(self.hash(&key), |slot| slot.key == key, rehash) {
            Entry::Occupied(mut slot) => Some(std::mem::replace(&mut slot.get_mut().place, place)),
            Entry::Vacant(vacant) => {
                if let Some(order) = &mut self.order {
                    order.insert(Arc::clone(&key));
                }
                vacant.insert(Slot { key, place });
                None
            }
        }
    }

    /// Takes a key's place away, as a tombstone in a file says.
    pub(crate) fn delete_bytes(&mut self, key: &[u8], tombstone: Place) {
        self.delete(key);
        self.count_tombstone(key.len(), tombstone);
    }

    pub(crate) fn delete(&mut self, key: &[u8]) {
        if self.take(key).is_some()
            && let Some(order) = &mut self.order
        {
            order.remove(key);
        }
    }

    /// Takes a key's place away; its place in the order stays.
    fn take(&mut self, key: &[u8]) -> Option<Place> {
        let found = self.slots.find_entry(self.hash(key), |slot| *slot.key == *key);
        Some(found.ok()?.remove().0.place)
    }

    pub(crate) fn is_ordered(&self) -> bool {
        self.order.is_some()
    }

    /// Puts the keys in order, which takes time in proportion to their number, once.
    pub(crate) fn order(&mut self) {
        let (slots, former) = (&self.slots, &self.former);
        self.order.get_or_insert_with(|| {
            let slots = slots.iter().map(|slot| &slot.key);
            slots.chain(former.iter().map(|former| &former.key)).map(Arc::clone).collect()
        });
    }

    /// The keys between two bounds, also such as have a former place alone. Nothing before
    /// [`order`](Self::order).
    pub(crate) fn keys<'a>(
        &'a self,
        lower: Bound<&'a [u8]>,
        upper: Bound<&'a [u8]>,
    ) -> impl DoubleEndedIterator<Item = &'a Arc<[u8]>> + 'a {
        self.order.iter().flat_map(move |order| order.range::<[u8], _>((lower, upper)))
    }

    fn hash(&self, key: &[u8]) -> u64 {
        xxh3_64_with_seed(key, self.seed)
    }
}

#[cfg(test)]
mod tests;
