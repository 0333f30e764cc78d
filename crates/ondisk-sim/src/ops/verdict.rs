//! What an acknowledgement is worth: whether a cut after it may take what it spoke for.
//!
//! A [`Claim`] is an acknowledgement together with the files that it speaks for, each under the
//! name that it had then and with the content that it had then, bytes still in a user buffer
//! included. It is *lost* in a crash state in which one of these files is absent or does not hold
//! that content. A file that has grown since still holds it; a file that the program itself
//! overwrote, renamed or removed since does not, however well everything was synced: who replaces
//! what was acknowledged acknowledges anew, and reads the new acknowledgement's verdict.
//!
//! Invariant: [`Lost::Never`] is said only where every state of every cut after the claim was
//! looked at, or follows from one that was; [`Lost::Always`] only where none of them holds it. What
//! could not be looked at wholly is told as [`Lost::Sometimes`], with [`Judgement::exact`] false.
//!
//! Knows nothing of scripts and machines: a history and its claims come from anywhere.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::crash::Crash;
use super::history::{At, Ino};

mod image;
mod judge;
mod ledger;
mod look;
mod since;

pub use ledger::{InBuffer, Ledger, TooMuch};

/// An acknowledgement and what it speaks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// When it was made, in its history.
    pub at: At,
    /// What it said.
    pub text: Vec<u8>,
    /// The files that it speaks for.
    pub files: Vec<Spoken>,
}

/// One file that an acknowledgement speaks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spoken {
    /// The name that it had then.
    pub path: PathBuf,
    /// What stood there.
    pub ino: Option<Ino>,
    /// What it was.
    pub held: Held,
    /// How many bytes were written to it and still in a user buffer.
    pub buffered: u64,
    /// Whether a symbolic link stands on the way to it.
    pub through_link: bool,
}

/// What a file was.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Held {
    /// Not there: an acknowledgement that names it speaks for its removal.
    Absent,
    /// A directory.
    Dir,
    /// A file with this content.
    File(Arc<[u8]>),
}

/// Whether what was acknowledged is lost, over all cuts after it and all states of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lost {
    /// In none of them.
    Never,
    /// In some of them.
    Sometimes,
    /// In all of them.
    Always,
}

impl Lost {
    /// The word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Never => "never",
            Self::Sometimes => "sometimes",
            Self::Always => "always",
        }
    }
}

/// What was found of one claim under one model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// Which claim, counted from 0.
    pub claim: usize,
    /// The model.
    pub model: &'static str,
    /// The verdict.
    pub lost: Lost,
    /// How many different states were looked at; at least one.
    pub states: u64,
    /// Whether the verdict follows from what was looked at; else it is the safe side.
    pub exact: bool,
    /// The smallest loss that was found, in words; empty when there is none.
    pub story: String,
    /// The file that is lost in it.
    pub file: Option<PathBuf>,
}

/// The way to die.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fatal {
    /// The process alone: the page cache stays, whatever the model.
    Kill,
    /// The kernel: the drive keeps what it was given.
    Crash,
    /// The power.
    Cut,
}

/// Which moments to die at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moments {
    /// All after the acknowledgement.
    All,
    /// The one in which it is made.
    Same,
    /// This one; what is acknowledged later is not judged.
    At(At),
}

impl Crash {
    /// Judges each claim that was made before the moments asked for.
    ///
    /// Whether the drive was honest is the history's to say: for a crash of the kernel it should
    /// say so always.
    #[must_use]
    pub fn judge(&self, claims: &[Claim], how: Fatal, moments: Moments) -> Vec<Judgement> {
        judge::Judge::new(self, how, moments).all(claims)
    }
}

/// A path as it is printed: in quotes where it has other characters than plain ones.
fn shown(path: &Path) -> String {
    let text = path.to_string_lossy();
    let plain = |c: char| c.is_ascii_graphic() && !matches!(c, '"' | '`' | '\\');
    if !text.is_empty() && text.chars().all(plain) {
        return text.into_owned();
    }
    format!("{text:?}")
}

#[cfg(test)]
mod tests;
