//! What the events of a run call the things that a timeline has numbers for: open files, buffers,
//! inodes, requests.
//!
//! Invariant: all is gathered from the events alone, so the same events give the same names.

use std::collections::BTreeMap;

use ondisk_sim::machine::Event as Moved;
use ondisk_sim::machine::event::{Cmd, Kind, Remote};

/// Names at one moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    /// Of each task the call that it made last.
    pub(crate) calls: BTreeMap<u32, Crossing>,
    /// By task and descriptor: the file.
    pub(crate) open: BTreeMap<(u32, u32), String>,
    /// By number: what the drive was told.
    pub(crate) requests: BTreeMap<u32, (Cmd, u16, u32, u32)>,
    /// By the order of their opening: the file that a buffer is in front of.
    buffers: Vec<String>,
    /// What a server over the network was asked and did not answer: of which inode.
    asked: Vec<(Remote, u32)>,
    inodes: BTreeMap<u32, String>,
    /// By transaction: how many changes joined, and how many blocks went to the journal.
    transactions: BTreeMap<u32, (u32, u32)>,
}

/// A call at the line between user and kernel.
#[derive(Clone, Debug)]
pub(crate) struct Crossing {
    op: u32,
    fd: u32,
    /// It, and what it answered.
    pub(crate) words: String,
    pub(crate) returned: bool,
}

impl Names {
    /// After these events.
    pub(crate) fn of(moved: &[(Moved, String)]) -> Self {
        let mut names = Self::default();
        for (event, words) in moved {
            names.event(event, words);
        }
        names
    }

    fn event(&mut self, event: &Moved, words: &str) {
        match event.kind {
            Kind::Call { task, fd, .. } => {
                let (op, words) = (event.op.0, words.to_owned());
                self.calls.insert(task.0, Crossing { op, fd: fd.0, words, returned: false });
            }
            Kind::Ret { task, value, .. } => self.returned(task.0, value, words),
            Kind::Dirtied { ino, .. } => {
                let call = self.calls.iter().find(|(_, call)| call.op == event.op.0);
                if let Some((task, call)) = call
                    && let Some(file) = self.open.get(&(*task, call.fd))
                {
                    self.inodes.insert(ino.0, file.clone());
                }
            }
            Kind::Handle { tid, .. } => self.transactions.entry(tid.0).or_default().0 += 1,
            Kind::JWrite { tid, .. } => self.transactions.entry(tid.0).or_default().1 += 1,
            Kind::Dispatched { rq, cmd, slot, lba, count } => {
                self.requests.insert(rq.0, (cmd, slot, lba.0, count));
            }
            Kind::Queued { rq, lba, count } => {
                self.requests.insert(rq.0, (Cmd::Write, 0, lba.0, count));
            }
            Kind::Asked { remote, ino, .. } => self.asked.push((remote, ino.0)),
            Kind::Answered { remote, ino, .. } => {
                let answered = self.asked.iter().position(|asked| *asked == (remote, ino.0));
                answered.map(|at| self.asked.remove(at));
            }
            Kind::RqDone { rq, .. } => drop(self.requests.remove(&rq.0)),
            Kind::Kill { task } => {
                self.open.retain(|(of, _), _| *of != task.0);
                self.calls.remove(&task.0);
            }
            Kind::Crash | Kind::Cut => {
                (self.open, self.calls) = (BTreeMap::new(), BTreeMap::new());
                self.requests.clear();
                self.asked.clear();
            }
            _ => {}
        }
    }

    fn returned(&mut self, task: u32, value: i64, words: &str) {
        let Some(call) = self.calls.get_mut(&task) else { return };
        (call.words, call.returned) = (words.to_owned(), true);
        let Ok(value) = u32::try_from(value) else { return };
        if let Some(opened) = words.strip_prefix("openat(") {
            let file = opened.rsplit_once(", O_").map_or(opened, |(file, _)| file);
            let file = file.trim_matches('"').to_owned();
            if !words.contains("O_DIRECTORY") {
                self.buffers.push(file.clone());
            }
            self.open.insert((task, value), file);
        } else if words.starts_with("close(") {
            self.open.remove(&(task, call.fd));
        }
    }

    /// The calls that are in the kernel, by task; where none is, the one that was last.
    pub(crate) fn crossing(&self) -> Vec<(u32, &Crossing)> {
        let all = || self.calls.iter().map(|(task, call)| (*task, call));
        let inside: Vec<_> = all().filter(|(_, call)| !call.returned).collect();
        if inside.is_empty() {
            all().max_by_key(|(_, call)| call.op).into_iter().collect()
        } else {
            inside
        }
    }

    /// The file that a buffer is in front of.
    pub(crate) fn buffer(&self, number: u32) -> String {
        let at = usize::try_from(number).ok().and_then(|number| number.checked_sub(1));
        let file = at.and_then(|at| self.buffers.get(at));
        file.cloned().unwrap_or_else(|| format!("file {number}"))
    }

    /// What a server was asked over the network, and has not answered.
    pub(crate) fn asked(&self) -> Vec<String> {
        let told = self.asked.iter().map(|(remote, ino)| {
            let what = match remote {
                Remote::Name => return "asked the server for a change of names".to_owned(),
                Remote::Length => "another length",
                Remote::Write => "WRITE, unstable",
                Remote::Commit => "COMMIT",
                Remote::Read => "READ",
                Remote::Free => "an end",
            };
            format!("asked the server for {what} of {}", self.file(*ino))
        });
        told.collect()
    }

    /// A file by its inode.
    pub(crate) fn file(&self, ino: u32) -> String {
        self.inodes.get(&ino).cloned().unwrap_or_else(|| format!("inode {ino}"))
    }

    /// How many changes a transaction has, and how many blocks of it went to the journal.
    pub(crate) fn transaction(&self, tid: u32) -> (u32, u32) {
        self.transactions.get(&tid).copied().unwrap_or_default()
    }
}
