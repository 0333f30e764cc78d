//! A RAM disk: names and numbers, and nothing below the page cache.
//!
//! Invariant: every question is answered at once; nothing is kept but the next inode's number,
//! and nothing survives.

use super::Death;
use super::arena::{Arena, Marks};
use super::choice::Chooser;
use super::digest::Digest;
use super::event::{Kind as Moved, Layer as Number};
use super::ext4::disk::{Tree, TreeNode};
use super::ids::{BlockId, Ino, Ns, OpId, PageVer};
use super::layer::{Cx, Layer};
use super::message::{BioDone, Done, FsReq, Kind, Msg, PagesDone, VfsDone};

/// A RAM disk.
#[derive(Clone, Debug)]
pub struct Tmpfs {
    next: Ino,
    /// Numbers of inodes that are gone.
    free: Vec<Ino>,
}

impl Default for Tmpfs {
    fn default() -> Self {
        Self::new()
    }
}

impl Tmpfs {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self { next: Ino(Ino::ROOT.0 + 1), free: Vec::new() }
    }

    fn create(&mut self) -> Ino {
        self.free.pop().unwrap_or_else(|| {
            let ino = self.next;
            self.next = Ino(ino.0 + 1);
            ino
        })
    }
}

/// What is on it when it is mounted.
fn empty() -> Tree {
    let root = TreeNode {
        kind: Kind::Dir,
        size: 0,
        links: 2,
        mode: 0o755,
        entries: Vec::new(),
        target: Box::default(),
    };
    Tree { nodes: [(Ino::ROOT, root)].into() }
}

fn up(cx: &mut Cx, op: OpId, done: Done) {
    cx.send(Msg::VfsDone(VfsDone { op, result: Ok(done) }));
}

impl Layer for Tmpfs {
    type Req = FsReq;
    type Done = BioDone;

    fn accept(&mut self, cx: &mut Cx, req: FsReq) {
        match req {
            FsReq::Mount(_) => {
                cx.event(Number::Fs, OpId(0), PageVer(0), Moved::Mounted);
                up(cx, OpId(0), Done::Mounted(Box::new(empty())));
            }
            FsReq::Create { op, .. } => {
                let ino = self.create();
                up(cx, op, Done::Ino(ino));
            }
            FsReq::Link { op, .. }
            | FsReq::Unlink { op, .. }
            | FsReq::Rename { op, .. }
            | FsReq::Exchange { op, .. }
            | FsReq::Chmod { op, .. }
            | FsReq::Allocate { op, .. }
            | FsReq::SyncDir { op, .. } => up(cx, op, Done::Ok),
            FsReq::Free { ino } => self.free.push(ino),
            FsReq::WriteBegin { op, .. } => {
                cx.send(Msg::PagesDone(PagesDone::Ready { op, result: Ok(()) }));
            }
            FsReq::ReadPage { ino, page, .. } => {
                let result = Ok(BlockId::ZERO);
                cx.send(Msg::PagesDone(PagesDone::Page { ino, page, result }));
            }
            FsReq::WritePages { ino, pages, .. } => {
                cx.send(Msg::PagesDone(PagesDone::Written { ino, pages, result: Ok(()) }));
            }
            FsReq::SetLen { op, .. } | FsReq::Sync { op, .. } | FsReq::SyncAll { op, .. } => {
                cx.send(Msg::PagesDone(PagesDone::Done { op, result: Ok(()) }));
            }
            FsReq::Seen { .. } | FsReq::WriteEnd { .. } | FsReq::Unplug { .. } => {}
        }
    }

    fn complete(&mut self, _: &mut Cx, _: BioDone) {}

    fn tick(&mut self, _: &mut Cx) {}

    fn next_tick(&self) -> Option<Ns> {
        None
    }

    fn power_cut(&mut self, how: Death, _: &mut Arena, _: &mut dyn Chooser) {
        if how != Death::Kill {
            *self = Self::new();
        }
    }

    fn digest(&self, _: &Arena, digest: &mut Digest) {
        digest.add(u64::from(self.next.0));
        self.free.iter().for_each(|ino| digest.add(u64::from(ino.0)));
    }

    fn marks(&self, _: &mut Marks) {}
}
