//! Verifies every byte of a table, and that readers find in it what it holds.
//!
//! Invariant: what is wrong is told as damage, one by one, and the rest is verified all the same;
//! an error says that the table could not be judged.

use ondisk_log::Lsn;

use super::Table;
use super::block::{Block, Entry, EntryKind, Understood};
use super::format::{HEADER, Header};
use super::load::Loaded;
use crate::error::{Damage, Error};
use crate::lsm::filter::key_hash;

/// Bytes that are read at once.
const RUN: u64 = 256 << 10;

/// What was verified of a table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Verified {
    /// Tombstones included.
    pub(crate) entries: u64,
    pub(crate) tombstones: u64,
    /// Bytes of the file.
    pub(crate) bytes: u64,
}

impl Table {
    /// Verifies every byte of the file: sums, order, counts, that the filter passes every key,
    /// and that the index leads to it. Each damage goes to `found`.
    ///
    /// # Errors
    /// What is no damage: the table could not be judged.
    pub(crate) fn verify(&self, found: &mut dyn FnMut(Error)) -> Result<Verified, Error> {
        let (named, memory) = ((self.identity, &self.meta), (&self.cache, &self.tally));
        // Read anew: what is in memory was whole when it was read.
        let loaded = Loaded::load(&*self.fs, &self.path, named, memory, self.sums);
        let Some(loaded) = note(loaded, found)? else { return Ok(Verified::default()) };
        note(check_header(&loaded), found)?;
        let mut check = Check::new(&loaded);
        let mut whole = 0;
        for run in loaded.index.runs(RUN) {
            let Some(read) = note(loaded.read_run(run.clone()), found)? else { continue };
            for number in run {
                let block = loaded.block_of(&read, number);
                let verified = block.and_then(|block| check.block(number, &block));
                whole += usize::from(note(verified, found)?.is_some());
            }
        }
        // Counts are of worth only where nothing is missing.
        if whole == loaded.index.blocks() {
            note(check.totals(), found)?;
        }
        let (entries, tombstones) = (check.entries, check.tombstones);
        Ok(Verified { entries, tombstones, bytes: self.meta.len })
    }
}

/// Damage is told, and what else is an error stays one.
fn note<T>(result: Result<T, Error>, found: &mut dyn FnMut(Error)) -> Result<Option<T>, Error> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.is_damage() => {
            found(error);
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Whether the header says the same as the footer.
fn check_header(loaded: &Loaded) -> Result<(), Error> {
    let bytes = loaded.read(0..HEADER as u64)?;
    let header = Header::decode(&loaded.path, &bytes)?;
    let footer = &loaded.footer;
    if (header.identity, header.seed) != (footer.identity, footer.seed) {
        return Err(Error::damaged(&loaded.path, 0, Damage::Unlike("header")));
    }
    Ok(())
}

/// What was seen of a table that is being verified.
struct Check<'a> {
    loaded: &'a Loaded,
    entries: u64,
    tombstones: u64,
    oldest: Lsn,
    newest: Lsn,
    raw: u64,
    /// The last key.
    key: Vec<u8>,
}

impl<'a> Check<'a> {
    fn new(loaded: &'a Loaded) -> Self {
        let (oldest, newest) = (Lsn(u64::MAX), Lsn(0));
        let (entries, tombstones, raw, key) = (0, 0, 0, Vec::new());
        Self { loaded, entries, tombstones, oldest, newest, raw, key }
    }

    /// Verifies a block whose sum fits.
    fn block(&mut self, number: usize, block: &Block) -> Result<(), Error> {
        let Loaded { path, filter, index, footer, .. } = self.loaded;
        let at = self.loaded.place(number)?.start;
        let damaged = |damage| Error::damaged(path, at, damage);
        let read = block.each(&mut self.key, &mut |key, entry: &Entry| {
            if !filter.passes(key_hash(key)) {
                return Err(damaged(Damage::Field("filter")));
            }
            if index.find(key) != Some(number) {
                return Err(damaged(Damage::Field("index")));
            }
            if entry.lsn < footer.oldest || entry.lsn > footer.newest {
                return Err(damaged(Damage::Field("lsn")));
            }
            self.entries += 1;
            self.tombstones += u64::from(entry.kind == EntryKind::Tombstone);
            self.oldest = self.oldest.min(entry.lsn);
            self.newest = self.newest.max(entry.lsn);
            Ok(())
        })?;
        self.raw += block.bytes().len() as u64;
        match read {
            Understood::Whole => Ok(()),
            Understood::InPart => Err(damaged(Damage::Field("block"))),
        }
    }

    /// Verifies what all blocks together must be.
    fn totals(&self) -> Result<(), Error> {
        let Loaded { path, index, footer, .. } = self.loaded;
        let (found, expected) = (self.entries, footer.entries);
        if found != expected {
            return Err(Error::damaged(path, 0, Damage::EntryCount { found, expected }));
        }
        let spans = (self.oldest, self.newest) == (footer.oldest, footer.newest);
        let differs = [
            (self.tombstones != footer.tombstones).then_some("number of tombstones"),
            (self.raw != footer.raw).then_some("unpacked length"),
            (!spans && found > 0).then_some("oldest or newest LSN"),
            (*self.key != *index.last()).then_some("last key"),
        ];
        match differs.into_iter().flatten().next() {
            Some(field) => Err(Error::damaged(path, 0, Damage::Unlike(field))),
            None => Ok(()),
        }
    }
}
