//! What a block holds: which of its versions, or what stands there without one.
//!
//! Invariant: by the time a block of a file that was cut is asked for, its length is decided, so
//! every cut is there or is not; what a cut took reads as zeros.

use super::torn::Pin;
use super::*;

/// What a block was found to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) content: BlockId,
    /// Whether all of it is decided; else only the bytes that were asked for.
    pub(crate) whole: bool,
}

/// One of the contents that a block may have, and where its chain stands then.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate {
    /// `None` where that depends on what lies below, and is open.
    pub(super) content: Option<BlockId>,
    /// `None` for below the chain.
    pub(super) effect: Option<EffectId>,
    /// Whether it is what an allocated block holds that was never written.
    pub(super) junk: bool,
}

impl Media {
    /// What a range of a block holds.
    pub(crate) fn block(
        &mut self,
        store: &mut Store,
        ino: Ino,
        block: u32,
        range: Range<usize>,
    ) -> Found {
        self.block_below(store, self.strata.len(), ino, block, range)
    }

    /// The same, with the lowest strata alone.
    pub(super) fn block_below(
        &mut self,
        store: &mut Store,
        level: usize,
        ino: Ino,
        block: u32,
        range: Range<usize>,
    ) -> Found {
        let Some(at) = level.checked_sub(1) else {
            return Found { content: self.base_block(ino, block), whole: true };
        };
        let effects = Arc::clone(&self.strata[at].effects);
        let Some(file) = effects.file(ino) else {
            return self.block_below(store, at, ino, block, range);
        };
        let chain = file.block(block);
        if chain.is_empty() {
            let found = self.block_below(store, at, ino, block, range);
            return Found {
                content: self.cut_tail(store, at, ino, block, found.content, 0),
                ..found
            };
        }
        match self.strata[at].pins.get(&(ino, block)) {
            Some(Pin::Whole(content)) => return Found { content: *content, whole: true },
            Some(Pin::Torn(_)) => return self.torn(store, at, ino, block, range),
            Some(Pin::NoJunk) | None => {}
        }
        if self.strata[at].effects.model.may_tear_under_length() {
            self.len_below(at + 1, ino);
        }
        let candidates = self.candidates(store, at, ino, block, chain);
        let runs = group(store, &candidates, &range);
        if runs.len() > 1 && self.may_tear(store, at, &candidates) {
            let torn = self.chooser().decide(Question::Torn { ino, block }, 2);
            if torn == 1 {
                self.tear(store, at, ino, block, &candidates);
                return self.torn(store, at, ino, block, range);
            }
        }
        let picked = self.chooser().decide(Question::Block { ino, block }, runs.len());
        let run = candidates[runs[picked].clone()].to_vec();
        self.settle(at, ino, block, chain, &candidates, &run);
        match run[0].content {
            Some(content) => Found { content, whole: run.len() == 1 },
            None => {
                let found = self.block_below(store, at, ino, block, range);
                Found { content: self.cut_tail(store, at, ino, block, found.content, 0), ..found }
            }
        }
    }

    /// All contents that a block may have, oldest first.
    fn candidates(
        &mut self,
        store: &mut Store,
        at: usize,
        ino: Ino,
        block: u32,
        chain: &[BlockStep],
    ) -> Vec<Candidate> {
        let open = self.strata[at].open(chain, |step: &BlockStep| step.effect);
        let mut candidates = Vec::with_capacity(open.links.len() + 2);
        if open.below {
            let content = self.settled_below(at, ino, block).map(|below| {
                let end = below.end.min(self.ends(at, ino, 0));
                Settled { end, ..below }.bytes(store, block)
            });
            candidates.push(Candidate { content, effect: None, junk: false });
        }
        for step in open.links {
            let content = self.cut_tail(store, at, ino, block, step.content, step.effect + 1);
            let (content, effect) = (Some(content), Some(step.effect));
            candidates.push(Candidate { content, effect, junk: false });
        }
        // A new block has somebody's former bytes until its own are there. They come first, so
        // that zeros and data that begin alike stay neighbours.
        let new = candidates.iter().rposition(|it| it.content == Some(BlockId::HOLE));
        let no_junk = self.strata[at].pins.contains_key(&(ino, block));
        if let Some(new) = new
            && self.strata[at].effects.model.fill == Fill::ZeroOrJunk
            && new + 1 < candidates.len()
            && !no_junk
        {
            let junk = Candidate { content: Some(BlockId::JUNK), junk: true, ..candidates[new] };
            candidates.insert(new, junk);
        }
        candidates
    }

    /// Decides for a run of the candidates.
    fn settle(
        &mut self,
        at: usize,
        ino: Ino,
        block: u32,
        chain: &[BlockStep],
        all: &[Candidate],
        run: &[Candidate],
    ) {
        if run.len() == all.len() {
            return;
        }
        let (first, last) = (run.first(), run.last());
        let effects = chain.iter().map(|step| step.effect);
        let first_effect = first.and_then(|candidate| candidate.effect);
        self.strata[at].narrow(effects, first_effect, last.and_then(|candidate| candidate.effect));
        let junk = |candidates: &[Candidate]| candidates.iter().any(|candidate| candidate.junk);
        if junk(run) && run.len() == 1 {
            self.strata[at].pins.insert((ino, block), Pin::Whole(BlockId::JUNK));
        } else if junk(all) && !junk(run) {
            self.strata[at].pins.insert((ino, block), Pin::NoJunk);
        }
    }

    /// A content after what a stratum cut from it behind an effect: see [`ends`](Self::ends).
    pub(super) fn cut_tail(
        &self,
        store: &mut Store,
        at: usize,
        ino: Ino,
        block: u32,
        content: BlockId,
        after: EffectId,
    ) -> BlockId {
        Settled { content, end: self.ends(at, ino, after) }.bytes(store, block)
    }

    /// From where on the cuts of a stratum that came after an effect have made a file zeros. With
    /// no effect before them, also where the file ended below, if it grew: what lies behind an end
    /// is zeros.
    fn ends(&self, at: usize, ino: Ino, after: EffectId) -> u64 {
        let stratum = &self.strata[at];
        let Some(file) = stratum.effects.file(ino).filter(|file| !file.lens.is_empty()) else {
            return u64::MAX;
        };
        let below = (after == 0).then(|| self.settled_len(at, ino)).flatten();
        let end = below.unwrap_or(u64::MAX);
        if !file.has_cuts {
            return end;
        }
        let cuts = file.lens.iter().filter(|step| {
            step.cuts && step.effect >= after && stratum.is(step.effect) == State::In
        });
        cuts.map(|step| step.len).fold(end, u64::min)
    }

    pub(in crate::ops) fn base_block(&self, ino: Ino, block: u32) -> BlockId {
        match self.base.inodes.get(ino.index()) {
            Some(Inode::File { blocks, .. }) => {
                blocks.get(block as usize).copied().unwrap_or(BlockId::HOLE)
            }
            _ => BlockId::HOLE,
        }
    }

    /// Whether a block was never written or was cut off, where that is decided.
    pub(crate) fn is_hole(&self, ino: Ino, block: u32) -> Option<bool> {
        let settled = self.settled_below(self.strata.len(), ino, block)?;
        let is_cut_off = settled.end <= u64::from(block) * BLOCK as u64;
        Some(is_cut_off || settled.content == BlockId::HOLE)
    }

    /// What a block holds, where that is decided.
    fn settled_below(&self, level: usize, ino: Ino, block: u32) -> Option<Settled> {
        let Some(at) = level.checked_sub(1) else {
            return Some(Settled { content: self.base_block(ino, block), end: u64::MAX });
        };
        let stratum = &self.strata[at];
        let chain = stratum.effects.file(ino).map_or(&[][..], |file| file.block(block));
        match stratum.pins.get(&(ino, block)) {
            Some(Pin::Whole(content)) => {
                return Some(Settled { content: *content, end: u64::MAX });
            }
            Some(Pin::Torn(_)) => return None,
            Some(Pin::NoJunk) | None => {}
        }
        let open = stratum.open(chain, |step: &BlockStep| step.effect);
        match (open.below, open.links.as_slice()) {
            (true, []) => {
                let below = self.settled_below(at, ino, block)?;
                Some(Settled { end: below.end.min(self.ends(at, ino, 0)), ..below })
            }
            (false, [step]) => {
                let end = self.ends(at, ino, step.effect + 1);
                Some(Settled { content: step.content, end })
            }
            _ => None,
        }
    }
}

/// What a block holds, and from where on in its file a cut has made that zeros.
#[derive(Clone, Copy, Debug)]
struct Settled {
    content: BlockId,
    end: u64,
}

impl Settled {
    fn bytes(self, store: &mut Store, block: u32) -> BlockId {
        if self.content == BlockId::HOLE || !cuts_block(self.end, block) {
            return self.content;
        }
        cut_content(store, self.content, self.end, block)
    }
}

/// A content whose bytes from an end of the file on are zeros.
fn cut_content(store: &mut Store, content: BlockId, end: u64, block: u32) -> BlockId {
    let keep = end.saturating_sub(u64::from(block) * BLOCK as u64);
    let keep = usize::try_from(keep).unwrap_or(BLOCK).min(BLOCK);
    if keep == 0 {
        return BlockId::HOLE;
    }
    let mut bytes = *store.bytes(content);
    if bytes[keep..].iter().all(|byte| *byte == 0) {
        return content;
    }
    bytes[keep..].fill(0);
    store.push(&bytes, mix2(store.class(content), end))
}

/// Neighbouring candidates that are the same in a range, as ranges of their indices.
fn group(store: &Store, candidates: &[Candidate], range: &Range<usize>) -> Vec<Range<usize>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    for (at, candidate) in candidates.iter().enumerate() {
        let joins = runs.last().is_some_and(|run| {
            match (candidates[run.start].content, candidate.content) {
                (Some(a), Some(b)) => store.same(a, b, range.clone()),
                _ => false,
            }
        });
        match runs.last_mut() {
            Some(run) if joins => run.end = at + 1,
            _ => runs.push(at..at + 1),
        }
    }
    runs
}
