//! The lengths at which a file may stop besides the ends of a write's own blocks.
//!
//! The journal's length of a file grows to the end of whatever gets its place. That may be a block
//! that a write left out, beginning behind the old end, and that another call writes; and it may be
//! what is reserved below a length that is not durable yet.
//!
//! Invariant: it is known before the first call which stops there are, and so the lengths of a file
//! stay one chain.
//!
//! Knows nothing of what is durable.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use ondisk_fs::BLOCK;

use crate::ops::history::{At, Call, History, Ino, What};
use crate::ops::model::{Len, Model, Names, Needs};

/// What one file's lengths may stop at.
#[derive(Clone, Debug, Default)]
struct Stop {
    /// The blocks that are written in its life, of files of which a write left some out.
    blocks: BTreeSet<u32>,
    /// Reserved up to here while the file was longer, and where.
    reserved: BTreeMap<u64, Vec<At>>,
}

/// Why a file may stop there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// A block ends there that the write left out.
    LeftOut,
    /// So much is reserved, from this place on.
    Reserved(At),
}

/// By file.
#[derive(Clone, Debug, Default)]
pub(super) struct Stops(BTreeMap<Ino, Stop>);

impl Stops {
    pub(super) fn new(model: &Model, history: &History) -> Self {
        let mut files: BTreeMap<Ino, Stop> = BTreeMap::new();
        let floats = matches!(model.len, Len::Float(Needs::Nothing | Needs::LastAny));
        if !floats || model.names == Names::Everything {
            return Self(files);
        }
        for call in &history.calls {
            match &call.what {
                What::Write { ino, offset, old_len, .. } if leaves_out(*old_len, *offset) => {
                    files.entry(*ino).or_default();
                }
                What::Allocate { ino, old_len, len } if len <= old_len => {
                    let reserved = &mut files.entry(*ino).or_default().reserved;
                    reserved.entry(*len).or_default().push(call.called);
                }
                _ => {}
            }
        }
        let written = |call: &Call| match &call.what {
            What::Write { ino, versions, .. } => Some((*ino, versions.clone())),
            _ => None,
        };
        for (ino, versions) in history.calls.iter().filter_map(written) {
            if let Some(stop) = files.get_mut(&ino) {
                let versions = versions.map(|at| history.versions[at as usize].block);
                stop.blocks.extend(versions);
            }
        }
        Self(files)
    }

    /// Those of a write that makes a file longer.
    pub(super) fn of(
        &self,
        called: At,
        ino: Ino,
        grown: Range<u64>,
        offset: u64,
    ) -> BTreeMap<u64, Why> {
        let mut stops = BTreeMap::new();
        let Some(file) = self.0.get(&ino).filter(|_| grown.start < grown.end) else {
            return stops;
        };
        let gap = block_of(grown.start)..block_of(offset);
        if leaves_out(grown.start, offset) {
            let ends = file.blocks.range(gap).map(|block| (u64::from(*block) + 1) * BLOCK as u64);
            stops.extend(ends.map(|end| (end, Why::LeftOut)));
        }
        let reserved = file.reserved.range(grown.start + 1..=grown.end);
        for (end, places) in reserved {
            let first = places.iter().find(|place| **place > called);
            stops.extend(first.map(|place| (*end, Why::Reserved(*place))));
        }
        stops
    }
}

/// Whether a write leaves out blocks, or the rest of one, behind the old end.
fn leaves_out(old_len: u64, offset: u64) -> bool {
    block_of(old_len) < block_of(offset)
}

fn block_of(at: u64) -> u32 {
    u32::try_from(at / BLOCK as u64).unwrap_or(u32::MAX)
}
