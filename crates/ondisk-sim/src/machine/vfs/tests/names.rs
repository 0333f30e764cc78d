//! Names and what they stand for.

use super::*;

#[test]
fn links_are_counted() {
    let mut rig = Rig::new();
    rig.file("f", b"f");
    rig.call(link("f", "g")).unwrap();
    assert_eq!(rig.stat("f").unwrap().links, 2);
    rig.call(mkdir("d")).unwrap();
    rig.call(mkdir("d/e")).unwrap();
    assert_eq!((rig.stat(".").unwrap().links, rig.stat("d").unwrap().links), (3, 3));
    rig.call(rename("d/e", "e")).unwrap();
    assert_eq!((rig.stat(".").unwrap().links, rig.stat("d").unwrap().links), (4, 2));
    rig.call(exchange("d", "f")).unwrap();
    assert_eq!((rig.cat("d"), rig.stat("f").unwrap().links), (Ok(b"f".to_vec()), 2));
    rig.call(mkdir("e/h")).unwrap();
    rig.call(exchange("e/h", "g")).unwrap();
    assert_eq!((rig.stat(".").unwrap().links, rig.stat("e").unwrap().links), (5, 2));
    rig.call(rename("g", "f")).unwrap();
    assert_eq!(rig.stat(".").unwrap().links, 4);
    assert_eq!(rig.names("."), ["d", "e", "f"]);
    assert_eq!(rig.stat("e/h").unwrap().ino, rig.stat("d").unwrap().ino);
}

#[test]
fn a_file_without_a_name_lives_until_it_is_closed() {
    let mut rig = Rig::new();
    rig.file("f", b"one");
    let ino = rig.stat("f").unwrap().ino.0;
    let fd = rig.open("f", both()).unwrap();
    rig.call(unlink("f")).unwrap();
    assert_eq!((rig.cat("f"), rig.log()), (Err(Errno::Noent), vec![]));
    rig.call(write(fd, Some(3), b"two")).unwrap();
    assert_eq!(rig.read(fd, Some(0)), Ok(b"onetwo".to_vec()));
    rig.call(Request::Close { fd }).unwrap();
    assert_eq!(rig.log(), [format!("free {ino}")]);
}

#[test]
fn a_file_that_is_replaced_is_free_at_once_if_nobody_has_it_open() {
    let mut rig = Rig::new();
    rig.file("f", b"new");
    rig.file("g", b"old");
    let old = rig.stat("g").unwrap().ino.0;
    rig.call(rename("f", "g")).unwrap();
    assert_eq!((rig.cat("g"), rig.log()), (Ok(b"new".to_vec()), vec![format!("free {old}")]));
}

#[test]
fn a_directory_that_is_gone_takes_no_names() {
    let mut rig = Rig::new();
    rig.call(mkdir("d")).unwrap();
    let fd = rig.open("d", Open { read: true, ..Open::default() }).unwrap();
    rig.hold = true;
    let gone = rig.submit(A, rmdir("d"));
    let late = rig.submit(B, open("d/f", create()));
    assert_eq!(rig.held.len(), 1, "the directory is locked");
    rig.hold = false;
    rig.answer(0);
    assert_eq!(rig.rets.remove(&gone), Some(Ok(Reply::Ok)));
    assert_eq!(rig.rets.remove(&late), Some(Err(Errno::Noent)));
    assert!(rig.log().is_empty());
    rig.call(Request::Close { fd }).unwrap();
    assert_eq!(rig.log().len(), 1);
}

#[test]
fn of_two_that_make_a_name_one_does() {
    let mut rig = Rig::new();
    let race = |rig: &mut Rig, path: &str, how: Open| {
        rig.hold = true;
        let first = rig.submit(A, open(path, create()));
        let second = rig.submit(B, open(path, how));
        assert_eq!(rig.held.len(), 1);
        rig.hold = false;
        rig.answer(0);
        (rig.rets.remove(&first).unwrap(), rig.rets.remove(&second).unwrap())
    };
    let (first, second) = race(&mut rig, "f", create());
    assert_eq!((first, second), (Ok(Reply::Fd(Fd(3))), Ok(Reply::Fd(Fd(3)))));
    let (first, second) = race(&mut rig, "g", Open { excl: true, ..create() });
    assert_eq!((first, second), (Ok(Reply::Fd(Fd(4))), Err(Errno::Exist)));
}

#[test]
fn nothing_of_a_ram_disk_survives() {
    use crate::machine::{Death, choice::First};
    let mut rig = Rig::new();
    rig.file("f", b"f");
    let fd = rig.open("f", both()).unwrap();
    assert_eq!(rig.call(Request::Fsync { fd }), Ok(Reply::Ok), "its sync is empty");
    rig.call(Request::Evict).unwrap();
    assert_eq!(rig.cat("f"), Ok(b"f".to_vec()), "its pages are all there is");
    let (cx, mut first) = (&mut rig.cx, First);
    rig.vfs.power_cut(Death::Crash, &mut cx.arena, &mut first);
    rig.pages.power_cut(Death::Crash, &mut cx.arena, &mut first);
    rig.fs.power_cut(Death::Crash, &mut cx.arena, &mut first);
    rig.fs.accept(cx, FsReq::Mount(Box::<Loaded>::default()));
    rig.run();
    assert_eq!((rig.names("."), rig.cat("f")), (vec![], Err(Errno::Noent)));
}
