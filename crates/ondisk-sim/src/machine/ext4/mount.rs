//! The mount: what the journal has goes home, orphans are freed, then calls are taken.
//!
//! Invariant: the journal is emptied only when what it had is durable at home, so a mount that
//! is cut is begun anew by the next one, from the same media or better.

use super::Ext4;
use super::bios::{self, Why};
use super::disk::{self, Loaded, Replayed, Tree};
use super::node::Node;
use super::space::Space;
use crate::machine::Errno;
use crate::machine::arena::Marks;
use crate::machine::event::{HandleFor, Kind, Layer as Number};
use crate::machine::ids::{Ino, OpId, PageVer, TaskId};
use crate::machine::layer::Cx;
use crate::machine::message::{BlockReq, Cargo, Done, Msg, VfsDone};

/// A mount under way.
#[derive(Clone, Debug)]
pub(super) struct Mounting {
    tree: Tree,
    emptied: disk::jbd::Super,
    replayed: Vec<Replayed>,
    in_use: Vec<Ino>,
    /// Bios under way.
    left: u32,
}

impl Mounting {
    pub(super) fn marks(&self, marks: &mut Marks) {
        self.replayed.iter().for_each(|block| marks.hold(block.content));
    }
}

impl Ext4 {
    pub(super) fn mount(&mut self, cx: &mut Cx, loaded: Loaded) {
        let tree = loaded.tree();
        let Loaded { superblock, bitmap, inodes, mut dirs, replayed, log, orphans, in_use } =
            loaded;
        let emptied = log.emptied();
        self.geometry = superblock.geometry;
        self.inodes = (0..)
            .zip(inodes)
            .map(|(ino, inode)| Some(Node::new(inode?, dirs.remove(&Ino(ino)).unwrap_or_default())))
            .collect();
        self.orphans = orphans;
        self.space = Space::new(bitmap, self.geometry.data);
        self.journal.geometry = self.geometry;
        self.journal.on_media = emptied;
        self.journal.head = emptied.start;
        self.journal.next = emptied.sequence;
        let clean = replayed.is_empty() && log.on_media == emptied;
        self.mounting = Some(Box::new(Mounting { tree, emptied, replayed, in_use, left: 0 }));
        match clean {
            true => self.mounted(cx),
            false => self.replay(cx),
        }
    }

    /// Sends home what the journal had.
    fn replay(&mut self, cx: &mut Cx) {
        let Some(mut mounting) = self.mounting.take() else { return };
        let mut rest = mounting.replayed.as_slice();
        while let Some(first) = rest.first().copied() {
            let follows = |(block, at): &(&Replayed, u32)| block.lba.0 == first.lba.0 + at;
            let count = rest.iter().zip(0..128).take_while(follows).count();
            let (run, behind) = rest.split_at(count);
            rest = behind;
            let mut cargo = cx.list();
            for &Replayed { tid, lba, content } in run {
                cx.event(Number::Fs, OpId(0), PageVer(0), Kind::Replayed { tid, lba });
                cargo.push(Cargo { content, ver: PageVer(0) });
            }
            self.submit(cx, Why::Replay, bios::write(first.lba, cargo));
            mounting.left += 1;
        }
        cx.send(Msg::Block(BlockReq::Unplug(TaskId::KERNEL)));
        let is_empty = mounting.left == 0;
        self.mounting = Some(mounting);
        if is_empty {
            self.flush_replayed(cx);
        }
    }

    fn flush_replayed(&mut self, cx: &mut Cx) {
        match self.options.barrier {
            true => {
                self.submit(cx, Why::ReplayFlush, bios::flush(TaskId::KERNEL, OpId(0)));
            }
            false => self.replay_done(cx, &Why::ReplayFlush, Ok(())),
        }
    }

    /// A step of the replay is done.
    pub(super) fn replay_done(&mut self, cx: &mut Cx, why: &Why, result: Result<(), Errno>) {
        let Some(mounting) = &mut self.mounting else { return };
        if let Err(errno) = result {
            self.abort(cx);
            return cx.send(Msg::VfsDone(VfsDone { op: OpId(0), result: Err(errno) }));
        }
        match why {
            Why::Replay => {
                mounting.left -= 1;
                if mounting.left == 0 {
                    self.flush_replayed(cx);
                }
            }
            Why::ReplayFlush => {
                let emptied = mounting.emptied;
                self.send_super(cx, Why::ReplaySuper, &emptied);
            }
            _ => self.mounted(cx),
        }
    }

    /// Frees orphans, and says that all is ready.
    fn mounted(&mut self, cx: &mut Cx) {
        let Some(mounting) = self.mounting.take() else { return };
        for ino in self.orphans.clone().into_iter().filter(|ino| !mounting.in_use.contains(ino)) {
            self.settle_orphan(cx, ino);
        }
        self.handle_done(cx);
        cx.event(Number::Fs, OpId(0), PageVer(0), Kind::Mounted);
        let result = Ok(Done::Mounted(Box::new(mounting.tree)));
        cx.send(Msg::VfsDone(VfsDone { op: OpId(0), result }));
    }

    /// An orphan without names is freed; another is cut to its length.
    fn settle_orphan(&mut self, cx: &mut Cx, ino: Ino) {
        let Some(node) = self.node(ino) else { return };
        if node.disk.links > 0 {
            let len = node.disk.size;
            self.handle(cx, OpId(0), HandleFor::Truncate, ino);
            self.touch_extents(cx, ino);
            self.cut_blocks(cx, ino, len);
            self.drop_orphan(cx, ino);
            return;
        }
        self.free_inode(cx, OpId(0), ino);
        cx.event(Number::Fs, OpId(0), PageVer(0), Kind::OrphanFreed { ino });
    }
}
