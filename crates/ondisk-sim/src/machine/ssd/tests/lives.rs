//! Many lives of a small drive, cut at any moment, held against what was promised.

use std::collections::BTreeMap;

use super::super::super::choice::{Choice, Chooser, Seeded, Stream};
use super::super::super::config::Sabotage;
use super::super::super::event::Layer as Number;
use super::*;
use crate::machine::Death;

/// Chance for a test.
struct Chance(Stream);

impl Chance {
    fn below(&mut self, n: u32) -> u32 {
        self.0.below(Number::World, n)
    }
}

/// What each block may be after a death: the values that it was given since it was last known to
/// be durable, in order; the first is the one that is durable.
#[derive(Clone, Default)]
struct Owed(BTreeMap<u32, Vec<u64>>);

impl Owed {
    fn versions(&mut self, lba: u32) -> &mut Vec<u64> {
        self.0.entry(lba).or_insert_with(|| vec![0])
    }

    /// All up to this version is as good as gone.
    fn durable(&mut self, lba: u32, value: u64) {
        let versions = self.versions(lba);
        if let Some(at) = versions.iter().position(|version| *version == value) {
            versions.drain(..at);
        }
    }
}

/// A command that was not answered yet, and what its answer promises.
struct Sent {
    rq: RqId,
    /// That its blocks are durable, not merely with the drive.
    durable: bool,
    promises: Vec<(u32, u64)>,
}

struct Life {
    host: Host,
    owed: Owed,
    sent: Vec<Sent>,
    /// For each block the last value that a write was answered for.
    answered: BTreeMap<u32, u64>,
    values: u64,
    config: DriveConfig,
}

impl Life {
    fn new(config: DriveConfig) -> Self {
        Self {
            host: Host::new(&config),
            owed: Owed::default(),
            sent: Vec::new(),
            answered: BTreeMap::new(),
            values: 0,
            config,
        }
    }

    fn busy(&self, lba: u32) -> bool {
        self.sent.iter().any(|sent| sent.promises.iter().any(|(at, _)| *at == lba))
    }

    fn write(&mut self, chance: &mut Chance) {
        let cmd = if chance.below(4) == 0 { Cmd::WriteFua } else { Cmd::Write };
        let lba = chance.below(self.config.blocks - 3);
        let count = 1 + chance.below(3);
        // As a block layer has it: two writes of one block are never under way at once.
        if (lba..lba + count).any(|lba| self.busy(lba)) {
            return;
        }
        let values: Vec<u64> = (1..=u64::from(count)).map(|i| self.values + i).collect();
        self.values += u64::from(count);
        let pairs: Vec<(u32, u64)> = (lba..).zip(values.iter().copied()).collect();
        for (lba, value) in &pairs {
            self.owed.versions(*lba).push(*value);
        }
        let rq = self.host.write(cmd, lba, &values);
        let durable = cmd == Cmd::WriteFua || self.config.cache != DriveCache::Volatile;
        self.sent.push(Sent { rq, durable, promises: pairs });
    }

    fn flush(&mut self) {
        let promises = self.answered.iter().map(|(lba, value)| (*lba, *value)).collect();
        let rq = self.host.flush();
        self.sent.push(Sent { rq, durable: true, promises });
    }

    /// Does one thing, and notes what was promised by it.
    fn step(&mut self) -> bool {
        let more = self.host.step();
        for done in std::mem::take(&mut self.host.done) {
            done.result.unwrap();
            let mine = |sent: &Sent| sent.rq == done.rq;
            let sent = self.sent.swap_remove(self.sent.iter().position(mine).unwrap());
            for (lba, value) in sent.promises {
                if sent.durable {
                    self.owed.durable(lba, value);
                }
                let last = self.answered.entry(lba).or_default();
                *last = value.max(*last);
            }
        }
        more
    }

    /// Cuts the power now and goes on with what is left. What is wrong with it, if anything.
    fn cut(&mut self, how: Death, seed: u64) -> Result<(), String> {
        let (host, config) = (&mut self.host, &self.config);
        let flash = host.ssd.left_by(how, &mut host.cx.arena, &mut Seeded::new(seed));
        let mut next = Host::with(config, flash.clone(), host.cx.arena.clone());
        next.next = host.next;
        for lba in 0..config.blocks {
            let content = next.ssd.peek(Lba(lba));
            if flash.peek(Lba(lba)) != content {
                return Err(format!("{lba}: what is remembered is not what a scan finds"));
            }
            let found = value(&next.cx.arena, content);
            let versions = self.owed.versions(lba);
            if how == Death::Crash && self.answered.get(&lba).is_some_and(|last| found < *last) {
                return Err(format!("{lba}: a crash took a block from the drive: {found}"));
            }
            if !versions.contains(&found) {
                return Err(format!("{lba}: {found} is none of {versions:?}"));
            }
            *versions = vec![found];
            self.answered.insert(lba, found);
        }
        self.sent.clear();
        self.host = next;
        Ok(())
    }
}

/// Some lives of a drive, one after the other.
fn lives(config: DriveConfig, seed: u64) -> Result<(), String> {
    let mut chance = Chance(Stream::new(seed));
    let mut life = Life::new(config);
    for cut in 0..6 {
        for _ in 0..chance.below(300) {
            match chance.below(12) {
                0 => life.flush(),
                1..5 => life.write(&mut chance),
                _ => {
                    life.step();
                }
            }
        }
        let how = if chance.below(4) == 0 { Death::Crash } else { Death::Cut };
        life.cut(how, seed + cut)?;
    }
    while life.step() {}
    life.cut(Death::Cut, seed)
}

fn configs() -> impl Iterator<Item = DriveConfig> {
    let caches = [DriveCache::Volatile, DriveCache::Capacitor, DriveCache::None];
    caches.into_iter().flat_map(|cache| {
        let shapes = [(24, 4, 6, 2), (40, 8, 3, 1), (17, 2, 40, 5), (64, 16, 64, 4)];
        shapes.map(|(blocks, pages, cache_blocks, channels)| DriveConfig {
            blocks,
            pages,
            cache_blocks,
            channels,
            cache,
            spare: 0,
            ..DriveConfig::default()
        })
    })
}

/// Whatever is promised holds, in every life of every drive, and nothing else is found.
#[test]
fn what_was_promised_is_there() {
    for config in configs() {
        for seed in 0..60 {
            if let Err(wrong) = lives(config, seed) {
                panic!("{config:?}, seed {seed}: {wrong}");
            }
        }
    }
}

/// Each planted mistake is found.
#[test]
fn planted_mistakes_are_found() {
    let planted = [
        Sabotage::FlushForgetsCache,
        Sabotage::FuaAckedFromCache,
        Sabotage::CapacitorEmpty,
        Sabotage::StaleSeqWins,
    ];
    for sabotage in planted {
        let mut all = configs().flat_map(|config| (0..60).map(move |seed| (config, seed)));
        let found = all.any(|(config, seed)| {
            lives(DriveConfig { sabotage: Some(sabotage), ..config }, seed).is_err()
        });
        assert!(found, "{sabotage:?} was not noticed");
    }
}

/// A lying FLUSH loses what it promised.
#[test]
fn a_lying_drive_is_found_out() {
    let lies = |config| DriveConfig { flush: FlushIs::Lies, ..config };
    assert!((0..60).any(|seed| lives(lies(small()), seed).is_err()));
}

/// Counts what is asked.
struct Asked(Vec<Choice>);

impl Chooser for Asked {
    fn pick(&mut self, at: Choice, _: u32) -> u32 {
        self.0.push(at);
        0
    }
}

#[test]
fn each_block_under_way_is_one_choice() {
    let mut host = Host::new(&DriveConfig { channels: 1, ..DriveConfig::default() });
    let rq = host.write(Cmd::Write, 0, &[1, 2]);
    host.wait(rq);
    host.write(Cmd::Write, 7, &[3]);
    let mut asked = Asked(Vec::new());
    host.ssd.left_by(Death::Cut, &mut host.cx.arena, &mut asked);
    let [a, b, c] = [0, 1, 7].map(Lba);
    assert_eq!(asked.0, [Choice::Cached(a), Choice::Cached(b), Choice::InFlight(c)]);
    asked.0.clear();
    host.ssd.left_by(Death::Crash, &mut host.cx.arena, &mut asked);
    assert_eq!(asked.0, [Choice::InFlight(c)]);
}
