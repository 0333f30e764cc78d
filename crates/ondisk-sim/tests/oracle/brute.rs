//! What a cut may leave, by trying every subset of the effects: slow, and plain enough to be
//! believed.
//!
//! Written from the words of the models alone: what needs what is one predicate over pairs, what
//! is durable one loop, and an image one walk over the effects that are there. It shares no code
//! with the simulation but the rows themselves.

mod cuts;
mod evict;
mod images;
mod stops;

use std::collections::{BTreeMap, BTreeSet};

use ondisk_sim::Model;
use ondisk_sim::model::{Fill, Len, Names, Needs, Raise, RaiseDir, Rename, Replace, Tear};

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
    Allocate { at: Spot, len: usize },
    Rename(Spot, Spot),
    Link(Spot, Spot),
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

/// What is ever allocated.
pub(crate) const ALLOCATED: [usize; 3] = [600, 4096, 5000];

/// Why a file may stop at a length that a write brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    /// A block of the write ends there, or the write.
    Own,
    /// A block ends there that the write left out, and another wrote.
    LeftOut,
    /// Another call allocated so much.
    Allocated,
}

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
        stop: Stop,
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
    /// This call, a sync of its file or directory, set it apart from the chain.
    apart: Option<usize>,
}

/// A sync that has not returned.
pub(crate) struct Running {
    ino: usize,
    covered: usize,
}

/// What became of an effect.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It is durable.
    Floor,
    /// It is there.
    Kept,
    /// It is there, and something else that needs it: so it is whole.
    Whole,
    /// It is not.
    Lost,
    /// It is not, and that was seen before the cut.
    Evicted,
}

impl Fate {
    fn is_there(self) -> bool {
        matches!(self, Self::Floor | Self::Kept | Self::Whole)
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
    /// Allocations: how many effects and calls there were before, the file, and how much of it.
    allocated: Vec<(usize, usize, usize, usize)>,
}

impl Brute {
    pub(crate) fn new(model: Model, base: &Tree) -> Self {
        let names: BTreeMap<Spot, usize> = base.keys().copied().zip(0..).collect();
        let files: Vec<Vec<u8>> = base.values().cloned().collect();
        let (base_names, base) = (names.clone(), files.clone());
        Self {
            model,
            made: Vec::new(),
            base_names,
            base,
            names,
            files,
            ops: 0,
            allocated: Vec::new(),
        }
    }

    pub(crate) fn names(&self) -> &BTreeMap<Spot, usize> {
        &self.names
    }

    pub(crate) fn len(&self, at: Spot) -> usize {
        self.files[self.names[&at]].len()
    }

    fn add(&mut self, effect: Effect) {
        let op = self.ops;
        let (floor, dropped, evicted, apart) = (None, None, None, None);
        self.made.push(Made { effect, op, floor, dropped, evicted, apart });
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
                let ino = self.names[at];
                self.set_apart(|effect| is_of(effect, ino));
                own.iter().for_each(|effect| self.raise(*effect));
                self.raise_length(ino, block * BLOCK..(block + 1) * BLOCK);
                self.raise_names(ino, self.model.datasync, self.made.len());
            }
            Op::FailedDurable { at, block, byte } => {
                self.write(*at, block * BLOCK, BLOCK, *byte);
                for made in &mut self.made[before..] {
                    let data = matches!(made.effect, Effect::Data { .. });
                    made.dropped = data.then_some(self.ops);
                }
                let ino = self.names[at];
                self.set_apart(|effect| is_of(effect, ino));
            }
            Op::SetLen { at, len } => {
                let ino = self.names[at];
                let shorter = *len < self.files[ino].len();
                self.files[ino].resize(*len, 0);
                self.add(Effect::SetLen { ino, len: *len, shorter });
            }
            Op::Allocate { at, len } => {
                let ino = self.names[at];
                if *len > self.files[ino].len() {
                    self.files[ino].resize(*len, 0);
                    self.add(Effect::SetLen { ino, len: *len, shorter: false });
                }
                self.allocated.push((self.made.len(), self.ops, ino, *len));
            }
            Op::Rename(from, to) => self.rename(*from, *to),
            Op::Link(from, to) => {
                let ino = self.names[from];
                self.names.insert(*to, ino);
                self.name(vec![(*to, Some(ino))], None, vec![ino]);
            }
            Op::Remove(at) => {
                let ino = self.names.remove(at).unwrap();
                self.name(vec![(*at, None)], None, vec![ino]);
            }
            Op::Sync(at) => self.sync(self.names[at], self.model.sync),
            Op::SyncData(at) => self.sync(self.names[at], self.model.datasync),
            Op::FailedSync(at) => {
                let ino = self.names[at];
                self.set_apart(|effect| is_of(effect, ino));
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
            self.stops(ino, old, offset, stop);
            if stop > old {
                self.len_of(ino, stop, Stop::Own, offset);
            }
        }
    }

    fn below_floor(&self, ino: usize, block: usize) -> bool {
        let cut = self.made.iter().rposition(|made| {
            matches!(made.effect, Effect::SetLen { ino: i, len, shorter: true }
                if i == ino && len <= block * BLOCK)
        });
        let since = &self.made[cut.map_or(0, |cut| cut + 1)..];
        (cut.is_none() && self.base[ino].len() > block * BLOCK)
            || since.iter().any(|made| {
                let its = matches!(made.effect, Effect::Data { ino: i, block: b, .. }
                    if (i, b) == (ino, block));
                its && made.floor.is_some()
            })
    }

    // What needs what.

    /// Whether it is a link of the one chain that the model has.
    fn in_one_chain(&self, effect: &Effect) -> bool {
        match (self.model.names, effect) {
            (Names::Everything, _) => true,
            (Names::PerName, _) => false,
            (_, Effect::Data { .. }) => false,
            (_, Effect::Name { .. } | Effect::SetLen { .. }) => true,
            (_, Effect::Len { journalled, .. }) => {
                *journalled || matches!(self.model.len, Len::Chain(_))
            }
        }
    }

    fn has_commits(&self) -> bool {
        self.model.names == Names::ChainPlusSynced
    }

    /// Whether the later effect needs the earlier one, by a rule of its own.
    fn needs_at_once(&self, later: usize, earlier: usize) -> bool {
        let (a, b) = (&self.made[earlier].effect, &self.made[later].effect);
        if self.in_one_chain(a) && self.in_one_chain(b) && !self.has_commits() {
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
                i == j && cut && self.model.names != Names::PerName && self.takes(earlier, later)
            }
            (
                Effect::Len { ino: i, .. } | Effect::SetLen { ino: i, .. },
                Effect::Name { moves: Some(j), .. },
            ) => {
                i == j
                    && matches!(self.model.replace, Replace::LenFirst | Replace::DataFirst)
                    && !self.all_placed(*j, later)
            }
            (Effect::Data { ino: i, block, .. }, Effect::Name { moves: Some(j), .. }) => {
                i == j
                    && self.model.replace == Replace::DataFirst
                    && self.is_new(earlier)
                    && !self.is_cut_off(*i, *block, earlier..later)
                    && !self.is_reserved(*i, *block, later)
            }
            (Effect::Data { ino: i, block, .. }, Effect::Len { ino: j, len, journalled, .. }) => {
                let (Len::Float(needs) | Len::Chain(needs)) = self.model.len;
                let last = (len - 1) / BLOCK;
                i == j
                    && !journalled
                    && match needs {
                        // The others: see `has_its_block`.
                        Needs::Nothing | Needs::Some | Needs::Last | Needs::LastAny => false,
                        Needs::All => {
                            *block <= last
                                && self.is_new(earlier)
                                && !self.is_cut_off(*i, *block, earlier..later)
                        }
                    }
            }
            _ => false,
        }
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
        for other in 0..self.made.len() {
            let needed = other == effect || pairs.contains(&(effect, other));
            // A link that waits for its commit comes with all of that, and of those before it.
            let is_with = |at: usize| {
                let op = self.made[at].op;
                self.waits(at) && self.made[other].op <= op && self.is_link(other)
            };
            let with = is_with(effect)
                || (0..effect).any(|at| pairs.contains(&(effect, at)) && is_with(at));
            let needed = needed || with;
            let made = &mut self.made[other];
            if needed && made.dropped.is_none() && made.floor.is_none() {
                made.floor = Some(self.ops);
            }
        }
    }

    fn is_link(&self, effect: usize) -> bool {
        self.in_one_chain(&self.made[effect].effect)
    }

    /// Whether a link is there by its commit alone.
    fn waits(&self, effect: usize) -> bool {
        self.has_commits() && self.is_link(effect) && self.made[effect].apart.is_none()
    }

    /// Links that are a file's own, or a directory's, stand apart from now on, with those that they
    /// need.
    fn set_apart(&mut self, is_own: impl Fn(&Effect) -> bool) {
        let pairs = self.all_needs();
        let own: Vec<usize> = (0..self.made.len())
            .filter(|at| self.is_link(*at) && is_own(&self.made[*at].effect))
            .collect();
        for at in 0..self.made.len() {
            let needed = own.iter().any(|own| *own == at || pairs.contains(&(*own, at)));
            if needed && self.waits(at) {
                self.made[at].apart = Some(self.ops);
            }
        }
    }

    fn sync(&mut self, ino: usize, names: Raise) {
        self.set_apart(|effect| is_of(effect, ino));
        self.synced(ino, names, self.made.len());
    }

    /// A sync is called, and that is all: what it covers is made.
    pub(crate) fn call_sync(&mut self, at: Spot) -> Running {
        let ino = self.names[&at];
        self.set_apart(|effect| is_of(effect, ino));
        self.ops += 1;
        Running { ino, covered: self.made.len() }
    }

    /// It returns Ok, having been a `sync_data` or a `sync_all`.
    pub(crate) fn return_sync(&mut self, running: &Running, names: Raise) {
        self.synced(running.ino, names, running.covered);
        self.ops += 1;
    }

    /// It fails.
    pub(crate) fn fail_sync(&mut self, running: &Running) {
        for made in &mut self.made[..running.covered] {
            let its = matches!(made.effect, Effect::Data { ino, .. } if ino == running.ino);
            if its && made.floor.is_none() && made.dropped.is_none() {
                made.dropped = Some(self.ops);
            }
        }
        self.ops += 1;
    }

    fn synced(&mut self, ino: usize, names: Raise, covered: usize) {
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

    /// The last length that ends in a range.
    fn raise_length(&mut self, ino: usize, range: std::ops::Range<usize>) {
        let is_in = |made: &Made| match made.effect {
            Effect::Len { ino: i, len, .. } | Effect::SetLen { ino: i, len, .. } => {
                i == ino && range.start < len && len <= range.end
            }
            _ => false,
        };
        if let Some(last) = self.made.iter().rposition(is_in) {
            self.raise(last);
        }
    }

    fn raise_names(&mut self, ino: usize, names: Raise, covered: usize) {
        let is_len = |at: usize| {
            let known = self.is_link(at) || self.made[at].floor.is_some();
            let effect = &self.made[at].effect;
            known
                && matches!(effect, Effect::Len { ino: i, .. } | Effect::SetLen { ino: i, .. } if *i == ino)
        };
        let is_name =
            |effect: &Effect| matches!(effect, Effect::Name { about, .. } if about.contains(&ino));
        let is_creation = |at: usize| {
            let first = self.made.iter().position(|made| is_name(&made.effect));
            first == Some(at) && ino >= self.base_names.len()
        };
        let last = |wanted: &dyn Fn(usize) -> bool| (0..covered).rev().find(|at| wanted(*at));
        let last = match names {
            Raise::Nothing => return,
            Raise::OwnNames => {
                let own: Vec<usize> =
                    (0..covered).filter(|at| is_name(&self.made[*at].effect)).collect();
                return own.into_iter().for_each(|effect| self.raise(effect));
            }
            Raise::AllBefore => return (0..covered).for_each(|effect| self.raise(effect)),
            Raise::ToLastNameOrLen => last(&|at| is_len(at) || is_name(&self.made[at].effect)),
            Raise::ToCreationOrLen => last(&|at| is_len(at) || is_creation(at)),
        };
        for effect in 0..last.map_or(0, |last| last + 1) {
            if self.in_one_chain(&self.made[effect].effect) {
                self.raise(effect);
            }
        }
    }

    fn sync_dir(&mut self, dir: u8) {
        // The two directories were there before and are never moved.
        let is_in = |effect: &Effect| match effect {
            Effect::Name { changes, .. } => changes.iter().any(|((of, _), _)| *of == dir),
            _ => false,
        };
        self.set_apart(is_in);
        let last_item = self.made.iter().rposition(|made| is_in(&made.effect));
        for at in 0..self.made.len() {
            let effect = &self.made[at].effect;
            let raised = match self.model.sync_dir {
                RaiseDir::AllBefore => true,
                RaiseDir::AllNames => self.in_one_chain(effect),
                RaiseDir::ToLastItem => self.in_one_chain(effect) && Some(at) <= last_item,
                RaiseDir::NamesIn => is_in(effect),
            };
            if raised {
                self.raise(at);
            }
        }
    }
}

/// Whether it is a change of a file's names or of its length.
fn is_of(effect: &Effect, ino: usize) -> bool {
    match effect {
        Effect::Name { about, .. } => about.contains(&ino),
        Effect::Len { ino: i, .. } | Effect::SetLen { ino: i, .. } => *i == ino,
        Effect::Data { .. } => false,
    }
}
