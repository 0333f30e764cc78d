//! The engine *btree*: a copy-on-write tree of pages.
//!
//! ```text
//! frozen young map ─► rewrite: touched nodes at new places ─► sync ─► log durable? ─► meta page ─► sync ─► new view
//! reclaiming       ─► rewrite: nodes and values at the end, nearer the front ─► … the same way … ─► a shorter file
//! ```
//!
//! Invariant: what an installed meta page reaches is durable, and is never written again while
//! that meta page may come back after a cut, while a view of it is kept, or while a reader of
//! another process may read it. The installed meta page is never written over but by itself.
//!
//! Knows nothing of the log but LSNs. The bytes are specified in `docs/format/page.md`.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use arc_swap::ArcSwap;
use ondisk_fs::{Access, File, create_dir_durable};

use crate::btree::cache::Table;
use crate::btree::checkpoint::Checkpoint;
use crate::btree::draft::{Purpose, Ready};
use crate::btree::meta::{META, Meta, Place, first_page};
use crate::btree::page::{Kind, Shape, Sums};
use crate::btree::page_manager::{PageManager, create, pages_path, sweep};
use crate::btree::sabotage::BtreeRule;
use crate::btree::shrink::{Shrink, Sweep, is_worth};
use crate::btree::space::{FreeList, Run, Space, joined};
use crate::btree::tree::{Counters, Refs, Tree, TreeView};
use crate::btree::turn::Turns;
use crate::engine::{
    CommitPoint, Engine, EngineStats, FileCount, FileKind, Job, Pins, Reclaim, Site, View,
};
use crate::error::{Damage, Error};
use crate::keyspace::Frozen;
use crate::sabotage::Sabotage;

pub(crate) mod cache;
mod checkpoint;
mod draft;
pub(crate) mod dump;
mod items;
pub(crate) mod meta;
pub(crate) mod page;
mod page_manager;
mod rewrite;
pub(crate) mod sabotage;
pub(crate) mod salvage;
mod shrink;
mod space;
mod tree;
mod turn;
pub(crate) mod verify;
mod walk;

/// The old generation of one keyspace.
#[derive(Debug)]
pub(crate) struct Btree {
    site: Site,
    tree: Arc<Tree>,
    /// The newest tree whose meta page is durable.
    view: ArcSwap<TreeView>,
    /// What a job goes by. Readers never take it.
    writer: Mutex<Writer>,
    /// Which job may hand out pages.
    turns: Arc<Turns>,
    taken_over: AtomicU64,
    written: AtomicU64,
    reclaim_written: AtomicU64,
}

/// What stands between two jobs.
#[derive(Debug)]
struct Writer {
    /// As it is installed.
    meta: Meta,
    place: Place,
    /// No attempt takes an edit that an earlier one took: of one that failed late it is not known
    /// whether its meta page is on disk.
    next_edit: u64,
    /// `None` until the free list was read.
    space: Option<Space>,
    held: Vec<Held>,
    /// Pages of attempts whose meta page may be on disk.
    doubtful: Vec<Run>,
    /// The views that were given out, each with its edit.
    views: Vec<(u64, Weak<TreeView>)>,
    /// Whether the directory and the file's name were made durable since the open.
    named: Named,
    /// What the jobs that make the file shorter go on with.
    sweep: Option<Sweep>,
    /// Where the file ended when the last sweep began, unless a checkpoint came since.
    swept_from: Option<u32>,
    rest: Option<Rest>,
}

/// When nothing was found that would make the file shorter.
#[derive(Clone, Copy, Debug)]
struct Rest {
    /// Of so much.
    want: Reclaim,
    /// In the tree of this edit.
    edit: u64,
    /// So many held pages were kept by views.
    kept: u64,
    /// Checkpoints had written so many bytes.
    written: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Named {
    No,
    Durably,
}

/// Pages that an edit freed, which somebody may still read.
#[derive(Clone, Debug)]
struct Held {
    /// Views of earlier edits reach them.
    edit: u64,
    /// So do readers of other processes up to this one; `None` for those that were held when the
    /// tree was opened, until the first job asks.
    pin: Option<u64>,
    runs: Vec<Run>,
}

/// What a job starts from.
#[derive(Debug)]
struct Start {
    meta: Meta,
    edit: u64,
    space: Space,
    held: Vec<Held>,
    doubtful: Vec<Run>,
    pages: PageManager,
}

/// Opens the tree of a keyspace, which may be none yet, and writes nothing.
pub(crate) fn open(site: Site) -> Result<Arc<Btree>, Error> {
    let tree = Arc::new(new_tree(&site));
    let (meta, place) = match open_file(&site)? {
        Some(file) => {
            drop(tree.file.set(Arc::clone(&file)));
            read_whole(&site, &tree, &*file)?
        }
        None => (empty_meta(&site), Place::First),
    };
    let view = Arc::new(TreeView::new(Arc::clone(&tree), meta));
    let writer = Writer {
        meta,
        place,
        next_edit: meta.edit + 1,
        space: None,
        held: Vec::new(),
        doubtful: Vec::new(),
        views: vec![(meta.edit, Arc::downgrade(&view))],
        named: Named::No,
        sweep: None,
        swept_from: None,
        rest: None,
    };
    Ok(Arc::new(Btree {
        site,
        tree,
        view: ArcSwap::new(view),
        writer: Mutex::new(writer),
        turns: Arc::default(),
        taken_over: AtomicU64::new(0),
        written: AtomicU64::new(0),
        reclaim_written: AtomicU64::new(0),
    }))
}

/// The meta page that counts, of a file that is long enough for it. Beside a writer in another
/// process the file may have been cut since it was read: then there is a newer one.
fn read_whole(site: &Site, tree: &Tree, file: &dyn File) -> Result<(Meta, Place), Error> {
    let mut found = read_metas(site, file)?;
    loop {
        let (meta, _) = found;
        let (len, expected) = (tree.size()?, tree.shape.offset(meta.page_count));
        if len >= expected || site.breaks(Sabotage::Btree(BtreeRule::LengthUnchecked)) {
            return Ok(found);
        }
        found = read_metas(site, file)?;
        if found.0.edit == meta.edit {
            return Err(Error::damaged(&tree.path, 0, Damage::Length { found: len, expected }));
        }
    }
}

fn empty_meta(site: &Site) -> Meta {
    Meta::empty(site.store, site.keyspace, site.options.page_size.0)
}

fn new_tree(site: &Site) -> Tree {
    let size = site.options.page_size.0 as usize;
    let breaks = |rule| site.breaks(Sabotage::Btree(rule));
    let sums = if breaks(BtreeRule::SumsIgnored) { Sums::Ignored } else { Sums::Checked };
    let refs = if breaks(BtreeRule::ReferenceIgnored) { Refs::Ignored } else { Refs::Checked };
    Tree {
        path: pages_path(&site.dir),
        shape: Shape { sums, ..Shape::new(size, site.store, site.keyspace) },
        file: OnceLock::new(),
        table: Arc::new(Table::new(&site.caches.memory)),
        counters: Counters::default(),
        refs,
    }
}

fn open_file(site: &Site) -> Result<Option<Arc<dyn File>>, Error> {
    let path = pages_path(&site.dir);
    match site.fs.open(&path, Access::Read) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        other => other.map(Some).map_err(Error::io(&path, "open the file of pages")),
    }
}

/// Reads one meta page.
fn read_meta(site: &Site, file: &dyn File, path: &Path, place: Place) -> Result<Meta, Error> {
    let offset = place.offset(site.options.page_size.0);
    let mut bytes = [0; META];
    match file.read_exact_at(&mut bytes, offset) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            let found = file.size().map_err(Error::io(path, "ask for the length of the pages"))?;
            let expected = u64::from(first_page(site.options.page_size.0))
                * u64::from(site.options.page_size.0);
            return Err(Error::damaged(path, offset, Damage::Length { found, expected }));
        }
        other => other.map_err(Error::io(path, "read a meta page"))?,
    }
    let meta = Meta::decode(path, offset, &bytes)?;
    let elsewhere = |what| Err(Error::damaged(path, offset, Damage::Elsewhere(what)));
    if meta.store != site.store {
        return elsewhere("store");
    }
    if meta.keyspace != site.keyspace {
        return elsewhere("keyspace");
    }
    if meta.page_size != site.options.page_size.0 {
        return elsewhere("page size");
    }
    Ok(meta)
}

/// The meta page that counts: the newer of the two. Both verify, always: each takes one sector, so
/// no cut leaves a part of one. Where one does not, what it held is not known, and the other is
/// not served in its place. That both are older than what was once installed, whoever knows which
/// commit points were durable can tell by [`Engine::commit_point`].
fn read_metas(site: &Site, file: &dyn File) -> Result<(Meta, Place), Error> {
    let path = pages_path(&site.dir);
    let read = |place| read_meta(site, file, &path, place);
    // Beside a writer in another process a read may meet a write.
    let again = |place| read(place).or_else(|_| read(place)).or_else(|_| read(place));
    let (first, second) = (again(Place::First)?, again(Place::Second)?);
    let older = site.breaks(Sabotage::Btree(BtreeRule::OlderMetaCounts));
    let first_counts = if older { first.edit < second.edit } else { first.edit > second.edit };
    Ok(if first_counts { (first, Place::First) } else { (second, Place::Second) })
}

impl Btree {
    fn breaks(&self, rule: BtreeRule) -> bool {
        self.site.breaks(Sabotage::Btree(rule))
    }

    fn writer(&self) -> MutexGuard<'_, Writer> {
        // A panic while it was held is one in an assertion: before anything was changed.
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the next job starts from: the installed tree, and the pages that may be handed out.
    fn start(&self, pins: &dyn Pins) -> Result<Start, Error> {
        let mut writer = self.writer();
        self.name(&mut writer)?;
        let space = match &writer.space {
            Some(space) => space.clone(),
            None => self.read_space(&mut writer)?,
        };
        for held in &mut writer.held {
            held.pin.get_or_insert_with(|| pins.newest());
        }
        writer.space = Some(space.clone());
        writer.views.retain(|(_, view)| view.strong_count() > 0);
        let (mut space, mut held) = (space, writer.held.clone());
        held.retain(|held| {
            let seen = writer.is_seen(held) && !self.breaks(BtreeRule::SnapshotIgnored);
            let read = pins.oldest().is_some_and(|oldest| Some(oldest) <= held.pin)
                && !self.breaks(BtreeRule::PinsIgnored);
            if !seen && !read {
                held.runs.iter().for_each(|run| space.release(*run));
            }
            seen || read
        });
        space.trim();
        space.set_ceiling(writer.sweep.as_ref().map(Sweep::limit));
        let edit = writer.next_edit;
        writer.next_edit += 1;
        let pages = PageManager::open(&self.site, self.tree.shape)?;
        let doubtful = writer.doubtful.clone();
        Ok(Start { meta: writer.meta, edit, space, held, doubtful, pages })
    }

    /// Makes the file where it is not there, and its name durable once for each opening: whoever
    /// made it may have died before that.
    fn name(&self, writer: &mut Writer) -> Result<(), Error> {
        if self.tree.file.get().is_none() {
            create(&self.site, &empty_meta(&self.site))?;
            let file = open_file(&self.site)?;
            if let Some(file) = file {
                drop(self.tree.file.set(file));
            }
            writer.named = Named::Durably;
        }
        if writer.named == Named::No {
            self.sync_names()?;
            writer.named = Named::Durably;
        }
        Ok(())
    }

    fn sync_names(&self) -> Result<(), Error> {
        let (fs, dir) = (&*self.site.fs, &self.site.dir);
        let made = create_dir_durable(fs, dir).and_then(|_| fs.sync_dir(dir));
        made.map_err(Error::io(dir, "sync the directory")).map(drop)
    }

    /// Reads the free list of the installed tree.
    fn read_space(&self, writer: &mut Writer) -> Result<Space, Error> {
        let meta = &writer.meta;
        let mut space = Space::new(self.tree.shape.size, meta.page_count);
        if let Some(list) = read_free_list(&self.tree, meta)? {
            list.free.into_iter().for_each(|run| space.release(run));
            writer.held.push(Held { edit: meta.edit, pin: None, runs: list.held });
        }
        Ok(space)
    }

    /// Puts a tree in place: from here on it is the keyspace. All that its meta page reaches is
    /// durable, and the log is through its LSN.
    fn install(&self, ready: &mut Ready, pins: &dyn Pins) -> Result<(), Error> {
        let mut writer = self.writer();
        let place = writer.place.other();
        // Whatever becomes of the attempt, its pages are not handed out again before it is known.
        let before = std::mem::take(&mut writer.doubtful);
        if !self.breaks(BtreeRule::DoubtIgnored) {
            writer.doubtful = before.iter().chain(&ready.taken).copied().collect();
            writer.space = Some(ready.space.clone());
            writer.held.clone_from(&ready.held);
        }
        ready.pages.write_meta(&ready.meta, place)?;
        if !self.breaks(BtreeRule::MetaNotSynced) {
            ready.pages.sync()?;
        }
        for page in std::mem::take(&mut ready.late) {
            ready.pages.write_page(page)?; // where a rule is broken so
            ready.pages.write_waiting()?;
        }
        let mut runs = std::mem::take(&mut ready.freed);
        runs.extend(before);
        let mut space = ready.space.clone();
        writer.doubtful.clear();
        writer.held.clone_from(&ready.held);
        let pin = Some(pins.newest()); // a reader that comes from now on finds the new tree
        let written = match &ready.purpose {
            Purpose::Checkpoint => {
                writer.swept_from = None;
                &self.written
            }
            Purpose::Shrink(sweep) => {
                writer.sweep.clone_from(sweep);
                if self.breaks(BtreeRule::MovedPlaceReused) {
                    std::mem::take(&mut runs).into_iter().for_each(|run| space.release(run));
                }
                &self.reclaim_written
            }
        };
        writer.space = Some(space);
        written.fetch_add(ready.pages.written, Relaxed);
        writer.held.push(Held { edit: ready.meta.edit, pin, runs: joined(runs) });
        writer.meta = ready.meta;
        writer.place = place;
        let view = Arc::new(TreeView::new(Arc::clone(&self.tree), ready.meta));
        writer.views.push((ready.meta.edit, Arc::downgrade(&view)));
        self.view.store(view);
        Ok(())
    }

    /// The sweep that is under way, where the file does not end before its limit already; and
    /// where the file ended when the last one began.
    fn sweep_to_go_on(&self, end: u32) -> (Option<Sweep>, Option<u32>) {
        let mut writer = self.writer();
        writer.sweep = writer.sweep.take().filter(|sweep| sweep.limit() < end);
        (writer.sweep.clone(), writer.swept_from)
    }

    fn begin_sweep(&self, sweep: &Sweep, end: u32) {
        let mut writer = self.writer();
        (writer.sweep, writer.swept_from) = (Some(sweep.clone()), Some(end));
    }

    /// Notes how a sweep goes on, without an edit.
    fn go_on_with(&self, sweep: Option<Sweep>) {
        self.writer().sweep = sweep;
    }

    /// Notes that nothing is left to be won as things are.
    fn rest(&self, want: Reclaim) {
        let mut writer = self.writer();
        let (edit, kept) = (writer.meta.edit, writer.kept());
        writer.rest = Some(Rest { want, edit, kept, written: self.written.load(Relaxed) });
    }

    /// A job has failed: whoever wants it by hand may try again, others wait for more garbage.
    fn gave_up(&self) {
        let mut writer = self.writer();
        writer.sweep = None;
        let (want, written) = (Reclaim::Due, self.written.load(Relaxed));
        writer.rest = Some(Rest { want, edit: writer.meta.edit, kept: 0, written });
    }

    /// Whether a job could make the file shorter, as far as can be told without a look at it.
    fn is_worth(&self, want: Reclaim) -> bool {
        let writer = self.writer();
        if writer.sweep.is_some() {
            return true;
        }
        let (pages, size) = (writer.meta.page_count, u64::from(writer.meta.page_size));
        let len = self.tree.size().unwrap_or_default();
        let slack = (len / size.max(1)).saturating_sub(u64::from(pages));
        let (mut free, kept) = (u64::from(writer.meta.free_pages), writer.kept());
        let rested = writer.rest.filter(|rest| rest.kept <= kept);
        let at_rest = rested.is_some_and(|rest| match want {
            Reclaim::All => rest.want == want && rest.edit == writer.meta.edit,
            Reclaim::Due => {
                let since = self.written.load(Relaxed).saturating_sub(rest.written);
                rest.edit == writer.meta.edit || since < len / 4
            }
        });
        if want == Reclaim::All {
            free += slack;
        }
        !at_rest && is_worth(want, pages, free, writer.meta.page_size)
    }
}

impl Writer {
    /// Whether a view is kept that reaches what is held.
    fn is_seen(&self, held: &Held) -> bool {
        self.views.iter().any(|(edit, view)| *edit < held.edit && view.strong_count() > 0)
    }

    /// How many of the held pages are kept by views.
    fn kept(&self) -> u64 {
        let kept = self.held.iter().filter(|held| self.is_seen(held));
        kept.flat_map(|held| &held.runs).map(|run| u64::from(run.len)).sum()
    }
}

/// The free list of a tree; `None` where nothing is free.
fn read_free_list(tree: &Tree, meta: &Meta) -> Result<Option<FreeList>, Error> {
    let number = meta.free_list.page.number.get();
    if number == 0 {
        return Ok(None);
    }
    let page = tree.blob(meta.free_list, Kind::FreeList)?;
    let first = first_page(meta.page_size);
    let list = FreeList::decode(page.tail(), first..meta.page_count);
    let list = list.map_err(|damage| tree.damaged(number, damage))?;
    if list.pages() != u64::from(meta.free_pages) {
        return Err(tree.damaged(number, Damage::Field("pages of the free list")));
    }
    Ok(Some(list))
}

impl Engine for Btree {
    fn view(&self) -> Arc<dyn View> {
        self.view.load_full()
    }

    fn commit_point(&self) -> CommitPoint {
        self.view.load().meta.commit_point()
    }

    /// The same bytes at the same place: a cut leaves them, or what the media have there, beside
    /// the other meta page.
    fn renew(&self) -> Result<(), Error> {
        let mut writer = self.writer();
        if self.tree.file.get().is_none() || self.breaks(BtreeRule::RenewSkipped) {
            return Ok(());
        }
        self.sync_names()?;
        writer.named = Named::Durably;
        let mut pages = PageManager::open(&self.site, self.tree.shape)?;
        pages.write_meta(&writer.meta, writer.place)?;
        pages.sync()?;
        pages.close();
        Ok(())
    }

    fn sweep(&self) -> Result<(), Error> {
        sweep(&*self.site.fs, &self.site.dir)
    }

    fn checkpoint(self: Arc<Self>, frozen: Frozen) -> Box<dyn Job> {
        Box::new(Checkpoint::new(self, frozen))
    }

    /// One job at a time, and none beside a checkpoint.
    fn reclaim(self: Arc<Self>, want: Reclaim) -> Option<Box<dyn Job>> {
        self.tree.file.get()?;
        let turn = self.turns.reclaim()?;
        self.is_worth(want).then(|| Box::new(Shrink::new(self, want, turn)) as Box<dyn Job>)
    }

    fn stats(&self) -> EngineStats {
        let view = self.view.load();
        let (meta, counters) = (&view.meta, &self.tree.counters);
        let (first, free) = (first_page(meta.page_size), u64::from(meta.free_pages));
        let used = u64::from(meta.page_count.saturating_sub(first)).saturating_sub(free);
        let misses = counters.misses.load(Relaxed);
        let mut files = BTreeMap::new();
        if self.tree.file.get().is_some() {
            let bytes = self.tree.size().unwrap_or_default();
            files.insert("pages", FileCount { count: 1, bytes });
        }
        EngineStats {
            files,
            keys: Some(meta.entries),
            pages: Some((used, free)),
            dead_bytes: free * u64::from(meta.page_size),
            taken_over: self.taken_over.load(Relaxed),
            checkpoint_written: self.written.load(Relaxed),
            reclaim_written: self.reclaim_written.load(Relaxed),
            cache_hits: counters.reads().saturating_sub(misses),
            cache_misses: misses,
            read_bytes: counters.read_bytes.load(Relaxed),
            ..EngineStats::default()
        }
    }

    fn files(&self) -> Vec<FileKind> {
        let row = |kind, when: &str, so: &str| FileKind {
            kind,
            flush: "as pages are made, a megabyte at a time".to_owned(),
            sync: "fdatasync".to_owned(),
            when: when.to_owned(),
            so: so.to_owned(),
        };
        vec![
            row(
                "pages",
                "once a checkpoint or a move of pages, before its meta page is written",
                "no page that counts can be lost; until then the log holds what is in it",
            ),
            row(
                "meta page",
                "at the end of each, when the log is durable through it",
                "a cut leaves the old tree or the new one, whole",
            ),
        ]
    }
}

#[cfg(test)]
mod tests;
