//! From what may be there or not to the images that a cut may leave: every combination, one by
//! one.

use super::*;

impl Brute {
    /// All images after a cut in which `made` calls were made and `returned` had returned; `None`
    /// when there are too many to try.
    pub(crate) fn images(&self, made: usize, returned: usize) -> Option<BTreeSet<Brief>> {
        let there = self.made.iter().take_while(|effect| effect.op < made).count();
        let is_floor = |at: usize| self.made[at].floor.is_some_and(|op| op < returned);
        let is_dropped = |at: usize| self.made[at].dropped.is_some_and(|op| op < returned);
        let is_evicted = |at: usize| self.made[at].evicted.is_some_and(|op| op < made);
        let no_stop: Vec<bool> = (0..self.made.len()).map(|at| self.is_no_stop(at, made)).collect();
        let is_open = |at: &usize| !is_floor(*at) && !is_evicted(*at) && !no_stop[*at];
        let open: Vec<usize> = (0..there).filter(is_open).collect();
        if open.len() > 13 {
            return None;
        }
        let needs: Vec<(usize, usize)> =
            self.all_needs().into_iter().filter(|(_, needed)| !is_dropped(*needed)).collect();
        let needs: Vec<(usize, usize)> =
            needs.into_iter().filter(|(_, needed)| !no_stop[*needed]).collect();
        let mut images = BTreeSet::new();
        let fate = |at: usize| match at {
            _ if no_stop[at] => Fate::Lost,
            _ if is_floor(at) => Fate::Floor,
            _ if is_evicted(at) => Fate::Evicted,
            _ => Fate::Lost,
        };
        for subset in 0..1_u32 << open.len() {
            let mut fates: Vec<Fate> = (0..there).map(fate).collect();
            for (bit, effect) in open.iter().enumerate() {
                if (subset >> bit) & 1 == 1 {
                    fates[*effect] = Fate::Kept;
                }
            }
            let is = |effect: usize| is_there(&fates, effect);
            let closed = needs.iter().all(|(later, earlier)| !is(*later) || is(*earlier));
            let whole = self.has_whole_commits(made, &is);
            let lens = (0..there).filter(|at| fates[*at] == Fate::Kept);
            if closed && whole && lens.clone().all(|at| self.has_its_block(at, returned, &is)) {
                for at in self.needed_whole(&needs, &is, returned) {
                    fates[at] = if fates[at] == Fate::Kept { Fate::Whole } else { fates[at] };
                }
                self.expand(&fates, &mut images)?;
            }
        }
        Some(images)
    }

    /// The versions that something else needs, which is there: so they are whole.
    fn needed_whole(
        &self,
        needs: &[(usize, usize)],
        is: &impl Fn(usize) -> bool,
        returned: usize,
    ) -> Vec<usize> {
        let (Len::Float(wanted) | Len::Chain(wanted)) = self.model.len;
        let by_others = needs.iter().filter(|(later, earlier)| {
            is(*later) && is(*earlier) && !self.same_block(*later, *earlier)
        });
        let by_last_len = (0..self.made.len()).filter(|len| {
            matches!(wanted, Needs::Last | Needs::LastAny)
                && is(*len)
                && self.needs_last(*len)
                && matches!(self.made[*len].effect, Effect::Len { journalled: false, .. })
                && !self.is_superseded(*len, is)
        });
        let is_dropped = |at: &usize| self.made[*at].dropped.is_some_and(|op| op < returned);
        let last_blocks = by_last_len.filter_map(|len| match wanted {
            Needs::Last => Some(self.last_block(len)),
            _ => self.last_versions(len).first().copied(),
        });
        let last_blocks = last_blocks.filter(|at| is(*at) && !is_dropped(at));
        by_others.map(|(_, earlier)| *earlier).chain(last_blocks).collect()
    }

    fn same_block(&self, one: usize, other: usize) -> bool {
        match (&self.made[one].effect, &self.made[other].effect) {
            (Effect::Data { ino: i, block: b, .. }, Effect::Data { ino: j, block: c, .. }) => {
                (i, b) == (j, c)
            }
            _ => false,
        }
    }

    /// Whether the links that are there are those of the calls up to some one, and besides only
    /// such as stand apart.
    fn has_whole_commits(&self, made: usize, is: &impl Fn(usize) -> bool) -> bool {
        let links = || (0..self.made.len()).filter(|at| self.is_link(*at));
        let is_apart = |at: usize| self.made[at].apart.is_some_and(|op| op < made);
        !self.has_commits()
            || (0..=made).any(|end| {
                let behind = |at: usize| self.made[at].op >= end;
                links().all(|at| if behind(at) { !is(at) || is_apart(at) } else { is(at) })
            })
    }

    /// The version of its last block that a length came with.
    fn last_block(&self, len: usize) -> usize {
        let Effect::Len { ino, len: n, .. } = self.made[len].effect else { unreachable!() };
        let last = (n - 1) / BLOCK;
        let its = |made: &Made| matches!(made.effect, Effect::Data { ino: i, block, .. } if (i, block) == (ino, last));
        self.made[..len].iter().rposition(its).unwrap()
    }

    /// Whether a length needs its last block: unless others have allocated that.
    fn needs_last(&self, len: usize) -> bool {
        !self.is_allocated(len, self.ops)
    }

    /// The versions of its last block since it had no place, until it is cut off.
    pub(super) fn last_versions(&self, len: usize) -> Vec<usize> {
        let Effect::Len { ino, len: n, .. } = self.made[len].effect else { unreachable!() };
        let last = (n - 1) / BLOCK;
        let its = |at: &usize| {
            let at = *at;
            let between = if at < len { at..len } else { len..at };
            matches!(self.made[at].effect, Effect::Data { ino: i, block, .. } if (i, block) == (ino, last))
                && !self.is_cut_off(ino, last, between)
        };
        (0..self.made.len()).filter(its).collect()
    }

    /// Whether a later length of the same file is there.
    fn is_superseded(&self, len: usize, is: &impl Fn(usize) -> bool) -> bool {
        let Effect::Len { ino, .. } = self.made[len].effect else { return false };
        (len + 1..self.made.len()).any(|at| {
            let its = matches!(self.made[at].effect,
                Effect::Len { ino: i, .. } | Effect::SetLen { ino: i, .. } if i == ino);
            its && is(at)
        })
    }

    /// Whether a length that needs some block has one.
    fn has_its_block(&self, len: usize, returned: usize, is: &impl Fn(usize) -> bool) -> bool {
        let (Len::Float(needs) | Len::Chain(needs)) = self.model.len;
        let Effect::Len { ino, journalled: false, .. } = self.made[len].effect else { return true };
        match needs {
            Needs::Nothing | Needs::All => return true,
            Needs::LastAny => {
                let is_dropped = |at: usize| self.made[at].dropped.is_some_and(|op| op < returned);
                let versions = self.last_versions(len);
                return !self.needs_last(len)
                    || versions.into_iter().any(|at| is(at) || is_dropped(at))
                    || self.is_superseded(len, is);
            }
            Needs::Last => {
                let data = self.last_block(len);
                let is_dropped = self.made[data].dropped.is_some_and(|op| op < returned);
                return is(data) || is_dropped || self.is_superseded(len, is);
            }
            Needs::Some => {}
        }
        let set = |made: &Made| matches!(made.effect, Effect::SetLen { ino: i, .. } if i == ino);
        let next = self.made[len..].iter().position(set).map(|after| len + after);
        let end = next.unwrap_or(self.made.len());
        next.is_some_and(is)
            || (0..end).any(|at| {
                let made = &self.made[at];
                let Effect::Data { ino: i, block, .. } = made.effect else { return false };
                let was_durable = made.floor.is_some_and(|op| op < self.made[len].op);
                let is_dropped = made.dropped.is_some_and(|op| op < returned);
                let gone = at < len && self.is_cut_off(ino, block, at..len);
                i == ino && !was_durable && !gone && (is(at) || is_dropped)
            })
    }

    /// All images of one set of effects: every fill and tear.
    fn expand(&self, fates: &[Fate], images: &mut BTreeSet<Brief>) -> Option<()> {
        let mut names = self.base_names.clone();
        for (at, made) in self.made.iter().enumerate().take(fates.len()) {
            let Effect::Name { changes, .. } = &made.effect else { continue };
            for (spot, ino) in changes.iter().filter(|_| fates[at].is_there()) {
                match ino {
                    Some(ino) => names.insert(*spot, *ino),
                    None => names.remove(spot),
                };
            }
        }
        let mut trees = vec![BTreeMap::<usize, Runs>::new()];
        let inodes: BTreeSet<usize> = names.values().copied().collect();
        for ino in inodes {
            let contents = self.contents(ino, fates)?;
            if trees.len() * contents.len() > MOST {
                return None;
            }
            let mut more = Vec::new();
            for tree in &trees {
                for content in &contents {
                    let mut tree = tree.clone();
                    tree.insert(ino, content.clone());
                    more.push(tree);
                }
            }
            trees = more;
        }
        for tree in trees {
            images.insert(names.iter().map(|(spot, ino)| (*spot, tree[ino].clone())).collect());
        }
        (images.len() <= MOST).then_some(())
    }

    fn contents(&self, ino: usize, fates: &[Fate]) -> Option<Vec<Runs>> {
        let mut len = self.base[ino].len();
        for (at, made) in self.made.iter().enumerate().take(fates.len()) {
            match made.effect {
                Effect::Len { ino: i, len: n, .. } | Effect::SetLen { ino: i, len: n, .. }
                    if i == ino && fates[at].is_there() =>
                {
                    len = n;
                }
                _ => {}
            }
        }
        let mut contents = vec![Vec::new()];
        for block in 0..len.div_ceil(BLOCK) {
            let mut more = Vec::new();
            // What lies behind the end is not seen, however it is torn.
            let mut shown = BTreeSet::new();
            for mut bytes in self.block(ino, block, len - block * BLOCK, fates)? {
                bytes.truncate(len - block * BLOCK);
                shown.insert(bytes);
            }
            if shown.len() * contents.len() > MOST {
                return None;
            }
            for bytes in shown {
                more.extend(contents.iter().map(|before: &Vec<u8>| {
                    let mut content = before.clone();
                    content.extend(&bytes);
                    content.truncate(len);
                    content
                }));
            }
            contents = more;
        }
        Some(contents.iter().map(|content| runs(content)).collect())
    }

    /// What the first `seen` bytes of a block may show. A version is its content, `None` for a block that was never written
    /// or was cut off.
    fn block(
        &self,
        ino: usize,
        block: usize,
        seen: usize,
        fates: &[Fate],
    ) -> Option<BTreeSet<Vec<u8>>> {
        let from = block * BLOCK;
        let base = (self.base[ino].len() > from).then(|| {
            let mut content = self.base[ino][from..].to_vec();
            content.resize(BLOCK, 0);
            content
        });
        // Each version as it is after the cuts behind it; the first is the oldest from the floor.
        let mut versions = vec![base];
        let mut missing = false;
        for (at, made) in self.made.iter().enumerate().take(fates.len()) {
            match &made.effect {
                Effect::Data { ino: i, block: b, content } if (*i, *b) == (ino, block) => {
                    match fates[at] {
                        Fate::Evicted => continue,
                        Fate::Lost => {
                            missing = true;
                            continue;
                        }
                        Fate::Floor | Fate::Whole => versions.clear(),
                        Fate::Kept => {}
                    }
                    versions.push(Some(content.clone()));
                }
                Effect::SetLen { ino: i, len, shorter: true }
                    if *i == ino && fates[at].is_there() =>
                {
                    // A block that was cut off has nothing to come: what was written to it went
                    // elsewhere.
                    missing &= *len > from;
                    for version in &mut versions {
                        *version = cut(version.take(), len.saturating_sub(from));
                    }
                }
                _ => {}
            }
        }
        self.show(&versions, missing, seen)
    }

    fn show(
        &self,
        versions: &[Option<Vec<u8>>],
        missing: bool,
        seen: usize,
    ) -> Option<BTreeSet<Vec<u8>>> {
        let zeros = || vec![0; BLOCK];
        let junk = || ondisk_junk();
        let mut shown = BTreeSet::new();
        let last = versions.last().unwrap();
        shown.insert(last.clone().unwrap_or_else(zeros));
        if last.is_none() && missing && self.model.fill == Fill::ZeroOrJunk {
            shown.insert(junk());
        }
        if self.model.tear == Tear::Never {
            return Some(shown);
        }
        let mut parts: BTreeSet<Vec<u8>> =
            versions.iter().map(|version| version.clone().unwrap_or_else(zeros)).collect();
        let unwritten = versions.iter().rposition(Option::is_none);
        let behind = unwritten.is_some_and(|at| missing || at + 1 < versions.len());
        if behind && self.model.fill == Fill::ZeroOrJunk {
            parts.insert(junk());
        }
        let mut torn = vec![Vec::new()];
        for sector in 0..seen.min(BLOCK).div_ceil(SECTOR) {
            let range = sector * SECTOR..(sector + 1) * SECTOR;
            let shows: BTreeSet<&[u8]> = parts.iter().map(|part| &part[range.clone()]).collect();
            if torn.len() * shows.len() > 300 {
                return None;
            }
            torn = torn
                .iter()
                .flat_map(|before: &Vec<u8>| shows.iter().map(move |part| [before, *part].concat()))
                .collect();
        }
        shown.extend(torn);
        Some(shown)
    }
}

fn is_there(fates: &[Fate], effect: usize) -> bool {
    fates.get(effect).is_some_and(|fate| fate.is_there())
}

/// A version after a cut to so many bytes of it.
fn cut(version: Option<Vec<u8>>, keep: usize) -> Option<Vec<u8>> {
    let mut content = version.filter(|_| keep > 0)?;
    if keep < BLOCK {
        content[keep..].fill(0);
    }
    Some(content)
}

/// Stands for any bytes: the simulation has one such block, and images are compared with all of
/// its bytes put in place of this.
fn ondisk_junk() -> Vec<u8> {
    vec![0xFF; BLOCK]
}
