//! The one file of the store that starts threads and reads a clock.
//!
//! Invariant: the worker does nothing that a call of [`Db::step`](crate::Db::step) does not do;
//! it only decides when. A store without a worker is slower at times, and never wrong. Where
//! reclaiming is limited, one thread does it and no other, at its [`Rate`].

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ondisk_log::{Lsn, Receipt, Step, SyncMode};

use crate::alarm::{Alarm, Sleep, Woken};
use crate::checkpoint::STEP_BYTES;
use crate::engine::Reclaim;
use crate::error::Error;
use crate::rate::Rate;
use crate::store::{Hand, Store};

/// After so long without a commit the log is brought to rest.
const IDLE_AFTER: Duration = Duration::from_secs(1);

/// The running threads of a store: one for the log and checkpoints, one more for reclaiming. Each
/// ends when its alarm says so.
#[derive(Debug)]
pub(crate) struct Worker(Vec<JoinHandle<()>>);

impl Worker {
    pub(crate) fn start(store: &Arc<Store>) -> io::Result<Self> {
        // Asked before the thread runs: by then there may be commits.
        let found = store.log.last();
        store.latencies.measure();
        let (rounds, reclaims) = (Arc::clone(store), Arc::clone(store));
        let named = |name: &str| std::thread::Builder::new().name(name.to_owned());
        let reclaimer = named("ondisk-reclaim")
            .spawn(move || Reclaiming::new(&reclaims, &SystemClock(now())).run());
        // Without that thread the worker reclaims: slower, and right.
        let limited = store.settings.reclaim_rate.is_some();
        let duty = if limited && reclaimer.is_ok() { Duty::NoReclaiming } else { Duty::All };
        let worker = named("ondisk-worker").spawn(move || Rounds::new(&rounds, found, duty).run());
        let threads = Self(reclaimer.into_iter().collect());
        match worker {
            Ok(worker) => Ok(Self(threads.0.into_iter().chain([worker]).collect())),
            Err(error) => {
                store.reclaim_alarm.stop();
                threads.join();
                Err(error)
            }
        }
    }

    /// Waits for threads that were told to stop.
    pub(crate) fn join(self) {
        // A panic of a thread has been printed; the store goes on without it.
        self.0.into_iter().for_each(|thread| thread.join().unwrap_or_default());
    }
}

/// Starts the thread that waits for commits whose callers do not.
pub(crate) fn spawn_waiting(run: Box<dyn FnOnce() + Send>) -> io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name("ondisk-waiting".to_owned()).spawn(run)
}

/// Counts how long a caller waits for a commit to be durable, where the store has threads.
pub(crate) fn waited(
    store: &Store,
    mode: SyncMode,
    wait: impl FnOnce() -> Result<Receipt, Error>,
) -> Result<Receipt, Error> {
    if mode != SyncMode::Sync || !store.latencies.are_measured() {
        return wait();
    }
    let begun = now();
    let receipt = wait()?;
    store.latencies.count(begun.elapsed());
    Ok(receipt)
}

/// Time as the reclaiming thread sees it: a test has its own.
trait Clock {
    /// It only goes forward; from when does not matter.
    fn now(&self) -> Duration;

    /// Sleeps until the alarm rings, or the time is up if there is one.
    fn sleep(&self, alarm: &Alarm, time: Option<Duration>) -> Woken;
}

/// The time since a moment.
struct SystemClock(Instant);

impl Clock for SystemClock {
    fn now(&self) -> Duration {
        self.0.elapsed()
    }

    fn sleep(&self, alarm: &Alarm, time: Option<Duration>) -> Woken {
        alarm.sleep(Sleep::Deep, time, || false)
    }
}

/// The thread that reclaims whenever there is something to reclaim, and no faster than it may.
struct Reclaiming<'a> {
    store: &'a Store,
    clock: &'a dyn Clock,
    rate: Option<Rate>,
}

impl<'a> Reclaiming<'a> {
    fn new(store: &'a Store, clock: &'a dyn Clock) -> Self {
        let rate = store.settings.reclaim_rate.map(|rate| Rate::new(rate, clock.now()));
        Self { store, clock, rate }
    }

    fn run(mut self) {
        loop {
            let worked = self.work();
            let failure = worked.as_ref().err().map(|error| chain(error));
            self.store.counters().tell(Hand::Reclaimer, failure);
            // A checkpoint that is installed rings too: then there may be more pressure.
            let patience = worked.unwrap_or(Some(IDLE_AFTER));
            if self.clock.sleep(&self.store.reclaim_alarm, patience) == Woken::Stopped {
                return;
            }
        }
    }

    /// Reclaims until nothing is due, or until it has to wait; how long then.
    fn work(&mut self) -> Result<Option<Duration>, Error> {
        while self.store.check_open().is_ok() {
            let mut bytes = STEP_BYTES;
            if let Some(rate) = &mut self.rate {
                let wait = rate.wait(self.clock.now(), self.store.pressure());
                if !wait.is_zero() {
                    return Ok(Some(wait));
                }
                bytes = usize::try_from(rate.piece()).unwrap_or(STEP_BYTES);
            }
            let stepped = self.store.reclaimer.step(self.store, Reclaim::Due, bytes)?;
            let Some(written) = stepped else { break };
            self.rate.iter_mut().for_each(|rate| rate.spent(written));
        }
        Ok(None)
    }
}

/// What of the background work the worker does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Duty {
    All,
    /// Another thread reclaims, and takes its time.
    NoReclaiming,
}

struct Rounds<'a> {
    store: &'a Store,
    duty: Duty,
    /// The last commit when the worker last looked.
    seen: Lsn,
    /// When it first saw that one.
    since: Instant,
    /// The log was brought to rest after that commit.
    at_rest: bool,
    /// The oldest commit that is not durable was there at this time.
    at_risk_since: Option<Instant>,
}

impl<'a> Rounds<'a> {
    /// What the open `found` is durable, so there is nothing to bring to rest.
    fn new(store: &'a Store, found: Lsn, duty: Duty) -> Self {
        Self { store, duty, seen: found, since: now(), at_rest: true, at_risk_since: None }
    }

    fn run(mut self) {
        loop {
            let failed = self.work();
            self.look();
            let (alarm, log) = (&self.store.alarm, &self.store.log);
            let woken = if failed {
                // Then it is tried again, not in a circle.
                alarm.sleep(Sleep::Deep, Some(IDLE_AFTER), || false)
            } else if self.at_rest {
                alarm.sleep(Sleep::Lightest, None, || log.last() > self.seen)
            } else if self.at_risk_since.is_none() {
                // A commit with a delay must be seen when it comes, for its time to run.
                let at_risk = || log.durable() < log.acknowledged();
                alarm.sleep(Sleep::Light, Some(self.patience()), at_risk)
            } else {
                alarm.sleep(Sleep::Deep, Some(self.patience()), || false)
            };
            if woken == Woken::Stopped {
                return;
            }
        }
    }

    /// Does what there is to do; whether something failed.
    fn work(&mut self) -> bool {
        let failure = self.steps().and_then(|()| self.timed()).err();
        let failed = failure.is_some();
        self.store.counters().tell(Hand::Worker, failure.map(|error| chain(&error)));
        failed
    }

    fn steps(&self) -> Result<(), Error> {
        let step = || match self.duty {
            Duty::All => self.store.step(),
            Duty::NoReclaiming => self.store.step_but_reclaim(),
        };
        while self.store.check_open().is_ok() && step()? == Step::Working {}
        Ok(())
    }

    /// What is done because time has passed.
    fn timed(&mut self) -> Result<(), Error> {
        let log = &self.store.log;
        let overdue = self.store.alarm.delay().zip(self.at_risk_since);
        if overdue.is_some_and(|(delay, since)| since.elapsed() >= delay) {
            log.sync()?;
            self.at_risk_since = None;
        }
        if !self.at_rest && log.last() == self.seen && self.since.elapsed() >= IDLE_AFTER {
            while log.idle_step()? == Step::Working {}
            self.at_rest = true;
        }
        Ok(())
    }

    fn look(&mut self) {
        let log = &self.store.log;
        let last = log.last();
        if last > self.seen {
            (self.seen, self.since, self.at_rest) = (last, now(), false);
        }
        if log.durable() >= log.acknowledged() {
            self.at_risk_since = None;
        } else {
            self.at_risk_since.get_or_insert_with(now);
        }
    }

    /// How long the worker may sleep before something is due.
    fn patience(&self) -> Duration {
        let left = |since: Instant, limit: Duration| limit.saturating_sub(since.elapsed());
        let idle = left(self.since, IDLE_AFTER).max(Duration::from_millis(1));
        let sync = self.store.alarm.delay().zip(self.at_risk_since);
        sync.map_or(idle, |(delay, since)| idle.min(left(since, delay)))
    }
}

#[expect(clippy::disallowed_methods, reason = "the worker is the one that reads a clock")]
fn now() -> Instant {
    Instant::now()
}

/// An error with all its causes, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests;
