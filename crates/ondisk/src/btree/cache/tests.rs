//! A page is found until its number is used again, and what is looked at stays.

use super::*;
use crate::btree::page::Kind;
use crate::btree::page::{PageRef, Shape, make_blob};
use ondisk_log::StoreId;

/// A page that weighs about a kilobyte.
pub(crate) fn page(number: u32) -> Arc<Page> {
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
fn what_is_kept_is_found_until_its_number_is_used_again() {
    let cache = Arc::new(Cache::new(20 * weight(&page(2))));
    let table = Arc::new(Table::new(&cache));
    (0..2).for_each(|_| table.keep(page(7)));
    assert!(table.get(7).is(page(7).page_ref()));
    assert_eq!((cache.weights(), cache.tickets()), ([0, weight(&page(7)), 0], 1));
    let shape = Shape::new(1024, StoreId([7; 16]), 0);
    let other = Arc::new(make_blob(Kind::Blob, 7, 2, &[1; 2000], shape));
    table.keep(Arc::clone(&other));
    assert!(table.get(7).is(other.page_ref()));
    assert_eq!((cache.weights(), cache.tickets()), ([0, weight(&other), 0], 1));
    drop(table);
    assert_eq!(cache.weights(), [0; 3]);
}

#[test]
fn what_is_looked_at_stays() {
    let cache = Arc::new(Cache::new(20 * weight(&page(2))));
    let table = Arc::new(Table::new(&cache));
    let hot: PageRef = page(3).page_ref();
    for number in 2..500 {
        table.keep(page(number));
        let kept = table.get(3);
        if kept.is(hot) {
            kept.touch();
        } else {
            assert!(number < 3, "looked at all the time, and gone at {number}");
        }
    }
    let kept = (2..500).filter(|number| table.get(*number).is(page(*number).page_ref())).count();
    assert_eq!(kept, 20);
}
