//! Transactions and what the journal holds of them.
//!
//! Invariant: at most one transaction runs and at most one commits; a block stands in a
//! transaction once; of each block that waits to be written home there is the newest durable
//! copy and no other.
//!
//! Knows nothing of what blocks mean but their place and what encodes them.

use std::collections::VecDeque;

use super::answer::To;
use super::disk::{Geometry, jbd};
use crate::machine::arena::Marks;
use crate::machine::event::Txn;
use crate::machine::ids::{BioId, BlockId, EventId, Ino, Lba, Ns, OpId, TaskId, Tid};
use crate::machine::message::Cargo;

/// What a block of metadata holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meta {
    /// The superblock.
    Super,
    /// A part of the bitmap.
    Bitmap,
    /// A block of the inode table.
    Inodes,
    /// A block of a directory, by its number in it.
    Dir(Ino, u32),
    /// A block of extents, by its number.
    Extents(Ino, usize),
    /// The target of a symbolic link.
    Target(Ino),
    /// A page of a file, in `data=journal`.
    Data,
}

/// A block in a transaction.
#[derive(Clone, Copy, Debug)]
pub(super) struct Block {
    pub(super) lba: Lba,
    pub(super) meta: Meta,
    /// Its bytes, once they may change no more.
    pub(super) frozen: Option<Cargo>,
}

/// Pages that must be written before a transaction may commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ordered {
    pub(super) ino: Ino,
    pub(super) from: u32,
    /// Up to but without.
    pub(super) to: u32,
    /// A write from this bio on counts.
    pub(super) since: BioId,
    /// One is under way.
    pub(super) flying: bool,
    /// They got their place in this transaction, or it makes an unwritten one count: nothing of
    /// theirs was there before.
    pub(super) new: bool,
}

impl Ordered {
    const fn overlaps(&self, ino: Ino, from: u32, to: u32) -> bool {
        self.ino.0 == ino.0 && self.from < to && from < self.to
    }
}

/// A sync that waits for a commit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waiter {
    pub(super) op: OpId,
    pub(super) task: TaskId,
    pub(super) to: To,
    /// The commit sends no FLUSH any more that would cover its data: it needs one of its own.
    pub(super) flush: bool,
}

/// A transaction.
#[derive(Clone, Debug)]
pub(super) struct Transaction {
    pub(super) tid: Tid,
    pub(super) state: Txn,
    pub(super) begun: Ns,
    /// Why it should commit, once it should.
    pub(super) wanted: Option<EventId>,
    /// For whom it commits.
    pub(super) op: OpId,
    /// Writers between begin and end.
    pub(super) handles: u32,
    /// Ascending by place.
    pub(super) blocks: Vec<Block>,
    /// Ascending.
    pub(super) revokes: Vec<Lba>,
    /// Runs of blocks that it frees.
    pub(super) freed: Vec<(Lba, u32)>,
    pub(super) ordered: Vec<Ordered>,
    pub(super) waiters: Vec<Waiter>,
    /// Its first block in the ring and how many they are, once that is known.
    pub(super) log: Option<(u32, u32)>,
    /// Bios of its log under way.
    pub(super) left: u32,
    /// Where the tail could stand when its commit block was sent.
    pub(super) tail: (u32, Tid),
}

impl Transaction {
    fn new() -> Self {
        Self {
            tid: Tid(0),
            state: Txn::Running,
            begun: Ns(0),
            wanted: None,
            op: OpId(0),
            handles: 0,
            blocks: Vec::new(),
            revokes: Vec::new(),
            freed: Vec::new(),
            ordered: Vec::new(),
            waiters: Vec::new(),
            log: None,
            left: 0,
            tail: (0, Tid(0)),
        }
    }

    fn find(&self, lba: Lba) -> Result<usize, usize> {
        self.blocks.binary_search_by_key(&lba, |block| block.lba)
    }

    /// A block in it.
    pub(super) fn block(&self, lba: Lba) -> Option<&Block> {
        self.find(lba).ok().map(|at| &self.blocks[at])
    }

    /// A block in it.
    pub(super) fn block_mut(&mut self, lba: Lba) -> Option<&mut Block> {
        self.find(lba).ok().map(|at| &mut self.blocks[at])
    }

    /// A block joins. It is no longer revoked here.
    pub(super) fn join(&mut self, lba: Lba, meta: Meta) -> &mut Block {
        let at = match self.find(lba) {
            Ok(at) => at,
            Err(at) => {
                self.blocks.insert(at, Block { lba, meta, frozen: None });
                if let Ok(revoked) = self.revokes.binary_search(&lba) {
                    self.revokes.remove(revoked);
                }
                at
            }
        };
        &mut self.blocks[at]
    }

    /// A block leaves, since it was freed.
    pub(super) fn leave(&mut self, lba: Lba) {
        if let Ok(at) = self.find(lba) {
            self.blocks.remove(at);
        }
    }

    /// A block must not be replayed from this or an older transaction; `false` if it is known.
    pub(super) fn revoke(&mut self, lba: Lba) -> bool {
        let at = self.revokes.binary_search(&lba);
        if let Err(at) = at {
            self.revokes.insert(at, lba);
        }
        at.is_err()
    }

    /// Pages of a file are on their way: those that are waited for need not be asked for.
    pub(super) fn fly(&mut self, ino: Ino, from: u32, to: u32, bio: BioId) {
        let mut at = 0;
        while let Some(&ordered) = self.ordered.get(at) {
            let is_part = ordered.overlaps(ino, from, to) && !ordered.flying;
            if is_part && ordered.since <= bio {
                self.split(at, from, to);
                self.ordered[at].flying = true;
            }
            at += 1;
        }
    }

    /// A write is done: what it had of the pages that were waited for.
    pub(super) fn written(&mut self, ino: Ino, from: u32, to: u32, bio: BioId) {
        self.unorder(ino, from, to, |ordered| ordered.since <= bio);
    }

    /// Pages need not be waited for.
    pub(super) fn unorder(
        &mut self,
        ino: Ino,
        from: u32,
        to: u32,
        counts: impl Fn(&Ordered) -> bool,
    ) {
        let mut at = 0;
        while let Some(ordered) = self.ordered.get(at) {
            if ordered.overlaps(ino, from, to) && counts(ordered) {
                self.split(at, from, to);
                self.ordered.swap_remove(at);
            } else {
                at += 1;
            }
        }
    }

    /// Whether a page that is waited for has its place by this transaction.
    pub(super) fn is_new(&self, ino: Ino, page: u32) -> bool {
        self.ordered.iter().any(|ordered| ordered.new && ordered.overlaps(ino, page, page + 1))
    }

    /// A page that is waited for changed: a write from this bio on counts.
    pub(super) fn again(&mut self, ino: Ino, page: u32, since: BioId) {
        let mut at = 0;
        while let Some(ordered) = self.ordered.get(at) {
            if ordered.overlaps(ino, page, page + 1) {
                self.split(at, page, page + 1);
                (self.ordered[at].since, self.ordered[at].flying) = (since, false);
            }
            at += 1;
        }
    }

    /// Leaves of a run what is within another; the rest stands behind.
    fn split(&mut self, at: usize, from: u32, to: u32) {
        let whole = self.ordered[at];
        for (from, to) in [(whole.from, from), (to, whole.to)] {
            if from < to {
                self.ordered.push(Ordered { from, to, ..whole });
            }
        }
        let (from, to) = (whole.from.max(from), whole.to.min(to));
        self.ordered[at] = Ordered { from, to, ..whole };
    }

    /// How many blocks of the ring it needs if so many blocks more join it.
    pub(super) fn ring_blocks(&self, more: u32) -> u32 {
        let count = |len: usize| u32::try_from(len).unwrap_or(u32::MAX);
        let blocks = count(self.blocks.len()) + more;
        let descriptors = blocks.div_ceil(count(jbd::TAGS));
        blocks + descriptors + count(self.revokes.len().div_ceil(jbd::REVOKES)) + 1
    }
}

/// A durable transaction some of whose blocks are not home.
#[derive(Clone, Copy, Debug)]
pub(super) struct Finished {
    pub(super) tid: Tid,
    /// Its first block in the ring.
    pub(super) start: u32,
    /// How many of its blocks are not home and stand in no newer one.
    pub(super) left: u32,
}

/// A block that waits to be written home.
#[derive(Clone, Copy, Debug)]
pub(super) struct Home {
    pub(super) lba: Lba,
    pub(super) tid: Tid,
    pub(super) cargo: Cargo,
}

/// What the checkpoint is at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Check {
    #[default]
    Idle,
    /// So many bios home are under way.
    Writing(u32),
}

/// What moving the tail is at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Tail {
    #[default]
    Still,
    /// A FLUSH is under way, then it moves there.
    Flush(u32, Tid),
    /// The superblock is under way.
    Super(u32, Tid),
}

/// The journal in memory.
#[derive(Clone, Debug, Default)]
pub(super) struct Journal {
    pub(super) geometry: Geometry,
    /// As the media have it: behind it everything that may be replayed.
    pub(super) on_media: jbd::Super,
    /// The next block of the ring to write.
    pub(super) head: u32,
    pub(super) next: Tid,
    pub(super) running: Option<Box<Transaction>>,
    pub(super) committing: Option<Box<Transaction>>,
    /// Oldest first.
    pub(super) finished: VecDeque<Finished>,
    /// Ascending by place.
    pub(super) homes: Vec<Home>,
    merged: Vec<Home>,
    pub(super) check: Check,
    pub(super) tail: Tail,
    /// A call waits for room.
    pub(super) full: bool,
    /// Blocks freed by durable transactions, held until no write home is under way.
    pub(super) late: Vec<(Lba, u32)>,
    /// A write failed: nothing is written any more.
    pub(super) aborted: bool,
    #[expect(clippy::vec_box, reason = "it is handed on from place to place, and not copied")]
    spare: Vec<Box<Transaction>>,
}

impl Journal {
    /// How many blocks of the ring may be written.
    pub(super) fn room(&self) -> u32 {
        let ring = &self.on_media;
        // One is always left, so that a full ring is not taken for an empty one.
        ring.ring() - 1 - ring.between(ring.start, self.head)
    }

    /// The largest transaction that is not asked to commit.
    pub(super) const fn largest(&self) -> u32 {
        self.on_media.ring() / 4
    }

    /// The transaction that a handle joins.
    pub(super) fn join(&mut self, now: Ns) -> &mut Transaction {
        let locked = self.committing.as_ref().is_some_and(|txn| txn.state == Txn::Locked);
        if locked && let Some(txn) = &mut self.committing {
            return txn;
        }
        let (next, spare) = (&mut self.next, &mut self.spare);
        self.running.get_or_insert_with(|| {
            let mut txn = spare.pop().unwrap_or_else(|| Box::new(Transaction::new()));
            (txn.tid, txn.begun) = (*next, now);
            next.0 += 1;
            txn
        })
    }

    /// Where the ring could begin: nothing before it is needed.
    pub(super) fn first_needed(&self) -> (u32, Tid) {
        let oldest = self.finished.front().map(|txn| (txn.start, txn.tid));
        let committing = self.committing.as_ref();
        oldest.unwrap_or_else(|| match (committing, &self.running) {
            (Some(txn), _) => (txn.log.map_or(self.head, |(start, _)| start), txn.tid),
            (None, Some(txn)) => (self.head, txn.tid),
            (None, None) => (self.head, self.next),
        })
    }

    /// A transaction is durable: its copies are the newest of their blocks, and what it revoked
    /// need not go home.
    pub(super) fn finish(&mut self, txn: &Transaction) {
        let mut merged = std::mem::take(&mut self.merged);
        let homes = std::mem::take(&mut self.homes);
        let mut old = homes.iter().copied().peekable();
        for block in &txn.blocks {
            while let Some(home) = old.next_if(|home| home.lba < block.lba) {
                self.keep(home, txn, &mut merged);
            }
            if let Some(home) = old.next_if(|home| home.lba == block.lba) {
                self.at_home(home.tid);
            }
            let cargo = block.frozen.unwrap_or_default();
            merged.push(Home { lba: block.lba, tid: txn.tid, cargo });
        }
        for home in old {
            self.keep(home, txn, &mut merged);
        }
        let left = u32::try_from(txn.blocks.len()).unwrap_or(u32::MAX);
        let start = txn.log.map_or(0, |log| log.0);
        self.finished.push_back(Finished { tid: txn.tid, start, left });
        self.homes = merged;
        self.merged = homes;
        self.merged.clear();
    }

    /// A block of an older transaction still waits, unless this one revoked it.
    fn keep(&mut self, home: Home, txn: &Transaction, merged: &mut Vec<Home>) {
        match txn.revokes.binary_search(&home.lba) {
            Ok(_) => self.at_home(home.tid),
            Err(_) => merged.push(home),
        }
    }

    /// A block of a transaction needs to go home no more.
    pub(super) fn at_home(&mut self, tid: Tid) {
        if let Some(txn) = self.finished.iter_mut().find(|txn| txn.tid == tid) {
            txn.left -= 1;
        }
    }

    /// A transaction that is done with is used again.
    pub(super) fn recycle(&mut self, mut txn: Box<Transaction>) {
        let Transaction { blocks, revokes, freed, ordered, waiters, .. } = &mut *txn;
        blocks.clear();
        revokes.clear();
        freed.clear();
        ordered.clear();
        waiters.clear();
        (txn.state, txn.wanted, txn.op, txn.log) = (Txn::Running, None, OpId(0), None);
        self.spare.push(txn);
    }

    /// The newest bytes of a block that the journal has and the media may not.
    pub(super) fn newest(&self, lba: Lba) -> Option<Cargo> {
        let live = [&self.running, &self.committing];
        let frozen = |txn: &&Option<Box<Transaction>>| {
            txn.as_ref().and_then(|txn| txn.block(lba)).and_then(|block| block.frozen)
        };
        live.iter().find_map(frozen).or_else(|| {
            let at = self.homes.binary_search_by_key(&lba, |home| home.lba).ok()?;
            Some(self.homes[at].cargo)
        })
    }

    /// Marks every content that it holds.
    pub(super) fn marks(&self, marks: &mut Marks) {
        let live = [&self.running, &self.committing].into_iter().flatten();
        let frozen = live.flat_map(|txn| &txn.blocks).filter_map(|block| block.frozen);
        for cargo in frozen.chain(self.homes.iter().map(|home| home.cargo)) {
            if cargo.content != BlockId::ZERO {
                marks.hold(cargo.content);
            }
        }
    }
}
