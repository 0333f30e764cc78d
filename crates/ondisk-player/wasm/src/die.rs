//! What survives a death: of this very machine, in the ways that its death can go, and of all that
//! a model allows.
//!
//! Invariant: what is said of the machine was seen on media that a death left; what is said of a
//! model follows from its states. The two are never mixed. Work is bounded, whatever the run.

use ondisk_sim::machine::choice::{Choice, Chooser, First, Last, Seeded};
use ondisk_sim::machine::{self, Play};
use ondisk_sim::ops::verdict::Lost;
use ondisk_sim::{Image, Model};

use crate::carry::Present;
use crate::json::Json;
use crate::limits::FILES;
use crate::model::{Asked, Found, Models, Question, Want};
use crate::pictures::Pictures;
use crate::request::{Death, Refused};
use crate::words::sentence;

/// So many decisions by chance are tried, beside the least and the most that can be left.
const SEEDS: u64 = 3;
/// So many whole states by chance are looked at for all questions together,
const CHANCE: u64 = 12;
/// unless a file is longer than this.
const LARGE: usize = 256 << 10;
/// So many states are looked at for one question.
const STATES: u32 = 200;
/// So many contents of a file are told.
const CONTENTS: usize = 8;

/// What one death leaves, in the ways that were tried.
pub(crate) struct Left {
    pub(crate) images: Vec<Image>,
    /// Whether there are no others.
    pub(crate) exact: bool,
}

/// What a death now leaves.
pub(crate) fn left(play: &Play, how: Death, seed: u64) -> Left {
    let how = match how {
        Death::Kill => return Left { images: vec![play.sim().shown()], exact: true },
        Death::Crash => machine::Death::Crash,
        Death::Cut => machine::Death::Cut,
    };
    let shot = play.sim().shot();
    // What cannot be mounted holds nothing.
    let image = |chooser: &mut dyn Chooser| shot.cut(how, chooser).image().unwrap_or_default();
    let mut first = Noticing { inner: First, asked: false };
    let mut images = vec![image(&mut first)];
    if first.asked {
        images.push(image(&mut Last));
        let seeds = (0..SEEDS).map(|n| seed.wrapping_add(n));
        images.extend(seeds.map(|seed| image(&mut Seeded::new(seed))));
    }
    Left { images, exact: !first.asked }
}

/// Notices whether anything was left to chance.
struct Noticing<C> {
    inner: C,
    asked: bool,
}

impl<C: Chooser> Chooser for Noticing<C> {
    fn pick(&mut self, at: Choice, answers: u32) -> u32 {
        self.asked |= answers > 1;
        self.inner.pick(at, answers)
    }
}

/// What becomes of a record or an acknowledgement.
struct Fate {
    n: usize,
    machine: Lost,
    model: Option<Lost>,
    survives: String,
    lost: String,
}

impl Fate {
    fn tell(&self, json: &mut Json) {
        json.open('{').field("n").number(self.n as u64);
        json.field("machine").string(self.machine.word()).field("model");
        match self.model {
            Some(lost) => json.string(lost.word()),
            None => json.null(),
        };
        json.field("survives").string(&self.survives).field("lost").string(&self.lost).close('}');
    }
}

/// Answers `die`.
pub(crate) fn answer(
    present: &mut Present,
    at: u32,
    how: Death,
    model: Option<&str>,
) -> Result<String, Refused> {
    let play = present.at(at);
    let model = asked_model(present, model)?;
    if let Some(model) = &model {
        present.ask(model);
    }
    let name = model.map_or("", |model| model.name);
    let models = present.models.iter().find(|models| models.name == name);
    let death = match how {
        Death::Crash => machine::Death::Crash,
        Death::Cut | Death::Kill => machine::Death::Cut,
    };
    let crash = models.filter(|_| how != Death::Kill).and_then(|models| models.crash(death));
    // Whole states of large files are dear.
    let large = play.sim().shown().files().any(|(_, bytes)| bytes.len() > LARGE);
    let by_chance = if large { 0 } else { CHANCE };
    let asked = crash.map(|crash| {
        let mut asked = Asked::new(crash.at(play.sim().here()), STATES);
        asked.share(by_chance);
        asked
    });
    let left = match present.is_machine() || how == Death::Kill {
        true => left(&play, how, present.knobs.seed),
        false => Left { images: Vec::new(), exact: false },
    };
    let alike = how == Death::Kill && model.is_some();
    let (all, left) = (left.exact, Pictures::of(left.images));
    Ok(Dying { present, play: &play, left, all, asked, alike, exact: true }.tell(at, how, name))
}

/// The model that is asked for, or the one of the file system; none where no model speaks.
fn asked_model(present: &Present, name: Option<&str>) -> Result<Option<Model>, Refused> {
    let own = present.knobs.model();
    match name {
        Some(name) if own.is_some() => {
            let none = || Refused::new(format!("there is no model `{name}`"));
            Model::named(name).map(Some).ok_or_else(none)
        }
        _ => Ok(own),
    }
}

/// A death that is being told.
struct Dying<'a> {
    present: &'a Present,
    play: &'a Play,
    left: Pictures,
    /// Whether there is nothing else that the machine may leave.
    all: bool,
    asked: Option<Asked<'a>>,
    /// The model says what the machine shows: of a page cache all say the same.
    alike: bool,
    /// Whether all that the model was asked was answered for certain.
    exact: bool,
}

impl Dying<'_> {
    fn tell(mut self, at: u32, how: Death, model: &str) -> String {
        let records: Vec<Fate> = self.records(at);
        let acks: Vec<Fate> = self.acks(at);
        let files = self.files(model);
        let states = self.asked.as_ref().map_or(self.left.len() as u64, Asked::states);
        let exact = if self.asked.is_some() { self.exact } else { self.all };
        let mut json = Json::default();
        json.open('{').field("ok").flag(true).field("event").number(at.into());
        json.field("how").string(how.word()).field("model").string(model);
        json.field("states").number(states).field("exact").flag(exact);
        json.field("records").open('[');
        records.iter().for_each(|fate| fate.tell(&mut json));
        json.close(']').field("acks").open('[');
        acks.iter().for_each(|fate| fate.tell(&mut json));
        json.close(']').field("files").open('[');
        for (path, by, may_be, exact) in files {
            json.open('{').field("path").string(&path).field("by").string(&by);
            json.field("may_be").strings(&may_be).field("exact").flag(exact).close('}');
        }
        json.close(']').close('}');
        json.text()
    }

    /// The records that were begun.
    fn records(&mut self, at: u32) -> Vec<Fate> {
        let present = self.present;
        let begun =
            present.records.iter().zip(&present.begun).take_while(|(_, begun)| **begun <= at);
        let mut all = Vec::new();
        let shown = self.play.sim().shown();
        for (n, (record, _)) in begun.enumerate() {
            let record = record.named(record.name_in(self.play, &shown));
            let path = record.name.as_ref().unwrap_or(&record.path);
            all.push(self.fate(
                n,
                record.name.is_some(),
                &Question {
                    want: Want::Bytes { path, at: record.at, bytes: &record.bytes },
                    is_in: &|image| record.is_there(image),
                    path: &|_| Some(path),
                    first: Some(path),
                },
            ));
        }
        all
    }

    /// The acknowledgements that were made. What the last of them speaks for others often do too.
    fn acks(&mut self, at: u32) -> Vec<Fate> {
        let (present, play) = (self.present, self.play);
        let said = play.claims().iter().zip(&present.acked).take_while(|(_, acked)| **acked <= at);
        let said: Vec<_> = said.map(|(claim, _)| claim).enumerate().collect();
        let mut all = Vec::new();
        for (n, claim) in said.into_iter().rev() {
            let first = claim.files.first().map(|file| file.path.as_path());
            // Where it is lost, the file that is.
            let path = |image: &Image| {
                let lost = claim.files.iter().find(|file| !file.is_in(image));
                lost.map(|file| file.path.as_path()).or(first)
            };
            all.push(self.fate(
                n,
                true,
                &Question {
                    want: Want::Files(&claim.files),
                    is_in: &|image| claim.is_in(image),
                    path: &path,
                    first,
                },
            ));
        }
        all.reverse();
        all
    }

    fn fate(&mut self, n: usize, named: bool, question: &Question<'_>) -> Fate {
        let (mut survives, mut gone, mut lost) = (None, None, 0);
        for nth in 0..self.left.len() {
            let Some(image) = self.left.images().nth(nth) else { break };
            let (is_there, path) = ((question.is_in)(image), (question.path)(image));
            lost += usize::from(!is_there);
            let slot = if is_there { &mut survives } else { &mut gone };
            if slot.is_none() {
                let left = &mut self.left;
                *slot =
                    Some(path.map_or_else(String::new, |path| sentence(path, &left.is(nth, path))));
            }
        }
        let own = match lost {
            0 => Lost::Never,
            lost if lost == self.left.len() => Lost::Always,
            _ => Lost::Sometimes,
        };
        let found = self.asked.as_mut().map(|asked| match named {
            true => asked.one(question),
            // Its file has no name any more: nobody will find it.
            false => Found {
                lost: Lost::Always,
                exact: true,
                survives: String::new(),
                gone: question.first.map_or_else(String::new, |path| sentence(path, "absent")),
            },
        });
        let mut model = self.alike.then_some(own);
        let (mut there, mut not) = (survives.unwrap_or_default(), gone.unwrap_or_default());
        if let Some(found) = found {
            self.exact &= found.exact;
            model = Some(found.lost);
            there = if there.is_empty() { found.survives } else { there };
            not = if not.is_empty() { found.gone } else { not };
        }
        // Where there is no machine, its model is all there is.
        let machine = if self.left.len() == 0 { model.unwrap_or(Lost::Always) } else { own };
        Fate { n, machine, model, survives: there, lost: not }
    }

    /// What each file may be.
    fn files(&mut self, model: &str) -> Vec<(String, String, Vec<String>, bool)> {
        let mut all = Vec::new();
        for path in self.present.files.iter().take(FILES) {
            let name = path.display().to_string();
            let may_be = self.left.may_be(path);
            if !may_be.is_empty() {
                all.push((name.clone(), "machine".to_owned(), may_be, self.all));
            }
            if let Some(asked) = &mut self.asked {
                let (may_be, exact) = asked.contents(CONTENTS, path);
                all.push((name, model.to_owned(), may_be, exact));
            }
        }
        all
    }
}

impl Present {
    /// Makes a model ready to be asked.
    pub(crate) fn ask(&mut self, model: &Model) {
        if self.models.iter().any(|known| known.name == model.name) {
            return;
        }
        // All of them at once would be much to keep.
        if self.models.len() >= 3 {
            self.models.remove(0);
        }
        let history = self.end().history();
        let models = Models::new(model, &history, self.knobs.is_honest());
        self.models.push(models);
    }
}
