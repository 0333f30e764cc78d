//! One life of a store on a simulated file system, and the verdict on what the next opening
//! serves.
//!
//! Invariant: what a commit does is a function of its life and number, and each commit also puts
//! its identity under one key. So what is served names the last commit that is there, and the
//! plainest of models says what the whole content must then be.

use std::collections::BTreeMap;
use std::path::Path;

use ondisk::sabotage::Sabotage;
use ondisk::{Background, Batch, Db, Error, Step, StoreId, SyncMode};
use ondisk_fs::Rung;

use crate::log_life::Id;
use crate::stage::{Note, Stage};

/// Where the store is.
pub const DIR: &str = "db";
/// The key under which each commit puts its identity.
const COUNTER: &[u8] = b"~counter";
const KEYS: u64 = 7;

/// What a store holds.
pub type Content = BTreeMap<Vec<u8>, Vec<u8>>;

/// Something a life does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// One commit of one to four operations, with values of about so many bytes.
    Commit(SyncMode, usize),
    /// Makes all durable.
    Sync,
    /// One step of background work.
    Step,
    /// Background work until there is none.
    Work,
    /// Takes all into the engine and truncates the log.
    Checkpoint,
    /// Closes the store; the life ends.
    Close,
}

/// How a store is opened: small, so that everything happens soon.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Bytes of the log's first segment; the largest is twice that.
    pub segment: u64,
    /// Bytes of young generation above which a checkpoint is due.
    pub young: u64,
    /// A rule of the store to break.
    pub store: Option<Sabotage>,
    /// A rule of the log to break.
    pub log: Option<ondisk_log::Sabotage>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { segment: 32 << 10, young: 12 << 10, store: None, log: None }
    }
}

/// Opens the store, making it where there is none, and reads all that it serves.
///
/// # Errors
/// The store's.
pub fn open(stage: &dyn Stage, settings: Settings) -> Result<(Db, Content), Error> {
    stage.label("recovery");
    let db = Db::builder()
        .file_system(stage.share())
        .background(Background::Manual)
        .young_budget(settings.young)
        .first_segment(settings.segment)
        .largest_segment(settings.segment * 2)
        .store_id(StoreId(*b"testkit's store."))
        .sabotage(settings.store)
        .sabotage_log(settings.log)
        .open(Path::new(DIR))?;
    let content = content(&db)?;
    Ok((db, content))
}

/// All that a store serves, by range; each key is read by `get` too.
///
/// # Errors
/// The store's.
///
/// # Panics
/// When `get` and `range` disagree.
pub fn content(db: &Db) -> Result<Content, Error> {
    let mut content = Content::new();
    for entry in db.range(..)? {
        let (key, value) = entry?;
        content.insert(key.to_vec(), value.to_vec());
    }
    for (key, value) in &content {
        let got = db.get(key)?.map(|got| got.to_vec());
        assert_eq!(got.as_ref(), Some(value), "get and range disagree on {key:?}");
    }
    Ok(content)
}

/// What commit `id` does: to which keys, which values.
fn changes(id: Id, len: usize) -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
    let mut random = u64::from(id.n) << 8 | u64::from(id.life);
    let mut next = || {
        random = random.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(0x1234_5678_9ABC_DEF1);
        random >> 33
    };
    let mut changes = Vec::new();
    for _ in 0..=next() % 4 {
        let key = format!("key {}", next() % KEYS).into_bytes();
        let value = (next() % 4 != 0).then(|| {
            let len = len / 2 + usize::try_from(next()).unwrap_or(0) % len.max(1);
            id.payload(len)
        });
        changes.push((key, value));
    }
    changes.push((COUNTER.to_vec(), Some(id.payload(0))));
    changes
}

/// Lives a life; ends early at an error, which it returns.
///
/// # Errors
/// The first operation's that failed.
pub fn live(stage: &dyn Stage, db: &Db, life: u8, ops: &[Op]) -> Result<u32, Error> {
    let mut n = 0;
    for op in ops {
        match *op {
            Op::Commit(mode, len) => {
                stage.label("commit");
                n += 1;
                let mut batch = Batch::new();
                for (key, value) in changes(Id { life, n }, len) {
                    batch = match value {
                        Some(value) => batch.put(&key, &value),
                        None => batch.delete(&key),
                    };
                }
                let receipt = db.batch_with(batch, mode)?;
                let durable = receipt.rung == Rung::Durable;
                stage.note(&Note::Acknowledged { n, lsn: receipt.lsn.0, durable });
            }
            Op::Sync => {
                stage.label("sync");
                db.sync()?;
                stage.note(&Note::Durable { n });
            }
            Op::Step => {
                stage.label("step");
                db.step()?;
            }
            Op::Work => {
                stage.label("step");
                while db.step()? == Step::Working {}
            }
            Op::Checkpoint => {
                stage.label("checkpoint");
                db.checkpoint()?;
                stage.note(&Note::Durable { n });
            }
            Op::Close => {
                stage.label("close");
                db.close()?;
                stage.note(&Note::Durable { n });
                return Ok(n);
            }
        }
    }
    Ok(n)
}

/// What an opening owes.
#[derive(Clone, Debug, Default)]
pub struct Owed {
    /// What the opening that began this life served.
    pub base: Content,
    /// This life, from 1.
    pub life: u8,
    /// At most so many acknowledged commits may be lost; `None`: no bound.
    pub at_risk: Option<u32>,
    /// The size that this life's commits were made with.
    pub len: usize,
}

/// Judges what an opening served.
///
/// # Errors
/// The rule that is broken, in words.
pub fn judge(owed: &Owed, notes: &[Note], served: &Content) -> Result<u32, String> {
    let (mut durable, mut acknowledged) = (0, 0);
    for note in notes {
        match *note {
            Note::Acknowledged { n, durable: is, .. } => {
                acknowledged = n;
                durable = if is { n } else { durable };
            }
            Note::Durable { n } => durable = durable.max(n),
            _ => {}
        }
    }
    let counter = served.get(COUNTER).map(|value| Id::of(value).ok_or("a counter nobody wrote"));
    let last = match counter.transpose()? {
        Some(id) if id.life == owed.life => id.n,
        other => {
            let before = owed.base.get(COUNTER).and_then(|value| Id::of(value));
            if other != before {
                return Err(format!(
                    "the last commit is {other:?}; an earlier life served {before:?}"
                ));
            }
            0
        }
    };
    let mut model = owed.base.clone();
    for n in 1..=last {
        for (key, value) in changes(Id { life: owed.life, n }, owed.len) {
            match value {
                Some(value) => model.insert(key, value),
                None => model.remove(&key),
            };
        }
    }
    if model != *served {
        let differs = |key: &&Vec<u8>| model.get(*key) != served.get(*key);
        let keys: Vec<_> = model.keys().chain(served.keys()).filter(differs).collect();
        let names: Vec<_> = keys.iter().map(|key| String::from_utf8_lossy(key)).collect();
        return Err(format!("after commit {last} these keys are not as they were: {names:?}"));
    }
    if last < durable {
        return Err(format!("commit {durable} was durable, and the last that is there is {last}"));
    }
    let lost = acknowledged.saturating_sub(last);
    if owed.at_risk.is_some_and(|bound| lost > bound) {
        return Err(format!("{lost} acknowledged commits are lost; at risk: {:?}", owed.at_risk));
    }
    Ok(last)
}
