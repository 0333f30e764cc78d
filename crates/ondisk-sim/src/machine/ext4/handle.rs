//! Handles: how a change joins the running transaction.
//!
//! Invariant: a block joins before it is changed; what the committing transaction has of it and
//! did not yet encode is encoded at that moment. A change begins only when the journal surely
//! has room for all of it.

use super::disk::{self, Superblock};
use super::txn::Meta;
use super::{Ext4, Work, pages_of};
use crate::machine::arena::{Arena, Bytes};
use crate::machine::config::Sabotage;
use crate::machine::event::{HandleFor, Kind, Layer as Number, Txn};
use crate::machine::ids::{BlockId, Ino, Lba, OpId, PageVer, Tid};
use crate::machine::layer::Cx;
use crate::machine::message::{Cargo, FsReq};

impl Ext4 {
    /// Whether a change of so many blocks may begin. If not, a commit or a checkpoint is under
    /// way after which it is asked again.
    pub(super) fn admit(&mut self, cx: &mut Cx, credits: u32) -> bool {
        if self.journal.aborted || credits == 0 {
            return true;
        }
        let largest = self.journal.largest();
        loop {
            if self.journal.committing.as_ref().is_some_and(|txn| txn.state == Txn::Locked) {
                return false;
            }
            let has = self.journal.running.as_ref().map_or(0, |txn| txn.blocks.len());
            let has = u32::try_from(has).unwrap_or(u32::MAX);
            if has == 0 || has + credits <= largest {
                break;
            }
            if !self.want_running(cx, OpId(0)) {
                return false;
            }
        }
        let needed = match &self.journal.running {
            Some(txn) => txn.ring_blocks(credits),
            None => credits + credits / 250 + 3,
        };
        // Of the one that commits what it still has to write.
        let before = match &self.journal.committing {
            Some(txn) if txn.log.is_none() => txn.ring_blocks(0),
            Some(txn) if txn.state < Txn::Record => 1,
            _ => 0,
        };
        let fits = needed.min((self.journal.on_media.ring() - 1).saturating_sub(before)) + before;
        if fits > self.journal.room() {
            self.make_room(cx);
            return false;
        }
        true
    }

    /// How many blocks a piece of work may change; 0 if it needs no handle.
    pub(super) fn credits(&self, cx: &Cx, work: &Work) -> u32 {
        let bitmaps = self.geometry.table.0 - self.geometry.bitmap.0;
        let overflow = |ino: &Ino| {
            let blocks = self.node(*ino).map_or(0, |node| node.disk.overflow.len());
            // In `data=journal` every block that is freed may be revoked.
            let revokes = match self.journals_data() {
                true => self.node(*ino).map_or(0, |node| pages_of(node.size) / 1000),
                false => 0,
            };
            u32::try_from(blocks).unwrap_or(0) + 2 + revokes
        };
        let base = 6 + bitmaps;
        match work {
            Work::Req(req) | Work::Placed(req) => match req {
                FsReq::Create { dir, .. } => base + overflow(dir),
                FsReq::Link { dir, ino, .. } | FsReq::Unlink { dir, ino, .. } => {
                    base + overflow(dir) + overflow(ino)
                }
                FsReq::Rename { from, to, ino, replaced, .. } => {
                    let replaced = replaced.as_ref().map_or(0, |(ino, _)| overflow(ino));
                    base + overflow(&from.0) + overflow(&to.0) + overflow(ino) + replaced
                }
                FsReq::Exchange { .. } => base + 4,
                FsReq::Chmod { .. } => 1,
                FsReq::WriteBegin { ino, at, len, .. } => self.write_credits(cx, *ino, *at, *len),
                FsReq::Allocate { ino, .. } | FsReq::SetLen { ino, .. } | FsReq::Free { ino } => {
                    base + overflow(ino)
                }
                _ => 0,
            },
            Work::Place(write) => base + overflow(&write.ino) + 2,
            Work::Convert { ino, .. } => 1 + overflow(ino),
            Work::Journal(_) => self.journal.largest() / 2,
        }
    }

    /// A handle joins the running transaction.
    pub(super) fn handle(&mut self, cx: &mut Cx, op: OpId, why: HandleFor, ino: Ino) -> Tid {
        let tid = self.journal.join(cx.now).tid;
        cx.event(Number::Fs, op, PageVer(0), Kind::Handle { tid, why, ino });
        tid
    }

    /// A handle ended: a transaction that is large enough should commit.
    pub(super) fn handle_done(&mut self, cx: &mut Cx) {
        let largest = self.journal.largest() as usize;
        let is_full = |txn: &super::txn::Transaction| txn.blocks.len() >= largest;
        if self.journal.running.as_ref().is_some_and(|txn| is_full(txn) && txn.wanted.is_none()) {
            self.want_running(cx, OpId(0));
        }
    }

    /// A block of metadata will be changed by the handle.
    pub(super) fn touch(&mut self, cx: &mut Cx, lba: Lba, meta: Meta) {
        self.freeze(cx, lba);
        self.journal.join(cx.now).join(lba, meta);
    }

    /// The committing transaction keeps its bytes of a block that will change.
    fn freeze(&mut self, cx: &mut Cx, lba: Lba) {
        let Some(txn) = &self.journal.committing else { return };
        if txn.state != Txn::Flush || self.is(Sabotage::FrozenNot) {
            return;
        }
        let Some(meta) = txn.block(lba).filter(|block| block.frozen.is_none()).map(|b| b.meta)
        else {
            return;
        };
        let content = self.encode(&mut cx.arena, lba, meta);
        if let Some(block) = self.journal.committing.as_mut().and_then(|txn| txn.block_mut(lba)) {
            block.frozen = Some(Cargo { content, ver: PageVer(0) });
        }
    }

    /// The block in which an inode stands will be changed, and those of its extents.
    pub(super) fn touch_inode(&mut self, cx: &mut Cx, ino: Ino) {
        self.touch(cx, self.geometry.inode_block(ino), Meta::Inodes);
    }

    /// As [`touch_inode`](Self::touch_inode), and the blocks of its extents.
    pub(super) fn touch_extents(&mut self, cx: &mut Cx, ino: Ino) {
        self.touch_inode(cx, ino);
        let count = self.node(ino).map_or(0, |node| node.disk.overflow.len());
        for nth in 0..count {
            if let Some(lba) = self.node(ino).and_then(|node| node.disk.overflow.get(nth)) {
                self.touch(cx, *lba, Meta::Extents(ino, nth));
            }
        }
    }

    /// After its extents changed, an inode gets or loses blocks for them.
    pub(super) fn fit_extents(&mut self, cx: &mut Cx, ino: Ino) {
        loop {
            let Some(node) = self.node(ino) else { return };
            let (has, needs) =
                (node.disk.overflow.len(), disk::Inode::overflow_blocks(node.disk.extents.len()));
            if has == needs {
                return;
            }
            if has > needs {
                let last = self.node_mut(ino).and_then(|node| node.disk.overflow.pop());
                let Some(lba) = last else { return };
                self.free_meta(cx, lba);
                continue;
            }
            let Some(lba) = self.give_meta(cx) else { return };
            self.touch(cx, lba, Meta::Extents(ino, has));
            if let Some(node) = self.node_mut(ino) {
                node.disk.overflow.push(lba);
            }
        }
    }

    /// A block for metadata.
    pub(super) fn give_meta(&mut self, cx: &mut Cx) -> Option<Lba> {
        let (lba, _) = self.space.find(self.geometry.data, 1)?;
        self.take_blocks(cx, lba, 1);
        Some(lba)
    }

    /// Free blocks are given away.
    pub(super) fn take_blocks(&mut self, cx: &mut Cx, lba: Lba, count: u32) {
        self.touch_bitmap(cx, lba, count);
        self.space.take(lba, count);
    }

    fn touch_bitmap(&mut self, cx: &mut Cx, lba: Lba, count: u32) {
        let (mut from, end) = (lba.0, lba.0 + count);
        while from < end {
            self.touch(cx, self.geometry.bitmap_block(Lba(from)), Meta::Bitmap);
            from = (from / disk::BITS_PER_BLOCK + 1) * disk::BITS_PER_BLOCK;
        }
    }

    /// A block of metadata, or of journalled data, is free.
    pub(super) fn free_meta(&mut self, cx: &mut Cx, lba: Lba) {
        self.freeze(cx, lba);
        let now = cx.now;
        self.journal.join(now).leave(lba);
        if !self.is(Sabotage::RevokeForgotten) {
            let txn = self.journal.join(now);
            let tid = txn.tid;
            if txn.revoke(lba) {
                cx.event(Number::Fs, OpId(0), PageVer(0), Kind::Revoked { tid, lba });
            }
        }
        self.free_blocks(cx, lba, 1);
    }

    /// Blocks of a file are free, once this transaction is durable.
    pub(super) fn free_blocks(&mut self, cx: &mut Cx, lba: Lba, count: u32) {
        self.touch_bitmap(cx, lba, count);
        self.space.hold(lba, count);
        if self.is(Sabotage::FreedBlockReusedEarly) {
            self.space.release(lba, count);
        } else {
            self.journal.join(cx.now).freed.push((lba, count));
        }
    }

    /// A block's bytes as they are now.
    pub(super) fn encode(&self, arena: &mut Arena, lba: Lba, meta: Meta) -> BlockId {
        let bytes: Bytes = match meta {
            Meta::Super => {
                let orphans = self.orphans.first().copied().unwrap_or_default();
                disk::encode_super(&Superblock { geometry: self.geometry, orphans })
            }
            Meta::Bitmap => disk::encode_bitmap_block(&self.geometry, &self.space.bitmap, lba),
            Meta::Inodes => disk::encode_inode_block(self.geometry.first_inode(lba), |ino| {
                self.node(ino).map(|node| &node.disk)
            }),
            Meta::Dir(ino, page) => {
                let names = self.node(ino).and_then(|node| node.names.get(page as usize));
                disk::encode_dir_block(ino, lba, names.map_or(&[], Vec::as_slice))
            }
            Meta::Extents(ino, nth) => match self.node(ino) {
                Some(node) => disk::encode_extent_block(ino, &node.disk, nth),
                None => return BlockId::ZERO,
            },
            Meta::Target(ino) => {
                let target = self.node(ino).map(|node| &*node.disk.target);
                disk::encode_symlink_block(ino, lba, target.unwrap_or_default())
            }
            Meta::Data => return BlockId::ZERO,
        };
        arena.put(&bytes)
    }
}
