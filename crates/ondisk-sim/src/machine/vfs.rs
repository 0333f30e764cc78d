//! The VFS: inodes, names, descriptors, permissions, and the order in which calls may change
//! them.
//!
//! Invariant: a call that changes an inode holds the inode's lock until the layer below has
//! answered, and what the VFS shows is what was answered; each call returns once. All names and
//! inodes are in memory from the mount on.
//!
//! Knows nothing of pages, blocks and durability: a sync is a question to the layers below.

mod call;
mod data;
mod files;
mod inode;
mod lock;
mod names;
mod new_names;
mod path;
mod rename;
mod slab;

#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use super::arena::{Arena, Marks};
use super::choice::Chooser;
use super::config::{Config, DataMode, Mount, Sabotage};
use super::digest::Digest;
use super::event::{Kind, Layer as Number, Nr};
use super::ids::{Fd, Ino, Ns, OpId, PageVer, TaskId};
use super::layer::{Cx, Layer};
use super::message::{Call, Done, Failing, Msg, PagesReq, Reply, Request, Ret, VfsDone};
use super::{Death, Errno};
use call::{Next, Pending};
use files::Description;
use inode::Inodes;
use slab::Slab;

/// What a call costs, and what else the configuration says.
#[derive(Clone, Copy, Debug, Default)]
struct Rules {
    call: Ns,
    copy: Ns,
    /// A close after a truncate to nothing starts write-back (`auto_da_alloc`).
    close_starts: bool,
    /// A close is a sync of what was opened to be written: of a network file system.
    close_syncs: bool,
    sabotage: Option<Sabotage>,
}

/// A failure that was ordered of a call on a file.
#[derive(Clone, Debug)]
struct Ordered {
    path: Box<[u8]>,
    call: Failing,
    errno: Errno,
}

/// The VFS: inodes, names, descriptors, permissions.
#[derive(Clone, Debug, Default)]
pub struct Vfs {
    rules: Rules,
    mounted: bool,
    inodes: Inodes,
    /// Open-file descriptions.
    files: Slab<Description>,
    /// The descriptors of each task: a description each.
    tasks: Vec<Vec<Option<u32>>>,
    calls: Slab<Pending>,
    /// Where the calls are that have not returned.
    ops: Vec<(OpId, u32)>,
    /// Calls that were given a lock just now.
    ready: VecDeque<u32>,
    /// Calls that are done, by when they return.
    returns: BinaryHeap<Reverse<(Ns, OpId, u32)>>,
    faults: Vec<Ordered>,
    /// What is left to walk of a path.
    walk: Vec<u8>,
}

impl Vfs {
    /// A VFS with nothing mounted.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let close_starts = match &config.mount {
            Mount::Ext4(options) => {
                options.auto_da_alloc && options.delalloc && options.data != DataMode::Journal
            }
            Mount::Tmpfs | Mount::Nfs => false,
        };
        let close_syncs =
            config.mount == Mount::Nfs && config.sabotage != Some(Sabotage::CloseWithoutCommit);
        let Config { call, copy, sabotage, .. } = *config;
        let rules = Rules { call, copy, close_starts, close_syncs, sabotage };
        Self { rules, ..Self::default() }
    }

    /// Whether the file system has said what is on it.
    #[must_use]
    pub fn is_mounted(&self) -> bool {
        self.mounted
    }

    /// What is no call of a program's is answered at once.
    fn order(&mut self, cx: &mut Cx, task: TaskId, what: Request) {
        match what {
            Request::Fail { path, call, errno } => {
                self.faults.push(Ordered { path, call, errno });
            }
            Request::Exit => self.exit(cx, task),
            _ => cx.send(Msg::Pages(PagesReq::Evict)),
        }
    }

    /// Goes on with all calls that were given a lock.
    fn settle(&mut self, cx: &mut Cx) {
        while let Some(slot) = self.ready.pop_front() {
            cx.because(self.calls[slot].reason);
            self.acquire(cx, slot);
        }
    }

    /// What follows from a step of a call.
    fn go(&mut self, cx: &mut Cx, slot: u32, next: Result<Next, Errno>) {
        match next {
            Ok(Next::Wait) => {}
            Ok(Next::Lock) => self.acquire(cx, slot),
            Ok(Next::Done(reply)) => self.finish(cx, slot, Ok(reply)),
            Err(errno) => self.finish(cx, slot, Err(errno)),
        }
    }

    /// A call is done: its locks are free, and it returns soon.
    fn finish(&mut self, cx: &mut Cx, slot: u32, result: Result<Reply, Errno>) {
        self.release(cx, slot);
        let op = self.calls[slot].op;
        if let Err(errno) = result {
            cx.event(Number::Vfs, op, PageVer(0), Kind::Errno { errno });
        }
        if let Some(file) = self.calls[slot].file.take() {
            self.drop_file(cx, file);
        }
        for ino in std::mem::take(&mut self.calls[slot].pinned).all() {
            self.unpin(cx, *ino);
        }
        let pages = self.calls[slot].pages;
        let due = cx.now + self.rules.call + self.rules.copy.times(pages);
        let call = &mut self.calls[slot];
        (call.result, call.reason) = (Some(result), cx.reason());
        self.returns.push(Reverse((due, op, slot)));
        self.ops.retain(|(other, _)| *other != op);
    }

    /// A call returns.
    fn ret(&mut self, cx: &mut Cx, slot: u32) {
        let Some(call) = self.calls.remove(slot) else { return };
        let Pending { op, task, nr, dead, reason, .. } = call;
        cx.because(reason);
        let mut result = call.result.unwrap_or(Err(Errno::Io));
        if let Some(file) = call.opened {
            result = match dead {
                false => self.install(task, file).map(Reply::Fd),
                true => Err(Errno::Badf),
            };
            if result.is_err() {
                self.drop_file(cx, file);
            }
        }
        if dead {
            return;
        }
        if let (Some(running), Some(history)) = (call.running, &mut cx.history) {
            let result = result.as_ref().map(|_| ()).map_err(|errno| errno.kind());
            history.sync_returned(running, result);
        }
        let value = match &result {
            Ok(Reply::Fd(fd)) => i64::from(fd.0),
            Ok(Reply::Count(count)) => i64::try_from(*count).unwrap_or(i64::MAX),
            Ok(Reply::Bytes(bytes)) => i64::try_from(bytes.len()).unwrap_or(i64::MAX),
            Ok(Reply::Names(names)) => i64::try_from(names.len()).unwrap_or(i64::MAX),
            Ok(Reply::Ok | Reply::Stat(_)) => 0,
            Err(errno) => -errno.number(),
        };
        cx.event(Number::Vfs, op, PageVer(0), Kind::Ret { task, nr, value });
        cx.send(Msg::Ret(Ret { op, task, result }));
    }
}

impl Layer for Vfs {
    type Req = Call;
    type Done = VfsDone;

    fn accept(&mut self, cx: &mut Cx, call: Call) {
        let Call { op, task, what } = call;
        let Some((nr, fd, a, b)) = call::boundary(&what) else {
            self.order(cx, task, what);
            cx.send(Msg::Ret(Ret { op, task, result: Ok(Reply::Ok) }));
            return;
        };
        let kind = Kind::Call { task, nr, fd, a, b };
        let reason = cx.event(Number::Vfs, op, PageVer(0), kind);
        let slot = self.calls.insert(Pending::new(op, task, nr, reason));
        self.ops.push((op, slot));
        let next = self.start(cx, slot, what);
        self.go(cx, slot, next);
        self.settle(cx);
    }

    fn complete(&mut self, cx: &mut Cx, done: VfsDone) {
        match done {
            VfsDone { result: Ok(Done::Mounted(tree)), .. } => {
                self.inodes = Inodes::of(*tree, cx.history.as_mut());
                self.mounted = true;
            }
            VfsDone { result: Ok(Done::WbError { ino, errno }), .. } => {
                if let Some(inode) = self.inodes.get_mut(ino) {
                    inode.errors += 1;
                    (inode.error, inode.seen) = (errno, false);
                }
            }
            VfsDone { op, result } => {
                if let Some((_, slot)) = self.ops.iter().find(|(other, _)| *other == op).copied() {
                    let next = match result {
                        Ok(done) => self.done(cx, slot, done),
                        Err(errno) => self.failed(cx, slot, errno),
                    };
                    self.go(cx, slot, next);
                    self.settle(cx);
                }
            }
        }
    }

    fn tick(&mut self, cx: &mut Cx) {
        while let Some(Reverse((at, _, slot))) = self.returns.peek().copied()
            && at <= cx.now
        {
            self.returns.pop();
            self.ret(cx, slot);
        }
    }

    fn next_tick(&self) -> Option<Ns> {
        self.returns.peek().map(|Reverse((at, ..))| *at)
    }

    fn power_cut(&mut self, how: Death, _: &mut Arena, _: &mut dyn Chooser) {
        if how != Death::Kill {
            *self = Self { rules: self.rules, ..Self::default() };
        }
    }

    fn digest(&self, _: &Arena, digest: &mut Digest) {
        self.inodes.digest(digest);
        for (task, fds) in self.tasks.iter().enumerate() {
            for (fd, file) in fds.iter().enumerate() {
                let Some(file) = file else { continue };
                let (file, name) = (&self.files[*file], (task as u64) << 32 | fd as u64);
                [name, u64::from(file.ino.0), file.at, u64::from(file.told)]
                    .into_iter()
                    .for_each(|value| digest.add(value));
            }
        }
        for Reverse((at, op, _)) in &self.returns {
            digest.add(at.0);
            digest.add(u64::from(op.0));
        }
    }

    fn marks(&self, _: &mut Marks) {}
}

/// Nobody's descriptor: the path is relative to the root (`AT_FDCWD`).
const CWD: Fd = Fd(0u32.wrapping_sub(100));

/// The arguments of a call as its event has them.
type Boundary = (Nr, Fd, u64, u64);

/// Which lock stands for all renames between directories.
const RENAMES: Ino = Ino(0);
