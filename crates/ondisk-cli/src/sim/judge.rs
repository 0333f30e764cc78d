//! What a run of a script comes to: the rungs, the verdicts, what may be there.
//!
//! Invariant: a verdict is given for each acknowledgement that the run made, under each model that
//! was asked for, and says on which level it was found.

use ondisk_sim::ops::script::{
    self, Death as ScriptDeath, Drive as ScriptDrive, FileOutcome, MayBe, RelPath, Run, Script,
};
use ondisk_sim::ops::verdict::{self, Claim, Held, Lost, Moments};
use ondisk_sim::{At, Budget, Crash, History, Model};
use serde::Serialize;

use super::config::{Config, Drive, Fatal, FileSystem, When, word};
use super::events::{self, Event, in_script_words};
use super::input::{Source, cannot_run};
use crate::exit::Failure;

/// A death that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Death {
    pub(crate) how: Fatal,
    pub(crate) when: When,
}

/// All that is told of a run; as JSON, schema 1.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Told {
    ondisk: &'static str,
    v: u32,
    pub(crate) script: String,
    /// As text: a JSON number is exact to 53 bits only.
    pub(crate) seed: String,
    /// On which level the verdicts were found.
    pub(crate) level: &'static str,
    pub(crate) fs: String,
    pub(crate) mount: String,
    pub(crate) scheduler: String,
    pub(crate) drive: String,
    pub(crate) profile: String,
    /// The model that speaks for the file system, where one does.
    pub(crate) model: String,
    /// What the acknowledgements are judged for: the death that was asked for, or the script's own.
    pub(crate) death: Option<Fatal>,
    /// At which event: its number, `all`, or `end`.
    pub(crate) at: Option<String>,
    pub(crate) notes: Vec<String>,
    pub(crate) events: Vec<Event>,
    pub(crate) rungs: Vec<Rung>,
    pub(crate) acks: Vec<Ack>,
    pub(crate) files: Vec<File>,
    pub(crate) unmet: Vec<Unmet>,
    /// Whether every `expect` holds.
    pub(crate) ok: bool,
}

/// How far what was acknowledged had come in that moment.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Rung {
    pub(crate) ack: String,
    pub(crate) line: u32,
    pub(crate) rung: &'static str,
    pub(crate) files: Vec<String>,
}

/// A verdict.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Ack {
    pub(crate) ack: String,
    pub(crate) line: u32,
    /// Which acknowledgement it is, counted from 1.
    pub(crate) number: usize,
    pub(crate) model: String,
    pub(crate) lost: &'static str,
    pub(crate) states: u64,
    /// Whether the verdict follows from the states; else it is the safe side.
    pub(crate) exact: bool,
    /// The files that it speaks for.
    pub(crate) files: Vec<String>,
    pub(crate) story: String,
}

/// What a file may be after the script's own end.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct File {
    pub(crate) file: String,
    pub(crate) model: String,
    pub(crate) may_be: Vec<String>,
    /// Whether that is all it may be.
    pub(crate) exact: bool,
}

/// An `expect` that does not hold.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Unmet {
    pub(crate) line: u32,
    pub(crate) column: u32,
    pub(crate) model: String,
    pub(crate) what: String,
}

/// A run with what is asked of it.
struct Asked<'a> {
    config: &'a Config,
    run: &'a Run,
    /// As a crash of the kernel leaves it, and as a cut of the power does: a drive that lies obeys
    /// in the one and not in the other.
    crashed: History,
    cut: History,
    models: &'a [Model],
}

impl Told {
    /// Carries a script out and asks the simulation about it.
    pub(crate) fn of(
        source: &Source,
        script: &Script,
        config: &Config,
        models: &[Model],
        death: Option<Death>,
    ) -> Result<Self, Failure> {
        if config.fs == FileSystem::Nfs {
            let what = "no set of states speaks for nfs: it is asked of its two machines alone";
            return Err(Failure::Asked(what.to_owned()));
        }
        let drive = match config.drive {
            Drive::Lies => ScriptDrive::Lies,
            Drive::Volatile | Drive::Capacitor | Drive::None => ScriptDrive::Honest,
        };
        let run = script.run_as(drive, config.profile);
        let run = run.map_err(|error| cannot_run(source, script, &error))?;
        let all = Model::ALL;
        let asked = Asked {
            config,
            crashed: with_honesty(run.history(), true),
            cut: with_honesty(run.history(), drive == ScriptDrive::Honest),
            models: if models.is_empty() { &all } else { models },
            run: &run,
        };
        let events = events::list(&asked.crashed, run.claims());
        let end = |how| (how, Moments::At(asked.crashed.end), "end".to_owned());
        let judged = match (death, run.death()) {
            (Some(Death { how, when }), _) => {
                Some((how, moments(when, &events)?, when.to_string()))
            }
            (None, Some(ScriptDeath::Cut)) => Some(end(Fatal::Cut)),
            (None, Some(ScriptDeath::Crash)) => Some(end(Fatal::Crash)),
            (None, Some(ScriptDeath::Kill)) => Some(end(Fatal::Kill)),
            (None, None) => None,
        };
        let acks = judged.iter().flat_map(|(how, moments, _)| asked.acks(*how, *moments));
        let acks = acks.collect();
        let files = match &judged {
            Some((how, Moments::At(at), _)) => asked.files(*how, *at),
            // With a death at every moment: at the last of them.
            Some((how, ..)) => asked.files(*how, asked.crashed.end),
            None => asked.files(Fatal::Kill, asked.crashed.end),
        };
        let unmet = asked.unmet(models);
        Ok(Self {
            ondisk: "sim",
            v: 1,
            script: source.name.clone(),
            seed: config.seed.to_string(),
            level: "operations",
            fs: word(config.fs),
            mount: config.mount_words(),
            scheduler: word(config.scheduler),
            drive: word(config.drive),
            profile: config.profile.name.to_owned(),
            model: config.model().map_or("", |model| model.name).to_owned(),
            death: judged.as_ref().map(|(how, ..)| *how),
            at: judged.map(|(.., at)| at),
            notes: notes(&run),
            rungs: asked.rungs(),
            events,
            acks,
            files,
            ok: unmet.is_empty(),
            unmet,
        })
    }
}

/// The same history on a drive that obeys a FLUSH, or on one that does not. What was acknowledged is
/// in the claims: no state needs to carry it along.
fn with_honesty(mut history: History, honest: bool) -> History {
    history.acks.clear();
    for call in &mut history.calls {
        call.honest = honest;
    }
    history
}

fn moments(when: When, events: &[Event]) -> Result<Moments, Failure> {
    let When::Event(number) = when else { return Ok(Moments::All) };
    let event = events.iter().find(|event| event.i == number);
    let last = events.len();
    let none = || Failure::Asked(format!("there is no event {number}: the run has 1 to {last}"));
    event.map(|event| Moments::At(event.at)).ok_or_else(none)
}

/// Calls that failed and what reads answered.
fn notes(run: &Run) -> Vec<String> {
    let more = run.unnoted();
    let more = (more > 0).then(|| format!("and {more} calls more that failed or read"));
    run.notes().iter().map(ToString::to_string).chain(more).collect()
}

impl Asked<'_> {
    fn history(&self, how: Fatal) -> &History {
        if how == Fatal::Cut { &self.cut } else { &self.crashed }
    }

    /// Each acknowledgement under each model.
    fn acks(&self, how: Fatal, moments: Moments) -> Vec<Ack> {
        let fatal = match how {
            Fatal::Cut => verdict::Fatal::Cut,
            Fatal::Crash => verdict::Fatal::Crash,
            Fatal::Kill => verdict::Fatal::Kill,
        };
        let claims = self.run.claims();
        if self.config.fs == FileSystem::Tmpfs && how != Fatal::Kill {
            return self.gone_with_the_memory(moments);
        }
        let judge = |model: &Model| {
            let crash = Crash::new(model, self.history(how).clone());
            crash.judge(claims, fatal, moments)
        };
        let mut all: Vec<_> = self.models.iter().flat_map(judge).collect();
        all.sort_by_key(|it| it.claim);
        let told = all.into_iter().map(|it| Ack {
            model: it.model.to_owned(),
            lost: it.lost.word(),
            states: it.states,
            exact: it.exact,
            story: in_script_words(&it.story),
            ..self.ack(it.claim)
        });
        told.collect()
    }

    /// An acknowledgement before it is judged.
    fn ack(&self, number: usize) -> Ack {
        let claim = self.run.claims().get(number);
        let text = claim.map(|claim| String::from_utf8_lossy(&claim.text).into_owned());
        Ack {
            ack: text.unwrap_or_default(),
            line: self.run.said_at().get(number).map_or(0, |place| place.line),
            number: number + 1,
            model: String::new(),
            lost: Lost::Never.word(),
            states: 1,
            exact: true,
            files: claim.map(names).unwrap_or_default(),
            story: String::new(),
        }
    }

    /// A RAM disk has one state after a crash: nothing.
    fn gone_with_the_memory(&self, moments: Moments) -> Vec<Ack> {
        let judged = |claim: &Claim| match moments {
            Moments::All | Moments::Same => true,
            Moments::At(at) => claim.at < at,
        };
        let claims = self.run.claims().iter().enumerate().filter(|(_, claim)| judged(claim));
        let told = claims.map(|(number, claim)| {
            let lost = claim.files.iter().find(|file| file.held != Held::Absent);
            let verdict = if lost.is_some() { Lost::Always } else { Lost::Never };
            let story = lost.map(|file| {
                format!("{} is absent: a RAM disk is gone with the memory", file.path.display())
            });
            Ack {
                model: word(FileSystem::Tmpfs),
                lost: verdict.word(),
                story: story.unwrap_or_default(),
                ..self.ack(number)
            }
        });
        told.collect()
    }

    /// Where each acknowledgement stood when it was made.
    fn rungs(&self) -> Vec<Rung> {
        let model = self.config.model();
        let claims = self.run.claims();
        let keeps = |history: &History, how| -> Vec<bool> {
            let crash = Crash::new(&model.unwrap_or_default(), history.clone());
            let judged = crash.judge(claims, how, Moments::Same);
            judged.iter().map(|it| it.lost == Lost::Never).collect()
        };
        let killed = keeps(&self.crashed, verdict::Fatal::Kill);
        let crashed = keeps(&self.crashed, verdict::Fatal::Crash);
        let cut = keeps(&self.cut, verdict::Fatal::Cut);
        let told = killed.iter().zip(&crashed).zip(&cut).enumerate();
        let told = told.map(|(number, ((killed, crashed), cut))| {
            let Ack { ack, line, files, .. } = self.ack(number);
            let rung = match (killed, crashed, cut) {
                _ if files.is_empty() => "none",
                (false, ..) => "buffered",
                // A file system without a model of its own is one that keeps nothing.
                (true, false, _) => "cached",
                _ if model.is_none() => "cached",
                (true, true, false) => "device",
                (true, true, true) => "durable",
            };
            Rung { ack, line, rung, files }
        });
        told.collect()
    }

    /// What each file may be at a moment, under each model.
    fn files(&self, how: Fatal, at: At) -> Vec<File> {
        let death = match how {
            Fatal::Cut => ScriptDeath::Cut,
            Fatal::Crash => ScriptDeath::Crash,
            Fatal::Kill => ScriptDeath::Kill,
        };
        if self.config.fs == FileSystem::Tmpfs && how != Fatal::Kill {
            let all = self.run.files().iter();
            let gone = |file: &RelPath| File {
                file: file.to_string(),
                model: word(FileSystem::Tmpfs),
                may_be: vec![MayBe::Absent.to_string()],
                exact: true,
            };
            return all.map(gone).collect();
        }
        // Of what the page cache shows every model says the same.
        let models = if how == Fatal::Kill { &self.models[..1] } else { self.models };
        let of = |model: &Model| {
            let history = self.history(how).clone();
            let outcome = self.run.outcome_at((death, at), history, model, self.budget());
            let name = if how == Fatal::Kill { "page cache" } else { model.name };
            let told = move |file: &FileOutcome| File {
                file: file.path.to_string(),
                model: name.to_owned(),
                may_be: file.may_be.iter().map(ToString::to_string).collect(),
                exact: file.exhausted,
            };
            outcome.files.iter().map(told).collect::<Vec<_>>()
        };
        models.iter().flat_map(of).collect()
    }

    /// Which `expect` of the script does not hold. It expects of one file system; of others only
    /// who asks for them.
    fn unmet(&self, asked: &[Model]) -> Vec<Unmet> {
        let own = self.config.model();
        let dies = matches!(self.run.death(), Some(ScriptDeath::Cut | ScriptDeath::Crash));
        let models = match (dies, asked, &own) {
            (true, [], Some(own)) => std::slice::from_ref(own),
            (true, asked, _) => asked,
            (false, ..) => &self.models[..1],
        };
        let of = |model: &Model| {
            let outcome = self.run.outcome(model, self.budget());
            let name = if dies { model.name } else { "page cache" };
            let told = move |it: &script::Unmet| Unmet {
                line: it.expected.place.line,
                column: it.expected.place.column,
                model: name.to_owned(),
                what: without_line(&it.to_string(), it.expected.place.line),
            };
            outcome.unmet.iter().map(told).collect::<Vec<_>>()
        };
        models.iter().flat_map(of).collect()
    }

    fn budget(&self) -> Budget {
        Budget::default().seeded(self.config.seed)
    }
}

/// What an `expect` says, without the line that stands in front.
fn without_line(told: &str, line: u32) -> String {
    told.strip_prefix(&format!("line {line}: ")).unwrap_or(told).to_owned()
}

/// The names that a claim is for.
fn names(claim: &Claim) -> Vec<String> {
    claim.files.iter().map(|file| file.path.display().to_string()).collect()
}
