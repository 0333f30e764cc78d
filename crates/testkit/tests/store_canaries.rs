//! Every rule that can be broken on purpose is broken, and one of the suites over the store must
//! notice, within the budget that it has otherwise.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::panic::{AssertUnwindSafe, catch_unwind};

use ondisk::sabotage::{BitcaskRule, BtreeRule, LsmRule, Sabotage, ValueRule};
use ondisk::{EngineKind, SyncMode};
use ondisk_sim::model::{EXT4, POSIX};
use ondisk_sim::{Fault, Tally};
use testkit::store::cut::{Depth, explore};
use testkit::store::generate::{For, story};
use testkit::store::shapes::{by_turns, shapes};
use testkit::store::story::{SMALL, TIGHT};
use testkit::store::sweep::{Specimen, bits, blocks, faulty, files};
use testkit::store::world::told;

/// Rules that no store of one thread can show, and what does the same for it; who shows them.
const ELSEWHERE: [(Sabotage, &str); 11] = [
    // A reader in another process.
    (Sabotage::Bitcask(BitcaskRule::PinsIgnored), "bitcask::cask::tests"),
    (Sabotage::Lsm(LsmRule::PinsIgnored), "lsm::tests"),
    (Sabotage::Btree(BtreeRule::PinsIgnored), "btree::tests"),
    // A checkpoint that begins between two steps of a job.
    (Sabotage::Btree(BtreeRule::TurnIgnored), "btree::tests"),
    // The trees of stories are small: what moves in them is no large value, and nobody comes to its
    // place while it is read there.
    (Sabotage::Btree(BtreeRule::MovedValueForgotten), "btree::tests"),
    (Sabotage::Btree(BtreeRule::MovedPlaceReused), "btree::tests"),
    // The frozen map hides it until the job has finished.
    (Sabotage::Bitcask(BitcaskRule::ShownEarly), "bitcask::cask::tests"),
    // A file that is open outlives its name.
    (Sabotage::Lsm(LsmRule::ViewsIgnored), "lsm::tests"),
    // It takes three levels; the engine's own suite has short ones.
    (Sabotage::Lsm(LsmRule::TombstoneDropped), "lsm::tests"),
    // Another thread sweeps while a commit is on its way.
    (Sabotage::Value(ValueRule::InFlightSwept), "values::tests"),
    // A read behind the end says so by itself.
    (Sabotage::Btree(BtreeRule::LengthUnchecked), "btree::tests"),
];

type Suite = fn(EngineKind, Option<Sabotage>) -> Result<(), String>;

/// The quickest first.
const SUITES: [(&str, Suite); 7] = [
    ("model", model),
    ("by turns", turns),
    ("a glance", glance),
    ("damage", damage),
    ("faults", faults),
    ("power cut", cuts),
    ("chance", chance),
];

fn model(engine: EngineKind, broken: Option<Sabotage>) -> Result<(), String> {
    (0..100).try_for_each(|seed| told(&story(engine, seed, 50, For::Model, SMALL), broken))
}

fn turns(engine: EngineKind, broken: Option<Sabotage>) -> Result<(), String> {
    by_turns(engine).iter().try_for_each(|story| told(story, broken))
}

/// The power cuts that come first to mind.
fn glance(engine: EngineKind, broken: Option<Sabotage>) -> Result<(), String> {
    let (tally, depth) = (Tally::new(), Depth { first: 4, every: 0, ..Depth::default() });
    shapes(engine, 0)
        .iter()
        .try_for_each(|story| explore(story, broken, &[POSIX], depth, &tally).map(drop))
}

fn cuts(engine: EngineKind, broken: Option<Sabotage>) -> Result<(), String> {
    let tally = Tally::new();
    shapes(engine, 0).iter().try_for_each(|story| {
        explore(story, broken, &[EXT4, POSIX], Depth::default(), &tally).map(drop)
    })
}

fn chance(engine: EngineKind, broken: Option<Sabotage>) -> Result<(), String> {
    let tally = Tally::new();
    (0..12).try_for_each(|seed| {
        let story = story(engine, seed, 25, For::Cuts, TIGHT);
        explore(&story, broken, &[POSIX], Depth::default(), &tally).map(drop)
    })
}

fn damage(engine: EngineKind, broken: Option<Sabotage>) -> Result<(), String> {
    let specimen = Specimen::of(engine, broken)?;
    bits(&specimen, 150)?;
    blocks(&specimen, 1024)?;
    files(&specimen).map(drop)
}

/// Of the faults every third.
fn faults(engine: EngineKind, broken: Option<Sabotage>) -> Result<(), String> {
    let fault = |nth| Fault::nth(nth, ErrorKind::Other);
    let (calls, _) = faulty(engine, SyncMode::Sync, fault(u64::MAX), broken)?;
    (1..=calls)
        .step_by(3)
        .try_for_each(|nth| faulty(engine, SyncMode::Sync, fault(nth), broken).map(drop))
}

/// Who notices, and what is said.
fn caught(engine: EngineKind, rule: Sabotage) -> Option<(&'static str, String)> {
    SUITES.into_iter().find_map(|(name, suite)| {
        match catch_unwind(AssertUnwindSafe(|| suite(engine, Some(rule)))) {
            Ok(Ok(())) => None,
            Ok(Err(why)) => Some((name, why)),
            Err(_) => Some((name, "a panic".to_owned())),
        }
    })
}

fn all_are_caught(of: &str, engine: EngineKind, rules: &[Sabotage]) {
    let clock = testkit::clock();
    let elsewhere: BTreeMap<Sabotage, &str> = ELSEWHERE.into();
    let mut missed = Vec::new();
    for rule in rules {
        let before = clock();
        let shown = elsewhere.get(rule).map(|by| (*by, "shown there".to_owned()));
        let (by, why) = shown.or_else(|| caught(engine, *rule)).unwrap_or_else(|| {
            missed.push(*rule);
            ("NOBODY", String::new())
        });
        let why: String = why.chars().take(100).collect();
        let (name, seconds) = (format!("{rule:?}"), clock() - before);
        let why = why.replace('\n', " ");
        testkit::summary(&format!("  canary {name:34} {by:20} {seconds:>5.1} s  {why}"));
    }
    let (all, seconds) = (rules.len(), clock());
    testkit::summary(&format!("suite store_canaries {of}: {all} rules, in {seconds:.1} s"));
    assert!(missed.is_empty(), "nobody notices: {missed:?}");
    assert!(all >= 10, "{of} has {all} rules that can be broken");
}

#[test]
fn of_the_store() {
    all_are_caught("store", EngineKind::Lsm, &Sabotage::ALL);
}

#[test]
fn of_large_values() {
    let rules: Vec<Sabotage> = ValueRule::ALL.into_iter().map(Sabotage::Value).collect();
    all_are_caught("large values", EngineKind::Lsm, &rules);
}

#[test]
fn of_bitcask() {
    let rules: Vec<Sabotage> = BitcaskRule::ALL.into_iter().map(Sabotage::Bitcask).collect();
    all_are_caught("bitcask", EngineKind::Bitcask, &rules);
}

#[test]
fn of_lsm() {
    let rules: Vec<Sabotage> = LsmRule::ALL.into_iter().map(Sabotage::Lsm).collect();
    all_are_caught("lsm", EngineKind::Lsm, &rules);
}

#[test]
fn of_btree() {
    let rules: Vec<Sabotage> = BtreeRule::ALL.into_iter().map(Sabotage::Btree).collect();
    all_are_caught("btree", EngineKind::Btree, &rules);
}
