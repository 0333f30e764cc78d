//! A store on a simulated file system, and beside it the model: events happen to both.
//!
//! Invariant: after each event that is looked at, the store answers what the model says. What a cut
//! owes is noted with the file system at the moment at which the store promised it.

use std::collections::VecDeque;
use std::io::ErrorKind;

use ondisk::sabotage::Sabotage;
use ondisk::{Background, Batch, Builder, Db, Error, KeyspaceOptions, LogError, Lsn, Pending};
use ondisk::{Rung, Step, SyncMode};
use ondisk_sim::{At, Crash, Fault, MemFs, Target, Where};

use super::chain::{Chain, Map, Owed};
use super::keep::Kept;
use super::look;
use super::story::{Between, Budgets, Event, Fill, NAMES, Op, Story, key};

/// Where the store is.
pub const PATH: &str = "db";

/// How a store is opened, and what of it is broken.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    /// Its budgets.
    pub budgets: Budgets,
    /// The rule that is broken.
    pub broken: Option<Sabotage>,
}

impl Setup {
    /// A builder for a store on this file system.
    #[must_use]
    pub fn builder(&self, fs: &MemFs) -> Builder {
        Db::builder()
            .file_system(fs.share())
            .background(Background::Manual)
            .first_segment(self.budgets.first_segment)
            .largest_segment(self.budgets.largest_segment)
            .young_budget(self.budgets.young)
            .cache(self.budgets.cache)
            .sabotage(self.broken)
    }
}

/// Whether the store is compared with the model after each event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Looks {
    /// After each.
    Always,
    /// Where an event asks for it, and when the store is opened.
    Seldom,
}

/// Whether calls may fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Calls {
    /// None does: an error of the store is a violation.
    Succeed,
    /// Some are made to: an error of the store costs nothing that was acknowledged.
    MayFail,
}

/// An error that the store answered with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// What was asked for, and the error in words.
    pub text: String,
    /// It is a want of space.
    pub full: bool,
}

/// A store and its model.
#[derive(Debug)]
pub struct World {
    pub(super) fs: MemFs,
    pub(super) setup: Setup,
    looks: Looks,
    calls: Calls,
    db: Option<Db>,
    /// One for each open that has returned, and the one before the first.
    chapters: Vec<Chain>,
    owed: Owed,
    /// The commits of this chapter, as they were begun: number and LSN.
    pub(super) begun: Vec<(usize, Lsn)>,
    /// How many commits there were before these.
    pub(super) base: usize,
    pub(super) kept: VecDeque<Kept>,
    troubles: Vec<Trouble>,
    cut_from: Option<At>,
}

/// Tells a story to a store, and compares all that it holds after each event.
///
/// # Errors
/// In words, what is wrong.
pub fn told(story: &Story, broken: Option<Sabotage>) -> Result<(), String> {
    let setup = Setup { budgets: story.budgets, broken };
    World::new(setup, Looks::Always, Calls::Succeed).tell(story)
}

impl World {
    /// An empty file system; the first event finds the store open.
    #[must_use]
    pub fn new(setup: Setup, looks: Looks, calls: Calls) -> Self {
        Self {
            fs: MemFs::new(),
            setup,
            looks,
            calls,
            db: None,
            chapters: vec![Chain::new()],
            owed: Owed::default(),
            begun: Vec::new(),
            base: 0,
            kept: VecDeque::new(),
            troubles: Vec::new(),
            cut_from: None,
        }
    }

    /// A store that was opened after a cut and found at a place of the last of these chapters.
    #[must_use]
    pub fn resumed(fs: MemFs, setup: Setup, db: Db, chapters: Vec<Chain>) -> Self {
        let mut world =
            Self { fs, db: Some(db), ..Self::new(setup, Looks::Seldom, Calls::Succeed) };
        world.chapters = chapters;
        world.base = world.chain().acknowledged();
        world.owe_all();
        world
    }

    /// The file system of now.
    #[must_use]
    pub fn fs(&self) -> &MemFs {
        &self.fs
    }

    /// What is owed, chapter by chapter.
    #[must_use]
    pub fn chapters(&self) -> &[Chain] {
        &self.chapters
    }

    /// Errors that the store answered with.
    #[must_use]
    pub fn troubles(&self) -> &[Trouble] {
        &self.troubles
    }

    /// The places at which the story is cut.
    #[must_use]
    pub fn cuts(&self, crash: &Crash) -> Vec<At> {
        let mut places = crash.places(Where::AtSyncs);
        places.retain(|at| self.cut_from.is_none_or(|from| *at >= from));
        places
    }

    /// The open store.
    #[must_use]
    pub fn db(&self) -> Option<&Db> {
        self.db.as_ref()
    }

    /// Tells a whole story.
    ///
    /// # Errors
    /// In words, the first thing that is wrong, with the event at which it was seen.
    pub fn tell(&mut self, story: &Story) -> Result<(), String> {
        self.open()?;
        for (n, event) in story.events.iter().enumerate() {
            if n == story.cut_from && n > 0 {
                self.cut_from = Some(self.fs.history().end);
            }
            self.run(event).map_err(|why| format!("event {}, {event}: {why}", n + 1))?;
        }
        Ok(())
    }

    /// Lets an event happen to the store and to the model.
    ///
    /// # Errors
    /// In words, how they differ.
    pub fn run(&mut self, event: &Event) -> Result<(), String> {
        match event {
            Event::Commit(ops, mode) => {
                let one = std::slice::from_ref(ops);
                self.commits(one, *mode, Between::Nothing)?;
            }
            Event::Pipeline(batches, mode, between) => self.commits(batches, *mode, *between)?,
            Event::Transaction(ops, between, mode) => self.transaction(ops, between, *mode)?,
            Event::Range(slot, lower, upper, walk) => {
                let bounds = (lower.map(key), upper.map(key));
                self.read(*slot, |db, name, map| look::range(db, name, map, &bounds, *walk))?;
            }
            Event::Points(slot) => self.read(*slot, look::points)?,
            Event::Prefix(slot, n) => {
                self.read(*slot, |db, name, map| look::prefix(db, name, map, &key(*n)))?;
            }
            Event::Snapshot => self.snapshot()?,
            Event::Reader => self.reader()?,
            Event::KeepWalk(slot, walk) => self.keep_walk(*slot, *walk)?,
            Event::LetGo => self.let_go()?,
            Event::Steps(count) => self.steps(*count)?,
            Event::Idle => self.idle()?,
            Event::Sync => self.all("sync", |db| db.sync().map(drop))?,
            Event::Checkpoint => self.all("checkpoint", Db::checkpoint)?,
            Event::Compact => self.all("compact", Db::compact)?,
            Event::Make(slot, options) => self.make(NAMES[*slot], *options)?,
            Event::Drop(slot) => self.drop_keyspace(NAMES[*slot])?,
            Event::Reopen => self.reopen()?,
            Event::Kill => self.kill()?,
            Event::Young(bytes) => {
                self.setup.budgets.young = *bytes;
                return Ok(());
            }
            Event::Fail(place, nth) => {
                let target = Target::Only(*place);
                self.fs.inject(Fault { nth: *nth, ..Fault::next(target, ErrorKind::Other) });
                self.calls = Calls::MayFail;
            }
            Event::Calm => self.fs.clear_faults(),
        }
        if self.looks == Looks::Always { self.look() } else { Ok(()) }
    }

    /// Opens the store where it is not open, and looks at all that it holds.
    ///
    /// # Errors
    /// In words, what is wrong with it.
    pub fn open(&mut self) -> Result<(), String> {
        self.fs.label("recovery");
        let db = match self.setup.builder(&self.fs).open(PATH) {
            Ok(db) => db,
            Err(error) => {
                self.trouble("open", error)?;
                // The fault has struck: a second attempt finds whatever the first one left.
                self.fs.clear_faults();
                self.setup.builder(&self.fs).open(PATH).map_err(|it| format!("open: {it}"))?
            }
        };
        let found = self.retried(|| look::contents(&db))?;
        // A process that died takes nothing with it that was acknowledged.
        let chain = self.chain();
        let owed = Owed { commits: chain.acknowledged(), catalog: chain.catalog() };
        let place = chain.place(&found, owed).map_err(|why| format!("after an open: {why}"))?;
        let next = chain.from(place);
        self.chapters.push(next);
        self.begun.clear();
        self.base = self.chain().acknowledged();
        let stats = db.stats();
        if stats.acknowledged != stats.durable {
            return Err("an open serves what is not durable".into());
        }
        self.db = Some(db);
        self.owe_all();
        Ok(())
    }

    /// Compares all that the store holds with the model.
    ///
    /// # Errors
    /// In words, how they differ.
    pub fn look(&mut self) -> Result<(), String> {
        let Some(db) = self.db.clone() else { return Ok(()) };
        self.see(&db);
        let (found, expected) = (self.retried(|| look::contents(&db))?, self.chain().now());
        if found != expected {
            return Err(super::chain::unlike(&expected, &found));
        }
        let (young, budget) = (db.stats().young_bytes, self.setup.budgets.young);
        // One commit may go beyond the budget, and where calls fail nothing can be taken over.
        let slack = 20_000 + self.setup.budgets.largest_segment / 4;
        if young > budget + slack && self.calls == Calls::Succeed {
            return Err(format!("{young} bytes of young map, and {budget} are its budget"));
        }
        Ok(())
    }

    /// What is begun may be acknowledged before somebody waits for it, and shows from then on.
    pub(super) fn see(&mut self, db: &Db) {
        let acknowledged = db.stats().acknowledged;
        let seen = self.begun.iter().rev().find(|(_, lsn)| *lsn <= acknowledged);
        if let Some((number, _)) = seen.copied() {
            self.chain_mut().acknowledge(number);
        }
    }

    pub(super) fn chain(&self) -> &Chain {
        &self.chapters[self.chapters.len() - 1]
    }

    pub(super) fn chain_mut(&mut self) -> &mut Chain {
        let last = self.chapters.len() - 1;
        &mut self.chapters[last]
    }

    pub(super) fn store(&self) -> Result<Db, String> {
        self.db.clone().ok_or_else(|| "the store is not open".to_owned())
    }

    /// An error that the store answered with: a violation, where no call was made to fail.
    pub(super) fn trouble(&mut self, what: &str, error: Error) -> Result<(), String> {
        let text = format!("{what}: {error}");
        let wrong = error.is_damage() || matches!(error, Error::Closed | Error::NotAStore { .. });
        if self.calls == Calls::Succeed || wrong {
            return Err(text);
        }
        self.troubles.push(Trouble { text, full: error.is_full() });
        Ok(())
    }

    /// A read that a fault may strike says so and harms nothing: the next one sees what is there.
    pub(super) fn retried<T>(&self, read: impl Fn() -> Result<T, Error>) -> Result<T, String> {
        let again = |error: Error| match self.calls {
            Calls::MayFail if !error.is_damage() => read(),
            _ => Err(error),
        };
        read().or_else(again).map_err(|error| format!("a read: {error}"))
    }

    /// Notes what a cut from here on owes.
    fn note(&self) {
        let (chapter, Owed { commits, catalog }) = (self.chapters.len() - 1, self.owed);
        self.fs.ack(format!("{chapter} {commits} {catalog}"));
    }

    fn owe_all(&mut self) {
        let chain = self.chain();
        self.owed = Owed { commits: chain.acknowledged(), catalog: chain.catalog() };
        self.note();
    }

    pub(super) fn commits(
        &mut self,
        batches: &[Vec<Op>],
        mode: Option<SyncMode>,
        between: Between,
    ) -> Result<(), String> {
        let db = self.store()?;
        self.fs.label("append");
        let mut begun = Vec::new();
        for ops in batches {
            match begin(&db, self.chain(), ops, mode)? {
                Ok((pending, mode)) => {
                    let ops = ops
                        .iter()
                        .map(|op| (NAMES[op.slot], key(op.key), op.value.map(Fill::bytes)));
                    let number = self.chain_mut().commit(ops);
                    self.begun.push((number, pending.lsn()));
                    begun.push((number, pending, mode));
                }
                // Some stories ask for too much: refused, and nothing happened.
                Err(Error::BatchTooLarge { bytes, limit }) if bytes > limit => {}
                Err(error) => self.trouble("commit", error)?,
            }
        }
        match between {
            Between::Nothing => {}
            Between::Checkpoint => self.checkpoint_between(&db)?,
            Between::Snapshot => self.snapshot()?,
            Between::Steps => self.steps(3)?,
        }
        for (number, pending, mode) in begun {
            self.acknowledge(number, pending, mode)?;
        }
        Ok(())
    }

    /// A checkpoint while commits are begun and not waited for: it makes them all durable.
    fn checkpoint_between(&mut self, db: &Db) -> Result<(), String> {
        self.fs.label("checkpoint");
        db.checkpoint().or_else(|error| self.trouble("checkpoint", error))
    }

    pub(super) fn acknowledge(
        &mut self,
        number: usize,
        pending: Pending,
        mode: SyncMode,
    ) -> Result<(), String> {
        let receipt = match pending.wait() {
            Ok(receipt) => receipt,
            Err(error @ Error::Log(LogError::Poisoned { .. })) => {
                return self.trouble("commit", error);
            }
            Err(error) => return Err(format!("a commit that was begun: {error}")),
        };
        let least = if mode == SyncMode::Sync { Rung::Durable } else { Rung::Cached };
        if receipt.rung < least {
            return Err(format!("mode {mode} acknowledged at {:?}", receipt.rung));
        }
        self.chain_mut().acknowledge(number);
        if receipt.rung == Rung::Durable && self.owed.commits < number {
            self.owed.commits = number;
            self.note();
        }
        Ok(())
    }

    /// Something on whose return all that was acknowledged is durable.
    fn all(&mut self, what: &str, call: impl Fn(&Db) -> Result<(), Error>) -> Result<(), String> {
        let db = self.store()?;
        self.fs.label(what);
        match call(&db) {
            Ok(()) => self.owe_all(),
            Err(error) => self.trouble(what, error)?,
        }
        Ok(())
    }

    /// Makes durable what was acknowledged.
    pub(super) fn run_sync(&mut self, db: &Db) -> Result<(), String> {
        match db.sync() {
            Ok(_) => self.owe_all(),
            Err(error) => self.trouble("sync", error)?,
        }
        Ok(())
    }

    fn steps(&mut self, count: u8) -> Result<(), String> {
        let db = self.store()?;
        self.fs.label("step");
        for _ in 0..count {
            match db.step() {
                Ok(Step::Working) => {}
                Ok(Step::Idle) => break,
                Err(error) => self.trouble("step", error)?,
            }
            if self.looks == Looks::Always {
                self.look()?;
            }
        }
        Ok(())
    }

    fn idle(&mut self) -> Result<(), String> {
        let db = self.store()?;
        self.fs.label("step");
        loop {
            match db.idle_step() {
                Ok(Step::Working) => {}
                Ok(Step::Idle) => return Ok(()),
                Err(error) => return self.trouble("idle", error),
            }
        }
    }

    fn make(&mut self, name: &str, options: KeyspaceOptions) -> Result<(), String> {
        let db = self.store()?;
        self.fs.label("make");
        if let Some(stored) = self.chain().options(name) {
            return match db.keyspace(name, options) {
                Ok(made) if made.options() == stored && stored == options => Ok(()),
                Err(Error::OtherOptions { .. }) if stored != options => Ok(()),
                other => Err(format!("it is there as {stored}: {other:?}")),
            };
        }
        if !matches!(db.existing_keyspace(name), Err(Error::NoKeyspace { .. })) {
            return Err("a keyspace is found that is not there".into());
        }
        let catalog = self.chain_mut().try_make(name, options);
        match db.keyspace(name, options) {
            Ok(_) => self.installed(catalog),
            Err(error) => self.trouble("make", error)?,
        }
        Ok(())
    }

    fn drop_keyspace(&mut self, name: &str) -> Result<(), String> {
        let db = self.store()?;
        self.fs.label("drop");
        let Ok(handle) = db.existing_keyspace(name) else {
            let refused = matches!(db.drop_keyspace(name), Err(Error::NoKeyspace { .. }));
            let there = self.chain().options(name).is_some();
            return if refused && !there { Ok(()) } else { Err("it is not found".into()) };
        };
        if name == NAMES[0] {
            let refused = matches!(db.drop_keyspace(name), Err(Error::DefaultKeyspace));
            return if refused { Ok(()) } else { Err("the default keyspace is dropped".into()) };
        }
        let catalog = self.chain_mut().try_drop(name);
        if let Err(error) = db.drop_keyspace(name) {
            return self.trouble("drop", error);
        }
        self.installed(catalog);
        let gone = |error: &Error| matches!(error, Error::KeyspaceDropped { .. });
        let read = handle.get("key").err().is_some_and(|error| gone(&error));
        let batch = Batch::new().put("stray", "stray").put_in(&handle, "stray", "stray");
        let written = db.batch(batch).err().is_some_and(|error| gone(&error));
        if read && written { Ok(()) } else { Err("a dropped keyspace is used".into()) }
    }

    fn installed(&mut self, catalog: usize) {
        self.chain_mut().install(catalog);
        self.owed.catalog = catalog;
        self.note();
    }

    fn read(
        &mut self,
        slot: usize,
        look: impl Fn(&Db, &str, &Map) -> Result<Result<(), String>, Error>,
    ) -> Result<(), String> {
        let (db, name) = (self.store()?, NAMES[slot]);
        self.see(&db);
        let Some(map) = self.chain().map(name) else { return Ok(()) };
        self.retried(|| look(&db, name, &map))?
    }

    fn reopen(&mut self) -> Result<(), String> {
        self.let_go_of_own()?;
        let db = self.store()?;
        self.fs.label("close");
        let closed = db.close();
        let was_closed = closed.is_ok();
        match closed {
            Ok(()) => self.owe_all(),
            Err(error) => self.trouble("close", error)?,
        }
        self.db = None;
        drop(db);
        if was_closed && self.calls == Calls::Succeed {
            look::closed(&self.fs, &self.setup, &self.chain().now())?;
        }
        self.open()?;
        let recovered = self.db.as_ref().is_some_and(|db| db.recovery().was_closed);
        if was_closed && !recovered && self.calls == Calls::Succeed {
            return Err("a closed store is not found closed".into());
        }
        Ok(())
    }

    fn kill(&mut self) -> Result<(), String> {
        // What the file system holds now, without the close that a drop would make.
        self.fs = self.fs.fork();
        self.kept.clear();
        self.db = None;
        self.open()
    }
}

/// Begins a commit of those operations whose keyspaces are there.
fn begin(
    db: &Db,
    chain: &Chain,
    ops: &[Op],
    asked: Option<SyncMode>,
) -> Result<Result<(Pending, SyncMode), Error>, String> {
    let mut batch = Batch::new();
    let mut strongest = None;
    for Op { slot, key: n, value } in ops {
        let name = NAMES[*slot];
        if chain.options(name).is_none() {
            continue;
        }
        let space = match db.existing_keyspace(name) {
            Ok(space) => space,
            Err(error) => return Err(format!("{name}: {error}")),
        };
        let mode = space.mode();
        strongest = Some(strongest.map_or(mode, |it: SyncMode| it.strongest(mode)));
        batch = match value {
            Some(fill) => batch.put_in(&space, key(*n), fill.bytes()),
            None => batch.delete_in(&space, key(*n)),
        };
    }
    let mode = asked.or(strongest).unwrap_or_default();
    let begun = match asked {
        Some(mode) => db.begin_with(batch, mode),
        None => db.begin(batch),
    };
    Ok(begun.map(|pending| (pending, mode)))
}
