//! What a script expects of its end, held against what the machine left.
//!
//! Invariant: the machine leaves one thing, so an `expect` holds when that is one of those that it
//! lists.

use super::Play;
use super::files::path_of;
use crate::machine::media::MountError;
use crate::ops::script::{Expectation, Expected};
use crate::ops::{Image, Node};

/// An `expect` that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missed {
    /// Which.
    pub expected: Expectation,
    /// What stands there; `None` for nothing.
    pub found: Option<Node>,
}

impl Play {
    /// What the script expects of its end and did not get.
    ///
    /// # Errors
    /// When the media cannot be mounted.
    pub fn missed(&self) -> Result<Vec<Missed>, MountError> {
        if self.expected().is_empty() {
            return Ok(Vec::new());
        }
        Ok(self.missed_in(&self.end()?))
    }

    /// What the script expects of its end and an image of it does not show.
    #[must_use]
    pub fn missed_in(&self, end: &Image) -> Vec<Missed> {
        let mut missed = Vec::new();
        for expected in self.expected() {
            let found = end.nodes.get(&path_of(&expected.path));
            if !expected.may_be.iter().any(|may_be| is(may_be, found, &expected.may_be)) {
                let (expected, found) = (expected.clone(), found.cloned());
                missed.push(Missed { expected, found });
            }
        }
        missed
    }
}

fn is(may_be: &Expected, found: Option<&Node>, all: &[Expected]) -> bool {
    match (may_be, found) {
        (Expected::Absent, None) => true,
        (Expected::Is(value), Some(Node::File(bytes))) => value.bytes() == *bytes,
        // A content that is none of those listed; whose bytes they were the media do not say.
        (Expected::Partial | Expected::Junk, Some(Node::File(bytes))) => {
            let listed =
                |other: &Expected| matches!(other, Expected::Is(value) if value.bytes() == *bytes);
            !all.iter().any(listed)
        }
        _ => false,
    }
}
