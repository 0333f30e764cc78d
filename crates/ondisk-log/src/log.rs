//! The front door: [`Log`], a cheap handle to an open log.
//!
//! Invariant: an acknowledgement names a rung and is given only after the rung was reached; what
//! is durable is a prefix of the log. Nothing here starts a thread or reads a clock: background
//! work is [`Log::step`] and [`Log::idle_step`], called by whoever owns the log.

use std::path::Path;
use std::sync::Arc;

use ondisk_fs::{Access, BLOCK, FileSystem, Rung, create_dir_durable};

use crate::anchor::{Anchor, Place, State};
use crate::append::{Refusal, Shell, Ticket};
use crate::group::{Core, Segment};
use crate::iter::LogIter;
use crate::keeper::Keeper;
use crate::options::LogOptions;
use crate::recover::{Found, Recovered, heal, look};
use crate::scan::Flow;
use crate::segment::{Making, list_segments, making_path, segment_path};
pub use crate::truncate::Truncated;
use crate::{LogError, Lsn, Receipt, StoreId, SyncMode};

/// An open write-ahead log. Clones are handles to the same log.
///
/// The log does not lock its directory: whoever owns it does.
#[derive(Clone, Debug)]
pub struct Log {
    keeper: Arc<Keeper>,
    shell: Arc<Shell>,
    store: StoreId,
}

/// A log that is being made: it exists once [`finish`](Self::finish) has returned.
#[derive(Debug)]
pub struct NewLog {
    fs: Arc<dyn FileSystem>,
    dir: std::path::PathBuf,
    options: LogOptions,
    store: StoreId,
}

/// What stands in a directory, as far as a log is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// No log: the directory is absent or has no anchor and no segment.
    Nothing,
    /// The making of a log was cut short; it may be made again.
    HalfMade,
    /// A log.
    Log,
}

/// Whether a step of background work did something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// There is nothing to do.
    Idle,
    /// Something was done, and there may be more.
    Working,
}

/// A log in numbers, since it was opened unless said otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogStats {
    /// Segments in the anchor's range, whenever they were made.
    pub segments: u64,
    /// Bytes of files that the chain's segments take, whenever they were written: what the
    /// budget counts.
    pub bytes: u64,
    /// The bytes above which to checkpoint and truncate.
    pub budget: u64,
    /// Commits written.
    pub commits: u64,
    /// Groups written.
    pub groups: u64,
    /// Commits of the largest group.
    pub largest_group: u32,
    /// Syncs and durable writes.
    pub syncs: u64,
    /// Bytes written to segments, padding included.
    pub written: u64,
    /// How often a commit had to prepare a segment itself.
    pub stalls: u64,
    /// Commits that are acknowledged and may not be durable, now.
    pub at_risk: u32,
    /// The epoch that groups are written in.
    pub epoch: u32,
    /// Bytes of the current segment.
    pub segment_size: u64,
    /// Bytes that are left in the current segment.
    pub segment_left: u64,
    /// Segments that are kept to be recycled.
    pub free: u64,
}

impl Log {
    /// What stands in `dir`. Reads, writes nothing.
    ///
    /// # Errors
    /// [`LogError::AnchorMissing`] when segments stand without one; a damaged anchor's error.
    pub fn presence(fs: &dyn FileSystem, dir: &Path) -> Result<Presence, LogError> {
        match crate::recover::read_anchor(fs, dir) {
            Ok(_) => Ok(Presence::Log),
            Err(LogError::Absent { .. }) => Ok(Presence::Nothing),
            Err(LogError::HalfMade { .. }) => Ok(Presence::HalfMade),
            Err(error) => Err(error),
        }
    }

    /// Begins to make the log of `store` in `dir`, which is absent, empty, or holds a log whose
    /// making was cut short. When this returns, a power cut leaves "half made"; the caller then
    /// makes what belongs to the log durable, and calls [`NewLog::finish`].
    ///
    /// # Errors
    /// [`LogError::Occupied`]; [`LogError::Io`], after which the making may be tried again.
    pub fn create(
        fs: Arc<dyn FileSystem>,
        dir: &Path,
        store: StoreId,
        options: LogOptions,
    ) -> Result<NewLog, LogError> {
        options.check()?;
        create_dir_durable(&*fs, dir).map_err(LogError::io(dir, "make the log's directory"))?;
        let presence = Self::presence(&*fs, dir)?;
        let names = fs.list(dir).map_err(LogError::io(dir, "list the log's directory"))?;
        let foreign = names.iter().find(|entry| {
            let temporary = entry.name.to_str().is_some_and(|name| name.ends_with(".tmp"));
            presence == Presence::Log || (presence == Presence::Nothing && !temporary)
        });
        if let Some(entry) = foreign {
            let what = format!("{:?}", entry.name);
            return Err(LogError::Occupied { path: dir.to_owned(), what });
        }
        // First of all, durably: from here on whatever stands here is half made.
        Anchor::new(store, State::Creating).write(&*fs, dir)?;
        for number in list_segments(&*fs, dir)? {
            let path = segment_path(dir, number);
            fs.remove(&path).map_err(LogError::io(&path, "remove a half-made segment"))?;
        }
        let mut making = Making::begin(&*fs, making_path(dir), options.first_segment)?;
        while !making.step()? {}
        let path = segment_path(dir, 1);
        fs.rename(&making_path(dir), &path).map_err(LogError::io(&path, "name a segment"))?;
        fs.sync_dir(dir).map_err(LogError::io(dir, "sync the directory"))?;
        Ok(NewLog { fs, dir: dir.to_owned(), options, store })
    }

    /// Opens a log for writing: gives its commits above `from` to `sink` in LSN order, and makes
    /// sure that all of them are durable before it returns. Memory is bounded by one window of
    /// the reader, whatever the bytes say.
    ///
    /// # Errors
    /// [`LogError::Absent`], [`LogError::HalfMade`], [`LogError::AnchorMissing`],
    /// [`LogError::NewerFormat`], [`LogError::Damaged`], [`LogError::Io`]. What the sink was given
    /// must then be thrown away.
    pub fn recover(
        fs: Arc<dyn FileSystem>,
        dir: &Path,
        options: LogOptions,
        from: Lsn,
        sink: &mut dyn FnMut(Lsn, bytes::Bytes) -> Flow,
    ) -> Result<(Self, Recovered), LogError> {
        options.check()?;
        let mut found = look(&*fs, dir, options.sabotage, from, sink)?;
        heal(&*fs, dir, options, &mut found)?;
        let recovered = found.recovered.clone();
        Ok((Self::assemble(fs, dir, options, &found)?, recovered))
    }

    /// Reads a log as [`recover`](Self::recover) does, and writes nothing: for offline readers,
    /// in a read-only directory too.
    ///
    /// # Errors
    /// As [`recover`](Self::recover).
    pub fn read(
        fs: &dyn FileSystem,
        dir: &Path,
        from: Lsn,
        sink: &mut dyn FnMut(Lsn, bytes::Bytes) -> Flow,
    ) -> Result<Recovered, LogError> {
        look(fs, dir, None, from, sink).map(|found| found.recovered)
    }

    /// Puts a log together that is closed: found so, or healed.
    fn assemble(
        fs: Arc<dyn FileSystem>,
        dir: &Path,
        options: LogOptions,
        found: &Found,
    ) -> Result<Self, LogError> {
        let (anchor, scan) = (found.anchor, &found.scan);
        let fresh = matches!(anchor.state, State::Closed { fresh: true, .. });
        let end = scan.end;
        let path = segment_path(dir, end.segment);
        let file = fs.open(&path, if fresh { Access::Read } else { Access::ReadWrite });
        let file = file.map_err(LogError::io(&path, "open a segment"))?;
        let size = file.size().map_err(LogError::io(&path, "get the size of a segment"))?;
        let mut current = Segment::new(end.segment, size, file);
        current.end = end.offset;
        if fresh {
            current.file = None; // it takes no more
        }
        let mut core = Core::new(anchor.store, anchor.epoch, end.lsn, end.crc, current);
        core.sabotage = options.sabotage;
        core.next_lsn = anchor.highest.max(end.lsn).next();
        core.starts.clone_from(&scan.starts);
        core.ends_in_commit = scan.ends_in_commit;
        // The segment that was prepared before the close is ready still.
        if !fresh && anchor.newest > end.segment {
            let path = segment_path(dir, anchor.newest);
            let file = fs.open(&path, Access::ReadWrite);
            let file = file.map_err(LogError::io(&path, "open a segment"))?;
            let size = file.size().map_err(LogError::io(&path, "get the size of a segment"))?;
            core.next = Some(Segment::new(anchor.newest, size, file));
        }
        let mut free = Vec::new();
        for number in list_segments(&*fs, dir)? {
            if !(anchor.first.segment..=anchor.newest).contains(&number) {
                let path = segment_path(dir, number);
                let file = fs.open(&path, Access::Read);
                let file = file.map_err(LogError::io(&path, "open a segment"))?;
                let size = file.size().map_err(LogError::io(&path, "get a segment's size"))?;
                free.push((number, size));
            }
        }
        let keeper = Keeper::new(fs, dir.to_owned(), options, anchor, free);
        let store = anchor.store;
        Ok(Self { keeper: Arc::new(keeper), shell: Arc::new(Shell::new(core)), store })
    }

    /// Gives a commit its LSN and a place in a group. `apply` runs in this thread, with the LSN,
    /// before any commit of that group is acknowledged: what it does to the state that readers
    /// see is there when a reader sees [`acknowledged`](Self::acknowledged) at that LSN or above.
    /// Nothing is durable yet, and nothing is acknowledged, before [`Ticket::wait`] returns.
    ///
    /// # Errors
    /// Before the commit has an LSN: [`LogError::TooLarge`], [`LogError::Full`],
    /// [`LogError::Closed`], [`LogError::Poisoned`], [`LogError::Io`].
    pub fn join(
        &self,
        payload: &[u8],
        mode: SyncMode,
        apply: impl FnOnce(Lsn),
    ) -> Result<Ticket, LogError> {
        self.join_all(&[payload], mode, apply)
    }

    fn join_all<F: FnOnce(Lsn)>(
        &self,
        payloads: &[&[u8]],
        mode: SyncMode,
        mut apply: F,
    ) -> Result<Ticket, LogError> {
        let limit = self.keeper.options.commit_limit();
        let bytes = payloads.iter().fold(0_usize, |sum, p| sum.saturating_add(p.len()));
        let overhead = payloads.len().saturating_sub(1).saturating_mul(crate::record::PREFIX_LEN);
        if bytes.saturating_add(overhead) > limit {
            return Err(LogError::TooLarge { bytes, limit });
        }
        loop {
            match self.shell.join(payloads, mode, apply) {
                Ok(ticket) => return Ok(ticket),
                Err((Refusal::Error(error), _)) => return Err(error),
                Err((Refusal::Opening, back)) => {
                    self.keeper.open(&self.shell)?;
                    apply = back;
                }
                Err((Refusal::Segment(size), back)) => {
                    self.keeper.prepare(&self.shell, size)?;
                    apply = back;
                }
            }
        }
    }

    /// Appends one commit and waits until it is acknowledged. The receipt's rung has been
    /// reached: [`Rung::Durable`] in mode sync, at least [`Rung::Cached`] in the others.
    ///
    /// # Errors
    /// As [`join`](Self::join) and [`Ticket::wait`].
    pub fn append(&self, payload: &[u8], mode: SyncMode) -> Result<Receipt, LogError> {
        self.join(payload, mode, |_| {})?.wait()
    }

    /// Appends several commits that are there together or not at all, and durable when this
    /// returns, whatever the mode of others. The receipt names the last one.
    ///
    /// # Errors
    /// As [`append`](Self::append); the limit is that of one commit.
    pub fn append_batch(&self, payloads: &[&[u8]]) -> Result<Receipt, LogError> {
        if payloads.is_empty() {
            return self.sync();
        }
        self.join_all(payloads, SyncMode::Sync, |_| {})?.wait()
    }

    /// Makes all durable that had joined before this was called.
    ///
    /// # Errors
    /// [`LogError::Poisoned`], [`LogError::Closed`].
    pub fn sync(&self) -> Result<Receipt, LogError> {
        match self.shell.want_sync()? {
            Some(ticket) => ticket.wait(),
            None => Ok(Receipt { lsn: self.durable(), rung: Rung::Durable }),
        }
    }

    /// Waits until all through `lsn` is durable; syncs when nobody does.
    ///
    /// # Errors
    /// [`LogError::Unknown`] for an LSN never given out; as [`sync`](Self::sync).
    pub fn wait_durable(&self, lsn: Lsn) -> Result<Rung, LogError> {
        let last = self.last();
        if lsn > last {
            return Err(LogError::Unknown { asked: lsn, last });
        }
        if self.durable() >= lsn {
            return Ok(Rung::Durable);
        }
        self.sync().map(|receipt| receipt.rung)
    }

    /// Writes down that all up to `lsn` is held durably elsewhere: replay may start above it, and
    /// the segments up to it may be truncated. Makes the log durable through `lsn` first. Durable
    /// on return.
    ///
    /// # Errors
    /// As [`wait_durable`](Self::wait_durable); [`LogError::Io`].
    pub fn checkpoint(&self, lsn: Lsn) -> Result<(), LogError> {
        self.wait_durable(lsn)?;
        self.keeper.checkpoint(lsn, self.durable())
    }

    /// Gives back the segments that hold nothing above `up_to`. Crash-safe at every step: the
    /// checkpoint is durable before, names change after.
    ///
    /// # Errors
    /// [`LogError::NotCheckpointed`] beyond the checkpoint; [`LogError::Io`].
    pub fn truncate(&self, up_to: Lsn) -> Result<Truncated, LogError> {
        self.keeper.truncate(&self.shell, up_to)
    }

    /// The commits from `from` on, up to the last one acknowledged now.
    ///
    /// # Errors
    /// [`LogError::Truncated`] when `from` is not in the log any more; [`LogError::Io`].
    pub fn iter(&self, from: Lsn) -> Result<LogIter, LogError> {
        LogIter::new(self.keeper.clone(), self.shell.clone(), from)
    }

    /// Does a bounded piece of background work: prepares the next segment, syncs a full one.
    ///
    /// # Errors
    /// [`LogError::Full`] and [`LogError::Io`] of a preparation poison nothing: commits go on
    /// while they have room. [`LogError::Poisoned`] when a sync failed.
    pub fn step(&self) -> Result<Step, LogError> {
        if self.shell.sync_full_segment()? || self.keeper.step(&self.shell)? {
            return Ok(Step::Working);
        }
        Ok(Step::Idle)
    }

    /// When no commit has come for a while: makes all durable and writes a group without commits,
    /// by whose watermark damage of the last commit is told from a torn tail.
    ///
    /// # Errors
    /// [`LogError::Poisoned`], [`LogError::Closed`].
    pub fn idle_step(&self) -> Result<Step, LogError> {
        Ok(if self.shell.idle()? { Step::Working } else { Step::Idle })
    }

    /// All through this LSN is acknowledged.
    #[must_use]
    pub fn acknowledged(&self) -> Lsn {
        self.shell.acknowledged()
    }

    /// All through this LSN is durable.
    #[must_use]
    pub fn durable(&self) -> Lsn {
        self.shell.lock().core.durable
    }

    /// The highest LSN given out.
    #[must_use]
    pub fn last(&self) -> Lsn {
        Lsn(self.shell.lock().core.next_lsn.0 - 1)
    }

    /// Commits that are acknowledged and may not be durable.
    #[must_use]
    pub fn at_risk(&self) -> u32 {
        self.shell.lock().core.at_risk
    }

    /// The store that the log belongs to.
    #[must_use]
    pub fn store_id(&self) -> StoreId {
        self.store
    }

    /// What the log was opened with.
    #[must_use]
    pub fn options(&self) -> LogOptions {
        self.keeper.options
    }

    /// The log in numbers.
    #[must_use]
    pub fn stats(&self) -> LogStats {
        let (first, newest, free) = {
            let kept = self.keeper.lock();
            (kept.anchor.first.segment, kept.anchor.newest, kept.free.len() as u64)
        };
        let state = self.shell.lock();
        let (core, counts) = (&state.core, state.core.counts);
        LogStats {
            segments: newest + 1 - first,
            bytes: core.starts.iter().map(|start| start.size).sum(),
            budget: self.keeper.options.budget(),
            commits: counts.commits,
            groups: counts.groups,
            largest_group: counts.largest_group,
            syncs: counts.syncs,
            written: counts.written,
            stalls: counts.stalls,
            at_risk: core.at_risk,
            epoch: core.epoch,
            segment_size: core.current.size,
            segment_left: core.current.left(),
            free,
        }
    }

    /// Makes all durable and writes down where the log ends, so that the next open reads nothing
    /// behind it and notices every change before it. An open that committed nothing writes
    /// nothing. Later commits answer [`LogError::Closed`]; a close that failed may be tried again.
    ///
    /// # Errors
    /// [`LogError::Poisoned`]: a poisoned log is not closed; the next open recovers it.
    pub fn close(&self) -> Result<(), LogError> {
        // Whoever has joined is waited for; whoever comes from here on is refused. A second
        // closer waits for the first and gets an answer of its own.
        self.shell.shut()?;
        self.keeper.close(&self.shell)
    }
}

impl NewLog {
    /// The store that the log is made for.
    #[must_use]
    pub fn store_id(&self) -> StoreId {
        self.store
    }

    /// Makes the log exist: durable on return, and closed.
    ///
    /// # Errors
    /// [`LogError::Io`]: then it may exist or be half made.
    pub fn finish(self) -> Result<Log, LogError> {
        let end = Place { segment: 1, offset: 0, lsn: Lsn(0), crc: 0 };
        let state = State::Closed { end, fresh: false };
        Anchor::new(self.store, state).write(&*self.fs, &self.dir)?;
        let (log, _) =
            Log::recover(self.fs, &self.dir, self.options, Lsn(0), &mut |_, _| Flow::Continue)?;
        Ok(log)
    }
}

impl LogOptions {
    fn check(&self) -> Result<(), LogError> {
        let block = BLOCK as u64;
        let sizes = [self.first_segment, self.largest_segment];
        let aligned = sizes.iter().all(|size| size.is_multiple_of(block) && *size >= 4 * block);
        if aligned && self.first_segment <= self.largest_segment && self.largest_segment <= 1 << 32
        {
            return Ok(());
        }
        let [first, largest] = sizes;
        Err(LogError::BadSizes { first, largest })
    }
}
