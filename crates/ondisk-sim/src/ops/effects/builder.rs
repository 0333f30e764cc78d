//! Takes a history apart into effects, and finds what its syncs have made durable.
//!
//! Invariant: calls and returns are dealt with in their order, each at its own place: a sync covers
//! what had returned when it was called, whatever was called while it ran. What a rule of a model
//! means stands here and nowhere else.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use ondisk_fs::BLOCK;

use super::{
    BlockStep, Effect, EffectId, Effects, FileSteps, Kind, LenStep, NEVER, NameStep, cuts_block,
};
use crate::ops::history::{At, Call, History, Ino, SyncKind, What, WriteSync};
use crate::ops::media::Is;
use crate::ops::model::{Append, Len, Model, Names, Needs, Raise, RaiseDir, Rename, Replace};
use crate::ops::path::Name;
use crate::ops::store::BlockId;

/// What a sync covers: effects of calls that had returned when it was called.
#[derive(Clone, Copy, Debug)]
struct Covered {
    called: At,
    /// Effects from this one on were made later.
    end: EffectId,
    /// When the sync returned.
    returned: At,
}

/// The blocks that a range of bytes touches.
fn blocks_of(bytes: Range<u64>) -> Range<u32> {
    let block = |at: u64| u32::try_from(at).unwrap_or(u32::MAX);
    block(bytes.start / BLOCK as u64)..block(bytes.end.div_ceil(BLOCK as u64))
}

/// Reads a history once, from its first call to its last return.
pub(super) struct Builder<'a> {
    history: &'a History,
    effects: Effects,
    /// The last link of the one chain.
    chain: Option<EffectId>,
    /// By call: its effects.
    own: Vec<Range<EffectId>>,
}

impl<'a> Builder<'a> {
    pub(super) fn new(model: &Model, history: &'a History) -> Self {
        let first_made = history.base.inodes();
        let effects = Effects {
            model: *model,
            list: Vec::new(),
            needs: Vec::new(),
            needed_by: Vec::new(),
            files: vec![FileSteps::default(); history.next_ino.index()],
            names: BTreeMap::new(),
            made: vec![Is::File; history.next_ino.index() - first_made],
            first_made,
            targets: BTreeMap::new(),
        };
        Self { history, effects, chain: None, own: vec![0..0; history.calls.len()] }
    }

    pub(super) fn finish(mut self) -> Effects {
        let mut needed_by = vec![Vec::new(); self.effects.list.len()];
        for (at, needs) in (0..).zip(&self.effects.needs) {
            for need in needs {
                needed_by[*need as usize].push(at);
            }
        }
        self.effects.needed_by = needed_by;
        self.effects
    }

    fn next(&self) -> EffectId {
        EffectId::try_from(self.effects.list.len()).unwrap_or(EffectId::MAX)
    }

    /// Adds an effect with what it needs; a chained one also needs the link before it.
    fn add(&mut self, call: u32, kind: Kind, chained: bool, mut needs: Vec<EffectId>) -> EffectId {
        let id = self.next();
        if chained {
            needs.extend(self.chain);
            self.chain = Some(id);
        }
        needs.sort();
        needs.dedup();
        let made = self.history.calls[call as usize].called;
        let (floor, dropped, evicted) = (NEVER, NEVER, NEVER);
        self.effects.list.push(Effect { kind, call, made, floor, dropped, evicted, chained });
        self.effects.needs.push(needs);
        id
    }

    /// Whether a change of names or of a length is a link of the one chain.
    fn names_chained(&self) -> bool {
        self.effects.model.names != Names::PerName
    }

    /// A call is made: its effects are there from here on, to be kept or lost.
    pub(super) fn called(&mut self, at: u32) {
        let first = self.next();
        self.effects_of(at, &self.history.calls[at as usize]);
        self.own[at as usize] = first..self.next();
    }

    fn effects_of(&mut self, at: u32, call: &'a Call) {
        match &call.what {
            What::Create { dir, name, ino } => self.make(at, *dir, name, *ino, Is::File),
            What::Mkdir { dir, name, ino } => self.make(at, *dir, name, *ino, Is::Dir),
            What::Symlink { dir, name, ino, target } => {
                self.effects.targets.insert(*ino, Arc::clone(target));
                self.make(at, *dir, name, *ino, Is::Symlink);
            }
            What::Link { dir, name, ino } => {
                self.name(at, &[(*dir, name, Some(*ino))], &[*ino], Vec::new());
            }
            What::Unlink { dir, name, ino } | What::Rmdir { dir, name, ino } => {
                self.name(at, &[(*dir, name, None)], &[*ino], Vec::new());
            }
            What::Rename { from, to, ino, replaced } => {
                self.rename(at, from, to, *ino, *replaced);
            }
            What::Exchange { one, ino, other, with } => {
                let changes = [(one.0, &one.1, Some(*with)), (other.0, &other.1, Some(*ino))];
                self.name(at, &changes, &[*ino, *with], Vec::new());
            }
            What::Punch { ino, versions, .. } => {
                for version in versions.clone() {
                    let version = self.history.versions[version as usize];
                    self.data(at, *ino, version.block, version.content);
                }
            }
            What::Write { ino, offset, len, old_len, versions, .. } => {
                let end = offset + len;
                for at_version in versions.clone() {
                    let version = self.history.versions[at_version as usize];
                    self.data(at, *ino, version.block, version.content);
                    let stop = end.min((u64::from(version.block) + 1) * BLOCK as u64);
                    if stop > *old_len {
                        self.len(at, *ino, version.block, stop);
                    }
                }
            }
            What::SetLen { ino, old_len, len } => self.set_len(at, *ino, *old_len, *len),
            What::Allocate { ino, old_len, len } => {
                if len > old_len {
                    self.set_len(at, *ino, *old_len, *len);
                }
            }
            What::Rot { ino, versions } => {
                for version in versions.clone() {
                    let version = self.history.versions[version as usize];
                    let kind = Kind::Data { ino: *ino, block: version.block };
                    let effect = self.add(at, kind, false, Vec::new());
                    // It happened on the media: there is nothing to lose.
                    self.effects.list[effect as usize].floor = call.called;
                    let step = BlockStep { effect, content: version.content };
                    self.file(*ino).blocks.entry(version.block).or_default().push(step);
                }
            }
            What::Evict { ino, blocks } => self.evict(*ino, blocks, call.called),
            What::Chmod { .. }
            | What::Sync { .. }
            | What::SyncRange { .. }
            | What::SyncDir { .. }
            | What::SyncEverything => {}
        }
    }

    /// An inode with its first name.
    fn make(&mut self, call: u32, dir: Ino, name: &Name, ino: Ino, is: Is) {
        self.effects.made[ino.index() - self.effects.first_made] = is;
        let id = self.name(call, &[(dir, name, Some(ino))], &[ino], Vec::new());
        self.effects.files[ino.index()].creation = Some(id);
    }

    fn file(&mut self, ino: Ino) -> &mut FileSteps {
        &mut self.effects.files[ino.index()]
    }

    /// One change of names, of one or two of them at once.
    fn name(
        &mut self,
        call: u32,
        changes: &[(Ino, &Name, Option<Ino>)],
        inodes: &[Ino],
        mut needs: Vec<EffectId>,
    ) -> EffectId {
        for (dir, name, _) in changes {
            needs.extend(self.effects.name(*dir, name).last().map(|step| step.effect));
        }
        let effect = self.add(call, Kind::Name, self.names_chained(), needs);
        for (dir, name, ino) in changes {
            let names = self.effects.names.entry(*dir).or_default();
            let steps = names.entry((*name).clone()).or_default();
            steps.push(NameStep { effect, ino: *ino });
        }
        for ino in inodes {
            self.file(*ino).names.push(effect);
        }
        effect
    }

    fn rename(
        &mut self,
        call: u32,
        from: &(Ino, Name),
        to: &(Ino, Name),
        ino: Ino,
        replaced: Option<Ino>,
    ) {
        let mut needs = Vec::new();
        if replaced.is_some() {
            needs = self.replacing(ino);
        }
        let (old, new) = ((from.0, &from.1, None), (to.0, &to.1, Some(ino)));
        let two = self.effects.model.rename == Rename::TwoAcrossDirs && from.0 != to.0;
        let inodes: Vec<Ino> = std::iter::once(ino).chain(replaced).collect();
        if two {
            let first = self.name(call, &[new], &inodes, needs);
            self.name(call, &[old], &inodes, vec![first]);
        } else {
            self.name(call, &[old, new], &inodes, needs);
        }
    }

    /// What a rename of this file over another one needs.
    fn replacing(&self, ino: Ino) -> Vec<EffectId> {
        let file = &self.effects.files[ino.index()];
        let len = file.lens.last().map(|step| step.effect);
        match self.effects.model.replace {
            // With InOrder the one chain says it.
            Replace::Nothing | Replace::InOrder => Vec::new(),
            Replace::LenFirst => len.into_iter().collect(),
            Replace::DataFirst => {
                let newest = |steps: &Vec<BlockStep>| steps.last().map(|step| step.effect);
                file.blocks.values().filter_map(newest).chain(len).collect()
            }
        }
    }

    fn data(&mut self, call: u32, ino: Ino, block: u32, content: BlockId) {
        let file = &self.effects.files[ino.index()];
        let mut needs: Vec<_> =
            file.block(block).last().map(|step| step.effect).into_iter().collect();
        if self.names_chained() {
            let cut = file.lens.iter().rev().find(|step| step.cuts && cuts_block(step.len, block));
            needs.extend(cut.map(|step| step.effect));
        }
        let chained = self.effects.model.names == Names::Everything;
        let effect = self.add(call, Kind::Data { ino, block }, chained, needs);
        self.file(ino).blocks.entry(block).or_default().push(BlockStep { effect, content });
    }

    /// A length that a write brings, which ends in a block.
    fn len(&mut self, call: u32, ino: Ino, block: u32, len: u64) {
        let model = self.effects.model;
        let mut needs = self.last_len(ino);
        let file = &self.effects.files[ino.index()];
        let (in_chain, wants) = match model.len {
            Len::Float(wants) => (model.names == Names::Everything, wants),
            Len::Chain(wants) => (true, wants),
        };
        let journalled = model.append == Append::AsName && self.below_floor(ino, block);
        match wants {
            _ if journalled => {}
            Needs::Nothing => {}
            Needs::All => {
                let new = file.blocks.range(..=block).filter_map(|(_, steps)| steps.first());
                needs.extend(new.map(|step| step.effect));
            }
            Needs::Last => needs.extend(file.block(block).last().map(|step| step.effect)),
        }
        let effect = self.add(call, Kind::Len { ino, len }, in_chain || journalled, needs);
        self.len_step(ino, LenStep { effect, len, cuts: false });
    }

    fn set_len(&mut self, call: u32, ino: Ino, old_len: u64, len: u64) {
        let needs = self.last_len(ino);
        let effect = self.add(call, Kind::SetLen { ino, len }, self.names_chained(), needs);
        self.len_step(ino, LenStep { effect, len, cuts: len < old_len });
    }

    fn last_len(&self, ino: Ino) -> Vec<EffectId> {
        self.effects.files[ino.index()].lens.last().map(|step| step.effect).into_iter().collect()
    }

    fn len_step(&mut self, ino: Ino, step: LenStep) {
        let file = self.file(ino);
        file.has_cuts |= step.cuts;
        file.lens.push(step);
    }

    /// Whether a block has content on the media for certain, now.
    fn below_floor(&self, ino: Ino, block: u32) -> bool {
        let durable = |step: &BlockStep| self.effects.list[step.effect as usize].floor != NEVER;
        self.effects.files[ino.index()].block(block).iter().any(durable)
            || self.history.base.is_hole(ino, block) == Some(false)
    }

    // Returns.

    /// A call returns. What that makes durable, or drops, is of calls that had returned when it was
    /// made; of a write, its own.
    pub(super) fn returned(&mut self, at: u32) {
        let call = &self.history.calls[at as usize];
        let Some(returned) = call.returned else { return };
        let own = self.own[at as usize].clone();
        let covered = Covered { called: call.called, end: own.start, returned };
        match (&call.what, call.result) {
            (_, Ok(_)) if !call.honest => {}
            (What::Sync { ino, kind }, Ok(_)) => {
                self.raise_file(*ino, covered);
                self.raise_names(*ino, self.raise_of(*kind), covered);
            }
            (What::SyncRange { ino, offset, len, kind }, Ok(_)) => {
                self.raise_range(*ino, *offset..offset.saturating_add(*len), covered);
                self.raise_names(*ino, self.raise_of(*kind), covered);
            }
            (What::SyncDir { ino }, Ok(_)) => self.raise_dir(*ino, covered),
            (What::SyncEverything, Ok(_)) => self.raise_all(covered),
            (What::Write { ino, sync, .. }, Ok(_)) => {
                let kind = match sync {
                    WriteSync::No => return,
                    WriteSync::Data => SyncKind::Data,
                    WriteSync::All => SyncKind::All,
                };
                for effect in own.clone() {
                    self.raise(effect, returned);
                }
                // It covers itself.
                let covered = Covered { called: returned.next(), end: own.end, returned };
                self.raise_names(*ino, self.raise_of(kind), covered);
            }
            (What::Sync { ino, .. }, Err(_)) => self.drop_data(*ino, 0..u32::MAX, covered),
            (What::SyncRange { ino, offset, len, .. }, Err(_)) => {
                let blocks = blocks_of(*offset..offset.saturating_add(*len));
                self.drop_data(*ino, blocks, covered);
            }
            (What::Write { ino, sync: WriteSync::Data | WriteSync::All, .. }, Err(_)) => {
                self.drop_own(*ino, own, returned);
            }
            _ => {}
        }
    }

    fn raise_of(&self, kind: SyncKind) -> Raise {
        match kind {
            SyncKind::Data => self.effects.model.datasync,
            SyncKind::All => self.effects.model.sync,
        }
    }

    /// Whether a sync covers an effect.
    fn covers(&self, covered: Covered, effect: EffectId) -> bool {
        let call = self.effects.list[effect as usize].call;
        let returned = self.history.calls[call as usize].returned;
        effect < covered.end && returned.is_some_and(|returned| returned < covered.called)
    }

    /// Makes an effect durable, with what it needs.
    fn raise(&mut self, effect: EffectId, at: At) {
        let mut left = vec![(effect, true)];
        while let Some((id, asked)) = left.pop() {
            let known = &mut self.effects.list[id as usize];
            if known.floor <= at {
                continue;
            }
            if known.dropped == NEVER || asked {
                known.floor = at;
            }
            left.extend(self.effects.needs[id as usize].iter().map(|need| (*need, false)));
        }
    }

    /// The data and the length of a file.
    fn raise_file(&mut self, ino: Ino, covered: Covered) {
        let file = &self.effects.files[ino.index()];
        let newest = |steps: &Vec<BlockStep>| {
            let mut effects = steps.iter().rev().map(|step| step.effect);
            effects.find(|effect| self.is_pending(covered, *effect))
        };
        let mut lens = file.lens.iter().rev().map(|step| step.effect);
        let len = lens.find(|effect| self.is_pending(covered, *effect));
        let raised: Vec<_> = file.blocks.values().filter_map(newest).chain(len).collect();
        for effect in raised {
            self.raise(effect, covered.returned);
        }
    }

    /// The data of a range of a file, and the lengths that writes of that range brought.
    fn raise_range(&mut self, ino: Ino, bytes: Range<u64>, covered: Covered) {
        let file = &self.effects.files[ino.index()];
        let blocks = file.blocks.range(blocks_of(bytes.clone())).map(|(_, steps)| steps);
        let newest = |steps: &Vec<BlockStep>| {
            let mut effects = steps.iter().rev().map(|step| step.effect);
            effects.find(|effect| self.is_pending(covered, *effect))
        };
        let reached = |step: &&LenStep| bytes.start < step.len && step.len <= bytes.end;
        let mut lens = file.lens.iter().rev().filter(reached).map(|step| step.effect);
        let len = lens.find(|effect| self.is_pending(covered, *effect));
        let raised: Vec<_> = blocks.filter_map(newest).chain(len).collect();
        for effect in raised {
            self.raise(effect, covered.returned);
        }
    }

    /// Whether a sync covers an effect that no failed one has dropped.
    fn is_pending(&self, covered: Covered, effect: EffectId) -> bool {
        self.effects.list[effect as usize].dropped == NEVER && self.covers(covered, effect)
    }

    /// The names that the sync of a file raises.
    fn raise_names(&mut self, ino: Ino, raise: Raise, covered: Covered) {
        let file = &self.effects.files[ino.index()];
        let is_covered = |effect: &EffectId| self.covers(covered, *effect);
        let name = || file.names.iter().rev().copied().find(is_covered);
        let len = || file.lens.iter().rev().map(|step| step.effect).find(is_covered);
        let last = match raise {
            Raise::Nothing => None,
            Raise::ToLastNameOrLen => name().max(len()),
            Raise::ToCreationOrLen => file.creation.filter(is_covered).max(len()),
            Raise::AllBefore => return self.raise_all(covered),
        };
        if let Some(last) = last {
            self.raise_chain(Covered { end: covered.end.min(last + 1), ..covered });
        }
    }

    /// The one chain, as far as it is covered.
    fn raise_chain(&mut self, covered: Covered) {
        let is_last =
            |id: &EffectId| self.effects.list[*id as usize].chained && self.covers(covered, *id);
        if let Some(last) = (0..covered.end).rev().find(is_last) {
            self.raise(last, covered.returned);
        }
    }

    fn raise_all(&mut self, covered: Covered) {
        for id in (0..covered.end).rev() {
            if self.is_pending(covered, id) {
                self.raise(id, covered.returned);
            }
        }
    }

    fn raise_dir(&mut self, dir: Ino, covered: Covered) {
        match self.effects.model.sync_dir {
            RaiseDir::AllNames => self.raise_chain(covered),
            RaiseDir::AllBefore => self.raise_all(covered),
            RaiseDir::NamesIn => {
                let names = self.effects.names.get(&dir).into_iter().flat_map(BTreeMap::values);
                let last = |steps: &Vec<NameStep>| {
                    let mut effects = steps.iter().rev().map(|step| step.effect);
                    effects.find(|effect| self.covers(covered, *effect))
                };
                let raised: Vec<_> = names.filter_map(last).collect();
                for effect in raised {
                    self.raise(effect, covered.returned);
                }
            }
        }
    }

    /// A failed sync: its data are clean in the page cache, and no later sync covers them.
    fn drop_data(&mut self, ino: Ino, blocks: Range<u32>, covered: Covered) {
        let file = &self.effects.files[ino.index()];
        let steps = file.blocks.range(blocks).flat_map(|(_, steps)| steps);
        let dropped: Vec<_> = steps
            .map(|step| step.effect)
            .filter(|effect| self.is_pending(covered, *effect))
            .collect();
        for effect in dropped {
            self.drop(effect, covered.returned);
        }
    }

    /// The same for a write that was to be durable.
    fn drop_own(&mut self, ino: Ino, own: Range<EffectId>, at: At) {
        for effect in own {
            let kind = self.effects.list[effect as usize].kind;
            if matches!(kind, Kind::Data { ino: of, .. } if of == ino) {
                self.drop(effect, at);
            }
        }
    }

    fn drop(&mut self, effect: EffectId, at: At) {
        let effect = &mut self.effects.list[effect as usize];
        if effect.floor == NEVER && effect.dropped == NEVER {
            effect.dropped = at;
        }
    }

    /// Pages of failed syncs that the page cache forgot.
    fn evict(&mut self, ino: Ino, blocks: &[u32], at: At) {
        let Effects { files, list, .. } = &mut self.effects;
        for block in blocks {
            for step in files[ino.index()].block(*block) {
                let effect = &mut list[step.effect as usize];
                if effect.dropped != NEVER && effect.floor == NEVER {
                    effect.evicted = effect.evicted.min(at);
                }
            }
        }
    }
}
