//! Runs a check on crash state after crash state, in an order that finds losses early.
//!
//! First the newest state. By its questions the number of states is judged, and depth-first search
//! exhausts a small cut. A larger one is looked at by *policies*, which answer every question alike
//! but for one effect, one torn block or two effects; then by chance; then by depth-first search
//! until the budget is used up.
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
use super::digest::mix2;
use super::effects::{EffectId, Kind};
use super::model::Names;
use super::shrink;
use super::story::Story;
use super::tally::Tally;

/// What a check says of a crash state. A panic counts as an error, where panics unwind.
pub type Verdict = Result<(), Box<dyn Error + Send + Sync>>;

/// From so many states on, some of what is left of a budget goes to depth-first search.
const CLOSE: u32 = 64;

/// No more policies than this are made for one cut.
const MOST_PLANS: usize = 10_000;

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
        let newest = self.run(Try::default())?;
        let guess = self.guess(&newest);
        let mut prefix = Vec::new();
        if guess <= self.left {
            let limit = self.left.min(guess.saturating_mul(2).saturating_add(16));
            if self.depth_first(&mut prefix, limit)? == Ended::Exhausted {
                return Ok(Ended::Exhausted);
            }
        }
        let seed = mix2(budget.seed, u64::from(self.cut.place().0));
        self.policies(newest, self.left / 2, seed)?;
        // Chance spreads wide, depth-first search looks closely at little: a small budget is
        // better spent on the first.
        let by_chance = if self.left < CLOSE { self.left } else { self.left / 2 };
        for draw in 0..u64::from(by_chance) {
            self.run(Try::with(Seeded::new(mix2(seed, draw))))?;
        }
        self.depth_first(&mut prefix, self.left)
    }

    /// How many states the cut has, judged by the questions on the way to one of them.
    fn guess(&self, answers: &[Answer]) -> u32 {
        let ways = |answer: &Answer| match answer.question {
            // A torn block has more shapes than a whole one; how many is not seen from here.
            Question::Torn { .. } => 3,
            _ => answer.of,
        };
        let guess = answers.iter().map(ways).fold(1, u32::saturating_mul);
        if self.cut.crash.model().names == Names::Everything {
            // One chain: so many states as it has links, and one.
            let links = u32::try_from(self.cut.open_effects()).unwrap_or(u32::MAX);
            return guess.min(links.saturating_add(1));
        }
        guess
    }

    /// Looks at one state.
    fn run(&mut self, what: Try) -> Result<Vec<Answer>, Stop> {
        if self.left == 0 {
            return Err(Stop);
        }
        self.left -= 1;
        let recorder = Arc::new(Mutex::new(Recorder::new(what.prefix, what.rest)));
        let fs = self.cut.state_with(&what.kept, &what.lost, recorder);
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
            let what = Try { prefix: prefix.clone(), ..Try::with(Oldest) };
            let mut answers = self.run(what)?;
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

    /// All alike but for something: one effect, one torn block, two effects, in turn.
    fn policies(&mut self, mut answers: Vec<Answer>, limit: u32, seed: u64) -> Result<(), Stop> {
        let stop_at = self.left.saturating_sub(limit);
        answers.extend(self.run(Try::with(Oldest))?);
        let mut tries = self.plans(&answers, seed).into_iter();
        while self.left > stop_at {
            let Some(next) = tries.next() else { break };
            self.run(next)?;
        }
        Ok(())
    }

    fn plans(&self, answers: &[Answer], seed: u64) -> Vec<Try> {
        let mut plans = Vec::new();
        let names =
            |it: &Answer| matches!(it.question, Question::Name { .. } | Question::Len { .. });
        if answers.iter().any(names) {
            for (newest_names, content) in [(true, 0), (true, 1), (false, u32::MAX)] {
                plans.push(Try::with(Ends { newest_names, content }));
            }
        }
        // What was done last first, the others in an order by chance.
        let mut effects = self.asked(answers);
        let last = effects.pop();
        effects.sort_by_key(|effect| mix2(seed, u64::from(*effect)));
        effects.splice(0..0, last);
        let torn = answers.iter().filter(|it| matches!(it.question, Question::Torn { .. })).count();
        let torn = u32::try_from(torn).unwrap_or(u32::MAX);
        let tears = (0..torn).rev().flat_map(|nth| [1, 0x0F, 0xF0, 0xFE].map(|it| (nth, it)));
        let mut tears = tears.map(|(nth, newest)| Try::with(TearOne::new(nth, newest, Newest)));
        let mut pairs = (0..effects.len()).flat_map(|at| (0..at).map(move |before| (before, at)));
        let mut singles = effects.iter();
        loop {
            let before = plans.len();
            if let Some(effect) = singles.next() {
                plans.push(Try { lost: vec![*effect], ..Try::default() });
                plans.push(Try { kept: vec![*effect], ..Try::with(Oldest) });
            }
            plans.extend(tears.next());
            if let Some((one, other)) = pairs.next() {
                plans.push(Try { lost: vec![effects[one], effects[other]], ..Try::default() });
            }
            if plans.len() == before || plans.len() > MOST_PLANS {
                return plans;
            }
        }
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

/// One state to look at: some effects kept, some lost, the first answers, and who gives the rest.
struct Try {
    kept: Vec<EffectId>,
    lost: Vec<EffectId>,
    prefix: Vec<u32>,
    rest: Box<dyn Chooser>,
}

impl Try {
    fn with(rest: impl Chooser + 'static) -> Self {
        let (kept, lost, prefix) = (Vec::new(), Vec::new(), Vec::new());
        Self { kept, lost, prefix, rest: Box::new(rest) }
    }
}

impl Default for Try {
    /// The newest of everything.
    fn default() -> Self {
        Self::with(Newest)
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
