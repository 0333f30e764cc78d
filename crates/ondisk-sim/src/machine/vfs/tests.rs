use std::collections::{BTreeMap, VecDeque};

use super::Vfs;
use crate::machine::Errno;
use crate::machine::arena::Arena;
use crate::machine::config::{Config, Mount, Sabotage};
use crate::machine::ext4::disk::Loaded;
use crate::machine::ids::{Fd, Ino, Ns, OpId, TaskId};
use crate::machine::layer::{Cx, Layer};
use crate::machine::message::{
    Call, Done, Failing, FsReq, Msg, Open, PagesReq, Reply, Request, Stat, VfsDone,
};
use crate::machine::page_cache::PageCache;
use crate::machine::tmpfs::Tmpfs;

mod data;
mod errnos;
mod names;
mod together;

const A: TaskId = TaskId(1);
const B: TaskId = TaskId(2);

/// A VFS and a page cache above a RAM disk. What changes names or inodes there can be held back.
struct Rig {
    cx: Cx,
    vfs: Vfs,
    pages: PageCache,
    fs: Tmpfs,
    hold: bool,
    held: VecDeque<FsReq>,
    /// How the file system answers the next change of a name.
    refuse: Option<Errno>,
    rets: BTreeMap<OpId, Result<Reply, Errno>>,
    /// What went down, in order.
    log: Vec<String>,
    next: u32,
}

impl Rig {
    fn new() -> Self {
        Self::with(&Config { mount: Mount::Tmpfs, ..Config::default() })
    }

    fn with(config: &Config) -> Self {
        let mut rig = Self {
            cx: Cx::new(Arena::new(), 1),
            vfs: Vfs::new(config),
            pages: PageCache::new(config),
            fs: Tmpfs::new(),
            hold: false,
            held: VecDeque::new(),
            refuse: None,
            rets: BTreeMap::new(),
            log: Vec::new(),
            next: 1,
        };
        rig.fs.accept(&mut rig.cx, FsReq::Mount(Box::<Loaded>::default()));
        rig.run();
        assert!(rig.vfs.is_mounted());
        rig
    }

    /// Delivers all that is due, and lets calls return.
    fn run(&mut self) {
        loop {
            while let Some(msg) = self.cx.take() {
                self.deliver(msg);
            }
            let Some(at) = self.vfs.next_tick() else { return };
            self.cx.now = at;
            self.vfs.tick(&mut self.cx);
        }
    }

    fn deliver(&mut self, msg: Msg) {
        match msg {
            Msg::Call(call) => self.vfs.accept(&mut self.cx, call),
            Msg::Ret(ret) => assert!(self.rets.insert(ret.op, ret.result).is_none(), "twice"),
            Msg::Pages(req) => {
                if let PagesReq::Start { ino } = &req {
                    self.log.push(format!("start {}", ino.0));
                }
                self.pages.accept(&mut self.cx, req);
            }
            Msg::VfsDone(done) => self.vfs.complete(&mut self.cx, done),
            Msg::Fs(req) => self.below(req),
            Msg::PagesDone(done) => self.pages.complete(&mut self.cx, done),
            _ => panic!("{msg:?}"),
        }
    }

    fn below(&mut self, req: FsReq) {
        let op = match &req {
            FsReq::Free { ino } => {
                self.log.push(format!("free {}", ino.0));
                return self.fs.accept(&mut self.cx, req);
            }
            FsReq::Unlink { op, .. }
            | FsReq::Create { op, .. }
            | FsReq::Link { op, .. }
            | FsReq::Rename { op, .. }
            | FsReq::Exchange { op, .. }
            | FsReq::WriteBegin { op, .. }
            | FsReq::SetLen { op, .. }
            | FsReq::Sync { op, .. }
            | FsReq::Chmod { op, .. } => *op,
            _ => return self.fs.accept(&mut self.cx, req),
        };
        if let Some(errno) = self.refuse.take() {
            return self.cx.send(Msg::VfsDone(VfsDone { op, result: Err(errno) }));
        }
        match self.hold {
            true => self.held.push_back(req),
            false => self.fs.accept(&mut self.cx, req),
        }
    }

    /// The file system answers something that was held back.
    fn answer(&mut self, at: usize) {
        let req = self.held.remove(at).unwrap();
        self.fs.accept(&mut self.cx, req);
        self.run();
    }

    fn submit(&mut self, task: TaskId, what: Request) -> OpId {
        let op = OpId(self.next);
        self.next += 1;
        self.cx.send(Msg::Call(Call { op, task, what }));
        self.run();
        op
    }

    fn call_as(&mut self, task: TaskId, what: Request) -> Result<Reply, Errno> {
        let op = self.submit(task, what);
        self.rets.remove(&op).expect("the call returns")
    }

    fn call(&mut self, what: Request) -> Result<Reply, Errno> {
        self.call_as(A, what)
    }

    fn open_as(&mut self, task: TaskId, path: &str, how: Open) -> Result<Fd, Errno> {
        match self.call_as(task, open(path, how))? {
            Reply::Fd(fd) => Ok(fd),
            other => panic!("{other:?}"),
        }
    }

    fn open(&mut self, path: &str, how: Open) -> Result<Fd, Errno> {
        self.open_as(A, path, how)
    }

    /// A file with a content, closed.
    fn file(&mut self, path: &str, bytes: &[u8]) {
        let fd = self.open(path, create()).unwrap();
        self.call(write(fd, None, bytes)).unwrap();
        self.call(Request::Close { fd }).unwrap();
    }

    fn read(&mut self, fd: Fd, at: Option<u64>) -> Result<Vec<u8>, Errno> {
        match self.call(Request::Read { fd, at, len: 1000 })? {
            Reply::Bytes(bytes) => Ok(bytes),
            other => panic!("{other:?}"),
        }
    }

    /// What a file holds, by its path.
    fn cat(&mut self, path: &str) -> Result<Vec<u8>, Errno> {
        let fd = self.open(path, Open { read: true, ..Open::default() })?;
        let bytes = self.read(fd, None);
        self.call(Request::Close { fd }).unwrap();
        bytes
    }

    fn stat(&mut self, path: &str) -> Result<Stat, Errno> {
        match self.call(Request::Stat { path: bytes(path) })? {
            Reply::Stat(stat) => Ok(stat),
            other => panic!("{other:?}"),
        }
    }

    fn names(&mut self, path: &str) -> Vec<String> {
        match self.call(Request::List { path: bytes(path) }).unwrap() {
            Reply::Names(names) => {
                names.into_iter().map(|(name, _)| String::from_utf8_lossy(&name).into()).collect()
            }
            other => panic!("{other:?}"),
        }
    }

    fn log(&mut self) -> Vec<String> {
        std::mem::take(&mut self.log)
    }
}

fn bytes(path: &str) -> Box<[u8]> {
    path.as_bytes().into()
}

fn open(path: &str, how: Open) -> Request {
    Request::Open { path: bytes(path), how, mode: 0o644 }
}

fn write(fd: Fd, at: Option<u64>, bytes: &[u8]) -> Request {
    Request::Write { fd, at, bytes: bytes.to_vec(), sync: None }
}

fn both() -> Open {
    Open { read: true, write: true, ..Open::default() }
}

fn create() -> Open {
    Open { create: true, ..both() }
}

fn mkdir(path: &str) -> Request {
    Request::Mkdir { path: bytes(path), mode: 0o755 }
}

fn unlink(path: &str) -> Request {
    Request::Unlink { path: bytes(path) }
}

fn rmdir(path: &str) -> Request {
    Request::Rmdir { path: bytes(path) }
}

fn rename(from: &str, to: &str) -> Request {
    Request::Rename { from: bytes(from), to: bytes(to), exchange: false }
}

fn exchange(from: &str, to: &str) -> Request {
    Request::Rename { from: bytes(from), to: bytes(to), exchange: true }
}

fn link(from: &str, to: &str) -> Request {
    Request::Link { from: bytes(from), to: bytes(to) }
}

fn symlink(target: &str, path: &str) -> Request {
    Request::Symlink { target: bytes(target), path: bytes(path) }
}

fn chmod(path: &str, mode: u16) -> Request {
    Request::Chmod { path: bytes(path), mode }
}
