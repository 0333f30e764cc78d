//! What is durable, and since when: what the returns of syncs make of the effects.
//!
//! Invariant: a floor rises when a sync returns Ok, never before and never for what was called
//! after the sync was; and what is durable is closed: with an effect all that it needs.

use super::*;

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

impl Builder<'_> {
    /// A call returns. What that makes durable, or drops, is of calls that had returned when it was
    /// made; of a write, its own.
    pub(in crate::ops::effects) fn returned(&mut self, at: u32) {
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
            (What::Write { ino, offset, len, sync, .. }, Ok(_)) => {
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
                self.raise_range(*ino, *offset..offset.saturating_add(*len), covered);
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
            if let Kind::Data { ino, .. } = known.kind {
                // The lengths made so far have their block; those to come need another one.
                self.effects.files[ino.index()].any_of = None;
            }
            left.extend(self.effects.needs[id as usize].iter().map(|need| (*need, false)));
            if !self.effects.commits.is_empty() && self.effects.waits(at, id) {
                left.extend(self.effects.commit_of(id).iter().map(|link| (*link, false)));
            }
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
        // A length that the journal does not know brings nothing.
        let is_known = |effect: &EffectId| {
            let effect = &self.effects.list[*effect as usize];
            effect.chained || effect.floor <= covered.returned
        };
        let lens = || file.lens.iter().rev().map(|step| step.effect);
        let len = || lens().find(|effect| is_covered(effect) && is_known(effect));
        let last = match raise {
            Raise::Nothing => None,
            Raise::OwnNames => {
                let names: Vec<_> = file.names.iter().copied().filter(is_covered).collect();
                names.iter().for_each(|name| self.raise(*name, covered.returned));
                return;
            }
            Raise::ToCreationOrLen => file.creation.filter(is_covered).max(len()),
            Raise::ToLastNameOrLen => name().max(len()),
            Raise::AllBefore => return self.raise_all(covered),
        };
        if let Some(last) = last {
            self.raise_chain(Covered { end: covered.end.min(last + 1), ..covered });
        }
    }

    /// The one chain, as far as it is covered.
    fn raise_chain(&mut self, covered: Covered) {
        let is_last = |id: &EffectId| {
            self.effects.list[*id as usize].chained && self.is_pending(covered, *id)
        };
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
                for effect in self.last_names_in(dir, covered) {
                    self.raise(effect, covered.returned);
                }
            }
            RaiseDir::ToLastItem => {
                let own = self.effects.files[dir.index()].names.iter().copied();
                let own = own.filter(|effect| self.covers(covered, *effect));
                let last = self.last_names_in(dir, covered).into_iter().chain(own).max();
                if let Some(last) = last {
                    self.raise_chain(Covered { end: covered.end.min(last + 1), ..covered });
                }
            }
        }
    }

    /// Of each name in a directory the last change.
    fn last_names_in(&self, dir: Ino, covered: Covered) -> Vec<EffectId> {
        let names = self.effects.names.get(&dir).into_iter().flat_map(BTreeMap::values);
        let last = |steps: &Vec<NameStep>| {
            let mut effects = steps.iter().rev().map(|step| step.effect);
            effects.find(|effect| self.covers(covered, *effect))
        };
        names.filter_map(last).collect()
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
    pub(super) fn evict(&mut self, ino: Ino, blocks: &[u32], at: At) {
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
