//! What this very machine loses: it dies at one moment after the other, and what is left is mounted.
//!
//! Invariant: whatever is told was seen on media that a death left. What a model allows is another
//! question: a machine shows a part of it.

use std::path::{Path, PathBuf};

use ondisk_sim::At;
use ondisk_sim::machine::Death as How;
use ondisk_sim::machine::choice::{Choice, Chooser, First, Last, Seeded};
use ondisk_sim::machine::play::{Play, Stage};
use ondisk_sim::ops::script::{MayBe, RelPath, Script};
use ondisk_sim::ops::verdict::Claim;
use ondisk_sim::ops::{Image, Node};
use serde::Serialize;

use super::config::{Fatal, When};
use super::input::Source;
use super::played::{Go, begin, go};
use crate::exit::Failure;
use crate::out::Progress;

/// At most so many moments are died at; of more, some.
const MOMENTS: u64 = 2000;
/// So many decisions by chance are tried, beside the least and the most that can be left.
const SEEDS: u64 = 3;

/// What the machine did with one acknowledgement.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Own {
    pub(crate) ack: String,
    pub(crate) line: u32,
    /// Which acknowledgement it is, counted from 1.
    pub(crate) number: usize,
    pub(crate) lost: &'static str,
    /// How many deaths after it were died, and how many took it.
    pub(crate) deaths: u64,
    pub(crate) losses: u64,
    /// The event from which on none took it; none where the last did.
    pub(crate) safe_from: Option<u32>,
    /// Whether each moment after it was died at.
    pub(crate) every_moment: bool,
    /// The first loss; empty without one.
    pub(crate) story: String,
    /// The files that it speaks for.
    #[serde(skip)]
    pub(crate) files: Vec<String>,
}

/// What was found at all deaths.
pub(crate) struct Deaths {
    /// By claim.
    pub(crate) own: Vec<Own>,
    /// What each file of the script is behind the last death.
    pub(crate) files: Vec<(RelPath, Vec<MayBe>)>,
    /// Whether the last death left nothing to chance.
    pub(crate) exact: bool,
    /// What the last death left.
    pub(crate) images: Vec<Image>,
    /// The place in the history of the last death.
    pub(crate) at: At,
}

/// What is to be died, and of what.
pub(crate) struct Dying<'a> {
    pub(crate) source: &'a Source,
    pub(crate) script: &'a Script,
    pub(crate) stage: &'a Stage,
    pub(crate) how: Fatal,
    /// At which event; at all of them; or, without one, at the end.
    pub(crate) when: Option<When>,
    pub(crate) files: &'a [RelPath],
}

/// How one acknowledgement fared so far.
#[derive(Clone, Debug, Default)]
struct Fared {
    deaths: u64,
    losses: u64,
    safe_from: Option<u32>,
    /// The first loss: which file, what it was then, and at which event.
    first: Option<(String, MayBe, u32)>,
}

impl Dying<'_> {
    /// Dies, as often as is asked.
    pub(crate) fn all(&self) -> Result<Deaths, Failure> {
        let stride = match self.when {
            Some(When::All) => self.moments()?.div_ceil(MOMENTS).max(1),
            _ => 1,
        };
        let progress = Progress::after_a_second();
        let mut play = begin(self.source, self.script, self.stage)?;
        let mut fared: Vec<Fared> = Vec::new();
        let mut known = Moment::default();
        let (mut moments, mut dead) = (0, None);
        go(&mut play, &mut |play, events| {
            let last = events.last().map_or(0, |event| event.id.0);
            match self.when {
                Some(When::Event(event)) if event > last => return Ok(Go::On),
                Some(When::Event(_)) => {
                    let left = self.left(play);
                    fare(&mut fared, play, &left.images, last);
                    dead = Some((left, play.here()));
                    return Ok(Go::Stop);
                }
                Some(When::All) => {}
                None => return Ok(Go::On),
            }
            if known.is_new(self.how, play) && !play.claims().is_empty() {
                moments += 1;
                if moments % stride == 0 {
                    fare(&mut fared, play, &self.left(play).images, last);
                    progress.say(format_args!("dying: event {last}"));
                }
            }
            Ok(Go::On)
        })?;
        let (left, at) = match dead {
            Some(dead) => dead,
            None => {
                let left = self.left(&play);
                if !matches!(self.when, Some(When::Event(_))) {
                    fare(&mut fared, &play, &left.images, play.sim().events());
                }
                (left, play.here())
            }
        };
        let own = own(&play, &fared, self.how, stride == 1);
        let files = self.files.iter().map(|file| (file.clone(), may_be(&left.images, file)));
        Ok(Deaths { own, files: files.collect(), exact: left.exact, images: left.images, at })
    }

    /// How many different moments there are to die at.
    fn moments(&self) -> Result<u64, Failure> {
        let mut play = begin(self.source, self.script, self.stage)?;
        let (mut known, mut moments) = (Moment::default(), 0);
        go(&mut play, &mut |play, _| {
            moments += u64::from(known.is_new(self.how, play) && !play.claims().is_empty());
            Ok(Go::On)
        })?;
        Ok(moments)
    }

    /// What a death now leaves, in all the ways that are tried.
    fn left(&self, play: &Play) -> Left {
        let how = match self.how {
            Fatal::Kill => {
                return Left { images: vec![play.sim().shown()], exact: true };
            }
            Fatal::Crash => How::Crash,
            Fatal::Cut => How::Cut,
        };
        let shot = play.sim().shot();
        // What cannot be mounted holds nothing.
        let image = |chooser: &mut dyn Chooser| shot.cut(how, chooser).image().unwrap_or_default();
        let mut first = Asked { inner: First, asked: false };
        let mut images = vec![image(&mut first)];
        if first.asked {
            images.push(image(&mut Last));
            let seeds = (0..SEEDS).map(|n| self.stage.seed.wrapping_add(n));
            images.extend(seeds.map(|seed| image(&mut Seeded::new(seed))));
        }
        Left { images, exact: !first.asked }
    }
}

/// What one death leaves, in the ways that were tried.
struct Left {
    images: Vec<Image>,
    /// Whether there are no others.
    exact: bool,
}

/// Notices whether anything was left to chance.
struct Asked<C> {
    inner: C,
    asked: bool,
}

impl<C: Chooser> Chooser for Asked<C> {
    fn pick(&mut self, at: Choice, answers: u32) -> u32 {
        self.asked |= answers > 1;
        self.inner.pick(at, answers)
    }
}

/// All that what a death leaves depends on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Moment {
    media: u64,
    at: At,
    claims: usize,
}

impl Moment {
    /// Whether a death now may leave something else than one at the moment before.
    fn is_new(&mut self, how: Fatal, play: &Play) -> bool {
        let claims = play.claims().len();
        let now = match how {
            // A page cache changes by calls alone, and a drive by its own doing.
            Fatal::Kill => Self { media: 0, at: play.here(), claims },
            Fatal::Crash | Fatal::Cut => Self { media: play.sim().media_mark(), at: At(0), claims },
        };
        std::mem::replace(self, now) != now
    }
}

/// Looks for each acknowledgement so far in what a death left.
fn fare(fared: &mut Vec<Fared>, play: &Play, images: &[Image], event: u32) {
    fared.resize(play.claims().len(), Fared::default());
    for (claim, fared) in play.claims().iter().zip(fared) {
        let lost = images.iter().filter(|image| !claim.is_in(image)).count() as u64;
        fared.deaths += images.len() as u64;
        if fared.first.is_none() {
            fared.first = images.iter().find_map(|image| loss(claim, image, event));
        }
        fared.losses += lost;
        fared.safe_from = match fared.safe_from {
            _ if lost > 0 => None,
            None => Some(event),
            known => known,
        };
    }
}

/// The first file of an acknowledgement that an image does not hold, and what is there instead.
fn loss(claim: &Claim, image: &Image, event: u32) -> Option<(String, MayBe, u32)> {
    let file = claim.files.iter().find(|file| !file.is_in(image))?;
    Some((file.path.display().to_string(), node(image, &file.path), event))
}

fn own(play: &Play, fared: &[Fared], how: Fatal, every_moment: bool) -> Vec<Own> {
    let told = play.claims().iter().zip(play.said_at()).zip(fared).enumerate();
    let told = told.map(|(number, ((claim, place), fared))| Own {
        ack: String::from_utf8_lossy(&claim.text).into_owned(),
        line: place.line,
        number: number + 1,
        lost: match fared.losses {
            0 => "never",
            losses if losses == fared.deaths => "always",
            _ => "sometimes",
        },
        deaths: fared.deaths,
        losses: fared.losses,
        safe_from: fared.safe_from,
        every_moment,
        story: fared.first.as_ref().map_or_else(String::new, |(file, is, event)| {
            let death = match how {
                Fatal::Kill => "killed",
                Fatal::Crash => "crash",
                Fatal::Cut => "cut",
            };
            format!("{file} is {is} ({death} at event {event})")
        }),
        files: claim.files.iter().map(|file| file.path.display().to_string()).collect(),
    });
    told.collect()
}

/// What a file is in some images: each thing once.
pub(crate) fn may_be(images: &[Image], file: &RelPath) -> Vec<MayBe> {
    let path = PathBuf::from(String::from_utf8_lossy(file.as_bytes()).into_owned());
    let mut all = Vec::new();
    for image in images {
        let one = node(image, &path);
        if !all.contains(&one) {
            all.push(one);
        }
    }
    all
}

fn node(image: &Image, path: &Path) -> MayBe {
    match image.nodes.get(path) {
        None => MayBe::Absent,
        Some(Node::Dir) => MayBe::Dir,
        Some(Node::File(bytes) | Node::Symlink(bytes)) => MayBe::Is(bytes.clone()),
    }
}
