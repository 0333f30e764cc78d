//! A walk over what a chain of backups holds of one keyspace.
//!
//! Invariant: of a key that several backups hold, the newest entry counts; one that says that the
//! key is gone hides all older ones. Memory is bounded by a frame for each backup of the chain.
//!
//! Knows nothing of stores and engines.

use std::path::Path;
use std::vec;

use ondisk_fs::FileSystem;

use crate::backup::list::List;
use crate::backup::part::{Identity, PartReader, PartRecord, Sums};
use crate::error::Error;

/// The keys of a keyspace with their values, in order, as of a list's last backup. It stands before
/// the first until it is advanced.
#[derive(Debug)]
pub(crate) struct ChainWalk<'a> {
    /// The newest first.
    sources: Vec<Source<'a>>,
    /// The source of the entry.
    current: Option<usize>,
    key: Vec<u8>,
}

/// The parts of one backup, behind each other.
#[derive(Debug)]
struct Source<'a> {
    fs: &'a dyn FileSystem,
    dir: &'a Path,
    parts: vec::IntoIter<(Identity, PartRecord)>,
    sums: Sums,
    /// Stands at an entry; `None` behind the last.
    reader: Option<PartReader>,
}

impl<'a> ChainWalk<'a> {
    pub(crate) fn new(
        fs: &'a dyn FileSystem,
        dir: &'a Path,
        list: &List,
        keyspace: u32,
        sums: Sums,
    ) -> Result<Self, Error> {
        let mut sources = Vec::new();
        for parts in list.parts_of(keyspace) {
            let mut source = Source { fs, dir, parts: parts.into_iter(), sums, reader: None };
            source.advance()?;
            sources.push(source);
        }
        Ok(Self { sources, current: None, key: Vec::new() })
    }

    /// Goes to the next key that has a value; `false` at the end.
    pub(crate) fn advance(&mut self) -> Result<bool, Error> {
        loop {
            if self.current.take().is_some() {
                // Older entries of the key go with the newest.
                for source in &mut self.sources {
                    if source.key() == Some(&self.key) {
                        source.advance()?;
                    }
                }
            }
            let keys = self.sources.iter().enumerate();
            let keys = keys.filter_map(|(at, source)| Some((source.key()?, at)));
            // Of the smallest key the newest source.
            let Some((key, at)) = keys.min() else { return Ok(false) };
            self.key.clear();
            self.key.extend_from_slice(key);
            self.current = Some(at);
            if self.sources[at].value().is_some() {
                return Ok(true);
            }
        }
    }

    /// The key of the entry.
    pub(crate) fn key(&self) -> &[u8] {
        &self.key
    }

    /// The value of the entry.
    pub(crate) fn value(&self) -> &[u8] {
        let source = self.current.and_then(|at| self.sources.get(at));
        source.and_then(Source::value).unwrap_or_default()
    }
}

impl Source<'_> {
    fn advance(&mut self) -> Result<(), Error> {
        loop {
            if let Some(reader) = &mut self.reader
                && reader.advance()?
            {
                return Ok(());
            }
            let Some((identity, record)) = self.parts.next() else {
                self.reader = None;
                return Ok(());
            };
            let reader = PartReader::open(self.fs, self.dir, identity, record)?;
            self.reader = Some(reader.comparing(self.sums));
        }
    }

    fn key(&self) -> Option<&[u8]> {
        self.reader.as_ref().map(PartReader::key)
    }

    fn value(&self) -> Option<&[u8]> {
        self.reader.as_ref().and_then(PartReader::value)
    }
}
