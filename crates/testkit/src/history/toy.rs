//! A store of transactions as small as one can be, in memory, right or wrong as one likes: it shows
//! that histories meet each mistake, and that the checker finds it.
//!
//! Invariant: without a mistake it keeps every promise of the store: reads as of one snapshot, own
//! writes, validation against all commits above the snapshot whether visible or not, visible when
//! acknowledged.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::drive::{Entries, Placed, Refusal, Session, Subject};
use super::plan::Ask;
use super::{Item, Scan, Way};

/// A mistake that people make.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mistake {
    /// Only writes are compared with others' writes: snapshot isolation.
    ReadsNotValidated,
    /// Keys that were read are compared, and walks are not.
    RangesNotValidated,
    /// Of a walk, only the keys that it found are compared.
    FoundKeysOnly,
    /// A walk that was left early is compared only up to before the last key.
    LastKeyNotValidated,
    /// Commits that are not acknowledged yet are not looked at.
    VisibleOnly,
    /// Nothing is compared.
    NothingValidated,
    /// Reads give the newest, not that of the snapshot.
    NoSnapshot,
    /// Reads give what is not acknowledged; the snapshot is right.
    SeesUnacknowledged,
    /// Walks do not see own writes.
    OwnWritesMissedInWalks,
    /// Own deletes do not hide what others wrote.
    OwnDeletesMissed,
    /// Deletes are not compared.
    DeletesNotValidated,
    /// The snapshot is an old one.
    OldSnapshot,
    /// A conflict is noticed when half of the writes are there.
    HalfRolledBack,
}

impl Mistake {
    /// All.
    pub const ALL: [Self; 13] = [
        Self::ReadsNotValidated,
        Self::RangesNotValidated,
        Self::FoundKeysOnly,
        Self::LastKeyNotValidated,
        Self::VisibleOnly,
        Self::NothingValidated,
        Self::NoSnapshot,
        Self::SeesUnacknowledged,
        Self::OwnWritesMissedInWalks,
        Self::OwnDeletesMissed,
        Self::DeletesNotValidated,
        Self::OldSnapshot,
        Self::HalfRolledBack,
    ];
}

/// The store.
#[derive(Debug, Default)]
pub struct Toy {
    state: Mutex<State>,
    mistake: Option<Mistake>,
}

#[derive(Debug, Default)]
struct State {
    versions: BTreeMap<Item, BTreeMap<u64, Option<Vec<u8>>>>,
    last: u64,
    visible: u64,
}

/// A transaction of the toy.
#[derive(Debug)]
pub struct Open<'s> {
    toy: &'s Toy,
    snapshot: u64,
    own: BTreeMap<Item, Option<Vec<u8>>>,
    read: BTreeSet<Item>,
    walked: Vec<Scan>,
}

impl Toy {
    /// One with a mistake, or without.
    #[must_use]
    pub fn new(mistake: Option<Mistake>) -> Self {
        Self { state: Mutex::default(), mistake }
    }

    fn makes(&self, mistake: Mistake) -> bool {
        self.mistake == Some(mistake)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Subject for Toy {
    type Session<'s> = Open<'s>;

    fn begin(&self) -> Result<Open<'_>, String> {
        let visible = self.state().visible;
        let snapshot =
            if self.makes(Mistake::OldSnapshot) { visible.saturating_sub(1) } else { visible };
        let (own, read, walked) = (BTreeMap::new(), BTreeSet::new(), Vec::new());
        Ok(Open { toy: self, snapshot, own, read, walked })
    }
}

impl State {
    fn as_of(&self, item: &Item, lsn: u64) -> Option<Vec<u8>> {
        self.versions.get(item)?.range(..=lsn).next_back()?.1.clone()
    }
}

impl Open<'_> {
    fn makes(&self, mistake: Mistake) -> bool {
        self.toy.makes(mistake)
    }

    /// The newest LSN that its reads see.
    fn sees(&self, state: &State) -> u64 {
        match self.toy.mistake {
            Some(Mistake::NoSnapshot) => state.visible,
            Some(Mistake::SeesUnacknowledged) => state.last,
            _ => self.snapshot,
        }
    }

    /// Whether a commit above the snapshot changed what was seen.
    fn conflicts(&self, state: &State) -> bool {
        let until = if self.makes(Mistake::VisibleOnly) { state.visible } else { state.last };
        let is_newer = |item: &Item| {
            let newer = state.versions.get(item).map(|it| it.range(self.snapshot + 1..));
            newer.is_some_and(|newer| {
                let mut newer = newer.take_while(|(lsn, _)| **lsn <= until);
                let counts = |value: &Option<Vec<u8>>| {
                    value.is_some() || !self.makes(Mistake::DeletesNotValidated)
                };
                newer.any(|(_, value)| counts(value))
            })
        };
        if self.makes(Mistake::NothingValidated) {
            return false;
        }
        if self.makes(Mistake::ReadsNotValidated) {
            return self.own.keys().any(is_newer);
        }
        if self.read.iter().any(is_newer) {
            return true;
        }
        if self.makes(Mistake::RangesNotValidated) {
            return false;
        }
        self.walked.iter().any(|walk| {
            let mut keys = state.versions.keys();
            let is_there = |item: &Item| item.space == walk.space && walk.covers(&item.key);
            let found = |item: &Item| walk.found.iter().any(|(key, _)| *key == item.key);
            keys.any(|item| {
                let skipped = self.makes(Mistake::FoundKeysOnly) && !found(item);
                is_there(item) && !skipped && is_newer(item)
            })
        })
    }
}

impl<'s> Session<'s> for Open<'s> {
    fn snapshot(&self) -> Option<u64> {
        Some(self.snapshot)
    }

    fn get(&mut self, items: &[Item]) -> Result<Vec<Option<Vec<u8>>>, Refusal> {
        let state = self.toy.state();
        let sees = self.sees(&state);
        let mut values = Vec::new();
        for item in items {
            let own = self.own.get(item).cloned();
            let own = own.filter(|own| own.is_some() || !self.makes(Mistake::OwnDeletesMissed));
            values.push(own.unwrap_or_else(|| {
                self.read.insert(item.clone());
                state.as_of(item, sees)
            }));
        }
        Ok(values)
    }

    fn scan(&mut self, ask: &Ask) -> Result<Entries, Refusal> {
        let state = self.toy.state();
        let sees = self.sees(&state);
        let (lower, upper) = (ask.lower.clone(), ask.upper.clone());
        let mut walk = Scan { space: ask.space, lower, upper, found: Vec::new(), way: ask.way };
        let mut all: BTreeMap<&Item, Option<Vec<u8>>> =
            state.versions.keys().map(|item| (item, state.as_of(item, sees))).collect();
        if !self.makes(Mistake::OwnWritesMissedInWalks) {
            all.extend(self.own.iter().map(|(item, value)| (item, value.clone())));
        }
        let is_there = |item: &Item| item.space == ask.space && walk.covers(&item.key);
        let mut entries: Entries = all
            .into_iter()
            .filter(|(item, _)| is_there(item))
            .filter_map(|(item, value)| Some((item.key.clone(), value?)))
            .collect();
        if ask.way == Way::Down {
            entries.reverse();
        }
        entries.truncate(ask.limit.unwrap_or(usize::MAX));
        if let Some((last, _)) = entries.last().filter(|_| Some(entries.len()) == ask.limit) {
            let missed = self.makes(Mistake::LastKeyNotValidated);
            let bound = if missed { std::ops::Bound::Excluded } else { std::ops::Bound::Included };
            match ask.way {
                Way::Up => walk.upper = bound(last.clone()),
                Way::Down => walk.lower = bound(last.clone()),
            }
        }
        walk.found = entries.iter().map(|(key, _)| (key.clone(), super::Saw::Nothing)).collect();
        self.walked.push(walk);
        Ok(entries)
    }

    fn write(&mut self, item: &Item, value: Option<&[u8]>) -> Result<(), Refusal> {
        self.own.insert(item.clone(), value.map(<[u8]>::to_vec));
        Ok(())
    }

    fn place(self) -> Result<Placed<'s>, Refusal> {
        let mut state = self.toy.state();
        if self.own.is_empty() {
            return Ok(Placed { lsn: None, wait: Box::new(|| Ok(())) });
        }
        let conflicts = self.conflicts(&state);
        if conflicts && !self.makes(Mistake::HalfRolledBack) {
            return Err(Refusal::Conflict);
        }
        state.last += 1;
        let lsn = state.last;
        let half = if conflicts { self.own.len() / 2 } else { self.own.len() };
        for (item, value) in self.own.into_iter().take(half) {
            state.versions.entry(item).or_default().insert(lsn, value);
        }
        if conflicts {
            return Err(Refusal::Conflict);
        }
        let toy = self.toy;
        let wait = move || {
            let mut state = toy.state();
            state.visible = state.visible.max(lsn);
            Ok(())
        };
        Ok(Placed { lsn: Some(lsn), wait: Box::new(wait) })
    }

    fn roll_back(self) {}
}
