//! Who waits for what: fsync, fdatasync, fsync of a directory, sync.
//!
//! Invariant: a sync that is answered Ok has had behind its data and behind its transaction at
//! least one FLUSH, where there was something to make durable.

use super::Ext4;
use super::answer::{To, answer};
use super::bios::{self, Why};
use super::txn::Waiter;
use crate::machine::Errno;
use crate::machine::config::Sabotage;
use crate::machine::ids::{Ino, OpId, TaskId};
use crate::machine::layer::Cx;
use crate::machine::message::Sync;

impl Ext4 {
    /// A file's sync, its data being down: the transaction of its last change, or of the last
    /// that is needed to read them.
    pub(super) fn sync(&mut self, cx: &mut Cx, op: OpId, task: TaskId, ino: Ino, kind: Sync) {
        if self.journal.aborted {
            return answer(cx, To::Pages, op, Err(Errno::Rofs));
        }
        let tid = self.node(ino).map(|node| match kind {
            Sync::Data => node.data_tid,
            Sync::All => node.sync_tid,
        });
        match tid.filter(|tid| self.is_live(*tid) && !self.is(Sabotage::FsyncWithoutCommit)) {
            Some(tid) => {
                self.wait_for(tid, Waiter { op, task, to: To::Pages, flush: true });
                self.want(cx, tid, op);
            }
            // What goes through the journal is durable with its commit.
            None if self.journals_data() => answer(cx, To::Pages, op, Ok(())),
            None => self.flush_for(cx, task, op, To::Pages),
        }
    }

    /// A directory's sync: whatever runs commits. With nothing running nothing is sent.
    pub(super) fn sync_dir(&mut self, cx: &mut Cx, op: OpId, task: TaskId) {
        if !self.wait_for_last(cx, Waiter { op, task, to: To::Vfs, flush: false }) {
            let result = if self.journal.aborted { Err(Errno::Rofs) } else { Ok(()) };
            answer(cx, To::Vfs, op, result);
        }
    }

    /// `sync(2)`: whatever runs commits; with nothing running there is a FLUSH.
    pub(super) fn sync_all(&mut self, cx: &mut Cx, op: OpId, task: TaskId) {
        if self.journal.aborted {
            return answer(cx, To::Pages, op, Err(Errno::Rofs));
        }
        if !self.wait_for_last(cx, Waiter { op, task, to: To::Pages, flush: true }) {
            self.flush_for(cx, task, op, To::Pages);
        }
    }

    /// Waits for the youngest transaction that is not durable, if there is one.
    fn wait_for_last(&mut self, cx: &mut Cx, waiter: Waiter) -> bool {
        let youngest = self.journal.running.as_ref().or(self.journal.committing.as_ref());
        let Some(tid) = youngest.map(|txn| txn.tid).filter(|_| !self.journal.aborted) else {
            return false;
        };
        self.wait_for(tid, waiter);
        self.want(cx, tid, waiter.op);
        true
    }

    /// A FLUSH on behalf of a sync.
    pub(super) fn flush_for(&mut self, cx: &mut Cx, task: TaskId, op: OpId, to: To) {
        if !self.options.barrier {
            return answer(cx, to, op, Ok(()));
        }
        self.submit(cx, Why::SyncFlush { op, to }, bios::flush(task, op));
    }
}
