//! What may happen to a store that no power cut is to blame for: a call fails, the disk is full, a
//! bit flips, a block is zeroed or shows what it held before, a file is gone.
//!
//! Invariant: nothing acknowledged is lost by a failed call; of damage, what is given out is right
//! or an error. Never a panic.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use ondisk::sabotage::Sabotage;
use ondisk::{Db, EngineKind, Error, KeyspaceOptions, LargeValue, Range, SyncMode, check};
use ondisk_sim::model::POSIX;
use ondisk_sim::{Budget, Crash, CrashFs, Fault, Image, MemFs, Node, Tally, Where};

use super::chain::{Found, Map};
use super::cut::recover;
use super::story::{Budgets, Event, Fill, Op, TIGHT, plain};
use super::world::{Calls, Looks, PATH, Setup, World};

const SYNC: SyncMode = SyncMode::Sync;
const BLOCK: usize = 4096;
/// How often a specimen is closed: so that places are used again, and have a past.
const ROUNDS: u32 = 7;
/// Room for what a sweep of faults does between two checkpoints.
const EASY: Budgets = Budgets { young: 24_000, ..TIGHT };

fn op(slot: usize, key: usize, number: u32, len: u32) -> Op {
    Op { slot, key, value: Some(Fill { number, len }) }
}

/// Commits to two keyspaces, so many, with a value of three kilobytes now and then.
fn commits(numbers: std::ops::Range<u32>, mode: SyncMode) -> impl Iterator<Item = Event> {
    numbers.map(move |n| {
        let len = if n.is_multiple_of(4) { 3000 } else { 200 };
        let gone = Op { slot: 1, key: 8 + (n as usize + 3) % 6, value: None };
        let ops = vec![op(1, 8 + n as usize % 6, n, len), gone, op(2, n as usize % 5, n, 20)];
        Event::Commit(ops, Some(mode))
    })
}

/// What is done while calls fail: two lives of commits, steps, checkpoints, a compaction, and
/// keyspaces that come and go.
fn workload(engine: EngineKind, mode: SyncMode) -> Vec<Event> {
    let beside = if engine == EngineKind::Bitcask { EngineKind::Lsm } else { EngineKind::Bitcask };
    let made = KeyspaceOptions { large_value: LargeValue(2500), ..plain(engine) };
    let mut events = vec![Event::Make(1, made), Event::Make(2, plain(beside))];
    for life in 0..2 {
        let from = life * 20;
        events.extend(commits(from..from + 5, mode));
        events.extend([Event::Checkpoint, Event::Steps(4), Event::Snapshot]);
        events.extend(commits(from + 5..from + 9, mode));
        events.extend([Event::Checkpoint, Event::Points(1), Event::Compact, Event::LetGo]);
        events.extend([Event::Make(3, plain(engine)), Event::Steps(9)]);
        events.extend(commits(from + 9..from + 12, mode));
        events.extend([Event::Drop(3), Event::Idle, Event::Sync]);
        events.push(if life == 0 { Event::Reopen } else { Event::Kill });
    }
    events
}

/// A life in which the n-th call fails; how many calls it had, and how many errors were answered.
///
/// # Errors
/// In words, what was lost, or answered wrongly.
pub fn faulty(
    engine: EngineKind,
    mode: SyncMode,
    fault: Fault,
    broken: Option<Sabotage>,
) -> Result<(u64, usize), String> {
    let setup = Setup { budgets: EASY, broken };
    let calm = fault.nth == u64::MAX;
    let mut world = World::new(setup, Looks::Seldom, Calls::MayFail);
    world.fs().inject(fault);
    world.open()?;
    for event in workload(engine, mode) {
        world.run(&event).map_err(|why| format!("{event}: {why}"))?;
    }
    let calls = world.fs().calls();
    if calm && !world.troubles().is_empty() {
        return Err(format!("nothing failed, and yet: {:?}", world.troubles()));
    }
    // No call fails from here on, and what is asked for is done.
    world.fs().clear_faults();
    world.run(&Event::Kill)?;
    let before = world.troubles().len();
    let after = commits(100..102, SYNC).chain([Event::Checkpoint, Event::Compact, Event::Reopen]);
    for event in after {
        world.run(&event).map_err(|why| format!("later, {event}: {why}"))?;
        world.look()?;
    }
    if world.troubles().len() > before {
        return Err(format!("afterwards: {:?}", &world.troubles()[before..]));
    }
    at_the_end(&world, setup)?;
    Ok((calls, before))
}

/// The power is cut at the end: all that the last open served is owed.
fn at_the_end(world: &World, setup: Setup) -> Result<(), String> {
    let crash = Crash::new(&POSIX, world.fs().history());
    let mut verify = |fs: &CrashFs| {
        recover(fs, setup, world.chapters())?;
        Ok(())
    };
    let (budget, tally) = (Budget::per_cut(4), Tally::new());
    let report = crash.explore(Where::AtTheEnd, budget, &tally, &mut verify);
    report.into_result().map(drop).map_err(|lost| format!("cut at the end: {lost}"))
}

/// A disk of so many bytes more than a new store takes: what does not fit is refused, and goes on
/// when there is space again, without a reopen. How many commits were refused.
///
/// # Errors
/// In words, what is wrong.
pub fn full(engine: EngineKind, bytes: u64, broken: Option<Sabotage>) -> Result<usize, String> {
    let setup = Setup { budgets: EASY, broken };
    let mut world = World::new(setup, Looks::Seldom, Calls::MayFail);
    world.open()?;
    world.run(&Event::Make(1, plain(engine)))?;
    world.run(&Event::Make(2, plain(EngineKind::Bitcask)))?;
    world.fs().set_capacity(Some(world.fs().used() + bytes));
    for n in 0..40 {
        for event in commits(n * 4..n * 4 + 4, SYNC).chain([Event::Steps(2)]) {
            world.run(&event).map_err(|why| format!("{event}: {why}"))?;
        }
        world.look()?;
    }
    let refused = world.troubles().len();
    if let Some(other) = world.troubles().iter().find(|trouble| !trouble.full) {
        return Err(format!("a full disk is answered with: {}", other.text));
    }
    world.fs().set_capacity(None);
    for event in commits(500..510, SYNC).chain([Event::Checkpoint, Event::Compact]) {
        world.run(&event).map_err(|why| format!("with space again, {event}: {why}"))?;
    }
    if world.troubles().len() > refused {
        return Err(format!("with space again: {:?}", &world.troubles()[refused..]));
    }
    world.look()?;
    world.run(&Event::Reopen)?;
    at_the_end(&world, setup)?;
    Ok(refused)
}

/// A store that was closed, as bytes, with what its files held at earlier closes.
#[derive(Clone, Debug)]
pub struct Specimen {
    /// The files.
    pub image: Image,
    /// What was in them before, the oldest first.
    pub former: Vec<Image>,
    /// What it holds.
    pub expected: Found,
    setup: Setup,
}

impl Specimen {
    /// Makes a store with every kind of file that an engine has.
    ///
    /// # Errors
    /// In words, what went wrong with it.
    pub fn of(engine: EngineKind, broken: Option<Sabotage>) -> Result<Self, String> {
        let setup = Setup { budgets: EASY, broken };
        let mut world = World::new(setup, Looks::Seldom, Calls::Succeed);
        world.open()?;
        let made = KeyspaceOptions { large_value: LargeValue(2500), ..plain(engine) };
        world.run(&Event::Make(1, made))?;
        world.run(&Event::Make(2, plain(EngineKind::Bitcask)))?;
        let mut former = Vec::new();
        for round in 0..ROUNDS {
            let from = round * 12;
            // Two keys that no other commit changes: one that each round has anew, one of its own.
            let kept = vec![op(1, 14, 200 + round, 300), op(1, 15 + round as usize, round, 100)];
            world.run(&Event::Commit(kept, Some(SYNC)))?;
            for event in commits(from..from + 8, SYNC) {
                world.run(&event)?;
            }
            world.run(&Event::Checkpoint)?;
            if round == 1 {
                world.run(&Event::Compact)?;
            }
            for event in commits(from + 8..from + 11, SYNC) {
                world.run(&event)?;
            }
            world.run(&Event::Reopen)?;
            former.push(world.fs().image());
        }
        let expected = world.chapters().last().map(super::chain::Chain::now).unwrap_or_default();
        let db = world.db().ok_or("it is open")?;
        db.close().map_err(|error| error.to_string())?;
        Ok(Self { image: world.fs().image(), former, expected, setup })
    }

    /// The files with their bytes.
    pub fn files(&self) -> impl Iterator<Item = (&Path, &[u8])> {
        self.image.nodes.iter().filter_map(|(path, node)| match node {
            Node::File(bytes) => Some((&**path, &bytes[..])),
            _ => None,
        })
    }

    /// The same with one file changed.
    #[must_use]
    pub fn with(&self, path: &Path, bytes: Option<Vec<u8>>) -> MemFs {
        let mut image = self.image.clone();
        match bytes {
            Some(bytes) => drop(image.nodes.insert(path.to_owned(), Node::File(bytes))),
            None => drop(image.nodes.remove(path)),
        }
        MemFs::from_image(&image)
    }

    /// Looks at a store that something was done to; whether that was noticed.
    ///
    /// # Errors
    /// In words, what it gave out that is wrong.
    pub fn look(&self, fs: &MemFs) -> Result<bool, String> {
        let mut noticed = match check(fs.share(), PATH) {
            Ok(report) => !report.findings.is_empty(),
            Err(error) => is_typed(&error)?,
        };
        noticed |= match self.setup.builder(fs).open_reader(PATH) {
            Ok(reader) => {
                let names: Vec<String> =
                    reader.keyspaces().map(|(name, _)| name.to_owned()).collect();
                let mut wrong = self.misses(&names);
                for name in &names {
                    let range = reader.range_in(name, ..).map_err(|error| error.to_string())?;
                    wrong |= self.walk(name, range)?;
                }
                wrong
            }
            Err(error) => is_typed(&error)?,
        };
        // A writer of its own: it may repair what nobody misses, and nothing else.
        let fs = fs.fork();
        noticed |= match self.setup.builder(&fs).open(PATH) {
            Ok(db) => self.writer(&db)?,
            Err(error) => is_typed(&error)?,
        };
        Ok(noticed)
    }

    /// Whether a keyspace is missing: that is noticed by who looks for it, and must not happen.
    fn misses(&self, names: &[String]) -> bool {
        !self.expected.keys().all(|name| names.contains(name))
    }

    fn writer(&self, db: &Db) -> Result<bool, String> {
        let mut noticed = false;
        for (name, (_, map)) in &self.expected {
            let space = match db.existing_keyspace(name) {
                Ok(space) => space,
                Err(error) => return Err(format!("{}: {error}", name.escape_default())),
            };
            for (key, value) in map {
                match space.get(key) {
                    Ok(found) if found.as_deref() == Some(&value[..]) => {}
                    Ok(found) => {
                        let len = found.map(|it| it.len());
                        let key = key.get(..12).unwrap_or(key).escape_ascii();
                        return Err(format!("get {key}: {len:?} bytes, not {}", value.len()));
                    }
                    Err(error) => noticed |= is_typed(&error)?,
                }
            }
            let range = space.range(..).map_err(|error| error.to_string())?;
            noticed |= self.walk(name, range)?;
        }
        Ok(noticed)
    }

    /// Walks to the end; whether an error showed on the way. Without one, nothing may be missing.
    fn walk(&self, name: &str, range: Range) -> Result<bool, String> {
        let empty = Map::new();
        let expected = self.expected.get(name).map_or(&empty, |(_, map)| map);
        let (mut errors, mut count) = (0, 0);
        for entry in range {
            match entry {
                Ok((key, value)) => {
                    count += 1;
                    if expected.get(&*key).is_none_or(|it| it[..] != *value) {
                        return Err(format!("a walk gives {key:?} another value"));
                    }
                }
                Err(error) => {
                    is_typed(&error)?;
                    errors += 1;
                }
            }
            if errors > 10_000 {
                return Err("a walk over damage does not end".into());
            }
        }
        if errors == 0 && count != expected.len() {
            return Err(format!("a walk gives {count} of {} keys", expected.len()));
        }
        Ok(errors > 0)
    }
}

/// Whether an error is one that damage may have; all others are wrong answers.
fn is_typed(error: &Error) -> Result<bool, String> {
    let of_the_file = |kind| matches!(kind, ErrorKind::NotFound | ErrorKind::UnexpectedEof);
    let fine = match error {
        Error::Io { source, .. } => of_the_file(source.kind()),
        Error::NotAStore { .. } | Error::NewerFormat { .. } => true,
        other => other.is_damage(),
    };
    if fine { Ok(true) } else { Err(format!("damage is answered with: {error}")) }
}

/// What a sweep over a specimen saw, by kind of file: how often something was done, and how often
/// that was noticed.
pub type Counts = BTreeMap<String, (u64, u64)>;

/// The kind of a file, by its name.
fn kind(path: &Path) -> String {
    let part = |it: Option<&std::ffi::OsStr>| it.map(|it| it.to_string_lossy().into_owned());
    part(path.extension()).or_else(|| part(path.file_name())).unwrap_or_default()
}

fn note(
    counts: &mut Counts,
    path: &Path,
    looked: Result<bool, String>,
    what: impl FnOnce() -> String,
) -> Result<bool, String> {
    let noticed = looked.map_err(|why| format!("{}, {}: {why}", path.display(), what()))?;
    let count = counts.entry(kind(path)).or_default();
    count.0 += 1;
    count.1 += u64::from(noticed);
    Ok(noticed)
}

/// Flips bits: of each byte of short files one, of long ones about so many.
///
/// # Errors
/// In words, what is wrong.
pub fn bits(specimen: &Specimen, of_each: usize) -> Result<Counts, String> {
    let whole = MemFs::from_image(&specimen.image);
    let mut counts = Counts::new();
    for (path, bytes) in specimen.files() {
        let empty = |from: &usize| bytes[*from..].iter().take(BLOCK).all(|byte| *byte == 0);
        let (zeros, blocks): (Vec<usize>, Vec<usize>) =
            (0..bytes.len()).step_by(BLOCK).partition(empty);
        let stride = ((blocks.len() * BLOCK).min(bytes.len()) / of_each).clamp(1, BLOCK);
        let places = blocks.iter().flat_map(|from| (*from..from + BLOCK).step_by(stride));
        // Of blocks that hold nothing, one place each of a few.
        for at in places.chain(zeros.into_iter().take(8)).filter(|at| *at < bytes.len()) {
            // Another place of each stretch, and another bit.
            let at = (at + (at / stride) % stride).min(bytes.len() - 1);
            let bit = u8::try_from((at / stride) % 8).unwrap_or(0);
            let fs = whole.fork();
            fs.rot(path, at as u64, bit).map_err(|error| error.to_string())?;
            let looked = specimen.look(&fs);
            note(&mut counts, path, looked, || format!("bit {bit} of byte {at} flipped"))?;
        }
    }
    Ok(counts)
}

/// Zeroes every block of so many bytes, and gives it what it held before.
///
/// # Errors
/// In words, what is wrong.
pub fn blocks(specimen: &Specimen, block: usize) -> Result<Counts, String> {
    let mut counts = Counts::new();
    for (path, bytes) in specimen.files() {
        for from in (0..bytes.len()).step_by(block) {
            let to = (from + block).min(bytes.len());
            let mut others: Vec<Vec<u8>> = vec![vec![0; to - from]];
            for former in &specimen.former {
                let Some(Node::File(former)) = former.nodes.get(path) else { continue };
                let mut block = former.get(from..).unwrap_or_default().to_vec();
                block.resize(to - from, 0);
                others.push(block);
            }
            others.retain(|other| other[..] != bytes[from..to]);
            others.dedup();
            for (n, other) in others.iter().enumerate() {
                let mut changed = bytes.to_vec();
                changed[from..to].copy_from_slice(other);
                let fs = specimen.with(path, Some(changed));
                let what = || format!("block at {from} given its content {n}");
                note(&mut counts, path, specimen.look(&fs), what)?;
            }
        }
    }
    Ok(counts)
}

/// Removes every file, cuts it short, and gives it what it held before.
///
/// # Errors
/// In words, what is wrong.
pub fn files(specimen: &Specimen) -> Result<Counts, String> {
    let mut counts = Counts::new();
    for (path, bytes) in specimen.files() {
        let fs = specimen.with(path, None);
        note(&mut counts, path, specimen.look(&fs), || "removed".to_owned())?;
        for len in [0, bytes.len() / 2, bytes.len().saturating_sub(1)] {
            if len < bytes.len() {
                let fs = specimen.with(path, Some(bytes[..len].to_vec()));
                note(&mut counts, path, specimen.look(&fs), || format!("cut to {len} bytes"))?;
            }
        }
        for former in &specimen.former {
            let Some(Node::File(former)) = former.nodes.get(path) else { continue };
            if former[..] != *bytes {
                let fs = specimen.with(path, Some(former.clone()));
                note(&mut counts, path, specimen.look(&fs), || "given former content".to_owned())?;
            }
        }
    }
    swapped(specimen, &mut counts)?;
    Ok(counts)
}

/// Lets two files of one kind change places.
fn swapped(specimen: &Specimen, counts: &mut Counts) -> Result<(), String> {
    let files: Vec<(PathBuf, Vec<u8>)> =
        specimen.files().map(|(path, bytes)| (path.to_owned(), bytes.to_vec())).collect();
    for (at, (one, of_one)) in files.iter().enumerate() {
        for (other, of_other) in &files[at + 1..] {
            if kind(one) == kind(other) && of_one != of_other {
                let mut image = specimen.image.clone();
                image.nodes.insert(one.clone(), Node::File(of_other.clone()));
                image.nodes.insert(other.clone(), Node::File(of_one.clone()));
                let fs = MemFs::from_image(&image);
                let what = || format!("changed places with {}", other.display());
                note(counts, one, specimen.look(&fs), what)?;
            }
        }
    }
    Ok(())
}
