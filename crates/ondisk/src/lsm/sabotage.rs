//! Rules of the engine lsm that can be broken on purpose, so that a suite can show that it notices.
//!
//! Invariant: an engine that was not told to break a rule keeps all of them.

/// A rule of the engine lsm that is broken on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LsmRule {
    /// The manifest names a table that was never synced.
    TableNotSynced,
    /// The manifest names a table whose name was never synced.
    TableNameNotSynced,
    /// The manifest is written in place, not replaced.
    ManifestInPlace,
    /// A manifest is installed though the log is not durable through what it holds.
    AheadOfLog,
    /// After an open of a store that was not closed, the manifest is left as it was found.
    RenewSkipped,
    /// The keyspace's directory is not made durable before its first manifest.
    DirectoryNotSynced,
    /// A table number is used again by the next attempt, though a manifest may name it.
    NumberReused,
    /// The tables of an attempt that failed are removed, though a manifest may name them.
    TriedTablesRemoved,
    /// The inputs of a compaction are removed before the manifest without them is installed.
    InputsRemovedEarly,
    /// Obsolete tables are removed though somebody holds a view of them.
    ViewsIgnored,
    /// Obsolete tables are removed though a reader in another process may need them.
    PinsIgnored,
    /// A checkpoint leaves no tombstone, though an older table holds the key.
    YoungTombstoneDropped,
    /// A compaction drops a tombstone, though a level below holds the key.
    TombstoneDropped,
    /// A table moves to the next level though that has, or an older one holds, some of its keys.
    MovedIntoOverlap,
    /// A compaction takes the youngest table of the first level, and leaves older ones there.
    YoungestCompacted,
    /// A compaction leaves out the tables of the next level that its inputs overlap with.
    OverlapLeftOut,
    /// Of two versions of a key a merge takes the older one.
    OlderWins,
    /// A read of the first level asks the oldest table first.
    OldestAskedFirst,
    /// Checksums of tables are not compared.
    SumsIgnored,
    /// The filter of a table does not know all of its keys.
    FilterLosesKeys,
}

impl LsmRule {
    /// Every variant, for a suite's table.
    pub const ALL: [Self; 20] = [
        Self::TableNotSynced,
        Self::TableNameNotSynced,
        Self::ManifestInPlace,
        Self::AheadOfLog,
        Self::RenewSkipped,
        Self::DirectoryNotSynced,
        Self::NumberReused,
        Self::TriedTablesRemoved,
        Self::InputsRemovedEarly,
        Self::ViewsIgnored,
        Self::PinsIgnored,
        Self::YoungTombstoneDropped,
        Self::TombstoneDropped,
        Self::MovedIntoOverlap,
        Self::YoungestCompacted,
        Self::OverlapLeftOut,
        Self::OlderWins,
        Self::OldestAskedFirst,
        Self::SumsIgnored,
        Self::FilterLosesKeys,
    ];
}
