//! One life of a log on a simulated file system: it is opened, does a list of operations, and ends
//! somewhere. And the verdict on what the next opening finds.
//!
//! Invariant: what a commit holds is a function of its life and number, so a verdict needs no copy
//! of what was written; and the verdict knows nothing of the log's bytes.

use std::path::Path;

use bytes::Bytes;
use ondisk_log::{Batch, Flow, Log, LogError, LogOptions, Lsn, Presence, Step, StoreId, SyncMode};

use crate::stage::{Note, Stage};

/// Where the log is.
pub const DIR: &str = "log";
const STORE: StoreId = StoreId(*b"testkit's store.");

/// Something a life does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// One commit with a payload of so many bytes.
    Commit(SyncMode, usize),
    /// Several commits together.
    Together(u32, usize),
    /// Makes all durable.
    Sync,
    /// Background work until there is none.
    Work,
    /// What is done when nothing came for a while.
    Idle,
    /// A checkpoint at the last acknowledged commit.
    Checkpoint,
    /// Truncates up to the checkpoint.
    Truncate,
    /// Closes the log; what follows is refused.
    Close,
}

/// A commit's identity: which life made it, and which of that life's it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Id {
    /// From 1.
    pub life: u8,
    /// From 1.
    pub n: u32,
}

impl Id {
    /// What the commit holds: its identity, and filler that depends on it.
    #[must_use]
    pub fn payload(self, len: usize) -> Vec<u8> {
        let len = len.max(9);
        let mut bytes = Vec::with_capacity(len);
        bytes.push(self.life);
        bytes.extend_from_slice(&self.n.to_le_bytes());
        bytes.extend_from_slice(&u32::try_from(len).expect("a test's payload").to_le_bytes());
        let mut state = u64::from(self.n) << 8 | u64::from(self.life);
        while bytes.len() < len {
            state = state.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(1);
            bytes.push(state.to_le_bytes()[7]);
        }
        bytes
    }

    /// Which commit holds these bytes, if any holds exactly them.
    #[must_use]
    pub fn of(payload: &[u8]) -> Option<Self> {
        let life = *payload.first()?;
        let n = u32::from_le_bytes(payload.get(1..5)?.try_into().ok()?);
        let id = Self { life, n };
        (id.payload(payload.len()) == payload).then_some(id)
    }
}

/// What an opening served: commits with their LSNs, in order.
pub type Served = Vec<(u64, Id)>;

/// What is owed by the opening that ends a life.
#[derive(Clone, Debug, Default)]
pub struct Owed {
    /// What the opening that began this life served.
    pub base: Served,
    /// Commits up to here may have been truncated, by an earlier life.
    pub floor: u64,
    /// This life, from 1.
    pub life: u8,
    /// At most so many acknowledged commits may be lost; `None`: no bound.
    pub at_risk: Option<u32>,
}

/// Opens the log, making it where there is none.
///
/// # Errors
/// The log's.
pub fn open(stage: &dyn Stage, options: LogOptions) -> Result<(Log, Served), LogError> {
    stage.label("recovery");
    let fs = stage.share();
    let dir = Path::new(DIR);
    if Log::presence(&*fs, dir)? != Presence::Log {
        stage.label("creation");
        return Ok((Log::create(fs, dir, STORE, options)?.finish()?, Vec::new()));
    }
    let mut served = Vec::new();
    let mut foreign = None;
    let sink = &mut |lsn: Lsn, payload: Bytes| {
        match Id::of(&payload) {
            Some(id) => served.push((lsn.0, id)),
            None => foreign = Some(lsn),
        }
        Flow::Continue
    };
    let (log, _) = Log::recover(fs, dir, options, Lsn(0), sink)?;
    assert_eq!(foreign, None, "a commit that nobody wrote was served");
    Ok((log, served))
}

/// Lives a life: does the operations and notes what was acknowledged. Ends early at an error,
/// which it returns.
///
/// # Errors
/// The first operation's that failed.
pub fn live(stage: &dyn Stage, log: &Log, life: u8, ops: &[Op]) -> Result<u32, LogError> {
    let mut n = 0;
    let mut acknowledged = 0;
    for op in ops {
        match *op {
            Op::Commit(mode, len) => {
                stage.label(commit_label(log, len));
                n += 1;
                let receipt = log.append(&Id { life, n }.payload(len), mode)?;
                let durable = receipt.rung == ondisk_fs::Rung::Durable;
                stage.note(&Note::Acknowledged { n, lsn: receipt.lsn.0, durable });
                acknowledged = receipt.lsn.0;
            }
            Op::Together(count, len) => {
                stage.label(commit_label(log, len * count as usize));
                let (from, to) = (n + 1, n + count);
                n = to;
                stage.note(&Note::Together { from, to });
                let payloads: Vec<Vec<u8>> =
                    (from..=to).map(|n| Id { life, n }.payload(len)).collect();
                let slices: Vec<&[u8]> = payloads.iter().map(Vec::as_slice).collect();
                let receipt = log.append_batch(&slices)?;
                for n in from..=to {
                    let lsn = receipt.lsn.0 - u64::from(to - n);
                    stage.note(&Note::Acknowledged { n, lsn, durable: true });
                }
                acknowledged = receipt.lsn.0;
            }
            Op::Sync => {
                stage.label("sync");
                log.sync()?;
                stage.note(&Note::Durable { n });
            }
            Op::Work => {
                stage.label(if log.stats().free > 0 { "recycle" } else { "segment switch" });
                while log.step()? == Step::Working {}
            }
            Op::Idle => {
                stage.label("idle");
                log.idle_step()?;
            }
            Op::Checkpoint => {
                stage.label("checkpoint");
                stage.note(&Note::Checkpoint { lsn: acknowledged });
                log.checkpoint(Lsn(acknowledged))?;
            }
            Op::Truncate => {
                stage.label("truncate");
                log.truncate(Lsn(acknowledged)).or_else(beyond_the_checkpoint)?;
            }
            Op::Close => {
                stage.label("close");
                log.close()?;
                stage.note(&Note::Durable { n });
                stage.note(&Note::Closed);
                return Ok(n);
            }
        }
    }
    Ok(n)
}

fn beyond_the_checkpoint(error: LogError) -> Result<ondisk_log::Truncated, LogError> {
    match error {
        LogError::NotCheckpointed { .. } => Ok(ondisk_log::Truncated::default()),
        other => Err(other),
    }
}

fn commit_label(log: &Log, len: usize) -> &'static str {
    let stats = log.stats();
    match (stats.segment_left < len as u64 + 4096, stats.free > 0) {
        (false, _) => "append",
        (true, false) => "segment switch",
        (true, true) => "recycle",
    }
}

/// Judges what an opening served after a cut, by what had been noted before the cut.
///
/// # Errors
/// The rule that is broken, in words.
pub fn judge(owed: &Owed, notes: &[Note], served: &Served) -> Result<(), String> {
    let mut floor = owed.floor;
    let (mut durable, mut acknowledged, mut risk) = (0, 0, owed.at_risk);
    let mut lsns = Vec::new();
    let mut together = Vec::new();
    for note in notes {
        match *note {
            Note::Acknowledged { n, lsn, durable: is } => {
                acknowledged = n;
                lsns.push((n, lsn));
                if is {
                    durable = n; // what is durable is a prefix
                }
            }
            Note::Durable { n } => durable = durable.max(n),
            Note::Together { from, to } => together.push((from, to)),
            Note::Checkpoint { lsn } => floor = floor.max(lsn),
            Note::Closed => risk = Some(0),
            Note::Opened => {}
        }
    }
    let old: Served = served.iter().filter(|(_, id)| id.life != owed.life).copied().collect();
    let new: Served = served.iter().filter(|(_, id)| id.life == owed.life).copied().collect();
    if !served.is_sorted_by(|a, b| a.0 < b.0) {
        return Err(format!("LSNs are not in order: {served:?}"));
    }
    if served[..old.len().min(served.len())] != old[..] {
        return Err("a commit of an earlier life stands behind one of this".into());
    }
    // What the opening of this life served is owed, but for what a checkpoint gave up.
    let kept: Served = owed.base.iter().filter(|(lsn, _)| *lsn > floor).copied().collect();
    if !owed.base.ends_with(&old) || !old.ends_with(&kept) {
        return Err(format!(
            "of earlier lives {old:?} is there; owed, above LSN {floor}: {kept:?}"
        ));
    }
    // Of this life: numbers without a gap, from the first or from within what may be truncated.
    let last = new.last().map_or(0, |(_, id)| id.n);
    for pair in new.windows(2) {
        if pair[1].1.n != pair[0].1.n + 1 || pair[1].0 != pair[0].0 + 1 {
            return Err(format!("a gap between {:?} and {:?}", pair[0], pair[1]));
        }
    }
    let lsn_of = |n: u32| lsns.iter().find(|(m, _)| *m == n).map(|(_, lsn)| *lsn);
    if let Some((lsn, id)) = new.first() {
        let before_is_gone = id.n > 1 && lsn_of(id.n - 1).is_none_or(|before| before > floor);
        if before_is_gone || (id.n > 1 && *lsn > floor + 1) {
            return Err(format!("commits before {id:?} are gone, and the floor is {floor}"));
        }
    }
    for (lsn, id) in &new {
        if lsn_of(id.n).is_some_and(|noted| noted != *lsn) {
            return Err(format!("{id:?} was acknowledged with another LSN than {lsn}"));
        }
    }
    let truncated = |n: u32| lsn_of(n).is_some_and(|lsn| lsn <= floor);
    if last < durable && !truncated(durable) {
        return Err(format!("commit {durable} was durable, and the last that is there is {last}"));
    }
    let lost = acknowledged.saturating_sub(last.max(durable));
    if risk.is_some_and(|bound| lost > bound) && !truncated(acknowledged) {
        return Err(format!("{lost} acknowledged commits are lost; at risk were {risk:?}"));
    }
    match together.iter().find(|(from, to)| (*from..*to).contains(&last)) {
        Some(torn) => Err(format!("of the commits {torn:?}, written together, {last} is the last")),
        None => Ok(()),
    }
}

/// What the next life owes, after an opening served this.
#[must_use]
pub fn next_owed(owed: &Owed, notes: &[Note], served: Served, at_risk: Option<u32>) -> Owed {
    let floors = notes.iter().filter_map(|note| match note {
        Note::Checkpoint { lsn } => Some(*lsn),
        _ => None,
    });
    let floor = floors.fold(owed.floor, u64::max);
    Owed { base: served, floor, life: owed.life + 1, at_risk }
}

/// A batch mode with this bound.
#[must_use]
pub fn batch(records: u32) -> SyncMode {
    SyncMode::Batch(Batch { records, ..Batch::default() })
}
