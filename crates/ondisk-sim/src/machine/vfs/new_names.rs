//! Names that come: files, directories, symbolic links, hard links.
//!
//! Invariant: a name comes into a directory whose lock the call holds, after it was looked up
//! there once more; the inode and its name are shown when the file system has both.

use super::Vfs;
use super::call::{Job, New, Next};
use super::inode::Inode;
use super::path::Follow;
use crate::machine::Errno;
use crate::machine::ids::Ino;
use crate::machine::layer::Cx;
use crate::machine::message::{FsReq, Kind, Msg, Reply};

/// The longest target of a symbolic link.
const TARGET_MAX: usize = crate::machine::ext4::disk::LONGEST_TARGET;

impl Vfs {
    /// `mkdir`, `symlink`.
    pub(super) fn make(
        &mut self,
        cx: &mut Cx,
        slot: u32,
        path: &[u8],
        mode: u16,
        what: New,
    ) -> Result<Next, Errno> {
        if let New::Symlink(target) = &what {
            match target.len() {
                0 => return Err(Errno::Noent),
                len if len > TARGET_MAX => return Err(Errno::Nametoolong),
                _ => {}
            }
        }
        let spot = self.spot(cx, self.calls[slot].op, path, Errno::Exist)?;
        match spot.ino {
            Some(_) => return Err(Errno::Exist),
            None if spot.slash && !matches!(what, New::Dir) => return Err(Errno::Noent),
            None => {}
        }
        self.calls[slot].job = Job::Make { dir: spot.dir, name: spot.name, mode, what };
        self.want(slot, spot.dir);
        Ok(Next::Lock)
    }

    /// The directory is locked.
    pub(super) fn locked_make(&mut self, cx: &mut Cx, slot: u32) -> Result<Next, Errno> {
        let call = &self.calls[slot];
        let Job::Make { dir, name, mode, what } = &call.job else { return Err(Errno::Io) };
        let (op, task, dir) = (call.op, call.task, *dir);
        if self.inodes.lookup(dir, name).is_some() {
            return match what.clone() {
                // Somebody else made it meanwhile.
                New::File(how, path) if !how.excl => {
                    let mode = *mode;
                    self.release(cx, slot);
                    self.open(cx, slot, path, how, mode)
                }
                _ => Err(Errno::Exist),
            };
        }
        self.may_change(dir)?;
        let (kind, target) = match what {
            New::File(..) => (Kind::File, Box::default()),
            New::Dir => (Kind::Dir, Box::default()),
            New::Symlink(target) => (Kind::Symlink, target.clone()),
        };
        let (name, mode) = (name.clone(), *mode & 0o7777);
        cx.send(Msg::Fs(FsReq::Create { op, task, dir, name, kind, mode, target }));
        Ok(Next::Wait)
    }

    /// It is there.
    pub(super) fn made(&mut self, cx: &mut Cx, slot: u32, ino: Ino) -> Next {
        let job = std::mem::replace(&mut self.calls[slot].job, Job::None);
        let Job::Make { dir, name, mode, what } = job else { return Next::Done(Reply::Ok) };
        let mode = mode & 0o7777;
        let kind = match &what {
            New::File(..) => Kind::File,
            New::Dir => Kind::Dir,
            New::Symlink(_) => Kind::Symlink,
        };
        let mut inode = Inode::new(kind, mode);
        inode.parent = dir;
        if let New::Symlink(target) = &what {
            (inode.size, inode.target) = (target.len() as u64, target.clone());
        }
        let above = self.inodes.get(dir).and_then(|inode| inode.known_as);
        if let (Some(above), Some(history)) = (above, &mut cx.history) {
            inode.known_as = Some(match &what {
                New::File(..) => history.create(above, &name),
                New::Dir => history.mkdir(above, &name),
                New::Symlink(target) => history.symlink(above, &name, target),
            });
        }
        if let Some(above) = self.inodes.get_mut(dir) {
            above.entries.insert(name, ino);
            above.links += u32::from(inode.is_dir());
        }
        self.inodes.insert(ino, inode);
        match what {
            New::File(how, path) => self.opened(cx, slot, ino, how, path),
            New::Dir | New::Symlink(_) => Next::Done(Reply::Ok),
        }
    }

    /// `link`.
    pub(super) fn link(
        &mut self,
        cx: &mut Cx,
        slot: u32,
        from: &[u8],
        to: &[u8],
    ) -> Result<Next, Errno> {
        let op = self.calls[slot].op;
        let ino = self.walk(cx, op, from, Follow::No)?.ino.ok_or(Errno::Noent)?;
        let spot = self.spot(cx, op, to, Errno::Exist)?;
        match spot.ino {
            Some(_) => return Err(Errno::Exist),
            None if spot.slash => return Err(Errno::Noent),
            None => {}
        }
        self.pin(slot, ino);
        self.calls[slot].job = Job::Link { ino, dir: spot.dir, name: spot.name };
        self.want(slot, spot.dir);
        Ok(Next::Lock)
    }

    /// First the directory is locked, then the inode.
    pub(super) fn locked_link(&mut self, cx: &mut Cx, slot: u32) -> Result<Next, Errno> {
        let call = &self.calls[slot];
        let Job::Link { ino, dir, name } = &call.job else { return Err(Errno::Io) };
        let (op, task, ino, dir) = (call.op, call.task, *ino, *dir);
        if call.round == 1 {
            if self.inodes.lookup(dir, name).is_some() {
                return Err(Errno::Exist);
            }
            self.may_change(dir)?;
            if self.inodes.find(ino)?.is_dir() {
                return Err(Errno::Perm);
            }
            self.want(slot, ino);
            return Ok(Next::Lock);
        }
        if self.inodes.find(ino)?.links == 0 {
            return Err(Errno::Noent);
        }
        cx.send(Msg::Fs(FsReq::Link { op, task, dir, name: name.clone(), ino }));
        Ok(Next::Wait)
    }

    /// The name is there.
    pub(super) fn linked(&mut self, cx: &mut Cx, slot: u32) -> Next {
        let job = std::mem::replace(&mut self.calls[slot].job, Job::None);
        let Job::Link { ino, dir, name } = job else { return Next::Done(Reply::Ok) };
        let above = self.inodes.get(dir).and_then(|inode| inode.known_as);
        if let Some(inode) = self.inodes.get_mut(ino) {
            inode.links += 1;
            if let (Some(above), Some(known_as), Some(history)) =
                (above, inode.known_as, &mut cx.history)
            {
                history.link(known_as, above, &name);
            }
        }
        if let Some(above) = self.inodes.get_mut(dir) {
            above.entries.insert(name, ino);
        }
        Next::Done(Reply::Ok)
    }
}
