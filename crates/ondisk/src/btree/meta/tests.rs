//! Meta pages from bytes that nobody vouches for.

use proptest::prelude::*;

use super::*;

fn meta() -> Meta {
    let edit = 5;
    let root = PageRef { number: 12.into(), sum: 99.into() };
    let free_list = BlobRef { page: PageRef { number: 13.into(), sum: 7.into() }, len: 40.into() };
    let (height, page_count, free_pages, entries) = (2, 20, 3, 77);
    let empty = Meta::empty(StoreId(*b"a tree's storage"), 3, 4096);
    let through = Lsn(42);
    Meta { edit, through, root, height, page_count, free_list, free_pages, entries, ..empty }
}

fn decode(bytes: &[u8; META]) -> Result<Meta, Error> {
    Meta::decode(Path::new("pages"), 0, bytes)
}

#[test]
fn what_is_written_is_read() {
    assert_eq!(decode(&meta().encode()).unwrap(), meta());
    let empty = Meta::empty(StoreId([1; 16]), 0, 65536);
    assert_eq!(decode(&empty.encode()).unwrap(), empty);
    assert_eq!([first_page(1024), first_page(4096), first_page(65536)], [8, 2, 2]);
    assert_eq!(Place::Second.offset(1024), 4096);
}

#[test]
fn every_flipped_bit_is_noticed() {
    for (at, bit) in (0..META).flat_map(|at| (0..8).map(move |bit| (at, bit))) {
        let mut bytes = meta().encode();
        bytes[at] ^= 1 << bit;
        assert!(matches!(decode(&bytes), Err(Error::Damaged { .. })), "byte {at}, bit {bit}");
    }
}

#[test]
fn a_newer_version_is_no_damage() {
    let mut bytes = meta().encode();
    bytes[12] = 2;
    let sum = crc32c(&bytes[SUMMED_FROM..]);
    bytes[8..12].copy_from_slice(&sum.to_le_bytes());
    assert!(matches!(decode(&bytes), Err(Error::NewerFormat { found: 2, known: 1, .. })));
}

proptest! {
    #[test]
    fn hostile_fields_are_refused_or_in_range(changes in prop::collection::vec((36..META, any::<u8>()), 1..8)) {
        let mut bytes = meta().encode();
        changes.into_iter().for_each(|(at, byte)| bytes[at] = byte);
        let sum = crc32c(&bytes[SUMMED_FROM..]);
        bytes[8..12].copy_from_slice(&sum.to_le_bytes());
        if let Ok(meta) = decode(&bytes) {
            prop_assert!(meta.height <= HIGHEST && SIZES.contains(&(meta.page_size as usize)));
            prop_assert!(meta.height == 0 || meta.root.number.get() < meta.page_count);
        }
    }
}
