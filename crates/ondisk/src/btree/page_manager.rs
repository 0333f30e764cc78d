//! The one room that writes pages.
//!
//! Invariant: pages reach the file in runs as long as they come, in the order of their numbers;
//! [`PageManager::sync`] returns when all that were given before are durable. A meta page is
//! written alone, and never while pages wait to be written. After an error the room is closed:
//! whoever tries again opens another, with a handle of its own.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ondisk_fs::{Access, File, FileSystem, create_dir_durable, replace_atomic, temp_path};

use crate::btree::meta::{META, Meta, Place, meta_bytes};
use crate::btree::page::{Page, Shape};
use crate::btree::sabotage::BtreeRule;
use crate::engine::Site;
use crate::error::Error;
use crate::sabotage::Sabotage;

/// The name of the file of pages in a keyspace's directory.
pub(crate) const PAGES: &str = "pages";
/// Pages that wait are written when they are so many bytes.
const WRITE_PIECE: usize = 1 << 20;
/// The least and the most bytes by which the file grows.
const GROWTH: std::ops::RangeInclusive<u64> = 64 << 10..=64 << 20;

/// Writes to the file of pages.
#[derive(Debug)]
pub(crate) struct PageManager {
    path: PathBuf,
    file: Arc<dyn File>,
    shape: Shape,
    /// The length of the file.
    len: u64,
    waiting: Vec<Arc<Page>>,
    waiting_bytes: usize,
    /// Bytes that were written.
    pub(crate) written: u64,
}

pub(crate) fn pages_path(dir: &Path) -> PathBuf {
    dir.join(PAGES)
}

/// Makes the file, durably, with meta pages that say that nothing is there.
pub(crate) fn create(site: &Site, meta: &Meta) -> Result<(), Error> {
    let fs = &*site.fs;
    let made = create_dir_durable(fs, &site.dir);
    made.map_err(Error::io(&site.dir, "make the keyspace's directory"))?;
    let path = pages_path(&site.dir);
    let blocks = usize::try_from(2 * meta_bytes(meta.page_size)).unwrap_or(usize::MAX);
    let mut bytes = vec![0; blocks];
    for place in Place::BOTH {
        let at = usize::try_from(place.offset(meta.page_size)).unwrap_or(usize::MAX);
        bytes[at..at + META].copy_from_slice(&meta.encode());
    }
    if site.breaks(Sabotage::Btree(BtreeRule::NameNotSynced)) {
        let written = fs.create_new(&path).and_then(|file| file.write_all_at(&bytes, 0));
        return written.map_err(Error::io(&path, "make the file of pages"));
    }
    // As a whole: from its first moment under this name it holds meta pages that verify.
    replace_atomic(fs, &path, &bytes).map_err(Error::io(&path, "make the file of pages"))?;
    Ok(())
}

/// Removes what a creation left that was cut.
pub(crate) fn sweep(fs: &dyn FileSystem, dir: &Path) -> Result<(), Error> {
    let path = temp_path(&pages_path(dir));
    match fs.remove(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other.map_err(Error::io(&path, "remove a leftover")),
    }
}

impl PageManager {
    /// Opens the file for writing.
    pub(crate) fn open(site: &Site, shape: Shape) -> Result<Self, Error> {
        let path = pages_path(&site.dir);
        let opened = site.fs.open(&path, Access::ReadWrite);
        let file = opened.map_err(Error::io(&path, "open the file of pages"))?;
        let len = file.size().map_err(Error::io(&path, "ask for the length of the pages"))?;
        let (waiting, waiting_bytes, written) = (Vec::new(), 0, 0);
        Ok(Self { path, file, shape, len, waiting, waiting_bytes, written })
    }

    /// Gives a page to be written.
    pub(crate) fn write_page(&mut self, page: Arc<Page>) -> Result<(), Error> {
        self.waiting_bytes += page.bytes().len();
        self.waiting.push(page);
        if self.waiting_bytes >= WRITE_PIECE { self.write_waiting() } else { Ok(()) }
    }

    /// The pages that wait to be written.
    pub(crate) fn waiting(&self) -> &[Arc<Page>] {
        &self.waiting
    }

    /// Writes the pages that wait, in order, those side by side in one write.
    pub(crate) fn write_waiting(&mut self) -> Result<(), Error> {
        let mut pages = std::mem::take(&mut self.waiting);
        self.waiting_bytes = 0;
        pages.sort_unstable_by_key(|page| page.number);
        let end = pages.last().map_or(0, |page| {
            self.shape.offset(page.number).saturating_add(page.bytes().len() as u64)
        });
        self.reserve(end)?;
        let mut bytes = Vec::new();
        let mut rest = &pages[..];
        while let Some(first) = rest.first() {
            bytes.clear();
            let offset = self.shape.offset(first.number);
            while let Some((page, behind)) = rest.split_first() {
                if self.shape.offset(page.number) != offset + bytes.len() as u64 {
                    break;
                }
                bytes.extend_from_slice(page.bytes());
                rest = behind;
            }
            let written = self.file.write_all_at(&bytes, offset);
            written.map_err(Error::io(&self.path, "write pages"))?;
            self.written += bytes.len() as u64;
        }
        Ok(())
    }

    /// Lets the file grow to a length at least, in large pieces.
    pub(crate) fn reserve(&mut self, end: u64) -> Result<(), Error> {
        if end <= self.len {
            return Ok(());
        }
        let more = (self.len / 8).clamp(*GROWTH.start(), *GROWTH.end());
        let exact = |error: io::Error| {
            // Where there is no room for the whole piece, there may be for what is needed.
            let full = error.kind() == io::ErrorKind::StorageFull;
            if full { self.file.allocate(end).map(|()| end) } else { Err(error) }
        };
        let len = end.max(self.len + more);
        let grown = self.file.allocate(len).map(|()| len).or_else(exact);
        self.len = grown.map_err(Error::io(&self.path, "let the file of pages grow"))?;
        Ok(())
    }

    /// Cuts the file where much of it lies behind the last page in use, once the meta page that says
    /// so is durable.
    pub(crate) fn shrink(&mut self, end: u64) -> Result<(), Error> {
        let slack = (end / 4).max(2 * GROWTH.start());
        if self.len <= end.saturating_add(slack) {
            return Ok(());
        }
        self.cut(end + (end / 8).max(*GROWTH.start()))
    }

    /// Cuts the file to a length, if it is longer.
    pub(crate) fn cut(&mut self, len: u64) -> Result<(), Error> {
        if self.len <= len {
            return Ok(());
        }
        self.file.set_len(len).map_err(Error::io(&self.path, "cut the file of pages"))?;
        self.len = len;
        Ok(())
    }

    /// Returns when all pages that were given are durable.
    pub(crate) fn sync(&mut self) -> Result<(), Error> {
        self.write_waiting()?;
        self.file.sync_data().map_err(Error::io(&self.path, "sync the pages")).map(drop)
    }

    /// Writes a meta page at its place, alone; it is durable when [`sync`](Self::sync) returns.
    pub(crate) fn write_meta(&mut self, meta: &Meta, place: Place) -> Result<(), Error> {
        debug_assert!(self.waiting.is_empty(), "what a meta page reaches is written before it");
        let offset = place.offset(meta.page_size);
        let written = self.file.write_all_at(&meta.encode(), offset);
        self.written += META as u64;
        written.map_err(Error::io(&self.path, "write a meta page"))
    }

    /// Lets go of the file. Pages that still wait were never needed.
    pub(crate) fn close(self) {
        drop(self);
    }
}
