//! Readers in other processes beside a writer: each holds a locked file, its *pin*, by which the
//! writer knows that somebody may still read what is obsolete.
//!
//! ```text
//! DB/readers/7.pin    locked by the reader for as long as it reads; a dead reader's lock is free
//! ```
//!
//! Invariant: a reader holds its pin before it reads the first file's name, and the writer looks
//! for pins after a file is named by nothing: so whatever a reader found named stays.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ondisk_fs::{FileSystem, Held, LockError, LockMode};

use crate::engine::Pins;
use crate::error::Error;

const READERS: &str = "readers";
/// How many numbers a reader tries before it gives up.
const TRIES: u64 = 1000;

/// The pins in a store's directory, as the writer sees them.
#[derive(Debug)]
pub(crate) struct FilePins {
    fs: Arc<dyn FileSystem>,
    dir: PathBuf,
}

/// A reader's own pin. It is given back when this is dropped, or the process dies.
#[derive(Debug)]
pub(crate) struct ReaderPin {
    fs: Arc<dyn FileSystem>,
    path: PathBuf,
    held: Option<Box<dyn Held>>,
}

impl FilePins {
    pub(crate) fn new(fs: Arc<dyn FileSystem>, store: &Path) -> Self {
        Self { fs, dir: store.join(READERS) }
    }

    /// The numbers of readers that are alive; what dead ones left is removed.
    fn alive(&self) -> Vec<u64> {
        let mut alive = numbers(&*self.fs, &self.dir);
        alive.retain(|number| {
            let path = pin_path(&self.dir, *number);
            match self.fs.lock(&path, LockMode::Exclusive) {
                Ok(dead) => {
                    // Removed while it is locked: nobody takes it for its own meanwhile.
                    self.fs.remove(&path).ok();
                    drop(dead);
                    false
                }
                // What cannot be judged is taken for alive.
                Err(_) => true,
            }
        });
        alive
    }
}

impl Pins for FilePins {
    fn newest(&self) -> u64 {
        self.alive().last().copied().unwrap_or(0)
    }

    fn oldest(&self) -> Option<u64> {
        self.alive().first().copied()
    }
}

impl ReaderPin {
    /// Takes a pin with a number above all that are there.
    pub(crate) fn take(fs: &Arc<dyn FileSystem>, store: &Path) -> Result<Self, Error> {
        let dir = store.join(READERS);
        match fs.create_dir(&dir) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => made.map_err(Error::io(&dir, "make the directory of readers"))?,
        }
        let first = numbers(&**fs, &dir).last().map_or(1, |last| last + 1);
        for number in first..first + TRIES {
            let path = pin_path(&dir, number);
            match fs.lock(&path, LockMode::Exclusive) {
                Ok(held) => {
                    // The writer may have removed the file between its making and its locking.
                    if fs.kind(&path).is_ok_and(|kind| kind.is_some()) {
                        return Ok(Self { fs: Arc::clone(fs), path, held: Some(held) });
                    }
                }
                Err(LockError::Held { .. }) => {} // another reader was quicker
                Err(error) => return Err(Error::lock(store)(error)),
            }
        }
        Err(Error::Locked { path: store.to_owned(), pid: None })
    }
}

impl Drop for ReaderPin {
    fn drop(&mut self) {
        // While it is locked; what stays is removed by the writer.
        self.fs.remove(&self.path).ok();
        self.held = None;
    }
}

/// The numbers of pins, ascending.
fn numbers(fs: &dyn FileSystem, dir: &Path) -> Vec<u64> {
    // Where the directory is missing no reader ever was.
    let entries = fs.list(dir).unwrap_or_default();
    let number = |name: &str| name.strip_suffix(".pin")?.parse().ok();
    let mut numbers: Vec<u64> =
        entries.iter().filter_map(|entry| number(entry.name.to_str()?)).collect();
    numbers.sort_unstable();
    numbers
}

fn pin_path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number}.pin"))
}

#[cfg(test)]
mod tests;
