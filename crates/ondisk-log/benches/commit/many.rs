//! Many committers against the plainest group commit.

use std::path::Path;

use crate::Outcome;
use crate::follower::Followers;
use crate::numbers::{median, micros, quantile};
use crate::one::{QUIET, raw_p50, verdict_or_unquiet};
use crate::options::Options;
use crate::ours::Ours;
use crate::raw::WrittenFile;
use crate::slice::{self, Slice};

/// Bytes of the file that the baseline goes round in.
const BYTES: u64 = 64 << 20;

/// One side of a run.
#[derive(Default)]
struct Side {
    rates: Vec<f64>,
    latencies: Vec<u32>,
    commits: u64,
    groups: u64,
}

impl Side {
    fn take(&mut self, slice: Slice, commits: u64, groups: u64) {
        self.rates.push(slice.rate());
        self.latencies.extend(slice.latencies);
        self.commits += commits;
        self.groups += groups;
    }

    fn finish(&mut self) {
        self.latencies.sort_unstable();
    }

    #[expect(clippy::cast_precision_loss, reason = "counts of a benchmark")]
    fn group(&self) -> f64 {
        self.commits as f64 / self.groups as f64
    }

    fn line(&self) -> String {
        let (p50, p99) = (micros(&self.latencies, 0.5), micros(&self.latencies, 0.99));
        let (rate, group) = (median(&self.rates), self.group());
        format!("{rate:.0}/s, {group:.1} commits in a group, p50 {p50:.0} µs, p99 {p99:.0} µs")
    }

    fn json(&self) -> String {
        let (p50, p99) = (micros(&self.latencies, 0.5), micros(&self.latencies, 0.99));
        let (rate, group) = (median(&self.rates), self.group());
        let Self { commits, groups, .. } = self;
        format!(
            "{{\"commits_per_s\": {rate:.0}, \"commits\": {commits}, \"groups\": {groups}, \
             \"commits_per_group\": {group:.2}, \"p50_us\": {p50:.1}, \"p99_us\": {p99:.1}}}"
        )
    }
}

/// What is asked of the log's ratio.
fn aim(committers: usize) -> f64 {
    match committers {
        0..=4 => 1.0,
        5..=16 => 0.9,
        _ => 0.8,
    }
}

/// Measures and tells how many committers fare; with `--json` the object that says so.
pub(crate) fn run(
    options: &Options,
    dir: &Path,
    file: &WrittenFile,
    committers: usize,
) -> Outcome<String> {
    let length = options.length;
    let mut ours = Ours::make(dir, length)?;
    let path = dir.join(format!("baseline-{committers}"));
    let baseline = Followers::new(WrittenFile::make(&path, BYTES)?);
    let (mut log, mut base) = (Side::default(), Side::default());
    let (mut raw, mut syncs, mut stalls) = (Vec::new(), 0, 0);
    let commit = |_, payload: &[u8]| baseline.commit(payload);
    for round in 0..options.slices {
        raw.push(raw_p50(file, length / 10)?);
        for turn in 0..2 {
            if (round + turn) % 2 == 0 {
                let before = baseline.written();
                let slice = slice::run(committers, length, &commit)?;
                let after = baseline.written();
                base.take(slice, after.0 - before.0, after.1 - before.1);
            } else {
                let counted = ours.slice(committers, length)?;
                log.take(counted.slice, counted.commits, counted.groups);
                syncs += counted.syncs;
                stalls += counted.stalls;
            }
        }
    }
    log.finish();
    base.finish();
    let ratios: Vec<f64> = log.rates.iter().zip(&base.rates).map(|(o, b)| o / b).collect();
    let (ratio, low, high) = (median(&ratios), quantile(&ratios, 0.25), quantile(&ratios, 0.75));
    let (aim, raw) = (aim(committers), median(&raw));
    let (valid, reached) = (raw < QUIET && stalls == 0, ratio >= aim);
    if options.json {
        return Ok(format!(
            "{{\"committers\": {committers}, \"valid\": {valid}, \"ratio\": {ratio:.4}, \
             \"middle_half\": [{low:.4}, {high:.4}], \"aim\": {aim}, \"reached\": {reached}, \
             \"slices\": {}, \"syncs\": {syncs}, \"stalls\": {stalls}, \"raw_p50_us\": {raw:.1}, \
             \"ours\": {}, \"baseline\": {}}}",
            ratios.len(),
            log.json(),
            base.json(),
        ));
    }
    println!("\n{committers} committers, {} slices of each; raw p50 {raw:.1} µs", ratios.len());
    println!("  leader and followers  {}", base.line());
    println!("  ours                  {}; {syncs} syncs in {} groups", log.line(), log.groups);
    println!("  ratio {ratio:.3} (middle half {low:.3} to {high:.3}), aim {aim:.1}");
    let verdict = if reached { "reached" } else { "NOT reached" };
    println!("  {}", verdict_or_unquiet(valid, raw, stalls, verdict));
    Ok(String::new())
}
