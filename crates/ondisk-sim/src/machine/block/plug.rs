//! Plugs: what a task submitted and holds back for a moment, so that it can merge.
//!
//! Invariant: a plug drains when its task sleeps, and before a request is added to one that holds
//! 32 or whose last is 128 KiB or more. What flushes and what reads is never held back.

use crate::machine::ids::TaskId;

/// How many requests a plug holds (`BLK_MAX_REQUEST_COUNT`).
pub(super) const HOLDS: usize = 32;
/// A plug whose last request is as large as this is drained (`BLK_PLUG_FLUSH_SIZE`), in blocks.
pub(super) const LARGE: u32 = 32;

/// The plugs of all tasks.
#[derive(Clone, Debug, Default)]
pub(super) struct Plugs {
    /// By task; those that are drained stay, empty.
    plugs: Vec<(TaskId, Vec<u32>)>,
}

impl Plugs {
    fn plug(&mut self, task: TaskId) -> &mut Vec<u32> {
        let known = self.plugs.iter().position(|(whose, _)| *whose == task);
        let at = known.unwrap_or_else(|| {
            self.plugs.push((task, Vec::new()));
            self.plugs.len() - 1
        });
        &mut self.plugs[at].1
    }

    /// The request that the task plugged last.
    pub(super) fn last(&self, task: TaskId) -> Option<u32> {
        self.plugs.iter().find(|(whose, _)| *whose == task)?.1.last().copied()
    }

    /// How many requests the task plugged.
    pub(super) fn len(&self, task: TaskId) -> usize {
        self.plugs.iter().find(|(whose, _)| *whose == task).map_or(0, |(_, plug)| plug.len())
    }

    /// Plugs a request.
    pub(super) fn add(&mut self, task: TaskId, rq: u32) {
        self.plug(task).push(rq);
    }

    /// Drains a plug: what it held, as a list to be given back by [`put_back`](Self::put_back).
    pub(super) fn drain(&mut self, task: TaskId) -> Vec<u32> {
        std::mem::take(self.plug(task))
    }

    /// Gives the list of [`drain`](Self::drain) back, to be used again.
    pub(super) fn put_back(&mut self, task: TaskId, mut list: Vec<u32>) {
        list.clear();
        *self.plug(task) = list;
    }

    /// All plugged requests.
    pub(super) fn iter(&self) -> impl Iterator<Item = u32> {
        self.plugs.iter().flat_map(|(_, plug)| plug.iter().copied())
    }
}
