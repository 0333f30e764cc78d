//! A cycle in words: each edge a line.
//!
//! Knows nothing of how cycles are found.

use super::edges::Why;
use super::graph::Edge;
use super::settle::Settled;
use super::{Id, Item};

/// What a transaction is called.
pub(crate) fn name(id: Id) -> String {
    format!("T{id}")
}

/// What a key is called: with its keyspace, where that is not the first.
pub(crate) fn item(item: &Item) -> String {
    match item.space {
        0 => item.key.escape_ascii().to_string(),
        space => format!("{space}/{}", item.key.escape_ascii()),
    }
}

/// Each edge as a line.
pub(crate) fn cycle(settled: &Settled<'_>, edges: &[Edge<Why>]) -> String {
    let lines: Vec<String> = edges.iter().map(|edge| line(settled, edge)).collect();
    lines.join("\n")
}

fn line(settled: &Settled<'_>, edge: &Edge<Why>) -> String {
    let (from, to) = (name(edge.from), name(edge.to));
    let lsn = |id: Id| settled.history.transactions[id].lsn.unwrap_or(0);
    let key = |at: usize| item(settled.items[at]);
    match edge.why {
        Why::Overwritten(at) => format!("{from} wrote {} before {to} did", key(at)),
        Why::Read(at) => format!("{from} wrote {} as {to} read it", key(at)),
        Why::NotSeen(at) => format!("{from} read {} before {to} wrote it", key(at)),
        Why::NotFound(at) => {
            format!("{from} walked over the place of {} before {to} wrote it", key(at))
        }
        Why::RealTime => format!("{from} had ended when {to} began"),
        Why::Log => {
            format!("{from} is before {to} in the log: {}, {}", lsn(edge.from), lsn(edge.to))
        }
    }
}
