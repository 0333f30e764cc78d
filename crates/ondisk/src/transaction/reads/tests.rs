use std::collections::BTreeSet;
use std::ops::Bound;

use proptest::prelude::*;

use super::*;
use crate::young::above;

fn covers(reads: &Reads, keyspace: u32, key: &[u8]) -> bool {
    let within = |it: &Stretch| above(key, it.lower()) && within(key, it.upper());
    reads.keys(keyspace).any(|read| read == key) || reads.stretches(keyspace).any(within)
}

fn bound() -> impl Strategy<Value = Bound<Box<[u8]>>> {
    let key = || prop::collection::vec(0_u8..6, 1..4).prop_map(Box::from);
    prop_oneof![
        1 => Just(Bound::Unbounded),
        6 => key().prop_map(Bound::Included),
        6 => key().prop_map(Bound::Excluded),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever was read stays read, however little memory there is; and memory is bounded.
    #[test]
    fn nothing_that_was_read_is_forgotten(
        keys in prop::collection::vec((0_u32..2, prop::collection::vec(0_u8..6, 1..4)), 0..120),
        stretches in prop::collection::vec((0_u32..2, bound(), bound()), 0..30),
        budget in 500_usize..6000,
    ) {
        let mut reads = Reads::new(budget, Beyond::Coarsen);
        let mut exact = Reads::new(usize::MAX, Beyond::Coarsen);
        for (keyspace, key) in &keys {
            reads.key(*keyspace, key);
            exact.key(*keyspace, key);
        }
        for (keyspace, lower, upper) in &stretches {
            for reads in [&mut reads, &mut exact] {
                let stretch = Stretch { lower: lower.clone(), upper: upper.clone() };
                let number = reads.open(*keyspace, stretch.clone());
                reads.close(number, [stretch]);
            }
        }
        prop_assert!(reads.bytes <= budget.max(2 * 2 * KEY_COST + 4 * 8));
        for keyspace in 0..2 {
            for key in (0..216_u8).map(|n| [n / 36, n / 6 % 6, n % 6]) {
                for len in 1..=3 {
                    let key = &key[..len];
                    let read = covers(&exact, keyspace, key);
                    prop_assert!(!read || covers(&reads, keyspace, key), "{keyspace} {key:?}");
                }
            }
        }
    }
}

#[test]
fn a_range_counts_whole_while_it_is_open() {
    let mut reads = Reads::new(4096, Beyond::Coarsen);
    let all = Stretch::new(Bound::Unbounded, Bound::Unbounded);
    let number = reads.open(3, all);
    assert!(covers(&reads, 3, b"any") && !covers(&reads, 2, b"any"));
    assert_eq!(reads.keyspaces().collect::<BTreeSet<_>>(), BTreeSet::from([3]));
    reads.close(number, [Stretch::new(Bound::Unbounded, Bound::Included(b"f"))]);
    assert!(covers(&reads, 3, b"f") && !covers(&reads, 3, b"g"));
    let left = reads.open(3, Stretch::new(Bound::Unbounded, Bound::Unbounded));
    reads.close(left, []);
    assert!(!covers(&reads, 3, b"g") && !reads.is_empty());
}

/// A million keys in a row take the memory of the budget, and the stretch between them is read.
#[test]
fn many_keys_become_stretches() {
    let mut reads = Reads::new(64 << 10, Beyond::Coarsen);
    for n in 0..100_000_u32 {
        reads.key(0, &n.to_be_bytes());
    }
    assert!(reads.bytes <= 64 << 10);
    assert!((0..100_000_u32).step_by(997).all(|n| covers(&reads, 0, &n.to_be_bytes())));
    assert!(!covers(&reads, 0, &100_000_u32.to_be_bytes()));
}
