//! `ondisk dump`.

use std::path::PathBuf;

use ondisk_fs::OsFs;

use crate::exit::{Exit, Failure};
use crate::out::Out;

/// Print any file of a store as text.
///
/// The file says by its first bytes what it is: an anchor, a segment of the log, a manifest, a data
/// file. docs/format/ says what each field means.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  ondisk dump books.db/log/anchor

Exit codes: 0 printed; 1 the file is damaged (what is whole is printed); 2 not a file of ours.

Next: ondisk check books.db")]
pub(crate) struct Args {
    /// A file inside a store's directory
    file: PathBuf,
}

pub(crate) fn run(args: &Args) -> Result<Exit, Failure> {
    let mut text = String::new();
    let dumped = ondisk::dump(&OsFs, &args.file, &mut text);
    // What was legible is printed, whatever comes after it.
    let mut out = Out::new();
    out.bytes(text.as_bytes())?;
    out.flush()?;
    dumped?;
    Ok(Exit::Fine)
}
