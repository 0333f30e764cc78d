//! Tables come back as they were written: point by point, and by walks within any bounds.

mod damage;
mod golden;

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

/// The same as a walk gives it out.
pub(crate) type Listed = Vec<(Vec<u8>, (Lsn, Option<Vec<u8>>))>;

/// A directory in memory, and a cache of so many bytes.
pub(crate) fn site(fs: &MemFs, cache: u64) -> Site {
    Site {
        fs: fs.share(),
        dir: PathBuf::from("db"),
        store: StoreId(*b"a store of tests"),
        keyspace: 7,
        options: KeyspaceOptions::default(),
        caches: Arc::new(Caches::new(cache)),
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

fn collect(mut walk: TableWalk) -> Listed {
    let mut all = Listed::new();
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

#[test]
fn a_table_is_read_when_it_is_first_asked() {
    let fs = shelf();
    let site = site(&fs, 1 << 20);
    let model = Model::from([(b"key".to_vec(), (Lsn(4), Some(b"value".to_vec())))]);
    let meta = write(&site, 1, TableOptions::of(&site), &model);
    let reads = || site.caches.tallies.of(site.keyspace).sums();
    let table = Table::open(&site, &meta).unwrap();
    assert_eq!(reads(), (0, 0, 0));
    assert!(table.get(b"key", key_hash(b"key")).unwrap().is_some());
    let (hits, misses, _) = reads();
    assert_eq!((hits, misses), (0, 2), "filter with index, and the block");
    assert!(table.get(b"key", key_hash(b"key")).unwrap().is_some());
    assert_eq!(reads().0, 1);
    assert!(site.caches.memory.weights()[0] > 0);
    drop(table);
    assert_eq!(site.caches.memory.weights(), [0; 3]);
}

#[test]
fn a_long_walk_reads_several_blocks_at_once_and_leaves_others_in_the_cache() {
    let fs = shelf();
    let value = Some(vec![b'v'; 1000]);
    let entry = |number: u32| (number.to_be_bytes().to_vec(), (Lsn(1), value.clone()));
    let model: Model = (0..2000).map(entry).collect();
    let none =
        |site: &Site| TableOptions { compression: Compression::None, ..TableOptions::of(site) };
    let small = site(&fs, 64 << 10);
    let meta = write(&small, 1, none(&small), &model);
    let table = Table::open(&small, &meta).unwrap();
    let hot = 1000_u32.to_be_bytes();
    for _ in 0..3 {
        table.get(&hot, key_hash(&hot)).unwrap();
    }
    for direction in [Forward, Backward] {
        let misses = small.caches.tallies.of(7).sums().1;
        assert_eq!(collect(table.walk(Bound::Unbounded, Bound::Unbounded, direction)).len(), 2000);
        let reads = small.caches.tallies.of(7).sums().1 - misses;
        assert!((8..40).contains(&reads), "{reads} reads of 667 blocks");
    }
    let hits = small.caches.tallies.of(7).sums().0;
    table.get(&hot, key_hash(&hot)).unwrap();
    assert_eq!(small.caches.tallies.of(7).sums().0, hits + 1, "the hot block is still there");
    // What a walk keeps does not pin all that was read with it.
    let mut walk = table.walk(Bound::Unbounded, Bound::Unbounded, Forward);
    while walk.advance().unwrap() {}
}

#[test]
fn keys_out_of_order_are_refused() {
    let fs = shelf();
    let site = site(&fs, 0);
    let mut writer = TableWriter::create(&site, 5, TableOptions::of(&site)).unwrap();
    writer.push(b"b", Lsn(1), None).unwrap();
    for key in [&b"b"[..], b"a", b""] {
        let refused = writer.push(key, Lsn(2), None).unwrap_err();
        assert!(refused.is_damage(), "{refused}");
    }
}

#[test]
fn packed_blocks_are_packed_and_noise_is_not() {
    let fs = shelf();
    let site = site(&fs, 0);
    let len = |value: &dyn Fn(u32) -> Vec<u8>, compression, number| {
        let entry = |number: u32| (number.to_be_bytes().to_vec(), (Lsn(1), Some(value(number))));
        let options = TableOptions { compression, ..TableOptions::of(&site) };
        write(&site, number, options, &(0..500).map(entry).collect()).len
    };
    let noise = |number: u32| -> Vec<u8> {
        (0..20_u32)
            .flat_map(|at| {
                key_hash(&[number.to_le_bytes(), at.to_le_bytes()].concat()).to_le_bytes()
            })
            .collect()
    };
    let plain = len(&|_| vec![b'v'; 160], Compression::None, 1);
    assert!(len(&|_| vec![b'v'; 160], Compression::Lz4, 2) < plain / 8);
    assert_eq!(len(&noise, Compression::Lz4, 3), len(&noise, Compression::None, 4));
}

#[test]
fn numbers_and_names() {
    assert_eq!(file_name(7), "0000000007.table");
    assert_eq!(file_number("0000000007.table"), Some(7));
    assert_eq!(file_number(&file_name(u64::MAX)), Some(u64::MAX));
    for name in ["7.table", "0000000007.tmp", "+000000007.table", "manifest", ".table"] {
        assert_eq!(file_number(name), None, "{name}");
    }
}

#[test]
fn more_tables_than_files_that_may_be_open() {
    let fs = shelf();
    let site = site(&fs, 0);
    let handles = crate::handles::Handles::new(2);
    let caches = Arc::new(Caches { handles: Arc::new(handles), ..Caches::new(0) });
    let site = Site { caches, ..site };
    let model = |number: u8| Model::from([(vec![number], (Lsn(4), Some(vec![number])))]);
    let tables: Vec<_> = (0..6)
        .map(|number| {
            let options = TableOptions::of(&site);
            Table::open(&site, &write(&site, u64::from(number), options, &model(number))).unwrap()
        })
        .collect();
    for number in (0..6).chain(0..6) {
        let key = [number];
        let entry = tables[usize::from(number)].get(&key, key_hash(&key)).unwrap().unwrap();
        assert_eq!(entry.value.unwrap(), key[..]);
    }
}
