//! In the whole machine, above ext4: what a power cut leaves of what was written, and when.

use super::*;
use crate::machine::Death;
use crate::machine::choice::{First, Last};
use crate::machine::message::{Failing, Open, Reply, Request};
use crate::machine::sim::Sim;
use crate::ops::Image;

fn machine(config: Config, base: &Image) -> Sim {
    Sim::new(config, base, 1).unwrap()
}

fn open(sim: &Sim, path: &str, create: bool) -> crate::machine::ids::Fd {
    let how = Open { read: true, write: true, create, ..Open::default() };
    match sim.call(TASK, Request::Open { path: path.as_bytes().into(), how, mode: 0o644 }).unwrap()
    {
        Reply::Fd(fd) => fd,
        other => panic!("{other:?}"),
    }
}

fn write(fd: crate::machine::ids::Fd, at: u64, bytes: &[u8]) -> Request {
    Request::Write { fd, at: Some(at), bytes: bytes.to_vec(), sync: None }
}

/// What a cut now leaves of a file, with the worst luck and the best.
fn left(sim: &Sim, path: &str) -> [Option<Vec<u8>>; 2] {
    let of = |mut media: crate::machine::media::Media| {
        let image = media.image().unwrap();
        image.files().find(|(at, _)| at.to_str() == Some(path)).map(|(_, bytes)| bytes.to_vec())
    };
    [of(sim.cut(Death::Cut, &mut First)), of(sim.cut(Death::Cut, &mut Last))]
}

#[test]
fn what_nobody_syncs_is_empty_for_half_a_minute() {
    let story = |config: Config, at: [u64; 4]| {
        let sim = machine(config, &Image::new());
        let fd = open(&sim, "f", true);
        sim.call(TASK, write(fd, 0, &[b'A'; 10_000])).unwrap();
        at.map(|at| {
            sim.run_until(Ns::S.times(at));
            left(&sim, "f")
        })
    };
    let whole = || Some(vec![b'A'; 10_000]);
    let twice = |it: Option<Vec<u8>>| [it.clone(), it];
    let empty = || twice(Some(vec![]));
    let warm = story(Config::default(), [1, 7, 29, 45]);
    assert_eq!(warm, [twice(None), empty(), empty(), twice(whole())]);
    // Written at the first wake, named by the commit after it.
    let fresh = story(fresh(), [1, 4, 7, 12]);
    assert_eq!(fresh, [twice(None), twice(None), empty(), twice(whole())]);
}

#[test]
fn a_failed_sync_loses_what_a_second_one_calls_durable() {
    let sim = machine(Config::default(), &Image::new().file("p", *b"a"));
    let fd = open(&sim, "p", false);
    sim.call(TASK, write(fd, 0, b"b")).unwrap();
    let (path, call) = (b"p".as_slice().into(), Failing::Fdatasync);
    sim.call(TASK, Request::Fail { path, call, errno: Errno::Io }).unwrap();
    let sync = || sim.call(TASK, Request::Fdatasync { fd });
    let read = || sim.call(TASK, Request::Read { fd, at: Some(0), len: 9 });
    assert_eq!((sync(), sync()), (Err(Errno::Io), Ok(Reply::Ok)));
    assert_eq!(read(), Ok(Reply::Bytes(b"b".to_vec())));
    assert_eq!(left(&sim, "p"), [Some(b"a".to_vec()), Some(b"a".to_vec())]);
    sim.call(TASK, Request::Evict).unwrap();
    assert_eq!(read(), Ok(Reply::Bytes(b"a".to_vec())));
}

#[test]
fn a_write_that_syncs_itself_brings_its_own_range() {
    let base = Image::new().file("f", vec![b'o'; 8192]);
    let sim = machine(Config::default(), &base);
    let fd = open(&sim, "f", false);
    sim.call(TASK, write(fd, 0, &[b'x'; 4096])).unwrap();
    let bytes = vec![b'y'; 4096];
    let sync = Some(Sync::Data);
    sim.call(TASK, Request::Write { fd, at: Some(4096), bytes, sync }).unwrap();
    let right = [vec![b'o'; 4096], vec![b'y'; 4096]].concat();
    assert_eq!(left(&sim, "f"), [Some(right.clone()), Some(right)]);
}

#[test]
fn bytes_of_a_dead_machine_behind_the_end_do_not_come_into_the_next_file() {
    let base = Image::new().file("l", vec![b'A'; 100]);
    let sim = machine(Config::default(), &base);
    let fd = open(&sim, "l", false);
    sim.call(TASK, write(fd, 100, &[b'B'; 100])).unwrap();
    sim.call(TASK, Request::SetLen { fd, len: 50 }).unwrap();
    sim.call(TASK, Request::Fsync { fd }).unwrap();
    let sim = sim.cut(Death::Cut, &mut Last).mount(2).unwrap();
    let fd = open(&sim, "l", false);
    sim.call(TASK, Request::SetLen { fd, len: 300 }).unwrap();
    sim.call(TASK, Request::Fsync { fd }).unwrap();
    let right = [vec![b'A'; 50], vec![0; 250]].concat();
    assert_eq!(left(&sim, "l"), [Some(right.clone()), Some(right)]);
}
