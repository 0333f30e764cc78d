//! How a command ends: its exit code, and the errors that lead to one.
//!
//! Invariant: exit codes are API (0 fine; 1 findings, damage or loss; 2 usage or input error;
//! 3 could not judge), and each is picked here or by a command's last line, nowhere else.

use std::error::Error;
use std::fmt::Write as _;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::escape::LineError;

/// An exit code and what it means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// The command did what it was asked, and found nothing wrong.
    Fine = 0,
    /// It found damage or loss; for `get`: the key is not there.
    Findings = 1,
    /// It was asked for something that cannot be done: usage, input, or not a store.
    Usage = 2,
    /// It could not find out.
    Unknown = 3,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The store said no.
    #[error(transparent)]
    Store(#[from] ondisk::Error),
    /// The store said no to a line of the input.
    #[error("line {line}: {source}")]
    AtLine {
        /// Counted from 1.
        line: u64,
        /// What the store said.
        source: ondisk::Error,
    },
    /// The store has no keyspace of that name.
    #[error(
        "{}: no keyspace is named `{}`; make it with its engine: ondisk keyspaces DB create NAME \
         --engine bitcask|lsm|btree", path.display(), crate::escape::escape(name.as_bytes())
    )]
    NoKeyspace {
        /// The store.
        path: PathBuf,
        /// The name that was asked for.
        name: String,
    },
    /// The store could not be read, so nothing is said of it.
    #[error(transparent)]
    Unjudged(ondisk::Error),
    /// A line or an argument is not in the stated escape.
    #[error(transparent)]
    Line(#[from] LineError),
    /// Standard input broke.
    #[error("standard input cannot be read")]
    Input(#[source] io::Error),
    /// A script is none, or cannot be carried out.
    #[error("{file}:{line}:{column}: {what}")]
    Script {
        /// The script.
        file: String,
        /// Counted from 1.
        line: u32,
        /// The character on it, counted from 1.
        column: u32,
        /// What is wrong there.
        what: String,
    },
    /// An option asks for what there is not.
    #[error("{0}")]
    Asked(String),
    /// No real files can be made for a measurement.
    #[error("{}: no directory can be made here (try --dir DIR)", path.display())]
    Scratch {
        /// Where it was tried.
        path: PathBuf,
        /// What the file system said.
        #[source]
        source: io::Error,
    },
    /// A timeline could not be written.
    #[error("{}: the timeline cannot be written", path.display())]
    Timeline {
        /// Where to.
        path: PathBuf,
        /// What the file system said.
        #[source]
        source: io::Error,
    },
    /// A page could not be written.
    #[error("{}: the page cannot be written", path.display())]
    Page {
        /// Where to.
        path: PathBuf,
        /// What the file system said.
        #[source]
        source: io::Error,
    },
    /// The page cannot be served.
    #[error(
        "127.0.0.1:{port}: the page cannot be served (--serve alone takes a port that is free)"
    )]
    Serve {
        /// Where.
        port: u16,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// No browser shows the page.
    #[error("{program} does not open {page} (open it yourself, or name a browser in BROWSER)")]
    Browser {
        /// What was called.
        program: String,
        /// A file or an address.
        page: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The simulation could not tell what it was asked.
    #[error("the simulated disk failed")]
    Simulated(#[source] io::Error),
    /// Standard output broke while acknowledgements were told.
    #[error("commits are acknowledged, but standard output cannot be told")]
    Untold(#[source] io::Error),
    /// Standard output broke.
    #[error("standard output cannot be written")]
    Output(#[source] io::Error),
}

impl Failure {
    /// The exit code of this failure: damage is a finding, all else is the caller's to mend.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Store(error) | Self::AtLine { source: error, .. } if error.is_damage() => {
                Exit::Findings
            }
            Self::Unjudged(_) => Exit::Unknown,
            _ => Exit::Usage,
        }
    }

    /// What stands before the sentence: nothing where it begins with a place, as a compiler's.
    pub(crate) fn prefix(&self) -> &'static str {
        if matches!(self, Self::Script { .. }) { "" } else { "ondisk: " }
    }

    /// Whether the reader of our output has gone (`ondisk scan db | head`): nothing to complain of.
    pub(crate) fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }

    /// The error and its causes, in one line.
    pub(crate) fn sentence(&self) -> String {
        sentence(self)
    }
}

/// An error and its causes, in one line.
pub(crate) fn sentence(error: &dyn Error) -> String {
    let mut sentence = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        // Many errors already say their cause: say nothing twice.
        if !sentence.contains(&cause_text) {
            write!(sentence, ": {cause_text}").unwrap_or_default();
        }
        source = cause.source();
    }
    sentence
}
