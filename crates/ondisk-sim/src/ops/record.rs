//! A record kept by hand: for a machine of its own that has calls, but no use for a [`MemFs`].
//!
//! Invariant: the history is that of a life whose calls changed storage one after the other, at
//! one place each, while any number of syncs ran: a sync has a place where it was called and one
//! where it returned, and whatever was recorded in between lies in between.
//!
//! Knows nothing of paths, descriptors, time and layers. It refuses nothing either: whether a
//! call may be made is for the machine to know, and it records what was done alone.
//!
//! [`MemFs`]: super::MemFs

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::history::{At, History, Ino, SyncKind, What};
use super::image::Image;
use super::live::{Live, Spot, WriteHow};
use super::mem_fs::MemFs;
use super::path::name_of;
use super::verdict::{Claim, InBuffer, Ledger, TooMuch};

/// A live file tree by inodes that records a [`History`].
#[derive(Clone, Debug)]
pub struct Recorder {
    live: Live,
}

/// A block of a file that holds no bytes and reads as zeros.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hole {
    /// The file, by one of its names.
    pub path: PathBuf,
    /// Its number in the file.
    pub block: u32,
    /// It has its place on the media, where nobody wrote.
    pub reserved: bool,
}

/// A sync that was called and has not returned.
#[derive(Clone, Copy, Debug)]
#[must_use = "a sync that never returns raises nothing"]
pub struct Running(usize);

/// What is to be synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Synced {
    /// A file.
    File(Ino, SyncKind),
    /// The range of a file that an `O_DSYNC` or `O_SYNC` write has written: offset and length. The
    /// write itself is recorded before, as any other.
    Range(Ino, u64, u64, SyncKind),
    /// A directory.
    Dir(Ino),
    /// Everything.
    Everything,
}

impl Recorder {
    /// A record of a life that begins with these files, all of them durable.
    #[must_use]
    pub fn new(base: &Image) -> Self {
        Self::with_holes(base, &[])
    }

    /// The same where some blocks of the files hold no bytes: who writes one writes a new block,
    /// whatever the length of the file.
    #[must_use]
    pub fn with_holes(base: &Image, holes: &[Hole]) -> Self {
        let mut live = MemFs::with_holes(base, holes).lock().fork();
        live.know_all();
        Self { live }
    }

    /// What a name in a directory stands for.
    pub fn lookup(&mut self, dir: Ino, name: &[u8]) -> Option<Ino> {
        self.live.lookup(dir, &name_of(name))
    }

    /// A new, empty file.
    pub fn create(&mut self, dir: Ino, name: &[u8]) -> Ino {
        let name = name_of(name);
        let ino = self.live.create(&Spot { dir, name: &name });
        self.know(dir, name.as_ref(), ino);
        ino
    }

    /// A new, empty directory.
    pub fn mkdir(&mut self, dir: Ino, name: &[u8]) -> Ino {
        let name = name_of(name);
        let ino = self.live.mkdir(&Spot { dir, name: &name });
        self.know(dir, name.as_ref(), ino);
        ino
    }

    /// A new symbolic link.
    pub fn symlink(&mut self, dir: Ino, name: &[u8], target: &[u8]) -> Ino {
        let name = name_of(name);
        let ino = self.live.symlink(&Spot { dir, name: &name }, target);
        self.know(dir, name.as_ref(), ino);
        ino
    }

    /// One more name for a file.
    pub fn link(&mut self, ino: Ino, dir: Ino, name: &[u8]) {
        self.live.link(ino, &Spot { dir, name: &name_of(name) });
    }

    /// A name of a file or of a symbolic link taken away; nothing when there is none.
    pub fn unlink(&mut self, dir: Ino, name: &[u8]) {
        let name = name_of(name);
        if let Some(ino) = self.live.lookup(dir, &name) {
            self.live.remove(&Spot { dir, name: &name }, ino);
        }
    }

    /// An empty directory taken away; nothing when there is none.
    pub fn rmdir(&mut self, dir: Ino, name: &[u8]) {
        self.unlink(dir, name);
    }

    /// Another name, in place of whatever had it; nothing when there is none to be renamed, or
    /// when both stand for one inode.
    pub fn rename(&mut self, from: (Ino, &[u8]), to: (Ino, &[u8])) {
        let (old, new) = (name_of(from.1), name_of(to.1));
        let Some(ino) = self.live.lookup(from.0, &old) else { return };
        if self.live.lookup(to.0, &new) != Some(ino) {
            let (from, to) = (Spot { dir: from.0, name: &old }, Spot { dir: to.0, name: &new });
            self.live.rename(&from, &to, ino);
        }
    }

    /// Two names that change places; nothing unless both are there, for two inodes.
    pub fn exchange(&mut self, one: (Ino, &[u8]), other: (Ino, &[u8])) {
        let (first, second) = (name_of(one.1), name_of(other.1));
        let ino = self.live.lookup(one.0, &first);
        let with = self.live.lookup(other.0, &second);
        if let (Some(ino), Some(with)) = (ino, with)
            && ino != with
        {
            let one = Spot { dir: one.0, name: &first };
            self.live.exchange(&one, ino, &Spot { dir: other.0, name: &second }, with);
        }
    }

    /// Bytes written into the page cache: as many as were taken.
    ///
    /// # Errors
    /// `FileTooLarge` for an end past what the simulation counts.
    pub fn write(&mut self, ino: Ino, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.live.write(ino, bytes, offset, WriteHow::Cached).map(drop)
    }

    /// Another length.
    ///
    /// # Errors
    /// As of [`write`](Self::write).
    pub fn set_len(&mut self, ino: Ino, len: u64) -> io::Result<()> {
        self.live.set_len(ino, len)
    }

    /// Blocks reserved for the first bytes; the length grows to them.
    ///
    /// # Errors
    /// As of [`write`](Self::write).
    pub fn allocate(&mut self, ino: Ino, len: u64) -> io::Result<()> {
        self.live.allocate(ino, len)
    }

    /// Bytes made zeros, whole blocks freed; the length stays.
    ///
    /// # Errors
    /// As of [`write`](Self::write).
    pub fn punch(&mut self, ino: Ino, offset: u64, len: u64) -> io::Result<()> {
        self.live.punch(ino, offset, len)
    }

    /// Other permissions.
    pub fn chmod(&mut self, ino: Ino, mode: u32) {
        self.live.chmod(ino, mode);
    }

    /// A sync is called: it covers what was recorded before this.
    pub fn sync_called(&mut self, what: Synced) -> Running {
        Running(self.live.called(match what {
            Synced::File(ino, kind) => What::Sync { ino, kind },
            Synced::Range(ino, offset, len, kind) => What::SyncRange { ino, offset, len, kind },
            Synced::Dir(ino) => What::SyncDir { ino },
            Synced::Everything => What::SyncEverything,
        }))
    }

    /// A sync returns. When it says `Ok`, all that it covers is durable from here on; when not,
    /// the data that it covers are covered by no later one.
    pub fn sync_returned(&mut self, running: Running, result: Result<(), io::ErrorKind>) {
        self.live.returned(running.0, result.map(|()| 0));
    }

    /// Says whether the drive obeys when it is told to make things durable: of syncs called from
    /// here on.
    pub fn set_lies(&mut self, lies: bool) {
        self.live.honest = !lies;
    }

    /// Something was acknowledged.
    pub fn ack(&mut self, note: &[u8]) {
        self.live.acknowledge(note);
    }

    /// Records an acknowledgement, and takes down what it speaks for: the files that it names, or
    /// those that its task wrote to, with what user buffers still hold of them.
    ///
    /// # Errors
    /// Too many bytes.
    pub fn claim(
        &mut self,
        ledger: &mut Ledger,
        (task, text): (&str, &[u8]),
        named: &[PathBuf],
        buffers: &[InBuffer],
    ) -> Result<Claim, TooMuch> {
        let at = self.live.acknowledge(text);
        ledger.claim(&mut self.live, at, (task, text), named, buffers)
    }

    /// What stands at a path.
    pub fn resolve(&mut self, path: &Path) -> Option<Ino> {
        self.live.resolve(path).ok()
    }

    /// A cut here comes after all that was recorded so far and before all that will be.
    #[must_use]
    pub fn here(&self) -> At {
        self.live.here()
    }

    /// All that was recorded so far. Contents are shared, not copied.
    #[must_use]
    pub fn history(&mut self) -> History {
        self.live.history()
    }

    /// The files as the page cache shows them.
    #[must_use]
    pub fn image(&mut self) -> Image {
        self.live.image()
    }

    fn know(&mut self, dir: Ino, name: &Path, ino: Ino) {
        let above = self.live.path(dir).unwrap_or_else(|| Arc::from(Path::new("")));
        self.live.know(ino, &Arc::from(above.join(name)));
    }
}

#[cfg(test)]
mod tests;
