mod calls;
mod journal;
mod life;
mod missed;
mod rig;

use rig::Rig;

use crate::machine::Errno;
use crate::machine::config::{Ext4Options, Sabotage};
use crate::machine::event::{Kind as What, Txn};
use crate::machine::ids::{Ino, Ns, TaskId};
use crate::machine::message::{FsReq, Kind, Sync};
use crate::ops::Image;

fn fresh() -> Rig {
    Rig::new(&Image::new(), Ext4Options::default(), None)
}

#[test]
fn a_synced_file_is_there_after_every_cut() {
    let mut rig = fresh();
    let ino = rig.create(Ino::ROOT, "f").unwrap();
    rig.write(ino, 0, b"hello").unwrap();
    rig.fsync(ino).unwrap();
    for seed in [0, 1, 2, 3, u64::MAX] {
        assert_eq!(rig.image(seed).unwrap(), Image::new().file("f", "hello"));
    }
}

#[test]
fn without_a_sync_there_is_nothing_and_then_a_name_and_then_bytes() {
    let mut rig = fresh();
    let ino = rig.create(Ino::ROOT, "f").unwrap();
    rig.write(ino, 0, b"A").unwrap();
    rig.run();
    assert_eq!(rig.image(u64::MAX).unwrap(), Image::new());
    rig.wait(Ns::S.times(7));
    assert_eq!(rig.image(0).unwrap(), Image::new().file("f", ""));
    rig.flush(ino);
    rig.wait(Ns::S.times(7));
    assert_eq!(rig.image(0).unwrap(), Image::new().file("f", "A"));
}

#[test]
fn an_overwrite_makes_no_commit_and_an_append_one() {
    let mut rig = Rig::new(&Image::new().file("w", vec![0; 65536]), Ext4Options::default(), None);
    let ino = *rig.files.keys().next().unwrap();
    rig.wait(Ns::S);
    rig.write(ino, 0, b"R").unwrap();
    rig.sync(ino, Sync::Data).unwrap();
    let commits =
        |rig: &Rig| rig.count(|kind| matches!(kind, What::TxnState { to: Txn::Finished, .. }));
    assert_eq!(commits(&rig), 0);
    rig.write(ino, 65536, b"R").unwrap();
    rig.sync(ino, Sync::Data).unwrap();
    assert_eq!(commits(&rig), 1);
    let image = rig.image(0).unwrap();
    assert_eq!(image.bytes("w").unwrap().len(), 65537);
    assert_eq!(image.bytes("w").unwrap()[0], b'R');
}

/// The media that a life leaves in which a directory's block becomes a file's, and then its image.
fn reused_block(sabotage: Option<Sabotage>) -> Image {
    let options = Ext4Options { blocks: 1100, inodes: 32, ..Ext4Options::default() };
    let mut rig = Rig::new(&Image::new(), options, sabotage);
    let dir = rig.make(Ino::ROOT, "d", Kind::Dir).unwrap();
    let inside = rig.create(dir, "inside").unwrap();
    rig.fsync(inside).unwrap();
    rig.unlink(dir, "inside", inside, true);
    rig.free(inside);
    rig.unlink(Ino::ROOT, "d", dir, false);
    let file = rig.create(Ino::ROOT, "f").unwrap();
    rig.fsync(file).unwrap();
    // The directory's block is the lowest that is free now.
    rig.write(file, 0, &[b'f'; 8192]).unwrap();
    rig.fsync(file).unwrap();
    rig.image(0).unwrap()
}

#[test]
fn a_directory_that_is_gone_does_not_come_back_into_a_file() {
    let whole = Image::new().file("f", vec![b'f'; 8192]);
    assert_eq!(reused_block(None), whole);
    assert_ne!(reused_block(Some(Sabotage::RevokeForgotten)), whole, "the canary");
}

#[test]
fn a_mount_may_be_cut_anywhere() {
    let options = Ext4Options { journal: 64, blocks: 1024, ..Ext4Options::default() };
    let mut rig = Rig::new(&Image::new().file("old", "old"), options, None);
    let orphan = *rig.files.keys().next().unwrap();
    let kept = rig.create(Ino::ROOT, "kept").unwrap();
    rig.write(kept, 0, &[b'k'; 9000]).unwrap();
    rig.unlink(Ino::ROOT, "old", orphan, true);
    rig.fsync(kept).unwrap();
    let whole = Image::new().file("kept", vec![b'k'; 9000]);
    let (media, mut arena) = (rig.cut(0), rig.cx.arena.clone());
    let mut second = Rig::boot(media, &mut arena, options, None, &whole).unwrap();
    let mut moments = 0;
    while second.step() {
        moments += 1;
        for seed in [0, u64::MAX, moments, moments + 1000] {
            assert_eq!(second.image(seed).unwrap(), whole, "moment {moments}");
        }
    }
    assert!(moments > 5);
    assert_eq!(second.count(|kind| matches!(kind, What::OrphanFreed { .. })), 1);
    second.wait(Ns::S.times(6));
    // Its blocks are free again, and a third mount finds no orphan.
    let (media, arena) = (second.cut(0), second.cx.arena.clone());
    let third = Rig::mount(media, arena, options, None).unwrap();
    assert_eq!(third.count(|kind| matches!(kind, What::OrphanFreed { .. })), 0);
}

#[test]
fn a_journal_that_cannot_be_written_makes_it_read_only() {
    let mut rig = fresh();
    let ino = rig.create(Ino::ROOT, "f").unwrap();
    rig.fail_log = true;
    assert_eq!(rig.fsync(ino), Err(Errno::Io));
    assert_eq!(rig.fsync(ino), Err(Errno::Rofs));
    assert_eq!(rig.create(Ino::ROOT, "g"), Err(Errno::Rofs));
    assert_eq!(rig.write(ino, 0, b"x"), Err(Errno::Rofs));
    assert_eq!(rig.image(0).unwrap(), Image::new());
}

#[test]
fn space_runs_out_at_the_write_and_comes_back_with_a_commit() {
    let options = Ext4Options { journal: 64, blocks: 256, inodes: 32, ..Ext4Options::default() };
    let mut rig = Rig::new(&Image::new(), options, None);
    let ino = rig.create(Ino::ROOT, "f").unwrap();
    let mut at = 0;
    while rig.write(ino, at, &[1; 4096]).is_ok() {
        at += 4096;
    }
    assert!(at > 4096 * 100, "{at}");
    assert_eq!(rig.write(ino, at, b"x"), Err(Errno::Nospc));
    rig.fsync(ino).unwrap();
    rig.unlink(Ino::ROOT, "f", ino, true);
    rig.free(ino);
    let other = rig.create(Ino::ROOT, "g").unwrap();
    rig.write(other, 0, &[2; 4096 * 50]).unwrap();
    rig.fsync(other).unwrap();
    assert_eq!(rig.image(0).unwrap(), Image::new().file("g", vec![2; 4096 * 50]));
}

#[test]
fn a_directorys_sync_with_nothing_running_sends_nothing() {
    let mut rig = fresh();
    let sync = |rig: &mut Rig| {
        rig.call(None, |op| FsReq::SyncDir { op, task: TaskId(1), ino: Ino::ROOT }).unwrap();
    };
    let before = rig.fs.bios.next();
    sync(&mut rig);
    assert_eq!(rig.fs.bios.next(), before);
    rig.create(Ino::ROOT, "f").unwrap();
    sync(&mut rig);
    assert_eq!(rig.image(0).unwrap(), Image::new().file("f", ""));
}

#[test]
fn two_syncs_share_a_commit() {
    let mut rig = fresh();
    let (a, b) = (rig.create(Ino::ROOT, "a").unwrap(), rig.create(Ino::ROOT, "b").unwrap());
    let sync = |rig: &mut Rig, ino| {
        rig.ask(None, |op| FsReq::Sync { op, task: TaskId(1), ino, kind: Sync::All })
    };
    let both = [sync(&mut rig, a), sync(&mut rig, b)];
    for op in both {
        rig.until(op).unwrap();
    }
    assert_eq!(rig.count(|kind| matches!(kind, What::TxnState { to: Txn::Finished, .. })), 1);
}

#[test]
fn a_block_that_looks_like_the_journals_own_is_escaped() {
    let options =
        Ext4Options { data: crate::machine::config::DataMode::Journal, ..Ext4Options::default() };
    let mut rig = Rig::new(&Image::new(), options, None);
    let ino = rig.create(Ino::ROOT, "f").unwrap();
    let mut bytes = vec![7; 4096];
    bytes[..4].copy_from_slice(&super::disk::jbd::MAGIC.to_be_bytes());
    rig.write(ino, 0, &bytes).unwrap();
    rig.fsync(ino).unwrap();
    assert_eq!(rig.image(0).unwrap(), Image::new().file("f", bytes.clone()));
    rig.wait(Ns::S.times(40));
    assert_eq!(rig.image(0).unwrap(), Image::new().file("f", bytes));
}
