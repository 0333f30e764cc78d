//! Rules of transactions that can be broken on purpose, each a mistake that people make.

/// A rule of transactions that is broken on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TransactionRule {
    /// What a transaction read is compared with nothing: lost updates and write skew.
    ReadSetNotValidated,
    /// Keys that were read are compared, and ranges are not: phantoms.
    RangesNotValidated,
    /// Reads are compared with what is visible: a commit between its LSN and its acknowledgement
    /// is missed.
    ValidatedAgainstVisible,
    /// Reads are compared before commits are held off: one that comes between is missed.
    ValidatedOutside,
    /// Of the young maps only the active one is looked at.
    FrozenNotValidated,
    /// A young map that an engine has taken over is let go, and the transaction not told.
    PastForgotten,
    /// A range counts as read up to before the last key that it gave.
    RangeEndNotRead,
    /// A range that was walked from its end counts as walked from its beginning.
    BackwardAsForward,
    /// A range that gave nothing counts as not read.
    EmptyRangeNotRead,
    /// What was read is forgotten when there is too much of it.
    ReadsForgotten,
    /// Each read sees the newest commit.
    SnapshotPerRead,
    /// Ranges do not see the transaction's own writes.
    OwnWritesNotInRanges,
    /// A key that the transaction deleted shows in its ranges.
    OwnDeletesNotInRanges,
}

impl TransactionRule {
    /// Every variant, for a suite's table.
    pub const ALL: [Self; 13] = [
        Self::ReadSetNotValidated,
        Self::RangesNotValidated,
        Self::ValidatedAgainstVisible,
        Self::ValidatedOutside,
        Self::FrozenNotValidated,
        Self::PastForgotten,
        Self::RangeEndNotRead,
        Self::BackwardAsForward,
        Self::EmptyRangeNotRead,
        Self::ReadsForgotten,
        Self::SnapshotPerRead,
        Self::OwnWritesNotInRanges,
        Self::OwnDeletesNotInRanges,
    ];
}
