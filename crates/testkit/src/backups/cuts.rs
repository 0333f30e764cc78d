//! The power is cut at every call of a chain of backups, and of a restore; and what goes on after
//! the cut is cut once more.
//!
//! Invariant: of a chain a cut leaves what was there before, and the new backup whole or not at
//! all; never is the store behind its backups. Of a restore it leaves a whole store, or none.

use ondisk::sabotage::Sabotage;
use ondisk::{Batch, Create, Db, Error, SyncMode, Which, verify_backup};
use ondisk_sim::model::{EXT4, POSIX};
use ondisk_sim::{Budget, Crash, CrashFs, MemFs, Model, Tally, Verdict, Where};

use super::{
    BACKUPS, COPY, Contents, MAKING, Wrong, builder, contents, ensure, held, opened, restore,
    with_engines,
};

const MODELS: [Model; 2] = [EXT4, POSIX];
/// States of a cut of a first life, and of a second one, at most.
const FIRST: u32 = 10;
const SECOND: Budget = Budget { per_cut: 2, per_run: 20, seed: 0 };
/// On one of so many states the life goes on, and is cut again.
const EVERY: usize = 9;

/// What the store held, commit by commit, and which of these states each backup is of.
#[derive(Debug, Default)]
struct Told {
    states: Vec<Contents>,
    backups: Vec<usize>,
}

impl Told {
    fn commit(&mut self, db: &Db, batch: Batch, mode: SyncMode) -> Result<(), Error> {
        db.batch_with(batch, mode)?;
        self.states.push(contents(db)?);
        Ok(())
    }

    /// What the last of so many backups holds; `None` of none.
    fn of(&self, backups: usize) -> Result<Option<&Contents>, Wrong> {
        let Some(last) = backups.checked_sub(1) else { return Ok(None) };
        let of = self.backups.get(last).ok_or("there are more backups than were made")?;
        Ok(Some(&self.states[*of]))
    }

    /// A round of commits of which the last are not durable, and a backup.
    fn round(&mut self, db: &Db, round: u32) -> Result<(), Error> {
        let spaces = db.keyspaces()?;
        for (n, space) in spaces.iter().enumerate() {
            let batch = Batch::new().put_in(space, format!("{round}"), format!("{n}"));
            let batch = batch.put_in(space, "same", format!("{round} {n}"));
            let before = format!("{}", round.wrapping_sub(1));
            let mode = if n == 0 { SyncMode::Sync } else { SyncMode::None };
            self.commit(db, batch.delete_in(space, before), mode)?;
        }
        let all = spaces.iter().fold(Batch::new(), |batch, it| batch.put_in(it, "all", "all"));
        self.commit(db, all.put_in(&spaces[0], "round", format!("{round}")), SyncMode::None)?;
        self.backups.push(self.states.len() - 1);
        db.backup(BACKUPS)?;
        Ok(())
    }
}

/// Cuts the power everywhere in a chain of backups.
///
/// # Errors
/// In words, what a cut took.
pub fn backups(broken: Option<Sabotage>, tally: &Tally) -> Result<(), Wrong> {
    tally.set_shape("backup");
    let fs = MemFs::new();
    let db = with_engines(&fs, broken)?;
    let mut told = Told::default();
    for round in 0..3 {
        told.round(&db, round)?;
        fs.ack(told.backups.len().to_string());
    }
    for model in MODELS {
        let mut met = 0;
        let mut verify = |fs: &CrashFs| {
            met += 1;
            if met % EVERY == 0 {
                return next_backup(fs, &told, &model, broken, tally);
            }
            if let Some(of) = told.of(left(fs)?)? {
                let copy = held(fs, COPY, Which::Newest, broken)?;
                ensure(copy == *of, "the newest backup holds something else")?;
            }
            Ok(())
        };
        let crash = Crash::new(&model, fs.history());
        let report = crash.explore(Where::Everywhere, Budget::per_cut(FIRST), tally, &mut verify);
        report.into_result()?;
    }
    Ok(())
}

/// How many backups a cut has left: all that are owed, if not more.
fn left(fs: &CrashFs) -> Result<usize, Wrong> {
    let owed: usize = fs.owed_text().last().map_or(Ok(0), |text| text.parse())?;
    let left = match verify_backup(fs.share(), BACKUPS) {
        Ok(found) => found.len(),
        Err(Error::NotABackup { .. }) => 0,
        Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => 0,
        Err(error) => return Err(error.into()),
    };
    ensure(left >= owed, &format!("{owed} backups are owed, {left} are there"))?;
    Ok(left)
}

/// Goes on after a cut, makes the next backup, and cuts that too.
fn next_backup(
    fs: &CrashFs,
    told: &Told,
    model: &Model,
    broken: Option<Sabotage>,
    tally: &Tally,
) -> Verdict {
    let first = left(fs)?;
    let before = told.of(first)?;
    let db = opened(fs, broken)?;
    let now = contents(&db)?;
    let behind = before.is_some() && !told.states[told.backups[first - 1]..].contains(&now);
    ensure(!behind, "the store is behind its backup")?;
    db.backup(BACKUPS)?;
    fs.ack((first + 1).to_string());
    db.close()?;
    let mut verify = |fs: &CrashFs| {
        let left = left(fs)?;
        ensure(left >= first, "a second cut takes a backup")?;
        let expected = if left > first { Some(&now) } else { before };
        let Some(expected) = expected else { return Ok(()) };
        let copy = held(fs, COPY, Which::Newest, broken)?;
        ensure(copy == *expected, "after a second cut the newest backup holds something else")
    };
    let again = Crash::of_life(model, fs).explore(Where::AtSyncs, SECOND, tally, &mut verify);
    again.into_result()?;
    let copy = held(fs, COPY, Which::Newest, broken)?;
    ensure(copy == now, "the next backup holds something else")
}

/// Cuts the power everywhere in a restore.
///
/// # Errors
/// In words, what a cut left.
pub fn restores(broken: Option<Sabotage>, tally: &Tally) -> Result<(), Wrong> {
    tally.set_shape("restore");
    let first = MemFs::new();
    let db = with_engines(&first, broken)?;
    for (n, keyspace) in db.keyspaces()?.iter().enumerate() {
        for key in 0..5 {
            keyspace.put(format!("{key}"), vec![u8::try_from(n)?; 500])?;
        }
    }
    db.backup(BACKUPS)?;
    let whole = contents(&db)?;
    db.close()?;
    let fs = first.settled();
    restore(&fs, COPY, Which::Newest, broken)?;
    fs.ack("restored");
    for model in MODELS {
        let mut met = 0;
        let mut verify = |fs: &CrashFs| {
            met += 1;
            let again = restored(fs, &whole, broken)?;
            if again == Again::No || met % EVERY != 0 {
                return Ok(());
            }
            let crash = Crash::of_life(&model, fs);
            let mut verify = |fs: &CrashFs| restored(fs, &whole, broken).map(drop);
            let report = crash.explore(Where::Everywhere, SECOND, tally, &mut verify);
            report.into_result()?;
            Ok(())
        };
        let crash = Crash::new(&model, fs.history());
        let report = crash.explore(Where::Everywhere, Budget::per_cut(FIRST), tally, &mut verify);
        report.into_result()?;
    }
    Ok(())
}

/// Whether a restore was begun again after a cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Again {
    No,
    Yes,
}

/// Looks at what a cut restore left; where there is no store yet, restores again.
fn restored(fs: &CrashFs, whole: &Contents, broken: Option<Sabotage>) -> Result<Again, Wrong> {
    // Half a store is none, whichever name is tried, by whomever.
    let read = builder(fs, broken).open_reader(MAKING).map(drop);
    let beside = builder(fs, broken).create(Create::Never).open(MAKING);
    let beside = beside.and_then(|db| contents(&db));
    ensure(read.is_err() || beside.is_ok(), "half a store was opened for reading")?;
    ensure(beside.as_ref().is_ok_and(|it| it == whole) || beside.is_err(), "half a store")?;
    let there = fs.look(COPY).is_some();
    ensure(there || fs.owed_text().next().is_none(), "the restored store is gone")?;
    if !there {
        match restore(fs, COPY, Which::Newest, broken) {
            // All was done but the last step, and what stands there is whole.
            Err(Error::InTheWay { .. }) if beside.is_ok() => return Ok(Again::No),
            other => other?,
        }
        fs.ack("restored");
    }
    let db = builder(fs, broken).create(Create::Never).open(COPY)?;
    ensure(contents(&db)? == *whole, "another store")?;
    Ok(if there { Again::No } else { Again::Yes })
}
