//! `ondisk durability`.

use std::path::PathBuf;

use ondisk::{ChosenBy, Db, Death, Durability, FileKind, KeyspaceDurability, Loss, SyncMode};
use serde::Serialize;

use crate::escape::escape;
use crate::exit::{Exit, Failure};
use crate::out::{Colour, Out, Paint};
use crate::table::row;

/// Say what a kill, a crash and a power cut can take, and why.
///
/// The table of the write path: for each keyspace and kind of file when its bytes go to the system
/// (flush), which call makes them durable (sync), when that is, and so what holds. It is computed
/// from the store's own settings, and a test performs each loss. Writes nothing, and works in a
/// read-only directory.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  ondisk durability books.db --sync batch:100

Exit codes: 0 printed; 1 the store is damaged; 2 not a store, or locked.

Next: ondisk stats books.db")]
pub(crate) struct Args {
    /// The store's directory
    db: PathBuf,
    /// The mode that the store would be opened with: it holds for keyspaces without one of their own
    #[arg(long = "sync", value_name = "MODE", default_value = "sync")]
    mode: SyncMode,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Json<'a> {
    ondisk: &'static str,
    v: u32,
    /// The rung that a sync reaches here.
    a_sync_reaches: &'static str,
    keyspaces: Vec<KeyspaceJson<'a>>,
    shared: Vec<FileJson<'a>>,
}

#[derive(Debug, Serialize)]
struct KeyspaceJson<'a> {
    name: String,
    engine: &'static str,
    mode: String,
    /// `keyspace` or `opener`.
    mode_chosen_by: &'static str,
    files: Vec<FileJson<'a>>,
    /// What each death can take.
    kill: LossJson,
    crash: LossJson,
    power_cut: LossJson,
}

#[derive(Debug, Serialize)]
struct FileJson<'a> {
    kind: &'a str,
    flush: &'a str,
    sync: &'a str,
    when: &'a str,
    so: &'a str,
}

#[derive(Debug, Serialize)]
struct LossJson {
    /// The most acknowledged commits that it can take; `null` where there is no bound.
    at_most: Option<u32>,
    words: String,
}

pub(crate) fn run(args: &Args) -> Result<Exit, Failure> {
    let reader = Db::builder().open_reader(&args.db)?;
    let table = reader.durability(args.mode)?;
    let mut out = Out::new();
    if args.json {
        out.json(&describe(&table))?;
    } else {
        print(&table, &mut out)?;
    }
    out.flush()?;
    Ok(Exit::Fine)
}

fn describe(table: &Durability) -> Json<'_> {
    let keyspaces = table.keyspaces.iter().map(|it| KeyspaceJson {
        name: escape(it.name.as_bytes()),
        engine: it.engine.name(),
        mode: it.mode.to_string(),
        mode_chosen_by: match it.chosen {
            ChosenBy::Keyspace => "keyspace",
            ChosenBy::Opener => "opener",
        },
        files: it.files.iter().map(describe_file).collect(),
        kill: describe_loss(it.loss(Death::Kill)),
        crash: describe_loss(it.loss(Death::Crash)),
        power_cut: describe_loss(it.loss(Death::PowerCut)),
    });
    Json {
        ondisk: "durability",
        v: 1,
        a_sync_reaches: table.reached.name(),
        keyspaces: keyspaces.collect(),
        shared: table.shared.iter().map(describe_file).collect(),
    }
}

fn describe_file(file: &FileKind) -> FileJson<'_> {
    let FileKind { kind, flush, sync, when, so } = file;
    FileJson { kind, flush, sync, when, so }
}

fn describe_loss(loss: Loss) -> LossJson {
    let at_most = match loss {
        Loss::Nothing => Some(0),
        Loss::AtMost(n) => Some(n),
        Loss::Unbounded => None,
    };
    LossJson { at_most, words: loss.to_string() }
}

/// Widths of the columns: with the gaps between them 98 characters.
const WIDTHS: [usize; 5] = [12, 20, 16, 20, 20];

fn print(table: &Durability, out: &mut Out) -> Result<(), Failure> {
    let paint = Paint::for_stdout();
    for keyspace in &table.keyspaces {
        print_keyspace(keyspace, paint, out)?;
        out.line(format_args!(""))?;
    }
    print_files("all keyspaces", &table.shared, paint, out)?;
    out.line(format_args!("a sync here reaches the rung {}", table.reached))
}

fn print_keyspace(it: &KeyspaceDurability, paint: Paint, out: &mut Out) -> Result<(), Failure> {
    let chosen = match it.chosen {
        ChosenBy::Keyspace => "the keyspace's own",
        ChosenBy::Opener => "of who opens the store",
    };
    let name = escape(it.name.as_bytes());
    let title = format!("{name}: {}, mode {} ({chosen})", it.engine, it.mode);
    print_files(&title, &it.files, paint, out)?;
    for death in Death::ALL {
        let loss = it.loss(death);
        let colour = match loss {
            Loss::Nothing => Colour::Green,
            Loss::AtMost(_) => Colour::Yellow,
            Loss::Unbounded => Colour::Red,
        };
        let head = format!("a {} takes", death.name());
        let words = row(&[17, 78], &[&head, &loss.to_string()]);
        for line in words {
            out.line(format_args!("{}", paint.paint(colour, &line)))?;
        }
    }
    Ok(())
}

fn print_files(
    title: &str,
    files: &[FileKind],
    paint: Paint,
    out: &mut Out,
) -> Result<(), Failure> {
    out.line(format_args!("{}", paint.paint(Colour::Bold, title)))?;
    let head = ["file", "flush?", "sync?", "when?", "so: durability"];
    for line in row(&WIDTHS, &head) {
        out.line(format_args!("{}", paint.paint(Colour::Dim, &line)))?;
    }
    for FileKind { kind, flush, sync, when, so } in files {
        for line in row(&WIDTHS, &[kind, flush, sync, when, so]) {
            out.line(format_args!("{line}"))?;
        }
    }
    Ok(())
}
