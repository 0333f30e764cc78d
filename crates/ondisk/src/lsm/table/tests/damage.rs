//! Every flipped bit is noticed, by readers too, and what is not damaged is salvaged.

use ondisk_fs::{Access, File};

use super::*;
use crate::error::Damage;
use crate::lsm::table::format::{FOOTER, Footer, Seed};
use crate::lsm::table::salvage::{Salvaged, salvage};

/// A table's file, its bytes, and what verifies it.
struct Bench {
    site: Site,
    meta: TableMeta,
    file: Arc<dyn File>,
    bytes: Vec<u8>,
}

impl Bench {
    fn new(fs: &MemFs, options: TableOptions, model: &Model) -> Self {
        let site = site(fs, 0);
        let meta = write(&site, 12, options, model);
        let file = fs.share().open(&site.dir.join(file_name(12)), Access::ReadWrite).unwrap();
        let mut bytes = vec![0; usize::try_from(meta.len).unwrap()];
        file.read_exact_at(&mut bytes, 0).unwrap();
        assert_eq!(file.size().unwrap(), meta.len);
        Self { site, meta, file, bytes }
    }

    fn verify(&self) -> Vec<Error> {
        let mut found = Vec::new();
        let table = Table::open(&self.site, &self.meta).unwrap();
        table.verify(&mut |error| found.push(error)).unwrap();
        found
    }

    fn salvage(&self) -> (Model, Salvaged) {
        let mut model = Model::new();
        let path = self.site.dir.join(file_name(12));
        let salvaged =
            salvage(&*self.site.fs, &path, identity(&self.site, 12), &mut |key, lsn, value| {
                model.insert(key.to_vec(), (lsn, value.map(<[u8]>::to_vec)));
                Ok(())
            });
        (model, salvaged.unwrap())
    }
}

fn small_model() -> impl Strategy<Value = Model> {
    let value = prop::option::of(prop::collection::vec(0_u8..4, 0..12));
    let lsn = (1_u64..1000).prop_map(Lsn);
    prop::collection::btree_map(key(), (lsn, value), 0..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10))]

    #[test]
    fn every_flipped_bit_is_damage_and_no_lie(model in small_model(), options in options()) {
        let fs = shelf();
        let options = TableOptions { block: options.block.min(60), ..options };
        let bench = Bench::new(&fs, options, &model);
        prop_assert!(bench.verify().is_empty());
        for bit in 0..bench.meta.len * 8 {
            let byte = bench.bytes[usize::try_from(bit / 8).unwrap()];
            bench.file.write_all_at(&[byte ^ (1 << (bit % 8))], bit / 8).unwrap();
            prop_assert!(!bench.verify().is_empty(), "bit {bit}");
            let table = Table::open(&bench.site, &bench.meta).unwrap();
            for (key, entry) in &model {
                match table.get(key, key_hash(key)) {
                    Ok(found) => {
                        let found = found.map(|it| (it.lsn, it.value.map(|value| value.to_vec())));
                        prop_assert_eq!(found.as_ref(), Some(entry));
                    }
                    Err(error) => prop_assert!(error.is_damage(), "{error}"),
                }
            }
            let (salvaged, told) = bench.salvage();
            prop_assert!(salvaged.iter().all(|(key, entry)| model.get(key) == Some(entry)));
            let in_blocks = bit / 8 >= 64 && (bit / 8) < bench.meta.len - FOOTER as u64;
            prop_assert!(!in_blocks || told.lost.len() == 1, "{told:?}");
            prop_assert!(salvaged == model || !told.lost.is_empty());
            bench.file.write_all_at(&[byte], bit / 8).unwrap();
        }
        let (salvaged, told) = bench.salvage();
        prop_assert_eq!(told, Salvaged { entries: model.len() as u64, lost: Vec::new() });
        prop_assert_eq!(salvaged, model);
    }

    #[test]
    fn any_footer_is_read_or_refused(
        model in small_model(), fields in prop::array::uniform8(any::<u64>()), small: bool, blocks: u32,
    ) {
        let fs = shelf();
        let bench = Bench::new(&fs, TableOptions::of(&site(&fs, 0)), &model);
        let at = bench.meta.len - FOOTER as u64;
        let fit = |field: u64| if small { field % (at + 1) } else { field };
        let identity = identity(&bench.site, 12);
        let mut footer = Footer {
            crc: 0,
            identity,
            seed: Seed::new(identity),
            blocks: if small { blocks % 4 } else { blocks },
            oldest: Lsn(fields[0]),
            newest: Lsn(fields[1]),
            entries: fit(fields[2]),
            tombstones: fit(fields[3]),
            filter_at: fit(fields[4]),
            index_at: fit(fields[5]),
            filter_crc: 0,
            index_crc: 0,
            raw: fields[6],
        };
        bench.file.write_all_at(&footer.encode(), at).unwrap();
        let TableMeta { number, len, first, last, .. } = bench.meta.clone();
        let Footer { crc, entries, tombstones, oldest, newest, .. } = footer;
        let meta = TableMeta { number, len, entries, tombstones, first, last, oldest, newest, crc };
        let table = Table::open(&bench.site, &meta).unwrap();
        prop_assert!(table.get(b"", key_hash(b"")).unwrap_err().is_damage());
        bench.salvage();
    }

    #[test]
    fn any_file_is_salvaged_or_lost(noise in prop::collection::vec(any::<u8>(), 0..400)) {
        let fs = shelf();
        let site = site(&fs, 0);
        let path = site.dir.join(file_name(12));
        site.fs.create_new(&path).unwrap().write_all_at(&noise, 0).unwrap();
        let salvaged = salvage(&*site.fs, &path, identity(&site, 12), &mut |_, _, _| Ok(())).unwrap();
        let lost: u64 = salvaged.lost.iter().map(|lost| lost.place.end - lost.place.start).sum();
        prop_assert_eq!((salvaged.entries, lost), (0, noise.len() as u64));
    }
}

/// Three blocks with keys a… to f….
fn three_blocks() -> Model {
    let entry = |(lsn, key): (u64, u8)| (vec![key; 3], (Lsn(lsn), Some(vec![key; 50])));
    (11..).zip(b'a'..=b'f').map(entry).collect()
}

const SMALL: TableOptions =
    TableOptions { compression: Compression::None, block: 140, filter_bits: 10 };

#[test]
fn a_file_of_another_place_or_time_is_refused() {
    let fs = shelf();
    let bench = Bench::new(&fs, SMALL, &three_blocks());
    let why = |site: &Site, meta: &TableMeta| {
        let table = Table::open(site, meta).unwrap();
        let error = table.get(b"aaa", key_hash(b"aaa")).unwrap_err();
        let mut found = Vec::new();
        table.verify(&mut |error| found.push(error)).unwrap();
        assert_eq!(found.len(), 1, "a check says the same");
        match error {
            Error::Damaged { damage, .. } => damage,
            other => panic!("{other}"),
        }
    };
    let other = Site { store: StoreId([8; 16]), ..bench.site.clone() };
    assert_eq!(why(&other, &bench.meta), Damage::Elsewhere("store"));
    let other = Site { keyspace: 8, ..bench.site.clone() };
    assert_eq!(why(&other, &bench.meta), Damage::Elsewhere("keyspace"));
    let changed = |change: fn(&mut TableMeta)| {
        let mut meta = bench.meta.clone();
        change(&mut meta);
        why(&bench.site, &meta)
    };
    assert_eq!(changed(|meta| meta.crc ^= 1), Damage::Unlike("footer"));
    assert_eq!(changed(|meta| meta.entries += 1), Damage::Unlike("number of entries"));
    assert_eq!(changed(|meta| meta.tombstones += 1), Damage::Unlike("number of tombstones"));
    assert_eq!(changed(|meta| meta.oldest.0 += 1), Damage::Unlike("oldest LSN"));
    assert_eq!(changed(|meta| meta.newest.0 += 1), Damage::Unlike("newest LSN"));
    assert_eq!(changed(|meta| meta.first = b"a".as_slice().into()), Damage::Unlike("first key"));
    assert_eq!(changed(|meta| meta.last = b"g".as_slice().into()), Damage::Unlike("last key"));
    let len = bench.meta.len;
    let longer = Damage::Length { found: len, expected: len + 1 };
    assert_eq!(changed(|meta| meta.len += 1), longer);
    assert!(matches!(changed(|meta| meta.len = 3), Damage::Length { .. }));
    let from = bench.site.dir.join(file_name(12));
    bench.site.fs.rename(&from, &bench.site.dir.join(file_name(13))).unwrap();
    assert_eq!(why(&bench.site, &bench.meta), Damage::Missing);
    let renamed = TableMeta { number: 13, ..bench.meta.clone() };
    assert_eq!(why(&bench.site, &renamed), Damage::Elsewhere("number"));
}

#[test]
fn a_newer_format_is_no_damage() {
    let fs = shelf();
    let bench = Bench::new(&fs, SMALL, &three_blocks());
    let at = bench.bytes.len() - FOOTER;
    let mut footer = bench.bytes[at..].to_vec();
    footer[12] = 2;
    let crc = crate::checksum::crc32c(&footer[12..]);
    footer[8..12].copy_from_slice(&crc.to_le_bytes());
    bench.file.write_all_at(&footer, at as u64).unwrap();
    let table = Table::open(&bench.site, &bench.meta).unwrap();
    let refused = table.get(b"aaa", key_hash(b"aaa")).unwrap_err();
    assert!(matches!(refused, Error::NewerFormat { found: 2, known: 1, .. }), "{refused}");
    assert!(table.verify(&mut |_| {}).is_err(), "it could not be judged");
}

#[test]
fn blocks_in_each_others_places_or_of_another_life_are_found() {
    let fs = shelf();
    let bench = Bench::new(&fs, SMALL, &three_blocks());
    // All three are of one length.
    let loaded = Arc::clone(Table::open(&bench.site, &bench.meta).unwrap().loaded().unwrap());
    let place = |block| loaded.place(block).unwrap();
    let of = |place: std::ops::Range<u64>| {
        let at = |offset| usize::try_from(offset).unwrap();
        &bench.bytes[at(place.start)..at(place.end)]
    };
    assert_eq!(loaded.index.blocks(), 3);
    bench.file.write_all_at(of(place(1)), place(0).start).unwrap();
    let table = Table::open(&bench.site, &bench.meta).unwrap();
    let sum = |error| matches!(error, Error::Damaged { damage: Damage::BlockSum, offset: 64, .. });
    assert!(sum(table.get(b"aaa", key_hash(b"aaa")).unwrap_err()));
    // What was written under the same number, and differs in one value: its sums fit.
    let mut former = three_blocks();
    former.insert(b"aaa".to_vec(), (Lsn(11), Some(vec![b'z'; 50])));
    let other = shelf();
    let former = Bench::new(&other, SMALL, &former);
    let first = usize::try_from(place(0).end).unwrap();
    bench.file.write_all_at(&former.bytes[..first], 0).unwrap();
    let found = bench.verify();
    let unlike =
        |error: &Error| matches!(error, Error::Damaged { damage: Damage::Unlike("block"), .. });
    assert!(found.len() == 1 && unlike(&found[0]), "{found:?}");
    // A whole former file under the name.
    bench.file.write_all_at(&former.bytes, 0).unwrap();
    let table = Table::open(&bench.site, &bench.meta).unwrap();
    let refused = table.get(b"bbb", key_hash(b"bbb")).unwrap_err();
    assert!(
        matches!(refused, Error::Damaged { damage: Damage::Unlike("footer"), .. }),
        "{refused}"
    );
}

#[test]
fn salvage_says_between_which_keys_something_is_lost() {
    let fs = shelf();
    let model = three_blocks();
    let bench = Bench::new(&fs, SMALL, &model);
    let place = Table::open(&bench.site, &bench.meta).unwrap().loaded().unwrap().place(1).unwrap();
    bench.file.write_all_at(b"noise", place.start + 30).unwrap();
    let (salvaged, told) = bench.salvage();
    assert_eq!(salvaged.keys().map(|key| key[0]).collect::<Vec<_>>(), b"abef");
    let [lost] = &told.lost[..] else { panic!("{told:?}") };
    assert_eq!(lost.place, place);
    assert_eq!(lost.newest, Some(Lsn(16)));
    assert_eq!(
        (lost.above.as_deref(), lost.below.as_deref()),
        (Some(&b"bbb"[..]), Some(&b"eee"[..]))
    );
    // Header and footer gone too: what the file should be is enough.
    bench.file.write_all_at(&[0; 64], 0).unwrap();
    bench.file.write_all_at(&[0; FOOTER], bench.meta.len - FOOTER as u64).unwrap();
    let (again, told) = bench.salvage();
    assert_eq!(again, salvaged);
    assert_eq!(told.lost.len(), 3);
    assert_eq!(told.lost[0].place, 0..64);
    assert_eq!(told.lost[2].place, bench.meta.len - FOOTER as u64..bench.meta.len);
}

#[test]
fn a_value_that_is_a_copy_of_a_table_is_no_table() {
    let fs = shelf();
    let inner = Bench::new(&fs, SMALL, &three_blocks());
    let outer = shelf();
    let mut model = Model::new();
    model.insert(b"a".to_vec(), (Lsn(1), Some(inner.bytes.clone())));
    model.insert(b"b".to_vec(), (Lsn(2), Some(b"value".to_vec())));
    let bench = Bench::new(&outer, SMALL, &model);
    // The block that holds the copy is damaged, and what is in it is looked through.
    bench.file.write_all_at(b"noise", 64 + 20).unwrap();
    let (salvaged, told) = bench.salvage();
    assert_eq!(salvaged.keys().collect::<Vec<_>>(), [b"b"]);
    assert_eq!(told.lost.len(), 1);
}

#[test]
fn with_sums_ignored_damage_is_served() {
    let fs = shelf();
    let mut bench = Bench::new(&fs, SMALL, &three_blocks());
    bench.site.sabotage = Some(Sabotage::Lsm(LsmRule::SumsIgnored));
    let at = bench.bytes.windows(4).position(|window| window == b"aaaa").unwrap();
    bench.file.write_all_at(b"x", at as u64).unwrap();
    let table = Table::open(&bench.site, &bench.meta).unwrap();
    assert_eq!(table.get(b"aaa", key_hash(b"aaa")).unwrap().unwrap().value.unwrap()[0], b'x');
    bench.site.sabotage = None;
    let table = Table::open(&bench.site, &bench.meta).unwrap();
    assert!(table.get(b"aaa", key_hash(b"aaa")).unwrap_err().is_damage());
}

#[test]
fn a_filter_that_loses_keys_is_found_by_a_check() {
    let fs = shelf();
    let broken = Site { sabotage: Some(Sabotage::Lsm(LsmRule::FilterLosesKeys)), ..site(&fs, 0) };
    let meta = write(&broken, 3, SMALL, &three_blocks());
    let table = Table::open(&broken, &meta).unwrap();
    let lost =
        three_blocks().into_keys().filter(|key| table.get(key, key_hash(key)).unwrap().is_none());
    assert!(lost.count() > 0);
    let mut found = Vec::new();
    table.verify(&mut |error| found.push(error)).unwrap();
    assert!(!found.is_empty());
}
