//! Lengths and blocks of files changed by calls: truncate, fallocate, the end of an inode.
//!
//! Invariant: what a file loses it loses in one handle; a page that was cut inside is not
//! written before that handle's transaction is durable, and the file gets no longer in the
//! journal before that page's cleared tail is on the media.

use super::answer::{To, answer};
use super::node::Cut;
use super::{Ext4, Work, extents, page_of, pages_of};
use crate::machine::Errno;
use crate::machine::event::HandleFor;
use crate::machine::ids::{Ino, Lba, OpId, Tid};
use crate::machine::layer::Cx;
use crate::machine::message::{FsReq, Kind, Msg, PagesDone};

const BLOCK: u64 = ondisk_fs::BLOCK as u64;

impl Ext4 {
    /// Whether pages of a file get their place before a request is dealt with. They are asked for,
    /// and it goes on once all that is due at this instant is done.
    pub(super) fn places_first(&mut self, cx: &mut Cx, req: &FsReq) -> bool {
        let locked = self.options.dioread_lock && self.options.delalloc;
        let ino = match req {
            // `auto_da_alloc`: what comes under a name that stood for another file.
            FsReq::Rename { ino, replaced: Some(_), .. } if self.options.auto_da_alloc => *ino,
            // Where a length waits for its data, so does one that is made by itself.
            FsReq::SetLen { ino, len, .. } | FsReq::Allocate { ino, len, .. }
                if locked && self.node(*ino).is_some_and(|node| *len > node.disk.size) =>
            {
                *ino
            }
            _ => return false,
        };
        let has_delayed = self.node(ino).is_some_and(|node| !node.delayed.is_empty());
        if has_delayed {
            cx.send(Msg::PagesDone(PagesDone::Start { ino }));
        }
        has_delayed
    }

    /// Whether a piece of work must wait for a commit, which is then asked for.
    pub(super) fn ready(&mut self, cx: &mut Cx, work: &Work) -> bool {
        if self.journal.aborted {
            return true;
        }
        let (op, ino, end) = match work {
            Work::Req(FsReq::WriteBegin { op, ino, at, len, .. }) => {
                if !self.has_space(cx, *op, self.unplaced(*ino, *at, *len)) {
                    return false;
                }
                (*op, *ino, at + len)
            }
            Work::Req(req) | Work::Placed(req) => match req {
                FsReq::SetLen { op, ino, len, .. } | FsReq::Allocate { op, ino, len, .. } => {
                    (*op, *ino, *len)
                }
                _ => return true,
            },
            Work::Place(write) => (write.op, write.ino, write.size),
            _ => return true,
        };
        let Some(node) = self.node(ino) else { return true };
        let shrinks = end < node.size
            && matches!(work, Work::Req(FsReq::SetLen { .. }) | Work::Placed(FsReq::SetLen { .. }));
        if shrinks {
            // What a commit waits for is not taken away from it.
            let ordered = self.journal.committing.as_ref().map(|txn| &txn.ordered);
            let waits = ordered.is_some_and(|all| all.iter().any(|ordered| ordered.ino == ino));
            if node.io > 0 || waits {
                return false;
            }
        }
        let cut = node.cut.filter(|cut| end > node.disk.size && self.is_live(cut.tid));
        if let Some(cut) = cut {
            self.want(cx, cut.tid, op);
        }
        cut.is_none()
    }

    /// Whether there is space for so many pages, or none will come from a commit.
    fn has_space(&mut self, cx: &mut Cx, op: OpId, count: u32) -> bool {
        if self.space.could_promise(count) || !self.space.is_held() {
            return true;
        }
        self.want_running(cx, op);
        false
    }

    /// `truncate`.
    pub(super) fn set_len(&mut self, cx: &mut Cx, op: OpId, ino: Ino, len: u64) {
        if let Err(errno) = self.writable() {
            return answer(cx, To::Pages, op, Err(errno));
        }
        let Some(old) = self.node(ino).map(|node| node.size) else {
            return answer(cx, To::Pages, op, Ok(()));
        };
        let why = if len < old { HandleFor::Truncate } else { HandleFor::Length };
        let tid = self.handle(cx, op, why, ino);
        self.touch_extents(cx, ino);
        if len < old {
            self.forget_waiting(cx, ino, len);
            self.cut_blocks(cx, ino, len);
            self.cut_page(cx, ino, len);
        }
        let now = self.clock(cx);
        self.set_length(cx, ino, len, tid);
        if let Some(node) = self.node_mut(ino) {
            node.size = len;
            node.disk.mtime = node.disk.mtime.max(now);
            node.seen = false;
        }
        answer(cx, To::Pages, op, Ok(()));
    }

    /// Frees the blocks behind a length. The blocks of the inode have joined.
    pub(super) fn cut_blocks(&mut self, cx: &mut Cx, ino: Ino, len: u64) {
        let first = pages_of(len);
        let mut runs = std::mem::take(&mut self.runs);
        runs.clear();
        let mut promised = 0;
        if let Some(node) = self.node_mut(ino) {
            extents::cut(&mut node.disk.extents, first, &mut |lba, count| {
                runs.push((lba.0, count));
            });
            promised = node.delayed.remove(first, u32::MAX);
        }
        self.space.unpromise(promised);
        for &(lba, count) in &runs {
            self.free_data(cx, Lba(lba), count);
        }
        self.runs = runs;
        self.fit_extents(cx, ino);
        self.journal.join(cx.now).unorder(ino, first, u32::MAX, |_| true);
    }

    /// Blocks of a file's data are free.
    fn free_data(&mut self, cx: &mut Cx, lba: Lba, count: u32) {
        match self.journals_data() {
            true => (lba.0..lba.0 + count).for_each(|lba| self.free_meta(cx, Lba(lba))),
            false => self.free_blocks(cx, lba, count),
        }
    }

    /// Remembers the last page of a file that is cut inside it. Where bytes go that were there
    /// before this transaction, the page is not written before it; else nothing is lost by that.
    fn cut_page(&mut self, cx: &Cx, ino: Ino, len: u64) {
        let (page, from) = (page_of(len), self.bios.next());
        let txn = self.journal.join(cx.now);
        let (tid, is_new) = (txn.tid, txn.is_new(ino, page));
        let is_journalled = self.journals_data();
        let Some(node) = self.node_mut(ino) else { return };
        // A page on its way will be there with what it had before.
        let flies = node.flying.within(page, page + 1) > 0;
        let is_on_media = node.extent(page).is_some_and(|extent| !extent.unwritten || flies);
        if len.is_multiple_of(BLOCK) || !is_on_media || is_journalled {
            if node.cut.is_some_and(|cut| cut.page >= page) {
                node.cut = None;
            }
            return;
        }
        let before = if node.before.0 == tid { node.before.1 } else { node.disk.size };
        // Of a page that has its place by this transaction only zeros were there; and without its
        // data that place would show what somebody else left in it.
        let takes = len < before && !is_new;
        let tid = if takes { tid } else { Tid(0) };
        node.cut = Some(Cut { page, tid, from, flying: false });
        let txn = self.journal.join(cx.now);
        match takes {
            true => txn.unorder(ino, page, page + 1, |_| true),
            false => txn.again(ino, page, from),
        }
    }

    /// `fallocate`: every page below a length gets a place, unwritten.
    pub(super) fn allocate(&mut self, cx: &mut Cx, op: OpId, ino: Ino, len: u64) {
        let needed = self.unplaced(ino, 0, len);
        let result = match self.writable() {
            Ok(()) if !self.space.could_promise(needed) => Err(Errno::Nospc),
            result => result,
        };
        if result.is_err() {
            return answer(cx, To::Vfs, op, result);
        }
        let tid = self.handle(cx, op, HandleFor::Allocate, ino);
        self.touch_extents(cx, ino);
        let mut holes = Vec::new();
        if let Some(node) = self.node(ino) {
            extents::holes(&node.disk.extents, 0, pages_of(len), &mut |from, to| {
                holes.push((from, to));
            });
        }
        for (mut from, to) in holes {
            while from < to {
                let Some((_, count)) = self.give(cx, op, ino, from, to - from, true) else { break };
                from += count;
            }
        }
        self.fit_extents(cx, ino);
        // As `ext4_update_inode_size` has it: also where programs see a greater length already, which
        // still waits for its data.
        let grows = self.node(ino).is_some_and(|node| len > node.disk.size);
        if grows {
            self.set_length(cx, ino, len, tid);
        }
        let now = self.clock(cx);
        if let Some(node) = self.node_mut(ino) {
            node.size = node.size.max(len);
            node.disk.mtime = node.disk.mtime.max(now);
            (node.sync_tid, node.data_tid) = (tid, tid);
        }
        answer(cx, To::Vfs, op, Ok(()));
    }

    /// An inode without names is used no more.
    pub(super) fn free(&mut self, cx: &mut Cx, ino: Ino) {
        let is_orphan = self.node(ino).is_some_and(|node| node.disk.links == 0);
        if is_orphan && !self.journal.aborted {
            self.free_inode(cx, OpId(0), ino);
        }
    }

    /// Frees an inode and all its blocks.
    pub(super) fn free_inode(&mut self, cx: &mut Cx, op: OpId, ino: Ino) {
        let Some(kind) = self.node(ino).map(|node| node.disk.kind) else { return };
        self.handle(cx, op, HandleFor::Free, ino);
        self.touch_extents(cx, ino);
        self.drop_orphan(cx, ino);
        match kind {
            Kind::File => self.cut_blocks(cx, ino, 0),
            Kind::Dir | Kind::Symlink => {
                let blocks = self.node_mut(ino).map(|node| std::mem::take(&mut node.disk.extents));
                for extent in blocks.unwrap_or_default() {
                    for lba in extent.lba.0..extent.lba.0 + extent.count {
                        self.free_meta(cx, Lba(lba));
                    }
                }
                self.fit_extents(cx, ino);
            }
        }
        self.inodes[ino.index()] = None;
        self.lowest = self.lowest.min(ino);
    }
}
