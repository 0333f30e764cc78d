//! The machine that serves: a page cache, ext4 and a drive like those of a client, with questions
//! from the wire where a client has its VFS.
//!
//! Invariant: a question is done by the same messages by which a VFS would have it done; nothing
//! is kept here from one life of the machine to the next.

use ondisk_fs::BLOCK;

use super::call::What;
use super::{Done, Errno, FsReq, Ino, OpId};
use crate::machine::arena::Arena;
use crate::machine::config::{Config, Ext4Options, Mount, Sabotage};
use crate::machine::ids::{EventId, TaskId};
use crate::machine::media::{Media, MountError, Shot};
use crate::machine::message::{Msg, PagesReq, Sync};
use crate::machine::whole::Machine;

pub(super) use crate::machine::ext4::disk::Tree;

/// The task of all that is asked over the wire.
const SERVING: TaskId = TaskId(1);

/// A machine that serves.
#[derive(Clone, Debug)]
pub(in crate::machine) struct Server {
    pub(in crate::machine) machine: Machine,
    /// Whether it is mounted, and takes questions.
    pub(super) up: bool,
    /// Which of its lives this is: what was not committed in another is lost.
    pub(super) verifier: u64,
    /// The lengths of its files, by inode.
    lengths: Vec<u64>,
}

impl Server {
    /// A server that is switched on. Inodes without names that a client has open stay.
    pub(super) fn boot(
        media: Media,
        seed: u64,
        verifier: u64,
        in_use: &dyn Fn(Ino) -> bool,
    ) -> Result<Self, MountError> {
        let mount = Mount::Ext4(options(&media.config));
        let config = Config { mount, history: false, ..media.config };
        let media = Media { config, base: None, ..media };
        let mut machine = Machine::boot_keeping(media, seed, in_use)?;
        machine.cx.watched = false;
        machine.serve();
        Ok(Self { machine, up: false, verifier, lengths: Vec::new() })
    }

    /// A number that changes whenever what a death leaves may have changed.
    pub(in crate::machine) fn mark(&self) -> u64 {
        self.verifier << 32 | u64::from(self.machine.cx.count())
    }

    /// Its drive at this moment.
    pub(in crate::machine) fn shot(&self) -> Shot {
        self.machine.shot()
    }

    /// Its drive once all that it was told is durable: what it has to show when its client is
    /// dead and it is not.
    pub(in crate::machine) fn synced(&self) -> Shot {
        let mut machine = self.machine.clone();
        let op = OpId(u32::MAX);
        let mut asked = false;
        let mut up = self.up;
        loop {
            if up && !std::mem::replace(&mut asked, true) {
                machine.cx.send(Msg::Pages(PagesReq::SyncAll { op, task: SERVING }));
            }
            let more = machine.step();
            let done = machine.take_served();
            up |= done.iter().any(|done| matches!(done.result, Ok(Done::Mounted(_))));
            if !more || done.iter().any(|done| done.op == op) {
                return machine.shot();
            }
        }
    }

    /// It is mounted.
    pub(super) fn is_up(&mut self, tree: &Tree) {
        self.up = true;
        for (ino, node) in &tree.nodes {
            self.know(*ino, node.size);
        }
    }

    fn send(&mut self, msg: Msg) {
        self.machine.cx.because(EventId(0));
        self.machine.cx.send(msg);
    }

    fn length(&mut self, ino: Ino) -> &mut u64 {
        if self.lengths.len() <= ino.index() {
            self.lengths.resize(ino.index() + 1, 0);
        }
        &mut self.lengths[ino.index()]
    }

    fn know(&mut self, ino: Ino, size: u64) {
        *self.length(ino) = size;
        self.send(Msg::Pages(PagesReq::Know { ino, size }));
    }

    /// Begins with what is asked. `arena`: the client's, whose bytes came over the wire.
    pub(super) fn start(&mut self, op: OpId, what: &What, arena: &Arena) -> Result<(), Errno> {
        let task = SERVING;
        let req = match what {
            What::Name(req) => {
                self.send(Msg::Fs(asked_as(req.clone(), op)));
                return Ok(());
            }
            What::SetLen { ino, len } => PagesReq::SetLen { op, task, ino: *ino, len: *len },
            What::Allocate { ino, len } => PagesReq::Allocate { op, task, ino: *ino, len: *len },
            What::Write { fail: Some(errno), .. } => return Err(*errno),
            What::Write { ino, pages, size, .. } => {
                let Some((first, _)) = pages.first() else { return Err(Errno::Inval) };
                let at = u64::from(*first) * BLOCK as u64;
                let mut bytes = Vec::with_capacity(pages.len() * BLOCK);
                pages.iter().for_each(|(_, cargo)| bytes.extend(arena.bytes(cargo.content)));
                bytes.truncate(usize::try_from(size.saturating_sub(at)).unwrap_or(usize::MAX));
                if bytes.is_empty() {
                    return Err(Errno::Inval);
                }
                let length = self.length(*ino);
                *length = (*length).max(at + bytes.len() as u64);
                PagesReq::Write { op, task, ino: *ino, at, bytes, sync: None }
            }
            What::Commit { ino, .. } => {
                PagesReq::Fsync { op, task, ino: *ino, kind: Sync::All, fail: None }
            }
            What::Read { ino, page } => {
                let (at, len) = (u64::from(*page) * BLOCK as u64, BLOCK as u64);
                PagesReq::Read { op, task, ino: *ino, at, len }
            }
            What::Free { ino } => PagesReq::Drop { ino: *ino },
        };
        self.send(Msg::Pages(req));
        Ok(())
    }

    /// Something is done. If it has to be durable before it is answered, that is begun.
    pub(super) fn did(&mut self, op: OpId, what: &What, done: &Done) -> bool {
        match (what, done) {
            (What::Name(_), Done::Ino(ino)) => self.know(*ino, 0),
            (What::Name(_), _) => {}
            (What::SetLen { ino, len }, _) => *self.length(*ino) = *len,
            (What::Allocate { ino, len }, _) => {
                let size = (*self.length(*ino)).max(*len);
                self.know(*ino, size);
            }
            _ => return false,
        }
        if self.machine.config().sabotage == Some(Sabotage::NamesNotCommitted) {
            return false;
        }
        // The transaction that has it, whatever inode it was about.
        self.send(Msg::Fs(FsReq::SyncDir { op, task: SERVING, ino: Ino::ROOT }));
        true
    }
}

/// How a server's file system is made and mounted: as large as the drive, up to the usual.
pub(in crate::machine) fn options(config: &Config) -> Ext4Options {
    let usual = Ext4Options::default();
    let blocks = usual.blocks.min(config.drive.blocks);
    Ext4Options { blocks, journal: usual.journal.min(blocks / 16), ..usual }
}

/// The same question under a number of the wire.
fn asked_as(mut req: FsReq, xid: OpId) -> FsReq {
    if let FsReq::Create { op, task, .. }
    | FsReq::Link { op, task, .. }
    | FsReq::Unlink { op, task, .. }
    | FsReq::Rename { op, task, .. }
    | FsReq::Exchange { op, task, .. }
    | FsReq::Chmod { op, task, .. } = &mut req
    {
        (*op, *task) = (xid, SERVING);
    }
    req
}

/// The inode that a change of names is about: the directory, or whose mode it is.
pub(super) fn about(req: &FsReq) -> Ino {
    match req {
        FsReq::Create { dir, .. } | FsReq::Link { dir, .. } | FsReq::Unlink { dir, .. } => *dir,
        FsReq::Rename { to: (dir, _), .. } | FsReq::Exchange { b: (dir, ..), .. } => *dir,
        FsReq::Chmod { ino, .. } => *ino,
        _ => Ino(0),
    }
}

/// What a change of names would have been answered, if the tree shows that it was made. The
/// client lets no other change of the same names in between.
pub(super) fn was_done(tree: &Tree, req: &FsReq) -> Option<Done> {
    let at = |dir: &Ino, name: &[u8]| {
        let entries = &tree.nodes.get(dir)?.entries;
        entries.iter().find(|(other, _)| **other == *name).map(|(_, ino)| *ino)
    };
    match req {
        FsReq::Create { dir, name, .. } => at(dir, name).map(Done::Ino),
        FsReq::Link { dir, name, .. } => at(dir, name).map(|_| Done::Ok),
        FsReq::Unlink { dir, name, .. } => at(dir, name).is_none().then_some(Done::Ok),
        FsReq::Rename { from: (dir, name), .. } => at(dir, name).is_none().then_some(Done::Ok),
        FsReq::Exchange { a: (dir, name, ino), .. } => {
            (at(dir, name) != Some(*ino)).then_some(Done::Ok)
        }
        _ => None,
    }
}
