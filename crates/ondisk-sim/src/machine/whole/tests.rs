//! A machine that uses again at each step what nobody holds is like one that never does.

use super::*;
use crate::machine::Death;
use crate::machine::choice::{First, Last};
use crate::machine::config::{DataMode, Ext4Options};
use crate::machine::digest::mix2;
use crate::machine::ids::{Fd, TaskId};
use crate::machine::message::Open;
use crate::ops::Image;

const TASK: TaskId = TaskId(1);

/// Runs the machine until a call returns.
fn call(machine: &mut Machine, swept: bool, what: Request) -> Result<Reply, Errno> {
    let op = machine.submit(EventId(0), TASK, what);
    loop {
        if let Some(answer) = machine.take(op) {
            return answer;
        }
        assert!(machine.step(), "no answer will ever come");
        if swept {
            machine.sweep();
        }
    }
}

/// What a life read, and what the luckiest and the unluckiest cut left of it now and then.
fn live(mount: Mount, swept: bool) -> (Vec<Vec<u8>>, Vec<[Digest; 2]>) {
    let mut config = Config { mount, ..Config::default() };
    (config.drive.blocks, config.drive.pages, config.drive.cache_blocks) = (1024, 16, 64);
    let media = Media::format(config, &Image::new()).unwrap();
    let mut machine = Machine::boot(media, 3).unwrap();
    while !machine.is_mounted() {
        machine.step();
    }
    let (mut read, mut left) = (Vec::new(), Vec::new());
    for n in 0..120_u64 {
        let draw = |what: u64, below: u64| (mix2(n, what) >> 20) % below;
        let path = format!("f{}", draw(0, 5)).into_bytes().into();
        let how = Open { read: true, write: true, create: true, ..Open::default() };
        let mut call = |what| call(&mut machine, swept, what);
        let Reply::Fd(fd) = call(Request::Open { path, how, mode: 0o644 }).unwrap() else {
            panic!("a descriptor")
        };
        work(&mut call, fd, n, &draw, &mut read);
        call(Request::Close { fd }).unwrap();
        if n % 8 == 0 {
            let shot = machine.shot();
            let lucky = shot.cut(Death::Cut, &mut Last).digest();
            left.push([lucky, shot.cut(Death::Cut, &mut First).digest()]);
        }
    }
    (read, left)
}

/// Some calls on one file.
fn work(
    call: &mut impl FnMut(Request) -> Result<Reply, Errno>,
    fd: Fd,
    n: u64,
    draw: &impl Fn(u64, u64) -> u64,
    read: &mut Vec<Vec<u8>>,
) {
    for m in 0..3 {
        let bytes: Vec<u8> =
            (0..draw(m + 1, 6000)).map(|at| (at ^ (n + m)).to_le_bytes()[0]).collect();
        call(Request::Write { fd, at: Some(draw(m + 5, 20_000)), bytes, sync: None }).unwrap();
    }
    match draw(9, 6) {
        0 => drop(call(Request::SetLen { fd, len: draw(10, 9000) }).unwrap()),
        1..=3 => drop(call(Request::Fsync { fd }).unwrap()),
        4 => drop(call(Request::Sync).unwrap()),
        _ => drop(call(Request::Evict).unwrap()),
    }
    if let Reply::Bytes(bytes) = call(Request::Read { fd, at: Some(0), len: 30_000 }).unwrap() {
        read.push(bytes);
    }
}

#[test]
fn what_nobody_holds_is_used_again_and_nothing_else() {
    let ext4 = |data| {
        let options = Ext4Options { data, journal: 64, blocks: 1024, ..Ext4Options::default() };
        Mount::Ext4(options)
    };
    for mount in [ext4(DataMode::Ordered), ext4(DataMode::Journal), Mount::Nfs] {
        assert!(live(mount.clone(), false) == live(mount.clone(), true), "{mount:?}");
    }
}
