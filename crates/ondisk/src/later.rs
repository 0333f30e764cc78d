//! Commits for asynchronous callers: a future that resolves at the rung that was asked for.
//!
//! Invariant: a future resolves after its commit was acknowledged, or failed, and not before. No
//! runtime is needed: whoever polls is woken by a thread of the store's own, or, in a store
//! without threads, does the waiting itself.

use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread::JoinHandle;

use ondisk_fs::Rung;
use ondisk_log::{Lsn, Receipt, SyncMode};

use crate::db::Pending;
use crate::error::Error;

/// A commit under way, as a future: it resolves to the commit's receipt when the commit has
/// reached the rung that was asked for. Made by [`Db::commit_later`](crate::Db::commit_later).
///
/// Dropping it takes nothing back.
#[derive(Debug)]
#[must_use = "until it has resolved, nothing is known of the commit"]
pub struct Later {
    lsn: Lsn,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
enum State {
    /// Nobody waits for the commit but who polls.
    Own(Pending),
    /// The store's thread waits for it, and wakes who polls.
    Awaited(Option<Waker>),
    Done(Result<Receipt, Error>),
    Taken,
}

impl Later {
    /// The commit's place in the log.
    #[must_use]
    pub fn lsn(&self) -> Lsn {
        self.lsn
    }
}

impl Future for Later {
    type Output = Result<Receipt, Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = lock(&self.state);
        match mem::replace(&mut *state, State::Taken) {
            State::Own(pending) => {
                drop(state);
                Poll::Ready(pending.wait())
            }
            State::Awaited(_) => {
                *state = State::Awaited(Some(context.waker().clone()));
                Poll::Pending
            }
            State::Done(result) => Poll::Ready(result),
            // A future that is polled after it has resolved: it has nothing more to say.
            State::Taken => Poll::Pending,
        }
    }
}

/// What a commit must ask of the log for a rung.
pub(crate) fn mode_for(rung: Rung) -> SyncMode {
    match rung {
        Rung::Buffered | Rung::Cached => SyncMode::None,
        Rung::Device | Rung::Durable => SyncMode::Sync,
    }
}

/// Commits whose acknowledgement a thread waits for, in the order in which they were begun.
#[derive(Debug)]
pub(crate) struct Waiting {
    queue: Sender<(Pending, Arc<Mutex<State>>)>,
    thread: JoinHandle<()>,
}

impl Waiting {
    /// Starts the thread by the given starter.
    pub(crate) fn start(
        spawn: impl FnOnce(Box<dyn FnOnce() + Send>) -> std::io::Result<JoinHandle<()>>,
    ) -> std::io::Result<Self> {
        let (queue, commits) = channel();
        let thread = spawn(Box::new(move || wait(&commits)))?;
        Ok(Self { queue, thread })
    }

    /// Hands a commit to the thread.
    pub(crate) fn take(&self, pending: Pending) -> Later {
        let (lsn, state) = (pending.lsn(), Arc::new(Mutex::new(State::Awaited(None))));
        if let Err(back) = self.queue.send((pending, Arc::clone(&state))) {
            return Later::own(back.0.0); // the thread has died
        }
        Later { lsn, state }
    }

    /// Waits until all that was handed over is done.
    pub(crate) fn finish(self) {
        drop(self.queue);
        // A panic of the thread has been printed.
        self.thread.join().unwrap_or_default();
    }
}

impl Later {
    /// A commit that whoever polls waits for.
    pub(crate) fn own(pending: Pending) -> Self {
        Self { lsn: pending.lsn(), state: Arc::new(Mutex::new(State::Own(pending))) }
    }
}

/// Acknowledgements come in the order of the commits, so waiting in that order holds nobody up.
fn wait(commits: &Receiver<(Pending, Arc<Mutex<State>>)>) {
    while let Ok((pending, state)) = commits.recv() {
        let result = pending.wait();
        let before = mem::replace(&mut *lock(&state), State::Done(result));
        if let State::Awaited(Some(waker)) = before {
            waker.wake();
        }
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
