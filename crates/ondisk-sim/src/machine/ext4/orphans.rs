//! Orphans: inodes that have lost their last name and are still in use, in a list on the media.
//!
//! Invariant: the list on the media is the one in memory; an inode that is on it is freed by
//! the next mount if not before.

use super::Ext4;
use super::txn::Meta;
use crate::machine::ids::{Ino, Lba};
use crate::machine::layer::Cx;

impl Ext4 {
    /// Puts an inode at the head of the list. Its own block has joined.
    pub(super) fn add_orphan(&mut self, cx: &mut Cx, ino: Ino) {
        if self.orphans.contains(&ino) {
            return;
        }
        self.touch(cx, Lba(0), Meta::Super);
        let next = self.orphans.first().copied().unwrap_or_default();
        if let Some(node) = self.node_mut(ino) {
            node.disk.next_orphan = next;
        }
        self.orphans.insert(0, ino);
    }

    /// Takes an inode off the list. Its own block has joined.
    pub(super) fn drop_orphan(&mut self, cx: &mut Cx, ino: Ino) {
        let Some(at) = self.orphans.iter().position(|orphan| *orphan == ino) else { return };
        let next = self.orphans.get(at + 1).copied().unwrap_or_default();
        match at.checked_sub(1).map(|before| self.orphans[before]) {
            None => self.touch(cx, Lba(0), Meta::Super),
            Some(before) => {
                self.touch_inode(cx, before);
                if let Some(node) = self.node_mut(before) {
                    node.disk.next_orphan = next;
                }
            }
        }
        self.orphans.remove(at);
        if let Some(node) = self.node_mut(ino) {
            node.disk.next_orphan = Ino(0);
        }
    }
}
