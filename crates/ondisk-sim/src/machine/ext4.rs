//! ext4 with its journal: names, places and lengths of files, and transactions that make their
//! changes durable together and in order.
//!
//! Invariant: what a mount finds is what some prefix of the transactions left, whenever the
//! machine dies. A block of metadata goes home only when the transaction that changed it is
//! durable in the journal; a block that was freed is given away only when the transaction that
//! freed it is.
//!
//! | module | what it does |
//! |---|---|
//! | `names` | create, link, unlink, rename |
//! | `write`, `resize`, `pages` | places and lengths of files |
//! | `handle` | how a change joins a transaction |
//! | `commit`, `checkpoint` | how a transaction becomes durable, and comes home |
//! | `sync` | who waits for what |
//! | `mount` | replay, orphans |
//! | [`disk`] | the bytes |
//!
//! Knows nothing of pages in memory, of descriptors and of paths.

use std::collections::VecDeque;

use super::Death;
use super::arena::{Arena, Marks};
use super::choice::Chooser;
use super::config::{Config, DataMode, Ext4Options, Sabotage};
use super::digest::Digest;
use super::ids::{EventId, Ino, Lba, Ns, OpId};
use super::layer::{Cx, Layer};
use super::message::{BioDone, BlockReq, Cargo, FsReq, Msg};

mod answer;
mod bios;
mod checkpoint;
mod commit;
pub mod disk;
mod extents;
mod handle;
mod mount;
mod names;
mod node;
mod orphans;
mod pages;
mod ranges;
mod resize;
mod space;
mod state;
mod sync;
mod txn;
mod write;

#[cfg(test)]
mod tests;

use bios::{Bios, Why};
use disk::Geometry;
use mount::Mounting;
use node::Node;
use space::Space;
use txn::Journal;
use write::PageWrite;

/// ext4 with its journal.
#[derive(Clone, Debug)]
pub struct Ext4 {
    options: Ext4Options,
    sabotage: Option<Sabotage>,
    geometry: Geometry,
    /// By number.
    inodes: Vec<Option<Node>>,
    /// Below it no inode is free.
    lowest: Ino,
    /// In the order of the list on the media.
    orphans: Vec<Ino>,
    space: Space,
    journal: Journal,
    bios: Bios,
    /// What waits for a handle, in order.
    waiting: VecDeque<(EventId, Work)>,
    /// Something happened for which they may wait.
    stirred: bool,
    /// Pages that wait for the transaction that cut them.
    held: Vec<PageWrite>,
    /// Calls between begin and end.
    begun: Vec<write::Begun>,
    /// What is done once nothing else is due at this instant.
    soon: Vec<(EventId, Work)>,
    /// When ordered data were asked for that did not come.
    asked: bool,
    /// When to write blocks home.
    home_at: Option<Ns>,
    /// The instant, as the last message had it.
    now: Ns,
    mounting: Option<Box<Mounting>>,
    /// Lists of pages, used again.
    lists: Vec<Vec<(u32, Cargo)>>,
    /// Runs of pages, used again.
    runs: Vec<(u32, u32)>,
    /// Blocks of the ring, used again.
    log: Vec<commit::Entry>,
    /// Tags of a descriptor, used again.
    tags: Vec<disk::jbd::Tag>,
}

/// Something that needs a handle and may have to wait for it.
#[derive(Clone, Debug)]
enum Work {
    /// A request.
    Req(FsReq),
    /// A request before which pages were to get their place: they have it, or are gone.
    Placed(FsReq),
    /// Pages that have no place, or make the file longer.
    Place(PageWrite),
    /// Data are written: their extent counts.
    Convert { ino: Ino, page: u32, op: OpId, pages: Vec<(u32, Cargo)> },
    /// Pages of one write that did not fit into one transaction, in `data=journal`.
    Journal(pages::Ended),
}

impl Ext4 {
    /// A file system that is still to be mounted.
    #[must_use]
    pub fn new(config: &Config, options: Ext4Options) -> Self {
        Self {
            options,
            sabotage: config.sabotage,
            geometry: Geometry::default(),
            inodes: Vec::new(),
            lowest: disk::FIRST_INO,
            orphans: Vec::new(),
            space: Space::default(),
            journal: Journal::default(),
            bios: Bios::default(),
            waiting: VecDeque::new(),
            stirred: false,
            held: Vec::new(),
            begun: Vec::new(),
            soon: Vec::new(),
            asked: false,
            home_at: None,
            now: Ns(0),
            mounting: None,
            lists: Vec::new(),
            runs: Vec::new(),
            log: Vec::new(),
            tags: Vec::new(),
        }
    }

    fn is(&self, sabotage: Sabotage) -> bool {
        self.sabotage == Some(sabotage)
    }

    fn journals_data(&self) -> bool {
        self.options.data == DataMode::Journal
    }

    /// Whether new extents are born unwritten.
    fn dioread_nolock(&self) -> bool {
        !self.options.dioread_lock && self.options.delalloc && !self.journals_data()
    }

    fn node(&self, ino: Ino) -> Option<&Node> {
        self.inodes.get(ino.index())?.as_ref()
    }

    fn node_mut(&mut self, ino: Ino) -> Option<&mut Node> {
        self.inodes.get_mut(ino.index())?.as_mut()
    }

    /// Lists of pages come with requests and go with answers, not as many of the one as of the
    /// other: some are kept here, the rest is anybody's.
    fn share_lists(&mut self, cx: &mut Cx) {
        while self.lists.len() > 4 {
            self.lists.pop().into_iter().for_each(|list| cx.give_back_pages(list));
        }
        while self.lists.len() < 2 {
            self.lists.push(cx.pages());
        }
    }

    fn list(&mut self) -> Vec<(u32, Cargo)> {
        self.lists.pop().unwrap_or_default()
    }

    fn give_back(&mut self, mut list: Vec<(u32, Cargo)>) {
        list.clear();
        if list.capacity() > 0 && self.lists.len() < 64 {
            self.lists.push(list);
        }
    }

    /// Does something now, or later if it has to wait or others do.
    fn work(&mut self, cx: &mut Cx, work: Work) {
        if !self.waiting.is_empty() || !self.may(cx, &work) {
            self.waiting.push_back((cx.reason(), work));
            return;
        }
        self.perform(cx, work);
    }

    /// Does what waited and need not any more.
    fn pump(&mut self, cx: &mut Cx) {
        while std::mem::take(&mut self.stirred) {
            while let Some((cause, work)) = self.waiting.pop_front() {
                if !self.may(cx, &work) {
                    self.waiting.push_front((cause, work));
                    break;
                }
                cx.because(cause);
                self.perform(cx, work);
            }
        }
    }

    /// Whether something may be done now. If not, what it waits for is under way.
    fn may(&mut self, cx: &mut Cx, work: &Work) -> bool {
        self.ready(cx, work) && self.admit(cx, self.credits(cx, work))
    }

    fn perform(&mut self, cx: &mut Cx, work: Work) {
        match work {
            Work::Req(req) if self.places_first(cx, &req) => {
                self.soon.push((cx.reason(), Work::Placed(req)));
            }
            Work::Req(req) | Work::Placed(req) => self.request(cx, req),
            Work::Place(write) => self.place(cx, write),
            Work::Convert { ino, page, op, pages } => self.convert(cx, ino, page, op, pages),
            Work::Journal(ended) => self.journal_pages(cx, ended),
        }
        self.handle_done(cx);
    }

    fn request(&mut self, cx: &mut Cx, req: FsReq) {
        match req {
            FsReq::Create { .. } => self.create(cx, req),
            FsReq::Link { op, dir, name, ino, .. } => self.link(cx, op, dir, name, ino),
            FsReq::Unlink { op, dir, name, ino, open, .. } => {
                self.unlink(cx, op, dir, &name, ino, open);
            }
            FsReq::Rename { .. } => self.rename(cx, req),
            FsReq::Exchange { op, a, b, .. } => self.exchange(cx, op, &a, &b),
            FsReq::Chmod { op, ino, mode, .. } => self.chmod(cx, op, ino, mode),
            FsReq::Allocate { op, ino, len, .. } => self.allocate(cx, op, ino, len),
            FsReq::Free { ino } => self.free(cx, ino),
            FsReq::WriteBegin { op, ino, at, len, .. } => self.write_begin(cx, op, ino, at, len),
            FsReq::SetLen { op, ino, len, .. } => self.set_len(cx, op, ino, len),
            FsReq::Sync { op, task, ino, kind } => self.sync(cx, op, task, ino, kind),
            FsReq::SyncDir { op, task, .. } => self.sync_dir(cx, op, task),
            FsReq::SyncAll { op, task } => self.sync_all(cx, op, task),
            _ => {}
        }
    }
}

impl Layer for Ext4 {
    type Req = FsReq;
    type Done = BioDone;

    fn accept(&mut self, cx: &mut Cx, req: Self::Req) {
        self.now = cx.now;
        self.share_lists(cx);
        match req {
            FsReq::Mount(loaded) => self.mount(cx, *loaded),
            FsReq::Seen { ino } => {
                if let Some(node) = self.node_mut(ino) {
                    node.seen = true;
                }
            }
            FsReq::WriteEnd { op, ino, size, pages } => self.write_end(cx, op, ino, size, pages),
            FsReq::ReadPage { ino, page, task } => self.read_page(cx, ino, page, task),
            FsReq::WritePages { op, task, ino, pages, size, fail } => {
                self.write_pages(cx, PageWrite { op, task, ino, pages, size, fail });
            }
            FsReq::Unplug { task } => cx.send(Msg::Block(BlockReq::Unplug(task))),
            req => self.work(cx, Work::Req(req)),
        }
        self.pump(cx);
    }

    fn complete(&mut self, cx: &mut Cx, done: Self::Done) {
        self.now = cx.now;
        self.share_lists(cx);
        let BioDone { id, cargo, result } = done;
        let Some(why) = self.bios.close(id) else { return cx.give_back(cargo) };
        match why {
            Why::Data { ino, page, convert, op } => {
                let pages = self.taken_pages(page, &cargo);
                self.data_done(cx, id, (ino, page, convert, op), pages, result);
            }
            Why::Read { ino, page } => {
                let content = cargo.first().map_or_else(Default::default, |cargo| cargo.content);
                self.page_read(cx, ino, page, result.map(|()| content));
            }
            Why::Log => self.log_done(cx, result),
            Why::Commit => self.commit_done(cx, result),
            Why::Home { lba } => {
                self.home_done(cx, lba, &cargo, result);
            }
            Why::TailFlush => self.tail_flushed(cx, result),
            Why::Tail => self.tail_moved(cx, result),
            Why::SyncFlush { op, to } => answer::answer(cx, to, op, result),
            Why::Replay | Why::ReplayFlush | Why::ReplaySuper => self.replay_done(cx, &why, result),
        }
        cx.give_back(cargo);
        self.pump(cx);
    }

    fn tick(&mut self, cx: &mut Cx) {
        self.now = cx.now;
        self.on_tick(cx);
        self.pump(cx);
    }

    fn next_tick(&self) -> Option<Ns> {
        if !self.soon.is_empty() || self.asked {
            return Some(self.now);
        }
        [self.commit_at(), self.home_at].into_iter().flatten().min()
    }

    fn power_cut(&mut self, _: Death, _: &mut Arena, _: &mut dyn Chooser) {}

    fn digest(&self, arena: &Arena, digest: &mut Digest) {
        self.add_state(arena, digest);
    }

    fn marks(&self, marks: &mut Marks) {
        self.add_marks(marks);
    }
}

/// A page as a number of blocks.
fn page_of(at: u64) -> u32 {
    u32::try_from(at / ondisk_fs::BLOCK as u64).unwrap_or(u32::MAX)
}

/// The page behind the last byte of a length.
fn pages_of(len: u64) -> u32 {
    u32::try_from(len.div_ceil(ondisk_fs::BLOCK as u64)).unwrap_or(u32::MAX)
}

/// A place further on.
const fn lba_at(lba: Lba, n: u32) -> Lba {
    Lba(lba.0 + n)
}
