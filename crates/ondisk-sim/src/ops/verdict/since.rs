//! What happened to a file since a place in its history, as far as that matters to a claim.
//!
//! Invariant: what is not told of changes nothing: a file that was certain at a cut is certain until
//! the next [`harm`], and one that could not hold its content cannot before the next [`touch`].

use std::collections::BTreeSet;
use std::path::Path;

use ondisk_fs::BLOCK;

use super::look::SECTOR;
use super::{Held, Spoken};
use crate::ops::history::{At, Call, History, Ino, What};
use crate::ops::model::{Model, Names};
use crate::ops::path::Name;
use crate::ops::store::{BlockId, Bytes};

/// What a call means to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Touch {
    /// Nothing.
    No,
    /// It leaves what the file held, or brings it.
    Keeps,
    /// It may take that away.
    Harms,
}

/// Which inodes may stand at the path of a file in any state of any cut.
#[derive(Clone, Debug)]
pub(super) enum Who {
    These(BTreeSet<Ino>),
    Anyone,
}

impl Who {
    /// Those that its name stood for at any time; whoever it is, where the way to it changed.
    pub(super) fn of(history: &History, file: &Spoken) -> Self {
        let mut these: BTreeSet<Ino> = file.ino.into_iter().collect();
        let last = file.path.file_name();
        for call in &history.calls {
            let changed = named(&call.what);
            let is_last = changed.names.iter().flatten().any(|name| Some(&***name) == last);
            let above = file.path.parent().into_iter().flat_map(Path::iter);
            let mut above =
                above.filter(|part| changed.names.iter().flatten().any(|it| &***it == *part));
            if above.next().is_some() || (file.through_link && changed.names[0].is_some()) {
                return Self::Anyone;
            }
            if is_last {
                these.extend(changed.inodes.into_iter().flatten());
            }
        }
        Self::These(these)
    }

    fn has(&self, ino: Ino) -> bool {
        match self {
            Self::These(these) => these.contains(&ino),
            Self::Anyone => true,
        }
    }
}

/// A file with all that may stand at its path.
#[derive(Clone, Copy)]
pub(super) struct Subject<'a> {
    pub(super) file: &'a Spoken,
    pub(super) who: &'a Who,
}

/// The names that a call changes, and the inodes that these stood for or stand for then.
#[derive(Default)]
struct Named<'a> {
    names: [Option<&'a Name>; 2],
    inodes: [Option<Ino>; 2],
}

fn named(what: &What) -> Named<'_> {
    match what {
        What::Create { name, ino, .. }
        | What::Mkdir { name, ino, .. }
        | What::Symlink { name, ino, .. }
        | What::Link { name, ino, .. }
        | What::Unlink { name, ino, .. }
        | What::Rmdir { name, ino, .. } => {
            Named { names: [Some(name), None], inodes: [Some(*ino), None] }
        }
        What::Rename { from, to, ino, replaced } => {
            Named { names: [Some(&from.1), Some(&to.1)], inodes: [Some(*ino), *replaced] }
        }
        What::Exchange { one, other, ino, with } => {
            Named { names: [Some(&one.1), Some(&other.1)], inodes: [Some(*ino), Some(*with)] }
        }
        What::Write { .. }
        | What::SetLen { .. }
        | What::Allocate { .. }
        | What::Punch { .. }
        | What::Chmod { .. }
        | What::Sync { .. }
        | What::SyncRange { .. }
        | What::SyncDir { .. }
        | What::SyncEverything
        | What::Evict { .. }
        | What::Rot { .. } => Named::default(),
    }
}

/// The first call from a place on that may take what a file held.
pub(super) fn harm(history: &History, it: Subject<'_>, from: At) -> Option<At> {
    let harms = |call: &&Call| touch_of(history, it, call) == Touch::Harms;
    since(history, from).filter(harms).map(place).min()
}

/// The first call from a place on that a file's state may depend on.
pub(super) fn touch(history: &History, model: &Model, it: Subject<'_>, from: At) -> Option<At> {
    // Where a sync that runs may have brought names ahead of others, each may.
    let behind = matches!(model.names, Names::PerName | Names::OneChain | Names::Everything);
    let touches =
        |call: &&Call| touch_of(history, it, call) != Touch::No || (!behind && call.what.is_sync());
    since(history, from).filter(touches).map(place).min()
}

fn since(history: &History, from: At) -> impl Iterator<Item = &Call> {
    // A call that was running already may fail, and so loosen what waits for its data.
    let running = move |call: &&Call| call.returned.is_none_or(|returned| returned >= from);
    let behind = history.calls.partition_point(|call| call.called < from);
    let (before, after) = history.calls.split_at(behind);
    before.iter().filter(running).filter(|call| failed_sync(call)).chain(after)
}

/// From where on a call counts: a sync that fails does when it returns.
fn place(call: &Call) -> At {
    if failed_sync(call) { call.returned.unwrap_or(call.called) } else { call.called }
}

fn failed_sync(call: &Call) -> bool {
    call.what.is_sync() && call.returned.is_some() && call.result.is_err()
}

fn touch_of(history: &History, it: Subject<'_>, call: &Call) -> Touch {
    if failed_sync(call) {
        return Touch::Harms;
    }
    let changed = named(&call.what);
    if changed.names.iter().flatten().any(|name| on_the_way(it.file, name)) {
        return Touch::Harms;
    }
    let Held::File(bytes) = &it.file.held else { return Touch::No };
    match &call.what {
        What::Write { ino, versions, .. }
        | What::Punch { ino, versions, .. }
        | What::Rot { ino, versions }
            if it.who.has(*ino) =>
        {
            let mut versions = versions.clone().map(|at| &history.versions[at as usize]);
            let kept = versions.all(|version| {
                let start = version.block as usize * BLOCK;
                let Some(wanted) = bytes.get(start..) else { return true };
                let len = wanted.len().min(BLOCK);
                history.store.bytes(version.content)[..len] == wanted[..len]
            });
            if kept { Touch::Keeps } else { Touch::Harms }
        }
        What::SetLen { ino, len, .. } if it.who.has(*ino) => {
            if *len < bytes.len() as u64 {
                Touch::Harms
            } else {
                Touch::Keeps
            }
        }
        What::Allocate { ino, .. } if it.who.has(*ino) => Touch::Keeps,
        What::Evict { ino, .. } if it.who.has(*ino) => Touch::Harms,
        _ => Touch::No,
    }
}

/// Whether a change of this name, in whatever directory, may change what the file's path means.
fn on_the_way(file: &Spoken, name: &Name) -> bool {
    file.through_link || file.path.iter().any(|part| part == &**name)
}

/// Whether a part of the content was in no version of the file at any time, so that no state of any
/// cut can hold it. Says no more than it knows: of a file that a former life left it says nothing.
pub(super) fn never_was(history: &History, it: Subject<'_>) -> bool {
    let Held::File(bytes) = &it.file.held else { return false };
    if !history.base.is_decided() {
        return false;
    }
    let Who::These(inodes) = it.who else { return false };
    let versions = versions(history, it.who);
    let mut sectors = (0..).zip(bytes.chunks(SECTOR));
    sectors.any(|(at, sector): (usize, &[u8])| {
        let block = u32::try_from(at * SECTOR / BLOCK).unwrap_or(u32::MAX);
        let start = at * SECTOR % BLOCK;
        let behind = versions.partition_point(|(of, _)| *of < block);
        let its = versions[behind..].iter().take_while(|(of, _)| *of == block);
        let base = inodes.iter().map(|ino| history.base.base_block(*ino, block));
        let mut all = its.map(|(_, content)| *content).chain(base).chain([BlockId::HOLE]);
        !all.any(|content| may_be(history.store.bytes(content), start, sector))
    })
}

/// All contents that any block of these files had, by block.
fn versions(history: &History, who: &Who) -> Vec<(u32, BlockId)> {
    let its = history.calls.iter().filter_map(|call| match &call.what {
        What::Write { ino: of, versions, .. }
        | What::Punch { ino: of, versions, .. }
        | What::Rot { ino: of, versions }
            if who.has(*of) =>
        {
            Some(versions.clone())
        }
        _ => None,
    });
    let all = its.flatten().map(|at| &history.versions[at as usize]);
    let mut all: Vec<_> = all.map(|version| (version.block, version.content)).collect();
    all.sort();
    all.dedup();
    all
}

/// Whether a sector may come of a content: its bytes, and zeros from where the file was cut.
fn may_be(content: &Bytes, start: usize, sector: &[u8]) -> bool {
    let same = content[start..].iter().zip(sector).take_while(|(a, b)| a == b).count();
    sector[same..].iter().all(|byte| *byte == 0)
}

/// The places to cut after a claim that show all that any cut after it can: just before each sync
/// returns, before the kernel forgets pages, before a bit rots, and the end. Between two of these
/// the possible states only grow.
pub(super) fn largest_cuts(history: &History) -> Vec<At> {
    let of = |call: &Call| match &call.what {
        What::Evict { .. } | What::Rot { .. } => Some(call.called),
        what if what.is_sync() => call.returned,
        _ => None,
    };
    let mut cuts: Vec<At> = history.calls.iter().filter_map(of).chain([history.end]).collect();
    cuts.sort();
    cuts.dedup();
    cuts
}
