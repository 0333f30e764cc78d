//! The power-cut suite over the log. Harness and shapes: `testkit::power_cut`.
//!
//! Counted are distinct crash states that were recovered and judged, by what the log was doing
//! when the power went.

use std::collections::BTreeMap;

use ondisk_log::Sabotage;
use ondisk_sim::model::{EXT4, POSIX, STRICT};
use ondisk_sim::{Model, Tally, Where};
use testkit::power_cut::{Depth, SHAPES, Shape, explore_all};

/// The strongest model, the weakest and the common one between them; the campaign runs all rows.
const MODELS: [Model; 3] = [STRICT, EXT4, POSIX];
/// Seeds that the suite runs; the campaign goes on from here.
const SEEDS: std::ops::Range<u64> = 0..5;
/// Distinct states that a run of the suite looks at, at least.
const STATES: u64 = 100_000;
/// What the log may be doing when the power goes; each is at least one state in a hundred.
const STEPS: [&str; 6] =
    ["append", "segment switch", "recycle", "checkpoint", "truncate", "recovery"];

#[test]
fn nothing_that_was_acknowledged_is_lost() {
    let clock = testkit::clock();
    let tally = Tally::new();
    let report = match explore_all(&SHAPES, SEEDS, &MODELS, Depth::default(), None, &tally) {
        Ok(report) => report,
        Err((run, failure)) => panic!(
            "shape {}, seed {}, model {}:\n{failure}\n{:?}",
            run.shape.name,
            run.seed,
            run.model.name,
            run.ops(1)
        ),
    };
    let mut steps: BTreeMap<&str, u64> = STEPS.map(|step| (step, 0)).into();
    let mut shapes: BTreeMap<String, u64> = BTreeMap::new();
    let mut lives = [0; 2];
    for (group, states) in tally.groups() {
        if let Some(step) = steps.get_mut(&group.label[..]) {
            *step += states;
        }
        *shapes.entry(group.shape).or_default() += states;
        lives[usize::from(group.lives > 1)] += states;
    }
    let total = tally.states();
    let (recoveries, seconds) = (tally.recoveries(), clock());
    testkit::summary(&format!("  by step: {steps:?}\n  by shape: {shapes:?}"));
    testkit::summary(&format!(
        "suite log_power_cut: {total} states, {} of them of two lives or more, {recoveries} \
         recoveries, 0 violations, {report}, in {seconds:.1} s",
        lives[1]
    ));
    assert!(total >= STATES, "{total} states");
    assert!(lives[1] * 5 >= total, "states of two lives or more: {} of {total}", lives[1]);
    for (name, states) in
        steps.iter().map(|(k, v)| (*k, *v)).chain(shapes.iter().map(|(k, v)| (&k[..], *v)))
    {
        assert!(states * 100 >= total, "{name}: {states} of {total} states");
    }
}

/// On a small history, cutting everywhere finds nothing that cutting at syncs does not.
#[test]
fn cutting_at_syncs_is_enough() {
    let small =
        |shape: &Shape| shape.name == "sync" || shape.name == "batch" || shape.name == "none";
    let shapes: Vec<Shape> = SHAPES.into_iter().filter(small).collect();
    let depth = Depth { places: Where::Everywhere, first: 16, lives: 1, ..Depth::default() };
    let tally = Tally::new();
    let found = explore_all(&shapes, 100..103, &MODELS, depth, None, &tally);
    assert!(found.is_ok(), "{}", found.map_err(|(_, failure)| failure).unwrap_err());
    testkit::summary(&format!("suite log_power_cut everywhere: {} states", tally.states()));
}

/// The rules whose breaking a power cut shows, and the shapes that are made for it; none: all.
const SHOWN_BY_CUTS: [(Sabotage, &[&str]); 14] = [
    (Sabotage::SyncSkipped, &[]),
    (Sabotage::TailBlockRewritten, &[]),
    (Sabotage::EpochNotRaised, &[]),
    (Sabotage::PayloadSumIgnored, &[]),
    (Sabotage::SegmentNameNotSynced, &[]),
    (Sabotage::SegmentFreedBeforeAnchor, &[]),
    (Sabotage::OpenNotWritten, &[]),
    (Sabotage::AnchorNotSynced, &[]),
    (Sabotage::PredecessorNotSynced, &["mixed", "killed mixed"]),
    (Sabotage::UpgradeByRangedSync, &["mixed", "killed mixed"]),
    (Sabotage::BatchCountsTwice, &["batch", "equal"]),
    (Sabotage::TailNotRewritten, &["killed", "failed sync"]),
    (Sabotage::FailedSyncRetried, &["failed sync"]),
    (Sabotage::ClosedWithoutSync, &["closed"]),
];

#[test]
fn canaries_are_caught_within_the_same_budget() {
    let mut missed = Vec::new();
    for (sabotage, names) in SHOWN_BY_CUTS {
        let made = |shape: &Shape| names.is_empty() || names.contains(&shape.name);
        let shapes: Vec<Shape> = SHAPES.into_iter().filter(made).collect();
        let tally = Tally::new();
        let depth = Depth::default();
        let caught = explore_all(&shapes, SEEDS, &MODELS, depth, Some(sabotage), &tally);
        let name = format!("{sabotage:?}");
        let states = tally.states();
        match caught {
            Err((run, _)) => testkit::summary(&format!(
                "  canary {name:26} caught after {states:>6} states: {}, {}",
                run.shape.name, run.model.name
            )),
            Ok(_) => missed.push(format!("{name}, in {states} states")),
        }
    }
    assert!(missed.is_empty(), "not caught: {missed:#?}");
}
