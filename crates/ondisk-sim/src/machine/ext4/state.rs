//! The file system as a whole: its clock, what it holds, its state as a number.

use super::txn::Transaction;
use super::{Ext4, Work};
use crate::machine::arena::{Arena, Marks};
use crate::machine::digest::Digest;
use crate::machine::ids::OpId;
use crate::machine::layer::Cx;

impl Ext4 {
    /// The clock has come to something.
    pub(super) fn on_tick(&mut self, cx: &mut Cx) {
        if !self.soon.is_empty() {
            let mut soon = std::mem::take(&mut self.soon);
            for (cause, work) in soon.drain(..) {
                cx.because(cause);
                self.work(cx, work);
            }
            return;
        }
        self.forget_asked(cx);
        if self.commit_at().is_some_and(|at| at <= cx.now) {
            self.want_running(cx, OpId(0));
        }
        if self.home_at.is_some_and(|at| at <= cx.now) {
            self.home_at = None;
            self.write_home(cx);
        }
    }

    pub(super) fn add_marks(&self, marks: &mut Marks) {
        self.journal.marks(marks);
        if let Some(mounting) = &self.mounting {
            mounting.marks(marks);
        }
        let works = self.waiting.iter().chain(&self.soon).map(|(_, work)| work);
        let waiting = works.filter_map(|work| match work {
            Work::Place(write) => Some(&write.pages),
            Work::Convert { pages, .. } => Some(pages),
            Work::Journal(ended) => Some(&ended.pages),
            _ => None,
        });
        let held = self.held.iter().map(|write| &write.pages);
        for (_, cargo) in waiting.chain(held).flatten() {
            marks.hold(cargo.content);
        }
    }

    pub(super) fn add_state(&self, arena: &Arena, digest: &mut Digest) {
        let journal = &self.journal;
        digest.add(u64::from(journal.head));
        digest.add(u64::from(journal.next.0));
        digest.add(u64::from(journal.on_media.start));
        digest.add(u64::from(self.bios.next().0));
        digest.add(u64::from(self.space.spare()));
        let add_txn = |digest: &mut Digest, txn: &Transaction| {
            digest.add(u64::from(txn.tid.0));
            digest.add(txn.state as u64);
            for block in &txn.blocks {
                digest.add(u64::from(block.lba.0));
            }
        };
        for txn in [&journal.running, &journal.committing].into_iter().flatten() {
            add_txn(digest, txn);
        }
        for home in &journal.homes {
            let bytes = crate::machine::digest::bytes_digest(arena.bytes(home.cargo.content));
            digest.add(u64::from(home.lba.0));
            digest.add(bytes.0);
        }
        for (node, ino) in self.inodes.iter().zip(0_u64..) {
            let Some(node) = node else { continue };
            digest.add(ino);
            digest.add(node.size);
            digest.add(node.disk.size);
            digest.add(node.disk.mtime.0);
            for extent in &node.disk.extents {
                digest.add(u64::from(extent.page));
                digest.add(u64::from(extent.lba.0));
                digest.add(u64::from(extent.count) << 1 | u64::from(extent.unwritten));
            }
        }
    }
}
