//! Jobs that make the file shorter: alone, beside views, and beside checkpoints.

use super::*;

/// A number that looks like chance.
fn mix(n: u64) -> u64 {
    let n = (n ^ (n >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    n ^ (n >> 31)
}

fn key(n: u64) -> Vec<u8> {
    format!("key{:016x}", mix(n + 1)).into_bytes()
}

/// What a keyspace's values are.
#[derive(Clone, Copy, Debug)]
pub(super) enum Values {
    Short,
    /// One of twenty has pages of its own.
    Mixed,
}

fn value(n: u64, values: Values) -> Vec<u8> {
    let byte = u8::try_from(n % 251).unwrap();
    match values {
        Values::Mixed if n.is_multiple_of(20) => {
            vec![byte; 3000 + usize::try_from(n % 9).unwrap() * 1500]
        }
        _ => vec![byte; 100],
    }
}

/// Puts keys, and deletes four fifths of them here and there, a part at a time.
pub(super) fn grown(
    engine: &Arc<Btree>,
    readers: &Readers,
    keys: u64,
    values: Values,
) -> (Contents, u64) {
    let (mut model, mut lsn) = (Contents::new(), 0);
    let mut take = |changes: Changes| {
        lsn += 1;
        apply(&mut model, &changes);
        checkpoint(engine, &changes, lsn, readers).unwrap();
    };
    for part in 0..5 {
        take(
            (0..keys).filter(|n| n % 5 == part).map(|n| (key(n), Some(value(n, values)))).collect(),
        );
    }
    for part in 0..8 {
        let gone = (0..keys).filter(|n| !mix(n * 3).is_multiple_of(5) && mix(n * 7) % 8 == part);
        take(gone.map(|n| (key(n), None)).collect());
    }
    (model, lsn)
}

fn file_len(fs: &MemFs) -> u64 {
    fs.read("tree/pages").unwrap().len() as u64
}

/// The bytes of the pages in use, by the count of a check.
fn live_bytes(engine: &Arc<Btree>, page_size: u64) -> u64 {
    engine.stats().pages.unwrap().0 * page_size
}

#[test]
fn a_file_shrinks_to_what_lives() {
    let cases = [
        (4096, 12_000, Values::Short),
        (4096, 6000, Values::Mixed),
        (65536, 40_000, Values::Mixed),
    ];
    for (page_size, keys, values) in cases {
        let (fs, readers) = (MemFs::new(), Readers::default());
        let engine = open(site(&fs, page_size, None)).unwrap();
        let (model, lsn) = grown(&engine, &readers, keys, values);
        let before = file_len(&fs);
        let jobs = reclaim(&engine, Reclaim::All, &readers).unwrap();
        let (after, live) = (file_len(&fs), live_bytes(&engine, page_size.into()));
        println!("{page_size} {values:?}: {before} bytes, then {after} of {live}, in {jobs} jobs");
        assert!(after * 2 <= live * 3 && after * 2 < before, "{before}, {after} of {live}");
        assert_eq!(contents(&engine.view()).unwrap(), model);
        assert_eq!(engine.commit_point().through, Lsn(lsn));
        assert_eq!(findings(&site(&fs, page_size, None)), []);
        let engine = open(site(&fs, page_size, None)).unwrap();
        assert_eq!(contents(&engine.view()).unwrap(), model);
        // An open asks anew; nothing is left to be won.
        reclaim(&engine, Reclaim::All, &readers).unwrap();
        assert!(file_len(&fs) <= after);
    }
}

#[test]
fn small_pages_shrink_too() {
    let (fs, readers) = (MemFs::new(), Readers::default());
    let engine = open(site(&fs, 1024, None)).unwrap();
    let (model, _) = grown(&engine, &readers, 6000, Values::Mixed);
    let before = file_len(&fs);
    let jobs = reclaim(&engine, Reclaim::All, &readers).unwrap();
    let (after, live) = (file_len(&fs), live_bytes(&engine, 1024));
    println!("{before} bytes, then {after} of {live}, in {jobs} jobs");
    assert!(after < before / 2 && after < live * 2, "{before}, {after} of {live}");
    assert_eq!(contents(&engine.view()).unwrap(), model);
    assert_eq!(findings(&site(&fs, 1024, None)), []);
}

#[test]
fn a_view_stays_what_it_was_and_pages_come_back_after_it() {
    let (fs, readers) = (MemFs::new(), Readers::default());
    let engine = open(site(&fs, 4096, None)).unwrap();
    let (model, lsn) = grown(&engine, &readers, 4000, Values::Mixed);
    let view = engine.view();
    reclaim(&engine, Reclaim::All, &readers).unwrap();
    let kept = file_len(&fs);
    let changes = (0..500).map(|n| (key(n), Some(vec![9; 50]))).collect();
    checkpoint(&engine, &changes, lsn + 1, &readers).unwrap();
    reclaim(&engine, Reclaim::All, &readers).unwrap();
    assert_eq!(contents(&view).unwrap(), model, "where they were read before they moved");
    assert!(Arc::clone(&engine).reclaim(Reclaim::All).is_none());
    drop(view);
    assert!(reclaim(&engine, Reclaim::All, &readers).unwrap() > 0, "the view was in the way");
    let (after, live) = (file_len(&fs), live_bytes(&engine, 4096));
    assert!(after < kept && after * 2 <= live * 3, "{kept}, {after} of {live}");
    assert_eq!(findings(&site(&fs, 4096, None)), []);
}

#[test]
fn little_waste_is_left_alone_unasked_and_much_is_not() {
    let (fs, readers) = (MemFs::new(), Readers::default());
    let engine = open(site(&fs, 4096, None)).unwrap();
    let put = |from: u64, to: u64| (from..to).map(|n| (key(n), Some(vec![1; 100]))).collect();
    let gone = |from: u64, to: u64| (from..to).map(|n| (key(n), None)).collect();
    for nth in 0..5 {
        checkpoint(&engine, &put(nth * 8000, nth * 8000 + 8000), nth + 1, &readers).unwrap();
    }
    assert!(Arc::clone(&engine).reclaim(Reclaim::Due).is_none(), "as much again is no waste");
    let large = file_len(&fs);
    checkpoint(&engine, &gone(0, 38_000), 6, &readers).unwrap();
    assert!(reclaim(&engine, Reclaim::Due, &readers).unwrap() > 0);
    assert!(file_len(&fs) < large / 4, "{large}, then {}", file_len(&fs));
    assert!(engine.stats().reclaim_written > 0);
    assert_eq!(contents(&engine.view()).unwrap().len(), 2000);
    assert_eq!(findings(&site(&fs, 4096, None)), []);
}

/// Steps of a reclaiming job and of a checkpoint in turns; whether the tree is wrong then.
pub(super) fn overlapped(broken: Option<BtreeRule>) -> bool {
    let mut wrong = false;
    for first in 0..30 {
        let (fs, readers) = (MemFs::new(), Readers::default());
        let engine = open(site(&fs, 1024, broken)).unwrap();
        let (mut model, lsn) = grown(&engine, &readers, 300, Values::Mixed);
        let changes: Changes = (0..100).map(|n| (key(n), Some(vec![7; 60]))).collect();
        apply(&mut model, &changes);
        let durable = || Lsn(lsn + 1);
        let work = Work { bytes: 1000, durable: &durable, pins: &readers };
        let mut shrink = Arc::clone(&engine).reclaim(Reclaim::All).unwrap();
        for _ in 0..first {
            shrink.step(&work).unwrap();
        }
        let mut checkpoint = Arc::clone(&engine).checkpoint(frozen(&changes, lsn + 1));
        let mut going = true;
        while going {
            going = checkpoint.step(&work).unwrap() == Progress::Working;
            going |= shrink.step(&work).is_ok_and(|it| it == Progress::Working);
        }
        drop((checkpoint, shrink));
        let right = contents(&engine.view()).is_ok_and(|found| found == model)
            && findings(&site(&fs, 1024, broken)).is_empty();
        wrong |= !right;
        if broken.is_none() {
            reclaim(&engine, Reclaim::All, &readers).unwrap();
            assert_eq!(contents(&engine.view()).unwrap(), model);
        }
    }
    wrong
}

#[test]
fn a_checkpoint_takes_the_turn_and_nothing_is_lost() {
    assert!(!overlapped(None));
}

#[test]
fn none_is_offered_beside_a_checkpoint() {
    let (fs, readers) = (MemFs::new(), Readers::default());
    let engine = open(site(&fs, 1024, None)).unwrap();
    let (_, lsn) = grown(&engine, &readers, 300, Values::Mixed);
    let changes = Changes::from([(key(1), Some(vec![1]))]);
    let durable = || Lsn(lsn + 1);
    let work = Work { bytes: 1000, durable: &durable, pins: &readers };
    let mut job = Arc::clone(&engine).checkpoint(frozen(&changes, lsn + 1));
    while job.step(&work).unwrap() == Progress::Working {
        assert!(Arc::clone(&engine).reclaim(Reclaim::All).is_none());
    }
    // One that has finished is in nobody's way, also where it is still there.
    assert!(Arc::clone(&engine).reclaim(Reclaim::All).is_some());
    let mut cut = Arc::clone(&engine).checkpoint(frozen(&changes, lsn + 2));
    assert_eq!(cut.step(&work).unwrap(), Progress::Working);
    assert!(Arc::clone(&engine).reclaim(Reclaim::All).is_none());
    drop(cut);
    assert!(Arc::clone(&engine).reclaim(Reclaim::All).is_some());
}

/// However soon checkpoints come, a pass that got through is not done again.
#[test]
fn checkpoints_in_between_do_not_stop_a_sweep() {
    let (fs, readers) = (MemFs::new(), Readers::default());
    let engine = open(site(&fs, 4096, None)).unwrap();
    let (mut model, mut lsn) = grown(&engine, &readers, 12_000, Values::Short);
    let before = file_len(&fs);
    for nth in 0..60 {
        let durable = || Lsn(lsn);
        let work = Work { bytes: 1000, durable: &durable, pins: &readers };
        if let Some(mut job) = Arc::clone(&engine).reclaim(Reclaim::All) {
            while job.step(&work).unwrap() == Progress::Working {}
        }
        lsn += 1;
        let changes = Changes::from([(key(nth), Some(vec![1; 10]))]);
        apply(&mut model, &changes);
        checkpoint(&engine, &changes, lsn, &readers).unwrap();
    }
    assert!(file_len(&fs) * 2 < before, "{before}, then {}", file_len(&fs));
    assert_eq!(contents(&engine.view()).unwrap(), model);
}
