//! How far each record has come, event by event.
//!
//! Invariant: a rung is what a look at the page cache, and at what a crash and a cut leave at worst,
//! shows in that moment; nothing is looked at twice that cannot have changed. Where the work has a
//! bound and meets it, the ladder ends, and says where.

use ondisk_sim::machine::choice::First;
use ondisk_sim::machine::{Death, Play};
use ondisk_sim::{At, Image};

use crate::json::Json;
use crate::model::{Asked, Models, Question, Want};
use crate::record::Record;
use ondisk_sim::ops::verdict::Lost;

/// How much is looked at in one run: about so many blocks.
const WORK: u64 = 400_000;
/// What it costs to mount what a death left, in blocks.
const MOUNT: u64 = 40;

/// A rung.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rung {
    Buffered,
    Cached,
    Device,
    Durable,
    /// The program itself took it away.
    Gone,
}

impl Rung {
    fn word(self) -> &'static str {
        match self {
            Self::Buffered => "buffered",
            Self::Cached => "cached",
            Self::Device => "device",
            Self::Durable => "durable",
            Self::Gone => "gone",
        }
    }
}

/// A look at the records, for a file system without a machine: what its model says of it is asked
/// when all calls are known.
#[derive(Debug)]
struct Look {
    event: u32,
    at: At,
    /// By record: whether the page cache holds it, and else where it is.
    records: Vec<(Rung, Record)>,
}

/// The ladder of a run.
#[derive(Debug, Default)]
pub(crate) struct Ladder {
    /// Event, record, rung.
    steps: Vec<(u32, usize, Rung)>,
    /// By record.
    now: Vec<Rung>,
    /// The last event that it is known at, if that is not the end.
    until: Option<u32>,
    work: u64,
    /// What the page cache shows, and since when.
    shown: Option<(At, Image)>,
    /// What the drive leaves at worst, as long as it does not move.
    left: Left,
    looks: Vec<Look>,
}

/// What a crash and a cut leave at worst; each is looked at when it is asked for.
#[derive(Debug, Default)]
struct Left {
    /// Of which moment of the drive.
    mark: u64,
    crashed: Option<Image>,
    cut: Option<Image>,
}

impl Left {
    /// Forgets what is no longer so.
    fn at(&mut self, mark: u64) {
        if self.mark != mark {
            *self = Self { mark, ..Self::default() };
        }
    }

    /// Whether a death leaves a record; what looking costs is added to the work.
    fn keeps(&mut self, how: Death, record: &Record, play: &Play, work: &mut u64) -> bool {
        let image = match how {
            Death::Crash => &mut self.crashed,
            Death::Cut | Death::Kill => &mut self.cut,
        };
        let image = image.get_or_insert_with(|| {
            // What cannot be mounted holds nothing.
            let image = play.cut(how, &mut First).image().unwrap_or_default();
            *work += MOUNT + blocks(&image);
            image
        });
        record.is_there(image)
    }
}

/// How many blocks an image is.
fn blocks(image: &Image) -> u64 {
    image.files().map(|(_, bytes)| 1 + (bytes.len() as u64 >> 12)).sum()
}

impl Ladder {
    /// Looks at all records behind a step of the machine, whose first event is told. `stirred`: the
    /// drive did something in it. On a file system without a machine only what the page cache shows
    /// counts.
    pub(crate) fn look(
        &mut self,
        (event, stirred): (u32, bool),
        play: &Play,
        records: &mut [Record],
        machine: bool,
    ) {
        if records.is_empty() || self.until.is_some() {
            return;
        }
        if self.work > WORK {
            self.until = Some(event.saturating_sub(1));
            (self.shown, self.left) = (None, Left::default());
            return;
        }
        let here = play.sim().here();
        let moved = self.shown.as_ref().is_none_or(|(at, _)| *at != here);
        if moved {
            self.show(play, records);
        }
        let known = self.now.len();
        self.now.resize(records.len(), Rung::Buffered);
        let new = known < records.len();
        if machine {
            if stirred {
                self.left.at(play.sim().media_mark());
            }
            if moved || new || stirred {
                self.climb(event, play, records, (moved, known));
            }
        } else if moved || new {
            let Some((_, shown)) = &self.shown else { return };
            let cached = |record: &Record| match record.is_there(shown) {
                true => Rung::Cached,
                false if record.name.is_none() => Rung::Gone,
                false => Rung::Buffered,
            };
            let records = records.iter().map(|record| (cached(record), record.clone())).collect();
            self.looks.push(Look { event, at: here, records });
        }
    }

    /// What the page cache shows now, under which names.
    fn show(&mut self, play: &Play, records: &mut [Record]) {
        let shown = play.sim().shown();
        self.work += blocks(&shown) + records.len() as u64;
        for record in records {
            record.name = record.name_in(play, &shown);
            if let Some(content) = record.name.as_ref().and_then(|name| shown.bytes(name)) {
                record.find(content);
            }
        }
        self.shown = Some((play.sim().here(), shown));
    }

    /// The rungs of this moment; so many records were there before, and the program may have moved.
    fn climb(
        &mut self,
        event: u32,
        play: &Play,
        records: &[Record],
        (moved, known): (bool, usize),
    ) {
        let Self { shown, left, now, steps, work, .. } = self;
        let Some((_, shown)) = shown else { return };
        for (n, record) in records.iter().enumerate() {
            let was = now[n];
            let mut keeps = |how| left.keeps(how, record, play, work);
            let rung = match record.is_there(shown) {
                false if record.name.is_none() || was != Rung::Buffered => Rung::Gone,
                false => Rung::Buffered,
                // What is durable stays so until the program does something.
                true if was == Rung::Durable && !moved => Rung::Durable,
                true if !keeps(Death::Crash) => Rung::Cached,
                true if !keeps(Death::Cut) => Rung::Device,
                true => Rung::Durable,
            };
            if n >= known || rung != was {
                steps.push((event, n, rung));
                now[n] = rung;
            }
        }
    }

    /// Asks a model for the rungs below the page cache.
    pub(crate) fn ask(&mut self, models: &Models) {
        let mut now: Vec<Option<Rung>> = Vec::new();
        let mut before: Vec<Option<Record>> = Vec::new();
        for look in std::mem::take(&mut self.looks) {
            if self.work > WORK {
                self.until = self.until.or(Some(look.event.saturating_sub(1)));
                break;
            }
            now.resize(look.records.len(), None);
            before.resize(look.records.len(), None);
            for (n, (cached, record)) in look.records.into_iter().enumerate() {
                let was = now[n];
                let same = before[n].as_ref().is_some_and(|before| before.name == record.name);
                let rung = match cached {
                    Rung::Gone => Rung::Gone,
                    Rung::Buffered if was.is_some_and(|was| was != Rung::Buffered) => Rung::Gone,
                    Rung::Buffered => Rung::Buffered,
                    _ if same && was == Some(Rung::Durable) => Rung::Durable,
                    _ => self.below(models, look.at, &record),
                };
                if was != Some(rung) {
                    self.steps.push((look.event, n, rung));
                }
                now[n] = Some(rung);
                before[n] = Some(record);
            }
        }
    }

    fn below(&mut self, models: &Models, at: At, record: &Record) -> Rung {
        let Some(name) = &record.name else { return Rung::Gone };
        let want = Want::Bytes { path: name, at: record.at, bytes: &record.bytes };
        let mut keeps = |how| {
            let Some(crash) = models.crash(how) else { return false };
            let mut asked = Asked::new(crash.at(at), 64);
            let (is_in, path) = (|image: &Image| record.is_there(image), |_: &Image| None);
            let question = Question { want, is_in: &is_in, path: &path, first: None };
            let lost = asked.one(&question).lost;
            self.work += 1 + asked.states();
            lost == Lost::Never
        };
        match (keeps(Death::Crash), keeps(Death::Cut)) {
            (false, _) => Rung::Cached,
            (true, false) => Rung::Device,
            (true, true) => Rung::Durable,
        }
    }

    pub(crate) fn tell(&self, last: u32, json: &mut Json) {
        json.field("ladder").open('[');
        for (event, n, rung) in &self.steps {
            json.open('[').number((*event).into()).number(*n as u64).string(rung.word()).close(']');
        }
        json.close(']').field("ladder_until").number(self.until.unwrap_or(last).into());
    }
}
