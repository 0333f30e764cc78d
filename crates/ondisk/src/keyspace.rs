//! A keyspace: its young map, its engine, and how a read goes through both.
//!
//! Invariant: whoever loads the view and only then asks what is acknowledged sees, in the view
//! and the engine together, every commit that was acknowledged before the view was loaded. The
//! view gives a frozen map up only when the engine has all of it.

use std::ops::Bound;
use std::sync::Arc;

use arc_swap::ArcSwap;
use ondisk_log::Lsn;

use crate::bitcask::{Bitcask, Snapshot};
use crate::commit::Commit;
use crate::error::Error;
use crate::range::Range;
use crate::value::Value;
use crate::young::{Found, Young};

/// The keyspace that every store has, and so far the only one.
pub(crate) const DEFAULT_KEYSPACE: u32 = 0;

#[derive(Debug)]
pub(crate) struct Keyspace {
    id: u32,
    view: ArcSwap<View>,
    engine: Bitcask,
}

/// The young generation as a reader finds it.
#[derive(Debug)]
pub(crate) struct View {
    /// Takes the commits of now.
    active: Arc<Young>,
    /// What a checkpoint is taking over.
    frozen: Option<Frozen>,
}

/// A young map that takes no more commits.
#[derive(Clone, Debug)]
pub(crate) struct Frozen {
    pub(crate) young: Arc<Young>,
    /// The last commit in it.
    pub(crate) through: Lsn,
}

impl Frozen {
    /// A map without commits: the engine has all through an LSN.
    pub(crate) fn none(through: Lsn) -> Self {
        Self { young: Arc::new(Young::new()), through }
    }
}

impl Keyspace {
    pub(crate) fn new(id: u32, young: Young, engine: Bitcask) -> Self {
        let view = View { active: Arc::new(young), frozen: None };
        Self { id, view: ArcSwap::from_pointee(view), engine }
    }

    pub(crate) fn engine(&self) -> &Bitcask {
        &self.engine
    }

    /// Adds a commit to the active map. Between this and the commit's LSN no
    /// [`freeze`](Self::freeze) may come: the caller holds it off.
    pub(crate) fn insert(&self, lsn: Lsn, commit: &Commit) {
        self.view.load().active.insert(lsn, commit, self.id);
    }

    /// The value of a key as of the newest commit that `visible` names, or of a later one.
    pub(crate) fn get(
        &self,
        key: &[u8],
        visible: impl FnOnce() -> Lsn,
    ) -> Result<Option<Value>, Error> {
        // The view first: a commit that is acknowledged when `visible` is asked is then in the
        // view, or came after it was loaded, and a read may miss what came after it began.
        let view = self.view.load();
        let visible = visible();
        let in_frozen = || view.frozen.as_ref().and_then(|it| it.young.get(key, visible));
        match view.active.get(key, visible).or_else(in_frozen) {
            Some(Found::Value(value)) => Ok(Some(value.into())),
            Some(Found::Deleted) => Ok(None),
            // If a checkpoint has moved on meanwhile, the engine holds a later commit than
            // `visible`: acknowledged all the same, before this returns.
            None => Ok(self.engine.get(key)?.map(Value::from)),
        }
    }

    /// The keys between two bounds as of one commit, that which `visible` names or the last
    /// before the view changed.
    pub(crate) fn range(
        &self,
        lower: Bound<&[u8]>,
        upper: Bound<&[u8]>,
        visible: impl FnOnce() -> Lsn,
    ) -> Range {
        let keydir = self.engine.ordered();
        // Under the keydir's lock: what a checkpoint has put there is in the frozen map still, or
        // the view has let go of it. So the two are of one moment.
        let view = self.view.load_full();
        let visible = visible();
        let snapshot = Snapshot::take(&keydir, lower, upper);
        drop(keydir);
        let frozen = view.frozen.as_ref().map(|it| it.young.range(lower, upper, visible));
        let active = view.active.range(lower, upper, visible);
        Range::new(active, frozen.into_iter().flatten(), snapshot)
    }

    /// The bytes of young generation that are kept in memory.
    pub(crate) fn young_bytes(&self) -> u64 {
        let view = self.view.load();
        view.active.weight() + view.frozen.as_ref().map_or(0, |it| it.young.weight())
    }

    /// How many versions the young generation holds.
    pub(crate) fn young_versions(&self) -> usize {
        let view = self.view.load();
        view.active.len() + view.frozen.as_ref().map_or(0, |it| it.young.len())
    }

    /// The frozen map, if there is one.
    pub(crate) fn frozen(&self) -> Option<Frozen> {
        self.view.load().frozen.clone()
    }

    /// Freezes the active map, which holds all commits through an LSN, and opens an empty one.
    /// No commit may be between its LSN and the map, and no other frozen map may be there.
    pub(crate) fn freeze(&self, through: Lsn) -> Frozen {
        let view = self.view.load();
        debug_assert!(view.frozen.is_none(), "one checkpoint at a time");
        let frozen = Frozen { young: Arc::clone(&view.active), through };
        let active = Arc::new(Young::new());
        self.view.store(Arc::new(View { active, frozen: Some(frozen.clone()) }));
        frozen
    }

    /// Lets go of the frozen map: the engine has all of it.
    pub(crate) fn thaw(&self) {
        // Under the keydir's lock, for `range`; but a large map is not freed under it.
        let keydir = self.engine.keydir_mut();
        let active = Arc::clone(&self.view.load().active);
        let before = self.view.swap(Arc::new(View { active, frozen: None }));
        drop(keydir);
        drop(before);
    }
}
