//! Descriptors and open-file descriptions: open, close, and what a process leaves when it dies.
//!
//! Invariant: a description lives as long as a descriptor or a call has it, and holds its inode
//! for so long.

use super::Vfs;
use super::call::{Job, New, Next};
use super::inode::Inode;
use super::path::{Follow, READ, SEARCH, WRITE};
use crate::machine::Errno;
use crate::machine::ids::{Fd, Ino, TaskId};
use crate::machine::layer::Cx;
use crate::machine::message::{Msg, Open, PagesReq, Reply, Sync};

/// The first descriptor of a task that is not its terminal.
const FIRST_FD: usize = 3;
/// How many descriptors a task may have (`RLIMIT_NOFILE`).
const MOST_FDS: usize = 1024;

/// An open-file description.
#[derive(Clone, Debug)]
pub(super) struct Description {
    pub(super) ino: Ino,
    pub(super) read: bool,
    pub(super) write: bool,
    pub(super) append: bool,
    /// How each write is synced.
    pub(super) sync: Option<Sync>,
    /// Where the next read or write without an offset goes.
    pub(super) at: u64,
    /// How many failed write-backs of the inode it was told of.
    pub(super) told: u32,
    /// By which path it was opened.
    pub(super) path: Box<[u8]>,
    /// How many descriptors and calls have it.
    refs: u32,
}

impl Vfs {
    /// `openat`: finds the file, or a place for it.
    pub(super) fn open(
        &mut self,
        cx: &mut Cx,
        slot: u32,
        path: Box<[u8]>,
        how: Open,
        mode: u16,
    ) -> Result<Next, Errno> {
        let op = self.calls[slot].op;
        let excl = how.create && how.excl;
        let follow = if excl { Follow::No } else { Follow::Yes };
        let found = self.walk(cx, op, &path, follow)?;
        match found.ino {
            Some(_) if excl => Err(Errno::Exist),
            Some(ino) => self.open_found(cx, slot, ino, how, path),
            None if !how.create => Err(Errno::Noent),
            None if found.slash => Err(Errno::Isdir),
            None if how.directory => Err(Errno::Inval),
            None => {
                let name = self.name(&found).ok_or(Errno::Isdir)?;
                let what = New::File(how, path);
                self.calls[slot].job = Job::Make { dir: found.dir, name, mode, what };
                self.want(slot, found.dir);
                Ok(Next::Lock)
            }
        }
    }

    /// Opens what is there.
    fn open_found(
        &mut self,
        cx: &mut Cx,
        slot: u32,
        ino: Ino,
        how: Open,
        path: Box<[u8]>,
    ) -> Result<Next, Errno> {
        let inode = self.inodes.find(ino)?;
        let bits = (if how.read || !how.write { READ } else { 0 })
            | (if how.write || how.trunc { WRITE } else { 0 });
        match inode.is_dir() {
            true if how.write || how.create || how.trunc => return Err(Errno::Isdir),
            false if how.directory => return Err(Errno::Notdir),
            _ if !inode.may(bits) => return Err(Errno::Acces),
            _ => {}
        }
        if how.trunc {
            self.pin(slot, ino);
            self.calls[slot].job = Job::Truncate { ino, how, path };
            self.want(slot, ino);
            return Ok(Next::Lock);
        }
        Ok(self.opened(cx, slot, ino, how, path))
    }

    /// A file is there and may be opened: here is its description.
    pub(super) fn opened(
        &mut self,
        cx: &mut Cx,
        slot: u32,
        ino: Ino,
        how: Open,
        path: Box<[u8]>,
    ) -> Next {
        self.know(cx, ino);
        let sync = match (how.sync, how.dsync) {
            (true, _) => Some(Sync::All),
            (false, true) => Some(Sync::Data),
            (false, false) => None,
        };
        let told = self.inodes.get(ino).map_or(0, Inode::told);
        let file = self.files.insert(Description {
            ino,
            read: how.read || !how.write,
            write: how.write,
            append: how.append,
            sync,
            at: 0,
            told,
            path,
            refs: 1,
        });
        if let Some(inode) = self.inodes.get_mut(ino) {
            inode.refs += 1;
        }
        self.calls[slot].opened = Some(file);
        Next::Done(Reply::Ok)
    }

    /// Tells the page cache of a file that it does not know.
    pub(super) fn know(&mut self, cx: &mut Cx, ino: Ino) {
        let Some(inode) = self.inodes.get_mut(ino) else { return };
        if !inode.known && !inode.is_dir() {
            inode.known = true;
            cx.send(Msg::Pages(PagesReq::Know { ino, size: inode.size }));
        }
    }

    /// The lowest free descriptor of a task for a description.
    pub(super) fn install(&mut self, task: TaskId, file: u32) -> Result<Fd, Errno> {
        if self.tasks.len() <= task.index() {
            self.tasks.resize_with(task.index() + 1, Vec::new);
        }
        let fds = &mut self.tasks[task.index()];
        let free = fds.iter().skip(FIRST_FD).position(Option::is_none);
        let fd = free.map_or(fds.len().max(FIRST_FD), |at| at + FIRST_FD);
        if fd >= MOST_FDS {
            return Err(Errno::Mfile);
        }
        fds.resize(fds.len().max(fd + 1), None);
        fds[fd] = Some(file);
        Ok(Fd(u32::try_from(fd).unwrap_or(u32::MAX)))
    }

    /// The description behind a descriptor, which the call holds from here on.
    pub(super) fn file(&mut self, slot: u32, fd: Fd) -> Result<&mut Description, Errno> {
        let fds = self.tasks.get(self.calls[slot].task.index()).ok_or(Errno::Badf)?;
        let file = fds.get(fd.index()).copied().flatten().ok_or(Errno::Badf)?;
        let description = &mut self.files[file];
        description.refs += 1;
        self.calls[slot].file = Some(file);
        Ok(description)
    }

    /// A descriptor or a call lets go of a description.
    pub(super) fn drop_file(&mut self, cx: &mut Cx, file: u32) {
        let description = &mut self.files[file];
        description.refs -= 1;
        if description.refs > 0 {
            return;
        }
        let Some(Description { ino, .. }) = self.files.remove(file) else { return };
        let starts = self.rules.close_starts;
        if let Some(inode) = self.inodes.get_mut(ino)
            && std::mem::take(&mut inode.emptied)
            && starts
        {
            cx.send(Msg::Pages(PagesReq::Start { ino }));
        }
        self.unpin(cx, ino);
    }

    /// `close`.
    pub(super) fn close(&mut self, cx: &mut Cx, slot: u32, fd: Fd) -> Result<Next, Errno> {
        let fds = self.tasks.get_mut(self.calls[slot].task.index()).ok_or(Errno::Badf)?;
        let file = fds.get_mut(fd.index()).and_then(Option::take).ok_or(Errno::Badf)?;
        let Description { ino, write, .. } = self.files[file];
        if !self.rules.close_syncs || !write {
            self.drop_file(cx, file);
            return Ok(Next::Done(Reply::Ok));
        }
        // Who opens it elsewhere, from here on, finds what was written (close to open).
        let call = &mut self.calls[slot];
        (call.job, call.file) = (Job::Sync, Some(file));
        let (op, task, kind, fail) = (call.op, call.task, Sync::All, None);
        cx.send(Msg::Pages(PagesReq::Fsync { op, task, ino, kind, fail }));
        Ok(Next::Wait)
    }

    /// A process dies: its descriptors are closed, and its calls return to nobody.
    pub(super) fn exit(&mut self, cx: &mut Cx, task: TaskId) {
        for call in self.calls.iter_mut().filter(|call| call.task == task) {
            call.dead = true;
        }
        let fds = self.tasks.get_mut(task.index()).map(std::mem::take).unwrap_or_default();
        for file in fds.into_iter().flatten() {
            let Description { ino, write, .. } = self.files[file];
            if self.rules.close_syncs && write {
                cx.send(Msg::Pages(PagesReq::Start { ino }));
            }
            self.drop_file(cx, file);
        }
    }

    /// A call works with an inode: it stays, whatever becomes of its names.
    pub(super) fn pin(&mut self, slot: u32, ino: Ino) {
        if let Some(inode) = self.inodes.get_mut(ino)
            && self.calls[slot].pinned.add(ino)
        {
            inode.refs += 1;
        }
    }

    /// The opposite, for calls and descriptions.
    pub(super) fn unpin(&mut self, cx: &mut Cx, ino: Ino) {
        if let Some(inode) = self.inodes.get_mut(ino) {
            inode.refs -= 1;
            self.forget(cx, ino);
        }
    }

    /// Forgets an inode that has no name and that nobody holds: its blocks are free.
    pub(super) fn forget(&mut self, cx: &mut Cx, ino: Ino) {
        if self.inodes.get(ino).is_some_and(Inode::is_gone) {
            self.inodes.remove(ino);
            cx.send(Msg::Pages(PagesReq::Drop { ino }));
        }
    }

    // What is asked of an inode alone.

    /// `stat`.
    pub(super) fn stat(&mut self, cx: &mut Cx, slot: u32, path: &[u8]) -> Result<Next, Errno> {
        let ino = self.resolve(cx, self.calls[slot].op, path)?;
        self.seen(cx, ino)
    }

    /// `fstat`.
    pub(super) fn fstat(&mut self, cx: &mut Cx, slot: u32, fd: Fd) -> Result<Next, Errno> {
        let ino = self.file(slot, fd)?.ino;
        self.seen(cx, ino)
    }

    fn seen(&mut self, cx: &mut Cx, ino: Ino) -> Result<Next, Errno> {
        let stat = self.inodes.find(ino)?.stat(ino);
        cx.send(Msg::Fs(crate::machine::message::FsReq::Seen { ino }));
        Ok(Next::Done(Reply::Stat(stat)))
    }

    /// The names in a directory.
    pub(super) fn list(&mut self, cx: &mut Cx, slot: u32, path: &[u8]) -> Result<Next, Errno> {
        let ino = self.resolve(cx, self.calls[slot].op, path)?;
        let dir = self.inodes.find(ino)?;
        match dir.is_dir() {
            false => return Err(Errno::Notdir),
            true if !dir.may(READ) => return Err(Errno::Acces),
            true => {}
        }
        let names = dir
            .entries
            .iter()
            .filter_map(|(name, ino)| Some((name.clone(), self.inodes.get(*ino)?.stat(*ino))));
        Ok(Next::Done(Reply::Names(names.collect())))
    }

    /// Whether names in a directory may be changed.
    pub(super) fn may_change(&self, dir: Ino) -> Result<(), Errno> {
        match self.inodes.live_dir(dir)?.may(WRITE | SEARCH) {
            true => Ok(()),
            false => Err(Errno::Acces),
        }
    }
}
