//! Names that go, and mode bits.
//!
//! Invariant: a name goes while the call holds the lock of its directory and of what it stands
//! for; an inode whose last name went is an orphan until nobody holds it.

use super::Vfs;
use super::call::{Job, Next};
use crate::machine::Errno;
use crate::machine::ids::Ino;
use crate::machine::layer::Cx;
use crate::machine::message::{FsReq, Msg, Reply};

impl Vfs {
    /// `unlink`, `rmdir`.
    pub(super) fn remove(
        &mut self,
        cx: &mut Cx,
        slot: u32,
        path: &[u8],
        rmdir: bool,
    ) -> Result<Next, Errno> {
        let otherwise = match (rmdir, path.ends_with(b"..")) {
            (false, _) => Errno::Isdir,
            (true, true) => Errno::Notempty,
            (true, false) if path.ends_with(b".") => Errno::Inval,
            (true, false) => Errno::Busy,
        };
        let spot = self.spot(cx, self.calls[slot].op, path, otherwise)?;
        let ino = spot.ino.ok_or(Errno::Noent)?;
        self.calls[slot].job = Job::Remove { dir: spot.dir, name: spot.name, ino, rmdir };
        self.want(slot, spot.dir);
        Ok(Next::Lock)
    }

    /// First the directory is locked, then what the name stands for.
    pub(super) fn locked_remove(&mut self, cx: &mut Cx, slot: u32) -> Result<Next, Errno> {
        let call = &mut self.calls[slot];
        let (op, task, round) = (call.op, call.task, call.round);
        let Job::Remove { dir, name, ino, rmdir } = &mut call.job else { return Err(Errno::Io) };
        let (dir, rmdir) = (*dir, *rmdir);
        if round == 1 {
            *ino = self.inodes.lookup(dir, name).ok_or(Errno::Noent)?;
            let ino = *ino;
            self.may_change(dir)?;
            match (rmdir, self.inodes.find(ino)?.is_dir()) {
                (true, false) => return Err(Errno::Notdir),
                (false, true) => return Err(Errno::Isdir),
                _ => {}
            }
            self.want(slot, ino);
            return Ok(Next::Lock);
        }
        let (ino, name) = (*ino, name.clone());
        if !self.inodes.find(ino)?.entries.is_empty() {
            return Err(Errno::Notempty);
        }
        cx.send(Msg::Fs(FsReq::Unlink { op, task, dir, name, ino, open: true }));
        Ok(Next::Wait)
    }

    /// The name is gone.
    pub(super) fn removed(&mut self, cx: &mut Cx, slot: u32) -> Next {
        let job = std::mem::replace(&mut self.calls[slot].job, Job::None);
        let Job::Remove { dir, name, ino, rmdir } = job else { return Next::Done(Reply::Ok) };
        let above = self.inodes.get(dir).and_then(|inode| inode.known_as);
        if let (Some(above), Some(history)) = (above, &mut cx.history) {
            match rmdir {
                true => history.rmdir(above, &name),
                false => history.unlink(above, &name),
            }
        }
        if let Some(above) = self.inodes.get_mut(dir) {
            above.entries.remove(&name);
        }
        self.lost_name(dir, ino);
        Next::Done(Reply::Ok)
    }

    /// An inode lost a name in a directory.
    pub(super) fn lost_name(&mut self, dir: Ino, ino: Ino) {
        let Some(inode) = self.inodes.get_mut(ino) else { return };
        let is_dir = inode.is_dir();
        inode.links = if is_dir { 0 } else { inode.links.saturating_sub(1) };
        if let Some(above) = self.inodes.get_mut(dir).filter(|_| is_dir) {
            above.links -= 1;
        }
    }

    /// `chmod`.
    pub(super) fn chmod(
        &mut self,
        cx: &mut Cx,
        slot: u32,
        path: &[u8],
        mode: u16,
    ) -> Result<Next, Errno> {
        let ino = self.resolve(cx, self.calls[slot].op, path)?;
        self.pin(slot, ino);
        self.calls[slot].job = Job::Chmod { ino, mode: mode & 0o7777 };
        self.want(slot, ino);
        Ok(Next::Lock)
    }

    /// The mode bits are others.
    pub(super) fn chmodded(&mut self, cx: &mut Cx, ino: Ino, mode: u16) -> Next {
        if let Some(inode) = self.inodes.get_mut(ino) {
            inode.mode = mode;
            if let (Some(known_as), Some(history)) = (inode.known_as, &mut cx.history) {
                history.chmod(known_as, u32::from(mode));
            }
        }
        Next::Done(Reply::Ok)
    }
}
