//! The keydir: for each key that is on disk, where its value stands.
//!
//! Invariant: a key has one place, that of its newest version up to the last checkpoint, in a
//! file that is held open here. The order of the keys, once it was asked for, is kept.
//!
//! Knows nothing of the young map.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use ondisk_log::StoreId;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::bitcask::data_file::{DataFile, Place};

/// Where the values of a keyspace stand.
#[derive(Debug)]
pub(crate) struct Keydir {
    slots: HashTable<Slot>,
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

/// What a checkpoint found out about a key.
#[derive(Debug)]
pub(crate) enum Change {
    Put(Arc<[u8]>, Place),
    Delete(Arc<[u8]>),
}

impl Keydir {
    pub(crate) fn new(store: StoreId) -> Self {
        let seed = xxh3_64_with_seed(&store.0, 0);
        Self { slots: HashTable::new(), order: None, files: Files::new(), seed }
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

    pub(crate) fn apply(&mut self, change: Change) {
        match change {
            Change::Put(key, place) => self.put(key, place),
            Change::Delete(key) => self.delete(&key),
        }
    }

    /// Gives a key a place; makes a copy of the key only when it is new.
    pub(crate) fn put_bytes(&mut self, key: &[u8], place: Place) {
        let seed = self.seed;
        let rehash = |slot: &Slot| xxh3_64_with_seed(&slot.key, seed);
        match self.slots.entry(self.hash(key), |slot| *slot.key == *key, rehash) {
            Entry::Occupied(mut slot) => slot.get_mut().place = place,
            Entry::Vacant(_) => self.put(key.into(), place),
        }
    }

    fn put(&mut self, key: Arc<[u8]>, place: Place) {
        let seed = self.seed;
        let rehash = |slot: &Slot| xxh3_64_with_seed(&slot.key, seed);
        match self.slots.entry(self.hash(&key), |slot| slot.key == key, rehash) {
            Entry::Occupied(mut slot) => slot.get_mut().place = place,
            Entry::Vacant(vacant) => {
                if let Some(order) = &mut self.order {
                    order.insert(Arc::clone(&key));
                }
                vacant.insert(Slot { key, place });
            }
        }
    }

    pub(crate) fn delete(&mut self, key: &[u8]) {
        if let Ok(slot) = self.slots.find_entry(self.hash(key), |slot| *slot.key == *key) {
            slot.remove();
            if let Some(order) = &mut self.order {
                order.remove(key);
            }
        }
    }

    pub(crate) fn is_ordered(&self) -> bool {
        self.order.is_some()
    }

    /// Puts the keys in order, which takes time in proportion to their number, once.
    pub(crate) fn order(&mut self) {
        let slots = &self.slots;
        self.order.get_or_insert_with(|| slots.iter().map(|slot| Arc::clone(&slot.key)).collect());
    }

    /// The keys between two bounds with their places, by key. Nothing before [`order`](Self::order).
    pub(crate) fn range<'a>(
        &'a self,
        lower: Bound<&'a [u8]>,
        upper: Bound<&'a [u8]>,
    ) -> impl Iterator<Item = (Arc<[u8]>, Place)> + 'a {
        let keys = self.order.iter().flat_map(move |order| order.range::<[u8], _>((lower, upper)));
        keys.filter_map(|key| Some((Arc::clone(key), self.place(key)?)))
    }

    fn hash(&self, key: &[u8]) -> u64 {
        xxh3_64_with_seed(key, self.seed)
    }
}

#[cfg(test)]
mod tests;
