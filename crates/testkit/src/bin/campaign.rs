//! A longer campaign of power cuts over the log: seed after seed until the time is up.
//!
//! `campaign [--seed N] [--seconds N]`: begins at the seed, runs every shape under every model,
//! prints what it looked at, and exits 1 at the first violation, with the run that shows it.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program")]

use std::process::ExitCode;

use ondisk_sim::{Model, Tally};
use testkit::power_cut::{Depth, SHAPES, explore_all};

const USAGE: &str = "usage: campaign [--seed N] [--seconds N]";

fn main() -> ExitCode {
    let (mut seed, mut seconds) = (1_u64, 60_u64);
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = arguments.next().and_then(|value| value.parse().ok());
        match (&name[..], value) {
            ("--seed", Some(value)) => seed = value,
            ("--seconds", Some(value)) => seconds = value,
            _ => {
                eprintln!("{USAGE}");
                return ExitCode::from(2);
            }
        }
    }
    let clock = testkit::clock();
    let (mut states, mut recoveries) = (0, 0);
    let first = seed;
    // The suite's own seeds are small numbers.
    loop {
        let tally = Tally::new();
        let seeds = seed + 1000..seed + 1001;
        let found = explore_all(&SHAPES, seeds, &Model::ALL, Depth::default(), None, &tally);
        states += tally.states();
        recoveries += tally.recoveries();
        if let Err((run, failure)) = found {
            let (shape, model) = (run.shape.name, run.model.name);
            println!("violation: shape {shape}, seed {}, model {model}:\n{failure}", run.seed);
            return ExitCode::from(1);
        }
        seed += 1;
        let elapsed = clock();
        eprintln!("seed {}: {states} states, {recoveries} recoveries, {elapsed:.0} s", seed - 1);
        if elapsed >= std::time::Duration::from_secs(seconds).as_secs_f64() {
            break;
        }
    }
    println!(
        "seeds {first}..={}: {states} states (distinct within a seed), {recoveries} recoveries, \
         0 violations, {:.0} s",
        seed - 1,
        clock()
    );
    ExitCode::SUCCESS
}
