//! The search for a loss, and for a state without one.
//!
//! Both are questions of the kind *is there a state*, and between two promises of durability the
//! states only grow; so they are asked at the largest cuts alone, and of those at the ones where
//! the answer may be another than at the one before.
//!
//! Invariant: whatever a search gives as found was found in a state that the model allows; whatever
//! it excludes it has looked for in every state, or in every one that could differ.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use super::look::{Miss, look};
use super::since::{Subject, Who, harm, largest_cuts, never_was, touch};
use super::{Claim, Fatal, Held, Judgement, Lost, Moments, Spoken};
use crate::ops::chooser::{Chooser, Newest, Oldest, Recorder};
use crate::ops::crash::{Crash, Cut};
use crate::ops::crash_fs::CrashFs;
use crate::ops::effects::EffectId;
use crate::ops::history::{At, History, Ino};
use crate::ops::shrink::{self, Smallest};
use crate::ops::story::Story;
use crate::ops::tally::Tally;

/// The most states that one search looks at in one cut.
const STATES: u32 = 2000;

/// So many of the lost, torn and kept are named.
const NAMED: usize = 3;

/// Judges the claims of one history under one model.
pub(super) struct Judge<'a> {
    crash: &'a Crash,
    how: Fatal,
    moments: Moments,
    cuts: Vec<At>,
    /// Files that were found to be lost at no cut after an earlier claim.
    safe: BTreeSet<(PathBuf, Held)>,
    /// Who may stand at a path, of the paths that were asked for.
    who: BTreeMap<(PathBuf, Option<Ino>), Who>,
    /// The different states that were looked at for the claim at hand.
    tally: Tally,
    /// The smallest loss that was found last, of which file and at which cut.
    last: Option<(At, PathBuf, Smallest)>,
}

/// What a search ended with.
enum Ended {
    Found(Box<CrashFs>),
    /// There is none.
    None,
    /// Some states were not looked at.
    Stopped,
}

/// A loss, and the cut at which it was found.
struct Loss<'a> {
    file: &'a Spoken,
    at: At,
    fs: Box<CrashFs>,
    miss: Miss,
}

/// What a search over all cuts found.
struct Over<T> {
    found: Option<T>,
    /// Whether, if nothing was found, there is nothing.
    exact: bool,
}

impl<'a> Judge<'a> {
    pub(super) fn new(crash: &'a Crash, how: Fatal, moments: Moments) -> Self {
        let cuts = largest_cuts(crash.history());
        let (safe, who, tally) = (BTreeSet::new(), BTreeMap::new(), Tally::new());
        Self { crash, how, moments, cuts, safe, who, tally, last: None }
    }

    pub(super) fn all(&mut self, claims: &[Claim]) -> Vec<Judgement> {
        let judged = |claim: &Claim| match self.moments {
            Moments::All | Moments::Same => true,
            Moments::At(at) => claim.at < at,
        };
        let judged: Vec<_> = claims.iter().enumerate().filter(|(_, it)| judged(it)).collect();
        judged.into_iter().map(|(number, claim)| self.one(number, claim)).collect()
    }

    fn one(&mut self, number: usize, claim: &Claim) -> Judgement {
        self.tally = Tally::new();
        for file in &claim.files {
            let key = (file.path.clone(), file.ino);
            self.who.entry(key).or_insert_with(|| Who::of(self.crash.history(), file));
        }
        let loss = self.loss(claim);
        let holds = self.holds(claim);
        let lost = match (&loss.found, holds.found) {
            (None, _) if loss.exact => Lost::Never,
            (Some(_), None) if holds.exact => Lost::Always,
            _ => Lost::Sometimes,
        };
        let exact = lost != Lost::Sometimes || (loss.found.is_some() && holds.found.is_some());
        let story = match &loss.found {
            _ if lost == Lost::Never => String::new(),
            Some(loss) => self.story(loss),
            None => "no loss was found, but not all states could be looked at".to_owned(),
        };
        Judgement {
            claim: number,
            model: self.crash.model().name,
            lost,
            states: self.tally.states().max(1),
            exact,
            story,
            file: loss.found.map(|loss| loss.file.path.clone()),
        }
    }

    fn history(&self) -> &'a History {
        self.crash.history()
    }

    fn subject<'s>(&'s self, file: &'s Spoken) -> Subject<'s> {
        let who = self.who.get(&(file.path.clone(), file.ino));
        Subject { file, who: who.unwrap_or(&Who::Anyone) }
    }

    /// The places to die at after a claim.
    fn places(&self, claim: &Claim) -> Vec<At> {
        match self.moments {
            Moments::At(at) => return vec![at],
            Moments::Same => return vec![claim.at.next()],
            Moments::All => {}
        }
        if self.how != Fatal::Kill {
            return self.cuts.iter().copied().filter(|at| *at > claim.at).collect();
        }
        // A page cache changes by calls alone.
        let mut places = vec![claim.at.next()];
        for call in &self.history().calls {
            places.extend((call.called > claim.at).then(|| call.called.next()));
        }
        places
    }

    /// Looks for a state in which a file of a claim is lost.
    fn loss<'c>(&mut self, claim: &'c Claim) -> Over<Loss<'c>> {
        let places = self.places(claim);
        let mut exact = true;
        for file in &claim.files {
            let key = (file.path.clone(), file.held.clone());
            if self.safe.contains(&key) {
                continue;
            }
            let over = self.file_loss(file, &places);
            if over.found.is_some() {
                return over;
            }
            exact &= over.exact;
            if over.exact && self.moments == Moments::All {
                self.safe.insert(key);
            }
        }
        Over { found: None, exact }
    }

    fn file_loss<'c>(&self, file: &'c Spoken, places: &[At]) -> Over<Loss<'c>> {
        let mut exact = true;
        let mut next = 0;
        while let Some(at) = places.get(next).copied() {
            next += 1;
            let cut = self.crash.at(at);
            match self.search(&cut, &mut |fs| look(&mut fs.lock(), file, None).is_err()) {
                Ended::Found(fs) => {
                    if let Err(miss) = look(&mut fs.lock(), file, None) {
                        let fs = fs.clone();
                        return Over { found: Some(Loss { file, at, fs, miss }), exact: true };
                    }
                }
                // Certain, and so it stays until something takes it away.
                Ended::None => match harm(self.history(), self.subject(file), at) {
                    None => break,
                    Some(harm) => next = next.max(places.partition_point(|at| *at <= harm)),
                },
                Ended::Stopped => exact = false,
            }
        }
        Over { found: None, exact }
    }

    /// Looks for a state in which no file of a claim is lost.
    fn holds(&self, claim: &Claim) -> Over<()> {
        let places = self.places(claim);
        let whole =
            |fs: &CrashFs| claim.files.iter().all(|file| look(&mut fs.lock(), file, None).is_ok());
        // All that the page cache shows when it is said may be on the media in the same moment.
        let first = match self.moments {
            Moments::All | Moments::Same => claim.at.next(),
            Moments::At(at) => at,
        };
        let newest = self.crash.at(first).state(Box::new(Newest));
        let found = whole(&newest);
        self.tally.count(&newest);
        if found {
            return Over { found: Some(()), exact: true };
        }
        if claim.files.iter().any(|file| never_was(self.history(), self.subject(file))) {
            return Over { found: None, exact: true };
        }
        let mut exact = true;
        let mut next = 0;
        while let Some(at) = places.get(next).copied() {
            next += 1;
            let cut = self.crash.at(at);
            let ended = self.search(&cut, &mut |fs| whole(fs));
            let gone = match ended {
                Ended::Found(_) => return Over { found: Some(()), exact: true },
                Ended::None => true,
                Ended::Stopped => claim.files.iter().any(|file| self.is_gone(&cut, file)),
            };
            exact &= gone;
            if gone {
                let touches =
                    |file| touch(self.history(), self.crash.model(), self.subject(file), at);
                match claim.files.iter().filter_map(touches).min() {
                    None => break,
                    Some(touch) => next = next.max(places.partition_point(|at| *at <= touch)),
                }
            }
        }
        Over { found: None, exact }
    }

    /// Whether a file is lost in every state of a cut.
    fn is_gone(&self, cut: &Cut<'_>, file: &Spoken) -> bool {
        let whole = |fs: &CrashFs| look(&mut fs.lock(), file, None).is_ok();
        matches!(self.search(cut, &mut |fs| whole(fs)), Ended::None)
    }

    /// Looks at one state after the other until one is wanted: the newest first, then by depth.
    fn search(&self, cut: &Cut<'_>, wanted: &mut dyn FnMut(&CrashFs) -> bool) -> Ended {
        let mut look_at = |prefix: Vec<u32>, rest: Box<dyn Chooser>| {
            let recorder = Arc::new(Mutex::new(Recorder::new(prefix, rest)));
            let fs = cut.state_with(&[], &[], recorder);
            let found = wanted(&fs);
            self.tally.count(&fs);
            (fs, found)
        };
        let (newest, found) = look_at(Vec::new(), Box::new(Newest));
        if found {
            return Ended::Found(Box::new(newest));
        }
        if self.how == Fatal::Kill || newest.answers().is_empty() {
            return Ended::None; // There is no other.
        }
        let mut prefix = Vec::new();
        for _ in 0..STATES {
            let (fs, found) = look_at(prefix, Box::new(Oldest));
            if found {
                return Ended::Found(Box::new(fs));
            }
            let mut answers = fs.answers();
            while answers.last().is_some_and(|answer| answer.picked + 1 >= answer.of) {
                answers.pop();
            }
            let Some(last) = answers.last_mut() else { return Ended::None };
            last.picked += 1;
            prefix = answers.iter().map(|answer| answer.picked).collect();
        }
        Ended::Stopped
    }

    /// A loss in words, with as little lost as there can be.
    fn story(&mut self, loss: &Loss<'_>) -> String {
        let (cut, file) = (self.crash.at(loss.at), loss.file);
        // A claim judged at its own moment alone is asked for its rung, not for a story.
        if self.how == Fatal::Kill || self.moments == Moments::Same {
            let story = Story::new(&cut, &[], &[], &[]);
            return sentence(&loss.miss.told(file), file, &story, self.how);
        }
        let small = self.small(&cut, loss);
        let story = Story::new(&cut, &small.lost, &small.kept, &small.torn);
        let told = sentence(&small.why, file, &story, self.how);
        self.last = Some((loss.at, file.path.clone(), small));
        told
    }

    /// The smallest loss: the one before, where that takes this claim too, or one searched for.
    fn small(&mut self, cut: &Cut<'_>, loss: &Loss<'_>) -> Smallest {
        let file = loss.file;
        let last = self.last.take().filter(|(at, path, small)| {
            let one = small.lost.len() == 1 && small.kept.len() <= 1 && small.torn.is_empty();
            (*at, path) == (loss.at, &file.path) && one
        });
        if let Some((.., last)) = last {
            // Nothing is smaller than one lost effect.
            let state = |kept: &[EffectId], rest: Box<dyn Chooser>| {
                let recorder = Arc::new(Mutex::new(Recorder::new(Vec::new(), rest)));
                cut.state_with(kept, &last.lost, recorder)
            };
            let (most, least) = (state(&[], Box::new(Newest)), state(&last.kept, Box::new(Oldest)));
            let miss = |fs: &CrashFs| look(&mut fs.lock(), file, None).err();
            if let (Some(miss), Some(_)) = (miss(&most), miss(&least)) {
                return Smallest { why: miss.told(file), ..last };
            }
        }
        let only = loss.miss.sector();
        let mut check = |fs: &CrashFs| match look(&mut fs.lock(), file, only) {
            Ok(()) => Ok(()),
            Err(miss) => Err(miss.told(file).into()),
        };
        shrink::smallest(cut, &loss.fs, loss.miss.told(file), &mut check)
    }
}

/// Why a file is not what it was though nothing was lost of what the kernel was given.
fn why(file: &Spoken) -> String {
    match file.buffered {
        0 => "the program itself changed it since".to_owned(),
        1 => "1 byte of it was still in the program's own buffer".to_owned(),
        n => format!("{n} bytes of it were still in the program's own buffer"),
    }
}

/// What differs, what of the disk's was lost for it, and when.
fn sentence(told: &str, file: &Spoken, story: &Story, how: Fatal) -> String {
    let list = |word: &str, things: &[String]| {
        let names: Vec<String> = things.iter().take(NAMED).map(|it| format!("`{it}`")).collect();
        let more = things.len().saturating_sub(names.len());
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        (!names.is_empty()).then(|| format!("{word}{}{more}", names.join(", ")))
    };
    let parts = if story.lost.is_empty() && story.torn.is_empty() {
        let by = list("by ", &story.kept).filter(|_| file.buffered == 0);
        vec![Some(why(file)), by]
    } else {
        let all = [("lost ", &story.lost), ("tore ", &story.torn), ("kept ", &story.kept)];
        all.map(|(word, things)| list(word, things)).to_vec()
    };
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    let death = match how {
        Fatal::Kill => "killed",
        Fatal::Crash => "crash",
        Fatal::Cut => "cut",
    };
    format!("{told}: {} ({death} {})", parts.join(", "), story.place)
}
