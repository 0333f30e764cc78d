//! What is on the media when a life begins, as far as that is decided.
//!
//! Below lies a tree that is wholly known; above it one [`Stratum`] for each life that ended in a
//! cut, with what became of its effects. What nobody asked for is open, and is decided when it
//! is: from the newest stratum down, as far as the answer depends on it.
//!
//! Invariant: an answer once given stays: whoever asks for the same name, length or bytes again,
//! in this life or a later one, gets the same. And it can always be given: what is open at any
//! moment is part of at least one state that the model allows.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ondisk_fs::BLOCK;

use super::chooser::{Newest, Question, Recorder};
use super::digest::mix2;
use super::effects::cuts_block;
use super::effects::{BlockStep, EffectId, Effects, FileSteps, LenStep, NameStep, State};
use super::history::{At, Ino};
use super::model::{Fill, Tear};
use super::path::Name;
use super::store::{BlockId, Store};

mod block;
pub(crate) mod torn;

/// What an inode is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Is {
    File,
    Dir,
    Symlink,
}

/// An inode that is wholly known.
#[derive(Clone, Debug)]
pub(crate) enum Inode {
    /// `reserved`: behind the last block that has a place on the media, where nobody wrote.
    File {
        len: u64,
        blocks: Vec<BlockId>,
        reserved: u32,
    },
    Dir {
        entries: BTreeMap<Name, Ino>,
    },
    Symlink {
        target: Arc<[u8]>,
    },
}

/// A file tree by inodes, wholly known: what the first life begins with.
#[derive(Clone, Debug)]
pub(crate) struct Tree {
    pub(crate) inodes: Vec<Inode>,
}

impl Tree {
    pub(crate) fn empty() -> Self {
        Self { inodes: vec![Inode::Dir { entries: BTreeMap::new() }] }
    }
}

/// What a life that was cut has left on the media.
#[derive(Clone, Debug)]
pub(crate) struct Stratum {
    pub(crate) effects: Arc<Effects>,
    /// Where it was cut.
    cut: At,
    pub(crate) states: Vec<State>,
    /// Blocks of which more is known than which effects are there.
    pub(crate) pins: BTreeMap<(Ino, u32), torn::Pin>,
    /// Blocks that are torn, with what their sectors show: 0 for the oldest.
    pub(crate) torn: BTreeMap<(Ino, u32), torn::Sectors>,
}

impl Stratum {
    pub(crate) fn new(effects: Arc<Effects>, cut: At, states: Vec<State>) -> Self {
        Self { effects, cut, states, pins: BTreeMap::new(), torn: BTreeMap::new() }
    }

    fn is(&self, effect: EffectId) -> State {
        self.states[effect as usize]
    }

    fn keep(&mut self, effect: EffectId) {
        self.effects.keep(self.cut, &mut self.states, effect);
    }

    fn lose(&mut self, effect: EffectId) {
        if self.is(effect) != State::Out {
            self.effects.lose(self.cut, &mut self.states, effect);
        }
    }

    /// Decides where a chain stands: see [`Effects::narrow`].
    fn narrow(
        &mut self,
        chain: impl Iterator<Item = EffectId>,
        first: Option<EffectId>,
        last: Option<EffectId>,
    ) {
        self.effects.narrow(self.cut, &mut self.states, chain, first, last);
    }

    /// Where a chain may stand: its last link that is there, if one is, and all open ones behind.
    fn open<'a, T>(&self, chain: &'a [T], effect: impl Fn(&T) -> EffectId) -> Open<'a, T> {
        let settled = chain.iter().rposition(|link| self.is(effect(link)) == State::In);
        let from = settled.unwrap_or(0);
        let links = chain[from..].iter().filter(|link| self.is(effect(link)) != State::Out);
        Open { below: settled.is_none(), links: links.collect() }
    }
}

/// The places where a chain may stand.
struct Open<'a, T> {
    /// Whether it may stand below its first link.
    below: bool,
    /// The links, oldest first.
    links: Vec<&'a T>,
}

/// The media.
#[derive(Clone, Debug)]
pub(crate) struct Media {
    base: Arc<Tree>,
    pub(crate) strata: Vec<Stratum>,
    chooser: Arc<Mutex<Recorder>>,
}

impl Media {
    pub(crate) fn new(base: Tree) -> Self {
        // Without strata nothing is open, so this one is never asked.
        let chooser = Recorder::new(Vec::new(), Box::new(Newest));
        Self { base: Arc::new(base), strata: Vec::new(), chooser: Arc::new(Mutex::new(chooser)) }
    }

    /// The same media after one more cut, decided by another chooser.
    pub(crate) fn cut(&self, stratum: Stratum, chooser: Arc<Mutex<Recorder>>) -> Self {
        let strata = self.strata.iter().cloned().chain([stratum]).collect();
        Self { base: Arc::clone(&self.base), strata, chooser }
    }

    fn chooser(&self) -> MutexGuard<'_, Recorder> {
        self.chooser.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The tree, where it is wholly known.
    pub(crate) fn known(&self) -> Option<Arc<Tree>> {
        self.is_decided().then(|| Arc::clone(&self.base))
    }

    /// Whether anything could ever be open.
    pub(crate) fn is_decided(&self) -> bool {
        self.strata.is_empty()
    }

    /// How many inodes there may be.
    pub(crate) fn inodes(&self) -> usize {
        self.strata.last().map_or(self.base.inodes.len(), |top| top.effects.inodes())
    }

    pub(crate) fn is(&self, ino: Ino) -> Is {
        match self.base.inodes.get(ino.index()) {
            Some(Inode::Dir { .. }) => Is::Dir,
            Some(Inode::File { .. }) => Is::File,
            Some(Inode::Symlink { .. }) => Is::Symlink,
            None => {
                let made = self.strata.iter().find_map(|stratum| stratum.effects.is(ino));
                made.unwrap_or(Is::File)
            }
        }
    }

    /// What a symbolic link stands for; nothing for other inodes. It came with the inode.
    pub(crate) fn target(&self, ino: Ino) -> Arc<[u8]> {
        if let Some(Inode::Symlink { target }) = self.base.inodes.get(ino.index()) {
            return Arc::clone(target);
        }
        let made = self.strata.iter().find_map(|stratum| stratum.effects.target(ino));
        made.cloned().unwrap_or_default()
    }

    // Names.

    /// All names that a directory may have, sorted.
    pub(crate) fn names(&self, dir: Ino) -> Vec<Name> {
        let mut names: Vec<Name> = match self.base.inodes.get(dir.index()) {
            Some(Inode::Dir { entries }) => entries.keys().cloned().collect(),
            _ => Vec::new(),
        };
        for stratum in &self.strata {
            names.extend(stratum.effects.names_in(dir).cloned());
        }
        names.sort();
        names.dedup();
        names
    }

    /// What a name in a directory stands for.
    pub(crate) fn lookup(&mut self, dir: Ino, name: &OsStr) -> Option<Ino> {
        self.name_below(self.strata.len(), dir, name)
    }

    /// The same, with the lowest strata alone.
    fn name_below(&mut self, level: usize, dir: Ino, name: &OsStr) -> Option<Ino> {
        let Some(at) = level.checked_sub(1) else {
            return self.base_name(dir, name);
        };
        let effects = Arc::clone(&self.strata[at].effects);
        let chain = effects.name(dir, name);
        if chain.is_empty() {
            return self.name_below(at, dir, name);
        }
        let open = self.strata[at].open(chain, |step: &NameStep| step.effect);
        // Where the answer below is known, it is an answer like the others.
        let known = open.below.then(|| self.settled_name(at, dir, name)).flatten();
        let mut runs: Vec<Run<Option<Option<Ino>>>> = Vec::new();
        if open.below {
            runs.push(Run { answer: known, first: None, last: None });
        }
        for step in &open.links {
            extend(&mut runs, Some(step.ino), step.effect, |a, b| a == b);
        }
        let picked = self.chooser().decide(Question::Name { dir }, runs.len());
        let run = &runs[picked];
        self.strata[at].narrow(chain.iter().map(|step| step.effect), run.first, run.last);
        match run.answer {
            Some(answer) => answer,
            None => self.name_below(at, dir, name),
        }
    }

    fn base_name(&self, dir: Ino, name: &OsStr) -> Option<Ino> {
        match self.base.inodes.get(dir.index()) {
            Some(Inode::Dir { entries }) => entries.get(name).copied(),
            _ => None,
        }
    }

    /// What a name stands for, where that is decided.
    #[expect(clippy::option_option, reason = "not decided, decided that there is none, or one")]
    fn settled_name(&self, level: usize, dir: Ino, name: &OsStr) -> Option<Option<Ino>> {
        let Some(at) = level.checked_sub(1) else {
            return Some(self.base_name(dir, name));
        };
        let open = self.strata[at]
            .open(self.strata[at].effects.name(dir, name), |step: &NameStep| step.effect);
        match (open.below, open.links.as_slice()) {
            (true, []) => self.settled_name(at, dir, name),
            (false, [step]) => Some(step.ino),
            _ => None,
        }
    }

    // Lengths.

    /// The length of a file.
    pub(crate) fn len(&mut self, ino: Ino) -> u64 {
        self.len_below(self.strata.len(), ino)
    }

    fn len_below(&mut self, level: usize, ino: Ino) -> u64 {
        let Some(at) = level.checked_sub(1) else {
            return self.base_len(ino);
        };
        let effects = Arc::clone(&self.strata[at].effects);
        let chain = effects.file(ino).map_or(&[][..], |file| file.lens.as_slice());
        if chain.is_empty() {
            return self.len_below(at, ino);
        }
        let open = self.strata[at].open(chain, |step: &LenStep| step.effect);
        let known = open.below.then(|| self.settled_len(at, ino)).flatten();
        let mut runs: Vec<Run<Option<u64>>> = Vec::new();
        if open.below {
            runs.push(Run { answer: known, first: None, last: None });
        }
        // A cut is a place of its own, whatever the length: it takes bytes away.
        let has_cuts = effects.file(ino).is_some_and(|file| file.has_cuts);
        for step in &open.links {
            extend(&mut runs, Some(step.len), step.effect, |a, b| a == b && !has_cuts);
        }
        let picked = self.chooser().decide(Question::Len { ino }, runs.len());
        let run = &runs[picked];
        self.strata[at].narrow(chain.iter().map(|step| step.effect), run.first, run.last);
        match run.answer {
            Some(answer) => answer,
            None => self.len_below(at, ino),
        }
    }

    fn base_len(&self, ino: Ino) -> u64 {
        match self.base.inodes.get(ino.index()) {
            Some(Inode::File { len, .. }) => *len,
            _ => 0,
        }
    }

    /// The length of a file, where that is decided.
    fn settled_len(&self, level: usize, ino: Ino) -> Option<u64> {
        let (least, most) = self.len_bounds(level, ino);
        (least == most).then_some(least)
    }

    /// The least and the greatest length that a file may have.
    fn len_bounds(&self, level: usize, ino: Ino) -> (u64, u64) {
        let Some(at) = level.checked_sub(1) else {
            return (self.base_len(ino), self.base_len(ino));
        };
        let stratum = &self.strata[at];
        let chain = stratum.effects.file(ino).map_or(&[][..], |file| file.lens.as_slice());
        let open = stratum.open(chain, |step: &LenStep| step.effect);
        let own = open.links.iter().map(|step| (step.len, step.len));
        let below = open.below.then(|| self.len_bounds(at, ino));
        let all = own.chain(below);
        all.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1))).unwrap_or((0, 0))
    }

    /// Whether a file is at least so long in every state that is left, so that its length need
    /// not be decided to read there. Not said of files that were cut: what they hold depends on
    /// which cuts there were.
    pub(crate) fn is_longer(&self, ino: Ino, end: u64) -> bool {
        !self.is_cut(ino) && self.len_bounds(self.strata.len(), ino).0 >= end
    }

    /// Whether a file was ever made shorter.
    pub(crate) fn is_cut(&self, ino: Ino) -> bool {
        let mut files = self.strata.iter().filter_map(|stratum| stratum.effects.file(ino));
        files.any(|file| file.has_cuts)
    }

    // Space.

    /// Up to where blocks of a file are reserved, in bytes, where that is known.
    pub(crate) fn reserved(&self, ino: Ino) -> u64 {
        match self.base.inodes.get(ino.index()) {
            Some(Inode::File { reserved, .. }) if self.is_decided() => {
                u64::from(*reserved) * BLOCK as u64
            }
            _ => 0,
        }
    }

    /// How many blocks a file may have.
    pub(crate) fn blocks(&self, ino: Ino) -> u32 {
        let base = match self.base.inodes.get(ino.index()) {
            Some(Inode::File { blocks, .. }) => u32::try_from(blocks.len()).unwrap_or(u32::MAX),
            _ => 0,
        };
        let written = self.strata.iter().filter_map(|stratum| stratum.effects.file(ino));
        written.map(FileSteps::end).fold(base, u32::max)
    }

    /// Whether a block may take space. Decides nothing.
    pub(crate) fn has_block(&self, ino: Ino, block: u32) -> bool {
        self.is_hole(ino, block) != Some(true)
    }
}

/// Neighbouring places of a chain that give one answer.
struct Run<A> {
    answer: A,
    /// The first of them; `None` for below the chain.
    first: Option<EffectId>,
    /// The last of them; `None` for below the chain.
    last: Option<EffectId>,
}

/// Adds a place to the last run, when it gives the same answer, or begins another.
fn extend<A>(runs: &mut Vec<Run<A>>, answer: A, effect: EffectId, same: impl Fn(&A, &A) -> bool) {
    match runs.last_mut() {
        Some(run) if same(&run.answer, &answer) => run.last = Some(effect),
        _ => runs.push(Run { answer, first: Some(effect), last: Some(effect) }),
    }
}
