//! What is there or not together with an effect: decided at once, so that what stays open can
//! still be kept or lost, each as it likes.
//!
//! Three rules tie effects together. One needs others: it is there only where all of them are. A
//! link of a chain of commits waits for its commit, and so for all links of earlier calls, unless it
//! stands apart. And a length may need any one of some effects.
//!
//! Invariant: an effect that is open can be kept, and can be lost.

use super::*;

/// Lengths that each need one of some effects, whichever: of blocks, or of later lengths that make
/// the blocks not matter.
#[derive(Clone, Debug, Default)]
pub(super) struct AnyOf {
    pub(super) lens: Vec<EffectId>,
    /// None of them needs another of them.
    pub(super) any: Vec<EffectId>,
    /// Later versions of the same blocks.
    pub(super) later: Vec<EffectId>,
    /// The lengths wait no more after this: a sync dropped one of all these.
    pub(super) dropped: At,
}

/// What is left of the effects of which a length needs one.
enum Left {
    /// Enough: one is there, or nobody waits any more.
    Enough,
    /// Several are open.
    Several,
    /// This one alone.
    One(EffectId),
    /// None.
    None,
}

impl Effects {
    /// Decides that a chain stands at one of its links `first..=last`, whichever: those up to
    /// `first` are there, those behind `last` are not. `None` stands for below the chain.
    pub(crate) fn narrow(
        &self,
        cut: At,
        states: &mut [State],
        chain: impl Iterator<Item = EffectId>,
        first: Option<EffectId>,
        last: Option<EffectId>,
    ) {
        if let Some(first) = first {
            self.keep(cut, states, first);
        }
        for effect in chain {
            let behind = last.is_none_or(|last| effect > last);
            if behind && states[effect as usize] != State::Out {
                self.lose(cut, states, effect);
            }
        }
    }

    /// Decides that an effect is there, with all that it needs.
    pub(crate) fn keep(&self, cut: At, states: &mut [State], effect: EffectId) {
        let mut left = vec![effect];
        let mut first = true;
        while let Some(at) = left.pop() {
            let state = &mut states[at as usize];
            match *state {
                State::In => continue,
                // Nobody waits for a dropped effect, but who came after it still waits for those
                // before it.
                State::Loose | State::Out if !first => {}
                _ => *state = State::In,
            }
            first = false;
            left.extend(&self.needs[at as usize]);
            if self.waits(cut, at) {
                left.extend(self.commit_of(at));
            }
            if let Some(any_of) = self.any_of_len.get(&at)
                && let Left::One(last) = self.left(cut, states, *any_of)
            {
                left.push(last);
            }
        }
    }

    /// Decides that an effect is not there, nor any that needs it.
    pub(crate) fn lose(&self, cut: At, states: &mut [State], effect: EffectId) {
        let was = std::mem::replace(&mut states[effect as usize], State::Out);
        let mut lost = vec![effect];
        let mut left = Vec::new();
        if was != State::Loose {
            self.lose_with(cut, states, effect, &mut left);
        }
        let mut kept = Vec::new();
        loop {
            while let Some(at) = left.pop() {
                match std::mem::replace(&mut states[at as usize], State::Out) {
                    // Lost before, with all behind it; unless it was dropped, then alone.
                    State::Out if self.list[at as usize].dropped == NEVER => continue,
                    _ => self.lose_with(cut, states, at, &mut left),
                }
                lost.push(at);
            }
            let Some(at) = lost.pop() else { break };
            for any_of in self.any_of.get(&at).into_iter().flatten() {
                let lens = &self.lens_of[*any_of].lens;
                let is = |len: &&EffectId, state| states[**len as usize] == state;
                match self.left(cut, states, *any_of) {
                    Left::None => left.extend(lens.iter().filter(|len| is(len, State::Open))),
                    Left::One(last) if lens.iter().any(|len| is(&len, State::In)) => {
                        kept.push(last);
                    }
                    _ => {}
                }
            }
        }
        for last in kept {
            self.keep(cut, states, last);
        }
    }

    /// Who is lost with an effect.
    fn lose_with(&self, cut: At, states: &[State], effect: EffectId, left: &mut Vec<EffectId>) {
        left.extend(&self.needed_by[effect as usize]);
        if !self.list[effect as usize].chained || self.commits.is_empty() {
            return;
        }
        let call = self.list[effect as usize].call;
        let from = self.commits.partition_point(|link| self.list[*link as usize].call < call);
        for link in &self.commits[from..] {
            if states[*link as usize] == State::Open && self.waits(cut, *link) {
                left.push(*link);
            }
        }
    }

    /// Who needs a version of a block, but for later versions of the block.
    pub(crate) fn needed_outside_block(
        &self,
        version: EffectId,
    ) -> impl Iterator<Item = EffectId> + '_ {
        let kind = self.list[version as usize].kind;
        let others = self.needed_by[version as usize].iter().copied();
        others.filter(move |by| self.list[*by as usize].kind != kind)
    }

    /// Whether an effect is there by its commit alone.
    pub(super) fn waits(&self, at: At, effect: EffectId) -> bool {
        let effect = &self.list[effect as usize];
        effect.chained && effect.apart >= at
    }

    /// The links of a link's commit and of those before it.
    pub(super) fn commit_of(&self, effect: EffectId) -> &[EffectId] {
        let call = self.list[effect as usize].call;
        let end = self.commits.partition_point(|link| self.list[*link as usize].call <= call);
        &self.commits[..end]
    }

    fn left(&self, cut: At, states: &[State], any_of: usize) -> Left {
        let AnyOf { any, dropped, .. } = &self.lens_of[any_of];
        if *dropped < cut {
            return Left::Enough;
        }
        let mut left = Left::None;
        for effect in any {
            match (states[*effect as usize], &left) {
                (State::In, _) => return Left::Enough,
                (State::Out, _) => {}
                (State::Open | State::Loose, Left::None) => left = Left::One(*effect),
                (State::Open | State::Loose, _) => left = Left::Several,
            }
        }
        left
    }
}
