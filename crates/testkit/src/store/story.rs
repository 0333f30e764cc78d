//! What may happen to a store, as data that can be printed, shortened and told again.
//!
//! Invariant: an event that does not fit (an operation on a keyspace that is not there, a snapshot
//! that nobody keeps) does nothing, so that any part of a story is a story.

use std::fmt;
use std::ops::Bound;

use bytes::Bytes;
use ondisk::{EngineKind, KeyspaceOptions, SyncMode};
use ondisk_sim::Place;

use super::random::Random;

/// The names that keyspaces have; the first is every store's.
pub const NAMES: [&str; 5] = ["default", "first", "second", "third\t\n", "fourth \u{1F600}"];
/// How many keys there are.
pub const KEYS: usize = 22;

/// A key by its number: few, so that they collide; among them the empty one, long ones, and ones
/// that differ late.
#[must_use]
pub fn key(n: usize) -> Vec<u8> {
    match n % KEYS {
        0 => Vec::new(),
        1 => vec![0],
        2 => vec![0, 0],
        3 => [&b"key/05"[..], &[b'x'; 200]].concat(),
        4 => [&b"key/05"[..], &[b'x'; 199], b"y"].concat(),
        5 => vec![u8::MAX],
        6 => vec![u8::MAX; 3],
        7 => vec![b'L'; 1000],
        n => format!("key/{n:02}").into_bytes(),
    }
}

/// The bytes of a value: told apart from all others by their number, where they are long enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fill {
    /// Which value.
    pub number: u32,
    /// Its length in bytes.
    pub len: u32,
}

impl Fill {
    /// Its bytes: its number again and again, or, every second one, what no compressor shortens.
    #[must_use]
    pub fn bytes(self) -> Bytes {
        let mut random = Random(u64::from(self.number));
        let words = (0..self.len.div_ceil(8)).flat_map(|at| {
            let noise = if at == 0 || self.number.is_multiple_of(2) { 0 } else { random.draw() };
            (u64::from(self.number) << 16 ^ noise).to_be_bytes()
        });
        let skip = if self.len < 8 { 4 } else { 0 };
        words.skip(skip).take(self.len as usize).collect()
    }
}

/// One operation of a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Op {
    /// Which name: an index into [`NAMES`].
    pub slot: usize,
    /// Which key: see [`key`].
    pub key: usize,
    /// What it gets; `None` takes it away.
    pub value: Option<Fill>,
}

/// How a range is walked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Walk {
    /// From the first key on.
    Forward,
    /// From the last key on.
    Backward,
    /// From either end, as the seed has it.
    Mixed(u64),
}

/// What comes between the begin of several commits and the wait for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Between {
    /// Nothing.
    Nothing,
    /// A checkpoint.
    Checkpoint,
    /// A snapshot is taken, and kept.
    Snapshot,
    /// Steps.
    Steps,
}

/// Something that happens to a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A batch, in a mode or in that of its keyspaces.
    Commit(Vec<Op>, Option<SyncMode>),
    /// Several batches, begun before the first is waited for.
    Pipeline(Vec<Vec<Op>>, Option<SyncMode>, Between),
    /// A transaction that reads and writes, while another commit comes between, if it does
    /// anything.
    Transaction(Vec<Op>, Vec<Op>, SyncMode),
    /// A walk over the keys of a keyspace between two bounds.
    Range(usize, Bound<usize>, Bound<usize>, Walk),
    /// Point reads of all keys, several at once, and the first and last key.
    Points(usize),
    /// The keys that begin like a key.
    Prefix(usize, usize),
    /// A snapshot is taken, and kept.
    Snapshot,
    /// A walk is begun, and kept.
    KeepWalk(usize, Walk),
    /// A reader is opened beside the writer, as by another process, and kept.
    Reader,
    /// The oldest snapshot, walk or reader that is kept is compared, and let go.
    LetGo,
    /// So many steps at most.
    Steps(u8),
    /// Idle steps until there is nothing to do.
    Idle,
    /// All is made durable.
    Sync,
    /// All is taken over.
    Checkpoint,
    /// All is taken over, and nothing more can be won.
    Compact,
    /// A keyspace is opened, and made where it is not there.
    Make(usize, KeyspaceOptions),
    /// A keyspace is dropped.
    Drop(usize),
    /// Close, look at it with a reader and a check, open.
    Reopen,
    /// The process dies; the store is opened in the same boot.
    Kill,
    /// The next open has this budget of young maps.
    Young(u64),
    /// The n-th call of a kind from here on fails.
    Fail(Place, u64),
    /// No call fails any more.
    Calm,
}

/// How the store is opened: small, so that all background work happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budgets {
    /// Bytes of the first segment.
    pub first_segment: u64,
    /// Bytes of the largest.
    pub largest_segment: u64,
    /// Bytes of the young maps.
    pub young: u64,
    /// Bytes of the caches.
    pub cache: u64,
}

/// The budgets of stories that are cut.
pub const TIGHT: Budgets =
    Budgets { first_segment: 16 << 10, largest_segment: 32 << 10, young: 5_000, cache: 64 << 10 };
/// The budgets of stories that are only compared.
pub const SMALL: Budgets =
    Budgets { first_segment: 16 << 10, largest_segment: 64 << 10, young: 30_000, cache: 64 << 10 };

/// What happens to one store, from its making on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Story {
    /// What it is called.
    pub name: String,
    /// How the store is opened.
    pub budgets: Budgets,
    /// What happens.
    pub events: Vec<Event>,
    /// It is cut from this event on: what is before is in other stories too.
    pub cut_from: usize,
}

/// A bound as text.
struct Edge(Bound<usize>);

impl fmt::Display for Edge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Bound::Unbounded => f.write_str("unbounded"),
            Bound::Included(n) => write!(f, "{} included", shown(n)),
            Bound::Excluded(n) => write!(f, "{} excluded", shown(n)),
        }
    }
}

fn shown(n: usize) -> String {
    let key = key(n);
    let text = key.escape_ascii().to_string();
    if text.len() > 12 { format!("{}…({} bytes)", &text[..12], key.len()) } else { text }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, key) = (NAMES[self.slot].escape_default(), shown(self.key));
        match self.value {
            Some(Fill { number, len }) => write!(f, "{name}[{key}] = #{number} ({len} bytes)"),
            None => write!(f, "delete {name}[{key}]"),
        }
    }
}

fn batch(ops: &[Op]) -> String {
    let ops: Vec<String> = ops.iter().map(Op::to_string).collect();
    format!("{{ {} }}", ops.join(", "))
}

fn mode(mode: Option<SyncMode>) -> String {
    mode.map_or_else(|| "its own".to_owned(), |mode| mode.to_string())
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |slot: &usize| NAMES[*slot].escape_default();
        match self {
            Self::Commit(ops, asked) => write!(f, "commit, mode {}: {}", mode(*asked), batch(ops)),
            Self::Pipeline(batches, asked, between) => {
                let batches: Vec<String> = batches.iter().map(|ops| batch(ops)).collect();
                let batches = batches.join("; ");
                write!(f, "begin, mode {}: {batches}; then {between:?}, then wait", mode(*asked))
            }
            Self::Transaction(ops, between, mode) => {
                write!(f, "transaction, mode {mode}: {}, while {}", batch(ops), batch(between))
            }
            Self::Range(slot, lower, upper, walk) => {
                let (lower, upper) = (Edge(*lower), Edge(*upper));
                write!(f, "range of {} from {lower} to {upper}, {walk:?}", name(slot))
            }
            Self::Points(slot) => write!(f, "get every key of {}", name(slot)),
            Self::Prefix(slot, n) => write!(f, "prefix {} of {}", shown(*n), name(slot)),
            Self::Snapshot => f.write_str("take a snapshot"),
            Self::KeepWalk(slot, walk) => write!(f, "begin a walk of {}, {walk:?}", name(slot)),
            Self::Reader => f.write_str("open a reader"),
            Self::LetGo => f.write_str("compare the oldest of what is kept and let it go"),
            Self::Steps(count) => write!(f, "{count} steps"),
            Self::Idle => f.write_str("idle"),
            Self::Sync => f.write_str("sync"),
            Self::Checkpoint => f.write_str("checkpoint"),
            Self::Compact => f.write_str("compact"),
            Self::Make(slot, options) => write!(f, "keyspace {} as {options}", name(slot)),
            Self::Drop(slot) => write!(f, "drop {}", name(slot)),
            Self::Reopen => f.write_str("close and open"),
            Self::Kill => f.write_str("kill and open"),
            Self::Young(bytes) => write!(f, "from the next open {bytes} bytes of young maps"),
            Self::Fail(place, nth) => write!(f, "call {nth} of the kind {place:?} will fail"),
            Self::Calm => f.write_str("no call fails any more"),
        }
    }
}

impl fmt::Display for Story {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "story {}, {:?}", self.name, self.budgets)?;
        for (n, event) in self.events.iter().enumerate() {
            writeln!(f, "  {:>3}. {event}", n + 1)?;
        }
        Ok(())
    }
}

/// The options of a keyspace of an engine, as stories make it.
#[must_use]
pub fn plain(engine: EngineKind) -> KeyspaceOptions {
    KeyspaceOptions { page_size: ondisk::PageSize(1024), ..KeyspaceOptions::new(engine) }
}
