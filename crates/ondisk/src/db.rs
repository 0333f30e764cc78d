//! The front door: [`Db`], a cheap handle to an open store.
//!
//! Invariant: what a call returns is on the rung that its receipt names, and a read sees every
//! commit that was acknowledged before the read began.

use std::ops::{Bound, RangeBounds};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use ondisk_fs::Rung;
use ondisk_log::{Lsn, Receipt, Recovered, Step, SyncMode, Ticket};

use crate::batch::Batch;
use crate::builder::{Background, Builder};
use crate::durability::Durability;
use crate::error::Error;
use crate::keyspace::DEFAULT_NAME;
use crate::keyspace::handle::Keyspace;
use crate::later::{Later, Waiting, mode_for};
use crate::open::Opening;
use crate::options::KeyspaceOptions;
use crate::range::Range;
use crate::snapshot::{At, Holder, Snapshot};
use crate::stats::Stats;
use crate::store::Store;
use crate::value::{Key, Value};
use crate::worker::{Worker, spawn_waiting};

/// An embedded key-value store in a directory, whose `Ok` means *durable*.
///
/// A clone is one more handle to the same store; all may be used from any thread. The store is
/// closed by [`close`](Self::close), or when the last handle is dropped.
///
/// # What is durable when
///
/// | mode | a write returns when it is | a power cut takes | a kill takes |
/// |---|---|---|---|
/// | [`Sync`](SyncMode::Sync) (the default) | [`Durable`](crate::Rung::Durable) | nothing that was acknowledged | nothing |
/// | [`Batch`](SyncMode::Batch) | at least [`Cached`](crate::Rung::Cached) | at most the last 100 commits, or as many as it says | nothing |
/// | [`None`](SyncMode::None) | at least [`Cached`](crate::Rung::Cached) | what the system had not written by itself | nothing |
///
/// What is taken is always the end: commits come back whole and in their order. A read in the
/// modes `Batch` and `None` may see what a power cut takes back. [`sync`](Self::sync),
/// [`checkpoint`](Self::checkpoint) and [`close`](Self::close) make everything durable in every
/// mode, and when [`open`](Self::open) returns all that it found is.
///
/// ```
/// # fn main() -> Result<(), ondisk::Error> {
/// # let dir = tempfile::tempdir().expect("a directory to work in");
/// # let path = dir.path().join("accounts");
/// use ondisk::{Batch, Db, Rung};
///
/// let db = Db::open(&path)?;
/// let receipt = db.put(b"alice", b"100")?;
/// assert_eq!(receipt.rung, Rung::Durable); // the plug may be pulled now
///
/// // Both, or after a power cut neither:
/// db.batch(Batch::new().put(b"alice", b"70").put(b"bob", b"30"))?;
///
/// assert_eq!(db.get(b"alice")?.as_deref(), Some(&b"70"[..]));
/// for entry in db.range(&b"a"[..]..)? {
///     let (key, value) = entry?;
///     println!("{} has {}", key.escape_ascii(), value.escape_ascii());
/// }
/// db.close()
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Db {
    handle: Arc<Handle>,
}

/// What the last clone of a [`Db`] closes. The worker holds the store, and not this.
#[derive(Debug)]
struct Handle {
    store: Arc<Store>,
    worker: Mutex<Option<Worker>>,
    /// Waits for commits whose callers do not; started by the first of them.
    waiting: Mutex<Option<Waiting>>,
    background: Background,
    recovered: Recovered,
}

/// A commit that has its place in the log and waits for its acknowledgement.
///
/// Dropping it takes nothing back: the commit is like one whose caller died, and may or may not
/// be there after a power cut.
#[derive(Debug)]
#[must_use = "until `wait` has returned, nothing is known of the commit"]
pub struct Pending {
    store: Arc<Store>,
    waits: Waits,
    mode: SyncMode,
}

#[derive(Debug)]
enum Waits {
    For(Ticket),
    /// Nothing was written.
    Not(Receipt),
}

impl Db {
    /// Opens a store, or makes one where the path is absent or an empty directory. All that it
    /// holds is durable when this returns.
    ///
    /// # Errors
    /// As [`Builder::open`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        Self::builder().open(path)
    }

    /// Chooses how a store is opened.
    #[must_use]
    pub fn builder() -> Builder {
        Builder::new()
    }

    pub(crate) fn start(opening: Opening<'_>, background: Background) -> Result<Self, Error> {
        let path = opening.path.to_owned();
        let (store, recovered) = opening.open()?;
        let worker = match background {
            Background::Manual => None,
            Background::Thread => {
                let started = Worker::start(&store);
                Some(started.map_err(Error::io(&path, "start the store's thread"))?)
            }
        };
        let (worker, waiting) = (Mutex::new(worker), Mutex::default());
        let handle = Handle { store, worker, waiting, background, recovered };
        Ok(Self { handle: Arc::new(handle) })
    }

    /// Opens a keyspace; makes it, durably, where there is none of that name. What it was made
    /// with never changes.
    ///
    /// # Errors
    /// [`Error::OtherOptions`] where it is there with other options; [`Error::KeyspaceName`],
    /// [`Error::PageSize`]; [`Error::Io`]; [`Error::Closed`].
    pub fn keyspace(&self, name: &str, options: KeyspaceOptions) -> Result<Keyspace, Error> {
        self.open_keyspace(name, Some(options))
    }

    /// Opens a keyspace that is there, whatever it was made with.
    ///
    /// # Errors
    /// [`Error::NoKeyspace`]; [`Error::Closed`].
    pub fn existing_keyspace(&self, name: &str) -> Result<Keyspace, Error> {
        self.open_keyspace(name, None)
    }

    fn open_keyspace(
        &self,
        name: &str,
        options: Option<KeyspaceOptions>,
    ) -> Result<Keyspace, Error> {
        let store = self.store();
        store.check_open()?;
        Ok(Keyspace::new(self.clone(), store.keyspaces.open(name, options)?))
    }

    /// The keyspace that every store has: what `get`, `put` and the like of this handle are about.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub fn default_keyspace(&self) -> Result<Keyspace, Error> {
        self.existing_keyspace(DEFAULT_NAME)
    }

    /// The keyspaces, in the order in which they were made.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub fn keyspaces(&self) -> Result<Vec<Keyspace>, Error> {
        let store = self.store();
        store.check_open()?;
        let spaces = store.keyspaces.now();
        Ok(spaces.iter().map(|space| Keyspace::new(self.clone(), Arc::clone(space))).collect())
    }

    /// Drops a keyspace with all that it holds. It is gone, durably, when this returns; its space
    /// comes back when no snapshot and no handle needs it any more.
    ///
    /// # Errors
    /// [`Error::NoKeyspace`], [`Error::DefaultKeyspace`], [`Error::Io`], [`Error::Closed`].
    pub fn drop_keyspace(&self, name: &str) -> Result<(), Error> {
        let store = self.store();
        store.check_open()?;
        let space = store.keyspaces.named(name);
        let space = space.ok_or_else(|| Error::NoKeyspace { name: name.to_owned() })?;
        store.drop_keyspace(&space)
    }

    /// The whole store as of the last commit that is acknowledged now.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub fn snapshot(&self) -> Result<Snapshot, Error> {
        self.snapshot_at(At::Acknowledged)
    }

    /// The whole store as of the last commit that is acknowledged, or durable, now.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub fn snapshot_at(&self, at: At) -> Result<Snapshot, Error> {
        self.store().check_open()?;
        Ok(Snapshot::take(self.store(), at, Holder::Reader))
    }

    /// The value of a key; `None` when it has none. Sees every commit that was acknowledged
    /// before the call.
    ///
    /// # Errors
    /// [`Error::Damaged`] when what stands on disk is not what was written; [`Error::Io`];
    /// [`Error::Closed`].
    pub fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<Value>, Error> {
        let store = self.store();
        store.check_open()?;
        store.default.get(key.as_ref(), store.visible())
    }

    /// Whether a key has a value.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn contains(&self, key: impl AsRef<[u8]>) -> Result<bool, Error> {
        Ok(self.get(key)?.is_some())
    }

    /// The values of several keys, in the order in which they are asked for, all as of one
    /// commit.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn multi_get<K: AsRef<[u8]>>(
        &self,
        keys: impl IntoIterator<Item = K>,
    ) -> Result<Vec<Option<Value>>, Error> {
        self.default_keyspace()?.multi_get(keys)
    }

    /// Gives a key a value, in the store's mode. On return it is visible, and on the rung that
    /// the receipt names: durable in mode [`Sync`](SyncMode::Sync).
    ///
    /// # Errors
    /// Before anything was written: [`Error::KeyTooLarge`], [`Error::ValueTooLarge`],
    /// [`Error::Closed`], and whatever [`Error::is_full`] says yes to; writes go on when space
    /// returns. [`Error::Log`] with a poisoned log: the commit may or may not be there after the
    /// next open.
    pub fn put(&self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<Receipt, Error> {
        let store = self.store();
        self.put_with(key, value, store.default.mode(store.settings.mode))
    }

    /// As [`put`](Self::put), in a mode of its own.
    ///
    /// # Errors
    /// As [`put`](Self::put).
    pub fn put_with(
        &self,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
        mode: SyncMode,
    ) -> Result<Receipt, Error> {
        let (key, value) = (key.as_ref(), value.as_ref());
        let store = self.store();
        store.put(&store.default, key, value, mode)
    }

    /// Takes a key away; one that is not there is no error. As [`put`](Self::put).
    ///
    /// # Errors
    /// As [`put`](Self::put).
    pub fn delete(&self, key: impl AsRef<[u8]>) -> Result<Receipt, Error> {
        self.batch(Batch::new().delete(key))
    }

    /// Commits several operations as one: after a power cut all of them are there, or none is,
    /// and no reader sees some without the others. As [`put`](Self::put).
    ///
    /// # Errors
    /// As [`put`](Self::put), and [`Error::BatchTooLarge`].
    pub fn batch(&self, batch: Batch) -> Result<Receipt, Error> {
        let mode = self.store().mode_of(&batch);
        self.batch_with(batch, mode)
    }

    /// As [`batch`](Self::batch), in a mode of its own.
    ///
    /// # Errors
    /// As [`batch`](Self::batch).
    pub fn batch_with(&self, batch: Batch, mode: SyncMode) -> Result<Receipt, Error> {
        let store = self.store();
        let ticket = store.begin(batch, mode)?;
        store.acknowledge(ticket, mode)
    }

    /// Gives a batch its place in the log, in the store's mode, and returns without waiting for
    /// its acknowledgement, so that one thread can have many commits under way. They are
    /// acknowledged in the order in which they were begun.
    ///
    /// # Errors
    /// As [`batch`](Self::batch), but for a poisoned log: [`Pending::wait`] tells.
    pub fn begin(&self, batch: Batch) -> Result<Pending, Error> {
        let mode = self.store().mode_of(&batch);
        self.begin_with(batch, mode)
    }

    /// As [`begin`](Self::begin), in a mode of its own.
    ///
    /// # Errors
    /// As [`begin`](Self::begin).
    pub fn begin_with(&self, batch: Batch, mode: SyncMode) -> Result<Pending, Error> {
        let store = Arc::clone(self.store());
        let ticket = store.begin(batch, mode)?;
        Ok(Pending::new(store, ticket, mode))
    }

    /// As [`begin_with`](Self::begin_with), for asynchronous callers: the future resolves when the
    /// commit has reached a rung: [`Rung::Cached`](crate::Rung::Cached), where a kill takes nothing,
    /// or [`Rung::Durable`](crate::Rung::Durable). The commit is begun when this returns, polled or
    /// not; commits become visible, and futures resolve, in the order in which they were begun.
    ///
    /// ```
    /// # fn main() -> Result<(), ondisk::Error> {
    /// # let dir = tempfile::tempdir().expect("a directory to work in");
    /// # let db = ondisk::Db::open(dir.path())?;
    /// use ondisk::{Batch, Rung};
    ///
    /// # use std::task::{Context, Poll, Waker};
    /// # fn block_on<F: Future>(future: F) -> F::Output {
    /// #     let mut future = std::pin::pin!(future);
    /// #     loop {
    /// #         let polled = future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    /// #         if let Poll::Ready(output) = polled { return output; }
    /// #         std::thread::yield_now();
    /// #     }
    /// # }
    /// let later = db.commit_later(Batch::new().put("key", "value"), Rung::Durable)?;
    /// let receipt = block_on(later)?; // or `.await`, in any runtime
    /// assert_eq!(receipt.rung, Rung::Durable);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`begin`](Self::begin); a poisoned log is told by the future.
    pub fn commit_later(&self, batch: Batch, rung: Rung) -> Result<Later, Error> {
        Ok(self.later(self.begin_with(batch, mode_for(rung))?))
    }

    /// Has a commit's acknowledgement waited for.
    pub(crate) fn later(&self, pending: Pending) -> Later {
        let mut waiting = self.handle.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.is_none() && self.handle.background == Background::Thread {
            // Where no thread is to be had, who polls waits.
            *waiting = Waiting::start(spawn_waiting).ok();
        }
        match &*waiting {
            Some(waiting) if self.store().check_open().is_ok() => waiting.take(pending),
            _ => Later::own(pending),
        }
    }

    /// The keys between two bounds with their values, in order from either end, as of the last
    /// commit that is acknowledged now. Lazy: keys and values are read as the walk gets there,
    /// and memory is bounded whatever its length. The first range of a keyspace of the engine
    /// bitcask puts its keys in order.
    ///
    /// ```
    /// # fn main() -> Result<(), ondisk::Error> {
    /// # let dir = tempfile::tempdir().expect("a directory to work in");
    /// # let db = ondisk::Db::open(dir.path())?;
    /// # db.put("user/1", "ada")?;
    /// let all = db.range(..)?;
    /// let users = db.range(&b"user/"[..]..&b"user0"[..])?;
    /// assert_eq!(all.count(), users.count());
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Error::Closed`]. What is wrong with one value, its entry says.
    pub fn range<'k>(&self, bounds: impl RangeBounds<&'k [u8]>) -> Result<Range, Error> {
        let store = self.store();
        store.check_open()?;
        Ok(store.range(&store.default, bounds))
    }

    /// The keys that begin with a prefix, with their values.
    ///
    /// # Errors
    /// As [`range`](Self::range).
    pub fn prefix(&self, prefix: impl AsRef<[u8]>) -> Result<Range, Error> {
        self.default_keyspace()?.prefix(prefix)
    }

    /// The first key, with its value.
    ///
    /// # Errors
    /// As [`range`](Self::range).
    pub fn first(&self) -> Result<Option<(Key, Value)>, Error> {
        self.range(..)?.next().transpose()
    }

    /// The last key, with its value.
    ///
    /// # Errors
    /// As [`range`](Self::range).
    pub fn last(&self) -> Result<Option<(Key, Value)>, Error> {
        self.range(..)?.next_back().transpose()
    }

    /// Makes everything durable that was acknowledged before the call, in every mode.
    ///
    /// # Errors
    /// [`Error::Closed`]; [`Error::Log`] when the log is poisoned.
    pub fn sync(&self) -> Result<Receipt, Error> {
        self.store().check_open()?;
        Ok(self.store().log.sync()?)
    }

    /// Moves everything that was acknowledged before the call from the log to data files, and
    /// lets the log give its space back. Everything is durable on return, in every mode.
    ///
    /// # Errors
    /// [`Error::Closed`], [`Error::Log`], [`Error::Io`]: the store is whole, nothing is lost, and
    /// the checkpoint can be tried again.
    pub fn checkpoint(&self) -> Result<(), Error> {
        self.store().check_open()?;
        self.store().checkpoint()
    }

    /// Takes everything over into the engines, and lets them reclaim until nothing can be won any
    /// more: merges, compactions, shorter files of pages, files of dropped keyspaces.
    ///
    /// # Errors
    /// As [`checkpoint`](Self::checkpoint).
    pub fn compact(&self) -> Result<(), Error> {
        self.store().check_open()?;
        self.store().compact()
    }

    /// One bounded piece of background work, for a store that was opened with
    /// [`Background::Manual`]: prepares the log's next segment, moves commits to data files where
    /// that is due.
    ///
    /// # Errors
    /// [`Error::Closed`], [`Error::Log`], [`Error::Io`]: the store is whole, and the step can be
    /// tried again.
    pub fn step(&self) -> Result<Step, Error> {
        self.store().check_open()?;
        self.store().step()
    }

    /// What a worker does when nothing was committed for a while: makes everything durable, and
    /// lets the log say so.
    ///
    /// # Errors
    /// As [`step`](Self::step).
    pub fn idle_step(&self) -> Result<Step, Error> {
        self.store().check_open()?;
        Ok(self.store().log.idle_step()?)
    }

    /// Makes everything durable, in every mode, and closes the store: the next open finds it
    /// closed and reads nothing twice. Every handle answers [`Error::Closed`] from then on.
    /// Closing again does nothing.
    ///
    /// # Errors
    /// [`Error::Log`] when the log is poisoned: the next open recovers it.
    pub fn close(&self) -> Result<(), Error> {
        self.handle.close()
    }

    /// The store in numbers.
    #[must_use]
    pub fn stats(&self) -> Stats {
        Stats::of(self.store())
    }

    /// What a kill, a crash and a power cut can each take of this store, and how each kind of its
    /// files gets to the disk.
    ///
    /// # Errors
    /// [`Error::Closed`], [`Error::Io`].
    pub fn durability(&self) -> Result<Durability, Error> {
        let store = self.store();
        store.check_open()?;
        let (fs, path) = store.keyspaces.place();
        let spaces = store.keyspaces.now();
        Durability::of(fs, path, store.settings.mode, spaces.iter().map(|space| &**space))
    }

    /// What the open of this store found.
    #[must_use]
    pub fn recovery(&self) -> &Recovered {
        &self.handle.recovered
    }

    pub(crate) fn store(&self) -> &Arc<Store> {
        &self.handle.store
    }
}

impl Pending {
    pub(crate) fn new(store: Arc<Store>, ticket: Ticket, mode: SyncMode) -> Self {
        Self { store, waits: Waits::For(ticket), mode }
    }

    /// Of a transaction that wrote nothing.
    pub(crate) fn done(store: Arc<Store>, receipt: Receipt, mode: SyncMode) -> Self {
        Self { store, waits: Waits::Not(receipt), mode }
    }

    /// The commit's place in the log; of a transaction that wrote nothing, that of the commit
    /// that its reads are of.
    #[must_use]
    pub fn lsn(&self) -> Lsn {
        match &self.waits {
            Waits::For(ticket) => ticket.lsn(),
            Waits::Not(receipt) => receipt.lsn,
        }
    }

    /// Whether the outcome stands already, so that [`wait`](Self::wait) does not block.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        match &self.waits {
            Waits::For(ticket) => ticket.is_done(),
            Waits::Not(_) => true,
        }
    }

    /// Waits until the commit is acknowledged. On return it is visible, and on the rung that the
    /// receipt names.
    ///
    /// # Errors
    /// [`Error::Log`] when the log is poisoned: the commit may or may not be there after the next
    /// open.
    pub fn wait(self) -> Result<Receipt, Error> {
        match self.waits {
            Waits::For(ticket) => self.store.acknowledge(ticket, self.mode),
            Waits::Not(receipt) => Ok(receipt),
        }
    }
}

impl Handle {
    fn close(&self) -> Result<(), Error> {
        if !self.store.mark_closed() {
            return Ok(());
        }
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(waiting) = waiting {
            waiting.finish();
        }
        self.store.alarm.stop();
        self.store.reclaim_alarm.stop();
        let worker = self.worker.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(worker) = worker {
            worker.join();
        }
        self.store.close()
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // Nobody is left to be told. What was acknowledged is on its rung all the same.
        self.close().ok();
    }
}

/// Where a range begins and ends.
type Bounds<'k> = (Bound<&'k [u8]>, Bound<&'k [u8]>);

/// The bounds, if a key can lie between them.
pub(crate) fn possible<'k>(bounds: &impl RangeBounds<&'k [u8]>) -> Option<Bounds<'k>> {
    let (lower, upper) = (bounds.start_bound().cloned(), bounds.end_bound().cloned());
    let possible = match (lower, upper) {
        (Bound::Included(lower), Bound::Included(upper)) => lower <= upper,
        (Bound::Included(lower) | Bound::Excluded(lower), Bound::Excluded(upper))
        | (Bound::Excluded(lower), Bound::Included(upper)) => lower < upper,
        (Bound::Unbounded, _) | (_, Bound::Unbounded) => true,
    };
    possible.then_some((lower, upper))
}
