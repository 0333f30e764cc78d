//! A script carried out at the operations level: user buffers above a live file system.
//!
//! Invariant: a call that fails is noted and the story goes on; the runner itself fails only on
//! what it cannot tell truly, and says at which step. After a `crash` or a `cut` nothing is called.
//!
//! Knows nothing of models: what a death leaves is asked of the [`Run`].

use std::path::PathBuf;
use std::sync::Arc;

use ondisk_fs::FileSystem;

use super::check::check;
use super::descriptions::{Caller, Descriptions};
use super::error::{RunError, Stage};
use super::kernel::{Kernel, Refused};
use super::{
    Act, Call, Death, Errno, Expected, OpenFlag, Place, Profile, RelPath, Script, Setup, Step,
    TaskName,
};
use crate::ops::history::{History, SyncKind};
use crate::ops::verdict::{Claim, Ledger, TooMuch};

/// What the drive does with a FLUSH.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Drive {
    /// It obeys.
    #[default]
    Honest,
    /// It says so and does nothing: a `cut` takes what was synced too, a `crash` does not.
    Lies,
}

/// Something that the program was told, and that a reader of the story wants to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Where the call stands.
    pub place: Place,
    /// The call.
    pub call: Call,
    /// What it answered.
    pub answer: Answer,
    /// How often: a step of a `repeat` that answers the same again makes no note of its own.
    pub times: u64,
}

/// What a call answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It failed.
    Failed(Errno),
    /// It read these bytes.
    Read(Arc<[u8]>),
}

/// What an `expect` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expectation {
    /// Where it stands.
    pub place: Place,
    /// The file.
    pub path: RelPath,
    /// What it may be: exactly these.
    pub may_be: Vec<Expected>,
}

/// A script carried out: what was called, what was told, and how it ended.
#[derive(Debug)]
pub struct Run {
    pub(super) kernel: Kernel,
    /// The files that the script names, in the order in which it does.
    pub(super) files: Vec<RelPath>,
    /// What is expected of the end.
    pub(super) expected: Vec<Expectation>,
    claims: Vec<Claim>,
    /// Where in the script each of them stands.
    said_at: Vec<Place>,
    death: Option<Death>,
    notes: Vec<Note>,
    unnoted: u64,
}

impl Run {
    /// The most steps that a run takes.
    pub const STEP_LIMIT: u64 = 100_000;
    /// The most bytes that a run writes and says.
    pub const BYTE_LIMIT: u64 = 256 << 20;
    /// The most files that a script that is run names.
    pub const FILE_LIMIT: usize = 256;
    /// The most notes that a run takes.
    pub const NOTE_LIMIT: usize = 1000;

    /// Calls that failed and what reads answered, in order: at most
    /// [`NOTE_LIMIT`](Self::NOTE_LIMIT) of them.
    #[must_use]
    pub fn notes(&self) -> &[Note] {
        &self.notes
    }

    /// How many more there were.
    #[must_use]
    pub fn unnoted(&self) -> u64 {
        self.unnoted
    }

    fn note(&mut self, place: Place, call: &Call, answer: Answer) {
        let mut notes = self.notes.iter_mut();
        if let Some(same) = notes.find(|note| note.place == place && note.answer == answer) {
            same.times += 1;
        } else if self.notes.len() < Self::NOTE_LIMIT {
            self.notes.push(Note { place, call: call.clone(), answer, times: 1 });
        } else {
            self.unnoted += 1;
        }
    }

    /// Who died last, after which nothing was called; `None` when all live.
    #[must_use]
    pub fn death(&self) -> Option<Death> {
        self.death
    }

    /// The files that the script names, in the order in which it does.
    #[must_use]
    pub fn files(&self) -> &[RelPath] {
        &self.files
    }

    /// What was acknowledged, each with the files that it speaks for.
    #[must_use]
    pub fn claims(&self) -> &[Claim] {
        &self.claims
    }

    /// Where each of these stands in the script.
    #[must_use]
    pub fn said_at(&self) -> &[Place] {
        &self.said_at
    }

    /// All files as the page cache shows them.
    #[cfg(feature = "machine")]
    pub(crate) fn shown(&self) -> crate::ops::image::Image {
        self.kernel.fs.image()
    }

    /// All that was called since `durable`.
    #[must_use]
    pub fn history(&self) -> History {
        self.kernel.fs.history()
    }
}

impl Script {
    /// Carries the script out on a [`MemFs`](crate::MemFs), as a program in Rust would.
    ///
    /// # Errors
    /// What the operations level cannot tell. Never a call's own failure: that is a [`Note`].
    pub fn run(&self, drive: Drive) -> Result<Run, RunError> {
        self.run_as(drive, Profile::default())
    }

    /// The same by a program whose library buffers in its own way.
    ///
    /// # Errors
    /// As of [`run`](Self::run).
    pub fn run_as(&self, drive: Drive, profile: Profile) -> Result<Run, RunError> {
        let run = Run {
            files: check(self)?,
            kernel: Kernel::new(),
            expected: Vec::new(),
            claims: Vec::new(),
            said_at: Vec::new(),
            death: None,
            notes: Vec::new(),
            unnoted: 0,
        };
        let (open, ledger) = (Descriptions::new(profile), Ledger::new());
        let mut runner = Runner { run, open, ledger };
        self.durable.iter().try_for_each(|setup| runner.set_up(setup))?;
        (runner.open, runner.ledger) = (Descriptions::new(profile), Ledger::new());
        runner.run.kernel.settle();
        // A crash of the kernel leaves to the drive what it took, whether it lies or not.
        let cut = matches!(last_act(&self.steps), Some(Act::Die(Death::Cut)));
        runner.run.kernel.fs.set_lies(cut && drive == Drive::Lies);
        runner.steps(&self.steps)?;
        Ok(runner.run)
    }
}

impl Call {
    /// The file that a call opens or changes by its description.
    fn file(&self) -> Option<&RelPath> {
        match self {
            Self::Open { path, .. }
            | Self::Write { path, .. }
            | Self::Pwrite { path, .. }
            | Self::SetLen(path, _)
            | Self::Allocate(path, _) => Some(path),
            _ => None,
        }
    }
}

/// The last act that is no `expect`.
fn last_act(steps: &[Step]) -> Option<&Act> {
    steps.iter().map(|step| &step.act).rfind(|act| !matches!(act, Act::Expect { .. }))
}

struct Runner {
    run: Run,
    open: Descriptions,
    ledger: Ledger,
}

impl Runner {
    fn set_up(&mut self, setup: &Setup) -> Result<(), RunError> {
        let (setup, done) = match setup {
            Setup::File { path, value } => {
                (format!("{path} = {value}"), self.run.kernel.make_file(path, &value.bytes()))
            }
            Setup::Call(call) => {
                (call.to_string(), self.call(&TaskName::default(), call).map(drop))
            }
        };
        done.map_err(|refused| match refused {
            Refused::Errno(errno) => RunError::Durable { setup, errno },
            Refused::Full => RunError::Contents { at: Stage::Durable },
        })
    }

    fn steps(&mut self, steps: &[Step]) -> Result<(), RunError> {
        steps.iter().try_for_each(|step| self.step(step))
    }

    fn step(&mut self, step: &Step) -> Result<(), RunError> {
        let at = Stage::Step(step.place);
        if let Act::Expect { path, may_be } = &step.act {
            if !self.run.expected.iter().any(|known| known.place == step.place) {
                let (path, may_be) = (path.clone(), may_be.clone());
                self.run.expected.push(Expectation { place: step.place, path, may_be });
            }
            return Ok(());
        }
        if let Some(death @ (Death::Crash | Death::Cut)) = self.run.death {
            return Err(RunError::Dead { at, death });
        }
        self.run.death = None;
        match &step.act {
            Act::Call(call) => {
                let answer = match self.call(&step.task, call) {
                    Ok(read) => read.map(Answer::Read),
                    Err(Refused::Errno(errno)) => Some(Answer::Failed(errno)),
                    Err(Refused::Full) => return Err(RunError::Contents { at }),
                };
                if let Some(answer) = answer {
                    self.run.note(step.place, call, answer);
                }
            }
            Act::Ack { text, files } => self.acknowledge(step, text, files)?,
            Act::Fail { call, path, errno } => self.run.kernel.fail(*call, path, *errno),
            Act::Die(death) => {
                self.open.forget();
                self.run.death = Some(*death);
            }
            Act::Repeat { times, steps } => {
                for _ in 0..*times {
                    self.steps(steps)?;
                }
            }
            // No model knows time, and what is expected was taken care of above.
            Act::Wait(_) | Act::Expect { .. } => {}
        }
        Ok(())
    }

    /// Takes down what is acknowledged, and what for.
    fn acknowledge(&mut self, by: &Step, text: &[u8], files: &[RelPath]) -> Result<(), RunError> {
        let at = Stage::Step(by.place);
        let buffers = self.open.in_buffers();
        let named: Vec<PathBuf> = files.iter().map(|file| file.to_path().to_owned()).collect();
        let mut live = self.run.kernel.fs.lock();
        let (place, said) = (live.acknowledge(text), (by.task.as_str(), text));
        let claim = self.ledger.claim(&mut live, place, said, &named, &buffers);
        self.run.said_at.push(by.place);
        self.run.claims.push(claim.map_err(|TooMuch| RunError::Contents { at })?);
        Ok(())
    }

    /// Makes a call; gives what it read.
    fn call(&mut self, task: &TaskName, call: &Call) -> Result<Option<Arc<[u8]>>, Refused> {
        let made = match call {
            Call::Open { path, how } => {
                how.has(OpenFlag::Trunc) || self.run.kernel.fs.look(path.to_path()).is_none()
            }
            Call::Write { .. } | Call::Pwrite { .. } => true,
            Call::SetLen(..) | Call::Allocate(..) => true,
            _ => false,
        };
        let read = self.make(task, call)?;
        if let (true, Some(path)) = (made, call.file())
            && let Some(ino) = self.open.file(task, path)
        {
            self.ledger.wrote(task.as_str(), ino, path.to_path());
        }
        Ok(read)
    }

    fn make(&mut self, task: &TaskName, call: &Call) -> Result<Option<Arc<[u8]>>, Refused> {
        let Self { run, open, .. } = self;
        let kernel = &mut run.kernel;
        match call {
            Call::Open { path, how } => open.open(Caller::new(task, path, kernel), how)?,
            Call::Write { path, value, at } => {
                open.write(Caller::new(task, path, kernel), &value.bytes(), *at)?
            }
            Call::Pwrite { path, value, at } => {
                open.pwrite(Caller::new(task, path, kernel), &value.bytes(), *at)?
            }
            Call::Flush(path) => open.flush(Caller::new(task, path, kernel))?,
            Call::Close(path) => open.close(Caller::new(task, path, kernel))?,
            Call::Read(path) => return open.read(Caller::new(task, path, kernel)).map(Some),
            Call::SetLen(path, len) => open.set_len(Caller::new(task, path, kernel), *len)?,
            Call::Allocate(path, len) => open.allocate(Caller::new(task, path, kernel), *len)?,
            Call::Fsync(path) => open.sync(Caller::new(task, path, kernel), SyncKind::All)?,
            Call::Fdatasync(path) => open.sync(Caller::new(task, path, kernel), SyncKind::Data)?,
            Call::Remove(path) => {
                kernel.may_rename(&[path])?;
                kernel.fs.remove(path.to_path())?;
            }
            Call::Link(from, to) => {
                kernel.may_rename(&[to])?;
                kernel.fs.link(from.to_path(), to.to_path())?;
            }
            Call::Symlink(target, path) => {
                kernel.may_rename(&[path])?;
                kernel.fs.symlink(target.as_bytes(), path.to_path())?;
            }
            Call::Rename(from, to) => {
                kernel.may_rename(&[from, to])?;
                kernel.fs.rename(from.to_path(), to.to_path())?;
            }
            Call::Exchange(one, other) => {
                kernel.may_rename(&[one, other])?;
                kernel.fs.exchange(one.to_path(), other.to_path())?;
            }
            Call::Mkdir(path) => {
                kernel.may_rename(&[path])?;
                kernel.fs.create_dir(path.to_path())?;
            }
            Call::Rmdir(path) => {
                kernel.may_rename(&[path])?;
                kernel.fs.remove_dir(path.to_path())?;
            }
            Call::Chmod(path, mode) => kernel.chmod(path, *mode)?,
            Call::FsyncDir(path) => kernel.sync_dir(path)?,
            Call::Sync => kernel.sync_everything(),
        }
        Ok(None)
    }
}
