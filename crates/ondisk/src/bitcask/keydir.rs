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
    /// From the store's id: the same store hashes the same in every run, and who chooses keys
    /// cannot know how they fall.
    seed: u64,
}

/// The data files of a keyspace, by number.
pub(crate) type Files = BTreeMap<u32, Arc<DataFile>>;

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
    Delete(Arc<[u8]>),
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

    /// Where a key's value stands, and the file that it stands in.
    pub(crate) fn get(&self, key: &[u8]) -> Option<(Place, &Arc<DataFile>)> {
        let place = self.place(key)?;
        Some((place, self.files.get(&place.file)?))
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

    /// As [`apply`](Self::apply), of a checkpoint through an LSN; what it replaces is kept.
    pub(crate) fn apply_at(&mut self, change: Change, through: Lsn) {
        match change {
            Change::Put(key, place) => {
                if let Some(before) = self.put(Arc::clone(&key), place) {
                    self.keep(key, before, through);
                }
            }
            Change::Delete(key) => {
                if let Some(before) = self.take(&key) {
                    self.keep(key, before, through);
                }
            }
        }
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

    /// For which views former places are kept: those of a checkpoint before this one.
    pub(crate) fn oldest_replaced(&self) -> Option<Lsn> {
        self.replaced.keys().next().copied()
    }

    pub(crate) fn apply(&mut self, change: Change) {
        match change {
            Change::Put(key, place) => drop(self.put(key, place)),
            Change::Delete(key) => self.delete(&key),
        }
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

    /// The keys between two bounds with their places, by key. Nothing before [`order`](Self::order).
    pub(crate) fn range<'a>(
        &'a self,
        lower: Bound<&'a [u8]>,
        upper: Bound<&'a [u8]>,
    ) -> impl Iterator<Item = (Arc<[u8]>, Place)> + 'a {
        self.keys(lower, upper).filter_map(|key| Some((Arc::clone(key), self.place(key)?)))
    }

    fn hash(&self, key: &[u8]) -> u64 {
        xxh3_64_with_seed(key, self.seed)
    }
}

#[cfg(test)]
mod tests;
