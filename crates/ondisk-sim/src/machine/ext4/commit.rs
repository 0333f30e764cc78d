//! How a transaction becomes durable (`fs/jbd2/commit.c`).
//!
//! Invariant: the commit block is sent when all that it ends is written, and behind a FLUSH; so
//! whoever finds it finds the whole transaction, and the data that were ordered before it.

use super::answer::answer;
use super::bios::{self, Why};
use super::disk::jbd;
use super::txn::{Check, Journal, Ordered, Transaction, Waiter};
use super::{Ext4, lba_at};
use crate::machine::Errno;
use crate::machine::arena::Bytes;
use crate::machine::config::Sabotage;
use crate::machine::event::{JBlock, Kind, Layer as Number, Txn};
use crate::machine::ids::{Lba, Ns, OpId, PageVer, TaskId, Tid};
use crate::machine::layer::Cx;
use crate::machine::message::{Bio, BlockReq, Cargo, Msg, PagesDone};

/// The longest bio of the journal, in blocks.
const LONGEST: usize = 128;

/// A block that goes into the ring.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    what: JBlock,
    /// Where a copy belongs.
    home: Lba,
    cargo: Cargo,
}

impl Ext4 {
    /// When the running transaction is old enough to commit.
    pub(super) fn commit_at(&self) -> Option<Ns> {
        let txn = self.journal.running.as_ref()?;
        let may = txn.wanted.is_none() && !self.journal.aborted;
        may.then(|| txn.begun + self.options.commit)
    }

    /// The running transaction should commit; whether it began to.
    pub(super) fn want_running(&mut self, cx: &mut Cx, op: OpId) -> bool {
        let Some(txn) = &mut self.journal.running else { return false };
        if txn.wanted.is_none() {
            (txn.wanted, txn.op) = (Some(cx.reason()), op);
        }
        self.start_commit(cx)
    }

    /// A transaction should commit if it still runs.
    pub(super) fn want(&mut self, cx: &mut Cx, tid: Tid, op: OpId) {
        if self.journal.running.as_ref().is_some_and(|txn| txn.tid == tid) {
            self.want_running(cx, op);
        }
    }

    /// Whether a transaction is not yet durable.
    pub(super) fn is_live(&self, tid: Tid) -> bool {
        let live = [&self.journal.running, &self.journal.committing];
        live.into_iter().flatten().any(|txn| txn.tid == tid)
    }

    fn start_commit(&mut self, cx: &mut Cx) -> bool {
        let journal = &mut self.journal;
        let wanted = journal.running.as_ref().is_some_and(|txn| txn.wanted.is_some());
        if !wanted || journal.committing.is_some() || journal.aborted {
            return false;
        }
        journal.committing = journal.running.take();
        self.turn(cx, Txn::Locked);
        self.drained(cx);
        true
    }

    /// The committing transaction goes on.
    fn turn(&mut self, cx: &mut Cx, to: Txn) {
        let Some(txn) = &mut self.journal.committing else { return };
        let (tid, from, op) = (txn.tid, txn.state, txn.op);
        txn.state = to;
        cx.event(Number::Fs, op, PageVer(0), Kind::TxnState { tid, from, to });
        self.stirred = true;
    }

    /// A handle ended: once the last did, a locked transaction is closed.
    pub(super) fn drained(&mut self, cx: &mut Cx) {
        let locked = self.journal.committing.as_ref();
        if !locked.is_some_and(|txn| txn.state == Txn::Locked && txn.handles == 0) {
            return;
        }
        self.turn(cx, Txn::Flush);
        if self.is(Sabotage::OrderedDataDropped)
            && let Some(txn) = &mut self.journal.committing
        {
            txn.ordered.clear();
        }
        let mut at = 0;
        while let Some(Ordered { ino, flying, .. }) = self.ordered(at) {
            let first = |before| self.ordered(before).is_none_or(|o| o.flying || o.ino != ino);
            if !flying && (0..at).all(first) {
                cx.send(Msg::PagesDone(PagesDone::Start { ino }));
                self.asked = true;
            }
            at += 1;
        }
        self.data_settled(cx);
    }

    fn ordered(&self, at: usize) -> Option<Ordered> {
        self.journal.committing.as_ref()?.ordered.get(at).copied()
    }

    /// Pages that were asked for and are not on their way are no longer there to be written.
    pub(super) fn forget_asked(&mut self, cx: &mut Cx) {
        if !std::mem::take(&mut self.asked) {
            return;
        }
        if let Some(txn) = &mut self.journal.committing {
            txn.ordered.retain(|ordered| ordered.flying);
        }
        self.data_settled(cx);
    }

    /// Ordered data came down: once all did, the log is written.
    pub(super) fn data_settled(&mut self, cx: &mut Cx) {
        let Some(txn) = &self.journal.committing else { return };
        if txn.state != Txn::Flush || !txn.ordered.is_empty() || self.journal.aborted {
            return;
        }
        // Who joined it saw to it that there is room, as far as that can be known before.
        let needed = txn.ring_blocks(0);
        if needed < self.journal.on_media.ring() && needed > self.journal.room() {
            self.make_room(cx);
        } else if needed > self.journal.room() {
            self.abort(cx);
        } else {
            self.write_log(cx);
        }
    }

    /// Revokes, descriptors and copies go into the ring.
    fn write_log(&mut self, cx: &mut Cx) {
        self.turn(cx, Txn::Commit);
        let Some(mut txn) = self.journal.committing.take() else { return };
        for block in &mut txn.blocks {
            if block.frozen.is_none() {
                let content = self.encode(&mut cx.arena, block.lba, block.meta);
                block.frozen = Some(Cargo { content, ver: PageVer(0) });
            }
        }
        self.lay_out(cx, &txn);
        txn.log = Some((self.journal.head, txn.ring_blocks(0)));
        txn.left = self.send_log(cx, &txn);
        self.journal.committing = Some(txn);
        if self.is(Sabotage::CheckpointBeforeCommit) {
            self.send_home_early(cx);
        }
        if self.is(Sabotage::CommitBlockEarly) {
            self.record(cx);
        }
        cx.send(Msg::Block(BlockReq::Unplug(TaskId::KERNEL)));
        self.log_settled(cx);
    }

    /// What goes into the ring before the commit block, in order.
    fn lay_out(&mut self, cx: &mut Cx, txn: &Transaction) {
        let mut log = std::mem::take(&mut self.log);
        let new = |cx: &mut Cx, what, bytes: &Bytes| Entry {
            what,
            home: Lba(0),
            cargo: Cargo { content: cx.arena.put(bytes), ver: PageVer(0) },
        };
        log.clear();
        for lbas in txn.revokes.chunks(jbd::REVOKES) {
            log.push(new(cx, JBlock::Revoke, &jbd::encode_revoke(txn.tid, lbas)));
        }
        for blocks in txn.blocks.chunks(jbd::TAGS) {
            let at = log.len();
            log.push(Entry { what: JBlock::Descriptor, home: Lba(0), cargo: Cargo::default() });
            self.tags.clear();
            for block in blocks {
                let mut cargo = block.frozen.unwrap_or_default();
                let (tag, escaped) = jbd::tag(txn.tid, block.lba, cx.arena.bytes(cargo.content));
                self.tags.push(tag);
                if let Some(copy) = escaped {
                    cargo.content = cx.arena.put(&copy);
                }
                log.push(Entry { what: JBlock::Copy, home: block.lba, cargo });
            }
            let descriptor = jbd::encode_descriptor(txn.tid, &self.tags);
            log[at] = new(cx, JBlock::Descriptor, &descriptor);
        }
        self.log = log;
    }

    /// Sends what was laid out, from the head of the ring on; answers how many bios.
    fn send_log(&mut self, cx: &mut Cx, txn: &Transaction) -> u32 {
        let log = std::mem::take(&mut self.log);
        let ring = self.journal.on_media;
        let mut bios = 0;
        let mut rest = log.as_slice();
        while !rest.is_empty() {
            let head = self.journal.head;
            let to_end = (ring.len - head) as usize;
            let (run, behind) = rest.split_at(rest.len().min(to_end).min(LONGEST));
            rest = behind;
            let first = jbd::place(&self.geometry, head);
            let mut cargo = cx.list();
            for (entry, at) in run.iter().zip(0..) {
                let (tid, lba) = (txn.tid, lba_at(first, at));
                let kind = Kind::JWrite { tid, lba, what: entry.what, home: entry.home };
                cx.event(Number::Fs, txn.op, entry.cargo.ver, kind);
                cargo.push(entry.cargo);
            }
            self.journal.head = ring.nth(head, u32::try_from(run.len()).unwrap_or(0));
            self.submit(cx, Why::Log, Bio { op: txn.op, ..bios::write(first, cargo) });
            bios += 1;
        }
        self.log = log;
        bios
    }

    /// A part of the log is written.
    pub(super) fn log_done(&mut self, cx: &mut Cx, result: Result<(), Errno>) {
        if result.is_err() {
            return self.abort(cx);
        }
        if let Some(txn) = &mut self.journal.committing {
            txn.left -= 1;
        }
        self.log_settled(cx);
    }

    /// Once the whole log is written, the commit block goes.
    fn log_settled(&mut self, cx: &mut Cx) {
        let logging = self.journal.committing.as_ref();
        if logging.is_some_and(|txn| txn.state == Txn::Commit && txn.left == 0) {
            self.record(cx);
        }
    }

    /// The commit block goes, behind a FLUSH.
    fn record(&mut self, cx: &mut Cx) {
        self.turn(cx, Txn::Record);
        let tail = self.journal.first_needed();
        let Some(txn) = &mut self.journal.committing else { return };
        txn.tail = tail;
        let (tid, op) = (txn.tid, txn.op);
        let content = cx.arena.put(&jbd::encode_commit(tid, cx.now));
        let lba = jbd::place(&self.geometry, self.journal.head);
        self.journal.head = self.journal.on_media.after(self.journal.head);
        let what = JBlock::Commit;
        cx.event(Number::Fs, op, PageVer(0), Kind::JWrite { tid, lba, what, home: Lba(0) });
        let mut cargo = cx.list();
        cargo.push(Cargo { content, ver: PageVer(0) });
        let preflush = self.options.barrier
            && !self.is(Sabotage::NoFlushBeforeCommit)
            && !self.is(Sabotage::CommitBlockEarly);
        let fua = self.options.barrier;
        self.submit(cx, Why::Commit, Bio { op, preflush, fua, ..bios::write(lba, cargo) });
        cx.send(Msg::Block(BlockReq::Unplug(TaskId::KERNEL)));
    }

    /// The commit block is durable, and so is the transaction.
    pub(super) fn commit_done(&mut self, cx: &mut Cx, result: Result<(), Errno>) {
        if result.is_err() {
            return self.abort(cx);
        }
        self.turn(cx, Txn::Finished);
        let Some(mut txn) = self.journal.committing.take() else { return };
        self.journal.finish(&txn);
        for (lba, count) in txn.freed.drain(..) {
            match self.journal.check {
                Check::Idle => self.space.release(lba, count),
                Check::Writing(_) => self.journal.late.push((lba, count)),
            }
        }
        for waiter in txn.waiters.drain(..) {
            match waiter.flush {
                true => self.flush_for(cx, waiter.task, waiter.op, waiter.to),
                false => answer(cx, waiter.to, waiter.op, Ok(())),
            }
        }
        self.settle_checkpointed(cx);
        self.move_tail_after_commit(cx, txn.tail);
        self.journal.recycle(txn);
        self.release_held(cx);
        self.set_home_timer(cx);
        self.stirred = true;
        if let Some(wanted) = self.journal.running.as_ref().and_then(|txn| txn.wanted) {
            cx.because(wanted);
            self.start_commit(cx);
        }
    }

    /// A write of the journal failed: nothing more is written, all that waits is told.
    pub(super) fn abort(&mut self, cx: &mut Cx) {
        if std::mem::replace(&mut self.journal.aborted, true) {
            return;
        }
        self.stirred = true;
        self.home_at = None;
        let Journal { running, committing, .. } = &mut self.journal;
        for txn in [running, committing].into_iter().flatten() {
            for waiter in txn.waiters.drain(..) {
                answer(cx, waiter.to, waiter.op, Err(Errno::Io));
            }
        }
        self.release_held(cx);
    }

    /// A sync waits for a transaction that is not durable.
    pub(super) fn wait_for(&mut self, tid: Tid, waiter: Waiter) {
        let Journal { running, committing, .. } = &mut self.journal;
        let txn = [running, committing].into_iter().flatten().find(|txn| txn.tid == tid);
        if let Some(txn) = txn {
            let flush = txn.state >= Txn::Record && self.options.barrier && waiter.flush;
            txn.waiters.push(Waiter { flush, ..waiter });
        }
    }
}
