//! One committer against the disk itself.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use crate::Outcome;
use crate::numbers::{median, micros, quantile};
use crate::options::Options;
use crate::ours::Ours;
use crate::raw::WrittenFile;
use crate::slice::{self, Slice};

/// A machine is quiet when a raw durable write takes less, in microseconds, at the median.
pub(crate) const QUIET: f64 = 500.0;

/// For one committer slices are short, and many: what its ratio is judged by is the spread of
/// others, and that wants samples.
const MORE: usize = 4;

/// Ways to overwrite a block durably.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Fdatasync,
    Direct,
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fdatasync => "pwrite + fdatasync",
            Self::Direct => "pwrite on O_DIRECT|O_DSYNC",
        })
    }
}

fn raw(file: &WrittenFile, way: Way, length: Duration) -> Outcome<Slice> {
    Ok(match way {
        Way::Fdatasync => slice::run(1, length, &|turn, payload| file.buffered(turn, payload))?,
        Way::Direct => slice::run(1, length, &|turn, payload| file.direct(turn, payload))?,
    })
}

/// The median of a raw durable write now, in microseconds.
pub(crate) fn raw_p50(file: &WrittenFile, length: Duration) -> Outcome<f64> {
    Ok(micros(&raw(file, Way::Direct, length)?.latencies, 0.5))
}

/// What is compared in one round, in turns.
#[derive(Clone, Copy)]
enum Contender {
    Ours,
    Raw(usize),
}

const ORDERS: [[Contender; 3]; 6] = {
    use Contender::{Ours as O, Raw};
    const A: Contender = Raw(0);
    const B: Contender = Raw(1);
    [[A, O, B], [B, O, A], [O, A, B], [A, B, O], [O, B, A], [B, A, O]]
};

/// All rounds of one run.
#[derive(Default)]
struct Rounds {
    ours: Vec<f64>,
    raw: [Vec<f64>; 2],
    ours_latencies: Vec<u32>,
    raw_latencies: Vec<u32>,
    commits: u64,
    groups: u64,
    syncs: u64,
    stalls: u64,
}

/// Measures and tells how one committer fares; with `--json` the object that says so.
pub(crate) fn run(options: &Options, dir: &Path, file: &WrittenFile) -> Outcome<String> {
    let length = options.length / u32::try_from(MORE)?;
    let (fdatasync, direct) = calibrate(file, length)?;
    let way = if direct >= fdatasync { Way::Direct } else { Way::Fdatasync };
    let mut ours = Ours::make(dir, length)?;
    let mut rounds = Rounds::default();
    for round in 0..options.slices * MORE {
        for contender in ORDERS[round % ORDERS.len()] {
            match contender {
                Contender::Ours => rounds.take_ours(&mut ours, length)?,
                Contender::Raw(which) => {
                    let slice = raw(file, way, length)?;
                    rounds.raw[which].push(slice.rate());
                    rounds.raw_latencies.extend(slice.latencies);
                }
            }
        }
    }
    rounds.raw_latencies.sort_unstable();
    rounds.ours_latencies.sort_unstable();
    Ok(rounds.tell(options, way, fdatasync, direct))
}

/// The rates of the two raw ways, of which the better is what the log is measured against.
fn calibrate(file: &WrittenFile, length: Duration) -> Outcome<(f64, f64)> {
    let (mut fdatasync, mut direct) = (Vec::new(), Vec::new());
    for _ in 0..8 {
        fdatasync.push(raw(file, Way::Fdatasync, length)?.rate());
        direct.push(raw(file, Way::Direct, length)?.rate());
    }
    Ok((median(&fdatasync), median(&direct)))
}

impl Rounds {
    fn take_ours(&mut self, ours: &mut Ours, length: Duration) -> Outcome<()> {
        let counted = ours.slice(1, length)?;
        self.ours.push(counted.slice.rate());
        self.commits += counted.commits;
        self.groups += counted.groups;
        self.syncs += counted.syncs;
        self.stalls += counted.stalls;
        self.ours_latencies.extend(counted.slice.latencies);
        Ok(())
    }

    fn tell(&self, options: &Options, way: Way, fdatasync: f64, direct: f64) -> String {
        let pairs = |of: &[f64], to: &[f64]| -> Vec<f64> {
            of.iter().zip(to).map(|(of, to)| of / to).collect()
        };
        let [a, b] = &self.raw;
        let ratio = median(&[pairs(&self.ours, a), pairs(&self.ours, b)].concat());
        let between = pairs(b, a);
        let (low, high) = (quantile(&between, 0.25), quantile(&between, 0.75));
        let (no_slower, inside) = (ratio >= low, (low..=high).contains(&ratio));
        let raw_p50 = micros(&self.raw_latencies, 0.5);
        let valid = raw_p50 < QUIET && self.stalls == 0;
        let (p50, p99) = (micros(&self.ours_latencies, 0.5), micros(&self.ours_latencies, 0.99));
        let (raw_p99, rate) = (micros(&self.raw_latencies, 0.99), median(&self.ours));
        let Self { commits, groups, syncs, stalls, .. } = self;
        if options.json {
            return format!(
                "{{\"committers\": 1, \"valid\": {valid}, \"ratio\": {ratio:.4}, \
                 \"raw_ratios\": [{low:.4}, {high:.4}], \"inside\": {inside}, \
                 \"no_slower\": {no_slower}, \"slices\": {}, \"commits_per_s\": {rate:.0}, \
                 \"commits\": {commits}, \"groups\": {groups}, \"syncs\": {syncs}, \
                 \"stalls\": {stalls}, \"p50_us\": {p50:.1}, \"p99_us\": {p99:.1}, \
                 \"raw\": \"{way}\", \"raw_p50_us\": {raw_p50:.1}, \"raw_p99_us\": {raw_p99:.1}, \
                 \"fdatasync_per_s\": {fdatasync:.0}, \"direct_per_s\": {direct:.0}}}",
                self.ours.len(),
            );
        }
        println!("\n1 committer, {} slices of each", self.ours.len());
        println!("  raw   {}: {fdatasync:.0}/s, {}: {direct:.0}/s", Way::Fdatasync, Way::Direct);
        println!("  raw   {way}: p50 {raw_p50:.1} µs, p99 {raw_p99:.1} µs");
        println!("  ours  {rate:.0}/s, p50 {p50:.1} µs, p99 {p99:.1} µs");
        println!("        {commits} commits, {groups} groups, {syncs} syncs");
        println!("  ratio {ratio:.3}; raw against raw, middle half: {low:.3} to {high:.3}");
        let verdict = match (inside, no_slower) {
            (true, _) => "no slower than raw: inside the middle half",
            (false, true) => "faster than raw: above the middle half",
            (false, false) => "SLOWER than raw",
        };
        println!("  {}", verdict_or_unquiet(valid, raw_p50, *stalls, verdict));
        String::new()
    }
}

/// The verdict of a run, unless the run says nothing.
pub(crate) fn verdict_or_unquiet(valid: bool, raw_p50: f64, stalls: u64, verdict: &str) -> String {
    if valid {
        verdict.to_owned()
    } else if stalls > 0 {
        format!("not valid: a commit made a segment itself {stalls} times")
    } else {
        format!("unquiet machine: a raw durable write takes {raw_p50:.0} µs at the median")
    }
}
