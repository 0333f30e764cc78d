//! What the leader of a group has to do, as data, and the doing of it.
//!
//! Invariant: a plan is done in one order (padding, older syncs, the write, the last sync), and
//! the rung that it reports is the least that any of its syncs reached. It touches files and
//! nothing else: what its outcome means is the core's to say.

use std::io;
use std::sync::Arc;

use ondisk_fs::{BLOCK, Block, Blocks, File, Rung};
use zerocopy::IntoBytes;

use crate::Lsn;
use crate::options::Sabotage;

static ZEROS: Block = Block::ZERO;

/// What the leader of a group has to do, in this order: `pad`, `before`, `write`, `after`.
#[derive(Debug)]
pub(crate) struct Plan {
    /// Zeros for the rest of a block that is to be synced, or left for the next segment.
    pub(crate) pad: Option<(Arc<dyn File>, u64, usize)>,
    /// Files to be synced before anything is written.
    pub(crate) before: [Option<Arc<dyn File>>; 3],
    pub(crate) write: Option<Write>,
    /// A file to be synced last.
    pub(crate) after: Option<Arc<dyn File>>,
    pub(crate) buf: Blocks,
    /// All through here is durable when the plan has succeeded, if it makes all durable.
    pub(crate) last: Lsn,
    pub(crate) commits: u32,
    pub(crate) payload: u64,
    /// Whether all is durable afterwards.
    pub(crate) makes_durable: bool,
    /// Full segments that `before` syncs.
    pub(crate) older: usize,
}

#[derive(Debug)]
pub(crate) struct Write {
    pub(crate) file: Arc<dyn File>,
    pub(crate) offset: u64,
    /// Bytes of the plan's buffer.
    pub(crate) len: usize,
    pub(crate) durable: bool,
}

impl Plan {
    /// A plan that does nothing.
    pub(crate) fn nothing(last: Lsn) -> Self {
        Self {
            pad: None,
            before: [None, None, None],
            write: None,
            after: None,
            buf: Blocks::new(),
            last,
            commits: 0,
            payload: 0,
            makes_durable: false,
            older: 0,
        }
    }

    /// Does what the plan says. The rung that all of it has reached.
    pub(crate) fn run(&self, sabotage: Option<Sabotage>) -> io::Result<Rung> {
        let sync = |file: &Arc<dyn File>| match sabotage {
            Some(Sabotage::SyncSkipped) => Ok(Rung::Durable),
            Some(Sabotage::FailedSyncRetried) => file.sync_data().or(Ok(Rung::Durable)),
            _ => file.sync_data(),
        };
        let mut rung = Rung::Durable;
        if let Some((file, offset, len)) = &self.pad {
            file.write_all_at(&ZEROS.as_bytes()[..*len], *offset)?;
        }
        for file in self.before.iter().flatten() {
            rung = rung.min(sync(file)?);
        }
        if let Some(write) = &self.write {
            if write.durable && sabotage != Some(Sabotage::SyncSkipped) {
                let blocks = self.buf.blocks(0..write.len / BLOCK);
                rung = rung.min(write.file.write_durable(blocks, write.offset)?);
            } else {
                let kept = sabotage == Some(Sabotage::KeptInBuffer) && !self.makes_durable;
                if !kept {
                    write.file.write_all_at(&self.buf.bytes()[..write.len], write.offset)?;
                }
                if !self.makes_durable {
                    rung = Rung::Cached;
                }
            }
        }
        if let Some(file) = &self.after {
            rung = rung.min(sync(file)?);
        }
        Ok(rung)
    }
}
