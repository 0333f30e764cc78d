//! From a path to an inode, or to the place where a name could stand.
//!
//! Invariant: a walk looks at each name once, in the order of the path, and gives up at the first
//! that does not let it go on.

use std::ops::Range;

use super::Vfs;
use crate::machine::Errno;
use crate::machine::event::{Kind, Layer};
use crate::machine::ids::{Ino, OpId, PageVer};
use crate::machine::layer::Cx;
use crate::machine::message;

/// The longest path, with its end.
const PATH_MAX: usize = 4096;
/// The longest name.
const NAME_MAX: usize = 255;
/// How many symbolic links are followed.
const LINKS_MAX: u32 = 40;
/// To look for a name in a directory.
pub(super) const SEARCH: u16 = 1;
/// To change a file, or the names in a directory.
pub(super) const WRITE: u16 = 2;
/// To read.
pub(super) const READ: u16 = 4;

/// Whether a symbolic link at the end of a path is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Follow {
    Yes,
    No,
}

/// Where a path leads.
#[derive(Clone, Debug)]
pub(super) struct Found {
    /// The directory of the last name.
    pub(super) dir: Ino,
    /// The last name, in what was walked; `None` for the root, `.` and `..`.
    name: Option<Range<usize>>,
    /// What it stands for.
    pub(super) ino: Option<Ino>,
    /// Whether it was written as the name of a directory.
    pub(super) slash: bool,
}

/// A place for a name.
#[derive(Clone, Debug)]
pub(super) struct Spot {
    pub(super) dir: Ino,
    pub(super) name: Box<[u8]>,
    pub(super) ino: Option<Ino>,
    pub(super) slash: bool,
}

impl Vfs {
    /// What a path stands for.
    pub(super) fn resolve(&mut self, cx: &mut Cx, op: OpId, path: &[u8]) -> Result<Ino, Errno> {
        self.walk(cx, op, path, Follow::Yes)?.ino.ok_or(Errno::Noent)
    }

    /// The directory and the name that a path says, where it says one; `otherwise` for the root
    /// and for names like `..`.
    pub(super) fn spot(
        &mut self,
        cx: &mut Cx,
        op: OpId,
        path: &[u8],
        otherwise: Errno,
    ) -> Result<Spot, Errno> {
        let found = self.walk(cx, op, path, Follow::No)?;
        let name = self.name(&found).ok_or(otherwise)?;
        Ok(Spot { dir: found.dir, name, ino: found.ino, slash: found.slash })
    }

    /// The last name of the last walk.
    pub(super) fn name(&self, found: &Found) -> Option<Box<[u8]>> {
        Some(self.walk[found.name.clone()?].into())
    }

    /// Whether a path without links and dots leads to an inode.
    pub(super) fn is_at(&self, path: &[u8], ino: Ino) -> bool {
        let mut names = path.split(|byte| *byte == b'/').filter(|name| !name.is_empty());
        names.try_fold(Ino::ROOT, |dir, name| self.inodes.lookup(dir, name)) == Some(ino)
    }

    /// Follows a path from the root.
    pub(super) fn walk(
        &mut self,
        cx: &mut Cx,
        op: OpId,
        path: &[u8],
        follow: Follow,
    ) -> Result<Found, Errno> {
        match path {
            [] => return Err(Errno::Noent),
            _ if path.len() >= PATH_MAX => return Err(Errno::Nametoolong),
            _ if path.contains(&0) => return Err(Errno::Inval),
            _ => {}
        }
        let mut left = std::mem::take(&mut self.walk);
        left.clear();
        left.extend_from_slice(path);
        let found = self.walk_all(cx, op, &mut left, follow);
        self.walk = left;
        let found = found?;
        let is_dir = |ino| self.inodes.get(ino).is_some_and(|inode| inode.is_dir());
        match found.ino {
            Some(ino) if found.slash && !is_dir(ino) => Err(Errno::Notdir),
            _ => Ok(found),
        }
    }

    fn walk_all(
        &self,
        cx: &mut Cx,
        op: OpId,
        left: &mut Vec<u8>,
        follow: Follow,
    ) -> Result<Found, Errno> {
        let (mut dir, mut at, mut links) = (Ino::ROOT, 0, 0);
        loop {
            let Some(range) = next_name(left, at) else {
                return Ok(Found { dir, name: None, ino: Some(dir), slash: true });
            };
            at = range.end;
            let last = next_name(left, at).is_none();
            let slash = last && at < left.len();
            let name = &left[range.clone()];
            let here = self.inodes.find(dir)?;
            match name {
                _ if !here.is_dir() => return Err(Errno::Notdir),
                _ if !here.may(SEARCH) => return Err(Errno::Acces),
                _ if name.len() > NAME_MAX => return Err(Errno::Nametoolong),
                b"." => continue,
                b".." => {
                    dir = here.parent;
                    continue;
                }
                _ => {}
            }
            let found = here.entries.get(name).copied();
            cx.event(Layer::Vfs, op, PageVer(0), Kind::Lookup { dir, found });
            let target = found.and_then(|ino| self.inodes.get(ino)).filter(|inode| {
                let through = !last || slash || follow == Follow::Yes;
                inode.kind == message::Kind::Symlink && through
            });
            match (target, found) {
                (Some(inode), _) => {
                    links += 1;
                    if links > LINKS_MAX {
                        return Err(Errno::Loop);
                    }
                    if left.len() - at + inode.target.len() >= PATH_MAX {
                        return Err(Errno::Nametoolong);
                    }
                    if inode.target.first() == Some(&b'/') {
                        dir = Ino::ROOT;
                    }
                    left.splice(..at, inode.target.iter().copied());
                    at = 0;
                }
                (None, ino) if last => {
                    return Ok(Found { dir, name: Some(range), ino, slash });
                }
                (None, Some(ino)) => dir = ino,
                (None, None) => return Err(Errno::Noent),
            }
        }
    }
}

/// Where the next name stands in a path, from a place on.
fn next_name(path: &[u8], at: usize) -> Option<Range<usize>> {
    let from = at + path[at..].iter().position(|byte| *byte != b'/')?;
    let len = path[from..].iter().position(|byte| *byte == b'/');
    Some(from..len.map_or(path.len(), |len| from + len))
}
