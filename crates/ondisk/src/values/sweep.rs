//! Which value files nothing refers to any more, and their removal, a few at a time.
//!
//! Invariant: a file is looked up by the key that stands in it; what was found to be superseded is
//! removed only when the commits that were there then are durable, and no snapshot or reader is
//! older than them.

use std::sync::atomic::Ordering;

use ondisk_log::{Lsn, Step};

use super::sabotage::ValueRule;
use super::{Horizon, Reference, ValueFiles};
use crate::error::Error;

/// How many files one step looks at.
const FILES: usize = 64;

/// What a sweep has still to do.
#[derive(Debug, Default)]
pub(super) struct Sweep {
    /// Something may have been superseded since the last round began.
    due: bool,
    /// Files to look at in this round.
    ahead: Vec<u64>,
    /// Superseded by a commit at or below this.
    doomed: Vec<(u64, Lsn)>,
}

/// What a key refers to now.
pub(crate) type Needed<'a> = &'a dyn Fn(&[u8]) -> Result<Option<Reference>, Error>;

impl ValueFiles {
    /// Something may have been superseded: the next steps look.
    pub(crate) fn sweep_due(&self) {
        self.state().sweep.due = true;
    }

    /// Looks at a few files, and removes what nothing needs. `needed` says what the newest version
    /// of a key refers to, committed or about to be.
    pub(crate) fn sweep(&self, horizon: Horizon<'_>, needed: Needed<'_>) -> Result<Step, Error> {
        let looked = self.look(horizon.last, needed)?;
        let removed = self.remove(horizon);
        Ok(if looked || removed { Step::Working } else { Step::Idle })
    }

    fn look(&self, last: &dyn Fn() -> Lsn, needed: Needed<'_>) -> Result<bool, Error> {
        let mut ahead = {
            let mut state = self.state();
            if state.sweep.ahead.is_empty() {
                if !std::mem::take(&mut state.sweep.due) {
                    return Ok(false);
                }
                drop(state);
                let numbers = self.numbers()?;
                self.count.store(numbers.len() as u64, Ordering::Relaxed);
                self.state().sweep.ahead = numbers;
                return Ok(true);
            }
            let all = &mut state.sweep.ahead;
            all.split_off(all.len().saturating_sub(FILES))
        };
        ahead.retain(|number| {
            let state = self.state();
            let known = state.sweep.doomed.iter().any(|(it, _)| it == number);
            let in_flight = state.in_flight.contains(number);
            !known && (!in_flight || self.breaks(ValueRule::InFlightSwept))
        });
        for number in ahead {
            let path = self.path(number);
            // What cannot be read is left for `check` to tell.
            let Ok(file) = self.open_file(&path) else { continue };
            let Ok((_, key)) = self.read_head(&path, &*file) else { continue };
            // It was not in flight: its commit was in the young map before this looks there.
            if needed(&key)?.is_none_or(|it| it.number.get() != number) {
                // Asked behind the look: what superseded it is at or below.
                self.state().sweep.doomed.push((number, last()));
            }
        }
        Ok(true)
    }

    fn remove(&self, horizon: Horizon<'_>) -> bool {
        let free = |lsn: Lsn| {
            let durable = horizon.durable >= lsn || self.breaks(ValueRule::SweptBeforeDurable);
            let seen = horizon.snapshot.is_some_and(|it| it < lsn);
            let seen = seen && !self.breaks(ValueRule::SweptUnderSnapshot);
            let pinned = horizon.pinned && !self.breaks(ValueRule::PinsIgnored);
            durable && !seen && !pinned
        };
        let mut state = self.state();
        let mut gone = Vec::new();
        state.sweep.doomed.retain(|(number, lsn)| {
            if free(*lsn) {
                gone.push(*number);
            }
            !free(*lsn)
        });
        drop(state);
        for number in &gone {
            // What cannot be removed is found again by the next round.
            if self.site.fs.remove(&self.path(*number)).is_ok() {
                self.count.fetch_sub(1, Ordering::Relaxed);
            }
        }
        !gone.is_empty()
    }
}
