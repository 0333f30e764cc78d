//! Sets of pages, as runs.
//!
//! Invariant: the runs ascend, none is empty, and no two touch.

/// A set of pages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ranges(Vec<(u32, u32)>);

impl Ranges {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many pages there are.
    pub(super) fn count(&self) -> u32 {
        self.0.iter().map(|(from, to)| to - from).sum()
    }

    /// How many pages of a run there are.
    pub(super) fn within(&self, from: u32, to: u32) -> u32 {
        let first = self.0.partition_point(|run| run.1 <= from);
        let runs = self.0[first..].iter().take_while(|run| run.0 < to);
        runs.map(|run| run.1.min(to) - run.0.max(from)).sum()
    }

    /// Behind the last page that is there of a run.
    pub(super) fn end_within(&self, from: u32, to: u32) -> Option<u32> {
        let behind = self.0.partition_point(|run| run.0 < to);
        let end = self.0[..behind].last()?.1.min(to);
        (end > from).then_some(end)
    }

    /// Adds pages; answers how many were not there.
    pub(super) fn add(&mut self, from: u32, to: u32) -> u32 {
        if from >= to {
            return 0;
        }
        let before = self.count();
        let first = self.0.partition_point(|run| run.1 < from);
        let last = self.0.partition_point(|run| run.0 <= to);
        let mut joined = (from, to);
        for run in &self.0[first..last] {
            joined = (joined.0.min(run.0), joined.1.max(run.1));
        }
        if first == last {
            self.0.insert(first, joined);
        } else {
            self.0[first] = joined;
            self.0.drain(first + 1..last);
        }
        self.count() - before
    }

    /// Takes pages out; answers how many were there.
    pub(super) fn remove(&mut self, from: u32, to: u32) -> u32 {
        if from >= to {
            return 0;
        }
        let before = self.count();
        let mut at = self.0.partition_point(|run| run.1 <= from);
        while let Some(&(start, end)) = self.0.get(at).filter(|run| run.0 < to) {
            match (start < from, end > to) {
                (true, true) => {
                    self.0[at].1 = from;
                    self.0.insert(at + 1, (to, end));
                    at += 2;
                }
                (true, false) => {
                    self.0[at].1 = from;
                    at += 1;
                }
                (false, true) => {
                    self.0[at].0 = to;
                    at += 1;
                }
                (false, false) => {
                    self.0.remove(at);
                }
            }
        }
        before - self.count()
    }
}
