//! Sweeps over the store, engine by engine: every call fails once, the disk is full at every size,
//! bits flip, blocks and files go. Harness: `testkit::store::sweep`.

use std::io::ErrorKind;

use ondisk::{BatchLimits, EngineKind, SyncMode};
use ondisk_sim::Fault;
use testkit::store::sweep::{Counts, Specimen, bits, blocks, faulty, files, full};

fn faults(engine: EngineKind) {
    let clock = testkit::clock();
    let batch = SyncMode::Batch(BatchLimits { records: 3, bytes: None, delay: None });
    let (mut cases, mut felt) = (0, 0);
    for (mode, kind, every) in [
        (SyncMode::Sync, ErrorKind::Other, 1),
        (batch, ErrorKind::Other, 3),
        (SyncMode::None, ErrorKind::Other, 2),
        (SyncMode::Sync, ErrorKind::StorageFull, 2),
    ] {
        let calm = faulty(engine, mode, Fault::nth(u64::MAX, kind), None);
        let (calls, _) = calm.unwrap_or_else(|why| panic!("{engine}, mode {mode}: {why}"));
        for nth in (1..=calls).step_by(every) {
            match faulty(engine, mode, Fault::nth(nth, kind), None) {
                Ok((_, errors)) => felt += u64::from(errors > 0),
                Err(why) => panic!("{engine}, mode {mode}, call {nth} fails ({kind:?}): {why}"),
            }
            cases += 1;
        }
    }
    assert!(felt * 3 > cases, "{felt} of {cases} faults were felt");
    testkit::summary(&format!(
        "suite store_faults {engine:8}{cases:>6} faults, {felt} felt, 0 violations, in {:.1} s",
        clock()
    ));
}

fn full_disks(engine: EngineKind) {
    let clock = testkit::clock();
    let (mut cases, mut felt) = (0, 0);
    for bytes in (0..400 << 10).step_by(8192) {
        cases += 1;
        match full(engine, bytes, None) {
            Ok(refused) => felt += u64::from(refused > 0),
            Err(why) => panic!("{engine}, {bytes} bytes more than at first: {why}"),
        }
    }
    assert!(felt > 5, "a full disk must be met: {felt} of {cases}");
    testkit::summary(&format!(
        "suite store_disk_full {engine:8}{cases:>4} capacities, {felt} met a full disk, in {:.1} s",
        clock()
    ));
}

fn damage(engine: EngineKind) {
    let clock = testkit::clock();
    let specimen = Specimen::of(engine, None).unwrap_or_else(|why| panic!("{engine}: {why}"));
    let say = |what: &str, counts: Result<Counts, String>| {
        let counts = counts.unwrap_or_else(|why| panic!("{engine}: {why}"));
        let (done, noticed) = counts.values().fold((0, 0), |sum, it| (sum.0 + it.0, sum.1 + it.1));
        let of_each: Vec<String> =
            counts.iter().map(|(kind, (all, noticed))| format!("{kind} {noticed}/{all}")).collect();
        testkit::summary(&format!(
            "suite store_damage {engine:8}{what:7}{done:>6}, {noticed} noticed, the others \
             harmless, none given out: {}",
            of_each.join(", ")
        ));
    };
    say("bits", bits(&specimen, 300));
    say("blocks", blocks(&specimen, 4096));
    say("pages", blocks(&specimen, 1024));
    say("files", files(&specimen));
    testkit::summary(&format!("suite store_damage {engine:8}in {:.1} s", clock()));
}

macro_rules! engines {
    ($($name:ident: $engine:expr),*) => {$(
        mod $name {
            use super::*;

            #[test]
            fn every_call_fails_once() {
                faults($engine);
            }

            #[test]
            fn a_full_disk_refuses_and_comes_back() {
                full_disks($engine);
            }

            #[test]
            fn damage_is_never_given_out() {
                damage($engine);
            }
        }
    )*};
}

engines! { bitcask: EngineKind::Bitcask, lsm: EngineKind::Lsm, btree: EngineKind::Btree }
