#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod life;
mod rig;

use rig::Rig;

use crate::machine::config::Ext4Options;
use crate::machine::event::{Kind as What, Txn};
use crate::machine::ids::{Ino, Ns};
use crate::machine::message::Sync;
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
