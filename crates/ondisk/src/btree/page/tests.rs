//! Pages from bytes that nobody vouches for: never a panic, and no flipped bit passes.

use proptest::prelude::*;

use super::*;
use crate::btree::items::{Items, Origin};

const SIZE: usize = 1024;

fn shape() -> Shape {
    Shape::new(SIZE, StoreId(*b"a tree's storage"), 3)
}

fn want(number: u32) -> Expected {
    Expected { number, sum: None }
}

fn seen<T>(_: T) {}

/// Looks at everything that a page shows.
fn look(page: &Page) {
    let mut key = Vec::new();
    for index in 0..page.count() + 2 {
        page.key_into(index, &mut key);
        seen((page.suffix(index), page.payload(index), page.content(index), page.child(index)));
        seen((page.search(&key), page.child_index(&key)));
    }
    seen((page.tail(), page.search(b""), page.search(&[255; 9])));
}

/// A sum that fits, over bytes that may mean nothing.
fn resealed(mut bytes: Vec<u8>) -> Box<[u8]> {
    let sum = shape().sum(&bytes);
    bytes[..4].copy_from_slice(&sum.to_le_bytes());
    bytes.into_boxed_slice()
}

type Entries = std::collections::BTreeMap<Vec<u8>, Vec<u8>>;

fn entries() -> impl Strategy<Value = Entries> {
    let byte = prop::sample::select(vec![0_u8, 1, b'a', 255]);
    let key = prop::collection::vec(byte, 0..9);
    prop::collection::btree_map(key, prop::collection::vec(any::<u8>(), 0..20), 1..12)
}

fn leaf(entries: &Entries) -> Page {
    let mut items = Items::new(0);
    for (key, value) in entries {
        let payload = [&[INLINE][..], value].concat();
        assert!(items.takes(key, payload.len(), shape()));
        items.push(key, &payload, Origin::New);
    }
    assert!(items.size() <= SIZE);
    items.page(9, 4, shape())
}

fn branch(entries: &Entries) -> Page {
    let mut items = Items::new(1);
    for (n, key) in (0..).zip(entries.keys()) {
        let child = PageRef { number: U32::new(n), sum: U32::new(n) };
        items.push(key, child.as_bytes(), Origin::New);
    }
    items.page(9, 4, shape())
}

proptest! {
    #[test]
    fn a_leaf_gives_back_what_was_put(entries in entries(), probe in "[\\x00\\x01a]{0,9}") {
        let made = leaf(&entries);
        let page = Page::read(made.bytes().into(), shape(), want(9)).unwrap();
        let mut key = Vec::new();
        for (index, (expected, value)) in entries.iter().enumerate() {
            page.key_into(index, &mut key);
            prop_assert_eq!(&key, expected);
            prop_assert_eq!(page.content(index), Content::Inline(value));
            prop_assert_eq!(page.search(expected), Ok(index));
        }
        let keys: Vec<_> = entries.keys().collect();
        prop_assert_eq!(page.search(probe.as_bytes()), keys.binary_search(&&probe.into_bytes()));
    }

    #[test]
    fn a_branch_leads_to_the_child_of_a_key(entries in entries(), probe in "[\\x00\\x01a]{0,9}") {
        let made = branch(&entries);
        let page = Page::read(made.bytes().into(), shape(), want(9)).unwrap();
        let below = entries.keys().skip(1).filter(|key| key[..] <= *probe.as_bytes()).count();
        prop_assert_eq!(page.child_index(probe.as_bytes()), below);
        prop_assert_eq!(page.child(below).number.get() as usize, below);
    }

    #[test]
    fn a_flipped_bit_is_noticed(entries in entries(), at in 0..SIZE, bit in 0_u8..8) {
        let mut bytes = leaf(&entries).bytes().to_vec();
        bytes[at] ^= 1_u8 << bit;
        prop_assert!(Page::read(bytes.into_boxed_slice(), shape(), want(9)).is_err());
    }

    #[test]
    fn a_page_of_another_place_store_or_keyspace_is_noticed(entries in entries()) {
        let bytes = leaf(&entries).bytes().to_vec().into_boxed_slice();
        prop_assert_eq!(
            Page::read(bytes.clone(), shape(), want(8)).unwrap_err(), Damage::OtherPage
        );
        let other = Shape::new(SIZE, StoreId([1; 16]), 3);
        prop_assert_eq!(Page::read(bytes.clone(), other, want(9)).unwrap_err(), Damage::PageSum);
        let other = Shape::new(SIZE, StoreId(*b"a tree's storage"), 4);
        prop_assert_eq!(Page::read(bytes.clone(), other, want(9)).unwrap_err(), Damage::PageSum);
        let sum = Some(u32::from_le_bytes(*bytes.first_chunk().unwrap()) ^ 1);
        let stale = Page::read(bytes, shape(), Expected { number: 9, sum });
        prop_assert_eq!(stale.unwrap_err(), Damage::OtherPage);
    }

    /// Whatever bytes have a sum that fits: they are refused, or harmless.
    #[test]
    fn hostile_bytes_are_harmless(
        entries in entries(),
        changes in prop::collection::vec((4..SIZE, any::<u8>()), 1..6),
        head in prop::collection::vec((16_usize..64, any::<u8>()), 0..4),
        upper in any::<bool>(),
    ) {
        let page = if upper { branch(&entries) } else { leaf(&entries) };
        let mut bytes = page.bytes().to_vec();
        changes.into_iter().chain(head).for_each(|(at, byte)| bytes[at] = byte);
        bytes[4..8].copy_from_slice(&9_u32.to_le_bytes());
        if let Ok(page) = Page::read(resealed(bytes), shape(), want(9)) {
            look(&page);
        }
    }

    #[test]
    fn random_bytes_are_harmless(mut bytes in prop::collection::vec(any::<u8>(), SIZE)) {
        bytes[4..8].copy_from_slice(&9_u32.to_le_bytes());
        bytes[16] = bytes[16] % 4 + 1;
        if let Ok(page) = Page::read(resealed(bytes), shape(), want(9)) {
            look(&page);
        }
    }
}

#[test]
fn short_bytes_are_refused() {
    for len in [0, 1, 31, 32, 1023] {
        let bytes = vec![0; len].into_boxed_slice();
        assert!(Page::read(bytes, shape(), want(0)).is_err());
    }
    assert!(claimed_span(&[0; 31], 5).is_err() && claimed_span(&[0; 32], 5).is_err());
    assert!(claimed_span(&[255; 32], 5).is_err());
}
