//! Transactions across power cuts: what was acknowledged as durable is in the history after the
//! recovery, in the order of the log, whole; and what goes on after a cut is serial together with
//! what the cut left.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use ondisk::sabotage::Sabotage;
use ondisk_sim::model::{EXT4, POSIX, STRICT};
use ondisk_sim::{Budget, Crash, CrashFs, Failure, MemFs, Tally, Verdict, Where};
use testkit::history::drive::by_turns;
use testkit::history::plan::{Plan, Shape};
use testkit::history::{History, Moment, Order, check};
use testkit::transactions::{Notes, Store, builder};

/// A first life, and one that goes on after a cut.
const SHAPES: [Shape; 2] = [
    Shape { transactions: 16, at_once: 4, keys: 6, spaces: 3 },
    Shape { transactions: 6, at_once: 3, keys: 6, spaces: 3 },
];

/// What was looked at.
#[derive(Debug, Default)]
struct Seen {
    recoveries: Cell<u64>,
    /// Lives that went on after a cut, and were checked together with the life before.
    further: Cell<u64>,
    /// Commits that were there though nothing was owed of them, and that a cut took.
    kept: Cell<u64>,
    taken: Cell<u64>,
}

fn add(cell: &Cell<u64>, more: usize) {
    cell.set(cell.get() + more as u64);
}

fn open(fs: &MemFs, seed: u64, rule: Option<Sabotage>) -> Result<Store, String> {
    let builder = builder(fs, seed, rule);
    Store::open(fs, builder, Notes::Taken).map_err(|error| error.to_string())
}

/// Opens what a cut left; through which LSN the history is there.
fn recover(
    fs: &CrashFs,
    lived: &History,
    seed: u64,
    rule: Option<Sabotage>,
) -> Result<(Store, u64), String> {
    let owed = fs.owed_text().map(|note| note.parse().unwrap()).max().unwrap_or(0);
    let store = open(fs, seed, rule)?;
    let found = store.contents().map_err(|error| error.to_string())?;
    let through = lived.recovered(&found, owed).map_err(|anomaly| format!("{anomaly}\n{lived}"))?;
    Ok((store, through))
}

/// Lives a life by turns, cuts it, and of some states goes on and cuts once more.
fn explore(seed: u64, rule: Option<Sabotage>, tally: &Tally, seen: &Seen) -> Result<(), Failure> {
    let fs = MemFs::new();
    let store = open(&fs, seed, rule).unwrap();
    let lived = by_turns(&store, &Plan::new(SHAPES[0], seed)).unwrap();
    drop(store);
    let writers = lived.transactions.iter().filter(|it| it.is_writer() && it.lsn.is_some());
    let lsns: Vec<u64> = writers.filter_map(|it| it.lsn).collect();
    for model in [STRICT, EXT4, POSIX] {
        tally.set_shape(model.name);
        let mut verify = |fs: &CrashFs| -> Verdict {
            let (store, through) = recover(fs, &lived, seed, rule)?;
            add(&seen.recoveries, 1);
            add(&seen.kept, lsns.iter().filter(|lsn| **lsn <= through).count());
            add(&seen.taken, lsns.iter().filter(|lsn| **lsn > through).count());
            if !seen.recoveries.get().is_multiple_of(5) {
                return Ok(());
            }
            store.owe(through);
            let mut lived_on = lived.clone();
            lived_on.cut(through, Moment::MAX - 1);
            let plan = Plan::new(SHAPES[1], seed ^ through << 32).after(lived.transactions.len());
            let lived_on = lived_on.then(by_turns(&store, &plan)?);
            check(&lived_on, Order::Log).map_err(|anomaly| format!("{anomaly}\n{lived_on}"))?;
            add(&seen.further, 1);
            drop(store);
            let mut again = |fs: &CrashFs| -> Verdict {
                // Before its open returned, what the life before had committed may be there too.
                let found = recover(fs, &lived_on, seed, rule);
                found.or_else(|_| recover(fs, &lived, seed, rule))?;
                add(&seen.recoveries, 1);
                Ok(())
            };
            let few = Budget { per_cut: 3, per_run: 12, seed };
            let report = Crash::of_life(&model, fs).explore(Where::AtSyncs, few, tally, &mut again);
            report.into_result()?;
            Ok(())
        };
        let budget = Budget { seed, ..Budget::per_cut(6) };
        let crash = Crash::new(&model, fs.history());
        crash.explore(Where::AtSyncs, budget, tally, &mut verify).into_result()?;
    }
    Ok(())
}

#[test]
fn what_was_acknowledged_is_in_the_history() {
    let (clock, tally, seen) = (testkit::clock(), Tally::new(), Seen::default());
    for seed in 0..27 {
        explore(seed, None, &tally, &seen).unwrap_or_else(|failure| panic!("{seed}: {failure}"));
    }
    testkit::summary(&format!(
        "transactions across cuts: {} distinct states, {seen:?}, 0 violations, {:.1} s",
        tally.states(),
        clock()
    ));
    assert!(tally.states() > 3000 && seen.further.get() > 500, "{seen:?}");
    assert!(seen.kept.get() > 0 && seen.taken.get() > 0, "{seen:?}");
}

/// Rules of the store whose breach takes acknowledged transactions, or their order.
#[test]
fn canaries_each_broken_rule_is_found_out() {
    let rules = [
        Sabotage::TruncatedBeforeManifest,
        Sabotage::ManifestBeforeLog,
        Sabotage::FrozenForgotten,
        Sabotage::UnacknowledgedVisible,
    ];
    for rule in rules {
        let first = (0..27).find(|seed| {
            let (tally, seen) = (Tally::new(), Seen::default());
            let run = || explore(*seed, Some(rule), &tally, &seen).is_err();
            // An assertion that fails is noticed too.
            catch_unwind(AssertUnwindSafe(run)).unwrap_or(true)
        });
        testkit::summary(&format!("canary {rule:?}: seed {first:?}"));
        assert!(first.is_some(), "{rule:?} is not noticed");
    }
}
