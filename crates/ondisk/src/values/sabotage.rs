//! Rules of large values that can be broken on purpose, so that a suite can show that it notices.
//!
//! Invariant: files of values that were not told to break a rule keep all of them.

use crate::sabotage::Sabotage;

/// A rule of large values that is broken on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ValueRule {
    /// A commit refers to a file that was never synced.
    FileNotSynced,
    /// A commit refers to a file whose name was never synced.
    NameNotSynced,
    /// The directory of the files is not made durable before the first of them.
    DirectoryNotSynced,
    /// A file goes before the commit that supersedes it is durable.
    SweptBeforeDurable,
    /// A file goes though a snapshot, a transaction or a walk is older than what supersedes it.
    SweptUnderSnapshot,
    /// A walk does not say that it may come to files.
    WalkNotKept,
    /// A file goes though a reader in another process may be reading.
    PinsIgnored,
    /// A file goes whose commit has no place in the log yet.
    InFlightSwept,
    /// A file is given out though it is of another key, or another value of the key.
    OtherGivenOut,
    /// The sum of a value is not compared.
    SumsIgnored,
}

impl ValueRule {
    /// Every variant, for a suite's table.
    pub const ALL: [Self; 10] = [
        Self::FileNotSynced,
        Self::NameNotSynced,
        Self::DirectoryNotSynced,
        Self::SweptBeforeDurable,
        Self::SweptUnderSnapshot,
        Self::WalkNotKept,
        Self::PinsIgnored,
        Self::InFlightSwept,
        Self::OtherGivenOut,
        Self::SumsIgnored,
    ];
}

impl From<ValueRule> for Sabotage {
    fn from(rule: ValueRule) -> Self {
        Self::Value(rule)
    }
}
