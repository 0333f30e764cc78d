//! What a power cut may leave of a history: all commits through one LSN, and none above.
//!
//! Knows nothing of how the cut was made: what was owed and what was found are told.

use std::collections::BTreeMap;

use super::check::{Anomaly, Kind};
use super::words::{item as named, name};
use super::{End, History, Id, Item, Moment, Saw, Version};

/// What a store holds.
pub type Contents = BTreeMap<Item, Version>;

impl History {
    /// The commits that have a place, in their order. Whether they were acknowledged is not asked.
    fn placed(&self) -> Vec<(u64, Id)> {
        let placed = |(id, it): (Id, &super::Transaction)| {
            let counts = matches!(it.end, End::Committed | End::Unknown) && it.is_writer();
            it.lsn.filter(|_| counts).map(|lsn| (lsn, id))
        };
        let mut commits: Vec<(u64, Id)> =
            self.transactions.iter().enumerate().filter_map(placed).collect();
        commits.sort_unstable();
        commits
    }

    /// What a store holds when all commits through an LSN are there.
    #[must_use]
    pub fn contents(&self, through: u64) -> Contents {
        let mut contents = Contents::new();
        for (_, id) in self.placed().into_iter().take_while(|(lsn, _)| *lsn <= through) {
            self.apply(id, &mut contents);
        }
        contents
    }

    fn apply(&self, id: Id, contents: &mut Contents) {
        for (item, nth) in self.transactions[id].writes() {
            match nth {
                Some(nth) => contents.insert(item.clone(), Version { writer: id, nth }),
                None => contents.remove(item),
            };
        }
    }

    /// Through which LSN all is there, if what a recovery found is what a cut may leave: all
    /// through the LSN that is owed at least, in order, whole. Of several, the first.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn recovered(&self, found: &BTreeMap<Item, Saw>, owed: u64) -> Result<u64, Anomaly> {
        let is_found = |contents: &Contents| {
            let same = |((a, version), (b, saw))| a == b && Saw::Version(version) == saw;
            let pairs = contents.iter().map(|(item, version)| (item, *version));
            let seen = found.iter().map(|(item, saw)| (item, *saw));
            contents.len() == found.len() && pairs.zip(seen).all(same)
        };
        let mut contents = Contents::new();
        let mut through = owed;
        for (lsn, id) in self.placed() {
            if lsn > owed {
                if is_found(&contents) {
                    return Ok(through);
                }
                through = lsn;
            }
            self.apply(id, &mut contents);
        }
        if is_found(&contents) {
            return Ok(through);
        }
        Err(self.not_recovered(found, owed))
    }

    /// Which key shows that no cut leaves this.
    fn not_recovered(&self, found: &BTreeMap<Item, Saw>, owed: u64) -> Anomaly {
        let least = self.contents(owed);
        let differs = least.iter().find(|(item, version)| {
            found.get(item).is_none_or(|saw| match saw {
                Saw::Version(seen) => self.lsn(*seen) < self.lsn(**version),
                Saw::Nothing | Saw::Garbage => true,
            })
        });
        let words = match differs {
            Some((item, version)) => format!(
                "all through LSN {owed} is owed, and of {} what {} wrote is gone",
                named(item),
                name(version.writer)
            ),
            None => format!("no LSN from {owed} on explains what was found: {found:?}"),
        };
        Anomaly::new(Kind::NotRecovered, words, &[])
    }

    fn lsn(&self, version: Version) -> Option<u64> {
        self.transactions.get(version.writer).and_then(|writer| writer.lsn)
    }

    /// The history that goes on after a cut: commits through an LSN stay, and all else is lost.
    /// What was read before the cut binds nobody any more; it was checked before.
    pub fn cut(&mut self, through: u64, now: Moment) {
        for transaction in &mut self.transactions {
            let stays = transaction.is_writer()
                && matches!(transaction.end, End::Committed | End::Unknown)
                && transaction.lsn.is_some_and(|lsn| lsn <= through);
            if stays {
                transaction.end = End::Committed;
                transaction.ended = transaction.ended.min(now);
            } else {
                transaction.end = End::Lost;
            }
        }
    }

    /// With what a plan [`after`](super::plan::Plan::after) this history gave: all of it began
    /// later.
    #[must_use]
    pub fn then(mut self, mut later: Self) -> Self {
        let moments = |it: &super::Transaction| {
            let ended = Some(it.ended).filter(|ended| *ended < Moment::MAX);
            let acts = it.acts.last().map(|(moment, _)| *moment);
            ended.into_iter().chain(acts).chain(it.placed).max()
        };
        let now = self.transactions.iter().filter_map(moments).max().unwrap_or(0);
        let shift = |moment: &mut Moment| *moment = moment.saturating_add(now);
        for transaction in &mut later.transactions {
            shift(&mut transaction.began);
            shift(&mut transaction.ended);
            transaction.placed.iter_mut().for_each(shift);
            transaction.acts.iter_mut().for_each(|(moment, _)| shift(moment));
        }
        self.transactions.extend(later.transactions.drain(self.transactions.len()..));
        self
    }
}
