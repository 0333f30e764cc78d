//! Reclaiming with a limit, at times that a test says.

use std::cell::Cell;

use ondisk_sim::{Fault, MemFs, Target};

use super::*;
use crate::{Background, Builder, Db, EngineKind, Keyspace, KeyspaceOptions};

/// Time that passes when somebody sleeps, and at no other.
struct Played<'a> {
    now: Cell<Duration>,
    /// Told when it is and how long the sleep would last; answers what ends it.
    asleep: &'a dyn Fn(Duration, Duration) -> Woken,
}

impl<'a> Played<'a> {
    fn new(asleep: &'a dyn Fn(Duration, Duration) -> Woken) -> Self {
        Self { now: Cell::default(), asleep }
    }
}

impl Clock for Played<'_> {
    fn now(&self) -> Duration {
        self.now.get()
    }

    fn sleep(&self, _alarm: &Alarm, time: Option<Duration>) -> Woken {
        // Without an end nothing is left to do: the run is over.
        let Some(time) = time else { return Woken::Stopped };
        let woken = (self.asleep)(self.now.get(), time);
        if woken == Woken::TimedOut {
            self.now.set(self.now.get() + time);
        }
        woken
    }
}

const VALUES: u32 = 250;

fn open(fs: &MemFs, build: impl FnOnce(Builder) -> Builder, engine: EngineKind) -> (Db, Keyspace) {
    let builder = Db::builder().file_system(fs.share()).sync(SyncMode::None);
    let db = build(builder).open("db").unwrap();
    let keyspace = db.keyspace("limited", KeyspaceOptions::new(engine)).unwrap();
    (db, keyspace)
}

fn limited(fs: &MemFs, bytes_per_second: u64, engine: EngineKind) -> (Db, Keyspace) {
    let manual = |it: Builder| it.background(Background::Manual).reclaim_rate(bytes_per_second);
    open(fs, manual, engine)
}

/// Checkpoints a quarter of a megabyte that cannot be packed, so many times, with keys that lie
/// between those of all others.
fn checkpoints((db, keyspace): &(Db, Keyspace), rounds: std::ops::Range<u32>) {
    for round in rounds {
        for n in 0..VALUES {
            let mut state = u64::from(n * 1000 + round);
            let noise = || {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (state >> 33).to_le_bytes()[0]
            };
            let value: Vec<u8> = std::iter::repeat_with(noise).take(1000).collect();
            keyspace.put(format!("{n:04} {round}"), value).unwrap();
        }
        db.checkpoint().unwrap();
    }
}

fn reclaimed((db, _): &(Db, Keyspace)) -> u64 {
    db.stats().keyspace("limited").unwrap().engine.reclaim_written
}

#[test]
fn what_reclaiming_writes_stays_within_its_rate_and_uses_it() {
    const RATE: u64 = 256 << 10;
    // As many as make reclaiming due, and no engine feel behind.
    for (engine, rounds) in [(EngineKind::Lsm, 4), (EngineKind::Bitcask, 8)] {
        let fs = MemFs::new();
        let opened = limited(&fs, RATE, engine);
        checkpoints(&opened, 0..rounds);
        let store = opened.0.store();
        let burst = Rate::new(RATE.try_into().unwrap(), Duration::ZERO).burst();
        // Files take whole blocks.
        let allowed = |now: Duration| {
            u64::try_from(u128::from(RATE) * now.as_nanos() / 1_000_000_000).unwrap() + burst
        };
        let (before, sleeps) = (fs.used(), Cell::new(0));
        let clock = |now, _| {
            assert_eq!(store.pressure(), 0);
            let written = fs.used().saturating_sub(before);
            assert!(written <= allowed(now) + (16 << 10), "{engine}: {written} at {now:?}");
            sleeps.set(sleeps.get() + 1);
            Woken::TimedOut
        };
        let clock = Played::new(&clock);
        Reclaiming::new(store, &clock).run();
        let (written, now) = (reclaimed(&opened), clock.now());
        assert!(written > u64::from(rounds * VALUES) * 1000, "{engine}: {written}");
        assert!(written <= allowed(now) + 4096, "{engine}: {written} in {now:?}");
        assert!(written + burst > allowed(now) - burst, "{engine}: {written} in {now:?}");
        assert!(sleeps.get() > 10, "{engine}: {}", sleeps.get());
    }
}

#[test]
fn nothing_is_held_back_once_writers_would_be_slowed() {
    let fs = MemFs::new();
    let opened = limited(&fs, 1, EngineKind::Lsm);
    checkpoints(&opened, 0..4);
    let store = opened.0.store();
    let sleeps = Cell::new(0);
    let asleep = |_, time: Duration| {
        assert!(store.pressure() < crate::store::SLOWED, "it sleeps while writers wait");
        sleeps.set(sleeps.get() + 1);
        if sleeps.get() > 1 {
            assert!(reclaimed(&opened) > 1_000_000, "what was begun was finished");
            return Woken::TimedOut;
        }
        assert!(time > Duration::from_secs(3600) && reclaimed(&opened) == 0);
        checkpoints(&opened, 4..14);
        assert!(store.pressure() >= crate::store::SLOWED);
        Woken::Rung
    };
    Reclaiming::new(store, &Played::new(&asleep)).run();
    assert!(sleeps.get() > 2);
    assert_eq!(store.pressure(), 0);
}

#[test]
fn steps_and_compactions_that_are_asked_for_are_not_held_back() {
    let fs = MemFs::new();
    let opened = limited(&fs, 1, EngineKind::Lsm);
    checkpoints(&opened, 0..4);
    while opened.0.step().unwrap() == Step::Working {}
    let by_steps = reclaimed(&opened);
    assert!(by_steps > 1_000_000);
    checkpoints(&opened, 4..5);
    opened.0.compact().unwrap();
    assert!(reclaimed(&opened) > by_steps);
    assert_eq!(opened.0.stats().reclaim_rate, Some(1));
}

#[test]
fn a_worker_leaves_to_the_other_thread_what_is_limited() {
    let fs = MemFs::new();
    let opened = limited(&fs, 1, EngineKind::Lsm);
    checkpoints(&opened, 0..4);
    let store = opened.0.store();
    Rounds::new(store, store.log.last(), Duty::NoReclaiming).steps().unwrap();
    assert_eq!(reclaimed(&opened), 0);
    Rounds::new(store, store.log.last(), Duty::All).steps().unwrap();
    assert!(reclaimed(&opened) > 0);
}

#[test]
fn the_thread_that_reclaims_tells_when_it_fails_and_when_it_does_no_more() {
    let fs = MemFs::new();
    let opened = limited(&fs, 1 << 30, EngineKind::Lsm);
    checkpoints(&opened, 0..4);
    let store = opened.0.store();
    let broken = Fault::next(Target::Syncs, std::io::ErrorKind::Other);
    fs.inject(broken.forever());
    let told = Cell::new(0);
    let asleep = |_, time| {
        assert_eq!(time, IDLE_AFTER);
        assert!(opened.0.stats().failure.is_some());
        told.set(told.get() + 1);
        if told.get() == 3 {
            fs.clear_faults();
        }
        Woken::TimedOut
    };
    Reclaiming::new(store, &Played::new(&asleep)).run();
    assert_eq!((told.get(), opened.0.stats().failure), (3, None));
    assert!(reclaimed(&opened) > 0);
}

#[test]
fn a_store_is_closed_while_its_reclaiming_waits() {
    let fs = MemFs::new();
    let opened = open(&fs, |it| it.reclaim_rate(1), EngineKind::Lsm);
    checkpoints(&opened, 0..16);
    opened.0.close().unwrap();
}
