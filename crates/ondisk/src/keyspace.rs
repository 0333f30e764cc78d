//! A keyspace from the inside: its young map, its engine, and how a read goes through both.
//!
//! Invariant: the generations that a reader loads hold, together, every commit of the keyspace
//! that had its LSN when they were loaded and was acknowledged. A frozen map is given up only
//! together with taking the engine's view that holds all of it, in one step.

use std::ops::Bound;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use ondisk_log::{Lsn, SyncMode};

use crate::commit::Commit;
use crate::engine::{Engine, View};
use crate::error::{Damage, Error};
use crate::keyspace::past::Past;
use crate::options::KeyspaceOptions;
use crate::range::Range;
use crate::value::Value;
use crate::values::{Reference, ValueFiles};
use crate::young::{Found, Young};

pub(crate) mod handle;
pub(crate) mod past;

/// The keyspace that every store has.
pub(crate) const DEFAULT_KEYSPACE: u32 = 0;
/// Its name.
pub(crate) const DEFAULT_NAME: &str = "default";

/// Above every commit.
const NEWEST: Lsn = Lsn(u64::MAX);

/// One keyspace of an open store.
#[derive(Debug)]
pub(crate) struct Space {
    pub(crate) id: u32,
    pub(crate) name: String,
    pub(crate) options: KeyspaceOptions,
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) values: Arc<ValueFiles>,
    generations: ArcSwap<Generations>,
    /// Held while the generations change; readers take no lock.
    changing: Mutex<()>,
    pub(crate) past: Past,
    dropped: AtomicBool,
}

/// A keyspace as a reader finds it: two young maps and an immutable view of the engine.
#[derive(Clone, Debug)]
pub(crate) struct Generations {
    /// Takes the commits of now.
    pub(crate) active: Arc<Young>,
    /// What a checkpoint is taking over.
    pub(crate) frozen: Option<Frozen>,
    /// What the engine holds.
    pub(crate) old: Arc<dyn View>,
    /// What references in any of them are to.
    pub(crate) values: Arc<ValueFiles>,
}

/// A young map that takes no more commits.
#[derive(Clone, Debug)]
pub(crate) struct Frozen {
    pub(crate) young: Arc<Young>,
    /// No commit in it is above this, and none of the keyspace that is neither in it nor in the
    /// engine is at or below.
    pub(crate) through: Lsn,
}

impl Space {
    pub(crate) fn new(
        id: u32,
        name: String,
        options: KeyspaceOptions,
        young: Young,
        engine: Arc<dyn Engine>,
        values: ValueFiles,
    ) -> Self {
        let (old, values) = (engine.view(), Arc::new(values));
        let active = Arc::new(young);
        let generations = Generations { active, frozen: None, old, values: Arc::clone(&values) };
        Self {
            id,
            name,
            options,
            engine,
            values,
            generations: ArcSwap::from_pointee(generations),
            changing: Mutex::new(()),
            past: Past::default(),
            dropped: AtomicBool::new(false),
        }
    }

    /// The mode of commits that say nothing else.
    pub(crate) fn mode(&self, stores: SyncMode) -> SyncMode {
        self.options.sync.unwrap_or(stores)
    }

    /// The generations of now, to be kept for as long as a read goes on.
    pub(crate) fn generations(&self) -> Arc<Generations> {
        self.generations.load_full()
    }

    /// Adds a commit to the active map. Between this and the commit's LSN no
    /// [`freeze`](Self::freeze) may come: the caller holds it off.
    /// Answers how many bytes of memory it took.
    pub(crate) fn insert(&self, lsn: Lsn, commit: &Commit) -> u64 {
        self.generations.load().active.insert(lsn, commit, self.id)
    }

    /// The value of a key as of the newest commit at or below `visible`, or of a later one that
    /// is acknowledged all the same.
    pub(crate) fn get(&self, key: &[u8], visible: Lsn) -> Result<Option<Value>, Error> {
        let found = self.generations.load().get(key, visible);
        match found {
            // Nobody holds a plain read's large value: if it was superseded meanwhile, the file
            // may be gone, and what superseded it is acknowledged.
            Err(Error::Damaged { damage: Damage::Missing, .. }) => {
                self.generations.load().get(key, NEWEST)
            }
            found => found,
        }
    }

    /// What the newest version of a key refers to, acknowledged or not.
    pub(crate) fn reference(&self, key: &[u8]) -> Result<Option<Reference>, Error> {
        let value = self.generations.load().find(key, NEWEST)?;
        Ok(value.as_deref().and_then(Reference::of))
    }

    /// The bytes of young generation that are kept in memory.
    pub(crate) fn young_bytes(&self) -> u64 {
        let now = self.generations.load();
        now.active.weight() + now.frozen.as_ref().map_or(0, |it| it.young.weight())
    }

    /// How many versions the young generation holds.
    pub(crate) fn young_versions(&self) -> usize {
        let now = self.generations.load();
        now.active.len() + now.frozen.as_ref().map_or(0, |it| it.young.len())
    }

    /// The lowest LSN that is in no commit point of the engine, if there is one.
    pub(crate) fn oldest(&self) -> Option<Lsn> {
        let now = self.generations.load();
        // What is frozen is older.
        let frozen = now.frozen.as_ref().and_then(|it| it.young.first_lsn());
        frozen.or_else(|| now.active.first_lsn())
    }

    /// The frozen map, if there is one.
    pub(crate) fn frozen(&self) -> Option<Frozen> {
        self.generations.load().frozen.clone()
    }

    /// Freezes the active map, which holds all commits through an LSN, and opens an empty one.
    /// No commit may be between its LSN and the map, and no other frozen map may be there.
    pub(crate) fn freeze(&self, through: Lsn) -> Frozen {
        let _changing = self.changing();
        let now = self.generations.load();
        debug_assert!(now.frozen.is_none(), "one checkpoint at a time");
        let frozen = Frozen { young: Arc::clone(&now.active), through };
        let next = Generations {
            active: Arc::new(Young::new()),
            frozen: Some(frozen.clone()),
            old: Arc::clone(&now.old),
            values: Arc::clone(&now.values),
        };
        self.generations.store(Arc::new(next));
        frozen
    }

    /// Takes the engine's newest view, and lets go of the frozen map if the view holds all of it:
    /// it belongs to the past from then on, with its bytes. Answers how many they are.
    pub(crate) fn refresh(&self, past_bytes: &AtomicU64) -> u64 {
        let changing = self.changing();
        let now = self.generations.load();
        let old = self.engine.view();
        let (done, frozen) = match &now.frozen {
            Some(it) if it.through <= old.through() => (Some(it.clone()), None),
            other => (None, other.clone()),
        };
        let freed = done.as_ref().map_or(0, |it| it.young.weight());
        // Before it is gone from here: who looks here first, and then there, misses nothing.
        done.into_iter().for_each(|done| self.past.push(done, past_bytes));
        let values = Arc::clone(&now.values);
        let next = Generations { active: Arc::clone(&now.active), frozen, old, values };
        let before = self.generations.swap(Arc::new(next));
        drop(changing);
        drop(before); // a view may have files to close
        freed
    }

    /// Forgets the frozen map, though the engine has not all of it: the canary's way.
    pub(crate) fn forget_frozen(&self) {
        let _changing = self.changing();
        let now = Generations::clone(&self.generations.load());
        self.generations.store(Arc::new(Generations { frozen: None, ..now }));
    }

    /// Whether the keyspace was dropped.
    pub(crate) fn is_dropped(&self) -> bool {
        self.dropped.load(Ordering::Acquire)
    }

    /// Whether somebody keeps its generations, or its engine works.
    pub(crate) fn is_read(&self) -> bool {
        let now = self.generations();
        // Here and in the field is one each.
        Arc::strong_count(&now) > 2 || Arc::strong_count(&self.engine) > 1
    }

    pub(crate) fn mark_dropped(&self) {
        self.dropped.store(true, Ordering::Release);
    }

    fn changing(&self) -> MutexGuard<'_, ()> {
        // A panic while it was held left the generations as they were: each change is one store.
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Generations {
    /// As [`Space::get`].
    pub(crate) fn get(&self, key: &[u8], visible: Lsn) -> Result<Option<Value>, Error> {
        let value = self.find(key, visible)?;
        value.map(|value| self.values.resolve(key, value)).transpose()
    }

    /// What is held for a key: its value, or a reference to it.
    fn find(&self, key: &[u8], visible: Lsn) -> Result<Option<Value>, Error> {
        let visible = self.at(visible);
        let in_frozen = || self.frozen.as_ref().and_then(|it| it.young.get(key, visible));
        match self.active.get(key, visible).or_else(in_frozen) {
            Some(Found::Value(value)) => Ok(Some(value.into())),
            Some(Found::Deleted) => Ok(None),
            None => self.old.get(key),
        }
    }

    /// The keys between two bounds as of one commit.
    pub(crate) fn range(
        self: &Arc<Self>,
        lower: Bound<&[u8]>,
        upper: Bound<&[u8]>,
        visible: Lsn,
    ) -> Range {
        Range::new(Arc::clone(self), lower, upper, self.at(visible))
    }

    /// The commit that a read at `visible` is of. The engine may have moved on since that was
    /// asked: what it holds is acknowledged, and nothing of the keyspace lies between the two.
    fn at(&self, visible: Lsn) -> Lsn {
        visible.max(self.old.through())
    }
}

/// Checks a name for a keyspace: any text from 1 to 255 bytes.
pub(crate) fn check_name(name: &str) -> Result<(), Error> {
    let (len, limit) = (name.len(), crate::catalog::LONGEST_NAME);
    if len == 0 || len > limit { Err(Error::KeyspaceName { len, limit }) } else { Ok(()) }
}

/// The directory of a keyspace in a store's.
pub(crate) fn keyspace_dir(store: &Path, id: u32) -> std::path::PathBuf {
    crate::place::keyspaces_dir(store).join(id.to_string())
}
