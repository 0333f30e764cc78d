//! The search for names: walks the image from its root and decides, name by name, which inode
//! stands there.
//!
//! Invariant: states are closed at every step (what is there has all that it needs), so a name
//! that may stand at a place of its chain can be decided to, whatever is open besides.

use std::collections::BTreeMap;
use std::ffi::OsStr;

use super::file::{FileCheck, Wrong};
use super::refuted::{Refuted, Rule};
use super::shape::{ROOT, Shape, is_of, target_of};
use super::{MOST_TRIES, Membership};
use crate::ops::effects::{EffectId, State};
use crate::ops::history::{At, Ino};
use crate::ops::media::{Inode, Is, Tree};
use crate::ops::path::Name;

/// Branches within branches: more are not followed.
const DEEPEST: u32 = 64;

/// One search for one image.
pub(super) struct Search<'a> {
    cuts: &'a Membership,
    at: At,
    base: &'a Tree,
    shape: &'a Shape<'a>,
    /// The names that each directory ever had.
    names: BTreeMap<Ino, Vec<Name>>,
    tries: u32,
    /// The best reason so far: that of the branch that got farthest.
    pub(super) refuted: Option<Refuted>,
}

/// A half-decided tree of names.
#[derive(Clone)]
struct Branch {
    states: Vec<State>,
    /// Names still to be decided: directory, index of the name, node of the directory.
    left: Vec<(Ino, usize, usize)>,
    /// Which inode each file of the image is, and the other way round.
    inode_of: BTreeMap<usize, Ino>,
    file_of: BTreeMap<Ino, usize>,
}

/// One way to decide a name.
#[derive(Clone, Copy)]
struct Choice {
    ino: Option<Ino>,
    /// The first and last of the neighbouring places of the chain that say so; `None` for below
    /// the chain.
    first: Option<EffectId>,
    last: Option<EffectId>,
}

impl<'a> Search<'a> {
    pub(super) fn new(cuts: &'a Membership, at: At, base: &'a Tree, shape: &'a Shape<'a>) -> Self {
        Self { cuts, at, base, shape, names: BTreeMap::new(), tries: 0, refuted: None }
    }

    pub(super) fn is_out_of_tries(&self) -> bool {
        self.tries >= MOST_TRIES
    }

    /// States that make the image, when there are any among those that are left.
    pub(super) fn try_all(&mut self, states: Vec<State>) -> Option<Vec<State>> {
        let mut branch = Branch {
            states,
            left: Vec::new(),
            inode_of: BTreeMap::new(),
            file_of: BTreeMap::new(),
        };
        self.enter(&mut branch, Ino::ROOT, ROOT)?;
        self.follow(branch, 0)
    }

    /// Finds what is wrong with the names, for a refutation.
    pub(super) fn judge_names(&mut self, states: &[State]) {
        let found = self.try_all(states.to_vec());
        debug_assert!(found.is_none(), "its digest was another");
    }

    /// The names of a directory are to be decided.
    fn enter(&mut self, branch: &mut Branch, dir: Ino, node: usize) -> Option<()> {
        let (base, effects) = (self.base, &self.cuts.effects);
        let names = self.names.entry(dir).or_insert_with(|| {
            let mut names: Vec<Name> = match base.inodes.get(dir.index()) {
                Some(Inode::Dir { entries }) => entries.keys().cloned().collect(),
                _ => Vec::new(),
            };
            names.extend(effects.names_in(dir).cloned());
            names.sort();
            names.dedup();
            names
        });
        let known = |name: &OsStr| names.binary_search_by(|known| (**known).cmp(name)).is_ok();
        if let Some((_, child)) = self.shape.nodes[node].children.iter().find(|it| !known(it.0)) {
            return self.fail(*child, branch, Rule::NeverNamed);
        }
        branch.left.extend((0..names.len()).map(|at| (dir, at, node)));
        Some(())
    }

    /// Decides all names that are left, and then looks at the files.
    fn follow(&mut self, mut branch: Branch, depth: u32) -> Option<Vec<State>> {
        while let Some((dir, at, node)) = branch.left.pop() {
            self.tries += 1;
            if self.is_out_of_tries() || depth > DEEPEST {
                self.tries = MOST_TRIES;
                return None;
            }
            let name = self.names[&dir][at].clone();
            let child = self.shape.nodes[node].children.get(&*name).copied();
            let choices = self.choices(&mut branch, dir, &name, node, child);
            let (last, others) = choices.split_last()?;
            for choice in others {
                let mut other = branch.clone();
                if self.choose(&mut other, dir, &name, child, choice).is_some()
                    && let Some(found) = self.follow(other, depth + 1)
                {
                    return Some(found);
                }
                if self.is_out_of_tries() {
                    return None;
                }
            }
            self.choose(&mut branch, dir, &name, child, last)?;
        }
        self.files(branch)
    }

    /// The ways to decide a name that the image does not contradict.
    fn choices(
        &mut self,
        branch: &mut Branch,
        dir: Ino,
        name: &OsStr,
        node: usize,
        child: Option<usize>,
    ) -> Vec<Choice> {
        let mut all = self.all_choices(branch, dir, name);
        let many = all.len() > 1;
        let mut why = None;
        all.retain(|choice| match self.fits(branch, choice.ino, child, many) {
            Ok(()) => true,
            Err(rule) => {
                why = Some(rule);
                false
            }
        });
        if all.is_empty()
            && let Some(rule) = why
        {
            match child {
                Some(child) => self.fail::<()>(child, branch, rule),
                None => {
                    let path = self.shape.nodes[node].path.join(name);
                    self.note(Refuted::names(path, rule), branch);
                    None
                }
            };
        }
        all
    }

    fn all_choices(&self, branch: &Branch, dir: Ino, name: &OsStr) -> Vec<Choice> {
        let chain = self.cuts.effects.name(dir, name);
        let is = |effect: EffectId| branch.states[effect as usize];
        let settled = chain.iter().rposition(|step| is(step.effect) == State::In);
        let mut choices: Vec<Choice> = Vec::new();
        if settled.is_none() {
            let ino = match self.base.inodes.get(dir.index()) {
                Some(Inode::Dir { entries }) => entries.get(name).copied(),
                _ => None,
            };
            choices.push(Choice { ino, first: None, last: None });
        }
        for step in chain[settled.unwrap_or(0)..].iter().filter(|it| is(it.effect) != State::Out) {
            let effect = Some(step.effect);
            match choices.last_mut() {
                Some(run) if run.ino == step.ino => run.last = effect,
                _ => choices.push(Choice { ino: step.ino, first: effect, last: effect }),
            }
        }
        choices
    }

    /// Whether an inode may be what the image has under a name. Of several, those whose content
    /// is wrong are ruled out at once.
    fn fits(
        &self,
        branch: &Branch,
        ino: Option<Ino>,
        child: Option<usize>,
        many: bool,
    ) -> Result<(), Rule> {
        let (ino, child) = match (ino, child) {
            (None, None) => return Ok(()),
            (Some(_), None) => return Err(Rule::MissingName),
            (None, Some(_)) => return Err(Rule::NoSuchName),
            (Some(ino), Some(child)) => (ino, child),
        };
        let (effects, node) = (&self.cuts.effects, &self.shape.nodes[child]);
        let is = is_of(self.base, effects, ino);
        if is != node.is {
            return Err(Rule::Kind);
        }
        if is == Is::Dir {
            return Ok(());
        }
        let known = branch.inode_of.get(&node.group).copied();
        if known.is_some_and(|known| known != ino)
            || branch.file_of.get(&ino).is_some_and(|group| *group != node.group)
        {
            return Err(Rule::Links);
        }
        if is == Is::Symlink && target_of(self.base, effects, ino) != node.bytes {
            return Err(Rule::Target);
        }
        if many && is == Is::File && self.file(&branch.states, ino, node.bytes).is_err() {
            return Err(Rule::NoSuchName);
        }
        Ok(())
    }

    fn choose(
        &mut self,
        branch: &mut Branch,
        dir: Ino,
        name: &OsStr,
        child: Option<usize>,
        choice: &Choice,
    ) -> Option<()> {
        let effects = &self.cuts.effects;
        let chain = effects.name(dir, name).iter().map(|step| step.effect);
        effects.narrow(self.at, &mut branch.states, chain, choice.first, choice.last);
        let (Some(ino), Some(child)) = (choice.ino, child) else { return Some(()) };
        let node = &self.shape.nodes[child];
        if node.is == Is::Dir {
            return self.enter(branch, ino, child);
        }
        branch.inode_of.insert(node.group, ino);
        branch.file_of.insert(ino, node.group);
        Some(())
    }

    /// All names being decided, each file alone.
    fn files(&mut self, branch: Branch) -> Option<Vec<State>> {
        let mut states = branch.states;
        for (group, ino) in &branch.inode_of {
            let node = &self.shape.nodes[*group];
            if node.is != Is::File {
                continue;
            }
            match self.file(&states, *ino, node.bytes) {
                Ok(found) => states = found,
                Err(Wrong { rule, block }) => {
                    let refuted = Refuted::block(node.path.to_owned(), block, rule);
                    let all = self.shape.nodes.len();
                    self.note_at(refuted, all);
                    return None;
                }
            }
        }
        Some(states)
    }

    fn file(&self, states: &[State], ino: Ino, bytes: &[u8]) -> Result<Vec<State>, Wrong> {
        FileCheck { cuts: self.cuts, at: self.at, base: self.base, ino, bytes }.states(states)
    }

    fn fail<T>(&mut self, node: usize, branch: &Branch, rule: Rule) -> Option<T> {
        self.note(Refuted::names(self.shape.nodes[node].path.to_owned(), rule), branch);
        None
    }

    fn note(&mut self, refuted: Refuted, branch: &Branch) {
        self.note_at(refuted, branch.inode_of.len());
    }

    /// Keeps the reason of whatever got farthest.
    fn note_at(&mut self, refuted: Refuted, reached: usize) {
        if self.refuted.as_ref().is_none_or(|best| best.reached < reached) {
            self.refuted = Some(Refuted { reached, ..refuted });
        }
    }
}
