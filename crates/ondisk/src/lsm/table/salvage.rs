//! Takes out of a table's file what verifies, whatever became of the rest.
//!
//! Blocks stand back to back, each says how long it is, and its sum is bound to its place. So no
//! index is needed; behind a damaged block the next one is looked for byte by byte, and a value
//! that looks like a block is none, since its sum is another place's.
//!
//! Invariant: only entries of blocks whose sums fit are given out; every other byte between header
//! and footer is in a range that is told as lost. Writes nothing.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use ondisk_fs::{File, FileSystem};
use ondisk_log::Lsn;

use super::block::{Block, Entry, EntryKind, Understood};
use super::format::{
    BLOCK_HEAD, BLOCK_TAG, BLOCK_TAG_AT, BlockKind, FOOTER, HEADER, Header, Identity, Packing,
    Seed, Sums, block_len, check_block,
};
use super::load::{open_file, read, read_footer, size, unpack};
use crate::error::Error;

/// Bytes that are looked through at once.
const WINDOW: u64 = 256 << 10;

/// What a table's file still gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Salvaged {
    pub(crate) entries: u64,
    pub(crate) lost: Vec<Lost>,
}

/// A part of a table's file that did not verify.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lost {
    pub(crate) path: PathBuf,
    /// Where in the file.
    pub(crate) place: Range<u64>,
    /// The keys that stand before and behind: what is lost lay between them.
    pub(crate) above: Option<Box<[u8]>>,
    pub(crate) below: Option<Box<[u8]>>,
    /// What is lost was written by commits through this one, where the footer tells.
    pub(crate) newest: Option<Lsn>,
}

/// Who takes entries: key, LSN, and value or tombstone.
pub(crate) type Taker<'a> = dyn FnMut(&[u8], Lsn, Option<&[u8]>) -> Result<(), Error> + 'a;

/// Takes out of a file what verifies, by ascending place. `identity` is what the file should be:
/// it serves where neither header nor footer say.
///
/// # Errors
/// Those of `take`, and those of the file system.
pub(crate) fn salvage(
    fs: &dyn FileSystem,
    path: &Path,
    identity: Identity,
    take: &mut Taker<'_>,
) -> Result<Salvaged, Error> {
    let file = open_file(fs, path)?;
    let len = size(path, &*file)?;
    let footer_at = len.checked_sub(FOOTER as u64);
    let footer = footer_at.and_then(|at| read_footer(path, &*file, at).ok());
    let header = read(path, &*file, 0..len.min(HEADER as u64))
        .and_then(|bytes| Header::decode(path, &bytes))
        .ok();
    let stated = header.map(|header| header.seed).or(footer.map(|footer| footer.seed));
    let mut search = Search {
        path,
        file,
        seed: stated.unwrap_or_else(|| Seed::new(identity)),
        // A footer that cannot be read is lost like anything else.
        end: footer.and(footer_at).unwrap_or(len),
        newest: footer.map(|footer| footer.newest),
        key: Vec::new(),
        entries: 0,
        lost: Vec::new(),
        gap: None,
    };
    let start = if header.is_some() { HEADER as u64 } else { 0 };
    search.run(start, take)?;
    Ok(Salvaged { entries: search.entries, lost: search.lost })
}

struct Search<'a> {
    path: &'a Path,
    file: Arc<dyn File>,
    seed: Seed,
    end: u64,
    newest: Option<Lsn>,
    /// The last key that was given out.
    key: Vec<u8>,
    entries: u64,
    lost: Vec<Lost>,
    /// Where the range begins that is lost, until a block verifies again.
    gap: Option<u64>,
}

impl Search<'_> {
    fn run(&mut self, mut at: u64, take: &mut Taker<'_>) -> Result<(), Error> {
        while at < self.end {
            match self.block(at)? {
                Some((Found::Data(block), end)) if self.take(at, &block, take)? => at = end,
                Some((Found::Part, end)) => {
                    self.close(at, None);
                    at = end;
                }
                Some((Found::Data(_), end)) => {
                    // Whole, and yet not to be understood.
                    self.gap.get_or_insert(at);
                    at = end;
                }
                None => {
                    self.gap.get_or_insert(at);
                    at = self.next_tag(at + 1)?;
                }
            }
        }
        self.close(self.end, None);
        Ok(())
    }

    /// Gives out a block's entries, if all of them can be understood.
    fn take(&mut self, at: u64, block: &Block, take: &mut Taker<'_>) -> Result<bool, Error> {
        let mut first = None;
        let read = block.each(&mut Vec::new(), &mut |key, _| {
            first.get_or_insert_with(|| Box::from(key));
            Ok(())
        })?;
        if read == Understood::InPart {
            return Ok(false);
        }
        self.close(at, first);
        let entries = &mut self.entries;
        let taken = block.each(&mut self.key, &mut |key, entry: &Entry| {
            *entries += 1;
            let value = &block.bytes()[entry.value.clone()];
            take(key, entry.lsn, (entry.kind == EntryKind::Value).then_some(value))
        })?;
        Ok(taken == Understood::Whole)
    }

    /// Ends the range that is lost, if one was begun, in front of a key.
    fn close(&mut self, end: u64, below: Option<Box<[u8]>>) {
        if let Some(start) = self.gap.take() {
            let above = (self.entries > 0).then(|| self.key[..].into());
            let (path, place) = (self.path.to_owned(), start..end);
            self.lost.push(Lost { path, place, above, below, newest: self.newest });
        }
    }

    /// The block that stands at a place, and where it ends; `None` where none does.
    fn block(&self, at: u64) -> Result<Option<(Found, u64)>, Error> {
        let head_end = at + BLOCK_HEAD as u64;
        if head_end > self.end {
            return Ok(None);
        }
        let head = read(self.path, &*self.file, at..head_end)?;
        let end = block_len(&head).and_then(|len| at.checked_add(len));
        let Some(end) = end.filter(|end| *end <= self.end) else { return Ok(None) };
        let bytes = Bytes::from(read(self.path, &*self.file, at..end)?);
        let Ok(head) = check_block(&bytes, (self.seed, at), Sums::Checked) else {
            return Ok(None);
        };
        if head.kind != BlockKind::Data {
            return Ok(Some((Found::Part, end)));
        }
        let payload = match head.packing {
            Packing::None => Ok(bytes.slice(BLOCK_HEAD..)),
            Packing::Lz4 => unpack(&bytes[BLOCK_HEAD..], head),
        };
        let block = payload.ok().and_then(|payload| Block::new(payload, 0).ok());
        Ok(block.map(|block| (Found::Data(block), end)))
    }

    /// Where the next block may begin: so far before the next tag; else the end.
    fn next_tag(&self, from: u64) -> Result<u64, Error> {
        let mut at = from + BLOCK_TAG_AT as u64;
        while at < self.end {
            let window = at..self.end.min(at + WINDOW);
            let bytes = read(self.path, &*self.file, window.clone())?;
            let found = bytes.windows(BLOCK_TAG.len()).position(|two| *two == BLOCK_TAG);
            if let Some(found) = found {
                return Ok(at + found as u64 - BLOCK_TAG_AT as u64);
            }
            if window.end == self.end {
                break;
            }
            at = window.end - 1; // a tag may stand across the windows' border
        }
        Ok(self.end)
    }
}

/// What stands at a place.
enum Found {
    Data(Block),
    /// The filter, or the index: nothing that was asked for.
    Part,
}
