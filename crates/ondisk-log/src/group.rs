//! Group commit without threads: who joins which group, what a group is written as and where, and
//! what is durable after it.
//!
//! Invariants:
//! * One group is in flight at a time, so groups reach the disk, and are acknowledged, in LSN
//!   order.
//! * A block on which a sync was begun is never written again in a segment's life: behind a sync
//!   the next group begins at a block boundary. Two writes in flight to one block are unordered,
//!   and the older could take the acknowledged newer one away.
//! * A ranged durable write is used only when everything before it is durable already: it covers
//!   its own range and no more.
//! * An LSN is given out only when the place for its commit is reserved.
//!
//! What is to be done is data, a [`Plan`]; the shell does it.

use std::io;
use std::mem;
use std::sync::Arc;

use ondisk_fs::{BLOCK, Blocks, File, Rung};
use zerocopy::IntoBytes;
use zerocopy::byteorder::little_endian::{U16, U32, U64};

use crate::options::Sabotage;
use crate::plan::{Plan, Write};
use crate::record::{
    GROUP_MAGIC, GROUP_VERSION, GroupHeader, HEADER_LEN, PREFIX_LEN, Prefix, align_block,
    align_group, crc32c,
};
use crate::scan::Start;
use crate::{Batch, LogError, Lsn, StoreId, SyncMode};

/// A group grows to this at most, in bytes, unless one commit alone is longer.
const GROUP_MAX: usize = 1 << 20;
/// Buffers longer than this are given back after use.
const KEPT_BUFFER: usize = 2 * GROUP_MAX;

/// The log's end, and what of it is durable.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) store: StoreId,
    pub(crate) epoch: u32,
    pub(crate) sabotage: Option<Sabotage>,
    open: OpenGroup,
    /// A buffer to be reused by the next group.
    spare: Blocks,
    pub(crate) in_flight: bool,
    /// The next LSN to be given out.
    pub(crate) next_lsn: Lsn,
    /// The last group that was sealed: its last LSN and its header's sum.
    pub(crate) sealed: Lsn,
    pub(crate) chain: u32,
    pub(crate) current: Segment,
    pub(crate) next: Option<Segment>,
    /// Full segments that have something only the page cache holds, oldest first.
    pub(crate) unsynced: Vec<Unsynced>,
    /// Where each segment on the chain continues from.
    pub(crate) starts: Vec<Start>,
    pub(crate) durable: Lsn,
    pub(crate) acknowledged: Lsn,
    /// Commits, and bytes of their payloads, that are acknowledged and may not be durable.
    pub(crate) at_risk: u32,
    bytes_at_risk: u64,
    /// Whether the last group holds a commit.
    pub(crate) ends_in_commit: bool,
    /// Whether the anchor says that somebody writes.
    pub(crate) opened: bool,
    pub(crate) closed: bool,
    pub(crate) poisoned: Option<Arc<str>>,
    pub(crate) counts: Counts,
}

/// A segment that groups are written to.
#[derive(Clone, Debug)]
pub(crate) struct Segment {
    pub(crate) number: u64,
    pub(crate) size: u64,
    /// `None` for one that takes no more: behind its end may stand what a cut left.
    pub(crate) file: Option<Arc<dyn File>>,
    /// End of the last group, without padding.
    pub(crate) end: u64,
    /// A sync was begun on the block of `end`.
    pub(crate) block_sealed: bool,
    /// It has something that only the page cache holds.
    pub(crate) dirty: bool,
}

/// A full segment that the page cache has not all written.
#[derive(Clone, Debug)]
pub(crate) struct Unsynced {
    pub(crate) file: Arc<dyn File>,
    pub(crate) number: u64,
    pub(crate) through: Lsn,
    /// Somebody is syncing it right now.
    pub(crate) syncing: bool,
}

/// What was done, in numbers.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) commits: u64,
    pub(crate) groups: u64,
    pub(crate) largest_group: u32,
    pub(crate) syncs: u64,
    pub(crate) written: u64,
    pub(crate) stalls: u64,
}

/// The group that commits join now.
#[derive(Debug, Default)]
struct OpenGroup {
    buf: Blocks,
    /// Header and records so far; 0 when nobody has joined.
    len: usize,
    prefixes: Vec<u8>,
    commits: u32,
    payload: u64,
    mode: Option<SyncMode>,
    /// Somebody wants all that came before to be durable.
    sync: bool,
}

/// Whether a commit can join now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Room {
    Yes,
    /// The group is full: it must be sealed first.
    AfterSeal,
    /// A segment of at least so many bytes is needed.
    Segment(u64),
}

impl Core {
    /// The core of a log that ends at `current.end`, with LSN `last` and chain value `chain`.
    pub(crate) fn new(store: StoreId, epoch: u32, last: Lsn, chain: u32, current: Segment) -> Self {
        Self {
            store,
            epoch,
            sabotage: None,
            open: OpenGroup::default(),
            spare: Blocks::new(),
            in_flight: false,
            next_lsn: last.next(),
            sealed: last,
            chain,
            current,
            next: None,
            unsynced: Vec::new(),
            starts: Vec::new(),
            durable: last,
            acknowledged: last,
            at_risk: 0,
            bytes_at_risk: 0,
            ends_in_commit: false,
            opened: false,
            closed: false,
            poisoned: None,
            counts: Counts::default(),
        }
    }

    /// Whether commits are taken at all.
    pub(crate) fn usable(&self) -> Result<(), LogError> {
        self.poisoned_or(())?;
        if self.closed { Err(LogError::Closed) } else { Ok(()) }
    }

    /// A value, unless the log is poisoned.
    pub(crate) fn poisoned_or<T>(&self, value: T) -> Result<T, LogError> {
        match &self.poisoned {
            Some(cause) => Err(LogError::Poisoned { cause: cause.to_string() }),
            None => Ok(value),
        }
    }

    /// Whether commits with payloads of these lengths can join the open group now.
    pub(crate) fn room(&self, payloads: &[(&[u8], u32)]) -> Room {
        let more: usize = payloads.iter().map(|(payload, _)| PREFIX_LEN + payload.len()).sum();
        let len = self.open.len.max(HEADER_LEN) + more;
        let empty = self.open.commits == 0;
        if !empty && len > GROUP_MAX {
            return Room::AfterSeal;
        }
        let fits = |segment: &Segment| segment.fits(align_block(segment.end), len as u64);
        if fits(&self.current) || self.next.as_ref().is_some_and(fits) {
            Room::Yes
        } else if empty {
            Room::Segment(align_block(len as u64) + BLOCK as u64)
        } else {
            Room::AfterSeal
        }
    }

    /// Takes commits, with the sums of their payloads, into the open group: all in one group, so
    /// that they are there together or not at all. The LSN of the last one.
    ///
    /// `room` has said yes, and nothing has happened since.
    pub(crate) fn push(&mut self, payloads: &[(&[u8], u32)], mode: SyncMode) -> Lsn {
        let open = &mut self.open;
        open.len = open.len.max(HEADER_LEN);
        for (payload, crc) in payloads {
            let prefix = Prefix::of(payload, *crc);
            let (from, to) = (open.len + PREFIX_LEN, open.len + PREFIX_LEN + payload.len());
            open.buf.grow(to);
            let bytes = open.buf.bytes_mut();
            bytes[open.len..from].copy_from_slice(prefix.as_bytes());
            bytes[from..to].copy_from_slice(payload);
            open.prefixes.extend_from_slice(prefix.as_bytes());
            open.len = to;
            open.commits += 1;
            open.payload += payload.len() as u64;
            self.next_lsn = self.next_lsn.next();
        }
        open.mode = Some(open.mode.map_or(mode, |strongest| strongest.strongest(mode)));
        Lsn(self.next_lsn.0 - 1)
    }

    /// Asks that all that has joined be durable when the open group is done.
    pub(crate) fn want_sync(&mut self) {
        self.open.sync = true;
    }

    /// Whether nothing that was written waits for a sync.
    pub(crate) fn all_durable(&self) -> bool {
        !self.current.dirty && self.unsynced.is_empty()
    }

    /// Whether the open group has anything to do.
    pub(crate) fn has_work(&self) -> bool {
        self.open.commits > 0 || self.open.sync
    }

    /// Whether sealing must wait for a sync of a full segment that is under way: its outcome
    /// decides whether the group may be acknowledged at all.
    pub(crate) fn must_wait(&self) -> bool {
        self.unsynced.iter().any(|older| older.syncing) && (self.needs_sync() || self.switches())
    }

    fn needs_sync(&self) -> bool {
        let batch = |batch: Batch| {
            let times = if self.sabotaged(Sabotage::BatchCountsTwice) { 2 } else { 1 };
            let commits = self.at_risk.saturating_add(self.open.commits);
            let bytes = self.bytes_at_risk.saturating_add(self.open.payload);
            commits >= batch.records.saturating_mul(times)
                || batch.bytes.is_some_and(|limit| bytes >= limit)
        };
        self.open.sync
            || match self.open.mode {
                Some(SyncMode::Sync) => true,
                Some(SyncMode::Batch(limits)) => batch(limits),
                Some(SyncMode::None) | None => false,
            }
    }

    fn switches(&self) -> bool {
        self.open.commits > 0 && !self.current.fits(self.start(), self.open.len as u64)
    }

    /// Where the next group begins in the current segment.
    fn start(&self) -> u64 {
        let rewrite = self.sabotaged(Sabotage::TailBlockRewritten);
        if self.current.block_sealed && !rewrite {
            align_block(self.current.end)
        } else {
            align_group(self.current.end)
        }
    }

    /// Closes the open group to joiners and says what must be done for it.
    pub(crate) fn seal(&mut self) -> Plan {
        self.in_flight = true;
        let mut plan = Plan::nothing(self.sealed);
        let needs_sync = self.needs_sync();
        if self.open.commits > 0 {
            if self.switches() {
                self.switch(&mut plan);
            }
            self.seal_records(&mut plan, needs_sync);
        } else if needs_sync && !self.all_durable() {
            self.pad_current(&mut plan);
            self.sync_older(&mut plan);
            plan.after = self.current.file.clone();
            plan.makes_durable = true;
        }
        self.open.len = 0;
        self.open.prefixes.clear();
        (self.open.commits, self.open.payload) = (0, 0);
        (self.open.mode, self.open.sync) = (None, false);
        plan
    }

    /// Leaves the current segment for the next.
    fn switch(&mut self, plan: &mut Plan) {
        let Some(next) = self.next.take() else {
            // `room` reserved a place, here or in the next segment.
            unreachable!("a group was joined without a place for it");
        };
        self.pad_current(plan);
        let full = mem::replace(&mut self.current, next);
        if let (true, Some(file)) = (full.dirty, full.file) {
            let (number, through) = (full.number, self.sealed);
            self.unsynced.push(Unsynced { file, number, through, syncing: false });
        }
        let (number, size) = (self.current.number, self.current.size);
        self.starts.push(Start { number, size, lsn: self.sealed, crc: self.chain });
        let mode = self.open.mode.unwrap_or_default();
        if mode == SyncMode::None {
            // A tail of two segments at most: a third is begun only when the first is durable.
            while self.unsynced.len() > 1 + plan.older {
                self.sync_one_older(plan);
            }
        } else if !self.sabotaged(Sabotage::PredecessorNotSynced) {
            self.sync_older(plan);
        }
    }

    fn seal_records(&mut self, plan: &mut Plan, needs_sync: bool) {
        // A switch may have left older segments to be synced: then this must follow in time, and
        // a plan's `before` does that, so what stands there counts as durable.
        let clean = !self.current.dirty && self.unsynced.len() == plan.older;
        let ranged = needs_sync && (clean || self.sabotaged(Sabotage::UpgradeByRangedSync));
        if ranged && !clean {
            self.pad_current(plan);
            self.current.block_sealed = true;
        }
        let start = self.start();
        let header = self.header();
        let end = start + self.open.len as u64;
        let mut buf = mem::replace(&mut self.open.buf, mem::take(&mut self.spare));
        buf.bytes_mut()[..HEADER_LEN].copy_from_slice(header.as_bytes());
        // A synced group fills its last block; another leaves room for its successor.
        let to = if needs_sync { align_block(end) } else { align_group(end) };
        let len = usize::try_from(to - start).unwrap_or(usize::MAX);
        buf.grow(len);
        buf.zero(self.open.len..len);
        let aligned = start.is_multiple_of(BLOCK as u64);
        let Some(file) = self.current.file.clone() else { unreachable!("a segment to write to") };
        if needs_sync && !(ranged && aligned) {
            if !self.sabotaged(Sabotage::PredecessorNotSynced) {
                self.sync_older(plan);
            }
            plan.after = Some(file.clone());
        }
        plan.write = Some(Write { file, offset: start, len, durable: ranged && aligned });
        plan.buf = buf;
        plan.commits = self.open.commits;
        plan.payload = self.open.payload;
        plan.last = header.last_lsn();
        plan.makes_durable = needs_sync;
        self.current.end = end;
        self.current.block_sealed = needs_sync;
        self.sealed = header.last_lsn();
        self.chain = header.header_crc.get();
        self.ends_in_commit = true;
    }

    fn header(&self) -> GroupHeader {
        let first = Lsn(self.next_lsn.0 - u64::from(self.open.commits));
        let mut header = GroupHeader {
            magic: GROUP_MAGIC,
            header_crc: U32::ZERO,
            version: U16::new(GROUP_VERSION),
            zero: U16::ZERO,
            commits: U32::new(self.open.commits),
            store_id: self.store.0,
            generation: U64::new(self.current.number),
            prev_lsn: U64::new(self.sealed.0),
            first_lsn: U64::new(first.0),
            watermark: U64::new(self.durable.0),
            epoch: U32::new(self.epoch),
            prev_crc: U32::new(self.chain),
            body_len: U32::new(
                u32::try_from(self.open.len.saturating_sub(HEADER_LEN)).unwrap_or(u32::MAX),
            ),
            records_crc: U32::new(crc32c(&self.open.prefixes)),
        };
        header.header_crc = U32::new(header.sum());
        header
    }

    /// A plan for a group without commits, whose watermark covers the last commit: what tells
    /// damage of the last group from a torn tail. `None` when there is nothing to say.
    pub(crate) fn seal_idle(&mut self) -> Option<Plan> {
        let start = align_block(self.current.end);
        let room = start + BLOCK as u64 <= self.current.size;
        if self.in_flight || self.has_work() || !self.ends_in_commit || !self.opened || !room {
            return None;
        }
        let file = self.current.file.clone()?;
        self.in_flight = true;
        let mut plan = Plan::nothing(self.sealed);
        self.pad_current(&mut plan);
        self.sync_older(&mut plan);
        if self.current.dirty {
            plan.before[2] = Some(file.clone());
        }
        let durable = mem::replace(&mut self.durable, self.sealed);
        let header = self.header();
        self.durable = durable; // raised when the plan has succeeded
        plan.buf = mem::take(&mut self.spare);
        plan.buf.grow(BLOCK);
        plan.buf.zero(0..BLOCK);
        plan.buf.bytes_mut()[..HEADER_LEN].copy_from_slice(header.as_bytes());
        plan.write = Some(Write { file, offset: start, len: BLOCK, durable: true });
        plan.makes_durable = true;
        self.current.end = start + HEADER_LEN as u64;
        self.current.block_sealed = true;
        self.chain = header.header_crc.get();
        self.ends_in_commit = false;
        Some(plan)
    }

    /// Zeros for the rest of the current segment's last block: every byte before a group, or
    /// before the end of a closed log, is then one that somebody wrote on purpose.
    fn pad_current(&mut self, plan: &mut Plan) {
        let (from, to) = (self.current.end, align_block(self.current.end));
        if let (false, true, Some(file)) =
            (self.current.block_sealed, to > from, &self.current.file)
        {
            let len = usize::try_from(to - from).unwrap_or(0);
            plan.pad = Some((file.clone(), from, len));
        }
        self.current.block_sealed = true;
    }

    fn sync_older(&mut self, plan: &mut Plan) {
        while plan.older < self.unsynced.len() {
            self.sync_one_older(plan);
        }
    }

    fn sync_one_older(&mut self, plan: &mut Plan) {
        // At most two full segments are unsynced, and one more while a group switches.
        if let Some(older) = self.unsynced.get(plan.older) {
            if let Some(slot) = plan.before.get_mut(plan.older) {
                *slot = Some(older.file.clone());
            }
            plan.older += 1;
        }
    }

    /// Takes note of a plan's outcome; after a failure the log is poisoned. Gives the rung that
    /// the group's commits are acknowledged on.
    pub(crate) fn finished(
        &mut self,
        mut plan: Plan,
        result: io::Result<Rung>,
    ) -> Result<Rung, Arc<str>> {
        self.in_flight = false;
        let rung = match result {
            Ok(rung) => rung,
            Err(error) => return Err(self.poison(&error)),
        };
        if let Some(cause) = &self.poisoned {
            return Err(cause.clone()); // a sync of a full segment failed meanwhile
        }
        for synced in self.unsynced.drain(..plan.older.min(self.unsynced.len())) {
            self.durable = self.durable.max(synced.through);
        }
        self.counts.count(&plan);
        if plan.makes_durable {
            self.durable = self.durable.max(plan.last);
            (self.at_risk, self.bytes_at_risk) = (0, 0);
            self.current.dirty = false;
        } else if plan.commits > 0 {
            self.at_risk = self.at_risk.saturating_add(plan.commits);
            self.bytes_at_risk = self.bytes_at_risk.saturating_add(plan.payload);
            self.current.dirty = true;
        }
        self.acknowledged = self.acknowledged.max(plan.last);
        plan.buf.shrink_to(KEPT_BUFFER);
        self.spare = plan.buf;
        Ok(rung)
    }

    pub(crate) fn poison(&mut self, error: &io::Error) -> Arc<str> {
        self.poisoned.get_or_insert_with(|| error.to_string().into()).clone()
    }

    /// Whether the next segment should be prepared: the current one is half full.
    pub(crate) fn wants_segment(&self) -> bool {
        self.opened && self.next.is_none() && self.current.end > self.current.size / 2
    }

    /// The size of the next segment: double that of one that was filled, the same as one that
    /// takes no more.
    pub(crate) fn next_size(&self, first: u64, largest: u64) -> u64 {
        let times = if self.current.file.is_some() { 2 } else { 1 };
        self.current.size.saturating_mul(times).clamp(first, largest)
    }

    fn sabotaged(&self, by: Sabotage) -> bool {
        self.sabotage == Some(by)
    }
}

impl Segment {
    pub(crate) fn new(number: u64, size: u64, file: Arc<dyn File>) -> Self {
        Self { number, size, file: Some(file), end: 0, block_sealed: true, dirty: false }
    }

    /// Bytes left for groups; none in one that takes no more.
    pub(crate) fn left(&self) -> u64 {
        let used = align_block(self.end) + BLOCK as u64;
        if self.file.is_some() { self.size.saturating_sub(used) } else { 0 }
    }

    /// Whether a group of `len` bytes fits at `start`, and a block behind it for a last group
    /// without commits.
    fn fits(&self, start: u64, len: u64) -> bool {
        self.file.is_some() && align_block(start + len) + BLOCK as u64 <= self.size
    }
}

impl Counts {
    fn count(&mut self, plan: &Plan) {
        self.commits += u64::from(plan.commits);
        self.groups += u64::from(plan.write.is_some());
        self.largest_group = self.largest_group.max(plan.commits);
        let durable = plan.write.as_ref().is_some_and(|write| write.durable);
        let syncs = plan.before.iter().flatten().count() + usize::from(plan.after.is_some());
        self.syncs += syncs as u64 + u64::from(durable);
        self.written += plan.write.as_ref().map_or(0, |write| write.len as u64);
    }
}

const _: () = assert!(GROUP_MAX.is_multiple_of(BLOCK));
