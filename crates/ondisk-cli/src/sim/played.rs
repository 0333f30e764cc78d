//! A run of a script on the machine: what was called, where the bytes were at each acknowledgement,
//! and all that moved, as a timeline.
//!
//! Invariant: a run is gone through once, event by event, and no event is kept but those that are
//! drawn; what a death takes is asked of another run of the same script, which is the same.

use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use ondisk_sim::At;
use ondisk_sim::machine::choice::First;
use ondisk_sim::machine::event::{Event as Moved, Kind};
use ondisk_sim::machine::play::{Play, PlayError, Stage};
use ondisk_sim::machine::timeline::{Header, Recorder, Timeline};
use ondisk_sim::machine::{Death, Errno, Sim};
use ondisk_sim::ops::Image;
use ondisk_sim::ops::script::Script;

use super::config::Config;
use super::events::Event;
use super::input::{Source, cannot_run};
use crate::exit::Failure;
use crate::out::Progress;

/// A run with more events than these is not drawn.
pub(crate) const DRAWN: usize = 200_000;
/// So many events are kept before they go to their file.
const CHUNK: usize = 1 << 10;
/// Who waits is told of every so many events.
const SAID: usize = 64;

/// A run that has ended.
pub(crate) struct Played {
    pub(crate) play: Play,
    /// Its calls and acknowledgements, by the events with which they were done.
    pub(crate) calls: Vec<Event>,
    /// The number of its last event.
    pub(crate) last: u32,
    /// By claim: how far its bytes had come.
    pub(crate) rungs: Vec<&'static str>,
    /// What is drawn, where there is not too much.
    pub(crate) reel: Option<Reel>,
}

/// All that moved, to be drawn.
pub(crate) struct Reel {
    /// The events, each in words where it has better ones than its own.
    pub(crate) moved: Vec<(Moved, String)>,
    /// The timeline's lines.
    pub(crate) text: String,
    /// The tasks by their names.
    pub(crate) tasks: Vec<String>,
}

/// A script on its machine, before its first step.
pub(crate) fn begin(source: &Source, script: &Script, stage: &Stage) -> Result<Play, Failure> {
    Play::new(script, stage).map_err(|error| match error {
        PlayError::Script(error) => cannot_run(source, script, &error),
        PlayError::Start(error) => Failure::Asked(format!("{}: {error}", source.name)),
    })
}

/// What is done after each thing that happened.
type Each<'a> = dyn FnMut(&Play, &[Moved]) -> Result<Go, Failure> + 'a;

/// Goes through a run: after each thing that happened, with the events that it made.
pub(crate) fn go(play: &mut Play, each: &mut Each<'_>) -> Result<(), Failure> {
    let mut events = Vec::new();
    loop {
        events.clear();
        while let Some(event) = play.sim().event() {
            events.push(event);
        }
        if !events.is_empty() && each(play, &events)? == Go::Stop {
            return Ok(());
        }
        if !play.turn() {
            return Ok(());
        }
    }
}

impl Played {
    /// What is drawn.
    pub(crate) fn reel(&self) -> Result<&Reel, Failure> {
        let too_long = || {
            let what = format!("the run has {} events: more than {DRAWN} are not drawn", self.last);
            Failure::Asked(what)
        };
        self.reel.as_ref().ok_or_else(too_long)
    }
}

impl Reel {
    /// The timeline, at its beginning.
    pub(crate) fn timeline(&self) -> Result<Timeline, Failure> {
        Timeline::read(&mut self.text.as_bytes())
            .map_err(|error| Failure::Simulated(std::io::Error::other(error.to_string())))
    }
}

/// Whether to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Go {
    On,
    Stop,
}

impl Played {
    /// Carries a script out; writes its timeline where that is asked for.
    pub(crate) fn of(
        source: &Source,
        script: &Script,
        (config, stage): (&Config, &Stage),
        timeline: Option<&Path>,
    ) -> Result<Self, Failure> {
        let mut play = begin(source, script, stage)?;
        let header =
            Header { seed: stage.seed, config: parts(config), script: source.text.clone() };
        let mut tape = Tape::new(&header, timeline)?;
        let mut calls = Calls::default();
        let mut rungs = Rungs::default();
        let progress = Progress::after_a_second();
        go(&mut play, &mut |play, events| {
            for event in events {
                let words = calls.event(play, event);
                tape.event(play.sim(), event, words)?;
            }
            rungs.look(play);
            if tape.since.is_multiple_of(SAID) {
                progress.say(format_args!("running: {} events", tape.since));
            }
            Ok(Go::On)
        })?;
        rungs.look(&play);
        let tasks = play.tasks().into_iter().map(str::to_owned).collect();
        let last = play.sim().events();
        let reel = tape.finish(tasks)?;
        Ok(Self { calls: calls.done(), last, rungs: rungs.told, reel, play })
    }
}

/// How the machine was built, as options say it.
fn parts(config: &Config) -> Vec<(String, String)> {
    config.knobs().words().map(|(name, word)| (name.to_owned(), word)).into()
}

/// The timeline in the making.
struct Tape {
    recorder: Recorder,
    to: Option<(PathBuf, BufWriter<File>)>,
    moved: Vec<(Moved, String)>,
    /// What of the lines is kept to be drawn.
    text: Vec<u8>,
    drawn: bool,
    since: usize,
}

#[expect(clippy::disallowed_types, reason = "a timeline is no store: it is written as any text is")]
type File = std::fs::File;

impl Tape {
    fn new(header: &Header, to: Option<&Path>) -> Result<Self, Failure> {
        let open = |path: &Path| {
            File::create(path)
                .map(|file| (path.to_owned(), BufWriter::new(file)))
                .map_err(|source| untold(path, source))
        };
        let to = to.map(open).transpose()?;
        let (moved, text) = (Vec::new(), Vec::new());
        Ok(Self { recorder: Recorder::new(header), to, moved, text, drawn: true, since: 0 })
    }

    fn event(&mut self, sim: &Sim, event: &Moved, words: String) -> Result<(), Failure> {
        sim.tell(&mut self.recorder, event, &words);
        self.drawn &= self.moved.len() < DRAWN;
        if self.drawn {
            self.moved.push((*event, words));
        } else {
            (self.moved, self.text) = (Vec::new(), Vec::new());
        }
        self.since += 1;
        if self.since.is_multiple_of(CHUNK) { self.drain() } else { Ok(()) }
    }

    fn drain(&mut self) -> Result<(), Failure> {
        let mut lines = Vec::new();
        self.recorder.drain(&mut lines).map_err(Failure::Simulated)?;
        self.write(&lines)
    }

    fn write(&mut self, lines: &[u8]) -> Result<(), Failure> {
        if self.drawn {
            self.text.extend_from_slice(lines);
        }
        let Some((path, to)) = &mut self.to else { return Ok(()) };
        to.write_all(lines).map_err(|source| untold(path, source))
    }

    fn finish(mut self, tasks: Vec<String>) -> Result<Option<Reel>, Failure> {
        self.drain()?;
        let header = Header::default();
        let last = std::mem::replace(&mut self.recorder, Recorder::new(&header)).finish();
        self.write(last.as_bytes())?;
        if let Some((path, to)) = &mut self.to {
            to.flush().map_err(|source| untold(path, source))?;
        }
        let Self { moved, text, drawn, .. } = self;
        let text = String::from_utf8_lossy(&text).into_owned();
        Ok(drawn.then_some(Reel { moved, text, tasks }))
    }
}

fn untold(path: &Path, source: std::io::Error) -> Failure {
    Failure::Timeline { path: path.to_owned(), source }
}

/// The calls and acknowledgements of a run.
#[derive(Default)]
struct Calls {
    all: Vec<Event>,
    /// Calls on their way: by operation, where in the list.
    running: Vec<(u32, usize)>,
    /// Why the last call failed.
    errno: Option<Errno>,
}

impl Calls {
    /// Takes an event in; its words, where it has better ones than its own.
    fn event(&mut self, play: &Play, event: &Moved) -> String {
        let begun = |what: String| {
            let what = format!("{}{what}", caller(play, &event.kind));
            let (i, t) = (event.id.0, Some(event.at.0));
            Event { i, from: i, t, what, at: At(0) }
        };
        match event.kind {
            Kind::Call { .. } => {
                let words = play.says(event.op).unwrap_or_default().to_owned();
                self.running.push((event.op.0, self.all.len()));
                self.all.push(begun(words.clone()));
                words
            }
            Kind::Errno { errno } => {
                self.errno = Some(errno);
                String::new()
            }
            Kind::Ret { value, .. } => {
                let Some(at) = self.running.iter().position(|(op, _)| *op == event.op.0) else {
                    return String::new();
                };
                let (_, at) = self.running.swap_remove(at);
                let Some(call) = self.all.get_mut(at) else { return String::new() };
                (call.i, call.t) = (event.id.0, Some(event.at.0));
                let mut answer = match self.errno.take().filter(|errno| errno.number() == -value) {
                    Some(errno) => format!(" = {errno}"),
                    None => format!(" = {value}"),
                };
                call.what.push_str(&answer);
                answer.insert_str(0, play.says(event.op).unwrap_or_default());
                answer
            }
            Kind::Ack { text, .. } => {
                let claim = play.claims().get(text as usize);
                let text = claim.map(|claim| String::from_utf8_lossy(&claim.text).into_owned());
                let words = format!("ack {:?}", text.unwrap_or_default());
                self.all.push(begun(words.clone()));
                words
            }
            Kind::Kill { .. } | Kind::Crash | Kind::Cut => {
                let what = match event.kind {
                    Kind::Crash => "the kernel crashes",
                    Kind::Cut => "the power is cut",
                    _ => "the process is killed",
                };
                self.all.push(begun(what.to_owned()));
                what.to_owned()
            }
            _ => String::new(),
        }
    }

    /// All; what has not returned by the end is said to.
    fn done(mut self) -> Vec<Event> {
        for (_, at) in self.running {
            if let Some(call) = self.all.get_mut(at) {
                call.what.push_str(" … (has not returned)");
            }
        }
        self.all
    }
}

/// Who makes a call or an acknowledgement, where there are several.
fn caller(play: &Play, kind: &Kind) -> String {
    let (Kind::Call { task, .. } | Kind::Ack { task, .. }) = kind else { return String::new() };
    let tasks = play.tasks();
    let name = task.index().checked_sub(1).and_then(|at| tasks.get(at));
    name.filter(|_| tasks.len() > 1).map_or_else(String::new, |name| format!("@{name} "))
}

/// How far the bytes of each acknowledgement had come when it was made.
#[derive(Default)]
struct Rungs {
    told: Vec<&'static str>,
    /// What a crash and a cut leave, as long as the drive does not move.
    left: Option<(u64, [Image; 2])>,
}

impl Rungs {
    fn look(&mut self, play: &Play) {
        while let Some(claim) = play.claims().get(self.told.len()) {
            if claim.files.is_empty() {
                self.told.push("none");
                continue;
            }
            if !claim.is_in(&play.sim().shown()) {
                self.told.push("buffered");
                continue;
            }
            let mark = play.sim().media_mark();
            if self.left.as_ref().is_none_or(|(known, _)| *known != mark) {
                // What cannot be mounted holds nothing.
                let left = |how| play.cut(how, &mut First).image().unwrap_or_default();
                self.left = Some((mark, [left(Death::Crash), left(Death::Cut)]));
            }
            let Some((_, [crashed, cut])) = &self.left else { continue };
            self.told.push(match (claim.is_in(crashed), claim.is_in(cut)) {
                (false, _) => "cached",
                (true, false) => "device",
                (true, true) => "durable",
            });
        }
    }
}
