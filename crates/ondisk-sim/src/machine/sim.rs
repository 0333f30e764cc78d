//! The front of the machine: calls in, answers and events out, and the plug.
//!
//! Invariant: no lock is held while a chooser or a caller's code runs on what was asked here,
//! except the chooser of [`Sim::cut`], which sees nothing of the machine.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::choice::Chooser;
use super::config::Config;
use super::digest::Digest;
use super::event::{Event, Kind, Layer};
use super::ids::{EventId, Ns, OpId, TaskId};
use super::machine_fs::MachineFs;
use super::media::{Media, MountError, Shot, StartError};
use super::message::{Reply, Request};
use super::whole::Machine;
use super::{Death, Errno};
use crate::ops::record::Recorder;
use crate::ops::verdict::{Claim, InBuffer, Ledger, TooMuch};
use crate::ops::{At, History, Image, Ino};

/// A machine that runs. A clone is the same machine; [`fork`](Self::fork) copies it.
#[derive(Clone)]
pub struct Sim(Arc<Mutex<Machine>>);

impl Sim {
    /// A machine on which these files are, durably, mounted and idle.
    ///
    /// # Errors
    /// When the files do not fit on its drive.
    pub fn new(config: Config, base: &Image, seed: u64) -> Result<Self, StartError> {
        Ok(Media::format(config, base)?.mount(seed)?)
    }

    pub(super) fn of(machine: Machine) -> Self {
        Self(Arc::new(Mutex::new(machine)))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Machine> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A copy that goes its own way.
    #[must_use]
    pub fn fork(&self) -> Self {
        Self::of(self.lock().clone())
    }

    /// The file system as a task of one thread sees it: each call runs the machine until it
    /// returns.
    #[must_use]
    pub fn fs(&self, task: TaskId) -> MachineFs {
        MachineFs::new(self.clone(), task)
    }

    /// How it was built.
    #[must_use]
    pub fn config(&self) -> Config {
        self.lock().config().clone()
    }

    /// Its seed.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.lock().seed()
    }

    /// A call of a task comes to the boundary now. A task makes one at a time.
    pub fn submit(&self, task: TaskId, what: Request) -> OpId {
        self.lock().submit(EventId(0), task, what)
    }

    /// The same, when something above the boundary made the task call.
    pub(super) fn submit_for(&self, cause: EventId, task: TaskId, what: Request) -> OpId {
        self.lock().submit(cause, task, what)
    }

    /// The answer of a call, when it is there; once.
    #[must_use]
    pub fn take(&self, op: OpId) -> Option<Result<Reply, Errno>> {
        self.lock().take(op)
    }

    /// Makes a call and runs the machine until it returns.
    ///
    /// # Errors
    /// What the call answers; `EIO` when nothing is left that could make it return.
    pub fn call(&self, task: TaskId, what: Request) -> Result<Reply, Errno> {
        let mut machine = self.lock();
        let op = machine.submit(EventId(0), task, what);
        loop {
            if let Some(answer) = machine.take(op) {
                return answer;
            }
            if !machine.step() {
                return Err(Errno::Io);
            }
        }
    }

    /// Something that moved above the boundary: a buffer, an acknowledgement, a death.
    pub fn moved(&self, layer: Layer, op: OpId, kind: Kind) -> EventId {
        self.lock().moved(layer, op, kind)
    }

    /// Records an acknowledgement, and what it speaks for; nothing where no history is kept.
    pub(super) fn claim(
        &self,
        ledger: &mut Ledger,
        who: (&str, &[u8]),
        named: &[PathBuf],
        buffers: &[InBuffer],
    ) -> Result<Option<Claim>, TooMuch> {
        let claim = |history: &mut Recorder| history.claim(ledger, who, named, buffers);
        self.lock().cx.history.as_mut().map(claim).transpose()
    }

    /// The number that the history has for what stands at a path.
    #[must_use]
    pub fn known(&self, path: &Path) -> Option<Ino> {
        self.lock().cx.history.as_mut()?.resolve(path)
    }

    /// All files as the page cache shows them, where a history is kept.
    #[must_use]
    pub fn shown(&self) -> Image {
        self.lock().cx.history.as_mut().map_or_else(Image::new, Recorder::image)
    }

    /// Records an acknowledgement in the history.
    pub fn ack(&self, note: &[u8]) {
        if let Some(history) = &mut self.lock().cx.history {
            history.ack(note);
        }
    }

    /// The next event: one that is not taken yet, or what the machine does next. `None` when
    /// nothing is due any more.
    #[must_use]
    pub fn step(&self) -> Option<Event> {
        let mut machine = self.lock();
        loop {
            if let Some(event) = machine.event() {
                return Some(event);
            }
            if !machine.step() {
                return None;
            }
        }
    }

    /// Does the next thing that is due, if there is one, and leaves its events to be taken.
    pub fn turn(&self) -> bool {
        self.lock().step()
    }

    /// The next event that was not taken; runs nothing.
    #[must_use]
    pub fn event(&self) -> Option<Event> {
        self.lock().event()
    }

    /// Whether events are kept until they are taken. At first they are.
    pub fn watch(&self, watched: bool) {
        let mut machine = self.lock();
        machine.cx.watched = watched;
        if !watched {
            machine.cx.events.clear();
        }
    }

    /// Tells a timeline of an event, with the bytes that it moved.
    pub fn tell(&self, timeline: &mut super::timeline::Recorder, event: &Event, note: &str) {
        timeline.event(event, &self.lock().cx.arena, note);
    }

    /// How many events there were.
    #[must_use]
    pub fn events(&self) -> u32 {
        self.lock().cx.count()
    }

    /// Does all that is due up to an instant.
    pub fn run_until(&self, at: Ns) {
        self.lock().run_until(at);
    }

    /// The clock.
    #[must_use]
    pub fn now(&self) -> Ns {
        self.lock().cx.now
    }

    /// When the next thing is due.
    #[must_use]
    pub fn due(&self) -> Option<Ns> {
        self.lock().due()
    }

    pub(super) fn wait_mounted(&self) {
        let mut machine = self.lock();
        while !machine.is_mounted() && machine.step() {}
    }

    /// All that was called, where the configuration asks for it.
    #[must_use]
    pub fn history(&self) -> Option<History> {
        self.lock().cx.history.as_mut().map(Recorder::history)
    }

    /// The present place in the history.
    #[must_use]
    pub fn here(&self) -> At {
        self.lock().cx.history.as_ref().map_or(At(0), Recorder::here)
    }

    /// This moment, to die at later.
    #[must_use]
    pub fn shot(&self) -> Shot {
        self.lock().shot()
    }

    /// Keeps a moment for every so many things that the drive is told or does, from here on; 0
    /// keeps none. They are taken by [`shots`](Self::shots).
    pub fn keep_shots(&self, every: u64) {
        self.lock().every = every;
    }

    /// The moments that were kept and not yet taken.
    #[must_use]
    pub fn shots(&self) -> Vec<Shot> {
        std::mem::take(&mut self.lock().shots)
    }

    /// A number that changes whenever what a death leaves may have changed.
    #[must_use]
    pub fn media_mark(&self) -> u64 {
        self.lock().drive_moves()
    }

    /// What would be left if the kernel died or the power failed now. The machine itself goes on.
    #[must_use]
    pub fn cut(&self, how: Death, chooser: &mut dyn Chooser) -> Media {
        self.shot().cut(how, chooser)
    }

    /// The power of the server of a network file system fails, and it is switched on again; this
    /// machine goes on. Nothing where there is no server.
    ///
    /// # Errors
    /// What the server's file system refuses.
    pub fn reboot_server(&self, chooser: &mut dyn Chooser) -> Result<(), MountError> {
        self.lock().reboot_server(chooser)
    }

    /// The whole state as a number.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.lock().digest()
    }
}

impl fmt::Debug for Sim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let machine = self.lock();
        write!(f, "Sim({} events, {} ns)", machine.cx.count(), machine.cx.now.0)
    }
}
