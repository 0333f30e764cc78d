//! Pages that go through the journal themselves, and pages that are read.
//!
//! Invariant: a page is read from the newest place that has it: a transaction, the journal, or
//! the media.

use super::bios::{self, Why};
use super::txn::Meta;
use super::{Ext4, Work, extents, lba_at};
use crate::machine::Errno;
use crate::machine::event::HandleFor;
use crate::machine::ids::{BlockId, Ino, Lba, OpId, TaskId};
use crate::machine::layer::Cx;
use crate::machine::message::{Bio, BioWhat, BlockReq, Cargo, Msg, PagesDone};

const BLOCK: u64 = ondisk_fs::BLOCK as u64;

/// A write whose pages go into the journal.
#[derive(Clone, Debug)]
pub(super) struct Ended {
    pub(super) op: OpId,
    pub(super) ino: Ino,
    pub(super) size: u64,
    pub(super) pages: Vec<(u32, Cargo)>,
    /// How many of them are there.
    pub(super) from: usize,
}

impl Ext4 {
    /// Pages of a write join the running transaction themselves, in `data=journal`.
    pub(super) fn journal_pages(&mut self, cx: &mut Cx, ended: Ended) {
        let Ended { op, ino, size, pages, mut from } = ended;
        if self.journal.aborted || self.node(ino).is_none() {
            return self.give_back(pages);
        }
        let tid = self.handle(cx, op, HandleFor::Allocate, ino);
        self.touch_extents(cx, ino);
        let largest = self.journal.largest() as usize;
        let mut end = 0;
        while let Some(&(page, cargo)) = pages.get(from) {
            let full = self.journal.join(cx.now).blocks.len() >= largest;
            if full && end > 0 {
                break;
            }
            from += 1;
            end = u64::from(page + 1) * BLOCK;
            let has = self.node(ino).and_then(|node| node.extent(page)).is_some();
            if !has && self.give(cx, op, ino, page, 1, false).is_none() {
                continue; // it was promised: only a device that is full to the last block
            }
            if let Some(node) = self.node_mut(ino) {
                extents::convert(&mut node.disk.extents, page, 1);
            }
            let lba = self.lba_of(ino, page);
            self.journal.join(cx.now).join(lba, Meta::Data).frozen = Some(cargo);
        }
        self.fit_extents(cx, ino);
        if let Some(node) = self.node_mut(ino) {
            (node.sync_tid, node.data_tid) = (tid, tid);
            let end = if from == pages.len() { size } else { end.min(size) };
            node.disk.size = node.disk.size.max(end);
        }
        match from == pages.len() {
            true => self.give_back(pages),
            false => {
                let rest = Work::Journal(Ended { op, ino, size, pages, from });
                self.waiting.push_front((cx.reason(), rest));
                self.want_running(cx, op);
            }
        }
    }

    /// Where a page stands.
    pub(super) fn lba_of(&self, ino: Ino, page: u32) -> Lba {
        let extent = self.node(ino).and_then(|node| node.extent(page));
        extent.map_or(Lba(0), |extent| lba_at(extent.lba, page - extent.page))
    }

    /// The bytes of a page.
    pub(super) fn read_page(&mut self, cx: &mut Cx, ino: Ino, page: u32, task: TaskId) {
        let extent = self.node(ino).and_then(|node| node.extent(page));
        if extent.is_none_or(|extent| extent.unwritten) {
            return self.page_read(cx, ino, page, Ok(BlockId::ZERO));
        }
        let lba = self.lba_of(ino, page);
        if let Some(cargo) = self.journal.newest(lba) {
            return self.page_read(cx, ino, page, Ok(cargo.content));
        }
        self.read(cx, Why::Read { ino, page }, lba, task);
    }

    pub(super) fn read(&mut self, cx: &mut Cx, why: Why, lba: Lba, task: TaskId) {
        let mut cargo = cx.list();
        cargo.push(Cargo::default());
        let bio = Bio { task, what: BioWhat::Read, meta: false, ..bios::write(lba, cargo) };
        self.submit(cx, why, bio);
        cx.send(Msg::Block(BlockReq::Unplug(task)));
    }

    pub(super) fn page_read(
        &mut self,
        cx: &mut Cx,
        ino: Ino,
        page: u32,
        result: Result<BlockId, Errno>,
    ) {
        cx.send(Msg::PagesDone(PagesDone::Page { ino, page, result }));
    }
}
