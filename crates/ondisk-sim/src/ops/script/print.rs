//! A script as text again, one step a line.
//!
//! Invariant: the text of a script that was parsed parses to that script, places aside.

use std::fmt;

use super::lex::is_bare;
use super::outcome::shortly;
use super::{
    Act, Answer, Call, Death, Expected, Failing, Failure, Note, OpenAccess, OpenFlag, OpenHow,
    Piece, RelPath, Script, Setup, Step, TaskName, Value,
};

impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.durable.is_empty() {
            f.write_str("durable { ")?;
            for (n, setup) in self.durable.iter().enumerate() {
                f.write_str(if n == 0 { "" } else { "; " })?;
                match setup {
                    Setup::File { path, value } => write!(f, "{path} = {value}")?,
                    Setup::Call(call) => write!(f, "{call}")?,
                }
            }
            f.write_str(" }\n")?;
        }
        steps(f, &self.steps, 0, &TaskName::default())
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        step(f, self, 0, &TaskName::default())
    }
}

fn steps(f: &mut fmt::Formatter<'_>, all: &[Step], depth: usize, of: &TaskName) -> fmt::Result {
    for one in all {
        write!(f, "{:indent$}", "", indent = depth * 4)?;
        step(f, one, depth, of)?;
        f.write_str("\n")?;
    }
    Ok(())
}

/// One step in a block of task `of`; a block's own task is said once, on the line that opens it.
fn step(f: &mut fmt::Formatter<'_>, one: &Step, depth: usize, of: &TaskName) -> fmt::Result {
    if one.task != *of {
        write!(f, "@{} ", one.task.as_str())?;
    }
    match &one.act {
        Act::Call(call) => write!(f, "{call}"),
        Act::Ack { text, files } => {
            f.write_str("ack ")?;
            string(f, text)?;
            files.iter().try_for_each(|file| write!(f, " {file}"))
        }
        Act::Wait(time) => {
            let ns = time.as_nanos();
            let (unit, name) = [(1_000_000_000, "s"), (1_000_000, "ms"), (1000, "us")]
                .into_iter()
                .find(|(unit, _)| ns.is_multiple_of(*unit))
                .unwrap_or((1, "ns"));
            write!(f, "wait {}{name}", ns / unit)
        }
        Act::Fail { call, path, errno } => {
            write!(f, "fail {} {path} {}", call.word(), errno.word())
        }
        Act::Die(death) => f.write_str(death.word()),
        Act::Repeat { times, steps: inner } => {
            writeln!(f, "repeat {times} {{")?;
            steps(f, inner, depth + 1, &one.task)?;
            write!(f, "{:indent$}}}", "", indent = depth * 4)
        }
        Act::Expect { path, may_be } => {
            write!(f, "expect {path} =")?;
            for (n, one) in may_be.iter().enumerate() {
                write!(f, "{} {one}", if n == 0 { "" } else { " |" })?;
            }
            Ok(())
        }
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())?;
        match self {
            Self::Open { path, how } => write!(f, " {path}{how}"),
            Self::Write { path, value, at: None } => write!(f, " {path} {value}"),
            Self::Write { path, value, at: Some(at) } | Self::Pwrite { path, value, at } => {
                write!(f, " {path} {value} @{}", Size(*at))
            }
            Self::Flush(path)
            | Self::Close(path)
            | Self::Read(path)
            | Self::Remove(path)
            | Self::Mkdir(path)
            | Self::Rmdir(path)
            | Self::Fsync(path)
            | Self::Fdatasync(path)
            | Self::FsyncDir(path) => write!(f, " {path}"),
            Self::SetLen(path, n) | Self::Allocate(path, n) => write!(f, " {path} {}", Size(*n)),
            Self::Link(a, b) | Self::Symlink(a, b) | Self::Rename(a, b) | Self::Exchange(a, b) => {
                write!(f, " {a} {b}")
            }
            Self::Chmod(path, mode) => write!(f, " {path} {mode:04o}"),
            Self::Sync => Ok(()),
        }
    }
}

impl Call {
    /// The word that the call's step begins with.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Open { .. } => "open",
            Self::Write { .. } => "write",
            Self::Pwrite { .. } => "pwrite",
            Self::Flush(_) => "flush",
            Self::Close(_) => "close",
            Self::Read(_) => "read",
            Self::SetLen(..) => "setlen",
            Self::Allocate(..) => "allocate",
            Self::Remove(_) => "remove",
            Self::Link(..) => "link",
            Self::Symlink(..) => "symlink",
            Self::Rename(..) => "rename",
            Self::Exchange(..) => "exchange",
            Self::Mkdir(_) => "mkdir",
            Self::Rmdir(_) => "rmdir",
            Self::Chmod(..) => "chmod",
            Self::Fsync(_) => "fsync",
            Self::Fdatasync(_) => "fdatasync",
            Self::FsyncDir(_) => "fsyncdir",
            Self::Sync => "sync",
        }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}: ", self.place.line, self.call)?;
        match &self.answer {
            Answer::Failed(errno) => write!(f, "{errno}")?,
            Answer::Read(bytes) => f.write_str(&shortly(bytes))?,
        }
        if self.times > 1 { write!(f, " ({} times)", self.times) } else { Ok(()) }
    }
}

impl fmt::Display for OpenHow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.access {
            OpenAccess::ReadWrite => "",
            OpenAccess::Read => " read",
            OpenAccess::Write => " write",
        })?;
        self.flags.iter().try_for_each(|flag| write!(f, " {}", flag.word()))
    }
}

impl OpenFlag {
    /// All flags.
    pub const ALL: [Self; 6] =
        [Self::Create, Self::Excl, Self::Trunc, Self::Append, Self::Dsync, Self::Sync];

    /// The flag as a script says it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Excl => "excl",
            Self::Trunc => "trunc",
            Self::Append => "append",
            Self::Dsync => "dsync",
            Self::Sync => "sync",
        }
    }
}

impl Failing {
    /// The call as a script says it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Write => "write",
            Self::Fsync => "fsync",
            Self::Fdatasync => "fdatasync",
        }
    }
}

impl Failure {
    /// The error as a script says it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Eio => "EIO",
            Self::Enospc => "ENOSPC",
        }
    }
}

impl Death {
    /// The death as a script says it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Crash => "crash",
            Self::Cut => "cut",
        }
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Is(value) => write!(f, "{value}"),
            Self::Absent => f.write_str("absent"),
            Self::Partial => f.write_str("partial"),
            Self::Junk => f.write_str("junk"),
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, piece) in self.0.iter().enumerate() {
            f.write_str(if n == 0 { "" } else { " + " })?;
            match piece {
                Piece::Zeros(n) => write!(f, "zeros {}", Size(*n))?,
                Piece::Text { unit, times } => {
                    string(f, unit)?;
                    if *times != 1 {
                        write!(f, "*{}", Size(*times))?;
                    }
                }
            }
        }
        Ok(())
    }
}

impl fmt::Display for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match std::str::from_utf8(self.as_bytes()) {
            Ok(plain) if plain.chars().all(is_bare) => f.write_str(plain),
            _ => string(f, self.as_bytes()),
        }
    }
}

/// A number as it is read best: `4096`, `64Ki`, `1Mi`.
struct Size(u64);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            n if n > 0 && n.is_multiple_of(1 << 20) => write!(f, "{}Mi", n >> 20),
            n if n >= 16 << 10 && n.is_multiple_of(1 << 10) => write!(f, "{}Ki", n >> 10),
            n => write!(f, "{n}"),
        }
    }
}

fn string(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    f.write_str("\"")?;
    for &byte in bytes {
        match byte {
            b'\n' => f.write_str("\\n")?,
            b'\r' => f.write_str("\\r")?,
            b'\t' => f.write_str("\\t")?,
            0 => f.write_str("\\0")?,
            b'"' => f.write_str("\\\"")?,
            b'\\' => f.write_str("\\\\")?,
            b' '..=b'~' => write!(f, "{}", char::from(byte))?,
            _ => write!(f, "\\x{byte:02x}")?,
        }
    }
    f.write_str("\"")
}
