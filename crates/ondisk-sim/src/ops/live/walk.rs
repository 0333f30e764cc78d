//! Paths on the running file system: names looked up one after another, symbolic links followed.
//!
//! Invariant: a path leads to the same inode whichever call asks; only what names itself (`remove`,
//! `rename`, `link`) stops at a symbolic link that stands last. Of directories on the way, the
//! caller, who owns all files and is not root, needs the permission to search.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Component, Path, PathBuf};

use super::Live;
use crate::ops::fault::SimError;
use crate::ops::history::Ino;
use crate::ops::media::Is;
use crate::ops::path;

/// So many symbolic links are followed on one way, as Linux does.
const MOST_LINKS: u32 = 40;

/// What the owner of a file may do with it, as bits of its mode.
const MAY_READ: u32 = 0o400;
const MAY_WRITE: u32 = 0o200;
const MAY_SEARCH: u32 = 0o100;

/// What is wanted of a file or a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::ops) enum Wanted {
    /// Its bytes, or its names.
    Read,
    /// To change them.
    Write,
    /// Both.
    Both,
}

/// Where a path led.
struct Led {
    dir: Ino,
    name: OsString,
    ino: Option<Ino>,
}

impl Live {
    /// The inode at a path.
    pub(in crate::ops) fn resolve(&mut self, path: &Path) -> io::Result<Ino> {
        self.walk(path, path::names(path))
    }

    /// The directory of a path, and the name in it.
    pub(in crate::ops) fn spot<'a>(&mut self, path: &'a Path) -> io::Result<(Ino, &'a OsStr)> {
        let (above, name) = path::split(path)?;
        let dir = self.walk(path, above.into_iter())?;
        self.search(dir, path)?;
        Ok((dir, name))
    }

    /// Where a file is made that is not there: at the path, or where a symbolic link at the path
    /// leads.
    pub(in crate::ops) fn vacancy(&mut self, path: &Path) -> io::Result<(Ino, OsString)> {
        let led = self.follow(path, &mut path::names(path))?;
        match led.ino {
            Some(_) => Err(SimError::at(path, io::ErrorKind::AlreadyExists, "is there already")),
            None => Ok((led.dir, led.name)),
        }
    }

    /// The file at a path.
    pub(in crate::ops) fn file(&mut self, path: &Path) -> io::Result<Ino> {
        let ino = self.resolve(path)?;
        match self.node(ino).is {
            Is::Dir => Err(SimError::at(path, io::ErrorKind::IsADirectory, "is a directory")),
            Is::File | Is::Symlink => Ok(ino),
        }
    }

    /// The directory at a path.
    pub(in crate::ops) fn dir(&mut self, path: &Path) -> io::Result<Ino> {
        let ino = self.resolve(path)?;
        match self.node(ino).is {
            Is::Dir => Ok(ino),
            Is::File | Is::Symlink => Err(not_a_dir(path)),
        }
    }

    /// Whether the caller may do with an inode what it wants.
    pub(in crate::ops) fn permit(&self, ino: Ino, wanted: Wanted, path: &Path) -> io::Result<()> {
        let bits = match wanted {
            Wanted::Read => MAY_READ,
            Wanted::Write => MAY_WRITE,
            Wanted::Both => MAY_READ | MAY_WRITE,
        };
        if self.node(ino).mode & bits == bits {
            return Ok(());
        }
        Err(SimError::at(path, io::ErrorKind::PermissionDenied, "its mode does not permit that"))
    }

    /// Whether names can be looked up in a directory.
    fn search(&self, dir: Ino, path: &Path) -> io::Result<()> {
        let node = self.node(dir);
        match node.is {
            Is::Dir if node.mode & MAY_SEARCH != 0 => Ok(()),
            Is::Dir => {
                let what = "the mode of a directory on the way does not permit that";
                Err(SimError::at(path, io::ErrorKind::PermissionDenied, what))
            }
            Is::File | Is::Symlink => Err(not_a_dir(path)),
        }
    }

    fn walk<'a>(
        &mut self,
        path: &Path,
        names: impl Iterator<Item = &'a OsStr> + Clone,
    ) -> io::Result<Ino> {
        let mut at = Ino::ROOT;
        for name in names.clone() {
            self.search(at, path)?;
            at = self.lookup(at, name).ok_or_else(|| not_found(path))?;
            if self.node(at).is == Is::Symlink {
                return self.follow(path, &mut { names })?.ino.ok_or_else(|| not_found(path));
            }
        }
        Ok(at)
    }

    /// The same with symbolic links, from the root.
    fn follow(&mut self, path: &Path, names: &mut dyn Iterator<Item = &OsStr>) -> io::Result<Led> {
        let mut left: Vec<PathBuf> = names.map(PathBuf::from).collect();
        left.reverse();
        let mut above = vec![Ino::ROOT];
        let mut followed = 0;
        let mut led = Led { dir: Ino::ROOT, name: OsString::new(), ino: Some(Ino::ROOT) };
        while let Some(part) = left.pop() {
            let dir = led.ino.ok_or_else(|| not_found(path))?;
            let Some(Component::Normal(name)) = part.components().next() else {
                match part.components().next() {
                    Some(Component::RootDir) => above.truncate(1),
                    Some(Component::ParentDir) if above.len() > 1 => drop(above.pop()),
                    _ => {}
                }
                led.ino = above.last().copied();
                continue;
            };
            self.search(dir, path)?;
            let found = self.lookup(dir, name);
            if let Some(link) = found.filter(|ino| self.node(*ino).is == Is::Symlink) {
                followed += 1;
                if followed > MOST_LINKS {
                    return Err(SimError::Loop.of(io::ErrorKind::Other));
                }
                // Its way begins where it stands.
                let target = String::from_utf8_lossy(&self.target(link)).into_owned();
                let parts = Path::new(&target).components().map(|part| part.as_os_str().into());
                left.extend(parts.collect::<Vec<PathBuf>>().into_iter().rev());
                led = Led { dir, name: OsString::new(), ino: Some(dir) };
                continue;
            }
            if let Some(ino) = found.filter(|ino| self.node(*ino).is == Is::Dir) {
                above.push(ino);
            }
            led = Led { dir, name: name.to_owned(), ino: found };
        }
        Ok(led)
    }
}

fn not_found(path: &Path) -> io::Error {
    SimError::at(path, io::ErrorKind::NotFound, "no such file or directory")
}

fn not_a_dir(path: &Path) -> io::Error {
    SimError::at(path, io::ErrorKind::NotADirectory, "a name on the way is no directory")
}
