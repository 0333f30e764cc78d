//! How much room there is: whole blocks, against a capacity that a test may set.
//!
//! Invariant: an overwrite of a block that is there needs none, and a file without a name takes
//! none.

use std::io;

use ondisk_fs::BLOCK;

use super::part::{clamp, parts};
use super::{Live, UNKNOWN, check_end, ino_at, span};
use crate::ops::fault::SimError;
use crate::ops::history::{Ino, Version, What};
use crate::ops::media::Is;
use crate::ops::store::BlockId;

impl Live {
    pub(super) fn has_block(&self, ino: Ino, block: u32) -> bool {
        let node = &self.nodes[ino.index()];
        let cell = node.cells.get(block as usize).copied();
        block < node.reserved
            || match cell {
                Some(UNKNOWN) => true,
                Some(id) => id != BlockId::HOLE,
                None => block < node.media_blocks && self.media.has_block(ino, block),
            }
    }

    /// Bytes in use: whole blocks of all files that have a name.
    pub(in crate::ops) fn used(&self) -> u64 {
        let mut blocks = 0;
        for (at, node) in self.nodes.iter().enumerate() {
            if node.is != Is::File || node.links == 0 {
                continue;
            }
            let ino = ino_at(at);
            let cells = u32::try_from(node.cells.len()).unwrap_or(u32::MAX);
            let media = self.media.blocks(ino).min(node.media_blocks);
            let end = cells.max(node.reserved).max(media);
            blocks += (0..end).filter(|block| self.has_block(ino, *block)).count() as u64;
        }
        blocks * BLOCK as u64
    }

    pub(super) fn free_blocks(&self) -> u64 {
        self.capacity.map_or(u64::MAX, |all| all.saturating_sub(self.used()) / BLOCK as u64)
    }

    /// How many of the bytes there is room for.
    pub(super) fn fits(&self, ino: Ino, offset: u64, len: usize) -> usize {
        if self.capacity.is_none() {
            return len;
        }
        let mut free = self.free_blocks();
        for part in parts(offset, len) {
            if self.has_block(ino, part.block) {
                continue;
            }
            if free == 0 {
                return part.bytes.start;
            }
            free -= 1;
        }
        len
    }

    /// Makes bytes inside a file zeros and frees whole blocks; the length stays.
    pub(in crate::ops) fn punch(&mut self, ino: Ino, offset: u64, len: u64) -> io::Result<()> {
        check_end(offset, len)?;
        let end = (offset + len).min(self.len(ino));
        let first = self.versions.len();
        // The last block is punched whole when it is punched to the end of the file.
        let whole_end = if end == self.len(ino) { end.next_multiple_of(BLOCK as u64) } else { end };
        for part in parts(offset, clamp(whole_end.saturating_sub(offset))) {
            let content = if part.range.len() == BLOCK {
                self.nodes[ino.index()].writeback.punched(part.block);
                self.set_block(ino, part.block, BlockId::HOLE);
                BlockId::HOLE
            } else {
                let zeros = vec![0; part.range.len()];
                self.overwrite(ino, &part, &zeros)
            };
            self.versions.push(Version { block: part.block, content });
        }
        let versions = span(first, self.versions.len());
        self.record(What::Punch { ino, offset, len, versions }, Ok(0));
        Ok(())
    }

    pub(in crate::ops) fn full(&self, wanted: u64) -> io::Error {
        let (used, capacity) = (self.used(), self.capacity.unwrap_or(u64::MAX));
        SimError::Full { used, capacity, wanted }.of(io::ErrorKind::StorageFull)
    }
}
