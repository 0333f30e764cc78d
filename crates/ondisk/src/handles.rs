//! Files that are open when they are read, and of which not too many are open at once: a process
//! may have few descriptors, and a store many files.
//!
//! Invariant: a file that was opened stays readable for who holds it, whether or not its handle
//! is given up meanwhile: it is opened again. No more handles are kept than were asked for, but
//! for those that are being read from at the moment.
//!
//! A read of a file that is open takes no lock. Whoever removes a file must hold the last
//! [`LazyFile`] of it.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use arc_swap::ArcSwapOption;
use ondisk_fs::{Access, File, FileSystem};

/// The open files of a store, in the order in which they were opened.
#[derive(Debug)]
pub(crate) struct Handles {
    most: usize,
    open: Mutex<VecDeque<Weak<LazyFile>>>,
}

/// A file that is never written again; open or not.
pub(crate) struct LazyFile {
    me: Weak<Self>,
    fs: Arc<dyn FileSystem>,
    path: PathBuf,
    /// Two steps, since what is swapped must be a thin pointer.
    file: ArcSwapOption<Arc<dyn File>>,
    /// It was read from since it was last looked at.
    used: AtomicBool,
    handles: Arc<Handles>,
}

/// How a file is held that is never written again.
#[derive(Debug)]
pub(crate) enum Handle {
    /// It is open for as long as it is held.
    Open(Arc<dyn File>),
    /// It is opened when it is needed.
    Lazy(Arc<LazyFile>),
}

impl Handle {
    /// Does something with the file.
    pub(crate) fn with<T>(&self, body: impl FnOnce(&dyn File) -> io::Result<T>) -> io::Result<T> {
        match self {
            Self::Open(file) => body(&**file),
            Self::Lazy(file) => file.with(body),
        }
    }
}

impl Handles {
    /// Keeps so many files open, and one at least.
    pub(crate) fn new(most: usize) -> Self {
        Self { most: most.max(1), open: Mutex::default() }
    }

    /// A file of which a handle is at hand.
    pub(crate) fn keep(
        self: &Arc<Self>,
        fs: &Arc<dyn FileSystem>,
        path: &Path,
        file: Arc<dyn File>,
    ) -> Arc<LazyFile> {
        let lazy = Arc::new_cyclic(|me| LazyFile {
            me: Weak::clone(me),
            fs: Arc::clone(fs),
            path: path.to_owned(),
            file: ArcSwapOption::from_pointee(file),
            used: AtomicBool::new(false),
            handles: Arc::clone(self),
        });
        self.admit(&lazy);
        lazy
    }

    /// Counts a file as open, and gives others up in its favour: the first that was not read from
    /// since it was last looked at.
    fn admit(&self, file: &LazyFile) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.len() >= self.most {
            open.retain(|other| other.strong_count() > 0);
        }
        while open.len() >= self.most {
            let Some(other) = open.pop_front() else { break };
            let Some(lazy) = other.upgrade() else { continue };
            if lazy.used.swap(false, Relaxed) {
                open.push_back(other);
            } else {
                lazy.file.store(None);
            }
        }
        open.push_back(Weak::clone(&file.me));
    }

    /// How many files are open.
    #[cfg(test)]
    fn count(&self) -> usize {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let is_open =
            |file: &Weak<LazyFile>| file.upgrade().is_some_and(|it| it.file.load().is_some());
        open.iter().filter(|file| is_open(file)).count()
    }
}

impl LazyFile {
    /// Does something with the file, which is opened for it where it is not.
    pub(crate) fn with<T>(&self, body: impl FnOnce(&dyn File) -> io::Result<T>) -> io::Result<T> {
        if let Some(file) = &*self.file.load() {
            if !self.used.load(Relaxed) {
                self.used.store(true, Relaxed);
            }
            return body(&***file);
        }
        let file = self.fs.open(&self.path, Access::Read)?;
        self.file.store(Some(Arc::new(Arc::clone(&file))));
        self.handles.admit(self);
        body(&*file)
    }
}

impl fmt::Debug for LazyFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let open = self.file.load().is_some();
        f.debug_struct("LazyFile").field("path", &self.path).field("open", &open).finish()
    }
}

#[cfg(test)]
mod tests;
