//! What the journal keeps of blocks, asked of it directly.

use super::fresh;
use crate::machine::ext4::disk::jbd;
use crate::machine::ext4::txn::{Check, Journal, Meta};
use crate::machine::ids::{Ino, Lba, Ns, Tid};

/// Makes a transaction durable that has some blocks and revokes others.
fn finished(journal: &mut Journal, has: &[u32], revokes: &[u32]) {
    journal.join(Ns(0));
    let mut txn = journal.running.take().unwrap();
    for lba in revokes {
        assert!(txn.revoke(Lba(*lba)));
    }
    for lba in has {
        txn.join(Lba(*lba), Meta::Bitmap);
    }
    journal.finish(&txn);
    journal.recycle(txn);
}

fn homes(journal: &Journal) -> Vec<(u32, Tid)> {
    journal.homes.iter().map(|home| (home.lba.0, home.tid)).collect()
}

#[test]
fn a_block_that_was_revoked_does_not_go_home() {
    let mut journal = Journal::default();
    finished(&mut journal, &[7, 8, 9], &[]);
    finished(&mut journal, &[5], &[8]);
    assert_eq!(homes(&journal), [(5, Tid(1)), (7, Tid(0)), (9, Tid(0))]);
    assert_eq!(journal.finished[0].left, 2);
}

#[test]
fn a_block_that_is_used_again_is_revoked_no_more() {
    let mut journal = Journal::default();
    finished(&mut journal, &[7, 8], &[]);
    let txn = journal.join(Ns(0));
    txn.revoke(Lba(8));
    txn.join(Lba(8), Meta::Inodes);
    assert!(txn.revokes.is_empty());
    finished(&mut journal, &[], &[]);
    assert_eq!(homes(&journal), [(7, Tid(0)), (8, Tid(1))]);
}

#[test]
fn a_ring_is_never_quite_full() {
    let on_media = jbd::Super { len: 33, start: 5, sequence: Tid(1) };
    let mut journal = Journal::default();
    (journal.on_media, journal.head) = (on_media, 5);
    assert_eq!(journal.room(), on_media.ring() - 1);
    journal.head = on_media.nth(5, journal.room());
    assert_eq!(journal.room(), 0);
    assert_ne!(journal.head, on_media.start, "full is not empty");
}

#[test]
fn a_freed_block_is_not_given_away_while_an_older_copy_may_be_on_its_way_to_it() {
    let mut rig = fresh();
    let ino = rig.create(Ino::ROOT, "f").unwrap();
    rig.write(ino, 0, &[1; 4096]).unwrap();
    rig.fsync(ino).unwrap();
    rig.unlink(Ino::ROOT, "f", ino, false);
    rig.fs.journal.check = Check::Writing(1);
    let other = rig.create(Ino::ROOT, "g").unwrap();
    rig.fsync(other).unwrap();
    assert!(!rig.fs.journal.late.is_empty(), "it waits for the write home");
    assert!(rig.fs.space.is_held());
}
