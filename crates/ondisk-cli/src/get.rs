//! `ondisk get`.

use std::ffi::OsString;
use std::path::PathBuf;

use ondisk::Db;
use serde::Serialize;

use crate::argument::{Escaped, InKeyspace, say_above_watermark};
use crate::escape::escape;
use crate::exit::{Exit, Failure};
use crate::out::{Out, talk};

/// Print the value of a key.
///
/// Prints the value's bytes as they are, and a line feed. Writes nothing, and works in a read-only
/// directory.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  ondisk get books.db 42

Exit codes: 0 found; 1 the key is not there, or the store is damaged; 2 not a store, or locked.

Next: ondisk scan books.db")]
pub(crate) struct Args {
    /// The store's directory
    db: PathBuf,
    /// The key, as bytes
    #[arg(allow_negative_numbers = true)]
    key: OsString,
    #[command(flatten)]
    escaped: Escaped,
    #[command(flatten)]
    keyspace: InKeyspace,
    /// Print the value's bytes alone, without a line feed
    #[arg(long, conflicts_with = "json")]
    raw: bool,
    /// Print key and value as JSON, both in the escape of scan
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Json {
    ondisk: &'static str,
    v: u32,
    key: String,
    /// `null` when the key is not there.
    value: Option<String>,
}

pub(crate) fn run(args: &Args) -> Result<Exit, Failure> {
    let key = args.escaped.bytes("KEY", &args.key)?;
    let reader = Db::builder().open_reader(&args.db)?;
    say_above_watermark(reader.recovery());
    let value = reader.get_in(&args.keyspace.keyspace, &key);
    let value = value.map_err(|error| args.keyspace.missing(&args.db, error))?;
    let mut out = Out::new();
    match &value {
        _ if args.json => {
            let text = value.as_deref().map(escape);
            out.json(&Json { ondisk: "get", v: 1, key: escape(&key), value: text })?;
        }
        Some(value) => {
            out.bytes(value)?;
            out.bytes(if args.raw { b"" } else { b"\n" })?;
        }
        None => talk(format_args!("ondisk: there is no key {}", escape(&key))),
    }
    out.flush()?;
    Ok(if value.is_some() { Exit::Fine } else { Exit::Findings })
}
