//! The power-cut suite over the store, engine by engine. Harness and shapes: `testkit::store`.
//!
//! Counted are distinct crash states that were recovered and judged, by what the store was doing
//! when the power went.

use std::collections::BTreeMap;

use ondisk::EngineKind;
use ondisk_sim::model::{EXT4, POSIX, STRICT};
use ondisk_sim::{Model, Report, Tally};
use testkit::store::cut::{Depth, explore};
use testkit::store::generate::{For, story};
use testkit::store::shapes::shapes;
use testkit::store::story::TIGHT;

/// The strongest model, the weakest and the common one between them.
const MODELS: [Model; 3] = [STRICT, EXT4, POSIX];
/// Distinct states that a run of the suite looks at, of each engine at least.
const STATES: u64 = 50_000;
/// Variants of each shape.
const VARIANTS: u64 = 3;
/// Stories by chance, beside the shapes.
const STORIES: u64 = 12;

fn nothing_acknowledged_is_lost(engine: EngineKind) {
    let clock = testkit::clock();
    let tally = Tally::new();
    let mut stories: Vec<_> = (0..VARIANTS).flat_map(|variant| shapes(engine, variant)).collect();
    stories.extend((0..STORIES).map(|seed| story(engine, seed, 25, For::Cuts, TIGHT)));
    let mut all = Report::default();
    for story in &stories {
        let before = (clock(), tally.states());
        match explore(story, None, &MODELS, Depth::default(), &tally) {
            Ok(report) => all.merge(report),
            Err(lost) => {
                testkit::summary(&format!("{lost}\n{story}"));
                panic!("{engine}: {}", story.name);
            }
        }
        if std::env::var_os("ONDISK_STORIES").is_some() {
            let (seconds, states) = (clock() - before.0, tally.states() - before.1);
            testkit::summary(&format!("  {states:>6} states in {seconds:.2} s: {}", story.name));
        }
    }
    let mut steps: BTreeMap<String, u64> = BTreeMap::new();
    let mut lives = [0; 2];
    for (group, states) in tally.groups() {
        *steps.entry(group.label).or_default() += states;
        lives[usize::from(group.lives > 1)] += states;
    }
    testkit::summary(&format!(
        "suite store_power_cut {engine:8}{:>8} states, {} of them of two lives, {} recoveries, \
         0 violations, {all}, in {:.1} s\n  {steps:?}",
        tally.states(),
        lives[1],
        tally.recoveries(),
        clock()
    ));
    assert!(tally.states() >= STATES, "{} states", tally.states());
    assert!(lives[1] * 5 >= tally.states(), "states of two lives: {}", lives[1]);
}

#[test]
fn bitcask() {
    nothing_acknowledged_is_lost(EngineKind::Bitcask);
}

#[test]
fn lsm() {
    nothing_acknowledged_is_lost(EngineKind::Lsm);
}

#[test]
fn btree() {
    nothing_acknowledged_is_lost(EngineKind::Btree);
}
