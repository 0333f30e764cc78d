//! Who wrote what: for which files an acknowledgement speaks that names none.
//!
//! Invariant: a claim is taken in the moment of its acknowledgement, from what the page cache and
//! the user buffers hold then; nothing that happens later changes it.
//!
//! Knows nothing of how a buffer spills: it is given the bytes that did not.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Claim, Held, Spoken};
use crate::ops::history::{At, Ino};
use crate::ops::live::Live;
use crate::ops::media::Is;
use crate::ops::path;

/// The files that each task wrote to, and the contents that acknowledgements spoke for.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    wrote: BTreeMap<(String, Ino), PathBuf>,
    /// Each content once.
    contents: BTreeSet<Arc<[u8]>>,
    /// How long all of them are together.
    kept: u64,
    /// How many bytes were looked at to take claims.
    looked_at: u64,
}

/// Acknowledgements speak for more bytes than are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooMuch;

/// Bytes that were written and did not leave their user buffer yet.
#[derive(Clone, Debug)]
pub struct InBuffer {
    /// Whose.
    pub task: String,
    /// Of which file.
    pub ino: Ino,
    /// Where they will go; `None` for its end, wherever that is then.
    pub offset: Option<u64>,
    /// The bytes.
    pub bytes: Vec<u8>,
}

impl Ledger {
    /// How many bytes of contents are kept.
    pub const KEPT_LIMIT: u64 = 64 << 20;
    /// How many bytes are looked at.
    pub const WORK_LIMIT: u64 = 1 << 30;

    /// Of a process that wrote nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A task changed what a file holds: wrote to it, cut it, or made it.
    pub fn wrote(&mut self, task: &str, ino: Ino, path: &Path) {
        self.wrote.insert((task.to_owned(), ino), path.to_owned());
    }

    /// What an acknowledgement speaks for: the files that it names, or else those that its task
    /// wrote to and that still have a name.
    ///
    /// # Errors
    /// Too many bytes.
    pub(in crate::ops) fn claim(
        &mut self,
        live: &mut Live,
        at: At,
        (task, text): (&str, &[u8]),
        named: &[PathBuf],
        buffers: &[InBuffer],
    ) -> Result<Claim, TooMuch> {
        let paths = if named.is_empty() { self.written_by(live, task) } else { named.to_vec() };
        // Who names a file speaks for it whoever wrote it.
        let own = |buffer: &&InBuffer| !named.is_empty() || buffer.task == task;
        let buffers: Vec<&InBuffer> = buffers.iter().filter(own).collect();
        let files = paths.iter().map(|path| self.spoken(live, path, &buffers));
        Ok(Claim { at, text: text.to_owned(), files: files.collect::<Result<_, _>>()? })
    }

    /// The names of the files that a task wrote to.
    fn written_by(&self, live: &mut Live, task: &str) -> Vec<PathBuf> {
        let its = self.wrote.iter().filter(|((of, _), _)| of == task);
        let mut names: Vec<PathBuf> =
            its.filter_map(|((_, ino), path)| name_of(live, *ino, path)).collect();
        names.sort();
        names
    }

    fn spoken(
        &mut self,
        live: &mut Live,
        path: &Path,
        buffers: &[&InBuffer],
    ) -> Result<Spoken, TooMuch> {
        let through_link = passes_link(live, path);
        let found = live.resolve(path).ok();
        let mut buffered = 0;
        let held = match found.map(|ino| (ino, live.node(ino).is)) {
            None => Held::Absent,
            Some((_, Is::Dir)) => Held::Dir,
            Some((ino, _)) => {
                let its = || buffers.iter().filter(|buffer| buffer.ino == ino);
                buffered = its().map(|buffer| buffer.bytes.len() as u64).sum();
                self.admit(live.size(ino).saturating_add(buffered))?;
                let mut bytes = live.bytes(ino);
                its().for_each(|buffer| put(&mut bytes, buffer));
                Held::File(self.keep(bytes)?)
            }
        };
        Ok(Spoken { path: path.to_owned(), ino: found, held, buffered, through_link })
    }

    /// Asks whether so many bytes may be looked at, before they are.
    fn admit(&mut self, len: u64) -> Result<(), TooMuch> {
        self.looked_at = self.looked_at.saturating_add(len);
        let fits = len <= Self::KEPT_LIMIT && self.looked_at <= Self::WORK_LIMIT;
        fits.then_some(()).ok_or(TooMuch)
    }

    fn keep(&mut self, bytes: Vec<u8>) -> Result<Arc<[u8]>, TooMuch> {
        if let Some(known) = self.contents.get(bytes.as_slice()) {
            return Ok(Arc::clone(known));
        }
        self.kept = self.kept.saturating_add(bytes.len() as u64);
        if self.kept > Self::KEPT_LIMIT {
            return Err(TooMuch);
        }
        let bytes: Arc<[u8]> = Arc::from(bytes);
        self.contents.insert(Arc::clone(&bytes));
        Ok(bytes)
    }
}

/// The name of an inode: the one that is known, where it still means it, or else the first.
fn name_of(live: &mut Live, ino: Ino, known: &Path) -> Option<PathBuf> {
    if live.resolve(known).is_ok_and(|found| found == ino) {
        return Some(known.to_owned());
    }
    let mut left = vec![(PathBuf::new(), Ino::ROOT)];
    let mut names = Vec::new();
    while let Some((above, dir)) = left.pop() {
        for (name, found) in live.list(dir) {
            let path = above.join(&*name);
            if found == ino {
                names.push(path);
            } else if live.node(found).is == Is::Dir {
                left.push((path, found));
            }
        }
    }
    names.into_iter().min()
}

/// Puts the bytes of a buffer where they would go.
fn put(bytes: &mut Vec<u8>, buffer: &InBuffer) {
    let start = buffer.offset.map_or(bytes.len(), |at| usize::try_from(at).unwrap_or(usize::MAX));
    let Some(end) = start.checked_add(buffer.bytes.len()) else { return };
    let range: Range<usize> = start..end;
    // A seek far behind the end makes a hole: what would be too long is left out.
    if bytes.len() < end && end as u64 <= Ledger::KEPT_LIMIT {
        bytes.resize(end, 0);
    }
    if let Some(place) = bytes.get_mut(range) {
        place.copy_from_slice(&buffer.bytes);
    }
}

/// Whether a symbolic link stands on the way to a path, or at its end.
fn passes_link(live: &mut Live, path: &Path) -> bool {
    let mut at = Ino::ROOT;
    for name in path::names(path) {
        match live.lookup(at, name) {
            Some(next) if live.node(next).is == Is::Symlink => return true,
            Some(next) if live.node(next).is == Is::Dir => at = next,
            Some(_) | None => return false,
        }
    }
    false
}
