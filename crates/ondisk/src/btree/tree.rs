//! The tree as a reader finds it: from a reference to its page, from a key to its value.
//!
//! Invariant: a [`TreeView`] reaches the pages of one edit. None of them is handed out again while
//! the view is kept, so a page that is not what its reference says is damage.
//!
//! A hit takes no lock, no hash and no copy: a page is found by its number, and a value keeps the
//! page on which it stands.

use std::ops::Bound;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

use arc_swap::Guard;
use ondisk_fs::File;
use ondisk_log::Lsn;

use crate::btree::cache::Table;
use crate::btree::meta::{Meta, first_page};
use crate::btree::page::{
    BlobRef, Content, Expected, Kind, Page, PageRef, PageSlice, Shape, claimed_span,
};
use crate::btree::walk::TreeWalk;
use crate::engine::{Direction, View, Walk};
use crate::error::{Damage, Error};
use crate::value::Value;

/// How many counters a count is spread over, so that readers do not share them.
const STRIPES: usize = 16;

/// What all views of a tree share: how its pages are read.
#[derive(Debug)]
pub(crate) struct Tree {
    pub(crate) path: PathBuf,
    pub(crate) shape: Shape,
    /// For reading; not there until the file is.
    pub(crate) file: OnceLock<Arc<dyn File>>,
    pub(crate) table: Arc<Table>,
    pub(crate) counters: Counters,
    /// Whether a parent's reference decides what a page must be.
    pub(crate) refs: Refs,
}

/// Whether the sum in a reference is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refs {
    Checked,
    /// Broken on purpose.
    Ignored,
}

/// What reads cost, since the tree was opened.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    reads: [Stripe; STRIPES],
    pub(crate) misses: AtomicU64,
    pub(crate) read_bytes: AtomicU64,
}

/// A counter in a cache line of its own.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Stripe(AtomicU64);

impl Counters {
    fn read(&self) {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        thread_local! {
            static STRIPE: usize = NEXT.fetch_add(1, Relaxed) % STRIPES;
        }
        STRIPE.with(|stripe| self.reads[*stripe].0.fetch_add(1, Relaxed));
    }

    /// How many keys were looked up.
    pub(crate) fn reads(&self) -> u64 {
        self.reads.iter().map(|stripe| stripe.0.load(Relaxed)).sum()
    }
}

impl Tree {
    /// The page that a reference names, which stands so many levels above the leaves.
    #[inline]
    pub(crate) fn node(&self, at: PageRef, level: u8) -> Result<Guard<Arc<Page>>, Error> {
        let kept = self.table.get(at.number.get());
        if kept.is(at) && kept.level == level {
            kept.touch();
            return Ok(kept);
        }
        self.load_node(at, level).map(Guard::from_inner)
    }

    #[cold]
    fn load_node(&self, at: PageRef, level: u8) -> Result<Arc<Page>, Error> {
        let page = self.read_node(at, level)?;
        self.table.keep(Arc::clone(&page));
        Ok(page)
    }

    fn read_node(&self, at: PageRef, level: u8) -> Result<Arc<Page>, Error> {
        let longest = self.shape.longest_node();
        let page = self.load(at, longest)?;
        let kind = if level == 0 { Kind::Leaf } else { Kind::Branch };
        if page.kind != kind || page.level != level {
            return Err(self.damaged(at.number.get(), Damage::Field("kind or level")));
        }
        Ok(Arc::new(page))
    }

    /// As [`node`](Self::node), for who looks at all pages once: the cache stays as it is.
    pub(crate) fn peek_node(&self, at: PageRef, level: u8) -> Result<Arc<Page>, Error> {
        let kept = self.table.get(at.number.get());
        if kept.is(at) && kept.level == level {
            return Ok(Guard::into_inner(kept));
        }
        self.read_node(at, level)
    }

    /// The pages of a blob.
    pub(crate) fn blob(&self, at: BlobRef, kind: Kind) -> Result<Arc<Page>, Error> {
        let kept = self.table.get(at.page.number.get());
        if kept.is(at.page) && kept.kind == kind {
            kept.touch();
            return Ok(Guard::into_inner(kept));
        }
        let page = self.read_blob(at, kind)?;
        if kind == Kind::Blob {
            self.table.keep(Arc::clone(&page));
        }
        Ok(page)
    }

    fn read_blob(&self, at: BlobRef, kind: Kind) -> Result<Arc<Page>, Error> {
        let page = self.load(at.page, self.shape.blob_span(at.len.get()))?;
        if page.kind != kind || page.tail().len() != at.len.get() as usize {
            return Err(self.damaged(at.page.number.get(), Damage::Field("kind or tail")));
        }
        Ok(Arc::new(page))
    }

    /// The pages of a large value, for who wants them once: the cache stays as it is.
    pub(crate) fn peek_blob(&self, at: BlobRef) -> Result<Arc<Page>, Error> {
        let kept = self.table.get(at.page.number.get());
        if kept.is(at.page) && kept.kind == Kind::Blob {
            return Ok(Guard::into_inner(kept));
        }
        self.read_blob(at, Kind::Blob)
    }

    fn load(&self, at: PageRef, longest: u32) -> Result<Page, Error> {
        let sum = (self.refs == Refs::Checked).then(|| at.sum.get());
        let number = at.number.get();
        self.counters.misses.fetch_add(1, Relaxed);
        let mut page = self.read_page(Expected { number, sum }, longest)?;
        page.sum = at.sum.get();
        Ok(page)
    }

    /// Reads and verifies a page with all that it spans, past the cache.
    pub(crate) fn read_page(&self, want: Expected, longest: u32) -> Result<Page, Error> {
        let (shape, number) = (self.shape, want.number);
        if number < first_page(u32::try_from(shape.size).unwrap_or(u32::MAX)) {
            return Err(self.damaged(number, Damage::Field("number")));
        }
        let mut bytes = vec![0; shape.size];
        self.read_bytes(&mut bytes, number)?;
        let span = claimed_span(&bytes, longest).map_err(|it| self.damaged(number, it))?;
        if span > 1 {
            // What follows must be there before memory is taken for it.
            let end = shape.offset(number).saturating_add(u64::from(span) * shape.size as u64);
            if self.size()? < end {
                return Err(self.damaged(number, Damage::Field("span")));
            }
            bytes.resize(span as usize * shape.size, 0);
            self.read_bytes(&mut bytes[shape.size..], number + 1)?;
        }
        let page = Page::read(bytes.into_boxed_slice(), shape, want);
        page.map_err(|it| self.damaged(number, it))
    }

    fn read_bytes(&self, bytes: &mut [u8], number: u32) -> Result<(), Error> {
        self.counters.read_bytes.fetch_add(bytes.len() as u64, Relaxed);
        let offset = self.shape.offset(number);
        let Some(file) = self.file.get() else {
            return Err(self.damaged(number, Damage::Missing));
        };
        match file.read_exact_at(bytes, offset) {
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                let found = self.size()?;
                let expected = offset + bytes.len() as u64;
                Err(self.damaged(number, Damage::Length { found, expected }))
            }
            other => other.map_err(Error::io(&self.path, "read a page")),
        }
    }

    /// The length of the file in bytes.
    pub(crate) fn size(&self) -> Result<u64, Error> {
        let size = self.file.get().map_or(Ok(0), |file| file.size());
        size.map_err(Error::io(&self.path, "ask for the length of the pages"))
    }

    pub(crate) fn damaged(&self, number: u32, damage: Damage) -> Error {
        Error::damaged(&self.path, self.shape.offset(number), damage)
    }
}

/// The tree of one edit.
#[derive(Debug)]
pub(crate) struct TreeView {
    pub(crate) tree: Arc<Tree>,
    pub(crate) meta: Meta,
    root: OnceLock<Arc<Page>>,
}

impl TreeView {
    pub(crate) fn new(tree: Arc<Tree>, meta: Meta) -> Self {
        Self { tree, meta, root: OnceLock::new() }
    }

    /// The root, which a view keeps; `None` for a tree without keys.
    pub(crate) fn root(&self) -> Result<Option<&Arc<Page>>, Error> {
        if let Some(root) = self.root.get() {
            return Ok(Some(root));
        }
        let Some(level) = self.meta.height.checked_sub(1) else { return Ok(None) };
        let root = self.tree.node(self.meta.root, level)?;
        Ok(Some(self.root.get_or_init(|| Guard::into_inner(root))))
    }

    fn value(&self, leaf: Arc<Page>, index: usize) -> Result<Value, Error> {
        match leaf.content(index) {
            Content::Inline(_) => Ok(Value::pinned(PageSlice::inline(leaf, index))),
            Content::Blob(blob) => {
                let page = self.tree.blob(blob, Kind::Blob)?;
                Ok(Value::pinned(PageSlice::blob(page)))
            }
        }
    }
}

impl View for TreeView {
    fn through(&self) -> Lsn {
        self.meta.through
    }

    fn get(&self, key: &[u8]) -> Result<Option<Value>, Error> {
        self.tree.counters.read();
        let Some(root) = self.root()? else { return Ok(None) };
        let Some(below) = root.level.checked_sub(1) else {
            let Ok(index) = root.search(key) else { return Ok(None) };
            return self.value(Arc::clone(root), index).map(Some);
        };
        let mut page = self.tree.node(root.child(root.child_index(key)), below)?;
        while let Some(below) = page.level.checked_sub(1) {
            page = self.tree.node(page.child(page.child_index(key)), below)?;
        }
        let Ok(index) = page.search(key) else { return Ok(None) };
        self.value(Guard::into_inner(page), index).map(Some)
    }

    fn walk(
        self: Arc<Self>,
        lower: Bound<&[u8]>,
        upper: Bound<&[u8]>,
        direction: Direction,
    ) -> Box<dyn Walk> {
        Box::new(TreeWalk::new(self, lower, upper, direction))
    }
}
