//! The power-cut harness over the log on the layered machine: every moment at which the drive
//! moved, several ways to die, and a second life on the machine that is mounted again.
//!
//! Invariant: the log knows nothing of the machine, and the verdict is the same as on the
//! operations level; everything follows from the shape, the machine and the seed.

use ondisk_log::{LogError, Sabotage};
use ondisk_sim::machine::choice::{Chooser, First, Last, Seeded};
use ondisk_sim::machine::ids::TaskId;
use ondisk_sim::machine::machine_fs::MachineFs;
use ondisk_sim::machine::media::Shot;
use ondisk_sim::machine::{Config, Death, Sim};
use ondisk_sim::{Ack, Image, MemFs};

use crate::log_life::{Owed, judge, live, next_owed, open};
use crate::power_cut::{Run, Shape};
use crate::stage::{Note, Stage, last_chapter, notes};

impl Stage for MachineFs {
    fn share(&self) -> std::sync::Arc<dyn ondisk_fs::FileSystem> {
        std::sync::Arc::new(self.clone())
    }

    fn note(&self, note: &Note) {
        self.sim().ack(&note.encode());
    }

    fn label(&self, _: &str) {}
}

/// A log that lives on a machine and is cut there.
#[derive(Clone, Debug)]
pub struct OnMachine {
    /// What it does.
    pub shape: Shape,
    /// Which of its kind.
    pub seed: u64,
    /// Where.
    pub config: Config,
    /// The rule of the log that is broken.
    pub sabotage: Option<Sabotage>,
    /// Moments of a life that are looked at, at most.
    pub moments: usize,
}

/// What was looked at.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// Different contents of the media, each recovered and judged.
    pub images: u64,
    /// Deaths.
    pub deaths: u64,
    /// Lives on a machine.
    pub lives: u64,
    /// Events of these lives.
    pub events: u64,
}

impl OnMachine {
    /// Two lives, cut everywhere.
    ///
    /// # Errors
    /// The first verdict that is broken, in words.
    pub fn explore(&self, counts: &mut Counts) -> Result<(), String> {
        let sim = Sim::new(self.config.clone(), &Image::new(), self.seed).map_err(text)?;
        let past = Owed { life: 1, at_risk: self.run().at_risk(), ..Owed::default() };
        let (shots, acks) = self.live(&sim, 1, counts)?;
        let mut chosen = None;
        let middle = shots.len() / 2;
        for (at, shot) in shots.iter().enumerate() {
            let served = self.deaths(shot, &acks, &past, counts)?;
            if at == middle {
                chosen = Some((shot, served));
            }
        }
        let Some((shot, Some(_))) = chosen else { return Ok(()) };
        // The second life begins on what a cut in the middle of the first left.
        let before = before(&acks, shot);
        let sim =
            shot.cut(Death::Cut, &mut Seeded::new(self.seed)).mount(self.seed + 1).map_err(text)?;
        let fs = sim.fs(TaskId(1));
        let (log, served) = open(&fs, self.run().options()).map_err(text)?;
        drop(log);
        let noted = notes(&before);
        let owed = next_owed(&past, last_chapter(&noted).1, served, self.run().at_risk());
        let (shots, acks) = self.live(&sim, 2, counts)?;
        for shot in &shots {
            self.deaths(shot, &acks, &owed, counts)?;
        }
        Ok(())
    }

    fn run(&self) -> Run {
        let model = ondisk_sim::Model::default();
        let depth = crate::power_cut::Depth::default();
        Run { shape: self.shape, seed: self.seed, model, depth, sabotage: self.sabotage }
    }

    /// Opens the log and lives; gives the moments at which to die, and what was acknowledged.
    fn live(
        &self,
        sim: &Sim,
        life: u8,
        counts: &mut Counts,
    ) -> Result<(Vec<Shot>, Vec<Ack>), String> {
        sim.watch(false);
        let fs = sim.fs(TaskId(1));
        sim.keep_shots(1);
        let before = sim.events();
        let (log, _) = open(&fs, self.run().options()).map_err(text)?;
        fs.note(&Note::Opened);
        let lived: Result<u32, LogError> = live(&fs, &log, life, &self.run().ops(life));
        lived.map_err(text)?;
        drop(log);
        counts.lives += 1;
        counts.events += u64::from(sim.events() - before);
        sim.keep_shots(0);
        let mut shots = sim.shots();
        let stride = shots.len().div_ceil(self.moments).max(1);
        let mut at = 0;
        // The last moments are kept: a life ends with what it acknowledged last.
        let last = shots.len().saturating_sub(20);
        shots.retain(|_| {
            at += 1;
            at % stride == 0 || at > last
        });
        shots.push(sim.shot());
        let acks = sim.history().map(|history| history.acks).unwrap_or_default();
        Ok((shots, acks))
    }

    /// Dies at a moment in several ways; gives whether the log had been opened before.
    fn deaths(
        &self,
        shot: &Shot,
        acks: &[Ack],
        owed: &Owed,
        counts: &mut Counts,
    ) -> Result<Option<()>, String> {
        let noted = notes(&before(acks, shot));
        let (openings, last) = last_chapter(&noted);
        let mut seen = std::collections::BTreeSet::new();
        let ways = [
            (Death::Cut, Box::new(First) as Box<dyn Chooser>),
            (Death::Cut, Box::new(Last)),
            (Death::Cut, Box::new(Seeded::new(self.seed ^ shot.now().0))),
            (Death::Crash, Box::new(First)),
        ];
        for (how, mut chooser) in ways {
            counts.deaths += 1;
            let mut media = shot.cut(how, &mut *chooser);
            let digest = media.digest();
            if !seen.insert((digest.0, digest.1)) {
                continue;
            }
            counts.images += 1;
            let image = media.image().map_err(text)?;
            let fs = MemFs::from_image(&image);
            let (_, served) =
                open(&fs, self.run().options()).map_err(|error| self.told(shot, how, &error))?;
            if openings == 0 {
                let old: Vec<_> = served.iter().filter(|(_, id)| id.life == owed.life).collect();
                if !old.is_empty() {
                    return Err(self.told(shot, how, &"a log that nobody opened serves something"));
                }
                continue;
            }
            judge(owed, last, &served).map_err(|why| self.told(shot, how, &why))?;
        }
        Ok((openings > 0).then_some(()))
    }

    fn told(&self, shot: &Shot, how: Death, why: &dyn std::fmt::Display) -> String {
        let (shape, seed, at) = (self.shape.name, self.seed, shot.event().0);
        format!("shape {shape}, seed {seed}, {how:?} at event {at}: {why}\n{:?}", self.config)
    }
}

fn before(acks: &[Ack], shot: &Shot) -> Vec<Ack> {
    acks.iter().filter(|ack| ack.at < shot.at()).cloned().collect()
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
