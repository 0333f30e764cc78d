//! Group commit under a scheduler that tries what machines seldom do: the real sources of the
//! log, on shuttle's primitives instead of std's.
//!
//! Each scenario is a few threads with a script each. The suite runs it under thousands of
//! schedules, half of them random, half by probabilistic concurrency testing (few preemptions, at
//! chosen depths), all by seed. What must hold in every one, as the [`disk`] and not the log says:
//! * every ticket is answered, and nobody waits for ever;
//! * an acknowledgement comes only after the write, or the sync, that covers it and all before it;
//! * whoever joined a group has applied its commit before anybody of the group is acknowledged;
//! * a block on which a sync was begun is not written again;
//! * what a kill or a cut leaves afterwards reads back as it was committed.
//!
//! Two things are not scheduled: `Shell::acknowledged` is one of std's atomics, and what the
//! memory model allows beyond interleaving is not tried.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "../src/anchor.rs"]
mod anchor;
#[path = "../src/append.rs"]
mod append;
#[path = "shuttle/disk.rs"]
mod disk;
#[path = "../src/dump.rs"]
pub mod dump;
#[path = "../src/error.rs"]
mod error;
#[path = "../src/group.rs"]
mod group;
#[path = "../src/iter.rs"]
mod iter;
#[path = "../src/keeper.rs"]
mod keeper;
#[path = "../src/log.rs"]
mod log;
#[path = "../src/mode.rs"]
mod mode;
#[path = "../src/options.rs"]
mod options;
#[path = "../src/plan.rs"]
mod plan;
#[path = "../src/read.rs"]
mod read;
#[path = "../src/record.rs"]
mod record;
#[path = "../src/recover.rs"]
mod recover;
#[path = "support/report.rs"]
mod report;
#[path = "../src/scan.rs"]
mod scan;
#[path = "shuttle/scenario.rs"]
mod scenario;
#[path = "../src/segment.rs"]
mod segment;
#[path = "shuttle/sync.rs"]
mod sync;
#[path = "../src/truncate.rs"]
mod truncate;

pub use anchor::StoreId;
pub use append::Ticket;
pub use error::{Damage, LogError};
pub use iter::LogIter;
pub use log::{Log, LogStats, NewLog, Presence, Step, Truncated};
pub use mode::{Batch, Lsn, ParseModeError, Receipt, SyncMode};
pub use options::LogOptions;
#[doc(hidden)]
pub use options::Sabotage;
pub use read::{Group, GroupReader, Link, ReadEnd};
pub use recover::{Recovered, TornTail};
pub use scan::Flow;

use std::ops::RangeInclusive;
use std::panic::catch_unwind;

use shuttle::scheduler::{PctScheduler, RandomScheduler};
use shuttle::{Config, FailurePersistence, Runner};

use disk::Fault;
use report::Report;
use scenario::{Op, Scenario};
use sync::Lost;

/// Schedules of each kind that a scenario is run under.
const SCHEDULES: usize = 1200;
const SEED: u64 = 0x6f6e_6469_736b;
/// Preemptions that probabilistic concurrency testing spends on a run.
const DEPTH: usize = 3;
/// Which call on a segment fails: the first, the second, …
const FAILS_AT: RangeInclusive<u32> = 1..=4;

const SYNC: SyncMode = SyncMode::Sync;
const NONE: SyncMode = SyncMode::None;
const TWO: SyncMode = SyncMode::Batch(Batch { records: 2, bytes: None, delay: None });
const THREE: SyncMode = SyncMode::Batch(Batch { records: 3, bytes: None, delay: None });

/// Segments of four blocks: three groups under sync, and the block for a last group without
/// commits.
const TINY: u64 = 16 << 10;
/// Room for everything that a scenario commits.
const AMPLE: u64 = 64 << 10;

use Op::{
    Append, AppendBatch, Checkpoint, Close, Drop, Fill, Hand, Idle, Iter, Join, Step as DoStep,
    Sync, Truncate, WaitDurable,
};

/// What nothing is wrong with.
const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "committers in every mode",
        threads: &[
            &[Append(SYNC), Append(SYNC)],
            &[Append(THREE), Append(NONE), Append(SYNC)],
            &[Append(NONE), Append(THREE), Append(THREE)],
        ],
        ..Scenario::AMPLE
    },
    Scenario {
        name: "five committers",
        threads: &[
            &[Append(SYNC), Append(SYNC)],
            &[Append(SYNC), Append(SYNC)],
            &[Append(SYNC), Append(SYNC)],
            &[Append(SYNC), Append(SYNC)],
            &[Append(NONE), Append(SYNC)],
        ],
        ..Scenario::AMPLE
    },
    Scenario {
        name: "five committers, little room, one who closes",
        threads: &[
            &[Append(SYNC), Append(SYNC)],
            &[Append(SYNC), Hand(SYNC)],
            &[Append(NONE), Append(SYNC)],
            &[Append(SYNC), Sync, DoStep],
            &[Append(SYNC), Close],
        ],
        waiters: 1,
        payload: 1900,
        closes: true,
        ..Scenario::TINY
    },
    Scenario {
        name: "batch alone",
        threads: &[
            &[Append(TWO), Append(TWO), Append(TWO)],
            &[Append(TWO), Append(TWO)],
            &[Append(TWO), Append(TWO)],
        ],
        at_risk: Some(2),
        ..Scenario::AMPLE
    },
    Scenario {
        name: "joiners here, waiters there",
        threads: &[
            &[Hand(SYNC), Hand(SYNC), Hand(NONE), Hand(SYNC)],
            &[Hand(THREE), Hand(SYNC), Hand(SYNC)],
        ],
        waiters: 3,
        ..Scenario::AMPLE
    },
    Scenario {
        name: "tickets dropped, kept and handed over",
        threads: &[
            &[Drop(SYNC), Append(SYNC), Drop(NONE)],
            &[Join(SYNC), Drop(SYNC), Join(NONE), Append(SYNC)],
            &[Hand(SYNC), Drop(THREE), Hand(SYNC)],
        ],
        waiters: 1,
        ..Scenario::AMPLE
    },
    Scenario {
        name: "room exhausted",
        threads: &[
            &[Append(SYNC), Append(SYNC), Append(SYNC)],
            &[Append(SYNC), Join(SYNC), Join(SYNC), Append(SYNC)],
            &[Append(NONE), DoStep, Append(NONE), DoStep],
        ],
        payload: 1900,
        ..Scenario::TINY
    },
    Scenario {
        name: "syncs beside commits that ask for none",
        threads: &[
            &[Append(NONE), Drop(NONE), Append(NONE)],
            &[Sync, Sync],
            &[Append(NONE), WaitDurable, Append(THREE)],
        ],
        ..Scenario::AMPLE
    },
    Scenario {
        name: "full segments synced by steps",
        threads: &[
            &[Append(NONE), Append(NONE), Append(NONE), Append(NONE), Append(NONE)],
            &[Append(NONE), Append(NONE), Append(NONE), Append(THREE)],
            &[DoStep, DoStep, DoStep, DoStep, DoStep, Sync],
        ],
        payload: 3500,
        ..Scenario::TINY
    },
    Scenario {
        name: "idle steps beside commits",
        threads: &[
            &[Append(NONE), Append(SYNC), Append(NONE)],
            &[Idle, Idle, Append(THREE), Idle],
            &[DoStep, Idle, Sync],
        ],
        ..Scenario::AMPLE
    },
    Scenario {
        name: "several commits at once",
        threads: &[
            &[AppendBatch, Append(SYNC)],
            &[Append(NONE), AppendBatch],
            &[Append(NONE), Append(NONE)],
        ],
        ..Scenario::AMPLE
    },
    Scenario {
        name: "close beside commits",
        threads: &[
            &[Append(SYNC), Append(SYNC), Append(NONE)],
            &[Append(NONE), Append(NONE), Append(THREE)],
            &[Sync, Close],
        ],
        closes: true,
        ..Scenario::AMPLE
    },
    Scenario {
        name: "close beside tickets that others hold",
        threads: &[
            &[Hand(SYNC), Drop(NONE), Hand(NONE)],
            &[Join(SYNC), Append(NONE), Idle],
            &[Append(NONE), Close],
        ],
        waiters: 2,
        closes: true,
        ..Scenario::AMPLE
    },
    Scenario {
        name: "close beside close",
        threads: &[&[Append(NONE), Close], &[Append(SYNC), Close], &[Append(NONE)]],
        closes: true,
        ..Scenario::AMPLE
    },
    Scenario {
        name: "checkpoint, truncate and read beside commits",
        threads: &[
            &[Append(SYNC), Append(SYNC), Append(NONE), Append(SYNC)],
            &[Append(NONE), Checkpoint, Truncate, Append(NONE), Checkpoint, Truncate],
            &[Iter, DoStep, Iter, DoStep],
        ],
        payload: 3500,
        ..Scenario::TINY
    },
    Scenario {
        name: "space ends and returns",
        threads: &[
            &[Append(SYNC), Append(SYNC), Append(SYNC), Append(SYNC)],
            &[Append(NONE), Append(SYNC), Append(NONE)],
            &[Fill(true), DoStep, Fill(false), DoStep],
        ],
        payload: 3500,
        ..Scenario::TINY
    },
];

/// Where a call fails; each is run with the first, the second, … failing.
const FAILING: &[Scenario] = &[
    Scenario {
        name: "a sync fails under committers",
        threads: &[
            &[Append(SYNC), Append(SYNC)],
            &[Append(NONE), Append(SYNC), Append(THREE)],
            &[Hand(SYNC), Drop(SYNC), Hand(SYNC)],
        ],
        waiters: 1,
        fault: Some(Fault::Sync(0)),
        ..Scenario::AMPLE
    },
    Scenario {
        name: "a sync fails under five committers",
        threads: &[
            &[Append(SYNC), Append(SYNC)],
            &[Append(SYNC), Append(SYNC)],
            &[Append(NONE), Append(SYNC)],
            &[Append(SYNC), Sync],
            &[Append(SYNC), Close],
        ],
        closes: true,
        fault: Some(Fault::Sync(0)),
        ..Scenario::AMPLE
    },
    Scenario {
        name: "a sync fails under full segments, steps and close",
        threads: &[
            &[Append(NONE), Append(NONE), Append(NONE), Append(NONE)],
            &[Append(NONE), Append(NONE), DoStep, Close],
            &[DoStep, DoStep, Sync, Append(NONE), Idle],
        ],
        payload: 3500,
        closes: true,
        fault: Some(Fault::Sync(0)),
        ..Scenario::TINY
    },
    Scenario {
        name: "a write fails",
        threads: &[
            &[Append(NONE), Append(SYNC), Join(NONE)],
            &[Append(THREE), Sync],
            &[Append(NONE), Close],
        ],
        closes: true,
        fault: Some(Fault::Write(0)),
        ..Scenario::AMPLE
    },
];

/// Runs a scenario under so many schedules of each kind; how many in all.
fn explore(scenario: Scenario, schedules: usize, persistence: FailurePersistence) -> usize {
    let mut config = Config::new();
    config.stack_size = 128 << 10;
    config.failure_persistence = persistence;
    let random = RandomScheduler::new_from_seed(SEED, schedules);
    let few_preemptions = PctScheduler::new_from_seed(SEED, DEPTH, schedules);
    Runner::new(random, config.clone()).run(move || scenario.run())
        + Runner::new(few_preemptions, config).run(move || scenario.run())
}

/// A scenario with its fault at the n-th call.
fn failing_at(scenario: Scenario, nth: u32) -> Scenario {
    let fault = scenario.fault.map(|fault| match fault {
        Fault::Sync(_) => Fault::Sync(nth),
        Fault::Write(_) => Fault::Write(nth),
    });
    Scenario { fault, ..scenario }
}

#[test]
fn every_schedule_keeps_the_promise() {
    let mut report = Report::begin("shuttle: schedules");
    for scenario in SCENARIOS {
        report.count(scenario.name, || explore(*scenario, SCHEDULES, FailurePersistence::Print));
    }
    report.end();
}

#[test]
fn a_failure_is_told_to_everybody() {
    let mut report = Report::begin("shuttle: schedules with a failing call");
    for scenario in FAILING {
        for nth in FAILS_AT {
            let scenario = failing_at(*scenario, nth);
            report.count(scenario.name, || {
                explore(scenario, SCHEDULES / 3, FailurePersistence::Print)
            });
        }
    }
    report.end();
}

/// Mistakes of the log, and wake-ups that its primitives lose: each with a scenario that notices
/// it within the schedules that the scenario gets anyway, and words of what it then says.
const CANARIES: &[(Mistake, &str, &str)] = &[
    (rule(Sabotage::AcknowledgedOutOfOrder), "committers in every mode", "durable"),
    (rule(Sabotage::SyncSkipped), "committers in every mode", "is cached"),
    (rule(Sabotage::KeptInBuffer), "committers in every mode", "is buffered"),
    (rule(Sabotage::UpgradeByRangedSync), "committers in every mode", "is cached"),
    (rule(Sabotage::TailBlockRewritten), "committers in every mode", "is written again"),
    (rule(Sabotage::BatchCountsTwice), "batch alone", "at risk"),
    (rule(Sabotage::PredecessorNotSynced), "room exhausted", "is cached"),
    (rule(Sabotage::ClosedWithoutSync), "close beside commits", "a close of"),
    (rule(Sabotage::LsnBeforeSpace), "space ends and returns", "before somebody applied"),
    (rule(Sabotage::FailedSyncRetried), "a sync fails under committers", "is cached"),
    (Mistake::Primitives(Lost::One), "committers in every mode", "deadlock"),
    (Mistake::Primitives(Lost::All), "committers in every mode", "deadlock"),
    (Mistake::Primitives(Lost::AllButOne), "committers in every mode", "deadlock"),
    (Mistake::Primitives(Lost::One), "five committers", "deadlock"),
    (Mistake::Primitives(Lost::All), "five committers", "deadlock"),
    (Mistake::Primitives(Lost::One), "joiners here, waiters there", "deadlock"),
    (Mistake::Primitives(Lost::All), "full segments synced by steps", "deadlock"),
    (Mistake::Primitives(Lost::All), "room exhausted", "deadlock"),
    (Mistake::Primitives(Lost::All), "close beside commits", "deadlock"),
];

#[test]
fn every_planted_mistake_is_noticed() {
    let mut report = Report::begin("shuttle: planted mistakes noticed");
    for (mistake, name, says) in CANARIES {
        report.count(name, || {
            let said = mistake.noticed_by(name);
            let said = said.unwrap_or_else(|| panic!("{name}: {mistake:?} went unnoticed"));
            assert!(said.contains(says), "{name}: {mistake:?} says {said}");
            1
        });
    }
    report.end();
}

#[derive(Clone, Copy, Debug)]
enum Mistake {
    Rule(Sabotage),
    Primitives(Lost),
}

const fn rule(sabotage: Sabotage) -> Mistake {
    Mistake::Rule(sabotage)
}

impl Mistake {
    /// What the scenario of this name says to it, within its own budget.
    fn noticed_by(self, name: &str) -> Option<String> {
        let scenario = SCENARIOS.iter().chain(FAILING).find(|scenario| scenario.name == name);
        let mut scenario = *scenario.expect("a canary names a scenario");
        if let Self::Rule(sabotage) = self {
            scenario.sabotage = Some(sabotage);
        }
        if scenario.fault.is_none() {
            return self.noticed_within(scenario, SCHEDULES);
        }
        { FAILS_AT }.find_map(|nth| self.noticed_within(failing_at(scenario, nth), SCHEDULES / 3))
    }

    fn noticed_within(self, scenario: Scenario, schedules: usize) -> Option<String> {
        sync::lose(match self {
            Self::Primitives(lost) => Some(lost),
            Self::Rule(_) => None,
        });
        let run = catch_unwind(|| explore(scenario, schedules, FailurePersistence::None));
        sync::lose(None);
        let panic = run.err()?;
        let text = panic.downcast_ref::<&str>().map(ToString::to_string);
        text.or_else(|| panic.downcast_ref::<String>().cloned())
    }
}
