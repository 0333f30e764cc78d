//! What the threads of one run do, and what must hold while and after they do it.
//!
//! Invariant: the judge believes the [`Disk`] alone. Its own state is behind std's locks, which
//! are never held across a place where the scheduler may switch.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use ondisk_fs::Rung;
use shuttle::sync::mpsc;
use shuttle::thread;

use crate::disk::{Disk, Fault, payload};
use crate::{Flow, Log, LogError, LogOptions, Lsn, Receipt, Sabotage, StoreId, SyncMode, Ticket};

const DIR: &str = "log";

/// What a thread does next.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Op {
    /// Commits, and waits for the answer.
    Append(SyncMode),
    /// Commits, and waits when its script is done.
    Join(SyncMode),
    /// Commits, and lets another thread wait.
    Hand(SyncMode),
    /// Commits, and nobody waits.
    Drop(SyncMode),
    /// Two commits in one group.
    AppendBatch,
    Sync,
    WaitDurable,
    Step,
    Idle,
    Close,
    /// Writes a checkpoint at what is acknowledged.
    Checkpoint,
    /// Truncates up to the checkpoint.
    Truncate,
    /// Reads all there is.
    Iter,
    /// Space ends, or returns.
    Fill(bool),
}

/// Threads with their scripts, and what may happen to them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) threads: &'static [&'static [Op]],
    /// Threads that wait for tickets of others.
    pub(crate) waiters: usize,
    /// Bytes of a payload, besides what the disk finds it by.
    pub(crate) payload: usize,
    pub(crate) segment: u64,
    pub(crate) closes: bool,
    /// How many acknowledged commits may not be durable.
    pub(crate) at_risk: Option<usize>,
    pub(crate) fault: Option<Fault>,
    pub(crate) sabotage: Option<Sabotage>,
}

impl Scenario {
    pub(crate) const AMPLE: Self = Self {
        name: "",
        threads: &[],
        waiters: 0,
        payload: 20,
        segment: crate::AMPLE,
        closes: false,
        at_risk: None,
        fault: None,
        sabotage: None,
    };
    pub(crate) const TINY: Self = Self { segment: crate::TINY, ..Self::AMPLE };

    fn has(&self, op: fn(&Op) -> bool) -> bool {
        self.threads.iter().any(|script| script.iter().any(op))
    }

    /// Runs the threads to their end under the present schedule, and judges. Panics when something
    /// does not hold.
    pub(crate) fn run(self) {
        let disk = Disk::new();
        let options = LogOptions {
            first_segment: self.segment,
            largest_segment: self.segment,
            sabotage: self.sabotage,
        };
        let fs = Arc::new(disk.clone());
        let log = Log::create(fs, Path::new(DIR), StoreId(*b"scheduled store."), options);
        let log = log.unwrap().finish().unwrap();
        if let Some(fault) = self.fault {
            disk.inject(fault);
        }
        let judge = Arc::new(Judge { log, disk, scenario: self, state: Mutex::default() });
        let (mut senders, mut tasks) = (Vec::new(), Vec::new());
        for _ in 0..self.waiters {
            let (sender, tickets) = mpsc::channel::<Pending>();
            senders.push(sender);
            let judge = judge.clone();
            tasks.push(thread::spawn(move || {
                while let Ok(pending) = tickets.recv() {
                    judge.wait(pending);
                }
            }));
        }
        for script in self.threads {
            let (judge, senders) = (judge.clone(), senders.clone());
            tasks.push(thread::spawn(move || judge.perform(script, &senders)));
        }
        drop(senders);
        for task in tasks {
            task.join().unwrap();
        }
        judge.finally();
    }
}

/// A commit that has joined.
struct Pending {
    ticket: Ticket,
    mode: SyncMode,
}

struct Judge {
    log: Log,
    disk: Disk,
    scenario: Scenario,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Numbers of payloads, by LSN.
    given: BTreeMap<u64, u32>,
    numbers: u32,
    acknowledged: u64,
    acknowledged_durable: u64,
    checkpoint: u64,
    poisoned: bool,
    closed: bool,
}

impl Judge {
    fn with<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
        f(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn perform(&self, script: &[Op], waiters: &[mpsc::Sender<Pending>]) {
        let mut kept = Vec::new();
        for op in script {
            match *op {
                Op::Append(mode) => self.join(mode).into_iter().for_each(|p| self.wait(p)),
                Op::Join(mode) => kept.extend(self.join(mode)),
                Op::Hand(mode) => {
                    if let Some(pending) = self.join(mode) {
                        let to = usize::try_from(pending.ticket.lsn().0).unwrap() % waiters.len();
                        waiters[to].send(pending).unwrap();
                    }
                }
                Op::Drop(mode) => drop(self.join(mode)),
                Op::AppendBatch => self.append_batch(),
                Op::Sync => self.sync(),
                Op::WaitDurable => self.wait_durable(),
                Op::Step => self.tolerate(self.log.step()),
                Op::Idle => self.tolerate(self.log.idle_step()),
                Op::Close => self.close(),
                Op::Checkpoint => self.checkpoint(),
                Op::Truncate => {
                    let up_to = Lsn(self.with(|state| state.checkpoint));
                    self.tolerate(self.log.truncate(up_to));
                }
                Op::Iter => self.iterate(),
                Op::Fill(full) => self.disk.set_full(full),
            }
        }
        kept.into_iter().for_each(|pending| self.wait(pending));
    }

    fn join(&self, mode: SyncMode) -> Option<Pending> {
        let (number, was_closed) = self.with(|state| {
            state.numbers += 1;
            (state.numbers, state.closed)
        });
        let bytes = payload(number, self.scenario.payload);
        let joined = self.log.join(&bytes, mode, |lsn| {
            assert!(self.log.last() >= lsn); // a lock: others may come first
            let before = self.with(|state| state.given.insert(lsn.0, number));
            assert_eq!(before, None, "LSN {lsn} was given twice");
        });
        let ticket = self.allowed(joined)?;
        assert!(!was_closed, "a commit was taken after the close");
        Some(Pending { ticket, mode })
    }

    /// Waits for the answer and judges it.
    fn wait(&self, pending: Pending) {
        let Pending { ticket, mode } = pending;
        let lsn = ticket.lsn();
        let Some(receipt) = self.allowed(ticket.wait()) else { return };
        assert_eq!(receipt.lsn, lsn);
        self.received(receipt);
        let least = if mode == SyncMode::Sync { Rung::Durable } else { Rung::Cached };
        assert!(receipt.rung >= least, "{mode}: {receipt:?}");
        let last = self.log.acknowledged();
        assert!(last >= lsn, "{lsn} is acknowledged, and the log says up to {last}");
    }

    /// What an acknowledgement says must be so, for this commit and all before it.
    fn received(&self, receipt: Receipt) {
        let Receipt { lsn, rung } = receipt;
        self.all_reached(lsn, rung, "an acknowledgement");
        if rung == Rung::Durable {
            assert!(self.log.durable() >= lsn, "{lsn} is durable, and the log does not know");
        }
        self.with(|state| {
            state.acknowledged = state.acknowledged.max(lsn.0);
            if rung == Rung::Durable {
                state.acknowledged_durable = state.acknowledged_durable.max(lsn.0);
            }
        });
        if let Some(limit) = self.scenario.at_risk {
            let (_, payloads) = self.given_up_to(self.log.acknowledged());
            let rungs = self.disk.rungs(payloads.iter().map(Vec::as_slice));
            let at_risk = rungs.iter().filter(|rung| **rung < Rung::Durable).count();
            assert!(at_risk <= limit, "{at_risk} commits at risk, {limit} allowed");
        }
    }

    fn given_up_to(&self, lsn: Lsn) -> (Vec<u64>, Vec<Vec<u8>>) {
        let given: Vec<(u64, u32)> = self.with(|state| {
            state.given.range(..=lsn.0).map(|(lsn, number)| (*lsn, *number)).collect()
        });
        let payload = |(lsn, number): (u64, u32)| (lsn, payload(number, self.scenario.payload));
        given.into_iter().map(payload).unzip()
    }

    fn all_reached(&self, lsn: Lsn, rung: Rung, who: &str) {
        let (lsns, payloads) = self.given_up_to(lsn);
        if !self.scenario.has(|op| matches!(op, Op::AppendBatch)) {
            let dense: Vec<u64> = (1..=lsn.0).collect();
            assert_eq!(lsns, dense, "{who} of LSN {lsn} before somebody applied his commit");
        }
        let rungs = self.disk.rungs(payloads.iter().map(Vec::as_slice));
        for (reached, before) in rungs.into_iter().zip(lsns) {
            assert!(reached >= rung, "{who} of {lsn} on {rung}, and {before} is {reached}");
        }
    }

    /// What was asked for; `None` when it was refused for a reason that the scenario gives.
    fn allowed<T>(&self, result: Result<T, LogError>) -> Option<T> {
        let scenario = &self.scenario;
        let error = match result {
            Ok(value) => return Some(value),
            Err(error) => error,
        };
        let expected = match error {
            LogError::Poisoned { .. } => {
                self.with(|state| state.poisoned = true);
                scenario.fault.is_some()
            }
            LogError::Closed => scenario.closes,
            LogError::Full { .. } => scenario.has(|op| matches!(op, Op::Fill(_))),
            LogError::Truncated { .. } => scenario.has(|op| matches!(op, Op::Truncate)),
            _ => false,
        };
        assert!(expected, "{error:?}");
        None
    }

    /// Takes whatever comes, unless it is a refusal for which the scenario gives no reason.
    fn tolerate<T>(&self, result: Result<T, LogError>) {
        drop(self.allowed(result));
    }

    fn append_batch(&self) {
        let first = self.with(|state| {
            state.numbers += 2;
            state.numbers - 1
        });
        let payloads = [first, first + 1].map(|number| payload(number, self.scenario.payload));
        let result = self.log.append_batch(&[&payloads[0], &payloads[1]]);
        let Some(receipt) = self.allowed(result) else { return };
        self.with(|state| {
            for (lsn, number) in [(receipt.lsn.0 - 1, first), (receipt.lsn.0, first + 1)] {
                assert_eq!(state.given.insert(lsn, number), None);
            }
        });
        assert_eq!(receipt.rung, Rung::Durable);
        self.received(receipt);
    }

    fn sync(&self) {
        let before = self.with(|state| state.given.keys().max().copied().unwrap_or(0));
        let Some(receipt) = self.allowed(self.log.sync()) else { return };
        assert!(receipt.lsn >= Lsn(before) && receipt.rung == Rung::Durable);
        self.all_reached(Lsn(before), Rung::Durable, "a sync");
    }

    fn wait_durable(&self) {
        let acknowledged = Lsn(self.with(|state| state.acknowledged));
        if self.allowed(self.log.wait_durable(acknowledged)) == Some(Rung::Durable) {
            self.all_reached(acknowledged, Rung::Durable, "a wait");
        }
    }

    fn checkpoint(&self) {
        let lsn = self.log.acknowledged();
        if self.allowed(self.log.checkpoint(lsn)).is_some() {
            self.all_reached(lsn, Rung::Durable, "a checkpoint");
            self.with(|state| state.checkpoint = state.checkpoint.max(lsn.0));
        }
    }

    fn close(&self) {
        if self.allowed(self.log.close()).is_none() {
            return;
        }
        self.with(|state| state.closed = true);
        let last = self.log.last();
        self.all_reached(last, Rung::Durable, "a close");
        let (records, closed) = self.read(&self.disk.cut());
        assert!(closed, "the close has returned, and the disk has no closed log");
        assert_eq!(records.keys().max().copied().unwrap_or(0), last.0);
    }

    fn iterate(&self) {
        let until = self.log.acknowledged();
        let Some(iter) = self.allowed(self.log.iter(Lsn(1))) else { return };
        let mut next = Lsn(1);
        for item in iter {
            let Some((lsn, bytes)) = self.allowed(item) else { return };
            assert_eq!(lsn, next);
            self.is_what_was_given(lsn, &bytes);
            next = next.next();
        }
        assert!(next > until, "the iterator ends before {next}, acknowledged is {until}");
    }

    fn is_what_was_given(&self, lsn: Lsn, bytes: &[u8]) {
        let number = u32::from_le_bytes(bytes[4..8].try_into().unwrap());
        assert_eq!(bytes, payload(number, self.scenario.payload), "LSN {lsn} is changed");
        let given = self.with(|state| state.given.get(&lsn.0).copied());
        assert!(given.is_none_or(|given| given == number), "LSN {lsn} is another's payload");
    }

    /// What a reader finds on a disk: numbers by LSN, and whether it was closed.
    fn read(&self, disk: &Disk) -> (BTreeMap<u64, u32>, bool) {
        let mut found = BTreeMap::new();
        let read = Log::read(disk, Path::new(DIR), Lsn(0), &mut |lsn, bytes| {
            self.is_what_was_given(lsn, &bytes);
            found.insert(lsn.0, u32::from_le_bytes(bytes[4..8].try_into().unwrap()));
            Flow::Continue
        });
        let recovered = read.unwrap();
        assert_eq!(recovered.end.0, found.keys().max().copied().unwrap_or(recovered.end.0));
        (found, recovered.was_closed)
    }

    /// All threads are done.
    fn finally(&self) {
        assert_eq!(self.disk.mistakes(), Vec::<String>::new());
        let (poisoned, closed) = self.with(|state| (state.poisoned, state.closed));
        if poisoned {
            let again = self.log.append(&payload(0, 0), SyncMode::None);
            assert!(matches!(again, Err(LogError::Poisoned { .. })), "{again:?}");
            let close = self.log.close();
            assert!(matches!(close, Err(LogError::Poisoned { .. })), "{close:?}");
        } else if !closed {
            let last = self.log.last();
            let Some(receipt) = self.allowed(self.log.sync()) else { return self.finally() };
            assert_eq!(receipt.lsn, last);
            self.received(receipt);
        }
        let (durable, acknowledged, all) = self.with(|state| {
            let all = state.given.keys().max().copied().unwrap_or(0);
            (state.acknowledged_durable, state.acknowledged, all)
        });
        let (after_cut, after_kill) =
            (self.read(&self.disk.cut()).0, self.read(&self.disk.fork()).0);
        let end = |found: &BTreeMap<u64, u32>| found.keys().max().copied().unwrap_or(0);
        assert!(end(&after_cut) >= durable, "a cut takes what was durable");
        assert!(end(&after_kill) >= acknowledged, "a kill takes what was acknowledged");
        if !poisoned {
            assert_eq!((end(&after_cut), end(&after_kill)), (all, all));
        }
    }
}
