//! Whether the transactions of a history might have run one after the other.
//!
//! Invariant: a history passes exactly when some serial order of its transactions explains every
//! read, keeps the order in which versions of a key were committed and, where that is asked for,
//! the order in real time and that of the log. An anomaly names the simplest reason: a read that
//! no order explains, or else a shortest cycle of the weakest edges that make one.
//!
//! Those who were rolled back must have seen one state too; what they wrote must be seen by
//! nobody. The names of anomalies are those of Adya, *Weak Consistency* (1999), and of Elle
//! (Kingsbury and Alvaro, VLDB 2020), in words.

use std::fmt;

use super::edges::{self, Why};
use super::graph::{Edge, Graph};
use super::settle::Settled;
use super::words::{self, name};
use super::{End, History, Id};

/// What a serial order must agree with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Order {
    /// With what was read and written: serializability.
    Any,
    /// With real time too: strict serializability.
    RealTime,
    /// With the order of the log too, and every read is as of its transaction's snapshot: what
    /// this store claims.
    Log,
}

/// What a history that passed came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// A serial order that explains the history.
    pub order: Vec<Id>,
    /// How many times one had to come before another.
    pub edges: usize,
}

/// Why a history cannot have been serial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anomaly {
    /// Its kind.
    pub kind: Kind,
    /// What happened, a line for each step of a cycle.
    pub words: String,
    /// Who took part.
    pub of: Vec<Id>,
}

/// A kind of anomaly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A commit without a place of its own.
    NoOrder,
    /// A walk gave keys in no order, twice, or from where it did not go.
    Misplaced,
    /// A value that nobody wrote there.
    NeverWritten,
    /// A transaction did not see its own writes.
    OwnWrites,
    /// A write was seen that was rolled back (G1a).
    DirtyRead,
    /// A write was seen over which its own transaction wrote (G1b).
    Intermediate,
    /// A write was seen that a cut had taken.
    LostRead,
    /// A read is not as of its transaction's snapshot.
    NotAsOf,
    /// Each saw the other's writes (G1c).
    Circular,
    /// A write went over one that its transaction had not seen.
    LostUpdate,
    /// One saw some of another's writes, and not all (G-single).
    ReadSkew,
    /// Each wrote what the other had read (G2-item).
    WriteSkew,
    /// Somebody wrote where another had walked (G2).
    Phantom,
    /// What had ended was not seen by who began later.
    Stale,
    /// Another order explains the history, and not that of the log.
    OutOfLog,
    /// What a recovery found is not what a cut may leave.
    NotRecovered,
}

impl Anomaly {
    pub(crate) fn new(kind: Kind, words: String, of: &[Id]) -> Self {
        Self { kind, words, of: of.to_vec() }
    }

    fn cycle(settled: &Settled<'_>, kind: Kind, edges: &[Edge<Why>]) -> Self {
        let of: Vec<Id> = edges.iter().map(|edge| edge.from).collect();
        Self { kind, words: words::cycle(settled, edges), of }
    }
}

impl fmt::Display for Anomaly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = self.of.iter().map(|id| name(*id)).collect();
        let of = if names.is_empty() { "" } else { " of " };
        write!(f, "{}{of}{}:", self.kind, names.join(", "))?;
        self.words.lines().try_for_each(|line| write!(f, "\n  {line}"))
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::NoOrder => "commit without a place",
            Self::Misplaced => "walk that went astray",
            Self::NeverWritten => "read of what nobody wrote",
            Self::OwnWrites => "own write not seen",
            Self::DirtyRead => "dirty read",
            Self::Intermediate => "read of an intermediate write",
            Self::LostRead => "read of what a cut took",
            Self::NotAsOf => "read that is not of its snapshot",
            Self::Circular => "circular flow of information",
            Self::LostUpdate => "lost update",
            Self::ReadSkew => "read skew",
            Self::WriteSkew => "write skew",
            Self::Phantom => "phantom",
            Self::Stale => "stale read",
            Self::OutOfLog => "order that is not the log's",
            Self::NotRecovered => "recovery of what no cut leaves",
        })
    }
}

/// Looks for a serial order.
///
/// # Errors
/// Why there is none.
pub fn check(history: &History, order: Order) -> Result<Checked, Anomaly> {
    let settled = Settled::of(history)?;
    let graph = edges::graph(&settled, order)?;
    let Some(mut serial) = graph.order() else { return Err(simplest(&settled, &graph)) };
    serial.retain(|id| settled.counts(*id));
    Ok(Checked { order: serial, edges: graph.edges().len() })
}

/// The simplest cycle of a graph that has one.
fn simplest(settled: &Settled<'_>, graph: &Graph<Why>) -> Anomaly {
    let is_flow = |why| matches!(why, Why::Overwritten(_) | Why::Read(_));
    let is_point = |why| is_flow(why) || matches!(why, Why::NotSeen(_));
    let is_read = |why| is_point(why) || matches!(why, Why::NotFound(_));
    let is_timed = |why| is_read(why) || why == Why::RealTime;
    let anomaly = |kind, edges: &[Edge<Why>]| Anomaly::cycle(settled, kind, edges);
    if let Some(edges) = graph.shortest_cycle(&is_flow) {
        return anomaly(Kind::Circular, &edges);
    }
    for (is_missed, otherwise) in [
        (&(|why| matches!(why, Why::NotSeen(_))) as &dyn Fn(Why) -> bool, Kind::ReadSkew),
        (&|why| matches!(why, Why::NotFound(_)), Kind::Phantom),
    ] {
        if let Some(edges) = single(graph, is_missed, &is_flow) {
            return anomaly(
                if is_lost_update(&edges) { Kind::LostUpdate } else { otherwise },
                &edges,
            );
        }
    }
    let stages: [(&dyn Fn(Why) -> bool, Kind); 4] = [
        (&is_point, Kind::WriteSkew),
        (&is_read, Kind::Phantom),
        (&is_timed, Kind::Stale),
        (&|_| true, Kind::OutOfLog),
    ];
    for (allow, kind) in stages {
        if let Some(edges) = graph.shortest_cycle(allow) {
            return anomaly(kind, &edges);
        }
    }
    Anomaly::new(Kind::NoOrder, "a cycle that is none".to_owned(), &[])
}

/// A shortest cycle with exactly one edge of a read that missed a write; of equals, a lost update.
fn single(
    graph: &Graph<Why>,
    is_missed: &dyn Fn(Why) -> bool,
    is_flow: &dyn Fn(Why) -> bool,
) -> Option<Vec<Edge<Why>>> {
    let missed = graph.edges().iter().filter(|edge| is_missed(edge.why));
    let cycles = missed.filter_map(|edge| {
        let mut cycle = vec![*edge];
        cycle.extend(graph.path(edge.to, edge.from, is_flow)?);
        Some(cycle)
    });
    cycles.min_by_key(|cycle| (cycle.len(), !is_lost_update(cycle)))
}

/// One read a key before another wrote it, and wrote over that.
fn is_lost_update(cycle: &[Edge<Why>]) -> bool {
    match cycle {
        [missed, rest @ ..] if !rest.is_empty() => match missed.why {
            Why::NotSeen(read) | Why::NotFound(read) => {
                rest.iter().all(|edge| edge.why == Why::Overwritten(read))
            }
            _ => false,
        },
        _ => false,
    }
}

impl History {
    /// How many were committed, rolled back, and neither.
    #[must_use]
    pub fn ends(&self) -> (usize, usize, usize) {
        let count = |is: fn(End) -> bool| self.transactions.iter().filter(|it| is(it.end)).count();
        (
            count(|end| end == End::Committed),
            count(|end| end == End::RolledBack),
            count(|end| matches!(end, End::Unknown | End::Lost)),
        )
    }
}
