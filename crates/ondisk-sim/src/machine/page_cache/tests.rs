use std::collections::{BTreeMap, VecDeque};

use ondisk_fs::BLOCK;

use super::file::{Tail, offset_of, page_of};
use super::{PageCache, State};
use crate::machine::Errno;
use crate::machine::arena::Arena;
use crate::machine::config::{Config, DataMode, Ext4Options, Mount, Sabotage, Share};
use crate::machine::event::Kind;
use crate::machine::ids::{BlockId, Ino, Ns, OpId, TaskId};
use crate::machine::layer::{Cx, Layer};
use crate::machine::message::{Cargo, Done, FsReq, Msg, PagesDone, PagesReq, Sync, VfsDone};

mod calls;
mod clock;
mod machine;
mod property;

const F: Ino = Ino(11);
const TASK: TaskId = TaskId(1);

/// Pages that were given to the media.
struct Way {
    ino: Ino,
    pages: Vec<(u32, Cargo)>,
    fail: Option<Errno>,
}

/// A page cache above a file system that answers at once, but holds writes back when told to.
struct Rig {
    cx: Cx,
    cache: PageCache,
    /// What the media hold, and the length there.
    media: BTreeMap<(Ino, u32), BlockId>,
    len: BTreeMap<Ino, u64>,
    hold: bool,
    held: VecDeque<Way>,
    /// What the file system was asked, in order.
    log: Vec<String>,
    answers: BTreeMap<OpId, Vec<Result<Done, Errno>>>,
    errors: u32,
    /// How the next length is answered.
    refuse: Option<Errno>,
    next: u32,
}

impl Rig {
    fn new(config: &Config) -> Self {
        Self {
            cx: Cx::new(Arena::new(), 1),
            cache: PageCache::new(config),
            media: BTreeMap::new(),
            len: BTreeMap::new(),
            hold: false,
            held: VecDeque::new(),
            log: Vec::new(),
            answers: BTreeMap::new(),
            errors: 0,
            refuse: None,
            next: 1,
        }
    }

    fn plain() -> Self {
        Self::new(&Config::default())
    }

    fn sabotaged(sabotage: Sabotage) -> Self {
        Self::new(&Config { sabotage: Some(sabotage), ..Config::default() })
    }

    /// A file that is on the media and not in memory.
    fn with(mut self, bytes: &[u8]) -> Self {
        for (page, chunk) in bytes.chunks(BLOCK).enumerate() {
            let content = self.cx.arena.patch(BlockId::ZERO, 0, chunk);
            self.media.insert((F, u32::try_from(page).unwrap()), content);
        }
        self.len.insert(F, bytes.len() as u64);
        self.cache.accept(&mut self.cx, PagesReq::Know { ino: F, size: bytes.len() as u64 });
        self
    }

    fn op(&mut self) -> OpId {
        self.next += 1;
        OpId(self.next - 1)
    }

    fn ask(&mut self, req: PagesReq) {
        self.cache.accept(&mut self.cx, req);
        self.run();
    }

    fn run(&mut self) {
        while let Some(msg) = self.cx.take() {
            match msg {
                Msg::Fs(req) => self.fs(req),
                Msg::PagesDone(done) => self.cache.complete(&mut self.cx, done),
                Msg::VfsDone(VfsDone { result: Ok(Done::WbError { .. }), .. }) => self.errors += 1,
                Msg::VfsDone(VfsDone { op, result }) => {
                    self.answers.entry(op).or_default().push(result);
                }
                _ => panic!("{msg:?}"),
            }
        }
    }

    fn done(&mut self, done: PagesDone) {
        self.cx.send(Msg::PagesDone(done));
    }

    fn fs(&mut self, req: FsReq) {
        match req {
            FsReq::WriteBegin { op, at, len, size, .. } => {
                self.log.push(format!("begin {at}+{len} of {size}"));
                self.grows(size, at + len);
                self.done(PagesDone::Ready { op, result: Ok(()) });
            }
            FsReq::WriteEnd { ino, size, pages, .. } => {
                for (page, cargo) in pages {
                    self.log.push(format!("journal {page}"));
                    self.media.insert((ino, page), cargo.content);
                }
                self.len.insert(ino, size);
            }
            FsReq::ReadPage { ino, page, .. } => {
                self.log.push(format!("read {page}"));
                let content = self.media.get(&(ino, page)).copied().unwrap_or_default();
                self.done(PagesDone::Page { ino, page, result: Ok(content) });
            }
            FsReq::WritePages { ino, pages, fail, .. } => {
                let list: Vec<String> = pages.iter().map(|(page, _)| page.to_string()).collect();
                self.log.push(format!("write {}", list.join(" ")));
                self.held.push_back(Way { ino, pages, fail });
                if !self.hold {
                    self.land();
                }
            }
            FsReq::SetLen { op, ino, old, len, .. } => {
                self.log.push(format!("length {old} {len}"));
                if let Some(errno) = self.refuse.take() {
                    return self.done(PagesDone::Done { op, result: Err(errno) });
                }
                self.grows(old, len);
                self.len.insert(ino, len);
                let cut = page_of(len.next_multiple_of(BLOCK as u64));
                self.media.retain(|(of, page), _| *of != ino || *page < cut);
                self.done(PagesDone::Done { op, result: Ok(()) });
            }
            FsReq::Sync { op, kind, .. } => {
                self.log.push(format!("sync {kind:?}"));
                self.done(PagesDone::Done { op, result: Ok(()) });
            }
            FsReq::SyncAll { op, .. } => {
                self.log.push("sync all".into());
                self.done(PagesDone::Done { op, result: Ok(()) });
            }
            FsReq::Free { .. } => self.log.push("free".into()),
            FsReq::Allocate { len, .. } => self.log.push(format!("allocate {len}")),
            FsReq::Unplug { .. } => {}
            _ => panic!("{req:?}"),
        }
    }

    /// The length of the file may be on the media before any byte is that is written from here
    /// on, so what stands there behind the old end must be zeros.
    fn grows(&mut self, old: u64, new: u64) {
        if new <= old || self.cache.rules.journal {
            return;
        }
        let content = self.media.get(&(F, page_of(old))).copied().unwrap_or_default();
        let behind = &self.cx.arena.bytes(content)[offset_of(old)..];
        let clear = offset_of(old) == 0 || behind.iter().all(|byte| *byte == 0);
        assert!(clear, "the file grows from {old} over bytes that were not cleared");
    }

    /// The oldest pages on their way reach the media, or fail.
    fn land(&mut self) {
        let Way { ino, pages, fail } = self.held.pop_front().unwrap();
        if fail.is_none() {
            self.media.extend(pages.iter().map(|(page, cargo)| ((ino, *page), cargo.content)));
        }
        let result = fail.map_or(Ok(()), Err);
        self.done(PagesDone::Written { ino, pages, result });
    }

    fn land_all(&mut self) {
        while !self.held.is_empty() {
            self.land();
            self.run();
        }
    }

    fn write_as(&mut self, at: u64, bytes: &[u8], sync: Option<Sync>) -> OpId {
        let op = self.op();
        let bytes = bytes.to_vec();
        self.ask(PagesReq::Write { op, task: TASK, ino: F, at, bytes, sync });
        op
    }

    fn write(&mut self, at: u64, bytes: &[u8]) -> OpId {
        self.write_as(at, bytes, None)
    }

    fn fsync_as(&mut self, fail: Option<Errno>) -> OpId {
        let op = self.op();
        self.ask(PagesReq::Fsync { op, task: TASK, ino: F, kind: Sync::All, fail });
        op
    }

    fn fsync(&mut self) -> OpId {
        self.fsync_as(None)
    }

    fn set_len(&mut self, len: u64) -> OpId {
        let op = self.op();
        self.ask(PagesReq::SetLen { op, task: TASK, ino: F, len });
        op
    }

    fn read(&mut self, at: u64, len: u64) -> Vec<u8> {
        let op = self.op();
        self.ask(PagesReq::Read { op, task: TASK, ino: F, at, len });
        match self.answers.remove(&op).unwrap().pop().unwrap().unwrap() {
            Done::Bytes(bytes) => bytes,
            other => panic!("{other:?}"),
        }
    }

    /// How a call ended, if it did.
    fn end(&self, op: OpId) -> Option<Result<(), Errno>> {
        match self.answers.get(&op)?.last()? {
            Ok(Done::Applied { done: false, .. }) => None,
            Ok(_) => Some(Ok(())),
            Err(errno) => Some(Err(*errno)),
        }
    }

    fn log(&mut self) -> Vec<String> {
        std::mem::take(&mut self.log)
    }

    /// The bytes of the file on the media, up to a length.
    fn on_media(&self, len: usize) -> Vec<u8> {
        let pages = u32::try_from(len.div_ceil(BLOCK)).unwrap();
        let mut bytes = Vec::new();
        for page in 0..pages {
            let content = self.media.get(&(F, page)).copied().unwrap_or_default();
            bytes.extend_from_slice(self.cx.arena.bytes(content));
        }
        bytes.truncate(len);
        bytes
    }

    /// Lets the clock go on, with all ticks on the way.
    fn until(&mut self, at: Ns) {
        while let Some(tick) = self.cache.next_tick().filter(|tick| *tick <= at) {
            assert!(tick >= self.cx.now, "a tick in the past");
            self.cx.now = tick;
            self.cache.tick(&mut self.cx);
            self.run();
        }
        self.cx.now = at;
    }

    fn kinds(&self) -> Vec<Kind> {
        self.cx.events.iter().map(|event| event.kind).collect()
    }
}

fn journal() -> Config {
    let options = Ext4Options { data: DataMode::Journal, ..Ext4Options::default() };
    Config { mount: Mount::Ext4(options), ..Config::default() }
}

fn fresh() -> Config {
    let mut config = Config::default();
    config.cache.share = Share::Fresh;
    config
}

#[test]
fn what_a_failed_truncation_cut_off_in_memory_is_read_again() {
    let mut rig = Rig::plain().with(b"0123456789");
    assert_eq!(rig.read(0, 20), b"0123456789");
    rig.refuse = Some(Errno::Rofs);
    let op = rig.set_len(4);
    assert_eq!(rig.end(op), Some(Err(Errno::Rofs)));
    assert_eq!(rig.read(0, 20).len(), 10);
    let mut rig = Rig::plain().with(&[7; 3 * BLOCK]);
    rig.read(0, 3 * 4096);
    rig.refuse = Some(Errno::Rofs);
    rig.set_len(4096);
    assert_eq!(rig.read(0, 3 * 4096), [7; 3 * BLOCK]);
}
