//! What is looked up in a level by halves is what is found by going through it.

use ondisk_sim::MemFs;
use proptest::prelude::*;

use super::*;
use crate::lsm::table::TableMeta;
use crate::lsm::tests::site;

/// Keys of which some agree in more than the first eight bytes.
fn key() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop::sample::select(vec![0_u8, 1, 255]);
    prop_oneof![
        prop::collection::vec(byte.clone(), 0..4),
        prop::collection::vec(byte, 0..3).prop_map(|end| [&[7; 8][..], &end].concat()),
    ]
}

fn level() -> impl Strategy<Value = Level> {
    prop::collection::btree_set(key(), 0..16).prop_map(|keys| {
        let keys: Vec<_> = keys.into_iter().collect();
        let tables = (1..).zip(keys.chunks_exact(2)).map(|(number, pair)| {
            let meta = TableMeta {
                number,
                len: 1,
                entries: 2,
                tombstones: 0,
                first: pair[0].as_slice().into(),
                last: pair[1].as_slice().into(),
                oldest: Lsn(1),
                newest: Lsn(1),
                crc: 0,
            };
            Table::open(&site(&MemFs::new(), None), &meta).unwrap()
        });
        Level::new(tables.collect())
    })
}

fn bound() -> impl Strategy<Value = Bound<Vec<u8>>> {
    prop_oneof![
        Just(Bound::Unbounded),
        key().prop_map(Bound::Included),
        key().prop_map(Bound::Excluded),
    ]
}

proptest! {
    #[test]
    fn lookups_find_what_there_is(level in level(), key in key(), bounds in (bound(), bound())) {
        let number = |it: &Arc<Table>| it.meta().number;
        let found = level.tables().iter().find(|it| it.meta().spans(&key));
        prop_assert_eq!(level.find(&key).map(number), found.map(number));
        let (lower, upper) = (bounds.0.as_ref(), bounds.1.as_ref());
        let (lower, upper) = (lower.map(Vec::as_slice), upper.map(Vec::as_slice));
        let between: Vec<_> = level.tables()[level.between(lower, upper)].iter().map(number).collect();
        let meet = level.tables().iter().filter(|it| meets(it, lower, upper));
        prop_assert_eq!(between, meet.map(number).collect::<Vec<_>>());
    }
}
