//! A merge says what the newest source says, in either direction, within any bounds.

use std::ops::Bound;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::engine::Direction::{Backward, Forward};
use crate::lsm::table::tests::{
    Listed, Model, bound, is_range, model, options, shelf, site, slice, write,
};
use crate::lsm::table::{Table, TableOptions, file_name};

/// A source of a merge: one table, or its entries cut into several that do not overlap.
fn tables(site: &Site, number: u64, model: &Model, pieces: usize) -> Arc<[Arc<Table>]> {
    let entries: Vec<_> = model.clone().into_iter().collect();
    let cut = entries.chunks(entries.len().div_ceil(pieces).max(1));
    cut.zip(number * 10..)
        .map(|(entries, number)| {
            let options = TableOptions { block: 100, ..TableOptions::of(site) };
            let meta = write(site, number, options, &entries.iter().cloned().collect());
            Table::open(site, &meta).unwrap()
        })
        .collect()
}

fn collect(mut walk: MergeWalk) -> Listed {
    let mut all = Listed::new();
    while walk.advance().unwrap() {
        assert_eq!(walk.keep(), *walk.value());
        let value = (!walk.is_tombstone()).then(|| walk.value().to_vec());
        all.push((walk.key().to_vec(), (walk.lsn(), value)));
    }
    assert!(!walk.advance().unwrap(), "the end is the end");
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn the_newest_source_speaks(
        models in prop::collection::vec((model(), 1_usize..4), 0..6),
        bounds in prop::collection::vec((bound(), bound()), 6),
    ) {
        let fs = shelf();
        let site = site(&fs, 1 << 16);
        let sources: Vec<_> = models
            .iter()
            .zip(1..)
            .map(|((model, pieces), number)| tables(&site, number, model, *pieces))
            .collect();
        let mut merged = Model::new();
        for (model, _) in models.iter().rev() {
            merged.extend(model.clone()); // young ones come last, and win
        }
        let mut oldest = Model::new();
        for (model, _) in &models {
            oldest.extend(model.clone());
        }
        for (lower, upper) in bounds.iter().chain(&[(Bound::Unbounded, Bound::Unbounded)]) {
            if !is_range(lower, upper) {
                continue;
            }
            let merge = |direction, tombstones| {
                let walk = |run: &Arc<[_]>| RunWalk::new(Arc::clone(run), slice(lower), slice(upper), direction);
                MergeWalk::new(sources.iter().map(walk).collect(), direction, tombstones)
            };
            let range = |model: &Model| -> Vec<_> {
                let range = model.range((lower.clone(), upper.clone()));
                range.map(|(key, entry)| (key.clone(), entry.clone())).collect()
            };
            let mut expected = range(&merged);
            prop_assert_eq!(&collect(merge(Forward, Tombstones::Shown)), &expected);
            prop_assert_eq!(collect(merge(Forward, Tombstones::Shown).won_by(Winner::Last)), range(&oldest));
            expected.reverse();
            prop_assert_eq!(&collect(merge(Backward, Tombstones::Shown)), &expected);
            expected.retain(|(_, (_, value))| value.is_some());
            prop_assert_eq!(&collect(merge(Backward, Tombstones::Hidden)), &expected);
            expected.reverse();
            prop_assert_eq!(&collect(merge(Forward, Tombstones::Hidden)), &expected);
        }
    }

    #[test]
    fn behind_damage_a_merge_goes_on(
        models in prop::collection::vec(model(), 1..4), options in options(),
        at in any::<prop::sample::Index>(), direction in prop_oneof![Just(Forward), Just(Backward)],
    ) {
        prop_assume!(!models[0].is_empty()); // no table is
        let fs = shelf();
        let site = site(&fs, 0);
        let metas: Vec<_> =
            models.iter().zip(1..).map(|(model, number)| write(&site, number, options, model)).collect();
        let path = site.dir.join(file_name(1));
        let file = site.fs.open(&path, ondisk_fs::Access::ReadWrite).unwrap();
        let at = at.index(usize::try_from(metas[0].len).unwrap());
        file.write_all_at(&[0xA5, 0x5A], at as u64).unwrap();
        let walks = metas.iter().map(|meta| {
            let table = Table::open(&site, meta).unwrap();
            RunWalk::one(&table, Bound::Unbounded, Bound::Unbounded, direction)
        });
        let mut walk = MergeWalk::new(walks.collect(), direction, Tombstones::Shown);
        let (mut errors, mut seen) = (0, Vec::<Vec<u8>>::new());
        loop {
            match walk.advance() {
                Ok(true) => {
                    let key = walk.key();
                    let value = (!walk.is_tombstone()).then(|| walk.value().to_vec());
                    let newest = models.iter().find_map(|model| model.get(key));
                    prop_assert_eq!(newest, Some(&(walk.lsn(), value)), "an older version");
                    seen.push(key.to_vec());
                }
                Ok(false) => break,
                Err(error) => {
                    prop_assert!(error.is_damage(), "{error}");
                    errors += 1;
                    prop_assert!(errors < 10, "one place is damaged, or two blocks");
                }
            }
        }
        // What the others hold outside of what the damaged table may have held was given out.
        let (first, last) = (models[0].keys().next(), models[0].keys().next_back());
        let clear = |key: &&Vec<u8>| first.is_some_and(|it| *key < it) || last.is_some_and(|it| *key > it);
        let mut others = models[1..].iter().flat_map(Model::keys).filter(clear);
        prop_assert!(others.all(|key| seen.contains(key)));
        let (forward, backward) = (seen.is_sorted_by(|a, b| a < b), seen.is_sorted_by(|a, b| a > b));
        let ordered = if direction == Forward { forward } else { backward };
        prop_assert!(ordered);
        if errors == 0 {
            prop_assert!(models[0].keys().all(|key| seen.contains(key)));
        }
    }
}
