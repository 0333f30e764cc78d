//! Transactions of the store, held against the checker of histories: thousands of histories by
//! turns and on threads, none of which may show an anomaly; each rule that is broken on purpose
//! must show one.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use ondisk::Background;
use ondisk::sabotage::{Sabotage, TransactionRule};
use ondisk_sim::MemFs;
use testkit::history::drive::{by_turns, on_threads};
use testkit::history::plan::{Plan, SHAPES};
use testkit::history::{Anomaly, History, Order, check};
use testkit::transactions::{Notes, Store, builder, index};

/// Histories by turns, and as many on threads.
const HISTORIES: u64 = 2600;
/// Each mistake shows within so many.
const BUDGET: u64 = 2600;

fn store(seed: u64, background: Background, rule: Option<TransactionRule>) -> Store {
    let fs = MemFs::new();
    let builder = builder(&fs, seed, rule.map(Sabotage::Transaction)).background(background);
    Store::open(&fs, builder, Notes::Not).unwrap()
}

fn plan(seed: u64) -> Plan {
    Plan::new(SHAPES[index(seed, SHAPES.len() as u64)], seed)
}

fn run(plan: &Plan, rule: Option<TransactionRule>) -> History {
    by_turns(&store(plan.seed, Background::Manual, rule), plan).unwrap()
}

#[test]
fn histories_are_serial() {
    let clock = testkit::clock();
    let (mut edges, mut ends, mut checkpoints) = (0, [0; 3], 0);
    for seed in 0..HISTORIES {
        let plan = plan(seed);
        let turns = store(seed, Background::Manual, None);
        let threads = store(seed, Background::Thread, None);
        for history in [by_turns(&turns, &plan), on_threads(&threads, &plan, 4)] {
            let history = history.unwrap();
            match check(&history, Order::Log) {
                Ok(checked) => edges += checked.edges,
                Err(anomaly) => panic!("seed {seed}: {anomaly}\n{history}"),
            }
            let (committed, rolled_back, unknown) = history.ends();
            ends = [ends[0] + committed, ends[1] + rolled_back, ends[2] + unknown];
        }
        checkpoints += turns.db.stats().checkpoints + threads.db.stats().checkpoints;
    }
    testkit::summary(&format!(
        "histories: {} of {} transactions, {} committed, {} rolled back, {edges} edges, \
         {checkpoints} checkpoints, 0 anomalies, {:.1} s",
        2 * HISTORIES,
        ends.iter().sum::<usize>(),
        ends[0],
        ends[1],
        clock()
    ));
    assert!(ends[1] * 10 > ends[0] && ends[2] == 0 && checkpoints > HISTORIES, "{ends:?}");
}

/// The first seed whose history, by turns, shows a mistake; then, on threads.
fn first(rule: TransactionRule, order: Order) -> Option<(u64, Anomaly, &'static str)> {
    let found = |history: &History| check(history, order).err();
    // Nobody comes between where there are no threads.
    let by_turns = if rule == TransactionRule::ValidatedOutside { 0 } else { BUDGET };
    let turns = (0..by_turns)
        .find_map(|seed| Some((seed, found(&run(&plan(seed), Some(rule)))?, "by turns")));
    turns.or_else(|| {
        (0..BUDGET).find_map(|seed| {
            let store = store(seed, Background::Thread, Some(rule));
            let history = on_threads(&store, &plan(seed), 4).unwrap();
            Some((seed, found(&history)?, "on threads"))
        })
    })
}

/// Each shows as a cycle, or another anomaly, whatever order is claimed; and sooner where the
/// order is to be that of the log.
#[test]
fn canaries_each_rule_is_missed() {
    let mut unseen = Vec::new();
    for rule in TransactionRule::ALL {
        for order in [Order::RealTime, Order::Log] {
            match first(rule, order) {
                Some((seed, anomaly, how)) => testkit::summary(&format!(
                    "canary {rule:?} ({order:?}): seed {seed} {how}, {}",
                    anomaly.kind
                )),
                None => unseen.push((rule, order)),
            }
        }
    }
    assert_eq!(unseen, []);
}
