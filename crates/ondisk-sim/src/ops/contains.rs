//! Whether an image is one that a power cut may leave: answered exactly, without enumeration.
//!
//! For each prefix of the model's one chain from the floor on: the names must be the image's, hard
//! links included; then each file, alone, must have one of its lengths; then each block, alone,
//! one of its versions, or what stands there without one, or sectors of several. What the chain
//! does not order (the names of `posix`) is searched with backtracking, up to a limit.
//!
//! Invariant: a [`Witness`] is a set of effects that the model allows; an image is [`Refuted`] only
//! when every such set was ruled out. Where the search ends early the answer is
//! [`Member::Unknown`], never a refutation.
//!
//! Knows nothing of how a [`CrashFs`](super::CrashFs) decides: the two are held against each other
//! by tests.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::crash::{Crash, Cut};
use super::effects::{EffectId, Effects, State};
use super::history::{At, History, Ino, OpId};
use super::image::Image;
use super::media::{Inode, Tree};
use super::model::Model;
use super::path::Name;

mod file;
mod names;
mod refuted;
mod shape;

use names::Search;
pub use refuted::{Refuted, Rule};
use shape::{Namespaces, Shape};

/// So many combinations of names are tried for one image before the answer is `Unknown`.
const MOST_TRIES: u32 = 20_000;

/// What is known of an image at a cut.
#[derive(Clone, Debug)]
pub enum Member {
    /// The cut may leave it, in this way.
    Witness(Witness),
    /// The cut cannot leave it, for this reason.
    Refuted(Refuted),
    /// Nobody knows: too many combinations of names would have to be tried, or the life began with
    /// a state that is not wholly known.
    Unknown,
}

impl Member {
    /// Whether the cut may leave the image, for certain.
    #[must_use]
    pub const fn is_witness(&self) -> bool {
        matches!(self, Self::Witness(_))
    }

    /// Why the cut cannot leave it.
    #[must_use]
    pub const fn refuted(&self) -> Option<&Refuted> {
        match self {
            Self::Refuted(refuted) => Some(refuted),
            Self::Witness(_) | Self::Unknown => None,
        }
    }
}

/// A way in which a cut may leave an image.
#[derive(Clone, Debug)]
pub struct Witness {
    /// The calls of which something is not there: their numbers in stories.
    pub lost: Vec<OpId>,
}

/// All that membership needs to know of a history under a model, computed once.
///
/// ```
/// use ondisk_sim::{Image, MemFs, Membership, model::EXT4};
/// # use ondisk_fs::FileSystem;
/// let fs = MemFs::new();
/// fs.create_new("f".as_ref())?.write_at(b"A", 0)?;
/// let history = fs.history();
/// let end = history.end;
/// let cuts = Membership::new(&EXT4, history);
/// assert!(cuts.at(end).contains(&Image::new()).is_witness());
/// assert!(cuts.at(end).contains(&Image::new().file("f", "A")).is_witness());
/// let other = cuts.at(end).contains(&Image::new().file("f", "B"));
/// let why = other.refuted().unwrap().to_string();
/// assert!(why.starts_with("`f`, block 0 (byte 0 on): none of the contents"), "{why}");
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Membership {
    history: Arc<History>,
    effects: Arc<Effects>,
    /// What the life began with; `None` when that is not wholly known.
    base: Option<Arc<Tree>>,
    /// The names that each directory ever had, sorted.
    names: BTreeMap<Ino, Vec<Name>>,
    namespaces: Namespaces,
}

impl Membership {
    /// For the cuts of a history.
    #[must_use]
    pub fn new(model: &Model, history: impl Into<Arc<History>>) -> Self {
        let history = history.into();
        let effects = Arc::new(Effects::new(model, &history));
        Self::of(history, effects)
    }

    fn of(history: Arc<History>, effects: Arc<Effects>) -> Self {
        let base = history.base.known();
        let namespaces =
            base.as_ref().map(|base| Namespaces::new(base, &effects)).unwrap_or_default();
        let names = base.as_ref().map(|base| all_names(base, &effects)).unwrap_or_default();
        Self { history, effects, base, names, namespaces }
    }

    /// The cut at a place.
    #[must_use]
    pub fn at(&self, at: At) -> Members<'_> {
        let states = self.effects.states(at);
        let is_open = |id: &EffectId| states[*id as usize] == State::Open;
        let chain = self.effects.chain().filter(is_open).collect();
        Members { cuts: self, at, states, chain }
    }

    /// What was called.
    #[must_use]
    pub fn history(&self) -> &History {
        &self.history
    }
}

impl From<&Crash> for Membership {
    fn from(crash: &Crash) -> Self {
        Self::of(Arc::clone(&crash.history), Arc::clone(&crash.effects))
    }
}

impl Cut<'_> {
    /// Whether this cut may leave an image. Who asks often makes a [`Membership`] once.
    #[must_use]
    pub fn contains(&self, image: &Image) -> Member {
        Membership::from(self.crash).at(self.place()).contains(image)
    }
}

/// One power cut, to be asked.
#[derive(Clone, Debug)]
pub struct Members<'a> {
    cuts: &'a Membership,
    at: At,
    states: Vec<State>,
    /// The links of the chain that may be there or not.
    chain: Vec<EffectId>,
}

impl Members<'_> {
    /// The place.
    #[must_use]
    pub fn place(&self) -> At {
        self.at
    }

    /// Whether this cut may leave an image.
    #[must_use]
    pub fn contains(&self, image: &Image) -> Member {
        let Some(base) = &self.cuts.base else { return Member::Unknown };
        let shape = Shape::new(image);
        let digest = self.cuts.namespaces.is_one_chain().then(|| shape.digest());
        let mut search = Search::new(self.cuts, self.at, base, &shape);
        for kept in (0..=self.chain.len()).rev() {
            if digest.is_some_and(|digest| self.namespace(kept) != digest) {
                continue;
            }
            if let Some(states) = search.try_all(self.after(kept)) {
                return Member::Witness(self.witness(&states));
            }
            if search.is_out_of_tries() {
                return Member::Unknown;
            }
        }
        // No prefix has these names: the nearest says what is wrong with them.
        let refuted = search.refuted.take().or_else(|| {
            let all = (0..=self.chain.len()).rev();
            let judged = all.filter_map(|kept| search.judge_names(self.after(kept)));
            judged.min_by_key(|(wrong, _)| *wrong).map(|(_, first)| first)
        });
        let refuted = refuted.unwrap_or_default();
        Member::Refuted(refuted.under(&self.cuts.effects.model))
    }

    /// What is known of each effect when the first so many open links are there and no others.
    fn after(&self, kept: usize) -> Vec<State> {
        let effects = &self.cuts.effects;
        let mut states = self.states.clone();
        if let Some(first_lost) = self.chain.get(kept) {
            effects.lose(self.at, &mut states, *first_lost);
        }
        if let Some(last_kept) = kept.checked_sub(1) {
            effects.keep(self.at, &mut states, self.chain[last_kept]);
        }
        states
    }

    /// The digest of the names then, where the chain orders them all.
    fn namespace(&self, kept: usize) -> u64 {
        let bound = self.chain.get(kept).copied().or_else(|| {
            // All of the chain is there, as far as it was made.
            let made = self.states.iter().rposition(|state| *state != State::Out)?;
            EffectId::try_from(made + 1).ok()
        });
        self.cuts.namespaces.before(bound.unwrap_or(0))
    }

    fn witness(&self, states: &[State]) -> Witness {
        let effects = &self.cuts.effects;
        let calls = &self.cuts.history.calls;
        let made = states.iter().zip(&effects.list).zip(&self.states);
        let lost = made.filter(|((state, _), before)| {
            **state == State::Out && matches!(before, State::Open | State::Loose)
        });
        let mut lost: Vec<OpId> =
            lost.map(|((_, effect), _)| calls[effect.call as usize].op).collect();
        lost.dedup();
        Witness { lost }
    }
}

/// The names that each directory ever had, sorted.
fn all_names(base: &Tree, effects: &Effects) -> BTreeMap<Ino, Vec<Name>> {
    let mut names: BTreeMap<Ino, Vec<Name>> = BTreeMap::new();
    for (ino, inode) in (0..).zip(&base.inodes) {
        if let Inode::Dir { entries } = inode {
            names.entry(Ino(ino)).or_default().extend(entries.keys().cloned());
        }
    }
    for dir in effects.dirs() {
        names.entry(dir).or_default().extend(effects.names_in(dir).cloned());
    }
    for names in names.values_mut() {
        names.sort();
        names.dedup();
    }
    names
}

#[cfg(test)]
mod tests;
