//! The budget holds, and what is looked at stays.

use super::*;
use crate::btree::page::{Kind, PageRef, Shape, make_blob};
use ondisk_log::StoreId;

fn page(number: u32) -> Arc<Page> {
    let shape = Shape::new(1024, StoreId([7; 16]), 0);
    Arc::new(make_blob(Kind::Blob, number, 1, &[1; 900], shape))
}

#[test]
fn places_are_dense_and_in_range() {
    let mut before = None;
    for number in (0..200_000).chain([u32::MAX - 1, u32::MAX]) {
        let (chunk, index) = place(number);
        assert!(chunk < CHUNKS && index < chunk_len(chunk), "{number}");
        if let Some((before_chunk, before_index)) = before.filter(|_| number < 200_000) {
            let next =
                if index == 0 { chunk == before_chunk + 1 } else { index == before_index + 1 };
            assert!(next, "{number}");
        }
        before = Some((chunk, index));
    }
}

#[test]
fn the_budget_holds_and_what_is_looked_at_stays() {
    let budget = 20 * (1024 + PAGE_COST);
    let (cache, table) = (PageCache::new(budget), Arc::new(Table::new()));
    let hot: PageRef = page(3).page_ref();
    for number in 2..500 {
        cache.keep(&table, page(number));
        assert!(cache.used() <= budget);
        let kept = table.get(3);
        if kept.is(hot) {
            kept.touch();
        } else {
            assert!(number < 3, "looked at all the time, and gone at {number}");
        }
    }
    let kept = (2..500).filter(|number| table.get(*number).is(page(*number).page_ref())).count();
    assert!((18..=20).contains(&kept), "{kept}");
}

#[test]
fn trees_share_a_budget_and_those_that_are_gone_cost_nothing() {
    let budget = 20 * (1024 + PAGE_COST);
    let cache = PageCache::new(budget);
    let (idle, busy) = (Arc::new(Table::new()), Arc::new(Table::new()));
    (2..20).for_each(|number| cache.keep(&idle, page(number)));
    (2..60).for_each(|number| cache.keep(&busy, page(number)));
    assert!((2..20).all(|number| !idle.get(number).is(page(number).page_ref())));
    drop(busy);
    let last = Arc::new(Table::new());
    (2..22).for_each(|number| cache.keep(&last, page(number)));
    assert!(cache.used() <= budget);
    assert!((2..22).all(|number| last.get(number).is(page(number).page_ref())));
}
