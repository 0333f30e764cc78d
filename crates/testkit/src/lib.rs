//! What the tests of ondisk share: the contract of the seam, models, harnesses. Unpublished.
//!
//! Knows all rooms, and is known by none but tests and its own binaries.

pub mod backups;
pub mod history;
pub mod log_life;
pub mod machine_cut;
pub mod power_cut;
pub mod refine;
pub mod seam;
pub mod stage;
pub mod store;
pub mod transactions;

/// A stopwatch for the line that a suite ends with: seconds since it was started. No test asserts
/// on it.
#[expect(clippy::disallowed_methods, reason = "for print alone")]
pub fn clock() -> impl Fn() -> f64 {
    let start = std::time::Instant::now();
    move || start.elapsed().as_secs_f64()
}

/// Prints the line that a suite ends with, past the test harness's capture.
pub fn summary(line: &str) {
    use std::io::Write as _;
    // A closed stderr is no reason to fail a suite.
    writeln!(std::io::stderr().lock(), "{line}").ok();
}

/// The README's examples in Rust, as tests.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
pub struct Readme;
