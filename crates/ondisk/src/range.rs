//! An ordered walk over a keyspace, as it stood at one moment.
//!
//! Invariant: the keys, and which version of each counts, are fixed when the range is made. Only
//! the values that stand on disk are read later, from files that are kept open for it.

use std::cmp::Ordering;
use std::iter::Peekable;
use std::sync::Arc;
use std::vec;

use crate::bitcask::Snapshot;
use crate::bitcask::data_file::Place;
use crate::bitcask::keydir::Files;
use crate::error::Error;
use crate::value::{Key, Value};
use crate::young::{Found, Newest};

/// The keys between two bounds with their values, by ascending key, as of one commit. What is
/// committed later does not show.
///
/// Made by [`Db::range`](crate::Db::range). It holds the keys between the bounds in memory, and
/// reads each value that stands on disk when it gets there. An error concerns one value; the walk
/// can go on behind it.
#[derive(Debug)]
pub struct Range {
    young: Peekable<vec::IntoIter<Newest>>,
    old: Peekable<vec::IntoIter<(Arc<[u8]>, Place)>>,
    files: Files,
}

impl Range {
    pub(crate) fn new(
        active: impl Iterator<Item = Newest>,
        frozen: impl Iterator<Item = Newest>,
        snapshot: Snapshot,
    ) -> Self {
        let young = newest_of(active, frozen).into_iter().peekable();
        let Snapshot { places, files } = snapshot;
        Self { young, old: places.into_iter().peekable(), files }
    }

    /// The range of a pair of bounds between which no key can lie.
    pub(crate) fn empty() -> Self {
        let (young, old) = (Vec::new().into_iter().peekable(), Vec::new().into_iter().peekable());
        Self { young, old, files: Files::new() }
    }

    fn read(&self, key: Arc<[u8]>, place: Place) -> Option<Result<(Key, Value), Error>> {
        let file = self.files.get(&place.file)?; // taken together with the place
        let value = file.read(&key, place);
        Some(value.map(|value| (Key::from(key), Value::from(value))))
    }
}

impl Iterator for Range {
    type Item = Result<(Key, Value), Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let order = match (self.young.peek(), self.old.peek()) {
                (Some(young), Some((old, _))) => young.key[..].cmp(old),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (None, None) => return None,
            };
            if order == Ordering::Greater {
                let (key, place) = self.old.next()?;
                return self.read(key, place);
            }
            if order == Ordering::Equal {
                self.old.next(); // the young map has a newer version of the key
            }
            let newest = self.young.next()?;
            if let Found::Value(value) = newest.found {
                return Some(Ok((Key::from(newest.key), Value::from(value))));
            }
        }
    }
}

/// Two walks in one; where both have a key, the first has the newer version.
fn newest_of(
    active: impl Iterator<Item = Newest>,
    frozen: impl Iterator<Item = Newest>,
) -> Vec<Newest> {
    let mut frozen = frozen.peekable();
    let mut merged = Vec::new();
    for newest in active {
        while let Some(before) = frozen.next_if(|it| it.key < newest.key) {
            merged.push(before);
        }
        frozen.next_if(|it| it.key == newest.key);
        merged.push(newest);
    }
    merged.extend(frozen);
    merged
}
