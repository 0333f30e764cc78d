//! `ondisk demo`: the lie, the price, the promise.
//!
//! Invariant: nothing on the screen is written down here: what a death leaves is asked of the
//! simulation, what a mode costs is measured on this disk, and what the store keeps is counted over
//! power cuts of the very code that runs in production. All but the measurements is repeated to the
//! byte by the same seed.

mod control;
mod lie;
mod price;
mod promise;
mod screen;

use std::path::PathBuf;

use ondisk::SyncMode;
use serde::Serialize;

use self::lie::Lie;
use self::price::{Home, Measured};
use self::promise::PowerCuts;
use crate::exit::{Exit, Failure};
use crate::out::{Out, Paint, Progress, talk};
use crate::page;

/// Show what "recorded" is worth: the lie, the price, the promise.
///
/// The lie: the program that everybody copies (open, write, print "recorded") on a simulated disk,
/// killed, crashed, and its plug pulled: what is there afterwards. The price: each sync mode of the
/// store on this disk, with real files. The promise: the same store on the simulated disk, its plug
/// pulled at thousands of points in each mode and model, beside control rows that must lose. Takes
/// less than a minute.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  ondisk demo --seed 7

Exit codes: 0 mode sync lost nothing, batch no more than it says, and every control lost; 1 not
so; 2 no real files could be made, or a file that was asked for could not be written. A demo that is killed leaves a directory ondisk-demo-*, which
may be removed.

Next: ondisk probe .")]
pub(crate) struct Args {
    /// Repeats the simulated acts exactly
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Write the real files of the second act here [default: where temporary files are on a disk]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Write the timeline of the first act's whole program, a line for each thing that moved
    #[arg(long, value_name = "FILE")]
    timeline: Option<PathBuf>,
    /// Write a page that plays that program to this file [default: where temporary files are]
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// The modes of the store, as the demo runs them.
const MODES: [SyncMode; 3] = [
    SyncMode::Sync,
    SyncMode::Batch(ondisk::BatchLimits { records: 100, bytes: None, delay: None }),
    SyncMode::None,
];

/// All that the demo found out.
#[derive(Debug, Serialize)]
struct Demo {
    ondisk: &'static str,
    v: u32,
    /// As text: a JSON number is exact to 53 bits only.
    seed: String,
    lie: Vec<Lie>,
    power_cuts: Vec<PowerCuts>,
    kept: bool,
    /// Where the page is that plays the first act's program.
    page: Option<PathBuf>,
    measured: Vec<Measured>,
}

pub(crate) fn run(args: &Args) -> Result<Exit, Failure> {
    let progress = Progress::new();
    let home = Home::new(args.dir.as_deref())?;
    if let Some(path) = &args.timeline {
        lie::write_timeline(args.seed, path)?;
    }
    let page = page(args)?;
    let lie = lie::tell(args.seed)?;
    let measured = price::measure(&home, &progress)?;
    let power_cuts = promise::keep(args.seed, &progress)?;
    drop(progress);
    let kept = power_cuts.iter().all(PowerCuts::is_as_promised);
    let seed = args.seed.to_string();
    let demo = Demo { ondisk: "demo", v: 1, seed, lie, power_cuts, kept, page, measured };
    let mut out = Out::new();
    if args.json {
        out.json(&demo)?;
    } else {
        out.bytes(screen::draw(&demo, &home.parent, Paint::for_stdout()).as_bytes())?;
    }
    out.flush()?;
    Ok(if kept { Exit::Fine } else { Exit::Findings })
}

/// Writes the page; none where it was not asked for and temporary files cannot be written.
fn page(args: &Args) -> Result<Option<PathBuf>, Failure> {
    let scene = lie::scene(args.seed);
    if let Some(path) = &args.html {
        page::write(path, &scene.data())?;
        return Ok(Some(path.clone()));
    }
    match page::write_temporary(&format!("ondisk-demo-{}", args.seed), &scene.data()) {
        Ok(path) => Ok(Some(path)),
        Err(failure) => {
            talk(format_args!("ondisk: {} (try --html FILE)", failure.sentence()));
            Ok(None)
        }
    }
}
