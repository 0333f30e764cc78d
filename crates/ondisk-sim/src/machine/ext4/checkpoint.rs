//! How durable blocks come home, and how the journal gets room again.
//!
//! Invariant: a block goes home only from a durable transaction; the tail moves only over blocks
//! that a FLUSH has made durable at home, and the room behind it is used only when the
//! superblock that says so is durable.

use super::Ext4;
use super::bios::{self, Why};
use super::disk::jbd;
use super::txn::{Check, Home, Tail};
use crate::machine::Errno;
use crate::machine::config::Sabotage;
use crate::machine::event::{JBlock, Kind, Layer as Number, Txn};
use crate::machine::ids::{Lba, Ns, OpId, PageVer, TaskId, Tid};
use crate::machine::layer::Cx;
use crate::machine::message::{Bio, BlockReq, Cargo, Msg};

/// How old a durable block gets before it is written home, where nobody needs the room.
const HOME_AGE: Ns = Ns::S.times(30);

impl Ext4 {
    /// Blocks go home some time after their transaction.
    pub(super) fn set_home_timer(&mut self, cx: &Cx) {
        if self.home_at.is_none() && !self.journal.homes.is_empty() && !self.journal.aborted {
            self.home_at = Some(cx.now + HOME_AGE);
        }
    }

    /// A call needs room in the journal.
    pub(super) fn make_room(&mut self, cx: &mut Cx) {
        self.journal.full = true;
        self.go_on_checkpointing(cx);
    }

    /// The next step towards room, if somebody needs it and none is under way.
    fn go_on_checkpointing(&mut self, cx: &mut Cx) {
        let journal = &self.journal;
        if !journal.full || journal.aborted || journal.tail != Tail::Still {
            return;
        }
        if journal.first_needed().0 != journal.on_media.start {
            return self.move_tail(cx);
        }
        match (journal.check, journal.homes.is_empty()) {
            (Check::Writing(_), _) => {}
            (Check::Idle, false) => self.write_home(cx),
            // Nothing is there to go home but what runs.
            (Check::Idle, true) => {
                self.want_running(cx, OpId(0));
            }
        }
    }

    /// Writes home all that is durable.
    pub(super) fn write_home(&mut self, cx: &mut Cx) {
        if self.journal.check != Check::Idle || self.journal.aborted {
            return;
        }
        self.home_at = None;
        let homes = std::mem::take(&mut self.journal.homes);
        let bios = self.send_home(cx, homes.iter().copied());
        self.journal.homes = homes;
        if bios > 0 {
            self.journal.check = Check::Writing(bios);
        }
    }

    /// Sends blocks home, ascending; answers in how many bios.
    fn send_home(&mut self, cx: &mut Cx, homes: impl Iterator<Item = Home>) -> u32 {
        let mut bios = 0;
        let mut run: Option<(Lba, Vec<Cargo>)> = None;
        for home in homes {
            let follows = |(lba, cargo): &(Lba, Vec<Cargo>)| {
                cargo.len() < 128 && lba.index() + cargo.len() == home.lba.index()
            };
            match &mut run {
                Some(open) if follows(open) => open.1.push(home.cargo),
                _ => {
                    let mut cargo = cx.list();
                    cargo.push(home.cargo);
                    if let Some(full) = run.replace((home.lba, cargo)) {
                        self.submit_home(cx, full);
                        bios += 1;
                    }
                }
            }
        }
        if let Some(last) = run {
            self.submit_home(cx, last);
            bios += 1;
        }
        cx.send(Msg::Block(BlockReq::Unplug(TaskId::KERNEL)));
        bios
    }

    fn submit_home(&mut self, cx: &mut Cx, (lba, cargo): (Lba, Vec<Cargo>)) {
        let sync = self.journal.full;
        self.submit(cx, Why::Home { lba }, Bio { sync, ..bios::write(lba, cargo) });
    }

    /// A planted mistake: the blocks of the committing transaction go home before it is durable.
    pub(super) fn send_home_early(&mut self, cx: &mut Cx) {
        let Some(txn) = self.journal.committing.take() else { return };
        let homes = txn.blocks.iter().map(|block| Home {
            lba: block.lba,
            tid: txn.tid,
            cargo: block.frozen.unwrap_or_default(),
        });
        let bios = self.send_home(cx, homes);
        self.journal.check = match self.journal.check {
            Check::Idle => Check::Writing(bios),
            Check::Writing(more) => Check::Writing(bios + more),
        };
        self.journal.committing = Some(txn);
    }

    /// Blocks are home.
    pub(super) fn home_done(
        &mut self,
        cx: &mut Cx,
        lba: Lba,
        cargo: &[Cargo],
        result: Result<(), Errno>,
    ) {
        if result.is_err() {
            return self.abort(cx);
        }
        for (cargo, at) in cargo.iter().zip(lba.0..) {
            let homes = &mut self.journal.homes;
            let Ok(nth) = homes.binary_search_by_key(&Lba(at), |home| home.lba) else { continue };
            // A newer copy may have become durable meanwhile: it is still to come.
            if homes[nth].cargo == *cargo {
                let Home { lba, tid, cargo } = homes.remove(nth);
                self.journal.at_home(tid);
                cx.event(Number::Fs, OpId(0), cargo.ver, Kind::Checkpointed { tid, lba });
            }
        }
        self.settle_checkpointed(cx);
        if let Check::Writing(left) = &mut self.journal.check {
            *left -= 1;
            if *left == 0 {
                self.journal.check = Check::Idle;
                self.all_home(cx);
            }
        }
    }

    /// No write home is under way.
    fn all_home(&mut self, cx: &mut Cx) {
        for (lba, count) in std::mem::take(&mut self.journal.late) {
            self.space.release(lba, count);
        }
        self.set_home_timer(cx);
        self.stirred = true;
        self.go_on_checkpointing(cx);
    }

    /// Transactions whose blocks are all home are done with.
    pub(super) fn settle_checkpointed(&mut self, cx: &mut Cx) {
        while let Some(txn) = self.journal.finished.front().filter(|txn| txn.left == 0) {
            let (tid, from, to) = (txn.tid, Txn::Finished, Txn::Checkpointed);
            cx.event(Number::Fs, OpId(0), PageVer(0), Kind::TxnState { tid, from, to });
            self.journal.finished.pop_front();
        }
    }

    /// A commit sent a FLUSH: if that frees a quarter of the journal, the tail moves.
    pub(super) fn move_tail_after_commit(&mut self, cx: &mut Cx, to: (u32, Tid)) {
        let journal = &self.journal;
        if journal.full {
            return self.go_on_checkpointing(cx);
        }
        let freed = journal.on_media.between(journal.on_media.start, to.0);
        if journal.tail == Tail::Still && freed >= journal.largest() {
            self.send_tail(cx, to);
        }
    }

    /// Makes durable what is home, then moves the tail.
    fn move_tail(&mut self, cx: &mut Cx) {
        let (block, tid) = self.journal.first_needed();
        let flush = self.options.barrier && !self.is(Sabotage::TailMovedWithoutFlush);
        if !flush {
            return self.send_tail(cx, (block, tid));
        }
        self.journal.tail = Tail::Flush(block, tid);
        self.submit(cx, Why::TailFlush, bios::flush(TaskId::KERNEL, OpId(0)));
    }

    pub(super) fn tail_flushed(&mut self, cx: &mut Cx, result: Result<(), Errno>) {
        match (self.journal.tail, result) {
            (Tail::Flush(block, tid), Ok(())) => self.send_tail(cx, (block, tid)),
            _ => self.abort(cx),
        }
    }

    fn send_tail(&mut self, cx: &mut Cx, (start, sequence): (u32, Tid)) {
        self.journal.tail = Tail::Super(start, sequence);
        let of = jbd::Super { start, sequence, ..self.journal.on_media };
        self.send_super(cx, Why::Tail, &of);
    }

    /// Writes the journal's superblock.
    pub(super) fn send_super(&mut self, cx: &mut Cx, why: Why, of: &jbd::Super) {
        let lba = self.geometry.journal;
        let content = cx.arena.put(&jbd::encode_super(of));
        let (tid, what, home) = (of.sequence, JBlock::Super, Lba(0));
        cx.event(Number::Fs, OpId(0), PageVer(0), Kind::JWrite { tid, lba, what, home });
        let mut cargo = cx.list();
        cargo.push(Cargo { content, ver: PageVer(0) });
        let fua = self.options.barrier;
        self.submit(cx, why, Bio { fua, ..bios::write(lba, cargo) });
        cx.send(Msg::Block(BlockReq::Unplug(TaskId::KERNEL)));
    }

    /// The superblock says it: what lies before the tail may be written over.
    pub(super) fn tail_moved(&mut self, cx: &mut Cx, result: Result<(), Errno>) {
        let Tail::Super(block, to) = self.journal.tail else { return };
        if result.is_err() {
            return self.abort(cx);
        }
        let from = self.journal.on_media.sequence;
        (self.journal.on_media.start, self.journal.on_media.sequence) = (block, to);
        (self.journal.tail, self.journal.full) = (Tail::Still, false);
        cx.event(Number::Fs, OpId(0), PageVer(0), Kind::TailMoved { from, to, block });
        self.stirred = true;
        self.data_settled(cx);
    }
}
