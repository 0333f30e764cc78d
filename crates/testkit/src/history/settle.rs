//! What a history comes to: who is committed, and the versions of each key in their order.
//!
//! Invariant: versions stand by ascending LSN, which no two commits share; a version that is
//! overwritten by its own transaction is none.

use std::collections::{BTreeMap, BTreeSet};

use super::check::{Anomaly, Kind};
use super::words::name;
use super::{Act, End, History, Id, Item, Saw};

/// A history whose commits have their order.
#[derive(Debug)]
pub(crate) struct Settled<'h> {
    pub(crate) history: &'h History,
    /// Every key that somebody read or wrote, in order.
    pub(crate) items: Vec<&'h Item>,
    /// Of each key, the versions that are committed, the oldest first.
    pub(crate) versions: Vec<Vec<Placed>>,
    is_committed: Vec<bool>,
}

/// A committed version of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Placed {
    pub(crate) lsn: u64,
    pub(crate) writer: Id,
    /// Which write of its writer's; `None` for a delete.
    pub(crate) nth: Option<u16>,
}

impl<'h> Settled<'h> {
    pub(crate) fn of(history: &'h History) -> Result<Self, Anomaly> {
        let items: BTreeSet<&Item> = history.transactions.iter().flat_map(items_of).collect();
        let items: Vec<&Item> = items.into_iter().collect();
        let is_committed = committed(history);
        let mut settled =
            Self { history, versions: vec![Vec::new(); items.len()], items, is_committed };
        settled.place()?;
        Ok(settled)
    }

    /// Puts the writes of the committed in their places.
    fn place(&mut self) -> Result<(), Anomaly> {
        let mut places = BTreeMap::new();
        for (id, transaction) in self.history.transactions.iter().enumerate() {
            if !self.is_committed[id] || !transaction.is_writer() {
                continue;
            }
            let Some(lsn) = transaction.lsn else {
                let words = format!("{} is committed, and has no LSN", name(id));
                return Err(Anomaly::new(Kind::NoOrder, words, &[id]));
            };
            if let Some(other) = places.insert(lsn, id) {
                let words = format!("{} and {} have one LSN, {lsn}", name(other), name(id));
                return Err(Anomaly::new(Kind::NoOrder, words, &[other, id]));
            }
        }
        for (lsn, id) in places {
            let last: BTreeMap<&Item, Option<u16>> =
                self.history.transactions[id].writes().collect();
            for (item, nth) in last {
                if let Some(at) = self.item(item) {
                    self.versions[at].push(Placed { lsn, writer: id, nth });
                }
            }
        }
        Ok(())
    }

    /// The number of a key.
    pub(crate) fn item(&self, item: &Item) -> Option<usize> {
        self.items.binary_search(&item).ok()
    }

    pub(crate) fn is_committed(&self, id: Id) -> bool {
        self.is_committed[id]
    }

    /// Whether what it did counts at all.
    pub(crate) fn counts(&self, id: Id) -> bool {
        self.history.transactions[id].end != End::Lost
    }
}

fn items_of(transaction: &super::Transaction) -> impl Iterator<Item = &Item> {
    // The keys that a walk found stand here too if somebody wrote them.
    transaction.acts.iter().filter_map(|(_, act)| match act {
        Act::Read(item, _) | Act::Put(item, _) | Act::Delete(item) => Some(item),
        Act::Scan(_) => None,
    })
}

/// Who is committed: those who were told so, and those of whom somebody else saw a write.
fn committed(history: &History) -> Vec<bool> {
    let ends = || history.transactions.iter().map(|transaction| transaction.end);
    let mut is_committed: Vec<bool> = ends().map(|end| end == End::Committed).collect();
    let mut see = |reader: Id, saw: &Saw| {
        if let Saw::Version(version) = saw {
            let end = history.transactions.get(version.writer).map(|writer| writer.end);
            if end == Some(End::Unknown) && version.writer != reader {
                is_committed[version.writer] = true;
            }
        }
    };
    for (id, transaction) in history.transactions.iter().enumerate() {
        if transaction.end == End::Lost {
            continue;
        }
        for (_, act) in &transaction.acts {
            match act {
                Act::Read(_, saw) => see(id, saw),
                Act::Scan(scan) => scan.found.iter().for_each(|(_, saw)| see(id, saw)),
                Act::Put(..) | Act::Delete(_) => {}
            }
        }
    }
    is_committed
}
