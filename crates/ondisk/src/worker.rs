//! The one file of the store that starts threads and reads a clock.
//!
//! Invariant: the worker does nothing that a call of [`Db::step`](crate::Db::step) does not do;
//! it only decides when. A store without a worker is slower at times, and never wrong.

use std::io;
use std::sync::{Arc, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ondisk_log::{Lsn, Receipt, Step, SyncMode};

use crate::alarm::{Sleep, Woken};
use crate::engine::Reclaim;
use crate::error::Error;
use crate::store::Store;

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
        let worker = named("ondisk-worker").spawn(move || Rounds::new(&rounds, found).run())?;
        let mut threads = vec![worker];
        match named("ondisk-reclaim").spawn(move || reclaim(&reclaims)) {
            Ok(thread) => threads.push(thread),
            // The worker reclaims too: slower, and right.
            Err(_) => store.reclaim_alarm.stop(),
        }
        Ok(Self(threads))
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

/// Reclaims whenever there is something to reclaim.
fn reclaim(store: &Store) {
    loop {
        let mut failed = false;
        while !failed && store.check_open().is_ok() {
            match store.reclaim_step(Reclaim::Due) {
                Ok(Step::Working) => {}
                Ok(Step::Idle) => break,
                Err(_) => failed = true, // the worker meets it too, and tells
            }
        }
        let patience = failed.then_some(IDLE_AFTER);
        if store.reclaim_alarm.sleep(Sleep::Deep, patience, || false) == Woken::Stopped {
            return;
        }
    }
}

struct Rounds<'a> {
    store: &'a Store,
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
    fn new(store: &'a Store, found: Lsn) -> Self {
        Self { store, seen: found, since: now(), at_rest: true, at_risk_since: None }
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
        let mut told = self.store.counters().failure.lock().unwrap_or_else(PoisonError::into_inner);
        *told = failure.map(|error| chain(&error));
        failed
    }

    fn steps(&self) -> Result<(), Error> {
        while self.store.check_open().is_ok() && self.store.step()? == Step::Working {}
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
