//! `ondisk sim`: a script, the machine that it runs on, and what a death at any moment takes.
//!
//! Invariant: all that is said of a loss is asked of the simulation; nothing here knows what a
//! file system does. What ran, and on which level, is said with every result.

pub(crate) mod config;
mod deaths;
mod events;
pub(crate) mod input;
mod judge;
mod names;
mod picture;
mod played;
mod screen;
mod step;
mod wrap;

use std::path::{Path, PathBuf};

use ondisk_player::Moment;
use ondisk_sim::Model;
use ondisk_sim::machine::play::Stage;
use ondisk_sim::ops::script::Script;

use self::config::{Config, When, word};
use self::input::Source;
use self::judge::{Death, OnMachine, Told};
use self::played::Played;
use crate::exit::{Exit, Failure};
use crate::out::{Out, Paint};
use crate::page::{self, Scene};

/// Run a script and see what a kill, a crash or a power cut takes.
///
/// The script runs on a machine of six layers: the program's buffer, the VFS, the page cache, the file
/// system, the block layer and the drive. They are drawn as they are at the death's event, or at the
/// end.
///
/// A script is a story of calls, a line each: open, write, flush, fsync, rename, ack. An ack speaks
/// for every write before it in its task, or for the files that it names: each under its name and
/// with its content of that moment, what is still in the program's own buffer included. With
/// --cut all, each ack is judged: never, sometimes or always lost by a cut at any moment after it,
/// under each model, with the smallest loss that was found. A file that has grown since still holds
/// what was acknowledged; one that the program itself overwrote, renamed or removed since does not.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Models: posix xfs btrfs strict ext4 ext4:writeback ext4:journal ext4:dioread_lock ext4:nodelalloc

Example:
  ondisk sim examples/scripts/fsync.ondisk --cut all
  ondisk sim examples/scripts/fsync.ondisk --cut 40
  ondisk sim examples/scripts/fsync.ondisk --step

Exit codes: 0 the script ran, whatever it lost; 1 an `expect` of it does not hold; 2 it is no
script, or asks for what there is not.

Next: ondisk demo")]
pub(crate) struct Args {
    /// The script; - for standard input
    script: PathBuf,
    #[command(flatten)]
    config: Config,
    /// Cut the power at an event, or at all of them
    #[arg(long, value_name = "EVENT|all", group = "death")]
    cut: Option<When>,
    /// Crash the kernel there: the drive keeps what it was given
    #[arg(long, value_name = "EVENT|all", group = "death")]
    crash: Option<When>,
    /// Kill the process there: the page cache stays
    #[arg(long, value_name = "EVENT|all", group = "death")]
    kill: Option<When>,
    /// Judge by these models [default: all nine]
    #[arg(long, value_name = "NAME", value_delimiter = ',', value_parser = model)]
    model: Vec<Model>,
    /// Write all that moved, event by event, to a file (docs/format/timeline.md)
    #[arg(long, value_name = "FILE")]
    timeline: Option<PathBuf>,
    /// Write a page that plays the run; with layers it opens at the death's event
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Go through the run by key: each event, both ways, with the layers drawn
    #[arg(long, conflicts_with_all = ["json", "death"])]
    step: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl Args {
    /// The death that was asked for.
    fn death(&self) -> Option<Death> {
        let of = |how, when: Option<When>| when.map(|when| Death { how, when });
        of(config::Fatal::Cut, self.cut)
            .or(of(config::Fatal::Crash, self.crash))
            .or(of(config::Fatal::Kill, self.kill))
    }
}

/// A model by its name.
fn model(name: &str) -> Result<Model, String> {
    let names = || Model::ALL.map(|model| model.name).join(", ");
    Model::named(name).ok_or_else(|| format!("there is no such model: {}", names()))
}

pub(crate) fn run(args: &Args) -> Result<Exit, Failure> {
    if args.step {
        step::check_terminal()?;
    }
    let source = input::read(&args.script)?;
    let script = input::parse(&source)?;
    let played = played(args, &source, &script)?;
    let machine = played.as_ref().map(|(stage, played)| OnMachine {
        source: &source,
        script: &script,
        stage,
        played,
    });
    let asked = (&source, &script);
    let mut told = Told::of(asked, &args.config, &args.model, args.death(), machine.as_ref())?;
    if let Some(path) = &args.html {
        // Where nothing moves in layers, the page counts events otherwise.
        let moment = machine.as_ref().and(args.death()).and_then(moment);
        page::write(path, &Scene::script(&source, &args.config, moment).data())?;
    }
    let paint = Paint::for_stdout();
    if let Some(machine) = &machine {
        if args.step {
            step::run(machine, &told.named, paint)?;
            return Ok(Exit::Fine);
        }
        told.picture = machine.picture(args.death(), paint)?;
    }
    let mut out = Out::new();
    if args.json {
        out.json(&told)?;
    } else {
        out.bytes(screen::draw(&told, paint).as_bytes())?;
    }
    out.flush()?;
    Ok(if told.ok { Exit::Fine } else { Exit::Findings })
}

/// The moment of a death; none where each is one.
fn moment(death: Death) -> Option<Moment> {
    let When::Event(event) = death.when else { return None };
    let how = match death.how {
        config::Fatal::Cut => ondisk_player::Death::Cut,
        config::Fatal::Crash => ondisk_player::Death::Crash,
        config::Fatal::Kill => ondisk_player::Death::Kill,
    };
    Some(Moment { at: event.into(), death: Some(how) })
}

/// Says where a script is wrong, or why it cannot be carried out on this machine.
pub(crate) fn check(source: &Source, config: &Config) -> Result<(), Failure> {
    let script = input::parse(source)?;
    if let Some(stage) = config.stage() {
        played::begin(source, &script, &stage)?;
    }
    let run = script.run_as(config.script_drive(), config.profile);
    run.map(drop).map_err(|error| input::cannot_run(source, &script, &error))
}

/// The run on the machine, where there is one.
fn played(
    args: &Args,
    source: &Source,
    script: &Script,
) -> Result<Option<(Stage, Played)>, Failure> {
    let fs = args.config.fs;
    let Some(stage) = args.config.stage() else {
        let asked = [(args.timeline.is_some(), "--timeline"), (args.step, "--step")];
        return match asked.iter().find(|(given, _)| *given) {
            Some((_, option)) => Err(Failure::Asked(format!(
                "{option}: {} is a set of states, in which nothing moves",
                word(fs)
            ))),
            None => Ok(None),
        };
    };
    let asked = (&args.config, &stage);
    let played = Played::of(source, script, asked, args.timeline.as_deref())?;
    Ok(Some((stage, played)))
}

/// Writes the timeline of a script on the machine as it is by default.
pub(crate) fn write_timeline(name: &str, text: &str, seed: u64, to: &Path) -> Result<(), Failure> {
    let source = Source { name: name.to_owned(), text: text.to_owned() };
    let script = input::parse(&source)?;
    let config = Config::plain(seed);
    let stage = Stage { seed, ..Stage::default() };
    Played::of(&source, &script, (&config, &stage), Some(to)).map(drop)
}
