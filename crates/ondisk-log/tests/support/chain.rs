//! The chain of a log that is whole, followed by what the format's page says alone: which group
//! stands where, what it holds, and what it says was durable.
//!
//! Invariant: shares no code with the log.

use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::lives::{Records, anchor_path, segment_path};
use crate::shelf::Shelf;

const HEADER: usize = 80;
const BLOCK: usize = 4096;

/// A group of the chain.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    pub(crate) path: PathBuf,
    /// Where it stands, without padding.
    pub(crate) range: Range<usize>,
    /// What stands between it and the one before it, if that is in the same segment.
    pub(crate) padding: Range<usize>,
    pub(crate) watermark: u64,
    /// The last LSN before it.
    pub(crate) prev_lsn: u64,
    prev_crc: u32,
    last_lsn: u64,
    crc: u32,
    epoch: u32,
    records: Records,
}

/// The groups of a log in their order, and what its anchor says.
#[derive(Clone, Debug)]
pub(crate) struct Chain {
    pub(crate) links: Vec<Link>,
    /// The segments that must be there.
    pub(crate) segments: Range<u64>,
    pub(crate) closed: bool,
    /// All through this was durable, as the anchor says.
    pub(crate) anchored: u64,
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}

impl Chain {
    /// Follows a log to which nothing was done.
    pub(crate) fn of(shelf: &Shelf) -> Self {
        let anchor = shelf.get(anchor_path());
        let segments = u64_at(&anchor, 40)..u64_at(&anchor, 64) + 1;
        let all: Vec<Link> = segments.clone().flat_map(|number| groups(shelf, number)).collect();
        let closed = u32_at(&anchor, 36) == 2;
        let end = closed.then(|| (u64_at(&anchor, 112), u32_at(&anchor, 120)));
        let mut at = (u64_at(&anchor, 48), u32_at(&anchor, 56));
        let mut links: Vec<Link> = Vec::new();
        while end != Some(at) {
            let next = all.iter().filter(|link| (link.prev_lsn, link.prev_crc) == at);
            let Some(next) = next.max_by_key(|link| link.epoch) else { break };
            at = (next.last_lsn, next.crc);
            let mut next = next.clone();
            let before = links.last().filter(|before| before.path == next.path);
            next.padding = before.map_or(0, |before| before.range.end)..next.range.start;
            links.push(next);
        }
        let anchored = u64_at(&anchor, 72).max(u64_at(&anchor, 80));
        Self { links, segments, closed, anchored }
    }

    /// All commits.
    pub(crate) fn records(&self) -> Records {
        self.links.iter().flat_map(|link| link.records.clone()).collect()
    }

    /// Whether a segment must be there.
    pub(crate) fn needs(&self, path: &Path) -> bool {
        self.segments.clone().any(|number| segment_path(number) == path)
    }

    /// The zeros between the groups of a segment, and behind the last one to the end of its
    /// block.
    pub(crate) fn paddings<'a>(
        &'a self,
        path: &'a Path,
    ) -> impl Iterator<Item = Range<usize>> + 'a {
        let here =
            || self.links.iter().filter(move |link| link.path.as_os_str() == path.as_os_str());
        let end = here().next_back().map_or(0, |last| last.range.end);
        let behind = end..end.next_multiple_of(BLOCK);
        here().map(|link| link.padding.clone()).chain(std::iter::once(behind))
    }
}

/// Every whole group of a segment, wherever it stands, in this life of the file.
fn groups(shelf: &Shelf, number: u64) -> Vec<Link> {
    let path = segment_path(number);
    let bytes = shelf.get(&path);
    let offsets = (0..bytes.len().saturating_sub(HEADER)).step_by(8);
    let group = |at: usize| {
        group(&bytes[at..]).filter(|(_, generation)| *generation == number).map(|(mut link, _)| {
            link.range = at..at + link.range.end;
            link.path.clone_from(&path);
            link
        })
    };
    offsets.filter_map(group).collect()
}

/// The group at the start of these bytes, if it is whole, and its generation.
fn group(bytes: &[u8]) -> Option<(Link, u64)> {
    let body_len = usize::try_from(u32_at(bytes, 72)).ok()?;
    let sum = u32_at(bytes, 4);
    if !bytes.starts_with(b"\xD1grp") || crc32c::crc32c(&bytes[8..HEADER]) != sum {
        return None;
    }
    let mut body = bytes.get(HEADER..HEADER + body_len)?;
    let (prev_lsn, first_lsn) = (u64_at(bytes, 40), u64_at(bytes, 48));
    let commits = u64::from(u32_at(bytes, 12));
    let mut records = Vec::new();
    for lsn in first_lsn..first_lsn + commits {
        let len = usize::try_from(u32_at(body, 0)).ok()?;
        let payload = body.get(8..8 + len)?;
        if crc32c::crc32c(payload) != u32_at(body, 4) {
            return None;
        }
        records.push((lsn, payload.to_vec()));
        body = &body[8 + len..];
    }
    let link = Link {
        path: PathBuf::new(),
        range: 0..HEADER + body_len,
        padding: 0..0,
        watermark: u64_at(bytes, 56),
        prev_lsn,
        prev_crc: u32_at(bytes, 68),
        last_lsn: if commits == 0 { prev_lsn } else { first_lsn + commits - 1 },
        crc: sum,
        epoch: u32_at(bytes, 64),
        records,
    };
    Some((link, u64_at(bytes, 32)))
}
