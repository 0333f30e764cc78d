//! A long campaign over the store: stories by chance, cut everywhere, until the time is up.
//!
//! `store_campaign [--engine E] [--seed S] [--minutes M] [--resume FILE]`: begins at the seed, tells
//! story after story, compares each with the model, cuts it under every model of the simulation, and
//! goes on after the cut. Progress goes to stderr, the counts to stdout. With `--resume` the seed to
//! go on from is kept in FILE. Exits 1 at the first violation, with the story made small.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program")]
#![expect(clippy::disallowed_methods, reason = "keeps its place in a file of its own")]

use std::path::PathBuf;
use std::process::ExitCode;

use ondisk::EngineKind;
use ondisk_sim::{Model, Tally};
use testkit::store::cut::{Depth, explore};
use testkit::store::generate::{For, story};
use testkit::store::shapes::shapes;
use testkit::store::shrink::shrink;
use testkit::store::story::{SMALL, Story, TIGHT};
use testkit::store::world::{Calls, Looks, Setup, World};

const USAGE: &str = "usage: store_campaign [--engine bitcask|lsm|btree|all] [--seed S] \
                     [--minutes M] [--resume FILE]";

struct Campaign {
    engines: Vec<EngineKind>,
    seed: u64,
    minutes: f64,
    resume: Option<PathBuf>,
}

#[derive(Default)]
struct Counts {
    stories: u64,
    events: u64,
    states: u64,
    recoveries: u64,
}

fn arguments() -> Option<Campaign> {
    let engines = EngineKind::ALL.to_vec();
    let mut campaign = Campaign { engines, seed: 1, minutes: 10.0, resume: None };
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = arguments.next()?;
        match &name[..] {
            "--engine" if value == "all" => {}
            "--engine" => campaign.engines = vec![value.parse().ok()?],
            "--seed" => campaign.seed = value.parse().ok()?,
            "--minutes" => campaign.minutes = value.parse().ok()?,
            "--resume" => campaign.resume = Some(value.into()),
            _ => return None,
        }
    }
    if let Some(text) = campaign.resume.as_ref().and_then(|path| std::fs::read_to_string(path).ok())
    {
        campaign.seed = text.trim().parse().ok()?;
    }
    Some(campaign)
}

fn compared(story: &Story) -> Result<(), String> {
    let setup = Setup { budgets: story.budgets, broken: None };
    World::new(setup, Looks::Always, Calls::Succeed).tell(story)
}

fn cut(story: &Story, seed: u64, tally: &Tally) -> Result<(), String> {
    let depth = Depth { seed, ..Depth::default() };
    explore(story, None, &Model::ALL, depth, tally).map(drop)
}

/// Says what is wrong with a story, and with the smallest one that is wrong too.
fn violation(story: &Story, why: &str, fails: impl Fn(&Story) -> Result<(), String>) -> ExitCode {
    println!("violation: {why}\n{story}");
    eprintln!("making it small");
    let small = shrink(story, &mut |story| fails(story).is_err());
    let why = fails(&small).err().unwrap_or_default();
    println!("made small: {why}\n{small}");
    ExitCode::from(1)
}

/// The stories of one seed.
fn tell(engine: EngineKind, seed: u64, counts: &mut Counts) -> Result<(), ExitCode> {
    let long = story(engine, seed, 120, For::Model, SMALL);
    compared(&long).map_err(|why| violation(&long, &why, compared))?;
    let tally = Tally::new();
    let mut cuts = vec![story(engine, seed, 30, For::Cuts, TIGHT)];
    let shapes = shapes(engine, seed % 100);
    let nth = usize::try_from(seed).unwrap_or(0) % shapes.len();
    cuts.extend(shapes.into_iter().nth(nth));
    for story in cuts {
        cut(&story, seed, &tally)
            .map_err(|why| violation(&story, &why, |story| cut(story, seed, &Tally::new())))?;
        counts.events += story.events.len() as u64;
    }
    counts.stories += 3;
    counts.events += long.events.len() as u64;
    counts.states += tally.states();
    counts.recoveries += tally.recoveries();
    Ok(())
}

fn main() -> ExitCode {
    let Some(campaign) = arguments() else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    let clock = testkit::clock();
    let (mut seed, mut counts, mut told) = (campaign.seed, Counts::default(), 0.0);
    loop {
        for engine in &campaign.engines {
            if let Err(code) = tell(*engine, seed, &mut counts) {
                println!("engine {engine}, seed {seed}");
                return code;
            }
        }
        seed += 1;
        if let Some(path) = &campaign.resume
            && let Err(error) = std::fs::write(path, format!("{seed}\n"))
        {
            eprintln!("{}: {error}", path.display());
            return ExitCode::from(2);
        }
        let now = clock();
        if now - told >= 1.0 {
            let Counts { stories, events, states, recoveries } = counts;
            eprintln!(
                "seed {}: {stories} stories, {events} events, {states} states, {recoveries} \
                 recoveries, {now:.0} s",
                seed - 1
            );
            told = now;
        }
        if now >= campaign.minutes * 60.0 {
            break;
        }
    }
    let names: Vec<&str> = campaign.engines.iter().map(|engine| engine.name()).collect();
    let Counts { stories, events, states, recoveries } = counts;
    println!(
        "{}: seeds {}..={}: {stories} stories, {events} events, {states} states (distinct within a \
         seed), {recoveries} recoveries, 0 violations, {:.0} s",
        names.join(", "),
        campaign.seed,
        seed - 1,
        clock()
    );
    ExitCode::SUCCESS
}
