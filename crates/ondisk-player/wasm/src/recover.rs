//! The power is back: what the journal replays, what the files are, what a log is worth.
//!
//! Invariant: what is told was read from the media that the death left, and from a mount of them.

use ondisk_sim::machine::choice::{Chooser, First, Last, Seeded};
use ondisk_sim::machine::event::{Event, Kind};
use ondisk_sim::machine::media::Media;
use ondisk_sim::machine::{self, Play, timeline};
use ondisk_sim::{Image, Newest, Oldest};

use crate::carry::Present;
use crate::json::Json;
use crate::log;
use crate::request::{Death, Pick, Refused};
use crate::words;

/// So many things of a mount are told.
const STEPS: usize = 400;
/// So many files are told of.
const FILES: usize = 256;

/// What is there again.
struct Back {
    image: Image,
    journal: Vec<(u32, u32, bool)>,
    steps: Vec<(u8, &'static str, String)>,
}

/// Answers `recover`.
pub(crate) fn answer(
    present: &mut Present,
    at: u32,
    how: Death,
    pick: Pick,
) -> Result<String, Refused> {
    let play = present.at(at);
    let back = match how {
        Death::Kill => alive(&play),
        _ if !present.is_machine() => of_model(present, &play, how, pick)?,
        Death::Crash => mounted(left(&play, machine::Death::Crash, pick), present.knobs.seed)?,
        Death::Cut => mounted(left(&play, machine::Death::Cut, pick), present.knobs.seed)?,
    };
    let mut json = Json::default();
    json.open('{').field("ok").flag(true).field("event").number(at.into());
    json.field("how").string(how.word()).field("journal").open('[');
    for (tid, blocks, whole) in &back.journal {
        json.open('{').field("tid").number((*tid).into());
        json.field("blocks").number((*blocks).into()).field("whole").flag(*whole).close('}');
    }
    json.close(']').field("files").open('[');
    for (path, bytes) in back.image.files().take(FILES) {
        json.open('{').field("path").string(&path.display().to_string());
        json.field("is").string(&words::content(bytes));
        json.field("bytes").number(bytes.len() as u64).close('}');
    }
    json.close(']').field("logs").open('[');
    log::tell(present, &back.image, &mut json);
    json.close(']');
    kept(present, &play, at, &back.image, &mut json);
    json.field("steps").open('[');
    for (layer, kind, words) in &back.steps {
        json.open('{').field("layer").number((*layer).into());
        json.field("kind").string(kind).field("words").string(words).close('}');
    }
    json.close(']').close('}');
    Ok(json.text())
}

/// Which records and acknowledgements are kept.
fn kept(present: &Present, play: &Play, at: u32, image: &Image, json: &mut Json) {
    let fate = |n: usize, kept: bool, json: &mut Json| {
        json.open('{').field("n").number(n as u64).field("kept").flag(kept).close('}');
    };
    let shown = play.sim().shown();
    json.field("records").open('[');
    let begun = present.records.iter().zip(&present.begun).take_while(|(_, begun)| **begun <= at);
    for (n, (record, _)) in begun.enumerate() {
        let record = record.named(record.name_in(play, &shown));
        fate(n, record.is_there(image), json);
    }
    json.close(']').field("acks").open('[');
    let said = play.claims().iter().zip(&present.acked).take_while(|(_, acked)| **acked <= at);
    for (n, (claim, _)) in said.enumerate() {
        fate(n, claim.is_in(image), json);
    }
    json.close(']');
}

/// A process that died: the machine goes on, and nothing has to be recovered.
fn alive(play: &Play) -> Back {
    Back { image: play.sim().shown(), journal: Vec::new(), steps: Vec::new() }
}

/// What a death leaves, as it is chosen.
fn left(play: &Play, how: machine::Death, pick: Pick) -> Media {
    let mut chooser: Box<dyn Chooser> = match pick {
        Pick::First => Box::new(First),
        Pick::Last => Box::new(Last),
        Pick::Seed(seed) => Box::new(Seeded::new(seed)),
    };
    play.cut(how, &mut *chooser)
}

/// A mount, from the moment at which the power is back.
fn mounted(mut media: Media, seed: u64) -> Result<Back, Refused> {
    let refused = |error: &dyn std::fmt::Display| Refused::new(format!("the mount fails: {error}"));
    let journal = media.journal();
    let journal = journal.iter().map(|it| (it.tid.0, it.blocks, it.whole)).collect();
    let image = media.image().map_err(|error| refused(&error))?;
    let sim = media.boot(seed).map_err(|error| refused(&error))?;
    let mut steps = Vec::new();
    let mut up = false;
    // A mount ends; what writes home what was replayed goes on for a while behind it.
    while let Some(event) = sim.step() {
        up |= event.kind == Kind::Mounted;
        if steps.len() < STEPS {
            steps.push(told(&event));
        }
        if up || steps.len() >= STEPS {
            break;
        }
    }
    Ok(Back { image, journal, steps })
}

fn told(event: &Event) -> (u8, &'static str, String) {
    let mut words = String::new();
    // A text takes all that is written to it.
    timeline::words(&event.kind, &mut words).unwrap_or_default();
    (event.layer as u8, timeline::name(&event.kind), words)
}

/// Where there is no machine, a state of the model: the oldest of all, the newest, or one by chance.
fn of_model(present: &mut Present, play: &Play, how: Death, pick: Pick) -> Result<Back, Refused> {
    let none = || Refused::new("no model speaks for this file system");
    let model = present.knobs.model().ok_or_else(none)?;
    present.ask(&model);
    let how = if how == Death::Crash { machine::Death::Crash } else { machine::Death::Cut };
    let models = present.models.iter().find(|models| models.name == model.name);
    let crash = models.and_then(|models| models.crash(how)).ok_or_else(none)?;
    let chooser: Box<dyn ondisk_sim::Chooser> = match pick {
        Pick::First => Box::new(Oldest),
        Pick::Last => Box::new(Newest),
        Pick::Seed(seed) => Box::new(ondisk_sim::Seeded::new(seed)),
    };
    let image = crash.at(play.sim().here()).state(chooser).image();
    Ok(Back { image, journal: Vec::new(), steps: Vec::new() })
}
