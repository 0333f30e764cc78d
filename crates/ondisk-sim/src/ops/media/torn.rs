//! Blocks that a cut caught half-way: each sector on its own.
//!
//! Invariant: a sector once decided stays; a block is torn only among the contents that it could
//! have had whole; and what is there because something needs it is whole.

use super::block::{Candidate, Found};
use super::*;

/// The bytes of a sector, the unit in which a drive writes.
pub(crate) const SECTOR: usize = 512;
pub(crate) const SECTORS: usize = BLOCK / SECTOR;

/// Which content each sector of a torn block shows, as far as that is decided.
pub(crate) type Sectors = [Option<u16>; SECTORS];

/// What is known of a block beyond which effects are there.
#[derive(Clone, Debug)]
pub(crate) enum Pin {
    /// Its content.
    Whole(BlockId),
    /// That it does not hold somebody's former bytes.
    NoJunk,
    /// That it is torn.
    Torn(Torn),
}

/// A torn block.
#[derive(Clone, Debug)]
pub(crate) struct Torn {
    /// The contents that its sectors may show, oldest first, each with the effect that it needs.
    contents: Vec<(BlockId, Option<EffectId>)>,
    /// Which of them each sector shows.
    sectors: Sectors,
}

fn bytes_of(sector: usize) -> Range<usize> {
    sector * SECTOR..(sector + 1) * SECTOR
}

impl Media {
    /// Whether a block may be torn into something that it could not be whole: its candidates
    /// must differ in two sectors.
    pub(super) fn may_tear(&self, store: &Store, at: usize, candidates: &[Candidate]) -> bool {
        if self.strata[at].effects.model.tear == Tear::Never {
            return false;
        }
        let Some(contents) =
            candidates.iter().map(|candidate| candidate.content).collect::<Option<Vec<_>>>()
        else {
            // What lies below is open: it is decided first, when a sector asks for it.
            return true;
        };
        let differs = |sector: &usize| {
            let part = bytes_of(*sector);
            contents[1..].iter().any(|content| !store.same(contents[0], *content, part.clone()))
        };
        (0..SECTORS).filter(differs).count() > 1
    }

    /// Decides that a block is torn.
    pub(super) fn tear(
        &mut self,
        store: &mut Store,
        at: usize,
        ino: Ino,
        block: u32,
        candidates: &[Candidate],
    ) {
        let from = self.whole(store, at, ino, block, candidates);
        let candidates = &candidates[from..];
        let mut contents: Vec<(BlockId, Option<EffectId>)> = Vec::new();
        for candidate in candidates {
            let content = match candidate.content {
                Some(content) => content,
                None => {
                    let found = self.block_below(store, at, ino, block, 0..BLOCK);
                    self.cut_tail(store, at, ino, block, found.content, 0)
                }
            };
            if !contents.iter().any(|(known, _)| *known == content) {
                contents.push((content, candidate.effect));
            }
        }
        contents.truncate(usize::from(u16::MAX));
        let torn = Torn { contents, sectors: [None; SECTORS] };
        self.strata[at].pins.insert((ino, block), Pin::Torn(torn));
    }

    /// Decides from which candidate on the block is torn: that one was written whole, and whatever
    /// else needs a later one is lost.
    fn whole(
        &mut self,
        store: &Store,
        at: usize,
        ino: Ino,
        block: u32,
        candidates: &[Candidate],
    ) -> usize {
        let stratum = &self.strata[at];
        let needed = |candidate: &Candidate| {
            // Nobody waits for what a sync dropped.
            let awaited = candidate.effect.filter(|effect| stratum.is(*effect) != State::Loose);
            let by = awaited.map(|effect| stratum.effects.needed_outside_block(effect));
            let is_open = |effect: &EffectId| stratum.is(*effect) == State::Open;
            by.into_iter().flatten().filter(is_open).collect::<Vec<_>>()
        };
        let needed: Vec<Vec<EffectId>> = candidates.iter().map(needed).collect();
        let mut starts: Vec<usize> = (0..candidates.len())
            .filter(|from| *from == 0 || !needed[*from].is_empty())
            .filter(|from| self.may_tear(store, at, &candidates[*from..]))
            .collect();
        starts.dedup_by_key(|from| candidates[*from].effect);
        let picked = self.chooser().decide(Question::Block { ino, block }, starts.len());
        let from = starts.get(picked).copied().unwrap_or(0);
        let stratum = &mut self.strata[at];
        if let Some(effect) = candidates[from].effect {
            stratum.keep(effect);
        }
        for later in needed[from + 1..].iter().flatten() {
            stratum.lose(*later);
        }
        from
    }

    /// What a range of a torn block holds.
    pub(super) fn torn(
        &mut self,
        store: &mut Store,
        at: usize,
        ino: Ino,
        block: u32,
        range: Range<usize>,
    ) -> Found {
        let Some(Pin::Torn(mut torn)) = self.strata[at].pins.remove(&(ino, block)) else {
            return Found { content: BlockId::HOLE, whole: false };
        };
        for sector in range.start / SECTOR..range.end.div_ceil(SECTOR) {
            if torn.sectors[sector].is_some() {
                continue;
            }
            let answers = torn.answers(store, sector);
            let number = u8::try_from(sector).unwrap_or(u8::MAX);
            let question = Question::Sector { ino, block, sector: number };
            let picked = answers[self.chooser().decide(question, answers.len())];
            torn.sectors[sector] = Some(picked);
            if let Some(effect) = torn.contents[usize::from(picked)].1 {
                self.strata[at].keep(effect);
            }
        }
        self.strata[at].torn.insert((ino, block), torn.sectors);
        let found = torn.found(store);
        let pin = if found.whole { Pin::Whole(found.content) } else { Pin::Torn(torn) };
        self.strata[at].pins.insert((ino, block), pin);
        found
    }
}

impl Torn {
    /// What a sector may show: of equal bytes the oldest. When it is the last to be decided of
    /// those that differ, not what would make the block whole after all.
    fn answers(&self, store: &Store, sector: usize) -> Vec<u16> {
        let same = |a: u16, b: u16, sector: usize| {
            let content = |at: u16| self.contents[usize::from(at)].0;
            store.same(content(a), content(b), bytes_of(sector))
        };
        let all = 0..u16::try_from(self.contents.len()).unwrap_or(u16::MAX);
        let mut answers: Vec<u16> = Vec::new();
        for at in all.clone() {
            if !answers.iter().any(|other| same(*other, at, sector)) {
                answers.push(at);
            }
        }
        let others = || (0..SECTORS).filter(|other| *other != sector);
        let is_last = others()
            .all(|other| self.sectors[other].is_some() || all.clone().all(|at| same(0, at, other)));
        if !is_last {
            return answers;
        }
        let makes_whole = |answer: u16| {
            all.clone().any(|at| {
                same(at, answer, sector)
                    && others().all(|other| same(at, self.sectors[other].unwrap_or(0), other))
            })
        };
        let torn: Vec<u16> =
            answers.iter().copied().filter(|answer| !makes_whole(*answer)).collect();
        if torn.is_empty() { answers } else { torn }
    }

    /// Its bytes; those of open sectors are zeros.
    fn found(&self, store: &mut Store) -> Found {
        let mut bytes = [0; BLOCK];
        let mut writer = 0;
        for (sector, picked) in self.sectors.iter().enumerate() {
            let Some(picked) = picked else { continue };
            let content = self.contents[usize::from(*picked)].0;
            bytes[bytes_of(sector)].copy_from_slice(&store.bytes(content)[bytes_of(sector)]);
            writer = mix2(writer, store.class(content));
        }
        let whole = self.sectors.iter().all(Option::is_some);
        Found { content: store.push(&bytes, writer), whole }
    }
}
