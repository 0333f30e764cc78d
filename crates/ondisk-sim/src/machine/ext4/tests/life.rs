//! Lives at random, cut everywhere, held against the models of the operations level.

use std::collections::BTreeMap;

use super::rig::{Note, Rig};
use crate::machine::Errno;
use crate::machine::config::{DataMode, Ext4Options, Sabotage};
use crate::machine::digest::mix2;
use crate::machine::ids::{Ino, Ns, OpId, TaskId};
use crate::machine::message::{FsReq, Sync};
use crate::ops::model::{self, Model};
use crate::ops::record::Synced;
use crate::ops::{Image, Member, Membership};

/// A life: what was done, and the numbers it draws.
struct Life {
    rig: Rig,
    seed: u64,
    dirs: Vec<Ino>,
    /// What each name stands for.
    names: BTreeMap<(Ino, &'static str), Ino>,
    log: Vec<String>,
    /// Whether write-back may fail. Where extents are born written, what stood there before then
    /// shows, which no model has.
    fails: bool,
}

impl Drop for Life {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("{}", self.log.join("\n"));
        }
    }
}

const NAMES: [&str; 4] = ["a", "b", "c", "d"];

impl Life {
    fn new(seed: u64, options: Ext4Options, sabotage: Option<Sabotage>) -> Self {
        let base = Image::new().dir("d1").dir("d2").file("a", vec![b'o'; 9000]);
        let mut rig = Rig::new(&base, options, sabotage);
        rig.seed = mix2(seed, 99) | 1;
        rig.cuts = vec![0, u64::MAX, mix2(seed, 5) | 2, mix2(seed, 6) | 2];
        let tree = rig.tree.clone().unwrap();
        let entries = &tree.nodes[&Ino::ROOT].entries;
        let of = |name: &[u8]| entries.iter().find(|(have, _)| **have == *name).unwrap().1;
        let dirs = vec![Ino::ROOT, of(b"d1"), of(b"d2")];
        let names = BTreeMap::from([((Ino::ROOT, "a"), of(b"a"))]);
        let fails = options.data != DataMode::Journal && options.delalloc && !options.dioread_lock;
        Self { rig, seed, dirs, names, log: Vec::new(), fails }
    }

    fn draw(&mut self, below: u64) -> u64 {
        self.seed = mix2(self.seed, 3);
        (self.seed >> 20) % below
    }

    fn name(&mut self) -> (Ino, &'static str) {
        let (dir, name) = (self.draw(3), self.draw(4));
        (self.dirs[usize::try_from(dir).unwrap()], NAMES[usize::try_from(name).unwrap()])
    }

    /// Some file that has a name.
    fn file(&mut self) -> Option<Ino> {
        let many = u64::try_from(self.names.len()).unwrap();
        let nth = usize::try_from(self.draw(many.max(1))).unwrap();
        self.names.values().nth(nth).copied()
    }

    fn step(&mut self) {
        match self.draw(20) {
            0 | 1 => self.create(),
            2..=6 => self.write(),
            7 => self.unlink(),
            8 => self.rename(),
            9 => self.link(),
            10 => self.set_len(),
            11 => self.allocate(),
            12..=14 => self.sync(),
            15 => self.sync_dir(),
            16 => {
                if let Some(ino) = self.file() {
                    self.log.push(format!("start {}", ino.0));
                    self.rig.start(OpId(0), TaskId::KERNEL, ino, None);
                }
            }
            17 => {
                self.log.push("wait".into());
                let time = self.draw(40);
                self.rig.wait(Ns::S.times(time));
            }
            _ => {
                let many = self.draw(12);
                self.log.push(format!("{many} steps"));
                for _ in 0..many {
                    self.rig.step();
                }
            }
        }
    }

    fn create(&mut self) {
        let (dir, name) = self.name();
        if self.names.contains_key(&(dir, name)) {
            return;
        }
        let ino = self.rig.create(dir, name).unwrap();
        self.log.push(format!("create {}/{name} = {}", dir.0, ino.0));
        self.names.insert((dir, name), ino);
    }

    fn write(&mut self) {
        let Some(ino) = self.file() else { return };
        let size = self.rig.files[&ino].size;
        let at = match self.draw(3) {
            0 => size,
            1 => self.draw(size + 1),
            _ => self.draw(20_000),
        };
        let len = match self.draw(3) {
            0 => self.draw(200) + 1,
            1 => self.draw(5000) + 1,
            _ => 4096,
        };
        let byte = u8::try_from(self.draw(25)).unwrap() + b'A';
        self.log.push(format!("write {} {}@{at} {len}", ino.0, char::from(byte)));
        self.rig.write(ino, at, &vec![byte; usize::try_from(len).unwrap()]).unwrap();
    }

    /// An inode lost a name.
    fn lost(&mut self, ino: Ino) {
        if !self.names.values().any(|other| *other == ino) {
            self.rig.finish(ino);
            self.rig.free(ino);
        }
    }

    fn unlink(&mut self) {
        let (dir, name) = self.name();
        let Some(ino) = self.names.remove(&(dir, name)) else { return };
        self.log.push(format!("unlink {}/{name}", dir.0));
        self.rig.unlink(dir, name, ino, true);
        self.lost(ino);
    }

    fn rename(&mut self) {
        let (from, to) = (self.name(), self.name());
        let Some(ino) = self.names.get(&from).copied() else { return };
        let old = self.names.get(&to).copied();
        if old == Some(ino) {
            return;
        }
        self.log.push(format!("rename {}/{} {}/{}", from.0.0, from.1, to.0.0, to.1));
        self.rig.rename(from, to, ino, old).unwrap();
        self.names.remove(&from);
        self.names.insert(to, ino);
        if let Some(old) = old {
            self.lost(old);
        }
    }

    fn link(&mut self) {
        let to = self.name();
        let Some(ino) = self.file() else { return };
        if self.names.contains_key(&to) {
            return;
        }
        self.log.push(format!("link {} {}/{}", ino.0, to.0.0, to.1));
        let note = Note::Link(ino, to.0, to.1.as_bytes().to_vec());
        let name = to.1.as_bytes().into();
        let linked = self.rig.call(Some(note), |op| FsReq::Link {
            op,
            task: TaskId(1),
            dir: to.0,
            name,
            ino,
        });
        linked.unwrap();
        self.names.insert(to, ino);
    }

    fn set_len(&mut self) {
        let Some(ino) = self.file() else { return };
        let size = self.rig.files[&ino].size;
        let len = match self.draw(3) {
            0 => 0,
            1 => self.draw(size + 1),
            _ => self.draw(20_000),
        };
        self.log.push(format!("setlen {} {size} {len}", ino.0));
        self.rig.set_len(ino, len).unwrap();
    }

    fn allocate(&mut self) {
        let Some(ino) = self.file() else { return };
        let len = self.draw(20_000) + 1;
        self.log.push(format!("allocate {} {len}", ino.0));
        self.rig.allocate(ino, len).unwrap();
    }

    fn sync(&mut self) {
        let Some(ino) = self.file() else { return };
        let kind = if self.draw(2) == 0 { Sync::Data } else { Sync::All };
        let fail = (self.draw(12) == 0 && self.fails).then_some(Errno::Io);
        self.log.push(format!("sync {} {kind:?} {fail:?}", ino.0));
        self.rig.begin_sync(ino, kind, fail);
        if self.draw(2) == 0 {
            self.rig.run();
        }
    }

    fn sync_dir(&mut self) {
        let dir = self.draw(3);
        let ino = self.dirs[usize::try_from(dir).unwrap()];
        self.log.push(format!("syncdir {}", ino.0));
        let note = self.rig.called(Synced::Dir(self.rig.known[&ino]));
        self.rig.ask(Some(Note::Synced(note)), |op| FsReq::SyncDir { op, task: TaskId(1), ino });
    }
}

/// The files of an image, as runs of bytes.
fn runs(image: &Image) -> String {
    let mut shown = String::new();
    for (path, bytes) in image.files() {
        shown.push_str(&format!("{}:", path.display()));
        for run in bytes.chunk_by(|a, b| a == b) {
            shown.push_str(&format!(" {:?}*{}", char::from(run[0]), run.len()));
        }
        shown.push('\n');
    }
    shown
}

/// How many images a life left, or what is wrong with one.
fn live(
    seed: u64,
    options: Ext4Options,
    sabotage: Option<Sabotage>,
    model: &Model,
) -> Result<usize, String> {
    let mut life = Life::new(seed, options, sabotage);
    for _ in 0..30 {
        life.step();
    }
    life.rig.run();
    let shots = std::mem::take(&mut life.rig.shots);
    let members = Membership::new(model, life.rig.recorder.history());
    for (at, image) in &shots {
        let wrong = match image {
            Err(error) => error.to_string(),
            Ok(image) => match members.at(*at).contains(image) {
                Member::Refuted(refuted) => format!("{refuted:?}\n{}", runs(image)),
                _ => continue,
            },
        };
        return Err(format!("seed {seed} at {at:?}: {wrong}\n{}", life.log.join("\n")));
    }
    Ok(shots.len())
}

fn lives(many: u64, options: Ext4Options, sabotage: Option<Sabotage>, model: &Model) -> usize {
    let mut wrong = Vec::new();
    let each = (0..many).map(|seed| live(seed, options, sabotage, model));
    let shots = each.filter_map(|left| left.map_err(|why| wrong.push(why)).ok()).sum();
    assert!(wrong.is_empty(), "{} lives of {many}, first {}", wrong.len(), wrong[0]);
    shots
}

fn small() -> Ext4Options {
    Ext4Options { journal: 64, blocks: 1024, inodes: 64, ..Ext4Options::default() }
}

#[test]
fn every_cut_of_every_life_is_what_ext4_allows() {
    let many = lives(200, small(), None, &model::EXT4);
    assert!(many > 10_000, "{many}");
}

#[test]
fn with_dioread_lock_new_data_are_there_before_their_length() {
    let options = Ext4Options { dioread_lock: true, ..small() };
    lives(100, options, None, &model::EXT4_DIOREAD_LOCK);
}

#[test]
fn with_nodelalloc_lengths_are_in_order_too() {
    let options = Ext4Options { delalloc: false, ..small() };
    lives(100, options, None, &model::EXT4_NODELALLOC);
}

#[test]
fn in_writeback_mode_no_data_are_ordered() {
    let options = Ext4Options { data: DataMode::Writeback, ..small() };
    lives(100, options, None, &model::EXT4_WRITEBACK);
}

#[test]
fn through_the_journal_all_is_in_order() {
    let options = Ext4Options { data: DataMode::Journal, ..small() };
    lives(100, options, None, &model::EXT4_JOURNAL);
}

#[test]
fn a_journal_that_is_always_full_loses_nothing() {
    let options = Ext4Options { journal: 32, ..small() };
    lives(300, options, None, &model::EXT4);
}

#[test]
fn each_planted_mistake_is_noticed() {
    let locked = Ext4Options { dioread_lock: true, ..small() };
    let tight = Ext4Options { journal: 32, ..small() };
    let mistakes = [
        (Sabotage::NoFlushBeforeCommit, small(), &model::EXT4),
        (Sabotage::OrderedDataDropped, locked, &model::EXT4_DIOREAD_LOCK),
        (Sabotage::CommitBlockEarly, small(), &model::EXT4),
        (Sabotage::TailMovedWithoutFlush, tight, &model::EXT4),
        (Sabotage::FreedBlockReusedEarly, small(), &model::EXT4),
        (Sabotage::ConvertedBeforeDone, small(), &model::EXT4),
        (Sabotage::FsyncWithoutCommit, small(), &model::EXT4),
        (Sabotage::CheckpointBeforeCommit, small(), &model::EXT4),
        (Sabotage::FrozenNot, locked, &model::EXT4_DIOREAD_LOCK),
    ];
    for (mistake, options, model) in mistakes {
        let noticed = (0..400).find(|seed| live(*seed, options, Some(mistake), model).is_err());
        assert!(noticed.is_some(), "{mistake:?}");
        println!("{mistake:?}: life {noticed:?}");
    }
}
