//! Membership against the enumeration: every image that a cut may leave is a member, and no other
//! image is, however near it comes.

use std::collections::BTreeSet;

use ondisk_sim::model::{
    Append, BTRFS, EXT4, Fill, Len, Names, Needs, POSIX, Raise, RaiseDir, Rename, Replace, STRICT,
    Tear, XFS,
};
use ondisk_sim::{At, Budget, Crash, Image, Member, Membership, Model, Tally};

use crate::brute::{Brief, Brute, Op, Runs, Spot, runs};
use crate::world::{Draw, SPOTS, base, history, path};

/// Images with these names and bytes: one for each way in which files of equal bytes may be one.
fn images(tree: &Brief) -> Vec<Image> {
    let mut plain = Image::new().dir("d");
    for (spot, parts) in tree {
        plain = plain.file(path(*spot), bytes(parts));
    }
    let spots: Vec<&Spot> = tree.keys().collect();
    let mut ways: Vec<Vec<Vec<&Spot>>> = vec![Vec::new()];
    for spot in spots {
        let mut more = Vec::new();
        for way in &ways {
            for at in 0..=way.len() {
                let mut next = way.clone();
                match next.get_mut(at) {
                    Some(group) if tree[group[0]] == tree[spot] => group.push(spot),
                    Some(_) => continue,
                    None => next.push(vec![spot]),
                }
                more.push(next);
            }
        }
        ways = more;
    }
    let join = |way: Vec<Vec<&Spot>>| {
        let mut image = plain.clone();
        for group in way {
            image.join(group.into_iter().map(|spot| path(*spot)).collect());
        }
        image
    };
    ways.into_iter().map(join).collect()
}

pub(crate) fn is_member(cuts: &Membership, at: At, tree: &Brief) -> bool {
    images(tree).iter().any(|image| match cuts.at(at).contains(image) {
        Member::Witness(_) => true,
        Member::Refuted(why) => {
            assert!(!why.to_string().is_empty());
            false
        }
        Member::Unknown => panic!("a history of a few calls is too large: {tree:?}"),
    })
}

/// Images near another: a byte, a length, a name changed.
fn near(tree: &Brief, draw: &mut Draw) -> Vec<Brief> {
    let mut found = Vec::new();
    let spots: Vec<Spot> = tree.keys().copied().collect();
    if let Some(spot) = (!spots.is_empty()).then(|| draw.of(&spots)) {
        let (mut gone, mut moved, mut longer, mut flipped) =
            (tree.clone(), tree.clone(), tree.clone(), tree.clone());
        let runs = gone.remove(&spot).unwrap();
        moved.remove(&spot);
        moved.insert(draw.of(&SPOTS), runs);
        longer.get_mut(&spot).unwrap().push((b'Z', 1));
        let runs = flipped.get_mut(&spot).unwrap();
        if let Some(at) = (!runs.is_empty()).then(|| draw.below(runs.len())) {
            runs[at].0 ^= 1;
        }
        found.extend([gone, moved, longer, flipped]);
    }
    let mut more = tree.clone();
    more.entry(draw.of(&SPOTS)).or_default();
    found.push(more);
    // Of two neighbouring runs with one byte, one.
    let joined =
        |near: Brief| near.into_iter().map(|(spot, parts)| (spot, runs(&bytes(&parts)))).collect();
    found.into_iter().map(joined).collect()
}

fn bytes(parts: &Runs) -> Vec<u8> {
    parts.iter().map(|(byte, len)| vec![*byte; *len]).collect::<Vec<_>>().concat()
}

/// The places of a history: calls made, calls returned.
fn places(calls: usize) -> impl Iterator<Item = (usize, usize)> {
    let all = (0..=calls).flat_map(|n| [(n, n), (n + 1, n)]);
    all.filter(move |(made, _)| *made <= calls)
}

fn at(made: usize, returned: usize) -> At {
    At(u32::try_from(made + returned + 1).unwrap())
}

/// Images of all cuts of the same calls in the weakest world, and images near them.
fn pool(ops: &[Op], draw: &mut Draw) -> BTreeSet<Brief> {
    let mut weakest = Brute::new(Model { fill: Fill::Zero, ..POSIX }, &base());
    ops.iter().for_each(|op| weakest.run(op));
    let mut all: Vec<Brief> = Vec::new();
    for (made, returned) in places(ops.len()) {
        all.extend(weakest.images(made, returned).into_iter().flatten());
    }
    let mut pool = BTreeSet::new();
    while !all.is_empty() && pool.len() < 60 {
        let tree = all.swap_remove(draw.below(all.len()));
        if draw.below(4) == 0 {
            pool.extend(near(&tree, draw));
        }
        pool.insert(tree);
    }
    pool
}

#[derive(Default)]
struct Compared {
    members: usize,
    others: usize,
}

/// Compares membership under `asked` with the enumeration under `row`; gives the first difference.
fn compare(seed: u64, row: Model, asked: Model, all: &mut Compared) -> Option<String> {
    let (ops, brute, fs) = history(seed, row, 2 + usize::try_from(seed % 6).unwrap());
    let cuts = Membership::new(&asked, fs.history());
    let mut draw = Draw(seed);
    let pool = pool(&ops, &mut draw);
    for (made, returned) in places(ops.len()) {
        let Some(expected) = brute.images(made, returned) else { continue };
        let at = at(made, returned);
        let wrong = |what: &str, tree: &Brief| {
            let tree = crate::brief(tree);
            format!("seed {seed}, {row}, {made} made, {returned} returned: {what}: {tree} {ops:#?}")
        };
        for tree in &expected {
            all.members += 1;
            if !is_member(&cuts, at, tree) {
                return Some(wrong("not a member", tree));
            }
        }
        for tree in pool.difference(&expected) {
            all.others += 1;
            if is_member(&cuts, at, tree) {
                return Some(wrong("a member", tree));
            }
        }
    }
    None
}

/// A row without former bytes, which match everything.
fn exact(row: Model) -> Model {
    let fill = if row.fill == Fill::ZeroOrJunk { Fill::Zero } else { row.fill };
    Model { fill, ..row }
}

#[test]
fn members_are_the_images_of_the_enumeration_and_no_others() {
    let mut all = Compared::default();
    for seed in 0..70 {
        for row in Model::ALL.map(exact) {
            if let Some(wrong) = compare(seed, row, row, &mut all) {
                panic!("{wrong}");
            }
        }
    }
    println!("{} members, {} others", all.members, all.others);
    assert!(all.members > 20_000 && all.others > 50_000);
}

#[test]
fn states_that_recovery_sees_are_members() {
    let mut states = 0;
    for seed in 0..60 {
        for row in Model::ALL {
            let (_, _, fs) = history(seed, row, 2 + usize::try_from(seed % 7).unwrap());
            let crash = Crash::new(&row, fs.history());
            let cuts = Membership::from(&crash);
            for at in crash.history().cuts_everywhere() {
                let budget = Budget::per_cut(60).seeded(seed);
                crash.at(at).explore(budget, &Tally::new(), &mut |fs| {
                    let found = cuts.at(at).contains(&fs.image());
                    assert!(found.is_witness(), "{row}, seed {seed}, {at:?}: {found:?}");
                    states += 1;
                    Ok(())
                });
            }
        }
    }
    println!("{states} states");
    assert!(states > 20_000);
}

/// Some history tells membership under a changed row from the enumeration under the row.
fn is_caught(row: Model, mutant: Model) -> Option<u64> {
    (0..1500).find(|seed| compare(*seed, row, mutant, &mut Compared::default()).is_some())
}

#[test]
fn a_rule_that_is_switched_off_is_noticed() {
    let posix = exact(POSIX);
    let mutants = [
        (posix, Model { names: Names::OneChain, ..posix }),
        (posix, Model { len: Len::Float(Needs::Last), ..posix }),
        (posix, Model { rename: Rename::One, ..posix }),
        (posix, Model { sync_dir: RaiseDir::AllBefore, ..posix }),
        (EXT4, Model { names: Names::PerName, ..EXT4 }),
        (EXT4, Model { len: Len::Float(Needs::All), ..EXT4 }),
        (EXT4, Model { append: Append::AsLen, ..EXT4 }),
        (EXT4, Model { fill: Fill::ZeroOrJunk, ..EXT4 }),
        (EXT4, Model { tear: Tear::Never, ..EXT4 }),
        (EXT4, Model { sync: Raise::Nothing, ..EXT4 }),
        (EXT4, Model { datasync: Raise::ToLastNameOrLen, ..EXT4 }),
        (EXT4, Model { sync_dir: RaiseDir::NamesIn, ..EXT4 }),
        (EXT4, Model { replace: Replace::Nothing, ..EXT4 }),
        (EXT4, Model { replace: Replace::DataFirst, ..EXT4 }),
        (STRICT, Model { names: Names::OneChain, ..STRICT }),
        (STRICT, Model { tear: Tear::Sector, ..STRICT }),
        (STRICT, Model { sync_dir: RaiseDir::NamesIn, ..STRICT }),
        (XFS, Model { len: Len::Float(Needs::Nothing), ..XFS }),
        (XFS, Model { sync_dir: RaiseDir::AllNames, ..XFS }),
        (BTRFS, Model { names: Names::OneChain, ..BTRFS }),
        (BTRFS, Model { len: Len::Float(Needs::Nothing), ..BTRFS }),
        (BTRFS, Model { sync: Raise::Nothing, ..BTRFS }),
    ];
    for (row, mutant) in mutants {
        let caught = is_caught(row, mutant);
        assert!(caught.is_some(), "{mutant:?} passes for {row}");
    }
}
