//! Locks: one for each inode, given in the order in which they were asked for.
//!
//! Invariant: nobody waits in a circle. Of two directories the one above comes first, and while
//! names move between directories nobody else moves any; what a name stands for comes after the
//! directory of the name.

use std::collections::VecDeque;

use super::Vfs;
use crate::machine::ids::Ino;
use crate::machine::layer::Cx;

/// The lock of an inode.
#[derive(Clone, Debug, Default)]
pub(super) struct Lock {
    taken: bool,
    waiting: VecDeque<u32>,
}

/// The most inodes that a call names: the lock of all renames, two directories, and what two
/// names stand for.
const MOST: usize = 5;

/// A few inodes, each once, in the order in which they came.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Few {
    list: [Ino; MOST],
    len: usize,
}

impl Few {
    pub(super) fn all(&self) -> &[Ino] {
        &self.list[..self.len]
    }

    /// One more, unless it is there.
    pub(super) fn add(&mut self, ino: Ino) -> bool {
        let new = !self.all().contains(&ino) && self.len < MOST;
        if new {
            self.list[self.len] = ino;
            self.len += 1;
        }
        new
    }
}

impl Vfs {
    /// Takes the locks that a call has named and has not got; goes on with it when it has all.
    pub(super) fn acquire(&mut self, cx: &mut Cx, slot: u32) {
        loop {
            let call = &mut self.calls[slot];
            let Some(ino) = call.locks.all().get(call.held).copied() else { break };
            let lock = self.inodes.lock(ino);
            if lock.taken {
                lock.waiting.push_back(slot);
                return;
            }
            lock.taken = true;
            call.held += 1;
        }
        self.calls[slot].round += 1;
        let next = self.locked(cx, slot);
        self.go(cx, slot, next);
    }

    /// Gives all locks of a call back; who waited longest for one has it now.
    /// An inode that lost its last name meanwhile is gone when nobody else wants it.
    pub(super) fn release(&mut self, cx: &mut Cx, slot: u32) {
        let call = &mut self.calls[slot];
        let (locks, held) = (std::mem::take(&mut call.locks), std::mem::take(&mut call.held));
        call.round = 0;
        for (at, ino) in locks.all().iter().enumerate() {
            let lock = self.inodes.lock(*ino);
            if at < held {
                match lock.waiting.pop_front() {
                    Some(next) => {
                        self.calls[next].held += 1;
                        self.ready.push_back(next);
                    }
                    None => lock.taken = false,
                }
            }
            self.unpin(cx, *ino);
        }
    }

    /// A call needs one more lock, unless it has named it already. Its inode stays for as long.
    pub(super) fn want(&mut self, slot: u32, ino: Ino) {
        if self.calls[slot].locks.add(ino)
            && let Some(inode) = self.inodes.get_mut(ino)
        {
            inode.refs += 1;
        }
    }
}
