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
use super::story::{Story, Torn};

/// How often the check may run again.
const RUNS: u32 = 400;

/// Tears just these blocks, and leaves the rest to another.
struct TearThese {
    torn: BTreeMap<(Ino, u32), [u32; 8]>,
    rest: Box<dyn Chooser>,
}

impl Chooser for TearThese {
    fn pick(&mut self, question: Question, answers: u32) -> u32 {
        match question {
            Question::Torn { ino, block } => u32::from(self.torn.contains_key(&(ino, block))),
            Question::Sector { ino, block, sector } => {
                self.torn.get(&(ino, block)).map_or(0, |sectors| sectors[usize::from(sector) % 8])
            }
            _ => self.rest.pick(question, answers),
        }
    }
}

struct Shrink<'a> {
    cut: &'a Cut<'a>,
    check: &'a mut dyn FnMut(&CrashFs) -> Verdict,
    left: u32,
    why: String,
}

/// What a state is made of.
#[derive(Clone)]
struct Parts {
    lost: Vec<EffectId>,
    kept: Vec<EffectId>,
    torn: Vec<Torn>,
    rest: Rest,
}

/// What becomes of all that is not named.
#[derive(Clone, Copy)]
enum Rest {
    Kept,
    Lost,
}

/// The smallest failure that can be made of a state that failed.
pub(super) fn shrink(
    cut: &Cut<'_>,
    fs: &CrashFs,
    why: String,
    check: &mut dyn FnMut(&CrashFs) -> Verdict,
) -> Failure {
    let found = parts(cut, fs);
    let mut shrink = Shrink { cut, check, left: RUNS, why };
    let mut best = Parts { kept: Vec::new(), rest: Rest::Kept, ..found.clone() };
    if !shrink.fails(&best) {
        let story = Box::new(Story::new(cut, &found.lost, &found.kept, &found.torn));
        return Failure { story, why: shrink.why };
    }
    shrink.fewer(&mut best, |parts| &mut parts.torn);
    shrink.fewer(&mut best, |parts| &mut parts.lost);
    // Of what is kept, that which matters: the rest may be lost too.
    let kept = cut.open().filter(|effect| !best.lost.contains(effect)).collect();
    let mut least = Parts { kept, rest: Rest::Lost, ..best.clone() };
    let mut kept = Vec::new();
    if shrink.fails(&least) {
        shrink.fewer(&mut least, |parts| &mut parts.kept);
        kept = least.kept;
    }
    let story = Box::new(Story::new(cut, &best.lost, &kept, &best.torn));
    Failure { story, why: shrink.why }
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
    Parts { lost, kept, torn: torn(&fs.answers()), rest: Rest::Kept }
}

fn torn(answers: &[Answer]) -> Vec<Torn> {
    let mut all: Vec<Torn> = Vec::new();
    for answer in answers {
        match answer.question {
            Question::Torn { ino, block } if answer.picked == 1 => {
                all.push(Torn { ino, block, sectors: [0; 8] });
            }
            Question::Sector { ino, block, sector } => {
                let its = all.iter_mut().find(|torn| (torn.ino, torn.block) == (ino, block));
                if let Some(torn) = its {
                    torn.sectors[usize::from(sector) % 8] = answer.picked;
                }
            }
            _ => {}
        }
    }
    all
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
        let torn = parts.torn.iter().map(|torn| ((torn.ino, torn.block), torn.sectors)).collect();
        let chooser = Box::new(TearThese { torn, rest });
        let recorder = Arc::new(Mutex::new(Recorder::new(Vec::new(), chooser)));
        let fs = self.cut.state_with(&parts.kept, &parts.lost, recorder);
        match judge(self.check, &fs) {
            Ok(()) => false,
            Err(why) => {
                self.why = why;
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
