//! What a task has open, with a user buffer in front of each.
//!
//! Invariant: a name means the description that the task opened by it, whatever became of the
//! name since; once closed it is closed until it is opened again.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::machine::Errno;
use crate::machine::ids::Fd;
use crate::ops::Ino;
use crate::ops::script::{RelPath, UserBuffer};
use crate::ops::verdict::InBuffer;

/// The open files of a task, by the names that it used.
#[derive(Clone, Debug, Default)]
pub(super) struct Files(BTreeMap<RelPath, Slot>);

#[derive(Clone, Debug)]
pub(super) enum Slot {
    Open(Box<Buffered>),
    Closed,
}

/// One description and its buffer.
#[derive(Clone, Debug)]
pub(super) struct Buffered {
    pub(super) fd: Fd,
    /// Its number among all that were opened, for events.
    pub(super) number: u32,
    /// The file, as the history has it.
    pub(super) ino: Option<Ino>,
    pub(super) append: bool,
    /// Where the kernel's offset is.
    pub(super) offset: u64,
    pub(super) buffer: UserBuffer,
}

impl Files {
    pub(super) fn get(&self, path: &RelPath) -> Option<&Slot> {
        self.0.get(path)
    }

    pub(super) fn put(&mut self, path: &RelPath, slot: Slot) {
        self.0.insert(path.clone(), slot);
    }

    pub(super) fn open(&mut self, path: &RelPath) -> Result<&mut Buffered, Errno> {
        match self.0.get_mut(path) {
            Some(Slot::Open(file)) => Ok(file),
            Some(Slot::Closed) | None => Err(Errno::Badf),
        }
    }

    pub(super) fn fd(&self, path: &RelPath) -> Result<Fd, Errno> {
        match self.0.get(path) {
            Some(Slot::Open(file)) => Ok(file.fd),
            Some(Slot::Closed) | None => Err(Errno::Badf),
        }
    }

    pub(super) fn ino(&self, path: &RelPath) -> Option<Ino> {
        match self.0.get(path) {
            Some(Slot::Open(file)) => file.ino,
            Some(Slot::Closed) | None => None,
        }
    }

    pub(super) fn closed(&mut self, path: &RelPath) {
        self.put(path, Slot::Closed);
    }

    /// What the buffers hold.
    pub(super) fn held(&self, task: &str) -> Vec<InBuffer> {
        let held = self.0.values().filter_map(|slot| match slot {
            Slot::Open(file) if !file.buffer.held().is_empty() => Some(InBuffer {
                task: task.to_owned(),
                ino: file.ino?,
                offset: (!file.append).then_some(file.offset),
                bytes: file.buffer.held(),
            }),
            _ => None,
        });
        held.collect()
    }
}

/// A path of a script as the operations level has it.
pub(super) fn path_of(path: &RelPath) -> PathBuf {
    PathBuf::from(String::from_utf8_lossy(path.as_bytes()).into_owned())
}
