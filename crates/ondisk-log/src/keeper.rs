//! Keeps what is not on the commit path: the anchor, and the segments before and after their use.
//!
//! Invariant: the anchor is replaced *before* what it says is relied on: `open` before the first
//! commit, `newest` before a segment's first group, `first` before a segment is freed; and a
//! segment's bytes and name are durable before the anchor counts it. A failure here poisons
//! nothing: no commit depends on it yet.
//!
//! Locks, always in this order: the keeper's, then the shell's.

use std::path::PathBuf;
use std::sync::Arc;

use ondisk_fs::{Access, FileSystem, temp_path};

use crate::anchor::{Anchor, Place, State, anchor_path};
use crate::append::Shell;
use crate::group::Segment;
use crate::options::{LogOptions, Sabotage};
use crate::record::align_block;
use crate::segment::{Making, making_path, segment_path};
use crate::sync::{Guard, Mutex};
use crate::{LogError, Lsn};

/// Free segments that are kept to be recycled.
const FREE_KEPT: usize = 2;

#[derive(Debug)]
pub(crate) struct Keeper {
    pub(crate) fs: Arc<dyn FileSystem>,
    pub(crate) dir: PathBuf,
    pub(crate) options: LogOptions,
    kept: Mutex<Kept>,
}

#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) anchor: Anchor,
    /// Segments outside the anchor's range: number and size.
    pub(crate) free: Vec<(u64, u64)>,
    making: Option<Making>,
    /// The anchor says where the log ends; it is not touched again.
    closed: bool,
}

impl Keeper {
    pub(crate) fn new(
        fs: Arc<dyn FileSystem>,
        dir: PathBuf,
        options: LogOptions,
        anchor: Anchor,
        free: Vec<(u64, u64)>,
    ) -> Self {
        let kept = Kept { anchor, free, making: None, closed: false };
        Self { fs, dir, options, kept: Mutex::new(kept) }
    }

    pub(crate) fn lock(&self) -> Guard<'_, Kept> {
        self.kept.lock()
    }

    /// Makes the anchor say `open`, before the first commit of an open.
    pub(crate) fn open(&self, shell: &Shell) -> Result<(), LogError> {
        let mut kept = self.lock();
        if shell.usable()?.core.opened {
            return Ok(());
        }
        let anchor = Anchor { state: State::Open, ..kept.anchor };
        if !self.options.sabotaged(Sabotage::OpenNotWritten) {
            self.write(anchor)?;
        }
        kept.anchor = anchor;
        shell.lock().core.opened = true;
        Ok(())
    }

    /// Prepares a next segment of at least `size` bytes, now; a caller that would wait for the
    /// background finds itself doing it.
    pub(crate) fn prepare(&self, shell: &Shell, size: u64) -> Result<(), LogError> {
        let mut kept = self.lock();
        shell.usable()?.core.counts.stalls += 1;
        while self.prepare_step(&mut kept, shell, size)? {}
        Ok(())
    }

    /// A step of preparing the next segment; whether there is more to do.
    pub(crate) fn step(&self, shell: &Shell) -> Result<bool, LogError> {
        let mut kept = self.lock();
        let wanted = shell.usable()?.core.wants_segment();
        if kept.making.is_none() && !wanted {
            return Ok(false);
        }
        self.prepare_step(&mut kept, shell, 0)
    }

    fn prepare_step(&self, kept: &mut Kept, shell: &Shell, least: u64) -> Result<bool, LogError> {
        let result = self.try_prepare_step(kept, shell, least);
        if result.is_err()
            && let Some(making) = kept.making.take()
        {
            making.abandon(&*self.fs);
        }
        result.map_err(|error| self.full(error))
    }

    fn full(&self, error: LogError) -> LogError {
        match error {
            LogError::Io { source, .. } if crate::error::is_full(&source) => {
                LogError::Full { path: self.dir.clone(), source }
            }
            other => other,
        }
    }

    fn try_prepare_step(
        &self,
        kept: &mut Kept,
        shell: &Shell,
        least: u64,
    ) -> Result<bool, LogError> {
        let (size, ready) = {
            let state = shell.lock();
            let LogOptions { first_segment, largest_segment, .. } = self.options;
            let size = state.core.next_size(first_segment, largest_segment);
            (size.max(least), state.core.next.as_ref().map(|next| (next.number, next.size)))
        };
        let number = match ready {
            Some((_, ready)) if ready >= least => return Ok(false),
            // The one that is ready is too small for a long commit: a longer one takes its name.
            Some((number, _)) => number,
            None => kept.anchor.newest + 1,
        };
        let path = segment_path(&self.dir, number);
        if kept.making.as_ref().is_some_and(|making| making.size() < least)
            && let Some(small) = kept.making.take()
        {
            small.abandon(&*self.fs);
        }
        let io = |op| LogError::io(&path, op);
        if let Some(making) = &mut kept.making {
            if !making.step()? {
                return Ok(true);
            }
            let size = making.size();
            kept.making = None;
            self.fs.rename(&making_path(&self.dir), &path).map_err(io("name a segment"))?;
            self.install(kept, shell, number, size)?;
            return Ok(false);
        }
        if let Some(index) = kept.free.iter().position(|(_, free)| *free >= size) {
            let (old, size) = kept.free.swap_remove(index);
            let old = segment_path(&self.dir, old);
            self.fs.rename(&old, &path).map_err(io("recycle a segment"))?;
            self.install(kept, shell, number, size)?;
            return Ok(false);
        }
        kept.making = Some(Making::begin(&*self.fs, making_path(&self.dir), size)?);
        Ok(true)
    }

    /// Makes a named segment the next one.
    fn install(
        &self,
        kept: &mut Kept,
        shell: &Shell,
        number: u64,
        size: u64,
    ) -> Result<(), LogError> {
        let path = segment_path(&self.dir, number);
        if !self.options.sabotaged(Sabotage::SegmentNameNotSynced) {
            self.fs.sync_dir(&self.dir).map_err(LogError::io(&self.dir, "sync the directory"))?;
        }
        let durable = shell.lock().core.durable;
        let anchor = Anchor { newest: number, durable, ..kept.anchor };
        self.write(anchor)?;
        kept.anchor = anchor;
        let file = self.fs.open(&path, Access::ReadWrite);
        let file = file.map_err(LogError::io(&path, "open a segment"))?;
        shell.lock().core.next = Some(Segment::new(number, size, file));
        Ok(())
    }

    /// Replaces the anchor; durable on return.
    pub(crate) fn write(&self, anchor: Anchor) -> Result<(), LogError> {
        if self.options.sabotaged(Sabotage::AnchorNotSynced) {
            let path = anchor_path(&self.dir);
            let io = |op| LogError::io(&path, op);
            let temp = temp_path(&path);
            drop(self.fs.remove(&temp));
            let file = self.fs.create_new(&temp).map_err(io("create the anchor"))?;
            file.write_all_at(&anchor.encode(), 0).map_err(io("write the anchor"))?;
            self.fs.rename(&temp, &path).map_err(io("rename the anchor"))?;
            return self.fs.sync_dir(&self.dir).map(drop).map_err(io("sync the directory"));
        }
        anchor.write(&*self.fs, &self.dir)
    }

    /// Writes down that all up to `lsn`, which is durable, is held elsewhere.
    pub(crate) fn checkpoint(&self, lsn: Lsn, durable: Lsn) -> Result<(), LogError> {
        let mut kept = self.lock();
        if lsn <= kept.anchor.checkpoint {
            return Ok(());
        }
        // A log that nobody has committed to since it was opened stays closed.
        let anchor = Anchor { checkpoint: lsn, durable, ..kept.anchor };
        self.write(anchor)?;
        kept.anchor = anchor;
        Ok(())
    }

    /// Writes down where the log ends, all of it being durable.
    pub(crate) fn close(&self, shell: &Shell) -> Result<(), LogError> {
        let mut kept = self.lock();
        if kept.closed {
            return Ok(());
        }
        if let Some(making) = kept.making.take() {
            making.abandon(&*self.fs);
        }
        let (opened, end, highest) = {
            let core = &shell.lock().core;
            let end = Place {
                segment: core.current.number,
                offset: align_block(core.current.end),
                lsn: core.sealed,
                crc: core.chain,
            };
            (core.opened, end, Lsn(core.next_lsn.0 - 1))
        };
        if !opened {
            kept.closed = true;
            return Ok(()); // nothing was committed: the anchor says so already
        }
        let fresh = shell.lock().core.current.file.is_none();
        let state = State::Closed { end, fresh };
        let durable = end.lsn;
        let highest = highest.max(kept.anchor.highest);
        let anchor = Anchor { state, durable, highest, ..kept.anchor };
        self.write(anchor)?;
        (kept.anchor, kept.closed) = (anchor, true);
        Ok(())
    }

    /// Keeps at most two free segments, the largest, and removes the others.
    pub(crate) fn trim_free(&self, kept: &mut Kept) -> Result<(), LogError> {
        kept.free.sort_by_key(|(number, size)| (std::cmp::Reverse(*size), *number));
        while kept.free.len() > FREE_KEPT {
            let Some((number, _)) = kept.free.pop() else { break };
            let path = segment_path(&self.dir, number);
            self.fs.remove(&path).map_err(LogError::io(&path, "remove a free segment"))?;
        }
        Ok(())
    }
}
