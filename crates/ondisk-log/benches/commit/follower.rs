//! What a log is measured against with many committers: group commit by leader and followers and
//! no more. The same threads bring the same bytes; there are no sums, no numbers, no recovery.
//!
//! Whoever joins while nobody writes leads. A leader that is done wakes its own batch and one of
//! the next, and nobody else.

use std::io;
use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use ondisk_fs::{BLOCK, Blocks};

use crate::raw::WrittenFile;

/// What the log puts in front of a group and of a record: the bytes are to be the same.
const HEADER: usize = 80;
const PREFIX: usize = 8;

pub(crate) struct Followers {
    file: WrittenFile,
    open: Mutex<Open>,
}

/// The batch that committers join now.
struct Open {
    batch: Arc<Batch>,
    buf: Blocks,
    len: usize,
    commits: u32,
    spare: Blocks,
    at: u64,
    /// Somebody leads, or was told to.
    led: bool,
    /// Commits and batches so far.
    written: (u64, u64),
}

#[derive(Default)]
struct Batch {
    state: Mutex<Turn>,
    changed: Condvar,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Turn {
    #[default]
    Wait,
    Lead,
    Done,
}

impl Followers {
    pub(crate) fn new(file: WrittenFile) -> Self {
        let open = Open {
            batch: Arc::default(),
            buf: Blocks::new(),
            len: HEADER,
            commits: 0,
            spare: Blocks::new(),
            at: 0,
            led: false,
            written: (0, 0),
        };
        Self { file, open: Mutex::new(open) }
    }

    /// Commits and batches written so far.
    pub(crate) fn written(&self) -> (u64, u64) {
        lock(&self.open).written
    }

    /// Returns when the payload is durable.
    pub(crate) fn commit(&self, payload: &[u8]) -> io::Result<()> {
        let mut open = lock(&self.open);
        open.push(payload);
        if open.led {
            let batch = open.batch.clone();
            drop(open);
            if batch.wait() == Turn::Done {
                return Ok(());
            }
            open = lock(&self.open);
        }
        open.led = true;
        self.lead(open)
    }

    fn lead(&self, mut open: MutexGuard<'_, Open>) -> io::Result<()> {
        let batch = mem::take(&mut open.batch);
        let spare = mem::take(&mut open.spare);
        let buf = mem::replace(&mut open.buf, spare);
        let len = mem::replace(&mut open.len, HEADER).next_multiple_of(BLOCK);
        if open.at + len as u64 > self.file.len() {
            open.at = 0;
        }
        let at = open.at;
        open.at += len as u64;
        open.written.0 += u64::from(mem::take(&mut open.commits));
        open.written.1 += 1;
        drop(open);
        self.file.direct_blocks(&buf.bytes()[..len], at)?;
        let mut open = lock(&self.open);
        open.spare = buf;
        open.led = open.commits > 0;
        let next = open.led.then(|| open.batch.clone());
        drop(open);
        if let Some(next) = next {
            *lock(&next.state) = Turn::Lead;
            next.changed.notify_one();
        }
        *lock(&batch.state) = Turn::Done;
        batch.changed.notify_all();
        Ok(())
    }
}

impl Open {
    fn push(&mut self, payload: &[u8]) {
        let from = self.len + PREFIX;
        self.len = from + payload.len();
        self.buf.grow(self.len);
        self.buf.bytes_mut()[from..self.len].copy_from_slice(payload);
        self.commits += 1;
    }
}

impl Batch {
    /// Waits until the batch is durable, or this committer is to lead it.
    fn wait(&self) -> Turn {
        let mut turn = lock(&self.state);
        loop {
            match *turn {
                Turn::Wait => {}
                Turn::Lead => {
                    *turn = Turn::Wait;
                    return Turn::Lead;
                }
                Turn::Done => return Turn::Done,
            }
            turn = self.changed.wait(turn).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
