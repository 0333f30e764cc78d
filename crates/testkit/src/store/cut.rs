//! The power is cut wherever it matters in a story: all that was acknowledged comes back, whole
//! and in order, in every keyspace alike; and what goes on after the cut is cut once more.
//!
//! Invariant: a verdict follows from the state alone, so that a failure can be made small.

use ondisk::sabotage::Sabotage;
use ondisk::{SyncMode, check};
use ondisk_sim::{Budget, Crash, CrashFs, MemFs, Model, Report, Tally, Verdict, Where};

use super::chain::{Chain, Owed};
use super::look;
use super::story::{Event, Fill, NAMES, Op, Story, TIGHT, plain};
use super::world::{Calls, Looks, PATH, Setup, World};

/// On one of so many states what was recovered is closed and checked.
const CHECKED: u64 = 7;

/// How thoroughly to look.
#[derive(Clone, Copy, Debug)]
pub struct Depth {
    /// States of a cut of the first life, at most.
    pub first: u32,
    /// On about every so-manieth state the store goes on, and is cut again; 0 for none.
    pub every: u64,
    /// States of a cut of a further life, at most.
    pub further: u32,
    /// States of all cuts of one further life, at most.
    pub further_run: u32,
    /// What chance is drawn from.
    pub seed: u64,
}

impl Default for Depth {
    fn default() -> Self {
        Self { first: 24, every: 6, further: 3, further_run: 40, seed: 0 }
    }
}

/// Tells a story, and cuts it everywhere.
///
/// # Errors
/// In words, what is lost, or what went wrong before any cut.
pub fn explore(
    story: &Story,
    broken: Option<Sabotage>,
    models: &[Model],
    depth: Depth,
    tally: &Tally,
) -> Result<Report, String> {
    tally.set_shape(&story.name);
    let setup = Setup { budgets: story.budgets, broken };
    let mut world = World::new(setup, Looks::Seldom, Calls::Succeed);
    world.tell(story)?;
    let setup = Setup { budgets: TIGHT, broken };
    let mut all = Report::default();
    for model in models {
        let crash = Crash::new(model, world.fs().history());
        let lost = |lost| format!("model {}: {lost}", model.name);
        for at in world.cuts(&crash) {
            let budget = Budget::per_cut(depth.first).seeded(depth.seed);
            let mut verify = |fs: &CrashFs| verify(fs, &world, setup, model, depth, tally);
            let report = crash.at(at).explore(budget, tally, &mut verify);
            all.merge(report.into_result().map_err(lost)?);
        }
    }
    Ok(all)
}

/// Recovers what a cut left, and now and then goes on from there.
fn verify(
    fs: &CrashFs,
    world: &World,
    setup: Setup,
    model: &Model,
    depth: Depth,
    tally: &Tally,
) -> Verdict {
    let (place, db, chapter) = recover(fs, setup, world.chapters())?;
    let drawn = fs.answers().iter().fold(depth.seed, |sum, it| {
        sum.wrapping_mul(31).wrapping_add(u64::from(it.picked) + u64::from(it.of))
    });
    if drawn % CHECKED == 1 {
        db.close().map_err(|error| error.to_string())?;
        let report = check(fs.share(), PATH).map_err(|error| error.to_string())?;
        return match report.findings.first() {
            None => Ok(()),
            Some(found) => Err(format!("a check finds: {found:?}").into()),
        };
    }
    if depth.every == 0 || !drawn.is_multiple_of(depth.every) {
        return Ok(());
    }
    let mut chapters = world.chapters()[..=chapter].to_vec();
    chapters.push(chapters[chapter].from(place));
    let mut next = World::resumed(MemFs::clone(fs), setup, db, chapters);
    for event in further() {
        next.run(&event).map_err(|why| format!("in the life after, {event}: {why}"))?;
    }
    let (per_cut, per_run) = (depth.further, depth.further_run);
    let budget = Budget { per_cut, per_run, seed: depth.seed };
    let again = Crash::of_life(model, fs).explore(Where::AtSyncs, budget, tally, &mut |fs| {
        recover(fs, setup, next.chapters())?;
        Ok(())
    });
    again.into_result()?;
    Ok(())
}

pub(super) type Recovered = ((usize, usize), ondisk::Db, usize);

/// Opens what a cut left, and finds its place in what is owed.
pub(super) fn recover(
    fs: &CrashFs,
    setup: Setup,
    chapters: &[Chain],
) -> Result<Recovered, Box<dyn std::error::Error + Send + Sync>> {
    let mut numbers = [0; 3];
    if let Some(note) = fs.owed_text().last() {
        for (number, text) in numbers.iter_mut().zip(note.split(' ')) {
            *number = text.parse()?;
        }
    }
    let [chapter, commits, catalog] = numbers;
    let db = setup.builder(fs).open(PATH).map_err(|error| error.to_string())?;
    let found = look::contents(&db).map_err(|error| error.to_string())?;
    let place = chapters[chapter].place(&found, Owed { commits, catalog })?;
    for (name, (_, map)) in &found {
        look::points(&db, name, map).map_err(|error| error.to_string())??;
    }
    Ok((place, db, chapter))
}

/// What a life after a cut does: a little of everything, on whatever keyspaces there are.
fn further() -> Vec<Event> {
    let ops = |n: u32| -> Vec<Op> {
        let value = |len| Some(Fill { number: 100_000 + n, len });
        let slots = 0..NAMES.len();
        let puts = slots.clone().map(|slot| Op { slot, key: 8, value: value(20) });
        let more = slots.map(|slot| Op { slot, key: 9 + n as usize, value: None });
        puts.chain(more).collect()
    };
    vec![
        Event::Commit(ops(1), Some(SyncMode::Sync)),
        Event::Checkpoint,
        Event::Make(4, plain(ondisk::EngineKind::Lsm)),
        Event::Commit(ops(2), Some(SyncMode::None)),
        Event::Drop(2),
        Event::Compact,
        Event::Commit(ops(3), Some(SyncMode::Sync)),
    ]
}
