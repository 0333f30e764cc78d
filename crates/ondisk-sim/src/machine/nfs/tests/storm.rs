//! Calls at random, and a server that restarts at any moment, in the midst of them too: after a
//! sync the server has on its drive what the client shows.

use super::{First, TASK, config, machine, path};
use crate::machine::choice::Seeded;
use crate::machine::config::{Config, Sabotage};
use crate::machine::ids::{Fd, Ns};
use crate::machine::message::{Open, Reply, Request};
use crate::machine::{Death, Errno, Sim};
use crate::ops::digest::mix2;

/// Makes a call; with `reboot` the server restarts that many steps later.
fn call(sim: &Sim, what: Request, reboot: Option<(u64, u64)>) -> Result<Reply, Errno> {
    let op = sim.submit(TASK, what);
    let mut steps = 0;
    loop {
        if let Some((_, seed)) = reboot.filter(|(at, _)| *at == steps) {
            sim.reboot_server(&mut Seeded::new(seed)).unwrap();
        }
        if let Some(answer) = sim.take(op) {
            return answer;
        }
        assert!(sim.turn(), "the call does not return");
        steps += 1;
    }
}

fn index(n: u64) -> usize {
    usize::try_from(n).unwrap()
}

/// What a seed asks next.
fn request(die: &mut impl FnMut(u64) -> u64, open: &[Fd]) -> Request {
    let names = ["a", "b", "d/a", "d/b"];
    let (name, other) = (path(names[index(die(4))]), path(names[index(die(4))]));
    let fd = match open.len() as u64 {
        0 => Fd(3),
        n => open[index(die(n))],
    };
    match die(12) {
        0 | 1 => {
            let how = Open { read: true, write: true, create: true, ..Open::default() };
            Request::Open { path: name, how, mode: 0o644 }
        }
        2..=5 => {
            let (at, len) = (die(20_000), 1 + die(9_000));
            let bytes = vec![u8::try_from(1 + die(200)).unwrap(); index(len)];
            Request::Write { fd, at: Some(at), bytes, sync: None }
        }
        6 => Request::SetLen { fd, len: die(20_000) },
        7 => Request::Rename { from: name, to: other, exchange: false },
        8 => Request::Unlink { path: name },
        9 => Request::Fsync { fd },
        10 => Request::Close { fd },
        _ => Request::Evict,
    }
}

/// Whether the drive has what is shown, after every sync.
fn holds(seed: u64, sabotage: Option<Sabotage>) -> bool {
    let sim = machine(Config { sabotage, ..config() });
    sim.watch(false);
    let mut state = seed;
    let mut die = |n: u64| {
        state = mix2(state, seed);
        state % n
    };
    let mut open = Vec::new();
    for _ in 0..60 {
        let what = request(&mut die, &open);
        let reboot = (die(4) == 0).then(|| (die(40), die(1 << 30)));
        let closes = if let Request::Close { fd } = what { Some(fd) } else { None };
        if let Ok(Reply::Fd(fd)) = call(&sim, what, reboot) {
            open.push(fd);
        }
        open.retain(|fd| Some(*fd) != closes);
        if die(3) == 0 {
            sim.run_until(sim.now() + Ns::MS.times(die(8_000)));
        }
        if die(10) == 0 {
            call(&sim, Request::Sync, None).unwrap();
            if sim.cut(Death::Cut, &mut First).image().unwrap() != sim.shown() {
                return false;
            }
        }
    }
    true
}

#[test]
fn after_a_sync_the_server_has_what_is_shown() {
    for seed in 0..60 {
        assert!(holds(seed, None), "seed {seed}");
    }
}

#[test]
fn a_planted_mistake_shows() {
    assert!((0..60).any(|seed| !holds(seed, Some(Sabotage::VerifierIgnored))));
}
