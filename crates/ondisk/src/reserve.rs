//! The reserve: a file that holds nothing, and that is given up when the disk is full, so that
//! there is space to delete, to checkpoint and to compact, which is what gives space back.
//!
//! Invariant: nothing depends on the file. It is never synced, and made again when there is space.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ondisk_fs::{Access, FileSystem};

/// The name of the reserve in a store's directory.
pub(crate) const RESERVE: &str = "reserve";
/// The most that it takes, in bytes: one of the log's largest segments, and a checkpoint.
const LARGEST: u64 = 128 << 20;

#[derive(Debug)]
pub(crate) struct Reserve {
    fs: Arc<dyn FileSystem>,
    path: PathBuf,
    /// How many bytes it has; 0 where it is not there.
    held: AtomicU64,
}

impl Reserve {
    /// Looks whether the reserve is there.
    pub(crate) fn new(fs: Arc<dyn FileSystem>, store: &std::path::Path) -> Self {
        let path = store.join(RESERVE);
        let len = fs.open(&path, Access::Read).and_then(|file| file.size());
        let held = AtomicU64::new(len.unwrap_or(0));
        Self { fs, path, held }
    }

    /// Makes the reserve, of a log whose segments have so many bytes now, if it is not there.
    /// Where there is no space for it there is none: later, perhaps.
    pub(crate) fn make(&self, segment: u64) {
        // The next segment may have twice as many, and a checkpoint as many again.
        let wanted = segment.saturating_mul(4).min(LARGEST);
        if self.held.load(Ordering::Relaxed) >= wanted {
            return;
        }
        self.give_up();
        let Ok(file) = self.fs.create_new(&self.path) else { return };
        let made = file.allocate(wanted);
        drop(file);
        if made.is_ok() {
            self.held.store(wanted, Ordering::Relaxed);
        } else {
            self.fs.remove(&self.path).ok();
        }
    }

    /// Gives the reserve's space up; whether there was any.
    pub(crate) fn give_up(&self) -> bool {
        self.held.swap(0, Ordering::Relaxed) > 0 && self.fs.remove(&self.path).is_ok()
    }
}
