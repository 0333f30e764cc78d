//! Runs a plan on a store and writes down what happened: by turns, or on threads.
//!
//! Invariant: a moment is taken before a transaction begins and after it was told how it ended, so
//! that real time is never narrower than it was. By turns, the same plan on the same store gives
//! the same history.

use std::ops::Bound;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use super::plan::{Ask, Do, Plan, Program, Turn, Want};
use super::{Act, End, History, Id, Item, Moment, Saw, Scan, Transaction, Version, Way};

/// A store of transactions, as a test sees it.
pub trait Subject {
    /// An open transaction.
    type Session<'s>: Session<'s>
    where
        Self: 's;

    /// Begins one.
    ///
    /// # Errors
    /// What a test should fail with.
    fn begin(&self) -> Result<Self::Session<'_>, String>;

    /// Does something in the background; which, the number says.
    ///
    /// # Errors
    /// What a test should fail with.
    fn background(&self, number: u64) -> Result<(), String> {
        let _ = number;
        Ok(())
    }
}

/// Why a call on a transaction gave nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It cannot go on, for others: it is rolled back.
    Conflict,
    /// What a test should fail with.
    Broken(String),
}

/// Keys with their values, as a walk gave them.
pub type Entries = Vec<(Vec<u8>, Vec<u8>)>;

/// An open transaction.
pub trait Session<'s>: Sized {
    /// The last commit that it sees, if it says so and has read anything.
    fn snapshot(&self) -> Option<u64>;

    /// The values of some keys, as one call.
    ///
    /// # Errors
    /// Why not.
    fn get(&mut self, items: &[Item]) -> Result<Vec<Option<Vec<u8>>>, Refusal>;

    /// Walks; gives at most as many entries as the limit says.
    ///
    /// # Errors
    /// Why not.
    fn scan(&mut self, ask: &Ask) -> Result<Entries, Refusal>;

    /// Gives a key a value, or takes it away.
    ///
    /// # Errors
    /// Why not.
    fn write(&mut self, item: &Item, value: Option<&[u8]>) -> Result<(), Refusal>;

    /// Gets its place among all commits, if it may be committed.
    ///
    /// # Errors
    /// Why not.
    fn place(self) -> Result<Placed<'s>, Refusal>;

    /// Commits, waits, and gives the LSN, if it got one.
    ///
    /// # Errors
    /// Why not.
    fn commit(self) -> Result<Option<u64>, Refusal> {
        let Placed { lsn, wait } = self.place()?;
        wait().map_err(Refusal::Broken)?;
        Ok(lsn)
    }

    /// Rolls back.
    fn roll_back(self);
}

/// A commit that has its place.
pub struct Placed<'s> {
    /// Which, where something was written.
    pub lsn: Option<u64>,
    /// Waits until it is acknowledged.
    pub wait: Box<dyn FnOnce() -> Result<(), String> + 's>,
}

/// The one counter of a run.
#[derive(Debug, Default)]
struct Clock(AtomicU64);

impl Clock {
    fn now(&self) -> Moment {
        self.0.fetch_add(1, Ordering::SeqCst) + 1
    }
}

/// A program that runs.
struct Runner<'s, 'p, S: Session<'s>> {
    id: Id,
    program: &'p Program,
    next: usize,
    writes: u16,
    stage: Stage<'s, S>,
    transaction: Transaction,
}

enum Stage<'s, S> {
    Before,
    Open(S),
    Placed(Placed<'s>),
    Done,
}

/// Whether a late commit waits for its acknowledgement in a turn of its own.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Late {
    Apart,
    AtOnce,
}

impl<'s, 'p, S: Session<'s>> Runner<'s, 'p, S> {
    fn new(id: Id, program: &'p Program) -> Self {
        // Until it begins it never was.
        let transaction = Transaction { end: End::Lost, ..Transaction::begin(Moment::MAX) };
        Self { id, program, next: 0, writes: 0, stage: Stage::Before, transaction }
    }

    fn is_open(&self) -> bool {
        matches!(self.stage, Stage::Open(_) | Stage::Placed(_))
    }

    /// One step.
    fn turn<T: Subject<Session<'s> = S>>(
        &mut self,
        subject: &'s T,
        clock: &Clock,
        late: Late,
    ) -> Result<(), String> {
        match std::mem::replace(&mut self.stage, Stage::Done) {
            Stage::Before => {
                self.transaction = Transaction::begin(clock.now());
                let session = subject.begin()?;
                self.stage = Stage::Open(session);
            }
            Stage::Open(mut session) => match self.program.steps.get(self.next) {
                Some(step) => {
                    self.next += 1;
                    let done = self.step(&mut session, step, clock);
                    self.transaction.snapshot = session.snapshot();
                    match done {
                        Ok(()) => self.stage = Stage::Open(session),
                        Err(refusal) => self.refused(refusal, clock)?,
                    }
                }
                None => self.end(session, clock, late)?,
            },
            Stage::Placed(placed) => {
                (placed.wait)()?;
                self.told(End::Committed, clock);
            }
            Stage::Done => {}
        }
        Ok(())
    }

    fn step(&mut self, session: &mut S, step: &Do, clock: &Clock) -> Result<(), Refusal> {
        match step {
            Do::Get(items) => {
                let values = session.get(items)?;
                if values.len() != items.len() {
                    return Err(Refusal::Broken("as many values as keys".to_owned()));
                }
                for (item, value) in items.iter().zip(values) {
                    self.did(Act::Read(item.clone(), Saw::of(value.as_deref())), clock);
                }
            }
            Do::Scan(ask) => {
                let scan = seen(ask, session.scan(ask)?);
                self.did(Act::Scan(scan), clock);
            }
            Do::Put(item, len) => {
                self.writes += 1;
                let version = Version { writer: self.id, nth: self.writes };
                session.write(item, Some(&value(version, *len)))?;
                self.did(Act::Put(item.clone(), self.writes), clock);
            }
            Do::Delete(item) => {
                session.write(item, None)?;
                self.did(Act::Delete(item.clone()), clock);
            }
        }
        Ok(())
    }

    fn did(&mut self, act: Act, clock: &Clock) {
        self.transaction.acts.push((clock.now(), act));
    }

    fn end(&mut self, session: S, clock: &Clock, late: Late) -> Result<(), String> {
        if self.program.end == Want::RollBack {
            session.roll_back();
            self.told(End::RolledBack, clock);
            return Ok(());
        }
        if self.program.end == Want::CommitLate && late == Late::Apart {
            match session.place() {
                Ok(placed) => {
                    self.transaction.lsn = placed.lsn;
                    self.transaction.placed = Some(clock.now());
                    self.stage = Stage::Placed(placed);
                }
                Err(refusal) => self.refused(refusal, clock)?,
            }
            return Ok(());
        }
        match session.commit() {
            Ok(lsn) => {
                self.transaction.lsn = lsn;
                self.told(End::Committed, clock);
            }
            Err(refusal) => self.refused(refusal, clock)?,
        }
        Ok(())
    }

    fn refused(&mut self, refusal: Refusal, clock: &Clock) -> Result<(), String> {
        match refusal {
            Refusal::Conflict => {
                self.told(End::RolledBack, clock);
                Ok(())
            }
            Refusal::Broken(why) => Err(format!("T{}: {why}", self.id)),
        }
    }

    fn told(&mut self, end: End, clock: &Clock) {
        (self.transaction.end, self.transaction.ended) = (end, clock.now());
    }
}

/// A value of about so many bytes that names its write.
fn value(version: Version, len: usize) -> Vec<u8> {
    let bytes = version.bytes();
    bytes.iter().copied().cycle().take(len.max(bytes.len())).collect()
}

/// What a walk saw: to its end, or as far as it went.
fn seen(ask: &Ask, entries: Entries) -> Scan {
    let found: Vec<(Vec<u8>, Saw)> =
        entries.into_iter().map(|(key, value)| (key, Saw::of(Some(&value)))).collect();
    let (mut lower, mut upper) = (ask.lower.clone(), ask.upper.clone());
    if let Some((last, _)) = found.last().filter(|_| Some(found.len()) == ask.limit) {
        match ask.way {
            Way::Up => upper = Bound::Included(last.clone()),
            Way::Down => lower = Bound::Included(last.clone()),
        }
    }
    Scan { space: ask.space, lower, upper, found, way: ask.way }
}

/// Runs a plan by its turns; whoever is open after the last turn ends then.
///
/// # Errors
/// What a test should fail with.
pub fn by_turns<S: Subject>(subject: &S, plan: &Plan) -> Result<History, String> {
    let clock = Clock::default();
    let programs = plan.programs.iter().enumerate();
    let mut runners: Vec<_> = programs.map(|(id, program)| Runner::new(id, program)).collect();
    for turn in &plan.turns {
        match turn {
            Turn::Of(id) => runners[*id].turn(subject, &clock, Late::Apart)?,
            Turn::Background(number) => subject.background(*number)?,
        }
    }
    for runner in &mut runners {
        while runner.is_open() {
            runner.turn(subject, &clock, Late::Apart)?;
        }
    }
    let transactions = runners.into_iter().map(|runner| runner.transaction).collect();
    Ok(History { transactions })
}

fn index_of(seed: u64) -> usize {
    usize::try_from(seed % 1024).unwrap_or(0)
}

/// Runs a plan's programs on threads, which take the next one as they come. Who meets whom is the
/// machine's to say.
///
/// # Errors
/// What a test should fail with.
pub fn on_threads<S: Subject + Sync>(
    subject: &S,
    plan: &Plan,
    threads: usize,
) -> Result<History, String> {
    let (clock, next) = (Clock::default(), AtomicUsize::new(0));
    let done: Mutex<Vec<(Id, Transaction)>> = Mutex::new(Vec::new());
    let run = || -> Result<(), String> {
        loop {
            let id = next.fetch_add(1, Ordering::Relaxed);
            let Some(program) = plan.programs.get(id) else { return Ok(()) };
            let mut runner = Runner::new(id, program);
            runner.turn(subject, &clock, Late::AtOnce)?;
            while runner.is_open() {
                // Few cores: now and then others get their turn between steps too. Not often: on a
                // machine that has other work it takes long to get it back.
                if (id + runner.next + index_of(plan.seed)).is_multiple_of(16) {
                    std::thread::yield_now();
                }
                runner.turn(subject, &clock, Late::AtOnce)?;
            }
            let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
            done.push((id, runner.transaction));
        }
    };
    std::thread::scope(|scope| {
        let started: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
        let ended = started.into_iter().map(|it| it.join().map_err(|_| "a panic".to_owned())?);
        ended.collect::<Result<(), String>>()
    })?;
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(id, _)| *id);
    Ok(History { transactions: done.into_iter().map(|(_, it)| it).collect() })
}
