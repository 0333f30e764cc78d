//! Scripts: a story of calls, a death, and what may be there afterwards, in a few lines of text.
//!
//! ```text
//! durable { config = "v1" }
//! open config.new create; write config.new "v2"; flush config.new
//! rename config.new config        # no sync before the rename: the classic
//! cut
//! ```
//!
//! | | |
//! |---|---|
//! | line | `[@T] word args`, several with `;`. `@T` names the task and holds to the end of its line; a line without one is task `A`'s, in a block the task's that the block stands in. `#` starts a comment |
//! | value | `"ab"`, `"ab"*n`, `zeros n`, and pieces joined by `+`; `n` is `4096`, `64Ki`, `1Mi`. In a string `\n \r \t \0 \" \\ \xNN` |
//! | name | a relative path of bytes, in quotes where it has other characters than letters, digits and `. _ - / ~ , : %` |
//! | first | `durable { f = value; mkdir d; … }`: what the disk holds before the story begins; `f = value` makes a file with that content |
//! | files | `open f [read\|write] [create\|excl\|trunc\|append\|dsync\|sync]*` · `write f value [@off]` (buffered) · `pwrite f value @off` (straight) · `flush f` · `close f` · `read f` · `setlen f n` · `allocate f n` · `remove f` · `link a b` · `symlink a b` · `rename a b` · `exchange a b` · `mkdir d` · `rmdir d` · `chmod f 0644` |
//! | syncs | `fsync f` · `fdatasync f` · `fsyncdir d` (`.` is the root) · `sync` |
//! | world | `ack "x" [f…]` · `wait 6s` · `fail write\|fsync\|fdatasync f EIO\|ENOSPC` (the next one) · `kill` · `crash` · `cut` · `repeat n { … }` |
//! | expect | `expect f = "" \| absent \| "ab"`; also `partial` and `junk`, for contents that no call left |
//!
//! [`Script::parse`] reads that, and a script prints itself so that it parses to itself again. The
//! text is taken from anybody: its length, nesting, names, strings and sizes have stated limits
//! ([`Script::TEXT_LIMIT`] and its neighbours), and what is wrong is told at its line and column.
//!
//! Invariant: a `Script` says what is called, never what happens.

mod check;
mod contents;
mod descriptions;
mod errno;
mod error;
mod kernel;
mod lex;
mod outcome;
mod parse;
mod print;
mod run;
mod shrink;
mod sweep;
pub(crate) mod user_buffer;
mod value;

use std::time::Duration;

#[cfg(feature = "machine")]
pub(crate) use check::check as check_run;
pub use errno::Errno;
pub use error::{ParseError, Problem, RunError, Stage};
pub use outcome::{FileOutcome, MayBe, Outcome, Unmet};
pub use run::{Answer, Drive, Expectation, Note, Run};
#[cfg(feature = "machine")]
pub(crate) use user_buffer::UserBuffer;
pub use user_buffer::{Close, Failed, Profile, Spill};
pub use value::{BadPath, Piece, RelPath, Value};

/// A script: what is there at first, and the steps of the story.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Script {
    /// What the disk holds, durably, when the first step is done.
    pub durable: Vec<Setup>,
    /// The story.
    pub steps: Vec<Step>,
}

impl Script {
    /// The longest text of a script, in bytes.
    pub const TEXT_LIMIT: usize = 256 << 10;
    /// How deep blocks may stand in blocks.
    pub const DEPTH_LIMIT: usize = 8;
    /// How often a `repeat` may run its block.
    pub const REPEAT_LIMIT: u32 = 1_000_000;
    /// The largest offset and length of a file, in bytes.
    pub const SIZE_LIMIT: u64 = 1 << 30;
    /// The longest value, in bytes.
    pub const VALUE_LIMIT: u64 = 64 << 20;
    /// The longest `wait`.
    pub const WAIT_LIMIT: Duration = Duration::from_secs(24 * 60 * 60);

    /// Reads a script.
    ///
    /// # Errors
    /// The first thing that is no script, and where it stands.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        parse::script(text)
    }

    /// How many steps a run of this script takes, each `repeat` unrolled.
    #[must_use]
    pub fn run_len(&self) -> u64 {
        sum(&self.steps, &|step| if matches!(step.act, Act::Repeat { .. }) { 0 } else { 1 })
    }

    /// How many bytes a run of this script writes and says, each `repeat` unrolled.
    #[must_use]
    pub fn run_bytes(&self) -> u64 {
        sum(&self.steps, &|step| match &step.act {
            Act::Call(Call::Write { value, .. } | Call::Pwrite { value, .. }) => value.len(),
            Act::Ack { text, .. } => text.len() as u64,
            _ => 0,
        })
    }
}

fn sum(steps: &[Step], of: &dyn Fn(&Step) -> u64) -> u64 {
    steps.iter().fold(0, |total, step| {
        let inner = match &step.act {
            Act::Repeat { times, steps } => u64::from(*times).saturating_mul(sum(steps, of)),
            _ => 0,
        };
        total.saturating_add(of(step)).saturating_add(inner)
    })
}

/// Where in its text something stands. Lines and columns count from 1, columns in characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The line.
    pub line: u32,
    /// The character on it.
    pub column: u32,
}

/// One line of `durable { … }`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Setup {
    /// `f = value`: a file with this content.
    File {
        /// Its path.
        path: RelPath,
        /// Its content.
        value: Value,
    },
    /// A call that needs no open file of the task, `mkdir d` say.
    Call(Call),
}

/// One step: who does what, and where the text says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Where the step's first word stands.
    pub place: Place,
    /// Who does it; for a `repeat` without meaning, since its steps say it themselves.
    pub task: TaskName,
    /// What is done.
    pub act: Act,
}

/// The name of a task, `A` unless the script says otherwise.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TaskName(String);

impl TaskName {
    /// The longest name of a task, in bytes.
    pub const LIMIT: usize = 32;

    /// A task's name: letters, digits and `_`, at most [`LIMIT`](Self::LIMIT) of them, at least
    /// one; `None` when it is something else.
    #[must_use]
    pub fn new(name: &str) -> Option<Self> {
        let fits = (1..=Self::LIMIT).contains(&name.len());
        let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        (fits && plain).then(|| Self(name.to_owned()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for TaskName {
    fn default() -> Self {
        Self("A".to_owned())
    }
}

/// What a step does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// A call of the program.
    Call(Call),
    /// `ack "x" [f…]`: the program tells the world; it speaks for the files named, else for every
    /// write before it in its task.
    Ack {
        /// What it says.
        text: Vec<u8>,
        /// For which files; none means all.
        files: Vec<RelPath>,
    },
    /// `wait 6s`: time passes.
    Wait(Duration),
    /// `fail fsync f EIO`: the next such call on this file fails.
    Fail {
        /// Which call.
        call: Failing,
        /// On which file.
        path: RelPath,
        /// With which error.
        errno: Failure,
    },
    /// `kill`, `crash` or `cut`.
    Die(Death),
    /// `repeat n { … }`.
    Repeat {
        /// How often.
        times: u32,
        /// What.
        steps: Vec<Step>,
    },
    /// `expect f = value | absent | …`.
    Expect {
        /// Which file.
        path: RelPath,
        /// What it may be: exactly these.
        may_be: Vec<Expected>,
    },
}

/// A call of the program. The files that it names are open descriptions of its task where the
/// grammar calls them so (`write`, `fsync`, …), else paths (`rename`, `remove`, …).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// `open f …`.
    Open {
        /// Which file.
        path: RelPath,
        /// For what, and how.
        how: OpenHow,
    },
    /// `write f value [@off]`: into the user buffer, at the file's offset or after a seek.
    Write {
        /// Which file.
        path: RelPath,
        /// The bytes.
        value: Value,
        /// Where to seek first.
        at: Option<u64>,
    },
    /// `pwrite f value @off`: past the buffer, into the page cache.
    Pwrite {
        /// Which file.
        path: RelPath,
        /// The bytes.
        value: Value,
        /// Where.
        at: u64,
    },
    /// `flush f`: the user buffer into the page cache.
    Flush(RelPath),
    /// `close f`.
    Close(RelPath),
    /// `read f`: all of it, from the page cache.
    Read(RelPath),
    /// `setlen f n`.
    SetLen(RelPath, u64),
    /// `allocate f n`.
    Allocate(RelPath, u64),
    /// `remove f`.
    Remove(RelPath),
    /// `link a b`: `b` becomes one more name of `a`.
    Link(RelPath, RelPath),
    /// `symlink a b`: `b` becomes a symbolic link that says `a`.
    Symlink(RelPath, RelPath),
    /// `rename a b`.
    Rename(RelPath, RelPath),
    /// `exchange a b`.
    Exchange(RelPath, RelPath),
    /// `mkdir d`.
    Mkdir(RelPath),
    /// `rmdir d`.
    Rmdir(RelPath),
    /// `chmod f 0644`.
    Chmod(RelPath, u16),
    /// `fsync f`.
    Fsync(RelPath),
    /// `fdatasync f`.
    Fdatasync(RelPath),
    /// `fsyncdir d`.
    FsyncDir(RelPath),
    /// `sync`.
    Sync,
}

/// How a file is opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpenHow {
    /// For what.
    pub access: OpenAccess,
    /// How else, each once, in the order of the script.
    pub flags: Vec<OpenFlag>,
}

impl OpenHow {
    /// Whether a flag is given.
    #[must_use]
    pub fn has(&self, flag: OpenFlag) -> bool {
        self.flags.contains(&flag)
    }
}

/// What a file is opened for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OpenAccess {
    /// Without a word.
    #[default]
    ReadWrite,
    /// `read`.
    Read,
    /// `write`.
    Write,
}

/// A flag of `open`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenFlag {
    /// `create`: made where it is missing.
    Create,
    /// `excl`: with `create`, refused where something stands.
    Excl,
    /// `trunc`: cut to nothing.
    Trunc,
    /// `append`: each write goes to the end.
    Append,
    /// `dsync`: each write is durable when it returns, its own range alone.
    Dsync,
    /// `sync`: as `dsync`, with all of the metadata.
    Sync,
}

/// The call that a `fail` makes fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Failing {
    /// The next `write(2)`, whoever causes it: `pwrite`, `flush`, a `write` that spills.
    Write,
    /// The next `fsync`.
    Fsync,
    /// The next `fdatasync`.
    Fdatasync,
}

/// The error that a `fail` gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// `EIO`.
    Eio,
    /// `ENOSPC`.
    Enospc,
}

/// A way to die, and what it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Death {
    /// The process: user buffers are lost.
    Kill,
    /// The kernel: the page cache too.
    Crash,
    /// The power: the drive's cache too.
    Cut,
}

/// What a file may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// There, with this content.
    Is(Value),
    /// Not there.
    Absent,
    /// A content that no call ever left, made of what calls wrote and of zeros.
    Partial,
    /// Bytes that nobody wrote.
    Junk,
}

#[cfg(test)]
mod tests;
