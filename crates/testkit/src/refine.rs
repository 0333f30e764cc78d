//! Refinement: whatever the layered machine leaves at a death, the operations level allows.
//!
//! Invariant: every moment of a run at which the media or the history changed is cut, under
//! several choosers; an image is refused only by the membership test of the model that belongs to
//! the mount.

use std::collections::BTreeSet;

use ondisk_sim::machine::choice::{Chooser, First, Last, Seeded};
use ondisk_sim::machine::config::{
    DataMode, DriveCache, Ext4Options, FlushIs, Link, Mount, Sabotage, Scheduler, Share,
};
use ondisk_sim::machine::play::{Play, Stage};
use ondisk_sim::machine::{Config, Death};
use ondisk_sim::ops::script::Script;
use ondisk_sim::{At, Image, Member, Membership, Model, Node};

pub mod script;

use script::Dice;

/// One run: a script and the machine that it runs on.
#[derive(Clone, Debug)]
pub struct Case {
    /// The text.
    pub script: String,
    /// The machine.
    pub config: Config,
    /// Of the run.
    pub seed: u64,
}

/// What a case showed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen {
    /// Cuts and crashes looked at.
    pub deaths: u64,
    /// Different images among them.
    pub images: u64,
    /// Events of the run.
    pub events: u64,
    /// Images of which the membership test could say nothing.
    pub unknown: u64,
}

impl Seen {
    /// Adds what another showed.
    pub fn add(&mut self, other: &Self) {
        self.deaths += other.deaths;
        self.images += other.images;
        self.events += other.events;
        self.unknown += other.unknown;
    }
}

impl Case {
    /// The case of a number.
    #[must_use]
    pub fn of(number: u64) -> Self {
        let mut dice = Dice::new(number ^ 0xC0FF_EE00);
        let mut options = Ext4Options::default();
        match dice.below(10) {
            0 => options.dioread_lock = true,
            1 => options.delalloc = false,
            2 => options.data = DataMode::Writeback,
            3 | 4 => options.data = DataMode::Journal,
            _ => {}
        }
        options.journal = [64, 128, 1024][usize::try_from(dice.below(3)).unwrap_or(0)];
        let mut config = Config { mount: Mount::Ext4(options), ..Config::default() };
        config.block.scheduler = match dice.below(3) {
            0 => Scheduler::None,
            1 => Scheduler::MqDeadline,
            _ => Scheduler::Bfq,
        };
        config.drive.cache = match dice.below(4) {
            0 => DriveCache::Capacitor,
            1 => DriveCache::None,
            _ => DriveCache::Volatile,
        };
        if dice.below(3) == 0 {
            config.drive.link = Link::Sata;
        }
        if dice.below(3) == 0 {
            config.cache.share = Share::Fresh;
        }
        config.drive.torn = dice.below(3) == 0;
        if dice.below(4) == 0 {
            config.drive.cache_blocks = 4;
        }
        // A drive so small that it has to clean up after itself.
        config.drive.blocks = options.blocks;
        Self { script: script::script(number), config, seed: number }
    }

    /// The model of its mount, and of its drive's word.
    #[must_use]
    pub fn model(&self) -> Model {
        let name = match &self.config.mount {
            Mount::Ext4(options) => match (options.data, options.dioread_lock, options.delalloc) {
                (DataMode::Journal, ..) => "ext4:journal",
                (DataMode::Writeback, ..) => "ext4:writeback",
                (_, true, true) => "ext4:dioread_lock",
                (_, false, false) => "ext4:nodelalloc",
                (..) => "ext4",
            },
            Mount::Tmpfs | Mount::Nfs => "posix",
        };
        Model::named(name).unwrap_or_default()
    }

    /// Runs it, dies everywhere, and holds every image against the model.
    ///
    /// # Errors
    /// The first image that the model refuses, and where, in words.
    pub fn run(&self) -> Result<Seen, String> {
        let script =
            Script::parse(&self.script).map_err(|error| format!("{error}\n{}", self.script))?;
        let stage = Stage { config: self.config.clone(), seed: self.seed, ..Stage::default() };
        let mut play = Play::new(&script, &stage).map_err(|error| error.to_string())?;
        let mut seen = Seen::default();
        let mut found = Found::default();
        let mut last = None;
        loop {
            let mark = (play.here(), play.sim().media_mark());
            if last != Some(mark) {
                found.deaths(&play, self.seed, &mut seen).map_err(|error| self.told(&error))?;
                last = Some(mark);
            }
            if !play.turn() {
                break;
            }
            while play.sim().event().is_some() {
                seen.events += 1;
            }
        }
        seen.images = found.images.len() as u64;
        let lies = self.config.drive.flush == FlushIs::Lies;
        let members = Membership::new(&self.model(), play.history());
        for (at, how, image) in &found.images {
            if lies && *how == Death::Cut {
                continue;
            }
            match members.at(*at).contains(image) {
                Member::Witness(_) => {}
                Member::Unknown => seen.unknown += 1,
                Member::Refuted(refused) => {
                    let what = format!("{how:?} at {}: {refused}\nimage: {}", at.0, brief(image));
                    return Err(self.told(&what));
                }
            }
        }
        Ok(seen)
    }

    fn told(&self, what: &str) -> String {
        let name = self.model().name;
        format!("{what}\nmodel {name}, seed {}\n{}{:?}", self.seed, self.script, self.config)
    }

    /// The same case with a mistake planted.
    #[must_use]
    pub fn with(mut self, sabotage: Sabotage) -> Self {
        self.config.sabotage = Some(sabotage);
        self
    }
}

/// An image in one line: the bytes of files as runs of letters.
fn brief(image: &Image) -> String {
    use std::fmt::Write as _;
    let mut text = String::new();
    for (path, node) in &image.nodes {
        // Writing to a string cannot fail.
        write!(text, " {}", path.display()).ok();
        match node {
            Node::Dir => text.push('/'),
            Node::Symlink(target) => {
                write!(text, "->{}", target.escape_ascii()).unwrap_or_default()
            }
            Node::File(bytes) => {
                text.push('=');
                for run in bytes.chunk_by(|a, b| a == b) {
                    let letter = run.first().map_or(0, |letter| *letter).escape_ascii();
                    write!(text, "{letter}*{} ", run.len()).ok();
                }
            }
        }
    }
    text
}

/// The images that were found, each once.
#[derive(Default)]
struct Found {
    digests: BTreeSet<(At, u64, u64)>,
    images: BTreeSet<(At, Death, Image)>,
}

impl Found {
    fn deaths(&mut self, play: &Play, seed: u64, seen: &mut Seen) -> Result<(), String> {
        let at = play.here();
        let one = |n| Box::new(Seeded::new(seed ^ (u64::from(at.0) << 8) ^ n)) as Box<dyn Chooser>;
        let deaths = [
            (Death::Cut, Box::new(First) as Box<dyn Chooser>),
            (Death::Cut, Box::new(Last)),
            (Death::Cut, one(1)),
            (Death::Cut, one(2)),
            (Death::Crash, one(3)),
        ];
        for (how, mut chooser) in deaths {
            seen.deaths += 1;
            let mut media = play.cut(how, &mut *chooser);
            let digest = media.digest();
            if self.digests.insert((at, digest.0, digest.1)) {
                let image =
                    media.image().map_err(|error| format!("{how:?}: not mounted: {error}"))?;
                self.images.insert((at, how, image));
            }
        }
        Ok(())
    }
}
