//! Pages that the server has, or is being sent, and has not said to be durable.
//!
//! Invariant: a page stays, in the content last sent, until a COMMIT that was asked for after the
//! server had it is answered with the verifier that the WRITE was answered with.

use std::collections::BTreeMap;

use ondisk_fs::BLOCK;

use super::{Arena, BlockId, Digest, Errno, Ino, Marks, OpId};
use crate::machine::message::Cargo;

const PAGE: u64 = BLOCK as u64;

/// The pages by file and place.
#[derive(Clone, Debug, Default)]
pub(super) struct Unstable {
    pages: BTreeMap<(Ino, u32), Page>,
    /// Goes on with each WRITE that is sent or answered.
    clock: u32,
    /// The verifier that came last.
    seen: u64,
}

/// A page and how far it is.
#[derive(Clone, Copy, Debug)]
struct Page {
    cargo: Cargo,
    /// Its bytes before the end of the file.
    len: u64,
    /// The question that has it, and when this content was first sent.
    xid: OpId,
    sent: u32,
    /// When that was answered, and with which verifier.
    answered: Option<(u32, u64)>,
}

/// Neighbouring pages, and the length of the file that they make.
pub(super) type Run = (Vec<(u32, Cargo)>, u64);

impl Unstable {
    /// What a page holds, where the server may lose it.
    pub(super) fn page(&self, ino: Ino, page: u32) -> Option<BlockId> {
        self.pages.get(&(ino, page)).map(|page| page.cargo.content)
    }

    /// The files that have such pages.
    pub(super) fn inodes(&self) -> Vec<Ino> {
        let mut inos: Vec<Ino> = self.pages.keys().map(|(ino, _)| *ino).collect();
        inos.dedup();
        inos
    }

    /// The present place: what is sent later is behind it.
    pub(super) fn mark(&self) -> u32 {
        self.clock
    }

    /// Pages are sent; `again`: in the content that they have here.
    pub(super) fn sent(
        &mut self,
        ino: Ino,
        (xid, again): (OpId, bool),
        pages: &[(u32, Cargo)],
        size: u64,
    ) {
        self.clock += 1;
        for (page, cargo) in pages {
            let len = size.saturating_sub(u64::from(*page) * PAGE).min(PAGE);
            let before = self.pages.get(&(ino, *page)).filter(|_| again);
            let sent = before.map_or(self.clock, |page| page.sent);
            let page_now = Page { cargo: *cargo, len, xid, sent, answered: None };
            self.pages.insert((ino, *page), page_now);
        }
    }

    /// A WRITE was answered.
    pub(super) fn answered(
        &mut self,
        ino: Ino,
        xid: OpId,
        verifier: u64,
        result: Result<(), Errno>,
    ) {
        self.clock += 1;
        self.seen = verifier;
        let clock = self.clock;
        let its = |at: &(Ino, u32), page: &Page| at.0 == ino && page.xid == xid;
        match result {
            Ok(()) => {
                let pages = self.pages.range_mut((ino, 0)..=(ino, u32::MAX));
                for (_, page) in pages.filter(|(at, page)| its(at, page)) {
                    page.answered = Some((clock, verifier));
                }
            }
            Err(_) => self.pages.retain(|at, page| !its(at, page)),
        }
    }

    /// A COMMIT of what had been answered by `mark` was answered: with this verifier, and with
    /// `sure` whatever it is.
    pub(super) fn committed(
        &mut self,
        ino: Ino,
        mark: u32,
        (verifier, sure): (u64, bool),
        result: Result<(), Errno>,
    ) {
        self.seen = verifier;
        self.pages.retain(|at, page| {
            let covered = page.answered.filter(|(when, _)| at.0 == ino && *when <= mark);
            covered.is_none_or(|(_, was)| was != verifier && !sure && result.is_ok())
        });
    }

    /// Whether pages that were sent by `mark` are left, and whether the server has them all.
    pub(super) fn left(&self, ino: Ino, mark: u32) -> (bool, bool) {
        let mut pages = self.sent_by(ino, mark).peekable();
        (pages.peek().is_some(), pages.all(|(_, page)| page.answered.is_some()))
    }

    /// Those of them that the server has lost, as far as is known.
    pub(super) fn lost(&self, ino: Ino, mark: u32) -> Vec<Run> {
        let mut runs: Vec<Run> = Vec::new();
        for (at, page) in self.sent_by(ino, mark) {
            if page.answered.is_none_or(|(_, verifier)| verifier == self.seen) {
                continue;
            }
            let base = u64::from(at) * PAGE;
            match runs.last_mut() {
                Some((pages, size)) if *size == base => {
                    pages.push((at, page.cargo));
                    *size += page.len;
                }
                _ => runs.push((vec![(at, page.cargo)], base + page.len)),
            }
        }
        runs
    }

    fn sent_by(&self, ino: Ino, mark: u32) -> impl Iterator<Item = (u32, &Page)> {
        let pages = self.pages.range((ino, 0)..=(ino, u32::MAX));
        pages.filter(move |(_, page)| page.sent <= mark).map(|((_, at), page)| (*at, page))
    }

    /// A file ends here now, if it went on.
    pub(super) fn cut(&mut self, ino: Ino, len: u64) {
        self.pages.retain(|(of, at), page| {
            let base = u64::from(*at) * PAGE;
            if *of == ino {
                page.len = page.len.min(len.saturating_sub(base));
            }
            page.len > 0
        });
    }

    pub(super) fn marks(&self, marks: &mut Marks) {
        self.pages.values().for_each(|page| marks.hold(page.cargo.content));
    }

    pub(super) fn digest(&self, arena: &Arena, digest: &mut Digest) {
        digest.add(self.seen);
        for ((ino, at), page) in &self.pages {
            digest.add(u64::from(ino.0) << 32 | u64::from(*at));
            let bytes = crate::ops::digest::bytes_digest(arena.bytes(page.cargo.content));
            [bytes.0, bytes.1, page.len, page.answered.map_or(u64::MAX, |(_, verifier)| verifier)]
                .into_iter()
                .for_each(|value| digest.add(value));
        }
    }
}
