//! The store's transactions as the harness of histories sees them: a store of three keyspaces, one
//! of each engine, on a simulated file system.
//!
//! Invariant: what is written down as owed was acknowledged as durable before, or was seen in mode
//! sync.

use std::collections::BTreeMap;

use ondisk::sabotage::Sabotage;
use ondisk::{
    Background, Builder, Db, EngineKind, Error, Key, Keyspace, KeyspaceOptions, Rung, SyncMode,
    Transaction, Value,
};
use ondisk_sim::MemFs;

use crate::history::drive::{Entries, Placed, Refusal, Session, Subject};
use crate::history::plan::Ask;
use crate::history::{Item, Saw, Way};

/// The keyspaces beside the default one, which is bitcask's.
const OTHERS: [(&str, EngineKind); 2] = [("one", EngineKind::Lsm), ("two", EngineKind::Btree)];

/// A store with three keyspaces.
#[derive(Debug)]
pub struct Store {
    /// The store.
    pub db: Db,
    spaces: Vec<Keyspace>,
    /// What is durable is owed here.
    fs: MemFs,
    notes: Notes,
}

/// Whether durable commits are written down as owed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notes {
    /// For cuts.
    Taken,
    /// Nobody will ask.
    Not,
}

/// A builder whose settings follow from a number: the mode, and budgets so small that young maps
/// are frozen and taken over while transactions are open, and now and then so small that the past
/// is not kept, or reads are kept less exactly.
#[must_use]
pub fn builder(fs: &MemFs, seed: u64, rule: Option<Sabotage>) -> Builder {
    let mode = [SyncMode::Sync, SyncMode::None, "batch:3".parse().unwrap_or_default()];
    let young_budget = [20_000, 200_000, 6_000];
    let read_budget = [4 << 20, 4 << 20, 500];
    Db::builder()
        .file_system(fs.share())
        .background(Background::Manual)
        .sync(mode[index(seed, 3)])
        .first_segment(16 << 10)
        .largest_segment(64 << 10)
        .young_budget(young_budget[index(seed / 3, 3)])
        .read_budget(read_budget[index(seed / 9, 3)])
        .sabotage(rule)
}

/// `n` modulo `of`, as an index.
#[must_use]
pub fn index(n: u64, of: u64) -> usize {
    usize::try_from(n % of).unwrap_or(0)
}

impl Store {
    /// Opens one, or makes it.
    ///
    /// # Errors
    /// As [`Builder::open`].
    pub fn open(fs: &MemFs, builder: Builder, notes: Notes) -> Result<Self, Error> {
        let db = builder.open("db")?;
        let mut spaces = vec![db.default_keyspace()?];
        for (name, engine) in OTHERS {
            spaces.push(db.keyspace(name, KeyspaceOptions::new(engine))?);
        }
        Ok(Self { db, spaces, fs: fs.clone(), notes })
    }

    /// All that it holds.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn contents(&self) -> Result<BTreeMap<Item, Saw>, Error> {
        let mut contents = BTreeMap::new();
        for (space, keyspace) in (0..).zip(&self.spaces) {
            for entry in keyspace.range(..)? {
                let (key, value) = entry?;
                contents.insert(Item::new(space, key.to_vec()), Saw::of(Some(&value)));
            }
        }
        Ok(contents)
    }

    /// From here on all through an LSN is owed.
    pub fn owe(&self, lsn: u64) {
        if self.notes == Notes::Taken {
            self.fs.ack(lsn.to_string());
        }
    }

    fn label(&self, label: &str) {
        if self.notes == Notes::Taken {
            self.fs.label(label);
        }
    }

    fn space(&self, number: u32) -> &Keyspace {
        &self.spaces[number as usize]
    }
}

/// An open transaction.
#[derive(Debug)]
pub struct Open<'s> {
    store: &'s Store,
    transaction: Transaction,
}

impl Subject for Store {
    type Session<'s> = Open<'s>;

    fn begin(&self) -> Result<Open<'_>, String> {
        Ok(Open { store: self, transaction: self.db.transaction() })
    }

    fn background(&self, number: u64) -> Result<(), String> {
        let acknowledged = self.db.stats().acknowledged;
        self.label("background");
        let done = match number % 6 {
            0 => self.db.checkpoint(),
            1 => self.db.idle_step().map(drop),
            2 => self.db.compact(),
            3 => self.db.sync().map(drop),
            _ => {
                let mut steps = (0..number % 7).map(|_| self.db.step());
                steps.try_for_each(|step| step.map(drop))
            }
        };
        if number.is_multiple_of(3) {
            self.owe(acknowledged.0);
        }
        done.map_err(|error| error.to_string())
    }
}

impl Open<'_> {
    /// In mode sync nothing is seen that is not durable: what was seen is owed.
    fn saw(&self) {
        if self.store.space(0).mode() == SyncMode::Sync {
            self.transaction.lsn().into_iter().for_each(|lsn| self.store.owe(lsn.0));
        }
    }
}

fn refused(error: Error) -> Refusal {
    if error.is_conflict() { Refusal::Conflict } else { Refusal::Broken(error.to_string()) }
}

fn owned(entry: Result<(Key, Value), Error>) -> Result<(Vec<u8>, Vec<u8>), Error> {
    entry.map(|(key, value)| (key.to_vec(), value.to_vec()))
}

impl<'s> Session<'s> for Open<'s> {
    fn snapshot(&self) -> Option<u64> {
        self.transaction.lsn().map(|lsn| lsn.0)
    }

    fn get(&mut self, items: &[Item]) -> Result<Vec<Option<Vec<u8>>>, Refusal> {
        let get = |item: &Item| self.transaction.get_in(self.store.space(item.space), &item.key);
        let values = items.iter().map(|item| Ok(get(item)?.map(|value| value.to_vec())));
        let values = values.collect::<Result<_, _>>().map_err(refused);
        self.saw();
        values
    }

    fn scan(&mut self, ask: &Ask) -> Result<Entries, Refusal> {
        let (lower, upper) = (ask.lower.as_ref(), ask.upper.as_ref());
        let bounds = (lower.map(Vec::as_slice), upper.map(Vec::as_slice));
        let range = self.transaction.range_in(self.store.space(ask.space), bounds);
        let range = range.map_err(refused)?;
        let limit = ask.limit.unwrap_or(usize::MAX);
        let entries: Result<Entries, Error> = match ask.way {
            Way::Up => range.map(owned).take(limit).collect(),
            Way::Down => range.rev().map(owned).take(limit).collect(),
        };
        self.saw();
        entries.map_err(refused)
    }

    fn write(&mut self, item: &Item, value: Option<&[u8]>) -> Result<(), Refusal> {
        let space = self.store.space(item.space);
        match value {
            Some(value) => self.transaction.put_in(space, &item.key, value),
            None => self.transaction.delete_in(space, &item.key),
        }
        .map_err(refused)
    }

    fn place(self) -> Result<Placed<'s>, Refusal> {
        let store = self.store;
        store.label("commit");
        let pending = self.transaction.begin_commit().map_err(refused)?;
        let lsn = Some(pending.lsn().0);
        let wait = move || {
            store.label("commit");
            let receipt = pending.wait().map_err(|error| error.to_string())?;
            if receipt.rung == Rung::Durable {
                store.owe(receipt.lsn.0);
            }
            Ok(())
        };
        Ok(Placed { lsn, wait: Box::new(wait) })
    }

    fn roll_back(self) {
        self.transaction.rollback();
    }
}
