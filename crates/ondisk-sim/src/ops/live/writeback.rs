//! What became of dirty pages: written, or left clean by a sync that failed.
//!
//! Invariant: for each block that was written since its last successful sync, what it held then is
//! known, or that the media are to be asked. So the page cache can forget a page that a failed
//! sync has left clean, and show what is on the media instead.

use std::collections::BTreeMap;

use std::io;

use super::{Live, UNKNOWN, WriteHow, ino_at};
use crate::ops::history::{Ino, SyncKind, What};
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
            WriteHow::Durable(_) => drop(self.dirty.remove(&block)),
            WriteHow::Failed(..) => {
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

    /// A block was taken away.
    pub(super) fn punched(&mut self, block: u32) {
        self.dirty.remove(&block);
        self.doubtful.remove(&block);
    }

    /// Blocks from this one on were cut off.
    pub(super) fn cut(&mut self, block: u32) {
        self.dirty.retain(|at, _| *at < block);
        self.doubtful.retain(|at, _| *at < block);
    }
}

impl Live {
    pub(in crate::ops) fn sync(
        &mut self,
        ino: Ino,
        kind: SyncKind,
        result: Result<(), io::ErrorKind>,
    ) {
        let node = &mut self.nodes[ino.index()];
        node.writeback.synced(result.is_ok());
        if result.is_err() {
            node.failed += 1;
        }
        self.record(What::Sync { ino, kind }, result.map(|()| 0));
    }

    pub(in crate::ops) fn sync_dir(&mut self, ino: Ino, result: Result<(), io::ErrorKind>) {
        self.record(What::SyncDir { ino }, result.map(|()| 0));
    }

    pub(in crate::ops) fn sync_everything(&mut self) {
        for node in &mut self.nodes {
            node.writeback.synced(true);
        }
        self.record(What::SyncEverything, Ok(0));
    }

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
