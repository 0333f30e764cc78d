//! What a store must do to be measured.
//!
//! Invariant: a method that answers has done what it says; a reader has looked at every byte of
//! what it counts.

use std::error::Error;

/// What a phase ends with when a store fails.
pub(crate) type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// A key and its value.
pub(crate) type Entry = ([u8; KEY], [u8; VALUE]);

/// Bytes of a key.
pub(crate) const KEY: usize = 16;

/// Bytes of a value.
pub(crate) const VALUE: usize = 100;

/// Where a write is when its call returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ack {
    /// With the operating system at most: a power cut may take it.
    Cached,
    /// On the disk, by a sync of its own or one that it shares.
    Durable,
}

/// What a reader saw.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Entries.
    pub(crate) entries: u64,
    /// The sum of all bytes of their keys and values.
    pub(crate) sum: u64,
}

impl Seen {
    /// Looks at every byte of an entry.
    pub(crate) fn see(&mut self, key: &[u8], value: &[u8]) {
        self.add(sum(key) + sum(value));
    }

    /// Takes an entry whose bytes were looked at.
    pub(crate) fn add(&mut self, sum: u64) {
        self.entries += 1;
        self.sum += sum;
    }
}

/// The sum of bytes: the cheapest way to have read all of them.
#[must_use]
pub(crate) fn sum(bytes: &[u8]) -> u64 {
    bytes.iter().map(|byte| u64::from(*byte)).sum()
}

/// A store that is open.
pub(crate) trait Store: Sync {
    /// Takes all batches, and makes them durable before it returns. A store may sync once, at the
    /// end.
    fn load(&self, batches: &mut dyn Iterator<Item = Vec<Entry>>) -> Result<()>;

    /// Waits until work that the load left for later is done.
    fn settle(&self) -> Result<()> {
        Ok(())
    }

    /// Lets somebody read the store as it is now.
    fn read(&self, work: &mut dyn FnMut(&dyn Reader) -> Result<()>) -> Result<()>;

    /// One commit of one entry.
    fn put(&self, key: &[u8], value: &[u8], ack: Ack) -> Result<()>;

    /// Closes it; all that was written is durable.
    fn close(self: Box<Self>) -> Result<()>;
}

/// A view of a store.
pub(crate) trait Reader {
    /// The sum of the bytes of a key's value, if it has one.
    fn get(&self, key: &[u8]) -> Result<Option<u64>>;

    /// Looks at so many entries, from a key on, in order.
    fn scan(&self, from: &[u8], most: u64) -> Result<Seen>;
}
