//! Readers in other processes, as the writer sees them.
//!
//! Invariant: what a reader may still read is not removed while its pin stands.

use crate::engine::Pins;

/// No reader is let in beside a writer.
#[derive(Debug, Default)]
pub(crate) struct NoPins;

impl Pins for NoPins {
    fn newest(&self) -> u64 {
        0
    }

    fn oldest(&self) -> Option<u64> {
        None
    }
}
