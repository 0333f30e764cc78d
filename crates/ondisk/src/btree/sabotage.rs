//! Rules of the engine btree that can be broken on purpose, so that a suite can show that it notices.
//!
//! Invariant: an engine that was not told to break a rule keeps all of them.

/// A rule of the engine btree that is broken on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum BtreeRule {
    /// The meta page is written and synced before the pages that it reaches are written.
    MetaBeforePages,
    /// The pages are written and not synced before the meta page is.
    PagesNotSynced,
    /// A checkpoint has finished when its meta page is written, not when it is synced.
    MetaNotSynced,
    /// The meta page is installed before the log is durable through its LSN.
    AheadOfLog,
    /// Pages that an edit frees are used by the same edit, before its meta page is durable.
    ReusedBeforeDurable,
    /// Pages that a snapshot still reads are used again.
    SnapshotIgnored,
    /// Pages that a reader of another process still reads are used again.
    PinsIgnored,
    /// After an installation whose sync failed, the next attempt uses its pages again.
    DoubtIgnored,
    /// The free list that is written names pages that were just handed out.
    FreeListStale,
    /// Pages that wait for a snapshot are missing from the free list that is written.
    HeldForgotten,
    /// Large values are written behind the sync of the pages.
    BlobNotSynced,
    /// The file's name is not synced before the first checkpoint counts.
    NameNotSynced,
    /// After an open of a store that was not closed, the meta page is left as it was found.
    RenewSkipped,
    /// A page's own sum is not compared.
    SumsIgnored,
    /// The sum in the parent is not compared: any page with the right number will do.
    ReferenceIgnored,
    /// A separator is one byte too short.
    SeparatorShort,
    /// A delete of the last key of a leaf is forgotten.
    DeleteForgotten,
    /// A file that is too short for its pages is opened.
    LengthUnchecked,
    /// Of two meta pages that verify, the first counts, not the newer.
    OlderMetaCounts,
    /// A large value is moved, and its leaf says where it was.
    MovedValueForgotten,
    /// The places that moved pages leave are used again, whoever reads them there.
    MovedPlaceReused,
    /// The file is cut before the meta page of a shorter tree is durable.
    CutBeforeMeta,
    /// A job that shortens the file goes on beside a checkpoint that has begun.
    TurnIgnored,
}

impl BtreeRule {
    /// Every variant, for a suite's table.
    pub const ALL: [Self; 23] = [
        Self::MetaBeforePages,
        Self::PagesNotSynced,
        Self::MetaNotSynced,
        Self::AheadOfLog,
        Self::ReusedBeforeDurable,
        Self::SnapshotIgnored,
        Self::PinsIgnored,
        Self::DoubtIgnored,
        Self::FreeListStale,
        Self::HeldForgotten,
        Self::BlobNotSynced,
        Self::NameNotSynced,
        Self::RenewSkipped,
        Self::SumsIgnored,
        Self::ReferenceIgnored,
        Self::SeparatorShort,
        Self::DeleteForgotten,
        Self::LengthUnchecked,
        Self::OlderMetaCounts,
        Self::MovedValueForgotten,
        Self::MovedPlaceReused,
        Self::CutBeforeMeta,
        Self::TurnIgnored,
    ];
}
