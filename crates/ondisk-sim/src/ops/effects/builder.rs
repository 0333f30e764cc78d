//! Takes a history apart into effects: what each call changes, and what that needs.
//!
//! Invariant: calls and returns are dealt with in their order, each at its own place: a sync covers
//! what had returned when it was called, whatever was called while it ran. What a rule of a model
//! means stands here and nowhere else.
//!
//! Knows nothing of cuts.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use ondisk_fs::BLOCK;

use super::{
    AnyOf, BlockStep, Effect, EffectId, Effects, FileSteps, Kind, LastOf, LenStep, NEVER, NameStep,
    cuts_block,
};
use crate::ops::history::{At, Call, History, Ino, SyncKind, What, WriteSync};
use crate::ops::media::Is;
use crate::ops::model::{Append, Len, Model, Names, Needs, Raise, RaiseDir, Rename, Replace};
use crate::ops::path::Name;
use crate::ops::store::BlockId;

mod floors;
mod stops;

use stops::{Stops, Why};

/// Reads a history once, from its first call to its last return.
pub(super) struct Builder<'a> {
    history: &'a History,
    effects: Effects,
    /// The last link of the one chain.
    chain: Option<EffectId>,
    /// By call: its effects.
    own: Vec<Range<EffectId>>,
    stops: Stops,
}

impl<'a> Builder<'a> {
    pub(super) fn new(model: &Model, history: &'a History) -> Self {
        let first_made = history.base.inodes();
        let mut effects = Effects {
            model: *model,
            list: Vec::new(),
            needs: Vec::new(),
            needed_by: Vec::new(),
            commits: Vec::new(),
            lens_of: Vec::new(),
            any_of_len: BTreeMap::new(),
            any_of: BTreeMap::new(),
            files: vec![FileSteps::default(); history.next_ino.index()],
            names: BTreeMap::new(),
            made: vec![Is::File; history.next_ino.index() - first_made],
            first_made,
            targets: BTreeMap::new(),
        };
        if matches!(model.len, Len::Float(_)) {
            for (ino, file) in (0..).zip(&mut effects.files) {
                file.reserved = history.base.reserved(Ino(ino));
            }
        }
        Self {
            history,
            effects,
            chain: None,
            own: vec![0..0; history.calls.len()],
            stops: Stops::new(model, history),
        }
    }

    pub(super) fn finish(mut self) -> Effects {
        let mut needed_by = vec![Vec::new(); self.effects.list.len()];
        for (at, needs) in (0..).zip(&self.effects.needs) {
            for need in needs {
                needed_by[*need as usize].push(at);
            }
        }
        self.effects.needed_by = needed_by;
        for (at, any_of) in self.effects.lens_of.iter_mut().enumerate() {
            self.effects.any_of_len.extend(any_of.lens.iter().map(|len| (*len, at)));
            let dropped = |effect: &EffectId| self.effects.list[*effect as usize].dropped;
            let all = any_of.any.iter().chain(&any_of.later);
            any_of.dropped = all.map(dropped).min().unwrap_or(NEVER);
            for effect in &any_of.any {
                self.effects.any_of.entry(*effect).or_default().push(at);
            }
        }
        self.effects
    }

    fn next(&self) -> EffectId {
        EffectId::try_from(self.effects.list.len()).unwrap_or(EffectId::MAX)
    }

    /// Adds an effect with what it needs; a chained one also needs the link before it, or waits for
    /// its commit.
    fn add(&mut self, call: u32, kind: Kind, chained: bool, mut needs: Vec<EffectId>) -> EffectId {
        let id = self.next();
        if chained && self.effects.model.names == Names::ChainPlusSynced {
            self.effects.commits.push(id);
        } else if chained {
            needs.extend(self.chain);
            self.chain = Some(id);
        }
        needs.sort();
        needs.dedup();
        let made = self.history.calls[call as usize].called;
        let effect = Effect {
            kind,
            call,
            made,
            floor: NEVER,
            dropped: NEVER,
            evicted: NEVER,
            chained,
            apart: NEVER,
        };
        self.effects.list.push(effect);
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
        let call = &self.history.calls[at as usize];
        self.effects_of(at, call);
        self.own[at as usize] = first..self.next();
        if self.effects.model.names == Names::ChainPlusSynced {
            self.stand_apart(call);
        }
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
            What::Write { .. } => self.write(at, call),
            What::SetLen { ino, old_len, len } => self.set_len(at, *ino, *old_len, *len),
            What::Allocate { ino, old_len, len } => {
                if len > old_len {
                    self.set_len(at, *ino, *old_len, *len);
                }
                self.reserve(*ino, *len);
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

    /// The blocks of a write, and the lengths on its way, one after the other.
    fn write(&mut self, at: u32, call: &Call) {
        let What::Write { ino, offset, len, old_len, versions, .. } = &call.what else { return };
        let end = offset + len;
        self.length_was(*ino, *old_len);
        let (Len::Float(wants) | Len::Chain(wants)) = self.effects.model.len;
        let mut stops = self.stops.of(call.called, *ino, *old_len..end, *offset);
        for at_version in versions.clone() {
            let version = self.history.versions[at_version as usize];
            self.data(at, *ino, version.block, version.content);
            let stop = end.min((u64::from(version.block) + 1) * BLOCK as u64);
            let wants = match stops.remove(&stop) {
                Some(Why::Reserved(_)) => Needs::Nothing,
                _ => wants,
            };
            let behind = stops.split_off(&stop);
            for (stop, why) in std::mem::replace(&mut stops, behind) {
                self.stop(at, *ino, *offset, (stop, why));
            }
            if stop > *old_len {
                self.len(at, *ino, version.block, stop, wants);
            }
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
            if self.effects.model.names == Names::ChainPlusSynced {
                needs.extend(self.name_above(*dir));
            }
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

    /// The last change of a new directory's own name.
    fn name_above(&self, dir: Ino) -> Option<EffectId> {
        let file = &self.effects.files[dir.index()];
        file.creation.and(file.names.last().copied())
    }

    /// A sync is called: of now on the names of its file or directory stand apart from the chain, and
    /// so do those that they bring.
    fn stand_apart(&mut self, call: &Call) {
        let mut left = match &call.what {
            What::Sync { ino, .. } | What::SyncRange { ino, .. } | What::SyncDir { ino } => {
                self.links_of(*ino)
            }
            What::Write { ino, sync: WriteSync::Data | WriteSync::All, .. } => self.links_of(*ino),
            _ => Vec::new(),
        };
        while let Some(id) = left.pop() {
            let effect = &mut self.effects.list[id as usize];
            if effect.chained && effect.apart == NEVER {
                effect.apart = call.called;
                left.extend(&self.effects.needs[id as usize]);
            }
        }
    }

    /// The links of the chain that are a file's own, or a directory's and those of the names in it.
    fn links_of(&self, ino: Ino) -> Vec<EffectId> {
        let file = &self.effects.files[ino.index()];
        let names_in = self.effects.names.get(&ino).into_iter().flat_map(BTreeMap::values);
        let names_in = names_in.flatten().map(|step| step.effect);
        let lens = file.lens.iter().map(|step| step.effect);
        file.names.iter().copied().chain(lens).chain(names_in).collect()
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
        // What was reserved has its place: where that is all that was written, there is nothing to be
        // allocated, and so nothing goes down.
        let all_placed = file.reserved > 0 && file.fresh.is_empty();
        let len = file.lens.last().filter(|_| !all_placed).map(|step| step.effect);
        match self.effects.model.replace {
            // With InOrder the one chain says it.
            Replace::Nothing | Replace::InOrder => Vec::new(),
            Replace::LenFirst => len.into_iter().collect(),
            Replace::DataFirst => file.fresh.iter().map(|(_, effect)| *effect).chain(len).collect(),
        }
    }

    fn data(&mut self, call: u32, ino: Ino, block: u32, content: BlockId) {
        let file = &self.effects.files[ino.index()];
        let mut needs: Vec<_> =
            file.block(block).last().map(|step| step.effect).into_iter().collect();
        if self.names_chained() && file.has_cuts {
            needs.extend(self.needed_cut(ino, block));
        }
        let chained = self.effects.model.names == Names::Everything;
        let is_new = self.is_new(ino, block);
        let any_of = self.effects.files[ino.index()].any_of;
        let is_first = any_of.is_some() && self.pending(ino, block).next().is_none();
        let effect = self.add(call, Kind::Data { ino, block }, chained, needs);
        let file = self.file(ino);
        file.blocks.entry(block).or_default().push(BlockStep { effect, content });
        if is_new && u64::from(block) * (BLOCK as u64) >= file.reserved {
            file.fresh.push((block, effect));
        }
        let Effects { files, lens_of, list, .. } = &mut self.effects;
        let lasts = &mut files[ino.index()].lasts;
        for last in lasts.iter_mut().filter(|last| last.block == block) {
            let had = std::mem::replace(&mut last.has, true);
            if !had {
                list[last.len as usize].made = list[effect as usize].made;
            }
            if let Some(any_of) = last.any_of {
                let any_of = &mut lens_of[any_of];
                if had { &mut any_of.later } else { &mut any_of.any }.push(effect);
            }
        }
        if let Some(any_of) = any_of {
            let any_of = &mut self.effects.lens_of[any_of];
            if is_first { &mut any_of.any } else { &mut any_of.later }.push(effect);
        }
    }

    /// The last truncation that what is written to a block now waits for: one that takes bytes of
    /// it. Where lengths are journalled, a greater length and the truncation may be one transaction:
    /// then the media never had those bytes, and nothing waits for it.
    fn needed_cut(&self, ino: Ino, block: u32) -> Option<EffectId> {
        let file = &self.effects.files[ino.index()];
        let is_durable = |step: &LenStep| self.effects.list[step.effect as usize].floor != NEVER;
        let takes = |at: usize| {
            let (before, len) = (&file.lens[..at], file.lens[at].len);
            let durable = before.iter().rposition(is_durable);
            let least = before[durable.unwrap_or(0)..].iter().map(|step| step.len).min();
            let least = least.into_iter().chain(durable.is_none().then_some(file.first_len)).min();
            least.is_none_or(|least| least > len)
        };
        let journalled = self.effects.model.append == Append::AsName;
        let mut cuts = (0..file.lens.len()).rev().filter(|at| {
            let step = file.lens[*at];
            step.cuts && cuts_block(step.len, block)
        });
        cuts.find(|at| !journalled || takes(*at)).map(|at| file.lens[at].effect)
    }

    /// The last truncation that took a whole block.
    fn cut_off(&self, ino: Ino, block: u32) -> Option<EffectId> {
        let from = u64::from(block) * BLOCK as u64;
        let file = &self.effects.files[ino.index()];
        let lens = file.lens.iter().filter(|_| file.has_cuts);
        lens.rev().find(|step| step.cuts && step.len <= from).map(|step| step.effect)
    }

    /// Whether a block has no place of its own before it is written now.
    fn is_new(&self, ino: Ino, block: u32) -> bool {
        let last = self.effects.files[ino.index()].block(block).last();
        match (last, self.cut_off(ino, block)) {
            (Some(last), cut) => cut > Some(last.effect) || last.content == BlockId::HOLE,
            (None, Some(_)) => true,
            (None, None) => self.history.base.is_hole(ino, block) == Some(true),
        }
    }

    /// The versions of a block that are not durable, since it was last cut off.
    fn pending(&self, ino: Ino, block: u32) -> impl Iterator<Item = EffectId> + '_ {
        let cut = self.cut_off(ino, block);
        let steps = self.effects.files[ino.index()].block(block).iter().map(|step| step.effect);
        let since = steps.filter(move |effect| Some(*effect) > cut);
        since.filter(|effect| self.effects.list[*effect as usize].floor == NEVER)
    }

    /// A length that a write brings, which ends in a block.
    fn len(&mut self, call: u32, ino: Ino, block: u32, len: u64, wants: Needs) {
        let model = self.effects.model;
        let mut needs = self.last_len(ino);
        let in_chain = matches!(model.len, Len::Chain(_)) || model.names == Names::Everything;
        let journalled = model.append == Append::AsName && self.below_floor(ino, block);
        let wants = if journalled { Needs::Nothing } else { wants };
        let file = self.file(ino);
        match wants {
            Needs::Nothing | Needs::Some | Needs::Last | Needs::LastAny => {}
            // Those that an earlier length needs come with it.
            Needs::All => {
                let new = file.fresh.extract_if(.., |(fresh, _)| *fresh <= block);
                needs.extend(new.map(|(_, effect)| effect));
            }
        }
        let effect = self.add(call, Kind::Len { ino, len }, in_chain || journalled, needs);
        self.len_step(ino, LenStep { effect, len, cuts: false });
        match wants {
            Needs::Nothing | Needs::All => {}
            Needs::Some => self.need_any_of(ino, effect),
            Needs::Last | Needs::LastAny => self.need_last(ino, block, effect, wants),
        }
    }

    /// A length at which a file may stop besides, on the way of a write. A block that has its place
    /// brings none any more, and what is written to it brings the length at once.
    fn stop(&mut self, call: u32, ino: Ino, offset: u64, (len, why): (u64, Why)) {
        let Ok(block) = u32::try_from((len - 1) / BLOCK as u64) else { return };
        let is_written = u64::from(block) >= offset / BLOCK as u64;
        if self.below_floor(ino, block) && (is_written || why == Why::LeftOut) {
            return;
        }
        let needs = self.last_len(ino);
        let waiting = self.file(ino).last_of.clone();
        let effect = self.add(call, Kind::Len { ino, len }, false, needs);
        self.len_step(ino, LenStep { effect, len, cuts: false });
        // It may never come to be: the next takes its place then.
        self.file(ino).last_of = waiting;
        let floats = self.effects.model.len == Len::Float(Needs::Nothing);
        match why {
            Why::Reserved(made) => self.effects.list[effect as usize].made = made,
            Why::LeftOut if floats => {
                let has = self.pending(ino, block).next().is_some();
                self.file(ino).lasts.push(LastOf { block, len: effect, any_of: None, has });
            }
            Why::LeftOut => self.need_last(ino, block, effect, Needs::LastAny),
        }
        if self.effects.files[ino.index()]
            .lasts
            .last()
            .is_some_and(|it| it.len == effect && !it.has)
        {
            // Nobody wrote the block yet.
            self.effects.list[effect as usize].made = NEVER;
        }
    }

    /// Blocks are reserved: where lengths float, nobody waits for what is written to them.
    fn reserve(&mut self, ino: Ino, len: u64) {
        if matches!(self.effects.model.len, Len::Float(_)) {
            let file = self.file(ino);
            file.reserved = file.reserved.max(len);
            file.fresh.retain(|(block, _)| u64::from(*block) * (BLOCK as u64) >= len);
        }
    }

    /// A length needs its last block, or the length that comes next.
    fn need_last(&mut self, ino: Ino, block: u32, len: EffectId, wants: Needs) {
        let mut any_of = AnyOf { lens: vec![len], dropped: NEVER, ..AnyOf::default() };
        if wants == Needs::LastAny {
            let mut pending = self.pending(ino, block);
            any_of.any.extend(pending.next());
            any_of.later.extend(pending);
        } else {
            let last = self.effects.files[ino.index()].block(block).last();
            any_of.any.extend(last.map(|step| step.effect));
        }
        let has = !any_of.any.is_empty();
        self.effects.lens_of.push(any_of);
        let last = self.effects.lens_of.len() - 1;
        let file = self.file(ino);
        file.last_of.push(last);
        if wants == Needs::LastAny {
            file.lasts.push(LastOf { block, len, any_of: Some(last), has });
        }
    }

    /// A length needs one of the blocks that are not durable.
    fn need_any_of(&mut self, ino: Ino, len: EffectId) {
        let any_of = match self.effects.files[ino.index()].any_of {
            Some(any_of) => any_of,
            None => {
                let mut made = AnyOf { dropped: NEVER, ..AnyOf::default() };
                for block in self.effects.files[ino.index()].blocks.keys() {
                    let mut pending = self.pending(ino, *block);
                    made.any.extend(pending.next());
                    made.later.extend(pending);
                }
                self.effects.lens_of.push(made);
                let last = self.effects.lens_of.len() - 1;
                *self.file(ino).any_of.insert(last)
            }
        };
        self.effects.lens_of[any_of].lens.push(len);
    }

    /// What the length was before its first change.
    fn length_was(&mut self, ino: Ino, len: u64) {
        let file = self.file(ino);
        if file.lens.is_empty() {
            file.first_len = len;
        }
    }

    fn set_len(&mut self, call: u32, ino: Ino, old_len: u64, len: u64) {
        self.length_was(ino, old_len);
        let needs = self.last_len(ino);
        let effect = self.add(call, Kind::SetLen { ino, len }, self.names_chained(), needs);
        self.len_step(ino, LenStep { effect, len, cuts: len < old_len });
        let file = self.file(ino);
        if len < old_len {
            let stays = |block: u32| u64::from(block) * (BLOCK as u64) < len;
            file.fresh.retain(|(block, _)| stays(*block));
            file.lasts.retain(|last| stays(last.block));
            file.reserved = file.reserved.min(len);
        }
        // Who has the new length needs no block for the ones before it.
        if let Some(any_of) = file.any_of.take() {
            self.effects.lens_of[any_of].any.push(effect);
        }
    }

    /// The last length; and where that came to be later than its write, the one before it too.
    fn last_len(&self, ino: Ino) -> Vec<EffectId> {
        let lens = self.effects.files[ino.index()].lens.iter().rev().map(|step| step.effect);
        let mut last = Vec::new();
        for len in lens {
            last.push(len);
            let Effect { made, call, .. } = self.effects.list[len as usize];
            if made == self.history.calls[call as usize].called {
                break;
            }
        }
        last
    }

    fn len_step(&mut self, ino: Ino, step: LenStep) {
        let file = &mut self.effects.files[ino.index()];
        file.has_cuts |= step.cuts;
        file.lens.push(step);
        for last_of in std::mem::take(&mut file.last_of) {
            self.effects.lens_of[last_of].any.push(step.effect);
        }
    }

    /// Whether a block has content on the media for certain, now: a block that was cut off whole
    /// has lost its place.
    fn below_floor(&self, ino: Ino, block: u32) -> bool {
        let cut = self.cut_off(ino, block);
        let durable = |step: &BlockStep| {
            Some(step.effect) > cut && self.effects.list[step.effect as usize].floor != NEVER
        };
        self.effects.files[ino.index()].block(block).iter().any(durable)
            || (cut.is_none() && self.history.base.is_hole(ino, block) == Some(false))
    }
}
