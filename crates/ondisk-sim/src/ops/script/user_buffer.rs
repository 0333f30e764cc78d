//! Layer 1: the buffer that a program's library keeps for an open file, in the process's memory.
//!
//! Invariant: what it holds no other process has seen, and a `kill` loses it. Which `write(2)`
//! calls it makes, and what becomes of its bytes when one of them fails, are those of the library
//! that its [`Profile`] names: of std's `BufWriter`, against which it is tested, of glibc's `FILE`
//! and of CPython's `open`, as they were seen to do it.
//!
//! Knows nothing of offsets and files, and makes no call itself: an operation is begun, and then
//! [`next`](UserBuffer::next) says what is to be written until there is nothing left.

use std::collections::VecDeque;

/// A library's way to buffer what is written to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Profile {
    /// Its name, as options give it.
    pub name: &'static str,
    /// How many bytes the buffer holds.
    pub size: usize,
    /// How many bytes of text may wait in front of it, where text is kept apart.
    pub text: Option<usize>,
    /// When it spills.
    pub spill: Spill,
    /// What becomes of the bytes of a write that failed.
    pub failed: Failed,
    /// What a `close` does with the error of its flush.
    pub close: Close,
}

/// When a buffer spills.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spill {
    /// What does not fit stays whole: the buffer is emptied first. New bytes of this number at
    /// least go past it.
    Whole(usize),
    /// The buffer is filled to its last byte and emptied; then the largest multiple of its size
    /// goes past it, and the rest stays.
    Full,
}

/// What becomes of buffered bytes that could not be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failed {
    /// They stay, for the next flush.
    Stay,
    /// They are gone.
    Gone,
}

/// What a `close` does with the error of its flush.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Close {
    /// Nobody learns of it: a drop has no result.
    Swallows,
    /// It is the result.
    Tells,
}

/// What `st_blksize` says on the file systems told of here.
const BLKSIZE: usize = 4096;
/// The least size of CPython's buffer from 3.14 on.
const LARGE: usize = 128 << 10;
/// How much text CPython joins before it gives it on.
const CHUNK: usize = 8192;

impl Profile {
    /// Rust's `BufWriter`.
    pub const RUST: Self = Self {
        name: "rust",
        size: 8192,
        text: None,
        spill: Spill::Whole(8192),
        failed: Failed::Stay,
        close: Close::Swallows,
    };
    /// C's `FILE`, as glibc has it: of `st_blksize`, not of `BUFSIZ`.
    pub const C: Self = Self {
        name: "c",
        size: BLKSIZE,
        text: None,
        spill: Spill::Full,
        failed: Failed::Gone,
        close: Close::Tells,
    };
    /// CPython's `open(f, "wb")` up to 3.13.
    pub const PYTHON_3_13_BYTES: Self = Self::python("python3.13:bytes", BLKSIZE, None);
    /// CPython's `open(f, "w")` up to 3.13: text waits in front of the buffer.
    pub const PYTHON_3_13: Self = Self::python("python3.13", BLKSIZE, Some(CHUNK));
    /// CPython's `open(f, "wb")` from 3.14 on.
    pub const PYTHON_3_14_BYTES: Self = Self::python("python3.14:bytes", LARGE, None);
    /// CPython's `open(f, "w")` from 3.14 on.
    pub const PYTHON_3_14: Self = Self::python("python3.14", LARGE, Some(CHUNK));
    /// All that there are.
    pub const ALL: [Self; 6] = [
        Self::RUST,
        Self::C,
        Self::PYTHON_3_13,
        Self::PYTHON_3_13_BYTES,
        Self::PYTHON_3_14,
        Self::PYTHON_3_14_BYTES,
    ];

    const fn python(name: &'static str, size: usize, text: Option<usize>) -> Self {
        let (spill, failed, close) = (Spill::Whole(size + 1), Failed::Stay, Close::Tells);
        Self { name, size, text, spill, failed, close }
    }

    /// The profile of a name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|profile| profile.name == name)
    }
}

impl Default for Profile {
    fn default() -> Self {
        Self::RUST
    }
}

/// The buffer of one open file.
#[derive(Clone, Debug, Default)]
pub(crate) struct UserBuffer {
    profile: Profile,
    /// Text that waits in front of the buffer.
    text: Vec<u8>,
    held: Vec<u8>,
    /// What is left to be done of the operation that was begun.
    todo: VecDeque<Step>,
    /// Whether the buffer was written to since it was made or sought: until then glibc takes
    /// nothing into it that could go past it.
    is_warm: bool,
}

#[derive(Clone, Debug)]
enum Step {
    /// Write what is held.
    Spill,
    /// Write these, which were never held.
    Past(Vec<u8>),
    /// Take these in.
    Hold(Vec<u8>),
    /// Take these in as text.
    Text(Vec<u8>),
}

impl UserBuffer {
    pub(crate) fn new(profile: Profile) -> Self {
        Self { profile, ..Self::default() }
    }

    pub(crate) fn profile(&self) -> Profile {
        self.profile
    }

    /// What it holds, in the order in which it would be written.
    pub(crate) fn held(&self) -> Vec<u8> {
        [self.held.as_slice(), self.text.as_slice()].concat()
    }

    /// Begins to take bytes.
    pub(crate) fn write(&mut self, new: &[u8]) {
        let Some(chunk) = self.profile.text else {
            self.plan(new.to_vec(), self.held.len());
            return;
        };
        let mut waiting = std::mem::take(&mut self.text);
        let mut held = self.held.len();
        // What waits is never joined to more than a chunk.
        if waiting.len() + new.len() > chunk {
            held = self.plan(std::mem::take(&mut waiting), held);
        }
        waiting.extend_from_slice(new);
        if waiting.len() >= chunk {
            self.plan(waiting, held);
        } else {
            self.todo.push_back(Step::Text(waiting));
        }
    }

    /// Begins to write all that it holds; a `close` does the same.
    pub(crate) fn flush(&mut self) {
        let waiting = std::mem::take(&mut self.text);
        self.plan(waiting, self.held.len());
        self.todo.push_back(Step::Spill);
    }

    /// The file was sought, after a flush.
    pub(crate) fn sought(&mut self) {
        self.is_warm = false;
    }

    /// Plans how bytes go into the buffer when it holds so many; gives how many it holds then.
    fn plan(&mut self, new: Vec<u8>, held: usize) -> usize {
        let size = self.profile.size;
        if new.is_empty() {
            return held;
        }
        match self.profile.spill {
            Spill::Whole(past) => {
                let fits = new.len() <= size.saturating_sub(held);
                if !fits {
                    self.todo.push_back(Step::Spill);
                }
                let held = if fits { held } else { 0 };
                if new.len() >= past {
                    self.todo.push_back(Step::Past(new));
                    return held;
                }
                let held = held + new.len();
                self.todo.push_back(Step::Hold(new));
                held
            }
            Spill::Full => {
                let room = if self.is_warm { size.saturating_sub(held) } else { 0 };
                self.is_warm = true;
                let (fill, rest) = new.split_at(room.min(new.len()));
                self.todo.push_back(Step::Hold(fill.to_vec()));
                if rest.is_empty() {
                    return held + fill.len();
                }
                let (past, rest) = rest.split_at(rest.len() - rest.len() % size);
                let steps = [Step::Spill, Step::Past(past.to_vec()), Step::Hold(rest.to_vec())];
                self.todo.extend(steps);
                rest.len()
            }
        }
    }

    /// What the next `write(2)` of the operation is given; `None` when the operation is done.
    pub(crate) fn next(&mut self) -> Option<&[u8]> {
        loop {
            match self.todo.front()? {
                Step::Spill if self.held.is_empty() => {}
                Step::Past(bytes) if bytes.is_empty() => {}
                Step::Spill => return Some(&self.held),
                Step::Past(_) => break,
                Step::Hold(_) | Step::Text(_) => {}
            }
            match self.todo.pop_front()? {
                Step::Hold(bytes) => self.held.extend(bytes),
                Step::Text(bytes) => self.text = bytes,
                Step::Spill | Step::Past(_) => {}
            }
        }
        match self.todo.front() {
            Some(Step::Past(bytes)) => Some(bytes),
            _ => None,
        }
    }

    /// That `write(2)` has taken so many bytes.
    pub(crate) fn wrote(&mut self, taken: usize) {
        let Self { todo, held, profile, .. } = self;
        let (bytes, is_new) = match todo.front_mut() {
            Some(Step::Spill) => (held, false),
            Some(Step::Past(bytes)) => (bytes, true),
            Some(Step::Hold(_) | Step::Text(_)) | None => return,
        };
        bytes.drain(..taken.min(bytes.len()));
        // CPython takes in what a short write has left, once it fits.
        let joins = matches!(profile.spill, Spill::Whole(past) if past > profile.size);
        if is_new && joins && bytes.len() <= profile.size {
            let rest = std::mem::take(bytes);
            todo.push_front(Step::Hold(rest));
        }
        if taken == 0 {
            self.failed();
        }
    }

    /// That `write(2)` has failed: the operation is over.
    pub(crate) fn failed(&mut self) {
        let was_held = matches!(self.todo.front(), Some(Step::Spill));
        if was_held && self.profile.failed == Failed::Gone {
            self.held.clear();
        }
        self.todo.clear();
    }

    /// Carries out the operation that was begun, with a sink that answers at once.
    pub(super) fn spill<E>(
        &mut self,
        sink: &mut dyn FnMut(&[u8]) -> Result<usize, E>,
    ) -> Result<(), E> {
        while let Some(bytes) = self.next() {
            match sink(bytes) {
                Ok(taken) => self.wrote(taken),
                Err(error) => {
                    self.failed();
                    return Err(error);
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
