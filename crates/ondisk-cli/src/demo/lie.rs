//! Act 1, *the lie*: the program that everybody copies, on the simulated machine.
//!
//! Invariant: what is said to be there was found there. The program runs on the layered machine, and
//! the record is looked for in every state that the death may leave of this run, under the model of
//! POSIX and under that of ext4, and in what the machine itself leaves, which ext4 must allow.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use ondisk_sim::machine::choice::{Chooser, First, Last, Seeded};
use ondisk_sim::machine::config::FlushIs;
use ondisk_sim::machine::ids::Ns;
use ondisk_sim::machine::play::Stage;
use ondisk_sim::machine::{Death, Play};
use ondisk_sim::model::{EXT4, POSIX};
use ondisk_sim::ops::script::Script;
use ondisk_sim::{Budget, Crash, History, Image, Model, Tally};
use serde::Serialize;

use crate::exit::Failure;
use crate::page::Scene;
use crate::sim;
use crate::sim::config::Config;
use crate::sim::input::Source;

#[cfg(test)]
mod tests;

/// What a reader finds where the record should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum There {
    /// No file.
    Gone,
    /// A file without a byte.
    Empty,
    /// A file as long as the record, and zeros in it.
    Zeros,
    /// A file with what nobody wrote to it.
    Junk,
    /// The record.
    Whole,
}

impl There {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Gone => "gone",
            Self::Empty => "empty",
            Self::Zeros => "zeros",
            Self::Junk => "junk",
            Self::Whole => "whole",
        }
    }
}

/// One thing that may be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct Outcome {
    pub(crate) there: There,
    /// Whether ext4, as it is by default, leaves it too, and not POSIX alone.
    pub(crate) ext4: bool,
    /// Whether the machine, an ext4 as it is by default, was seen to leave it, in this second or in
    /// the minute after.
    pub(crate) machine: bool,
}

/// One variant of the program, and what each death may leave of its record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Lie {
    /// The last thing that it does before it prints "recorded".
    pub(crate) program: &'static str,
    /// The process dies.
    pub(crate) kill: Vec<Outcome>,
    /// The kernel dies.
    pub(crate) crash: Vec<Outcome>,
    /// The power goes.
    pub(crate) cut: Vec<Outcome>,
}

/// How far the program goes before it says that it has recorded. Each does what those before do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Until {
    Write,
    Flush,
    Close,
    Fsync,
    FsyncDir,
}

const RECORD: &[u8] = b"paid 100 to Ada";
const FILE: &str = "ledger";
/// How long the machine goes on before it dies, at most.
const AFTER: Ns = Ns(60_000_000_000);
/// Seeds for what a death leaves to chance, besides nothing and everything.
const SEEDS: u64 = 6;

/// The act: each variant, killed, crashed and cut.
pub(crate) fn tell(seed: u64) -> Result<Vec<Lie>, Failure> {
    let variants = [
        ("write", Until::Write, FlushIs::Honest),
        ("+ flush", Until::Flush, FlushIs::Honest),
        ("+ close", Until::Close, FlushIs::Honest),
        ("+ fsync", Until::Fsync, FlushIs::Honest),
        ("+ fsync dir", Until::FsyncDir, FlushIs::Honest),
        ("  drive lies", Until::FsyncDir, FlushIs::Lies),
    ];
    let told = variants.map(|(name, until, flush)| lie(name, &script(until), flush, seed));
    told.into_iter().collect::<Result<_, _>>().map_err(Failure::Simulated)
}

/// Writes the timeline of the whole program, down to the flash, and of the cut that it survives.
pub(crate) fn write_timeline(seed: u64, to: &Path) -> Result<(), Failure> {
    sim::write_timeline("demo", &format!("{}cut\n", script(Until::FsyncDir)), seed, to)
}

/// The whole program and the machine that it runs on, to be played: each row of the act but the last
/// is a moment of it.
pub(crate) fn scene(seed: u64) -> Scene {
    let source = Source { name: "the lie".to_owned(), text: script(Until::FsyncDir) };
    Scene::script(&source, &Config::plain(seed), None)
}

/// The program.
fn script(until: Until) -> String {
    let steps = [
        (Until::Write, "open ledger create excl; write ledger \"paid 100 to Ada\""),
        (Until::Flush, "flush ledger"),
        (Until::Fsync, "fsync ledger"),
        (Until::Close, "close ledger"),
        (Until::FsyncDir, "fsyncdir ."),
        (Until::Write, "ack \"recorded\""),
    ];
    let done = steps.into_iter().filter(|(step, _)| *step <= until);
    done.map(|(_, words)| format!("{words}\n")).collect()
}

fn lie(program: &'static str, script: &str, flush: FlushIs, seed: u64) -> io::Result<Lie> {
    let mut play = play(script, flush, seed)?;
    play.finish();
    let mut killed = play_on(script, "kill", flush, seed)?;
    killed.finish();
    let there = look(&killed.end().map_err(io::Error::other)?);
    // A kernel that crashes takes what it has not given to the drive; what the drive has in its
    // cache it keeps, as long as it has power. So to a crash, every drive is an honest one.
    let honest = play.history();
    let mut told = play.history();
    told.calls.iter_mut().for_each(|call| call.honest = flush == FlushIs::Honest);
    let [crashed, cut] = left(&play)?;
    Ok(Lie {
        program,
        kill: vec![Outcome { there, ext4: true, machine: true }],
        crash: outcomes(honest, &crashed)?,
        cut: outcomes(told, &cut)?,
    })
}

fn play_on(script: &str, last: &str, flush: FlushIs, seed: u64) -> io::Result<Play> {
    play(&format!("{script}{last}\n"), flush, seed)
}

/// A program on its machine, before its first step.
fn play(script: &str, flush: FlushIs, seed: u64) -> io::Result<Play> {
    let script = Script::parse(script).map_err(io::Error::other)?;
    let mut stage = Stage { seed, ..Stage::default() };
    stage.config.drive.flush = flush;
    Play::new(&script, &stage).map_err(io::Error::other)
}

/// What the machine leaves when it dies at the end of the program or in the minute after: when the
/// kernel crashes, and when the power goes.
fn left(play: &Play) -> io::Result<[BTreeSet<There>; 2]> {
    let sim = play.sim();
    sim.watch(false);
    let mut moments = vec![sim.shot()];
    sim.keep_shots(1);
    sim.run_until(sim.now() + AFTER);
    moments.extend(sim.shots());
    let mut left = [const { BTreeSet::new() }; 2];
    for (how, found) in [Death::Crash, Death::Cut].into_iter().zip(&mut left) {
        for moment in &moments {
            let mut choosers: Vec<Box<dyn Chooser>> = vec![Box::new(First), Box::new(Last)];
            choosers.extend((0..SEEDS).map(|nth| Box::new(Seeded::new(nth)) as Box<dyn Chooser>));
            for mut chooser in choosers {
                let mut media = moment.cut(how, &mut *chooser);
                found.insert(look(&media.image().map_err(io::Error::other)?));
            }
        }
    }
    Ok(left)
}

/// What a death may leave: all of POSIX, which of it ext4 does, and which the machine did.
fn outcomes(history: History, machine: &BTreeSet<There>) -> io::Result<Vec<Outcome>> {
    let (posix, ext4) = (may_be(&POSIX, history.clone())?, may_be(&EXT4, history)?);
    if let Some(there) = machine.difference(&ext4).next() {
        let what = format!("the machine left {}, which ext4 does not", there.word());
        return Err(io::Error::other(what));
    }
    let one = |there: &There| {
        let (ext4, machine) = (ext4.contains(there), machine.contains(there));
        Outcome { there: *there, ext4, machine }
    };
    Ok(posix.union(&ext4).map(one).collect())
}

/// What may be there under a model: every state is looked at.
fn may_be(model: &Model, history: History) -> io::Result<BTreeSet<There>> {
    let end = history.end;
    let crash = Crash::new(model, history);
    let mut found = BTreeSet::new();
    let report = crash.at(end).explore(Budget::default(), &Tally::new(), &mut |state| {
        found.insert(look(&state.image()));
        Ok(())
    });
    if report.is_exhausted() {
        return Ok(found);
    }
    Err(io::Error::other(format!("not every state was looked at: {report}")))
}

fn look(image: &Image) -> There {
    match image.bytes(FILE) {
        None => There::Gone,
        Some([]) => There::Empty,
        Some(RECORD) => There::Whole,
        Some(bytes) if bytes.iter().all(|&byte| byte == 0) => There::Zeros,
        Some(_) => There::Junk,
    }
}
