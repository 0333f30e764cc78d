//! One budget for both kinds: it holds, either may have all of it, and neither keeps the other out.

use std::thread;

use super::*;
use crate::btree::cache::{Table, tests::page};
use crate::lsm::cache::{Slots, tests::block};

const ENTRIES: usize = 60;

/// The weight of the heavier kind.
fn heaviest() -> u64 {
    let cache = Arc::new(Cache::new(1 << 30));
    Table::keep(&Arc::new(Table::new(&cache)), page(2));
    assert_eq!(cache.weights(), [0; 3], "the table is gone");
    let (slots, table) = (Slots::new(&cache, 1, 0), Arc::new(Table::new(&cache)));
    slots.insert(0, &block());
    table.keep(page(2));
    let [blocks, pages, _] = cache.weights();
    blocks.max(pages)
}

/// A cache for so many entries, and a shelf of each kind for twice as many.
fn shelves() -> (Arc<Cache>, Arc<Slots>, Arc<Table>) {
    let pinned = 2 * ENTRIES * size_of::<usize>();
    let cache = Arc::new(Cache::new(ENTRIES as u64 * heaviest() + pinned as u64));
    let (slots, table) = (Slots::new(&cache, 2 * ENTRIES, 0), Arc::new(Table::new(&cache)));
    (cache, slots, table)
}

fn total(cache: &Cache) -> u64 {
    cache.weights().iter().sum()
}

fn number(number: usize) -> u32 {
    u32::try_from(number).unwrap()
}

/// Reads a block as an engine does, and keeps it.
fn read_block(slots: &Arc<Slots>, at: usize) {
    if slots.load(at).is_none() {
        slots.insert(at, &block());
    }
}

/// Reads a page as an engine does, and keeps it.
fn read_page(table: &Arc<Table>, at: usize) {
    let page = page(number(at));
    let kept = table.get(page.number);
    if kept.is(page.page_ref()) {
        kept.touch();
    } else {
        table.keep(page);
    }
}

#[test]
fn either_kind_alone_may_have_all_of_it() {
    let (cache, slots, table) = shelves();
    (0..2 * ENTRIES).for_each(|at| read_block(&slots, at));
    let full = cache.budget - heaviest()..=cache.budget;
    assert!(full.contains(&total(&cache)) && cache.weights()[1] == 0, "{:?}", cache.weights());
    drop((slots, table));
    let table = Arc::new(Table::new(&cache));
    (0..2 * ENTRIES).for_each(|at| read_page(&table, at));
    assert!(full.contains(&total(&cache)) && cache.weights()[0] == 0, "{:?}", cache.weights());
}

#[test]
fn the_kind_that_is_used_gets_the_room_of_the_one_that_is_not() {
    let (cache, slots, table) = shelves();
    for _ in 0..3 {
        // All that fits is asked for again and again, so that the hand spares it once.
        (0..3).for_each(|_| (0..ENTRIES).for_each(|at| read_page(&table, at)));
        assert!((0..ENTRIES).all(|at| table.get(number(at)).is(page(number(at)).page_ref())));
        (0..3).for_each(|_| (0..ENTRIES).for_each(|at| read_block(&slots, at)));
        assert!((0..ENTRIES).all(|at| slots.load(at).is_some()));
        assert!(total(&cache) <= cache.budget);
    }
}

#[test]
fn what_either_kind_uses_stays_while_the_other_comes_and_goes() {
    let (_cache, slots, table) = shelves();
    read_page(&table, 3);
    for at in 0..20 * ENTRIES {
        assert_eq!(table.get(3).number, 3, "gone at {at}");
        read_page(&table, 3);
        read_block(&slots, at % (2 * ENTRIES));
    }
    read_block(&slots, 3);
    for at in 0..20 * ENTRIES {
        assert!(slots.load(3).is_some(), "gone at {at}");
        read_page(&table, at % (2 * ENTRIES));
    }
}

#[test]
fn a_walk_pushes_out_the_other_kind_to_half_and_its_own_never() {
    let (cache, slots, table) = shelves();
    let walk = |slots: &Arc<Slots>| {
        for at in (0..2 * ENTRIES).filter(|at| slots.load(*at).is_none()).collect::<Vec<_>>() {
            if slots.has_room(block().weight()) {
                slots.insert(at, &block());
            }
        }
    };
    walk(&slots);
    assert!(cache.weights()[0] + heaviest() > cache.room(), "what nobody has is taken");
    assert!(slots.load(0).is_some() && slots.load(2 * ENTRIES - 1).is_none());
    drop(slots);
    (0..2 * ENTRIES).for_each(|at| read_page(&table, at));
    let slots = Slots::new(&cache, 2 * ENTRIES, 0);
    walk(&slots);
    let [blocks, pages, _] = cache.weights();
    let half = cache.room() / 2;
    assert!((half - heaviest()..=half).contains(&blocks), "{blocks} of {half}");
    assert!(pages + 2 * heaviest() > half, "{pages} of {half}");
}

#[test]
fn the_budget_holds_whoever_comes_and_goes() {
    let (cache, slots, table) = shelves();
    thread::scope(|scope| {
        for thread in 0..4 {
            let (cache, slots, table) = (&cache, &slots, &table);
            scope.spawn(move || {
                for round in 0..3000 {
                    let at = (round * (2 * thread + 1)) % (2 * ENTRIES);
                    if thread % 2 == 0 {
                        read_block(slots, at)
                    } else {
                        read_page(table, at)
                    }
                    assert!(total(cache) <= cache.budget, "{:?}", cache.weights());
                    if round % 50 == 0 {
                        let short = Slots::new(cache, 8, 100);
                        (0..8).for_each(|at| read_block(&short, at));
                        let felled = Arc::new(Table::new(cache));
                        (0..8).for_each(|at| read_page(&felled, at));
                    }
                }
            });
        }
    });
    let blocks = (0..2 * ENTRIES).filter(|at| slots.load(*at).is_some()).count();
    let pages = (0..2 * ENTRIES).filter(|at| table.get(number(*at)).bytes().len() > 1).count();
    let one = [block().weight() as u64, (page(2).bytes().len() + 128) as u64];
    let [in_blocks, in_pages, _] = cache.weights();
    assert_eq!([in_blocks, in_pages], [blocks as u64 * one[0], pages as u64 * one[1]]);
    drop((slots, table));
    assert_eq!(cache.weights(), [0; 3]);
}
