//! Rules of the engine bitcask that can be broken on purpose, so that a suite can show that it notices.
//!
//! Invariant: an engine that was not told to break a rule keeps all of them.

use crate::sabotage::Sabotage;

/// A rule of the engine bitcask that is broken on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum BitcaskRule {
    /// The manifest names a data file that was never synced.
    DataFileNotSynced,
    /// The manifest names a hint file that was never synced.
    HintNotSynced,
    /// The manifest names files whose names were never synced.
    NamesNotSynced,
    /// The keyspace's directory is not made durable before its first manifest.
    DirectoryNotSynced,
    /// The manifest is written in place, not replaced.
    ManifestInPlace,
    /// A manifest is installed though the log is not durable through what it holds.
    AheadOfLog,
    /// After an open of a store that was not closed, the manifest is left as it was found.
    RenewSkipped,
    /// A file number is used again by the next attempt, though a manifest may name it.
    NumberReused,
    /// The files of an attempt that failed are removed, though a manifest may name them.
    TriedFilesRemoved,
    /// A checkpoint leaves no tombstone, though an older file holds the key.
    TombstoneDropped,
    /// A merge drops a tombstone, though an older file that it leaves alone holds the key.
    MergeDropsTombstone,
    /// The inputs of a merge are removed before the manifest without them is installed.
    InputsRemovedEarly,
    /// A merge gives a key its copy's place, though a checkpoint has given it a newer one since.
    NewerPlaceLost,
    /// Of two versions of a key a merge takes the older one.
    OlderWins,
    /// Files that were merged are removed though a reader in another process may need them.
    PinsIgnored,
    /// A place that a checkpoint replaces is forgotten, though somebody holds an older view.
    ViewsIgnored,
    /// The new view is shown before the keydir has all of it.
    ShownEarly,
    /// Checksums of data files are not compared.
    SumsIgnored,
    /// A hint file is believed, though it is another's or damaged.
    HintBelieved,
}

impl BitcaskRule {
    /// Every variant, for a suite's table.
    pub const ALL: [Self; 19] = [
        Self::DataFileNotSynced,
        Self::HintNotSynced,
        Self::NamesNotSynced,
        Self::DirectoryNotSynced,
        Self::ManifestInPlace,
        Self::AheadOfLog,
        Self::RenewSkipped,
        Self::NumberReused,
        Self::TriedFilesRemoved,
        Self::TombstoneDropped,
        Self::MergeDropsTombstone,
        Self::InputsRemovedEarly,
        Self::NewerPlaceLost,
        Self::OlderWins,
        Self::PinsIgnored,
        Self::ViewsIgnored,
        Self::ShownEarly,
        Self::SumsIgnored,
        Self::HintBelieved,
    ];
}

impl From<BitcaskRule> for Sabotage {
    fn from(rule: BitcaskRule) -> Self {
        Self::Bitcask(rule)
    }
}
