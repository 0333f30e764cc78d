//! `ondisk load`: many commits in flight, each key told as soon as its commit is acknowledged.
//!
//! Invariant: a key is on standard output only after its commit was acknowledged, and is handed
//! over (one `write` a burst, never held back for a commit that is still under way) before anything
//! later is waited for. So whoever reads our output knows what a kill could not take.
//!
//! One thread reads lines and begins commits in their order; another waits for them in the same
//! order and tells their keys.

use std::io::{self, BufRead, Read as _};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use ondisk::{Batch, Db, Keyspace, Pending, SyncMode};

use crate::argument::{InKeyspace, Sync};
use crate::escape::{LONGEST_LINE, LineError, Pair, escape_into, parse_line};
use crate::exit::{Exit, Failure};
use crate::out::{Out, talk};

/// Commits that may be under way at once.
const IN_FLIGHT: usize = 1024;

/// Load lines from standard input, and tell each key once acknowledged.
///
/// A line is a key, a tab and a value, in the escape that scan writes (\\ \t \n \r \xNN); all after
/// the first tab is the value. Lines are committed in their order, one commit each, many in flight;
/// a key may come again. Each key is printed on its own line as soon as its commit is acknowledged:
/// with --sync sync, no printed key is lost to a kill, a crash or a power cut. Makes the store when
/// DB is absent or an empty directory.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  ondisk load books.db --sync batch:1000 < books.tsv > acknowledged.txt

Exit codes: 0 all lines were committed; 1 the store is damaged; 2 a line that is none (those
before it are committed), not a store, locked, over a limit, or the disk said no.

Next: ondisk scan books.db")]
pub(crate) struct Args {
    /// The store's directory
    db: PathBuf,
    #[command(flatten)]
    keyspace: InKeyspace,
    #[command(flatten)]
    sync: Sync,
}

/// A commit under way, and the line that tells it.
struct InFlight {
    told: Vec<u8>,
    pending: Pending,
}

pub(crate) fn run(args: &Args) -> Result<Exit, Failure> {
    let db = args.sync.builder().create(args.keyspace.create()).open(&args.db)?;
    let keyspace = args.keyspace.of(&args.db, &db)?;
    let goal = Goal { db: &db, mode: args.sync.mode_in(&keyspace), keyspace: &keyspace };
    let (sender, receiver) = sync_channel(IN_FLIGHT);
    let (begun, told) = thread::scope(|scope| {
        let teller = scope.spawn(move || tell(&receiver));
        let begun = begin_all(&goal, &mut io::stdin().lock(), &sender);
        drop(sender); // the teller ends when it has told all that was begun
        (begun, teller.join())
    });
    // Close first: whatever went wrong, what was begun is put away in order.
    let closed = db.close();
    let told = told.unwrap_or_else(|panic| std::panic::resume_unwind(panic)).map_err(untold)?;
    begun?;
    closed?;
    talk(format_args!("ondisk: {told} lines committed"));
    Ok(Exit::Fine)
}

/// Nobody reads our output: for a command that acknowledges that is an error, even a broken pipe.
fn untold(failure: Failure) -> Failure {
    match failure {
        Failure::Output(source) => Failure::Untold(source),
        other => other,
    }
}

/// Where the lines go, and in which mode.
struct Goal<'a> {
    db: &'a Db,
    keyspace: &'a Keyspace,
    mode: SyncMode,
}

/// Begins a commit for each line, in order, until the input ends or something is wrong.
fn begin_all(
    goal: &Goal<'_>,
    input: &mut dyn BufRead,
    sender: &SyncSender<InFlight>,
) -> Result<(), Failure> {
    let mut text = Vec::new();
    for line in 1.. {
        if !read_line(input, &mut text, line)? {
            break;
        }
        let Pair { key, value } = parse_line(&text, line)?;
        let mut told = Vec::with_capacity(key.len() + 1);
        escape_into(&mut told, &key);
        told.push(b'\n');
        let batch = Batch::new().put_in(goal.keyspace, key, value);
        let begun = goal.db.begin_with(batch, goal.mode);
        let pending = begun.map_err(|source| Failure::AtLine { line, source })?;
        if sender.send(InFlight { told, pending }).is_err() {
            break; // the teller has stopped, and says why
        }
    }
    Ok(())
}

/// Reads one line without its line feed; `false` at the end. A last line may lack its line feed.
fn read_line(input: &mut dyn BufRead, text: &mut Vec<u8>, line: u64) -> Result<bool, Failure> {
    text.clear();
    let limit = LONGEST_LINE as u64 + 1;
    let read = input.take(limit).read_until(b'\n', text).map_err(Failure::Input)?;
    if text.last() == Some(&b'\n') {
        text.pop();
    } else if read > LONGEST_LINE {
        return Err(LineError::TooLong { line }.into());
    }
    Ok(read > 0)
}

/// Waits for the commits in their order and tells each; answers how many.
fn tell(receiver: &Receiver<InFlight>) -> Result<u64, Failure> {
    let mut out = Out::new();
    let mut count = 0;
    while let Some(InFlight { told, pending }) = next(receiver, &mut out)? {
        if !pending.is_ready() {
            out.flush()?; // what was acknowledged is told before another is waited for
        }
        if let Err(error) = pending.wait() {
            out.flush()?;
            return Err(error.into());
        }
        out.bytes(&told)?;
        count += 1;
    }
    out.flush()?;
    Ok(count)
}

/// The next commit under way; tells what stands to be told before it waits for one.
fn next(receiver: &Receiver<InFlight>, out: &mut Out) -> Result<Option<InFlight>, Failure> {
    if let Ok(in_flight) = receiver.try_recv() {
        return Ok(Some(in_flight));
    }
    out.flush()?;
    Ok(receiver.recv().ok())
}
