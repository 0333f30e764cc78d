//! ondisk beside other stores, in one run: `README.md` says what is compared, and how.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program")]

mod peers;
mod phases;
mod records;
mod report;
mod store;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;

use peers::{Cache, PEERS, Peer};
use phases::Plan;
use records::{BATCH, Random, Records};
use report::Figures;
use store::{KEY, Result, VALUE};

/// Measures ondisk beside other stores: load, reads, scans, durable commits, disk size.
#[derive(Debug, Parser)]
struct Options {
    /// How many records are loaded.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(BATCH..))]
    records: u64,

    /// Which stores, by name and with commas between them; all that were built in by default.
    #[arg(long, value_delimiter = ',', value_name = "A,B", value_parser = peer)]
    engines: Vec<Peer>,

    /// How long each phase lasts, but for the load.
    #[arg(long, default_value_t = 3.0, value_parser = seconds)]
    seconds: f64,

    /// How often everything is done; the stores take turns.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..))]
    repeats: u64,

    /// For keys, values and what is drawn.
    #[arg(long, default_value_t = 1)]
    seed: u64,

    /// MiB of cache for each store that has one of its own.
    #[arg(long, default_value_t = 256)]
    cache: u64,

    /// A directory on the disk that is measured; by default the one for temporary files.
    #[arg(long)]
    dir: Option<PathBuf>,

    /// Prints all figures of all repetitions as JSON.
    #[arg(long)]
    json: bool,

    /// Prints the medians as tables: what it does when nothing is said.
    #[arg(long)]
    markdown: bool,
}

fn peer(name: &str) -> std::result::Result<Peer, String> {
    let known = || PEERS.iter().map(|it| it.name).collect::<Vec<_>>().join(", ");
    let found = PEERS.iter().find(|it| it.name == name);
    found.copied().ok_or_else(|| format!("the stores are {}", known()))
}

fn seconds(text: &str) -> std::result::Result<f64, String> {
    let seconds = text.parse().ok().filter(|it| (0.01..=3600.0).contains(it));
    seconds.ok_or_else(|| "from 0.01 to 3600".to_owned())
}

fn main() -> ExitCode {
    let options = Options::parse();
    match run(&options) {
        Ok(figures) => {
            print(&options, &figures);
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// All stores in turns, as often as is asked for.
fn run(options: &Options) -> Result<Vec<Figures>> {
    let peers = if options.engines.is_empty() { PEERS } else { &options.engines[..] };
    let parent = options.dir.clone().unwrap_or_else(std::env::temp_dir);
    let records = Records::new(options.seed, options.records);
    let mut all: Vec<Figures> =
        peers.iter().map(|it| Figures { name: it.name, ..Figures::default() }).collect();
    let mut random = Random::new(options.seed);
    let clock = Instant::now();
    for turn in 1..=options.repeats {
        // The same draws for all stores of a turn.
        let seed = random.next();
        for (peer, figures) in peers.iter().zip(&mut all) {
            let dir = tempfile::Builder::new().prefix("ondisk-bench-").tempdir_in(&parent)?;
            let time = Duration::from_secs_f64(options.seconds);
            let plan = Plan { records, time, cache: Cache(options.cache << 20), seed };
            let say = |text: &str| {
                let (time, turns) = (clock.elapsed().as_secs(), options.repeats);
                eprintln!("{time:>4} s  {turn}/{turns}  {:<15} {text}", peer.name);
            };
            let run = phases::measure(peer, dir.path(), &plan, &say);
            figures.runs.push(run.map_err(|error| format!("{}: {error}", peer.name))?);
            dir.close()?;
        }
    }
    Ok(all)
}

fn print(options: &Options, figures: &[Figures]) {
    let Options { records, seconds, repeats, seed, cache, .. } = options;
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    if options.markdown || !options.json {
        println!(
            "{records} records of {KEY} + {VALUE} bytes, {cache} MiB of cache, {cores} cores, seed \
             {seed}: medians of {repeats}, {seconds} s a phase.\n"
        );
        print!("{}", report::markdown(figures));
    }
    if options.json {
        let run = serde_json::json!({
            "records": records, "key_bytes": KEY, "value_bytes": VALUE, "cache_mib": cache,
            "seconds": seconds, "repeats": repeats, "seed": seed, "cores": cores,
        });
        println!("{:#}", report::json(figures, run));
    }
}
