//! How large a script's files may be here: every look at a moment reads all of them.
//!
//! Invariant: a script that passes needs memory in proportion to [`BYTES`], whatever it calls.

use ondisk_sim::ops::script::{Act, Call, Death, RunError, Script, Setup, Stage, Step, Value};

use crate::request::Refused;

/// How many bytes a script may write, and how long its files may be together.
pub(crate) const BYTES: u64 = 16 << 20;
/// The most records that are followed.
pub(crate) const RECORDS: usize = 64;
/// The most acknowledgements that are told.
pub(crate) const ACKS: usize = 1000;
/// The most files that are told of behind a death.
pub(crate) const FILES: usize = 24;
/// The most steps of the machine in a run, those without an event included.
pub(crate) const TURNS: u32 = 4_000_000;

/// Refuses what is too large.
pub(crate) fn check(script: &Script) -> Result<(), Refused> {
    let mut sum = 0_u64;
    let mut add = |place: (u32, u32), len: u64| {
        sum = sum.saturating_add(len);
        if sum <= BYTES {
            return Ok(());
        }
        let what = format!("the files are longer than {BYTES} bytes in all: the page plays less");
        Err(Refused::at(place, what))
    };
    for setup in &script.durable {
        let len = match setup {
            Setup::File { value, .. } => value.len(),
            Setup::Call(call) => reach(call),
        };
        add((1, 1), len)?;
    }
    steps(&script.steps, &mut add)?;
    if script.run_bytes() > BYTES {
        return Err(Refused::new(format!("the script writes more than {BYTES} bytes")));
    }
    Ok(())
}

/// Refuses what is called after a machine has died.
pub(crate) fn check_alive(script: &Script) -> Result<(), RunError> {
    alive(&script.steps, &mut None)
}

fn alive(all: &[Step], dead: &mut Option<Death>) -> Result<(), RunError> {
    for step in all {
        match (&step.act, *dead) {
            (Act::Expect { .. }, _) => {}
            (Act::Repeat { times, steps }, _) => {
                // What is said of the second time holds of all others.
                (0..(*times).min(2)).try_for_each(|_| alive(steps, dead))?;
            }
            (_, Some(death)) => return Err(RunError::Dead { at: Stage::Step(step.place), death }),
            (Act::Die(death @ (Death::Crash | Death::Cut)), None) => *dead = Some(*death),
            _ => {}
        }
    }
    Ok(())
}

type Add<'a> = dyn FnMut((u32, u32), u64) -> Result<(), Refused> + 'a;

fn steps(all: &[Step], add: &mut Add<'_>) -> Result<(), Refused> {
    all.iter().try_for_each(|step| match &step.act {
        Act::Call(call) => add((step.place.line, step.place.column), reach(call)),
        Act::Repeat { steps: inner, .. } => steps(inner, add),
        _ => Ok(()),
    })
}

/// How far a call makes a file reach, beside the bytes that it appends.
fn reach(call: &Call) -> u64 {
    let end = |value: &Value, at: u64| at.saturating_add(value.len());
    match call {
        Call::Write { value, at, .. } => end(value, at.unwrap_or(0)),
        Call::Pwrite { value, at, .. } => end(value, *at),
        Call::SetLen(_, len) | Call::Allocate(_, len) => *len,
        _ => 0,
    }
}

/// The files that a script names, in its order.
pub(crate) fn files(script: &Script) -> Vec<String> {
    let mut all = Vec::new();
    let mut name = |bytes: &[u8]| {
        let name = String::from_utf8_lossy(bytes).into_owned();
        if !all.contains(&name) {
            all.push(name);
        }
    };
    for setup in &script.durable {
        match setup {
            Setup::File { path, .. } => name(path.as_bytes()),
            Setup::Call(call) => named(call, &mut name),
        }
    }
    named_by(&script.steps, &mut name);
    all
}

fn named_by(all: &[Step], name: &mut dyn FnMut(&[u8])) {
    for step in all {
        match &step.act {
            Act::Call(call) => named(call, name),
            Act::Ack { files, .. } => files.iter().for_each(|file| name(file.as_bytes())),
            Act::Expect { path, .. } => name(path.as_bytes()),
            Act::Repeat { steps, .. } => named_by(steps, name),
            _ => {}
        }
    }
}

fn named(call: &Call, name: &mut dyn FnMut(&[u8])) {
    match call {
        Call::Open { path, .. }
        | Call::Write { path, .. }
        | Call::Pwrite { path, .. }
        | Call::SetLen(path, _)
        | Call::Allocate(path, _)
        | Call::Remove(path)
        | Call::Symlink(_, path) => name(path.as_bytes()),
        Call::Link(from, to) | Call::Rename(from, to) | Call::Exchange(from, to) => {
            name(from.as_bytes());
            name(to.as_bytes());
        }
        _ => {}
    }
}
