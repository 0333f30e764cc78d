//! Runs a check on crash state after crash state, in an order that finds losses early.
//!
//! First depth-first search, for as long as it takes to exhaust a small cut. A larger one is
//! looked at by *policies*, which answer every question alike but for one effect or one torn
//! block; then by chance; then depth-first search goes on until the budget is used up.
//!
//! Invariant: a report never says more than was done: what was not exhausted is `stopped`, and
//! its number of states is a lower bound.

use std::error::Error;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};

use super::chooser::{Answer, Chooser, Ends, Newest, Oldest, Question, Recorder, Seeded, TearOne};
use super::crash::{Crash, Cut, Where};
use super::crash_fs::CrashFs;
use super::effects::{EffectId, Kind};
use super::shrink;
use super::story::Story;
use super::tally::Tally;

/// What a check says of a crash state. A panic counts as an error.
pub type Verdict = Result<(), Box<dyn Error + Send + Sync>>;

/// Depth-first search tries to exhaust a cut within this many states before policies are tried.
const PROBE: u32 = 64;

/// How much to look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// States to look at in one cut, at most.
    pub per_cut: u32,
    /// States to look at in all cuts of one exploration, at most. Each cut gets its share.
    pub per_run: u32,
    /// What chance is drawn from.
    pub seed: u64,
}

impl Default for Budget {
    fn default() -> Self {
        Self { per_cut: 1000, per_run: 100_000, seed: 0 }
    }
}

impl Budget {
    /// At most so many states of each cut.
    #[must_use]
    pub fn per_cut(states: u32) -> Self {
        Self { per_cut: states, ..Self::default() }
    }

    /// The same, from another seed.
    #[must_use]
    pub const fn seeded(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }
}

/// What was looked at.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// How many cuts there are.
    pub cuts: u32,
    /// Of how many at least one state was looked at.
    pub explored: u32,
    /// Of how many every state was looked at that the check could tell apart.
    pub exhausted: u32,
    /// How many different states were looked at that the tally had not met before.
    pub states: u64,
    /// How often the check was run.
    pub recoveries: u64,
    /// The first state that failed, if one did: then the exploration ended there.
    pub failure: Option<Failure>,
}

impl Report {
    /// Whether every state of every cut was looked at.
    #[must_use]
    pub fn is_exhausted(&self) -> bool {
        self.exhausted == self.cuts
    }

    /// Adds another report, as of one exploration.
    pub fn merge(&mut self, other: Self) {
        self.cuts += other.cuts;
        self.explored += other.explored;
        self.exhausted += other.exhausted;
        self.states += other.states;
        self.recoveries += other.recoveries;
        self.failure = self.failure.take().or(other.failure);
    }

    /// The report, unless a state failed.
    ///
    /// # Errors
    /// The failure.
    pub fn into_result(self) -> Result<Self, Failure> {
        match self.failure {
            Some(failure) => Err(failure),
            None => Ok(self),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cuts, explored, exhausted, states, .. } = self;
        write!(f, "explored {explored} of {cuts} cuts, {states} states, ")?;
        if self.is_exhausted() {
            f.write_str("exhausted")
        } else {
            write!(f, "stopped ({exhausted} cuts exhausted)")
        }
    }
}

/// A crash state that failed its check.
#[derive(Clone)]
pub struct Failure {
    /// What was lost and what was kept, made as small as it would go.
    pub story: Box<Story>,
    /// What the check said of that.
    pub why: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.story, self.why)
    }
}

// The same words, so that a test that unwraps a report prints the story.
impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Error for Failure {}

impl Crash {
    /// Runs a check on the states of all cuts, until the budget is used up or a state fails.
    ///
    /// The check may do with the state what it likes: recover, go on working, and explore the
    /// cuts of that further life, with the same tally.
    pub fn explore(
        &self,
        places: Where,
        budget: Budget,
        tally: &Tally,
        check: &mut dyn FnMut(&CrashFs) -> Verdict,
    ) -> Report {
        let places = self.places(places);
        let cuts = u32::try_from(places.len()).unwrap_or(u32::MAX);
        let mut report = Report { cuts, ..Report::default() };
        let mut left = budget.per_run;
        for (done, at) in (0..).zip(places) {
            let share = (left / (cuts - done)).clamp(1, budget.per_cut);
            if left == 0 || report.failure.is_some() {
                break;
            }
            let one = self.at(at).explore(Budget { per_cut: share, ..budget }, tally, check);
            left = left.saturating_sub(u32::try_from(one.recoveries).unwrap_or(u32::MAX));
            report.merge(Report { cuts: 0, ..one });
        }
        report
    }
}

impl Cut<'_> {
    /// Runs a check on the states of this cut: see [`Crash::explore`].
    pub fn explore(
        &self,
        budget: Budget,
        tally: &Tally,
        check: &mut dyn FnMut(&CrashFs) -> Verdict,
    ) -> Report {
        if let Some(origin) = &self.crash.origin {
            tally.count_ahead(origin);
        }
        let report = Report { cuts: 1, explored: 1, ..Report::default() };
        let mut search = Search { cut: self, tally, check, left: budget.per_cut, report };
        // The search says how it ended in its report.
        match search.all(budget) {
            Ok(Ended::Exhausted) => search.report.exhausted = 1,
            Ok(Ended::Stopped) | Err(Stop) => {}
        }
        search.report
    }
}

/// How a search ended that found nothing wrong.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ended {
    Exhausted,
    Stopped,
}

/// A state failed, or the budget is used up.
struct Stop;

struct Search<'a> {
    cut: &'a Cut<'a>,
    tally: &'a Tally,
    check: &'a mut dyn FnMut(&CrashFs) -> Verdict,
    left: u32,
    report: Report,
}

impl Search<'_> {
    fn all(&mut self, budget: Budget) -> Result<Ended, Stop> {
        let mut prefix = Vec::new();
        if self.depth_first(&mut prefix, PROBE.min(self.left))? == Ended::Exhausted {
            return Ok(Ended::Exhausted);
        }
        let share = self.left / 4;
        self.policies(share)?;
        for draw in 0..u64::from(share) {
            let seed = super::digest::mix2(budget.seed, draw);
            self.run(&[], &[], Vec::new(), Box::new(Seeded::new(seed)))?;
        }
        self.depth_first(&mut prefix, self.left)
    }

    /// Looks at one state.
    fn run(
        &mut self,
        kept: &[EffectId],
        lost: &[EffectId],
        prefix: Vec<u32>,
        rest: Box<dyn Chooser>,
    ) -> Result<Vec<Answer>, Stop> {
        if self.left == 0 {
            return Err(Stop);
        }
        self.left -= 1;
        let recorder = Arc::new(Mutex::new(Recorder::new(prefix, rest)));
        let fs = self.cut.state_with(kept, lost, recorder);
        let verdict = judge(self.check, &fs);
        self.report.recoveries += 1;
        self.report.states += u64::from(self.tally.count(&fs));
        if let Err(why) = verdict {
            self.report.failure = Some(shrink::shrink(self.cut, &fs, why, self.check));
            return Err(Stop);
        }
        Ok(fs.answers())
    }

    /// The states in the order of their answers, from one on; leaves the next one's there.
    fn depth_first(&mut self, prefix: &mut Vec<u32>, limit: u32) -> Result<Ended, Stop> {
        for _ in 0..limit {
            let mut answers = self.run(&[], &[], prefix.clone(), Box::new(Oldest))?;
            while answers.last().is_some_and(|answer| answer.picked + 1 >= answer.of) {
                answers.pop();
            }
            let Some(last) = answers.last_mut() else {
                return Ok(Ended::Exhausted);
            };
            last.picked += 1;
            *prefix = answers.iter().map(|answer| answer.picked).collect();
        }
        Ok(Ended::Stopped)
    }

    /// All alike but for something.
    fn policies(&mut self, limit: u32) -> Result<(), Stop> {
        let stop_at = self.left.saturating_sub(limit);
        let mut answers = self.run(&[], &[], Vec::new(), Box::new(Newest))?;
        answers.extend(self.run(&[], &[], Vec::new(), Box::new(Oldest))?);
        for (newest_names, content) in [(true, 0), (true, 1), (false, u32::MAX)] {
            self.run(&[], &[], Vec::new(), Box::new(Ends { newest_names, content }))?;
        }
        let effects = self.asked(&answers);
        let torn = answers.iter().filter(|it| matches!(it.question, Question::Torn { .. })).count();
        let torn = u32::try_from(torn).unwrap_or(u32::MAX);
        // What is most likely to be seen comes last: what was done last.
        for effect in effects.iter().rev() {
            self.run(&[], &[*effect], Vec::new(), Box::new(Newest))?;
            self.run(&[*effect], &[], Vec::new(), Box::new(Oldest))?;
            if self.left <= stop_at {
                return Ok(());
            }
        }
        for (nth, newest) in (0..torn).flat_map(|nth| [1, 0x0F, 0xF0, 0xFE].map(|it| (nth, it))) {
            self.run(&[], &[], Vec::new(), Box::new(TearOne::new(nth, newest, Newest)))?;
            if self.left <= stop_at {
                return Ok(());
            }
        }
        for (at, first) in effects.iter().enumerate().rev() {
            for second in effects[..at].iter().rev() {
                self.run(&[], &[*first, *second], Vec::new(), Box::new(Newest))?;
                if self.left <= stop_at {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// The open effects of places that were asked for.
    fn asked(&self, answers: &[Answer]) -> Vec<EffectId> {
        let asked = |effect: &EffectId| match self.cut.crash.effects.list[*effect as usize].kind {
            Kind::Name => true,
            Kind::Len { ino, .. } | Kind::SetLen { ino, .. } => {
                answers.iter().any(|it| it.question == Question::Len { ino })
            }
            Kind::Data { ino, block } => answers.iter().any(|it| {
                it.question == Question::Block { ino, block }
                    || it.question == Question::Torn { ino, block }
            }),
        };
        self.cut.open().filter(asked).collect()
    }
}

/// Runs a check; a panic is an error like any other.
pub(super) fn judge(
    check: &mut dyn FnMut(&CrashFs) -> Verdict,
    fs: &CrashFs,
) -> Result<(), String> {
    match catch_unwind(AssertUnwindSafe(|| check(fs))) {
        Ok(verdict) => verdict.map_err(|error| chain(&*error)),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
            Err(format!("the check panicked: {}", text.as_deref().unwrap_or("without a word")))
        }
    }
}

/// An error with its causes.
fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests;
