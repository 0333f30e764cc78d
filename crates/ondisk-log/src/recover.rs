//! What a log is after an open: scanned, and, for a writer, made trustworthy.
//!
//! Invariant: once a writer's open has returned, all that it replayed is durable, in every mode.
//! The page cache proves nothing: after a failed sync it shows bytes as clean that it may drop,
//! and after a kill nobody had synced them. So whatever stands above the last watermark is
//! written again, the same bytes in place, and synced, before anybody relies on it; and the
//! anchor is put in place anew. After that the log is a closed one whose next group goes to a
//! fresh segment under a new epoch, so what a cut left behind the end can never come back.

use std::io;
use std::path::{Path, PathBuf};

use ondisk_fs::{Access, BLOCK, FileSystem};

use crate::anchor::{Anchor, Place, State, anchor_path};
use crate::options::{LogOptions, Sabotage};
use crate::record::align_block;
use crate::scan::{Scan, Scanner, Sink};
use crate::segment::{list_segments, making_path, segment_path};
use crate::{Damage, LogError, Lsn, StoreId};

/// Bytes rewritten at once.
const CHUNK: u64 = 1 << 20;

/// What an open found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovered {
    /// The store that the log belongs to.
    pub store: StoreId,
    /// The last commit that is there.
    pub end: Lsn,
    /// The log was closed: all that was ever committed is there.
    pub was_closed: bool,
    /// Something stands behind the end that a kill or a cut left; it was never acknowledged as
    /// durable.
    pub torn_tail: Option<TornTail>,
    /// The last commits stand above the last watermark: a reader may see what only this boot's
    /// page cache holds. (A writer's open has made them durable.)
    pub above_watermark: bool,
    /// All up to this was known to be durable.
    pub watermark: Lsn,
    /// Replay may start above this.
    pub checkpoint: Lsn,
    /// The next LSN that is given out.
    pub next: Lsn,
    /// The epoch of the last group.
    pub epoch: u32,
    /// Segments on the chain.
    pub segments: u64,
    /// Bytes of groups on the chain.
    pub bytes: u64,
}

/// A group that is not whole, or does not continue the log, behind its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TornTail {
    /// The segment.
    pub path: PathBuf,
    /// Where in it, in bytes.
    pub offset: u64,
    /// The LSN that would have come next.
    pub lsn: Lsn,
    /// What is wrong there.
    pub damage: Damage,
}

/// A log as its files say it is.
pub(crate) struct Found {
    pub(crate) anchor: Anchor,
    pub(crate) scan: Scan,
    pub(crate) recovered: Recovered,
}

/// Reads the anchor of a log that is expected to be there.
pub(crate) fn read_anchor(fs: &dyn FileSystem, dir: &Path) -> Result<Anchor, LogError> {
    let path = anchor_path(dir);
    match Anchor::read(fs, dir)? {
        Some(anchor) if anchor.state == State::Creating => {
            Err(LogError::HalfMade { path: dir.to_owned() })
        }
        Some(anchor) => Ok(anchor),
        None => {
            let absent = || LogError::Absent { path: dir.to_owned() };
            let kind = fs.kind(dir).map_err(LogError::io(dir, "look at the log's directory"))?;
            kind.ok_or_else(absent)?;
            let segments = list_segments(fs, dir)?;
            Err(if segments.is_empty() { absent() } else { LogError::AnchorMissing { path } })
        }
    }
}

/// Reads the whole log and writes nothing.
pub(crate) fn look(
    fs: &dyn FileSystem,
    dir: &Path,
    sabotage: Option<Sabotage>,
    from: Lsn,
    sink: Sink<'_>,
) -> Result<Found, LogError> {
    let anchor = read_anchor(fs, dir)?;
    let scan = Scanner::new(fs, dir, anchor, sabotage)?.run(from, sink)?;
    let was_closed = anchor.state != State::Open;
    let left = scan.highest > scan.end.lsn.max(anchor.highest);
    let noise = matches!(scan.stop.damage, Damage::Zeros | Damage::NoHeader | Damage::OtherChain);
    let torn_tail = (!was_closed && (left || !noise)).then(|| TornTail {
        path: segment_path(dir, scan.end.segment),
        offset: scan.stop.offset,
        lsn: scan.end.lsn.next(),
        damage: scan.stop.damage.clone(),
    });
    let recovered = Recovered {
        store: anchor.store,
        end: scan.end.lsn,
        was_closed,
        torn_tail,
        above_watermark: !was_closed && scan.end.lsn > scan.watermark,
        watermark: if was_closed { scan.end.lsn } else { scan.watermark },
        checkpoint: anchor.checkpoint,
        next: scan.highest.next(),
        epoch: scan.epoch,
        segments: scan.starts.len() as u64,
        bytes: scan.bytes,
    };
    Ok(Found { anchor, scan, recovered })
}

/// Makes a log that was not closed trustworthy; one that was is so already.
pub(crate) fn heal(
    fs: &dyn FileSystem,
    dir: &Path,
    options: LogOptions,
    found: &mut Found,
) -> Result<(), LogError> {
    if found.anchor.state != State::Open {
        return Ok(());
    }
    let scan = &found.scan;
    if !options.sabotaged(Sabotage::TailNotRewritten) {
        rewrite_tail(fs, dir, scan)?;
    }
    // What was prepared and not counted is made anew: its name may be known to this boot alone.
    remove_uncounted(fs, dir, &found.anchor)?;
    let end = Place { offset: align_block(scan.end.offset), ..scan.end };
    let raised = if options.sabotaged(Sabotage::EpochNotRaised) { 0 } else { 1 };
    let reused = options.sabotaged(Sabotage::LsnReused);
    found.anchor = Anchor {
        epoch: scan.highest_epoch.max(found.anchor.epoch).saturating_add(raised),
        durable: end.lsn,
        highest: if reused { end.lsn } else { scan.highest },
        state: State::Closed { end, fresh: true },
        ..found.anchor
    };
    found.anchor.write(fs, dir)
}

/// Writes what stands above the watermark again, and syncs it.
fn rewrite_tail(fs: &dyn FileSystem, dir: &Path, scan: &Scan) -> Result<(), LogError> {
    let Some(from) = scan.tail.front() else { return Ok(()) };
    let segments = scan.starts.iter().zip(&scan.ends);
    for (start, &end) in segments.filter(|(start, _)| start.number >= from.segment) {
        let path = segment_path(dir, start.number);
        let io = |op| LogError::io(&path, op);
        let file = fs.open(&path, Access::ReadWrite).map_err(io("open a segment"))?;
        let first = start.number == from.segment;
        let mut at = if first { from.offset - from.offset % BLOCK as u64 } else { 0 };
        while at < end {
            let len = CHUNK.min(end - at);
            let mut bytes = vec![0; usize::try_from(align_block(len)).unwrap_or(usize::MAX)];
            let read = usize::try_from(len).unwrap_or(usize::MAX);
            file.read_exact_at(&mut bytes[..read], at).map_err(io("read the tail"))?;
            // Behind the last group, the rest of its block is zeros from here on.
            file.write_all_at(&bytes, at).map_err(io("write the tail again"))?;
            at += bytes.len() as u64;
        }
        file.sync_data().map_err(io("sync the tail"))?;
    }
    Ok(())
}

fn remove_uncounted(fs: &dyn FileSystem, dir: &Path, anchor: &Anchor) -> Result<(), LogError> {
    let free = |number: &u64| !(anchor.first.segment..=anchor.newest).contains(number);
    let numbers: Vec<u64> = list_segments(fs, dir)?.into_iter().filter(free).collect();
    if !numbers.is_empty() {
        // The anchor may stand in the cache alone, and an older one on the media count these.
        anchor.write(fs, dir)?;
    }
    let mut leftovers = vec![making_path(dir)];
    leftovers.extend(numbers.iter().map(|number| segment_path(dir, *number)));
    for path in leftovers {
        match fs.remove(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => other.map_err(LogError::io(&path, "remove a free segment"))?,
        }
    }
    Ok(())
}
