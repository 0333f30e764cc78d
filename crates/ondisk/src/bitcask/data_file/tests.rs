//! Data files come back as they were written, and every flipped bit is noticed.

use ondisk_fs::{FileSystem, OsFs};
use proptest::prelude::*;
use tempfile::TempDir;

use super::scan::{Depth, Scan};
use super::*;

type Entries = Vec<(Vec<u8>, Lsn, Option<Vec<u8>>)>;

const SPAN: Span = super::Span { after: Lsn(10), through: Lsn(20) };

fn identity() -> Identity {
    Identity { store: StoreId([9; 16]), keyspace: 0, number: 3 }
}

fn entries() -> impl Strategy<Value = Entries> {
    let key = prop::collection::vec(any::<u8>(), 0..6);
    let value = prop::option::of(prop::collection::vec(any::<u8>(), 0..20));
    let entry = ((11_u64..=20).prop_map(Lsn), value);
    prop::collection::btree_map(key, entry, 0..6)
        .prop_map(|map| map.into_iter().map(|(key, (lsn, value))| (key, lsn, value)).collect())
}

/// A directory for one file.
struct Shelf(TempDir);

impl Shelf {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self, access: Access) -> Arc<dyn File> {
        OsFs.open(&self.0.path().join("0000000003.data"), access).unwrap()
    }

    fn bytes(&self) -> Vec<u8> {
        let file = self.file(Access::Read);
        let mut bytes = vec![0; usize::try_from(file.size().unwrap()).unwrap()];
        file.read_exact_at(&mut bytes, 0).unwrap();
        bytes
    }
}

fn write(shelf: &Shelf, entries: &Entries) -> (DataFileRecord, Vec<Place>) {
    let mut writer = DataWriter::create(&OsFs, shelf.0.path(), identity(), SPAN).unwrap();
    let places =
        entries.iter().map(|(key, lsn, value)| writer.push(*lsn, key, value.as_deref()).unwrap());
    let places = places.collect();
    (writer.finish(Sync::Done).unwrap().0, places)
}

fn open(shelf: &Shelf, record: DataFileRecord) -> Result<(DataFile, Span), Error> {
    DataFile::open(&OsFs, shelf.0.path(), identity(), record, Sums::Checked)
}

fn scan(shelf: &Shelf, record: DataFileRecord, depth: Depth) -> Result<Entries, Error> {
    let (data, span) = open(shelf, record)?;
    let mut scan = Scan::new(&data, record, span, depth);
    let mut entries = Entries::new();
    while let Some(entry) = scan.next()? {
        let value =
            if entry.tombstone { None } else { Some(data.read(entry.key, entry.place)?.to_vec()) };
        entries.push((entry.key.to_vec(), entry.place.lsn, value));
    }
    Ok(entries)
}

/// A file with a value that is longer than what is held in memory of it at once.
fn long_entries() -> Entries {
    vec![
        (b"a".to_vec(), Lsn(11), Some(vec![1; 700_000])),
        (b"b".to_vec(), Lsn(12), None),
        (vec![b'c'; 60_000], Lsn(12), Some(vec![2; 300_000])),
        (b"d".to_vec(), Lsn(20), Some(Vec::new())),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn what_is_written_is_read(entries in entries()) {
        let shelf = Shelf::new();
        let (record, places) = write(&shelf, &entries);
        prop_assert_eq!(record.len, shelf.bytes().len() as u64);
        prop_assert_eq!(record.crc, crc32c(&shelf.bytes()));
        prop_assert_eq!(&scan(&shelf, record, Depth::Keys).unwrap(), &entries);
        prop_assert_eq!(&scan(&shelf, record, Depth::All).unwrap(), &entries);
        let (data, _) = open(&shelf, record).unwrap();
        for ((key, _, value), place) in entries.iter().zip(places) {
            if let Some(value) = value {
                prop_assert_eq!(&data.read(key, place).unwrap(), value);
            }
            let other = [key, &b"x"[..]].concat();
            prop_assert!(data.read(&other, place).unwrap_err().is_damage());
        }
    }

    #[test]
    fn every_flipped_bit_is_damage(entries in entries()) {
        let shelf = Shelf::new();
        let (record, _) = write(&shelf, &entries);
        let (bytes, file) = (shelf.bytes(), shelf.file(Access::ReadWrite));
        for bit in 0..record.len * 8 {
            let byte = bytes[usize::try_from(bit / 8).unwrap()];
            file.write_all_at(&[byte ^ (1 << (bit % 8))], bit / 8).unwrap();
            let error = scan(&shelf, record, Depth::All).expect_err("a flipped bit");
            prop_assert!(error.is_damage(), "bit {bit}: {error}");
            file.write_all_at(&[byte], bit / 8).unwrap();
        }
        prop_assert!(scan(&shelf, record, Depth::All).is_ok());
    }

    #[test]
    fn any_bytes_are_read_or_refused(
        noise in prop::collection::vec(any::<u8>(), 0..120), entries in 0_u64..3,
    ) {
        // Behind a header that is whole, so that the noise is read as entries.
        let bytes = [Header::new(identity(), SPAN).as_bytes(), &noise].concat();
        let shelf = Shelf::new();
        let path = shelf.0.path().join("0000000003.data");
        OsFs.create_new(&path).unwrap().write_all_at(&bytes, 0).unwrap();
        let record = DataFileRecord { number: 3, len: bytes.len() as u64, entries, crc: 0, span: SPAN, hint_len: 0 };
        scan(&shelf, record, Depth::Keys).ok();
        scan(&shelf, record, Depth::All).ok();
    }
}

#[test]
fn long_keys_and_values_pass_through_the_window() {
    let shelf = Shelf::new();
    let (record, _) = write(&shelf, &long_entries());
    assert_eq!(scan(&shelf, record, Depth::Keys).unwrap(), long_entries());
    assert_eq!(scan(&shelf, record, Depth::All).unwrap(), long_entries());
}

#[test]
fn a_file_of_another_place_is_refused() {
    let shelf = Shelf::new();
    let (record, _) = write(&shelf, &long_entries());
    let refused = |identity: Identity| {
        let opened = DataFile::open(&OsFs, shelf.0.path(), identity, record, Sums::Checked);
        match opened.unwrap_err() {
            Error::Damaged { damage: Damage::Elsewhere(field), .. } => field,
            other => panic!("{other}"),
        }
    };
    assert_eq!(refused(Identity { store: StoreId([8; 16]), ..identity() }), "store");
    assert_eq!(refused(Identity { keyspace: 1, ..identity() }), "keyspace");
    let name = |number| shelf.0.path().join(file_name(number));
    OsFs.rename(&name(3), &name(4)).unwrap();
    assert_eq!(refused(Identity { number: 4, ..identity() }), "number");
    let missing = open(&shelf, record).unwrap_err();
    assert!(matches!(missing, Error::Damaged { damage: Damage::Missing, .. }), "{missing}");
}

#[test]
fn entries_of_other_commits_out_of_order_or_missing_are_refused() {
    let damage = |entries: &Entries, change: fn(&mut DataFileRecord)| {
        let shelf = Shelf::new();
        let (mut record, _) = write(&shelf, entries);
        change(&mut record);
        match scan(&shelf, record, Depth::All).unwrap_err() {
            Error::Damaged { damage, .. } => damage,
            other => panic!("{other}"),
        }
    };
    let entry = |key: &[u8], lsn| (key.to_vec(), Lsn(lsn), Some(b"value".to_vec()));
    let kept: fn(&mut DataFileRecord) = |_| {};
    assert_eq!(damage(&vec![entry(b"a", 10)], kept), Damage::Field("lsn"));
    assert_eq!(damage(&vec![entry(b"a", 21)], kept), Damage::Field("lsn"));
    assert_eq!(damage(&vec![entry(b"b", 11), entry(b"a", 11)], kept), Damage::Order);
    assert_eq!(damage(&vec![entry(b"a", 11), entry(b"a", 12)], kept), Damage::Order);
    let entries = vec![entry(b"a", 11)];
    let counted = damage(&entries, |record| record.entries += 1);
    assert_eq!(counted, Damage::EntryCount { found: 1, expected: 2 });
    assert_eq!(damage(&entries, |record| record.crc ^= 1), Damage::FileSum);
    let len = HEADER as u64 + ENTRY_HEAD as u64 + 6;
    let cut = damage(&entries, |record| record.len += 1);
    assert_eq!(cut, Damage::Length { found: len, expected: len + 1 });
}

#[test]
fn numbers_and_names() {
    assert_eq!(file_name(7), "0000000007.data");
    assert_eq!(file_number("0000000007.data"), Some(7));
    assert_eq!(file_number("4294967295.data"), Some(u32::MAX));
    for name in ["7.data", "0000000007.tmp", "4294967296.data", "+000000007.data", "manifest"] {
        assert_eq!(file_number(name), None, "{name}");
    }
}
