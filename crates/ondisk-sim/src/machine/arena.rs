//! The contents of blocks and the versions of pages, each kept once.
//!
//! Invariant: a [`BlockId`] means the same bytes for as long as a layer says that it holds it; a
//! copy of the arena shares every content and goes its own way. Nothing is counted: from time to
//! time the machine asks all layers what they hold, and the rest is used again.
//!
//! Knows nothing of what a content is for.

use std::sync::Arc;

use ondisk_fs::BLOCK;

use super::ids::{BlockId, Ino, OpId, PageVer};

/// The bytes of one block.
pub type Bytes = [u8; BLOCK];

static ZEROS: Bytes = [0; BLOCK];

const CHUNK: usize = 64;
/// Below so many contents nothing is looked for that could be used again.
const FEW: usize = 4096;

/// All contents and page versions of one machine.
#[derive(Clone, Debug)]
pub struct Arena {
    /// Contents by number, in chunks that copies share.
    chunks: Vec<Arc<Vec<Arc<Bytes>>>>,
    len: usize,
    /// Numbers that nobody holds, used from the end.
    free: Vec<u32>,
    /// When so many are in use, it is time to ask who holds what.
    limit: usize,
    vers: Vec<Arc<Vec<Version>>>,
}

/// One content of one page of one file.
#[derive(Clone, Copy, Debug)]
pub struct Version {
    /// The file.
    pub ino: Ino,
    /// The page's number in it.
    pub page: u32,
    /// The bytes it was made with. What they are is certain only while somebody holds them.
    pub content: BlockId,
    /// The call that made it.
    pub op: OpId,
    /// The bytes that the call wrote: from here
    pub from: u16,
    /// to here.
    pub to: u16,
    /// The version before, whose other bytes it kept; 0 where there was none.
    pub before: PageVer,
}

impl Arena {
    /// An arena that holds zeros alone.
    #[must_use]
    pub fn new() -> Self {
        let mut arena =
            Self { chunks: Vec::new(), len: 0, free: Vec::new(), limit: FEW, vers: Vec::new() };
        arena.push(&ZEROS);
        arena.version(Version {
            ino: Ino(0),
            page: 0,
            content: BlockId::ZERO,
            op: OpId(0),
            from: 0,
            to: 0,
            before: PageVer(0),
        });
        arena
    }

    /// Keeps a content. All-zero bytes are [`BlockId::ZERO`].
    pub fn put(&mut self, bytes: &Bytes) -> BlockId {
        if *bytes == ZEROS {
            return BlockId::ZERO;
        }
        let Some(id) = self.free.pop() else { return self.push(bytes) };
        self.slot(id).copy_from_slice(bytes);
        BlockId(id)
    }

    fn push(&mut self, bytes: &Bytes) -> BlockId {
        let id = u32::try_from(self.len).unwrap_or(u32::MAX);
        if self.len.is_multiple_of(CHUNK) {
            self.chunks.push(Arc::new(Vec::with_capacity(CHUNK)));
        }
        if let Some(last) = self.chunks.last_mut() {
            Arc::make_mut(last).push(Arc::new(*bytes));
        }
        self.len += 1;
        BlockId(id)
    }

    /// The bytes of a content.
    #[must_use]
    pub fn bytes(&self, id: BlockId) -> &Bytes {
        match id {
            BlockId::ZERO => &ZEROS,
            _ => &self.chunks[id.index() / CHUNK][id.index() % CHUNK],
        }
    }

    /// A content that is another with some bytes changed.
    pub fn patch(&mut self, id: BlockId, at: usize, bytes: &[u8]) -> BlockId {
        let Some(new) = self.free.pop() else {
            let mut whole = *self.bytes(id);
            whole[at..at + bytes.len()].copy_from_slice(bytes);
            return self.put(&whole);
        };
        let old = (id != BlockId::ZERO)
            .then(|| Arc::clone(&self.chunks[id.index() / CHUNK][id.index() % CHUNK]));
        let to = self.slot(new);
        to.copy_from_slice(old.as_deref().unwrap_or(&ZEROS));
        to[at..at + bytes.len()].copy_from_slice(bytes);
        if *to == ZEROS {
            self.free.push(new);
            return BlockId::ZERO;
        }
        BlockId(new)
    }

    /// The bytes of a number that nobody holds, to be written over.
    fn slot(&mut self, id: u32) -> &mut Bytes {
        let chunk = Arc::make_mut(&mut self.chunks[id as usize / CHUNK]);
        let slot = &mut chunk[id as usize % CHUNK];
        if Arc::get_mut(slot).is_none() {
            *slot = Arc::new(ZEROS);
        }
        Arc::make_mut(slot)
    }

    /// Keeps a version of a page.
    pub fn version(&mut self, version: Version) -> PageVer {
        const CHUNK: usize = 1024;
        if self.vers.last().is_none_or(|last| last.len() == CHUNK) {
            self.vers.push(Arc::new(Vec::with_capacity(CHUNK)));
        }
        let full = self.vers.len() - 1;
        let Some(last) = self.vers.last_mut() else { return PageVer(0) };
        let last = Arc::make_mut(last);
        last.push(version);
        PageVer(u32::try_from(full * CHUNK + last.len() - 1).unwrap_or(u32::MAX))
    }

    /// A version of a page.
    #[must_use]
    pub fn ver(&self, ver: PageVer) -> &Version {
        &self.vers[ver.index() / 1024][ver.index() % 1024]
    }

    /// Whether so much is kept that it is time to ask who holds what.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.len - self.free.len() > self.limit
    }

    /// Uses again what is not marked.
    pub fn sweep(&mut self, marks: &Marks) {
        self.free.clear();
        // From the highest down, so that the lowest is used first.
        for id in (1..self.len).rev() {
            if !marks.held(id) {
                self.free.push(u32::try_from(id).unwrap_or(u32::MAX));
            }
        }
        self.limit = FEW.max(2 * (self.len - self.free.len()));
    }
}

impl Default for Arena {
    fn default() -> Self {
        Self::new()
    }
}

/// Which contents somebody holds.
#[derive(Clone, Debug, Default)]
pub struct Marks(Vec<u64>);

impl Marks {
    /// Forgets all marks.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Somebody holds this.
    pub fn hold(&mut self, id: BlockId) {
        let word = id.index() / 64;
        if word >= self.0.len() {
            self.0.resize(word + 1, 0);
        }
        self.0[word] |= 1 << (id.index() % 64);
    }

    fn held(&self, id: usize) -> bool {
        self.0.get(id / 64).is_some_and(|word| word >> (id % 64) & 1 == 1)
    }
}
