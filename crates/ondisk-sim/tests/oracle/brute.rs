//! What a cut may leave, by trying every subset of the effects: slow, and plain enough to be
//! believed.
//!
//! Written from the words of the models alone: what needs what is one predicate over pairs, what
//! is durable one loop, and an image one walk over the effects that are there. It shares no code
//! with the simulation but the rows themselves.

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

    // What a cut leaves.

    /// All images after a cut in which `made` calls were made and `returned` had returned; `None`
    /// when there are too many to try.
    pub(crate) fn images(&self, made: usize, returned: usize) -> Option<BTreeSet<Brief>> {
        let there = self.made.iter().take_while(|effect| effect.op < made).count();
        let is_floor = |at: usize| self.made[at].floor.is_some_and(|op| op < returned);
        let is_dropped = |at: usize| self.made[at].dropped.is_some_and(|op| op < returned);
        let is_evicted = |at: usize| self.made[at].evicted.is_some_and(|op| op < made);
        let open: Vec<usize> = (0..there).filter(|at| !is_floor(*at) && !is_evicted(*at)).collect();
        if open.len() > 13 {
            return None;
        }
        let needs: Vec<(usize, usize)> =
            self.all_needs().into_iter().filter(|(_, needed)| !is_dropped(*needed)).collect();
        let mut images = BTreeSet::new();
        let fate = |at: usize| match at {
            _ if is_floor(at) => Fate::Floor,
            _ if is_evicted(at) => Fate::Evicted,
            _ => Fate::Lost,
        };
        for subset in 0..1_u32 << open.len() {
            let mut fates: Vec<Fate> = (0..there).map(fate).collect();
            for (bit, effect) in open.iter().enumerate() {
                if (subset >> bit) & 1 == 1 {
                    fates[*effect] = Fate::Kept;
                }
            }
            let is = |effect: usize| fates.get(effect).is_some_and(|fate| fate.is_there());
            if needs.iter().all(|(later, earlier)| !is(*later) || is(*earlier)) {
                self.expand(&fates, &mut images)?;
            }
        }
        Some(images)
    }

    /// All images of one set of effects: every fill and tear.
    fn expand(&self, fates: &[Fate], images: &mut BTreeSet<Brief>) -> Option<()> {
        let mut names = self.base_names.clone();
        for (at, made) in self.made.iter().enumerate().take(fates.len()) {
            let Effect::Name { changes, .. } = &made.effect else { continue };
            for (spot, ino) in changes.iter().filter(|_| fates[at].is_there()) {
                match ino {
                    Some(ino) => names.insert(*spot, *ino),
                    None => names.remove(spot),
                };
            }
        }
        let mut trees = vec![BTreeMap::<usize, Runs>::new()];
        let inodes: BTreeSet<usize> = names.values().copied().collect();
        for ino in inodes {
            let contents = self.contents(ino, fates)?;
            if trees.len() * contents.len() > MOST {
                return None;
            }
            let mut more = Vec::new();
            for tree in &trees {
                for content in &contents {
                    let mut tree = tree.clone();
                    tree.insert(ino, content.clone());
                    more.push(tree);
                }
            }
            trees = more;
        }
        for tree in trees {
            images.insert(names.iter().map(|(spot, ino)| (*spot, tree[ino].clone())).collect());
        }
        (images.len() <= MOST).then_some(())
    }

    fn contents(&self, ino: usize, fates: &[Fate]) -> Option<Vec<Runs>> {
        let mut len = self.base[ino].len();
        for (at, made) in self.made.iter().enumerate().take(fates.len()) {
            match made.effect {
                Effect::Len { ino: i, len: n, .. } | Effect::SetLen { ino: i, len: n, .. }
                    if i == ino && fates[at].is_there() =>
                {
                    len = n;
                }
                _ => {}
            }
        }
        let mut contents = vec![Vec::new()];
        for block in 0..len.div_ceil(BLOCK) {
            let mut more = Vec::new();
            // What lies behind the end is not seen, however it is torn.
            let mut shown = BTreeSet::new();
            for mut bytes in self.block(ino, block, len - block * BLOCK, fates)? {
                bytes.truncate(len - block * BLOCK);
                shown.insert(bytes);
            }
            if shown.len() * contents.len() > MOST {
                return None;
            }
            for bytes in shown {
                more.extend(contents.iter().map(|before: &Vec<u8>| {
                    let mut content = before.clone();
                    content.extend(&bytes);
                    content.truncate(len);
                    content
                }));
            }
            contents = more;
        }
        Some(contents.iter().map(|content| runs(content)).collect())
    }

    /// What the first `seen` bytes of a block may show. A version is its content, `None` for a block that was never written
    /// or was cut off.
    fn block(
        &self,
        ino: usize,
        block: usize,
        seen: usize,
        fates: &[Fate],
    ) -> Option<BTreeSet<Vec<u8>>> {
        let from = block * BLOCK;
        let base = (self.base[ino].len() > from).then(|| {
            let mut content = self.base[ino][from..].to_vec();
            content.resize(BLOCK, 0);
            content
        });
        // Each version as it is after the cuts behind it; the first is the oldest from the floor.
        let mut versions = vec![base];
        let mut missing = false;
        for (at, made) in self.made.iter().enumerate().take(fates.len()) {
            match &made.effect {
                Effect::Data { ino: i, block: b, content } if (*i, *b) == (ino, block) => {
                    match fates[at] {
                        Fate::Evicted => continue,
                        Fate::Lost => {
                            missing = true;
                            continue;
                        }
                        Fate::Floor => versions.clear(),
                        Fate::Kept => {}
                    }
                    versions.push(Some(content.clone()));
                }
                Effect::SetLen { ino: i, len, shorter: true }
                    if *i == ino && fates[at].is_there() =>
                {
                    // A block that was cut off has nothing to come: what was written to it went
                    // elsewhere.
                    missing &= *len > from;
                    for version in &mut versions {
                        *version = cut(version.take(), len.saturating_sub(from));
                    }
                }
                _ => {}
            }
        }
        self.show(&versions, missing, seen)
    }

    fn show(
        &self,
        versions: &[Option<Vec<u8>>],
        missing: bool,
        seen: usize,
    ) -> Option<BTreeSet<Vec<u8>>> {
        let zeros = || vec![0; BLOCK];
        let junk = || ondisk_junk();
        let mut shown = BTreeSet::new();
        let last = versions.last().unwrap();
        shown.insert(last.clone().unwrap_or_else(zeros));
        if last.is_none() && missing && self.model.fill == Fill::ZeroOrJunk {
            shown.insert(junk());
        }
        if self.model.tear == Tear::Never {
            return Some(shown);
        }
        let mut parts: BTreeSet<Vec<u8>> =
            versions.iter().map(|version| version.clone().unwrap_or_else(zeros)).collect();
        let unwritten = versions.iter().rposition(Option::is_none);
        let behind = unwritten.is_some_and(|at| missing || at + 1 < versions.len());
        if behind && self.model.fill == Fill::ZeroOrJunk {
            parts.insert(junk());
        }
        let mut torn = vec![Vec::new()];
        for sector in 0..seen.min(BLOCK).div_ceil(SECTOR) {
            let range = sector * SECTOR..(sector + 1) * SECTOR;
            let shows: BTreeSet<&[u8]> = parts.iter().map(|part| &part[range.clone()]).collect();
            if torn.len() * shows.len() > 300 {
                return None;
            }
            torn = torn
                .iter()
                .flat_map(|before: &Vec<u8>| shows.iter().map(move |part| [before, *part].concat()))
                .collect();
        }
        shown.extend(torn);
        Some(shown)
    }
}

/// A version after a cut to so many bytes of it.
fn cut(version: Option<Vec<u8>>, keep: usize) -> Option<Vec<u8>> {
    let mut content = version.filter(|_| keep > 0)?;
    if keep < BLOCK {
        content[keep..].fill(0);
    }
    Some(content)
}

/// Stands for any bytes: the simulation has one such block, and images are compared with all of
/// its bytes put in place of this.
fn ondisk_junk() -> Vec<u8> {
    vec![0xFF; BLOCK]
}
