//! Follows the chain of groups through the segments, and judges what stands where it stops.
//!
//! Invariant: recovery follows the chain and nothing else. Where it stops, a header of this store
//! further on whose watermark is at or above the gap proves that what is missing was durable:
//! damage. Without one it is a tail that was never acknowledged.
//!
//! Writes nothing. Memory: one window, and a mark for each block above the watermark.

use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::path::Path;

use bytes::Bytes;
use ondisk_fs::{Access, BLOCK, FileSystem};

use crate::anchor::{Anchor, Place, State, anchor_path};
use crate::options::Sabotage;
use crate::read::{Group, GroupReader, Link, ReadEnd};
use crate::record::{GroupHeader, HEADER_LEN, align_block, align_group};
use crate::segment::{list_segments, segment_path};
use crate::{Damage, LogError, Lsn};

/// What a receiver of replayed records answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Give me the next.
    Continue,
    /// I have this one and can take no more now; [`Log::iter`](crate::Log::iter) gives the rest.
    Full,
}

/// Takes replayed records, in LSN order.
pub(crate) type Sink<'a> = &'a mut dyn FnMut(Lsn, Bytes) -> Flow;

/// Where a segment's first group continues from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Start {
    pub(crate) number: u64,
    pub(crate) size: u64,
    pub(crate) lsn: Lsn,
    pub(crate) crc: u32,
}

/// What following the chain found.
#[derive(Debug)]
pub(crate) struct Scan {
    /// Behind the last whole group; `offset` without padding.
    pub(crate) end: Place,
    pub(crate) epoch: u32,
    /// The highest watermark of a whole group, and of the anchor.
    pub(crate) watermark: Lsn,
    /// First group of each block that may hold something above the watermark.
    pub(crate) tail: VecDeque<Place>,
    /// The segments on the chain.
    pub(crate) starts: Vec<Start>,
    /// Where the last group of each of them ends, without padding.
    pub(crate) ends: Vec<u64>,
    /// Why it stopped; meaningless when the log was closed and is whole.
    pub(crate) stop: ReadEnd,
    /// Whether the last group holds a commit.
    pub(crate) ends_in_commit: bool,
    /// Highest LSN and epoch seen anywhere, groups that a cut took out of the chain included.
    pub(crate) highest: Lsn,
    pub(crate) highest_epoch: u32,
    /// Bytes on the chain, padding included.
    pub(crate) bytes: u64,
}

/// Of which epoch a segment may be in which the chain goes on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Epoch {
    Any,
    Later,
}

pub(crate) struct Scanner<'a> {
    fs: &'a dyn FileSystem,
    dir: &'a Path,
    anchor: Anchor,
    sabotage: Option<Sabotage>,
    present: BTreeSet<u64>,
}

impl<'a> Scanner<'a> {
    pub(crate) fn new(
        fs: &'a dyn FileSystem,
        dir: &'a Path,
        anchor: Anchor,
        sabotage: Option<Sabotage>,
    ) -> Result<Self, LogError> {
        let present = list_segments(fs, dir)?.into_iter().collect();
        Ok(Self { fs, dir, anchor, sabotage, present })
    }

    /// Follows the chain from the anchor's first segment to its end, gives the records above
    /// `from` to `sink`, and judges the end.
    pub(crate) fn run(&self, from: Lsn, sink: Sink<'_>) -> Result<Scan, LogError> {
        let mut scan = self.follow(from, sink)?;
        if let State::Closed { end, .. } = self.anchor.state {
            let reached = Place { offset: align_block(scan.end.offset), ..scan.end };
            if reached != end {
                if scan.end.lsn >= end.lsn {
                    scan.stop.damage = Damage::ClosedElsewhere;
                }
                return Err(self.damaged(&scan, end.lsn));
            }
        } else {
            self.survey(&mut scan)?;
        }
        self.require_segments(&scan)?;
        self.require_newest(&scan)?;
        for owed in [self.anchor.durable, self.anchor.checkpoint] {
            if owed > scan.end.lsn && self.sabotage != Some(Sabotage::DamageTakenForTail) {
                return Err(self.damaged(&scan, owed));
            }
        }
        Ok(scan)
    }

    fn follow(&self, from: Lsn, sink: Sink<'_>) -> Result<Scan, LogError> {
        let first = self.anchor.first;
        let mut link = Link { lsn: first.lsn, crc: first.crc, epoch: 0 };
        let mut scan = Scan {
            end: first,
            epoch: self.anchor.epoch,
            watermark: self.anchor.durable,
            tail: VecDeque::new(),
            starts: Vec::new(),
            ends: Vec::new(),
            stop: ReadEnd { offset: 0, damage: Damage::Missing },
            ends_in_commit: false,
            highest: self.anchor.highest.max(first.lsn),
            highest_epoch: self.anchor.epoch,
            bytes: 0,
        };
        let Some(mut reader) = self.open(first.segment)? else { return Ok(scan) };
        let firsts = self.first_groups()?;
        let mut deliver = Flow::Continue;
        self.enter(&mut scan, &reader, link);
        loop {
            if self.closed_here(&scan, &mut reader)? {
                // Whoever commits behind a closed end has replaced the anchor first.
                let here = reader.next_group(&mut link.clone())?.is_ok();
                let number = reader.generation();
                if here || self.continued(&firsts, number, link, Epoch::Any)?.is_some() {
                    return Err(self.outdated(&scan));
                }
                return Ok(scan);
            }
            // A later epoch began here: what stands behind this place was cut before, and stays
            // cut even where it can be read again.
            if let Some(next) = self.continued(&firsts, reader.generation(), link, Epoch::Later)? {
                self.leave(&scan, &mut reader)?;
                self.enter(&mut scan, &next, link);
                reader = next;
            }
            match reader.next_group(&mut link)? {
                Ok(group) if self.closed() && !group.follows_zeros => {
                    let at = Place { offset: align_group(scan.end.offset), ..scan.end };
                    return Err(self.damaged_at(at, Damage::Padding, group.watermark()));
                }
                Ok(group) => {
                    scan.pass(&group, reader.generation(), link);
                    if group.last_lsn() > from && deliver == Flow::Continue {
                        deliver = give(&group, from, sink);
                    }
                }
                Err(stop) => {
                    let number = reader.generation();
                    let Some(next) = self.continued(&firsts, number, link, Epoch::Any)? else {
                        scan.stop = stop;
                        return Ok(scan);
                    };
                    self.leave(&scan, &mut reader)?;
                    self.enter(&mut scan, &next, link);
                    reader = next;
                }
            }
        }
    }

    fn closed(&self) -> bool {
        matches!(self.anchor.state, State::Closed { .. })
    }

    /// The header at the start of each segment that may hold a group.
    fn first_groups(&self) -> Result<Vec<GroupHeader>, LogError> {
        let mut firsts = Vec::new();
        for &number in self.present.range(self.anchor.first.segment..=self.anchor.newest) {
            firsts.extend(self.first_group(number)?);
        }
        Ok(firsts)
    }

    /// The header at the start of a segment, if a group of this life of it stands there.
    fn first_group(&self, number: u64) -> Result<Option<GroupHeader>, LogError> {
        let path = segment_path(self.dir, number);
        let file =
            self.fs.open(&path, Access::Read).map_err(LogError::io(&path, "open a segment"))?;
        let mut bytes = [0; HEADER_LEN];
        match file.read_exact_at(&mut bytes, 0) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            other => other.map_err(LogError::io(&path, "read the segment"))?,
        }
        Ok(GroupHeader::parse(&bytes).filter(|header| {
            header.store() == self.anchor.store && header.generation.get() == number
        }))
    }

    /// A segment that the anchor does not count, and that holds a group all the same: the anchor
    /// has counted it once.
    fn require_newest(&self, scan: &Scan) -> Result<(), LogError> {
        for &number in self.present.range(self.anchor.newest.saturating_add(1)..) {
            if self.first_group(number)?.is_some() {
                return Err(self.outdated(scan));
            }
        }
        Ok(())
    }

    /// The anchor is one that was replaced long ago.
    fn outdated(&self, scan: &Scan) -> LogError {
        let damage = Damage::Anchor("is older than the log");
        let (path, end, durable) = (anchor_path(self.dir), scan.end.lsn, scan.watermark);
        LogError::Damaged { path, offset: 0, end, durable, damage }
    }

    /// Looks at what is left behind in a segment: the rest of the last group's block is zeros,
    /// where a log was closed.
    fn leave(&self, scan: &Scan, reader: &mut GroupReader) -> Result<(), LogError> {
        if self.closed() && !reader.padding_is_zero(align_block(scan.end.offset))? {
            let at = Place { offset: align_group(scan.end.offset), ..scan.end };
            return Err(self.damaged_at(at, Damage::Padding, scan.watermark));
        }
        Ok(())
    }

    fn enter(&self, scan: &mut Scan, reader: &GroupReader, link: Link) {
        scan.end.segment = reader.generation();
        scan.end.offset = 0;
        let (number, size) = (reader.generation(), reader.size());
        scan.starts.push(Start { number, size, lsn: link.lsn, crc: link.crc });
        scan.ends.push(0);
    }

    /// Whether a log that was closed ends here.
    fn closed_here(&self, scan: &Scan, reader: &mut GroupReader) -> Result<bool, LogError> {
        let State::Closed { end, .. } = self.anchor.state else { return Ok(false) };
        let here = Place { offset: align_block(scan.end.offset), ..scan.end };
        if here != end {
            return Ok(false);
        }
        if reader.padding_is_zero(end.offset)? {
            return Ok(true);
        }
        let mut at = scan.end;
        at.offset = reader.offset();
        Err(self.damaged_at(at, Damage::Padding, end.lsn))
    }

    /// The later segment whose first group names exactly this place: of the highest epoch, and
    /// whole.
    fn continued(
        &self,
        firsts: &[GroupHeader],
        after: u64,
        link: Link,
        epoch: Epoch,
    ) -> Result<Option<GroupReader>, LogError> {
        let mut best: Option<(u32, GroupReader)> = None;
        for header in firsts {
            let (number, its) = (header.generation.get(), header.epoch.get());
            let names = header.prev_lsn() == link.lsn && header.prev_crc.get() == link.crc;
            let later = number > after && (epoch == Epoch::Any || its > link.epoch);
            let higher = best.as_ref().is_none_or(|(highest, _)| its > *highest);
            if names
                && later
                && higher
                && let Some(mut reader) = self.open(number)?
                && reader.next_group(&mut link.clone())?.is_ok()
            {
                reader.seek(0);
                best = Some((its, reader));
            }
        }
        Ok(best.map(|(_, reader)| reader))
    }

    fn open(&self, number: u64) -> Result<Option<GroupReader>, LogError> {
        if !self.present.contains(&number) {
            return Ok(None);
        }
        let path = segment_path(self.dir, number);
        let file =
            self.fs.open(&path, Access::Read).map_err(LogError::io(&path, "open a segment"))?;
        let reader = GroupReader::new(file, path, self.anchor.store, number)?;
        Ok(Some(reader.with_sabotage(self.sabotage)))
    }

    /// Looks at every block behind the end for a header of this store.
    fn survey(&self, scan: &mut Scan) -> Result<(), LogError> {
        let end = scan.end;
        for &number in self.present.range(end.segment..=self.anchor.newest) {
            let Some(mut reader) = self.open(number)? else { continue };
            let mut offset = if number == end.segment { align_group(end.offset) } else { 0 };
            while offset < reader.size() {
                let block_end = align_block(offset + 1);
                let mut at = offset;
                // Groups of one block stand behind each other; the next block is looked at anew.
                while at < block_end
                    && let Some(header) = self.ours(&mut reader, at)?
                {
                    scan.highest = scan.highest.max(header.last_lsn());
                    scan.highest_epoch = scan.highest_epoch.max(header.epoch.get());
                    let tolerant = self.sabotage == Some(Sabotage::DamageTakenForTail);
                    if header.watermark() > end.lsn && !tolerant {
                        return Err(self.damaged(scan, header.watermark()));
                    }
                    at = align_group(at.saturating_add(header.group_len()));
                }
                offset = block_end;
            }
        }
        Ok(())
    }

    fn ours(&self, reader: &mut GroupReader, at: u64) -> Result<Option<GroupHeader>, LogError> {
        Ok(reader.peek(at)?.filter(|header| header.store() == self.anchor.store))
    }

    fn require_segments(&self, scan: &Scan) -> Result<(), LogError> {
        if self.sabotage == Some(Sabotage::MissingSegmentIgnored) {
            return Ok(());
        }
        // Walks the range only as far as the directory confirms it, so that a huge range in a
        // forged anchor costs nothing.
        let mut expected = self.anchor.first.segment;
        for &number in self.present.range(expected..) {
            if number != expected || expected > self.anchor.newest {
                break;
            }
            expected += 1;
        }
        if expected > self.anchor.newest {
            return Ok(());
        }
        let at = Place { segment: expected, offset: 0, ..scan.end };
        Err(self.damaged_at(at, Damage::Missing, scan.watermark))
    }

    /// The damage at the place where the chain stops.
    fn damaged(&self, scan: &Scan, durable: Lsn) -> LogError {
        let at = Place { offset: scan.stop.offset, ..scan.end };
        if self.present.contains(&at.segment) {
            self.damaged_at(at, scan.stop.damage.clone(), durable)
        } else {
            self.damaged_at(at, Damage::Missing, durable)
        }
    }

    fn damaged_at(&self, at: Place, damage: Damage, durable: Lsn) -> LogError {
        let path = segment_path(self.dir, at.segment);
        LogError::Damaged { path, offset: at.offset, end: at.lsn, durable, damage }
    }
}

fn give(group: &Group, from: Lsn, sink: Sink<'_>) -> Flow {
    let mut records = group.records().filter(|(lsn, _)| *lsn > from);
    let full = records.any(|(lsn, payload)| sink(lsn, payload) == Flow::Full);
    if full { Flow::Full } else { Flow::Continue }
}

impl Scan {
    /// Takes note of a whole group that continues the chain.
    fn pass(&mut self, group: &Group, segment: u64, link: Link) {
        self.bytes += group.end() - group.offset;
        self.watermark = self.watermark.max(group.watermark());
        let before = group.header.prev_lsn();
        if before <= self.watermark {
            // Whatever stands before this group was durable before it was written.
            self.tail.clear();
        } else {
            while self.tail.get(1).is_some_and(|next| next.lsn <= self.watermark) {
                self.tail.pop_front();
            }
        }
        let block = |offset: u64| offset / BLOCK as u64;
        let new_block = self.tail.back().is_none_or(|back| {
            (back.segment, block(back.offset)) != (segment, block(group.offset))
        });
        // A group without commits has no LSN to be above the watermark, yet the chain needs it.
        if new_block && (group.last_lsn() > self.watermark || group.commits() == 0) {
            self.tail.push_back(Place { segment, offset: group.offset, lsn: before, crc: 0 });
        }
        self.end = Place { segment, offset: group.end(), lsn: link.lsn, crc: link.crc };
        if let Some(end) = self.ends.last_mut() {
            *end = group.end();
        }
        self.epoch = link.epoch;
        self.ends_in_commit = group.commits() > 0;
        self.highest = self.highest.max(link.lsn);
        self.highest_epoch = self.highest_epoch.max(link.epoch);
    }
}
