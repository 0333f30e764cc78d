//! `ondisk keyspaces`.

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use ondisk::{
    Compression, Create, Db, EngineKind, KeyspaceOptions, LargeValue, PageSize, SyncMode,
};
use serde::Serialize;

use crate::argument::say_above_watermark;
use crate::escape::escape;
use crate::exit::{Exit, Failure};
use crate::out::Out;

/// List the keyspaces of a store, make one, or drop one.
///
/// A keyspace has keys of its own and an engine of its own; all share one log, so that one commit
/// may touch several. A line is a name, in the escape of scan, a tab and the engine. The list
/// writes nothing, and works in a read-only directory; create makes the store too when DB is absent
/// or an empty directory. What a keyspace is made with never changes. A drop takes all that the
/// keyspace holds; it is durable when the command returns.
#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = false,
    after_help = "\
Example:
  ondisk keyspaces books.db create events --engine lsm --sync batch:100

Exit codes: 0 done; 1 the store is damaged; 2 not a store, locked, no such keyspace, or one that
was made with other options.

Next: ondisk put books.db e1 'signed up' --keyspace events"
)]
pub(crate) struct Args {
    /// The store's directory
    db: PathBuf,
    #[command(subcommand)]
    action: Option<Action>,
    /// Print one JSON object
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Make a keyspace, durably; one that is there with the same options is no error
    Create(Options),
    /// Drop a keyspace with all that it holds
    Drop {
        /// The keyspace
        name: String,
    },
}

#[derive(Debug, clap::Args)]
struct Options {
    /// Its name: any text of 1 to 255 bytes
    name: String,
    /// bitcask (point reads, all keys in memory), lsm (many writes, more keys than memory) or btree
    /// (ordered reads)
    #[arg(long)]
    engine: EngineKind,
    /// When its commits are acknowledged unless they say otherwise: sync, batch, batch:N, batch:N,T or none
    #[arg(long, value_name = "MODE")]
    sync: Option<SyncMode>,
    /// Bytes of a tree's page: a power of two from 1024 to 65536
    #[arg(long, value_name = "BYTES", default_value_t = PageSize::default().0)]
    page_size: u32,
    /// How the blocks of sorted tables are compressed
    #[arg(long, value_name = "HOW", default_value = "lz4")]
    compression: How,
    /// Values longer than this go to a file of their own
    #[arg(long, value_name = "BYTES", default_value_t = LargeValue::default().0)]
    large_value: u32,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum How {
    None,
    Lz4,
}

#[derive(Debug, Serialize)]
struct Json {
    ondisk: &'static str,
    v: u32,
    /// `list`, `create` or `drop`.
    action: &'static str,
    /// Those listed, or the one that was made or dropped.
    keyspaces: Vec<KeyspaceJson>,
}

#[derive(Debug, Serialize)]
struct KeyspaceJson {
    /// In the escape of scan.
    name: String,
    engine: &'static str,
    /// `null` for the store's.
    sync: Option<String>,
}

pub(crate) fn run(args: &Args) -> Result<Exit, Failure> {
    let (action, keyspaces) = match &args.action {
        None => ("list", list(&args.db)?),
        Some(Action::Create(options)) => ("create", vec![create(&args.db, options)?]),
        Some(Action::Drop { name }) => ("drop", vec![drop(&args.db, name)?]),
    };
    let mut out = Out::new();
    if args.json {
        out.json(&Json { ondisk: "keyspaces", v: 1, action, keyspaces })?;
    } else {
        for KeyspaceJson { name, engine, .. } in keyspaces {
            out.line(format_args!("{name}\t{engine}"))?;
        }
    }
    out.flush()?;
    Ok(Exit::Fine)
}

fn list(path: &Path) -> Result<Vec<KeyspaceJson>, Failure> {
    let reader = Db::builder().open_reader(path)?;
    say_above_watermark(reader.recovery());
    Ok(reader.keyspaces().map(|(name, options)| describe(name, options)).collect())
}

fn create(path: &Path, asked: &Options) -> Result<KeyspaceJson, Failure> {
    let options = KeyspaceOptions {
        engine: asked.engine,
        sync: asked.sync,
        page_size: PageSize(asked.page_size),
        compression: match asked.compression {
            How::None => Compression::None,
            How::Lz4 => Compression::Lz4,
        },
        large_value: LargeValue(asked.large_value),
    };
    let db = Db::builder().open(path)?;
    let made = db.keyspace(&asked.name, options).map(|it| describe(it.name(), it.options()));
    db.close()?;
    Ok(made?)
}

fn drop(path: &Path, name: &str) -> Result<KeyspaceJson, Failure> {
    let db = Db::builder().create(Create::Never).open(path)?;
    let found = db.existing_keyspace(name).map(|it| describe(it.name(), it.options()));
    let dropped = db.drop_keyspace(name);
    db.close()?;
    dropped?;
    Ok(found?)
}

fn describe(name: &str, options: KeyspaceOptions) -> KeyspaceJson {
    KeyspaceJson {
        name: escape(name.as_bytes()),
        engine: options.engine.name(),
        sync: options.sync.map(|mode| mode.to_string()),
    }
}
