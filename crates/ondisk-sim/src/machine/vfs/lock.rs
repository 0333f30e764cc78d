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

impl Lock {
    pub(super) fn is_free(&self) -> bool {
        !self.taken
    }
}

impl Vfs {
    /// Takes the locks that a call has named and has not got; goes on with it when it has all.
    pub(super) fn acquire(&mut self, cx: &mut Cx, slot: u32) {
        loop {
            let call = &mut self.calls[slot];
            let Some(ino) = call.locks.get(call.held).copied() else { break };
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
        let (mut locks, held) = (std::mem::take(&mut call.locks), std::mem::take(&mut call.held));
        call.round = 0;
        for ino in locks.drain(..).take(held) {
            let lock = self.inodes.lock(ino);
            match lock.waiting.pop_front() {
                Some(next) => {
                    self.calls[next].held += 1;
                    self.ready.push_back(next);
                }
                None => {
                    lock.taken = false;
                    self.forget(cx, ino);
                }
            }
        }
        self.calls[slot].locks = locks;
    }

    /// A call needs one more lock, unless it has named it already.
    pub(super) fn want(&mut self, slot: u32, ino: Ino) {
        let call = &mut self.calls[slot];
        if !call.locks.contains(&ino) {
            call.locks.push(ino);
        }
    }
}
