//! The power-cut suite over the log. Harness and shapes: `testkit::power_cut`.

use ondisk_log::Sabotage;
use ondisk_sim::{Model, Tally};
use testkit::power_cut::{Depth, SHAPES, explore_all};

#[test]
fn nothing_that_was_acknowledged_is_lost() {
    let clock = testkit::clock();
    let tally = Tally::new();
    let report = match explore_all(&SHAPES, 0..1, &Model::ALL, Depth::default(), None, &tally) {
        Ok(report) => report,
        Err((run, failure)) => panic!(
            "shape {}, seed {}, model {}:\n{failure}\n{:?}",
            run.shape.name, run.seed, run.model.name, run.ops(1)
        ),
    };
    let seconds = clock();
    for (group, states) in tally.groups() {
        testkit::summary(&format!("  {:14} {:16} lives {} {states:>8}", group.shape, group.label, group.lives));
    }
    testkit::summary(&format!(
        "suite log_power_cut: {} states, {} recoveries, {report}, in {seconds:.1} s",
        tally.states(),
        tally.recoveries()
    ));
}

#[test]
fn canaries() {
    for sabotage in Sabotage::ALL {
        let tally = Tally::new();
        let caught = explore_all(&SHAPES, 0..1, &Model::ALL, Depth::default(), Some(sabotage), &tally);
        let line = match caught {
            Err((run, failure)) => {
                format!("{} seed {} {}: {failure}", run.shape.name, run.seed, run.model.name)
            }
            Ok(_) => "NOT CAUGHT".to_owned(),
        };
        testkit::summary(&format!("  {sabotage:?} after {} states: {line}", tally.states()));
    }
}
