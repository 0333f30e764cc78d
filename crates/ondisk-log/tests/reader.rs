//! The reader on bytes that no honest log wrote: groups of another store, another life, another
//! chain, an older epoch; and bytes without any sense.
//!
//! What must hold: it never panics, takes no more memory than a window and what the file holds,
//! and yields no record that was not committed to this log at this place.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "support/bytes.rs"]
mod bytes_of;
#[path = "support/lives.rs"]
mod lives;
#[path = "reader/property.rs"]
mod property;
#[path = "support/report.rs"]
mod report;
#[path = "support/shelf.rs"]
mod shelf;

use std::path::Path;

use ondisk_log::{Damage, Log, LogError, LogOptions, Lsn, Sabotage, SyncMode};

use bytes_of::{Anchor, Behind, Group, segment};
use lives::{DIR, End, Life, SMALL, STORE, anchor_path, make, options, recover, segment_path};
use report::Report;
use shelf::Shelf;

const SIZE: usize = 16 << 10;

/// A chain of groups of one commit each, all in order.
fn chain(count: u64) -> Vec<Group> {
    let mut groups = Vec::new();
    let mut prev_crc = 0;
    for lsn in 1..=count {
        let group = Group {
            store: STORE,
            generation: 1,
            prev_lsn: lsn - 1,
            prev_crc,
            first_lsn: lsn,
            watermark: lsn.saturating_sub(2),
            epoch: 1,
            records: vec![format!("record {lsn}").into_bytes()],
        };
        prev_crc = group.encode().1;
        groups.push(group);
    }
    groups
}

/// A log of one segment that was not closed.
fn shelf(groups: &[Group]) -> Shelf {
    let shelf = Shelf::default();
    let apart: Vec<_> = groups.iter().map(|group| (group.clone(), Behind::Sync)).collect();
    shelf.put(segment_path(1), segment(SIZE, &apart));
    shelf.put(anchor_path(), Anchor::open(STORE, 1).encode());
    shelf
}

/// The LSNs that an open finds.
fn found(shelf: &Shelf, sabotage: Option<Sabotage>) -> Vec<u64> {
    let (_, _, records) = recover(shelf, options(SMALL, sabotage)).unwrap();
    records.into_iter().map(|(lsn, _)| lsn).collect()
}

#[test]
fn a_chain_written_by_hand_is_a_log() {
    let groups = chain(4);
    assert_eq!(found(&shelf(&groups), None), [1, 2, 3, 4]);
    // In one block too, a multiple of eight bytes apart.
    let shelf = shelf(&groups);
    let close: Vec<_> = groups.iter().map(|group| (group.clone(), Behind::Nothing)).collect();
    shelf.put(segment_path(1), segment(SIZE, &close));
    assert_eq!(found(&shelf, None), [1, 2, 3, 4]);
}

/// Changes the third of four groups, with sums that are right; the log ends before it.
fn third(change: impl FnOnce(&mut Group)) -> Shelf {
    let mut groups = chain(4);
    change(&mut groups[2]);
    // The one behind it continues what was put there: only the third itself can be refused.
    groups[3].prev_crc = groups[2].encode().1;
    shelf(&groups)
}

#[test]
fn only_the_group_that_continues_the_log_is_taken() {
    let refused = |change: fn(&mut Group)| assert_eq!(found(&third(change), None), [1, 2]);
    assert_eq!(found(&third(|_| {}), None), [1, 2, 3, 4]);
    refused(|group| group.store[0] ^= 1);
    refused(|group| group.generation = 2);
    refused(|group| group.generation = 0);
    refused(|group| group.prev_crc ^= 1);
    refused(|group| group.prev_lsn = 1);
    refused(|group| group.prev_lsn = 3);
    refused(|group| group.first_lsn = 2);
    refused(|group| group.first_lsn = 4);
    refused(|group| group.epoch = 0);
    // A later epoch begins at the start of a segment, and nowhere else.
    refused(|group| group.epoch = 2);
}

#[test]
fn an_older_epoch_does_not_continue_a_later_one() {
    // A later epoch goes on in segment 2, behind the two first commits.
    let groups = chain(2);
    let later = Group {
        generation: 2,
        prev_lsn: 2,
        prev_crc: groups[1].encode().1,
        first_lsn: 10,
        watermark: 2,
        epoch: 5,
        records: vec![b"after the cut".to_vec()],
        ..groups[0].clone()
    };
    let next = |epoch| Group {
        prev_lsn: 10,
        prev_crc: later.encode().1,
        first_lsn: 11,
        epoch,
        records: vec![b"one more".to_vec()],
        ..later.clone()
    };
    let read = |epoch| {
        let shelf = shelf(&groups);
        let apart = [(later.clone(), Behind::Sync), (next(epoch), Behind::Sync)];
        shelf.put(segment_path(2), segment(SIZE, &apart));
        shelf.put(anchor_path(), Anchor { epoch: 5, ..Anchor::open(STORE, 2) }.encode());
        found(&shelf, None)
    };
    assert_eq!(read(5), [1, 2, 10, 11]);
    assert_eq!(read(4), [1, 2, 10]);
    assert_eq!(read(6), [1, 2, 10]);
}

#[test]
fn of_two_segments_that_go_on_the_later_epoch_counts() {
    let groups = chain(2);
    let opens = |generation, epoch, text: &str| Group {
        generation,
        prev_lsn: 2,
        prev_crc: groups[1].encode().1,
        first_lsn: u64::from(epoch) * 10,
        watermark: 2,
        epoch,
        records: vec![text.as_bytes().to_vec()],
        ..groups[0].clone()
    };
    for (two, three, expected) in [(2, 3, 30), (3, 2, 30)] {
        let shelf = shelf(&groups);
        for (number, epoch) in [(2, two), (3, three)] {
            let group = opens(number, epoch, &format!("epoch {epoch}"));
            shelf.put(segment_path(number), segment(SIZE, &[(group, Behind::Sync)]));
        }
        shelf.put(anchor_path(), Anchor { epoch: 3, ..Anchor::open(STORE, 3) }.encode());
        assert_eq!(found(&shelf, None), [1, 2, expected]);
    }
}

/// The third group with a wrong bit, its sums being those of the right one.
fn flipped(offset: usize) -> Shelf {
    let shelf = shelf(&chain(4));
    shelf.change(&segment_path(1), |bytes| bytes[2 * 4096 + offset] ^= 1);
    shelf
}

/// Each rule that the reader keeps, broken, shows in the same cases that pass when it is kept.
#[test]
fn a_reader_that_breaks_a_rule_is_noticed() {
    let mut report = Report::begin("reader: planted mistakes noticed");
    let cases = [
        (Sabotage::GenerationNotChecked, third(|group| group.generation = 2)),
        (Sabotage::ChainNotChecked, third(|group| group.prev_crc ^= 1)),
        (Sabotage::HeaderSumIgnored, flipped(56)), // the watermark
        (Sabotage::PayloadSumIgnored, flipped(80 + 8)),
    ];
    for (sabotage, shelf) in cases {
        report.count(&format!("{sabotage:?}"), || {
            assert_eq!(found(&shelf, None), [1, 2], "{sabotage:?}");
            assert_ne!(found(&shelf, Some(sabotage)), [1, 2], "{sabotage:?} went unnoticed");
            1
        });
    }
    for sabotage in [Sabotage::EpochNotRaised, Sabotage::LsnReused] {
        report.count(&format!("{sabotage:?}"), || {
            assert!(goes_on_above_ghosts(None));
            assert!(!goes_on_above_ghosts(Some(sabotage)), "{sabotage:?} went unnoticed");
            1
        });
    }
    report.end();
}

/// Whether an opening that follows a cut writes above all that the cut left behind: a later epoch
/// than any that stands anywhere, and an LSN that none has.
fn goes_on_above_ghosts(sabotage: Option<Sabotage>) -> bool {
    // The cut took commit 3; commit 4 stands whole behind the gap.
    let ghosts = shelf(&chain(4));
    ghosts.change(&segment_path(1), |bytes| bytes[2 * 4096..3 * 4096].fill(0));
    let (log, shelf, records) = recover(&ghosts, options(SMALL, sabotage)).unwrap();
    assert_eq!(records.len(), 2);
    let lsn = log.append(b"after the cut", SyncMode::Sync).unwrap().lsn;
    drop(log);
    let headers = headers(&shelf);
    let new = headers.iter().find(|header| header.payload == b"after the cut").unwrap();
    assert_eq!(new.first_lsn, lsn.0);
    headers
        .iter()
        .filter(|header| header.payload != b"after the cut")
        .all(|header| header.epoch < new.epoch && header.first_lsn < new.first_lsn)
}

struct Header {
    epoch: u32,
    first_lsn: u64,
    /// Of the first record.
    payload: Vec<u8>,
}

/// Every group at a block boundary of any segment, found by its magic.
fn headers(shelf: &Shelf) -> Vec<Header> {
    let mut headers = Vec::new();
    for path in shelf.paths() {
        let bytes = shelf.get(&path);
        for block in bytes.chunks_exact(4096).filter(|block| block.starts_with(b"\xD1grp")) {
            let u32_at = |at: usize| u32::from_le_bytes(block[at..at + 4].try_into().unwrap());
            let len = usize::try_from(u32_at(80)).unwrap();
            headers.push(Header {
                epoch: u32_at(64),
                first_lsn: u64::from_le_bytes(block[48..56].try_into().unwrap()),
                payload: block[88..88 + len].to_vec(),
            });
        }
    }
    headers
}

/// A record that is itself a whole log's bytes is a payload like any other.
#[test]
fn a_value_that_is_a_copy_of_log_blocks_is_not_taken_for_the_log() {
    let other = make(
        *b"another store...",
        SMALL,
        &[Life { commits: 6, len: 500, mode: |_| SyncMode::Sync, end: End::Kill }],
    );
    let copy = other.shelf.get(segment_path(1));
    let (shelf, large) =
        (Shelf::default(), LogOptions { largest_segment: 128 << 10, ..options(SMALL, None) });
    let log = Log::create(shelf.share(), Path::new(DIR), ondisk_log::StoreId(STORE), large);
    let log = log.unwrap().finish().unwrap();
    log.append(&copy, SyncMode::Sync).unwrap();
    drop(log);
    // The group is torn in its first block; what stands behind it is another store's.
    for path in shelf.paths() {
        shelf.change(&path, |bytes| {
            if bytes.starts_with(b"\xD1grp") {
                bytes[81] ^= 1;
            }
        });
    }
    let (recovered, records) = lives::read(&shelf).unwrap();
    assert!(records.is_empty());
    assert_eq!(recovered.torn_tail.unwrap().lsn, Lsn(1));
    assert_eq!(recovered.next, Lsn(2), "the torn commit's own LSN, and no other store's");
}

#[test]
fn what_was_durable_and_is_gone_is_damage_wherever_its_witness_stands() {
    // The witness is the watermark of a group, or the anchor.
    let gone = |path: &str, offset: u64, result: lives::Outcome| match result {
        Err(LogError::Damaged { path: found, offset: at, damage, .. }) => {
            assert_eq!((found.as_path(), at), (Path::new(path), offset), "{damage}");
            damage
        }
        other => panic!("{other:?}"),
    };
    let zeroed = shelf(&chain(4));
    zeroed.change(&segment_path(1), |bytes| bytes[4096..8192].fill(0));
    let damage = gone("log/0000000001.log", 4096, lives::read(&zeroed));
    assert_eq!(damage, Damage::Zeros);
    let by_anchor = shelf(&chain(2));
    by_anchor.put(anchor_path(), Anchor { durable: 3, ..Anchor::open(STORE, 1) }.encode());
    gone("log/0000000001.log", 8192, lives::read(&by_anchor));
    by_anchor.put(anchor_path(), Anchor { checkpoint: 3, ..Anchor::open(STORE, 1) }.encode());
    gone("log/0000000001.log", 8192, lives::read(&by_anchor));
    by_anchor.put(anchor_path(), Anchor { durable: 2, ..Anchor::open(STORE, 2) }.encode());
    let damage = gone("log/0000000002.log", 0, lives::read(&by_anchor));
    assert_eq!(damage, Damage::Missing);
}
