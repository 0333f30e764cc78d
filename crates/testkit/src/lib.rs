//! What the tests of ondisk share: the contract of the seam, models, harnesses. Unpublished.
//!
//! Knows all rooms, and is known by none but tests and its own binaries.

pub mod seam;
