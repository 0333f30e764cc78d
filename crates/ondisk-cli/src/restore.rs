//! `ondisk restore`.

use std::path::PathBuf;

use ondisk::{Db, Which};
use serde::Serialize;

use crate::exit::{Exit, Failure};
use crate::out::{Out, Progress};

/// Make a new store from a backup.
///
/// It is the newest of a directory, or an earlier one. Nothing may stand at NEWDB, or an empty
/// directory. The store is made beside it, as NEWDB.restoring, and gets its name when it is whole
/// and durable: whatever interrupts a restore, at NEWDB stands nothing or a whole store. It is
/// another store than the one that was backed up: its commits count from 1, and its backups go to a
/// directory of their own.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  ondisk restore books.backups copy.db

Exit codes: 0 restored, durably; 1 a backup is damaged; 2 no backups there, something in the way,
or the disk said no.

Next: ondisk check copy.db")]
pub(crate) struct Args {
    /// The directory that holds backups
    dir: PathBuf,
    /// The new store's directory
    newdb: PathBuf,
    /// Restore the backup of this number, not the newest
    #[arg(long, value_name = "NUMBER")]
    backup: Option<u32>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Json {
    ondisk: &'static str,
    v: u32,
    /// The backup's number.
    number: u32,
    /// The commit of the former store that the new one is as of.
    lsn: u64,
    keyspaces: u64,
    keys: u64,
    /// Of keys and values.
    bytes: u64,
}

pub(crate) fn run(args: &Args) -> Result<Exit, Failure> {
    let which = args.backup.map_or(Which::Newest, Which::Number);
    let progress = Progress::after_a_second();
    let report = Db::builder().restore(&args.dir, &args.newdb, which, &mut |at| {
        progress.say(format_args!("{} keys, {} bytes restored", at.keys, at.bytes));
    })?;
    drop(progress);
    let mut out = Out::new();
    let (number, lsn) = (report.number, report.lsn);
    let (keyspaces, keys, bytes) = (report.keyspaces, report.keys, report.bytes);
    if args.json {
        let lsn = lsn.0;
        out.json(&Json { ondisk: "restore", v: 1, number, lsn, keyspaces, keys, bytes })?;
    } else {
        out.line(format_args!(
            "restored backup {number}, as of commit {lsn}: {keys} keys in {keyspaces} keyspace(s), \
             {bytes} bytes of keys and values"
        ))?;
    }
    out.flush()?;
    Ok(Exit::Fine)
}
