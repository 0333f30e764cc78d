//! A step of a script as the calls that a program makes for it.
//!
//! Invariant: a call that fails ends its step, is noted, and the task goes on with the next; what
//! a user buffer could not give away it holds again, as its library would.

use std::collections::VecDeque;
use std::sync::Arc;

use super::files::{Buffered, Slot};
use super::{
    Answer, Doing, Errno, EventId, Fd, Kind, Layer, Note, OpId, Play, Reply, Request, task_id,
};
use crate::machine::message::{self, Open};
use crate::ops::script::{
    Call, Close, Failing, Failure, OpenAccess, OpenFlag, OpenHow, Place, RelPath, UserBuffer,
};

/// A step that is under way.
#[derive(Clone, Debug)]
pub(super) struct Job {
    place: Place,
    call: Call,
    /// What is still to be done, in order.
    left: VecDeque<Do>,
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
    /// What the buffer gives to the kernel, a `write(2)` at a time.
    Spill(RelPath),
    /// `pwrite(2)`.
    Pwrite(RelPath, Vec<u8>, u64),
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

fn bytes(path: &RelPath) -> Box<[u8]> {
    path.as_bytes().into()
}

impl Job {
    pub(super) fn of(place: Place, call: &Call) -> Self {
        let (call, left) = (call.clone(), calls(call).into());
        Self { place, call, left }
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
                let (flush, spill) = (Do::Flush(path.clone()), Do::Spill(path.clone()));
                calls.extend([flush, spill, Do::Seek(path.clone(), *at)]);
            }
            calls.extend([Do::Buffer(path.clone(), value.bytes()), Do::Spill(path.clone())]);
            calls
        }
        Call::Pwrite { path, value, at } => on(path, Do::Pwrite(path.clone(), value.bytes(), *at)),
        Call::Flush(path) => {
            vec![Do::Ensure(path.clone()), Do::Flush(path.clone()), Do::Spill(path.clone())]
        }
        Call::Close(path) => {
            let (flush, spill) = (Do::Flush(path.clone()), Do::Spill(path.clone()));
            vec![Do::Ensure(path.clone()), flush, spill, Do::Close(path.clone())]
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
        match &next {
            Do::Buffer(path, new) => self.writes(at, job.place, (path, new), None),
            Do::Pwrite(path, new, to) => self.writes(at, job.place, (path, new), Some(*to)),
            _ => {}
        }
        let (cause, what) = match self.request(at, &next) {
            Ok(Some((cause, what))) => (cause, what),
            Ok(None) => {
                job.left.pop_front();
                self.tasks[at].doing = Doing::Job(job);
                return;
            }
            Err(errno) => return self.fails(at, job, errno),
        };
        let words = what.to_string();
        let op = self.sim.submit_for(cause, task_id(at), what);
        self.tasks[at].says = Some((op, words));
        self.tasks[at].doing = Doing::Waits(op, job);
    }

    /// The call for a thing to do; `None` where it needs none, and is done.
    fn request(&mut self, at: usize, next: &Do) -> Result<Option<(EventId, Request)>, Errno> {
        let fd = |play: &Self, path| play.tasks[at].files.fd(path);
        let open = |path, how| Request::Open { path: bytes(path), how, mode: 0o644 };
        let mut cause = EventId(0);
        let what = match next {
            Do::Ensure(path) => match self.tasks[at].files.get(path) {
                Some(_) => return Ok(None),
                None => open(path, flags(&OpenHow::default())),
            },
            Do::Open(path, how) => open(path, flags(how)),
            Do::Seek(path, to) => Request::Seek { fd: fd(self, path)?, to: *to },
            Do::Buffer(path, new) => {
                self.buffered(at, path, new)?;
                return Ok(None);
            }
            Do::Flush(path) => {
                self.tasks[at].files.open(path)?.buffer.flush();
                return Ok(None);
            }
            Do::Spill(path) => match self.spilled(at, path)? {
                Some((event, what)) => {
                    cause = event;
                    what
                }
                None => return Ok(None),
            },
            Do::Pwrite(path, new, to) => {
                let (fd, bytes) = (fd(self, path)?, new.clone());
                Request::Write { fd, at: Some(*to), bytes, sync: None }
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
            Do::OpenDir(path) => {
                open(path, Open { read: true, directory: true, ..Open::default() })
            }
            Do::SyncFd(fd) => Request::Fsync { fd: *fd },
            Do::CloseFd(fd) => Request::Close { fd: *fd },
        };
        Ok(Some((cause, what)))
    }

    /// Bytes go into a buffer.
    fn buffered(&mut self, at: usize, path: &RelPath, new: &[u8]) -> Result<(), Errno> {
        let file = self.tasks[at].files.open(path)?;
        file.buffer.write(new);
        let (file, held) = (file.number, len32(file.buffer.held().len() + new.len()));
        let kind = Kind::Buffered { task: task_id(at), file, held, len: len32(new.len()) };
        self.sim.moved(Layer::Buffer, OpId(0), kind);
        self.wrote(at, path);
        Ok(())
    }

    /// The next `write(2)` by which a buffer empties; `None` when it is done.
    fn spilled(&mut self, at: usize, path: &RelPath) -> Result<Option<(EventId, Request)>, Errno> {
        let file = self.tasks[at].files.open(path)?;
        let (fd, number) = (file.fd, file.number);
        let Some(bytes) = file.buffer.next().map(<[u8]>::to_vec) else { return Ok(None) };
        let kind = Kind::Spilled { task: task_id(at), file: number, len: len32(bytes.len()) };
        let event = self.sim.moved(Layer::Buffer, OpId(0), kind);
        Ok(Some((event, Request::Write { fd, at: None, bytes, sync: None })))
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
            (Do::Ensure(path) | Do::Open(path, _), Reply::Fd(fd)) => {
                self.opened(at, &path, fd, &job)
            }
            (Do::OpenDir(_), Reply::Fd(fd)) => job.left.extend([Do::SyncFd(fd), Do::CloseFd(fd)]),
            (Do::Spill(path), Reply::Count(count)) => {
                if let Ok(file) = self.tasks[at].files.open(&path) {
                    file.buffer.wrote(usize::try_from(count).unwrap_or(usize::MAX));
                    file.offset += count;
                }
                job.left.push_front(Do::Spill(path));
            }
            (Do::Pwrite(path, bytes, to), Reply::Count(count)) => {
                let taken = usize::try_from(count).unwrap_or(usize::MAX).min(bytes.len());
                self.wrote(at, &path);
                let rest = bytes[taken..].to_vec();
                if !rest.is_empty() && taken > 0 {
                    job.left.push_front(Do::Pwrite(path, rest, to + count));
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
                    file.buffer.sought();
                }
            }
            (Do::Close(path), _) => self.tasks[at].files.closed(&path),
            _ => {}
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
        let was = job.left.pop_front();
        let mut swallowed = false;
        if let Some(Do::Spill(path)) = &was
            && let Ok(file) = self.tasks[at].files.open(path)
        {
            file.buffer.failed();
            swallowed = file.buffer.profile().close == Close::Swallows;
        }
        let closing =
            job.left.iter().position(|next| matches!(next, Do::Close(_) | Do::CloseFd(_)));
        let closing = closing.filter(|_| !matches!(was, Some(Do::Ensure(_))));
        if closing.is_none() || !swallowed {
            self.note(&job, Answer::Failed(errno));
        }
        if let Some(close) = closing {
            job.left.drain(..close);
            self.tasks[at].doing = Doing::Job(job);
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
