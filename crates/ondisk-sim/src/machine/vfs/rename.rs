//! Names that move, and names that change places.
//!
//! Invariant: a directory never comes into itself; while names move between directories, no
//! other name does.

use super::call::{Job, Next, Renaming};
use super::path::WRITE;
use super::{RENAMES, Vfs};
use crate::machine::Errno;
use crate::machine::config::Sabotage::DirsLockedAsNamed;
use crate::machine::ids::Ino;
use crate::machine::layer::Cx;
use crate::machine::message::{FsReq, Msg, Reply};

impl Vfs {
    /// `rename`, `renameat2` with `RENAME_EXCHANGE`.
    pub(super) fn rename(
        &mut self,
        cx: &mut Cx,
        slot: u32,
        from: &[u8],
        to: &[u8],
        exchange: bool,
    ) -> Result<Next, Errno> {
        let op = self.calls[slot].op;
        let old = self.spot(cx, op, from, Errno::Busy)?;
        let new = self.spot(cx, op, to, Errno::Busy)?;
        let (Some(ino), there) = (old.ino, new.ino) else { return Err(Errno::Noent) };
        self.pin(slot, old.dir);
        self.pin(slot, new.dir);
        let alone = old.dir == new.dir || self.rules.sabotage == Some(DirsLockedAsNamed);
        self.want(slot, if alone { old.dir } else { RENAMES });
        self.calls[slot].job = Job::Rename(Box::new(Renaming {
            from: (old.dir, old.name),
            to: (new.dir, new.name),
            slashes: (old.slash, new.slash),
            exchange,
            ino,
            there,
        }));
        Ok(Next::Lock)
    }

    /// First the directories are locked, then what the names stand for.
    pub(super) fn locked_rename(&mut self, cx: &mut Cx, slot: u32) -> Result<Next, Errno> {
        let call = &mut self.calls[slot];
        let (op, task, round) = (call.op, call.task, call.round);
        let Job::Rename(job) = &mut call.job else { return Err(Errno::Io) };
        let (old, new) = (job.from.0, job.to.0);
        // Where both names are in one directory there is no first round for the directories.
        let round = if old == new { round + 1 } else { round };
        match round {
            1 => {
                let named = self.rules.sabotage == Some(DirsLockedAsNamed);
                let first = if named || self.comes_first(old, new) { old } else { new };
                self.want(slot, first);
                self.want(slot, if first == old { new } else { old });
                Ok(Next::Lock)
            }
            2 => {
                let ino = self.inodes.lookup(old, &job.from.1).ok_or(Errno::Noent)?;
                let there = self.inodes.lookup(new, &job.to.1);
                (job.ino, job.there) = (ino, there);
                if there == Some(ino) {
                    return Ok(Next::Done(Reply::Ok));
                }
                if let Job::Rename(job) = &self.calls[slot].job {
                    self.check_rename(job)?;
                }
                let first = there.filter(|there| *there < ino);
                for victim in [first, Some(ino), there].into_iter().flatten() {
                    self.want(slot, victim);
                }
                Ok(Next::Lock)
            }
            _ => {
                let Renaming { from, to, ino, there, exchange, .. } = (**job).clone();
                if let (true, Some(there)) = (exchange, there) {
                    let (a, b) = ((from.0, from.1, ino), (to.0, to.1, there));
                    cx.send(Msg::Fs(FsReq::Exchange { op, task, a, b }));
                    return Ok(Next::Wait);
                }
                let empty = |ino| self.inodes.get(ino).is_none_or(|it| it.entries.is_empty());
                if !there.is_none_or(empty) {
                    return Err(Errno::Notempty);
                }
                let replaced = there.map(|there| (there, true));
                cx.send(Msg::Fs(FsReq::Rename { op, task, from, to, ino, replaced }));
                Ok(Next::Wait)
            }
        }
    }

    /// Whether a directory is to be locked before another.
    fn comes_first(&self, dir: Ino, other: Ino) -> bool {
        let (above, below) = (self.inodes.is_above(dir, other), self.inodes.is_above(other, dir));
        above || !below && dir < other
    }

    /// Whether what the names stand for lets them change.
    fn check_rename(&self, job: &Renaming) -> Result<(), Errno> {
        let (old, new, exchange) = (job.from.0, job.to.0, job.exchange);
        let moved = self.inodes.find(job.ino)?;
        let there = job.there.map(|there| self.inodes.find(there)).transpose()?;
        if exchange && there.is_none() {
            return Err(Errno::Noent);
        }
        let slash = job.slashes.0 && !moved.is_dir();
        let other = if exchange { there.is_some_and(|it| !it.is_dir()) } else { !moved.is_dir() };
        if slash || job.slashes.1 && other {
            return Err(Errno::Notdir);
        }
        if moved.is_dir() && self.inodes.is_above(job.ino, new) {
            return Err(Errno::Inval);
        }
        if job.there.is_some_and(|there| self.inodes.is_above(there, old)) {
            return Err(if exchange { Errno::Inval } else { Errno::Notempty });
        }
        self.may_change(old)?;
        self.may_change(new)?;
        if let (Some(there), false) = (there, exchange) {
            match (moved.is_dir(), there.is_dir()) {
                (true, false) => return Err(Errno::Notdir),
                (false, true) => return Err(Errno::Isdir),
                _ => {}
            }
        }
        // A directory that goes elsewhere has another `..`.
        let stays = |it: &&_| !self.keeps_parent(it, old == new);
        let barred = Some(moved).iter().chain(there.filter(|_| exchange).iter()).any(stays);
        if barred { Err(Errno::Acces) } else { Ok(()) }
    }

    fn keeps_parent(&self, inode: &super::inode::Inode, same: bool) -> bool {
        same || !inode.is_dir() || inode.may(WRITE)
    }

    /// The names are others.
    pub(super) fn renamed(&mut self, cx: &mut Cx, slot: u32) -> Next {
        let job = std::mem::replace(&mut self.calls[slot].job, Job::None);
        let Job::Rename(job) = job else { return Next::Done(Reply::Ok) };
        let Renaming { from, to, ino, there, exchange, .. } = *job;
        let known_as = |ino| self.inodes.get(ino).and_then(|inode| inode.known_as);
        if let (Some(old), Some(new), Some(history)) =
            (known_as(from.0), known_as(to.0), &mut cx.history)
        {
            match exchange {
                true => history.exchange((old, &from.1), (new, &to.1)),
                false => history.rename((old, &from.1), (new, &to.1)),
            }
        }
        if let Some(old) = self.inodes.get_mut(from.0) {
            old.entries.remove(&from.1);
        }
        match there {
            Some(there) if exchange => {
                self.moved(to.0, from.0, there);
                if let Some(old) = self.inodes.get_mut(from.0) {
                    old.entries.insert(from.1, there);
                }
            }
            Some(there) => self.lost_name(to.0, there),
            None => {}
        }
        self.moved(from.0, to.0, ino);
        if let Some(new) = self.inodes.get_mut(to.0) {
            new.entries.insert(to.1, ino);
        }
        Next::Done(Reply::Ok)
    }

    /// An inode has its name in another directory now.
    fn moved(&mut self, from: Ino, to: Ino, ino: Ino) {
        let Some(inode) = self.inodes.get_mut(ino).filter(|inode| inode.is_dir()) else { return };
        inode.parent = to;
        if from != to {
            if let Some(old) = self.inodes.get_mut(from) {
                old.links -= 1;
            }
            if let Some(new) = self.inodes.get_mut(to) {
                new.links += 1;
            }
        }
    }
}
