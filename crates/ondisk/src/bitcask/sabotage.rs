//! Rules of the engine bitcask that can be broken on purpose, so that a suite can show that it notices.
//!
//! Invariant: an engine that was not told to break a rule keeps all of them.

/// A rule of the engine bitcask that is broken on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum BitcaskRule {}

impl BitcaskRule {
    /// Every variant, for a suite's table.
    pub const ALL: [Self; 0] = [];
}
