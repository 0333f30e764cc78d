//! A file system in memory that records what is asked of it.
//!
//! Invariant: a call through the seam is one step: it holds the lock from its first look to its
//! record, so calls of several threads never overlap.
//!
//! Knows nothing of models: its [`History`] is what they are applied to.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ondisk_fs::{FileSystem, Kind};

use super::fault::{Fault, Place, SimError};
use super::history::{History, Ino};
use super::image::{Image, Node};
use super::live::{Live, Spot, WriteHow};
use super::media::{Inode, Is, Media, Tree};
use super::path;
use super::record::Hole;
use super::store::{BlockId, Store};

/// A live file system in memory, behind the seam, that records a [`History`].
///
/// It shows what a kernel's page cache shows. What of it a power cut leaves is asked of its
/// history. A clone is the same file system; [`fork`](Self::fork) copies it.
///
/// ```
/// use ondisk_fs::{FileSystem, create_durable};
/// use ondisk_sim::MemFs;
/// let fs = MemFs::new();
/// create_durable(&fs, "greeting".as_ref(), b"hello").unwrap();
/// fs.ack("greeted");
/// assert_eq!(fs.read("greeting").unwrap(), b"hello");
/// assert_eq!(fs.history().calls.len(), 4);
/// ```
#[derive(Clone)]
pub struct MemFs {
    pub(super) live: Arc<Mutex<Live>>,
}

impl MemFs {
    /// An empty file system of unlimited capacity.
    #[must_use]
    pub fn new() -> Self {
        Self::on(Tree::empty(), Store::new())
    }

    /// A file system on which these files are, durably.
    #[must_use]
    pub fn from_image(image: &Image) -> Self {
        let fs = Self::new();
        for (path, node) in &image.nodes {
            let first = image.first_name(path);
            if first == path {
                fs.lock().put(path, node);
            } else {
                fs.lock().put_link(first, path);
            }
        }
        fs.settled()
    }

    /// The same, where some blocks of the files hold no bytes.
    pub(super) fn with_holes(image: &Image, holes: &[Hole]) -> Self {
        let fs = Self::from_image(image);
        if holes.is_empty() {
            return fs;
        }
        let (mut tree, store) = fs.lock().tree();
        for hole in holes {
            let ino = fs.lock().resolve(&hole.path).ok();
            let inode = ino.and_then(|ino| tree.inodes.get_mut(ino.index()));
            let Some(Inode::File { blocks, reserved, .. }) = inode else { continue };
            if let Some(block) = blocks.get_mut(hole.block as usize) {
                *block = BlockId::HOLE;
            }
            if hole.reserved {
                *reserved = (*reserved).max(hole.block + 1);
            }
        }
        Self::on(tree, store)
    }

    /// A file system whose first life begins with what is here now, all of it durable. Nothing
    /// that was called, acknowledged or ordered here goes with it.
    #[must_use]
    pub fn settled(&self) -> Self {
        let (tree, store) = self.lock().tree();
        Self::on(tree, store)
    }

    fn on(tree: Tree, store: Store) -> Self {
        Self::of(Live::new(Media::new(tree), store, 1, Arc::default()))
    }

    pub(super) fn of(live: Live) -> Self {
        Self { live: Arc::new(Mutex::new(live)) }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Live> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The same file system as the seam's trait object.
    #[must_use]
    pub fn share(&self) -> Arc<dyn FileSystem> {
        Arc::new(self.clone())
    }

    /// A copy that goes its own way: page cache, media and record, but no open handles and no
    /// locks. So a test reopens *in the same boot*, as after the death of the process, and can do
    /// it many times from one point. Cheap: contents are shared.
    #[must_use]
    pub fn fork(&self) -> Self {
        Self::of(self.lock().fork())
    }

    /// All that was called in this life.
    #[must_use]
    pub fn history(&self) -> History {
        self.lock().history()
    }

    /// Records that something was acknowledged: it is owed by every cut after this.
    pub fn ack(&self, note: impl AsRef<[u8]>) {
        self.lock().acknowledge(note.as_ref());
    }

    /// Says what the program is doing from here on; cuts are counted by this. A life after a cut
    /// begins with `recovery`.
    pub fn label(&self, label: &str) {
        self.lock().label(label);
    }

    /// How many calls came through the seam in this life, reads and failed ones included.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.lock().faults.calls
    }

    /// Orders a fault. Several may be ordered; they count side by side.
    pub fn inject(&self, fault: Fault) {
        self.lock().faults.order(fault);
    }

    /// Takes back every fault that has not struck, or strikes for ever.
    pub fn clear_faults(&self) {
        self.lock().faults.clear();
    }

    /// Sets how many bytes there are, in whole blocks; `None` for no limit. May be lower than
    /// what is used. Names take no space; a file's blocks are free once it has no name.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.lock().capacity = bytes;
    }

    /// Bytes in use: the written and reserved blocks of all files that have a name.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.lock().used()
    }

    /// Whether the drive ignores FLUSH from here on: syncs say `Ok` and make nothing durable.
    pub fn set_lies(&self, lies: bool) {
        self.lock().honest = !lies;
    }

    /// Forgets every page that a failed sync has left clean, as a kernel short of memory does: a
    /// read shows what is on the media again, though no descriptor is told.
    pub fn evict(&self) {
        self.lock().evict();
    }

    /// Flips one bit of a file on the media, and in the page cache too. No sync is needed and no
    /// cut takes it back. The block must be durable: bits rot where they lie.
    ///
    /// # Errors
    /// `NotFound`; `InvalidInput` for an offset behind the end.
    pub fn rot(&self, path: impl AsRef<Path>, offset: u64, bit: u8) -> io::Result<()> {
        let mut live = self.lock();
        let ino = live.file(path.as_ref())?;
        if offset >= live.len(ino) {
            let what = "no bit can rot behind the end of the file";
            return Err(SimError::at(path.as_ref(), io::ErrorKind::InvalidInput, what));
        }
        live.rot(ino, offset, bit);
        Ok(())
    }

    /// Gives a file one more name.
    ///
    /// # Errors
    /// `NotFound`, `AlreadyExists`, or a fault's.
    pub fn link(&self, from: impl AsRef<Path>, to: impl AsRef<Path>) -> io::Result<()> {
        let mut live = self.lock();
        live.enter(Place::Create, to.as_ref())?;
        let (from_dir, from_name) = live.spot(from.as_ref())?;
        let ino = live.there(from_dir, from_name, from.as_ref())?;
        if live.node(ino).is == Is::Dir {
            return Err(SimError::at(from.as_ref(), io::ErrorKind::IsADirectory, "is a directory"));
        }
        let (dir, name) = live.vacant(to.as_ref())?;
        live.link(ino, &Spot { dir, name });
        Ok(())
    }

    /// Makes a symbolic link at a path, which stands for another path: from where it lies, unless
    /// that begins with `/`.
    ///
    /// # Errors
    /// `NotFound`, `AlreadyExists`, or a fault's.
    pub fn symlink(&self, target: impl AsRef<[u8]>, path: impl AsRef<Path>) -> io::Result<()> {
        let (mut live, path) = (self.lock(), path.as_ref());
        live.enter(Place::Create, path)?;
        let (dir, name) = live.vacant(path)?;
        live.symlink(&Spot { dir, name }, target.as_ref());
        Ok(())
    }

    /// Lets two names change places, whatever they stand for.
    ///
    /// # Errors
    /// `NotFound`; `InvalidInput` where a directory would come to lie in itself; or a fault's.
    pub fn exchange(&self, one: impl AsRef<Path>, other: impl AsRef<Path>) -> io::Result<()> {
        let (mut live, one, other) = (self.lock(), one.as_ref(), other.as_ref());
        live.enter(Place::Rename, one)?;
        live.exchange_paths(one, other)
    }

    /// Makes bytes inside a file zeros, and frees the blocks that are wholly among them. The
    /// length stays.
    ///
    /// # Errors
    /// `NotFound`, `IsADirectory`, `FileTooLarge`, or a fault's.
    pub fn punch(&self, path: impl AsRef<Path>, offset: u64, len: u64) -> io::Result<()> {
        let (mut live, path) = (self.lock(), path.as_ref());
        live.enter(Place::Resize, path)?;
        let ino = live.file(path)?;
        live.punch(ino, offset, len)
    }

    /// All bytes of a file, as the page cache shows them. Not a call of the program's: nothing
    /// is counted and no fault strikes.
    ///
    /// # Errors
    /// `NotFound`, `IsADirectory`.
    pub fn read(&self, path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
        let mut live = self.lock();
        let ino = live.file(path.as_ref())?;
        Ok(live.bytes(ino))
    }

    /// Whether something stands at a path, and what. No call of the program's.
    #[must_use]
    pub fn look(&self, path: impl AsRef<Path>) -> Option<Kind> {
        let mut live = self.lock();
        let ino = live.resolve(path.as_ref()).ok()?;
        Some(kind_of(live.node(ino).is))
    }

    /// The whole tree, as the page cache shows it. No call of the program's.
    #[must_use]
    pub fn image(&self) -> Image {
        self.lock().image()
    }
}

impl Default for MemFs {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemFs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MemFs")
    }
}

pub(super) fn kind_of(is: Is) -> Kind {
    match is {
        Is::File => Kind::File,
        Is::Dir => Kind::Dir,
        Is::Symlink => Kind::Other,
    }
}

/// Trees in and out of the running file system.
impl Live {
    pub(super) fn bytes(&mut self, ino: Ino) -> Vec<u8> {
        let len = usize::try_from(self.size(ino)).unwrap_or(usize::MAX);
        let mut bytes = vec![0; len];
        self.read(ino, &mut bytes, 0);
        bytes
    }

    /// The whole tree.
    pub(super) fn image(&mut self) -> Image {
        let mut image = Image::new();
        let mut named: BTreeMap<Ino, Vec<PathBuf>> = BTreeMap::new();
        let mut left = vec![(PathBuf::new(), Ino::ROOT)];
        while let Some((path, dir)) = left.pop() {
            for (name, ino) in self.list(dir) {
                let path = path.join(&*name);
                let node = match self.node(ino).is {
                    Is::File => Node::File(self.bytes(ino)),
                    Is::Symlink => Node::Symlink(self.target(ino).to_vec()),
                    Is::Dir => {
                        left.push((path.clone(), ino));
                        Node::Dir
                    }
                };
                if node != Node::Dir {
                    named.entry(ino).or_default().push(path.clone());
                }
                image.nodes.insert(path, node);
            }
        }
        for paths in named.into_values().filter(|paths| paths.len() > 1) {
            image.join(paths);
        }
        image
    }

    /// Puts one node of an image in its place, with the directories above it.
    fn put(&mut self, path: &Path, node: &Node) {
        let mut dir = Ino::ROOT;
        let names: Vec<_> = path::names(path).collect();
        for (at, name) in names.iter().enumerate() {
            let spot = Spot { dir, name };
            dir = match (self.lookup(dir, name), node) {
                (Some(there), _) => there,
                (None, _) if at + 1 < names.len() => self.mkdir(&spot),
                (None, Node::Dir) => self.mkdir(&spot),
                (None, Node::File(_)) => self.create(&spot),
                (None, Node::Symlink(target)) => self.symlink(&spot, target),
            };
        }
        if let Node::File(bytes) = node {
            // Without a capacity, only a file longer than the simulation counts is refused; an
            // image that fits in memory holds none.
            self.write(dir, bytes, 0, WriteHow::Cached).unwrap_or_default();
        }
    }
}

impl Live {
    /// Puts one more name of a file of an image in its place, with the directories above it.
    fn put_link(&mut self, first: &Path, path: &Path) {
        let Some(name) = path.file_name() else { return };
        let above = path.parent().unwrap_or(Path::new(""));
        if above != Path::new("") {
            self.put(above, &Node::Dir);
        }
        if let (Ok(ino), Ok(dir)) = (self.resolve(first), self.resolve(above)) {
            self.link(ino, &Spot { dir, name });
        }
    }
}

#[cfg(test)]
mod tests;
