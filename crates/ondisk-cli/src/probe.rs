//! `ondisk probe`.

mod advice;
mod commits;
mod groups;
mod measure;
mod place;
mod report;
mod verdict;

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use ondisk_fs::{FileSystem, OsFs};
use ondisk_log::LogError;

use self::measure::{GROUPS, Limit, Measurement, WAYS, Way};
use self::place::Place;
use self::report::{Figures, Report};
use crate::exit::{Exit, Failure, sentence};
use crate::out::{self, Out, Paint, Progress};

/// Tell which call syncs here, what it costs, whether to believe it.
///
/// Writes to files of its own in DIR, a few hundred megabytes in all, and removes them: blocks of
/// 4 KiB in every way that a program may; groups of 4 KiB to 1 MiB; commits of 100 bytes to the
/// store's own log, of 1 to 64 writers, and of one with up to 64 in flight. It advises how many
/// writers, how long a group and how many commits in flight are worth it here: the least that none
/// betters by 10 %. The ways take turns, so that a busy moment hurts all alike: trust the ratios
/// more than the times. Takes about ten seconds unless --samples asks for more.
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
    /// Print one JSON object; docs/probe.md says what its fields mean
    #[arg(long)]
    json: bool,
    /// Measure each way and each length so often, and let each writer make so many commits, however
    /// long it takes [default: what 10 seconds allow, 1000 of each way at most]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(10..=10_000))]
    samples: Option<u32>,
}

/// Runs the command to its exit code.
pub(crate) fn run(args: &Args) -> ExitCode {
    let report = match probe(args) {
        Ok(report) => report,
        Err(error) => {
            out::talk(format_args!("ondisk: {}: {}", args.dir.display(), sentence(&error)));
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
enum ProbeError {
    /// A step of the probe's own failed.
    #[error("cannot {step}")]
    Step {
        /// As it stands behind "cannot".
        step: &'static str,
        #[source]
        cause: io::Error,
    },
    /// A log said no.
    #[error("cannot commit to a log here")]
    Log(#[from] LogError),
    /// The system said no to a thread.
    #[error("cannot start {writers} threads")]
    Threads {
        writers: usize,
        #[source]
        cause: io::Error,
    },
}

impl ProbeError {
    /// Says what could not be done.
    fn step(step: &'static str) -> impl Fn(io::Error) -> Self {
        move |cause| Self::Step { step, cause }
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
    let fs: Arc<dyn FileSystem> = Arc::new(OsFs);
    let figures = measure(&fs, scratch.path(), args.samples)?;
    scratch.close().map_err(ProbeError::step("remove the files of the probe"))?;
    Ok(Report::new(&args.dir, place, chosen, figures))
}

/// Measures all there is to be measured, in directories of its own in `dir`.
fn measure(
    fs: &Arc<dyn FileSystem>,
    dir: &Path,
    samples: Option<u32>,
) -> Result<Figures, ProbeError> {
    let progress = Progress::new();
    let written = |name: &str, ways: &[Way], default: Limit| -> io::Result<Vec<Measurement>> {
        let limit = samples.map_or(default, Limit::samples);
        let tell = |done: usize, of: usize| {
            progress.say(format_args!("{name}: {done} of {of} samples of each"));
        };
        let dir = dir.join(name);
        fs.create_dir(&dir)?;
        measure::run(&**fs, &dir, ways, limit, tell)
    };
    let measurements =
        written("ways", &WAYS, Limit::WAYS).map_err(ProbeError::step("write and sync here"))?;
    let groups = written("groups", &GROUPS, Limit::GROUPS)
        .map_err(ProbeError::step("write and sync groups here"))?;
    let dir = dir.join("commits");
    fs.create_dir(&dir).map_err(ProbeError::step("make a directory here"))?;
    let limit = samples.map_or(commits::Limit::DEFAULT, commits::Limit::samples);
    let tell = |done: u64, of: u64| progress.say(format_args!("commits: {done} of {of} turns"));
    let committed = commits::run(fs, &dir, limit, tell)?;
    Ok(Figures { measurements, groups, committed })
}

#[cfg(test)]
mod tests;
