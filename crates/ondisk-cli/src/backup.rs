//! `ondisk backup`.

use std::path::PathBuf;

use ondisk::Db;
use serde::Serialize;

use crate::argument::say_above_watermark;
use crate::exit::{Exit, Failure};
use crate::out::{Out, Progress};

/// Back a store up; later, only what differs.
///
/// The backup is of all keyspaces as of one commit, whoever writes meanwhile. The directory is made
/// if it is not there; a first backup is whole, each later one holds what differs from those before
/// it. It is read back and durable when the command returns, and the backups before it stay as they
/// were, whatever interrupts it. Writes nothing to the store.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  ondisk backup books.db books.backups

Exit codes: 0 the backup is whole and durable; 1 the store or an earlier backup is damaged; 2 not a
store, locked, other things in the directory, or the disk said no.

Next: ondisk restore books.backups copy.db")]
pub(crate) struct Args {
    /// The store's directory
    db: PathBuf,
    /// The directory that holds its backups, or will
    dir: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Json {
    ondisk: &'static str,
    v: u32,
    /// The backup's number in its directory, from 1.
    number: u32,
    /// The commit that it is of.
    lsn: u64,
    /// The commit that the backup before is of; `null` for a whole one.
    since: Option<u64>,
    keyspaces: u64,
    keys: u64,
    written: u64,
    gone: u64,
    parts: u64,
    bytes: u64,
}

pub(crate) fn run(args: &Args) -> Result<Exit, Failure> {
    let reader = Db::builder().open_reader(&args.db)?;
    say_above_watermark(reader.recovery());
    let progress = Progress::after_a_second();
    let report = reader.backup(&args.dir, &mut |at| {
        progress.say(format_args!("{} keys, {} bytes written", at.keys, at.bytes));
    })?;
    drop(progress);
    let mut out = Out::new();
    if args.json {
        out.json(&Json {
            ondisk: "backup",
            v: 1,
            number: report.number,
            lsn: report.lsn.0,
            since: report.since.map(|lsn| lsn.0),
            keyspaces: report.keyspaces,
            keys: report.keys,
            written: report.written,
            gone: report.gone,
            parts: report.parts,
            bytes: report.bytes,
        })?;
    } else {
        let (number, lsn, keys) = (report.number, report.lsn, report.keys);
        let (written, gone, bytes) = (report.written, report.gone, report.bytes);
        let keyspaces = report.keyspaces;
        out.line(format_args!(
            "backup {number}: as of commit {lsn}, {keys} keys in {keyspaces} keyspace(s)"
        ))?;
        match report.since {
            None => out.line(format_args!("whole: {bytes} bytes, read back and durable"))?,
            Some(since) => out.line(format_args!(
                "since commit {since}: {written} keys new or changed, {gone} gone; {bytes} bytes, \
                 read back and durable"
            ))?,
        }
    }
    out.flush()?;
    Ok(Exit::Fine)
}
