//! `ondisk put`.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::argument::{Escaped, InKeyspace, Sync, print_receipt};
use crate::exit::{Exit, Failure};

/// Put a value under a key, and say how far down it got.
///
/// Makes the store when DB is absent or an empty directory. Prints the rung that the commit had
/// reached when it was acknowledged (with --sync sync: durable), and its number.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  ondisk put books.db 42 'The Hitchhiker'

Exit codes: 0 the commit was acknowledged; 1 the store is damaged; 2 not a store, locked,
over a limit, or the disk said no.

Next: ondisk get books.db 42")]
pub(crate) struct Args {
    /// The store's directory
    db: PathBuf,
    /// The key, as bytes
    #[arg(allow_negative_numbers = true)]
    key: OsString,
    /// The value, as bytes
    #[arg(allow_negative_numbers = true)]
    value: OsString,
    #[command(flatten)]
    escaped: Escaped,
    #[command(flatten)]
    keyspace: InKeyspace,
    #[command(flatten)]
    sync: Sync,
    /// Print the receipt as JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> Result<Exit, Failure> {
    let key = args.escaped.bytes("KEY", &args.key)?;
    let value = args.escaped.bytes("VALUE", &args.value)?;
    let db = args.sync.builder().create(args.keyspace.create()).open(&args.db)?;
    let keyspace = args.keyspace.of(&args.db, &db)?;
    let receipt = keyspace.put_with(&key, &value, args.sync.mode_in(&keyspace))?;
    // Acknowledged is acknowledged: it is said before the close, which may yet fail.
    print_receipt("put", receipt, args.json)?;
    db.close()?;
    Ok(Exit::Fine)
}
