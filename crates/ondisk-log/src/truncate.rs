//! Gives back the segments whose commits are all held elsewhere.
//!
//! Invariant: data before names. What replaces the truncated commits is durable before (the
//! checkpoint says so), then the anchor names the new first segment, then the old ones are freed.
//! A cut between any two leaves segments outside the anchor's range, which are free.

use std::io;

use ondisk_fs::Access;

use crate::anchor::{Anchor, Place};
use crate::append::Shell;
use crate::keeper::{Keeper, Kept};
use crate::options::Sabotage;
use crate::segment::segment_path;
use crate::{LogError, Lsn};

/// What a truncation did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Truncated {
    /// Segments that left the log: kept to be recycled, or removed.
    pub segments: u64,
    /// The log holds the commits above this one.
    pub above: Lsn,
}

impl Keeper {
    pub(crate) fn truncate(&self, shell: &Shell, up_to: Lsn) -> Result<Truncated, LogError> {
        let mut kept = self.lock();
        let checkpoint = kept.anchor.checkpoint;
        if up_to > checkpoint && !self.options.sabotaged(Sabotage::TruncatedBeyondCheckpoint) {
            return Err(LogError::NotCheckpointed { up_to, checkpoint });
        }
        let first = {
            let state = shell.lock();
            // The last segment that continues from a commit which is not needed any more.
            let start = state.core.starts.iter().rev().find(|start| start.lsn <= up_to).copied();
            match start {
                Some(start) if start.number > kept.anchor.first.segment => start,
                _ => return Ok(Truncated { segments: 0, above: kept.anchor.first.lsn }),
            }
        };
        let old = kept.anchor.first.segment;
        let place = Place { segment: first.number, offset: 0, lsn: first.lsn, crc: first.crc };
        let anchor = Anchor { first: place, ..kept.anchor };
        let freed_first = self.options.sabotaged(Sabotage::SegmentFreedBeforeAnchor);
        if freed_first {
            self.free(&mut kept, old, first.number)?;
        }
        self.write(anchor)?;
        kept.anchor = anchor;
        shell.lock().core.starts.retain(|start| start.number >= first.number);
        if !freed_first {
            self.free(&mut kept, old, first.number)?;
        }
        self.trim_free(&mut kept)?;
        Ok(Truncated { segments: first.number - old, above: first.lsn })
    }

    /// Moves the segments `from..to` to the free ones.
    fn free(&self, kept: &mut Kept, from: u64, to: u64) -> Result<(), LogError> {
        for number in from..to {
            let path = segment_path(&self.dir, number);
            let file = match self.fs.open(&path, Access::Read) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                other => other.map_err(LogError::io(&path, "open a free segment"))?,
            };
            let size = file.size().map_err(LogError::io(&path, "get the size of a segment"))?;
            kept.free.push((number, size));
            if self.options.sabotaged(Sabotage::SegmentFreedBeforeAnchor) {
                self.fs.remove(&path).map_err(LogError::io(&path, "remove a segment"))?;
                kept.free.pop();
            }
        }
        Ok(())
    }
}
