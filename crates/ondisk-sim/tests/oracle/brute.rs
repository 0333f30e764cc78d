//! What a cut may leave, by trying every subset of the effects: slow, and plain enough to be
//! believed.
//!
//! Written from the words of the models alone: what needs what is one predicate over pairs, what
//! is durable one loop, and an image one walk over the effects that are there. It shares no code
//! with the simulation but the rows themselves.

mod images;

use std::collections::{BTreeMap, BTreeSet};

use ondisk_sim::Model;
use ondisk_sim::model::{Append, Fill, Len, Names, Needs, Raise, RaiseDir, Rename, Replace, Tear};

pub(crate) const BLOCK: usize = 4096;
const SECTOR: usize = 512;

/// A call. Files have names of one letter in directory 0 (the root) or 1 (`d`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    Create(Spot),
    Write { at: Spot, offset: usize, len: usize, byte: u8 },
    WriteDurable { at: Spot, block: usize, byte: u8 },
    FailedDurable { at: Spot, block: usize, byte: u8 },
    SetLen { at: Spot, len: usize },
    Rename(Spot, Spot),
    Remove(Spot),
    Sync(Spot),
    SyncData(Spot),
    FailedSync(Spot),
    Evict,
    SyncDir(u8),
}

/// A directory and a name in it.
pub(crate) type Spot = (u8, char);

/// Names to bytes.
pub(crate) type Tree = BTreeMap<Spot, Vec<u8>>;

/// Bytes as runs of equal ones: images are many and long.
pub(crate) type Runs = Vec<(u8, usize)>;

/// Names to bytes, short.
pub(crate) type Brief = BTreeMap<Spot, Runs>;

/// A cut with more images than this is not enumerated.
const MOST: usize = 600;

pub(crate) fn runs(bytes: &[u8]) -> Runs {
    bytes.chunk_by(|a, b| a == b).map(|run| (run[0], run.len())).collect()
}

#[derive(Clone, Debug)]
enum Effect {
    Data {
        ino: usize,
        block: usize,
        content: Vec<u8>,
    },
    Len {
        ino: usize,
        len: usize,
        journalled: bool,
    },
    SetLen {
        ino: usize,
        len: usize,
        shorter: bool,
    },
    /// `moves`: the inode that replaces another by this rename.
    Name {
        changes: Vec<(Spot, Option<usize>)>,
        moves: Option<usize>,
        about: Vec<usize>,
    },
}

struct Made {
    effect: Effect,
    op: usize,
    /// It is durable once this call has returned.
    floor: Option<usize>,
    /// Its sync failed when this call returned.
    dropped: Option<usize>,
    /// It was forgotten by this call.
    evicted: Option<usize>,
}

/// What became of an effect.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It is durable.
    Floor,
    /// It is there.
    Kept,
    /// It is not.
    Lost,
    /// It is not, and that was seen before the cut.
    Evicted,
}

impl Fate {
    fn is_there(self) -> bool {
        matches!(self, Self::Floor | Self::Kept)
    }
}

pub(crate) struct Brute {
    model: Model,
    made: Vec<Made>,
    base_names: BTreeMap<Spot, usize>,
    base: Vec<Vec<u8>>,
    names: BTreeMap<Spot, usize>,
    files: Vec<Vec<u8>>,
    ops: usize,
}

impl Brute {
    pub(crate) fn new(model: Model, base: &Tree) -> Self {
        let names: BTreeMap<Spot, usize> = base.keys().copied().zip(0..).collect();
        let files: Vec<Vec<u8>> = base.values().cloned().collect();
        let (base_names, base) = (names.clone(), files.clone());
        Self { model, made: Vec::new(), base_names, base, names, files, ops: 0 }
    }

    pub(crate) fn names(&self) -> &BTreeMap<Spot, usize> {
        &self.names
    }

    pub(crate) fn len(&self, at: Spot) -> usize {
        self.files[self.names[&at]].len()
    }

    fn add(&mut self, effect: Effect) {
        self.made.push(Made { effect, op: self.ops, floor: None, dropped: None, evicted: None });
    }

    pub(crate) fn run(&mut self, op: &Op) {
        let before = self.made.len();
        match op {
            Op::Create(at) => {
                let ino = self.files.len();
                self.files.push(Vec::new());
                self.base.push(Vec::new());
                self.names.insert(*at, ino);
                self.name(vec![(*at, Some(ino))], None, vec![ino]);
            }
            Op::Write { at, offset, len, byte } => self.write(*at, *offset, *len, *byte),
            Op::WriteDurable { at, block, byte } => {
                self.write(*at, block * BLOCK, BLOCK, *byte);
                let own: Vec<usize> = (before..self.made.len()).collect();
                own.iter().for_each(|effect| self.raise(*effect));
                let ino = self.names[at];
                self.raise_names(ino, self.model.datasync, self.made.len());
            }
            Op::FailedDurable { at, block, byte } => {
                self.write(*at, block * BLOCK, BLOCK, *byte);
                for made in &mut self.made[before..] {
                    let data = matches!(made.effect, Effect::Data { .. });
                    made.dropped = data.then_some(self.ops);
                }
            }
            Op::SetLen { at, len } => {
                let ino = self.names[at];
                let shorter = *len < self.files[ino].len();
                self.files[ino].resize(*len, 0);
                self.add(Effect::SetLen { ino, len: *len, shorter });
            }
            Op::Rename(from, to) => self.rename(*from, *to),
            Op::Remove(at) => {
                let ino = self.names.remove(at).unwrap();
                self.name(vec![(*at, None)], None, vec![ino]);
            }
            Op::Sync(at) => self.sync(self.names[at], self.model.sync),
            Op::SyncData(at) => self.sync(self.names[at], self.model.datasync),
            Op::FailedSync(at) => {
                let ino = self.names[at];
                for made in &mut self.made {
                    let its = matches!(made.effect, Effect::Data { ino: of, .. } if of == ino);
                    if its && made.floor.is_none() && made.dropped.is_none() {
                        made.dropped = Some(self.ops);
                    }
                }
            }
            Op::Evict => self.evict(),
            Op::SyncDir(dir) => self.sync_dir(*dir),
        }
        self.ops += 1;
    }

    fn name(
        &mut self,
        changes: Vec<(Spot, Option<usize>)>,
        moves: Option<usize>,
        about: Vec<usize>,
    ) {
        self.add(Effect::Name { changes, moves, about });
    }

    fn rename(&mut self, from: Spot, to: Spot) {
        let ino = self.names.remove(&from).unwrap();
        let replaced = self.names.insert(to, ino);
        let about: Vec<usize> = [ino].into_iter().chain(replaced).collect();
        let moves = replaced.map(|_| ino);
        if self.model.rename == Rename::TwoAcrossDirs && from.0 != to.0 {
            self.name(vec![(to, Some(ino))], moves, about.clone());
            self.name(vec![(from, None)], None, about);
        } else {
            self.name(vec![(from, None), (to, Some(ino))], moves, about);
        }
    }

    fn write(&mut self, at: Spot, offset: usize, len: usize, byte: u8) {
        let ino = self.names[&at];
        let old = self.files[ino].len();
        let end = offset + len;
        if end > old {
            self.files[ino].resize(end, 0);
        }
        self.files[ino][offset..end].fill(byte);
        for block in offset / BLOCK..end.div_ceil(BLOCK) {
            let from = block * BLOCK;
            let to = (from + BLOCK).min(self.files[ino].len());
            let mut content = self.files[ino][from..to].to_vec();
            content.resize(BLOCK, 0);
            // The page cache as it was when this block was written: later blocks of the same call
            // change other blocks alone.
            self.add(Effect::Data { ino, block, content });
            let stop = end.min(from + BLOCK);
            if stop > old {
                let journalled =
                    self.model.append == Append::AsName && self.below_floor(ino, block);
                self.add(Effect::Len { ino, len: stop, journalled });
            }
        }
    }

    fn below_floor(&self, ino: usize, block: usize) -> bool {
        self.base[ino].len() > block * BLOCK
            || self.made.iter().any(|made| {
                let its = matches!(made.effect, Effect::Data { ino: i, block: b, .. }
                    if (i, b) == (ino, block));
                its && made.floor.is_some()
            })
    }

    /// Whether a sync of the block failed, and nothing happened to it since.
    fn is_doubtful(&self, ino: usize, block: usize) -> bool {
        let its = |made: &&Made| match made.effect {
            Effect::Data { ino: i, block: b, .. } => (i, b) == (ino, block),
            Effect::SetLen { ino: i, len, shorter: true } => i == ino && (block + 1) * BLOCK > len,
            _ => false,
        };
        let last = self.made.iter().rev().find(its);
        last.is_some_and(|made| made.dropped.is_some() && made.evicted.is_none())
    }

    /// Whether there is something to forget, of one file.
    pub(crate) fn is_evictable(&self) -> bool {
        let doubtful = |ino: &usize| (0..4).any(|block| self.is_doubtful(*ino, block));
        (0..self.files.len()).filter(doubtful).count() == 1
    }

    /// The page cache shows again what it showed when the block was last synced.
    fn evict(&mut self) {
        for ino in 0..self.files.len() {
            for block in 0..4 {
                if !self.is_doubtful(ino, block) {
                    continue;
                }
                let from = block * BLOCK;
                let mut content = self.base[ino].get(from..).unwrap_or_default().to_vec();
                content.resize(BLOCK, 0);
                for made in &mut self.made {
                    match &made.effect {
                        Effect::Data { ino: i, block: b, content: bytes }
                            if (*i, *b) == (ino, block) =>
                        {
                            if made.floor.is_some() {
                                content.clone_from(bytes);
                            } else if made.dropped.is_some() && made.evicted.is_none() {
                                made.evicted = Some(self.ops);
                            }
                        }
                        _ => {}
                    }
                }
                let to = self.files[ino].len().min(from + BLOCK);
                self.files[ino][from..to].copy_from_slice(&content[..to - from]);
            }
        }
    }

    // What needs what.

    fn in_one_chain(&self, effect: &Effect) -> bool {
        match (self.model.names, effect) {
            (Names::Everything, _) => true,
            (Names::PerName, _) => false,
            (Names::OneChain, Effect::Data { .. }) => false,
            (Names::OneChain, Effect::Name { .. } | Effect::SetLen { .. }) => true,
            (Names::OneChain, Effect::Len { journalled, .. }) => {
                *journalled || matches!(self.model.len, Len::Chain(_))
            }
        }
    }

    /// Whether the later effect needs the earlier one, by a rule of its own.
    fn needs_at_once(&self, later: usize, earlier: usize) -> bool {
        let (a, b) = (&self.made[earlier].effect, &self.made[later].effect);
        if self.in_one_chain(a) && self.in_one_chain(b) {
            return true;
        }
        match (a, b) {
            (Effect::Data { ino: i, block: x, .. }, Effect::Data { ino: j, block: y, .. }) => {
                (i, x) == (j, y)
            }
            (
                Effect::Len { ino: i, .. } | Effect::SetLen { ino: i, .. },
                Effect::Len { ino: j, .. } | Effect::SetLen { ino: j, .. },
            ) => i == j,
            (Effect::Name { changes: x, .. }, Effect::Name { changes: y, .. }) => {
                let halves = self.made[earlier].op == self.made[later].op;
                halves || x.iter().any(|(spot, _)| y.iter().any(|(other, _)| spot == other))
            }
            (Effect::SetLen { ino: i, len, shorter }, Effect::Data { ino: j, block, .. }) => {
                let cut = *shorter && (block + 1) * BLOCK > *len;
                i == j && cut && self.model.names != Names::PerName
            }
            (
                Effect::Len { ino: i, .. } | Effect::SetLen { ino: i, .. },
                Effect::Name { moves: Some(j), .. },
            ) => i == j && matches!(self.model.replace, Replace::LenFirst | Replace::DataFirst),
            (Effect::Data { ino: i, .. }, Effect::Name { moves: Some(j), .. }) => {
                i == j && self.model.replace == Replace::DataFirst
            }
            (Effect::Data { ino: i, block, .. }, Effect::Len { ino: j, len, journalled }) => {
                let (Len::Float(needs) | Len::Chain(needs)) = self.model.len;
                let last = (len - 1) / BLOCK;
                i == j
                    && !journalled
                    && match needs {
                        Needs::Nothing => false,
                        Needs::All => *block <= last && self.is_first(earlier),
                        Needs::Last => *block == last,
                    }
            }
            _ => false,
        }
    }

    /// Whether no version of the block was written before.
    fn is_first(&self, effect: usize) -> bool {
        let Effect::Data { ino, block, .. } = &self.made[effect].effect else { return false };
        !self.made[..effect].iter().any(|made| {
            matches!(&made.effect, Effect::Data { ino: i, block: b, .. } if (i, b) == (ino, block))
        })
    }

    /// All pairs of which the first needs the second, through any number of others.
    fn all_needs(&self) -> BTreeSet<(usize, usize)> {
        let mut pairs = BTreeSet::new();
        for later in 0..self.made.len() {
            for earlier in (0..later).rev() {
                if self.needs_at_once(later, earlier) {
                    pairs.insert((later, earlier));
                    for before in 0..earlier {
                        if pairs.contains(&(earlier, before)) {
                            pairs.insert((later, before));
                        }
                    }
                }
            }
        }
        pairs
    }

    // What is durable.

    fn raise(&mut self, effect: usize) {
        if self.made[effect].dropped.is_some() {
            return;
        }
        let pairs = self.all_needs();
        for other in 0..=effect {
            let needed = other == effect || pairs.contains(&(effect, other));
            let made = &mut self.made[other];
            if needed && made.dropped.is_none() && made.floor.is_none() {
                made.floor = Some(self.ops);
            }
        }
    }

    fn sync(&mut self, ino: usize, names: Raise) {
        let covered = self.made.len();
        for effect in 0..covered {
            let its = match &self.made[effect].effect {
                Effect::Data { ino: i, .. }
                | Effect::Len { ino: i, .. }
                | Effect::SetLen { ino: i, .. } => *i == ino,
                Effect::Name { .. } => false,
            };
            if its {
                self.raise(effect);
            }
        }
        self.raise_names(ino, names, covered);
    }

    fn raise_names(&mut self, ino: usize, names: Raise, covered: usize) {
        let is_len = |effect: &Effect| matches!(effect, Effect::Len { ino: i, .. } | Effect::SetLen { ino: i, .. } if *i == ino);
        let is_name =
            |effect: &Effect| matches!(effect, Effect::Name { about, .. } if about.contains(&ino));
        let is_creation = |at: usize| {
            let first = self.made.iter().position(|made| is_name(&made.effect));
            first == Some(at) && ino >= self.base_names.len()
        };
        let last = |wanted: &dyn Fn(usize) -> bool| (0..covered).rev().find(|at| wanted(*at));
        let last = match names {
            Raise::Nothing => return,
            Raise::AllBefore => return (0..covered).for_each(|effect| self.raise(effect)),
            Raise::ToLastNameOrLen => {
                last(&|at| is_len(&self.made[at].effect) || is_name(&self.made[at].effect))
            }
            Raise::ToCreationOrLen => last(&|at| is_len(&self.made[at].effect) || is_creation(at)),
        };
        for effect in 0..last.map_or(0, |last| last + 1) {
            if self.in_one_chain(&self.made[effect].effect) {
                self.raise(effect);
            }
        }
    }

    fn sync_dir(&mut self, dir: u8) {
        for effect in 0..self.made.len() {
            let raised = match (self.model.sync_dir, &self.made[effect].effect) {
                (RaiseDir::AllBefore, _) => true,
                (RaiseDir::AllNames, effect) => self.in_one_chain(effect),
                (RaiseDir::NamesIn, Effect::Name { changes, .. }) => {
                    changes.iter().any(|((of, _), _)| *of == dir)
                }
                (RaiseDir::NamesIn, _) => false,
            };
            if raised {
                self.raise(effect);
            }
        }
    }
}
