//! Rules of backup and restore that can be broken on purpose, so that a suite can show that it
//! notices.
//!
//! Invariant: a backup and a restore that were not told to break a rule keep all of them.

use crate::sabotage::Sabotage;

/// A rule of backup and restore that is broken on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum BackupRule {
    /// The list names parts that were never synced.
    PartNotSynced,
    /// The list names parts whose names were never synced.
    NamesNotSynced,
    /// The list is written in place, not replaced.
    ListInPlace,
    /// The list names parts that nobody read back.
    NotReadBack,
    /// A backup is made on top of others whose sums do not fit.
    ChainUnverified,
    /// A backup goes to where those of another store are.
    OtherStoreAccepted,
    /// A backup holds commits above the one that its list says.
    BeyondSnapshot,
    /// A backup is of commits that a power cut may take from the store.
    AheadOfLog,
    /// A backup leaves out what was acknowledged and is not durable yet.
    AcknowledgedLeftOut,
    /// A key that is gone since the backup before is left in.
    GoneLeftIn,
    /// A restore does not compare the sums of parts.
    RestoredUnverified,
    /// A restore goes to where another store stands, and removes that.
    StoreOverwritten,
    /// A restore removes what stands where it makes its store, though it did not make it.
    OthersRemoved,
    /// The directory in which a store is restored is not marked.
    NotMarked,
    /// It is marked, and the mark is not synced.
    MarkNotSynced,
    /// An open takes half a store for one, though it is marked.
    MarkIgnored,
    /// The mark goes before all that the store holds is durable.
    MarkRemovedEarly,
    /// The store gets its name before it is durable that the mark is gone.
    MarkRemovalNotSynced,
    /// Of what a restore left that was cut the mark goes first.
    MarkRemovedFirst,
    /// The store gets its name before what it holds is durable.
    NamedBeforeDurable,
    /// The store's name is not synced.
    NameNotSynced,
    /// A store gets its name though its restore has failed.
    FailedAndNamed,
}

impl BackupRule {
    /// Every variant, for a suite's table.
    pub const ALL: [Self; 22] = [
        Self::PartNotSynced,
        Self::NamesNotSynced,
        Self::ListInPlace,
        Self::NotReadBack,
        Self::ChainUnverified,
        Self::OtherStoreAccepted,
        Self::BeyondSnapshot,
        Self::AheadOfLog,
        Self::AcknowledgedLeftOut,
        Self::GoneLeftIn,
        Self::RestoredUnverified,
        Self::StoreOverwritten,
        Self::OthersRemoved,
        Self::NotMarked,
        Self::MarkNotSynced,
        Self::MarkIgnored,
        Self::MarkRemovedEarly,
        Self::MarkRemovalNotSynced,
        Self::MarkRemovedFirst,
        Self::NamedBeforeDurable,
        Self::NameNotSynced,
        Self::FailedAndNamed,
    ];

    /// The rule of backup and restore among what is broken.
    pub(crate) fn of(broken: Option<Sabotage>) -> Option<Self> {
        match broken {
            Some(Sabotage::Backup(rule)) => Some(rule),
            _ => None,
        }
    }
}

impl From<BackupRule> for Sabotage {
    fn from(rule: BackupRule) -> Self {
        Self::Backup(rule)
    }
}
