//! Questions to the server: on the wire, at work, answered; and what becomes of them when the
//! server restarts.
//!
//! Invariant: questions arrive in the order in which they were asked, and so do answers; a change
//! of names that the server had made durable before it died is not made again.

use super::server::{self, Tree};
use super::{Cx, Done, Errno, EventId, FsReq, Ino, Kind, Nfs, Ns, Number, OpId, PageVer, Remote};
use crate::machine::message::{Cargo, Msg, VfsDone};

/// A question that was not answered.
#[derive(Clone, Debug)]
pub(super) struct Call {
    /// Its number, the same each time it is sent.
    pub(super) xid: OpId,
    /// The call of a program behind it.
    pub(super) op: OpId,
    pub(super) cause: EventId,
    pub(super) what: What,
    pub(super) stage: Stage,
    /// The inode that was made.
    pub(super) made: Option<Ino>,
}

/// Where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    /// On the wire, or lost with the server.
    Sent,
    /// It waits for another change of the same file.
    Arrived,
    /// The server works on it.
    Running,
    /// It is done, and being made durable.
    Settling,
    /// Its answer is on the wire.
    Answered,
}

/// What is asked.
#[derive(Clone, Debug)]
pub(super) enum What {
    /// A change of names or of a mode.
    Name(FsReq),
    /// Another length.
    SetLen { ino: Ino, len: u64 },
    /// Blocks for the first bytes.
    Allocate { ino: Ino, len: u64 },
    /// WRITE, unstable. `size`: the length then. `again`: the page cache was told already.
    Write { ino: Ino, pages: Vec<(u32, Cargo)>, size: u64, fail: Option<Errno>, again: bool },
    /// COMMIT of what was answered up to `mark`.
    Commit { ino: Ino, mark: u32 },
    /// READ.
    Read { ino: Ino, page: u32 },
    /// Nobody has it open any more; has no answer.
    Free { ino: Ino },
}

/// What the server answered, and in which of its lives.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) xid: OpId,
    pub(super) result: Result<Done, Errno>,
    pub(super) verifier: u64,
}

impl What {
    /// What an event says of it: what it is, of which inode, from which page on, how many.
    pub(super) fn shape(&self) -> (Remote, Ino, u32, u32) {
        match self {
            Self::Name(req) => (Remote::Name, server::about(req), 0, 0),
            Self::SetLen { ino, .. } | Self::Allocate { ino, .. } => (Remote::Length, *ino, 0, 0),
            Self::Write { ino, pages, .. } => {
                let first = pages.first().map_or(0, |(page, _)| *page);
                (Remote::Write, *ino, first, u32::try_from(pages.len()).unwrap_or(u32::MAX))
            }
            Self::Commit { ino, .. } => (Remote::Commit, *ino, 0, 0),
            Self::Read { ino, page } => (Remote::Read, *ino, *page, 1),
            Self::Free { ino } => (Remote::Free, *ino, 0, 0),
        }
    }

    /// The file whose bytes it changes: such are done one after the other.
    fn changes(&self) -> Option<Ino> {
        match self {
            Self::Write { ino, .. } | Self::SetLen { ino, .. } | Self::Allocate { ino, .. } => {
                Some(*ino)
            }
            _ => None,
        }
    }
}

impl Nfs {
    /// Sends a question.
    pub(super) fn ask(&mut self, cx: &mut Cx, op: OpId, what: What) {
        let xid = self.next;
        self.next = OpId(xid.0 + 1);
        let (remote, ino, page, count) = what.shape();
        let ver = match &what {
            What::Write { pages, .. } => pages.first().map_or(PageVer(0), |(_, cargo)| cargo.ver),
            _ => PageVer(0),
        };
        let cause = cx.event(Number::Fs, op, ver, Kind::Asked { remote, ino, page, count });
        if let What::Write { ino, pages, size, again, .. } = &what {
            self.unstable.sent(*ino, (xid, *again), pages, *size);
        }
        self.there.push_back((cx.now + self.config.net, xid));
        self.calls.push(Call { xid, op, cause, what, stage: Stage::Sent, made: None });
    }

    /// Lets the server do all that it has to do up to now.
    pub(super) fn serve(&mut self, cx: &mut Cx) {
        loop {
            self.server.machine.run_until(cx.now);
            let done = self.server.machine.take_served();
            let idle = done.is_empty();
            done.into_iter().for_each(|done| self.served(cx, done));
            self.arrive(cx.now);
            if !self.start(cx) && idle {
                return;
            }
        }
    }

    /// What has come over the wire.
    fn arrive(&mut self, now: Ns) {
        while self.server.up
            && let Some((at, xid)) = self.there.front().copied()
            && at <= now
        {
            self.there.pop_front();
            if let Some(call) = self.calls.iter_mut().find(|call| call.xid == xid) {
                call.stage = Stage::Arrived;
            }
        }
    }

    /// The server begins with what it can, if there is something.
    fn start(&mut self, cx: &mut Cx) -> bool {
        let (mut at, mut began) = (0, false);
        while at < self.calls.len() {
            let changes = self.calls[at].what.changes();
            let waits = changes.is_some()
                && self.calls[..at]
                    .iter()
                    .any(|call| call.what.changes() == changes && call.stage != Stage::Answered);
            if self.calls[at].stage != Stage::Arrived || waits {
                at += 1;
                continue;
            }
            self.calls[at].stage = Stage::Running;
            began = true;
            let Call { xid, what, .. } = &self.calls[at];
            match (what, self.server.start(*xid, what, &cx.arena)) {
                (What::Free { .. }, _) => {
                    self.calls.remove(at);
                }
                (_, Ok(())) => at += 1,
                (_, Err(errno)) => {
                    self.answer(cx.now, at, Err(errno));
                    at += 1;
                }
            }
        }
        began
    }

    /// The server has done something.
    fn served(&mut self, cx: &mut Cx, done: VfsDone) {
        match done {
            VfsDone { result: Ok(Done::Mounted(tree)), .. } => self.is_up(cx, *tree),
            // What it says to be written is not: as after a restart, all is to be sent again.
            VfsDone { result: Ok(Done::WbError { .. }), .. } => self.server.verifier += 1,
            VfsDone { result: Ok(Done::Applied { done: false, .. }), .. } => {}
            VfsDone { op, result } => {
                let Some(at) = self.calls.iter().position(|call| call.xid == op) else { return };
                match result {
                    Ok(done) if self.settles(at, &done) => {}
                    Ok(_) if self.calls[at].made.is_some() => {
                        let made = self.calls[at].made.map_or(Done::Ok, Done::Ino);
                        self.answer(cx.now, at, Ok(made));
                    }
                    result => self.answer(cx.now, at, result),
                }
            }
        }
    }

    /// Whether what is done has to be made durable before it is answered; that is begun.
    fn settles(&mut self, at: usize, done: &Done) -> bool {
        let call = &mut self.calls[at];
        if call.stage != Stage::Running || !self.server.did(call.xid, &call.what, done) {
            return false;
        }
        if let Done::Ino(ino) = done {
            call.made = Some(*ino);
        }
        call.stage = Stage::Settling;
        true
    }

    /// The server answers.
    fn answer(&mut self, now: Ns, at: usize, result: Result<Done, Errno>) {
        let call = &mut self.calls[at];
        call.stage = Stage::Answered;
        let answer = Answer { xid: call.xid, result, verifier: self.server.verifier };
        self.back.push_back((now + self.config.net, answer));
    }

    /// The server takes questions: for the first time, or again.
    fn is_up(&mut self, cx: &mut Cx, tree: Tree) {
        self.server.is_up(&tree);
        if !std::mem::replace(&mut self.mounted, true) {
            cx.event(Number::Fs, OpId(0), PageVer(0), Kind::Mounted);
            let result = Ok(Done::Mounted(Box::new(tree)));
            return cx.send(Msg::VfsDone(VfsDone { op: OpId(0), result }));
        }
        // What had no answer is asked again, in its order; what was freed is gone.
        self.calls.retain(|call| !matches!(call.what, What::Free { .. }));
        self.there.clear();
        for at in 0..self.calls.len() {
            let made = match &self.calls[at].what {
                What::Name(req) => server::was_done(&tree, req),
                _ => None,
            };
            match made {
                Some(done) => self.answer(cx.now, at, Ok(done)),
                None => self.there.push_back((cx.now + self.config.net, self.calls[at].xid)),
            }
        }
    }
}
