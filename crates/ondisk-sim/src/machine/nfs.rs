//! A network file system: the client's side of it, and the machine that serves it.
//!
//! Invariant: names and attributes are durable on the server before a call that changes them
//! returns; the contents of pages that the server has, but has not said to be durable, are kept
//! here until it does; and every question is asked until it is answered, once.
//!
//! | module | what it does |
//! |---|---|
//! | [`server`] | the other machine, and what it makes of a question |
//! | `call` | questions on their way, and after a restart of the server |
//! | `unstable` | pages that are to be sent again when the server restarted |
//! | `commit` | syncs: COMMIT, and WRITE again where that was in vain |
//!
//! The rules are those of RFC 1813 (§3.3.7 WRITE, §3.3.21 COMMIT). A file without names that is
//! open here stays on the server, as with `OPEN4_RESULT_PRESERVE_UNLINKED` of RFC 8881.
//!
//! Knows nothing of names, paths and descriptors: a file is its inode's number, on both sides.

mod call;
mod commit;
pub(super) mod server;
mod unstable;

#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, VecDeque};

use ondisk_fs::BLOCK;

use super::Death;
use super::Errno;
use super::arena::{Arena, Marks};
use super::choice::Chooser;
use super::config::{Config, Sabotage};
use super::digest::{Digest, mix2};
use super::event::{Kind, Layer as Number, Remote};
use super::ids::{BlockId, EventId, Ino, Ns, OpId, PageVer};
use super::layer::{Cx, Layer};
use super::media::{Media, MountError};
use super::message::{BioDone, Done, FsReq, Msg, PagesDone, VfsDone};
use call::{Answer, Call, Stage, What};
use commit::Syncing;
use server::Server;
use unstable::Unstable;

/// The client of a server, and the server.
#[derive(Clone, Debug)]
pub(super) struct Nfs {
    config: Config,
    seed: u64,
    server: Box<Server>,
    /// What the server was asked and did not answer, in order.
    calls: Vec<Call>,
    next: OpId,
    /// On the wire: to the server, and what it answered.
    there: VecDeque<(Ns, OpId)>,
    back: VecDeque<(Ns, Answer)>,
    unstable: Unstable,
    syncs: Vec<Syncing>,
    /// Inodes of which the server was told that nobody has them open any more.
    freed: BTreeSet<Ino>,
    /// Whether the client knows what is on the server.
    mounted: bool,
}

impl Nfs {
    /// A client of a server that is switched on with these media.
    pub(super) fn new(media: Media, seed: u64) -> Result<Self, MountError> {
        let config = media.config.clone();
        let server = Server::boot(media, mix2(seed, 0), 0, &|_| false)?;
        Ok(Self {
            config,
            seed,
            server: Box::new(server),
            calls: Vec::new(),
            next: OpId(1),
            there: VecDeque::new(),
            back: VecDeque::new(),
            unstable: Unstable::default(),
            syncs: Vec::new(),
            freed: BTreeSet::new(),
            mounted: false,
        })
    }

    /// The machine that serves.
    pub(super) fn server(&self) -> &Server {
        &self.server
    }

    /// The server's power fails, and it is switched on again. The client goes on.
    pub(super) fn reboot_server(
        &mut self,
        now: Ns,
        chooser: &mut dyn Chooser,
    ) -> Result<(), MountError> {
        self.server.machine.run_until(now);
        let media = self.server.shot().cut(Death::Cut, chooser);
        let lives = self.server.verifier + 1;
        let media = Media { config: self.config.clone(), base: None, ..media };
        let in_use = |ino| !self.freed.contains(&ino);
        let mut server = Server::boot(media, mix2(self.seed, lives), lives, &in_use)?;
        server.machine.cx.now = now;
        *self.server = server;
        self.freed.clear();
        self.there.clear();
        self.back.clear();
        for call in &mut self.calls {
            call.stage = Stage::Sent;
        }
        Ok(())
    }

    /// Pages of one file go to the server, run by run.
    fn write_pages(&mut self, cx: &mut Cx, req: FsReq) {
        let FsReq::WritePages { op, ino, pages, size, fail, .. } = req else { return };
        let mut rest = pages.as_slice();
        while let Some((first, _)) = rest.first().copied() {
            let count = rest.iter().zip(first..).take_while(|((page, _), at)| page == at).count();
            let (run, behind) = rest.split_at(count);
            rest = behind;
            let pages = run.to_vec();
            self.ask(cx, op, What::Write { ino, pages, size, fail, again: false });
        }
    }

    /// A page is asked for. What the server may lose is not asked of it.
    fn read_page(&mut self, cx: &mut Cx, ino: Ino, page: u32) {
        match self.unstable.page(ino, page) {
            Some(content) => {
                let result = Ok(content);
                cx.send(Msg::PagesDone(PagesDone::Page { ino, page, result }));
            }
            None => self.ask(cx, OpId(0), What::Read { ino, page }),
        }
    }

    /// An answer came.
    fn answered(&mut self, cx: &mut Cx, answer: Answer) {
        let Answer { xid, result, verifier } = answer;
        let Some(at) = self.calls.iter().position(|call| call.xid == xid) else { return };
        let Call { op, cause, what, .. } = self.calls.remove(at);
        cx.because(cause);
        let (remote, ino, page, count) = what.shape();
        let kind = Kind::Answered { remote, ino, page, count, ok: result.is_ok() };
        cx.event(Number::Fs, op, PageVer(0), kind);
        match what {
            What::Name(_) | What::Allocate { .. } => {
                if let Ok(Done::Ino(ino)) = result {
                    self.freed.remove(&ino);
                }
                cx.send(Msg::VfsDone(VfsDone { op, result }));
            }
            What::SetLen { .. } => {
                let result = result.map(|_| ());
                cx.send(Msg::PagesDone(PagesDone::Done { op, result }));
            }
            What::Read { ino, page } => {
                let result = result.map(|done| content_of(cx, &done));
                cx.send(Msg::PagesDone(PagesDone::Page { ino, page, result }));
            }
            What::Write { ino, pages, again, .. } => {
                let result = result.map(|_| ());
                self.unstable.answered(ino, xid, verifier, result);
                if !again {
                    cx.send(Msg::PagesDone(PagesDone::Written { ino, pages, result }));
                }
                self.settled(cx, ino, result.err().filter(|_| again));
            }
            What::Commit { ino, mark } => {
                let result = result.map(|_| ());
                let sure = self.config.sabotage == Some(Sabotage::VerifierIgnored);
                self.unstable.committed(ino, mark, (verifier, sure), result);
                self.settled(cx, ino, result.err());
            }
            What::Free { .. } => {}
        }
    }
}

/// What was read, as a page: zeros stand behind the end.
fn content_of(cx: &mut Cx, done: &Done) -> BlockId {
    let Done::Bytes(bytes) = done else { return BlockId::ZERO };
    cx.arena.patch(BlockId::ZERO, 0, &bytes[..bytes.len().min(BLOCK)])
}

impl Layer for Nfs {
    type Req = FsReq;
    type Done = BioDone;

    fn accept(&mut self, cx: &mut Cx, req: FsReq) {
        match req {
            // The client waits for the server.
            FsReq::Mount(_) | FsReq::Seen { .. } | FsReq::WriteEnd { .. } => {}
            FsReq::Unplug { .. } => {}
            FsReq::Create { op, .. }
            | FsReq::Link { op, .. }
            | FsReq::Unlink { op, .. }
            | FsReq::Rename { op, .. }
            | FsReq::Exchange { op, .. }
            | FsReq::Chmod { op, .. } => self.ask(cx, op, What::Name(req)),
            FsReq::Allocate { op, ino, len, .. } => self.ask(cx, op, What::Allocate { ino, len }),
            FsReq::SetLen { op, ino, len, .. } => {
                self.unstable.cut(ino, len);
                self.ask(cx, op, What::SetLen { ino, len });
            }
            FsReq::Free { ino } => {
                self.unstable.cut(ino, 0);
                self.freed.insert(ino);
                self.ask(cx, OpId(0), What::Free { ino });
            }
            // Names are durable when they are answered.
            FsReq::SyncDir { op, .. } => {
                cx.send(Msg::VfsDone(VfsDone { op, result: Ok(Done::Ok) }));
            }
            FsReq::WriteBegin { op, .. } => {
                cx.send(Msg::PagesDone(PagesDone::Ready { op, result: Ok(()) }));
            }
            FsReq::ReadPage { ino, page, .. } => self.read_page(cx, ino, page),
            FsReq::WritePages { .. } => self.write_pages(cx, req),
            FsReq::Sync { op, ino, .. } => self.sync(cx, op, vec![ino]),
            FsReq::SyncAll { op, .. } => {
                let inos = self.unstable.inodes();
                self.sync(cx, op, inos);
            }
        }
    }

    fn complete(&mut self, _: &mut Cx, _: BioDone) {}

    fn tick(&mut self, cx: &mut Cx) {
        self.serve(cx);
        while let Some((at, _)) = self.back.front()
            && *at <= cx.now
        {
            let Some((_, answer)) = self.back.pop_front() else { return };
            self.answered(cx, answer);
        }
    }

    fn next_tick(&self) -> Option<Ns> {
        let there = self.there.front().filter(|_| self.server.up).map(|(at, _)| *at);
        let back = self.back.front().map(|(at, _)| *at);
        [self.server.machine.due(), there, back].into_iter().flatten().min()
    }

    fn power_cut(&mut self, _: Death, _: &mut Arena, _: &mut dyn Chooser) {}

    fn digest(&self, arena: &Arena, digest: &mut Digest) {
        let server = self.server.machine.digest();
        [server.0, server.1, self.server.verifier, u64::from(self.next.0)]
            .into_iter()
            .for_each(|value| digest.add(value));
        for call in &self.calls {
            digest.add(u64::from(call.xid.0) << 8 | call.stage as u64);
        }
        for (at, xid) in &self.there {
            digest.add(at.0);
            digest.add(u64::from(xid.0));
        }
        self.unstable.digest(arena, digest);
    }

    fn marks(&self, marks: &mut Marks) {
        for call in &self.calls {
            if let What::Write { pages, .. } = &call.what {
                pages.iter().for_each(|(_, cargo)| marks.hold(cargo.content));
            }
        }
        self.unstable.marks(marks);
    }
}
