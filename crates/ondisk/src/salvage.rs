//! What an engine gives out of files that may be damaged, and what it says is lost.
//!
//! Invariant: an entry that is given out was verified byte by byte; whatever was not is told as
//! lost, with its place. Nothing here writes.

use std::path::PathBuf;

use ondisk_log::Lsn;

/// Takes what an engine can still read.
pub(crate) trait Salvage {
    /// An entry that verifies; without a value it says that the key is gone. Of a key that comes
    /// more than once the one with the highest LSN counts, and without LSNs the last.
    fn entry(&mut self, key: &[u8], value: Option<&[u8]>, lsn: Option<Lsn>);

    /// A range of a file that does not verify.
    fn lost(&mut self, lost: Lost);
}

/// A range of a file that does not verify.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lost {
    pub(crate) path: PathBuf,
    pub(crate) offset: u64,
    /// Its bytes; 0 where that is not known.
    pub(crate) len: u64,
    /// The LSN from which on commits may miss something, where that is known.
    pub(crate) lsn: Option<Lsn>,
    /// What is wrong there, as a sentence.
    pub(crate) what: String,
}
