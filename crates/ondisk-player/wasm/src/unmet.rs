//! What a script expects of its end and does not get.
//!
//! Invariant: it expects of one file system: of a machine what it leaves, and where there is none
//! what the model of its name allows.

use std::path::PathBuf;

use ondisk_sim::machine::Play;
use ondisk_sim::machine::knobs::Knobs;
use ondisk_sim::machine::play::Missed;
use ondisk_sim::ops::script::{self, Drive, FileOutcome, MayBe, Place, Profile, Script};
use ondisk_sim::{Budget, Node};

use crate::die;
use crate::request::{Death, Refused};

/// By the place of the `expect`: what it says, and what was found.
type Unmet = Vec<(Place, String)>;

/// In any way in which the script's own death may go.
pub(crate) fn on_machine(play: &Play, seed: u64) -> Unmet {
    if play.expected().is_empty() {
        return Vec::new();
    }
    let how = match play.death() {
        Some(script::Death::Cut) => Death::Cut,
        Some(script::Death::Crash) => Death::Crash,
        Some(script::Death::Kill) | None => Death::Kill,
    };
    let images = die::left(play, how, seed).images;
    let mut all: Unmet = Vec::new();
    for image in &images {
        for Missed { expected, .. } in play.missed_in(image) {
            if all.iter().any(|(place, _)| *place == expected.place) {
                continue;
            }
            let path =
                PathBuf::from(String::from_utf8_lossy(expected.path.as_bytes()).into_owned());
            let mut may_be: Vec<MayBe> = Vec::new();
            for image in &images {
                let one = match image.nodes.get(&path) {
                    None => MayBe::Absent,
                    Some(Node::Dir) => MayBe::Dir,
                    Some(Node::File(bytes) | Node::Symlink(bytes)) => MayBe::Is(bytes.clone()),
                };
                if !may_be.contains(&one) {
                    may_be.push(one);
                }
            }
            let found = FileOutcome { path: expected.path.clone(), may_be, exhausted: true };
            all.push(told(&script::Unmet { expected, found }));
        }
    }
    all
}

/// Under the model.
pub(crate) fn in_model(script: &Script, knobs: &Knobs) -> Result<Unmet, Refused> {
    let drive = if knobs.is_honest() { Drive::Honest } else { Drive::Lies };
    let run = script.run_as(drive, Profile::default());
    let run = run.map_err(|error| Refused::new(error.to_string()))?;
    let Some(model) = knobs.model() else { return Ok(Vec::new()) };
    let budget = Budget::per_cut(200).seeded(knobs.seed);
    Ok(run.outcome(&model, budget).unmet.iter().map(told).collect())
}

/// What it says, without the line that stands in front.
fn told(it: &script::Unmet) -> (Place, String) {
    let place = it.expected.place;
    let told = it.to_string();
    let what = told.strip_prefix(&format!("line {}: ", place.line)).unwrap_or(&told).to_owned();
    (place, what)
}
