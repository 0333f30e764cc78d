//! What a log is opened with.

use crate::record::{HEADER_LEN, PREFIX_LEN};

/// Sizes of segments. The defaults serve; tests take small ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogOptions {
    /// Size of a new log's first segment, in bytes; a multiple of 4096, 1 MiB by default.
    pub first_segment: u64,
    /// Segments double up to this size, in bytes; a multiple of 4096, 64 MiB by default.
    pub largest_segment: u64,
    /// A deliberate mistake for a test suite to catch. Never set otherwise.
    #[doc(hidden)]
    pub sabotage: Option<Sabotage>,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self { first_segment: 1 << 20, largest_segment: 64 << 20, sabotage: None }
    }
}

impl LogOptions {
    /// The longest payload of one commit, in bytes: with its headers a quarter of the largest
    /// segment.
    #[must_use]
    pub fn commit_limit(&self) -> usize {
        let quarter = usize::try_from(self.largest_segment / 4).unwrap_or(usize::MAX);
        quarter.min(u32::MAX as usize).saturating_sub(HEADER_LEN + PREFIX_LEN)
    }

    /// The bytes of log above which its owner should checkpoint and truncate to give way: eight
    /// of the largest segments.
    #[must_use]
    pub fn budget(&self) -> u64 {
        self.largest_segment.saturating_mul(8)
    }

    pub(crate) fn sabotaged(&self, by: Sabotage) -> bool {
        self.sabotage == Some(by)
    }
}

/// A rule of the log that is broken on purpose, so that a suite can show that it would notice.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "each variant is named after the rule that it breaks")]
pub enum Sabotage {
    SyncSkipped,
    TailBlockRewritten,
    EpochNotRaised,
    LsnReused,
    ChainNotChecked,
    GenerationNotChecked,
    HeaderSumIgnored,
    PayloadSumIgnored,
    SegmentNameNotSynced,
    SegmentFreedBeforeAnchor,
    OpenNotWritten,
    AnchorNotSynced,
    PredecessorNotSynced,
    UpgradeByRangedSync,
    AcknowledgedOutOfOrder,
    BatchCountsTwice,
    KeptInBuffer,
    TailNotRewritten,
    DamageTakenForTail,
    MissingSegmentIgnored,
    TruncatedBeyondCheckpoint,
    LsnBeforeSpace,
    FailedSyncRetried,
    ClosedWithoutSync,
}

impl Sabotage {
    /// Every variant, for a suite's table.
    pub const ALL: [Self; 24] = [
        Self::SyncSkipped,
        Self::TailBlockRewritten,
        Self::EpochNotRaised,
        Self::LsnReused,
        Self::ChainNotChecked,
        Self::GenerationNotChecked,
        Self::HeaderSumIgnored,
        Self::PayloadSumIgnored,
        Self::SegmentNameNotSynced,
        Self::SegmentFreedBeforeAnchor,
        Self::OpenNotWritten,
        Self::AnchorNotSynced,
        Self::PredecessorNotSynced,
        Self::UpgradeByRangedSync,
        Self::AcknowledgedOutOfOrder,
        Self::BatchCountsTwice,
        Self::KeptInBuffer,
        Self::TailNotRewritten,
        Self::DamageTakenForTail,
        Self::MissingSegmentIgnored,
        Self::TruncatedBeyondCheckpoint,
        Self::LsnBeforeSpace,
        Self::FailedSyncRetried,
        Self::ClosedWithoutSync,
    ];
}
