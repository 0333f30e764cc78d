//! Why a text is no timeline.
//!
//! Invariant: every error of a line says which, counted from 1.

use std::io;

/// Why a text is no timeline.
#[derive(Debug, thiserror::Error)]
pub enum TimelineError {
    /// It could not be read.
    #[error("a timeline could not be read")]
    Io(#[from] io::Error),
    /// Its first line is not that of a timeline.
    #[error("this is no timeline: its first line does not say so")]
    Other,
    /// A newer version wrote it.
    #[error("this timeline is of version {version}, and this program reads up to {known}")]
    Newer {
        /// Its version.
        version: u64,
        /// The newest that is read.
        known: u64,
    },
    /// It ends too soon: its last line is not there, or not whole.
    #[error("this timeline is cut off behind {events} events: its last line is missing")]
    Truncated {
        /// How many events there are.
        events: usize,
    },
    /// A line is too long.
    #[error("line {line} is longer than {limit} bytes")]
    Long {
        /// Which.
        line: u64,
        /// How long it may be.
        limit: usize,
    },
    /// A line is no JSON.
    #[error("line {line}, byte {column}: here {wanted} was expected")]
    Syntax {
        /// Which line.
        line: u64,
        /// Which of its bytes, from 1 on.
        column: usize,
        /// What would have been right.
        wanted: &'static str,
    },
    /// A field is missing or says nothing that it could say.
    #[error("line {line}: `{field}` is missing or makes no sense")]
    Field {
        /// Which line.
        line: u64,
        /// Which field.
        field: &'static str,
    },
    /// A change or a key line does not fit what went before.
    #[error("line {line}: {cell} does not hold what the lines before made of it")]
    Misfit {
        /// Which line.
        line: u64,
        /// Which cell, or `all cells`.
        cell: String,
    },
    /// There is more of something than a reader takes.
    #[error("line {line}: more than {limit} {what}")]
    Many {
        /// At which line.
        line: u64,
        /// Of what.
        what: &'static str,
        /// How many there may be.
        limit: usize,
    },
    /// Its lines are not those that were written.
    #[error("the lines of this timeline were changed: its last line has another digest")]
    Digest,
    /// Something stands behind its last line.
    #[error("line {line}: something stands behind the end")]
    Behind {
        /// At which line.
        line: u64,
    },
}
