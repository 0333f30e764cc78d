//! `ondisk salvage`.

use std::path::PathBuf;
use std::sync::Arc;

use ondisk::{Lost, SalvageReport};
use ondisk_fs::OsFs;
use serde::Serialize;

use crate::escape::escape;
use crate::exit::{Exit, Failure};
use crate::out::{Colour, Out, Paint};

/// Copy all that verifies of a damaged store, and list what is lost.
///
/// Writes nothing to DB. Each lost range is told with its file, its place and the commits that it
/// concerns, as far as that is known. The copy is a new store at OUT, where nothing may stand; it
/// gets its name when it is whole. Where an engine's files are damaged the log's commits are taken
/// for what they still hold, and a key that was deleted may come back.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  ondisk salvage books.db saved.db

Exit codes: 0 all was copied, nothing is lost; 1 something is lost; 2 not a store, locked,
something in the way, or the disk said no.

Next: ondisk check saved.db")]
pub(crate) struct Args {
    /// The damaged store's directory
    db: PathBuf,
    /// The new store's directory
    out: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Json {
    ondisk: &'static str,
    v: u32,
    /// The last commit that was read.
    end: u64,
    /// Commits that the log still holds.
    records: u64,
    keyspaces: Vec<KeyspaceJson>,
    lost: Vec<LostJson>,
}

#[derive(Debug, Serialize)]
struct KeyspaceJson {
    name: String,
    engine: &'static str,
    keys: u64,
    /// Lost ranges of its files.
    lost: u64,
}

#[derive(Debug, Serialize)]
struct LostJson {
    path: String,
    offset: u64,
    /// 0 where it is not known.
    len: u64,
    /// The first commit that may miss something; `null` where it is not known.
    lsn: Option<u64>,
    what: String,
}

pub(crate) fn run(args: &Args) -> Result<Exit, Failure> {
    let report = ondisk::salvage(Arc::new(OsFs), &args.db, &args.out)?;
    let mut out = Out::new();
    if args.json {
        out.json(&describe(&report))?;
    } else {
        print(&report, &mut out)?;
    }
    out.flush()?;
    Ok(if report.lost.is_empty() { Exit::Fine } else { Exit::Findings })
}

fn describe(report: &SalvageReport) -> Json {
    let keyspaces = report.keyspaces.iter().map(|it| KeyspaceJson {
        name: escape(it.name.as_bytes()),
        engine: it.engine.name(),
        keys: it.keys,
        lost: it.lost,
    });
    let lost = report.lost.iter().map(|it| LostJson {
        path: it.path.display().to_string(),
        offset: it.offset,
        len: it.len,
        lsn: it.lsn.map(|lsn| lsn.0),
        what: it.what.clone(),
    });
    let (end, records) = (report.end.0, report.records);
    let (keyspaces, lost) = (keyspaces.collect(), lost.collect());
    Json { ondisk: "salvage", v: 1, end, records, keyspaces, lost }
}

fn print(report: &SalvageReport, out: &mut Out) -> Result<(), Failure> {
    for Lost { path, offset, len, lsn, what } in &report.lost {
        let (path, mut place) = (path.display(), format!("offset {offset}"));
        if *len > 0 {
            place += &format!(", {len} bytes");
        }
        if let Some(lsn) = lsn {
            place += &format!(", from commit {lsn} on");
        }
        out.line(format_args!("{path}: {place}: {what}"))?;
    }
    for it in &report.keyspaces {
        let name = escape(it.name.as_bytes());
        let (engine, keys) = (it.engine, it.keys);
        out.line(format_args!("{name}: {engine}, {keys} keys copied, {} ranges lost", it.lost))?;
    }
    let paint = Paint::for_stdout();
    let verdict = if report.lost.is_empty() {
        paint.paint(Colour::Green, "nothing is lost")
    } else {
        paint.paint(Colour::Red, &format!("{} ranges are lost", report.lost.len()))
    };
    let (end, records) = (report.end, report.records);
    out.line(format_args!(
        "{verdict}; the log holds {records} commits, and what was read of it ends at commit {end}"
    ))
}
