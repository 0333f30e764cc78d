//! Bios that are not done, and the requests that they became.
//!
//! Invariant: a request is a contiguous run of blocks in one direction, and its pieces, in the
//! order of their blocks, are that run exactly. A request with a flush, FUA or an ordered failure
//! has one piece.
//!
//! Knows nothing of who comes first.

use crate::machine::Errno;
use crate::machine::event::{Cmd, Join};
use crate::machine::ids::{EventId, OpId, PageVer, RqId, TaskId};
use crate::machine::message::{Bio, BioDone, BioWhat};

/// A bio that is not done.
#[derive(Clone, Debug)]
pub(super) struct Held {
    /// As it was submitted.
    pub(super) bio: Bio,
    /// The event that submitted it.
    pub(super) cause: EventId,
    /// How many of its pieces are not done.
    left: u32,
    result: Result<(), Errno>,
}

/// All bios that are not done.
#[derive(Clone, Debug, Default)]
pub(super) struct Bios {
    held: Vec<Held>,
    free: Vec<u32>,
}

impl Bios {
    /// Keeps a bio until so many pieces of it, one at least, are done.
    pub(super) fn hold(&mut self, bio: Bio, pieces: u32, cause: EventId) -> u32 {
        let held = Held { bio, cause, left: pieces, result: Ok(()) };
        if let Some(at) = self.free.pop() {
            self.held[at as usize] = held;
            return at;
        }
        self.held.push(held);
        u32::try_from(self.held.len() - 1).unwrap_or(u32::MAX)
    }

    /// A bio that is not done.
    pub(super) fn get(&self, at: u32) -> &Held {
        &self.held[at as usize]
    }

    /// A bio that is not done.
    pub(super) fn get_mut(&mut self, at: u32) -> &mut Held {
        &mut self.held[at as usize]
    }

    /// One piece is done; with the last, the bio is.
    pub(super) fn piece_done(&mut self, at: u32, result: Result<(), Errno>) -> Option<BioDone> {
        let held = self.get_mut(at);
        held.left -= 1;
        held.result = held.result.and(result);
        if held.left > 0 {
            return None;
        }
        let cargo = std::mem::take(&mut held.bio.cargo);
        let done = BioDone { id: held.bio.id, cargo, result: held.result };
        self.free.push(at);
        Some(done)
    }

    /// All bios that are not done.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Held> {
        self.held.iter().filter(|held| held.left > 0)
    }
}

/// Some blocks of a bio.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    /// Which bio, by its place in [`Bios`].
    pub(super) bio: u32,
    /// From which of its blocks on.
    pub(super) from: u32,
    /// How many.
    pub(super) count: u32,
}

/// What a request does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum What {
    /// Reads.
    #[default]
    Read,
    /// Writes, or nothing but waits for flushes.
    Write,
    /// It is the flush itself.
    Flush,
}

/// The steps of the flush machine, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A flush before the data.
    Pre,
    /// The data.
    Data,
    /// A flush after them.
    Post,
}

/// Which steps a request has before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Steps {
    pub(super) pre: bool,
    pub(super) data: bool,
    pub(super) post: bool,
}

impl Steps {
    /// The next one.
    pub(super) fn next(self) -> Option<Step> {
        match self {
            Self { pre: true, .. } => Some(Step::Pre),
            Self { data: true, .. } => Some(Step::Data),
            Self { post: true, .. } => Some(Step::Post),
            _ => None,
        }
    }

    /// It is behind.
    pub(super) fn did(&mut self, step: Step) {
        match step {
            Step::Pre => self.pre = false,
            Step::Data => self.data = false,
            Step::Post => self.post = false,
        }
    }
}

/// One or more merged pieces.
#[derive(Clone, Debug, Default)]
pub(super) struct Rq {
    pub(super) id: RqId,
    pub(super) what: What,
    /// Its first block.
    pub(super) lba: u32,
    /// How many.
    pub(super) count: u32,
    pub(super) pieces: Vec<Piece>,
    /// Of its first bio.
    pub(super) op: OpId,
    pub(super) task: TaskId,
    pub(super) ver: PageVer,
    /// Somebody waits.
    pub(super) sync: bool,
    /// The drive is told to make it durable.
    pub(super) fua: bool,
    /// Others may join it.
    pub(super) joins: bool,
    /// It goes through the flush machine.
    pub(super) flushes: bool,
    /// The scheduler gave it.
    pub(super) ordered: bool,
    pub(super) steps: Steps,
    pub(super) fail: Option<Errno>,
    /// The last event about it.
    pub(super) cause: EventId,
    /// It holds one of the places of the queue.
    counted: bool,
}

impl Rq {
    /// What the drive is told.
    pub(super) fn cmd(&self) -> Cmd {
        match self.what {
            What::Read => Cmd::Read,
            What::Flush => Cmd::Flush,
            What::Write if self.fua => Cmd::WriteFua,
            What::Write => Cmd::Write,
        }
    }

    /// The block behind its last.
    pub(super) fn end(&self) -> u32 {
        self.lba.saturating_add(self.count)
    }

    /// How so many blocks could join it, if it is for the same: behind it, or before it.
    pub(super) fn fits(&self, run: &Run, largest: u32) -> Option<Join> {
        if !self.joins || self.what != run.what || self.count + run.count > largest {
            return None;
        }
        if self.end() == run.lba {
            Some(Join::Back)
        } else if run.lba + run.count == self.lba {
            Some(Join::Front)
        } else {
            None
        }
    }

    /// As a run that could join another.
    pub(super) fn run(&self) -> Run {
        Run { what: self.what, lba: self.lba, count: self.count, task: self.task, sync: self.sync }
    }
}

/// Blocks that could join a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    pub(super) what: What,
    pub(super) lba: u32,
    pub(super) count: u32,
    pub(super) task: TaskId,
    pub(super) sync: bool,
}

impl Run {
    /// A piece of a bio.
    pub(super) fn of(bio: &Bio, piece: Piece) -> Self {
        let what = if bio.what == BioWhat::Read { What::Read } else { What::Write };
        // Whoever reads waits.
        let sync = bio.sync || what == What::Read;
        let lba = bio.lba.0.saturating_add(piece.from);
        Self { what, lba, count: piece.count, task: bio.task, sync }
    }
}

/// All requests that are not done, and how many more there may be.
#[derive(Clone, Debug)]
pub(super) struct Requests {
    all: Vec<Rq>,
    free: Vec<u32>,
    next: RqId,
    places: u16,
}

impl Requests {
    /// None yet; at most so many may wait.
    pub(super) fn new(places: u16) -> Self {
        Self { all: Vec::new(), free: Vec::new(), next: RqId(1), places: places.max(1) }
    }

    /// A new request, if the queue has a place for it.
    pub(super) fn take(&mut self) -> Option<u32> {
        self.places = self.places.checked_sub(1)?;
        let at = self.fresh();
        self.all[at as usize].counted = true;
        Some(at)
    }

    /// A new request that needs no place of its own: it stands for others.
    pub(super) fn fresh(&mut self) -> u32 {
        let at = self.free.pop().unwrap_or_else(|| {
            self.all.push(Rq::default());
            u32::try_from(self.all.len() - 1).unwrap_or(u32::MAX)
        });
        self.all[at as usize].id = self.next;
        self.next = RqId(self.next.0 + 1);
        at
    }

    /// It is done; its list of pieces is used again.
    pub(super) fn put_back(&mut self, at: u32) {
        let rq = &mut self.all[at as usize];
        self.places += u16::from(rq.counted);
        let mut pieces = std::mem::take(&mut rq.pieces);
        pieces.clear();
        *rq = Rq { pieces, ..Rq::default() };
        self.free.push(at);
    }

    /// All that are not done, by their places.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Rq> {
        self.all.iter().filter(|rq| rq.id != RqId(0))
    }

    /// The number that the next request gets.
    pub(super) fn next_id(&self) -> RqId {
        self.next
    }
}

impl std::ops::Index<u32> for Requests {
    type Output = Rq;
    fn index(&self, at: u32) -> &Rq {
        &self.all[at as usize]
    }
}

impl std::ops::IndexMut<u32> for Requests {
    fn index_mut(&mut self, at: u32) -> &mut Rq {
        &mut self.all[at as usize]
    }
}
