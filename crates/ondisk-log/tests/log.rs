//! The log on a real directory: what its callers rely on, mode by mode.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use ondisk_fs::{FileSystem, OsFs, Rung};
use ondisk_log::{
    Batch, Flow, Log, LogError, LogOptions, Lsn, Presence, Recovered, Sabotage, Step, StoreId,
    SyncMode,
};

const SMALL: LogOptions =
    LogOptions { first_segment: 64 << 10, largest_segment: 128 << 10, sabotage: None };
const MODES: [SyncMode; 3] = [
    SyncMode::Sync,
    SyncMode::Batch(Batch { records: 10, bytes: None, delay: None }),
    SyncMode::None,
];

fn fs() -> Arc<dyn FileSystem> {
    Arc::new(OsFs)
}

fn create(dir: &Path) -> Log {
    Log::create(fs(), dir, StoreId(*b"a store of tests"), SMALL).unwrap().finish().unwrap()
}

fn open(dir: &Path) -> (Log, Recovered, Vec<(u64, Bytes)>) {
    let mut records = Vec::new();
    let sink = &mut |lsn: Lsn, payload| {
        records.push((lsn.0, payload));
        Flow::Continue
    };
    let (log, recovered) = Log::recover(fs(), dir, SMALL, Lsn(0), sink).unwrap();
    (log, recovered, records)
}

fn payload(i: u64) -> Vec<u8> {
    let len = usize::try_from(i * 37 % 900).unwrap();
    let mut bytes = format!("record {i} ").into_bytes();
    bytes.resize(bytes.len() + len, u8::try_from(i % 251).unwrap());
    bytes
}

#[test]
fn what_is_appended_comes_back_closed_or_not() {
    for mode in MODES {
        for close in [true, false] {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("log");
            let mut log = create(&path);
            let mut next = 1;
            for life in 0..4 {
                for _ in 0..150 {
                    let receipt = log.append(&payload(next), mode).unwrap();
                    assert_eq!(receipt.lsn, Lsn(next));
                    assert!(receipt.rung >= Rung::Cached);
                    next += 1;
                }
                if close {
                    log.close().unwrap();
                    assert!(matches!(log.append(b"x", mode), Err(LogError::Closed)));
                }
                drop(log);
                let (again, recovered, records) = open(&path);
                assert_eq!(recovered.was_closed, close, "{mode} life {life}");
                assert_eq!(recovered.end, Lsn(next - 1), "{mode} {close} life {life}");
                let expected: Vec<_> = (1..next).map(|i| (i, Bytes::from(payload(i)))).collect();
                assert_eq!(records, expected, "{mode} {close} life {life}");
                assert_eq!(again.durable(), Lsn(next - 1));
                log = again;
            }
            // iter sees the same, from any place.
            log.append(&payload(next), mode).unwrap();
            for from in [0, 1, 2, 77, 400, next] {
                let seen: Result<Vec<_>, _> = log.iter(Lsn(from)).unwrap().collect();
                let expected: Vec<_> =
                    (from.max(1)..=next).map(|i| (Lsn(i), Bytes::from(payload(i)))).collect();
                assert_eq!(seen.unwrap(), expected);
            }
        }
    }
}

#[test]
fn an_open_that_commits_nothing_writes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let log = create(&path);
    log.append(b"one", SyncMode::Sync).unwrap();
    log.close().unwrap();
    let image = || -> Vec<_> {
        let fs = fs();
        let names = fs.list(&path).unwrap().into_iter().map(|entry| entry.name);
        names.map(|name| (name.clone(), read(&path.join(name)))).collect()
    };
    let before = image();
    let (log, recovered, _) = open(&path);
    assert!(recovered.was_closed);
    log.close().unwrap();
    assert_eq!(image(), before);
}

fn read(path: &Path) -> Vec<u8> {
    let file = fs().open(path, ondisk_fs::Access::Read).unwrap();
    let mut bytes = vec![0; usize::try_from(file.size().unwrap()).unwrap()];
    file.read_exact_at(&mut bytes, 0).unwrap();
    bytes
}

#[test]
fn reopening_a_closed_log_burns_no_segment() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    create(&path).close().unwrap();
    for i in 1..=10 {
        let (log, _, _) = open(&path);
        assert_eq!(log.append(b"x", SyncMode::Sync).unwrap().lsn, Lsn(i));
        log.close().unwrap();
    }
    let (log, recovered, _) = open(&path);
    assert_eq!((recovered.segments, recovered.epoch, log.stats().segments), (1, 1, 1));
}

#[test]
fn truncated_segments_are_recycled_and_the_log_stays_bounded() {
    for mode in MODES {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let log = create(&path);
        let mut last = Lsn(0);
        for i in 1..=3000 {
            last = log.append(&payload(i), mode).unwrap().lsn;
            if i % 200 == 0 {
                assert!(matches!(log.truncate(last), Err(LogError::NotCheckpointed { .. })));
                log.checkpoint(last).unwrap();
                assert!(log.durable() >= last);
                log.truncate(last).unwrap();
                while log.step().unwrap() == Step::Working {}
                assert!(log.stats().bytes <= 5 * SMALL.largest_segment, "{:?}", log.stats());
            }
        }
        assert!(matches!(log.iter(Lsn(1)), Err(LogError::Truncated { .. })));
        drop(log);
        let (log, recovered, records) = open(&path);
        assert_eq!((recovered.end, recovered.checkpoint), (last, last));
        assert!(records.iter().all(|(lsn, bytes)| *bytes == payload(*lsn)));
        assert_eq!(log.append(b"y", mode).unwrap().lsn, last.next());
    }
}

#[test]
fn batch_never_has_more_at_risk_than_it_says() {
    let dir = tempfile::tempdir().unwrap();
    let log = create(&dir.path().join("log"));
    let mode = SyncMode::Batch(Batch { records: 10, ..Batch::default() });
    for i in 1..=55 {
        let receipt = log.append(b"x", mode).unwrap();
        assert!(receipt.lsn.0 - log.durable().0 <= 10);
        assert!(log.at_risk() <= 10);
        assert_eq!(receipt.rung == Rung::Durable, i % 10 == 0, "{i}");
    }
    assert_eq!(log.sync().unwrap().rung, Rung::Durable);
    assert_eq!(log.durable(), Lsn(55));
    let bytes = SyncMode::Batch(Batch { bytes: Some(100), ..Batch::default() });
    for _ in 0..50 {
        log.append(&[0; 30], bytes).unwrap();
        assert!(log.at_risk() <= 3);
    }
}

#[test]
fn a_commit_may_ask_for_more_than_the_others() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let log = create(&path);
    for i in 0..200_u64 {
        let mode = if i % 7 == 6 { SyncMode::Sync } else { SyncMode::None };
        let receipt = log.append(&payload(i), mode).unwrap();
        assert_eq!(receipt.rung, if i % 7 == 6 { Rung::Durable } else { Rung::Cached });
        assert_eq!(log.durable() == receipt.lsn, i % 7 == 6);
    }
    let batch: Vec<Vec<u8>> = (0..5).map(payload).collect();
    let slices: Vec<&[u8]> = batch.iter().map(Vec::as_slice).collect();
    let receipt = log.append_batch(&slices).unwrap();
    assert_eq!((receipt.lsn, receipt.rung), (Lsn(205), Rung::Durable));
}

#[test]
fn a_long_commit_gets_a_segment_that_takes_it_and_a_longer_one_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let options = LogOptions { first_segment: 16 << 10, largest_segment: 1 << 20, sabotage: None };
    let log = Log::create(fs(), &path, StoreId([7; 16]), options).unwrap().finish().unwrap();
    let limit = options.commit_limit();
    assert!(limit > 200 << 10);
    log.append(&vec![1; limit], SyncMode::Sync).unwrap();
    log.append(b"short", SyncMode::None).unwrap();
    log.append(&vec![2; limit], SyncMode::None).unwrap();
    let error = log.append(&vec![3; limit + 1], SyncMode::Sync).unwrap_err();
    assert!(error.to_string().contains(&limit.to_string()), "{error}");
    drop(log);
    let mut lens = Vec::new();
    Log::read(&*fs(), &path, Lsn(0), &mut |_, payload: Bytes| {
        lens.push(payload.len());
        Flow::Continue
    })
    .unwrap();
    assert_eq!(lens, [limit, 5, limit]);
}

#[test]
fn many_committers_share_groups_and_each_is_there() {
    for mode in MODES {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let log = create(&path);
        let threads = 8;
        let each = 300;
        std::thread::scope(|scope| {
            for thread in 0..threads {
                let log = &log;
                scope.spawn(move || {
                    for i in 0..each {
                        let text = format!("{thread} {i}");
                        let receipt = log.append(text.as_bytes(), mode).unwrap();
                        assert!(log.acknowledged() >= receipt.lsn);
                    }
                });
            }
        });
        let stats = log.stats();
        assert_eq!(stats.commits, threads * each);
        log.close().unwrap();
        drop(log);
        let (_, _, records) = open(&path);
        let mut next = vec![0_u64; usize::try_from(threads).unwrap()];
        for (_, payload) in records {
            let text = String::from_utf8(payload.to_vec()).unwrap();
            let (thread, i) = text.split_once(' ').unwrap();
            let expected = &mut next[thread.parse::<usize>().unwrap()];
            assert_eq!(i.parse::<u64>().unwrap(), *expected, "in the order of each committer");
            *expected += 1;
        }
        assert!(next.iter().all(|count| *count == each));
    }
}

#[test]
fn the_largest_group_is_remembered() {
    let dir = tempfile::tempdir().unwrap();
    let log = create(&dir.path().join("log"));
    let sizes = [1, 5, 2].map(|commits| {
        log.append_batch(&vec![b"x".as_slice(); commits]).unwrap();
        log.stats().largest_group
    });
    assert_eq!(sizes, [1, 5, 5]);
    assert_eq!((log.stats().commits, log.stats().groups), (8, 3));
}

#[test]
fn an_idle_log_tells_damage_of_its_last_commit() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let log = create(&path);
    log.append(b"the last", SyncMode::None).unwrap();
    assert_eq!(log.idle_step().unwrap(), Step::Working);
    assert_eq!(log.idle_step().unwrap(), Step::Idle);
    assert_eq!(log.durable(), Lsn(1));
    drop(log);
    let segment = path.join("0000000001.log");
    let file = fs().open(&segment, ondisk_fs::Access::ReadWrite).unwrap();
    file.write_all_at(b"THE", 88).unwrap();
    let error = Log::read(&*fs(), &path, Lsn(0), &mut |_, _| Flow::Continue).unwrap_err();
    assert!(matches!(error, LogError::Damaged { durable: Lsn(1), .. }), "{error}");
}

#[test]
fn a_log_says_what_it_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let absent = Log::recover(fs(), &path, SMALL, Lsn(0), &mut |_, _| Flow::Continue);
    assert!(matches!(absent, Err(LogError::Absent { .. })));
    assert_eq!(Log::presence(&*fs(), &path).unwrap(), Presence::Nothing);
    // A making that was cut short.
    drop(Log::create(fs(), &path, StoreId([1; 16]), SMALL).unwrap());
    assert_eq!(Log::presence(&*fs(), &path).unwrap(), Presence::HalfMade);
    create(&path).close().unwrap();
    assert_eq!(Log::presence(&*fs(), &path).unwrap(), Presence::Log);
    let again = Log::create(fs(), &path, StoreId([1; 16]), SMALL);
    assert!(matches!(again, Err(LogError::Occupied { .. })));
    fs().remove(&path.join("anchor")).unwrap();
    assert!(matches!(Log::presence(&*fs(), &path), Err(LogError::AnchorMissing { .. })));
}

/// Whether a log refuses to give back what no checkpoint holds, and still has it after a reopen.
fn keeps_what_no_checkpoint_holds(sabotage: Option<Sabotage>) -> bool {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let options = LogOptions { sabotage, ..SMALL };
    let log = Log::create(fs(), &path, StoreId([5; 16]), options).unwrap().finish().unwrap();
    for i in 1..=100 {
        log.append(&payload(i), SyncMode::Sync).unwrap();
    }
    let refused = log.truncate(log.last()).is_err();
    drop(log);
    let (_, _, records) = open(&path);
    refused && records.len() == 100
}

#[test]
fn canary_a_truncation_beyond_the_checkpoint_is_noticed() {
    assert!(keeps_what_no_checkpoint_holds(None));
    assert!(!keeps_what_no_checkpoint_holds(Some(Sabotage::TruncatedBeyondCheckpoint)));
}
