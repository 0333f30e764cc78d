//! Gives out what still verifies of a damaged tree, and writes nothing.
//!
//! Invariant: a value is given out only if every page that it stands on verifies. What hangs below
//! a branch that does not is found by looking at every page of the file that is neither reached nor
//! free; only where the free list is lost too, older states of a key may come up, and it is said.

use ondisk_log::Lsn;

use crate::btree::meta::{Meta, Place, first_page};
use crate::btree::page::{BlobRef, Content, Expected, Kind, Page, PageRef};
use crate::btree::space::Run;
use crate::btree::tree::Tree;
use crate::btree::{new_tree, open_file, read_free_list, read_meta};
use crate::engine::Site;
use crate::error::Error;
use crate::salvage::{Lost, Salvage};

/// Gives out every entry that verifies, and tells what does not.
pub(crate) fn salvage(site: &Site, sink: &mut dyn Salvage) -> Result<(), Error> {
    let tree = new_tree(site);
    let Some(file) = open_file(site)? else { return Ok(()) };
    let mut newest: Option<Meta> = None;
    let mut whole = Whole::Yes;
    for place in Place::BOTH {
        match read_meta(site, &*file, &tree.path, place) {
            Ok(meta) => newest = newest.into_iter().chain([meta]).max_by_key(|meta| meta.edit),
            Err(error) => {
                whole = Whole::No;
                lose(error, site.options.page_size.0.into(), sink)?;
            }
        }
    }
    drop(tree.file.set(file));
    let pages = u32::try_from(tree.size()? / tree.shape.size as u64).unwrap_or(u32::MAX);
    let seen = vec![false; pages as usize];
    // Beside a meta page that does not verify, the other may be the older one: what it reaches is
    // given out where it verifies, and so is what it does not reach.
    let mut salvager = Salvager { tree: &tree, meta: newest, seen, whole, sink };
    salvager.tree()?;
    salvager.orphans()
}

/// Tells of damage as lost, and passes on what is no damage.
fn lose(error: Error, len: u64, sink: &mut dyn Salvage) -> Result<(), Error> {
    let Error::Damaged { path, offset, damage } = error else { return Err(error) };
    sink.lost(Lost { path, offset, len, lsn: None, what: damage.to_string() });
    Ok(())
}

/// Whether all that was looked at so far verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whole {
    Yes,
    No,
}

struct Salvager<'a> {
    tree: &'a Tree,
    meta: Option<Meta>,
    /// Which pages were reached, or are free.
    seen: Vec<bool>,
    whole: Whole,
    sink: &'a mut dyn Salvage,
}

impl Salvager<'_> {
    fn tree(&mut self) -> Result<(), Error> {
        let Some(meta) = self.meta else { return Ok(()) };
        match meta.height.checked_sub(1) {
            Some(level) => self.node(meta.root, level, meta.through),
            None => Ok(()),
        }
    }

    /// A page, or `None` where it does not verify.
    fn read(&mut self, want: Expected, longest: u32) -> Result<Option<Page>, Error> {
        match self.tree.read_page(want, longest) {
            Ok(page) => {
                self.see(Run { first: page.number, len: page.span(self.tree.shape) });
                Ok(Some(page))
            }
            Err(error) => {
                self.whole = Whole::No;
                lose(error, self.tree.shape.size as u64, self.sink)?;
                Ok(None)
            }
        }
    }

    fn see(&mut self, run: Run) {
        let end = (run.end() as usize).min(self.seen.len());
        if let Some(seen) = self.seen.get_mut(run.first as usize..end) {
            seen.fill(true);
        }
    }

    fn node(&mut self, at: PageRef, level: u8, through: Lsn) -> Result<(), Error> {
        let want = Expected { number: at.number.get(), sum: Some(at.sum.get()) };
        let Some(page) = self.read(want, self.tree.shape.longest_node())? else { return Ok(()) };
        if page.level != level {
            return Ok(()); // a tree that was written so: nothing of it is trusted
        }
        if level == 0 {
            return self.leaf(&page, Some(through));
        }
        (0..page.count()).try_for_each(|index| self.node(page.child(index), level - 1, through))
    }

    fn leaf(&mut self, page: &Page, lsn: Option<Lsn>) -> Result<(), Error> {
        let mut key = Vec::new();
        for index in 0..page.count() {
            page.key_into(index, &mut key);
            match page.content(index) {
                Content::Inline(value) => self.sink.entry(&key, Some(value), lsn),
                Content::Blob(blob) => {
                    if let Some(value) = self.blob(blob)? {
                        self.sink.entry(&key, Some(value.tail()), lsn);
                    }
                }
            }
        }
        Ok(())
    }

    fn blob(&mut self, blob: BlobRef) -> Result<Option<Page>, Error> {
        let want = Expected { number: blob.page.number.get(), sum: Some(blob.page.sum.get()) };
        let page = self.read(want, self.tree.shape.blob_span(blob.len.get()))?;
        Ok(page.filter(|page| page.kind == Kind::Blob))
    }

    /// Leaves that a branch reached which does not verify.
    fn orphans(&mut self) -> Result<(), Error> {
        if self.whole == Whole::Yes {
            return Ok(());
        }
        let lsn = self.see_free()?;
        let first = first_page(u32::try_from(self.tree.shape.size).unwrap_or(u32::MAX));
        let mut leaves = Vec::new();
        for number in first..u32::try_from(self.seen.len()).unwrap_or(u32::MAX) {
            if !self.seen[number as usize] {
                let page = self.orphan(number)?;
                leaves.extend(page.map(|page| (page.generation, number)));
            }
        }
        // Of two states of a key the later one counts.
        leaves.sort_unstable();
        for (_, number) in leaves {
            if let Some(page) = self.orphan(number)? {
                self.leaf(&page, lsn)?;
            }
        }
        Ok(())
    }

    /// The leaf at a page that nothing reaches, if one verifies there.
    fn orphan(&self, number: u32) -> Result<Option<Page>, Error> {
        let want = Expected { number, sum: None };
        match self.tree.read_page(want, self.tree.shape.longest_node()) {
            Ok(page) => Ok(Some(page).filter(|page| page.kind == Kind::Leaf)),
            Err(Error::Damaged { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Notes which pages are free. Then what is neither free nor reached belongs to the tree, as of
    /// its LSN; without the free list it may be older.
    fn see_free(&mut self) -> Result<Option<Lsn>, Error> {
        let Some(meta) = self.meta else { return Ok(None) };
        match read_free_list(self.tree, &meta) {
            Ok(list) => {
                let list = list.unwrap_or_default();
                list.free.iter().chain(&list.held).for_each(|run| self.see(*run));
                Ok(Some(meta.through))
            }
            Err(error) => {
                lose(error, self.tree.shape.size as u64, self.sink)?;
                let (path, offset) = (self.tree.path.clone(), 0);
                let what = "which pages are free is not known: keys below a lost page may come up \
                            in an older state"
                    .to_owned();
                self.sink.lost(Lost { path, offset, len: 0, lsn: None, what });
                Ok(None)
            }
        }
    }
}
