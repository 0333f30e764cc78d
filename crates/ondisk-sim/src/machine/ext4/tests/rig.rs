//! The file system alone between a toy page cache and a toy device.
//!
//! Invariant: the device promises what a drive promises and no more: a write is durable when a
//! FLUSH that came after its completion is done, or when it is done itself and had FUA.

use std::collections::{BTreeMap, BTreeSet};

use crate::machine::Errno;
use crate::machine::arena::{Arena, Marks};
use crate::machine::config::{Config, Ext4Options, Sabotage};
use crate::machine::digest::mix2;
use crate::machine::event::{Event, Kind as What};
use crate::machine::ext4::Ext4;
use crate::machine::ext4::disk::{self, Loaded, MountError};
use crate::machine::ids::{BioId, BlockId, Ino, Lba, Ns, OpId, PageVer, TaskId};
use crate::machine::layer::{Cx, Layer};
use crate::machine::message::{
    Bio, BioDone, BioWhat, BlockReq, Cargo, Done, FsReq, Kind, Msg, PagesDone, Sync, VfsDone,
};
use crate::ops::Image;
use crate::ops::record::{Recorder, Running, Synced};
use crate::ops::{self, At, SyncKind};

const BLOCK: u64 = ondisk_fs::BLOCK as u64;

/// A write that the device was given.
#[derive(Clone, Debug)]
pub(super) struct Given {
    pub(super) bio: Bio,
    pub(super) done: bool,
    /// Completed when the flush that is counted here began.
    covered: bool,
}

/// What a file is in the toy page cache.
#[derive(Clone, Debug, Default)]
pub(super) struct File {
    pub(super) size: u64,
    pub(super) pages: BTreeMap<u32, BlockId>,
    pub(super) dirty: BTreeSet<u32>,
    flying: BTreeSet<u32>,
}

/// What is recorded when a call is answered.
#[derive(Clone, Debug)]
pub(super) enum Note {
    Create(Ino, Vec<u8>, Kind),
    Link(Ino, Ino, Vec<u8>),
    Unlink(Ino, Vec<u8>),
    Rename((Ino, Vec<u8>), (Ino, Vec<u8>)),
    SetLen(Ino, u64),
    Allocate(Ino, u64),
    Synced(usize),
}

/// A sync of a file that is under way.
#[derive(Clone, Debug)]
struct Syncing {
    ino: Ino,
    kind: Sync,
    /// Pages that are still to be written.
    need: BTreeSet<u32>,
    note: usize,
    failed: bool,
}

/// The file system with what stands above and below it.
#[derive(Clone, Debug)]
pub(super) struct Rig {
    pub(super) fs: Ext4,
    pub(super) cx: Cx,
    pub(super) journals_data: bool,
    pub(super) durable: BTreeMap<Lba, BlockId>,
    /// Not durable, in the order in which they came.
    pub(super) given: Vec<Given>,
    pub(super) files: BTreeMap<Ino, File>,
    pub(super) answers: BTreeMap<OpId, Result<Option<Ino>, Errno>>,
    pub(super) tree: Option<disk::Tree>,
    next_op: u32,
    /// Orders completions; 0: as they came.
    pub(super) seed: u64,
    pub(super) events: Vec<Event>,
    pub(super) written: Vec<(Ino, Result<(), Errno>)>,
    /// The device fails the next write to the journal.
    pub(super) fail_log: bool,
    read: BTreeMap<(Ino, u32), BlockId>,
    /// What was called, for the models.
    pub(super) recorder: Recorder,
    /// The recorder's numbers of inodes.
    pub(super) known: BTreeMap<Ino, ops::Ino>,
    pub(super) notes: BTreeMap<OpId, Note>,
    running: Vec<Option<Running>>,
    syncing: Vec<Syncing>,
    /// At each moment before the device completes something, what was left by cuts by these.
    pub(super) cuts: Vec<u64>,
    pub(super) shots: Vec<(At, Image)>,
    steps: u32,
}

impl Rig {
    pub(super) fn new(base: &Image, options: Ext4Options, sabotage: Option<Sabotage>) -> Self {
        let mut arena = Arena::new();
        let blocks = disk::format(base, &options, &mut arena).unwrap();
        Self::mount(blocks.into_iter().collect(), arena, options, sabotage).unwrap()
    }

    /// A second life on the media of a first.
    pub(super) fn mount(
        durable: BTreeMap<Lba, BlockId>,
        mut arena: Arena,
        options: Ext4Options,
        sabotage: Option<Sabotage>,
    ) -> Result<Self, MountError> {
        let loaded = recover(&durable, &mut arena)?;
        let read = |lba: Lba| durable.get(&lba).copied().unwrap_or_default();
        let base = disk::image(&loaded, &read, &mut arena)?;
        let mut rig = Self::boot(durable, &mut arena, options, sabotage, &base)?;
        rig.run();
        rig.learn();
        Ok(rig)
    }

    /// Which of the recorder's inodes are those of the tree.
    fn learn(&mut self) {
        let tree = self.tree.clone().expect("the mount comes to its end");
        let mut left = vec![Ino::ROOT];
        while let Some(dir) = left.pop() {
            for (name, ino) in &tree.nodes[&dir].entries {
                let known = self.recorder.lookup(self.known[&dir], name).unwrap();
                self.known.insert(*ino, known);
                if tree.nodes[ino].kind == Kind::Dir {
                    left.push(*ino);
                }
            }
        }
    }

    /// As [`mount`](Self::mount), with the mount still to be run.
    pub(super) fn boot(
        durable: BTreeMap<Lba, BlockId>,
        arena: &mut Arena,
        options: Ext4Options,
        sabotage: Option<Sabotage>,
        base: &Image,
    ) -> Result<Self, MountError> {
        let loaded = recover(&durable, arena)?;
        let config = Config { sabotage, ..Config::default() };
        let files = loaded.inodes.iter().zip(0..).filter_map(|(inode, ino)| {
            let inode = inode.as_ref().filter(|inode| inode.kind == Kind::File)?;
            Some((Ino(ino), File { size: inode.size, ..File::default() }))
        });
        let mut rig = Self {
            fs: Ext4::new(&config, options),
            cx: Cx::new(arena.clone(), 7),
            journals_data: options.data == crate::machine::config::DataMode::Journal,
            durable,
            given: Vec::new(),
            files: files.collect(),
            answers: BTreeMap::new(),
            tree: None,
            next_op: 1,
            seed: 0,
            events: Vec::new(),
            written: Vec::new(),
            fail_log: false,
            read: BTreeMap::new(),
            recorder: Recorder::new(base),
            known: BTreeMap::from([(Ino::ROOT, ops::Ino::ROOT)]),
            notes: BTreeMap::new(),
            running: Vec::new(),
            syncing: Vec::new(),
            cuts: Vec::new(),
            shots: Vec::new(),
            steps: 0,
        };
        rig.cx.send(Msg::Fs(FsReq::Mount(Box::new(loaded))));
        Ok(rig)
    }

    pub(super) fn op(&mut self) -> OpId {
        self.next_op += 1;
        OpId(self.next_op)
    }

    /// Delivers one message or completes one bio; `false` if there is neither.
    pub(super) fn step(&mut self) -> bool {
        if let Some(msg) = self.cx.take() {
            self.deliver(msg);
        } else if self.fs.next_tick().is_some_and(|at| at <= self.cx.now) {
            self.cx.because(crate::machine::ids::EventId(0));
            self.fs.tick(&mut self.cx);
        } else if let Some(at) = self.next_bio() {
            self.shoot();
            self.cx.now = self.cx.now + Ns(50_000);
            self.complete(at);
        } else {
            return false;
        }
        self.events.extend(self.cx.events.drain(..));
        true
    }

    /// Takes down what cuts would leave now, and forgets contents that nobody holds.
    fn shoot(&mut self) {
        for seed in self.cuts.clone() {
            let image = self.image(seed).unwrap();
            self.shots.push((self.recorder.here(), image));
        }
        self.steps += 1;
        if self.steps % 16 == 0 {
            let mut marks = Marks::default();
            self.fs.marks(&mut marks);
            self.durable.values().for_each(|content| marks.hold(*content));
            let given = self.given.iter().flat_map(|given| &given.bio.cargo);
            given.for_each(|cargo| marks.hold(cargo.content));
            let pages = self.files.values().flat_map(|file| file.pages.values());
            pages.chain(self.read.values()).for_each(|content| marks.hold(*content));
            self.cx.arena.sweep(&marks);
        }
    }

    /// Runs until nothing is under way.
    pub(super) fn run(&mut self) {
        let mut steps = 0;
        while self.step() {
            steps += 1;
            assert!(steps < 2_000_000, "it goes round in circles");
        }
    }

    /// Lets time pass.
    pub(super) fn wait(&mut self, time: Ns) {
        self.run();
        let until = self.cx.now + time;
        while let Some(at) = self.fs.next_tick().filter(|at| *at <= until) {
            self.cx.now = self.cx.now.max(at);
            self.run();
        }
        self.cx.now = self.cx.now.max(until);
    }

    fn next_bio(&mut self) -> Option<usize> {
        let open: Vec<usize> = (0..self.given.len()).filter(|at| !self.given[*at].done).collect();
        if self.seed == 0 {
            return open.first().copied();
        }
        self.seed = mix2(self.seed, 1);
        let many = u64::try_from(open.len()).unwrap().max(1);
        open.get(usize::try_from(self.seed % many).unwrap()).copied()
    }

    fn deliver(&mut self, msg: Msg) {
        match msg {
            Msg::Fs(req) => self.fs.accept(&mut self.cx, req),
            Msg::BioDone(done) => self.fs.complete(&mut self.cx, done),
            Msg::Block(BlockReq::Submit(bio)) => self.given(bio),
            Msg::VfsDone(VfsDone { op, result }) => {
                let result = result.map(|done| match done {
                    Done::Ino(ino) => {
                        self.files.insert(ino, File::default());
                        Some(ino)
                    }
                    Done::Mounted(tree) => {
                        self.tree = Some(*tree);
                        None
                    }
                    _ => None,
                });
                self.note(op, result);
                self.answers.insert(op, result);
            }
            Msg::PagesDone(done) => self.pages_done(done),
            _ => {}
        }
    }

    fn pages_done(&mut self, done: PagesDone) {
        match done {
            PagesDone::Ready { op, result } | PagesDone::Done { op, result } => {
                self.note(op, result.map(|()| None));
                self.answers.insert(op, result.map(|()| None));
            }
            PagesDone::Written { ino, pages, result } => self.arrived(ino, &pages, result),
            PagesDone::Start { ino } => self.start(OpId(0), TaskId::KERNEL, ino, None),
            PagesDone::Page { ino, page, result } => {
                self.read.insert((ino, page), result.unwrap());
            }
        }
    }

    /// Pages came back.
    fn arrived(&mut self, ino: Ino, pages: &[(u32, Cargo)], result: Result<(), Errno>) {
        self.written.push((ino, result));
        let Some(file) = self.files.get_mut(&ino) else { return };
        for (page, _) in pages {
            file.flying.remove(page);
        }
        let dirty = file.dirty.clone();
        let mut again = false;
        for sync in self.syncing.iter_mut().filter(|sync| sync.ino == ino) {
            for (page, _) in pages {
                match dirty.contains(page) {
                    true => again = true,
                    false => drop(sync.need.remove(page)),
                }
            }
            sync.failed |= result.is_err();
        }
        if again {
            self.start(OpId(0), TaskId(1), ino, None);
        }
        self.synced_data();
    }

    /// Syncs whose pages are written go to the file system.
    fn synced_data(&mut self) {
        for at in (0..self.syncing.len()).rev() {
            if !self.syncing[at].need.is_empty() {
                continue;
            }
            let Syncing { ino, kind, note, failed, .. } = self.syncing.swap_remove(at);
            let op = self.op();
            self.notes.insert(op, Note::Synced(note));
            match failed {
                true => self.note(op, Err(Errno::Io)),
                false => {
                    self.cx.send(Msg::Fs(FsReq::Sync { op, task: TaskId(1), ino, kind }));
                }
            }
        }
    }

    /// Begins to sync a file; it may go on while others are called.
    pub(super) fn begin_sync(&mut self, ino: Ino, kind: Sync, fail: Option<Errno>) {
        let what = match kind {
            Sync::Data => SyncKind::Data,
            Sync::All => SyncKind::All,
        };
        let note = self.called(Synced::File(self.known[&ino], what));
        let file = &self.files[&ino];
        let need = file.dirty.union(&file.flying).copied().collect();
        self.syncing.push(Syncing { ino, kind, need, note, failed: false });
        self.start(OpId(0), TaskId(1), ino, fail);
        self.synced_data();
    }

    /// A sync is called.
    pub(super) fn called(&mut self, what: Synced) -> usize {
        self.running.push(Some(self.recorder.sync_called(what)));
        self.running.len() - 1
    }

    /// A call is answered: the recorder is told.
    fn note(&mut self, op: OpId, result: Result<Option<Ino>, Errno>) {
        let Some(note) = self.notes.remove(&op) else { return };
        if let Note::Synced(at) = note {
            let Some(running) = self.running[at].take() else { return };
            let result = result.map(drop).map_err(|_| std::io::ErrorKind::Other);
            return self.recorder.sync_returned(running, result);
        }
        let (Ok(made), recorder, known) = (result, &mut self.recorder, &mut self.known) else {
            return;
        };
        match note {
            Note::Create(dir, name, kind) => {
                let ino = match kind {
                    Kind::Dir => recorder.mkdir(known[&dir], &name),
                    _ => recorder.create(known[&dir], &name),
                };
                known.insert(made.unwrap(), ino);
            }
            Note::Link(ino, dir, name) => recorder.link(known[&ino], known[&dir], &name),
            Note::Unlink(dir, name) => recorder.unlink(known[&dir], &name),
            Note::Rename(from, to) => {
                recorder.rename((known[&from.0], &from.1), (known[&to.0], &to.1));
            }
            Note::SetLen(ino, len) => recorder.set_len(known[&ino], len).unwrap(),
            Note::Allocate(ino, len) => recorder.allocate(known[&ino], len).unwrap(),
            Note::Synced(_) => {}
        }
    }

    /// Whether a run of writes begins in the journal.
    fn is_log(&self, lba: Lba) -> bool {
        (1..1025).contains(&lba.0)
    }

    fn given(&mut self, bio: Bio) {
        if bio.what == BioWhat::Read {
            let content = self.newest(bio.lba);
            let cargo = vec![Cargo { content, ver: PageVer(0) }];
            let done = BioDone { id: bio.id, cargo, result: Ok(()) };
            return self.cx.send(Msg::BioDone(done));
        }
        if bio.preflush {
            // What is completed now is durable when this is done.
            self.given.iter_mut().for_each(|given| given.covered |= given.done);
        }
        self.given.push(Given { bio, done: false, covered: false });
    }

    fn complete(&mut self, at: usize) {
        self.given[at].done = true;
        let bio = self.given[at].bio.clone();
        let failing = self.fail_log && bio.what == BioWhat::Write && self.is_log(bio.lba);
        let result = match bio.fail {
            Some(errno) => Err(errno),
            None if failing => Err(Errno::Io),
            None => Ok(()),
        };
        if result.is_err() {
            self.given.remove(at);
        } else {
            if bio.fua {
                self.given[at].covered = true;
            }
            if bio.preflush || bio.fua {
                self.settle(bio.preflush, bio.id);
            }
        }
        self.cx.send(Msg::BioDone(BioDone { id: bio.id, cargo: bio.cargo, result }));
    }

    /// Makes durable what was covered.
    fn settle(&mut self, flushed: bool, id: BioId) {
        let mut rest = Vec::new();
        for given in std::mem::take(&mut self.given) {
            let own = given.bio.id == id && given.bio.fua;
            let is_durable = given.done && given.covered && (flushed || own);
            match is_durable || (given.done && given.bio.what == BioWhat::Flush) {
                true => put(&mut self.durable, &given.bio),
                false => rest.push(given),
            }
        }
        self.given = rest;
    }

    /// What a read answers.
    fn newest(&self, lba: Lba) -> BlockId {
        let mut media = self.durable.clone();
        self.given.iter().filter(|given| given.done).for_each(|given| put(&mut media, &given.bio));
        media.get(&lba).copied().unwrap_or_default()
    }

    /// The media after a cut: each block that is not durable is there or not, by a seed; 0 leaves
    /// none of them, `u64::MAX` all.
    pub(super) fn cut(&self, seed: u64) -> BTreeMap<Lba, BlockId> {
        let mut media = self.durable.clone();
        let kept = |nth: usize, at: usize| match seed {
            0 => false,
            u64::MAX => true,
            _ => mix2(mix2(seed, nth as u64), at as u64) % 2 == 0,
        };
        for (nth, given) in self.given.iter().enumerate() {
            // The blocks of one that flushes come behind its FLUSH.
            if given.bio.preflush && !given.done {
                if !kept(nth, usize::MAX) {
                    continue;
                }
                let covered = self.given.iter().filter(|given| given.done && given.covered);
                covered.for_each(|given| put(&mut media, &given.bio));
            }
            for (at, cargo) in given.bio.cargo.iter().enumerate() {
                if kept(nth, at) {
                    media.insert(Lba(given.bio.lba.0 + u32::try_from(at).unwrap()), cargo.content);
                }
            }
        }
        media
    }

    /// The files that a mount would show.
    pub(super) fn image(&mut self, seed: u64) -> Result<Image, MountError> {
        let media = self.cut(seed);
        let mut arena = self.cx.arena.clone();
        let loaded = recover(&media, &mut arena)?;
        let read = |lba: Lba| media.get(&lba).copied().unwrap_or_default();
        disk::image(&loaded, &read, &mut arena)
    }

    // Calls.

    pub(super) fn ask(&mut self, note: Option<Note>, req: impl FnOnce(OpId) -> FsReq) -> OpId {
        let op = self.op();
        if let Some(note) = note {
            self.notes.insert(op, note);
        }
        let req = req(op);
        self.cx.because(crate::machine::ids::EventId(0));
        self.cx.send(Msg::Fs(req));
        op
    }

    pub(super) fn call(
        &mut self,
        note: Option<Note>,
        req: impl FnOnce(OpId) -> FsReq,
    ) -> Result<Option<Ino>, Errno> {
        let op = self.ask(note, req);
        self.until(op)
    }

    pub(super) fn until(&mut self, op: OpId) -> Result<Option<Ino>, Errno> {
        while !self.answers.contains_key(&op) {
            assert!(self.step(), "no answer comes");
        }
        self.answers.remove(&op).unwrap()
    }

    pub(super) fn create(&mut self, dir: Ino, name: &str) -> Result<Ino, Errno> {
        self.make(dir, name, Kind::File)
    }

    pub(super) fn make(&mut self, dir: Ino, name: &str, kind: Kind) -> Result<Ino, Errno> {
        let name: Box<[u8]> = name.as_bytes().into();
        let note = Note::Create(dir, name.to_vec(), kind);
        let made = self.call(Some(note), |op| FsReq::Create {
            op,
            task: TaskId(1),
            dir,
            name,
            kind,
            mode: 0o644,
            target: Box::default(),
        });
        made.map(Option::unwrap)
    }

    pub(super) fn write(&mut self, ino: Ino, at: u64, bytes: &[u8]) -> Result<(), Errno> {
        let (len, size) = (bytes.len() as u64, self.files[&ino].size);
        for page in [at / BLOCK, (at + len) / BLOCK, size / BLOCK] {
            self.page(ino, u32::try_from(page).unwrap());
        }
        let op = self.ask(None, |op| FsReq::WriteBegin { op, task: TaskId(1), ino, at, len, size });
        self.until(op)?;
        let pages = self.apply(ino, at, bytes);
        if let Some(known) = self.known.get(&ino) {
            self.recorder.write(*known, at, bytes).unwrap();
        }
        let size = self.files[&ino].size;
        self.cx.send(Msg::Fs(FsReq::WriteEnd { op, ino, size, pages }));
        while let Some(msg) = self.cx.take() {
            self.deliver(msg);
        }
        Ok(())
    }

    fn apply(&mut self, ino: Ino, at: u64, bytes: &[u8]) -> Vec<(u32, Cargo)> {
        let end = at + bytes.len() as u64;
        let (first, last) = (at / BLOCK, end.div_ceil(BLOCK));
        let mut pages = Vec::new();
        for page in first..last {
            let number = u32::try_from(page).unwrap();
            let old = self.page(ino, number);
            let (from, to) = (at.max(page * BLOCK), end.min((page + 1) * BLOCK));
            let part =
                &bytes[usize::try_from(from - at).unwrap()..usize::try_from(to - at).unwrap()];
            let content =
                self.cx.arena.patch(old, usize::try_from(from - page * BLOCK).unwrap(), part);
            let file = self.files.get_mut(&ino).unwrap();
            file.pages.insert(number, content);
            if self.journals_data {
                pages.push((number, Cargo { content, ver: PageVer(0) }));
            } else {
                file.dirty.insert(number);
            }
        }
        let file = self.files.get_mut(&ino).unwrap();
        let last = u32::try_from(file.size / BLOCK).unwrap();
        let grows = end > file.size && !file.size.is_multiple_of(BLOCK);
        if self.journals_data && grows && u64::from(last) < first {
            // What was cut off there in memory alone goes along.
            pages.insert(0, (last, Cargo { content: file.pages[&last], ver: PageVer(0) }));
        }
        file.size = file.size.max(end);
        pages
    }

    /// A page as the page cache has it, read from below if it has not.
    pub(super) fn page(&mut self, ino: Ino, page: u32) -> BlockId {
        if let Some(content) = self.files[&ino].pages.get(&page) {
            return *content;
        }
        self.cx.send(Msg::Fs(FsReq::ReadPage { ino, page, task: TaskId(1) }));
        loop {
            if let Some(content) = self.read.remove(&(ino, page)) {
                self.files.get_mut(&ino).unwrap().pages.insert(page, content);
                return content;
            }
            assert!(self.step(), "no page comes");
        }
    }

    /// Sends the dirty pages of a file down, without waiting.
    pub(super) fn start(&mut self, op: OpId, task: TaskId, ino: Ino, fail: Option<Errno>) {
        let Some(file) = self.files.get_mut(&ino) else { return };
        let (later, now) = file.dirty.iter().partition(|page| file.flying.contains(page));
        file.dirty = later;
        let now: BTreeSet<u32> = now;
        let pages: Vec<_> = now
            .into_iter()
            .map(|page| (page, Cargo { content: file.pages[&page], ver: PageVer(0) }))
            .collect();
        file.flying.extend(pages.iter().map(|(page, _)| *page));
        let size = file.size;
        if !pages.is_empty() {
            self.cx.send(Msg::Fs(FsReq::WritePages { op, task, ino, pages, size, fail }));
        }
        self.cx.send(Msg::Fs(FsReq::Unplug { task }));
    }

    /// Sends the dirty pages of a file down, and waits.
    pub(super) fn flush(&mut self, ino: Ino) {
        self.start(OpId(0), TaskId(1), ino, None);
        while !self.files[&ino].flying.is_empty() {
            assert!(self.step(), "pages do not come back");
        }
    }

    pub(super) fn sync(&mut self, ino: Ino, kind: Sync) -> Result<(), Errno> {
        self.flush(ino);
        self.call(None, |op| FsReq::Sync { op, task: TaskId(1), ino, kind }).map(|_| ())
    }

    pub(super) fn fsync(&mut self, ino: Ino) -> Result<(), Errno> {
        self.sync(ino, Sync::All)
    }

    pub(super) fn set_len(&mut self, ino: Ino, len: u64) -> Result<(), Errno> {
        while !self.files[&ino].flying.is_empty() {
            assert!(self.step(), "pages do not come back");
        }
        let old = self.files[&ino].size;
        if self.journals_data && len > old && !old.is_multiple_of(BLOCK) {
            let last = self.bytes(ino).pop().unwrap();
            self.write(ino, old - 1, &[last])?;
        }
        let last = u32::try_from(len / BLOCK).unwrap();
        let cuts = len < old && !len.is_multiple_of(BLOCK);
        let content = if cuts { self.page(ino, last) } else { BlockId::ZERO };
        let note = Note::SetLen(ino, len);
        self.call(Some(note), |op| FsReq::SetLen { op, task: TaskId(1), ino, old, len })?;
        let file = self.files.get_mut(&ino).unwrap();
        if cuts {
            let content = file.pages.get(&last).copied().unwrap_or(content);
            let keep = usize::try_from(len % BLOCK).unwrap();
            let zeros = vec![0; ondisk_fs::BLOCK - keep];
            file.pages.insert(last, self.cx.arena.patch(content, keep, &zeros));
            if !self.journals_data {
                file.dirty.insert(last);
            }
        }
        let behind = u32::try_from(len.div_ceil(BLOCK)).unwrap();
        file.pages.retain(|page, _| *page < behind);
        file.dirty.retain(|page| *page < behind);
        file.size = len;
        Ok(())
    }

    pub(super) fn unlink(&mut self, dir: Ino, name: &str, ino: Ino, open: bool) {
        let name: Box<[u8]> = name.as_bytes().into();
        let note = Note::Unlink(dir, name.to_vec());
        let gone =
            self.call(Some(note), |op| FsReq::Unlink { op, task: TaskId(1), dir, name, ino, open });
        gone.unwrap();
    }

    pub(super) fn free(&mut self, ino: Ino) {
        while self.files.get(&ino).is_some_and(|file| !file.flying.is_empty()) {
            assert!(self.step(), "pages do not come back");
        }
        self.files.remove(&ino);
        self.cx.send(Msg::Fs(FsReq::Free { ino }));
    }

    /// Waits for the syncs of a file.
    pub(super) fn finish(&mut self, ino: Ino) {
        if self.syncing.iter().any(|sync| sync.ino == ino) {
            self.run();
        }
    }

    pub(super) fn allocate(&mut self, ino: Ino, len: u64) -> Result<(), Errno> {
        let size = self.files[&ino].size;
        if self.journals_data && len > size && !size.is_multiple_of(BLOCK) {
            let last = self.bytes(ino).pop().unwrap();
            self.write(ino, size - 1, &[last])?;
        }
        let note = Note::Allocate(ino, len);
        self.call(Some(note), |op| FsReq::Allocate { op, task: TaskId(1), ino, len })?;
        let file = self.files.get_mut(&ino).unwrap();
        file.size = file.size.max(len);
        Ok(())
    }

    pub(super) fn rename(
        &mut self,
        from: (Ino, &str),
        to: (Ino, &str),
        ino: Ino,
        replaced: Option<Ino>,
    ) -> Result<(), Errno> {
        let from: (Ino, Box<[u8]>) = (from.0, from.1.as_bytes().into());
        let to: (Ino, Box<[u8]>) = (to.0, to.1.as_bytes().into());
        let replaced = replaced.map(|ino| (ino, true));
        let plain = |(dir, name): &(Ino, Box<[u8]>)| (*dir, name.to_vec());
        let note = Note::Rename(plain(&from), plain(&to));
        self.call(Some(note), |op| FsReq::Rename { op, task: TaskId(1), from, to, ino, replaced })
            .map(|_| ())
    }

    /// The bytes of a file as programs see them.
    pub(super) fn bytes(&mut self, ino: Ino) -> Vec<u8> {
        let size = self.files[&ino].size;
        let mut bytes = Vec::new();
        for page in 0..u32::try_from(size.div_ceil(BLOCK)).unwrap() {
            let content = self.page(ino, page);
            bytes.extend_from_slice(self.cx.arena.bytes(content));
        }
        bytes.truncate(usize::try_from(size).unwrap());
        bytes
    }

    /// How many events are of a kind.
    pub(super) fn count(&self, is: impl Fn(&What) -> bool) -> usize {
        self.events.iter().filter(|event| is(&event.kind)).count()
    }
}

fn put(media: &mut BTreeMap<Lba, BlockId>, bio: &Bio) {
    for (cargo, at) in bio.cargo.iter().zip(bio.lba.0..) {
        media.insert(Lba(at), cargo.content);
    }
}

pub(super) fn recover(
    media: &BTreeMap<Lba, BlockId>,
    arena: &mut Arena,
) -> Result<Loaded, MountError> {
    disk::recover(&|lba| media.get(&lba).copied().unwrap_or_default(), arena)
}
