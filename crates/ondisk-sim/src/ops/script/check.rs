//! What is asked of a script before it runs at the operations level.
//!
//! Invariant: a script that passes names its files in UTF-8 and ends within the limits of a run.

use std::collections::BTreeSet;

use super::error::{RunError, Stage};
use super::{Act, Call, RelPath, Run, Script, Setup, Step};

/// Checks a script; gives the files that it names, each once, in its order.
///
/// # Errors
/// The first thing that stands against a run.
pub(crate) fn check(script: &Script) -> Result<Vec<RelPath>, RunError> {
    let (steps, bytes) = (script.run_len(), script.run_bytes());
    if steps > Run::STEP_LIMIT {
        return Err(RunError::Steps { steps });
    }
    if bytes > Run::BYTE_LIMIT {
        return Err(RunError::Bytes { bytes });
    }
    let mut files = Files { all: Vec::new(), known: BTreeSet::new() };
    for setup in &script.durable {
        match setup {
            Setup::File { path, .. } => files.file(Stage::Durable, path)?,
            Setup::Call(call) => files.call(Stage::Durable, call)?,
        }
    }
    files.steps(&script.steps)?;
    Ok(files.all)
}

struct Files {
    /// In the order of the script.
    all: Vec<RelPath>,
    known: BTreeSet<RelPath>,
}

impl Files {
    fn steps(&mut self, steps: &[Step]) -> Result<(), RunError> {
        for step in steps {
            let at = Stage::Step(step.place);
            match &step.act {
                Act::Call(call) => self.call(at, call)?,
                Act::Repeat { steps, .. } => self.steps(steps)?,
                Act::Ack { files, .. } => {
                    files.iter().try_for_each(|path| self.file(at, path))?;
                }
                Act::Fail { path, .. } | Act::Expect { path, .. } => self.file(at, path)?,
                Act::Wait(_) | Act::Die(_) => {}
            }
        }
        Ok(())
    }

    fn call(&mut self, at: Stage, call: &Call) -> Result<(), RunError> {
        match call {
            Call::Symlink(target, path) => {
                utf8(at, target)?;
                self.file(at, path)
            }
            Call::Open { path, .. }
            | Call::Write { path, .. }
            | Call::Pwrite { path, .. }
            | Call::Flush(path)
            | Call::Close(path)
            | Call::Read(path)
            | Call::SetLen(path, _)
            | Call::Allocate(path, _)
            | Call::Remove(path)
            | Call::Fsync(path)
            | Call::Fdatasync(path) => self.file(at, path),
            Call::Link(from, to) | Call::Rename(from, to) | Call::Exchange(from, to) => {
                self.file(at, from)?;
                self.file(at, to)
            }
            Call::Mkdir(path) | Call::Rmdir(path) | Call::FsyncDir(path) | Call::Chmod(path, _) => {
                utf8(at, path)
            }
            Call::Sync => Ok(()),
        }
    }

    fn file(&mut self, at: Stage, path: &RelPath) -> Result<(), RunError> {
        utf8(at, path)?;
        if self.known.insert(path.clone()) {
            self.all.push(path.clone());
        }
        if self.all.len() > Run::FILE_LIMIT {
            return Err(RunError::Files { at });
        }
        Ok(())
    }
}

fn utf8(at: Stage, path: &RelPath) -> Result<(), RunError> {
    if path.is_utf8() {
        return Ok(());
    }
    Err(RunError::Name { at, path: path.clone() })
}
