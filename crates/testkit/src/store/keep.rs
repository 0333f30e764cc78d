//! What is kept while the store goes on: snapshots, walks, readers.
//!
//! Invariant: each shows the moment at which it was taken, whatever happens to the store meanwhile.

use std::collections::VecDeque;

use bytes::Bytes;
use ondisk::{Keyspace, Range, Reader, Snapshot};

use super::chain::{Found, unlike};
use super::look;
use super::random::Random;
use super::story::{NAMES, Walk};
use super::world::{PATH, World};

/// Something that shows one moment for as long as it is kept.
#[derive(Debug)]
pub(super) enum Kept {
    /// With the handles of that moment: those of keyspaces that are dropped later read it too.
    Snapshot(Snapshot, Vec<Keyspace>, Found),
    Reader(Box<Reader>, Found),
    Walk(Box<Range>, Walk, VecDeque<(Vec<u8>, Bytes)>),
}

impl World {
    pub(super) fn snapshot(&mut self) -> Result<(), String> {
        let db = self.store()?;
        self.see(&db);
        let (snapshot, handles) = self.retried(|| Ok((db.snapshot()?, db.keyspaces()?)))?;
        self.kept.push_back(Kept::Snapshot(snapshot, handles, self.chain().now()));
        Ok(())
    }

    /// A reader beside the writer sees what is durable, and keeps it.
    pub(super) fn reader(&mut self) -> Result<(), String> {
        let db = self.store()?;
        // Without a cache, so that it reads what it needs when it needs it.
        let open = || self.setup.builder(&self.fs).cache(0).open_reader(PATH);
        let reader = match open() {
            Ok(reader) => reader,
            Err(error) => return self.trouble("reader", error),
        };
        let (end, durable) = (reader.recovery().end, db.stats().durable);
        if end > durable {
            return Err(format!("a reader sees LSN {end}, and {durable} is durable"));
        }
        let seen = self.begun.iter().rev().find(|(_, lsn)| *lsn <= end);
        let expected = self.chain().after(seen.map_or(self.base, |(number, _)| *number));
        self.kept.push_back(Kept::Reader(Box::new(reader), expected));
        Ok(())
    }

    pub(super) fn keep_walk(&mut self, slot: usize, walk: Walk) -> Result<(), String> {
        let (db, name) = (self.store()?, NAMES[slot]);
        self.see(&db);
        let Some(map) = self.chain().map(name) else { return Ok(()) };
        let range = self.retried(|| db.existing_keyspace(name)?.range(..))?;
        let mut left: VecDeque<_> =
            map.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
        let mut range = Box::new(range);
        // It stands somewhere in the middle while the store goes on.
        look::walk_on(&mut range, &mut left, walk, 2)?;
        self.kept.push_back(Kept::Walk(range, walk, left));
        Ok(())
    }

    pub(super) fn let_go(&mut self) -> Result<(), String> {
        match self.kept.pop_front() {
            None => Ok(()),
            Some(Kept::Snapshot(snapshot, handles, expected)) => {
                self.retried(|| look::snapshot(&handles, &snapshot, &expected))?
            }
            Some(Kept::Reader(reader, expected)) => {
                let found = self.retried(|| look::of_reader(&reader))?;
                let same = found == expected;
                if same { Ok(()) } else { Err(unlike(&expected, &found)) }
            }
            Some(Kept::Walk(mut range, walk, mut left)) => {
                let all = left.len() + 1;
                look::walk_on(&mut range, &mut left, walk, all)
            }
        }
    }

    /// Lets go of all that is the store's own; readers outlive it.
    pub(super) fn let_go_of_own(&mut self) -> Result<(), String> {
        for _ in 0..self.kept.len() {
            match self.kept.front() {
                Some(Kept::Reader(..)) => self.kept.rotate_left(1),
                _ => self.let_go()?,
            }
        }
        Ok(())
    }
}

/// A walk's next end.
pub(super) fn from_back(walk: Walk, random: &mut Random) -> bool {
    match walk {
        Walk::Forward => false,
        Walk::Backward => true,
        Walk::Mixed(_) => random.percent(50),
    }
}
