//! Tables come back as they were written: point by point, and by walks within any bounds.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;

use ondisk_log::StoreId;
use ondisk_sim::MemFs;
use proptest::prelude::*;

use super::write::TableWriter;
use super::*;
use crate::cache::Caches;
use crate::engine::Direction::{Backward, Forward};
use crate::lsm::filter::key_hash;
use crate::options::KeyspaceOptions;

/// What a table holds: key → LSN and value or tombstone.
pub(crate) type Model = BTreeMap<Vec<u8>, (Lsn, Option<Vec<u8>>)>;

/// A directory in memory, and a cache of so many bytes.
pub(crate) fn site(fs: &MemFs, cache: u64) -> Site {
    Site {
        fs: fs.share(),
        dir: PathBuf::from("db"),
        store: StoreId(*b"a store of tests"),
        keyspace: 7,
        options: KeyspaceOptions::default(),
        caches: Arc::new(Caches::new(2 * cache)),
        sabotage: None,
    }
}

pub(crate) fn shelf() -> MemFs {
    let fs = MemFs::new();
    fs.share().create_dir(Path::new("db")).unwrap();
    fs
}

pub(crate) fn write(site: &Site, number: u64, options: TableOptions, model: &Model) -> TableMeta {
    let mut writer = TableWriter::create(site, number, options).unwrap();
    for (key, (lsn, value)) in model {
        writer.push(key, *lsn, value.as_deref()).unwrap();
    }
    writer.finish().unwrap()
}

pub(crate) fn options() -> impl Strategy<Value = TableOptions> {
    let compression = prop_oneof![Just(Compression::None), Just(Compression::Lz4)];
    (compression, prop_oneof![1_usize..400, Just(BLOCK)], prop_oneof![Just(0_u32), Just(10)])
        .prop_map(|(compression, block, filter_bits)| TableOptions {
            compression,
            block,
            filter_bits,
        })
}

/// Few letters, so that keys share beginnings and are beginnings of each other.
pub(crate) fn key() -> impl Strategy<Value = Vec<u8>> {
    let letter = prop_oneof![Just(0_u8), Just(b'a'), Just(b'b'), Just(0xFF)];
    let tail = prop::collection::vec(letter, 0..6);
    (prop_oneof![Just(&b""[..]), Just(&b"a long beginning of "[..])], tail)
        .prop_map(|(head, tail)| [head, &tail].concat())
}

pub(crate) fn model() -> impl Strategy<Value = Model> {
    let value = prop_oneof![
        1 => Just(None),
        4 => prop::collection::vec(any::<u8>(), 0..40).prop_map(Some),
        1 => (0_usize..3000).prop_map(|len| Some(vec![b'v'; len])),
    ];
    let lsn = prop_oneof![1_u64..1000, 1_u64..u64::MAX].prop_map(Lsn);
    prop::collection::btree_map(key(), (lsn, value), 0..120)
}

pub(crate) fn bound() -> impl Strategy<Value = Bound<Vec<u8>>> {
    prop_oneof![
        Just(Bound::Unbounded),
        key().prop_map(Bound::Included),
        key().prop_map(Bound::Excluded)
    ]
}

pub(crate) fn slice(bound: &Bound<Vec<u8>>) -> Bound<&[u8]> {
    bound.as_ref().map(Vec::as_slice)
}

/// Whether a key can lie between two bounds.
pub(crate) fn is_range(lower: &Bound<Vec<u8>>, upper: &Bound<Vec<u8>>) -> bool {
    match (lower, upper) {
        (Bound::Excluded(lower), Bound::Excluded(upper)) => lower < upper,
        (
            Bound::Included(lower) | Bound::Excluded(lower),
            Bound::Included(upper) | Bound::Excluded(upper),
        ) => lower <= upper,
        _ => true,
    }
}

fn collect(mut walk: TableWalk) -> Vec<(Vec<u8>, (Lsn, Option<Vec<u8>>))> {
    let mut all = Vec::new();
    while walk.advance().unwrap() {
        assert_eq!(walk.keep(), *walk.value());
        let value = (!walk.is_tombstone()).then(|| walk.value().to_vec());
        all.push((walk.key().to_vec(), (walk.lsn(), value)));
    }
    assert!(!walk.advance().unwrap(), "the end is the end");
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn what_is_written_is_read(
        model in model(), options in options(), cache in prop_oneof![Just(0_u64), Just(3000), Just(1 << 20)],
        absent in prop::collection::vec(key(), 10), bounds in prop::collection::vec((bound(), bound()), 6),
    ) {
        let fs = shelf();
        let site = site(&fs, cache);
        let meta = write(&site, 12, options, &model);
        prop_assert_eq!(meta.entries, model.len() as u64);
        let table = Table::open(&site, &meta).unwrap();
        for key in model.keys().chain(&absent).chain(model.keys()) {
            let found = table.get(key, key_hash(key)).unwrap();
            let found = found.map(|entry| (entry.lsn, entry.value.map(|value| value.to_vec())));
            prop_assert_eq!(found.as_ref(), model.get(key));
            prop_assert!(found.is_none() || table.may_hold(key, key_hash(key)).unwrap());
        }
        for (lower, upper) in bounds.iter().chain(&[(Bound::Unbounded, Bound::Unbounded)]) {
            if !is_range(lower, upper) {
                continue;
            }
            let walk = |direction| table.walk(slice(lower), slice(upper), direction);
            let range = model.range((lower.clone(), upper.clone()));
            let mut expected: Vec<_> = range.map(|(key, entry)| (key.clone(), entry.clone())).collect();
            prop_assert_eq!(&collect(walk(Forward)), &expected);
            prop_assert_eq!(&collect(walk(Forward).passing()), &expected);
            expected.reverse();
            prop_assert_eq!(&collect(walk(Backward)), &expected);
            prop_assert_eq!(&collect(walk(Backward).passing()), &expected);
        }
    }
}
