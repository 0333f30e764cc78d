//! What a model allows: questions about the states that a death may leave.
//!
//! Invariant: a state asks only for what a question looks at, and a question stops at the first thing
//! that is not there; so what no longer matters multiplies nothing. `exact` is said only where all
//! states were seen that the question can tell apart, or one of either kind.

use std::collections::BTreeSet;
use std::path::Path;

use ondisk_fs::{Access, FileSystem, Kind};
use ondisk_sim::machine::Death;
use ondisk_sim::ops::verdict::{Held, Lost, Spoken};
use ondisk_sim::{
    Chooser, Crash, CrashFs, Cut, History, Image, Model, Newest, Oldest, Seeded, StateId,
};

use crate::pictures::Pictures;
use crate::words::{self, sentence};

const SECTOR: usize = 512;

/// A model and the history that it is asked about, as a crash of the kernel and as a cut of the
/// power leave it: a drive that lies obeys in the one and not in the other.
#[derive(Debug)]
pub(crate) struct Models {
    pub(crate) name: &'static str,
    crashed: Option<Crash>,
    cut: Option<Crash>,
}

impl Models {
    pub(crate) fn new(model: &Model, history: &History, honest: bool) -> Self {
        let crash = |honest: bool| {
            let mut history = history.clone();
            // What was acknowledged is in the claims: no state needs to carry it along.
            history.acks.clear();
            for call in &mut history.calls {
                call.honest = honest;
            }
            Crash::new(model, history)
        };
        let cut = (!honest).then(|| crash(false));
        Self { name: model.name, crashed: Some(crash(true)), cut }
    }

    pub(crate) fn crash(&self, how: Death) -> Option<&Crash> {
        match how {
            Death::Cut => self.cut.as_ref().or(self.crashed.as_ref()),
            Death::Crash | Death::Kill => self.crashed.as_ref(),
        }
    }
}

/// What is to be there.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Want<'a> {
    /// These bytes of a file.
    Bytes { path: &'a Path, at: u64, bytes: &'a [u8] },
    /// Files as they were.
    Files(&'a [Spoken]),
}

impl Want<'_> {
    fn is_in(&self, fs: &CrashFs) -> bool {
        match self {
            Self::Bytes { path, at, bytes } => holds(fs, path, *at, bytes),
            Self::Files(all) => all.iter().all(|file| match &file.held {
                Held::Absent => fs.look(&file.path).is_none(),
                Held::Dir => fs.look(&file.path) == Some(Kind::Dir),
                Held::File(bytes) => holds(fs, &file.path, 0, bytes),
            }),
        }
    }
}

/// Whether a file has these bytes there; reads no farther than to the first that differs.
fn holds(fs: &CrashFs, path: &Path, at: u64, bytes: &[u8]) -> bool {
    if fs.look(path) != Some(Kind::File) {
        return false;
    }
    let Ok(file) = fs.open(path, Access::Read) else { return false };
    let mut buffer = [0; SECTOR];
    let mut at = at;
    let mut left = bytes;
    while !left.is_empty() {
        let to_end = SECTOR - usize::try_from(at % SECTOR as u64).unwrap_or(0);
        let (wanted, rest) = left.split_at(to_end.min(left.len()));
        let found = &mut buffer[..wanted.len()];
        if !matches!(file.read_at(found, at), Ok(read) if read == wanted.len()) || found != wanted {
            return false;
        }
        at += wanted.len() as u64;
        left = rest;
    }
    true
}

/// Whether a file is as it was wherever another is as that was.
fn follows(file: &Spoken, safe: &Spoken) -> bool {
    file.path == safe.path
        && match (&file.held, &safe.held) {
            (Held::File(bytes), Held::File(more)) => more.starts_with(bytes),
            (held, other) => held == other,
        }
}

/// What a file is in a state, in words.
fn is(fs: &CrashFs, path: &Path) -> String {
    match fs.look(path) {
        None => "absent".to_owned(),
        Some(Kind::Dir) => "a directory".to_owned(),
        Some(_) => {
            let size = fs.open(path, Access::Read).and_then(|file| file.size()).unwrap_or(0);
            match size > words::SHOWN as u64 {
                true => format!("{size} bytes"),
                false => words::content(&fs.read(path).unwrap_or_default()),
            }
        }
    }
}

/// What was found of a question.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) lost: Lost,
    pub(crate) exact: bool,
    /// What is there in a state where nothing is lost, and in one where it is; empty without one.
    pub(crate) survives: String,
    pub(crate) gone: String,
}

/// Whether a state with the record and one without it was seen.
#[derive(Default)]
struct Both {
    survives: Option<String>,
    gone: Option<String>,
}

impl Both {
    fn add(&mut self, is_there: bool, told: &mut dyn FnMut() -> String) {
        let slot = if is_there { &mut self.survives } else { &mut self.gone };
        if slot.is_none() {
            *slot = Some(told());
        }
    }

    fn is_full(&self) -> bool {
        self.survives.is_some() && self.gone.is_some()
    }

    fn found(self, all: bool) -> Found {
        let lost = match (&self.survives, &self.gone) {
            (Some(_), None) if all => Lost::Never,
            (None, Some(_)) if all => Lost::Always,
            _ => Lost::Sometimes,
        };
        let exact = all || self.is_full();
        let (survives, gone) = (self.survives.unwrap_or_default(), self.gone.unwrap_or_default());
        Found { lost, exact, survives, gone }
    }
}

/// A question: what is to be there, and of which file is told where it is or is not.
pub(crate) struct Question<'q> {
    pub(crate) want: Want<'q>,
    pub(crate) is_in: &'q dyn Fn(&Image) -> bool,
    pub(crate) path: &'q dyn Fn(&Image) -> Option<&'q Path>,
    /// The file that is told of where there is no image.
    pub(crate) first: Option<&'q Path>,
}

/// The states of one death, asked one thing after the other.
pub(crate) struct Asked<'a> {
    cut: Cut<'a>,
    shared: Pictures,
    seen: BTreeSet<StateId>,
    /// How many states one question may look at.
    each: u32,
    /// How many all may.
    left: u32,
    /// What was found to be lost in no state: a file, and with which bytes in front.
    safe: Vec<Spoken>,
}

impl<'a> Asked<'a> {
    pub(crate) fn new(cut: Cut<'a>, each: u32) -> Self {
        let (shared, seen, safe) = (Pictures::default(), BTreeSet::new(), Vec::new());
        Self { cut, shared, seen, each, left: each.saturating_mul(16), safe }
    }

    /// How many different states were looked at; at least one.
    pub(crate) fn states(&self) -> u64 {
        (self.seen.len() as u64).max(1)
    }

    /// Makes whole states that all questions look at first, so many by chance: worth it for many
    /// questions.
    pub(crate) fn share(&mut self, by_chance: u64) {
        let ends: [Box<dyn Chooser>; 2] = [Box::new(Newest), Box::new(Oldest)];
        let mut states: Vec<CrashFs> = ends.into_iter().map(|end| self.cut.state(end)).collect();
        if self.cut.open_effects() > 0 {
            let chance = (0..by_chance).map(|seed| self.cut.state(Box::new(Seeded::new(seed))));
            states.extend(chance);
        }
        let images = states.iter().map(|fs| fs.image()).collect();
        self.seen.extend(states.iter().map(CrashFs::id));
        self.shared = Pictures::of(images);
    }

    /// Whether it follows from what was found before that nothing of this is lost.
    fn is_safe(&self, want: &Want<'_>) -> bool {
        let Want::Files(files) = want else { return false };
        files.iter().all(|file| self.safe.iter().any(|safe| follows(file, safe)))
    }

    /// Answers a question.
    pub(crate) fn one(&mut self, question: &Question<'_>) -> Found {
        let mut both = Both::default();
        for nth in 0..self.shared.len() {
            let Some(image) = self.shared.images().nth(nth) else { break };
            let (is_there, path) = ((question.is_in)(image), (question.path)(image));
            let shared = &mut self.shared;
            let mut told =
                || path.map_or_else(String::new, |path| sentence(path, &shared.is(nth, path)));
            both.add(is_there, &mut told);
        }
        let mut all = false;
        if !both.is_full() {
            all = both.gone.is_none() && self.is_safe(&question.want);
        }
        if !both.is_full() && !all {
            all = self.every(&mut |fs| {
                let is_there = question.want.is_in(fs);
                let answers = fs.answers();
                let path = question.first;
                both.add(is_there, &mut || {
                    path.map_or_else(String::new, |path| sentence(path, &is(fs, path)))
                });
                (answers, both.is_full())
            });
        }
        let found = both.found(all);
        if let (Lost::Never, Want::Files(files)) = (found.lost, &question.want) {
            self.safe.extend(files.iter().cloned());
        }
        found
    }

    /// Whatever a file may be, each thing once; and whether that is all.
    pub(crate) fn contents(&mut self, most: usize, path: &Path) -> (Vec<String>, bool) {
        let mut all: Vec<String> = Vec::new();
        let mut full = false;
        let mut add = |told: String| {
            let new = !all.contains(&told);
            full |= new && all.len() == most;
            if new && !full {
                all.push(told);
            }
            full
        };
        for told in self.shared.may_be(path) {
            add(told);
        }
        let every = self.every(&mut |fs| {
            let told = is(fs, path);
            (fs.answers(), add(told))
        });
        (all, every && !full)
    }

    /// Looks at one state after the other, by depth; whether none was left out.
    fn every(&mut self, look: &mut dyn FnMut(&CrashFs) -> (Vec<ondisk_sim::Answer>, bool)) -> bool {
        let mut prefix: Vec<u32> = Vec::new();
        for _ in 0..self.each.min(self.left) {
            self.left -= 1;
            let fs = self.cut.state(Box::new(Led { prefix, next: 0 }));
            let (mut answers, stop) = look(&fs);
            self.seen.insert(fs.id());
            if stop {
                return false;
            }
            while answers.last().is_some_and(|answer| answer.picked + 1 >= answer.of) {
                answers.pop();
            }
            let Some(last) = answers.last_mut() else { return true };
            last.picked += 1;
            prefix = answers.iter().map(|answer| answer.picked).collect();
        }
        false
    }
}

/// Answers as it is told, and then for the oldest.
struct Led {
    prefix: Vec<u32>,
    next: usize,
}

impl Chooser for Led {
    fn pick(&mut self, question: ondisk_sim::Question, answers: u32) -> u32 {
        let told = self.prefix.get(self.next).copied();
        self.next += 1;
        told.unwrap_or_else(|| Oldest.pick(question, answers)).min(answers.saturating_sub(1))
    }
}
