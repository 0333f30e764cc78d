//! Calls, one at a time.

use super::*;

#[test]
fn a_sync_sends_dirty_pages_in_their_order_and_then_asks_the_file_system() {
    let mut rig = Rig::plain();
    for page in [3_u64, 0, 1] {
        rig.write(page * 4096, &[1; 4096]);
    }
    assert_eq!(rig.cache.load(), (3, 0));
    rig.log();
    rig.hold = true;
    let op = rig.fsync();
    assert_eq!(rig.log(), ["write 0 1 3"]);
    assert_eq!((rig.cache.load(), rig.end(op)), ((0, 3), None));
    assert_eq!(rig.cache.state(F, 3), State::Writeback);
    rig.land_all();
    assert_eq!((rig.log(), rig.end(op)), (vec!["sync All".into()], Some(Ok(()))));
    assert_eq!(rig.cache.state(F, 3), State::Clean);
    let starts = [(0, 2), (3, 1)].map(|(page, count)| Kind::WbStart { ino: F, page, count });
    assert!(starts.iter().all(|start| rig.kinds().contains(start)));
}

#[test]
fn a_write_to_a_part_of_a_page_reads_it_first() {
    let check = |mut rig: Rig| {
        rig.write(4, b"xy");
        rig.read(0, 100)
    };
    let mut rig = Rig::plain().with(b"0123456789");
    rig.write(4, b"xy");
    assert_eq!(rig.log(), ["read 0", "begin 4+2 of 10"]);
    assert_eq!(check(Rig::plain().with(b"0123456789")), b"0123xy6789");
    let wrong = Rig::sabotaged(Sabotage::PartialWriteForgetsRead).with(b"0123456789");
    assert_ne!(check(wrong), b"0123xy6789", "the canary");
}

#[test]
fn a_whole_page_and_what_lies_behind_the_end_need_no_read() {
    let mut rig = Rig::plain().with(&[7; 2 * 4096]);
    rig.write(4096, &[1; 4096]);
    rig.write(2 * 4096 + 10, b"z");
    assert_eq!(rig.log(), ["begin 4096+4096 of 8192", "begin 8202+1 of 8192"]);
    assert_eq!(rig.read(8190, 20)[..], [[1; 2].as_slice(), &[0; 10], b"z"].concat());
}

#[test]
fn a_failed_write_back_leaves_a_clean_page_that_an_eviction_takes_back() {
    let story = |mut rig: Rig| {
        rig.write(0, b"b");
        let first = rig.fsync_as(Some(Errno::Io));
        let state = rig.cache.state(F, 0);
        let second = rig.fsync();
        let cached = rig.read(0, 1);
        rig.ask(PagesReq::Evict);
        let old = rig.read(0, 1);
        (rig.end(first), rig.errors, state, rig.end(second), cached, old)
    };
    let right = (Some(Err(Errno::Io)), 1, State::Clean, Some(Ok(())), b"b".to_vec(), b"a".to_vec());
    assert_eq!(story(Rig::plain().with(b"a")), right);
    let wrong = Rig::sabotaged(Sabotage::WritebackErrorKept).with(b"a");
    assert_ne!(story(wrong), right, "the canary");
}

#[test]
fn a_failure_without_a_dirty_page_fails_all_the_same() {
    let mut rig = Rig::plain().with(b"a");
    let op = rig.fsync_as(Some(Errno::Nospc));
    assert_eq!((rig.end(op), rig.errors), (Some(Err(Errno::Nospc)), 1));
    assert!(rig.log().is_empty());
}

#[test]
fn a_page_changed_on_its_way_goes_again_and_a_sync_waits_for_it() {
    let story = |mut rig: Rig| {
        rig.hold = true;
        rig.write(0, &[1; 4096]);
        let first = rig.fsync();
        rig.write(0, &[2; 4096]);
        let state = rig.cache.state(F, 0);
        let second = rig.fsync();
        rig.land();
        rig.run();
        let ends = (rig.end(first), rig.end(second));
        rig.land_all();
        (state, ends, rig.end(second), rig.on_media(1))
    };
    let right = (State::Again, (Some(Ok(())), None), Some(Ok(())), vec![2]);
    assert_eq!(story(Rig::plain()), right);
    assert_ne!(story(Rig::sabotaged(Sabotage::RewriteForgotten)), right, "the canary");
}

#[test]
fn a_sync_does_not_wait_for_what_is_submitted_after_it() {
    let mut rig = Rig::plain();
    rig.hold = true;
    rig.write(0, &[1; 4096]);
    let first = rig.fsync();
    rig.write(4096, &[2; 4096]);
    let second = rig.fsync();
    rig.land();
    rig.run();
    assert_eq!((rig.end(first), rig.end(second)), (Some(Ok(())), None));
    rig.land_all();
    assert_eq!(rig.end(second), Some(Ok(())));
}

#[test]
fn a_write_that_syncs_itself_leaves_the_other_pages_dirty() {
    let story = |mut rig: Rig| {
        rig.write(0, &[1; 4096]);
        rig.log();
        let op = rig.write_as(4096, &[2; 4096], Some(Sync::Data));
        (rig.end(op), rig.log(), rig.cache.load())
    };
    let log = ["begin 4096+4096 of 4096", "write 1", "sync Data"].map(String::from).to_vec();
    let right = (Some(Ok(())), log, (1, 0));
    assert_eq!(story(Rig::plain()), right);
    assert_ne!(story(Rig::sabotaged(Sabotage::DsyncSyncsNothing)), right, "the canary");
}

#[test]
fn a_write_that_syncs_itself_says_when_it_stands_in_the_pages() {
    let mut rig = Rig::plain();
    rig.hold = true;
    let op = rig.write_as(0, b"ab", Some(Sync::All));
    let applied = &rig.answers[&op];
    assert!(
        matches!(&applied[..], [Ok(Done::Applied { bytes, done: false })] if bytes == b"ab"),
        "{applied:?}",
    );
    rig.land_all();
    assert!(matches!(rig.answers[&op].last(), Some(Ok(Done::Ok))));
}

#[test]
fn a_smaller_length_clears_the_rest_of_the_last_page() {
    let story = |mut rig: Rig| {
        rig.set_len(5);
        rig.set_len(10);
        rig.read(0, 20)
    };
    let right = b"01234\0\0\0\0\0".to_vec();
    assert_eq!(story(Rig::plain().with(b"0123456789")), right);
    let wrong = || Rig::sabotaged(Sabotage::TailNotZeroed).with(b"0123456789");
    let caught = std::panic::catch_unwind(|| story(wrong()));
    assert!(caught.is_err() || caught.unwrap() != right, "the canary");
}

#[test]
fn a_length_grows_only_over_what_is_cleared_on_the_media() {
    let mut rig = Rig::plain().with(b"0123456789");
    rig.hold = true;
    rig.set_len(5);
    rig.log();
    let op = rig.write(5, b"xx");
    assert_eq!((rig.log(), rig.end(op)), (vec!["write 0".into()], None));
    rig.land_all();
    assert_eq!((rig.log(), rig.end(op)), (vec!["begin 5+2 of 5".into()], Some(Ok(()))));
    assert_eq!(rig.cache.files[F.index()].tail, Tail::Clear);
}

#[test]
fn bytes_that_a_dead_machine_left_behind_the_end_do_not_come_back() {
    let mut rig = Rig::plain().with(b"0123456789");
    rig.cache.accept(&mut rig.cx, PagesReq::Know { ino: F, size: 4 });
    rig.set_len(8);
    assert_eq!(rig.log(), ["read 0", "write 0", "length 4 8"]);
    assert_eq!(rig.read(0, 20), b"0123\0\0\0\0");
}

#[test]
fn a_length_waits_for_pages_on_their_way() {
    let mut rig = Rig::plain();
    rig.write(0, &[1; 3 * 4096]);
    rig.hold = true;
    let sync = rig.fsync();
    rig.log();
    let op = rig.set_len(4096);
    assert_eq!((rig.log(), rig.end(op)), (vec![], None));
    rig.land_all();
    assert_eq!(rig.log(), ["sync All", "length 12288 4096"]);
    assert_eq!((rig.end(op), rig.end(sync)), (Some(Ok(())), Some(Ok(()))));
    assert_eq!(rig.cache.state(F, 1), State::Absent);
}

#[test]
fn pages_cut_off_are_not_written() {
    let mut rig = Rig::plain();
    rig.write(0, &[1; 3 * 4096]);
    rig.set_len(0);
    assert_eq!(rig.cache.load(), (0, 0));
    rig.log();
    rig.fsync();
    assert_eq!(rig.log(), ["sync All"]);
}

#[test]
fn an_inode_is_free_when_none_of_its_pages_is_on_its_way() {
    let mut rig = Rig::plain();
    rig.hold = true;
    rig.write(0, &[1; 4096]);
    rig.ask(PagesReq::Start { ino: F });
    rig.write(4096, &[1; 4096]);
    rig.log();
    rig.ask(PagesReq::Drop { ino: F });
    assert!(rig.log().is_empty());
    rig.land_all();
    assert_eq!((rig.log(), rig.cache.load()), (vec!["free".into()], (0, 0)));
}

#[test]
fn a_journal_for_data_has_the_pages_at_once() {
    let mut rig = Rig::new(&journal()).with(b"0123456789");
    rig.set_len(5);
    rig.log();
    rig.write(4096, b"x");
    assert_eq!(rig.log(), ["begin 4096+1 of 5", "journal 0", "journal 1"]);
    assert_eq!(rig.cache.load(), (0, 0));
    rig.fsync();
    assert_eq!(rig.log(), ["sync All"]);
    assert_eq!(rig.on_media(10), b"01234\0\0\0\0\0");
}

#[test]
fn a_sync_of_everything_writes_every_file() {
    let mut rig = Rig::plain();
    rig.write(0, b"x");
    let other = Ino(12);
    let op = rig.op();
    let bytes = b"y".to_vec();
    rig.ask(PagesReq::Write { op, task: TASK, ino: other, at: 0, bytes, sync: None });
    rig.log();
    rig.hold = true;
    let op = rig.op();
    rig.ask(PagesReq::SyncAll { op, task: TASK });
    assert_eq!((rig.log(), rig.end(op)), (vec!["write 0".into(), "write 0".into()], None));
    rig.land_all();
    assert_eq!((rig.log(), rig.end(op)), (vec!["sync all".into()], Some(Ok(()))));
}
