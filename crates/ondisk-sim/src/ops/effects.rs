//! The effects of a history under a model: what a cut can keep or lose, what needs what, and
//! since when each is durable.
//!
//! Invariant: effects are numbered in the order in which they were made; an effect needs only
//! earlier ones; and what is durable is closed: whatever a durable effect needs is durable too.
//! All of it is computed once for a history and a model, and a cut is a place in it.
//!
//! Knows nothing of what recovery reads.

use std::collections::BTreeMap;
use std::sync::Arc;

use ondisk_fs::BLOCK;

use super::history::{At, History, Ino};
use super::media::Is;
use super::model::Model;
use super::path::Name;
use super::store::BlockId;

mod builder;
mod closure;

use builder::Builder;
use closure::AnyOf;

/// Never.
const NEVER: At = At(u32::MAX);

/// The number of an effect.
pub(crate) type EffectId = u32;

/// What is known of an effect in a crash state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Nothing yet.
    Open,
    /// Nothing yet, and nobody waits for it any more: a sync that was to make it durable failed.
    Loose,
    /// It is there.
    In,
    /// It is not.
    Out,
}

/// The two ends of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Side {
    Called,
    Returned,
}

/// What an effect does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// One version of one block.
    Data { ino: Ino, block: u32 },
    /// A length that a write brought.
    Len { ino: Ino, len: u64 },
    /// A length that was set.
    SetLen { ino: Ino, len: u64 },
    /// A change of names.
    Name,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Effect {
    pub(crate) kind: Kind,
    /// Index of its call in the history.
    pub(crate) call: u32,
    made: At,
    /// It is durable after this.
    floor: At,
    /// A sync that was to make it durable failed at this.
    dropped: At,
    /// The page cache forgot it at this, and it never came to the media.
    evicted: At,
    /// It is a link of the one chain that the model has.
    chained: bool,
    /// A sync of its file or directory was called at this: it stands apart from the chain.
    apart: At,
}

/// A name after an effect.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NameStep {
    pub(crate) effect: EffectId,
    pub(crate) ino: Option<Ino>,
}

/// A name that an effect changes, and what it stands for then.
pub(crate) type NameChange<'a> = (Ino, &'a Name, Option<Ino>);

/// A length after an effect.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LenStep {
    pub(crate) effect: EffectId,
    pub(crate) len: u64,
    /// Whether it was shorter than what was there, and so cut blocks off.
    pub(crate) cuts: bool,
}

/// A block after an effect.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BlockStep {
    pub(crate) effect: EffectId,
    pub(crate) content: BlockId,
}

/// A length that any version of a block brings.
#[derive(Clone, Copy, Debug)]
struct LastOf {
    block: u32,
    len: EffectId,
    /// Where it needs one, or the length that comes next: which of those.
    any_of: Option<usize>,
    /// Whether there is a version.
    has: bool,
}

/// All that happened to one file.
#[derive(Clone, Debug, Default)]
pub(crate) struct FileSteps {
    pub(crate) lens: Vec<LenStep>,
    pub(crate) has_cuts: bool,
    /// Its length before the first of them.
    first_len: u64,
    blocks: BTreeMap<u32, Vec<BlockStep>>,
    /// Of new blocks the first versions that no length needs yet.
    fresh: Vec<(u32, EffectId)>,
    /// Which lengths need one of its blocks from here on.
    any_of: Option<usize>,
    /// Which lengths need their last block, until there is another one for certain.
    last_of: Vec<usize>,
    /// Lengths that need any version of a block, and whether there was one yet.
    lasts: Vec<LastOf>,
    /// Blocks are reserved up to here.
    reserved: u64,
    creation: Option<EffectId>,
    /// Changes of its names.
    names: Vec<EffectId>,
}

impl FileSteps {
    pub(crate) fn block(&self, block: u32) -> &[BlockStep] {
        self.blocks.get(&block).map_or(&[], Vec::as_slice)
    }

    /// Behind the last block that was written.
    pub(crate) fn end(&self) -> u32 {
        self.blocks.last_key_value().map_or(0, |(block, _)| block + 1)
    }
}

/// The effects of a history under a model.
#[derive(Debug)]
pub(crate) struct Effects {
    pub(crate) model: Model,
    pub(crate) list: Vec<Effect>,
    needs: Vec<Vec<EffectId>>,
    needed_by: Vec<Vec<EffectId>>,
    /// The links of the one chain, where that is one of commits.
    commits: Vec<EffectId>,
    /// Lengths that need one of some effects.
    lens_of: Vec<AnyOf>,
    /// By length: which of those it is in.
    any_of_len: BTreeMap<EffectId, usize>,
    /// By effect: which of those need it or another.
    any_of: BTreeMap<EffectId, Vec<usize>>,
    /// By inode; empty for those that nothing happened to.
    files: Vec<FileSteps>,
    names: BTreeMap<Ino, BTreeMap<Name, Vec<NameStep>>>,
    /// What the inodes made in this life are, the first number among them given apart.
    made: Vec<Is>,
    first_made: usize,
    /// What the symbolic links among them stand for.
    targets: BTreeMap<Ino, Arc<[u8]>>,
}

impl Effects {
    pub(crate) fn new(model: &Model, history: &History) -> Self {
        let mut builder = Builder::new(model, history);
        // Calls stand in the order in which they were made, their returns in between.
        let mut places: Vec<(At, u32, Side)> = Vec::with_capacity(2 * history.calls.len());
        for (at, call) in (0..).zip(&history.calls) {
            places.push((call.called, at, Side::Called));
            places.extend(call.returned.map(|returned| (returned, at, Side::Returned)));
        }
        places.sort();
        for (_, at, side) in places {
            match side {
                Side::Called => builder.called(at),
                Side::Returned => builder.returned(at),
            }
        }
        builder.finish()
    }

    /// What is known of each effect at a cut.
    pub(crate) fn states(&self, cut: At) -> Vec<State> {
        let state = |effect: &Effect| match effect {
            _ if effect.made >= cut => State::Out,
            _ if effect.evicted < cut => State::Out,
            _ if effect.floor < cut => State::In,
            _ if effect.dropped < cut => State::Loose,
            _ => State::Open,
        };
        self.list.iter().map(state).collect()
    }

    pub(crate) fn file(&self, ino: Ino) -> Option<&FileSteps> {
        self.files.get(ino.index())
    }

    /// The changed names in a directory.
    pub(crate) fn names_in(&self, dir: Ino) -> impl Iterator<Item = &Name> {
        self.names.get(&dir).into_iter().flat_map(BTreeMap::keys)
    }

    /// The directories with changed names.
    pub(crate) fn dirs(&self) -> impl Iterator<Item = Ino> {
        self.names.keys().copied()
    }

    pub(crate) fn name(&self, dir: Ino, name: &std::ffi::OsStr) -> &[NameStep] {
        self.names.get(&dir).and_then(|names| names.get(name)).map_or(&[], Vec::as_slice)
    }

    /// What an inode made in this life is.
    pub(crate) fn is(&self, ino: Ino) -> Option<Is> {
        self.made.get(ino.index().checked_sub(self.first_made)?).copied()
    }

    /// What a symbolic link made in this life stands for.
    pub(crate) fn target(&self, ino: Ino) -> Option<&Arc<[u8]>> {
        self.targets.get(&ino)
    }

    /// The first number that no inode has.
    pub(crate) fn inodes(&self) -> usize {
        self.first_made + self.made.len()
    }

    /// The links of the one chain that the model has, in order; none where some of them may stand
    /// apart from it.
    pub(crate) fn chain(&self) -> impl Iterator<Item = EffectId> {
        let links = (0..).zip(&self.list).filter(|(_, effect)| effect.chained);
        links.filter(|_| self.commits.is_empty()).map(|(id, _)| id)
    }

    /// Whether the links of the chain come by commits, and some may stand apart from it.
    pub(crate) fn has_commits(&self) -> bool {
        !self.commits.is_empty()
    }

    /// Whether the chain orders all changes of names.
    pub(crate) fn names_are_one_chain(&self) -> bool {
        let is_link = |effect: &Effect| effect.kind != Kind::Name || effect.chained;
        self.commits.is_empty() && self.list.iter().all(is_link)
    }

    /// All changes of names in their order, each with what it changes.
    pub(crate) fn name_changes(&self) -> BTreeMap<EffectId, Vec<NameChange<'_>>> {
        let mut changes: BTreeMap<EffectId, Vec<NameChange<'_>>> = BTreeMap::new();
        for (dir, names) in &self.names {
            for (name, steps) in names {
                for step in steps {
                    changes.entry(step.effect).or_default().push((*dir, name, step.ino));
                }
            }
        }
        changes
    }
}

/// Whether a cut to a length takes bytes of a block.
pub(crate) fn cuts_block(len: u64, block: u32) -> bool {
    len < (u64::from(block) + 1) * BLOCK as u64
}
