//! Act 3, *the promise*: the store on the simulated disk, and the plug pulled.
//!
//! Invariant: the store is the one that runs in production; the disk alone is not. A state counts
//! once for each number of commits that was owed when it arose, so a loss that looks like an
//! earlier, harmless state is counted as the loss that it is.
//!
//! Knows nothing of the clock: how much is looked at is counted in states, so a seed repeats it.

mod life;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use ondisk::{BatchLimits, EngineKind, SyncMode};
use ondisk_fs::FileSystem;
use ondisk_sim::model::{EXT4, POSIX, STRICT};
use ondisk_sim::{Budget, Crash, CrashFs, MemFs, Model, Tally, Where};
use serde::Serialize;

use self::life::{Found, Life};
use super::control::{Control, Skipping};
use crate::exit::Failure;
use crate::out::Progress;
use crate::table::thousands;

/// Lives are cut for a row until it has so many crash states …
const STATES: u64 = 10_000;
/// … or, for a control row, so many; it has no more to show than that it loses …
const STATES_OF_A_CONTROL: u64 = 2_500;
/// … but no more lives than this: where little is at risk, a life has few states.
const LIVES: u64 = 16;
/// Crash states that are looked at in one cut, at most.
const STATES_A_CUT: u32 = 256;
/// Every so many states the recovery is cut too, at each of its syncs.
const RECOVERY_CUT_EVERY: u64 = 16;
/// Crash states that are looked at in one cut of a recovery, at most.
const STATES_A_RECOVERY_CUT: u32 = 8;

/// One mode under one model: what was acknowledged over all crash states, and what was lost.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct PowerCuts {
    /// `sync`, `batch`, `none`.
    pub(crate) mode: &'static str,
    /// The mode with its numbers: `batch:10`.
    pub(crate) mode_in_full: String,
    /// The engine of the keyspace: `bitcask`, `lsm`, `btree`.
    pub(crate) engine: &'static str,
    /// How many acknowledged commits the mode may lose in one cut; `null`: any number.
    pub(crate) at_risk: Option<u32>,
    /// What a cut may leave: `posix`, `ext4`, `strict`.
    pub(crate) model: &'static str,
    /// Whether a sync is left out, so that commits must be lost.
    pub(crate) control: bool,
    /// Which one.
    pub(crate) skipped: Option<&'static str>,
    /// Places at which the plug was pulled.
    pub(crate) cuts: u64,
    /// Crash states recovered.
    pub(crate) states: u64,
    /// Commits acknowledged before the cut, summed over the states.
    pub(crate) acknowledged: u64,
    /// Those of them that were not there afterwards.
    pub(crate) lost: u64,
    /// The most that one state lost.
    pub(crate) worst: u64,
    /// States that did not open, or held anything but the first so many commits.
    pub(crate) broken: u64,
}

impl PowerCuts {
    /// Whether the row is what it must be.
    pub(crate) fn is_as_promised(&self) -> bool {
        if self.control {
            return self.lost > 0;
        }
        self.broken == 0 && self.at_risk.is_none_or(|limit| self.worst <= u64::from(limit))
    }

    /// Counts one state: what was owed, and what was found. Answers what was lost.
    fn count(&mut self, owed: u64, found: Found) -> u64 {
        let lost = match found {
            Found::Commits(there) => owed.saturating_sub(there),
            Found::Broken => {
                self.broken += 1;
                owed
            }
        };
        self.states += 1;
        self.acknowledged += owed;
        self.lost += lost;
        self.worst = self.worst.max(lost);
        lost
    }
}

/// What a row pulls the plug on.
#[derive(Clone, Copy, Debug)]
struct Row {
    mode: SyncMode,
    engine: EngineKind,
    model: Model,
    control: Option<Control>,
}

/// Every mode under every model, the other engines, and two rows that must lose.
fn rows() -> Vec<Row> {
    let batch = SyncMode::Batch(BatchLimits { records: 10, ..BatchLimits::default() });
    let modes = [SyncMode::Sync, batch, SyncMode::None];
    let row = |mode, model, control| Row { mode, engine: EngineKind::Bitcask, model, control };
    let mut rows = Vec::new();
    for mode in modes {
        rows.extend([POSIX, EXT4, STRICT].map(|model| row(mode, model, None)));
    }
    let others = [EngineKind::Lsm, EngineKind::Btree];
    rows.extend(others.map(|engine| Row { engine, ..row(SyncMode::Sync, POSIX, None) }));
    // Under POSIX, where nothing but the sync itself would help.
    let controls = [Control::SyncSkipped, Control::DirectorySyncSkipped];
    rows.extend(controls.map(|control| row(SyncMode::Sync, POSIX, Some(control))));
    rows
}

/// What all rows have so far, to be shown while they work.
#[derive(Debug, Default)]
struct Totals {
    states: AtomicU64,
    acknowledged: AtomicU64,
    lost: AtomicU64,
}

impl Totals {
    fn add(&self, owed: u64, lost: u64, progress: &Progress) {
        let add = |total: &AtomicU64, n| total.fetch_add(n, Ordering::Relaxed) + n;
        let (states, acknowledged, lost) =
            (add(&self.states, 1), add(&self.acknowledged, owed), add(&self.lost, lost));
        if states.is_multiple_of(100) {
            progress.say(format_args!(
                "the promise: {} states, commits acknowledged {}, kept {}, lost {}",
                thousands(states),
                thousands(acknowledged),
                thousands(acknowledged.saturating_sub(lost)),
                thousands(lost),
            ));
        }
    }
}

/// Pulls the plug on every row, two at a time where there are two processors.
pub(crate) fn keep(seed: u64, progress: &Progress) -> Result<Vec<PowerCuts>, Failure> {
    let rows = rows();
    let (next, totals) = (AtomicUsize::new(0), Totals::default());
    let done = Mutex::new(rows.iter().map(|_| None).collect::<Vec<_>>());
    let work = || {
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(row) = rows.get(at) else { return };
            let counted = pull(*row, seed, &mut |owed, lost| totals.add(owed, lost, progress));
            done.lock().unwrap_or_else(PoisonError::into_inner)[at] = Some(counted);
        }
    };
    let threads = thread::available_parallelism().map_or(1, usize::from).min(rows.len());
    thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(work);
        }
        work();
    });
    let done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.into_iter().flatten().collect::<Result<_, _>>().map_err(Failure::Store)
}

/// Runs one row: its lives, each cut at every sync, each time into as many states as the budget
/// has.
fn pull(row: Row, seed: u64, tell: &mut dyn FnMut(u64, u64)) -> Result<PowerCuts, ondisk::Error> {
    let Row { mode, engine, model, control } = row;
    let mut counted = PowerCuts {
        mode: mode.name(),
        mode_in_full: mode.to_string(),
        engine: engine.name(),
        at_risk: mode.at_risk(),
        model: model.name,
        control: control.is_some(),
        skipped: control.map(Control::name),
        ..PowerCuts::default()
    };
    let enough = if control.is_some() { STATES_OF_A_CONTROL } else { STATES };
    for nth in 0..LIVES {
        if counted.states >= enough {
            break;
        }
        let life = Life::new(life::draw(seed, nth, 0), mode, engine);
        cut(&life, row, &mut counted, tell)?;
    }
    Ok(counted)
}

/// One life, cut everywhere, and some of its recoveries too.
fn cut(
    life: &Life,
    row: Row,
    counted: &mut PowerCuts,
    tell: &mut dyn FnMut(u64, u64),
) -> Result<(), ondisk::Error> {
    let disk = MemFs::new();
    let fs: Arc<dyn FileSystem> = match row.control {
        Some(control) => Arc::new(Skipping { inner: disk.share(), control }),
        None => disk.share(),
    };
    life.live(&fs, &disk)?;
    let (mut seen, tally) = (BTreeSet::new(), Tally::new());
    let mut judge = |state: &CrashFs| {
        let (owed, found) = (life::owed(state), life.find(state));
        if seen.insert((state.id(), owed)) {
            tell(owed, counted.count(owed, found));
        }
    };
    let budget = |states| Budget { per_cut: states, per_run: u32::MAX, seed: life.seed() };
    let crash = Crash::new(&row.model, disk.history());
    let mut cuts_of_recoveries = 0;
    let report = crash.explore(Where::AtSyncs, budget(STATES_A_CUT), &tally, &mut |state| {
        judge(state);
        if tally.recoveries().is_multiple_of(RECOVERY_CUT_EVERY) {
            let recovery = Crash::of_life(&row.model, state);
            let budget = budget(STATES_A_RECOVERY_CUT);
            let report = recovery.explore(Where::AtSyncs, budget, &tally, &mut |state| {
                judge(state);
                Ok(())
            });
            cuts_of_recoveries += report.cuts;
        }
        Ok(())
    });
    counted.cuts += u64::from(report.cuts + cuts_of_recoveries);
    Ok(())
}
