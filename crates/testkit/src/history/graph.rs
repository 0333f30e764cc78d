//! A directed graph of transactions: an order that all its edges agree with, or a shortest cycle.
//!
//! Invariant: `order` answers exactly when no cycle is there. Knows nothing of what edges mean.

use std::collections::VecDeque;

use super::Id;

/// Who comes before whom, and why.
#[derive(Debug)]
pub(crate) struct Graph<W> {
    edges: Vec<Edge<W>>,
    /// By node, the places of the edges that leave it.
    out: Vec<Vec<usize>>,
}

/// One comes before another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Edge<W> {
    pub(crate) from: Id,
    pub(crate) to: Id,
    pub(crate) why: W,
}

impl<W: Copy> Graph<W> {
    pub(crate) fn new(nodes: usize) -> Self {
        Self { edges: Vec::new(), out: vec![Vec::new(); nodes] }
    }

    pub(crate) fn add(&mut self, from: Id, to: Id, why: W) {
        self.out[from].push(self.edges.len());
        self.edges.push(Edge { from, to, why });
    }

    pub(crate) fn edges(&self) -> &[Edge<W>] {
        &self.edges
    }

    /// All nodes, each before those that its edges lead to; `None` when there is a cycle.
    pub(crate) fn order(&self) -> Option<Vec<Id>> {
        let (order, _) = self.peel(&|_| true);
        (order.len() == self.out.len()).then_some(order)
    }

    /// The nodes that come before all cycles, in order, and whether each node was such.
    fn peel(&self, allow: &dyn Fn(W) -> bool) -> (Vec<Id>, Vec<bool>) {
        let mut before = vec![0_usize; self.out.len()];
        for edge in self.edges.iter().filter(|edge| allow(edge.why)) {
            before[edge.to] += 1;
        }
        let mut ready: VecDeque<Id> = (0..before.len()).filter(|id| before[*id] == 0).collect();
        let (mut order, mut is_out) = (Vec::new(), vec![false; before.len()]);
        while let Some(id) = ready.pop_front() {
            is_out[id] = true;
            order.push(id);
            for edge in self.leaving(id, allow) {
                before[edge.to] -= 1;
                if before[edge.to] == 0 {
                    ready.push_back(edge.to);
                }
            }
        }
        (order, is_out)
    }

    /// A shortest cycle of the edges that are allowed.
    pub(crate) fn shortest_cycle(&self, allow: &dyn Fn(W) -> bool) -> Option<Vec<Edge<W>>> {
        let (_, is_out) = self.peel(allow);
        let on_cycles = (0..is_out.len()).filter(|id| !is_out[*id]);
        on_cycles.filter_map(|id| self.path(id, id, allow)).min_by_key(Vec::len)
    }

    /// A shortest way of at least one edge.
    pub(crate) fn path(&self, from: Id, to: Id, allow: &dyn Fn(W) -> bool) -> Option<Vec<Edge<W>>> {
        let mut came_by: Vec<Option<Edge<W>>> = vec![None; self.out.len()];
        let mut next = VecDeque::from([from]);
        while let Some(id) = next.pop_front() {
            for edge in self.leaving(id, allow) {
                if came_by[edge.to].is_some() {
                    continue;
                }
                came_by[edge.to] = Some(*edge);
                if edge.to == to {
                    return Some(way_back(&came_by, from, *edge));
                }
                next.push_back(edge.to);
            }
        }
        None
    }

    fn leaving<'a>(
        &'a self,
        id: Id,
        allow: &'a dyn Fn(W) -> bool,
    ) -> impl Iterator<Item = &'a Edge<W>> {
        self.out[id].iter().map(|at| &self.edges[*at]).filter(|edge| allow(edge.why))
    }
}

/// The edges from a node to the last one.
fn way_back<W: Copy>(came_by: &[Option<Edge<W>>], from: Id, last: Edge<W>) -> Vec<Edge<W>> {
    let mut way = vec![last];
    let mut at = last.from;
    while at != from {
        let Some(edge) = came_by[at] else { break };
        way.push(edge);
        at = edge.from;
    }
    way.reverse();
    way
}
