//! Bytes, lengths and syncs of open files.
//!
//! Invariant: the length that the VFS shows changes when the layer below says that it did; a
//! failed write-back is told once to each description open at the time.

use super::Vfs;
use super::call::{Job, Next};
use crate::machine::Errno;
use crate::machine::config::Sabotage;
use crate::machine::event::{Kind, Layer};
use crate::machine::ext4::disk::LARGEST_FILE;
use crate::machine::ids::{Fd, Ino, PageVer};
use crate::machine::layer::Cx;
use crate::machine::message::{Done, Failing, FsReq, Msg, PagesReq, Reply, Sync};
use crate::ops::SyncKind;
use crate::ops::record::Synced;

/// The bytes of a page.
const PAGE: u64 = ondisk_fs::BLOCK as u64;

impl Vfs {
    /// `read`, `pread`.
    pub(super) fn read(
        &mut self,
        cx: &mut Cx,
        slot: u32,
        fd: Fd,
        at: Option<u64>,
        len: u64,
    ) -> Result<Next, Errno> {
        let file = self.file(slot, fd)?;
        let (ino, from, read) = (file.ino, at.unwrap_or(file.at), file.read);
        match read {
            false => return Err(Errno::Badf),
            true if self.inodes.find(ino)?.is_dir() => return Err(Errno::Isdir),
            true => {}
        }
        let call = &mut self.calls[slot];
        (call.job, call.moves) = (Job::Read, at.is_none());
        let (op, task) = (call.op, call.task);
        cx.send(Msg::Pages(PagesReq::Read { op, task, ino, at: from, len }));
        Ok(Next::Wait)
    }

    /// `write`, `pwrite`.
    pub(super) fn write(
        &mut self,
        cx: &mut Cx,
        slot: u32,
        fd: Fd,
        (at, bytes, sync): (Option<u64>, Vec<u8>, Option<Sync>),
    ) -> Result<Next, Errno> {
        let file = self.file(slot, fd)?;
        if !file.write {
            return Err(Errno::Badf);
        }
        let (ino, sync) = (file.ino, sync.max(file.sync));
        if bytes.is_empty() {
            return Ok(Next::Done(Reply::Count(0)));
        }
        if let Some(errno) = self.strike(cx, slot, Failing::Write) {
            return Err(errno);
        }
        let count = bytes.len() as u64;
        self.calls[slot].job = Job::Write { at, bytes, sync, count };
        self.want(slot, ino);
        Ok(Next::Lock)
    }

    /// `lseek`.
    pub(super) fn seek(&mut self, slot: u32, fd: Fd, to: u64) -> Result<Next, Errno> {
        if to > LARGEST_FILE {
            return Err(Errno::Inval);
        }
        self.file(slot, fd)?.at = to;
        Ok(Next::Done(Reply::Count(to)))
    }

    /// `ftruncate`.
    pub(super) fn set_len(&mut self, slot: u32, fd: Fd, len: u64) -> Result<Next, Errno> {
        let file = self.file(slot, fd)?;
        let ino = file.ino;
        match file.write {
            false => return Err(Errno::Inval),
            true if len > LARGEST_FILE => return Err(Errno::Fbig),
            true => {}
        }
        self.calls[slot].job = Job::SetLen { ino, len };
        self.want(slot, ino);
        Ok(Next::Lock)
    }

    /// `fallocate`.
    pub(super) fn allocate(&mut self, slot: u32, fd: Fd, len: u64) -> Result<Next, Errno> {
        let file = self.file(slot, fd)?;
        let ino = file.ino;
        match file.write {
            false => return Err(Errno::Badf),
            true if len == 0 => return Err(Errno::Inval),
            true if len > LARGEST_FILE => return Err(Errno::Fbig),
            true => {}
        }
        self.calls[slot].job = Job::Allocate { ino, len };
        self.want(slot, ino);
        Ok(Next::Lock)
    }

    /// The locks are there: the layer below is asked.
    pub(super) fn locked_data(&mut self, cx: &mut Cx, slot: u32) -> Result<Next, Errno> {
        let (op, task) = (self.calls[slot].op, self.calls[slot].task);
        match &self.calls[slot].job {
            Job::Write { .. } => return self.locked_write(cx, slot),
            Job::Truncate { ino, .. } => {
                let ino = *ino;
                self.know(cx, ino);
                cx.send(Msg::Pages(PagesReq::SetLen { op, task, ino, len: 0 }));
            }
            Job::SetLen { ino, len } => {
                let (ino, len) = (*ino, *len);
                cx.send(Msg::Pages(PagesReq::SetLen { op, task, ino, len }));
            }
            Job::Allocate { ino, len } => {
                let (ino, len) = (*ino, *len);
                cx.send(Msg::Pages(PagesReq::Allocate { op, task, ino, len }));
            }
            Job::Chmod { ino, mode } => {
                let (ino, mode) = (*ino, *mode);
                cx.send(Msg::Fs(FsReq::Chmod { op, task, ino, mode }));
            }
            _ => return Err(Errno::Io),
        }
        Ok(Next::Wait)
    }

    fn locked_write(&mut self, cx: &mut Cx, slot: u32) -> Result<Next, Errno> {
        let call = &mut self.calls[slot];
        let (op, task) = (call.op, call.task);
        let (Job::Write { at, bytes, sync, count }, Some(file)) = (&mut call.job, call.file) else {
            return Err(Errno::Io);
        };
        let file = &self.files[file];
        let (ino, sync) = (file.ino, *sync);
        let size = self.inodes.find(ino)?.size;
        let from = if file.append { size } else { at.unwrap_or(file.at) };
        if from.checked_add(*count).is_none_or(|end| end > LARGEST_FILE) {
            return Err(Errno::Fbig);
        }
        let bytes = std::mem::take(bytes);
        call.pages = (from + *count).div_ceil(PAGE) - from / PAGE;
        call.moves = at.replace(from).is_none();
        cx.send(Msg::Pages(PagesReq::Write { op, task, ino, at: from, bytes, sync }));
        Ok(Next::Wait)
    }

    /// The layer below answered.
    pub(super) fn done_data(&mut self, cx: &mut Cx, slot: u32, done: Done) -> Result<Next, Errno> {
        match (&self.calls[slot].job, done) {
            (Job::Write { .. }, Done::Applied { bytes, done }) => {
                Ok(self.applied(cx, slot, &bytes, done))
            }
            (Job::Written { count, sync }, _) => {
                let (count, sync) = (*count, *sync);
                match if sync { self.tell(slot) } else { None } {
                    Some(errno) => Err(errno),
                    None => Ok(Next::Done(Reply::Count(count))),
                }
            }
            (Job::Read, Done::Bytes(bytes)) => {
                let count = bytes.len() as u64;
                let call = &mut self.calls[slot];
                call.pages = count.div_ceil(PAGE);
                if let Some(file) = call.file.filter(|_| call.moves) {
                    self.files[file].at += count;
                }
                Ok(Next::Done(Reply::Bytes(bytes)))
            }
            (Job::Truncate { .. }, _) => Ok(self.truncated(cx, slot)),
            (Job::SetLen { ino, len }, _) => {
                let (ino, len) = (*ino, *len);
                self.resized(cx, ino, len);
                Ok(Next::Done(Reply::Ok))
            }
            (Job::Allocate { ino, len }, _) => {
                let (ino, len) = (*ino, *len);
                self.allocated(cx, ino, len);
                Ok(Next::Done(Reply::Ok))
            }
            (Job::Sync, _) => match self.tell(slot) {
                Some(errno) => Err(errno),
                None => Ok(Next::Done(Reply::Ok)),
            },
            (Job::SyncAll, _) => Ok(Next::Done(Reply::Ok)),
            (_, _) => Err(Errno::Io),
        }
    }

    /// The layer below failed.
    pub(super) fn failed(&mut self, cx: &mut Cx, slot: u32, errno: Errno) -> Result<Next, Errno> {
        match self.calls[slot].job {
            Job::Sync | Job::Written { .. } => Err(self.tell(slot).unwrap_or(errno)),
            Job::SyncAll => {
                // `sync` says nothing to the program; to the history it does.
                let running = self.calls[slot].running.take();
                if let (Some(running), Some(history)) = (running, &mut cx.history) {
                    history.sync_returned(running, Err(errno.kind()));
                }
                Ok(Next::Done(Reply::Ok))
            }
            _ => Err(errno),
        }
    }

    /// A write stands in the pages.
    fn applied(&mut self, cx: &mut Cx, slot: u32, bytes: &[u8], done: bool) -> Next {
        let call = &self.calls[slot];
        let (Job::Write { at, sync, count, .. }, Some(file)) = (&call.job, call.file) else {
            return Next::Wait;
        };
        let (at, sync, count, moves) = (at.unwrap_or(0), *sync, *count, call.moves);
        let description = &mut self.files[file];
        if moves {
            description.at = at + count;
        }
        let ino = description.ino;
        if let Some(inode) = self.inodes.get_mut(ino) {
            inode.size = inode.size.max(at + count);
            if let (Some(known_as), Some(history)) = (inode.known_as, &mut cx.history) {
                // Beyond what a history can hold nothing is written.
                history.write(known_as, at, bytes).ok();
                if let Some(kind) = sync {
                    let range = Synced::Range(known_as, at, count, kind_of(kind));
                    self.calls[slot].running = Some(history.sync_called(range));
                }
            }
        }
        if done {
            return Next::Done(Reply::Count(count));
        }
        self.calls[slot].job = Job::Written { count, sync: sync.is_some() };
        self.release(cx, slot);
        Next::Wait
    }

    /// A file has another length.
    fn resized(&mut self, cx: &mut Cx, ino: Ino, len: u64) {
        let Some(inode) = self.inodes.get_mut(ino) else { return };
        inode.emptied |= len == 0 && len <= inode.size;
        inode.size = len;
        if let (Some(known_as), Some(history)) = (inode.known_as, &mut cx.history) {
            history.set_len(known_as, len).ok();
        }
    }

    fn allocated(&mut self, cx: &mut Cx, ino: Ino, len: u64) {
        let Some(inode) = self.inodes.get_mut(ino) else { return };
        inode.size = inode.size.max(len);
        cx.send(Msg::Pages(PagesReq::Know { ino, size: inode.size }));
        if let (Some(known_as), Some(history)) = (inode.known_as, &mut cx.history) {
            history.allocate(known_as, len).ok();
        }
    }

    /// A file was cut to nothing for who opens it.
    fn truncated(&mut self, cx: &mut Cx, slot: u32) -> Next {
        let job = std::mem::replace(&mut self.calls[slot].job, Job::None);
        let Job::Truncate { ino, how, path } = job else { return Next::Done(Reply::Ok) };
        self.resized(cx, ino, 0);
        self.opened(cx, slot, ino, how, path)
    }

    // Syncs.

    /// `fsync`, `fdatasync`, of a file or a directory.
    pub(super) fn fsync(
        &mut self,
        cx: &mut Cx,
        slot: u32,
        fd: Fd,
        kind: Sync,
    ) -> Result<Next, Errno> {
        let ino = self.file(slot, fd)?.ino;
        let inode = self.inodes.find(ino)?;
        let (is_dir, known_as) = (inode.is_dir(), inode.known_as);
        let call = &mut self.calls[slot];
        call.job = Job::Sync;
        let (op, task) = (call.op, call.task);
        if let (Some(known_as), Some(history)) = (known_as, &mut cx.history) {
            let what = match is_dir {
                true => Synced::Dir(known_as),
                false => Synced::File(known_as, kind_of(kind)),
            };
            call.running = Some(history.sync_called(what));
        }
        if is_dir {
            cx.send(Msg::Fs(FsReq::SyncDir { op, task, ino }));
            return Ok(Next::Wait);
        }
        let failing = match kind {
            Sync::All => Failing::Fsync,
            Sync::Data => Failing::Fdatasync,
        };
        let fail = self.strike(cx, slot, failing);
        cx.send(Msg::Pages(PagesReq::Fsync { op, task, ino, kind, fail }));
        Ok(Next::Wait)
    }

    /// `sync`.
    pub(super) fn sync(&mut self, cx: &mut Cx, slot: u32) -> Result<Next, Errno> {
        let call = &mut self.calls[slot];
        call.job = Job::SyncAll;
        call.running = cx.history.as_mut().map(|history| history.sync_called(Synced::Everything));
        let (op, task) = (call.op, call.task);
        cx.send(Msg::Pages(PagesReq::SyncAll { op, task }));
        Ok(Next::Wait)
    }

    /// How write-back failed, if the description was not told of it yet; now it is.
    fn tell(&mut self, slot: u32) -> Option<Errno> {
        let file = &mut self.files[self.calls[slot].file?];
        let inode = self.inodes.get_mut(file.ino)?;
        if file.told == inode.errors || self.rules.sabotage == Some(Sabotage::ErrorNotTold) {
            return None;
        }
        (file.told, inode.seen) = (inode.errors, true);
        Some(inode.error)
    }

    /// A failure that was ordered of this call on this file: it strikes once.
    fn strike(&mut self, cx: &mut Cx, slot: u32, failing: Failing) -> Option<Errno> {
        if self.faults.is_empty() {
            return None;
        }
        let file = &self.files[self.calls[slot].file?];
        let (ino, opened_as, op) = (file.ino, &file.path, self.calls[slot].op);
        let at = self.faults.iter().position(|fault| {
            fault.call == failing && (fault.path == *opened_as || self.is_at(&fault.path, ino))
        })?;
        let errno = self.faults.remove(at).errno;
        cx.event(Layer::Vfs, op, PageVer(0), Kind::Fault { errno });
        Some(errno)
    }
}

fn kind_of(kind: Sync) -> SyncKind {
    match kind {
        Sync::Data => SyncKind::Data,
        Sync::All => SyncKind::All,
    }
}
