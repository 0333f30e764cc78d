//! `ondisk check`.

use std::path::PathBuf;
use std::sync::Arc;

use ondisk::{CheckReport, Error};
use ondisk_fs::OsFs;
use serde::Serialize;

use crate::exit::{Exit, Failure};
use crate::out::{Colour, Out, Paint};

/// Verify every byte of a store, read-only.
///
/// A torn tail (a commit that a cut interrupted, never acknowledged as durable) is reported and is
/// no damage. Damage is anything that was durable and is not whole any more.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  ondisk check books.db

Exit codes: 0 clean, or nothing worse than a torn tail; 1 damage; 2 not a store, or locked;
3 a file could not be read, so the store could not be judged.

Next: ondisk dump books.db/log/anchor")]
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
    clean: bool,
    findings: Vec<FindingJson>,
    torn_tail: Option<FindingJson>,
    /// Closed, so that every change is noticed; else a cut may have taken an end nobody knows of.
    closed: bool,
    /// The last commit.
    end: u64,
    /// Whether the last commits may be in this boot's page cache alone.
    above_watermark: bool,
    records: u64,
    keys: u64,
    bytes: u64,
    files: u64,
}

/// A place in a file, and what is wrong there.
#[derive(Debug, Serialize)]
struct FindingJson {
    path: String,
    offset: u64,
    what: String,
}

pub(crate) fn run(args: &Args) -> Result<Exit, Failure> {
    let report = ondisk::check(Arc::new(OsFs), &args.db).map_err(|error| match error {
        Error::Io { .. } => Failure::Unjudged(error),
        other => other.into(),
    })?;
    let mut out = Out::new();
    let json = describe(&report);
    if args.json {
        out.json(&json)?;
    } else {
        print(&json, &mut out)?;
    }
    out.flush()?;
    Ok(if json.clean { Exit::Fine } else { Exit::Findings })
}

fn describe(report: &CheckReport) -> Json {
    let findings = report.findings.iter().map(|finding| FindingJson {
        path: finding.path.display().to_string(),
        offset: finding.offset,
        what: finding.what.to_string(),
    });
    Json {
        ondisk: "check",
        v: 1,
        clean: report.findings.is_empty(),
        findings: findings.collect(),
        torn_tail: report.torn_tail.as_ref().map(|tail| FindingJson {
            path: tail.path.display().to_string(),
            offset: tail.offset,
            what: format!("commit {} would begin here; {}", tail.lsn, tail.damage),
        }),
        closed: report.was_closed,
        end: report.end.0,
        above_watermark: report.above_watermark,
        records: report.records,
        keys: report.keys,
        bytes: report.bytes,
        files: report.files,
    }
}

fn print(report: &Json, out: &mut Out) -> Result<(), Failure> {
    let paint = Paint::for_stdout();
    for FindingJson { path, offset, what } in &report.findings {
        out.line(format_args!("{path}: offset {offset}: {what}"))?;
    }
    if let Some(FindingJson { path, offset, what }) = &report.torn_tail {
        out.line(format_args!("{path}: offset {offset}: torn tail (no damage): {what}"))?;
    }
    let verdict = if report.clean {
        paint.paint(Colour::Green, "clean")
    } else {
        paint.paint(Colour::Red, "damaged")
    };
    let Json { records, keys, bytes, files, end, .. } = report;
    out.line(format_args!(
        "{verdict}: {keys} keys, {records} commits in the log, {files} data files; {bytes} bytes \
         verified"
    ))?;
    let how = match (report.closed, report.above_watermark) {
        (true, _) => "closed there",
        (false, false) => "not closed: what a power cut may have taken behind it left no trace",
        (false, true) => "not closed: the last commits may be in this boot's page cache alone",
    };
    out.line(format_args!("ends at commit {end}, {how}"))
}
