//! What became of dirty pages: written, or left clean by a sync that failed.
//!
//! Invariant: for each block that was written since its last successful sync, what it held then is
//! known, or that the media are to be asked. So the page cache can forget a page that a failed
//! sync has left clean, and show what is on the media instead.

use std::collections::BTreeMap;

use super::{Live, UNKNOWN, WriteHow, ino_at};
use crate::ops::history::What;
use crate::ops::store::BlockId;

/// The dirty and the doubtful pages of a file.
#[derive(Clone, Debug, Default)]
pub(super) struct Writeback {
    /// Written since the last sync: what the block held before.
    dirty: BTreeMap<u32, BlockId>,
    /// Clean, though their sync failed: what the block held before.
    doubtful: BTreeMap<u32, BlockId>,
}

impl Writeback {
    /// A block is about to be written; this is what it holds.
    pub(super) fn dirty(&mut self, block: u32, content: BlockId) {
        let before = self.doubtful.remove(&block).unwrap_or(content);
        self.dirty.entry(block).or_insert(before);
    }

    /// A block was written in some way.
    pub(super) fn written(&mut self, block: u32, how: WriteHow) {
        match how {
            WriteHow::Cached => {}
            WriteHow::Durable => drop(self.dirty.remove(&block)),
            WriteHow::Failed(_) => {
                self.doubtful.extend(self.dirty.remove(&block).map(|before| (block, before)));
            }
        }
    }

    /// All was synced, or was to be.
    pub(super) fn synced(&mut self, done: bool) {
        let dirty = std::mem::take(&mut self.dirty);
        if !done {
            self.doubtful.extend(dirty);
        }
    }

    /// Blocks from this one on were cut off.
    pub(super) fn cut(&mut self, block: u32) {
        self.dirty.retain(|at, _| *at < block);
        self.doubtful.retain(|at, _| *at < block);
    }
}

impl Live {
    /// Forgets every page that a failed sync has left clean.
    pub(in crate::ops) fn evict(&mut self) {
        for at in 0..self.nodes.len() {
            let doubtful = std::mem::take(&mut self.nodes[at].writeback.doubtful);
            if doubtful.is_empty() {
                continue;
            }
            let ino = ino_at(at);
            for (block, before) in &doubtful {
                let from_media = *block < self.nodes[at].media_blocks;
                let lost = if *before == UNKNOWN && !from_media { BlockId::HOLE } else { *before };
                self.set_block(ino, *block, lost);
            }
            self.record(What::Evict { ino, blocks: doubtful.into_keys().collect() }, Ok(0));
        }
    }
}
