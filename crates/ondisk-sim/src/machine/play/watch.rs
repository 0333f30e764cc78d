//! What a program does that no event tells: which line it is at, and what each write brings.
//!
//! Invariant: a run is the same whether it is watched or not.

use std::sync::Arc;

use super::{Play, task_id};
use crate::machine::ids::TaskId;
use crate::ops::Ino;
use crate::ops::script::{Place, RelPath};

/// Something that a program did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// A task begins a step.
    Step {
        /// Which task.
        task: TaskId,
        /// Where the step stands.
        place: Place,
    },
    /// A step writes bytes: into its buffer, or straight into the page cache. Said again where a
    /// call took a part alone.
    Wrote {
        /// Which task.
        task: TaskId,
        /// Where the step stands.
        place: Place,
        /// The name by which the task opened the file,
        path: RelPath,
        /// and the file, as the history has it.
        ino: Option<Ino>,
        /// Where in the file the bytes belong; `None` for its end, behind what the buffer held.
        at: Option<u64>,
        /// How many bytes the buffer held before.
        held: u64,
        /// The bytes.
        bytes: Arc<[u8]>,
    },
}

impl Play {
    /// From here on what the program does is kept until it is taken.
    pub fn watch(&mut self) {
        self.seen = Some(Vec::new());
    }

    /// What the program did since this was asked last.
    pub fn seen(&mut self) -> Vec<Seen> {
        self.seen.as_mut().map(std::mem::take).unwrap_or_default()
    }

    pub(super) fn begins(&mut self, at: usize, place: Place) {
        if let Some(seen) = &mut self.seen {
            seen.push(Seen::Step { task: task_id(at), place });
        }
    }

    /// A task is about to write.
    pub(super) fn writes(
        &mut self,
        at: usize,
        place: Place,
        (path, bytes): (&RelPath, &[u8]),
        to: Option<u64>,
    ) {
        let (Some(seen), Ok(file)) = (&mut self.seen, self.tasks[at].files.open(path)) else {
            return;
        };
        let held = if to.is_some() { 0 } else { file.buffer.held().len() as u64 };
        let end = (!file.append).then_some(file.offset.saturating_add(held));
        let (path, bytes) = (path.clone(), Arc::from(bytes));
        let (task, ino, at) = (task_id(at), file.ino, to.or(end));
        seen.push(Seen::Wrote { task, place, path, ino, at, held, bytes });
    }
}
