//! A script carried out on the machine: its tasks make calls at the same time, through buffers
//! of their own.
//!
//! Invariant: which task goes on next is the chooser's to say, and nothing else is left open; so
//! a script, a configuration and a seed make one run. A task makes one call at a time, and a
//! call that waits holds up nobody but its task.
//!
//! Knows nothing of models: what a death leaves is asked of the machine's media, or, with the
//! history and the claims that a run gives, of the operations level.

use std::collections::VecDeque;
use std::sync::Arc;

use super::choice::{Choice, Chooser, Seeded};
use super::config::Config;
use super::event::{Event, Kind, Layer};
use super::ids::{EventId, Fd, Ns, OpId, TaskId};
use super::media::{Media, MountError, StartError};
use super::message::{Reply, Request};
use super::sim::Sim;
use super::{Death, Errno};
use crate::ops::digest::mix2;
use crate::ops::script::{
    Act, Answer, Expectation, Note, Place, Profile, RelPath, RunError, Script, Step,
};
use crate::ops::verdict::{Claim, Ledger, TooMuch};
use crate::ops::{At, History, Image, MemFs};

mod expect;
mod files;
mod job;
mod watch;

pub use expect::Missed;
use files::Files;
use job::Job;
pub use watch::Seen;

/// What a run is made of beside its script.
#[derive(Clone, Debug, Default)]
pub struct Stage {
    /// The machine.
    pub config: Config,
    /// The buffers of the tasks.
    pub profile: Profile,
    /// Everything that is left to chance.
    pub seed: u64,
}

/// Why a script cannot be carried out on a machine.
#[derive(Debug, thiserror::Error)]
pub enum PlayError {
    /// The script does not suit.
    #[error(transparent)]
    Script(#[from] RunError),
    /// What is to be there at first is not mounted.
    #[error("the machine does not start: {0}")]
    Start(#[from] StartError),
}

/// A script on its way.
#[derive(Clone, Debug)]
pub struct Play {
    sim: Sim,
    steps: Arc<[Step]>,
    tasks: Vec<Task>,
    chooser: Seeded,
    profile: Profile,
    ledger: Ledger,
    claims: Vec<Claim>,
    /// By claim: the event of its acknowledgement.
    acked: Vec<EventId>,
    /// By claim: where in the script it stands.
    said_at: Vec<Place>,
    expected: Vec<Expectation>,
    notes: Vec<Note>,
    files: u32,
    /// Acknowledgements spoke for more bytes than are kept: their claims are not all there.
    too_much: bool,
    death: Option<Death>,
    seed: u64,
    /// What the program did, where anybody watches.
    seen: Option<Vec<Seen>>,
}

/// A task and what it still has to do.
#[derive(Clone, Debug)]
struct Task {
    name: Arc<str>,
    /// Indices into the steps.
    left: VecDeque<u32>,
    files: Files,
    doing: Doing,
    /// Its last call, in words.
    says: Option<(OpId, String)>,
}

/// What a task is at.
#[derive(Clone, Debug)]
enum Doing {
    /// Its next step.
    Nothing,
    /// A step of several calls.
    Job(Job),
    /// A call that has not returned.
    Waits(OpId, Job),
    /// `wait`.
    Sleeps(Ns),
}

impl Play {
    /// Formats a machine with what the script has durable, switches it on and stops before the
    /// first step.
    ///
    /// # Errors
    /// When the script does not suit, or its files do not fit on the drive.
    pub fn new(script: &Script, stage: &Stage) -> Result<Self, PlayError> {
        crate::ops::script::check_run(script)?;
        let base = base_of(script)?;
        let sim = Sim::new(stage.config.clone(), &base, stage.seed)?;
        Self::on(sim, script, stage)
    }

    /// The same on a machine that is there: what the script has durable is not made.
    ///
    /// # Errors
    /// When the script does not suit.
    pub fn on(sim: Sim, script: &Script, stage: &Stage) -> Result<Self, PlayError> {
        crate::ops::script::check_run(script)?;
        let mut unrolled = Unrolled::default();
        unrolled.steps(&script.steps);
        Ok(Self {
            sim,
            steps: unrolled.steps.into(),
            tasks: unrolled.tasks,
            chooser: Seeded::new(mix2(stage.seed, 1)),
            profile: stage.profile,
            ledger: Ledger::new(),
            claims: Vec::new(),
            acked: Vec::new(),
            said_at: Vec::new(),
            expected: unrolled.expected,
            notes: Vec::new(),
            files: 0,
            too_much: false,
            death: None,
            seed: stage.seed,
            seen: None,
        })
    }

    /// The machine.
    #[must_use]
    pub fn sim(&self) -> &Sim {
        &self.sim
    }

    /// A copy that goes its own way.
    #[must_use]
    pub fn fork(&self) -> Self {
        Self { sim: self.sim.fork(), ..self.clone() }
    }

    /// What was acknowledged so far, and what each acknowledgement speaks for.
    #[must_use]
    pub fn claims(&self) -> &[Claim] {
        &self.claims
    }

    /// Whether acknowledgements spoke for more bytes than are kept, so that claims are missing.
    #[must_use]
    pub fn too_much(&self) -> bool {
        self.too_much
    }

    /// By claim: the event of its acknowledgement.
    #[must_use]
    pub fn acknowledged(&self) -> &[EventId] {
        &self.acked
    }

    /// By claim: where in the script it stands.
    #[must_use]
    pub fn said_at(&self) -> &[Place] {
        &self.said_at
    }

    /// The tasks by their names; the first has the number 1.
    #[must_use]
    pub fn tasks(&self) -> Vec<&str> {
        self.tasks.iter().map(|task| &*task.name).collect()
    }

    /// A call in words, as its task makes it; of each task the last is known.
    #[must_use]
    pub fn says(&self, op: OpId) -> Option<&str> {
        let said = self.tasks.iter().filter_map(|task| task.says.as_ref());
        said.into_iter().find(|(call, _)| *call == op).map(|(_, words)| words.as_str())
    }

    /// Calls that failed and what reads answered, in order.
    #[must_use]
    pub fn notes(&self) -> &[Note] {
        &self.notes
    }

    /// What is expected of the end.
    #[must_use]
    pub fn expected(&self) -> &[Expectation] {
        &self.expected
    }

    /// Who died last.
    #[must_use]
    pub fn death(&self) -> Option<Death> {
        self.death
    }

    /// All calls, for the operations level.
    #[must_use]
    pub fn history(&self) -> History {
        self.sim.history().unwrap_or_else(|| MemFs::new().history())
    }

    /// The present place in the history.
    #[must_use]
    pub fn here(&self) -> At {
        self.sim.here()
    }

    /// The next event; `None` when the script has ended.
    pub fn event(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.sim.event() {
                return Some(event);
            }
            if !self.turn() {
                return None;
            }
        }
    }

    /// Runs to the end of the script, and drops the events.
    pub fn finish(&mut self) {
        while self.event().is_some() {}
    }

    /// Does the least that moves the story on: one step of a task, or one thing in the machine.
    /// `false` when the script has ended.
    pub fn turn(&mut self) -> bool {
        if matches!(self.death, Some(Death::Crash | Death::Cut)) {
            return false;
        }
        self.wake();
        let ready: Vec<usize> =
            (0..self.tasks.len()).filter(|at| self.tasks[*at].ready()).collect();
        if let Some(last) = ready.len().checked_sub(1) {
            let at = match last {
                0 => 0,
                _ => self.chooser.pick(Choice::Task, u32::try_from(last + 1).unwrap_or(1)) as usize,
            };
            self.go_on(ready[at.min(last)]);
            return true;
        }
        let sleeps = self.tasks.iter().filter_map(Task::sleeps).min();
        let waits = self.tasks.iter().any(|task| matches!(task.doing, Doing::Waits(..)));
        match (sleeps, self.sim.due()) {
            (Some(until), due) if due.is_none_or(|due| due > until) => {
                self.sim.run_until(until);
                true
            }
            (None, None) => false,
            (None, Some(_)) if !waits => false,
            _ => self.sim.turn(),
        }
    }

    /// Lets go on whose call has returned or whose time has come.
    fn wake(&mut self) {
        let now = self.sim.now();
        for at in 0..self.tasks.len() {
            match &self.tasks[at].doing {
                Doing::Sleeps(until) if *until <= now => self.tasks[at].doing = Doing::Nothing,
                Doing::Waits(op, _) => {
                    let Some(answer) = self.sim.take(*op) else { continue };
                    self.answered(at, answer);
                }
                _ => {}
            }
        }
    }

    /// A task does its next thing.
    fn go_on(&mut self, at: usize) {
        match std::mem::replace(&mut self.tasks[at].doing, Doing::Nothing) {
            Doing::Job(job) => self.job(at, job),
            _ => {
                let Some(step) = self.tasks[at].left.pop_front() else { return };
                let steps = Arc::clone(&self.steps);
                self.step(at, &steps[step as usize]);
            }
        }
    }

    fn step(&mut self, at: usize, step: &Step) {
        self.begins(at, step.place);
        match &step.act {
            Act::Call(call) => {
                let job = Job::of(step.place, call);
                self.tasks[at].doing = Doing::Job(job);
            }
            Act::Ack { text, files } => self.ack(at, step.place, (text, files)),
            Act::Wait(time) => {
                let time = Ns(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX / 2));
                self.tasks[at].doing = Doing::Sleeps(self.sim.now() + time);
            }
            Act::Fail { call, path, errno } => {
                let what = Request::Fail {
                    path: path.as_bytes().into(),
                    call: job::failing(*call),
                    errno: job::failure(*errno),
                };
                self.sim.submit(TaskId::KERNEL, what);
            }
            Act::Die(death) => self.die(*death),
            // Unrolled before, or asked at the end.
            Act::Repeat { .. } | Act::Expect { .. } => {}
        }
    }

    fn ack(&mut self, at: usize, place: Place, (text, files): (&[u8], &[RelPath])) {
        let named: Vec<_> = files.iter().map(files::path_of).collect();
        let buffers: Vec<_> =
            self.tasks.iter().flat_map(|task| task.files.held(&task.name)).collect();
        let name = Arc::clone(&self.tasks[at].name);
        let who = (&*name, text);
        let number = u32::try_from(self.acked.len()).unwrap_or(u32::MAX);
        match self.sim.claim(&mut self.ledger, who, &named, &buffers) {
            Ok(claim) => self.claims.extend(claim),
            Err(TooMuch) => self.too_much = true,
        }
        let (task, kind) = (task_id(at), |task| Kind::Ack { task, text: number });
        self.said_at.push(place);
        self.acked.push(self.sim.moved(Layer::World, OpId(0), kind(task)));
    }

    /// The process dies and its buffers with it; or the machine does.
    fn die(&mut self, death: Death) {
        self.death = Some(death);
        match death {
            Death::Kill => {
                for at in 0..self.tasks.len() {
                    let task = task_id(at);
                    self.sim.moved(Layer::World, OpId(0), Kind::Kill { task });
                    self.sim.submit(task, Request::Exit);
                    self.tasks[at].files = Files::default();
                    self.tasks[at].doing = Doing::Nothing;
                }
            }
            Death::Crash => drop(self.sim.moved(Layer::World, OpId(0), Kind::Crash)),
            Death::Cut => drop(self.sim.moved(Layer::World, OpId(0), Kind::Cut)),
        }
    }

    /// What a death now leaves on the media.
    #[must_use]
    pub fn cut(&self, how: Death, chooser: &mut dyn Chooser) -> Media {
        self.sim.cut(how, chooser)
    }

    /// What is there at the end: after the death of the kernel what the media show, by the seed;
    /// else what the page cache shows.
    ///
    /// # Errors
    /// When the media cannot be mounted.
    pub fn end(&self) -> Result<Image, MountError> {
        match self.death {
            Some(how @ (Death::Crash | Death::Cut)) => {
                self.cut(how, &mut Seeded::new(mix2(self.seed, 2))).image()
            }
            Some(Death::Kill) | None => Ok(self.sim.shown()),
        }
    }
}

impl Task {
    fn ready(&self) -> bool {
        match self.doing {
            Doing::Nothing => !self.left.is_empty(),
            Doing::Job(_) => true,
            Doing::Waits(..) | Doing::Sleeps(_) => false,
        }
    }

    fn sleeps(&self) -> Option<Ns> {
        match self.doing {
            Doing::Sleeps(until) => Some(until),
            _ => None,
        }
    }
}

/// The number of a task: the first is 1.
fn task_id(at: usize) -> TaskId {
    TaskId(u32::try_from(at + 1).unwrap_or(u32::MAX))
}

/// What the disk holds when the story begins.
fn base_of(script: &Script) -> Result<Image, RunError> {
    let only = Script { durable: script.durable.clone(), steps: Vec::new() };
    Ok(only.run(crate::ops::script::Drive::Honest)?.shown())
}

/// The steps of a script, each `repeat` written out, and who makes them.
#[derive(Default)]
struct Unrolled {
    steps: Vec<Step>,
    tasks: Vec<Task>,
    expected: Vec<Expectation>,
    /// By place in the text: which of `steps`.
    known: std::collections::BTreeMap<Place, u32>,
}

impl Unrolled {
    fn steps(&mut self, steps: &[Step]) {
        for step in steps {
            match &step.act {
                Act::Repeat { times, steps } => (0..*times).for_each(|_| self.steps(steps)),
                Act::Expect { path, may_be } => {
                    if !self.expected.iter().any(|known| known.place == step.place) {
                        let (place, path, may_be) = (step.place, path.clone(), may_be.clone());
                        self.expected.push(Expectation { place, path, may_be });
                    }
                }
                _ => self.one(step),
            }
        }
    }

    fn one(&mut self, step: &Step) {
        let new = u32::try_from(self.steps.len()).unwrap_or(u32::MAX);
        let at = *self.known.entry(step.place).or_insert(new);
        if at == new {
            self.steps.push(step.clone());
        }
        let name = step.task.as_str();
        let task = match self.tasks.iter_mut().find(|task| &*task.name == name) {
            Some(task) => task,
            None => {
                self.tasks.push(Task {
                    name: name.into(),
                    left: VecDeque::new(),
                    files: Files::default(),
                    doing: Doing::Nothing,
                    says: None,
                });
                let last = self.tasks.len() - 1;
                &mut self.tasks[last]
            }
        };
        task.left.push_back(at);
    }
}
