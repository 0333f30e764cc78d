//! The tables that a job writes, one after the other.
//!
//! Invariant: no manifest names them before [`Output::finish`] has made all of them durable, their
//! names too. Whoever drops this before they are named leaves files to be removed, and nothing
//! else.

use std::path::PathBuf;
use std::sync::Arc;

use ondisk_log::Lsn;

use crate::error::Error;
use crate::lsm::Lsm;
use crate::lsm::graveyard::remove;
use crate::lsm::sabotage::LsmRule;
use crate::lsm::table::write::TableWriter;
use crate::lsm::table::{Table, TableMeta, TableOptions, file_name};

/// Some tables on their way to one level.
#[derive(Debug)]
pub(crate) struct Output {
    lsm: Arc<Lsm>,
    level: usize,
    writer: Option<TableWriter>,
    written: Vec<TableMeta>,
    /// Bytes of the tables in `written`.
    bytes: u64,
    /// Every file that was made, while no manifest names them.
    files: Vec<PathBuf>,
}

impl Output {
    pub(crate) fn new(lsm: Arc<Lsm>, level: usize) -> Self {
        Self { lsm, level, writer: None, written: Vec::new(), bytes: 0, files: Vec::new() }
    }

    /// Appends an entry; `None` is a tombstone. Keys come in ascending order.
    pub(crate) fn push(&mut self, key: &[u8], lsn: Lsn, value: Option<&[u8]>) -> Result<(), Error> {
        let writer = match self.writer.take() {
            Some(writer) => writer,
            None => self.create()?,
        };
        self.writer.insert(writer).push(key, lsn, value)
    }

    /// The bytes of the table that is being written; 0 between two.
    pub(crate) fn table_bytes(&self) -> u64 {
        self.writer.as_ref().map_or(0, TableWriter::bytes)
    }

    /// The bytes of all tables.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes + self.table_bytes()
    }

    /// Finishes the table that is being written: the next entry begins another.
    pub(crate) fn cut(&mut self) -> Result<(), Error> {
        if let Some(writer) = self.writer.take() {
            let meta = writer.finish()?;
            self.bytes += meta.len;
            self.written.push(meta);
        }
        Ok(())
    }

    /// Makes all tables durable, names and all, and opens them.
    pub(crate) fn finish(&mut self) -> Result<Vec<(usize, Arc<Table>)>, Error> {
        self.cut()?;
        let site = &self.lsm.site;
        if !self.written.is_empty() && !self.lsm.breaks(LsmRule::TableNameNotSynced) {
            // The names too, before a manifest can name them.
            let synced = site.fs.sync_dir(&site.dir);
            synced.map_err(Error::io(&site.dir, "sync the directory"))?;
        }
        let open = |meta: &TableMeta| Ok((self.level, Table::open(site, meta)?));
        self.written.iter().map(open).collect()
    }

    /// A manifest that is in place names the tables.
    pub(crate) fn named(&mut self) {
        self.files.clear();
    }

    /// A manifest may name the tables, or not: its installation failed.
    pub(crate) fn tried(&mut self, edit: u64) {
        self.leave(Some(edit));
    }

    /// Removes what was written: on a full disk its space is wanted.
    pub(crate) fn discard(&mut self) {
        self.writer = None;
        self.files.retain(|path| remove(&*self.lsm.site.fs, path).is_err());
    }

    fn create(&mut self) -> Result<TableWriter, Error> {
        let site = &self.lsm.site;
        let number = self.lsm.take_number();
        let path = site.dir.join(file_name(number));
        if self.lsm.breaks(LsmRule::NumberReused) {
            remove(&*site.fs, &path).map_err(Error::io(&path, "remove the table"))?;
        }
        self.files.push(path);
        TableWriter::create(site, number, TableOptions::of(site))
    }

    fn leave(&mut self, tried: Option<u64>) {
        if self.lsm.breaks(LsmRule::NumberReused) {
            self.lsm.give_back(self.files.drain(..).count());
        }
        if !self.files.is_empty() {
            self.lsm.state().graveyard.leave(self.files.drain(..), tried);
        }
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        self.leave(None);
    }
}
