//! The file system alone between a toy page cache and a toy device.
//!
//! Invariant: the device promises what a drive promises and no more: a write is durable when a
//! FLUSH that came after its completion is done, or when it is done itself and had FUA.

use std::collections::{BTreeMap, BTreeSet};

use crate::machine::Errno;
use crate::machine::arena::{Arena, Marks};
use crate::machine::config::{Config, Ext4Options, Sabotage};
use crate::machine::digest::mix2;
use crate::machine::event::Event;
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
    pub(super) flying: BTreeSet<u32>,
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
pub(super) struct Syncing {
    pub(super) ino: Ino,
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
    pub(super) read: BTreeMap<(Ino, u32), BlockId>,
    /// What was called, for the models.
    pub(super) recorder: Recorder,
    /// The recorder's numbers of inodes.
    pub(super) known: BTreeMap<Ino, ops::Ino>,
    pub(super) notes: BTreeMap<OpId, Note>,
    running: Vec<Option<Running>>,
    pub(super) syncing: Vec<Syncing>,
    /// At each moment before the device completes something, what was left by cuts by these.
    pub(super) cuts: Vec<u64>,
    pub(super) shots: Vec<(At, Result<Image, MountError>)>,
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
        let base = disk::image(&loaded, &read, &arena)?;
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
            let image = self.image(seed);
            self.shots.push((self.recorder.here(), image));
        }
        self.steps += 1;
        if self.steps.is_multiple_of(16) {
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

    pub(super) fn deliver(&mut self, msg: Msg) {
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
            _ => mix2(mix2(seed, nth as u64), at as u64).is_multiple_of(2),
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
        disk::image(&loaded, &read, &arena)
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
