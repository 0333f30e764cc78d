//! What is played: a script or a timeline, told apart by what it holds, and checked.
//!
//! Invariant: every error names the file, a line and a column; no more of an input is read than a
//! page can hold.

use std::path::Path;

use ondisk_player::LONGEST_TIMELINE;
use ondisk_sim::ops::script::Place;
use serde::Deserialize;

use crate::exit::Failure;
use crate::page::Scene;
use crate::sim;
use crate::sim::config::Config;
use crate::sim::input::{self, Input, Source};

/// The version of timelines that this one reads.
const VERSION: u64 = 1;
/// A line of a timeline is no longer, its end included.
const LONGEST_LINE: usize = 8 << 20;
/// How the last line of a timeline begins.
const LAST_LINE: &str = "{\"end\":";

/// What is played.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) scene: Scene,
    /// Whether it is a timeline that ends before its end.
    pub(super) cut_off: bool,
}

/// The first line of a timeline, as far as it is looked at.
#[derive(Debug, Deserialize)]
struct First {
    ondisk: String,
    v: u64,
}

/// Reads and checks what is to be played.
pub(super) fn find(path: Option<&Path>, config: &Config) -> Result<Found, Failure> {
    let Some(path) = path else {
        let nothing = "no SCRIPT is given, and the opening scene has a machine of its own";
        can_be_set(config, nothing)?;
        return Ok(Found { scene: Scene::Opening, cut_off: false });
    };
    let mut input = Input::open(path)?;
    input.fill(input::SCRIPT)?;
    if input.bytes.trim_ascii_start().first() != Some(&b'{') {
        let source = input.text()?;
        sim::check(&source, config)?;
        return Ok(Found { scene: Scene::script(&source, config, None), cut_off: false });
    }
    input.fill(LONGEST_TIMELINE + 1)?;
    let source = input.text()?;
    let cut_off = check(&source)?;
    can_be_set(config, &format!("{}: a timeline has a machine of its own", source.name))?;
    Ok(Found { scene: Scene::timeline(source), cut_off })
}

/// Refuses options that nothing would obey.
fn can_be_set(config: &Config, why_not: &str) -> Result<(), Failure> {
    if config.is_plain() && config.seed == 1 {
        return Ok(());
    }
    let options = "--fs --mount --scheduler --drive --profile --seed";
    Err(Failure::Asked(format!("{why_not}: {options} are for scripts")))
}

/// Checks a timeline's first line and its length; whether it was cut off.
fn check(source: &Source) -> Result<bool, Failure> {
    let wrong = |column: usize, what: &str| {
        let column = u32::try_from(column).unwrap_or(u32::MAX);
        source.wrong(Place { line: 1, column }, what)
    };
    if source.text.len() as u64 > LONGEST_TIMELINE {
        let most = LONGEST_TIMELINE >> 20;
        return Err(wrong(1, &format!("a page holds a timeline of up to {most} MiB")));
    }
    let line = source.text.split_inclusive('\n').next().unwrap_or_default();
    if line.len() > LONGEST_LINE {
        return Err(wrong(1, &format!("a line of a timeline has up to {LONGEST_LINE} bytes")));
    }
    let first: First = serde_json::from_str(line).map_err(|error| {
        let told = error.to_string();
        let what = told.split(" at line ").next().unwrap_or_default();
        wrong(error.column(), &format!("this is no script and no timeline: {what}"))
    })?;
    if first.ondisk != "timeline" {
        return Err(wrong(1, &format!("expected a timeline, and this is {:?}", first.ondisk)));
    }
    if first.v != VERSION {
        let what = format!(
            "the timeline has version {}, and this ondisk reads version {VERSION} (play it with \
             the ondisk that wrote it)",
            first.v
        );
        return Err(wrong(1, &what));
    }
    let whole = source.text.ends_with('\n')
        && source.text.lines().next_back().is_some_and(|last| last.starts_with(LAST_LINE));
    Ok(!whole)
}
