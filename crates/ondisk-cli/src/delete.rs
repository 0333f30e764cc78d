//! `ondisk delete`.

use std::ffi::OsString;
use std::path::PathBuf;

use ondisk::{Batch, Create};

use crate::argument::{Escaped, InKeyspace, Sync, print_receipt};
use crate::exit::{Exit, Failure};

/// Delete a key, and say how far down that got.
///
/// Deleting a key that is not there is a commit like any other.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  ondisk delete books.db 42

Exit codes: 0 the commit was acknowledged; 1 the store is damaged; 2 not a store, locked,
over a limit, or the disk said no.

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
    #[command(flatten)]
    sync: Sync,
    /// Print the receipt as JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> Result<Exit, Failure> {
    let key = args.escaped.bytes("KEY", &args.key)?;
    let db = args.sync.builder().create(Create::Never).open(&args.db)?;
    let keyspace = args.keyspace.of(&args.db, &db)?;
    let batch = Batch::new().delete_in(&keyspace, &key);
    let receipt = db.batch_with(batch, args.sync.mode_in(&keyspace))?;
    print_receipt("delete", receipt, args.json)?;
    db.close()?;
    Ok(Exit::Fine)
}
