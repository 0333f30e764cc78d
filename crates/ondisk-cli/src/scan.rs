//! `ondisk scan`.

use std::path::PathBuf;

use ondisk::Db;
use serde::Serialize;

use crate::argument::{InKeyspace, say_above_watermark};
use crate::escape::{escape, escape_into};
use crate::exit::{Exit, Failure};
use crate::out::Out;

/// Print all keys and values in key order, as lines that load takes.
///
/// A line is a key, a tab and a value. A backslash is written \\, a tab \t, a line feed \n, a
/// carriage return \r; any other control character, and each byte that is not UTF-8, is \xNN.
/// Writes nothing to the store, and works in a read-only directory.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  ondisk scan books.db | ondisk load copy.db

Exit codes: 0 all was printed; 1 the store is damaged; 2 not a store, or locked.

Next: ondisk stats books.db")]
pub(crate) struct Args {
    /// The store's directory
    db: PathBuf,
    #[command(flatten)]
    keyspace: InKeyspace,
    /// Print a JSON object a line, key and value in the same escape
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Json {
    ondisk: &'static str,
    v: u32,
    key: String,
    value: String,
}

pub(crate) fn run(args: &Args) -> Result<Exit, Failure> {
    let reader = Db::builder().open_reader(&args.db)?;
    say_above_watermark(reader.recovery());
    let range = reader.range_in(&args.keyspace.keyspace, ..);
    let range = range.map_err(|error| args.keyspace.missing(&args.db, error))?;
    let mut out = Out::new();
    let mut line = Vec::new();
    for pair in range {
        let (key, value) = pair?;
        if args.json {
            out.json(&Json { ondisk: "scan", v: 1, key: escape(&key), value: escape(&value) })?;
            continue;
        }
        line.clear();
        escape_into(&mut line, &key);
        line.push(b'\t');
        escape_into(&mut line, &value);
        line.push(b'\n');
        out.bytes(&line)?;
    }
    out.flush()?;
    Ok(Exit::Fine)
}
