//! What recovery sees after a power cut: one state of the media, decided as it is read.
//!
//! Invariant: it behaves as any file system does (it is written, synced, recorded, and can be cut
//! again), and what it shows is, at every moment, part of a state that the model allows.

use std::fmt;
use std::io;
use std::ops::Deref;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use ondisk_fs::{Access, Entry, File, FileSystem, Held, Kind, LockError, LockMode, Rung};

use super::chooser::{Answer, Recorder};
use super::digest::Digest;
use super::history::Ack;
use super::mem_fs::MemFs;

/// The number of a crash state as recovery saw it.
///
/// It is computed from the answers alone that the media gave: equal numbers mean that recovery
/// saw the same names, lengths and bytes. Bytes are counted by who wrote them, not by what they
/// are, so other random payloads give the same numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StateId(pub(super) Digest);

/// A file system after a power cut, behind the seam.
///
/// It dereferences to the [`MemFs`] of the life that begins with it: label it, order faults,
/// acknowledge, take its history, cut it again. A clone is the same file system.
#[derive(Clone)]
pub struct CrashFs {
    fs: MemFs,
    owed: Arc<[Ack]>,
    label: Arc<str>,
    chooser: Arc<Mutex<Recorder>>,
}

impl CrashFs {
    pub(super) fn new(
        fs: MemFs,
        owed: Arc<[Ack]>,
        label: Arc<str>,
        chooser: Arc<Mutex<Recorder>>,
    ) -> Self {
        Self { fs, owed, label, chooser }
    }

    /// What was acknowledged before the cut, in all lives, in order: recovery must give it back.
    #[must_use]
    pub fn owed(&self) -> &[Ack] {
        &self.owed
    }

    /// The notes of what is owed, as text.
    pub fn owed_text(&self) -> impl Iterator<Item = String> {
        self.owed.iter().map(Ack::text)
    }

    /// What the life before was doing when it was cut.
    #[must_use]
    pub fn cut_label(&self) -> &str {
        &self.label
    }

    /// Which life begins with this state: 2 after the first cut.
    #[must_use]
    pub fn life(&self) -> u32 {
        self.fs.lock().life()
    }

    /// The number of the state, as far as it was read: up to [`seal`](Self::seal), or up to now.
    #[must_use]
    pub fn id(&self) -> StateId {
        StateId(self.fs.lock().seen())
    }

    /// Says that recovery is over: what is read from here on no longer belongs to the state's
    /// number. A [`Crash::of_life`](crate::Crash::of_life) says so too.
    pub fn seal(&self) -> StateId {
        StateId(self.fs.lock().seal())
    }

    /// What was decided so far.
    #[must_use]
    pub fn answers(&self) -> Vec<Answer> {
        self.chooser.lock().unwrap_or_else(PoisonError::into_inner).answers.clone()
    }
}

impl Deref for CrashFs {
    type Target = MemFs;

    fn deref(&self) -> &MemFs {
        &self.fs
    }
}

impl fmt::Debug for CrashFs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CrashFs(life {})", self.life())
    }
}

impl FileSystem for CrashFs {
    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn File>> {
        self.fs.open(path, access)
    }

    fn create_new(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        self.fs.create_new(path)
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.fs.create_dir(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.fs.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.fs.remove(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.fs.remove_dir(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<Rung> {
        self.fs.sync_dir(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<Entry>> {
        self.fs.list(path)
    }

    fn kind(&self, path: &Path) -> io::Result<Option<Kind>> {
        self.fs.kind(path)
    }

    fn lock(&self, path: &Path, mode: LockMode) -> Result<Box<dyn Held>, LockError> {
        FileSystem::lock(&self.fs, path, mode)
    }

    fn overwrites_in_place(&self, path: &Path) -> io::Result<bool> {
        self.fs.overwrites_in_place(path)
    }
}
