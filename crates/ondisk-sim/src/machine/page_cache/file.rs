//! The pages of one file.
//!
//! Invariant: a page is absent, clean, dirty, in write-back, or in write-back and dirty again;
//! what a present page holds behind the end of the file is zeros.

use ondisk_fs::BLOCK;

use crate::machine::arena::Marks;
use crate::machine::digest::Digest;
use crate::machine::ids::{BlockId, Ns, PageVer};
use crate::machine::message::Cargo;

/// The pages of a chunk.
const CHUNK: u32 = 64;

/// What a page is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// It is not in memory.
    Absent,
    /// It is as on the media, or the media refused it.
    Clean,
    /// It was changed.
    Dirty,
    /// It is on its way to the media.
    Writeback,
    /// It is on its way, and was changed since.
    Again,
}

/// So many pages side by side, and a bit of each.
#[derive(Clone, Debug)]
struct Chunk {
    /// The first page divided by 64.
    at: u32,
    present: u64,
    dirty: u64,
    flight: u64,
    reading: u64,
    pages: [Cargo; CHUNK as usize],
    /// When each page was last submitted, by the count of submissions.
    sent: [u32; CHUNK as usize],
}

/// Whether the media may hold bytes other than zeros behind the end of the file, in its last
/// block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Tail {
    /// They were not looked at.
    #[default]
    Unknown,
    /// They are zeros, or nothing stands there.
    Clear,
    /// They may be others: the page in memory has zeros there, and was not written since.
    Stale,
}

/// A file's pages and length.
#[derive(Clone, Debug, Default)]
pub(super) struct Pages {
    pub(super) size: u64,
    pub(super) tail: Tail,
    chunks: Vec<Chunk>,
    pub(super) dirty: u32,
    pub(super) flight: u32,
    /// Since when it has been dirty, and where it stands in the line of the dirty.
    pub(super) since: Option<(Ns, u64)>,
    /// How many calls rely on pages to stay.
    pub(super) busy: u32,
}

/// The page in which a byte stands.
pub(super) fn page_of(at: u64) -> u32 {
    u32::try_from(at / BLOCK as u64).unwrap_or(u32::MAX)
}

/// Where a byte stands in its page.
pub(super) fn offset_of(at: u64) -> usize {
    usize::try_from(at % BLOCK as u64).unwrap_or(0)
}

/// The bits of the pages of a chunk that lie in a range.
fn bits(chunk: u32, first: u32, last: u32) -> u64 {
    let base = u64::from(chunk) * u64::from(CHUNK);
    let (first, last) = (u64::from(first), u64::from(last));
    if last < base || first >= base + u64::from(CHUNK) {
        return 0;
    }
    let from = first.saturating_sub(base);
    let to = (last - base).min(u64::from(CHUNK) - 1);
    (u64::MAX << from) & (u64::MAX >> (u64::from(CHUNK) - 1 - to))
}

/// The pages of some bits of a chunk, ascending.
fn each(chunk: u32, mut bits: u64) -> impl Iterator<Item = u32> {
    std::iter::from_fn(move || {
        (bits != 0).then(|| {
            let bit = bits.trailing_zeros();
            bits &= bits - 1;
            chunk * CHUNK + bit
        })
    })
}

impl Pages {
    fn place(&self, page: u32) -> Result<usize, usize> {
        let at = page / CHUNK;
        // Most files have one chunk, and most writes are at the end.
        match self.chunks.last() {
            Some(last) if last.at == at => Ok(self.chunks.len() - 1),
            Some(last) if last.at < at => Err(self.chunks.len()),
            _ => self.chunks.binary_search_by_key(&at, |chunk| chunk.at),
        }
    }

    fn chunk(&self, page: u32) -> Option<(&Chunk, u64)> {
        Some((&self.chunks[self.place(page).ok()?], 1 << (page % CHUNK)))
    }

    fn chunk_mut(&mut self, page: u32) -> (&mut Chunk, u64) {
        let at = self.place(page).unwrap_or_else(|at| {
            let (pages, sent) = ([Cargo::default(); CHUNK as usize], [0; CHUNK as usize]);
            let (present, dirty, flight, reading) = (0, 0, 0, 0);
            let chunk = Chunk { at: page / CHUNK, present, dirty, flight, reading, pages, sent };
            self.chunks.insert(at, chunk);
            at
        });
        (&mut self.chunks[at], 1 << (page % CHUNK))
    }

    /// What a page is.
    pub(super) fn state(&self, page: u32) -> State {
        let Some((chunk, bit)) = self.chunk(page) else { return State::Absent };
        match (chunk.present & bit != 0, chunk.dirty & bit != 0, chunk.flight & bit != 0) {
            (_, true, true) => State::Again,
            (_, false, true) => State::Writeback,
            (_, true, false) => State::Dirty,
            (true, false, false) => State::Clean,
            (false, false, false) => State::Absent,
        }
    }

    /// What a page holds, if it is in memory.
    pub(super) fn get(&self, page: u32) -> Option<Cargo> {
        let (chunk, bit) = self.chunk(page)?;
        (chunk.present & bit != 0).then(|| chunk.pages[(page % CHUNK) as usize])
    }

    /// A page holds this now.
    pub(super) fn put(&mut self, page: u32, cargo: Cargo) {
        let (chunk, bit) = self.chunk_mut(page);
        chunk.present |= bit;
        chunk.pages[(page % CHUNK) as usize] = cargo;
    }

    /// Whether a page is being read; from here on it is.
    pub(super) fn begin_read(&mut self, page: u32) -> bool {
        let (chunk, bit) = self.chunk_mut(page);
        let was = chunk.reading & bit != 0;
        chunk.reading |= bit;
        was
    }

    /// A page was read; whether that was awaited.
    pub(super) fn end_read(&mut self, page: u32) -> bool {
        let Ok(at) = self.place(page) else { return false };
        let (chunk, bit) = (&mut self.chunks[at], 1_u64 << (page % CHUNK));
        let was = chunk.reading & bit != 0;
        chunk.reading &= !bit;
        was
    }

    /// A page is dirty from here on; whether it was not before.
    pub(super) fn dirty(&mut self, page: u32) -> bool {
        let (chunk, bit) = self.chunk_mut(page);
        let fresh = chunk.dirty & bit == 0;
        chunk.dirty |= bit;
        self.dirty += u32::from(fresh);
        fresh
    }

    /// A page is not dirty any more; whether it was.
    pub(super) fn clean(&mut self, page: u32) -> bool {
        let (chunk, bit) = self.chunk_mut(page);
        let was = chunk.dirty & bit != 0;
        chunk.dirty &= !bit;
        self.dirty -= u32::from(was);
        was
    }

    /// Takes all dirty pages of a range that are not on their way, and sends them on it.
    pub(super) fn send(&mut self, first: u32, last: u32, seq: u32, to: &mut Vec<(u32, Cargo)>) {
        let before = to.len();
        for chunk in &mut self.chunks {
            let ready = chunk.dirty & !chunk.flight & bits(chunk.at, first, last);
            chunk.dirty &= !ready;
            chunk.flight |= ready;
            for page in each(chunk.at, ready) {
                let at = (page % CHUNK) as usize;
                chunk.sent[at] = seq;
                to.push((page, chunk.pages[at]));
            }
        }
        let count = u32::try_from(to.len() - before).unwrap_or(u32::MAX);
        self.dirty -= count;
        self.flight += count;
    }

    /// A page came to the end of its way: as which submission; `None` if it was on none.
    pub(super) fn arrive(&mut self, page: u32) -> Option<u32> {
        let at = self.place(page).ok()?;
        let (chunk, bit) = (&mut self.chunks[at], 1_u64 << (page % CHUNK));
        if chunk.flight & bit == 0 {
            return None;
        }
        chunk.flight &= !bit;
        self.flight -= 1;
        Some(chunk.sent[(page % CHUNK) as usize])
    }

    /// How many pages of a range are on their way.
    pub(super) fn on_way(&self, first: u32, last: u32) -> u32 {
        let flying = |chunk: &Chunk| (chunk.flight & bits(chunk.at, first, last)).count_ones();
        self.chunks.iter().map(flying).sum()
    }

    /// Whether nothing of a range is on its way, up or down.
    pub(super) fn is_settled(&self, first: u32, last: u32) -> bool {
        let moving = |chunk: &Chunk| (chunk.flight | chunk.reading) & bits(chunk.at, first, last);
        self.chunks.iter().all(|chunk| moving(chunk) == 0)
    }

    /// The pages of a range that are on their way and were changed since.
    pub(super) fn changed_on_way(&self, first: u32, last: u32) -> impl Iterator<Item = u32> {
        self.chunks.iter().flat_map(move |chunk| {
            each(chunk.at, chunk.flight & chunk.dirty & bits(chunk.at, first, last))
        })
    }

    /// Forgets pages from one on. Those on their way are forgotten when they arrive: `dirty` says
    /// how many dirty ones there were.
    pub(super) fn cut(&mut self, first: u32) -> u32 {
        let mut dirty = 0;
        for chunk in &mut self.chunks {
            let gone = bits(chunk.at, first, u32::MAX);
            dirty += (chunk.dirty & gone).count_ones();
            chunk.dirty &= !gone;
            chunk.present &= !gone | chunk.flight;
        }
        self.chunks.retain(|chunk| chunk.present | chunk.reading | chunk.flight != 0);
        self.dirty -= dirty;
        dirty
    }

    /// Forgets everything but who relies on it.
    pub(super) fn reset(&mut self) {
        *self = Self { busy: self.busy, ..Self::default() };
    }

    /// Forgets clean pages.
    pub(super) fn evict(&mut self) {
        for chunk in &mut self.chunks {
            chunk.present &= chunk.dirty | chunk.flight;
        }
        self.chunks.retain(|chunk| chunk.present | chunk.reading != 0);
    }

    pub(super) fn marks(&self, marks: &mut Marks) {
        for chunk in &self.chunks {
            let held = each(chunk.at, chunk.present | chunk.flight);
            held.for_each(|page| marks.hold(chunk.pages[(page % CHUNK) as usize].content));
        }
    }

    pub(super) fn digest(&self, digest: &mut Digest) {
        [self.size, u64::from(self.dirty), u64::from(self.flight), u64::from(self.busy)]
            .into_iter()
            .for_each(|value| digest.add(value));
        digest.add(self.since.map_or(u64::MAX, |(at, _)| at.0));
        for chunk in &self.chunks {
            let at = u64::from(chunk.at);
            [at, chunk.present, chunk.dirty, chunk.flight, chunk.reading]
                .into_iter()
                .for_each(|value| digest.add(value));
            for page in each(chunk.at, chunk.present) {
                let PageVer(ver) = chunk.pages[(page % CHUNK) as usize].ver;
                digest.add(u64::from(ver));
            }
        }
    }

    /// What a page holds as zeros.
    pub(super) fn zeros() -> Cargo {
        Cargo { content: BlockId::ZERO, ver: PageVer(0) }
    }
}
