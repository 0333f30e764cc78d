//! From a settled history to who comes before whom, and to the reads that no order explains.
//!
//! Invariant: every read that counts has its edge from the writer that it saw, and one to the
//! writer that it did not see yet; a walk is a read of every key of the history where it went,
//! found or not, so that a key that came later is one that it did not see.

use std::collections::BTreeMap;

use super::check::{Anomaly, Kind, Order};
use super::graph::Graph;
use super::settle::{Placed, Settled};
use super::words::{item as named, name};
use super::{Act, End, Id, Item, Moment, Saw, Scan, Transaction, Version, Way};

/// Why one transaction comes before another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// Both wrote this key, in this order.
    Overwritten(usize),
    /// The second read what the first wrote to this key.
    Read(usize),
    /// The first read this key, and the second wrote it later.
    NotSeen(usize),
    /// The first walked over where this key is, and the second wrote it later.
    NotFound(usize),
    /// The first had ended when the second began.
    RealTime,
    /// The LSN of the first is the smaller one.
    Log,
}

/// All edges that an order has to agree with.
pub(crate) fn graph(settled: &Settled<'_>, order: Order) -> Result<Graph<Why>, Anomaly> {
    let mut graph = Graph::new(settled.history.transactions.len());
    for (at, versions) in settled.versions.iter().enumerate() {
        for two in versions.windows(2) {
            graph.add(two[0].writer, two[1].writer, Why::Overwritten(at));
        }
    }
    for (id, transaction) in settled.history.transactions.iter().enumerate() {
        if settled.counts(id) {
            let own = BTreeMap::new();
            Reads { settled, order, id, transaction, own, graph: &mut graph }.follow()?;
        }
    }
    if order >= Order::RealTime {
        real_time(settled, &mut graph);
    }
    if order >= Order::Log {
        log(settled, &mut graph);
    }
    Ok(graph)
}

/// The reads of one transaction, followed from its first act to its last.
struct Reads<'a, 'h> {
    settled: &'a Settled<'h>,
    order: Order,
    id: Id,
    transaction: &'h Transaction,
    /// What it wrote so far: the last write to each key.
    own: BTreeMap<&'h Item, Option<u16>>,
    graph: &'a mut Graph<Why>,
}

impl<'h> Reads<'_, 'h> {
    fn follow(mut self) -> Result<(), Anomaly> {
        for (_, act) in &self.transaction.acts {
            match act {
                Act::Read(item, saw) => self.read(item, *saw, Why::NotSeen)?,
                Act::Scan(scan) => self.scan(scan)?,
                Act::Put(item, nth) => drop(self.own.insert(item, Some(*nth))),
                Act::Delete(item) => drop(self.own.insert(item, None)),
            }
        }
        Ok(())
    }

    fn scan(&mut self, scan: &'h Scan) -> Result<(), Anomaly> {
        let key_order = |two: &[(Vec<u8>, Saw)]| match scan.way {
            Way::Up => two[0].0 < two[1].0,
            Way::Down => two[0].0 > two[1].0,
        };
        let is_ordered = scan.found.windows(2).all(key_order);
        if !is_ordered || !scan.found.iter().all(|(key, _)| scan.covers(key)) {
            let what = "got keys out of order, twice or from elsewhere on a walk";
            return Err(self.impossible(Kind::Misplaced, what));
        }
        let found: BTreeMap<&[u8], Saw> =
            scan.found.iter().map(|(key, saw)| (&key[..], *saw)).collect();
        let items = self.settled.items.iter().copied();
        let here = items.filter(|item| item.space == scan.space && scan.covers(&item.key));
        let mut known = 0;
        for item in here {
            let saw = found.get(&item.key[..]).copied();
            known += usize::from(saw.is_some());
            self.read(item, saw.unwrap_or(Saw::Nothing), Why::NotFound)?;
        }
        if known < found.len() {
            return Err(self.impossible(Kind::NeverWritten, "found a key that nobody wrote"));
        }
        Ok(())
    }

    fn read(&mut self, item: &'h Item, saw: Saw, missed: fn(usize) -> Why) -> Result<(), Anomaly> {
        if let Some(own) = self.own.get(item) {
            let version = own.map(|nth| Version { writer: self.id, nth });
            if saw == version.map_or(Saw::Nothing, Saw::Version) {
                return Ok(());
            }
            let what = format!("read {}, and not its own write to it", named(item));
            return Err(self.impossible(Kind::OwnWrites, &what));
        }
        // Every key that is read stands among the items.
        let Some(at) = self.settled.item(item) else { return Ok(()) };
        let versions = &self.settled.versions[at];
        let next = match saw {
            Saw::Garbage => {
                let what = format!("read in {} what nobody wrote", named(item));
                return Err(self.impossible(Kind::NeverWritten, &what));
            }
            Saw::Version(version) => {
                self.seen(item, version, versions)?;
                let is_it = |placed: &Placed| placed.writer == version.writer;
                versions.iter().position(is_it).map_or(0, |place| place + 1)
            }
            Saw::Nothing => self.nothing(versions),
        };
        self.as_of(item, versions, next)?;
        if let Some(seen) = next.checked_sub(1) {
            self.edge(versions[seen].writer, self.id, Why::Read(at));
        }
        if let Some(later) = versions.get(next) {
            self.edge(self.id, later.writer, missed(at));
        }
        Ok(())
    }

    /// A version that was seen must be a committed one.
    fn seen(&self, item: &Item, version: Version, versions: &[Placed]) -> Result<(), Anomaly> {
        let settled = self.settled;
        let nth = Some(version.nth);
        let Some(writer) = settled.history.transactions.get(version.writer) else {
            let what = format!("read in {} what nobody wrote", named(item));
            return Err(self.impossible(Kind::NeverWritten, &what));
        };
        let by = name(version.writer);
        let (kind, what) = if !writer.writes().any(|write| write == (item, nth)) {
            (Kind::NeverWritten, format!("which {by} never wrote there"))
        } else if version.writer == self.id {
            (Kind::OwnWrites, "before it wrote that itself".to_owned())
        } else if writer.end == End::Lost {
            (Kind::LostRead, format!("which a cut took from {by}"))
        } else if !settled.is_committed(version.writer) {
            (Kind::DirtyRead, format!("which {by} wrote and took back"))
        } else if !versions.iter().any(|it| it.writer == version.writer && it.nth == nth) {
            (Kind::Intermediate, format!("which {by} wrote and wrote over itself"))
        } else {
            return Ok(());
        };
        let words = format!("{} read in {} a value {what}", name(self.id), named(item));
        Err(Anomaly::new(kind, words, &[version.writer, self.id]))
    }

    /// What comes after the state without a value that was seen: after the newest delete that the
    /// transaction could see.
    fn nothing(&self, versions: &[Placed]) -> usize {
        let is_writer = self.settled.is_committed(self.id) && self.transaction.is_writer();
        let own = self.transaction.lsn.filter(|_| is_writer);
        let until = self.transaction.snapshot.or(own.map(|lsn| lsn.saturating_sub(1)));
        let could = |placed: &Placed| match until {
            Some(until) => placed.lsn <= until,
            None => {
                let writer = &self.settled.history.transactions[placed.writer];
                writer.began < self.transaction.ended
            }
        };
        let delete = versions.iter().rposition(|it| it.nth.is_none() && could(it));
        delete.map_or(0, |place| place + 1)
    }

    /// Where the log's order is the claim: a read is as of its transaction's snapshot.
    fn as_of(&self, item: &Item, versions: &[Placed], next: usize) -> Result<(), Anomaly> {
        let Some(snapshot) = self.transaction.snapshot.filter(|_| self.order >= Order::Log) else {
            return Ok(());
        };
        let expected = versions.partition_point(|placed| placed.lsn <= snapshot);
        if next == expected {
            return Ok(());
        }
        let writer = |next: usize| match next.checked_sub(1) {
            Some(at) if versions[at].nth.is_none() => {
                format!("{}'s delete", name(versions[at].writer))
            }
            Some(at) => format!("{}'s write", name(versions[at].writer)),
            None => "nothing".to_owned(),
        };
        let what = format!(
            "read {} as of LSN {snapshot} and saw {}, where {} stood",
            named(item),
            writer(next),
            writer(expected)
        );
        Err(self.impossible(Kind::NotAsOf, &what))
    }

    fn edge(&mut self, from: Id, to: Id, why: Why) {
        if from != to {
            self.graph.add(from, to, why);
        }
    }

    fn impossible(&self, kind: Kind, what: &str) -> Anomaly {
        Anomaly::new(kind, format!("{} {what}", name(self.id)), &[self.id])
    }
}

/// Whoever had ended comes before whoever began later. Edges that follow from others are left out.
fn real_time(settled: &Settled<'_>, graph: &mut Graph<Why>) {
    let transactions = &settled.history.transactions;
    // At one moment beginnings come first: they are not after the end.
    let mut moments: Vec<(Moment, bool, Id)> = Vec::new();
    for (id, transaction) in transactions.iter().enumerate() {
        if settled.counts(id) {
            moments.push((transaction.began, false, id));
            if transaction.end != End::Unknown {
                moments.push((transaction.ended, true, id));
            }
        }
    }
    moments.sort_unstable();
    let mut before: Vec<Vec<Id>> = vec![Vec::new(); transactions.len()];
    let mut newest: Vec<Id> = Vec::new();
    for (_, is_end, id) in moments {
        if is_end {
            newest.retain(|other| !before[id].contains(other));
            newest.push(id);
        } else {
            newest.iter().for_each(|other| graph.add(*other, id, Why::RealTime));
            before[id].clone_from(&newest);
        }
    }
}

/// Commits come in the order of their LSNs.
fn log(settled: &Settled<'_>, graph: &mut Graph<Why>) {
    let transactions = settled.history.transactions.iter().enumerate();
    let committed = transactions.filter(|(id, it)| settled.is_committed(*id) && it.is_writer());
    let mut lsns: Vec<(u64, Id)> = committed.filter_map(|(id, it)| Some((it.lsn?, id))).collect();
    lsns.sort_unstable();
    for two in lsns.windows(2) {
        graph.add(two[0].1, two[1].1, Why::Log);
    }
}
