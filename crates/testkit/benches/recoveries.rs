//! How many recoveries of a 64-record log a core does in a second, each checked: the power is cut,
//! the real log opens what is left, and the verdict is that of the power-cut suite.
//!
//! `cargo bench -p testkit --bench recoveries`. The aim is 20,000 a second, the floor 5,000.
#![expect(clippy::print_stdout, reason = "a benchmark prints")]

use ondisk_log::{LogOptions, SyncMode};
use ondisk_sim::{Budget, Crash, CrashFs, MemFs, Model, Tally, Where};
use testkit::log_life::{Op, Owed, batch, judge, live, open};
use testkit::stage::{Note, Stage, last_chapter, notes};

const RECORDS: usize = 64;
const OPTIONS: LogOptions =
    LogOptions { first_segment: 64 << 10, largest_segment: 64 << 10, sabotage: None };

fn main() {
    println!("recoveries of a log of {RECORDS} records of 100 bytes, segments of 64 KiB, one core");
    for (name, mode, at_risk) in [
        ("batch:16", batch(16), Some(16)),
        ("sync", SyncMode::Sync, Some(0)),
        ("none", SyncMode::None, None),
    ] {
        for model in Model::ALL {
            let owed = Owed { life: 1, at_risk, ..Owed::default() };
            let (recoveries, states, seconds) = run(mode, &model, &owed);
            println!(
                "  {name:9} {:7} {recoveries:>7} recoveries, {states:>7} distinct states: {:>7.0} a second",
                model.name,
                f64::from(u32::try_from(recoveries).unwrap_or(u32::MAX)) / seconds
            );
        }
    }
}

fn run(mode: SyncMode, model: &Model, owed: &Owed) -> (u64, u64, f64) {
    let fs = MemFs::new();
    let (log, _) = open(&fs, OPTIONS).expect("a log is made");
    fs.note(&Note::Opened);
    let ops = [Op::Commit(mode, 100); RECORDS];
    live(&fs, &log, 1, &ops).expect("nothing fails here");
    drop(log);
    let crash = Crash::new(model, fs.history());
    let tally = Tally::new();
    let clock = testkit::clock();
    let budget = Budget { per_cut: 4000, per_run: 40_000, seed: 1 };
    let report = crash.explore(Where::AtSyncs, budget, &tally, &mut |fs: &CrashFs| {
        let noted = notes(fs.owed());
        let (_, served) = open(fs, OPTIONS)?;
        let (openings, last) = last_chapter(&noted);
        if openings > 0 {
            judge(owed, last, &served)?;
        }
        Ok(())
    });
    let seconds = clock();
    assert!(report.failure.is_none(), "{:?}", report.failure);
    (report.recoveries, tally.states(), seconds)
}
