//! A power cut: which states of the media it may leave.
//!
//! Invariant: what depends on the history and the model alone is computed once, when the
//! [`Crash`] is made; a [`Cut`] is a place in it, and making one state of it copies no bytes of
//! any file.

use std::sync::{Arc, Mutex};

use super::chooser::{Answer, Chooser, Newest, Recorder};
use super::crash_fs::CrashFs;
use super::effects::{EffectId, Effects, State};
use super::history::{Ack, At, History};
use super::live::Live;
use super::media::Stratum;
use super::mem_fs::MemFs;
use super::model::Model;

/// All power cuts of one life under one model.
#[derive(Clone, Debug)]
pub struct Crash {
    pub(super) history: Arc<History>,
    pub(super) effects: Arc<Effects>,
    /// The state that this life began with, where it was one.
    pub(super) origin: Option<CrashFs>,
}

/// Where to cut a life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Where {
    /// Just before each sync or durable write returns, and at the end. Between two of these the
    /// possible states and what is owed only grow, so no other cut shows more: of an oracle that
    /// asks for no more when more was acknowledged and kept.
    #[default]
    AtSyncs,
    /// Before and after every call: for small histories.
    Everywhere,
    /// At the end alone.
    AtTheEnd,
}

impl Crash {
    /// The cuts of a history.
    #[must_use]
    pub fn new(model: &Model, history: History) -> Self {
        let effects = Arc::new(Effects::new(model, &history));
        Self { history: Arc::new(history), effects, origin: None }
    }

    /// The cuts of what was called on a crash state: a further life. All that was decided of the
    /// media stays; what was never asked for is still open. The state's number is sealed.
    #[must_use]
    pub fn of_life(model: &Model, fs: &CrashFs) -> Self {
        fs.seal();
        Self { origin: Some(fs.clone()), ..Self::new(model, fs.history()) }
    }

    /// What was called.
    #[must_use]
    pub fn history(&self) -> &History {
        &self.history
    }

    /// The model.
    #[must_use]
    pub fn model(&self) -> &Model {
        &self.effects.model
    }

    /// The places to cut.
    #[must_use]
    pub fn places(&self, places: Where) -> Vec<At> {
        match places {
            Where::AtSyncs => self.history.cuts_at_syncs(),
            Where::Everywhere => self.history.cuts_everywhere(),
            Where::AtTheEnd => vec![self.history.end],
        }
    }

    /// The cut at a place: calls made before it may have left something, calls that returned
    /// before it have kept their promises.
    #[must_use]
    pub fn at(&self, at: At) -> Cut<'_> {
        let (before, own) = (&self.history.owed, &self.history.acks);
        let owed = before.iter().chain(own.iter().filter(|ack| ack.at < at)).cloned().collect();
        Cut { crash: self, at, states: self.effects.states(at), owed }
    }
}

/// One power cut.
#[derive(Clone, Debug)]
pub struct Cut<'a> {
    pub(super) crash: &'a Crash,
    pub(super) at: At,
    pub(super) states: Vec<State>,
    owed: Arc<[Ack]>,
}

impl Cut<'_> {
    /// The place.
    #[must_use]
    pub fn place(&self) -> At {
        self.at
    }

    /// What the program was doing there, as it said by [`MemFs::label`].
    #[must_use]
    pub fn label(&self) -> Arc<str> {
        self.crash.history.label(self.at)
    }

    /// All that was acknowledged before it, in this life and those before.
    #[must_use]
    pub fn owed(&self) -> &[Ack] {
        &self.owed
    }

    /// How many effects may be there or not.
    #[must_use]
    pub fn open_effects(&self) -> usize {
        self.open().count()
    }

    pub(super) fn open(&self) -> impl Iterator<Item = EffectId> {
        let is_open = |state: &State| matches!(state, State::Open | State::Loose);
        (0..).zip(&self.states).filter(move |(_, state)| is_open(state)).map(|(effect, _)| effect)
    }

    /// One state, decided by a chooser as it is read.
    #[must_use]
    pub fn state(&self, chooser: Box<dyn Chooser>) -> CrashFs {
        let recorder = Arc::new(Mutex::new(Recorder::new(Vec::new(), chooser)));
        self.state_with(&[], &[], recorder)
    }

    /// The state that answers lead to; behind the last of them the newest.
    #[must_use]
    pub fn replay(&self, answers: &[Answer]) -> CrashFs {
        let prefix = answers.iter().map(|answer| answer.picked).collect();
        let recorder = Arc::new(Mutex::new(Recorder::new(prefix, Box::new(Newest))));
        self.state_with(&[], &[], recorder)
    }

    /// One state in which some effects are there and some are not; of those that contradict
    /// each other the later ones win.
    pub(super) fn state_with(
        &self,
        kept: &[EffectId],
        lost: &[EffectId],
        chooser: Arc<Mutex<Recorder>>,
    ) -> CrashFs {
        let (history, effects) = (&self.crash.history, &self.crash.effects);
        let mut states = self.states.clone();
        for effect in lost {
            effects.lose(self.at, &mut states, *effect);
        }
        for effect in kept {
            if states[*effect as usize] != State::Out {
                effects.keep(self.at, &mut states, *effect);
            }
        }
        let stratum = Stratum::new(Arc::clone(effects), self.at, states);
        let media = history.base.cut(stratum, Arc::clone(&chooser));
        let live =
            Live::new(media, history.store.clone(), history.life + 1, Arc::clone(&self.owed));
        CrashFs::new(MemFs::of(live), Arc::clone(&self.owed), self.label(), chooser)
    }
}
