//! Names: created, linked, unlinked, renamed.
//!
//! Invariant: each is one handle, so that its changes are there together or not at all. That
//! names may be so was decided above.

use super::answer::{To, answer};
use super::disk::{self, DirEntry, Extent, Inode, dir_fits};
use super::node::Node;
use super::txn::Meta;
use super::{Ext4, extents};
use crate::machine::Errno;
use crate::machine::event::HandleFor;
use crate::machine::ids::{Ino, Lba, OpId, Tid};
use crate::machine::layer::Cx;
use crate::machine::message::{Done, FsReq, Kind, Msg, VfsDone};

impl Ext4 {
    pub(super) fn create(&mut self, cx: &mut Cx, req: FsReq) {
        let FsReq::Create { op, dir, name, kind, mode, target, .. } = req else { return };
        let result = self.new_inode(cx, op, (dir, name), kind, mode, target);
        cx.send(Msg::VfsDone(VfsDone { op, result: result.map(Done::Ino) }));
    }

    fn new_inode(
        &mut self,
        cx: &mut Cx,
        op: OpId,
        (dir, name): (Ino, Box<[u8]>),
        kind: Kind,
        mode: u16,
        target: Box<[u8]>,
    ) -> Result<Ino, Errno> {
        self.writable()?;
        let ino = self.free_ino().ok_or(Errno::Nospc)?;
        let long = target.len() > disk::INLINE_TARGET;
        self.entry_fits(dir, &name, u32::from(long))?;
        let tid = self.handle(cx, op, HandleFor::Create, ino);
        self.touch_inode(cx, ino);
        let mut inode = Inode::new(kind, mode);
        inode.links = if kind == Kind::Dir { 2 } else { 1 };
        inode.size = target.len() as u64;
        inode.mtime = self.clock(cx);
        inode.target = target;
        let mut node = Node::new(inode, Vec::new());
        (node.sync_tid, node.data_tid) = (tid, tid);
        self.put_node(ino, node);
        if long {
            self.place_target(cx, ino);
        }
        if kind == Kind::Dir {
            self.change_links(cx, dir, 1);
        }
        self.add_entry(cx, dir, DirEntry { ino, kind, name });
        Ok(ino)
    }

    /// The lowest free inode number.
    fn free_ino(&mut self) -> Option<Ino> {
        let mut ino = self.lowest;
        while self.node(ino).is_some() {
            ino.0 += 1;
        }
        self.lowest = ino;
        (ino.0 <= self.geometry.inodes).then_some(ino)
    }

    fn put_node(&mut self, ino: Ino, node: Node) {
        if self.inodes.len() <= ino.index() {
            self.inodes.resize_with(ino.index() + 1, || None);
        }
        self.inodes[ino.index()] = Some(node);
    }

    fn place_target(&mut self, cx: &mut Cx, ino: Ino) {
        let Some(lba) = self.give_meta(cx) else { return };
        self.touch(cx, lba, Meta::Target(ino));
        if let Some(node) = self.node_mut(ino) {
            node.disk.extents.push(Extent { page: 0, count: 1, lba, unwritten: false });
        }
    }

    pub(super) fn link(&mut self, cx: &mut Cx, op: OpId, dir: Ino, name: Box<[u8]>, ino: Ino) {
        let result = self.writable().and_then(|()| self.entry_fits(dir, &name, 0)).map(|()| {
            let tid = self.handle(cx, op, HandleFor::Link, ino);
            let kind = self.node(ino).map_or(Kind::File, |node| node.disk.kind);
            self.change_links(cx, ino, 1);
            self.changed(ino, tid);
            self.add_entry(cx, dir, DirEntry { ino, kind, name });
        });
        answer(cx, To::Vfs, op, result);
    }

    pub(super) fn unlink(
        &mut self,
        cx: &mut Cx,
        op: OpId,
        dir: Ino,
        name: &[u8],
        ino: Ino,
        open: bool,
    ) {
        let result = self.writable().map(|()| {
            let tid = self.handle(cx, op, HandleFor::Unlink, ino);
            self.drop_entry(cx, dir, name);
            self.lose_name(cx, op, dir, ino, tid, open);
        });
        answer(cx, To::Vfs, op, result);
    }

    /// An inode has a name less. With its last it is freed, or becomes an orphan.
    fn lose_name(&mut self, cx: &mut Cx, op: OpId, dir: Ino, ino: Ino, tid: Tid, open: bool) {
        let Some(kind) = self.node(ino).map(|node| node.disk.kind) else { return };
        if kind == Kind::Dir {
            self.change_links(cx, dir, -1);
            self.change_links(cx, ino, -2);
        } else {
            self.change_links(cx, ino, -1);
        }
        self.changed(ino, tid);
        let is_last = self.node(ino).is_some_and(|node| node.disk.links == 0);
        if is_last && open {
            self.add_orphan(cx, ino);
        } else if is_last {
            self.free_inode(cx, op, ino);
        }
    }

    pub(super) fn rename(&mut self, cx: &mut Cx, req: FsReq) {
        let FsReq::Rename { op, from, to, ino, replaced, .. } = req else { return };
        let fits = match replaced {
            Some(_) => Ok(()),
            None => self.entry_fits(to.0, &to.1, 0),
        };
        let result = self.writable().and(fits).map(|()| {
            let tid = self.handle(cx, op, HandleFor::Rename, ino);
            let kind = self.node(ino).map_or(Kind::File, |node| node.disk.kind);
            match replaced {
                Some((old, open)) => {
                    self.set_entry(cx, to.0, &to.1, ino, kind);
                    self.lose_name(cx, op, to.0, old, tid, open);
                }
                None => self.add_entry(cx, to.0, DirEntry { ino, kind, name: to.1 }),
            }
            self.drop_entry(cx, from.0, &from.1);
            if kind == Kind::Dir && from.0 != to.0 {
                self.change_links(cx, from.0, -1);
                self.change_links(cx, to.0, 1);
            }
            self.touch_inode(cx, ino);
            self.changed(ino, tid);
        });
        answer(cx, To::Vfs, op, result);
    }

    /// Two names change places.
    pub(super) fn exchange(
        &mut self,
        cx: &mut Cx,
        op: OpId,
        a: &(Ino, Box<[u8]>, Ino),
        b: &(Ino, Box<[u8]>, Ino),
    ) {
        let result = self.writable().map(|()| {
            let tid = self.handle(cx, op, HandleFor::Rename, a.2);
            let kind_of = |fs: &Self, ino| fs.node(ino).map_or(Kind::File, |node| node.disk.kind);
            let kinds = (kind_of(self, a.2), kind_of(self, b.2));
            self.set_entry(cx, a.0, &a.1, b.2, kinds.1);
            self.set_entry(cx, b.0, &b.1, a.2, kinds.0);
            if a.0 != b.0 && kinds.0 != kinds.1 {
                let moved = |kind| i32::from(kind == Kind::Dir);
                self.change_links(cx, a.0, moved(kinds.1) - moved(kinds.0));
                self.change_links(cx, b.0, moved(kinds.0) - moved(kinds.1));
            }
            for ino in [a.2, b.2] {
                self.touch_inode(cx, ino);
                self.changed(ino, tid);
            }
        });
        answer(cx, To::Vfs, op, result);
    }

    pub(super) fn chmod(&mut self, cx: &mut Cx, op: OpId, ino: Ino, mode: u16) {
        let result = self.writable().map(|()| {
            let tid = self.handle(cx, op, HandleFor::Attributes, ino);
            self.touch_inode(cx, ino);
            if let Some(node) = self.node_mut(ino) {
                node.disk.mode = mode;
            }
            self.changed(ino, tid);
        });
        answer(cx, To::Vfs, op, result);
    }

    /// Whether anything may be changed.
    pub(super) const fn writable(&self) -> Result<(), Errno> {
        if self.journal.aborted { Err(Errno::Rofs) } else { Ok(()) }
    }

    /// An inode changed in a transaction, but nothing that is needed to read its data.
    pub(super) fn changed(&mut self, ino: Ino, tid: Tid) {
        if let Some(node) = self.node_mut(ino) {
            node.sync_tid = tid;
        }
    }

    fn change_links(&mut self, cx: &mut Cx, ino: Ino, by: i32) {
        self.touch_inode(cx, ino);
        if let Some(node) = self.node_mut(ino) {
            node.disk.links = node.disk.links.saturating_add_signed(by);
        }
    }

    // Entries of directories.

    /// Whether there is room for a name and some blocks more.
    fn entry_fits(&self, dir: Ino, name: &[u8], blocks: u32) -> Result<(), Errno> {
        let Some(node) = self.node(dir) else { return Err(Errno::Noent) };
        let is_room = node.names.iter().any(|entries| dir_fits(entries, name));
        // A block of the directory, and one for its extents.
        let needed = blocks + if is_room { 0 } else { 2 };
        if needed > self.space.spare() { Err(Errno::Nospc) } else { Ok(()) }
    }

    /// The directory's times and perhaps its length change, and one of its blocks.
    fn touch_entry(&mut self, cx: &mut Cx, dir: Ino, page: u32) {
        self.touch_inode(cx, dir);
        let lba = self
            .node(dir)
            .and_then(|node| node.extent(page))
            .map(|extent| Lba(extent.lba.0 + (page - extent.page)));
        if let Some(lba) = lba {
            self.touch(cx, lba, Meta::Dir(dir, page));
        }
        let now = self.clock(cx);
        if let Some(node) = self.node_mut(dir) {
            node.disk.mtime = node.disk.mtime.max(now);
        }
    }

    fn add_entry(&mut self, cx: &mut Cx, dir: Ino, entry: DirEntry) {
        let Some(node) = self.node(dir) else { return };
        let at = node.names.iter().position(|entries| dir_fits(entries, &entry.name));
        let at = at.unwrap_or(node.names.len());
        let page = u32::try_from(at).unwrap_or(u32::MAX);
        if at == node.names.len() && !self.grow_dir(cx, dir, page) {
            return;
        }
        self.touch_entry(cx, dir, page);
        if let Some(entries) = self.node_mut(dir).and_then(|node| node.names.get_mut(at)) {
            entries.push(entry);
        }
    }

    fn grow_dir(&mut self, cx: &mut Cx, dir: Ino, page: u32) -> bool {
        self.touch_extents(cx, dir);
        let Some(lba) = self.give_meta(cx) else { return false };
        self.touch(cx, lba, Meta::Dir(dir, page));
        if let Some(node) = self.node_mut(dir) {
            extents::insert(
                &mut node.disk.extents,
                Extent { page, count: 1, lba, unwritten: false },
            );
            node.names.push(Vec::new());
            node.disk.size += ondisk_fs::BLOCK as u64;
        }
        self.fit_extents(cx, dir);
        true
    }

    fn find_entry(&self, dir: Ino, name: &[u8]) -> Option<(u32, usize)> {
        let blocks = self.node(dir)?.names.iter().zip(0..);
        let mut found = blocks.filter_map(|(entries, page)| {
            Some((page, entries.iter().position(|entry| *entry.name == *name)?))
        });
        found.next()
    }

    fn drop_entry(&mut self, cx: &mut Cx, dir: Ino, name: &[u8]) {
        let Some((page, at)) = self.find_entry(dir, name) else { return };
        self.touch_entry(cx, dir, page);
        if let Some(entries) = self.node_mut(dir).and_then(|n| n.names.get_mut(page as usize)) {
            entries.remove(at);
        }
    }

    fn set_entry(&mut self, cx: &mut Cx, dir: Ino, name: &[u8], ino: Ino, kind: Kind) {
        let Some((page, at)) = self.find_entry(dir, name) else { return };
        self.touch_entry(cx, dir, page);
        if let Some(entries) = self.node_mut(dir).and_then(|n| n.names.get_mut(page as usize)) {
            (entries[at].ino, entries[at].kind) = (ino, kind);
        }
    }
}
