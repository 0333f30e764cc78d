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

/// Cases that were outside once, made small: the number of the machine, and the lives on it.
const ONCE_OUTSIDE: [(u64, &[&str]); 10] = [
    // An append to a block that has its place, where nobody ever wrote.
    (
        13687,
        &[
            "\
             durable { mkdir d; mkdir e; e/a = \"S\"*40000 }\n\
             @A allocate e/a 700\n\
             @A allocate a 8192\n\
             @B rmdir d/f\n\
             @A open a create trunc; write a \"d\"*40; close a\n\
             @A sync\n\
             @B open a create; write a \"f\"*40; flush a; fsync a; rename a e/a\n\
             ",
            "\
             @A open a create append; write a \"c\"*1; flush a\n\
             @A fsyncdir e\n\
             ",
        ],
    ),
    // A truncation of what the same transaction made longer.
    (
        8182,
        &["\
             durable { mkdir d; mkdir e; e/a = \"S\"*8192 }\n\
             @B write d/a \"c\"*4000; rename d/a c\n\
             @A open d/a create trunc; write d/a \"d\"*40; close d/a\n\
             @A wait 6s\n\
             @B fsync c\n\
             @B open c create; write c \"E\"*10000; flush c\n\
             @B setlen c 512\n\
             @B pwrite c \"L\"*40 @0\n\
             "],
    ),
    // A page is on its way, to get its place, while its file is cut.
    (
        7980,
        &["\
             durable { mkdir d; mkdir e; b = \"P\"*700; c = \"T\"*100 }\n\
             @A open e/a create dsync; pwrite e/a \"b\"*4096 @1\n\
             @A open c create trunc; write c \"g\"*4000; close c\n\
             @A wait 1s\n\
             @A pwrite b \"k\"*4100 @6000\n\
             @A setlen b 6000\n\
             @A fsyncdir d\n\
             "],
    ),
    // A file is cut in a page that gets its place by the same transaction.
    (
        14948,
        &["\
             durable { mkdir d; mkdir e; e/a = \"S\"*4000 }\n\
             @A open b create; rename b c\n\
             @A allocate c 8192\n\
             @B open d/b create dsync; pwrite d/b \"j\"*10000 @4096\n\
             @B open c create; write c \"u\"*40000; flush c\n\
             @A rename d/b a\n\
             @A pwrite b \"y\"*4100 @4096\n\
             @A setlen b 6000\n\
             "],
    ),
    // All that was written is allocated, and renamed over another file.
    (
        1786,
        &[
            "\
             durable { mkdir d; mkdir e; e/a = \"S\"*10000 }\n\
             @A sync\n\
             @B pwrite e/a \"b\"*4100 @4096\n\
             @A open d/b create; write d/b \"e\"*8192; fsync d/b\n\
             @B open b create; write b \"f\"*40; flush b\n\
             @A fsync a\n\
             @B open a create; write a \"h\"*10000; flush a\n\
             @C remove e/a\n\
             ",
            "\
             @A open e/a create; write e/a \"i\"*700; flush e/a\n\
             @A allocate e/a 700\n\
             @A rename e/a d/b\n\
             @A open d/a create; write d/a \"u\"*40000; flush d/a\n\
             @A fsync d/a\n\
             ",
        ],
    ),
    // A truncation and a rename wait for the journal: whoever went first stands first.
    (
        12092,
        &["\
             durable { mkdir d; mkdir e; d/a = \"Q\"*700; d/b = \"R\"*40; c = \"T\"*1 }\n\
             @A write d/a \"a\"*10000\n\
             @A open e/a create; write e/a \"e\"*4000; flush e/a; fsync e/a; rename e/a a\n\
             @A setlen d/b 4096\n\
             @B wait 5ms\n\
             @A pwrite e/a \"l\"*10000 @4095\n\
             @B open a create; write a \"m\"*4000; flush a\n\
             @B write d/b \"n\"*8192\n\
             @A write d/b \"o\"*100; flush d/b; fsync d/b; rename d/b a\n\
             @A write d/b \"p\"*8192\n\
             @A fdatasync d/b\n\
             @A open c create trunc; write c \"u\"*1; close c\n\
             @B setlen c 4096\n\
             @A open b create dsync; pwrite b \"w\"*4000 @4096\n\
             @B fsyncdir .\n\
             @B open a create; write a \"H\"*4096; flush a; fsync a; rename a d/a\n\
             "],
    ),
    // Zeros behind a new end, written before anybody but the page cache knows of that end.
    (
        42893,
        &["\
             durable { mkdir d; a = \"O\"*1; b = \"P\"*100; c = \"T\"*4096 }\n\
             @B write b \"e\"*10000\n\
             @C fdatasync d/a\n\
             @C mkdir d/f\n\
             @C rename b a\n\
             @A wait 5ms\n\
             @B fsyncdir d\n\
             @B sync\n\
             @A open d/a create; write d/a \"u\"*40; flush d/a\n\
             @A setlen a 4095\n\
             "],
    ),
    // A write waits for the next transaction, and a later one does not.
    (
        56905,
        &["\
             durable { mkdir d; mkdir e; d/b = \"R\"*4100 }\n\
             @C pwrite d/a \"a\"*4000 @12288\n\
             @A open d/a create; write d/a \"b\"*4096; flush d/a\n\
             @A wait 1us\n\
             @C pwrite d/a \"e\"*40 @4095\n\
             @B open c create; write c \"f\"*1; flush c\n\
             @B write c \"g\"*100; flush c\n\
             @B open c create sync; pwrite c \"i\"*40000 @512\n\
             @C rename d/f e/f\n\
             @A open a create sync; pwrite a \"m\"*40000 @1\n\
             @C open e/a create append; write e/a \"t\"*100; flush e/a\n\
             "],
    ),
    // The page in which a file is cut is on its way, for a sync that the cut runs beside.
    (
        7319,
        &["\
             durable { mkdir d; mkdir e; d/a = \"Q\"*4000; e/a = \"S\"*100; c = \"T\"*4100 }\n\
             @A pwrite d/a \"k\"*40 @4096\n\
             @A fdatasync d/a\n\
             @B open b create; write b \"s\"*40; flush b\n\
             @B fsync a\n\
             @A setlen b 1\n\
             @B fsyncdir e\n\
             @C rename e/a a\n\
             @B fdatasync b\n\
             "],
    ),
    // The same, with the journal's commit between them.
    (
        18339,
        &["\
             @B open b create append; write b \"b\"*1; flush b\n\
             @B setlen b 100\n\
             @A open b create; write b \"l\"*4096; flush b; fsync b; rename b c\n\
             "],
    ),
];

#[test]
fn what_was_outside_once_is_inside() {
    for (number, lives) in ONCE_OUTSIDE {
        let lives = lives.iter().map(|life| (*life).to_owned()).collect();
        let seen = Case { lives, ..Case::of(number) }.run();
        assert!(seen.as_ref().is_ok_and(|seen| seen.unknown == 0), "case {number}: {seen:?}");
    }
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
