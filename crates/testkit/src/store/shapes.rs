//! Stories made for cutting: each does one thing that can go wrong, a few times.
//!
//! Invariant: a shape is about keyspaces of one engine; where others stand beside, they are there
//! for what holds across engines.

use ondisk::{EngineKind, KeyspaceOptions, LargeValue, SyncMode};
use ondisk_sim::Place;

use super::random::Random;
use super::story::{Budgets, Event, Fill, KEYS, Op, Story, TIGHT, Walk, plain};

/// The keyspace that a shape is about.
const MAIN: usize = 1;
/// One beside it.
const BESIDE: usize = 2;

/// Writes a shape down.
struct Script {
    engine: EngineKind,
    /// What makes one variant differ from another; the first is as it is written.
    random: Option<Random>,
    events: Vec<Event>,
    commits: u32,
}

impl Script {
    fn new((engine, variant): About) -> Self {
        let events = vec![Event::Make(MAIN, plain(engine))];
        let random = (variant > 0).then_some(Random(variant));
        Self { engine, random, events, commits: 0 }
    }

    /// A few more, in a variant.
    fn more(&mut self, most: usize) -> u32 {
        let more = self.random.as_mut().map_or(0, |random| random.below(most + 1));
        u32::try_from(more).unwrap_or(0)
    }

    fn then(&mut self, event: Event) -> &mut Self {
        self.events.push(event);
        self
    }

    /// One commit: a key that is always there, and one that comes and goes.
    fn commit(&mut self, slots: &[usize], len: u32, mode: SyncMode) -> &mut Self {
        self.commits += 1;
        let len = len + self.more(150);
        let number = self.commits;
        let n = number + self.more(1);
        let mut ops = Vec::new();
        for &slot in slots {
            let value = Some(Fill { number, len: 12 });
            ops.push(Op { slot, key: 8, value });
            let (key, other) = (9 + n as usize % 5, 9 + (n as usize + 1) % 5);
            if n.is_multiple_of(3) {
                ops.push(Op { slot, key: other, value: None });
            } else {
                ops.push(Op { slot, key, value: Some(Fill { number, len }) });
            }
        }
        self.then(Event::Commit(ops, Some(mode)))
    }

    fn commits(&mut self, count: u32, mode: SyncMode) -> &mut Self {
        for _ in 0..count + self.more(1) {
            self.commit(&[MAIN], 60, mode);
        }
        self
    }

    fn story(&self, name: &str) -> Story {
        let name = format!("{} {name}", self.engine);
        Story { name, budgets: TIGHT, events: self.events.clone(), cut_from: 0 }
    }
}

/// The engine that a shape is about, and which variant of it.
type About = (EngineKind, u64);

const SYNC: SyncMode = SyncMode::Sync;
const NONE: SyncMode = SyncMode::None;

/// The shapes of an engine, in a variant; the first has those with calls that fail too.
#[must_use]
pub fn shapes(engine: EngineKind, variant: u64) -> Vec<Story> {
    let about = (engine, variant);
    let mut shapes = vec![
        checkpoints(about),
        without_sync(about),
        closes(about),
        deaths(about),
        recovery_that_checkpoints(about),
        compactions(about),
        compactions_under_a_snapshot(about),
        long_values(about),
        value_files(about),
        value_files_superseded(about),
        value_files_read(about),
        value_files_dropped(about),
        dropped_and_made_again(about),
        several_engines(about),
        idle_and_busy(about),
        many_keys(about),
        by_steps(about),
        commits_that_touch_nothing(about),
    ];
    if variant == 0 {
        shapes.extend(failed_installs(about));
    }
    shapes
}

fn checkpoints(about: About) -> Story {
    let mut it = Script::new(about);
    for _ in 0..3 {
        it.commits(3, SYNC).then(Event::Checkpoint);
    }
    it.commits(1, SYNC).story("checkpoints")
}

fn without_sync(about: About) -> Story {
    let mut it = Script::new(about);
    for _ in 0..3 {
        it.commits(4, NONE).then(Event::Checkpoint);
    }
    it.commits(2, NONE).story("checkpoints without sync")
}

fn closes(about: About) -> Story {
    let mut it = Script::new(about);
    for _ in 0..2 {
        it.commits(2, SYNC).then(Event::Reopen);
        it.commits(1, NONE).then(Event::Checkpoint).commits(1, NONE).then(Event::Reopen);
    }
    it.commits(1, SYNC).story("closes")
}

fn deaths(about: About) -> Story {
    let mut it = Script::new(about);
    let batch = SyncMode::Batch(ondisk::BatchLimits { records: 2, bytes: None, delay: None });
    for _ in 0..3 {
        it.commits(2, SYNC).then(Event::Checkpoint).commits(3, batch).then(Event::Kill);
    }
    it.commits(1, SYNC).story("deaths")
}

fn recovery_that_checkpoints(about: About) -> Story {
    let mut it = Script::new(about);
    for _ in 0..24 {
        it.commit(&[MAIN], 500, NONE);
    }
    it.then(Event::Young(TIGHT.young)).then(Event::Kill).commits(1, SYNC);
    Story { budgets: ROOMY, ..it.story("recovery that checkpoints") }
}

fn compactions(about: About) -> Story {
    let mut it = Script::new(about);
    for _ in 0..2 {
        for _ in 0..6 {
            it.commits(2, NONE).then(Event::Checkpoint);
        }
        it.then(Event::Compact);
    }
    it.commits(1, SYNC).story("compactions")
}

fn compactions_under_a_snapshot(about: About) -> Story {
    let mut it = Script::new(about);
    it.commits(4, SYNC).then(Event::Checkpoint).then(Event::Snapshot);
    for _ in 0..5 {
        it.commits(3, NONE).then(Event::Checkpoint);
    }
    it.then(Event::Compact).commits(2, SYNC).then(Event::Checkpoint).then(Event::LetGo);
    it.then(Event::Compact).then(Event::Checkpoint).commits(1, SYNC);
    it.story("compactions under a snapshot")
}

fn long_values(about: About) -> Story {
    let mut it = Script::new(about);
    for len in [3000, 10, 2500, 6000, 4000] {
        it.commit(&[MAIN], len, SYNC).commit(&[MAIN], 100, SYNC).then(Event::Checkpoint);
    }
    it.then(Event::Compact).commits(1, SYNC).story("long values")
}

/// Values in files of their own, from the first one on.
fn value_files(about: About) -> Story {
    let mut it = Script::new(about);
    let large = KeyspaceOptions { large_value: LargeValue(200), ..plain(about.0) };
    it.then(Event::Make(BESIDE, large));
    for len in [300, 2500, 10, 900] {
        it.commit(&[BESIDE], len, SYNC).commit(&[BESIDE, MAIN], len, NONE);
    }
    it.then(Event::Checkpoint).commit(&[BESIDE], 700, SYNC).then(Event::Kill);
    it.commit(&[BESIDE], 400, SYNC).then(Event::Steps(9)).commit(&[BESIDE], 800, SYNC);
    it.story("value files")
}

/// Value files that commits supersede which are not durable.
fn value_files_superseded(about: About) -> Story {
    let mut it = Script::new(about);
    let large = KeyspaceOptions { large_value: LargeValue(200), ..plain(about.0) };
    it.then(Event::Make(BESIDE, large));
    it.commit(&[BESIDE], 600, SYNC).commit(&[BESIDE], 900, SYNC).then(Event::Checkpoint);
    for _ in 0..5 {
        it.commit(&[BESIDE], 700, NONE);
    }
    // A look, and the removal of what it found.
    it.then(Event::Steps(9)).commit(&[MAIN], 60, SYNC).story("value files superseded")
}

/// Value files that are superseded, and that somebody still reads. Cut at its end alone: it is
/// about who reads.
fn value_files_read(about: About) -> Story {
    let mut it = Script::new(about);
    let large = KeyspaceOptions { large_value: LargeValue(200), ..plain(about.0) };
    it.then(Event::Make(BESIDE, large));
    // By the very next commit.
    let put = |number| Op { slot: BESIDE, key: 20, value: Some(Fill { number, len: 400 }) };
    let put = |number| Event::Commit(vec![put(number)], Some(SYNC));
    it.then(put(900)).then(Event::Snapshot).then(put(901)).then(Event::Compact).then(Event::LetGo);
    let walk = Event::KeepWalk(BESIDE, Walk::Forward);
    for kept in [Event::Reader, Event::Snapshot, walk] {
        it.commit(&[BESIDE], 600, SYNC).commit(&[BESIDE], 900, SYNC);
        it.then(Event::Checkpoint).then(kept);
        for _ in 0..5 {
            it.commit(&[BESIDE], 700, NONE);
        }
        it.then(Event::Steps(9)).commit(&[MAIN], 60, SYNC).then(Event::Compact).then(Event::LetGo);
    }
    let cut_from = it.events.len();
    Story { cut_from, ..it.commits(1, SYNC).story("value files read") }
}

/// Value files of a keyspace that is dropped under who reads them, the oldest of several first.
fn value_files_dropped(about: About) -> Story {
    let mut it = Script::new(about);
    let large = KeyspaceOptions { large_value: LargeValue(200), ..plain(about.0) };
    let readers = [Event::Reader, Event::Reader];
    for kept in [&[Event::Snapshot][..], &readers[..1], &readers] {
        it.then(Event::Make(BESIDE, large)).commit(&[BESIDE], 500, SYNC);
        it.commit(&[BESIDE], 500, SYNC).then(Event::Checkpoint);
        it.events.extend(kept.iter().cloned());
        it.then(Event::Drop(BESIDE)).commits(1, SYNC).then(Event::Compact);
        for _ in kept {
            it.then(Event::LetGo).commits(1, SYNC).then(Event::Compact);
        }
    }
    // The next writer leaves what a reader needs that has outlived the one before.
    it.then(Event::Make(BESIDE, large)).commit(&[BESIDE], 500, SYNC);
    it.commit(&[BESIDE], 500, SYNC).then(Event::Checkpoint).then(Event::Reader);
    let cut_from = it.events.len();
    it.then(Event::Drop(BESIDE)).then(Event::Reopen).then(Event::LetGo);
    Story { cut_from, ..it.commits(1, SYNC).story("value files dropped") }
}

fn dropped_and_made_again(about: About) -> Story {
    let mut it = Script::new(about);
    it.commits(3, SYNC).then(Event::Checkpoint).commits(2, NONE);
    it.then(Event::Drop(MAIN)).then(Event::Make(MAIN, plain(about.0)));
    it.commits(2, SYNC).then(Event::Checkpoint).then(Event::Drop(MAIN));
    it.commit(&[0], 40, SYNC).then(Event::Kill);
    let sync = KeyspaceOptions { sync: Some(NONE), ..plain(about.0) };
    it.then(Event::Make(MAIN, sync)).commits(2, SYNC).then(Event::Checkpoint);
    it.commits(1, SYNC).story("dropped and made again")
}

fn several_engines(about: About) -> Story {
    let mut it = Script::new(about);
    let others = EngineKind::ALL.into_iter().filter(|it| *it != about.0);
    for (slot, other) in (BESIDE..).zip(others) {
        it.then(Event::Make(slot, plain(other)));
    }
    for round in 0..3 {
        let mode = if round == 1 { NONE } else { SYNC };
        it.commit(&[0, 1, 2, 3], 60, mode).commit(&[3, 1], 60, mode);
        it.commit(&[2, 1, 0], 60, mode).then(Event::Checkpoint);
    }
    it.commit(&[0, 1, 2, 3], 60, SYNC).story("several engines")
}

fn idle_and_busy(about: About) -> Story {
    let mut it = Script::new(about);
    it.then(Event::Make(BESIDE, plain(about.0)));
    it.commit(&[BESIDE], 60, SYNC).then(Event::Checkpoint).commit(&[BESIDE], 60, SYNC);
    for _ in 0..14 {
        it.commit(&[MAIN], 700, NONE).then(Event::Steps(4));
    }
    it.commit(&[MAIN, BESIDE], 60, SYNC).story("idle and busy")
}

fn many_keys(about: About) -> Story {
    let mut it = Script::new(about);
    for round in 0..4_u32 {
        for part in 0..2_u32 {
            let ops = (0..11_u32).map(|n| {
                let number = 1000 + round * 22 + part * 11 + n;
                let key = (part * 11 + n) as usize;
                let gone = round > 0 && (n + round).is_multiple_of(3);
                let value = Fill { number, len: 150 };
                Op { slot: MAIN, key, value: if gone { None } else { Some(value) } }
            });
            it.then(Event::Commit(ops.collect(), Some(NONE)));
        }
        it.then(Event::Checkpoint);
    }
    it.then(Event::Compact).commits(1, SYNC).story("many keys")
}

fn by_steps(about: About) -> Story {
    let mut it = Script::new(about);
    for _ in 0..9 {
        it.commit(&[MAIN], 900, SYNC).commit(&[MAIN], 300, NONE);
        it.then(Event::Steps(2)).then(Event::Idle);
    }
    it.story("by steps")
}

/// An LSN that no young map holds is durable before the log is told that it may forget it.
fn commits_that_touch_nothing(about: About) -> Story {
    let mut it = Script::new(about);
    it.then(Event::Make(BESIDE, plain(about.0)));
    it.commits(2, SYNC).then(Event::Commit(Vec::new(), Some(NONE))).then(Event::Checkpoint);
    it.then(Event::Commit(Vec::new(), Some(NONE))).then(Event::Checkpoint);
    it.commits(1, SYNC).commit(&[BESIDE], 60, NONE).then(Event::Drop(BESIDE));
    it.then(Event::Checkpoint).commits(1, NONE);
    it.story("commits that touch nothing")
}

/// A checkpoint in which one call fails that makes something durable, and what may come then.
fn failed_installs(about: About) -> Vec<Story> {
    let places = [Place::SyncDir, Place::SyncAll, Place::SyncData, Place::Rename];
    let ends: [(&str, &[Event]); 3] = [
        ("death", &[Event::Calm, Event::Kill]),
        ("close", &[Event::Calm, Event::Reopen]),
        ("another attempt", &[Event::Calm, Event::Checkpoint]),
    ];
    let mut stories = Vec::new();
    for (end, events) in ends {
        for place in places {
            for nth in 1..=3 {
                let mut it = Script::new(about);
                it.commits(2, SYNC).then(Event::Checkpoint).commits(2, SYNC);
                let cut_from = it.events.len();
                it.then(Event::Fail(place, nth)).then(Event::Checkpoint);
                it.events.extend(events.iter().cloned());
                it.commits(1, SYNC).then(Event::Checkpoint).commits(1, SYNC);
                let name = format!("a failed install ({place:?} {nth}) and {end}");
                stories.push(Story { cut_from, ..it.story(&name) });
            }
        }
    }
    stories.extend([Place::SyncDir, Place::Rename].map(|place| forgotten_install(about, place)));
    stories.push(failed_catalog(about, "made", Event::Make(BESIDE, plain(about.0))));
    stories.push(failed_catalog(about, "dropped", Event::Drop(MAIN)));
    stories
}

/// A keyspace that is made or dropped, in a catalog that only the cache may hold; and a death.
fn failed_catalog(about: About, what: &str, event: Event) -> Story {
    let mut it = Script::new(about);
    it.commits(2, SYNC).then(Event::Checkpoint).commits(1, SYNC);
    let cut_from = it.events.len();
    it.then(Event::Fail(Place::SyncDir, 1)).then(event).then(Event::Calm).then(Event::Kill);
    it.commit(&[BESIDE, MAIN], 60, SYNC).commit(&[0], 60, SYNC).then(Event::Checkpoint);
    Story { cut_from, ..it.story(&format!("a keyspace {what} in a catalog that is not synced")) }
}

/// A failed install and a death, and from then on only another keyspace is written: what the
/// first one put in place is relied on when the log forgets.
fn forgotten_install(about: About, place: Place) -> Story {
    let mut it = Script::new(about);
    it.commits(2, SYNC).then(Event::Checkpoint).commits(2, SYNC);
    let cut_from = it.events.len();
    it.then(Event::Fail(place, 2)).then(Event::Checkpoint).then(Event::Calm).then(Event::Kill);
    it.commit(&[0], 60, SYNC).then(Event::Checkpoint).commit(&[0], 60, SYNC);
    Story { cut_from, ..it.story(&format!("a failed install ({place:?}) that is forgotten")) }
}

/// Merges and compactions that a checkpoint, a delete and a snapshot come in between of, after
/// each number of steps; an older file that they leave alone holds a key that was deleted since.
#[must_use]
pub fn by_turns(engine: EngineKind) -> Vec<Story> {
    (0..9).map(|steps| interrupted((engine, 0), steps)).collect()
}

fn interrupted(about: About, steps: u8) -> Story {
    let mut it = Script::new(about);
    let one = |key: usize, value| vec![Op { slot: MAIN, key, value }];
    for key in 8..KEYS {
        let fill = Fill { number: 500 + u32::try_from(key).unwrap_or(0), len: 6000 };
        it.then(Event::Commit(one(key, Some(fill)), Some(NONE)));
    }
    // The last key is written here and deleted below, and nowhere else.
    it.then(Event::Checkpoint).then(Event::Commit(one(KEYS - 1, None), Some(NONE)));
    it.then(Event::Checkpoint);
    for _ in 0..7 {
        it.commits(2, NONE).then(Event::Checkpoint);
    }
    it.then(Event::Steps(steps)).then(Event::Snapshot).commits(3, SYNC).then(Event::Checkpoint);
    it.then(Event::Steps(99)).then(Event::Points(MAIN)).then(Event::LetGo);
    it.then(Event::Steps(99)).then(Event::Reopen).then(Event::Points(MAIN)).commits(1, SYNC);
    Story { budgets: ROOMY, ..it.story(&format!("interrupted after {steps} steps")) }
}

/// The budgets under which nothing is taken over before it is asked for.
const ROOMY: Budgets = Budgets { young: 1 << 30, ..TIGHT };
