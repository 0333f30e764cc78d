//! Arguments that several commands take, each with one meaning everywhere.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use ondisk::{Builder, Create, Db, Error, Keyspace, Receipt, Recovered, SyncMode};
use serde::Serialize;

use crate::escape::{self, LineError};
use crate::exit::Failure;
use crate::out::{Out, talk};

/// How KEY and VALUE are written on the command line.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Escaped {
    /// Read KEY and VALUE in the escape of scan and load: \\ \t \n \r \xNN
    #[arg(long)]
    escaped: bool,
}

impl Escaped {
    /// The bytes that an argument stands for.
    pub(crate) fn bytes(self, what: &'static str, argument: &OsStr) -> Result<Vec<u8>, LineError> {
        let bytes = argument.as_bytes();
        if !self.escaped {
            return Ok(bytes.to_vec());
        }
        let unescaped = escape::unescape(bytes);
        unescaped.map(Into::into).map_err(|at| LineError::Argument { what, column: at + 1 })
    }
}

/// When a commit is acknowledged.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Sync {
    /// When a commit is acknowledged.
    #[arg(
        long = "sync",
        value_name = "MODE",
        help = "When to acknowledge: sync (the disk has it), batch[:N[,T]] (the system has it, and \
                the disk after N commits or the time T), none (the system has it) [default: the \
                keyspace's own, else sync]"
    )]
    mode: Option<SyncMode>,
}

impl Sync {
    /// How a store is opened for commits in this mode.
    pub(crate) fn builder(self) -> Builder {
        Db::builder().sync(self.mode.unwrap_or_default())
    }

    /// The mode of commits to a keyspace.
    pub(crate) fn mode_in(self, keyspace: &Keyspace) -> SyncMode {
        self.mode.unwrap_or_else(|| keyspace.mode())
    }
}

/// Which keyspace is meant.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct InKeyspace {
    /// The keyspace; it must be there
    #[arg(long, value_name = "NAME", default_value = InKeyspace::DEFAULT)]
    pub(crate) keyspace: String,
}

impl InKeyspace {
    const DEFAULT: &str = "default";

    /// What an open to write does where there is no store: where a keyspace must be there, it
    /// makes none.
    pub(crate) fn create(&self) -> Create {
        if self.keyspace == Self::DEFAULT { Create::IfMissing } else { Create::Never }
    }

    /// The keyspace of an open store.
    pub(crate) fn of(&self, path: &Path, db: &Db) -> Result<Keyspace, Failure> {
        db.existing_keyspace(&self.keyspace).map_err(|error| self.missing(path, error))
    }

    /// Says what to type where a store has no such keyspace.
    pub(crate) fn missing(&self, path: &Path, error: Error) -> Failure {
        match error {
            Error::NoKeyspace { name } => Failure::NoKeyspace { path: path.to_owned(), name },
            other => other.into(),
        }
    }
}

/// What a commit gives back, as JSON.
#[derive(Debug, Serialize)]
struct ReceiptJson {
    ondisk: &'static str,
    v: u32,
    lsn: u64,
    rung: &'static str,
}

/// Prints an acknowledgement: the rung that was reached, and the commit's number.
pub(crate) fn print_receipt(
    command: &'static str,
    receipt: Receipt,
    json: bool,
) -> Result<(), Failure> {
    let mut out = Out::new();
    let Receipt { lsn, rung, .. } = receipt;
    if json {
        out.json(&ReceiptJson { ondisk: command, v: 1, lsn: lsn.0, rung: rung.name() })?;
    } else {
        out.line(format_args!("{rung} (commit {lsn})"))?;
    }
    out.flush()
}

/// Says it when a reader is shown commits that only this boot's page cache holds.
pub(crate) fn say_above_watermark(recovered: &Recovered) {
    if recovered.above_watermark {
        talk(format_args!(
            "ondisk: the last commits shown are in the page cache of this boot, not known to be \
             durable: a power cut now may take them (opening the store to write makes them so)"
        ));
    }
}
