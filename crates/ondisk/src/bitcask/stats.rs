//! The engine in numbers, and how its files get to the disk.
//!
//! Invariant: reads alone, and no file.

use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};

use super::cask::Cask;
use crate::engine::{EngineStats, FileCount, FileKind};

pub(super) fn stats(cask: &Cask) -> EngineStats {
    let (files, weights) = cask.weights();
    let count = |lens: &mut dyn Iterator<Item = u64>| {
        lens.fold(FileCount::default(), |FileCount { count, bytes }, len| FileCount {
            count: count + 1,
            bytes: bytes + len,
        })
    };
    let data = count(&mut files.iter().map(|file| file.len));
    let hints = count(&mut files.iter().map(|file| file.hint_len).filter(|&len| len > 0));
    let mut kinds = vec![("data file", data), ("hint file", hints)];
    if cask.hints_lost > 0 {
        let lost = FileCount { count: cask.hints_lost, bytes: 0 };
        kinds.push(("hint file that could not be read", lost));
    }
    let written = *cask.written.lock().unwrap_or_else(PoisonError::into_inner);
    let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let obsolete_files = cask.graveyard().len() as u64;
    EngineStats {
        files: kinds.into_iter().collect(),
        keys: Some(cask.shared.keydir().len() as u64),
        dead_bytes: weights.iter().map(|weight| weight.dead).sum(),
        taken_over: written.taken_over,
        checkpoint_written: written.checkpoint,
        reclaim_written: written.reclaim,
        cache_misses: load(&cask.shared.reads),
        read_bytes: load(&cask.shared.read_bytes),
        obsolete_files,
        ..EngineStats::default()
    }
}

pub(super) fn files() -> Vec<FileKind> {
    let row = |kind, flush: &str, sync: &str, when: &str, so: &str| {
        let [flush, sync, when, so] = [flush, sync, when, so].map(str::to_owned);
        FileKind { kind, flush, sync, when, so }
    };
    vec![
        row(
            "data file",
            "in pieces of 256 KiB while a checkpoint or a merge writes it",
            "fsync of the file, then of its directory",
            "before a manifest names it",
            "durable before it counts; until then the log, or the files that it is merged from, \
             hold what is in it",
        ),
        row(
            "hint file",
            "in sections of 64 KiB, with its data file",
            "fsync of the file, then of its directory",
            "before a manifest names it",
            "durable before it counts; all of it stands in its data file too",
        ),
        row(
            "manifest",
            "whole, beside the one that counts",
            "fsync, rename, fsync of its directory",
            "at the end of each checkpoint and merge, behind the sync of the log",
            "a power cut leaves the old one or the new one, each whole",
        ),
    ]
}
