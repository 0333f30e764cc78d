//! The log on the layered machine: cut at every move of the drive, on each scheduler and drive.
//!
//! Canaries: mistakes of the log that cuts alone show, and mistakes of the machine that break a log
//! that is right.

use ondisk_log::Sabotage as LogSabotage;
use ondisk_sim::machine::Config;
use ondisk_sim::machine::config::{
    DataMode, DriveCache, Ext4Options, Link, Mount, Sabotage, Scheduler,
};
use testkit::machine_cut::{Counts, OnMachine};
use testkit::power_cut::SHAPES;

/// The machines that a log is run on.
fn machines() -> Vec<Config> {
    let mut machines = Vec::new();
    let ext4 = |data| Mount::Ext4(Ext4Options { data, journal: 256, ..Ext4Options::default() });
    for (scheduler, cache, link, data) in [
        (Scheduler::None, DriveCache::Volatile, Link::Nvme, DataMode::Ordered),
        (Scheduler::MqDeadline, DriveCache::Volatile, Link::Sata, DataMode::Ordered),
        (Scheduler::Bfq, DriveCache::None, Link::Nvme, DataMode::Writeback),
        (Scheduler::None, DriveCache::Capacitor, Link::Sata, DataMode::Journal),
    ] {
        let mut config = Config { mount: ext4(data), ..Config::default() };
        config.block.scheduler = scheduler;
        config.drive.cache = cache;
        config.drive.link = link;
        config.drive.torn = true;
        machines.push(config);
    }
    machines
}

fn run(
    config: &Config,
    shape: usize,
    seed: u64,
    sabotage: Option<LogSabotage>,
    counts: &mut Counts,
) -> Result<(), String> {
    let (config, shape) = (config.clone(), SHAPES[shape]);
    OnMachine { shape, seed, config, sabotage, moments: 150 }.explore(counts)
}

#[test]
fn the_log_keeps_its_promise_on_the_machine() {
    let clock = testkit::clock();
    let mut counts = Counts::default();
    for (at, config) in machines().iter().enumerate() {
        for shape in 0..5 {
            for seed in 0..2 {
                if let Err(why) = run(config, shape, seed + 10 * at as u64, None, &mut counts) {
                    panic!("{why}");
                }
            }
        }
    }
    testkit::summary(&format!(
        "log on the machine: {} lives, {} events, {} deaths, {} contents of the media recovered, 0 \
         violations, {:.1} s",
        counts.lives,
        counts.events,
        counts.deaths,
        counts.images,
        clock()
    ));
    assert!(counts.images > 5_000, "{counts:?}");
}

/// A broken log on machines that are right.
#[test]
fn mistakes_of_the_log_show_on_the_machine() {
    let mistakes =
        [LogSabotage::SyncSkipped, LogSabotage::PayloadSumIgnored, LogSabotage::AnchorNotSynced];
    for mistake in mistakes {
        let broken = |config: &Config, shape, seed| {
            run(config, shape, seed, Some(mistake), &mut Counts::default()).is_err()
        };
        caught(&format!("{mistake:?}"), &broken);
    }
}

/// A log that is right on broken machines: what the drive and the kernel owe it is owed for a
/// reason.
#[test]
fn mistakes_of_the_machine_break_the_log() {
    let mistakes = [
        Sabotage::FlushForgetsCache,
        Sabotage::FuaDropped,
        Sabotage::DsyncSyncsNothing,
        Sabotage::FsyncWithoutCommit,
    ];
    for mistake in mistakes {
        let broken = |config: &Config, shape, seed| {
            let config = Config { sabotage: Some(mistake), ..config.clone() };
            run(&config, shape, seed, None, &mut Counts::default()).is_err()
        };
        caught(&format!("{mistake:?}"), &broken);
    }
}

fn caught(mistake: &str, broken: &dyn Fn(&Config, usize, u64) -> bool) {
    let machines = machines();
    let runs = machines.iter().flat_map(|config| (0..5).map(move |shape| (config, shape)));
    let mut tried = 0;
    for (config, shape) in runs {
        for seed in 0..2 {
            tried += 1;
            // A panic notices too: a commit that nobody wrote is one.
            let run = std::panic::AssertUnwindSafe(|| broken(config, shape, seed));
            if std::panic::catch_unwind(run).unwrap_or(true) {
                testkit::summary(&format!("canary {mistake}: caught by run {tried}"));
                return;
            }
        }
    }
    panic!("{mistake} was not noticed in {tried} runs");
}
