//! How much room there is: whole blocks, against a capacity that a test may set.
//!
//! Invariant: an overwrite of a block that is there needs none, and a file without a name takes
//! none.

use std::io;

use ondisk_fs::BLOCK;

use super::part::parts;
use super::{Live, UNKNOWN, ino_at};
use crate::ops::fault::SimError;
use crate::ops::history::Ino;
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

    pub(in crate::ops) fn full(&self, wanted: u64) -> io::Error {
        let (used, capacity) = (self.used(), self.capacity.unwrap_or(u64::MAX));
        SimError::Full { used, capacity, wanted }.of(io::ErrorKind::StorageFull)
    }
}
