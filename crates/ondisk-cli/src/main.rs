//! The binary `ondisk`: is it on disk?
//!
//! Invariant: this file parses, calls one command, says why it failed, and exits; one file a
//! command, whose doc comment is its help text. Results go to standard output, talk to standard
//! error, and the exit code says which of the two to read.
//!
//! Knows nothing of how a store, a log or a simulation works inside.

mod argument;
mod backup;
mod check;
mod compact;
mod delete;
mod demo;
mod dump;
mod durability;
mod escape;
mod exit;
mod get;
mod help;
mod keyspaces;
mod load;
mod out;
mod page;
mod play;
mod probe;
mod put;
mod restore;
mod salvage;
mod scan;
mod sim;
mod stats;
mod table;

use std::process::ExitCode;

use clap::{FromArgMatches as _, Parser, Subcommand};

use crate::exit::{Exit, Failure};

/// Is it on disk?
#[derive(Debug, Parser)]
#[command(name = "ondisk", version, max_term_width = 80)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Put(put::Args),
    Get(get::Args),
    Delete(delete::Args),
    Scan(scan::Args),
    Load(load::Args),
    Durability(durability::Args),
    Check(check::Args),
    Salvage(salvage::Args),
    Stats(stats::Args),
    Keyspaces(keyspaces::Args),
    Compact(compact::Args),
    Backup(backup::Args),
    Restore(restore::Args),
    Dump(dump::Args),
    Demo(demo::Args),
    Sim(sim::Args),
    Play(play::Args),
    Probe(probe::Args),
}

fn main() -> ExitCode {
    let matches = help::command().get_matches();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    match run(cli.command) {
        Ok(code) => code,
        Err(failure) if failure.is_broken_pipe() => Exit::Fine.into(),
        Err(failure) => {
            out::talk(format_args!("{}{}", failure.prefix(), failure.sentence()));
            failure.exit().into()
        }
    }
}

fn run(command: Command) -> Result<ExitCode, Failure> {
    let exit = match command {
        Command::Put(args) => put::run(&args)?,
        Command::Get(args) => get::run(&args)?,
        Command::Delete(args) => delete::run(&args)?,
        Command::Scan(args) => scan::run(&args)?,
        Command::Load(args) => load::run(&args)?,
        Command::Durability(args) => durability::run(&args)?,
        Command::Check(args) => check::run(&args)?,
        Command::Salvage(args) => salvage::run(&args)?,
        Command::Stats(args) => stats::run(&args)?,
        Command::Keyspaces(args) => keyspaces::run(&args)?,
        Command::Compact(args) => compact::run(&args)?,
        Command::Backup(args) => backup::run(&args)?,
        Command::Restore(args) => restore::run(&args)?,
        Command::Dump(args) => dump::run(&args)?,
        Command::Demo(args) => demo::run(&args)?,
        Command::Sim(args) => sim::run(&args)?,
        Command::Play(args) => play::run(&args)?,
        Command::Probe(args) => return Ok(probe::run(&args)),
    };
    Ok(exit.into())
}
