//! `ondisk probe`.

mod measure;
mod place;
mod report;
mod verdict;

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use ondisk_fs::OsFs;

use self::measure::{Limit, Measurement};
use self::place::Place;
use self::report::Report;
use crate::exit::{Exit, Failure};
use crate::out::{self, Out, Paint, Progress};

/// Tell which call syncs here, what it costs, whether to believe it.
///
/// Writes blocks of 4 KiB to files of its own in DIR, 30 megabytes in all, in every way that a
/// program may, and removes them. The ways take turns, so that a busy moment hurts all alike: trust
/// the ratios more than the times. Takes less than ten seconds unless --samples asks for more.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  ondisk probe .

Exit codes: 0 measured, with warnings or without; 2 DIR cannot be written to, or a sync failed.
A probe that is killed leaves a directory .ondisk-probe-* behind, which may be removed.

Next: ondisk demo")]
pub(crate) struct Args {
    /// The directory whose disk is asked
    dir: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// Measure each way so often, however long it takes [default: 1000, or what 8 seconds allow]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(10..=10_000))]
    samples: Option<u32>,
}

/// Runs the command to its exit code.
pub(crate) fn run(args: &Args) -> ExitCode {
    let report = match probe(args) {
        Ok(report) => report,
        Err(error) => {
            out::talk(format_args!("ondisk: {}: {error}", args.dir.display()));
            return Exit::Usage.into();
        }
    };
    match print(&report, args.json) {
        Ok(()) => Exit::Fine.into(),
        Err(failure) if failure.is_broken_pipe() => Exit::Fine.into(),
        Err(failure) => {
            out::talk(format_args!("ondisk: {}", failure.sentence()));
            failure.exit().into()
        }
    }
}

fn print(report: &Report, json: bool) -> Result<(), Failure> {
    let mut out = Out::new();
    if json {
        out.json(report)?;
    } else {
        report.print(&mut out, Paint::for_stdout())?;
    }
    out.flush()
}

/// What could not be done, and why.
#[derive(Debug, thiserror::Error)]
#[error("cannot {step}: {cause}")]
struct ProbeError {
    /// As it stands behind "cannot".
    step: &'static str,
    cause: io::Error,
}

impl ProbeError {
    /// Says what could not be done.
    fn step(step: &'static str) -> impl Fn(io::Error) -> Self {
        move |cause| Self { step, cause }
    }
}

fn probe(args: &Args) -> Result<Report, ProbeError> {
    // Removed when it is dropped, so on every way out but a kill.
    let scratch = tempfile::Builder::new()
        .prefix(".ondisk-probe-")
        .tempdir_in(&args.dir)
        .map_err(ProbeError::step("make files here"))?;
    let path = |name: &str| scratch.path().join(name);
    let chosen = OsFs.choose(&path("choose")).map_err(ProbeError::step("sync here"))?;
    let place = Place::of(&args.dir).map_err(ProbeError::step("find out where this is"))?;
    let measurements = measure(scratch.path(), args.samples)?;
    scratch.close().map_err(ProbeError::step("remove the files of the probe"))?;
    Ok(Report::new(&args.dir, place, chosen, measurements))
}

fn measure(dir: &Path, samples: Option<u32>) -> Result<Vec<Measurement>, ProbeError> {
    let limit = samples.map_or(Limit::DEFAULT, Limit::samples);
    let progress = Progress::new();
    let tell = |done: usize, of: usize| {
        progress.say(format_args!("{done} of {of} samples of each way to sync"));
    };
    measure::run(&OsFs, dir, limit, tell).map_err(ProbeError::step("write and sync here"))
}

#[cfg(test)]
mod tests;
