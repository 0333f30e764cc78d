//! Small mistakes that lives at random do not come upon.

use std::collections::BTreeSet;

use super::fresh;
use super::rig::{Rig, recover};
use crate::machine::Errno;
use crate::machine::arena::{Bytes, Marks};
use crate::machine::config::Ext4Options;
use crate::machine::ids::{BlockId, Ino, Ns, OpId, TaskId};
use crate::machine::layer::Layer;
use crate::machine::message::{FsReq, Kind, Sync};
use crate::ops::Image;

#[test]
fn what_waits_to_go_home_or_for_a_commit_is_held() {
    let mut rig = fresh();
    let ino = rig.create(Ino::ROOT, "f").unwrap();
    rig.write(ino, 0, b"0123456789").unwrap();
    rig.fsync(ino).unwrap();
    rig.set_len(ino, 5).unwrap();
    rig.start(OpId(0), TaskId::KERNEL, ino, None);
    while rig.fs.held.is_empty() {
        assert!(rig.step(), "a page that was cut waits for the commit");
    }
    let homes = rig.fs.journal.homes.iter().map(|home| home.cargo.content);
    let held = rig.fs.held.iter().flat_map(|write| &write.pages).map(|(_, it)| it.content);
    assert!(homes.len() > 0);
    let known = |content| (content, *rig.cx.arena.bytes(content));
    let known: Vec<(BlockId, Bytes)> = homes.chain(held).map(known).collect();
    let mut marks = Marks::default();
    rig.fs.marks(&mut marks);
    rig.cx.arena.sweep(&marks);
    for n in 1..200_u8 {
        rig.cx.arena.put(&[n; ondisk_fs::BLOCK]);
    }
    assert!(known.iter().all(|(content, bytes)| rig.cx.arena.bytes(*content) == bytes));
}

/// Nothing but FUA makes the superblock durable before the room that it gives away is used.
#[test]
fn the_superblock_of_the_journal_is_durable_when_it_is_written() {
    let options = Ext4Options { journal: 64, ..Ext4Options::default() };
    let mut rig = Rig::new(&Image::new(), options, None);
    let place = rig.fs.geometry.journal;
    let mut written = BTreeSet::new();
    for n in 0..60 {
        let ino = rig.create(Ino::ROOT, &format!("f{n}")).unwrap();
        rig.begin_sync(ino, Sync::All, None);
        while rig.step() {
            for given in rig.given.iter().filter(|given| given.bio.lba == place) {
                assert!(given.bio.fua || given.bio.cargo.is_empty());
                written.extend((!given.bio.cargo.is_empty()).then_some(given.bio.id));
            }
        }
    }
    assert!(written.len() > 3, "{}", written.len());
}

#[test]
fn a_sync_of_everything_flushes_though_nothing_is_to_commit() {
    let mut rig = Rig::new(&Image::new().file("w", vec![0; 4096]), Ext4Options::default(), None);
    let ino = *rig.files.keys().next().unwrap();
    rig.write(ino, 0, b"R").unwrap();
    rig.wait(Ns::S.times(7));
    rig.flush(ino);
    rig.run();
    assert!(rig.fs.journal.running.is_none());
    assert_eq!(rig.image(0).unwrap().bytes("w").unwrap()[0], 0);
    let synced = rig.call(None, |op| FsReq::SyncAll { op, task: TaskId(1) });
    assert_eq!(synced, Ok(None));
    assert_eq!(rig.image(0).unwrap().bytes("w").unwrap()[0], b'R');
}

#[test]
fn a_directory_that_changes_places_with_a_file_takes_its_link_along() {
    let base = Image::new().dir("d").dir("d/sub").file("f", "A");
    let mut rig = Rig::new(&base, Ext4Options::default(), None);
    let tree = rig.tree.clone().unwrap();
    let of = |dir: Ino, name: &[u8]| {
        tree.nodes[&dir].entries.iter().find(|(have, _)| **have == *name).unwrap().1
    };
    let (d, f) = (of(Ino::ROOT, b"d"), of(Ino::ROOT, b"f"));
    let sub = of(d, b"sub");
    let links = |rig: &Rig| [Ino::ROOT, d].map(|ino| rig.fs.node(ino).unwrap().disk.links);
    assert_eq!(links(&rig), [3, 3]);
    let (a, b) = ((d, b"sub".as_slice().into(), sub), (Ino::ROOT, b"f".as_slice().into(), f));
    rig.call(None, |op| FsReq::Exchange { op, task: TaskId(1), a, b }).unwrap();
    assert_eq!(links(&rig), [4, 2]);
}

#[test]
fn a_page_that_waits_for_a_commit_comes_back_when_that_fails() {
    let mut rig = fresh();
    let ino = rig.create(Ino::ROOT, "f").unwrap();
    rig.write(ino, 0, b"0123456789").unwrap();
    rig.fsync(ino).unwrap();
    rig.set_len(ino, 5).unwrap();
    rig.start(OpId(0), TaskId::KERNEL, ino, None);
    while rig.fs.held.is_empty() {
        assert!(rig.step(), "a page that was cut waits for the commit");
    }
    rig.fail_log = true;
    rig.run();
    assert_eq!(rig.written.last(), Some(&(ino, Err(Errno::Rofs))));
}

#[test]
fn a_sync_that_comes_during_a_commit_gets_the_next() {
    let mut rig = fresh();
    let one = rig.create(Ino::ROOT, "one").unwrap();
    rig.begin_sync(one, Sync::All, None);
    while rig.fs.journal.committing.is_none() {
        assert!(rig.step(), "a sync commits");
    }
    rig.fs.accept(&mut rig.cx, create("two"));
    let two = Ino(one.0 + 1);
    while rig.fs.journal.running.is_none() || !rig.files.contains_key(&two) {
        assert!(rig.step(), "a file is made while another is made durable");
    }
    assert!(rig.fs.journal.committing.is_some());
    let op = rig.ask(None, |op| FsReq::Sync { op, task: TaskId(1), ino: two, kind: Sync::All });
    rig.run();
    assert_eq!(rig.answers.get(&op), Some(&Ok(None)));
}

fn create(name: &str) -> FsReq {
    let (op, task, name) = (OpId(999), TaskId(2), name.as_bytes().into());
    let (kind, mode, target) = (Kind::File, 0o644, Box::default());
    FsReq::Create { op, task, dir: Ino::ROOT, name, kind, mode, target }
}

#[test]
fn an_orphan_leaves_the_list_behind_one_in_another_block() {
    let mut rig = fresh();
    let inos: Vec<Ino> =
        (0..40).map(|n| rig.create(Ino::ROOT, &format!("f{n}")).unwrap()).collect();
    rig.unlink(Ino::ROOT, "f0", inos[0], true);
    rig.unlink(Ino::ROOT, "f39", inos[39], true);
    rig.wait(Ns::S.times(7));
    rig.free(inos[0]);
    rig.wait(Ns::S.times(7));
    let media = rig.cut(0);
    assert_eq!(recover(&media, &mut rig.cx.arena).unwrap().orphans, [inos[39]]);
}

#[test]
fn every_page_that_is_allocated_has_a_place() {
    let mut rig = fresh();
    let ino = rig.create(Ino::ROOT, "f").unwrap();
    rig.allocate(ino, 6000).unwrap();
    let extents = &rig.fs.node(ino).unwrap().disk.extents;
    assert_eq!(extents.iter().map(|extent| extent.count).sum::<u32>(), 2);
}

/// Lets another file's sync commit whatever runs, and gives what a cut leaves of `f` at least.
fn behind_a_commit(rig: &mut Rig) -> Vec<u8> {
    let other = rig.create(Ino::ROOT, "other").unwrap();
    rig.fsync(other).unwrap();
    rig.image(0).unwrap().bytes("f").unwrap().to_vec()
}

/// A place that a transaction makes count has its data before, though the file was cut there since.
#[test]
fn a_new_page_that_is_cut_is_there_before_its_place_counts() {
    let options = Ext4Options { delalloc: false, ..Ext4Options::default() };
    let mut rig = Rig::new(&Image::new(), options, None);
    let ino = rig.create(Ino::ROOT, "f").unwrap();
    rig.allocate(ino, 8192).unwrap();
    rig.fsync(ino).unwrap();
    rig.write(ino, 4096, &[b'y'; 4100]).unwrap();
    rig.set_len(ino, 6000).unwrap();
    let left = behind_a_commit(&mut rig);
    assert_eq!(left.len(), 6000);
    assert!(left[4096..].iter().all(|byte| *byte == b'y'));
}

/// A page that is on its way while its file is cut is waited for.
#[test]
fn a_page_that_gets_its_place_for_a_cut_is_there_before_that() {
    let options = Ext4Options { dioread_lock: true, ..Ext4Options::default() };
    let mut rig = Rig::new(&Image::new().file("f", vec![b'P'; 700]), options, None);
    let ino = *rig.files.keys().next().unwrap();
    rig.write(ino, 5000, &[b'k'; 4100]).unwrap();
    rig.set_len(ino, 6000).unwrap();
    let left = behind_a_commit(&mut rig);
    assert_eq!(left.len(), 6000);
    assert!(left[5000..].iter().all(|byte| *byte == b'k'));
}

/// `fallocate` brings the length on the media up to where it reaches, also where programs see a
/// greater one that waits for its data.
#[test]
fn what_is_allocated_below_a_length_that_waits_is_a_length() {
    let mut rig = fresh();
    let ino = rig.create(Ino::ROOT, "f").unwrap();
    rig.write(ino, 0, &[b'x'; 5000]).unwrap();
    rig.allocate(ino, 700).unwrap();
    assert_eq!(behind_a_commit(&mut rig), [0; 700]);
}
