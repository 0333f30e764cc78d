//! Counts the cases of a suite and the seconds that they took, and says so in one line.

use std::io::Write;
use std::time::Instant;

/// A count that is under way.
pub(crate) struct Report {
    suite: &'static str,
    cases: usize,
    begun: Instant,
}

impl Report {
    pub(crate) fn begin(suite: &'static str) -> Self {
        Self { suite, cases: 0, begun: now() }
    }

    /// Runs a part of the suite, which says how many cases it had.
    pub(crate) fn count(&mut self, part: &str, run: impl FnOnce() -> usize) {
        let begun = now();
        let cases = run();
        self.cases += cases;
        eprintln!("{part}: {cases} cases in {:.2} s", begun.elapsed().as_secs_f64());
    }

    pub(crate) fn end(self) {
        let Self { suite, cases, begun } = self;
        let seconds = begun.elapsed().as_secs_f64();
        // Straight to the descriptor: the harness keeps what a passing test prints.
        let mut stderr = std::io::stderr();
        writeln!(stderr, "suite {suite}: {cases} cases in {seconds:.1} s").unwrap();
    }
}

#[expect(clippy::disallowed_methods, reason = "a suite says how long it took; it judges nothing")]
fn now() -> Instant {
    Instant::now()
}
