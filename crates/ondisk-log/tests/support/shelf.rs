//! A few files in memory behind the seam: quick to copy, to change and to read again, for suites
//! that open a log a million times.
//!
//! Invariant: it counts the longest read that was asked for, so that a test can say how much
//! memory a reader wants.
//!
//! Knows nothing of durability: whoever asks for a cut wants a simulation.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ondisk_fs::{
    Access, Block, Entry, File, FileSystem, Held, Kind, LockError, LockMode, Rung, check_alignment,
};
use zerocopy::IntoBytes;

/// Files by path, all in one directory or another; clones are the same files.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shelf {
    /// By path, as bytes: they compare faster than paths.
    files: Arc<Mutex<BTreeMap<OsString, Content>>>,
    longest_read: Arc<AtomicUsize>,
}

type Content = Arc<Mutex<Vec<u8>>>;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shelf {
    /// The same files, to go their own way.
    pub(crate) fn fork(&self) -> Self {
        let copy = |(path, content): (&OsString, &Content)| {
            (path.clone(), Arc::new(Mutex::new(lock(content).clone())))
        };
        let files = lock(&self.files).iter().map(copy).collect();
        Self { files: Arc::new(Mutex::new(files)), longest_read: Arc::default() }
    }

    pub(crate) fn share(&self) -> Arc<dyn FileSystem> {
        Arc::new(self.clone())
    }

    pub(crate) fn put(&self, path: impl AsRef<Path>, bytes: Vec<u8>) {
        lock(&self.files).insert(path.as_ref().into(), Arc::new(Mutex::new(bytes)));
    }

    pub(crate) fn get(&self, path: impl AsRef<Path>) -> Vec<u8> {
        self.content(path.as_ref()).map(|content| lock(&content).clone()).unwrap()
    }

    pub(crate) fn paths(&self) -> Vec<PathBuf> {
        lock(&self.files).keys().map(PathBuf::from).collect()
    }

    /// Changes the bytes of a file where they lie.
    pub(crate) fn change<T>(&self, path: &Path, change: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        let content = self.content(path).unwrap();
        change(&mut lock(&content))
    }

    /// The longest read that was asked for, in bytes.
    pub(crate) fn longest_read(&self) -> usize {
        self.longest_read.load(Ordering::Relaxed)
    }

    fn content(&self, path: &Path) -> io::Result<Content> {
        let found = lock(&self.files).get(path.as_os_str()).cloned();
        found.ok_or_else(|| ErrorKind::NotFound.into())
    }
}

impl FileSystem for Shelf {
    fn open(&self, path: &Path, _: Access) -> io::Result<Arc<dyn File>> {
        let content = self.content(path)?;
        Ok(Arc::new(OpenFile { content, longest_read: self.longest_read.clone() }))
    }

    fn create_new(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        if self.content(path).is_ok() {
            return Err(ErrorKind::AlreadyExists.into());
        }
        self.put(path, Vec::new());
        self.open(path, Access::ReadWrite)
    }

    fn create_dir(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let content = self.content(from)?;
        let mut files = lock(&self.files);
        files.remove(from.as_os_str());
        files.insert(to.into(), content);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let removed = lock(&self.files).remove(path.as_os_str());
        removed.map(drop).ok_or_else(|| ErrorKind::NotFound.into())
    }

    fn remove_dir(&self, _: &Path) -> io::Result<()> {
        Err(ErrorKind::Unsupported.into())
    }

    fn sync_dir(&self, _: &Path) -> io::Result<Rung> {
        Ok(Rung::Durable)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<Entry>> {
        let files = lock(&self.files);
        let inside = files.keys().filter(|name| Path::new(name).parent() == Some(path));
        let name = |path: &OsString| Path::new(path).file_name().map(OsString::from);
        let entry = |path| name(path).map(|name| Entry { name, kind: Kind::File });
        Ok(inside.filter_map(entry).collect())
    }

    fn kind(&self, path: &Path) -> io::Result<Option<Kind>> {
        let files = lock(&self.files);
        Ok(if files.contains_key(path.as_os_str()) {
            Some(Kind::File)
        } else {
            files.keys().any(|file| Path::new(file).starts_with(path)).then_some(Kind::Dir)
        })
    }

    fn lock(&self, path: &Path, _: LockMode) -> Result<Box<dyn Held>, LockError> {
        Err(LockError::Io { path: path.to_owned(), source: ErrorKind::Unsupported.into() })
    }

    fn overwrites_in_place(&self, _: &Path) -> io::Result<bool> {
        Ok(true)
    }
}

#[derive(Debug)]
struct OpenFile {
    content: Content,
    longest_read: Arc<AtomicUsize>,
}

impl File for OpenFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.longest_read.fetch_max(buf.len(), Ordering::Relaxed);
        let content = lock(&self.content);
        let from = usize::try_from(offset).map_or(content.len(), |from| from.min(content.len()));
        let len = buf.len().min(content.len() - from);
        buf[..len].copy_from_slice(&content[from..from + len]);
        Ok(len)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        let mut content = lock(&self.content);
        let from = usize::try_from(offset).map_err(io::Error::other)?;
        let end = from + buf.len();
        if content.len() < end {
            content.resize(end, 0);
        }
        content[from..end].copy_from_slice(buf);
        Ok(buf.len())
    }

    fn write_durable(&self, blocks: &[Block], offset: u64) -> io::Result<Rung> {
        check_alignment(offset)?;
        self.write_at(blocks.as_bytes(), offset)?;
        Ok(Rung::Durable)
    }

    fn size(&self) -> io::Result<u64> {
        Ok(lock(&self.content).len() as u64)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        lock(&self.content).resize(usize::try_from(len).map_err(io::Error::other)?, 0);
        Ok(())
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        let len = usize::try_from(len).map_err(io::Error::other)?;
        let mut content = lock(&self.content);
        let len = len.max(content.len());
        content.resize(len, 0);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<Rung> {
        Ok(Rung::Durable)
    }

    fn sync_all(&self) -> io::Result<Rung> {
        Ok(Rung::Durable)
    }
}
