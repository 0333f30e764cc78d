//! Refinement: no death of the layered machine leaves what the operations level does not allow.
//!
//! Canaries: mistakes planted in every layer of the machine, each of which some case must show.

use std::panic::{AssertUnwindSafe, catch_unwind};

use ondisk_sim::machine::config::{DataMode, DriveCache, Mount, Sabotage, Scheduler};
use testkit::refine::{Case, MISTAKES, Seen};

/// So many cases are run; `refine` runs more.
const CASES: u64 = 1200;

/// What a case's machine is called in the coverage.
fn kinds(case: &Case) -> [&'static str; 3] {
    let config = &case.config;
    let scheduler = match config.block.scheduler {
        Scheduler::None => "none",
        Scheduler::MqDeadline => "mq-deadline",
        Scheduler::Bfq => "bfq",
    };
    let drive = match config.drive.cache {
        DriveCache::Volatile => "volatile",
        DriveCache::Capacitor => "capacitor",
        DriveCache::None => "no cache",
    };
    let mount = match &config.mount {
        Mount::Ext4(options) => match options.data {
            DataMode::Journal => "journal",
            DataMode::Writeback => "writeback",
            DataMode::Ordered if options.dioread_lock => "dioread_lock",
            DataMode::Ordered if !options.delalloc => "nodelalloc",
            DataMode::Ordered => "ordered",
        },
        Mount::Tmpfs | Mount::Nfs => "other",
    };
    [scheduler, drive, mount]
}

#[test]
fn what_the_machine_leaves_the_models_allow() {
    let clock = testkit::clock();
    let mut seen = Seen::default();
    let mut runs = std::collections::BTreeMap::new();
    for number in 1..=CASES {
        let case = Case::of(number);
        for kind in kinds(&case) {
            *runs.entry(kind).or_insert(0_u64) += 1;
        }
        match case.run() {
            Ok(of) => seen.add(&of),
            Err(why) => panic!("case {number}: {why}"),
        }
    }
    testkit::summary(&format!(
        "refinement: {CASES} cases, 0 outside, {:.1} s: {seen:?}; {runs:?}",
        clock()
    ));
    assert!(seen.images > 20_000 && seen.unknown == 0, "{seen:?}");
    assert!(runs.len() == 11 && runs.values().all(|runs| runs * 20 >= CASES), "{runs:?}");
    let deaths = [seen.in_commit, seen.in_checkpoint, seen.in_replay];
    assert!(deaths.into_iter().all(|deaths| deaths > 5_000), "{seen:?}");
    assert!(seen.later_lives > 200 && seen.wraps > 50, "{seen:?}");
}

/// The mistakes that cuts show here, by layer.
const CAUGHT: [Sabotage; 21] = [
    // The file system and its journal.
    Sabotage::NoFlushBeforeCommit,
    Sabotage::CommitBlockEarly,
    Sabotage::OrderedDataDropped,
    Sabotage::TailMovedWithoutFlush,
    Sabotage::FreedBlockReusedEarly,
    Sabotage::ConvertedBeforeDone,
    Sabotage::FsyncWithoutCommit,
    Sabotage::CheckpointBeforeCommit,
    Sabotage::FrozenNot,
    Sabotage::ReplayWithoutCommit,
    // The page cache.
    Sabotage::DsyncSyncsNothing,
    Sabotage::PartialWriteForgetsRead,
    Sabotage::RewriteForgotten,
    // The block layer.
    Sabotage::FlushShared,
    Sabotage::FuaDropped,
    Sabotage::PostflushSkipped,
    // The drive.
    Sabotage::FlushForgetsCache,
    Sabotage::FuaAckedFromCache,
    Sabotage::CapacitorEmpty,
    Sabotage::StaleSeqWins,
    Sabotage::SavedMapIsAll,
];

/// The others, each with the test of its layer that notices it.
const ELSEWHERE: [(Sabotage, &str); 14] = [
    (Sabotage::RevokeForgotten, "ext4: a_directory_that_is_gone_does_not_come_back_into_a_file"),
    (Sabotage::ReplayIgnoresRevoke, "ext4: canary_what_was_revoked_is_replayed"),
    (Sabotage::ChecksumIgnored, "ext4: canary_checksums_are_ignored"),
    (Sabotage::MergeIntoFlush, "block: nothing_joins_what_flushes_and_it_joins_nothing"),
    (Sabotage::DeadlineIgnoresExpiry, "block: who_expired_goes_first_in_the_next_batch"),
    (Sabotage::GcLosesPage, "ssd: planted_mistakes_are_found"),
    (Sabotage::EraseBeforeCopy, "ssd: planted_mistakes_are_found"),
    (
        Sabotage::WritebackErrorKept,
        "page cache: a_failed_write_back_leaves_a_clean_page_that_an_eviction_takes_back",
    ),
    (Sabotage::TailNotZeroed, "page cache: a_smaller_length_clears_the_rest_of_the_last_page"),
    (
        Sabotage::ErrorNotTold,
        "vfs: a_failed_write_back_is_told_once_to_each_description_open_at_the_time",
    ),
    (Sabotage::DirsLockedAsNamed, "vfs: a_circle_of_locks_is_found"),
    (Sabotage::CloseWithoutCommit, "nfs: what_is_in_a_closed_file_is_kept"),
    (Sabotage::NamesNotCommitted, "nfs: a_planted_mistake_with_names_shows"),
    (Sabotage::VerifierIgnored, "nfs: what_a_server_lost_is_sent_again"),
];

#[test]
fn every_mistake_has_somebody_who_notices() {
    for mistake in MISTAKES {
        let here = CAUGHT.contains(&mistake);
        let elsewhere = ELSEWHERE.iter().any(|(it, _)| *it == mistake);
        assert!(here != elsewhere, "{mistake:?}: here {here}, elsewhere {elsewhere}");
    }
}

#[test]
fn planted_mistakes_of_the_machine_are_noticed() {
    for mistake in CAUGHT {
        let is_noticed = |number: &u64| {
            // A panic notices too.
            let run = AssertUnwindSafe(|| Case::of(*number).with(mistake).run().is_err());
            catch_unwind(run).unwrap_or(true)
        };
        let number = (1..=CASES).find(is_noticed);
        testkit::summary(&format!("canary {mistake:?}: noticed by case {number:?}"));
        assert!(number.is_some(), "{mistake:?} passes {CASES} cases");
    }
}
