//! One file of an image against one inode: its length, and then each block, alone.
//!
//! Invariant: with its length decided, no block of a file asks anything of another, but that one of
//! them be there: so each is judged alone and the newest content taken, and the judgement is exact.

use ondisk_fs::BLOCK;

use super::Membership;
use super::refuted::Rule;
use crate::ops::effects::{BlockStep, EffectId, FileSteps, State};
use crate::ops::history::{At, Ino};
use crate::ops::media::torn::{SECTOR, SECTORS};
use crate::ops::media::{Inode, Tree};
use crate::ops::model::{Fill, Tear};
use crate::ops::store::BlockId;

/// A file of the image, and the inode that it is to be.
pub(super) struct FileCheck<'a> {
    pub(super) cuts: &'a Membership,
    pub(super) at: At,
    pub(super) base: &'a Tree,
    pub(super) ino: Ino,
    pub(super) bytes: &'a [u8],
}

/// What does not fit.
pub(super) struct Wrong {
    pub(super) rule: Rule,
    pub(super) block: Option<u32>,
}

/// One content that a block may have.
#[derive(Clone, Copy)]
struct Candidate {
    content: BlockId,
    /// From where on in the file a cut has made it zeros.
    end: u64,
    /// Where the chain of the block stands then; `None` for below it.
    effect: Option<EffectId>,
    /// Any bytes: what an allocated block held before.
    junk: bool,
}

impl FileCheck<'_> {
    /// States in which the inode is this file, one for each place of its length that fits: at least
    /// one, or what is wrong.
    pub(super) fn all(&self, states: &[State]) -> Result<Vec<Vec<State>>, Wrong> {
        let effects = &self.cuts.effects;
        let none = FileSteps::default();
        let file = effects.file(self.ino).unwrap_or(&none);
        let len = self.bytes.len() as u64;
        let is = |effect: EffectId| states[effect as usize];
        let settled = file.lens.iter().rposition(|step| is(step.effect) == State::In);
        let base_len = match self.base.inodes.get(self.ino.index()) {
            Some(Inode::File { len, .. }) => *len,
            _ => 0,
        };
        let below = (settled.is_none()).then_some((base_len, None));
        let links = file.lens[settled.unwrap_or(0)..].iter();
        let links = links.filter(|step| is(step.effect) != State::Out);
        let places = below.into_iter().chain(links.map(|step| (step.len, Some(step.effect))));
        let mut wrong = Wrong { rule: Rule::Length(Vec::new()), block: None };
        let mut found = Vec::new();
        for (is_len, place) in places {
            if is_len != len {
                if let Rule::Length(may_be) = &mut wrong.rule {
                    may_be.push(is_len);
                }
                continue;
            }
            let mut states = states.to_vec();
            let chain = file.lens.iter().map(|step| step.effect);
            effects.narrow(self.at, &mut states, chain, place, place);
            match self.blocks(file, base_len, &mut states) {
                Ok(()) => found.push(states),
                Err(block) => wrong = Wrong { rule: Rule::Content, block: Some(block) },
            }
        }
        if found.is_empty() { Err(wrong) } else { Ok(found) }
    }

    /// The first block that fits nothing.
    fn blocks(&self, file: &FileSteps, base_len: u64, states: &mut [State]) -> Result<(), u32> {
        for (block, bytes) in (0..).zip(self.bytes.chunks(BLOCK)) {
            let chain = file.block(block);
            let candidates = self.candidates(file, base_len, states, block);
            let whole = self.newest(&candidates, block, bytes, 0);
            if let Some(whole) = whole {
                let steps = chain.iter().map(|step| step.effect);
                self.cuts.effects.narrow(self.at, states, steps, whole.effect, whole.effect);
            } else if !self.is_torn(&candidates, states, block, bytes) {
                return Err(block);
            }
        }
        Ok(())
    }

    /// All contents that a block may have, oldest first, then somebody's former bytes.
    fn candidates(
        &self,
        file: &FileSteps,
        base_len: u64,
        states: &[State],
        block: u32,
    ) -> Vec<Candidate> {
        let is = |step: &BlockStep| states[step.effect as usize];
        let chain = file.block(block);
        let settled = chain.iter().rposition(|step| is(step) == State::In);
        let mut candidates = Vec::with_capacity(chain.len() + 2);
        if settled.is_none() {
            let content = match self.base.inodes.get(self.ino.index()) {
                Some(Inode::File { blocks, .. }) => blocks.get(block as usize).copied(),
                _ => None,
            };
            let grown = if file.lens.is_empty() { u64::MAX } else { base_len };
            let end = grown.min(ends(file, states, 0));
            let content = content.unwrap_or(BlockId::HOLE);
            candidates.push(Candidate { content, end, effect: None, junk: false });
        }
        let links = chain[settled.unwrap_or(0)..].iter().filter(|step| is(step) != State::Out);
        for step in links {
            let end = ends(file, states, step.effect + 1);
            let (content, effect) = (step.content, Some(step.effect));
            candidates.push(Candidate { content, end, effect, junk: false });
        }
        // A new block may show what it held before, until its own bytes are there.
        let start = u64::from(block) * BLOCK as u64;
        let is_hole = |it: &Candidate| it.content == BlockId::HOLE || it.end <= start;
        if let Some(new) = candidates.iter().rposition(is_hole)
            && self.cuts.effects.model.fill == Fill::ZeroOrJunk
            && new + 1 < candidates.len()
        {
            candidates.push(Candidate { junk: true, ..candidates[new] });
        }
        candidates
    }

    /// The newest candidate that has these bytes, the first of which is at a place in the block: to
    /// keep more never rules out what another block shows. Former bytes are whatever is asked for.
    fn newest<'a>(
        &self,
        candidates: &'a [Candidate],
        block: u32,
        bytes: &[u8],
        at: usize,
    ) -> Option<&'a Candidate> {
        let mut newest = candidates.iter().rev();
        let shows = |it: &&Candidate| !it.junk && self.shows(it, block, bytes, at);
        newest.find(shows).or_else(|| candidates.last().filter(|last| last.junk))
    }

    /// Whether a candidate has these bytes, the first of which is at a place in the block.
    fn shows(&self, candidate: &Candidate, block: u32, bytes: &[u8], at: usize) -> bool {
        let start = u64::from(block) * BLOCK as u64 + at as u64;
        let kept = candidate.end.saturating_sub(start);
        let kept = usize::try_from(kept).unwrap_or(usize::MAX).min(bytes.len());
        let (own, cut) = bytes.split_at(kept);
        if candidate.content.is_zero() {
            return is_zero(bytes);
        }
        let content = self.cuts.history.store.bytes(candidate.content);
        content[at..at + own.len()] == *own && is_zero(cut)
    }

    /// Whether each sector is that of some candidate.
    fn is_torn(
        &self,
        candidates: &[Candidate],
        states: &mut [State],
        block: u32,
        bytes: &[u8],
    ) -> bool {
        let effects = &self.cuts.effects;
        if effects.model.tear == Tear::Never {
            return false;
        }
        let mut newest = None;
        for (sector, shown) in (0..SECTORS).zip(bytes.chunks(SECTOR)) {
            match self.newest(candidates, block, shown, sector * SECTOR) {
                Some(candidate) => newest = newest.max(candidate.effect),
                None => return false,
            }
        }
        if let Some(newest) = newest {
            effects.keep(self.at, states, newest);
        }
        true
    }
}

/// From where on the cuts that are there and came after an effect have made a file zeros.
fn ends(file: &FileSteps, states: &[State], after: EffectId) -> u64 {
    if !file.has_cuts {
        return u64::MAX;
    }
    let is_there = |effect: EffectId| states[effect as usize] == State::In;
    let cuts = file.lens.iter().filter(|it| it.cuts && it.effect >= after && is_there(it.effect));
    cuts.map(|step| step.len).min().unwrap_or(u64::MAX)
}

fn is_zero(bytes: &[u8]) -> bool {
    let (Some(first), rest) = (bytes.first(), bytes.get(1..).unwrap_or_default()) else {
        return true;
    };
    *first == 0 && rest == &bytes[..rest.len()]
}
