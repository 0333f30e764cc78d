//! Bytes, offsets, lengths, failures, and what is recorded of them.

use super::*;
use crate::machine::event::{Kind, Nr};
use crate::machine::message::{PagesDone, Sync};
use crate::ops::record::Recorder;
use crate::ops::{Image, What};

#[test]
fn a_description_has_an_offset_of_its_own() {
    let mut rig = Rig::new();
    let (one, two) = (rig.open("f", create()).unwrap(), rig.open("f", both()).unwrap());
    assert_eq!((one, two), (Fd(3), Fd(4)));
    rig.call(write(one, None, b"abc")).unwrap();
    rig.call(write(one, None, b"def")).unwrap();
    assert_eq!(rig.read(two, None), Ok(b"abcdef".to_vec()));
    assert_eq!(rig.read(two, None), Ok(vec![]));
    rig.call(write(two, Some(1), b"x")).unwrap();
    assert_eq!((rig.read(two, None), rig.read(two, Some(0))), (Ok(vec![]), Ok(b"axcdef".to_vec())));
    assert_eq!(rig.call(Request::Seek { fd: two, to: 4 }), Ok(Reply::Count(4)));
    assert_eq!(rig.read(two, None), Ok(b"ef".to_vec()));
    let append = rig.open("f", Open { append: true, ..both() }).unwrap();
    rig.call(write(append, Some(0), b"g")).unwrap();
    assert_eq!(rig.read(two, None), Ok(b"g".to_vec()), "O_APPEND comes before the offset");
    rig.call(Request::Close { fd: one }).unwrap();
    assert_eq!(rig.open("f", both()), Ok(Fd(3)), "the lowest that is free");
}

#[test]
fn lengths() {
    let mut rig = Rig::new();
    let fd = rig.open("f", create()).unwrap();
    rig.call(write(fd, None, b"abcdef")).unwrap();
    rig.call(Request::SetLen { fd, len: 3 }).unwrap();
    rig.call(Request::SetLen { fd, len: 5 }).unwrap();
    rig.call(Request::Allocate { fd, len: 7 }).unwrap();
    assert_eq!(rig.cat("f"), Ok(b"abc\0\0\0\0".to_vec()));
    rig.call(Request::Allocate { fd, len: 2 }).unwrap();
    assert_eq!(rig.stat("f").unwrap().size, 7);
    rig.open("f", Open { trunc: true, ..both() }).unwrap();
    assert_eq!(rig.stat("f").unwrap().size, 0);
}

#[test]
fn a_call_takes_its_time_and_a_page_more() {
    let mut rig = Rig::new();
    let fd = rig.open("f", create()).unwrap();
    let mut took = |what| {
        let before = rig.cx.now;
        rig.call(what).unwrap();
        Ns(rig.cx.now.0 - before.0)
    };
    assert_eq!(took(write(fd, Some(4095), b"ab")), Ns(300 + 2 * 400));
    assert_eq!(took(Request::Fsync { fd }), Ns(300));
    assert_eq!(took(Request::Read { fd, at: Some(0), len: 100 }), Ns(300 + 400));
}

#[test]
fn an_ordered_failure_strikes_once_and_the_write_does_nothing() {
    let mut rig = Rig::new();
    let fail = |call, errno| Request::Fail { path: bytes("d/f"), call, errno };
    rig.call(fail(Failing::Write, Errno::Nospc)).unwrap();
    rig.call(mkdir("d")).unwrap();
    let fd = rig.open("d/f", create()).unwrap();
    assert_eq!(rig.call(write(fd, None, b"a")), Err(Errno::Nospc));
    assert_eq!(rig.stat("d/f").unwrap().size, 0);
    rig.call(write(fd, None, b"b")).unwrap();
    assert_eq!(rig.cat("d/f"), Ok(b"b".to_vec()));
    rig.call(fail(Failing::Fsync, Errno::Io)).unwrap();
    assert_eq!(rig.call(Request::Fdatasync { fd }), Ok(Reply::Ok));
    assert_eq!(rig.call(Request::Fsync { fd }), Err(Errno::Io));
    assert_eq!(rig.call(Request::Fsync { fd }), Ok(Reply::Ok));
}

#[test]
fn a_failed_write_back_is_told_once_to_each_description_open_at_the_time() {
    let story = |sabotage| {
        let config = Config { mount: Mount::Tmpfs, sabotage, ..Config::default() };
        let mut rig = Rig::with(&config);
        let one = rig.open("f", create()).unwrap();
        let two = rig.open("f", both()).unwrap();
        rig.vfs.complete(
            &mut rig.cx,
            VfsDone { op: OpId(0), result: Ok(Done::WbError { ino: Ino(3), errno: Errno::Io }) },
        );
        let early = rig.open("f", both()).unwrap();
        let sync = |rig: &mut Rig, fd| rig.call(Request::Fsync { fd }).is_ok();
        let mut told = vec![sync(&mut rig, one), sync(&mut rig, one), sync(&mut rig, early)];
        let late = rig.open("f", both()).unwrap();
        told.extend([sync(&mut rig, late), sync(&mut rig, two), sync(&mut rig, two)]);
        told
    };
    // Who opens before anybody was told is told too; who opens after is not.
    let right = [false, true, false, true, false, true];
    assert_eq!(story(None), right);
    assert_ne!(story(Some(Sabotage::ErrorNotTold)), right, "the canary");
}

#[test]
fn a_close_after_a_truncation_to_nothing_starts_write_back() {
    let mut rig = Rig::with(&Config::default());
    rig.file("f", b"old");
    assert!(rig.log().is_empty());
    let ino = rig.stat("f").unwrap().ino.0;
    let fd = rig.open("f", Open { trunc: true, ..both() }).unwrap();
    rig.call(write(fd, None, b"new")).unwrap();
    rig.call(Request::Close { fd }).unwrap();
    assert_eq!(rig.log(), [format!("start {ino}")]);
    rig.file("f", b"more");
    assert!(rig.log().is_empty(), "once");
}

#[test]
fn writers_of_one_file_come_in_turn_and_others_do_not_wait() {
    let mut rig = Rig::new();
    let (a, b) = (rig.open("f", create()).unwrap(), rig.open_as(B, "f", both()).unwrap());
    let append = rig.open_as(TaskId(3), "f", Open { append: true, ..both() }).unwrap();
    let other = rig.open_as(TaskId(4), "g", create()).unwrap();
    rig.hold = true;
    let first = rig.submit(A, write(a, None, b"aaaa"));
    let second = rig.submit(B, write(b, None, b"bb"));
    let third = rig.submit(TaskId(3), write(append, None, b"cc"));
    let fourth = rig.submit(TaskId(4), write(other, None, b"dd"));
    assert_eq!(rig.held.len(), 2, "one for each file");
    rig.answer(1);
    assert!(rig.rets.contains_key(&fourth));
    rig.answer(0);
    assert!(rig.rets.contains_key(&first) && !rig.rets.contains_key(&second));
    rig.answer(0);
    rig.answer(0);
    assert!(rig.rets.contains_key(&third));
    rig.hold = false;
    assert_eq!(rig.cat("f"), Ok(b"bbaacc".to_vec()));
}

#[test]
fn a_dead_task_has_no_descriptors_and_its_call_returns_to_nobody() {
    let mut rig = Rig::new();
    let fd = rig.open("f", create()).unwrap();
    rig.hold = true;
    let lost = rig.submit(A, write(fd, None, b"x"));
    let made = rig.submit(A, open("g", create()));
    rig.call(Request::Exit).unwrap();
    rig.hold = false;
    rig.answer(0);
    rig.answer(0);
    assert!(!rig.rets.contains_key(&lost) && !rig.rets.contains_key(&made));
    assert_eq!(rig.call(write(fd, None, b"y")), Err(Errno::Badf));
    assert_eq!(rig.cat("f"), Ok(b"x".to_vec()), "what was under way is done");
    rig.call(unlink("f")).unwrap();
    rig.call(unlink("g")).unwrap();
    assert_eq!(rig.log().len(), 2, "nobody has them open");
}

#[test]
fn each_call_is_an_event_with_its_number_and_returns_as_one() {
    let mut rig = Rig::new();
    rig.cx.events.clear();
    let fd = rig.open("f", create()).unwrap();
    rig.call(write(fd, Some(9), b"abc")).unwrap();
    assert_eq!(rig.call(Request::Close { fd: Fd(77) }), Err(Errno::Badf));
    let events: Vec<_> = rig.cx.events.iter().map(|event| event.kind).collect();
    let cwd = super::super::CWD;
    for kind in [
        Kind::Call { task: A, nr: Nr(257), fd: cwd, a: 0o102, b: 0o644 },
        Kind::Lookup { dir: Ino::ROOT, found: None },
        Kind::Ret { task: A, nr: Nr(257), value: 3 },
        Kind::Call { task: A, nr: Nr(18), fd, a: 3, b: 9 },
        Kind::Ret { task: A, nr: Nr(18), value: 3 },
        Kind::Errno { errno: Errno::Badf },
        Kind::Ret { task: A, nr: Nr(3), value: -9 },
    ] {
        assert!(events.contains(&kind), "{kind:?} in {events:?}");
    }
    let event = |op, kind: fn(&Kind) -> bool| {
        *rig.cx.events.iter().find(|event| event.op == OpId(op) && kind(&event.kind)).unwrap()
    };
    let call = event(2, |kind| matches!(kind, Kind::Call { .. }));
    let dirtied = event(2, |kind| matches!(kind, Kind::Dirtied { .. }));
    let ret = event(2, |kind| matches!(kind, Kind::Ret { .. }));
    assert_eq!((dirtied.cause, ret.cause), (call.id, dirtied.id));
}

#[test]
fn the_history_has_what_was_done_and_nothing_that_failed() {
    let mut rig = Rig::new();
    rig.cx.history = Some(Recorder::new(&Image::new()));
    rig.fs.accept(&mut rig.cx, FsReq::Mount(Box::<Loaded>::default()));
    rig.run();
    rig.call(mkdir("d")).unwrap();
    let fd = rig.open("d/f", create()).unwrap();
    rig.refuse = Some(Errno::Nospc);
    assert!(rig.call(write(fd, None, b"lost")).is_err());
    rig.call(Request::Write { fd, at: None, bytes: b"abc".to_vec(), sync: Some(Sync::Data) })
        .unwrap();
    rig.call(Request::Fsync { fd }).unwrap();
    rig.call(link("d/f", "g")).unwrap();
    rig.call(rename("g", "h")).unwrap();
    assert!(rig.call(rename("h", "d")).is_err());
    rig.call(unlink("d/f")).unwrap();
    rig.call(Request::SetLen { fd, len: 2 }).unwrap();
    let mut history = rig.cx.history.take().unwrap();
    let words: Vec<_> = history.history().calls.iter().map(|call| call.what.word()).collect();
    assert_eq!(
        words,
        [
            "mkdir",
            "create",
            "write",
            "sync_range",
            "sync_all",
            "link",
            "rename",
            "remove",
            "set_len"
        ]
    );
    let calls = history.history().calls;
    assert!(calls.iter().all(|call| call.returned.is_some() && call.result.is_ok()));
    assert!(matches!(calls[3].what, What::SyncRange { offset: 0, len: 3, .. }));
    let image = history.image();
    let files: Vec<_> =
        image.files().map(|(path, bytes)| (path.to_str().unwrap(), bytes)).collect();
    assert_eq!(files, [("h", b"ab".as_slice())]);
}

#[test]
fn a_write_that_syncs_itself_fails_with_its_sync() {
    let mut rig = Rig::new();
    let fd = rig.open("f", create()).unwrap();
    rig.hold = true;
    let bytes = b"abc".to_vec();
    let op = rig.submit(A, Request::Write { fd, at: None, bytes, sync: Some(Sync::Data) });
    rig.answer(0);
    assert!(matches!(rig.held.pop_front(), Some(FsReq::Sync { .. })));
    rig.cx.send(Msg::PagesDone(PagesDone::Done { op, result: Err(Errno::Io) }));
    rig.run();
    assert_eq!(rig.rets.remove(&op), Some(Err(Errno::Io)));
    rig.hold = false;
    assert_eq!(rig.cat("f"), Ok(b"abc".to_vec()), "the bytes stay in memory");
}
