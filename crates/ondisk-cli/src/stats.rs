//! `ondisk stats`.

use std::path::PathBuf;

use ondisk::{Db, Reader};
use serde::Serialize;

use crate::argument::say_above_watermark;
use crate::exit::{Exit, Failure};
use crate::out::Out;

/// Print what a store says of itself: commits, the log, data files.
///
/// Writes nothing, and works in a read-only directory.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  ondisk stats books.db --json

Exit codes: 0 printed; 1 the store is damaged; 2 not a store, or locked.

Next: ondisk check books.db")]
pub(crate) struct Args {
    /// The store's directory
    db: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Json {
    ondisk: &'static str,
    v: u32,
    store: String,
    closed: bool,
    end: u64,
    watermark: u64,
    checkpoint: u64,
    epoch: u32,
    segments: u64,
    log_bytes: u64,
    young_versions: usize,
    young_bytes: u64,
    data_files: u64,
    data_bytes: u64,
    keys_in_data_files: u64,
}

pub(crate) fn run(args: &Args) -> Result<Exit, Failure> {
    let reader = Db::builder().open_reader(&args.db)?;
    say_above_watermark(reader.recovery());
    let json = describe(&reader);
    let mut out = Out::new();
    if args.json {
        out.json(&json)?;
    } else {
        print(&json, &mut out)?;
    }
    out.flush()?;
    Ok(Exit::Fine)
}

fn describe(reader: &Reader) -> Json {
    let (recovered, stats) = (reader.recovery(), reader.stats());
    Json {
        ondisk: "stats",
        v: 1,
        store: recovered.store.to_string(),
        closed: recovered.was_closed,
        end: recovered.end.0,
        watermark: recovered.watermark.0,
        checkpoint: recovered.checkpoint.0,
        epoch: recovered.epoch,
        segments: recovered.segments,
        log_bytes: recovered.bytes,
        young_versions: stats.young_versions,
        young_bytes: stats.young_bytes,
        data_files: stats.files("data file").count,
        data_bytes: stats.files("data file").bytes,
        keys_in_data_files: stats.keyspaces.iter().filter_map(|it| it.engine.keys).sum(),
    }
}

fn print(stats: &Json, out: &mut Out) -> Result<(), Failure> {
    let Json { end, watermark, checkpoint, epoch, segments, log_bytes, .. } = stats;
    let Json { young_versions, young_bytes, data_files, data_bytes, keys_in_data_files, .. } =
        stats;
    let closed = if stats.closed { "closed" } else { "not closed: the next open recovers it" };
    out.line(format_args!("store       {}, {closed}", stats.store))?;
    out.line(format_args!("commits     through {end}, known to be durable through {watermark}"))?;
    out.line(format_args!(
        "log         {log_bytes} bytes of commits in {segments} segment(s), epoch {epoch}"
    ))?;
    out.line(format_args!(
        "young map   {young_versions} versions, {young_bytes} bytes, all above commit {checkpoint}"
    ))?;
    out.line(format_args!(
        "data files  {keys_in_data_files} keys, {data_bytes} bytes in {data_files} file(s)"
    ))
}
