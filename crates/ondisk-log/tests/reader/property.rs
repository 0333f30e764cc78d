//! Properties of the reader over bytes that chance makes: pieces of anything in any order, real
//! logs with their bytes mutated, anchors that say anything.
//!
//! Invariant: the cases follow from a fixed seed; a failing one is shrunk and printed by proptest.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ondisk_fs::{Access, FileSystem};
use ondisk_log::{GroupReader, Link, Log, Lsn, StoreId, SyncMode, dump};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestRunner};

use crate::bytes_of::{self, Anchor, BLOCK, Group, HEADER};
use crate::lives::{self, DIR, End, Life, Made, Records, SMALL, STORE, anchor_path, make, options};
use crate::report::Report;
use crate::shelf::Shelf;

const SEED: u64 = 0x6f6e_6469_736b;
/// What the reader takes at once, in bytes.
const WINDOW: usize = 1 << 20;
/// Bytes of an anchor behind its sum.
const SUMMED: usize = 116;

fn check<S: Strategy>(name: &str, cases: u32, strategy: S, test: impl Fn(S::Value)) -> usize {
    let config = Config {
        cases,
        rng_seed: RngSeed::Fixed(SEED),
        failure_persistence: None,
        max_shrink_iters: 20_000,
        ..Config::default()
    };
    let run = TestRunner::new(config).run(&strategy, |value| {
        test(value);
        Ok(())
    });
    run.unwrap_or_else(|failure| panic!("{name}: {failure}"));
    usize::try_from(cases).unwrap()
}

/// A stretch of a segment.
#[derive(Clone, Debug)]
enum Piece {
    Random(Vec<u8>),
    Zeros(usize),
    /// A whole group of one or more records; it continues the last one where `right` says so.
    Group {
        right: bool,
        records: Vec<Vec<u8>>,
        epoch: u32,
    },
    /// The same, then bytes of its header or its first prefix are overwritten, and the header's
    /// sum made right again.
    Forged {
        records: Vec<Vec<u8>>,
        at: usize,
        bytes: Vec<u8>,
    },
    /// Goes on at the next multiple of a block.
    Align,
}

fn piece() -> impl Strategy<Value = Piece> {
    let records = || vec(vec(any::<u8>(), 0..60), 0..4);
    let extreme = prop_oneof![
        Just(vec![0xFF; 4]),
        Just(vec![0xFF; 8]),
        Just(vec![0xFF, 0xFF, 0xFF, 0x7F]),
        Just(vec![0; 8]),
        vec(any::<u8>(), 1..9),
    ];
    prop_oneof![
        1 => vec(any::<u8>(), 0..200).prop_map(Piece::Random),
        1 => (0_usize..5000).prop_map(Piece::Zeros),
        4 => (any::<bool>(), records(), 0_u32..3)
            .prop_map(|(right, records, epoch)| Piece::Group { right, records, epoch }),
        4 => (records(), 0..HEADER + 8, extreme)
            .prop_map(|(records, at, bytes)| Piece::Forged { records, at, bytes }),
        2 => Just(Piece::Align),
    ]
}

/// Lays pieces behind each other; and the payload of every record in them. (A forged header may
/// say any LSN under a right sum.)
fn lay(pieces: &[Piece]) -> (Vec<u8>, BTreeSet<Vec<u8>>) {
    let (mut bytes, mut whole) = (Vec::new(), BTreeSet::new());
    let (mut lsn, mut crc) = (0, 0);
    let group = |lsn, prev_crc, epoch, records: &[Vec<u8>]| Group {
        store: STORE,
        generation: 1,
        prev_lsn: lsn,
        prev_crc,
        first_lsn: lsn + 1,
        watermark: 0,
        epoch,
        records: records.to_vec(),
    };
    for piece in pieces {
        match piece {
            Piece::Random(random) => bytes.extend_from_slice(random),
            Piece::Zeros(count) => bytes.resize(bytes.len() + count, 0),
            Piece::Align => bytes.resize(bytes.len().next_multiple_of(BLOCK), 0),
            Piece::Group { right, records, epoch } => {
                bytes.resize(bytes.len().next_multiple_of(8), 0);
                let prev_crc = if *right { crc } else { !crc };
                let group = group(lsn, prev_crc, *epoch, records);
                let (encoded, sum) = group.encode();
                bytes.extend_from_slice(&encoded);
                whole.extend(records.iter().cloned());
                if *right {
                    (lsn, crc) = (group.last_lsn(), sum);
                }
            }
            Piece::Forged { records, at, bytes: forged } => {
                bytes.resize(bytes.len().next_multiple_of(8), 0);
                let (mut encoded, _) = group(lsn, crc, 1, records).encode();
                let end = encoded.len().min(at + forged.len());
                let at = end.min(*at);
                encoded[at..end].copy_from_slice(&forged[..end - at]);
                bytes_of::sum_header(&mut encoded);
                bytes.extend_from_slice(&encoded);
                whole.extend(records.iter().cloned());
            }
        }
    }
    (bytes, whole)
}

/// Whatever stands in a segment, the reader yields only records that stand there whole, each
/// behind the one before it, and reads no more at once than a window, or the file.
#[test]
fn a_reader_makes_nothing_up() {
    let mut report = Report::begin("reader: properties of any bytes");
    report.count("pieces", || {
        check("pieces", 60_000, vec(piece(), 1..12), |pieces| {
            let (bytes, whole) = lay(&pieces);
            let shelf = Shelf::default();
            let path = Path::new("segment");
            shelf.put(path, bytes.clone());
            let file = shelf.open(path, Access::Read).unwrap();
            let mut text = String::new();
            dump::segment(Arc::clone(&file), path, &mut text).unwrap();
            let store = StoreId(STORE);
            let mut reader = GroupReader::new(file, path.to_owned(), store, 1).unwrap();
            let mut link = Link::default();
            let mut last = Lsn(0);
            while let Ok(group) = reader.next_group(&mut link).unwrap() {
                for (lsn, payload) in group.records() {
                    assert!(lsn > last, "{lsn} behind {last}");
                    assert!(whole.contains(&payload[..]), "{lsn}: {payload:?}");
                    last = lsn;
                }
                assert!(group.end() <= bytes.len() as u64);
            }
            assert!(shelf.longest_read() <= WINDOW.max(bytes.len()));
        })
    });
    report.end();
}

/// Logs of both kinds, several lives, recycled segments: each of a store of its own, as no two
/// stores share an id.
fn logs() -> Vec<Made> {
    let sync = |_| SyncMode::Sync;
    let none = |_| SyncMode::None;
    let mixed = |i| if i % 3 == 2 { SyncMode::Sync } else { SyncMode::None };
    let life = |commits, len, mode, end| Life { commits, len, mode, end };
    vec![
        make(*b"store number 1..", SMALL, &[life(5, 100, sync, End::Kill)]),
        make(
            *b"store number 2..",
            SMALL,
            &[life(20, 200, mixed, End::Close), life(4, 50, none, End::Close)],
        ),
        make(
            *b"store number 3..",
            2 * SMALL,
            &[
                life(9, 300, mixed, End::Tear(0)),
                life(4, 900, none, End::Kill),
                life(3, 100, sync, End::IdleKill),
            ],
        ),
        make(
            *b"store number 4..",
            SMALL,
            &[life(12, 10, sync, End::TruncateKill), life(3, 10, none, End::Kill)],
        ),
        make(*b"store number 5..", SMALL, &[life(9, 100, sync, End::Kill)]),
    ]
}

/// One change to a log's files; numbers are taken modulo what there is.
type Mutation = (u8, u32, u32, u32, u32);

fn mutate(shelf: &Shelf, others: &[Made], mutation: Mutation) {
    let (kind, a, b, c, d) = mutation;
    let [a, b, c, d] = [a, b, c, d].map(|number| usize::try_from(number).unwrap());
    let paths = shelf.paths();
    let path = &paths[a % paths.len()];
    let len = shelf.change(path, |bytes| bytes.len());
    let block = |bytes: &[u8], number: usize| {
        let from = number % bytes.len().div_ceil(BLOCK).max(1) * BLOCK;
        from..bytes.len().min(from + BLOCK)
    };
    let take = |from: &Shelf, path: &Path, number| {
        from.change(path, |bytes| bytes[block(bytes, number)].to_vec())
    };
    let put = |path: &Path, number, content: &[u8]| {
        shelf.change(path, |bytes| {
            let range = block(bytes, number);
            let len = range.len().min(content.len());
            bytes[range][..len].copy_from_slice(&content[..len]);
        });
    };
    let other_path = &paths[c % paths.len()];
    match kind % 8 {
        0 if len > 0 => shelf.change(path, |bytes| bytes[b % len] ^= 1 << (c % 8)),
        1 => put(path, b, &[0; BLOCK]),
        2 => put(path, b, &take(shelf, other_path, d)),
        3 => {
            let (one, two) = (take(shelf, path, b), take(shelf, other_path, d));
            put(path, b, &two);
            put(other_path, d, &one);
        }
        4 => shelf.change(path, |bytes| bytes.truncate(b % (len + 1))),
        5 => shelf.change(path, |bytes| bytes.resize(len + b % 9000, c.to_le_bytes()[0])),
        6 => {
            let (one, two) = (shelf.get(path), shelf.get(other_path));
            shelf.put(path, two);
            shelf.put(other_path, one);
        }
        _ => {
            let other = &others[c % others.len()].shelf;
            let from: Vec<PathBuf> = other.paths();
            put(path, b, &take(other, &from[d % from.len()], d / 7));
        }
    }
}

/// Whatever becomes of a log's files, an open yields no record but those that were committed under
/// their LSN, in order; it fails, or what it serves can be appended to.
#[test]
fn a_mutated_log_serves_nothing_that_was_not_committed() {
    let mut report = Report::begin("reader: properties of mutated logs");
    let logs = logs();
    report.count("mutations", || {
        let mutations = vec(any::<Mutation>(), 1..4);
        check("mutations", 60_000, (0..logs.len(), mutations), |(log, mutations)| {
            let made = &logs[log];
            let shelf = made.shelf.fork();
            mutations.iter().for_each(|mutation| mutate(&shelf, &logs, *mutation));
            if let Ok((_, records)) = lives::read(&shelf) {
                belong(made, &records);
                assert!(shelf.longest_read() <= WINDOW);
            }
            if let Ok((log, shelf, records)) = lives::recover(&shelf, options(2 * SMALL, None)) {
                belong(made, &records);
                goes_on(&log, &shelf, &records);
            }
        })
    });
    report.end();
}

fn belong(made: &Made, records: &Records) {
    let mut last = 0;
    for (lsn, payload) in records {
        assert!(*lsn > last);
        assert_eq!(made.written.get(lsn), Some(payload), "LSN {lsn}");
        last = *lsn;
    }
}

/// What was served is served again, with what is committed now behind it.
fn goes_on(log: &Log, shelf: &Shelf, records: &Records) {
    let lsn = log.append(b"one more", SyncMode::Sync).unwrap().lsn;
    let (_, mut again) = lives::read(shelf).unwrap();
    assert_eq!(again.pop(), Some((lsn.0, b"one more".to_vec())));
    assert_eq!(&again, records);
}

/// Fields of an anchor, each small, or as large as can be.
fn anchor() -> impl Strategy<Value = Anchor> {
    let number = || prop_oneof![4 => 0_u64..6, 1 => Just(u64::MAX), 1 => Just(u64::MAX - 1), 1 => any::<u64>()];
    let offset = prop_oneof![2 => (0_u64..5).prop_map(|block| block * 4096), 1 => number()];
    let crc = || prop_oneof![2 => Just(0_u32), 1 => any::<u32>()];
    let small = (prop_oneof![4 => 0_u32..4, 1 => Just(u32::MAX)], 0_u32..4, 0_u32..3, crc(), crc());
    let large = (number(), number(), number(), number(), number(), number(), number(), number());
    (small, large, offset).prop_map(|(small, large, end_offset)| {
        let (epoch, state, fresh, first_crc, end_crc) = small;
        let (first_segment, first_lsn, newest, checkpoint, durable, highest, end_segment, end_lsn) =
            large;
        Anchor {
            store: STORE,
            epoch,
            state,
            first_segment,
            first_lsn,
            first_crc,
            fresh,
            newest,
            checkpoint,
            durable,
            highest,
            end_segment,
            end_offset,
            end_lsn,
            end_crc,
        }
    })
}

/// An anchor that is whole and says anything at all makes an error, or a log that serves what was
/// committed and takes more.
#[test]
fn an_anchor_may_say_anything() {
    let mut report = Report::begin("reader: properties of forged anchors");
    let logs = logs();
    report.count("forged anchors", || {
        check("anchors", 60_000, (0..logs.len(), anchor()), |(log, mut anchor)| {
            let made = &logs[log];
            let shelf = made.shelf.fork();
            anchor.store.copy_from_slice(&shelf.get(anchor_path())[16..32]);
            shelf.put(anchor_path(), anchor.encode());
            if let Ok((_, records)) = lives::read(&shelf) {
                belong(made, &records);
            }
            if let Ok((log, _, records)) = lives::recover(&shelf, options(2 * SMALL, None)) {
                belong(made, &records);
                drop(log.append(b"one more", SyncMode::Sync));
                drop(log.idle_step());
                drop(log.close());
                assert!(log.stats().epoch > 0);
            }
        })
    });
    report.count("bytes of an anchor", || {
        let bytes = prop_oneof![vec(any::<u8>(), 0..200), vec(any::<u8>(), SUMMED)];
        check("anchor bytes", 20_000, (bytes, any::<bool>()), |(bytes, right)| {
            let mut anchor = bytes;
            if right && anchor.len() == SUMMED {
                anchor = [b"\xD1ondanch\0\0\0\0".to_vec(), anchor].concat();
                anchor[12..16].copy_from_slice(&1_u32.to_le_bytes());
                bytes_of::sum_anchor(&mut anchor);
            }
            drop(dump::anchor(&anchor, Path::new("anchor"), &mut String::new()));
            let shelf = Shelf::default();
            shelf.put(anchor_path(), anchor);
            drop(Log::presence(&shelf, Path::new(DIR)));
            drop(lives::read(&shelf));
        })
    });
    report.end();
}
