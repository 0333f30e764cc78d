//! Refinement: whatever the layered machine leaves at a death, the operations level allows.
//!
//! Invariant: every moment of a run at which the media or the history changed is cut, under
//! several choosers, and so is every moment of the mount after it; an image is refused only by the
//! membership test of the model that belongs to the mount, or, while a journal is replayed, because
//! it is not the one that the replay began with.

use std::collections::BTreeSet;

use ondisk_sim::machine::choice::{Chooser, First, Last, Seeded};
use ondisk_sim::machine::config::{DataMode, FlushIs, Mount, Sabotage};
use ondisk_sim::machine::event::{Event, Kind, Txn};
use ondisk_sim::machine::ids::Lba;
use ondisk_sim::machine::media::Media;
use ondisk_sim::machine::play::{Play, Stage};
use ondisk_sim::machine::{Config, Death, Sim};
use ondisk_sim::ops::script::Script;
use ondisk_sim::{At, History, Image, Member, Membership, Model, Node};

mod case;
pub mod script;
mod shrink;

use script::Dice;

/// Mistakes of the machine that may be planted.
pub const MISTAKES: [Sabotage; 35] = [
    Sabotage::NoFlushBeforeCommit,
    Sabotage::FlushForgetsCache,
    Sabotage::FuaAckedFromCache,
    Sabotage::CapacitorEmpty,
    Sabotage::GcLosesPage,
    Sabotage::EraseBeforeCopy,
    Sabotage::StaleSeqWins,
    Sabotage::SavedMapIsAll,
    Sabotage::OrderedDataDropped,
    Sabotage::RevokeForgotten,
    Sabotage::CommitBlockEarly,
    Sabotage::TailMovedWithoutFlush,
    Sabotage::FreedBlockReusedEarly,
    Sabotage::ConvertedBeforeDone,
    Sabotage::FsyncWithoutCommit,
    Sabotage::CheckpointBeforeCommit,
    Sabotage::FrozenNot,
    Sabotage::ChecksumIgnored,
    Sabotage::ReplayIgnoresRevoke,
    Sabotage::ReplayWithoutCommit,
    Sabotage::MergeIntoFlush,
    Sabotage::FlushShared,
    Sabotage::DeadlineIgnoresExpiry,
    Sabotage::FuaDropped,
    Sabotage::PostflushSkipped,
    Sabotage::WritebackErrorKept,
    Sabotage::ErrorNotTold,
    Sabotage::DsyncSyncsNothing,
    Sabotage::PartialWriteForgetsRead,
    Sabotage::RewriteForgotten,
    Sabotage::DirsLockedAsNamed,
    Sabotage::TailNotZeroed,
    Sabotage::CloseWithoutCommit,
    Sabotage::NamesNotCommitted,
    Sabotage::VerifierIgnored,
];

/// One run: what is done in each life, and the machine that it is done on.
#[derive(Clone, Debug)]
pub struct Case {
    /// The texts, a life each.
    pub lives: Vec<String>,
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
    /// Events of the runs.
    pub events: u64,
    /// Images of which the membership test could say nothing.
    pub unknown: u64,
    /// Lives after the first.
    pub later_lives: u64,
    /// Deaths while a mount replayed, or wrote home what it had.
    pub in_replay: u64,
    /// Deaths while a transaction was committing.
    pub in_commit: u64,
    /// Deaths between a write home and the next move of the journal's tail.
    pub in_checkpoint: u64,
    /// Deaths between a copy of the garbage collection and the next erasure.
    pub in_collection: u64,
    /// How often the journal began again at its first block.
    pub wraps: u64,
    /// Images that cuts left on drives that lie: they were looked at, and not judged.
    pub lied: u64,
}

impl Seen {
    /// Adds what another showed.
    pub fn add(&mut self, other: &Self) {
        self.deaths += other.deaths;
        self.images += other.images;
        self.events += other.events;
        self.unknown += other.unknown;
        self.later_lives += other.later_lives;
        self.in_replay += other.in_replay;
        self.in_commit += other.in_commit;
        self.in_checkpoint += other.in_checkpoint;
        self.in_collection += other.in_collection;
        self.wraps += other.wraps;
        self.lied += other.lied;
    }
}

/// What the machine is at, as its events tell it.
#[derive(Clone, Copy, Debug, Default)]
struct Phase {
    commits: bool,
    checkpoints: bool,
    collects: bool,
    /// Where the journal was written last.
    log: Option<Lba>,
}

impl Phase {
    fn follow(&mut self, event: &Event, seen: &mut Seen) {
        seen.events += 1;
        match event.kind {
            Kind::TxnState { to, .. } => {
                self.commits = matches!(to, Txn::Locked | Txn::Flush | Txn::Commit | Txn::Record);
            }
            Kind::Checkpointed { .. } => self.checkpoints = true,
            Kind::TailMoved { .. } => self.checkpoints = false,
            Kind::GcCopy { .. } => self.collects = true,
            Kind::Erased { .. } => self.collects = false,
            Kind::JWrite { lba, .. } => {
                seen.wraps += u64::from(self.log.is_some_and(|last| lba < last));
                self.log = Some(lba);
            }
            _ => {}
        }
    }

    fn count(&self, deaths: u64, seen: &mut Seen) {
        seen.deaths += deaths;
        seen.in_commit += deaths * u64::from(self.commits);
        seen.in_checkpoint += deaths * u64::from(self.checkpoints);
        seen.in_collection += deaths * u64::from(self.collects);
    }
}

impl Case {
    /// The model of its mount.
    #[must_use]
    pub fn model(&self) -> Model {
        let name = match &self.config.mount {
            Mount::Ext4(options) => match (options.data, options.dioread_lock, options.delalloc) {
                (DataMode::Journal, ..) => "ext4:journal",
                (DataMode::Writeback, ..) => "ext4:writeback",
                (_, _, false) => "ext4:nodelalloc",
                (_, true, true) => "ext4:dioread_lock",
                (..) => "ext4",
            },
            Mount::Tmpfs | Mount::Nfs => "posix",
        };
        Model::named(name).unwrap_or_default()
    }

    fn lies(&self) -> bool {
        self.config.drive.flush == FlushIs::Lies
    }

    /// Runs it, dies everywhere, and holds every image against the model.
    ///
    /// # Errors
    /// The first image that the model refuses, and where, in words.
    pub fn run(&self) -> Result<Seen, String> {
        let mut seen = Seen::default();
        let mut media = None;
        for life in 0..self.lives.len() {
            media = self.life(life, media, &mut seen)?;
            if media.is_none() {
                break;
            }
        }
        Ok(seen)
    }

    /// One life, on what a death of the one before left; gives what one of its own leaves.
    fn life(
        &self,
        life: usize,
        media: Option<Media>,
        seen: &mut Seen,
    ) -> Result<Option<Media>, String> {
        let text = &self.lives[life];
        let script = Script::parse(text).map_err(|error| format!("{error}\n{text}"))?;
        let seed = self.seed ^ ((life as u64) << 40);
        let stage = Stage { config: self.config.clone(), seed, ..Stage::default() };
        let play = match media {
            None => Play::new(&script, &stage),
            Some(media) => Play::on(self.mount(media, seed, seen)?, &script, &stage),
        };
        let mut play = play.map_err(|error| error.to_string())?;
        let mut found = Found::new(seed);
        let (mut last, mut phase) = (None, Phase::default());
        loop {
            let mark = (play.here(), play.sim().media_mark());
            if last != Some(mark) {
                phase.count(
                    found.deaths(&play, self.lies()).map_err(|error| self.told(life, &error))?,
                    seen,
                );
                last = Some(mark);
            }
            if !play.turn() {
                break;
            }
            while let Some(event) = play.sim().event() {
                phase.follow(&event, seen);
            }
        }
        self.judge(life, &found, &play.history(), seen)?;
        Ok(found.left)
    }

    /// Mounts what a death left, dying at every moment of that too: nobody calls anything, so what
    /// is found stays what it was.
    fn mount(&self, mut media: Media, seed: u64, seen: &mut Seen) -> Result<Sim, String> {
        seen.later_lives += 1;
        let before = media.image().map_err(|error| error.to_string())?;
        let sim = media.clone().boot(seed).map_err(|error| error.to_string())?;
        let mut dice = Dice::new(seed);
        let mut mark = None;
        loop {
            if mark.replace(sim.media_mark()) != Some(sim.media_mark()) {
                let mut ways: [(Death, Box<dyn Chooser>); 3] = [
                    (Death::Cut, Box::new(First)),
                    (Death::Cut, Box::new(Seeded::new(seed ^ sim.now().0))),
                    (Death::Crash, Box::new(Last)),
                ];
                for (how, chooser) in &mut ways {
                    (seen.deaths, seen.in_replay) = (seen.deaths + 1, seen.in_replay + 1);
                    let mut left = sim.cut(*how, &mut **chooser);
                    if self.lies() && *how == Death::Cut {
                        left.image().ok();
                        continue;
                    }
                    let image = left.image().map_err(|error| format!("{how:?}: {error}"))?;
                    if image != before {
                        let (was, is) = (brief(&before), brief(&image));
                        return Err(format!("{how:?} in a replay: before{was}\nthen{is}"));
                    }
                    // Now and then it is the second death that the next life begins with.
                    if dice.below(40) == 0 && !self.lies() {
                        media = left;
                    }
                }
            }
            while sim.event().is_some() {
                seen.events += 1;
            }
            if !sim.turn() {
                break;
            }
        }
        media.mount(seed).map_err(|error| error.to_string())
    }

    /// Holds all images of a life against the model.
    fn judge(
        &self,
        life: usize,
        found: &Found,
        history: &History,
        seen: &mut Seen,
    ) -> Result<(), String> {
        seen.images += found.images.len() as u64;
        let members = Membership::new(&self.model(), history.clone());
        for (at, how, image) in &found.images {
            // A cut of a drive that lies keeps no order at all: a journal whose tail has moved past
            // what never came to the media is no file system. A crash is as with any other.
            if self.lies() && *how == Death::Cut {
                seen.lied += 1;
                continue;
            }
            match members.at(*at).contains(image) {
                Member::Witness(_) => {}
                Member::Unknown => seen.unknown += 1,
                Member::Refuted(refused) => {
                    let what = format!("{how:?} at {}: {refused}\nimage: {}", at.0, brief(image));
                    let calls: Vec<String> = history
                        .calls
                        .iter()
                        .map(|call| {
                            let returned = call.returned.map_or(0, |at| at.0);
                            format!(
                                "{}-{returned} {:?} {:?}",
                                call.called.0, call.what, call.result
                            )
                        })
                        .collect();
                    return Err(self.told(life, &format!("{what}\n{}", calls.join("\n"))));
                }
            }
        }
        Ok(())
    }

    fn told(&self, life: usize, what: &str) -> String {
        let (name, lives) = (self.model().name, self.lives.join("--- then\n"));
        format!(
            "{what}\nmodel {name}, seed {}, life {}\n{lives}{:?}",
            self.seed,
            life + 1,
            self.config
        )
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

/// The images that were found, each once, and the media of one of them.
struct Found {
    digests: BTreeSet<(At, u64, u64)>,
    images: BTreeSet<(At, Death, Image)>,
    left: Option<Media>,
    dice: Dice,
    seed: u64,
}

impl Found {
    fn new(seed: u64) -> Self {
        let (digests, images) = (BTreeSet::new(), BTreeSet::new());
        Self { digests, images, left: None, dice: Dice::new(seed), seed }
    }

    /// Dies now in several ways; answers in how many.
    fn deaths(&mut self, play: &Play, lies: bool) -> Result<u64, String> {
        let at = play.here();
        let place = self.seed ^ (u64::from(at.0) << 8);
        let one = |n| Box::new(Seeded::new(place ^ n)) as Box<dyn Chooser>;
        let ways = [
            (Death::Cut, Box::new(First) as Box<dyn Chooser>),
            (Death::Cut, Box::new(Last)),
            (Death::Cut, one(1)),
            (Death::Cut, one(2)),
            (Death::Crash, one(3)),
        ];
        let count = ways.len() as u64;
        for (how, mut chooser) in ways {
            let mut media = play.sim().cut(how, &mut *chooser);
            let digest = media.digest();
            if self.digests.insert((at, digest.0, digest.1)) {
                let image = match media.image() {
                    Ok(image) => image,
                    Err(_) if lies && how == Death::Cut => continue,
                    Err(error) => return Err(format!("{how:?}: not mounted: {error}")),
                };
                self.images.insert((at, how, image));
                let is_whole = !lies || how == Death::Crash;
                if is_whole && self.dice.below(self.digests.len() as u64) == 0 {
                    self.left = Some(media);
                }
            }
        }
        Ok(count)
    }
}
