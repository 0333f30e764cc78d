//! The power-cut harness over the log: shapes of workloads, lived and cut and lived again.
//!
//! Each shape lives a first life on a [`MemFs`], sometimes killed and opened again in the same
//! boot, sometimes with a sync that fails. That life is cut wherever it matters; on each state the
//! log is opened and judged, and on some it goes on: a further life, cut in turn, its recovery
//! included.
//!
//! Invariant: everything follows from the shape and its seed.

use std::io;

use ondisk_log::{LogError, LogOptions, Sabotage, SyncMode};
use ondisk_sim::{
    Budget, Crash, CrashFs, Failure, Fault, MemFs, Model, Place, Report, Tally, Target, Where,
};

use crate::log_life::{Op, Owed, batch, judge, live, next_owed, open};
use crate::stage::{Note, Stage, last_chapter, notes};

/// How many commits [`batch`] may have at risk here.
const BATCH: u32 = 5;

/// Lengths of payloads, in bytes.
const LENS: [usize; 4] = [20, 100, 700, 3000];

/// A shape of workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Its name, as the tally counts by.
    pub name: &'static str,
    /// The mode of its commits; `None` for all of them in turn.
    mode: Option<Mode>,
    /// All payloads of one length, so that records of one life fit exactly over another's.
    equal: bool,
    /// What ends the first opening.
    ends: Ends,
    /// Operations in a life.
    ops: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Sync,
    Batch,
    None,
}

/// What ends the first opening, before the first cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ends {
    /// Nothing: the power goes.
    Cut,
    /// The process is killed, and the log opened again in the same boot.
    Kill,
    /// A sync fails, and the log is opened again in the same boot.
    FailedSync,
    /// It is closed, and opened again.
    Close,
}

/// The shapes that the suite runs.
pub const SHAPES: [Shape; 9] = [
    Shape { name: "sync", mode: Some(Mode::Sync), equal: false, ends: Ends::Cut, ops: 18 },
    Shape { name: "batch", mode: Some(Mode::Batch), equal: false, ends: Ends::Cut, ops: 22 },
    Shape { name: "none", mode: Some(Mode::None), equal: false, ends: Ends::Cut, ops: 22 },
    Shape { name: "mixed", mode: None, equal: false, ends: Ends::Cut, ops: 22 },
    Shape { name: "equal", mode: Some(Mode::Batch), equal: true, ends: Ends::Cut, ops: 22 },
    Shape { name: "killed", mode: Some(Mode::None), equal: false, ends: Ends::Kill, ops: 14 },
    Shape { name: "killed mixed", mode: None, equal: true, ends: Ends::Kill, ops: 14 },
    Shape { name: "failed sync", mode: None, equal: false, ends: Ends::FailedSync, ops: 14 },
    Shape { name: "closed", mode: None, equal: false, ends: Ends::Close, ops: 12 },
];

/// How thoroughly to look.
#[derive(Clone, Copy, Debug)]
pub struct Depth {
    /// States of a cut of the first life, at most.
    pub first: u32,
    /// States of a cut of a further life, at most.
    pub further: u32,
    /// States of all cuts of one further life, at most.
    pub further_run: u32,
    /// On every so-manieth state the log goes on.
    pub every: u64,
    /// Lives before the last cut, at most.
    pub lives: u8,
    /// Where to cut.
    pub places: Where,
}

impl Default for Depth {
    fn default() -> Self {
        let places = Where::AtSyncs;
        Self { first: 12, further: 3, further_run: 24, every: 4, lives: 3, places }
    }
}

/// One run: a shape, a seed, a model, and maybe a rule to break.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// What is done.
    pub shape: Shape,
    /// Which of its kind.
    pub seed: u64,
    /// What a cut may leave.
    pub model: Model,
    /// How thoroughly.
    pub depth: Depth,
    /// The rule of the log that is broken.
    pub sabotage: Option<Sabotage>,
}

impl Run {
    /// Lives, cuts and judges; counts distinct states in the tally.
    #[must_use]
    pub fn explore(&self, tally: &Tally) -> Report {
        tally.set_shape(self.shape.name);
        let (fs, past) = match self.first_life() {
            Ok(lived) => lived,
            Err(why) => return self.failed(why),
        };
        let crash = Crash::new(&self.model, fs.history());
        let mut states = 0;
        self.cut(&crash, &past, self.depth.first, u32::MAX, tally, &mut states)
    }

    /// A report of a run that failed before any cut.
    fn failed(&self, why: String) -> Report {
        let crash = Crash::new(&self.model, MemFs::new().history());
        let report = crash.explore(Where::AtTheEnd, Budget::per_cut(1), &Tally::new(), &mut |_| {
            Err(why.clone().into())
        });
        debug_assert!(report.failure.is_some());
        report
    }

    pub(crate) fn options(&self) -> LogOptions {
        let sabotage = self.sabotage;
        LogOptions { first_segment: 16 << 10, largest_segment: 32 << 10, sabotage }
    }

    /// How many acknowledged commits a cut may take.
    pub(crate) fn at_risk(&self) -> Option<u32> {
        match self.shape.mode {
            Some(Mode::Sync) => Some(0),
            Some(Mode::Batch) => Some(BATCH),
            Some(Mode::None) | None => None,
        }
    }

    fn first_life(&self) -> Result<(MemFs, Vec<Owed>), String> {
        let fs = MemFs::new();
        let mut past = Vec::new();
        let first = self.open_and_live(&fs, &mut past, 1);
        match (self.shape.ends, first) {
            (Ends::Cut, Ok(())) => Ok((fs, past)),
            (Ends::Kill | Ends::Close, Ok(())) => self.again(&fs, past),
            (_, Err(error @ LogError::Damaged { .. })) => Err(error.to_string()),
            (Ends::FailedSync, _) => self.again(&fs, past),
            (_, Err(error)) => Err(format!("the first life failed: {error}")),
        }
    }

    /// Opens again in the same boot.
    fn again(&self, fs: &MemFs, mut past: Vec<Owed>) -> Result<(MemFs, Vec<Owed>), String> {
        let fs = fs.fork();
        fs.clear_faults();
        self.open_and_live(&fs, &mut past, 2).map_err(|error| format!("no reopen: {error}"))?;
        Ok((fs, past))
    }

    fn open_and_live(&self, fs: &MemFs, past: &mut Vec<Owed>, life: u8) -> Result<(), LogError> {
        let (log, served) = open(fs, self.options())?;
        let before = notes(&fs.history().acks);
        past.push(self.chapter(past, &before, served, life));
        fs.note(&Note::Opened);
        if self.shape.ends == Ends::FailedSync && life == 1 {
            // Now a sync of any kind, now one of a group that shares its blocks with others.
            let (target, nth) = match self.seed % 2 {
                0 => (Target::Only(Place::SyncData), 1 + self.seed / 2 % 3),
                _ => (Target::Syncs, 1 + self.seed / 2 % 6),
            };
            fs.inject(Fault { nth, ..Fault::next(target, io::ErrorKind::Other) });
        }
        live(fs, &log, life, &self.ops(life)).map(drop)
    }

    /// What is owed once an opening has returned.
    fn chapter(
        &self,
        past: &[Owed],
        notes: &[Note],
        served: crate::log_life::Served,
        life: u8,
    ) -> Owed {
        let (_, last) = last_chapter(notes);
        match past.last() {
            Some(before) => Owed { life, ..next_owed(before, last, served, self.at_risk()) },
            None => Owed { base: served, floor: 0, life, at_risk: self.at_risk() },
        }
    }

    fn cut(
        &self,
        crash: &Crash,
        past: &[Owed],
        per_cut: u32,
        per_run: u32,
        tally: &Tally,
        states: &mut u64,
    ) -> Report {
        let budget = Budget { per_cut, per_run, seed: self.seed };
        crash.explore(self.depth.places, budget, tally, &mut |fs: &CrashFs| {
            *states += 1;
            let noted = notes(fs.owed());
            let (log, served) = open(fs, self.options())?;
            let (openings, last) = last_chapter(&noted);
            match openings.checked_sub(1).and_then(|index| past.get(index)) {
                Some(owed) => judge(owed, last, &served)?,
                None if served.is_empty() => {}
                None => return Err("a log that nobody has opened serves something".into()),
            }
            let past = &past[..openings];
            let life = u8::try_from(openings + 1)?;
            // A life that was cut in its recovery is a life too.
            let done = fs.life() > u32::from(self.depth.lives);
            if openings == 0 || done || !states.is_multiple_of(self.depth.every) {
                return Ok(());
            }
            let mut past = past.to_vec();
            past.push(self.chapter(&past, &noted, served, life));
            fs.note(&Note::Opened);
            live(fs, &log, life, &self.ops(life))?;
            drop(log);
            let crash = Crash::of_life(&self.model, fs);
            let (per_cut, per_run) = (self.depth.further, self.depth.further_run);
            let report = self.cut(&crash, &past, per_cut, per_run, tally, states);
            report.into_result().map(drop).map_err(|failure| failure.to_string().into())
        })
    }

    /// What a life does.
    #[must_use]
    pub fn ops(&self, life: u8) -> Vec<Op> {
        let mut random = Random(self.seed ^ u64::from(life) << 56);
        let count = if life == 1 { self.shape.ops } else { self.shape.ops / 2 };
        let mut ops = Vec::new();
        for _ in 0..count {
            // Where modes mix, segments fill soon: a group that must be durable then often begins
            // one, behind commits that need not be.
            let lens = if self.shape.mode.is_none() { [20, 700, 3000, 3000] } else { LENS };
            let len = if self.shape.equal { 600 } else { lens[random.below(4)] };
            let mode = match (self.shape.mode, random.below(3)) {
                (Some(Mode::Sync), _) | (None, 0) => SyncMode::Sync,
                (Some(Mode::Batch), _) | (None, 1) => batch(BATCH),
                (Some(Mode::None) | None, _) => SyncMode::None,
            };
            let op = match random.below(18) {
                0 => Op::Together(2 + u32::try_from(random.below(2)).unwrap_or(0), len.min(1000)),
                1 => Op::Sync,
                2 => Op::Idle,
                3 | 4 => Op::Work,
                5 => Op::Checkpoint,
                6..=8 => {
                    ops.push(Op::Checkpoint);
                    Op::Truncate
                }
                _ => Op::Commit(mode, len),
            };
            ops.push(op);
        }
        if self.shape.ends == Ends::Close && life == 1 {
            ops.push(Op::Close);
        }
        ops
    }
}

/// SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, OOPSLA '14).
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((z ^ (z >> 31)) >> 33).unwrap_or(0) % n
    }
}

/// Runs shapes, seeds and models until one fails or all are done.
///
/// # Errors
/// The first failure, with the run that found it.
pub fn explore_all(
    shapes: &[Shape],
    seeds: std::ops::Range<u64>,
    models: &[Model],
    depth: Depth,
    sabotage: Option<Sabotage>,
    tally: &Tally,
) -> Result<Report, (Run, Box<Failure>)> {
    let mut all = Report::default();
    for seed in seeds {
        for &shape in shapes {
            for &model in models {
                let run = Run { shape, seed, model, depth, sabotage };
                let mut report = run.explore(tally);
                if let Some(failure) = report.failure.take() {
                    return Err((run, Box::new(failure)));
                }
                all.merge(report);
            }
        }
    }
    Ok(all)
}
