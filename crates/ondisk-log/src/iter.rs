//! Reads a log that is open, from a commit on.
//!
//! Invariant: what it gives out was acknowledged before the iterator was made, and was still part
//! of the log *after* it was read: a segment that is recycled under it ends the iteration with
//! [`LogError::Truncated`], never with the bytes of another life.

use std::sync::Arc;
use std::vec;

use bytes::Bytes;
use ondisk_fs::Access;

use crate::append::Shell;
use crate::keeper::Keeper;
use crate::read::{GroupReader, Link};
use crate::scan::Start;
use crate::segment::segment_path;
use crate::{LogError, Lsn, StoreId};

/// The commits of a log in their order, up to the last one that was acknowledged when it was
/// made.
#[derive(Debug)]
pub struct LogIter {
    keeper: Arc<Keeper>,
    shell: Arc<Shell>,
    store: StoreId,
    reader: Option<GroupReader>,
    link: Link,
    from: Lsn,
    until: Lsn,
    group: vec::IntoIter<(Lsn, Bytes)>,
    failed: bool,
}

impl LogIter {
    pub(crate) fn new(keeper: Arc<Keeper>, shell: Arc<Shell>, from: Lsn) -> Result<Self, LogError> {
        let (start, first, until, store) = {
            let core = &shell.lock().core;
            let start = core.starts.iter().rev().find(|start| start.lsn < from).copied();
            let first = core.starts.first().map_or(Lsn(0), |start| start.lsn);
            (start, first, core.acknowledged, core.store)
        };
        let start = match start {
            Some(start) => Some(start),
            None if from == Lsn(0) && first == Lsn(0) => shell.lock().core.starts.first().copied(),
            None => return Err(LogError::Truncated { first: first.next() }),
        };
        let mut iter = Self {
            keeper,
            shell,
            store,
            reader: None,
            link: Link::default(),
            from,
            until,
            group: Vec::new().into_iter(),
            failed: false,
        };
        if let Some(start) = start {
            iter.enter(start)?;
        }
        Ok(iter)
    }

    fn enter(&mut self, start: Start) -> Result<(), LogError> {
        let path = segment_path(&self.keeper.dir, start.number);
        let opened = self.keeper.fs.open(&path, Access::Read);
        self.still_there(start.number)?;
        let file = opened.map_err(LogError::io(&path, "open a segment"))?;
        self.reader = Some(GroupReader::new(file, path, self.store, start.number)?);
        self.link = Link { lsn: start.lsn, crc: start.crc, epoch: 0 };
        Ok(())
    }

    /// Whether the segment is part of the log, now, after it was read.
    fn still_there(&self, number: u64) -> Result<(), LogError> {
        let state = self.shell.lock();
        match state.core.starts.first() {
            Some(first) if number < first.number => {
                Err(LogError::Truncated { first: first.lsn.next() })
            }
            _ => Ok(()),
        }
    }

    fn advance(&mut self) -> Result<Option<(Lsn, Bytes)>, LogError> {
        loop {
            if let Some((lsn, payload)) = self.group.next() {
                if lsn >= self.from && lsn <= self.until {
                    return Ok(Some((lsn, payload)));
                }
                continue;
            }
            if self.link.lsn >= self.until {
                return Ok(None);
            }
            let Some(reader) = &mut self.reader else { return Ok(None) };
            let number = reader.generation();
            let read = reader.next_group(&mut self.link);
            self.still_there(number)?;
            match read? {
                Ok(group) => self.group = group.records().collect::<Vec<_>>().into_iter(),
                Err(stop) => {
                    let next = self.next_start(number);
                    let Some(next) = next else {
                        let path = segment_path(&self.keeper.dir, number);
                        let (offset, damage) = (stop.offset, stop.damage);
                        let (end, durable) = (self.link.lsn, self.until);
                        return Err(LogError::Damaged { path, offset, end, durable, damage });
                    };
                    self.enter(next)?;
                }
            }
        }
    }

    fn next_start(&self, after: u64) -> Option<Start> {
        let state = self.shell.lock();
        let mut starts = state.core.starts.iter();
        let continues = |start: &&Start| start.lsn == self.link.lsn && start.crc == self.link.crc;
        starts.find(|start| start.number > after && continues(start)).copied()
    }
}

impl Iterator for LogIter {
    type Item = Result<(Lsn, Bytes), LogError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let next = self.advance().transpose();
        self.failed = matches!(next, Some(Err(_)));
        next
    }
}
