//! Two lives: recovery writes on a crash state and is cut again. The states of the third life are
//! those of the enumeration, run on each image that it finds after the first cut.

use std::collections::BTreeSet;

use ondisk_sim::model::{Append, BTRFS, EXT4, Fill, POSIX, Rename, STRICT, XFS};
use ondisk_sim::{Budget, Crash, CrashFs, MemFs, Model, Tally, Where};

use crate::brute::{Brief, Brute, Op, Tree, runs};
use crate::world::{Draw, SPOTS, draw_op, history, look_around, perform, tree};

/// The rows, but for what an image does not show: whether a block of zeros was ever written, and
/// whether two names are one file.
fn models() -> [Model; 5] {
    [
        Model { fill: Fill::Zero, rename: Rename::One, ..POSIX },
        Model { append: Append::AsLen, ..EXT4 },
        STRICT,
        XFS,
        Model { rename: Rename::One, ..BTRFS },
    ]
}

/// Whether a call can be made where these names are, and does something.
fn makes_sense(op: &Op, brute: &Brute) -> bool {
    let is = |at| brute.names().contains_key(at);
    match op {
        Op::Create(at) => !is(at),
        Op::SetLen { at, len } => is(at) && brute.len(*at) != *len,
        Op::Write { at, .. }
        | Op::WriteDurable { at, .. }
        | Op::FailedDurable { at, .. }
        | Op::Allocate { at, .. }
        | Op::Remove(at)
        | Op::Sync(at)
        | Op::SyncData(at)
        | Op::FailedSync(at) => is(at),
        Op::Rename(from, to) => is(from) && from != to,
        Op::Evict | Op::Link(..) => false,
        Op::SyncDir(_) => true,
    }
}

fn makes_sense_on(op: &Op, fs: &MemFs) -> bool {
    let is = |at: &_| fs.look(crate::world::path(*at)).is_some();
    match op {
        Op::Create(at) => !is(at),
        Op::SetLen { at, len } => is(at) && fs.read(crate::world::path(*at)).unwrap().len() != *len,
        Op::Write { at, .. }
        | Op::WriteDurable { at, .. }
        | Op::FailedDurable { at, .. }
        | Op::Allocate { at, .. }
        | Op::Remove(at)
        | Op::Sync(at)
        | Op::SyncData(at)
        | Op::FailedSync(at) => is(at),
        Op::Rename(from, to) => is(from) && from != to,
        Op::Evict | Op::Link(..) => false,
        Op::SyncDir(_) => true,
    }
}

fn bytes(tree: &Brief) -> Tree {
    let unfold = |runs: &Vec<(u8, usize)>| {
        runs.iter().flat_map(|(byte, len)| std::iter::repeat_n(*byte, *len)).collect()
    };
    tree.iter().map(|(spot, runs)| (*spot, unfold(runs))).collect()
}

/// Whether the last call of the second life has returned when it is cut.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Last {
    Returned,
    Running,
}

/// What the enumeration says; `None` when there is too much of it.
fn expected(
    model: Model,
    first: &BTreeSet<Brief>,
    ops: &[Op],
    last: Last,
) -> Option<BTreeSet<Brief>> {
    let mut all = BTreeSet::new();
    for image in first {
        let mut brute = Brute::new(model, &bytes(image));
        let mut made = 0;
        for op in ops {
            if makes_sense(op, &brute) {
                brute.run(op);
                made += 1;
            }
        }
        let returned = if last == Last::Running && made > 0 { made - 1 } else { made };
        all.extend(brute.images(made, returned)?);
        if all.len() > 2000 {
            return None;
        }
    }
    Some(all)
}

/// What the simulation says; `None` when it did not look at everything.
fn found(model: Model, fs: &MemFs, ops: &[Op], last: Last, seed: u64) -> Option<BTreeSet<Brief>> {
    let (tally, mut images, mut whole) = (Tally::new(), BTreeSet::new(), true);
    let second = |fs: &CrashFs| {
        look_around(fs, &mut Draw(seed));
        for op in ops {
            if makes_sense_on(op, fs) {
                perform(fs, op);
            }
        }
    };
    let budget = Budget::per_cut(1500);
    let crash = Crash::new(&model, fs.history());
    let report = crash.explore(Where::AtTheEnd, budget, &tally, &mut |fs| {
        second(fs);
        let crash = Crash::of_life(&model, fs);
        let end = match (last, crash.history().calls.last()) {
            (Last::Running, Some(call)) => call.returned.unwrap(),
            _ => crash.history().end,
        };
        let report = crash.at(end).explore(budget, &tally, &mut |fs| {
            look_around(fs, &mut Draw(seed + 1));
            images.insert(tree(fs).iter().map(|(at, bytes)| (*at, runs(bytes))).collect());
            Ok(())
        });
        assert!(report.failure.is_none(), "{report:?}");
        whole &= report.is_exhausted();
        Ok(())
    });
    assert!(report.failure.is_none(), "{report:?}");
    (whole && report.is_exhausted()).then_some(images)
}

#[test]
fn a_second_life_is_cut_as_the_first() {
    let (mut compared, mut images) = (0, 0);
    for seed in 0..500 {
        for model in models() {
            let (ops, brute, fs) = history(seed, model, 1 + usize::try_from(seed % 3).unwrap());
            if ops.iter().any(|op| matches!(op, Op::Link(..))) {
                continue;
            }
            let Some(first) = brute.images(ops.len(), ops.len()) else { continue };
            if first.len() > 60 {
                continue;
            }
            let mut draw = Draw(seed + 5000);
            let mut then = Brute::new(model, &SPOTS.map(|at| (at, vec![b'x'; 900])).into());
            let mut more = Vec::new();
            for n in 0..1 + draw.below(3) {
                let op = draw_op(&mut draw, &then, 8 - n);
                then.run(&op);
                more.push(op);
            }
            for last in [Last::Returned, Last::Running] {
                let Some(expected) = expected(model, &first, &more, last) else { continue };
                let Some(found) = found(model, &fs, &more, last, seed) else { continue };
                let extra: Vec<_> = found.difference(&expected).take(4).map(super::brief).collect();
                let missing: Vec<_> =
                    expected.difference(&found).take(4).map(super::brief).collect();
                assert!(
                    extra.is_empty() && missing.is_empty(),
                    "seed {seed}, {model}: {ops:?} then {more:?}\nnot allowed: {extra:#?}\n\
                     not found: {missing:#?}"
                );
                compared += 1;
                images += found.len();
            }
        }
    }
    println!("{compared} second lives compared, {images} images");
    assert!(compared > 2000, "{compared} second lives");
}
