//! The search for names: walks the image from its root and decides, name by name, which inode
//! stands there.
//!
//! Invariant: states are closed at every step (what is there has all that it needs), so a name
//! that may stand at a place of its chain can be decided to, whatever is open besides.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::PathBuf;

use super::file::{FileCheck, Wrong};
use super::refuted::{Refuted, Rule};
use super::shape::{ROOT, Shape, ShapeNode, is_of, target_of};
use super::{MOST_TRIES, Membership};
use crate::ops::effects::{EffectId, State};
use crate::ops::history::{At, Ino};
use crate::ops::media::{Inode, Is, Tree};
use crate::ops::path::Name;

/// Branches within branches: more are not followed.
const DEEPEST: u32 = 256;

/// One search for one image.
pub(super) struct Search<'a> {
    cuts: &'a Membership,
    at: At,
    base: &'a Tree,
    shape: &'a Shape<'a>,
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
        Self { cuts, at, base, shape, tries: 0, refuted: None }
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

    /// Finds what is wrong with names that are all decided, for a refutation: how much, and of that
    /// the first.
    pub(super) fn judge_names(&mut self, states: Vec<State>) -> Option<(usize, Refuted)> {
        let (inode_of, file_of) = (BTreeMap::new(), BTreeMap::new());
        let mut branch = Branch { states, left: Vec::new(), inode_of, file_of };
        let (mut wrong, mut first) = (0, None);
        let mut judge = |path: PathBuf, rule: Rule| {
            wrong += 1;
            first.get_or_insert(Refuted::names(path, rule));
        };
        let mut dirs = vec![(Ino::ROOT, ROOT)];
        while let Some((dir, node)) = dirs.pop() {
            let ShapeNode { path, children, .. } = &self.shape.nodes[node];
            for name in self.names(dir) {
                let child = children.get(&**name).copied();
                let choice = self.all_choices(&branch, dir, name).pop();
                let ino = choice.and_then(|choice| choice.ino);
                if let Err(rule) = self.fits(&branch, ino, child, false) {
                    judge(path.join(&**name), rule);
                } else if let (Some(ino), Some(child)) = (ino, child) {
                    let ShapeNode { is, group, .. } = self.shape.nodes[child];
                    if is == Is::Dir {
                        dirs.push((ino, child));
                    } else {
                        branch.inode_of.insert(group, ino);
                        branch.file_of.insert(ino, group);
                    }
                }
            }
            let known = |name: &&OsStr| self.is_known(dir, name);
            for name in children.keys().filter(|name| !known(name)) {
                judge(path.join(name), Rule::NeverNamed);
            }
        }
        first.map(|first| (wrong, first))
    }

    fn is_known(&self, dir: Ino, name: &OsStr) -> bool {
        self.names(dir).binary_search_by(|known| (**known).cmp(name)).is_ok()
    }

    fn names(&self, dir: Ino) -> &'a [Name] {
        self.cuts.names.get(&dir).map_or(&[], Vec::as_slice)
    }

    /// The names of a directory are to be decided.
    fn enter(&mut self, branch: &mut Branch, dir: Ino, node: usize) -> Option<()> {
        let names = self.names(dir);
        let mut children = self.shape.nodes[node].children.iter();
        if let Some((_, child)) = children.find(|(name, _)| !self.is_known(dir, name)) {
            return self.fail(*child, branch, Rule::NeverNamed);
        }
        branch.left.extend((0..names.len()).map(|at| (dir, at, node)));
        Some(())
    }

    /// Decides all names that are left, and then looks at the files.
    fn follow(&mut self, mut branch: Branch, depth: u32) -> Option<Vec<State>> {
        let Some((narrowest, choices)) = self.settle(&mut branch)? else {
            return self.files(branch);
        };
        let (dir, at, node) = branch.left.swap_remove(narrowest);
        let name = &*self.names(dir)[at];
        let child = self.shape.nodes[node].children.get(name).copied();
        // To keep more leaves more ways to keep something else.
        for choice in choices.iter().rev() {
            self.tries += 1;
            if self.is_out_of_tries() || depth > DEEPEST {
                self.tries = MOST_TRIES;
                return None;
            }
            let mut other = branch.clone();
            if self.choose(&mut other, dir, name, child, choice).is_some()
                && let Some(found) = self.follow(other, depth + 1)
            {
                return Some(found);
            }
        }
        None
    }

    /// Decides every name that can be decided in one way alone, until those that are left can each
    /// be decided in several; gives the one of these with the fewest ways.
    #[expect(clippy::option_option, reason = "no way at all, nothing left, or what is left")]
    fn settle(&mut self, branch: &mut Branch) -> Option<Option<(usize, Vec<Choice>)>> {
        loop {
            let mut narrowest: Option<(usize, Vec<Choice>)> = None;
            let (mut next, mut has_settled) = (0, false);
            while let Some((dir, at, node)) = branch.left.get(next).copied() {
                let name = &*self.names(dir)[at];
                let child = self.shape.nodes[node].children.get(name).copied();
                let choices = self.choices(branch, dir, name, node, child);
                match choices.as_slice() {
                    [] => return None,
                    [one] => {
                        branch.left.swap_remove(next);
                        self.choose(branch, dir, name, child, one)?;
                        has_settled = true;
                        continue;
                    }
                    _ => {}
                }
                if narrowest.as_ref().is_none_or(|(_, fewest)| choices.len() < fewest.len()) {
                    narrowest = Some((next, choices));
                }
                next += 1;
            }
            if narrowest.is_none() || !has_settled {
                return Some(narrowest);
            }
        }
    }

    /// The ways to decide a name that the image does not contradict.
    fn choices(
        &mut self,
        branch: &Branch,
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

    /// All names being decided, the files.
    fn files(&mut self, branch: Branch) -> Option<Vec<State>> {
        let is_file = |(group, _): &(usize, Ino)| self.shape.nodes[*group].is == Is::File;
        let files: Vec<_> = branch.inode_of.into_iter().filter(is_file).collect();
        self.files_from(branch.states, &files, 0)
    }

    /// Each file alone; only where lengths wait for commits may one place of a length leave
    /// another file no way, and another place of the same length one.
    fn files_from(
        &mut self,
        mut states: Vec<State>,
        files: &[(usize, Ino)],
        depth: u32,
    ) -> Option<Vec<State>> {
        for (at, (group, ino)) in files.iter().enumerate() {
            let node = &self.shape.nodes[*group];
            let mut found = match self.file(&states, *ino, node.bytes) {
                Ok(found) => found.into_iter().rev(),
                Err(Wrong { rule, block }) => {
                    let refuted = Refuted::block(node.path.to_owned(), block, rule);
                    self.note_at(refuted, self.shape.nodes.len() + at);
                    return None;
                }
            };
            states = found.next()?;
            if !self.cuts.effects.has_commits() {
                continue;
            }
            for other in found {
                self.tries += 1;
                if self.is_out_of_tries() || depth > DEEPEST {
                    self.tries = MOST_TRIES;
                    return None;
                }
                if let Some(found) = self.files_from(other, &files[at + 1..], depth + 1) {
                    return Some(found);
                }
            }
        }
        Some(states)
    }

    fn file(&self, states: &[State], ino: Ino, bytes: &[u8]) -> Result<Vec<Vec<State>>, Wrong> {
        FileCheck { cuts: self.cuts, at: self.at, base: self.base, ino, bytes }.all(states)
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
