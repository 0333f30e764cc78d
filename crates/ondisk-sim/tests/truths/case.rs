//! A case: a script, and what may be there after it under each model, as a grid.
//!
//! ```text
//! [1 A closed file is not a synced one]
//! # Close hands nothing to the disk.
//! open f create; write f "A"; flush f; close f
//! cut
//! ---
//! ++.++++.+  f = absent
//! ......+..  f = zeros 1
//! ```
//!
//! Behind `---` stands an outcome a line, in front of it a mark for each model in the order of
//! `Model::ALL`: `+` where a cut may leave it, `.` where it cannot. What is no line cannot be under
//! any model; and `*` for `+` where the layered machine, mounted so, leaves it. An outcome says of
//! some files what they are; `partial` is any content that no line of
//! the case has, `junk` one with bytes that nobody wrote. `> …` is something that the program was
//! told, `! lies` a drive that does not obey.

use std::collections::BTreeSet;

use ondisk_sim::ops::script::{Death, Drive, MayBe, Run, Script, Value};
use ondisk_sim::{Budget, Chooser, Crash, CrashFs, MemFs, Model, Question, Tally, Where};

/// How many states of a case are looked at under one model.
const STATES: u32 = 1000;

#[derive(Clone, Debug, Default)]
pub(crate) struct Case {
    pub(crate) title: String,
    /// What it shows, in sentences.
    pub(crate) remark: String,
    pub(crate) lies: bool,
    pub(crate) script: String,
    pub(crate) told: Vec<String>,
    /// Outcomes, each with the marks in front of it.
    pub(crate) rows: Vec<(String, Outcome)>,
    /// By row: the marks with those of the machine.
    pub(crate) seen: Vec<String>,
}

/// Of some files what they are, in the order of the case.
pub(crate) type Outcome = Vec<(String, String)>;

/// What was found under one model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) outcomes: BTreeSet<Outcome>,
    /// Whether every state was looked at.
    pub(crate) exhausted: bool,
}

/// All cases of a file.
pub(crate) fn cases(text: &str) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    let mut in_grid = false;
    for line in text.lines() {
        if let Some(title) = line.strip_prefix('[') {
            let title = title.strip_suffix(']').expect("a title ends with ]").to_owned();
            cases.push(Case { title, ..Case::default() });
            in_grid = false;
            continue;
        }
        let Some(case) = cases.last_mut() else { continue };
        match line.split_at_checked(2) {
            _ if line.is_empty() => {}
            _ if line == "---" => in_grid = true,
            Some(("# ", remark)) => {
                case.remark += if case.remark.is_empty() { "" } else { " " };
                case.remark += remark;
            }
            Some(("! ", "lies")) => case.lies = true,
            Some(("> ", told)) => case.told.push(told.to_owned()),
            _ if in_grid => {
                let (marks, outcome) = line.split_once("  ").expect("marks, then an outcome");
                case.rows.push((marks.replace('*', "+"), outcome_of(outcome)));
                case.seen.push(marks.to_owned());
            }
            _ => case.script += &format!("{line}\n"),
        }
    }
    cases
}

fn outcome_of(text: &str) -> Outcome {
    let part = |part: &str| {
        let (file, value) = part.split_once(" = ").expect("file = value");
        (file.to_owned(), value.to_owned())
    };
    text.split("; ").map(part).collect()
}

pub(crate) fn text_of(outcome: &Outcome) -> String {
    let parts = outcome.iter().map(|(file, value)| format!("{file} = {value}"));
    parts.collect::<Vec<_>>().join("; ")
}

impl Case {
    pub(crate) fn run(&self) -> Run {
        let drive = if self.lies { Drive::Lies } else { Drive::Honest };
        let script = Script::parse(&self.script);
        let script = script.unwrap_or_else(|error| panic!("{}: {error}", self.title));
        script.run(drive).unwrap_or_else(|error| panic!("{}: {error}", self.title))
    }

    /// The files that the case looks at.
    pub(crate) fn files(&self) -> Vec<&str> {
        let first = self.rows.first().unwrap_or_else(|| panic!("{}: no outcome", self.title));
        first.1.iter().map(|(file, _)| file.as_str()).collect()
    }

    /// The values that the lines give a file.
    fn values(&self, file: &str) -> BTreeSet<&str> {
        let values = self.rows.iter().flat_map(|(_, outcome)| outcome);
        values.filter(|(of, _)| of == file).map(|(_, value)| value.as_str()).collect()
    }

    /// What a model leaves of a run.
    pub(crate) fn found(&self, run: &Run, model: &Model) -> Found {
        match run.death() {
            Some(Death::Crash | Death::Cut) => self.cut(run, model),
            _ => self.live(run, model),
        }
    }

    fn live(&self, run: &Run, model: &Model) -> Found {
        let files = run.outcome(model, Budget::default()).files;
        let value = |name: &str| {
            let file = files.iter().find(|file| file.path.to_string() == name);
            file.expect("a file of the script").may_be.iter().map(MayBe::to_string).collect()
        };
        let outcome = self.files().iter().map(|name| ((*name).to_owned(), value(name))).collect();
        Found { outcomes: BTreeSet::from([outcome]), exhausted: true }
    }

    fn cut(&self, run: &Run, model: &Model) -> Found {
        let crash = Crash::new(model, run.history());
        let mut outcomes = BTreeSet::new();
        let mut look = |fs: &CrashFs| outcomes.insert(self.outcome(fs));
        let budget = Budget::per_cut(STATES);
        let report = crash.explore(Where::AtTheEnd, budget, &Tally::new(), &mut |fs| {
            look(fs);
            Ok(())
        });
        assert!(report.failure.is_none(), "{}: {report:?}", self.title);
        let exhausted = report.is_exhausted();
        if !exhausted {
            let cut = crash.at(crash.history().end);
            for content in [0, 1, 2, u32::MAX] {
                look(&cut.state(Box::new(Alike(content))));
            }
        }
        Found { outcomes, exhausted }
    }

    /// What the files are in one state.
    pub(crate) fn outcome(&self, fs: &MemFs) -> Outcome {
        let one = |file: &str| (file.to_owned(), value(fs, file, &self.values(file)));
        self.files().into_iter().map(one).collect()
    }

    /// The lines of the grid as they were found, those of the case first and in its order.
    pub(crate) fn grid(&self, found: &[Found]) -> Vec<(String, Outcome)> {
        let mut all: Vec<Outcome> = self.rows.iter().map(|(_, outcome)| outcome.clone()).collect();
        for outcome in found.iter().flat_map(|found| &found.outcomes) {
            if !all.contains(outcome) {
                all.push(outcome.clone());
            }
        }
        let marks = |outcome: &Outcome| {
            let mark = |found: &Found| if found.outcomes.contains(outcome) { '+' } else { '.' };
            found.iter().map(mark).collect()
        };
        all.into_iter().map(|outcome| (marks(&outcome), outcome)).collect()
    }
}

/// Decides for the newest names and lengths, and of all blocks for the same content: this one from
/// the oldest.
struct Alike(u32);

impl Chooser for Alike {
    fn pick(&mut self, question: Question, answers: u32) -> u32 {
        match question {
            Question::Torn { .. } => 0,
            Question::Name { .. } | Question::Len { .. } => answers - 1,
            Question::Block { .. } | Question::Sector { .. } => self.0.min(answers - 1),
        }
    }
}

/// What a file is in one state, in the words of a case that gives it these values.
fn value(fs: &MemFs, file: &str, values: &BTreeSet<&str>) -> String {
    let Ok(bytes) = fs.read(file) else {
        return if fs.look(file).is_some() { "a directory" } else { "absent" }.to_owned();
    };
    // Nobody writes such bytes in a case; in one sector or another they are what was there before.
    if bytes.iter().any(|byte| *byte >= 0x80) {
        return "junk".to_owned();
    }
    let exact = Value::of(&bytes).to_string();
    let lumped = values.contains("partial") && !values.contains(exact.as_str());
    if lumped { "partial".to_owned() } else { exact }
}
