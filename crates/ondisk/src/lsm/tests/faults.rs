//! Whatever call of the file system fails, the engine is whole and the next job begins again.

use std::io::ErrorKind;

use ondisk_sim::Fault;

use super::*;

/// Does a job over until it is done: one fault may be in its way.
fn insist(fixture: &Fixture, failed: &mut u32, mut job: impl FnMut() -> Option<Box<dyn Job>>) {
    while let Some(next) = job() {
        match fixture.run(next) {
            Ok(()) => return,
            Err(_) => *failed += 1,
        }
        assert!(*failed < 3, "one fault fails one job");
    }
}

/// Checkpoints, compaction and an open, in which one call fails; how many failed because of it.
fn life(nth: Option<u64>, kind: ErrorKind) -> (u32, u64) {
    let mut fixture = Fixture::new(None);
    let before = fixture.fs.calls();
    if let Some(nth) = nth {
        fixture.fs.inject(Fault::nth(before + nth, kind));
    }
    let mut failed = 0;
    for round in 0..5_u8 {
        let puts = (0..20).map(|it| (key(it), Some(vec![round; 30])));
        let deletes = (20..25).map(|it| (key(it + u32::from(round)), None));
        let frozen = fixture.freeze(&[puts.chain(deletes).collect()]);
        let lsm = Arc::clone(&fixture.lsm);
        insist(&fixture, &mut failed, || Some(Arc::clone(&lsm).checkpoint(frozen.clone())));
        for _ in 0..6 {
            insist(&fixture, &mut failed, || Arc::clone(&lsm).reclaim(Reclaim::Due));
        }
        drop(lsm);
        if round == 3 {
            fixture.lsm = loop {
                match open_shaped(site(&fixture.fs, None), SMALL) {
                    Ok(lsm) => break lsm,
                    Err(_) => failed += 1,
                }
            };
            while fixture.lsm.renew().and_then(|()| fixture.lsm.sweep()).is_err() {
                failed += 1;
            }
        }
    }
    let calls = fixture.fs.calls() - before;
    fixture.fs.clear_faults();
    fixture.check();
    fixture.reclaim(Reclaim::All);
    fixture.check();
    // Nothing is left behind, but what only an open finds.
    fixture.reopen();
    assert_eq!(fixture.tables(), fixture.lsm.version().tables().count(), "call {nth:?}");
    fixture.check();
    (failed, calls)
}

#[test]
fn each_call_may_fail_once() {
    let (failed, calls) = life(None, ErrorKind::Other);
    assert_eq!(failed, 0);
    let mut noticed = 0;
    for kind in [ErrorKind::Other, ErrorKind::StorageFull] {
        for nth in 1..=calls {
            noticed += u64::from(life(Some(nth), kind).0 > 0);
        }
    }
    println!("{calls} calls; {noticed} of {} faults failed a job", calls * 2);
    assert!(noticed > calls, "{noticed}");
}
