//! `ondisk stats`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use ondisk::{Db, FileCount, KeyspaceStats, Reader};
use serde::Serialize;

use crate::argument::say_above_watermark;
use crate::escape::escape;
use crate::exit::{Exit, Failure};
use crate::out::Out;

/// Print what a store says of itself: commits, log, engines.
///
/// Of an engine: its files by kind, keys, tables by level, pages, and the bytes that nothing refers
/// to any more. What only an open store counts (amplification of writes, cache hits, how long syncs
/// took) a program asks of `Db::stats`. Writes nothing, and works in a read-only directory.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  ondisk stats books.db --json

Exit codes: 0 printed; 1 the store is damaged; 2 not a store, or locked.

Next: ondisk check books.db")]
pub(crate) struct Args {
    /// The store's directory
    db: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Json {
    ondisk: &'static str,
    v: u32,
    store: String,
    closed: bool,
    end: u64,
    watermark: u64,
    checkpoint: u64,
    epoch: u32,
    segments: u64,
    log_bytes: u64,
    young_versions: usize,
    young_bytes: u64,
    data_files: u64,
    data_bytes: u64,
    keys_in_data_files: u64,
    keyspaces: Vec<KeyspaceJson>,
    /// Keyspaces that cannot be opened, and why.
    damaged: BTreeMap<String, String>,
}

#[derive(Debug, Serialize)]
struct KeyspaceJson {
    name: String,
    engine: &'static str,
    /// `null` where the store's holds.
    sync: Option<String>,
    through: u64,
    /// How many states of the engine were installed.
    edit: u64,
    young_versions: usize,
    young_bytes: u64,
    keys: Option<u64>,
    files: BTreeMap<&'static str, CountJson>,
    /// Sorted tables by level, the youngest first.
    levels: Vec<CountJson>,
    pages: Option<PagesJson>,
    dead_bytes: u64,
    space_amplification: Option<f64>,
}

#[derive(Debug, Serialize)]
struct CountJson {
    count: u64,
    bytes: u64,
}

#[derive(Debug, Serialize)]
struct PagesJson {
    used: u64,
    free: u64,
}

pub(crate) fn run(args: &Args) -> Result<Exit, Failure> {
    let reader = Db::builder().open_reader(&args.db)?;
    say_above_watermark(reader.recovery());
    let json = describe(&reader);
    let mut out = Out::new();
    if args.json {
        out.json(&json)?;
    } else {
        print(&json, &mut out)?;
    }
    out.flush()?;
    Ok(Exit::Fine)
}

fn describe(reader: &Reader) -> Json {
    let (recovered, stats) = (reader.recovery(), reader.stats());
    let damaged = reader.damaged().iter();
    let damaged = damaged.map(|(name, why)| (escape(name.as_bytes()), why.to_string()));
    Json {
        ondisk: "stats",
        v: 1,
        store: recovered.store.to_string(),
        closed: recovered.was_closed,
        end: recovered.end.0,
        watermark: recovered.watermark.0,
        checkpoint: recovered.checkpoint.0,
        epoch: recovered.epoch,
        segments: recovered.segments,
        log_bytes: recovered.bytes,
        young_versions: stats.young_versions,
        young_bytes: stats.young_bytes,
        data_files: stats.files("data file").count,
        data_bytes: stats.files("data file").bytes,
        keys_in_data_files: stats.keyspaces.iter().filter_map(|it| it.engine.keys).sum(),
        keyspaces: stats.keyspaces.iter().map(describe_keyspace).collect(),
        damaged: damaged.collect(),
    }
}

fn describe_keyspace(it: &KeyspaceStats) -> KeyspaceJson {
    let engine = &it.engine;
    let count = |files: &FileCount| CountJson { count: files.count, bytes: files.bytes };
    KeyspaceJson {
        name: escape(it.name.as_bytes()),
        engine: it.options.engine.name(),
        sync: it.options.sync.map(|mode| mode.to_string()),
        through: it.through.0,
        edit: it.edit,
        young_versions: it.young_versions,
        young_bytes: it.young_bytes,
        keys: engine.keys,
        files: engine.files.iter().map(|(kind, files)| (*kind, count(files))).collect(),
        levels: engine.levels.iter().map(count).collect(),
        pages: engine.pages.map(|(used, free)| PagesJson { used, free }),
        dead_bytes: engine.dead_bytes,
        space_amplification: it.space_amplification(),
    }
}

fn print(stats: &Json, out: &mut Out) -> Result<(), Failure> {
    let Json { end, watermark, checkpoint, epoch, segments, log_bytes, .. } = stats;
    let Json { young_versions, young_bytes, .. } = stats;
    let closed = if stats.closed { "closed" } else { "not closed: the next open recovers it" };
    out.line(format_args!("store       {}, {closed}", stats.store))?;
    out.line(format_args!("commits     through {end}, known to be durable through {watermark}"))?;
    out.line(format_args!(
        "log         {log_bytes} bytes of commits in {segments} segment(s), epoch {epoch}"
    ))?;
    out.line(format_args!(
        "young map   {young_versions} versions, {young_bytes} bytes, all above commit {checkpoint}"
    ))?;
    stats.keyspaces.iter().try_for_each(|it| print_keyspace(it, out))?;
    stats
        .damaged
        .iter()
        .try_for_each(|(name, why)| out.line(format_args!("{name}: damaged: {why}")))
}

fn print_keyspace(it: &KeyspaceJson, out: &mut Out) -> Result<(), Failure> {
    let KeyspaceJson { name, engine, through, edit, dead_bytes, .. } = it;
    let keys = it.keys.map(|keys| format!(", {keys} keys")).unwrap_or_default();
    out.line(format_args!("{name}: {engine}{keys}, through commit {through}, state {edit}"))?;
    for (kind, CountJson { count, bytes }) in &it.files {
        out.line(format_args!("  {kind:<14} {count}, {bytes} bytes"))?;
    }
    if !it.levels.is_empty() {
        let levels =
            it.levels.iter().map(|level| format!("{} ({} bytes)", level.count, level.bytes));
        let levels = levels.collect::<Vec<_>>().join(", ");
        out.line(format_args!("  tables a level {levels}"))?;
    }
    if let Some(PagesJson { used, free }) = it.pages {
        out.line(format_args!("  pages          {used} in use, {free} free"))?;
    }
    if let Some(space) = it.space_amplification {
        out.line(format_args!(
            "  space          {dead_bytes} bytes are dead: {space:.2} bytes for each that lives"
        ))?;
    }
    Ok(())
}
