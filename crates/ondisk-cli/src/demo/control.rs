//! File systems that lie, for the demo's control rows: a harness that never shows a loss proves
//! nothing until it has shown one.
//!
//! Invariant: everything is passed on but the one kind of sync that [`Control`] names, which
//! answers `Ok` at once, as a program that leaves it out would go on at once.

use std::io;
use std::path::Path;
use std::sync::Arc;

use ondisk_fs::{
    Access, Block, Entry, File, FileSystem, Held, Kind, LockError, LockMode, Rung, check_alignment,
};
use zerocopy::IntoBytes as _;

/// The sync that is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Control {
    /// No file is ever synced.
    SyncSkipped,
    /// Files are; their names in directories never are.
    DirectorySyncSkipped,
}

impl Control {
    /// What is left out, in a word or two.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::SyncSkipped => "fsync",
            Self::DirectorySyncSkipped => "dir fsync",
        }
    }
}

/// A file system without one kind of sync.
#[derive(Debug)]
pub(crate) struct Skipping {
    pub(crate) inner: Arc<dyn FileSystem>,
    pub(crate) control: Control,
}

#[derive(Debug)]
struct SkippingFile(Arc<dyn File>);

impl Skipping {
    fn file(&self, file: Arc<dyn File>) -> Arc<dyn File> {
        match self.control {
            Control::SyncSkipped => Arc::new(SkippingFile(file)),
            Control::DirectorySyncSkipped => file,
        }
    }
}

impl FileSystem for Skipping {
    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn File>> {
        Ok(self.file(self.inner.open(path, access)?))
    }

    fn create_new(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        Ok(self.file(self.inner.create_new(path)?))
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.inner.create_dir(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.inner.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.inner.remove(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.inner.remove_dir(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<Rung> {
        match self.control {
            Control::SyncSkipped => self.inner.sync_dir(path),
            Control::DirectorySyncSkipped => Ok(Rung::Durable),
        }
    }

    fn list(&self, path: &Path) -> io::Result<Vec<Entry>> {
        self.inner.list(path)
    }

    fn kind(&self, path: &Path) -> io::Result<Option<Kind>> {
        self.inner.kind(path)
    }

    fn lock(&self, path: &Path, mode: LockMode) -> Result<Box<dyn Held>, LockError> {
        self.inner.lock(path, mode)
    }

    fn overwrites_in_place(&self, path: &Path) -> io::Result<bool> {
        self.inner.overwrites_in_place(path)
    }
}

impl File for SkippingFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.read_at(buf, offset)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        self.0.write_at(buf, offset)
    }

    fn write_durable(&self, blocks: &[Block], offset: u64) -> io::Result<Rung> {
        check_alignment(offset)?;
        self.0.write_all_at(blocks.as_bytes(), offset)?;
        Ok(Rung::Durable)
    }

    fn size(&self) -> io::Result<u64> {
        self.0.size()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        self.0.allocate(len)
    }

    fn sync_data(&self) -> io::Result<Rung> {
        Ok(Rung::Durable)
    }

    fn sync_all(&self) -> io::Result<Rung> {
        Ok(Rung::Durable)
    }
}
