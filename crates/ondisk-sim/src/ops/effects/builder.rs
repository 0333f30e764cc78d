//! Takes a history apart into effects, and finds what its syncs have made durable.
//!
//! Invariant: calls are dealt with in their order, each with its return: they do not overlap at
//! this level. What a rule of a model means stands here and nowhere else.

use std::collections::BTreeMap;
use std::ops::Range;

use ondisk_fs::BLOCK;

use super::{
    BlockStep, Effect, EffectId, Effects, FileSteps, Kind, LenStep, NEVER, NameStep, cuts_block,
};
use crate::ops::history::{At, Call, History, Ino, SyncKind, What};
use crate::ops::media::Is;
use crate::ops::model::{Append, Len, Model, Names, Needs, Raise, RaiseDir, Rename, Replace};
use crate::ops::path::Name;
use crate::ops::store::BlockId;

/// Reads a history once, from its first call to its last return.
pub(super) struct Builder<'a> {
    history: &'a History,
    effects: Effects,
    /// The last link of the one chain.
    chain: Option<EffectId>,
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
        };
        Self { history, effects, chain: None }
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

    pub(super) fn next(&self) -> EffectId {
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

    pub(super) fn called(&mut self, at: u32, call: &Call) {
        match &call.what {
            What::Create { dir, name, ino } | What::Mkdir { dir, name, ino } => {
                let is = if matches!(call.what, What::Mkdir { .. }) { Is::Dir } else { Is::File };
                self.effects.made[ino.index() - self.effects.first_made] = is;
                let id = self.name(at, &[(*dir, name, Some(*ino))], &[*ino], Vec::new());
                self.effects.files[ino.index()].creation = Some(id);
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
            What::Sync { .. } | What::SyncDir { .. } => {}
        }
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
            self.file(*ino).last_name = Some(effect);
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
        file.last_len = Some(step.effect);
        file.lens.push(step);
    }

    /// Whether a block has content on the media for certain, now.
    fn below_floor(&self, ino: Ino, block: u32) -> bool {
        let durable = |step: &BlockStep| self.effects.list[step.effect as usize].floor != NEVER;
        self.effects.files[ino.index()].block(block).iter().any(durable)
            || self.history.base.is_hole(ino, block) == Some(false)
    }

    // Returns.

    /// What a call has made durable when it returns; the effects up to `covered` are those of the
    /// calls that had returned when it was made.
    pub(super) fn returned(&mut self, call: &Call, covered: EffectId) {
        let own = covered..self.next();
        match (&call.what, call.result) {
            (What::Sync { ino, kind }, Ok(_)) if call.honest => {
                let raise = match kind {
                    SyncKind::Data => self.effects.model.datasync,
                    SyncKind::All => self.effects.model.sync,
                };
                self.raise_file(*ino, covered, call.returned);
                self.raise_names(*ino, raise, covered, call.returned);
            }
            (What::Sync { ino, .. }, Err(_)) => self.drop_data(*ino, 0..covered, call.returned),
            (What::SyncDir { ino }, Ok(_)) if call.honest => {
                self.raise_dir(*ino, covered, call.returned);
            }
            (What::Write { ino, durable: true, .. }, Ok(_)) if call.honest => {
                let raise = self.effects.model.datasync;
                for effect in own.clone() {
                    self.raise(effect, call.returned);
                }
                self.raise_names(*ino, raise, own.end, call.returned);
            }
            (What::Write { ino, durable: true, .. }, Err(_)) => {
                self.drop_data(*ino, own.clone(), call.returned);
            }
            _ => {}
        }
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
    fn raise_file(&mut self, ino: Ino, covered: EffectId, at: At) {
        let file = &self.effects.files[ino.index()];
        let list = &self.effects.list;
        let covered = |effect: EffectId| effect < covered && list[effect as usize].dropped == NEVER;
        let newest = |steps: &Vec<BlockStep>| {
            steps.iter().rev().map(|step| step.effect).find(|effect| covered(*effect))
        };
        let len = file.lens.iter().rev().map(|step| step.effect).find(|effect| covered(*effect));
        let raised: Vec<_> = file.blocks.values().filter_map(newest).chain(len).collect();
        for effect in raised {
            self.raise(effect, at);
        }
    }

    /// The names that the sync of a file raises.
    fn raise_names(&mut self, ino: Ino, raise: Raise, covered: EffectId, at: At) {
        let file = &self.effects.files[ino.index()];
        let last = match raise {
            Raise::Nothing => None,
            Raise::ToLastNameOrLen => file.last_name.max(file.last_len),
            Raise::ToCreationOrLen => file.creation.max(file.last_len),
            Raise::AllBefore => return self.raise_all(covered, at),
        };
        if let Some(last) = last {
            self.raise_chain(covered.min(last + 1), at);
        }
    }

    /// The one chain, up to an effect.
    fn raise_chain(&mut self, end: EffectId, at: At) {
        let last = (0..end).rev().find(|id| self.effects.list[*id as usize].chained);
        if let Some(last) = last {
            self.raise(last, at);
        }
    }

    fn raise_all(&mut self, end: EffectId, at: At) {
        for id in (0..end).rev() {
            if self.effects.list[id as usize].dropped == NEVER {
                self.raise(id, at);
            }
        }
    }

    fn raise_dir(&mut self, dir: Ino, covered: EffectId, at: At) {
        match self.effects.model.sync_dir {
            RaiseDir::AllNames => self.raise_chain(covered, at),
            RaiseDir::AllBefore => self.raise_all(covered, at),
            RaiseDir::NamesIn => {
                let names = self.effects.names.get(&dir).into_iter().flat_map(BTreeMap::values);
                let last = |steps: &Vec<NameStep>| {
                    steps.iter().rev().map(|step| step.effect).find(|effect| *effect < covered)
                };
                let raised: Vec<_> = names.filter_map(last).collect();
                for effect in raised {
                    self.raise(effect, at);
                }
            }
        }
    }

    /// A failed sync: its data are clean in the page cache, and no later sync covers them.
    fn drop_data(&mut self, ino: Ino, range: Range<EffectId>, at: At) {
        for effect in &mut self.effects.list[range.start as usize..range.end as usize] {
            let its = matches!(effect.kind, Kind::Data { ino: of, .. } if of == ino);
            if its && effect.floor == NEVER && effect.dropped == NEVER {
                effect.dropped = at;
            }
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
