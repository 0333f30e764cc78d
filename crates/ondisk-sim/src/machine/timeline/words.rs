//! Events in words: the name of each kind, and what it says in a few words.
//!
//! Invariant: a name is the one in [`Kind`], and never another for the same thing; the words are
//! for people, and no program reads them.

use std::fmt::{self, Write};

use crate::machine::event::{Cmd, JBlock, Join, Kind, Remote};

/// The name of a kind.
#[must_use]
pub fn name(kind: &Kind) -> &'static str {
    match kind {
        Kind::Call { .. } => "Call",
        Kind::Ret { .. } => "Ret",
        Kind::Ack { .. } => "Ack",
        Kind::Buffered { .. } => "Buffered",
        Kind::Spilled { .. } => "Spilled",
        Kind::Lookup { .. } => "Lookup",
        Kind::Errno { .. } => "Errno",
        Kind::Dirtied { .. } => "Dirtied",
        Kind::Throttled { .. } => "Throttled",
        Kind::WbStart { .. } => "WbStart",
        Kind::WbDone { .. } => "WbDone",
        Kind::WbError { .. } => "WbError",
        Kind::Reserved { .. } => "Reserved",
        Kind::Allocated { .. } => "Allocated",
        Kind::Converted { .. } => "Converted",
        Kind::Handle { .. } => "Handle",
        Kind::TxnState { .. } => "TxnState",
        Kind::JWrite { .. } => "JWrite",
        Kind::Revoked { .. } => "Revoked",
        Kind::Checkpointed { .. } => "Checkpointed",
        Kind::TailMoved { .. } => "TailMoved",
        Kind::Bio { .. } => "Bio",
        Kind::Plugged { .. } => "Plugged",
        Kind::Merged { .. } => "Merged",
        Kind::Queued { .. } => "Queued",
        Kind::Dispatched { .. } => "Dispatched",
        Kind::RqDone { .. } => "RqDone",
        Kind::FlushStart { .. } => "FlushStart",
        Kind::FlushDone { .. } => "FlushDone",
        Kind::CacheIn { .. } => "CacheIn",
        Kind::Programmed { .. } => "Programmed",
        Kind::Mapped { .. } => "Mapped",
        Kind::GcCopy { .. } => "GcCopy",
        Kind::Erased { .. } => "Erased",
        Kind::WearMove { .. } => "WearMove",
        Kind::MapSaved { .. } => "MapSaved",
        Kind::Settled { .. } => "Settled",
        Kind::Fault { .. } => "Fault",
        Kind::Kill { .. } => "Kill",
        Kind::Crash => "Crash",
        Kind::Cut => "Cut",
        Kind::Mounted => "Mounted",
        Kind::Replayed { .. } => "Replayed",
        Kind::OrphanFreed { .. } => "OrphanFreed",
        Kind::Asked { .. } => "Asked",
        Kind::Answered { .. } => "Answered",
    }
}

/// What an event says, in a few words. May be empty.
///
/// # Errors
/// When `out` takes no more.
pub fn words(kind: &Kind, out: &mut dyn Write) -> fmt::Result {
    match *kind {
        Kind::Call { task, nr, fd, a, b } => {
            write!(out, "task {} {}({}, {a}, {b})", task.0, nr.name(), fd.0)
        }
        Kind::Ret { task, nr, value } => write!(out, "task {} {} = {value}", task.0, nr.name()),
        Kind::Ack { task, text } => write!(out, "task {} text {text}", task.0),
        Kind::Buffered { file, held, len, .. } => {
            write!(out, "{len} bytes more, {held} held of file {file}")
        }
        Kind::Spilled { file, len, .. } => write!(out, "{len} bytes of file {file}"),
        Kind::Lookup { dir, found: Some(ino) } => write!(out, "in {}: {}", dir.0, ino.0),
        Kind::Lookup { dir, found: None } => write!(out, "in {}: not there", dir.0),
        Kind::Errno { errno } | Kind::Fault { errno } => write!(out, "{errno}"),
        Kind::Dirtied { ino, page } => write!(out, "page {page} of {}", ino.0),
        Kind::Throttled { task, dirty } => write!(out, "task {}: {dirty} dirty", task.0),
        Kind::WbStart { ino, page, count }
        | Kind::WbDone { ino, page, count }
        | Kind::WbError { ino, page, count }
        | Kind::Reserved { ino, page, count }
        | Kind::Converted { ino, page, count } => pages(out, ino.0, page, count),
        Kind::Allocated { ino, page, count, lba } => {
            pages(out, ino.0, page, count)?;
            write!(out, " at {}", lba.0)
        }
        Kind::OrphanFreed { ino } => write!(out, "{}", ino.0),
        Kind::Asked { remote, ino, page, count } => remote_words(out, remote, ino.0, page, count),
        Kind::Answered { remote, ino, page, count, ok } => {
            remote_words(out, remote, ino.0, page, count)?;
            out.write_str(if ok { "" } else { " failed" })
        }
        Kind::Kill { task } => write!(out, "task {}", task.0),
        Kind::Crash | Kind::Cut | Kind::Mounted => Ok(()),
        _ => below(kind, out),
    }
}

fn pages(out: &mut dyn Write, ino: u32, page: u32, count: u32) -> fmt::Result {
    match count {
        1 => write!(out, "page {page} of {ino}"),
        _ => write!(out, "{count} pages of {ino} from {page}"),
    }
}

/// Over the network.
fn remote_words(
    out: &mut dyn Write,
    remote: Remote,
    ino: u32,
    page: u32,
    count: u32,
) -> fmt::Result {
    write!(out, "{remote:?} ")?;
    match count {
        0 => write!(out, "{ino}"),
        _ => pages(out, ino, page, count),
    }
}

/// In the journal and in the block layer.
fn below(kind: &Kind, out: &mut dyn Write) -> fmt::Result {
    match *kind {
        Kind::Handle { tid, why, ino } => write!(out, "transaction {}: {why:?} {}", tid.0, ino.0),
        Kind::TxnState { tid, from, to } => {
            write!(out, "transaction {}: {from:?} to {to:?}", tid.0)
        }
        Kind::JWrite { tid, lba, what: JBlock::Copy, home } => {
            write!(out, "transaction {}: copy of {} at {}", tid.0, home.0, lba.0)
        }
        Kind::JWrite { tid, lba, what, .. } => {
            write!(out, "transaction {}: {what:?} at {}", tid.0, lba.0)
        }
        Kind::Revoked { tid, lba }
        | Kind::Checkpointed { tid, lba }
        | Kind::Replayed { tid, lba } => write!(out, "transaction {}: block {}", tid.0, lba.0),
        Kind::TailMoved { from, to, block } => {
            write!(out, "from transaction {} to {}, at {block}", from.0, to.0)
        }
        Kind::Bio { bio, cmd, lba, count, preflush } => {
            let first = if preflush && cmd != Cmd::Flush { "flush, then " } else { "" };
            write!(out, "bio {}: {first}", bio.0)?;
            command(out, cmd, lba.0, count)
        }
        Kind::Plugged { bio, rq, task } => {
            write!(out, "bio {} as request {} of task {}", bio.0, rq.0, task.0)
        }
        Kind::Merged { bio, rq, join, .. } => {
            let place = if join == Join::Back { "behind" } else { "before" };
            write!(out, "bio {} {place} request {}", bio.0, rq.0)
        }
        Kind::Queued { rq, lba, count } => {
            write!(out, "request {}: {count} at {}", rq.0, lba.0)
        }
        Kind::Dispatched { rq, cmd, slot, lba, count } => {
            write!(out, "request {} in slot {slot}: ", rq.0)?;
            command(out, cmd, lba.0, count)
        }
        Kind::RqDone { rq, ok } => {
            write!(out, "request {}{}", rq.0, if ok { "" } else { " failed" })
        }
        Kind::FlushStart { rq } | Kind::FlushDone { rq } => write!(out, "request {}", rq.0),
        _ => drive(kind, out),
    }
}

fn command(out: &mut dyn Write, cmd: Cmd, lba: u32, count: u32) -> fmt::Result {
    match cmd {
        Cmd::Flush => out.write_str("FLUSH"),
        Cmd::Read => write!(out, "read {count} at {lba}"),
        Cmd::Write => write!(out, "write {count} at {lba}"),
        Cmd::WriteFua => write!(out, "write {count} at {lba} with FUA"),
    }
}

/// In the drive.
fn drive(kind: &Kind, out: &mut dyn Write) -> fmt::Result {
    match *kind {
        Kind::CacheIn { lba } => write!(out, "block {}", lba.0),
        Kind::Programmed { lba, ppa } | Kind::Mapped { lba, ppa } => {
            write!(out, "block {} in {}/{}", lba.0, ppa.block, ppa.page)
        }
        Kind::GcCopy { lba, from, to } | Kind::WearMove { lba, from, to } => {
            let (a, b) = (from, to);
            write!(out, "block {}: {}/{} to {}/{}", lba.0, a.block, a.page, b.block, b.page)
        }
        Kind::Erased { block, wear } => write!(out, "erase block {block}, wear {wear}"),
        Kind::MapSaved { ppa, count } => {
            write!(out, "{count} entries in {}/{}", ppa.block, ppa.page)
        }
        Kind::Settled { lba, rung } => write!(out, "block {}: {}", lba.0, rung.name()),
        _ => Ok(()),
    }
}
