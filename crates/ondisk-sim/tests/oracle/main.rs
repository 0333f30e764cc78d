//! The crash states of small histories against an enumeration by brute force: the same sets.
//!
//! Recovery reads in an order of its own, in pieces, before it reads everything: whatever it asks
//! first, the states at the end must be the same, and hold what it was told on the way.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod brute;
mod contains;
mod lives;
mod mutants;
mod overlap;
mod world;

use std::collections::{BTreeMap, BTreeSet};

use brute::{Brief, Spot, runs};
use ondisk_sim::model::{
    BTRFS, EXT4, EXT4_DIOREAD_LOCK, EXT4_JOURNAL, EXT4_NODELALLOC, EXT4_WRITEBACK, POSIX, STRICT,
    XFS,
};
use ondisk_sim::{At, Budget, Crash, Model, Tally, Where};
use world::{Draw, history, look_around, path, tree};

/// Pairs of rows: whatever the first allows the second allows too.
const LATTICE: [(Model, Model); 8] = [
    (STRICT, EXT4_JOURNAL),
    (EXT4_JOURNAL, EXT4_NODELALLOC),
    (EXT4_NODELALLOC, EXT4_DIOREAD_LOCK),
    (EXT4_DIOREAD_LOCK, EXT4),
    (EXT4, EXT4_WRITEBACK),
    (EXT4_WRITEBACK, POSIX),
    (XFS, POSIX),
    (BTRFS, POSIX),
];

/// All states at one place, or `None` when they are too many.
fn explored(crash: &Crash, at: At, seed: u64, limit: u32) -> Option<BTreeSet<Brief>> {
    let (mut found, mut ids) = (BTreeSet::new(), BTreeMap::new());
    let budget = Budget::per_cut(limit);
    let report = crash.at(at).explore(budget, &Tally::new(), &mut |fs| {
        let told = look_around(fs, &mut Draw(seed));
        let tree = tree(fs);
        for (spot, offset, bytes) in told {
            let whole = &tree[&spot];
            let from = offset.min(whole.len());
            let to = (from + bytes.len()).min(whole.len());
            let junk = |byte: &u8| if *byte >= 0x80 { 0xFF } else { *byte };
            let told: Vec<u8> = bytes.iter().map(junk).collect();
            assert_eq!(told, whole[from..to].iter().map(junk).collect::<Vec<_>>());
        }
        let tree: Brief = tree.iter().map(|(spot, bytes)| (*spot, runs(bytes))).collect();
        assert_eq!(
            ids.entry(fs.id()).or_insert_with(|| tree.clone()),
            &tree,
            "one number, one state"
        );
        found.insert(tree);
        Ok(())
    });
    assert_eq!(ids.len(), found.len(), "one state, one number");
    assert!(report.failure.is_none(), "{report:?}");
    report.is_exhausted().then_some(found)
}

fn compare(seeds: std::ops::Range<u64>, models: &[Model]) -> (usize, usize) {
    let (mut compared, mut images) = (0, 0);
    for seed in seeds {
        for model in models {
            let (ops, brute, fs) = history(seed, *model, 2 + usize::try_from(seed % 7).unwrap());
            let crash = Crash::new(model, fs.history());
            for (made, returned) in (0..=ops.len()).flat_map(|n| [(n, n), (n + 1, n)]) {
                if made > ops.len() {
                    continue;
                }
                let Some(expected) = brute.images(made, returned) else { continue };
                let at = At(u32::try_from(made + returned + 1).unwrap());
                let Some(found) = explored(&crash, at, seed, 3000) else { continue };
                compared += 1;
                images += expected.len();
                if found != expected {
                    let extra: Vec<_> = found.difference(&expected).take(5).map(brief).collect();
                    let missing: Vec<_> = expected.difference(&found).take(5).map(brief).collect();
                    panic!(
                        "seed {seed}, {model}, {made} calls made, {returned} returned: {ops:?}\n\
                         not allowed: {extra:#?}\nnot found: {missing:#?}"
                    );
                }
            }
        }
    }
    (compared, images)
}

/// A tree in words.
fn brief(tree: &Brief) -> String {
    let file = |(spot, runs): (&Spot, &Vec<(u8, usize)>)| {
        let runs: Vec<String> =
            runs.iter().map(|(byte, len)| format!("{:?}*{len}", char::from(*byte))).collect();
        format!("{}: {}", path(*spot).display(), runs.join(" "))
    };
    tree.iter().map(file).collect::<Vec<_>>().join("; ")
}

#[test]
fn crash_states_are_those_of_the_enumeration() {
    let (compared, images) = compare(0..120, &Model::ALL);
    println!("{compared} cuts compared, {images} images");
    assert!(compared > 6000 && images > 50_000, "{compared} cuts, {images} images");
}

#[test]
fn a_stronger_model_allows_less() {
    let mut compared = BTreeMap::from(LATTICE.map(|(strong, _)| (strong.name, 0)));
    for seed in 1000..1100 {
        let calls = 2 + usize::try_from(seed % 5).unwrap();
        let sets = |model: Model| {
            let (_, _, fs) = history(seed, model, calls);
            let crash = Crash::new(&model, fs.history());
            let places = crash.places(Where::Everywhere);
            places.into_iter().map(|at| explored(&crash, at, seed, 300)).collect::<Vec<_>>()
        };
        let all: BTreeMap<&str, _> =
            Model::ALL.into_iter().map(|model| (model.name, sets(model))).collect();
        for (strong, weak) in LATTICE {
            for (at, (narrow, wide)) in all[strong.name].iter().zip(&all[weak.name]).enumerate() {
                if let (Some(narrow), Some(wide)) = (narrow, wide) {
                    let (ops, ..) = history(seed, strong, calls);
                    assert!(
                        narrow.is_subset(wide),
                        "seed {seed}, {strong} and {weak}, place {at}: {ops:?}"
                    );
                    *compared.get_mut(strong.name).unwrap() += 1;
                }
            }
        }
    }
    println!("cuts compared, by the stronger model: {compared:?}");
    assert!(compared.values().all(|cuts| *cuts > 500), "{compared:?}");
}
