//! What can still be read of a log whose chain is broken, or whose anchor is gone.
//!
//! Invariant: reads alone. A record is given out only from a group whose header, lengths and sums
//! are right and which continues the one before it, or is the first that can be read behind a gap;
//! LSNs ascend. What a former cut took out of the chain stays out: a segment of a later epoch says
//! from which LSN it goes on, and what an earlier epoch holds above that is no part of the log.
//!
//! What it cannot know: whether a group behind the last one that can be read was ever there, when no
//! later watermark and no anchor says so.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use ondisk_fs::{Access, BLOCK, FileSystem};

use crate::anchor::{Anchor, State, anchor_path};
use crate::read::{GroupReader, Link};
use crate::record::{GroupHeader, align_block};
use crate::recover::read_anchor;
use crate::segment::{list_segments, segment_path};
use crate::{LogError, Lsn, StoreId};

/// What was read of a damaged log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Salvaged {
    /// The store that the log belongs to, where a header or the anchor says so.
    pub store: Option<StoreId>,
    /// Records that were given out.
    pub records: u64,
    /// The last LSN that was read.
    pub end: Lsn,
    /// What is lost, in the order of the log.
    pub lost: Vec<Gap>,
}

/// A range of a log's file that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The file.
    pub path: PathBuf,
    /// Where it begins in it, in bytes.
    pub offset: u64,
    /// Its bytes; 0 where that is not known.
    pub len: u64,
    /// Records above this LSN are lost.
    pub after: Lsn,
    /// Records through this LSN are lost; `None` where it is not known how many.
    pub through: Option<Lsn>,
    /// What is wrong there.
    pub what: String,
}

/// Gives `sink` every record of a log that still verifies, in the order of LSNs, with or without an
/// anchor. `store` is whose log it is, where that is known.
///
/// # Errors
/// [`LogError::Io`]; [`LogError::NewerFormat`] of the anchor. Damage is no error here.
pub fn salvage(
    fs: &dyn FileSystem,
    dir: &Path,
    store: Option<StoreId>,
    sink: &mut dyn FnMut(Lsn, Bytes),
) -> Result<Salvaged, LogError> {
    let mut found = Salvaged { store, ..Salvaged::default() };
    let anchor = match read_anchor(fs, dir) {
        Ok(anchor) => Some(anchor),
        Err(error @ (LogError::Io { .. } | LogError::NewerFormat { .. })) => return Err(error),
        Err(LogError::Absent { .. }) => return Ok(found),
        Err(error) => {
            let path = anchor_path(dir);
            let what = format!("{error}: the segments are read without it");
            found.lost.push(Gap { path, offset: 0, len: 0, after: Lsn(0), through: None, what });
            None
        }
    };
    let segments = segments(fs, dir, anchor.as_ref(), &mut found)?;
    if let Some(anchor) = &anchor {
        found.end = anchor.first.lsn;
    }
    let watermarks = segments.iter().map(|segment| segment.watermark);
    let owed = watermarks.fold(anchor.as_ref().map_or(Lsn(0), owed), Lsn::max);
    for (at, segment) in segments.iter().enumerate() {
        let later = segments[at + 1..].iter().filter(|it| it.epoch > segment.epoch);
        let cut = later.filter_map(|it| it.continues).min();
        segment.read(fs, Limits { cut, owed }, &mut found, sink)?;
    }
    if found.end < owed {
        let path = segments.last().map_or_else(|| dir.to_owned(), |it| it.path.clone());
        let (after, through) = (found.end, Some(owed));
        let what = "commits are missing at the end that were durable".to_owned();
        found.lost.push(Gap { path, offset: 0, len: 0, after, through, what });
    }
    Ok(found)
}

/// Through which LSN an anchor says that the log holds everything.
fn owed(anchor: &Anchor) -> Lsn {
    let end = match anchor.state {
        State::Closed { end, .. } => end.lsn,
        _ => Lsn(0),
    };
    end.max(anchor.durable).max(anchor.checkpoint)
}

/// A segment that holds groups, by the first of them that can be read.
#[derive(Debug)]
struct Segment {
    number: u64,
    path: PathBuf,
    store: StoreId,
    epoch: u32,
    /// The LSN that its first group goes on from; `None` where that group cannot be read.
    continues: Option<Lsn>,
    /// The highest that its headers name: all through it was durable.
    watermark: Lsn,
}

/// What of a segment belongs to the log.
#[derive(Clone, Copy, Debug)]
struct Limits {
    /// A later epoch goes on from here.
    cut: Option<Lsn>,
    /// All through this one was durable: what is missing below it is lost, and a gap above it is
    /// where a cut log ends.
    owed: Lsn,
}

/// The segments of the log in their order; of one that is missing it is said.
fn segments(
    fs: &dyn FileSystem,
    dir: &Path,
    anchor: Option<&Anchor>,
    found: &mut Salvaged,
) -> Result<Vec<Segment>, LogError> {
    let mut segments: Vec<Segment> = Vec::new();
    found.store = anchor.map(|anchor| anchor.store).or(found.store);
    for number in list_segments(fs, dir)? {
        let counts = |it: &Anchor| (it.first.segment..=it.newest).contains(&number);
        if !anchor.is_none_or(counts) {
            continue; // free, whatever it holds
        }
        let path = segment_path(dir, number);
        let Some(segment) = Segment::look(fs, path, number, found.store)? else {
            continue; // prepared, or nothing of it can be read: then LSNs are missing
        };
        found.store = Some(segment.store);
        segments.push(segment);
    }
    Ok(segments)
}

impl Segment {
    /// Looks at the headers of a segment's own life that stand at the start of a block.
    fn look(
        fs: &dyn FileSystem,
        path: PathBuf,
        number: u64,
        store: Option<StoreId>,
    ) -> Result<Option<Self>, LogError> {
        let file = fs.open(&path, Access::Read).map_err(LogError::io(&path, "open a segment"))?;
        // Whose it is does not matter to a look at headers.
        let mut reader = GroupReader::new(file, path.clone(), StoreId([0; 16]), number)?;
        let mut found: Option<Self> = None;
        for offset in (0..reader.size()).step_by(BLOCK) {
            let own = |it: &GroupHeader| {
                let known = found.as_ref().map(|it| it.store).or(store);
                it.generation.get() == number && known.is_none_or(|known| it.store() == known)
            };
            let Some(header) = reader.peek(offset)?.filter(own) else { continue };
            let (store, epoch) = (header.store(), header.epoch.get());
            let segment = found.get_or_insert_with(|| Self {
                number,
                path: path.clone(),
                store,
                epoch,
                continues: (offset == 0).then(|| header.prev_lsn()),
                watermark: Lsn(0),
            });
            if epoch == segment.epoch {
                segment.watermark = segment.watermark.max(header.watermark());
            }
        }
        Ok(found)
    }

    /// Gives out its records above the last one that was read.
    fn read(
        &self,
        fs: &dyn FileSystem,
        limits: Limits,
        found: &mut Salvaged,
        sink: &mut dyn FnMut(Lsn, Bytes),
    ) -> Result<(), LogError> {
        let file = fs
            .open(&self.path, Access::Read)
            .map_err(LogError::io(&self.path, "open a segment"))?;
        let mut reader = GroupReader::new(file, self.path.clone(), self.store, self.number)?;
        let mut at = 0;
        let within = |lsn: Lsn| limits.cut.is_none_or(|cut| lsn <= cut);
        while let Some((header, offset)) = self.next_header(&mut reader, at)? {
            let before = header.prev_lsn();
            if offset > at && at > 0 && !within(before) {
                break; // ghosts of what was cut
            }
            if before > found.end && limits.owed <= found.end {
                break; // what was being written when the log was cut
            }
            if before > found.end && within(before) {
                self.gap(found, at, offset, before);
            }
            reader.seek(offset);
            let epoch = if offset == 0 { 0 } else { header.epoch.get() };
            let mut link = Link { lsn: before, crc: header.prev_crc.get(), epoch };
            let mut groups = 0;
            while let Ok(group) = reader.next_group(&mut link)? {
                groups += 1;
                for (lsn, payload) in group.records() {
                    if lsn > found.end && within(lsn) {
                        found.end = lsn;
                        found.records += 1;
                        sink(lsn, payload);
                    }
                }
            }
            // Behind a header whose group is not whole, the next block.
            at = if groups > 0 { align_block(reader.offset()) } else { offset + BLOCK as u64 };
        }
        Ok(())
    }

    /// The next header of this life at a block's start, and where it stands.
    fn next_header(
        &self,
        reader: &mut GroupReader,
        from: u64,
    ) -> Result<Option<(GroupHeader, u64)>, LogError> {
        let mut offset = from;
        while offset < reader.size() {
            let own = |it: &GroupHeader| {
                it.store() == self.store
                    && it.generation.get() == self.number
                    && it.epoch.get() == self.epoch
            };
            if let Some(header) = reader.peek(offset)?.filter(own) {
                return Ok(Some((header, offset)));
            }
            offset += BLOCK as u64;
        }
        Ok(None)
    }

    fn gap(&self, found: &mut Salvaged, from: u64, to: u64, before: Lsn) {
        let (after, through) = (found.end, Some(before));
        let what = "no group that verifies continues the log here".to_owned();
        let (path, offset, len) = (self.path.clone(), from, to - from);
        found.lost.push(Gap { path, offset, len, after, through, what });
        found.end = before;
    }
}
