//! How calls fail, as the manual pages say.

use super::*;

/// Two directories, one in the other, files, links, and a circle of links.
fn tree() -> Rig {
    let mut rig = Rig::new();
    for call in [mkdir("d"), mkdir("d/sub"), mkdir("empty")] {
        rig.call(call).unwrap();
    }
    rig.file("f", b"f");
    rig.file("d/x", b"x");
    for (target, path) in [
        ("f", "to-f"),
        ("d", "to-d"),
        ("/d/x", "d/sub/to-x"),
        ("two", "one"),
        ("one", "two"),
        ("nothing", "dangling"),
    ] {
        rig.call(symlink(target, path)).unwrap();
    }
    rig
}

fn check(cases: &[(Request, Result<(), Errno>)]) {
    for (call, right) in cases {
        let answer = tree().call(call.clone()).map(drop);
        assert_eq!(answer, *right, "{call:?}");
    }
}

#[test]
fn of_open() {
    let excl = Open { excl: true, ..create() };
    let directory = Open { read: true, directory: true, ..Open::default() };
    let read = Open { read: true, ..Open::default() };
    let long = "n".repeat(256);
    let deep = "a/".repeat(2048);
    check(&[
        (open("f", both()), Ok(())),
        (open("/d//x", both()), Ok(())),
        (open("d/./sub/../x", both()), Ok(())),
        (open("../../d/x", both()), Ok(())),
        (open("to-f", both()), Ok(())),
        (open("to-d/sub/to-x", both()), Ok(())),
        (open("dangling", create()), Ok(())),
        (open("d", read), Ok(())),
        (open(".", read), Ok(())),
        (open("to-d", directory), Ok(())),
        (open("g", both()), Err(Errno::Noent)),
        (open("", both()), Err(Errno::Noent)),
        (open("dangling", both()), Err(Errno::Noent)),
        (open("no/f", create()), Err(Errno::Noent)),
        (open("f", excl), Err(Errno::Exist)),
        (open("to-f", excl), Err(Errno::Exist)),
        (open("f/x", both()), Err(Errno::Notdir)),
        (open("f/", both()), Err(Errno::Notdir)),
        (open("f/.", both()), Err(Errno::Notdir)),
        (open("f", directory), Err(Errno::Notdir)),
        (open("d", both()), Err(Errno::Isdir)),
        (open("d", create()), Err(Errno::Isdir)),
        (open("new/", create()), Err(Errno::Isdir)),
        (open("one", both()), Err(Errno::Loop)),
        (open("one/x", both()), Err(Errno::Loop)),
        (open(&long[1..], create()), Ok(())),
        (open(&long, create()), Err(Errno::Nametoolong)),
        (open(&deep, both()), Err(Errno::Nametoolong)),
        (open("a\0b", create()), Err(Errno::Inval)),
    ]);
}

#[test]
fn of_names() {
    check(&[
        (mkdir("d/new"), Ok(())),
        (mkdir("d/new/"), Ok(())),
        (mkdir("d"), Err(Errno::Exist)),
        (mkdir("."), Err(Errno::Exist)),
        (mkdir("/"), Err(Errno::Exist)),
        (mkdir("to-f"), Err(Errno::Exist)),
        (mkdir("no/new"), Err(Errno::Noent)),
        (mkdir("f/new"), Err(Errno::Notdir)),
        (rmdir("empty"), Ok(())),
        (rmdir("d"), Err(Errno::Notempty)),
        (rmdir("f"), Err(Errno::Notdir)),
        (rmdir("to-d"), Err(Errno::Notdir)),
        (rmdir("no"), Err(Errno::Noent)),
        (rmdir("d/."), Err(Errno::Inval)),
        (rmdir("empty/.."), Err(Errno::Notempty)),
        (rmdir("/"), Err(Errno::Busy)),
        (unlink("f"), Ok(())),
        (unlink("to-d"), Ok(())),
        (unlink("d"), Err(Errno::Isdir)),
        (unlink("."), Err(Errno::Isdir)),
        (unlink("no"), Err(Errno::Noent)),
        (unlink("f/"), Err(Errno::Notdir)),
        (link("f", "d/f"), Ok(())),
        (link("dangling", "d/f"), Ok(())),
        (link("d", "e"), Err(Errno::Perm)),
        (link("f", "d/x"), Err(Errno::Exist)),
        (link("no", "e"), Err(Errno::Noent)),
        (link("f", "e/"), Err(Errno::Noent)),
        (symlink("", "e"), Err(Errno::Noent)),
        (symlink("x", "f"), Err(Errno::Exist)),
        (chmod("no", 0), Err(Errno::Noent)),
        (Request::List { path: bytes("f") }, Err(Errno::Notdir)),
    ]);
}

#[test]
fn of_rename() {
    check(&[
        (rename("f", "g"), Ok(())),
        (rename("f", "d/x"), Ok(())),
        (rename("f", "f"), Ok(())),
        (rename("d", "empty"), Ok(())),
        (rename("d/sub", "d/new/"), Ok(())),
        (rename("empty", "d/sub/deep"), Ok(())),
        (rename("no", "g"), Err(Errno::Noent)),
        (rename("f", "no/g"), Err(Errno::Noent)),
        (rename("f", "d"), Err(Errno::Isdir)),
        (rename("d", "f"), Err(Errno::Notdir)),
        (rename("empty", "d"), Err(Errno::Notempty)),
        (rename("d/sub", "d"), Err(Errno::Notempty)),
        (rename("d", "d/sub/new"), Err(Errno::Inval)),
        (rename("d", "d/new"), Err(Errno::Inval)),
        (rename("f", "g/"), Err(Errno::Notdir)),
        (rename("f/", "g"), Err(Errno::Notdir)),
        (rename(".", "g"), Err(Errno::Busy)),
        (rename("d", "empty/.."), Err(Errno::Busy)),
        (exchange("f", "d"), Ok(())),
        (exchange("f", "no"), Err(Errno::Noent)),
        (exchange("d", "d/sub"), Err(Errno::Inval)),
        (exchange("d/sub", "d"), Err(Errno::Inval)),
    ]);
}

#[test]
fn of_descriptors() {
    let mut rig = tree();
    let read = rig.open("f", Open { read: true, ..Open::default() }).unwrap();
    let write_only = rig.open("f", Open { write: true, ..Open::default() }).unwrap();
    let dir = rig.open("d", Open { read: true, ..Open::default() }).unwrap();
    let none = Fd(99);
    let far = 1 << 40;
    let read_at = |fd| Request::Read { fd, at: None, len: 1 };
    for (call, right) in [
        (read_at(write_only), Errno::Badf),
        (read_at(dir), Errno::Isdir),
        (read_at(none), Errno::Badf),
        (write(read, None, b"x"), Errno::Badf),
        (write(none, None, b"x"), Errno::Badf),
        (write(write_only, Some(far), b"x"), Errno::Fbig),
        (write(write_only, Some(u64::MAX), b"x"), Errno::Fbig),
        (Request::SetLen { fd: read, len: 0 }, Errno::Inval),
        (Request::SetLen { fd: write_only, len: far + 1 }, Errno::Fbig),
        (Request::Allocate { fd: read, len: 1 }, Errno::Badf),
        (Request::Allocate { fd: write_only, len: 0 }, Errno::Inval),
        (Request::Fsync { fd: none }, Errno::Badf),
        (Request::Close { fd: none }, Errno::Badf),
        (Request::Close { fd: Fd(0) }, Errno::Badf),
    ] {
        assert_eq!(rig.call(call.clone()), Err(right), "{call:?}");
    }
    rig.call(Request::Close { fd: read }).unwrap();
    assert_eq!(rig.call(read_at(read)), Err(Errno::Badf));
    assert_eq!(rig.call_as(B, read_at(write_only)), Err(Errno::Badf), "another task's");
}

#[test]
fn of_mode_bits() {
    let mut rig = tree();
    let before = rig.open("f", both()).unwrap();
    rig.call(chmod("f", 0)).unwrap();
    assert_eq!(rig.open("f", both()), Err(Errno::Acces));
    assert_eq!(rig.cat("f"), Err(Errno::Acces));
    rig.call(write(before, None, b"g")).unwrap();
    rig.call(chmod("f", 0o400)).unwrap();
    assert_eq!((rig.cat("f"), rig.open("f", both())), (Ok(b"g".to_vec()), Err(Errno::Acces)));
    let trunc = Open { read: true, trunc: true, ..Open::default() };
    assert_eq!(rig.open("f", trunc), Err(Errno::Acces), "a truncation writes");

    rig.call(chmod("d", 0o500)).unwrap();
    for call in [
        open("d/new", create()),
        mkdir("d/new"),
        unlink("d/x"),
        rmdir("d/sub"),
        rename("d/x", "x"),
        rename("f", "d/x"),
        link("f", "d/new"),
    ] {
        assert_eq!(rig.call(call.clone()), Err(Errno::Acces), "{call:?}");
    }
    assert_eq!(rig.cat("d/x"), Ok(b"x".to_vec()));
    rig.call(chmod("d", 0o600)).unwrap();
    assert_eq!(rig.cat("d/x"), Err(Errno::Acces));
    assert_eq!(rig.names("d"), ["sub", "x"]);
    rig.call(chmod("d", 0o300)).unwrap();
    assert_eq!(rig.call(Request::List { path: bytes("d") }), Err(Errno::Acces));
    assert_eq!(rig.cat("d/x"), Ok(b"x".to_vec()));
}

#[test]
fn of_too_many_descriptors() {
    let mut rig = tree();
    for _ in 3..1024 {
        rig.open("f", both()).unwrap();
    }
    assert_eq!(rig.open("f", both()), Err(Errno::Mfile));
    assert!(rig.open_as(B, "f", both()).is_ok());
}

#[test]
fn of_what_the_file_system_refuses() {
    let mut rig = tree();
    rig.refuse = Some(Errno::Nospc);
    assert_eq!(rig.call(mkdir("new")), Err(Errno::Nospc));
    rig.refuse = Some(Errno::Rofs);
    assert_eq!(rig.call(unlink("f")), Err(Errno::Rofs));
    assert_eq!((rig.stat("new").map(drop), rig.cat("f")), (Err(Errno::Noent), Ok(b"f".to_vec())));
}
