//! What is asked for often stays, whoever comes and goes, and the sums are right.

use std::thread;

use bytes::Bytes;

use super::*;
use crate::lsm::table::block::tests::block_of;

const WEIGHT: usize = 1000;

/// A block that weighs about a kilobyte.
pub(crate) fn block() -> Arc<Block> {
    let value = [7; WEIGHT];
    Arc::new(Block::new(Bytes::from(block_of(&[(&b"key"[..], 1, Some(&value[..]))])), 0).unwrap())
}

fn held(slots: &Slots) -> Vec<usize> {
    (0..slots.blocks.len()).filter(|block| slots.blocks[*block].load().is_some()).collect()
}

/// A cache for ten blocks.
fn cache() -> Arc<Cache> {
    Arc::new(Cache::new(10 * block().weight() as u64))
}

#[test]
fn the_oldest_go_first_and_filters_leave_a_quarter() {
    let cache = cache();
    let slots = Slots::new(&cache, 100, 0);
    let pinned = cache.weights()[2];
    assert!(pinned >= 800);
    (0..100).for_each(|number| slots.insert(number, &block()));
    assert_eq!(held(&slots), (91..100).collect::<Vec<_>>());
    let greedy = Slots::new(&cache, 100, 1 << 20);
    slots.insert(0, &block());
    assert_eq!(held(&slots), [0, 99], "two blocks are a fifth of the budget");
    drop(greedy);
    drop(slots);
    assert_eq!(cache.weights(), [0; 3]);
}

#[test]
fn what_is_asked_for_stays() {
    let cache = cache();
    let slots = Slots::new(&cache, 1000, 0);
    slots.insert(7, &block());
    for number in 10..1000 {
        assert!(slots.load(7).is_some());
        slots.insert(number, &block());
    }
    assert!(held(&slots).contains(&7));
    assert!(slots.load(1000).is_none(), "there is no such block");
    slots.insert(1000, &block());
}

#[test]
fn tables_that_are_gone_leave_nothing_behind() {
    let cache = Arc::new(Cache::new(1 << 30));
    let kept = Slots::new(&cache, 4, 0);
    kept.insert(0, &block());
    for _ in 0..1000 {
        let slots = Slots::new(&cache, 4, 10);
        (0..4).for_each(|number| slots.insert(number, &block()));
    }
    assert_eq!(cache.weights()[0], block().weight() as u64);
    assert!(cache.tickets() < 20);
    assert_eq!(held(&kept), [0]);
}

#[test]
fn threads_that_come_and_go_leave_the_sums_right() {
    let cache = cache();
    let tallies = Tallies::default();
    let tally = tallies.of(3);
    let shared = Slots::new(&cache, 64, 0);
    thread::scope(|scope| {
        for thread in 0..4_usize {
            let (cache, shared, tally) = (&cache, &shared, &tally);
            scope.spawn(move || {
                for round in 0..2000 {
                    let number = (round * (thread + 1)) % 64;
                    if shared.load(number).is_some() {
                        tally.hit();
                    } else {
                        tally.miss(10);
                        shared.insert(number, &block());
                    }
                    if round % 50 == 0 {
                        let slots = Slots::new(cache, 8, 100);
                        (0..8).for_each(|number| slots.insert(number, &block()));
                    }
                }
            });
        }
    });
    let weight = held(&shared).len() as u64 * block().weight() as u64;
    assert_eq!(cache.weights()[0], weight);
    let (hits, misses, read) = tallies.of(3).sums();
    assert_eq!((hits + misses, read), (8000, 10 * misses));
    assert_eq!(tallies.of(4).sums(), (0, 0, 0));
}
