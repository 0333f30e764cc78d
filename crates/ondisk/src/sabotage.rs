//! Rules that can be broken on purpose, so that a test suite can show that it would notice.
//!
//! Invariant: a store that was not told to break a rule keeps all of them; none of these is looked
//! at on the path of a commit or a read.

pub use crate::backup::sabotage::BackupRule;
pub use crate::bitcask::sabotage::BitcaskRule;
pub use crate::btree::sabotage::BtreeRule;
pub use crate::lsm::sabotage::LsmRule;
pub use crate::transaction::sabotage::TransactionRule;
pub use crate::values::sabotage::ValueRule;

/// A rule of the store that is broken on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sabotage {
    /// The manifest is installed before the log is durable through its checkpoint.
    ManifestBeforeLog,
    /// The log is truncated before the manifest is installed.
    TruncatedBeforeManifest,
    /// The young map is let go when it is frozen, not when the engine has it.
    FrozenForgotten,
    /// Reads see commits that are not acknowledged.
    UnacknowledgedVisible,
    /// A checkpoint during recovery claims the whole log, not what was replayed of it.
    RecoveryClaimsAll,
    /// After an open of a store that was not closed, the manifest is left as it was found.
    ManifestNotRenewed,
    /// The store's first catalog is not synced before the store exists.
    FirstCatalogNotSynced,
    /// A rule of transactions.
    Transaction(TransactionRule),
    /// The log is released beyond what keyspaces that are idle still have in their young maps.
    ReleasedBeyondIdle,
    /// The log is released beyond what of it is durable.
    ReleasedUnsynced,
    /// The catalog is written in place, not replaced.
    CatalogInPlace,
    /// The files of a keyspace that is dropped go before the catalog without it is installed.
    DroppedBeforeCatalog,
    /// The files of a keyspace that is dropped go though somebody reads it.
    DroppedUnderHandle,
    /// They go though a reader in another process may need them.
    DroppedUnderReader,
    /// The number of a keyspace that was dropped is given to the next one.
    KeyspaceIdReused,
    /// A rule of large values.
    Value(ValueRule),
    /// A rule of backup and restore.
    Backup(BackupRule),
    /// A rule of the engine bitcask.
    Bitcask(BitcaskRule),
    /// A rule of the engine lsm.
    Lsm(LsmRule),
    /// A rule of the engine btree.
    Btree(BtreeRule),
}

impl Sabotage {
    /// Whether checkpoints begin before the log is durable: that an engine does not look whether it
    /// is shows only where it is not.
    pub(crate) fn runs_ahead(self) -> bool {
        matches!(
            self,
            Self::ManifestBeforeLog
                | Self::Bitcask(BitcaskRule::AheadOfLog)
                | Self::Lsm(LsmRule::AheadOfLog)
                | Self::Btree(BtreeRule::AheadOfLog)
        )
    }

    /// Every rule of the store itself, for a suite's table.
    pub const ALL: [Self; 14] = [
        Self::ManifestBeforeLog,
        Self::TruncatedBeforeManifest,
        Self::FrozenForgotten,
        Self::UnacknowledgedVisible,
        Self::RecoveryClaimsAll,
        Self::ManifestNotRenewed,
        Self::FirstCatalogNotSynced,
        Self::ReleasedBeyondIdle,
        Self::ReleasedUnsynced,
        Self::CatalogInPlace,
        Self::DroppedBeforeCatalog,
        Self::DroppedUnderHandle,
        Self::DroppedUnderReader,
        Self::KeyspaceIdReused,
    ];
}
