//! Drives that are written over and over: garbage, wear, the saved map.

use super::super::super::choice::{First, Seeded, Stream};
use super::super::super::config::Sabotage;
use super::super::super::event::Layer as Number;
use super::*;
use crate::machine::Death;

/// Which blocks are written.
#[derive(Clone, Copy, Debug)]
enum Pattern {
    /// Any.
    Random,
    /// One after the other.
    Sequential,
    /// Nine of ten in the first tenth.
    Hot,
}

/// A drive that is written all the time, and what it was given last.
struct Storm {
    host: Host,
    pattern: Pattern,
    chance: Stream,
    last: Vec<u64>,
    writes: u64,
    waits: Vec<RqId>,
}

impl Storm {
    fn new(config: &DriveConfig, pattern: Pattern, seed: u64) -> Self {
        let host = Host::new(config);
        let last = vec![0; config.blocks as usize];
        Self { host, pattern, chance: Stream::new(seed), last, writes: 0, waits: Vec::new() }
    }

    fn below(&mut self, n: u32) -> u32 {
        self.chance.below(Number::World, n)
    }

    /// Writes one block, with some others under way.
    fn write(&mut self) {
        let blocks = u32::try_from(self.last.len()).unwrap();
        let (any, cold) = (self.below(blocks), self.below(10) == 0);
        let lba = match self.pattern {
            Pattern::Sequential => u32::try_from(self.writes % u64::from(blocks)).unwrap(),
            Pattern::Hot if !cold => any / 10,
            Pattern::Random | Pattern::Hot => any,
        };
        self.writes += 1;
        self.last[lba as usize] = self.writes;
        let rq = self.host.write(Cmd::Write, lba, &[self.writes]);
        self.waits.push(rq);
        if self.waits.len() > 8 {
            self.answered();
        }
    }

    /// Waits for all answers.
    fn answered(&mut self) {
        for rq in std::mem::take(&mut self.waits) {
            self.host.wait(rq);
        }
        self.host.done.clear();
        self.host.cx.events.clear();
    }

    /// All that was written is durable.
    fn flushed(&mut self) {
        self.answered();
        let flush = self.host.flush();
        self.host.wait(flush);
    }

    /// What a drive that is switched on with this flash has that it should not.
    fn wrong(&self, config: &DriveConfig, flash: &Flash) -> Option<String> {
        let ssd = Ssd::new(config, flash.clone());
        (0..).zip(&self.last).find_map(|(lba, last)| {
            let remembered = flash.peek(Lba(lba));
            let found = ssd.peek(Lba(lba));
            let value = value(&self.host.cx.arena, found);
            (remembered != found || value != *last)
                .then(|| format!("{lba}: {value}, not {last}; remembered {remembered:?} {found:?}"))
        })
    }

    /// Writes so often, and looks now and then at what there would be after a power cut.
    fn run(&mut self, config: &DriveConfig, writes: u64) -> Result<(), String> {
        for _ in 0..writes {
            self.write();
            if self.below(500) == 0 {
                self.flushed();
                let steps = self.below(20);
                // What goes on behind a FLUSH, the mover's work, must not be seen.
                (0..steps).for_each(|_| _ = self.host.step());
                let arena = &mut self.host.cx.arena.clone();
                let flash = self.host.ssd.left_by(Death::Cut, arena, &mut First);
                if let Some(wrong) = self.wrong(config, &flash) {
                    return Err(wrong);
                }
            }
        }
        self.host.idle();
        self.wrong(config, self.host.ssd.flash()).map_or(Ok(()), Err)
    }
}

fn config(blocks: u32, pages: u16) -> DriveConfig {
    DriveConfig { blocks, pages, cache_blocks: 4, ..DriveConfig::default() }
}

const PATTERNS: [Pattern; 3] = [Pattern::Random, Pattern::Sequential, Pattern::Hot];

/// However often a drive is written over, no page is lost, at no moment.
#[test]
fn collection_loses_nothing() {
    for pattern in PATTERNS {
        for (blocks, pages) in [(60, 4), (200, 8), (1000, 16)] {
            let config = config(blocks, pages);
            let mut storm = Storm::new(&config, pattern, 3);
            storm.run(&config, 20_000).unwrap();
            let counters = storm.host.ssd.counters();
            assert!(counters.erased > 200 && counters.map > 20, "{counters:?}");
        }
    }
}

/// Each planted mistake is found.
#[test]
fn planted_mistakes_are_found() {
    let planted = [
        Sabotage::GcLosesPage,
        Sabotage::EraseBeforeCopy,
        Sabotage::StaleSeqWins,
        Sabotage::SavedMapIsAll,
    ];
    for sabotage in planted {
        let config = DriveConfig { sabotage: Some(sabotage), ..config(200, 8) };
        let found = (0..4)
            .any(|seed| Storm::new(&config, Pattern::Random, seed).run(&config, 20_000).is_err());
        assert!(found, "{sabotage:?} was not noticed");
    }
}

/// What the copies cost: nothing where whole erase blocks die, little where most are hot, and
/// with a spare of 70 ‰ no more than what uniform writes must cost.
#[test]
fn write_amplification_is_what_the_pattern_costs() {
    let config = DriveConfig { blocks: 4096, pages: 64, spare: 300, ..DriveConfig::default() };
    let cost = |pattern| {
        let mut storm = Storm::new(&config, pattern, 5);
        storm.run(&config, 40_000).unwrap();
        let counters = *storm.host.ssd.counters();
        assert_eq!(counters.programmed + counters.replaced, counters.host);
        assert_eq!(counters.write_amplification(), counters.nand() * 1000 / counters.host);
        counters.write_amplification()
    };
    let [random, sequential, hot] = PATTERNS.map(cost);
    assert!((1000..1030).contains(&sequential), "{sequential}");
    assert!((1200..2600).contains(&random), "{random}");
    assert!(hot < random, "{hot}");
}

/// However unevenly a drive is written, its erase blocks wear alike.
#[test]
fn wear_is_spread() {
    let config = config(400, 8);
    let mut storm = Storm::new(&config, Pattern::Hot, 11);
    // All of it is written once; from there on but a corner of it.
    for lba in 0..config.blocks {
        let rq = storm.host.write(Cmd::Write, lba, &[1]);
        storm.host.wait(rq);
        storm.host.done.clear();
    }
    for _ in 0..60_000 {
        let lba = storm.below(40);
        let rq = storm.host.write(Cmd::Write, lba, &[2]);
        storm.host.wait(rq);
        storm.host.done.clear();
        storm.host.cx.events.clear();
    }
    let wear: Vec<u32> = storm.host.ssd.flash().wear().collect();
    let (least, most) = (*wear.iter().min().unwrap(), *wear.iter().max().unwrap());
    assert!(most > 60, "{wear:?}");
    assert!(most - least <= 20, "{wear:?}");
    let counters = storm.host.ssd.counters();
    assert!(counters.levelled > 0 && counters.levelled < counters.host / 2, "{counters:?}");
}

/// A power cut at every step, while garbage is collected and the map saved, leaves what was
/// flushed; and the drive goes on with what is left.
#[test]
fn a_cut_at_every_step() {
    let config = config(60, 4);
    let mut storm = Storm::new(&config, Pattern::Random, 17);
    storm.run(&config, 900).unwrap();
    for round in 0..40 {
        for _ in 0..20 {
            storm.write();
        }
        storm.host.idle();
        // Nothing is owed now but what stands in flash: whatever the mover does from here on.
        let settled = storm.last.clone();
        (0..6).for_each(|_| storm.write());
        let mut more = true;
        while more {
            let arena = &mut storm.host.cx.arena.clone();
            let mut seeded = Seeded::new(round);
            let flash = storm.host.ssd.left_by(Death::Cut, arena, &mut seeded);
            let ssd = Ssd::new(&config, flash.clone());
            for (lba, (old, new)) in (0..).zip(settled.iter().zip(&storm.last)) {
                let found = ssd.peek(Lba(lba));
                assert_eq!(found, flash.peek(Lba(lba)), "a scan finds what is remembered");
                let found = value(arena, found);
                assert!(found == *old || (*old..=*new).contains(&found), "{lba}: {found}");
            }
            more = storm.host.step();
        }
    }
}

/// A drive that loses power again and again, in the midst of all it does, neither loses anything
/// nor comes to a standstill.
#[test]
fn cut_after_cut() {
    for (blocks, pages) in [(60, 4), (33, 2), (200, 8)] {
        let config = config(blocks, pages);
        let mut storm = Storm::new(&config, Pattern::Random, 23);
        for cut in 0..400 {
            let writes = u64::from(storm.below(40));
            (0..writes).for_each(|_| storm.write());
            storm.flushed();
            (0..storm.below(9)).for_each(|_| _ = storm.host.step());
            let arena = &mut storm.host.cx.arena;
            let flash = storm.host.ssd.left_by(Death::Cut, arena, &mut Seeded::new(cut));
            assert_eq!(storm.wrong(&config, &flash), None, "after {cut} cuts");
            let arena = storm.host.cx.arena.clone();
            storm.host = Host::with(&config, flash, arena);
            storm.waits.clear();
        }
    }
}
