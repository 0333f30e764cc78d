//! Act 1, *the lie*: the program that everybody copies, on the simulated disk.
//!
//! Invariant: what is said to be there was found there: by opening the file in every state that
//! the death may leave, under the model of POSIX and under that of ext4.

use std::collections::BTreeSet;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::Arc;

use ondisk_fs::{File, FileSystem as _};
use ondisk_sim::model::{EXT4, POSIX};
use ondisk_sim::{Budget, Crash, MemFs, Model, Tally};
use serde::Serialize;

use crate::exit::Failure;

#[cfg(test)]
mod tests;

/// What a reader finds where the record should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum There {
    /// No file.
    Gone,
    /// A file without a byte.
    Empty,
    /// A file as long as the record, and zeros in it.
    Zeros,
    /// A file with what nobody wrote to it.
    Junk,
    /// The record.
    Whole,
}

impl There {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Gone => "gone",
            Self::Empty => "empty",
            Self::Zeros => "zeros",
            Self::Junk => "junk",
            Self::Whole => "whole",
        }
    }
}

/// One thing that may be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct Outcome {
    pub(crate) there: There,
    /// Whether ext4, as it is by default, leaves it too, and not POSIX alone.
    pub(crate) ext4: bool,
}

/// One variant of the program, and what each death may leave of its record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Lie {
    /// The last thing that it does before it prints "recorded".
    pub(crate) program: &'static str,
    /// The process dies.
    pub(crate) kill: Vec<Outcome>,
    /// The kernel dies.
    pub(crate) crash: Vec<Outcome>,
    /// The power goes.
    pub(crate) cut: Vec<Outcome>,
}

/// How far the program goes before it says that it has recorded. Each does what those before do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Until {
    Write,
    Flush,
    Close,
    Fsync,
    FsyncDir,
}

/// What the drive does when it is told to empty its cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Drive {
    Honest,
    /// Says `Ok` and goes on.
    Lies,
}

const RECORD: &[u8] = b"paid 100 to Ada\n";
const FILE: &str = "ledger";

/// The act: each variant, killed, crashed and cut.
pub(crate) fn tell() -> Result<Vec<Lie>, Failure> {
    let variants = [
        ("write", Until::Write, Drive::Honest),
        ("+ flush", Until::Flush, Drive::Honest),
        ("+ close", Until::Close, Drive::Honest),
        ("+ fsync", Until::Fsync, Drive::Honest),
        ("+ fsync dir", Until::FsyncDir, Drive::Honest),
        ("  drive lies", Until::FsyncDir, Drive::Lies),
    ];
    let told = variants.map(|(name, until, drive)| lie(name, until, drive));
    told.into_iter().collect::<Result<_, _>>().map_err(Failure::Simulated)
}

fn lie(program: &'static str, until: Until, drive: Drive) -> io::Result<Lie> {
    let fs = run(until, drive)?;
    let there = look(&fs);
    // The kernel takes what it has not given to the drive; what the drive has in its cache it
    // keeps, as long as it has power. So to a crash, every drive is an honest one.
    let honest = run(until, Drive::Honest)?;
    Ok(Lie {
        program,
        kill: vec![Outcome { there, ext4: true }],
        crash: outcomes(&honest)?,
        cut: outcomes(&fs)?,
    })
}

/// The program. What it leaves in its buffer when it dies is in nobody's hands.
fn run(until: Until, drive: Drive) -> io::Result<MemFs> {
    let fs = MemFs::new();
    fs.set_lies(drive == Drive::Lies);
    let file = fs.create_new(Path::new(FILE))?;
    let mut out = BufWriter::new(Appending { file: Arc::clone(&file), at: 0 });
    out.write_all(RECORD)?;
    if until >= Until::Flush {
        out.flush()?;
    }
    if until >= Until::Fsync {
        file.sync_all()?;
    }
    if until >= Until::Close {
        drop((out, file));
    } else {
        // Dead before its buffer is dropped, which would flush it.
        drop(out.into_parts());
    }
    if until >= Until::FsyncDir {
        fs.sync_dir(Path::new("."))?;
    }
    Ok(fs)
}

/// A file that is written from its beginning on.
struct Appending {
    file: Arc<dyn File>,
    at: u64,
}

impl Write for Appending {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write_at(bytes, self.at)?;
        self.at += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What a power cut may leave: all of POSIX, and which of it ext4 does.
fn outcomes(fs: &MemFs) -> io::Result<Vec<Outcome>> {
    let (posix, ext4) = (may_be(&POSIX, fs)?, may_be(&EXT4, fs)?);
    let all = posix.union(&ext4);
    Ok(all.map(|&there| Outcome { there, ext4: ext4.contains(&there) }).collect())
}

/// What may be there under a model: every state is looked at.
fn may_be(model: &Model, fs: &MemFs) -> io::Result<BTreeSet<There>> {
    let history = fs.history();
    let end = history.end;
    let crash = Crash::new(model, history);
    let mut found = BTreeSet::new();
    let report = crash.at(end).explore(Budget::default(), &Tally::new(), &mut |state| {
        found.insert(look(state));
        Ok(())
    });
    if report.is_exhausted() {
        return Ok(found);
    }
    Err(io::Error::other(format!("not every state was looked at: {report}")))
}

fn look(fs: &MemFs) -> There {
    match fs.read(FILE) {
        Err(_) => There::Gone,
        Ok(bytes) if bytes.is_empty() => There::Empty,
        Ok(bytes) if bytes == RECORD => There::Whole,
        Ok(bytes) if bytes.iter().all(|&byte| byte == 0) => There::Zeros,
        Ok(_) => There::Junk,
    }
}
