//! A run of a script: carried out once and told, and kept so that it can be died in later.
//!
//! Invariant: a moment that is asked for is the same machine that was there when the run was told: it
//! is a copy kept on the way, gone on from. How many copies there are is bounded.

use std::path::PathBuf;

use ondisk_sim::machine::arena::Arena;
use ondisk_sim::machine::event::{Event, Kind, Layer};
use ondisk_sim::machine::ids::{EventId, Ns, PageVer};
use ondisk_sim::machine::knobs::Knobs;
use ondisk_sim::machine::play::{Play, PlayError, Seen};
use ondisk_sim::machine::timeline::{Header, Recorder};
use ondisk_sim::ops::script::{RunError, Script, Stage};

use crate::calls::Calls;
use crate::json::Json;
use crate::ladder::Ladder;
use crate::limits::{self, RECORDS, TURNS};
use crate::model::Models;
use crate::record::Record;
use crate::request::Refused;
use crate::unmet;

/// The most copies of the machine that are kept,
const COPIES: usize = 32;
/// the first of them so many events apart.
const APART: u32 = 256;

/// A run that was told.
#[derive(Debug)]
pub(crate) struct Present {
    pub(crate) knobs: Knobs,
    copies: Vec<Play>,
    apart: u32,
    /// By event of the timeline: the machine's; empty where they are the same.
    numbers: Vec<u32>,
    last: u32,
    pub(crate) records: Vec<Record>,
    /// By record: the event with which it began.
    pub(crate) begun: Vec<u32>,
    /// By acknowledgement: its event.
    pub(crate) acked: Vec<u32>,
    pub(crate) files: Vec<PathBuf>,
    /// What models say of the whole run; made when they are asked.
    pub(crate) models: Vec<Models>,
    end: Play,
}

impl Present {
    /// The number of the last event.
    pub(crate) fn last(&self) -> u32 {
        self.last
    }

    /// Whether there is a machine to look into.
    pub(crate) fn is_machine(&self) -> bool {
        self.knobs.stage().is_some()
    }

    /// The machine behind an event: behind all of the step in which that was.
    pub(crate) fn at(&self, event: u32) -> Play {
        let event = match event.checked_sub(1) {
            Some(before) if !self.is_machine() => {
                self.numbers.get(before as usize).copied().unwrap_or(u32::MAX)
            }
            _ => event,
        };
        let near = self.copies.iter().rfind(|play| play.sim().events() <= event);
        let near = near.or(self.copies.first()).unwrap_or(&self.end);
        let mut play = near.fork();
        play.sim().watch(false);
        while play.sim().events() < event && play.turn() {
            drop(play.seen());
        }
        play
    }

    /// Its end.
    pub(crate) fn end(&self) -> &Play {
        &self.end
    }

    fn keep(&mut self, play: &Play) {
        let last = self.copies.last().map_or(0, |play| play.sim().events());
        if !self.copies.is_empty() && play.sim().events() < last.saturating_add(self.apart) {
            return;
        }
        if self.copies.len() == COPIES {
            let mut nth = 0;
            self.copies.retain(|_| {
                nth += 1;
                nth % 2 == 1
            });
            self.apart = self.apart.saturating_mul(2);
        }
        let copy = play.fork();
        while copy.sim().event().is_some() {}
        self.copies.push(copy);
    }
}

/// Carries a script out, and tells of it.
pub(crate) fn run(knobs: Knobs, limit: u32, text: &str) -> Result<(Present, String), Refused> {
    let script = Script::parse(text).map_err(|error| {
        Refused::at((error.place.line, error.place.column), error.problem.to_string())
    })?;
    limits::check(&script)?;
    limits::check_alive(&script).map_err(|error| cannot_run(&error))?;
    let stage = knobs.caller();
    let mut play = Play::new(&script, &stage).map_err(|error| match error {
        PlayError::Script(error) => cannot_run(&error),
        PlayError::Start(error) => Refused::new(error.to_string()),
    })?;
    play.watch();
    let config = knobs.words().map(|(name, value)| (name.to_owned(), value)).into();
    let header = Header { seed: knobs.seed, config, script: text.to_owned() };
    let files = limits::files(&script).into_iter().map(PathBuf::from).collect();
    let machine = knobs.stage().is_some();
    let present = Present {
        knobs,
        copies: vec![play.fork()],
        apart: APART,
        numbers: Vec::new(),
        last: 0,
        records: Vec::new(),
        begun: Vec::new(),
        acked: Vec::new(),
        files,
        models: Vec::new(),
        end: play.fork(),
    };
    let mut scribe = Scribe {
        recorder: Recorder::new(&header),
        calls: Calls::default(),
        ladder: Ladder::default(),
        notes: Vec::new(),
        wrote: Vec::new(),
        unfollowed: 0,
        machine,
        none: Arena::new(),
        present,
    };
    scribe.all(&mut play, limit);
    scribe.done(play, &script)
}

/// Why a script cannot be carried out, at its place.
fn cannot_run(error: &RunError) -> Refused {
    let stage = match error {
        RunError::Files { at }
        | RunError::Contents { at }
        | RunError::Dead { at, .. }
        | RunError::Name { at, .. } => Some(*at),
        _ => None,
    };
    let told = error.to_string();
    match stage {
        Some(stage @ Stage::Step(place)) => {
            let what = told.strip_prefix(&format!("{stage}: ")).unwrap_or(&told);
            Refused::at((place.line, place.column), what)
        }
        Some(Stage::Durable) | None => Refused::new(told),
    }
}

/// Writes down what happens.
struct Scribe {
    recorder: Recorder,
    calls: Calls,
    ladder: Ladder,
    notes: Vec<String>,
    /// By task: whether its present step was seen to write.
    wrote: Vec<bool>,
    unfollowed: u64,
    machine: bool,
    none: Arena,
    present: Present,
}

impl Scribe {
    fn all(&mut self, play: &mut Play, limit: u32) {
        let mut events = Vec::new();
        for turn in 0_u32.. {
            events.clear();
            while let Some(event) = play.sim().event() {
                events.push(event);
            }
            self.step(play, &events);
            self.present.keep(play);
            if self.present.last >= limit {
                self.notes.push(format!(
                    "the run is told up to event {}: it is longer",
                    self.present.last
                ));
                return;
            }
            if turn >= TURNS {
                self.notes.push("the run is too long: it is told up to here".to_owned());
                return;
            }
            let more = play.turn();
            for seen in play.seen() {
                self.seen(&seen, play);
            }
            if !more {
                return;
            }
        }
    }

    fn seen(&mut self, seen: &Seen, play: &Play) {
        let next = self.present.last.saturating_add(1);
        match seen {
            Seen::Step { task, place } => {
                let task = task.0.saturating_sub(1);
                self.calls.begins(next, task, place.line);
                let at = task as usize;
                if self.wrote.len() <= at {
                    self.wrote.resize(at + 1, false);
                }
                self.wrote[at] = false;
            }
            Seen::Wrote { task, .. } => {
                let at = task.0.saturating_sub(1) as usize;
                if self.wrote.get(at).copied().unwrap_or(true) {
                    return;
                }
                self.wrote[at] = true;
                if self.present.records.len() >= RECORDS {
                    self.unfollowed += 1;
                } else if let Some(record) = Record::of(seen, play) {
                    self.present.records.push(record);
                    self.present.begun.push(next);
                }
            }
        }
    }

    /// The events of one step of the machine.
    fn step(&mut self, play: &Play, events: &[Event]) {
        let first = self.present.last.saturating_add(1);
        for event in events {
            if !self.machine && !is_told(&event.kind) {
                continue;
            }
            self.present.last += 1;
            let number = self.present.last;
            let words = self.calls.event(play, event, number, &self.present.records);
            if self.machine {
                play.sim().tell(&mut self.recorder, event, &words);
            } else {
                self.present.numbers.push(event.id.0);
                let (id, at, cause) = (EventId(number), Ns(0), EventId(0));
                let alone = Event { id, at, cause, ver: PageVer(0), ..*event };
                self.recorder.event(&alone, &self.none, &words);
            }
        }
        if self.present.last >= first {
            // The drive of a server is elsewhere: it makes no events here.
            let stirs = |event: &Event| event.layer == Layer::Ssd;
            let stirred = self.present.knobs.fs() == "nfs" || events.iter().any(stirs);
            let records = &mut self.present.records;
            self.ladder.look((first, stirred), play, records, self.machine);
        }
    }

    fn done(mut self, play: Play, script: &Script) -> Result<(Present, String), Refused> {
        let last = self.present.last;
        self.present.acked = self.calls.acks.iter().map(|ack| ack.event).collect();
        self.present.end = play;
        let play = &self.present.end;
        let model = self.present.knobs.model();
        if let Some(model) = model.as_ref().filter(|_| !self.machine) {
            let models = Models::new(model, &play.history(), self.present.knobs.is_honest());
            self.ladder.ask(&models);
            self.present.models.push(models);
        }
        let mut notes: Vec<String> = play.notes().iter().map(ToString::to_string).collect();
        notes.append(&mut self.notes);
        if self.unfollowed > 0 {
            notes.push(format!("{} writes more are not followed as records", self.unfollowed));
        }
        if play.claims().len() > self.calls.acks.len() || play.too_much() {
            notes.push("not all acknowledgements are told of".to_owned());
        }
        let unmet = match self.machine {
            true => unmet::on_machine(play, self.present.knobs.seed),
            false => unmet::in_model(script, &self.present.knobs)?,
        };
        let mut json = Json::default();
        json.open('{').field("ok").flag(true);
        json.field("level").string(if self.machine { "machine" } else { "operations" });
        json.field("model").string(model.map_or("", |model| model.name));
        json.field("tasks").strings(play.tasks()).field("events").number(last.into());
        self.calls.tell(last, &mut json);
        json.field("records").open('[');
        for (n, record) in self.present.records.iter().enumerate() {
            record.tell(n, &mut json);
        }
        json.close(']');
        self.ladder.tell(last, &mut json);
        json.field("notes").strings(&notes).field("unmet").open('[');
        for (place, what) in unmet {
            json.open('{').field("line").number(place.line.into());
            json.field("column").number(place.column.into()).field("what").string(&what);
            json.close('}');
        }
        json.close(']').close('}');
        let mut answer = json.text();
        answer.push('\n');
        answer.push_str(&self.recorder.finish());
        Ok((self.present, answer))
    }
}

/// Whether an event is one of the level of operations.
fn is_told(kind: &Kind) -> bool {
    matches!(
        kind,
        Kind::Call { .. }
            | Kind::Ret { .. }
            | Kind::Ack { .. }
            | Kind::Kill { .. }
            | Kind::Crash
            | Kind::Cut
    )
}
