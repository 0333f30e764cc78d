//! `ondisk compact`.

use std::path::PathBuf;

use ondisk::{Create, Db, Stats};
use serde::Serialize;

use crate::exit::{Exit, Failure};
use crate::out::Out;

/// Take the log over into the engines, and reclaim space.
///
/// Merges data files, compacts sorted tables to the last level, moves the pages of trees to the front
/// and cuts their files, and removes what dropped keyspaces left. Nothing is lost whatever interrupts it.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  ondisk compact books.db

Exit codes: 0 done; 1 the store is damaged; 2 not a store, locked, or the disk said no.

Next: ondisk stats books.db")]
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
    /// Bytes of the engines' files.
    before: u64,
    after: u64,
    /// Written to make them so.
    written: u64,
}

pub(crate) fn run(args: &Args) -> Result<Exit, Failure> {
    let db = Db::builder().create(Create::Never).open(&args.db)?;
    let before = engine_bytes(&db.stats());
    let compacted = db.compact();
    let stats = db.stats();
    db.close()?;
    compacted?;
    let after = engine_bytes(&stats);
    let written = |of: &ondisk::EngineStats| of.checkpoint_written + of.reclaim_written;
    let written = stats.keyspaces.iter().map(|it| written(&it.engine)).sum();
    let mut out = Out::new();
    if args.json {
        out.json(&Json { ondisk: "compact", v: 1, before, after, written })?;
    } else {
        out.line(format_args!(
            "{before} bytes of engines' files became {after}; {written} bytes were written"
        ))?;
    }
    out.flush()?;
    Ok(Exit::Fine)
}

fn engine_bytes(stats: &Stats) -> u64 {
    let files = stats.keyspaces.iter().flat_map(|it| it.engine.files.values());
    files.map(|files| files.bytes).sum()
}
