//! Fault sweep over the log: the n-th I/O call fails, for every n; then the log is opened again in
//! the same boot, commits more, and is killed.
//!
//! The property: a failed call costs no acknowledged commit, in any mode, and what an opening has
//! served is there at the next. (What a power cut may take on top is the power-cut suite's.)
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::io;

use ondisk_log::{LogError, LogOptions, Sabotage, SyncMode};
use ondisk_sim::{Fault, How, MemFs, Place, Target};
use testkit::log_life::{Op, Owed, batch, judge, live, next_owed, open};
use testkit::stage::Note;

const OPTIONS: LogOptions =
    LogOptions { first_segment: 32 << 10, largest_segment: 64 << 10, sabotage: None };

fn workload(mode: SyncMode) -> Vec<Op> {
    let mut ops = Vec::new();
    for i in 0..24 {
        ops.push(Op::Commit(mode, 300 + i * 97));
        match i {
            5 => ops.push(Op::Together(3, 500)),
            8 => ops.push(Op::Work),
            11 => ops.push(Op::Sync),
            14 => ops.extend([Op::Checkpoint, Op::Truncate]),
            16 => ops.push(Op::Work),
            19 => ops.push(Op::Idle),
            _ => {}
        }
    }
    ops.push(Op::Close);
    ops
}

/// Runs two lives on one boot, a fault in the first; says what is wrong.
fn run(fault: &Fault, mode: SyncMode, sabotage: Option<Sabotage>) -> Result<bool, String> {
    let options = LogOptions { sabotage, ..OPTIONS };
    let fs = MemFs::new();
    fs.inject(fault.clone());
    let first = open(&fs, options).and_then(|(log, _)| live(&fs, &log, 1, &workload(mode)));
    let struck = first.is_err();
    if let Err(LogError::Damaged { .. }) = first {
        return Err(format!("a failed call was taken for damage: {first:?}"));
    }
    let acks = fs.history().acks;
    let notes = testkit::stage::notes(&acks);
    // The process dies; the kernel lives.
    let fs = fs.fork();
    fs.clear_faults();
    let (log, served) = open(&fs, options).map_err(|error| format!("no reopen: {error}"))?;
    let owed = Owed { life: 1, at_risk: Some(0), ..Owed::default() };
    // A kill takes nothing that was acknowledged, in any mode.
    judge(&owed, &notes, &served)?;
    let owed = next_owed(&owed, &notes, served, Some(0));
    let ops: Vec<Op> = (0..6).map(|_| Op::Commit(mode, 400)).collect();
    let before = fs.history().acks.len();
    live(&fs, &log, 2, &ops).map_err(|error| format!("no commit after the reopen: {error}"))?;
    drop(log);
    let acks = fs.history().acks;
    let notes: Vec<Note> = acks.iter().skip(before).map(|ack| Note::decode(&ack.note)).collect();
    let fs = fs.fork();
    let (_, served) = open(&fs, options).map_err(|error| format!("no third open: {error}"))?;
    judge(&owed, &notes, &served)?;
    Ok(struck)
}

fn calls(mode: SyncMode) -> u64 {
    let fs = MemFs::new();
    let (log, _) = open(&fs, OPTIONS).unwrap();
    live(&fs, &log, 1, &workload(mode)).unwrap();
    fs.calls()
}

fn faults(mode: SyncMode) -> Vec<Fault> {
    let mut faults = Vec::new();
    for nth in 1..=calls(mode) {
        faults.push(Fault::nth(nth, io::ErrorKind::Other));
        faults.push(Fault::nth(nth, io::ErrorKind::StorageFull).forever());
    }
    for nth in 1..=40 {
        for bytes in [0, 1, 80, 4096] {
            let target = Target::Only(Place::Write);
            faults.push(Fault { nth, how: How::Short(bytes), ..Fault::short_write(0) });
            faults.push(Fault { target, nth, ..Fault::nth(nth, io::ErrorKind::Other).forever() });
        }
    }
    faults
}

const MODES: [fn() -> SyncMode; 3] = [|| SyncMode::Sync, || batch(5), || SyncMode::None];

#[test]
fn a_failed_call_costs_nothing_that_was_acknowledged() {
    let start = testkit::clock();
    let (mut cases, mut struck) = (0, 0);
    for mode in MODES {
        for fault in faults(mode()) {
            cases += 1;
            match run(&fault, mode(), None) {
                Ok(hit) => struck += u64::from(hit),
                Err(why) => panic!("{}: {fault:?}: {why}", mode()),
            }
        }
    }
    assert!(struck * 2 > cases, "most faults must be felt: {struck} of {cases}");
    let seconds = start();
    testkit::summary(&format!(
        "suite log_faults: {cases} faults, {struck} felt, in {seconds:.1} s"
    ));
}

#[test]
fn canary_a_commit_kept_in_the_buffer_is_caught() {
    let kept = Some(Sabotage::KeptInBuffer);
    let mut modes = MODES.iter().map(|mode| mode());
    assert!(modes.any(|mode| faults(mode).iter().any(|fault| run(fault, mode, kept).is_err())));
}

/// The disk is full at some point, and has space again later: what was refused has no LSN, and
/// commits go on in the same opening.
fn fill(capacity: u64, mode: SyncMode, sabotage: Option<Sabotage>) -> Result<bool, String> {
    let fs = MemFs::new();
    let (log, _) = open(&fs, LogOptions { sabotage, ..OPTIONS }).map_err(|e| e.to_string())?;
    fs.set_capacity(Some(fs.used() + capacity));
    let mut refused = 0;
    for i in 1..=40_u64 {
        match log.append(&vec![7; 3000], mode) {
            Ok(receipt) if receipt.lsn.0 == i - refused => {}
            Ok(receipt) => return Err(format!("commit {i} has LSN {}", receipt.lsn)),
            Err(error) if error.is_full() => refused += 1,
            Err(error) => return Err(format!("neither taken nor refused: {error}")),
        }
        if refused == 3 {
            fs.set_capacity(None);
        }
    }
    drop(log);
    let fs = fs.fork();
    let mut served = 0;
    let sink = &mut |_, _| {
        served += 1;
        ondisk_log::Flow::Continue
    };
    ondisk_log::Log::recover(fs.share(), "log".as_ref(), OPTIONS, ondisk_log::Lsn(0), sink)
        .map_err(|error| format!("no reopen: {error}"))?;
    if served != 40 - refused {
        Err(format!("{served} of {}", 40 - refused))
    } else {
        Ok(refused > 0)
    }
}

#[test]
fn a_full_disk_refuses_before_an_lsn_and_commits_go_on_when_space_returns() {
    let (mut cases, mut felt) = (0, 0);
    for mode in MODES {
        for capacity in (0..200 << 10).step_by(4096) {
            cases += 1;
            match fill(capacity, mode(), None) {
                Ok(refused) => felt += u64::from(refused),
                Err(why) => panic!("{} at {capacity} bytes: {why}", mode()),
            }
        }
    }
    assert!(felt > 30, "a full disk must be met: {felt} of {cases}");
    testkit::summary(&format!("suite log_disk_full: {cases} capacities, {felt} met a full disk"));
    let early = Some(Sabotage::LsnBeforeSpace);
    assert!(fill(8 << 10, SyncMode::Sync, early).is_err(), "canary: an LSN before there is space");
}
