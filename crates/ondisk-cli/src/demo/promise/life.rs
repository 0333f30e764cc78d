//! The life of the store that is cut short: what it commits, and how what is left is judged.
//!
//! Invariant: every commit changes the key `last` to its own number and some of few keys beside
//! it, so a store says how many commits it holds, and only the first so many commits make exactly
//! its content.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use ondisk::{
    Background, Batch, Db, EngineKind, Error, Keyspace, KeyspaceOptions, StoreId, SyncMode,
};
use ondisk_fs::FileSystem;
use ondisk_sim::{CrashFs, MemFs};

#[cfg(test)]
mod tests;

/// Commits of a life.
const COMMITS: u64 = 48;
/// Keys that they share, so that they collide.
const KEYS: u64 = 8;
/// The log's segments: small, so that it takes a new one now and then, and recovery reads little.
const SEGMENT: u64 = 64 << 10;
/// The store's own path on the simulated disk.
const PATH: &str = "books.db";
/// The key that holds the number of the last commit.
const LAST: &[u8] = b"last";

type Content = BTreeMap<Vec<u8>, Vec<u8>>;

/// What a store held after a cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Exactly the first so many commits.
    Commits(u64),
    /// Something else, or it did not open.
    Broken,
}

/// A life: its commits, and what the store holds after each.
#[derive(Debug)]
pub(super) struct Life {
    seed: u64,
    mode: SyncMode,
    engine: EngineKind,
    /// By number; the first is the empty store's.
    contents: Vec<Content>,
}

impl Life {
    pub(super) fn new(seed: u64, mode: SyncMode, engine: EngineKind) -> Self {
        let mut contents = vec![Content::new()];
        for number in 1..=COMMITS {
            let mut content = contents.last().cloned().unwrap_or_default();
            for (key, value) in changes(seed, number) {
                match value {
                    Some(value) => content.insert(key, value),
                    None => content.remove(&key),
                };
            }
            contents.push(content);
        }
        Self { seed, mode, engine, contents }
    }

    /// What its commits are drawn from.
    pub(super) fn seed(&self) -> u64 {
        self.seed
    }

    /// Lives: commits, and tells `disk` each acknowledgement; checkpoints, steps, closes and opens
    /// again as the seed has it. `fs` is the disk as the store sees it.
    pub(super) fn live(&self, fs: &Arc<dyn FileSystem>, disk: &MemFs) -> Result<(), Error> {
        let (mut db, mut books) = self.open(fs)?;
        for number in 1..=COMMITS {
            let mut batch = Batch::new();
            for (key, value) in changes(self.seed, number) {
                batch = match value {
                    Some(value) => batch.put_in(&books, key, value),
                    None => batch.delete_in(&books, key),
                };
            }
            db.batch(batch)?;
            disk.ack(number.to_string());
            match draw(self.seed, number, 0) % 16 {
                0 => db.checkpoint()?,
                1 => {
                    db.close()?;
                    (db, books) = self.open(fs)?;
                }
                2..=7 => drop(db.step()?),
                _ => {}
            }
        }
        db.close()
    }

    /// Opens what a cut left, and says what it holds. From then on that is owed, in every mode: a
    /// store that was opened has made durable what it serves.
    pub(super) fn find(&self, state: &CrashFs) -> Found {
        let found = self.open(&state.share()).and_then(|(_, books)| {
            let found = self.judge(&content(&books)?);
            if let Found::Commits(there) = found {
                state.ack(there.to_string());
            }
            Ok(found)
        });
        found.unwrap_or(Found::Broken)
    }

    fn judge(&self, content: &Content) -> Found {
        let number = match content.get(LAST) {
            None => Some(0),
            Some(last) => std::str::from_utf8(last).ok().and_then(|last| last.parse().ok()),
        };
        match number {
            Some(n) if self.contents.get(n) == Some(content) => Found::Commits(n as u64),
            _ => Found::Broken,
        }
    }

    /// The store, and the keyspace that is about the engine.
    fn open(&self, fs: &Arc<dyn FileSystem>) -> Result<(Db, Keyspace), Error> {
        let db = Db::builder()
            .file_system(Arc::clone(fs))
            .sync(self.mode)
            .background(Background::Manual)
            .first_segment(SEGMENT)
            .largest_segment(SEGMENT)
            .store_id(StoreId(u128::from(self.seed).to_le_bytes()))
            .open(Path::new(PATH))?;
        let books = match self.engine {
            EngineKind::Bitcask => db.default_keyspace()?,
            engine => db.keyspace("books", KeyspaceOptions::new(engine))?,
        };
        Ok((db, books))
    }
}

/// How many commits a state owes: the highest that was acknowledged, or served after an open.
pub(super) fn owed(state: &CrashFs) -> u64 {
    state.owed_text().filter_map(|number| number.parse().ok()).max().unwrap_or(0)
}

fn content(books: &Keyspace) -> Result<Content, Error> {
    books.range(..)?.map(|pair| pair.map(|(key, value)| (key.to_vec(), value.to_vec()))).collect()
}

/// What a commit does: its number under `last`, and up to three keys put or deleted.
fn changes(seed: u64, number: u64) -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
    let mut changes = vec![(LAST.to_vec(), Some(number.to_string().into_bytes()))];
    for nth in 1..=draw(seed, number, 1) % 4 {
        let key = format!("key-{}", draw(seed, number, 10 * nth) % KEYS).into_bytes();
        let len = usize::try_from(draw(seed, number, 10 * nth + 1) % 600).unwrap_or_default();
        let value = format!("{number}.{nth} ").into_bytes().into_iter().cycle().take(len).collect();
        let put = !draw(seed, number, 10 * nth + 2).is_multiple_of(4);
        changes.push((key, put.then_some(value)));
    }
    changes
}

/// A number that depends on its place alone (`SplitMix64`'s mixing).
pub(super) fn draw(seed: u64, number: u64, nth: u64) -> u64 {
    const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
    let mix = |z: u64| {
        let z = z.wrapping_add(GOLDEN);
        let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    };
    mix(mix(mix(seed) ^ number) ^ nth)
}
