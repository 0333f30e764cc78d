//! What a death leaves of each file of a run, under a model: a set, told in a script's own words.
//!
//! Invariant: everything in an [`Outcome`] was seen in a crash state that the model allows. It is
//! all there is only where it says so: a file too large to look at every state of it is told with
//! what was found.

use std::collections::BTreeSet;
use std::fmt;

use ondisk_fs::Kind;

use super::contents::Known;
use super::run::Expectation;
use super::sweep::sweep;
use super::{Death, Expected, RelPath, Run, Value};
use crate::ops::chooser::Newest;
use crate::ops::crash::{Crash, Cut};
use crate::ops::explore::Budget;
use crate::ops::history::{At, History};
use crate::ops::mem_fs::MemFs;
use crate::ops::model::{Model, STRICT};
use crate::ops::store::{BlockId, Bytes};
use crate::ops::tally::Tally;

/// The unit in which a block is torn, in bytes.
const SECTOR: usize = 512;

/// What a file may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MayBe {
    /// Not there.
    Absent,
    /// A directory.
    Dir,
    /// There, with a content that some call left; or with its length and, where its bytes are
    /// missing, zeros.
    Is(Vec<u8>),
    /// There, with a content that no call left, made of what calls wrote and of zeros.
    Partial,
    /// There, with bytes that nobody wrote.
    Junk,
}

/// The same, so that it sorts as it is told: what was there first comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Seen {
    Absent,
    Dir,
    Known(Known),
    Partial,
    Junk,
}

/// What one file may be after a death.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileOutcome {
    /// The file.
    pub path: RelPath,
    /// What it may be, in the order in which the run made it so.
    pub may_be: Vec<MayBe>,
    /// Whether every state was looked at; else there may be more.
    pub exhausted: bool,
}

/// An `expect` that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unmet {
    /// What was expected.
    pub expected: Expectation,
    /// What was found.
    pub found: FileOutcome,
}

/// What a death leaves of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The model; where nobody lost the page cache there is none.
    pub model: Option<Model>,
    /// Each file that the script names, in its order.
    pub files: Vec<FileOutcome>,
    /// Which of the files may be there together, where that does not follow from which may be
    /// there alone.
    pub together: Vec<Vec<RelPath>>,
    /// What the script expects and does not get.
    pub unmet: Vec<Unmet>,
}

impl Run {
    /// What the end of the story leaves under a model. A death of the process, or none, leaves
    /// what the page cache shows, whatever the model.
    #[must_use]
    pub fn outcome(&self, model: &Model, budget: Budget) -> Outcome {
        let mut outcome = match self.death() {
            Some(Death::Crash | Death::Cut) => {
                let crash = Crash::new(model, self.history());
                let end = crash.history().end;
                self.cut(&crash, end, budget)
            }
            Some(Death::Kill) | None => self.live(),
        };
        for expected in &self.expected {
            let found = outcome.files.iter().find(|file| file.path == expected.path);
            if let Some(found) = found.filter(|found| !found.is(&expected.may_be)) {
                let (expected, found) = (expected.clone(), found.clone());
                outcome.unmet.push(Unmet { expected, found });
            }
        }
        outcome
    }

    /// What a death at a place of the story leaves under a model. The history is given, since a drive
    /// that lies obeys in a crash and not in a cut: see [`Call::honest`](crate::Call::honest).
    #[must_use]
    pub fn outcome_at(
        &self,
        (death, at): (Death, At),
        history: History,
        model: &Model,
        budget: Budget,
    ) -> Outcome {
        if death != Death::Kill {
            return self.cut(&Crash::new(model, history), at, budget);
        }
        // What the page cache showed is the newest of everything.
        let crash = Crash::new(&STRICT, history);
        let fs = crash.at(at).state(Box::new(Newest));
        self.alive(&fs, crash.history())
    }

    fn live(&self) -> Outcome {
        self.alive(&self.kernel.fs, &self.history())
    }

    /// What a file system that runs shows.
    fn alive(&self, fs: &MemFs, history: &History) -> Outcome {
        let look = |path: &RelPath| {
            let seen = self.look(fs, history, path);
            self.told(path, &BTreeSet::from([seen]), true)
        };
        let files = self.files.iter().map(look).collect();
        Outcome { model: None, files, together: Vec::new(), unmet: Vec::new() }
    }

    fn cut(&self, crash: &Crash, at: At, budget: Budget) -> Outcome {
        let cut = crash.at(at);
        let one = |path: &RelPath| {
            let mut seen = BTreeSet::new();
            let mut look = |fs: &MemFs| seen.insert(self.look(fs, crash.history(), path));
            let report = cut.explore(budget, &Tally::new(), &mut |fs| {
                look(fs);
                Ok(())
            });
            if !report.is_exhausted() {
                sweep(&cut, &mut |fs| {
                    look(fs);
                });
            }
            self.told(path, &seen, report.is_exhausted())
        };
        let files = self.files.iter().map(one).collect();
        let together = self.together(&cut, budget);
        Outcome { model: Some(*crash.model()), files, together, unmet: Vec::new() }
    }

    /// What a file is in one state.
    fn look(&self, fs: &MemFs, history: &History, path: &RelPath) -> Seen {
        let path = path.to_path();
        match fs.look(path) {
            None => return Seen::Absent,
            Some(Kind::Dir) => return Seen::Dir,
            Some(Kind::File | Kind::Other) => {}
        }
        let bytes = fs.read(path).unwrap_or_default();
        match self.kernel.contents.known(&bytes) {
            Some(known) => Seen::Known(known),
            None if has_junk(&bytes, history.store.bytes(BlockId::JUNK)) => Seen::Junk,
            None => Seen::Partial,
        }
    }

    fn told(&self, path: &RelPath, seen: &BTreeSet<Seen>, exhausted: bool) -> FileOutcome {
        let may_be = seen.iter().map(|seen| match seen {
            Seen::Absent => MayBe::Absent,
            Seen::Dir => MayBe::Dir,
            Seen::Known(known) => MayBe::Is(self.kernel.contents.bytes(*known)),
            Seen::Partial => MayBe::Partial,
            Seen::Junk => MayBe::Junk,
        });
        FileOutcome { path: path.clone(), may_be: may_be.collect(), exhausted }
    }

    /// Which files may be there together; nothing where each is there or not for itself.
    fn together(&self, cut: &Cut<'_>, budget: Budget) -> Vec<Vec<RelPath>> {
        let mut all: BTreeSet<Vec<bool>> = BTreeSet::new();
        let report = cut.explore(budget, &Tally::new(), &mut |fs| {
            all.insert(self.files.iter().map(|path| fs.look(path.to_path()).is_some()).collect());
            Ok(())
        });
        let alone = (0..self.files.len()).map(|at| {
            let there: BTreeSet<_> = all.iter().map(|state| state.get(at)).collect();
            there.len()
        });
        let independent = alone.fold(1_usize, usize::saturating_mul);
        if !report.is_exhausted() || all.len() == independent {
            return Vec::new();
        }
        let named = |state: &Vec<bool>| {
            let there = self.files.iter().zip(state).filter(|(_, there)| **there);
            there.map(|(path, _)| path.clone()).collect()
        };
        all.iter().rev().map(named).collect()
    }

    /// The notes of the run, then what it leaves under each model, as a golden file has it.
    #[must_use]
    pub fn tell(&self, models: &[Model], budget: Budget) -> String {
        let (label, models) = match self.death() {
            Some(Death::Crash | Death::Cut) => (None, models),
            Some(Death::Kill) => (Some("kill"), models.get(..1).unwrap_or_default()),
            None => (Some("alive"), models.get(..1).unwrap_or_default()),
        };
        let mut told: String = self.notes().iter().map(|note| format!("{note}\n")).collect();
        if self.unnoted() > 0 {
            told += &format!("and {} calls more that failed or read\n", self.unnoted());
        }
        let label = |model: &Model| label.unwrap_or(model.name);
        let width = models.iter().map(|model| label(model).len()).max().unwrap_or(0);
        for model in models {
            let mut label = label(model);
            for line in self.outcome(model, budget).lines() {
                told += &format!("{label:width$}  {line}\n");
                label = "";
            }
        }
        told
    }
}

/// Whether a sector of these bytes holds what nobody wrote.
fn has_junk(bytes: &[u8], junk: &Bytes) -> bool {
    let junk = junk.chunks(SECTOR).cycle();
    bytes.chunks(SECTOR).zip(junk).any(|(sector, junk)| junk.starts_with(sector))
}

impl FileOutcome {
    /// Whether it may be exactly this.
    #[must_use]
    pub fn is(&self, expected: &[Expected]) -> bool {
        let all_expected = self.may_be.iter().all(|it| expected.iter().any(|one| it.is(one)));
        all_expected && expected.iter().all(|one| self.may_be.iter().any(|it| it.is(one)))
    }
}

impl MayBe {
    fn is(&self, expected: &Expected) -> bool {
        match (self, expected) {
            (Self::Absent, Expected::Absent)
            | (Self::Partial, Expected::Partial)
            | (Self::Junk, Expected::Junk) => true,
            (Self::Is(bytes), Expected::Is(value)) => *bytes == value.bytes(),
            _ => false,
        }
    }
}

impl Outcome {
    /// A line for each file, then what is together and what is unmet.
    fn lines(&self) -> Vec<String> {
        let mut lines: Vec<String> = self.files.iter().map(ToString::to_string).collect();
        if !self.together.is_empty() {
            let states = self.together.iter().map(|files| match files.as_slice() {
                [] => "none".to_owned(),
                files => list(files, " + "),
            });
            lines.push(format!("there: {}", states.collect::<Vec<_>>().join(" | ")));
        }
        lines.extend(self.unmet.iter().map(ToString::to_string));
        lines
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines().iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

impl fmt::Display for FileOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} = {}", self.path, list(&self.may_be, " | "))?;
        f.write_str(if self.exhausted { "" } else { " | …" })
    }
}

impl fmt::Display for Unmet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { expected, found } = self;
        let may_be = list(&expected.may_be, " | ");
        write!(f, "line {}: expected {} = {may_be}; found {found}", expected.place.line, found.path)
    }
}

impl fmt::Display for MayBe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => f.write_str("absent"),
            Self::Dir => f.write_str("a directory"),
            Self::Is(bytes) => f.write_str(&shortly(bytes)),
            Self::Partial => f.write_str("partial"),
            Self::Junk => f.write_str("junk"),
        }
    }
}

/// Bytes as a value; of a long one its beginning and its length.
pub(super) fn shortly(bytes: &[u8]) -> String {
    const LONG: usize = 80;
    let text = Value::of(bytes).to_string();
    match text.char_indices().nth(LONG) {
        Some((end, _)) => format!("{}… ({} bytes)", &text[..end], bytes.len()),
        None => text,
    }
}

fn list<T: ToString>(items: &[T], between: &str) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(between)
}
