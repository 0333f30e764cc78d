//! What a run of a script comes to: the rungs, the verdicts, what may be there.
//!
//! Invariant: a verdict is given for each acknowledgement that the run made, under each model that
//! was asked for, and says on which level the run was made. What the machine itself loses is told
//! beside it, and never mixed with what a model allows.

use ondisk_sim::machine::event::{Event as Moved, Kind};
use ondisk_sim::machine::play::{Missed, Play, Stage};
use ondisk_sim::ops::script::{
    self, Death as ScriptDeath, Drive as ScriptDrive, FileOutcome, MayBe, Place, RelPath, Run,
    Script,
};
use ondisk_sim::ops::verdict::{self, Claim, Held, Lost, Moments};
use ondisk_sim::{At, Budget, Crash, History, Model};
use serde::Serialize;

use super::config::{Config, Fatal, FileSystem, When, word};
use super::deaths::{Deaths, Dying, Own, may_be};
use super::events::{self, Event, in_script_words};
use super::input::{Source, cannot_run};
use super::picture::picture;
use super::played::Played;
use crate::exit::Failure;
use crate::out::{Paint, Progress};

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
    /// The number of the last event.
    pub(crate) last: u32,
    /// Calls, acknowledgements and deaths; the machine's timeline tells what moved between them.
    pub(crate) events: Vec<Event>,
    pub(crate) rungs: Vec<Rung>,
    pub(crate) acks: Vec<Ack>,
    /// What the machine itself lost, of each acknowledgement.
    pub(crate) machine: Vec<Own>,
    pub(crate) files: Vec<File>,
    pub(crate) unmet: Vec<Unmet>,
    /// Whether every `expect` holds.
    pub(crate) ok: bool,
    /// The files that the script names.
    #[serde(skip)]
    pub(crate) named: Vec<RelPath>,
    /// What the layers hold at the death, or at the end.
    #[serde(skip)]
    pub(crate) picture: Vec<String>,
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
    /// The run at the operations level.
    run: &'a Run,
    /// The acknowledgements that are judged, and where they stand in the script.
    claims: &'a [Claim],
    said_at: &'a [Place],
    /// As a crash of the kernel leaves it, and as a cut of the power does: a drive that lies obeys
    /// in the one and not in the other.
    crashed: History,
    cut: History,
    models: &'a [Model],
}

/// A run on the machine, and how to make it again.
pub(crate) struct OnMachine<'a> {
    pub(crate) source: &'a Source,
    pub(crate) script: &'a Script,
    pub(crate) stage: &'a Stage,
    pub(crate) played: &'a Played,
}

/// When to judge, and how that is told.
struct Judged {
    how: Fatal,
    moments: Moments,
    told: String,
    /// What the machine lost then.
    deaths: Option<Deaths>,
}

impl Told {
    /// Asks the simulation about a run: the machine's, where it was made on one.
    pub(crate) fn of(
        (source, script): (&Source, &Script),
        config: &Config,
        models: &[Model],
        death: Option<Death>,
        machine: Option<&OnMachine<'_>>,
    ) -> Result<Self, Failure> {
        let drive = config.script_drive();
        let run = script.run_as(drive, config.profile);
        let run = run.map_err(|error| cannot_run(source, script, &error))?;
        let all = Model::ALL;
        let play = machine.map(|machine| &machine.played.play);
        let history = || play.map_or_else(|| run.history(), Play::history);
        let asked = Asked {
            config,
            claims: play.map_or(run.claims(), Play::claims),
            said_at: play.map_or(run.said_at(), Play::said_at),
            crashed: with_honesty(history(), true),
            cut: with_honesty(history(), drive == ScriptDrive::Honest),
            models: if models.is_empty() { &all } else { models },
            run: &run,
        };
        let events = match machine {
            Some(machine) => machine.played.calls.clone(),
            None => events::list(&asked.crashed, run.claims()),
        };
        let judged = asked.judged(death, &events, machine)?;
        let (acks, files) = match &judged {
            Some(judged) => (asked.verdicts(judged), asked.left(judged)),
            None => (Vec::new(), asked.files(Fatal::Kill, asked.crashed.end)),
        };
        let mut unmet = asked.unmet(models, machine.is_some());
        unmet.extend(machine.map(OnMachine::unmet).transpose()?.unwrap_or_default());
        Ok(Self {
            ondisk: "sim",
            v: 1,
            script: source.name.clone(),
            seed: config.seed.to_string(),
            level: if machine.is_some() { "machine" } else { "operations" },
            fs: word(config.fs),
            mount: config.mount_words(),
            scheduler: word(config.scheduler),
            drive: word(config.drive),
            profile: config.profile.name.to_owned(),
            model: config.model().map_or("", |model| model.name).to_owned(),
            death: judged.as_ref().map(|judged| judged.how),
            at: judged.as_ref().map(|judged| judged.told.clone()),
            notes: play.map_or_else(|| notes(&run), |play| strings(play.notes())),
            rungs: asked.rungs(machine),
            last: machine.map_or_else(|| last(&events), |machine| machine.played.last),
            events,
            acks,
            machine: judged.and_then(|it| it.deaths).map_or_else(Vec::new, |deaths| deaths.own),
            files,
            ok: unmet.is_empty(),
            unmet,
            named: run.files().to_vec(),
            picture: Vec::new(),
        })
    }
}

impl OnMachine<'_> {
    /// Dies, at one event, at all or at the end.
    pub(crate) fn die(
        &self,
        how: Fatal,
        when: Option<When>,
        files: &[RelPath],
    ) -> Result<Deaths, Failure> {
        let Self { source, script, stage, .. } = *self;
        Dying { source, script, stage, how, when, files }.all()
    }

    /// The layers at the death's event, or else at the end, just before whatever death that is.
    pub(crate) fn picture(
        &self,
        death: Option<Death>,
        paint: Paint,
    ) -> Result<Vec<String>, Failure> {
        let Some(reel) = &self.played.reel else { return Ok(Vec::new()) };
        let dies = |(event, _): &&(Moved, String)| {
            matches!(event.kind, Kind::Kill { .. } | Kind::Crash | Kind::Cut)
        };
        let end = reel.moved.len() - reel.moved.iter().rev().take_while(dies).count();
        let mut timeline = reel.timeline()?;
        timeline.seek(match death {
            Some(Death { when: When::Event(event), .. }) => {
                timeline.find(u64::from(event)).map_or(end, |at| at + 1)
            }
            _ => end,
        });
        Ok(picture(reel, &timeline, paint))
    }

    /// Which `expect` does not hold of what the machine left in the end, in any way that was tried.
    fn unmet(&self) -> Result<Vec<Unmet>, Failure> {
        let play = &self.played.play;
        if play.expected().is_empty() {
            return Ok(Vec::new());
        }
        let how = play.death().map_or(Fatal::Kill, fatal);
        let images = self.die(how, None, &[])?.images;
        let mut all: Vec<Unmet> = Vec::new();
        for image in &images {
            for Missed { expected, .. } in play.missed_in(image) {
                let (path, place) = (expected.path.clone(), expected.place);
                if all.iter().any(|known| (known.line, known.column) == (place.line, place.column))
                {
                    continue;
                }
                let found = may_be(&images, &path);
                let found = FileOutcome { path, may_be: found, exhausted: true };
                all.push(Unmet::of(&script::Unmet { expected, found }, "machine"));
            }
        }
        Ok(all)
    }
}

impl Unmet {
    fn of(it: &script::Unmet, model: &str) -> Self {
        let Place { line, column } = it.expected.place;
        let what = without_line(&it.to_string(), line);
        Self { line, column, model: model.to_owned(), what }
    }
}

/// A death of a script, as options have it.
fn fatal(death: ScriptDeath) -> Fatal {
    match death {
        ScriptDeath::Cut => Fatal::Cut,
        ScriptDeath::Crash => Fatal::Crash,
        ScriptDeath::Kill => Fatal::Kill,
    }
}

fn last(events: &[Event]) -> u32 {
    events.last().map_or(0, |event| event.i)
}

fn strings<T: ToString>(all: &[T]) -> Vec<String> {
    all.iter().map(ToString::to_string).collect()
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

/// There is no such event.
fn none(number: u32, last: u32) -> Failure {
    Failure::Asked(format!("there is no event {number}: the run has 1 to {last}"))
}

fn moments(when: When, events: &[Event]) -> Result<Moments, Failure> {
    let When::Event(number) = when else { return Ok(Moments::All) };
    let event = events.iter().find(|event| event.i == number);
    event.map(|event| Moments::At(event.at)).ok_or_else(|| none(number, last(events)))
}

/// Calls that failed and what reads answered.
fn notes(run: &Run) -> Vec<String> {
    let more = run.unnoted();
    let more = (more > 0).then(|| format!("and {more} calls more that failed or read"));
    strings(run.notes()).into_iter().chain(more).collect()
}

impl Asked<'_> {
    /// When to judge: at the death that was asked for, or at the script's own.
    fn judged(
        &self,
        death: Option<Death>,
        events: &[Event],
        machine: Option<&OnMachine<'_>>,
    ) -> Result<Option<Judged>, Failure> {
        let own = match machine {
            Some(machine) => machine.played.play.death(),
            None => self.run.death(),
        };
        let (how, when) = match (death, own) {
            (Some(Death { how, when }), _) => (how, Some(when)),
            (None, Some(own)) => (fatal(own), None),
            (None, None) => return Ok(None),
        };
        let told = when.map_or_else(|| "end".to_owned(), |when| when.to_string());
        let Some(machine) = machine else {
            let end = Moments::At(self.crashed.end);
            let moments = when.map_or(Ok(end), |when| moments(when, events))?;
            return Ok(Some(Judged { how, moments, told, deaths: None }));
        };
        let last = machine.played.last;
        if let Some(When::Event(event)) = when.filter(|when| !when.is_within(last)) {
            return Err(none(event, last));
        }
        let deaths = machine.die(how, when, self.run.files())?;
        let moments = match when {
            Some(When::All) => Moments::All,
            Some(When::Event(_)) => Moments::At(deaths.at),
            None => Moments::At(self.crashed.end),
        };
        Ok(Some(Judged { how, moments, told, deaths: Some(deaths) }))
    }

    /// The verdicts; of a file system for which no model speaks its machine's own.
    fn verdicts(&self, judged: &Judged) -> Vec<Ack> {
        let alone = self.config.fs == FileSystem::Nfs && judged.how != Fatal::Kill;
        let Some(deaths) = judged.deaths.as_ref().filter(|_| alone) else {
            return self.acks(judged.how, judged.moments);
        };
        let own = deaths.own.iter().map(|own| Ack {
            ack: own.ack.clone(),
            line: own.line,
            number: own.number,
            model: word(self.config.fs),
            lost: own.lost,
            states: own.deaths,
            exact: false,
            files: own.files.clone(),
            story: own.story.clone(),
        });
        own.collect()
    }

    /// What each file may be at the last death: what the machine leaves, and what models allow.
    fn left(&self, judged: &Judged) -> Vec<File> {
        let at = match judged.moments {
            Moments::At(at) => at,
            // With a death at every moment: at the last of them.
            Moments::All | Moments::Same => self.crashed.end,
        };
        let mut models = self.files(judged.how, at);
        let kept = judged.how == Fatal::Kill || self.config.fs == FileSystem::Tmpfs;
        let Some(deaths) = judged.deaths.as_ref().filter(|_| !kept) else { return models };
        if self.config.model().is_none() {
            models.clear();
        }
        let own = deaths.files.iter().map(|(file, may_be)| File {
            file: file.to_string(),
            model: "this machine".to_owned(),
            may_be: strings(may_be),
            exact: deaths.exact,
        });
        own.chain(models).collect()
    }

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
        let claims = self.claims;
        if self.config.fs == FileSystem::Tmpfs && how != Fatal::Kill {
            return self.gone_with_the_memory(moments);
        }
        let progress = Progress::after_a_second();
        let judge = |model: &Model| {
            progress.say(format_args!("judging by {}", model.name));
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
        let claim = self.claims.get(number);
        let text = claim.map(|claim| String::from_utf8_lossy(&claim.text).into_owned());
        Ack {
            ack: text.unwrap_or_default(),
            line: self.said_at.get(number).map_or(0, |place| place.line),
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
        let claims = self.claims.iter().enumerate().filter(|(_, claim)| judged(claim));
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
    fn rungs(&self, machine: Option<&OnMachine<'_>>) -> Vec<Rung> {
        if let Some(OnMachine { played, .. }) = machine {
            let told = played.rungs.iter().enumerate().map(|(number, rung)| {
                let Ack { ack, line, files, .. } = self.ack(number);
                Rung { ack, line, rung, files }
            });
            return told.collect();
        }
        let model = self.config.model();
        let claims = self.claims;
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

    /// Which `expect` of the script does not hold under the models. It expects of one file system;
    /// of others only who asks for them, and of a machine what it leaves.
    fn unmet(&self, asked: &[Model], on_machine: bool) -> Vec<Unmet> {
        let own = self.config.model();
        let dies = matches!(self.run.death(), Some(ScriptDeath::Cut | ScriptDeath::Crash));
        let models = match (dies, asked, &own) {
            (true, [], Some(own)) if !on_machine => std::slice::from_ref(own),
            (true, asked, Some(_)) => asked,
            (true, _, None) => &[],
            (false, ..) if on_machine => &[],
            (false, ..) => &self.models[..1],
        };
        let of = |model: &Model| {
            let outcome = self.run.outcome(model, self.budget());
            let name = if dies { model.name } else { "page cache" };
            let told = move |it: &script::Unmet| Unmet::of(it, name);
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
