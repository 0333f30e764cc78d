//! Syncs that overlap: of several files at once, with calls made and other syncs returning while
//! they run. The crash states are those of the enumeration, and so are the members.

use ondisk_sim::record::{Recorder, Running, Synced};
use ondisk_sim::{At, Crash, Ino, Membership, Model, SyncKind};

use crate::brute::{self, Brute, Op, Spot, Tree};
use crate::world::{Draw, base, draw_op, live};
use crate::{contains, explored};

/// A life with syncs that overlap, as the enumeration has it and as the simulation does.
struct Life {
    brute: Brute,
    record: Recorder,
    running: Vec<(brute::Running, Running, SyncKind)>,
    /// After each step: where a cut comes behind it.
    places: Vec<At>,
    /// What was done, in words.
    told: Vec<String>,
}

impl Life {
    fn new(model: Model, base: &Tree) -> Self {
        let record = Recorder::new(&live(base).image());
        let places = vec![record.here()];
        let (brute, running, told) = (Brute::new(model, base), Vec::new(), Vec::new());
        Self { brute, record, running, places, told }
    }

    fn spot(&mut self, at: Spot) -> (Ino, String) {
        let dir = if at.0 == 0 { Ino::ROOT } else { self.record.lookup(Ino::ROOT, b"d").unwrap() };
        (dir, at.1.to_string())
    }

    fn file(&mut self, at: Spot) -> Ino {
        let (dir, name) = self.spot(at);
        self.record.lookup(dir, name.as_bytes()).unwrap()
    }

    /// One call that is made and returns, if this record knows it.
    fn call(&mut self, op: &Op) -> bool {
        match op {
            Op::Create(at) => {
                let (dir, name) = self.spot(*at);
                self.record.create(dir, name.as_bytes());
            }
            Op::Write { at, offset, len, byte } => {
                let file = self.file(*at);
                self.record.write(file, *offset as u64, &vec![*byte; *len]).unwrap();
            }
            Op::SetLen { at, len } => {
                let file = self.file(*at);
                self.record.set_len(file, *len as u64).unwrap();
            }
            Op::Rename(from, to) => {
                let (from, to) = (self.spot(*from), self.spot(*to));
                self.record.rename((from.0, from.1.as_bytes()), (to.0, to.1.as_bytes()));
            }
            Op::Remove(at) => {
                let (dir, name) = self.spot(*at);
                self.record.unlink(dir, name.as_bytes());
            }
            _ => return false,
        }
        self.brute.run(op);
        self.told.push(format!("{op:?}"));
        true
    }

    /// A sync is called, and runs.
    fn call_sync(&mut self, at: Spot, kind: SyncKind) {
        let file = self.file(at);
        let running = self.record.sync_called(Synced::File(file, kind));
        self.running.push((self.brute.call_sync(at), running, kind));
        self.told.push(format!("{kind:?} of {at:?} called"));
    }

    /// One of those that run returns.
    fn return_sync(&mut self, which: usize, model: Model, is_ok: bool) {
        let (in_brute, running, kind) = self.running.remove(which);
        if is_ok {
            let names = if kind == SyncKind::Data { model.datasync } else { model.sync };
            self.brute.return_sync(&in_brute, names);
            self.record.sync_returned(running, Ok(()));
        } else {
            self.brute.fail_sync(&in_brute);
            self.record.sync_returned(running, Err(std::io::ErrorKind::Other));
        }
        self.told.push(format!("{kind:?} number {which} of those running returned: {is_ok}"));
    }

    fn step(&mut self, draw: &mut Draw, model: Model, n: usize) {
        let there: Vec<Spot> = self.brute.names().keys().copied().collect();
        match draw.below(7) {
            0 | 1 if !there.is_empty() && self.running.len() < 3 => {
                let kind = draw.of(&[SyncKind::Data, SyncKind::All]);
                self.call_sync(draw.of(&there), kind);
            }
            2 | 3 if !self.running.is_empty() => {
                let which = draw.below(self.running.len());
                let is_ok = draw.below(5) > 0;
                self.return_sync(which, model, is_ok);
            }
            _ => while !self.call(&draw_op(draw, &self.brute, n)) {},
        }
        self.places.push(self.record.here());
    }
}

fn life(seed: u64, model: Model, steps: usize) -> Life {
    let (mut life, mut draw) = (Life::new(model, &base()), Draw(seed));
    for n in 0..steps {
        life.step(&mut draw, model, n);
    }
    life
}

#[test]
fn states_under_overlapping_syncs_are_those_of_the_enumeration() {
    let (mut compared, mut overlapped) = (0, 0);
    for seed in 0..80 {
        for model in Model::ALL {
            let mut life = life(seed, model, 3 + usize::try_from(seed % 6).unwrap());
            let crash = Crash::new(&model, life.record.history());
            let cuts = Membership::new(&model, life.record.history());
            let calls = &crash.history().calls;
            let overlap = |pair: &[ondisk_sim::Call]| {
                pair[0].returned.is_none_or(|returned| returned > pair[1].called)
            };
            overlapped += usize::from(calls.windows(2).any(overlap));
            for (n, at) in life.places.iter().enumerate() {
                let Some(expected) = life.brute.images(n, n) else { continue };
                if let Some(found) = explored(&crash, *at, seed, 2000) {
                    assert_eq!(found, expected, "{model}, seed {seed}, {n}: {:#?}", life.told);
                    compared += 1;
                }
                if model.fill == ondisk_sim::model::Fill::Zero {
                    for tree in &expected {
                        assert!(contains::is_member(&cuts, *at, tree), "{model}, seed {seed}, {n}");
                    }
                }
            }
        }
    }
    println!("{compared} cuts compared, {overlapped} histories with syncs that overlap");
    assert!(compared > 3000 && overlapped > 300);
}

/// The canary: a sync taken for one that was called when it returned raises too much.
#[test]
fn a_sync_that_covers_what_came_while_it_ran_is_noticed() {
    let model = ondisk_sim::model::EXT4;
    let notices = |seed: &u64| {
        let mut life = life(*seed, model, 8);
        let mut history = life.record.history();
        for call in history.calls.iter_mut().filter(|call| call.what.is_sync()) {
            if let Some(returned) = call.returned {
                call.called = returned;
            }
        }
        history.calls.sort_by_key(|call| call.called);
        let crash = Crash::new(&model, history);
        let end = life.places.len() - 1;
        let expected = life.brute.images(end, end);
        let found = explored(&crash, life.places[end], *seed, 2000);
        matches!((expected, found), (Some(expected), Some(found)) if expected != found)
    };
    assert!((0..200).any(|seed| notices(&seed)));
}
