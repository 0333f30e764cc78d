//! The bios that are under way, and what each is for.
//!
//! Invariant: numbers are given in order and never twice; a bio that is done is known no more.

use std::collections::VecDeque;

use super::Ext4;
use super::answer::To;
use crate::machine::ids::{BioId, Ino, Lba, OpId, TaskId};
use crate::machine::layer::Cx;
use crate::machine::message::{Bio, BioWhat, BlockReq, Cargo, Msg};

/// What a bio is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// Pages of a file, from this one on. `convert`: their extent is unwritten until then.
    Data { ino: Ino, page: u32, convert: bool, op: OpId },
    /// A page that is read.
    Read { ino: Ino, page: u32 },
    /// Descriptors, copies and revokes of the committing transaction.
    Log,
    /// Its commit block.
    Commit,
    /// Blocks home, from this one on.
    Home { lba: Lba },
    /// A FLUSH before the tail moves.
    TailFlush,
    /// The journal's superblock with the new tail.
    Tail,
    /// The FLUSH of a sync for which there is nothing to commit.
    SyncFlush { op: OpId, to: To },
    /// Blocks home at mount.
    Replay,
    /// The FLUSH behind them.
    ReplayFlush,
    /// The journal's superblock, emptied.
    ReplaySuper,
}

/// The bios under way.
#[derive(Clone, Debug, Default)]
pub(super) struct Bios {
    /// The number of the first in the list, less one.
    before: u32,
    open: VecDeque<Option<Why>>,
}

impl Bios {
    fn open(&mut self, why: Why) -> BioId {
        let id = self.next();
        self.open.push_back(Some(why));
        id
    }

    /// The number that comes next.
    pub(super) fn next(&self) -> BioId {
        BioId(self.before + 1 + u32::try_from(self.open.len()).unwrap_or(0))
    }

    /// A bio is done: what it was for.
    pub(super) fn close(&mut self, id: BioId) -> Option<Why> {
        let at = id.0.checked_sub(self.before + 1)?;
        let why = self.open.get_mut(at as usize)?.take();
        while let Some(None) = self.open.front() {
            self.open.pop_front();
            self.before += 1;
        }
        why
    }
}

/// A write of the file system's own, not yet numbered.
pub(super) fn write(lba: Lba, cargo: Vec<Cargo>) -> Bio {
    Bio {
        id: BioId(0),
        task: TaskId::KERNEL,
        op: OpId(0),
        what: BioWhat::Write,
        lba,
        cargo,
        preflush: false,
        fua: false,
        sync: true,
        meta: true,
        fail: None,
    }
}

/// An empty bio that flushes.
pub(super) fn flush(task: TaskId, op: OpId) -> Bio {
    let base = write(Lba(0), Vec::new());
    Bio { task, op, what: BioWhat::Flush, preflush: true, meta: false, ..base }
}

impl Ext4 {
    /// Sends a bio on its way.
    pub(super) fn submit(&mut self, cx: &mut Cx, why: Why, bio: Bio) -> BioId {
        let id = self.bios.open(why);
        cx.send(Msg::Block(BlockReq::Submit(Bio { id, ..bio })));
        id
    }
}
