//! How many distinct crash states a second are looked at: every litmus test under every model, each
//! state to its end, its files read.
//!
//! Run it: `cargo bench -p ondisk-sim --bench litmus`.

#![expect(dead_code, reason = "the cases are read, and not judged")]

#[path = "../tests/truths/case.rs"]
mod case;

use std::time::{Duration, Instant};

use ondisk_sim::{Budget, Crash, History, Model, Tally, Where};

/// How long each model is measured.
const TIME: Duration = Duration::from_secs(1);

/// Looks at all states of a history; gives how many distinct ones there are.
fn states(model: &Model, history: &History, files: &[&str]) -> u64 {
    let crash = Crash::new(model, history.clone());
    let tally = Tally::new();
    let budget = Budget::per_cut(300);
    let report = crash.explore(Where::AtTheEnd, budget, &tally, &mut |fs| {
        for file in files {
            if fs.look(file).is_some() {
                std::hint::black_box(fs.read(file).unwrap_or_default());
            }
        }
        Ok(())
    });
    assert!(report.failure.is_none(), "{report:?}");
    tally.states()
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
fn main() {
    let cases = case::cases(include_str!("../tests/truths/litmus.txt"));
    let histories: Vec<(History, Vec<&str>)> =
        cases.iter().map(|case| (case.run().history(), case.files())).collect();
    for model in Model::ALL {
        let (mut found, mut rounds) = (0, 0);
        let start = Instant::now();
        while start.elapsed() < TIME {
            found += histories.iter().map(|(run, files)| states(&model, run, files)).sum::<u64>();
            rounds += 1;
        }
        let seconds = start.elapsed().as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "a rate is printed with few digits")]
        let rate = found as f64 / seconds;
        println!("{model:18} {rate:8.0} distinct states/s, {} in a round", found / rounds);
    }
}
