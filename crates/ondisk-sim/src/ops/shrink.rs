//! Makes a failing crash state small: as much kept as can be, then as little of that named as
//! matters.
//!
//! Invariant: what comes out fails the same check; where no smaller state does, it is the state
//! that was found.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use super::chooser::{Answer, Chooser, Newest, Oldest, Question, Recorder};
use super::crash::Cut;
use super::crash_fs::CrashFs;
use super::effects::{EffectId, State};
use super::explore::{Failure, Verdict, judge};
use super::history::Ino;
use super::media::torn::SECTORS;
use super::story::{Story, Torn};

/// How often the check may run again.
const RUNS: u32 = 400;

/// Tears just these blocks, in the way in which they were torn, and leaves the rest to another.
struct TearThese {
    torn: BTreeMap<(Ino, u32), Picks>,
    rest: Box<dyn Chooser>,
}

/// What was answered for each sector of a torn block.
type Picks = [u32; SECTORS];

impl Chooser for TearThese {
    fn pick(&mut self, question: Question, answers: u32) -> u32 {
        match question {
            Question::Torn { ino, block } => u32::from(self.torn.contains_key(&(ino, block))),
            Question::Sector { ino, block, sector } => self
                .torn
                .get(&(ino, block))
                .map_or(0, |sectors| sectors[usize::from(sector) % SECTORS]),
            _ => self.rest.pick(question, answers),
        }
    }
}

struct Shrink<'a> {
    cut: &'a Cut<'a>,
    check: &'a mut dyn FnMut(&CrashFs) -> Verdict,
    left: u32,
    /// Of the last state that failed.
    why: String,
    torn: Vec<Torn>,
}

/// What a state is made of.
#[derive(Clone)]
struct Parts {
    lost: Vec<EffectId>,
    kept: Vec<EffectId>,
    torn: Vec<((Ino, u32), Picks)>,
    rest: Rest,
}

/// What becomes of all that is not named.
#[derive(Clone, Copy)]
enum Rest {
    Kept,
    Lost,
}

/// A state that fails, as far as it matters.
pub(super) struct Smallest {
    pub(super) lost: Vec<EffectId>,
    pub(super) kept: Vec<EffectId>,
    pub(super) torn: Vec<Torn>,
    /// What the check said of it.
    pub(super) why: String,
}

/// The smallest failure that can be made of a state that failed, as a story.
pub(super) fn shrink(
    cut: &Cut<'_>,
    fs: &CrashFs,
    why: String,
    check: &mut dyn FnMut(&CrashFs) -> Verdict,
) -> Failure {
    let Smallest { lost, kept, torn, why } = smallest(cut, fs, why, check);
    Failure { story: Box::new(Story::new(cut, &lost, &kept, &torn)), why }
}

/// The smallest failure that can be made of a state that failed.
pub(super) fn smallest(
    cut: &Cut<'_>,
    fs: &CrashFs,
    why: String,
    check: &mut dyn FnMut(&CrashFs) -> Verdict,
) -> Smallest {
    let found = parts(cut, fs);
    let mut shrink = Shrink { cut, check, left: RUNS, why, torn: torn(fs) };
    let mut best = Parts { kept: Vec::new(), rest: Rest::Kept, ..found.clone() };
    if !shrink.fails(&best) {
        let Parts { lost, kept, .. } = found;
        return Smallest { lost, kept, torn: shrink.torn, why: shrink.why };
    }
    shrink.fewer(&mut best, |parts| &mut parts.torn);
    shrink.fewer(&mut best, |parts| &mut parts.lost);
    let torn = std::mem::take(&mut shrink.torn);
    // Of what is kept, that which matters: the rest may be lost too.
    let kept = cut.open().filter(|effect| !best.lost.contains(effect)).collect();
    let mut least = Parts { kept, rest: Rest::Lost, ..best.clone() };
    let mut kept = Vec::new();
    if shrink.fails(&least) {
        shrink.fewer(&mut least, |parts| &mut parts.kept);
        kept = least.kept;
    }
    Smallest { lost: best.lost, kept, torn, why: shrink.why }
}

/// What became of the open effects in a state, as far as it was read.
fn parts(cut: &Cut<'_>, fs: &CrashFs) -> Parts {
    let live = fs.lock();
    let states = live.media().strata.last().map_or(&[][..], |top| &top.states);
    let among = |wanted: State| {
        let is = |effect: &EffectId| states.get(*effect as usize) == Some(&wanted);
        cut.open().filter(is).collect()
    };
    let (lost, kept) = (among(State::Out), among(State::In));
    drop(live);
    Parts { lost, kept, torn: picks(&fs.answers()), rest: Rest::Kept }
}

/// What was answered for torn blocks.
fn picks(answers: &[Answer]) -> Vec<((Ino, u32), Picks)> {
    let mut all: Vec<((Ino, u32), Picks)> = Vec::new();
    for answer in answers {
        match answer.question {
            Question::Torn { ino, block } if answer.picked == 1 => {
                all.push(((ino, block), [0; SECTORS]));
            }
            Question::Sector { ino, block, sector } => {
                let its = all.iter_mut().find(|(torn, _)| *torn == (ino, block));
                if let Some((_, picks)) = its {
                    picks[usize::from(sector) % SECTORS] = answer.picked;
                }
            }
            _ => {}
        }
    }
    all
}

/// The blocks that are torn in a state.
fn torn(fs: &CrashFs) -> Vec<Torn> {
    let live = fs.lock();
    let torn = live.media().strata.last().map(|top| &top.torn);
    let torn = torn.into_iter().flatten();
    torn.map(|((ino, block), sectors)| Torn { ino: *ino, block: *block, sectors: *sectors })
        .collect()
}

impl Shrink<'_> {
    /// Whether a state fails; keeps what the check said then.
    fn fails(&mut self, parts: &Parts) -> bool {
        if self.left == 0 {
            return false;
        }
        self.left -= 1;
        let rest: Box<dyn Chooser> = match parts.rest {
            Rest::Kept => Box::new(Newest),
            Rest::Lost => Box::new(Oldest),
        };
        let tears = parts.torn.iter().copied().collect();
        let chooser = Box::new(TearThese { torn: tears, rest });
        let recorder = Arc::new(Mutex::new(Recorder::new(Vec::new(), chooser)));
        let fs = self.cut.state_with(&parts.kept, &parts.lost, recorder);
        match judge(self.check, &fs) {
            Ok(()) => false,
            Err(why) => {
                self.why = why;
                self.torn = torn(&fs);
                true
            }
        }
    }

    /// Takes away what the failure does not need, in halves, quarters and so on.
    fn fewer<T: Clone>(&mut self, parts: &mut Parts, list: impl Fn(&mut Parts) -> &mut Vec<T>) {
        let mut size = list(parts).len();
        while size > 0 {
            let mut at = 0;
            while at < list(parts).len() {
                let mut without = parts.clone();
                let end = (at + size).min(list(parts).len());
                list(&mut without).drain(at..end);
                if self.fails(&without) {
                    *parts = without;
                } else {
                    at += size;
                }
            }
            size /= 2;
        }
    }
}
