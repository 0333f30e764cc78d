//! Histories of concurrent transactions on a store that is right, by turns and on threads, pass;
//! on one that makes a mistake, they do not. The real store's suites rest on this.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use testkit::history::drive::{by_turns, on_threads};
use testkit::history::plan::{Plan, SHAPES};
use testkit::history::toy::{Mistake, Toy};
use testkit::history::{Anomaly, History, Order, check};

/// Histories of each kind.
const HISTORIES: u64 = 2500;
/// Each mistake shows within so many.
const BUDGET: u64 = 2500;

fn plan(seed: u64) -> Plan {
    Plan::new(SHAPES[usize::try_from(seed).unwrap() % SHAPES.len()], seed)
}

fn judged(plan: &Plan, mistake: Option<Mistake>, order: Order) -> Result<usize, Anomaly> {
    let history = by_turns(&Toy::new(mistake), plan).unwrap();
    check(&history, order).map(|checked| checked.edges)
}

#[test]
fn a_right_store_passes() {
    let clock = testkit::clock();
    let (mut edges, mut ends) = (0, [0; 3]);
    for seed in 0..HISTORIES {
        let toy = Toy::new(None);
        let plan = plan(seed);
        let histories =
            [by_turns(&toy, &plan).unwrap(), on_threads(&Toy::new(None), &plan, 4).unwrap()];
        for history in histories {
            match check(&history, Order::Log) {
                Ok(checked) => edges += checked.edges,
                Err(anomaly) => panic!("seed {seed}: {anomaly}\n{history}"),
            }
            let (committed, rolled_back, unknown) = history.ends();
            ends = [ends[0] + committed, ends[1] + rolled_back, ends[2] + unknown];
        }
    }
    testkit::summary(&format!(
        "histories of a toy: {} of {} transactions, {} committed, {} rolled back, {edges} edges, \
         0 anomalies, {:.1} s",
        2 * HISTORIES,
        ends.iter().sum::<usize>(),
        ends[0],
        ends[1],
        clock()
    ));
    assert!(ends[1] * 10 > ends[0] && ends[2] == 0, "{ends:?}");
}

/// The first seed whose history shows a mistake.
fn first(mistake: Mistake, order: Order) -> Option<(u64, Anomaly)> {
    (0..BUDGET).find_map(|seed| Some((seed, judged(&plan(seed), Some(mistake), order).err()?)))
}

#[test]
fn canaries_each_mistake_is_found() {
    for mistake in Mistake::ALL {
        let [Some(strict), Some((seed, anomaly))] =
            [Order::RealTime, Order::Log].map(|order| first(mistake, order))
        else {
            panic!("{mistake:?} is not noticed")
        };
        testkit::summary(&format!(
            "canary {mistake:?}: seed {}, {}; with the log's order seed {seed}, {}",
            strict.0, strict.1.kind, anomaly.kind
        ));
    }
}

/// What failed is told as small as it gets, and fails again.
#[test]
fn a_story_is_short() {
    let mistake = Some(Mistake::RangesNotValidated);
    let (seed, _) = first(Mistake::RangesNotValidated, Order::RealTime).unwrap();
    let small = plan(seed).shrink(|plan| judged(plan, mistake, Order::RealTime).is_err());
    let history = by_turns(&Toy::new(mistake), &small).unwrap();
    let anomaly = check(&history, Order::RealTime).unwrap_err();
    testkit::summary(&format!("{history}\n{anomaly}"));
    assert!(small.turns.len() <= 16, "{history}");
    assert_eq!(history.to_string().parse::<History>().unwrap().to_string(), history.to_string());
}

#[test]
fn canaries_on_threads() {
    for mistake in [Mistake::NothingValidated, Mistake::ReadsNotValidated, Mistake::NoSnapshot] {
        let anomaly = (0..BUDGET).find_map(|seed| {
            let history = on_threads(&Toy::new(Some(mistake)), &plan(seed), 4).unwrap();
            check(&history, Order::RealTime).err()
        });
        assert!(anomaly.is_some(), "{mistake:?} is not noticed");
    }
}
