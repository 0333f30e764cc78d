//! The index leads to the block that may hold a key, and any bytes are read or refused.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::lsm::table::tests::key;

const LEN: u32 = 100;

/// The index of blocks that hold these keys.
fn index_of(blocks: &[Vec<Vec<u8>>]) -> (Vec<u8>, u32, u64) {
    let mut builder = IndexBuilder::default();
    let mut last: &[u8] = &[];
    for (number, block) in blocks.iter().enumerate() {
        builder.begin(last, &block[0]);
        builder.end(LEN, u32::try_from(number).unwrap());
        last = &block[block.len() - 1];
    }
    let (count, end) = (builder.blocks(), HEADER as u64 + u64::from(builder.blocks() * LEN));
    (builder.finish(last), count, end)
}

proptest! {
    #[test]
    fn keys_are_found_where_they_are(
        keys in prop::collection::btree_set(key(), 1..200), size in 1_usize..20,
        asked in prop::collection::vec(key(), 30),
    ) {
        let keys: Vec<_> = keys.into_iter().collect();
        let blocks: Vec<_> = keys.chunks(size).map(<[_]>::to_vec).collect();
        let (bytes, count, end) = index_of(&blocks);
        let index = Index::decode(&bytes, count, end).unwrap();
        prop_assert_eq!(index.first(), &keys[0][..]);
        prop_assert_eq!(index.last(), &keys[keys.len() - 1][..]);
        for (number, block) in blocks.iter().enumerate() {
            prop_assert_eq!(index.crc(number), Some(u32::try_from(number).unwrap()));
            let start = HEADER as u64 + number as u64 * u64::from(LEN);
            prop_assert_eq!(index.place(number), Some(start..start + u64::from(LEN)));
            prop_assert!(block.iter().all(|key| index.find(key) == Some(number)));
        }
        for key in &asked {
            // Whatever lies behind the key lies in the block found, or in later ones; whatever
            // lies before it, in that block or in earlier ones.
            let found = index.find(key);
            let before = found.map_or(0, |found| found + 1);
            prop_assert!(blocks[before..].iter().flatten().all(|held| held > key));
            prop_assert!(blocks[..found.unwrap_or(0)].iter().flatten().all(|held| held < key));
        }
        let runs: Vec<_> = index.runs(250).collect();
        prop_assert!(runs.iter().all(|run| (1..=2).contains(&run.len())));
        prop_assert!(runs.into_iter().flatten().eq(0..blocks.len()));
    }

    #[test]
    fn any_bytes_are_read_or_refused(
        bytes in prop::collection::vec(any::<u8>(), 0..200), blocks in 0_u32..20, end in 0_u64..2000,
    ) {
        if let Ok(index) = Index::decode(&bytes, blocks, end) {
            index.find(b"key");
        }
    }

    #[test]
    fn a_changed_byte_is_read_or_refused(
        keys in prop::collection::btree_set(key(), 1..50), at in any::<prop::sample::Index>(), byte: u8,
        asked in prop::collection::vec(key(), 10),
    ) {
        let blocks: Vec<_> = keys.into_iter().map(|key| vec![key]).collect();
        let (mut bytes, count, end) = index_of(&blocks);
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(index) = Index::decode(&bytes, count, end) {
            // Lows ascend all the same, so a search has one answer.
            let lows: BTreeSet<_> = asked.iter().map(|key| index.find(key)).collect();
            prop_assert!(lows.len() <= asked.len());
        }
    }
}

#[test]
fn lows_are_short() {
    let keys = [&b"apple pie"[..], b"apricot", b"banana split"].map(|key| vec![key.to_vec()]);
    let (bytes, count, end) = index_of(&keys);
    let index = Index::decode(&bytes, count, end).unwrap();
    // first, last, and then: `apple pie`, `apr` (two shared), `b`.
    assert_eq!(bytes.len(), 10 + 13 + (2 + 9 + 8) + (2 + 1 + 8) + (2 + 1 + 8));
    assert_eq!([index.find(b"ap"), index.find(b"apr"), index.find(b"b")], [None, Some(1), Some(2)]);
}

#[test]
fn more_blocks_than_bytes_are_refused_before_memory_is_taken() {
    assert!(Index::decode(&[0; 40], u32::MAX, 0).is_err());
}
