//! Verifies every page of a tree, and writes nothing.
//!
//! Invariant: what is wrong is a finding, not an error; an error says that it could not be judged.
//! A tree without a finding has each of its pages in one place: reachable once, or free.

use std::ops::Range;

use crate::btree::meta::{Meta, Place, first_page};
use crate::btree::page::{BlobRef, Content, Expected, Kind, Page, PageRef};
use crate::btree::space::{FreeList, Run};
use crate::btree::tree::Tree;
use crate::btree::{new_tree, open_file, read_meta};
use crate::check::Finding;
use crate::engine::Site;
use crate::error::{Damage, Error};

/// Verifies both meta pages, every page that the newer one reaches, the order of keys, and that no
/// page is lost or in two places.
pub(crate) fn verify(site: &Site, sink: &mut dyn FnMut(Finding)) -> Result<(), Error> {
    let tree = new_tree(site);
    let Some(file) = open_file(site)? else { return Ok(()) };
    let mut newest: Option<Meta> = None;
    for place in Place::BOTH {
        let meta = note(read_meta(site, &*file, &tree.path, place), sink)?;
        newest = newest.into_iter().chain(meta).max_by_key(|meta| meta.edit);
    }
    drop(tree.file.set(file));
    let Some(meta) = newest else { return Ok(()) };
    let (found, expected) = (tree.size()?, tree.shape.offset(meta.page_count));
    if found < expected {
        let damage = Damage::Length { found, expected };
        note(Err::<(), _>(Error::damaged(&tree.path, 0, damage)), sink)?;
    }
    let end = u32::try_from(found / tree.shape.size as u64).unwrap_or(u32::MAX);
    let used = vec![false; end.min(meta.page_count) as usize];
    let mut verify = Verify { tree: &tree, meta, used, entries: 0, whole: true, sink };
    verify.run()
}

/// Makes damage a finding, and passes on what is no damage.
fn note<T>(result: Result<T, Error>, sink: &mut dyn FnMut(Finding)) -> Result<Option<T>, Error> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(Error::Damaged { path, offset, damage }) => {
            sink(Finding { path, offset, what: damage.to_string() });
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

struct Verify<'a> {
    tree: &'a Tree,
    meta: Meta,
    /// Which pages have been met.
    used: Vec<bool>,
    entries: u64,
    whole: bool,
    sink: &'a mut dyn FnMut(Finding),
}

/// Between which keys a node's keys lie.
#[derive(Clone, Copy)]
struct Within<'a> {
    lower: &'a [u8],
    upper: Option<&'a [u8]>,
}

impl Verify<'_> {
    fn run(&mut self) -> Result<(), Error> {
        if let Some(level) = self.meta.height.checked_sub(1) {
            self.node(self.meta.root, level, Within { lower: &[], upper: None })?;
        }
        if self.whole && self.entries != self.meta.entries {
            let (found, expected) = (self.entries, self.meta.entries);
            self.find(0, Damage::EntryCount { found, expected }.to_string());
        }
        self.free_list()?;
        let first = first_page(self.meta.page_size);
        let lost = (first as usize..self.used.len()).filter(|page| !self.used[*page]);
        let lost: Vec<usize> = lost.collect();
        if let (true, Some(page)) = (self.whole, lost.first()) {
            let number = u32::try_from(*page).unwrap_or(u32::MAX);
            let what = format!("{} pages are neither in the tree nor free", lost.len());
            self.find(number, what);
        }
        Ok(())
    }

    fn find(&mut self, number: u32, what: String) {
        self.whole = false;
        let offset = self.tree.shape.offset(number);
        (self.sink)(Finding { path: self.tree.path.clone(), offset, what });
    }

    /// Marks pages as met.
    fn mark(&mut self, run: Run) {
        let pages = run.first as usize..run.end() as usize;
        let Some(used) = self.used.get_mut(pages) else {
            return self.find(run.first, "pages behind the last one are in use".to_owned());
        };
        let twice = used.iter().any(|used| *used);
        used.fill(true);
        if twice {
            self.find(run.first, "a page is in use in two places".to_owned());
        }
    }

    fn read(&mut self, at: PageRef, longest: u32) -> Result<Option<Page>, Error> {
        let want = Expected { number: at.number.get(), sum: Some(at.sum.get()) };
        let page = note(self.tree.read_page(want, longest), self.sink)?;
        match &page {
            Some(page) => {
                self.mark(Run { first: page.number, len: page.span(self.tree.shape) });
                if page.generation > self.meta.edit {
                    self.find(page.number, "a page is newer than its tree".to_owned());
                }
            }
            None => self.whole = false,
        }
        Ok(page)
    }

    fn node(&mut self, at: PageRef, level: u8, within: Within<'_>) -> Result<(), Error> {
        let Some(page) = self.read(at, self.tree.shape.longest_node())? else { return Ok(()) };
        let kind = if level == 0 { Kind::Leaf } else { Kind::Branch };
        if page.kind != kind || page.level != level {
            self.find(page.number, Damage::Field("kind or level").to_string());
            return Ok(());
        }
        self.order(&page, within);
        let (mut lower, mut next) = (within.lower.to_vec(), Vec::new());
        for index in 0..page.count() {
            if level == 0 {
                self.entries += 1;
                if let Content::Blob(blob) = page.content(index) {
                    self.blob(blob)?;
                }
                continue;
            }
            page.key_into(index + 1, &mut next);
            let last = index + 1 == page.count();
            let upper = if last { within.upper } else { Some(&next[..]) };
            self.node(page.child(index), level - 1, Within { lower: &lower, upper })?;
            std::mem::swap(&mut lower, &mut next);
        }
        Ok(())
    }

    /// The keys of a node ascend, and lie between those of its parent.
    fn order(&mut self, page: &Page, within: Within<'_>) {
        let keyed: Range<usize> = usize::from(page.level > 0)..page.count();
        let (mut before, mut key): (Option<Vec<u8>>, Vec<u8>) = (None, Vec::new());
        for index in keyed {
            page.key_into(index, &mut key);
            let ascends = before.as_ref().is_none_or(|before| *before < key);
            let inside = *within.lower <= *key && within.upper.is_none_or(|upper| *key < *upper);
            if !ascends || !inside {
                return self.find(page.number, Damage::Order.to_string());
            }
            before = Some(std::mem::take(&mut key));
        }
    }

    fn blob(&mut self, blob: BlobRef) -> Result<(), Error> {
        let span = self.tree.shape.blob_span(blob.len.get());
        let Some(page) = self.read(blob.page, span)? else { return Ok(()) };
        if page.kind != Kind::Blob || page.tail().len() != blob.len.get() as usize {
            self.find(page.number, Damage::Field("kind or tail").to_string());
        }
        Ok(())
    }

    fn free_list(&mut self) -> Result<(), Error> {
        let at = self.meta.free_list;
        if at.page.number.get() == 0 {
            return Ok(());
        }
        let span = self.tree.shape.blob_span(at.len.get());
        let Some(page) = self.read(at.page, span)? else { return Ok(()) };
        let pages = first_page(self.meta.page_size)..self.meta.page_count;
        match FreeList::decode(page.tail(), pages) {
            Ok(list) => {
                if list.pages() != u64::from(self.meta.free_pages) {
                    let damage = Damage::Field("pages of the free list");
                    self.find(page.number, damage.to_string());
                }
                list.free.iter().chain(&list.held).for_each(|run| self.mark(*run));
            }
            Err(damage) => self.find(page.number, damage.to_string()),
        }
        Ok(())
    }
}
