//! The whole of it: a client, its server, deaths of the one, the other and both.

mod storm;

use super::Sabotage;
use crate::machine::choice::{First, Last};
use crate::machine::config::{Config, Mount, Share};
use crate::machine::event::{Kind, Remote};
use crate::machine::ids::{Fd, Ns, TaskId};
use crate::machine::message::{Open, Reply, Request};
use crate::machine::{Death, Sim};
use crate::ops::Image;

const TASK: TaskId = TaskId(1);

fn config() -> Config {
    let mut config = Config { mount: Mount::Nfs, ..Config::default() };
    config.cache.share = Share::Fresh;
    config
}

fn machine(config: Config) -> Sim {
    Sim::new(config, &Image::new().dir("d").file("old", *b"old"), 1).unwrap()
}

fn path(path: &str) -> Box<[u8]> {
    path.as_bytes().into()
}

fn open(sim: &Sim, name: &str) -> Fd {
    let how = Open { read: true, write: true, create: true, ..Open::default() };
    match sim.call(TASK, Request::Open { path: path(name), how, mode: 0o644 }).unwrap() {
        Reply::Fd(fd) => fd,
        other => panic!("{other:?}"),
    }
}

fn write(sim: &Sim, fd: Fd, at: u64, bytes: &[u8]) {
    let what = Request::Write { fd, at: Some(at), bytes: bytes.to_vec(), sync: None };
    assert_eq!(sim.call(TASK, what), Ok(Reply::Count(bytes.len() as u64)));
}

fn read(sim: &Sim, fd: Fd, len: u64) -> Vec<u8> {
    match sim.call(TASK, Request::Read { fd, at: Some(0), len }).unwrap() {
        Reply::Bytes(bytes) => bytes,
        other => panic!("{other:?}"),
    }
}

fn ok(sim: &Sim, what: Request) {
    sim.call(TASK, what).unwrap();
}

/// What is left when client and server lose their power now, and nothing that may be lost stays.
fn left(sim: &Sim) -> Image {
    sim.cut(Death::Cut, &mut First).image().unwrap()
}

/// So many seconds later.
fn wait(sim: &Sim, seconds: u64) {
    sim.run_until(sim.now() + Ns::S.times(seconds));
}

#[test]
fn what_is_on_the_server_is_shown() {
    let sim = machine(config());
    let fd = open(&sim, "old");
    assert_eq!(read(&sim, fd, 100), b"old");
}

#[test]
fn what_is_in_an_open_file_is_lost() {
    let sim = machine(config());
    let fd = open(&sim, "f");
    write(&sim, fd, 0, b"bytes");
    assert_eq!(left(&sim).bytes("f"), Some(&b""[..]), "the name is durable, the bytes are not");
}

/// What is left of a file that was closed.
fn closed(sabotage: Option<Sabotage>) -> Image {
    let sim = machine(Config { sabotage, ..config() });
    let fd = open(&sim, "f");
    write(&sim, fd, 0, b"bytes");
    ok(&sim, Request::Close { fd });
    left(&sim)
}

#[test]
fn what_is_in_a_closed_file_is_kept() {
    assert_eq!(closed(None).bytes("f"), Some(&b"bytes"[..]));
    let planted = closed(Some(Sabotage::CloseWithoutCommit));
    assert_eq!(planted.bytes("f"), Some(&b""[..]), "a planted mistake shows");
}

#[test]
fn a_sync_commits() {
    for sync in [|fd| Request::Fsync { fd }, |fd| Request::Fdatasync { fd }, |_| Request::Sync] {
        let sim = machine(config());
        let fd = open(&sim, "f");
        write(&sim, fd, 5000, b"bytes");
        ok(&sim, sync(fd));
        let image = left(&sim);
        assert_eq!(&image.bytes("f").unwrap()[5000..], b"bytes");
    }
}

#[test]
fn names_are_durable_when_they_are_answered() {
    let sim = machine(config());
    ok(&sim, Request::Mkdir { path: path("e"), mode: 0o755 });
    ok(&sim, Request::Rename { from: path("old"), to: path("e/new"), exchange: false });
    ok(&sim, Request::Link { from: path("e/new"), to: path("d/more") });
    ok(&sim, Request::Symlink { target: path("e"), path: path("s") });
    let now = Image::new().dir("d").dir("e").file("e/new", *b"old").link("e/new", "d/more");
    let image = left(&sim);
    assert_eq!(image.bytes("old"), None);
    assert!(now.nodes.iter().all(|(path, node)| image.nodes.get(path) == Some(node)));
    ok(&sim, Request::Unlink { path: path("d/more") });
    assert_eq!(left(&sim).bytes("d/more"), None);
    let fd = open(&sim, "e/new");
    ok(&sim, Request::SetLen { fd, len: 1 });
    assert_eq!(left(&sim).bytes("e/new"), Some(&b"o"[..]));
}

#[test]
fn a_planted_mistake_with_names_shows() {
    let sabotage = Some(Sabotage::NamesNotCommitted);
    let sim = machine(Config { sabotage, ..config() });
    ok(&sim, Request::Mkdir { path: path("e"), mode: 0o755 });
    assert!(!left(&sim).nodes.contains_key(std::path::Path::new("e")));
}

#[test]
fn a_crash_of_the_client_leaves_what_the_server_shows() {
    let sim = machine(config());
    let fd = open(&sim, "f");
    write(&sim, fd, 0, b"bytes");
    let of = |sim: &Sim, how| sim.cut(how, &mut First).image().unwrap().bytes("f").unwrap().len();
    assert_eq!(of(&sim, Death::Crash), 0, "the client alone has them");
    wait(&sim, 6);
    assert_eq!(of(&sim, Death::Crash), 5, "the server has them in memory");
    assert_eq!(of(&sim, Death::Cut), 0);
}

/// Whether what was written survives a server that restarts between WRITE and COMMIT.
fn survives_a_reboot(sabotage: Option<Sabotage>) -> bool {
    let sim = machine(Config { sabotage, ..config() });
    let fd = open(&sim, "f");
    write(&sim, fd, 0, &[7; 9000]);
    wait(&sim, 6);
    sim.reboot_server(&mut First).unwrap();
    ok(&sim, Request::Evict);
    assert_eq!(read(&sim, fd, 9000), [7; 9000], "what may be lost is still here");
    ok(&sim, Request::Fsync { fd });
    left(&sim).bytes("f") == Some(&[7; 9000])
}

#[test]
fn what_a_server_lost_is_sent_again() {
    assert!(survives_a_reboot(None));
    assert!(!survives_a_reboot(Some(Sabotage::VerifierIgnored)), "a planted mistake shows");
}

#[test]
fn it_is_sent_again_once() {
    let sim = machine(config());
    let fd = open(&sim, "f");
    write(&sim, fd, 0, b"bytes");
    wait(&sim, 6);
    sim.reboot_server(&mut First).unwrap();
    while sim.event().is_some() {}
    ok(&sim, Request::Fsync { fd });
    let mut asked = Vec::new();
    while let Some(event) = sim.event() {
        if let Kind::Asked { remote, .. } = event.kind {
            asked.push(remote);
        }
    }
    assert_eq!(asked, [Remote::Commit, Remote::Write, Remote::Commit]);
}

#[test]
fn an_open_file_without_names_outlives_the_server() {
    let sim = machine(config());
    let fd = open(&sim, "old");
    ok(&sim, Request::Unlink { path: path("old") });
    sim.reboot_server(&mut Last).unwrap();
    ok(&sim, Request::Evict);
    assert_eq!(read(&sim, fd, 10), b"old");
    let other = open(&sim, "other");
    write(&sim, other, 0, b"new");
    assert_eq!(read(&sim, fd, 10), b"old");
    ok(&sim, Request::Close { fd });
    ok(&sim, Request::Fsync { fd: other });
    assert_eq!(left(&sim).bytes("other"), Some(&b"new"[..]));
}

#[test]
fn a_killed_process_leaves_its_pages_to_the_server() {
    let sim = machine(config());
    let fd = open(&sim, "f");
    write(&sim, fd, 0, b"bytes");
    ok(&sim, Request::Exit);
    wait(&sim, 1);
    let image = sim.cut(Death::Crash, &mut First).image().unwrap();
    assert_eq!(image.bytes("f"), Some(&b"bytes"[..]));
}

#[test]
fn the_same_seed_gives_the_same() {
    let run = || {
        let sim = machine(config());
        let fd = open(&sim, "f");
        write(&sim, fd, 0, &[3; 5000]);
        wait(&sim, 6);
        sim.reboot_server(&mut First).unwrap();
        ok(&sim, Request::Close { fd });
        sim.digest()
    };
    assert_eq!(run(), run());
}
