//! What a transaction is going to write: the last write to each key, by keyspace and in order.
//!
//! Invariant: it fits into one commit. Knows nothing of who sees it.

use std::collections::BTreeMap;
use std::collections::btree_map;
use std::ops::Bound;

use bytes::Bytes;

use crate::batch::Batch;
use crate::commit::{COMMIT_HEAD, OP_HEAD};
use crate::error::Error;
use crate::limits::Limits;
use crate::values::REFERENCE;

/// By keyspace and key.
#[derive(Debug, Default)]
pub(crate) struct Writes {
    keyspaces: BTreeMap<u32, BTreeMap<Bytes, Write>>,
    cost: Cost,
}

/// The last write to a key.
#[derive(Debug)]
pub(crate) struct Write {
    /// `None` deletes.
    pub(crate) value: Option<Bytes>,
    cost: Cost,
}

/// Bytes of operations.
#[derive(Clone, Copy, Debug, Default)]
struct Cost {
    /// As they will stand in the log.
    log: usize,
    /// With the values that go to files of their own.
    raw: usize,
}

/// Where a value will stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// In the commit itself.
    Log,
    /// In a file of its own.
    File,
}

/// Some writes of one keyspace, from either end.
pub(crate) type Written<'a> = btree_map::Range<'a, Bytes, Write>;

impl Writes {
    pub(crate) fn is_empty(&self) -> bool {
        self.keyspaces.is_empty()
    }

    /// What a key was given, if it was written.
    pub(crate) fn get(&self, keyspace: u32, key: &[u8]) -> Option<&Write> {
        self.keyspaces.get(&keyspace)?.get(key)
    }

    /// The writes between two bounds, between which a key can lie.
    pub(crate) fn range<'a>(
        &'a self,
        keyspace: u32,
        bounds: (Bound<&[u8]>, Bound<&[u8]>),
    ) -> Option<Written<'a>> {
        Some(self.keyspaces.get(&keyspace)?.range::<[u8], _>(bounds))
    }

    /// Adds a write, if it fits beside the others.
    pub(crate) fn push(
        &mut self,
        limits: Limits,
        keyspace: u32,
        key: &[u8],
        value: Option<(&[u8], Place)>,
    ) -> Result<(), Error> {
        match value {
            Some((value, Place::File)) => {
                limits.check_key(key)?;
                limits.check_large(value)?;
            }
            value => limits.check_put(key, value.map_or(&[], |(value, _)| value))?,
        }
        let cost = Cost::of(key, value);
        let former = self.get(keyspace, key).map_or(Cost::default(), |former| former.cost);
        let log = self.cost.log - former.log + cost.log;
        let raw = self.cost.raw - former.raw + cost.raw;
        limits.check_commit(COMMIT_HEAD + log)?;
        limits.check_raw(COMMIT_HEAD + raw)?;
        self.cost = Cost { log, raw };
        let keys = self.keyspaces.entry(keyspace).or_default();
        let write = Write { value: value.map(|(value, _)| Bytes::copy_from_slice(value)), cost };
        match keys.get_mut(key) {
            Some(former) => *former = write,
            None => drop(keys.insert(Bytes::copy_from_slice(key), write)),
        }
        Ok(())
    }

    /// All as one batch.
    pub(crate) fn into_batch(self) -> Batch {
        let mut batch = Batch::with_capacity(self.cost.raw);
        for (keyspace, keys) in self.keyspaces {
            for (key, write) in keys {
                batch.push(keyspace, &key, write.value.as_deref());
            }
        }
        batch
    }
}

impl Cost {
    fn of(key: &[u8], value: Option<(&[u8], Place)>) -> Self {
        let head = OP_HEAD + key.len();
        let raw = head + value.map_or(0, |(value, _)| value.len());
        let in_log = |(value, place): (&[u8], Place)| match place {
            Place::Log => value.len(),
            Place::File => REFERENCE,
        };
        Self { log: head + value.map_or(0, in_log), raw }
    }
}
