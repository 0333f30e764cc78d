//! Pages of files on their way down: space promised, places given, extents converted.
//!
//! Invariant: a page is under a length that the journal knows only if it has a place or reads as
//! zeros there; data that are ordered before a transaction are told to it when they get their
//! place.

use super::bios::{self, Why};
use super::disk::Extent;
use super::node::{Cut, Node};
use super::pages::Ended;
use super::txn::{Journal, Ordered};
use super::{Ext4, Work, extents, lba_at, page_of, pages_of};
use crate::machine::Errno;
use crate::machine::config::{DataMode, Sabotage};
use crate::machine::event::{HandleFor, Kind, Layer as Number};
use crate::machine::ids::{BioId, Ino, Ns, OpId, PageVer, TaskId, Tid};
use crate::machine::layer::Cx;
use crate::machine::message::{Bio, BlockReq, Cargo, Msg, PagesDone};

const BLOCK: u64 = ondisk_fs::BLOCK as u64;

/// Pages of one file that are to be written.
#[derive(Clone, Debug)]
pub(super) struct PageWrite {
    pub(super) op: OpId,
    pub(super) task: TaskId,
    pub(super) ino: Ino,
    /// Ascending.
    pub(super) pages: Vec<(u32, Cargo)>,
    /// The length up to which they bring the file.
    pub(super) size: u64,
    pub(super) fail: Option<Errno>,
}

/// A write between its begin and its end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Begun {
    op: OpId,
    at: u64,
    len: u64,
    /// It holds a handle.
    handle: bool,
}

impl Ext4 {
    /// The time that an inode would get now.
    pub(super) fn clock(&self, cx: &Cx) -> Ns {
        let tick = self.options.tick.0.max(1);
        Ns(cx.now.0 / tick * tick)
    }

    /// The new time of an inode that changes, if it is another than before.
    fn moved(&self, cx: &Cx, node: &Node) -> Option<Ns> {
        let now = if node.seen { cx.now } else { self.clock(cx) };
        (now > node.disk.mtime).then_some(now)
    }

    /// How many blocks a write may change before its pages go down.
    pub(super) fn write_credits(&self, cx: &Cx, ino: Ino, at: u64, len: u64) -> u32 {
        let Some(node) = self.node(ino) else { return 0 };
        let bitmaps = self.geometry.table.0 - self.geometry.bitmap.0;
        let overflow = u32::try_from(node.disk.overflow.len()).unwrap_or(0) + 2;
        let pages = pages_of(at + len) - page_of(at);
        if self.journals_data() {
            return pages.min(self.journal.largest() / 2) + 2 + bitmaps + overflow;
        }
        if !self.options.delalloc {
            return 2 + bitmaps + overflow;
        }
        u32::from(self.moved(cx, node).is_some() || at + len > node.size)
    }

    /// Before bytes are put into pages: space is promised, a handle opened where one is needed.
    pub(super) fn write_begin(&mut self, cx: &mut Cx, op: OpId, ino: Ino, at: u64, len: u64) {
        let result = self.writable().and_then(|()| self.begin(cx, op, ino, at, len));
        cx.send(Msg::PagesDone(PagesDone::Ready { op, result }));
    }

    fn begin(&mut self, cx: &mut Cx, op: OpId, ino: Ino, at: u64, len: u64) -> Result<(), Errno> {
        let needed = self.unplaced(ino, at, len);
        if !self.space.promise(needed) {
            return Err(Errno::Nospc);
        }
        let Some(node) = self.node(ino) else { return Err(Errno::Noent) };
        let at_once = self.length_at_once(node, at, at + len) > node.disk.size;
        let handle = self.journals_data()
            || !self.options.delalloc
            || at_once
            || self.moved(cx, node).is_some();
        if needed > 0 {
            self.promise_pages(cx, op, ino, at, len);
        }
        if !self.options.delalloc && !self.journals_data() {
            self.place_early(cx, op, ino, page_of(at), pages_of(at + len));
        }
        if handle {
            self.journal.join(cx.now).handles += 1;
        }
        self.begun.push(Begun { op, at, len, handle });
        Ok(())
    }

    /// How many pages of a range have no block and no promise of one.
    pub(super) fn unplaced(&self, ino: Ino, at: u64, len: u64) -> u32 {
        let Some(node) = self.node(ino) else { return 0 };
        let mut count = 0;
        extents::holes(&node.disk.extents, page_of(at), pages_of(at + len), &mut |from, to| {
            count += to - from - node.delayed.within(from, to);
        });
        count
    }

    fn promise_pages(&mut self, cx: &mut Cx, op: OpId, ino: Ino, at: u64, len: u64) {
        let mut runs = std::mem::take(&mut self.runs);
        runs.clear();
        let Some(node) = self.node_mut(ino) else { return };
        let (from, to) = (page_of(at), pages_of(at + len));
        extents::holes(&node.disk.extents, from, to, &mut |from, to| runs.push((from, to)));
        for &(from, to) in &runs {
            let count = node.delayed.add(from, to);
            if count > 0 {
                let kind = Kind::Reserved { ino, page: from, count };
                cx.event(Number::Fs, op, PageVer(0), kind);
            }
        }
        self.runs = runs;
    }

    /// With `nodelalloc` pages get their place before there are bytes.
    fn place_early(&mut self, cx: &mut Cx, op: OpId, ino: Ino, from: u32, to: u32) {
        let Some(node) = self.node(ino) else { return };
        let is_new = |page: &u32| node.extent(*page).is_none_or(|extent| extent.unwritten);
        let Some(first) = (from..to).find(is_new) else { return };
        let tid = self.handle(cx, op, HandleFor::Allocate, ino);
        self.touch_extents(cx, ino);
        let mut page = first;
        while page < to {
            let extent = self.node(ino).and_then(|node| node.extent(page)).copied();
            page = match extent {
                Some(extent) => {
                    let end = to.min(extent.page + extent.count);
                    if extent.unwritten {
                        self.write_unwritten(cx, ino, page, end);
                    }
                    end
                }
                None => {
                    let most = self.hole(ino, page, to);
                    let Some((_, count)) = self.give(cx, op, ino, page, most, false) else { break };
                    self.order(cx, ino, page, page + count);
                    page + count
                }
            };
        }
        self.fit_extents(cx, ino);
        if let Some(node) = self.node_mut(ino) {
            (node.sync_tid, node.data_tid) = (tid, tid);
        }
    }

    /// How many pages from one on have no place, up to another.
    fn hole(&self, ino: Ino, page: u32, to: u32) -> u32 {
        let has = |page: &u32| self.node(ino).and_then(|node| node.extent(*page)).is_some();
        (page..to).find(has).unwrap_or(to) - page
    }

    /// Where extents are born written, an unwritten one counts as soon as its data are ordered.
    fn write_unwritten(&mut self, cx: &mut Cx, ino: Ino, from: u32, to: u32) {
        if let Some(node) = self.node_mut(ino) {
            extents::convert(&mut node.disk.extents, from, to - from);
        }
        self.order(cx, ino, from, to);
    }

    /// The length that a write brings at once: up to where its pages have a place.
    fn length_at_once(&self, node: &Node, at: u64, end: u64) -> u64 {
        if !self.options.delalloc || self.journals_data() {
            return end.max(node.disk.size);
        }
        let (from, to) = (page_of(at), pages_of(end));
        let first = node.disk.extents.partition_point(|extent| extent.page + extent.count <= from);
        let placed = node.disk.extents[first..].iter().take_while(|extent| extent.page < to);
        let mut behind = 0;
        for extent in placed {
            let last = to.min(extent.page + extent.count);
            behind = match extent.unwritten {
                false => last,
                true => node.flying.end_within(extent.page.max(from), last).unwrap_or(behind),
            };
        }
        // Up to there it is only a length if the file gets longer by it.
        let length = end.min(u64::from(behind) * BLOCK);
        if length > node.size { length.max(node.disk.size) } else { node.disk.size }
    }

    /// The bytes are in the pages: times, and the length as far as it goes at once.
    pub(super) fn write_end(
        &mut self,
        cx: &mut Cx,
        op: OpId,
        ino: Ino,
        size: u64,
        pages: Vec<(u32, Cargo)>,
    ) {
        let Some(at) = self.begun.iter().position(|begun| begun.op == op) else { return };
        let Begun { at, len, handle, .. } = self.begun.swap_remove(at);
        if let Some(node) = self.node(ino).filter(|_| !self.journal.aborted) {
            let moved = self.moved(cx, node);
            let length = self.length_at_once(node, at, (at + len).min(size.max(node.size)));
            let journalled = self.journals_data();
            let grows = length > node.disk.size && !journalled;
            if moved.is_some() || grows {
                let why = if grows { HandleFor::Length } else { HandleFor::Attributes };
                let tid = self.handle(cx, op, why, ino);
                self.touch_inode(cx, ino);
                self.set_time(ino, moved);
                self.changed(ino, tid);
                if grows {
                    self.set_length(cx, ino, length, tid);
                }
            }
            if let Some(node) = self.node_mut(ino) {
                node.size = node.size.max(size);
            }
            if journalled {
                let ended = Ended { op, ino, size, pages, from: 0 };
                let is_rest = |(_, work): &(_, Work)| matches!(work, Work::Journal(_));
                match self.waiting.iter().rposition(is_rest) {
                    // Pages of an earlier write wait for the next transaction: these come behind them.
                    Some(last) => {
                        self.waiting.insert(last + 1, (cx.reason(), Work::Journal(ended)));
                    }
                    None => self.journal_pages(cx, ended),
                }
            }
        }
        if handle {
            self.end_handle(cx);
        }
        self.handle_done(cx);
    }

    fn set_time(&mut self, ino: Ino, moved: Option<Ns>) {
        if let (Some(node), Some(now)) = (self.node_mut(ino), moved) {
            (node.disk.mtime, node.seen) = (now, false);
        }
    }

    fn end_handle(&mut self, cx: &mut Cx) {
        // While one that has handles is locked no other is open.
        let txn = match &mut self.journal.committing {
            Some(txn) if txn.handles > 0 => Some(txn),
            _ => self.journal.running.as_mut(),
        };
        if let Some(txn) = txn {
            txn.handles = txn.handles.saturating_sub(1);
        }
        self.drained(cx);
    }

    /// The journal knows another length. The inode's block has joined.
    pub(super) fn set_length(&mut self, cx: &mut Cx, ino: Ino, len: u64, tid: Tid) {
        let Some(node) = self.node_mut(ino) else { return };
        let grows = len > node.disk.size;
        if node.before.0 != tid {
            node.before = (tid, node.disk.size);
        }
        (node.disk.size, node.data_tid, node.sync_tid) = (len, tid, tid);
        // What a cut left behind the old end must be cleared on the media before.
        if let Some(cut) = node.cut.filter(|_| grows) {
            let (from, to, since, flying) = (cut.page, cut.page + 1, cut.from, cut.flying);
            let ordered = Ordered { ino, from, to, since, flying, new: false };
            self.journal.join(cx.now).ordered.push(ordered);
        }
    }

    /// Data of new blocks come before the transaction that gave them.
    fn order(&mut self, cx: &Cx, ino: Ino, from: u32, to: u32) {
        if self.options.data == DataMode::Ordered && from < to {
            let since = self.bios.next();
            let ordered = Ordered { ino, from, to, since, flying: false, new: true };
            self.journal.join(cx.now).ordered.push(ordered);
        }
    }

    /// Pages are to be written: those with a place at once, others when they may have one.
    pub(super) fn write_pages(&mut self, cx: &mut Cx, write: PageWrite) {
        let PageWrite { op, task, ino, mut pages, size, fail } = write;
        let Some(node) = self.node(ino).filter(|_| !self.journal.aborted) else {
            let result = if self.journal.aborted { Err(Errno::Rofs) } else { Ok(()) };
            return self.written(cx, ino, pages, result);
        };
        let (known, held) = (node.size, node.cut.filter(|cut| self.is_live(cut.tid)));
        if size > known {
            // The page cache does not know yet that the file was cut: pages behind the new end are
            // gone. The one that holds it is written still, for a sync may wait for what is before.
            let keeps = pages.partition_point(|(page, _)| *page < pages_of(known));
            let mut gone = self.list();
            gone.extend(pages.drain(keeps..));
            self.written(cx, ino, gone, Ok(()));
            clear_behind(cx, &mut pages, known);
        }
        let behind = pages.last().map_or(0, |(page, _)| u64::from(page + 1) * BLOCK);
        let end = behind.min(size).min(known);
        if let Some(cut) = held
            && let Ok(at) = pages.binary_search_by_key(&cut.page, |(page, _)| *page)
        {
            let one = vec![pages.remove(at)];
            self.held.push(PageWrite { op, task, ino, pages: one, size, fail });
            self.want(cx, cut.tid, op);
        }
        let (mut rest, mut grows) = (self.list(), false);
        let mut at = 0;
        while at < pages.len() {
            match self.placed_run(ino, &pages[at..]) {
                (Some(extent), count) if !extent.unwritten || self.dioread_nolock() => {
                    let run = &pages[at..at + count];
                    grows |= extent.unwritten;
                    self.submit_data(cx, (op, task, fail), ino, run, extent);
                    at += count;
                }
                (_, count) => {
                    rest.extend_from_slice(&pages[at..at + count]);
                    at += count;
                }
            }
        }
        self.give_back(pages);
        // Pages that are overwritten bring no length.
        grows &= self.node(ino).is_some_and(|node| end > node.disk.size);
        if rest.is_empty() && !grows {
            return self.give_back(rest);
        }
        self.work(cx, Work::Place(PageWrite { op, task, ino, pages: rest, size: end, fail }));
    }

    /// How many of the pages, from the first on, stand in one extent behind each other, or in
    /// none.
    fn placed_run(&self, ino: Ino, pages: &[(u32, Cargo)]) -> (Option<Extent>, usize) {
        let (Some(node), Some((first, _))) = (self.node(ino), pages.first()) else {
            return (None, pages.len());
        };
        let follows = |(n, (page, _)): &(u32, &(u32, Cargo))| *page == first + n;
        let behind = (0..).zip(pages).take_while(follows);
        match node.extent(*first) {
            Some(extent) => {
                let left = extent.page + extent.count - first;
                let count = behind.take_while(|(n, _)| *n < left).count();
                let lba = lba_at(extent.lba, first - extent.page);
                (Some(Extent { page: *first, lba, ..*extent }), count)
            }
            None => {
                let count = behind.take_while(|(_, (page, _))| node.extent(*page).is_none());
                (None, count.count())
            }
        }
    }

    /// Pages that have their place go down.
    fn submit_data(
        &mut self,
        cx: &mut Cx,
        (op, task, fail): (OpId, TaskId, Option<Errno>),
        ino: Ino,
        pages: &[(u32, Cargo)],
        at: Extent,
    ) {
        let mut cargo = cx.list();
        cargo.extend(pages.iter().map(|(_, cargo)| *cargo));
        let why = Why::Data { ino, page: at.page, convert: at.unwritten, op };
        let sync = task != TaskId::KERNEL;
        let bio = Bio { task, op, sync, meta: false, fail, ..bios::write(at.lba, cargo) };
        let id = self.submit(cx, why, bio);
        let end = at.page + u32::try_from(pages.len()).unwrap_or(0);
        let Journal { running, committing, .. } = &mut self.journal;
        for txn in [running, committing].into_iter().flatten() {
            txn.fly(ino, at.page, end, id);
        }
        if let Some(node) = self.node_mut(ino) {
            node.io += 1;
            if at.unwritten {
                node.flying.add(at.page, end);
            }
            if let Some(cut) = node.cut.as_mut().filter(|cut| (at.page..end).contains(&cut.page)) {
                cut.flying = true;
            }
        }
    }

    /// Pages get their place, or the file its length, in a handle.
    pub(super) fn place(&mut self, cx: &mut Cx, write: PageWrite) {
        let PageWrite { op, task, ino, pages, size, fail } = write;
        if self.journal.aborted || self.node(ino).is_none() {
            let result = if self.journal.aborted { Err(Errno::Rofs) } else { Ok(()) };
            return self.written(cx, ino, pages, result);
        }
        let tid = self.handle(cx, op, HandleFor::Allocate, ino);
        self.touch_extents(cx, ino);
        let unwritten = self.dioread_nolock() && !self.is(Sabotage::ConvertedBeforeDone);
        let mut at = 0;
        while at < pages.len() {
            let (extent, count) = match self.placed_run(ino, &pages[at..]) {
                (Some(extent), count) if extent.unwritten && !self.dioread_nolock() => {
                    let end = extent.page + u32::try_from(count).unwrap_or(0);
                    self.write_unwritten(cx, ino, extent.page, end);
                    (Some(Extent { unwritten: false, ..extent }), count)
                }
                // Others came first: it has a place now.
                (Some(extent), count) => (Some(extent), count),
                (None, count) => {
                    let most = u32::try_from(count).unwrap_or(u32::MAX);
                    let given = self.give(cx, op, ino, pages[at].0, most, unwritten);
                    if let Some((_, count)) = given.filter(|_| !self.dioread_nolock()) {
                        self.order(cx, ino, pages[at].0, pages[at].0 + count);
                    }
                    let len = given.map_or(count, |(_, count)| count as usize);
                    (given.map(|(extent, _)| extent), len)
                }
            };
            let run = &pages[at..at + count];
            at += count;
            let Some(extent) = extent else {
                let mut lost = self.list();
                lost.extend_from_slice(run);
                self.written(cx, ino, lost, Err(Errno::Nospc));
                continue;
            };
            self.submit_data(cx, (op, task, fail), ino, run, extent);
        }
        self.fit_extents(cx, ino);
        self.give_back(pages);
        self.changed(ino, tid);
        if !unwritten && let Some(node) = self.node_mut(ino) {
            node.data_tid = tid;
        }
        if self.node(ino).is_some_and(|node| size > node.disk.size) {
            self.set_length(cx, ino, size, tid);
        }
        // Its task may have gone to sleep before.
        cx.send(Msg::Block(BlockReq::Unplug(task)));
    }

    /// Gives a place to pages without one: to as many as stand behind each other there.
    pub(super) fn give(
        &mut self,
        cx: &mut Cx,
        op: OpId,
        ino: Ino,
        page: u32,
        most: u32,
        unwritten: bool,
    ) -> Option<(Extent, u32)> {
        let near = self.node(ino).and_then(|node| {
            let before = node.disk.extents.iter().rev().find(|extent| extent.page < page)?;
            Some(lba_at(before.lba, page - before.page))
        });
        let (lba, count) = self.space.find(near.unwrap_or(self.geometry.data), most)?;
        self.take_blocks(cx, lba, count);
        let extent = Extent { page, count, lba, unwritten };
        let node = self.node_mut(ino)?;
        extents::insert(&mut node.disk.extents, extent);
        let promised = node.delayed.remove(page, page + count);
        self.space.unpromise(promised);
        cx.event(Number::Fs, op, PageVer(0), Kind::Allocated { ino, page, count, lba });
        Some((extent, count))
    }

    /// A write of data is done.
    pub(super) fn data_done(
        &mut self,
        cx: &mut Cx,
        bio: BioId,
        (ino, page, convert, op): (Ino, u32, bool, OpId),
        pages: Vec<(u32, Cargo)>,
        result: Result<(), Errno>,
    ) {
        let end = pages.last().map_or(page, |(last, _)| last + 1);
        if let Some(node) = self.node_mut(ino) {
            node.io -= 1;
            if convert && result.is_err() {
                node.flying.remove(page, end);
            }
            let has = |cut: &Cut| cut.from <= bio && (page..end).contains(&cut.page);
            if node.cut.as_ref().is_some_and(has) {
                node.cut = None;
            }
        }
        let Journal { running, committing, .. } = &mut self.journal;
        for txn in [running, committing].into_iter().flatten() {
            txn.written(ino, page, end, bio);
        }
        self.stirred = true;
        match result {
            Ok(()) if convert => self.work(cx, Work::Convert { ino, page, op, pages }),
            result => self.written(cx, ino, pages, result),
        }
        self.data_settled(cx);
    }

    /// Data are written: their extents count, in a handle.
    pub(super) fn convert(
        &mut self,
        cx: &mut Cx,
        ino: Ino,
        page: u32,
        op: OpId,
        pages: Vec<(u32, Cargo)>,
    ) {
        if self.journal.aborted {
            return self.written(cx, ino, pages, Err(Errno::Rofs));
        }
        if self.node(ino).is_some() {
            let count = u32::try_from(pages.len()).unwrap_or(0);
            let tid = self.handle(cx, op, HandleFor::Convert, ino);
            self.touch_extents(cx, ino);
            if let Some(node) = self.node_mut(ino) {
                extents::convert(&mut node.disk.extents, page, count);
                node.flying.remove(page, page + count);
                (node.sync_tid, node.data_tid) = (tid, tid);
            }
            self.fit_extents(cx, ino);
            cx.event(Number::Fs, op, PageVer(0), Kind::Converted { ino, page, count });
        }
        self.written(cx, ino, pages, Ok(()));
    }

    /// Tells the page cache of pages that are written, or not.
    fn written(
        &mut self,
        cx: &mut Cx,
        ino: Ino,
        pages: Vec<(u32, Cargo)>,
        result: Result<(), Errno>,
    ) {
        match pages.is_empty() {
            true => self.give_back(pages),
            false => cx.send(Msg::PagesDone(PagesDone::Written { ino, pages, result })),
        }
    }

    pub(super) fn taken_pages(&mut self, page: u32, cargo: &[Cargo]) -> Vec<(u32, Cargo)> {
        let mut pages = self.list();
        pages.extend((page..).zip(cargo.iter().copied()));
        pages
    }

    /// Pages that waited for the transaction that cut them.
    pub(super) fn release_held(&mut self, cx: &mut Cx) {
        for write in std::mem::take(&mut self.held) {
            let task = write.task;
            self.write_pages(cx, write);
            cx.send(Msg::Block(BlockReq::Unplug(task)));
        }
    }

    /// Pages that wait and lie behind a new end, or hold it, need not be written: the page cache
    /// has others in their place, or none.
    pub(super) fn forget_waiting(&mut self, cx: &mut Cx, ino: Ino, len: u64) {
        let mut gone = self.list();
        let waiting = self.waiting.iter_mut().filter_map(|(_, work)| match work {
            Work::Place(write) => Some(write),
            _ => None,
        });
        for write in waiting.chain(&mut self.held).filter(|write| write.ino == ino) {
            let keeps = write.pages.partition_point(|(page, _)| *page < page_of(len));
            gone.extend(write.pages.drain(keeps..));
            write.size = write.size.min(len);
        }
        self.written(cx, ino, gone, Ok(()));
    }
}

/// What a page on its way has behind the end of its file is zeros (`ext4_bio_write_folio`).
fn clear_behind(cx: &mut Cx, pages: &mut [(u32, Cargo)], end: u64) {
    const ZEROS: [u8; ondisk_fs::BLOCK] = [0; ondisk_fs::BLOCK];
    let rest = usize::try_from(end % BLOCK).unwrap_or(0);
    if let Some((page, cargo)) = pages.last_mut()
        && rest > 0
        && *page == page_of(end)
    {
        cargo.content = cx.arena.patch(cargo.content, rest, &ZEROS[rest..]);
    }
}
