//! What the layered machine leaves of each case: mounted as each row of ext4 says, and dead at
//! any moment from the script's end on.
//!
//! A grid has `*` for `+` where the machine leaves an outcome too. It need not leave all that a
//! model allows: a model speaks for every machine, and knows no time.

use std::collections::BTreeSet;
use std::time::Duration;

use ondisk_sim::machine::choice::{Choice, Chooser, First, Last, Seeded};
use ondisk_sim::machine::config::{DataMode, Ext4Options, FlushIs, Mount, Sabotage};
use ondisk_sim::machine::ids::Ns;
use ondisk_sim::machine::play::Stage;
use ondisk_sim::machine::{Config, Death, Play, Shot};
use ondisk_sim::ops::script::{Act, Place, Script, Step};
use ondisk_sim::{Image, MemFs, Model};

use crate::all;
use crate::case::{Case, Outcome, text_of};

/// The rows that the machine can be mounted as, by their place in a grid.
const MOUNTS: std::ops::RangeInclusive<usize> = 1..=5;
/// How long the machine goes on after the script: till all that is dirty is written and committed.
const AFTER: Ns = Ns(60_000_000_000);
/// Moments of a case that are looked at, about.
const MOMENTS: usize = 60;
/// Seeds for what a death leaves to chance, besides nothing and everything.
const SEEDS: u64 = 4;

/// Mount options that a row speaks for. To leave blocks as they were, `data=writeback` needs another
/// beside it.
fn mounts(model: &Model) -> Vec<Ext4Options> {
    let plain = Ext4Options::default();
    let writeback = Ext4Options { data: DataMode::Writeback, ..plain };
    match model.name {
        "ext4" => vec![plain],
        "ext4:journal" => vec![Ext4Options { data: DataMode::Journal, ..plain }],
        "ext4:nodelalloc" => vec![Ext4Options { delalloc: false, ..plain }],
        "ext4:dioread_lock" => vec![Ext4Options { dioread_lock: true, ..plain }],
        "ext4:writeback" => vec![
            writeback,
            Ext4Options { delalloc: false, ..writeback },
            Ext4Options { dioread_lock: true, ..writeback },
        ],
        other => panic!("{other} is no mount of ext4"),
    }
}

fn config(case: &Case, options: Ext4Options, sabotage: Option<Sabotage>) -> Config {
    let mut config = Config { sabotage, mount: Mount::Ext4(options), ..Config::default() };
    config.drive.torn = true;
    if case.lies {
        config.drive.flush = FlushIs::Lies;
    }
    config
}

/// The script up to its death, which comes later; each task begins when those before it are done,
/// since a case means its calls in the order in which they are written.
fn up_to_death(script: &Script) -> (Script, Option<Death>) {
    let mut script = script.clone();
    let death = match script.steps.last().map(|step| &step.act) {
        Some(Act::Die(death)) => Some(*death),
        _ => None,
    };
    script.steps.truncate(script.steps.len() - usize::from(death.is_some()));
    let mut tasks = Vec::new();
    let mut steps = Vec::new();
    for step in script.steps {
        if tasks.last() != Some(&step.task) {
            assert!(!tasks.contains(&step.task), "{:?}: a task goes on after another", step.place);
            let before = Duration::from_secs(tasks.len() as u64);
            if !tasks.is_empty() {
                // A place of its own: no word stands in front of the first column.
                let place = Place { column: 0, ..step.place };
                steps.push(Step { place, act: Act::Wait(before), ..step.clone() });
            }
            tasks.push(step.task.clone());
        }
        steps.push(step);
    }
    script.steps = steps;
    (script, death)
}

/// All that the machine is seen to leave.
fn found(case: &Case, config: Config) -> BTreeSet<Outcome> {
    let script = Script::parse(&case.script).unwrap();
    let (script, death) = up_to_death(&script);
    let mut play = Play::new(&script, &Stage { config, ..Stage::default() }).unwrap();
    let sim = play.sim().clone();
    sim.watch(false);
    play.finish();
    let told: Vec<String> = play.notes().iter().map(ToString::to_string).collect();
    assert_eq!(told, case.told, "{}", case.title);
    let Some(how @ (Death::Crash | Death::Cut)) = death else {
        return BTreeSet::from([outcome(case, &sim.shown())]);
    };
    let mut moments = vec![sim.shot()];
    sim.keep_shots(1);
    sim.run_until(sim.now() + AFTER);
    moments.extend(sim.shots());
    let every = moments.len().div_ceil(MOMENTS);
    let last = moments.len() - 1;
    let some = moments.iter().enumerate().filter(|(at, _)| at % every == 0 || *at == last);
    some.flat_map(|(_, moment)| left(case, moment, how)).collect()
}

/// Of a block that is being written the first sector alone is new; else all survives.
struct FirstSector;

impl Chooser for FirstSector {
    fn pick(&mut self, at: Choice, answers: u32) -> u32 {
        if matches!(at, Choice::Torn(_)) { 1 } else { answers - 1 }
    }
}

/// What a death at a moment leaves.
fn left(case: &Case, moment: &Shot, how: Death) -> Vec<Outcome> {
    let mut choosers: Vec<Box<dyn Chooser>> =
        vec![Box::new(First), Box::new(Last), Box::new(FirstSector)];
    choosers.extend((0..SEEDS).map(|seed| Box::new(Seeded::new(seed)) as Box<dyn Chooser>));
    let image = |mut chooser: Box<dyn Chooser>| moment.cut(how, &mut *chooser).image().unwrap();
    choosers.into_iter().map(|chooser| outcome(case, &image(chooser))).collect()
}

fn outcome(case: &Case, image: &Image) -> Outcome {
    case.outcome(&MemFs::from_image(image))
}

/// Outcomes that a row forbids and the machine leaves: there the row is too strong. (A write of its
/// own range alone may get its place before what is below it.)
const TOO_STRONG: [(&str, &str, &str); 0] = [];

/// What is wrong with the marks of a row of ext4: what the machine leaves and the row forbids, or
/// does not forbid any more; and whether it leaves of the rest what is said.
fn judge(case: &Case, at: usize, found: &BTreeSet<Outcome>) -> (Vec<String>, bool) {
    let may = |marks: &str| marks.as_bytes()[at] == b'+';
    let mut outside = Vec::new();
    for outcome in found {
        let row = case.rows.iter().find(|(_, row)| row == outcome);
        let forbidden = row.is_none_or(|(marks, _)| !may(marks));
        let what = (case.title.as_str(), Model::ALL[at].name, &*text_of(outcome));
        if forbidden != TOO_STRONG.contains(&what) {
            outside.push(format!("{what:?}, forbidden: {forbidden}"));
        }
    }
    let mut rows = case.rows.iter().zip(&case.seen);
    let same = rows.all(|((marks, outcome), seen)| {
        (seen.as_bytes()[at] == b'*') == (may(marks) && found.contains(outcome))
    });
    (outside, same)
}

fn of_row(case: &Case, at: usize, sabotage: Option<Sabotage>) -> BTreeSet<Outcome> {
    let mounts = mounts(&Model::ALL[at]).into_iter();
    mounts.flat_map(|options| found(case, config(case, options, sabotage))).collect()
}

/// The grid with the machine's marks as they were found.
fn grid(case: &Case, found: &[BTreeSet<Outcome>]) -> String {
    let line = |(marks, outcome): &(String, Outcome)| {
        let mut marks: Vec<char> = marks.chars().collect();
        for (at, found) in MOUNTS.zip(found) {
            if marks[at] == '+' && found.contains(outcome) {
                marks[at] = '*';
            }
        }
        format!("{}  {}\n", marks.into_iter().collect::<String>(), text_of(outcome))
    };
    format!("[{}]\n{}", case.title, case.rows.iter().map(line).collect::<String>())
}

#[test]
fn the_machine_leaves_what_its_row_allows_and_the_grids_say() {
    let (mut outside, mut other) = (Vec::new(), String::new());
    for case in all() {
        let found: Vec<_> = MOUNTS.map(|at| of_row(&case, at, None)).collect();
        let judged = MOUNTS.zip(&found).map(|(at, found)| judge(&case, at, found));
        let mut same = true;
        for (wrong, alike) in judged {
            same &= alike;
            outside.extend(wrong);
        }
        if !same {
            other += &grid(&case, &found);
        }
    }
    assert!(outside.is_empty() && other.is_empty(), "outside: {outside:#?}\notherwise:\n{other}");
}

/// A machine with one rule less leaves something that its row forbids.
#[test]
fn a_planted_mistake_of_the_machine_is_noticed() {
    let cases = all();
    let at = |name: &str| Model::ALL.iter().position(|model| model.name == name).unwrap();
    for (mistake, row) in [
        (Sabotage::FsyncWithoutCommit, "ext4"),
        (Sabotage::FlushForgetsCache, "ext4"),
        (Sabotage::FuaAckedFromCache, "ext4"),
        (Sabotage::OrderedDataDropped, "ext4:dioread_lock"),
        (Sabotage::DsyncSyncsNothing, "ext4"),
        (Sabotage::TailNotZeroed, "ext4"),
    ] {
        let at = at(row);
        let told = cases.iter().any(|case| {
            let found = std::panic::catch_unwind(|| of_row(case, at, Some(mistake)));
            found.is_err() || found.is_ok_and(|found| !judge(case, at, &found).0.is_empty())
        });
        assert!(told, "{mistake:?} under {row}: no case tells");
    }
}
