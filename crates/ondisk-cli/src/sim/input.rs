//! A script from a file or from standard input, and its errors at their place.
//!
//! Invariant: no more of an input is read than a script may be long, and every error names the
//! file, a line and a column, both counted from 1.

use std::io::{self, Read};
use std::path::Path;

use ondisk_sim::ops::script::{Place, RunError, Script, Stage, Step};

use crate::exit::Failure;

/// The most of an error's words that is printed: what was found may be as long as the input.
const WORDS: usize = 300;

/// The text of a script and where it is from.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) name: String,
    pub(crate) text: String,
}

impl Source {
    /// An error at a place.
    pub(crate) fn wrong(&self, place: Place, what: &str) -> Failure {
        wrong(&self.name, place, what)
    }
}

fn wrong(name: &str, place: Place, what: &str) -> Failure {
    let short = what.char_indices().nth(WORDS).map_or(what, |(end, _)| &what[..end]);
    let cut = if short.len() < what.len() { "…" } else { "" };
    let Place { line, column } = place;
    Failure::Script {
        file: name.to_owned(),
        line: line.max(1),
        column: column.max(1),
        what: format!("{short}{cut}"),
    }
}

const START: Place = Place { line: 1, column: 1 };

/// Reads a script's text.
pub(crate) fn read(path: &Path) -> Result<Source, Failure> {
    let mut input = Input::open(path)?;
    input.fill(SCRIPT)?;
    input.text()
}

/// One byte more than a script may have, so that the parser sees that there is too much.
pub(crate) const SCRIPT: u64 = Script::TEXT_LIMIT as u64 + 1;

/// An input that is being read.
pub(crate) struct Input {
    name: String,
    from: Box<dyn Read>,
    /// What was read of it.
    pub(crate) bytes: Vec<u8>,
}

impl Input {
    /// Opens a file, or standard input for `-`.
    pub(crate) fn open(path: &Path) -> Result<Self, Failure> {
        let name = path.display().to_string();
        let from: io::Result<Box<dyn Read>> = match path.to_str() {
            Some("-") => Ok(Box::new(io::stdin())),
            _ => open(path).map(|file| Box::new(file) as Box<dyn Read>),
        };
        match from {
            Ok(from) => Ok(Self { name, from, bytes: Vec::new() }),
            Err(error) => Err(unread(&name, &error)),
        }
    }

    /// Reads on until so many bytes are there, or the input ends.
    pub(crate) fn fill(&mut self, limit: u64) -> Result<(), Failure> {
        let left = limit.saturating_sub(self.bytes.len() as u64);
        let read = self.from.as_mut().take(left).read_to_end(&mut self.bytes);
        read.map(drop).map_err(|error| unread(&self.name, &error))
    }

    /// What was read, as text.
    pub(crate) fn text(self) -> Result<Source, Failure> {
        let name = self.name;
        match String::from_utf8(self.bytes) {
            Ok(text) => Ok(Source { name, text }),
            // A character may have been cut in two by the limit: then the length is what is wrong.
            Err(error) if error.as_bytes().len() as u64 == SCRIPT => {
                let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
                Ok(Source { name, text })
            }
            Err(error) => {
                let good = error.utf8_error().valid_up_to();
                let before = String::from_utf8_lossy(&error.as_bytes()[..good]).into_owned();
                let what = "expected a text in UTF-8; in a string any byte is written as `\\xNN`";
                Err(wrong(&name, behind(&before), what))
            }
        }
    }
}

fn unread(name: &str, error: &io::Error) -> Failure {
    wrong(name, START, &format!("cannot be read: {error}"))
}

#[expect(clippy::disallowed_types, reason = "a script is no store: it is read as any text is")]
fn open(path: &Path) -> io::Result<std::fs::File> {
    std::fs::File::open(path)
}

/// The place behind a text.
fn behind(text: &str) -> Place {
    let line = text.matches('\n').count() + 1;
    let column = text.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Place { line: number(line), column: number(column) }
}

/// Parses it.
pub(crate) fn parse(source: &Source) -> Result<Script, Failure> {
    Script::parse(&source.text)
        .map_err(|error| source.wrong(error.place, &error.problem.to_string()))
}

/// Why a script cannot be carried out, at its place.
pub(crate) fn cannot_run(source: &Source, script: &Script, error: &RunError) -> Failure {
    let stage = match error {
        RunError::Steps { .. } | RunError::Bytes { .. } => largest(&script.steps).map(Stage::Step),
        RunError::Files { at }
        | RunError::Contents { at }
        | RunError::Dead { at, .. }
        | RunError::Name { at, .. } => Some(*at),
        _ => Some(Stage::Durable),
    };
    let told = error.to_string();
    let (place, what) = match stage {
        Some(stage @ Stage::Step(place)) => {
            (place, told.strip_prefix(&format!("{stage}: ")).unwrap_or(&told))
        }
        Some(Stage::Durable) => (durable(&source.text), told.as_str()),
        None => (START, told.as_str()),
    };
    source.wrong(place, what)
}

/// The step that runs for longest.
fn largest(steps: &[Step]) -> Option<Place> {
    let alone = |step: &&Step| Script { durable: Vec::new(), steps: vec![(*step).clone()] };
    let size = |step: &&Step| {
        let script = alone(step);
        script.run_len().max(script.run_bytes())
    };
    steps.iter().max_by_key(size).map(|step| step.place)
}

/// Where `durable` stands: it is the first word.
fn durable(text: &str) -> Place {
    let mut before = 0;
    for line in text.split_inclusive('\n') {
        if let Some(at) = line.find("durable").filter(|_| !line.trim_start().starts_with('#')) {
            return behind(&text[..before + at]);
        }
        before += line.len();
    }
    START
}
