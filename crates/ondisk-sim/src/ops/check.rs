//! The front door: run a workload, cut it everywhere, check what is left.
//!
//! Invariant: `Ok` means that every state that was looked at passed, and the report in it says
//! how many those were.

use super::crash::{Crash, Where};
use super::crash_fs::CrashFs;
use super::explore::{Budget, Failure, Report, Verdict};
use super::mem_fs::MemFs;
use super::model::{EXT4, Model};
use super::tally::Tally;

/// Runs a workload on an empty file system, cuts the power at every place that matters, and runs
/// a check on what is left each time, under the model of ext4.
///
/// The workload says what it acknowledged by [`MemFs::ack`]; the check recovers and compares
/// with [`CrashFs::owed`]. Both are handed a file system behind the seam.
///
/// ```
/// use ondisk_fs::{Access, File, FileSystem, create_durable};
/// let report = ondisk_sim::check(
///     |fs| {
///         create_durable(fs, "note".as_ref(), b"hello")?;
///         fs.ack("hello");
///         Ok(())
///     },
///     |fs| match (fs.owed().is_empty(), fs.read("note")) {
///         (false, Err(_)) => Err("the note is gone".into()),
///         (false, Ok(note)) if note != b"hello" => Err("the note is torn".into()),
///         _ => Ok(()),
///     },
/// );
/// assert!(report.unwrap().is_exhausted());
/// ```
///
/// # Errors
/// The smallest failure that was found, with its story.
pub fn check(
    workload: impl FnOnce(&MemFs) -> Verdict,
    verify: impl FnMut(&CrashFs) -> Verdict,
) -> Result<Report, Failure> {
    Check::new().run(workload, verify)
}

/// The same, with a say in how.
#[derive(Clone, Debug)]
pub struct Check {
    models: Vec<Model>,
    places: Where,
    budget: Budget,
    start: MemFs,
}

impl Default for Check {
    fn default() -> Self {
        let budget = Budget::default();
        Self { models: vec![EXT4], places: Where::AtSyncs, budget, start: MemFs::new() }
    }
}

impl Check {
    /// Under ext4, cut at each sync, from an empty file system.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Under this model.
    #[must_use]
    pub fn model(self, model: Model) -> Self {
        self.models([model])
    }

    /// Under each of these models.
    #[must_use]
    pub fn models(mut self, models: impl IntoIterator<Item = Model>) -> Self {
        self.models = models.into_iter().collect();
        self
    }

    /// Cut at these places.
    #[must_use]
    pub fn places(mut self, places: Where) -> Self {
        self.places = places;
        self
    }

    /// Look at so much.
    #[must_use]
    pub fn budget(mut self, budget: Budget) -> Self {
        self.budget = budget;
        self
    }

    /// Begin with what is on this file system, all of it durable.
    #[must_use]
    pub fn start(mut self, fs: &MemFs) -> Self {
        self.start = fs.settled();
        self
    }

    /// Runs the workload, then the check on each state.
    ///
    /// # Errors
    /// The smallest failure that was found; or the workload's own, with a story that lost
    /// nothing.
    pub fn run(
        &self,
        workload: impl FnOnce(&MemFs) -> Verdict,
        mut verify: impl FnMut(&CrashFs) -> Verdict,
    ) -> Result<Report, Failure> {
        let fs = self.start.fork();
        let result = workload(&fs);
        let history = fs.history();
        let tally = Tally::new();
        let mut report = Report::default();
        for model in &self.models {
            let crash = Crash::new(model, history.clone());
            if let Err(error) = &result {
                let story = super::story::Story::new(&crash.at(history.end), &[], &[], &[]);
                return Err(Failure {
                    story: Box::new(story),
                    why: format!("the workload failed: {error}"),
                });
            }
            report.merge(crash.explore(self.places, self.budget, &tally, &mut verify));
            if report.failure.is_some() {
                break;
            }
        }
        report.into_result()
    }
}
