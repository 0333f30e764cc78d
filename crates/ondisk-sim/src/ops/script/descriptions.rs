//! What each task has open, with a user buffer in front of each.
//!
//! Invariant: a name means the description that the task opened by it, whatever became of the name
//! since; once closed it is closed until it is opened again. A description that another `open`
//! replaces stays open, unreachable, and its buffer is never flushed.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::kernel::{Kernel, Open, Refused};
use super::user_buffer::{Close, Profile, UserBuffer};
use super::{Errno, OpenHow, RelPath, TaskName};
use crate::ops::history::{Ino, SyncKind};
use crate::ops::verdict::InBuffer;

/// All that the tasks of one process have open.
#[derive(Debug, Default)]
pub(super) struct Descriptions {
    slots: BTreeMap<(TaskName, RelPath), Slot>,
    profile: Profile,
}

#[derive(Debug)]
enum Slot {
    Open(Box<Buffered>),
    Closed,
}

/// One description and its buffer.
#[derive(Debug)]
struct Buffered {
    open: Open,
    buffer: UserBuffer,
}

impl Buffered {
    fn flush(&mut self, by: &mut Caller<'_>) -> Done {
        let Self { open, buffer } = self;
        buffer.flush();
        buffer.spill(&mut |bytes| by.kernel.write(open, by.name, bytes))
    }
}

/// Who makes a call on a description: whose it is, by which name, on which file system.
pub(super) struct Caller<'a> {
    task: &'a TaskName,
    name: &'a RelPath,
    kernel: &'a mut Kernel,
}

impl<'a> Caller<'a> {
    pub(super) fn new(task: &'a TaskName, name: &'a RelPath, kernel: &'a mut Kernel) -> Self {
        Self { task, name, kernel }
    }
}

type Done<T = ()> = Result<T, Refused>;

impl Descriptions {
    pub(super) fn new(profile: Profile) -> Self {
        Self { profile, ..Self::default() }
    }

    pub(super) fn open(&mut self, mut by: Caller<'_>, how: &OpenHow) -> Done {
        self.make(&mut by, how)
    }

    fn make(&mut self, by: &mut Caller<'_>, how: &OpenHow) -> Done {
        let open = by.kernel.open(by.name, how)?;
        let slot = Slot::Open(Box::new(Buffered { open, buffer: UserBuffer::new(self.profile) }));
        self.slots.insert((by.task.clone(), by.name.clone()), slot);
        Ok(())
    }

    /// What the task has open by that name; opened for reading and writing where it never was.
    fn get(&mut self, by: &mut Caller<'_>) -> Done<&mut Buffered> {
        let key = (by.task.clone(), by.name.clone());
        if !self.slots.contains_key(&key) {
            self.make(by, &OpenHow::default())?;
        }
        match self.slots.get_mut(&key) {
            Some(Slot::Open(buffered)) => Ok(buffered),
            Some(Slot::Closed) | None => Err(Errno::Badf.into()),
        }
    }

    /// Into the buffer, after a seek where one is asked for; a seek flushes first.
    pub(super) fn write(&mut self, mut by: Caller<'_>, bytes: &[u8], at: Option<u64>) -> Done {
        let buffered = self.get(&mut by)?;
        if let Some(at) = at {
            buffered.flush(&mut by)?;
            buffered.open.offset = at;
            buffered.buffer.sought();
        }
        let Buffered { open, buffer } = buffered;
        buffer.write(bytes);
        buffer.spill(&mut |bytes| by.kernel.write(open, by.name, bytes))
    }

    /// Past the buffer.
    pub(super) fn pwrite(&mut self, mut by: Caller<'_>, mut bytes: &[u8], mut at: u64) -> Done {
        let buffered = self.get(&mut by)?;
        loop {
            let taken = by.kernel.pwrite(&buffered.open, by.name, bytes, at)?;
            (bytes, at) = (bytes.get(taken..).unwrap_or_default(), at + taken as u64);
            if bytes.is_empty() || taken == 0 {
                return Ok(());
            }
        }
    }

    pub(super) fn flush(&mut self, mut by: Caller<'_>) -> Done {
        self.get(&mut by)?.flush(&mut by)
    }

    /// Flushes; whether anybody learns that that failed is the library's way.
    pub(super) fn close(&mut self, mut by: Caller<'_>) -> Done {
        let buffered = self.get(&mut by)?;
        let close = buffered.buffer.profile().close;
        let flushed = buffered.flush(&mut by);
        self.slots.insert((by.task.clone(), by.name.clone()), Slot::Closed);
        match flushed {
            Err(Refused::Errno(_)) if close == Close::Swallows => Ok(()),
            told => told,
        }
    }

    pub(super) fn read(&mut self, mut by: Caller<'_>) -> Done<Arc<[u8]>> {
        let buffered = self.get(&mut by)?;
        by.kernel.read(&buffered.open)
    }

    pub(super) fn set_len(&mut self, mut by: Caller<'_>, len: u64) -> Done {
        let buffered = self.get(&mut by)?;
        by.kernel.set_len(&buffered.open, len)
    }

    pub(super) fn allocate(&mut self, mut by: Caller<'_>, len: u64) -> Done {
        let buffered = self.get(&mut by)?;
        by.kernel.allocate(&buffered.open, len)
    }

    pub(super) fn sync(&mut self, mut by: Caller<'_>, kind: SyncKind) -> Done {
        let buffered = self.get(&mut by)?;
        by.kernel.sync(&mut buffered.open, by.name, kind)
    }

    /// The file that a task has open by a name.
    pub(super) fn file(&self, task: &TaskName, name: &RelPath) -> Option<Ino> {
        match self.slots.get(&(task.clone(), name.clone())) {
            Some(Slot::Open(buffered)) => Some(buffered.open.ino),
            Some(Slot::Closed) | None => None,
        }
    }

    /// What all tasks wrote and is in user buffers still.
    pub(super) fn in_buffers(&self) -> Vec<InBuffer> {
        let slots = self.slots.iter().filter_map(|((task, _), slot)| match slot {
            Slot::Open(buffered) => Some((task, &**buffered)),
            Slot::Closed => None,
        });
        let all = slots.map(|(task, Buffered { open, buffer })| {
            let offset = (!open.append).then_some(open.offset);
            let (task, bytes) = (task.as_str().to_owned(), buffer.held());
            InBuffer { task, ino: open.ino, offset, bytes }
        });
        all.filter(|buffer| !buffer.bytes.is_empty()).collect()
    }

    /// The process is dead: its buffers are gone, its descriptions closed by the kernel.
    pub(super) fn forget(&mut self) {
        self.slots.clear();
    }
}
