//! A step of a script as the calls that a program makes for it.
//!
//! Invariant: a call that fails ends its step, is noted, and the task goes on with the next; what
//! a user buffer could not give away it holds again, as its library would.

use std::collections::VecDeque;
use std::sync::Arc;

use super::files::{Buffered, Slot};
use super::{Answer, Doing, Errno, Fd, Kind, Layer, Note, OpId, Play, Reply, Request, task_id};
use crate::machine::message::{self, Open};
use crate::ops::script::{
    Call, Failing, Failure, OpenAccess, OpenFlag, OpenHow, Place, RelPath, UserBuffer,
};

/// A step that is under way.
#[derive(Clone, Debug)]
pub(super) struct Job {
    place: Place,
    call: Call,
    /// What is still to be done, in order.
    left: VecDeque<Do>,
    /// The buffer that is being spilled, and how far it came.
    spill: Option<Spill>,
}

/// One thing to do.
#[derive(Clone, Debug)]
enum Do {
    /// Open a file as nobody said how, where the task never opened it.
    Ensure(RelPath),
    Open(RelPath, OpenHow),
    Seek(RelPath, u64),
    /// Into the user buffer.
    Buffer(RelPath, Vec<u8>),
    Flush(RelPath),
    /// `write(2)`, or `pwrite(2)` with an offset.
    Write(RelPath, Vec<u8>, Option<u64>),
    SetLen(RelPath, u64),
    Allocate(RelPath, u64),
    Fsync(RelPath),
    Fdatasync(RelPath),
    Read(RelPath, Vec<u8>),
    Close(RelPath),
    /// What needs no descriptor.
    Plain(Request),
    /// A directory, opened to be synced.
    OpenDir(RelPath),
    SyncFd(Fd),
    CloseFd(Fd),
}

/// A buffer on its way to the kernel.
#[derive(Clone, Debug)]
struct Spill {
    path: RelPath,
    /// As it was before.
    before: UserBuffer,
    /// What was to go into it; `None` for a flush.
    new: Option<Vec<u8>>,
    /// How many bytes the kernel took.
    taken: usize,
}

fn bytes(path: &RelPath) -> Box<[u8]> {
    path.as_bytes().into()
}

impl Job {
    pub(super) fn of(place: Place, call: &Call) -> Self {
        let (call, left) = (call.clone(), calls(call).into());
        Self { place, call, left, spill: None }
    }
}

/// What a program does for a step.
fn calls(call: &Call) -> Vec<Do> {
    let on = |path: &RelPath, then: Do| vec![Do::Ensure(path.clone()), then];
    let plain = |what: Request| vec![Do::Plain(what)];
    match call {
        Call::Open { path, how } => vec![Do::Open(path.clone(), how.clone())],
        Call::Write { path, value, at } => {
            let mut calls = vec![Do::Ensure(path.clone())];
            if let Some(at) = at {
                calls.extend([Do::Flush(path.clone()), Do::Seek(path.clone(), *at)]);
            }
            calls.push(Do::Buffer(path.clone(), value.bytes()));
            calls
        }
        Call::Pwrite { path, value, at } => {
            on(path, Do::Write(path.clone(), value.bytes(), Some(*at)))
        }
        Call::Flush(path) => on(path, Do::Flush(path.clone())),
        Call::Close(path) => {
            vec![Do::Ensure(path.clone()), Do::Flush(path.clone()), Do::Close(path.clone())]
        }
        Call::Read(path) => on(path, Do::Read(path.clone(), Vec::new())),
        Call::SetLen(path, len) => on(path, Do::SetLen(path.clone(), *len)),
        Call::Allocate(path, len) => on(path, Do::Allocate(path.clone(), *len)),
        Call::Fsync(path) => on(path, Do::Fsync(path.clone())),
        Call::Fdatasync(path) => on(path, Do::Fdatasync(path.clone())),
        Call::Remove(path) => plain(Request::Unlink { path: bytes(path) }),
        Call::Link(from, to) => plain(Request::Link { from: bytes(from), to: bytes(to) }),
        Call::Symlink(target, path) => {
            plain(Request::Symlink { target: bytes(target), path: bytes(path) })
        }
        Call::Rename(from, to) => {
            plain(Request::Rename { from: bytes(from), to: bytes(to), exchange: false })
        }
        Call::Exchange(from, to) => {
            plain(Request::Rename { from: bytes(from), to: bytes(to), exchange: true })
        }
        Call::Mkdir(path) => plain(Request::Mkdir { path: bytes(path), mode: 0o755 }),
        Call::Rmdir(path) => plain(Request::Rmdir { path: bytes(path) }),
        Call::Chmod(path, mode) => plain(Request::Chmod { path: bytes(path), mode: *mode }),
        Call::FsyncDir(path) => vec![Do::OpenDir(path.clone())],
        Call::Sync => plain(Request::Sync),
    }
}

fn flags(how: &OpenHow) -> Open {
    Open {
        read: how.access != OpenAccess::Write,
        write: how.access != OpenAccess::Read,
        create: how.has(OpenFlag::Create),
        excl: how.has(OpenFlag::Excl),
        trunc: how.has(OpenFlag::Trunc),
        append: how.has(OpenFlag::Append),
        dsync: how.has(OpenFlag::Dsync),
        sync: how.has(OpenFlag::Sync),
        directory: false,
    }
}

pub(super) fn failing(call: Failing) -> message::Failing {
    match call {
        Failing::Write => message::Failing::Write,
        Failing::Fsync => message::Failing::Fsync,
        Failing::Fdatasync => message::Failing::Fdatasync,
    }
}

pub(super) fn failure(errno: Failure) -> Errno {
    match errno {
        Failure::Eio => Errno::Io,
        Failure::Enospc => Errno::Nospc,
    }
}

impl Play {
    /// A task does the next thing of its step.
    pub(super) fn job(&mut self, at: usize, mut job: Job) {
        let Some(next) = job.left.front().cloned() else { return };
        let what = match self.request(at, &mut job, &next) {
            Ok(Some(what)) => what,
            Ok(None) => {
                job.left.pop_front();
                self.tasks[at].doing = Doing::Job(job);
                return;
            }
            Err(errno) => return self.fails(at, job, errno),
        };
        let op = self.sim.submit(task_id(at), what);
        self.tasks[at].doing = Doing::Waits(op, job);
    }

    /// The call for a thing to do; `None` where it needs none, and is done.
    fn request(&mut self, at: usize, job: &mut Job, next: &Do) -> Result<Option<Request>, Errno> {
        let fd = |play: &Self, path| play.tasks[at].files.fd(path);
        let open = |path, how| Request::Open { path: bytes(path), how, mode: 0o644 };
        Ok(Some(match next {
            Do::Ensure(path) => match self.tasks[at].files.get(path) {
                Some(_) => return Ok(None),
                None => open(path, flags(&OpenHow::default())),
            },
            Do::Open(path, how) => open(path, flags(how)),
            Do::Seek(path, to) => Request::Seek { fd: fd(self, path)?, to: *to },
            Do::Buffer(path, new) => {
                self.spill(at, job, path, Some(new))?;
                return Ok(None);
            }
            Do::Flush(path) => {
                self.spill(at, job, path, None)?;
                return Ok(None);
            }
            Do::Write(path, new, to) => {
                let (fd, bytes) = (fd(self, path)?, new.clone());
                Request::Write { fd, at: *to, bytes, sync: None }
            }
            Do::SetLen(path, len) => Request::SetLen { fd: fd(self, path)?, len: *len },
            Do::Allocate(path, len) => Request::Allocate { fd: fd(self, path)?, len: *len },
            Do::Fsync(path) => Request::Fsync { fd: fd(self, path)? },
            Do::Fdatasync(path) => Request::Fdatasync { fd: fd(self, path)? },
            Do::Read(path, got) => {
                let from = Some(got.len() as u64);
                Request::Read { fd: fd(self, path)?, at: from, len: 1 << 20 }
            }
            Do::Close(path) => Request::Close { fd: fd(self, path)? },
            Do::Plain(what) => what.clone(),
            Do::OpenDir(path) => open(path, Open { read: true, directory: true, ..Open::default() }),
            Do::SyncFd(fd) => Request::Fsync { fd: *fd },
            Do::CloseFd(fd) => Request::Close { fd: *fd },
        }))
    }

    /// Bytes go into a buffer, or out of it: plans the `write(2)`s that this takes, behind the
    /// present thing to do.
    fn spill(
        &mut self,
        at: usize,
        job: &mut Job,
        path: &RelPath,
        new: Option<&[u8]>,
    ) -> Result<(), Errno> {
        let file = self.tasks[at].files.open(path)?;
        let before = file.buffer.clone();
        let mut spills = Vec::new();
        let mut sink = |bytes: &[u8]| {
            spills.push(bytes.to_vec());
            Ok::<_, Errno>(bytes.len())
        };
        match new {
            Some(new) => file.buffer.write(new, &mut sink)?,
            None => file.buffer.flush(&mut sink)?,
        }
        let (number, held) = (file.number, len32(file.buffer.len()));
        let task = task_id(at);
        if let Some(new) = new {
            let len = len32(new.len());
            let kind = Kind::Buffered { task, file: number, held, len };
            self.sim.moved(Layer::Buffer, OpId(0), kind);
            let (name, ino) = (std::sync::Arc::clone(&self.tasks[at].name), self.tasks[at].files.ino(path));
            if let Some(ino) = ino {
                self.ledger.wrote(&name, ino, &super::files::path_of(path));
            }
        }
        let mut place = 1;
        for bytes in spills {
            let kind = Kind::Spilled { task, file: number, len: len32(bytes.len()) };
            self.sim.moved(Layer::Buffer, OpId(0), kind);
            job.left.insert(place, Do::Write(path.clone(), bytes, None));
            place += 1;
        }
        if place > 1 {
            let new = new.map(<[u8]>::to_vec);
            job.spill = Some(Spill { path: path.clone(), before, new, taken: 0 });
        }
        Ok(())
    }

    /// A call of a task has returned.
    pub(super) fn answered(&mut self, at: usize, answer: Result<Reply, Errno>) {
        let doing = std::mem::replace(&mut self.tasks[at].doing, Doing::Nothing);
        let Doing::Waits(_, mut job) = doing else { return };
        let reply = match answer {
            Ok(reply) => reply,
            Err(errno) => return self.fails(at, job, errno),
        };
        let Some(done) = job.left.pop_front() else { return };
        match (done, reply) {
            (Do::Ensure(path) | Do::Open(path, _), Reply::Fd(fd)) => self.opened(at, &path, fd, &job),
            (Do::OpenDir(_), Reply::Fd(fd)) => job.left.extend([Do::SyncFd(fd), Do::CloseFd(fd)]),
            (Do::Write(path, bytes, to), Reply::Count(count)) => {
                let count = usize::try_from(count).unwrap_or(usize::MAX).min(bytes.len());
                self.wrote(at, &path);
                if to.is_none()
                    && let Ok(file) = self.tasks[at].files.open(&path)
                {
                    file.offset += count as u64;
                }
                if let Some(spill) = job.spill.as_mut().filter(|_| to.is_none()) {
                    spill.taken += count;
                }
                let rest = bytes[count..].to_vec();
                if !rest.is_empty() && count > 0 {
                    let to = to.map(|to| to + count as u64);
                    job.left.push_front(Do::Write(path, rest, to));
                }
            }
            (Do::SetLen(path, _) | Do::Allocate(path, _), _) => self.wrote(at, &path),
            (Do::Read(path, mut got), Reply::Bytes(bytes)) => {
                let end = bytes.len() < 1 << 20;
                got.extend_from_slice(&bytes);
                if end {
                    self.note(&job, Answer::Read(Arc::from(got)));
                } else {
                    job.left.push_front(Do::Read(path, got));
                }
            }
            (Do::Seek(path, to), _) => {
                if let Ok(file) = self.tasks[at].files.open(&path) {
                    file.offset = to;
                }
            }
            (Do::Close(path), _) => self.tasks[at].files.closed(&path),
            _ => {}
        }
        if !matches!(job.left.front(), Some(Do::Write(_, _, None))) {
            job.spill = None;
        }
        if !job.left.is_empty() {
            self.tasks[at].doing = Doing::Job(job);
        }
    }

    fn wrote(&mut self, at: usize, path: &RelPath) {
        let task = &self.tasks[at];
        if let Some(ino) = task.files.ino(path) {
            self.ledger.wrote(&task.name, ino, &super::files::path_of(path));
        }
    }

    fn opened(&mut self, at: usize, path: &RelPath, fd: Fd, job: &Job) {
        self.files += 1;
        let (number, buffer) = (self.files, UserBuffer::new(self.profile));
        let ino = self.sim.known(&super::files::path_of(path));
        let append = matches!(&job.call, Call::Open { how, .. } if how.has(OpenFlag::Append));
        let made = matches!(&job.call, Call::Open { how, .. }
            if how.has(OpenFlag::Create) || how.has(OpenFlag::Trunc));
        let slot = Slot::Open(Box::new(Buffered { fd, number, ino, append, offset: 0, buffer }));
        self.tasks[at].files.put(path, slot);
        if made {
            self.wrote(at, path);
        }
    }

    /// A call of a step failed: the step ends. A close goes on, and nobody learns of it.
    fn fails(&mut self, at: usize, mut job: Job, errno: Errno) {
        if let Some(Spill { path, before, new, taken }) = job.spill.take()
            && let Ok(file) = self.tasks[at].files.open(&path)
        {
            file.buffer = before;
            let mut left = taken;
            let mut sink = |bytes: &[u8]| {
                let takes = left.min(bytes.len());
                left -= takes;
                if takes == 0 && !bytes.is_empty() { Err(errno) } else { Ok(takes) }
            };
            // What it did not take it holds again: the error is the one that is told below.
            let again = match new {
                Some(new) => file.buffer.write(&new, &mut sink),
                None => file.buffer.flush(&mut sink),
            };
            drop(again);
        }
        let was = job.left.pop_front();
        let closing = job.left.iter().position(|next| matches!(next, Do::Close(_) | Do::CloseFd(_)));
        if matches!(was, Some(Do::SyncFd(_))) {
            self.note(&job, Answer::Failed(errno));
        }
        match closing {
            Some(close) if !matches!(was, Some(Do::Ensure(_))) => {
                job.left.drain(..close);
                self.tasks[at].doing = Doing::Job(job);
            }
            _ => self.note(&job, Answer::Failed(errno)),
        }
    }

    fn note(&mut self, job: &Job, answer: Answer) {
        let same = |note: &&mut Note| note.place == job.place && note.answer == answer;
        if let Some(known) = self.notes.iter_mut().find(same) {
            known.times += 1;
        } else if self.notes.len() < crate::ops::script::Run::NOTE_LIMIT {
            let (place, call) = (job.place, job.call.clone());
            self.notes.push(Note { place, call, answer, times: 1 });
        }
    }
}

fn len32(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}
